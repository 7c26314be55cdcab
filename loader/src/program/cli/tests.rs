//! The command line, word by word.

use super::*;
use crate::request::Folder;
use std::path::Path;
use std::time::Duration;

fn parse_words(words: &[&str]) -> Result<Command, UsageError> {
    parse(words.iter().map(OsString::from))
}

fn run(words: &[&str]) -> Options {
    match parse_words(words) {
        Ok(Command::Run(options)) => *options,
        other => panic!("{words:?}: {other:?}"),
    }
}

fn file(path: &str) -> Artifact {
    Artifact::File(path.into())
}

fn name(name: &str) -> Wanted {
    Wanted::Name(name.into())
}

#[test]
fn a_word_is_a_file_or_a_name_whatever_files_there_are() {
    for word in
        ["app.bls", "./app", "/app", "a/b", ".bls", "verify.bls", "./sha256:x", "app.wasm", "a.wat"]
    {
        assert_eq!(run(&[word]).artifact, file(word), "{word}");
    }
    for word in ["app", "app.bls.old", "bls", "wasm"] {
        assert_eq!(run(&[word]).artifact, Artifact::Installed(name(word)), "{word}");
    }
    let hex = "0123456789abcdef".repeat(4);
    let identity = Sha256::from_hex(&hex).unwrap();
    let identity = Artifact::Installed(Wanted::Identity(identity));
    assert_eq!(run(&[&format!("sha256:{hex}")]).artifact, identity);
    for word in ["..", ".hidden", "", "a b", "sha256:00", "a:b", "a\u{e9}"] {
        assert!(parse_words(&[word]).is_err(), "{word}");
    }
}

#[test]
fn what_is_installed() {
    let store = Some(PathBuf::from("/s"));
    assert_eq!(parse_words(&["list"]), Ok(Command::List(None, false)));
    let list = parse_words(&["--store", "/s", "list", "--json"]);
    assert_eq!(list, Ok(Command::List(store.clone(), true)));
    assert_eq!(parse_words(&["gc", "--store=/s"]), Ok(Command::Collect(store.clone())));
    let remove = parse_words(&["remove", "--store", "/s", "app"]);
    assert_eq!(remove, Ok(Command::Remove(store, name("app"))));
    // A file needs no sign that it is one.
    let install = parse_words(&["install", "--explain", "app"]);
    assert!(
        matches!(install, Ok(Command::Install { files, dry: false, .. }) if files == [Path::new("app")])
    );
    let several = parse_words(&["install", "--dry-run", "a", "b"]);
    assert!(matches!(several, Ok(Command::Install { files, dry: true, .. }) if files.len() == 2));
    let back = parse_words(&["rollback", "app"]);
    assert!(matches!(back, Ok(Command::Rollback { name, to: None, .. }) if name == "app"));
    let binfmt = parse_words(&["binfmt", "--fixed"]);
    assert_eq!(binfmt, Ok(Command::Binfmt(Binfmt { install: false, fixed: true })));
    let all = parse_words(&["verify", "--trust", "k.pub", "--all"]);
    assert!(matches!(all, Ok(Command::VerifyAll(options)) if options.trust.is_some()));
    let verify = parse_words(&["verify", "app"]);
    let installed = Artifact::Installed(name("app"));
    assert!(matches!(verify, Ok(Command::Verify(options)) if options.artifact == installed));
}

#[test]
fn what_is_in_a_registry() {
    let options = run(&["--fuel", "7", "oci://r.example/a/app:1@sha256:0", "x"]);
    assert_eq!(options.artifact, Artifact::Registry("oci://r.example/a/app:1@sha256:0".into()));
    assert_eq!(
        (options.request.program, options.request.arguments),
        ("app".into(), vec!["x".into()])
    );
    let pull = parse_words(&["pull", "--plain-http", "--authorities", "a.pem", "r.example/app"]);
    match pull {
        Ok(Command::Pull { options, reference, dry: false }) => {
            assert!(options.plain_http && reference == "r.example/app");
            assert_eq!(options.request.beyond.authorities, Some("a.pem".into()));
        }
        other => panic!("{other:?}"),
    }
    let verify = parse_words(&["verify", "--authorities", "a.pem", "oci://r.example/app"]);
    assert!(matches!(verify, Ok(Command::Verify(_))), "{verify:?}");
    for wrong in [
        &["pull"][..],
        &["pull", "a", "b"],
        &["pull", "--fuel", "1", "r.example/app"],
        &["pull", "--digest", "sha256:00", "r.example/app"],
        &["pull", "--target", "aarch64", "r.example/app"],
        &["--plain-http", "oci://r.example/app"],
        &["install", "--authorities", "a.pem", "app.bls"],
        &["list", "--plain-http"],
    ] {
        assert!(parse_words(wrong).is_err(), "{wrong:?}");
    }
}

