//! What the owner of a device does with artifacts: installs several, looks before, goes back to
//! an earlier release, sees what is there, and hears what ran.

use bls_artifact::digest::Sha256;
use bls_artifact::key::PrivateKey;
use bls_tests::installed::{Shelf, release, resigned};
use bls_tests::programs::{Ended, Home, compiler, loader, run};
use std::collections::BTreeMap;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// Every file below a folder, with its bytes; folders too.
fn tree(folder: &Path) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for entry in entries {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path.clone());
                found.insert(path, None);
            } else {
                let bytes = std::fs::read(&path).unwrap();
                found.insert(path, Some(bytes));
            }
        }
    }
    found
}

/// The identity of the one artifact that an install says is installed.
fn identity(said: &Ended) -> String {
    let said = said.text();
    said.split("sha256:").nth(1).unwrap()[..64].to_owned()
}

#[test]
fn of_several_files_each_is_installed_or_not() {
    let (home, shelf) = (Home::new(), Shelf::new());
    let good = text(&release(&home, "one", 1, "one"));
    let other = text(&release(&home, "two", 2, "two"));
    let stranger = Home::with_seed(9);
    let strange = text(&release(&stranger, "three", 3, "three"));
    let broken = home.path("broken.bls");
    let mut bytes = std::fs::read(&good).unwrap();
    bytes.truncate(bytes.len() - 1);
    std::fs::write(&broken, bytes).unwrap();

    let all = ["install", &good, &strange, &text(&broken), "absent.bls", &other];
    let ended = shelf.load(&home, &all).expect(125);
    let said = ended.text();
    let lines: Vec<&str> = said.lines().collect();
    assert!(lines[0].starts_with("one, release 1, is installed in "), "{said}");
    assert_eq!(lines[1], format!("{strange} is not installed: signature.unknown-key"));
    assert!(lines[2].starts_with(&format!("{} is not installed: ", broken.display())), "{said}");
    assert_eq!(lines[3], "absent.bls is not installed: file.missing");
    assert!(lines[4].starts_with("two, release 2, is installed in "), "{said}");
    assert_eq!(lines[5..], ["2 of 5 installed"]);
    let _ = ended.says(&[
        "bls-load: install: 3 of 5 files cannot be installed",
        "code: signature.unknown-key\n",
        "code: install.some-refused\n",
    ]);
    assert_eq!(shelf.names("names"), ["one", "two"]);
    assert_eq!(shelf.load(&home, &["two"]).expect(0).text(), "two\n");
    shelf.expect_whole(&home);

    let ended = shelf.load(&home, &["install", &good, &other]).expect(0);
    assert!(ended.text().ends_with("\n2 of 2 installed\n"), "{}", ended.text());
    assert_eq!(ended.stderr, "");
    // In their order: an older release behind a newer one is refused as ever.
    let newer = text(&release(&home, "one", 5, "five"));
    let ended = shelf.load(&home, &["install", &newer, &good]).expect(125);
    let _ = ended.says(&["one: release 1 is older than release 5", "code: freshness.rollback\n"]);
    assert_eq!(shelf.load(&home, &["one"]).expect(0).text(), "five\n");

    for (words, says) in [
        (&["install", "-", "-"][..], "standard input is one file"),
        (&["install", "--digest", &format!("sha256:{}", "0".repeat(64)), "a", "b"], "of one file"),
        (&["install"], "needs the file"),
        (&["install", "a.bls", "--explain"], "options stand before it"),
        (&["remove", "--dry-run", "one"], "--dry-run is for install, pull and rollback"),
    ] {
        let _ = shelf.load(&home, words).expect(125).says(&[says, "code: usage.words\n"]);
    }
}

#[test]
fn a_dry_run_writes_nothing_and_judges_alike() {
    let (home, shelf) = (Home::new(), Shelf::new());
    let one = text(&release(&home, "app", 1, "one"));
    let five = text(&release(&home, "app", 5, "five"));
    let other = text(&release(&home, "app", 5, "cinq"));
    // There is not even a store.
    let said = shelf.load(&home, &["install", "--dry-run", &one]).expect(0);
    assert!(said.text().starts_with("app, release 1, would be installed in "), "{}", said.text());
    assert!(!shelf.store().exists());

    let installed = identity(&shelf.load(&home, &["install", &five]).expect(0));
    std::fs::remove_file(shelf.path("lock")).unwrap();
    let before = tree(&shelf.store());
    let dry = |words: &[&str]| {
        let ended = shelf.load(&home, words);
        assert_eq!(tree(&shelf.store()), before, "{words:?}");
        ended
    };
    let ended = dry(&["install", "--dry-run", &five]).expect(0);
    assert!(ended.text().ends_with(&format!("sha256:{installed}, where it is already\n")));
    let ended = dry(&["install", "--dry-run", &other]).expect(0);
    assert!(ended.text().ends_with(&format!(", in the place of sha256:{installed}\n")));
    // Exactly what an install would refuse.
    let ended = dry(&["install", "--dry-run", &other, &one]).expect(125);
    assert!(ended.text().ends_with("\n1 of 2 would be installed\n"), "{}", ended.text());
    let _ = ended.says(&["release 1 is older than release 5", "code: freshness.rollback\n"]);
    let ended = dry(&["rollback", "--dry-run", "app"]).expect(125);
    let _ = ended.says(&["no earlier release of app is kept in", "code: store.nothing-before\n"]);
    let ended = dry(&["rollback", "--dry-run", "absent"]).expect(125);
    let _ = ended.says(&["absent is not installed", "code: store.not-installed\n"]);
}

