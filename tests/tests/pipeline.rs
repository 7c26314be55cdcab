//! From a build to a node: what a pipeline does and what another machine does with it, from the
//! beginning to the end, with a real registry between them where one is installed.

use bls_artifact::key::PrivateKey;
use bls_tests::programs::{Ended, Home, compiler, fixtures, loader, run};
use bls_tests::registries::{Registry, command};
use bls_tests::users::{FreshUser, may_make_users};
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::Path;
use std::process::Command;

/// What the pipeline has in a variable, and in no file.
const KEY: &str = "RELEASE_KEY";

fn pipeline(home: &Home, words: &[&str]) -> Ended {
    let key = PrivateKey::from_seed(&[21; 32]);
    run(command(home, &compiler()).env(KEY, key.to_pem()).args(words), b"")
}

/// The other machine: a user with an empty home, who has what he was given and nothing else.
struct Machine {
    user: FreshUser,
}

impl Machine {
    fn give(&self, name: &str, bytes: &[u8], mode: u32) {
        let path = self.user.home.join(name);
        fs::write(&path, bytes).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        chown(&path, Some(self.user.id), Some(self.user.id)).unwrap();
    }

    fn load(&self, words: &[&str]) -> Ended {
        let mut command: Command = self.user.command(&loader());
        command.env("HOME", &self.user.home).env_remove("DOCKER_CONFIG");
        run(command.args(words), b"input\n")
    }
}

fn count(folder: &Path) -> usize {
    fs::read_dir(folder).map_or(0, Iterator::count)
}

#[test]
fn what_a_pipeline_pushes_another_machine_runs_and_accounts_for() {
    let registry = Registry::start(false);
    let (Some(registry), true) = (registry, may_make_users()) else { return };

    // The pipeline: three modules, signed by a key that is in a variable only.
    let home = Home::new();
    fs::create_dir(home.path("build")).unwrap();
    for (fixture, name) in
        [("c/hello.wasm", "hello"), ("wat/cat.wat", "cat"), ("wat/args_env.wat", "words")]
    {
        let extension = Path::new(fixture).extension().unwrap().to_str().unwrap();
        let to = home.path(&format!("build/{name}.{extension}"));
        fs::copy(fixtures().join(fixture), to).unwrap();
    }
    let compile = ["build/", "-o", "dist/", "--key", "env:RELEASE_KEY", "--if-changed"];
    let first = pipeline(&home, &compile).expect(0);
    assert!(first.stderr.contains('3') && count(&home.path("dist")) == 3, "{}", first.stderr);
    let before = fs::read(home.path("dist/cat.bls")).unwrap();
    // One has changed since; the others stay as they are.
    let text = fs::read_to_string(home.path("build/words.wat")).unwrap() + ";; a new line\n";
    fs::write(home.path("build/words.wat"), text).unwrap();
    let second = pipeline(&home, &[&compile[..], &["--json"]].concat()).expect(0).text();
    let lines: Vec<serde_json::Value> =
        second.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let how = |name: &str| {
        let of = |line: &&serde_json::Value| line["input"].as_str().unwrap().contains(name);
        lines.iter().find(of).unwrap_or_else(|| panic!("{name}: {second}"))["how"].clone()
    };
    assert_eq!(how("hello"), how("cat"));
    assert_ne!(how("hello"), how("words"), "{second}");
    assert_eq!(fs::read(home.path("dist/cat.bls")).unwrap(), before);
    let reference = registry.reference("team/cat:1");
    let pushed = pipeline(&home, &["push", &reference, "dist/cat.bls"]).expect(0).text();
    let public = PrivateKey::from_seed(&[21; 32]).public().to_pem();

    // The other machine.
    let machine = Machine { user: FreshUser::new("bls-pipeline", 42_181) };
    let refused = machine.load(&["pull", &reference]).expect(125);
    assert!(refused.stderr.contains("code: "), "nobody is trusted yet: {}", refused.stderr);
    machine.give("release.pub", public.as_bytes(), 0o644);
    machine.give("node.pem", PrivateKey::from_seed(&[22; 32]).to_pem().as_bytes(), 0o600);
    let node = PrivateKey::from_seed(&[22; 32]).public().to_pem();
    machine.give("node.pub", node.as_bytes(), 0o644);
    let _ = machine.load(&["trust", "add", "release.pub"]).expect(0);
    let _ = machine.load(&["pull", pushed.trim_end()]).expect(0);
    let account =
        ["--metrics", "runs.prom", "--receipt", "receipt.json", "--receipt-key", "node.pem"];
    let ended = machine.load(&[&account[..], &["cat"]].concat()).expect(0);
    assert_eq!(ended.text(), "input\n");
    let metrics = fs::read_to_string(machine.user.home.join("runs.prom")).unwrap();
    assert!(metrics.contains("b7s_executor_function_executions_ok{function=\"cat\"} 1\n"));
    machine.give("artifact.bls", &before, 0o644);
    machine.give("said", b"input\n", 0o644);
    let words = ["verify-receipt", "receipt.json", "--key", "node.pub"];
    let beside = ["--artifact", "artifact.bls", "--stdin", "said", "--stdout", "said"];
    let text = machine.load(&[&words[..], &beside].concat()).expect(0).text();
    assert!(text.starts_with("cat: exited with 0\n"), "{text}");
}
