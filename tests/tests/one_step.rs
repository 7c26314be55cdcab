//! `bls-compile run`: from a module to its output in one step, and faster the second time.

use bls_tests::programs::{Ended, compiler, fixtures, loader, run};
use bls_tests::users::{FreshUser, may_make_users};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A user with both programs side by side at home, and a module.
struct OneStep {
    user: FreshUser,
}

impl OneStep {
    fn new(name: &str, id: u32) -> Option<Self> {
        if !may_make_users() {
            return None;
        }
        let step = Self { user: FreshUser::new(name, id) };
        for program in [compiler(), loader()] {
            fs::copy(&program, step.path(program.file_name().unwrap().to_str().unwrap())).unwrap();
        }
        for fixture in ["wat/hello.wat", "wat/hello.wasm", "wat/args_env.wat", "wat/library.wat"] {
            let name = Path::new(fixture).file_name().unwrap().to_str().unwrap();
            fs::copy(fixtures().join(fixture), step.path(name)).unwrap();
        }
        Some(step)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.user.home.join(name)
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = self.user.command(&self.path("bls-compile"));
        command.arg("run").args(words);
        command
    }

    fn run(&self, words: &[&str]) -> Ended {
        run(&mut self.command(words), b"")
    }

    /// What is kept.
    fn entries(&self) -> Vec<PathBuf> {
        let Ok(folder) = fs::read_dir(self.path(".cache/bls")) else { return Vec::new() };
        let mut entries: Vec<PathBuf> = folder.map(|entry| entry.unwrap().path()).collect();
        entries.retain(|path| path.extension().is_none_or(|end| end != "sum"));
        entries.sort();
        entries
    }
}

#[test]
fn a_module_runs_in_one_step() {
    let Some(step) = OneStep::new("bls-step-a", 64_501) else { return };
    let first = step.run(&["hello.wat"]).expect(0);
    assert_eq!(first.text(), "hello\n", "standard output is the guest's");
    let _ = first.says(&["made your signing key"]);
    let second = step.run(&["hello.wat"]).expect(0);
    assert_eq!((second.text().as_str(), second.stderr.as_str()), ("hello\n", ""));
    assert_eq!(step.entries().len(), 1);

    // Found by content and settings, and only so.
    let said = |words: &[&str], what: &str| {
        let ended =
            step.run(&[&["--explain"], words].concat()).expect(0).says(&[what, "bls-load: run: "]);
        assert!(ended.text().ends_with("hello\n"), "{}", ended.text());
    };
    said(&["hello.wat"], "bls-compile: run: found in");
    said(&["--no-fuel", "hello.wat"], "bls-compile: run: compiled to");
    said(&["--no-fuel", "hello.wat"], "bls-compile: run: found in");
    said(&["--fast-nans", "hello.wat"], "compiled to");
    said(&["--needs", "stdout", "hello.wat"], "compiled to");
    said(&["--name", "other", "hello.wat"], "compiled to");
    said(&["--fuel", "1M", "hello.wat"], "found in");
    if cfg!(target_arch = "x86_64") {
        said(&["--cpu", "v2", "hello.wat"], "found in");
        said(&["--cpu=v1", "hello.wat"], "compiled to");
        said(&["--cpu", "v1", "hello.wat"], "found in");
    }
    fs::copy(step.path("hello.wat"), step.path("again.wat")).unwrap();
    said(&["again.wat"], "compiled to");
    let text = fs::read_to_string(step.path("hello.wat")).unwrap();
    fs::write(step.path("hello.wat"), text + ";; changed\n").unwrap();
    said(&["hello.wat"], "compiled to");
    said(&["hello.wat"], "found in");
    // A name that no artifact may have is no reason not to run it.
    fs::copy(step.path("again.wat"), step.path("verify.wat")).unwrap();
    said(&["verify.wat"], "compiled to");
    let module = fs::read(step.path("hello.wasm")).unwrap();
    assert_eq!(run(&mut step.command(&["-"]), &module).expect(0).text(), "hello\n");
}

