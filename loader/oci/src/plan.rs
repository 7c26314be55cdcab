//! The loader's command line in the container, and the mounts that it needs.
//!
//! A pure function of what the engine wants and of what the node has settled. Guarantees that
//! whom to trust comes from the node, that the node's policy stands where the loader looks for it,
//! that values of variables never get onto a command line, and that a guest's memory and the
//! loader's own fit into the container's.

use crate::annotations::Asked;
use crate::bundle::{Bundle, Mount};
use crate::entry::Entry;
use crate::inside::{Inside, PLACE, below, plain_of};
use crate::node::NodePolicy;
use crate::refusal::{Defect, Refusal};
use bls_artifact::capability::{Capability, Permission};
use bls_artifact::quantity::show_size;
use std::path::{Path, PathBuf};

/// Memory of the loader itself, beside a guest's and beside the code, in bytes.
pub const LOADER_BYTES: u64 = 6 << 20;
/// Memory of a broker beside it.
const BROKER_BYTES: u64 = 8 << 20;
/// The least that is left for a guest: a page.
const GUEST_BYTES_MIN: u64 = 64 << 10;
/// What is not granted, whatever is mounted there.
const SYSTEM: [&str; 4] = ["/proc", "/sys", "/dev", PLACE];

/// What the node gives.
#[derive(Clone, Debug)]
pub struct Given {
    /// The loader.
    pub loader: PathBuf,
    /// Whom to trust.
    pub trust: PathBuf,
    /// The policy that holds for every run.
    pub policy: Option<NodePolicy>,
    /// The policy that an annotation names.
    pub named: Option<NodePolicy>,
    /// The broker, where the network is asked for.
    pub broker: Option<PathBuf>,
    /// The artifact, where it is not the entry point itself.
    pub artifact: Option<PathBuf>,
    /// Bytes of the code when it is mapped.
    pub code_bytes: u64,
}

/// What becomes of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The words of its process.
    pub words: Vec<String>,
    /// Mounts behind those that it has.
    pub mounts: Vec<Mount>,
}

/// Plans a container.
///
/// # Errors
/// A memory limit in which nothing fits, or a mount that no option can name.
pub fn plan(
    bundle: &Bundle,
    inside: &Inside<'_>,
    entry: &Entry,
    asked: &Asked,
    given: &Given,
) -> Result<Plan, Refusal> {
    let mut mounts = vec![own_folder()];
    let mut put = |source: &Path, name: &str| {
        let place = format!("{PLACE}/{name}");
        mounts.push(file_at(source, &place));
        place
    };
    let mut words = vec![put(&given.loader, "bls-load"), "run".to_owned()];
    words.push(format!("--trust={}", put(&given.trust, "trust.json")));
    if let Some(policy) = &given.policy {
        // Where the loader looks by itself.
        let _ = put(&policy.path, "policy.json");
    }
    if let Some(policy) = &given.named {
        words.push(format!("--policy={}", put(&policy.path, "named.json")));
    }
    if let Some(broker) = &given.broker {
        let _ = put(broker, "bls-broker");
    }
    let artifact = given.artifact.as_ref().map(|artifact| put(artifact, "app.bls"));

    let policies: Vec<&NodePolicy> = given.policy.iter().chain(&given.named).collect();
    let broker_bytes = if given.broker.is_some() { BROKER_BYTES } else { 0 };
    let beside = given.code_bytes.saturating_add(broker_bytes);
    if let Some(bytes) = memory(bundle.spec.memory(), asked.memory, beside, &policies)? {
        words.push(format!("--max-memory={bytes}"));
    }
    words.extend(asked.options.iter().cloned());
    words.extend(folders(bundle, inside)?);
    words.extend(variables(bundle, &policies));
    if artifact.is_some() {
        let name = entry.path.rsplit('/').next().unwrap_or_default();
        words.push(format!("--argv0={name}"));
    }
    words.push("--".to_owned());
    words.push(artifact.unwrap_or_else(|| entry.path.clone()));
    words.extend(entry.arguments.iter().cloned());
    Ok(Plan { words, mounts })
}

/// The folder of ours, over whatever an image or a mount has there.
fn own_folder() -> Mount {
    let options = ["nosuid", "nodev", "noexec", "mode=0755", "size=64k"];
    Mount {
        destination: PLACE.to_owned(),
        kind: Some("tmpfs".to_owned()),
        source: Some("tmpfs".to_owned()),
        options: Some(options.map(str::to_owned).to_vec()),
    }
}

/// A file of the node's.
fn file_at(source: &Path, place: &str) -> Mount {
    Mount {
        destination: place.to_owned(),
        kind: Some("bind".to_owned()),
        source: Some(source.to_string_lossy().into_owned()),
        options: Some(["bind", "ro", "nosuid", "nodev", "rprivate"].map(str::to_owned).to_vec()),
    }
}

