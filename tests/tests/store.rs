//! Installed artifacts: what runs under which word, in which integrity mode, and what
//! of a store is believed.

use bls_tests::installed::{Shelf, is_root, release};
use bls_tests::programs::{Ended, Home, fixtures, loader, make_fifo, maps_of_a_running_guest, run};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A user that is nobody else.
const STRANGER: u32 = 61_507;

#[track_caller]
fn refused(ended: Ended, words: &[&str]) {
    let ended = ended.expect(125);
    assert!(ended.stdout.is_empty(), "{}", ended.text());
    let _ = ended.says(&["bls-load: store: ", "hint: "]).says(words);
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// The same command as another user; only root can.
fn as_user(command: &mut Command, user: u32) -> &mut Command {
    use std::os::unix::process::CommandExt as _;
    command.uid(user).gid(user)
}

/// A home that a stranger can read, with a release of `app` in a store.
fn installed() -> (Home, Shelf, PathBuf) {
    let (home, shelf) = (Home::new(), Shelf::new());
    set_mode(&home.path(""), 0o755);
    let artifact = release(&home, "app", 0, "word");
    let _ = shelf.install(&home, &artifact).expect(0);
    (home, shelf, artifact)
}

/// Runs what is installed, and says in which mode, and why not in another.
#[track_caller]
fn mode_of(home: &Home, shelf: &Shelf) -> (String, String) {
    let (ended, report) = shelf.report(home, "app");
    assert_eq!(ended.expect(0).text(), "word\n");
    let word = |name: &str| report["integrity"][name].as_str().unwrap_or_default().to_owned();
    (word("mode"), word("why"))
}

#[test]
fn from_install_to_gc() {
    let (home, shelf, artifact) = installed();
    let identity = shelf.names("artifacts").remove(0);
    for word in ["app", &format!("sha256:{identity}"), &text(&artifact)] {
        assert_eq!(shelf.load(&home, &[word]).expect(0).text(), "word\n", "{word}");
    }
    let listed = shelf.load(&home, &["list"]).expect(0).text();
    assert!(listed.starts_with("app ") && listed.contains(&identity), "{listed}");
    let json = shelf.load(&home, &["list", "--json"]).expect(0).stdout;
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(json[0]["name"], "app");
    assert_eq!(json[0]["current"], true);
    assert_eq!(json[0]["identity"], identity);

    // The image is the code as it is mapped, under its own digest.
    let image = shelf.only("images");
    let sum = run(Command::new("sha256sum").arg(&image), b"").expect(0).text();
    assert!(sum.starts_with(&*image.file_name().unwrap().to_string_lossy()));

    // Another takes its name; both run until it is collected.
    let _ = shelf.install(&home, &release(&home, "app", 0, "other")).expect(0);
    assert_eq!(shelf.load(&home, &["app"]).expect(0).text(), "other\n");
    let old = format!("sha256:{identity}");
    assert_eq!(shelf.load(&home, &[&old]).expect(0).text(), "word\n");
    assert!(shelf.load(&home, &["list"]).expect(0).text().contains("replaced"));
    shelf.expect_whole(&home);
    let collected = shelf.load(&home, &["gc"]).expect(0).text();
    assert!(collected.contains("1 artifacts, 1 images"), "{collected}");
    refused(shelf.load(&home, &[&old]), &["is not installed"]);
    assert_eq!(shelf.load(&home, &["app"]).expect(0).text(), "other\n");

    let _ = shelf.load(&home, &["remove", "app"]).expect(0);
    refused(shelf.load(&home, &["app"]), &["app is not installed in", "./app"]);
    refused(shelf.load(&home, &["remove", "app"]), &["app is not installed"]);
    let listed = shelf.load(&home, &["list"]).expect(0).text();
    assert_eq!(listed, format!("nothing is installed in {}\n", shelf.store().display()));
    assert!(shelf.names("images").is_empty());
}

#[test]
fn arguments_and_options_are_a_runs() {
    let (home, shelf) = (Home::new(), Shelf::new());
    let artifact = home.fixture("wat/args_env.wat");
    let _ = shelf.install(&home, &artifact).expect(0);
    let ended = shelf.load(&home, &["--env", "K=V", "args_env", "--help", "x"]).expect(0);
    assert_eq!(ended.text(), "args_env\n--help\nx\nK=V\n");
    let ended = shelf.load(&home, &["--fuel", "1", "args_env"]).expect(123);
    assert!(ended.stdout.is_empty());
}

#[test]
fn a_word_never_means_a_file_and_a_name_at_once() {
    let (home, shelf, artifact) = installed();
    // A file that is called like it, and another that is not installed.
    std::fs::copy(&artifact, home.path("app")).unwrap();
    std::fs::copy(release(&home, "x", 0, "file"), home.path("loose")).unwrap();
    assert_eq!(shelf.load(&home, &["app"]).expect(0).text(), "word\n");
    refused(shelf.load(&home, &["loose"]), &["loose is not installed", "bls-load ./loose"]);
    assert_eq!(shelf.load(&home, &["./loose"]).expect(0).text(), "file\n");
    // Names that could not be run are not installed.
    refused(
        shelf.install(&home, &release(&home, "app.bls", 0, "bad")),
        &["app.bls", "another name"],
    );
    for name in ["install", "gc", "trust", "list"] {
        let ended = shelf.install(&home, &release(&home, name, 0, "bad")).expect(125);
        let _ = ended.says(&["bls-load: verify: ", "one of bls-load's commands"]);
    }
    // Nothing leads out of the store.
    for word in ["..", ".", "../app", "a/../../b", "-x", ".lock"] {
        let _ = shelf.load(&home, &["remove", "--", word]).expect(125);
        let ended = shelf.load(&home, &["remove", word]).expect(125);
        let _ = ended.says(&["bls-load: usage: ", "code: usage.words\n"]);
    }
    shelf.expect_whole(&home);
}

#[test]
fn roots_store_is_mapped_and_nobody_hashes() {
    if !is_root() {
        println!("not root: no store of root's can be made");
        return;
    }
    let (home, shelf, _) = installed();
    assert_eq!(mode_of(&home, &shelf), ("store".into(), String::new()));
    let ended = shelf.load(&home, &["--explain", "app"]).expect(0);
    let _ = ended.says(&["integrity mode store: trusts root", "stored image mapped"]);

    // Another user, too.
    let mut command = shelf.command(&home, &["--explain", "app"]);
    let ended = run(as_user(&mut command, STRANGER), b"").expect(0);
    assert_eq!(ended.text(), "word\n");
    let _ = ended.says(&["integrity mode store"]);

    // What is mapped is the file, and no page of it is writable and executable.
    let _ = shelf.install(&home, &home.fixture("wat/read-stdin-forever.wat")).expect(0);
    let mut child = running(&home, &shelf, "read-stdin-forever");
    let maps = std::fs::read_to_string(format!("/proc/{}/maps", child.id())).unwrap();
    assert!(!maps.contains("memfd:bls-image") && !maps.contains("rwx"), "{maps}");
    let code = maps.lines().find(|line| line.contains("/images/") && line.contains("r-xp"));
    assert!(code.is_some(), "{maps}");
    child.kill().unwrap();
    let _ = child.wait();
}

/// A guest that runs: its code is mapped from the store.
fn running(home: &Home, shelf: &Shelf, name: &str) -> Child {
    let child = shelf
        .command(home, &[name])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let _ = maps_of_a_running_guest(&child);
    child
}

/// Each of these makes the store mode impossible, and none of them a run.
#[test]
fn anything_odd_is_hashed() {
    if !is_root() {
        println!("not root: the store is its user's, which is odd enough");
        let (home, shelf, _) = installed();
        let (mode, why) = mode_of(&home, &shelf);
        assert_eq!(mode, "copy");
        assert!(why.contains("its user can write the store"), "{why}");
        return;
    }
    let (home, shelf, _) = installed();
    let image = shelf.only("images");
    let odd = |words: &str| {
        let (mode, why) = mode_of(&home, &shelf);
        assert_eq!(mode, "copy", "{words}");
        assert!(why.contains(words), "{why}");
    };
    set_mode(&image, 0o644);
    odd("not root's alone to write");
    set_mode(&image, 0o446);
    odd("not root's alone to write");
    set_mode(&image, 0o444);
    chown(&image, Some(STRANGER), None).unwrap();
    odd("not root's alone to write");
    chown(&image, Some(0), None).unwrap();
    std::fs::hard_link(&image, shelf.beside("link")).unwrap();
    odd("a second name");
    std::fs::remove_file(shelf.beside("link")).unwrap();
    let above = shelf.beside("");
    set_mode(&above, 0o777);
    odd("a folder above the store");
    set_mode(&above, 0o1777);
    odd("a folder above the store");
    set_mode(&above, 0o755);
    chown(&above, Some(STRANGER), None).unwrap();
    odd("a folder above the store");
    chown(&above, Some(0), None).unwrap();
    assert_eq!(mode_of(&home, &shelf).0, "store");
}

#[test]
fn a_store_of_somebody_else_is_hashed() {
    if !is_root() {
        println!("not root: there is nobody else");
        return;
    }
    let (home, shelf) = (Home::new(), Shelf::new());
    set_mode(&home.path(""), 0o755);
    let artifact = release(&home, "app", 0, "word");
    chown(shelf.beside(""), Some(STRANGER), None).unwrap();
    let mut command = shelf.command(&home, &["install", &text(&artifact)]);
    let _ = run(as_user(&mut command, STRANGER), b"").expect(0);
    // It is nobody else's business.
    assert_eq!(std::fs::metadata(shelf.store()).unwrap().mode() & 0o777, 0o700);
    let (mode, why) = mode_of(&home, &shelf);
    assert_eq!(mode, "copy");
    assert!(why.contains(&format!("belongs to user {STRANGER}")), "{why}");
    let mut command = shelf.command(&home, &["--explain", "app"]);
    let ended = run(as_user(&mut command, STRANGER), b"").expect(0);
    let _ = ended.says(&["copy, not store, because its user can write the store", "as root"]);

    // Its code is hashed at each run: no bit of it changes unnoticed.
    let image = shelf.only("images");
    let good = std::fs::read(&image).unwrap();
    set_mode(&image, 0o644);
    for sample in 0..50_usize {
        let mut bytes = good.clone();
        let bit = (sample * 7919) % (bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        std::fs::write(&image, bytes).unwrap();
        let ended = shelf.load(&home, &["app"]).expect(125);
        assert!(ended.stdout.is_empty(), "bit {bit}");
        let _ = ended.says(&["is damaged", "install the artifact again", "store.damaged"]);
    }
    // Root does not write into a store that is not root's, nor the other way round.
    refused(shelf.install(&home, &artifact), &["belongs to another user"]);
    let (home, shelf, artifact) = installed();
    let mut command = shelf.command(&home, &["install", &text(&artifact)]);
    refused(run(as_user(&mut command, STRANGER), b""), &["belongs to another user"]);
    // Nor can a stranger hold the lock, and so keep root from installing.
    let lock = std::fs::metadata(shelf.path("lock")).unwrap();
    assert_eq!(lock.mode() & 0o777, 0o600);
}

#[test]
fn code_that_cannot_be_mapped_from_there_is_copied() {
    let mount = |folder: &Path| {
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", "noexec,mode=755", "tmpfs"]).arg(folder);
        command.output().is_ok_and(|output| output.status.success())
    };
    let (home, shelf) = (Home::new(), Shelf::new());
    std::fs::create_dir(shelf.store()).unwrap();
    if !is_root() || !mount(&shelf.store()) {
        println!("nothing can be mounted here");
        return;
    }
    let _ = shelf.install(&home, &release(&home, "app", 0, "word")).expect(0);
    let seen = std::panic::catch_unwind(|| mode_of(&home, &shelf));
    let _ = Command::new("umount").arg(shelf.store()).output();
    let (mode, why) = seen.unwrap();
    assert_eq!(mode, "copy");
    assert!(why.contains("noexec"), "{why}");
}

#[test]
fn a_store_that_others_can_write_says_nothing() {
    let (home, shelf, artifact) = installed();
    let path = text(&artifact);
    for inside in ["", "names", "artifacts", "images"] {
        let folder = shelf.path(inside);
        for mode in [0o775, 0o757, 0o1777] {
            set_mode(&folder, mode);
            let words = ["can be written by its group or others", "code: store.writable\n"];
            refused(shelf.load(&home, &["app"]), &words);
            refused(shelf.load(&home, &["install", &path]), &["its group or others"]);
        }
        set_mode(&folder, 0o755);
    }
    set_mode(&shelf.path("temporary"), 0o777);
    refused(shelf.load(&home, &["install", &path]), &["temporary can be written by"]);
    set_mode(&shelf.path("temporary"), 0o700);
    for file in [shelf.path("names/app"), shelf.only("artifacts")] {
        set_mode(&file, 0o666);
        refused(shelf.load(&home, &["app"]), &["its group or others"]);
        set_mode(&file, 0o444);
        if is_root() {
            chown(&file, Some(STRANGER), None).unwrap();
            refused(shelf.load(&home, &["app"]), &["another user", "code: store.writable\n"]);
            chown(&file, Some(0), None).unwrap();
        }
    }
    shelf.expect_whole(&home);
}

#[test]
fn only_regular_files_are_read() {
    let (home, shelf, artifact) = installed();
    let files = [shelf.path("names/app"), shelf.only("artifacts"), shelf.only("images")];
    for file in &files {
        let kept = shelf.beside("kept");
        std::fs::rename(file, &kept).unwrap();
        symlink(&kept, file).unwrap();
        let kind = "code: store.kind\n";
        refused(shelf.load(&home, &["app"]), &["is a symbolic link", kind]);
        std::fs::remove_file(file).unwrap();
        make_fifo(file);
        refused(shelf.load(&home, &["app"]), &["is a FIFO", kind]);
        std::fs::remove_file(file).unwrap();
        std::fs::create_dir(file).unwrap();
        refused(shelf.load(&home, &["app"]), &["is a folder", kind]);
        std::fs::remove_dir(file).unwrap();
        let device = Command::new("mknod").arg(file).args(["c", "1", "5"]).output();
        if is_root() && device.is_ok_and(|output| output.status.success()) {
            refused(shelf.load(&home, &["app"]), &["is a device", kind]);
            std::fs::remove_file(file).unwrap();
        }
        if !file.ends_with("app") {
            refused(shelf.load(&home, &["app"]), &["is missing", "install the artifact again"]);
        }
        std::fs::rename(&kept, file).unwrap();
    }
    for folder in ["names", "artifacts", "images"] {
        let (inside, kept) = (shelf.path(folder), shelf.beside("kept"));
        std::fs::rename(&inside, &kept).unwrap();
        symlink(&kept, &inside).unwrap();
        refused(shelf.load(&home, &["app"]), &["no folder", "code: store.kind\n"]);
        refused(shelf.install(&home, &artifact), &["no folder"]);
        std::fs::remove_file(&inside).unwrap();
        std::fs::rename(&kept, &inside).unwrap();
    }
    // The store itself may be a link: where it leads is what is checked.
    let link = shelf.beside("link");
    symlink(shelf.store(), &link).unwrap();
    let mut command = Command::new(loader());
    command.arg("--trust").arg(home.public_key()).arg("--store").arg(&link).arg("app");
    assert_eq!(run(&mut command, b"").expect(0).text(), "word\n");
    shelf.expect_whole(&home);
}

#[test]
fn what_is_damaged_does_not_run_and_can_be_mended() {
    let (home, shelf, artifact) = installed();
    let (envelope, image) = (shelf.only("artifacts"), shelf.only("images"));
    let replace = |file: &Path, bytes: &[u8]| {
        std::fs::remove_file(file).unwrap();
        std::fs::write(file, bytes).unwrap();
        set_mode(file, 0o444);
    };
    let good = std::fs::read(&envelope).unwrap();
    for sample in 0..50_usize {
        let mut bytes = good.clone();
        let bit = (sample * 7919) % (bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        replace(&envelope, &bytes);
        assert!(shelf.load(&home, &["app"]).expect(125).stdout.is_empty(), "bit {bit}");
        replace(&envelope, &good[..(sample * 97) % good.len()]);
        assert!(shelf.load(&home, &["app"]).expect(125).stdout.is_empty());
    }
    // Signed well, and another one.
    let other = release(&home, "other", 0, "other");
    let _ = shelf.install(&home, &other).expect(0);
    for name in shelf.names("artifacts") {
        let file = shelf.path("artifacts").join(name);
        if file != envelope {
            replace(&envelope, &std::fs::read(file).unwrap());
        }
    }
    refused(shelf.load(&home, &["app"]), &["is damaged", "install the artifact again"]);
    let _ = shelf.load(&home, &["verify", "--all"]).expect(125).says(&["is damaged"]);
    // The rest is listed, and what is damaged is named.
    let ended = shelf.load(&home, &["list"]).expect(125);
    let listed = ended.text();
    let line = |name: &str| listed.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
    assert!(line("app ").contains(" damaged, in "), "{listed}");
    assert!(line("other ").contains("sha256:"), "{listed}");
    let _ = ended.says(&[
        "is damaged: it is not what its name says",
        "hint: install the artifact again",
        "bls-load: list: 1 of what is installed cannot be run",
        "code: store.some-refused\n",
    ]);
    let json = shelf.load(&home, &["list", "--json"]).expect(125).stdout;
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    let of = |name: &str| json.as_array().unwrap().iter().find(|one| one["name"] == name).unwrap();
    assert_eq!(of("app")["damaged"], "store.damaged");
    assert_eq!(of("other")["current"], true);
    // An envelope that is not there is no less damaged.
    std::fs::remove_file(&envelope).unwrap();
    let ended = shelf.load(&home, &["list"]).expect(125);
    assert!(ended.text().contains("app ") && ended.text().contains("other "), "{}", ended.text());
    let _ = ended.says(&["is missing", "code: store.missing\n"]);
    let _ = shelf.install(&home, &artifact).expect(0);
    shelf.expect_whole(&home);

    // An image that is too short never is mapped; one that was changed is found.
    let code = std::fs::read(&image).unwrap();
    replace(&image, &code[..code.len() - 1]);
    refused(shelf.load(&home, &["app"]), &["is damaged", "install the artifact again"]);
    let mut changed = code.clone();
    changed[code.len() / 2] ^= 1;
    replace(&image, &changed);
    let ended = shelf.load(&home, &["verify", "--all"]).expect(125);
    assert!(ended.text().contains("bad  app") && ended.text().contains("good other"));
    let _ = ended.says(&["is damaged", "install the artifact again"]);
    let _ = shelf.install(&home, &artifact).expect(0);
    assert_eq!(std::fs::read(&image).unwrap(), code);
    shelf.expect_whole(&home);
}

#[test]
fn signatures_are_verified_at_each_run() {
    let (home, shelf, _) = installed();
    let stranger = Home::with_seed(9);
    let ended = shelf.load(&stranger, &["app"]).expect(125);
    assert!(ended.stdout.is_empty());
    let _ = ended.says(&["bls-load: verify: app is signed by", "does not trust"]);
    let ended = shelf.load(&stranger, &["verify", "--all"]).expect(125);
    assert!(ended.text().contains("bad  app"), "{}", ended.text());
    let foreign = release(&stranger, "app", 0, "foreign");
    let ended = shelf.install(&home, &foreign).expect(125);
    let _ = ended.says(&["does not trust"]);
    assert_eq!(shelf.load(&home, &["app"]).expect(0).text(), "word\n");
}

#[test]
fn compressed_and_fat_artifacts_are_installed_as_what_runs_here() {
    let (home, shelf) = (Home::new(), Shelf::new());
    let hello = fixtures().join("wat/hello.wat");
    let options =
        ["--compress", "--target", "x86_64-unknown-linux-gnu,aarch64-unknown-linux-gnu,pulley64"];
    let artifact = home.compile(&hello, &options);
    let _ = shelf.install(&home, &artifact).expect(0);
    assert_eq!(shelf.load(&home, &["hello"]).expect(0).text(), "hello\n");
    // One image: raw.
    let image = std::fs::read(shelf.only("images")).unwrap();
    assert_eq!(&image[..4], b"\x7fELF");
    shelf.expect_whole(&home);
}

#[test]
fn what_runs_goes_on_whatever_happens_to_the_store() {
    let (home, shelf) = (Home::new(), Shelf::new());
    let cat = home.fixture("wat/cat.wat");
    let _ = shelf.install(&home, &cat).expect(0);
    let finish = |mut child: Child| {
        use std::io::Write as _;
        child.stdin.take().unwrap().write_all(b"still here\n").unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        assert_eq!(output.stdout, b"still here\n");
    };
    let child = running(&home, &shelf, "cat");
    let _ = shelf.install(&home, &cat).expect(0);
    finish(child);
    let child = running(&home, &shelf, "cat");
    let _ = shelf.load(&home, &["remove", "cat"]).expect(0);
    assert!(shelf.names("images").is_empty());
    finish(child);
    let _ = shelf.install(&home, &cat).expect(0);
    let child = running(&home, &shelf, "cat");
    std::fs::remove_dir_all(shelf.store()).unwrap();
    finish(child);
}

/// Nobody but root can, and root is trusted not to: what then happens is the end of that one
/// process, never other code. (How it ends: `crash.rs`.)
#[test]
fn an_image_that_root_truncates_under_a_guest() {
    if !is_root() {
        println!("not root: what is mapped is a sealed copy");
        return;
    }
    let (home, shelf) = (Home::new(), Shelf::new());
    let _ = shelf.install(&home, &home.fixture("wat/cat.wat")).expect(0);
    let mut child = running(&home, &shelf, "cat");
    let image = std::fs::OpenOptions::new().write(true).open(shelf.only("images")).unwrap();
    image.set_len(0).unwrap();
    use std::io::Write as _;
    let _ = child.stdin.take().unwrap().write_all(b"still here\n");
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(125), "{}", output.status);
    assert!(matches!(&*output.stdout, b"" | b"still here\n"), "{:?}", output.stdout);
    refused(shelf.load(&home, &["cat"]), &["is damaged", "code: store.damaged\n"]);
}

#[test]
fn modes_do_not_depend_on_the_umask() {
    let (home, shelf) = (Home::new(), Shelf::new());
    let artifact = release(&home, "app", 0, "word");
    let mut command = Command::new("sh");
    command.arg("-c").arg("umask 077; exec \"$@\"").arg("sh").arg(loader());
    command.arg("--store").arg(shelf.store()).arg("--trust").arg(home.public_key());
    let _ = run(command.arg("install").arg(&artifact), b"").expect(0);
    let mode = |path: PathBuf| std::fs::metadata(path).unwrap().mode() & 0o777;
    assert_eq!(mode(shelf.store()), if is_root() { 0o755 } else { 0o700 });
    assert_eq!(mode(shelf.path("images")), 0o755);
    assert_eq!(mode(shelf.path("temporary")), 0o700);
    for file in [shelf.only("images"), shelf.only("artifacts"), shelf.only("names")] {
        assert_eq!(mode(file), 0o444);
    }
}

/// Without `--store`, in a namespace of mounts where the machine's store is ours alone.
#[test]
fn the_machines_store_is_roots_and_everybody_runs_from_it() {
    const SCRIPT: &str = r#"
        mount -t tmpfs -o mode=755 none /var/lib || exit 77
        load="$1 --trust $2"
        stranger="setpriv --reuid=61507 --regid=61507 --clear-groups"
        set -e
        $load install "$3"
        $load --explain bls-test-system
        $stranger $load --explain bls-test-system
        $stranger "$1" list
        ! $stranger "$1" --store /var/lib/bls gc
        "$1" remove bls-test-system
        test -e /var/lib/bls/names/bls-test-system
    "#;
    let home = Home::new();
    set_mode(&home.path(""), 0o755);
    let artifact = release(&home, "bls-test-system", 3, "word");
    let program = home.path("bls-load");
    std::fs::copy(loader(), &program).unwrap();
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", SCRIPT, "sh"]);
    command.arg(&program).arg(home.public_key()).arg(&artifact).current_dir("/");
    if !is_root()
        || !matches!(Command::new("setpriv").arg("--version").output(), Ok(o) if o.status.success())
    {
        println!("not root: no mounts of our own");
        return;
    }
    let ended = run(&mut command, b"");
    if ended.code == Some(77) {
        println!("nothing can be mounted here");
        return;
    }
    let ended = ended.expect(0);
    let text = ended.text();
    assert!(text.contains("release 3, is installed in /var/lib/bls: sha256:"), "{text}");
    assert_eq!(text.matches("word\n").count(), 2, "{text}");
    assert!(text.contains("bls-test-system is removed from /var/lib/bls"), "{text}");
    assert_eq!(ended.stderr.matches("integrity mode store: trusts root").count(), 2);
    let _ = ended.says(&["/var/lib/bls belongs to another user"]);
}

/// Without `--store`: a user's own store, found without a look at variables.
#[test]
fn a_users_own_store_is_in_the_home_of_the_password_database() {
    if !is_root() {
        println!("only root can become a fresh user");
        return;
    }
    const NAME: &str = "blsstore";
    const ID: &str = "61508";
    let user = Home::new();
    set_mode(&user.path(""), 0o755);
    let folder = user.path("home");
    std::fs::create_dir(&folder).unwrap();
    chown(&folder, Some(61_508), Some(61_508)).unwrap();
    let _ = Command::new("userdel").arg(NAME).output();
    let mut command = Command::new("useradd");
    command.args(["--no-create-home", "--uid", ID, "--home-dir"]).arg(&folder).arg(NAME);
    let _ = run(&mut command, b"").expect(0);
    let artifact = release(&user, "bls-test-own", 0, "word");
    let load = |words: &[&str]| {
        let mut command = Command::new(loader());
        command.current_dir(&folder).args(words).env("HOME", "/nowhere");
        command.env("XDG_DATA_HOME", "/nowhere").env("BLS_STORE", "/nowhere");
        run(as_user(&mut command, 61_508), b"")
    };
    let key = text(&user.public_key());
    let seen = std::panic::catch_unwind(|| {
        let _ = load(&["gc"]).expect(0);
        let said = load(&["--trust", &key, "install", &text(&artifact)]).expect(0).text();
        let store = folder.join(".local/share/bls");
        assert!(said.contains(&text(&store)), "{said}");
        assert_eq!(std::fs::metadata(&store).unwrap().mode() & 0o777, 0o700);
        let ended = load(&["--trust", &key, "--explain", "bls-test-own"]).expect(0);
        assert_eq!(ended.text(), "word\n");
        let _ = ended.says(&["integrity mode copy, not store", "its user can write the store"]);
        assert!(load(&["list"]).expect(0).text().contains("bls-test-own"));
        let _ = load(&["remove", "bls-test-own"]).expect(0);
    });
    let _ = Command::new("userdel").arg(NAME).output();
    seen.unwrap();
}
