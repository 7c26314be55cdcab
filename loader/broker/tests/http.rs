//! HTTP through the broker: servers that behave, and servers that do not.

mod common;

use bls_artifact::broker::{Answer, BrokerLimits, Reason, Request, Setup};
use common::{Asked, Broker, answer, granting, raw_server, server};
use std::io::{BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A server that answers with what it was asked.
fn echo() -> std::net::SocketAddr {
    server(|stream, asked| {
        let headers: Vec<String> =
            asked.headers.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let body = String::from_utf8_lossy(&asked.body);
        answer(
            stream,
            "200 OK\r\nX-Twice: one\r\nX-Twice: two",
            &format!("{}\n{}\n{body}", asked.line, headers.join("\n")),
        );
    })
}

#[test]
fn every_method_and_body_arrives() {
    let address = echo();
    let mut broker = Broker::start(&granting(&["127.0.0.1"]));
    let url = format!("http://{address}/a/../b?q=1#fragment");
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"] {
        for body in ["", "the body"] {
            let sent = [("X-Guest", "a b"), ("Content-Length", "999"), ("Connection", "upgrade")];
            let answer = broker.http(method, &url, &sent, body.as_bytes());
            let Answer::Http { handle, status: 200, url, headers } = answer else {
                panic!("{method} {body}: {answer:?}");
            };
            assert_eq!(url, format!("http://{address}/b?q=1"));
            let twice: Vec<_> =
                headers.iter().filter(|(name, _)| name == "x-twice").map(|(_, one)| one).collect();
            assert_eq!(twice, [b"one", b"two"]);
            let text = String::from_utf8(broker.read_all(handle).unwrap()).unwrap();
            assert!(text.starts_with(&format!("{method} /b?q=1 HTTP/1.1\n")), "{text}");
            assert!(
                text.contains("\nx-guest=a b\n") && text.ends_with(&format!("\n{body}")),
                "{text}"
            );
            assert!(text.contains(&format!("\nhost={address}\n")), "{text}");
            assert!(!text.contains("upgrade") && !text.contains("accept-encoding"), "{text}");
            let length = text.lines().filter(|line| line.starts_with("content-length=")).count();
            assert!(length <= 1 && (length == 1) >= !body.is_empty(), "{text}");
            assert_eq!(broker.ask(&Request::Close { handle }).0, Answer::Done);
        }
    }
    let Answer::Http { handle, .. } = broker.http("HEAD", &url, &[], &[]) else { panic!() };
    assert_eq!(broker.read_all(handle), Ok(Vec::new()));
    broker.end();
}

#[test]
fn a_body_is_read_in_pieces_and_to_its_end() {
    let address = server(|mut stream, _| {
        let head =
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Encoding: gzip\r\n\r\n";
        stream.write_all(head.as_bytes()).unwrap();
        for piece in ["ab", "c", "def"] {
            stream.write_all(format!("{:x}\r\n{piece}\r\n", piece.len()).as_bytes()).unwrap();
            std::thread::sleep(Duration::from_millis(10));
        }
        stream.write_all(b"0\r\n\r\n").unwrap();
    });
    let mut broker = Broker::start(&granting(&["127.0.0.1"]));
    let Answer::Http { handle, .. } = broker.http("GET", &format!("http://{address}/"), &[], &[])
    else {
        panic!()
    };
    let read = |broker: &mut Broker, max| broker.ask(&Request::Read { handle, max }).0;
    assert_eq!(read(&mut broker, 0), Answer::Bytes(Vec::new()));
    assert_eq!(read(&mut broker, 4), Answer::Bytes(b"abcd".to_vec()), "it waits for all four");
    assert_eq!(read(&mut broker, 4), Answer::Bytes(b"ef".to_vec()));
    assert_eq!(read(&mut broker, u32::MAX), Answer::Bytes(Vec::new()));
    broker.end();
}

