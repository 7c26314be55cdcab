//! One request, one answer: judges what is asked for against the set-up, and counts.
//!
//! Knows no socket and no process, so that a fuzzer can drive it with a network of its own.
//! Guarantees that nothing is connected to, listened on or started that the set-up does not
//! grant; that there are never more handles, requests and bytes than it says; and that every
//! answer fits into a frame.

use crate::count::Count;
use crate::http::{Ask, Authorities, Body, Client, Waits};
use crate::net::{Network, reach};
use crate::rpc::Call;
use bls_artifact::broker::{ANSWER_BYTES_MAX, Answer, Reason, Refusal, Request, Setup};
use bls_artifact::net::{Endpoint, Target, Url};
use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::time::Duration;

/// An answer, and the descriptors that go with it.
pub type Reply = (Answer, Vec<OwnedFd>);

/// Whoever starts extensions: another process, or nobody.
pub trait Extensions {
    /// Hands on [`Request::Extensions`], [`Request::Start`] and [`Request::Close`] of what it
    /// started.
    ///
    /// # Errors
    /// [`Refusal`].
    fn ask(&mut self, request: &Request) -> Result<Reply, Refusal>;
}

/// What a handle stands for.
enum Open {
    Http {
        body: Body,
        left: u64,
        /// Whether it is read as it arrives.
        as_it_comes: bool,
    },
    /// The handle that the starter knows it by.
    Extension(u32),
}

/// The state between requests.
pub struct Session<'e, N> {
    network: N,
    setup: Setup,
    authorities: Authorities,
    extensions: Option<&'e mut dyn Extensions>,
    open: BTreeMap<u32, Open>,
    next: u32,
    count: Count,
}

impl<N: std::fmt::Debug> std::fmt::Debug for Session<'_, N> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Session").field("setup", &self.setup).finish_non_exhaustive()
    }
}

impl<'e, N: Network> Session<'e, N> {
    /// One that may do what `setup` says.
    pub fn new(
        network: N,
        setup: Setup,
        authorities: Authorities,
        extensions: Option<&'e mut dyn Extensions>,
    ) -> Self {
        let open = BTreeMap::new();
        let count = Count::new(&setup.limits);
        Self { network, setup, authorities, extensions, open, next: 1, count }
    }

    /// Answers a request.
    pub fn answer(&mut self, request: Request) -> Reply {
        let is_told_all = matches!(
            request,
            Request::Exchange { .. } | Request::Connect { .. } | Request::Listen { .. }
        );
        match self.reply(request) {
            Ok(reply) => reply,
            Err(refusal) => {
                let reason = refusal.reason;
                let reason = if is_told_all { reason } else { reason.coarse() };
                (Answer::Refused(Refusal { reason, ..refusal }), Vec::new())
            }
        }
    }

    fn reply(&mut self, request: Request) -> Result<Reply, Refusal> {
        let plain = |answer| Ok((answer, Vec::new()));
        match request {
            Request::Setup { .. } => {
                Err(Refusal::new(Reason::Invalid, "the set-up is the first request and no other"))
            }
            Request::Http { method, url, headers, body, connect_ms, total_ms } => {
                let (connect, total) = (time(connect_ms), time(total_ms));
                let length = body.len();
                let ask = |url| Ask { method, url, headers, body, connect, total, exchange: None };
                self.http(&url, length, ask).and_then(plain)
            }
            Request::Exchange {
                method,
                url,
                headers,
                body,
                connect_ms,
                first_byte_ms,
                between_bytes_ms,
            } => {
                let (connect, length) = (time(connect_ms), body.len());
                let waits = Waits {
                    first_byte: time(first_byte_ms),
                    between_bytes: time(between_bytes_ms),
                };
                let exchange = Some(waits);
                let ask = |url| Ask { method, url, headers, body, connect, total: None, exchange };
                self.http(&url, length, ask).and_then(plain)
            }
            Request::Read { handle, max } => self.read(handle, max).and_then(plain),
            Request::Close { handle } => self.close(handle).and_then(plain),
            Request::Connect { endpoint } => {
                self.count.request(0)?;
                self.connect(&endpoint).map(descriptor)
            }
            Request::Listen { endpoint } => {
                self.count.request(0)?;
                self.listen(&endpoint).map(descriptor)
            }
            Request::HttpRpc { params, max } => self.rpc(&params, max).and_then(plain),
            Request::Extensions => match &mut self.extensions {
                None => plain(Answer::List(Vec::new())),
                Some(extensions) => extensions.ask(&Request::Extensions),
            },
            Request::Start { .. } => self.start(&request),
            Request::NextGuest if !self.setup.several_guests => {
                Err(Refusal::new(Reason::Denied, "this broker answers for one guest"))
            }
            Request::NextGuest => {
                self.forget();
                plain(Answer::Done)
            }
        }
    }

    /// Ends all that is open, and counts anew. No handle is given twice all the same.
    fn forget(&mut self) {
        for handle in self.open.keys().copied().collect::<Vec<_>>() {
            // Whatever the starter says: here it is closed.
            let _ = self.close(handle);
        }
        self.count = Count::new(&self.setup.limits);
    }

    /// Makes a request that sends a body of `length` bytes.
    fn http(
        &mut self,
        url: &str,
        length: usize,
        ask: impl FnOnce(Url) -> Ask,
    ) -> Result<Answer, Refusal> {
        self.count.request(length)?;
        self.check_room(false)?;
        let ask = ask(Url::parse(url).map_err(|error| Refusal::new(Reason::Url, error))?);
        let as_it_comes = ask.exchange.is_some();
        let mut count = self.count;
        let response = self.client().run(ask, &mut count);
        self.count = count;
        let response = response?;
        let left = self.setup.limits.response_bytes;
        let handle = self.keep(Open::Http { body: response.body, left, as_it_comes });
        Ok(Answer::Http {
            handle,
            status: response.status,
            url: response.url.to_string(),
            headers: response.headers,
        })
    }

