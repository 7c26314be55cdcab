//! From what is asked for to the addresses that may be connected to.

use super::Network;
use bls_artifact::broker::{Reason, Refusal};
use bls_artifact::net::{Denial, NetRules, Target};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

/// Most addresses of one name that are tried.
const TRIED_MAX: usize = 8;

/// Addresses that were judged, for [`Reached::with_each`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reached {
    what: String,
    addresses: Vec<SocketAddr>,
}

/// Looks a target up and judges it: by its name, and by each address. Addresses that are not
/// granted are left out; where none is left it is denied.
///
/// # Errors
/// [`Reason::Denied`], or what the network says.
pub fn reach(
    network: &impl Network,
    rules: &NetRules,
    target: &Target<'_>,
    deadline: Instant,
) -> Result<Reached, Refusal> {
    let denied = |denial: &Denial| Refusal::new(Reason::Denied, denial);
    rules.check(target).map_err(|denial| denied(&denial))?;
    let all: Vec<IpAddr> = match target.host().address() {
        Some(address) => vec![address],
        None => network.addresses(&target.host().to_string(), deadline)?,
    };
    let mut addresses = Vec::new();
    let mut first_denial = None;
    for address in all {
        match rules.check_address(target, address) {
            Ok(()) if addresses.len() < TRIED_MAX => {
                addresses.push(SocketAddr::new(address.to_canonical(), target.port()));
            }
            Ok(()) => {}
            Err(denial) => first_denial = first_denial.or(Some(denial)),
        }
    }
    match (addresses.is_empty(), first_denial) {
        (false, _) => Ok(Reached { what: target.host().to_string(), addresses }),
        (true, Some(denial)) => Err(denied(&denial)),
        (true, None) => {
            Err(Refusal::new(Reason::Unreachable, format_args!("{} has no address", target.host())))
        }
    }
}

impl Reached {
    /// Tries the addresses in their order, each for its share of the time.
    ///
    /// # Errors
    /// [`Reason::Unreachable`] or [`Reason::Timeout`], with what the last one said.
    pub fn with_each<T>(
        &self,
        network: &impl Network,
        deadline: Instant,
        connect: impl Fn(SocketAddr, Instant) -> io::Result<T>,
    ) -> Result<T, Refusal> {
        let mut last = None;
        for (index, address) in self.addresses.iter().enumerate() {
            let now = network.now();
            let left = deadline.saturating_duration_since(now);
            if left.is_zero() {
                last = last.or(Some(io::ErrorKind::TimedOut.into()));
                break;
            }
            let share = left / (self.addresses.len() - index) as u32;
            match connect(*address, now + share) {
                Ok(done) => return Ok(done),
                Err(error) => last = Some(error),
            }
        }
        let error = last.unwrap_or_else(|| io::ErrorKind::NotFound.into());
        let reason = match error.kind() {
            io::ErrorKind::TimedOut => Reason::Timeout,
            _ => Reason::Unreachable,
        };
        Err(Refusal::new(reason, format_args!("{}: {}", self.what, words(&error))))
    }
}

/// An error of the network in words that name no number.
pub(crate) fn words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::TimedOut => "it took longer than it may".to_owned(),
        io::ErrorKind::ConnectionRefused => "nothing listens there".to_owned(),
        _ => error.to_string(),
    }
}
