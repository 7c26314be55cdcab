//! From bytes to artifact: the stages in their order.
//!
//! [`build`] is the whole story, for programs and tests alike. Does no input or
//! output: bytes in, bytes out.

use crate::assemble::{self, AssembleError, Assembled, Choices, assemble};
use crate::audit::{AuditError, Audited, audit};
use crate::compile::effort::Effort;
use crate::compile::{CompileError, How, Image, generate};
use crate::debug::Traces;
use crate::describe::{Description, describe};
use crate::fuel_profile::{ProfileError, fuel_profile};
use crate::input::{Binary, InputError, Source};
use crate::link::{LinkError, Modules, Part, link, link_component, link_plugged};
use crate::needs::{self, NeedsError};
pub use crate::options::Options;
use crate::ready::{ReadyError, ready};
use crate::sign::{Artifact, SignError, message, seal};
use crate::validate::{ValidateError, Validated, validate};
use bls_artifact::capability::Permission;
use bls_artifact::debug;
use bls_artifact::digest::Sha256;
use bls_artifact::key::{PrivateKey, PublicKey};
use bls_artifact::limits::{INTERFACE_BYTES_MAX, TABLE_ELEMENT_BYTES};
use bls_artifact::manifest::{Limits, Module};
use bls_artifact::name::{self, NameError};
use bls_artifact::quantity::{show_sizes, write_size};
use std::fmt;
use std::time::{Duration, Instant};

/// A stage of the pipeline, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Bytes become a module.
    Input,
    /// Several modules, or those of a component, become one.
    Link,
    /// The module is judged.
    Validate,
    /// Fuel is injected.
    Meter,
    /// The metered module is shown to count what it consumes.
    Audit,
    /// Counters by function are added, when they are asked for.
    Profile,
    /// Code is generated.
    Compile,
    /// Manifest and parts are made.
    Assemble,
    /// The statement is signed.
    Sign,
}

impl Stage {
    /// All of them, in order.
    pub const ALL: [Self; 9] = [
        Self::Input,
        Self::Link,
        Self::Validate,
        Self::Meter,
        Self::Audit,
        Self::Profile,
        Self::Compile,
        Self::Assemble,
        Self::Sign,
    ];

    /// Its name in messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Link => "link",
            Self::Validate => "validate",
            Self::Meter => "meter",
            Self::Audit => "audit",
            Self::Profile => "profile",
            Self::Compile => "compile",
            Self::Assemble => "assemble",
            Self::Sign => "sign",
        }
    }
}

/// Why there is no artifact.
#[derive(Debug)]
pub enum Error {
    /// The bytes are no module.
    Input(InputError),
    /// The bytes of one of several modules are none; whose.
    Part(String, InputError),
    /// The modules do not become one.
    Link(LinkError),
    /// The module is refused.
    Validate(ValidateError),
    /// The module cannot be metered.
    Meter(ReadyError),
    /// The metered module does not pass: a defect of ours.
    Audit(AuditError),
    /// Counters by function cannot be added.
    Profile(ProfileError),
    /// The module cannot be compiled.
    Compile(CompileError),
    /// The manifest or parts cannot be made.
    Assemble(AssembleError),
    /// The artifact cannot be signed.
    Sign(SignError),
    /// What the author says it needs cannot be declared.
    Needs(NeedsError),
    /// It would have a name that is none; the name, and whether it was asked for.
    Name(NameError, String, bool),
    /// An option has a value that is not allowed; which, and why.
    Options(&'static str),
    /// `--max-memory` allows less than the module takes to start: allowed, and taken, in
    /// bytes.
    MemoryMax(u64, u64),
    /// A valid module cannot be read again: a defect of ours.
    Describe(wasmparser::Error),
}

impl Error {
    /// Bytes that are no module; of one of several, by its name.
    pub(crate) fn of_input(name: Option<&str>, error: InputError) -> Self {
        match name {
            None => Self::Input(error),
            Some(name) => Self::Part(name.to_owned(), error),
        }
    }