#[test]
fn what_is_not_granted_is_denied_and_never_connected_to() {
    let (sender, receiver) = mpsc::channel();
    let address = raw_server(move |_| sender.send(()).unwrap());
    let port = address.port();
    let urls = [
        format!("http://127.0.0.1:{port}/"),
        format!("http://localhost:{port}/"),
        format!("http://[::ffff:127.0.0.1]:{port}/"),
        format!("http://0.0.0.0:{port}/"),
    ];
    for grants in [
        &[][..],
        &["example.org"],
        &["https://127.0.0.1", "127.0.0.1:1", "tcp://127.0.0.1"],
        &["http://127.0.0.1/public"],
    ] {
        let mut broker = Broker::start(&granting(grants));
        for url in &urls {
            assert_eq!(broker.refused(url), Reason::Denied, "{grants:?} {url}");
        }
        broker.end();
    }
    // A name that leads inside, where everything is granted or the name alone: rebinding.
    let mut broker = Broker::start(&granting(&["*"]));
    let (reason, text) = broker.get(&urls[1]).unwrap_err();
    assert_eq!(reason, Reason::Denied);
    assert!(text.contains("must be granted by its address"), "{text}");
    assert!(receiver.try_recv().is_err(), "somebody connected");
    // The same where the address is granted too, or the name is this machine's own.
    for grants in [&["localhost"][..], &["*", "127.0.0.1", "::1"]] {
        let mut broker = Broker::start(&granting(grants));
        let reason = broker.refused(&urls[1]);
        assert!(matches!(reason, Reason::Broken), "{grants:?}: {reason}");
        assert!(receiver.recv_timeout(Duration::from_secs(10)).is_ok());
    }
}

#[test]
fn urls_methods_and_headers_that_are_none_are_refused() {
    let mut broker = Broker::start(&granting(&["*"]));
    for url in
        ["", "x", "ftp://h/", "file:///etc/passwd", "http://a@b/", "http://127.1/", "http://h:0/"]
    {
        assert_eq!(broker.refused(url), Reason::Url, "{url}");
    }
    for (method, headers, reason) in [
        ("get", &[][..], Reason::Method),
        ("CONNECT", &[], Reason::Method),
        ("GET / HTTP/1.1\r\nx:", &[], Reason::Method),
        ("GET", &[("a\r\nb", "c")], Reason::Header),
        ("GET", &[("a", "b\r\nc: d")], Reason::Header),
        ("GET", &[("Host", "other")], Reason::Header),
    ] {
        let answer = broker.http(method, "http://127.0.0.1:1/", headers, &[]);
        let Answer::Refused(refusal) = answer else { panic!("{answer:?}") };
        assert_eq!(refusal.reason, reason, "{method} {headers:?}");
    }
    assert_eq!(broker.refused("http://127.0.0.1:1/"), Reason::Unreachable);
    assert_eq!(broker.refused("http://no-such-name.invalid/"), Reason::Unreachable);
    assert_eq!(broker.refused("http://169.254.169.254/latest/meta-data"), Reason::Denied);
    broker.end();
}

/// What each request was, for two servers that lead to each other.
type Seen = Arc<Mutex<Vec<Asked>>>;

