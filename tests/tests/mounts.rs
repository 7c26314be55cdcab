//! Filesystems that are mounted in a granted folder, and folders that are mounted twice.
//!
//! Only root can mount, in a place of its own (`unshare --mount`), so that nothing of it
//! is left on the machine; elsewhere these tests say that they were skipped.

use bls_tests::programs::{Home, run};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const PERM: i32 = 63;

/// A module that opens a path in its first folder, with these rights, and ends with the
/// errno.
fn opens(home: &Home, name: &str, path: &str, rights: u64) -> PathBuf {
    let length = path.len();
    let text = format!(
        r#"(module
            (import "wasi_snapshot_preview1" "path_open"
                (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
            (memory (export "memory") 1)
            (data (i32.const 0) "{path}")
            (func (export "_start") (call $exit
                (call $open (i32.const 3) (i32.const 1) (i32.const 0) (i32.const {length})
                    (i32.const 0) (i64.const {rights}) (i64.const 0) (i32.const 0)
                    (i32.const 1024)))))"#
    );
    let source = home.path(&format!("{name}.wat"));
    fs::write(&source, text).unwrap();
    home.compile(&source, &[])
}

const READ: u64 = 1 << 1;
const WRITE: u64 = 1 << 6;

/// Runs an artifact where these were mounted first; `None` where nothing can be.
fn with_mounts(home: &Home, mounts: &str, options: &[&str], artifact: &Path) -> Option<i32> {
    let probe = Command::new("unshare").args(["--mount", "true"]).output();
    if !probe.is_ok_and(|probe| probe.status.success()) {
        println!("SKIPPED: nothing can be mounted here");
        return None;
    }
    let load = home.load_command(options, artifact);
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", &format!("set -e; {mounts}; exec \"$@\""), "sh"]);
    command.arg(load.get_program()).args(load.get_args());
    command.current_dir(home.path("."));
    run(&mut command, b"").code
}

#[test]
fn a_filesystem_of_the_kernels_that_is_mounted_in_a_folder() {
    let home = Home::new();
    fs::create_dir_all(home.path("d/proc")).unwrap();
    fs::create_dir_all(home.path("d/memory")).unwrap();
    fs::write(home.path("d/file"), b"").unwrap();
    let mounts = "mount -t proc proc d/proc; mount --bind /proc/self/environ d/file; \
                  mount -t tmpfs none d/memory; echo x > d/memory/file";
    for (name, path, rights, errno) in [
        ("inside", "proc/self/environ", READ, PERM),
        ("memory", "proc/self/mem", READ | WRITE, PERM),
        ("itself", "proc", READ, PERM),
        ("file", "file", READ, PERM),
        // What stores files is another matter.
        ("stored", "memory/file", READ | WRITE, 0),
    ] {
        let artifact = opens(&home, name, path, rights);
        match with_mounts(&home, mounts, &["--dir", "d"], &artifact) {
            Some(code) => assert_eq!(code, errno, "{name}"),
            None => return,
        }
    }
}

#[test]
fn a_folder_that_may_only_be_read_and_is_mounted_where_changes_are_granted() {
    let home = Home::new();
    fs::create_dir_all(home.path("d/again")).unwrap();
    fs::create_dir_all(home.path("read/deep")).unwrap();
    fs::write(home.path("read/deep/file"), b"x").unwrap();
    let mounts = "mount --bind read d/again";
    let options = ["--dir", "d", "--dir-ro", "read"];
    for (name, rights, errno) in [("written", READ | WRITE, PERM), ("read", READ, 0)] {
        let artifact = opens(&home, name, "again/deep/file", rights);
        match with_mounts(&home, mounts, &options, &artifact) {
            Some(code) => assert_eq!(code, errno, "{name}"),
            None => return,
        }
    }
}

#[test]
fn files_are_opened_where_there_is_no_procfs() {
    let home = Home::new();
    fs::create_dir(home.path("d")).unwrap();
    fs::write(home.path("d/file"), b"x").unwrap();
    bls_tests::programs::make_fifo(&home.path("d/fifo"));
    // Nothing but an empty folder is there.
    let mounts = "mount -t tmpfs none /proc";
    for (name, path, rights, errno) in [
        ("read", "file", READ, 0),
        ("written", "file", READ | WRITE, 0),
        ("fifo", "fifo", READ, PERM),
        ("folder", ".", READ, 0),
    ] {
        let artifact = opens(&home, name, path, rights);
        match with_mounts(&home, mounts, &["--dir", "d"], &artifact) {
            Some(code) => assert_eq!(code, errno, "{name}"),
            None => return,
        }
    }
}
