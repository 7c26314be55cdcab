//! The verbs of this repository: build, library, deb, cross, test, check, bench, fuzz.
//!
//! Needs only cargo. Cargo unifies features over all members of one invocation:
//! a plain `cargo build --workspace` would link the compiler into the loader. So
//! the programs and the C library are built by separate invocations here, in the
//! right order, and the tests are told where they are (`BLS_COMPILE`, `BLS_LOAD`,
//! `BLS_BROKER`, `BLS_LIBRARY`).

mod cross;
mod deb;
mod fuzz;
mod reproduce;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

const HELP: &str = "\
The verbs of this repository.

Usage: cargo xtask <VERB>

  build    the seven programs, into target/bls/
           build minimal: a small bls-load, into target/bls/minimal/: core WebAssembly, preview 1,
           raw parts; no store, no network, no configurations (loader/Cargo.toml)
  library  the library for C and its header, into target/bls/
  reproduce  bls-load a second time, of a copy of the committed sources in another folder: are
           the bytes the same?
  deb      build, then a package for Debian of the programs, into target/deb/
  cross    bls-load for aarch64, riscv64, armv7 and s390x, into target/bls/cross/, and what runs
           there: cargo xtask cross --help
  test     build, build minimal and library, then every test; then the fuzz targets, where cargo-fuzz and
           nightly are (with arguments: those of cargo test, and no fuzzing)
  check    formatting, clippy, docs, the tree's own rules and advisories, warnings denied
  ci       check, then test
  bench    build, then the benchmarks: cargo xtask bench [NAME]...; cargo xtask bench page writes BENCH.md
  fuzz     the fuzz targets, 60 seconds each: cargo xtask fuzz [NAME]... [SECONDS]
";

/// A step that failed; it has said why.
struct Failed;

type Step = Result<(), Failed>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (verb, rest) =
        arguments.split_first().map_or(("help", &[][..]), |(verb, rest)| (verb, rest));
    let outcome = match verb {
        "build" if rest == ["minimal"] => minimal(),
        "build" => build(),
        "library" => library(),
        "cross" => cross::run(rest),
        "deb" => deb::run(),
        "reproduce" => reproduce::run(),
        "test" => build_all().and_then(|()| test(rest)),
        "check" => check(),
        "ci" => check().and_then(|()| build_all()).and_then(|()| test(rest)),
        "fuzz" => fuzz::run(rest),
        "bench" if rest.iter().any(|word| word == "page") => {
            minimal().and_then(|()| build()).and_then(|()| bench(rest))
        }
        "bench" => build().and_then(|()| bench(rest)),
        "help" | "--help" | "-h" => {
            print!("{HELP}");
            Ok(())
        }
        other => {
            eprintln!("xtask: there is no verb {other:?}\n\n{HELP}");
            Err(Failed)
        }
    };
    if outcome.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The folder of the workspace.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a workspace").to_owned()
}

/// Where cargo puts what it builds.
fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// Where `build` puts the programs.
fn programs() -> PathBuf {
    target().join("bls")
}

/// The triple of this machine, as rustc says it.
fn host() -> Result<String, Failed> {
    let output = Command::new("rustc").arg("-vV").output().map_err(|error| {
        eprintln!("xtask: cannot run rustc: {error}");
        Failed
    })?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().find_map(|line| line.strip_prefix("host: ")).map(str::to_owned).ok_or_else(|| {
        eprintln!("xtask: rustc does not say what it builds for");
        Failed
    })
}

/// Runs cargo with these arguments.
fn cargo(arguments: &[&str], variables: &[(&str, &OsStr)]) -> Step {
    cargo_in(&root(), arguments, variables)
}

/// The same in a folder.
fn cargo_in(folder: &Path, arguments: &[&str], variables: &[(&str, &OsStr)]) -> Step {
    eprintln!("$ cargo {}", arguments.join(" "));
    let status = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(arguments)
        .envs(variables.iter().copied())
        .current_dir(folder)
        .status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => {
            eprintln!("xtask: cargo {} ended with {status}", arguments.join(" "));
            Err(Failed)
        }
        Err(error) => {
            eprintln!("xtask: cannot run cargo: {error}");
            Err(Failed)
        }
    }
}

/// Builds the compiler, bls-registry and bls-serve (profile release), and the loader with the
/// programs that it starts (profile dist, static).
fn build() -> Step {
    let of_release = [
        ("bls-compiler", "bls-compile"),
        ("bls-registry", "bls-registry"),
        ("bls-serve", "bls-serve"),
    ];
    for (package, program) in of_release {
        cargo(&["build", "--release", "--package", package], &[])?;
        install(&target().join("release").join(program), program)?;
    }

    let host = host()?;
    loader(&host, &[])?;
    install(&target().join(&host).join("dist/bls-load"), "bls-load")?;

    // Static too: the broker opens no library, so its rules allow it none. At an address that
    // nobody knows, unlike the loader: it speaks with strangers.
    let flags = format!("target.{host}.rustflags=[\"-Ctarget-feature=+crt-static\"]");
    for program in ["bls-broker", "bls-account", "bls-oci"] {
        let common = ["build", "--profile", "dist", "--package", program, "--target", &host];
        cargo(&[&common[..], &["--config", &flags]].concat(), &[])?;
        install(&target().join(&host).join("dist").join(program), program)?;
    }
    Ok(())
}