#[test]
fn redirects_are_followed_and_judged_again() {
    let seen = Seen::default();
    let note = Arc::clone(&seen);
    let other = server(move |stream, asked| {
        note.lock().unwrap().push(asked);
        answer(stream, "200 OK", "arrived");
    });
    let note = Arc::clone(&seen);
    let first = server(move |stream, asked| {
        let path = asked.line.split(' ').nth(1).unwrap().to_owned();
        note.lock().unwrap().push(asked);
        match path.as_str() {
            "/other" => answer(stream, &format!("307 Go\r\nLocation: http://{other}/x"), ""),
            "/own" => answer(stream, "302 Go\r\nLocation: ../here?a=b", ""),
            "/see" => answer(stream, "303 Go\r\nLocation: /here", "page"),
            "/loop" => answer(stream, "301 Go\r\nLocation: /loop", ""),
            "/file" => answer(stream, "302 Go\r\nLocation: file:///etc/passwd", ""),
            "/meta" => answer(stream, "302 Go\r\nLocation: http://169.254.169.254/", ""),
            "/name" => answer(
                stream,
                &format!("302 Go\r\nLocation: http://localhost:{}/", other.port()),
                "",
            ),
            "/none" => answer(stream, "302 Go", "no place"),
            _ => answer(stream, "200 OK", "here"),
        }
    });
    let url = |path: &str| format!("http://{first}{path}");
    let secrets = [
        ("Authorization", "Bearer x"),
        ("Cookie", "a=b"),
        ("X-Plain", "y"),
        ("Content-Type", "text/x"),
    ];

    let mut broker = Broker::start(&granting(&["*"]));
    assert_eq!(broker.get(&url("/own")).unwrap(), (200, "here".to_owned()));
    assert_eq!(broker.get(&url("/none")).unwrap(), (302, "no place".to_owned()));
    assert_eq!(broker.refused(&url("/loop")), Reason::TooMany);
    assert_eq!(broker.refused(&url("/file")), Reason::Url);
    assert_eq!(broker.refused(&url("/meta")), Reason::Denied);
    assert_eq!(broker.refused(&url("/name")), Reason::Denied);

    // To another origin: the body goes along, credentials do not.
    seen.lock().unwrap().clear();
    let Answer::Http { url: at, .. } = broker.http("POST", &url("/other"), &secrets, b"body")
    else {
        panic!()
    };
    assert_eq!(at, format!("http://{other}/x"));
    let list = std::mem::take(&mut *seen.lock().unwrap());
    assert_eq!(list[0].header("authorization"), Some("Bearer x"));
    let there = &list[1];
    assert_eq!((there.line.as_str(), there.body.as_slice()), ("POST /x HTTP/1.1", &b"body"[..]));
    assert_eq!((there.header("authorization"), there.header("cookie")), (None, None));
    assert_eq!(
        (there.header("x-plain"), there.header("content-type")),
        (Some("y"), Some("text/x"))
    );
    // Of the same origin, and the answer of 303 is fetched without a body.
    broker.http("POST", &url("/see"), &secrets, b"body");
    let list = std::mem::take(&mut *seen.lock().unwrap());
    assert_eq!((list[1].line.as_str(), list[1].body.len()), ("GET /here HTTP/1.1", 0));
    assert_eq!(list[1].header("authorization"), Some("Bearer x"));
    assert_eq!(list[1].header("content-type"), None);
    broker.end();

    // Where the other origin is not granted nobody goes there.
    let mut broker = Broker::start(&granting(&[&first.to_string()]));
    assert_eq!(broker.refused(&url("/other")), Reason::Denied);
    assert_eq!(seen.lock().unwrap().len(), 1);
    broker.end();
}

#[test]
fn redirects_count_as_requests_and_bodies_that_are_sent_again_as_bytes() {
    let first = server(|stream, asked| match asked.line.split(' ').nth(1).unwrap() {
        "/3" => answer(stream, "307 Go\r\nLocation: /2", ""),
        "/2" => answer(stream, "307 Go\r\nLocation: /1", ""),
        "/1" => answer(stream, "307 Go\r\nLocation: /0", ""),
        _ => answer(stream, "200 OK", ""),
    });
    let url = |hops: u32| format!("http://{first}/{hops}");
    let reason = |broker: &mut Broker, hops: u32, body: &[u8]| match broker.http(
        "POST",
        &url(hops),
        &[],
        body,
    ) {
        Answer::Http { handle, .. } => {
            assert_eq!(broker.ask(&Request::Close { handle }).0, Answer::Done);
            None
        }
        Answer::Refused(refusal) => Some(refusal.reason),
        other => panic!("{other:?}"),
    };
    let patient = |change: &dyn Fn(&mut BrokerLimits)| {
        Broker::start(&hurried(|limits| {
            limits.total_ms = 20_000;
            change(limits);
        }))
    };
    let mut broker = patient(&|limits| limits.requests = 5);
    assert_eq!(reason(&mut broker, 3, b""), None, "four of them");
    assert_eq!(reason(&mut broker, 1, b""), Some(Reason::TooMany), "the sixth");
    assert_eq!(reason(&mut broker, 0, b""), Some(Reason::TooMany));
    broker.end();
    let mut broker = patient(&|limits| limits.total_bytes = 500);
    assert_eq!(reason(&mut broker, 3, &[b'x'; 100]), None, "400 bytes");
    assert_eq!(reason(&mut broker, 1, &[b'x'; 100]), Some(Reason::TooLong), "the sixth hundred");
    assert_eq!(reason(&mut broker, 0, &[b'x'; 100]), Some(Reason::TooLong));
    broker.end();
    // By RPC too.
    let mut broker = patient(&|limits| limits.requests = 5);
    let params = format!(r#"{{"url":"{}","options":{{"method":"GET"}}}}"#, url(3));
    assert_eq!(rpc(&mut broker, &params, 10_000).unwrap()["success"], true);
    let said = rpc(&mut broker, &params, 10_000).unwrap();
    let error = said["error"].as_str().unwrap();
    assert!(error.starts_with("too-many") && error.contains("5 requests"), "{said}");
    broker.end();
}

fn hurried(change: impl FnOnce(&mut BrokerLimits)) -> Setup {
    let mut setup = granting(&["*"]);
    setup.limits.total_ms = 500;
    change(&mut setup.limits);
    setup
}

#[test]
fn a_slow_server_gets_no_more_time_than_there_is() {
    let say_slowly = |start: &'static [u8]| {
        raw_server(move |mut stream: TcpStream| {
            let _ = stream.write_all(start);
            while stream.write_all(b"x").is_ok() {
                std::thread::sleep(Duration::from_millis(20));
            }
        })
    };
    let silent = raw_server(|mut stream| drop(stream.read_to_end(&mut Vec::new())));
    let mut broker = Broker::start(&hurried(|_| {}));
    for address in [silent, say_slowly(b"HTTP/1.1 200 OK\r\nX-")] {
        let begin = Instant::now();
        assert_eq!(broker.refused(&format!("http://{address}/")), Reason::Timeout);
        assert!(begin.elapsed() < Duration::from_secs(20));
    }
    // TLS that never begins, and a record of it that never ends.
    for address in [silent, say_slowly(b"\x16\x03\x03\x40\x00")] {
        assert_eq!(broker.refused(&format!("https://{address}/")), Reason::Timeout);
    }
    // The head comes at once, and the body never ends.
    let address = say_slowly(b"HTTP/1.1 200 OK\r\n\r\n");
    let (reason, _) = broker.get(&format!("http://{address}/")).unwrap_err();
    assert_eq!(reason, Reason::Timeout);
    // A guest may want it sooner, and not later.
    let ask = |total_ms| Request::Http {
        method: "GET".to_owned(),
        url: format!("http://{silent}/"),
        headers: Vec::new(),
        body: Vec::new(),
        connect_ms: Some(1),
        total_ms,
    };
    for total in [Some(0), Some(1), Some(u64::MAX)] {
        let Answer::Refused(refusal) = broker.ask(&ask(total)).0 else { panic!() };
        assert_eq!(refusal.reason, Reason::Timeout, "{total:?}");
    }
    broker.end();
}

