//! Artifacts to a registry and back: with a real one, where it is installed, and with one that
//! lies.

use bls_artifact::digest::Sha256;
use bls_tests::programs::{Ended, Home, compiler, fixtures, loader, run};
use bls_tests::registries::{AUTH, Answer, Liar, Registry, command, configure, program};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const ARTIFACT: &str = "application/vnd.bls.artifact.v1";

fn push(home: &Home, words: &[&str]) -> Ended {
    run(command(home, &compiler()).arg("push").args(words), b"")
}

/// bls-load in this folder, with a store of its own, trusting this key.
fn load(home: &Home, words: &[&str]) -> Ended {
    let mut command = command(home, &loader());
    command.arg("--trust").arg(home.public_key()).arg("--store").arg(home.path("store"));
    run(command.args(words), b"")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path")
}

/// The line that a push prints.
fn pushed(ended: &Ended) -> String {
    ended.text().trim_end().to_owned()
}

#[test]
fn what_was_pushed_is_pulled_verified_installed_and_run() {
    let Some(registry) = Registry::start(false) else { return };
    let home = Home::new();
    let module = fixtures().join("c/hello.wasm");
    let artifact = home.compile(&module, &["--sequence", "3"]);
    let reference = registry.reference("ann/app:1");
    let first = push(&home, &[&reference, text(&artifact), "--source", text(&module)]).expect(0);
    let again = push(&home, &[&reference, text(&artifact), "--source", text(&module)]).expect(0);
    assert_eq!(pushed(&first), pushed(&again), "the same input has the same digest");
    assert!(first.stderr.contains("hello for amd64, with its source"), "{}", first.stderr);

    let said = load(&home, &["pull", &reference]).expect(0).text();
    assert!(said.starts_with("hello, release 3, is installed in "), "{said}");
    assert_eq!(load(&home, &["hello"]).expect(0).text(), "hello from C\n");
    let by_digest = format!("oci://{}", pushed(&first));
    for reference in [format!("oci://{reference}"), by_digest] {
        assert_eq!(load(&home, &[&reference]).expect(0).text(), "hello from C\n");
        let verified = load(&home, &["verify", &reference]).expect(0).text();
        assert!(verified.contains("hello"), "{verified}");
    }
    // The file is the one that was pushed.
    let mut pull = command(&home, &program());
    let _ = run(pull.args(["pull", "-o", "again.bls", &reference]), b"").expect(0);
    assert_eq!(fs::read(home.path("again.bls")).unwrap(), fs::read(&artifact).unwrap());

    // What is said of it is what is in it, and the source is attached to it.
    let manifest = registry.json("ann/app/manifests/1");
    let said = &manifest["annotations"];
    let source = format!("sha256:{}", Sha256::of(&fs::read(&module).unwrap()));
    assert_eq!(said["dev.bls.source"], source);
    assert_eq!(
        (said["dev.bls.name"].as_str(), said["dev.bls.sequence"].as_str()),
        (Some("hello"), Some("3"))
    );
    assert_eq!(manifest["artifactType"], ARTIFACT);
    assert_eq!(
        manifest["layers"][0]["digest"],
        format!("sha256:{}", Sha256::of(&fs::read(&artifact).unwrap()))
    );
    let digest = pushed(&first).split_once("@sha256:").unwrap().1.to_owned();
    let attached = registry.json(&format!("ann/app/manifests/sha256-{digest}"));
    let attached = attached["manifests"].as_array().unwrap();
    assert_eq!(
        (attached.len(), attached[0]["artifactType"].as_str()),
        (1, Some("application/wasm"))
    );
    let attached = attached[0]["digest"].as_str().unwrap();
    let attached = registry.json(&format!("ann/app/manifests/{attached}"));
    assert_eq!(attached["subject"]["digest"], format!("sha256:{digest}"));
    assert_eq!(attached["layers"][0]["digest"], source);
}

