//! Whoever is at the other end of HTTP: a registry, or a cache.
//!
//! Guarantees that every request ends within the time that is left, and waits for a silent peer
//! no longer than its kind may be silent; that no body is read beyond the bytes that it may
//! have; and that nothing is sent without TLS where that is not wanted. Says what went wrong in
//! sentences that name the host.

use crate::error::Error;
use bls_artifact::registry::Defect;
use std::io::{self, Read as _};
use std::time::{Duration, Instant};
use ureq::http::Response;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Body};

/// How long everything may take, where nothing else is said.
pub const TIME_DEFAULT: Duration = Duration::from_mins(10);

/// How the standard library says that a name is not known.
const NO_ADDRESS: &str = "failed to lookup address information";

/// How somebody is spoken with.
#[derive(Clone, Debug)]
pub struct Manner {
    /// Without TLS, wherever it is.
    pub plain_http: bool,
    /// Certificates of authorities beside Mozilla's, as PEM.
    pub authorities: Option<Vec<u8>>,
    /// How long everything may take.
    pub max_time: Duration,
}

impl Default for Manner {
    fn default() -> Self {
        Self { plain_http: false, authorities: None, max_time: TIME_DEFAULT }
    }
}

/// What is at the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An OCI registry: what is asked for is wanted.
    Registry,
    /// A cache: nobody waits for it longer than it can save.
    Cache,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Registry => "registries",
            Self::Cache => "caches",
        }
    }

    /// How long it may take to reach it.
    fn connect_max(self) -> Duration {
        Duration::from_secs(match self {
            Self::Registry => 20,
            Self::Cache => 5,
        })
    }

    /// How long it may say nothing.
    fn silence_max(self) -> Duration {
        Duration::from_secs(match self {
            Self::Registry => 60,
            Self::Cache => 10,
        })
    }
}

/// The other end.
#[derive(Debug)]
pub(crate) struct Peer {
    agent: Agent,
    host: String,
    kind: Kind,
    is_plain: bool,
    max_time: Duration,
    deadline: Instant,
}

impl Peer {
    /// The one at `host`, with its port where it has one. Sends nothing.
    ///
    /// # Errors
    /// The certificates are none.
    pub(crate) fn new(
        kind: Kind,
        host: &str,
        is_plain: bool,
        manner: &Manner,
    ) -> Result<Self, Error> {
        let mut tls = TlsConfig::builder();
        if let Some(pem) = &manner.authorities {
            tls = tls.root_certs(with_own(pem)?);
        }
        let silence_max = Some(kind.silence_max());
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .https_only(!is_plain)
            .tls_config(tls.build())
            .user_agent(concat!("bls-registry/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(kind.connect_max()))
            .timeout_recv_response(silence_max)
            .timeout_per_read(silence_max)
            .timeout_per_write(silence_max)
            .build()
            .new_agent();
        let max_time = manner.max_time;
        let deadline = Instant::now() + max_time;
        Ok(Self { agent, host: host.to_owned(), kind, is_plain, max_time, deadline })
    }

    /// What sends requests to it.
    pub(crate) fn agent(&self) -> &Agent {
        &self.agent
    }

    /// Whether it is spoken with without TLS.
    pub(crate) fn is_plain(&self) -> bool {
        self.is_plain
    }

    /// The time that is left.
    pub(crate) fn left(&self) -> Result<Duration, Error> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(self.late()) } else { Ok(left) }
    }

    /// The time is over.
    pub(crate) fn late(&self) -> Error {
        self.late_for(&self.host)
    }

    /// It is over, and `who` has taken it.
    pub(crate) fn late_for(&self, who: &str) -> Error {
        let time = self.max_time.as_millis();
        Error::new(Defect::Timeout, format!("{who} takes longer than the {time} ms that it may"))
    }

    /// Its name.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// The whole body, of at most so many bytes.
    pub(crate) fn bounded(&self, answer: Response<Body>, bytes_max: u64) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        let read = answer.into_body().into_reader().take(bytes_max + 1).read_to_end(&mut bytes);
        let _ = read.map_err(|error| self.broken(error))?;
        if bytes.len() as u64 > bytes_max {
            return Err(self.senseless(&format!("it answers with more than {bytes_max} bytes")));
        }
        Ok(bytes)
    }

    /// An answer that nobody of its kind gives.
    pub(crate) fn senseless(&self, what: &str) -> Error {
        let what = format!("{} does not speak as {} do: {what}", self.host, self.kind.word());
        Error::new(Defect::Answer, what)
    }

    /// Why there is no answer.
    pub(crate) fn failure(&self, error: ureq::Error) -> Error {
        let host = &self.host;
        match error {
            ureq::Error::HostNotFound => {
                Error::new(Defect::Host, format!("there is no address of {host}"))
            }
            ureq::Error::Timeout(ureq::Timeout::Global) => self.late(),
            ureq::Error::Timeout(_) => {
                let what = format!("{host} does not answer in the time that it has");
                Error::new(Defect::Timeout, what)
            }
            ureq::Error::RequireHttpsOnly(_) => {
                self.senseless("it leads from a place with TLS to one without")
            }
            ureq::Error::Io(error) => match error.kind() {
                io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => self.late(),
                // What TLS finds wrong is told so.
                io::ErrorKind::InvalidData if !self.is_plain => {
                    Error::new(Defect::Tls, format!("there is no TLS with {host}: {error}"))
                }
                // The standard library has no kind for it.
                _ if error.to_string().starts_with(NO_ADDRESS) => {
                    Error::new(Defect::Host, format!("there is no address of {host}: {error}"))
                }
                _ => Error::new(
                    Defect::Connection,
                    format!("there is no connection to {host}, or it broke: {error}"),
                ),
            },
            ureq::Error::Rustls(error) => {
                Error::new(Defect::Tls, format!("there is no TLS with {host}: {error}"))
            }
            ureq::Error::ConnectionFailed | ureq::Error::ConnectProxyFailed(_) => {
                Error::new(Defect::Connection, format!("there is no connection to {host}: {error}"))
            }
            other => self.senseless(&other.to_string()),
        }
    }

    /// What broke while a body was read.
    pub(crate) fn broken(&self, error: io::Error) -> Error {
        self.failure(ureq::Error::from(error))
    }
}

/// A request with what all have.
pub(crate) fn with<Any>(
    request: ureq::RequestBuilder<Any>,
    authorization: Option<&str>,
    left: Duration,
) -> ureq::RequestBuilder<Any> {
    let request = request.config().timeout_global(Some(left)).build();
    match authorization {
        Some(value) => request.header("authorization", value),
        None => request,
    }
}

/// Mozilla's certificates and these.
fn with_own(pem: &[u8]) -> Result<RootCerts, Error> {
    let wrong = |what: String| {
        let what = format!("the file of --authorities holds no certificates: {what}");
        Error::new(Defect::Unreadable, what).with_hint("give certificates of authorities, as PEM")
    };
    let mut all = Vec::new();
    for item in parse_pem(pem) {
        match item.map_err(|error| wrong(error.to_string()))? {
            PemItem::Certificate(certificate) => all.push(certificate),
            _ => return Err(wrong("it holds something else".to_owned())),
        }
    }
    if all.is_empty() {
        return Err(wrong("it is no PEM".to_owned()));
    }
    let known = webpki_root_certs::TLS_SERVER_ROOT_CERTS;
    all.extend(known.iter().map(|known| Certificate::from_der(known).to_owned()));
    Ok(all.into())
}
