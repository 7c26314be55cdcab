//! The registry of extensions: programs beside guests, and what each may do.
//!
//! ```json
//! {"version": 1, "extensions": [{
//!   "alias": "search", "path": "/usr/lib/bls/search", "sha256": "…64 hex digits…",
//!   "md5": "…", "description": "finds things",
//!   "arguments": ["--index", "--limit=*"], "variables": ["LANG"],
//!   "time": "1m", "memory": "256MiB", "output": "16MiB", "processes": 16, "files": 64,
//!   "network": false, "read": ["/var/lib/search"], "write": []
//! }]}
//! ```
//!
//! Whoever may write this file decides what guests may have executed, so it is read only where
//! its owner is root or the user (the broker sees to it). Guarantees after a parse: no unknown
//! field, no alias twice, absolute plain paths, numbers within their bounds. Knows nothing of
//! processes.

use crate::digest::Sha256;
use crate::json::{self, JsonError};
use crate::limits::{EXTENSIONS_MAX, REGISTRY_BYTES_MAX, TIMEOUT_MS_MAX};
use crate::quantity::{parse_size, parse_time, write_size, write_time};
use serde::de::{Error as _, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::path::{Component, Path, PathBuf};

/// Longest alias, in bytes.
pub const ALIAS_BYTES_MAX: usize = 128;
/// Longest description, in bytes.
pub const DESCRIPTION_BYTES_MAX: usize = 1024;
/// Most items of one of an extension's lists.
const ITEMS_MAX: usize = 256;
/// Most memory of each process of an extension, in bytes.
const MEMORY_MAX: u64 = 1 << 40;
/// Most processes of an extension, and most files that one of them has open.
const COUNT_MAX: u32 = 1 << 16;

/// Names of variables that change what a program is, and so are in no extension's list.
const LOADER_VARIABLES: [&str; 22] = [
    "PATH",
    "HOME",
    "IFS",
    "ENV",
    "CDPATH",
    "SHELLOPTS",
    "BASHOPTS",
    "PS4",
    "PROMPT_COMMAND",
    "GCONV_PATH",
    "GETCONF_DIR",
    "HOSTALIASES",
    "LOCALDOMAIN",
    "LOCPATH",
    "MALLOC_TRACE",
    "NIS_PATH",
    "NLSPATH",
    "RESOLV_HOST_CONF",
    "RES_OPTIONS",
    "TMPDIR",
    "TZDIR",
    "CLASSPATH",
];
/// What the names of such variables begin with.
const LOADER_PREFIXES: [&str; 21] = [
    "LD_", "DYLD_", "GLIBC_", "GCONV_", "MALLOC_", "BASH", "PYTHON", "PERL", "RUBY", "NODE_",
    "LUA_", "JAVA", "JDK_", "_JAVA", "PHP", "GIO_", "GTK_", "QT_", "OPENSSL_", "SSL_", "GIT_",
];

/// Whether a variable of this name may change which code a program runs. Such variables reach
/// an extension only where its registry names them; in a folder without one, never.
#[must_use]
pub fn is_loader_variable(name: &str) -> bool {
    LOADER_VARIABLES.contains(&name)
        || LOADER_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// Whether text can be a variable's name.
#[must_use]
pub fn is_variable_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= 256 && !name.contains(['=', '\0'])
}

/// The programs that guests may use.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Registry {
    /// The form of the file, [`Registry::VERSION`].
    pub version: u64,
    /// The extensions, in the order they are listed.
    pub extensions: Vec<Extension>,
}

/// A program beside guests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Extension {
    /// The name by which guests know it.
    pub alias: String,
    /// Its file.
    pub path: PathBuf,
    /// The SHA-256 of its file: another file is not executed.
    pub sha256: Sha256,
    /// The MD5 of its file, in hex: what guests of the network are told. Decides nothing.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub md5: String,
    /// What it does, in its own words.
    #[serde(default)]
    pub description: String,
    /// The arguments that a guest may pass: each as it stands, or, where it ends in `*`, all
    /// that begin so. `None` is any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arguments: Option<Vec<String>>,
    /// Names of the variables that a guest may set.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub variables: Vec<String>,
    /// How long it may run, in milliseconds.
    #[serde(
        rename = "time",
        default = "default_time",
        serialize_with = "write_ms",
        deserialize_with = "read_ms"
    )]
    pub time_ms: u64,
    /// Memory that each of its processes may write to, in bytes.
    #[serde(
        default = "default_memory",
        serialize_with = "write_bytes",
        deserialize_with = "read_bytes"
    )]
    pub memory: u64,
    /// Bytes of its output and errors together that reach the guest.
    #[serde(
        default = "default_output",
        serialize_with = "write_bytes",
        deserialize_with = "read_bytes"
    )]
    pub output: u64,
    /// How many processes it may be at a time; with 1 it can make no other.
    #[serde(default = "default_processes")]
    pub processes: u32,
    /// How many files each of its processes may have open.
    #[serde(default = "default_files")]
    pub files: u32,
    /// Whether it may use the network, all of it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub network: bool,
    /// Files, and folders with all that is in them, that it may read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub read: Vec<PathBuf>,
    /// The same that it may change.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub write: Vec<PathBuf>,
}

