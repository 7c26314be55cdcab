//! What host calls cost in fuel: the host's own work, taken off the guest's counter.
//!
//! FUEL.md ("What a host charges") is normative. A price is a function of what was asked
//! and answered, never of time. Guarantees that work whose size the guest chooses
//! (random bytes, reserved space, entries sorted or passed over) is not begun when the guest
//! cannot pay for it; all else is paid for when it is done, and the guest's next check sees it. A guest that is not metered pays
//! nothing. The entries of the table are in the order of the specification.

use crate::host::errno::{Failure, Outcome};
use bls_artifact::limits::{BUFFERS_MAX, PATH_BYTES_MAX};
use std::fmt;

/// The flags of `path_open` that make a file, and that empty one.
const CREATE: i128 = 1;
const TRUNCATE: i128 = 8;

/// Any call.
const CALL: u64 = 512;
/// A call that looks a path up, or asks about a file.
const FILE: u64 = 2048;
/// A call that may change a folder.
const CHANGE: u64 = 8192;
/// A call that may make a file.
const MAKE: u64 = 16_384;
/// A call that waits for a disk.
const DISK: u64 = 65_536;
/// For each byte of a path.
const PATH_BYTE: u64 = 32;
/// For each buffer of a list.
const BUFFER: u64 = 8;
/// For each four bytes that are read, written or reserved.
const BYTES_PER_UNIT: u64 = 4;
/// For each byte of a listed directory.
const LISTED_BYTE: u64 = 8;
/// For each entry of a directory that is sorted.
const SORTED: u64 = 512;
/// On top, for a listing that begins, or goes on elsewhere than where it stood.
const JUMP: u64 = 14_336;
/// On top, for a read from a file: it may be of a block that nobody has touched.
const FILE_READ: u64 = 1024;
/// On top, for a write to a file: it may be to a block that nobody has touched.
const FILE_WRITE: u64 = 4096;
/// For each folder on the way up to the grant that decides.
const FOLDER_ABOVE: u64 = 512;
/// For each argument or variable.
const STRING: u64 = 8;
/// For each random byte.
const RANDOM_BYTE: u64 = 2;
/// For each thing that is waited for.
const SUBSCRIPTION: u64 = 512;

/// A length among the parameters that is paid for.
#[derive(Clone, Copy)]
struct Length {
    position: usize,
    each: u64,
    most: u32,
}

impl Length {
    const NONE: Self = Self { position: usize::MAX, each: 0, most: 0 };

    const fn path(position: usize) -> Self {
        Self { position, each: PATH_BYTE, most: PATH_BYTES_MAX }
    }

    fn units(self, parameters: &[i128]) -> u64 {
        let length = parameters.get(self.position).map_or(0, |length| *length);
        u64::try_from(length.clamp(0, self.most.into())).unwrap_or(0) * self.each
    }
}

/// What a call costs for what it is asked, whatever comes of it.
pub(crate) struct Price {
    call: u64,
    /// With the flags that make a file or empty one it changes more.
    opens: bool,
    lengths: [Length; 2],
}

impl Price {
    /// That of a function of preview 1. Meant for constants: names are compared here.
    pub(crate) const fn of(function: &str) -> Self {
        let function = function.as_bytes();
        let call = match function {
            b"proc_exit" => 0,
            b"fd_allocate" | b"fd_datasync" | b"fd_sync" | b"path_create_directory" => DISK,
            b"fd_filestat_get"
            | b"fd_filestat_set_size"
            | b"fd_filestat_set_times"
            | b"fd_readdir"
            | b"path_filestat_get"
            | b"path_open"
            | b"path_readlink" => FILE,
            [b'p', b'a', b't', b'h', b'_', ..] => CHANGE,
            _ => CALL,
        };
        let lengths = match function {
            b"path_create_directory"
            | b"path_readlink"
            | b"path_remove_directory"
            | b"path_unlink_file" => [Length::path(2), Length::NONE],
            b"path_filestat_get" | b"path_filestat_set_times" | b"path_open" => {
                [Length::path(3), Length::NONE]
            }
            b"path_link" => [Length::path(3), Length::path(6)],
            b"path_rename" => [Length::path(2), Length::path(5)],
            b"path_symlink" => [Length::path(1), Length::path(4)],
            b"fd_pread" | b"fd_pwrite" | b"fd_read" | b"fd_write" => {
                [Length { position: 2, each: BUFFER, most: BUFFERS_MAX }, Length::NONE]
            }
            _ => [Length::NONE; 2],
        };
        Self { call, opens: matches!(function, b"path_open"), lengths }
    }

