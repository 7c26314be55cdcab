//! `bls-compile INPUT`: read, build, write, say so. `link` does the same with several modules of
//! one program, and `many` with several programs.

use super::cpu::{self, machines};
use super::obtain::{How, Kept, Obtained, Wish, obtain, without};
use super::{Failure, many, print_json};
use crate::child::{Allowance, Child, Job};
use crate::compile::effort::Effort;
use crate::documents;
use crate::input::{Given, STDIN, Source, is_component};
use crate::needs;
use crate::pipeline::{Options, Stage};
use crate::program::cache::{BYTES_MAX, Cache, Folder, Server, is_server};
use crate::program::cli::{Build, Compile, Emit, With};
use crate::program::keystore;
use crate::program::modules::{self, Inputs, ModulesError};
use crate::program::output::{Destination, OutputError};
use crate::program::progress::Progress;
use bls_artifact::artifact::MAGIC;
use bls_artifact::date::Date;
use bls_artifact::digest::Sha256;
use bls_artifact::key::PublicKey;
use bls_artifact::manifest::Part;
use bls_artifact::quantity::show_size;
use bls_artifact::target::Nans;
use bls_artifact::text::printable;
use serde_json::{Value, json};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime};

/// A clock that stands before 2026 was never set: it judges nothing.
const CLOCK_MIN: u64 = 1_767_225_600;

/// `bls-compile INPUT`
pub(super) fn run(arguments: &Compile) -> Result<(), Failure> {
    if arguments.build.cpu.as_deref() == Some(cpu::LIST) {
        return cpu::list(arguments.build.json);
    }
    if many::is_many(arguments) {
        return many::run(arguments);
    }
    let Some(input) = arguments.inputs.first() else {
        return Err(Failure::usage("no INPUT", None));
    };
    let build = &arguments.build;
    let emit = build.emit.unwrap_or(Emit::Artifact);
    let mut options = options(build, emit)?;
    let named = destination(build, input, emit);
    check(build, &named, input)?;
    let reading = Instant::now();
    let inputs = modules::read(input, &arguments.with)?;
    let destination = match &inputs.config {
        None => named,
        // Named after what is compiled, and not after what names it.
        Some(config) => {
            modules::apply(config, &mut options);
            destination(build, &inputs.entry, emit)
        }
    };
    make(build, options, emit, inputs, &destination, reading)
}

/// Refuses a destination before the work is done.
fn check(build: &Build, destination: &Destination, input: &Path) -> Result<(), Failure> {
    if build.json && *destination == Destination::Stdout {
        return Err(Failure::usage(
            "the result and its JSON cannot both go to standard output",
            Some("name a file with -o".to_owned()),
        ));
    }
    let checked = destination.check((input != Path::new(STDIN)).then_some(input));
    if matches!(checked, Err(OutputError::IsInput(_))) {
        // An artifact would replace itself: then it is no module, which says more.
        let bytes = Source::read_bytes(input)?;
        if bytes.starts_with(&MAGIC) {
            let _ = Source::new(bytes, "")?;
        }
    }
    Ok(checked?)
}

/// Makes what is wanted of what was read since `reading`.
pub(super) fn make(
    build: &Build,
    options: Options,
    emit: Emit,
    inputs: Inputs,
    destination: &Destination,
    reading: Instant,
) -> Result<(), Failure> {
    let files = inputs.files.iter().filter(|file| *file != Path::new(STDIN));
    files.clone().try_for_each(|file| destination.check(Some(file)))?;
    let is_linked = match &inputs.given {
        Given::One(one) => is_component(&one.bytes),
        Given::Several(_) | Given::Plugged(_) => true,
    };
    if emit == Emit::Linked && !is_linked {
        return Err(Failure::usage(
            "--emit linked writes what several modules or a component become, and there is one module",
            Some("name those that it imports from: --module NAME=FILE".to_owned()),
        ));
    }
    check_debug_file(build, emit, destination, &inputs.files)?;
    let kept = build.keeping.if_changed || !build.keeping.cache.is_empty();
    if kept && emit != Emit::Artifact {
        return Err(Failure::usage(
            "--if-changed and --cache are about artifacts, and --emit makes none",
            Some("drop one of the two".to_owned()),
        ));
    }
    if build.keeping.if_changed && *destination == Destination::Stdout {
        return Err(Failure::usage(
            "--if-changed looks at the file that the result is for, and standard output is none",
            Some("name a file with -o".to_owned()),
        ));
    }
    let begun = Begun { build, destination, reading, label: inputs.given.label().to_owned() };
    match emit {
        Emit::Artifact => begun.artifact(inputs, options),
        Emit::Wasm => begun.metered(inputs.given, options),
        Emit::Linked => begun.linked(inputs.given, options),
    }
}

