//! Keys that are kept elsewhere: OpenSSH's files, an ssh-agent, a program that signs. What such a
//! signer answers is checked before anything is written.

use bls_artifact::artifact::Contents;
use bls_artifact::envelope::Envelope;
use bls_artifact::key::{PrivateKey, PublicKey};
use bls_tests::programs::{Ended, Home, compiler, fixtures, loader, run};
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Whether a program is installed; says so where not.
fn has(program: &str, word: &str) -> bool {
    let found = Command::new(program).arg(word).stdin(Stdio::null()).output().is_ok();
    if !found {
        println!("skipped: {program} is not installed");
    }
    found
}

/// An OpenSSH key in a file, and its public half beside it.
fn ssh_key(home: &Home, name: &str, words: &[&str]) -> PathBuf {
    let path = home.path(name);
    let mut command = Command::new("ssh-keygen");
    command.args(["-q", "-C", name, "-f"]).arg(&path).args(words);
    let _ = run(&mut command, b"").expect(0);
    path
}

/// bls-compile in this folder with these words; whatever agent there may be is not asked.
fn compile(home: &Home, words: &[&str]) -> Command {
    let mut command = Command::new(compiler());
    command.current_dir(home.path("")).env_remove("SSH_AUTH_SOCK").args(words);
    command
}

/// A folder with a module in it.
fn scene() -> Home {
    let home = Home::new();
    fs::copy(fixtures().join("wat/hello.wat"), home.path("hello.wat")).unwrap();
    home
}

/// Asserts that nothing was written, half or whole.
#[track_caller]
fn nothing_is_left(home: &Home) {
    let names = fs::read_dir(home.path("")).unwrap().map(|entry| entry.unwrap().file_name());
    for name in names {
        let name = name.to_string_lossy().into_owned();
        assert!(!name.ends_with(".bls") && !name.starts_with(".bls-compile"), "{name} is left");
    }
}

#[track_caller]
fn refused(home: &Home, ended: Ended, code: &str, words: &[&str]) {
    let ended = ended.expect(1).says(&["hint: ", &format!("code: {code}\n")]).says(words);
    assert!(ended.stdout.is_empty());
    nothing_is_left(home);
}

/// Whose signatures an artifact has.
fn signers(path: &Path) -> Vec<String> {
    let bytes = fs::read(path).unwrap();
    let (contents, _) = Contents::parse(&bytes).unwrap();
    let envelope = Envelope::parse(contents.envelope).unwrap();
    envelope.claims().iter().map(|claim| claim.key_id.to_string()).collect()
}

#[test]
fn keys_of_openssh_sign_and_are_trusted() {
    if !has("ssh-keygen", "-?") {
        return;
    }
    let home = scene();
    let key = ssh_key(&home, "id_ed25519", &["-t", "ed25519", "-N", ""]);
    let line = fs::read_to_string(home.path("id_ed25519.pub")).unwrap();
    let public = PublicKey::from_text(&line).unwrap();
    let made = run(&mut compile(&home, &["hello.wat", "--key", key.to_str().unwrap()]), b"");
    let _ = made.expect(0).says(&[&public.id().to_string()[..12]]);
    assert_eq!(signers(&home.path("hello.bls")), [public.id().to_string()]);
    let exported = run(&mut compile(&home, &["key", "export", "./id_ed25519"]), b"").expect(0);
    assert_eq!(exported.text(), public.to_pem());
    // In a variable, too.
    let mut command = compile(&home, &["hello.wat", "--key", "env:K", "-o", "again.bls"]);
    let _ = run(command.env("K", fs::read_to_string(&key).unwrap()), b"").expect(0);
    assert_eq!(
        fs::read(home.path("again.bls")).unwrap(),
        fs::read(home.path("hello.bls")).unwrap()
    );

    // The line is a key to bls-load: for one run, and in a trust file.
    let load = |words: &[&str]| {
        let mut command = Command::new(loader());
        run(command.current_dir(home.path("")).args(words), b"")
    };
    assert_eq!(load(&["--trust", "id_ed25519.pub", "hello.bls"]).expect(0).text(), "hello\n");
    let added = load(&["trust", "add", "--file", "trust.json", "id_ed25519.pub"]).expect(0);
    assert!(added.text().contains(&public.id().to_string()), "{}", added.text());
    assert_eq!(load(&["--trust", "trust.json", "hello.bls"]).expect(0).text(), "hello\n");
    let shown = load(&["trust", "show", "trust.json"]).expect(0);
    assert!(shown.text().contains("id_ed25519.pub"), "{}", shown.text());
    let _ = load(&["trust", "remove", "--file", "trust.json", "id_ed25519.pub"]).expect(0);
    let _ = load(&["--trust", "trust.json", "hello.bls"]).expect(125);
}

