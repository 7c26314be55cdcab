//! What root has settled for this machine: `/etc/bls/oci.json`, or defaults where there is none.
//!
//! Guarantees that each file that decides (the configuration, the loader, trust, policies) is one
//! that nobody but root, or the user that this runs as, can write. No variable of the environment
//! chooses any of them; only the real runtime is looked for on `PATH`, as an engine does.

use crate::refusal::{Defect, Refusal};
use bls_artifact::limits::POLICY_BYTES_MAX;
use bls_artifact::{policy, trust};
use rustix::fs::{Mode, OFlags};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Where the configuration is.
pub const FILE: &str = "/etc/bls/oci.json";
/// The most bytes of it.
const BYTES_MAX: u64 = 1 << 20;
/// The only version that is read.
const VERSION: u64 = 1;
/// Where the loader is looked for beside this program's own folder.
const FOLDERS: [&str; 2] = ["/usr/local/bin", "/usr/bin"];
/// Whom files belong to whose owner has no number in a user namespace.
const NOBODY: u32 = 65534;
const MEND: &str = "see docs/containers.md for what may stand in it";

/// What happens to a bundle that is no artifact.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Others {
    /// It is handed to the real runtime as it came.
    #[default]
    Run,
    /// It is refused: this node runs artifacts and nothing else.
    Refuse,
}

/// How modules are compiled.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Compile {
    /// bls-compile; the one beside this program where it is absent.
    pub with: Option<PathBuf>,
    /// The key that it signs with.
    pub key: PathBuf,
    /// The folder in which artifacts are kept.
    pub cache: PathBuf,
}

/// The configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Node {
    version: u64,
    /// The real runtime: a path, or a name on `PATH`; `runc`, else `crun`, where it is absent.
    #[serde(default)]
    pub runtime: Option<PathBuf>,
    #[serde(default)]
    loader: Option<PathBuf>,
    #[serde(default)]
    trust: Option<PathBuf>,
    #[serde(default)]
    policy: Option<PathBuf>,
    #[serde(default)]
    policies: BTreeMap<String, PathBuf>,
    /// Whether annotations may ask for the container's network.
    #[serde(default)]
    pub network: bool,
    #[serde(default)]
    broker: Option<PathBuf>,
    /// What happens to a bundle that is no artifact.
    #[serde(default)]
    pub others: Others,
    /// How modules are compiled; they are refused where it is absent.
    #[serde(default)]
    pub compile: Option<Compile>,
}

impl Node {
    /// Reads the configuration: the named one, or the default one where it exists.
    ///
    /// # Errors
    /// It cannot be read, is none, or others could have written it.
    pub fn load(named: Option<&Path>) -> Result<Self, Refusal> {
        let path = named.unwrap_or(Path::new(FILE));
        if named.is_none() && !path.exists() {
            return Ok(Self::default());
        }
        let wrong =
            |what: String| Refusal::new(Defect::Node, format!("{}: {what}", path.display()), MEND);
        let (file, _) = guarded(path)?;
        let mut text = Vec::new();
        let read = file.take(BYTES_MAX + 1).read_to_end(&mut text);
        let read = read.map_err(|error| wrong(format!("cannot read it: {error}")))?;
        if read as u64 > BYTES_MAX {
            return Err(wrong(format!("it is longer than {BYTES_MAX} bytes")));
        }
        Self::parse(&text).map_err(wrong)
    }

    fn parse(text: &[u8]) -> Result<Self, String> {
        let node: Self = serde_json::from_slice(text).map_err(|error| error.to_string())?;
        if node.version != VERSION {
            return Err(format!("it is of version {}, and {VERSION} is read here", node.version));
        }
        if let Some(path) = node.paths().find(|path| !path.is_absolute()) {
            return Err(format!("{} is no absolute path", path.display()));
        }
        Ok(node)
    }

    /// Every path that it names, but the real runtime's.
    fn paths(&self) -> impl Iterator<Item = &PathBuf> {
        let own = [&self.loader, &self.trust, &self.policy, &self.broker].into_iter().flatten();
        let compile = self.compile.iter();
        let compile = compile.flat_map(|one| [&one.key, &one.cache].into_iter().chain(&one.with));
        own.chain(self.policies.values()).chain(compile)
    }

    /// The node's loader.
    ///
    /// # Errors
    /// There is none, or others could have written it.
    pub fn loader(&self) -> Result<PathBuf, Refusal> {
        program("bls-load", self.loader.as_deref())
    }

    /// The node's broker.
    ///
    /// # Errors
    /// There is none, or others could have written it.
    pub fn broker(&self) -> Result<PathBuf, Refusal> {
        program("bls-broker", self.broker.as_deref())
    }

