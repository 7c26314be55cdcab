//! Knowing without compiling: `key-of`, `--if-changed` and `--cache`, and that none of them ever
//! gives another artifact than compiling does.

use bls_artifact::artifact;
use bls_artifact::artifact::Contents;
use bls_artifact::envelope::Envelope;
use bls_tests::programs::{Ended, Home, compiler, fixtures, run};
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

/// A folder with two modules in it.
fn scene() -> Home {
    let home = Home::new();
    for name in ["hello.wat", "library.wat"] {
        fs::copy(fixtures().join("wat").join(name), home.path(name)).unwrap();
    }
    home
}

fn compile(home: &Home, words: &[&str]) -> Ended {
    let [input, words @ ..] = words else { panic!("an input") };
    run(home.compile_command(Path::new(input)).args(words), b"")
}

/// The key of what these words would compile.
#[track_caller]
fn key_of(home: &Home, words: &[&str]) -> String {
    let mut command = Command::new(compiler());
    let command = command.current_dir(home.path("")).arg("key-of").args(words);
    let ended = run(command, b"").expect(0);
    assert!(ended.stderr.is_empty(), "{}", ended.stderr);
    ended.text().trim_end().to_owned()
}

/// What is kept in a folder.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut entries: Vec<PathBuf> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    entries
}

fn made(home: &Home, name: &str) -> Vec<u8> {
    fs::read(home.path(name)).unwrap()
}

#[test]
fn a_key_is_of_the_source_and_of_every_setting() {
    let home = scene();
    let usual = key_of(&home, &["hello.wat"]);
    assert!(usual.len() == 64 && usual.bytes().all(|byte| byte.is_ascii_hexdigit()), "{usual}");
    // The same content has the same key, wherever it lies and whoever asks.
    fs::create_dir(home.path("x")).unwrap();
    fs::copy(home.path("hello.wat"), home.path("x/other.wat")).unwrap();
    assert_eq!(key_of(&home, &["x/other.wat"]), usual);
    for release in [
        &["--name", "other"][..],
        &["--sequence", "7"],
        &["--expires", "2099-01-01"],
        &["--sbom", "library.wat"],
        &["--key", "./no-such-key"],
        &["-o", "elsewhere.bls"],
        &["--cache", "kept", "--if-changed"],
        &["--max-compile-time", "1m"],
    ] {
        assert_eq!(key_of(&home, &[&["hello.wat"], release].concat()), usual, "{release:?}");
    }
    let mut keys = vec![usual.clone(), key_of(&home, &["library.wat"])];
    for setting in [
        &["--no-fuel"][..],
        &["--fuel-profile"],
        &["--fast-nans"],
        &["--memory", "checked"],
        &["--wasm", "core"],
        &["--compress"],
        &["--compress=3"],
        &["--max-memory", "1M"],
        &["--max-fuel", "1M"],
        &["--max-time", "1s"],
        &["--needs", "stdout"],
        &["--target", "pulley64"],
        &["--target", "pulley64,pulley32"],
        &["--target", "x86_64:v3"],
        &["--module", "math=library.wat"],
    ] {
        keys.push(key_of(&home, &[&["hello.wat"], setting].concat()));
    }
    let count = keys.len();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), count, "two of them are the same");

    // Several, and as JSON; what is no module has a key as well, and is refused by nobody here.
    let both = key_of(&home, &["hello.wat", "library.wat"]);
    assert_eq!(both.lines().next(), Some(format!("{usual}  hello.wat").as_str()));
    assert_eq!(both.lines().count(), 2);
    let json: serde_json::Value =
        serde_json::from_str(&key_of(&home, &["hello.wat", "--json"])).unwrap();
    assert_eq!(json["key"], usual.as_str());
    let result = compile(&home, &["hello.wat", "--json"]).expect(0);
    let result: serde_json::Value = serde_json::from_slice(&result.stdout).unwrap();
    assert_eq!(result["key"], usual.as_str());
    fs::write(home.path("x.wasm"), "no module").unwrap();
    let _ = key_of(&home, &["x.wasm"]);
    let mut command = Command::new(compiler());
    let _ = run(command.args(["key-of", "missing.wasm"]), b"").expect(1).says(&["hint: "]);
}

