//! bls-serve and OpenTelemetry: what a collector is sent, and that no request notices what it does.

use bls_tests::ports;
use bls_tests::programs::{Home, fixtures, run};
use bls_tests::serve::{Reply, Server, command, send};
use rustix::process::Signal;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What a collector was sent.
#[derive(Clone, Debug)]
struct Sent {
    path: String,
    /// Names in small letters.
    headers: BTreeMap<String, String>,
    body: Value,
}

/// A collector that answers each request with these bytes; or not at all, where there are none.
struct Collector {
    address: SocketAddr,
    sent: Arc<Mutex<Vec<Sent>>>,
}

const TAKEN: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";

impl Collector {
    fn answering(reply: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
        let address = listener.local_addr().expect("its address");
        let sent = Arc::new(Mutex::new(Vec::new()));
        let all = Arc::clone(&sent);
        // It ends with the test's process.
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                let (connection, all) = (connection.expect("a connection"), Arc::clone(&all));
                std::thread::spawn(move || take(connection, reply, &all));
            }
        });
        Self { address, sent }
    }

    fn option(&self) -> String {
        format!("--otlp=http://{}", self.address)
    }

    fn sent(&self) -> Vec<Sent> {
        self.sent.lock().unwrap().clone()
    }

    /// The spans that came, when there are so many.
    fn spans(&self, count: usize) -> Vec<Value> {
        loop {
            let mut all = Vec::new();
            for sent in self.sent().into_iter().filter(|sent| sent.path == "/v1/traces") {
                let scope = &sent.body["resourceSpans"][0]["scopeSpans"][0];
                assert_eq!(scope["scope"]["name"], "bls-serve");
                all.extend(scope["spans"].as_array().expect("spans").iter().cloned());
            }
            if all.len() >= count {
                return all;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Takes what comes over a connection.
fn take(connection: TcpStream, reply: &str, all: &Mutex<Vec<Sent>>) {
    let mut reader = BufReader::new(connection);
    let (mut line, mut headers) = (String::new(), BTreeMap::new());
    if reader.read_line(&mut line).unwrap_or(0) == 0 {
        return;
    }
    let path = line.split(' ').nth(1).expect("a path").to_owned();
    assert!(line.starts_with("POST "), "{line}");
    loop {
        line.clear();
        let _ = reader.read_line(&mut line).expect("a header");
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let length = headers["content-length"].parse().expect("a length");
    let mut body = vec![0; length];
    reader.read_exact(&mut body).expect("a body");
    let body = serde_json::from_slice(&body).expect("JSON");
    all.lock().unwrap().push(Sent { path, headers, body });
    if reply.is_empty() {
        // Until the other end has had enough.
        let _ = reader.read(&mut [0]);
    }
    let _ = reader.get_mut().write_all(reply.as_bytes());
}

/// Attributes by name, as text.
fn attributes(of: &Value) -> BTreeMap<String, String> {
    let all = of["attributes"].as_array().expect("attributes");
    let each = all.iter().map(|one| {
        let value = one["value"].as_object().expect("a value").values().next().expect("a value");
        (one["key"].as_str().expect("a key").to_owned(), value.as_str().expect("text").to_owned())
    });
    each.collect()
}

fn number(value: &Value) -> u64 {
    value.as_str().expect("a number of 64 bits is text").parse().expect("a number")
}

/// A server with the guest that does what its path says.
fn server(options: &[String], variables: &[(&str, &str)]) -> (Home, Server) {
    let home = Home::new();
    let artifact = home.compile(&fixtures().join("cgi/words.wat"), &[]);
    let mut all: Vec<OsString> = options.iter().map(OsString::from).collect();
    all.push(format!("--route=/api={}", artifact.display()).into());
    let server = Server::start_with(&home, &all, variables);
    (home, server)
}

fn get(server: &Server, path: &str, headers: &str) -> Reply {
    server.ask(&format!("GET {path} HTTP/1.1\r\nHost: x:7\r\n{headers}Connection: close\r\n\r\n"))
}

/// A variable that the guest found.
fn variable(reply: &Reply, name: &str) -> Option<String> {
    let text = reply.text();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    line.map(str::to_owned)
}

/// Waits until something holds.
fn until(mut holds: impl FnMut() -> bool) {
    while !holds() {
        std::thread::sleep(Duration::from_millis(5));
    }
}

const SOON: (&str, &str) = ("OTEL_BSP_SCHEDULE_DELAY", "10");
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

fn spans(server: &Server, outcome: &str) -> u64 {
    server.metric(&format!("bls_serve_spans_total{{outcome=\"{outcome}\"}}"))
}

#[test]
fn a_span_says_what_the_request_was_and_what_became_of_it() {
    let collector = Collector::answering(TAKEN);
    let (_home, server) = server(
        &[collector.option(), "--fuel=100M".into()],
        &[
            SOON,
            ("OTEL_SERVICE_NAME", "shop"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20secret"),
        ],
    );
    let parent = format!("traceparent: 00-{TRACE}-{PARENT}-01\r\ntracestate: a=1\r\n");
    let reply = get(&server, "/api/envi?secret=1", &parent);
    let line = &server.log("/api/envi", 1)[0];
    let span = &collector.spans(1)[0];
    let id = span["spanId"].as_str().expect("a span");
    assert_eq!((&span["traceId"], &span["parentSpanId"]), (&TRACE.into(), &PARENT.into()));
    assert!(id.len() == 16 && id != PARENT && id.bytes().all(|byte| byte.is_ascii_hexdigit()));
    // What the guest passes on makes its requests children of this one.
    assert_eq!(variable(&reply, "HTTP_TRACEPARENT"), Some(format!("00-{TRACE}-{id}-01")));
    assert_eq!(variable(&reply, "HTTP_TRACESTATE").as_deref(), Some("a=1"));
    assert_eq!((&span["name"], &span["kind"]), (&"GET /api".into(), &2.into()));
    let took = number(&span["endTimeUnixNano"]) - number(&span["startTimeUnixNano"]);
    assert_eq!(took / 1000, line["microseconds"].as_u64().unwrap());
    let expected = [
        ("http.request.method", "GET".to_owned()),
        ("http.response.status_code", "200".into()),
        ("http.route", "/api".into()),
        ("url.path", "/api/envi".into()),
        ("url.scheme", "http".into()),
        ("client.address", "127.0.0.1".into()),
        ("server.address", "x".into()),
        ("server.port", server.address.port().to_string()),
        ("network.protocol.version", "1.1".into()),
        ("bls.outcome", "exited".into()),
        ("bls.exit_code", "0".into()),
        ("bls.fuel_units", line["guest"]["fuel"].to_string()),
        ("bls.guest_microseconds", line["guest"]["microseconds"].to_string()),
        ("bls.peak_memory_bytes", line["guest"]["peak_memory"].to_string()),
    ];
    let expected = expected.map(|(name, value)| (name.to_owned(), value));
    assert_eq!(attributes(span), BTreeMap::from(expected));
    assert!(span["status"].get("code").is_none());
    let sent = &collector.sent()[0];
    assert!(!sent.body.to_string().contains("secret"), "queries and headers are nobody's");
    assert_eq!(sent.headers["content-type"], "application/json");
    assert_eq!(sent.headers["authorization"], "Bearer secret");
    assert_eq!(sent.headers["host"], collector.address.to_string());
    let resource = attributes(&sent.body["resourceSpans"][0]["resource"]);
    assert_eq!(resource["service.name"], "shop");
    assert_eq!(resource["service.instance.id"].len(), 32);

    // Whoever began a trace and does not record it is not recorded here either.
    let silent = format!("traceparent: 00-{TRACE}-{PARENT}-00\r\n");
    let said = variable(&get(&server, "/api/envi", &silent), "HTTP_TRACEPARENT").unwrap();
    assert!(said.starts_with(&format!("00-{TRACE}-")) && said.ends_with("-00"), "{said}");
    // What is no context begins a trace, without the state of another.
    let wrong = format!("traceparent: 00-{TRACE}-{PARENT}\r\ntracestate: a=1\r\n");
    let reply = get(&server, "/api/envi", &wrong);
    let said = variable(&reply, "HTTP_TRACEPARENT").unwrap();
    assert!(!said.contains(TRACE) && said.ends_with("-01"), "{said}");
    assert_eq!(variable(&reply, "HTTP_TRACESTATE"), None);
    assert_eq!(get(&server, "/api/trap", "").status, 500);
    assert_eq!(get(&server, "/api/spin", "").status, 500);
    assert_eq!(get(&server, "/elsewhere", "").status, 404);
    let _ = server.ask("BREW /api/coun HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    let all = collector.spans(6);
    let (begun, trap, spin, lost, brew) = (&all[1], &all[2], &all[3], &all[4], &all[5]);
    assert_eq!(
        said,
        format!(
            "00-{}-{}-01",
            begun["traceId"].as_str().unwrap(),
            begun["spanId"].as_str().unwrap()
        )
    );
    assert!(begun.get("parentSpanId").is_none());
    for (span, word, outcome) in [(trap, "trap", "trap"), (spin, "out-of-fuel", "out-of-fuel")] {
        assert_eq!(span["status"], serde_json::json!({"code": 2, "message": word}));
        let attributes = attributes(span);
        assert_eq!(
            (attributes["error.type"].as_str(), attributes["bls.outcome"].as_str()),
            (word, outcome)
        );
    }
    assert_eq!(attributes(spin)["bls.fuel_units"], "100000000");
    assert_eq!((&lost["name"], attributes(lost).get("http.route")), (&"GET".into(), None));
    assert!(lost["status"].get("code").is_none(), "a client's mistake is no error here");
    assert_eq!(
        (&brew["name"], attributes(brew)["http.request.method"].as_str()),
        (&"HTTP /api".into(), "_OTHER")
    );
    assert_eq!(attributes(brew)["http.request.method_original"], "BREW");
    until(|| spans(&server, "taken") == 6);
    assert_eq!((spans(&server, "lost"), spans(&server, "dropped")), (0, 0));
}

/// Values of OTLP's points by labels, without those of histograms.
fn points(metric: &Value) -> BTreeMap<String, f64> {
    let data = metric.get("sum").or_else(|| metric.get("gauge")).expect("a sum or a gauge");
    let points = data["dataPoints"].as_array().expect("points").iter();
    let each = points.map(|point| {
        let labels = attributes(point).into_iter();
        let labels: Vec<String> = labels.map(|(name, value)| format!("{name}={value:?}")).collect();
        let value = point["asDouble"].as_f64();
        let value = value.unwrap_or_else(|| number(&point["asInt"]) as f64);
        assert!(number(&point["startTimeUnixNano"]) <= number(&point["timeUnixNano"]));
        (labels.join(","), value)
    });
    each.collect()
}

#[test]
fn metrics_are_those_that_prometheus_reads_and_what_waits_is_sent_at_the_end() {
    let collector = Collector::answering(TAKEN);
    let (_home, mut server) = server(&[collector.option()], &[]);
    for path in ["/api/coun", "/api/coun", "/api/trap", "/none"] {
        let _ = get(&server, path, "");
    }
    let text = server.watch("/metrics").text();
    assert!(collector.sent().is_empty(), "nothing is due");
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(0), "{}", server.said());
    assert_eq!(collector.spans(4).len(), 4);
    let sent = collector.sent();
    let metrics = sent.iter().find(|sent| sent.path == "/v1/metrics").expect("metrics");
    let resource = &metrics.body["resourceMetrics"][0];
    assert_eq!(attributes(&resource["resource"])["service.name"], "bls-serve");
    let metrics = resource["scopeMetrics"][0]["metrics"].as_array().expect("metrics");
    let name = |line: &str| line.split(' ').nth(2).map(str::to_owned);
    let types = text.lines().filter(|line| line.starts_with("# TYPE "));
    let of_prometheus: BTreeSet<String> = types.filter_map(name).collect();
    let of_otlp: BTreeSet<String> =
        metrics.iter().map(|metric| metric["name"].as_str().expect("a name").to_owned()).collect();
    assert_eq!(of_prometheus, of_otlp);
    let mut compared = 0;
    for metric in metrics {
        let name = metric["name"].as_str().unwrap();
        let kind = format!("# TYPE {name} ");
        let kind = text.lines().find_map(|line| line.strip_prefix(&kind)).expect("a type");
        match kind {
            "histogram" => {
                assert_eq!(metric["histogram"]["aggregationTemporality"], 2);
                let point = &metric["histogram"]["dataPoints"][0];
                let list = |name: &str| point[name].as_array().expect("a list").clone();
                let (counts, bounds) = (list("bucketCounts"), list("explicitBounds"));
                assert_eq!(counts.len(), bounds.len() + 1);
                assert_eq!(
                    (number(&point["count"]), counts.iter().map(number).sum::<u64>()),
                    (3, 3)
                );
                let mut sum = 0;
                for (count, bound) in counts.iter().zip(&bounds) {
                    sum += number(count);
                    assert_eq!(sum, server_bucket(&text, name, bound.as_f64().unwrap()));
                }
                continue;
            }
            "counter" => {
                let sum = &metric["sum"];
                assert_eq!(
                    (&sum["aggregationTemporality"], &sum["isMonotonic"]),
                    (&2.into(), &true.into())
                );
            }
            // They are as they were at another moment.
            _ => {
                let _ = points(metric);
                continue;
            }
        }
        for (labels, value) in points(metric) {
            let series = if labels.is_empty() {
                name.to_owned()
            } else {
                format!("{name}{{{}}}", sorted(&labels))
            };
            let line = text.lines().find(|line| {
                let (found, _) = line.rsplit_once(' ').expect("a value");
                !line.starts_with('#') && by_name(found) == series
            });
            let line = line.unwrap_or_else(|| panic!("{series} is not in\n{text}"));
            let expected: f64 = line.rsplit_once(' ').unwrap().1.parse().unwrap();
            // The spans were taken in between.
            if name != "bls_serve_spans_total" {
                assert!((value - expected).abs() < 1e-9, "{series}: {value} and {expected}");
                compared += 1;
            }
        }
    }
    assert!(compared >= 12, "{compared}");
}

/// Labels in the order of their names.
fn sorted(labels: &str) -> String {
    let mut labels: Vec<&str> = labels.split(',').collect();
    labels.sort_unstable();
    labels.join(",")
}

/// A series of Prometheus' text, its labels in that order.
fn by_name(series: &str) -> String {
    match series.strip_suffix('}').and_then(|series| series.split_once('{')) {
        Some((name, labels)) => format!("{name}{{{}}}", sorted(labels)),
        None => series.to_owned(),
    }
}

/// What Prometheus reads of a bucket.
fn server_bucket(text: &str, name: &str, bound: f64) -> u64 {
    let bucket = format!("{name}_bucket{{");
    let mut lines = text.lines().filter(|line| line.starts_with(&bucket));
    let line = lines.find(|line| {
        let le = line.split("le=\"").nth(1).and_then(|rest| rest.split('"').next());
        le.and_then(|le| le.parse::<f64>().ok()) == Some(bound)
    });
    line.and_then(|line| line.rsplit_once(' ')?.1.parse().ok()).expect("a bucket")
}

#[test]
fn no_request_notices_a_collector_that_takes_nothing() {
    // It takes a connection and never answers: what there is no room for is dropped.
    let silent = Collector::answering("");
    let (_home, mut server) = server(
        &[silent.option()],
        &[
            SOON,
            ("OTEL_BSP_MAX_QUEUE_SIZE", "4"),
            ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "2"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "86400000"),
        ],
    );
    until(|| {
        assert_eq!(get(&server, "/api/coun", "").both(), (200, "11".into()));
        spans(&server, "dropped") >= 20
    });
    assert_eq!((spans(&server, "taken"), spans(&server, "lost")), (0, 0));
    // Its end waits for nobody either.
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(0), "{}", server.said());
}

#[test]
fn what_a_collector_does_not_take_is_counted() {
    const NOT_FOUND: &str = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
    const GARBAGE: &str = "SSH-2.0-OpenSSH_9.6\r\n";
    const ENDLESS: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n";
    const PARTLY: &str = "HTTP/1.1 200 OK\r\nContent-Length: 42\r\nContent-Type: application/json\r\n\r\n\
         {\"partialSuccess\":{\"rejectedSpans\":\"9999\"}}";
    let nobody = ports::free();
    let answers = [NOT_FOUND, GARBAGE, PARTLY].map(Collector::answering);
    let away = format!("--otlp=http://{nobody}");
    for option in answers.iter().map(Collector::option).chain([away]) {
        let (_home, server) =
            server(std::slice::from_ref(&option), &[SOON, ("OTEL_EXPORTER_OTLP_TIMEOUT", "50")]);
        for _ in 0..3 {
            assert_eq!(get(&server, "/api/coun", "").both(), (200, "11".into()));
        }
        until(|| spans(&server, "lost") == 3);
        assert_eq!((spans(&server, "taken"), spans(&server, "dropped")), (0, 0), "{option}");
    }
    // A status that says yes is one, whatever is behind it.
    let strange = Collector::answering(ENDLESS);
    let (_home, server) = server(&[strange.option()], &[SOON]);
    assert_eq!(get(&server, "/api/coun", "").status, 200);
    until(|| spans(&server, "taken") == 1);
}

#[test]
fn an_exporter_that_dies_is_replaced() {
    let collector = Collector::answering(TAKEN);
    let place = format!("http://localhost:{}", collector.address.port());
    let (_home, server) =
        server(&["--require-sandbox".into()], &[SOON, ("OTEL_EXPORTER_OTLP_ENDPOINT", &place)]);
    for is_last in [false, true] {
        until(|| !server.processes("otlp").is_empty());
        // What it takes is taken by this one: the one before is gone.
        let before = spans(&server, "taken");
        until(|| {
            assert_eq!(get(&server, "/api/coun", "").status, 200);
            spans(&server, "taken") > before
        });
        let process = server.processes("otlp")[0];
        let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
        for line in ["Seccomp:\t2", "NoNewPrivs:\t1", "CapEff:\t0000000000000000", "Threads:\t1"] {
            assert!(status.lines().any(|one| one == line), "{line}\n{status}");
        }
        if !is_last {
            send(process, Signal::KILL);
            until(|| server.processes("otlp").iter().all(|one| *one != process));
        }
    }
    assert!(server.said().contains("was ended by SIGKILL"), "{}", server.said());
}

#[test]
fn without_a_collector_there_is_nothing_of_it() {
    let (home, server) = server(
        &["--otlp=none".into()],
        &[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318")],
    );
    let context = format!("00-{TRACE}-{PARENT}-01");
    let reply = get(&server, "/api/envi", &format!("traceparent: {context}\r\n"));
    assert_eq!(variable(&reply, "HTTP_TRACEPARENT"), Some(context));
    assert!(server.processes("otlp").is_empty());
    assert!(!server.watch("/metrics").text().contains("spans"));
    let words: [OsString; 2] = ["--otlp=https://collector:4318".into(), "app.bls".into()];
    let said = run(&mut command(&home, &words), b"").expect(2);
    let _ =
        said.says(&["--otlp: TLS is not spoken", "hint: have a collector", "code: serve.usage"]);
}
