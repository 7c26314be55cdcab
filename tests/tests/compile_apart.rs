//! A module is compiled in a process that has nothing: no key, no file, no network, and no
//! more memory and time than it may; and whatever becomes of that process, the other one ends
//! with a sentence.

use bls_tests::programs::{Ended, Home, compiler, fixtures, run};
use bls_tests::users::{FreshUser, may_make_users};
use rustix::process::{Pid, Signal, kill_process, kill_process_group, test_kill_process};
use std::fs;
use std::os::unix::fs::FileExt as _;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A module that takes the code generator many seconds for all targets.
fn slow(home: &Home) -> PathBuf {
    let sum = "(local.set $x (i32.xor (i32.add (local.get $x) (i32.const 7)) (local.get $x)))";
    let function = format!("(func (param $x i32) (result i32) {} (local.get $x))", sum.repeat(500));
    let path = home.path("slow.wasm");
    let text = format!("(module {} (func (export \"_start\")))", function.repeat(500));
    fs::write(&path, wat::parse_str(text).unwrap()).unwrap();
    path
}

const ALL: &str = "x86_64,aarch64,riscv64gc,s390x,pulley32,pulley64";

/// Two processes in the middle of a compilation: the one that was started, and the one that
/// compiles. Both are gone when this is dropped.
struct Compiling {
    first: Child,
    second: Pid,
}

impl Compiling {
    /// Begins, and waits until the second process has given up what it gives up.
    fn begin(command: &mut Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut first = command.spawn().unwrap();
        let path = format!("/proc/{0}/task/{0}/children", first.id());
        for _ in 0..3000 {
            let children = fs::read_to_string(&path).expect("the kernel's list of children");
            if let Some(child) = children.split_whitespace().next() {
                let second = Pid::from_raw(child.parse().unwrap()).unwrap();
                // Threads are there once it generates code.
                let threads = fs::read_dir(format!("/proc/{child}/task"));
                if threads.is_ok_and(|threads| threads.count() > 1) {
                    return Self { first, second };
                }
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = first.kill();
        let _ = first.wait();
        panic!("it never began to generate code");
    }

    /// A file about the second process.
    fn about(&self, name: &str) -> PathBuf {
        format!("/proc/{}/{name}", self.second.as_raw_nonzero()).into()
    }

    /// How the first one ended, and what it said.
    fn ended(mut self) -> (Option<i32>, Ended) {
        // So that nothing waits for what is not there.
        drop(self.first.stdin.take());
        let deadline = Instant::now() + Duration::from_secs(20);
        while self.first.try_wait().unwrap().is_none() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(10));
        }
        self.first.kill().unwrap();
        let status = self.first.wait().unwrap();
        let mut stderr = String::new();
        let mut pipe = self.first.stderr.take().unwrap();
        let _ = std::io::Read::read_to_string(&mut pipe, &mut stderr).unwrap();
        let ended = Ended { code: status.code(), stdout: Vec::new(), stderr };
        (status.signal(), ended)
    }

