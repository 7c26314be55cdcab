//! Manual pages and completions are made of the help texts, and are those that are committed.
//!
//! `BLS_MANUALS=write` writes them anew: `contrib/man/`, `contrib/completions/`.

use bls_tests::programs::{broker, compiler, loader, run};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A program's texts: of itself, then of its commands in the order it names them.
struct Texts {
    program: &'static str,
    own: String,
    commands: Vec<(String, String)>,
}

fn said(program: &Path, words: &[&str]) -> String {
    run(Command::new(program).args(words), b"").expect(0).text()
}

fn texts(program: &'static str, path: &Path) -> Texts {
    let own = said(path, &["--help"]);
    let mut commands = Vec::new();
    for name in commands_in(&own).into_iter().filter(|name| name != "help") {
        let text = said(path, &["help", &name]);
        commands.push((name, text));
    }
    Texts { program, own, commands }
}

/// The commands that a text lists: a word behind two spaces, and what it does.
fn commands_in(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in text.lines() {
        let Some((word, rest)) = line.strip_prefix("  ").and_then(|line| line.split_once(' '))
        else {
            continue;
        };
        let is_word = |byte: u8| byte.is_ascii_lowercase() || byte == b'-';
        let is_name = !word.is_empty() && !word.starts_with('-') && word.bytes().all(is_word);
        if is_name && rest.starts_with(' ') {
            found.push(word.to_owned());
        }
    }
    found
}

fn without_commands(program: &'static str) -> Texts {
    let own = said(&compiler().with_file_name(program), &["--help"]);
    Texts { program, own, commands: Vec::new() }
}

fn all() -> Vec<Texts> {
    let registry = compiler().with_file_name("bls-registry");
    vec![
        texts("bls-compile", &compiler()),
        texts("bls-load", &loader()),
        texts("bls-registry", &registry),
        // One text says all of each.
        without_commands("bls-account"),
        without_commands("bls-oci"),
        without_commands("bls-serve"),
        // Its commands have their own way to ask for help.
        Texts {
            program: "bls-broker",
            own: said(&broker(), &["--help"]),
            commands: ["add", "list", "remove"]
                .map(|name| (format!("ext {name}"), said(&broker(), &["ext", name, "--help"])))
                .into(),
        },
    ]
}

/// Whether people type a program's name; the others are started by bls-load, or by engines.
fn is_typed(program: &str) -> bool {
    !["bls-account", "bls-broker", "bls-oci"].contains(&program)
}

/// Text as roff takes it, line by line as it is.
fn roff(text: &str) -> String {
    let mut out = String::new();
    for line in text.lines() {
        let line = line.replace('\\', "\\e").replace('-', "\\-");
        let guard = if line.starts_with(['.', '\'']) { "\\&" } else { "" };
        let _ = writeln!(out, "{guard}{line}");
    }
    out
}

/// One page for a program and all of its commands.
fn page(texts: &Texts) -> String {
    let Texts { program, own, commands } = texts;
    let first = own.lines().next().unwrap_or_default().trim_end_matches('.');
    let mut page = format!(
        ".\\\" Made of the help texts: BLS_MANUALS=write (tests/tests/manuals.rs)\n\
         .TH {} 1 \"\" \"bls {}\" \"User Commands\"\n.SH NAME\n{} \\- {}\n",
        program.to_ascii_uppercase(),
        env!("CARGO_PKG_VERSION"),
        roff(program).trim_end(),
        roff(first).trim_end(),
    );
    let mut section = |title: &str, text: &str| {
        let _ = write!(page, ".SH {title}\n.nf\n{}.fi\n", roff(text));
    };
    section("DESCRIPTION", own);
    // What is the same text is one.
    for (name, text) in commands.iter().filter(|(_, text)| text != own) {
        section(&format!("{program} {name}").to_ascii_uppercase().replace('-', "\\-"), text);
    }
    page.push_str(".SH SEE ALSO\n");
    let others = [
        "bls-account",
        "bls-broker",
        "bls-compile",
        "bls-load",
        "bls-oci",
        "bls-registry",
        "bls-serve",
    ];
    let others = others.iter().filter(|other| *other != program);
    let others: Vec<String> =
        others.map(|other| format!(".BR {} (1)", other.replace('-', "\\-"))).collect();
    page + &others.join(",\n") + "\n"
}

/// The options that a text explains: those of lines that begin with one.
fn options(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for line in text.lines().filter(|line| line.trim_start().starts_with('-')) {
        // What stands behind two spaces explains.
        let words = line.trim_start().split("  ").next().unwrap_or_default();
        for word in words.split([' ', ',', '[', '=']) {
            let is_letter =
                |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
            let name = word.strip_prefix("--").unwrap_or_default();
            if !name.is_empty() && name.bytes().all(is_letter) {
                found.insert(word.to_owned());
            }
        }
    }
    found
}

