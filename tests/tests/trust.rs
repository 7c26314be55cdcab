//! Whom a loader trusts, and who may say so.

use bls_tests::programs::{Home, compiler, fixtures, loader, run};
use bls_tests::users::{FreshUser, may_make_users};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

#[test]
fn variables_do_not_choose_whom_to_trust() {
    let home = Home::new();
    let artifact = home.fixture("wat/hello.wat");
    // An attacker's folder, complete with a trust file that names the key.
    let folder = home.path("attacker/.config/bls");
    std::fs::create_dir_all(&folder).unwrap();
    let pem = std::fs::read_to_string(home.public_key()).unwrap();
    let mut trust = bls_artifact::trust::Trust::default();
    trust.add(bls_artifact::key::PublicKey::from_pem(&pem).unwrap(), "attacker");
    let file = folder.join("trust.json");
    std::fs::write(&file, trust.to_text()).unwrap();
    let attacker = home.path("attacker");

    let mut command = Command::new(loader());
    command
        .arg(&artifact)
        .env("HOME", &attacker)
        .env("XDG_CONFIG_HOME", attacker.join(".config"))
        .env("XDG_DATA_HOME", &attacker)
        .env("BLS_TRUST", &file)
        .env("BLS_HOME", &attacker)
        .env("BLS_CONFIG", &folder);
    let ended = run(&mut command, b"").expect(125);
    assert!(ended.stdout.is_empty());
    let _ = ended.says(&["bls-load: ", "hint: "]);

    // The same file, named by the operator, is another matter.
    let mut command = Command::new(loader());
    assert_eq!(
        run(command.arg("--trust").arg(&file).arg(&artifact), b"").expect(0).text(),
        "hello\n"
    );
}

#[test]
fn another_key_is_refused_until_it_is_trusted() {
    let builder = Home::with_seed(1);
    let operator = Home::with_seed(2);
    let artifact = builder.fixture("wat/hello.wat");
    let ended = operator.load(&[], &artifact, &[]).expect(125);
    let id = {
        let pem = std::fs::read_to_string(builder.public_key()).unwrap();
        bls_artifact::key::PublicKey::from_pem(&pem).unwrap().id().to_string()
    };
    let _ = ended.says(&["bls-load: verify: ", &id[..8], "does not trust", "bls-load trust add"]);
}

#[test]
fn a_key_that_others_can_read_is_not_used() {
    let home = Home::new();
    std::fs::set_permissions(home.key(), std::fs::Permissions::from_mode(0o644)).unwrap();
    let ended = run(&mut home.compile_command(&fixtures().join("wat/hello.wat")), b"").expect(1);
    let _ = ended.says(&["bls-compile: ", "hint: ", "chmod 600"]);
}

#[test]
fn a_key_can_come_from_a_variable() {
    let home = Home::new();
    let pem = std::fs::read_to_string(home.key()).unwrap();
    let mut command = Command::new(compiler());
    command.current_dir(home.path("")).args(["--key", "env:BLS_TEST_KEY"]).env("BLS_TEST_KEY", pem);
    let _ = run(command.arg(fixtures().join("wat/hello.wat")), b"").expect(0);
    assert_eq!(home.load(&[], &home.path("hello.bls"), &[]).expect(0).text(), "hello\n");
    let mut command = Command::new(compiler());
    command.args(["--key", "env:BLS_TEST_NO_KEY"]).arg(fixtures().join("wat/hello.wat"));
    let _ = run(&mut command, b"").expect(1).says(&["BLS_TEST_NO_KEY", "hint: "]);
}

/// What else can be wrong with a trust file has its row in `fixtures/malformed/`.
#[test]
fn keys_that_are_none_are_not_trusted() {
    let home = Home::new();
    let artifact = home.fixture("wat/hello.wat");
    let path = home.path("trust.pub");
    std::fs::write(&path, "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n").unwrap();
    for (file, words) in [
        (path.as_path(), ["public key", "code: key.not-public"]),
        (std::path::Path::new("/missing.pub"), ["/missing.pub", "code: settings.unreadable"]),
    ] {
        let mut command = Command::new(loader());
        let ended = run(command.arg("--trust").arg(file).arg(&artifact), b"").expect(125);
        let _ = ended.says(&["bls-load: trust: ", "\nhint: "]).says(&words);
    }
}