#[test]
fn grants_arguments_and_exit_codes_are_the_loaders() {
    let Some(step) = OneStep::new("bls-step-b", 64_502) else { return };
    let ended = step.run(&["--env", "A=1", "args_env.wat", "--fuel", "--", "x"]).expect(0);
    assert_eq!(ended.text(), "args_env.wat\n--fuel\n--\nx\nA=1\n", "as on other hosts");
    let ended = step.run(&["--argv0", "tool", "args_env.wat"]).expect(0);
    assert_eq!(ended.text(), "tool\n");
    assert_eq!(step.run(&["--invoke", "add", "library.wat", "2", "-3"]).expect(0).text(), "-1\n");
    let _ = step.run(&["--fuel", "10", "hello.wat"]).expect(123);
    let _ =
        step.run(&["--dir", "nowhere", "hello.wat"]).expect(125).says(&["nowhere", "grant.folder"]);
    let _ = step.run(&["--fuel-profile", "hello.wat"]).expect(0).says(&["fuel by function"]);
    // A release of that name that is installed does not stand in the way.
    let home = |program: &str, words: &[&str]| {
        let mut command = step.user.command(&step.path(program));
        run(command.args(words), b"").expect(0)
    };
    let _ = home("bls-compile", &["--sequence", "7", "hello.wat"]);
    let _ = home("bls-load", &["install", "hello.bls"]);
    assert_eq!(step.run(&["hello.wat"]).expect(0).text(), "hello\n");
    // Verified as any artifact: who is not trusted is refused.
    fs::write(step.path(".config/bls/trust.json"), r#"{"version": 1, "keys": []}"#).unwrap();
    let refused = step.run(&["hello.wat"]);
    assert_eq!(refused.code, Some(125), "{}", refused.stderr);
}

#[test]
fn what_is_damaged_is_compiled_again() {
    let Some(step) = OneStep::new("bls-step-c", 64_503) else { return };
    let _ = step.run(&["hello.wat"]).expect(0);
    let [entry] = &step.entries()[..] else { panic!("one entry") };
    let whole = fs::read(entry).unwrap();
    let mut flipped = whole.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 0x10;
    for damaged in [&whole[..middle], &[], &flipped, b"\0asm\x01\0\0\0"] {
        fs::write(entry, damaged).unwrap();
        let ended = step.run(&["--explain", "hello.wat"]).expect(0).says(&["compiled to"]);
        assert_eq!(ended.text(), "hello\n");
        assert_eq!(fs::read(entry).unwrap(), whole, "and mended");
    }
    assert_eq!(step.entries().len(), 1, "nothing else is left");
}

#[test]
fn many_may_run_it_at_once() {
    let Some(step) = OneStep::new("bls-step-d", 64_504) else { return };
    let children: Vec<_> = (0..12)
        .map(|_| {
            let mut command = step.command(&["hello.wat"]);
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    for child in children {
        let ended = Ended::from(child.wait_with_output().unwrap()).expect(0);
        assert_eq!(ended.text(), "hello\n");
    }
    assert_eq!(step.entries().len(), 1);
}

#[test]
fn what_stands_in_the_way_is_said() {
    let Some(step) = OneStep::new("bls-step-e", 64_505) else { return };
    fs::write(step.path("elf"), b"\x7fELF\x02\x01\x01\0").unwrap();
    let _ = step.run(&["elf"]).expect(1).says(&["bls-compile: input: ", "ELF", "hint: "]);
    let _ = step.run(&["missing.wasm"]).expect(1).says(&["missing.wasm", "hint: "]);
    assert!(!step.path(".config").exists(), "no key is made for what is no module");

    // A folder that others own, or may write.
    fs::create_dir_all(step.path(".cache/bls")).unwrap();
    fs::set_permissions(step.path(".cache/bls"), fs::Permissions::from_mode(0o755)).unwrap();
    let steps = "hint: ";
    let _ = step.run(&["hello.wat"]).expect(1).says(&["another user", steps, "bls-load app.bls"]);
    fs::remove_dir_all(step.path(".cache")).unwrap();
    fs::write(step.path(".cache"), "").unwrap();
    let _ = step
        .run(&["hello.wat"])
        .expect(1)
        .says(&["cannot keep", "bls-compile app.wasm && bls-load"]);
    fs::remove_file(step.path(".cache")).unwrap();

    // Without a loader to be found.
    fs::remove_file(step.path("bls-load")).unwrap();
    let ended = run(step.command(&["hello.wat"]).env("PATH", "/nowhere"), b"").expect(1);
    let _ = ended.says(&["cannot run bls-load", "hint: put bls-load beside bls-compile"]);
    // And with one in PATH.
    fs::create_dir(step.path("bin")).unwrap();
    fs::copy(loader(), step.path("bin/bls-load")).unwrap();
    let ended = run(step.command(&["hello.wat"]).env("PATH", step.path("bin")), b"").expect(0);
    assert_eq!(ended.text(), "hello\n");
}

#[test]
fn without_a_home_there_is_a_way() {
    let Some(step) = OneStep::new("bls-step-f", 64_506) else { return };
    // A user that the password database does not know.
    let mut command = Command::new(step.path("bls-compile"));
    command.current_dir(&step.user.home).uid(64_599).gid(64_599);
    let ended = run(command.args(["run", "hello.wat"]), b"").expect(1);
    let _ = ended.says(&["no home folder", "hint: "]);
}
