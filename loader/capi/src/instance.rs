//! A guest that stands and is called, and what stops one.

use crate::border::{Slot, answer, bytes, copy_to, given, make, text};
use crate::ended::{bls_ended, bls_fuel};
use crate::error::{Refusal, bls_error};
use crate::value::{bls_value, check_room, put, values, written};
use bls_loader::{Cancel, Instance};
use std::ffi::c_char;
use std::mem::MaybeUninit;
use std::time::Duration;

/// A guest that stands: a plug-in, a library, a reactor. Its limits on memory, output and
/// descriptors hold over all calls; fuel and time are given as one likes, for each call or for
/// many. Threads may use it one after the other. Free it with bls_instance_free, but not from
/// a function that it has called.
#[derive(Debug)]
pub struct bls_instance(Slot<Instance>);

impl bls_instance {
    pub(crate) fn new(instance: Instance) -> Self {
        Self(Slot::new("the instance", instance))
    }
}

/// Calls an exported function by its name, with count arguments, and puts what it gives into
/// results, where there is room for exactly as many as it gives.
///
/// Where the guest ended in the call, the error is run.ended, bls_error_outcome says how, and
/// the guest cannot be called again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bls_instance_call(
    instance: Option<&bls_instance>,
    name: *const c_char,
    arguments: *const bls_value,
    count: usize,
    results: *mut bls_value,
    room: usize,
) -> Option<Box<bls_error>> {
    answer(|| {
        // SAFETY: bls.h asks for a text.
        let name = unsafe { text(name, "the name") }?;
        // SAFETY: bls.h asks for that many values.
        let arguments = unsafe { values(arguments, count, "the arguments") }?;
        given(instance, "the instance")?.0.with(|instance| {
            let gives = instance.function_type(name)?.results().len();
            check_room(gives, results, room, "the place for results")?;
            let given = instance.call_values(name, &arguments)?;
            // SAFETY: bls.h asks for that much room.
            unsafe { put(&given, results, room, "the place for results") }
        })
    })
}

/// Writes the signature of an exported function, such as "ii:i", and a 0 to where there is room
/// for so many bytes. A reference is an r.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bls_instance_signature(
    instance: Option<&bls_instance>,
    name: *const c_char,
    to: *mut c_char,
    room: usize,
) -> Option<Box<bls_error>> {
    answer(|| {
        // SAFETY: bls.h asks for a text.
        let name = unsafe { text(name, "the name") }?;
        let slot = &given(instance, "the instance")?.0;
        let signature = slot.with(|instance| Ok(written(&instance.function_type(name)?)))?;
        let bytes = [signature.as_bytes(), &[0]].concat();
        if room < bytes.len() {
            return Err(Refusal::Room(room, bytes.len()));
        }
        // SAFETY: bls.h asks for that much room, and it is enough.
        unsafe { copy_to(&bytes, to.cast(), "the place for the signature") }
    })
}

/// Gives it this much fuel from now on, whatever it had: bls_instance_fuel counts from here.
#[unsafe(no_mangle)]
pub extern "C" fn bls_instance_set_fuel(
    instance: Option<&bls_instance>,
    units: u64,
) -> Option<Box<bls_error>> {
    answer(|| {
        given(instance, "the instance")?.0.with(|instance| {
            instance.set_fuel(units);
            Ok(())
        })
    })
}

/// What it has consumed since it was made, or was given fuel.
#[unsafe(no_mangle)]
pub extern "C" fn bls_instance_fuel(
    instance: Option<&bls_instance>,
    fuel: Option<&mut MaybeUninit<bls_fuel>>,
) -> Option<Box<bls_error>> {
    answer(|| {
        let place = given(fuel, "the place for the result")?;
        let slot = &given(instance, "the instance")?.0;
        place.write(slot.with(|instance| Ok(instance.fuel().into()))?);
        Ok(())
    })
}

/// Limits the time of each call from now on, in milliseconds. For a guest that was made with a
/// limit on time, or after bls_runner_cancel: others cannot be stopped.
#[unsafe(no_mangle)]
pub extern "C" fn bls_instance_set_timeout(
    instance: Option<&bls_instance>,
    milliseconds: u64,
) -> Option<Box<bls_error>> {
    answer(|| {
        let time = Some(Duration::from_millis(milliseconds));
        given(instance, "the instance")?.0.with(|instance| Ok(instance.set_timeout(time)?))
    })
}

