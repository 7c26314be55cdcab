//! What an artifact says of itself, and second builders who say it too: names, dates and
//! documents in the manifest; `sign --rebuild` and `verify --rebuild`; tools that are not
//! ours.

use bls_artifact::artifact::{self, Contents};
use bls_artifact::digest::Sha256;
use bls_artifact::envelope::{Envelope, PayloadType, pre_authentication_encoding};
use bls_artifact::key::PrivateKey;
use bls_artifact::manifest::{Manifest, Statement};
use bls_artifact::name::COMMANDS;
use bls_tests::programs::{Ended, Home, compiler, fixtures, loader, run};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The seed of the first builder's key; `Home::new()` has it.
const FIRST: u8 = 7;
const SECOND: u8 = 8;

fn hello() -> PathBuf {
    fixtures().join("wat/hello.wat")
}

/// `bls-compile VERB ARTIFACT --rebuild SOURCE`, with the key of this home.
fn sign(home: &Home, artifact: &Path, source: &Path, options: &[&str]) -> Ended {
    let mut command = Command::new(compiler());
    command.current_dir(home.path("")).arg("sign").arg(artifact).arg("--rebuild").arg(source);
    run(command.arg("--key").arg(home.key()).args(options), b"")
}

fn verify(artifact: &Path, source: &Path, options: &[&str]) -> Ended {
    let mut command = Command::new(compiler());
    command.arg("verify").arg(artifact).arg("--rebuild").arg(source).args(options);
    run(&mut command, b"")
}