/// What completes behind the words `program command`: of a program, then of its commands. Without a
/// command that is the commands too.
fn words_of(texts: &Texts) -> Vec<(String, BTreeSet<String>)> {
    let mut all: Vec<(String, BTreeSet<String>)> =
        texts.commands.iter().map(|(name, text)| (name.clone(), options(text))).collect();
    let mut first = options(&texts.own);
    first.extend(texts.commands.iter().map(|(name, _)| name.clone()));
    all.push((String::new(), first));
    all.push(("*".to_owned(), options(&texts.own)));
    all
}

fn join(words: BTreeSet<String>) -> String {
    words.into_iter().collect::<Vec<_>>().join(" ")
}

/// The branches of a `case $program:$command in`; bash and zsh differ in what a list is.
fn cases(all: &[Texts], [open, close]: [&str; 2]) -> String {
    let mut script = String::new();
    for texts in all.iter().filter(|one| is_typed(one.program)) {
        for (command, words) in words_of(texts) {
            let (program, words) = (texts.program, join(words));
            let _ =
                writeln!(script, "        {program}:{command}) options={open}{words}{close} ;;");
        }
    }
    script
}

/// Completion for bash.
fn bash(all: &[Texts]) -> String {
    String::from(
        "# Completion for bash: in /usr/share/bash-completion/completions, or sourced.\n\
         # Made of the help texts: BLS_MANUALS=write (tests/tests/manuals.rs)\n\n\
         _bls() {\n    local program=${1##*/} word=${COMP_WORDS[COMP_CWORD]} command='' options=''\n    \
         local index\n    for ((index = 1; index < COMP_CWORD; index++)); do\n        \
         case ${COMP_WORDS[index]} in\n            -*) ;;\n            \
         *) command=${COMP_WORDS[index]}; break ;;\n        esac\n    done\n    \
         case $program:$command in\n",
    ) + &cases(all, ["'", "'"])
        + "    esac\n    COMPREPLY=()\n    if [[ $word == -* || -z $command ]]; then\n        \
           mapfile -t COMPREPLY < <(compgen -W \"$options\" -- \"$word\")\n    fi\n}\n\
           complete -o bashdefault -o default -F _bls bls-compile bls-load bls-registry bls-serve\n"
}

/// Completion for zsh.
fn zsh(all: &[Texts]) -> String {
    String::from(
        "#compdef bls-compile bls-load bls-registry bls-serve\n\
         # Completion for zsh: as _bls in a folder of fpath.\n\
         # Made of the help texts: BLS_MANUALS=write (tests/tests/manuals.rs)\n\n\
         _bls() {\n    local program=${words[1]:t} command='' index\n    local -a options\n    \
         for ((index = 2; index < CURRENT; index++)); do\n        \
         if [[ ${words[index]} != -* ]]; then\n            \
         command=${words[index]}\n            break\n        fi\n    done\n    \
         case $program:$command in\n",
    ) + &cases(all, ["(", ")"])
        + "    esac\n    if [[ $PREFIX == -* || -z $command ]]; then\n        \
           compadd -- $options\n    fi\n    [[ $PREFIX == -* ]] || _files\n}\n_bls \"$@\"\n"
}

/// Completion for fish.
fn fish(all: &[Texts]) -> String {
    let mut script = String::from(
        "# Completion for fish: under each program's name in a folder of fish_complete_path.\n\
         # Made of the help texts: BLS_MANUALS=write (tests/tests/manuals.rs)\n",
    );
    for texts in all.iter().filter(|one| is_typed(one.program)) {
        let program = texts.program;
        let names: Vec<&str> = texts.commands.iter().map(|(name, _)| name.as_str()).collect();
        let names = names.join(" ");
        let none = format!("not __fish_seen_subcommand_from {names}");
        if !names.is_empty() {
            let _ = writeln!(script, "complete -c {program} -n '{none}' -a '{names}'");
        }
        for (command, words) in words_of(texts).into_iter().filter(|(name, _)| name != "*") {
            let long: String = words
                .iter()
                .filter_map(|word| word.strip_prefix("--"))
                .map(|name| format!(" -l {name}"))
                .collect();
            let when = match (command.as_str(), names.is_empty()) {
                ("", true) => "true".to_owned(),
                ("", false) => none.clone(),
                (name, _) => format!("__fish_seen_subcommand_from {name}"),
            };
            for option in long.split(" -l ").skip(1) {
                let _ = writeln!(script, "complete -c {program} -n '{when}' -l {option}");
            }
        }
    }
    script
}

fn contrib(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../contrib").join(name)
}