/// Refuses a debug file that would be none, or would take the place of something else.
fn check_debug_file(
    build: &Build,
    emit: Emit,
    destination: &Destination,
    inputs: &[PathBuf],
) -> Result<(), Failure> {
    let Some(path) = &build.debug_file else { return Ok(()) };
    if emit != Emit::Artifact {
        return Err(Failure::usage(
            "--debug-file is about an artifact's code, and --emit makes none",
            Some("drop one of the two".to_owned()),
        ));
    }
    if build.keeping.if_changed || !build.keeping.cache.is_empty() {
        return Err(Failure::usage(
            "--debug-file is written where something is compiled, and --if-changed and --cache look for what was",
            Some("drop one of the two".to_owned()),
        ));
    }
    let file = Destination::File(path.clone());
    if path == Path::new("-") || file == *destination {
        return Err(Failure::usage(
            "the debug file takes a file of its own",
            Some("--debug-file app.bls.debug".to_owned()),
        ));
    }
    let mut inputs = inputs.iter().filter(|file| *file != Path::new(STDIN));
    inputs.try_for_each(|input| file.check(Some(input)))?;
    Ok(file.check(None)?)
}

/// What was asked for, once everything is read.
struct Begun<'a> {
    build: &'a Build,
    destination: &'a Destination,
    reading: Instant,
    label: String,
}

impl Begun<'_> {
    /// The other process: before a key is read, and before there is another thread.
    fn child(&self, given: Given, job: Job) -> Result<(Child, Progress), Failure> {
        let child = Child::start(given, job, self.build.bounded.into())?;
        let progress = Progress::start(&self.label, !self.build.quiet);
        progress.stage(Stage::Input);
        Ok((child, progress))
    }

    /// A signed artifact.
    fn artifact(&self, inputs: Inputs, options: Options) -> Result<(), Failure> {
        let build = self.build;
        let mut note = |text: String| say(build, &text);
        let cache = cache(build, &mut note)?;
        let task = Task { build, options, cache: cache.as_ref(), progress: !build.quiet };
        let input = inputs.files.first().cloned().unwrap_or_default();
        let given = (inputs.given, self.reading);
        let limits = build.bounded.into();
        let options = task.options.clone();
        let (_, line, json) =
            task.deliver(&input, given, options, self.destination, limits, &mut note, &mut || {
                Ok(())
            })?;
        if build.json {
            return print_json(&json);
        }
        say(build, &line);
        Ok(())
    }

    /// The module with its charges.
    fn metered(&self, given: Given, options: Options) -> Result<(), Failure> {
        let (child, progress) = self.child(given, Job::Front(options))?;
        let front = child.front(&mut |stage| progress.stage(stage))?;
        drop(progress);
        let wasm = front.audited.wasm();
        let source = front.validated.source();
        let (given, given_bytes) = (source.given(), source.given_bytes());
        self.destination.write(wasm)?;
        if self.build.json {
            return print_json(&json!({
                "output": self.destination.to_string(),
                "source_sha256": given,
                "sha256": Sha256::of(wasm),
                "sizes": { "source": given_bytes, "compiled": wasm.len() },
                "fuel": front.audited.fuel(),
            }));
        }
        self.say_sizes(given_bytes, wasm.len() as u64, "metered");
        Ok(())
    }

    /// The module that several or a component become.
    fn linked(&self, given: Given, options: Options) -> Result<(), Failure> {
        let source = given.digest().map_err(ModulesError::from)?;
        let modules: Vec<Value> = given
            .all()
            .map(|(name, one)| json!({ "name": name, "sha256": Sha256::of(&one.bytes) }))
            .collect();
        let given_bytes = given.all().map(|(_, one)| one.bytes.len() as u64).sum();
        let kind = match given {
            Given::Plugged(_) => "components",
            Given::One(_) | Given::Several(_) => "modules",
        };
        let (child, progress) = self.child(given, Job::Link(options))?;
        progress.stage(Stage::Link);
        let wasm = child.link()?;
        drop(progress);
        self.destination.write(&wasm)?;
        if self.build.json {
            return print_json(&json!({
                "output": self.destination.to_string(),
                "source_sha256": source,
                "sha256": Sha256::of(&wasm),
                "modules": modules,
                "sizes": { "source": given_bytes, "linked": wasm.len() },
            }));
        }
        let how = match modules.len() {
            1 => "linked of a component".to_owned(),
            count => format!("linked of {count} {kind}"),
        };
        self.say_sizes(given_bytes, wasm.len() as u64, &how);
        Ok(())
    }

    fn say_sizes(&self, given: u64, made: u64, how: &str) {
        let sizes = format!("{} → {}", show_size(given), show_size(made));
        let destination = printable(&self.destination.to_string());
        let time = milliseconds(self.reading);
        say(self.build, &format!("{destination}  {sizes}, {how}, {time} ms"));
    }
}

