//! The protocol between a guest's host and its broker: types and codec (BROKER.md is normative).
//!
//! ```text
//! host ── Setup ──────────────► broker        before there is a guest; JSON
//!      ◄───────────── Done ────
//!      ── Request ────────────►                one at a time
//!      ◄───────────── Answer ──                some with descriptors (SCM_RIGHTS)
//! ```
//!
//! Each is a frame: its length in four bytes, a byte that says which, and fields. Neither side
//! trusts the other: what a broker may do is in [`Setup`], which the broker enforces, whatever
//! it is asked; and what it answers is read as anything from outside. Guarantees that decoding
//! never panics, takes no more memory than a few times the frame and a bounded table, and that
//! one value has one frame: what is decoded is encoded to the same bytes. Does no input or output.

mod codec;
mod setup;

pub use codec::{LENGTH_BYTES, WireError, frame_length};
pub use setup::{ANSWER_BYTES_MAX, BrokerLimits, ExtensionsFrom, Setup, SetupError};

use crate::limits::{
    EXTENSION_ARGUMENTS_MAX, EXTENSION_VARIABLES_MAX, EXTENSIONS_MAX, HEADERS_MAX,
};
use codec::{Reader, Writer};
use std::fmt;

/// What a host asks its broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// What the broker may do: the text of a [`Setup`]. The first request, and no other is it.
    Setup {
        /// JSON.
        text: Vec<u8>,
    },
    /// A request by HTTP. Redirects are followed. Answer: [`Answer::Http`].
    Http {
        /// `GET` and the like, in capitals.
        method: String,
        /// Where to.
        url: String,
        /// Names and values.
        headers: Vec<(String, Vec<u8>)>,
        /// What is sent; without a header for it.
        body: Vec<u8>,
        /// Milliseconds until there is a connection.
        connect_ms: Option<u64>,
        /// Milliseconds until the last byte of the body is read.
        total_ms: Option<u64>,
    },
    /// One request by HTTP and its answer, as the server gives it: redirects are answers, and no
    /// header is added. Answer: [`Answer::Http`], whose body is read as it arrives.
    Exchange {
        /// `GET` and the like, in capitals.
        method: String,
        /// Where to.
        url: String,
        /// Names and values.
        headers: Vec<(String, Vec<u8>)>,
        /// What is sent; without a header for it.
        body: Vec<u8>,
        /// Milliseconds until there is a connection.
        connect_ms: Option<u64>,
        /// Milliseconds from there until the head of the answer is read.
        first_byte_ms: Option<u64>,
        /// Milliseconds until more of the body is read, each time.
        between_bytes_ms: Option<u64>,
    },
    /// Bytes of the body of an HTTP answer: waits until there are `max`, or the end, which is
    /// fewer; of an [`Request::Exchange`] until there is one, and only no bytes are the end.
    /// Answer: [`Answer::Bytes`].
    Read {
        /// Of the answer.
        handle: u32,
        /// How many.
        max: u32,
    },
    /// Ends an HTTP answer or an extension, which is killed. Answer: [`Answer::Done`].
    Close {
        /// Of either.
        handle: u32,
    },
    /// A connection by TCP. Answer: [`Answer::Descriptor`] and a connected socket.
    Connect {
        /// `host:port`.
        endpoint: String,
    },
    /// A listener by TCP. Answer: [`Answer::Descriptor`] and a listening socket.
    Listen {
        /// `host:port`; port 0 is any.
        endpoint: String,
    },
    /// The method `http.request` of `bless.rpc_call`. Answer: [`Answer::Bytes`], the JSON of
    /// its result, or [`Reason::Invalid`] where the parameters are none.
    HttpRpc {
        /// The parameters, as JSON.
        params: Vec<u8>,
        /// Most bytes of the result.
        max: u32,
    },
    /// Which extensions there are. Answer: [`Answer::List`].
    Extensions,
    /// Starts an extension. Answer: [`Answer::Started`] and three descriptors: the end to
    /// write to of its standard input, and those to read from of its output and errors.
    Start {
        /// Which.
        alias: String,
        /// Its arguments, without its name.
        arguments: Vec<String>,
        /// Its variables.
        variables: Vec<(String, String)>,
    },
    /// What comes from here on is another guest's: all that is open is ended, and requests and
    /// bytes count anew. Denied where the set-up does not say [`Setup::several_guests`]. Answer:
    /// [`Answer::Done`].
    NextGuest,
}

