//! `wasi:sockets/tcp` and `tcp-create-socket`.

use super::options::Options;
use super::{Code, Socket, address, answer, answer_word, check_network, endpoint};
use crate::guest::{Caller, Record};
use crate::objects::{self, Kind, Object};
use crate::poll::{Pollable, Ready};
use crate::streams::{Input, Output, To};
use crate::{handles, preview1, trap};
use alloc::format;
use alloc::rc::Rc;
use core::mem::replace;

/// A `tcp-socket`.
pub(crate) struct Tcp {
    is_v6: bool,
    state: State,
    pub(super) options: Options,
}

/// How far it is.
enum State {
    Unbound,
    /// `start-bind` has listened; what it gave was not asked for yet.
    Binding(Rc<Socket>),
    Bound(Rc<Socket>),
    /// `finish-listen` was not called yet.
    BeginsToListen(Rc<Socket>),
    Listens(Rc<Socket>),
    /// `start-connect` has connected, or not.
    Connecting(Result<Rc<Socket>, Code>),
    Connected(Rc<Socket>),
    Closed,
}

/// The socket of a caller's handle.
pub(super) fn tcp(caller: Caller, this: u32) -> &'static mut Tcp {
    match objects::get(handles::rep_of(caller, Kind::Tcp, this)) {
        Object::Tcp(tcp) => tcp,
        _ => trap(),
    }
}

impl Tcp {
    fn new(is_v6: bool, state: State) -> Object {
        Object::Tcp(Self { is_v6, state, options: Options::default() })
    }

    fn socket(&self) -> Option<&Rc<Socket>> {
        match &self.state {
            State::Bound(socket)
            | State::BeginsToListen(socket)
            | State::Listens(socket)
            | State::Connected(socket) => Some(socket),
            _ => None,
        }
    }

    /// What is said where something else is under way, or cannot be.
    fn otherwise(&self) -> Code {
        match self.state {
            State::Binding(_) | State::Connecting(_) | State::BeginsToListen(_) => {
                Code::ConcurrencyConflict
            }
            _ => Code::InvalidState,
        }
    }

    /// The same of what was not begun.
    fn not_begun(&self) -> Code {
        match self.state {
            State::Binding(_) | State::Connecting(_) | State::BeginsToListen(_) => {
                Code::ConcurrencyConflict
            }
            _ => Code::NotInProgress,
        }
    }
}

/// The two streams of a connection, which must go before the socket.
fn streams(caller: Caller, of: u32, socket: &Rc<Socket>) -> (u32, u32) {
    let input = Object::Input(Input::of_socket(socket.clone()));
    let output = Object::Output(Output::new(To::Socket(socket.clone())));
    let input = handles::own(caller, Kind::Input, objects::insert_child(input, Some(of)));
    let output = handles::own(caller, Kind::Output, objects::insert_child(output, Some(of)));
    (input, output)
}

#[unsafe(export_name = "wasi:sockets/tcp-create-socket#create-tcp-socket")]
extern "C" fn create(caller: Caller, family: u32, to: u32) {
    if family > 1 {
        trap();
    }
    let socket = objects::insert(Tcp::new(family == 1, State::Unbound));
    answer_word(caller, to, Ok(handles::own(caller, Kind::Tcp, socket)));
}

/// Makes a function of an `ip-socket-address`.
macro_rules! of_address {
    ($name:literal, $function:ident, $does:ident) => {
        #[unsafe(export_name = $name)]
        extern "C" fn $function(
            caller: Caller,
            this: u32,
            network: u32,
            case: u32,
            a: u32,
            b: u32,
            c: u32,
            d: u32,
            e: u32,
            f: u32,
            g: u32,
            h: u32,
            i: u32,
            j: u32,
            k: u32,
            to: u32,
        ) {
            check_network(caller, network);
            let address = address::of_parameters(case, [a, b, c, d, e, f, g, h, i, j, k]);
            answer(caller, to, $does(tcp(caller, this), address));
        }
    };
}

of_address!("wasi:sockets/tcp#[method]tcp-socket.start-bind", start_bind, bind);
of_address!("wasi:sockets/tcp#[method]tcp-socket.start-connect", start_connect, begin_connect);

fn bind(tcp: &mut Tcp, on: core::net::SocketAddr) -> Result<(), Code> {
    if !matches!(tcp.state, State::Unbound) {
        return Err(tcp.otherwise());
    }
    address::check_family(on, tcp.is_v6)?;
    tcp.state = State::Binding(Rc::new(Socket::listening(&format!("{on}"))?));
    Ok(())
}

#[unsafe(export_name = "wasi:sockets/tcp#[method]tcp-socket.finish-bind")]
extern "C" fn finish_bind(caller: Caller, this: u32, to: u32) {
    let tcp = tcp(caller, this);
    let done = match replace(&mut tcp.state, State::Unbound) {
        State::Binding(socket) => {
            tcp.state = State::Bound(socket);
            Ok(())
        }
        other => {
            tcp.state = other;
            Err(tcp.not_begun())
        }
    };
    answer(caller, to, done);
}

fn begin_connect(tcp: &mut Tcp, remote: core::net::SocketAddr) -> Result<(), Code> {
    match tcp.state {
        State::Unbound => {}
        // Whoever connects from an address of its own would have to say so to the host.
        State::Bound(_) => return Err(Code::NotSupported),
        _ => return Err(tcp.otherwise()),
    }
    address::check_remote(remote, tcp.is_v6)?;
    match Socket::connected(&endpoint(remote)) {
        // What is not granted is said at once, as on wasmtime.
        Err(code @ (Code::AccessDenied | Code::InvalidArgument)) => Err(code),
        connected => {
            tcp.state = State::Connecting(connected.map(Rc::new));
            Ok(())
        }
    }
}

