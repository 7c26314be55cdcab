//! From bytes to artifact: the stages in their order.
//!
//! [`build`] is the whole story, for programs and tests alike. Does no input or
//! output: bytes in, bytes out.

use crate::assemble::{AssembleError, Assembled, Choices, assemble};
use crate::audit::{AuditError, Audited, audit};
use crate::compile::effort::Effort;
use crate::compile::{CompileError, Image, compile};
use crate::describe::{Description, describe};
use crate::fuel_profile::{ProfileError, fuel_profile};
use crate::input::{InputError, Source};
use crate::needs::{self, NeedsError};
pub use crate::options::Options;
use crate::ready::{ReadyError, ready};
use crate::sign::{Artifact, SignError, sign};
use crate::validate::{ValidateError, Validated, validate};
use bls_artifact::key::PrivateKey;
use bls_artifact::limits::INTERFACE_BYTES_MAX;
use bls_artifact::manifest::Limits;
use bls_artifact::name::{self, NameError};
use bls_artifact::target::Target;
use std::fmt;
use std::time::{Duration, Instant};

/// A stage of the pipeline, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Bytes become a module.
    Input,
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
    pub const ALL: [Self; 8] = [
        Self::Input,
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
    /// A valid module cannot be read again: a defect of ours.
    Describe(wasmparser::Error),
}

impl Error {
    /// The stage that failed, in a word.
    #[must_use]
    pub fn stage(&self) -> &'static str {
        match self {
            Self::Input(_) => Stage::Input.name(),
            Self::Validate(_) => Stage::Validate.name(),
            Self::Meter(_) => Stage::Meter.name(),
            Self::Audit(_) => Stage::Audit.name(),
            Self::Profile(_) => Stage::Profile.name(),
            Self::Compile(_) => Stage::Compile.name(),
            Self::Assemble(_) => Stage::Assemble.name(),
            Self::Sign(_) => Stage::Sign.name(),
            Self::Needs(_) => "needs",
            Self::Name(..) => "name",
            Self::Options(_) => "options",
            Self::Describe(_) => "describe",
        }
    }

    /// What a user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Input(error) => error.hint().map(str::to_owned),
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
            Self::Describe(_) => Some("please report this, with the module".to_owned()),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Input(error) => error.fmt(f),
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
            Self::Describe(error) => write!(f, "internal error: {error}"),
        }
    }
}

impl std::error::Error for Error {}

impl Options {
    /// The name of an artifact made from `source`.
    ///
    /// # Errors
    /// [`Error::Name`] when there can be no artifact of that name.
    pub fn artifact_name(&self, source: &Source) -> Result<String, Error> {
        let name = self.name.as_deref().unwrap_or(source.name());
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
    /// Time of each stage that ran, in order.
    pub times: Vec<(Stage, Duration)>,
}

/// Builds an artifact from the bytes of a module, binary or text. `label` is the
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
    let source = Source::new(bytes, label).map_err(Error::Input)?;
    build_source(source, options, keys, &mut |_| {}).map(|built| built.artifact)
}

/// Builds an artifact from a module that was read; `observe` is told of each
/// stage when it begins.
///
/// # Errors
/// [`Error`], of the stage that refused.
pub fn build_source(
    source: Source,
    options: &Options,
    keys: &[&PrivateKey],
    observe: &mut dyn FnMut(Stage),
) -> Result<Built, Error> {
    let mut clock = Clock { observe, times: Vec::new() };
    let unsigned = assemble_timed(source, options, &mut clock)?;
    let artifact =
        clock.run(Stage::Sign, || sign(&unsigned.assembled, keys).map_err(Error::Sign))?;
    Ok(Built {
        artifact,
        source_bytes: unsigned.source_bytes,
        compiled_bytes: unsigned.compiled_bytes,
        effort: unsigned.effort,
        times: clock.times,
    })
}

/// Builds everything but the signature.
///
/// # Errors
/// [`Error`], of the stage that refused.
pub fn assemble_source(
    source: Source,
    options: &Options,
    observe: &mut dyn FnMut(Stage),
) -> Result<Assembled, Error> {
    let mut clock = Clock { observe, times: Vec::new() };
    assemble_timed(source, options, &mut clock).map(|unsigned| unsigned.assembled)
}

/// What there is before the signature.
struct Unsigned {
    assembled: Assembled,
    source_bytes: u64,
    compiled_bytes: u64,
    effort: Effort,
}

fn assemble_timed(
    source: Source,
    options: &Options,
    clock: &mut Clock<'_>,
) -> Result<Unsigned, Error> {
    let name = options.artifact_name(&source)?;
    let Front { validated, description, audited } = front_timed(source, options, clock)?;
    let needs = needs::settle(options.needs.clone(), &description.may_use).map_err(Error::Needs)?;

    let images = clock.run(Stage::Compile, || {
        let compile = |target: &Target| compile(&audited, *target, &options.profile(*target));
        options.targets.iter().map(compile).collect::<Result<Vec<_>, _>>().map_err(Error::Compile)
    })?;
    let effort = images.first().map_or(Effort::Full, Image::effort);
    let choices = Choices {
        name,
        sequence: options.sequence,
        created: options.created,
        expires: options.expires,
        documents: options.documents.clone(),
        needs,
        limits: Limits { memory: options.memory_max },
        compression: options.compression,
    };
    let assembled = clock.run(Stage::Assemble, || {
        assemble(&validated, description, &audited, images, choices).map_err(Error::Assemble)
    })?;
    Ok(Unsigned {
        assembled,
        source_bytes: validated.source().given_bytes(),
        compiled_bytes: audited.wasm().len() as u64,
        effort,
    })
}

