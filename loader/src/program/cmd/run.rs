//! `bls-load ARTIFACT`: the whole story, from a path to an exit code.
//!
//! Guarantees that every end goes through the one claim in [`Recorder`], and that
//! the order of the stages is the one the types allow: policy, open, verify,
//! grant, map, link, broker, confine, run.

use super::Named;
use crate::built::{self, NotBuilt};
use crate::clock::clock;
use crate::confine::{self, Beside, Sandbox};
use crate::error::{Cause, Failure, printable};
use crate::grant::Granted;
use crate::host::Accounting;
use crate::link::{Linked, value};
use crate::map::{Guests, map_for};
use crate::outside::{Broker, beside};
use crate::policy::{self, Rules, RunLimits};
use crate::program::account::Accountant;
use crate::program::cli::{Artifact, Input, Options, ReportTarget};
use crate::program::coredump::Coredump;
use crate::program::debug_file::DebugFile;
use crate::program::explain::{Stage, Stages, passed_over};
use crate::program::jitdump;
use crate::program::log;
use crate::program::manner::Manner;
use crate::program::module::ModuleError;
use crate::program::perf_map;
use crate::program::profile::Sink;
use crate::program::pull;
use crate::program::report::{Recorder, trusts};
use crate::program::say;
use crate::program::stdin::redirect;
use crate::program::streams;
use crate::program::watch::{self, Watcher};
use crate::run::outcome::Outcome;
use crate::sys::signal::Thread;
use crate::verify::{Criteria, Facts, Integrity};
use crate::{grant, link, run, sys};
use bls_artifact::cpu;
use bls_artifact::host_table::function;
use bls_artifact::manifest::Encoding;
use bls_artifact::policy::{Log, Requirement};
use bls_artifact::quantity::show_size;
use std::os::fd::RawFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use wasmtime::Val;

/// Stack that the loader and the host functions need beside the guest's, in
/// bytes.
const STACK_RESERVE: u64 = 512 << 10;

/// Runs an artifact and leaves with its exit code. Gives a failure only from
/// before there was a run.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    keep_what_is_read(options)?;
    let recorder = Recorder::open(options.report.as_ref(), options.request.determinism.is_some())?;
    // One that cannot be written is no reason not to run.
    let log = options.root.as_deref().zip(options.log.as_deref());
    let log = log.and_then(|(root, name)| streams::below(root, name).ok());
    let recorder = Arc::new(recorder.speaking(options.manner, log));
    watch::report_panics(Arc::clone(&recorder));
    let outcome = prepared(options, &recorder).unwrap_or_else(Outcome::Failed);
    if !recorder.claim(recorder.code(&outcome)) {
        // The watcher ends the process any moment now.
        loop {
            std::thread::park();
        }
    }
    watch::end(&recorder, outcome, None)
}

/// Refuses a report, a profile or a log that would take the place of a file that is read.
fn keep_what_is_read(options: &Options) -> Result<(), Failure> {
    let report = match &options.report {
        Some(ReportTarget::File(path)) => Some(path),
        _ => None,
    };
    let profile = options.fuel_profile.as_ref().and_then(Option::as_ref);
    let metrics = match &options.account.metrics {
        Some(ReportTarget::File(path)) => Some(path),
        _ => None,
    };
    let receipt = options.account.receipt.as_ref();
    let log = match &options.log_run {
        Some(Log::File(path)) => Some(PathBuf::from(path)),
        _ => None,
    };
    let written = [report, profile, metrics, receipt, log.as_ref(), options.coredump.as_ref()];
    let artifact = match &options.artifact {
        Artifact::File(path) | Artifact::Executed(path, _) => Some(path),
        Artifact::Installed(_) | Artifact::Registry(_) => None,
    };
    let stdin = match &options.stdin {
        Input::File(path) => Some(path),
        _ => None,
    };
    let (key, debug) = (options.account.receipt_key.as_ref(), options.debug_file.as_ref());
    let read = [artifact, options.trust.as_ref(), options.policy.as_ref(), stdin, key, debug];
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
                cause: Cause::Refused,
            });
        }
    }
    Ok(())
}

