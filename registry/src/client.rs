//! The requests to a registry (the OCI's distribution specification, 1.1).
//!
//! Guarantees, beside what every peer ([`mod@crate::peer`]) has, that credentials go to the registry
//! that they are kept for and to the place that it names for tokens, and never with a redirect; and
//! that nothing is sent without TLS but to this machine, or where that was asked for. Compares no
//! digests: who takes something does.

mod auth;

use crate::error::Error;
use crate::form::{INDEX, MANIFEST, MANIFEST_BYTES_MAX};
use crate::peer::{Kind, Manner, Peer, with};
use crate::reference::{Reference, is_loopback};
use auth::Challenge;
use bls_artifact::digest::Sha256;
use bls_artifact::registry::Defect;
use bls_artifact::text::printable;
use std::io::Read;
use ureq::Body;
use ureq::http::{Response, StatusCode, Uri};

/// The most bytes that are read of what a registry says of an error.
const ERROR_BYTES_MAX: u64 = 16 << 10;

/// What is to be done there, for the rights that are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rights {
    /// Take.
    Pull,
    /// Take and put.
    Push,
}

/// One repository of a registry.
#[derive(Debug)]
pub struct Client {
    peer: Peer,
    reference: Reference,
    rights: Rights,
    /// Whether it may be spoken with without TLS wherever it is.
    plain_http: bool,
    /// The header that the registry wants.
    authorization: Option<String>,
}

/// A request.
#[derive(Clone, Copy, Debug)]
enum Ask<'a> {
    Get { accept: &'a str },
    Head,
    Post,
    Put { kind: &'a str, bytes: &'a [u8] },
}

/// What was answered, of a status that was expected.
type Answer = Response<Body>;

impl Client {
    /// For the repository that is named. Sends nothing yet.
    ///
    /// # Errors
    /// The certificates are none.
    pub fn new(reference: &Reference, rights: Rights, manner: &Manner) -> Result<Self, Error> {
        let is_plain = manner.plain_http || reference.is_loopback() && manner.authorities.is_none();
        let plain_http = manner.plain_http;
        let peer = Peer::new(Kind::Registry, reference.endpoint(), is_plain, manner)?;
        let reference = reference.clone();
        Ok(Self { peer, reference, rights, plain_http, authorization: None })
    }

    /// The manifest or index under a tag or digest: its bytes, and what the registry calls them.
    ///
    /// # Errors
    /// The registry does not give it.
    pub fn manifest(&mut self, wanted: &str) -> Result<(Vec<u8>, String), Error> {
        let url = self.url(&format!("manifests/{wanted}"));
        let accept = format!("{INDEX}, {MANIFEST}");
        let answer = self.send(&url, Ask::Get { accept: &accept }, &[StatusCode::OK])?;
        let kind = header(&answer, "content-type");
        let kind = kind.split(';').next().unwrap_or_default().trim().to_owned();
        Ok((self.peer.bounded(answer, MANIFEST_BYTES_MAX)?, kind))
    }

