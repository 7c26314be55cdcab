//! What a trust file can say, and that it holds: each refusal by its words, each command.

use bls_artifact::artifact::{self, Contents};
use bls_artifact::digest::Sha256;
use bls_artifact::envelope::Envelope;
use bls_artifact::key::PrivateKey;
use bls_artifact::manifest::Statement;
use bls_tests::programs::{Ended, Home, loader, run};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A builder's folder with an artifact in it, and a trust file beside.
struct Scene {
    home: Home,
    artifact: PathBuf,
    file: PathBuf,
}

impl Scene {
    /// The trust file names the builder's key on these terms.
    fn new(terms: &[&str]) -> Self {
        let scene = Self::with_nobody(&[]);
        let key = scene.home.public_key();
        let mut words = vec!["add", key.to_str().unwrap()];
        words.extend(terms);
        let _ = scene.trust(&words).expect(0);
        scene
    }

    fn with_nobody(init: &[&str]) -> Self {
        let home = Home::new();
        let (artifact, file) = (home.fixture("wat/hello.wat"), home.path("trust.json"));
        let scene = Self { home, artifact, file };
        let mut words = vec!["init"];
        words.extend(init);
        let _ = scene.trust(&words).expect(0);
        scene
    }

    /// `bls-load trust WORDS --file FILE`.
    fn trust(&self, words: &[&str]) -> Ended {
        let mut command = Command::new(loader());
        run(command.arg("trust").args(words).arg("--file").arg(&self.file), b"")
    }

    fn show(&self) -> String {
        let mut command = Command::new(loader());
        run(command.args(["trust", "show"]).arg(&self.file), b"").expect(0).text()
    }

    fn load(&self, artifact: &Path) -> Ended {
        let mut command = Command::new(loader());
        run(command.arg("--trust").arg(&self.file).arg(artifact), b"")
    }

    /// The artifact runs.
    #[track_caller]
    fn runs(&self) {
        assert_eq!(self.load(&self.artifact).expect(0).text(), "hello\n");
    }

    /// The artifact is refused, in these words, and with a hint.
    #[track_caller]
    fn refused(&self, words: &[&str]) {
        let ended = self.load(&self.artifact).expect(125);
        assert!(ended.stdout.is_empty());
        let _ = ended.says(&["bls-load: verify: ", "\nhint: "]).says(words);
    }

    /// The artifact with the signature of one more key.
    fn signed_also(&self, seed: u8) -> PathBuf {
        let bytes = std::fs::read(&self.artifact).unwrap();
        let (contents, parts) = Contents::parse(&bytes).unwrap();
        let mut envelope = Envelope::parse(contents.envelope).unwrap();
        envelope.sign_also(&PrivateKey::from_seed(&[seed; 32])).unwrap();
        let path = self.home.path("signed-twice.bls");
        std::fs::write(&path, artifact::write(&envelope.to_bytes(), &parts)).unwrap();
        path
    }

    fn key_id(&self) -> String {
        PrivateKey::from_seed(&[7; 32]).public().id().to_string()
    }

    /// Changes the text of the trust file, as a person does.
    fn edit(&self, from: &str, to: &str) {
        let text = std::fs::read_to_string(&self.file).unwrap();
        assert!(text.contains(from), "{from} is not in {text}");
        std::fs::write(&self.file, text.replacen(from, to, 1)).unwrap();
    }
}

