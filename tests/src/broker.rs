//! The broker's front under arbitrary requests and arbitrary servers, without a network.
//!
//! An input is what every server answers, and requests one behind the other:
//!
//! ```text
//! u16 length | the server's bytes | u16 length | a request | u16 length | a request | …
//! ```
//!
//! What must hold: nothing is connected to or listened on that the rules of `setup` do not
//! grant, by name and by address (`Inside` panics); every answer fits into a frame and is read
//! again as it was; never more is open than may be. The same bytes are read as what else comes
//! from a stranger: an answer, a set-up, a registry, a grant, a URL.

use bls_artifact::broker::{Answer, BrokerLimits, LENGTH_BYTES, Reason, Refusal, Request, Setup};
use bls_artifact::extension::{Introduction, Registry};
use bls_artifact::net::{Endpoint, NetGrant, NetRules, Url};
use bls_broker::http::Authorities;
use bls_broker::net::{Connection, Network};
use bls_broker::session::{Extensions, Reply, Session};
use std::cell::Cell;
use std::fs::File;
use std::io::{self, Cursor, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::time::Instant;

/// Open answers and extensions, each.
const HANDLES: u32 = 3;
/// Most requests of one input.
const REQUESTS_MAX: usize = 64;

/// A public server, and addresses of the inside.
const PUBLIC: Ipv4Addr = Ipv4Addr::new(93, 184, 216, 34);
const LOOPBACK: Ipv4Addr = Ipv4Addr::LOCALHOST;
const PRIVATE: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const METADATA: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);

/// What is granted.
fn setup() -> Setup {
    let allow =
        ["pub.example", "http://*/open", "http://127.0.0.1:8080/open", "tcp://10.0.0.1:5432"];
    let net = NetRules::parse(allow, ["pub.example:25", "http://pub.example/secret"]);
    Setup {
        version: Setup::VERSION,
        net: net.expect("rules"),
        limits: BrokerLimits {
            requests: 32,
            handles: HANDLES,
            header_bytes: 4096,
            response_bytes: 16 << 10,
            total_bytes: 256 << 10,
            ..BrokerLimits::default()
        },
        ..Setup::default()
    }
}

/// A network that has these addresses, and panics where one is used that is not granted.
struct Inside<'s> {
    server: &'s [u8],
    begin: Instant,
    /// Whether a name was looked up since something was connected to.
    named: &'s Cell<bool>,
}

impl Inside<'_> {
    fn check(&self, address: SocketAddr, by_http: bool) {
        let named = self.named.take();
        let is_granted = match (address.ip(), address.port(), by_http) {
            (IpAddr::V4(PUBLIC), 25, _) => !named,
            (IpAddr::V4(PUBLIC), ..) => named || by_http,
            (IpAddr::V4(LOOPBACK), 8080, true) => true,
            (IpAddr::V4(PRIVATE), 5432, false) => !named,
            // By `http://*/open`, where the address is named itself.
            (ip, _, by_http) => by_http && !named && !is_special(ip),
        };
        assert!(is_granted, "{address} is used, by HTTP: {by_http}, by a name: {named}");
    }
}

/// Link-local and the like, which nothing grants.
fn is_special(address: IpAddr) -> bool {
    use bls_artifact::net::{AddressKind, kind_of};
    matches!(kind_of(address), AddressKind::Metadata | AddressKind::Special)
}

impl Network for Inside<'_> {
    fn addresses(&self, name: &str, _: Instant) -> Result<Vec<IpAddr>, Refusal> {
        self.named.set(true);
        let list: &[Ipv4Addr] = match name {
            "pub.example" => &[PUBLIC],
            "mixed.example" => &[LOOPBACK, PUBLIC, METADATA],
            "localhost" | "rebind.example" => &[LOOPBACK, PRIVATE, METADATA],
            "empty.example" => &[],
            _ => return Err(Refusal::new(Reason::Unreachable, "not known")),
        };
        Ok(list.iter().copied().map(IpAddr::V4).collect())
    }

    fn connect(&self, address: SocketAddr, _: Instant) -> io::Result<Box<dyn Connection>> {
        self.check(address, true);
        Ok(Box::new(Script(Cursor::new(self.server.to_vec()))))
    }

    fn descriptor(&self, address: SocketAddr, _: Instant) -> io::Result<OwnedFd> {
        self.check(address, false);
        nothing()
    }

    fn listen(&self, address: SocketAddr) -> io::Result<OwnedFd> {
        self.check(address, false);
        nothing()
    }

    /// Time stands still, so that the same input is always the same.
    fn now(&self) -> Instant {
        self.begin
    }
}

fn nothing() -> io::Result<OwnedFd> {
    File::open("/dev/null").map(OwnedFd::from)
}