#[test]
fn other_keys_of_openssh_are_refused_by_name() {
    if !has("ssh-keygen", "-?") {
        return;
    }
    let home = scene();
    ssh_key(&home, "locked", &["-t", "ed25519", "-N", "secret"]);
    ssh_key(&home, "rsa", &["-t", "rsa", "-b", "2048", "-N", ""]);
    ssh_key(&home, "ecdsa", &["-t", "ecdsa", "-N", ""]);
    let whole = ssh_key(&home, "whole", &["-t", "ed25519", "-N", ""]);
    let text = fs::read_to_string(&whole).unwrap();
    let cut: String = text.lines().filter(|line| !line.starts_with("QyNTUx")).take(3).collect();
    let broken = [
        ("cut", format!("{}\n", text.lines().take(3).collect::<Vec<_>>().join("\n"))),
        ("mixed", text.replacen("AAAA", "AAAB", 1)),
        ("joined", format!("-----BEGIN OPENSSH PRIVATE KEY-----\n{cut}")),
    ];
    for (name, text) in broken {
        fs::write(home.path(name), text).unwrap();
        fs::set_permissions(home.path(name), fs::Permissions::from_mode(0o600)).unwrap();
    }
    fs::set_permissions(home.path("whole.pub"), fs::Permissions::from_mode(0o600)).unwrap();
    for (name, words) in [
        (
            "./locked",
            &["under a passphrase", "ssh-add ./locked", "--key ssh-agent:./locked.pub"][..],
        ),
        ("./rsa", &["for RSA, not Ed25519"]),
        ("./ecdsa", &["for ECDSA, not Ed25519"]),
        ("./cut", &["OpenSSH"]),
        ("./mixed", &["OpenSSH"]),
        ("./joined", &["OpenSSH"]),
        ("./whole.pub", &["a public key", "--key ssh-agent:./whole.pub"]),
    ] {
        let ended = run(&mut compile(&home, &["hello.wat", "--key", name]), b"");
        refused(&home, ended, "key.not-private", words);
    }
    let mut command = Command::new(loader());
    let command = command.current_dir(home.path("")).args(["trust", "add", "--file", "t.json"]);
    let _ = run(command.arg("rsa.pub"), b"").expect(125).says(&[
        "another kind than ssh-ed25519",
        "ssh-keygen -t ed25519",
        "code: key.not-public",
    ]);
}

/// A real ssh-agent for the time of a test.
struct RealAgent {
    process: Child,
    socket: PathBuf,
}

impl RealAgent {
    fn start(home: &Home) -> Self {
        let socket = home.path("agent.sock");
        let mut command = Command::new("ssh-agent");
        let process = command
            .args(["-D", "-a"])
            .arg(&socket)
            .stdout(Stdio::null())
            .spawn()
            .expect("an agent");
        while UnixStream::connect(&socket).is_err() {
            thread::sleep(Duration::from_millis(10));
        }
        Self { process, socket }
    }

    fn add(&self, key: &Path) {
        let mut command = Command::new("ssh-add");
        let _ = run(command.arg("-q").arg(key).env("SSH_AUTH_SOCK", &self.socket), b"").expect(0);
    }
}

impl Drop for RealAgent {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn an_agent_signs_what_its_key_would() {
    if !has("ssh-agent", "-?") || !has("ssh-keygen", "-?") || !has("ssh-add", "-?") {
        return;
    }
    let home = scene();
    let key = ssh_key(&home, "builder", &["-t", "ed25519", "-N", ""]);
    let other = ssh_key(&home, "other", &["-t", "ed25519", "-N", ""]);
    let rsa = ssh_key(&home, "rsa", &["-t", "rsa", "-b", "2048", "-N", ""]);
    let agent = RealAgent::start(&home);
    [&key, &other, &rsa].into_iter().for_each(|key| agent.add(key));
    let by_agent =
        |words: &[&str]| run(compile(&home, words).env("SSH_AUTH_SOCK", &agent.socket), b"");
    let file =
        run(&mut compile(&home, &["hello.wat", "--key", "./builder", "-o", "file.bls"]), b"");
    let _ = file.expect(0);
    let expected = fs::read(home.path("file.bls")).unwrap();
    // Once it is in the agent the file is not needed.
    fs::remove_file(&key).unwrap();

