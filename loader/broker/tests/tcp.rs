//! TCP through the broker: descriptors that are handed over, and nothing kept.

mod common;

use bls_artifact::broker::{Answer, Reason, Request};
use common::{Broker, granting, raw_server};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

fn connect(endpoint: &str) -> Request {
    Request::Connect { endpoint: endpoint.to_owned() }
}

fn listen(endpoint: &str) -> Request {
    Request::Listen { endpoint: endpoint.to_owned() }
}

fn reason(broker: &mut Broker, request: &Request) -> Reason {
    match broker.ask(request).0 {
        Answer::Refused(refusal) => refusal.reason,
        other => panic!("{request:?}: {other:?}"),
    }
}

#[test]
fn a_connection_is_handed_over_whole() {
    let address = raw_server(|mut stream| {
        let mut text = [0; 4];
        stream.read_exact(&mut text).unwrap();
        stream.write_all(&text.map(|byte| byte.to_ascii_uppercase())).unwrap();
    });
    let mut broker = Broker::start(&granting(&["tcp://127.0.0.1"]));
    let (answer, mut descriptors) = broker.ask(&connect(&address.to_string()));
    assert_eq!(answer, Answer::Descriptor);
    let mut stream = TcpStream::from(descriptors.pop().unwrap());
    // The broker has no part in it any more.
    broker.end();
    stream.write_all(b"ping").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert_eq!(text, "PING");
}

#[test]
fn the_other_side_sees_the_end_when_the_guest_closes() {
    let (sender, receiver) = std::sync::mpsc::channel();
    let address = raw_server(move |mut stream| {
        sender.send(stream.read(&mut [0]).unwrap()).unwrap();
    });
    let mut broker = Broker::start(&granting(&["*"]));
    let (_, descriptors) = broker.ask(&connect(&address.to_string()));
    drop(descriptors);
    let seen = receiver.recv_timeout(std::time::Duration::from_secs(20));
    assert_eq!(seen, Ok(0), "the broker holds no copy");
    broker.end();
}

#[test]
fn a_listener_is_handed_over() {
    let mut broker = Broker::start(&granting(&["127.0.0.1"]));
    let (answer, mut descriptors) = broker.ask(&listen("127.0.0.1:0"));
    assert_eq!(answer, Answer::Descriptor);
    let listener = TcpListener::from(descriptors.pop().unwrap());
    let address = listener.local_addr().unwrap();
    assert_eq!(reason(&mut broker, &listen(&address.to_string())), Reason::AddressInUse, "in use");
    let mut client = TcpStream::connect(address).unwrap();
    client.write_all(b"x").unwrap();
    let (mut accepted, _) = listener.accept().unwrap();
    accepted.read_exact(&mut [0]).unwrap();
    broker.end();
}

#[test]
fn a_listener_on_every_address_is_denied_where_one_of_them_is() {
    for deny in ["127.0.0.0/8", "10.0.0.0/8", "localhost"] {
        let mut setup = granting(&["*"]);
        setup.net.deny = vec![bls_artifact::net::NetGrant::parse(deny).unwrap()];
        let mut broker = Broker::start(&setup);
        for every in ["0.0.0.0:0", "[::]:0", "[::ffff:0.0.0.0]:0"] {
            assert_eq!(reason(&mut broker, &listen(every)), Reason::Denied, "{deny} {every}");
        }
        broker.end();
    }
    let mut setup = granting(&["*"]);
    setup.net.deny = vec![bls_artifact::net::NetGrant::parse("[::1]").unwrap()];
    let mut broker = Broker::start(&setup);
    assert_eq!(reason(&mut broker, &listen("[::]:0")), Reason::Denied);
    assert_eq!(broker.ask(&listen("0.0.0.0:0")).0, Answer::Descriptor);
    broker.end();
}

#[test]
fn what_is_not_granted_is_denied() {
    let address = raw_server(|_| {});
    let port = address.port();
    for grants in [&[][..], &["http://127.0.0.1", "https://*"], &["127.0.0.1:1"]] {
        let mut broker = Broker::start(&granting(grants));
        for endpoint in [format!("127.0.0.1:{port}"), format!("localhost:{port}")] {
            assert_eq!(reason(&mut broker, &connect(&endpoint)), Reason::Denied, "{grants:?}");
            assert_eq!(reason(&mut broker, &listen(&endpoint)), Reason::Denied, "{grants:?}");
        }
        broker.end();
    }
    let mut broker = Broker::start(&granting(&["*"]));
    assert_eq!(reason(&mut broker, &connect(&format!("localhost:{port}"))), Reason::Denied);
    assert_eq!(reason(&mut broker, &connect("169.254.169.254:80")), Reason::Denied);
    assert_eq!(reason(&mut broker, &connect("127.0.0.1:1")), Reason::ConnectionRefused);
    for wrong in ["", "x", "127.0.0.1", "h:99999", "unix:/run/x", "127.1:80", "/run/x:1"] {
        assert_eq!(reason(&mut broker, &connect(wrong)), Reason::Url, "{wrong}");
        assert_eq!(reason(&mut broker, &listen(wrong)), Reason::Url, "{wrong}");
    }
    broker.end();
}
