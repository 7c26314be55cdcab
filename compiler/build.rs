//! Names this very compiler: the digest of the sources and of the releases of other crates that
//! it is built of, for the key of what it makes (`key_of.rs`).
//!
//! The same files give the same digest, in any folder and on any machine.

use sha2::{Digest as _, Sha256};
use std::fs;
use std::path::{Path, PathBuf};

fn main() {
    let own = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo says where"));
    let above = own.parent().expect("a workspace").to_owned();
    let mut files = Vec::new();
    for folder in [own.join("src"), above.join("shared/src")] {
        println!("cargo::rerun-if-changed={}", folder.display());
        collect(&folder, &mut files);
    }
    // And WASI 0.2, which is linked into components.
    let wasi = ["wasi02", "wasi02-net", "wasi02-typed", "wasi02-typed-net"];
    let wasi = wasi.map(|name| format!("wasi02/{name}.wasm"));
    for file in wasi.into_iter().chain(["Cargo.lock".to_owned()]) {
        let file = above.join(file);
        println!("cargo::rerun-if-changed={}", file.display());
        files.extend(file.is_file().then_some(file));
    }
    files.sort();
    let mut digest = Sha256::new();
    for file in files {
        let name = file.strip_prefix(&above).expect("a file of the workspace").to_string_lossy();
        let bytes = fs::read(&file).expect("a file that can be read");
        digest.update(format!("{} {}\n{}\n", name.len(), bytes.len(), name));
        digest.update(bytes);
    }
    let hex: String = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    println!("cargo::rustc-env=BLS_BUILD={hex}");
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}
