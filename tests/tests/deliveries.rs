//! How artifacts arrive: by a link, through a pipe, for another machine, by a short name.

use bls_tests::installed::{Shelf, is_root, release};
use bls_tests::programs::{Ended, Home, fixtures, loader, make_fifo, run};
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

const OTHER: &str = "aarch64-unknown-linux-gnu";
const THIS: &str = "x86_64-unknown-linux-gnu";

/// bls-load with the home's key and these words, and this on standard input.
fn load(home: &Home, words: &[&str], stdin: &[u8]) -> Ended {
    let mut command = Command::new(loader());
    command.current_dir(home.path("")).arg("--trust").arg(home.public_key()).args(words);
    run(&mut command, stdin)
}

/// The same with a store.
fn in_store(home: &Home, shelf: &Shelf, words: &[&str], stdin: &[u8]) -> Ended {
    run(&mut shelf.command(home, words), stdin)
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

#[test]
fn a_link_is_what_it_leads_to() {
    let home = Home::new();
    let (old, new) = (release(&home, "app", 0, "old"), release(&home, "app", 0, "new"));
    let current = home.path("current.bls");
    symlink(&old, &current).unwrap();
    assert_eq!(load(&home, &["current.bls"], b"").expect(0).text(), "old\n");
    // Switched as people do it: by a rename over the link.
    symlink(new.file_name().unwrap(), home.path("next.bls")).unwrap();
    std::fs::rename(home.path("next.bls"), &current).unwrap();
    assert_eq!(load(&home, &["current.bls"], b"").expect(0).text(), "new\n");
    let verified = load(&home, &["verify", "current.bls"], b"").expect(0).text();
    assert!(verified.contains("name      app"), "{verified}");
    let shelf = Shelf::new();
    let _ = shelf.install(&home, &current).expect(0);
    assert_eq!(shelf.load(&home, &["app"]).expect(0).text(), "new\n");
    // What the store has is no link.
    assert!(shelf.only("artifacts").symlink_metadata().unwrap().is_file());
}

#[test]
fn standard_input_can_be_the_artifact() {
    let home = Home::new();
    let artifact = std::fs::read(home.fixture("wat/args_env.wat")).unwrap();
    // The guest's arguments stand behind it as behind a file; its input has ended.
    let ended = load(&home, &["--env", "K=V", "-", "--flag"], &artifact).expect(0);
    assert_eq!(ended.text(), "-\n--flag\nK=V\n");
    let cat = std::fs::read(home.fixture("wat/cat.wat")).unwrap();
    assert!(load(&home, &["-"], &cat).expect(0).stdout.is_empty());
    let shelf = Shelf::new();
    let said = in_store(&home, &shelf, &["install", "-"], &artifact).expect(0).text();
    assert!(said.starts_with("args_env is installed in "), "{said}");
    assert_eq!(shelf.load(&home, &["args_env", "x"]).expect(0).text(), "args_env\nx\n");
    let verified = load(&home, &["verify", "-"], &artifact).expect(0).text();
    assert!(verified.contains("name      args_env"), "{verified}");
    // From a file, too; and `./-` is a file.
    let mut command = Command::new("sh");
    command.current_dir(home.path("")).args(["-c", "\"$0\" --trust test.pub - < args_env.bls"]);
    assert_eq!(run(command.arg(loader()), b"").expect(0).text(), "-\n");
    std::fs::rename(home.path("args_env.bls"), home.path("-")).unwrap();
    assert_eq!(load(&home, &["./-", "file"], b"").expect(0).text(), "-\nfile\n");
}

/// A stream is judged like a file: cut, longer, changed, empty, something else.
#[test]
fn what_a_pipe_gives_is_judged_like_a_file() {
    let home = Home::new();
    let good = std::fs::read(home.fixture("wat/hello.wat")).unwrap();
    let mut changed = good.clone();
    let last = changed.len() - 100;
    changed[last] ^= 1;
    // More than a pipe holds, and none of it wanted.
    let long = [&good[..], &vec![0; 1 << 20]].concat();
    let shelf = Shelf::new();
    let _ = shelf.install(&home, &release(&home, "other", 0, "other")).expect(0);
    for (bytes, code) in [
        (&good[..good.len() - 1], "framing.truncated"),
        (&good[..40], "framing.too-short"),
        (&long, "framing.trailing-bytes"),
        (&changed, "content.stored-digest"),
        (b"", "file.fifo"),
        (b"\0asm\x01\0\0\0", "framing.is-module"),
        (b"<html>404</html>", "framing.magic"),
    ] {
        for words in [&["-"][..], &["verify", "-"], &["install", "-"]] {
            let ended = in_store(&home, &shelf, words, bytes);
            assert!(ended.stdout.is_empty(), "{code}: {}", ended.text());
            let _ = ended.expect(125).says(&["standard input", &format!("code: {code}\n")]);
            assert_eq!(shelf.names("artifacts").len(), 1, "{code}: installed");
        }
    }
    // What is nobody's to end is not read: a device, a closed standard input.
    for redirect in ["< /dev/zero", "< /dev/null", "<&-"] {
        let mut command = Command::new("sh");
        command.current_dir(home.path(""));
        command.args(["-c", &format!("\"$0\" --trust test.pub - {redirect}")]).arg(loader());
        let _ = run(&mut command, b"").expect(125).says(&["code: file.device\n", "hint: "]);
    }
}

/// An endless stream is read as far as its header says, and no further.
#[test]
fn no_more_is_read_than_the_header_announces() {
    let home = Home::new();
    let good = std::fs::read(home.fixture("wat/hello.wat")).unwrap();
    let mut command = Command::new(loader());
    command.arg("--trust").arg(home.public_key()).arg("-");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || {
        let mut written = input.write(&good).unwrap_or(0);
        while let Ok(count) = input.write(&[0; 4096]) {
            written += count;
        }
        written
    });
    let ended: Ended = child.wait_with_output().unwrap().into();
    let _ = ended.expect(125).says(&["code: framing.trailing-bytes\n"]);
    // All else was in the pipe.
    assert!(writer.join().unwrap() < 1 << 20);
}

