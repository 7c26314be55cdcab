//! Arguments and environment: `args_*`, `environ_*`.
//!
//! Assumes nothing of what was granted; a NUL inside a string ends it in the
//! guest's eyes. Guarantees that the guest sees exactly what was granted. Knows
//! nothing of the process's own arguments and environment.

use crate::host::Host;
use crate::host::errno::{Errno, Outcome};
use crate::host::memory::{GuestMemory, Pointer};
use crate::host::price::Purse;

/// Size of a pointer of the guest, in bytes.
const POINTER_SIZE: u32 = 4;

/// Writes the arguments to `strings`, and pointers to them to `pointers`.
pub(crate) fn args_get(
    host: &mut Host,
    memory: &mut GuestMemory<'_>,
    pointers: Pointer,
    strings: Pointer,
) -> Outcome<()> {
    let arguments = host.arguments.iter().map(|argument| [argument.as_slice(), b"\0"]);
    owe(&mut host.purse, arguments.clone());
    write_strings(memory, pointers, strings, arguments)
}

/// How many arguments there are, and how many bytes they take.
pub(crate) fn args_sizes_get(
    host: &mut Host,
    memory: &mut GuestMemory<'_>,
    count: Pointer,
    size: Pointer,
) -> Outcome<()> {
    host.purse.owe_strings(host.arguments.len(), 0);
    memory.write_size(count, host.arguments.len())?;
    memory.write_size(size, host.arguments.iter().map(|argument| argument.len() + 1).sum())
}

/// Writes the variables to `strings`, and pointers to them to `pointers`.
pub(crate) fn environ_get(
    host: &mut Host,
    memory: &mut GuestMemory<'_>,
    pointers: Pointer,
    strings: Pointer,
) -> Outcome<()> {
    let variables = host.environment.iter();
    let variables = variables.map(|(name, value)| [name.as_slice(), b"=", value.as_slice(), b"\0"]);
    owe(&mut host.purse, variables.clone());
    write_strings(memory, pointers, strings, variables)
}

/// How many variables there are, and how many bytes they take.
pub(crate) fn environ_sizes_get(
    host: &mut Host,
    memory: &mut GuestMemory<'_>,
    count: Pointer,
    size: Pointer,
) -> Outcome<()> {
    let sizes = host.environment.iter().map(|(name, value)| name.len() + value.len() + 2);
    host.purse.owe_strings(host.environment.len(), 0);
    memory.write_size(count, host.environment.len())?;
    memory.write_size(size, sizes.sum())
}

/// Pays for strings, each given in pieces.
fn owe<'a, const PIECES: usize>(
    purse: &mut Purse,
    pieces_of_strings: impl ExactSizeIterator<Item = [&'a [u8]; PIECES]>,
) {
    let strings = pieces_of_strings.len();
    purse.owe_strings(strings, pieces_of_strings.flatten().map(<[u8]>::len).sum());
}

/// Writes strings, each given in pieces, one after the other to `strings`, and
/// where each begins to `pointers`.
fn write_strings<'a, const PIECES: usize>(
    memory: &mut GuestMemory<'_>,
    pointers: Pointer,
    mut strings: Pointer,
    pieces_of_strings: impl Iterator<Item = [&'a [u8]; PIECES]>,
) -> Outcome<()> {
    for (index, pieces) in (0..).zip(pieces_of_strings) {
        memory.write_pointer(pointers.element(index, POINTER_SIZE)?, strings)?;
        for piece in pieces {
            let length = u32::try_from(piece.len()).map_err(|_| Errno::Overflow)?;
            memory.bytes_mut(strings.bytes(length))?.copy_from_slice(piece);
            strings = strings.behind(length)?;
        }
    }
    Ok(())
}
