//! What the host asks of [`Outside`] for a guest, and what answers it takes.
//!
//! May assume nothing of who answers: an answer that does not fit its question is none, and
//! from there on nobody is asked any more. Guarantees that nothing is asked that was not
//! granted, as far as names go (where a name leads, whoever answers has to look at: BROKER.md);
//! that each question is paid for before it is asked, and its answer when it is there; and that
//! what is sent counts as output.

use crate::host::Host;
use crate::host::errno::{Outcome, check_stopped};
use crate::outside::Outside;
use bls_artifact::broker::{Answer, Reason, Refusal, Request};
use bls_artifact::limits::{EXTENSIONS_MAX, HEADER_BYTES_MAX, HEADERS_MAX};
use bls_artifact::net::{Endpoint, Host as NetHost, NetRules, Url};
use std::fmt;
use std::os::fd::OwnedFd;

/// What a guest may ask for, and who answers. By default nothing, and nobody.
#[derive(Default)]
pub struct Reach {
    /// What it may reach of the network.
    pub network: NetRules,
    /// The extensions that it may use.
    pub extensions: Aliases,
    /// Who answers.
    pub outside: Option<Box<dyn Outside>>,
}

impl fmt::Debug for Reach {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { network, extensions, .. } = self;
        formatter
            .debug_struct("Reach")
            .field("network", network)
            .field("extensions", extensions)
            .finish_non_exhaustive()
    }
}

/// Names of extensions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Aliases {
    /// None.
    #[default]
    None,
    /// These.
    Only(Vec<String>),
    /// Whichever there are.
    All,
}

impl Aliases {
    /// Whether this is one of them.
    #[must_use]
    pub fn allows(&self, alias: &str) -> bool {
        match self {
            Self::None => false,
            Self::Only(aliases) => aliases.iter().any(|known| known == alias),
            Self::All => true,
        }
    }
}

impl Reach {
    /// Whether this page may be asked for, and there is somebody to ask.
    pub(crate) fn allows_url(&self, url: &Url) -> bool {
        self.outside.is_some() && self.network.allows_url(url)
    }

    /// The same of a port.
    pub(crate) fn allows_endpoint(&self, endpoint: &Endpoint) -> bool {
        self.outside.is_some() && self.network.allows_endpoint(endpoint)
    }

    /// The same of any port of a host.
    pub(crate) fn allows_some_port(&self, host: &NetHost) -> bool {
        self.outside.is_some() && self.network.allows_some_port(host)
    }

    /// The same of an extension.
    pub(crate) fn allows_extension(&self, alias: &str) -> bool {
        self.outside.is_some() && self.extensions.allows(alias)
    }
}

/// What a question costs beside its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Price {
    /// Of one that leads out of the machine, or starts a program.
    Request,
    /// Of one that is about something that is open.
    Question,
}

/// An answer, and the descriptors that came with it.
pub(super) type Answered = Result<(Answer, Vec<OwnedFd>), Refusal>;

impl Host {
    /// Asks, and waits for the answer.
    pub(super) fn ask(&mut self, request: &Request, price: Price) -> Outcome<Answered> {
        let reach = &mut self.blockless.reach;
        let Some(outside) = &mut reach.outside else {
            return Ok(Err(Refusal::new(Reason::Denied, "permission denied")));
        };
        let sent = bytes_of_request(request);
        match price {
            Price::Request => self.purse.pay_request(sent)?,
            Price::Question => self.purse.pay_question(sent)?,
        }
        self.output_left = self.output_left.take(sent)?;
        let reply = match outside.ask(request) {
            Ok(reply) if fits(request, &reply.answer, reply.descriptors.len()) => reply,
            Ok(_) => {
                reach.outside = None;
                return Ok(Err(Refusal::new(Reason::Broken, "an answer that makes no sense")));
            }
            Err(error) => {
                check_stopped()?;
                reach.outside = None;
                return Ok(Err(Refusal::new(Reason::Failed, error)));
            }
        };
        self.purse.owe_answer(bytes_of_answer(&reply.answer));
        Ok(match reply.answer {
            Answer::Refused(refusal) => Err(refusal),
            answer => Ok((answer, reply.descriptors)),
        })
    }

    /// Lets whoever answers end something that is open there.
    pub(super) fn close_outside(&mut self, handle: u32) -> Outcome<()> {
        // Whatever is said: here it is closed.
        self.ask(&Request::Close { handle }, Price::Question).map(drop)
    }
}