#[test]
fn a_fifo_is_read_when_its_writer_comes() {
    let home = Home::new();
    let good = std::fs::read(home.fixture("wat/hello.wat")).unwrap();
    let fifo = home.path("fifo.bls");
    make_fifo(&fifo);
    let writer = std::thread::spawn({
        let fifo = fifo.clone();
        move || {
            // Late, and in pieces.
            std::thread::sleep(Duration::from_millis(100));
            let mut file = std::fs::File::options().write(true).open(fifo).unwrap();
            for piece in good.chunks(good.len() / 3) {
                file.write_all(piece).unwrap();
                file.flush().unwrap();
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    });
    assert_eq!(load(&home, &["fifo.bls"], b"").expect(0).text(), "hello\n");
    writer.join().unwrap();
    // One that nobody writes is waited for, as long as the run may take.
    let ended = load(&home, &["--timeout", "200ms", "fifo.bls"], b"").expect(124);
    let _ = ended.says(&["time limit"]);
}

#[test]
fn what_is_for_another_machine_is_verified_and_installed_for_it() {
    let home = Home::new();
    let artifact = home.compile(&fixtures().join("wat/hello.wat"), &["--target", OTHER]);
    let path = text(&artifact);
    let refused = load(&home, &["verify", &path], b"");
    if refused.code == Some(0) {
        println!("this machine is the other one");
        return;
    }
    let _ = refused.expect(125).says(&[
        "cannot run here",
        &format!("bls-load verify --target {OTHER}"),
        "code: compatibility.architecture\n",
    ]);
    for target in [OTHER, "aarch64"] {
        let said = load(&home, &["verify", "--target", target, &path], b"").expect(0).text();
        assert!(said.contains(OTHER) && said.contains(", runs there)"), "{said}");
    }
    let other = load(&home, &["verify", "--target", "s390x", &path], b"").expect(125);
    let _ = other.says(&["and not for s390x", "code: compatibility.architecture\n"]);

    // Only into a store that is named, and is not run from here.
    let ended = load(&home, &["install", "--target", OTHER, &path], b"").expect(125);
    let _ = ended.says(&["--store DIR"]);
    let ended = load(&home, &["--target", OTHER, &path], b"").expect(125);
    let _ = ended.says(&["code: usage.words\n"]);
    let shelf = Shelf::new();
    let _ = shelf.install(&home, &artifact).expect(125);
    let _ = shelf.load(&home, &["install", "--target", OTHER, &path]).expect(0);
    let _ = shelf.load(&home, &["hello"]).expect(125).says(&["cannot run here"]);
    let all = shelf.load(&home, &["verify", "--all", "--target", OTHER]).expect(0).text();
    assert!(all.starts_with("good hello sha256:"), "{all}");
    let all = shelf.load(&home, &["verify", "--all"]).expect(125);
    assert!(all.text().ends_with(" compatibility.architecture\n"), "{}", all.text());
    let _ = all.says(&["code: compatibility.architecture\n", "code: store.some-refused\n"]);
    let said = shelf.load(&home, &["verify", "--target", OTHER, "hello"]).expect(0).text();
    assert!(said.contains(", runs there)"), "{said}");
}

/// Of a fat artifact the other machine gets its own code, and each byte of it was checked.
#[test]
fn a_fat_artifact_is_installed_for_either() {
    let home = Home::new();
    let both = format!("{THIS},{OTHER}");
    let options = ["--compress", "--target", &both];
    let artifact = home.compile(&fixtures().join("wat/hello.wat"), &options);
    let path = text(&artifact);
    let machine = |target: &str| {
        let shelf = Shelf::new();
        let _ = shelf.load(&home, &["install", "--target", target, &path]).expect(0);
        let image = std::fs::read(shelf.only("images")).unwrap();
        // The field of an ELF header that says for which machine it is.
        u16::from_le_bytes([image[18], image[19]])
    };
    assert_eq!(machine(OTHER), 183);
    assert_eq!(machine(THIS), 62);
    let mut bytes = std::fs::read(&artifact).unwrap();
    let last = bytes.len() - 64;
    bytes[last] ^= 1;
    std::fs::write(&artifact, bytes).unwrap();
    let shelf = Shelf::new();
    let ended = shelf.load(&home, &["install", "--target", OTHER, &path]).expect(125);
    let _ = ended.says(&["code: content.stored-digest\n"]);
    assert!(shelf.names("artifacts").is_empty());
}

/// Two releases in a store, and their identities.
fn two() -> (Home, Shelf, Vec<String>) {
    let (home, shelf) = (Home::new(), Shelf::new());
    for name in ["one", "two"] {
        let _ = shelf.install(&home, &release(&home, name, 0, name)).expect(0);
    }
    let identities = shelf.names("artifacts");
    (home, shelf, identities)
}

#[test]
fn eight_digits_stand_for_an_identity() {
    let (home, shelf, identities) = two();
    let mut seen: Vec<String> = Vec::new();
    for identity in &identities {
        let short = format!("sha256:{}", &identity[..8]);
        seen.push(shelf.load(&home, &[&short]).expect(0).text());
        let said = shelf.load(&home, &["verify", &short]).expect(0).text();
        assert!(said.contains(identity.as_str()), "{said}");
    }
    seen.sort();
    assert_eq!(seen, ["one\n", "two\n"]);
    let few = format!("sha256:{}", &identities[0][..7]);
    for (word, words) in [
        (few.as_str(), ["8 to 64", "code: usage.words\n"]),
        ("sha256:8923", ["8 to 64", "code: usage.words\n"]),
        ("sha256:0123456789", ["is not installed", "code: store.not-installed\n"]),
    ] {
        let _ = shelf.load(&home, &[word]).expect(125).says(&words).says(&["hint: "]);
        let _ = shelf.load(&home, &["remove", word]).expect(125).says(&words);
    }
    // Another that begins so.
    let twin = format!("{}{}", &identities[0][..12], "0".repeat(52));
    std::fs::write(shelf.path("artifacts").join(&twin), "").unwrap();
    let short = format!("sha256:{}", &identities[0][..12]);
    for words in [&[short.as_str()][..], &["remove", &short]] {
        let ended = shelf.load(&home, words).expect(125);
        let _ = ended.says(&[&twin, &identities[0], "code: store.ambiguous\n", "more digits"]);
    }
    std::fs::remove_file(shelf.path("artifacts").join(&twin)).unwrap();
    let _ = shelf.load(&home, &["remove", &short]).expect(0);
    assert_eq!(shelf.names("artifacts"), [identities[1].clone()]);
    shelf.expect_whole(&home);
}

#[test]
fn what_lies_beside_does_not_stop_a_removal() {
    let (home, shelf, identities) = two();
    // Somebody's notes, a folder where there is none, an envelope and a record that are
    // damaged.
    std::fs::write(shelf.path("artifacts/notes.txt"), "mine").unwrap();
    std::fs::write(shelf.path("names/three"), "damaged").unwrap();
    let fake = "0".repeat(64);
    std::fs::write(shelf.path("artifacts").join(&fake), "damaged").unwrap();
    std::fs::create_dir(shelf.path("images").join(&fake)).unwrap();
    std::fs::create_dir(shelf.path("temporary/folder")).unwrap();
    let _ = shelf.load(&home, &["remove", "one"]).expect(0);
    let _ = shelf.load(&home, &["one"]).expect(125).says(&["is not installed"]);
    assert_eq!(shelf.load(&home, &["two"]).expect(0).text(), "two\n");
    assert_eq!(shelf.names("images").len(), 3, "whose they are is not known");
    assert!(shelf.path("artifacts/notes.txt").exists());
    // With all that is damaged gone, the rest of it goes.
    std::fs::remove_file(shelf.path("names/three")).unwrap();
    let _ = shelf.load(&home, &["gc"]).expect(0);
    assert_eq!(shelf.names("images").len(), 2, "one image, and the folder");
    let left = shelf.names("artifacts");
    assert!(left.contains(&"notes.txt".to_owned()) && left.len() == 2, "{left:?}");
    assert!(identities.iter().any(|identity| left.contains(identity)));
    let _ = shelf.install(&home, &release(&home, "one", 0, "one")).expect(0);
    assert_eq!(shelf.load(&home, &["one"]).expect(0).text(), "one\n");
}

#[test]
fn refused_by_a_store_is_refused() {
    let (home, shelf, _) = two();
    let (_, report) = shelf.report(&home, "absent");
    assert_eq!(report["outcome"]["kind"], "refused", "{report}");
    assert_eq!(report["outcome"]["error"]["code"], "store.not-installed");
    std::fs::remove_file(shelf.path("names/one")).unwrap();
    std::fs::write(shelf.path("names/one"), "damaged").unwrap();
    let (_, report) = shelf.report(&home, "one");
    assert_eq!(report["outcome"]["kind"], "refused", "{report}");
    // So is a store that is not there; and what the system is short of is a failure.
    let path = home.path("other.json");
    let other = |before: &str, store: &Path| {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("{before} exec \"$0\" \"$@\"")]).arg(loader());
        command.arg("--report").arg(&path).arg("--trust").arg(home.public_key());
        let _ = run(command.arg("--store").arg(store).arg("two"), b"").expect(125);
        let text = std::fs::read(&path).unwrap();
        serde_json::from_slice::<serde_json::Value>(&text).unwrap()
    };
    let report = other("", Path::new("/nowhere/store"));
    assert_eq!(report["outcome"]["kind"], "refused", "{report}");
    assert_eq!(report["outcome"]["error"]["code"], "store.system");
    let report = other("exec 3>&- 4>&- 5>&-; ulimit -n 6;", &shelf.path(""));
    assert_eq!(report["outcome"]["kind"], "failed", "{report}");
}

