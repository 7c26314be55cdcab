//! What a container would start: an artifact, a module, or something else.
//!
//! By the first bytes of the file, never by its name. What is found here is a guess about a
//! file that others may replace: it decides who starts it, and never whether it may run.

use crate::bundle::{Bundle, Mount};
use crate::inside::{Inside, PLACE, below, plain_of};
use crate::refusal::{Defect, Refusal};
use bls_artifact::artifact::MAGIC;
use std::fs::File;
use std::os::unix::fs::FileExt as _;

/// How WebAssembly begins, modules and components alike.
const WASM: [u8; 4] = *b"\0asm";
/// What the loader in an image is called.
const LOADER: &str = "bls-load";

/// What is started.
#[derive(Debug)]
pub struct Entry {
    /// What it is.
    pub kind: Kind,
    /// Its absolute path in the container.
    pub path: String,
    /// The file as it is now.
    pub file: File,
    /// The words behind it.
    pub arguments: Vec<String>,
}

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An artifact.
    Artifact,
    /// A WebAssembly module or component.
    Module,
}

/// Finds what a container would start; `None` where that is neither an artifact nor a module.
///
/// # Errors
/// The image's own loader with options: what they say is said otherwise here.
pub fn find(bundle: &Bundle, inside: &Inside<'_>) -> Result<Option<Entry>, Refusal> {
    let process = &bundle.spec.process;
    let Some((first, rest)) = process.args.as_deref().and_then(<[String]>::split_first) else {
        return Ok(None);
    };
    // What this program has changed before is as it is to be.
    let is_ours = |mount: &Mount| plain_of(mount) == *first;
    if below(first, PLACE) == Some(LOADER) && bundle.spec.mounts.iter().flatten().any(is_ours) {
        return Ok(None);
    }
    let open = |word: &str| paths(bundle, word).find_map(|path| Some((inside.file(&path)?, path)));
    let Some((file, path)) = open(first) else { return Ok(None) };
    if let Some(kind) = kind(&file) {
        return Ok(Some(Entry { kind, path, file, arguments: rest.to_vec() }));
    }
    if first.rsplit('/').next() != Some(LOADER) {
        return Ok(None);
    }
    // An image of a loader and an artifact: the node has a loader of its own.
    let rest = if rest.first().is_some_and(|word| word == "run") { &rest[1..] } else { rest };
    let artifact = |word: &String| {
        let (file, path) = open(word).filter(|_| word.contains('/'))?;
        kind(&file).filter(|kind| *kind == Kind::Artifact).map(|kind| (kind, file, path))
    };
    let Some((at, (kind, file, path))) =
        rest.iter().enumerate().find_map(|(at, word)| Some((at, artifact(word)?)))
    else {
        return Ok(None);
    };
    let options = &rest[..at];
    if options.iter().all(|word| word == "--") {
        return Ok(Some(Entry { kind, path, file, arguments: rest[at + 1..].to_vec() }));
    }
    let what = format!(
        "{path} is to be run with options of the image's own loader: {}",
        options.join(" ")
    );
    let hint = "leave them out, and say them as annotations: bls.dev/fuel, bls.dev/timeout";
    Err(Refusal::new(Defect::Entry, what, hint))
}

/// The absolute paths at which a word may be found, in the order in which they are tried.
fn paths<'a>(bundle: &'a Bundle, word: &'a str) -> impl Iterator<Item = String> + 'a {
    let process = &bundle.spec.process;
    let direct = if word.starts_with('/') {
        Some(word.to_owned())
    } else if word.contains('/') {
        Some(format!("{}/{word}", process.cwd.trim_end_matches('/')))
    } else {
        None
    };
    let variables = process.env.iter().flatten();
    let path = variables.rev().find_map(|one| one.strip_prefix("PATH=")).unwrap_or_default();
    let searched = path.split(':').filter(|folder| folder.starts_with('/'));
    let searched = searched.map(move |folder| format!("{}/{word}", folder.trim_end_matches('/')));
    let is_direct = direct.is_some();
    direct.into_iter().chain(searched.filter(move |_| !is_direct && !word.is_empty()))
}

/// What a file is; `None` where it is something else.
#[must_use]
pub fn kind(file: &File) -> Option<Kind> {
    let mut first = [0; 8];
    file.read_exact_at(&mut first, 0).ok()?;
    match first {
        MAGIC => Some(Kind::Artifact),
        _ if first.starts_with(&WASM) => Some(Kind::Module),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn found(words: &str) -> Result<Option<(Kind, String, Vec<String>)>, Refusal> {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("rootfs");
        std::fs::create_dir_all(root.join("opt")).unwrap();
        let put = |name: &str, bytes: &[u8]| std::fs::write(root.join(name), bytes).unwrap();
        put("app.bls", b"\x89BLS\r\n\x1a\n and more");
        put("opt/tool", b"\x89BLS\r\n\x1a\n");
        put("m.wasm", b"\0asm\x01\0\0\0");
        put("bls-load", b"\x7fELF and so on");
        put("sh", b"\x7fELF and so on");
        put("short", b"\x89BLS");
        let config = serde_json::json!({
            "root": { "path": "rootfs" },
            "process": {
                "args": words.split(' ').collect::<Vec<_>>(),
                "env": ["PATH=:relative:/bin:/opt/:/", "A=b"],
                "cwd": "/opt",
            },
        });
        std::fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
        let bundle = Bundle::open(folder.path(), None).unwrap().unwrap();
        let inside = Inside::open(&bundle).unwrap();
        let found = find(&bundle, &inside)?;
        Ok(found.map(|entry| (entry.kind, entry.path, entry.arguments)))
    }

    #[test]
    fn an_artifact_is_known_by_its_first_bytes() {
        for (words, path, arguments) in [
            ("/app.bls x -y", "/app.bls", &["x", "-y"][..]),
            ("tool", "/opt/tool", &[]),
            ("./tool", "/opt/./tool", &[]),
            ("../app.bls", "/opt/../app.bls", &[]),
            ("/bls-load /app.bls x", "/app.bls", &["x"]),
            ("/bls-load run -- /app.bls --x", "/app.bls", &["--x"]),
        ] {
            let (kind, found, rest) = found(words).unwrap().expect(words);
            assert_eq!((kind, found.as_str()), (Kind::Artifact, path), "{words}");
            assert_eq!(rest, arguments, "{words}");
        }
        assert_eq!(found("/m.wasm").unwrap().unwrap().0, Kind::Module);
        assert!(Path::new("/").is_absolute());
    }

    #[test]
    fn all_else_is_somebody_elses() {
        for words in [
            "/sh",
            "/sh /app.bls",
            "/short",
            "/none",
            "sh2",
            "",
            "/bls-load",
            "/bls-load verify x",
            "/bls-load app.bls",
        ] {
            assert_eq!(found(words).unwrap(), None, "{words}");
        }
    }

    #[test]
    fn options_of_an_images_loader_are_refused_by_name() {
        for words in ["/bls-load --trust /t /app.bls", "/bls-load run --fuel 3 /app.bls x"] {
            let error = found(words).unwrap_err();
            assert_eq!(error.defect, Defect::Entry);
            assert!(error.to_string().contains("--"), "{error}");
        }
    }
}