/// Builds the static loader, with these features.
fn loader(host: &str, features: &[&str]) -> Step {
    let flags = static_flags(host);
    cargo(&[&LOADER[..], &[host, "--config", &flags], features].concat(), &[])
}

/// The same of the sources in `folder`, with all features, into another folder than the usual one.
fn build_loader_in(folder: &Path, target: &Path, host: &str) -> Step {
    let flags = static_flags(host);
    let arguments = [&LOADER[..], &[host, "--config", &flags]].concat();
    cargo_in(folder, &arguments, &[("CARGO_TARGET_DIR", target.as_os_str())])
}

/// How cargo builds a loader for the target that comes behind it.
const LOADER: [&str; 6] = ["build", "--profile", "dist", "--package", "bls-loader", "--target"];

/// Static: nothing to link at start. The flags hold for one target, so build scripts do not get
/// them.
fn static_flags(host: &str) -> String {
    let mut flags = loader_flags(host);
    flags.push("-Ctarget-feature=+crt-static".to_owned());
    format!("target.{host}.rustflags={flags:?}")
}

/// Builds the loader without what small machines do without. Its profile is the loader's, but
/// for a collector that is not there.
fn minimal() -> Step {
    let host = host()?;
    loader(&host, &["--no-default-features"])?;
    install(&target().join(&host).join("dist/bls-load"), "minimal/bls-load")
}

/// Builds everything that the tests run.
fn build_all() -> Step {
    // The full loader last: what cargo built stands under one name.
    minimal().and_then(|()| build()).and_then(|()| library())
}

/// Builds the C library, and puts its header beside it.
fn library() -> Step {
    // Not in profile dist: there a panic ends the process, and here it is an error for C.
    cargo(&["build", "--release", "--package", "bls-capi"], &[])?;
    install(&target().join("release/libbls.so"), "libbls.so")?;
    install(&target().join("release/libbls.a"), "libbls.a")?;
    install(&root().join("loader/capi/bls.h"), "bls.h")
}

/// What makes the loader small, as flags of rustc. They name no folder of this machine but one that
/// they take out, so that who builds the same sources elsewhere gets the same bytes.
fn loader_flags(triple: &str) -> Vec<String> {
    let mut flags = vec![
        // At a fixed address: nothing to relocate at start (SECURITY.md, "What is not
        // promised yet", has what it would cost).
        "-Crelocation-model=static".to_owned(),
        // Without what unwinding needs. rustc links in the workspace's folder.
        "-Clink-arg=-Wl,--no-eh-frame-hdr".to_owned(),
        "-Clink-arg=-Wl,-T,loader/no-unwind.ld".to_owned(),
        // More than opt-level "z" inlines: both smaller and faster.
        "-Cllvm-args=--inline-threshold=10".to_owned(),
    ];
    if let Some(sources) = crate_sources() {
        flags.push(format!("--remap-path-prefix={}=", sources.display()));
    }
    if triple == "x86_64-unknown-linux-gnu" {
        // Functions of equal text are one. Nothing here compares addresses of functions;
        // the linker that Rust brings for this target can do it.
        flags.push("-Clink-arg=-Wl,--icf=all".to_owned());
    }
    flags
}

/// Where cargo keeps the sources of crates, with a slash behind it: messages of panics name them.
fn crate_sources() -> Option<PathBuf> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")))?;
    Some(home.join("registry/src/"))
}

/// Copies a program to where tests, benchmarks and people find it.
fn install(from: &Path, name: &str) -> Step {
    let to = programs().join(name);
    let folder = to.parent().unwrap_or(&to);
    let copied = std::fs::create_dir_all(folder)
        // A running program cannot be overwritten, but it can be replaced.
        .and_then(|()| match std::fs::remove_file(&to) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        })
        .and_then(|()| std::fs::copy(from, &to));
    match copied {
        Ok(_) => {
            eprintln!("{}", to.display());
            Ok(())
        }
        Err(error) => {
            eprintln!("xtask: cannot copy {} to {}: {error}", from.display(), to.display());
            Err(Failed)
        }
    }
}

/// Runs a cargo verb of the tests package with the programs' paths.
fn with_programs(arguments: &[&str]) -> Step {
    with_programs_and(arguments, &[])
}

