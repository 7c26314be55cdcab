//! TLS, with the authorities of Mozilla's list and those of a file of the operator's.
//!
//! Guarantees that a server's certificate is checked for the host of the URL, addresses too,
//! and that a connection that was cut off is told from one that ended.

use crate::net::Connection;
use bls_artifact::broker::{Reason, Refusal};
use bls_artifact::net::{Scheme, Url};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::fmt;
use std::io::{self, Read, Write};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

/// Whom certificates may be of.
#[derive(Debug, Default)]
pub struct Authorities {
    /// Certificates beside those that are built in.
    own: Vec<CertificateDer<'static>>,
    /// Made when the first server is spoken to by TLS.
    config: OnceLock<Arc<ClientConfig>>,
}

/// Why a file is none of certificates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthoritiesError(String);

impl fmt::Display for AuthoritiesError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for AuthoritiesError {}

impl Authorities {
    /// Mozilla's and those of a text of certificates, as PEM.
    ///
    /// # Errors
    /// Where it is none, or has none that can be an authority's.
    pub fn with_pem(text: &[u8]) -> Result<Self, AuthoritiesError> {
        let own: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text).collect();
        let own = own.map_err(|error| AuthoritiesError(format!("it is no PEM: {error}")))?;
        let mut store = RootCertStore::empty();
        let (added, ignored) = store.add_parsable_certificates(own.iter().cloned());
        if added == 0 || ignored > 0 {
            return Err(AuthoritiesError(format!(
                "of its {} certificates {ignored} cannot be an authority's",
                own.len()
            )));
        }
        Ok(Self { own, config: OnceLock::new() })
    }

    fn config(&self) -> Result<Arc<ClientConfig>, Refusal> {
        if let Some(config) = self.config.get() {
            return Ok(Arc::clone(config));
        }
        let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        roots.add_parsable_certificates(self.own.iter().cloned());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| Refusal::new(Reason::Failed, error))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Arc::clone(self.config.get_or_init(|| Arc::new(config))))
    }

    /// The connection itself, or TLS over it.
    pub(super) fn secure(
        &self,
        mut connection: Box<dyn Connection>,
        url: &Url,
    ) -> Result<Box<dyn Connection>, Refusal> {
        if url.scheme == Scheme::Http {
            return Ok(connection);
        }
        let broken = |what: &dyn fmt::Display| {
            Refusal::new(Reason::Tls, format_args!("TLS with {}: {what}", url.host))
        };
        let name = match url.host.address() {
            Some(address) => ServerName::from(address),
            None => ServerName::try_from(url.host.to_string()).map_err(|error| broken(&error))?,
        };
        let config = self.config()?;
        let mut session = ClientConnection::new(config, name).map_err(|error| broken(&error))?;
        while session.is_handshaking() {
            session.complete_io(&mut connection).map_err(|error| match error.kind() {
                io::ErrorKind::TimedOut => Refusal::new(
                    Reason::ConnectTimeout,
                    format_args!("TLS with {}: it took longer than it may", url.host),
                ),
                _ if is_about_certificate(&error) => {
                    Refusal { reason: Reason::Certificate, ..broken(&error) }
                }
                _ => broken(&error),
            })?;
        }
        Ok(Box::new(Secured(StreamOwned::new(session, connection))))
    }
}

/// Whether TLS ended because of what the server's certificate says.
fn is_about_certificate(error: &io::Error) -> bool {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>());
    matches!(cause, Some(rustls::Error::InvalidCertificate(_)))
}

/// A connection with TLS over it.
#[derive(Debug)]
struct Secured(StreamOwned<ClientConnection, Box<dyn Connection>>);

impl Read for Secured {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Secured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Connection for Secured {
    fn set_deadline(&mut self, deadline: Instant) {
        self.0.sock.set_deadline(deadline);
    }
}
