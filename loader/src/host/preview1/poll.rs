//! Waiting: `poll_oneoff`.
//!
//! Assumes that the system's clocks do not fail. Guarantees that clocks and
//! descriptors are waited for together, in one `ppoll`, and never busily; that a
//! bad descriptor is an event with an error, and does not spoil the others; and
//! that what one call may ask for is bounded (`SUBSCRIPTIONS_MAX`; `inval` beyond).
//! Does not notice when the wall clock is set while a guest waits for a time of day.

use crate::host::Host;
use crate::host::errno::{Errno, Outcome, check_stopped};
use crate::host::input::Input;
use crate::host::memory::{GuestMemory, Pointer};
use crate::host::preview1::clock::{capability, monotonic};
use crate::host::preview1::types::{Clock, Event, EventKind, NANOSECONDS, ReadyFlags, Wait};
use crate::host::stream::Direction;
use crate::host::table::{Descriptor, Table};
use bls_artifact::limits::SUBSCRIPTIONS_MAX;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd};
use rustix::fs::{FileType, fstat, tell};
use rustix::io::{Errno as SystemErrno, ioctl_fionread};

/// Waits until at least one of `count` subscriptions has something to say.
pub(crate) fn poll_oneoff(
    host: &mut Host,
    memory: &mut GuestMemory<'_>,
    subscriptions: Pointer,
    events: Pointer,
    count: u32,
    result: Pointer,
) -> Outcome<()> {
    if count == 0 || count > SUBSCRIPTIONS_MAX {
        return Err(Errno::Inval.into());
    }
    host.purse.owe_subscriptions(count);
    memory.check_u32(result)?;
    memory.check_list(events, count, Event::SIZE, Event::ALIGNMENT)?;
    let mut wanted = Vec::new();
    for index in 0..count {
        let place = subscriptions.element(index, host.edition.subscription_bytes())?;
        wanted.push(host.edition.subscription(memory, place)?);
    }
    let mut happened = Vec::new();
    let mut alarms = Vec::new();
    let mut descriptors = Vec::new();
    for subscription in &wanted {
        let userdata = subscription.userdata;
        match subscription.wait {
            Wait::Clock { clock, timeout_ns, absolute } => {
                alarms.push((userdata, delay(host, clock, timeout_ns, absolute)?));
            }
            Wait::Read { descriptor } => descriptors.push((userdata, EventKind::Read, descriptor)),
            Wait::Write { descriptor } => {
                descriptors.push((userdata, EventKind::Write, descriptor));
            }
        }
    }
    let mut files = Vec::new();
    for (userdata, kind, descriptor) in descriptors {
        match system(&host.table, &host.input, descriptor) {
            Ok(Waiting::For(system)) => files.push(Awaited { userdata, kind, system }),
            Ok(Waiting::Over(bytes)) => {
                let bytes_ready = if kind == EventKind::Read { bytes } else { 0 };
                happened.push(Event { bytes_ready, ..event(userdata, kind, None) });
            }
            Err(error) => happened.push(event(userdata, kind, Some(error))),
        }
    }

    let longest_ns =
        if happened.is_empty() { alarms.iter().map(|alarm| alarm.1).min() } else { Some(0) };
    let waited_ns = match &mut host.clockwork {
        None => wait(&files, longest_ns, &mut happened)?,
        Some(clockwork) if files.is_empty() => {
            clockwork.wait(longest_ns.unwrap_or_default());
            longest_ns.unwrap_or_default()
        }
        // By rule every stream and file is ready.
        Some(_) => {
            happened.extend(files.iter().map(|file| {
                let reads = file.kind == EventKind::Read;
                let bytes_ready = if reads { bytes_by_rule(file.system) } else { 0 };
                Event { bytes_ready, ..event(file.userdata, file.kind, None) }
            }));
            0
        }
    };
    for (userdata, delay_ns) in alarms {
        if delay_ns <= waited_ns {
            happened.push(event(userdata, EventKind::Clock, None));
        }
    }

    let mut index = 0;
    for event in &happened {
        let place = events.element(index, Event::SIZE)?;
        memory.write(place, Event::ALIGNMENT, event.encode())?;
        index += 1;
    }
    memory.write_u32(result, index)
}

/// A descriptor that is waited for.
struct Awaited<'a> {
    userdata: u64,
    kind: EventKind,
    system: BorrowedFd<'a>,
}

impl Awaited<'_> {
    /// What the system is asked about it.
    fn flags(&self) -> PollFlags {
        match self.kind {
            EventKind::Write => PollFlags::OUT,
            _ => PollFlags::IN,
        }
    }
}

/// Nanoseconds from now until an alarm.
fn delay(host: &mut Host, clock: Clock, timeout_ns: u64, absolute: bool) -> Outcome<u64> {
    let capability = capability(clock).map_err(|_| Errno::Inval)?;
    if absolute {
        return Ok(timeout_ns.saturating_sub(host.now(clock)?));
    }
    host.check(capability)?;
    Ok(timeout_ns)
}

/// What waiting for a number of the guest's means.
enum Waiting<'a> {
    /// The system is asked.
    For(BorrowedFd<'a>),
    /// It is ready, with so many bytes to read.
    Over(u64),
}

