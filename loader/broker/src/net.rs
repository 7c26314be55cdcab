//! The network as the broker needs it, so that a test can put another in its place.
//!
//! [`reach()`] is the only way from a name to an address that is connected to: what is granted
//! is judged there, of the name and of each address, and nothing is looked up again after it.

mod reach;
mod system;

pub use reach::{Reached, reach};
pub use system::System;

use bls_artifact::broker::Refusal;
use std::fmt;
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::time::Instant;

/// A connection that gives up at a point in time: then reads and writes are
/// [`io::ErrorKind::TimedOut`].
pub trait Connection: Read + Write + Send + Sync + fmt::Debug {
    /// From now on it gives up then.
    fn set_deadline(&mut self, deadline: Instant);
}

/// Names, connections and listeners.
pub trait Network {
    /// The addresses of a name.
    ///
    /// # Errors
    /// Where it has none, or they are not known by then.
    fn addresses(&self, name: &str, deadline: Instant) -> Result<Vec<IpAddr>, Refusal>;

    /// A connection to this very address.
    ///
    /// # Errors
    /// What the kernel says.
    fn connect(&self, address: SocketAddr, deadline: Instant) -> io::Result<Box<dyn Connection>>;

    /// The same, as a descriptor to be handed on.
    ///
    /// # Errors
    /// What the kernel says.
    fn descriptor(&self, address: SocketAddr, deadline: Instant) -> io::Result<OwnedFd>;

    /// A listener on this very address.
    ///
    /// # Errors
    /// What the kernel says.
    fn listen(&self, address: SocketAddr) -> io::Result<OwnedFd>;

    /// What time it is.
    fn now(&self) -> Instant;
}
