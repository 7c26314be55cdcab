//! One thread for all limits on time: it sleeps until the next guest's time is over.
//!
//! Guarantees that an alarm which was dropped stops nobody, and that a guest whose time is
//! over is signalled again, a thousand times a second, until it has left: a signal that finds
//! a thread in the host does nothing (`sys/interrupt.rs`).

use crate::sys::interrupt::Stop;
use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, Once, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// How long a guest that did not leave is left alone.
const AGAIN: Duration = Duration::from_millis(1);
/// Bytes of stack of the thread.
const STACK_BYTES: usize = 64 << 10;

/// When something is to be done, and a number that no other alarm has.
type Key = (Instant, u64);

#[derive(Default)]
struct Alarms {
    all: BTreeMap<Key, (Arc<Stop>, u8)>,
    /// When alarms that have rung ring again, by their numbers.
    again: BTreeMap<u64, Instant>,
    made: u64,
    /// Until when the thread sleeps; `None` where it waits for the first alarm. Of an alarm
    /// that rings later it need not be told: so a call with a limit, like the one before it,
    /// wakes nobody.
    until: Option<Instant>,
    /// Whether the thread has begun.
    is_watched: bool,
}

#[derive(Default)]
struct Timer {
    alarms: Mutex<Alarms>,
    earlier: Condvar,
    begun: Condvar,
}

/// The one of this process.
fn timer() -> &'static Timer {
    static TIMER: OnceLock<Timer> = OnceLock::new();
    TIMER.get_or_init(Timer::default)
}

/// Stops a guest when it rings.
#[derive(Debug)]
pub(crate) struct Alarm(Key);

impl Alarm {
    /// Stops the guest at `when`, for this reason.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(crate) fn set(stop: &Arc<Stop>, when: Instant, why: u8) -> std::io::Result<Self> {
        start()?;
        let mut alarms = timer().lock();
        alarms.made += 1;
        let key = (when, alarms.made);
        let is_earlier = alarms.until.is_none_or(|until| when < until);
        alarms.all.insert(key, (Arc::clone(stop), why));
        drop(alarms);
        if is_earlier {
            timer().earlier.notify_one();
        }
        Ok(Self(key))
    }

    /// Lets it ring whether anybody holds it or not.
    pub(crate) fn forget(self) {
        std::mem::forget(self);
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        let mut alarms = timer().lock();
        let Self((when, number)) = *self;
        if alarms.all.remove(&(when, number)).is_none()
            && let Some(again) = alarms.again.remove(&number)
        {
            alarms.all.remove(&(again, number));
        }
    }
}

/// Starts the thread, and waits until it has done what a thread begins with: what follows may
/// forbid it that.
///
/// # Errors
/// The system gives no thread.
#[cfg(feature = "pool")]
pub(crate) fn start_and_wait() -> std::io::Result<()> {
    start()?;
    let mut alarms = timer().lock();
    while !alarms.is_watched {
        alarms = timer().begun.wait(alarms).unwrap_or_else(PoisonError::into_inner);
    }
    Ok(())
}

/// Starts the thread, once.
fn start() -> std::io::Result<()> {
    static ONCE: Once = Once::new();
    static FAILED: OnceLock<std::io::ErrorKind> = OnceLock::new();
    ONCE.call_once(|| {
        let thread = std::thread::Builder::new().name("bls-timer".into()).stack_size(STACK_BYTES);
        if let Err(error) = thread.spawn(|| timer().watch()) {
            let _ = FAILED.set(error.kind());
        }
    });
    FAILED.get().map_or(Ok(()), |kind| Err((*kind).into()))
}

impl Timer {
    fn lock(&self) -> MutexGuard<'_, Alarms> {
        self.alarms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn watch(&self) {
        let mut alarms = self.lock();
        alarms.is_watched = true;
        self.begun.notify_all();
        loop {
            let now = Instant::now();
            alarms.until = alarms.all.first_key_value().map(|((when, _), _)| *when);
            alarms = match alarms.all.first_entry() {
                None => self.earlier.wait(alarms).unwrap_or_else(PoisonError::into_inner),
                Some(first) if first.key().0 > now => {
                    let left = first.key().0 - now;
                    let waited = self.earlier.wait_timeout(alarms, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                Some(first) => {
                    let ((_, number), (stop, why)) = first.remove_entry();
                    stop.want(why);
                    if stop.signal() {
                        alarms.all.insert((now + AGAIN, number), (stop, why));
                        alarms.again.insert(number, now + AGAIN);
                    } else {
                        alarms.again.remove(&number);
                    }
                    alarms
                }
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::interrupt::{Places, stoppable};

    #[test]
    fn an_alarm_that_rang_and_was_dropped_stops_nobody_later() {
        let stop = Arc::new(Stop::default());
        stoppable(&stop, &Places::nowhere(), || {
            let alarm = Alarm::set(&stop, Instant::now(), 2).expect("a thread");
            // It rings again and again, for this thread does not leave.
            while stop.why() == 0 || timer().lock().again.is_empty() {
                std::thread::yield_now();
            }
            drop(alarm);
            stop.clear();
            std::thread::sleep(5 * AGAIN);
            assert_eq!(stop.why(), 0);
        });
        assert!(timer().lock().all.is_empty());
    }
}
