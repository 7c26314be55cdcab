//! bls-load for other architectures, and the tests that run it: `cargo xtask cross`.
//!
//! Cargo needs three things for one: the standard library for it, a C compiler that makes
//! programs for it, and LLVM's linker. They come from this machine (`rustup target add`, a cross
//! gcc, lld), or from a folder with a whole Debian in it, which `BLS_CROSS_ROOT` names: there
//! that system's own cargo builds, and sees the sources, this machine's crates and the folder of
//! what is built, mounted in a namespace that ends with it. Guarantees that the same flags are
//! used as for this machine's bls-load. What is built is in `target/bls/cross/ARCH/bls-load`.

use crate::{
    Failed, Step, cargo, install, loader_flags, programs, root, target, with_programs_and,
};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What is said of the verb.
pub(crate) const HELP: &str = "\
bls-load for other architectures, static, into target/bls/cross/ARCH/.

Usage: cargo xtask cross [ARCH]... [OPTION]...

  ARCH           aarch64, riscv64, armv7 or s390x; all of them where none is named
  --test         then build the programs for this machine, and run every fixture by each under
                 qemu-user: output, fuel and report must be this machine's
  --test-all     the same, and the real guests and WASI's tests of BLS_SHARED; and the fixtures
                 under a real kernel, for each ARCH of which BLS_KERNELS names a folder with
                 ARCH/vmlinuz and a static ARCH/busybox
  --if-possible  where this machine cannot build for an ARCH, or not run it: say so, and go on

The tests need qemu-ARCH (or qemu-ARCH-static; a kernel: qemu-system-ARCH) on PATH, or in the
folder that BLS_QEMU names.