#[test]
fn an_output_that_answers_is_left_as_it_is() {
    let home = scene();
    let _ = compile(&home, &["hello.wat", "--if-changed"]).expect(0).says(&["signed by"]);
    let first = made(&home, "hello.bls");
    let then = SystemTime::now() - Duration::from_secs(5000);
    let age = || {
        let file = File::options().write(true).open(home.path("hello.bls")).unwrap();
        file.set_modified(then).unwrap();
    };
    let is_left = || fs::metadata(home.path("hello.bls")).unwrap().modified().unwrap() == then;
    age();
    let _ = compile(&home, &["hello.wat", "--if-changed"]).expect(0).says(&["unchanged"]);
    assert!(is_left());
    // Anything else makes it anew, and as if nothing had been there.
    for other in [
        &["--sequence", "7"][..],
        &["--name", "other"],
        &["--expires", "2099-01-01"],
        &["--sbom", "library.wat"],
        &["--needs", "stdout"],
        &["--no-fuel"],
        &["--fast-nans"],
        &["--target", "pulley64"],
    ] {
        fs::write(home.path("hello.bls"), &first).unwrap();
        age();
        let words = [&["hello.wat", "--if-changed"], other].concat();
        let ended = compile(&home, &words).expect(0);
        assert!(!is_left() && !ended.stderr.contains("unchanged"), "{other:?}");
        let fresh = [&["hello.wat", "-o", "fresh.bls"], other].concat();
        let _ = compile(&home, &fresh).expect(0);
        assert_eq!(made(&home, "hello.bls"), made(&home, "fresh.bls"), "{other:?}");
        let _ = compile(&home, &words).expect(0).says(&["unchanged"]);
    }
    // Another key, another source, damage, half a file, something else altogether.
    let other = Home::with_seed(8);
    fs::copy(other.key(), home.path("other.key")).unwrap();
    fs::write(home.path("hello.bls"), &first).unwrap();
    let mut command = Command::new(compiler());
    let command = command.current_dir(home.path("")).args(["hello.wat", "--if-changed", "--key"]);
    let ended = run(command.arg("./other.key"), b"").expect(0);
    assert!(!ended.stderr.contains("unchanged"), "{}", ended.stderr);
    let mut damaged = first.clone();
    let at = damaged.len() - 100;
    damaged[at] ^= 1;
    let source = fs::read(home.path("hello.wat")).unwrap();
    for wrong in [&damaged[..], &first[..first.len() / 2], &source, b""] {
        fs::write(home.path("hello.bls"), wrong).unwrap();
        let ended = compile(&home, &["hello.wat", "--if-changed"]).expect(0);
        assert!(!ended.stderr.contains("unchanged"), "{}", ended.stderr);
        assert_eq!(made(&home, "hello.bls"), first);
    }
    fs::write(home.path("hello.wat"), [&source[..], b";; more\n"].concat()).unwrap();
    let ended = compile(&home, &["hello.wat", "--if-changed"]).expect(0);
    assert!(!ended.stderr.contains("unchanged"), "{}", ended.stderr);

    for (words, said) in [
        (&["hello.wat", "--if-changed", "-o", "-"][..], "name a file with -o"),
        (&["hello.wat", "--if-changed", "--emit", "wasm"], "--emit makes none"),
        (&["hello.wat", "--cache", "x", "--emit", "wasm"], "--emit makes none"),
    ] {
        let _ = compile(&home, words).expect(2).says(&[said]);
    }
}

