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
use crate::host::price::Purse;
use bls_artifact::limits::{BUFFERS_MAX, PATH_BYTES_MAX};
use std::io::{IoSlice, IoSliceMut};
use std::mem;
use std::ops::Range;

/// Size of a buffer descriptor (`iovec`, `ciovec`) in bytes.
const BUFFER_SIZE: u32 = 8;

/// Where a guest says that something of a known size is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pointer(u32);

/// Makes types of an address and how many things there are, both as a guest gave them.
macro_rules! pairs {
    ($($(#[$about:meta])* $pair:ident { $number:ident })*) => {
        $(
            $(#[$about])*
            #[derive(Clone, Copy, Debug)]
            #[allow(dead_code, reason = "nobody looks at all of them")]
            pub(crate) struct $pair {
                address: u32,
                $number: u32,
            }

            #[allow(dead_code, reason = "nobody looks at all of them")]
            impl $pair {
                /// As the guest gave them.
                pub(crate) const fn new(address: u32, $number: u32) -> Self {
                    Self { address, $number }
                }

                /// How many there are, the guest says.
                pub(crate) const fn $number(self) -> u32 {
                    self.$number
                }
            }
        )*
    };
}

pairs! {
    /// The bytes of a path.
    Path { length }
    /// Other bytes.
    Bytes { length }
    /// A list of descriptors of buffers (`iovec`, `ciovec`).
    Buffers { count }
    /// Such a list that is paid for where somebody looks at it.
    Unseen { count }
}

impl Unseen {
    /// The list, to be looked at.
    pub(crate) const fn seen(self) -> Buffers {
        Buffers::new(self.address, self.count)
    }
}

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
    /// Where they are, as far as the list was looked at.
    regions: Vec<Region>,
}

impl Gathered<'_> {
    /// No more than so many bytes can be written; more of them there are, and there were.
    pub(crate) fn cut_at(&mut self, length: u64) {
        self.limited |= length < self.length;
        self.length = self.length.min(length);
    }
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

    /// These bytes.
    pub(crate) fn bytes(&self, wanted: Bytes) -> Outcome<&[u8]> {
        let bytes = self.bytes.as_deref().ok_or(Fault::NoMemory)?;
        let fault = wanted.out_of_bounds(bytes.len());
        Ok(bytes.get(wanted.range().ok_or(fault)?).ok_or(fault)?)
    }

    /// These bytes, to be written.
    pub(crate) fn bytes_mut(&mut self, wanted: Bytes) -> Outcome<&mut [u8]> {
        let bytes = self.bytes.as_deref_mut().ok_or(Fault::NoMemory)?;
        let fault = wanted.out_of_bounds(bytes.len());
        Ok(bytes.get_mut(wanted.range().ok_or(fault)?).ok_or(fault)?)
    }

    /// The same for as long as the memory itself is lent.
    pub(crate) fn into_bytes(self, wanted: Bytes) -> Outcome<&'a mut [u8]> {
        let bytes = self.bytes.ok_or(Fault::NoMemory)?;
        let fault = wanted.out_of_bounds(bytes.len());
        Ok(bytes.get_mut(wanted.range().ok_or(fault)?).ok_or(fault)?)
    }

    /// This path. One that is too long is not looked at, so that the work does not grow with
    /// the guest's memory.
    pub(crate) fn path(&self, path: Path) -> Outcome<&str> {
        let bytes = self.bytes(Bytes::new(path.address, path.length))?;
        if path.length >= PATH_BYTES_MAX {
            return Err(Errno::Nametoolong.into());
        }
        Ok(std::str::from_utf8(bytes).map_err(|_| Errno::Ilseq)?)
    }

    /// The record of `SIZE` bytes at `pointer`.
    pub(crate) fn read<const SIZE: usize>(
        &self,
        pointer: Pointer,
        alignment: u32,
    ) -> Outcome<[u8; SIZE]> {
        check_alignment(pointer, alignment)?;
        let bytes = self.bytes.as_deref().ok_or(Fault::NoMemory)?;
        let record =
            usize::try_from(pointer.0).ok().and_then(|start| bytes.get(start..)?.first_chunk());
        Ok(*record.ok_or(pointer.out_of_bounds(SIZE, bytes.len()))?)
    }

    /// Writes a record at `pointer`.
    pub(crate) fn write<const SIZE: usize>(
        &mut self,
        pointer: Pointer,
        alignment: u32,
        record: [u8; SIZE],
    ) -> Outcome<()> {
        check_alignment(pointer, alignment)?;
        let bytes = self.bytes.as_deref_mut().ok_or(Fault::NoMemory)?;
        let fault = pointer.out_of_bounds(SIZE, bytes.len());
        let place = usize::try_from(pointer.0)
            .ok()
            .and_then(|start| bytes.get_mut(start..)?.first_chunk_mut());
        *place.ok_or(fault)? = record;
        Ok(())
    }

    /// A fault unless a `u32` can be written at `pointer`. Asked before something
    /// is done that a trap could not undo.
    pub(crate) fn check_u32(&self, pointer: Pointer) -> Outcome<()> {
        self.read::<4>(pointer, 4).map(drop)
    }

    /// The same for a `u64`.
    pub(crate) fn check_u64(&self, pointer: Pointer) -> Outcome<()> {
        self.read::<8>(pointer, 8).map(drop)
    }

    /// The same for `count` records of `size` bytes. A list of none may be anywhere.
    pub(crate) fn check_list(
        &self,
        pointer: Pointer,
        count: u32,
        size: u32,
        alignment: u32,
    ) -> Outcome<()> {
        if count == 0 {
            return Ok(());
        }
        check_alignment(pointer, alignment)?;
        let last = pointer.element(count - 1, size)?;
        self.bytes(last.bytes(size)).map(drop)
    }

    /// Writes a `u32` at `pointer`.
    pub(crate) fn write_u32(&mut self, pointer: Pointer, value: u32) -> Outcome<()> {
        self.write(pointer, 4, value.to_le_bytes())
    }

    /// Writes a pointer at `pointer`.
    pub(crate) fn write_pointer(&mut self, pointer: Pointer, value: Pointer) -> Outcome<()> {
        self.write_u32(pointer, value.0)
    }

    /// Writes a `u64` at `pointer`.
    pub(crate) fn write_u64(&mut self, pointer: Pointer, value: u64) -> Outcome<()> {
        self.write(pointer, 8, value.to_le_bytes())
    }

    /// Writes a count of bytes or of things at `pointer`.
    pub(crate) fn write_size(&mut self, pointer: Pointer, value: usize) -> Outcome<()> {
        let value = u32::try_from(value).map_err(|_| Errno::Overflow)?;
        self.write_u32(pointer, value)
    }

    /// The buffers that a list names, to be written somewhere, cut off after `length_max`
    /// bytes.
    pub(crate) fn gather(
        &self,
        purse: &Purse,
        list: Buffers,
        length_max: u64,
    ) -> Outcome<Gathered<'_>> {
        Ok(self.cut(self.regions(purse, list)?, length_max))
    }

    /// The same buffers, cut off after so many bytes.
    pub(crate) fn gather_again(
        &self,
        gathered: &mut Gathered<'_>,
        length_max: u64,
    ) -> Gathered<'_> {
        self.cut(mem::take(&mut gathered.regions), length_max)
    }

    fn cut(&self, regions: Vec<Region>, length_max: u64) -> Gathered<'_> {
        let bytes = self.bytes.as_deref().unwrap_or_default();
        let buffers = Vec::with_capacity(regions.len());
        let mut gathered = Gathered { buffers, length: 0, limited: false, regions: Vec::new() };
        for Region { range, .. } in &regions {
            let buffer = bytes.get(range.clone()).unwrap_or_default();
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
        gathered.regions = regions;
        gathered
    }

    /// The buffers that a list names, to be read into, in the list's order.
    ///
    /// If any two overlap, only the first is given: Rust has no two mutable
    /// slices over one byte, and a short read is always allowed.
    pub(crate) fn scatter(&mut self, purse: &Purse, list: Buffers) -> Outcome<Vec<IoSliceMut<'_>>> {
        let mut regions = self.regions(purse, list)?;
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
        Ok(slices.into_iter().map(|(_, slice)| slice).collect())
    }

    /// The first [`BUFFERS_MAX`] non-empty buffers of a list, checked, in order;
    /// `position` counts these alone. What a longer list names is left to the guest's
    /// next call, which a short count asks for. Those that were looked at are paid for, also
    /// when one of them is out of bounds.
    fn regions(&self, purse: &Purse, list: Buffers) -> Outcome<Vec<Region>> {
        self.check_list(Pointer(list.address), list.count, BUFFER_SIZE, 4)?;
        let mut regions = Vec::with_capacity(list.count.min(BUFFERS_MAX) as usize);
        let mut looked_at = 0;
        let outcome = self.look_at(list, &mut regions, &mut looked_at);
        purse.owe_buffers(looked_at);
        outcome.map(|()| regions)
    }

    fn look_at(
        &self,
        Buffers { address, count }: Buffers,
        regions: &mut Vec<Region>,
        looked_at: &mut u32,
    ) -> Outcome<()> {
        let list = Pointer(address);
        for index in 0..count {
            if regions.len() == BUFFERS_MAX as usize {
                break;
            }
            *looked_at += 1;
            let [a, b, c, d, e, f, g, h] = self.read(list.element(index, BUFFER_SIZE)?, 4)?;
            let address = u32::from_le_bytes([a, b, c, d]);
            let buffer = Bytes::new(address, u32::from_le_bytes([e, f, g, h]));
            if buffer.length == 0 {
                continue;
            }
            self.bytes(buffer)?;
            let range = buffer.range().ok_or(Errno::Overflow)?;
            let position = regions.len();
            regions.push(Region { position, range });
        }
        Ok(())
    }
}

