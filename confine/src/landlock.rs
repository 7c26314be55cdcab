//! Landlock: which files this thread may still open and change (landlock(7)).
//!
//! A ruleset denies all that the kernel's ABI knows, and allows what is added beneath
//! folders. What is open already stays usable.

use crate::sys::{self, RulesetAttributes};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};

/// What may be done beneath a folder: `LANDLOCK_ACCESS_FS_*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rights(u64);

impl Rights {
    const EXECUTE: u64 = 1 << 0;
    const WRITE_FILE: u64 = 1 << 1;
    const READ_FILE: u64 = 1 << 2;
    const READ_DIR: u64 = 1 << 3;
    const REMOVE_DIR: u64 = 1 << 4;
    const REMOVE_FILE: u64 = 1 << 5;
    const MAKE_DIR: u64 = 1 << 7;
    const MAKE_REG: u64 = 1 << 8;
    const MAKE_SYM: u64 = 1 << 12;
    /// Links and renames from folder to folder; from ABI 2 on. Before, they are denied.
    const REFER: u64 = 1 << 13;
    /// From ABI 3 on.
    const TRUNCATE: u64 = 1 << 14;

    /// What can be said of a file that is named itself, and not by its folder.
    const OF_FILES: u64 = Self::EXECUTE | Self::WRITE_FILE | Self::READ_FILE | Self::TRUNCATE;

    /// Files are read, and folders listed.
    pub const READ: Self = Self(Self::READ_FILE | Self::READ_DIR);
    /// The same; and files, folders and symbolic links are made, changed and removed. No
    /// devices, sockets or pipes are made, and nothing is executed.
    pub const CHANGE: Self = Self(
        Self::READ.0
            | Self::WRITE_FILE
            | Self::TRUNCATE
            | Self::REMOVE_DIR
            | Self::REMOVE_FILE
            | Self::MAKE_DIR
            | Self::MAKE_REG
            | Self::MAKE_SYM
            | Self::REFER,
    );
    /// Files are read and executed, and folders listed.
    pub const RUN: Self = Self(Self::READ.0 | Self::EXECUTE);

    /// What of these can be said of a file, as [`Ruleset::allow`] wants it where its place is
    /// no folder.
    #[must_use]
    pub const fn of_file(self) -> Self {
        Self(self.0 & Self::OF_FILES)
    }
}

/// Which TCP ports a ruleset leaves (from ABI 4 on; before, it says nothing of them).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ports {
    /// None but those that are added.
    Listed,
    /// All.
    All,
}

/// `LANDLOCK_ACCESS_NET_BIND_TCP` and `_CONNECT_TCP`.
const BIND: u64 = 1;
const CONNECT: u64 = 2;

/// The newest ABI that this kernel has; an error where it has no Landlock, or does not let
/// this process use it.
///
/// # Errors
/// What the kernel says: `ENOSYS` before 5.13, `EOPNOTSUPP` where it is turned off, and
/// `EPERM` or `ENOSYS` where a filter forbids it.
pub fn abi() -> io::Result<u32> {
    /// `LANDLOCK_CREATE_RULESET_VERSION`.
    const VERSION: u32 = 1;
    sys::landlock_says(VERSION)
}

/// Whether signals between threads of one process pass although each restricted itself:
/// they did not in the first kernels that can confine signals (erratum 2 of ABI 6).
fn signals_are_mended() -> bool {
    /// `LANDLOCK_CREATE_RULESET_ERRATA`.
    const ERRATA: u32 = 2;
    sys::landlock_says(ERRATA).is_ok_and(|mended| mended & 1 << 1 != 0)
}

/// All that ABI `abi` can deny of files.
fn all_rights(abi: u32) -> u64 {
    let count = match abi {
        0 => 0,
        1 => 13,
        2 => 14,
        3 | 4 => 15,
        _ => 16,
    };
    (1 << count) - 1
}

/// Rules that a thread can restrict itself by.
#[derive(Debug)]
pub struct Ruleset {
    descriptor: OwnedFd,
    abi: u32,
    /// What of the network it denies where nothing is added.
    network: u64,
    /// What it keeps inside: abstract sockets, signals.
    scopes: u64,
}