#[test]
fn headers_and_bodies_are_bounded() {
    let endless = raw_server(|mut stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n");
        while stream.write_all(b"X-More: 0123456789012345678901234567890123456789\r\n").is_ok() {}
    });
    let one_long = raw_server(|mut stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nX-Long: ");
        while stream.write_all(&[b'x'; 4096]).is_ok() {}
    });
    let many = server(|stream, _| {
        answer(stream, &format!("200 OK\r\n{}X: y", "A: b\r\n".repeat(2000)), "");
    });
    let body = server(|mut stream, _| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
        while stream.write_all(&[b'x'; 4096]).is_ok() {}
    });
    let mut broker = Broker::start(&hurried(|limits| {
        limits.total_ms = 20_000;
        limits.response_bytes = 100_000;
    }));
    for address in [endless, one_long, many] {
        let reason = broker.refused(&format!("http://{address}/"));
        assert!(matches!(reason, Reason::TooLong | Reason::Broken), "{reason}");
    }
    assert_eq!(broker.refused(&format!("http://{body}/")), Reason::TooLong);
    broker.end();
    let mut broker = Broker::start(&hurried(|limits| {
        limits.total_ms = 20_000;
        limits.total_bytes = 50_000;
    }));
    assert_eq!(broker.refused(&format!("http://{body}/")), Reason::TooLong);
    broker.end();
}

#[test]
fn answers_that_make_no_sense_are_broken() {
    for bytes in [
        &b""[..],
        b"hello\r\n\r\n",
        b"HTTP/1.1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc",
        b"\x16\x03\x01\x00\x05hello",
    ] {
        let address = server(move |mut stream, _| drop(stream.write_all(bytes)));
        let mut broker = Broker::start(&hurried(|limits| limits.total_ms = 20_000));
        let reason = broker.refused(&format!("http://{address}/"));
        assert_eq!(reason, Reason::Broken, "{:?}", String::from_utf8_lossy(bytes));
        let reason = broker.refused(&format!("https://{address}/"));
        assert!(matches!(reason, Reason::Broken), "{reason}");
        broker.end();
    }
}

