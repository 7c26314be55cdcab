//! Who asks: what a registry wants to be told (`WWW-Authenticate`), and the credentials that
//! docker keeps.
//!
//! `Basic` is answered with the credentials. `Bearer` is answered with a token, which the place
//! that the registry names gives for the credentials, or to everybody.

use super::{Answer, Client, Rights};
use crate::error::Error;
use crate::peer::with;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bls_artifact::registry::Defect;
use docker_credential::{CredentialRetrievalError, DockerCredential, get_credential};
use std::collections::BTreeMap;
use std::env;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use ureq::http::{HeaderMap, StatusCode};

/// The most bytes of an answer with a token.
const TOKEN_BYTES_MAX: u64 = 256 << 10;
/// What docker calls itself where it exchanges one token for another.
const CLIENT: &str = "bls-registry";

/// What a registry wants.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    /// A name and a password.
    Basic,
    /// A token from somewhere.
    Bearer {
        /// Where.
        realm: String,
        /// For whom.
        service: Option<String>,
        /// To do what.
        scope: Option<String>,
    },
}

impl Challenge {
    /// The one of several that is preferred: a token.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let all = headers.get_all("www-authenticate").iter();
        let all: Vec<Self> = all.filter_map(|value| Self::parse(value.to_str().ok()?)).collect();
        let is_bearer = |challenge: &Self| matches!(challenge, Self::Bearer { .. });
        let preferred = all.iter().position(is_bearer).unwrap_or(0);
        all.into_iter().nth(preferred)
    }

    fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
        if scheme.eq_ignore_ascii_case("basic") {
            return Some(Self::Basic);
        }
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let mut words = parameters(rest);
        Some(Self::Bearer {
            realm: words.remove("realm")?,
            service: words.remove("service"),
            scope: words.remove("scope"),
        })
    }
}

/// `a="b",c=d`: commas inside of quotes separate nothing.
fn parameters(mut text: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    while let Some((key, rest)) = text.split_once('=') {
        let (value, rest) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => {
                let end = rest.find(',').unwrap_or(rest.len());
                rest.split_at(end)
            }
        };
        let key = key.trim_matches([' ', ',']).to_ascii_lowercase();
        found.insert(key, value.trim().to_owned());
        text = rest;
    }
    found
}

impl Client {
    /// The header that answers a challenge, and whose credentials are in it.
    pub(super) fn authorize(
        &self,
        challenge: &Challenge,
    ) -> Result<(String, Option<String>), Error> {
        let credentials = self.credentials()?;
        let account = credentials.is_some().then(|| self.reference.account().to_owned());
        match (challenge, credentials) {
            (Challenge::Basic, Some(DockerCredential::UsernamePassword(name, password))) => {
                Ok((basic(&name, &password), account))
            }
            (Challenge::Basic, Some(DockerCredential::IdentityToken(_))) => {
                let what = format!(
                    "{} wants a name and a password, and docker's configuration has a token",
                    self.peer.host()
                );
                Err(Error::new(Defect::Unauthorized, what))
            }
            (Challenge::Basic, None) => Err(Error::new(Defect::Unauthorized, self.unknown(None))),
            (Challenge::Bearer { realm, service, scope }, credentials) => {
                let scope = scope.clone().unwrap_or_else(|| self.scope());
                let token = self.token(realm, service.as_deref(), &scope, credentials.as_ref())?;
                Ok((format!("Bearer {token}"), account))
            }
        }
    }

    /// What is asked for where the registry does not say.
    fn scope(&self) -> String {
        let actions = match self.rights {
            Rights::Pull => "pull",
            Rights::Push => "pull,push",
        };
        format!("repository:{}:{actions}", self.reference.name)
    }