/// What a broker answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The head of an answer by HTTP; its body is read by the handle.
    Http {
        /// For [`Request::Read`] and [`Request::Close`].
        handle: u32,
        /// The status.
        status: u16,
        /// Where redirects led.
        url: String,
        /// Names in lower case, in the order they came in; a name may come twice.
        headers: Vec<(String, Vec<u8>)>,
    },
    /// Bytes.
    Bytes(Vec<u8>),
    /// It is done.
    Done,
    /// A descriptor comes with it.
    Descriptor,
    /// The extensions.
    List(Vec<ExtensionInfo>),
    /// An extension runs; three descriptors come with it.
    Started {
        /// For [`Request::Close`].
        handle: u32,
        /// Most bytes of its output and errors together that the host hands on.
        output_max: u64,
    },
    /// It is not done.
    Refused(Refusal),
}

/// An extension, as guests see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtensionInfo {
    /// Its name.
    pub alias: String,
    /// The name of its file, without folders.
    pub file_name: String,
    /// The SHA-256 of its file, in hex.
    pub sha256: String,
    /// The MD5 of its file, in hex: what guests of the network are told.
    pub md5: String,
    /// What it does.
    pub description: String,
}

/// Why something is not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// For programs.
    pub reason: Reason,
    /// For people: at most [`REFUSAL_BYTES_MAX`](crate::limits::REFUSAL_BYTES_MAX) bytes.
    pub text: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl std::error::Error for Refusal {}

impl Refusal {
    /// A refusal whose text is cut to what an answer holds.
    #[must_use]
    pub fn new(reason: Reason, text: impl fmt::Display) -> Self {
        let text = text.to_string();
        let text = crate::text::shortened(&text, crate::limits::REFUSAL_BYTES_MAX).into_owned();
        Self { reason, text }
    }
}

/// The kinds of reasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// It is not granted.
    Denied,
    /// The URL or endpoint is none.
    Url,
    /// The method is none.
    Method,
    /// A header is none.
    Header,
    /// The name is not known, or nothing answers there.
    Unreachable,
    /// The connection broke, or what came over it is not what it should be.
    Broken,
    /// More bytes than may be.
    TooLong,
    /// More requests, handles or redirects than may be.
    TooMany,
    /// No such handle.
    UnknownHandle,
    /// No such extension.
    UnknownExtension,
    /// The request makes no sense.
    Invalid,
    /// The broker's system does not give what it takes.
    Failed,
    /// It took longer than it may.
    Timeout,
    /// The name is not known. This and those below are told of [`Request::Exchange`],
    /// [`Request::Connect`] and [`Request::Listen`] alone: [`Reason::coarse`].
    UnknownName,
    /// Nothing listens there.
    ConnectionRefused,
    /// There was no connection in the time that it may take.
    ConnectTimeout,
    /// TLS could not be agreed on.
    Tls,
    /// The server's certificate is not one for this host.
    Certificate,
    /// Somebody else listens there.
    AddressInUse,
}

impl Reason {
    /// Every reason, in the order of its number, which begins at 0.
    pub const ALL: [Self; 19] = [
        Self::Denied,
        Self::Url,
        Self::Method,
        Self::Header,
        Self::Unreachable,
        Self::Broken,
        Self::TooLong,
        Self::TooMany,
        Self::UnknownHandle,
        Self::UnknownExtension,
        Self::Invalid,
        Self::Failed,
        Self::Timeout,
        Self::UnknownName,
        Self::ConnectionRefused,
        Self::ConnectTimeout,
        Self::Tls,
        Self::Certificate,
        Self::AddressInUse,
    ];

