//! The network's interfaces, function by function and code by code: called as a guest calls
//! them, with somebody in the test's own process who answers.

use bls_artifact::blockless::FUNCTIONS;
use bls_artifact::host_table::Kind;
use bls_artifact::limits::{HANDLES_MAX, HELD_BYTES_FREE, PIECE_BYTES_MAX};
use bls_loader::host::{Aliases, Fault, Grants, Reach};
use bls_loader::outside::{Answer, ExtensionInfo, Reason, Reply, Request};
use bls_tests::fake_outside::{grants, refusal};
use bls_tests::host_driver::{Answer as Called, Driver, Shape};
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::thread;

/// Where things lie in the guest's memory.
const TEXT: u32 = 0x1000;
const MORE: u32 = 0x4000;
const BUFFER: u32 = 0x8000;
const FIRST: u32 = 0x100;
const SECOND: u32 = 0x104;
/// Far beyond two pages.
const OUTSIDE: u64 = 0xf000_0000;

struct Guest(Driver);

impl Guest {
    fn new(grants: Grants) -> Self {
        Self(Driver::told(Shape::TwoPages, grants, u64::MAX))
    }

    #[track_caller]
    fn code(&mut self, name: &str, arguments: &[u64]) -> u32 {
        self.0.code(name, arguments)
    }

    fn put(&mut self, place: u32, text: &str) -> [u64; 2] {
        self.0.put_text(place, text)
    }

    fn bytes(&self, place: u32, length: u32) -> Vec<u8> {
        self.0.memory()[place as usize..(place + length) as usize].to_vec()
    }

    fn http(&mut self, url: &str, options: &str) -> u32 {
        let (url, options) = (self.put(TEXT, url), self.put(MORE, options));
        let [a, b] = url;
        let [c, d] = options;
        self.code("http_req", &[a, b, c, d, FIRST.into(), SECOND.into()])
    }

    /// Reads a header: the code, and the value where there is one.
    fn header(&mut self, handle: u64, name: &str, room: u64) -> (u32, Vec<u8>) {
        let [a, b] = self.put(TEXT, name);
        let code =
            self.code("http_read_header", &[handle, a, b, BUFFER.into(), room, FIRST.into()]);
        let length = if code == 0 { self.0.word(FIRST) } else { 0 };
        (code, self.bytes(BUFFER, length))
    }

    /// Reads by a function that takes a handle and a buffer.
    fn read(&mut self, name: &str, handle: u64, room: u64) -> (u32, Vec<u8>) {
        let code = self.code(name, &[handle, BUFFER.into(), room, FIRST.into()]);
        let length = if code == 0 { self.0.word(FIRST) } else { 0 };
        (code, self.bytes(BUFFER, length))
    }

    fn rpc(&mut self, request: &str, room: u64) -> (u32, String) {
        let [a, b] = self.put(TEXT, request);
        let code = self.code("rpc_call", &[a, b, BUFFER.into(), room, FIRST.into()]);
        let length = if code == 0 { self.0.word(FIRST) } else { 0 };
        (code, String::from_utf8(self.bytes(BUFFER, length)).unwrap())
    }
}

/// Answers each page with this body, a read at a time.
fn page(body: &'static [u8]) -> impl FnMut(&Request) -> std::io::Result<Reply> {
    let mut read = 0;
    move |request| {
        Ok(Reply::from(match request {
            Request::Http { url, .. } => Answer::Http {
                handle: 77,
                status: 201,
                url: url.clone(),
                headers: vec![
                    ("content-type".into(), b"text/plain".to_vec()),
                    ("x-odd".into(), b"\xff".to_vec()),
                ],
            },
            Request::Read { handle: 77, max } => {
                let rest = &body[read..];
                let piece = &rest[..rest.len().min(*max as usize)];
                read += piece.len();
                Answer::Bytes(piece.to_vec())
            }
            Request::Close { handle: 77 } => Answer::Done,
            _ => return Ok(refusal(Reason::UnknownHandle)),
        }))
    }
}

