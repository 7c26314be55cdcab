//! What a guest gets beyond files, by the programs: the network, extensions, listeners, listed
//! variables, and who says no. With a real bls-broker, and servers in the test's own process.

use bls_tests::ports;
use bls_tests::programs::{Home, broker, fixtures, run, shared};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;

fn fixture(home: &Home, name: &str, options: &[&str]) -> PathBuf {
    home.compile(&fixtures().join(format!("network/{name}.wat")), options)
}

/// A server that answers each request with this, and where it is.
fn server(answer: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let place = listener.local_addr().unwrap().to_string();
    let _ = thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
            let _ = stream.write_all(answer);
        }
    });
    place
}

/// One that says the first line back in capitals.
fn loud_server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let place = listener.local_addr().unwrap().to_string();
    let _ = thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut bytes = [0; 100];
            let read = stream.read(&mut bytes).unwrap_or(0);
            let _ = stream.write_all(&bytes[..read].to_ascii_uppercase());
        }
    });
    place
}

const PAGE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nhello\n";

#[test]
fn a_page_is_reached_where_it_is_granted_and_nowhere_else() {
    let home = Home::new();
    let get = fixture(&home, "get", &[]);
    let place = server(PAGE);
    let url = format!("http://{place}/a/b");
    for options in [
        &["--allow-net", "*"][..],
        &["--allow-net", "127.0.0.1"],
        &["--allow-net", &place],
        &["--allow-net", &format!("example.com,http://{place}/a")],
        &["--permission", &format!("http://{place}")],
    ] {
        let ended = home.load(options, &get, &[&url]).expect(0);
        assert_eq!(ended.stdout, b"hello\n", "{options:?}");
        assert!(ended.stderr.is_empty(), "{options:?}");
    }
    for options in [
        &[][..],
        &["--allow-net", "example.com"],
        &["--allow-net", &format!("http://{place}/a/bc")],
        &["--allow-net", &format!("https://{place}")],
        &["--allow-net", &format!("tcp://{place}")],
        &["--allow-net", "*", "--deny-net", "127.0.0.1"],
    ] {
        let _ = home.load(options, &get, &[&url]).expect(14);
    }
    let _ = home.load(&["--allow-net", "*"], &get, &["http://127.0.0.1:1/"]).expect(11);
    let _ = home.load(&["--allow-net", "*"], &get, &["nonsense"]).expect(9);
}

#[test]
fn calls_by_json_rpc_reach_the_network() {
    let home = Home::new();
    let rpc = fixture(&home, "rpc", &[]);
    let place = server(PAGE);
    let request = format!(
        r#"{{"jsonrpc":"2.0","method":"http.request","params":{{"url":"http://{place}/"}},"id":9}}"#
    );
    let answer = |options: &[&str]| -> Value {
        let ended = home.load(options, &rpc, &[&request]).expect(0);
        serde_json::from_slice(&ended.stdout).unwrap()
    };
    let done = answer(&["--allow-net", &place]);
    assert_eq!(done["result"]["success"], true, "{done}");
    assert_eq!(done["result"]["data"]["status"], 200);
    assert_eq!(done["result"]["data"]["body"], json!(b"hello\n"));
    let denied = answer(&[]);
    assert_eq!(denied["result"]["success"], false, "{denied}");
    assert_eq!(denied["id"], 9);
}

#[test]
fn connections_are_made_and_used() {
    let home = Home::new();
    let connect = fixture(&home, "connect", &[]);
    let place = loud_server();
    let ended = home.load(&["--allow-net", &place], &connect, &[&place]).expect(0);
    assert_eq!(ended.stdout, b"PING\n");
    let _ = home.load(&[], &connect, &[&place]).expect(2);
    let _ = home.load(&["--allow-net", &format!("http://{place}")], &connect, &[&place]).expect(2);
    // What is sent counts as output.
    let options = ["--allow-net", &place, "--max-output", "3"];
    let _ = home.load(&options, &connect, &[&place]).expect(123 + 1);
}