fn json(ended: &Ended) -> Value {
    serde_json::from_slice(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {ended:?}"))
}

fn inspect(artifact: &Path) -> (String, Value) {
    let inspect = |words: &[&str]| run(Command::new(compiler()).args(words).arg(artifact), b"");
    (inspect(&["inspect"]).expect(0).text(), json(&inspect(&["inspect", "--json"]).expect(0)))
}

/// The same artifact with something changed, and signed again by the first builder: what
/// a dishonest or broken compiler could have made.
fn forge(good: &[u8], change: impl FnOnce(&mut Manifest, &mut Vec<Vec<u8>>)) -> Vec<u8> {
    let (contents, parts) = Contents::parse(good).unwrap();
    let payload = Envelope::parse(contents.envelope).unwrap().payload().to_vec();
    let mut manifest = Statement::parse(&payload).unwrap();
    let mut parts: Vec<Vec<u8>> = parts.iter().map(|part| part.to_vec()).collect();
    change(&mut manifest, &mut parts);
    let key = PrivateKey::from_seed(&[FIRST; 32]);
    let envelope = Envelope::sign(Statement::new(manifest).to_bytes(), &[&key]);
    let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
    artifact::write(&envelope.to_bytes(), &parts)
}

/// One bit of the native code, with every digest made right again.
fn flip_code(manifest: &mut Manifest, parts: &mut [Vec<u8>]) {
    let middle = parts[0].len() / 2;
    parts[0][middle] ^= 1;
    let (part, bytes) = (&mut manifest.parts[0], &parts[0]);
    part.stored.sha256 = Sha256::of(bytes);
    let image = bls_tests::parts::image(part, bytes);
    part.image.sha256 = Sha256::of(&image);
    part.image.verity = bls_artifact::digest::verity(&image);
}

#[test]
fn a_release_has_name_sequence_and_date() {
    let home = Home::new();
    let options = ["--name", "greeter", "--sequence", "12", "--expires", "2999-12-31T23:59:59Z"];
    let artifact = home.compile(&hello(), &options);
    let (table, shown) = inspect(&artifact);
    assert_eq!(shown["manifest"]["name"], "greeter");
    assert_eq!(shown["manifest"]["sequence"], 12);
    assert_eq!(shown["manifest"]["expires"], 32_503_679_999_u64);
    assert_eq!(shown["manifest"]["created"], Value::Null, "no time that nobody asked for");
    for word in ["greeter", "2999-12-31T23:59:59Z", "sequence   12"] {
        assert!(table.contains(word), "{word} is not in:\n{table}");
    }
    assert_eq!(home.load(&[], &artifact, &[]).expect(0).text(), "hello\n");
    let verified = home.load(&["verify"], &artifact, &[]).expect(0).text();
    for line in ["release   12\n", "expires   2999-12-31T23:59:59Z\n"] {
        assert!(verified.contains(line), "{line:?} is not in:\n{verified}");
    }
    for same in ["32503679999", "2999-12-31T23:59:59Z"] {
        let again = Home::new();
        let again = again.compile(&hello(), &[&options[..5], &[same]].concat());
        assert!(std::fs::read(again).unwrap() == std::fs::read(&artifact).unwrap(), "{same}");
    }
}

#[test]
fn dates_that_make_no_sense_are_refused() {
    let home = Home::new();
    for (code, date, words) in [
        (2, "tomorrow", &["2027-01-31", "seconds since 1970"][..]),
        (2, "2027-02-30", &["no time in UTC"]),
        (2, "2027-01-31T12:00:00+02:00", &["no time in UTC"]),
        (1, "2020-01-01", &["expired already, on 2020-01-01T00:00:00Z", "hint: "]),
        (1, "2027", &["expired already, on 1970-", "hint: "]),
        (1, "9007199254740992", &["above 2^53-1"]),
    ] {
        let ended = run(home.compile_command(&hello()).args(["--expires", date]), b"");
        let _ = ended.expect(code).says(words);
    }
    let mut command = home.compile_command(&hello());
    command.env("SOURCE_DATE_EPOCH", "32503680000").args(["--expires", "2999-12-31"]);
    let _ = run(&mut command, b"").expect(1).says(&["expire before it was created"]);
    let ended = run(home.compile_command(&hello()).args(["--sequence", "9007199254740992"]), b"");
    let _ = ended.expect(2).says(&["not in 0..=9007199254740991"]);
    assert!(!home.path("hello.bls").exists());
}

#[test]
fn a_name_is_one_plain_word_and_no_command() {
    let home = Home::new();
    let long = "x".repeat(129);
    let digest = "0".repeat(64);
    for name in ["../x", "a/b", "..", ".x", "-x", "a b", "a\nb", "sha256:00", "", &long, &digest] {
        let ended = run(home.compile_command(&hello()).arg(format!("--name={name}")), b"");
        let _ = ended.expect(1).says(&["bls-compile: name: ", "hint: "]);
    }
    for command in COMMANDS {
        let ended = run(home.compile_command(&hello()).args(["--name", command]), b"");
        let _ = ended.expect(1).says(&["one of bls-load's commands", "hint: ", "--name"]);
    }
    // The loader has no subcommand whose name could be an artifact's.
    let help = run(Command::new(loader()).arg("--help"), b"").expect(0).text();
    for word in ["verify", "trust"] {
        assert!(help.contains(&format!("\n  {word} ")) && COMMANDS.contains(&word));
    }

    // A file's name that is a command: said at once, with the way out.
    let source = home.path("verify.wat");
    std::fs::copy(hello(), &source).unwrap();
    let ended = run(&mut home.compile_command(&source), b"").expect(1);
    let _ = ended.says(&["\"verify\", from the file's name", "--name verify-app"]);
    assert!(!home.path("verify.bls").exists());
    let _ =
        run(Command::new(compiler()).arg("check").arg(&source), b"").expect(1).says(&["--name"]);
    let _ = run(home.compile_command(&source).args(["--emit", "wasm"]), b"").expect(0);
    let artifact = home.compile(&source, &["--name", "verifier"]);
    assert_eq!(home.load(&[], &artifact, &[]).expect(0).text(), "hello\n");

    // And no artifact from elsewhere carries such a name.
    let good = std::fs::read(artifact).unwrap();
    for name in ["install", "../escape", "sha256:00"] {
        let bad = home.path("bad.bls");
        std::fs::write(&bad, forge(&good, |manifest, _| manifest.name = name.into())).unwrap();
        let ended = home.load(&[], &bad, &[]).expect(125);
        assert!(ended.stdout.is_empty());
        let _ = ended.says(&["bls-load: verify: ", "a name "]);
    }
}

#[test]
fn two_builders_sign_in_either_order_and_either_is_enough() {
    let (first, second) = (Home::with_seed(FIRST), Home::with_seed(SECOND));
    let documents = Home::new();
    let sbom = documents.path("hello.spdx.json");
    std::fs::write(&sbom, "{}").unwrap();
    let release = ["--name", "greeter", "--sequence", "3", "--expires", "2999-01-01", "--sbom"];
    let release = [&release[..], &[sbom.to_str().unwrap()]].concat();
    for (guest, options) in [
        ("wat/hello.wat", &[][..]),
        ("wat/hello.wat", &release),
        ("wat/hello.wat", &["--target", "pulley64,x86_64-unknown-linux-gnu", "--compress=5"]),
        ("c/hello.wasm", &["--no-fuel", "--fast-nans", "--max-memory", "16MiB"]),
        ("c/hello.wasm", &["--memory", "checked"]),
        ("wat/args_env.wat", &["--needs", "env:TOKEN,arguments"]),
    ] {
        let guest = fixtures().join(guest);
        let (a, b) = (first.compile(&guest, options), second.compile(&guest, options));
        let before = inspect(&a).1;
        let signed = json(&sign(&second, &a, &guest, &["--json"]).expect(0));
        assert_eq!((&signed["added"], &signed["identity"]), (&true.into(), &before["identity"]));
        assert_eq!(signed["key_ids"].as_array().unwrap().len(), 2);
        let _ = sign(&first, &b, &guest, &[]).expect(0).says(&["rebuilt to the byte", "2 sig"]);
        let (a_bytes, b_bytes) = (std::fs::read(&a).unwrap(), std::fs::read(&b).unwrap());
        assert!(a_bytes == b_bytes, "{options:?}");
        assert_eq!(inspect(&a).1["manifest"], before["manifest"], "all of it is kept");
        for trusting in [&first, &second] {
            let ended = trusting.load(&["--env", "TOKEN=1"], &a, &[]).expect(0);
            assert!(!ended.stdout.is_empty());
        }
        let _ = Home::with_seed(9).load(&[], &a, &[]).expect(125).says(&["2 keys", "trusts"]);
    }
}

#[test]
fn signing_again_changes_nothing() {
    let (first, second) = (Home::with_seed(FIRST), Home::with_seed(SECOND));
    let artifact = first.fixture("wat/hello.wat");
    let before = std::fs::read(&artifact).unwrap();
    let _ = sign(&first, &artifact, &hello(), &[]).expect(0).says(&["already", "nothing to add"]);
    assert!(std::fs::read(&artifact).unwrap() == before);

    // To another file, the first one stays; where nothing is added, it is a copy.
    let out = second.path("signed.bls");
    let _ = sign(&second, &artifact, &hello(), &["-o", "signed.bls"]).expect(0);
    assert!(std::fs::read(&artifact).unwrap() == before);
    let again = sign(&second, &out, &hello(), &["-o", "again.bls", "--json"]).expect(0);
    assert_eq!(json(&again)["added"], false);
    assert!(std::fs::read(second.path("again.bls")).unwrap() == std::fs::read(&out).unwrap());
    let piped = sign(&second, &artifact, &hello(), &["-q", "-o", "-"]).expect(0);
    assert!(piped.stdout == std::fs::read(&out).unwrap() && piped.stderr.is_empty());
    let source = std::fs::read(hello()).unwrap();
    let mut command = Command::new(compiler());
    command.arg("verify").arg(&out).args(["--rebuild", "-"]);
    let _ = run(&mut command, &source).expect(0);
}

#[test]
fn nothing_is_signed_that_was_not_rebuilt() {
    let (first, second) = (Home::with_seed(FIRST), Home::with_seed(SECOND));
    let artifact = first.fixture("wat/hello.wat");
    let good = std::fs::read(&artifact).unwrap();
    let other_source = fixtures().join("wat/exit-42.wat");
    let ended = sign(&second, &artifact, &other_source, &[]).expect(1);
    let _ = ended.says(&["bls-compile: sign: ", "made from a source with SHA-256", "hint: "]);

    let bad = second.path("bad.bls");
    type Change = fn(&mut Manifest, &mut Vec<Vec<u8>>);
    let changes: &[(Change, &[&str], bool)] = &[
        (|manifest, _| manifest.compiler.version = "0.0.9".into(), &["bls-compile 0.0.9"], false),
        (|manifest, _| manifest.compiler.engine = "48.0.1".into(), &["wasmtime 48.0.1"], false),
        (
            |manifest, _| manifest.compiled = Sha256::of(b"another"),
            &["gives another artifact", "the manifest's compiled"],
            true,
        ),
        (
            |manifest, _| manifest.fuel.as_mut().unwrap().overrun_max += 1,
            &["the manifest's fuel.overrun_max"],
            true,
        ),
        (
            |manifest, _| drop(manifest.extensions.insert("x".into(), "y".into())),
            &["the manifest's extensions.x"],
            true,
        ),
        (|manifest, _| manifest.may_use.clear(), &["the manifest's may_use"], true),
        (
            |manifest, parts| flip_code(manifest, parts),
            &["parts[0].image.sha256 and", "part 0 for x86_64", "from byte 0x"],
            true,
        ),
    ];
    for (change, words, compiled) in changes {
        std::fs::write(&bad, forge(&good, change)).unwrap();
        let before = std::fs::read(&bad).unwrap();
        // It looks right to whoever trusts its builder: only rebuilding shows it.
        let _ = run(Command::new(compiler()).arg("inspect").arg(&bad), b"").expect(0);
        let ended = sign(&second, &bad, &hello(), &[]).expect(1);
        let _ = ended.says(&["bls-compile: sign: ", "hint: "]).says(words);
        assert!(std::fs::read(&bad).unwrap() == before, "{words:?}");

        let ended = verify(&bad, &hello(), &["--json"]).expect(1);
        let result = json(&ended);
        assert_eq!(result["identical"], false);
        assert_eq!(result["parts"].is_array(), *compiled, "{result}");
        let _ = ended.says(&["bls-compile: verify: ", "hint: "]).says(words);
    }
    let table = verify(&bad, &hello(), &[]).expect(1).text();
    let middle =
        format!("differs from byte {:#x} on", Contents::parse(&good).unwrap().1[0].len() / 2);
    assert!(table.contains("parts[0].image.verity") && table.contains(&middle), "{table}");
    assert!(!second.path(".config").exists());
}

#[test]
fn signatures_have_a_cap_and_are_not_replaced() {
    let (first, second) = (Home::with_seed(FIRST), Home::with_seed(SECOND));
    let artifact = first.fixture("wat/hello.wat");
    let good = std::fs::read(&artifact).unwrap();
    let (contents, parts) = Contents::parse(&good).unwrap();
    let envelope = Envelope::parse(contents.envelope).unwrap();

    let keys: Vec<PrivateKey> = (100..116).map(|seed| PrivateKey::from_seed(&[seed; 32])).collect();
    let full = Envelope::sign(envelope.payload().to_vec(), &keys.iter().collect::<Vec<_>>());
    std::fs::write(&artifact, artifact::write(&full.to_bytes(), &parts)).unwrap();
    let _ = sign(&second, &artifact, &hello(), &[]).expect(1).says(&["16 signatures", "hint: "]);

    // A signature in our name that is another's.
    let id = PrivateKey::from_seed(&[SECOND; 32]).public().id().to_string();
    let text = String::from_utf8(envelope.to_bytes()).unwrap();
    let theirs = envelope.claims()[0].key_id.to_string();
    let forged = text.replace(&theirs, &id);
    std::fs::write(&artifact, artifact::write(forged.as_bytes(), &parts)).unwrap();
    let _ = sign(&second, &artifact, &hello(), &[]).expect(1).says(&[&id, "is not good", "hint: "]);
}

#[test]
fn verify_says_what_is_identical() {
    let home = Home::new();
    let fat = ["--target", "x86_64-unknown-linux-gnu,pulley64", "--compress=3"];
    let artifact = home.compile(&hello(), &fat);
    let table = verify(&artifact, &hello(), &[]).expect(0).text();
    for line in ["source ", "manifest   identical", "part       x86_64:v2 identical"] {
        assert!(table.contains(line), "{line} is not in:\n{table}");
    }
    let result = json(&verify(&artifact, &hello(), &["--json"]).expect(0));
    assert_eq!(result["identical"], true);
    assert_eq!(result["manifest"]["identical"], true);
    assert_eq!(result["parts"][1]["target"], "pulley64");

    // Stripped of a part, it is as good, and a signature brings nothing back.
    let bytes = std::fs::read(&artifact).unwrap();
    let (contents, parts) = Contents::parse(&bytes).unwrap();
    std::fs::write(&artifact, artifact::write(contents.envelope, &parts[..1])).unwrap();
    let result = json(&verify(&artifact, &hello(), &["--json"]).expect(0));
    assert_eq!(result["parts"][1]["result"], "stripped");
    let second = Home::with_seed(SECOND);
    let _ = sign(&second, &artifact, &hello(), &[]).expect(0);
    assert_eq!(Contents::parse(&std::fs::read(&artifact).unwrap()).unwrap().1.len(), 1);
    assert_eq!(second.load(&[], &artifact, &[]).expect(0).text(), "hello\n");

    for (words, code, said) in [
        (&["verify", "a.bls"][..], 2, "--rebuild"),
        (&["sign", "a.bls"], 2, "--rebuild"),
        (&["verify", "/nowhere.bls", "--rebuild", "x.wasm"], 1, "/nowhere.bls"),
        (&["sign", "/nowhere.bls", "--rebuild", "x.wasm"], 1, "/nowhere.bls"),
    ] {
        let _ = run(Command::new(compiler()).args(words), b"").expect(code).says(&[said, "hint: "]);
    }
    let _ = verify(&hello(), &hello(), &[]).expect(1).says(&["not an artifact", "hint: "]);
    let _ = verify(&artifact, Path::new("/nowhere.wasm"), &[]).expect(1).says(&["/nowhere.wasm"]);
    for verb in ["sign", "verify"] {
        let help = run(Command::new(compiler()).args([verb, "--help"]), b"").expect(0).text();
        assert!(help.contains("Usage: bls-compile") && help.contains("Examples:"), "{help}");
    }
}

#[test]
fn documents_are_named_by_digest() {
    let home = Home::new();
    let write = |name: &str, text: &str| {
        std::fs::write(home.path(name), text).unwrap();
        home.path(name).to_str().unwrap().to_owned()
    };
    let sbom = write("hello.spdx.json", "{\"spdxVersion\": \"SPDX-2.3\"}");
    let built = write("hello.intoto.jsonl", "{}\n");
    let plain = std::fs::read(home.compile(&hello(), &[])).unwrap();
    let options = ["--sbom", &sbom, "--provenance", &built];
    let artifact = home.compile(&hello(), &options);
    assert!(std::fs::read(&artifact).unwrap() != plain);
    let (table, shown) = inspect(&artifact);
    let documents = shown["manifest"]["documents"].as_array().unwrap();
    for (document, kind, path) in
        [(&documents[0], "provenance", &built), (&documents[1], "sbom", &sbom)]
    {
        let digest = Sha256::of(&std::fs::read(path).unwrap()).to_string();
        let name = Path::new(path).file_name().unwrap().to_str().unwrap();
        assert_eq!((&document["kind"], &document["name"]), (&kind.into(), &name.into()));
        assert_eq!(document["sha256"], digest.as_str());
        assert!(table.contains(&format!("{kind:<10} {digest} {name}")), "{table}");
    }
    // The loader shows them too, where there are any.
    let verified = home.load(&["verify"], &artifact, &[]).expect(0).text();
    assert!(!verified.contains("release ") && !verified.contains("expires "), "{verified}");
    let shown = |kind: &str, file: &str| {
        let digest = Sha256::of(&std::fs::read(file).unwrap());
        let name = Path::new(file).file_name().unwrap().to_str().unwrap().to_owned();
        let line = format!("{kind:<9} sha256:{digest}, {name}\n");
        assert!(verified.contains(&line), "{line:?} is not in {verified}");
    };
    shown("provenance", &built);
    shown("sbom", &sbom);
    // They need not be there to rebuild it, and a second signature keeps them.
    std::fs::remove_file(&sbom).unwrap();
    let _ = verify(&artifact, &hello(), &[]).expect(0);
    let _ = sign(&Home::with_seed(SECOND), &artifact, &hello(), &[]).expect(0);
    assert_eq!(inspect(&artifact).1["manifest"]["documents"].as_array(), Some(documents));
    assert_eq!(home.load(&[], &artifact, &[]).expect(0).text(), "hello\n");

    for (options, words) in [
        (&["--sbom", &sbom][..], &["cannot read", "hint: "][..]),
        (&["--sbom", "/"], &["cannot stand in a manifest", "hint: "]),
        (&["--sbom", "/dev/null"], &["not a regular file", "hint: "]),
        (&["--provenance", &built, "--provenance", &built], &["twice", "hint: "]),
    ] {
        let ended = run(home.compile_command(&hello()).args(options), b"").expect(1);
        let _ = ended.says(&["bls-compile: documents: "]).says(words);
    }
}

/// An artifact with two signatures, and where the two public keys are.
fn twice_signed() -> (Home, Home, PathBuf) {
    let (first, second) = (Home::with_seed(FIRST), Home::with_seed(SECOND));
    let artifact = first.fixture("wat/hello.wat");
    let _ = sign(&second, &artifact, &hello(), &[]).expect(0);
    (first, second, artifact)
}

#[test]
fn openssl_alone_can_check_each_signature() {
    if Command::new("openssl").arg("version").output().is_err() {
        println!("openssl is not installed");
        return;
    }
    let (first, second, artifact) = twice_signed();
    let bytes = std::fs::read(artifact).unwrap();
    let (contents, _) = Contents::parse(&bytes).unwrap();
    let json: Value = serde_json::from_slice(contents.envelope).unwrap();
    let payload = Envelope::parse(contents.envelope).unwrap().payload().to_vec();
    let message = first.path("message");
    std::fs::write(&message, pre_authentication_encoding(PayloadType::Statement, &payload))
        .unwrap();
    for home in [&first, &second] {
        let mut command = Command::new("openssl");
        command.args(["pkey", "-pubin", "-outform", "DER", "-in"]).arg(home.public_key());
        let id = Sha256::of(&run(&mut command, b"").expect(0).stdout).to_string();
        let signatures = json["signatures"].as_array().unwrap();
        let ours = signatures.iter().find(|one| one["keyid"] == id.as_str()).unwrap();
        let mut command = Command::new("openssl");
        let text = ours["sig"].as_str().unwrap().as_bytes();
        let decoded = run(command.args(["base64", "-d", "-A"]), text).expect(0).stdout;
        let signature = home.path("signature");
        std::fs::write(&signature, decoded).unwrap();
        let mut command = Command::new("openssl");
        command.args(["pkeyutl", "-verify", "-rawin", "-pubin", "-inkey"]).arg(home.public_key());
        command.arg("-in").arg(&message).arg("-sigfile").arg(&signature);
        let _ = run(&mut command, b"").expect(0);
    }
}

#[test]
fn a_stock_library_checks_the_envelope_by_the_format_alone() {
    let import = Command::new("python3").args(["-c", "import cryptography"]).output();
    if !import.is_ok_and(|output| output.status.success()) {
        println!("python3 with cryptography is not installed");
        return;
    }
    let (first, second, artifact) = twice_signed();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("verify-dsse.py");
    let check = |artifact: &Path, keys: &[PathBuf]| {
        run(Command::new("python3").arg(&script).arg(artifact).args(keys), b"")
    };
    let keys = [first.public_key(), second.public_key()];
    let said = check(&artifact, &keys).expect(0).text();
    let shown = inspect(&artifact).1;
    assert!(said.contains(shown["identity"].as_str().unwrap()), "{said}");
    for id in shown["key_ids"].as_array().unwrap() {
        assert!(said.contains(&format!("signed by {}", id.as_str().unwrap())), "{said}");
    }
    assert!(said.contains("subject hello@x86_64-unknown-linux-gnu"), "{said}");

    // Without a key nothing is verified, and nothing is said to be.
    let nobody = check(&artifact, &[]).expect(2).says(&["usage: verify-dsse.py"]);
    assert_eq!(nobody.text(), "");

    // Who did not sign is not found, and what was changed is not good.
    let _ = check(&artifact, &[Home::with_seed(9).public_key()]).expect(1).says(&["did not sign"]);
    let mut bytes = std::fs::read(&artifact).unwrap();
    let (envelope, parts) = {
        let (contents, parts) = Contents::parse(&bytes).unwrap();
        let text = String::from_utf8(contents.envelope.to_vec()).unwrap();
        let at = text.find("\"sig\":\"").unwrap() + 7;
        let other = if &text[at..=at] == "A" { "B" } else { "A" };
        let changed = format!("{}{other}{}", &text[..at], &text[at + 1..]);
        (changed, parts.iter().map(|part| part.to_vec()).collect::<Vec<_>>())
    };
    let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
    bytes = artifact::write(envelope.as_bytes(), &parts);
    std::fs::write(&artifact, bytes).unwrap();
    let _ = check(&artifact, &keys).expect(1).says(&["its signature is not good"]);
}
