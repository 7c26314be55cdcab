//! BROKER.md says what the code does: its tables and numbers, read and compared.

use bls_artifact::broker::{
    ANSWER_BYTES_MAX, Answer, BrokerLimits, ExtensionInfo, Reason, Refusal, Request, Setup,
};
use bls_artifact::digest::Sha256;
use bls_artifact::extension::{DESCRIPTION_BYTES_MAX, Extension, INTRODUCTION_BYTES_MAX, Registry};
use bls_artifact::limits;
use bls_artifact::quantity::{write_size, write_time};

fn document() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../BROKER.md");
    std::fs::read_to_string(path).unwrap()
}

/// The rows of the table under a heading, whose first cell is a number.
fn numbered(heading: &str) -> Vec<(usize, String)> {
    let text = document();
    let (_, section) = text.split_once(heading).unwrap_or_else(|| panic!("{heading}"));
    section
        .lines()
        .skip_while(|line| !line.starts_with("|---"))
        .skip(1)
        .take_while(|line| line.starts_with('|'))
        .map(|line| {
            let mut cells = line.trim_matches('|').split('|').map(str::trim);
            (cells.next().unwrap().parse().unwrap(), cells.next().unwrap().to_owned())
        })
        .collect()
}

#[test]
fn every_kind_has_its_number() {
    let none = String::new;
    let requests = [
        ("Setup", Request::Setup { text: Vec::new() }),
        (
            "Http",
            Request::Http {
                method: none(),
                url: none(),
                headers: vec![],
                body: vec![],
                connect_ms: None,
                total_ms: None,
            },
        ),
        ("Read", Request::Read { handle: 0, max: 0 }),
        ("Close", Request::Close { handle: 0 }),
        ("Connect", Request::Connect { endpoint: none() }),
        ("Listen", Request::Listen { endpoint: none() }),
        ("HttpRpc", Request::HttpRpc { params: vec![], max: 0 }),
        ("Extensions", Request::Extensions),
        ("Start", Request::Start { alias: none(), arguments: vec![], variables: vec![] }),
        (
            "Exchange",
            Request::Exchange {
                method: none(),
                url: none(),
                headers: vec![],
                body: vec![],
                connect_ms: None,
                first_byte_ms: None,
                between_bytes_ms: None,
            },
        ),
        ("NextGuest", Request::NextGuest),
    ];
    let listed = numbered("### Requests");
    assert_eq!(listed.len(), requests.len());
    for ((number, name), (wanted, request)) in listed.iter().zip(requests) {
        assert_eq!((name.as_str(), *number), (wanted, usize::from(request.encode().unwrap()[4])));
    }
    let refusal = Refusal { reason: Reason::Denied, text: none() };
    let answers = [
        ("Http", Answer::Http { handle: 0, status: 0, url: none(), headers: vec![] }),
        ("Bytes", Answer::Bytes(vec![])),
        ("Done", Answer::Done),
        ("Descriptor", Answer::Descriptor),
        ("List", Answer::List(Vec::<ExtensionInfo>::new())),
        ("Started", Answer::Started { handle: 0, output_max: 0 }),
        ("Refused", Answer::Refused(refusal)),
    ];
    let listed = numbered("### Answers");
    assert_eq!(listed.len(), answers.len());
    for ((number, name), (wanted, answer)) in listed.iter().zip(answers) {
        assert_eq!((name.as_str(), *number), (wanted, usize::from(answer.encode().unwrap()[4])));
    }
    let reasons: Vec<_> =
        Reason::ALL.iter().enumerate().map(|(at, one)| (at, one.name().to_owned())).collect();
    assert_eq!(numbered("Any request may be refused:"), reasons);
}

#[test]
fn bounds_and_defaults_are_as_written() {
    let text = document();
    let BrokerLimits {
        requests,
        handles,
        header_bytes,
        response_bytes,
        total_bytes,
        connect_ms,
        total_ms,
    } = BrokerLimits::default();
    let of_limits: [(&str, u64); 7] = [
        ("requests", requests.into()),
        ("handles", handles.into()),
        ("header_bytes", header_bytes.into()),
        ("response_bytes", response_bytes),
        ("total_bytes", total_bytes),
        ("connect_ms", connect_ms),
        ("total_ms", total_ms),
    ];
    for (name, default) in of_limits {
        let row = text.lines().find(|line| line.starts_with(&format!("| `limits.{name}`")));
        assert!(row.is_some_and(|row| row.ends_with(&format!("| {default} |"))), "{name}: {row:?}");
    }
    let one = Extension::new("a".to_owned(), "/a".into(), Sha256([0; 32]));
    for (name, default) in [
        ("time", write_time(one.time_ms)),
        ("memory", write_size(one.memory)),
        ("output", write_size(one.output)),
        ("processes", one.processes.to_string()),
        ("files", one.files.to_string()),
        ("network", one.network.to_string()),
    ] {
        let row = text.lines().find(|line| line.starts_with(&format!("| `{name}`")));
        assert!(row.is_some_and(|row| row.ends_with(&format!("| {default} |"))), "{name}: {row:?}");
    }
    for sentence in [
        format!("bytes that follow, 1 to {}", limits::FRAME_BYTES_MAX),
        format!("what one answer holds ({ANSWER_BYTES_MAX})"),
        format!("`list({}) of (text name, bytes value)`", limits::HEADERS_MAX),
        format!("`list({}) of text` arguments", limits::EXTENSION_ARGUMENTS_MAX),
        format!("`list({}) of (text name, text value)` variables", limits::EXTENSION_VARIABLES_MAX),
        format!("`list({}) of (text alias", limits::EXTENSIONS_MAX),
        format!("`text` of at most {} bytes", limits::REFUSAL_BYTES_MAX),
        format!("JSON of at most {} bytes", limits::SETUP_BYTES_MAX),
        format!("A JSON file of at most {} bytes", limits::REGISTRY_BYTES_MAX),
        format!("rules, as below, at most {} each", limits::NET_RULES_MAX),
        format!("Up to {} redirects", bls_broker::http::REDIRECTS_MAX),
        format!("{INTRODUCTION_BYTES_MAX} bytes, and ends"),
        format!("at most {DESCRIPTION_BYTES_MAX} bytes"),
        format!("| `version` | {} |", Setup::VERSION),
    ] {
        assert!(text.contains(&sentence), "{sentence}");
    }
}

#[test]
fn the_example_of_a_registry_is_one() {
    let text = document();
    let (_, example) = text.split_once("    {\"version\": 1, \"extensions\"").unwrap();
    let end = example.find("]}\n").unwrap() + 2;
    let example = format!("{{\"version\": 1, \"extensions\"{}", &example[..end]);
    let example = example.replacen("\"…\"", &format!("\"{}\"", "0".repeat(64)), 1);
    let example = example.replacen("\"…\"", &format!("\"{}\"", "0".repeat(32)), 1);
    let registry = Registry::parse(example.as_bytes()).unwrap();
    assert_eq!(registry.extensions[0].alias, "search");
}

#[test]
fn the_rules_of_the_table_are_rules() {
    let text = document();
    let (_, section) = text.split_once("### Rules").unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| `")).take(5);
    let mut count = 0;
    for row in rows {
        let cell = row.split('|').nth(1).unwrap();
        for rule in cell.split('`').skip(1).step_by(2) {
            bls_artifact::net::NetGrant::parse(rule)
                .unwrap_or_else(|error| panic!("{rule}: {error}"));
            count += 1;
        }
    }
    assert_eq!(count, 12);
}
