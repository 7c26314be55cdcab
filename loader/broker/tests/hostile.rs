//! A peer that says anything, and what a broker holds meanwhile.

mod common;

use bls_artifact::broker::{Answer, Reason, Request, Setup};
use bls_artifact::limits::FRAME_BYTES_MAX;
use common::{Broker, granting, raw_server, wait_for};
use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};
use std::time::Duration;

/// A chance that repeats: splitmix64.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// Memory that a process holds, in KiB, by a line of its status.
fn memory(process: u32, line: &str) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let found = text.lines().find_map(|one| one.strip_prefix(line)).unwrap();
    found.trim_matches([':', '\t', ' ', 'k', 'B']).parse().unwrap()
}

#[test]
fn the_first_request_is_the_set_up_or_the_last() {
    for bytes in [
        Request::Extensions.encode().unwrap(),
        Request::Connect { endpoint: "127.0.0.1:1".to_owned() }.encode().unwrap(),
        Request::Setup { text: b"{}".to_vec() }.encode().unwrap(),
        Request::Setup { text: vec![b' '; 1 << 20] }.encode().unwrap(),
        vec![1, 0, 0, 0, 99],
        vec![0xff; 64],
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
    ] {
        let mut broker = Broker::spawn();
        broker.socket.write_all(&bytes).unwrap();
        let (Answer::Refused(refusal), _) = broker.answer() else { panic!("{bytes:?}") };
        assert_eq!(refusal.reason, Reason::Invalid);
        let mut rest = Vec::new();
        // It may be reset, for not all was read.
        let _ = broker.socket.read_to_end(&mut rest);
        assert!(rest.is_empty());
        let status = wait_for(|| broker.child.try_wait().unwrap());
        assert_eq!(status.code(), Some(1));
    }
    // Nothing at all.
    let broker = Broker::spawn();
    broker.end();
}

#[test]
fn a_second_set_up_grants_nothing() {
    let mut broker = Broker::start(&granting(&[]));
    let answer = broker.set_up(&granting(&["*"]));
    assert!(matches!(answer, Answer::Refused(refusal) if refusal.reason == Reason::Invalid));
    assert_eq!(broker.refused("http://127.0.0.1:1/"), Reason::Denied);
    broker.end();
}

