//! Artifacts as programs of the system: by the kernel's binfmt_misc, and as a service of
//! systemd's.
//!
//! The kernel is asked in a namespace of our own (since Linux 6.7); where there is none, or no
//! systemd, that is printed and left out.

use bls_tests::installed::{Shelf, release};
use bls_tests::programs::{Home, fixtures, loader, run};
use std::path::Path;
use std::process::Command;

fn unit() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../contrib/systemd/bls@.service");
    std::fs::read_to_string(path).expect("the unit")
}

#[test]
fn the_line_for_the_kernel_is_what_it_takes() {
    let program = loader().canonicalize().unwrap();
    let said = |words: &[&str]| run(Command::new(loader()).arg("binfmt").args(words), b"");
    let line = format!(r":bls:M::\x89BLS\x0d\x0a\x1a\x0a::{}:O", program.display());
    assert_eq!(said(&[]).expect(0).text(), format!("{line}\n"));
    assert_eq!(said(&["--fixed"]).expect(0).text(), format!("{line}F\n"));
    let _ = said(&["--remove"]).expect(125).says(&["does not take --remove", "code: usage.words"]);
    // A path that would end a field.
    let home = Home::new();
    let odd = home.path("a:b");
    std::fs::copy(loader(), &odd).unwrap();
    let ended = run(Command::new(odd).arg("binfmt"), b"").expect(125);
    let _ = ended.says(&["takes no program of this path", "/usr/local/bin", "code: binfmt.path\n"]);
}

/// A script for a namespace where the kernel may be told, and where nobody trusts anybody but
/// this home's builder: `exec`s nothing, and ends where one of its lines fails.
fn in_a_namespace(home: &Home, script: &str) -> Option<bls_tests::programs::Ended> {
    let prepared = r#"
        mount -t binfmt_misc none /proc/sys/fs/binfmt_misc || exit 77
        mount -t tmpfs none /root || exit 77
        export HOME=/root
        "$LOAD" trust add "$KEY" >/dev/null
        "#;
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "--pid", "--fork", "--mount-proc"]);
    command.args(["sh", "-euc", &format!("{prepared}{script}")]).current_dir(home.path(""));
    command.env("LOAD", loader()).env("KEY", home.public_key());
    let ended = run(&mut command, b"from the outside");
    let cannot = ended.code == Some(77) || ended.stderr.starts_with("unshare: ");
    if cannot {
        println!("no namespace with a binfmt_misc of its own: {}", ended.stderr);
    }
    (!cannot).then_some(ended)
}

#[test]
fn an_artifact_is_a_program() {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    let home = Home::new();
    let artifact = home.fixture("wat/args_env.wat");
    let all = |mode| std::fs::Permissions::from_mode(mode);
    // Whatever it is called, and though nobody may read it.
    std::fs::copy(&artifact, home.path("--fuel")).unwrap();
    std::fs::set_permissions(home.path("--fuel"), all(0o755)).unwrap();
    symlink("--fuel", home.path("other")).unwrap();
    let hello = home.fixture("wat/hello.wat");
    std::fs::set_permissions(&hello, all(0o111)).unwrap();
    let Some(ended) = in_a_namespace(
        &home,
        r#"
        "$LOAD" binfmt --install
        "$LOAD" binfmt --install
        cat /proc/sys/fs/binfmt_misc/bls
        echo -- ; ./--fuel --fuel 3 "a  b" ''
        echo -- ; PATH=$PWD:$PATH other
        echo -- ; ./hello.bls
        echo -- ; ./hello.bls <&-
        printf changed > changed.bls; chmod +x changed.bls
        (sh -c ./changed.bls || echo "not one: $?") 2>&1
        head -c 100 ./--fuel > cut; chmod +x cut; ./cut || echo "cut: $?"
        "#,
    ) else {
        return;
    };
    let said = ended.text();
    assert_eq!(ended.code, Some(0), "{said}{}", ended.stderr);
    let parts: Vec<&str> = said.split("--\n").collect();
    assert_eq!(parts.len(), 5, "{said}");
    let program = loader().canonicalize().unwrap();
    assert!(parts[0].contains(&format!("interpreter {}\n", program.display())), "{said}");
    assert!(parts[0].contains("flags: O\n"), "{said}");
    for (part, arguments) in [(parts[1], "--fuel --fuel 3"), (parts[2], "other")] {
        for argument in arguments.split(' ') {
            assert!(part.contains(argument), "{argument} is not in {part:?}");
        }
    }
    assert!(parts[1].contains("a  b"), "{said}");
    assert_eq!(parts[3], "hello\n");
    assert!(parts[4].starts_with("hello\n"), "{said}");
    assert!(parts[4].ends_with("cut: 125\n"), "{said}");
}

