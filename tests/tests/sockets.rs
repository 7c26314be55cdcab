//! Sockets as descriptors: passed listeners, connections taken from them and given by whoever
//! answers, and what WASI's functions do with either.

use bls_loader::host::Grants;
use bls_loader::outside::{Answer, Reply, Request};
use bls_tests::fake_outside::grants;
use bls_tests::host_driver::{Answer as Called, Driver, Shape};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;

const BADF: u32 = 8;
const AGAIN: u32 = 6;
const INVAL: u32 = 28;
const MFILE: u32 = 33;
const NOTCONN: u32 = 53;
const NOTSOCK: u32 = 57;
const PIPE: u32 = 64;
const SPIPE: u32 = 70;

const RESULT: u32 = 0x100;
const FLAGS: u32 = 0x108;
const LIST: u32 = 0x200;
const BUFFER: u32 = 0x1000;
const NONBLOCK: u64 = 4;

struct Guest(Driver);

impl Guest {
    #[track_caller]
    fn ask(&mut self, name: &str, arguments: &[u64]) -> Result<u32, u32> {
        match self.0.call(name, arguments) {
            Called::Errno(0) => Ok(self.0.word(RESULT)),
            Called::Errno(errno) => Err(errno),
            other => panic!("{name}: {other:?}"),
        }
    }

    fn read(&mut self, descriptor: u32, length: u32) -> Result<Vec<u8>, u32> {
        self.0.put_words(LIST, &[BUFFER, length]);
        let read = self.ask("fd_read", &[descriptor.into(), LIST.into(), 1, RESULT.into()])?;
        Ok(self.0.memory()[BUFFER as usize..(BUFFER + read) as usize].to_vec())
    }

    fn receive(&mut self, descriptor: u32, length: u32, flags: u64) -> Result<Vec<u8>, u32> {
        self.0.put_words(LIST, &[BUFFER, length]);
        let words = [descriptor.into(), LIST.into(), 1, flags, RESULT.into(), FLAGS.into()];
        let read = self.ask("sock_recv", &words)?;
        Ok(self.0.memory()[BUFFER as usize..(BUFFER + read) as usize].to_vec())
    }

    /// Writes in two buffers, as programs do that end a line.
    fn write(&mut self, descriptor: u32, text: &[u8]) -> Result<u32, u32> {
        let half = text.len() as u32 / 2;
        self.0.put(BUFFER, text);
        self.0.put_words(LIST, &[BUFFER, half, BUFFER + half, text.len() as u32 - half]);
        self.ask("fd_write", &[descriptor.into(), LIST.into(), 2, RESULT.into()])
    }

    fn send(&mut self, descriptor: u32, text: &[u8], flags: u64) -> Result<u32, u32> {
        self.0.put(BUFFER, text);
        self.0.put_words(LIST, &[BUFFER, text.len() as u32]);
        self.ask("sock_send", &[descriptor.into(), LIST.into(), 1, flags, RESULT.into()])
    }

    fn accept(&mut self, descriptor: u32, flags: u64) -> Result<u32, u32> {
        self.ask("sock_accept", &[descriptor.into(), flags, RESULT.into()])
    }
}

/// A listener, and where it listens.
fn listener() -> (OwnedFd, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener.into(), address)
}

/// A guest with one listener, descriptor 3.
fn listening(grants: Grants) -> (Guest, SocketAddr) {
    let (listener, address) = listener();
    let grants = Grants { listeners: vec![listener], ..grants };
    (Guest(Driver::new(Shape::TwoPages, grants)), address)
}

/// A guest with a connection, descriptor 4, and its other end.
fn connected(grants: Grants) -> (Guest, TcpStream) {
    let (mut guest, address) = listening(grants);
    let peer = TcpStream::connect(address).unwrap();
    assert_eq!(guest.accept(3, 0), Ok(4));
    (guest, peer)
}

