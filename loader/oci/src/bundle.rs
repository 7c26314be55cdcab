//! The engine's `config.json`: read, and replaced.
//!
//! Assumes that nobody but the engine writes in a bundle. Guarantees that no more than
//! [`CONFIG_BYTES_MAX`] are read, that a new configuration is there whole or not at all, and
//! that of the old one all is left but what is changed ([`crate::raw`]). What is no configuration
//! that this program can read is the real runtime's to refuse.

use crate::raw::Fields;
use crate::refusal::{Defect, Refusal};
use rustix::fs::{Mode, OFlags};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// The most bytes of a `config.json`. Those of engines have some 10 KiB.
pub const CONFIG_BYTES_MAX: u64 = 8 << 20;
const NAME: &str = "config.json";

/// A bundle.
#[derive(Debug)]
pub struct Bundle {
    /// Its folder.
    pub folder: PathBuf,
    path: PathBuf,
    text: String,
    /// What of its configuration matters here.
    pub spec: Spec,
}

/// What of a configuration matters here.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Spec {
    /// What is started.
    pub process: Process,
    /// Its root.
    pub root: Root,
    /// What is mounted, in this order.
    pub mounts: Option<Vec<Mount>>,
    /// What the engine was told by whoever wants the container, or by its image.
    pub annotations: Option<BTreeMap<String, String>>,
    linux: Option<Linux>,
}

/// What is started.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Process {
    /// The words.
    pub args: Option<Vec<String>>,
    /// The variables.
    pub env: Option<Vec<String>>,
    /// The folder.
    pub cwd: String,
}

/// The root of a container.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Root {
    /// Its folder on this machine, or below the bundle.
    pub path: PathBuf,
}

/// A mount.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Mount {
    /// Where it is in the container.
    pub destination: String,
    /// What kind of file system it is.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// What is mounted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// How.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub options: Option<Vec<String>>,
}

impl Mount {
    /// Whether a file or folder of this machine is mounted.
    #[must_use]
    pub fn is_bind(&self) -> bool {
        self.has("bind") || self.has("rbind") || self.kind.as_deref() == Some("bind")
    }

