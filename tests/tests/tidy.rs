//! What the architecture promises of the source tree (ARCHITECTURE.md).

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Files that may hold `unsafe`, each block with its argument. The loader's
/// `main.rs` has one attribute: the name that the C library looks for; `slim.rs` defines
/// functions under other names of it. In the C API it is where C's pointers become Rust's. What is
/// linked into components runs in the sandbox, and calls preview 1.
const UNSAFE: [&str; 10] = [
    "compiler/src/sys.rs",
    "confine/src/sys.rs",
    "loader/src/sys/",
    "loader/src/main.rs",
    "loader/src/slim.rs",
    "loader/account/src/sys.rs",
    "loader/broker/src/sys.rs",
    "loader/capi/src/",
    "loader/serve/src/sys.rs",
    "wasi02/src/",
];
/// Longer than this, a file does not fit in one's head.
const LINES_MAX: usize = 700;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a workspace").to_owned()
}

/// Every Rust source file of ours, by its path from the root.
fn sources() -> Vec<(String, String)> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    let members = [
        "shared",
        "confine",
        "compiler",
        "loader",
        "registry",
        "wasi02",
        "tests",
        "xtask",
        "fuzz/fuzz_targets",
    ];
    for member in members {
        walk(&root().join(member), &mut found);
    }
    found.sort();
    let name = |path: &Path| path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
    found.iter().map(|path| (name(path), std::fs::read_to_string(path).unwrap())).collect()
}

#[test]
fn every_file_begins_with_its_header() {
    for (name, text) in sources() {
        let first = text.lines().find(|line| !line.starts_with("#!"));
        assert!(first.is_some_and(|line| line.starts_with("//! ")), "{name} has no //! header");
    }
}

#[test]
fn files_fit_in_a_head() {
    for (name, text) in sources() {
        let lines = text.lines().count();
        assert!(lines <= LINES_MAX, "{name} has {lines} lines; split it by meaning");
    }
}

/// A line of code without its texts, its quoted letters and its comment.
fn without_texts(line: &str) -> String {
    let (mut code, mut letters) = (String::new(), line.chars().peekable());
    let mut in_text = false;
    while let Some(letter) = letters.next() {
        match letter {
            '\\' if in_text => drop(letters.next()),
            '"' => in_text = !in_text,
            _ if in_text => {}
            '/' if letters.peek() == Some(&'/') => break,
            // A letter in quotes may be the quote that begins a text.
            '\'' if matches!(letters.peek(), Some('"')) => drop((letters.next(), letters.next())),
            _ => code.push(letter),
        }
    }
    code
}