#[test]
fn a_connection_is_read_written_and_closed() {
    let (mut guest, mut peer) = connected(Grants::default());
    peer.write_all(b"hello\n").unwrap();
    assert_eq!(guest.receive(4, 3, 1), Ok(b"hel".to_vec()), "only looked at");
    assert_eq!(guest.read(4, 100), Ok(b"hello\n".to_vec()));
    assert_eq!(guest.write(4, b"answer\n"), Ok(7));
    assert_eq!(guest.send(4, b"more", 0), Ok(4));
    let mut bytes = [0; 11];
    peer.read_exact(&mut bytes).unwrap();
    assert_eq!(&bytes, b"answer\nmore");
    peer.write_all(b"abcdef").unwrap();
    // All that was asked for, in one.
    assert_eq!(guest.receive(4, 6, 2), Ok(b"abcdef".to_vec()));
    assert_eq!(guest.ask("sock_shutdown", &[4, 2]).err(), None);
    assert_eq!(peer.read(&mut bytes).unwrap(), 0, "it hears of the end");
    assert_eq!(guest.write(4, b"xx"), Err(PIPE), "and no signal comes");
    peer.write_all(b"!").unwrap();
    assert_eq!(guest.read(4, 10), Ok(b"!".to_vec()), "the other side is open");
    drop(peer);
    assert_eq!(guest.read(4, 10), Ok(Vec::new()), "the end");
    assert_eq!(guest.ask("fd_close", &[4]).err(), None);
    assert_eq!(guest.read(4, 10), Err(BADF));
}

#[test]
fn what_is_no_socket_or_not_of_that_kind_is_told() {
    let (mut guest, _peer) = connected(Grants::default());
    assert_eq!(guest.accept(0, 0), Err(NOTSOCK));
    assert_eq!(guest.receive(1, 1, 0), Err(NOTSOCK));
    assert_eq!(guest.send(1, b"x", 0), Err(NOTSOCK));
    assert_eq!(guest.ask("sock_shutdown", &[2, 1]), Err(NOTSOCK));
    assert_eq!(guest.accept(9, 0), Err(BADF));
    assert_eq!(guest.accept(4, 0), Err(INVAL), "a connection takes none");
    assert_eq!(guest.accept(3, 1), Err(INVAL), "no flag of files");
    assert_eq!(guest.read(3, 1), Err(NOTCONN));
    assert_eq!(guest.write(3, b"xy"), Err(NOTCONN));
    assert_eq!(guest.send(3, b"x", 0), Err(NOTCONN));
    assert_eq!(guest.send(4, b"x", 1), Err(INVAL), "there are no such flags");
    assert_eq!(guest.receive(4, 1, 4), Err(INVAL));
    assert_eq!(guest.ask("sock_shutdown", &[4, 0]), Err(INVAL));
    assert_eq!(guest.ask("sock_shutdown", &[4, 4]), Err(INVAL));
    guest.0.put_words(LIST, &[BUFFER, 1]);
    let at = [4, LIST.into(), 1, 0, RESULT.into()];
    assert_eq!(guest.ask("fd_pread", &at), Err(SPIPE));
    assert_eq!(guest.ask("fd_pwrite", &at), Err(SPIPE));
    assert_eq!(guest.ask("fd_seek", &[4, 0, 0, RESULT.into()]), Err(SPIPE));
    assert_eq!(guest.ask("fd_tell", &[4, RESULT.into()]), Err(SPIPE));
    assert_eq!(guest.ask("fd_sync", &[4]), Err(BADF));
    assert_eq!(guest.ask("fd_prestat_get", &[3, RESULT.into()]), Err(BADF));
}