/// How many bytes of the guest's a request holds.
fn bytes_of_request(request: &Request) -> u64 {
    let bytes = match request {
        Request::Setup { text } => text.len(),
        Request::Http { method, url, headers, body, .. }
        | Request::Exchange { method, url, headers, body, .. } => {
            method.len() + url.len() + bytes_of_headers(headers) + body.len()
        }
        Request::Read { .. } | Request::Close { .. } | Request::Extensions | Request::NextGuest => {
            0
        }
        Request::Connect { endpoint } | Request::Listen { endpoint } => endpoint.len(),
        Request::HttpRpc { params, .. } => params.len(),
        Request::Start { alias, arguments, variables } => {
            let arguments: usize = arguments.iter().map(String::len).sum();
            let pairs = variables.iter().map(|(name, value)| name.len() + value.len());
            alias.len() + arguments + pairs.sum::<usize>()
        }
    };
    bytes as u64
}

/// How many bytes an answer holds.
fn bytes_of_answer(answer: &Answer) -> usize {
    match answer {
        Answer::Http { url, headers, .. } => url.len() + bytes_of_headers(headers),
        Answer::Bytes(bytes) => bytes.len(),
        Answer::List(list) => list
            .iter()
            .map(|one| {
                one.alias.len() + one.file_name.len() + one.md5.len() + one.description.len()
            })
            .sum(),
        Answer::Done | Answer::Descriptor | Answer::Started { .. } | Answer::Refused(_) => 0,
    }
}

fn bytes_of_headers(headers: &[(String, Vec<u8>)]) -> usize {
    headers.iter().map(|(name, value)| name.len() + value.len()).sum()
}

/// Whether an answer is one to this request, with as many descriptors as belong to it.
fn fits(request: &Request, answer: &Answer, descriptors: usize) -> bool {
    let is_kind = match (request, answer) {
        (_, Answer::Refused(_)) => true,
        (Request::Http { .. } | Request::Exchange { .. }, Answer::Http { headers, .. }) => {
            headers.len() <= HEADERS_MAX && bytes_of_headers(headers) <= HEADER_BYTES_MAX
        }
        (Request::Read { max, .. } | Request::HttpRpc { max, .. }, Answer::Bytes(bytes)) => {
            bytes.len() as u64 <= u64::from(*max)
        }
        (Request::Close { .. }, Answer::Done)
        | (Request::Connect { .. } | Request::Listen { .. }, Answer::Descriptor)
        | (Request::Start { .. }, Answer::Started { .. }) => true,
        (Request::Extensions, Answer::List(list)) => list.len() <= EXTENSIONS_MAX,
        _ => false,
    };
    is_kind && descriptors == answer.descriptors()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_to_its_own_question() {
        let read = Request::Read { handle: 1, max: 3 };
        assert!(fits(&read, &Answer::Bytes(vec![0; 3]), 0));
        assert!(!fits(&read, &Answer::Bytes(vec![0; 4]), 0), "longer than was asked for");
        assert!(!fits(&read, &Answer::Bytes(Vec::new()), 1), "a descriptor too many");
        assert!(!fits(&read, &Answer::Done, 0));
        let connect = Request::Connect { endpoint: "a:1".into() };
        assert!(fits(&connect, &Answer::Descriptor, 1));
        assert!(!fits(&connect, &Answer::Descriptor, 0));
        assert!(!fits(&connect, &Answer::Started { handle: 1, output_max: 1 }, 3));
        let refusal = Answer::Refused(Refusal::new(Reason::Denied, "no"));
        assert!(fits(&connect, &refusal, 0) && fits(&read, &refusal, 0));
        assert!(!fits(&connect, &refusal, 1));
        let http = Request::Http {
            method: "GET".into(),
            url: String::new(),
            headers: Vec::new(),
            body: Vec::new(),
            connect_ms: None,
            total_ms: None,
        };
        let answer = |count, length| Answer::Http {
            handle: 1,
            status: 200,
            url: String::new(),
            headers: vec![(String::new(), vec![b'a'; length]); count],
        };
        assert!(fits(&http, &answer(HEADERS_MAX, 1), 0));
        assert!(!fits(&http, &answer(HEADERS_MAX + 1, 1), 0));
        assert!(!fits(&http, &answer(1, HEADER_BYTES_MAX + 1), 0));
    }

    #[test]
    fn aliases_are_compared_whole() {
        let only = Aliases::Only(vec!["echo".into()]);
        assert!(only.allows("echo") && !only.allows("ech") && !only.allows("echo2"));
        assert!(Aliases::All.allows("x") && !Aliases::None.allows("echo"));
    }
}