/// `LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET` and `_SIGNAL`.
const SOCKETS: u64 = 1;
const SIGNALS: u64 = 2;

/// What ABI `abi` can keep inside.
fn all_scopes(abi: u32, signals_are_mended: impl FnOnce() -> bool) -> u64 {
    match abi {
        0..=5 => 0,
        _ if signals_are_mended() => SOCKETS | SIGNALS,
        _ => SOCKETS,
    }
}

impl Ruleset {
    /// One that denies everything that this kernel's ABI knows: every use of a file, TCP
    /// connections (from ABI 4 on), abstract sockets and signals to other processes (from
    /// ABI 6 on).
    ///
    /// # Errors
    /// As [`abi`].
    pub fn new() -> io::Result<Self> {
        Self::with_ports(Ports::Listed, Ports::Listed)
    }

    /// The same, but for the TCP ports that may be connected to and listened on.
    ///
    /// # Errors
    /// As [`abi`].
    pub fn with_ports(connect: Ports, bind: Ports) -> io::Result<Self> {
        let abi = abi()?;
        let scopes = all_scopes(abi, signals_are_mended);
        let denied = |ports, right| if ports == Ports::Listed { right } else { 0 };
        let network = denied(connect, CONNECT) | denied(bind, BIND);
        let attributes = RulesetAttributes {
            files: all_rights(abi),
            network: if abi < 4 { 0 } else { network },
            scopes,
        };
        let bytes = match abi {
            0..=3 => 8,
            4 | 5 => 16,
            _ => 24,
        };
        let network = attributes.network;
        let descriptor = sys::create_ruleset(&attributes, bytes)?;
        Ok(Self { descriptor, abi, network, scopes })
    }

    /// Allows connections to a TCP port, where the ruleset says anything of them.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn allow_connect(&self, port: u16) -> io::Result<()> {
        self.allow_port(port, CONNECT)
    }

    /// Allows to listen on a TCP port; 0 is any that the kernel chooses.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn allow_bind(&self, port: u16) -> io::Result<()> {
        self.allow_port(port, BIND)
    }

    fn allow_port(&self, port: u16, right: u64) -> io::Result<()> {
        if self.network & right == 0 {
            return Ok(());
        }
        sys::add_port(&self.descriptor, port, right)
    }

    /// Allows this beneath `folder`, which may be a file ([`Rights::of_file`]).
    ///
    /// # Errors
    /// What the kernel says.
    pub fn allow(&self, folder: BorrowedFd<'_>, rights: Rights) -> io::Result<()> {
        sys::add_rule(&self.descriptor, folder, rights.0 & all_rights(self.abi))
    }

    /// Restricts this thread, and those that it will start, for good. It must not be able to
    /// get new privileges ([`crate::forbid_new_privileges`]).
    ///
    /// # Errors
    /// What the kernel says.
    pub fn restrict_self(&self) -> io::Result<()> {
        sys::restrict_self(self.descriptor.as_raw_fd())
    }

    /// Whether whoever it restricts can send no signal to a process that it does not restrict
    /// (from ABI 6 on, in kernels where that is mended).
    #[must_use]
    pub fn keeps_signals(&self) -> bool {
        self.scopes & SIGNALS != 0
    }

    /// The ABI that it denies everything of.
    #[must_use]
    pub fn abi(&self) -> u32 {
        self.abi
    }
}

impl AsRawFd for Ruleset {
    fn as_raw_fd(&self) -> RawFd {
        self.descriptor.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, File};
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd as _;

    #[test]
    fn a_thread_may_use_the_ports_that_are_listed_and_no_others() {
        let Ok(ruleset) = Ruleset::new() else {
            println!("skipped: no Landlock here");
            return;
        };
        let [one, other] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let addresses = [&one, &other].map(|listener| listener.local_addr().unwrap());
        ruleset.allow_connect(addresses[0].port()).unwrap();
        let all = Ruleset::with_ports(Ports::All, Ports::All).unwrap();
        all.allow_connect(1).unwrap();
        let can = |ruleset: &Ruleset| {
            std::thread::scope(|scope| {
                let restricted = scope.spawn(|| {
                    crate::forbid_new_privileges().unwrap();
                    ruleset.restrict_self().unwrap();
                    let connects = addresses.map(|address| TcpStream::connect(address).is_ok());
                    (connects, TcpListener::bind("127.0.0.1:0").is_ok())
                });
                restricted.join().unwrap()
            })
        };
        let speaks_of_ports = ruleset.abi() >= 4;
        assert_eq!(can(&ruleset), ([true, !speaks_of_ports], !speaks_of_ports));
        assert_eq!(can(&all), ([true, true], true));
    }

