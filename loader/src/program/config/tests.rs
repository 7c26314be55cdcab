//! A configuration and a command line that ask for the same.

use super::*;
use bls_artifact::options::{FILE_ONLY, RUN, Takes};

/// A value for each option that takes one.
const VALUES: [(&str, &str); 41] = [
    ("dir", "/srv::/data"),
    ("dir-ro", "/etc::/etc"),
    ("env", "A=1"),
    ("stdin", "text:words"),
    ("deny", "random"),
    ("policy", "policy.json"),
    ("fuel", "3G"),
    ("timeout", "1h30m"),
    ("max-memory", "64MiB"),
    ("max-stack", "64KiB"),
    ("max-output", "7"),
    ("max-descriptors", "1k"),
    ("trust", "trust.json"),
    ("invoke", "add"),
    ("argv0", "tool"),
    ("seed", "7"),
    ("epoch", "7"),
    ("unknown-imports", "trap"),
    ("report", "fd:1"),
    ("receipt", "receipt.json"),
    ("receipt-key", "node.pem"),
    ("metrics", "runs.prom"),
    ("account", "/usr/libexec/bls-account"),
    ("log", "syslog"),
    ("log-level", "warn"),
    ("debug-file", "app.bls.debug"),
    ("coredump", "app.core"),
    ("jitdump", "/tmp"),
    ("fuel-profile", "fuel.txt"),
    ("store", "/store"),
    ("compile-with", "/bin/bls-compile"),
    ("compile-key", "release"),
    ("allow-net", "example.org:443"),
    ("deny-net", "10.0.0.0/8"),
    ("permission", "https://example.org/api"),
    ("extensions", "/srv/extensions.json"),
    ("allow-extension", "search"),
    ("listen", "127.0.0.1:80"),
    ("list-env", "B=2"),
    ("broker", "/bin/bls-broker"),
    ("authorities", "ca.pem"),
];

fn by_words(words: &[&str]) -> Options {
    match cli::parse(words.iter().chain(&["./app.bls"]).map(OsString::from)) {
        Ok(Command::Run(options)) => *options,
        other => panic!("{words:?}: {other:?}"),
    }
}

/// What a configuration with these fields asks for, with these words behind `run`.
fn by_config(fields: &str, words: &[&str]) -> Options {
    let text = format!("{{\"entry\": \"./app.bls\"{fields}}}");
    let config = Config::parse(&text, None).unwrap_or_else(|error| panic!("{text}: {error}"));
    let words = ["run"].iter().chain(words).chain(&["config.json"]).map(OsString::from).collect();
    of_config(&config, None, words).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn every_option_says_the_same_in_a_configuration() {
    // What some options mean nothing without.
    let with = |option: &str| match option {
        "seed" | "epoch" => (vec!["--deterministic".to_owned()], ", \"deterministic\": true"),
        "allow-extension" => (vec!["--extensions=e".to_owned()], ", \"extensions\": \"e\""),
        "log-level" => (vec!["--log=syslog".to_owned()], ", \"log\": \"syslog\""),
        "receipt" => (vec!["--receipt-key=k".to_owned()], ", \"receipt_key\": \"k\""),
        "receipt-key" => (vec!["--receipt=r".to_owned()], ", \"receipt\": \"r\""),
        _ => (Vec::new(), ""),
    };
    for (option, takes) in RUN {
        let field = field_of(option);
        let value = VALUES.iter().find(|(name, _)| *name == option).map(|(_, value)| *value);
        let (mut words, beside) = with(option);
        let json = match takes {
            Takes::Nothing => {
                words.push(format!("--{option}"));
                "true".to_owned()
            }
            Takes::Value | Takes::MaybeValue => {
                let value = value.unwrap_or_else(|| panic!("--{option} has no value here"));
                words.push(format!("--{option}={value}"));
                format!("{value:?}")
            }
        };
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let expected = by_words(&words);
        assert_ne!(expected, by_words(&[]), "--{option} asks for something");
        assert_eq!(by_config(&format!("{beside}, \"{field}\": {json}"), &[]), expected, "{field}");
    }
    let digest = format!("sha256:{}", "0".repeat(64));
    let expected = by_words(&[&format!("--{FILE_ONLY}={digest}")]);
    assert_eq!(by_config(&format!(", \"{FILE_ONLY}\": {digest:?}"), &[]), expected);
}

#[test]
fn the_networks_fields_are_options_by_another_name() {
    for (fields, words) in [
        (r#", "limited_fuel": 7"#, &["--fuel=7"][..]),
        (r#", "limited_fuel": 18446744073709551615"#, &["--fuel=4611686018427387903"]),
        (r#", "limited_memory": 30"#, &["--max-memory=1966080"]),
        (r#", "limited_memory": 30, "max_memory_size": 1000"#, &["--max-memory=1000"]),
        (r#", "run_time": 2000"#, &["--timeout=2000ms"]),
        (r#", "map_dirs": [{"host": "a", "guest": "/b"}]"#, &["--dir=a::/b"]),
        (r#", "fs_root_path": "/nowhere""#, &["--dir=/nowhere::/"]),
        (r#", "permissions": ["http://a.org/b", "file://x"]"#, &["--permission=http://a.org/b"]),
        (r#", "drivers_root_path": "ext""#, &["--extensions=ext"]),
        (r#", "stdin": "inherit", "stdout": "inherit""#, &[]),
        (
            r#", "env": {"A": "1", "B": ""}, "dir": ["a", "b"]"#,
            &["--env=A=1", "--env=B=", "--dir=a", "--dir=b"],
        ),
    ] {
        assert_eq!(by_config(fields, &[]), by_words(words), "{fields}");
    }
}

#[test]
fn options_win_and_lists_add_up() {
    let both = by_config(r#", "fuel": 7, "dir": "a", "env": {"A": "1"}"#, &["--fuel=9", "--dir=b"]);
    assert_eq!(both, by_words(&["--env=A=1", "--dir=a", "--dir=b", "--fuel=9"]));
    let both = by_config(r#", "limited_fuel": 5, "fuel": 7"#, &[]);
    assert_eq!(both.request.limits.fuel, Some(7), "our own name of a limit comes second");
}
