//! The command line, word by word.

use super::*;

fn parse_words(words: &[&str]) -> Result<Command, UsageError> {
    parse(words.iter().map(OsString::from))
}

fn run(words: &[&str]) -> Options {
    match parse_words(words) {
        Ok(Command::Run(options)) => *options,
        other => panic!("{words:?}: {other:?}"),
    }
}

#[test]
fn everything_after_the_artifact_is_the_guests() {
    let options = run(&["--fuel", "7", "app.bls", "--help", "-x", "--", "--fuel=9"]);
    assert_eq!(options.artifact, PathBuf::from("app.bls"));
    assert_eq!(options.arguments, ["--help", "-x", "--", "--fuel=9"]);
    assert_eq!(options.fuel, Some(7));
}

#[test]
fn grants() {
    let options = run(&["--dir", "a", "--dir-ro=/b::/data", "--env", "K=V=W", "--env=HOME", "x"]);
    let folder = |host: &str, guest: &str, read_only| Folder {
        host: host.into(),
        guest: guest.into(),
        read_only,
    };
    assert_eq!(options.folders, [folder("a", "a", false), folder("/b", "/data", true)]);
    assert_eq!(options.variables, [("K".into(), Some("V=W".into())), ("HOME".into(), None)]);
}

#[test]
fn commands() {
    let verify = parse_words(&["--trust", "k.pub", "verify", "--explain", "app.bls"]);
    assert!(matches!(verify, Ok(Command::Verify(options)) if options.explain));
    assert_eq!(run(&["./verify"]).artifact, PathBuf::from("./verify"));
    assert_eq!(parse_words(&["trust", "add", "k"]), Ok(Command::TrustAdd("k".into())));
    assert_eq!(parse_words(&["trust", "list"]), Ok(Command::TrustList(None)));
    assert_eq!(parse_words(&["--help"]), Ok(Command::Print(HELP.into())));
}

#[test]
fn nonsense_is_refused() {
    let long = (fuel::BUDGET_MAX + 1).to_string();
    for words in [
        &[][..],
        &["--fuel", "-1", "x"],
        &["--fuel", &long, "x"],
        &["--timeout", "5", "x"],
        &["--max-memory", "5", "x"],
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
        &["trust"],
        &["trust", "add"],
        &["trust", "remove", "k"],
    ] {
        assert!(parse_words(words).is_err(), "{words:?}");
    }
}

#[test]
fn a_profile_goes_to_stderr_or_to_a_file() {
    assert_eq!(run(&["x"]).fuel_profile, None);
    assert_eq!(run(&["--fuel-profile", "x"]).fuel_profile, Some(None));
    let named = run(&["--fuel-profile=p.txt", "x"]);
    assert_eq!((named.fuel_profile, named.artifact), (Some(Some("p.txt".into())), "x".into()));
}
