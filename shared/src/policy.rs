//! Policies: what an operator allows, and what an author says is needed.
//!
//! Both are JSON files with a version. An operator's [`Policy`] gives defaults and
//! upper bounds for every run on a machine; a builder's lists needs for the manifest
//! (`needs`). Guarantees after a parse: no unknown field, no default above its
//! bound. Reads no file and grants nothing: the programs do.

mod log;

use crate::capability::{Capability, Permission};
use crate::digest::Sha256;
use crate::quantity::{parse_count, parse_size, parse_time};
pub use log::{Log, LogLevel};
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, Visitor};
use std::collections::BTreeMap;
use std::fmt;

/// The operator's policy that holds for every run on a machine.
pub const SYSTEM_FILE: &str = "/etc/bls/policy.json";
/// The version of both forms.
const VERSION: u64 = 1;

/// Why a text is no policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PolicyError {
    /// Not the JSON of one; what the parser said.
    Json(String),
    /// A version that this program does not read.
    Version(u64),
    /// A limit whose default is above its bound; which.
    Default(&'static str),
}

impl fmt::Display for PolicyError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(what) => write!(formatter, "not a policy: {what}"),
            Self::Version(version) => {
                write!(formatter, "a policy of version {version}; this program reads {VERSION}")
            }
            Self::Default(limit) => write!(formatter, "the default of {limit} is above its max"),
        }
    }
}

impl std::error::Error for PolicyError {}

impl PolicyError {
    /// Its name, which stays the same when words change.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Json(_) => "policy.json",
            Self::Version(_) => "policy.version",
            Self::Default(_) => "policy.default",
        }
    }
}

/// Something an operator demands of an artifact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Requirement {
    /// It is metered.
    Fuel,
    /// Nothing in it depends on the CPU: NaNs are canonical.
    Deterministic,
    /// It gets only what its manifest says it needs.
    OnlyDeclared,
    /// What expires runs only where the clock is set.
    Clock,
    /// It runs behind the whole second wall, or not at all.
    Sandbox,
    /// Its code has what keeps control flow inside it: masks against Spectre, and on Arm
    /// signed return addresses.
    ControlFlow,
}

/// A folder that every run gets.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FolderGrant {
    /// Its path on this machine.
    pub host: String,
    /// Its path in the guest's eyes.
    pub guest: String,
    /// Whether it may be changed.
    #[serde(default)]
    pub write: bool,
}

/// The account that is kept of every run: paths of this machine. Receipts and the key that signs
/// them come together.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// The file of counters.
    #[serde(default)]
    pub metrics: Option<String>,
    /// The folder that gets a signed receipt of each run.
    #[serde(default)]
    pub receipts: Option<String>,
    /// The file of the key that signs receipts.
    #[serde(default)]
    pub key: Option<String>,
    /// bls-account, by its path; where it is absent, the one beside bls-load.
    #[serde(default)]
    pub program: Option<String>,
}

/// A default for those who do not ask, and a bound for those who do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bound {
    /// What a run gets that does not ask; where it is absent, `max`.
    pub default: Option<u64>,
    /// The most that a run may ask for.
    pub max: Option<u64>,
}

impl Bound {
    /// What a run gets that asks for `asked`, or the bound that it is above.
    ///
    /// # Errors
    /// The bound.
    pub fn settle(&self, asked: Option<u64>) -> Result<Option<u64>, u64> {
        match (asked, self.max) {
            (Some(asked), Some(max)) if asked > max => Err(max),
            (Some(asked), _) => Ok(Some(asked)),
            (None, max) => Ok(self.default.or(max)),
        }
    }
}

/// A number, or words that stand for one, as a command line takes them: `"64MiB"`.
enum Amount {
    Number(u64),
    Words(String),
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl Visitor<'_> for Reader {
            type Value = Amount;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a whole number, or text like \"64MiB\"")
            }

            fn visit_u64<E>(self, number: u64) -> Result<Amount, E> {
                Ok(Amount::Number(number))
            }

            fn visit_str<E>(self, words: &str) -> Result<Amount, E> {
                Ok(Amount::Words(words.to_owned()))
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

/// How the words of a limit are read.
type Parse = fn(&str) -> Result<u64, String>;

/// Reads a bound whose words `parse` understands.
fn bound<'de, D: Deserializer<'de>>(deserializer: D, parse: Parse) -> Result<Bound, D::Error> {
    #[derive(Default, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Form {
        default: Option<Amount>,
        max: Option<Amount>,
    }
    let form = Form::deserialize(deserializer)?;
    let number = |amount| match amount {
        None => Ok(None),
        Some(Amount::Number(number)) => Ok(Some(number)),
        Some(Amount::Words(words)) => parse(&words).map(Some).map_err(D::Error::custom),
    };
    Ok(Bound { default: number(form.default)?, max: number(form.max)? })
}

fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bound, D::Error> {
    bound(deserializer, parse_count)
}

fn size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bound, D::Error> {
    bound(deserializer, parse_size)
}