    /// The stage that failed, in a word.
    #[must_use]
    pub fn stage(&self) -> &'static str {
        match self {
            Self::Input(_) | Self::Part(..) => Stage::Input.name(),
            Self::Link(error) => error.stage(),
            Self::Validate(_) => Stage::Validate.name(),
            Self::Meter(_) => Stage::Meter.name(),
            Self::Audit(_) => Stage::Audit.name(),
            Self::Profile(_) => Stage::Profile.name(),
            Self::Compile(_) => Stage::Compile.name(),
            Self::Assemble(_) => Stage::Assemble.name(),
            Self::Sign(_) => Stage::Sign.name(),
            Self::Needs(_) => "needs",
            Self::Name(..) => "name",
            Self::Options(_) | Self::MemoryMax(..) => "options",
            Self::Describe(_) => "describe",
        }
    }

    /// Its name, which stays the same when words change.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Input(error) | Self::Part(_, error) => error.code(),
            Self::Link(error) => error.code(),
            Self::Validate(error) => error.code(),
            Self::Meter(error) => error.code(),
            Self::Audit(_) => "audit.defect",
            Self::Profile(error) => error.code(),
            Self::Compile(error) => error.code(),
            Self::Assemble(error) => error.code(),
            Self::Sign(error) => error.code(),
            Self::Needs(error) => error.code(),
            Self::Name(..) => "name.refused",
            Self::Options(_) => "options.value",
            Self::MemoryMax(..) => "options.max-memory",
            Self::Describe(_) => "describe.defect",
        }
    }

    /// Lines that show the place in the source, where there is one to be shown.
    #[must_use]
    pub fn excerpt(&self) -> &[String] {
        match self {
            Self::Input(error) | Self::Part(_, error) => error.excerpt(),
            _ => &[],
        }
    }

    /// What a user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Input(error) | Self::Part(_, error) => error.hint().map(str::to_owned),
            Self::Link(error) => error.hint(),
            Self::Validate(error) => error.hint(),
            Self::Meter(error) => error.hint(),
            Self::Audit(_) => Some(
                "this is a defect of bls-compile, and nothing was signed; please report it, with the module"
                    .to_owned(),
            ),
            Self::Profile(error) => Some(error.hint().to_owned()),
            Self::Compile(error) => Some(error.hint().to_owned()),
            Self::Assemble(error) => Some(error.hint().to_owned()),
            Self::Sign(error) => Some(error.hint().to_owned()),
            Self::Needs(error) => Some(error.hint()),
            Self::Name(NameError::Command, name, _) => {
                Some(format!("give it another one, such as --name {name}-app"))
            }
            Self::Name(..) => Some("give it another one: --name NAME".to_owned()),
            Self::Options(_) => Some("see bls-compile --help".to_owned()),
            Self::MemoryMax(_, taken) => Some(format!(
                "allow at least that: --max-memory {}; or leave it out",
                write_size(*taken)
            )),
            Self::Describe(_) => Some("please report this, with the module".to_owned()),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Input(error) => error.fmt(f),
            Self::Part(name, error) => write!(f, "module {name:?}: {error}"),
            Self::Link(error) => error.fmt(f),
            Self::Validate(error) => error.fmt(f),
            Self::Meter(error) => error.fmt(f),
            Self::Audit(error) => {
                write!(f, "internal error: the metered module does not pass its audit: {error}")
            }
            Self::Profile(error) => error.fmt(f),
            Self::Compile(error) => error.fmt(f),
            Self::Assemble(error) => error.fmt(f),
            Self::Sign(error) => error.fmt(f),
            Self::Needs(error) => error.fmt(f),
            Self::Name(why, name, true) => write!(f, "{name:?} cannot be its name: {why}"),
            Self::Name(why, name, false) => {
                write!(f, "{name:?}, from the file's name, cannot be its name: {why}")
            }
            Self::Options(what) => what.fmt(f),
            Self::MemoryMax(allowed, taken) => {
                let (allowed, taken) = show_sizes(*allowed, *taken);
                write!(
                    f,
                    "it could never run: its memories and tables take {taken} to start, and --max-memory allows {allowed}"
                )
            }
            Self::Describe(error) => write!(f, "internal error: {error}"),
        }
    }
}

impl std::error::Error for Error {}

