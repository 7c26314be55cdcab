//! A broker as its host sees it, and servers that behave or do not.

#![allow(dead_code, reason = "each test file uses a part of it")]

use bls_artifact::broker::{Answer, Reason, Request, Setup};
use bls_broker::frame;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The program: the one that ships where somebody says where it is.
pub(crate) fn program() -> PathBuf {
    std::env::var_os("BLS_BROKER")
        .map_or_else(|| env!("CARGO_BIN_EXE_bls-broker").into(), PathBuf::from)
}

/// A set-up that grants these parts of the network.
pub(crate) fn granting(allow: &[&str]) -> Setup {
    let net = bls_artifact::net::NetRules::parse(allow.iter().copied(), []).unwrap();
    Setup { version: Setup::VERSION, net, ..Setup::default() }
}

/// A running broker.
pub(crate) struct Broker {
    pub(crate) child: Child,
    pub(crate) socket: UnixStream,
}

impl Broker {
    /// Starts the program without saying anything to it.
    pub(crate) fn spawn() -> Self {
        let (socket, other) = UnixStream::pair().unwrap();
        let child = Command::new(program())
            .arg("serve")
            .stdin(Stdio::from(OwnedFd::from(other)))
            .env("LD_PRELOAD_LIKE", "1")
            .env("http_proxy", "http://127.0.0.1:1/")
            .env("HTTP_PROXY", "http://127.0.0.1:1/")
            .env("ALL_PROXY", "http://127.0.0.1:1/")
            .spawn()
            .unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        Self { child, socket }
    }

    /// One that took this set-up.
    pub(crate) fn start(setup: &Setup) -> Self {
        let mut broker = Self::spawn();
        assert_eq!(broker.set_up(setup), Answer::Done);
        broker
    }

    pub(crate) fn set_up(&mut self, setup: &Setup) -> Answer {
        let text = setup.to_text().unwrap();
        self.ask(&Request::Setup { text }).0
    }

    /// Asks, and reads the answer with its descriptors.
    pub(crate) fn ask(&mut self, request: &Request) -> (Answer, Vec<OwnedFd>) {
        self.socket.write_all(&request.encode().unwrap()).unwrap();
        self.answer()
    }

    pub(crate) fn answer(&mut self) -> (Answer, Vec<OwnedFd>) {
        let (body, descriptors) = frame::receive_all(&mut self.socket).unwrap();
        let answer = Answer::decode(&body).unwrap();
        assert_eq!(descriptors.len(), answer.descriptors(), "{answer:?}");
        (answer, descriptors)
    }

    /// A request by HTTP.
    pub(crate) fn http(
        &mut self,
        method: &str,
        url: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        let headers =
            headers.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()));
        self.ask(&Request::Http {
            method: method.to_owned(),
            url: url.to_owned(),
            headers: headers.collect(),
            body: body.to_vec(),
            connect_ms: None,
            total_ms: None,
        })
        .0
    }

    /// The status and the whole body of a GET.
    pub(crate) fn get(&mut self, url: &str) -> Result<(u16, String), (Reason, String)> {
        match self.http("GET", url, &[], &[]) {
            Answer::Http { handle, status, .. } => {
                let body = self.read_all(handle)?;
                assert_eq!(self.ask(&Request::Close { handle }).0, Answer::Done);
                Ok((status, String::from_utf8(body).unwrap()))
            }
            Answer::Refused(refusal) => Err((refusal.reason, refusal.text)),
            other => panic!("{other:?}"),
        }
    }

    /// The rest of a body.
    pub(crate) fn read_all(&mut self, handle: u32) -> Result<Vec<u8>, (Reason, String)> {
        let mut all = Vec::new();
        loop {
            match self.ask(&Request::Read { handle, max: 100_000 }).0 {
                Answer::Bytes(bytes) if bytes.is_empty() => return Ok(all),
                Answer::Bytes(bytes) => all.extend(bytes),
                Answer::Refused(refusal) => return Err((refusal.reason, refusal.text)),
                other => panic!("{other:?}"),
            }
        }
    }

    /// Why a GET is refused.
    pub(crate) fn refused(&mut self, url: &str) -> Reason {
        match self.get(url) {
            Err((reason, _)) => reason,
            Ok(got) => panic!("{url}: {got:?}"),
        }
    }

    /// The processes that it is: itself and the starter.
    pub(crate) fn processes(&self) -> Vec<u32> {
        let mut all = vec![self.child.id()];
        all.extend(children(self.child.id()));
        all
    }

    /// Closes the socket, and waits for the end.
    pub(crate) fn end(mut self) {
        self.socket.shutdown(std::net::Shutdown::Both).unwrap();
        self.wait();
    }

    pub(crate) fn wait(&mut self) {
        let status = wait_for(|| self.child.try_wait().unwrap());
        assert!(status.success(), "{status}");
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.socket.shutdown(std::net::Shutdown::Both);
        let _ = self.child.wait();
    }
}

/// The children of a process.
pub(crate) fn children(process: u32) -> Vec<u32> {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{process}/task")) else { return Vec::new() };
    threads
        .flatten()
        .flat_map(|thread| {
            let text = std::fs::read_to_string(thread.path().join("children")).unwrap_or_default();
            text.split_ascii_whitespace().map(|word| word.parse().unwrap()).collect::<Vec<u32>>()
        })
        .collect()
}

/// Asks until there is an answer; a minute at most.
pub(crate) fn wait_for<T>(mut ask: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(begin.elapsed() < Duration::from_secs(60), "it took too long");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// What a client sent: the first line, the headers, the body.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked {
    pub(crate) line: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(other, _)| other == name);
        found.map(|(_, value)| value.as_str())
    }

    pub(crate) fn read(stream: &mut BufReader<impl std::io::Read>) -> Option<Self> {
        let mut asked = Self::default();
        let mut line = String::new();
        if stream.read_line(&mut line).ok()? == 0 {
            return None;
        }
        asked.line = line.trim_end().to_owned();
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).ok()?;
            let Some((name, value)) = line.trim_end().split_once(": ") else { break };
            asked.headers.push((name.to_ascii_lowercase(), value.to_owned()));
        }
        let length = asked.header("content-length").map_or(0, |text| text.parse().unwrap());
        asked.body = vec![0; length];
        stream.read_exact(&mut asked.body).ok()?;
        Some(asked)
    }
}

/// A server on a port of this machine, each connection in a thread.
pub(crate) fn server(serve: impl Fn(TcpStream, Asked) + Send + Sync + 'static) -> SocketAddr {
    raw_server(move |stream| {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        if let Some(asked) = Asked::read(&mut reader) {
            serve(stream, asked);
        }
    })
}

/// The same before anything is read.
pub(crate) fn raw_server(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serve = std::sync::Arc::new(serve);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let serve = std::sync::Arc::clone(&serve);
            std::thread::spawn(move || serve(stream));
        }
    });
    address
}

/// Sends an answer of a few lines.
pub(crate) fn answer(mut stream: TcpStream, head: &str, body: &str) {
    let text = format!("HTTP/1.1 {head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let _ = stream.write_all(text.as_bytes());
}
