//! A crash of the loader's process ends with exit code 125, a sentence and a report: whatever
//! the fault, with a watcher and without, and never with a core file.

use bls_tests::installed::{Shelf, is_root};
use bls_tests::programs::{Ended, Home, loader, maps_of_a_running_guest};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// What crashes a process.
const FAULTS: [Signal; 5] = [Signal::SEGV, Signal::BUS, Signal::ILL, Signal::FPE, Signal::TRAP];

/// `command` in a shell that lets processes leave cores of any size.
fn with_cores(command: &Command, folder: &Path) -> Command {
    let mut shell = Command::new("sh");
    shell.arg("-c").arg("ulimit -c unlimited; exec \"$@\"").arg("sh");
    shell.arg(command.get_program()).args(command.get_args()).current_dir(folder);
    let _ = shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    shell
}

/// Starts it, and waits until its guest runs.
fn running(command: &mut Command) -> Child {
    let child = command.spawn().unwrap();
    let _ = maps_of_a_running_guest(&child);
    child
}

/// How it ended; in a moment, or the test fails.
fn ended(mut child: Child) -> Ended {
    let since = Instant::now();
    while child.try_wait().unwrap().is_none() {
        assert!(since.elapsed() < Duration::from_secs(60), "it hangs");
        std::thread::sleep(Duration::from_millis(5));
    }
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.signal(), None, "it says how it ended");
    output.into()
}

/// The names in a folder.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Asserts that a report is that of a crash.
fn expect_crash(path: &Path, words: &str) {
    let report: Value = serde_json::from_slice(&fs::read(path).unwrap()).expect("whole JSON");
    assert_eq!(report["outcome"]["kind"], "failed", "{report}");
    let error = &report["outcome"]["error"];
    assert_eq!(error["code"], "internal.crash");
    assert!(error["message"].as_str().unwrap().contains(words), "{error}");
}

#[test]
fn a_crash_ends_with_a_code_a_sentence_and_a_report() {
    let home = Home::new();
    let spin = home.fixture("wat/spin.wat");
    for signal in FAULTS {
        for (options, has_report) in [
            (&[][..], false),
            (&["--timeout", "1h"], false),
            (&["--report", "report.json"], true),
            (&["--report", "report.json", "--timeout", "1h"], true),
            // A guest on a thread of its own.
            (&["--max-stack", "16MiB"], false),
            (&["--report", "report.json", "--max-stack", "16MiB"], true),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let command = home.load_command(options, &spin);
            let child = running(&mut with_cores(&command, folder.path()));
            kill_process(Pid::from_child(&child), signal).unwrap();
            let name = format!("SIG{}", name(signal));
            let ended = ended(child).expect(125);
            let _ = ended.says(&[&name, "hint: ", "\ncode: internal.crash\n"]);
            let left = names(folder.path());
            match has_report {
                true => {
                    assert_eq!(left, ["report.json"]);
                    expect_crash(&folder.path().join("report.json"), &name);
                }
                false => assert!(left.is_empty(), "{left:?}"),
            }
        }
    }
}

/// A signal's name.
fn name(signal: Signal) -> &'static str {
    match signal {
        Signal::SEGV => "SEGV",
        Signal::BUS => "BUS",
        Signal::ILL => "ILL",
        Signal::FPE => "FPE",
        _ => "TRAP",
    }
}

#[test]
fn a_crash_while_the_host_waits_ends_the_same_way() {
    let home = Home::new();
    for guest in ["wat/read-stdin-forever.wat", "wat/poll-forever.wat"] {
        let artifact = home.fixture(guest);
        let folder = tempfile::tempdir().unwrap();
        let command = home.load_command(&["--report", "report.json"], &artifact);
        let child = running(&mut with_cores(&command, folder.path()));
        kill_process(Pid::from_child(&child), Signal::SEGV).unwrap();
        let _ = ended(child).expect(125);
        expect_crash(&folder.path().join("report.json"), "SIGSEGV");
    }
}

#[test]
fn a_signal_of_a_crash_that_the_watcher_gets_leaves_a_report_too() {
    let home = Home::new();
    let spin = home.fixture("wat/spin.wat");
    let folder = tempfile::tempdir().unwrap();
    let command = home.load_command(&["--report", "report.json"], &spin);
    let child = running(&mut with_cores(&command, folder.path()));
    let process = child.id();
    let tasks = names(Path::new(&format!("/proc/{process}/task")));
    let watcher = tasks.iter().find(|task| **task != process.to_string()).expect("a watcher");
    // The shell's `kill` takes processes only.
    let script = format!(
        "import ctypes; exit(ctypes.CDLL(None).syscall({TGKILL}, {process}, {watcher}, 11))"
    );
    let tried = Command::new("python3").arg("-c").arg(script).status();
    if tried.is_err() {
        let _ = kill_process(Pid::from_child(&child), Signal::KILL);
    }
    let ended = ended(child);
    let Ok(status) = tried else {
        println!("no python3: not tried");
        return;
    };
    assert!(status.success());
    let _ = ended.expect(125).says(&["SIGSEGV", "\ncode: internal.crash\n"]);
    expect_crash(&folder.path().join("report.json"), "SIGSEGV");
}

