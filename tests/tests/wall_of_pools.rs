//! `bls_loader::Wall`: what an embedder's worker process has left behind it.

use bls_tests::programs::{Home, fixtures};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Output};

/// Runs the worker, and has it try this.
fn walled(what: &str) -> Output {
    let home = Home::new();
    let artifact = home.compile(&fixtures().join("cgi/words.wat"), &[]);
    let folder = home.path("data");
    std::fs::create_dir(&folder).expect("a folder");
    std::fs::write(folder.join("note"), "a note").expect("a file");
    let mut command = Command::new(env!("CARGO_BIN_EXE_walled"));
    command.arg(home.public_key()).arg(artifact).arg(folder).arg(what);
    command.output().expect("it runs")
}

#[test]
fn guests_run_behind_a_wall() {
    let output = walled("nothing");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{output:?}");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "before: run.not-confined");
    assert!(lines[1].starts_with("wall: descriptors, limits, capabilities, "), "{text}");
    assert_eq!(lines[2..5], ["the guest exited with code 0: a note"; 3]);
    assert_eq!(lines[5..], ["channel: Ok(1)", "variables: 0"]);
}

#[test]
fn nothing_else_is_left() {
    // The folders' calls are there, and Landlock says where.
    for (what, says) in [("open", "open: false"), ("write", "write: the guest exited with code 0")]
    {
        let output = walled(what);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(text.lines().last(), Some(says), "{output:?}");
    }
    for what in ["socket", "thread", "program"] {
        let output = walled(what);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(text.lines().last(), Some("variables: 0"), "{what}");
        assert_eq!(output.status.signal(), Some(libc_sigsys()), "{what}: {output:?}");
    }
}

/// The number of SIGSYS.
fn libc_sigsys() -> i32 {
    rustix::process::Signal::SYS.as_raw()
}
