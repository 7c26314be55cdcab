//! What a broker may do, in JSON: the first thing it hears, before there is a guest.
//!
//! Guarantees that a set-up is whole or refused: no unknown field, every number within its
//! bounds. Nothing in it is a guest's word; who starts the broker answers for it.

use crate::json::{self, JsonError};
use crate::limits::{
    EXTENSIONS_MAX, FRAME_BYTES_MAX, HEADER_BYTES_MAX, SETUP_BYTES_MAX, TIMEOUT_MS_MAX,
};
use crate::net::NetRules;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::PathBuf;

/// What a broker may do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Setup {
    /// The protocol's, [`Setup::VERSION`].
    pub version: u64,
    /// What of the network is granted.
    #[serde(default)]
    pub net: NetRules,
    /// Where extensions are, if there may be some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extensions: Option<ExtensionsFrom>,
    /// Certificates of authorities that are trusted beside those that are built in, as PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorities: Option<PathBuf>,
    /// Whether it refuses where it cannot confine itself wholly.
    #[serde(default)]
    pub require_sandbox: bool,
    /// Whether it answers for several guests, one behind the other
    /// ([`NextGuest`](super::Request::NextGuest)).
    #[serde(default)]
    pub several_guests: bool,
    /// How much of everything.
    #[serde(default)]
    pub limits: BrokerLimits,
}

/// Where extensions are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExtensionsFrom {
    /// The registry (`shared/src/extension.rs`), or a folder of programs each of which is asked.
    pub path: PathBuf,
    /// Whether it is a folder.
    #[serde(default)]
    pub is_folder: bool,
    /// The aliases that may be used; `None` is all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aliases: Option<Vec<String>>,
}

/// How much of everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BrokerLimits {
    /// Requests by HTTP and connections, in all.
    pub requests: u32,
    /// Open HTTP answers, and running extensions, each.
    pub handles: u32,
    /// Bytes of the headers of one HTTP answer.
    pub header_bytes: u32,
    /// Bytes of the body of one HTTP answer.
    pub response_bytes: u64,
    /// Bytes of all bodies, sent and received.
    pub total_bytes: u64,
    /// Milliseconds until there is a connection.
    pub connect_ms: u64,
    /// Milliseconds from a request to the last byte of its answer.
    pub total_ms: u64,
}

impl Default for BrokerLimits {
    fn default() -> Self {
        Self {
            requests: 10_000,
            handles: 16,
            header_bytes: 64 << 10,
            response_bytes: 64 << 20,
            total_bytes: 1 << 30,
            connect_ms: 10_000,
            total_ms: 60_000,
        }
    }
}

/// Why text is no set-up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetupError {
    /// Longer than [`SETUP_BYTES_MAX`].
    Long,
    /// Not the JSON it should be.
    Json(JsonError),
    /// Another version of the protocol.
    Version(u64),
    /// A number is beyond what may be; the field's name.
    Limit(&'static str),
    /// A path that does not begin with a slash; the field's name.
    Path(&'static str),
}

impl fmt::Display for SetupError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Long => write!(formatter, "the set-up is longer than {SETUP_BYTES_MAX} bytes"),
            Self::Json(error) => write!(formatter, "the set-up: {error}"),
            Self::Version(version) => write!(
                formatter,
                "the set-up is of version {version} of the protocol, and this broker speaks {}",
                Setup::VERSION
            ),
            Self::Limit(field) => {
                write!(formatter, "the limit {field:?} of the set-up is beyond what may be")
            }
            Self::Path(field) => {
                write!(formatter, "{field:?} of the set-up does not begin with a slash")
            }
        }
    }
}

impl std::error::Error for SetupError {}

impl Setup {
    /// The version of the protocol.
    pub const VERSION: u64 = 1;

    /// Reads one.
    ///
    /// # Errors
    /// [`SetupError`].
    pub fn parse(text: &[u8]) -> Result<Self, SetupError> {
        if text.len() > SETUP_BYTES_MAX {
            return Err(SetupError::Long);
        }
        let setup: Self = json::read(text).map_err(SetupError::Json)?;
        if setup.version != Self::VERSION {
            return Err(SetupError::Version(setup.version));
        }
        let limits = &setup.limits;
        for (name, value, most) in [
            ("handles", u64::from(limits.handles), 1024),
            ("header_bytes", u64::from(limits.header_bytes), HEADER_BYTES_MAX as u64),
            ("response_bytes", limits.response_bytes, 1 << 40),
            ("total_bytes", limits.total_bytes, 1 << 50),
            ("connect_ms", limits.connect_ms, TIMEOUT_MS_MAX),
            ("total_ms", limits.total_ms, TIMEOUT_MS_MAX),
        ] {
            if value > most {
                return Err(SetupError::Limit(name));
            }
        }
        if let Some(from) = &setup.extensions {
            if !from.path.is_absolute() {
                return Err(SetupError::Path("extensions"));
            }
            if from.aliases.as_ref().is_some_and(|aliases| aliases.len() > EXTENSIONS_MAX) {
                return Err(SetupError::Limit("aliases"));
            }
        }
        if setup.authorities.as_ref().is_some_and(|path| !path.is_absolute()) {
            return Err(SetupError::Path("authorities"));
        }
        Ok(setup)
    }

    /// Its text.
    ///
    /// # Errors
    /// Where a path of it is not UTF-8.
    pub fn to_text(&self) -> Result<Vec<u8>, JsonError> {
        serde_json::to_vec(self).map_err(|error| JsonError::Value(error.to_string()))
    }
}

/// The most that fits into one answer: what [`Request::HttpRpc`](super::Request::HttpRpc) and
/// [`Request::Read`](super::Request::Read) may ask for is cut to it.
pub const ANSWER_BYTES_MAX: usize = FRAME_BYTES_MAX - 5;
