//! Sockets: of every family, connected and bound; and the one over which the broker is asked.

use super::script::{Script, Value};
use super::{Attempt, Scene, Trace, Worked};
use bls_artifact::broker::{Answer, Request};
use libc as c;

/// A socket of this kind.
fn socket(s: &mut Script, family: i32, kind: i32, protocol: i32) -> Value {
    let socket = s.call(c::SYS_socket, &[family.into(), kind.into(), protocol.into()]);
    s.need(socket);
    socket
}

/// `struct sockaddr_in` of this machine alone.
fn local(port: u16) -> [u8; 16] {
    let mut address = [0; 16];
    address[..2].copy_from_slice(&(c::AF_INET as u16).to_le_bytes());
    address[2..4].copy_from_slice(&port.to_be_bytes());
    address[4..8].copy_from_slice(&[127, 0, 0, 1]);
    address
}

/// `struct sockaddr_un` of a path, or of an abstract name (which begins with a zero).
fn unix(name: &[u8]) -> Vec<u8> {
    [&(c::AF_UNIX as u16).to_le_bytes()[..], name].concat()
}

/// An attempt to make a socket.
macro_rules! a_socket {
    ($name:literal, $tries:literal, $family:expr, $kind:expr, $protocol:expr) => {
        Attempt::new($name, $tries, Worked::Last, |_: &Scene, s: &mut Script| {
            s.call(c::SYS_socket, &[$family.into(), $kind.into(), $protocol.into()]);
        })
    };
}

#[rustfmt::skip]
pub(super) fn attempts() -> Vec<Attempt> {
    use Worked::Last;
    vec![
        a_socket!("socket-tcp", "a socket of the internet (TCP)", c::AF_INET, c::SOCK_STREAM, 0),
        a_socket!("socket-udp", "the same for datagrams (UDP)", c::AF_INET, c::SOCK_DGRAM, 0),
        a_socket!("socket-ipv6", "the same for IPv6", c::AF_INET6, c::SOCK_STREAM, 0).where_there(),
        a_socket!("socket-unix", "a socket of this machine", c::AF_UNIX, c::SOCK_STREAM, 0),
        a_socket!("socket-netlink", "a socket to the kernel's network", c::AF_NETLINK, c::SOCK_RAW, 0),
        a_socket!("socket-packet", "a socket that hears and sends raw frames", c::AF_PACKET, c::SOCK_RAW, 0).where_there(),
        a_socket!("socket-raw", "a socket that sends raw packets", c::AF_INET, c::SOCK_RAW, c::IPPROTO_ICMP).for_root(),
        a_socket!("socket-vsock", "a socket to the host of a virtual machine", c::AF_VSOCK, c::SOCK_STREAM, 0).where_there(),
        a_socket!("socket-alg", "a socket to the kernel's ciphers", c::AF_ALG, c::SOCK_SEQPACKET, 0).where_there(),
        Attempt::new("socketpair", "two connected sockets", Last, |_, s| {
            let pair = s.room(8);
            s.call(c::SYS_socketpair, &[c::AF_UNIX.into(), c::SOCK_STREAM.into(), 0.into(), pair]);
        }),
        Attempt::new("connect-tcp", "connect to a server of this machine", Last, |scene, s| {
            let address = s.bytes(&local(scene.port));
            let socket = socket(s, c::AF_INET, c::SOCK_STREAM, 0);
            s.call(c::SYS_connect, &[socket, address, 16.into()]);
        }),
        Attempt::new("connect-unix", "connect to a socket's path", Last, |scene, s| {
            let path = scene.path("socket");
            let path = unix(&[path.as_os_str().as_encoded_bytes(), &[0]].concat());
            let address = s.bytes(&path);
            let socket = socket(s, c::AF_UNIX, c::SOCK_STREAM, 0);
            s.call(c::SYS_connect, &[socket, address, path.len().into()]);
        }),
        Attempt::new("connect-abstract", "connect to an abstract socket", Last, |scene, s| {
            let name = unix(&[&[0], scene.abstract_name.as_bytes()].concat());
            let address = s.bytes(&name);
            let socket = socket(s, c::AF_UNIX, c::SOCK_STREAM, 0);
            s.call(c::SYS_connect, &[socket, address, name.len().into()]);
        }),
        Attempt::new("listen-tcp", "serve on a port", Last, |_, s| {
            let address = s.bytes(&local(0));
            let socket = socket(s, c::AF_INET, c::SOCK_STREAM, 0);
            let bound = s.call(c::SYS_bind, &[socket, address, 16.into()]);
            s.need(bound);
            s.call(c::SYS_listen, &[socket, 1.into()]);
        }),
        Attempt::new("bind-unix", "a socket's path in a granted folder", Last, |scene, s| {
            let path = scene.path("rw/socket");
            let path = unix(&[path.as_os_str().as_encoded_bytes(), &[0]].concat());
            let address = s.bytes(&path);
            let socket = socket(s, c::AF_UNIX, c::SOCK_STREAM, 0);
            s.call(c::SYS_bind, &[socket, address, path.len().into()]);
        }),
        Attempt::new("sendto-udp", "send a datagram", Last, |scene, s| {
            let address = s.bytes(&local(scene.port));
            let socket = socket(s, c::AF_INET, c::SOCK_DGRAM, 0);
            s.call(c::SYS_sendto, &[socket, address, 4.into(), 0.into(), address, 16.into()]);
        }),
        Attempt::new("32-bit-socket", "a socket, by a 32-bit program's call (int 0x80)", Last, |_, s| {
            const SOCKET: c::c_long = 359;
            s.old_call(SOCKET, &[c::AF_INET.into(), c::SOCK_STREAM.into(), 0.into()]);
        }).where_there(),
        Attempt::new("x32-socket", "a socket, by x32's number of the call", Last, |_, s| {
            const X32: c::c_long = 0x4000_0000;
            s.call(X32 | c::SYS_socket, &[c::AF_INET.into(), c::SOCK_STREAM.into(), 0.into()]);
        }).where_there(),
    ]
}