    /// Whether the second process goes away by itself.
    fn second_ends(&self) -> bool {
        for _ in 0..1000 {
            if is_gone(self.second) {
                return true;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        false
    }
}

impl Drop for Compiling {
    fn drop(&mut self) {
        let _ = self.first.kill();
        let _ = self.first.wait();
    }
}

/// Whether a process has ended: no more, or only waiting to be noticed by whoever adopted it.
fn is_gone(process: Pid) -> bool {
    let status = fs::read_to_string(format!("/proc/{}/stat", process.as_raw_nonzero()));
    test_kill_process(process).is_err()
        || status.is_ok_and(|status| status.rsplit(')').next().unwrap().trim().starts_with('Z'))
}

/// A compilation of a slow module, with what there is to steal.
fn command(home: &Home, output: &Path) -> Command {
    let mut command = home.compile_command(&slow(home));
    command.args(["--target", ALL, "-o"]).arg(output);
    command
}

#[test]
fn the_process_that_compiles_has_nothing() {
    let home = Home::new();
    let output = home.path("out.bls");
    let key = fs::read_to_string(home.key()).unwrap();
    let mut command = Command::new("sh");
    // A descriptor that it inherits, a secret in a variable, and the key in another.
    let inner = {
        let mut inner = Command::new(compiler());
        inner.arg(slow(&home)).args(["--key", "env:SIGNING", "--target", ALL, "-o"]).arg(&output);
        inner
    };
    command.args(["-c", "exec 9<\"$0\"; exec \"$@\""]).arg(home.key());
    command.arg(inner.get_program()).args(inner.get_args());
    command.env("SIGNING", &key).env("TOKEN", "the-secret-of-the-pipeline");
    let compiling = Compiling::begin(&mut command);
    kill_process(compiling.second, Signal::STOP).unwrap();

    let status = fs::read_to_string(compiling.about("status")).unwrap();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(":\t"));
        line.unwrap_or_else(|| panic!("{name} is not in {status}")).to_owned()
    };
    assert_eq!(field("NoNewPrivs"), "1");
    assert_eq!(field("Seccomp"), "2", "a filter of system calls");
    for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
        assert_eq!(field(set).trim_start_matches('0'), "", "{set}");
    }
    let tasks: Vec<PathBuf> =
        fs::read_dir(compiling.about("task")).unwrap().map(|one| one.unwrap().path()).collect();
    assert!(tasks.len() > 1, "threads too");
    for task in tasks {
        let Ok(status) = fs::read_to_string(task.join("status")) else { continue };
        assert!(status.contains("\nSeccomp:\t2\n") && status.contains("\nNoNewPrivs:\t1\n"));
    }

    // Two pipes, and nothing else.
    let mut descriptors: Vec<(String, String)> = fs::read_dir(compiling.about("fd"))
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let leads_to = fs::read_link(&path).unwrap().to_string_lossy().into_owned();
            (path.file_name().unwrap().to_string_lossy().into_owned(), leads_to)
        })
        .collect();
    descriptors.sort();
    assert_eq!(descriptors.len(), 2, "{descriptors:?}");
    for ((number, leads_to), wanted) in descriptors.iter().zip(["0", "1"]) {
        assert!(number == wanted && leads_to.starts_with("pipe:"), "{descriptors:?}");
    }
    let limits = fs::read_to_string(compiling.about("limits")).unwrap();
    for (limit, value) in
        [("Max open files", "0"), ("Max file size", "0"), ("Max data size", "17179869184")]
    {
        let line = limits.lines().find(|line| line.starts_with(limit)).unwrap();
        let values: Vec<&str> = line[limit.len()..].split_whitespace().collect();
        assert_eq!(values[..2], [value, value], "{line}");
    }
    let environment = fs::read(compiling.about("environ")).unwrap();
    assert!(environment.iter().all(|byte| *byte == 0), "variables are there");

    // Nothing of the key is in its memory, where the first process has it.
    let line = key.lines().nth(1).unwrap();
    for secret in [line, "the-secret-of-the-pipeline"] {
        assert!(is_in_memory(Path::new(&format!("/proc/{}", compiling.first.id())), secret));
        assert!(!is_in_memory(&compiling.about(""), secret), "{secret}");
    }
}

/// Whether a process has these bytes anywhere in memory that it may write to.
fn is_in_memory(process: &Path, secret: &str) -> bool {
    let maps = fs::read_to_string(process.join("maps")).unwrap();
    let memory = fs::File::open(process.join("mem")).unwrap();
    for line in maps.lines().filter(|line| line.contains(" rw-p ")) {
        let (begin, end) = line.split(' ').next().unwrap().split_once('-').unwrap();
        let address = |text| u64::from_str_radix(text, 16).unwrap();
        let (mut at, end) = (address(begin), address(end));
        let mut page = vec![0; 1 << 20];
        while at < end {
            let wanted = page.len().min((end - at) as usize);
            let Ok(read @ 1..) = memory.read_at(&mut page[..wanted], at) else { break };
            if page[..read].windows(secret.len()).any(|bytes| bytes == secret.as_bytes()) {
                return true;
            }
            // What lies across two reads is seen, too.
            at += (read.saturating_sub(secret.len()).max(1)) as u64;
        }
    }
    false
}

#[test]
fn whoever_ends_it_ends_the_work_with_a_sentence() {
    for (signal, words, hint) in [
        (Signal::KILL, "was ended by SIGKILL", "--max-compile-memory"),
        (Signal::ABORT, "was ended by SIGABRT", "please report this, with the module"),
        (Signal::SYS, "was ended by SIGSYS", "please report this, with the module"),
    ] {
        let home = Home::new();
        let folder = home.path("out");
        fs::create_dir(&folder).unwrap();
        let compiling = Compiling::begin(&mut command(&home, &folder.join("out.bls")));
        kill_process(compiling.second, signal).unwrap();
        let (_, ended) = compiling.ended();
        let ended = ended.expect(1);
        let _ = ended.says(&["bls-compile: compile: the process that compiles", words]).says(&[
            "in stage compile",
            "hint: ",
            hint,
            "code: compile.crashed",
        ]);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0, "nothing is left");
    }
}

#[test]
fn it_does_not_outlive_the_process_it_works_for() {
    for end in [Signal::KILL, Signal::TERM] {
        let home = Home::new();
        let compiling = Compiling::begin(&mut command(&home, &home.path("out.bls")));
        kill_process(Pid::from_child(&compiling.first), end).unwrap();
        assert!(compiling.second_ends(), "{end:?}");
        assert_eq!(compiling.ended().0, Some(end.as_raw()));
    }
    // What is sent to the group goes to both, as what a terminal sends does. (Not SIGINT: a shell
    // has it ignored by what it runs in the background.)
    let home = Home::new();
    let compiling = Compiling::begin(command(&home, &home.path("out.bls")).process_group(0));
    kill_process_group(Pid::from_child(&compiling.first), Signal::TERM).unwrap();
    assert!(compiling.second_ends());
    assert_eq!(compiling.ended().0, Some(Signal::TERM.as_raw()));
    assert!(!home.path("out.bls").exists());
}

