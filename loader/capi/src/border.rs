//! What crosses between C and Rust: texts, bytes, handles, panics.
//!
//! Guarantees that NULL is an error, that a handle which is used by two at once is refused to
//! the second, and that a panic becomes an error. May assume what `bls.h` asks of a caller.

use crate::error::{Refusal, bls_error};
use std::ffi::{CStr, CString, OsStr, c_char};
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{RwLock, TryLockError};

/// Does `what`, and says as C does whether it worked.
pub(crate) fn answer(what: impl FnOnce() -> Result<(), Refusal>) -> Option<Box<bls_error>> {
    // What a panic leaves behind is in slots, which are used up then.
    let refusal = match catch_unwind(AssertUnwindSafe(what)) {
        Ok(Ok(())) => return None,
        Ok(Err(refusal)) => refusal,
        Err(panic) => Refusal::Panic(told(panic.as_ref())),
    };
    Some(Box::new(refusal.into()))
}

/// What a panic says.
pub(crate) fn told(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no words").to_owned()
}

/// An argument that must be there.
pub(crate) fn given<T>(argument: Option<T>, name: &'static str) -> Result<T, Refusal> {
    argument.ok_or(Refusal::Null(name))
}

/// Where a function puts what it makes.
pub(crate) type Place<'a, T> = Option<&'a mut MaybeUninit<T>>;

/// Makes something, and puts it there; NULL where it could not be made.
pub(crate) fn make<T>(
    place: Place<'_, Option<Box<T>>>,
    make: impl FnOnce() -> Result<T, Refusal>,
) -> Option<Box<bls_error>> {
    answer(|| {
        let place = given(place, "the place for the result")?;
        place.write(None);
        place.write(Some(Box::new(make()?)));
        Ok(())
    })
}

/// A text as C holds it. What is a 0 in it becomes a sign that says so.
pub(crate) fn c_string(text: &str) -> CString {
    CString::new(text.replace('\0', "\u{fffd}")).unwrap_or_default()
}

/// A text of C's, as bytes: a path, an argument.
///
/// # Safety
/// It is NULL, or leads to bytes that end with a 0, and stay for as long as `'a`.
pub(crate) unsafe fn words<'a>(
    text: *const c_char,
    name: &'static str,
) -> Result<&'a OsStr, Refusal> {
    if text.is_null() {
        return Err(Refusal::Null(name));
    }
    // SAFETY: it is not NULL; the rest is this function's own condition.
    Ok(OsStr::from_bytes(unsafe { CStr::from_ptr(text) }.to_bytes()))
}

/// A text of C's that must be UTF-8.
///
/// # Safety
/// As for [`words`].
pub(crate) unsafe fn text<'a>(text: *const c_char, name: &'static str) -> Result<&'a str, Refusal> {
    // SAFETY: the same condition.
    unsafe { words(text, name) }?.to_str().ok_or(Refusal::NotUtf8(name))
}

/// Bytes of C's. No bytes may be at NULL.
///
/// # Safety
/// `length` bytes are there, or none; and they stay, and nobody writes them, for as long as
/// `'a`.
pub(crate) unsafe fn bytes<'a>(
    bytes: *const u8,
    length: usize,
    name: &'static str,
) -> Result<&'a [u8], Refusal> {
    if length == 0 {
        return Ok(&[]);
    }
    if bytes.is_null() {
        return Err(Refusal::Null(name));
    }
    if isize::try_from(length).is_err() {
        return Err(Refusal::TooMany(name));
    }
    // SAFETY: it is not NULL and not longer than anything can be; the rest is this function's
    // own condition.
    Ok(unsafe { std::slice::from_raw_parts(bytes, length) })
}

/// Writes bytes where C has room for as many.
///
/// # Safety
/// There is room for them at `to`, or it is NULL.
pub(crate) unsafe fn copy_to(bytes: &[u8], to: *mut u8, name: &'static str) -> Result<(), Refusal> {
    if bytes.is_empty() {
        return Ok(());
    }
    if to.is_null() {
        return Err(Refusal::Null(name));
    }
    // SAFETY: it is not NULL and has the room; what Rust holds a slice of is not what C gave
    // room in.
    unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len()) };
    Ok(())
}

