//! bls-serve as a person starts it, and a client that says exactly what a test wants said.

use crate::programs::{Home, compiler, fixtures};
use rustix::process::{Pid, Signal, kill_process};
use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};

/// The path of bls-serve: beside bls-compile.
///
/// # Panics
/// When it is not there.
#[must_use]
pub fn program() -> PathBuf {
    let path = compiler().with_file_name("bls-serve");
    assert!(path.is_file(), "{} is not there: run `cargo xtask build`", path.display());
    path
}

/// The command that serves, in this folder, trusting its key. It listens where the system likes.
#[must_use]
pub fn command(home: &Home, words: &[OsString]) -> Command {
    let mut command = Command::new(program());
    command
        .current_dir(home.path("."))
        .arg("--trust")
        .arg(home.public_key())
        .args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"])
        .args(["--log", "log.json"])
        .args(words);
    command
}

/// A folder with the guest that does what its path says (`fixtures/cgi/words.wat`), and its
/// artifact.
///
/// # Panics
/// When it cannot be compiled.
#[must_use]
pub fn words() -> (Home, PathBuf) {
    let home = Home::new();
    let artifact = home.compile(&fixtures().join("cgi/words.wat"), &[]);
    (home, artifact)
}

/// A server of [`words`], with these options.
///
/// # Panics
/// When it does not listen.
#[must_use]
pub fn server(options: &[&str]) -> (Home, Server) {
    let (home, artifact) = words();
    let mut all: Vec<OsString> = options.iter().map(OsString::from).collect();
    all.push(artifact.into());
    let server = Server::start(&home, &all);
    (home, server)
}

/// Waits until something holds.
///
/// # Panics
/// When it does not come to hold in two minutes.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(120), "never: {what}");
        sleep(Duration::from_millis(5));
    }
}

/// A server that runs.
#[derive(Debug)]
pub struct Server {
    child: Child,
    /// Where requests go.
    pub address: SocketAddr,
    /// Where `/healthz` and `/metrics` are.
    pub admin: SocketAddr,
    log: PathBuf,
    said: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts one with these words behind the usual ones.
    ///
    /// # Panics
    /// When it does not listen.
    #[must_use]
    #[track_caller]
    pub fn start<W: Into<OsString> + Clone>(home: &Home, words: &[W]) -> Self {
        Self::start_with(home, words, &[])
    }

    /// The same with these variables in its environment.
    ///
    /// # Panics
    /// When it does not listen.
    #[must_use]
    #[track_caller]
    pub fn start_with<W: Into<OsString> + Clone>(
        home: &Home,
        words: &[W],
        variables: &[(&str, &str)],
    ) -> Self {
        let words: Vec<OsString> = words.iter().cloned().map(Into::into).collect();
        let mut command = command(home, &words);
        let mut child = command
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("bls-serve starts");
        let mut stderr = BufReader::new(child.stderr.take().expect("a pipe"));
        let (mut before, mut line) = (String::new(), String::new());
        while !line.contains(": listening on ") {
            before += &line;
            line.clear();
            let read = stderr.read_line(&mut line).expect("text");
            assert!(read > 0, "bls-serve ended: {before}");
        }
        let mut addresses = line.split("http://").skip(1).map(|rest| {
            let end = rest.find(|letter: char| " ;,\n".contains(letter)).unwrap_or(rest.len());
            rest[..end].parse().expect("an address")
        });
        let (address, admin) = (addresses.next(), addresses.next());
        let said = Arc::new(Mutex::new(before));
        let more = Arc::clone(&said);
        let reader = std::thread::spawn(move || {
            let mut line = String::new();
            while stderr.read_line(&mut line).unwrap_or(0) > 0 {
                more.lock().unwrap_or_else(PoisonError::into_inner).push_str(&line);
                line.clear();
            }
        });
        Self {
            child,
            address: address.expect("an address"),
            admin: admin.expect("an address to watch at"),
            log: home.path("log.json"),
            said,
            reader: Some(reader),
        }
    }

    /// Asks for a path.
    #[must_use]
    #[track_caller]
    pub fn get(&self, path: &str) -> Reply {
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"))
    }

    /// Sends these bytes, and reads the response.
    #[must_use]
    #[track_caller]
    pub fn ask(&self, request: &str) -> Reply {
        let mut connection = connect(self.address);
        connection.write_all(request.as_bytes()).expect("sent");
        match request.starts_with("HEAD ") {
            true => read_head(&mut connection),
            false => read_reply(&mut connection),
        }
    }

    /// Asks what those who watch ask.
    #[must_use]
    #[track_caller]
    pub fn watch(&self, path: &str) -> Reply {
        let mut connection = connect(self.admin);
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        connection.write_all(request.as_bytes()).expect("sent");
        read_reply(&mut connection)
    }

