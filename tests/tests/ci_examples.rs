//! The shell steps of contrib/github, run as GitHub runs them: bash, with the environment that the
//! step names. What other actions do between them is not run.

use bls_tests::programs::{Home, compiler, fixtures, loader, run};
use bls_tests::registries::{Registry, command};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

/// A step that has a shell run something.
#[derive(Debug, Default)]
struct Step {
    script: String,
    env: BTreeMap<String, String>,
}

fn example(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../contrib/github").join(name);
    fs::read_to_string(path).expect("an example")
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start_matches([' ', '-']).len()
}

/// The steps with a `run`, in order: as much of YAML as the examples use.
fn steps(text: &str) -> Vec<Step> {
    let (_, text) = text.split_once("steps:\n").expect("steps");
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().starts_with('#')).collect();
    let mut steps: Vec<Step> = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        let line = lines[at];
        at += 1;
        if line.trim_start().starts_with("- ") {
            steps.push(Step::default());
        }
        let step = steps.last_mut().expect("a step");
        let below = |at: usize| lines.get(at).is_some_and(|next| indent(next) > indent(line));
        match line.trim_start_matches([' ', '-']).split_once(':') {
            Some(("run", ">-" | " >-")) => {
                while below(at) {
                    step.script += lines[at].trim();
                    step.script += " ";
                    at += 1;
                }
            }
            Some(("run", script)) => step.script = script.trim().to_owned(),
            Some(("env", "")) => {
                while below(at) {
                    let (name, value) = lines[at].trim().split_once(": ").expect("a variable");
                    let _ = step.env.insert(name.to_owned(), value.to_owned());
                    at += 1;
                }
            }
            _ => {}
        }
    }
    steps.retain(|step| !step.script.is_empty());
    steps
}

/// Runs a step in a folder, with `${{ NAME }}` in its variables replaced.
fn run_step(home: &Home, step: &Step, values: &[(&str, &str)]) -> bls_tests::programs::Ended {
    let script = home.path("step.sh");
    fs::write(&script, &step.script).unwrap();
    let mut bash = command(home, Path::new("bash"));
    bash.args(["--noprofile", "--norc", "-eo", "pipefail"]).arg(&script);
    let programs = compiler().parent().expect("a folder").to_owned();
    let path = std::env::var("PATH").unwrap_or_default();
    bash.env("PATH", format!("{}:{path}", programs.display()));
    bash.env("HOME", home.path("")).env("GITHUB_RUN_NUMBER", "7");
    for (name, value) in &step.env {
        let word = value.strip_prefix("${{ ").and_then(|word| word.strip_suffix(" }}"));
        let value = match word {
            None => value.as_str(),
            Some(word) => {
                let known = values.iter().find(|(known, _)| *known == word);
                known.unwrap_or_else(|| panic!("nobody gives {word}")).1
            }
        };
        bash.env(name, value);
    }
    run(&mut bash, b"")
}

/// A folder with modules in `build/`, and the text of its key.
fn checkout() -> (Home, String) {
    let home = Home::new();
    fs::create_dir(home.path("build")).unwrap();
    for name in ["hello", "exit-42"] {
        let bytes = fs::read(fixtures().join(format!("wat/{name}.wat"))).unwrap();
        fs::write(home.path(&format!("build/{name}.wat")), bytes).unwrap();
    }
    let key = fs::read_to_string(home.key()).unwrap();
    (home, key)
}

fn says_hello(home: &Home, artifact: &Path) {
    let mut load = Command::new(loader());
    load.current_dir(home.path("")).arg("--trust").arg(home.public_key()).arg(artifact);
    assert_eq!(run(&mut load, b"").expect(0).text(), "hello\n");
}

#[test]
fn the_composite_action_compiles_and_pushes() {
    let text = example("action.yml");
    let steps = steps(&text);
    let [compile, push] = &steps[..] else { panic!("{steps:?}") };
    // What a step asks for is an input.
    for step in &steps {
        for value in step.env.values() {
            let input = value.strip_prefix("${{ inputs.").and_then(|rest| rest.strip_suffix(" }}"));
            let input = input.unwrap_or_else(|| panic!("{value}"));
            assert!(text.contains(&format!("\n  {input}:\n    description: ")), "{input}");
        }
    }
    let (home, key) = checkout();
    let registry = Registry::start(false);
    let reference = registry.as_ref().map(|registry| registry.reference("ci/app:7"));
    let reference = reference.unwrap_or_default();
    let values = [
        ("inputs.modules", "build/"),
        ("inputs.key", key.as_str()),
        ("inputs.output", "dist/"),
        ("inputs.options", "--target x86_64,aarch64"),
        ("inputs.push", reference.as_str()),
    ];
    let _ = run_step(&home, compile, &values).expect(0);
    let made = home.path("dist/hello.bls");
    says_hello(&home, &made);
    let kept = fs::read_dir(home.path(".cache/bls-ci")).unwrap().count();
    assert!(kept > 0, "what was compiled is kept");
    // A second run takes it out of there.
    fs::remove_dir_all(home.path("dist")).unwrap();
    let _ = run_step(&home, compile, &values).expect(0);
    says_hello(&home, &made);
    if registry.is_none() {
        return;
    }
    fs::remove_file(home.path("dist/exit-42.bls")).unwrap();
    let ended = run_step(&home, push, &values).expect(0);
    assert!(ended.text().contains("/ci/app@sha256:"), "{}", ended.text());
    // A step whose program fails, fails.
    fs::remove_file(&made).unwrap();
    assert_ne!(run_step(&home, push, &values).code, Some(0));
}

#[test]
fn the_workflow_compiles_what_is_built() {
    let steps = steps(&example("artifacts.yml"));
    let [compile] = &steps[..] else { panic!("{steps:?}") };
    let (home, key) = checkout();
    let _ = run_step(&home, compile, &[("secrets.BLS_KEY", &key)]).expect(0);
    says_hello(&home, &home.path("dist/hello.bls"));
    assert!(home.path("dist/exit-42.bls").is_file());
}