/// Where results are kept.
pub(super) struct Caching {
    cache: Cache,
    /// Whose results are taken from there, beside one's own.
    trusted: Vec<PublicKey>,
}

/// What is done with each input.
pub(super) struct Task<'a> {
    pub(super) build: &'a Build,
    pub(super) options: Options,
    /// Where results are kept.
    pub(super) cache: Option<&'a Caching>,
    /// Whether a line shows how far it is.
    pub(super) progress: bool,
}

impl Task<'_> {
    /// Makes the artifact of a module that is read now, by so many threads.
    pub(super) fn one(
        &self,
        input: &Path,
        destination: &Destination,
        threads: usize,
        note: &mut dyn FnMut(String),
        ready: &mut dyn FnMut() -> Result<(), OutputError>,
    ) -> Result<(How, String, Value), Failure> {
        let reading = Instant::now();
        let inputs = modules::read(input, &With::default())?;
        if inputs.config.is_some() {
            return Err(Failure::usage(
                "a configuration names the modules of one program, and is compiled alone",
                Some(format!("bls-compile {}", input.display())),
            ));
        }
        let limits = Allowance { threads: NonZero::new(threads), ..self.build.bounded.into() };
        let options = self.options.clone();
        self.deliver(input, (inputs.given, reading), options, destination, limits, note, ready)
    }

    /// Makes an artifact, and writes it once it is `ready` to be written: how it came to be, and
    /// the result for a person and for a program.
    #[allow(clippy::too_many_arguments, reason = "what one artifact takes, each once")]
    fn deliver(
        &self,
        input: &Path,
        (given, reading): (Given, Instant),
        options: Options,
        destination: &Destination,
        limits: Allowance,
        note: &mut dyn FnMut(String),
        ready: &mut dyn FnMut() -> Result<(), OutputError>,
    ) -> Result<(How, String, Value), Failure> {
        let existing = match destination {
            Destination::File(path) if self.build.keeping.if_changed => Some(path.as_path()),
            _ => None,
        };
        let wish = Wish {
            given,
            options,
            limits,
            signing: &(&self.build.signing).into(),
            existing,
            cache: self.cache.map(|caching| Kept {
                cache: &caching.cache,
                name: None,
                is_result: false,
            }),
            trusted: self.cache.map_or(&[], |caching| &caching.trusted),
            progress: self.progress,
            reading,
        };
        let obtained = obtain(wish, note)?;
        // It may wait for its turn, which is no time of its own.
        let line = line(&obtained, destination, reading);
        ready()?;
        // Before the artifact: who has that, has this.
        if let Some((path, file)) = self.build.debug_file.as_ref().zip(obtained.debug_file.as_ref())
        {
            Destination::File(path.clone()).write(file)?;
        }
        if obtained.how != How::Unchanged {
            destination.write(obtained.artifact.bytes())?;
        }
        let mut result = result(&obtained, input, destination);
        if let Some(path) = &self.build.debug_file {
            result["debug_file"] = json!(path.to_string_lossy());
        }
        Ok((obtained.how, line, result))
    }
}

