//! `cargo xtask deb`: a package for Debian and what is made of it, by `dpkg-deb` alone.
//!
//! The programs as `build` makes them, manuals, completions, the unit for systemd. Nothing is
//! done when it is installed but to put files in place: it trusts nobody, and starts nothing.

use crate::{Failed, Step, build, programs, root, target};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

const PROGRAMS: [&str; 7] = [
    "bls-compile",
    "bls-load",
    "bls-broker",
    "bls-account",
    "bls-oci",
    "bls-registry",
    "bls-serve",
];

/// What Debian calls this architecture.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// Builds the package, and lists it.
pub(crate) fn run() -> Step {
    build()?;
    let name = format!("bls_{}_{}", env!("CARGO_PKG_VERSION"), architecture());
    let tree = target().join("deb").join(&name);
    let package = tree.with_extension("deb");
    // What is behind the last dot of a version is no extension.
    let package = package.with_file_name(format!("{name}.deb"));
    stage(&tree).map_err(|error| {
        eprintln!("xtask: cannot put {} together: {error}", tree.display());
        Failed
    })?;
    dpkg(&["--root-owner-group".as_ref(), "--build".as_ref(), tree.as_ref(), package.as_ref()])?;
    dpkg(&["--contents".as_ref(), package.as_ref()])?;
    dpkg(&["--info".as_ref(), package.as_ref()])?;
    eprintln!("{}", package.display());
    Ok(())
}

fn dpkg(words: &[&std::ffi::OsStr]) -> Step {
    // The same files give the same bytes.
    let epoch = std::env::var("SOURCE_DATE_EPOCH").unwrap_or_else(|_| "0".to_owned());
    match Command::new("dpkg-deb").args(words).env("SOURCE_DATE_EPOCH", epoch).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => {
            eprintln!("xtask: dpkg-deb ended with {status}");
            Err(Failed)
        }
        Err(error) => {
            eprintln!("xtask: cannot run dpkg-deb: {error}");
            Err(Failed)
        }
    }
}

/// Puts everything where it will be.
fn stage(tree: &Path) -> std::io::Result<()> {
    match fs::remove_dir_all(tree) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let put = |from: PathBuf, to: &str, mode: u32| -> std::io::Result<()> {
        let to = tree.join(to);
        fs::create_dir_all(to.parent().unwrap_or(tree))?;
        let _ = fs::copy(from, &to)?;
        fs::set_permissions(&to, fs::Permissions::from_mode(mode))
    };
    for program in PROGRAMS {
        put(programs().join(program), &format!("usr/bin/{program}"), 0o755)?;
        let page = root().join(format!("contrib/man/{program}.1"));
        put(page, &format!("usr/share/man/man1/{program}.1"), 0o644)?;
        // Without its time, which would differ.
        let page = tree.join(format!("usr/share/man/man1/{program}.1"));
        let packed = Command::new("gzip").args(["-9n"]).arg(&page).status()?;
        if !packed.success() {
            return Err(std::io::Error::other("gzip fails"));
        }
    }
    let completion = |shell: &str| root().join(format!("contrib/completions/bls.{shell}"));
    for program in ["bls-compile", "bls-load", "bls-registry", "bls-serve"] {
        let bash = format!("usr/share/bash-completion/completions/{program}");
        put(completion("bash"), &bash, 0o644)?;
        let fish = format!("usr/share/fish/vendor_completions.d/{program}.fish");
        put(completion("fish"), &fish, 0o644)?;
    }
    put(completion("zsh"), "usr/share/zsh/vendor-completions/_bls", 0o644)?;
    put(root().join("contrib/systemd/bls@.service"), "usr/lib/systemd/system/bls@.service", 0o644)?;
    let unit = "bls-serve@.service";
    let from = root().join("contrib/systemd").join(unit);
    put(from, &format!("usr/lib/systemd/system/{unit}"), 0o644)?;
    for document in ["README.md", "SECURITY.md", "FORMAT.md", "FUEL.md", "CHANGELOG.md"] {
        put(root().join(document), &format!("usr/share/doc/bls/{document}"), 0o644)?;
    }
    for guide in fs::read_dir(root().join("docs"))? {
        let name = guide?.file_name();
        let name = name.to_string_lossy();
        put(root().join("docs").join(&*name), &format!("usr/share/doc/bls/docs/{name}"), 0o644)?;
    }
    put(root().join("LICENSE"), "usr/share/doc/bls/copyright", 0o644)?;

    let bytes: u64 = PROGRAMS
        .iter()
        .map(|program| fs::metadata(programs().join(program)).map(|file| file.len()))
        .sum::<std::io::Result<u64>>()?;
    let control = format!(
        "Package: bls\nVersion: {}\nArchitecture: {}\nMaintainer: the bls maintainers <maintainers@localhost>\n\
         Installed-Size: {}\nDepends: libc6 (>= 2.34), libgcc-s1\nSection: devel\nPriority: optional\n\
         Description: signed native artifacts of WebAssembly modules\n \
         bls-compile validates, meters, compiles and signs WebAssembly ahead of time;\n \
         bls-load verifies, maps and runs what it made, with no compiler inside.\n",
        env!("CARGO_PKG_VERSION"),
        architecture(),
        bytes / 1024 + 1,
    );
    fs::create_dir_all(tree.join("DEBIAN"))?;
    fs::write(tree.join("DEBIAN/control"), control)
}