    /// For a call with these parameters, which are those of the specification, in its order.
    #[inline(always)]
    pub(crate) fn units(&self, parameters: &[i128]) -> u64 {
        let how = if self.opens { parameters.get(4).map_or(0, |how| *how) } else { 0 };
        let call = match (how & TRUNCATE != 0, how & CREATE != 0) {
            (true, _) => DISK,
            (false, true) => MAKE,
            (false, false) => self.call,
        };
        let [first, second] = self.lengths;
        call + first.units(parameters) + second.units(parameters)
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
    owed: u64,
    /// What all calls until now have cost.
    charged: u64,
}

impl Purse {
    /// For a call of a guest that has this left.
    pub(crate) fn open(&mut self, left: Option<i64>) {
        (self.left, self.owed) = (left, 0);
    }

    /// What is left when `base` and all else are paid. Never the number that says "out of
    /// fuel".
    pub(crate) fn close(&mut self, base: u64) -> Option<i64> {
        let price = i64::try_from(base.saturating_add(self.owed)).unwrap_or(i64::MAX);
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
    fn owe(&mut self, units: u64) {
        self.owed = self.owed.saturating_add(units);
    }

    /// This is owed for what is going to be done: it is not, if it cannot be paid.
    fn pay(&mut self, units: u64) -> Outcome<()> {
        self.owe(units);
        let owed = i64::try_from(self.owed).unwrap_or(i64::MAX);
        match self.left.is_some_and(|left| left < owed) {
            true => Err(Failure::Stop(wasmtime::Error::new(CannotPay))),
            false => Ok(()),
        }
    }

    /// So many bytes of a directory were listed.
    pub(crate) fn owe_listed(&mut self, bytes: usize) {
        self.owe(bytes as u64 * LISTED_BYTE);
    }

    /// A listing begins, or goes on elsewhere than where it stood.
    pub(crate) fn owe_jump(&mut self) {
        self.owe(JUMP);
    }

    /// So many bytes went in or out.
    pub(crate) fn owe_transfer(&mut self, bytes: usize) {
        self.owe(bytes as u64 / BYTES_PER_UNIT);
    }

    /// So many buffers of a list were looked at; those that `Price` counts are paid.
    pub(crate) fn owe_buffers(&mut self, looked_at: u32) {
        self.owe(u64::from(looked_at.saturating_sub(BUFFERS_MAX)) * BUFFER);
    }

    /// A file is read from.
    pub(crate) fn owe_file_read(&mut self) {
        self.owe(FILE_READ);
    }

    /// A file is written to; `synced` says that it waits for the disk.
    pub(crate) fn owe_file_write(&mut self, synced: bool) {
        self.owe(if synced { DISK } else { FILE_WRITE });
    }

    /// So many bytes are going to be reserved on a disk.
    pub(crate) fn pay_allocation(&mut self, bytes: u64) -> Outcome<()> {
        self.pay(bytes / BYTES_PER_UNIT)
    }

    /// So many bytes of a file are read ahead.
    pub(crate) fn owe_read_ahead(&mut self, bytes: u64) {
        self.owe(bytes / BYTES_PER_UNIT);
    }

    /// So many folders were looked at to find the grant that decides.
    pub(crate) fn owe_folders(&mut self, count: u64) {
        self.owe(count.saturating_mul(FOLDER_ABOVE));
    }

    /// So many arguments or variables are given, in so many bytes.
    pub(crate) fn owe_strings(&mut self, strings: usize, bytes: usize) {
        self.owe(strings as u64 * STRING + bytes as u64 / BYTES_PER_UNIT);
    }

    /// So many things are waited for.
    pub(crate) fn owe_subscriptions(&mut self, count: u32) {
        self.owe(u64::from(count) * SUBSCRIPTION);
    }

    /// So many random bytes are going to be made.
    pub(crate) fn pay_random(&mut self, bytes: u32) -> Outcome<()> {
        self.pay(u64::from(bytes) * RANDOM_BYTE)
    }

    /// An entry of a directory, of so many bytes, is passed over.
    pub(crate) fn pay_passed(&mut self, bytes: usize) -> Outcome<()> {
        self.pay(bytes as u64 * LISTED_BYTE)
    }

    /// An entry of a directory, of so many bytes, is read to be sorted.
    pub(crate) fn pay_sorted(&mut self, bytes: usize) -> Outcome<()> {
        self.pay(SORTED + bytes as u64 * LISTED_BYTE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::FUNCTIONS;

    /// Whether `name` is one of the names in a cell of FUEL.md, in which a star stands for
    /// any ending.
    fn is_named(cell: &str, name: &str) -> bool {
        cell.split(['`', ',', ';', ' ']).any(|word| match word.strip_suffix('*') {
            Some(beginning) => !beginning.is_empty() && name.starts_with(beginning),
            None => word == name,
        })
    }

    #[test]
    fn the_first_table_of_the_document_is_this_one() {
        let text = include_str!("../../../FUEL.md");
        let (_, section) = text.split_once("## What a host charges").expect("the section");
        let (_, table) = section.split_once("|---:|---|\n").expect("a table");
        let rows: Vec<(u64, &str)> = table
            .lines()
            .map_while(|line| line.strip_prefix("| ")?.strip_suffix(" |")?.split_once(" | "))
            .map(|(units, names)| (units.replace(' ', "").parse().expect("units"), names))
            .collect();
        assert_eq!(rows.len(), 6);
        let opens = |how| Price::of("path_open").units(&[0, 0, 0, 0, how]);
        for (units, flags) in [
            (opens(TRUNCATE), "the flag `trunc`"),
            (opens(CREATE), "without `trunc`"),
            (opens(0), "neither"),
        ] {
            let row =
                rows.iter().find(|(_, names)| names.contains("path_open") && names.contains(flags));
            assert_eq!(row.map(|(units, _)| *units), Some(units), "{flags}");
        }
        for (name, _) in FUNCTIONS.iter().filter(|(name, _)| *name != "path_open") {
            // Named rows first; then those of every other.
            let named = rows
                .iter()
                .find(|(_, cell)| !cell.starts_with("every other") && is_named(cell, name));
            let other = rows.iter().find(|(_, cell)| {
                cell.strip_prefix("every other ")
                    .is_some_and(|rest| rest == "call" || is_named(rest, name))
            });
            let (units, _) = named.or(other).expect("the last row is every other call");
            assert_eq!(Price::of(name).units(&[]), *units, "{name}");
        }
    }

    #[test]
    fn every_function_has_a_price() {
        for (name, _) in FUNCTIONS {
            let price = Price::of(name).units(&[]);
            let known = [0, CALL, FILE, CHANGE, DISK].contains(&price);
            assert!(known && (price > 0 || *name == "proc_exit"), "{name}");
        }
    }

    /// Paths and lists are what the specification says they are: each such function pays
    /// for each of them, and for nothing else.
    #[test]
    fn paths_and_lists_are_paid_for() {
        for (name, kinds) in FUNCTIONS {
            let none = vec![0_i128; kinds.len()];
            let mut paid = Vec::new();
            for position in 0..kinds.len() {
                let mut asked = none.clone();
                asked[position] = 1 << 20;
                paid.push(Price::of(name).units(&asked) - Price::of(name).units(&none));
            }
            let paths = paid.iter().filter(|paid| **paid == 4096 * PATH_BYTE).count();
            let lists = paid.iter().filter(|paid| **paid == 1024 * BUFFER).count();
            let has_two = ["path_link", "path_rename", "path_symlink"].contains(name);
            let expected = if name.starts_with("path_") { 1 + usize::from(has_two) } else { 0 };
            assert_eq!(paths, expected, "{name}: {paid:?}");
            let is_list = matches!(*name, "fd_read" | "fd_pread" | "fd_write" | "fd_pwrite");
            assert_eq!(lists, usize::from(is_list), "{name}: {paid:?}");
            assert_eq!(paid.iter().filter(|paid| **paid > 0).count(), paths + lists, "{name}");
        }
        assert_eq!(
            Price::of("path_open").units(&[3, 0, 8, 10, 1, 0, 0, 0, 0]),
            MAKE + 10 * PATH_BYTE
        );
        assert_eq!(
            Price::of("path_open").units(&[3, 0, 8, 10, 2, 0, 0, 0, 0]),
            FILE + 10 * PATH_BYTE
        );
    }

    #[test]
    fn nothing_looks_like_out_of_fuel() {
        let mut purse = Purse::default();
        assert_eq!(purse.close(1), None);
        purse.open(Some(10));
        assert_eq!(purse.close(4), Some(6));
        assert_eq!(purse.charged(), 4);
        purse.owed = u64::MAX;
        assert_eq!(purse.close(4), Some(10 - i64::MAX));
        purse.open(Some(i64::MIN + 2));
        assert_eq!(purse.close(256), Some(i64::MIN + 1));
    }
}
