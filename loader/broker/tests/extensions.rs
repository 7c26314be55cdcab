//! Extensions through the broker: what they get, what they do not, and how they end.

mod common;

use bls_artifact::broker::{Answer, ExtensionsFrom, Reason, Request, Setup};
use bls_artifact::digest::Sha256;
use bls_artifact::extension::{Extension, Registry};
use common::{Broker, children, granting, wait_for};
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A folder with programs in it.
struct Programs {
    folder: TempDir,
}

impl Programs {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A shell script.
    fn script(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    /// One that says who it is.
    fn polite(&self, name: &str, text: &str) -> PathBuf {
        self.script(
            name,
            &format!(
                "if [ \"$1\" = --ext_verify ]; then\n\
                 echo '{{\"alias\":\"{name}\",\"description\":\"does {name}\",\"is_cgi\":true,\"md5\":\"lie\"}}'\n\
                 exit\nfi\n{text}"
            ),
        )
    }

    /// The set-up for a registry of these.
    fn registry(&self, extensions: Vec<Extension>) -> Setup {
        let path = self.path("registry.json");
        let registry = Registry { extensions, ..Registry::empty() };
        fs::write(&path, registry.to_text().unwrap()).unwrap();
        self.setup(&path, false)
    }

    fn setup(&self, path: &Path, is_folder: bool) -> Setup {
        let extensions = ExtensionsFrom { path: path.to_owned(), is_folder, aliases: None };
        Setup { extensions: Some(extensions), ..granting(&[]) }
    }

    fn folder(&self) -> Setup {
        self.setup(self.folder.path(), true)
    }
}

fn extension(alias: &str, path: &Path) -> Extension {
    let sha256 = Sha256::of(&fs::read(path).unwrap());
    Extension::new(alias.to_owned(), path.to_owned(), sha256)
}

/// One that runs: its handle, what it hears, says and complains.
struct Started {
    handle: u32,
    stdin: File,
    stdout: File,
    stderr: File,
}

fn start(
    broker: &mut Broker,
    alias: &str,
    words: &[&str],
    variables: &[(&str, &str)],
) -> Result<Started, (Reason, String)> {
    let request = Request::Start {
        alias: alias.to_owned(),
        arguments: words.iter().map(|word| (*word).to_owned()).collect(),
        variables: variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
    };
    match broker.ask(&request) {
        (Answer::Started { handle, .. }, descriptors) => {
            let mut files = descriptors.into_iter().map(|one: OwnedFd| File::from(one));
            let mut next = || files.next().unwrap();
            Ok(Started { handle, stdin: next(), stdout: next(), stderr: next() })
        }
        (Answer::Refused(refusal), _) => Err((refusal.reason, refusal.text)),
        (other, _) => panic!("{other:?}"),
    }
}

impl Started {
    /// All that it says, once it has ended.
    fn output(mut self) -> (String, String) {
        drop(self.stdin);
        let (mut out, mut err) = (String::new(), String::new());
        self.stdout.read_to_string(&mut out).unwrap();
        self.stderr.read_to_string(&mut err).unwrap();
        (out, err)
    }
}

/// What one that is all allowed says when it runs with these words.
fn run(
    broker: &mut Broker,
    alias: &str,
    words: &[&str],
    variables: &[(&str, &str)],
) -> (String, String) {
    start(broker, alias, words, variables).unwrap_or_else(|error| panic!("{error:?}")).output()
}

#[test]
fn an_extension_gets_arguments_variables_and_streams_and_nothing_else() {
    let programs = Programs::new();
    let path = programs.script(
        "all",
        "echo \"$#:$1:$2\"; /usr/bin/env; cd /proc/self/fd && echo *; cat; echo complains >&2",
    );
    let mut one = extension("all", &path);
    one.variables = vec!["LANG".to_owned()];
    let mut broker = Broker::start(&programs.registry(vec![one]));
    let mut started = start(&mut broker, "all", &["two words", ""], &[("LANG", "C")]).unwrap();
    started.stdin.write_all(b"what it hears").unwrap();
    let (out, err) = started.output();
    // (The shell sets these three itself; 10 and 11 are its own, and the script's is open.)
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines[0], "2:two words:");
    let is_own =
        |line: &&str| ["PWD=", "OLDPWD=", "SHLVL=", "_="].iter().any(|own| line.starts_with(own));
    let variables: Vec<&str> = lines
        .iter()
        .filter(|line| line.contains('='))
        .filter(|line| !is_own(line))
        .copied()
        .collect();
    assert_eq!(variables, ["LANG=C"], "{out}");
    assert!(lines.contains(&"what it hears"), "{out}");
    assert_eq!(err, "complains\n");
    broker.end();
}

