//! The guest's memory, as host calls may touch it.
//!
//! A pointer and a length from a guest are an *allegation*. This is the one
//! module that turns allegations into slices, and no other touches guest memory.
//!
//! Assumes that no guest code runs while a `GuestMemory` lives, which its borrow
//! of the store ensures. Guarantees that every slice it hands out lies inside the
//! memory, that two mutable ones never share a byte, and that whatever does not
//! is a fault, never a panic. Does not copy what the kernel reads or writes.

use crate::host::errno::{Errno, Fault, Outcome};
use bls_artifact::limits::{BUFFERS_MAX, PATH_BYTES_MAX};
use std::io::{IoSlice, IoSliceMut};
use std::mem;
use std::ops::Range;

/// Size of a buffer descriptor (`iovec`, `ciovec`) in bytes.
const BUFFER_SIZE: u32 = 8;

/// The guest's memory for the time of one host call.
#[derive(Debug)]
pub(crate) struct GuestMemory<'a> {
    /// `None` if the module exports no memory.
    bytes: Option<&'a mut [u8]>,
}

/// Bytes from the guest to write, and whether they are all it asked to write.
#[derive(Debug)]
pub(crate) struct Gathered<'a> {
    /// The buffers, none of them empty.
    pub(crate) buffers: Vec<IoSlice<'a>>,
    /// How many bytes they hold together.
    pub(crate) length: u64,
    /// Whether bytes were left out because of the limit on them.
    pub(crate) limited: bool,
    /// How many buffers of the list were looked at.
    pub(crate) looked_at: u32,
}

/// One non-empty buffer of a list, known to lie inside the memory.
#[derive(Debug)]
struct Region {
    /// Its place in the guest's list.
    position: usize,
    range: Range<usize>,
}

impl<'a> GuestMemory<'a> {
    /// The memory `bytes`, or none.
    pub(crate) fn new(bytes: Option<&'a mut [u8]>) -> Self {
        Self { bytes }
    }

    /// The `length` bytes at `pointer`.
    pub(crate) fn bytes(&self, pointer: u32, length: u32) -> Outcome<&[u8]> {
        let bytes = self.bytes.as_deref().ok_or(Fault::NoMemory)?;
        let fault = out_of_bounds(pointer, length, bytes.len());
        let range = range(pointer, length).ok_or(fault)?;
        Ok(bytes.get(range).ok_or(fault)?)
    }

    /// The `length` bytes at `pointer`, to be written.
    pub(crate) fn bytes_mut(&mut self, pointer: u32, length: u32) -> Outcome<&mut [u8]> {
        let bytes = self.bytes.as_deref_mut().ok_or(Fault::NoMemory)?;
        let fault = out_of_bounds(pointer, length, bytes.len());
        let range = range(pointer, length).ok_or(fault)?;
        Ok(bytes.get_mut(range).ok_or(fault)?)
    }

