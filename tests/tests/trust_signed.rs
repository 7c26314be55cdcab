//! Trust files that root keys sign: accepted, replaced, and never taken back.

use bls_artifact::key::PrivateKey;
use bls_tests::programs::{Ended, Home, compiler, loader, run};
use bls_tests::users::{FreshUser, may_make_users};
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Root keys and drafts of trust files, in a folder of their holders.
struct Holders {
    home: Home,
}

impl Holders {
    fn new() -> Self {
        let home = Home::new();
        for seed in 11..=15 {
            let key = PrivateKey::from_seed(&[seed; 32]);
            let private = home.path(&format!("{seed}.pem"));
            std::fs::write(&private, key.to_pem()).unwrap();
            std::fs::set_permissions(&private, Permissions::from_mode(0o600)).unwrap();
            std::fs::write(home.path(&format!("{seed}.pub")), key.public().to_pem()).unwrap();
        }
        Self { home }
    }

    /// `bls-load trust WORDS`, in this folder.
    fn trust(&self, words: &[&str]) -> Ended {
        let mut command = Command::new(loader());
        run(command.current_dir(self.home.path("")).arg("trust").args(words), b"")
    }

    /// A plain file that trusts the builder, with these roots and sequence.
    fn draft(&self, sequence: u64, roots: &[u8], threshold: &str) -> PathBuf {
        let name = format!("draft-{sequence}-{roots:?}.json").replace([' ', '[', ']'], "");
        let files: Vec<String> = roots.iter().map(|seed| format!("{seed}.pub")).collect();
        let mut words = vec!["init", "--file", &name, "--root-threshold", threshold];
        files.iter().for_each(|file| words.extend(["--root", file]));
        let _ = self.trust(&words).expect(0);
        let _ = self.trust(&["add", "test.pub", "--file", &name]).expect(0);
        let path = self.home.path(&name);
        let text = std::fs::read_to_string(&path).unwrap();
        // A new file begins with 1, and adding a key is a change.
        assert!(text.contains("\"sequence\": 2,"), "{text}");
        let text = text.replacen("\"sequence\": 2,", &format!("\"sequence\": {sequence},"), 1);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// The same file, signed by these roots one after another.
    fn sign(&self, file: &Path, by: &[u8]) -> PathBuf {
        let mut signed = file.to_owned();
        for seed in by {
            let key = self.home.path(&format!("{seed}.pem"));
            let next = file.with_extension(format!("{}.signed.json", by.len()));
            let mut command = Command::new(compiler());
            command.args(["trust", "sign"]).arg(&signed).arg("--key").arg(key).arg("-o").arg(&next);
            let _ = run(&mut command, b"").expect(0);
            signed = next;
        }
        signed
    }

    fn signed(&self, sequence: u64, roots: &[u8], by: &[u8]) -> PathBuf {
        self.sign(&self.draft(sequence, roots, "1"), by)
    }
}

/// A user, with an artifact at home.
struct Device {
    user: FreshUser,
}

impl Device {
    fn new(holders: &Holders, name: &str, id: u32) -> Self {
        let user = FreshUser::new(name, id);
        std::fs::copy(holders.home.fixture("wat/hello.wat"), user.home.join("hello.bls")).unwrap();
        Self { user }
    }

    fn file(&self) -> PathBuf {
        self.user.home.join(".config/bls/trust.json")
    }

    /// Puts a file into the user's place, as an intruder or a backup would.
    fn put(&self, from: &Path) {
        std::fs::copy(from, self.file()).unwrap();
        std::os::unix::fs::chown(self.file(), Some(self.user.id), Some(self.user.id)).unwrap();
        std::fs::set_permissions(self.file(), Permissions::from_mode(0o600)).unwrap();
    }

    /// `bls-load trust VERB FILE`, of a file that the user can read.
    fn trust(&self, verb: &str, file: &Path) -> Ended {
        let copy = self.user.home.join("delivered.json");
        std::fs::copy(file, &copy).unwrap();
        std::fs::set_permissions(&copy, Permissions::from_mode(0o644)).unwrap();
        let mut command = self.user.command(&loader());
        run(command.args(["trust", verb, "delivered.json"]), b"")
    }

    #[track_caller]
    fn runs(&self) {
        let mut command = self.user.command(&loader());
        assert_eq!(run(command.arg("hello.bls"), b"").expect(0).text(), "hello\n");
    }