impl Bytes {
    /// The first `length` of them, if there are so many.
    pub(crate) fn first(self, length: u32) -> Option<Self> {
        (length <= self.length).then_some(Self { length, ..self })
    }

    /// Their indices, if this host can count so far.
    fn range(self) -> Option<Range<usize>> {
        let start = usize::try_from(self.address).ok()?;
        let end = start.checked_add(usize::try_from(self.length).ok()?)?;
        Some(start..end)
    }

    /// That they are not inside a memory of this size.
    fn out_of_bounds(self, size: usize) -> Fault {
        Fault::OutOfBounds { pointer: self.address, length: self.length.into(), size }
    }
}

impl Pointer {
    /// As the guest gave it.
    pub(crate) const fn new(address: u32) -> Self {
        Self(address)
    }

    /// Where element `index` of an array of elements of `size` bytes is, that begins here.
    pub(crate) fn element(self, index: u32, size: u32) -> Outcome<Self> {
        let offset = index.checked_mul(size);
        let address = offset.and_then(|offset| self.0.checked_add(offset));
        let fault = Fault::OutOfBounds {
            pointer: self.0,
            length: (u64::from(index) + 1) * u64::from(size),
            size: u32::MAX as usize,
        };
        Ok(Self(address.ok_or(fault)?))
    }

