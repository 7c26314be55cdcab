//! The command line, and the order of what is done.
//!
//! Only this module prints and ends the process; most often the process becomes the real runtime.

use crate::annotations::Asked;
use crate::bundle::Bundle;
use crate::command::Command;
use crate::entry::{self, Entry, Kind};
use crate::inside::Inside;
use crate::node::{Node, Others};
use crate::plan::{Given, Plan, plan};
use crate::refusal::{Defect, Refusal};
use crate::{module, runtime, verify};
use bls_artifact::quantity::show_size;
use bls_artifact::text::printable_json;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

/// Exit code of a refusal, as the loader has it.
const REFUSED: u8 = 125;
/// Exit code of a command line that is none.
const USAGE: u8 = 2;

const HELP: &str = "\
Run artifacts as containers: an OCI runtime before the node's own.

Usage: bls-oci [--bls-config <FILE>] <ANYTHING OF RUNC OR CRUN>
       bls-oci explain [--bundle <DIR>]
       bls-oci --help | --version

Engines call it in the place of runc: containerd by BinaryName, Docker and
Podman by --runtime. A bundle whose entry point is an artifact (or bls-load of
an image, with an artifact) gets this node's own bls-load, trust file and
policy; mounts, variables, the memory limit and annotations become grants and
limits. All else goes to runc or crun as it came.

  explain  says what would become of a bundle, as JSON; changes nothing
      --bundle <DIR>     [default: the folder that it is called in]
      --bls-config <FILE>
                         [default: /etc/bls/oci.json, where it exists]

Annotations: bls.dev/ and fuel, timeout, max-memory, max-stack, max-output,
  max-descriptors, policy, digest, deny, dir, dir-ro, only-declared,
  require-fuel, require-deterministic, require-sandbox, require-control-flow,
  deterministic, seed, explain; allow-net, deny-net, listen

Exit codes: those of the real runtime; 125 refused, 2 usage. A container's own
  are bls-load's.
Example:
  ctr run --runc-binary /usr/local/bin/bls-oci localhost/app:latest app-1
";

/// The program.
#[must_use]
pub fn main() -> ExitCode {
    let command = Command::parse(std::env::args_os().skip(1).collect());
    match run(&command) {
        Ok(code) => code,
        Err(refusal) => {
            refusal.say(&command.log);
            ExitCode::from(if refusal.defect == Defect::Usage { USAGE } else { REFUSED })
        }
    }
}

fn run(command: &Command) -> Result<ExitCode, Refusal> {
    let only = |word: &str| command.words.len() == 1 && command.words[0] == word;
    if command.words.is_empty() {
        let hint = "bls-oci --help";
        return Err(Refusal::new(Defect::Usage, "a command is wanted, as runc has them", hint));
    }
    if only("--help") || only("-h") || only("help") {
        return print(HELP);
    }
    let node = Node::load(command.node.as_deref())?;
    if command.name.as_deref() == Some("explain") {
        return explain(command, &node);
    }
    let runtime = runtime::find(&node)?;
    if only("--version") || only("-v") {
        return version(&runtime);
    }
    if command.makes_a_container() {
        let bundle = Bundle::open(&command.bundle(), command.config.as_deref())?;
        if let (Some(bundle), Some(plan)) = (&bundle, planned(bundle.as_ref(), &node)?) {
            bundle.replace(&bundle.changed(&plan.words, &plan.mounts)?)?;
        }
    }
    Err(runtime::become_it(&runtime, &command.words))
}

/// What becomes of a bundle; `None` where it is handed on as it is.
fn planned(bundle: Option<&Bundle>, node: &Node) -> Result<Option<Plan>, Refusal> {
    let inside = bundle.and_then(Inside::open);
    let found = match (bundle, &inside) {
        (Some(bundle), Some(inside)) => entry::find(bundle, inside)?,
        _ => None,
    };
    match (bundle, &inside, found) {
        (Some(bundle), Some(inside), Some(entry)) => {
            prepared(bundle, inside, &entry, node).map(Some)
        }
        _ if node.others == Others::Refuse => {
            let what =
                "the container's entry point is no artifact, and this node runs nothing else";
            let hint = r#"make an image of one: bls-compile image app.bls; root allows others: {"version": 1, "others": "run"}"#;
            Err(Refusal::new(Defect::Other, what, hint))
        }
        _ => Ok(None),
    }
}