/// Runs a guest that serves, and talks to it at this address.
fn talk(mut command: Command, address: &str) -> String {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stream = loop {
        match TcpStream::connect(address) {
            Ok(stream) => break stream,
            Err(error) => match child.try_wait().unwrap() {
                None => thread::yield_now(),
                Some(_) => {
                    let output = child.wait_with_output().unwrap();
                    panic!("{error}: {}", String::from_utf8_lossy(&output.stderr));
                }
            },
        }
    };
    stream.write_all(b"over\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    text
}

#[test]
fn a_guest_serves_on_a_listener_that_it_was_given() {
    let home = Home::new();
    let serve = fixture(&home, "serve", &[]);
    let address = ports::free().to_string();
    let command = home.load_command(&["--listen", &address], &serve);
    assert_eq!(talk(command, &address), "over\n");
    // Behind the folders.
    let _ =
        home.load(&["--dir", ".", "--listen", &ports::free().to_string()], &serve, &[]).expect(57);
    let _ = home.load(&[], &serve, &[]).expect(8);
    let keep = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = keep.local_addr().unwrap();
    let _ = home
        .load(&["--listen", &taken.to_string()], &serve, &[])
        .expect(125)
        .says(&["bls-load: grant: cannot listen on 127.0.0.1", "code: grant.listen"]);
    drop(keep);
    let _ = home
        .load(&["--listen", "example.com:80"], &serve, &[])
        .expect(125)
        .says(&["names are not looked up"]);
    let _ = home.load(&["--listen", "80"], &serve, &[]).expect(125).says(&["usage.words"]);
}

#[test]
fn a_service_manager_passes_listeners() {
    let home = Home::new();
    let serve = fixture(&home, "serve", &[]);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    // As one does it: the socket is descriptor 3, and the variables say so.
    let loader = home.load_command(&["--listen-passed"], &serve);
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", "exec 3<&0 0</dev/null; export LISTEN_PID=$$ LISTEN_FDS=1; exec \"$@\"", "sh"])
        .arg(loader.get_program())
        .args(loader.get_args())
        .stdin(Stdio::from(std::os::fd::OwnedFd::from(listener)));
    assert_eq!(talk(command, &address), "over\n");
    let _ = home.load(&["--listen-passed"], &serve, &[]).expect(125).says(&[
        "no listener was passed",
        "systemd-socket-activate",
        "grant.listen",
    ]);
}