/// What must be known before anything is opened: how long, and on which stack.
fn prepared(options: &Options, recorder: &Arc<Recorder>) -> Result<Outcome, Failure> {
    sys::allocator::share_one_heap();
    let mut stages = Stages::new(recorder, options.explain);
    let rules = policy::load(options.policy.as_deref());
    let mut logs = rules.as_ref().map_or_else(|_| Vec::new(), Rules::logs);
    if let Some(log) = &options.log_run {
        logs.push((log, options.log_level.unwrap_or_default()));
    }
    recorder.log_to(log::open(&logs)?);
    let rules = rules?;
    rules.check_clock(options.clock_unset)?;
    let limits = rules.limits(&options.request.limits)?;
    stages.done(Stage::Policy, || explain_rules(&rules));
    keep_account(options, &rules, recorder)?;
    let watcher = match limits.timeout.is_some() || recorder.is_on() {
        true => Some(watch::start(Arc::clone(recorder), limits.timeout)?),
        false => None,
    };
    on_enough_stack(limits.stack, || {
        pipeline(options, &rules, &limits, (recorder, watcher), &mut stages)
            .unwrap_or_else(Outcome::Failed)
    })
}

/// Starts who keeps the account of this run, where one is asked for.
fn keep_account(options: &Options, rules: &Rules, recorder: &Recorder) -> Result<(), Failure> {
    if !built::NODE {
        return match options.account.is_any() || rules.accounts().next().is_some() {
            true => Err(NotBuilt::Node.into()),
            false => Ok(()),
        };
    }
    rules.check_account_by(options.account.program.as_deref())?;
    let account = Accountant::start(&options.account, rules)?;
    account.into_iter().for_each(|account| recorder.account_by(account));
    Ok(())
}

/// What is kept of a guest for its account.
fn accounting(options: &Options, rules: &Rules) -> Option<Accounting> {
    let has_receipt = options.account.receipt.is_some()
        || rules.accounts().any(|account| account.receipts.is_some());
    match has_receipt {
        true => Some(Accounting::CallsAndStreams),
        false if options.account.is_any() || rules.accounts().next().is_some() => {
            Some(Accounting::Calls)
        }
        false => None,
    }
}