#[test]
fn frames_that_make_no_sense_are_refused_or_the_end() {
    let (sender, receiver) = std::sync::mpsc::channel();
    let address = raw_server(move |_| sender.send(()).unwrap());
    let frames: Vec<Vec<u8>> = [
        Request::Http {
            method: "GET".to_owned(),
            url: format!("http://{address}/"),
            headers: vec![("a".to_owned(), b"b".to_vec())],
            body: b"body".to_vec(),
            connect_ms: None,
            total_ms: Some(1000),
        },
        Request::Connect { endpoint: address.to_string() },
        Request::HttpRpc {
            params: format!(r#"{{"url":"http://{address}/"}}"#).into_bytes(),
            max: 1000,
        },
        Request::Start { alias: "a".to_owned(), arguments: vec![], variables: vec![] },
        Request::Read { handle: 1, max: 7 },
    ]
    .iter()
    .map(|request| request.encode().unwrap())
    .collect();
    let mut chance = Chance(7);
    let mut ended = 0;
    let mut broker = Broker::start(&granting(&["example.org", "10.0.0.1"]));
    for round in 0..3000 {
        let mut frame = frames[round % frames.len()].clone();
        // Mostly behind the length, so that it goes on.
        let from = if chance.next().is_multiple_of(16) { 0 } else { 4 };
        for _ in 0..=chance.next() % 4 {
            let at = from + (chance.next() as usize) % (frame.len() - from);
            frame[at] = chance.next() as u8;
        }
        let lies = frame[..4] != (frame.len() as u32 - 4).to_le_bytes();
        if lies {
            let _ = broker.socket.write_all(&frame);
            broker.socket.shutdown(std::net::Shutdown::Write).unwrap();
            let _ = broker.socket.read_to_end(&mut Vec::new());
            broker.wait();
            broker = Broker::start(&granting(&["example.org", "10.0.0.1"]));
            ended += 1;
            continue;
        }
        broker.socket.write_all(&frame).unwrap();
        let (answer, descriptors) = broker.answer();
        assert!(matches!(answer, Answer::Refused(_) | Answer::Bytes(_)), "{answer:?}");
        assert!(descriptors.is_empty());
    }
    assert!(ended > 10, "{ended}");
    assert!(receiver.try_recv().is_err(), "it connected to what was not granted");
    assert!(memory(broker.child.id(), "VmHWM") < 40_000);
    broker.end();
}

#[test]
fn a_long_frame_that_never_comes_takes_no_memory() {
    let mut broker = Broker::start(&granting(&["*"]));
    broker.socket.write_all(&(FRAME_BYTES_MAX as u32).to_le_bytes()).unwrap();
    broker.socket.write_all(&[1; 1000]).unwrap();
    std::thread::sleep(Duration::from_millis(50));
    assert!(memory(broker.child.id(), "VmRSS") < 12_000);
    broker.end();
}

#[test]
fn the_largest_request_takes_a_bounded_amount() {
    let mut broker = Broker::start(&granting(&["127.0.0.1"]));
    for _ in 0..3 {
        let answer =
            broker.http("POST", "http://127.0.0.1:1/", &[], &vec![7; FRAME_BYTES_MAX - 100]);
        let Answer::Refused(refusal) = answer else { panic!("{answer:?}") };
        assert_eq!(refusal.reason, Reason::Unreachable);
        // What JSON of this length can become: bytes, fields, objects, lists, names.
        for body in [
            format!("[{}1]", "1,".repeat(7 << 20)),
            format!("[[{}1]]", "1,".repeat(7 << 20)),
            format!("{{\"\":[{}1]}}", "1,".repeat(7 << 20)),
            format!("[{{\"name\":\"\",\"value\":[{}1]}}]", "1,".repeat(7 << 20)),
            format!("[{}{{}}]", "{},".repeat(5 << 20)),
            format!("[{}[]]", "[],".repeat(5 << 20)),
            format!("{{{}\"\":1}}", "\"\":1,".repeat(2 << 20)),
            format!("[{}{{\"\":1}}]", "{\"\":1},".repeat(2 << 20)),
        ] {
            for field in ["body", "headers", "query_params", "other"] {
                let params =
                    format!(r#"{{"url":"http://127.0.0.1:1/","options":{{"{field}":{body}}}}}"#);
                let request = Request::HttpRpc { params: params.into_bytes(), max: 1000 };
                let answer = broker.ask(&request).0;
                assert!(matches!(answer, Answer::Bytes(_) | Answer::Refused(_)), "{answer:?}");
            }
        }
    }
    assert!(memory(broker.child.id(), "VmHWM") < 120_000);
    broker.end();
}

#[test]
fn it_ends_with_its_host_whatever_it_waits_for() {
    let silent = raw_server(|mut stream| drop(stream.read_to_end(&mut Vec::new())));
    let mut broker = Broker::start(&granting(&["127.0.0.1"]));
    let request = Request::Http {
        method: "GET".to_owned(),
        url: format!("http://{silent}/"),
        headers: Vec::new(),
        body: Vec::new(),
        connect_ms: None,
        total_ms: None,
    };
    broker.socket.write_all(&request.encode().unwrap()).unwrap();
    std::thread::sleep(Duration::from_millis(50));
    let begin = std::time::Instant::now();
    broker.socket.shutdown(std::net::Shutdown::Both).unwrap();
    broker.wait();
    assert!(begin.elapsed() < Duration::from_secs(20), "the server had a minute");
}

/// What the kernel says of a process.
fn status(process: u32) -> String {
    std::fs::read_to_string(format!("/proc/{process}/status")).unwrap()
}

#[test]
fn both_processes_stand_behind_their_wall() {
    let folder = tempfile::tempdir().unwrap();
    let extensions = bls_artifact::broker::ExtensionsFrom {
        path: folder.path().to_owned(),
        is_folder: true,
        aliases: None,
    };
    let has_all = bls_confine::landlock::abi().is_ok();
    let setup = Setup {
        extensions: Some(extensions),
        require_sandbox: has_all,
        ..granting(&["https://example.org"])
    };
    let broker = Broker::start(&setup);
    let all = broker.processes();
    assert_eq!(all.len(), 2);
    for process in all {
        let status = status(process);
        for line in ["NoNewPrivs:\t1", "Seccomp:\t2", "CapEff:\t0000000000000000"] {
            assert!(status.contains(line), "{line}: {status}");
        }
        let limits = std::fs::read_to_string(format!("/proc/{process}/limits")).unwrap();
        assert!(
            limits.lines().any(|line| line.starts_with("Max core file size        0 ")),
            "{limits}"
        );
    }
    broker.end();
}

#[test]
fn descriptors_that_came_open_are_closed() {
    // A file that whoever starts it left open, without closing it on exec.
    let (socket, other) = std::os::unix::net::UnixStream::pair().unwrap();
    let mut child = Command::new("/bin/sh")
        .args(["-c", "exec 7</etc/passwd 9>/dev/null; exec \"$0\" serve"])
        .arg(common::program())
        .stdin(Stdio::from(std::os::fd::OwnedFd::from(other)))
        .spawn()
        .unwrap();
    let mut broker = Broker { child: Command::new("/bin/true").spawn().unwrap(), socket };
    assert_eq!(broker.set_up(&granting(&["*"])), Answer::Done);
    // Only root may look into a process that is not to be looked into.
    match std::fs::read_dir(format!("/proc/{}/fd", child.id())) {
        Ok(entries) => {
            for entry in entries {
                let open = std::fs::read_link(entry.unwrap().path()).unwrap();
                let open = open.to_string_lossy();
                assert!(open == "/dev/null" || open.starts_with("socket:"), "{open}");
            }
        }
        Err(error) => println!("not looked at: {error}"),
    }
    drop(broker);
    assert!(child.wait().unwrap().success());
}