#[test]
fn attributes_say_that_it_is_a_stream_of_bytes_and_what_may_be_done() {
    const SOCKET_STREAM: u8 = 6;
    let (mut guest, _peer) = connected(Grants::default());
    for (descriptor, rights) in [(3_u64, 1 << 29), (4, 1 << 1 | 1 << 6 | 1 << 28)] {
        assert!(guest.ask("fd_fdstat_get", &[descriptor, BUFFER.into()]).is_ok());
        assert_eq!(guest.0.get::<1>(BUFFER), [SOCKET_STREAM]);
        assert_eq!(guest.0.get::<2>(BUFFER + 2), [0; 2]);
        let all = guest.0.long(BUFFER + 8);
        assert_eq!(all & rights, rights, "{descriptor}: {all:x}");
        assert!(guest.ask("fd_filestat_get", &[descriptor, BUFFER.into()]).is_ok());
        assert_eq!(guest.0.get::<1>(BUFFER + 16), [SOCKET_STREAM]);
    }
    assert!(guest.ask("fd_fdstat_set_flags", &[4, NONBLOCK]).is_ok());
    assert!(guest.ask("fd_fdstat_get", &[4, BUFFER.into()]).is_ok());
    assert_eq!(u64::from(guest.0.get::<1>(BUFFER + 2)[0]), NONBLOCK);
    assert_eq!(guest.ask("fd_fdstat_set_flags", &[4, 1]), Err(INVAL), "no file");
}

#[test]
fn what_does_not_block_says_again() {
    let (mut guest, address) = listening(Grants::default());
    assert!(guest.ask("fd_fdstat_set_flags", &[3, NONBLOCK]).is_ok());
    assert_eq!(guest.accept(3, NONBLOCK), Err(AGAIN));
    let mut peer = TcpStream::connect(address).unwrap();
    // A listener that does not block may hear of it later.
    while guest.accept(3, NONBLOCK) == Err(AGAIN) {}
    assert_eq!(guest.read(4, 10), Err(AGAIN));
    peer.write_all(b"x").unwrap();
    loop {
        match guest.read(4, 10) {
            Err(AGAIN) => {}
            read => break assert_eq!(read, Ok(b"x".to_vec())),
        }
    }
}

#[test]
fn sockets_are_waited_for_with_everything_else() {
    let (mut guest, mut peer) = connected(Grants::default());
    peer.write_all(b"abc").unwrap();
    // To be read: the connection. (`subscription`: userdata, tag, descriptor.)
    let mut record = [0; 48];
    record[..8].copy_from_slice(&7_u64.to_le_bytes());
    record[8] = 1;
    record[16..20].copy_from_slice(&4_u32.to_le_bytes());
    guest.0.put(BUFFER, &record);
    let words = [BUFFER.into(), (BUFFER + 0x100).into(), 1, RESULT.into()];
    assert_eq!(guest.ask("poll_oneoff", &words), Ok(1));
    assert_eq!(guest.0.long(BUFFER + 0x100), 7);
    assert_eq!(guest.0.long(BUFFER + 0x110), 3, "so many bytes are there");
}

#[test]
fn what_is_sent_counts_as_output() {
    let limited = || Grants { output_max: Some(10), ..Grants::default() };
    let (mut guest, mut peer) = connected(limited());
    assert_eq!(guest.write(4, b"12345678"), Ok(8));
    guest.0.put(BUFFER, b"abcd");
    guest.0.put_words(LIST, &[BUFFER, 4]);
    let over = guest.0.call("sock_send", &[4, LIST.into(), 1, 0, RESULT.into()]);
    assert_eq!(over, Called::OutputLimit);
    drop(guest);
    let mut all = Vec::new();
    peer.read_to_end(&mut all).unwrap();
    assert_eq!(all, b"12345678ab", "what fits is sent");
}

#[test]
fn no_more_descriptors_than_were_granted() {
    let grants = Grants { descriptors_max: 5, ..Grants::default() };
    let (mut guest, address) = listening(grants);
    let _peers = [TcpStream::connect(address).unwrap(), TcpStream::connect(address).unwrap()];
    assert_eq!(guest.accept(3, 0), Ok(4));
    assert_eq!(guest.accept(3, 0), Err(MFILE));
}

