//! `bls-load ARTIFACT`: the whole story, from a path to an exit code.
//!
//! Guarantees that every end goes through the one claim in [`Recorder`], and that
//! the order of the stages is the one the types allow: policy, open, verify,
//! grant, map, link, run.

use super::Named;
use crate::clock::clock;
use crate::error::{Cause, Failure, printable};
use crate::grant::Granted;
use crate::link::Linked;
use crate::link::value;
use crate::map::{Guests, map_for};
use crate::policy::{self, Limits, Rules};
use crate::program::cli::{Artifact, Input, Options, ReportTarget};
use crate::program::explain::Stages;
use crate::program::profile::Sink;
use crate::program::report::Recorder;
use crate::program::say;
use crate::program::stdin::redirect;
use crate::program::watch;
use crate::run::outcome::Outcome;
use crate::run::{Burned, Consumption};
use crate::store::Stores;
use crate::verify::{Facts, Integrity, Policy};
use crate::{grant, link, run, sys};
use bls_artifact::manifest::Encoding;
use bls_artifact::quantity::show_size;
use serde_json::json;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use wasmtime::Val;

/// Stack that the loader and the host functions need beside the guest's, in
/// bytes.
const STACK_RESERVE: u64 = 512 << 10;

/// Runs an artifact and leaves with its exit code. Gives a failure only from
/// before there was a run.
pub(super) fn run(options: &Options) -> Result<(), Failure> {
    keep_what_is_read(options)?;
    let recorder =
        Arc::new(Recorder::open(options.report.as_ref(), options.request.determinism.is_some())?);
    watch::report_panics(Arc::clone(&recorder));
    let outcome = prepared(options, &recorder).unwrap_or_else(Outcome::Failed);
    if !recorder.claim(outcome.exit_code()) {
        // The watcher ends the process any moment now.
        loop {
            std::thread::park();
        }
    }
    watch::end(&recorder, outcome, None)
}

/// Refuses a report or a profile that would take the place of a file that is read.
fn keep_what_is_read(options: &Options) -> Result<(), Failure> {
    let report = match &options.report {
        Some(ReportTarget::File(path)) => Some(path),
        _ => None,
    };
    let written = [report, options.fuel_profile.as_ref().and_then(Option::as_ref)];
    let artifact = match &options.artifact {
        Artifact::File(path) => Some(path),
        Artifact::Installed(_) => None,
    };
    let stdin = match &options.stdin {
        Input::File(path) => Some(path),
        _ => None,
    };
    let read = [artifact, options.trust.as_ref(), options.policy.as_ref(), stdin];
    for written in written.into_iter().flatten() {
        let Ok(target) = std::fs::metadata(written) else { continue };
        // A terminal or a pipe may well be both.
        let is_same = |path: &PathBuf| {
            std::fs::metadata(path).is_ok_and(|file| {
                file.is_file() && (file.dev(), file.ino()) == (target.dev(), target.ino())
            })
        };
        if let Some(path) = read.into_iter().flatten().find(|path| is_same(path)) {
            return Err(Failure {
                stage: "usage",
                code: "usage.same-file",
                what: format!("what this run writes would replace {}", path.display()),
                hint: Some("name another file for it".into()),
                cause: Cause::Failed,
            });
        }
    }
    Ok(())
}

/// What must be known before anything is opened: how long, and on which stack.
fn prepared(options: &Options, recorder: &Arc<Recorder>) -> Result<Outcome, Failure> {
    sys::allocator::share_one_heap();
    let mut stages = Stages::new(recorder, options.explain);
    let rules = policy::load(options.policy.as_deref(), &options.request.require)?;
    rules.check_clock(options.clock_unset)?;
    let limits = rules.limits(&options.request.limits)?;
    stages.done("policy", || explain_rules(&rules));
    if limits.timeout.is_some() || options.report.is_some() {
        watch::start(Arc::clone(recorder), limits.timeout)?;
    }
    on_enough_stack(limits.stack, || {
        pipeline(options, &rules, &limits, &mut stages).unwrap_or_else(Outcome::Failed)
    })
}