    /// Asks for a token.
    fn token(
        &self,
        realm: &str,
        service: Option<&str>,
        scope: &str,
        credentials: Option<&DockerCredential>,
    ) -> Result<String, Error> {
        if !self.is_safe(realm) {
            return Err(self.peer.senseless(&format!("it wants credentials to go to {realm:?}")));
        }
        let left = self.peer.left()?;
        let service = service.unwrap_or_default();
        let answer = match credentials {
            Some(DockerCredential::IdentityToken(token)) => {
                let form = [
                    ("grant_type", "refresh_token"),
                    ("service", service),
                    ("scope", scope),
                    ("client_id", CLIENT),
                    ("refresh_token", token),
                ];
                with(self.peer.agent().post(realm), None, left).send_form(form)
            }
            other => {
                let header = match other {
                    Some(DockerCredential::UsernamePassword(name, password)) => {
                        Some(basic(name, password))
                    }
                    _ => None,
                };
                let mut request = with(self.peer.agent().get(realm), header.as_deref(), left);
                if !service.is_empty() {
                    request = request.query("service", service);
                }
                request.query("scope", scope).call()
            }
        };
        let answer: Answer = answer.map_err(|error| self.peer.failure(error))?;
        match answer.status() {
            StatusCode::OK => {}
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                let account = credentials.map(|_| self.reference.account());
                return Err(Error::new(Defect::Unauthorized, self.unknown(account)));
            }
            _ => return Err(self.refusal(realm, answer)),
        }
        let bytes = self.peer.bounded(answer, TOKEN_BYTES_MAX)?;
        let json: serde_json::Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let word = |key: &str| json.get(key).and_then(|value| value.as_str());
        let token = word("token").or(word("access_token")).filter(|token| !token.is_empty());
        token.map(str::to_owned).ok_or_else(|| self.peer.senseless("it gives no token"))
    }

    /// What docker keeps for this registry.
    fn credentials(&self) -> Result<Option<DockerCredential>, Error> {
        use CredentialRetrievalError::{
            ConfigNotFound, ConfigReadError, CredentialDecodingError, CredentialMismatchError,
            HelperCommunicationError, HelperFailure, MalformedHelperResponse,
            NoCredentialConfigured,
        };
        let account = self.reference.account();
        if !is_configured() {
            return Ok(None);
        }
        // A helper may ask a person, or hang: it has the time that is left, and ends with us or later.
        let (say, hear) = mpsc::channel();
        let name = account.to_owned();
        let _ = thread::spawn(move || say.send(get_credential(&name)));
        let given = match hear.recv_timeout(self.peer.left()?) {
            Ok(given) => given,
            Err(RecvTimeoutError::Timeout) => {
                return Err(self.peer.late_for("the credential helper"));
            }
            Err(RecvTimeoutError::Disconnected) => Err(HelperCommunicationError),
        };
        // What a helper prints may be a secret: none of it is repeated.
        let what = match given {
            Ok(credential) => return Ok(Some(credential)),
            Err(NoCredentialConfigured | ConfigNotFound) => return Ok(None),
            // How helpers say that they have none.
            Err(HelperFailure { stdout, .. }) if stdout.contains("credentials not found") => {
                return Ok(None);
            }
            Err(HelperFailure { helper, .. }) => format!("{helper} fails"),
            Err(HelperCommunicationError) => "the helper cannot be started".to_owned(),
            Err(MalformedHelperResponse) => "what the helper answers makes no sense".to_owned(),
            Err(CredentialDecodingError | CredentialMismatchError) => {
                "what stands there is no name and password".to_owned()
            }
            Err(ConfigReadError) => "the file cannot be read".to_owned(),
        };
        let what = format!("docker's configuration gives no credentials for {account}: {what}");
        Err(Error::new(Defect::Credentials, what))
    }
}

/// Whether docker has a configuration at all: without one nothing is kept.
fn is_configured() -> bool {
    let home = || env::var_os("HOME").map(|home| Path::new(&home).join(".docker"));
    let folder = env::var_os("DOCKER_CONFIG").map(PathBuf::from).or_else(home);
    folder.is_some_and(|folder| folder.join("config.json").exists())
}

fn basic(name: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{name}:{password}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[&str]) -> Option<Challenge> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append("www-authenticate", value.parse().unwrap());
        }
        Challenge::of(&headers)
    }

    #[test]
    fn challenges_are_read_and_a_token_is_preferred() {
        let bearer = r#"Bearer realm="https://auth.example/token",service="r.example",scope="repository:a/b:pull,push""#;
        let expected = Challenge::Bearer {
            realm: "https://auth.example/token".to_owned(),
            service: Some("r.example".to_owned()),
            scope: Some("repository:a/b:pull,push".to_owned()),
        };
        assert_eq!(of(&[r#"Basic realm="x""#, bearer]), Some(expected));
        assert_eq!(of(&["basic"]), Some(Challenge::Basic));
        let short = Challenge::Bearer { realm: "x".to_owned(), service: None, scope: None };
        assert_eq!(of(&["bearer realm=x, error=\"a\""]), Some(short));
        for wrong in ["", "Digest realm=x", "Bearer", "Bearer service=x", "Negotiate"] {
            assert_eq!(of(&[wrong]), None, "{wrong}");
        }
        assert_eq!(of(&[]), None);
    }
}