/// The number of `tgkill`.
const TGKILL: u32 = if cfg!(target_arch = "x86_64") { 234 } else { 131 };

#[test]
fn a_crash_ends_though_nobody_reads_what_it_says() {
    let home = Home::new();
    let spin = home.fixture("wat/spin.wat");
    for options in [&[][..], &["--timeout", "1h"], &["--report", "report.json"]] {
        let folder = tempfile::tempdir().unwrap();
        // A pipe that is full before the run begins.
        let (reader, writer) = std::io::pipe().unwrap();
        rustix::io::ioctl_fionbio(&writer, true).unwrap();
        while rustix::io::write(&writer, &[b'x'; 4096]).is_ok() {}
        while rustix::io::write(&writer, b"x").is_ok() {}
        rustix::io::ioctl_fionbio(&writer, false).unwrap();
        let mut command = with_cores(&home.load_command(options, &spin), folder.path());
        let child = running(command.stderr(writer));
        kill_process(Pid::from_child(&child), Signal::SEGV).unwrap();
        let _ = ended(child).expect(125);
        drop(reader);
    }
}

#[test]
fn an_abort_from_outside_is_no_crash() {
    let home = Home::new();
    let spin = home.fixture("wat/spin.wat");
    let child =
        running(home.load_command::<&str>(&[], &spin).stdout(Stdio::null()).stderr(Stdio::null()));
    let folder = tempfile::tempdir().unwrap();
    kill_process(Pid::from_child(&child), Signal::ABORT).unwrap();
    let mut child = child;
    assert_eq!(child.wait().unwrap().signal(), Some(Signal::ABORT.as_raw()));
    let command = home.load_command(&["--report", "report.json"], &spin);
    let child = running(&mut with_cores(&command, folder.path()));
    kill_process(Pid::from_child(&child), Signal::ABORT).unwrap();
    let _ = ended(child).expect(134).says(&["ended by signal 6"]);
}

/// Nobody but root can truncate what is mapped, and root is trusted not to.
#[test]
fn an_image_that_root_truncates_under_a_guest_is_a_crash() {
    if !is_root() {
        println!("not root: what is mapped is a sealed copy");
        return;
    }
    let (home, shelf) = (Home::new(), Shelf::new());
    let _ = shelf.install(&home, &home.fixture("wat/spin.wat")).expect(0);
    let image = fs::read(shelf.only("images")).unwrap();
    for has_report in [false, true] {
        fs::write(shelf.only("images"), &image).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let words: &[&str] =
            if has_report { &["--report", "report.json", "spin"] } else { &["spin"] };
        let child = running(&mut with_cores(&shelf.command(&home, words), folder.path()));
        fs::File::options().write(true).open(shelf.only("images")).unwrap().set_len(0).unwrap();
        let _ = ended(child).expect(125).says(&["crashed: SIG", "\ncode: internal.crash\n"]);
        let left = names(folder.path());
        assert_eq!(left.len(), usize::from(has_report), "{left:?}");
        if has_report {
            expect_crash(&folder.path().join("report.json"), "SIG");
        }
    }
}

/// The stack of the process itself is used up, and the handler has another.
#[test]
fn a_host_without_stack_says_so() {
    let home = Home::new();
    let hello = home.fixture("wat/hello.wat");
    let mut crashes = 0;
    for kibibytes in [12, 16, 20, 24, 28, 32, 40, 48, 64] {
        let folder = tempfile::tempdir().unwrap();
        let mut shell = Command::new("sh");
        let limits = format!("ulimit -c unlimited; ulimit -s {kibibytes}; exec env -i \"$@\"");
        shell.args(["-c", &limits, "sh"]).arg(loader()).arg("verify");
        shell.arg("--trust").arg(home.public_key()).arg(&hello);
        let ended = Ended::from(shell.current_dir(folder.path()).output().unwrap());
        match ended.code {
            Some(0) => {}
            // So little that the kernel ends it before it has begun.
            None => continue,
            _ => {
                crashes += 1;
                let _ = ended.expect(125).says(&["SIGSEGV", "\ncode: internal.crash\n"]);
            }
        }
        assert!(names(folder.path()).is_empty(), "{kibibytes} KiB: no core file");
    }
    assert!(crashes > 0, "every stack was large enough");
}
