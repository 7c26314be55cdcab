//! The help texts, one for each command.
//!
//! Written by hand: their order is part of the interface. Guarantees (tests) that a line
//! has at most 80 columns, and that the options named here are those that are read.

pub(crate) use crate::program::node::HELP as NODE;
use bls_artifact::{nearest, options};

/// The commands, with what `bls-load help COMMAND` prints.
pub(crate) const COMMANDS: [(&str, &str); 14] = [
    ("run", HELP),
    ("verify", VERIFY),
    ("install", INSTALL),
    ("pull", PULL),
    ("rollback", ROLLBACK),
    ("list", LIST),
    ("remove", REMOVE),
    ("gc", GC),
    ("binfmt", BINFMT),
    ("trust", super::trust::HELP),
    ("ext", EXT),
    ("verify-receipt", RECEIPT),
    ("node", NODE),
    ("help", HELP),
];

/// Options that a run does not have, or only with a file, without their dashes.
const BESIDE_RUN: [&str; 7] = ["digest", "all", "json", "dry-run", "plain-http", "help", "version"];

/// What `bls-load --help` prints.
pub(crate) const HELP: &str = "\
Verify, map and run an artifact.

Usage: bls-load [OPTIONS] <ARTIFACT> [ARGS]...
       bls-load <COMMAND> ...

ARTIFACT is a file where it holds a / or ends in .bls, .wasm, .wat or .json;
else the name of what is installed, or its identity, sha256:HEX, of which 8
digits are enough where no other begins so; - is standard input; oci://REF is
fetched from a registry, and installed first. A .json file is a configuration,
which has a field for every option; options win.
Everything after ARTIFACT belongs to the guest.
Granted by default: arguments, stdin, stdout, stderr, clocks, random.

Commands
  verify    check an artifact, or all that is installed; run nothing
  install   keep artifacts, to be run by their names
  pull      fetch an artifact from a registry, and install it
  rollback  go back to a release that was there before
  list      what is installed
  remove    an installed name
  gc        remove what no name refers to
  binfmt    have the kernel run artifacts as programs: ./app.bls
  trust     whose signatures count
  ext       extensions, programs beside a guest: bls-load ext --help
  verify-receipt  what a receipt of a run says, where its signature is good
  node      the command line of the Blockless network's runtime
  help      the text of one of these: bls-load help install
  run       the same as no command
Grants
      --dir <HOST[::GUEST]>     grant a folder: files and folders, no devices
      --dir-ro <HOST[::GUEST]>  the same, read-only; holds inside a --dir too
      --env <K[=V]>             grant a variable
      --stdin <FROM>            inherit | null | text:WORDS | FILE
                                [default: inherit]; FILE may be a device or
                                FIFO, which no --dir reaches
      --deny <CAPABILITY>       take a default away: random, clock.wall
      --only-declared           grant nothing that the artifact does not say
                                it needs
      --policy <FILE>           policy, beside /etc/bls/policy.json
The network and extensions (bls-broker does what is asked for)
      --allow-net <PLACE>,...   * | HOST[:PORT] | https://HOST[:PORT][/PATH] |
                                tcp://HOST:PORT; private addresses only by
                                address, such as 10.0.0.7
      --deny-net <PLACE>,...    of that, not these
      --permission <URL>        the same as --allow-net
      --extensions <FILE|DIR>   a registry (bls-load ext), or a folder
      --allow-extension <NAME>,...   of these, no others
      --listen <ADDRESS:PORT>   a listener, as a descriptor behind the folders
      --listen-passed           and those that a service manager passes
      --list-env <K[=V]>        list a variable for blockless_memory
      --broker <PROGRAM>        [default: bls-broker beside bls-load]
      --authorities <FILE>      certificates (PEM) to trust beside its own
Limits
      --fuel <N>                stop after N units; a unit is about a third of
                                a nanosecond: 1M, 1e9 [default: count only]
      --timeout <TIME>          such as 500ms, 2s, 1h30m [default: none]
      --max-memory <SIZE>       memories, tables and objects together
                                [default: 1GiB]
      --max-stack <SIZE>        [default: 1MiB]
      --max-output <SIZE>       bytes written, files grown, 4 KiB a name
                                [default: none]
      --max-descriptors <N>     open at once [default: 1024]