#[test]
fn a_page_is_asked_for_and_read_in_pieces() {
    let (grants, asked) = grants(&["http://example.com"], page(b"0123456789"));
    let mut guest = Guest::new(grants);
    let options = r#"{"method":"post","headers":"{\"a\":\"b\"}","body":"x","connectTimeout":1,"readTimeout":2.5}"#;
    assert_eq!(guest.http("http://example.com/p?q", options), 0);
    assert_eq!((guest.0.word(FIRST), guest.0.word(SECOND)), (1, 201));
    assert_eq!(guest.header(1, "Content-Type", 100), (0, b"text/plain".to_vec()));
    // Programs of the older SDK read a header until nothing comes, once.
    assert_eq!(guest.header(1, "content-type", 100), (0, Vec::new()));
    assert_eq!(guest.header(1, "content-type", 100), (0, b"text/plain".to_vec()));
    assert_eq!(guest.header(1, "content-type", 9).0, 0);
    assert_eq!(guest.header(1, "content-type", 9).0, 3, "a buffer that is too small");
    assert_eq!(guest.header(1, "missing", 100).0, 4);
    assert_eq!(guest.header(1, "x-odd", 100).0, 8);
    assert_eq!(guest.header(9, "x-odd", 100).0, 1);
    assert_eq!(guest.read("http_read_body", 1, 4), (0, b"0123".to_vec()));
    assert_eq!(guest.header(1, "content-type", 100).0, 11, "behind the body");
    assert_eq!(guest.read("http_read_body", 1, 0), (0, Vec::new()));
    assert_eq!(guest.read("http_read_body", 1, 100), (0, b"456789".to_vec()));
    assert_eq!(guest.read("http_read_body", 1, 100), (0, Vec::new()), "the end");
    assert_eq!(guest.code("http_close", &[1]), 0);
    assert_eq!(guest.code("http_close", &[1]), 1);
    assert_eq!(guest.read("http_read_body", 1, 4).0, 1);
    let asked = asked.lock().unwrap();
    let request = Request::Http {
        method: "POST".into(),
        url: "http://example.com/p?q".into(),
        headers: vec![("a".into(), b"b".to_vec())],
        body: b"x".to_vec(),
        connect_ms: Some(1000),
        total_ms: Some(2500),
    };
    assert_eq!(asked[0], request);
    assert_eq!(asked.last(), Some(&Request::Close { handle: 77 }));
}