    /// Whether nothing in it can be changed: the last of the options that say so decides.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        let says = |option: &String| matches!(option.as_str(), "ro" | "rw" | "rro" | "rrw");
        let last = self.options.iter().flatten().rfind(|option| says(option));
        last.is_some_and(|option| option.ends_with("ro"))
    }

    fn has(&self, option: &str) -> bool {
        self.options.iter().flatten().any(|known| known == option)
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Linux {
    resources: Option<Resources>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Resources {
    memory: Option<Memory>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Memory {
    limit: Option<i64>,
}

impl Spec {
    /// The most bytes of memory that the container gets; `None` where that is not limited.
    #[must_use]
    pub fn memory(&self) -> Option<u64> {
        let memory = self.linux.as_ref()?.resources.as_ref()?.memory.as_ref()?;
        memory.limit.filter(|limit| *limit > 0)?.try_into().ok()
    }
}

impl Bundle {
    /// Opens the bundle in `folder`. `None` where its configuration is none that this program can
    /// read.
    ///
    /// # Errors
    /// A configuration that is too long.
    pub fn open(folder: &Path, name: Option<&Path>) -> Result<Option<Self>, Refusal> {
        let path = folder.join(name.unwrap_or(Path::new(NAME)));
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let Ok(file) = rustix::fs::open(&path, flags, Mode::empty()).map(File::from) else {
            return Ok(None);
        };
        let Ok(status) = file.metadata() else { return Ok(None) };
        if !status.is_file() {
            return Ok(None);
        }
        if status.len() > CONFIG_BYTES_MAX {
            let what = format!(
                "{} has {} bytes, and at most {CONFIG_BYTES_MAX} are read",
                path.display(),
                status.len()
            );
            let hint = "see what the engine was told to put in it: annotations, variables, mounts";
            return Err(Refusal::new(Defect::Config, what, hint));
        }
        let mut text = String::new();
        if file.take(CONFIG_BYTES_MAX).read_to_string(&mut text).is_err() {
            return Ok(None);
        }
        // Once for what matters, once for what is there twice.
        if Fields::parse(&text).is_err() {
            return Ok(None);
        }
        let Ok(spec) = serde_json::from_str(&text) else { return Ok(None) };
        Ok(Some(Self { folder: folder.to_owned(), path, text, spec }))
    }

    /// The configuration with these words in the place of the process's, and with these mounts
    /// behind the others.
    ///
    /// # Errors
    /// A configuration that has a field twice.
    pub fn changed(&self, words: &[String], mounts: &[Mount]) -> Result<String, Refusal> {
        let changed = || -> serde_json::Result<String> {
            let mut config = Fields::parse(&self.text)?;
            let own = config.get("process").unwrap_or("{}").to_owned();
            let mut process = Fields::parse(&own)?;
            process.set("args", &words)?;
            config.set("process", &process)?;
            let own =
                config.get("mounts").filter(|text| *text != "null").unwrap_or("[]").to_owned();
            let mut all: Vec<Cow<'_, RawValue>> = Vec::new();
            for mount in serde_json::from_str::<Vec<&RawValue>>(&own)? {
                all.push(Cow::Borrowed(mount));
            }
            for mount in mounts {
                all.push(Cow::Owned(serde_json::value::to_raw_value(mount)?));
            }
            config.set("mounts", &all)?;
            serde_json::to_string(&config)
        };
        changed().map_err(|error| {
            let what = format!("{}: {error}", self.path.display());
            Refusal::new(Defect::Config, what, "see what the engine has written there")
        })
    }

    /// Replaces the configuration.
    ///
    /// # Errors
    /// Nothing can be written in the bundle.
    pub fn replace(&self, text: &str) -> Result<(), Refusal> {
        let replace = || -> std::io::Result<()> {
            let mode = std::fs::metadata(&self.path)?.permissions().mode() & 0o777;
            let mut file = tempfile::Builder::new()
                .prefix(".config.json.")
                .permissions(std::fs::Permissions::from_mode(mode))
                .tempfile_in(self.path.parent().unwrap_or(&self.folder))?;
            file.write_all(text.as_bytes())?;
            let _ = file.persist(&self.path)?;
            Ok(())
        };
        replace().map_err(|error| {
            let what = format!("cannot replace {}: {error}", self.path.display());
            Refusal::new(
                Defect::Unwritable,
                what,
                "see that there is room, and who may write there",
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bundle(text: &str) -> (tempfile::TempDir, Option<Bundle>) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(NAME), text).unwrap();
        let bundle = Bundle::open(folder.path(), None).unwrap();
        (folder, bundle)
    }

    #[test]
    fn words_and_mounts_are_changed_and_nothing_else() {
        let text = r#"{"ociVersion":"1.2.0","future":{"x":1.0},"process":{"user":{"uid":5},"args":["/app.bls"],"new":[1, 2]},"mounts":[{"destination":"/a","type":"bind","source":"/b","uidMappings":[{"hostID":9}]}],"linux":{"resources":{"memory":{"limit":16777216}}}}"#;
        let (_folder, bundle) = bundle(text);
        let bundle = bundle.unwrap();
        assert_eq!(bundle.spec.memory(), Some(16 << 20));
        let mount = Mount { destination: "/ours".to_owned(), ..Mount::default() };
        let changed = bundle.changed(&["/x".to_owned(), "y".to_owned()], &[mount]).unwrap();
        let expected = text
            .replace(r#"["/app.bls"]"#, r#"["/x","y"]"#)
            .replace(r#"9}]}]"#, r#"9}]},{"destination":"/ours"}]"#);
        assert_eq!(changed, expected);
        bundle.replace(&changed).unwrap();
        assert_eq!(std::fs::read_to_string(bundle.folder.join(NAME)).unwrap(), changed);
        assert_eq!(std::fs::read_dir(&bundle.folder).unwrap().count(), 1);
    }

    #[test]
    fn a_configuration_without_mounts_gets_them() {
        for mounts in ["", r#","mounts":null"#, r#","mounts":[]"#] {
            let (_folder, bundle) = bundle(&format!(r#"{{"process":{{"args":["a"]}}{mounts}}}"#));
            let changed = bundle.unwrap().changed(&[], &[Mount::default()]).unwrap();
            let value: serde_json::Value = serde_json::from_str(&changed).unwrap();
            assert_eq!(value["mounts"].as_array().unwrap().len(), 1, "{changed}");
        }
    }

    #[test]
    fn what_is_no_configuration_is_the_real_runtimes_matter() {
        for text in
            ["", "x", "[]", r#"{"process":7}"#, r#"{"a":1,"a":2}"#, r#"{"process":{"args":7}}"#]
        {
            assert!(bundle(text).1.is_none(), "{text}");
        }
        assert!(bundle("{}").1.is_some());
        let folder = tempfile::tempdir().unwrap();
        assert!(Bundle::open(folder.path(), None).unwrap().is_none());
        std::fs::create_dir(folder.path().join(NAME)).unwrap();
        assert!(Bundle::open(folder.path(), None).unwrap().is_none());
    }

    #[test]
    fn one_that_is_too_long_is_refused_and_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = File::create(folder.path().join(NAME)).unwrap();
        file.set_len(100 << 20).unwrap();
        let error = Bundle::open(folder.path(), None).unwrap_err();
        assert!(
            error.defect == Defect::Config && error.to_string().contains("104857600"),
            "{error}"
        );
    }

    #[test]
    fn the_last_word_on_writing_decides() {
        let mount = |options: &[&str]| Mount {
            options: Some(options.iter().map(|one| (*one).to_owned()).collect()),
            ..Mount::default()
        };
        for (options, is_read_only) in [
            (&[][..], false),
            (&["rbind", "ro"], true),
            (&["ro", "rw"], false),
            (&["rw", "rro"], true),
        ] {
            assert_eq!(mount(options).is_read_only(), is_read_only, "{options:?}");
        }
        assert!(mount(&["rbind"]).is_bind() && !mount(&["ro"]).is_bind());
    }
}
