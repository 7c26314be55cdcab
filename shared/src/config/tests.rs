//! What is a configuration and what is not.

use super::*;

fn read(text: &str) -> Result<Config, ConfigError> {
    Config::parse(text, None)
}

/// Its code and its sentence.
fn refusal(text: &str) -> (&'static str, String) {
    let error = read(text).unwrap_err();
    (error.code(), error.to_string())
}

#[test]
fn a_configuration_of_version_0_is_read_whole() {
    let config = read(
        r#"{
  "version": 0, "entry": "app.wasm", "fs_root_path": "/srv", "drivers_root_path": "ext",
  "limited_fuel": 18446744073709551615, "limited_memory": 30, "max_memory_size": 1048576,
  "run_time": 2000, "debug_info": true, "runtime_logger": "run.log", "runtime_logger_level": "WARN",
  "stdin": "words", "stdout": "null", "stderr": "errors.txt",
  "permissions": ["http://example.org"], "map_dirs": [{"host": "a", "guest": "/b"}],
  "modules": [{"file": "app.wasm", "name": "app", "type": "entry", "md5": "00"}]
}"#,
    )
    .unwrap();
    let module = ModuleEntry {
        file: "app.wasm".into(),
        name: "app".into(),
        kind: ModuleKind::Entry,
        md5: Some("00".into()),
        sha256: None,
    };
    let expected = Config {
        version: 0,
        entry: "app.wasm".into(),
        modules: vec![module],
        fs_root_path: Some("/srv".into()),
        drivers_root_path: Some("ext".into()),
        limited_fuel: Some(u64::MAX),
        limited_memory: Some(30),
        max_memory_size: Some(1 << 20),
        run_time: Some(2000),
        debug_info: Some(true),
        runtime_logger: Some("run.log".into()),
        stdin: Some(Stdin::Text("words".into())),
        stdout: Some(Stream::Null),
        stderr: Some(Stream::File("errors.txt".into())),
        permissions: vec!["http://example.org".into()],
        map_dirs: vec![MapDir { host: "a".into(), guest: "/b".into() }],
        options: Vec::new(),
    };
    assert_eq!(config, expected);
    assert_eq!(config.start(), "_start");
    assert!(config.in_order().is_empty());
}

#[test]
fn modules_are_in_order_with_the_entry_last() {
    let config = read(
        r#"{"version": 1, "entry": "run", "modules": [
            {"file": "e.wasm", "name": "e", "type": "ENTRY"},
            {"file": "b.wasm", "name": "b", "type": "module"}, {"file": "a.wasm", "name": "a"}]}"#,
    )
    .unwrap();
    let names: Vec<&str> = config.in_order().iter().map(|module| module.name.as_str()).collect();
    assert_eq!(names, ["b", "a", "e"]);
    assert_eq!(config.start(), "run");
    let unnamed = read(
        r#"{"version": 1, "entry": "", "modules": [{"file": "e", "type": "entry", "sha256":
            "0000000000000000000000000000000000000000000000000000000000000000"}]}"#,
    )
    .unwrap();
    assert_eq!(unnamed.start(), "_start");
    assert_eq!(unnamed.modules[0].sha256, Some(Sha256([0; 32])));
}

#[test]
fn comments_and_last_commas_are_read_over() {
    let config = read(
        "// the \"whole\" of it\n{ /* one\n * two */ \"entry\": \"a//b/*c*/.wasm\", // \"x\": 1\n\
         \"permissions\": [\"http://a\\\"//b\", /* last */ ],\n}\n// end",
    )
    .unwrap();
    assert_eq!(config.entry, "a//b/*c*/.wasm");
    assert_eq!(config.permissions, ["http://a\"//b"]);
    for wrong in [
        "{\"entry\": \"a\",, }",
        "{, \"entry\": \"a\"}",
        "{\"entry\": \"a\", \"permissions\": [,]}",
        "{\"entry\": \"a\", \"modules\": , }",
        "{\"entry\": \"a\"} /",
        "{\"entry\": \"a",
        "{\"entry\": \"a\\",
        "{\"entry\": \"a\"} {}",
        "",
    ] {
        let error = read(wrong).unwrap_err();
        assert_eq!(error.code(), "config.json", "{wrong}: {error}");
    }
    assert_eq!(refusal("[]").0, "config.field");
    assert_eq!(
        refusal("{\"entry\": \"a\",\n  /* no end"),
        ("config.json", "line 2, column 3: this comment has no end".into())
    );
}