    /// The node's compiler.
    ///
    /// # Errors
    /// There is none, or others could have written it.
    pub fn compiler(&self, compile: &Compile) -> Result<PathBuf, Refusal> {
        program("bls-compile", compile.with.as_deref())
    }

    /// The trust file that is named here; `None` where the system's decides.
    #[must_use]
    pub fn named_trust(&self) -> Option<&Path> {
        self.trust.as_deref()
    }

    /// The trust file: one that is named here, or the system's.
    ///
    /// # Errors
    /// There is none, or others could have written it.
    pub fn trust(&self) -> Result<PathBuf, Refusal> {
        let path = self.trust.as_deref().unwrap_or(Path::new(trust::SYSTEM_FILE));
        // One that was accepted here and is gone is the loader's to refuse, and it is asked.
        if self.trust.is_none() && !path.exists() {
            let what = format!("nobody is trusted on this node: there is no {}", path.display());
            let hint = "as root: bls-load trust add --system builder.pub";
            return Err(Refusal::new(Defect::Trust, what, hint));
        }
        guarded(path).map(|(_, path)| path)
    }

    /// The policy that holds for every run: one that is named here, or the system's where it
    /// exists.
    ///
    /// # Errors
    /// It is none, or others could have written it.
    pub fn policy(&self) -> Result<Option<NodePolicy>, Refusal> {
        let system = Path::new(policy::SYSTEM_FILE);
        match &self.policy {
            Some(path) => NodePolicy::read(path).map(Some),
            None if system.exists() => NodePolicy::read(system).map(Some),
            None => Ok(None),
        }
    }

    /// The policy of this name, as annotations know it.
    ///
    /// # Errors
    /// There is none, or it is none, or others could have written it.
    pub fn policy_named(&self, name: &str) -> Result<NodePolicy, Refusal> {
        match self.policies.get(name) {
            Some(path) => NodePolicy::read(path),
            None => {
                let known: Vec<&str> = self.policies.keys().map(String::as_str).collect();
                let hint = match known.as_slice() {
                    [] => format!("the node names policies in {FILE}: {{\"policies\": …}}"),
                    known => format!("it has {}", known.join(", ")),
                };
                let what = format!("this node has no policy that is called {name:?}");
                Err(Refusal::new(Defect::Annotation, what, hint))
            }
        }
    }
}

/// A policy, and the file that it is in.
#[derive(Clone, Debug)]
pub struct NodePolicy {
    /// The file.
    pub path: PathBuf,
    /// What it says.
    pub rules: policy::Policy,
}

impl NodePolicy {
    fn read(path: &Path) -> Result<Self, Refusal> {
        let wrong = |what: String| {
            let hint = "mend the policy, or name one for containers: {\"policy\": \"/etc/bls/containers.json\"}";
            Refusal::new(Defect::Policy, format!("{}: {what}", path.display()), hint)
        };
        let (file, path_found) = guarded(path)?;
        let mut text = Vec::new();
        let read = file.take(POLICY_BYTES_MAX + 1).read_to_end(&mut text);
        let _ = read.map_err(|error| wrong(format!("cannot read it: {error}")))?;
        let rules = policy::Policy::parse(&text).map_err(|error| wrong(error.to_string()))?;
        // What it names is the node's, and the loader stands in a container.
        if rules.account.is_some() {
            return Err(wrong("an account cannot be kept in a container".to_owned()));
        }
        if let Some(log) = rules.log.as_ref().filter(|log| **log != policy::Log::Stderr) {
            return Err(wrong(format!("the log {log} cannot be reached in a container")));
        }
        Ok(Self { path: path_found, rules })
    }
}

/// A program of ours: where it is said to be, or beside this one, or where programs are.
fn program(name: &str, said: Option<&Path>) -> Result<PathBuf, Refusal> {
    if let Some(path) = said {
        return guarded(path).map(|(_, path)| path);
    }
    let own = std::env::current_exe().ok().and_then(|own| Some(own.parent()?.to_owned()));
    let folders = own.into_iter().chain(FOLDERS.map(PathBuf::from));
    match folders.map(|folder| folder.join(name)).find(|path| path.is_file()) {
        Some(path) => guarded(&path).map(|(_, path)| path),
        None => Err(Refusal::new(
            Defect::Loader,
            format!("{name} is not beside bls-oci, nor in {}", FOLDERS.join(" or ")),
            format!("install it there, or say where it is, in {FILE}"),
        )),
    }
}