/// The public key of a seed, in a file.
fn public_key(home: &Home, seed: u8) -> String {
    let path = home.path(&format!("{seed}.pub"));
    std::fs::write(&path, PrivateKey::from_seed(&[seed; 32]).public().to_pem()).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_key_signs_the_names_that_it_may() {
    Scene::new(&["--prefix", "example.", "--prefix", "hel"]).runs();
    let scene = Scene::new(&["--prefix", "example."]);
    scene.refused(&[&scene.key_id(), "may not sign the name \"hello\"", "trust show"]);
    assert!(scene.show().contains("compiler, names example.*: test.pub"), "{}", scene.show());
}

#[test]
fn what_an_artifact_asks_for_is_bounded_by_its_key() {
    // hello.wat writes, which may be to either stream.
    Scene::new(&["--may", "stdout,stderr"]).runs();
    Scene::new(&["--may", "stdout,random", "--may", "stderr"]).runs();
    let scene = Scene::new(&["--may", "stdout"]);
    scene.refused(&["may not sign what asks for stderr", "build it without"]);
    let nothing = Scene::new(&["--may", ""]);
    nothing.refused(&["asks for stdout, stderr"]);
    assert!(nothing.show().contains("may ask for nothing"));

    // A need counts with its scope. This guest imports what reads and changes files.
    let scene = Scene::new(&["--may", "stdin,stdout,stderr,fs.write:/data"]);
    let needs = |what: &str| {
        let source = bls_tests::programs::fixtures().join("c/files.wasm");
        scene.load(&scene.home.compile(&source, &["--needs", what]))
    };
    let _ = needs("fs.read:/data/x").expect(125).says(&["bls-load: grant: "]);
    let _ = needs("fs.write:/other").expect(125).says(&["sign what asks for fs.write:/other\n"]);
    let reader = Scene::new(&["--may", "stdin,stdout,stderr,fs.read:/data"]);
    let refused = reader.load(&scene.home.path("files.bls")).expect(125);
    let _ = refused.says(&["sign what asks for fs.write, fs.write:/other\n"]);
}

#[test]
fn an_authors_key_is_no_compilers() {
    let scene = Scene::new(&["--role", "author"]);
    scene.refused(&["is an author's, and a compiler's must sign", "have a trusted builder"]);
    // Beside a compiler's it may stand, and `verify` names it.
    let _ = scene.trust(&["add", &public_key(&scene.home, 8)]).expect(0);
    let both = scene.signed_also(8);
    assert_eq!(scene.load(&both).expect(0).text(), "hello\n");
    let mut command = Command::new(loader());
    let text = run(command.arg("verify").arg("--trust").arg(&scene.file).arg(&both), b"");
    let text = text.expect(0).text();
    assert!(text.contains(&format!("author    {}", scene.key_id())), "{text}");
}

#[test]
fn keys_have_their_time() {
    Scene::new(&["--not-before", "2026-01-02", "--not-after", "2999-12-31"]).runs();
    let early = Scene::new(&["--not-before", "2999-01-31T12:00:00Z"]);
    early.refused(&["is not valid before 2999-01-31T12:00:00Z", "clock"]);
    let late = Scene::new(&["--not-after", "2026-01-02"]);
    late.refused(&["was valid until 2026-01-02T23:59:59Z", "made anew", "bls-compile --target"]);
}

#[test]
fn a_clock_that_cannot_be_right_decides_nothing() {
    // The file was written in a year that this machine's clock has not seen.
    let created = "\"version\": 2,\n  \"created\": 32503680000,";
    let scene = Scene::new(&["--not-after", "2999-12-31"]);
    scene.runs();
    scene.edit("\"version\": 2,", created);
    scene.refused(&["clock cannot be right", "set this machine's clock", "\"clock\": \"ignore\""]);
    scene.edit("\"version\": 2,", "\"version\": 2, \"clock\": \"ignore\",");
    scene.runs();
    assert!(scene.show().contains("times are not judged where the clock is wrong"));
    // Where nothing has a time, no clock is needed.
    let scene = Scene::new(&[]);
    scene.edit("\"version\": 2,", created);
    scene.runs();
}

#[test]
fn so_many_different_keys_must_sign() {
    let scene = Scene::with_nobody(&["--threshold", "2"]);
    let own = scene.home.public_key();
    for key in [own.to_str().unwrap().to_owned(), public_key(&scene.home, 8)] {
        let _ = scene.trust(&["add", &key]).expect(0);
    }
    let short = "2 keys must sign it, and the signatures of 1 count";
    scene.refused(&[short, "more builders"]);
    let stranger = scene.signed_also(9);
    let _ = scene.load(&stranger).expect(125).says(&[short]);
    let both = scene.signed_also(8);
    assert_eq!(scene.load(&both).expect(0).text(), "hello\n");

    // One signature twice is no second one.
    let bytes = std::fs::read(&scene.artifact).unwrap();
    let (contents, parts) = Contents::parse(&bytes).unwrap();
    let text = String::from_utf8(contents.envelope.to_vec()).unwrap();
    let begin = text.find("{\"keyid\"").unwrap();
    let claim = &text[begin..=begin + text[begin..].find('}').unwrap()];
    let doubled = text.replace(claim, &format!("{claim},{claim}"));
    let path = scene.home.path("doubled.bls");
    std::fs::write(&path, artifact::write(doubled.as_bytes(), &parts)).unwrap();
    let _ = scene.load(&path).expect(125).says(&["code: signature.key-twice"]);

    // A key that is revoked does not count, and is named.
    let second = PrivateKey::from_seed(&[8; 32]).public().id().to_string();
    let _ = scene.trust(&["revoke", &second]).expect(0);
    let _ = scene.load(&both).expect(125).says(&[short, &format!("key {second} is revoked")]);
}

#[test]
fn a_revoked_key_stays_revoked() {
    let scene = Scene::new(&[]);
    let id = scene.key_id();
    let said = scene.trust(&["revoke", &id]).expect(0).text();
    assert!(said.contains(&format!("now refuses key {id}")), "{said}");
    scene.refused(&[&format!("key {id} signed it, which is revoked"), "not revoked"]);
    assert!(scene.trust(&["revoke", &id]).expect(0).text().contains("already refused"));
    let key = scene.home.public_key();
    let again = scene.trust(&["add", key.to_str().unwrap()]).expect(125);
    let _ = again.says(&["is revoked there", "hint: "]);
    // Nor when its entry is taken out.
    let json: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&scene.file).unwrap()).unwrap();
    let mut without = json.clone();
    without["keys"] = serde_json::json!([]);
    std::fs::write(&scene.file, without.to_string()).unwrap();
    scene.refused(&["which is revoked"]);
    assert!(scene.show().contains(&format!("{id} revoked")));
}

