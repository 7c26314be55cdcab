//! The network in words: URLs, endpoints, what is granted of it, and whether something is.
//!
//! ```text
//! URL, HOST:PORT ─ parse ─► Url, Endpoint ─┐
//! --allow-net X  ─ parse ─► NetGrant ──────┴► NetRules ─► allowed, or a Denial in words
//! ```
//!
//! A name is judged twice: when it is asked for ([`NetRules::check`]), and again when it is
//! known which address it stands for ([`NetRules::check_address`]); whoever connects then
//! connects to that address and looks nothing up again. Guarantees that what is parsed is in
//! one spelling: names in lower case without a dot at the end, addresses as addresses, paths
//! without dot segments. Looks up no name and opens no connection.

mod address;
mod grant;
mod host;
mod path;
mod rules;
mod url;

pub use address::{AddressKind, kind_of};
pub use grant::{GrantError, NetGrant};
pub use host::{Endpoint, EndpointError, Host, HostError};
pub use rules::{Denial, NetRules, Target};
pub use url::{Scheme, Url, UrlError};