Trust
      --trust <FILE>            trust file or public key
      --digest <sha256:HEX>     run only this exact file
      --store <DIR>             [default: /var/lib/bls, then ~/.local/share/bls]
      --clock-unset             run what expires though the clock was never set
      --require-fuel            run it only if it is metered
      --require-deterministic   run it only if no CPU changes its results
      --require-sandbox         run it only if this kernel gives every part of
                                the sandbox [default: all that it gives]
      --require-control-flow    run it only if its code keeps to its functions
The run
      --invoke <EXPORT>         call this export: ARGS are its values, and
                                behind a -- the guest's arguments; of a library
                                (component) a call by types: 'add(1, 2)'
      --argv0 <WORD>            the guest's argument 0 [default: ARTIFACT]
      --deterministic           clocks, randomness and listings by rule
      --seed <N>                of that randomness [default: 0]
      --epoch <SECONDS>         when those clocks begin
                                [default: 1600000000, September 2020]
      --unknown-imports <HOW>   refuse | trap [default: refuse]
      --report <FILE|-|fd:N>    outcome as JSON; - is standard output
      --receipt <FILE>          a signed receipt of the run, by bls-account
      --receipt-key <FILE>      the key that signs it: PEM, this user's alone
      --metrics <FILE|fd:N>     count this run in FILE, for Prometheus
      --account <PROGRAM>       [default: bls-account beside bls-load]
      --log <WHERE>             a line for each event: stderr | syslog |
                                journald | fd:N | FILE, or a socket's path
      --log-level <LEVEL>       error | warn | info | debug [default: info]
      --fuel-profile[=FILE]     fuel by function, on stderr; compile with
                                --fuel-profile
      --explain                 say what was checked, on stderr
      --debug-file <FILE>       say which lines of the source a trap came from;
                                bls-compile --debug-file writes it
      --coredump <FILE>         of a trap: memories, globals and calls, for
                                tools that read WebAssembly's core dumps
      --perf-map                names of functions for perf, in
                                /tmp/perf-PID.map
      --jitdump <DIR>           code and, with --debug-file, lines of functions
                                for perf inject --jit, in DIR/jit-PID.dump
      --compile-with <PROGRAM>  bls-compile, for a configuration whose module
                                is not installed
      --compile-key <KEY>       the key that it signs with [default: its own]
  -h, --help
  -V, --version

Exit codes: the guest's own; 123 out of fuel, 124 another limit (time, memory,
  output), 125 refused or bls-load failed, 134 trap. --report tells them apart.
Examples:
  bls-load app.bls arg1 --flag-for-guest
  bls-load --dir ./data --fuel 3G app.bls
  bls-load --invoke add app.bls 1 2
  bls-load install app.bls && bls-load app arg1
";

pub(super) const EXT: &str = "\
Extensions: programs of this machine that guests may start, by name.

Usage: bls-load ext <COMMAND> ...

This is bls-broker's, which is looked for beside bls-load and gets the words:
bls-broker ext --help says which commands there are.

Examples:
  bls-load ext add /usr/lib/bls/search
  bls-load --extensions extensions.json --allow-extension search app.bls
";

pub(super) const RECEIPT: &str = "\
What a receipt of a run says, where its signature is good.

Usage: bls-load verify-receipt [OPTIONS] <RECEIPT> --key <PUBLIC KEY>

This is bls-account's, which is looked for beside bls-load and gets the words:
bls-account --help says all of them.

Examples:
  bls-load --receipt receipt.json --receipt-key node.pem app.bls
  bls-load verify-receipt receipt.json --key node.pub --artifact app.bls
";

const VERIFY: &str = "\
Check an artifact, all of it, as a run would; run nothing.

Usage: bls-load verify [OPTIONS] <ARTIFACT>
       bls-load verify [OPTIONS] --all

ARTIFACT may be -, for standard input.

      --all                     everything that is installed
      --trust <FILE>            trust file or public key
      --digest <sha256:HEX>     only this exact file
      --store <DIR>             [default: /var/lib/bls, then ~/.local/share/bls]
      --target <TARGET[:CPU]>   as that machine would: aarch64, x86_64:v3
      --clock-unset             though this machine's clock was never set
      --explain                 say what was checked, on stderr

Exit codes: 0 it would run here, 125 refused
Examples:
  bls-load verify app.bls
  bls-load --trust builder.pub verify app.bls
  bls-load verify --all
";

