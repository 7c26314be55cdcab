//! Who does for a guest what takes more than files: requests by HTTP, connections, extensions.
//!
//! The host asks, in the words of `bls_artifact::broker`, and somebody answers: a process of
//! `bls-broker` ([`Broker`]), or an embedder's own [`Outside`]. The process in which the guest
//! runs opens no socket and starts no program for it. Whoever answers decides what is reached:
//! the host asks for nothing that was not granted by name, but where a name leads is seen only
//! there.

mod broker;
#[cfg(feature = "pool")]
mod shared;

pub use bls_artifact::broker::{Answer, ExtensionInfo, Reason, Refusal, Request, Setup};
pub use broker::Broker;
pub(crate) use broker::{BrokerError, beside};
#[cfg(feature = "pool")]
pub use shared::SharedBroker;
use std::io;
use std::os::fd::OwnedFd;

/// Whoever answers what a guest asks of the world outside.
///
/// A guest waits while it is answered, and nothing ends that wait but the answer: whoever
/// answers keeps its own time limits. A component asks for pages by [`Request::Exchange`], which
/// wants redirects as they are, and whose body ends with a read of no bytes; other guests by
/// [`Request::Http`].
///
/// ```
/// use bls_loader::outside::{Answer, Outside, Reason, Refusal, Reply, Request};
///
/// /// One page, whatever is asked for.
/// struct OnePage;
///
/// impl Outside for OnePage {
///     fn ask(&mut self, request: &Request) -> std::io::Result<Reply> {
///         Ok(Reply::from(match request {
///             Request::Http { url, .. } => Answer::Http {
///                 handle: 1,
///                 status: 200,
///                 url: url.clone(),
///                 headers: vec![("content-type".into(), b"text/plain".to_vec())],
///             },
///             // Fewer bytes than were asked for are the end.
///             Request::Read { .. } => Answer::Bytes(b"hello\n".to_vec()),
///             Request::Close { .. } => Answer::Done,
///             _ => Answer::Refused(Refusal::new(Reason::Denied, "one page is all there is")),
///         }))
///     }
/// }
/// ```
pub trait Outside: Send {
    /// Answers one request.
    ///
    /// # Errors
    /// Nobody answers any more. From there on the guest's calls answer with an error.
    fn ask(&mut self, request: &Request) -> io::Result<Reply>;
}

/// An answer, and what comes with it.
#[derive(Debug)]
pub struct Reply {
    /// The answer.
    pub answer: Answer,
    /// As many as [`Answer::descriptors`] says: a socket, or the ends of an extension's streams.
    pub descriptors: Vec<OwnedFd>,
}

impl From<Answer> for Reply {
    fn from(answer: Answer) -> Self {
        Self { answer, descriptors: Vec::new() }
    }
}
