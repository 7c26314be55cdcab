//! The places where trust files and policies act by default, and how keys get there: who
//! could have put what there, by which links, in which namespaces, by which commands.
//!
//! Root runs most of this: in namespaces of its own, where `/etc/bls`, `/var/lib` and root's
//! home are empty. For others these tests say so, and pass.

use bls_artifact::key::PrivateKey;
use bls_tests::programs::{Ended, Home, compiler, fixtures, loader, manual, run};
use bls_tests::users::{FreshUser, may_make_users};
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;

/// What each script begins with: `hello` runs what no word trusts, by the machine's files.
const PRIVATE: &str = r#"
    set -u
    mount --make-rprivate / && mount -t tmpfs -o mode=755 none /var/lib || exit 77
    # A copy of the machine's settings, to be changed. Other tests make users meanwhile, so
    # some of it can be gone before it is copied.
    mount -t tmpfs -o mode=755 none /mnt || exit 77
    cp -a /etc/. /mnt/ 2>/dev/null; [ -s /mnt/passwd ] || exit 77
    mount --move /mnt /etc && mkdir -m 755 -p /etc/bls || exit 77
    home=$(getent passwd 0 | cut -d: -f6)
    mount -t tmpfs -o mode=700 none "$home" || exit 77
    load=$PWD/bls-load compile=$PWD/bls-compile
    hello() { "$load" ./hello.bls "$@"; }
    check() { what=$1; shift; "$@" >out 2>err; got=$?; }
    says() { grep -qF -- "$1" err || { echo "$what ($got): no \"$1\" in:"; cat out err; exit 1; }; }
    runs() { [ "$got" = 0 ] && grep -qx "${1-hello}" out || { echo "$what: $got"; cat out err; exit 1; }; }
    refused() { [ "$got" = 125 ] || { echo "$what: $got, not refused"; cat out err; exit 1; }; says "code: $1"; }
"#;

/// A folder that everybody reads, with both programs, an artifact, its key and another.
struct Scene {
    folder: PathBuf,
    _temporary: tempfile::TempDir,
}

impl Scene {
    fn new() -> Self {
        let home = Home::new();
        let temporary = tempfile::tempdir_in("/var/tmp").unwrap();
        let folder = temporary.path().to_owned();
        std::fs::set_permissions(&folder, Permissions::from_mode(0o755)).unwrap();
        let other = home.path("other.pub");
        std::fs::write(&other, PrivateKey::from_seed(&[9; 32]).public().to_pem()).unwrap();
        for (from, name, mode) in [
            (loader(), "bls-load", 0o755),
            (compiler(), "bls-compile", 0o755),
            (home.fixture("wat/hello.wat"), "hello.bls", 0o644),
            (home.public_key(), "key.pub", 0o644),
            (other, "other.pub", 0o644),
        ] {
            std::fs::copy(from, folder.join(name)).unwrap();
            std::fs::set_permissions(folder.join(name), Permissions::from_mode(mode)).unwrap();
        }
        Self { folder, _temporary: temporary }
    }

    /// Runs a script in namespaces of its own; `None` where that cannot be had.
    fn script(&self, script: &str) -> Option<Ended> {
        let mut command = Command::new("unshare");
        command.args(["--mount", "bash", "-c", &format!("{PRIVATE}{script}"), "bash"]);
        let ended = run(command.current_dir(&self.folder), b"");
        if ended.code == Some(77) {
            println!("nothing can be mounted here");
            return None;
        }
        Some(ended)
    }

    #[track_caller]
    fn passes(&self, script: &str) {
        if let Some(ended) = self.script(script) {
            let _ = ended.expect(0);
        }
    }
}

