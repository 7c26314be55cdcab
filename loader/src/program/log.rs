//! Says which artifact runs, in one line for whoever operates the machine.
//!
//! ```text
//! bls-load: run: name=app release=7 identity=sha256:2d33fe17… keys=566ce86f…
//! ```
//!
//! To standard error, which the guest writes to as well; or to a socket of the system's log,
//! which says itself who wrote, and which the guest cannot reach: it is closed before there is
//! one. Guarantees that where a line is asked for nothing runs without it, and that nobody is
//! waited for long. May assume that the artifact was verified.

use crate::error::{Cause, StageError};
use crate::program::say;
use crate::verify::Facts;
use bls_artifact::policy::Log;
use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, SendFlags, SocketAddrUnix, SocketFlags, SocketType, sendto, socket_with,
};
use std::fmt;
use std::time::Duration;

/// So long a log may take that is behind with reading.
const PATIENCE: Duration = Duration::from_secs(1);
/// What syslog calls a daemon's news: facility 3, severity 6.
const PRIORITY: u32 = 3 << 3 | 6;

/// The line could not be written there.
#[derive(Debug)]
pub(crate) struct LogError(String, Errno);

impl fmt::Display for LogError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(path, errno) = self;
        write!(formatter, "cannot log this run to {path}: {}", std::io::Error::from(*errno))
    }
}

impl StageError for LogError {
    const STAGE: &'static str = "log";

    fn code(&self) -> &'static str {
        "log.system"
    }

    fn hint(&self) -> Option<String> {
        Some("see that the system's log runs and listens there; --log stderr needs none".into())
    }

    fn cause(&self) -> Cause {
        Cause::of_named(self.1)
    }
}

/// Writes the line to each of these.
pub(crate) fn log<'a>(
    places: impl Iterator<Item = &'a Log>,
    facts: &Facts,
) -> Result<(), LogError> {
    let mut written: Vec<&Log> = Vec::new();
    for place in places {
        if !written.contains(&place) {
            let line = line(facts);
            match place {
                Log::Stderr => say(&format_args!("bls-load: run: {line}")),
                Log::Socket(path) => {
                    send(path, &line).map_err(|errno| LogError(path.clone(), errno))?;
                }
            }
            written.push(place);
        }
    }
    Ok(())
}

/// What ran. No value has a space in it: names have none.
fn line(facts: &Facts) -> String {
    let keys: Vec<String> = facts.key_ids.iter().map(ToString::to_string).collect();
    format!(
        "name={} release={} identity=sha256:{} keys={}",
        facts.manifest.name,
        facts.manifest.sequence,
        facts.identity,
        keys.join(",")
    )
}

/// Sends a line as syslog(3) does, without a time: whoever takes it knows that.
fn send(path: &str, line: &str) -> Result<(), Errno> {
    let socket = socket_with(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    set_socket_timeout(&socket, Timeout::Send, Some(PATIENCE))?;
    let text = format!("<{PRIORITY}>bls-load[{}]: run: {line}", std::process::id());
    let address = SocketAddrUnix::new(path)?;
    rustix::io::retry_on_intr(|| sendto(&socket, text.as_bytes(), SendFlags::NOSIGNAL, &address))?;
    Ok(())
}
