//! The command line: `ext add`, `ext list`, `ext remove`, and what is said otherwise.

mod common;

use bls_artifact::extension::Registry;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// Exit code, output and errors.
fn run(words: &[&str]) -> (i32, String, String) {
    let output = Command::new(common::program()).args(words).stdin(Stdio::null()).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn script(path: &Path, text: &str) {
    fs::write(path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_program_is_added_listed_changed_and_removed() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (program, registry) = (at("search"), at("new/registry.json"));
    script(
        Path::new(&program),
        "[ \"$*\" = --ext_verify ] && echo '{\"alias\":\"search\",\"description\":\"finds things\",\"is_cgi\":true}'",
    );
    let (code, out, err) = run(&["ext", "add", &program, "--registry", &registry]);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    assert!(out.contains("added search"), "{out}");
    let read = || Registry::parse(&fs::read(&registry).unwrap()).unwrap();
    let one = read().extensions.remove(0);
    assert_eq!((one.alias.as_str(), one.description.as_str()), ("search", "finds things"));
    assert_eq!((one.md5.len(), one.network, one.arguments), (32, false, None));

    let (code, out, err) = run(&[
        "ext",
        "add",
        &program,
        "--registry",
        &registry,
        "--argument",
        "--limit=*",
        "--variable",
        "LANG",
        "--time",
        "90s",
        "--memory",
        "1GiB",
        "--output",
        "1MiB",
        "--processes",
        "1",
        "--files",
        "32",
        "--network",
        "--read",
        "/etc",
        "--write",
        &at(""),
        "--description",
        "d",
    ]);
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("replaced search"), "{out}");
    let one = read().extensions.remove(0);
    assert_eq!(one.arguments, Some(vec!["--limit=*".to_owned()]));
    assert_eq!(
        (one.variables, one.time_ms, one.memory),
        (vec!["LANG".to_owned()], 90_000, 1 << 30)
    );
    assert_eq!((one.output, one.processes, one.files, one.network), (1 << 20, 1, 32, true));
    assert_eq!((one.read.len(), one.write.len(), one.description.as_str()), (1, 1, "d"));

    let (code, out, _) = run(&["ext", "list", "--registry", &registry]);
    assert!(code == 0 && out.contains("search") && !out.contains("changed"), "{out}");
    script(Path::new(&program), "exit 1");
    let (_, out, _) = run(&["ext", "list", "--registry", &registry]);
    assert!(out.contains("its file has changed"), "{out}");
    let (_, json, _) = run(&["ext", "list", "--registry", &registry, "--json"]);
    assert_eq!(Registry::parse(json.as_bytes()).unwrap(), read());

    let (code, _, err) = run(&["ext", "remove", "other", "--registry", &registry]);
    assert!(code == 1 && err.contains("code: ext.unknown"), "{err}");
    let (code, _, _) = run(&["ext", "remove", "search", "--registry", &registry]);
    assert_eq!((code, read().extensions.len()), (0, 0));
}

#[test]
fn a_program_that_does_not_answer_is_not_added() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let registry = at("registry.json");
    for (name, text, words) in [
        ("dumb", "echo hello", "JSON"),
        ("silent", "exit 0", "JSON"),
        ("hangs", "sleep 1000", "2 seconds"),
        ("floods", "exec yes", "65536"),
        ("other", "echo '{\"alias\":\"a\",\"is_cgi\":false}'", "is_cgi"),
        ("forks", "sleep 1000 & echo '{\"alias\":\"a\",\"is_cgi\":true}'", ""),
    ] {
        script(Path::new(&at(name)), text);
        let (code, out, err) = run(&["ext", "add", &at(name), "--registry", &registry]);
        if name == "forks" {
            // It has ended itself; what it left behind is ended.
            assert_eq!(code, 0, "{err}");
            continue;
        }
        assert_eq!((code, out.as_str()), (1, ""), "{name}");
        assert!(err.contains(words) && err.contains("code: ext.introduction"), "{name}: {err}");
        assert!(!Path::new(&registry).exists());
    }
    let (code, _, err) = run(&["ext", "add", &at("dumb"), "--no-ask", "--registry", &registry]);
    assert!(code == 2 && err.contains("--alias"), "{err}");
    let words = ["ext", "add", &at("dumb"), "--no-ask", "--alias", "x", "--registry", &registry];
    assert_eq!(run(&words).0, 0);
    for missing in [at("missing"), at(""), "/etc/passwd".to_owned()] {
        let (code, _, err) = run(&["ext", "add", &missing, "--registry", &registry]);
        assert!(code == 1 && err.contains("code: ext.program"), "{missing}: {err}");
    }
    fs::write(&registry, "{").unwrap();
    let (code, _, err) = run(&["ext", "list", "--registry", &registry]);
    assert!(code == 1 && err.contains("code: ext.registry"), "{err}");
}

#[test]
fn a_folder_is_listed_with_what_is_none() {
    let folder = tempfile::tempdir().unwrap();
    script(&folder.path().join("good"), "echo '{\"alias\":\"good\",\"is_cgi\":true}'");
    script(&folder.path().join("bad"), "echo no");
    let (code, out, _) = run(&["ext", "list", "--folder", folder.path().to_str().unwrap()]);
    assert_eq!(code, 0);
    assert!(out.contains("good  ") && out.contains("bad is none: what it says"), "{out}");
}

#[test]
fn help_is_on_standard_output_and_usage_is_code_2() {
    for words in
        [&["--help"][..], &["ext", "--help"], &["ext", "add", "--help"], &["ext", "list", "-h"]]
    {
        let (code, out, err) = run(words);
        assert!(code == 0 && out.contains("Usage:") && err.is_empty(), "{words:?}");
    }
    assert!(run(&["--version"]).1.starts_with("bls-broker "));
    for words in [
        &[][..],
        &["other"],
        &["serve", "x"],
        &["ext"],
        &["ext", "other"],
        &["ext", "add"],
        &["ext", "add", "a", "b"],
        &["ext", "add", "--memory", "much"],
        &["ext", "list", "--folder", "a", "--registry", "b"],
        &["ext", "remove"],
    ] {
        let (code, out, err) = run(words);
        assert!(
            code == 2 && out.is_empty() && err.contains("code: broker.usage"),
            "{words:?}: {err}"
        );
    }
    let (code, _, err) = run(&["serve"]);
    assert!(code == 1 && err.contains("code: broker.no-socket"), "{err}");
}