#[test]
fn what_the_networks_tools_write_is_overlooked() {
    let config = read(
        r#"{"version": 0, "entry": "a", "id": "", "name": "hello", "description": null, "hooks": [1],
            "contentType": "text", "runtime": {"checksum": "", "url": ""}, "function": {"id": []},
            "deployment": {"nodes": 1.5}, "cached": true, "methods": [{"name": "x"}], "drivers": [],
            "optimize": {}, "extensions_path": "x", "runtime_logger": null, "permissions": null}"#,
    )
    .unwrap();
    assert_eq!(config, Config { entry: "a".into(), ..Config::default() });
    assert!(is_overlooked("contentType") && !is_overlooked("entry") && is_network_field("entry"));
}

#[test]
fn every_mistake_has_its_place_and_its_words() {
    for (text, code, sentence) in [
        (
            "{\n  \"entry\": \"a\",\n  \"limited_fule\": 5\n}",
            "config.field",
            "line 3, column 16: there is no field \"limited_fule\"; did you mean \"limited_fuel\"?",
        ),
        (
            "{\"entry\": \"a\", \"max-memory\": 5}",
            "config.field",
            "line 1, column 27: there is no field \"max-memory\"; did you mean \"max_memory\"?",
        ),
        (
            "{\"entry\": \"a\", \"colour\": 5}",
            "config.field",
            "line 1, column 23: there is no field \"colour\"",
        ),
        (
            "{\"entry\": \"a\",\n\"limited_fuel\": \"100\"}",
            "config.field",
            "line 2, column 21: \"limited_fuel\" is a number, not text: write it without quotes",
        ),
        (
            "{\"entry\": \"a\", \"entry\": \"b\"}",
            "config.field",
            "line 1, column 22: \"entry\" is there twice",
        ),
        (
            "{\"version\": 1, \"entry\": \"a\", \"modules\": [{\"fiel\": \"a\"}]}",
            "config.field",
            "line 1, column 48: there is no field \"fiel\"; did you mean \"file\"?",
        ),
        (
            "{\"entry\": \"a\", \"limited_fuel\": -1}",
            "config.field",
            "line 1, column 33: invalid type: integer `-1`, expected a whole number for \"limited_fuel\"",
        ),
        (
            "{\"entry\": \"a\", \"permissions\": \"x\"}",
            "config.field",
            "line 1, column 33: invalid type: string \"x\", expected a list of text for \"permissions\"",
        ),
        (
            "{\"version\": 2, \"entry\": \"a\"}",
            "config.version",
            "it is of version 2; this program reads 0 to 1",
        ),
        ("{\"version\": 1, \"modules\": []}", "config.entry", "it has no \"entry\""),
        ("{\"entry\": \"\"}", "config.entry", "its \"entry\" names no file"),
        (
            "{\"version\": 1, \"entry\": \"a\", \"modules\": [{\"file\": \"a\"}]}",
            "config.entry",
            "none of its modules is the entry",
        ),
        (
            "{\"version\": 1, \"entry\": \"\", \"modules\": [{\"file\": \"a\", \"type\": \"entry\"}, \
             {\"file\": \"b\", \"type\": \"entry\"}]}",
            "config.entry",
            "more than one of its modules is the entry",
        ),
        (
            "{\"version\": 1, \"entry\": \"\", \"modules\": [{\"name\": \"a\", \"type\": \"entry\"}]}",
            "config.field",
            "module \"a\" has no \"file\"",
        ),
        (
            "{\"entry\": \"a\", \"modules\": [{\"file\": \"a\", \"sha256\": \"00\"}]}",
            "config.field",
            "\"sha256\" of \"a\" is not 64 lower-case hex digits",
        ),
        (
            "{\"entry\": \"a\", \"map_dirs\": [{\"host\": \"a\"}]}",
            "config.field",
            "an entry of \"map_dirs\" has \"host\" and \"guest\"",
        ),
    ] {
        assert_eq!(refusal(text), (code, sentence.to_owned()), "{text}");
        assert!(!read(text).unwrap_err().hint().is_empty());
    }
}