    /// What is behind `length` bytes.
    pub(crate) fn behind(self, length: u32) -> Outcome<Self> {
        Ok(Self(self.0.checked_add(length).ok_or(Errno::Overflow)?))
    }

    /// The `length` bytes that begin here.
    pub(crate) fn bytes(self, length: u32) -> Bytes {
        Bytes::new(self.0, length)
    }

    /// That a record of `length` bytes here is not inside a memory of this size.
    fn out_of_bounds(self, length: usize, size: usize) -> Fault {
        Fault::OutOfBounds { pointer: self.0, length: length as u64, size }
    }
}

/// Whether the first of two neighbours reaches into the second.
fn overlap(pair: &[Region]) -> bool {
    match pair {
        [first, second] => first.range.end > second.range.start,
        _ => false,
    }
}

fn check_alignment(pointer: Pointer, alignment: u32) -> Result<(), Fault> {
    if pointer.0.is_multiple_of(alignment) {
        Ok(())
    } else {
        Err(Fault::Misaligned { pointer: pointer.0, alignment })
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
        assert!(memory.bytes(Bytes::new(64, 0)).is_ok());
        assert!(memory.bytes(Bytes::new(60, 4)).is_ok());
        assert!(is_fault(memory.bytes(Bytes::new(61, 4))));
        assert!(is_fault(memory.bytes(Bytes::new(65, 0))));
        assert!(is_fault(memory.bytes(Bytes::new(u32::MAX, u32::MAX))));
        assert!(is_fault(memory.read::<8>(Pointer(60), 4)));
        assert!(is_fault(memory.read::<4>(Pointer(2), 4)));
    }

    #[test]
    fn without_a_memory_every_pointer_is_a_fault() {
        let mut memory = GuestMemory::new(None);
        assert!(is_fault(memory.bytes(Bytes::new(0, 0))));
        assert!(is_fault(memory.write_u32(Pointer(0), 0)));
        assert!(memory.gather(&Purse::default(), Buffers::new(0, 0), 0).is_ok());
    }

    #[test]
    fn disjoint_buffers_keep_the_order_of_the_list() {
        let mut bytes = memory_with(&[(40, 4), (32, 0), (24, 8), (44, 2)]);
        let mut memory = GuestMemory::new(Some(&mut bytes));
        let mut slices =
            memory.scatter(&Purse::default(), Buffers::new(0, 4)).expect("all in bounds");
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
        let slices = memory.scatter(&Purse::default(), Buffers::new(0, 2)).expect("all in bounds");
        assert_eq!(slices.iter().map(|slice| slice.len()).sum::<usize>(), 8);
    }

    #[test]
    fn a_limit_cuts_what_is_gathered() {
        let mut bytes = memory_with(&[(40, 8), (48, 8)]);
        let memory = GuestMemory::new(Some(&mut bytes));
        let all = memory.gather(&Purse::default(), Buffers::new(0, 2), 16).expect("all in bounds");
        assert_eq!((all.length, all.limited), (16, false));
        let part = memory.gather(&Purse::default(), Buffers::new(0, 2), 10).expect("all in bounds");
        assert_eq!((part.length, part.limited, part.buffers.len()), (10, true, 2));
        let none = memory.gather(&Purse::default(), Buffers::new(0, 2), 0).expect("all in bounds");
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
        let paid_beside = |looked_at: u32| {
            let purse = Purse::default();
            purse.owe_buffers(looked_at);
            purse.owed()
        };
        for count in [16 * 1024, 16 * 1025] {
            let purse = Purse::default();
            let list = Buffers::new(0, count);
            let gathered = memory.gather(&purse, list, u64::MAX).expect("all in bounds");
            assert_eq!((gathered.length, purse.owed()), (1024, paid_beside(16 * 1024)));
        }
        let list = Buffers::new(0, 16 * 1025 + 1);
        assert!(is_fault(memory.gather(&Purse::default(), list, u64::MAX)));
    }

    #[test]
    fn a_list_is_paid_for_as_far_as_it_tells_the_truth() {
        // 2000 buffers of nothing, and one beyond the memory.
        let mut bytes = vec![0; 2001 * 8];
        bytes[2000 * 8 + 4..].fill(255);
        let mut memory = GuestMemory::new(Some(&mut bytes));
        let (purse, expected) = (Purse::default(), Purse::default());
        assert!(is_fault(memory.scatter(&purse, Buffers::new(0, 2001))));
        expected.owe_buffers(2001);
        assert!(purse.owed() > 0);
        assert_eq!(purse.owed(), expected.owed());
    }

    #[test]
    fn a_list_that_lies_is_a_fault() {
        let mut bytes = memory_with(&[(60, 8)]);
        let mut memory = GuestMemory::new(Some(&mut bytes));
        assert!(is_fault(memory.scatter(&Purse::default(), Buffers::new(0, 1))));
        assert!(is_fault(memory.gather(&Purse::default(), Buffers::new(56, u32::MAX), u64::MAX)));
        assert!(is_fault(memory.gather(
            &Purse::default(),
            Buffers::new(u32::MAX - 3, 1),
            u64::MAX
        )));
    }
}
