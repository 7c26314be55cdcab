//! What host calls cost in fuel: the host's own work, taken off the guest's counter.
//!
//! FUEL.md ("What a host charges") is normative. A price is a function of what was asked
//! and answered, never of time. Guarantees that work whose size the guest chooses
//! (random bytes, reserved space, entries sorted or passed over) is not begun when the guest
//! cannot pay for it; all else is paid for when it is done, and the guest's next check sees it. A guest that is not metered pays
//! nothing. Which of these prices a call has stands in the table of functions
//! (`bls_artifact::host_table`); what its paths and lists cost, their types say (`wiring.rs`).

use crate::host::errno::{Failure, Outcome};
use bls_artifact::limits::BUFFERS_MAX;
use std::cell::Cell;
use std::fmt;

/// The flags of `path_open` that make a file, and that empty one.
const CREATE: u32 = 1;
const TRUNCATE: u32 = 8;

/// Makes a constant of each, and the list that the tests compare with FUEL.md.
macro_rules! prices {
    ($($(#[$about:meta])* $visibility:vis $name:ident = $units:literal;)*) => {
        $($(#[$about])* $visibility const $name: u64 = $units;)*

        /// All of them.
        #[cfg(test)]
        const PRICES: &[(&str, u64)] = &[$((stringify!($name), $name)),*];
    };
}

prices! {
    /// A call that does not come back.
    pub(crate) NOTHING = 0;
    /// Any call.
    pub(crate) CALL = 512;
    /// A call that looks a path up, or asks about a file.
    pub(crate) FILE = 2048;
    /// A call that may change a folder.
    pub(crate) CHANGE = 8192;
    /// A call that may make a file.
    MAKE = 16_384;
    /// A call that waits for a disk.
    pub(crate) DISK = 65_536;
    /// For each byte of a path.
    pub(crate) PATH_BYTE = 32;
    /// For each link that a path leads through.
    LINK = 8192;
    /// For each byte of a path in which a link was replaced by what it says.
    LINKED_BYTE = 256;
    /// For each buffer of a list.
    pub(crate) BUFFER = 8;
    /// For each four bytes that are read, written or reserved.
    BYTES_PER_UNIT = 4;
    /// For each byte of a listed directory.
    LISTED_BYTE = 8;
    /// For each entry of a directory that is sorted.
    SORTED = 512;
    /// On top, for a listing that begins, or goes on elsewhere than where it stood.
    JUMP = 14_336;
    /// On top, for a read from a file: it may be of a block that nobody has touched.
    FILE_READ = 1024;
    /// On top, for a write to a file: it may be to a block that nobody has touched.
    FILE_WRITE = 4096;
    /// For each folder on the way up to the grant that decides.
    FOLDER_ABOVE = 512;
    /// For each argument or variable.
    STRING = 8;
    /// For each random byte.
    RANDOM_BYTE = 2;
    /// For each thing that is waited for.
    SUBSCRIPTION = 512;
    /// For each read from a socket or an extension, and each write to one.
    SOCKET = 4096;
    /// For a connection that is taken.
    CONNECTION = 65_536;
    /// For each byte of a text that a function of the network's interfaces reads: JSON, a URL.
    TEXT_BYTE = 8;
    /// For each request that leads out of the machine or starts a program.
    REQUEST = 1_048_576;
    /// For each question about something that is open outside.
    QUESTION = 65_536;
    /// For each byte of a question or a request, and of its answer.
    OUTSIDE_BYTE = 1;
}

/// A call of `path_open` with these flags.
#[inline(always)]
pub(crate) fn opening(how: u32) -> u64 {
    match (how & TRUNCATE != 0, how & CREATE != 0) {
        (true, _) => DISK,
        (false, true) => MAKE,
        (false, false) => FILE,
    }
}

/// The guest cannot pay for what it asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CannotPay;

impl fmt::Display for CannotPay {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the guest has less fuel than what it asked the host for costs")
    }
}

impl std::error::Error for CannotPay {}

/// What one call owes on top of its base, and what there is to pay it with.
#[derive(Debug, Default)]
pub(crate) struct Purse {
    /// Units; `None` when nobody counts.
    left: Option<i64>,
    owed: Cell<u64>,
    /// What the call costs in any case.
    pub(crate) base: u64,
    /// What all calls until now have cost.
    charged: u64,
}

impl Purse {
    /// For a call of a guest that has this left.
    pub(crate) fn open(&mut self, left: Option<i64>) {
        (self.left, self.owed, self.base) = (left, Cell::new(0), NOTHING);
    }

    /// What is left when all is paid. Never the number that says "out of
    /// fuel".
    pub(crate) fn close(&mut self) -> Option<i64> {
        let price = i64::try_from(self.base.saturating_add(self.owed.get())).unwrap_or(i64::MAX);
        let before = self.left?;
        let left = before.saturating_sub(price).max(i64::MIN + 1);
        self.charged = self.charged.saturating_add(before.abs_diff(left));
        Some(left)
    }

    /// What all calls until now have cost.
    pub(crate) fn charged(&self) -> u64 {
        self.charged
    }

    /// This is owed for what is done, or was.
    fn owe(&self, units: u64) {
        self.owed.set(self.owed.get().saturating_add(units));
    }

    /// This is owed for what is going to be done: it is not, if it cannot be paid.
    fn pay(&self, units: u64) -> Outcome<()> {
        self.owe(units);
        let owed = i64::try_from(self.owed.get()).unwrap_or(i64::MAX);
        match self.left.is_some_and(|left| left < owed) {
            true => Err(Failure::Stop(wasmtime::Error::new(CannotPay))),
            false => Ok(()),
        }
    }

    /// So many bytes of a directory were listed.
    pub(crate) fn owe_listed(&self, bytes: usize) {
        self.owe(bytes as u64 * LISTED_BYTE);
    }

    /// A listing begins, or goes on elsewhere than where it stood.
    pub(crate) fn owe_jump(&self) {
        self.owe(JUMP);
    }

    /// So many bytes went in or out.
    pub(crate) fn owe_transfer(&self, bytes: usize) {
        self.owe(bytes as u64 / BYTES_PER_UNIT);
    }

    /// A list of so many buffers is going to be looked at, whose type does not pay for it.
    pub(crate) fn owe_list(&self, count: u32) {
        self.owe(u64::from(count.min(BUFFERS_MAX)) * BUFFER);
    }

    /// So many buffers of a list were looked at; those that the list's type counts are paid.
    pub(crate) fn owe_buffers(&self, looked_at: u32) {
        self.owe(u64::from(looked_at.saturating_sub(BUFFERS_MAX)) * BUFFER);
    }

    /// A file is read from.
    pub(crate) fn owe_file_read(&self) {
        self.owe(FILE_READ);
    }

    /// A file is written to; `synced` says that it waits for the disk.
    pub(crate) fn owe_file_write(&self, synced: bool) {
        self.owe(if synced { DISK } else { FILE_WRITE });
    }

    /// So many bytes are going to be reserved on a disk.
    pub(crate) fn pay_allocation(&self, bytes: u64) -> Outcome<()> {
        self.pay(bytes / BYTES_PER_UNIT)
    }

    /// So many bytes of a file are read ahead.
    pub(crate) fn owe_read_ahead(&self, bytes: u64) {
        self.owe(bytes / BYTES_PER_UNIT);
    }

    /// A folder was looked at to find the grant that decides.
    pub(crate) fn owe_folder(&self) {
        self.owe(FOLDER_ABOVE);
    }

    /// A path led through a link, and is of so many bytes with what that says in its place.
    pub(crate) fn owe_link(&self, bytes: usize) {
        self.owe(LINK + bytes as u64 * LINKED_BYTE);
    }

    /// So many arguments or variables are given, in so many bytes.
    pub(crate) fn owe_strings(&self, strings: usize, bytes: usize) {
        self.owe(strings as u64 * STRING + bytes as u64 / BYTES_PER_UNIT);
    }

    /// So many things are waited for.
    pub(crate) fn owe_subscriptions(&self, count: u32) {
        self.owe(u64::from(count) * SUBSCRIPTION);
    }

    /// A socket or an extension is read from or written to.
    pub(crate) fn owe_socket(&self) {
        self.owe(SOCKET);
    }

    /// A connection is waited for.
    pub(crate) fn owe_connection(&self) {
        self.owe(CONNECTION);
    }

    /// A text of so many bytes is going to be read.
    pub(crate) fn pay_text(&self, bytes: u32) -> Outcome<()> {
        self.pay(u64::from(bytes) * TEXT_BYTE)
    }

    /// A request with so many bytes is going to be made.
    pub(crate) fn pay_request(&self, bytes: u64) -> Outcome<()> {
        self.pay(REQUEST + bytes * OUTSIDE_BYTE)
    }

    /// A question with so many bytes is going to be asked.
    pub(crate) fn pay_question(&self, bytes: u64) -> Outcome<()> {
        self.pay(QUESTION + bytes * OUTSIDE_BYTE)
    }

    /// An answer has so many bytes.
    pub(crate) fn owe_answer(&self, bytes: usize) {
        self.owe(bytes as u64 * OUTSIDE_BYTE);
    }

    /// So many random bytes are going to be made.
    pub(crate) fn pay_random(&self, bytes: u32) -> Outcome<()> {
        self.pay(u64::from(bytes) * RANDOM_BYTE)
    }

    /// An entry of a directory, of so many bytes, is passed over.
    pub(crate) fn pay_passed(&self, bytes: usize) -> Outcome<()> {
        self.pay(bytes as u64 * LISTED_BYTE)
    }

    /// An entry of a directory, of so many bytes, is read to be sorted.
    pub(crate) fn pay_sorted(&self, bytes: usize) -> Outcome<()> {
        self.pay(SORTED + bytes as u64 * LISTED_BYTE)
    }
}

#[cfg(test)]
impl Purse {
    /// What this call owes until now.
    pub(crate) fn owed(&self) -> u64 {
        self.owed.get()
    }
}

#[cfg(test)]
mod tests;