/// A file that nobody else can have written, open, and where it really is.
///
/// # Errors
/// There is none, or others could have written it.
pub fn guarded(path: &Path) -> Result<(File, PathBuf), Refusal> {
    let wrong = |what: &str, hint: &str| {
        Refusal::new(Defect::Guard, format!("{} {what}", path.display()), hint)
    };
    let missing = |error: &dyn std::fmt::Display| {
        wrong(&format!("cannot be used: {error}"), "see that the file is there, and is a file")
    };
    let real = path.canonicalize().map_err(|error| missing(&error))?;
    // A FIFO cannot hold this process before it is known to be one.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = rustix::fs::open(&real, flags, Mode::empty()).map_err(|error| missing(&error))?;
    let file = File::from(file);
    let status = file.metadata().map_err(|error| missing(&error))?;
    if !status.is_file() {
        return Err(wrong("is no file", "name a file"));
    }
    let folder = real.parent().and_then(|folder| folder.metadata().ok());
    for (what, status) in [(Some("it"), Some(status)), (Some("its folder"), folder)] {
        let (Some(what), Some(status)) = (what, status) else { continue };
        let (owner, mode) = (status.uid(), status.mode());
        let is_sticky = status.is_dir() && mode & 0o1000 != 0;
        if !is_owner(owner) || mode & 0o022 != 0 && !is_sticky {
            let hint = "chown root: and chmod go-w, both of the file and of its folder";
            return Err(wrong(&format!("may be another's: others can write {what}"), hint));
        }
    }
    Ok((file, real))
}

/// Whether this is root, or who runs this program. In a user namespace that has no root, root's
/// files are nobody's.
fn is_owner(owner: u32) -> bool {
    let is_confined = || {
        let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
        map.split_whitespace().ne(["0", "0", "4294967295"])
    };
    owner == 0 || owner == rustix::process::geteuid().as_raw() || owner == NOBODY && is_confined()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_configuration_has_a_version_and_nothing_unknown() {
        let node = Node::parse(
            br#"{"version": 1, "runtime": "crun", "loader": "/usr/bin/bls-load",
                "policies": {"small": "/etc/bls/small.json"}, "others": "refuse",
                "compile": {"key": "/k", "cache": "/c"}}"#,
        )
        .unwrap();
        assert_eq!(node.others, Others::Refuse);
        for (text, says) in [
            ("{}", "version"),
            (r#"{"version": 2}"#, "version 2"),
            (r#"{"version": 1, "loadr": "/x"}"#, "loadr"),
            (r#"{"version": 1, "loader": "bls-load"}"#, "absolute"),
            (r#"{"version": 1, "compile": {"key": "k", "cache": "/c"}}"#, "absolute"),
            (r#"{"version": 1, "others": "maybe"}"#, "maybe"),
            ("", "EOF"),
        ] {
            let error = Node::parse(text.as_bytes()).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
    }

    #[test]
    fn what_others_can_write_decides_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("oci.json");
        std::fs::write(&path, r#"{"version": 1}"#).unwrap();
        assert!(Node::load(Some(&path)).is_ok());
        std::fs::set_permissions(&path, Permissions::from_mode(0o666)).unwrap();
        let error = Node::load(Some(&path)).unwrap_err();
        assert_eq!(error.defect, Defect::Guard, "{error}");
        std::fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        std::fs::set_permissions(folder.path(), Permissions::from_mode(0o777)).unwrap();
        let error = Node::load(Some(&path)).unwrap_err();
        assert!(error.to_string().contains("its folder"), "{error}");
        let error = Node::load(Some(&folder.path().join("none"))).unwrap_err();
        assert_eq!(error.defect, Defect::Guard, "{error}");
        std::fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        std::fs::write(&path, vec![b' '; (BYTES_MAX + 1) as usize]).unwrap();
        assert_eq!(Node::load(Some(&path)).unwrap_err().defect, Defect::Node);
    }

    #[test]
    fn a_policy_that_needs_the_node_holds_in_no_container() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("policy.json");
        for (text, says) in [
            (r#"{"version": 1, "log": "syslog"}"#, "/dev/log"),
            (r#"{"version": 1, "log": "/var/log/runs.jsonl"}"#, "/var/log/runs.jsonl"),
            (r#"{"version": 1, "account": {"metrics": "/m"}}"#, "account"),
            (r#"{"version": 3}"#, "version 3"),
        ] {
            std::fs::write(&path, text).unwrap();
            let error = NodePolicy::read(&path).unwrap_err();
            assert!(error.defect == Defect::Policy && error.to_string().contains(says), "{error}");
        }
        let node = Node::default();
        let error = node.policy_named("small").unwrap_err();
        assert_eq!(error.defect, Defect::Annotation);
    }
}
