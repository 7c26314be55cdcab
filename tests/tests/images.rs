//! Container images: what is in them, what is refused, and runs under a real containerd where it
//! is installed.

use bls_tests::engines::Containerd;
use bls_tests::programs::{Ended, Home, compiler, fixtures, loader, run};
use bls_tests::registries::{Registry, command};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::Command;

fn image(home: &Home, words: &[&str]) -> Ended {
    run(command(home, &compiler()).arg("image").args(words), b"")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path")
}

#[test]
fn the_same_files_give_the_same_image_and_a_tool_of_others_reads_it() {
    let home = Home::new();
    let artifact = home.fixture("c/hello.wasm");
    let key = home.public_key();
    let made = image(&home, &[text(&artifact), "--trust", text(&key), "--json"]).expect(0);
    let made: Value = serde_json::from_str(&made.text()).unwrap();
    assert_eq!(
        (made["output"].as_str(), made["name"].as_str()),
        (Some("hello.oci.tar"), Some("localhost/hello:latest"))
    );
    let _ =
        image(&home, &[text(&artifact), "--trust", text(&key), "-q", "-o", "again.tar"]).expect(0);
    let tar = fs::read(home.path("hello.oci.tar")).unwrap();
    assert_eq!(tar, fs::read(home.path("again.tar")).unwrap());
    let both = fs::metadata(loader()).unwrap().len() + fs::metadata(&artifact).unwrap().len();
    assert!(tar.len() as u64 - both < 20 << 10, "{} for {both}", tar.len());

    let inspect = Command::new("skopeo")
        .args(["inspect", "--config", &format!("oci-archive:{}", home.path("again.tar").display())])
        .output();
    let Ok(inspect) = inspect else {
        println!("skopeo is not installed: left out");
        return;
    };
    assert!(inspect.status.success(), "{}", String::from_utf8_lossy(&inspect.stderr));
    let config: Value = serde_json::from_slice(&inspect.stdout).unwrap();
    assert_eq!(config["config"]["Entrypoint"], serde_json::json!(["/bls-load", "/app.bls"]));
    assert_eq!(config["config"]["User"], "65532:65532");
}