fn pipeline(
    options: &Options,
    rules: &Rules,
    limits: &Limits,
    stages: &mut Stages<'_>,
) -> Result<Outcome, Failure> {
    let recorder = stages.recorder();

    let named = Named::open(&options.artifact, stages)?;
    let trusted = super::trusted_for(&named, options)?;
    let stores = Stores::open(options.store.as_deref())?;
    let policy = Policy {
        digest: options.digest,
        clock: clock(options.clock_unset),
        stores: Some(&stores),
        ..Policy::of(&trusted.trust)
    };
    let verified = super::verified(named, &stores, &policy, stages)?;
    note_artifact(recorder, verified.facts(), limits);
    stages.done("verify", || explain_verified(verified.facts(), &trusted.path));

    let profile = Sink::open(options, verified.facts())?;
    let granted = grant::grant(&options.request, rules, limits, verified.facts())?;
    redirect(&options.stdin)?;
    note_granted(recorder, &granted, options);
    if let Some(notice) = granted.notice(&printable(&verified.facts().name)) {
        say(&notice);
    }
    stages.done("grant", || explain_granted(&granted, options));

    let guests = Guests { stack: limits.stack, memory: limits.memory, ..Guests::default() };
    let mapped = map_for(verified, &guests)?;
    stages.done("map", || {
        let image = match mapped.facts().integrity {
            Integrity::Copy(_) => "sealed image",
            Integrity::PrivateCopy(_) => "private copy of the image",
            Integrity::Store => "stored image",
        };
        format!("{image} mapped, no page writable and executable")
    });

    link::check_budget(mapped.facts(), limits.fuel)?;
    let entry = link::entry(&mapped, &options.request)?;
    let linked = link::link(mapped, &|_, _, _| Ok(None), options.request.unknown_imports)?;
    note_linked(recorder, &linked, limits);
    stages.done("link", || {
        let imports = linked.mapped().module().imports().len();
        let unknown = linked.unknown_imports().len();
        format!("{imports} imports, {unknown} of them trap when called")
    });

    recorder.guest_begins();
    let ended = run::run(linked, granted.grants, limits, &entry, true);
    // Results are the guest's output: printed when the run ended well, and before
    // the outcome is final.
    let printed = print(&ended.results);
    stages.done("run", || "the guest ended".into());
    if let Some(consumption) = ended.consumption {
        recorder.set("fuel", || consumption.to_json());
    }
    if let Some(found) = &ended.fuel_profile {
        recorder.set("fuel_profile", || found.to_json());
        if let Some(profile) = profile {
            profile.write(found)?;
        }
    }
    recorder.set("peak_memory_bytes", || json!({ "guest": ended.memory_peak }));
    recorder.set("limits_met", || json!(ended.limits_met));
    if !ended.results.is_empty() {
        recorder.set("results", || ended.results.iter().map(value::to_json).collect());
    }
    Ok(printed.err().map_or(ended.outcome, Outcome::Failed))
}

/// Prints results, one a line.
fn print(values: &[Val]) -> Result<(), Failure> {
    use std::io::Write as _;
    if values.is_empty() {
        return Ok(());
    }
    let text: String = values.iter().map(|value| value::show(value) + "\n").collect();
    let mut output = std::io::stdout();
    output.write_all(text.as_bytes()).and_then(|()| output.flush()).map_err(|error| Failure {
        stage: "run",
        code: "run.results",
        what: format!("cannot print the results: {error}"),
        hint: Some("see where standard output goes, and that there is room".into()),
        cause: Cause::Failed,
    })
}

/// Does `work` where the guest's stack fits: on this thread, or where the system
/// gives it too little, or has filled too much of it with arguments and variables, on one
/// of our own.
fn on_enough_stack<T: Send>(
    stack_max: usize,
    work: impl FnOnce() -> T + Send,
) -> Result<T, Failure> {
    let needed = stack_max as u64 + STACK_RESERVE;
    let limit = rustix::process::getrlimit(rustix::process::Resource::Stack);
    let used = sys::stack::used_bytes();
    if limit.current.is_none_or(|bytes| bytes.saturating_sub(used) >= needed) {
        return Ok(work());
    }
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new()
            .stack_size(needed as usize)
            .spawn_scoped(scope, work)
            .map_err(|error| Failure {
                stage: "run",
                code: "run.stack",
                what: format!("the system gives no stack of {needed} bytes: {error}"),
                hint: Some(
                    "ask for less with --max-stack, or allow more: ulimit -s, ulimit -v".into(),
                ),
                cause: Cause::Failed,
            })?;
        // A panic does not get here: its hook ends the process.
        Ok(thread.join().expect("the panic hook leaves"))
    })
}