#[test]
fn revoked_digests_are_refused() {
    let bytes = {
        let scene = Scene::new(&[]);
        std::fs::read(&scene.artifact).unwrap()
    };
    let (contents, _) = Contents::parse(&bytes).unwrap();
    let envelope = Envelope::parse(contents.envelope).unwrap();
    let manifest = Statement::parse(envelope.payload()).unwrap();
    for (what, digest) in [
        ("identity", envelope.identity()),
        ("source", manifest.source),
        ("compiled module", manifest.compiled),
        ("image", manifest.parts[0].image.sha256),
    ] {
        let scene = Scene::new(&[]);
        let other = format!("sha256:{}", Sha256::of(b"other"));
        let _ = scene.trust(&["revoke", &other]).expect(0);
        scene.runs();
        let _ = scene.trust(&["revoke", &format!("sha256:{digest}")]).expect(0);
        scene.refused(&[&format!("its {what} sha256:{digest} is revoked"), "newer release"]);
    }
}

#[test]
fn refused_versions_say_how_to_rebuild() {
    let scene = Scene::new(&[]);
    let _ = scene.trust(&["revoke", "--engine", ">=47.0.0, <48.0.8"]).expect(0);
    scene.runs();
    let _ = scene.trust(&["revoke", "--engine", "=48.0.8", "--compiler", "<0.0.1"]).expect(0);
    scene.refused(&[
        "wasmtime 48.0.8 generated its code, and =48.0.8 is refused",
        "hint: make it anew with a bls-compile that is not refused: bls-compile --target ",
        "-o hello.bls hello.wasm, whose sha256sum is ",
    ]);
    assert!(scene.show().contains("wasmtime >=47.0.0, <48.0.8 refused"));

    let scene = Scene::new(&[]);
    let _ = scene.trust(&["revoke", "--compiler", "<=99.0.0"]).expect(0);
    scene.refused(&["bls-compile 0.1.0 made it, and <=99.0.0 is refused", "make it anew"]);
}