/// A server that says what it says, whatever it is asked.
#[derive(Debug)]
struct Script(Cursor<Vec<u8>>);

impl Read for Script {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Script {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Connection for Script {
    fn set_deadline(&mut self, _: Instant) {}
}

/// A starter that starts anything, and is asked for nothing else.
#[derive(Default)]
struct Starter {
    running: Vec<u32>,
    next: Cell<u32>,
}

impl Extensions for Starter {
    fn ask(&mut self, request: &Request) -> Result<Reply, Refusal> {
        match request {
            Request::Extensions => Ok((Answer::List(Vec::new()), Vec::new())),
            Request::Start { .. } => {
                self.next.set(self.next.get() + 1);
                self.running.push(self.next.get());
                assert!(self.running.len() <= HANDLES as usize, "too many run");
                let failed = |error| Refusal::new(Reason::Failed, error);
                let streams: io::Result<Vec<_>> = (0..3).map(|_| nothing()).collect();
                let answer = Answer::Started { handle: self.next.get(), output_max: 1 };
                Ok((answer, streams.map_err(failed)?))
            }
            Request::Close { handle } => {
                let before = self.running.len();
                self.running.retain(|running| running != handle);
                assert_eq!(self.running.len() + 1, before, "what is closed runs");
                Ok((Answer::Done, Vec::new()))
            }
            other => panic!("the starter is asked for {other:?}"),
        }
    }
}

/// Takes a piece of so many bytes as it says.
fn piece<'b>(bytes: &mut &'b [u8]) -> Option<&'b [u8]> {
    let (length, rest) = bytes.split_first_chunk()?;
    let length = usize::from(u16::from_le_bytes(*length)).min(rest.len());
    let (piece, rest) = rest.split_at(length);
    *bytes = rest;
    Some(piece)
}

/// The entrance: whether anything of it made sense.
pub fn broker(bytes: &[u8]) -> bool {
    let alone = strangers(bytes);
    let mut rest = bytes;
    let Some(server) = piece(&mut rest) else { return alone };
    let mut starter = Starter::default();
    let named = Cell::new(false);
    let network = Inside { server, begin: Instant::now(), named: &named };
    let authorities = Authorities::default();
    let mut session = Session::new(network, setup(), authorities, Some(&mut starter));
    let mut made_sense = false;
    let mut open = 0_usize;
    for _ in 0..REQUESTS_MAX {
        let Some(body) = piece(&mut rest) else { break };
        let Ok(request) = Request::decode(body) else { continue };
        assert_eq!(&request.encode().expect("what was read")[LENGTH_BYTES..], body);
        named.set(false);
        let closes = matches!(request, Request::Close { .. });
        let (answer, descriptors) = session.answer(request);
        assert_eq!(descriptors.len(), answer.descriptors());
        match &answer {
            Answer::Http { .. } | Answer::Started { .. } => open += 1,
            Answer::Done if closes => open -= 1,
            _ => {}
        }
        assert!(open <= 2 * HANDLES as usize, "{open} are open");
        made_sense |= !matches!(answer, Answer::Refused(_));
        let frame = answer.encode().expect("an answer fits");
        assert_eq!(Answer::decode(&frame[LENGTH_BYTES..]), Ok(answer));
    }
    made_sense || alone
}

/// The same bytes as anything else that strangers send.
fn strangers(bytes: &[u8]) -> bool {
    let mut made_sense = false;
    if let Ok(answer) = Answer::decode(bytes) {
        assert_eq!(&answer.encode().expect("what was read")[LENGTH_BYTES..], bytes);
        made_sense = true;
    }
    if let Ok(setup) = Setup::parse(bytes) {
        let text = setup.to_text().expect("what was read");
        assert_eq!(Setup::parse(&text), Ok(setup));
        made_sense = true;
    }
    if let Ok(registry) = Registry::parse(bytes) {
        let text = registry.to_text().expect("what was read");
        assert_eq!(Registry::parse(text.as_bytes()), Ok(registry));
        made_sense = true;
    }
    let _ = Introduction::parse(bytes);
    let Ok(text) = std::str::from_utf8(bytes) else { return made_sense };
    if let Ok(url) = Url::parse(text) {
        assert_eq!(Url::parse(&url.to_string()), Ok(url.clone()));
        if let Ok(next) = url.join(text) {
            assert_eq!(next, url);
        }
        made_sense = true;
    }
    if let Ok(grant) = NetGrant::parse(text) {
        assert_eq!(NetGrant::parse(&grant.to_string()), Ok(grant));
        made_sense = true;
    }
    if let Ok(endpoint) = Endpoint::parse(text) {
        assert_eq!(Endpoint::parse(&endpoint.to_string()), Ok(endpoint));
        made_sense = true;
    }
    made_sense
}