fn default_time() -> u64 {
    10 * 60 * 1000
}

fn default_memory() -> u64 {
    512 << 20
}

fn default_output() -> u64 {
    64 << 20
}

fn default_processes() -> u32 {
    64
}

fn default_files() -> u32 {
    256
}

fn is_false(value: &bool) -> bool {
    !*value
}

fn write_ms<S: Serializer>(value: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&write_time(*value))
}

fn write_bytes<S: Serializer>(value: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&write_size(*value))
}

/// A whole number, or words for it.
struct Amount(fn(&str) -> Result<u64, String>);

impl Visitor<'_> for Amount {
    type Value = u64;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a whole number, or text like \"64MiB\" or \"1m30s\"")
    }

    fn visit_u64<E>(self, number: u64) -> Result<u64, E> {
        Ok(number)
    }

    fn visit_str<E: serde::de::Error>(self, words: &str) -> Result<u64, E> {
        self.0(words).map_err(E::custom)
    }
}

fn read_ms<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let whole = |words: &str| parse_time(words).map(|time| time.as_millis() as u64);
    let ms = deserializer.deserialize_any(Amount(whole))?;
    if (1..=TIMEOUT_MS_MAX).contains(&ms) {
        return Ok(ms);
    }
    Err(D::Error::custom(format_args!("a time is 1 to {TIMEOUT_MS_MAX} milliseconds")))
}

fn read_bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    deserializer.deserialize_any(Amount(parse_size))
}

impl Extension {
    /// One with what an extension may be allowed by default.
    #[must_use]
    pub fn new(alias: String, path: PathBuf, sha256: Sha256) -> Self {
        Self {
            alias,
            path,
            sha256,
            md5: String::new(),
            description: String::new(),
            arguments: None,
            variables: Vec::new(),
            time_ms: default_time(),
            memory: default_memory(),
            output: default_output(),
            processes: default_processes(),
            files: default_files(),
            network: false,
            read: Vec::new(),
            write: Vec::new(),
        }
    }

    /// Whether a guest may pass this argument.
    #[must_use]
    pub fn allows_argument(&self, argument: &str) -> bool {
        let fits = |allowed: &String| match allowed.strip_suffix('*') {
            Some(start) => argument.starts_with(start),
            None => argument == allowed,
        };
        self.arguments.as_ref().is_none_or(|list| list.iter().any(fits))
    }

    /// Whether a guest may set a variable of this name.
    #[must_use]
    pub fn allows_variable(&self, name: &str) -> bool {
        self.variables.iter().any(|allowed| allowed == name)
    }

    fn check(&self) -> Result<(), RegistryError> {
        let wrong = |what| Err(RegistryError::Field(self.alias.clone(), what));
        if !is_alias(&self.alias) {
            return wrong("alias: 1 to 128 bytes without control characters are wanted");
        }
        let paths = [&self.path].into_iter().chain(&self.read).chain(&self.write);
        if !paths.into_iter().all(|path| is_plain_path(path)) {
            return wrong("path, read, write: a path begins with a slash and has no \"..\" in it");
        }
        let is_md5 = |text: &str| text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit());
        if !self.md5.is_empty() && !is_md5(&self.md5) {
            return wrong("md5: 32 hex digits are wanted");
        }
        if self.description.len() > DESCRIPTION_BYTES_MAX {
            return wrong("description: it is longer than 1024 bytes");
        }
        if !self.variables.iter().all(|name| is_variable_name(name)) {
            return wrong("variables: a list of names is wanted");
        }
        let lists = [self.arguments.as_ref().map_or(0, Vec::len), self.variables.len()];
        if lists.iter().chain(&[self.read.len(), self.write.len()]).any(|count| *count > ITEMS_MAX)
        {
            return wrong("a list has more than 256 items");
        }
        let is_count = |count| (1..=COUNT_MAX).contains(&count);
        if !is_count(self.processes) || !is_count(self.files) || self.files < 4 {
            return wrong("processes, files: 1, and 4, to 65536 are wanted");
        }
        if !(1 << 20..=MEMORY_MAX).contains(&self.memory) {
            return wrong("memory: 1MiB to 1TB is wanted");
        }
        Ok(())
    }
}

