//! One request and its answer over one connection, by ureq.
//!
//! ureq writes the request and takes the answer's frame apart; it neither looks names up nor
//! connects, nor follows redirects, for it gets one connection that is there already and gets
//! no second. Its own clocks are off: the connection has a deadline, which a [`Pace`] moves while
//! the body is read.

use crate::net::Connection;
use bls_artifact::broker::{Reason, Refusal};
use bls_artifact::limits::HEADERS_MAX;
use bls_artifact::net::Url;
use std::io::{self, Read};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};
use ureq::http::{self, Uri};
use ureq::unversioned::resolver::{ArrayVec, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, LazyBuffers, NextTimeout, Transport,
};
use ureq::{Agent, Error};

/// Bytes of the buffer that requests are written through: a URL or a header fits.
const OUTPUT_BYTES: usize = 64 << 10;
/// Bytes that headers may be longer than their limit in the buffer, so that this is seen.
const INPUT_MORE: usize = 4096;

/// The body of an answer.
pub struct Body(ureq::BodyReader<'static>);

impl std::fmt::Debug for Body {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Body")
    }
}

impl Body {
    /// Reads until the buffer is full, or the end.
    ///
    /// # Errors
    /// [`Reason::Timeout`], or [`Reason::Broken`] where it ends early.
    pub fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, Refusal> {
        let mut have = 0;
        while have < buffer.len() {
            match self.some(&mut buffer[have..])? {
                0 => break,
                count => have += count,
            }
        }
        Ok(have)
    }

    /// Reads what is there, and waits for the first byte; none is the end.
    ///
    /// # Errors
    /// As of [`Body::fill`].
    pub fn some(&mut self, buffer: &mut [u8]) -> Result<usize, Refusal> {
        loop {
            match self.0.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => return read.map_err(|error| of_io("the answer", &error)),
            }
        }
    }
}

/// How long the body of an answer may take, once its head is there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// All of it.
    pub(super) deadline: Instant,
    /// The next bytes.
    pub(super) between_bytes: Option<Duration>,
}

/// What is sent before the body.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outgoing<'a> {
    pub(super) method: &'a str,
    pub(super) url: &'a Url,
    pub(super) headers: &'a [(String, Vec<u8>)],
}

/// An answer of one server.
pub(super) struct Answered {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, Vec<u8>)>,
    pub(super) body: Body,
}

/// Asks over `connection`. With a pace no header is added that is not asked for.
pub(super) fn exchange(
    connection: Box<dyn Connection>,
    request: &Outgoing<'_>,
    body: &[u8],
    pace: Option<Pace>,
    header_bytes: usize,
) -> Result<Answered, Refusal> {
    let Outgoing { method, url, headers } = *request;
    let (agent_name, accept) = match pace {
        Some(_) => ("", ""),
        None => (concat!("bls-broker/", env!("CARGO_PKG_VERSION")), "*/*"),
    };
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .proxy(None)
        .accept_encoding("")
        .user_agent(agent_name)
        .accept(accept)
        .max_response_header_size(header_bytes)
        .input_buffer_size(header_bytes + INPUT_MORE)
        .output_buffer_size(OUTPUT_BYTES)
        .max_idle_connections(0)
        .max_idle_connections_per_host(0)
        .allow_non_standard_methods(true)
        .build();
    let body_pace = Arc::default();
    let single = Single {
        connection: Mutex::new(Some(connection)),
        is_tls: url.scheme == bls_artifact::net::Scheme::Https,
        pace: Arc::clone(&body_pace),
    };
    let agent = Agent::with_parts(config, single, Nowhere);
    let mut request = http::Request::builder().method(method).uri(url.to_string());
    for (name, value) in headers {
        request = request.header(name, value.as_slice());
    }
    let invalid = |error: http::Error| Refusal::new(Reason::Url, error);
    let has_body = !body.is_empty() || matches!(method, "POST" | "PUT" | "PATCH");
    let response = if has_body {
        agent.run(request.body(body).map_err(invalid)?)
    } else {
        agent.run(request.body(()).map_err(invalid)?)
    };
    let response = response.map_err(|error| of_ureq(url, &error))?;
    if let Some(pace) = pace {
        // It was not set before.
        let _ = body_pace.set(pace);
    }
    let status = response.status().as_u16();
    if response.headers().len() > HEADERS_MAX {
        return Err(Refusal::new(Reason::TooLong, "the answer has too many headers"));
    }
    let pair = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        (name.as_str().to_owned(), value.as_bytes().to_vec())
    };
    let headers = response.headers().iter().map(pair).collect();
    let reader = response.into_body().into_with_config().limit(u64::MAX).reader();
    Ok(Answered { status, headers, body: Body(reader) })
}