#[test]
fn the_root_stands_in_every_text() {
    let text =
        r#"{"entry": "$ROOT/a.wasm", "map_dirs": [{"host": "$ENV_ROOT_PATH/d", "guest": "/d"}]}"#;
    let config = Config::parse(text, Some("/srv \"x\"\\")).unwrap();
    assert_eq!(config.entry, "/srv \"x\"\\/a.wasm");
    assert_eq!(config.map_dirs[0].host, "/srv \"x\"\\/d");
    assert_eq!(read(text).unwrap().entry, "$ROOT/a.wasm");
}

#[test]
fn every_option_of_a_run_has_a_field() {
    for (option, takes) in options::RUN {
        let field = field_of(option);
        assert!(!is_network_field(&field), "{field} means two things");
        assert_eq!(option_of(&field), Some(option));
        let (value, expected) = match takes {
            options::Takes::Nothing | options::Takes::MaybeValue => ("true", None),
            options::Takes::Value => ("\"7\"", Some("7".to_owned())),
        };
        let config = read(&format!("{{\"entry\": \"a\", {field:?}: {value}}}")).unwrap();
        assert_eq!(config.options, [(option, expected)], "{field}");
        let absent = read(&format!("{{\"entry\": \"a\", {field:?}: null}}")).unwrap();
        assert!(absent.options.is_empty(), "{field}");
    }
}

#[test]
fn options_come_in_the_order_they_are_written() {
    let config = read(
        r#"{"fuel": 3, "entry": "a", "dir": ["a", "b::c"], "env": {"A": "1", "B": ""},
            "explain": false, "fuel_profile": "f.txt", "timeout": "2s", "stdin_from": "null"}"#,
    )
    .unwrap();
    let expected = [
        ("fuel", Some("3")),
        ("dir", Some("a")),
        ("dir", Some("b::c")),
        ("env", Some("A=1")),
        ("env", Some("B=")),
        ("fuel-profile", Some("f.txt")),
        ("timeout", Some("2s")),
        ("stdin", Some("null")),
    ];
    let found: Vec<(&str, Option<&str>)> =
        config.options.iter().map(|(name, value)| (*name, value.as_deref())).collect();
    assert_eq!(found, expected);
    for wrong in
        [r#""fuel": true"#, r#""fuel": {"a": "b"}"#, r#""explain": "yes""#, r#""dir": [1]"#]
    {
        let error = read(&format!("{{\"entry\": \"a\", {wrong}}}")).unwrap_err();
        assert_eq!(error.code(), "config.field", "{wrong}");
    }
}

#[test]
fn no_text_is_too_strange_and_every_place_is_in_it() {
    let text = "// a\n{ /* b */ \"version\": 1, \"entry\": \"r\\\"un\",\n \"modules\": [{\"file\": \"a\", \
                \"type\": \"entry\",}], \"env\": {\"A\": \"1\"}, \"fuel\": [\"1\", ], \"id\": {\"x\": [null]}}\n";
    assert!(read(text).is_ok(), "{:?}", read(text));
    let judge = |text: &str| {
        if let Err(error) = read(text)
            && let Some((line, _)) = error.place()
        {
            assert!((1..=text.lines().count().max(1) + 1).contains(&line), "{text}: {error}");
        }
    };
    for end in 0..text.len() {
        judge(&text[..end]);
        for letter in ["", "\"", "/", "*", ",", "}", "[", "\\", "\n", "\u{fffd}", "1"] {
            judge(&[&text[..end], letter, &text[end + 1..]].concat());
            judge(&[&text[..end], letter, &text[end..]].concat());
        }
    }
}
