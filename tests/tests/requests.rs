//! Components that make requests by HTTP (`wasi:http/outgoing-handler`): with a real bls-broker, and
//! servers in the test's own process. The fixture traps at what is not as it must be.

use bls_tests::programs::{Ended, Home, fixtures, run, wasmtime};
use serde_json::Value;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

fn fixture() -> PathBuf {
    fixtures().join("component/fetch.wat").canonicalize().expect("a fixture")
}

/// The fixture, where its text is changed in these places.
fn changed(home: &Home, changes: &[(&str, &str)]) -> PathBuf {
    home.changed(&fixture(), changes)
}

/// A server that answers each request by this, of its first line, its other lines and its body.
fn server(answer: fn(&mut TcpStream, &str, &[String], &[u8])) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let place = listener.local_addr().expect("an address").to_string();
    let _ = thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut reader = BufReader::new(stream.try_clone().expect("a copy"));
            let _ = thread::spawn(move || {
                let mut stream = stream;
                let mut lines: Vec<String> = Vec::new();
                loop {
                    let mut line = Vec::new();
                    if reader.read_until(b'\n', &mut line).unwrap_or(0) <= 2 {
                        break;
                    }
                    lines.push(line.trim_ascii_end().iter().copied().map(char::from).collect());
                }
                let Some((first, rest)) = lines.split_first() else { return };
                let body = body(rest, &mut reader);
                answer(&mut stream, first, rest, &body);
            });
        }
    });
    place
}

/// The body of a request, by its length or in chunks (as wasmtime sends it).
fn body(fields: &[String], reader: &mut BufReader<TcpStream>) -> Vec<u8> {
    let mut body = Vec::new();
    let mut length = |reader: &mut BufReader<TcpStream>, length: usize| {
        let before = body.len();
        body.resize(before + length, 0);
        reader.read_exact(&mut body[before..]).expect("a body");
    };
    if let Some(field) = fields.iter().find_map(|field| field.strip_prefix("content-length: ")) {
        length(reader, field.parse().expect("a number"));
    } else if fields.iter().any(|field| field == "transfer-encoding: chunked") {
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).expect("a line");
            let size = usize::from_str_radix(line.trim_end(), 16).expect("a number");
            length(reader, size);
            reader.read_line(&mut line).expect("a line");
            if size == 0 {
                break;
            }
        }
    }
    body
}

/// Says what it was asked; by the path, with another status, a redirect, in pieces, or never.
fn says(stream: &mut TcpStream, first: &str, fields: &[String], body: &[u8]) {
    let path = first.split(' ').nth(1).unwrap_or_default();
    let mut text = format!("{first}\n").into_bytes();
    for field in fields {
        let framing = ["host: ", "content-length: ", "transfer-encoding: "];
        if !framing.iter().any(|name| field.starts_with(name)) {
            text.extend(field.chars().map(|letter| letter as u8));
            text.push(b'\n');
        }
    }
    text.extend_from_slice(body);
    let mut send = |bytes: &[u8]| {
        // Whoever asked may have ended.
        let _ = stream.write_all(bytes);
    };
    match path {
        "/never" => thread::sleep(Duration::from_secs(20)),
        "/pieces" => {
            send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n");
            thread::sleep(Duration::from_millis(20));
            send(b"1\r\nc\r\n0\r\n\r\n");
        }
        "/stops" => {
            send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc");
            thread::sleep(Duration::from_secs(20));
        }
        "/short" => send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"),
        "/nonsense" => send(b"nonsense\r\n\r\n"),
        "/long" => {
            send(b"HTTP/1.1 200 OK\r\nX-Long: ");
            send(&[b'a'; 70_000]);
            send(b"\r\n\r\n");
        }
        "/moved" => send(b"HTTP/1.1 302 Found\r\nLocation: /a\r\nContent-Length: 0\r\n\r\n"),
        _ => {
            let head =
                "HTTP/1.1 201 Made\r\nX-B: 1\r\nKeep-Alive: a\r\nx-odd: \u{e9}\r\nx-b: 2\r\n";
            let head = format!("{head}Content-Length: {}\r\n\r\n", text.len());
            let head: Vec<u8> = head.chars().map(|letter| letter as u8).collect();
            send(&head);
            send(&text);
        }
    }
}

/// Runs it with one place granted, and these words.
fn fetch(home: &Home, artifact: &Path, place: &str, words: &[&str]) -> Ended {
    let grant = format!("--allow-net=http://{place}");
    let mut all = vec![words[0], place];
    all.extend(&words[1..]);
    home.load(&[&grant], artifact, &all)
}