/// Containers from scratch have no `/etc/passwd`; in a user namespace it is nobody's.
#[test]
fn what_a_run_does_not_need_does_not_stop_it() {
    if !may_make_users() {
        return;
    }
    let scene = Scene::new();
    scene.passes(
        r#"
        user="setpriv --reuid 54321 --regid 54321 --clear-groups"
        run="$user $load --trust key.pub ./hello.bls"
        check outside $run; runs
        chmod 666 /etc/passwd
        check writable $run; runs
        check needed $user "$load" ./hello.bls; refused trust.no-home; says "--trust builder.pub"
        check installed $user "$load" --trust key.pub hello; refused store.database; says "--store"
        rm /etc/passwd
        check gone $run; runs
        check needed $user "$load" ./hello.bls; refused trust.no-home
        check add $user "$load" trust add key.pub; refused trust.no-home; says "--file trust.json"
        # From the machine's store nothing of it is needed either.
        "$load" --trust key.pub install hello.bls >out || exit 1
        check machine $user "$load" --trust key.pub hello; runs
        # A home that is none.
        echo "svc:x:54321:54321::/dev/null:/bin/false" > /etc/passwd
        check null $run; runs
        "#,
    );
    scene.passes(
        r#"
        user="setpriv --reuid 54321 --regid 54321 --clear-groups"
        $user unshare -c true 2>err || exit 77
        inside="$user unshare -c"
        check file $inside "$load" --trust key.pub ./hello.bls; runs
        check default $inside "$load" ./hello.bls; refused trust.no-home
        # Root's files are nobody's there, and count for what they are.
        "$load" --trust key.pub install hello.bls >out || exit 1
        check store $inside "$load" --trust key.pub --explain hello; runs; says "integrity mode copy"
        check file $inside "$load" --trust key.pub ./hello.bls; runs
        "$load" trust add --system key.pub 2>err >out || exit 1
        check trust $inside "$load" ./hello.bls; runs
        echo '{"version":1,"require":["fuel"],"limits":{"fuel":{"max":1}}}' > /etc/bls/policy.json
        check policy $inside "$load" --fuel 9 ./hello.bls; refused policy.beyond
        rm /etc/bls/policy.json
        # What others could have written does not become root's by that.
        chmod 666 /etc/bls/trust.json
        check writable $inside "$load" ./hello.bls; refused settings.writable
        "#,
    );
}

/// As NixOS and Kubernetes put files there; and what somebody else could have put there.
#[test]
fn links_and_folders_are_judged_as_the_file_is() {
    if !may_make_users() {
        return;
    }
    let scene = Scene::new();
    scene.passes(
        r#"
        "$load" trust add --file trust.json key.pub >out || exit 1
        mkdir -m 755 /etc/bls/..2026_11 && ln -s ..2026_11 /etc/bls/..data
        ln -s ..data/trust.json /etc/bls/trust.json
        ln -s ..data/policy.json /etc/bls/policy.json
        cp trust.json /etc/bls/..2026_11/
        echo '{"version":1}' > /etc/bls/..2026_11/policy.json
        check volume hello; runs
        # Mounted with a sticky bit, as secrets are.
        chmod 1777 /etc/bls
        check sticky hello; runs
        # The next version, by a rename over the link.
        mkdir -m 755 /etc/bls/..2026_12 && cp trust.json /etc/bls/..2026_12/
        echo '{"version":1,"limits":{"fuel":{"max":1}}}' > /etc/bls/..2026_12/policy.json
        ln -s ..2026_12 /etc/bls/..next && mv -T /etc/bls/..next /etc/bls/..data
        check next hello; [ "$got" = 123 ] || { echo "next: $got"; cat err; exit 1; }
        rm /etc/bls/policy.json

        # Another user's link, where everybody may make one.
        rm /etc/bls/trust.json && ln -s ..data/trust.json /etc/bls/trust.json
        chown -h 61020 /etc/bls/trust.json
        check link hello; refused settings.writable; says "/etc/bls/trust.json can be written by another user"
        chown -h 0 /etc/bls/trust.json
        chown 61020 /etc/bls/..2026_12
        check folder hello; refused settings.writable; says "/etc/bls/..2026_12 can be"
        chown 0 /etc/bls/..2026_12 && chmod 777 /etc/bls/..2026_12
        check mode hello; refused settings.writable; says "chmod go-w /etc/bls/..2026_12"
        chmod 755 /etc/bls/..2026_12 && chmod 777 /etc/bls
        check above hello; refused settings.writable; says "/etc/bls can be written by its group or others"
        chmod 755 /etc/bls
        check again hello; runs

        # A link to nothing does not make another file decide, nor a circle.
        mkdir -p "$home/.config/bls" && cp trust.json "$home/.config/bls/"
        rm /etc/bls/..2026_12/trust.json
        check dangling hello; refused settings.unreadable; says "leads nowhere"
        ln -sf trust.json /etc/bls/trust.json
        check circle hello; refused settings.unreadable
        rm /etc/bls/trust.json
        check own hello; runs
        # The whole folder as a link, and the way through somebody else's.
        mv /etc/bls /etc/static && ln -s static /etc/bls && cp trust.json /etc/static/
        check static hello; runs
        rm /etc/static/trust.json && cp trust.json /var/tmp/trust.$$ && ln -s "/var/tmp/trust.$$" /etc/static/trust.json
        check sticky hello; runs
        chown 61020 "/var/tmp/trust.$$"
        check foreign hello; refused settings.writable; rm "/var/tmp/trust.$$"
        rm -r /etc/bls /etc/static && ln -s nowhere /etc/bls
        check gone hello; refused settings.unreadable
        "#,
    );
}

