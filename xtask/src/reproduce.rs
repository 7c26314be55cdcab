//! `cargo xtask reproduce`: bls-load is built a second time, and must be the same to the byte.
//!
//! The second time in another folder, into another target folder, of the files that git knows. The
//! same compiler and the same lock file are assumed.

use crate::{Failed, Step, build_loader_in, host, root, target};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Builds twice, and compares.
pub(crate) fn run() -> Step {
    let elsewhere = target().join("reproduce");
    let result = both(&elsewhere);
    let _ = fs::remove_dir_all(&elsewhere);
    result
}

fn both(elsewhere: &Path) -> Step {
    let failed = |what: &str| {
        eprintln!("xtask: {what}");
        Failed
    };
    let host = host()?;
    let built = |folder: &Path| folder.join(&host).join("dist/bls-load");
    let _ = fs::remove_dir_all(elsewhere);
    let sources = elsewhere.join("sources");
    copy(&sources).map_err(|error| failed(&format!("cannot copy the sources: {error}")))?;
    build_loader_in(&root(), &target(), &host)?;
    let other = elsewhere.join("target");
    build_loader_in(&sources, &other, &host)?;
    let read = |path: &Path| {
        fs::read(path).map_err(|error| failed(&format!("cannot read {}: {error}", path.display())))
    };
    let (one, two) = (read(&built(&target()))?, read(&built(&other))?);
    if one != two {
        let place = one.iter().zip(&two).position(|(one, two)| one != two);
        let place = place.unwrap_or(one.len().min(two.len()));
        return Err(failed(&format!("bls-load differs, first at byte {place}")));
    }
    println!("bls-load: the same {} bytes, built in two folders", one.len());
    Ok(())
}

/// Copies what git knows.
fn copy(to: &Path) -> std::io::Result<()> {
    let listed = Command::new("git").args(["ls-files", "-z"]).current_dir(root()).output()?;
    for name in listed.stdout.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let name = String::from_utf8_lossy(name);
        let (from, to) = (root().join(&*name), to.join(&*name));
        // What was removed and not committed yet.
        if from.is_file() {
            fs::create_dir_all(to.parent().unwrap_or(&to))?;
            let _ = fs::copy(from, to)?;
        }
    }
    Ok(())
}