#[test]
fn too_much_memory_or_time_is_refused_wherever_a_module_is_read() {
    let home = Home::new();
    let input = slow(&home);
    let metered = home.path("metered.wasm");
    let _ = run(home.compile_command(&input).args(["--emit", "wasm", "-o"]).arg(&metered), b"")
        .expect(0);
    let rebuilt = home.path("rebuilt.bls");
    fs::rename(home.compile(&input, &[]), &rebuilt).unwrap();
    let commands = |bounds: &[&str]| {
        let command = |words: &[&str], paths: &[&Path]| {
            let mut command = Command::new(compiler());
            command.args(words).args(paths).args(bounds).current_dir(home.path(""));
            command
        };
        let key = home.key();
        [
            command(&["--json", "--key"], &[&key, &input]),
            command(&["--emit", "wasm", "-o"], &[&home.path("never"), &input]),
            command(&["check"], &[&input]),
            command(&["audit"], &[&metered]),
            command(&["verify"], &[&rebuilt, Path::new("--rebuild"), &input]),
            command(&["sign", "--key"], &[&key, &rebuilt, Path::new("--rebuild"), &input]),
        ]
    };
    for mut command in commands(&["--max-compile-time", "2ms"]) {
        let ended = run(&mut command, b"").expect(1);
        let _ = ended.says(&["it takes longer than 2ms", "hint: ", "code: compile.time"]);
    }
    for mut command in commands(&["--max-compile-time=1h", "--max-compile-memory=4MiB"]) {
        let ended = run(&mut command, b"").expect(1);
        let _ = ended.says(&["it takes more memory than 4MiB", "code: compile.memory"]);
    }
    // For a program, too.
    let ended = run(&mut commands(&["--max-compile-memory=4MiB"])[0], b"").expect(1);
    let said: serde_json::Value = serde_json::from_slice(&ended.stdout).unwrap();
    assert_eq!((&said["code"], &said["stage"]), (&"compile.memory".into(), &"compile".into()));
    assert!(!home.path("never").exists() && !home.path("slow.bls").exists());
    // As much as it takes is enough, and gives the same bytes.
    let within = home.path("within.bls");
    let _ = run(
        home.compile_command(&input)
            .args(["--max-compile-memory", "2GiB", "--max-compile-time=30m", "-o"])
            .arg(&within),
        b"",
    )
    .expect(0);
    assert_eq!(fs::read(within).unwrap(), fs::read(rebuilt).unwrap());
}

#[test]
fn a_text_on_standard_input_becomes_the_same_bytes() {
    let home = Home::new();
    let text = fs::read(fixtures().join("wat/hello.wat")).unwrap();
    let file = home.compile(&fixtures().join("wat/hello.wat"), &["--name", "hello"]);
    let piped = home.path("piped.bls");
    let mut command = home.compile_command(Path::new("-"));
    let _ = run(command.args(["--name", "hello", "-o"]).arg(&piped), &text).expect(0);
    assert_eq!(fs::read(file).unwrap(), fs::read(piped).unwrap());
    let refused = run(&mut home.compile_command(Path::new("-")), b"(module\n  (fnc))").expect(1);
    let _ = refused.says(&["stdin:2:4", "(fnc)", "code: input.text"]);
}

#[test]
fn where_there_can_be_no_other_process_there_is_a_sentence() {
    if !may_make_users() {
        return;
    }
    let user = FreshUser::new("bls-apart", 64_581);
    let program = user.home.join("bls-compile");
    fs::copy(compiler(), &program).unwrap();
    // One process and no other, which root is not held to.
    let mut command = Command::new("prlimit");
    command.arg("--nproc=1").arg(&program).arg("-").args(["--key", "env:KEY", "-o", "out.bls"]);
    let key = fs::read_to_string(Home::new().key()).unwrap();
    let ended = run(user.become_user(&mut command).env("KEY", &key), b"(module)").expect(1);
    let _ = ended.says(&["no process to compile in: ", "ulimit -u", "code: compile.no-process"]);
    assert!(!user.home.join("out.bls").exists());
    // With two there is the other one, which does without threads; so does the audit.
    let mut command = Command::new("prlimit");
    command.arg("--nproc=2").arg(&program).arg("-").args(["--key", "env:KEY", "-o", "out.bls"]);
    let made = run(user.become_user(&mut command).env("KEY", &key), b"(module)").expect(0);
    assert!(user.home.join("out.bls").exists(), "{}", made.stderr);
}
