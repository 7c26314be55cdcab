//! What is there to be attacked: files, other processes, sockets, things inherited.
//!
//! A [`Scene`] is fresh for each attempt, so that what one destroys no other misses. All of
//! it is the test's own: nothing of the machine is attacked that could not be put back.

use std::fs;
use std::io;
use std::net::TcpListener;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// What no guest may learn: in a file, in variables, in the memory of other processes.
pub const SECRET: &str = "what-no-guest-may-learn-7f3a91";
/// The variable that holds it, in the loader's environment and in the victim's.
pub const VARIABLE: &str = "BLS_TEST_SECRET";
/// The descriptors that the loader inherits and nobody grants: a file to be written, and the
/// folder of everything.
pub const INHERITED_FILE: i32 = 7;
/// See [`INHERITED_FILE`].
pub const INHERITED_FOLDER: i32 = 8;

/// Something to attack.
#[derive(Debug)]
pub struct Scene {
    folder: tempfile::TempDir,
    /// A process of the same user.
    pub victim: Victim,
    /// A bls-load that runs another guest, with the secret among its arguments: its number,
    /// and the address of its arguments.
    pub other: (u32, u64),
    /// This process: the loader's parent. Its number, and an address that it has.
    pub parent: (u32, u64),
    /// The port of a TCP socket that listens.
    pub port: u16,
    /// The name of an abstract socket that listens.
    pub abstract_name: String,
    /// A connected socket that the loader inherits and nobody grants.
    pub inherited_socket: i32,
    _listeners: (TcpListener, UnixListener, UnixListener),
    ours: UnixStream,
    _theirs: OwnedFd,
}

impl Scene {
    /// A fresh one.
    ///
    /// # Panics
    /// When something of it cannot be made.
    #[must_use]
    pub fn new(other: (u32, u64)) -> Self {
        let folder = tempfile::tempdir().expect("a fresh folder");
        let path = folder.path();
        fs::write(path.join("secret"), SECRET).expect("a file");
        fs::write(path.join("inherited"), "").expect("a file");
        for granted in ["ro", "rw"] {
            let granted = path.join(granted);
            fs::create_dir_all(granted.join("folder")).expect("a folder");
            fs::create_dir_all(granted.join("empty")).expect("a folder");
            fs::write(granted.join("file"), "kept").expect("a file");
            fs::write(granted.join("folder/file"), "kept").expect("a file");
            std::os::unix::fs::symlink("../secret", granted.join("link")).expect("a link");
        }
        std::os::unix::fs::symlink("secret", path.join("link")).expect("a link");
        crate::programs::make_fifo(&path.join("rw/fifo"));
        let tcp = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = tcp.local_addr().expect("an address").port();
        let abstract_name = format!("bls-test-{}-{port}", std::process::id());
        let address = SocketAddr::from_abstract_name(&abstract_name).expect("a name");
        let named = UnixListener::bind(path.join("socket")).expect("a socket");
        let unnamed = UnixListener::bind_addr(&address).expect("a socket");
        let (ours, theirs) = UnixStream::pair().expect("two sockets");
        ours.set_nonblocking(true).expect("a socket");
        // Above those that the runner's shell gives the loader.
        let theirs = rustix::io::fcntl_dupfd_cloexec(&theirs, 20).expect("a descriptor");
        rustix::io::fcntl_setfd(&theirs, rustix::io::FdFlags::empty()).expect("a flag");
        let me = std::process::id();
        Self {
            victim: Victim::new(),
            other,
            parent: (me, stat(me).environment),
            port,
            abstract_name,
            inherited_socket: theirs.as_raw_fd(),
            _listeners: (tcp, named, unnamed),
            ours,
            _theirs: theirs,
            folder,
        }
    }

    /// A path in the folder of everything.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The text of a file there; empty where there is none.
    #[must_use]
    pub fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// Whether something is at that path.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.path(name).symlink_metadata().is_ok()
    }

    /// Whether something came through the socket that was inherited.
    #[must_use]
    pub fn was_sent_something(&self) -> bool {
        let mut byte = [0];
        io::Read::read(&mut &self.ours, &mut byte).is_ok_and(|count| count > 0)
    }
}

/// A process that does nothing, with the secret in its environment.
#[derive(Debug)]
pub struct Victim {
    child: Child,
    /// Its number.
    pub number: u32,
    /// The address of its environment.
    pub environment: u64,
}

impl Victim {
    fn new() -> Self {
        let child = Command::new("sleep")
            .arg("600")
            .env_clear()
            .env(VARIABLE, SECRET)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a process");
        let number = child.id();
        let environment = wait_for(number, "sleep").environment;
        Self { child, number, environment }
    }

    /// Whether it was killed.
    #[must_use]
    pub fn is_dead(&self) -> bool {
        // What has ended and was not waited for is a zombie.
        stat(self.number).state == "Z"
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the kernel says of a process.
#[derive(Debug)]
pub struct Stat {
    state: String,
    name: String,
    /// The address of its arguments.
    pub arguments: u64,
    /// The address of its environment.
    pub environment: u64,
}

/// What `/proc/PID/stat` says.
///
/// # Panics
/// When there is no such process, or no procfs.
#[must_use]
pub fn stat(process: u32) -> Stat {
    let text = fs::read_to_string(Path::new("/proc").join(process.to_string()).join("stat"));
    let text = text.expect("a process");
    let (before, after) = text.rsplit_once(')').expect("a name");
    let name = before.split_once('(').expect("a name").1.to_owned();
    // The first of these is field 3.
    let fields: Vec<&str> = after.split_whitespace().collect();
    let number = |field: usize| fields[field - 3].parse().unwrap_or(0);
    Stat { state: fields[0].to_owned(), name, arguments: number(48), environment: number(50) }
}

/// Waits until a process has become the program of this name.
///
/// # Panics
/// When it does not.
#[must_use]
pub fn wait_for(process: u32, name: &str) -> Stat {
    for _ in 0..4000 {
        let stat = stat(process);
        if stat.name == name && stat.environment != 0 {
            return stat;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!("process {process} never became {name}");
}
