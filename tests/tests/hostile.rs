//! Hostile native code, behind the loader's wall and without it (SECURITY.md, "Hostile code").
//!
//! The tables there are made of `bls_tests::hostile`:
//!
//!     BLS_HOSTILE=write cargo xtask test the_tables_are_those_of_the_tests
//!
//! Takes a C compiler (`cc`), and x86-64: `executor.s` is written for that. What takes root,
//! or something that not every kernel has, is tried everywhere and printed where it does not
//! work.

#![cfg(target_arch = "x86_64")]

use bls_tests::hostile::run::{Field, Grants};
use bls_tests::hostile::{
    Shown, Stopped, Trace, asked, attempts, by_every_thread, remaining, remaining_table, table,
};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::Command;

fn field() -> Field {
    Field::new(Path::new(env!("CARGO_BIN_EXE_unwalled")))
}

/// Whether this process is root with the capabilities that the attempts of root need, and no
/// filter stands around it.
fn is_root_of_the_machine() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_default().trim().to_owned()
    };
    let capabilities = u64::from_str_radix(&field("CapEff:"), 16).unwrap();
    /// CAP_SYS_RESOURCE, which containers often have not.
    const RESOURCE: u64 = 1 << 24;
    // All up to CAP_CHECKPOINT_RESTORE.
    let all = ((1 << 41) - 1) & !RESOURCE;
    capabilities & all == all && field("Seccomp:") == "0"
}

#[test]
fn without_the_wall_each_attempt_works() {
    let field = field();
    let is_root = is_root_of_the_machine();
    let (mut worked, mut absent, mut wrong) = (0, Vec::new(), Vec::new());
    for attempt in attempts() {
        let scene = field.scene();
        let trace = field.unwalled(&attempt, &scene);
        assert!(trace.began, "{}: {}", attempt.name, trace.summary());
        let must = match attempt.shown {
            Shown::Anywhere => true,
            Shown::Root => is_root,
            Shown::Kernel => false,
        };
        if attempt.worked(&scene, &trace) {
            worked += 1;
        } else if must {
            wrong.push(format!("{}: {}", attempt.name, trace.summary()));
        } else {
            absent.push(format!("{} ({})", attempt.name, trace.summary()));
        }
    }
    println!("{worked} attempts work without the wall");
    println!("not on this machine: {}", absent.join(", "));
    assert!(wrong.is_empty(), "these did not work, and should: {wrong:#?}");
    assert!(worked >= 60, "only {worked}");
}

#[test]
fn behind_the_wall_no_attempt_works_and_what_stops_it_is_as_the_table_says() {
    let field = field();
    if !field.is_walled() {
        return;
    }
    let mut wrong = Vec::new();
    let mut counts: BTreeMap<(String, &str), usize> = BTreeMap::new();
    for attempt in attempts() {
        for grants in Grants::ALL {
            let scene = field.scene();
            let trace = field.walled(&attempt, &scene, grants);
            let at = format!("{} ({grants:?})", attempt.name);
            assert!(trace.began, "{at}: {}", trace.summary());
            if attempt.worked(&scene, &trace) {
                wrong.push(format!("{at} WORKED: {}", trace.summary()));
                continue;
            }
            let stopped = match trace.stopped() {
                Ok(stopped) => stopped,
                Err(what) => {
                    wrong.push(format!("{at}: {what}"));
                    continue;
                }
            };
            let [none, folders] = attempt.stopped;
            let expected: &[Stopped] = match grants {
                Grants::Nothing | Grants::Asks | Grants::AsksHere => &[none],
                // Of what changes files, nothing is allowed, or nothing but in one's own.
                Grants::Read => &[none, folders, Stopped::Landlock],
                Grants::Change | Grants::Watched => &[folders],
            };
            // Where a capability is gone there need not be an error.
            let is_quiet = stopped == Stopped::Wiped && expected.contains(&Stopped::Capability);
            let stopped = if is_quiet { Stopped::Capability } else { stopped };
            if expected.contains(&stopped) {
                *counts.entry((format!("{grants:?}"), stopped.name())).or_default() += 1;
            } else {
                wrong.push(format!("{at}: {stopped:?}, not {expected:?}: {}", trace.summary()));
            }
        }
    }
    println!("{counts:#?}");
    assert!(wrong.is_empty(), "{} of these: {wrong:#?}", wrong.len());
}

#[test]
fn who_answers_does_no_more_than_was_granted_whatever_code_asks() {
    let field = field();
    if !field.is_walled() {
        return;
    }
    for attempt in asked() {
        let scene = field.scene();
        let trace = field.walled(&attempt, &scene, Grants::Asks);
        let at = format!("{}: {}", attempt.name, trace.summary());
        assert!(trace.began && trace.code == Some(42), "{at}");
        assert!(!attempt.worked(&scene, &trace), "{at}");
        // It is heard: what was granted it gets.
        let scene = field.scene();
        let trace = field.walled(&attempt, &scene, Grants::AsksHere);
        let works = attempt.name == "broker-connect";
        assert_eq!(attempt.worked(&scene, &trace), works, "{}: {}", attempt.name, trace.summary());
    }
}