/// What a handle holds, until a call uses it up. Two calls at once are no data race: the
/// second is refused.
#[derive(Debug)]
pub(crate) struct Slot<T> {
    name: &'static str,
    held: RwLock<Option<T>>,
}

impl<T> Slot<T> {
    /// `name` is what messages call it.
    pub(crate) fn new(name: &'static str, value: T) -> Self {
        Self { name, held: RwLock::new(Some(value)) }
    }

    /// Works on it.
    pub(crate) fn with<R>(
        &self,
        work: impl FnOnce(&mut T) -> Result<R, Refusal>,
    ) -> Result<R, Refusal> {
        let mut held = self.held.try_write().map_err(|error| self.unavailable(&error))?;
        work(held.as_mut().ok_or(Refusal::Used(self.name))?)
    }

    /// Looks at it, beside others who do.
    pub(crate) fn see<R>(&self, work: impl FnOnce(&T) -> Result<R, Refusal>) -> Result<R, Refusal>
    where
        T: Sync,
    {
        let held = self.held.try_read().map_err(|error| self.unavailable(&error))?;
        work(held.as_ref().ok_or(Refusal::Used(self.name))?)
    }

    /// Uses it up.
    pub(crate) fn take(&self) -> Result<T, Refusal> {
        let mut held = self.held.try_write().map_err(|error| self.unavailable(&error))?;
        held.take().ok_or(Refusal::Used(self.name))
    }

    /// Puts another in its place. Where there is none, because `change` failed, it is used up.
    pub(crate) fn change(
        &self,
        change: impl FnOnce(T) -> Result<T, Refusal>,
    ) -> Result<(), Refusal> {
        let mut held = self.held.try_write().map_err(|error| self.unavailable(&error))?;
        let changed = change(held.take().ok_or(Refusal::Used(self.name))?)?;
        *held = Some(changed);
        Ok(())
    }

    fn unavailable<G>(&self, error: &TryLockError<G>) -> Refusal {
        match error {
            TryLockError::WouldBlock => Refusal::Busy(self.name),
            // A panic left it, in whatever state.
            TryLockError::Poisoned(_) => Refusal::Used(self.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code_of(error: Option<Box<bls_error>>) -> String {
        let code = crate::error::bls_error_code(error.as_deref());
        assert!(!code.is_null(), "no error");
        // SAFETY: it belongs to the error, which is there.
        unsafe { CStr::from_ptr(code) }.to_str().expect("a code").to_owned()
    }

    #[test]
    fn a_panic_is_an_error_and_what_it_left_is_used_up() {
        let slot = Slot::new("the number", 5);
        let panicked = answer(|| slot.with(|_| panic!("in the middle")));
        assert_eq!(code_of(panicked), "capi.panic");
        assert_eq!(code_of(answer(|| slot.with(|_| Ok(())))), "capi.used");
        let mut place = MaybeUninit::uninit();
        let made = make::<u8>(Some(&mut place), || panic!("in the middle"));
        assert_eq!(code_of(made), "capi.panic");
        // SAFETY: `make` writes it before anything else.
        assert!(unsafe { place.assume_init() }.is_none());
    }

    #[test]
    fn a_handle_is_used_by_one_at_a_time() {
        let slot = Slot::new("the number", 5);
        let inside = slot.with(|_| Ok(code_of(answer(|| slot.take().map(drop)))));
        assert_eq!(inside.expect("it is there"), "capi.busy");
        let beside = slot.see(|_| slot.see(|number| Ok(*number)));
        assert_eq!(beside.expect("two may look"), 5);
        assert!(answer(|| slot.change(|_| Err(Refusal::Digest))).is_some());
        assert_eq!(code_of(answer(|| slot.take().map(drop))), "capi.used");
    }
}
