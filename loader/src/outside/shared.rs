//! One broker for guests that run one behind the other, as those of a worker process do.
//!
//! Guarantees that a guest finds nothing that an earlier one left open, that its requests are
//! counted from nothing, and that it gets no answer that was meant for an earlier one: a broker
//! that somebody stopped waiting for is asked nothing any more.

use super::{Answer, Broker, Outside, Reply, Request, Setup};
use crate::error::Error;
use std::io;
use std::os::fd::RawFd;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A process of `bls-broker` that answers for guests that run one behind the other.
///
/// ```no_run
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use bls_loader::outside::SharedBroker;
/// use bls_loader::{Loader, Runner, Trust, Wall};
/// # let example = bls_loader::bls_artifact::net::NetGrant::parse("https://example.com")?;
/// let verified = Loader::new(Trust::system()?).open("proxy.bls")?;
/// let pool = Runner::new(verified).allow_net(example).pool(1)?;
/// let setup = pool.broker_setup()?.ok_or("it asks for nothing")?;
/// let broker = SharedBroker::new("/usr/bin/bls-broker".as_ref(), &setup)?;
/// Wall::new().around(&pool).asking(&broker).stand()?;
/// while broker.answers() {
///     let ended = pool.runner().outside(broker.guest()).run()?;
/// #   break;
/// }
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct SharedBroker(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    broker: Broker,
    /// The number of the guest that is answered.
    guest: u64,
    /// Whether anything was asked that the broker still keeps something of.
    asked: bool,
    /// Whether it said less than it was asked for: what comes now may be an earlier answer.
    is_broken: bool,
}

impl SharedBroker {
    /// Starts `program`, which may do for each guest what `setup` says, and waits until it is
    /// ready.
    ///
    /// # Errors
    /// As for [`Broker::new`].
    pub fn new(program: &Path, setup: &Setup) -> Result<Self, Error> {
        let setup = Setup { several_guests: true, ..setup.clone() };
        let broker = Broker::new(program, &setup)?;
        let state = State { broker, guest: 0, asked: false, is_broken: false };
        Ok(Self(Arc::new(Mutex::new(state))))
    }

    /// Who answers the next guest. The one before it is answered no more.
    #[must_use]
    pub fn guest(&self) -> impl Outside + use<> {
        let mut state = self.lock();
        state.forget();
        state.guest += 1;
        OneGuest { shared: self.clone(), number: state.guest }
    }

    /// Whether it still answers. It does not once it has ended, or once a guest was stopped while
    /// it waited: whoever runs guests then takes another process, with another broker.
    #[must_use]
    pub fn answers(&self) -> bool {
        !self.lock().is_broken
    }

    /// The descriptor over which it is asked.
    pub(crate) fn descriptor(&self) -> RawFd {
        self.lock().broker.descriptor()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn ask(&mut self, request: &Request) -> io::Result<Reply> {
        if self.is_broken {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let reply = self.broker.ask(request);
        self.is_broken = reply.is_err();
        reply
    }

    /// Has the broker forget what a guest left there.
    fn forget(&mut self) {
        if self.asked && !self.is_broken {
            let said = self.ask(&Request::NextGuest);
            self.is_broken = !matches!(said, Ok(Reply { answer: Answer::Done, .. }));
        }
        self.asked = false;
    }
}

/// What one guest asks.
struct OneGuest {
    shared: SharedBroker,
    number: u64,
}

impl Outside for OneGuest {
    fn ask(&mut self, request: &Request) -> io::Result<Reply> {
        let mut state = self.shared.lock();
        if state.guest != self.number {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        state.asked = true;
        state.ask(request)
    }
}

impl Drop for OneGuest {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        if state.guest == self.number {
            state.forget();
        }
    }
}