    /// The same; `None` where nothing of this name is there.
    ///
    /// # Errors
    /// The registry does not answer.
    pub fn manifest_if_there(&mut self, wanted: &str) -> Result<Option<Vec<u8>>, Error> {
        match self.manifest(wanted) {
            Ok((bytes, _)) => Ok(Some(bytes)),
            Err(error) if error.is(Defect::Missing) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The bytes of a blob, as they come.
    ///
    /// # Errors
    /// The registry does not give it.
    pub fn blob(&mut self, digest: Sha256) -> Result<impl Read + use<>, Error> {
        let url = self.url(&format!("blobs/sha256:{digest}"));
        let ask = Ask::Get { accept: "application/octet-stream, */*" };
        Ok(self.send(&url, ask, &[StatusCode::OK])?.into_body().into_reader())
    }

    /// Puts a blob there, unless it is there.
    ///
    /// # Errors
    /// The registry does not take it.
    pub fn put_blob(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let digest = Sha256::of(bytes);
        let url = self.url(&format!("blobs/sha256:{digest}"));
        match self.send(&url, Ask::Head, &[StatusCode::OK]) {
            Ok(_) => return Ok(()),
            Err(error) if error.is(Defect::Missing) => {}
            Err(error) => return Err(error),
        }
        let url = self.url("blobs/uploads/");
        let begun = self.send(&url, Ask::Post, &[StatusCode::ACCEPTED])?;
        let place = self.place(&header(&begun, "location"))?;
        let between = if place.contains('?') { '&' } else { '?' };
        let place = format!("{place}{between}digest=sha256:{digest}");
        let put = Ask::Put { kind: "application/octet-stream", bytes };
        self.send(&place, put, &[StatusCode::CREATED]).map(drop)
    }

    /// Puts a manifest or an index there, under a tag or its digest; whether the registry has
    /// noted what it is attached to.
    ///
    /// # Errors
    /// The registry does not take it.
    pub fn put_manifest(&mut self, under: &str, kind: &str, bytes: &[u8]) -> Result<bool, Error> {
        let url = self.url(&format!("manifests/{under}"));
        let answer = self.send(&url, Ask::Put { kind, bytes }, &[StatusCode::CREATED])?;
        Ok(!header(&answer, "oci-subject").is_empty())
    }

    /// An error about what was read of the registry.
    pub(crate) fn broken(&self, error: std::io::Error) -> Error {
        self.peer.broken(error)
    }

    /// An answer that no registry gives.
    pub(crate) fn senseless(&self, what: &str) -> Error {
        self.peer.senseless(what)
    }

    fn url(&self, path: &str) -> String {
        format!("{}/v2/{}/{path}", self.origin(), self.reference.name)
    }

    fn origin(&self) -> String {
        let scheme = if self.peer.is_plain() { "http" } else { "https" };
        format!("{scheme}://{}", self.reference.endpoint())
    }

    /// Where an upload goes on: in full, or a path of this registry.
    fn place(&self, location: &str) -> Result<String, Error> {
        match location {
            path if path.starts_with('/') && !path.starts_with("//") => Ok(self.origin() + path),
            url if url.starts_with("https://")
                || self.peer.is_plain() && url.starts_with("http://") =>
            {
                Ok(url.to_owned())
            }
            other => Err(self.peer.senseless(&format!("it sends an upload to {other:?}"))),
        }
    }

    /// Sends a request, with what the registry wants to know of who asks.
    fn send(&mut self, url: &str, ask: Ask<'_>, wanted: &[StatusCode]) -> Result<Answer, Error> {
        let mut answer = self.once(url, ask)?;
        if answer.status() == StatusCode::UNAUTHORIZED {
            let challenge = Challenge::of(answer.headers());
            let refused = || Error::new(Defect::Unauthorized, self.unknown(None));
            let challenge = challenge.ok_or_else(refused)?;
            let (authorization, account) = self.authorize(&challenge)?;
            self.authorization = Some(authorization);
            answer = self.once(url, ask)?;
            if answer.status() == StatusCode::UNAUTHORIZED {
                return Err(Error::new(Defect::Unauthorized, self.unknown(account.as_deref())));
            }
        }
        if wanted.contains(&answer.status()) {
            return Ok(answer);
        }
        Err(self.refusal(url, answer))
    }

    fn once(&self, url: &str, ask: Ask<'_>) -> Result<Answer, Error> {
        let left = self.peer.left()?;
        // To where the registry sends an upload, its credentials go only if that is itself.
        let authorization = self.authorization.as_deref().filter(|_| self.is_own(url));
        let sent = match ask {
            Ask::Get { accept } => with(self.peer.agent().get(url), authorization, left)
                .header("accept", accept)
                .call(),
            Ask::Head => with(self.peer.agent().head(url), authorization, left).call(),
            Ask::Post => with(self.peer.agent().post(url), authorization, left).send_empty(),
            Ask::Put { kind, bytes } => with(self.peer.agent().put(url), authorization, left)
                .header("content-type", kind)
                .send(bytes),
        };
        sent.map_err(|error| self.peer.failure(error))
    }

    /// Whether a URL is of this registry.
    fn is_own(&self, url: &str) -> bool {
        let parts = |url: &str| {
            let url = url.parse::<Uri>().ok()?;
            Some((url.scheme_str()?.to_owned(), url.authority()?.to_string()))
        };
        parts(url).is_some_and(|own| Some(own) == parts(&self.origin()))
    }

    fn unknown(&self, account: Option<&str>) -> String {
        let host = self.peer.host();
        match account {
            Some(account) => {
                format!(
                    "{host} does not accept the credentials that docker's configuration has for {account}"
                )
            }
            None => format!(
                "{host} wants to know who asks, and docker's configuration has no credentials for {}",
                self.reference.account()
            ),
        }
    }

    /// A status that was not expected.
    fn refusal(&self, url: &str, answer: Answer) -> Error {
        let status = answer.status();
        let host = self.peer.host().to_owned();
        let said = self.peer.bounded(answer, ERROR_BYTES_MAX).ok();
        let said = said.and_then(|bytes| first_message(&bytes));
        let said = said.map(|said| format!(": {}", printable(&said))).unwrap_or_default();
        let path = url.parse::<Uri>().map(|url| url.path().to_owned()).unwrap_or_default();
        let (defect, what) = match status {
            StatusCode::FORBIDDEN => {
                let rights = match self.rights {
                    Rights::Pull => "read",
                    Rights::Push => "write",
                };
                (
                    Defect::Forbidden,
                    format!("{host} does not let you {rights} {}{said}", self.reference.name),
                )
            }
            StatusCode::NOT_FOUND => (Defect::Missing, format!("{host} has no {path}{said}")),
            _ => (Defect::Status, format!("{host} answers {status} for {path}{said}")),
        };
        Error::new(defect, what)
    }

    /// Whether a token may be asked for at this URL.
    fn is_safe(&self, url: &str) -> bool {
        let Ok(url) = url.parse::<Uri>() else { return false };
        let Some(host) = url.authority().filter(|host| !host.as_str().contains('@')) else {
            return false;
        };
        match url.scheme_str() {
            Some("https") => true,
            Some("http") => self.plain_http || self.peer.is_plain() && is_loopback(host.as_str()),
            _ => false,
        }
    }
}

/// A header as text; empty where it is not there.
fn header(answer: &Answer, name: &str) -> String {
    let value = answer.headers().get(name).and_then(|value| value.to_str().ok());
    value.unwrap_or_default().to_owned()
}

/// The first sentence in what a registry says of an error.
fn first_message(bytes: &[u8]) -> Option<String> {
    let json: serde_json::Value = serde_json::from_slice(bytes).ok()?;
    let first = json.get("errors")?.get(0)?;
    let word = |key: &str| first.get(key).and_then(|value| value.as_str());
    word("message").or(word("code")).map(str::to_owned)
}