    fn client(&self) -> Client<'_, N> {
        Client {
            network: &self.network,
            rules: &self.setup.net,
            limits: &self.setup.limits,
            authorities: &self.authorities,
        }
    }

    /// Whether one more may be open of this kind.
    fn check_room(&self, is_extension: bool) -> Result<(), Refusal> {
        let is_kind = |open: &&Open| matches!(open, Open::Extension(_)) == is_extension;
        let most = self.setup.limits.handles;
        if self.open.values().filter(is_kind).count() >= most as usize {
            let what = if is_extension { "extensions run" } else { "answers are open" };
            return Err(Refusal::new(
                Reason::TooMany,
                format_args!("{most} {what}; close one first"),
            ));
        }
        Ok(())
    }

    fn keep(&mut self, open: Open) -> u32 {
        // Far more than requests are counted; still, none is given twice.
        while self.next == 0 || self.open.contains_key(&self.next) {
            self.next = self.next.wrapping_add(1);
        }
        let handle = self.next;
        self.next = self.next.wrapping_add(1);
        self.open.insert(handle, open);
        handle
    }

    fn read(&mut self, handle: u32, max: u32) -> Result<Answer, Refusal> {
        let Some(Open::Http { body, left, as_it_comes }) = self.open.get_mut(&handle) else {
            return Err(Refusal::new(Reason::UnknownHandle, "no such answer is open"));
        };
        let most = (max as usize).min(ANSWER_BYTES_MAX);
        // Memory grows with what arrives.
        let (mut bytes, mut have) = (Vec::new(), 0);
        while have < most {
            let end = most.min(have + (have / 2).max(16 << 10));
            bytes.resize(end, 0);
            let place = &mut bytes[have..];
            let count = if *as_it_comes { body.some(place)? } else { body.fill(place)? };
            have += count;
            if have as u64 > *left {
                return Err(Refusal::new(
                    Reason::TooLong,
                    format_args!("the answer is longer than {}", self.setup.limits.response_bytes),
                ));
            }
            self.count.bytes(count)?;
            if have < end || *as_it_comes {
                break;
            }
        }
        *left -= have as u64;
        bytes.truncate(have);
        Ok(Answer::Bytes(bytes))
    }

    fn close(&mut self, handle: u32) -> Result<Answer, Refusal> {
        match self.open.remove(&handle) {
            None => Err(Refusal::new(Reason::UnknownHandle, "no such handle is open")),
            Some(Open::Http { .. }) => Ok(Answer::Done),
            Some(Open::Extension(inner)) => {
                let Some(extensions) = &mut self.extensions else { return Ok(Answer::Done) };
                extensions.ask(&Request::Close { handle: inner }).map(|(answer, _)| answer)
            }
        }
    }

    fn connect(&self, endpoint: &str) -> Result<OwnedFd, Refusal> {
        let endpoint = parse(endpoint)?;
        let limits = &self.setup.limits;
        let deadline = self.network.now() + Duration::from_millis(limits.connect_ms);
        let target = Target::Endpoint(&endpoint);
        let reached = reach(&self.network, &self.setup.net, &target, deadline)?;
        reached
            .with_each(&self.network, deadline, |address, by| self.network.descriptor(address, by))
    }

    fn listen(&self, endpoint: &str) -> Result<OwnedFd, Refusal> {
        let endpoint = parse(endpoint)?;
        let limits = &self.setup.limits;
        let deadline = self.network.now() + Duration::from_millis(limits.connect_ms);
        let target = Target::Endpoint(&endpoint);
        let reached = reach(&self.network, &self.setup.net, &target, deadline)?;
        for address in reached.addresses() {
            let judged = self.setup.net.check_listener(&endpoint, address.ip());
            judged.map_err(|denial| Refusal::new(Reason::Denied, denial))?;
        }
        reached.with_each(&self.network, deadline, |address, _| self.network.listen(address))
    }

    fn rpc(&mut self, params: &[u8], max: u32) -> Result<Answer, Refusal> {
        let call = Call::parse(params)?;
        self.count.request(call.body_bytes())?;
        let most = (max as usize).min(ANSWER_BYTES_MAX);
        let mut count = self.count;
        let result = call.run(&self.client(), most, &mut count);
        self.count = count;
        result.map(Answer::Bytes)
    }

    fn start(&mut self, request: &Request) -> Result<Reply, Refusal> {
        self.check_room(true)?;
        let Some(extensions) = &mut self.extensions else {
            return Err(Refusal::new(Reason::UnknownExtension, "no extensions are granted"));
        };
        let (answer, descriptors) = extensions.ask(request)?;
        Ok(match answer {
            Answer::Started { handle, output_max } => {
                let handle = self.keep(Open::Extension(handle));
                (Answer::Started { handle, output_max }, descriptors)
            }
            other => (other, descriptors),
        })
    }
}

fn time(milliseconds: Option<u64>) -> Option<Duration> {
    milliseconds.map(Duration::from_millis)
}

fn descriptor(descriptor: OwnedFd) -> Reply {
    (Answer::Descriptor, vec![descriptor])
}

fn parse(endpoint: &str) -> Result<Endpoint, Refusal> {
    Endpoint::parse(endpoint).map_err(|error| Refusal::new(Reason::Url, error))
}