#[test]
fn listeners_stand_behind_the_folders() {
    let folder = tempfile::tempdir().unwrap();
    let (one, _) = listener();
    let (two, address) = listener();
    let preopen = bls_tests::host_driver::preopen(folder.path(), "/d", false);
    let grants = Grants { preopens: vec![preopen], listeners: vec![one, two], ..Grants::default() };
    let mut guest = Guest(Driver::new(Shape::TwoPages, grants));
    assert!(guest.ask("fd_prestat_get", &[3, RESULT.into()]).is_ok());
    assert_eq!(guest.ask("fd_prestat_get", &[4, RESULT.into()]), Err(BADF));
    let _peer = TcpStream::connect(address).unwrap();
    assert_eq!(guest.accept(5, 0), Ok(6));
}

#[test]
fn whoever_answers_gives_connections_and_listeners() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    let (grants, asked) = grants(&["127.0.0.1"], move |request| {
        let descriptor: OwnedFd = match request {
            Request::Connect { .. } => TcpStream::connect(address)?.into(),
            Request::Listen { .. } => TcpListener::bind("127.0.0.1:0")?.into(),
            other => panic!("{other:?}"),
        };
        Ok(Reply { answer: Answer::Descriptor, descriptors: vec![descriptor] })
    });
    let mut guest = Guest(Driver::new(Shape::TwoPages, grants));
    let put = |guest: &mut Guest, text: &str| {
        guest.0.put(BUFFER, text.as_bytes());
        [BUFFER.into(), text.len() as u64]
    };
    let [a, b] = put(&mut guest, "127.0.0.1:80");
    assert_eq!(guest.ask("tcp_connect", &[a, b, RESULT.into()]), Ok(3));
    let (mut peer, _) = server.accept().unwrap();
    peer.write_all(b"PING\n").unwrap();
    assert_eq!(guest.read(3, 100), Ok(b"PING\n".to_vec()));
    assert_eq!(guest.write(3, b"pong\n"), Ok(5));
    let mut bytes = [0; 5];
    peer.read_exact(&mut bytes).unwrap();
    assert_eq!(&bytes, b"pong\n");
    let [a, b] = put(&mut guest, "127.0.0.1:0");
    assert_eq!(guest.ask("create_tcp_bind_socket", &[a, b, RESULT.into()]), Ok(4));
    assert_eq!(guest.read(4, 1), Err(NOTCONN), "a listener");
    // A driver's connection does not block.
    let [a, b] = put(&mut guest, "tcp://127.0.0.1:80");
    assert_eq!(guest.ask("blockless_open", &[a, b, 0, 0, RESULT.into()]), Ok(5));
    assert_eq!(guest.read(5, 1), Err(AGAIN));
    for (name, text, code) in [
        ("tcp_connect", "nonsense", 2),
        ("tcp_connect", "10.0.0.1:80", 2),
        ("create_tcp_bind_socket", "nonsense", 2),
    ] {
        let [a, b] = put(&mut guest, text);
        assert_eq!(guest.ask(name, &[a, b, RESULT.into()]), Err(code), "{name} {text}");
    }
    for (text, code) in
        [("nosuch://x", 10), ("nonsense", 10), ("tcp://", 10), ("tcp://10.0.0.1:80", 14)]
    {
        let [a, b] = put(&mut guest, text);
        assert_eq!(guest.ask("blockless_open", &[a, b, 0, 0, RESULT.into()]), Err(code), "{text}");
    }
    guest.0.put(BUFFER, b"\xff\xfe");
    assert_eq!(guest.ask("tcp_connect", &[BUFFER.into(), 2, RESULT.into()]), Err(1));
    assert_eq!(guest.ask("blockless_open", &[BUFFER.into(), 2, 0, 0, RESULT.into()]), Err(12));
    assert_eq!(asked.lock().unwrap().len(), 3);
}

#[test]
fn a_full_table_opens_nothing() {
    let (mut grants, asked) = grants(&["127.0.0.1"], |request| panic!("{request:?}"));
    grants.descriptors_max = 3;
    let mut guest = Guest(Driver::new(Shape::TwoPages, grants));
    guest.0.put(BUFFER, b"127.0.0.1:80");
    assert_eq!(guest.ask("tcp_connect", &[BUFFER.into(), 12, RESULT.into()]), Err(2));
    assert!(asked.lock().unwrap().is_empty());
}