#[test]
fn manuals_and_completions_are_those_of_the_help() {
    let all = all();
    let mut files: Vec<(String, String)> = [("bash", bash(&all)), ("zsh", zsh(&all))]
        .into_iter()
        .chain([("fish", fish(&all))])
        .map(|(shell, text)| (format!("completions/bls.{shell}"), text))
        .collect();
    files.extend(all.iter().map(|one| (format!("man/{}.1", one.program), page(one))));
    for (name, text) in files {
        let path = contrib(&name);
        if std::env::var_os("BLS_MANUALS").is_some_and(|word| word == "write") {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, &text).unwrap();
        }
        let there = fs::read_to_string(&path).unwrap_or_default();
        assert!(there == text, "{name} is not current: BLS_MANUALS=write writes it");
    }
}

#[test]
fn every_command_has_its_place_and_its_options() {
    for Texts { program, commands, .. } in all() {
        let least = match program {
            "bls-account" | "bls-oci" | "bls-serve" => 0,
            "bls-broker" | "bls-registry" => 3,
            _ => 10,
        };
        assert!(commands.len() >= least, "{program}: {}", commands.len());
    }
    let load = texts("bls-load", &loader());
    let known = options(&load.own);
    for (name, _) in bls_artifact::options::RUN {
        assert!(known.contains(&format!("--{name}")), "{name}");
    }
}

#[test]
fn bash_completes_commands_and_options() {
    let script = contrib("completions/bls.bash");
    let complete = |words: &str, count: usize| {
        let line = format!(
            "source '{}'; COMP_WORDS=({words}); COMP_CWORD={count}; _bls \"${{COMP_WORDS[0]}}\"; echo \"${{COMPREPLY[*]}}\"",
            script.display()
        );
        run(Command::new("bash").args(["-c", &line]), b"").expect(0).text().trim_end().to_owned()
    };
    assert_eq!(complete("bls-load rollb", 1), "rollback");
    assert_eq!(complete("/usr/bin/bls-load install --del", 2), "--delta");
    assert_eq!(complete("bls-compile --compress-w", 1), "--compress-window");
    assert_eq!(complete("bls-load --fuel 3 app.bls --no", 4), "");
}

/// Where the shell is installed.
#[test]
fn zsh_and_fish_complete_commands_and_options() {
    let complete = |shell: &str, script: &str| {
        let Ok(ended) = Command::new(shell).args(["-c", script]).output() else {
            println!("{shell} is not installed: left out");
            return None;
        };
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(ended.status.success() && said.is_empty(), "{shell}: {said}");
        Some(String::from_utf8_lossy(&ended.stdout).into_owned())
    };
    for (words, wanted, other) in [
        (&["bls-load", "rollb"][..], "rollback", "--delta"),
        (&["bls-load", "install", "--del"], "--delta", "--fuel"),
        (&["bls-compile", "--compress-w"], "--compress-window", "rollback"),
        (&["bls-serve", "--adm"], "--admin", "--delta"),
    ] {
        let (last, before) = words.split_last().unwrap();
        // Without a terminal: what it would offer is printed.
        let script = format!(
            "compadd() {{ shift; print -l -- \"$@\" }}; _files() {{ }}; \
             words=({} '{last}'); CURRENT={}; PREFIX='{last}'; source '{}'",
            before.join(" "),
            words.len(),
            contrib("completions/bls.zsh").display()
        );
        if let Some(offered) = complete("zsh", &script) {
            assert!(offered.lines().any(|one| one == wanted), "{words:?}: {offered}");
        }
        let script = format!(
            "source '{}'; complete -C '{} {last}'",
            contrib("completions/bls.fish").display(),
            before.join(" ")
        );
        if let Some(offered) = complete("fish", &script) {
            let offered: Vec<&str> = offered.lines().map(|line| line.trim()).collect();
            assert!(offered.contains(&wanted), "{words:?}: {offered:?}");
            assert!(!offered.contains(&other), "{words:?}: {offered:?}");
        }
    }
}

/// Where mandoc or man is installed it finds nothing wrong.
#[test]
fn a_page_is_one() {
    let all = [
        "bls-compile",
        "bls-load",
        "bls-registry",
        "bls-account",
        "bls-broker",
        "bls-oci",
        "bls-serve",
    ];
    for program in all {
        let page = contrib(&format!("man/{program}.1"));
        let text = fs::read_to_string(&page).unwrap();
        assert!(text.contains(".SH NAME\n") && text.contains(".SH DESCRIPTION\n"), "{program}");
        let shown = Command::new("man")
            .args(["--warnings", "-l"])
            .arg(&page)
            .env("MANPAGER", "cat")
            .output();
        let Ok(shown) = shown else {
            println!("man is not installed: left out");
            continue;
        };
        let warned = String::from_utf8_lossy(&shown.stderr).into_owned();
        assert!(shown.status.success() && warned.is_empty(), "{program}: {warned}");
    }
}
