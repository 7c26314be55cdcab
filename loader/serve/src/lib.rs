//! Artifacts answer HTTP requests: each request is a run of its own, in the manner of CGI
//! (RFC 3875).
//!
//! | file | what |
//! |---|---|
//! | `program` | the command line: everything that prints or ends the process |
//! | `options` | what was asked for, checked for form |
//! | `keeper` | the first process: verifies and maps, starts the others, hears signals |
//! | `serving` | what the keeper made of the artifacts: routes and pools |
//! | `worker` | a process that runs guests, one at a time, behind the second wall |
//! | `front` | the process that has the network: HTTP, the queue, metrics, the log |
//! | `cgi` | from a request to variables, and from output to a response |
//! | `wire` | what front and workers say to each other |
//! | `control` | what keeper and front say to each other |
//! | `otlp` | spans and metrics for a collector, and the process that sends them |
//! | `metrics`, `log` | what is counted, and a line for each request |
//! | `sys` | a second process, and signals |
//!
//! Three kinds of processes, and a fourth where there is a collector, so that each holds what it works on and nothing else:
//!
//! ```text
//! keeper   artifacts, verified and mapped; no stranger's byte, no guest
//!  ├ front     sockets of clients; no artifact, no file, executes nothing
//!  ├ worker…   pools, forked from the keeper; one socket, to the front
//!  └ otlp      connects to the collector, and to nothing else; one socket, to the front
//! ```
//!
//! What a guest wrote is parsed by the front as a stranger's: a worker whose guest broke out can
//! answer the one request it has, and no other. There is no TLS: it stands behind a proxy.

#![deny(unsafe_code)]

mod cgi;
mod control;
mod front;
mod keeper;
mod log;
mod metrics;
mod options;
mod otlp;
pub mod program;
mod serving;
#[allow(unsafe_code, reason = "the one place for it; each block carries its argument")]
mod sys;
mod wire;
mod worker;

use std::fmt;

/// Why this program gets no further, beside what the loader refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Defect {
    /// A command line that makes no sense.
    Usage,
    /// An address that cannot be listened on.
    Listen,
    /// A log that cannot be written.
    Log,
    /// The system does not give a process, or one of ours ended that must not.
    Process,
    /// What is served cannot be read again.
    Reload,
}

impl Defect {
    /// Its name, which stays the same when words change.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Usage => "serve.usage",
            Self::Listen => "serve.listen",
            Self::Log => "serve.log",
            Self::Process => "serve.process",
            Self::Reload => "serve.reload",
        }
    }
}

/// What somebody is told who gets no further.
#[derive(Debug)]
pub struct Failure {
    /// Its name: a [`Defect`]'s, or the loader's.
    pub code: &'static str,
    /// What was wrong, in a sentence.
    pub what: String,
    /// What can be done.
    pub hint: Option<String>,
}

impl Failure {
    /// A failure of this kind.
    pub fn new(defect: Defect, what: impl fmt::Display, hint: &str) -> Self {
        Self { code: defect.code(), what: what.to_string(), hint: Some(hint.to_owned()) }
    }
}

impl From<bls_loader::Error> for Failure {
    fn from(error: bls_loader::Error) -> Self {
        let hint = error.hint().map(str::to_owned);
        Self { code: error.code(), what: error.to_string(), hint }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.what)
    }
}

impl std::error::Error for Failure {}
