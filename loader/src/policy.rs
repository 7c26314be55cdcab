//! The operator's rules for this run: policy files, narrowed by options.
//!
//! `/etc/bls/policy.json` holds wherever it exists; `--policy` adds another, and
//! both must agree. Guarantees that no option goes beyond a bound, that a system's
//! policy nobody but root can write is the only one that counts there, and that
//! where nothing is asked the narrowest default holds. Does not know the artifact:
//! `grant.rs` brings the two together.

use crate::error::{Cause, StageError};
use crate::guarded::{GuardError, read, read_place};
use crate::request::AskedLimits;
use bls_artifact::capability::Permission;
use bls_artifact::digest::Sha256;
use bls_artifact::fuel::BUDGET_MAX;
use bls_artifact::limits::{
    DESCRIPTORS_DEFAULT, DESCRIPTORS_MAX, DESCRIPTORS_MIN, MEMORY_BYTES_DEFAULT, POLICY_BYTES_MAX,
    STACK_BYTES_DEFAULT, STACK_BYTES_MAX, STACK_BYTES_MIN, TIMEOUT_MS_MAX,
};
use bls_artifact::manifest;
use bls_artifact::policy::{
    self, Account, Bound, Bounds, FolderGrant, Log, LogLevel, Policy, Requirement, SYSTEM_FILE,
};
use bls_artifact::quantity;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

const NANOSECONDS_PER_MILLISECOND: u128 = 1_000_000;

/// Why a run does not get its rules.
#[derive(Debug)]
pub(crate) enum PolicyError {
    /// A file that cannot be read, or that others could have written.
    File(GuardError),
    /// The contents are no policy.
    Contents(PathBuf, policy::PolicyError),
    /// An option above a bound: the option, what was asked, the bound, whose.
    Beyond(&'static str, u64, u64, PathBuf),
    /// An option that a policy does not allow: which, and whose policy.
    NotAllowed(&'static str, PathBuf),
    /// A policy gives a value that no run can have: which, and the range.
    Range(&'static str, u64, u64, u64),
}

impl fmt::Display for PolicyError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(error) => error.fmt(formatter),
            Self::Contents(path, error) => write!(formatter, "{}: {error}", path.display()),
            Self::Beyond(option, asked, max, path) => write!(
                formatter,
                "{option} asks for {}, and {} allows at most {}",
                value(option, *asked),
                path.display(),
                value(option, *max)
            ),
            Self::NotAllowed(option, path) => {
                write!(formatter, "{} does not allow {option}", path.display())
            }
            Self::Range(limit, value, min, max) => {
                write!(formatter, "a policy sets {limit} to {value}, which must be {min} to {max}")
            }
        }
    }
}

impl From<GuardError> for PolicyError {
    fn from(error: GuardError) -> Self {
        Self::File(error)
    }
}

impl std::error::Error for PolicyError {}

impl StageError for PolicyError {
    const STAGE: &'static str = "policy";

    fn code(&self) -> &'static str {
        match self {
            Self::File(error) => error.code(),
            Self::Contents(_, error) => error.code(),
            Self::Beyond(..) => "policy.beyond",
            Self::NotAllowed(..) => "policy.not-allowed",
            Self::Range(..) => "policy.range",
        }
    }

    fn cause(&self) -> Cause {
        match self {
            Self::File(error) => error.cause(),
            Self::Contents(..) | Self::Beyond(..) | Self::NotAllowed(..) | Self::Range(..) => {
                Cause::Refused
            }
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::File(error) => error.hint(),
            Self::Contents(_, policy::PolicyError::Json(_)) => {
                r#"a policy is JSON, such as {"version": 1, "limits": {"fuel": {"max": "1G"}}}; a list of needs is for bls-compile --policy"#
                    .into()
            }
            Self::Contents(path, policy::PolicyError::Version(_)) => {
                format!(r#"use a newer bls-load, or write {} as "version": 1"#, path.display())
            }
            Self::Contents(path, policy::PolicyError::Default(limit)) => format!(
                "in {}, lower the default of {limit}, or leave it out: then its max holds",
                path.display()
            ),
            Self::Beyond(option, _, max, _) => {
                format!("ask for less: {option} {}", value(option, *max))
            }
            Self::NotAllowed(option, _) => format!("run it without {option}"),
            Self::Range(..) => "mend the policy's limits".into(),
        })
    }
}