/// A folder with an extension that says what it was given and what it reads.
fn extensions(home: &Home) -> PathBuf {
    let folder = home.path("extensions");
    std::fs::create_dir(&folder).unwrap();
    let path = folder.join("speaker");
    let text = "#!/bin/sh\n\
        if [ \"$1\" = --ext_verify ]; then\n\
        echo '{\"alias\":\"speaker\",\"description\":\"says\",\"is_cgi\":true}'; exit\nfi\n\
        read line; echo \"$line $1 ${A-unset} ${HOME-unset}\"\n";
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

#[test]
fn extensions_run_where_they_are_granted() {
    let home = Home::new();
    let folder = extensions(&home);
    let folder = folder.to_str().unwrap();
    let extension = fixture(&home, "extension", &[]);
    let command = r#"{"command":"speaker","args":["x y"],"envs":[{"name":"A","value":"b"}]}"#;
    let ended = home.load(&["--extensions", folder], &extension, &[command]).expect(0);
    assert_eq!(ended.stdout, b"hello x y b unset\n");
    let only = ["--extensions", folder, "--allow-extension", "other,speaker"];
    let _ = home.load(&only, &extension, &[command]).expect(0);
    let _ = home.load(&only[..3], &extension, &[command]).expect(125);
    let other = ["--extensions", folder, "--allow-extension", "other"];
    let _ = home.load(&other, &extension, &[command]).expect(4);
    let _ = home.load(&[], &extension, &[command]).expect(4);
    let _ = home.load(&["--extensions", folder], &extension, &["{"]).expect(3);
    let _ = home
        .load(&["--extensions", "nowhere"], &extension, &[command])
        .expect(125)
        .says(&["there are no extensions at nowhere", "grant.extensions"]);
    // One that says which it needs gets no other.
    let needy = fixture(&home, "extension", &["--needs", "extension:other"]);
    let _ = home.load(&["--extensions", folder], &needy, &[command]).expect(4);
    let _ = home.load(&[], &needy, &[command]).expect(125).says(&[
        "needs extension:other, which is not granted",
        "hint: grant it: --extensions REGISTRY --allow-extension other",
    ]);
}

#[test]
fn input_is_read_from_its_start_and_by_descriptor_0() {
    let home = Home::new();
    let input = fixture(&home, "input", &[]);
    let options = ["--list-env", "A=b\"", "--list-env", "BLS_NOT_THERE"];
    let mut command = home.load_command(&options, &input);
    let ended = run(&mut command, b"0123456789").expect(0);
    let text = String::from_utf8(ended.stdout).unwrap();
    assert_eq!(text, "0123456789\n3456789\n{\"A\": \"b\\\"\",\"BLS_NOT_THERE\": \"\"}");
    let ended = home.load(&["--stdin", "text:abcd"], &input, &[]).expect(0);
    assert_eq!(ended.stdout, b"abcd\nd\n{}");
    let _ = home.load(&["--deny", "stdin"], &input, &[]).expect(8);
    // What is kept of it counts as the guest's memory.
    let mut command = home.load_command(&["--max-memory", "4MiB"], &input);
    let _ = run(&mut command, &vec![b'x'; 16 << 20]).expect(2);
}

#[test]
fn needs_and_policies_know_places() {
    let home = Home::new();
    let place = server(PAGE);
    let url = format!("http://{place}/v1/x");
    let need = format!("http:http://{place}/v1");
    let get = fixture(&home, "get", &["--needs", &need]);
    let _ = home.load(&[], &get, &[&url]).expect(125).says(&[
        &format!("needs {need}, which is not granted"),
        &format!("hint: grant it: --allow-net 'http://{place}/v1'"),
    ]);
    let granted = format!("http://{place}/v1");
    let _ = home.load(&["--allow-net", &granted], &get, &[&url]).expect(0);
    let _ = home.load(&["--allow-net", &place], &get, &[&url]).expect(0);
    let _ = home.load(&["--allow-net", "example.com"], &get, &[&url]).expect(125);
    let _ = home.load(&["--allow-net", "*", "--deny-net", "*"], &get, &[&url]).expect(125);
    // Nothing but what it declares.
    let only = ["--only-declared", "--allow-net"];
    let need = format!("arguments,stdout,{need}");
    let declares = fixture(&home, "get", &["--needs", &need]);
    let _ = home.load(&[only[0], only[1], &granted], &declares, &[&url]).expect(0);
    let _ = home
        .load(&[only[0], only[1], "*"], &declares, &[&url])
        .expect(125)
        .says(&["the artifact does not declare that it needs http", "grant.not-declared"]);
    // What a policy allows, and no more.
    let policy = home.path("policy.json");
    let allow = json!(["stdin", "stdout", "stderr", "arguments", format!("http:{granted}")]);
    std::fs::write(&policy, json!({"version": 1, "allow": allow}).to_string()).unwrap();
    let policy = policy.to_str().unwrap();
    let _ = home.load(&["--policy", policy, "--allow-net", &granted], &get, &[&url]).expect(0);
    let _ = home
        .load(&["--policy", policy, "--allow-net", &place], &get, &[&url])
        .expect(125)
        .says(&["does not allow http:", "grant.forbidden"]);
    let folder = extensions(&home);
    let extension = fixture(&home, "extension", &[]);
    let options = ["--policy", policy, "--extensions", folder.to_str().unwrap()];
    let _ = home.load(&options, &extension, &["{}"]).expect(125).says(&["not allow extension"]);
    let serve = fixture(&home, "serve", &[]);
    let options = ["--policy", policy, "--listen", &ports::free().to_string()];
    let _ = home.load(&options, &serve, &[]).expect(125).says(&["not allow sockets:tcp://"]);
    let input = fixture(&home, "input", &[]);
    let options = ["--policy", policy, "--list-env", "A=b"];
    let _ = home.load(&options, &input, &[]).expect(125).says(&["not allow env:A"]);
}

#[test]
fn a_run_by_rule_has_nothing_from_outside() {
    let home = Home::new();
    let get = fixture(&home, "get", &[]);
    for (options, what) in [
        (["--allow-net", "*"], "the network"),
        (["--listen", "127.0.0.1:0"], "listeners"),
        (["--extensions", "."], "extensions"),
    ] {
        let options = ["--deterministic", options[0], options[1]];
        let _ = home.load(&options, &get, &[]).expect(125).says(&[what, "grant.by-rule"]);
    }
    let _ = home.load(&["--deterministic"], &get, &["http://127.0.0.1:1/"]).expect(14);
    let input = fixture(&home, "input", &[]);
    let options = ["--deterministic", "--stdin", "text:abcd", "--list-env", "A=b"];
    let (one, two) = (home.load(&options, &input, &[]), home.load(&options, &input, &[]));
    assert_eq!(one.expect(0).stdout, two.expect(0).stdout);
}

#[test]
fn a_broker_is_started_only_where_somebody_asks() {
    let home = Home::new();
    let get = fixture(&home, "get", &[]);
    let place = server(PAGE);
    let url = format!("http://{place}/");
    let granted = ["--allow-net", &place];
    let ended = home.load(&[granted[0], granted[1], "--explain"], &get, &[&url]).expect(0);
    let ended = ended.says(&["bls-load: broker: ", "bls-broker answers for what it asks"]);
    assert!(ended.stderr.contains(&format!("http:{place}")), "{}", ended.stderr);
    let (_, report) = home.report(&granted, &get);
    assert_eq!(report["broker"], broker().to_str().unwrap(), "{report}");
    assert!(report["microseconds"]["broker"].is_u64(), "{report}");
    assert!(report["granted"].as_array().unwrap().contains(&json!(format!("http:{place}"))));
    // Nobody grants anything, or nothing asks.
    let absent = ["--broker", "/nonexistent/broker"];
    let _ = home.load(&absent, &get, &[&url]).expect(14);
    let hello = home.fixture("wat/hello.wat");
    let _ = home.load(&[absent[0], absent[1], "--allow-net", "*"], &hello, &[]).expect(0);
    let (_, report) = home.report(&["--allow-net", "*"], &hello);
    assert!(report.get("broker").is_none(), "{report}");
    // Where it is needed it must be there, and be one.
    let _ = home
        .load(&[absent[0], absent[1], "--allow-net", "*"], &get, &[&url])
        .expect(125)
        .says(&["cannot start /nonexistent/broker", "--broker PATH", "broker.start"]);
    let _ = home
        .load(&["--broker", "/bin/true", "--allow-net", "*"], &get, &[&url])
        .expect(125)
        .says(&["/bin/true does not answer", "broker.silent"]);
    let _ = home
        .load(&["--allow-net", "*", "--authorities", "nowhere.pem"], &get, &[&url])
        .expect(125)
        .says(&["the broker refuses: ", "nowhere.pem", "broker.refused"]);
}

#[test]
fn a_broker_that_dies_is_an_error_and_no_hang() {
    let home = Home::new();
    let get = fixture(&home, "get", &[]);
    // Says that it is ready, and is gone.
    let script = home.path("dies");
    let text = "#!/bin/sh\ndd bs=4096 count=1 of=/dev/null 2>/dev/null\n\
        printf '\\001\\000\\000\\000\\002' >&0\n";
    std::fs::write(&script, text).unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    let options = ["--broker", script.to_str().unwrap(), "--allow-net", "*"];
    let _ = home.load(&options, &get, &["http://127.0.0.1:1/"]).expect(11);
}

#[test]
fn a_limit_on_time_ends_a_wait_for_the_network() {
    let home = Home::new();
    let get = fixture(&home, "get", &[]);
    // One that never answers.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let place = listener.local_addr().unwrap().to_string();
    let options = ["--allow-net", &place, "--timeout", "300ms"];
    let _ = home.load(&options, &get, &[&format!("http://{place}/")]).expect(124);
    let serve = fixture(&home, "serve", &[]);
    let options = ["--listen", &ports::free().to_string(), "--timeout", "300ms"];
    let _ = home.load(&options, &serve, &[]).expect(124);
}

#[test]
fn a_request_is_dearer_than_a_local_call_and_paid_before_it_is_made() {
    let home = Home::new();
    let get = fixture(&home, "get", &[]);
    let place = server(PAGE);
    let url = format!("http://{place}/");
    let options = ["--allow-net", &place, "--fuel", "100K"];
    let _ = home.load(&options, &get, &[&url]).expect(123);
    let _ = home.load(&["--fuel", "100K"], &get, &[&url]).expect(14);
    let options = ["--allow-net", &place, "--fuel", "2M"];
    let _ = home.load(&options, &get, &[&url]).expect(0);
}

#[test]
fn ext_is_handed_over_to_the_broker() {
    let home = Home::new();
    let folder = extensions(&home);
    let list = |program: PathBuf| {
        let mut command = Command::new(program);
        command.args(["ext", "list", "--folder"]).arg(&folder);
        run(&mut command, b"").expect(0)
    };
    let by_loader = list(bls_tests::programs::loader());
    assert_eq!(by_loader.stdout, list(broker()).stdout);
    assert!(by_loader.text().contains("speaker"), "{}", by_loader.text());
    let mut command = Command::new(bls_tests::programs::loader());
    let _ = run(command.args(["ext", "nonsense"]), b"").expect(2).says(&["broker.usage"]);
}

/// The network's own guests, made with its SDKs, where they are: `BLS_SHARED`.
#[test]
fn guests_of_the_networks_sdks() {
    let Some(folder) = shared().map(|folder| folder.join("blockless/guests")) else { return };
    let home = Home::new();
    let guest = |name: &str| home.compile(&folder.join(name), &[]);
    let loud = loud_server();
    let listed = ["--list-env", "GUEST_A=plain", "--list-env", "GUEST_B=semi"];
    let said = |options: &[&str], name: &str, words: &[&str], stdin: &[u8]| {
        let mut command = home.load_command(options, &guest(name));
        let ended = run(command.args(words), stdin).expect(0);
        String::from_utf8(ended.stdout).unwrap()
    };
    let input = b"hello from stdin\n";
    assert_eq!(
        said(&listed, "as/as_memory_env.wasm", &[], input),
        "stdin:hello from stdin\nagain:same\nA:plain\nB:semi\nunlisted:\n"
    );
    assert_eq!(
        said(&listed, "rust/rs_memory_env.wasm", &[], input),
        "stdin:hello from stdin\nA:\"plain\"\nB:\"semi\"\nunlisted:null\n"
    );
    assert_eq!(
        said(&[], "wat/raw_memory_short.wasm", &[], b"0123456789"),
        "3\n7777\n0\n10\n0\n4\n"
    );
    let one = ["--list-env", "A=b"];
    assert_eq!(said(&one, "wat/raw_env_short.wasm", &[], b""), "0\n10\n0\n4\n");
    assert_eq!(said(&[], "wat/raw_huge_buffer.wasm", &[], b"x"), "3\n");
    let rpc = said(&[], "rust/rs_rpc.wasm", &[], b"");
    assert!(rpc.starts_with("ping:Ok(\"pong\")\necho:{\"list\":[\"a\",null],\"n\":1}\n"), "{rpc}");
    assert_eq!(
        said(&[], "wat/raw_rpc_errors.wasm", &[], b""),
        "1\n0\n1\n0\n5\n0\n0\n40\n{\"jsonrpc\":\"2.0\",\"result\":\"pong\",\"id\":7}"
    );
    let all = ["--allow-net", "*"];
    assert_eq!(said(&all, "wat/raw_http_errors.wasm", &[], b""), "9\n5\n10\n11\n11\n11\n1\n1\n");
    assert_eq!(said(&[], "wat/raw_http_errors.wasm", &[], b""), "9\n5\n14\n14\n14\n14\n1\n1\n");
    assert_eq!(said(&[], "wat/raw_cgi_errors.wasm", &[], b""), "0\n3\n3\n4\n1\n1\n");
    assert_eq!(said(&all, "wat/raw_socket_errors.wasm", &[], b""), "2\n2\n1\n2\n9\n10\n10\n");
    assert_eq!(
        said(&all, "rust/rs_tcp_client.wasm", &[&loud], b""),
        "tcp_connect rc:0\nsocket:PING ONE\nblockless_open rc:0\ndriver:PING TWO\n\
         closed port rc:2\nunknown driver rc:10\n"
    );
    for name in ["wat/all_imports.wasm", "wat/js_imports.wasm"] {
        assert_eq!(said(&[], name, &[], b""), "", "{name}");
    }
}