/// What the report says about the artifact, from the moment it is trusted.
fn note_artifact(recorder: &Recorder, facts: &Facts, limits: &Limits) {
    let manifest = &facts.manifest;
    recorder.set("artifact", || {
        json!({
            "name": manifest.name,
            "identity": facts.identity.to_string(),
            "file_sha256": facts.file_digest.map(|digest| digest.to_string()),
            "source_sha256": manifest.source.to_string(),
            "target": facts.part().target.triple(),
            "key_ids": facts.key_ids.iter().map(ToString::to_string).collect::<Vec<_>>(),
        })
    });
    recorder.set("integrity", || match facts.integrity {
        Integrity::Copy(why) => json!({
            "mode": "copy", "trusts": COPY_TRUSTS, "why": why.map(|why| why.to_string()),
        }),
        Integrity::PrivateCopy(why) => json!({
            "mode": "copy", "trusts": PRIVATE_COPY_TRUSTS, "why": why.map(|why| why.to_string()),
        }),
        Integrity::Store => json!({ "mode": "store", "trusts": STORE_TRUSTS }),
    });
    recorder.set("limits", || {
        json!({
            "fuel": limits.fuel,
            "timeout_ms": limits.timeout.map(|time| time.as_millis() as u64),
            "memory_bytes": limits.memory.min(manifest.limits.memory.unwrap_or(u64::MAX)),
            "stack_bytes": limits.stack,
            "output_bytes": limits.output,
            "descriptors": limits.descriptors,
        })
    });
    recorder.set("fuel", || match &manifest.fuel {
        None => json!({ "metered": false }),
        // Until the guest ends: nothing is known to have been burned.
        Some(_) => Consumption { budget: limits.fuel, burned: Burned::AtLeast(0) }.to_json(),
    });
    recorder.set("limits_met", || json!([]));
    recorder.set("unknown_imports", || json!([]));
}

/// What the report says about what the guest gets.
fn note_granted(recorder: &Recorder, granted: &Granted, options: &Options) {
    recorder.set("granted", || {
        granted.permissions.iter().map(|permission| json!(permission)).collect()
    });
    if let Some(start) = options.request.determinism {
        recorder
            .set("deterministic", || json!({ "seed": start.seed, "epoch": start.epoch_seconds }));
    }
}

/// What the report says about linking, before the guest starts.
fn note_linked(recorder: &Recorder, linked: &Linked, limits: &Limits) {
    recorder.set("unknown_imports", || json!(linked.unknown_imports()));
    if let Some(metering) = &linked.mapped().facts().manifest.fuel {
        // Instantiation is charged before it happens.
        let burned = Burned::AtLeast(metering.instantiation);
        recorder.set("fuel", || Consumption { budget: limits.fuel, burned }.to_json());
    }
}

/// What the copy mode relies on.
const COPY_TRUSTS: &str = "SHA-256 and the kernel's seals on the copy; nothing about the file";
/// What it relies on where the system gives no memory that can be sealed.
const PRIVATE_COPY_TRUSTS: &str = "SHA-256 and that nobody writes this process's own memory, for \
     the system gives no memory file (memfd_create, ulimit -f); nothing about the file";
/// What the store mode relies on.
const STORE_TRUSTS: &str =
    "root, who installed it and alone can write it; its code was hashed then, not now";

fn explain_integrity(integrity: Integrity) -> String {
    let (why, trusts) = match integrity {
        Integrity::Copy(why) => (why, COPY_TRUSTS),
        Integrity::PrivateCopy(why) => (why, PRIVATE_COPY_TRUSTS),
        Integrity::Store => return format!("store: trusts {STORE_TRUSTS}"),
    };
    match why {
        None => format!("copy: trusts {trusts}"),
        Some(why) => format!("copy, not store, because {why}: trusts {trusts}"),
    }
}

fn explain_verified(facts: &Facts, trust_file: &Path) -> String {
    let part = facts.part();
    let stored = match part.stored.encoding {
        Encoding::Raw => "raw",
        Encoding::Zstd => "zstd",
    };
    let keys: Vec<String> = facts.key_ids.iter().map(ToString::to_string).collect();
    format!(
        "signed by {} (trusted by {}), identity {}, part {} for {} ({} of {stored} code), \
         integrity mode {}",
        keys.join(", "),
        trust_file.display(),
        facts.identity,
        facts.chosen,
        part.target,
        show_size(part.image.length),
        explain_integrity(facts.integrity),
    )
}

fn explain_rules(rules: &Rules) -> String {
    let paths: Vec<String> = rules.paths().map(|path| path.display().to_string()).collect();
    if paths.is_empty() { "none".into() } else { format!("by {}", paths.join(" and ")) }
}

fn explain_granted(granted: &Granted, options: &Options) -> String {
    // A folder's name is whatever somebody called it.
    let mut text = printable(&granted.permissions.join(", "));
    if text.is_empty() {
        text += "nothing";
    }
    for capability in &granted.grants.withheld {
        text += &format!(", no {capability}");
    }
    if let Some(start) = options.request.determinism {
        text +=
            &format!("; deterministic from seed {} and epoch {}", start.seed, start.epoch_seconds);
    }
    text
}