/// Sends a frame over whichever descriptor is the broker's, and takes what comes back.
fn ask(s: &mut Script, request: &Request) {
    let frame = request.encode().expect("a frame");
    let (bytes, length) = (s.bytes(&frame), frame.len());
    let (answer, control) = (s.room(64), s.room(64));
    let buffer = s.list(&[answer, 64.into()]);
    let message = s.list(&[0.into(), 0.into(), buffer, 1.into(), control, 64.into(), 0.into()]);
    // From the highest on: one that comes with an answer is not asked in its turn.
    for descriptor in (3..15).rev() {
        let values = [descriptor.into(), bytes, length.into(), 0.into(), 0.into(), 0.into()];
        s.call(c::SYS_sendto, &values);
        s.call(c::SYS_recvmsg, &[descriptor.into(), message, 0.into()]);
    }
}

/// Whether an answer of so many bytes came: no other, and nothing that is sent, has as many.
fn has_answer(trace: &Trace, answer: &Answer) -> bool {
    let length = answer.encode().expect("a frame").len() as i64;
    trace.results.values().any(|result| *result == length)
}

/// What is asked of the broker though it was not granted. A refusal says why, and is longer.
pub(super) fn asked() -> Vec<Attempt> {
    let socket = Worked::When(|_, trace| has_answer(trace, &Answer::Descriptor));
    vec![
        Attempt::new("broker-connect", "have the broker connect", socket, |scene, s| {
            ask(s, &Request::Connect { endpoint: format!("127.0.0.1:{}", scene.port) });
        }),
        Attempt::new("broker-listen", "have the broker listen", socket, |_, s| {
            ask(s, &Request::Listen { endpoint: "127.0.0.1:0".into() });
        }),
        Attempt::new(
            "broker-start",
            "have the broker start a program",
            Worked::When(|_, trace| {
                has_answer(trace, &Answer::Started { handle: 1, output_max: 1 })
            }),
            |_, s| {
                let alias = "/bin/sh".into();
                ask(s, &Request::Start { alias, arguments: Vec::new(), variables: Vec::new() });
            },
        ),
    ]
}