    /// The same for as long as the memory itself is lent.
    pub(crate) fn into_bytes(self, pointer: u32, length: u32) -> Outcome<&'a mut [u8]> {
        let bytes = self.bytes.ok_or(Fault::NoMemory)?;
        let fault = out_of_bounds(pointer, length, bytes.len());
        let range = range(pointer, length).ok_or(fault)?;
        Ok(bytes.get_mut(range).ok_or(fault)?)
    }

    /// The path of `length` bytes at `pointer`. One that is too long is not looked at,
    /// so that the work does not grow with the guest's memory.
    pub(crate) fn path(&self, pointer: u32, length: u32) -> Outcome<&str> {
        let bytes = self.bytes(pointer, length)?;
        if length >= PATH_BYTES_MAX {
            return Err(Errno::Nametoolong.into());
        }
        Ok(std::str::from_utf8(bytes).map_err(|_| Errno::Ilseq)?)
    }

    /// The record of `SIZE` bytes at `pointer`.
    pub(crate) fn read<const SIZE: usize>(
        &self,
        pointer: u32,
        alignment: u32,
    ) -> Outcome<[u8; SIZE]> {
        check_alignment(pointer, alignment)?;
        let bytes = self.bytes.as_deref().ok_or(Fault::NoMemory)?;
        let record =
            usize::try_from(pointer).ok().and_then(|start| bytes.get(start..)?.first_chunk());
        Ok(*record.ok_or(Fault::OutOfBounds { pointer, length: SIZE as u64, size: bytes.len() })?)
    }

    /// Writes a record at `pointer`.
    pub(crate) fn write<const SIZE: usize>(
        &mut self,
        pointer: u32,
        alignment: u32,
        record: [u8; SIZE],
    ) -> Outcome<()> {
        check_alignment(pointer, alignment)?;
        let bytes = self.bytes.as_deref_mut().ok_or(Fault::NoMemory)?;
        let fault = Fault::OutOfBounds { pointer, length: SIZE as u64, size: bytes.len() };
        let place = usize::try_from(pointer)
            .ok()
            .and_then(|start| bytes.get_mut(start..)?.first_chunk_mut());
        *place.ok_or(fault)? = record;
        Ok(())
    }

    /// A fault unless a `u32` can be written at `pointer`. Asked before something
    /// is done that a trap could not undo.
    pub(crate) fn check_u32(&self, pointer: u32) -> Outcome<()> {
        self.read::<4>(pointer, 4).map(drop)
    }

    /// The same for a `u64`.
    pub(crate) fn check_u64(&self, pointer: u32) -> Outcome<()> {
        self.read::<8>(pointer, 8).map(drop)
    }

    /// The same for `count` records of `size` bytes. A list of none may be anywhere.
    pub(crate) fn check_list(
        &self,
        pointer: u32,
        count: u32,
        size: u32,
        alignment: u32,
    ) -> Outcome<()> {
        if count == 0 {
            return Ok(());
        }
        check_alignment(pointer, alignment)?;
        let last = element(pointer, count - 1, size)?;
        self.bytes(last, size).map(drop)
    }

    /// Writes a `u32` at `pointer`.
    pub(crate) fn write_u32(&mut self, pointer: u32, value: u32) -> Outcome<()> {
        self.write(pointer, 4, value.to_le_bytes())
    }

    /// Writes a `u64` at `pointer`.
    pub(crate) fn write_u64(&mut self, pointer: u32, value: u64) -> Outcome<()> {
        self.write(pointer, 8, value.to_le_bytes())
    }

    /// Writes a count of bytes or of things at `pointer`.
    pub(crate) fn write_size(&mut self, pointer: u32, value: usize) -> Outcome<()> {
        let value = u32::try_from(value).map_err(|_| Errno::Overflow)?;
        self.write_u32(pointer, value)
    }

    /// The buffers that the list of `count` descriptors at `list` names, to be
    /// written somewhere, cut off after `length_max` bytes.
    pub(crate) fn gather(&self, list: u32, count: u32, length_max: u64) -> Outcome<Gathered<'_>> {
        let (regions, looked_at) = self.regions(list, count)?;
        let bytes = self.bytes.as_deref().unwrap_or_default();
        let buffers = Vec::with_capacity(regions.len());
        let mut gathered = Gathered { buffers, length: 0, limited: false, looked_at };
        for Region { range, .. } in regions {
            let buffer = bytes.get(range).unwrap_or_default();
            let room = usize::try_from(length_max - gathered.length).unwrap_or(usize::MAX);
            let kept = buffer.get(..room).unwrap_or(buffer);
            if !kept.is_empty() {
                gathered.length += kept.len() as u64;
                gathered.buffers.push(IoSlice::new(kept));
            }
            if kept.len() < buffer.len() {
                gathered.limited = true;
                break;
            }
        }
        Ok(gathered)
    }

    /// The buffers that the list of `count` descriptors at `list` names, to be
    /// read into, in the list's order; and how many of the list were looked at.
    ///
    /// If any two overlap, only the first is given: Rust has no two mutable
    /// slices over one byte, and a short read is always allowed.
    pub(crate) fn scatter(&mut self, list: u32, count: u32) -> Outcome<(Vec<IoSliceMut<'_>>, u32)> {
        let (mut regions, looked_at) = self.regions(list, count)?;
        regions.sort_unstable_by_key(|region| region.range.start);
        if regions.windows(2).any(overlap) {
            regions.retain(|region| region.position == 0);
        }
        let mut rest = self.bytes.as_deref_mut().unwrap_or_default();
        let mut cut = 0;
        let mut slices = Vec::with_capacity(regions.len());
        for Region { position, range } in regions {
            // Sorted and disjoint, so that neither difference can be negative and
            // neither split can miss.
            let (_, tail) = mem::take(&mut rest).split_at_mut(range.start - cut);
            let (slice, tail) = tail.split_at_mut(range.end - range.start);
            cut = range.end;
            rest = tail;
            slices.push((position, IoSliceMut::new(slice)));
        }
        slices.sort_unstable_by_key(|(position, _)| *position);
        Ok((slices.into_iter().map(|(_, slice)| slice).collect(), looked_at))
    }

    /// The first [`BUFFERS_MAX`] non-empty buffers of a list, checked, in order;
    /// `position` counts these alone. What a longer list names is left to the guest's
    /// next call, which a short count asks for. Also how many were looked at.
    fn regions(&self, list: u32, count: u32) -> Outcome<(Vec<Region>, u32)> {
        self.check_list(list, count, BUFFER_SIZE, 4)?;
        let mut regions = Vec::with_capacity(count.min(BUFFERS_MAX) as usize);
        let mut looked_at = 0;
        for index in 0..count {
            if regions.len() == BUFFERS_MAX as usize {
                break;
            }
            looked_at += 1;
            let [a, b, c, d, e, f, g, h] = self.read(element(list, index, BUFFER_SIZE)?, 4)?;
            let pointer = u32::from_le_bytes([a, b, c, d]);
            let length = u32::from_le_bytes([e, f, g, h]);
            if length == 0 {
                continue;
            }
            self.bytes(pointer, length)?;
            let range = range(pointer, length).ok_or(Errno::Overflow)?;
            let position = regions.len();
            regions.push(Region { position, range });
        }
        Ok((regions, looked_at))
    }
}