/// Whether text can be the name by which guests know an extension.
#[must_use]
pub fn is_alias(text: &str) -> bool {
    (1..=ALIAS_BYTES_MAX).contains(&text.len()) && !text.chars().any(char::is_control)
}

fn is_plain_path(path: &Path) -> bool {
    path.is_absolute() && !path.components().any(|part| part == Component::ParentDir)
}

/// Why bytes are no registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RegistryError {
    /// Longer than [`REGISTRY_BYTES_MAX`].
    Long,
    /// Not the JSON it should be.
    Json(JsonError),
    /// Another form.
    Version(u64),
    /// More than [`EXTENSIONS_MAX`].
    Many,
    /// Two of one alias.
    Twice(String),
    /// A field of the extension of this alias, and what is wanted.
    Field(String, &'static str),
}

impl fmt::Display for RegistryError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Long => write!(formatter, "it is longer than {REGISTRY_BYTES_MAX} bytes"),
            Self::Json(error) => error.fmt(formatter),
            Self::Version(version) => write!(
                formatter,
                "it is of form {version}, and this program reads {}",
                Registry::VERSION
            ),
            Self::Many => write!(formatter, "it has more than {EXTENSIONS_MAX} extensions"),
            Self::Twice(alias) => write!(formatter, "two extensions are called {alias:?}"),
            Self::Field(alias, what) => write!(formatter, "the extension {alias:?}: {what}"),
        }
    }
}

impl std::error::Error for RegistryError {}

impl Registry {
    /// The form of the file.
    pub const VERSION: u64 = 1;

    /// One without extensions.
    #[must_use]
    pub fn empty() -> Self {
        Self { version: Self::VERSION, extensions: Vec::new() }
    }

    /// Reads one.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub fn parse(text: &[u8]) -> Result<Self, RegistryError> {
        if text.len() as u64 > REGISTRY_BYTES_MAX {
            return Err(RegistryError::Long);
        }
        let registry: Self = json::read(text).map_err(RegistryError::Json)?;
        registry.check()?;
        Ok(registry)
    }

    /// Whether it may be written: the same that is asked of one that is read.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub fn check(&self) -> Result<(), RegistryError> {
        if self.version != Self::VERSION {
            return Err(RegistryError::Version(self.version));
        }
        if self.extensions.len() > EXTENSIONS_MAX {
            return Err(RegistryError::Many);
        }
        for (index, one) in self.extensions.iter().enumerate() {
            one.check()?;
            if self.extensions[..index].iter().any(|other| other.alias == one.alias) {
                return Err(RegistryError::Twice(one.alias.clone()));
            }
        }
        Ok(())
    }

    /// The extension of this alias.
    #[must_use]
    pub fn find(&self, alias: &str) -> Option<&Extension> {
        self.extensions.iter().find(|extension| extension.alias == alias)
    }

    /// Its text, indented, with a newline behind it.
    ///
    /// # Errors
    /// Where a path is not UTF-8.
    pub fn to_text(&self) -> Result<String, JsonError> {
        let text = serde_json::to_string_pretty(self);
        text.map(|text| text + "\n").map_err(|error| JsonError::Value(error.to_string()))
    }
}

/// What a program says of itself when it is asked with `--ext_verify`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Introduction {
    /// The name by which guests shall know it.
    pub alias: String,
    /// What it does.
    #[serde(default)]
    pub description: String,
    /// That it is an extension of this kind.
    pub is_cgi: bool,
}

/// Longest introduction, in bytes.
pub const INTRODUCTION_BYTES_MAX: usize = 64 << 10;

impl Introduction {
    /// Reads one. Fields of others, such as `md5`, are overlooked.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn parse(text: &[u8]) -> Result<Self, String> {
        if text.len() > INTRODUCTION_BYTES_MAX {
            return Err(format!("it says more than {INTRODUCTION_BYTES_MAX} bytes"));
        }
        let said: Self = serde_json::from_slice(text)
            .map_err(|error| format!("what it says is not the JSON it should be: {error}"))?;
        if !said.is_cgi {
            return Err("it says that it is no extension (\"is_cgi\" is false)".to_owned());
        }
        if !is_alias(&said.alias) {
            return Err(
                "it has no alias, or none of 1 to 128 bytes without control characters".to_owned()
            );
        }
        if said.description.len() > DESCRIPTION_BYTES_MAX {
            return Err("its description is longer than 1024 bytes".to_owned());
        }
        Ok(said)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extension() -> Extension {
        Extension::new("echo".to_owned(), "/opt/echo".into(), Sha256([7; 32]))
    }

