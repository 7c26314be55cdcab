//! An embedder that answers what a guest asks of the world outside, and one that leaves it to a
//! broker.

use bls_artifact::net::NetGrant;
use bls_loader::outside::{Answer, Broker, Outside, Reply, Request, Setup};
use bls_loader::{Outcome, Sink};
use bls_tests::embedded::runner;
use bls_tests::ports;
use bls_tests::programs::{broker, fixtures};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::thread;
use std::time::Duration;

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(fixtures().join(format!("network/{name}.wat"))).unwrap()
}

fn place(text: &str) -> NetGrant {
    NetGrant::parse(text).unwrap()
}

/// One page of this text.
struct Page(&'static [u8]);

impl Outside for Page {
    fn ask(&mut self, request: &Request) -> std::io::Result<Reply> {
        Ok(Reply::from(match request {
            Request::Http { url, .. } => {
                Answer::Http { handle: 1, status: 200, url: url.clone(), headers: Vec::new() }
            }
            Request::Read { .. } => Answer::Bytes(std::mem::take(&mut self.0).to_vec()),
            Request::Close { .. } => Answer::Done,
            other => panic!("{other:?}"),
        }))
    }
}

#[test]
fn an_embedder_answers_what_it_allowed() {
    let get = |allowed: &str| {
        let guest = runner("get", &fixture("get")).arg("http://a.example/x");
        let guest = guest.allow_net(place(allowed)).outside(Page(b"hello"));
        guest.stdout(Sink::bytes()).run().unwrap()
    };
    let ended = get("http://a.example");
    assert!(ended.outcome.is_success(), "{}", ended.outcome);
    assert_eq!(ended.stdout, b"hello");
    assert!(matches!(get("http://b.example").outcome, Outcome::Exited(14)));
    // Allowed, and nobody answers.
    let guest = runner("get", &fixture("get")).arg("http://a.example/x");
    let ended = guest.allow_net(place("*")).run().unwrap();
    assert!(matches!(ended.outcome, Outcome::Exited(14)), "{}", ended.outcome);
    let guest = runner("get", &fixture("get")).arg("http://a.example/x").outside(Page(b""));
    let ended = guest.allow_net(place("*")).deny_net(place("a.example")).run().unwrap();
    assert!(matches!(ended.outcome, Outcome::Exited(14)), "{}", ended.outcome);
}

#[test]
fn a_broker_answers_for_an_embedder() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    let _ = thread::spawn(move || {
        let (mut stream, _) = server.accept().unwrap();
        let mut bytes = [0; 100];
        let read = stream.read(&mut bytes).unwrap();
        stream.write_all(&bytes[..read].to_ascii_uppercase()).unwrap();
    });
    let granted = place(&address.to_string());
    let mut setup = Setup { version: Setup::VERSION, ..Setup::default() };
    setup.net.allow.push(granted.clone());
    let outside = Broker::new(&broker(), &setup).unwrap();
    let guest = runner("connect", &fixture("connect")).arg(address.to_string());
    let ended = guest.allow_net(granted).outside(outside).stdout(Sink::bytes()).run().unwrap();
    assert!(ended.outcome.is_success(), "{}", ended.outcome);
    assert_eq!(ended.stdout, b"PING\n");
    let error = Broker::new(Path::new("/nonexistent"), &setup).unwrap_err();
    assert_eq!(error.code(), "broker.start");
}

#[test]
fn a_guest_that_waits_for_somebody_is_stopped_in_time() {
    let free = ports::free();
    let guest = runner("serve", &fixture("serve")).listen(free);
    let ended = guest.timeout(Duration::from_millis(200)).run().unwrap();
    assert!(matches!(ended.outcome, Outcome::Limit(..)), "{}", ended.outcome);
    // While it waits for a broker's answer: of a server that never gives one.
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    let mut setup = Setup { version: Setup::VERSION, ..Setup::default() };
    setup.net.allow.push(place(&address.to_string()));
    let outside = Broker::new(&broker(), &setup).unwrap();
    let guest = runner("get", &fixture("get")).arg(format!("http://{address}/"));
    let guest = guest.allow_net(place("*")).outside(outside);
    let ended = guest.timeout(Duration::from_millis(200)).run().unwrap();
    assert!(matches!(ended.outcome, Outcome::Limit(..)), "{}", ended.outcome);
}

#[test]
fn listeners_and_variables_of_an_embedders() {
    let free = ports::free();
    let guest = runner("serve", &fixture("serve")).listen(free);
    let served = thread::spawn(move || guest.run().unwrap());
    let mut stream = loop {
        if let Ok(stream) = TcpStream::connect(free) {
            break stream;
        }
        thread::yield_now();
    };
    stream.write_all(b"over\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert_eq!(text, "over\n");
    assert!(served.join().unwrap().outcome.is_success());
    let guest = runner("input", &fixture("input")).list_env("A", "b");
    let input = bls_loader::Source::bytes(b"abcde".to_vec());
    let ended = guest.stdin(input).stdout(Sink::bytes()).run().unwrap();
    assert_eq!(String::from_utf8(ended.stdout).unwrap(), "abcde\nde\n{\"A\": \"b\"}");
}
