//! bls-serve's guests and the network: what is granted is reached, by a broker of each worker's, and
//! nothing of one request's is another's.

use bls_tests::ports;
use bls_tests::programs::{Home, broker, fixtures, run};
use bls_tests::serve::{Server, command, send, until};
use rustix::process::Signal;
use std::ffi::OsString;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

const PAGE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello\n";

/// Where somebody does this with each connection.
fn somebody(answer: impl Fn(TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let answer = Arc::new(answer);
    let _ = thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let answer = Arc::clone(&answer);
            let _ = thread::spawn(move || answer(stream));
        }
    });
    address
}

/// A server whose every page is the same.
fn pages() -> SocketAddr {
    somebody(|mut stream| {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|count| count == 1) {
            head.push(byte[0]);
        }
        let _ = stream.write_all(PAGE);
    })
}

fn outside() -> (Home, PathBuf) {
    let home = Home::new();
    let artifact = home.compile(&fixtures().join("cgi/outside.wat"), &[]);
    (home, artifact)
}

/// A server of that guest with one worker and these options.
fn server(options: &[&str]) -> (Home, Server) {
    let (home, artifact) = outside();
    let broker = broker().into_os_string().into_string().expect("text");
    let mut words: Vec<OsString> = vec!["--workers=1".into(), "--broker".into(), broker.into()];
    words.extend(options.iter().map(OsString::from));
    words.push(artifact.into());
    let server = Server::start(&home, &words);
    (home, server)
}

#[test]
fn what_is_granted_is_reached_and_nothing_else() {
    let (pages, other) = (pages(), pages());
    let echo = somebody(|mut stream| {
        let mut bytes = [0; 5];
        let read = stream.read(&mut bytes).unwrap_or(0);
        let _ = stream.write_all(&bytes[..read].to_ascii_uppercase());
    });
    let (_home, server) = server(&[
        "--require-sandbox",
        &format!("--allow-net=http://{pages},http://{other},tcp://{echo}"),
        &format!("--deny-net={other}"),
    ]);
    assert_eq!(server.get(&format!("/page?http://{pages}/a")).both(), (200, "hello\n".into()));
    assert_eq!(server.get(&format!("/talk?{echo}")).both(), (200, "PING\n".into()));
    // By its other kind; what is refused again; what was never granted.
    for path in [
        format!("/talk?{pages}"),
        format!("/page?http://{echo}/"),
        format!("/page?http://{other}/"),
        format!("/page?http://{}/", ports::free()),
    ] {
        assert_eq!(server.get(&path).status, 502, "{path}");
    }
    // Each worker is answered by one process, which ends with it.
    let children = || {
        let worker = server.processes("work")[0];
        std::fs::read_to_string(format!("/proc/{worker}/task/{worker}/children"))
            .unwrap_or_default()
    };
    let before = children();
    assert_eq!(before.split_whitespace().count(), 1, "{before}");
    let of_broker = format!("/proc/{}/status", before.trim());
    send(server.processes("work")[0], Signal::KILL);
    // Where nobody asks how it ended it stays as a zombie.
    until("it is gone", || {
        !std::fs::read_to_string(&of_broker).is_ok_and(|status| !status.contains("State:\tZ"))
    });
    until("another is there", || server.metric("bls_serve_workers") == 1);
    assert_eq!(server.get(&format!("/page?http://{pages}/a")).both(), (200, "hello\n".into()));
}

#[test]
fn without_a_grant_nothing_is_reached_and_no_broker_started() {
    let (_home, server) = server(&[]);
    assert_eq!(server.get(&format!("/page?http://{}/", pages())).status, 502);
    let worker = server.processes("work")[0];
    let children = std::fs::read_to_string(format!("/proc/{worker}/task/{worker}/children"));
    assert_eq!(children.unwrap_or_default(), "");
}

#[test]
fn no_request_finds_what_another_left_open() {
    let pages = pages();
    let (_home, server) = server(&[&format!("--allow-net=http://{pages}")]);
    // More than a broker keeps open for one guest (16).
    for _ in 0..40 {
        let left = server.get(&format!("/left?http://{pages}/"));
        assert_eq!(left.status, 200, "{}", left.text());
        let stolen = server.get(&format!("/read?{}", left.text()));
        assert_eq!(stolen.status, 502, "{}", stolen.text());
    }
    assert_eq!(server.metric("bls_serve_workers_lost_total"), 0);
}

#[test]
fn a_guest_that_waits_too_long_takes_its_broker_with_it() {
    let never = somebody(|mut stream| {
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let pages = pages();
    let (_home, server) =
        server(&["--timeout=300ms", &format!("--allow-net=http://{never},http://{pages}")]);
    for _ in 0..3 {
        let worker = server.processes("work");
        assert_eq!(server.get(&format!("/page?http://{never}/")).status, 504);
        // The next is answered by another worker, and gets its own answer.
        assert_eq!(server.get(&format!("/page?http://{pages}/")).both(), (200, "hello\n".into()));
        assert_ne!(server.processes("work"), worker);
    }
    assert_eq!(server.metric("bls_serve_workers_lost_total"), 0);
    assert!(!server.said().contains("worker"), "{}", server.said());
}

#[test]
fn a_broker_that_is_not_there_refuses_to_serve() {
    let (home, artifact) = outside();
    let words = ["--broker=./none", "--allow-net=*"].map(OsString::from);
    let said = run(command(&home, &words).arg(&artifact), b"").expect(125).stderr;
    assert!(said.contains("./none") && said.contains("code: broker.start"), "{said}");
    let policy = r#"{"version": 1, "allow": ["stdin", "stdout", "env", "arguments"]}"#;
    std::fs::write(home.path("policy.json"), policy).expect("a policy");
    let words = ["--policy=policy.json", "--allow-net=*"].map(OsString::from);
    let said = run(command(&home, &words).arg(&artifact), b"").expect(125).stderr;
    assert!(said.contains("code: grant.forbidden"), "{said}");
    let words = ["--allow-net=a b"].map(OsString::from);
    let said = run(command(&home, &words).arg(&artifact), b"").expect(2).stderr;
    assert!(said.contains("--allow-net") && said.contains("code: serve.usage"), "{said}");
}