/// What was named to keep results in: what cannot be used is said, and no reason not to compile.
pub(super) fn cache(
    build: &Build,
    note: &mut dyn FnMut(String),
) -> Result<Option<Caching>, Failure> {
    let keeping = &build.keeping;
    let (servers, folders): (Vec<&String>, Vec<&String>) =
        keeping.cache.iter().partition(|place| is_server(place));
    if servers.len() > 1 || folders.len() > 1 {
        return Err(Failure::usage(
            "--cache takes a folder, a server, or one of each",
            Some("leave out one of two that are of a kind".to_owned()),
        ));
    }
    let trusted = keeping.cache_trust.iter().map(|path| keystore::read_public(path));
    let trusted = trusted.collect::<Result<Vec<_>, _>>()?;
    let size = keeping.cache_size.unwrap_or(BYTES_MAX);
    let folder = folders.first().map(|folder| Folder::at(folder.into(), size));
    let server = servers.first().map(|place| Server::at((*place).clone()));
    let cache = Cache::open(folder, server, &mut |error| note(without(error)));
    Ok((!cache.is_none()).then_some(Caching { cache, trusted }))
}

/// The pipeline's options, from the command line and `SOURCE_DATE_EPOCH`.
pub(super) fn options(arguments: &Build, emit: Emit) -> Result<Options, Failure> {
    if emit == Emit::Wasm && arguments.no_fuel {
        return Err(Failure::usage(
            "--emit wasm writes the metered module, and --no-fuel asks for none",
            Some("drop one of the two".to_owned()),
        ));
    }
    if arguments.fuel_profile && (arguments.no_fuel || emit == Emit::Wasm) {
        let other = if arguments.no_fuel { "--no-fuel" } else { "--emit wasm" };
        return Err(Failure::usage(
            format!("--fuel-profile makes a metered artifact for bls-load, and {other} does not"),
            Some("drop one of the two".to_owned()),
        ));
    }
    let created = match std::env::var_os("SOURCE_DATE_EPOCH") {
        None => None,
        Some(text) => {
            let seconds = text.to_str().and_then(|text| text.parse().ok());
            Some(seconds.ok_or_else(|| {
                Failure::usage(
                    format!("SOURCE_DATE_EPOCH is {text:?}, not a number of seconds since 1970"),
                    Some("unset it, or SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)".to_owned()),
                )
            })?)
        }
    };
    if let Some(expires) = arguments.expires {
        refuse_the_past(expires)?;
    }
    let mut wanted = arguments.needs.clone();
    if let Some(path) = &arguments.policy {
        wanted.extend(needs::read(path)?);
    }
    Ok(Options {
        metered: !arguments.no_fuel,
        fuel_profile: arguments.fuel_profile,
        nans: if arguments.fast_nans { Nans::Fast } else { Nans::Canonical },
        bounds: arguments.memory.into(),
        language: arguments.wasm.into(),
        compression: arguments.compress,
        window: arguments.compress_window,
        memory_max: arguments.max_memory,
        fuel_max: arguments.max_fuel,
        time_ms_max: arguments.max_time.map(|time| time.as_millis() as u64),
        name: arguments.name.clone(),
        sequence: arguments.sequence,
        created,
        expires: arguments.expires,
        documents: documents::read(&arguments.sbom, &arguments.provenance)?,
        needs: wanted,
        debug_file: arguments.debug_file.is_some(),
        ..Options::new(machines(&arguments.target, arguments.cpu.as_deref())?)
    })
}

/// An artifact that nobody could run is a mistake, where this machine's clock can tell.
fn refuse_the_past(expires: u64) -> Result<(), Failure> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let now = now.map_or(0, |now| now.as_secs());
    if now < CLOCK_MIN || expires > now {
        return Ok(());
    }
    Err(Failure {
        stage: "options",
        code: "options.expired",
        what: format!("it would have expired already, on {}", Date(expires)),
        excerpt: Vec::new(),
        hint: Some("--expires takes a time to come, such as 2030-12-31".to_owned()),
    })
}