With rustup (ARCH's gcc and lld from the system's packages; Debian's names):

  rustup target add aarch64-unknown-linux-gnu riscv64gc-unknown-linux-gnu \\
      armv7-unknown-linux-gnueabihf s390x-unknown-linux-gnu
  apt install lld gcc-aarch64-linux-gnu gcc-riscv64-linux-gnu gcc-arm-linux-gnueabihf \\
      gcc-s390x-linux-gnu

Without rustup, in a folder that debootstrap fills, as root (Rust 1.95 or later):

  debootstrap --variant=minbase sid FOLDER
  for arch in arm64 riscv64 armhf s390x; do chroot FOLDER dpkg --add-architecture $arch; done
  chroot FOLDER apt update
  chroot FOLDER apt install --no-install-recommends rustc cargo gcc lld qemu-user \\
      {gcc-aarch64,gcc-riscv64,gcc-s390x}-linux-gnu gcc-arm-linux-gnueabihf \\
      libc6-dev-{arm64,riscv64,armhf,s390x}-cross libstd-rust-dev:{arm64,riscv64,armhf,s390x}
  BLS_CROSS_ROOT=FOLDER BLS_QEMU=FOLDER/usr/bin cargo xtask cross --test
";

/// An architecture that bls-load is built for.
struct Architecture {
    /// What it is called here.
    name: &'static str,
    /// Rust's name of the target.
    triple: &'static str,
    /// The C compiler.
    gcc: &'static str,
}

const ARCHITECTURES: [Architecture; 4] = [
    Architecture {
        name: "aarch64",
        triple: "aarch64-unknown-linux-gnu",
        gcc: "aarch64-linux-gnu-gcc",
    },
    Architecture {
        name: "riscv64",
        triple: "riscv64gc-unknown-linux-gnu",
        gcc: "riscv64-linux-gnu-gcc",
    },
    Architecture {
        name: "armv7",
        triple: "armv7-unknown-linux-gnueabihf",
        gcc: "arm-linux-gnueabihf-gcc",
    },
    Architecture { name: "s390x", triple: "s390x-unknown-linux-gnu", gcc: "s390x-linux-gnu-gcc" },
];

/// Builds for the architectures that are named; with `--test`, runs the tests.
pub(crate) fn run(words: &[String]) -> Step {
    let (mut tests, mut if_possible) = (None, false);
    let mut chosen = Vec::new();
    for word in words {
        match ARCHITECTURES.iter().find(|one| one.name == word || one.triple == word) {
            Some(architecture) => chosen.push(architecture),
            None if word == "--test" => tests = tests.or(Some(false)),
            None if word == "--test-all" => tests = Some(true),
            None if word == "--if-possible" => if_possible = true,
            None if word == "--help" => {
                print!("{HELP}");
                return Ok(());
            }
            None => {
                eprintln!("xtask: cross: there is no architecture {word:?}\n\n{HELP}");
                return Err(Failed);
            }
        }
    }
    if chosen.is_empty() {
        chosen.extend(&ARCHITECTURES);
    }
    if if_possible {
        chosen.retain(|architecture| match why_not(architecture) {
            None => true,
            Some(why) => {
                eprintln!(
                    "xtask: SKIPPED: bls-load for {} was not built: {why}",
                    architecture.name
                );
                false
            }
        });
    }
    chosen.iter().try_for_each(|architecture| build(architecture))?;
    let Some(all) = tests.filter(|_| !chosen.is_empty()) else { return Ok(()) };
    crate::build()?;
    // A plain `cargo xtask test` is not told of the loaders: they may be an older tree's.
    let test = ["test", "--release", "--package", "bls-tests", "--test", "every_device", "--"];
    let loaders = programs().join("cross");
    chosen.iter().try_for_each(|architecture| {
        let more = if all { &["--include-ignored"][..] } else { &[] };
        let arguments = [&test[..], &["--nocapture", architecture.name], more].concat();
        with_programs_and(&arguments, &[("BLS_CROSS", loaders.as_os_str())])
    })
}

/// Why this machine cannot build for an architecture.
fn why_not(architecture: &Architecture) -> Option<String> {
    if std::env::var_os("BLS_CROSS_ROOT").is_some() {
        return None;
    }
    if !library_of(architecture.triple).is_some_and(|folder| folder.is_dir()) {
        return Some(format!("no rustup target {}, no BLS_CROSS_ROOT", architecture.triple));
    }
    let is_there = |program: &&str| {
        let asked = Command::new(program).arg("--version").stdout(Stdio::null()).status();
        asked.is_ok_and(|status| status.success())
    };
    let missing = [architecture.gcc, "ld.lld"].into_iter().find(|program| !is_there(program))?;
    Some(format!("{missing} is not installed"))
}

fn build(architecture: &Architecture) -> Step {
    let Architecture { name, triple, gcc } = *architecture;
    let inside = std::env::var_os("BLS_CROSS_ROOT").map(PathBuf::from);
    let mut flags = loader_flags(triple);
    // LLVM's linker: it makes one of functions of equal text, and takes the tables for unwinding
    // away without a word.
    let more =
        ["-Ctarget-feature=+crt-static", "-Clink-arg=-fuse-ld=lld", "-Clink-arg=-Wl,--icf=all"];
    flags.extend(more.map(str::to_owned));
    let flags = format!("target.{triple}.rustflags={flags:?}");
    let linker = format!("target.{triple}.linker={gcc:?}");
    let arguments = [
        "build",
        "--profile",
        "dist",
        "--package",
        "bls-loader",
        "--target",
        triple,
        "--config",
        &linker,
        "--config",
        &flags,
    ];
    let built = match inside {
        Some(system) => {
            build_inside(&system, &arguments)?;
            target().join("cross")
        }
        None => {
            let has_library = library_of(triple).is_some_and(|folder| folder.is_dir());
            if !has_library {
                eprintln!(
                    "xtask: cross: this rustc has no standard library for {triple}\n\n{HELP}"
                );
                return Err(Failed);
            }
            cargo(&arguments, &[])?;
            target()
        }
    };
    install(&built.join(triple).join("dist/bls-load"), &format!("cross/{name}/bls-load"))
}

/// Where this rustc would have the standard library for a target.
fn library_of(triple: &str) -> Option<PathBuf> {
    let mut rustc = Command::new("rustc");
    rustc.args(["--print", "target-libdir", "--target", triple]).stderr(Stdio::null());
    let output = rustc.output().ok()?;
    Some(PathBuf::from(String::from_utf8(output.stdout).ok()?.trim_end()))
}

/// Runs cargo of the system in a folder.
fn build_inside(system: &Path, arguments: &[&str]) -> Step {
    /// The folders that it sees, and then its cargo; the first argument is the system's folder.
    const SCRIPT: &str = r#"set -eu
        system=$1 sources=$2 crates=$3 built=$4; shift 4
        mount -t tmpfs tmpfs "$system/mnt"
        mkdir "$system/mnt/sources" "$system/mnt/cargo" "$system/mnt/built"
        mount --bind "$sources" "$system/mnt/sources"
        mount --bind "$crates" "$system/mnt/cargo"
        mount --bind "$built" "$system/mnt/built"
        mount --rbind /proc "$system/proc"
        mount --rbind /dev "$system/dev"
        exec chroot "$system" /usr/bin/env -i HOME=/mnt PATH=/usr/bin:/bin CARGO_HOME=/mnt/cargo \
            CARGO_TARGET_DIR=/mnt/built \
            sh -c 'cd /mnt/sources && exec cargo "$@"' cargo --offline "$@""#;
    // That system is given the crates that this cargo has fetched.
    cargo(&["fetch", "--locked"], &[])?;
    let home = std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".cargo")));
    let Some(home) = home else {
        eprintln!("xtask: cross: neither CARGO_HOME nor HOME says where cargo's crates are");
        return Err(Failed);
    };
    let built = target().join("cross");
    if let Err(error) = std::fs::create_dir_all(&built) {
        eprintln!("xtask: cannot make {}: {error}", built.display());
        return Err(Failed);
    }
    let mut command = Command::new("unshare");
    // Without root, a namespace in which one is root.
    let is_root = std::fs::metadata("/proc/self").is_ok_and(|own| {
        use std::os::unix::fs::MetadataExt as _;
        own.uid() == 0
    });
    if !is_root {
        command.arg("--map-root-user");
    }
    command.args(["--mount", "sh", "-c", SCRIPT, "cross"]).args([system, &root(), &home, &built]);
    eprintln!("$ (in {}) cargo {}", system.display(), arguments.join(" "));
    match command.args(arguments).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => {
            eprintln!("xtask: cargo in {} ended with {status}", system.display());
            Err(Failed)
        }
        Err(error) => {
            eprintln!("xtask: cannot run unshare: {error}");
            Err(Failed)
        }
    }
}
