//! Users of the system for the time of a test: only root can make them.
//!
//! The default places of keys and trust files follow the password database, so testing
//! them takes an account with a home of its own. Guarantees that a user and its home are
//! gone afterwards. Numbers and names must differ between tests that run at once.

use crate::programs::run;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Whether this process may make users; says so where not.
#[must_use]
pub fn may_make_users() -> bool {
    let root = rustix::process::getuid().is_root();
    if !root {
        println!("only root can become a fresh user");
    }
    root
}

/// A user of the system for the time of a test.
#[derive(Debug)]
pub struct FreshUser {
    name: String,
    /// The user's number, and its group's.
    pub id: u32,
    /// An empty home that is the user's.
    pub home: PathBuf,
}

impl FreshUser {
    /// A user of this name and number.
    ///
    /// # Panics
    /// When there cannot be one.
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
        std::fs::create_dir_all(&home).expect("a home");
        std::os::unix::fs::chown(&home, Some(id), Some(id)).expect("a home of its own");
        Self { name: name.to_owned(), id, home }
    }

    /// A program, run by this user at home.
    #[must_use]
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        self.become_user(&mut command);
        command
    }

    /// Lets this user run a command at home.
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