/// Where element `index` of an array of elements of `size` bytes is.
pub(crate) fn element(array: u32, index: u32, size: u32) -> Outcome<u32> {
    let offset = index.checked_mul(size);
    let pointer = offset.and_then(|offset| array.checked_add(offset));
    Ok(pointer.ok_or(Fault::OutOfBounds {
        pointer: array,
        length: (u64::from(index) + 1) * u64::from(size),
        size: u32::MAX as usize,
    })?)
}

/// The indices of `length` bytes at `pointer`, if this host can count so far.
fn range(pointer: u32, length: u32) -> Option<Range<usize>> {
    let start = usize::try_from(pointer).ok()?;
    let end = start.checked_add(usize::try_from(length).ok()?)?;
    Some(start..end)
}

/// Whether the first of two neighbours reaches into the second.
fn overlap(pair: &[Region]) -> bool {
    match pair {
        [first, second] => first.range.end > second.range.start,
        _ => false,
    }
}

fn out_of_bounds(pointer: u32, length: u32, size: usize) -> Fault {
    Fault::OutOfBounds { pointer, length: u64::from(length), size }
}

fn check_alignment(pointer: u32, alignment: u32) -> Result<(), Fault> {
    if pointer.is_multiple_of(alignment) {
        Ok(())
    } else {
        Err(Fault::Misaligned { pointer, alignment })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::errno::Failure;

    /// A memory of 64 bytes that begins with a list of buffers.
    fn memory_with(buffers: &[(u32, u32)]) -> Vec<u8> {
        let mut bytes = vec![0; 64];
        let list = buffers.iter().flat_map(|(pointer, length)| [*pointer, *length]);
        for (place, word) in bytes.chunks_exact_mut(4).zip(list) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    fn is_fault<T>(outcome: Outcome<T>) -> bool {
        matches!(outcome, Err(Failure::Fault(_)))
    }

    #[test]
    fn slices_end_where_memory_ends() {
        let mut bytes = vec![0; 64];
        let memory = GuestMemory::new(Some(&mut bytes));
        assert!(memory.bytes(64, 0).is_ok());
        assert!(memory.bytes(60, 4).is_ok());
        assert!(is_fault(memory.bytes(61, 4)));
        assert!(is_fault(memory.bytes(65, 0)));
        assert!(is_fault(memory.bytes(u32::MAX, u32::MAX)));
        assert!(is_fault(memory.read::<8>(60, 4)));
        assert!(is_fault(memory.read::<4>(2, 4)));
    }

    #[test]
    fn without_a_memory_every_pointer_is_a_fault() {
        let mut memory = GuestMemory::new(None);
        assert!(is_fault(memory.bytes(0, 0)));
        assert!(is_fault(memory.write_u32(0, 0)));
        assert!(memory.gather(0, 0, 0).is_ok());
    }

    #[test]
    fn disjoint_buffers_keep_the_order_of_the_list() {
        let mut bytes = memory_with(&[(40, 4), (32, 0), (24, 8), (44, 2)]);
        let mut memory = GuestMemory::new(Some(&mut bytes));
        let (mut slices, looked_at) = memory.scatter(0, 4).expect("all in bounds");
        assert_eq!(looked_at, 4);
        let lengths: Vec<_> = slices.iter().map(|slice| slice.len()).collect();
        assert_eq!(lengths, [4, 8, 2]);
        slices[0].fill(1);
        slices[1].fill(2);
        slices[2].fill(3);
        assert_eq!(bytes[24..32], [2; 8]);
        assert_eq!(bytes[40..46], [1, 1, 1, 1, 3, 3]);
    }

    #[test]
    fn of_overlapping_buffers_the_first_is_served() {
        let mut bytes = memory_with(&[(40, 8), (36, 8)]);
        let mut memory = GuestMemory::new(Some(&mut bytes));
        let (slices, _) = memory.scatter(0, 2).expect("all in bounds");
        assert_eq!(slices.iter().map(|slice| slice.len()).sum::<usize>(), 8);
    }

    #[test]
    fn a_limit_cuts_what_is_gathered() {
        let mut bytes = memory_with(&[(40, 8), (48, 8)]);
        let memory = GuestMemory::new(Some(&mut bytes));
        let all = memory.gather(0, 2, 16).expect("all in bounds");
        assert_eq!((all.length, all.limited), (16, false));
        let part = memory.gather(0, 2, 10).expect("all in bounds");
        assert_eq!((part.length, part.limited, part.buffers.len()), (10, true, 2));
        let none = memory.gather(0, 2, 0).expect("all in bounds");
        assert_eq!((none.length, none.limited, none.buffers.len()), (0, true, 0));
    }

    #[test]
    fn empty_buffers_do_not_hide_what_stands_behind_them() {
        let list = u32::try_from(16 * 1025 * 8).unwrap();
        let mut bytes = vec![0; list as usize];
        // 16 400 buffers, all empty but every sixteenth, which has a byte.
        for place in bytes.chunks_exact_mut(16 * 8) {
            place[15 * 8 + 4] = 1;
        }
        let memory = GuestMemory::new(Some(&mut bytes));
        let all = memory.gather(0, 16 * 1024, u64::MAX).expect("all in bounds");
        assert_eq!((all.length, all.looked_at), (1024, 16 * 1024));
        let most = memory.gather(0, 16 * 1025, u64::MAX).expect("all in bounds");
        assert_eq!((most.length, most.looked_at), (1024, 16 * 1024));
        assert!(is_fault(memory.gather(0, 16 * 1025 + 1, u64::MAX)));
    }

    #[test]
    fn a_list_that_lies_is_a_fault() {
        let mut bytes = memory_with(&[(60, 8)]);
        let mut memory = GuestMemory::new(Some(&mut bytes));
        assert!(is_fault(memory.scatter(0, 1)));
        assert!(is_fault(memory.gather(56, u32::MAX, u64::MAX)));
        assert!(is_fault(memory.gather(u32::MAX - 3, 1, u64::MAX)));
    }
}