#[test]
fn each_architecture_has_a_manifest_and_a_machine_takes_its_own() {
    let Some(registry) = Registry::start(false) else { return };
    let home = Home::new();
    let module = fixtures().join("wat/hello.wat");
    let artifact = home.compile(&module, &["--target", "x86_64,x86_64:v3,aarch64"]);
    let reference = registry.reference("app");
    let whole = push(&home, &[&reference, text(&artifact), "--json"]).expect(0);
    let whole: Value = serde_json::from_str(&whole.text()).unwrap();
    assert_eq!(whole["architectures"], json!(["amd64", "arm64"]));
    let index = registry.json("app/manifests/latest");
    assert_eq!(
        (index["mediaType"].as_str(), index["artifactType"].as_str()),
        (Some(INDEX), Some(ARTIFACT))
    );

    if cfg!(target_arch = "x86_64") {
        assert_eq!(load(&home, &[&format!("oci://{reference}")]).expect(0).text(), "hello\n");
    }
    let device = home.path("device");
    let other = Home::new();
    let words = ["pull", "--target", "aarch64", &reference];
    let said = load(&other, &words).expect(0).text();
    assert!(said.contains("is installed"), "{said}");
    assert!(!device.exists());
    let mut pull = command(&home, &program());
    let _ =
        run(pull.args(["pull", "--target=aarch64", "-o", "arm.bls", &reference]), b"").expect(0);
    let inspected = run(command(&home, &compiler()).args(["inspect", "arm.bls"]), b"").expect(0);
    assert!(inspected.text().contains("parts      1 of 3"), "{}", inspected.text());
    let refused = load(&home, &["pull", "--target", "riscv64", &reference]).expect(125);
    let _ = refused
        .says(&["has nothing for riscv64; it has amd64, arm64", "code: registry.no-architecture"]);

    // Two files of one release are one index, whose manifests are not the same as those of one.
    let (one, two) = (home.path("x.bls"), home.path("a.bls"));
    for (target, to) in [("x86_64", &one), ("aarch64", &two)] {
        let mut strip = command(&home, &compiler());
        strip.args(["strip", "--quiet", "--target", target, "-o"]).arg(to).arg(&artifact);
        let _ = run(&mut strip, b"").expect(0);
    }
    let parts = push(&home, &[&registry.reference("parts"), text(&two), text(&one)]).expect(0);
    let reference = registry.reference("parts");
    assert_eq!(load(&home, &["pull", &reference]).expect(0).code, Some(0));
    assert!(pushed(&parts).contains("/parts@sha256:"));
    let twice = push(&home, &[&reference, text(&one), text(&artifact)]).expect(1);
    let _ = twice.says(&["has code for amd64", "code: registry.twice"]);
    let another = home.compile(&fixtures().join("wat/args_env.wat"), &["--target", "riscv64"]);
    let mixed = push(&home, &[&reference, text(&one), text(&another)]).expect(1);
    let _ = mixed.says(&["are not one release", "code: registry.other-release"]);
    let false_source = text(&another);
    let wrong = push(&home, &[&reference, text(&one), "--source", false_source]).expect(1);
    let _ = wrong.says(&["the artifact was made of sha256:", "code: registry.other-source"]);
}

#[test]
fn whom_to_trust_is_asked_of_what_was_pulled() {
    let Some(registry) = Registry::start(false) else { return };
    let (home, stranger) = (Home::new(), Home::with_seed(9));
    let artifact = stranger.fixture("wat/hello.wat");
    let reference = registry.reference("stranger/app:1");
    let _ = push(&home, &[&reference, text(&artifact)]).expect(0);
    for words in [&["pull", &reference][..], &[&format!("oci://{reference}")]] {
        let refused = load(&home, words).expect(125);
        let _ = refused.says(&["is signed by key", "code: signature.unknown-key"]);
    }
    assert!(!home.path("store/artifacts").exists());
    // A dry run says what would be done, and does nothing.
    let said = load(&stranger, &["pull", "--dry-run", &reference]).expect(0).text();
    assert!(said.contains("would be installed") && !stranger.path("store").exists(), "{said}");
    // A pushed tag that was moved back to an older release is refused as any rollback.
    let newer = stranger.compile(&fixtures().join("wat/hello.wat"), &["--sequence", "5"]);
    let new = registry.reference("stranger/app:2");
    let _ = push(&home, &[&new, text(&newer)]).expect(0);
    let _ = load(&stranger, &["pull", &new]).expect(0);
    let _ = load(&stranger, &["pull", &reference]).expect(125).says(&["code: freshness.rollback"]);
}

