//! `bls_http`, function by function and code by code: called as the WASI 0.2 module of components
//! calls them, with somebody in the test's own process who answers.

use bls_loader::host::Grants;
use bls_loader::outside::{Answer, Reason, Reply, Request};
use bls_tests::fake_outside::{grants, refusal};
use bls_tests::host_driver::{Driver, Shape};

/// Where things lie in the guest's memory.
const TEXT: u32 = 0x1000;
const MORE: u32 = 0x4000;
const BUFFER: u32 = 0x8000;
const FIRST: u32 = 0x100;
/// Far beyond two pages.
const OUTSIDE: u64 = 0xf000_0000;

fn guest(grants: Grants) -> Driver {
    Driver::told(Shape::TwoPages, grants, u64::MAX)
}

/// Reads by a function that takes a handle and a buffer.
fn read(guest: &mut Driver, name: &str, answer: u64, room: u64) -> (u32, Vec<u8>) {
    let code = guest.code(name, &[answer, BUFFER.into(), room, FIRST.into()]);
    let length = if code == 0 { guest.word(FIRST) } else { 0 };
    (code, guest.memory()[BUFFER as usize..(BUFFER + length) as usize].to_vec())
}

/// A head at one place and a body at another, sent with these times.
fn send(guest: &mut Driver, head: &str, body: &str, times: [u64; 3]) -> u32 {
    let ([a, b], [c, d]) = (guest.put_text(TEXT, head), guest.put_text(MORE, body));
    let [connect, first_byte, between] = times;
    guest.code("request_send", &[a, b, c, d, connect, first_byte, between, FIRST.into()])
}

#[test]
fn an_exchange_is_a_head_and_a_body_there_and_back() {
    let mut pieces = vec![b"cd".to_vec(), b"ab".to_vec()];
    let (grants, asked) = grants(&["http://example.com/v1"], move |request| {
        Ok(Reply::from(match request {
            Request::Exchange { url, .. } => Answer::Http {
                handle: 77,
                status: 302,
                url: url.clone(),
                headers: vec![("x-b".into(), b"1".to_vec()), ("x-b".into(), b"\xff: 2".to_vec())],
            },
            Request::Read { handle: 77, .. } => Answer::Bytes(pieces.pop().unwrap_or_default()),
            Request::Close { handle: 77 } => Answer::Done,
            _ => return Ok(refusal(Reason::UnknownHandle)),
        }))
    });
    let mut guest = guest(grants);
    let head = "PUT http://example.com/v1/a\nx-a:1\nx-a: b:c\n";
    assert_eq!(send(&mut guest, head, "body", [0, 1, u64::from(u32::MAX)]), 0);
    let answer = u64::from(guest.word(FIRST));
    let text = b"302\nx-b:1\nx-b:\xff: 2\n";
    assert_eq!(read(&mut guest, "response_head", answer, text.len() as u64 - 1).0, 7, "too small");
    assert_eq!(read(&mut guest, "response_head", answer, 100), (0, text.to_vec()));
    // As it comes, and not until the buffer is full.
    assert_eq!(read(&mut guest, "response_read", answer, 100), (0, b"ab".to_vec()));
    assert_eq!(read(&mut guest, "response_read", answer, 100), (0, b"cd".to_vec()));
    assert_eq!(read(&mut guest, "response_read", answer, 100), (0, Vec::new()));
    assert_eq!(guest.code("response_close", &[answer]), 0);
    for name in ["response_head", "response_read"] {
        assert_eq!(read(&mut guest, name, answer, 100).0, 9, "{name}: it is closed");
    }
    assert_eq!(guest.code("response_close", &[answer]), 9);
    let asked = asked.lock().unwrap();
    let sent = Request::Exchange {
        method: "PUT".into(),
        url: "http://example.com/v1/a".into(),
        headers: vec![("x-a".into(), b"1".to_vec()), ("x-a".into(), b" b:c".to_vec())],
        body: b"body".to_vec(),
        connect_ms: None,
        first_byte_ms: Some(1),
        between_bytes_ms: Some(u32::MAX.into()),
    };
    assert_eq!((&asked[0], asked.len()), (&sent, 5));
}

#[test]
fn the_code_of_an_exchange_is_the_brokers_reason_and_one() {
    for (number, reason) in Reason::ALL.into_iter().enumerate() {
        let (grants, _) = grants(&["*"], move |_| Ok(refusal(reason)));
        let mut guest = guest(grants);
        let code = send(&mut guest, "GET http://a.example/\n", "", [0; 3]);
        assert_eq!(code as usize, number + 1, "{reason}");
    }
    // What is judged before anybody is asked.
    let (grants, asked) = grants(&["http://a.example/v1"], |request| panic!("{request:?}"));
    let mut guest = guest(grants);
    for (url, code) in
        [("http://a.example/v1/x", 0), ("http://a.example/", 1), ("ftp://a/", 2), ("\u{1}", 2)]
    {
        let [a, b] = guest.put_text(TEXT, url);
        assert_eq!(guest.code("request_check", &[a, b]), code, "{url:?}");
        if code != 0 {
            assert_eq!(send(&mut guest, &format!("GET {url}\n"), "", [0; 3]), code, "{url:?}");
        }
    }
    for head in ["", "GET", "GET http://a.example/v1", "GET http://a.example/v1\nx\n"] {
        assert_eq!(send(&mut guest, head, "", [0; 3]), 11, "{head:?}");
    }
    let [a, b] = guest.put_text(TEXT, "GET http://a.example/v1\n");
    for (body, length, code) in [(OUTSIDE, 1, 11), (64, 16 << 20, 7)] {
        let arguments = [a, b, body, length, 0, 0, 0, FIRST.into()];
        assert_eq!(guest.code("request_send", &arguments), code);
    }
    assert_eq!(guest.code("request_check", &[OUTSIDE, 1]), 11);
    assert!(asked.lock().unwrap().is_empty());
}