fn of_ureq(url: &Url, error: &Error) -> Refusal {
    let host = url.authority();
    match error {
        Error::Io(error) => of_io(&host, error),
        Error::Timeout(_) => of_io(&host, &io::ErrorKind::TimedOut.into()),
        Error::LargeResponseHeader(_, most) => Refusal::new(
            Reason::TooLong,
            format_args!("{host}: the headers of its answer are longer than {most} bytes"),
        ),
        Error::BadUri(_) => Refusal::new(Reason::Url, error),
        Error::Http(_) => Refusal::new(Reason::Header, error),
        other => Refusal::new(Reason::Broken, format_args!("{host}: {other}")),
    }
}

fn of_io(what: &str, error: &io::Error) -> Refusal {
    let reason = match error.kind() {
        io::ErrorKind::TimedOut => Reason::Timeout,
        _ => Reason::Broken,
    };
    let words = match error.kind() {
        io::ErrorKind::TimedOut => "it took longer than it may".to_owned(),
        io::ErrorKind::UnexpectedEof => "the connection ended in the middle".to_owned(),
        _ => error.to_string(),
    };
    Refusal::new(reason, format_args!("{what}: {words}"))
}

/// A connector that has one connection.
#[derive(Debug)]
struct Single {
    connection: Mutex<Option<Box<dyn Connection>>>,
    is_tls: bool,
    pace: Arc<OnceLock<Pace>>,
}

impl Connector for Single {
    type Out = Link;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        _: Option<()>,
    ) -> Result<Option<Link>, Error> {
        let connection = self.connection.lock().ok().and_then(|mut one| one.take());
        let connection = connection.ok_or(Error::ConnectionFailed)?;
        let config = details.config;
        let buffers = LazyBuffers::new(config.input_buffer_size(), config.output_buffer_size());
        let pace = Arc::clone(&self.pace);
        Ok(Some(Link { connection, buffers, is_tls: self.is_tls, pace }))
    }
}

/// A resolver that knows nothing: whoever connects knows already.
#[derive(Debug)]
struct Nowhere;

impl Resolver for Nowhere {
    fn resolve(
        &self,
        _: &Uri,
        _: &ureq::config::Config,
        _: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, Error> {
        let nowhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        let mut addresses = ArrayVec::from_fn(|_| nowhere);
        addresses.push(nowhere);
        Ok(addresses)
    }
}

/// A connection as ureq has them.
#[derive(Debug)]
struct Link {
    connection: Box<dyn Connection>,
    buffers: LazyBuffers,
    is_tls: bool,
    /// Once the head of the answer is there.
    pace: Arc<OnceLock<Pace>>,
}

impl Transport for Link {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, _: NextTimeout) -> Result<(), Error> {
        use std::io::Write as _;
        let output = &self.buffers.output()[..amount];
        self.connection.write_all(output).map_err(plain)?;
        self.connection.flush().map_err(plain)
    }

    fn await_input(&mut self, _: NextTimeout) -> Result<bool, Error> {
        let input = self.buffers.input_append_buf();
        if input.is_empty() {
            return Ok(false);
        }
        if let Some(Pace { deadline, between_bytes }) = self.pace.get() {
            let next = between_bytes.map(|wait| Instant::now() + wait);
            self.connection.set_deadline(next.map_or(*deadline, |next| next.min(*deadline)));
        }
        let count = loop {
            match self.connection.read(input) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other.map_err(plain)?,
            }
        };
        self.buffers.input_appended(count);
        Ok(count > 0)
    }

    fn is_open(&mut self) -> bool {
        false
    }

    fn is_tls(&self) -> bool {
        self.is_tls
    }
}

/// An error that ureq does not take for the end of the body: a connection that was reset, or
/// whose TLS did not end as it should, is broken.
fn plain(error: io::Error) -> Error {
    Error::Io(match error.kind() {
        io::ErrorKind::TimedOut => error,
        _ => io::Error::other(error.to_string()),
    })
}