impl Options {
    /// The name of an artifact whose input has the name `of_input`.
    ///
    /// # Errors
    /// [`Error::Name`] when there can be no artifact of that name.
    pub fn artifact_name(&self, of_input: &str) -> Result<String, Error> {
        let name = self.name.as_deref().unwrap_or(of_input);
        match name::check(name) {
            Ok(()) => Ok(name.to_owned()),
            Err(why) => Err(Error::Name(why, name.to_owned(), self.name.is_some())),
        }
    }
}

/// Everything up to code generation.
#[derive(Debug)]
pub struct Front {
    /// The module as given.
    pub validated: Validated,
    /// The same from outside.
    pub description: Description,
    /// The module to be compiled.
    pub audited: Audited,
}

/// An artifact, and how long each stage took.
#[derive(Debug)]
pub struct Built {
    /// The artifact.
    pub artifact: Artifact,
    /// Bytes of the module that was given.
    pub source_bytes: u64,
    /// Bytes of the module that was compiled.
    pub compiled_bytes: u64,
    /// Whether the code is optimised.
    pub effort: Effort,
    /// The debug file of its images, where one is wanted.
    pub debug_file: Option<Vec<u8>>,
    /// Time of each stage that ran, in order.
    pub times: Vec<(Stage, Duration)>,
}

/// Builds an artifact from the bytes of a module or a component, binary or text. `label` is the
/// name of the input: the artifact's name is made from it.
///
/// # Errors
/// [`Error`], of the stage that refused.
pub fn build(
    bytes: Vec<u8>,
    label: &str,
    options: &Options,
    keys: &[&PrivateKey],
) -> Result<Artifact, Error> {
    let read = Binary::new(bytes, label).map_err(Error::Input)?;
    build_source(read, options, keys, &mut |_| {}).map(|built| built.artifact)
}

/// Builds an artifact from what was read, a module, several, or a component; `observe` is told of
/// each stage when it begins.
///
/// # Errors
/// [`Error`], of the stage that refused.
pub fn build_source(
    source: impl Into<Modules>,
    options: &Options,
    keys: &[&PrivateKey],
    observe: &mut dyn FnMut(Stage),
) -> Result<Built, Error> {
    build_unsigned(source, options, observe)?.sign(keys, observe)
}

/// Builds everything but the signature, for whoever has no key yet; `observe` is told of
/// each stage when it begins.
///
/// # Errors
/// [`Error`], of the stage that refused.
pub fn build_unsigned(
    source: impl Into<Modules>,
    options: &Options,
    observe: &mut dyn FnMut(Stage),
) -> Result<Unsigned, Error> {
    assemble_timed(source.into(), options, &mut Clock::new(observe))
}

/// Builds everything but the signature.
///
/// # Errors
/// [`Error`], of the stage that refused.
pub fn assemble_source(
    source: impl Into<Modules>,
    options: &Options,
    observe: &mut dyn FnMut(Stage),
) -> Result<Assembled, Error> {
    build_unsigned(source, options, observe).map(|unsigned| unsigned.assembled)
}

/// What there is before the signature.
#[derive(Debug)]
pub struct Unsigned {
    assembled: Assembled,
    source_bytes: u64,
    compiled_bytes: u64,
    effort: Effort,
    debug_file: Option<Vec<u8>>,
    times: Vec<(Stage, Duration)>,
}

impl Unsigned {
    /// What will be signed.
    #[must_use]
    pub fn assembled(&self) -> &Assembled {
        &self.assembled
    }

    /// Signs it with each key.
    ///
    /// # Errors
    /// [`Error::Sign`].
    pub fn sign(
        self,
        keys: &[&PrivateKey],
        observe: &mut dyn FnMut(Stage),
    ) -> Result<Built, Error> {
        let message = self.message();
        let signatures: Vec<(PublicKey, [u8; 64])> =
            keys.iter().map(|key| (key.public(), key.sign(&message))).collect();
        self.seal(&signatures, observe)
    }

    /// What each signer signs.
    #[must_use]
    pub fn message(&self) -> Vec<u8> {
        message(&self.assembled)
    }