#[test]
fn everything_after_the_artifact_is_the_guests() {
    let options = run(&["--fuel", "7", "app.bls", "--help", "-x", "--", "--fuel=9"]);
    assert_eq!(options.artifact, file("app.bls"));
    assert_eq!(options.request.arguments, ["--help", "-x", "--", "--fuel=9"]);
    assert_eq!(options.request.limits.fuel, Some(7));
}

#[test]
fn a_call_has_values_and_the_guest_has_arguments() {
    let words = |words: &[&str]| {
        let options = run(words);
        let text = |words: &[OsString]| {
            words.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
        };
        (text(&options.request.values), text(&options.request.arguments))
    };
    let pair = |values: &str, arguments: &str| (values.to_owned(), arguments.to_owned());
    assert_eq!(words(&["x.bls", "1", "--", "a"]), pair("", "1 -- a"));
    assert_eq!(words(&["--invoke", "f", "x.bls", "1", "2"]), pair("1 2", ""));
    assert_eq!(words(&["--invoke", "f", "x.bls", "1", "--", "a", "--"]), pair("1", "a --"));
    assert_eq!(words(&["--invoke", "f", "x.bls", "--", "a"]), pair("", "a"));
    assert_eq!(run(&["--argv0", "", "x.bls"]).request.program, "");
}

#[test]
fn grants() {
    let options = run(&["--dir", "a", "--dir-ro=/b::/data", "--env", "K=V=W", "--env=HOME", "x"]);
    let folder = |host: &str, guest: &str, read_only| Folder {
        below: PathBuf::new(),
        host: host.into(),
        guest: guest.into(),
        read_only,
    };
    assert_eq!(options.request.folders, [folder("a", "a", false), folder("/b", "/data", true)]);
    assert_eq!(
        options.request.variables,
        [("K".into(), Some("V=W".into())), ("HOME".into(), None)]
    );
}

#[test]
fn commands() {
    let verify = parse_words(&["--trust", "k.pub", "verify", "--explain", "app.bls"]);
    assert!(matches!(verify, Ok(Command::Verify(options)) if options.explain));
    assert_eq!(run(&["./verify"]).artifact, file("./verify"));
    let add = parse_words(&["trust", "add", "k"]);
    assert!(
        matches!(add, Ok(Command::Trust(what)) if matches!(&*what, Trust::Add { key, terms: None, .. } if key.as_os_str() == "k"))
    );
    let list = Trust::Show { file: None, json: false };
    assert_eq!(parse_words(&["trust", "list"]), Ok(Command::Trust(Box::new(list))));
    assert_eq!(parse_words(&["--help"]), Ok(Command::Print(help::HELP.into())));
}

#[test]
fn numbers_sizes_and_times_are_written_as_people_do() {
    for fuel in ["1000000", "1_000_000", "1M", "1e6"] {
        assert_eq!(run(&["--fuel", fuel, "x"]).request.limits.fuel, Some(1_000_000), "{fuel}");
    }
    for size in ["65536", "64k", "64KB", "64KiB"] {
        assert_eq!(run(&["--max-memory", size, "x"]).request.limits.memory, Some(65536), "{size}");
    }
    assert_eq!(
        run(&["--timeout", "1h30m", "x"]).request.limits.timeout,
        Some(Duration::from_secs(5400))
    );
    assert_eq!(run(&["--max-descriptors", "1k", "x"]).request.limits.descriptors, Some(1000));
}

#[test]
fn run_is_the_same_as_no_command() {
    let options = run(&["--fuel", "7", "run", "--explain", "app.bls", "run", "--fuel=9"]);
    assert_eq!(options.artifact, file("app.bls"));
    assert_eq!((options.request.limits.fuel, options.explain), (Some(7), true));
    assert_eq!(options.request.arguments, ["run", "--fuel=9"]);
    assert_eq!(run(&["run", "./verify"]).artifact, file("./verify"));
}