    let line = fs::read_to_string(home.path("builder.pub")).unwrap();
    let id = PublicKey::from_text(&line).unwrap().id().to_string();
    let own_line = format!("ssh-agent:{}", line.trim());
    let short = format!("ssh-agent:{}", &id[..10]);
    for name in ["ssh-agent:builder.pub", "ssh-agent:builder", &own_line, &short] {
        let _ = by_agent(&["hello.wat", "--key", name, "-o", "agent.bls"]).expect(0);
        assert_eq!(fs::read(home.path("agent.bls")).unwrap(), expected, "{name}");
        fs::remove_file(home.path("agent.bls")).unwrap();
    }
    let exported = by_agent(&["key", "export", "ssh-agent:builder"]).expect(0);
    assert_eq!(PublicKey::from_text(&exported.text()).unwrap().id().to_string(), id);
    let shown = by_agent(&["key", "--key", "ssh-agent:builder"]).expect(0);
    assert_eq!(shown.text(), format!("{id}  in the ssh-agent\n"));

    // A second builder's signature, and a root's over a trust file.
    let words = ["sign", "file.bls", "--rebuild", "hello.wat", "--key", "ssh-agent:other.pub"];
    let _ = by_agent(&words).expect(0).says(&["2 signatures"]);
    assert_eq!(signers(&home.path("file.bls")).len(), 2);
    let _ = by_agent(&words).expect(0).says(&["nothing to add"]);
    let mut command = Command::new(loader());
    command.current_dir(home.path("")).args(["trust", "init", "--file", "t.json"]);
    let _ = run(command.args(["--root", "builder.pub"]), b"").expect(0);
    let words = ["trust", "sign", "t.json", "--key", "ssh-agent:builder.pub", "-o", "s.json"];
    let _ = by_agent(&words).expect(0);
    let mut command = Command::new(loader());
    let verified = command.current_dir(home.path("")).args(["trust", "verify", "s.json"]);
    assert!(run(verified, b"").expect(0).text().contains("signed"));

    fs::remove_file(home.path("file.bls")).unwrap();
    for (name, code, words) in [
        ("ssh-agent:nobody", "signer.no-key", &["\"builder\"", "\"other\"", "ssh-add -L"][..]),
        ("ssh-agent:rsa", "signer.other-kind", &["ssh-rsa", "not ssh-ed25519"]),
        ("ssh-agent:rsa.pub", "key.not-public", &["another kind"]),
    ] {
        refused(&home, by_agent(&["hello.wat", "--key", name]), code, words);
    }
    let words = ["hello.wat", "--key", "ssh-agent:builder", "--public-key", "other.pub"];
    refused(&home, by_agent(&words), "keystore.pinned", &["--public-key says"]);
    // Taken out of the agent, it is gone.
    let mut command = Command::new("ssh-add");
    command.args(["-q", "-D"]).env("SSH_AUTH_SOCK", &agent.socket);
    let _ = run(&mut command, b"").expect(0);
    let none = by_agent(&["hello.wat", "--key", "ssh-agent:builder.pub"]);
    refused(&home, none, "signer.no-key", &["no Ed25519 key at all"]);
}

#[test]
fn an_agent_that_is_not_there_is_said() {
    let home = scene();
    let none = run(&mut compile(&home, &["hello.wat", "--key", "ssh-agent:x"]), b"");
    refused(&home, none, "signer.no-agent", &["SSH_AUTH_SOCK", "ssh-add"]);
    let mut command = compile(&home, &["hello.wat", "--key", "ssh-agent:x"]);
    let gone = run(command.env("SSH_AUTH_SOCK", home.path("gone.sock")), b"");
    refused(&home, gone, "signer.unreachable", &["gone.sock"]);
    // What is no module is that first.
    fs::write(home.path("elf"), b"\x7fELF\x02\x01\x01\0").unwrap();
    let elf = run(&mut compile(&home, &["elf", "--key", "ssh-agent:x"]), b"").expect(1);
    let _ = elf.says(&["bls-compile: input: "]);
}

/// What a made-up agent does when it is asked to sign.
#[derive(Clone, Copy, Debug)]
enum Lie {
    OtherKey,
    OtherMessage,
    Zeros,
    Short,
    Refuses,
    Garbage,
    Huge,
    Closes,
    Hangs,
    Half,
}

/// An SSH string.
fn string(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u32).to_be_bytes()[..], bytes].concat()
}