/// Copies so many bytes at this address of its memory (its export memory) to where there is
/// room for them.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bls_instance_read(
    instance: Option<&bls_instance>,
    address: u32,
    to: *mut u8,
    length: u32,
) -> Option<Box<bls_error>> {
    answer(|| {
        given(instance, "the instance")?.0.with(|instance| {
            let found = instance.read(address, length)?;
            // SAFETY: bls.h asks for that much room.
            unsafe { copy_to(found, to, "the place for the bytes") }
        })
    })
}

/// Copies so many bytes to this address of its memory.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bls_instance_write(
    instance: Option<&bls_instance>,
    address: u32,
    from: *const u8,
    length: u32,
) -> Option<Box<bls_error>> {
    answer(|| {
        // SAFETY: bls.h asks for that many bytes.
        let from = unsafe { bytes(from, length as usize, "the bytes") }?;
        given(instance, "the instance")?.0.with(|instance| Ok(instance.write(address, from)?))
    })
}

/// Takes what it wrote since it was last asked, where its standard output is kept
/// (bls_runner_stdout_bytes).
#[unsafe(no_mangle)]
pub extern "C" fn bls_instance_take_stdout(
    instance: Option<&bls_instance>,
    made: Option<&mut MaybeUninit<Option<Box<bls_bytes>>>>,
) -> Option<Box<bls_error>> {
    make(made, || {
        let slot = &given(instance, "the instance")?.0;
        slot.with(|instance| Ok(bls_bytes(instance.take_stdout())))
    })
}

/// The same of standard error.
#[unsafe(no_mangle)]
pub extern "C" fn bls_instance_take_stderr(
    instance: Option<&bls_instance>,
    made: Option<&mut MaybeUninit<Option<Box<bls_bytes>>>>,
) -> Option<Box<bls_error>> {
    make(made, || {
        let slot = &given(instance, "the instance")?.0;
        slot.with(|instance| Ok(bls_bytes(instance.take_stderr())))
    })
}

/// Ends it, says what it used, and uses the instance up.
#[unsafe(no_mangle)]
pub extern "C" fn bls_instance_end(
    instance: Option<&bls_instance>,
    made: Option<&mut MaybeUninit<Option<Box<bls_ended>>>>,
) -> Option<Box<bls_error>> {
    make(made, || Ok(given(instance, "the instance")?.0.take()?.end().into()))
}

/// Frees an instance. NULL is fine.
#[unsafe(no_mangle)]
pub extern "C" fn bls_instance_free(instance: Option<Box<bls_instance>>) {
    drop(instance);
}

/// Bytes that a guest wrote. Free them with bls_bytes_free.
#[derive(Debug)]
pub struct bls_bytes(Vec<u8>);

/// The bytes: as many as bls_bytes_length says.
#[unsafe(no_mangle)]
pub extern "C" fn bls_bytes_data(bytes: Option<&bls_bytes>) -> *const u8 {
    bytes.map_or(std::ptr::null(), |bytes| bytes.0.as_ptr())
}

/// How many there are.
#[unsafe(no_mangle)]
pub extern "C" fn bls_bytes_length(bytes: Option<&bls_bytes>) -> usize {
    bytes.map_or(0, |bytes| bytes.0.len())
}

/// Frees bytes. NULL is fine.
#[unsafe(no_mangle)]
pub extern "C" fn bls_bytes_free(bytes: Option<Box<bls_bytes>>) {
    drop(bytes);
}

/// Stops a guest from any thread; threads may share it. Free it with bls_cancel_free, before or
/// after the guest.
#[derive(Debug)]
pub struct bls_cancel(Cancel);

impl bls_cancel {
    pub(crate) fn new(cancel: Cancel) -> Self {
        Self(cancel)
    }
}

/// Stops the guest: within about a millisecond where it runs its own code or waits for a stream
/// or a time; behind the call where it is in another call of the host; at its next call where it
/// does not run. It cannot be called again.
#[unsafe(no_mangle)]
pub extern "C" fn bls_cancel_now(cancel: Option<&bls_cancel>) -> Option<Box<bls_error>> {
    answer(|| {
        given(cancel, "the cancel handle")?.0.cancel();
        Ok(())
    })
}

/// Frees what stops a guest. NULL is fine; the guest goes on.
#[unsafe(no_mangle)]
pub extern "C" fn bls_cancel_free(cancel: Option<Box<bls_cancel>>) {
    drop(cancel);
}