const INSTALL: &str = "\
Verify artifacts and keep them, to be run by their names: bls-load NAME.

Usage: bls-load install [OPTIONS] <FILE|->...
       bls-load install [OPTIONS] --delta <FILE|->

Root installs for the machine, everybody else for themselves. Of several files
each is installed whole or not at all; one that is refused keeps back no other.

      --dry-run                 say what would be done; write nothing
      --store <DIR>             [default: /var/lib/bls, or ~/.local/share/bls]
      --trust <FILE>            trust file or public key
      --digest <sha256:HEX>     only this exact file
      --delta <FILE|->          what makes it of the release that is installed:
                                bls-compile delta old.bls new.bls -o up.blsd
      --base <FILE>             that release, where it is not installed
      --target <TARGET[:CPU]>   for that machine, into a --store: aarch64,
                                x86_64:v3; every part is checked
      --clock-unset             though this machine's clock was never set
      --explain                 say what was checked, on stderr

Exit codes: 0 all are installed, 125 refused
Examples:
  bls-load install app.bls && bls-load app arg1
  sudo bls-load install --dry-run *.bls
  curl -fsS https://example.org/app.bls | sudo bls-load install -
  bls-load install --delta up.blsd
  bls-load install --store rootfs/var/lib/bls --target aarch64 app.bls
";

const PULL: &str = "\
Fetch an artifact from an OCI registry, verify it as any file, and install it.

Usage: bls-load pull [OPTIONS] <REF>

REF is HOST[:PORT]/NAME[:TAG][@sha256:HEX]; the tag is latest where none is
said, and where there is a digest, it decides. Nothing that a registry says is
believed: bls-registry, which is looked for beside bls-load and speaks with it,
checks digests and lengths, and who must have signed is asked as ever.

      --dry-run                 say what would be done; install nothing
      --plain-http              without TLS; to this machine that is the default
      --authorities <FILE>      certificates (PEM) to trust beside Mozilla's
      --store <DIR>             [default: /var/lib/bls, or ~/.local/share/bls]
      --trust <FILE>            trust file or public key
      --target <TARGET[:CPU]>   for that machine, into a --store
      --clock-unset             though this machine's clock was never set
      --explain                 say what was checked, on stderr

Credentials are docker's: ~/.docker/config.json, or what DOCKER_CONFIG names.

Exit codes: 0 it is installed, 125 refused
Examples:
  bls-load pull ghcr.io/ann/app:1.2 && bls-load app arg1
  bls-load oci://ghcr.io/ann/app:1.2 arg1
  bls-load pull --store rootfs/var/lib/bls --target aarch64 localhost:5000/app
";

const ROLLBACK: &str = "\
Make a name mean an earlier release, which gc has not removed yet.

Usage: bls-load rollback [OPTIONS] <NAME> [sha256:HEX]

Without sha256:HEX: the release with the next lower sequence, or the other one
of the same. Sequences hold as for an install: below the highest that was seen
it goes only where root keys signed a reset (SECURITY.md).

      --dry-run                 say what would be done; write nothing
      --store <DIR>             [default: /var/lib/bls, or ~/.local/share/bls]
      --trust <FILE>            trust file or public key
      --target <TARGET>         for that machine, in a --store: aarch64
      --clock-unset             though this machine's clock was never set
      --explain                 say what was checked, on stderr

Exit codes: 0 done, 125 refused
Examples:
  sudo bls-load rollback app
  sudo bls-load rollback app sha256:2d33fe17
";

pub(super) const BINFMT: &str = "\
Have the kernel run artifacts as programs (binfmt_misc), so that ./app.bls is
one: prints the line that says so. What ./app.bls may do is what a run without
options may; whom to trust, and policies, are those of /etc/bls.

Usage: bls-load binfmt [OPTIONS]

      --install                 register it, until the next boot; as root
      --fixed                   this very bls-load, in containers and other
                                roots too; after an update register it again

To register it at each boot, where systemd does it:
  bls-load binfmt | sudo tee /etc/binfmt.d/bls.conf
To take it away: echo -1 | sudo tee /proc/sys/fs/binfmt_misc/bls

Examples:
  bls-load binfmt
  sudo bls-load binfmt --install && chmod +x app.bls && ./app.bls arg1
";

const LIST: &str = "\
Show what is installed: names, releases, identities, stores, when each expires,
and what is damaged as far as that is seen without hashing (verify --all does).