#[test]
fn a_registry_that_asks_gets_the_credentials_of_docker() {
    let Some(registry) = Registry::start(true) else { return };
    let home = Home::new();
    let artifact = home.fixture("wat/hello.wat");
    let reference = registry.reference("app:1");
    let host = &registry.host;
    let none = push(&home, &[&reference, text(&artifact)]).expect(1);
    let _ = none.says(&["wants to know who asks", "docker login", "code: registry.unauthorized"]);
    configure(&home, &json!({ "auths": { host: { "auth": "YW5uOndyb25n" } } }).to_string());
    let wrong = push(&home, &[&reference, text(&artifact)]).expect(1);
    let _ = wrong.says(&["does not accept the credentials", "code: registry.unauthorized"]);
    configure(&home, &json!({ "auths": { host: { "auth": AUTH } } }).to_string());
    let _ = push(&home, &[&reference, text(&artifact)]).expect(0);
    assert_eq!(load(&home, &[&format!("oci://{reference}")]).expect(0).text(), "hello\n");

    // A helper is a program that answers for a host.
    configure(&home, &json!({ "credHelpers": { host: "bls-test" } }).to_string());
    let helper = home.path("docker-credential-bls-test");
    let answer = r#"{"ServerURL":"x","Username":"ann","Secret":"secret"}"#;
    for (script, code, says) in [
        (format!("#!/bin/sh\ncat > asked; echo '{answer}'\n"), 0, ""),
        (
            "#!/bin/sh\ncat > asked; echo 'credentials not found in native keychain'; exit 1\n"
                .to_owned(),
            125,
            "code: registry.unauthorized",
        ),
        (
            "#!/bin/sh\ncat > asked; echo a-secret; exit 1\n".to_owned(),
            125,
            "docker-credential-bls-test fails",
        ),
        ("#!/bin/sh\ncat > asked; echo nonsense\n".to_owned(), 125, "code: registry.credentials"),
    ] {
        fs::write(&helper, script).unwrap();
        fs::set_permissions(&helper, fs::Permissions::from_mode(0o755)).unwrap();
        let path = format!("{}:{}", home.path("").display(), std::env::var("PATH").unwrap());
        let mut command = command(&home, &loader());
        command.env("PATH", path).arg("--trust").arg(home.public_key());
        command.arg("--store").arg(home.path("other")).args(["pull", &reference]);
        let ended = run(&mut command, b"").expect(code).says(&[says]);
        assert!(!ended.stderr.contains("a-secret"), "{}", ended.stderr);
    }
    assert_eq!(fs::read_to_string(home.path("asked")).unwrap(), *host);

    // One that hangs has the time that all of it may take.
    fs::write(&helper, "#!/bin/sh\nexec sleep 5 > /dev/null 2> /dev/null\n").unwrap();
    let path = format!("{}:{}", home.path("").display(), std::env::var("PATH").unwrap());
    let mut pull = command(&home, &program());
    pull.env("PATH", path).args(["pull", "--max-time", "1s", &reference]);
    let ended = run(&mut pull, b"").expect(1);
    let _ = ended.says(&["the credential helper takes longer", "code: registry.timeout"]);
}

/// A manifest of this layer, changed.
fn manifest(layer: &[u8], change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let mut value = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": ARTIFACT,
        "config": { "mediaType": "application/vnd.oci.empty.v1+json", "size": 2,
            "digest": format!("sha256:{}", Sha256::of(b"{}")) },
        "layers": [{ "mediaType": ARTIFACT, "size": layer.len(),
            "digest": format!("sha256:{}", Sha256::of(layer)) }],
    });
    change(&mut value);
    value.to_string().into_bytes()
}

fn index(entries: &[Value]) -> Vec<u8> {
    json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": entries }).to_string().into_bytes()
}