#[test]
fn somebody_elses_signature_beside_ours_stays() {
    let home = scene();
    let artifact = home.fixture("wat/hello.wat");
    let other = Home::with_seed(8);
    let mut command = Command::new(compiler());
    command.current_dir(home.path("")).arg("sign").arg(&artifact).arg("--rebuild");
    let _ = run(command.arg("hello.wat").arg("--key").arg(other.key()), b"").expect(0);
    let signed = fs::read(&artifact).unwrap();
    let _ = compile(&home, &["hello.wat", "--if-changed"]).expect(0).says(&["unchanged"]);
    assert_eq!(fs::read(&artifact).unwrap(), signed);
}

#[test]
fn what_is_kept_is_what_would_be_compiled() {
    let home = scene();
    let kept = home.path("kept");
    for options in [
        &[][..],
        &["--no-fuel"],
        &["--compress=3"],
        &["--target", "x86_64:v3,aarch64,pulley32"],
        &["--needs", "stdout", "--max-memory", "1M", "--max-fuel", "1G"],
        &["--memory", "checked", "--wasm", "core", "--fast-nans"],
        &["--fuel-profile"],
        &["--module", "math=library.wat"],
    ] {
        let plain = [&["hello.wat", "-o", "plain.bls"], options].concat();
        let _ = compile(&home, &plain).expect(0);
        let words = [&["hello.wat", "--cache", "kept"], options].concat();
        for said in ["signed by", "from the cache"] {
            let _ = fs::remove_file(home.path("hello.bls"));
            let ended = compile(&home, &words).expect(0).says(&[said]);
            assert_eq!(ended.stderr.contains("from the cache"), said == "from the cache");
            let plain = made(&home, "plain.bls");
            // But for the name, which is that of the output nowhere.
            assert_eq!(made(&home, "hello.bls"), plain, "{options:?}");
        }
    }
    assert_eq!(entries(&kept).len(), 8);

    // The same code under another release is signed, and not compiled.
    let release = ["--name", "other", "--sequence", "9", "--expires", "2099-01-01"];
    let _ = compile(&home, &[&["hello.wat", "-o", "plain.bls"][..], &release].concat()).expect(0);
    let words = [&["hello.wat", "--cache", "kept"][..], &release].concat();
    let _ = compile(&home, &words).expect(0).says(&["from the cache"]);
    assert_eq!(made(&home, "hello.bls"), made(&home, "plain.bls"));
    assert_eq!(entries(&kept).len(), 8, "it takes the place of the one before");
    // A release that cannot be is refused as ever.
    let mut command = home.compile_command(Path::new("hello.wat"));
    command.args(["--cache", "kept", "--expires", "2099-01-01"]);
    let refused = run(command.env("SOURCE_DATE_EPOCH", "5000000000"), b"").expect(1);
    let _ = refused.says(&["it would expire before it was created"]);
    let _ = compile(&home, &["hello.wat", "--cache", "kept", "--name", "run"])
        .expect(1)
        .says(&["code: name.refused"]);
    // Another key finds nothing of it.
    let other = Home::with_seed(8);
    let mut command = Command::new(compiler());
    command.current_dir(home.path("")).args(["hello.wat", "--cache", "kept", "--key"]);
    let ended = run(command.arg(other.key()), b"").expect(0);
    assert!(!ended.stderr.contains("from the cache"), "{}", ended.stderr);
    assert_eq!(entries(&kept).len(), 9);
}