/// Answers as an agent that has this key, and lies when it signs. Ends with the test.
fn false_agent(socket: &Path, key: PrivateKey, lie: Lie) {
    let listener = UnixListener::bind(socket).expect("a socket");
    thread::spawn(move || {
        let mut held = Vec::new();
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let mut length = [0; 4];
            if stream.read_exact(&mut length).is_err() {
                continue;
            }
            let mut request = vec![0; u32::from_be_bytes(length) as usize];
            stream.read_exact(&mut request).expect("a request");
            if request[0] == 11 {
                let blob = key.public().to_openssh_blob();
                let answer = [&[12, 0, 0, 0, 1][..], &string(&blob), &string(b"false")].concat();
                stream.write_all(&string(&answer)).expect("an answer");
                continue;
            }
            // The key, the message, the flags.
            let at = 1 + 4 + key.public().to_openssh_blob().len() + 4;
            let message = &request[at..request.len() - 4];
            let sealed = |signature: &[u8]| {
                let field = [string(b"ssh-ed25519"), string(signature)].concat();
                string(&[&[14][..], &string(&field)].concat())
            };
            let answer = match lie {
                Lie::OtherKey => sealed(&PrivateKey::from_seed(&[99; 32]).sign(message)),
                Lie::OtherMessage => sealed(&key.sign(b"DSSEv1 another message")),
                Lie::Zeros => sealed(&[0; 64]),
                Lie::Short => sealed(&[7; 63]),
                Lie::Refuses => string(&[5]),
                Lie::Garbage => string(b"HTTP/1.1 400 Bad Request"),
                Lie::Huge => vec![0xff; 8],
                Lie::Half => sealed(&key.sign(message))[..40].to_vec(),
                Lie::Closes => Vec::new(),
                Lie::Hangs => {
                    held.push(stream);
                    continue;
                }
            };
            let _ = stream.write_all(&answer);
        }
    });
}

#[test]
fn an_agent_that_lies_signs_nothing() {
    for (lie, code) in [
        (Lie::OtherKey, "signer.wrong"),
        (Lie::OtherMessage, "signer.wrong"),
        (Lie::Zeros, "signer.wrong"),
        (Lie::Short, "signer.nonsense"),
        (Lie::Refuses, "signer.refused"),
        (Lie::Garbage, "signer.nonsense"),
        (Lie::Huge, "signer.nonsense"),
        (Lie::Half, "signer.nonsense"),
        (Lie::Closes, "signer.nonsense"),
        (Lie::Hangs, "signer.time"),
    ] {
        let home = scene();
        let socket = home.path("false.sock");
        false_agent(&socket, PrivateKey::from_seed(&[7; 32]), lie);
        let words = ["hello.wat", "--key", "ssh-agent:false", "--max-sign-time", "1s"];
        let ended = run(compile(&home, &words).env("SSH_AUTH_SOCK", &socket), b"");
        println!("{lie:?}: {}", ended.stderr);
        refused(&home, ended, code, &["ssh-agent"]);
    }
}