    #[test]
    fn what_is_written_is_read_again() {
        let mut other = extension();
        other.alias = "search".to_owned();
        other.arguments = Some(vec!["--index".to_owned(), "--limit=*".to_owned()]);
        other.variables = vec!["LANG".to_owned()];
        other.md5 = "0123456789abcdef".repeat(2);
        other.description = "finds things".to_owned();
        other.time_ms = 90_000;
        other.memory = 1 << 30;
        other.network = true;
        other.read = vec!["/var/lib/search".into()];
        other.write = vec!["/tmp/x".into()];
        let registry = Registry { extensions: vec![extension(), other], ..Registry::empty() };
        let text = registry.to_text().unwrap();
        assert!(text.contains("\"time\": \"90s\""), "{text}");
        assert_eq!(Registry::parse(text.as_bytes()), Ok(registry.clone()));
        assert_eq!(registry.find("search").unwrap().variables, ["LANG"]);
        assert!(registry.find("none").is_none());
    }

    #[test]
    fn little_need_be_said() {
        let digest = "07".repeat(32);
        let text = format!(
            r#"{{"version":1,"extensions":[{{"alias":"echo","path":"/opt/echo","sha256":"{digest}"}}]}}"#
        );
        assert_eq!(Registry::parse(text.as_bytes()).unwrap().extensions, [extension()]);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let with = |fields: &str| {
            let digest = "07".repeat(32);
            let text = format!(
                r#"{{"version":1,"extensions":[{{"alias":"echo","path":"/opt/echo","sha256":"{digest}"{fields}}}]}}"#
            );
            Registry::parse(text.as_bytes())
        };
        assert!(with("").is_ok());
        for (fields, words) in [
            (r#","netwrok":true"#, "netwrok"),
            (r#","memory":"much""#, "much"),
            (r#","memory":1"#, "1MiB"),
            (r#","time":"0s""#, "0s"),
            (r#","time":0"#, "milliseconds"),
            (r#","processes":0"#, "processes"),
            (r#","files":3"#, "files"),
            (r#","read":["relative"]"#, "slash"),
            (r#","write":["/a/../b"]"#, "slash"),
            (r#","md5":"x""#, "md5"),
            (r#","variables":["A=B"]"#, "variables"),
            (r#","alias":"again""#, "alias"),
        ] {
            let error = with(fields).unwrap_err().to_string();
            assert!(error.contains(words), "{fields}: {error}");
        }
        let twice = Registry { extensions: vec![extension(), extension()], ..Registry::empty() };
        assert_eq!(twice.check(), Err(RegistryError::Twice("echo".to_owned())));
        assert!(Registry::parse(br#"{"version":2,"extensions":[]}"#).is_err());
        assert!(Registry::parse(br#"{"version":1}"#).is_err());
        assert_eq!(Registry::parse(&vec![b' '; 2 << 20]), Err(RegistryError::Long));
    }

    #[test]
    fn arguments_are_any_or_those_of_the_list() {
        let mut one = extension();
        assert!(one.allows_argument("--anything") && !one.allows_variable("LANG"));
        one.arguments = Some(vec!["--index".to_owned(), "--limit=*".to_owned()]);
        one.variables = vec!["LANG".to_owned()];
        assert!(one.allows_argument("--index") && one.allows_argument("--limit=7"));
        assert!(!one.allows_argument("--indexes") && !one.allows_argument(""));
        assert!(one.allows_variable("LANG") && !one.allows_variable("LANGUAGE"));
    }

    #[test]
    fn variables_that_choose_code_are_known() {
        for name in ["LD_PRELOAD", "LD_AUDIT", "PATH", "PYTHONPATH", "BASH_ENV", "GCONV_PATH"] {
            assert!(is_loader_variable(name), "{name}");
        }
        for name in ["GUEST_ENV", "LANG", "A", "SOLD_BY"] {
            assert!(!is_loader_variable(name), "{name}");
        }
        assert!(!is_variable_name("") && !is_variable_name("A=B") && is_variable_name("A"));
    }

    #[test]
    fn an_introduction_is_read_or_not() {
        let said = Introduction::parse(
            b"{\"alias\":\"echo\",\"description\":\"d\",\"is_cgi\":true,\"md5\":\"x\"}\n",
        );
        assert_eq!(said.unwrap().alias, "echo");
        for text in [
            "",
            "hello",
            "[]",
            r#"{"alias":"a"}"#,
            r#"{"alias":"a","is_cgi":false}"#,
            r#"{"alias":"","is_cgi":true}"#,
            r#"{"alias":"a\nb","is_cgi":true}"#,
            r#"{"alias":"a","is_cgi":true} more"#,
        ] {
            assert!(Introduction::parse(text.as_bytes()).is_err(), "{text}");
        }
    }
}
