//! Host functions written in C, and what they can do while they are called.
//!
//! Guarantees that each call is paid for before C hears of it, and that an address which a
//! guest gives is checked before anything is read or written there.

use crate::border::{answer, bytes, copy_to, given, text, told};
use crate::error::{Refusal, bls_error};
use crate::runner::{ask, bls_runner};
use crate::value::{bls_value, kind, signature};
use bls_loader::Call;
use bls_loader::wasmtime::{Error, Val};
use std::ffi::{CStr, c_char, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Why a function of your own does not return to the guest: the guest traps. Made by
/// bls_trap_new, or given by a function of bls_call; a function of yours that returns one gives
/// it away. One that it does not return is freed with bls_trap_free.
#[derive(Debug)]
pub struct bls_trap(Error);

/// One call of a function of your own. It is there until the function returns, and for the
/// thread that the function was called on.
#[derive(Debug)]
pub struct bls_call<'a, 'b>(&'a mut Call<'b>);

/// A function of your own. args has one value for each parameter of its signature, and results
/// one for each result, a zero of the right kind to write over. It returns NULL, or a trap for
/// the guest. It must return: no longjmp, no exception may leave it.
pub type bls_function = Option<
    unsafe extern "C" fn(
        data: *mut c_void,
        call: &mut bls_call<'_, '_>,
        args: *const bls_value,
        results: *mut bls_value,
    ) -> Option<Box<bls_trap>>,
>;

/// What frees data of yours. It may be NULL.
pub type bls_free = Option<unsafe extern "C" fn(data: *mut c_void)>;

/// A pointer of C's that goes with a function or a guest.
struct Data {
    pointer: *mut c_void,
    free: bls_free,
}

// SAFETY: bls.h asks for data that may be used by every thread that calls the guest.
unsafe impl Send for Data {}
// SAFETY: the same.
unsafe impl Sync for Data {}

impl Data {
    fn pointer(&self) -> *mut c_void {
        self.pointer
    }
}

impl Drop for Data {
    fn drop(&mut self) {
        if let Some(free) = self.free {
            // SAFETY: C gave both, for each other, and nothing uses the pointer any more.
            unsafe { free(self.pointer) };
        }
    }
}

/// A function of your own, for the import module.name, in the place of WASI's if it has one.
/// Its signature is its parameters' letters, a colon, its results' letters: "ii:i". The letters
/// are i, I, f, F and v, for i32, i64, f32, f64 and v128. Each call costs price units of fuel
/// and what the function charges itself (bls_call_charge).
///
/// The function is called with data, on the thread that calls the guest or, where that one's
/// stack is too small for a guest, on one that is made for the call. Guests on several threads
/// call it at once. free is called once, when nothing can call the function any more, on
/// whatever thread that is; and when this call is refused.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bls_runner_function(
    runner: Option<&bls_runner>,
    module: *const c_char,
    name: *const c_char,
    signature_text: *const c_char,
    price: u64,
    function: bls_function,
    data: *mut c_void,
    free: bls_free,
) -> Option<Box<bls_error>> {
    let data = Data { pointer: data, free };
    answer(|| {
        // SAFETY: bls.h asks for a text.
        let module = unsafe { text(module, "the module") }?;
        // SAFETY: bls.h asks for a text.
        let name = unsafe { text(name, "the name") }?;
        // SAFETY: bls.h asks for a text.
        let signed = unsafe { text(signature_text, "the signature") }?;
        let (parameters, results) = signature(signed)?;
        let function = given(function, "the function")?;
        let kinds: Vec<u8> = results.iter().map(kind).collect();
        let called = move |call: &mut Call<'_>, arguments: &[Val]| {
            let arguments: Vec<bls_value> = arguments.iter().map(bls_value::of).collect();
            let mut results: Vec<bls_value> = kinds.iter().copied().map(bls_value::zero).collect();
            let (from, to) = (arguments.as_ptr(), results.as_mut_ptr());
            let mut call = bls_call(call);
            // SAFETY: C gave the function, for this data; arguments, results and the call are
            // there until it returns.
            let trap = unsafe { function(data.pointer(), &mut call, from, to) };
            if let Some(trap) = trap {
                return Err(trap.0);
            }
            let value = |result: &bls_value| {
                // SAFETY: all its bytes were set here; C may have written over them.
                unsafe { result.get() }.map_err(|refusal| Error::msg(refusal.to_string()))
            };
            results.iter().map(value).collect()
        };
        ask(runner, |runner| {
            runner.function_dynamic(module, name, price, parameters, results, called)
        })
    })
}

