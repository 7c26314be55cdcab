//! `wasi:clocks` and `wasi:random`.

use crate::Only;
use crate::guest::{Caller, Record};
use crate::poll::Pollable;
use crate::preview1::{self, MONOTONIC, REALTIME};
use crate::streams::PIECE;

pub(crate) const SECOND: u64 = 1_000_000_000;

fn give_time(caller: Caller, to: u32, time: u64) {
    let record = Record::<16>::new().u64(0, time / SECOND).u32(8, (time % SECOND) as u32);
    caller.record(to, 8, &record);
}

#[unsafe(export_name = "wasi:clocks/wall-clock#now")]
extern "C" fn wall_now(caller: Caller, to: u32) {
    give_time(caller, to, preview1::time(REALTIME));
}

#[unsafe(export_name = "wasi:clocks/wall-clock#resolution")]
extern "C" fn wall_resolution(caller: Caller, to: u32) {
    give_time(caller, to, preview1::resolution(REALTIME));
}

#[unsafe(export_name = "wasi:clocks/monotonic-clock#now")]
extern "C" fn now(_: Caller) -> u64 {
    preview1::time(MONOTONIC)
}

#[unsafe(export_name = "wasi:clocks/monotonic-clock#resolution")]
extern "C" fn resolution(_: Caller) -> u64 {
    preview1::resolution(MONOTONIC)
}

#[unsafe(export_name = "wasi:clocks/monotonic-clock#subscribe-instant")]
extern "C" fn subscribe_instant(caller: Caller, time: u64) -> u32 {
    Pollable::until(caller, time)
}

#[unsafe(export_name = "wasi:clocks/monotonic-clock#subscribe-duration")]
extern "C" fn subscribe_duration(caller: Caller, duration: u64) -> u32 {
    Pollable::until(caller, preview1::time(MONOTONIC).saturating_add(duration))
}

fn give_random(caller: Caller, length: u64, to: u32) {
    let Ok(length) = usize::try_from(length) else { crate::trap() };
    let place = caller.room(1, length);
    let mut bytes = alloc::vec![0; length.min(PIECE)];
    let mut done = 0;
    while done < length {
        let piece = bytes.len().min(length - done);
        if let Some(piece) = bytes.get_mut(..piece) {
            preview1::random(piece);
            caller.put(place + done as u32, piece);
        }
        done += piece;
    }
    caller.record(to, 4, &Record::<8>::new().list(0, (place, length as u32)));
}

fn random_number() -> u64 {
    let mut bytes = [0; 8];
    preview1::random(&mut bytes);
    u64::from_le_bytes(bytes)
}

#[unsafe(export_name = "wasi:random/random#get-random-bytes")]
extern "C" fn random_bytes(caller: Caller, length: u64, to: u32) {
    give_random(caller, length, to);
}

#[unsafe(export_name = "wasi:random/random#get-random-u64")]
extern "C" fn random_u64(_: Caller) -> u64 {
    random_number()
}

#[unsafe(export_name = "wasi:random/insecure#get-insecure-random-bytes")]
extern "C" fn insecure_bytes(caller: Caller, length: u64, to: u32) {
    give_random(caller, length, to);
}

#[unsafe(export_name = "wasi:random/insecure#get-insecure-random-u64")]
extern "C" fn insecure_u64(_: Caller) -> u64 {
    random_number()
}

/// The seed of the program, once it was asked for.
static SEED: Only<Option<(u64, u64)>> = Only::new(None);

#[unsafe(export_name = "wasi:random/insecure-seed#insecure-seed")]
extern "C" fn insecure_seed(caller: Caller, to: u32) {
    let seed = *SEED.get().get_or_insert_with(|| (random_number(), random_number()));
    let record = Record::<16>::new().u64(0, seed.0).u64(8, seed.1);
    caller.record(to, 8, &record);
}
