//! Signing keys: made, listed, exported, imported; shared with openssl; refused by name.

use bls_artifact::digest::Sha256;
use bls_tests::programs::{Ended, Home, compiler, fixtures, loader, run};
use bls_tests::users::{FreshUser, may_make_users};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// openssl with these words; what it printed.
#[track_caller]
fn openssl(words: &[&str], stdin: &[u8]) -> Vec<u8> {
    run(Command::new("openssl").args(words), stdin).expect(0).stdout
}

fn has_openssl() -> bool {
    let found = Command::new("openssl").arg("version").output().is_ok();
    if !found {
        println!("openssl is not installed");
    }
    found
}

/// A key id as openssl and sha256sum say it.
fn id_by_openssl(public_pem: &[u8]) -> String {
    Sha256::of(&openssl(&["pkey", "-pubin", "-outform", "DER"], public_pem)).to_string()
}

/// A file for one user's eyes.
fn private_file(path: &Path, contents: &[u8], mode: u32) -> PathBuf {
    std::fs::write(path, contents).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    path.to_owned()
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn keys_are_made_listed_exported_and_used_by_name() {
    if !may_make_users() {
        println!("only root can become a fresh user");
        return;
    }
    let user = FreshUser::new("blskeys", 61_011);
    let folder = user.home.join(".config/bls");
    let key = |words: &[&str]| run(user.command(&compiler()).arg("key").args(words), b"");

    let none = key(&["list"]).expect(0).says(&["none yet", "key new"]);
    assert!(none.stdout.is_empty() && !folder.exists(), "listing makes nothing");

    let default = key(&["new"]).expect(0).says(&["made your signing key", "trusted on this"]);
    let release = key(&["new", "release"]).expect(0).says(&["key export release"]);
    for (made, name) in [(&default, "key.pem"), (&release, "release.pem")] {
        assert_eq!(mode(&folder.join(name)), 0o600);
        assert!(made.text().contains(name), "{}", made.text());
    }
    assert_eq!(mode(&folder), 0o700);

    // Never overwritten.
    let before = std::fs::read(folder.join("release.pem")).unwrap();
    let _ = key(&["new", "release"]).expect(1).says(&["already", "hint: "]);
    let _ = key(&["new"]).expect(1).says(&["key.pem already", "hint: "]);
    assert_eq!(std::fs::read(folder.join("release.pem")).unwrap(), before);

    let listed = key(&["list"]).expect(0).text();
    let lines: Vec<&str> = listed.lines().collect();
    assert!(lines.len() == 2 && lines[0].starts_with("key ") && lines[1].starts_with("release "));
    let json: serde_json::Value =
        serde_json::from_slice(&key(&["list", "--json"]).expect(0).stdout).unwrap();
    assert_eq!(json["keys"][1]["name"], "release");
    let id = json["keys"][1]["id"].as_str().unwrap().to_owned();
    assert!(lines[1].contains(&id) && release.text().starts_with(&id));
    assert!(key(&["--key", "release"]).expect(0).text().starts_with(&id));

    if has_openssl() {
        let exported = key(&["export", "release"]).expect(0).stdout;
        assert_eq!(openssl(&["pkey", "-pubout"], &before), exported);
        assert_eq!(key(&["export", "--key", "release"]).expect(0).stdout, exported);
        assert_eq!(id_by_openssl(&exported), id);
    }

    // What it signs is trusted here, with no more ceremony.
    std::fs::copy(fixtures().join("wat/hello.wasm"), user.home.join("hello.wasm")).unwrap();
    let mut command = user.command(&compiler());
    let _ = run(command.args(["--key", "release", "hello.wasm"]), b"").expect(0).says(&[&id[..12]]);
    assert_eq!(run(user.command(&loader()).arg("hello.bls"), b"").expect(0).text(), "hello\n");

    let mut command = user.command(&compiler());
    let _ = run(command.args(["--key", "absent", "hello.wasm"]), b"").expect(1).says(&[
        "you have no key absent",
        "hint: ",
        "key new absent",
        "./absent",
    ]);
    for name in ["a.b", "../key", "x y", ""] {
        let _ = key(&["new", name]).expect(1).says(&["cannot be the name of a key", "hint: "]);
    }

    // One that others can read is not used, and the list says so.
    private_file(&folder.join("release.pem"), &before, 0o644);
    let _ = key(&["list"]).expect(0).says(&["release: ", "open to others"]);
    let mut command = user.command(&compiler());
    let _ = run(command.args(["--key", "release", "hello.wasm"]), b"")
        .expect(1)
        .says(&["open to others (mode 0644)", "chmod 600"]);
}

#[test]
fn keys_of_openssl_are_imported() {
    if !may_make_users() || !has_openssl() {
        println!("only root can become a fresh user");
        return;
    }
    let user = FreshUser::new("blsimport", 61_012);
    let import = |words: &[&str], stdin: &[u8]| {
        run(user.command(&compiler()).args(["key", "import"]).args(words), stdin)
    };
    let made = openssl(&["genpkey", "-algorithm", "ed25519"], b"");
    let id = id_by_openssl(&openssl(&["pkey", "-pubout"], &made));

    let file = private_file(&user.home.join("made.pem"), &made, 0o644);
    std::os::unix::fs::chown(&file, Some(user.id), Some(user.id)).unwrap();
    let _ = import(&["made.pem", "ci"], b"").expect(1).says(&["open to others", "chmod 600"]);
    private_file(&file, &made, 0o600);
    let ended = import(&["made.pem", "ci"], b"").expect(0).says(&["imported", "trusted on this"]);
    assert!(ended.text().starts_with(&id));
    let kept = user.home.join(".config/bls/ci.pem");
    assert_eq!(mode(&kept), 0o600);
    assert_eq!(std::fs::read(&kept).unwrap(), made, "openssl's own spelling");
    let _ = import(&["made.pem", "ci"], b"").expect(1).says(&["already", "hint: "]);

    // From standard input, as the default key.
    assert!(import(&["-"], &made).expect(0).text().starts_with(&id));
    let shown = run(user.command(&compiler()).arg("key"), b"").expect(0);
    assert!(shown.text().starts_with(&id) && shown.stderr.is_empty(), "nothing new was made");
}

#[test]
fn a_key_of_openssl_signs_and_openssl_reads_ours() {
    if !has_openssl() {
        return;
    }
    let home = Home::new();
    let made = openssl(&["genpkey", "-algorithm", "ed25519"], b"");
    let key = private_file(&home.path("made.pem"), &made, 0o600);
    let public = openssl(&["pkey", "-pubout"], &made);
    let mut command = Command::new(compiler());
    let exported = run(command.args(["key", "export"]).arg(&key), b"").expect(0).stdout;
    assert_eq!(exported, public);
    let mut command = Command::new(compiler());
    command.current_dir(home.path("")).arg("--key").arg(&key);
    let _ = run(command.arg(fixtures().join("wat/hello.wat")), b"").expect(0);
    std::fs::write(home.public_key(), &public).unwrap();
    assert_eq!(home.load(&[], &home.path("hello.bls"), &[]).expect(0).text(), "hello\n");

    // Ours is one to openssl, in all its forms.
    let ours = std::fs::read(Home::new().key()).unwrap();
    assert_eq!(openssl(&["pkey"], &ours), ours);
    let text = String::from_utf8(openssl(&["pkey", "-noout", "-text"], &ours)).unwrap();
    assert!(text.contains("ED25519 Private-Key"), "{text}");
}

#[test]
fn other_keys_are_refused_by_name() {
    if !has_openssl() {
        return;
    }
    let home = Home::new();
    let ed25519 = openssl(&["genpkey", "-algorithm", "ed25519"], b"");
    let rsa = openssl(&["genpkey", "-algorithm", "rsa"], b"");
    let curve = ["-algorithm", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"];
    let ec = openssl(&[&["genpkey"][..], &curve].concat(), b"");
    let locked = ["pkcs8", "-topk8", "-v2", "aes-256-cbc", "-passout", "pass:x"];
    let encrypted = openssl(&locked, &ed25519);
    let make = "openssl genpkey -algorithm ed25519 -out key.pem";
    let cases: &[(&str, Vec<u8>, &[&str])] = &[
        ("encrypted.pem", encrypted, &["under a passphrase", "openssl pkey -in"]),
        ("rsa.pem", rsa.clone(), &["for RSA, not Ed25519", make]),
        ("rsa1.pem", openssl(&["rsa", "-traditional"], &rsa), &["for RSA, not Ed25519", make]),
        ("ec.pem", ec.clone(), &["for ECDSA, not Ed25519", make]),
        ("sec1.pem", openssl(&["ec"], &ec), &["for ECDSA, not Ed25519", make]),
        ("ed448.pem", openssl(&["genpkey", "-algorithm", "ed448"], b""), &["Ed448", make]),
        ("x25519.pem", openssl(&["genpkey", "-algorithm", "x25519"], b""), &["X25519", make]),
        (
            "der.key",
            openssl(&["pkey", "-outform", "DER"], &ed25519),
            &["no text", "openssl pkey -inform DER -in"],
        ),
        ("pub.pem", openssl(&["pkey", "-pubout"], &ed25519), &["a public key", "private key"]),
        ("empty.pem", vec![], &["not an Ed25519 private key", make]),
        ("long.pem", vec![b'x'; 70_000], &["longer than 65536"]),
    ];
    for (name, contents, words) in cases {
        let file = private_file(&home.path(name), contents, 0o600);
        let mut command = Command::new(compiler());
        command.current_dir(home.path("")).arg("--key").arg(&file);
        let refused = |ended: Ended| {
            let ended = ended.expect(1).says(&["bls-compile: key: ", "hint: "]).says(words);
            assert!(ended.stdout.is_empty(), "{name}");
        };
        refused(run(command.arg(fixtures().join("wat/hello.wat")), b""));
        refused(run(Command::new(compiler()).args(["key", "import"]).arg(&file), b""));
        refused(run(Command::new(compiler()).args(["key", "import", "-"]), contents));
    }
    assert!(!home.path("hello.bls").exists());

    // And the hint for the encrypted one is true.
    let (locked, plain) = (home.path("encrypted.pem"), home.path("plain.pem"));
    let mut command = Command::new("openssl");
    command.args(["pkey", "-passin", "pass:x", "-in"]).arg(locked).arg("-out").arg(&plain);
    let _ = run(&mut command, b"").expect(0);
    assert_eq!(mode(&plain), 0o600);
    let _ = run(Command::new(compiler()).args(["key", "export"]).arg(&plain), b"").expect(0);
}
