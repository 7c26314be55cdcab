//! Clocks: `clock_*`.
//!
//! Assumes that the system's clocks do not fail. Guarantees that the guest's
//! monotonic clock never goes back and begins when it is first asked, so that it
//! does not tell how long the machine has been up. Does not round: the precision
//! a guest asks for is a hint. Processor time is not offered (`badf`, as in
//! wasmtime): it would tell a guest what its neighbours do.

use crate::host::Host;
use crate::host::errno::{Errno, Outcome};
use crate::host::memory::GuestMemory;
use crate::host::types::{Clock, timestamp};
use rustix::time::{ClockId, Timespec, clock_getres, clock_gettime};

/// The smallest step of a clock, in nanoseconds.
pub(crate) fn clock_res_get(
    _host: &mut Host,
    memory: &mut GuestMemory<'_>,
    clock: u32,
    result: u32,
) -> Outcome<()> {
    let clock = match Clock::parse(clock)? {
        Clock::Realtime => ClockId::Realtime,
        Clock::Monotonic => ClockId::Monotonic,
        Clock::ProcessCpuTime | Clock::ThreadCpuTime => return Err(Errno::Badf.into()),
    };
    memory.write_u64(result, nanoseconds(clock_getres(clock))?)
}

/// The time of a clock, in nanoseconds.
pub(crate) fn clock_time_get(
    host: &mut Host,
    memory: &mut GuestMemory<'_>,
    clock: u32,
    _precision_ns: u64,
    result: u32,
) -> Outcome<()> {
    let now = match Clock::parse(clock)? {
        Clock::Realtime => realtime()?,
        Clock::Monotonic => monotonic()?.saturating_sub(host.monotonic_origin()?),
        Clock::ProcessCpuTime | Clock::ThreadCpuTime => return Err(Errno::Badf.into()),
    };
    memory.write_u64(result, now)
}

impl Host {
    /// The system's monotonic time at which the guest's is zero. One nanosecond
    /// before it is first asked for, because to some guests (Go's runtime) a
    /// clock at zero is a broken one.
    pub(crate) fn monotonic_origin(&mut self) -> Outcome<u64> {
        if let Some(origin) = self.monotonic_origin {
            return Ok(origin);
        }
        let origin = monotonic()?.saturating_sub(1);
        self.monotonic_origin = Some(origin);
        Ok(origin)
    }
}

/// Nanoseconds since 1970.
pub(crate) fn realtime() -> Outcome<u64> {
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