#[test]
fn registering_without_the_right_says_what_to_do() {
    let home = Home::new();
    let Some(ended) = in_a_namespace(
        &home,
        r#"umount /proc/sys/fs/binfmt_misc; "$LOAD" binfmt --install || echo "ended: $?""#,
    ) else {
        return;
    };
    assert_eq!(ended.text(), "ended: 125\n", "{}", ended.stderr);
    let _ = ended.says(&["bls-load: binfmt: cannot write", "hint: ", "code: binfmt.system\n"]);
}

#[test]
fn the_unit_is_one_that_systemd_takes() {
    let home = Home::new();
    let path = home.path("bls@app.service");
    let program = loader().canonicalize().unwrap();
    let text = unit().replace("/usr/local/bin/bls-load", &program.to_string_lossy());
    std::fs::write(&path, text).unwrap();
    let verified = Command::new("systemd-analyze").arg("verify").arg(&path).output();
    match verified {
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            // Of a word it does not know it says so, and succeeds.
            assert!(output.status.success() && said.is_empty(), "{said}");
        }
        Err(error) => println!("systemd-analyze: {error}"),
    }
}

#[test]
fn the_units_command_runs_what_is_installed() {
    let (home, shelf) = (Home::new(), Shelf::new());
    let _ = shelf.install(&home, &release(&home, "app", 1, "word")).expect(0);
    let unit = unit();
    let line = unit.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap();
    let credentials = home.path("credentials");
    std::fs::create_dir(&credentials).unwrap();
    // As systemd copies what `LoadCredential` names, under the name that it gives.
    let named = unit.lines().find_map(|line| line.strip_prefix("LoadCredential=")).unwrap();
    let (name, from) = named.split_once(':').unwrap();
    assert_eq!(from, bls_artifact::trust::SYSTEM_FILE);
    std::fs::copy(home.public_key(), credentials.join(name)).unwrap();
    let log = home.path("log");
    let heard = std::os::unix::net::UnixDatagram::bind(&log).unwrap();
    let words: Vec<String> = line
        .split(' ')
        .map(|word| match word {
            "syslog" => log.to_string_lossy().into_owned(),
            word => word
                .replace("${CREDENTIALS_DIRECTORY}", &credentials.to_string_lossy())
                .replace("%i", "app"),
        })
        .collect();
    let (program, words) = words.split_first().unwrap();
    assert!(program.ends_with("/bls-load"), "{program}");
    let ended = run(Command::new(loader()).arg("--store").arg(shelf.store()).args(words), b"");
    if ended.code == Some(125) && ended.stderr.contains("confine.incomplete") {
        println!("this kernel has not all of the sandbox");
        return;
    }
    assert_eq!(ended.expect(0).text(), "word\n");
    let mut bytes = [0; 1000];
    let count = heard.recv(&mut bytes).unwrap();
    assert!(String::from_utf8_lossy(&bytes[..count]).contains("name=app release=1"));
}

/// Every word that the filter of the unit knows, by systemd's own list.
fn allowed() -> Option<Vec<String>> {
    let list = |set: &str| {
        let output = Command::new("systemd-analyze").args(["syscall-filter", set]).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let mut left: Vec<String> = unit()
        .lines()
        .filter_map(|line| line.strip_prefix("SystemCallFilter="))
        .flat_map(|words| words.split(' ').map(str::to_owned).collect::<Vec<_>>())
        .collect();
    let mut calls = Vec::new();
    while let Some(word) = left.pop() {
        if !word.starts_with('@') {
            calls.push(word);
            continue;
        }
        let lines = list(&word)?;
        let inside = lines.lines().filter_map(|line| line.strip_prefix("    "));
        left.extend(inside.filter(|line| !line.starts_with('#')).map(str::to_owned));
    }
    Some(calls)
}

#[test]
fn the_units_filter_leaves_what_the_wall_needs() {
    let Some(allowed) = allowed() else {
        println!("systemd-analyze has no list of system calls");
        return;
    };
    let home = Home::new();
    let artifact = home.compile(&fixtures().join("c/files.wasm"), &[]);
    let trace = home.path("trace");
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-o"]).arg(&trace).arg(loader()).arg("--trust");
    command.arg(home.public_key()).args(["--dir", ".::/"]).arg(&artifact);
    let Ok(_) = command.current_dir(home.path("")).output() else {
        println!("strace is not installed");
        return;
    };
    let text = std::fs::read_to_string(&trace).unwrap();
    let mut count = 0;
    for line in text.lines() {
        let call = line.split_whitespace().nth(1).and_then(|rest| rest.split_once('('));
        let Some((call, _)) = call else { continue };
        count += 1;
        assert!(allowed.iter().any(|name| name == call), "the unit forbids {call}");
    }
    assert!(count > 50, "{count} calls");
}