#[test]
fn in_containers_the_wall_stops_the_same() {
    let field = field();
    if !field.is_walled() {
        return;
    }
    let without_procfs = "mount -t tmpfs none /proc; exec \"$@\"";
    let read_only = "mount -o remount,bind,ro /; exec \"$@\"";
    let surroundings = [
        &["unshare", "--pid", "--fork"][..],
        &["unshare", "--user", "--map-root-user"],
        &["unshare", "--user", "--map-root-user", "--pid", "--fork"],
        &["unshare", "--mount", "sh", "-ec", without_procfs, "sh"],
        &["unshare", "--mount", "sh", "-ec", read_only, "sh"],
    ];
    let names = ["fork", "execve", "socket-tcp", "kill", "mmap-rwx", "mprotect-rx"];
    let more = ["openat-outside", "open-parent", "environment", "inherited-file", "unshare-user"];
    for words in surroundings {
        let probe = Command::new(words[0]).args(&words[1..]).arg("true").output().unwrap();
        if !probe.status.success() {
            println!("{words:?}: left out: {}", String::from_utf8_lossy(&probe.stderr).trim());
            continue;
        }
        let words: Vec<OsString> = words.iter().map(OsString::from).collect();
        let mut count = 0;
        for attempt in attempts() {
            if !names.contains(&attempt.name) && !more.contains(&attempt.name) {
                continue;
            }
            count += 1;
            let scene = field.scene();
            let trace = field.walled_behind(&words, &attempt, &scene, Grants::Change);
            let at = format!("{words:?}: {}: {}", attempt.name, trace.summary());
            assert!(trace.began && !attempt.worked(&scene, &trace), "{at}");
            assert_eq!(trace.stopped(), Ok(attempt.stopped[1]), "{at}");
        }
        assert_eq!(count, names.len() + more.len());
    }
}

#[test]
fn every_thread_is_behind_the_wall() {
    let field = field();
    if !field.is_walled() {
        return;
    }
    let attempt = by_every_thread();
    for (grants, least) in [(Grants::Change, 1), (Grants::Watched, 2)] {
        // The numbers of threads are guessed, next to the process's: more than once.
        let mut runs = (0..5).map(|_| field.walled(&attempt, &field.scene(), grants));
        let enough = |trace: &Trace| trace.threads().len() >= least;
        let trace = runs.find(enough).unwrap_or_else(|| panic!("{grants:?}: too few threads"));
        assert_eq!(trace.code, Some(42), "{}", trace.summary());
        let threads = trace.threads();
        for (thread, result) in threads {
            assert_eq!(result, -13, "{grants:?}: thread {thread} is not confined to files");
        }
    }
}

/// Whether this kernel can forbid that memory becomes executable (since 6.3).
fn has_rule_of_code(field: &Field) -> bool {
    let probe = Command::new(field.withhold()).args(["--new-code", "/bin/true"]).status().unwrap();
    probe.success()
}

#[test]
fn where_a_container_forbids_the_filter_the_rest_stands() {
    let field = field();
    if !field.is_walled() {
        return;
    }
    let words = [field.withhold().into(), "--filters".into(), "1".into()];
    let (mut works, mut wrong, mut stopped) = (Vec::new(), Vec::new(), 0);
    for attempt in attempts() {
        let scene = field.scene();
        let trace = field.walled_behind(&words, &attempt, &scene, Grants::Change);
        assert!(trace.began, "{}: {}", attempt.name, trace.summary());
        let worked = attempt.worked(&scene, &trace);
        let by_filter = attempt.stopped[1] == Stopped::Seccomp;
        match (worked, by_filter) {
            (true, true) => works.push(attempt.name),
            (false, _) => stopped += 1,
            (true, false) => wrong.push(format!("{}: {}", attempt.name, trace.summary())),
        }
    }
    println!(
        "{stopped} are stopped without the filter; {} work: {}",
        works.len(),
        works.join(", ")
    );
    assert!(wrong.is_empty(), "{wrong:#?}");
    // What SECURITY.md says of that, beside files, descriptors and variables.
    let mut others = vec!["ptrace-seize", "process_vm_readv-victim", "process_vm_readv-other"];
    others.extend(["process_vm_writev", "open-victim-memory", "mount", "chroot", "bpf"]);
    if has_rule_of_code(&field) {
        others.extend(["mmap-rwx", "mprotect-rx", "pkey_mprotect-rx", "mprotect-code"]);
    }
    for name in others {
        assert!(!works.contains(&name), "{name} works without the filter");
    }
}

#[test]
fn what_native_code_can_still_do_is_told() {
    let field = field();
    if !field.is_walled() {
        return;
    }
    for attempt in remaining() {
        let scene = field.scene();
        let trace = field.walled(&attempt, &scene, Grants::Watched);
        assert!(attempt.worked(&scene, &trace), "{} is stopped: {}", attempt.name, trace.summary());
        // With nothing granted, no report among it.
        let scene = field.scene();
        let trace = field.walled(&attempt, &scene, Grants::Nothing);
        let works = ["stream-flags", "limits", "own-signals"].contains(&attempt.name);
        assert_eq!(attempt.worked(&scene, &trace), works, "{}: {}", attempt.name, trace.summary());
    }
}

#[test]
fn the_tables_are_those_of_the_tests() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../SECURITY.md");
    let text = fs::read_to_string(&path).unwrap();
    let mut anew = text.clone();
    for table in [table(), remaining_table()] {
        let head = table.lines().next().unwrap();
        let begin = anew.find(head).unwrap_or_else(|| panic!("SECURITY.md has no {head}"));
        let end = anew[begin..].find("\n\n").unwrap() + begin + 1;
        anew.replace_range(begin..end, &table);
    }
    if std::env::var_os("BLS_HOSTILE").is_some_and(|how| how == "write") {
        fs::write(&path, &anew).unwrap();
    }
    assert!(fs::read_to_string(&path).unwrap() == anew, "see the head of this test");
    let mut names: Vec<&str> =
        attempts().iter().chain(&remaining()).map(|attempt| attempt.name).collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count, "a name stands twice");
}