#[test]
fn terms_are_not_lost_on_the_way() {
    let scene = Scene::new(&["--prefix", "example."]);
    let key = scene.home.public_key();
    let key = key.to_str().unwrap();
    // The plain form asks for nothing new, and must not widen what is there.
    let plain = scene.trust(&["add", key]).expect(0).text();
    for part in ["already trusted", "which stay", "example."] {
        assert!(plain.contains(part), "{part:?} is not in {plain}");
    }
    scene.refused(&["may not sign"]);
    let same = scene.trust(&["add", key, "--prefix", "example."]).expect(0);
    assert!(same.text().contains("already trusted"));
    let other = scene.trust(&["add", key, "--role", "author"]).expect(125);
    let _ = other.says(&["on other terms", "hint: "]);
    let wrong = scene.trust(&["add", &public_key(&scene.home, 8), "--prefix", "../x"]).expect(125);
    let _ = wrong.says(&["no artifact's name begins with"]);
    let json = {
        let mut command = Command::new(loader());
        run(command.args(["trust", "show", "--json"]).arg(&scene.file), b"").expect(0).text()
    };
    assert_eq!(json, std::fs::read_to_string(&scene.file).unwrap());
    let again = scene.trust(&["init"]).expect(125);
    let _ = again.says(&["exists", "trust add"]);
    let commented = public_key(&scene.home, 9);
    let _ = scene.trust(&["add", &commented, "--comment", "nine\u{1b}[2J"]).expect(0);
    assert!(scene.show().contains("nine?[2J"), "{}", scene.show());
}

#[test]
fn forms_of_old_are_read() {
    let scene = Scene::new(&[]);
    scene.edit("\"version\": 2", "\"version\": 1");
    scene.runs();
    let _ = scene.trust(&["add", &public_key(&scene.home, 8)]).expect(0);
    assert!(std::fs::read_to_string(&scene.file).unwrap().contains("\"version\": 2"));
    scene.runs();
}

#[test]
fn changes_at_once_are_all_made() {
    let scene = Scene::with_nobody(&[]);
    let added: Vec<_> = (20..32)
        .map(|seed| {
            let mut command = Command::new(loader());
            command
                .args(["trust", "add", &public_key(&scene.home, seed), "--role", "author"])
                .arg("--file")
                .arg(&scene.file)
                .stdout(std::process::Stdio::null());
            command.spawn().unwrap()
        })
        .collect();
    for mut child in added {
        assert!(child.wait().unwrap().success());
    }
    let shown = scene.show();
    for seed in 20..32 {
        assert!(shown.contains(&format!("{seed}.pub")), "{shown}");
    }
}

#[test]
fn a_key_whose_time_is_over_or_to_come_is_said_to_count_for_nothing() {
    let scene = Scene::with_nobody(&[]);
    let key = scene.home.public_key();
    let key = key.to_str().unwrap();
    let over = scene.trust(&["add", key, "--not-after", "2026-01-02"]).expect(0);
    let _ = over.says(&["counts for nothing now: its time was over on 2026-01-02T23:59:59Z"]);
    // A key that is there is said to be no better.
    let again = scene.trust(&["add", key]).expect(0);
    let _ = again.says(&["counts for nothing now"]);
    let _ = scene.trust(&["remove", key]).expect(0);
    let early = scene.trust(&["add", key, "--not-before", "2999-01-01"]).expect(0);
    let _ = early.says(&["counts for nothing now: its time begins on 2999-01-01T00:00:00Z"]);
    let _ = scene.trust(&["remove", key]).expect(0);
    let good = scene.trust(&["add", key, "--not-after", "2999-01-01"]).expect(0);
    assert_eq!(good.stderr, "");
    scene.runs();
}

#[test]
fn a_comment_replaces_the_one_that_a_key_has() {
    let scene = Scene::new(&["--prefix", "hello", "--comment", "old\u{1b}"]);
    let key = scene.home.public_key();
    let key = key.to_str().unwrap();
    let said = scene.trust(&["add", key, "--comment", "new"]).expect(0).text();
    assert!(said.contains("which stay: compiler, names hello*"), "{said}");
    assert!(said.contains("its comment was \"old?\", and is now \"new\"\n"), "{said}");
    let shown = scene.show();
    assert!(shown.contains(": new\n") && !shown.contains("old"), "{shown}");
    assert!(shown.contains("names hello*"), "{shown}");
    // Without a word, or with the same, nothing changes.
    let before = std::fs::read(&scene.file).unwrap();
    for words in [&["add", key][..], &["add", key, "--comment", "new"]] {
        let said = scene.trust(words).expect(0).text();
        assert!(!said.contains("comment"), "{said}");
    }
    assert_eq!(std::fs::read(&scene.file).unwrap(), before);
}
