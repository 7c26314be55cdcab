//! A request by HTTP, and where redirects lead.
//!
//! Each hop is judged as the first was: its URL, and the address that is connected to. What is
//! for one origin (credentials, cookies) is not carried to another, nor back. Guarantees that a
//! server is given no more time, headers, bytes and hops than the limits say; that its body
//! comes as it sent it, not decompressed; and that no variable of the environment says where to
//! connect to.

mod exchange;
mod headers;
mod tls;

pub use exchange::Body;
pub use headers::check_method;
pub use tls::{Authorities, AuthoritiesError};

use crate::count::Count;
use crate::net::{Network, reach};
use bls_artifact::broker::{BrokerLimits, Reason, Refusal};
use bls_artifact::net::{NetRules, Target, Url};
use std::time::{Duration, Instant};

/// Most redirects that are followed.
pub const REDIRECTS_MAX: usize = 10;

/// A request.
#[derive(Clone, Debug)]
pub struct Ask {
    /// The method, in capitals.
    pub method: String,
    /// Where to.
    pub url: Url,
    /// Names and values.
    pub headers: Vec<(String, Vec<u8>)>,
    /// What is sent.
    pub body: Vec<u8>,
    /// How long to wait for each connection; `None` is the limit.
    pub connect: Option<Duration>,
    /// How long until the last byte of the answer; `None` is the limit.
    pub total: Option<Duration>,
    /// Only what is asked is sent, and what is answered is the answer, redirects too.
    pub exchange: Option<Waits>,
}

/// How long an answer is waited for at a time; `None` is as long as the whole may take.
#[derive(Clone, Copy, Debug, Default)]
pub struct Waits {
    /// Until its head.
    pub first_byte: Option<Duration>,
    /// Until more of its body.
    pub between_bytes: Option<Duration>,
}

/// An answer, whose body is still to be read.
#[derive(Debug)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// Where redirects led.
    pub url: Url,
    /// Names in lower case.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The rest.
    pub body: Body,
}

/// What a request is made with.
#[derive(Debug)]
pub struct Client<'a, N> {
    /// The network.
    pub network: &'a N,
    /// What is granted of it.
    pub rules: &'a NetRules,
    /// How much.
    pub limits: &'a BrokerLimits,
    /// Whom a server's certificate may be of.
    pub authorities: &'a Authorities,
}

impl<N: Network> Client<'_, N> {
    /// Asks, and follows redirects. The first request is counted already; each to which a
    /// redirect leads is counted here, with the body that it sends again.
    ///
    /// # Errors
    /// [`Refusal`], with the reason.
    pub fn run(&self, ask: Ask, count: &mut Count) -> Result<Response, Refusal> {
        let Ask { mut method, mut url, headers, mut body, connect, total, exchange } = ask;
        check_method(&method)?;
        let mut headers = headers::checked(headers, &url)?;
        let most = |asked: Option<Duration>, limit: u64| {
            let limit = Duration::from_millis(limit);
            asked.map_or(limit, |asked| asked.min(limit))
        };
        let total = most(total, self.limits.total_ms);
        let deadline = self.network.now() + total;
        let connect = most(connect, self.limits.connect_ms);
        for hop in 0..=REDIRECTS_MAX {
            if hop > 0 {
                count.request(body.len())?;
            }
            let mut connection = self.connect(&url, deadline, connect)?;
            let pace = exchange.map(|waits| {
                let within = |wait: Option<Duration>| wait.map(|wait| wait.min(total));
                if let Some(first) = within(waits.first_byte) {
                    connection.set_deadline(deadline.min(self.network.now() + first));
                }
                exchange::Pace { deadline, between_bytes: within(waits.between_bytes) }
            });
            let request = exchange::Outgoing { method: &method, url: &url, headers: &headers };
            let header_bytes = self.limits.header_bytes as usize;
            let response = exchange::exchange(connection, &request, &body, pace, header_bytes)?;
            let next = if exchange.is_some() { None } else { redirect(&response, &url)? };
            let Some(next) = next else {
                let body = response.body;
                return Ok(Response {
                    status: response.status,
                    url,
                    headers: response.headers,
                    body,
                });
            };
            if drops_body(response.status, &method) {
                if method != "HEAD" {
                    "GET".clone_into(&mut method);
                }
                body.clear();
                headers.retain(|(name, _)| !name.starts_with("content-"));
            }
            if !next.is_same_origin(&url) {
                headers.retain(|(name, _)| !headers::is_for_one_origin(name));
            }
            url = next;
        }
        Err(Refusal::new(Reason::TooMany, format_args!("more than {REDIRECTS_MAX} redirects")))
    }

    /// A connection to the host of `url`, with TLS where it is wanted.
    fn connect(
        &self,
        url: &Url,
        deadline: Instant,
        connect: Duration,
    ) -> Result<Box<dyn crate::net::Connection>, Refusal> {
        let connected_by = deadline.min(self.network.now() + connect);
        let reached = reach(self.network, self.rules, &Target::Url(url), connected_by)?;
        let mut connection = reached.with_each(self.network, connected_by, |address, by| {
            self.network.connect(address, by)
        })?;
        connection.set_deadline(connected_by);
        let mut connection = self.authorities.secure(connection, url)?;
        connection.set_deadline(deadline);
        Ok(connection)
    }
}

/// Where an answer leads, if elsewhere.
fn redirect(response: &exchange::Answered, url: &Url) -> Result<Option<Url>, Refusal> {
    if !matches!(response.status, 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let location = response.headers.iter().find(|(name, _)| name == "location");
    let Some((_, value)) = location else { return Ok(None) };
    let invalid = |what: &dyn std::fmt::Display| {
        Refusal::new(Reason::Url, format_args!("{} leads elsewhere: {what}", url.authority()))
    };
    let text = std::str::from_utf8(value).map_err(|error| invalid(&error))?;
    url.join(text).map(Some).map_err(|error| invalid(&error))
}

/// Whether the next request has no body: as browsers do, and as the standard says of 303.
fn drops_body(status: u16, method: &str) -> bool {
    match status {
        303 => true,
        301 | 302 => method == "POST",
        _ => false,
    }
}