fn pipeline(
    options: &Options,
    rules: &Rules,
    limits: &RunLimits,
    (shared, watcher): (&Arc<Recorder>, Option<Watcher>),
    stages: &mut Stages<'_>,
) -> Result<Outcome, Failure> {
    let recorder = stages.recorder();

    let installed = match &options.artifact {
        Artifact::Registry(reference) if built::STORE => {
            Some(Artifact::Installed(pull::install(reference, options)?))
        }
        _ => None,
    };
    let artifact = installed.as_ref().unwrap_or(&options.artifact);
    let named = Named::open(artifact, options, stages)?;
    let trusted = super::trusted_for(&named, options)?;
    let stores = super::stores(options.store.as_deref())?;
    let criteria = Criteria {
        digest: options.digest,
        clock: clock(options.clock_unset),
        stores: Some(&stores),
        ..Criteria::of(&trusted.trust)
    };
    let verified = super::verified(named, &stores, &criteria, stages)?;
    let asked = limits.timeout;
    let limits = &limits.within(&verified.facts().manifest.limits);
    recorder.artifact(verified.facts(), limits);
    let deadline = limits.timeout.filter(|_| limits.timeout != asked);
    let deadline = deadline.map(|time| watch::end_after(Arc::clone(shared), time)).transpose()?;
    if options.source.is_some_and(|source| source != verified.facts().manifest.source) {
        return Err(ModuleError::OtherSource(verified.facts().name.clone()).into());
    }
    stages.done(Stage::Verify, || explain_verified(verified.facts(), &trusted.path));

    let profile = Sink::open(options, verified.facts())?;
    let debug = match &options.debug_file {
        Some(path) if built::DEBUG => Some(DebugFile::read(path, verified.facts())?),
        _ => None,
    };
    let mut granted = grant::grant(&options.request, rules, limits, verified.facts())?;
    redirect(&options.stdin)?;
    streams::redirect(&options.outputs, options.root.as_deref())?;
    granted.grants.accounting = accounting(options, rules);
    recorder.granted(&granted, options.request.determinism);
    recorder.log_withheld(&granted)?;
    if granted.grants.accounting == Some(Accounting::CallsAndStreams) {
        recorder.given(&granted, rules);
    }
    let is_own = options.manner == Manner::Own;
    if is_own && let Some(notice) = granted.notice(&printable(&verified.facts().name)) {
        say(&notice);
    }
    stages.done(Stage::Grant, || explain_granted(&granted, options));

    let guests = Guests {
        stack: limits.stack,
        memory: limits.memory,
        // Of what is mapped from a file perf looks for names in the file.
        in_own_memory: options.perf_map || options.jitdump.is_some(),
        ..Guests::default()
    };
    let mapped = map_for(verified, &guests)?;
    stages.done(Stage::Map, || {
        let image = match mapped.facts().integrity {
            Integrity::Copy(_) => "sealed image",
            Integrity::PrivateCopy(_) => "private copy of the image",
            Integrity::Store => "stored image",
        };
        format!("{image} mapped, no page writable and executable")
    });

    link::check_budget(mapped.facts(), limits.fuel)?;
    let entry = link::entry(&mapped, &options.request)?;
    link::give_typed_call(&mapped, &options.request, &mut granted.grants.args);
    let linked = link::link(mapped, &|_, _, _| Ok(None), options.request.unknown_imports)?;
    recorder.linked(&linked, limits.fuel);
    stages.done(Stage::Link, || {
        let imports = linked.mapped().module().imports().len();
        let unknown = linked.unknown_imports().len();
        format!("{imports} imports, {unknown} of them trap when called")
    });

    // Neither is of use any more, and both hold descriptors.
    drop((stores, trusted));
    let broker = start_broker(&linked, &mut granted)?;
    if let Some((program, _)) = &broker {
        recorder.broker(program);
        let program = program.display();
        stages.done(Stage::Broker, || format!("{program} answers for what it asks"));
    }
    recorder.log_run(linked.mapped().facts())?;
    recorder.begin()?;
    if let Some(profile) = &profile {
        profile.begin()?;
    }
    if built::DEBUG && options.perf_map {
        perf_map::write(linked.mapped().module())?;
    }
    if built::DEBUG
        && let Some(folder) = &options.jitdump
    {
        let lines = jitdump::lines(debug.as_ref())?;
        jitdump::write(linked.mapped().module(), &lines, folder)?;
    }
    let coredump = match &options.coredump {
        Some(path) if built::DEBUG => Some(Coredump::open(path)?),
        _ => None,
    };
    let mut descriptors = recorder.descriptors();
    descriptors.extend(coredump.as_ref().map(Coredump::descriptor));
    descriptors.extend(profile.as_ref().map(Sink::descriptors).unwrap_or_default());
    descriptors.extend(broker.map(|(_, descriptor)| descriptor));
    let beside = Beside {
        descriptors,
        threads: other_threads([watcher, deadline]),
        prints: is_own && !entry.results.is_empty(),
    };
    let demanded = rules.requires(Requirement::Sandbox)
        || options.request.require.contains(&Requirement::Sandbox);
    let name = linked.mapped().facts().manifest.name.clone();
    let confined = confine::confine(linked, granted.grants, limits, &beside, demanded)?;
    recorder.confined(confined.sandbox());
    stages.done(Stage::Confine, || explain_confined(confined.sandbox()));

    let observed = Arc::default();
    recorder.guest_begins(&observed);
    let mut dumped = Ok(());
    let ended = run::run(confined, limits, &entry, &observed, |ended, guest| {
        if built::DEBUG
            && let Some(debug) = &debug
        {
            debug.fill_in(&mut ended.outcome);
        }
        if built::DEBUG
            && let (Some(coredump), Outcome::Trapped(trap)) = (&coredump, &ended.outcome)
        {
            dumped = coredump.write(&name, trap, guest);
        }
        // By rule nothing is said that depends on the machine.
        if options.request.determinism.is_some()
            && let Outcome::Trapped(trap) = &mut ended.outcome
        {
            trap.forget_places();
        }
    });
    // Results are the guest's output: printed when the run ended well, and before
    // the outcome is final.
    let printed = if is_own { print(&ended.results) } else { Ok(()) };
    stages.done(Stage::Run, || "the guest ended".into());
    recorder.ended(&ended);
    if let Err(error) = dumped {
        say(&Failure::from(error));
    }
    if let Some((profile, found)) = profile.zip(ended.fuel_profile.as_ref()) {
        profile.write(found)?;
    }
    Ok(printed.err().map_or(ended.outcome, Outcome::Failed))
}

