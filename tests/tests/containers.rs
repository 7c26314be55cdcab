//! Runs where something stands around the loader already: no procfs, a read-only root, a
//! filter of system calls, a user namespace, process 1 of its own, and all of that at once.
//!
//! What cannot be made on this machine (`unshare` without root, bubblewrap that is not
//! installed) is printed and left out. Takes a C compiler (`cc`) for `withhold.c`.

use bls_tests::programs::{Home, fixtures, loader, run};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What stands around the loader.
struct Surrounding {
    name: &'static str,
    /// A line of shell that ends in `"$@"`, which is the loader. It finds `$HOME_FOLDER`, which
    /// can be written, and `$WITHHOLD`.
    line: &'static str,
    /// What the loader cannot give up there.
    missing: &'static [&'static str],
}

const fn around(
    name: &'static str,
    line: &'static str,
    missing: &'static [&'static str],
) -> Surrounding {
    Surrounding { name, line, missing }
}

/// Runs the rest in namespaces of mounts and processes, as containers have them.
const SURROUNDINGS: &[Surrounding] = &[
    around("nothing", r#""$@""#, &[]),
    around(
        "no-procfs",
        r#"unshare --mount sh -ec 'mount -t tmpfs none /proc; exec "$@"' sh "$@""#,
        &[],
    ),
    around(
        "read-only-root",
        r#"unshare --mount sh -ec 'mount --bind "$HOME_FOLDER" "$HOME_FOLDER"
            mount -o remount,bind,ro /; ! touch /bls-test 2>&-; cd "$HOME_FOLDER"; exec "$@"' sh "$@""#,
        &[],
    ),
    around("filter", r#""$WITHHOLD" --filter "$@""#, &[]),
    around("no-landlock", r#""$WITHHOLD" --landlock 1 "$@""#, &["landlock"]),
    around("no-landlock-38", r#""$WITHHOLD" --landlock 38 "$@""#, &["landlock"]),
    around("no-filters", r#""$WITHHOLD" --filters 1 "$@""#, &["seccomp"]),
    around("neither", r#""$WITHHOLD" --landlock 1 --filters 1 "$@""#, &["landlock", "seccomp"]),
    around("user-namespace", r#"unshare --user --map-root-user "$@""#, &[]),
    around(
        "user-namespace-of-nobody",
        r#"setpriv --reuid 54321 --regid 54321 --clear-groups unshare --map-current-user "$@""#,
        &[],
    ),
    around("process-1", r#"unshare --pid --fork "$@""#, &[]),
    around("process-1-procfs", r#"unshare --pid --fork --mount-proc "$@""#, &[]),
    around(
        "container",
        r#"unshare --mount --pid --uts --ipc --net --fork sh -ec '
            mount --bind "$HOME_FOLDER" "$HOME_FOLDER"
            mount -t tmpfs none /proc; mount -o remount,bind,ro /; cd "$HOME_FOLDER"
            exec setpriv --bounding-set=-all,+chown,+dac_override,+fowner,+setuid,+setgid \
                --inh-caps=-all "$WITHHOLD" --filter "$@"' sh "$@""#,
        &[],
    ),
    around(
        "bubblewrap",
        r#"bwrap --ro-bind / / --bind "$HOME_FOLDER" "$HOME_FOLDER" --dev /dev --proc /proc \
            --unshare-all --die-with-parent --new-session "$@""#,
        &[],
    ),
    around(
        "bubblewrap-user",
        r#"setpriv --reuid 54321 --regid 54321 --clear-groups bwrap --ro-bind / / \
            --bind "$HOME_FOLDER" "$HOME_FOLDER" --dev /dev --unshare-all --unshare-user "$@""#,
        &[],
    ),
];

/// A home that every user may use, with the helper and the loader in it.
fn home() -> (Home, PathBuf, PathBuf) {
    let home = Home::new();
    let all = fs::Permissions::from_mode(0o777);
    fs::set_permissions(home.path("."), all).unwrap();
    let withhold = home.path("withhold");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("withhold.c");
    let _ = run(Command::new("cc").arg("-o").arg(&withhold).arg(source), b"").expect(0);
    let program = home.path("bls-load");
    fs::copy(loader(), &program).unwrap();
    (home, withhold, program)
}

/// This program and its words, in those surroundings.
fn command(home: &Home, withhold: &Path, line: &str, program: &Path) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", line, "sh"]).arg(program).current_dir(home.path("."));
    command.env("HOME_FOLDER", home.path(".")).env("WITHHOLD", withhold);
    command
}

/// How many pieces the wall has.
const PIECES: usize = 8;

/// The pieces that a report says stand, and those that do not.
fn sandbox(report: &Value) -> (BTreeSet<String>, BTreeSet<String>) {
    let names = |list: &Value, name: fn(&Value) -> &Value| -> BTreeSet<String> {
        let list = list.as_array().unwrap();
        list.iter().map(|piece| name(piece).as_str().unwrap().to_owned()).collect()
    };
    let sandbox = &report["sandbox"];
    (names(&sandbox["stands"], |piece| piece), names(&sandbox["missing"], |piece| &piece["name"]))
}

#[test]
fn guests_run_in_containers_and_the_report_says_what_stands() {
    let (home, withhold, program) = home();
    let guests = [
        (home.fixture("wat/hello.wat"), &[][..], "hello\n".to_owned()),
        (
            home.compile(&fixtures().join("c/files.wasm"), &[]),
            &["--dir=d::."],
            fs::read_to_string(fixtures().join("expected/c-files.stdout")).unwrap(),
        ),
    ];
    let (mut made, mut without) = (0, None);
    for Surrounding { name, line, missing } in SURROUNDINGS {
        let probe = run(&mut command(&home, &withhold, line, Path::new("/bin/true")), b"");
        if probe.code != Some(0) {
            println!("{name}: left out: {:?} {}", probe.code, probe.stderr.trim());
            continue;
        }
        made += 1;
        for (artifact, options, expected) in &guests {
            let at = format!("{name}, {}", artifact.display());
            let report = home.path("report.json");
            let _ = fs::remove_file(&report);
            // Behind them, with a fresh folder to be granted.
            let around = || {
                let _ = fs::remove_dir_all(home.path("d"));
                fs::create_dir(home.path("d")).unwrap();
                fs::set_permissions(home.path("d"), fs::Permissions::from_mode(0o777)).unwrap();
                let mut command = command(&home, &withhold, line, &program);
                command.arg("--trust").arg(home.public_key());
                command
            };
            let mut reporting = around();
            reporting.arg("--report").arg(&report).args(*options).arg(artifact);
            let ended = run(&mut reporting, b"");
            let mut command = around();
            assert_eq!(
                (ended.code, ended.text()),
                (Some(0), expected.clone()),
                "{at}: {}",
                ended.stderr
            );
            let report: Value = serde_json::from_slice(&fs::read(&report).unwrap()).unwrap();
            let (stands, lacks) = sandbox(&report);
            // What this kernel does not give anywhere is missing here too.
            let without = without.get_or_insert_with(|| lacks.clone());
            let mut expected = without.clone();
            expected.extend(missing.iter().map(|piece| (*piece).to_owned()));
            assert_eq!(lacks, expected, "{at}: {}", report["sandbox"]);
            assert_eq!(stands.union(&lacks).count(), PIECES, "{at}: {}", report["sandbox"]);
            // Who demands all of it gets it, or a refusal that names what is missing.
            command.args(["--require-sandbox"]).args(*options).arg(artifact);
            if missing.is_empty() && without.is_empty() {
                assert_eq!(run(&mut command, b"").code, Some(0), "{at}, demanded");
            } else if !missing.is_empty() {
                let ended = run(&mut command, b"").expect(125);
                assert!(ended.text().is_empty(), "{at}: it ran");
                let _ = ended.says(missing).says(&["code: confine.incomplete"]);
            }
        }
    }
    println!("{made} of {} surroundings", SURROUNDINGS.len());
    assert!(made >= 6, "only {made} surroundings can be made here");
}