#[test]
fn each_command_has_its_help() {
    for (command, text) in help::COMMANDS {
        let printed = Ok(Command::Print(text.into()));
        assert_eq!(parse_words(&["help", command]), printed, "help {command}");
        assert_eq!(parse_words(&[command, "--help"]), printed, "{command} --help");
        assert_eq!(parse_words(&[command, "-h"]), printed, "{command} -h");
    }
    let wrong = parse_words(&["help", "instal"]).unwrap_err().to_string();
    assert!(wrong.contains("did you mean install?"), "{wrong}");
}

#[test]
fn every_option_of_a_run_is_read() {
    use bls_artifact::options::{RUN, Takes};
    for (name, takes) in RUN {
        let option = format!("--{name}");
        // What is known takes a word that fits, or complains about that word.
        let words: &[&str] = match takes {
            Takes::Value => &[&option, "fd:x", "./app"],
            Takes::Nothing | Takes::MaybeValue => &[&option, "./app"],
        };
        match parse_words(words) {
            Ok(Command::Run(options)) => assert_eq!(options.artifact, file("./app"), "{name}"),
            Ok(other) => panic!("{name}: {other:?}"),
            Err(error) => {
                let error = error.to_string();
                assert!(!error.contains("there is no option"), "{name}: {error}");
                assert!(error.contains(&option), "{name}: {error}");
            }
        }
        if takes == Takes::Nothing {
            let valued = parse_words(&[&format!("{option}=yes"), "./app"]);
            assert!(valued.is_err(), "{name} takes nothing");
        }
    }
}

#[test]
fn nonsense_is_refused() {
    let long = (fuel::BUDGET_MAX + 1).to_string();
    for words in [
        &[][..],
        &["--fuel", "-1", "x"],
        &["--fuel", &long, "x"],
        &["--timeout", "5", "x"],
        &["--max-memory", "5x", "x"],
        &["--fuel", "1.5", "x"],
        &["--max-descriptors", "2", "x"],
        &["run"],
        &["run", "verify"],
        &["help", "nonsense"],
        &["--max-stack", "1KiB", "x"],
        &["--digest", "abc", "x"],
        &["--unknown-imports", "ignore", "x"],
        &["--report", "fd:x", "x"],
        &["--dir", "::a", "x"],
        &["--env", "=v", "x"],
        &["--nothing", "x"],
        &["-q", "x"],
        &["--fuel"],
        &["--explain=yes", "x"],
        &["verify"],
        &["verify", "x", "y"],
        &["--fuel", "1", "verify", "x"],
        &["verify", "--all", "x"],
        &["verify", "--digest", "x"],
        &["verify", "app.bls", "--trust", "k"],
        &["verify", "--all", "--json"],
        &["install"],
        &["install", "--fuel", "1", "a"],
        &["remove"],
        &["remove", "a/b"],
        &["remove", "../a"],
        &["remove", "--all"],
        &["list", "x"],
        &["list", "--trust", "k"],
        &["gc", "--json"],
        &["--all", "x"],
        &["--json", "x"],
        &["trust"],
        &["trust", "add"],
        &["trust", "remove"],
        &["trust", "remove", "k"],
        &["trust", "remove", "0123456"],
        &["trust", "revoke", "sha256:01234567"],
        &["trust", "add", "k", "--file", "f", "--system"],
        &["trust", "verify", "--replace", "f"],
        &["trust", "add", "k", "l"],
        &["trust", "add", "k", "--role", "king"],
        &["trust", "add", "k", "--may", "files"],
        &["trust", "add", "k", "--not-after", "tomorrow"],
        &["trust", "add", "k", "--threshold", "2"],
        &["trust", "revoke"],
        &["trust", "revoke", "abc"],
        &["trust", "revoke", "--engine", "48"],
        &["trust", "init", "k"],
        &["trust", "init", "--threshold", "x"],
        &["trust", "init", "--root-threshold", "2"],
        &["trust", "install"],
        &["trust", "verify"],
        &["trust", "show", "--system"],
        &["--trust", "f", "trust", "add", "k"],
    ] {
        assert!(parse_words(words).is_err(), "{words:?}");
    }
}

#[test]
fn a_profile_goes_to_stderr_or_to_a_file() {
    assert_eq!(run(&["x"]).fuel_profile, None);
    assert_eq!(run(&["--fuel-profile", "x"]).fuel_profile, Some(None));
    let named = run(&["--fuel-profile=p.txt", "./x"]);
    assert_eq!((named.fuel_profile, named.artifact), (Some(Some("p.txt".into())), file("./x")));
}
