//! Options of a `tcp-socket`. They are checked and remembered, and the host is told of none: the
//! guest reads what it has set.

use super::tcp::tcp;
use super::{Code, answer, answer_byte, answer_long, answer_word};
use crate::guest::Caller;

/// What a socket has, and how it begins.
pub(super) struct Options {
    keep_alive: bool,
    /// Nanoseconds.
    idle_time: u64,
    interval: u64,
    count: u32,
    hop_limit: u8,
    receive_buffer: u64,
    send_buffer: u64,
}

/// Linux counts these times in whole seconds, to this many, and probes to that many.
const SECOND: u64 = 1_000_000_000;
const SECONDS_MAX: u64 = 32767;
const PROBES_MAX: u32 = 127;

impl Default for Options {
    fn default() -> Self {
        Self {
            keep_alive: false,
            idle_time: 7200 * SECOND,
            interval: 75 * SECOND,
            count: 9,
            hop_limit: 64,
            receive_buffer: 131_072,
            send_buffer: 65536,
        }
    }
}

/// A time, as it is remembered.
fn seconds(time: u64) -> u64 {
    time.div_ceil(SECOND).min(SECONDS_MAX) * SECOND
}

/// The value, where it is not 0.
fn positive<T: Default + PartialEq>(value: T) -> Result<T, Code> {
    if value == T::default() { Err(Code::InvalidArgument) } else { Ok(value) }
}

macro_rules! options {
    ($($name:literal, $field:ident: $ty:ident, $raw:ident, $answer:ident,
        $get:ident, $set:ident, $check:expr;)*) => {
        $(
            #[unsafe(export_name = concat!("wasi:sockets/tcp#[method]tcp-socket.", $name))]
            extern "C" fn $get(caller: Caller, this: u32, to: u32) {
                $answer(caller, to, Ok(tcp(caller, this).options.$field.into()));
            }

            #[unsafe(export_name = concat!("wasi:sockets/tcp#[method]tcp-socket.set-", $name))]
            extern "C" fn $set(caller: Caller, this: u32, value: $raw, to: u32) {
                let check: fn($raw) -> Result<$ty, Code> = $check;
                let checked = check(value);
                answer(caller, to, checked.map(|value| tcp(caller, this).options.$field = value));
            }
        )*
    };
}

options! {
    "keep-alive-enabled", keep_alive: bool, u32, answer_byte, keep_alive, set_keep_alive,
        |value| Ok(value != 0);
    "keep-alive-idle-time", idle_time: u64, u64, answer_long, idle_time, set_idle_time,
        |value| positive(value).map(seconds);
    "keep-alive-interval", interval: u64, u64, answer_long, interval, set_interval,
        |value| positive(value).map(seconds);
    "keep-alive-count", count: u32, u32, answer_word, count, set_count,
        |value| positive(value).map(|value| value.min(PROBES_MAX));
    "hop-limit", hop_limit: u8, u32, answer_byte, hop_limit, set_hop_limit,
        |value| positive(value as u8);
    "receive-buffer-size", receive_buffer: u64, u64, answer_long, receive_buffer,
        set_receive_buffer, positive;
    "send-buffer-size", send_buffer: u64, u64, answer_long, send_buffer, set_send_buffer,
        positive;
}
