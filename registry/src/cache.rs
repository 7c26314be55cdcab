//! A cache that many builders share: files by name, behind GET and PUT.
//!
//! ```text
//! https://cache.example.com/bls/   what is named
//!   6d0f…e1                        an entry: its name is 64 hexadecimal digits
//! ```
//!
//! nginx with WebDAV is one. May assume nothing
//! about what the server says: who takes an entry judges it. Guarantees that no request waits for
//! a silent server, that no more is read than an artifact's header announces, and that what a user has to
//! show the server ([`AUTHORIZATION`]) goes there by TLS or inside of this machine, or not at all.

use crate::error::Error;
use crate::peer::{Kind, Manner, Peer, with};
use crate::reference::is_loopback;
use bls_artifact::artifact::{HEADER_LEN, Header};
use bls_artifact::digest::Sha256;
use bls_artifact::limits::ARTIFACT_BYTES_MAX;
use bls_artifact::registry::{AUTHORIZATION, Defect};
use std::ffi::OsString;
use std::fs::File;
use std::io::{Read as _, Write, copy};
use ureq::SendBody;
use ureq::http::{HeaderValue, StatusCode, Uri};

/// What a place that is none is told with.
const PLACE_HINT: &str = "name a folder of a web server: https://cache.example.com/bls";

/// A cache of a server.
#[derive(Debug)]
pub struct Cache {
    peer: Peer,
    /// The URL without a slash at its end.
    place: String,
    authorization: Option<String>,
}

impl Cache {
    /// The one at this URL. Sends nothing yet.
    ///
    /// # Errors
    /// It is no URL of HTTP, holds a name or a password, or would have `authorization` sent where
    /// others can read it.
    pub fn new(
        place: &str,
        manner: &Manner,
        authorization: Option<OsString>,
    ) -> Result<Self, Error> {
        let wrong = |what: &str| {
            Error::new(Defect::Reference, format!("that is no cache: {what}")).with_hint(PLACE_HINT)
        };
        let authorization = authorization.map(header).transpose()?;
        let url: Uri = place.parse().map_err(|_| wrong("it is no URL"))?;
        let is_plain = match url.scheme_str() {
            Some("https") => false,
            Some("http") => true,
            _ => return Err(wrong("it begins with neither https:// nor http://")),
        };
        let host = url.authority().ok_or_else(|| wrong("it names no host"))?;
        if host.as_str().contains('@') {
            let what = format!("a name or a password in it would be shown: {AUTHORIZATION}");
            return Err(Error::new(Defect::Reference, format!("{host} is no host")).with_hint(
                format!("leave out what stands before the @; {what} holds the header"),
            ));
        }
        if url.query().is_some() || place.contains('#') {
            return Err(wrong("names of entries are added to it, and it has a ? or a #"));
        }
        if is_plain && authorization.is_some() && !is_loopback(host.as_str()) {
            let what = format!("{AUTHORIZATION} is secret, and http:// would show it on the way");
            return Err(Error::new(Defect::Reference, format!("{host}: {what}"))
                .with_hint("name it with https://"));
        }
        let peer = Peer::new(Kind::Cache, host.as_str(), is_plain, manner)?;
        Ok(Self { peer, place: place.trim_end_matches('/').to_owned(), authorization })
    }

