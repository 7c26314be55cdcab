//! Runs guests so that time, or somebody, can stop them.

use super::refusal::Refusal;
use super::timer::Alarm;
use crate::sys::interrupt::{Places, Stop, stoppable};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Why a guest was stopped: `Stop::why`.
pub(crate) const CANCELLED: u8 = 1;
/// Its time was over.
pub(crate) const TIME: u8 = 2;

/// Stops a guest from any thread. Made by [`Runner::cancel`](crate::Runner::cancel).
#[derive(Clone, Debug)]
pub struct Cancel(pub(crate) Arc<Stop>);

impl Cancel {
    /// Stops the guest: within about a millisecond where it runs its own code or waits for a
    /// stream or a time; behind the call where it is in another call of the host; at its next
    /// call where it does not run. It cannot be called again.
    pub fn cancel(&self) {
        self.0.want(CANCELLED);
        if self.0.signal() {
            // Where the timer could not be started there is no limit on time either, and the
            // one signal is all there is.
            if let Ok(alarm) = Alarm::set(&self.0, Instant::now(), CANCELLED) {
                alarm.forget();
            }
        }
    }
}

/// A guest's part in being stopped.
#[derive(Clone, Debug)]
pub(crate) struct Stopping {
    pub(crate) stop: Arc<Stop>,
    pub(crate) places: Arc<Places>,
}

impl Stopping {
    /// Runs `guest` for no longer than `time`. Gives with its result why it was stopped, if
    /// it was.
    pub(crate) fn run<T>(
        &self,
        time: Option<Duration>,
        guest: impl FnOnce() -> T,
    ) -> Result<(T, u8), Refusal> {
        let stop = &self.stop;
        let until = time.and_then(|time| Instant::now().checked_add(time));
        let alarm = until.map(|until| Alarm::set(stop, until, TIME)).transpose();
        let alarm = alarm.map_err(Refusal::Timer)?;
        let result = stoppable(stop, &self.places, || {
            // What came before the thread was inside could not signal it: the timer does.
            let late = match stop.why() {
                0 => None,
                why => Some(Alarm::set(stop, Instant::now(), why)),
            };
            late.transpose().map(|late| (guest(), late).0)
        });
        let result = result.map_err(Refusal::Timer)?;
        drop(alarm);
        let why = stop.why();
        if why == TIME {
            // It may have come too late: what it means is for the caller to say.
            stop.clear();
        }
        Ok((result, why))
    }
}
