//! Moving bytes: `fd_read`, `fd_write`, `fd_pread`, `fd_pwrite`.
//!
//! Assumes that the kernel keeps a file's position. Guarantees that bytes go
//! straight between the guest's memory and the kernel, without a copy or a buffer
//! in between, that no more leave the guest than it was granted, that a call with a
//! bad pointer moves nothing, and that what was moved is paid for however a call ends. Does not loop until all is done: a short count
//! is an answer, and the guest decides. (Where chance is ruled out it does, for
//! streams.)

use crate::host::Host;
use crate::host::disk::{OutputLeft, OutputLimit};
use crate::host::errno::{Errno, Failure, Outcome};
use crate::host::memory::{Buffers, Gathered, GuestMemory, Pointer};
use crate::host::preview1::types::ReceiveFlags;
use crate::host::stream::Direction;
use crate::host::table::{Descriptor, OpenFile};
use crate::host::waiting::until_ready;
use rustix::event::PollFlags;
use rustix::io::{Errno as SystemErrno, preadv, pwritev, readv, retry_on_intr, writev};
use std::io::{IoSlice, IoSliceMut};

/// Reads at the position, and moves it.
pub(crate) fn fd_read(
    host: &mut Host,
    memory: &mut GuestMemory<'_>,
    descriptor: u32,
    buffers: Buffers,
    result: Pointer,
) -> Outcome<()> {
    memory.check_u32(result)?;
    let length = match host.table.get(descriptor)? {
        Descriptor::File(file) => {
            let mut buffers = memory.scatter(&host.purse, buffers)?;
            host.purse.owe_file_read();
            retry_on_intr(|| readv(file, &mut buffers))?
        }
        Descriptor::Stream(stream) if stream.direction == Direction::Input => {
            let mut buffers = memory.scatter(&host.purse, buffers)?;
            let whole = host.clockwork.is_some();
            let kept = host.input.read(&mut buffers, whole, &mut host.holding)?;
            match (kept, stream.system()) {
                (Some(moved), _) => moved,
                (None, None) => {
                    let moved = stream.read(&mut buffers);
                    host.input.see(&buffers, moved);
                    moved
                }
                (None, Some(system)) => {
                    let mut rest = &mut buffers[..];
                    let input = &mut host.input;
                    transfer(whole, |done| {
                        IoSliceMut::advance_slices(&mut rest, done);
                        let moved = until_ready(system, PollFlags::IN, || readv(system, rest))?;
                        input.see(rest, moved);
                        Ok(moved)
                    })?
                }
            }
        }
        Descriptor::Socket(socket) => {
            host.purse.owe_socket();
            socket.receive(&mut memory.scatter(&host.purse, buffers)?, ReceiveFlags::empty())?
        }
        _ => return Err(Errno::Badf.into()),
    };
    host.purse.owe_transfer(length);
    memory.write_size(result, length)
}

/// Reads at `offset`, and leaves the position alone.
pub(crate) fn fd_pread(
    host: &mut Host,
    memory: &mut GuestMemory<'_>,
    descriptor: u32,
    buffers: Buffers,
    offset: u64,
    result: Pointer,
) -> Outcome<()> {
    let file = match host.table.get(descriptor)? {
        Descriptor::File(file) => file,
        Descriptor::Stream(stream) if stream.direction == Direction::Input => {
            return Err(Errno::Spipe.into());
        }
        Descriptor::Socket(_) => return Err(Errno::Spipe.into()),
        _ => return Err(Errno::Badf.into()),
    };
    memory.check_u32(result)?;
    let mut buffers = memory.scatter(&host.purse, buffers)?;
    host.purse.owe_file_read();
    let length = retry_on_intr(|| preadv(file, &mut buffers, offset))?;
    host.purse.owe_transfer(length);
    memory.write_size(result, length)
}