#[test]
fn the_folders_of_a_users_own_file_are_judged() {
    if !may_make_users() {
        return;
    }
    let scene = Scene::new();
    let user = FreshUser::new("blsfolders", 61_020);
    let load = |words: &[&str]| {
        let mut command = Command::new("./bls-load");
        run(user.become_user(command.args(words)).current_dir(&scene.folder), b"")
    };
    let _ = load(&["trust", "add", "key.pub"]).expect(0);
    assert_eq!(load(&["./hello.bls"]).expect(0).text(), "hello\n");
    let own = user.home.join(".config/bls");
    for folder in [own.clone(), user.home.join(".config"), user.home.clone()] {
        let set = |mode| std::fs::set_permissions(&folder, Permissions::from_mode(mode)).unwrap();
        for mode in [0o777, 0o775] {
            set(mode);
            let hint = format!("chmod go-w {}\n", folder.display());
            let ended = load(&["./hello.bls"]).expect(125);
            let _ = ended.says(&["can be written by its group", "settings.writable", &hint]);
            let _ = load(&["trust", "add", "other.pub"]).expect(125);
            // What is named is not looked for there.
            assert_eq!(load(&["--trust", "key.pub", "./hello.bls"]).expect(0).text(), "hello\n");
        }
        set(0o755);
    }
    std::os::unix::fs::chown(&own, Some(61_021), None).unwrap();
    let ended = load(&["./hello.bls"]).expect(125);
    let _ = ended.says(&["/.config/bls can be written by another user", "ls -ld"]);
    std::os::unix::fs::chown(&own, Some(0), None).unwrap();
    assert_eq!(load(&["./hello.bls"]).expect(0).text(), "hello\n");
}