    #[track_caller]
    fn refuses(&self, words: &[&str]) {
        let mut command = self.user.command(&loader());
        let ended = run(command.arg("hello.bls"), b"").expect(125);
        let _ = ended.says(&["bls-load: trust: ", "\nhint: "]).says(words);
    }
}

#[test]
fn what_was_accepted_is_not_taken_back() {
    if !may_make_users() {
        return;
    }
    let holders = Holders::new();
    let device = Device::new(&holders, "blssigned", 61_011);
    let first = holders.signed(3, &[11], &[11]);

    // A signed file that nobody accepted says nothing.
    std::fs::create_dir_all(device.file().parent().unwrap()).unwrap();
    device.put(&first);
    device.refuses(&["is not the file that was accepted there", "trust install FILE"]);
    std::fs::remove_dir_all(device.user.home.join(".config")).unwrap();

    let seen = device.trust("verify", &first).expect(0).text();
    assert!(seen.contains("signed, and would be the first in"), "{seen}");
    assert!(!device.file().exists(), "verify changes nothing");
    let said = device.trust("install", &first).expect(0);
    assert!(said.text().contains("sequence 3 is the first"), "{}", said.text());
    let _ = said.says(&["compare their ids with their holders'"]);
    device.runs();
    let mode = std::fs::metadata(device.file()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    let second = holders.signed(5, &[11], &[11]);
    let said = device.trust("install", &second).expect(0).text();
    assert!(said.contains("sequence 5 replaces 3"), "{said}");
    let _ = device.trust("install", &second).expect(0);
    device.runs();

    // Rolled back: by the command, and by hand.
    let _ = device.trust("install", &first).expect(125).says(&["its sequence is 3, and 5 was"]);
    let _ = device.trust("verify", &first).expect(125).says(&["its sequence is 3, and 5 was"]);
    device.put(&first);
    device.refuses(&["is of sequence 3, and 5 was accepted there: it was rolled back"]);
    // Newer, put there by hand: only the command accepts.
    let third = holders.signed(7, &[11], &[11]);
    device.put(&third);
    device.refuses(&["is not the file that was accepted there"]);
    // Another one of the same number.
    let other = holders.signed(5, &[11, 12], &[11]);
    let fork = device.trust("install", &other).expect(125);
    let _ = fork.says(&["another file of sequence 5"]);
    device.put(&second);
    device.runs();

    // Not signed, after a signed one.
    device.put(&holders.draft(9, &[11], "1"));
    device.refuses(&["is not signed, and a signed one of sequence 5 was accepted there"]);
    let key = device.user.home.join("key.pub");
    std::fs::copy(holders.home.public_key(), &key).unwrap();
    let mut command = device.user.command(&loader());
    let added = run(command.args(["trust", "add", "key.pub"]), b"").expect(125);
    let _ = added.says(&["is not signed, and a signed one"]);
    // Nor is a signed one changed in its place.
    device.put(&second);
    let mut command = device.user.command(&loader());
    let added = run(command.args(["trust", "add", "key.pub"]), b"").expect(125);
    let _ = added.says(&["a signed trust file, where a plain one is wanted", "trust sign"]);

    // Nor does it decide nothing when it is taken away.
    std::fs::remove_file(device.file()).unwrap();
    device.refuses(&["is gone, and a signed one of sequence 5", "trust install FILE\n"]);
    let mut command = device.user.command(&loader());
    let added = run(command.args(["trust", "add", "key.pub"]), b"").expect(125);
    let _ = added.says(&["is gone", "code: trust.gone"]);
    let _ = device.trust("install", &second).expect(0);
    device.runs();

    // What is remembered must be readable.
    let state = device.user.home.join(".config/bls/trust.state.json");
    std::fs::write(&state, "{}").unwrap();
    device.refuses(&["trust.state.json", "cannot be read"]);
}

#[test]
fn roots_follow_each_other_by_both_signatures() {
    if !may_make_users() {
        return;
    }
    let holders = Holders::new();
    let device = Device::new(&holders, "blsrotate", 61_012);
    let first = holders.draft(3, &[11, 12, 13], "2");
    let short = device.trust("install", &holders.sign(&first, &[11])).expect(125);
    let _ = short.says(&["2 of the root keys that it names must sign it, and 1 did"]);
    let _ = device.trust("install", &holders.sign(&first, &[11, 13])).expect(0);

    let next = holders.draft(4, &[14, 15], "2");
    let new_only = device.trust("install", &holders.sign(&next, &[14, 15])).expect(125);
    let _ = new_only.says(&["2 of the root keys that hold here must sign it, and 0 did"]);
    let one_old = device.trust("install", &holders.sign(&next, &[11, 14, 15])).expect(125);
    let _ = one_old.says(&["and 1 did", "new roots must be signed in by the old ones"]);
    let _ = device.trust("install", &holders.sign(&next, &[11, 12, 14, 15])).expect(0);
    device.runs();
    let back = holders.draft(6, &[11, 12, 13], "2");
    let back = device.trust("install", &holders.sign(&back, &[11, 12, 13])).expect(125);
    let _ = back.says(&["and 0 did"]);
}

#[test]
fn what_cannot_be_signed_or_accepted() {
    let holders = Holders::new();
    let draft = holders.draft(3, &[11], "1");
    let plain = draft.to_str().unwrap();
    let _ = holders.trust(&["install", plain]).expect(125).says(&["is not signed", "trust sign"]);
    let _ = holders.trust(&["install", "11.pub"]).expect(125).says(&["not a trust file"]);
    let seen = holders.trust(&["verify", plain]).expect(0).text();
    assert!(seen.contains("not signed") && seen.contains("root: 1 of 1"), "{seen}");

    let sign = |file: &str, key: &str| {
        let mut command = Command::new(compiler());
        command.current_dir(holders.home.path("")).args(["trust", "sign", file, "--key", key]);
        run(&mut command, b"")
    };
    let _ = holders.trust(&["init", "--file", "plain.json"]).expect(0);
    let _ = sign("plain.json", "11.pem").expect(1).says(&["names no root keys", "hint: "]);
    let _ = sign("test.pub", "11.pem").expect(1).says(&["not a trust file"]);
    let _ = sign("missing.json", "11.pem").expect(1).says(&["cannot read missing.json"]);
    // A key that is none of the roots signs, and is told so.
    let foreign = sign(plain, "12.pem").expect(0);
    let foreign = foreign.says(&["none of the roots", "not yet enough"]);
    std::fs::write(holders.home.path("foreign.json"), &foreign.stdout).unwrap();
    let seen = holders.trust(&["verify", "foreign.json"]).expect(125);
    let _ = seen.says(&["1 of the root keys that it names must sign it, and 0 did"]);

    // Named by --trust, its own signatures decide; and one bit is enough to tell.
    let signed = holders.sign(&draft, &[11]);
    let artifact = holders.home.fixture("wat/hello.wat");
    let load = || {
        let mut command = Command::new(loader());
        run(command.arg("--trust").arg(&signed).arg(&artifact), b"")
    };
    assert_eq!(load().expect(0).text(), "hello\n");
    let text = std::fs::read_to_string(&signed).unwrap();
    let at = text.find("\"sig\":\"").unwrap() + 10;
    let letter = if &text[at..=at] == "A" { "B" } else { "A" };
    std::fs::write(&signed, format!("{}{letter}{}", &text[..at], &text[at + 1..])).unwrap();
    let _ = load().expect(125).says(&["the signature by the root key", "is not good"]);
    // An artifact's envelope is no trust file's.
    let renamed =
        text.replace("application/vnd.blockless.bls-trust+json", "application/vnd.in-toto+json");
    std::fs::write(&signed, renamed).unwrap();
    let _ = load().expect(125).says(&["payload type"]);
}

/// The recipe of FORMAT.md: openssl signs what bls-compile would.
#[test]
fn openssl_can_sign_a_trust_file() {
    let holders = Holders::new();
    let draft = holders.draft(3, &[11], "1");
    let script = r#"
        set -eu
        type=application/vnd.blockless.bls-trust+json
        { printf 'DSSEv1 %d %s %d ' ${#type} $type "$(wc -c < "$1")"; cat "$1"; } > message
        openssl pkeyutl -sign -inkey 11.pem -rawin -in message -out signature
        id=$(openssl pkey -pubin -in 11.pub -outform DER | sha256sum | cut -d' ' -f1)
        printf '{"payload":"%s","payloadType":"%s","signatures":[{"keyid":"%s","sig":"%s"}]}' \
            "$(base64 -w0 < "$1")" $type "$id" "$(base64 -w0 < signature)"
    "#;
    let mut command = Command::new("bash");
    command.current_dir(holders.home.path("")).args(["-c", script, "sh"]).arg(&draft);
    let by_openssl = run(&mut command, b"").expect(0).stdout;
    assert_eq!(by_openssl, std::fs::read(holders.sign(&draft, &[11])).unwrap());
}

/// The system's place, in a file system of this test's own.
#[test]
fn the_systems_file_is_accepted_for_everybody() {
    let private = "mount --make-rprivate / && mount -t tmpfs none /var/lib && mkdir -p /etc/bls && mount -t tmpfs none /etc/bls";
    let mut command = Command::new("unshare");
    // A folder of this machine is only a place to mount on; it is left as it was.
    let existed = Path::new("/etc/bls").exists();
    command.args(["--mount", "sh", "-c", private]);
    let possible = command.output().is_ok_and(|output| output.status.success());
    if !possible || existed {
        println!("only root, without an /etc/bls, can have a private one");
        if possible && !existed {
            let _ = std::fs::remove_dir("/etc/bls");
        }
        return;
    }
    let holders = Holders::new();
    let artifact = holders.home.fixture("wat/hello.wat");
    let first = holders.signed(3, &[11], &[11]);
    let second = holders.signed(4, &[11], &[11]);
    let script = format!(
        r#"
        set -u
        {private}
        "$1" trust install --system "$2" || exit 10
        stat -c %a /etc/bls/trust.json /var/lib/bls/trust.state.json /var/lib/bls
        "$1" "$4" || exit 11
        "$1" trust install --system "$3" || exit 12
        "$1" trust verify --system "$2" && exit 13
        cp "$2" /etc/bls/trust.json
        "$1" "$4" && exit 14
        "$1" trust install --system "$3" || exit 15
        "$1" "$4" || exit 16
        # Without it nobody else's file decides: not root's own, nor a user's.
        rm /etc/bls/trust.json
        "$1" "$4" && exit 17
        mkdir "$5/.config" "$5/.config/bls"
        "$1" trust init --file "$5/.config/bls/trust.json"
        "$1" trust add --file "$5/.config/bls/trust.json" "$6"
        chown -R 61013 "$5"
        setpriv --reuid=61013 --clear-groups "$1" "$4" && exit 18
        "$1" trust install --system "$3" || exit 19
        setpriv --reuid=61013 --clear-groups "$1" "$4" || exit 20
        # A machine that forgot both is a new one: then the user's own decides.
        rm /etc/bls/trust.json /var/lib/bls/trust.state.json
        setpriv --reuid=61013 --clear-groups "$1" "$4" || exit 21
        # Who cannot see whether one was accepted does not decide.
        chmod 700 /var/lib/bls
        setpriv --reuid=61013 --clear-groups "$1" "$4" && exit 22
        true
        "#
    );
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", &script, "sh"]);
    let user = FreshUser::new("blssystem", 61_013);
    // Where the user can read them: the folders of this test are root's.
    let [program, artifact, key] =
        [(loader(), "bls-load"), (artifact, "hello.bls"), (holders.home.public_key(), "key.pub")]
            .map(|(from, name)| {
                std::fs::copy(from, user.home.join(name)).unwrap();
                user.home.join(name)
            });
    command.arg(program).arg(&first).arg(&second).arg(&artifact).arg(&user.home).arg(&key);
    let ended = run(&mut command, b"");
    let _ = std::fs::remove_dir("/etc/bls");
    let ended = ended.expect(0);
    let text = ended.text();
    assert!(text.contains("/etc/bls/trust.json: sequence 3 is the first"), "{text}");
    assert!(text.contains("644\n644\n755\nhello\n"), "{text}");
    assert!(text.contains("sequence 4 replaces 3"), "{text}");
    assert!(ended.stderr.contains("rolled back"), "{}", ended.stderr);
    let gone = "/etc/bls/trust.json is gone, and a signed one of sequence 4 was accepted there";
    assert_eq!(ended.stderr.matches(gone).count(), 2, "{}", ended.stderr);
    assert_eq!(ended.stderr.matches("bls-load trust install --system FILE").count(), 2);
    assert_eq!(text.matches("hello\n").count(), 4, "{text}");
    let _ = ended.says(&["cannot read /var/lib/bls/trust.state.json: Permission denied"]);
}
