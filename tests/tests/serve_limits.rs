//! bls-serve's limits, and the life of its processes: what a request may take, who waits, who is
//! replaced, what is read again, and how all of it ends.

use bls_tests::programs::fixtures;
use bls_tests::serve::{Server, connect, read_reply, send, server, until, words};
use rustix::process::Signal;
use std::ffi::OsString;
use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

#[test]
fn each_request_has_its_limits() {
    let (_home, server) = server(&[
        "--workers=1",
        "--fuel=300M",
        "--timeout=20s",
        "--max-memory=16MiB",
        "--max-output=64KiB",
        "--max-request=1KiB",
    ]);
    assert_eq!(server.get("/spin").status, 500);
    assert_eq!(server.log("/spin", 1)[0]["guest"]["outcome"], "out-of-fuel");
    assert_eq!(server.log("/spin", 1)[0]["guest"]["fuel"], 300_000_000);
    // A growth that fails is the guest's to see.
    assert_eq!(server.get("/grow").both(), (507, "no".into()));
    assert_eq!(server.get("/fill").status, 500);
    let line = &server.log("/fill", 1)[0];
    assert_eq!(line["guest"]["outcome"], "limit", "{line}");
    let post = |head: &str, body: &str| {
        server.ask(&format!("POST /echo HTTP/1.1\r\nHost: x\r\n{head}\r\n{body}"))
    };
    assert_eq!(post("Content-Length: 1024\r\n", &"a".repeat(1024)).status, 200);
    // Said before it is sent.
    assert_eq!(post("Content-Length: 1025\r\n", "").status, 413);
    assert_eq!(post("Content-Length: 1025\r\nExpect: 100-continue\r\n", "").status, 413);
    let chunk = format!("401\r\n{}\r\n0\r\n\r\n", "a".repeat(1025));
    assert_eq!(post("Transfer-Encoding: chunked\r\n", &chunk).status, 413);
    assert_eq!(server.metric("bls_serve_refusals_total{reason=\"body-too-long\"}"), 3);
    assert_eq!(server.processes("work").len(), 1);
}

#[test]
fn time_is_limited_and_the_worker_goes_on() {
    let (_home, server) = server(&["--workers=1", "--timeout=200ms"]);
    let workers = server.processes("work");
    assert_eq!(server.get("/spin").both(), (504, "504 Gateway Timeout\n".into()));
    assert_eq!(server.log("/spin", 1)[0]["guest"]["outcome"], "time");
    assert_eq!(server.get("/coun").both(), (200, "11".into()));
    assert_eq!(server.processes("work"), workers);
}