/// Starts a broker, where something that the guest imports asks for what was granted: which, and
/// the descriptor over which it is asked.
fn start_broker(
    linked: &Linked,
    granted: &mut Granted,
) -> Result<Option<(PathBuf, RawFd)>, Failure> {
    if !built::NETWORK {
        return Ok(None);
    }
    let asking = &granted.asking;
    let imports = linked.mapped().module().imports();
    let functions = imports.filter_map(|import| function(import.module(), import.name()));
    if !asking.is_for(functions) {
        return Ok(None);
    }
    let program = asking.program.clone().map_or_else(beside, Ok)?;
    let mut broker = Broker::start(&program, &asking.setup)?;
    // It ends when this process does, which waits for nobody behind the wall.
    broker.detach();
    let descriptor = broker.descriptor();
    granted.grants.reach.outside = Some(Box::new(broker));
    Ok(Some((program, descriptor)))
}

/// The threads of this process but for this one.
fn other_threads(watchers: [Option<Watcher>; 2]) -> Vec<Thread> {
    // The first has the number of the process, and waits where the guest has another stack.
    let first = Some(Thread::first()).filter(|first| *first != Thread::current());
    first.into_iter().chain(watchers.iter().flatten().map(Watcher::thread)).collect()
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
            .spawn_scoped(scope, || {
                sys::crash::stack_for_this_thread();
                work()
            })
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

fn explain_integrity(integrity: Integrity) -> String {
    let trusts = trusts(integrity);
    match integrity {
        Integrity::Store => format!("store: trusts {trusts}"),
        Integrity::Copy(None) | Integrity::PrivateCopy(None) => format!("copy: trusts {trusts}"),
        Integrity::Copy(Some(why)) | Integrity::PrivateCopy(Some(why)) => {
            format!("copy, not store, because {why}: trusts {trusts}")
        }
    }
}

fn explain_verified(facts: &Facts, trust_file: &Path) -> String {
    let part = facts.part();
    let stored = match part.stored.encoding {
        Encoding::Raw => "raw",
        Encoding::Sparse => "sparse",
        Encoding::Zstd => "zstd",
    };
    let keys: Vec<String> = facts.key_ids.iter().map(ToString::to_string).collect();
    let cpu = match cpu::shown(part.target, &part.cpu_features) {
        cpu if cpu.is_empty() => cpu,
        cpu => format!("{cpu}, "),
    };
    format!(
        "signed by {} (trusted by {}), identity {}, part {} for {} ({cpu}{} of {stored} code){}, \
         integrity mode {}",
        keys.join(", "),
        trust_file.display(),
        facts.identity,
        facts.chosen,
        part.target,
        show_size(part.image.length),
        passed_over(facts),
        explain_integrity(facts.integrity),
    )
}

fn explain_rules(rules: &Rules) -> String {
    let paths: Vec<String> = rules.paths().map(|path| path.display().to_string()).collect();
    if paths.is_empty() { "none".into() } else { format!("by {}", paths.join(" and ")) }
}

fn explain_confined(sandbox: &Sandbox) -> String {
    let stands: Vec<&str> = sandbox.stands().map(confine::Piece::name).collect();
    let mut text = format!("given up: {}", stands.join(", "));
    if let Some(abi) = sandbox.landlock_abi {
        text += &format!(" (ABI {abi} of Landlock)");
    }
    for (piece, error) in sandbox.missing() {
        text += &format!("; not {} ({error})", piece.name());
    }
    text
}

fn explain_granted(granted: &Granted, options: &Options) -> String {
    // A folder's name is whatever somebody called it.
    let mut text = printable(&granted.shown().join(", "));
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
