//! `blockless_memory`: standard input from its start, and listed variables, each as one text.
//!
//! Answers 2 where there is no input to be had (it is withheld, or the guest's limit on memory
//! has no room for it), 3 where a buffer is empty or not inside the memory. As much is copied as
//! fits, and nothing behind it is touched; what does not fit is not an error.

use super::{bytes_mut, copy, json};
use crate::host::Host;
use crate::host::errno::{Failure, Outcome};
use crate::host::memory::{Bytes, GuestMemory, Pointer};

/// There is nothing to read from.
const RUNTIME: u8 = 2;
/// The buffer is empty, or not inside the memory.
const PARAMETER: u8 = 3;

/// Gives standard input, from its start at every call, whatever was read of descriptor 0. It is
/// read to its end first; what descriptor 0 has not given yet, it still gives.
pub(crate) fn memory_read(
    host: &mut Host,
    memory: &mut GuestMemory<'_>,
    buffer: Bytes,
    length: Pointer,
) -> Outcome<()> {
    memory.check_u32(length)?;
    let place = place(memory, buffer)?;
    let read = host.input.read_all(&mut host.holding)?.ok_or(Failure::Code(RUNTIME))?;
    let copied = host.input.copy(place);
    host.purse.owe_transfer(read);
    host.purse.owe_transfer(copied);
    memory.write_size(length, copied)
}

/// Gives the listed variables as the network's runtime writes them: `{"A": "v","B": "w"}`, but
/// escaped, and `{}` where there are none.
pub(crate) fn env_var_read(
    host: &mut Host,
    memory: &mut GuestMemory<'_>,
    buffer: Bytes,
    length: Pointer,
) -> Outcome<()> {
    memory.check_u32(length)?;
    let listed = &host.blockless.listed;
    let bytes = listed.iter().map(|(name, value)| name.len() + value.len()).sum();
    host.purse.owe_strings(listed.len(), bytes);
    let place = place(memory, buffer)?;
    let copied = copy(write(listed).as_bytes(), place);
    host.purse.owe_transfer(copied);
    memory.write_size(length, copied)
}

/// The buffer, which must have room for something.
fn place<'a>(memory: &'a mut GuestMemory<'_>, buffer: Bytes) -> Outcome<&'a mut [u8]> {
    match buffer.length() {
        0 => Err(Failure::Code(PARAMETER)),
        _ => bytes_mut(memory, buffer, PARAMETER),
    }
}

/// Variables as JSON.
fn write(listed: &[(Vec<u8>, Vec<u8>)]) -> String {
    let mut text = String::from("{");
    for (index, (name, value)) in listed.iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        json::quote(&mut text, &String::from_utf8_lossy(name));
        text += ": ";
        json::quote(&mut text, &String::from_utf8_lossy(value));
    }
    text + "}"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_written_as_the_network_writes_them() {
        let variable = |name: &str, value: &str| (name.into(), value.into());
        assert_eq!(write(&[]), "{}");
        assert_eq!(write(&[variable("A", "b")]), r#"{"A": "b"}"#);
        let two = [variable("A", "say \"hi\"\\"), variable("B", "")];
        assert_eq!(write(&two), r#"{"A": "say \"hi\"\\","B": ""}"#);
    }
}