#[test]
fn no_descriptor_but_the_streams_reaches_a_program() {
    let programs = Programs::new();
    let path = programs.path("ls");
    fs::copy("/bin/ls", &path).unwrap();
    let mut broker = Broker::start(&programs.registry(vec![{
        let mut one = extension("ls", &path);
        one.read = vec!["/proc".into()];
        one
    }]));
    let (out, err) = run(&mut broker, "ls", &["/proc/self/fd"], &[]);
    // The fourth is the folder that it lists.
    assert_eq!(out, "0\n1\n2\n3\n", "{err}");
    broker.end();
}

#[test]
fn arguments_and_variables_are_those_of_the_registry() {
    let programs = Programs::new();
    let path = programs.script("one", "echo \"$@\"");
    let mut one = extension("one", &path);
    one.arguments = Some(vec!["--index".to_owned(), "--limit=*".to_owned()]);
    let mut broker = Broker::start(&programs.registry(vec![one]));
    assert_eq!(run(&mut broker, "one", &["--limit=7", "--index"], &[]).0, "--limit=7 --index\n");
    for (words, variables) in
        [(&["--other"][..], &[][..]), (&["--index "], &[]), (&[], &[("LANG", "C")])]
    {
        let (reason, text) = start(&mut broker, "one", words, variables).err().unwrap();
        assert_eq!(reason, Reason::Denied, "{text}");
    }
    let (reason, _) = start(&mut broker, "one", &["--limit=\0"], &[]).err().unwrap();
    assert_eq!(reason, Reason::Invalid);
    let long = "--limit=".to_owned() + &"x".repeat(200_000);
    let (reason, _) = start(&mut broker, "one", &[&long], &[]).err().unwrap();
    assert_eq!(reason, Reason::TooLong);
    for alias in ["two", "", "../one", "/bin/sh"] {
        let (reason, _) = start(&mut broker, alias, &[], &[]).err().unwrap();
        assert_eq!(reason, Reason::UnknownExtension);
    }
    broker.end();
}

#[test]
fn only_the_aliases_of_the_set_up_are_there() {
    let programs = Programs::new();
    let (one, two) = (programs.script("one", "echo 1"), programs.script("two", "echo 2"));
    let mut setup = programs.registry(vec![extension("one", &one), extension("two", &two)]);
    setup.extensions.as_mut().unwrap().aliases = Some(vec!["two".to_owned(), "three".to_owned()]);
    let mut broker = Broker::start(&setup);
    let Answer::List(list) = broker.ask(&Request::Extensions).0 else { panic!() };
    let names: Vec<&str> = list.iter().map(|one| one.alias.as_str()).collect();
    assert_eq!(names, ["two"]);
    assert_eq!(run(&mut broker, "two", &[], &[]).0, "2\n");
    let (reason, _) = start(&mut broker, "one", &[], &[]).err().unwrap();
    assert_eq!(reason, Reason::UnknownExtension);
    broker.end();
    // Nothing at all where no extensions are granted.
    let mut broker = Broker::start(&granting(&["*"]));
    assert_eq!(broker.ask(&Request::Extensions).0, Answer::List(Vec::new()));
    let (reason, _) = start(&mut broker, "two", &[], &[]).err().unwrap();
    assert_eq!(reason, Reason::UnknownExtension);
    assert_eq!(children(broker.child.id()), [0_u32; 0]);
    broker.end();
}

