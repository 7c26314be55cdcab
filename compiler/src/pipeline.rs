//! From bytes to artifact: the stages in their order.
//!
//! [`build`] is the whole story, for programs and tests alike. Does no input or
//! output: bytes in, bytes out.

use crate::assemble::{self, AssembleError, Choices, assemble};
use crate::audit::{AuditError, Audited, audit};
use crate::compile::{CompileError, compile};
use crate::describe::describe;
use crate::fuel_profile::{ProfileError, fuel_profile};
use crate::input::{InputError, Source};
use crate::needs::{self, NeedsError};
use crate::ready::{ReadyError, ready};
use crate::sign::{Artifact, SignError, sign};
use crate::validate::{ValidateError, Validated, validate};
use bls_artifact::capability::Permission;
use bls_artifact::key::PrivateKey;
use bls_artifact::limits::{JSON_INTEGER_MAX, PARTS_MAX};
use bls_artifact::manifest::{Limits, is_name};
use bls_artifact::target::{EngineProfile, Nans, Target};
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
            Self::Options(what) => what.fmt(f),
            Self::Describe(error) => write!(f, "internal error: {error}"),
        }
    }
}

impl std::error::Error for Error {}

/// What a builder can choose.
#[derive(Clone, Debug)]
pub struct Options {
    /// What to compile for; each target once, at least one.
    pub targets: Vec<Target>,
    /// Whether to meter.
    pub metered: bool,
    /// Whether the module also counts by function.
    pub fuel_profile: bool,
    /// NaN canonicalisation.
    pub nans: Nans,
    /// The zstd level; `None` stores images raw.
    pub compression: Option<i32>,
    /// The memory limit for the manifest, in bytes.
    pub memory_max: Option<u64>,
    /// Seconds since 1970 for the manifest, where asked for.
    pub created: Option<u64>,
    /// What a loader must grant, or refuse to start it.
    pub needs: Vec<Permission>,
}

impl Options {
    /// The defaults for these targets: metered, canonical NaNs, raw.
    #[must_use]
    pub fn new(targets: Vec<Target>) -> Self {
        Self {
            targets,
            metered: true,
            fuel_profile: false,
            nans: Nans::Canonical,
            compression: None,
            memory_max: None,
            created: None,
            needs: Vec::new(),
        }
    }

    fn check(&self) -> Result<(), Error> {
        let mut targets = self.targets.clone();
        targets.sort_unstable();
        targets.dedup();
        if targets.is_empty() || targets.len() > PARTS_MAX as usize {
            return Err(Error::Options("at least one target is needed"));
        }
        if targets.len() != self.targets.len() {
            return Err(Error::Options("a target is given twice"));
        }
        if self.compression.is_some_and(|level| !assemble::LEVELS.contains(&level)) {
            return Err(Error::Options("a zstd level is 1 to 22"));
        }
        if self.fuel_profile && !self.metered {
            return Err(Error::Options("a module that is not metered has no fuel to profile"));
        }
        let numbers = [self.memory_max, self.created];
        if numbers.into_iter().flatten().any(|number| number > JSON_INTEGER_MAX) {
            return Err(Error::Options("a number is above 2^53-1"));
        }
        Ok(())
    }

    /// The engine for one target. All parts come from one module, so all have
    /// the features that every target has.
    #[must_use]
    pub fn profile(&self, target: Target) -> EngineProfile {
        let mut profile = EngineProfile::of(target, self.nans);
        for other in &self.targets {
            let theirs = EngineProfile::of(*other, self.nans).features;
            profile.features.retain(|feature| theirs.contains(feature));
        }
        profile
    }
}

/// Everything up to code generation.
#[derive(Debug)]
pub struct Front {
    /// The module as given.
    pub validated: Validated,
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
    let Front { validated, audited } = front_timed(source, options, &mut clock)?;
    let description = describe(&validated).map_err(Error::Describe)?;
    let needs = needs::settle(options.needs.clone(), &description.may_use).map_err(Error::Needs)?;

    let images = clock.run(Stage::Compile, || {
        let compile = |target: &Target| compile(&audited, *target, &options.profile(*target));
        options.targets.iter().map(compile).collect::<Result<Vec<_>, _>>().map_err(Error::Compile)
    })?;
    let choices = Choices {
        name: validated.source().name().to_owned(),
        created: options.created,
        needs,
        limits: Limits { memory: options.memory_max },
        compression: options.compression,
    };
    debug_assert!(is_name(&choices.name));
    let assembled = clock.run(Stage::Assemble, || {
        assemble(&validated, description, &audited, &images, &choices).map_err(Error::Assemble)
    })?;
    let artifact = clock.run(Stage::Sign, || sign(&assembled, keys).map_err(Error::Sign))?;
    Ok(Built {
        artifact,
        source_bytes: validated.source().given_bytes(),
        compiled_bytes: audited.wasm().len() as u64,
        times: clock.times,
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
    options.check()?;
    let profile = options.profile(options.targets[0]);
    let validated =
        clock.run(Stage::Validate, || validate(source, &profile).map_err(Error::Validate))?;
    let ready =
        clock.run(Stage::Meter, || ready(&validated, options.metered).map_err(Error::Meter))?;
    let mut audited = clock.run(Stage::Audit, || audit(&validated, ready).map_err(Error::Audit))?;
    if options.fuel_profile {
        let features = validated.features();
        audited = clock
            .run(Stage::Profile, || fuel_profile(audited, features).map_err(Error::Profile))?;
    }
    Ok(Front { validated, audited })
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
            created: Some(7),
            needs: vec![Permission::parse("extension:b").unwrap(); 2],
            ..Options::new(vec![Target::Pulley64])
        };
        let artifact = build(HELLO.to_vec(), "hello.wat", &options, &[&key(1)]).unwrap();
        let manifest = artifact.manifest();
        assert!(manifest.fuel.is_none());
        assert_ne!(manifest.source, manifest.compiled);
        assert_eq!(manifest.limits.memory, Some(65536));
        assert_eq!(manifest.created, Some(7));
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
        ] {
            let refused = build(HELLO.to_vec(), "hello.wat", &options, &[&key(1)]);
            assert!(matches!(refused, Err(Error::Options(_))));
        }
    }
}