/// Writes at the position, or at the end of a file that is appended to.
pub(crate) fn fd_write(
    host: &mut Host,
    memory: &mut GuestMemory<'_>,
    descriptor: u32,
    buffers: Buffers,
    result: Pointer,
) -> Outcome<()> {
    let mut left = host.output_left;
    memory.check_u32(result)?;
    let mut gathered = memory.gather(&host.purse, buffers, left.bytes())?;
    let written = match host.table.get(descriptor)? {
        Descriptor::File(file) => {
            host.purse.owe_file_write(file.synced);
            let start = left.position(file)?;
            let write = |list: &[IoSlice<'_>]| writev(file, list);
            write_file(file, start, memory, &mut left, &mut gathered, write)?
        }
        Descriptor::Stream(stream) if stream.direction != Direction::Input => {
            let whole = host.clockwork.is_some();
            let seen = match stream.direction {
                Direction::Error => &mut host.accounted.error,
                _ => &mut host.accounted.output,
            };
            let mut see = |buffers: &[IoSlice<'_>], length| {
                if let Some(seen) = seen {
                    seen.add(buffers, length);
                }
            };
            match stream.system() {
                None => {
                    let kept = stream.write(&gathered.buffers);
                    see(&gathered.buffers, kept);
                    // A sink that is full is a limit on output like the other.
                    gathered.cut_at(kept as u64);
                    kept
                }
                Some(output) => {
                    let mut rest = &mut gathered.buffers[..];
                    transfer(whole, |done| {
                        IoSlice::advance_slices(&mut rest, done);
                        let moved = until_ready(output, PollFlags::OUT, || writev(output, rest))?;
                        see(rest, moved);
                        Ok(moved)
                    })?
                }
            }
        }
        Descriptor::Socket(socket) => {
            host.purse.owe_socket();
            socket.send(&gathered.buffers)?
        }
        _ => return Err(Errno::Badf.into()),
    };
    host.purse.owe_transfer(written);
    account(&mut host.output_left, left, &gathered, written)?;
    memory.write_size(result, written)
}

/// Writes at `offset`, and leaves the position alone. A file that is appended to
/// is appended to, wherever `offset` is: Linux does so, and wasmtime with it.
pub(crate) fn fd_pwrite(
    host: &mut Host,
    memory: &mut GuestMemory<'_>,
    descriptor: u32,
    buffers: Buffers,
    offset: u64,
    result: Pointer,
) -> Outcome<()> {
    let mut left = host.output_left;
    memory.check_u32(result)?;
    let mut gathered = memory.gather(&host.purse, buffers, left.bytes())?;
    let file = match host.table.get(descriptor)? {
        Descriptor::File(file) => file,
        Descriptor::Stream(stream) if stream.direction != Direction::Input => {
            return Err(Errno::Spipe.into());
        }
        Descriptor::Socket(_) => return Err(Errno::Spipe.into()),
        _ => return Err(Errno::Badf.into()),
    };
    host.purse.owe_file_write(file.synced);
    // The kernel would say so, if it were asked; where nothing may be changed, nobody may ask.
    if file.read_only {
        return Err(Errno::Badf.into());
    }
    let write = |list: &[IoSlice<'_>]| pwritev(file, list, offset);
    let written = write_file(file, offset, memory, &mut left, &mut gathered, write)?;
    host.purse.owe_transfer(written);
    account(&mut host.output_left, left, &gathered, written)?;
    memory.write_size(result, written)
}

/// Writes to a file where it reads `start`, as much as is left when what that skips is
/// paid for.
fn write_file<'a>(
    file: &OpenFile,
    start: u64,
    memory: &'a GuestMemory<'_>,
    left: &mut OutputLeft,
    gathered: &mut Gathered<'a>,
    write: impl Fn(&[IoSlice<'_>]) -> Result<usize, SystemErrno>,
) -> Outcome<usize> {
    let mut start = start;
    if gathered.length > 0 {
        (*left, start) = left.take_gap(file, start)?;
    }
    if left.bytes() < gathered.length {
        *gathered = memory.gather_again(gathered, left.bytes());
    }
    let written = retry_on_intr(|| write(&gathered.buffers))?;
    if written > 0 {
        file.has_reached(start.saturating_add(written as u64));
    }
    Ok(written)
}

/// Takes what was written from what may still be written, and ends the run when
/// the guest wanted more than that. What fits has been written by then.
pub(crate) fn account(
    output_left: &mut OutputLeft,
    left: OutputLeft,
    gathered: &Gathered<'_>,
    written: usize,
) -> Outcome<()> {
    let written = written as u64;
    if written > 0 {
        *output_left = left.take(written)?;
    }
    if gathered.limited && written == gathered.length {
        return Err(Failure::Stop(wasmtime::Error::new(OutputLimit)));
    }
    Ok(())
}

/// Moves bytes once, or until nothing more moves: how many a stream takes at once is
/// chance (`determinism.rs`). `step` is told how many the last one moved.
fn transfer(whole: bool, mut step: impl FnMut(usize) -> Outcome<usize>) -> Outcome<usize> {
    let mut last = step(0)?;
    let mut moved = last;
    while whole && last > 0 {
        // What was moved is the answer; trouble shows at the next call.
        last = step(last).unwrap_or_default();
        moved += last;
    }
    Ok(moved)
}