/// The most bytes of a guest: what is asked for, what fits beside the loader, and no more than
/// policies allow of the latter; `None` where nothing says anything.
fn memory(
    limit: Option<u64>,
    asked: Option<u64>,
    beside: u64,
    policies: &[&NodePolicy],
) -> Result<Option<u64>, Refusal> {
    let Some(limit) = limit else { return Ok(asked) };
    let own = LOADER_BYTES.saturating_add(beside);
    let fits = limit.saturating_sub(own);
    if fits < GUEST_BYTES_MIN {
        let what = format!(
            "the container's memory limit is {}, and bls-load with this artifact's code takes {}",
            show_size(limit),
            show_size(own)
        );
        let least = show_size(own.saturating_add(GUEST_BYTES_MIN));
        let hint = format!("allow it more: {least} and what the guest itself wants");
        return Err(Refusal::new(Defect::Memory, what, hint));
    }
    let allowed = policies.iter().filter_map(|policy| policy.rules.limits.memory_bytes.max);
    let fits = allowed.fold(fits, u64::min);
    Ok(Some(asked.map_or(fits, |asked| asked.min(fits))))
}

/// Grants of what is mounted.
fn folders(bundle: &Bundle, inside: &Inside<'_>) -> Result<Vec<String>, Refusal> {
    let mut options: Vec<(String, String)> = Vec::new();
    for mount in bundle.spec.mounts.iter().flatten() {
        let path = plain_of(mount);
        if path == "/" || SYSTEM.iter().any(|system| below(&path, system).is_some()) {
            continue;
        }
        let is_granted = match mount.kind.as_deref() {
            _ if mount.is_bind() => inside.source(mount).is_some_and(|source| source.is_dir()),
            // Every engine has one at /run, for programs that want one.
            Some("tmpfs") => path != "/run",
            _ => false,
        };
        if !is_granted {
            continue;
        }
        if path.contains("::") {
            let what = format!("the mount {path} cannot be granted: its name has \"::\" in it");
            return Err(Refusal::new(Defect::Place, what, "mount it somewhere else"));
        }
        let option = if mount.is_read_only() { "--dir-ro" } else { "--dir" };
        // The last one covers those before it.
        options.retain(|(known, _)| *known != path);
        options.push((path.clone(), format!("{option}={path}::{path}")));
    }
    Ok(options.into_iter().map(|(_, option)| option).collect())
}