#[test]
fn a_request_arrives_as_it_is_and_so_does_its_answer() {
    let home = Home::new();
    let artifact = home.compile(&fixture(), &[]);
    let place = server(says);
    for (words, body) in [
        (&["GET", "/a?b=c"][..], ""),
        (&["POST", "/a?b=c", "hello body"], "hello body"),
        (&["PROPFIND", "/a?b=c", "x"], "x"),
    ] {
        let ended = fetch(&home, &artifact, &place, words).expect(0);
        let said = format!("{} /a?b=c HTTP/1.1\n", words[0]).into_bytes();
        let sent = b"x-a: 1\nx-a: 1 2\ncontent-type: text/plain\nx-odd: \xff\n";
        let wanted = [&said[..], sent, body.as_bytes()].concat();
        // Fields of one name stand together; that of the connection is not the program's.
        let head = b"201\nx-b: 1\nx-b: 2\nx-odd: \xe9\ncontent-length: ";
        let head = [&head[..], format!("{}\n\n", wanted.len()).as_bytes()].concat();
        assert_eq!(
            String::from_utf8_lossy(&ended.stdout),
            String::from_utf8_lossy(&[head, wanted].concat())
        );
    }
}

/// With each of the words: its exit code, and what it writes where it is the same on wasmtime.
#[test]
fn answers_and_errors_are_wasmtimes() {
    let home = Home::new();
    let artifact = home.compile(&fixture(), &[]);
    let place = server(says);
    for (words, code, text) in [
        (&["HEAD", "/moved"][..], 0, "302\nlocation: /a\ncontent-length: 0\n\n"),
        (&["GET", "/moved"], 0, "302\nlocation: /a\ncontent-length: 0\n\n"),
        (&["GET", "/pieces"], 0, "200\n\nabc"),
        (&["GET", "/never", "", "wait"], 1, "error 9\n"),
        (&["GET", "/nonsense"], 1, "error 35\n"),
    ] {
        assert_eq!(fetch(&home, &artifact, &place, words).expect(code).text(), text, "{words:?}");
        let Some(wasmtime) = wasmtime() else { continue };
        let mut command = Command::new(wasmtime);
        command.args(["run", "-Shttp"]).arg(fixture()).args([words[0], &place]).args(&words[1..]);
        let ended = run(&mut command, b"").expect(code);
        assert_eq!(ended.text(), text, "wasmtime: {words:?}");
    }
    // Here more is told apart.
    for (words, text) in [
        (&["GET", "/stops", "", "wait"][..], "200\ncontent-length: 10\n\nabc\nerror 9\n"),
        (&["GET", "/short"], "200\ncontent-length: 10\n\nabc\nerror 35\n"),
    ] {
        assert_eq!(fetch(&home, &artifact, &place, words).expect(1).text(), text, "{words:?}");
    }
    let ended = fetch(&home, &artifact, &place, &["GET", "/long"]).expect(1);
    assert_eq!(ended.text(), "error 26\n");
    for method in ["TRACE", "CONNECT", "get"] {
        let ended = fetch(&home, &artifact, &place, &[method, "/"]).expect(1);
        assert_eq!(ended.text(), "error 18\n", "{method}");
    }
}

#[test]
fn where_nobody_answers_it_is_said_why() {
    let home = Home::new();
    let artifact = home.compile(&fixture(), &[]);
    let ended = fetch(&home, &artifact, "127.0.0.1:1", &["GET", "/"]).expect(1);
    assert_eq!(ended.text(), "error 6\n", "nothing listens there");
    let ended = fetch(&home, &artifact, "no-such-name.invalid", &["GET", "/"]).expect(1);
    assert_eq!(ended.text(), "error 1\n", "no such name");
    // By its name it is granted; where the name leads is not.
    let place = server(says);
    let port = place.rsplit(':').next().expect("a port");
    let name = format!("localhost:{port}");
    let words = ["GET", &name, "/"];
    let ended = home.load(&["--allow-net=*"], &artifact, &words).expect(1);
    assert_eq!(ended.text(), "error 4\n", "an address of this machine");
    // By HTTPS, to a server that does not speak it.
    let secure = changed(
        &home,
        &[(
            "(local.get $request) (i32.const 1) (i32.const 0) ;; SCHEME",
            "(local.get $request) (i32.const 1) (i32.const 1)",
        )],
    );
    let secure = home.compile(&secure, &[]);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let place = listener.local_addr().expect("an address").to_string();
    let _ = thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let ended = home.load(&["--allow-net", &place], &secure, &["GET", &place, "/"]).expect(1);
    assert_eq!(ended.text(), "error 12\n", "TLS");
}

