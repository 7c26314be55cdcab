//! Users of the system, made for the time of a test: only root can.
//!
//! A key folder and a trust file are found through the password database and through
//! nothing else, so a test that wants its own needs a user of its own.

use crate::programs::run;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Whether users can be made here.
#[must_use]
pub fn is_root() -> bool {
    rustix::process::getuid().is_root()
}

/// A user of the system for the time of a test.
#[derive(Debug)]
pub struct FreshUser {
    name: String,
    /// Its id, and its group's.
    pub id: u32,
    /// Its home folder, which is empty at first.
    pub home: PathBuf,
}

impl FreshUser {
    /// Makes one.
    ///
    /// # Panics
    /// When it cannot be made.
    #[must_use]
    pub fn new(name: &str, id: u32) -> Self {
        let home = Path::new("/var/tmp").join(name);
        let _ = std::fs::remove_dir_all(&home);
        let _ = Command::new("userdel").arg(name).output();
        let mut command = Command::new("useradd");
        command
            .args(["--no-create-home", "--uid", &id.to_string(), "--home-dir"])
            .arg(&home)
            .arg(name);
        let _ = run(&mut command, b"").expect(0);
        std::fs::create_dir_all(&home).expect("a home folder");
        std::os::unix::fs::chown(&home, Some(id), Some(id)).expect("its owner");
        Self { name: name.to_owned(), id, home }
    }

    /// This program, run by this user in its home folder.
    #[must_use]
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        self.become_user(&mut command);
        command
    }

    /// Lets this user run a command, in its home folder.
    pub fn become_user<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        use std::os::unix::process::CommandExt as _;
        command.current_dir(&self.home).uid(self.id).gid(self.id)
    }
}

impl Drop for FreshUser {
    fn drop(&mut self) {
        let _ = Command::new("userdel").arg(&self.name).output();
        let _ = std::fs::remove_dir_all(&self.home);
    }
}