    /// Puts signatures over [`Unsigned::message`] to it, by whoever made them.
    ///
    /// # Errors
    /// [`Error::Sign`].
    pub fn seal(
        self,
        signatures: &[(PublicKey, [u8; 64])],
        observe: &mut dyn FnMut(Stage),
    ) -> Result<Built, Error> {
        let mut clock = Clock { observe, times: self.times };
        let artifact =
            clock.run(Stage::Sign, || seal(&self.assembled, signatures).map_err(Error::Sign))?;
        Ok(Built {
            artifact,
            source_bytes: self.source_bytes,
            compiled_bytes: self.compiled_bytes,
            effort: self.effort,
            debug_file: self.debug_file,
            times: clock.times,
        })
    }
}

fn assemble_timed(
    modules: Modules,
    options: &Options,
    clock: &mut Clock<'_>,
) -> Result<Unsigned, Error> {
    let name = options.artifact_name(modules.name())?;
    let front = front_timed(modules, options, clock)?;
    needs_of(options, &front.description)?;
    let (images, tables) = clock.run(Stage::Compile, || compile_all(&front, options))?;
    assemble_images(name, front, images, tables, options, clock)
}

/// An image for each machine; and what a debug file says of each, where one is wanted.
fn compile_all(front: &Front, options: &Options) -> Result<(Vec<Image>, Vec<Vec<u8>>), Error> {
    let no_debug = |what| Error::Compile(CompileError::Debug(what));
    let (source, audited) = (front.validated.source(), &front.audited);
    let traces = options.debug_file.then(|| {
        let ready = audited.without_profile();
        Traces::of(source, options.metered, ready, audited.wasm()).map_err(no_debug)
    });
    let traces = traces.transpose()?;
    let how = How { threads: 0, addresses: traces.is_some() };
    let (mut images, mut tables) = (Vec::new(), Vec::new());
    for machine in &options.machines {
        let profile = options.profile(machine.target());
        let made = generate(audited.wasm(), audited.joining(), machine, &profile, how);
        let (image, addresses) = made.map_err(Error::Compile)?;
        images.push(image);
        if let Some((traces, addresses)) = traces.as_ref().zip(addresses) {
            tables.push(traces.table(&addresses).map_err(no_debug)?);
        }
    }
    Ok((images, tables))
}

/// What a loader must grant, as the manifest has it.
pub(crate) fn needs_of(
    options: &Options,
    description: &Description,
) -> Result<Vec<Permission>, Error> {
    // What it may reach, where it can.
    needs::wanted(&options.needs, &options.permissions, &description.may_use).map_err(Error::Needs)
}

/// Assembles a module that passed, and the images that were made of it.
pub(crate) fn assemble_images(
    name: String,
    front: Front,
    images: Vec<Image>,
    tables: Vec<Vec<u8>>,
    options: &Options,
    clock: &mut Clock<'_>,
) -> Result<Unsigned, Error> {
    let needs = needs_of(options, &front.description)?;
    let Front { validated, description, audited } = front;
    let effort = images.first().map_or(Effort::Full, Image::effort);
    let digests =
        images.iter().zip(tables).map(|(image, table)| (Sha256::of(image.bytes()), table));
    let tables: Vec<(Sha256, Vec<u8>)> = digests.collect();
    let debug_file = options.debug_file.then(|| debug::write(&validated.source().given(), &tables));
    let choices = Choices {
        name,
        sequence: options.sequence,
        created: options.created,
        expires: options.expires,
        documents: options.documents.clone(),
        needs,
        limits: Limits {
            memory: options.memory_max,
            fuel: options.fuel_max,
            time_ms: options.time_ms_max,
        },
        compression: options.compression,
        window: options.window,
    };
    let assembled = clock.run(Stage::Assemble, || {
        assemble(&validated, description, &audited, images, choices).map_err(Error::Assemble)
    })?;
    Ok(Unsigned {
        assembled,
        source_bytes: validated.source().given_bytes(),
        compiled_bytes: audited.wasm().len() as u64,
        effort,
        debug_file,
        times: std::mem::take(&mut clock.times),
    })
}

/// Validates, meters and audits, and stops there.
///
/// # Errors
/// [`Error`], of the stage that refused.
pub fn front(
    source: impl Into<Modules>,
    options: &Options,
    observe: &mut dyn FnMut(Stage),
) -> Result<Front, Error> {
    front_timed(source.into(), options, &mut Clock::new(observe))
}