#[test]
fn a_way_back_leads_to_the_release_before_where_sequences_permit() {
    let (home, shelf) = (Home::new(), Shelf::new());
    let left = identity(&shelf.install(&home, &release(&home, "app", 3, "left")).expect(0));
    let right = identity(&shelf.install(&home, &release(&home, "app", 3, "right")).expect(0));
    let _ = shelf.install(&home, &release(&home, "other", 9, "other")).expect(0);
    let dry = shelf.load(&home, &["rollback", "--dry-run", "app"]).expect(0).text();
    assert!(dry.starts_with("app, release 3, would be in "), "{dry}");
    assert_eq!(shelf.load(&home, &["app"]).expect(0).text(), "right\n");
    let said = shelf.load(&home, &["rollback", "app"]).expect(0).text();
    let expected = format!("again: sha256:{left}, and no more sha256:{right}\n");
    assert!(said.starts_with("app, release 3, is in ") && said.ends_with(&expected), "{said}");
    assert_eq!(shelf.load(&home, &["app"]).expect(0).text(), "left\n");
    shelf.expect_whole(&home);
    // And forth again, by name and by digits.
    let _ = shelf.load(&home, &["rollback", "app"]).expect(0);
    assert_eq!(shelf.load(&home, &["app"]).expect(0).text(), "right\n");
    let digits = format!("sha256:{}", &left[..8]);
    let _ = shelf.load(&home, &["rollback", "app", &digits]).expect(0);
    assert_eq!(shelf.load(&home, &["app"]).expect(0).text(), "left\n");

    // Of three nobody knows which is meant, until it is said.
    let _ = shelf.install(&home, &release(&home, "app", 3, "third")).expect(0);
    let ended = shelf.load(&home, &["rollback", "app"]).expect(125);
    let _ = ended.says(&[&left, &right, "hint: say which", "code: store.several-before\n"]);
    let _ = shelf.load(&home, &["rollback", "app", &format!("sha256:{right}")]).expect(0);
    assert_eq!(shelf.load(&home, &["app"]).expect(0).text(), "right\n");

    // Below the highest it does not go, whoever asks, and nothing has changed.
    let _ = shelf.install(&home, &release(&home, "app", 5, "five")).expect(0);
    let before = tree(&shelf.store());
    let wanted = format!("sha256:{left}");
    for words in [&["rollback", "app", &wanted][..], &["rollback", "--dry-run", "app", &wanted]] {
        let ended = shelf.load(&home, words).expect(125);
        let _ = ended.says(&[
            "app: release 3 is older than release 5",
            "\"reset\": [{\"name\": \"app\", \"sequence\": 3}]",
            "bls-compile --sequence 6",
            "code: freshness.rollback\n",
        ]);
    }
    assert_eq!(tree(&shelf.store()), before);
    // Nor to another name, to what is not there, or to what nobody trusts any more.
    let of_other = Sha256::of(b"nothing").to_string();
    let ended = shelf.load(&home, &["rollback", "app", &format!("sha256:{of_other}")]);
    let _ = ended.expect(125).says(&["is not installed", "code: store.not-installed\n"]);
    let ended = shelf.load(&home, &["rollback", "other", &wanted]).expect(125);
    let _ = ended.says(&["code: store.other-name\n"]);
    let strange = Home::with_seed(9);
    let ended = shelf.load(&strange, &["rollback", "app", &wanted]).expect(125);
    let _ = ended.says(&["code: signature.unknown-key\n"]);
    // What gc has taken is no way back.
    let _ = shelf.load(&home, &["gc"]).expect(0);
    let ended = shelf.load(&home, &["rollback", "app"]).expect(125);
    let _ = ended.says(&["code: store.nothing-before\n", "gc removes what was replaced"]);
    for words in [&["rollback"][..], &["rollback", &wanted], &["rollback", "app", "other"]] {
        let _ = shelf.load(&home, words).expect(125).says(&["code: usage.words\n"]);
    }
}