#[test]
fn a_program_that_is_another_is_not_executed() {
    let programs = Programs::new();
    let path = programs.script("one", "echo first");
    let setup = programs.registry(vec![extension("one", &path)]);
    let mut broker = Broker::start(&setup);
    assert_eq!(run(&mut broker, "one", &[], &[]).0, "first\n");
    // Changed where it stands.
    programs.script("one", "echo second");
    let (reason, text) = start(&mut broker, "one", &[], &[]).err().unwrap();
    assert!(reason == Reason::Denied && text.contains("ext add"), "{text}");
    broker.end();
    // Another file in its place; a link to another; none at all.
    let other = programs.script("other", "echo third");
    for change in [
        &(|| fs::rename(&other, &path).unwrap()) as &dyn Fn(),
        &|| {
            fs::remove_file(&path).unwrap();
            std::os::unix::fs::symlink("/bin/sh", &path).unwrap();
        },
        &|| fs::remove_file(&path).unwrap(),
    ] {
        let mut broker = Broker::start(&setup);
        change();
        let (reason, text) = start(&mut broker, "one", &[], &[]).err().unwrap();
        assert!(matches!(reason, Reason::Denied | Reason::Failed), "{text}");
        broker.end();
        let mut broker = Broker::start(&setup);
        assert!(start(&mut broker, "one", &[], &[]).is_err());
        broker.end();
    }
}

#[test]
fn a_program_that_others_may_write_is_executed_as_it_was_hashed() {
    let programs = Programs::new();
    // A script, which its interpreter opens again, and a program.
    let script = programs.script("script", "sleep 0.2; echo as it was");
    let program = programs.path("echo");
    fs::copy("/bin/echo", &program).unwrap();
    for path in [&script, &program] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
    }
    let all = vec![extension("script", &script), extension("echo", &program)];
    let mut broker = Broker::start(&programs.registry(all));
    let started = start(&mut broker, "script", &[], &[]).unwrap();
    // While it runs, before the shell has read its end.
    fs::write(&script, "#!/bin/sh\nsleep 0.2; echo changed; echo changed\n").unwrap();
    assert_eq!(started.output().0, "as it was\n");
    assert_eq!(run(&mut broker, "echo", &["hello"], &[]).0, "hello\n");
    broker.end();
}