/// Validates, meters and audits, and stops there.
///
/// # Errors
/// [`Error`], of the stage that refused.
pub fn front(
    source: Source,
    options: &Options,
    observe: &mut dyn FnMut(Stage),
) -> Result<Front, Error> {
    front_timed(source, options, &mut Clock { observe, times: Vec::new() })
}

fn front_timed(source: Source, options: &Options, clock: &mut Clock<'_>) -> Result<Front, Error> {
    options.check().map_err(Error::Options)?;
    let profile = options.profile(options.targets[0]);
    let validated =
        clock.run(Stage::Validate, || validate(source, &profile).map_err(Error::Validate))?;
    let description = describe(&validated).map_err(Error::Describe)?;
    // Before the work that would be for nothing.
    let interface = serde_json::to_vec(&description.module).map_or(0, |json| json.len() as u64);
    if interface > INTERFACE_BYTES_MAX {
        return Err(Error::Validate(ValidateError::Cap {
            what: "bytes of imports and exports in the manifest",
            found: interface,
            most: INTERFACE_BYTES_MAX,
            function: None,
        }));
    }
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

/// Measures stages and tells of them.
struct Clock<'a> {
    observe: &'a mut dyn FnMut(Stage),
    times: Vec<(Stage, Duration)>,
}

impl Clock<'_> {
    fn run<T>(
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
mod tests {
    use super::*;
    use bls_artifact::capability::Permission;
    use bls_artifact::target::Nans;

    const HELLO: &[u8] = b"(module (memory 1) (func $s) (start $s)
        (func (export \"_start\") (loop br 0)))";

    fn key(seed: u8) -> PrivateKey {
        PrivateKey::from_seed(&[seed; 32])
    }

    #[test]
    fn the_same_input_gives_the_same_bytes() {
        let options = Options::new(Target::ALL.to_vec());
        let one = build(HELLO.to_vec(), "a/hello.wat", &options, &[&key(1)]).unwrap();
        let two = build(HELLO.to_vec(), "b/hello.wat", &options, &[&key(1)]).unwrap();
        assert_eq!(one.bytes(), two.bytes());
        let other = build(HELLO.to_vec(), "hello.wat", &options, &[&key(2)]).unwrap();
        assert_eq!(one.identity(), other.identity());
        assert_eq!(one.manifest().parts.len(), 6);
        assert!(one.manifest().fuel.is_some() && one.manifest().module.start);
    }

    #[test]
    fn choices_reach_the_manifest() {
        let options = Options {
            metered: false,
            nans: Nans::Fast,
            compression: Some(3),
            memory_max: Some(65536),
            name: Some("other".to_owned()),
            sequence: 3,
            created: Some(7),
            expires: Some(8),
            needs: vec![Permission::parse("extension:b").unwrap(); 2],
            ..Options::new(vec![Target::Pulley64])
        };
        let artifact = build(HELLO.to_vec(), "hello.wat", &options, &[&key(1)]).unwrap();
        let manifest = artifact.manifest();
        assert!(manifest.fuel.is_none());
        assert_ne!(manifest.source, manifest.compiled);
        assert_eq!(manifest.limits.memory, Some(65536));
        assert_eq!((manifest.name.as_str(), manifest.sequence), ("other", 3));
        assert_eq!((manifest.created, manifest.expires), (Some(7), Some(8)));
        assert_eq!(manifest.compiler.compression, Some(3));
        assert_eq!(manifest.needs, [Permission::parse("extension:b").unwrap()]);
        assert_eq!(manifest.parts[0].profile.nans, Nans::Fast);
        assert!(manifest.parts[0].stored.length < manifest.parts[0].image.length);
    }

    #[test]
    fn bad_options_are_refused() {
        for options in [
            Options::new(vec![]),
            Options::new(vec![Target::X86_64, Target::X86_64]),
            Options { compression: Some(23), ..Options::new(vec![Target::X86_64]) },
            Options { memory_max: Some(u64::MAX), ..Options::new(vec![Target::X86_64]) },
            Options { sequence: 1 << 53, ..Options::new(vec![Target::X86_64]) },
            Options { created: Some(8), expires: Some(8), ..Options::new(vec![Target::X86_64]) },
        ] {
            let refused = build(HELLO.to_vec(), "hello.wat", &options, &[&key(1)]);
            assert!(matches!(refused, Err(Error::Options(_))));
        }
    }

    #[test]
    fn a_name_that_is_a_command_is_refused() {
        let build = |label: &str, name: Option<&str>| {
            let name = name.map(str::to_owned);
            let options = Options { name, ..Options::new(vec![Target::Pulley64]) };
            build(HELLO.to_vec(), label, &options, &[&key(1)])
        };
        assert!(matches!(build("verify.wat", None), Err(Error::Name(_, _, false))));
        assert!(matches!(build("hello.wat", Some("run")), Err(Error::Name(_, _, true))));
        assert_eq!(build("run.wat", Some("runner")).unwrap().manifest().name, "runner");
    }
}