#[test]
fn a_reset_that_root_keys_signed_leads_back_once() {
    let (home, shelf) = (Home::new(), Shelf::new());
    let _ = shelf.install(&home, &release(&home, "app", 3, "three")).expect(0);
    let _ = shelf.install(&home, &release(&home, "app", 5, "five")).expect(0);
    let root = PrivateKey::from_seed(&[11; 32]);
    std::fs::write(home.path("root.pem"), root.to_pem()).unwrap();
    std::fs::set_permissions(home.path("root.pem"), Permissions::from_mode(0o600)).unwrap();
    std::fs::write(home.path("root.pub"), root.public().to_pem()).unwrap();
    let trust = |words: &[&str]| {
        let mut command = Command::new(loader());
        run(command.current_dir(home.path("")).arg("trust").args(words), b"").expect(0)
    };
    let _ = trust(&["init", "--file", "draft.json", "--root-threshold", "1", "--root", "root.pub"]);
    let _ = trust(&["add", "test.pub", "--file", "draft.json"]);
    let draft = std::fs::read_to_string(home.path("draft.json")).unwrap();
    let sign = |draft: &str, name: &str| {
        std::fs::write(home.path("with.json"), draft).unwrap();
        let mut command = Command::new(compiler());
        command.current_dir(home.path("")).args(["trust", "sign", "with.json"]);
        let _ = run(command.args(["--key", "root.pem", "-o", name]), b"").expect(0);
    };
    let reset = "\n  \"reset\": [{\"name\": \"app\", \"sequence\": 3}],\n  \"keys\":";
    sign(&draft.replacen("\"keys\":", reset.trim_start(), 1), "reset.json");
    sign(&draft, "plain.json");
    let with = |trust: &str, words: &[&str]| {
        let mut command = Command::new(loader());
        command.current_dir(home.path("")).arg("--store").arg(shelf.store());
        run(command.args(["--trust", trust]).args(words), b"")
    };
    let _ = with("plain.json", &["rollback", "app"]).expect(125).says(&["freshness.rollback"]);
    let _ = with("reset.json", &["rollback", "--dry-run", "app"]).expect(0);
    assert_eq!(with("plain.json", &["app"]).expect(0).text(), "five\n");
    let _ = with("reset.json", &["rollback", "app"]).expect(0);
    assert_eq!(with("plain.json", &["app"]).expect(0).text(), "three\n");
    shelf.expect_whole(&home);
    // Forward by an install, and back no more: a reset counts once.
    let _ = shelf.install(&home, &release(&home, "app", 8, "eight")).expect(0);
    let _ = with("reset.json", &["rollback", "app"]).expect(125).says(&["freshness.rollback"]);
    assert_eq!(with("reset.json", &["app"]).expect(0).text(), "eight\n");
}

#[test]
fn a_list_says_where_what_is_over_and_what_is_damaged() {
    let (home, shelf) = (Home::new(), Shelf::new());
    std::fs::create_dir(shelf.store()).unwrap();
    let store = text(&shelf.store());
    let said = shelf.load(&home, &["list"]).expect(0).text();
    assert_eq!(said, format!("nothing is installed in {store}\n"));
    let base = release(&home, "app", 4, "word");
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let timed = |name: &str, expires: u64| {
        resigned(&home, &base, name, |manifest| {
            manifest.name = name.to_owned();
            manifest.expires = Some(expires);
        })
    };
    let _ = shelf.install(&home, &timed("later", now + 86_400)).expect(0);
    let soon = timed("soon", now + 2);
    let _ = shelf.install(&home, &soon).expect(0);
    let _ = shelf.install(&home, &release(&home, "holed", 1, "holed")).expect(0);
    let _ = shelf.install(&home, &release(&home, "short", 1, "short")).expect(0);
    // Two artifacts, and the images of the last two are damaged.
    let image = |name: &str| {
        let json = shelf.load(&home, &["list", "--json"]).stdout;
        let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
        let all = json.as_array().unwrap();
        let one = all.iter().find(|one| one["name"] == name).unwrap();
        let envelope = shelf.path("artifacts").join(one["identity"].as_str().unwrap());
        let envelope = std::fs::read(envelope).unwrap();
        let envelope = bls_artifact::envelope::Envelope::parse(&envelope).unwrap();
        let manifest = bls_artifact::manifest::Statement::parse(envelope.payload()).unwrap();
        shelf.path("images").join(manifest.parts[0].image.sha256.to_string())
    };
    let (holed, short) = (image("holed"), image("short"));
    std::fs::remove_file(holed).unwrap();
    let bytes = std::fs::read(&short).unwrap();
    std::fs::remove_file(&short).unwrap();
    std::fs::write(&short, &bytes[1..]).unwrap();
    while std::time::UNIX_EPOCH.elapsed().unwrap().as_secs() <= now + 2 {
        std::thread::sleep(Duration::from_millis(100));
    }

    let ended = shelf.load(&home, &["list"]).expect(125);
    let said = ended.text();
    let line = |name: &str| said.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
    assert!(line("later ").contains(&format!(" in {store}, expires 2")), "{said}");
    assert!(line("soon ").contains(", expired 2"), "{said}");
    assert!(line("holed ").ends_with(&format!(" damaged, in {store}")), "{said}");
    assert!(line("short ").ends_with(&format!(" damaged, in {store}")), "{said}");
    let _ = ended.says(&["is missing", "is damaged", "install the artifact again"]);
    let json = shelf.load(&home, &["list", "--json"]).expect(125).stdout;
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    let of = |name: &str| json.as_array().unwrap().iter().find(|one| one["name"] == name).unwrap();
    assert_eq!((&of("later")["expired"], &of("soon")["expired"]), (&false.into(), &true.into()));
    assert_eq!(
        (&of("holed")["damaged"], &of("holed")["store"]),
        (&"store.missing".into(), &store.clone().into())
    );
    assert_eq!(of("short")["damaged"], "store.damaged");
}