#[test]
fn what_everybody_can_write_is_not_read_by_name() {
    let home = Home::new();
    let artifact = home.fixture("wat/hello.wat");
    let policy = home.path("policy.json");
    std::fs::write(&policy, r#"{"version": 1}"#).unwrap();
    let (key, rules) = (home.public_key(), policy.to_str().unwrap().to_owned());
    let load = || home.load(&["--policy", &rules], &artifact, &[]);
    for file in [&key, &policy] {
        let set = |mode| std::fs::set_permissions(file, Permissions::from_mode(mode)).unwrap();
        set(0o666);
        let hint = format!("hint: chmod o-w {}\n", file.display());
        let ended = load().expect(125);
        let _ = ended.says(&["can be written by everybody", &hint, "settings.writable\n"]);
        // Whose it is, and whose group it has, is known to who names it.
        set(0o664);
        assert_eq!(load().expect(0).text(), "hello\n");
    }
}

/// `bls-load trust WORDS` with a file of the home's, and this on standard input.
fn trust(home: &Home, words: &[&str], stdin: &[u8]) -> Ended {
    let mut command = Command::new(loader());
    command.current_dir(home.path("")).arg("trust").args(words);
    run(command.args(["--file", "trust.json"]), stdin)
}

#[test]
fn keys_come_and_go_by_id_by_file_and_through_a_pipe() {
    let home = Home::new();
    let artifact = home.fixture("wat/hello.wat");
    let pem = std::fs::read(home.public_key()).unwrap();
    let key = bls_artifact::key::PublicKey::from_pem(&String::from_utf8_lossy(&pem)).unwrap();
    let id = key.id().to_string();
    let load = || {
        let mut command = Command::new(loader());
        run(command.arg("--trust").arg(home.path("trust.json")).arg(&artifact), b"")
    };
    let said = trust(&home, &["add", "-"], &pem).expect(0).text();
    assert!(said.contains(&id), "{said}");
    let _ = load().expect(0);
    let _ = trust(&home, &["add", "-"], b"").expect(125).says(&["standard input", "not-public"]);
    let _ = trust(&home, &["add", "-"], &vec![b'x'; 1 << 20]).expect(125);

    // Removed, it is unknown; revoked and restored, it is what it was.
    for name in [id.as_str(), &id[..8], &id[..20].to_uppercase(), "test.pub", "-"] {
        let said = trust(&home, &["remove", name], &pem).expect(0).text();
        assert!(said.contains(&format!("no longer trusts key {id}: ")), "{said}");
        let _ = load().expect(125).says(&["code: signature.unknown-key\n"]);
        let _ = trust(&home, &["add", "--comment", "it", "test.pub"], b"").expect(0);
        let _ = trust(&home, &["revoke", name], &pem).expect(0);
        let _ = load().expect(125).says(&["code: signature.revoked-key\n"]);
        let said = trust(&home, &["revoke", "--undo", name], &pem).expect(0).text();
        assert!(said.contains(&format!("no longer refuses key {id}")), "{said}");
        let said = trust(&home, &["revoke", "--undo", name], &pem).expect(0).text();
        assert!(said.contains(&format!("did not refuse key {id}")), "{said}");
        let _ = load().expect(0);
    }
    // A key that is nowhere can be revoked by all of its id, or by its file.
    std::fs::write(home.path("9.pub"), PrivateKey::from_seed(&[9; 32]).public().to_pem()).unwrap();
    let _ = trust(&home, &["revoke", "9.pub"], b"").expect(0);
    let unknown = "0123456789".repeat(6) + "abcd";
    let _ = trust(&home, &["revoke", &unknown], b"").expect(0);
    for words in [&["revoke", "deadbeef"][..], &["remove", "deadbeef"], &["remove", "9.pub"]] {
        let ended = trust(&home, words, b"").expect(125);
        let _ = ended.says(&["has no key", "hint: ", "code: trust.no-key\n"]);
    }
    // Short for two: it names them.
    let twin = format!("{}{}", &id[..10], "0".repeat(54));
    let _ = trust(&home, &["revoke", &twin], b"").expect(0);
    let ended = trust(&home, &["remove", &id[..10]], b"").expect(125);
    let _ = ended.says(&[&id, &twin, "more digits", "code: trust.ambiguous\n"]);
    let _ = load().expect(0);

    let range = ["--engine", ">=48.0.0, <49.0.0"];
    let _ = trust(&home, &[&["revoke"][..], &range].concat(), b"").expect(0);
    let _ = load().expect(125).says(&["code: trust.refused-engine\n"]);
    let _ = trust(&home, &[&["revoke", "--undo"][..], &range].concat(), b"").expect(0);
    let _ = load().expect(0);
}

/// A signed file does not silently make a user's own keys unknown.
#[test]
fn a_signed_file_asks_before_it_forgets_keys() {
    if !may_make_users() {
        return;
    }
    let scene = Scene::new();
    let root = PrivateKey::from_seed(&[11; 32]);
    let private = scene.folder.join("root.pem");
    std::fs::write(&private, root.to_pem()).unwrap();
    std::fs::set_permissions(private, Permissions::from_mode(0o600)).unwrap();
    std::fs::write(scene.folder.join("root.pub"), root.public().to_pem()).unwrap();
    let own = PrivateKey::from_seed(&[7; 32]).public().id();
    scene.passes(&format!(
        r#"
        "$load" trust add key.pub >out || exit 1
        "$load" trust init --file plain.json --root root.pub >out || exit 1
        "$load" trust add --file plain.json other.pub >out || exit 1
        "$compile" trust sign plain.json --key root.pem -o signed.json || exit 1
        check verify "$load" trust verify signed.json
        grep -q "would no longer trust key {own}" out || {{ cat out err; exit 1; }}
        check ask "$load" trust install signed.json; refused trust.forgets
        says "{own}"; says "--replace"
        check still hello; runs
        check replace "$load" trust install --replace signed.json
        [ "$got" = 0 ] || {{ cat err; exit 1; }}
        grep -q "no longer trusts key {own}" out || {{ cat out; exit 1; }}
        "$load" trust show "$home/.config/bls/trust.json.replaced" | grep -q {own} || exit 1
        # And then the hints lead to those who can change it.
        check unknown hello; refused signature.unknown-key; says "root keys"; says "--trust builder.pub"
        check add "$load" trust add key.pub; refused trust.signed-file; says "trust sign"
        check made "$compile" key new; says "root keys of"
        # One that forgets nobody asks nothing.
        rm -r "$home/.config/bls"
        "$load" trust add other.pub >out || exit 1
        check same "$load" trust install signed.json
        [ "$got" = 0 ] || {{ cat err; exit 1; }}
        # Nor where the plain file names the roots, whose word it waited for.
        rm -r "$home/.config/bls" && mkdir -p "$home/.config/bls"
        "$load" trust init --root root.pub >out && "$load" trust add key.pub >out || exit 1
        check pinned "$load" trust install signed.json
        [ "$got" = 0 ] || {{ cat err; exit 1; }}
        "#
    ));
}

/// The README's words, by a user whose home is empty and by root who trusts nobody.
#[test]
fn the_readmes_installing_works_for_a_user_and_for_root() {
    if !may_make_users() {
        return;
    }
    let readme = manual();
    let (_, section) = readme.split_once("\n## Installing\n").unwrap();
    let block = section.split("\n\n").find(|block| block.starts_with("    ")).unwrap();
    let lines: Vec<&str> =
        block.lines().map(|line| line.split('#').next().unwrap().trim()).collect();
    assert!(lines[0].starts_with("bls-compile key export") && lines.len() == 4, "{lines:?}");

    let scene = Scene::new();
    let user = FreshUser::new("blsreadme", 61_022);
    // What begins with sudo is root's; the rest is the user's.
    let users: String = lines
        .iter()
        .map(|line| match line.strip_prefix("sudo ") {
            Some(words) => format!("{words} || exit 1\n"),
            None => format!(
                "setpriv --reuid 61022 --regid 61022 --clear-groups bash -c '{line}' || exit 1\n"
            ),
        })
        .collect();
    let roots: String = lines
        .iter()
        .map(|line| line.trim_start_matches("sudo ").to_owned() + " || exit 1\n")
        .collect();
    let compile = "bls-compile -q -o app.bls app.wasm || exit 1\n";
    for (who, script) in [
        ("user", format!("setpriv --reuid 61022 --regid 61022 --clear-groups {compile}{users}")),
        ("root", format!("{compile}{roots}")),
    ] {
        let wasm = user.home.join("app.wasm");
        std::fs::copy(fixtures().join("wat/hello.wasm"), wasm).unwrap();
        let script = format!("export PATH=\"$PWD:$PATH\"; cd {}\n{script}", user.home.display());
        if let Some(ended) = scene.script(&script) {
            let ended = ended.expect(0);
            assert!(ended.text().ends_with("hello\n"), "{who}: {}", ended.text());
        }
        for name in ["app.bls", "builder.pub"] {
            std::fs::remove_file(user.home.join(name)).unwrap();
        }
    }
    // Without that step the refusal shows it.
    scene.passes(
        r#"
        check alone "$load" install hello.bls; refused trust.missing
        says "bls-load trust add builder.pub, as root"; says "--system"
        "$load" trust add key.pub >out || exit 1
        "$load" install hello.bls >out || exit 1
        check root "$load" hello; runs
        "#,
    );
}

#[test]
fn trust_of_the_machine_is_changed_by_name() {
    if !may_make_users() {
        return;
    }
    let scene = Scene::new();
    scene.passes(
        r#"
        rmdir /etc/bls; umask 077
        check add "$load" trust add --system key.pub; says "alone decides, for every user"
        [ "$(stat -c %a /etc/bls /etc/bls/trust.json | tr '\n' ' ')" = "755 644 " ] || exit 1
        umask 022
        user="setpriv --reuid 54321 --regid 54321 --clear-groups"
        check user $user "$load" ./hello.bls; runs
        check forbidden $user "$load" trust add --system other.pub; refused trust.write
        id=$("$load" trust show | sed -n 's/ compiler.*//p')
        check revoke "$load" trust revoke --system ${id:0:12}
        check revoked $user "$load" ./hello.bls; refused signature.revoked-key
        check undo "$load" trust revoke --undo --system key.pub
        check restored $user "$load" ./hello.bls; runs
        check remove "$load" trust remove --system ${id:0:12}
        check removed $user "$load" ./hello.bls; refused signature.unknown-key
        # The compiler says that its key does not count here, and changes nothing.
        check made "$compile" key new; says "/etc/bls/trust.json alone says"
        [ ! -e "$home/.config/bls/trust.json" ] || exit 1
        "#,
    );
}
