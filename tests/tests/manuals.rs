//! Manual pages and completions are made of the help texts, and are those that are committed.
//!
//! `BLS_MANUALS=write` writes them anew: `contrib/man/`, `contrib/completions/bls.bash`.

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

/// Completion for bash, and for zsh by its `bashcompinit`.
fn completions(all: &[Texts]) -> String {
    let mut script = String::from(
        "# Completion for bash: in /usr/share/bash-completion/completions, or sourced.\n\
         # Made of the help texts: BLS_MANUALS=write (tests/tests/manuals.rs)\n\n\
         _bls() {\n    local program=${1##*/} word=${COMP_WORDS[COMP_CWORD]} command='' options=''\n    \
         local index\n    for ((index = 1; index < COMP_CWORD; index++)); do\n        \
         case ${COMP_WORDS[index]} in\n            -*) ;;\n            \
         *) command=${COMP_WORDS[index]}; break ;;\n        esac\n    done\n    \
         case $program:$command in\n",
    );
    let join = |words: BTreeSet<String>| words.into_iter().collect::<Vec<_>>().join(" ");
    for Texts { program, own, commands } in all.iter().filter(|one| is_typed(one.program)) {
        for (name, text) in commands {
            let _ =
                writeln!(script, "        {program}:{name}) options='{}' ;;", join(options(text)));
        }
        let mut first = options(own);
        first.extend(commands.iter().map(|(name, _)| name.clone()));
        let _ = writeln!(script, "        {program}:) options='{}' ;;", join(first));
        let _ = writeln!(script, "        {program}:*) options='{}' ;;", join(options(own)));
    }
    script.push_str(
        "    esac\n    COMPREPLY=()\n    if [[ $word == -* || -z $command ]]; then\n        \
         mapfile -t COMPREPLY < <(compgen -W \"$options\" -- \"$word\")\n    fi\n}\n\
         complete -o bashdefault -o default -F _bls bls-compile bls-load bls-registry bls-serve\n",
    );
    script
}

fn contrib(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../contrib").join(name)
}

#[test]
fn manuals_and_completions_are_those_of_the_help() {
    let all = all();
    let mut files = vec![("completions/bls.bash".to_owned(), completions(&all))];
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