/// Where the result goes: `STEM.bls` in this folder unless said otherwise.
pub(super) fn destination(arguments: &Build, input: &Path, emit: Emit) -> Destination {
    match &arguments.output {
        Some(path) if path == Path::new("-") => Destination::Stdout,
        Some(path) => Destination::File(path.clone()),
        None if input == Path::new(STDIN) => Destination::Stdout,
        None => {
            let mut name = input.file_stem().unwrap_or_default().to_owned();
            name.push(match emit {
                Emit::Artifact => ".bls",
                Emit::Wasm => ".metered.wasm",
                Emit::Linked => ".linked.wasm",
            });
            Destination::File(PathBuf::from(name))
        }
    }
}

/// One line for a person.
fn line(obtained: &Obtained, destination: &Destination, begin: Instant) -> String {
    let artifact = &obtained.artifact;
    let destination = printable(&destination.to_string());
    if obtained.how == How::Unchanged {
        return format!("{destination}  unchanged: source, settings, release and key are the same");
    }
    let keys: Vec<String> =
        artifact.key_ids().iter().map(|id| format!("{}…", &id.to_string()[..12])).collect();
    let metered =
        match (artifact.manifest().fuel.is_some(), artifact.manifest().counts_by_function()) {
            (false, _) => "not metered, ",
            (true, false) => "",
            (true, true) => "counts fuel by function, ",
        };
    let made = match (obtained.how, obtained.compiled) {
        (How::Cached, _) => "from the cache, ",
        (_, Some((_, Effort::Least))) => "not optimised (that would take too long), ",
        _ => "",
    };
    let machines: Vec<String> = match artifact.manifest().parts.as_slice() {
        [_] => Vec::new(),
        parts => parts.iter().map(Part::machine).collect(),
    };
    let fat =
        if machines.is_empty() { String::new() } else { format!(" ({})", machines.join(", ")) };
    format!(
        "{destination}  {} → {}{fat}, {} ms, {metered}{made}signed by {}",
        show_size(obtained.source_bytes),
        show_size(artifact.bytes().len() as u64),
        milliseconds(begin),
        keys.join(", "),
    )
}

/// The result for a program (`compiler/result.schema.json`).
fn result(obtained: &Obtained, input: &Path, destination: &Destination) -> Value {
    let artifact = &obtained.artifact;
    let manifest = artifact.manifest();
    let parts: Vec<Value> = manifest
        .parts
        .iter()
        .map(|part| {
            json!({
                "target": part.target,
                "machine": part.machine(),
                "cpu_features": part.cpu_features,
                "encoding": part.stored.encoding,
                "stored": part.stored.length,
                "image": part.image.length,
            })
        })
        .collect();
    let modules = manifest.recipe().map(|recipe| {
        let modules = recipe.modules().iter();
        modules.map(|one| json!({ "name": one.name, "sha256": one.sha256 })).collect::<Vec<_>>()
    });
    let times: serde_json::Map<String, Value> = obtained
        .times
        .iter()
        .map(|(stage, time)| (stage.name().to_owned(), json!(time.as_micros() as u64)))
        .collect();
    let mut result = json!({
        "input": input.to_string_lossy(),
        "how": obtained.how.word(),
        "key": obtained.key,
        "name": manifest.name,
        "output": destination.to_string(),
        "identity": artifact.identity(),
        "sha256": artifact.file_digest(),
        "key_ids": artifact.key_ids(),
        "source_sha256": manifest.source,
        "modules": modules,
        "compiled_sha256": manifest.compiled,
        "sizes": {
            "source": obtained.source_bytes,
            "artifact": artifact.bytes().len(),
        },
        "parts": parts,
        "fuel": manifest.fuel,
        "time_us": times,
    });
    // Nobody has measured what was not compiled now.
    if let Some((bytes, effort)) = obtained.compiled {
        result["sizes"]["compiled"] = json!(bytes);
        result["optimised"] = json!(effort == Effort::Full);
    }
    result
}

/// Says what was done, on standard error.
fn say(arguments: &Build, text: &str) {
    if !arguments.quiet {
        super::say(text);
    }
}

fn milliseconds(begin: Instant) -> u128 {
    begin.elapsed().as_millis()
}
