//! Values of WebAssembly, and types of functions as text.

use crate::border::Slot;
use crate::error::Refusal;
use bls_loader::wasmtime::{FuncType, V128, Val, ValType};

/// A value's kind: a 32-bit integer.
pub const BLS_I32: u8 = 0;
/// A value's kind: a 64-bit integer.
pub const BLS_I64: u8 = 1;
/// A value's kind: a 32-bit float.
pub const BLS_F32: u8 = 2;
/// A value's kind: a 64-bit float.
pub const BLS_F64: u8 = 3;
/// A value's kind: 128 bits, the lowest byte first.
pub const BLS_V128: u8 = 4;
/// A value's kind: a reference of the guest's. It is told, and cannot be given.
pub const BLS_REFERENCE: u8 = 5;

/// What a value is, by its kind.
#[repr(C)]
#[derive(Clone, Copy)]
pub union bls_value_of {
    /// Of BLS_I32.
    pub i32: i32,
    /// Of BLS_I64.
    pub i64: i64,
    /// Of BLS_F32.
    pub f32: f32,
    /// Of BLS_F64.
    pub f64: f64,
    /// Of BLS_V128.
    pub v128: [u8; 16],
}

/// A value: an argument or a result.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct bls_value {
    /// BLS_I32 and so on.
    pub kind: u8,
    /// Its bits.
    pub of: bls_value_of,
}

impl std::fmt::Debug for bls_value {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(to, "bls_value of kind {}", self.kind)
    }
}

impl bls_value {
    /// A zero of this kind.
    pub(crate) fn zero(kind: u8) -> Self {
        Self { kind, of: bls_value_of { v128: [0; 16] } }
    }

    /// As C has it.
    pub(crate) fn of(value: &Val) -> Self {
        // All bytes are set, whatever the kind.
        let mut of = Self::zero(0).of;
        let kind = match value {
            Val::I32(value) => {
                of.i32 = *value;
                BLS_I32
            }
            Val::I64(value) => {
                of.i64 = *value;
                BLS_I64
            }
            Val::F32(bits) => {
                of.i32 = bits.cast_signed();
                BLS_F32
            }
            Val::F64(bits) => {
                of.i64 = bits.cast_signed();
                BLS_F64
            }
            Val::V128(value) => {
                of.v128 = value.as_u128().to_le_bytes();
                BLS_V128
            }
            _ => BLS_REFERENCE,
        };
        Self { kind, of }
    }

    /// As Rust has it.
    ///
    /// # Safety
    /// What its kind says was set.
    pub(crate) unsafe fn get(&self) -> Result<Val, Refusal> {
        Ok(match self.kind {
            // SAFETY: it was set, as an integer of this size.
            BLS_I32 => Val::I32(unsafe { self.of.i32 }),
            // SAFETY: the same.
            BLS_I64 => Val::I64(unsafe { self.of.i64 }),
            // As an integer: the bits of a NaN stay as they are.
            // SAFETY: it was set, as a float of the same size.
            BLS_F32 => Val::F32(unsafe { self.of.i32 }.cast_unsigned()),
            // SAFETY: the same.
            BLS_F64 => Val::F64(unsafe { self.of.i64 }.cast_unsigned()),
            BLS_V128 => {
                // SAFETY: it was set, all 16 bytes.
                let bytes = unsafe { self.of.v128 };
                Val::V128(V128::from(u128::from_le_bytes(bytes)))
            }
            kind => return Err(Refusal::Kind(kind)),
        })
    }
}

/// The most values that a call can have: more than the engine lets a function have.
const VALUES_MAX: usize = 10_000;

/// Arguments of C's.
///
/// # Safety
/// So many values are there, set as their kinds say.
pub(crate) unsafe fn values(
    values: *const bls_value,
    count: usize,
    name: &'static str,
) -> Result<Vec<Val>, Refusal> {
    if count == 0 {
        return Ok(Vec::new());
    }
    if values.is_null() {
        return Err(Refusal::Null(name));
    }
    if count > VALUES_MAX {
        return Err(Refusal::TooMany(name));
    }
    // SAFETY: it is not NULL; the rest is this function's own condition.
    let values = unsafe { std::slice::from_raw_parts(values, count) };
    // SAFETY: the same condition.
    values.iter().map(|value| unsafe { value.get() }).collect()
}

