//! bls-serve: requests become runs of guests, and what guests do becomes responses, within
//! limits.

use bls_tests::programs::{Home, fixtures, run};
use bls_tests::serve::{Server, command, connect, read_reply, send};
use rustix::process::Signal;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

/// A folder with the guest that does what its path says.
fn words() -> (Home, PathBuf) {
    let home = Home::new();
    let artifact = home.compile(&fixtures().join("cgi/words.wat"), &[]);
    (home, artifact)
}

fn server(options: &[&str]) -> (Home, Server) {
    let (home, artifact) = words();
    let mut all: Vec<OsString> = options.iter().map(OsString::from).collect();
    all.push(artifact.into());
    let server = Server::start(&home, &all);
    (home, server)
}

/// The variables that a guest found.
fn variables(text: &str) -> BTreeMap<String, String> {
    let lines = text.lines().filter_map(|line| line.split_once('='));
    lines.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// Waits until something holds.
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(120), "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_request_is_variables_and_a_response_is_output() {
    let (home, artifact) = words();
    let route = |path: &str| OsString::from(format!("--route={path}={}", artifact.display()));
    let server = Server::start(&home, &[route("/"), route("/api"), "--env=OWN=1".into()]);
    let reply = server.ask(
        "POST /api/envi/a%20b?x=1&y HTTP/1.1\r\nHost: example.com:99\r\nContent-Type: text/x\r\n\
         Content-Length: 3\r\nX-One: 1\r\nX-One: 2\r\nProxy: http://evil\r\nAuthorization: secret\r\n\
         X_Two: 3\r\nConnection: close\r\n\r\nabc",
    );
    assert_eq!((reply.status, reply.header("content-type")), (200, Some("text/plain")));
    let found = variables(&reply.text());
    for (name, value) in [
        ("GATEWAY_INTERFACE", "CGI/1.1"),
        ("SERVER_PROTOCOL", "HTTP/1.1"),
        ("REQUEST_METHOD", "POST"),
        ("REQUEST_URI", "/api/envi/a%20b?x=1&y"),
        ("SCRIPT_NAME", "/api"),
        ("PATH_INFO", "/envi/a b"),
        ("QUERY_STRING", "x=1&y"),
        ("SERVER_NAME", "example.com"),
        ("REMOTE_ADDR", "127.0.0.1"),
        ("CONTENT_TYPE", "text/x"),
        ("CONTENT_LENGTH", "3"),
        ("HTTP_HOST", "example.com:99"),
        ("HTTP_X_ONE", "1, 2"),
        ("OWN", "1"),
    ] {
        assert_eq!(found.get(name).map(String::as_str), Some(value), "{name}: {found:?}");
    }
    assert_eq!(found["SERVER_PORT"], server.address.port().to_string());
    for absent in ["HTTP_PROXY", "HTTP_AUTHORIZATION", "HTTP_X_TWO", "HTTP_CONNECTION", "AUTH_TYPE"]
    {
        assert!(!found.contains_key(absent), "{absent}");
    }
    // Below another prefix it is another script; and what only begins so is not below it.
    let found = variables(&server.get("/envi").text());
    assert_eq!((found["SCRIPT_NAME"].as_str(), found["PATH_INFO"].as_str()), ("", "/envi"));
    assert!(!found.contains_key("CONTENT_LENGTH"));
    assert_eq!(server.get("/apix").both(), (404, "no such word".to_owned()));
}

/// A component that answers requests is compiled to a program as any other.
#[test]
fn a_component_answers_requests() {
    let home = Home::new();
    let fixture = fixtures().join("component/handler.wat");
    let text = std::fs::read_to_string(&fixture).expect("a text");
    let whole = home.compile(&fixture, &[]);
    let finish =
        "(call $finish (local.get $answer) (i32.const 0) (i32.const 0) (i32.const 0)) ;; FINISH";
    assert!(text.contains(finish));
    let text = text.replace(finish, "(call $drop-body (local.get $answer)) (return)");
    std::fs::write(home.path("broken.wat"), text).expect("a file");
    let broken = home.compile(&home.path("broken.wat"), &[]);
    let route = |path: &str, artifact: &PathBuf| {
        OsString::from(format!("--route={path}={}", artifact.display()))
    };
    let server = Server::start(&home, &[route("/", &whole), route("/broken", &broken)]);
    let ask = |path: &str| {
        server.ask(&format!(
            "POST {path}?q=1 HTTP/1.1\r\nHost: example.com:99\r\nX-A: one\r\nContent-Length: 5\r\n\
             Connection: close\r\n\r\nhello"
        ))
    };
    let reply = ask("/a%20b");
    assert_eq!(reply.both(), (201, "/a%20b?q=1\nexample.com:99\none\nhello".to_owned()));
    assert_eq!(reply.header("content-type"), Some("text/plain"));
    // A body that its handler did not finish is none.
    assert_eq!(ask("/broken").status, 500);
    let log = &server.log("/broken", 1)[0];
    let said = "the handler did not finish the body of its answer\n";
    assert_eq!((&log["guest"]["outcome"], &log["guest"]["stderr"]), (&"trap".into(), &said.into()));
}