    /// What is said in its place of all requests but [`Request::Exchange`], [`Request::Connect`]
    /// and [`Request::Listen`].
    #[must_use]
    pub fn coarse(self) -> Self {
        match self {
            Self::UnknownName | Self::ConnectionRefused | Self::AddressInUse => Self::Unreachable,
            Self::ConnectTimeout => Self::Timeout,
            Self::Tls | Self::Certificate => Self::Broken,
            other => other,
        }
    }

    /// Its name in documents and reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Denied => "denied",
            Self::Url => "url",
            Self::Method => "method",
            Self::Header => "header",
            Self::Unreachable => "unreachable",
            Self::Broken => "broken",
            Self::TooLong => "too-long",
            Self::TooMany => "too-many",
            Self::UnknownHandle => "unknown-handle",
            Self::UnknownExtension => "unknown-extension",
            Self::Invalid => "invalid",
            Self::Failed => "failed",
            Self::Timeout => "timeout",
            Self::UnknownName => "unknown-name",
            Self::ConnectionRefused => "connection-refused",
            Self::ConnectTimeout => "connect-timeout",
            Self::Tls => "tls",
            Self::Certificate => "certificate",
            Self::AddressInUse => "address-in-use",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl Request {
    /// The frame, its length before it.
    ///
    /// # Errors
    /// [`WireError`] where something is longer than it may be.
    pub fn encode(&self) -> Result<Vec<u8>, WireError> {
        let mut out = Writer::new();
        match self {
            Self::Setup { text } => out.tag(0).bytes(text),
            Self::Http { method, url, headers, body, connect_ms, total_ms } => out
                .tag(1)
                .text(method)
                .text(url)
                .headers(headers)?
                .bytes(body)
                .option(*connect_ms)
                .option(*total_ms),
            Self::Read { handle, max } => out.tag(2).number(*handle).number(*max),
            Self::Close { handle } => out.tag(3).number(*handle),
            Self::Connect { endpoint } => out.tag(4).text(endpoint),
            Self::Listen { endpoint } => out.tag(5).text(endpoint),
            Self::HttpRpc { params, max } => out.tag(6).bytes(params).number(*max),
            Self::Extensions => out.tag(7),
            Self::Start { alias, arguments, variables } => out
                .tag(8)
                .text(alias)
                .list(arguments, EXTENSION_ARGUMENTS_MAX, |out, one| {
                    out.text(one);
                })?
                .list(variables, EXTENSION_VARIABLES_MAX, |out, (name, value)| {
                    out.text(name).text(value);
                })?,
            Self::Exchange {
                method,
                url,
                headers,
                body,
                connect_ms,
                first_byte_ms,
                between_bytes_ms,
            } => out
                .tag(9)
                .text(method)
                .text(url)
                .headers(headers)?
                .bytes(body)
                .option(*connect_ms)
                .option(*first_byte_ms)
                .option(*between_bytes_ms),
            Self::NextGuest => out.tag(10),
        };
        out.frame()
    }

    /// Reads what stands behind a frame's length.
    ///
    /// # Errors
    /// [`WireError`].
    pub fn decode(body: &[u8]) -> Result<Self, WireError> {
        let mut rest = Reader::new(body)?;
        let request = match rest.tag()? {
            0 => Self::Setup { text: rest.bytes()? },
            1 => Self::Http {
                method: rest.text()?,
                url: rest.text()?,
                headers: rest.list(HEADERS_MAX, |rest| Ok((rest.text()?, rest.bytes()?)))?,
                body: rest.bytes()?,
                connect_ms: rest.option()?,
                total_ms: rest.option()?,
            },
            2 => Self::Read { handle: rest.number()?, max: rest.number()? },
            3 => Self::Close { handle: rest.number()? },
            4 => Self::Connect { endpoint: rest.text()? },
            5 => Self::Listen { endpoint: rest.text()? },
            6 => Self::HttpRpc { params: rest.bytes()?, max: rest.number()? },
            7 => Self::Extensions,
            8 => Self::Start {
                alias: rest.text()?,
                arguments: rest.list(EXTENSION_ARGUMENTS_MAX, Reader::text)?,
                variables: rest
                    .list(EXTENSION_VARIABLES_MAX, |rest| Ok((rest.text()?, rest.text()?)))?,
            },
            9 => Self::Exchange {
                method: rest.text()?,
                url: rest.text()?,
                headers: rest.list(HEADERS_MAX, |rest| Ok((rest.text()?, rest.bytes()?)))?,
                body: rest.bytes()?,
                connect_ms: rest.option()?,
                first_byte_ms: rest.option()?,
                between_bytes_ms: rest.option()?,
            },
            10 => Self::NextGuest,
            _ => return Err(WireError::Kind),
        };
        rest.end()?;
        Ok(request)
    }
}

impl Answer {
    /// How many descriptors come with it.
    #[must_use]
    pub fn descriptors(&self) -> usize {
        match self {
            Self::Descriptor => 1,
            Self::Started { .. } => 3,
            _ => 0,
        }
    }