#[test]
fn unsafe_is_where_it_may_be() {
    let words = [["uns", "afe "].concat(), ["uns", "afe("].concat()];
    for (name, text) in sources() {
        if UNSAFE.iter().any(|allowed| name.starts_with(allowed)) {
            continue;
        }
        for (number, line) in text.lines().enumerate() {
            let code = without_texts(line);
            let found = words.iter().any(|word| code.contains(word.as_str()));
            assert!(!found, "{name}:{}: {line}", number + 1);
        }
    }
    assert_eq!(without_texts(r#"f("a \" b", '"', x); // c"#), "f(, , x); ");
}

#[test]
fn arrows_run_one_way() {
    let compiler = "bls_compiler";
    let loader = "bls_loader";
    for (name, text) in sources() {
        let forbidden: &[&str] = match name.split('/').next() {
            Some("shared" | "confine" | "registry") => &[compiler, loader],
            Some("compiler") => &[loader],
            Some("loader") => &[compiler],
            _ => &[],
        };
        for word in forbidden {
            assert!(!text.contains(word), "{name} speaks of {word}");
        }
    }
}

/// The top-level modules of a crate that each of them names, tests and comments aside.
fn arrows_between_folders(member: &str) -> BTreeMap<String, BTreeSet<String>> {
    let prefix = format!("{member}/src/");
    let mut arrows: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (name, text) in sources() {
        let Some(path) = name.strip_prefix(&prefix) else { continue };
        let own = path.split(['/', '.']).next().unwrap_or_default().to_owned();
        if own == "lib" || own == "main" || path.ends_with("tests.rs") {
            continue;
        }
        let code: String =
            text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect();
        let code = code.split("#[cfg(test)]mod tests").next().unwrap_or_default();
        for rest in code.split("crate::").skip(1) {
            let word = |text: &str| {
                let end = text.find(|letter: char| !(letter.is_alphanumeric() || letter == '_'));
                text[..end.unwrap_or(text.len())].to_owned()
            };
            let named = match rest.strip_prefix('{') {
                None => vec![word(rest)],
                Some(list) => top_level_items(list).iter().map(|item| word(item.trim())).collect(),
            };
            let others = named.into_iter().filter(|one| *one != own && is_lower(one));
            arrows.entry(own.clone()).or_default().extend(others);
        }
    }
    arrows
}

/// Whether a name is a module's: all others begin with a capital letter.
fn is_lower(name: &str) -> bool {
    name.starts_with(|letter: char| letter.is_ascii_lowercase())
}

/// The items of `a, b::{c, d}, e}`, up to the brace that ends the list.
fn top_level_items(list: &str) -> Vec<&str> {
    let (mut items, mut depth, mut start) = (Vec::new(), 0_usize, 0);
    for (at, letter) in list.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' if depth == 0 => {
                items.push(&list[start..at]);
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                items.push(&list[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    items
}

#[test]
fn stages_use_each_other_in_one_direction() {
    for (member, least) in
        [("shared", 10), ("compiler", 20), ("loader", 20), ("loader/oci", 10), ("registry", 10)]
    {
        let mut arrows = arrows_between_folders(member);
        let count: usize = arrows.values().map(BTreeSet::len).sum();
        assert!(count >= least, "{member}: only {count} arrows were found");
        // What uses nothing that is left is taken away, until nothing is left.
        loop {
            let names: BTreeSet<String> = arrows.keys().cloned().collect();
            arrows.retain(|_, uses| uses.iter().any(|used| names.contains(used)));
            if arrows.len() == names.len() {
                break;
            }
        }
        assert!(arrows.is_empty(), "{member}: these use each other in a circle: {arrows:#?}");
    }
}

#[test]
fn nothing_uses_a_program() {
    for member in ["compiler", "loader", "loader/oci", "registry"] {
        for (module, uses) in arrows_between_folders(member) {
            assert!(!uses.contains("program"), "{member}: {module} uses the program around it");
        }
    }
}

/// The names of Rust sources between backticks.
fn named_sources(text: &str) -> impl Iterator<Item = &str> {
    let words = text.lines().flat_map(|line| line.split('`').skip(1).step_by(2));
    words.filter(|word| word.ends_with(".rs") && !word.contains(['*', ' ', '<']))
}

#[test]
fn every_source_that_a_text_names_is_there() {
    let sources = sources();
    let mut texts = sources.clone();
    for entry in std::fs::read_dir(root()).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|extension| extension == "md") {
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            // What is gone may be told of there.
            if name != "CHANGELOG.md" {
                texts.push((name, std::fs::read_to_string(&path).expect("text")));
            }
        }
    }
    let mut count = 0;
    for (name, text) in &texts {
        for named in named_sources(text) {
            count += 1;
            let is_it = |(source, _): &(String, String)| {
                source
                    .strip_suffix(named)
                    .is_some_and(|above| above.is_empty() || above.ends_with('/'))
            };
            assert!(sources.iter().any(is_it), "{name} names {named}, which is not there");
        }
    }
    assert!(count > 40, "only {count} were found");
}

#[test]
fn nothing_is_left_undone() {
    let marks = [["FIX", "ME"].concat(), ["TO", "DO"].concat(), ["X", "XX"].concat()];
    for (name, text) in sources() {
        for mark in &marks {
            assert!(!text.contains(mark.as_str()), "{name} holds a {mark}");
        }
    }
}

/// What cargo says a member is built from.
fn tree(package: &str) -> String {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "-p", package, "-e", "normal", "--target", "all"])
        .args(["--prefix", "none"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn the_loader_holds_no_compiler() {
    let tree = tree("bls-loader");
    assert!(tree.contains("wasmtime v48"), "{tree}");
    let forbidden = ["cranelift", "winch", "regalloc2", "tokio", "wasmtime-wasi", "bls-compiler"];
    // What makes and checks the schema of reports; what the broker speaks with the network by.
    let others =
        ["schemars", "jsonschema", "rustls", "ring ", "ureq", "httparse", "bls-registry", "tar "];
    for forbidden in forbidden.into_iter().chain(others) {
        for line in tree.lines() {
            // Data structures without code generation come with the runtime.
            let harmless = ["cranelift-bforest", "cranelift-bitset", "cranelift-entity"];
            if harmless.iter().any(|name| line.starts_with(name)) {
                continue;
            }
            assert!(!line.starts_with(forbidden), "the loader depends on {line}");
        }
    }
}

#[test]
fn the_shared_crate_is_small() {
    let tree = tree("bls-artifact");
    for forbidden in ["rustix", "wasmparser", "bls-compiler", "bls-loader"] {
        let found = tree.lines().any(|line| line.starts_with(forbidden));
        assert!(!found, "bls-artifact depends on {forbidden}");
    }
}