fn entry(manifest: &[u8], architecture: &str) -> Value {
    json!({ "mediaType": MANIFEST, "size": manifest.len(),
        "digest": format!("sha256:{}", Sha256::of(manifest)),
        "platform": { "architecture": architecture, "os": "linux" } })
}

/// What a lying registry answers, and what is said of it.
struct Lie {
    code: &'static str,
    says: &'static str,
    /// For a tag, for a manifest by its digest, for a blob.
    answers: [Answer; 3],
}

#[test]
fn a_registry_that_lies_is_told_and_leaves_nothing() {
    let home = Home::new();
    let artifact = fs::read(home.fixture("wat/hello.wat")).unwrap();
    let good = manifest(&artifact, |_| {});
    let kind = |bytes: &[u8]| Answer::of(MANIFEST, bytes);
    let blob = || Answer::of("application/octet-stream", artifact.clone());
    let none = || Answer::status(404);
    let longer = [&artifact[..], b"x"].concat();
    let mut other = artifact.clone();
    other[40] ^= 1;
    let lie = |code, says, answers| Lie { code, says, answers };
    let own = if cfg!(target_arch = "x86_64") { "amd64" } else { "arm64" };
    let lies = [
        lie("missing", "has no /v2/app/manifests/1", [none(), none(), none()]),
        lie("missing", "blobs/sha256:", [kind(&good), none(), none()]),
        lie("forbidden", "does not let you read app", [Answer::status(403), none(), none()]),
        lie("unauthorized", "wants to know who asks", [Answer::status(401), none(), none()]),
        lie("status", "answers 503", [Answer::status(503), none(), none()]),
        lie("answer", "it is no manifest", [Answer::of("text/html", "<html>"), none(), none()]),
        lie("answer", "more than 4194304 bytes", [kind(&vec![b' '; 5 << 20]), none(), none()]),
        lie(
            "other-type",
            "vnd.docker.distribution",
            [
                Answer::of(
                    "application/vnd.docker.distribution.manifest.v2+json",
                    r#"{"schemaVersion":2}"#,
                ),
                none(),
                none(),
            ],
        ),
        lie(
            "other-type",
            "application/vnd.other",
            [
                kind(&manifest(&artifact, |value| {
                    value["artifactType"] = "application/vnd.other".into()
                })),
                none(),
                blob(),
            ],
        ),
        lie(
            "other-type",
            "of 2 layers",
            [
                kind(&manifest(&artifact, |value| {
                    value["layers"] = json!([value["layers"][0], value["layers"][0]])
                })),
                none(),
                blob(),
            ],
        ),
        lie(
            "blob-digest",
            "in the place of sha256:",
            [kind(&good), none(), Answer::of("application/octet-stream", other)],
        ),
        lie(
            "blob-size",
            "more than the",
            [kind(&good), none(), Answer::of("application/octet-stream", longer)],
        ),
        lie(
            "blob-size",
            "bytes of sha256:",
            [kind(&good), none(), Answer::of("application/octet-stream", &artifact[1..])],
        ),
        lie(
            "blob-size",
            "an artifact has at most",
            [
                kind(&manifest(&artifact, |value| {
                    value["layers"][0]["size"] = (1_u64 << 40).into()
                })),
                none(),
                blob(),
            ],
        ),
        lie(
            "connection",
            "or it broke",
            [
                kind(&good),
                none(),
                Answer { length: Some(artifact.len() + 9), ..Answer::of("a/b", &artifact[..9]) },
            ],
        ),
        lie(
            "no-architecture",
            "it has s390y",
            [Answer::of(INDEX, index(&[entry(&good, "s390y")])), kind(&good), blob()],
        ),
        lie(
            "no-architecture",
            "it has nothing",
            [Answer::of(INDEX, index(&[])), kind(&good), blob()],
        ),
        lie(
            "manifest-digest",
            "in the place of",
            [Answer::of(INDEX, index(&[entry(&good, own)])), kind(&manifest(b"", |_| {})), blob()],
        ),
        lie(
            "other-type",
            "an index inside of an index",
            [
                Answer::of(INDEX, index(&[entry(&index(&[]), own)])),
                Answer::of(INDEX, index(&[])),
                blob(),
            ],
        ),
        lie(
            "answer",
            "does not speak as registries do",
            [
                Answer {
                    headers: "Location: https://127.0.0.1:1/\r\n".into(),
                    ..Answer::status(301)
                },
                none(),
                none(),
            ],
        ),
    ];
    for Lie { code, says, answers } in lies {
        let liar = Liar::start(move |asked| {
            let [tag, manifest, blob] = answers.clone();
            match &asked.path {
                path if path.contains("/blobs/") => blob,
                path if path.contains("/manifests/sha256:") => manifest,
                _ => tag,
            }
        });
        let reference = format!("{}/app:1", liar.host);
        let code = format!("code: registry.{code}");
        if code.ends_with("answer") && says.starts_with("does not") {
            // Where a redirect leads nobody answers: whatever that is called.
            let _ =
                load(&home, &["pull", &reference]).expect(125).says(&["hint: ", "code: registry."]);
            continue;
        }
        let ended = load(&home, &["pull", &reference]).expect(125);
        let ended = ended.says(&["bls-load: pull: ", says, "hint: ", &code]);
        assert!(ended.text().is_empty(), "{}", ended.text());
        assert!(!home.path("store").exists(), "{code}");
        // The same into a file.
        fs::create_dir(home.path("into")).unwrap();
        let mut pull = command(&home, &program());
        pull.args(["pull", "-o", "into/x.bls", &reference]);
        let _ = run(&mut pull, b"").expect(1).says(&["bls-registry: ", says, &code]);
        assert_eq!(fs::read_dir(home.path("into")).unwrap().count(), 0, "{code}");
        fs::remove_dir(home.path("into")).unwrap();
    }
}