#[test]
fn verify_says_what_it_found_and_runs_nothing() {
    let home = Home::new();
    let artifact = home.fixture("wat/hello.wat");
    let mut command = Command::new(loader());
    command.arg("verify").arg("--trust").arg(home.public_key()).arg(&artifact);
    let text = run(&mut command, b"").expect(0).text();
    assert!(!text.contains("hello\n") || text.contains("name"), "{text}");
    for word in ["hello", "sha256", "bls-fuel-4"] {
        assert!(text.contains(word), "{word} is not in:\n{text}");
    }
}

/// The first run of a fresh user: needs root, to become one.
#[test]
fn the_first_compile_makes_a_key_and_trusts_it() {
    if !may_make_users() {
        return;
    }
    let user = FreshUser::new("blsfirst", 61_001);
    let other = FreshUser::new("blsother", 61_002);
    let guest = user.home.join("hello.wasm");
    std::fs::copy(fixtures().join("wat/hello.wasm"), &guest).unwrap();

    let ended = run(user.command(&compiler()).arg("hello.wasm"), b"").expect(0);
    let _ = ended.says(&["key", "bls-load trust add"]);
    let key = user.home.join(".config/bls/key.pem");
    assert_eq!(std::fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    let again = run(user.command(&compiler()).arg("hello.wasm"), b"").expect(0);
    assert!(!again.stderr.contains("trust add"), "said once: {}", again.stderr);
    assert_eq!(run(user.command(&loader()).arg("hello.bls"), b"").expect(0).text(), "hello\n");

    // Another user refuses it, and accepts it after `trust add`.
    let copy = other.home.join("hello.bls");
    std::fs::copy(user.home.join("hello.bls"), &copy).unwrap();
    let ended = run(other.command(&loader()).arg("hello.bls"), b"").expect(125);
    assert!(ended.stdout.is_empty());
    let exported = run(user.command(&compiler()).args(["key", "export"]), b"").expect(0);
    let public = other.home.join("builder.pub");
    std::fs::write(&public, &exported.stdout).unwrap();
    std::fs::set_permissions(&public, std::fs::Permissions::from_mode(0o644)).unwrap();
    let _ = run(other.command(&loader()).args(["trust", "add", "builder.pub"]), b"").expect(0);
    let listed = run(other.command(&loader()).args(["trust", "list"]), b"").expect(0).text();
    assert!(!listed.trim().is_empty());
    assert_eq!(run(other.command(&loader()).arg("hello.bls"), b"").expect(0).text(), "hello\n");

    // A trust file that others can write is not believed.
    let trust = other.home.join(".config/bls/trust.json");
    std::fs::set_permissions(&trust, std::fs::Permissions::from_mode(0o666)).unwrap();
    let ended = run(other.command(&loader()).arg("hello.bls"), b"").expect(125);
    let _ = ended.says(&["can be written by its group", "hint: ", "code: settings.writable\n"]);

    // The same key gives the same bytes to another user with another umask.
    let stolen = other.home.join("same.pem");
    std::fs::copy(&key, &stolen).unwrap();
    std::os::unix::fs::chown(&stolen, Some(other.id), Some(other.id)).unwrap();
    std::fs::copy(&guest, other.home.join("hello.wasm")).unwrap();
    let mut command = Command::new("sh");
    command
        .arg("-c")
        .arg("umask 077; exec \"$0\" --key same.pem -o again.bls hello.wasm")
        .arg(compiler());
    let _ = run(other.become_user(&mut command), b"").expect(0);
    assert_eq!(
        std::fs::read(user.home.join("hello.bls")).unwrap(),
        std::fs::read(other.home.join("again.bls")).unwrap()
    );
}

#[test]
fn keys_that_are_added_at_once_are_all_trusted() {
    if !may_make_users() {
        return;
    }
    const KEYS: u8 = 12;
    let user = FreshUser::new("bls-test-adder", 65_123);
    let added: Vec<_> = (0..KEYS)
        .map(|index| {
            let home = Home::with_seed(100 + index);
            let key = user.home.join(format!("{index}.pub"));
            std::fs::copy(home.public_key(), &key).unwrap();
            let mut command = user.command(&loader());
            command.args(["trust", "add"]).arg(key).stdout(Stdio::null()).stderr(Stdio::piped());
            command.spawn().unwrap()
        })
        .collect();
    for child in added {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let list = run(user.command(&loader()).args(["trust", "list"]), b"").expect(0).text();
    for index in 0..KEYS {
        assert!(list.contains(&format!("{index}.pub")), "{index}.pub is lost: {list}");
    }
}
