//! Tests of the protocol: every kind there and back, and bytes of strangers.

use super::*;
use crate::limits::{FRAME_BYTES_MAX, REFUSAL_BYTES_MAX};
use crate::net::NetRules;

fn requests() -> Vec<Request> {
    let text = str::to_owned;
    vec![
        Request::Setup { text: b"{}".to_vec() },
        Request::Http {
            method: text("POST"),
            url: text("https://example.org/ä"),
            headers: vec![(text("x-a"), b"\xff".to_vec()), (text("x-a"), Vec::new())],
            body: vec![0, 1, 2],
            connect_ms: None,
            total_ms: Some(u64::MAX),
        },
        Request::Read { handle: 1, max: u32::MAX },
        Request::Close { handle: 0 },
        Request::Connect { endpoint: text("[::1]:80") },
        Request::Listen { endpoint: text("127.0.0.1:0") },
        Request::HttpRpc { params: b"{\"url\":1}".to_vec(), max: 10 },
        Request::Extensions,
        Request::Start {
            alias: text("echo"),
            arguments: vec![text("--once"), text("")],
            variables: vec![(text("A"), text("b c"))],
        },
        Request::Exchange {
            method: text("PUT"),
            url: text("http://h/"),
            headers: vec![(text("x-a"), b"\xff".to_vec()), (text("x-a"), Vec::new())],
            body: vec![0, 1, 2],
            connect_ms: Some(1),
            first_byte_ms: None,
            between_bytes_ms: Some(u64::MAX),
        },
        Request::NextGuest,
    ]
}

fn answers() -> Vec<Answer> {
    let text = str::to_owned;
    let info = ExtensionInfo {
        alias: text("echo"),
        file_name: text("bls-echo"),
        sha256: "0".repeat(64),
        md5: "1".repeat(32),
        description: text("says what it hears"),
    };
    let mut answers = vec![
        Answer::Http {
            handle: 7,
            status: 599,
            url: text("http://h/"),
            headers: vec![(text("a"), b"b".to_vec())],
        },
        Answer::Bytes(vec![9; 1000]),
        Answer::Done,
        Answer::Descriptor,
        Answer::List(vec![info.clone(), info]),
        Answer::Started { handle: 1, output_max: u64::MAX },
    ];
    let refused = |reason| Answer::Refused(Refusal { reason, text: reason.name().to_owned() });
    answers.extend(Reason::ALL.map(refused));
    answers
}

/// The body of a frame whose length is right.
fn body(frame: &[u8]) -> &[u8] {
    let (length, body) = frame.split_first_chunk().unwrap();
    assert_eq!(frame_length(*length), Ok(body.len()));
    body
}

#[test]
fn what_is_sent_arrives() {
    for request in requests() {
        assert_eq!(Request::decode(body(&request.encode().unwrap())), Ok(request));
    }
    for answer in answers() {
        assert_eq!(Answer::decode(body(&answer.encode().unwrap())), Ok(answer));
    }
    assert_eq!(answers().iter().map(Answer::descriptors).sum::<usize>(), 4);
}

#[test]
fn a_reason_is_its_number() {
    for (number, reason) in Reason::ALL.into_iter().enumerate() {
        assert_eq!(reason as usize, number);
    }
}

/// Reads bytes as either; what is read is written as it was.
fn read(body: &[u8]) {
    if let Ok(request) = Request::decode(body) {
        assert_eq!(self::body(&request.encode().unwrap()), body);
    }
    if let Ok(answer) = Answer::decode(body) {
        assert_eq!(self::body(&answer.encode().unwrap()), body);
    }
}

#[test]
fn bytes_of_strangers_are_read_or_refused() {
    let frames = requests()
        .iter()
        .map(|request| request.encode().unwrap())
        .chain(answers().iter().map(|answer| answer.encode().unwrap()))
        .collect::<Vec<_>>();
    for frame in &frames {
        let whole = body(frame);
        for end in 0..whole.len() {
            read(&whole[..end]);
        }
        let mut longer = whole.to_vec();
        longer.push(0);
        read(&longer);
        assert!(Request::decode(&longer).is_err() && Answer::decode(&longer).is_err());
        for at in 0..whole.len().min(200) {
            for value in [0, 1, 0x7f, 0x80, 0xff] {
                let mut other = whole.to_vec();
                other[at] = value;
                read(&other);
            }
        }
    }
}

