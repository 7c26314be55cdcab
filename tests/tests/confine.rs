//! What a process has given up while its guest runs, as the kernel tells of it, and what is
//! left of a run that is killed.

use bls_tests::programs::{Home, loader, maps_of_a_running_guest};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// All pieces, in the order they are given up in.
const PIECES: [&str; 8] = [
    "descriptors",
    "limits",
    "capabilities",
    "dumpable",
    "no-new-privs",
    "mdwe",
    "landlock",
    "seccomp",
];

/// A guest that never ends.
fn spinning(home: &Home) -> PathBuf {
    let source = home.path("spin.wat");
    fs::write(
        &source,
        r#"(module (memory (export "memory") 1) (func (export "_start") (loop (br 0))))"#,
    )
    .unwrap();
    home.compile(&source, &[])
}

/// A run that goes on until this is dropped.
struct Running(Child);

impl Running {
    fn begin(command: &mut Command) -> Self {
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        let _ = maps_of_a_running_guest(&child);
        Self(child)
    }

    fn folder(&self) -> PathBuf {
        Path::new("/proc").join(self.0.id().to_string())
    }

    /// A field of a thread's status.
    fn status(&self, thread: u32, field: &str) -> String {
        let path = self.folder().join("task").join(thread.to_string()).join("status");
        let text = fs::read_to_string(path).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("{field}:")));
        line.unwrap_or_default().trim().to_owned()
    }

    fn threads(&self) -> Vec<u32> {
        let all = fs::read_dir(self.folder().join("task")).unwrap();
        all.map(|entry| entry.unwrap().file_name().to_string_lossy().parse().unwrap()).collect()
    }

    /// What its descriptors above 2 lead to.
    fn open(&self) -> Vec<String> {
        let all = fs::read_dir(self.folder().join("fd")).unwrap();
        let numbers = all.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
        let above = numbers.filter(|number| number.parse::<u32>().unwrap() > 2);
        let link = |number: String| fs::read_link(self.folder().join("fd").join(number)).unwrap();
        above.map(|number| link(number).to_string_lossy().into_owned()).collect()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// What this kernel gives, by a report; each piece is named either way.
fn stands(report: &Value) -> Vec<String> {
    let sandbox = &report["sandbox"];
    let names = |list: &str, name: &dyn Fn(&Value) -> String| {
        sandbox[list].as_array().unwrap().iter().map(name).collect::<Vec<String>>()
    };
    let stands = names("stands", &|piece| piece.as_str().unwrap().to_owned());
    let missing = names("missing", &|piece| piece["name"].as_str().unwrap().to_owned());
    let mut all = [&stands[..], &missing].concat();
    let place = |name: &String| PIECES.iter().position(|piece| piece == name);
    all.sort_by_key(place);
    assert_eq!(all, PIECES);
    if !missing.is_empty() {
        println!("this system does not give {missing:?}");
    }
    stands
}

#[test]
fn the_kernel_says_what_every_thread_has_given_up() {
    let home = Home::new();
    let guest = spinning(&home);
    let (_, report) = home.report(&[], &home.fixture("wat/hello.wat"));
    let stands = stands(&report);
    let has = |piece: &str| stands.iter().any(|one| one == piece);
    let file = home.path("report.json");
    let report = ["--report", file.to_str().unwrap()];
    let folder = home.path("granted");
    fs::create_dir(&folder).unwrap();
    let granted = ["--dir", folder.to_str().unwrap()];
    // A stack that the first thread has no room for is another thread's: then there are three.
    let stack = ["--max-stack", "16MiB"];
    for (options, threads) in [
        (&[][..], 1),
        (&granted[..], 1),
        (&report[..], 2),
        (&[&report[..], &granted, &stack].concat()[..], 3),
    ] {
        let running = Running::begin(&mut home.load_command(options, &guest));
        let all = running.threads();
        assert_eq!(all.len(), threads, "{options:?}");
        for thread in all {
            let is = |field: &str| running.status(thread, field);
            if has("seccomp") {
                assert_eq!(is("Seccomp"), "2", "{options:?}, thread {thread}");
            }
            assert_eq!(is("NoNewPrivs"), "1", "{options:?}, thread {thread}");
            // Root uses what it granted as root; nothing else.
            let with_files = options.contains(&"--dir") && has("landlock");
            let most = if with_files { 0xe } else { 0 };
            for set in ["CapEff", "CapPrm", "CapAmb", "CapInh"] {
                let set = u64::from_str_radix(&is(set), 16).unwrap();
                assert_eq!(set & !most, 0, "{options:?}, thread {thread}");
            }
        }
    }
}

#[test]
fn descriptors_and_variables_of_the_operator_are_gone() {
    let home = Home::new();
    let guest = spinning(&home);
    let folder = home.path("granted");
    fs::create_dir(&folder).unwrap();
    fs::write(home.path("secret"), "secret").unwrap();
    // The shell leaves 7 and 9 open.
    let mut command = Command::new("sh");
    command
        .args(["-c", "exec 7<secret 9>>log; exec \"$@\"", "sh"])
        .arg(loader())
        .arg("--trust")
        .arg(home.public_key())
        .arg("--dir")
        .arg(&folder)
        .arg(&guest)
        .env("OPERATORS_TOKEN", "do-not-read-this")
        .current_dir(home.path("."));
    let running = Running::begin(&mut command);
    let open = running.open();
    let granted = folder.to_string_lossy().into_owned();
    let is_known = |one: &String| *one == granted || one.starts_with("/memfd:");
    assert!(open.iter().all(is_known), "{open:?}");
    assert!(open.contains(&granted), "{open:?}");
    let environment = fs::read(running.folder().join("environ")).unwrap();
    assert!(environment.iter().all(|byte| *byte == 0), "{environment:?}");
}

#[test]
fn the_kernel_holds_the_process_to_twice_its_memory_and_its_time() {
    let home = Home::new();
    let guest = spinning(&home);
    let of = |options: &[&str], name: &str| {
        let running = Running::begin(&mut home.load_command(options, &guest));
        let text = fs::read_to_string(running.folder().join("limits")).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap().to_owned();
        let mut words = line.split_whitespace();
        [words.next().unwrap().to_owned(), words.next().unwrap().to_owned()]
    };
    let options = ["--max-memory", "16M", "--max-stack", "1M", "--timeout", "1h"];
    let bytes = (2 * 16 + 1 + 128) << 20;
    assert_eq!(of(&options, "Max data size"), [bytes.to_string(), bytes.to_string()]);
    assert_eq!(of(&options, "Max cpu time"), ["3602".to_owned(), "3602".to_owned()]);
    assert_eq!(of(&[], "Max cpu time"), ["unlimited".to_owned(), "unlimited".to_owned()]);
}

#[test]
fn streams_that_are_kept_back_are_not_the_operators() {
    let home = Home::new();
    let guest = spinning(&home);
    let mut command = home.load_command(&["--deny", "stdin,stdout"], &guest);
    let running = Running::begin(command.stderr(Stdio::null()));
    for number in ["0", "1"] {
        let link = fs::read_link(running.folder().join("fd").join(number)).unwrap();
        assert!(link.to_string_lossy().starts_with("pipe:"), "{number}: {}", link.display());
    }
}

#[test]
fn who_is_killed_leaves_a_report_that_says_so() {
    let home = Home::new();
    let guest = spinning(&home);
    let file = home.path("report.json");
    let options = ["--report", file.to_str().unwrap(), "--fuel", "9G"];
    let mut running = Running::begin(&mut home.load_command(&options, &guest));
    let begun = read(&file);
    assert_eq!(begun["outcome"]["kind"], "unfinished");
    assert_eq!(begun["outcome"]["process_exit_code"], Value::Null);
    assert_eq!(begun["artifact"]["name"], "spin");
    assert_eq!(begun["fuel"]["budget"], 9_000_000_000_u64);
    assert!(begun["fuel"]["at_least"].as_u64().is_some());
    running.0.kill().unwrap();
    let _ = running.0.wait().unwrap();
    assert_eq!(read(&file), begun, "nothing was written after it");
    // And one that ends takes its place, whole.
    let mut running = Running::begin(&mut home.load_command(&options, &guest));
    kill_process(Pid::from_child(&running.0), Signal::TERM).unwrap();
    let _ = running.0.wait().unwrap();
    assert_eq!(read(&file)["outcome"]["kind"], "signal");
}

#[test]
fn a_sandbox_that_is_demanded_stands_or_nothing_runs() {
    let home = Home::new();
    let guest = home.fixture("wat/hello.wat");
    let (_, report) = home.report(&[], &guest);
    let whole = stands(&report).len() == PIECES.len();
    let policy = home.path("policy.json");
    fs::write(&policy, r#"{"version": 1, "require": ["sandbox"]}"#).unwrap();
    let by_policy = ["--policy", policy.to_str().unwrap()];
    for options in [&["--require-sandbox"][..], &by_policy] {
        let ended = home.load(options, &guest, &[]);
        match whole {
            true => assert_eq!(ended.expect(0).text(), "hello\n"),
            false => drop(ended.expect(125).says(&["confine.incomplete", "hint: "])),
        }
    }
    // With a rule in the place of chance a report says nothing of the machine.
    let (_, report) = home.report(&["--deterministic"], &guest);
    assert_eq!(report.get("sandbox"), None);
}

#[test]
fn the_stage_explains_itself() {
    let home = Home::new();
    let ended = home.load(&["--explain"], &home.fixture("wat/hello.wat"), &[]).expect(0);
    let _ = ended.says(&["bls-load: confine: given up: descriptors, limits, capabilities"]);
}