#[test]
fn an_image_without_a_loader_has_the_artifact_alone() {
    let home = Home::new();
    let artifact = home.compile(&fixtures().join("wat/hello.wat"), &["--target", "x86_64,aarch64"]);
    let key = home.public_key();
    let words = [text(&artifact), "--trust", text(&key), "--no-loader", "--json"];
    let made: Value = serde_json::from_str(&image(&home, &words).expect(0).text()).unwrap();
    assert_eq!(made["targets"], serde_json::json!(["x86_64", "aarch64"]));
    let tar = fs::read(home.path("hello.oci.tar")).unwrap();
    assert!(tar.len() < 200 << 10, "{}", tar.len());
    let said = String::from_utf8_lossy(&tar);
    assert!(said.contains(r#""Entrypoint":["/app.bls"]"#) && !said.contains("etc/bls"));
    let own = format!("x86_64={}", loader().display());
    let both = [text(&artifact), "--no-loader", "--loader", &own];
    let _ = image(&home, &both).expect(2).says(&["exclude each other", "code: registry.usage"]);
}

#[test]
fn what_no_image_can_have_is_refused_and_nothing_is_written() {
    let home = Home::new();
    let artifact = home.fixture("wat/hello.wat");
    let key = home.public_key();
    let (artifact, key) = (text(&artifact), text(&key));
    fs::write(home.path("text"), "text").unwrap();
    fs::write(home.path("signed.json"), r#"{"payload":"","payloadType":"x","signatures":[]}"#)
        .unwrap();
    let other = Home::with_seed(3);
    let stranger = other.public_key();
    let dynamic = compiler();
    let host = if cfg!(target_arch = "x86_64") { "x86_64" } else { "aarch64" };
    let dynamic = format!("{host}={}", dynamic.display());
    let own = loader();
    let foreign = format!("riscv64={}", own.display());
    let nothing = format!("{host}=text");
    for (words, says) in [
        (&["text"][..], "code: framing."),
        (&["missing.bls"], "code: registry.unreadable"),
        (&[artifact, "--trust", text(&stranger)], "code: registry.refused"),
        (&[artifact, "--trust", "text"], "code: registry.trust"),
        (&[artifact, "--trust", "signed.json"], "code: registry.trust"),
        (&[artifact, "--trust", key, "--loader", &dynamic], "linked dynamically"),
        (&[artifact, "--trust", key, "--loader", &foreign], "not for riscv64gc"),
        (&[artifact, "--trust", key, "--loader", &nothing], "it is no program"),
        (&[artifact, "--trust", key, "--tag", "a b"], "code: registry.reference"),
        (&[artifact, artifact, "--trust", key], "code: registry.twice"),
        (&[artifact, "--trust", key, "-o", "no/folder/x.tar"], "code: registry.unwritable"),
    ] {
        let ended = image(&home, words).expect(1).says(&[says, "hint: "]);
        assert!(ended.text().is_empty(), "{words:?}");
        let files = fs::read_dir(home.path("")).unwrap().flatten();
        let left = files.filter(|file| file.file_name().to_string_lossy().ends_with(".tar"));
        assert_eq!(left.count(), 0, "{words:?}");
    }
    let _ = image(&home, &[]).expect(2).says(&["code: registry.usage"]);
    // Without code for another architecture its loader is no use, and without its loader its code.
    let fat =
        home.compile(&fixtures().join("wat/hello.wat"), &["--target", &format!("{host},riscv64")]);
    let made = image(&home, &[text(&fat), "--trust", key, "-o", "fat.tar"]).expect(0);
    let _ = made.says(&["riscv64gc is left out, for no loader is given for it"]);
}

#[test]
fn an_image_is_pushed_as_it_was_made() {
    let Some(registry) = Registry::start(false) else { return };
    let home = Home::new();
    let artifact = home.fixture("wat/hello.wat");
    let key = home.public_key();
    let made = image(&home, &[text(&artifact), "--trust", text(&key), "--json"]).expect(0);
    let made: Value = serde_json::from_str(&made.text()).unwrap();
    let reference = registry.reference("images/hello:1");
    let mut push = command(&home, &compiler());
    let pushed = run(push.args(["push", &reference, "hello.oci.tar"]), b"").expect(0).text();
    let digest = made["digest"].as_str().unwrap();
    assert_eq!(pushed, format!("{}@{digest}\n", registry.reference("images/hello")));
    let manifest = registry.json("images/hello/manifests/1");
    assert_eq!(manifest["layers"].as_array().unwrap().len(), 2);
    // It is no artifact.
    let mut pull = command(&home, &loader());
    let _ =
        run(pull.args(["pull", &reference]), b"").expect(125).says(&["code: registry.other-type"]);
    fs::write(home.path("text.tar"), "text").unwrap();
    let mut push = command(&home, &compiler());
    let wrong = run(push.args(["push", &reference, "text.tar"]), b"").expect(1);
    let _ = wrong.says(&["code: registry.layout"]);
}

#[test]
fn an_image_runs_under_containerd_with_nothing_but_what_is_in_it() {
    let Some(engine) = Containerd::start() else { return };
    let home = Home::new();
    let artifact = home.fixture("wat/args_env.wat");
    let key = home.public_key();
    let _ = image(&home, &[text(&artifact), "--trust", text(&key)]).expect(0);
    let tar = home.path("args_env.oci.tar");
    let imported = engine.run(&["images", "import", "--snapshotter", "native", text(&tar)]);
    let _ = imported.expect(0);
    let name = "localhost/args_env:latest";
    let base = ["run", "--rm", "--snapshotter", "native", "--read-only"];
    let probe = engine.run(&[&base[..], &[name, "bls-images-probe"]].concat());
    // Where no container can be made at all; an image whose program does not start is no such case.
    let is_ours = probe.stderr.contains("exec: ") || probe.stderr.contains("bls-load: ");
    if probe.code == Some(1) && probe.stderr.contains("failed to create") && !is_ours {
        println!("containers cannot be made here: left out: {}", probe.stderr);
        return;
    }
    assert_eq!(probe.expect(0).text(), "app.bls\n");
    // As hard as an engine makes it: its filter, no capability, 16 MiB.
    let all = "CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP \
               NET_BIND_SERVICE SYS_CHROOT KILL AUDIT_WRITE";
    let dropped: Vec<String> = all.split_whitespace().map(|one| format!("CAP_{one}")).collect();
    let mut words: Vec<&str> = base.to_vec();
    words.extend(["--seccomp", "--memory-limit", "16777216"]);
    words.extend(dropped.iter().flat_map(|one| ["--cap-drop", one]));
    words.extend([name, "bls-images-hard", "/bls-load", "--report", "-", "/app.bls", "one"]);
    let ended = engine.run(&words).expect(0).text();
    assert!(ended.starts_with("app.bls\none\n"), "{ended}");
    let report: Value = serde_json::from_str(ended.split_once("one\n").unwrap().1).unwrap();
    assert_eq!(report["outcome"]["kind"], "exited");

    // A trust file that is mounted counts in the place of the one inside.
    let trust = home.path("trust.json");
    let stranger = Home::with_seed(3);
    let mut add = Command::new(loader());
    add.args(["trust", "add", "--file"]).arg(&trust).arg(stranger.public_key());
    let _ = run(&mut add, b"").expect(0);
    let mount =
        format!("type=bind,src={},dst=/etc/bls/trust.json,options=rbind:ro", trust.display());
    let words = [&base[..], &["--mount", &mount, name, "bls-images-trust"]].concat();
    let _ = engine.run(&words).expect(125).says(&["code: signature.unknown-key"]);
}