#[test]
fn as_many_wait_as_may() {
    let (_home, server) = server(&["--workers=1", "--queue=1", "--timeout=60s"]);
    let spin = b"GET /spin HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut busy = connect(server.address);
    busy.write_all(spin).unwrap();
    let counts = || {
        let of = |name: &str| server.metric(&format!("bls_serve_{name}_requests"));
        (of("active"), of("waiting"))
    };
    until("one is at work", || counts() == (1, 0));
    let mut waiting = connect(server.address);
    waiting.write_all(b"GET /coun HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    until("one waits", || counts() == (2, 1));
    let reply = server.get("/coun");
    assert_eq!((reply.status, reply.header("retry-after")), (503, Some("1")));
    // Who goes away leaves its place; and a worker that is killed costs what it had.
    send(server.processes("work")[0], Signal::KILL);
    assert_eq!(read_reply(&mut busy).both(), (502, "502 Bad Gateway\n".into()));
    assert_eq!(read_reply(&mut waiting).both(), (200, "11".into()));
    assert_eq!(server.metric("bls_serve_workers_lost_total"), 1);
    until("the end of it is said", || server.said().contains("was ended by SIGKILL"));
}

#[test]
fn a_request_that_nobody_takes_in_its_time_is_told_so() {
    let (_home, server) = server(&["--workers=1", "--timeout=400ms"]);
    let mut busy: Vec<_> = (0..3).map(|_| connect(server.address)).collect();
    for connection in &mut busy {
        connection.write_all(b"GET /spin HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    }
    let mut all: Vec<u16> = busy.iter_mut().map(|one| read_reply(one).status).collect();
    all.sort_unstable();
    assert_eq!((all[0], all[2]), (503, 504), "{all:?}");
}

#[test]
fn workers_that_are_killed_are_replaced() {
    let (_home, server) = server(&["--workers=2"]);
    for round in 1..=3 {
        for worker in server.processes("work") {
            send(worker, Signal::KILL);
        }
        until("both are replaced", || {
            let lost = server.metric("bls_serve_workers_lost_total");
            lost == 2 * round && server.metric("bls_serve_workers") == 2
        });
        assert_eq!(server.get("/coun").both(), (200, "11".into()));
    }
    assert_eq!(server.watch("/healthz").both(), (200, "ok\n".into()));
}

#[test]
fn each_process_has_given_up_what_it_does_not_need() {
    let (_home, server) = server(&["--workers=1", "--require-sandbox"]);
    // Who is answered is answered from behind the wall.
    assert_eq!(server.get("/coun").status, 200);
    for kind in ["work", "net"] {
        let process = server.processes(kind)[0];
        let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
        for line in ["Seccomp:\t2", "NoNewPrivs:\t1", "CapEff:\t0000000000000000"] {
            assert!(status.lines().any(|one| one == line), "{kind}: {line}\n{status}");
        }
        let maps = std::fs::read_to_string(format!("/proc/{process}/maps")).unwrap();
        let has_code = maps.lines().any(|line| line.contains("r-x") && line.contains("memfd"));
        assert_eq!(has_code, kind == "work", "{kind}\n{maps}");
    }
}

#[test]
fn what_has_begun_is_answered_before_the_end() {
    let (_home, mut server) = server(&["--workers=1", "--timeout=1s", "--drain=30s"]);
    let mut idle = connect(server.address);
    idle.write_all(b"GET /coun HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    assert_eq!(read_reply(&mut idle).status, 200);
    let mut busy = connect(server.address);
    busy.write_all(b"GET /spin HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    until("it is at work", || server.metric("bls_serve_active_requests") == 1);
    server.signal(Signal::TERM);
    until("it says that it drains", || server.watch("/healthz").text() == "draining\n");
    // No connection is taken any more, those that do nothing end, and what has begun is answered.
    until("nobody listens", || std::net::TcpStream::connect(server.address).is_err());
    assert_eq!(idle.read(&mut [0]).unwrap(), 0);
    assert_eq!(read_reply(&mut busy).status, 504);
    assert!(server.wait().success());
    assert_eq!(server.log("/spin", 1).len(), 1, "the log is whole");
}

#[test]
fn the_time_to_drain_is_limited_and_a_second_signal_ends_at_once() {
    for (drain, twice) in [("200ms", false), ("1h", true)] {
        let (_home, mut server) = server(&["--timeout=1h", "--drain", drain]);
        let workers = server.processes("work");
        let mut busy = connect(server.address);
        busy.write_all(b"GET /spin HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        until("it is at work", || server.metric("bls_serve_active_requests") == 1);
        server.signal(Signal::TERM);
        if twice {
            until("the first is heard", || server.said().contains("takes no more"));
            server.signal(Signal::INT);
        }
        assert!(server.wait().success(), "{drain}");
        assert_eq!(read_reply(&mut busy).status, 0);
        let is_there = |process: &u32| PathBuf::from(format!("/proc/{process}")).exists();
        assert!(!workers.iter().any(is_there), "a worker is left");
    }
}

#[test]
fn no_process_outlives_the_first() {
    let (_home, mut server) = server(&["--workers=2"]);
    let every = || [server.processes("work"), server.processes("net")].concat();
    // Each names itself, when it comes to it.
    until("all have begun", || every().len() == 3);
    let all = every();
    server.signal(Signal::KILL);
    assert!(!server.wait().success());
    let is_there = |process: &u32| {
        let status = std::fs::read_to_string(format!("/proc/{process}/status"));
        status.is_ok_and(|status| !status.contains("State:\tZ"))
    };
    until("all are gone", || !all.iter().any(is_there));
}

#[test]
fn slow_clients_do_not_stay() {
    let (_home, server) = server(&[
        "--header-timeout=200ms",
        "--idle-timeout=300ms",
        "--max-request=64MiB",
        "--max-output=64MiB",
    ]);
    let ends = |sent: &[u8]| {
        let mut connection = connect(server.address);
        connection.write_all(sent).unwrap();
        let mut reply = Vec::new();
        // Also where the server ends it with words that nobody read.
        let _ = connection.read_to_end(&mut reply);
        String::from_utf8_lossy(&reply).into_owned()
    };
    assert_eq!(ends(b""), "", "one that says nothing");
    assert!(!ends(b"GET /coun HTTP/1.1\r\nHo").contains(" 200 "), "half a head");
    assert!(!ends(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").is_empty(), "HTTP/2, and no request");
    let slow = ends(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc");
    assert!(slow.starts_with("HTTP/1.1 408 "), "half a body: {slow}");
    assert!(ends(b"GET /coun HTTP/1.1\r\nHost: x\r\n\r\n").starts_with("HTTP/1.1 200 "));
    // One that does not take what it asked for, which is more than the kernel keeps for it.
    let body = vec![b'x'; 48 << 20];
    let mut taking_nothing = connect(server.address);
    let head = format!("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", body.len());
    taking_nothing.write_all(head.as_bytes()).unwrap();
    taking_nothing.write_all(&body).unwrap();
    until("it is answered", || !server.log("/echo", 1).iter().all(|line| line["status"] == 408));
    until("it is gone", || server.metric("bls_serve_connections") == 0);
    let mut taken = Vec::new();
    let _ = taking_nothing.read_to_end(&mut taken);
    assert!(taken.len() < body.len(), "all of it was sent");
}

#[test]
fn what_is_served_is_read_again_when_asked() {
    let (home, artifact) = words();
    let place = home.path("app.bls");
    std::fs::copy(&artifact, &place).expect("a copy");
    let options = ["--workers=1", "--timeout=1s"].map(OsString::from);
    let server = Server::start(&home, &[&options[..], &[place.clone().into()]].concat());
    let ask = || server.get("/coun").text();
    assert_eq!(ask(), "11");
    // In one step, as a deployment does it.
    let put = |bytes: &[u8]| {
        std::fs::write(home.path("next"), bytes).expect("written");
        std::fs::rename(home.path("next"), &place).expect("renamed");
    };
    let said = |what: &str| server.said().matches(what).count();
    let reload = |what: &str| {
        let before = said(what);
        server.signal(Signal::HUP);
        until(what, || said(what) > before);
    };
    let other = home.compile(&fixtures().join("cgi/hello.wat"), &[]);
    put(&std::fs::read(other).expect("an artifact"));
    assert_eq!(ask(), "11", "nobody asked yet");
    let before = server.processes("work");
    let mut busy = connect(server.address);
    busy.write_all(b"GET /spin HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    until("it is at work", || server.metric("bls_serve_active_requests") == 1);
    reload("bls-serve: reloaded");
    assert_eq!(ask(), "hello");
    // What had begun is ended by the one that began it, and that is gone then.
    assert_eq!(read_reply(&mut busy).status, 504);
    until("the worker is gone", || {
        let now = server.processes("work");
        now.len() == 1 && now != before
    });
    // What is refused takes nobody's place.
    let workers = server.processes("work");
    put(b"no artifact");
    reload("not reloaded, what was served goes on");
    assert!(server.said().contains("; code: framing."), "{}", server.said());
    std::fs::remove_file(&place).expect("removed");
    rustix::fs::mkfifoat(rustix::fs::CWD, &place, rustix::fs::Mode::RWXU).expect("a pipe");
    reload("is no file that can be read again; code: serve.reload");
    assert_eq!(ask(), "hello");
    assert_eq!(server.processes("work"), workers);
    assert_eq!(server.metric("bls_serve_workers_lost_total"), 0);
    assert!(!server.said().contains("worker"), "{}", server.said());
}

#[test]
fn no_request_is_lost_while_it_reloads() {
    let (_home, server) = server(&["--workers=2"]);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let asking: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let mut count = 0;
                    while !done.load(Ordering::Relaxed) {
                        assert_eq!(server.get("/coun").both(), (200, "11".into()));
                        count += 1;
                    }
                    count
                })
            })
            .collect();
        for round in 1..=5 {
            server.signal(Signal::HUP);
            until("it is reloaded", || {
                server.said().matches("bls-serve: reloaded").count() == round
            });
        }
        done.store(true, Ordering::Relaxed);
        assert!(asking.into_iter().all(|one| one.join().expect("a thread") > 0));
    });
    until("two are left", || server.processes("work").len() == 2);
    assert_eq!(server.metric("bls_serve_workers_lost_total"), 0);
}
