//! `walled KEY ARTIFACT FOLDER WHAT`: an embedder's worker process, which puts a wall around
//! itself, runs guests of a pool behind it, and then tries something itself.
//!
//! For the test `wall_of_pools`: a wall is for a process of one thread, which a test is not.

#![forbid(unsafe_code)]

use bls_loader::bls_artifact::policy::Requirement;
use bls_loader::{Access, Loader, Runner, Sink, Trust, Wall};
use std::process::ExitCode;

fn run() -> Result<(), Box<dyn std::error::Error>> {
    let words: Vec<_> = std::env::args_os().skip(1).collect();
    let [key, artifact, folder, what] = &words[..] else {
        return Err("walled KEY ARTIFACT FOLDER WHAT".into());
    };
    let loader = Loader::new(Trust::file(key)?).require(Requirement::Sandbox);
    let pool = Runner::new(loader.open(artifact)?)
        .folder(folder, "/data", Access::Read)
        .env("PATH_INFO", "/file")
        .timeout(std::time::Duration::from_secs(60))
        .stdout(Sink::bytes())
        .pool(1)?;
    match pool.run() {
        Err(error) => println!("before: {}", error.code()),
        Ok(ended) => println!("before: {}", ended.outcome),
    }
    let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
    let standing = Wall::new().around(&pool).keep(&ours).keep(&theirs).stand()?;
    println!("wall: {standing}");
    for _ in 0..3 {
        let ended = pool.run()?;
        let text = String::from_utf8_lossy(&ended.stdout).into_owned();
        println!("{}: {}", ended.outcome, text.lines().last().unwrap_or_default());
    }
    rustix::io::write(&ours, b"x")?;
    println!("channel: {:?}", rustix::io::read(&theirs, &mut [0; 1]));
    println!("variables: {}", std::env::vars_os().count());
    match what.to_string_lossy().as_ref() {
        "open" => println!("open: {}", std::fs::File::open("/etc/passwd").is_ok()),
        "write" => println!("write: {}", pool.runner().env("PATH_INFO", "/writ").run()?.outcome),
        "socket" => println!("socket: {}", std::net::UdpSocket::bind("127.0.0.1:0").is_ok()),
        "thread" => println!("thread: {:?}", std::thread::spawn(|| 1).join().is_ok()),
        "program" => println!("program: {}", std::process::Command::new("true").status().is_ok()),
        _ => {}
    }
    Ok(())
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("walled: {error}");
            ExitCode::FAILURE
        }
    }
}