fn prepared(
    bundle: &Bundle,
    inside: &Inside<'_>,
    entry: &Entry,
    node: &Node,
) -> Result<Plan, Refusal> {
    inside.check_place()?;
    let none = Default::default();
    let asked = Asked::read(bundle.spec.annotations.as_ref().unwrap_or(&none), node.network)?;
    let mut given = Given {
        loader: node.loader()?,
        trust: node.trust()?,
        policy: node.policy()?,
        named: asked.policy.as_deref().map(|name| node.policy_named(name)).transpose()?,
        broker: asked.network.then(|| node.broker()).transpose()?,
        artifact: None,
        code_bytes: 0,
    };
    let limit = bundle.spec.memory();
    let verified = |file: &std::fs::File| -> Result<u64, Refusal> {
        fits(file, limit)?;
        verify::verify(&given.loader, node.named_trust(), file, &entry.path)?;
        Ok(verify::code_bytes(file))
    };
    if entry.kind == Kind::Artifact {
        given.code_bytes = verified(&entry.file)?;
        return plan(bundle, inside, entry, &asked, &given);
    }
    let Some(compile) = &node.compile else {
        let what = format!("{} is a WebAssembly module, and this node compiles none", entry.path);
        let hint =
            "make an image of its artifact: bls-compile app.wasm && bls-compile image app.bls";
        return Err(Refusal::new(Defect::Module, what, hint));
    };
    let compiler = node.compiler(compile)?;
    let made = |again: bool| -> Result<_, Refusal> {
        let path = module::artifact(&entry.file, &entry.path, compile, &compiler, again)?;
        let file = open(&path)?;
        let code_bytes = verified(&file)?;
        Ok((path, code_bytes))
    };
    // What was kept may be of another key, or of another release of the compiler.
    let (path, code_bytes) = match made(false) {
        Err(Refusal { defect: Defect::Artifact(_), .. }) => made(true)?,
        made => made?,
    };
    given.artifact = Some(path);
    given.code_bytes = code_bytes;
    plan(bundle, inside, entry, &asked, &given)
}

fn open(path: &Path) -> Result<std::fs::File, Refusal> {
    std::fs::File::open(path).map_err(|error| {
        let what = format!("cannot read {}: {error}", path.display());
        Refusal::new(Defect::Module, what, "try again")
    })
}

/// Refuses an artifact for which the container has no memory.
fn fits(file: &std::fs::File, limit: Option<u64>) -> Result<(), Refusal> {
    let length = file.metadata().map(|status| status.len()).unwrap_or_default();
    match limit {
        Some(limit) if length > limit => {
            let what = format!(
                "the artifact has {}, and the container's memory limit is {}",
                show_size(length),
                show_size(limit)
            );
            Err(Refusal::new(Defect::Memory, what, "allow the container more memory"))
        }
        _ => Ok(()),
    }
}

/// Says what would become of a bundle.
fn explain(command: &Command, node: &Node) -> Result<ExitCode, Refusal> {
    let folder = command.bundle();
    let bundle = Bundle::open(&folder, command.config.as_deref())?;
    if bundle.is_none() {
        let what = format!("{} is no bundle that can be read", folder.display());
        return Err(Refusal::new(Defect::Usage, what, "name one: bls-oci explain --bundle DIR"));
    }
    let plan = planned(bundle.as_ref(), node)?;
    let said = match &plan {
        Some(plan) => serde_json::json!({ "args": plan.words, "mounts": plan.mounts }),
        None => serde_json::json!({ "unchanged": true }),
    };
    print(&format!("{}\n", printable_json(&format!("{said:#}"))))
}

/// Says the versions of both: the real one's first, which engines read.
fn version(runtime: &Path) -> Result<ExitCode, Refusal> {
    let status = std::process::Command::new(runtime).arg("--version").status();
    let own = format!("bls-oci {} before {}\n", env!("CARGO_PKG_VERSION"), runtime.display());
    match status {
        Ok(status) if status.success() => print(&own),
        _ => Err(Refusal::new(
            Defect::Runtime,
            format!("{} --version fails", runtime.display()),
            "see that it is a program of this machine",
        )),
    }
}

/// Prints on standard output; a reader that has gone is no failure.
fn print(text: &str) -> Result<ExitCode, Refusal> {
    let _ = std::io::stdout().write_all(text.as_bytes());
    Ok(ExitCode::SUCCESS)
}