#[test]
fn what_is_not_granted_is_denied_by_a_value() {
    let home = Home::new();
    let artifact = home.compile(&fixture(), &[]);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.set_nonblocking(true).expect("a listener");
    let place = listener.local_addr().expect("an address").to_string();
    for options in [
        &[][..],
        &["--allow-net=example.com"],
        &["--allow-net=*", "--deny-net=127.0.0.1"],
        &[&*format!("--allow-net=tcp://{place}")],
        &[&*format!("--allow-net=http://{place}/a")],
        &["--deterministic"],
    ] {
        for body in [&[][..], &["body"]] {
            let words = [&["POST", &place, "/b"], body].concat();
            let ended = home.load(options, &artifact, &words).expect(1);
            assert_eq!(ended.text(), "denied 15\n", "{options:?}");
        }
    }
    assert!(listener.accept().is_err(), "somebody connected");
    // A path that would belong to the host, and an authority that is none.
    for (place, path) in [("127.0.0.1", "a"), ("127.0.0.1:99999", "/"), ("a@b", "/")] {
        let ended = home.load(&["--allow-net=*"], &artifact, &["GET", place, path]).expect(1);
        assert_eq!(ended.text(), "denied 19\n", "{place} {path}");
    }
}

/// What it may use is in its manifest, needs and `--only-declared` hold, and the report has it.
#[test]
fn what_makes_requests_may_use_http() {
    let home = Home::new();
    let mut command = home.compile_command(&fixture());
    let ended = run(command.args(["--needs", "http:http://127.0.0.1:1"]), b"").expect(0);
    drop(ended);
    let artifact = home.path("fetch.bls");
    let words = ["GET", "127.0.0.1:1", "/"];
    let _ = home.load(&[], &artifact, &words).expect(125).says(&["needs http:", "grant.need"]);
    let _ = home.load(&["--allow-net=*"], &artifact, &words).expect(1);
    let manifest = Command::new(bls_tests::programs::compiler())
        .args(["inspect", "--json"])
        .arg(&artifact)
        .output()
        .expect("a manifest");
    let manifest: Value = serde_json::from_slice(&manifest.stdout).expect("JSON");
    let text = manifest.to_string();
    assert!(text.contains("\"http\"") && text.contains("bls_http"), "{text}");
    // One that makes no requests imports nothing for it.
    let hello = home.compile(&fixtures().join("component/handler.wat"), &[]);
    let bytes = fs::read(hello).expect("an artifact");
    assert!(!bytes.windows(8).any(|bytes| bytes == b"bls_http"));
}

#[test]
fn nobody_has_an_answer_before_the_body_is_finished() {
    let home = Home::new();
    let body = "(if (i32.gt_u (local.get $count) (i32.const 4)) (then ;; BODY";
    let asks = "(call $is (call $ready (local.get $pollable)) (i32.const 0))
      (call $get (local.get $future) (i32.const 0))
      (call $is (i32.load8_u (i32.const 0)) (i32.const 0))";
    let component = changed(&home, &[(body, &format!("{asks}\n      {body}"))]);
    let artifact = home.compile(&component, &[]);
    let place = server(says);
    let ended = fetch(&home, &artifact, &place, &["POST", "/moved", "x"]).expect(0);
    assert!(ended.text().starts_with("302\n"));
}

/// The future of a request whose body is not finished can never be ready: it is waited for, and
/// for nothing else.
#[test]
fn waiting_for_an_answer_before_the_body_is_finished_is_an_error() {
    let home = Home::new();
    let finish =
        "(call $finish (local.get $sent) (i32.const 0) (i32.const 0) (i32.const 0)) ;; FINISH
      (call $is (i32.load8_u (i32.const 0)) (i32.const 0))";
    let component = changed(&home, &[(finish, "")]);
    let artifact = home.compile(&component, &[]);
    let place = server(says);
    let ended = fetch(&home, &artifact, &place, &["POST", "/a", "x"]).expect(1);
    assert_eq!(ended.text(), "error 38\n");
}

/// Fuel is paid for each request, what is sent counts as output, and time that is over ends a wait.
#[test]
fn limits_hold_for_requests() {
    let home = Home::new();
    let artifact = home.compile(&fixture(), &[]);
    let place = server(says);
    let grant = format!("--allow-net=http://{place}");
    let ended = home.load(&[&grant, "--fuel=1M"], &artifact, &["GET", &place, "/a"]);
    let _ = ended.expect(123);
    let ended = home.load(&[&grant, "--max-output=100"], &artifact, &["GET", &place, "/a"]);
    let _ = ended.expect(124);
    let ended = home.load(&[&grant, "--timeout=300ms"], &artifact, &["GET", &place, "/never"]);
    let _ = ended.expect(124);
}
