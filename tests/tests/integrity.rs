//! Nothing unverified is ever mapped.

use bls_artifact::artifact::{self, HEADER_LEN};
use bls_artifact::digest::Sha256;
use bls_artifact::envelope::Envelope;
use bls_artifact::key::{PrivateKey, PublicKey};
use bls_artifact::trust::Trust;
use bls_loader::open::Opened;
use bls_loader::verify::{Criteria, verify};
use bls_tests::programs::{Ended, Home, maps_of_a_running_guest, run};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// Refused before anything of the guest was seen.
#[track_caller]
fn refused(ended: Ended, stage: &str) -> Ended {
    let ended = ended.expect(125);
    assert!(ended.stdout.is_empty(), "the guest has printed");
    ended.says(&[&format!("bls-load: {stage}: "), "hint: "])
}

#[test]
fn flipped_and_truncated_files_are_refused_by_the_program() {
    let home = Home::new();
    let good = std::fs::read(home.fixture("wat/hello.wat")).unwrap();
    let bad = home.path("bad.bls");
    let mut tried = 0;
    for sample in 0..60_usize {
        let mut bytes = good.clone();
        let bit = (sample * 7919 + 13) % (bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        std::fs::write(&bad, &bytes).unwrap();
        let ended = home.load(&[], &bad, &[]).expect(125);
        assert!(ended.stdout.is_empty(), "bit {bit}");
        let _ = ended.says(&["bls-load: ", "hint: "]);
        std::fs::write(&bad, &good[..(sample * 6007) % good.len()]).unwrap();
        let _ = refused(home.load(&[], &bad, &[]), "open");
        tried += 2;
    }
    assert_eq!(tried, 120);
}

/// The whole way of the loader's library, in process.
fn accepts(bytes: &[u8], trust: &Trust) -> bool {
    Opened::from_bytes("hello.bls", bytes.to_vec())
        .is_ok_and(|opened| verify(opened, &Criteria::of(trust)).is_ok())
}

#[test]
fn every_bit_and_every_truncation_is_refused() {
    let home = Home::new();
    let good = std::fs::read(home.fixture("wat/hello.wat")).unwrap();
    let pem = std::fs::read_to_string(home.public_key()).unwrap();
    let trust = Trust::only(PublicKey::from_pem(&pem).unwrap());
    assert!(accepts(&good, &trust));
    std::thread::scope(|scope| {
        for half in 0..2 {
            let (good, trust) = (&good, &trust);
            scope.spawn(move || {
                let mut bytes = good.clone();
                for bit in (half..bytes.len() * 8).step_by(2) {
                    bytes[bit / 8] ^= 1 << (bit % 8);
                    assert!(!accepts(&bytes, trust), "bit {bit} can be flipped");
                    bytes[bit / 8] ^= 1 << (bit % 8);
                }
                for length in (half..good.len()).step_by(2) {
                    assert!(!accepts(&good[..length], trust), "{length} bytes are enough");
                }
            });
        }
    });
}

#[test]
fn a_changed_part_with_a_new_record_is_refused() {
    let home = Home::new();
    let good = std::fs::read(home.fixture("wat/hello.wat")).unwrap();
    let (contents, parts) = artifact::Contents::parse(&good).unwrap();
    let mut part = parts[0].to_vec();
    let middle = part.len() / 2;
    part[middle] ^= 1;
    // A file whose framing is right in every byte.
    let bad = home.path("bad.bls");
    std::fs::write(&bad, artifact::write(contents.envelope, &[&part])).unwrap();
    let _ = refused(home.load(&[], &bad, &[]), "verify");
}

#[test]
fn a_signature_of_somebody_else_is_refused() {
    let home = Home::new();
    let good = std::fs::read(home.fixture("wat/hello.wat")).unwrap();
    let (contents, parts) = artifact::Contents::parse(&good).unwrap();
    let payload = Envelope::parse(contents.envelope).unwrap().payload().to_vec();
    let stranger = PrivateKey::from_seed(&[99; 32]);
    let envelope = Envelope::sign(payload, &[&stranger]);
    let bad = home.path("bad.bls");
    std::fs::write(&bad, artifact::write(&envelope.to_bytes(), &parts)).unwrap();
    let ended = refused(home.load(&[], &bad, &[]), "verify");
    let _ = ended.says(&["does not trust", "bls-load trust add"]);
}

#[test]
fn a_manifest_of_another_artifact_is_refused() {
    let home = Home::new();
    let first = std::fs::read(home.fixture("wat/hello.wat")).unwrap();
    let second = std::fs::read(home.fixture("wat/exit-42.wat")).unwrap();
    let (first, _) = artifact::Contents::parse(&first).unwrap();
    let (_, parts) = artifact::Contents::parse(&second).unwrap();
    let bad = home.path("bad.bls");
    std::fs::write(&bad, artifact::write(first.envelope, &parts)).unwrap();
    let _ = refused(home.load(&[], &bad, &[]), "verify");
}

#[test]
fn only_the_file_that_was_named() {
    let home = Home::new();
    let path = home.fixture("wat/hello.wat");
    let digest = Sha256::of(&std::fs::read(&path).unwrap());
    let right = format!("sha256:{digest}");
    assert_eq!(home.load(&["--digest", &right], &path, &[]).expect(0).text(), "hello\n");
    let wrong = format!("sha256:{}", Sha256::of(b"another"));
    let _ = refused(home.load(&["--digest", &wrong], &path, &[]), "verify");
    let sum = run(Command::new("sha256sum").arg(&path), b"").expect(0).text();
    assert!(sum.starts_with(&digest.to_string()));
}

#[test]
fn only_regular_files_are_opened() {
    let home = Home::new();
    let artifact = home.fixture("wat/hello.wat");
    let link = home.path("link.bls");
    std::os::unix::fs::symlink(&artifact, &link).unwrap();
    // At the end of a link, or read whole from a pipe: `deliveries.rs`.
    assert_eq!(home.load(&[], &link, &[]).expect(0).text(), "hello\n");
    let _ = refused(home.load(&[], &home.path(""), &[]), "open").says(&["a folder"]);
    let _ = refused(home.load(&[], Path::new("/dev/zero"), &[]), "open");
}

#[test]
fn code_lies_in_a_sealed_memfd_and_is_never_writable() {
    let home = Home::new();
    let artifact = home.fixture("wat/read-stdin-forever.wat");
    let mut child = home
        .load_command::<&str>(&[], &artifact)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let maps = maps_of_a_running_guest(&child);
    assert!(!maps.lines().any(|line| line.contains("rwx")), "{maps}");

    // The seals, read off the mapping itself, if no descriptor is left.
    let code = maps.lines().find(|line| line.contains("memfd") && line.contains("r-x")).unwrap();
    let range = code.split_whitespace().next().unwrap();
    let mapped = std::fs::OpenOptions::new()
        .read(true)
        .open(format!("/proc/{}/map_files/{range}", child.id()));
    let mapped = mapped.unwrap_or_else(|error| panic!("{range}: {error}\n{maps}"));
    let seals = rustix::fs::fcntl_get_seals(&mapped).unwrap();
    let wanted =
        rustix::fs::SealFlags::WRITE | rustix::fs::SealFlags::GROW | rustix::fs::SealFlags::SHRINK;
    assert!(seals.contains(wanted), "{seals:?}");
    child.kill().unwrap();
    let _ = child.wait();
}

#[test]
fn rewriting_the_file_changes_nothing_that_runs() {
    let home = Home::new();
    let artifact = home.fixture("wat/cat.wat");
    let good = std::fs::read(&artifact).unwrap();
    let mut child = home
        .load_command::<&str>(&[], &artifact)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let _ = maps_of_a_running_guest(&child);
    let file = std::fs::OpenOptions::new().write(true).open(&artifact).unwrap();
    file.write_all_at(&vec![0xcc; good.len()], 0).unwrap();
    file.set_len(0).unwrap();
    use std::io::Write as _;
    child.stdin.take().unwrap().write_all(b"still here\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(output.stdout, b"still here\n");
}

#[test]
fn rewriting_during_the_copy_is_noticed_or_does_not_matter() {
    let home = Home::new();
    let artifact = home.fixture("go/hello/hello.wasm");
    let good = std::fs::read(&artifact).unwrap();
    let stop = std::sync::atomic::AtomicBool::new(false);
    let path = artifact.clone();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
            let position = good.len() - 5000;
            let mut byte = [good[position]];
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                byte[0] ^= 0xff;
                file.write_all_at(&byte, position as u64).unwrap();
            }
        });
        for _ in 0..30 {
            let ended = home.load(&[], &artifact, &[]);
            match ended.code {
                Some(0) => {}
                Some(125) => assert!(ended.stdout.is_empty()),
                other => panic!("{other:?}: {}", ended.stderr),
            }
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}