#[test]
fn a_log_says_what_ran_before_it_runs() {
    let (home, shelf) = (Home::new(), Shelf::new());
    let said = shelf.install(&home, &release(&home, "app", 7, "word")).expect(0);
    let key = std::fs::read_to_string(home.public_key()).unwrap();
    let key = bls_artifact::key::PublicKey::from_pem(&key).unwrap().id();
    let expected =
        format!("run: name=app release=7 identity=sha256:{} keys={key}", identity(&said));

    let ended = shelf.load(&home, &["--log", "stderr", "app"]).expect(0);
    let said: Vec<&str> = ended.stderr.lines().collect();
    let [began, end] = said[..] else { panic!("{}", ended.stderr) };
    assert!(began.starts_with(&format!("bls-load: {expected} memory_limit_bytes=")), "{began}");
    assert!(end.starts_with("bls-load: ended: name=app identity=sha256:"), "{end}");
    assert!(end.contains(" outcome=exited exit_code=0 fuel="), "{end}");
    assert_eq!(ended.text(), "word\n");
    assert_eq!(shelf.load(&home, &["app"]).expect(0).stderr, "");

    let path = home.path("log");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let hear = || {
        let mut bytes = [0; 1000];
        let count = socket.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..count].to_vec()).unwrap()
    };
    // By an option, and by a policy that the operator has for every run: each place once.
    let policy = home.path("policy.json");
    let to = text(&path);
    std::fs::write(&policy, format!("{{\"version\": 1, \"log\": \"{to}\"}}")).unwrap();
    let policy = text(&policy);
    for options in [
        &["--log", &to][..],
        &["--policy", &policy],
        &["--policy", &policy, "--log", &to],
        &["--policy", &policy, "--log", "stderr", "--require-sandbox"],
    ] {
        let ended = shelf.load(&home, &[options, &["app"]].concat());
        if ended.code == Some(125) && ended.stderr.contains("confine.incomplete") {
            println!("this kernel has not all of the sandbox");
        } else {
            let _ = ended.expect(0);
        }
        for event in [expected.as_str(), "ended: name=app "] {
            let heard = hear();
            let (begin, line) = heard.split_once("]: ").unwrap();
            let is_refused = line.contains("code=confine.incomplete");
            let severity = if is_refused { "<27>" } else { "<30>" };
            let pid = begin.strip_prefix(severity).unwrap().strip_prefix("bls-load[").unwrap();
            assert!(pid.parse::<u32>().is_ok(), "{heard}");
            assert!(is_refused || line.starts_with(event), "{heard}");
        }
    }
    socket.set_nonblocking(true).unwrap();
    assert!(socket.recv(&mut [0; 10]).is_err(), "each line once");

    // Who asks for it and has no log runs nothing.
    drop(socket);
    let ended = shelf.load(&home, &["--log", &to, "app"]).expect(125);
    assert!(ended.stdout.is_empty());
    let _ = ended.says(&["bls-load: log: cannot log this run to", "hint: ", "code: log.system\n"]);
    let ended = shelf.load(&home, &["--log", "", "app"]).expect(125);
    let _ = ended.says(&["--log takes stderr, syslog, journald", "code: usage.words\n"]);
    std::fs::write(&policy, r#"{"version": 1, "log": "nowhere"}"#).unwrap();
    let ended = shelf.load(&home, &["--policy", &policy, "app"]).expect(125);
    let _ = ended.says(&["log takes stderr, syslog, journald", "code: policy.json\n"]);
}