#[test]
fn what_is_wrong_with_a_request_is_found_in_the_contracts_order() {
    let (grants, asked) = grants(&["http://example.com/v1"], |_| Ok(refusal(Reason::Unreachable)));
    let mut guest = Guest::new(grants);
    let (granted, other) = ("http://example.com/v1/x", "http://example.com/v10");
    let good = r#"{"method":"GET"}"#;
    for (url, options, code) in [
        ("not a url", good, 9),
        ("ftp://example.com/", good, 9),
        (other, "{", 14),
        (other, good, 14),
        (granted, "{", 10),
        (granted, "[]", 10),
        (granted, "{}", 10),
        (granted, r#"{"method":1}"#, 10),
        (granted, r#"{"method":"GET","headers":{}}"#, 15),
        (granted, r#"{"method":"GET","headers":"x"}"#, 15),
        (granted, r#"{"method":"GET","headers":"{\"a\":1}"}"#, 15),
        (granted, r#"{"method":"a b","headers":"x"}"#, 15),
        (granted, r#"{"method":"a b","headers":"{}"}"#, 10),
        (granted, r#"{"method":"GET","connectTimeout":"1"}"#, 10),
        (granted, good, 11),
        (granted, r#"{"method":"PUT","headers":null}"#, 11),
    ] {
        assert_eq!(guest.http(url, options), code, "{url} {options}");
    }
    assert_eq!(asked.lock().unwrap().len(), 2, "only what is whole and granted is asked");
    // Text that is none, before anything else.
    guest.0.put(TEXT, b"\xff\xfe");
    let [c, d] = guest.put(MORE, good);
    let (first, second) = (FIRST.into(), SECOND.into());
    assert_eq!(guest.code("http_req", &[TEXT.into(), 2, c, d, first, second]), 5);
    assert_eq!(guest.code("http_req", &[OUTSIDE, 2, c, d, first, second]), 5);
    let [a, b] = guest.put(TEXT, granted);
    assert_eq!(guest.code("http_req", &[a, b, OUTSIDE, d, first, second]), 5);
}

#[test]
fn refusals_of_whoever_answers_have_the_interfaces_codes() {
    for (reason, http) in [
        (Reason::Denied, 14),
        (Reason::Url, 9),
        (Reason::Method, 10),
        (Reason::Header, 15),
        (Reason::TooMany, 12),
        (Reason::Timeout, 11),
        (Reason::Failed, 11),
        (Reason::TooLong, 11),
    ] {
        let (grants, _) = grants(&["*"], move |_| Ok(refusal(reason)));
        let mut guest = Guest::new(grants);
        assert_eq!(guest.http("http://example.com/", r#"{"method":"GET"}"#), http, "{reason}");
    }
}

#[test]
fn a_body_that_breaks_off_is_no_end() {
    let mut reads = 0;
    let (grants, _) = grants(&["*"], move |request| {
        Ok(match request {
            Request::Http { url, .. } => {
                Answer::Http { handle: 1, status: 200, url: url.clone(), headers: Vec::new() }
                    .into()
            }
            _ => {
                reads += 1;
                match reads {
                    1 => Answer::Bytes(vec![b'x'; PIECE_BYTES_MAX]).into(),
                    _ => refusal(Reason::Broken),
                }
            }
        })
    });
    // A buffer of more than one piece needs more than two pages.
    let mut guest = Guest(Driver::told(Shape::FourGiB, grants, u64::MAX));
    assert_eq!(guest.http("http://example.com/", r#"{"method":"GET"}"#), 0);
    let room = PIECE_BYTES_MAX as u64 + 10;
    let (code, bytes) = guest.read("http_read_body", 1, room);
    assert_eq!((code, bytes.len()), (0, PIECE_BYTES_MAX), "what came is given");
    assert_eq!(guest.read("http_read_body", 1, room).0, 11);
    assert_eq!(guest.read("http_read_body", 1, room).0, 11, "and again");
}

#[test]
fn where_nobody_answers_everything_is_refused() {
    let mut guest = Guest::new(Grants::default());
    let get = r#"{"method":"GET"}"#;
    assert_eq!(guest.http("http://example.com/", get), 14);
    let (code, text) = guest.rpc(
        r#"{"jsonrpc":"2.0","method":"http.request","params":{"url":"http://a/"},"id":1}"#,
        1000,
    );
    assert_eq!(code, 0);
    let denied =
        r#"{"jsonrpc":"2.0","result":{"success":false,"error":"permission denied"},"id":1}"#;
    assert_eq!(text, denied);
    assert_eq!(guest.code("cgi_list_exec", &[FIRST.into()]), 0);
    assert_eq!(guest.read("cgi_list_read", 1, 100), (0, b"[]".to_vec()));
    let [a, b] = guest.put(TEXT, r#"{"command":"echo"}"#);
    assert_eq!(guest.code("cgi_open", &[a, b, FIRST.into()]), 4);
    let [a, b] = guest.put(TEXT, "127.0.0.1:1");
    assert_eq!(guest.code("tcp_connect", &[a, b, FIRST.into()]), 2);
    assert_eq!(guest.code("create_tcp_bind_socket", &[a, b, FIRST.into()]), 2);
    let [a, b] = guest.put(TEXT, "tcp://127.0.0.1:1");
    assert_eq!(guest.code("blockless_open", &[a, b, 0, 0, FIRST.into()]), 14);
}

#[test]
fn whoever_ends_or_talks_nonsense_is_asked_no_more() {
    for answer in [
        || Err(std::io::ErrorKind::UnexpectedEof.into()),
        || Ok(Reply::from(Answer::Done)),
        || {
            let answer = Answer::Http {
                handle: 1,
                status: 200,
                url: String::new(),
                headers: vec![("a".into(), vec![b'a'; 1 << 20])],
            };
            Ok(answer.into())
        },
    ] as [fn() -> std::io::Result<Reply>; 3]
    {
        let (grants, asked) = grants(&["*"], move |_| answer());
        let mut guest = Guest::new(grants);
        let get = r#"{"method":"GET"}"#;
        assert_eq!(guest.http("http://example.com/", get), 11);
        assert_eq!(guest.http("http://example.com/", get), 14, "nobody is there any more");
        assert_eq!(asked.lock().unwrap().len(), 1);
    }
}

#[test]
fn calls_by_json_rpc() {
    let mut guest = Guest::new(Grants::default());
    let call = |method: &str, more: &str| {
        format!(r#"{{"jsonrpc":"2.0","method":"{method}"{more},"id":7}}"#)
    };
    let mut answer = |request: &str| guest.rpc(request, 1000);
    let done = |text: &str| (0, text.to_owned());
    assert_eq!(answer(&call("ping", "")), done(r#"{"jsonrpc":"2.0","result":"pong","id":7}"#));
    assert_eq!(
        answer(&call("echo", r#","params": {"b": [1.50, null], "a":"\u00e9"}"#)),
        done(r#"{"jsonrpc":"2.0","result":{"b": [1.50, null], "a":"\u00e9"},"id":7}"#)
    );
    assert_eq!(answer(&call("echo", "")), done(r#"{"jsonrpc":"2.0","result":null,"id":7}"#));
    let (code, version) = answer(&call("version", ""));
    assert_eq!(code, 0);
    assert!(version.contains(r#""rpc_version":"2.0","runtime":"bls-runtime","version":""#));
    assert_eq!(
        answer(&call("no\\nsuch", "")),
        done(
            r#"{"jsonrpc":"2.0","error":{"code":-32601,"message":"Method not found","data":{"method":"no\nsuch"}},"id":7}"#
        )
    );
    let invalid = r#"{"jsonrpc":"2.0","error":{"code":-32602,"message":"Invalid params"},"id":7}"#;
    for params in ["", r#","params":[]"#, r#","params":{"url":1}"#] {
        assert_eq!(answer(&call("http.request", params)), done(invalid), "{params}");
    }
    assert_eq!(answer("{").0, 1);
    assert_eq!(answer(r#"{"jsonrpc":"2.0","method":"ping"}"#).0, 1);
    let ping = call("ping", "");
    assert_eq!(guest.rpc(&ping, 8).0, 5, "longer than the buffer");
    assert_eq!(guest.rpc(&ping, 40).0, 0);
    assert_eq!(guest.rpc(&ping, 39).0, 5);
    let [a, b] = guest.put(TEXT, &ping);
    assert_eq!(guest.code("rpc_call", &[OUTSIDE, b, BUFFER.into(), 100, FIRST.into()]), 4);
    assert_eq!(guest.code("rpc_call", &[a, b, OUTSIDE, 100, FIRST.into()]), 4);
    guest.0.put(TEXT, b"\xff\xfe");
    assert_eq!(guest.code("rpc_call", &[a, 2, BUFFER.into(), 100, FIRST.into()]), 1);
}

#[test]
fn requests_by_json_rpc() {
    let request = |url: &str| {
        format!(r#"{{"jsonrpc":"2.0","method":"http.request","params":{{"url":"{url}"}},"id":3}}"#)
    };
    let (grants, asked) = grants(&["http://good"], |request| {
        let Request::HttpRpc { params, .. } = request else { panic!("{request:?}") };
        let params = String::from_utf8(params.clone()).unwrap();
        Ok(if params.contains("/invalid") {
            refusal(Reason::Invalid)
        } else if params.contains("/long") {
            refusal(Reason::TooLong)
        } else if params.contains("/away") {
            refusal(Reason::Unreachable)
        } else {
            Answer::Bytes(br#"{"success":true}"#.to_vec()).into()
        })
    });
    let mut guest = Guest::new(grants);
    let mut answer = |url: &str| guest.rpc(&request(url), 1000);
    let with = |what: &str| (0, format!(r#"{{"jsonrpc":"2.0",{what},"id":3}}"#));
    assert_eq!(answer("http://good/x"), with(r#""result":{"success":true}"#));
    let failed = |text: &str| with(&format!(r#""result":{{"success":false,"error":"{text}"}}"#));
    assert_eq!(answer("http://bad/x"), failed("permission denied"));
    assert_eq!(answer("http://good/away"), failed("unreachable"));
    let invalid = with(r#""error":{"code":-32602,"message":"Invalid params"}"#);
    assert_eq!(answer("http://good/invalid"), invalid);
    assert_eq!(answer("http://good/long").0, 5);
    let (code, text) = answer("nonsense");
    assert!(code == 0 && text.contains(r#""success":false"#), "{text}");
    let asked = asked.lock().unwrap();
    assert_eq!(asked.len(), 4);
    let params = br#"{"url":"http://good/x"}"#.to_vec();
    assert_eq!(asked[0], Request::HttpRpc { params, max: 1000 - 64 });
}

/// Answers as a machine with these two extensions, of which `echo` writes back what it reads.
fn extensions(request: &Request) -> std::io::Result<Reply> {
    let info = |alias: &str| ExtensionInfo {
        alias: alias.into(),
        file_name: format!("bls-{alias}"),
        sha256: "0".repeat(64),
        md5: "1".repeat(32),
        description: "for tests".into(),
    };
    Ok(match request {
        Request::Extensions => Answer::List(vec![info("echo"), info("other")]).into(),
        Request::Start { alias, .. } if alias == "echo" => {
            let pair = || UnixStream::pair().expect("a pair");
            let ((stdin, mut input), (stdout, mut output), (stderr, mut errors)) =
                (pair(), pair(), pair());
            let _ = thread::spawn(move || {
                errors.write_all(b"to stderr").unwrap();
                drop(errors);
                let mut bytes = [0; 5];
                input.read_exact(&mut bytes).unwrap();
                output.write_all(&bytes).unwrap();
            });
            let descriptors: Vec<OwnedFd> = vec![stdin.into(), stdout.into(), stderr.into()];
            Reply { answer: Answer::Started { handle: 5, output_max: 12 }, descriptors }
        }
        Request::Start { .. } => refusal(Reason::UnknownExtension),
        Request::Close { .. } => Answer::Done.into(),
        other => panic!("{other:?}"),
    })
}

#[test]
fn extensions_are_listed_started_and_ended() {
    let (mut grants, asked) = grants(&[], extensions);
    grants.reach.extensions = Aliases::Only(vec!["echo".into(), "gone".into()]);
    let mut guest = Guest::new(grants);
    assert_eq!(guest.code("cgi_list_exec", &[FIRST.into()]), 0);
    assert_eq!(guest.0.word(FIRST), 1);
    let list = concat!(
        r#"[{"fileName":"bls-echo","alias":"echo","md5":"11111111111111111111111111111111","#,
        r#""description":"for tests"}]"#
    );
    // With a cursor; the one that was not granted is not there.
    let (code, begin) = guest.read("cgi_list_read", 1, 10);
    assert_eq!((code, begin.as_slice()), (0, &list.as_bytes()[..10]));
    assert_eq!(guest.read("cgi_list_read", 1, 1000), (0, list.as_bytes()[10..].to_vec()));
    assert_eq!(guest.read("cgi_list_read", 1, 1000), (0, Vec::new()));
    let mut open = |command: &str| {
        let [a, b] = guest.put(TEXT, command);
        guest.code("cgi_open", &[a, b, FIRST.into()])
    };
    assert_eq!(open("{"), 3);
    assert_eq!(open(r#"{"args":[]}"#), 3);
    assert_eq!(open(r#"{"command":"none"}"#), 4);
    assert_eq!(open(r#"{"command":"other"}"#), 4, "there, but not granted");
    assert_eq!(open(r#"{"command":"gone"}"#), 4, "granted, but not there");
    let command =
        r#"{"command":"echo","args":["--once","two words"],"envs":[{"name":"A","value":"b"}]}"#;
    assert_eq!(open(command), 0);
    assert_eq!(guest.0.word(FIRST), 2);
    assert_eq!(guest.read("cgi_stderr_read", 2, 4), (0, b"to s".to_vec()));
    assert_eq!(guest.read("cgi_stderr_read", 2, 100), (0, b"tderr".to_vec()));
    assert_eq!(guest.read("cgi_stderr_read", 2, 100), (0, Vec::new()), "the end");
    guest.0.put(TEXT, b"hello");
    assert_eq!(guest.code("cgi_stdin_write", &[2, TEXT.into(), 5, FIRST.into()]), 0);
    assert_eq!(guest.0.word(FIRST), 5);
    // It may give twelve bytes, and nine it has given.
    assert_eq!(guest.read("cgi_stdout_read", 2, 100), (0, b"hel".to_vec()));
    assert_eq!(guest.read("cgi_stdout_read", 2, 100).0, 2);
    assert_eq!(guest.read("cgi_list_read", 2, 100).0, 1, "of another kind");
    assert_eq!(guest.read("cgi_stdout_read", 1, 100).0, 1);
    assert_eq!(guest.read("cgi_stdout_read", 77, 100).0, 1);
    assert_eq!(guest.code("cgi_stdout_read", &[2, OUTSIDE, 5, FIRST.into()]), 3);
    assert_eq!(guest.code("cgi_stdin_write", &[2, OUTSIDE, 5, FIRST.into()]), 3);
    assert_eq!(guest.code("cgi_close", &[2]), 0);
    assert_eq!(guest.code("cgi_close", &[2]), 1);
    assert_eq!(guest.code("cgi_close", &[1]), 0);
    let asked = asked.lock().unwrap();
    let start = Request::Start {
        alias: "echo".into(),
        arguments: vec!["--once".into(), "two words".into()],
        variables: vec![("A".into(), "b".into())],
    };
    assert_eq!(asked[2], start);
    assert_eq!(asked.last(), Some(&Request::Close { handle: 5 }));
}

#[test]
fn an_extension_that_is_gone_is_an_error_and_no_signal() {
    let (grants, _) = grants(&[], |request| {
        let Request::Start { .. } = request else { return Ok(refusal(Reason::Failed)) };
        let (stdin, _) = UnixStream::pair()?;
        let (stdout, _) = UnixStream::pair()?;
        let (stderr, _) = UnixStream::pair()?;
        let descriptors = vec![stdin.into(), stdout.into(), stderr.into()];
        Ok(Reply { answer: Answer::Started { handle: 1, output_max: 100 }, descriptors })
    });
    let mut guest = Guest::new(grants);
    let [a, b] = guest.put(TEXT, r#"{"command":"x"}"#);
    assert_eq!(guest.code("cgi_open", &[a, b, FIRST.into()]), 0);
    assert_eq!(guest.code("cgi_stdin_write", &[1, TEXT.into(), 5, FIRST.into()]), 2);
    assert_eq!(guest.read("cgi_stdout_read", 1, 10), (0, Vec::new()));
    assert_eq!(guest.code("cgi_list_exec", &[FIRST.into()]), 2, "it could not be done");
}

#[test]
fn so_many_are_open_at_once() {
    let (grants, _) = grants(&["*"], page(b""));
    let mut guest = Guest::new(grants);
    let get = r#"{"method":"GET"}"#;
    for number in 1..=HANDLES_MAX {
        assert_eq!(guest.http("http://example.com/", get), 0, "{number}");
    }
    assert_eq!(guest.http("http://example.com/", get), 12);
    assert_eq!(guest.code("http_close", &[5]), 0);
    assert_eq!(guest.http("http://example.com/", get), 0);
    assert_eq!(guest.0.word(FIRST) as usize, HANDLES_MAX + 1, "no number comes twice");
}

#[test]
fn what_is_kept_counts_as_the_guests_memory() {
    let (grants, asked) = grants(&["*"], |request| {
        Ok(match request {
            Request::Http { url, .. } => {
                let headers = vec![("a".to_owned(), vec![b'a'; 200 << 10])];
                Answer::Http { handle: 1, status: 200, url: url.clone(), headers }.into()
            }
            _ => Answer::Done.into(),
        })
    });
    // Its own two pages, and nothing for the host beside what is free.
    let mut guest = Guest(Driver::told(Shape::TwoPages, grants, 2 << 16));
    let fit = HELD_BYTES_FREE / (200 << 10);
    for number in 0..fit {
        assert_eq!(guest.http("http://e.com/", r#"{"method":"GET"}"#), 0, "{number}");
    }
    assert_eq!(guest.http("http://e.com/", r#"{"method":"GET"}"#), 2);
    assert_eq!(asked.lock().unwrap().last(), Some(&Request::Close { handle: 1 }));
    assert_eq!(guest.code("http_close", &[1]), 0);
    assert_eq!(guest.http("http://e.com/", r#"{"method":"GET"}"#), 0);
}

#[test]
fn input_and_variables_are_copied_as_far_as_they_fit() {
    let listed = vec![(b"A".to_vec(), b"b".to_vec()), (b"B".to_vec(), b"\"".to_vec())];
    let mut guest = Guest::new(Grants { listed, ..Grants::default() });
    let mut read = |place: u64, room: u64| {
        let code = guest.code("env_var_read", &[place, room, FIRST.into()]);
        let length = if code == 0 { guest.0.word(FIRST) } else { 0 };
        (code, String::from_utf8(guest.bytes(BUFFER, length)).unwrap())
    };
    let all = r#"{"A": "b","B": "\""}"#;
    assert_eq!(read(BUFFER.into(), 100), (0, all.to_owned()));
    assert_eq!(read(BUFFER.into(), 4), (0, all[..4].to_owned()));
    assert_eq!(read(BUFFER.into(), 0).0, 3);
    assert_eq!(read(BUFFER.into(), 0x7fff_ffff).0, 3);
    assert_eq!(read(OUTSIDE, 4).0, 3);
    let withheld = vec![bls_artifact::capability::Capability::Stdin];
    let mut guest = Guest::new(Grants { withheld, ..Grants::default() });
    assert_eq!(guest.code("memory_read", &[BUFFER.into(), 4, FIRST.into()]), 2);
    assert_eq!(guest.code("memory_read", &[BUFFER.into(), 0, FIRST.into()]), 3);
}

#[test]
fn what_is_not_offered_answers_its_own_refusal() {
    let mut guest = Guest::new(Grants::default());
    for (name, code) in [
        ("llm_set_model_request", 2),
        ("llm_get_model_response", 1),
        ("llm_set_model_options_request", 1),
        ("llm_get_model_options", 1),
        ("llm_prompt_request", 1),
        ("llm_read_prompt_response", 1),
        ("llm_close", 1),
        ("ipfs_command", 10),
        ("ipfs_read", 1),
        ("ipfs_write", 1),
        ("ipfs_close", 1),
        ("bucket_command", 12),
        ("bucket_put_object", 12),
        ("s3_read", 1),
        ("s3_close", 1),
        ("scrape", 4),
        ("close", 4),
    ] {
        let function = FUNCTIONS.iter().find(|function| function.name == name).expect("one");
        let arguments = vec![8; function.parameters.len()];
        assert_eq!(guest.code(name, &arguments), code, "{name}");
    }
}

/// Functions that have a pointer for a result, and where it is among their parameters; the
/// others get good ranges.
#[test]
fn a_bad_pointer_for_a_result_is_a_trap_before_anything_is_done() {
    for (name, at) in [
        ("memory_read", 2),
        ("env_var_read", 2),
        ("rpc_call", 4),
        ("http_req", 4),
        ("http_req", 5),
        ("http_read_header", 5),
        ("http_read_body", 3),
        ("request_send", 7),
        ("response_head", 3),
        ("response_read", 3),
        ("cgi_list_exec", 0),
        ("cgi_list_read", 3),
        ("cgi_open", 2),
        ("cgi_stdout_read", 3),
        ("cgi_stderr_read", 3),
        ("cgi_stdin_write", 3),
        ("create_tcp_bind_socket", 2),
        ("tcp_connect", 2),
        ("blockless_open", 4),
    ] {
        let (grants, asked) = grants(&["*"], |request| panic!("{request:?}"));
        let mut guest = Guest::new(grants);
        let function = FUNCTIONS.iter().find(|function| function.name == name).expect("one");
        for (bad, is) in [(OUTSIDE, "beyond"), (0x101, "misaligned"), (0x1_fffe, "at the end")] {
            let mut arguments = vec![64; function.parameters.len()];
            arguments[at] = bad;
            let called = guest.0.call(name, &arguments);
            assert!(matches!(called, Called::Fault(_)), "{name} {is}: {called:?}");
        }
        assert!(asked.lock().unwrap().is_empty(), "{name}");
    }
    let mut guest = Guest(Driver::new(Shape::Absent, Grants::default()));
    assert_eq!(guest.0.call("memory_read", &[0, 1, 0]), Called::Fault(Fault::NoMemory));
}

/// Any numbers at all: an answer or a trap, and never a panic.
#[test]
fn no_numbers_are_too_bad() {
    const INTERESTING: [u64; 9] =
        [0, 1, 3, 64, 0x1_fff8, 0x1_ffff, 0x7fff_ffff, 0xffff_fff0, 0xffff_ffff];
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        INTERESTING[(state % INTERESTING.len() as u64) as usize]
    };
    let (grants, _) = grants(&["*"], |_| Ok(refusal(Reason::Failed)));
    let mut guest = Guest::new(grants);
    for (at, byte) in guest.0.memory_mut().iter_mut().enumerate() {
        *byte = (at * 31 % 251) as u8;
    }
    // Nothing is to wait for the test's own input.
    let waits = |name: &str| name == "memory_read";
    let (mut answers, mut traps) = (0, 0);
    for _ in 0..2000 {
        for function in FUNCTIONS.iter().filter(|function| !waits(function.name)) {
            assert!(function.parameters.iter().all(|kind| *kind == Kind::I32));
            let arguments: Vec<u64> = function.parameters.iter().map(|_| next()).collect();
            match guest.0.call(function.name, &arguments) {
                Called::Errno(0..=15) => answers += 1,
                Called::Fault(_) => traps += 1,
                other => panic!("{}{arguments:x?}: {other:?}", function.name),
            }
        }
    }
    assert!(answers > 10_000 && traps > 10_000, "{answers} {traps}");
}

#[test]
fn nothing_is_asked_that_was_not_granted_even_where_somebody_would_answer() {
    let (fake, asked) =
        bls_tests::fake_outside::Fake::new(|request| panic!("nobody granted {request:?}"));
    let reach = Reach { outside: Some(Box::new(fake)), ..Reach::default() };
    let mut guest = Guest::new(Grants { reach, ..Grants::default() });
    assert_eq!(guest.http("http://example.com/", r#"{"method":"GET"}"#), 14);
    let [a, b] = guest.put(TEXT, "127.0.0.1:1");
    assert_eq!(guest.code("tcp_connect", &[a, b, FIRST.into()]), 2);
    let [a, b] = guest.put(TEXT, r#"{"command":"x"}"#);
    assert_eq!(guest.code("cgi_open", &[a, b, FIRST.into()]), 4);
    assert!(asked.lock().unwrap().is_empty());
}

/// What a call costs is what FUEL.md says of it: two calls of one function, compared.
#[test]
fn calls_are_paid_for_by_what_they_read_ask_and_get() {
    let (grants, _) = grants(&["http://good.example"], page(b"0123456789"));
    let mut guest = Guest::new(grants);
    let mut cost = |call: &mut dyn FnMut(&mut Guest)| {
        let before = guest.0.consumed();
        call(&mut guest);
        guest.0.consumed() - before
    };
    let get = r#"{"method":"GET"}"#;
    let none = cost(&mut |guest| assert_eq!(guest.http("", get), 9));
    // The text of the URL is paid for, whatever it is.
    let bad = "x".repeat(100);
    assert_eq!(cost(&mut |guest| assert_eq!(guest.http(&bad, get), 9)), none + 100 * 8);
    let denied = "http://other.example/";
    let length = denied.len() as u64;
    assert_eq!(cost(&mut |guest| assert_eq!(guest.http(denied, get), 14)), none + length * 8);
    // A request: its text and that of its options, itself, what it sends and what comes back.
    let url = "http://good.example/x";
    let options = r#"{"method":"POST","headers":"{\"a\":\"bc\"}","body":"0123456789"}"#;
    let read = (url.len() + options.len()) as u64 * 8;
    let sent = ("POST".len() + url.len() + 3 + 10) as u64;
    let got = (url.len() + "content-type".len() + "text/plain".len() + "x-odd".len() + 1) as u64;
    let made = cost(&mut |guest| assert_eq!(guest.http(url, options), 0));
    assert_eq!(made, none + read + 1_048_576 + sent + got);
    // A piece of a body: a question, its bytes, and their way into the guest's memory.
    let empty = cost(&mut |guest| assert_eq!(guest.read("http_read_body", 1, 0).0, 0));
    let piece = cost(&mut |guest| assert_eq!(guest.read("http_read_body", 1, 8).1.len(), 8));
    assert_eq!(piece, empty + 65_536 + 8 + 8 / 4);
    // The end is known now, or is asked for.
    let end = cost(&mut |guest| assert_eq!(guest.read("http_read_body", 1, 8).1.len(), 2));
    assert_eq!(end, empty + 65_536 + 2);
    let over = cost(&mut |guest| assert_eq!(guest.read("http_read_body", 1, 8).1.len(), 0));
    assert_eq!(over, empty);
    let header = cost(&mut |guest| assert_eq!(guest.header(9, "abc", 100).0, 1));
    let gone = cost(&mut |guest| assert_eq!(guest.header(9, "abcdef", 100).0, 1));
    assert_eq!(header, gone, "no such handle: nothing is read");
}
