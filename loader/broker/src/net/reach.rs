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
            Err(Refusal::new(Reason::UnknownName, format_args!("{} has no address", target.host())))
        }
    }
}

impl Reached {
    /// The addresses, each of which may be connected to.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Tries the addresses in their order, each for its share of the time.
    ///
    /// # Errors
    /// [`Reason::ConnectionRefused`], [`Reason::ConnectTimeout`], [`Reason::AddressInUse`] or
    /// [`Reason::Unreachable`], by what the last one said.
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
            io::ErrorKind::TimedOut => Reason::ConnectTimeout,
            io::ErrorKind::ConnectionRefused => Reason::ConnectionRefused,
            io::ErrorKind::AddrInUse => Reason::AddressInUse,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Connection;
    use bls_artifact::net::Url;
    use std::cell::{Cell, RefCell};
    use std::os::fd::OwnedFd;
    use std::time::Duration;

    /// A name server that says another address each time, and what was connected to.
    struct Rebinding {
        answers: [&'static [&'static str]; 2],
        asked: Cell<usize>,
        connected: RefCell<Vec<SocketAddr>>,
        begin: Instant,
    }

    impl Network for Rebinding {
        fn addresses(&self, _: &str, _: Instant) -> Result<Vec<IpAddr>, Refusal> {
            let answer = self.answers[self.asked.get().min(1)];
            self.asked.set(self.asked.get() + 1);
            Ok(answer.iter().map(|text| text.parse().unwrap()).collect())
        }

        fn connect(&self, address: SocketAddr, _: Instant) -> io::Result<Box<dyn Connection>> {
            self.connected.borrow_mut().push(address);
            Err(io::ErrorKind::ConnectionRefused.into())
        }

        fn descriptor(&self, _: SocketAddr, _: Instant) -> io::Result<OwnedFd> {
            Err(io::ErrorKind::Unsupported.into())
        }

        fn listen(&self, _: SocketAddr) -> io::Result<OwnedFd> {
            Err(io::ErrorKind::Unsupported.into())
        }

        fn now(&self) -> Instant {
            self.begin
        }
    }

    /// What is connected to where a name server answers so, how often it was asked, and why not.
    fn reached(answers: [&'static [&'static str]; 2]) -> (Vec<String>, usize, Reason) {
        let begin = Instant::now();
        let (asked, connected) = (Cell::new(0), RefCell::default());
        let network = Rebinding { answers, asked, connected, begin };
        let rules = NetRules::parse(["*"], ["9.9.9.9"]).unwrap();
        let url = Url::parse("http://rebind.example/").unwrap();
        let deadline = begin + Duration::from_secs(1);
        let outcome = reach(&network, &rules, &Target::Url(&url), deadline).and_then(|reached| {
            reached.with_each(&network, deadline, |address, by| network.connect(address, by))
        });
        let connected = network.connected.borrow().iter().map(ToString::to_string).collect();
        (connected, network.asked.get(), outcome.unwrap_err().reason)
    }

    #[test]
    fn the_address_that_was_judged_is_connected_to_and_no_other() {
        let one = |text: &str| vec![text.to_owned()];
        let (connected, asked, reason) = reached([&["1.1.1.1"], &["127.0.0.1"]]);
        assert_eq!((connected, asked), (one("1.1.1.1:80"), 1));
        assert_eq!(reason, Reason::ConnectionRefused);
        let (connected, asked, reason) = reached([&["127.0.0.1"], &["1.1.1.1"]]);
        assert_eq!((connected, asked, reason), (vec![], 1, Reason::Denied));
        // Of several those that are granted; a rule that refuses an address is about names too.
        let mixed = ["127.0.0.1", "9.9.9.9", "::ffff:10.0.0.1", "1.1.1.1", "169.254.169.254"];
        let (connected, ..) = reached([Box::leak(Box::new(mixed)), &[]]);
        assert_eq!(connected, one("1.1.1.1:80"));
        assert_eq!(reached([&[], &[]]).2, Reason::UnknownName);
        let many = vec!["1.1.1.1"; 100].leak();
        assert_eq!(reached([many, &[]]).0.len(), TRIED_MAX);
    }
}