/// What stands behind a number.
fn system<'a>(table: &'a Table, input: &Input, number: u32) -> Result<Waiting<'a>, Errno> {
    match table.get(number) {
        Ok(Descriptor::Stream(stream)) => {
            // What is kept of standard input is there.
            let kept = input.next().filter(|_| stream.direction == Direction::Input);
            if let Some(kept) = kept {
                return Ok(Waiting::Over(kept.len() as u64));
            }
            let over = || Waiting::Over(stream.bytes_to_read());
            Ok(stream.system().map_or_else(over, Waiting::For))
        }
        Ok(Descriptor::File(file)) => Ok(Waiting::For(file.as_fd())),
        Ok(Descriptor::Socket(socket)) => Ok(Waiting::For(socket.as_fd())),
        Ok(Descriptor::Directory(_) | Descriptor::Withheld) | Err(_) => Err(Errno::Badf),
    }
}

/// Waits for one of the descriptors, at most `longest_ns` from now, and adds what happened;
/// how long it took, in nanoseconds, and at least `longest_ns` when the time was up.
fn wait(files: &[Awaited<'_>], longest_ns: Option<u64>, happened: &mut Vec<Event>) -> Outcome<u64> {
    // Each descriptor once: the kernel takes no more than a process may have.
    let mut numbers: Vec<i32> = files.iter().map(|file| file.system.as_raw_fd()).collect();
    numbers.sort_unstable();
    numbers.dedup();
    let place = |file: &Awaited<'_>| numbers.binary_search(&file.system.as_raw_fd()).ok();
    let mut asked = vec![(None, PollFlags::empty()); numbers.len()];
    for file in files {
        if let Some((system, flags)) = place(file).and_then(|place| asked.get_mut(place)) {
            *system = Some(file.system);
            *flags |= file.flags();
        }
    }
    let asked = asked.into_iter().filter_map(|(system, flags)| Some((system?, flags)));
    let mut polled: Vec<PollFd<'_>> =
        asked.map(|(system, flags)| PollFd::from_borrowed_fd(system, flags)).collect();
    let waited_ns = wait_for_one(&mut polled, longest_ns)?;
    for file in files {
        let told = place(file).and_then(|place| polled.get(place)).map(PollFd::revents);
        let others = PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL;
        let flags = told.unwrap_or(PollFlags::empty()) & (file.flags() | others);
        if !flags.is_empty() {
            happened.push(ready(file.userdata, file.kind, file.system, flags));
        }
    }
    Ok(waited_ns)
}

/// Waits for one of the descriptors, at most `longest_ns` from now; how long it
/// took, in nanoseconds, and at least `longest_ns` when the time was up.
fn wait_for_one(polled: &mut [PollFd<'_>], longest_ns: Option<u64>) -> Outcome<u64> {
    let begun = monotonic()?;
    loop {
        let waited = monotonic()?.saturating_sub(begun);
        let left = longest_ns.map(|longest| longest.saturating_sub(waited));
        let timeout = left.map(|left| Timespec {
            tv_sec: i64::try_from(left / NANOSECONDS).unwrap_or(i64::MAX),
            tv_nsec: (left % NANOSECONDS) as _,
        });
        match poll(polled, timeout.as_ref()) {
            Err(SystemErrno::INTR) => check_stopped()?,
            Err(error) => return Err(error.into()),
            Ok(0) => return Ok(longest_ns.unwrap_or(0)),
            Ok(_) => return Ok(monotonic()?.saturating_sub(begun)),
        }
    }
}

/// What happened on a descriptor.
fn ready(userdata: u64, kind: EventKind, system: BorrowedFd<'_>, flags: PollFlags) -> Event {
    if flags.contains(PollFlags::NVAL) {
        return event(userdata, kind, Some(Errno::Badf));
    }
    let bytes_ready = match kind {
        EventKind::Read => bytes_to_read(system),
        _ => 0,
    };
    let hangup = flags.contains(PollFlags::HUP);
    let flags = if hangup { ReadyFlags::HANGUP } else { ReadyFlags::empty() };
    Event { bytes_ready, flags, ..event(userdata, kind, None) }
}

/// How many bytes a read would find at once.
///
/// Of a file it is computed: what the kernel's own answer would be does not fit it
/// beyond 2 GiB, and is negative when the position is behind the end.
fn bytes_to_read(system: BorrowedFd<'_>) -> u64 {
    match fstat(system) {
        Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile => {
            let size = u64::try_from(stat.st_size).unwrap_or(0);
            size.saturating_sub(tell(system).unwrap_or(0))
        }
        _ => ioctl_fionread(system).unwrap_or(0),
    }
}

/// How many bytes a read would find, without asking what is not the same each time.
fn bytes_by_rule(system: BorrowedFd<'_>) -> u64 {
    match fstat(system) {
        Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile => {
            bytes_to_read(system)
        }
        // At least one, or the end.
        _ => 1,
    }
}

/// An event with nothing to add.
fn event(userdata: u64, kind: EventKind, error: Option<Errno>) -> Event {
    Event { userdata, error, kind, bytes_ready: 0, flags: ReadyFlags::empty() }
}