#[test]
fn a_report_has_the_code_of_what_the_registry_did() {
    let home = Home::new();
    let liar = Liar::start(|_| Answer::status(403));
    let reference = format!("oci://{}/app:1", liar.host);
    let _ = load(&home, &["--report", "r.json", &reference]).expect(125);
    let report: Value = serde_json::from_slice(&fs::read(home.path("r.json")).unwrap()).unwrap();
    assert_eq!(report["outcome"]["kind"], "refused");
    assert_eq!(report["outcome"]["error"]["code"], "registry.forbidden");
    assert_eq!(report["outcome"]["error"]["stage"], "pull");
}

#[test]
fn what_a_reference_names_by_digest_is_that() {
    let home = Home::new();
    let artifact = fs::read(home.fixture("wat/hello.wat")).unwrap();
    let good = manifest(&artifact, |_| {});
    let digest = Sha256::of(&good);
    let served = good.clone();
    let liar = Liar::start(move |asked| match asked.path.contains("/blobs/") {
        true => Answer::of("application/octet-stream", artifact.clone()),
        false => Answer::of(MANIFEST, served.clone()),
    });
    let named = format!("{}/app:1@sha256:{digest}", liar.host);
    assert_eq!(load(&home, &[&format!("oci://{named}")]).expect(0).text(), "hello\n");
    let last = liar.asked();
    assert!(last.iter().any(|asked| asked.path.ends_with(&format!("manifests/sha256:{digest}"))));
    let other = format!("{}/app@sha256:{}", liar.host, Sha256::of(b""));
    let _ = load(&home, &["pull", &other]).expect(125).says(&["code: registry.manifest-digest"]);
    for wrong in ["app:1", "http://127.0.0.1/app", "127.0.0.1:1/App", "127.0.0.1:1/a@sha256:0"] {
        let _ = load(&home, &["pull", wrong]).expect(125).says(&["code: registry.reference"]);
    }
    let _ = load(&home, &["pull", "--", "--help"]).expect(125);
}