fn milliseconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bound, D::Error> {
    bound(deserializer, |words| {
        let time = parse_time(words)?;
        let whole =
            u64::try_from(time.as_millis()).ok().filter(|_| time.subsec_nanos() % 1_000_000 == 0);
        whole.ok_or_else(|| format!("{words:?} is not a whole number of milliseconds"))
    })
}

/// Reads a level by its name. By way of a text, which policies have anyway: a reader of its own
/// would be as long.
fn log_level<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<LogLevel>, D::Error> {
    let word = Option::<String>::deserialize(deserializer)?;
    let wrong = || D::Error::custom("log-level takes error, warn, info or debug");
    word.map(|word| LogLevel::from_word(&word).ok_or_else(wrong)).transpose()
}

/// Limits of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Bounds {
    /// Units of fuel.
    #[serde(deserialize_with = "count")]
    pub fuel: Bound,
    /// Wall time, in milliseconds.
    #[serde(deserialize_with = "milliseconds")]
    pub timeout_ms: Bound,
    /// All memories, tables and the collector's heap together, in bytes.
    #[serde(deserialize_with = "size")]
    pub memory_bytes: Bound,
    /// Stack, in bytes.
    #[serde(deserialize_with = "size")]
    pub stack_bytes: Bound,
    /// Bytes written over all descriptors.
    #[serde(deserialize_with = "size")]
    pub output_bytes: Bound,
    /// Open descriptors, the standard streams included.
    #[serde(deserialize_with = "count")]
    pub descriptors: Bound,
}

impl Bounds {
    fn check(&self) -> Result<(), PolicyError> {
        let all = [
            ("fuel", self.fuel),
            ("timeout_ms", self.timeout_ms),
            ("memory_bytes", self.memory_bytes),
            ("stack_bytes", self.stack_bytes),
            ("output_bytes", self.output_bytes),
            ("descriptors", self.descriptors),
        ];
        for (name, bound) in all {
            if bound.default.zip(bound.max).is_some_and(|(default, max)| default > max) {
                return Err(PolicyError::Default(name));
            }
        }
        Ok(())
    }
}

/// What an operator allows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    version: u64,
    /// What every artifact must be.
    #[serde(default)]
    pub require: Vec<Requirement>,
    /// The most that may be granted; absent for no bound. Paths are this machine's.
    #[serde(default)]
    pub allow: Option<Vec<Permission>>,
    /// Folders that every run gets.
    #[serde(default)]
    pub folders: Vec<FolderGrant>,
    /// Variables that every run gets.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Limits.
    #[serde(default)]
    pub limits: Bounds,
    /// Where the lines go that say what runs and how it ended.
    #[serde(default)]
    pub log: Option<Log>,
    /// How much of that is wanted.
    #[serde(default, rename = "log-level", deserialize_with = "log_level")]
    pub log_level: Option<LogLevel>,
    /// The account that is kept of every run.
    #[serde(default)]
    pub account: Option<Account>,
    /// SHA-256 of the file that it was read from.
    #[serde(skip)]
    pub digest: Option<Sha256>,
    /// The bls-compile that compiles a module which is not installed, by its path.
    #[serde(default, rename = "compile-with")]
    pub compile_with: Option<String>,
    /// The key that it signs with, as its `--key` takes it.
    #[serde(default, rename = "compile-key")]
    pub compile_key: Option<String>,
}

impl Policy {
    /// Reads an operator's policy.
    ///
    /// # Errors
    /// [`PolicyError`].
    pub fn parse(text: &[u8]) -> Result<Self, PolicyError> {
        let policy: Self = serde_json::from_slice(text).map_err(json)?;
        check_version(policy.version)?;
        policy.limits.check()?;
        let is_half = |account: &Account| account.receipts.is_some() != account.key.is_some();
        if policy.account.as_ref().is_some_and(is_half) {
            let what = "an account's receipts and the key that signs them come together";
            return Err(PolicyError::Json(what.to_owned()));
        }
        if policy.log.is_none() && policy.log_level.is_some() {
            let what = "a log-level says how much of a log is wanted, and there is no log";
            return Err(PolicyError::Json(what.to_owned()));
        }
        Ok(Self { digest: Some(Sha256::of(text)), ..policy })
    }

    /// Whether this may be granted.
    #[must_use]
    pub fn allows(&self, wanted: &Permission) -> bool {
        self.allow.as_ref().is_none_or(|allowed| allowed.iter().any(|one| one.covers(wanted)))
    }

    /// Whether all of this kind may be granted.
    #[must_use]
    pub fn allows_all(&self, capability: Capability) -> bool {
        self.allows(&Permission::all(capability))
    }

    /// Whether it demands this.
    #[must_use]
    pub fn requires(&self, requirement: Requirement) -> bool {
        self.require.contains(&requirement)
    }
}

