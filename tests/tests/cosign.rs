//! `bls-compile push --cosign`: what lies in a registry beside what was pushed is what cosign looks
//! for, is a good signature by openssl's judgement, and was made without the key's having been where
//! the network is.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bls_artifact::digest::Sha256;
use bls_tests::programs::{Ended, Home, compiler, fixtures, loader, run};
use bls_tests::registries::{Answer, Liar, Registry, command, program};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

const SIGNED_TEXT: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
const SIGNATURE: &str = "dev.cosignproject.cosign/signature";

fn text(path: &Path) -> &str {
    path.to_str().expect("a path")
}

fn push(home: &Home, words: &[&str]) -> Ended {
    run(command(home, &compiler()).arg("push").args(words), b"")
}

/// The same, signed with the key of a folder.
fn push_signed(home: &Home, words: &[&str]) -> Ended {
    let key = home.key();
    push(home, &[&["--cosign", "--key", text(&key)], words].concat())
}

/// The digest in the reference that a push prints.
fn pushed(ended: &Ended) -> String {
    ended.text().trim_end().split_once("@sha256:").expect("a digest").1.to_owned()
}

/// The manifest of what was signed for a digest.
fn signatures(registry: &Registry, name: &str, digest: &str) -> Value {
    registry.json(&format!("{name}/manifests/sha256-{digest}.sig"))
}

/// Whether openssl finds a layer's signature good; `None`, and a line, where there is no openssl.
fn openssl_accepts(home: &Home, signed: &[u8], layer: &Value, key: &Path) -> Option<bool> {
    let signature = layer["annotations"][SIGNATURE].as_str().expect("a signature");
    fs::write(home.path("signature"), BASE64.decode(signature).expect("base64")).unwrap();
    fs::write(home.path("signed"), signed).unwrap();
    let mut verify = Command::new("openssl");
    verify.args(["pkeyutl", "-verify", "-pubin", "-rawin", "-inkey"]).arg(key);
    verify.arg("-in").arg(home.path("signed")).arg("-sigfile").arg(home.path("signature"));
    let Ok(output) = verify.output() else {
        println!("openssl is not installed: left out");
        return None;
    };
    Some(output.status.success())
}

/// Whether cosign takes what a reference names for signed by a key; `None`, and a line, where there
/// is no cosign.
fn cosign_accepts(home: &Home, reference: &str, key: &Path) -> Option<bool> {
    let mut verify = command(home, Path::new("cosign"));
    verify.env("HOME", home.path("")).args(["verify", "--insecure-ignore-tlog=true"]);
    verify.args(["--allow-http-registry", "--key"]).arg(key).arg(reference);
    let Ok(output) = verify.output() else {
        println!("cosign is not installed: left out");
        return None;
    };
    println!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Some(output.status.success())
}