#[test]
fn a_token_is_fetched_for_the_credentials_and_sent_to_nobody_else() {
    let home = Home::new();
    let artifact = fs::read(home.fixture("wat/hello.wat")).unwrap();
    let good = manifest(&artifact, |_| {});
    // Where blobs lie: a stranger to the registry.
    let store = Liar::start(move |_| Answer::of("application/octet-stream", artifact.clone()));
    let tokens = Liar::start(|asked| match asked.headers.get("authorization") {
        Some(basic) if *basic == format!("Basic {AUTH}") => {
            Answer::of("application/json", r#"{"token":"t0ken"}"#)
        }
        _ => Answer::status(401),
    });
    let (realm, blobs) = (tokens.host.clone(), store.host.clone());
    let liar = Liar::start(move |asked| {
        let challenge = format!(
            "WWW-Authenticate: Bearer realm=\"http://{realm}/token\",service=\"s\",scope=\"repository:app:pull\"\r\n"
        );
        match asked.headers.get("authorization").map(String::as_str) {
            Some("Bearer t0ken") if asked.path.contains("/blobs/") => {
                let headers = format!("Location: http://{blobs}/blob\r\n");
                Answer { headers, ..Answer::status(307) }
            }
            Some("Bearer t0ken") => Answer::of(MANIFEST, good.clone()),
            _ => Answer { headers: challenge, ..Answer::status(401) },
        }
    });
    let reference = format!("oci://{}/app", liar.host);
    let none = load(&home, &[&reference]).expect(125);
    let _ = none.says(&["wants to know who asks", "code: registry.unauthorized"]);
    configure(&home, &json!({ "auths": { &liar.host: { "auth": AUTH } } }).to_string());
    assert_eq!(load(&home, &[&reference]).expect(0).text(), "hello\n");
    let asked = tokens.asked().pop().unwrap();
    assert_eq!(asked.path, "/token?service=s&scope=repository%3Aapp%3Apull");
    let fetched = store.asked();
    assert!(fetched.iter().all(|asked| !asked.headers.contains_key("authorization")));
    assert_eq!(fetched.len(), 1);
    // A place for credentials without TLS, and not on this machine, gets none.
    let far = Liar::start(|_| {
        let headers = "WWW-Authenticate: Bearer realm=\"http://token.example/\"\r\n".to_owned();
        Answer { headers, ..Answer::status(401) }
    });
    configure(&home, &json!({ "auths": { &far.host: { "auth": AUTH } } }).to_string());
    let refused = load(&home, &["pull", &format!("{}/app", far.host)]).expect(125);
    let _ = refused.says(&["it wants credentials to go to", "code: registry.answer"]);
}

#[test]
fn a_registry_that_hangs_or_is_not_there_is_not_waited_for() {
    let home = Home::new();
    let liar = Liar::start(|_| Answer::default());
    let reference = format!("{}/app", liar.host);
    let mut pull = command(&home, &program());
    let ended = run(pull.args(["pull", "--max-time", "300ms", &reference]), b"").expect(1);
    let _ = ended.says(&["takes longer than the 300 ms", "code: registry.timeout"]);
    let ended = load(&home, &["--timeout", "300ms", &format!("oci://{reference}")]).expect(124);
    assert!(ended.text().is_empty());
    assert!(!home.path("store").exists());
    for (reference, says) in [
        ("127.0.0.1:1/app", "code: registry.connection"),
        ("registry.invalid/app", "code: registry.host"),
    ] {
        let ended = load(&home, &["pull", reference]).expect(125).says(&[says, "hint: "]);
        assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
    }
}

#[test]
fn without_bls_registry_beside_it_a_program_says_so() {
    let home = Home::new();
    for (program, words, code) in [
        (loader(), &["pull", "127.0.0.1:1/app"][..], 125),
        (compiler(), &["push", "127.0.0.1:1/app", "x.bls"], 1),
    ] {
        let alone = home.path("alone");
        fs::create_dir(&alone).unwrap();
        let copy = alone.join(program.file_name().unwrap());
        let _ = fs::copy(&program, &copy).unwrap();
        let mut command = command(&home, &copy);
        command.env("PATH", "/nonexistent").args(words);
        let _ = run(&mut command, b"")
            .expect(code)
            .says(&["bls-registry", "hint: put bls-registry beside"]);
        fs::remove_dir_all(alone).unwrap();
    }
}
