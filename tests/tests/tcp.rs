//! Components that use sockets (`wasi:sockets`): with a real bls-broker, and the other end of each
//! connection in the test's own process. The fixture traps at what is not as it must be.

use bls_tests::ports;
use bls_tests::programs::{Ended, Home, fixtures, minimal, run, wasmtime};
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

/// Codes of `wasi:sockets/network.error-code`.
const ACCESS_DENIED: u8 = 1;
const INVALID_ARGUMENT: u8 = 3;
const ADDRESS_IN_USE: u8 = 12;
const REMOTE_UNREACHABLE: u8 = 13;
const CONNECTION_REFUSED: u8 = 14;
const PERMANENT_RESOLVER_FAILURE: u8 = 20;

/// The fixture, of this role and port, and the name where it is another one.
fn fixture(home: &Home, role: &str, port: u16, name: Option<&str>) -> PathBuf {
    let file = fixtures().join("component/sockets.wat").canonicalize().expect("a fixture");
    let port = format!("(i32.const {port})");
    let role = format!("(call ${role})");
    let mut changes = vec![("(i32.const 8099) ;; PORT", &*port), ("(call $client) ;; ROLE", &role)];
    let (length, text);
    if let Some(name) = name {
        length = format!("(i32.const {})", name.len());
        text = format!("\"{name}\"");
        changes.extend([("(i32.const 9) ;; LENGTH", &*length), ("\"localhost\"", &*text)]);
    }
    home.changed(&file, &changes)
}

/// A port where somebody says back what comes, once it has all come.
fn echo() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let _ = thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut all = Vec::new();
            let read = stream.read_to_end(&mut all);
            let _ = read.and_then(|_| stream.write_all(&[b"got: ", &*all].concat()));
        }
    });
    port
}

/// A port where nobody listens.
fn nobody() -> u16 {
    ports::free().port()
}

fn ran(home: &Home, grants: &[&str], component: &Path) -> Ended {
    let artifact = home.compile(component, &[]);
    home.load(grants, &artifact, &[])
}

#[track_caller]
fn gives(ended: Ended, code: u8) {
    assert_eq!(ended.expect(1).stdout, [code]);
}

#[test]
fn a_client_says_something_and_reads_the_answer() {
    let home = Home::new();
    let port = echo();
    for name in [None, Some("127.0.0.1"), Some("LOCALHOST"), Some("localhost.")] {
        let component = fixture(&home, "client", port, name);
        let host = name.unwrap_or("localhost");
        let ended = ran(&home, &[&format!("--allow-net=tcp://{host}:{port}")], &component);
        assert_eq!(ended.expect(0).stdout, b"got: hello over TCP", "{host}");
    }
    if let Some(peer) = wasmtime() {
        let mut command = Command::new(peer);
        command.args(["run", "-Sinherit-network", "-Sallow-ip-name-lookup"]);
        let ended = run(command.arg(fixture(&home, "client", port, None)), b"").expect(0);
        assert_eq!(ended.stdout, b"got: hello over TCP");
    }
}

#[test]
fn what_is_not_granted_is_an_error_and_no_trap() {
    let home = Home::new();
    let port = echo();
    let by_name = fixture(&home, "client", port, None);
    let artifact = home.compile(&by_name, &[]);
    // Nothing, a place that is another's, and one that is about HTTP: nothing is looked up.
    for grants in [&[][..], &["--allow-net=tcp://example.com"], &["--allow-net=http://localhost"]] {
        gives(home.load(grants, &artifact, &[]), PERMANENT_RESOLVER_FAILURE);
    }
    // Another port of it; an address of it that is refused.
    let other = format!("--allow-net=tcp://localhost:{}", if port == 1 { 2 } else { 1 });
    gives(home.load(&[&other], &artifact, &[]), ACCESS_DENIED);
    let all = "--allow-net=tcp://localhost";
    gives(home.load(&[all, "--deny-net=127.0.0.0/8"], &artifact, &[]), ACCESS_DENIED);
    // By its address only where the address is granted.
    let by_address = fixture(&home, "client", port, Some("127.0.0.1"));
    let artifact = home.compile(&by_address, &[]);
    gives(home.load(&[all], &artifact, &[]), ACCESS_DENIED);
    gives(home.load(&[], &artifact, &[]), ACCESS_DENIED);
}

#[test]
fn what_cannot_be_reached_says_why() {
    let home = Home::new();
    let client = |port, name| fixture(&home, "client", port, name);
    let all = &["--allow-net=tcp://*", "--allow-net=tcp://127.0.0.1"][..];
    gives(ran(&home, all, &client(nobody(), Some("127.0.0.1"))), CONNECTION_REFUSED);
    gives(ran(&home, all, &client(80, Some("no-such-name.invalid"))), REMOTE_UNREACHABLE);
    for nonsense in ["a b", "", "a..b", "256.1.1.1"] {
        gives(ran(&home, all, &client(80, Some(nonsense))), INVALID_ARGUMENT);
    }
}

#[test]
fn a_server_takes_a_connection() {
    let home = Home::new();
    let artifact = home.compile(&fixture(&home, "server", 0, None), &[]);
    let mut command = home.load_command(&["--allow-net=tcp://127.0.0.1"], &artifact);
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("a process");
    let mut port = [0; 2];
    child.stdout.as_mut().expect("a pipe").read_exact(&mut port).expect("a port");
    let mut stream = TcpStream::connect(("127.0.0.1", u16::from_le_bytes(port))).expect("one");
    let long: Vec<u8> = (0..300_000_u32).map(|byte| byte as u8).collect();
    let mut writer = stream.try_clone().expect("a copy");
    let sent = long.clone();
    let writes = thread::spawn(move || {
        writer.write_all(&sent).and_then(|()| writer.shutdown(Shutdown::Write))
    });
    let mut back = Vec::new();
    let _ = stream.read_to_end(&mut back).expect("an end");
    writes.join().expect("no panic").expect("all of it is taken");
    assert_eq!(back.len(), long.len());
    assert!(back == long);
    assert!(child.wait().expect("an end").success());
}

#[test]
fn a_place_to_listen_on_is_granted_and_free_or_an_error() {
    let home = Home::new();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port();
    let artifact = home.compile(&fixture(&home, "server", port, None), &[]);
    gives(home.load(&[], &artifact, &[]), ACCESS_DENIED);
    gives(home.load(&["--allow-net=tcp://127.0.0.1:1"], &artifact, &[]), ACCESS_DENIED);
    gives(home.load(&["--allow-net=tcp://127.0.0.1"], &artifact, &[]), ADDRESS_IN_USE);
}

#[test]
fn what_a_component_may_use_is_said_and_a_small_loader_grants_nothing() {
    let home = Home::new();
    let component = fixture(&home, "client", echo(), None);
    let checked = Command::new(bls_tests::programs::compiler())
        .arg("check")
        .arg(&component)
        .output()
        .expect("a text");
    let checked = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert!(checked.contains("sockets") && checked.contains("bls_socket"), "{checked}");
    let artifact = home.compile(&component, &["--wasm", "core"]);
    let mut command = Command::new(minimal());
    let ended = run(command.arg("--trust").arg(home.public_key()).arg(artifact), b"");
    gives(ended, PERMANENT_RESOLVER_FAILURE);
}