#[test]
fn what_is_not_what_it_should_be_is_compiled_again_with_a_word() {
    let home = scene();
    let words = ["hello.wat", "--cache", "kept"];
    let _ = compile(&home, &words).expect(0);
    let whole = made(&home, "hello.bls");
    let [entry] = &entries(&home.path("kept"))[..] else { panic!("one entry") };
    let mut flipped = whole.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 0x10;
    // Another source's artifact by the same key, other settings, and another key's of the same.
    let other_source = fs::read(home.compile(Path::new("library.wat"), &[])).unwrap();
    let _ = compile(&home, &["hello.wat", "--no-fuel", "-o", "other.bls"]).expect(0);
    let other_settings = made(&home, "other.bls");
    let stranger = Home::with_seed(8);
    let other_key = fs::read(stranger.compile(&home.path("hello.wat"), &[])).unwrap();
    // The right statement with a signature that is no good.
    let (contents, parts) = Contents::parse(&whole).unwrap();
    let envelope = Envelope::parse(contents.envelope).unwrap();
    let signed = bls_artifact::envelope::Claim::new(envelope.claims()[0].key_id, [7; 64]);
    let forged = Envelope::of(envelope.payload().to_vec(), vec![signed]);
    let forged = artifact::write(&forged.to_bytes(), &parts);
    for (what, wrong) in [
        ("flipped", &flipped[..]),
        ("cut", &whole[..middle]),
        ("empty", b""),
        ("longer", &[&whole[..], b"\0"].concat()),
        ("a module", b"\0asm\x01\0\0\0"),
        ("another source", &other_source),
        ("other settings", &other_settings),
        ("another key", &other_key),
        ("forged", &forged),
    ] {
        fs::write(entry, wrong).unwrap();
        fs::remove_file(home.path("hello.bls")).unwrap();
        let ended = compile(&home, &words).expect(0);
        let ended =
            ended.says(&["bls-compile: cache: ", "is not what it should be", "compiled again"]);
        assert!(!ended.stderr.contains("from the cache"), "{what}: {}", ended.stderr);
        assert_eq!(made(&home, "hello.bls"), whole, "{what}");
        assert_eq!(fs::read(entry).unwrap(), whole, "{what}: and mended");
    }
    // What is no regular file is as good as not there.
    fs::remove_file(entry).unwrap();
    std::os::unix::fs::symlink("/dev/zero", entry).unwrap();
    let _ = compile(&home, &words).expect(0);
    assert_eq!(made(&home, "hello.bls"), whole);
    let _ = compile(&home, &words).expect(0).says(&["from the cache"]);
    // -q says nothing of it.
    fs::write(entry, "").unwrap();
    let quiet = compile(&home, &["hello.wat", "--cache", "kept", "-q"]).expect(0);
    assert_eq!(quiet.stderr, "");
}

#[test]
fn a_cache_that_cannot_be_used_fails_no_build() {
    let home = scene();
    fs::write(home.path("file"), "").unwrap();
    let ended = compile(&home, &["hello.wat", "--cache", "file/kept"]).expect(0);
    let _ = ended.says(&["cannot keep what is compiled in", "compiled without it", "signed by"]);
    // A full disk, as far as a limit on files can be one: the entry is larger, the result is not.
    let plain = fs::read(home.fixture("wat/hello.wat")).unwrap();
    let mut command = Command::new("sh");
    let script = "ulimit -f 1; exec \"$0\" \"$@\"";
    let compile_command = home.compile_command(Path::new("hello.wat"));
    command.args(["-c", script]).arg(compiler()).args(compile_command.get_args());
    command.current_dir(home.path("")).args(["--cache", "kept", "-o", "-"]);
    let ended = run(&mut command, b"").expect(0);
    assert_eq!(ended.stdout, plain);
    let _ = ended.says(&["bls-compile: cache: cannot write", "not kept"]);
    assert_eq!(entries(&home.path("kept")).len(), 0, "nothing half written is left");
    if !rustix::process::getuid().is_root() {
        fs::set_permissions(home.path("kept"), fs::Permissions::from_mode(0o500)).unwrap();
        let _ = compile(&home, &["hello.wat", "--cache", "kept"]).expect(0).says(&["not kept"]);
    }
}