/// Reads a builder's policy: `{"version": 1, "needs": ["fs.write:/data"]}`.
///
/// # Errors
/// [`PolicyError`].
pub fn parse_needs(text: &[u8]) -> Result<Vec<Permission>, PolicyError> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Needs {
        version: u64,
        needs: Vec<Permission>,
    }
    let file: Needs = serde_json::from_slice(text).map_err(json)?;
    check_version(file.version)?;
    Ok(file.needs)
}

fn check_version(version: u64) -> Result<(), PolicyError> {
    if version == VERSION { Ok(()) } else { Err(PolicyError::Version(version)) }
}

fn json(error: serde_json::Error) -> PolicyError {
    PolicyError::Json(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_read_whole() {
        let policy = Policy::parse(
            br#"{"version": 1, "require": ["fuel", "only-declared"],
                 "allow": ["stdout", "fs.read:/srv"],
                 "folders": [{"host": "/srv/a", "guest": "/a"}], "env": {"LANG": "C"},
                 "limits": {"fuel": {"default": 5, "max": 9}, "timeout_ms": {"max": 100}}}"#,
        )
        .unwrap();
        assert!(policy.requires(Requirement::Fuel));
        assert!(!policy.requires(Requirement::Deterministic));
        assert!(policy.allows(&Permission::parse("fs.read:/srv/a/b").unwrap()));
        assert!(!policy.allows(&Permission::parse("fs.write:/srv/a").unwrap()));
        assert!(!policy.allows_all(Capability::Stdin));
        assert!(!policy.folders[0].write);
        let limits = policy.limits;
        assert_eq!(limits.fuel.settle(None), Ok(Some(5)));
        assert_eq!(limits.fuel.settle(Some(9)), Ok(Some(9)));
        assert_eq!(limits.fuel.settle(Some(10)), Err(9));
        assert_eq!(limits.timeout_ms.settle(None), Ok(Some(100)));
        assert_eq!(limits.memory_bytes.settle(None), Ok(None));
        assert!(Policy::parse(br#"{"version": 1}"#).unwrap().allows_all(Capability::Stdin));
    }

    #[test]
    fn limits_can_be_words() {
        let limits = |text: &str| {
            let text = format!(r#"{{"version": 1, "limits": {text}}}"#);
            Policy::parse(text.as_bytes()).map(|policy| policy.limits)
        };
        let read = limits(
            r#"{"fuel": {"default": "1M", "max": "1e9"}, "timeout_ms": {"max": "1h30m"},
                "memory_bytes": {"max": "64MB"}, "stack_bytes": {"max": "64k"},
                "output_bytes": {"default": 5, "max": "4294967296"}, "descriptors": {"max": "1k"}}"#,
        )
        .unwrap();
        assert_eq!(read.fuel, Bound { default: Some(1_000_000), max: Some(1_000_000_000) });
        assert_eq!(read.timeout_ms.max, Some(5_400_000));
        assert_eq!(read.memory_bytes.max, Some(64 << 20));
        assert_eq!(read.stack_bytes.max, Some(64 << 10));
        assert_eq!(read.output_bytes, Bound { default: Some(5), max: Some(1 << 32) });
        assert_eq!(read.descriptors.max, Some(1000));
        for (wrong, words) in [
            (r#"{"fuel": {"max": "64MiB"}}"#, "1_000_000"),
            (r#"{"memory_bytes": {"max": "1h"}}"#, "64KiB"),
            (r#"{"timeout_ms": {"max": "60"}}"#, "1h30m"),
            (r#"{"timeout_ms": {"max": "1.5ms"}}"#, "milliseconds"),
            (r#"{"fuel": {"max": 1.5}}"#, "a whole number, or text"),
            (r#"{"fuel": {"max": true}}"#, "a whole number, or text"),
            (r#"{"fuel": {"most": 1}}"#, "most"),
            (r#"{"fuel": 5}"#, "invalid type"),
        ] {
            let sentence = limits(wrong).unwrap_err().to_string();
            assert!(sentence.contains(words), "{wrong}: {sentence}");
        }
    }

    #[test]
    fn what_is_no_policy() {
        for text in [
            "",
            "{}",
            r#"{"version": 2}"#,
            r#"{"version": 1, "alow": []}"#,
            r#"{"version": 1, "allow": ["files"]}"#,
            r#"{"version": 1, "require": ["speed"]}"#,
            r#"{"version": 1, "limits": {"fuel": {"default": 2, "max": 1}}}"#,
            r#"{"version": 1, "limits": {"fuel": {"max": -1}}}"#,
            r#"{"version": 1, "version": 1}"#,
            r#"{"version": 1, "log": "runs.log"}"#,
            r#"{"version": 1, "log-level": "warn"}"#,
            r#"{"version": 1, "log": "stderr", "log-level": "loud"}"#,
        ] {
            assert!(Policy::parse(text.as_bytes()).is_err(), "{text}");
        }
        assert_eq!(parse_needs(br#"{"version": 1, "needs": ["random"]}"#).unwrap().len(), 1);
        assert!(parse_needs(br#"{"version": 1}"#).is_err());
        assert!(parse_needs(br#"{"version": 3, "needs": []}"#).is_err());
    }
}
