//! From a call of the guest to the function of a row: what the parameters of the tables
//! (`bls_artifact::preview1`, `bls_artifact::blockless`) become, and what they cost.
//!
//! [`rows!`] makes of a table one [`Row`] for each function: a plain function that takes the
//! call's parameters as numbers, so that whatever calls one is there once and not once for each
//! type. May assume that there are as many numbers as the table's types take. Decides nothing.

use super::Host;
use super::errno::Outcome;
use super::memory::{Buffers, Bytes, GuestMemory, Path, Pointer, Unseen};
use super::price::NOTHING;
use bls_artifact::limits::{BUFFERS_MAX, PATH_BYTES_MAX};
use std::slice;

/// Does one call, with these parameters; notes first what it costs in any case.
pub(crate) type Run = fn(&mut Host, &mut GuestMemory<'_>, &[u64]) -> Outcome<()>;

/// A function of a table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    /// As in the table.
    pub(crate) interface: &'static str,
    pub(crate) name: &'static str,
    pub(crate) run: Run,
}

/// Something that a function of a table takes.
pub(crate) trait Parameter: Copy {
    /// Takes the numbers that it is made of.
    fn take(given: &mut slice::Iter<'_, u64>) -> Self;

    /// Units that are paid for it, whatever comes of the call: none for what is paid for when
    /// it is known.
    fn units(self) -> u64 {
        NOTHING
    }
}

/// The next of the numbers.
fn next(given: &mut slice::Iter<'_, u64>) -> u64 {
    given.next().copied().unwrap_or_default()
}

impl Parameter for u64 {
    fn take(given: &mut slice::Iter<'_, u64>) -> Self {
        next(given)
    }
}

impl Parameter for i64 {
    fn take(given: &mut slice::Iter<'_, u64>) -> Self {
        next(given).cast_signed()
    }
}

impl Parameter for u32 {
    fn take(given: &mut slice::Iter<'_, u64>) -> Self {
        // It is one: the engine gave 32 bits.
        next(given) as Self
    }
}

impl Parameter for Pointer {
    fn take(given: &mut slice::Iter<'_, u64>) -> Self {
        Self::new(u32::take(given))
    }
}

impl Parameter for Bytes {
    fn take(given: &mut slice::Iter<'_, u64>) -> Self {
        Self::new(u32::take(given), u32::take(given))
    }
}

impl Parameter for Unseen {
    fn take(given: &mut slice::Iter<'_, u64>) -> Self {
        Self::new(u32::take(given), u32::take(given))
    }
}

impl Parameter for Path {
    fn take(given: &mut slice::Iter<'_, u64>) -> Self {
        Self::new(u32::take(given), u32::take(given))
    }

    fn units(self) -> u64 {
        u64::from(self.length().min(PATH_BYTES_MAX)) * super::price::PATH_BYTE
    }
}

impl Parameter for Buffers {
    fn take(given: &mut slice::Iter<'_, u64>) -> Self {
        Self::new(u32::take(given), u32::take(given))
    }

    fn units(self) -> u64 {
        u64::from(self.count().min(BUFFERS_MAX)) * super::price::BUFFER
    }
}

/// The type of a parameter, by its words in a table.
macro_rules! parameter {
    (pair $pair:ident) => {
        $crate::host::memory::$pair
    };
    (Pointer) => {
        $crate::host::memory::Pointer
    };
    ($number:ident) => {
        $number
    };
}

/// Makes `ROWS` of a table. Each function is found by the name of its interface and its own.
macro_rules! rows {
    ($($interface:ident {
        $($function:ident($($parameter:ident: $($ty:ident)+),*) -> $result:ident,
            costs $price:expr, may_use [$($capability:ident),*];)*
    })*) => {
        /// The functions, in the order of the table.
        pub(crate) const ROWS: &[$crate::host::wiring::Row] = &[$($($crate::host::wiring::Row {
            interface: stringify!($interface),
            name: stringify!($function),
            run: |host, memory, given| {
                #[allow(unused_mut, unused_variables, reason = "some take nothing")]
                let mut given = given.iter();
                $(let $parameter =
                    <$crate::host::wiring::parameter!($($ty)+) as Parameter>::take(&mut given);)*
                host.purse.base = $price $(+ Parameter::units($parameter))*;
                $interface::$function(host, memory $(, $parameter)*)
            },
        }),*),*];
    };
}

pub(crate) use {parameter, rows};