/// The same with more variables.
fn with_programs_and(arguments: &[&str], more: &[(&str, &OsStr)]) -> Step {
    let folder = programs();
    let names = ["bls-compile", "bls-load", "bls-broker"].map(|name| folder.join(name));
    let variables = [
        ("BLS_COMPILE", names[0].as_os_str()),
        ("BLS_LOAD", names[1].as_os_str()),
        ("BLS_BROKER", names[2].as_os_str()),
        ("BLS_LIBRARY", folder.as_os_str()),
    ];
    cargo(arguments, &[&variables, more].concat())
}

/// Every test: the libraries' own, each alone, then the black-box ones.
fn test(rest: &[String]) -> Step {
    let rest: Vec<&str> = rest.iter().map(String::as_str).collect();
    let engine = ["test", "--release", "--package", "bls-artifact", "--features", "objects"];
    cargo(&[&engine[..], &rest].concat(), &[])?;
    cargo(&[&["test", "--release", "--package", "bls-confine"][..], &rest].concat(), &[])?;
    cargo(&[&["test", "--release", "--package", "bls-compiler"][..], &rest].concat(), &[])?;
    let library = ["test", "--release", "--package", "bls-loader", "--features", "pool"];
    cargo(&[&library[..], &rest].concat(), &[])?;
    let packages = [
        "bls-broker",
        "bls-account",
        "bls-oci",
        "bls-registry",
        "bls-serve",
        "bls-capi",
        "bls-header",
    ];
    for package in packages {
        cargo(&[&["test", "--release", "--package", package][..], &rest].concat(), &[])?;
    }
    with_programs(&[&["test", "--release", "--package", "bls-tests"][..], &rest].concat())?;
    with_programs(&[&["test", "--release", "--package", "bls-schema-tests"][..], &rest].concat())?;
    with_programs(&[&["test", "--release", "--package", "bls-adapted-tests"][..], &rest].concat())?;
    if rest.is_empty() { fuzz::run_if_installed() } else { Ok(()) }
}

/// What must hold before anything is run.
fn check() -> Step {
    cargo(&["fmt", "--all", "--check"], &[])?;
    let deny = OsStr::new("-Dwarnings");
    // One invocation for each member, as they are built.
    let libraries = [
        "bls-artifact",
        "bls-confine",
        "bls-compiler",
        "bls-loader",
        "bls-broker",
        "bls-account",
        "bls-oci",
        "bls-capi",
        "bls-registry",
        "bls-serve",
    ];
    let others = ["bls-tests", "bls-header", "bls-schema-tests", "bls-adapted-tests", "xtask"];
    for package in libraries.into_iter().chain(others) {
        let clippy = ["clippy", "--release", "--package", package, "--all-targets"];
        let end = ["--", "-Dwarnings"];
        cargo(&[&clippy[..], features(package), &end].concat(), &[])?;
    }
    for package in libraries.into_iter().chain(["bls-tests"]) {
        let doc = ["doc", "--release", "--package", package, "--no-deps", "--lib"];
        cargo(&[&doc[..], features(package)].concat(), &[("RUSTDOCFLAGS", deny)])?;
    }
    // Which folder of a crate may use which other, where unsafe code may stand, and the like.
    cargo(&["test", "--release", "--package", "bls-tests", "--test", "tidy"], &[])?;
    advisories()
}

/// What a member has beside its default, all of it. (The programs are built without.)
fn features(package: &str) -> &'static [&'static str] {
    match package {
        "bls-loader" => &["--features", "pool"],
        _ => &[],
    }
}

/// No dependency with a known defect: by the list in the repository, and by whichever
/// tool with a database is installed.
fn advisories() -> Step {
    cargo(&["test", "--release", "--package", "bls-tests", "--test", "advisories"], &[])?;
    for tool in [&["audit"][..], &["deny", "check", "advisories"]] {
        let asked = Command::new("cargo").args([tool[0], "--version"]).output();
        if asked.is_ok_and(|output| output.status.success()) {
            cargo(tool, &[])?;
        } else {
            eprintln!("xtask: cargo {} is not installed: only advisories.json is checked", tool[0]);
        }
    }
    Ok(())
}

/// The benchmarks: prints tables, asserts nothing.
fn bench(rest: &[String]) -> Step {
    let rest: Vec<&str> = rest.iter().map(String::as_str).collect();
    let is_name = |word: &str| !word.starts_with('-') && word.parse::<u32>().is_err();
    if rest.contains(&"size") || !rest.iter().any(|word| is_name(word)) {
        // For its size only: the loader that is linked dynamically.
        let flags = loader_flags(&host()?);
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let common = ["rustc", "--profile", "dist", "--package", "bls-loader"];
        cargo(&[&common[..], &["--bin", "bls-load", "--"], &flags].concat(), &[])?;
    }
    let run = ["run", "--release", "--package", "bls-tests", "--bin", "bench", "--"];
    with_programs(&[&run[..], &rest].concat())
}