#[test]
fn a_cache_is_bounded_and_many_may_use_it() {
    let home = scene();
    let kept = home.path("kept");
    for number in 0..6 {
        let text =
            format!("(module (func (export \"_start\")) (func (result i32) i32.const {number}))");
        fs::write(home.path(&format!("m{number}.wat")), text).unwrap();
    }
    let size = {
        let _ = compile(&home, &["m0.wat", "--cache", "kept"]).expect(0);
        fs::metadata(&entries(&kept)[0]).unwrap().len()
    };
    // Room for three and a half.
    let room = (size * 7 / 2).to_string();
    let keep = |number: u32| {
        let input = format!("m{number}.wat");
        let ended = compile(&home, &[&input, "--cache", "kept", "--cache-size", &room]).expect(0);
        ended.stderr.contains("from the cache")
    };
    let old = |seconds: u64| {
        for entry in entries(&kept) {
            let file = File::options().write(true).open(entry).unwrap();
            let time = file.metadata().unwrap().modified().unwrap();
            file.set_modified(time - Duration::from_secs(seconds)).unwrap();
        }
    };
    for number in 1..3 {
        old(100);
        assert!(!keep(number));
    }
    // The first is used again, so the second goes when there is no room.
    old(100);
    assert!(keep(0));
    old(100);
    assert!(!keep(3));
    assert_eq!(entries(&kept).len(), 3);
    assert!(keep(0) && keep(2) && keep(3), "those that were used last are there");
    assert!(!keep(1));

    let children: Vec<_> = (0..12)
        .map(|number| {
            let mut command = home.compile_command(&home.path(&format!("m{}.wat", number % 3)));
            command.args(["--cache", "shared", "-o"]).arg(home.path(&format!("{number}.bls")));
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    for child in children {
        let ended = Ended::from(child.wait_with_output().unwrap()).expect(0);
        assert!(!ended.stderr.contains("not what it should be"), "{}", ended.stderr);
    }
    assert_eq!(entries(&home.path("shared")).len(), 3);
    for number in 0..12 {
        let one = made(&home, &format!("{number}.bls"));
        assert_eq!(one, made(&home, &format!("{}.bls", number % 3)));
    }
}

/// The Makefile of contrib/, in a fresh folder, as two checkouts would use it.
#[test]
fn the_makefile_compiles_what_has_changed() {
    if Command::new("make").arg("--version").output().is_err() {
        println!("skipped: make is not installed");
        return;
    }
    let home = scene();
    let makefile = Path::new(env!("CARGO_MANIFEST_DIR")).join("../contrib/make/Makefile");
    let checkout = |name: &str| {
        fs::create_dir_all(home.path(name).join("src")).unwrap();
        fs::copy(&makefile, home.path(name).join("Makefile")).unwrap();
        for module in ["hello.wat", "library.wat"] {
            fs::copy(home.path(module), home.path(name).join("src").join(module)).unwrap();
        }
    };
    let make = |name: &str| {
        let mut command = Command::new("make");
        command.current_dir(home.path(name)).env("BLS_COMPILE", compiler());
        command.env("BLS_KEY_TEXT", fs::read_to_string(home.key()).unwrap());
        command.arg("SIGNER=env:BLS_KEY_TEXT").arg(format!("CACHE={}", home.path("ci").display()));
        run(&mut command, b"").expect(0)
    };
    checkout("first");
    let first = make("first");
    assert_eq!(first.stderr.matches("signed by").count(), 2, "{}", first.stderr);
    assert!(!first.stderr.contains("from the cache"), "{}", first.stderr);
    let again = make("first");
    assert!(again.text().contains("Nothing to be done") || again.stderr.is_empty(), "{again:?}");
    // A newer file of the same content.
    fs::copy(home.path("hello.wat"), home.path("first/src/hello.wat")).unwrap();
    let file = File::options().write(true).open(home.path("first/src/hello.wat")).unwrap();
    file.set_modified(SystemTime::now() + Duration::from_secs(100)).unwrap();
    assert_eq!(make("first").stderr.matches("unchanged").count(), 1);
    // Another checkout, where one module is another.
    checkout("second");
    fs::write(home.path("second/src/hello.wat"), "(module (func (export \"_start\")))").unwrap();
    let second = make("second");
    assert_eq!(second.stderr.matches("from the cache").count(), 1, "{}", second.stderr);
    let both = ["first", "second"].map(|folder| made(&home, &format!("{folder}/dist/library.bls")));
    assert_eq!(both[0], both[1]);
}
