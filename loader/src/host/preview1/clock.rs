//! Clocks: `clock_*`.
//!
//! Assumes that the system's clocks do not fail. Guarantees that the guest's
//! monotonic clock never goes back and begins when it is first asked, so that it
//! does not tell how long the machine has been up. Does not round: the precision
//! a guest asks for is a hint. Processor time is not offered (`badf`, as in
//! wasmtime): it would tell a guest what its neighbours do.

use crate::host::Host;
use crate::host::determinism::TICK_NS;
use crate::host::errno::{Errno, Outcome};
use crate::host::memory::{GuestMemory, Pointer};
use crate::host::preview1::types::{Clock, timestamp};
use bls_artifact::capability::Capability;
use rustix::time::{ClockId, Timespec, clock_getres, clock_gettime};

/// The smallest step of a clock, in nanoseconds.
pub(crate) fn clock_res_get(
    host: &mut Host,
    memory: &mut GuestMemory<'_>,
    clock: u32,
    result: Pointer,
) -> Outcome<()> {
    let clock = Clock::parse(clock)?;
    host.check(capability(clock)?)?;
    let step_ns = match (&host.clockwork, clock) {
        (Some(_), _) => TICK_NS,
        (None, Clock::Realtime) => nanoseconds(clock_getres(ClockId::Realtime))?,
        (None, _) => nanoseconds(clock_getres(ClockId::Monotonic))?,
    };
    memory.write_u64(result, step_ns)
}

/// The time of a clock, in nanoseconds.
pub(crate) fn clock_time_get(
    host: &mut Host,
    memory: &mut GuestMemory<'_>,
    clock: u32,
    _precision_ns: u64,
    result: Pointer,
) -> Outcome<()> {
    let now = host.now(Clock::parse(clock)?)?;
    memory.write_u64(result, now)
}

/// What reading a clock takes; `badf` for those that are not offered.
pub(crate) fn capability(clock: Clock) -> Result<Capability, Errno> {
    match clock {
        Clock::Realtime => Ok(Capability::WallClock),
        Clock::Monotonic => Ok(Capability::MonotonicClock),
        Clock::ProcessCpuTime | Clock::ThreadCpuTime => Err(Errno::Badf),
    }
}

impl Host {
    /// What a clock says, in nanoseconds.
    pub(crate) fn now(&mut self, clock: Clock) -> Outcome<u64> {
        self.check(capability(clock)?)?;
        match (&mut self.clockwork, clock) {
            (Some(clockwork), Clock::Realtime) => Ok(clockwork.wall_ns()),
            (Some(clockwork), _) => Ok(clockwork.monotonic_ns()),
            (None, Clock::Realtime) => realtime(),
            (None, _) => Ok(monotonic()?.saturating_sub(self.monotonic_origin()?)),
        }
    }

    /// The system's monotonic time at which the guest's is zero. One nanosecond
    /// before it is first asked for, because to some guests (Go's runtime) a
    /// clock at zero is a broken one.
    fn monotonic_origin(&mut self) -> Outcome<u64> {
        if let Some(origin) = self.monotonic_origin {
            return Ok(origin);
        }
        let origin = monotonic()?.saturating_sub(1);
        self.monotonic_origin = Some(origin);
        Ok(origin)
    }
}

/// Nanoseconds since 1970.
fn realtime() -> Outcome<u64> {
    nanoseconds(clock_gettime(ClockId::Realtime))
}

/// The system's monotonic time, in nanoseconds.
pub(crate) fn monotonic() -> Outcome<u64> {
    nanoseconds(clock_gettime(ClockId::Monotonic))
}

#[allow(clippy::useless_conversion, reason = "tv_nsec is narrower on 32-bit systems")]
fn nanoseconds(time: Timespec) -> Outcome<u64> {
    timestamp(time.tv_sec, time.tv_nsec.into())
}