#[test]
fn the_signature_is_where_cosign_looks_and_good() {
    let Some(registry) = Registry::start(false) else { return };
    let home = Home::new();
    let module = fixtures().join("wat/hello.wat");
    let artifact = home.compile(&module, &[]);
    let reference = registry.reference("ann/app:1");
    let ended = push_signed(&home, &[&reference, text(&artifact)]).expect(0);
    assert!(ended.stderr.contains("hello for amd64, signed for cosign"), "{}", ended.stderr);
    let digest = pushed(&ended);

    let manifest = signatures(&registry, "ann/app", &digest);
    assert_eq!(manifest["mediaType"], "application/vnd.oci.image.manifest.v1+json");
    assert_eq!(manifest["config"]["mediaType"], "application/vnd.oci.image.config.v1+json");
    assert_eq!(manifest["layers"].as_array().unwrap().len(), 1);
    let layer = &manifest["layers"][0];
    assert_eq!(layer["mediaType"], SIGNED_TEXT);
    let blob = |of: &Value| {
        let digest = of["digest"].as_str().expect("a digest");
        registry.bytes(&format!("ann/app/blobs/{digest}"))
    };
    let signed = blob(layer);
    let expected = json!({
        "critical": {
            "identity": { "docker-reference": registry.reference("ann/app") },
            "image": { "docker-manifest-digest": format!("sha256:{digest}") },
            "type": "cosign container image signature",
        },
        "optional": null,
    });
    assert_eq!(serde_json::from_slice::<Value>(&signed).unwrap(), expected);
    let config: Value = serde_json::from_slice(&blob(&manifest["config"])).unwrap();
    assert_eq!(config["rootfs"]["diff_ids"], json!([layer["digest"]]));
    let own = openssl_accepts(&home, &signed, layer, &home.public_key());
    assert_ne!(own, Some(false));
    let other = Home::with_seed(9);
    assert_ne!(openssl_accepts(&home, &signed, layer, &other.public_key()), Some(true));
    assert_ne!(openssl_accepts(&home, b"else", layer, &home.public_key()), Some(true));
    assert_ne!(cosign_accepts(&home, &reference, &home.public_key()), Some(false));
    assert_ne!(cosign_accepts(&home, &reference, &other.public_key()), Some(true));

    // The same again is the same, to the byte; and what is pulled is what it was.
    let again = push_signed(&home, &[&reference, text(&artifact), "--json"]).expect(0);
    let again: Value = serde_json::from_slice(&again.stdout).unwrap();
    let place = registry.reference(&format!("ann/app:sha256-{digest}.sig"));
    assert_eq!(again["signature"], json!(place));
    assert_eq!(signatures(&registry, "ann/app", &digest), manifest);
    let mut load = command(&home, &loader());
    load.arg("--trust").arg(home.public_key()).arg("--store").arg(home.path("store"));
    let ran = run(load.arg(format!("oci://{reference}")), b"").expect(0);
    assert_eq!(ran.text(), "hello\n");

    // A second builder's signature stands beside the first.
    let _ = push_signed(&other, &[&reference, text(&artifact)]).expect(0);
    let both = signatures(&registry, "ann/app", &digest);
    assert_eq!(both["layers"].as_array().unwrap().len(), 2);
    assert_eq!(both["layers"][0], *layer);
    let second = &both["layers"][1];
    assert_ne!(openssl_accepts(&home, &signed, second, &other.public_key()), Some(false));
    for builder in [&home, &other] {
        assert_ne!(cosign_accepts(&home, &reference, &builder.public_key()), Some(false));
    }
    let config: Value = serde_json::from_slice(&blob(&both["config"])).unwrap();
    assert_eq!(config["rootfs"]["diff_ids"].as_array().unwrap().len(), 2);
    let _ = push_signed(&home, &[&reference, text(&artifact)]).expect(0);
    assert_eq!(signatures(&registry, "ann/app", &digest), both);
}