/// A program that signs, in a folder: a script of these lines.
fn script(home: &Home, lines: &str) -> PathBuf {
    let path = home.path("sign.sh");
    fs::write(&path, format!("#!/bin/sh\n{lines}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// bls-compile, signed by `sign.sh` with the key of this folder.
fn by_script(home: &Home, more: &[&str]) -> Ended {
    let words = ["hello.wat", "--key", "exec:./sign.sh", "--public-key", "test.pub"];
    run(compile(home, &[&words, more].concat()).env("GREETING", "from the environment"), b"")
}

/// Signs standard input with a key by openssl, which wants a file.
const OPENSSL: &str =
    "f=$(mktemp) && cat > $f && openssl pkeyutl -sign -rawin -in $f -inkey KEY; rm $f";

#[test]
fn a_program_signs() {
    if !has("openssl", "version") {
        return;
    }
    let home = scene();
    let expected = fs::read(home.fixture("wat/hello.wat")).unwrap();
    fs::remove_file(home.path("hello.bls")).unwrap();
    script(
        &home,
        &format!("echo $# arguments, $GREETING >&2\n{}", OPENSSL.replace("KEY", "test.key")),
    );
    let _ = by_script(&home, &[]).expect(0).says(&["0 arguments, from the environment"]);
    assert_eq!(fs::read(home.path("hello.bls")).unwrap(), expected);
    assert_eq!(home.load(&[], &home.path("hello.bls"), &[]).expect(0).text(), "hello\n");
    // A name with a space, and one that PATH finds: no shell reads either.
    fs::create_dir(home.path("a folder")).unwrap();
    fs::rename(home.path("sign.sh"), home.path("a folder/a signer; true")).unwrap();
    for name in ["exec:a folder/a signer; true", "exec:a signer; true"] {
        let words = ["hello.wat", "-o", "b.bls", "--key", name, "--public-key", "test.pub"];
        let path =
            format!("{}:{}", home.path("a folder").display(), std::env::var("PATH").unwrap());
        let _ = run(compile(&home, &words).env("PATH", path), b"").expect(0);
        assert_eq!(fs::read(home.path("b.bls")).unwrap(), expected, "{name}");
    }
}

#[test]
fn a_program_that_does_not_sign_is_said() {
    let home = scene();
    let other = Home::with_seed(8);
    fs::copy(other.key(), home.path("other.key")).unwrap();
    let has_openssl = has("openssl", "version");
    let cases: &[(&str, &str, &[&str])] = &[
        (
            "echo the PIN is wrong >&2; exit 3",
            "signer.failed",
            &["the PIN is wrong", "ended with 3"],
        ),
        ("kill -9 $$", "signer.failed", &["signal 9"]),
        ("exec true", "signer.form", &["answered nothing"]),
        ("cat", "signer.form", &["very many bytes"]),
        ("cat /dev/zero", "signer.form", &["very many bytes"]),
        ("cat > /dev/null; printf %063d 1", "signer.form", &["63 bytes"]),
        ("printf %064d 1", "signer.wrong", &["is not a signature by key"]),
        ("printf %0128d 1", "signer.form", &["hexadecimal", "xxd -r -p"]),
        ("printf %086d 1; echo ==", "signer.form", &["base64", "base64 -d"]),
    ];
    for (lines, code, words) in cases {
        script(&home, lines);
        refused(&home, by_script(&home, &[]), code, &[words, &["./sign.sh"][..]].concat());
    }
    if has_openssl {
        // Another key's signature of the message, and this key's of another.
        script(&home, &OPENSSL.replace("KEY", "other.key"));
        refused(&home, by_script(&home, &[]), "signer.wrong", &["is not a signature by key"]);
        script(&home, &OPENSSL.replace("KEY", "test.key").replace("cat >", "head -c 100 >"));
        refused(&home, by_script(&home, &[]), "signer.wrong", &["nothing was written"]);
    }
    fs::remove_file(home.path("sign.sh")).unwrap();
    refused(&home, by_script(&home, &[]), "signer.start", &["cannot start ./sign.sh"]);
    fs::write(home.path("sign.sh"), "").unwrap();
    refused(&home, by_script(&home, &[]), "signer.start", &["cannot start ./sign.sh"]);
    let words = ["hello.wat", "--key", "exec:/bin/sh"];
    let unpinned = run(&mut compile(&home, &words), b"");
    refused(&home, unpinned, "signer.unpinned", &["--public-key builder.pub"]);
    let words = ["hello.wat", "--key", "exec:/bin/sh", "--public-key", "test.key"];
    refused(&home, run(&mut compile(&home, &words), b""), "key.not-public", &["test.key"]);
}

#[test]
fn a_program_that_hangs_is_ended_with_all_it_started() {
    let home = scene();
    script(&home, "sleep 1000 2> /dev/null &\necho $! > sleeper\nwait");
    // Without a terminal, as in a pipeline.
    let mut command = Command::new("setsid");
    command.current_dir(home.path("")).arg("--wait").arg(compiler());
    command.args(["hello.wat", "--key", "exec:./sign.sh", "--public-key", "test.pub"]);
    let begin = Instant::now();
    let ended = run(command.args(["--max-sign-time", "1s"]), b"");
    refused(&home, ended, "signer.time", &["./sign.sh did not sign within 1s", "--max-sign-time"]);
    assert!(begin.elapsed() < Duration::from_secs(500), "it was not waited for");
    let sleeper = fs::read_to_string(home.path("sleeper")).unwrap();
    let state = || {
        let text = fs::read_to_string(format!("/proc/{}/stat", sleeper.trim())).unwrap_or_default();
        text.rsplit(") ").next().and_then(|rest| rest.chars().next())
    };
    // It was killed; whoever waits for it may not have done so yet.
    while !matches!(state(), None | Some('Z' | 'X')) {
        thread::sleep(Duration::from_millis(10));
    }

    // One that answers, and leaves somebody behind who holds its output, is not waited for.
    if has("openssl", "version") {
        script(
            &home,
            &format!(
                "sleep 1000 2> /dev/null & echo $! > sleeper\n{}",
                OPENSSL.replace("KEY", "test.key")
            ),
        );
        let _ = by_script(&home, &[]).expect(0);
        let sleeper = fs::read_to_string(home.path("sleeper")).unwrap();
        let _ = Command::new("kill").arg(sleeper.trim()).output();
    }
}

#[test]
fn a_run_and_a_countersignature_take_a_program_too() {
    if !has("openssl", "version") {
        return;
    }
    let home = scene();
    let other = Home::with_seed(8);
    fs::copy(other.key(), home.path("other.key")).unwrap();
    fs::copy(other.public_key(), home.path("other.pub")).unwrap();
    let artifact = home.fixture("wat/hello.wat");
    script(&home, &OPENSSL.replace("KEY", "other.key"));
    let words = ["sign", "hello.bls", "--rebuild", "hello.wat", "--key", "exec:./sign.sh"];
    let more = ["--public-key", "other.pub"];
    let _ = run(&mut compile(&home, &[&words[..], &more].concat()), b"").expect(0);
    assert_eq!(signers(&artifact).len(), 2);
    // A lie adds nothing.
    let before = fs::read(&artifact).unwrap();
    fs::copy(Home::with_seed(9).public_key(), home.path("third.pub")).unwrap();
    let more = ["--public-key", "third.pub"];
    let ended = run(&mut compile(&home, &[&words[..], &more].concat()), b"").expect(1);
    let _ = ended.says(&["code: signer.wrong"]);
    assert_eq!(fs::read(&artifact).unwrap(), before);
}

/// The example of contrib/, with SoftHSM.
#[test]
fn a_key_in_an_hsm_signs() {
    if !has("softhsm2-util", "--version")
        || !has("pkcs11-tool", "--help")
        || !has("python3", "--version")
    {
        return;
    }
    let module = std::env::var("PKCS11_MODULE").unwrap_or_else(|_| {
        let known = ["/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/pkcs11/libsofthsm2.so"];
        known.into_iter().find(|path| Path::new(path).exists()).unwrap_or_default().to_owned()
    });
    if module.is_empty() {
        println!("skipped: the library of SoftHSM is not installed");
        return;
    }
    let home = scene();
    fs::create_dir(home.path("tokens")).unwrap();
    let conf = home.path("softhsm2.conf");
    let tokens = home.path("tokens");
    fs::write(&conf, format!("directories.tokendir = {}\n", tokens.display())).unwrap();
    let with = |program: &str, words: &[&str]| {
        let mut command = Command::new(program);
        let command = command.env("SOFTHSM2_CONF", &conf).current_dir(home.path(""));
        run(command.args(words), b"").expect(0)
    };
    let token = ["--module", &module, "--init-token", "--free", "--label", "bls"];
    let _ = with("softhsm2-util", &[&token[..], &["--so-pin", "1234", "--pin", "1234"]].concat());
    let tool = ["--module", &module, "--token-label", "bls"];
    let make = ["--login", "--pin", "1234", "--keypairgen", "--key-type", "EC:edwards25519"];
    let _ =
        with("pkcs11-tool", &[&tool[..], &make, &["--label", "builder", "--id", "01"]].concat());
    let read = ["--read-object", "--type", "pubkey", "--id", "01", "-o", "builder.pub"];
    let _ = with("pkcs11-tool", &[&tool[..], &read].concat());

    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../contrib/signers/pkcs11.py");
    let signer = format!("exec:{}", script.display());
    let words = ["hello.wat", "--key", &signer, "--public-key", "builder.pub"];
    let sign = |pin: &str| {
        let mut command = compile(&home, &words);
        command.env("SOFTHSM2_CONF", &conf).env("PKCS11_MODULE", &module).env("PKCS11_PIN", pin);
        run(&mut command, b"")
    };
    refused(&home, sign("4321"), "signer.failed", &["ended with"]);
    let _ = sign("1234").expect(0);
    let mut command = Command::new(loader());
    let command = command.current_dir(home.path("")).args(["--trust", "builder.pub", "hello.bls"]);
    assert_eq!(run(command, b"").expect(0).text(), "hello\n");
}