Usage: bls-load list [OPTIONS]

      --json                    as JSON
      --store <DIR>             [default: /var/lib/bls, then ~/.local/share/bls]

Examples:
  bls-load list
  bls-load list --json --store rootfs/var/lib/bls
";

const REMOVE: &str = "\
Remove something that is installed. The highest release that was seen of its
name stays known.

Usage: bls-load remove [OPTIONS] <NAME|sha256:HEX>

      --store <DIR>             [default: /var/lib/bls, or ~/.local/share/bls]

Examples:
  bls-load remove app
";

const GC: &str = "\
Remove from a store what no name refers to.

Usage: bls-load gc [OPTIONS]

      --store <DIR>             [default: /var/lib/bls, or ~/.local/share/bls]

Examples:
  bls-load gc
";

/// What `bls-load help COMMAND` prints; `None` where there is no such command.
pub(crate) fn of(command: &str) -> Option<&'static str> {
    COMMANDS.iter().find(|(name, _)| *name == command).map(|(_, text)| *text)
}

/// The command that a word may have been meant for.
pub(crate) fn nearest_command(word: &str) -> Option<&'static str> {
    nearest::nearest(word, COMMANDS.map(|(name, _)| name))
}

/// Says that a command is not this program's.
pub(super) fn of_the_compiler(word: &str) -> String {
    format!("{word} is a command of bls-compile, not of bls-load")
}

/// Says that there is no such option, and which one may have been meant. `option` has its
/// dashes.
pub(super) fn no_option(option: &str) -> String {
    if matches!(option, "-v" | "--verbose") {
        return format!(
            "there is no {option}: --version says which release this is, --explain what is done"
        );
    }
    no_option_of(option, BESIDE_RUN)
}

/// The same where these options are known beside those of a run.
pub(crate) fn no_option_of<'a>(option: &str, beside: impl IntoIterator<Item = &'a str>) -> String {
    let known = options::RUN.iter().map(|(name, _)| *name).chain(beside);
    match nearest::nearest(option.trim_start_matches('-'), known) {
        Some(near) => format!("there is no option {option}; did you mean --{near}?"),
        None => format!("there is no option {option}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// The options that a text explains: those that begin a line.
    fn explained(text: &str) -> BTreeSet<&str> {
        text.lines()
            .filter_map(|line| {
                let line = line.trim_start();
                let line = line.strip_prefix("-h, ").or(line.strip_prefix("-V, ")).unwrap_or(line);
                let name = line.strip_prefix("--")?;
                Some(name.split([' ', '[', '=']).next().unwrap())
            })
            .collect()
    }

    #[test]
    fn no_text_is_wider_than_a_terminal() {
        for (command, text) in COMMANDS {
            for line in text.lines() {
                assert!(line.chars().count() <= 80, "{command}: {line}");
            }
            assert!(text.contains("Usage: bls-load"), "{command}");
            assert!(text.contains("Examples:"), "{command}");
        }
    }

    #[test]
    fn the_options_of_a_run_are_those_that_are_explained() {
        let known = options::RUN.iter().map(|(name, _)| *name);
        let known: BTreeSet<&str> = known.chain(["digest", "help", "version"]).collect();
        assert_eq!(explained(HELP), known);
    }

    #[test]
    fn each_program_knows_the_commands_of_the_other() {
        for (name, words) in options::LOADER_COMMANDS {
            assert!(of(name).is_some() && options::compiler_command(name).is_none(), "{name}");
            assert!(words.starts_with(&format!("bls-load {name}")), "{words}");
        }
        for (name, _) in COMMANDS {
            let both = ["run", "verify", "trust", "help"].contains(&name);
            assert!(both || options::loader_command(name).is_some(), "{name}");
        }
        for (name, _) in options::COMPILER_COMMANDS {
            assert!(of(name).is_none(), "{name}");
        }
    }

    #[test]
    fn what_was_meant_is_found() {
        assert_eq!(no_option("--fule"), "there is no option --fule; did you mean --fuel?");
        assert_eq!(
            no_option("--max-mem"),
            "there is no option --max-mem; did you mean --max-memory?"
        );
        assert_eq!(no_option("--colour"), "there is no option --colour");
        assert!(no_option("-v").contains("--version"));
        assert_eq!(nearest_command("instal"), Some("install"));
        assert_eq!(nearest_command("application"), None);
    }
}