#[test]
fn requests_and_handles_are_counted() {
    let address = echo();
    let url = format!("http://{address}/");
    let mut broker = Broker::start(&hurried(|limits| {
        (limits.requests, limits.handles, limits.total_ms) = (5, 2, 20_000);
    }));
    let mut handles = Vec::new();
    for _ in 0..2 {
        let Answer::Http { handle, .. } = broker.http("GET", &url, &[], &[]) else { panic!() };
        handles.push(handle);
    }
    assert_eq!(handles, [1, 2]);
    assert_eq!(broker.refused(&url), Reason::TooMany);
    let unknown = |broker: &mut Broker, request: &Request| {
        let Answer::Refused(refusal) = broker.ask(request).0 else { panic!() };
        assert_eq!(refusal.reason, Reason::UnknownHandle);
    };
    assert_eq!(broker.ask(&Request::Close { handle: 1 }).0, Answer::Done);
    unknown(&mut broker, &Request::Close { handle: 1 });
    unknown(&mut broker, &Request::Read { handle: 1, max: 1 });
    unknown(&mut broker, &Request::Read { handle: 77, max: 1 });
    let Answer::Http { handle: 3, .. } = broker.http("GET", &url, &[], &[]) else { panic!() };
    assert_eq!(broker.ask(&Request::Close { handle: 3 }).0, Answer::Done);
    let Answer::Http { handle: 4, .. } = broker.http("GET", &url, &[], &[]) else { panic!() };
    assert_eq!(broker.ask(&Request::Close { handle: 4 }).0, Answer::Done);
    assert_eq!(broker.refused(&url), Reason::TooMany, "the sixth");
    broker.end();
}

/// A certificate's authority and a server by TLS that shows one of its certificates.
fn tls_server(names: &[&str]) -> (String, std::net::SocketAddr) {
    use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.distinguished_name.push(rcgen::DnType::CommonName, "an authority of a test");
    let authority = params.self_signed(&key).unwrap();
    let issuer = rcgen::Issuer::new(params, key);
    let own_key = rcgen::KeyPair::generate().unwrap();
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let own = rcgen::CertificateParams::new(names).unwrap().signed_by(&own_key, &issuer).unwrap();
    let chain = vec![CertificateDer::from(own.der().to_vec())];
    let private = PrivatePkcs8KeyDer::from(own_key.serialize_der());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, private.into())
        .unwrap();
    let config = Arc::new(config);
    let address = raw_server(move |stream| {
        let session = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
        let mut stream = rustls::StreamOwned::new(session, stream);
        let mut reader = BufReader::new(&mut stream);
        let Some(asked) = Asked::read(&mut reader) else { return };
        if asked.line.contains("/cut") {
            // The connection ends, and TLS does not.
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\npart of it");
            let _ = stream.flush();
            let _ = stream.sock.shutdown(std::net::Shutdown::Both);
            return;
        }
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecret");
        stream.conn.send_close_notify();
        let _ = stream.flush();
    });
    (authority.pem(), address)
}

#[test]
fn tls_is_checked_against_the_authorities_and_the_host() {
    let folder = tempfile::tempdir().unwrap();
    let (pem, address) = tls_server(&["127.0.0.1", "localhost"]);
    let (_, other) = tls_server(&["127.0.0.1"]);
    let (wrong_pem, wrong) = tls_server(&["example.org"]);
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, pem + &wrong_pem).unwrap();
    let url = format!("https://{address}/");

    let mut broker = Broker::start(&granting(&["127.0.0.1"]));
    assert_eq!(broker.refused(&url), Reason::Broken, "its authority is nobody");
    broker.end();

    let mut setup = granting(&["127.0.0.1", "localhost"]);
    setup.authorities = Some(file.clone());
    let mut broker = Broker::start(&setup);
    assert_eq!(broker.get(&url).unwrap(), (200, "secret".to_owned()));
    let by_name = format!("https://localhost:{}/", address.port());
    assert_eq!(broker.get(&by_name).unwrap().1, "secret");
    assert_eq!(broker.refused(&format!("https://{other}/")), Reason::Broken, "another authority");
    assert_eq!(broker.refused(&format!("https://{wrong}/")), Reason::Broken, "another host");
    assert_eq!(broker.refused(&format!("{url}cut")), Reason::Broken, "it was cut off");
    broker.end();

    for (text, words) in [("", "0 certificates"), ("-----BEGIN CERTIFICATE-----\nx", "PEM")] {
        std::fs::write(&file, text).unwrap();
        let Answer::Refused(refusal) = Broker::spawn().set_up(&setup) else { panic!() };
        assert!(refusal.reason == Reason::Failed && refusal.text.contains(words), "{refusal}");
    }
}