/// Links modules to one, the entry last.
///
/// # Errors
/// [`Error::Link`], and [`Error::Options`].
pub fn link_parts(parts: Vec<Part>, options: &Options) -> Result<Source, Error> {
    one_module(Modules::Several(parts), options, &mut Clock::new(&mut |_| {}))
}

/// The module that several or a component become, or that there is.
pub(crate) fn one_module(
    modules: Modules,
    options: &Options,
    clock: &mut Clock<'_>,
) -> Result<Source, Error> {
    options.check().map_err(Error::Options)?;
    match modules {
        Modules::One(source) => Ok(source),
        Modules::Several(parts) => clock.run(Stage::Link, || {
            link(parts, &options.first_profile(), options.debug_file).map_err(Error::Link)
        }),
        Modules::Component(component) => clock.run(Stage::Link, || {
            link_component(component, options.debug_file).map_err(Error::Link)
        }),
        Modules::Plugged(parts) => {
            clock.run(Stage::Link, || link_plugged(parts, options.debug_file).map_err(Error::Link))
        }
    }
}

fn front_timed(modules: Modules, options: &Options, clock: &mut Clock<'_>) -> Result<Front, Error> {
    let source = one_module(modules, options, clock)?;
    let (validated, description) = judge(source, options, clock)?;
    let ready =
        clock.run(Stage::Meter, || ready(&validated, options.metered).map_err(Error::Meter))?;
    let mut audited = clock.run(Stage::Audit, || audit(&validated, ready).map_err(Error::Audit))?;
    if options.fuel_profile {
        let features = validated.features();
        audited = clock
            .run(Stage::Profile, || fuel_profile(audited, features).map_err(Error::Profile))?;
    }
    Ok(Front { validated, description, audited })
}

/// Validates a module, and refuses what could not become an artifact with these options.
pub(crate) fn judge(
    source: Source,
    options: &Options,
    clock: &mut Clock<'_>,
) -> Result<(Validated, Description), Error> {
    options.check().map_err(Error::Options)?;
    let profile = options.first_profile();
    let validated =
        clock.run(Stage::Validate, || validate(source, &profile).map_err(Error::Validate))?;
    let description = describe(&validated).map_err(Error::Describe)?;
    // Before the work that would be for nothing.
    let interface = assemble::interface_bytes(&description.module);
    if interface > INTERFACE_BYTES_MAX {
        return Err(Error::Validate(ValidateError::Cap {
            what: "bytes of imports in the manifest",
            found: interface,
            most: INTERFACE_BYTES_MAX,
            function: None,
        }));
    }
    let taken = bytes_at_start(&description.module);
    if let Some(allowed) = options.memory_max.filter(|allowed| *allowed < taken) {
        return Err(Error::MemoryMax(allowed, taken));
    }
    Ok((validated, description))
}

/// What memories and tables take when the module starts, as a loader counts it.
fn bytes_at_start(module: &Module) -> u64 {
    let memories =
        module.memories.iter().map(|memory| memory.minimum.saturating_mul(memory.page_size));
    let tables =
        module.tables.iter().map(|table| table.minimum.saturating_mul(TABLE_ELEMENT_BYTES));
    memories.chain(tables).fold(0, u64::saturating_add)
}

/// Measures stages and tells of them.
pub(crate) struct Clock<'a> {
    observe: &'a mut dyn FnMut(Stage),
    /// Time of each stage that ran, in order.
    pub(crate) times: Vec<(Stage, Duration)>,
}

impl<'a> Clock<'a> {
    /// One that tells `observe` of each stage when it begins.
    pub(crate) fn new(observe: &'a mut dyn FnMut(Stage)) -> Self {
        Self { observe, times: Vec::new() }
    }

    pub(crate) fn run<T>(
        &mut self,
        stage: Stage,
        work: impl FnOnce() -> Result<T, Error>,
    ) -> Result<T, Error> {
        (self.observe)(stage);
        let begin = Instant::now();
        let result = work();
        self.times.push((stage, begin.elapsed()));
        result
    }
}

#[cfg(test)]
mod tests;