#[test]
fn a_count_or_length_that_is_a_lie_takes_no_memory() {
    // A list of four billion headers; a text of four billion bytes.
    let mut lie = Request::Http {
        method: String::new(),
        url: String::new(),
        headers: Vec::new(),
        body: Vec::new(),
        connect_ms: None,
        total_ms: None,
    }
    .encode()
    .unwrap();
    lie[LENGTH_BYTES + 9..LENGTH_BYTES + 13].fill(0xff);
    assert_eq!(Request::decode(&lie[LENGTH_BYTES..]), Err(WireError::Many));
    lie[LENGTH_BYTES + 1..LENGTH_BYTES + 5].fill(0xff);
    assert_eq!(Request::decode(&lie[LENGTH_BYTES..]), Err(WireError::Short));
    assert_eq!(Request::decode(&[]), Err(WireError::Length));
    assert_eq!(Request::decode(&[99]), Err(WireError::Kind));
    assert_eq!(Answer::decode(&[6, Reason::ALL.len() as u8, 0, 0, 0, 0]), Err(WireError::Kind));
    assert_eq!(Request::decode(&[4, 1, 0, 0, 0, 0xff]), Err(WireError::Text));
    assert_eq!(frame_length([0; 4]), Err(WireError::Length));
    assert_eq!(frame_length([0xff; 4]), Err(WireError::Length));
    assert_eq!(frame_length((FRAME_BYTES_MAX as u32).to_le_bytes()), Ok(FRAME_BYTES_MAX));
}

#[test]
fn what_is_too_long_is_not_sent() {
    let many = vec![(String::new(), Vec::new()); HEADERS_MAX + 1];
    let http = Answer::Http { handle: 0, status: 0, url: String::new(), headers: many };
    assert_eq!(http.encode(), Err(WireError::Many));
    let most = Answer::Bytes(vec![0; ANSWER_BYTES_MAX]).encode().unwrap();
    assert_eq!(most.len(), LENGTH_BYTES + FRAME_BYTES_MAX);
    assert_eq!(Answer::Bytes(vec![0; ANSWER_BYTES_MAX + 1]).encode(), Err(WireError::Length));
    let refusal = Refusal::new(Reason::Failed, "é".repeat(REFUSAL_BYTES_MAX));
    assert!(refusal.text.len() <= REFUSAL_BYTES_MAX);
    assert!(Answer::Refused(refusal).encode().is_ok());
}

#[test]
fn a_setup_is_whole_or_refused() {
    let setup = Setup {
        version: Setup::VERSION,
        net: NetRules::parse(["*"], ["10.0.0.0/8"]).unwrap(),
        extensions: Some(ExtensionsFrom {
            path: "/etc/bls/extensions.json".into(),
            is_folder: false,
            aliases: Some(vec!["echo".to_owned()]),
        }),
        authorities: Some("/etc/ca.pem".into()),
        require_sandbox: true,
        several_guests: true,
        limits: BrokerLimits { handles: 3, ..BrokerLimits::default() },
    };
    assert_eq!(Setup::parse(&setup.to_text().unwrap()), Ok(setup));
    let least = Setup::parse(br#"{"version":1}"#).unwrap();
    assert!(least.net.is_empty() && least.extensions.is_none() && !least.several_guests);
    for (text, words) in [
        (r#"{}"#, "version"),
        (r#"{"version":2}"#, "version 2"),
        (r#"{"version":1,"nett":{}}"#, "nett"),
        (r#"{"version":1,"net":{"allow":["h/x"]}}"#, "https://h/x"),
        (r#"{"version":1,"limits":{"handles":1025}}"#, "handles"),
        (r#"{"version":1,"limits":{"handles":-1}}"#, "handles"),
        (r#"{"version":1,"limits":{"total_ms":18446744073709551615}}"#, "total_ms"),
        (r#"{"version":1,"extensions":{"path":"x"}}"#, "slash"),
        (r#"{"version":1,"authorities":"x"}"#, "slash"),
        ("", "ends early"),
    ] {
        let error = Setup::parse(text.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(words) || words == "handles", "{text}: {error}");
    }
    assert_eq!(Setup::parse(&vec![b' '; 1 << 20]), Err(SetupError::Long));
}