#[test]
fn every_item_has_its_code_and_the_list_its_store() {
    let (home, shelf, _) = two();
    let stranger = Home::with_seed(9);
    let all = shelf.load(&stranger, &["verify", "--all"]).expect(125);
    let lines: Vec<String> = all.text().lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), 2);
    assert!(lines.iter().all(|line| line.ends_with(" signature.unknown-key")), "{lines:?}");
    assert_eq!(all.stderr.matches("code: signature.unknown-key\n").count(), 2);
    let listed = shelf.load(&home, &["list"]).expect(0).text();
    let place = format!("  in {}", shelf.store().display());
    assert_eq!(listed.matches(&place).count(), 2, "{listed}");
    let source = home.compile(&fixtures().join("wat/hello.wat"), &["--expires", "2099-12-31"]);
    let _ = shelf.install(&home, &source).expect(0);
    let listed = shelf.load(&home, &["list"]).expect(0).text();
    assert!(listed.contains(", expires 2099-12-31T00:00:00Z"), "{listed}");
}

#[test]
fn hints_lead_somewhere() {
    let home = Home::new();
    let artifact = home.fixture("wat/hello.wat");
    if !is_root() {
        let unreadable = home.path("secret.bls");
        std::fs::copy(&artifact, &unreadable).unwrap();
        let none = std::os::unix::fs::PermissionsExt::from_mode(0o0);
        std::fs::set_permissions(&unreadable, none).unwrap();
        let ended = load(&home, &["secret.bls"], b"").expect(125);
        let _ = ended.says(&["code: file.unreadable\n", "hint: see that you may read it"]);
        return;
    }
    // Read as nobody.
    let temporary = tempfile::tempdir_in("/var/tmp").unwrap();
    let folder = temporary.path().to_owned();
    let mode = |path: &Path, mode: u32| {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
        std::fs::set_permissions(path, mode).unwrap();
    };
    mode(&folder, 0o755);
    for (from, name) in
        [(loader(), "bls-load"), (artifact, "hello.bls"), (home.public_key(), "key.pub")]
    {
        std::fs::copy(from, folder.join(name)).unwrap();
    }
    mode(&folder.join("hello.bls"), 0o600);
    mode(&folder.join("bls-load"), 0o755);
    let mut command = Command::new("setpriv");
    command.args(["--reuid=61509", "--regid=61509", "--clear-groups", "./bls-load"]);
    let ended = run(command.args(["--trust", "key.pub", "./hello.bls"]).current_dir(&folder), b"");
    let _ = ended.expect(125).says(&[
        "code: file.unreadable\n",
        "hint: see that you may read it",
        "ls -l ./hello.bls",
    ]);
    // A store that cannot be written.
    let script = "mount -t tmpfs -o ro none /mnt || exit 77; exec \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", script, "sh"]).arg(loader()).arg("--trust");
    command.arg(home.public_key()).args(["--store", "/mnt/bls", "install"]);
    let ended = run(command.arg(folder.join("hello.bls")), b"");
    if ended.code != Some(77) {
        let _ = ended.expect(125).says(&["Read-only file system", "name another store"]);
    }
}