/// Grants of variables, by their names alone: a command line can be read by everybody on the
/// machine. Those that a policy does not allow are left out, for engines add some to all.
fn variables(bundle: &Bundle, policies: &[&NodePolicy]) -> Vec<String> {
    let mut options: Vec<String> = Vec::new();
    for variable in bundle.spec.process.env.iter().flatten() {
        let Some((name, _)) = variable.split_once('=') else { continue };
        let Ok(wanted) = Permission::scoped(Capability::Environment, name) else { continue };
        let option = format!("--env={name}");
        if policies.iter().all(|policy| policy.rules.allows(&wanted)) && !options.contains(&option)
        {
            options.push(option);
        }
    }
    options
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::Kind;
    use bls_artifact::policy;

    fn given() -> Given {
        Given {
            loader: "/node/bls-load".into(),
            trust: "/node/trust.json".into(),
            policy: None,
            named: None,
            broker: None,
            artifact: None,
            code_bytes: 1 << 20,
        }
    }

    fn rules(text: &str) -> NodePolicy {
        NodePolicy {
            path: "/node/p".into(),
            rules: policy::Policy::parse(text.as_bytes()).unwrap(),
        }
    }

    /// The plan for a process with these variables, mounts and memory.
    fn planned(config: serde_json::Value, asked: &Asked, given: &Given) -> Result<Plan, Refusal> {
        let folder = tempfile::tempdir().unwrap();
        for name in ["rootfs", "volume"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        std::fs::write(folder.path().join("file"), "").unwrap();
        let text = config.to_string().replace("DIR", folder.path().to_str().unwrap());
        std::fs::write(folder.path().join("config.json"), text).unwrap();
        let bundle = Bundle::open(folder.path(), None).unwrap().unwrap();
        let inside = Inside::open(&bundle).unwrap();
        let entry = Entry {
            kind: Kind::Artifact,
            path: "/app.bls".to_owned(),
            file: std::fs::File::open(folder.path().join("file")).unwrap(),
            arguments: vec!["--trust".to_owned(), "x".to_owned()],
        };
        plan(&bundle, &inside, &entry, asked, given)
    }

    fn config(more: serde_json::Value) -> serde_json::Value {
        let mut config = serde_json::json!({ "root": { "path": "rootfs" } });
        config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        config
    }

    #[test]
    fn a_plain_container_gets_the_nodes_loader_and_trust() {
        let plan = planned(config(serde_json::json!({})), &Asked::default(), &given()).unwrap();
        assert_eq!(
            plan.words,
            [
                "/etc/bls/bls-load",
                "run",
                "--trust=/etc/bls/trust.json",
                "--",
                "/app.bls",
                "--trust",
                "x"
            ]
        );
        let mounted: Vec<_> = plan.mounts.iter().map(|one| one.destination.as_str()).collect();
        assert_eq!(mounted, ["/etc/bls", "/etc/bls/bls-load", "/etc/bls/trust.json"]);
        assert!(plan.mounts[1..].iter().all(|one| one.is_bind() && one.is_read_only()));
    }

    #[test]
    fn mounts_are_folders_with_their_rights() {
        let mounts = serde_json::json!({ "mounts": [
            { "destination": "/proc", "type": "proc", "source": "proc" },
            { "destination": "/dev/shm", "type": "bind", "source": "DIR/volume", "options": ["bind"] },
            { "destination": "/run", "type": "tmpfs", "source": "tmpfs" },
            { "destination": "/tmp", "type": "tmpfs", "source": "tmpfs" },
            { "destination": "/etc/hosts", "type": "bind", "source": "DIR/file", "options": ["bind"] },
            { "destination": "/etc/bls", "type": "bind", "source": "DIR/volume", "options": ["bind"] },
            { "destination": "/data/", "type": "bind", "source": "DIR/volume", "options": ["rbind", "rw"] },
            { "destination": "/data/cfg", "type": "bind", "source": "volume", "options": ["rbind", "ro"] },
            { "destination": "/gone", "type": "bind", "source": "DIR/none", "options": ["rbind"] },
        ]});
        let plan = planned(config(mounts), &Asked::default(), &given()).unwrap();
        let granted: Vec<_> = plan.words.iter().filter(|word| word.starts_with("--dir")).collect();
        assert_eq!(
            granted,
            ["--dir=/tmp::/tmp", "--dir=/data::/data", "--dir-ro=/data/cfg::/data/cfg"]
        );
        let odd = serde_json::json!({ "mounts": [
            { "destination": "/a::b", "type": "tmpfs", "source": "tmpfs" } ]});
        let error = planned(config(odd), &Asked::default(), &given()).unwrap_err();
        assert_eq!(error.defect, Defect::Place);
    }

    #[test]
    fn variables_are_granted_by_name_as_far_as_policies_allow() {
        let env = serde_json::json!({ "process": { "env":
            ["PATH=/bin", "TOKEN=secret", "LANG=C", "LANG=D", "nothing", "=x", "A\u{1}=b"] }});
        let plan = planned(config(env.clone()), &Asked::default(), &given()).unwrap();
        let granted = |plan: &Plan| -> Vec<String> {
            plan.words.iter().filter(|word| word.starts_with("--env")).cloned().collect()
        };
        assert_eq!(granted(&plan), ["--env=PATH", "--env=TOKEN", "--env=LANG"]);
        assert!(!plan.words.concat().contains("secret"));
        let policy = rules(r#"{"version": 1, "allow": ["env:LANG", "env:PATH"]}"#);
        let named = rules(r#"{"version": 1, "allow": ["env:LANG", "env:TOKEN"]}"#);
        let given = Given { policy: Some(policy), named: Some(named), ..given() };
        let plan = planned(config(env), &Asked::default(), &given).unwrap();
        assert_eq!(granted(&plan), ["--env=LANG"]);
        assert!(plan.words.contains(&"--policy=/etc/bls/named.json".to_owned()));
    }

    #[test]
    fn a_guests_memory_is_what_the_loader_leaves() {
        let mib = |count: u64| count << 20;
        let all = rules(r#"{"version": 1, "limits": {"memory_bytes": {"max": "8MiB"}}}"#);
        let code = mib(2);
        for (limit, asked, policies, expected) in [
            (None, None, &[][..], None),
            (None, Some(5), &[], Some(5)),
            (Some(mib(64)), None, &[], Some(mib(56))),
            (Some(mib(64)), Some(mib(60)), &[], Some(mib(56))),
            (Some(mib(64)), Some(mib(1)), &[], Some(mib(1))),
            (Some(mib(64)), None, &[&all], Some(mib(8))),
            (Some(mib(9)), None, &[&all], Some(mib(1))),
        ] {
            assert_eq!(memory(limit, asked, code, policies), Ok(expected), "{limit:?} {asked:?}");
        }
        for limit in [0, 1, mib(8)] {
            let error = memory(Some(limit), None, code, &[]).unwrap_err();
            assert_eq!(error.defect, Defect::Memory);
        }
        assert!(memory(Some(u64::MAX), None, u64::MAX, &[]).is_err());
    }

    #[test]
    fn a_compiled_module_is_called_what_it_was() {
        let given = Given { artifact: Some("/cache/x.bls".into()), ..given() };
        let plan = planned(config(serde_json::json!({})), &Asked::default(), &given).unwrap();
        assert_eq!(plan.words[3..6], ["--argv0=app.bls", "--", "/etc/bls/app.bls"]);
        assert_eq!(plan.mounts[3].source.as_deref(), Some("/cache/x.bls"));
    }
}