#[test]
fn openssl_alone_can_check_a_signature() {
    if Command::new("openssl").arg("version").output().is_err() {
        println!("openssl is not installed");
        return;
    }
    let home = Home::new();
    let bytes = std::fs::read(home.fixture("wat/hello.wat")).unwrap();
    let (contents, _) = artifact::Contents::parse(&bytes).unwrap();
    let json: serde_json::Value = serde_json::from_slice(contents.envelope).unwrap();
    let decode = |field: &serde_json::Value, name: &str| {
        let path = home.path(name);
        let mut command = Command::new("openssl");
        let text = field.as_str().unwrap().to_owned();
        let ended = run(command.args(["base64", "-d", "-A"]), text.as_bytes()).expect(0);
        std::fs::write(&path, &ended.stdout).unwrap();
        path
    };
    let payload = std::fs::read(decode(&json["payload"], "payload")).unwrap();
    let signature = decode(&json["signatures"][0]["sig"], "signature");
    let kind = json["payloadType"].as_str().unwrap();
    let mut message = format!("DSSEv1 {} {kind} {} ", kind.len(), payload.len()).into_bytes();
    message.extend_from_slice(&payload);
    let signed = home.path("message");
    std::fs::write(&signed, message).unwrap();
    let mut command = Command::new("openssl");
    command.args(["pkeyutl", "-verify", "-rawin", "-pubin", "-inkey"]).arg(home.public_key());
    command.arg("-in").arg(&signed).arg("-sigfile").arg(&signature);
    let _ = run(&mut command, b"").expect(0);

    // And the key id is what openssl and sha256sum say.
    let mut command = Command::new("openssl");
    command.args(["pkey", "-pubin", "-outform", "DER", "-in"]).arg(home.public_key());
    let der = run(&mut command, b"").expect(0).stdout;
    assert_eq!(json["signatures"][0]["keyid"], Sha256::of(&der).to_string());
}

#[test]
fn the_header_is_where_the_format_says() {
    let home = Home::new();
    let bytes = std::fs::read(home.fixture("wat/hello.wat")).unwrap();
    assert_eq!(&bytes[..8], b"\x89BLS\r\n\x1a\n");
    let total = u64::from_le_bytes(bytes[16..24].try_into().unwrap());
    assert_eq!(total, bytes.len() as u64);
    let envelope = u64::from_le_bytes(bytes[24..32].try_into().unwrap()) as usize;
    let start = HEADER_LEN + 40;
    assert_eq!(bytes[start], b'{');
    assert_eq!(bytes[start + envelope - 1], b'}');
}
