//! Registries on this machine, for the time of a test: Debian's `docker-registry`, and one that
//! answers whatever a test wants.

use crate::ports;
use crate::programs::{Home, compiler};
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The real program.
const PROGRAM: &str = "docker-registry";
/// Who may use a registry that asks, with the password `secret` (bcrypt, for no other place).
const HTPASSWD: &str = "ann:$2y$05$WfuCU/pbXwOulSPdgdDcI.2dUzAqdBdH1X4p6DsJdUn0UyjI9mHaa\n";
/// The same, as docker's configuration has it.
pub const AUTH: &str = "YW5uOnNlY3JldA==";

/// The path of bls-registry: beside bls-compile, where that looks for it.
///
/// # Panics
/// When it is not there.
#[must_use]
pub fn program() -> PathBuf {
    let path = compiler().with_file_name("bls-registry");
    assert!(path.is_file(), "{} is not there: run `cargo xtask build`", path.display());
    path
}

/// A program that knows no credentials but those in this folder's `docker/config.json`.
#[must_use]
pub fn command(home: &Home, program: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(home.path("")).env("DOCKER_CONFIG", home.path("docker"));
    for proxy in ["ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY"] {
        command.env_remove(proxy).env_remove(proxy.to_ascii_lowercase());
    }
    command
}

/// Writes docker's configuration for such a program.
///
/// # Panics
/// When it cannot be written.
pub fn configure(home: &Home, text: &str) {
    let _ = fs::create_dir(home.path("docker"));
    fs::write(home.path("docker/config.json"), text).expect("a file");
}

/// A real registry.
#[derive(Debug)]
pub struct Registry {
    process: Child,
    /// Its host, with the port.
    pub host: String,
    folder: tempfile::TempDir,
}

impl Registry {
    /// One that everybody may use, or that asks who does; `None`, and a line that says so, where
    /// the program is not installed.
    ///
    /// # Panics
    /// When it does not listen.
    #[must_use]
    pub fn start(asks: bool) -> Option<Self> {
        let is_there = Command::new(PROGRAM).arg("--version").output().is_ok();
        if !is_there {
            println!("{PROGRAM} is not installed: left out");
            return None;
        }
        // Somebody may take the port in between: then another is tried.
        let started = (0..10).find_map(|_| Self::try_start(asks));
        assert!(started.is_some(), "{PROGRAM} does not listen");
        started
    }

    /// One at a port that was free a moment ago.
    fn try_start(asks: bool) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        fs::write(path("htpasswd"), HTPASSWD).expect("a file");
        let host = ports::free().to_string();
        let auth = match asks {
            true => format!(
                "auth: {{htpasswd: {{realm: test, path: {}}}}}\n",
                path("htpasswd").display()
            ),
            false => String::new(),
        };
        let config = format!(
            "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\n\
             storage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: \"{host}\"}}\n{auth}",
            path("store").display()
        );
        fs::write(path("config.yml"), config).expect("a file");
        let process = Command::new(PROGRAM)
            .arg("serve")
            .arg(path("config.yml"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a process");
        let mut registry = Self { process, host, folder };
        listens(&mut registry.process, &registry.host).then_some(registry)
    }

    /// A reference there.
    #[must_use]
    pub fn reference(&self, rest: &str) -> String {
        format!("{}/{rest}", self.host)
    }

    /// The folder of what it keeps.
    #[must_use]
    pub fn kept(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    /// What it has under a path of the protocol, as JSON; null where that is none.
    ///
    /// # Panics
    /// When it does not answer.
    #[must_use]
    pub fn json(&self, path: &str) -> serde_json::Value {
        serde_json::from_slice(&self.bytes(path)).unwrap_or_default()
    }

    /// The same, as it came.
    ///
    /// # Panics
    /// When it does not answer.
    #[must_use]
    pub fn bytes(&self, path: &str) -> Vec<u8> {
        let mut stream = TcpStream::connect(&self.host).expect("a connection");
        let kinds =
            "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json";
        let host = &self.host;
        let request = format!("GET /v2/{path} HTTP/1.0\r\nHost: {host}\r\nAccept: {kinds}\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("a request");
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes).expect("an answer");
        let end = b"\r\n\r\n";
        let head = bytes.windows(end.len()).position(|window| window == end).expect("a body");
        bytes.split_off(head + end.len())
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Whether a server comes to listen there.
pub(crate) fn listens(process: &mut Child, host: &str) -> bool {
    for _ in 0..1000 {
        if TcpStream::connect(host).is_ok() {
            return true;
        }
        if process.try_wait().is_ok_and(|end| end.is_some()) {
            return false;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    false
}

/// What a lying registry answers.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// The status; 0 is none: it says nothing until nobody waits.
    pub status: u16,
    /// More headers, each with its line end.
    pub headers: String,
    /// The body.
    pub body: Vec<u8>,
    /// How long the body is said to be, if it is not as long as it is.
    pub length: Option<usize>,
}

impl Answer {
    /// A body that is found.
    #[must_use]
    pub fn of(kind: &str, body: impl Into<Vec<u8>>) -> Self {
        let headers = format!("Content-Type: {kind}\r\n");
        Self { status: 200, headers, body: body.into(), length: None }
    }

    /// A status, and nothing else.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self { status, ..Self::default() }
    }
}

/// A request that it got.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The path, and what is behind it.
    pub path: String,
    /// Headers by their names, in lower case.
    pub headers: BTreeMap<String, String>,
}

/// What such a registry does.
type Behaviour = dyn Fn(&Asked) -> Answer + Send + Sync;

/// A registry that answers what it is told to. It is there until the process ends.
#[derive(Clone, Debug)]
pub struct Liar {
    /// Its host, with the port.
    pub host: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Liar {
    /// One that answers like this.
    ///
    /// # Panics
    /// When there is no port.
    #[must_use]
    pub fn start(behaviour: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let host = listener.local_addr().expect("an address").to_string();
        let liar = Self { host, asked: Arc::default() };
        let asked = Arc::clone(&liar.asked);
        let behaviour: Arc<Behaviour> = Arc::new(behaviour);
        let _ = std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (behaviour, asked) = (Arc::clone(&behaviour), Arc::clone(&asked));
                let _ = std::thread::spawn(move || answer(stream, &*behaviour, &asked));
            }
        });
        liar
    }

    /// What it was asked so far.
    ///
    /// # Panics
    /// When a thread of it has panicked.
    #[must_use]
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("a list").clone()
    }
}

/// Answers one request.
fn answer(stream: TcpStream, behaviour: &Behaviour, asked: &Mutex<Vec<Asked>>) {
    let Ok(copy) = stream.try_clone() else { return };
    let mut lines = BufReader::new(copy).lines().map_while(Result::ok);
    let Some(first) = lines.next() else { return };
    let headers = lines.by_ref().take_while(|line| !line.is_empty());
    let headers = headers.filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        Some((name.to_ascii_lowercase(), value.trim().to_owned()))
    });
    let headers = headers.collect();
    let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
    let request = Asked { path, headers };
    let Answer { status, headers, body, length } = behaviour(&request);
    asked.lock().expect("a list").push(request);
    let mut stream = stream;
    if status == 0 {
        // Until whoever asked goes away.
        let _ = std::io::copy(&mut stream, &mut std::io::sink());
        return;
    }
    let length = length.unwrap_or(body.len());
    let head = format!(
        "HTTP/1.1 {status} x\r\nContent-Length: {length}\r\nConnection: close\r\n{headers}\r\n"
    );
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
}