/// What a run may use up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RunLimits {
    /// Units; `None` counts only.
    pub(crate) fuel: Option<u64>,
    pub(crate) timeout: Option<Duration>,
    /// Bytes of memories, tables and objects together.
    pub(crate) memory: u64,
    /// Bytes.
    pub(crate) stack: usize,
    /// Bytes written over all descriptors.
    pub(crate) output: Option<u64>,
    pub(crate) descriptors: u32,
}

/// Every rule that holds for this run.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    files: Vec<(PathBuf, Policy)>,
    /// What is demanded of every run beside them.
    require: Vec<Requirement>,
}

/// Reads the policies that hold: the machine's, and `named`.
pub(crate) fn load(named: Option<&Path>) -> Result<Rules, PolicyError> {
    let mut rules = Rules::default();
    let system = Path::new(SYSTEM_FILE);
    if let Some(text) = read_place(system, POLICY_BYTES_MAX, &[0])? {
        rules.add(system, parse(system, &text)?);
    }
    if let Some(path) = named {
        rules.add(path, read_file(path)?);
    }
    Ok(rules)
}

/// Reads a policy that somebody names.
pub(crate) fn read_file(path: &Path) -> Result<Policy, PolicyError> {
    parse(path, &read(path, POLICY_BYTES_MAX)?)
}

fn parse(path: &Path, text: &[u8]) -> Result<Policy, PolicyError> {
    Policy::parse(text).map_err(|error| PolicyError::Contents(path.to_owned(), error))
}

impl RunLimits {
    /// The same, and never more than an artifact's builder asks for.
    pub(crate) fn within(self, builder: &manifest::Limits) -> Self {
        let least = |one: Option<u64>, other: Option<u64>| match (one, other) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        let time = builder.time_ms.map(Duration::from_millis);
        Self {
            fuel: least(self.fuel, builder.fuel.map(|units| units.min(BUDGET_MAX))),
            timeout: match (self.timeout, time) {
                (Some(one), Some(other)) => Some(one.min(other)),
                (one, other) => one.or(other),
            },
            ..self
        }
    }
}

impl Rules {
    /// Demands this of every run, beside what policies demand.
    pub(crate) fn demand(&mut self, requirement: Requirement) {
        self.require.push(requirement);
    }

    /// Lets one more policy hold. `path` is what messages call it.
    pub(crate) fn add(&mut self, path: &Path, policy: Policy) {
        self.files.push((path.to_owned(), policy));
    }

    /// Refuses to take a clock that was never set for one that says nothing against what
    /// expires, where a policy demands a clock.
    pub(crate) fn check_clock(&self, unset_passes: bool) -> Result<(), PolicyError> {
        let mut files = self.files.iter();
        match files.find(|(_, policy)| policy.requires(Requirement::Clock)) {
            Some((path, _)) if unset_passes => {
                Err(PolicyError::NotAllowed("--clock-unset", path.clone()))
            }
            _ => Ok(()),
        }
    }

    /// The limits of a run that asks for these.
    pub(crate) fn limits(&self, asked: &AskedLimits) -> Result<RunLimits, PolicyError> {
        // A time that is finer than a millisecond is above a bound that it is above by less.
        let timeout_ms = asked.timeout.map(|time| {
            u64::try_from(time.as_nanos().div_ceil(NANOSECONDS_PER_MILLISECOND)).unwrap_or(u64::MAX)
        });
        let settled_ms = self.settle("--timeout", timeout_ms, |bounds| bounds.timeout_ms)?;
        let fuel = self.settle("--fuel", asked.fuel, |bounds| bounds.fuel)?;
        let limits = RunLimits {
            fuel: fuel.map(|units| in_range("fuel", units, 0, BUDGET_MAX)).transpose()?,
            // What was asked for may be finer than a millisecond.
            timeout: match (asked.timeout, settled_ms) {
                (Some(asked), _) => Some(asked),
                (None, Some(ms)) => {
                    Some(Duration::from_millis(in_range("timeout_ms", ms, 1, TIMEOUT_MS_MAX)?))
                }
                (None, None) => None,
            },
            memory: self
                .settle("--max-memory", asked.memory, |bounds| bounds.memory_bytes)?
                .unwrap_or(MEMORY_BYTES_DEFAULT),
            stack: in_range(
                "stack_bytes",
                self.settle("--max-stack", asked.stack, |bounds| bounds.stack_bytes)?
                    .unwrap_or(STACK_BYTES_DEFAULT),
                STACK_BYTES_MIN,
                STACK_BYTES_MAX,
            )? as usize,
            output: self.settle("--max-output", asked.output, |bounds| bounds.output_bytes)?,
            descriptors: in_range(
                "descriptors",
                self.settle("--max-descriptors", asked.descriptors, |bounds| bounds.descriptors)?
                    .unwrap_or(u64::from(DESCRIPTORS_DEFAULT)),
                u64::from(DESCRIPTORS_MIN),
                u64::from(DESCRIPTORS_MAX),
            )? as u32,
        };
        Ok(limits)
    }