    /// Asks whether somebody is there; whatever is answered will do, but for a refusal of whoever
    /// asks.
    ///
    /// # Errors
    /// Nobody answers, or not us.
    pub fn probe(&self) -> Result<(), Error> {
        // Of a name that nothing has: of the folder itself some give a listing without end.
        let url = self.url(Sha256::of(b"probe"));
        let asked = with(self.peer.agent().head(&url), self.authorization(), self.peer.left()?);
        let status = asked.call().map_err(|error| self.peer.failure(error))?.status();
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(self.refusal(status)),
            status if status.is_server_error() => Err(self.refusal(status)),
            _ => Ok(()),
        }
    }

    /// Writes an entry into `output`.
    ///
    /// # Errors
    /// [`Defect::Missing`] where it is not there; else the server does not give it, or `output`
    /// cannot be written.
    pub fn get(&self, entry: Sha256, output: &mut impl Write) -> Result<u64, Error> {
        let left = self.peer.left()?;
        let asked = with(self.peer.agent().get(self.url(entry)), self.authorization(), left);
        let answer = asked.call().map_err(|error| self.peer.failure(error))?;
        if answer.status() != StatusCode::OK {
            return Err(self.refusal(answer.status()));
        }
        let mut body = answer.into_body().into_reader();
        let mut header = Vec::with_capacity(HEADER_LEN);
        let broken = |error| self.peer.broken(error);
        let read = body.by_ref().take(HEADER_LEN as u64).read_to_end(&mut header);
        let mut bytes = read.map_err(broken)? as u64;
        output.write_all(&header).map_err(unwritable)?;
        // One byte more, so that what is too long is seen to be.
        let most = Header::announced_length(&header).min(ARTIFACT_BYTES_MAX) + 1;
        let mut rest = body.take(most.saturating_sub(bytes));
        let mut piece = vec![0; 1 << 16];
        loop {
            let read = rest.read(&mut piece).map_err(broken)?;
            if read == 0 {
                return Ok(bytes);
            }
            bytes += read as u64;
            output.write_all(&piece[..read]).map_err(unwritable)?;
        }
    }

    /// Puts an entry there; what has this name already is replaced.
    ///
    /// # Errors
    /// The server does not take it.
    pub fn put(&self, entry: Sha256, artifact: &File) -> Result<(), Error> {
        let unreadable = |error: std::io::Error| Error::new(Defect::Unreadable, error.to_string());
        let length = artifact.metadata().map_err(unreadable)?.len();
        let left = self.peer.left()?;
        let put = with(self.peer.agent().put(self.url(entry)), self.authorization(), left)
            .header("content-type", "application/octet-stream")
            .header("content-length", length);
        let answer = put
            .send(SendBody::from_reader(&mut &*artifact))
            .map_err(|error| self.peer.failure(error))?;
        if answer.status().is_success() { Ok(()) } else { Err(self.refusal(answer.status())) }
    }

    fn url(&self, entry: Sha256) -> String {
        format!("{}/{entry}", self.place)
    }

    fn authorization(&self) -> Option<&str> {
        self.authorization.as_deref()
    }

    fn refusal(&self, status: StatusCode) -> Error {
        let host = self.peer.host();
        let (defect, what, hint) = match status {
            StatusCode::NOT_FOUND | StatusCode::GONE => {
                let what = format!("{host} does not have it");
                return Error::new(Defect::Missing, what).with_hint("it is compiled");
            }
            StatusCode::UNAUTHORIZED => (
                Defect::Unauthorized,
                format!("{host} wants to know who asks"),
                format!(
                    "the variable {AUTHORIZATION} holds the header: Bearer TOKEN, Basic BASE64"
                ),
            ),
            StatusCode::FORBIDDEN => (
                Defect::Forbidden,
                format!("{host} does not let you"),
                "ask whoever runs the cache".to_owned(),
            ),
            StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED => (
                Defect::Status,
                format!("{host} answers {status}"),
                "it has to take PUT there: nginx's dav_methods PUT, for one".to_owned(),
            ),
            _ => (
                Defect::Status,
                format!("{host} answers {status}"),
                "ask whoever runs the cache, if it stays so".to_owned(),
            ),
        };
        Error::new(defect, what).with_hint(hint)
    }
}

/// What is told of who asks: text that a header can hold. What it is stands in no message.
fn header(value: OsString) -> Result<String, Error> {
    let text = value.into_string().ok().filter(|text| HeaderValue::from_str(text).is_ok());
    text.ok_or_else(|| {
        Error::new(Defect::Reference, format!("{AUTHORIZATION} holds what no header can"))
            .with_hint("it is one line of text: Bearer TOKEN, Basic BASE64")
    })
}

fn unwritable(error: std::io::Error) -> Error {
    Error::new(Defect::Unwritable, format!("cannot write what the cache sends: {error}"))
}

/// Copies standard input into a file without a name, whose length is then known.
///
/// # Errors
/// There is no room for it.
pub fn gather(input: &mut impl std::io::Read) -> Result<File, Error> {
    use std::io::Seek as _;
    let failed = |error: std::io::Error| Error::new(Defect::Unwritable, error.to_string());
    let mut file = tempfile::tempfile().map_err(failed)?;
    let _ = copy(input, &mut file).map_err(failed)?;
    file.rewind().map_err(failed)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(place: &str, authorization: Option<&str>) -> Error {
        Cache::new(place, &Manner::default(), authorization.map(OsString::from)).unwrap_err()
    }

    #[test]
    fn a_place_is_a_url_that_shows_no_secret() {
        for place in
            ["", "cache", "ftp://a/b", "https://", "https:///a", "https://a/b?c", "https://a/#b"]
        {
            assert!(refused(place, None).is(Defect::Reference), "{place}");
        }
        let error = refused("https://a/b", Some("hush\nhush"));
        assert!(error.is(Defect::Reference) && !error.to_string().contains("hush"), "{error}");
        let error = refused("https://ann:secret@a/b", None);
        assert!(!format!("{error} {}", error.hint()).contains("secret@a/b"), "{error}");
        assert!(refused("http://cache.example.com/a", Some("Bearer x")).is(Defect::Reference));
        for place in ["https://cache.example.com/a", "http://127.0.0.1:80/a", "http://localhost"] {
            assert!(Cache::new(place, &Manner::default(), Some("Bearer x".into())).is_ok());
        }
        let plain = Cache::new("http://cache.example.com/a/", &Manner::default(), None).unwrap();
        let entry = Sha256::of(b"entry");
        assert_eq!(plain.url(entry), format!("http://cache.example.com/a/{entry}"));
    }
}