/// The result of `http.request`.
fn rpc(broker: &mut Broker, params: &str, max: u32) -> Result<serde_json::Value, Reason> {
    let params = params.as_bytes().to_vec();
    match broker.ask(&Request::HttpRpc { params, max }).0 {
        Answer::Bytes(text) => {
            assert!(text.len() <= max as usize);
            Ok(serde_json::from_slice(&text).unwrap())
        }
        Answer::Refused(refusal) => Err(refusal.reason),
        other => panic!("{other:?}"),
    }
}

#[test]
fn http_request_of_rpc_gives_json() {
    let address = echo();
    let mut broker = Broker::start(&granting(&["127.0.0.1"]));
    let max = 1 << 20;
    let body_of = |result: &serde_json::Value| -> String {
        let numbers = result["data"]["body"].as_array().unwrap();
        numbers.iter().map(|number| number.as_u64().unwrap() as u8 as char).collect()
    };
    let get = rpc(&mut broker, &format!(r#"{{"url":"http://{address}/x"}}"#), max).unwrap();
    assert_eq!(get["success"], true);
    assert_eq!(get["data"]["status"], 200);
    assert_eq!(get["data"]["url"], format!("http://{address}/x"));
    assert_eq!(get["data"]["headers"]["x-twice"], "two", "the last one");
    assert!(body_of(&get).starts_with("GET /x HTTP/1.1\n"));
    let ask = |options: &str| format!(r#"{{"url":"http://{address}/x","options":{options}}}"#);
    for (options, words) in [
        (r#"{"method":"post","body":"text","headers":{"X-A":"b"}}"#, "x-a=b"),
        (r#"{"method":"PUT","body":[104,105]}"#, "\nhi"),
        (r#"{"query_params":{"q":"a b&c"}}"#, "GET /x?q=a+b%26c HTTP/1.1"),
        (
            r#"{"method":"POST","body":{"k":"v"},"headers":{"Content-Type":"application/x-www-form-urlencoded"}}"#,
            "content-type=multipart/form-data; boundary=",
        ),
        (
            r#"{"method":"POST","body":[{"name":"k","value":{"Text":"v"}}]}"#,
            "name=\"k\"\r\n\r\nv\r\n",
        ),
    ] {
        let result = rpc(&mut broker, &ask(options), max).unwrap();
        assert!(body_of(&result).contains(words), "{options}: {}", body_of(&result));
        assert!(!body_of(&result).contains("urlencoded"), "{}", body_of(&result));
    }
    let with_query =
        format!(r#"{{"url":"http://{address}/x?own","options":{{"query_params":{{"q":"a"}}}}}}"#);
    assert!(body_of(&rpc(&mut broker, &with_query, max).unwrap()).starts_with("GET /x?own HTTP"));
    // A request that is refused is a result.
    for (params, words) in [
        (r#"{"url":"http://127.0.0.1:1/"}"#.to_owned(), "nothing listens there"),
        (r#"{"url":"http://example.org/"}"#.to_owned(), "not granted"),
        (r#"{"url":"nonsense"}"#.to_owned(), "http://"),
        (ask(r#"{"method":"GET /"}"#), "no method"),
    ] {
        let result = rpc(&mut broker, &params, max).unwrap();
        assert_eq!(result["success"], false);
        assert!(result["error"].as_str().unwrap().contains(words), "{result}");
    }
    // Parameters that are none are not.
    for params in ["", "[]", "{}", r#"{"url":7}"#, r#"{"url":"http://h","options":{"body":true}}"#]
    {
        assert_eq!(rpc(&mut broker, params, max), Err(Reason::Invalid), "{params}");
    }
    for max in [0, 10, 200] {
        let params = format!(r#"{{"url":"http://{address}/x"}}"#);
        assert_eq!(rpc(&mut broker, &params, max), Err(Reason::TooLong), "{max}");
    }
    broker.end();
}

#[test]
fn an_endless_body_of_rpc_takes_no_more_memory_than_its_result() {
    let endless = server(|mut stream, _| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
        while stream.write_all(&[b'x'; 65536]).is_ok() {}
    });
    let mut broker = Broker::start(&granting(&["127.0.0.1"]));
    let params = format!(r#"{{"url":"http://{endless}/"}}"#);
    assert_eq!(rpc(&mut broker, &params, u32::MAX), Err(Reason::TooLong));
    broker.end();
}

/// A request that is asked as an exchange, with these times.
fn exchange(url: &str, first_byte_ms: Option<u64>, between_bytes_ms: Option<u64>) -> Request {
    Request::Exchange {
        method: "GET".to_owned(),
        url: url.to_owned(),
        headers: vec![("x-a".into(), b"1".to_vec()), ("X-A".into(), b"1 2".to_vec())],
        body: Vec::new(),
        connect_ms: None,
        first_byte_ms,
        between_bytes_ms,
    }
}

#[test]
fn an_exchange_adds_nothing_and_follows_nothing() {
    let address = server(|stream, asked| {
        let names: Vec<&str> = asked.headers.iter().map(|(name, _)| name.as_str()).collect();
        answer(stream, "302 Found\r\nLocation: /b", &names.join(" "));
    });
    let mut broker = Broker::start(&granting(&["127.0.0.1"]));
    let url = format!("http://{address}/a");
    let Answer::Http { handle, status: 302, url: asked, headers } =
        broker.ask(&exchange(&url, None, None)).0
    else {
        panic!()
    };
    assert_eq!(asked, url);
    assert!(headers.contains(&("location".into(), b"/b".to_vec())), "{headers:?}");
    assert_eq!(broker.read_all(handle), Ok(b"host x-a x-a".to_vec()));
    broker.end();
}

#[test]
fn the_body_of_an_exchange_is_read_as_it_comes() {
    let (sender, receiver) = mpsc::channel::<()>();
    let receiver = Mutex::new(receiver);
    let address = server(move |mut stream, _| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab").unwrap();
        receiver.lock().unwrap().recv().unwrap();
        stream.write_all(b"cd").unwrap();
    });
    let mut broker = Broker::start(&granting(&["127.0.0.1"]));
    let request = exchange(&format!("http://{address}/"), None, None);
    let Answer::Http { handle, .. } = broker.ask(&request).0 else { panic!() };
    let read = |broker: &mut Broker| broker.ask(&Request::Read { handle, max: 100 }).0;
    assert_eq!(read(&mut broker), Answer::Bytes(b"ab".to_vec()), "nothing is waited for");
    sender.send(()).unwrap();
    let rest = broker.read_all(handle).unwrap();
    assert_eq!(rest, b"cd");
    assert_eq!(read(&mut broker), Answer::Bytes(Vec::new()));
    broker.end();
}

#[test]
fn an_exchange_waits_no_longer_than_it_says() {
    let address = server(|mut stream, asked| {
        if asked.line.contains("/stops") {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab").unwrap();
        }
        std::thread::sleep(Duration::from_secs(20));
    });
    let mut broker = Broker::start(&granting(&["127.0.0.1"]));
    let begin = Instant::now();
    let url = |path: &str| format!("http://{address}/{path}");
    let Answer::Refused(refusal) = broker.ask(&exchange(&url("never"), Some(100), None)).0 else {
        panic!()
    };
    assert_eq!(refusal.reason, Reason::Timeout, "{refusal}");
    let request = exchange(&url("stops"), Some(10_000), Some(100));
    let Answer::Http { handle, .. } = broker.ask(&request).0 else { panic!() };
    assert_eq!(broker.read_all(handle).unwrap_err().0, Reason::Timeout);
    assert!(begin.elapsed() < Duration::from_secs(10), "it waited for the server");
    broker.end();
}

#[test]
fn an_exchange_says_more_of_why_nobody_answers() {
    let mut broker = Broker::start(&granting(&["*", "127.0.0.1", "localhost"]));
    let mut reasons = |url: &str| {
        let Answer::Refused(refusal) = broker.ask(&exchange(url, None, None)).0 else { panic!() };
        let coarse = broker.refused(url);
        assert_eq!(coarse, refusal.reason.coarse(), "{url}");
        refusal.reason
    };
    assert_eq!(reasons("http://127.0.0.1:1/"), Reason::ConnectionRefused);
    assert_eq!(reasons("http://no-such-name.invalid/"), Reason::UnknownName);
    let plain = raw_server(|stream| answer(stream, "400 Bad Request", ""));
    assert_eq!(reasons(&format!("https://{plain}/")), Reason::Tls);
    let (_, stranger) = tls_server(&["localhost"]);
    assert_eq!(reasons(&format!("https://localhost:{}/", stranger.port())), Reason::Certificate);
    broker.end();
}