#[test]
fn a_registry_that_others_may_write_is_not_believed() {
    let programs = Programs::new();
    let path = programs.script("one", "echo 1");
    let setup = programs.registry(vec![extension("one", &path)]);
    let registry = &setup.extensions.as_ref().unwrap().path;
    let refused = |words: &str| {
        let Answer::Refused(refusal) = Broker::spawn().set_up(&setup) else { panic!("{words}") };
        assert!(refusal.reason == Reason::Failed && refusal.text.contains(words), "{refusal}");
    };
    fs::set_permissions(registry, fs::Permissions::from_mode(0o666)).unwrap();
    refused("others than root");
    fs::set_permissions(registry, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(registry, "{\"version\":1,\"extensions\":[{}]}").unwrap();
    refused("alias");
    fs::remove_file(registry).unwrap();
    refused("No such file");
    fs::create_dir(registry).unwrap();
    refused("is no file");
}

#[test]
fn a_folder_of_programs_is_asked() {
    let programs = Programs::new();
    programs.polite("good", "echo \"$GUEST_ENV:${LD_PRELOAD-unset}:$1\"");
    programs.script("dumb", "echo hello");
    programs.script("none", "echo '{\"alias\":\"none\",\"is_cgi\":false}'");
    programs.script("fails", "exit 3");
    programs.script("hangs", "sleep 1000");
    programs.script("floods", "yes");
    programs.script("twin", "echo '{\"alias\":\"good\",\"description\":\"\",\"is_cgi\":true}'");
    fs::write(programs.path("text"), "{\"alias\":\"text\",\"is_cgi\":true}").unwrap();
    fs::write(programs.path("empty"), "").unwrap();
    fs::set_permissions(programs.path("empty"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::create_dir(programs.path("folder")).unwrap();
    let mut broker = Broker::start(&programs.folder());
    let begin = Instant::now();
    let Answer::List(list) = broker.ask(&Request::Extensions).0 else { panic!() };
    assert!(begin.elapsed() < Duration::from_secs(20));
    assert_eq!(list.len(), 1, "{list:?}");
    let good = &list[0];
    assert_eq!((good.alias.as_str(), good.file_name.as_str()), ("good", "good"));
    assert_eq!(good.description, "does good");
    assert!(good.md5.len() == 32 && good.md5 != "lie" && good.sha256.len() == 64);
    let variables = [("GUEST_ENV", "from guest"), ("LD_PRELOAD", "/evil.so"), ("PATH", "/evil")];
    let (out, _) = run(&mut broker, "good", &["a"], &variables);
    assert_eq!(out, "from guest:unset:a\n");
    let (reason, text) = start(&mut broker, "dumb", &[], &[]).err().unwrap();
    assert!(reason == Reason::UnknownExtension && text.contains("dumb is none"), "{text}");
    // The digest that was taken then is the one that is executed.
    programs.polite("good", "echo another");
    assert_eq!(start(&mut broker, "good", &[], &[]).err().unwrap().0, Reason::Denied);
    broker.end();
    // Without a listing before it; and no folder at all.
    let mut broker = Broker::start(&programs.folder());
    assert_eq!(run(&mut broker, "good", &[], &[]).0, "another\n");
    broker.end();
    let mut broker = Broker::start(&programs.setup(&programs.path("missing"), true));
    assert_eq!(broker.ask(&Request::Extensions).0, Answer::List(Vec::new()));
    broker.end();
}

/// Whether a process is there and no zombie.
fn lives(process: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    status.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

/// The numbers that a script prints of itself and its children.
fn numbers(started: &mut Started, count: usize) -> Vec<u32> {
    let mut text = String::new();
    while text.lines().count() < count || !text.ends_with('\n') {
        let mut byte = [0];
        assert_eq!(started.stdout.read(&mut byte).unwrap(), 1, "{text}");
        text.push(byte[0] as char);
    }
    text.lines().map(|line| line.parse().unwrap()).collect()
}

/// A script that leaves children and grandchildren behind, in all the ways there are.
const FAMILY: &str = "sleep 1000 & echo $!\n\
    (sleep 1000 & echo $!; exec sleep 1000) &\n\
    (setsid sleep 1000 || sleep 1000) </dev/null >/dev/null 2>&1 & echo $!\n\
    echo $$\nwait";

#[test]
fn all_of_an_extension_ends_at_close_and_with_the_host() {
    let programs = Programs::new();
    let path = programs.script("family", FAMILY);
    let setup = programs.registry(vec![extension("family", &path)]);
    for how in ["close", "end", "killed", "interrupted"] {
        let mut broker = Broker::start(&setup);
        let mut started = start(&mut broker, "family", &[], &[]).unwrap();
        let all = numbers(&mut started, 4);
        assert!(all.iter().all(|one| lives(*one)), "{all:?}");
        let starter = children(broker.child.id());
        match how {
            "close" => {
                let close = Request::Close { handle: started.handle };
                assert_eq!(broker.ask(&close).0, Answer::Done);
                assert!(!all.iter().any(|one| lives(*one)), "{all:?}");
                let mut rest = String::new();
                started.stdout.read_to_string(&mut rest).unwrap();
                broker.end();
            }
            "end" => {
                broker.end();
                assert!(!all.iter().any(|one| lives(*one)), "{all:?}");
            }
            "interrupted" => {
                // As who ends a service does it: all of a group at once. (Not SIGINT, which whoever
                // started the tests may have them ignore.)
                for process in broker.processes() {
                    let process = rustix::process::Pid::from_raw(process as i32).unwrap();
                    rustix::process::kill_process(process, rustix::process::Signal::TERM).unwrap();
                }
                broker.child.wait().unwrap();
                wait_for(|| (!all.iter().any(|one| lives(*one))).then_some(()));
            }
            _ => {
                broker.child.kill().unwrap();
                broker.child.wait().unwrap();
                wait_for(|| (!all.iter().any(|one| lives(*one))).then_some(()));
            }
        }
        wait_for(|| (!starter.iter().any(|one| lives(*one))).then_some(()));
    }
}

#[test]
fn an_extension_ends_when_its_time_is_over_or_it_is_too_many() {
    let programs = Programs::new();
    let path = programs.script("family", FAMILY);
    // It would be 200 processes, were there no limit.
    let bomb = "n=0; while [ $n -lt 200 ]; do sleep 1000 & n=$((n+1)); echo $n; done";
    let bomb = programs.script("bomb", bomb);
    let mut slow = extension("slow", &path);
    slow.time_ms = 500;
    let mut many = extension("many", &bomb);
    many.processes = 20;
    let mut single = extension("single", &programs.script("single", "/bin/true; echo $?"));
    single.processes = 1;
    let mut broker = Broker::start(&programs.registry(vec![slow, many, single]));
    let mut started = start(&mut broker, "slow", &[], &[]).unwrap();
    let all = numbers(&mut started, 4);
    wait_for(|| (!all.iter().any(|one| lives(*one))).then_some(()));
    assert_eq!(broker.ask(&Request::Close { handle: started.handle }).0, Answer::Done);

    let (out, err) = run(&mut broker, "many", &[], &[]);
    let counted: usize = out.lines().last().unwrap_or("0").parse().unwrap();
    assert!((10..=40).contains(&counted) && err.contains("fork"), "{out} {err}");
    let starter = broker.processes()[1];
    wait_for(|| children(starter).is_empty().then_some(()));

    // One that may be one process makes no other.
    let (out, err) = run(&mut broker, "single", &[], &[]);
    assert!(!out.contains('0') && !err.is_empty(), "{out} {err}");
    broker.end();
}

#[test]
fn a_flood_of_output_waits_for_its_reader() {
    let programs = Programs::new();
    let path = programs.script("yes", "exec yes");
    let mut broker = Broker::start(&programs.registry(vec![extension("yes", &path)]));
    let mut started = start(&mut broker, "yes", &[], &[]).unwrap();
    let mut some = vec![0; 1 << 20];
    started.stdout.read_exact(&mut some).unwrap();
    assert!(some.starts_with(b"y\ny\n"));
    assert_eq!(broker.ask(&Request::Close { handle: started.handle }).0, Answer::Done);
    // What was in the pipe, and the end.
    started.stdout.read_to_end(&mut some).unwrap();
    broker.end();
}

#[test]
fn an_extension_is_confined() {
    let programs = Programs::new();
    let secret = programs.path("secret");
    fs::write(&secret, "a secret").unwrap();
    let (own, data) = (programs.path("own"), programs.path("data"));
    fs::create_dir(&own).unwrap();
    fs::create_dir(&data).unwrap();
    fs::write(data.join("file"), "data").unwrap();
    let script = "cat \"$1\" && echo read; echo x > \"$1\" && echo wrote; exit 0";
    let mut one = extension("files", &programs.script("files", script));
    (one.read, one.write) = (vec![data.clone()], vec![own.clone()]);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let connect = format!("exec 3<>/dev/tcp/127.0.0.1/{port} && echo connected");
    let bash = Path::new("/bin/bash").exists();
    let path = programs.path("net");
    fs::write(&path, format!("#!/bin/bash\n{connect}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    let memory = programs.script("memory", "x=xxxxxxxxxxxxxxxx; for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24; do x=$x$x; done; echo survived");
    let mut big = extension("memory", &memory);
    big.memory = 16 << 20;
    let privileges = programs.script("status", "cat /proc/self/status");
    let mut status = extension("status", &privileges);
    status.read = vec!["/proc".into()];
    let mut online = extension("online", &path);
    online.network = true;
    let net = extension("net", &path);
    let mut broker = Broker::start(&programs.registry(vec![one, net, big, status.clone()]));
    let has_landlock = bls_confine_has_landlock();
    let said =
        |broker: &mut Broker, path: &Path| run(broker, "files", &[path.to_str().unwrap()], &[]).0;
    if has_landlock {
        assert_eq!(said(&mut broker, &secret), "");
        assert_eq!(said(&mut broker, Path::new("/etc/passwd")), "");
        assert_eq!(said(&mut broker, &data.join("file")), "dataread\n");
        assert_eq!(fs::read_to_string(&secret).unwrap(), "a secret");
        fs::write(own.join("file"), "").unwrap();
        assert_eq!(said(&mut broker, &own.join("file")), "read\nwrote\n");
    } else {
        println!("not looked at: no Landlock here");
    }
    if bash {
        let (out, err) = run(&mut broker, "net", &[], &[]);
        assert!(!out.contains("connected"), "{out} {err}");
    }
    assert_eq!(run(&mut broker, "memory", &[], &[]).0, "", "it found an end");
    let (out, _) = run(&mut broker, "status", &[], &[]);
    for line in
        ["NoNewPrivs:\t1", "Seccomp:\t2", "CapEff:\t0000000000000000", "CapPrm:\t0000000000000000"]
    {
        assert!(out.contains(line), "{line}: {out}");
    }
    // None is ignored, but for two of the C library's own (32 and 33).
    let ignored = out.lines().find_map(|line| line.strip_prefix("SigIgn:\t")).unwrap();
    let ignored = u64::from_str_radix(ignored, 16).unwrap();
    assert_eq!(ignored & !(0b11 << 31), 0, "{ignored:x}");
    broker.end();
    // Where the registry gives it the network it has it.
    if bash {
        let mut broker = Broker::start(&programs.registry(vec![online]));
        assert_eq!(run(&mut broker, "online", &[], &[]).0, "connected\n");
        broker.end();
    }
}

/// What an extension is told of system calls that it makes with these arguments, which Perl
/// evaluates: 0, or the number of the error. `None` where there is no Perl.
fn errors_of_calls(calls: &[(i64, &str)]) -> Option<Vec<i32>> {
    if !Path::new("/usr/bin/perl").exists() {
        println!("not looked at: no Perl here");
        return None;
    }
    let programs = Programs::new();
    let path = programs.path("calls");
    let mut text = "#!/usr/bin/perl\n$| = 1; my $room = \"\\0\" x 4096;\n".to_owned();
    for (number, arguments) in calls {
        text += &format!("print((syscall({number}, {arguments}) == -1 ? $!+0 : 0), \"\\n\");\n");
    }
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    let mut broker = Broker::start(&programs.registry(vec![extension("calls", &path)]));
    let (out, err) = run(&mut broker, "calls", &[], &[]);
    broker.end();
    let errors: Vec<i32> = out.lines().map(|line| line.parse().unwrap()).collect();
    assert_eq!(errors.len(), calls.len(), "{out} {err}");
    Some(errors)
}

#[test]
fn an_extension_shares_no_memory_with_others_of_its_user() {
    let calls = [
        // Memory, messages and semaphores of a number, made where there are none.
        (libc::SYS_shmget, "77177, 4096, 01600"),
        (libc::SYS_msgget, "77177, 01600"),
        (libc::SYS_semget, "77177, 1, 01600"),
        (libc::SYS_mq_open, "$room, 0102, 0600, 0"),
        (libc::SYS_shmctl, "0, 14, $room"),
    ];
    let Some(errors) = errors_of_calls(&calls) else { return };
    assert_eq!(errors, [libc::EPERM; 5]);
}

#[test]
fn an_extension_ends_nobody_else_of_its_user() {
    // Limits on the processor's time (0) and on files (7): its own, and those of who started it.
    let calls = [
        (libc::SYS_prlimit64, "0, 7, 0, $room"),
        (libc::SYS_prlimit64, "getppid(), 0, 0, $room"),
        (libc::SYS_prlimit64, "getppid(), 7, 0, $room"),
        (libc::SYS_kill, "getppid(), 0"),
    ];
    let Some(errors) = errors_of_calls(&calls) else { return };
    assert_eq!(errors[..3], [0, libc::EPERM, libc::EPERM]);
    if keeps_signals() {
        assert_eq!(errors[3], libc::EPERM);
    } else {
        println!("not looked at: this kernel does not keep signals inside");
    }
}

#[test]
fn a_demanded_sandbox_is_refused_where_signals_are_not_kept_inside() {
    let programs = Programs::new();
    let mut setup = programs.registry(vec![extension("one", &programs.script("one", "echo 1"))]);
    setup.require_sandbox = true;
    let answer = Broker::spawn().set_up(&setup);
    match answer {
        Answer::Done => assert!(keeps_signals()),
        Answer::Refused(refusal) => {
            let names_signals = refusal.text.contains("signals");
            assert_eq!(names_signals, !keeps_signals(), "{refusal}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_extension_has_no_memory_that_its_limit_does_not_count() {
    // Read and write; shared (1), private (2), validated (3), without a file (0x20), as a stack
    // grows (0x100).
    let calls = [
        (libc::SYS_mmap, "0, 4096, 3, 0x22, -1, 0"),
        (libc::SYS_mmap, "0, 4096, 3, 0x21, -1, 0"),
        (libc::SYS_mmap, "0, 4096, 3, 0x23, -1, 0"),
        (libc::SYS_mmap, "0, 4096, 3, 0x122, -1, 0"),
        (libc::SYS_memfd_create, "$room, 0"),
        (libc::SYS_memfd_secret, "0"),
    ];
    let Some(errors) = errors_of_calls(&calls) else { return };
    let (no, unknown) = (libc::EPERM, libc::ENOSYS);
    assert_eq!(errors, [0, no, no, no, unknown, unknown]);
}

/// Whether Landlock is here, and keeps signals inside.
fn keeps_signals() -> bool {
    use bls_confine::landlock::Ruleset;
    Ruleset::new().is_ok_and(|ruleset| ruleset.keeps_signals())
}

fn bls_confine_has_landlock() -> bool {
    bls_confine::landlock::abi().is_ok()
}

#[test]
fn extensions_are_counted_and_network_and_extensions_go_together() {
    let programs = Programs::new();
    let path = programs.script("cat", "exec cat");
    let mut setup = programs.registry(vec![extension("cat", &path)]);
    setup.net = granting(&["127.0.0.1"]).net;
    setup.limits.handles = 2;
    setup.require_sandbox = keeps_signals();
    let address = common::server(|stream, _| common::answer(stream, "200 OK", "page"));
    let mut broker = Broker::start(&setup);
    let mut one = start(&mut broker, "cat", &[], &[]).unwrap();
    let two = start(&mut broker, "cat", &[], &[]).unwrap();
    assert_eq!(start(&mut broker, "cat", &[], &[]).err().unwrap().0, Reason::TooMany);
    assert_eq!(broker.get(&format!("http://{address}/")).unwrap().1, "page");
    one.stdin.write_all(b"echo").unwrap();
    let mut text = [0; 4];
    one.stdout.read_exact(&mut text).unwrap();
    assert_eq!(&text, b"echo");
    assert_eq!(broker.ask(&Request::Close { handle: two.handle }).0, Answer::Done);
    let three = start(&mut broker, "cat", &[], &[]).unwrap();
    assert!(three.handle != one.handle && three.handle != two.handle);
    // An extension is read by its streams only.
    let Answer::Refused(refusal) = broker.ask(&Request::Read { handle: one.handle, max: 1 }).0
    else {
        panic!()
    };
    assert_eq!(refusal.reason, Reason::UnknownHandle);
    broker.end();
}