    #[test]
    fn signals_stay_inside_where_the_kernel_can_keep_them_there() {
        assert_eq!(all_scopes(5, || true), 0);
        assert_eq!(all_scopes(6, || false), SOCKETS);
        assert_eq!(all_scopes(6, || true), SOCKETS | SIGNALS);
        match Ruleset::new() {
            Ok(ruleset) => {
                let wanted = ruleset.abi() >= 6 && signals_are_mended();
                assert_eq!(ruleset.keeps_signals(), wanted);
            }
            Err(error) => println!("skipped: no Landlock here: {error}"),
        }
    }

    #[test]
    fn a_file_is_named_itself() {
        let Ok(ruleset) = Ruleset::new() else {
            println!("skipped: no Landlock here");
            return;
        };
        let folder = tempfile::tempdir().unwrap();
        for name in ["one", "other"] {
            fs::write(folder.path().join(name), "text").unwrap();
        }
        let one = File::open(folder.path().join("one")).unwrap();
        ruleset.allow(one.as_fd(), Rights::RUN.of_file()).unwrap();
        std::thread::scope(|scope| {
            let restricted = scope.spawn(|| {
                crate::forbid_new_privileges().unwrap();
                ruleset.restrict_self().unwrap();
                assert_eq!(fs::read_to_string(folder.path().join("one")).unwrap(), "text");
                assert!(fs::read(folder.path().join("other")).is_err());
            });
            restricted.join().unwrap();
        });
    }

    #[test]
    fn a_thread_may_open_what_is_allowed_and_nothing_else() {
        let Ok(ruleset) = Ruleset::new() else {
            println!("skipped: no Landlock here");
            return;
        };
        let folder = tempfile::tempdir().unwrap();
        for name in ["read", "change", "other"] {
            fs::create_dir(folder.path().join(name)).unwrap();
            fs::write(folder.path().join(name).join("file"), "text").unwrap();
        }
        let at = |path: &str| folder.path().join(path);
        let open = |path: &str| File::open(at(path)).unwrap();
        ruleset.allow(open("read").as_fd(), Rights::READ).unwrap();
        ruleset.allow(open("change").as_fd(), Rights::CHANGE).unwrap();
        let other = open("other/file");
        std::thread::scope(|scope| {
            let restricted = scope.spawn(|| {
                crate::forbid_new_privileges().unwrap();
                ruleset.restrict_self().unwrap();
                assert_eq!(fs::read_to_string(at("read/file")).unwrap(), "text");
                assert_eq!(fs::read_dir(at("read")).unwrap().count(), 1);
                let denied = |result: io::Result<()>| {
                    assert_eq!(result.unwrap_err().kind(), io::ErrorKind::PermissionDenied);
                };
                denied(fs::write(at("read/file"), "changed"));
                denied(fs::write(at("read/new"), "new"));
                denied(fs::remove_file(at("read/file")));
                denied(fs::read(at("other/file")).map(drop));
                denied(fs::read_dir(folder.path()).map(drop));
                fs::write(at("change/file"), "changed").unwrap();
                fs::create_dir(at("change/new")).unwrap();
                fs::rename(at("change/file"), at("change/new/file")).unwrap();
                fs::remove_file(at("change/new/file")).unwrap();
                fs::remove_dir(at("change/new")).unwrap();
                assert_eq!(io::read_to_string(&other).unwrap(), "text", "it was open before");
            });
            restricted.join().unwrap();
        });
        assert_eq!(fs::read_to_string(at("other/file")).unwrap(), "text", "this thread is free");
    }
}
