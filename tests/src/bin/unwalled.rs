//! `unwalled KEY ARTIFACT [--dir-ro FOLDER] [--dir FOLDER]`: runs an artifact through the
//! library, in a process that is its embedder's: nothing is given up in it.
//!
//! For the test `hostile`, which shows by it what an attempt of a hostile guest would do
//! where no wall stands.

#![forbid(unsafe_code)]

use bls_loader::{Access, Loader, Runner, Sink, Source, Trust};
use std::process::ExitCode;

fn run() -> Result<(), Box<dyn std::error::Error>> {
    let mut words = std::env::args_os().skip(1);
    let (Some(key), Some(artifact)) = (words.next(), words.next()) else {
        return Err("unwalled KEY ARTIFACT [--dir-ro FOLDER] [--dir FOLDER]".into());
    };
    let verified = Loader::new(Trust::file(key)?).open(artifact)?;
    let mut runner = Runner::new(verified)
        .stdin(Source::inherit())
        .stdout(Sink::inherit())
        .stderr(Sink::inherit());
    while let Some(option) = words.next() {
        let folder = words.next().ok_or("a folder is missing")?;
        let access = if option == "--dir" { Access::Write } else { Access::Read };
        runner = runner.folder(folder.clone(), folder, access);
    }
    println!("{}", runner.run()?.outcome);
    Ok(())
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("unwalled: {error}");
            ExitCode::FAILURE
        }
    }
}
