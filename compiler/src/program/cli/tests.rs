//! What the command line takes, and what not.

use super::*;
use clap::CommandFactory as _;

#[test]
fn the_command_line_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn the_version_names_what_is_built_in() {
    use bls_artifact::{artifact::FORMAT_VERSION, fuel::MODEL, target::ENGINE_RELEASE};
    let expected = format!(
        "{} (wasmtime {ENGINE_RELEASE}, artifact format {FORMAT_VERSION}, fuel model {MODEL})",
        env!("CARGO_PKG_VERSION")
    );
    assert_eq!(VERSION, expected);
}

#[test]
fn each_program_knows_the_commands_of_the_other() {
    use bls_artifact::options::{COMPILER_COMMANDS, LOADER_COMMANDS};
    let cli = Cli::command();
    let own: Vec<&str> = cli.get_subcommands().map(clap::Command::get_name).collect();
    for (name, words) in COMPILER_COMMANDS {
        assert!(name == "compile" || own.contains(&name), "{name}");
        let line = words.split(' ');
        assert!(words.starts_with("bls-compile ") && Cli::try_parse_from(line).is_ok(), "{words}");
    }
    // What both have means something else in each.
    for name in own {
        let known = COMPILER_COMMANDS.iter().any(|(known, _)| *known == name);
        assert!(known || ["run", "verify", "trust"].contains(&name), "{name}");
        assert!(LOADER_COMMANDS.iter().all(|(theirs, _)| *theirs != name), "{name}");
    }
}

/// Days are the shared crate's to read; a plain number is one of seconds here.
#[test]
fn points_in_time_are_read() {
    for (text, seconds) in [
        ("0", 0),
        ("2027", 2027),
        ("1700000000", 1_700_000_000),
        ("2027-01-31", 1_801_353_600),
        ("2027-01-31T12:00:01Z", 1_801_396_801),
    ] {
        assert_eq!(point_in_time(text), Ok(seconds), "{text}");
    }
    let beyond = format!("{}0", u64::MAX);
    for wrong in ["", "soon", "-1", "+1", "2027-02-29", "2027-01-31T12:00:00+01:00", &beyond] {
        let words = point_in_time(wrong).unwrap_err();
        assert!(words.contains("2027-01-31T12:00:00Z"), "{words}");
    }
}

#[test]
fn options_are_read() {
    let cli = Cli::try_parse_from([
        "bls-compile",
        "--compress",
        "--compress-window=1MiB",
        "a.wasm",
        "--target",
        "pulley64,pulley32",
        "--target",
        "x86_64-unknown-linux-gnu",
        "--max-memory=64MiB",
        "--max-compile-memory=2GiB",
        "--max-compile-time",
        "1m30s",
    ])
    .unwrap();
    assert_eq!(cli.compile.build.compress, Some(LEVEL_DEFAULT));
    assert_eq!(cli.compile.build.compress_window, Some(1 << 20));
    assert_eq!(cli.compile.inputs, [PathBuf::from("a.wasm")]);
    let targets = [Target::Pulley64, Target::Pulley32, Target::X86_64];
    assert_eq!(cli.compile.build.target, targets.map(TargetWord::Target));
    assert_eq!(cli.compile.build.max_memory, Some(64 << 20));
    let limits = child::Allowance::from(cli.compile.build.bounded);
    assert_eq!((limits.memory, limits.time.as_secs()), (2 << 30, 90));
    let cli = Cli::try_parse_from(["bls-compile", "./check"]).unwrap();
    assert!(cli.command.is_none());
    let cli = Cli::try_parse_from(["bls-compile", "check", "check"]).unwrap();
    assert!(matches!(cli.command, Some(Command::Check(_))));
    let cli = Cli::try_parse_from(["bls-compile", "a", "--target", "aarch64,x86_64"]).unwrap();
    let targets = [Target::Aarch64, Target::X86_64];
    assert_eq!(cli.compile.build.target, targets.map(TargetWord::Target));
    let line = ["bls-compile", "a", "--target", "x86_64:v3,x86_64:native", "--cpu", "+lse"];
    let cli = Cli::try_parse_from(line).unwrap();
    let v3 = TargetWord::Machine(Machine::parse("x86_64:v3").unwrap());
    assert_eq!(cli.compile.build.target, [v3, TargetWord::Native(Target::X86_64)]);
    assert_eq!(cli.compile.build.cpu.as_deref(), Some("+lse"));
    assert!(Cli::try_parse_from(["bls-compile", "--cpu", "list"]).is_ok());
    let words = ["--help", "--dir", "a", "--", "-x"];
    let line = ["bls-compile", "run"].into_iter().chain(words);
    match Cli::try_parse_from(line).unwrap().command {
        Some(Command::Run(run)) => assert_eq!(run.words, words),
        other => panic!("{other:?}"),
    }
    for wrong in [
        &["bls-compile"][..],
        &["bls-compile", "a", "--cache-size", "1M"],
        &["bls-compile", "a", "--jobs", "0"],
        &["bls-compile", "a", "--max-sign-time", "soon"],
        &["bls-compile", "check"],
        &["bls-compile", "a", "--compress=23"],
        &["bls-compile", "a", "--target", "sparc"],
        &["bls-compile", "a", "--target", "x86_64:v9"],
        &["bls-compile", "a", "--target", "x86_64:+lse"],
        &["bls-compile", "strip", "a.bls"],
        &["bls-compile", "a", "--max-memory", "1x"],
        &["bls-compile", "a", "--max-compile-memory", "1x"],
        &["bls-compile", "a", "--max-compile-time", "90"],
        &["bls-compile", "a", "--emit", "elf"],
        &["bls-compile", "a", "--memory", "none"],
        &["bls-compile", "a", "--expires", "soon"],
        &["bls-compile", "a", "--sequence", "-1"],
        &["bls-compile", "sign", "a.bls"],
        &["bls-compile", "verify", "a.bls"],
        &["bls-compile", "key", "forget"],
        &["bls-compile", "key", "--key", "k", "new"],
        &["bls-compile", "key", "export", "a", "--key", "b"],
    ] {
        assert_eq!(Cli::try_parse_from(wrong).unwrap_err().exit_code(), 2, "{wrong:?}");
    }
}