/// Puts results where C has room for so many.
///
/// # Safety
/// There is room for `room` values, or it is NULL.
pub(crate) unsafe fn put(
    results: &[Val],
    to: *mut bls_value,
    room: usize,
    name: &'static str,
) -> Result<(), Refusal> {
    check_room(results.len(), to, room, name)?;
    for (at, value) in results.iter().enumerate() {
        // SAFETY: there are `room` places, and `at` is below that.
        let place = unsafe { to.add(at) };
        // SAFETY: the place is C's, and nothing of Rust's is there.
        unsafe { place.write(bls_value::of(value)) };
    }
    Ok(())
}

/// Whether there is room for so many results.
pub(crate) fn check_room(
    count: usize,
    to: *mut bls_value,
    room: usize,
    name: &'static str,
) -> Result<(), Refusal> {
    if room != count {
        return Err(Refusal::Room(room, count));
    }
    if count > 0 && to.is_null() { Err(Refusal::Null(name)) } else { Ok(()) }
}

/// The types of a signature: of its parameters, of its results.
pub(crate) type Types = (Vec<ValType>, Vec<ValType>);

/// Reads a signature: `ii:i`.
pub(crate) fn signature(text: &str) -> Result<Types, Refusal> {
    let wrong = || Refusal::Signature(text.to_owned());
    let types = |letters: &str| letters.chars().map(ty).collect::<Option<Vec<_>>>();
    let (parameters, results) = text.split_once(':').ok_or_else(wrong)?;
    types(parameters).zip(types(results)).ok_or_else(wrong)
}

fn ty(letter: char) -> Option<ValType> {
    Some(match letter {
        'i' => ValType::I32,
        'I' => ValType::I64,
        'f' => ValType::F32,
        'F' => ValType::F64,
        'v' => ValType::V128,
        _ => return None,
    })
}

/// The kind of a value of this type.
pub(crate) fn kind(ty: &ValType) -> u8 {
    match ty {
        ValType::I32 => BLS_I32,
        ValType::I64 => BLS_I64,
        ValType::F32 => BLS_F32,
        ValType::F64 => BLS_F64,
        ValType::V128 => BLS_V128,
        ValType::Ref(_) => BLS_REFERENCE,
    }
}

/// The signature of a function, with `r` for each reference.
pub(crate) fn written(ty: &FuncType) -> String {
    let letters = |types: &mut dyn Iterator<Item = ValType>| -> String {
        types.map(|ty| ['i', 'I', 'f', 'F', 'v', 'r'][usize::from(kind(&ty))]).collect()
    };
    format!("{}:{}", letters(&mut ty.params()), letters(&mut ty.results()))
}

/// That what handles hold may go from thread to thread, as `bls.h` promises; and be used by
/// several at once, where it says so.
const _: () = {
    const fn goes<T: Send>() {}
    const fn is_shared<T: Send + Sync>() {}
    goes::<Slot<bls_loader::Trust>>();
    goes::<Slot<bls_loader::Verified>>();
    goes::<Slot<bls_loader::Runner>>();
    goes::<Slot<bls_loader::Instance>>();
    is_shared::<Slot<bls_loader::Loader>>();
    is_shared::<bls_loader::Pool>();
    is_shared::<bls_loader::Cancel>();
    is_shared::<crate::ended::bls_ended>();
    is_shared::<crate::error::bls_error>();
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures() {
        let (parameters, results) = signature("iIfFv:Fi").expect("a signature");
        let kinds = |types: &[ValType]| types.iter().map(kind).collect::<Vec<_>>();
        assert_eq!(kinds(&parameters), [BLS_I32, BLS_I64, BLS_F32, BLS_F64, BLS_V128]);
        assert_eq!(kinds(&results), [BLS_F64, BLS_I32]);
        assert!(signature(":").is_ok_and(|(all, none)| all.is_empty() && none.is_empty()));
        for wrong in ["", "i", "i:r", "i:i:i", "x:", "i :i"] {
            assert!(matches!(signature(wrong), Err(Refusal::Signature(_))), "{wrong}");
        }
    }

    #[test]
    fn values_keep_their_bits() {
        for value in [
            Val::I32(i32::MIN),
            Val::I64(-1),
            Val::F32(0x7fa0_0001),
            Val::F64(0xfff0_0000_0000_0001),
            Val::V128(V128::from(5_u128 << 100)),
        ] {
            // SAFETY: it was made of a value of its kind.
            let again = unsafe { bls_value::of(&value).get() }.expect("a value");
            assert_eq!(format!("{value:?}"), format!("{again:?}"));
        }
        // SAFETY: all bytes are set.
        let reference = unsafe { bls_value::zero(BLS_REFERENCE).get() };
        assert!(matches!(reference, Err(Refusal::Kind(BLS_REFERENCE))));
    }
}