/// An artifact may be a pipe into which nobody writes: whoever waits can end it.
#[test]
fn a_signal_ends_a_server_that_waits_for_its_artifact() {
    use std::os::unix::process::ExitStatusExt as _;
    let home = Home::new();
    let pipe = home.path("pipe.bls");
    assert!(Command::new("mkfifo").arg(&pipe).status().expect("mkfifo").success());
    let mut child = command(&home, &[pipe.into()]).spawn().expect("a server");
    let number = child.id();
    // By then it has a second process, and reads its artifact.
    until("a second process", || {
        let children = format!("/proc/{number}/task/{number}/children");
        std::fs::read_to_string(children).is_ok_and(|text| !text.trim().is_empty())
    });
    send(number, Signal::TERM);
    assert_eq!(child.wait().expect("its end").signal(), Some(15));
}

#[test]
fn a_guest_answers_in_its_own_words() {
    let (_home, server) = server(&[]);
    let reply = server.get("/stat");
    assert_eq!((reply.both(), reply.header("x-guest")), ((404, "nothing".into()), Some("yes")));
    let reply = server.get("/loca");
    assert_eq!((reply.status, reply.header("location")), (302, Some("/elsewhere")));
    // An exit code says nothing of a response that is one.
    assert_eq!(server.get("/exit").both(), (200, "three".into()));
    assert_eq!(server.log("/exit", 1)[0]["guest"]["exit_code"], 3);
    assert_eq!(server.get("/errs").both(), (200, "ok".into()));
    assert_eq!(server.log("/errs", 1)[0]["guest"]["stderr"], "words for the log");
    let head = server.ask("HEAD /stat HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert_eq!((head.status, head.header("content-length")), (404, Some("7")));
}

#[test]
fn bodies_arrive_however_they_are_sent() {
    let (_home, server) = server(&[]);
    let large = "0123456789".repeat(300_000);
    let post = |head: &str, body: &str| {
        server.ask(&format!(
            "POST /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{head}\r\n{body}"
        ))
    };
    let sized = |body: &str| post(&format!("Content-Length: {}\r\n", body.len()), body);
    assert_eq!(sized("abc").both(), (200, "abc".into()));
    let reply = sized(&large);
    assert!(reply.status == 200 && reply.text() == large, "{}", reply.status);
    let chunked = post("Transfer-Encoding: chunked\r\n", "3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n");
    assert_eq!(chunked.both(), (200, "abcdefg".into()));
    // What is sent only when it is asked for.
    let mut connection = connect(server.address);
    connection
        .write_all(
            b"POST /echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n",
        )
        .unwrap();
    assert_eq!(read_reply(&mut connection).status, 100);
    connection.write_all(b"hi").unwrap();
    assert_eq!(read_reply(&mut connection).both(), (200, "hi".into()));
    // Many on one connection.
    for number in 0..20 {
        write!(
            connection,
            "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{number:02}"
        )
        .unwrap();
        assert_eq!(read_reply(&mut connection).both(), (200, format!("{number:02}")));
    }
}

#[test]
fn no_request_sees_the_memory_of_another() {
    let (_home, server) = server(&["--workers", "1"]);
    for _ in 0..50 {
        assert_eq!(server.get("/coun").both(), (200, "11".into()));
        // One that leaves its memory in the middle of something.
        assert_eq!(server.get("/trap").status, 500);
    }
}

#[test]
fn what_a_guest_does_wrong_is_the_logs_to_say() {
    let (_home, server) = server(&["--workers", "1", "--timeout", "300ms", "--fuel", "1G"]);
    for (path, status, outcome, says) in [
        ("/trap", 500, "trap", "unreachable"),
        ("/fail", 500, "exited", "exited with code 4"),
        ("/none", 502, "exited", "wrote nothing"),
        ("/html", 502, "exited", "headers"),
        ("/injc", 502, "exited", "a line"),
    ] {
        let reply = server.get(path);
        let body = reply.text();
        assert_eq!(reply.status, status, "{path}: {body}");
        assert!(body.starts_with(&format!("{status} ")) && body.len() < 40, "{path}: {body}");
        let line = &server.log(path, 1)[0];
        assert_eq!(line["guest"]["outcome"], outcome, "{line}");
        assert!(line["reason"].as_str().is_some_and(|reason| reason.contains(says)), "{line}");
    }
    assert_eq!(server.processes("work").len(), 1);
    assert_eq!(server.metric("bls_serve_workers_lost_total"), 0);
}

#[test]
fn a_log_has_what_is_asked_for() {
    for (least, expected) in [
        ("info", &[("/coun", "info"), ("/../x", "warn"), ("/trap", "error")][..]),
        ("warn", &[("/../x", "warn"), ("/trap", "error")]),
        ("error", &[("/trap", "error")]),
    ] {
        let (_home, server) = server(&["--log-level", least]);
        for (path, status) in [("/coun", 200), ("/../x", 400), ("/trap", 500)] {
            assert_eq!(server.get(path).status, status);
        }
        let _ = server.log("/trap", 1);
        let found: Vec<String> = ["/coun", "/../x", "/trap"]
            .into_iter()
            .flat_map(|path| server.log(path, 0))
            .map(|line| format!("{} {}", line["path"], line["level"]))
            .collect();
        let expected: Vec<String> =
            expected.iter().map(|(path, level)| format!("{path:?} {level:?}")).collect();
        assert_eq!(found, expected, "{least}");
    }
}

#[test]
fn a_guest_sets_no_header_of_the_connection() {
    let (_home, server) = server(&[]);
    let mut connection = connect(server.address);
    connection.write_all(b"GET /injd HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let reply = read_reply(&mut connection);
    assert_eq!(reply.both(), (200, "HTTP/1.1 200 OK\r\n\r\nx".into()));
    assert_eq!(reply.header("content-length"), Some("20"));
    assert_eq!((reply.header("transfer-encoding"), reply.header("connection")), (None, None));
    connection.write_all(b"GET /coun HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    assert_eq!(read_reply(&mut connection).both(), (200, "11".into()));
}

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
fn a_folder_is_what_was_granted() {
    let (home, artifact) = words();
    let folder = home.path("data");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("note"), "a note").unwrap();
    for (option, written) in [("--dir-ro", 403), ("--dir", 200)] {
        let grant = format!("{option}={}::/data", folder.display());
        let server = Server::start(&home, &[grant.into(), artifact.clone().into_os_string()]);
        for _ in 0..3 {
            assert_eq!(server.get("/file").both(), (200, "a note".into()));
        }
        assert_eq!(server.get("/writ").status, written, "{option}");
        assert_eq!(server.metric("bls_serve_workers_lost_total"), 0, "{}", server.said());
    }
    assert_eq!(std::fs::read_to_string(folder.join("note")).unwrap(), "written");
    // Without one there is none.
    let server = Server::start(&home, &[artifact]);
    assert_eq!(server.get("/file").status, 403);
}

#[test]
fn what_is_not_trusted_is_not_served() {
    let (home, artifact) = words();
    let other = Home::with_seed(9);
    // In the loader's own words.
    let refused = |trust: PathBuf| {
        let mut load = Command::new(bls_tests::programs::loader());
        let loaded = run(load.arg("--trust").arg(&trust).arg(&artifact), b"").expect(125).stderr;
        let words: [OsString; 3] = ["--trust".into(), trust.into(), artifact.clone().into()];
        let said = run(&mut command(&home, &words), b"").expect(125).stderr;
        assert_eq!(said.replace("bls-serve: ", "bls-load: "), loaded);
        said
    };
    assert!(refused(other.public_key()).contains("code: signature."), "another key");
    let mut bytes = std::fs::read(&artifact).unwrap();
    let middle = bytes.len() - 4096;
    bytes[middle] ^= 1;
    std::fs::write(&artifact, bytes).unwrap();
    assert!(refused(home.public_key()).contains("code: "), "another byte");
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let artifact = home.compile(&fixtures().join("cgi/hello.wat"), &[]);
    let taken = format!("--listen={}", port.local_addr().unwrap());
    let said = run(command(&home, &[taken.into()]).arg(artifact), b"").expect(125);
    assert!(said.stderr.contains("code: serve.listen"), "{}", said.stderr);
}

#[test]
fn a_policy_holds() {
    let (home, artifact) = words();
    let with = |policy: &str| {
        std::fs::write(home.path("policy.json"), policy).unwrap();
        command(&home, &["--policy=policy.json".into(), artifact.clone().into()])
    };
    // A guest that may have no variable can have no request.
    let said = run(&mut with(r#"{"version": 1, "allow": ["arguments", "stdin", "stdout"]}"#), b"");
    let said = said.expect(125).stderr;
    assert!(said.contains("code: grant.forbidden"), "{said}");
    let said =
        run(with(r#"{"version": 1, "limits": {"fuel": {"max": "1M"}}}"#).arg("--fuel=2M"), b"");
    assert!(said.expect(125).stderr.contains("code: policy.beyond"));
    std::fs::write(home.path("policy.json"), r#"{"version": 1, "require": ["sandbox"]}"#).unwrap();
    let words: [OsString; 2] = ["--policy=policy.json".into(), artifact.clone().into()];
    let mut started = command(&home, &words).spawn().expect("it starts");
    drop((started.kill(), started.wait()));
    let server = Server::start(&home, &words);
    // It is refused where the wall is not whole; here it is.
    assert_eq!(server.get("/coun").both(), (200, "11".into()), "{}", server.said());
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
fn a_path_that_is_not_the_same_to_all_is_refused() {
    let (_home, server) = server(&[]);
    for path in ["/../etc", "/a/%2e%2e/b", "/a%2fb", "/a%00b", "/%zz"] {
        assert_eq!(server.get(path).status, 400, "{path}");
    }
    let ask = |line: &str| server.ask(&format!("{line}\r\nHost: x\r\n\r\n")).status;
    assert_eq!(ask("TRACE / HTTP/1.1"), 501);
    assert_eq!(ask("OPTIONS * HTTP/1.1"), 400);
    let many = format!("GET /coun HTTP/1.1{}", "\r\nX: y".repeat(101));
    assert_eq!(ask(&many), 431);
    assert_eq!(ask("GET / HTTP/9.9"), 400);
    assert_eq!(ask("GET /a b HTTP/1.1"), 400);
}

/// The names of families in a text of Prometheus, each line of which is held to its grammar.
fn families(text: &str) -> BTreeMap<String, String> {
    let mut kinds: BTreeMap<String, String> = BTreeMap::new();
    let mut seen = std::collections::BTreeSet::new();
    let is_name = |name: &str| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
    };
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("a kind");
            assert!(kinds.insert(name.into(), kind.into()).is_none(), "{name} twice");
            continue;
        }
        if line.starts_with("# HELP ") {
            continue;
        }
        let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line}"));
        assert!(value == "+Inf" || value.parse::<f64>().is_ok(), "{line}");
        assert!(seen.insert(series.to_owned()), "{series} twice");
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        assert!(is_name(name), "{line}");
        let base = ["_bucket", "_sum", "_count"].iter().find_map(|end| {
            let base = name.strip_suffix(end)?;
            (kinds.get(base).map(String::as_str) == Some("histogram")).then_some(base)
        });
        assert!(kinds.contains_key(base.unwrap_or(name)), "{line} has no type");
        let labels = labels.strip_suffix('}').unwrap_or_else(|| panic!("{line}"));
        for label in labels.split("\",").filter(|label| !label.is_empty()) {
            let (name, value) = label.split_once("=\"").unwrap_or_else(|| panic!("{line}"));
            assert!(is_name(name) && !value.trim_end_matches('"').contains('"'), "{line}");
        }
    }
    kinds
}

#[test]
fn what_is_counted_is_what_happened() {
    let (_home, server) = server(&[]);
    for path in ["/coun", "/coun", "/trap", "/stat"] {
        let _ = server.get(path);
    }
    let _ = server.ask("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nabcde");
    let reply = server.watch("/metrics");
    assert_eq!(reply.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let text = reply.text();
    let kinds = families(&text);
    assert!(kinds.len() >= 14, "{kinds:?}");
    for (series, value) in [
        ("bls_serve_requests_total{route=\"/\",status=\"200\"}", 3),
        ("bls_serve_requests_total{route=\"/\",status=\"404\"}", 1),
        ("bls_serve_requests_total{route=\"/\",status=\"500\"}", 1),
        ("bls_serve_runs_total{route=\"/\",outcome=\"exited\"}", 4),
        ("bls_serve_runs_total{route=\"/\",outcome=\"trap\"}", 1),
        ("bls_serve_refusals_total{reason=\"trap\"}", 1),
        ("bls_serve_request_seconds_count{route=\"/\"}", 5),
        ("bls_serve_received_bytes_total{route=\"/\"}", 5),
        ("bls_serve_active_requests", 0),
        ("bls_serve_log_lines_dropped_total", 0),
    ] {
        assert_eq!(server.metric(series), value, "{series}\n{text}");
    }
    assert!(server.metric("bls_serve_fuel_units_total{route=\"/\"}") > 0);
    // There, and nowhere else.
    assert_eq!(server.get("/metrics").both(), (404, "no such word".into()));
    assert_eq!(server.watch("/coun").status, 404);
}

#[test]
fn many_at_once_are_answered_each_with_its_own() {
    let (_home, server) = server(&["--workers=3"]);
    std::thread::scope(|scope| {
        for thread in 0..16 {
            let server = &server;
            scope.spawn(move || {
                let mut connection = connect(server.address);
                for number in 0..60 {
                    let body = format!("{thread}-{number}-{}", "x".repeat(number * 97));
                    let length = body.len();
                    write!(
                        connection,
                        "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n{body}"
                    )
                    .unwrap();
                    let reply = read_reply(&mut connection);
                    assert!(reply.both() == (200, body), "{thread} {number}: {}", reply.status);
                }
            });
        }
    });
    assert_eq!(server.metric("bls_serve_requests_total{route=\"/\",status=\"200\"}"), 960);
}

#[test]
fn two_artifacts_answer_on_two_routes() {
    let (home, artifact) = words();
    let hello = home.compile(&fixtures().join("cgi/hello.wat"), &[]);
    let route = |path: &str, artifact: &PathBuf| {
        OsString::from(format!("--route={path}={}", artifact.display()))
    };
    let server = Server::start(&home, &[route("/hello", &hello), route("/words", &artifact)]);
    assert_eq!(server.get("/hello/x?y").both(), (200, "hello".into()));
    assert_eq!(server.get("/words/coun").both(), (200, "11".into()));
    assert_eq!(server.get("/").both(), (404, "404 Not Found\n".into()));
    assert_eq!(server.log("/", 1)[0]["status"], 404);
}

/// curl, which speaks HTTP/2 to a server that it knows to.
#[test]
fn http_2_by_prior_knowledge() {
    let (_home, server) = server(&[]);
    let url = |path: &str| format!("http://{}{path}", server.address);
    let curl = |words: &[&str]| {
        let common = ["--silent", "--show-error", "--http2-prior-knowledge"];
        Command::new("curl").args(common).args(words).output()
    };
    let Ok(version) = Command::new("curl").arg("--version").output() else {
        println!("skipped: curl is not installed");
        return;
    };
    if !String::from_utf8_lossy(&version.stdout).contains("HTTP2") {
        println!("skipped: this curl does not speak HTTP/2");
        return;
    }
    let reply = curl(&["--data", "abc", "--write-out", " %{http_version}", &url("/echo")]).unwrap();
    assert_eq!(String::from_utf8_lossy(&reply.stdout), "abc 2", "{reply:?}");
    let found = curl(&[&url("/envi")]).unwrap();
    let found = variables(&String::from_utf8_lossy(&found.stdout));
    assert_eq!(found["SERVER_PROTOCOL"], "HTTP/2.0");
    assert_eq!(found["HTTP_HOST"], server.address.to_string());
    let head = curl(&["--head", &url("/stat")]).unwrap();
    let head = String::from_utf8_lossy(&head.stdout).into_owned();
    assert!(head.starts_with("HTTP/2 404") && head.contains("content-length: 7"), "{head}");
    let status = curl(&["--output", "/dev/null", "--write-out", "%{http_code}", &url("/injc")]);
    assert_eq!(String::from_utf8_lossy(&status.unwrap().stdout), "502");
}

#[test]
fn a_socket_of_this_machine_is_listened_on() {
    use std::os::unix::net::UnixStream;
    let (home, artifact) = words();
    let path = home.path("socket");
    for _ in 0..2 {
        // The second finds what the first left.
        let words = [format!("--listen=unix:{}", path.display()).into(), artifact.clone().into()];
        let server = Server::start::<OsString>(&home, &words);
        let mut connection = UnixStream::connect(&path).expect("a connection");
        connection.write_all(b"GET /envi HTTP/1.0\r\n\r\n").unwrap();
        let mut reply = String::new();
        let _ = connection.read_to_string(&mut reply).unwrap();
        assert!(reply.starts_with("HTTP/1.0 200 OK\r\n"), "{reply}");
        assert!(reply.contains("REMOTE_ADDR=127.0.0.1\n"), "{reply}");
        drop(server);
    }
}