/// What bls_call_data gives in this guest's calls of your own functions. free is called once,
/// when the guest is gone, on whatever thread that is; and when this call is refused.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bls_runner_data(
    runner: Option<&bls_runner>,
    data: *mut c_void,
    free: bls_free,
) -> Option<Box<bls_error>> {
    let data = Data { pointer: data, free };
    answer(|| ask(runner, |runner| runner.data(data)))
}

/// A trap with this message, which is copied. It is never NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bls_trap_new(message: *const c_char) -> Option<Box<bls_trap>> {
    if message.is_null() {
        return Some(Box::new(bls_trap(Error::msg("no words"))));
    }
    // SAFETY: it is not NULL, and bls.h asks for a text.
    let message = unsafe { CStr::from_ptr(message) }.to_string_lossy().into_owned();
    Some(Box::new(bls_trap(Error::msg(message))))
}

/// Frees a trap that no function of yours returned. NULL is fine.
#[unsafe(no_mangle)]
pub extern "C" fn bls_trap_free(trap: Option<Box<bls_trap>>) {
    drop(trap);
}

/// Takes fuel for what is going to be done, beside the price of the call. For the same count
/// on every machine it must depend on what the guest asked for and got, never on time. A trap,
/// which is to be returned, says that the guest has less.
#[unsafe(no_mangle)]
pub extern "C" fn bls_call_charge(
    call: Option<&mut bls_call<'_, '_>>,
    units: u64,
) -> Option<Box<bls_trap>> {
    trapping(|| {
        let call = call.ok_or(Refusal::Null("the call")).map_err(into_trap)?;
        call.0.charge(units)
    })
}

/// Copies so many bytes at this address of the guest's memory (its export memory) to where you
/// have room for them. A trap, which is to be returned, says that they are not all there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bls_call_read(
    call: Option<&mut bls_call<'_, '_>>,
    address: u32,
    to: *mut u8,
    length: u32,
) -> Option<Box<bls_trap>> {
    trapping(|| {
        let call = call.ok_or(Refusal::Null("the call")).map_err(into_trap)?;
        let found = call.0.read(address, length)?;
        // SAFETY: bls.h asks for that much room.
        unsafe { copy_to(found, to, "the place for the bytes") }.map_err(into_trap)
    })
}

/// Copies so many bytes to this address of the guest's memory. A trap, which is to be returned,
/// says that there is no room.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bls_call_write(
    call: Option<&mut bls_call<'_, '_>>,
    address: u32,
    from: *const u8,
    length: u32,
) -> Option<Box<bls_trap>> {
    trapping(|| {
        let call = call.ok_or(Refusal::Null("the call")).map_err(into_trap)?;
        // SAFETY: bls.h asks for that many bytes.
        let from = unsafe { bytes(from, length as usize, "the bytes") }.map_err(into_trap)?;
        call.0.write(address, from)
    })
}

/// What bls_runner_data gave this guest; NULL where it gave nothing.
#[unsafe(no_mangle)]
pub extern "C" fn bls_call_data(call: Option<&mut bls_call<'_, '_>>) -> *mut c_void {
    let data = call.and_then(|call| call.0.data::<Data>());
    data.map_or(std::ptr::null_mut(), |data| data.pointer())
}

fn into_trap(refusal: Refusal) -> Error {
    Error::msg(refusal.to_string())
}

/// Does `what`; what it says, and a panic, becomes a trap.
fn trapping(what: impl FnOnce() -> Result<(), Error>) -> Option<Box<bls_trap>> {
    let error = match catch_unwind(AssertUnwindSafe(what)) {
        Ok(Ok(())) => return None,
        Ok(Err(error)) => error,
        Err(panic) => into_trap(Refusal::Panic(told(panic.as_ref()))),
    };
    Some(Box::new(bls_trap(error)))
}