    /// The value of a metric by its name and labels as they are written; 0 where it is not there.
    #[must_use]
    #[track_caller]
    pub fn metric(&self, series: &str) -> u64 {
        let text = self.watch("/metrics").text();
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.map_or(0, |value| value.parse().expect("a number"))
    }

    /// The lines of the log that say this, when there are so many.
    ///
    /// # Panics
    /// When a line is no JSON.
    #[must_use]
    #[track_caller]
    pub fn log(&self, path: &str, count: usize) -> Vec<serde_json::Value> {
        loop {
            let text = std::fs::read_to_string(&self.log).unwrap_or_default();
            let whole = text.rfind('\n').map_or("", |end| &text[..end]);
            let lines = whole.lines().map(|line| serde_json::from_str(line).expect("JSON"));
            let found: Vec<serde_json::Value> =
                lines.filter(|line: &serde_json::Value| line["path"] == path).collect();
            if found.len() >= count {
                return found;
            }
            sleep(Duration::from_millis(5));
        }
    }

    /// What it has said until now.
    #[must_use]
    pub fn said(&self) -> String {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The process that was started.
    #[must_use]
    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// Its processes of this kind: `work`, `net` or `otlp`.
    ///
    /// # Panics
    /// Without `/proc`.
    #[must_use]
    pub fn processes(&self, kind: &str) -> Vec<u32> {
        let own = self.child.id();
        let children = std::fs::read_to_string(format!("/proc/{own}/task/{own}/children"));
        let children = children.unwrap_or_default();
        let name = |process: &u32| std::fs::read_to_string(format!("/proc/{process}/comm"));
        let is_it = |process: &u32| {
            name(process).is_ok_and(|name| name.trim_end() == format!("bls-serve: {kind}"))
        };
        children.split_whitespace().filter_map(|number| number.parse().ok()).filter(is_it).collect()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        send(self.child.id(), signal);
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When it cannot be waited for.
    pub fn wait(&mut self) -> ExitStatus {
        let status = self.child.wait().expect("a child");
        if let Some(reader) = self.reader.take() {
            reader.join().expect("a reader that does not panic");
        }
        status
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.reader.is_some() {
            // Its processes end with it.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Sends a process a signal.
pub fn send(process: u32, signal: Signal) {
    let process = i32::try_from(process).ok().and_then(Pid::from_raw);
    let _ = process.map(|process| kill_process(process, signal));
}

/// A connection.
///
/// # Panics
/// When nobody listens.
#[must_use]
#[track_caller]
pub fn connect(address: SocketAddr) -> TcpStream {
    TcpStream::connect(address).expect("a connection")
}

/// A response.
#[derive(Clone, Debug, Default)]
pub struct Reply {
    /// 0 where there was none.
    pub status: u16,
    /// Names in small letters.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Reply {
    /// The body as text.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    #[track_caller]
    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).expect("text")
    }

    /// The value of a header, where it is there once.
    ///
    /// # Panics
    /// When it is there twice.
    #[must_use]
    #[track_caller]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(known, _)| known == name);
        let (_, value) = found.next()?;
        assert!(found.next().is_none(), "{name} twice: {:?}", self.headers);
        Some(value)
    }

    /// The status, and the body as text.
    #[must_use]
    #[track_caller]
    pub fn both(&self) -> (u16, String) {
        (self.status, self.text())
    }
}

/// Reads one response: its head, and its body as long as that says. No response, where the
/// connection ends.
///
/// # Panics
/// When it is no response.
#[must_use]
#[track_caller]
pub fn read_reply(connection: &mut TcpStream) -> Reply {
    let mut reply = read_head(connection);
    let length = reply.header("content-length").and_then(|length| length.parse().ok());
    reply.body = vec![0; length.unwrap_or(0)];
    connection.read_exact(&mut reply.body).expect("the body");
    reply
}

/// Reads the head of one, byte by byte.
#[track_caller]
fn read_head(connection: &mut TcpStream) -> Reply {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        match connection.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ if head.is_empty() => return Reply::default(),
            other => panic!("{other:?} behind {:?}", String::from_utf8_lossy(&head)),
        }
    }
    let head = String::from_utf8(head).expect("text");
    let mut lines = head.trim_end().lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok());
    let mut reply = Reply { status: status.expect("a status"), ..Reply::default() };
    for line in lines {
        let (name, value) = line.split_once(": ").unwrap_or_else(|| panic!("no header: {line:?}"));
        reply.headers.push((name.to_ascii_lowercase(), value.to_owned()));
    }
    reply
}