    /// The frame, its length before it.
    ///
    /// # Errors
    /// [`WireError`] where something is longer than it may be.
    pub fn encode(&self) -> Result<Vec<u8>, WireError> {
        let mut out = Writer::new();
        match self {
            Self::Http { handle, status, url, headers } => {
                out.tag(0).number(*handle).short(*status).text(url).headers(headers)?
            }
            Self::Bytes(bytes) => out.tag(1).bytes(bytes),
            Self::Done => out.tag(2),
            Self::Descriptor => out.tag(3),
            Self::List(list) => out.tag(4).list(list, EXTENSIONS_MAX, |out, one| {
                out.text(&one.alias)
                    .text(&one.file_name)
                    .text(&one.sha256)
                    .text(&one.md5)
                    .text(&one.description);
            })?,
            Self::Started { handle, output_max } => out.tag(5).number(*handle).long(*output_max),
            Self::Refused(Refusal { reason, text }) => {
                out.tag(6).tag(*reason as u8).refusal(text)?
            }
        };
        out.frame()
    }

    /// Reads what stands behind a frame's length.
    ///
    /// # Errors
    /// [`WireError`].
    pub fn decode(body: &[u8]) -> Result<Self, WireError> {
        let mut rest = Reader::new(body)?;
        let answer = match rest.tag()? {
            0 => Self::Http {
                handle: rest.number()?,
                status: rest.short()?,
                url: rest.text()?,
                headers: rest.list(HEADERS_MAX, |rest| Ok((rest.text()?, rest.bytes()?)))?,
            },
            1 => Self::Bytes(rest.bytes()?),
            2 => Self::Done,
            3 => Self::Descriptor,
            4 => Self::List(rest.list(EXTENSIONS_MAX, |rest| {
                Ok(ExtensionInfo {
                    alias: rest.text()?,
                    file_name: rest.text()?,
                    sha256: rest.text()?,
                    md5: rest.text()?,
                    description: rest.text()?,
                })
            })?),
            5 => Self::Started { handle: rest.number()?, output_max: rest.long()? },
            6 => {
                let reason = usize::from(rest.tag()?);
                let reason = *Reason::ALL.get(reason).ok_or(WireError::Kind)?;
                Self::Refused(Refusal { reason, text: rest.refusal()? })
            }
            _ => return Err(WireError::Kind),
        };
        rest.end()?;
        Ok(answer)
    }
}

#[cfg(test)]
mod tests;
