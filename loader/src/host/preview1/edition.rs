//! Which interface a module was made for: preview 1, or snapshot 0 before it.
//!
//! `wasi_unstable` is what programs of 2019 and 2020 import. It has the functions of
//! preview 1 without `sock_accept`; what is laid out or numbered otherwise stands here, and
//! nowhere else:
//!
//! | | snapshot 0 | preview 1 |
//! |---|---|---|
//! | `whence` | current, end, start | start, current, end |
//! | `filestat` | 56 bytes; links are 32 bits, at 20 | 64 bytes; links are 64 bits, at 24 |
//! | `subscription` | 56 bytes; of a clock, an identifier at 16 and the rest behind it | 48 bytes |
//! | `rights` | without `sock_accept` | with it |
//!
//! Assumes that the record of preview 1 is at hand. Guarantees that a value that snapshot 0
//! does not have is refused as preview 1 refuses its own unknown ones. Calls nothing.

use crate::host::errno::{Errno, Outcome};
use crate::host::memory::{GuestMemory, Pointer};
use crate::host::preview1::types::{FileStat, Rights, Subscription};
use bls_artifact::capability::WASI_UNSTABLE;
use rustix::fs::SeekFrom;

/// The two interfaces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Edition {
    /// `wasi_unstable`.
    Snapshot0,
    /// `wasi_snapshot_preview1`.
    #[default]
    Preview1,
}

impl Edition {
    /// That of a module that functions are imported from.
    pub(crate) fn of(module: &str) -> Self {
        match module {
            WASI_UNSTABLE => Self::Snapshot0,
            _ => Self::Preview1,
        }
    }

    /// The rights there are.
    pub(crate) const fn rights(self) -> Rights {
        match self {
            Self::Snapshot0 => Rights::all().without(Rights::SOCK_ACCEPT),
            Self::Preview1 => Rights::all(),
        }
    }

    /// The rights a guest passed.
    pub(crate) fn parse_rights(self, bits: u64) -> Outcome<Rights> {
        let rights = Rights::parse(bits)?;
        match self.rights().has(rights) {
            true => Ok(rights),
            false => Err(Errno::Inval.into()),
        }
    }

    /// Where a guest wants to go in a file.
    pub(crate) fn target(self, whence: u32, offset: i64) -> Outcome<SeekFrom> {
        let whence = match (self, whence) {
            (Self::Preview1, 0..=2) => whence,
            (Self::Snapshot0, 0..=2) => (whence + 1) % 3,
            _ => return Err(Errno::Inval.into()),
        };
        Ok(match whence {
            0 => SeekFrom::Start(u64::try_from(offset).map_err(|_| Errno::Inval)?),
            1 => SeekFrom::Current(offset),
            _ => SeekFrom::End(offset),
        })
    }

    /// Writes the attributes of a file.
    pub(crate) fn write_attributes(
        self,
        memory: &mut GuestMemory<'_>,
        result: Pointer,
        attributes: &FileStat,
    ) -> Outcome<()> {
        /// Where snapshot 0 has the links, and what stands behind them.
        const LINKS: usize = 20;
        const REST: usize = 24;
        let record = attributes.encode();
        if self == Self::Preview1 {
            return memory.write(result, FileStat::ALIGNMENT, record);
        }
        let (head, rest) = record.split_at(FileStat::SIZE_OFFSET);
        let mut old = [0; 56];
        old[..LINKS].copy_from_slice(&head[..LINKS]);
        let links = u32::try_from(attributes.links).unwrap_or(u32::MAX);
        old[LINKS..REST].copy_from_slice(&links.to_le_bytes());
        old[REST..].copy_from_slice(rest);
        memory.write(result, FileStat::ALIGNMENT, old)
    }

    /// Bytes of one subscription.
    pub(crate) fn subscription_bytes(self) -> u32 {
        match self {
            Self::Snapshot0 => SUBSCRIPTION_BYTES as u32,
            Self::Preview1 => Subscription::SIZE,
        }
    }

    /// Reads the subscription at a pointer.
    pub(crate) fn subscription(
        self,
        memory: &GuestMemory<'_>,
        place: Pointer,
    ) -> Outcome<Subscription> {
        if self == Self::Preview1 {
            return Subscription::decode(&memory.read(place, Subscription::ALIGNMENT)?);
        }
        let mut old: [u8; SUBSCRIPTION_BYTES] = memory.read(place, Subscription::ALIGNMENT)?;
        if old[Subscription::TAG] == Subscription::CLOCK_TAG {
            // The identifier says nothing to the host.
            old.copy_within(Subscription::CLOCK + 8.., Subscription::CLOCK);
        }
        let (record, _) = old.split_first_chunk().ok_or(Errno::Inval)?;
        Subscription::decode(record)
    }
}

/// Bytes of a subscription of snapshot 0.
const SUBSCRIPTION_BYTES: usize = 56;