    /// The narrowest that all files agree on.
    fn settle(
        &self,
        option: &'static str,
        asked: Option<u64>,
        bound: impl Fn(&Bounds) -> Bound,
    ) -> Result<Option<u64>, PolicyError> {
        let mut narrowest = asked;
        for (path, policy) in &self.files {
            let settled = bound(&policy.limits).settle(asked).map_err(|max| {
                PolicyError::Beyond(option, asked.unwrap_or_default(), max, path.clone())
            })?;
            narrowest = match (narrowest, settled) {
                (Some(one), Some(other)) => Some(one.min(other)),
                (one, other) => one.or(other),
            };
        }
        Ok(narrowest)
    }

    /// Whether this is demanded.
    pub(crate) fn requires(&self, requirement: Requirement) -> bool {
        self.require.contains(&requirement)
            || self.files.iter().any(|(_, policy)| policy.requires(requirement))
    }

    /// The policy that does not allow this, if there is one.
    pub(crate) fn forbids(&self, wanted: &Permission) -> Option<&Path> {
        let mut files = self.files.iter();
        let (path, _) = files.find(|(_, policy)| !policy.allows(wanted))?;
        Some(path)
    }

    /// Folders that every run gets, with the file that says so.
    pub(crate) fn folders(&self) -> impl Iterator<Item = (&Path, &FolderGrant)> {
        self.files.iter().flat_map(|(path, policy)| {
            policy.folders.iter().map(move |folder| (path.as_path(), folder))
        })
    }

    /// Variables that every run gets.
    pub(crate) fn variables(&self) -> impl Iterator<Item = (&str, &str)> {
        let all = self.files.iter().flat_map(|(_, policy)| &policy.env);
        all.map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Where the policies say that a run is logged, and how much of it.
    pub(crate) fn logs(&self) -> Vec<(&Log, LogLevel)> {
        let mut logs = Vec::new();
        for (_, policy) in &self.files {
            if let Some(log) = &policy.log {
                logs.push((log, policy.log_level.unwrap_or_default()));
            }
        }
        logs
    }

    /// The accounts that the policies demand of every run.
    pub(crate) fn accounts(&self) -> impl Iterator<Item = &Account> {
        self.files.iter().filter_map(|(_, policy)| policy.account.as_ref())
    }

    /// Refuses to have the account that a policy demands kept by whom an option names.
    pub(crate) fn check_account_by(&self, program: Option<&Path>) -> Result<(), PolicyError> {
        let mut files = self.files.iter().filter(|(_, policy)| policy.account.is_some());
        match (program, files.next()) {
            (Some(_), Some((path, _))) => Err(PolicyError::NotAllowed("--account", path.clone())),
            _ => Ok(()),
        }
    }

    /// SHA-256 of each file.
    pub(crate) fn digests(&self) -> impl Iterator<Item = Sha256> {
        self.files.iter().filter_map(|(_, policy)| policy.digest)
    }

    /// The compiler that a policy names, and the key that it signs with.
    pub(crate) fn compiler(&self) -> (Option<&str>, Option<&str>) {
        let first =
            |of: fn(&Policy) -> Option<&str>| self.files.iter().find_map(|(_, policy)| of(policy));
        (
            first(|policy| policy.compile_with.as_deref()),
            first(|policy| policy.compile_key.as_deref()),
        )
    }

    /// The files, for `--explain` and the report.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.files.iter().map(|(path, _)| path.as_path())
    }
}

/// The value of an option as it is written behind it.
fn value(option: &str, number: u64) -> String {
    match option {
        "--timeout" => quantity::write_time(number),
        "--max-memory" | "--max-stack" | "--max-output" => quantity::write_size(number),
        _ => number.to_string(),
    }
}

fn in_range(limit: &'static str, value: u64, min: u64, max: u64) -> Result<u64, PolicyError> {
    if (min..=max).contains(&value) {
        Ok(value)
    } else {
        Err(PolicyError::Range(limit, value, min, max))
    }
}