/// `result<tuple<input-stream, output-stream>, error-code>`
#[unsafe(export_name = "wasi:sockets/tcp#[method]tcp-socket.finish-connect")]
extern "C" fn finish_connect(caller: Caller, this: u32, to: u32) {
    let tcp = tcp(caller, this);
    let connected = match replace(&mut tcp.state, State::Closed) {
        State::Connecting(connected) => connected,
        other => {
            tcp.state = other;
            Err(tcp.not_begun())
        }
    };
    let record = match connected {
        Ok(socket) => {
            tcp.state = State::Connected(socket.clone());
            let of = handles::rep_of(caller, Kind::Tcp, this);
            let (input, output) = streams(caller, of, &socket);
            Record::<12>::new().u32(4, input).u32(8, output)
        }
        Err(code) => Record::new().u8(0, 1).u8(4, code as u8),
    };
    caller.record(to, 4, &record);
}

#[unsafe(export_name = "wasi:sockets/tcp#[method]tcp-socket.start-listen")]
extern "C" fn start_listen(caller: Caller, this: u32, to: u32) {
    let tcp = tcp(caller, this);
    let done = match replace(&mut tcp.state, State::Closed) {
        State::Bound(socket) => {
            tcp.state = State::BeginsToListen(socket);
            Ok(())
        }
        other => {
            tcp.state = other;
            Err(tcp.otherwise())
        }
    };
    answer(caller, to, done);
}

#[unsafe(export_name = "wasi:sockets/tcp#[method]tcp-socket.finish-listen")]
extern "C" fn finish_listen(caller: Caller, this: u32, to: u32) {
    let tcp = tcp(caller, this);
    let done = match replace(&mut tcp.state, State::Closed) {
        State::BeginsToListen(socket) => {
            tcp.state = State::Listens(socket);
            Ok(())
        }
        other => {
            tcp.state = other;
            Err(tcp.not_begun())
        }
    };
    answer(caller, to, done);
}

/// `result<tuple<tcp-socket, input-stream, output-stream>, error-code>`
#[unsafe(export_name = "wasi:sockets/tcp#[method]tcp-socket.accept")]
extern "C" fn accept(caller: Caller, this: u32, to: u32) {
    let tcp = tcp(caller, this);
    let accepted = match &tcp.state {
        State::Listens(socket) => socket.accepted().map(|one| (tcp.is_v6, Rc::new(one))),
        _ => Err(Code::InvalidState),
    };
    let record = match accepted {
        Ok((is_v6, socket)) => {
            let new = objects::insert(Tcp::new(is_v6, State::Connected(socket.clone())));
            let handle = handles::own(caller, Kind::Tcp, new);
            let (input, output) = streams(caller, new, &socket);
            Record::<16>::new().u32(4, handle).u32(8, input).u32(12, output)
        }
        Err(code) => Record::new().u8(0, 1).u8(4, code as u8),
    };
    caller.record(to, 4, &record);
}

#[unsafe(export_name = "wasi:sockets/tcp#[method]tcp-socket.local-address")]
extern "C" fn local_address(caller: Caller, this: u32, to: u32) {
    let tcp = tcp(caller, this);
    let address = match tcp.socket() {
        Some(socket) => socket.address(false),
        None => Err(tcp.otherwise()),
    };
    address::answer(caller, to, address);
}

#[unsafe(export_name = "wasi:sockets/tcp#[method]tcp-socket.remote-address")]
extern "C" fn remote_address(caller: Caller, this: u32, to: u32) {
    let address = match &tcp(caller, this).state {
        State::Connected(socket) => socket.address(true),
        _ => Err(Code::InvalidState),
    };
    address::answer(caller, to, address);
}

#[unsafe(export_name = "wasi:sockets/tcp#[method]tcp-socket.is-listening")]
extern "C" fn is_listening(caller: Caller, this: u32) -> u32 {
    u32::from(matches!(tcp(caller, this).state, State::Listens(_)))
}

#[unsafe(export_name = "wasi:sockets/tcp#[method]tcp-socket.address-family")]
extern "C" fn address_family(caller: Caller, this: u32) -> u32 {
    u32::from(tcp(caller, this).is_v6)
}

/// How many connections wait to be taken is for the host to say.
#[unsafe(export_name = "wasi:sockets/tcp#[method]tcp-socket.set-listen-backlog-size")]
extern "C" fn set_backlog(caller: Caller, this: u32, size: u64, to: u32) {
    let tcp = tcp(caller, this);
    let done = match (size, &tcp.state) {
        (0, _) => Err(Code::InvalidArgument),
        (_, State::Connecting(_) | State::Connected(_) | State::Closed) => Err(Code::InvalidState),
        _ => Ok(()),
    };
    answer(caller, to, done);
}

#[unsafe(export_name = "wasi:sockets/tcp#[method]tcp-socket.subscribe")]
extern "C" fn subscribe(caller: Caller, this: u32) -> u32 {
    let of = handles::rep_of(caller, Kind::Tcp, this);
    match &tcp(caller, this).state {
        State::Listens(socket) => Pollable::of_socket(caller, of, Ready::Read(socket.fd())),
        _ => Pollable::of(caller, of, false),
    }
}

#[unsafe(export_name = "wasi:sockets/tcp#[method]tcp-socket.shutdown")]
extern "C" fn shutdown(caller: Caller, this: u32, how: u32, to: u32) {
    if how > 2 {
        trap();
    }
    let done = match &tcp(caller, this).state {
        // Bit 0 is what is received, bit 1 what is sent; the cases begin at 0.
        State::Connected(socket) => preview1::shutdown(socket.fd(), how + 1).map_err(Code::of),
        _ => Err(Code::InvalidState),
    };
    answer(caller, to, done);
}