#[test]
fn of_several_architectures_the_index_is_signed_and_of_an_image_too() {
    let Some(registry) = Registry::start(false) else { return };
    let home = Home::new();
    let module = fixtures().join("wat/hello.wat");
    let artifact = home.compile(&module, &["--target", "x86_64,aarch64"]);
    let reference = registry.reference("app");
    let words = [&reference, text(&artifact), "--source", text(&module)];
    let digest = pushed(&push_signed(&home, &words).expect(0));
    let index = registry.json("app/manifests/latest");
    assert_eq!(index["mediaType"], "application/vnd.oci.image.index.v1+json");
    let whole = registry.bytes("app/manifests/latest");
    assert_eq!(digest, Sha256::of(&whole).to_string());
    assert_eq!(signatures(&registry, "app", &digest)["layers"].as_array().unwrap().len(), 1);
    assert_ne!(cosign_accepts(&home, &reference, &home.public_key()), Some(false));
    for one in index["manifests"].as_array().unwrap() {
        let digest = one["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap();
        assert!(signatures(&registry, "app", digest).get("layers").is_none());
    }

    let mut image = command(&home, &compiler());
    image.args(["image", "--no-loader", "-o", "app.oci.tar", "--trust"]).arg(home.public_key());
    let _ = run(image.arg(&artifact), b"").expect(0);
    let reference = registry.reference("image:1");
    let digest = pushed(&push_signed(&home, &[&reference, "app.oci.tar"]).expect(0));
    let manifest = signatures(&registry, "image", &digest);
    assert_eq!(manifest["layers"][0]["mediaType"], SIGNED_TEXT);
    assert_ne!(cosign_accepts(&home, &reference, &home.public_key()), Some(false));
}

#[test]
fn the_key_is_never_where_the_network_is() {
    let home = Home::new();
    let artifact = home.fixture("wat/hello.wat");
    // A bls-compile beside a program that notes what it is given, and is the real one then.
    let folder = home.path("programs");
    fs::create_dir(&folder).unwrap();
    fs::copy(compiler(), folder.join("bls-compile")).unwrap();
    let script = format!(
        "#!/bin/sh\n{{ env; echo \"words: $*\"; }} >> '{}'\nexec '{}' \"$@\"\n",
        home.path("noted").display(),
        program().display()
    );
    fs::write(folder.join("bls-registry"), script).unwrap();
    let mode = fs::Permissions::from_mode(0o755);
    fs::set_permissions(folder.join("bls-registry"), mode).unwrap();
    let liar = Liar::start(|_| Answer::status(500));
    let reference = format!("{}/app:1", liar.host);
    let pem = fs::read_to_string(home.key()).unwrap();
    let secret = pem.lines().nth(1).unwrap().to_owned();
    let mut push = command(&home, &folder.join("bls-compile"));
    push.args(["push", "--cosign", "--key", "env:BUILDER", &reference]).arg(&artifact);
    let ended = run(push.env("BUILDER", &pem), b"").expect(1);
    let _ = ended.says(&["code: registry.status"]);
    let noted = fs::read_to_string(home.path("noted")).unwrap();
    let called: Vec<&str> = noted.lines().filter(|line| line.starts_with("words: ")).collect();
    let [first, second] = called[..] else { panic!("{noted}") };
    assert!(first.starts_with("words: push --dry-run "), "{first}");
    assert!(second.starts_with("words: push --signature=sha256:"), "{second}");
    assert!(!noted.contains(&secret) && !noted.contains("BUILDER"), "{noted}");

    // A signer of one's own signs the text, and an answer that is none stops it.
    if Command::new("openssl").arg("version").output().is_ok() {
        let key = home.key();
        let signer = format!(
            "#!/bin/sh\nf=$(mktemp) && cat > $f && openssl pkeyutl -sign -rawin -in $f -inkey '{}'; rm $f\n",
            key.display()
        );
        fs::write(home.path("sign.sh"), signer).unwrap();
        let mode = fs::Permissions::from_mode(0o755);
        fs::set_permissions(home.path("sign.sh"), mode).unwrap();
        let mut push = command(&home, &folder.join("bls-compile"));
        push.args(["push", "--cosign", "--key", "exec:./sign.sh", "--public-key"]);
        let _ = run(push.arg(home.public_key()).arg(&reference).arg(&artifact), b"").expect(1);
        let noted = fs::read_to_string(home.path("noted")).unwrap();
        let signed = noted.lines().filter(|line| line.contains("--signature="));
        let made: Vec<_> = signed.map(|line| line.split(' ').nth(2)).collect();
        assert_eq!(made.len(), 2);
        assert_eq!(made[0], made[1], "Ed25519 gives the same signature wherever the key is");
    }
}

#[test]
fn what_cannot_be_signed_is_not_pushed() {
    let home = Home::new();
    let artifact = home.fixture("wat/hello.wat");
    let liar = Liar::start(|_| Answer::status(500));
    let reference = format!("{}/app:1", liar.host);
    let file = text(&artifact);
    let key = home.key();
    for (words, code, says) in [
        (&["--key", text(&key), &reference, file][..], 2, "nothing is to be signed"),
        (&["--cosign", "--key"], 2, "--key"),
        (&["--cosign", "--max-sign-time", "soon", &reference, file], 2, "max-sign-time"),
        (&["--cosign", "--key", "./none.pem", &reference, file], 1, "none.pem"),
        (&["--cosign", "--key", text(&key), "nowhere", file], 2, "code: registry.reference"),
        (&["--cosign", "--key", text(&key), &reference, "none.bls"], 1, "none.bls"),
    ] {
        let ended = push(&home, words);
        assert!(ended.code == Some(code) || ended.code == Some(1), "{words:?}: {ended:?}");
        let _ = ended.says(&[says]);
    }
    assert_eq!(liar.asked().len(), 0, "nothing was sent");

    // bls-registry alone says what it would push, and takes a signature of that only.
    let registry = |words: &[&str]| run(command(&home, &program()).arg("push").args(words), b"");
    let said = registry(&["--dry-run", &reference, file]).expect(0);
    assert!(said.text().starts_with(&format!("{}/app@sha256:", liar.host)), "{}", said.text());
    assert_eq!(liar.asked().len(), 0);
    let _ = registry(&["--cosign", &reference, file]).expect(2).says(&["bls-compile push"]);
    let zeros = format!("--signature=sha256:{}={}", "0".repeat(64), BASE64.encode([0; 64]));
    let _ =
        registry(&[&zeros, &reference, file]).expect(2).says(&["the signature is for sha256:0"]);
    let _ = registry(&["--signature=x", &reference, file]).expect(2).says(&["sha256:HEX=BASE64"]);
}
