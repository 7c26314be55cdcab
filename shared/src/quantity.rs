//! Sizes and times as people write them on a command line: `64MiB`, `500ms`.
//!
//! Guarantees: a number without a unit, a unit that is unknown, and anything
//! that overflows are errors with a sentence; nothing is rounded.

use std::time::Duration;

/// Reads a size in bytes: an integer followed by `B`, `KiB`, `MiB` or `GiB`
/// (also `K`, `M`, `G`, which mean the same powers of two).
///
/// # Errors
/// A sentence that says what a size looks like.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let (number, unit) = split(text);
    let factor: u64 = match unit {
        "B" => 1,
        "K" | "KiB" => 1 << 10,
        "M" | "MiB" => 1 << 20,
        "G" | "GiB" => 1 << 30,
        _ => 0,
    };
    number
        .parse::<u64>()
        .ok()
        .filter(|_| factor != 0)
        .and_then(|number| number.checked_mul(factor))
        .ok_or_else(|| format!("{text:?} is not a size; write 65536B, 64KiB, 512MiB or 1GiB"))
}

/// A size as [`parse_size`] reads it, to the byte.
#[must_use]
pub fn write_size(bytes: u64) -> String {
    const UNITS: [(u64, &str); 4] =
        [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"), (1, "B")];
    written(bytes, &UNITS)
}

/// A time in milliseconds as [`parse_time`] reads it, to the millisecond.
#[must_use]
pub fn write_time(milliseconds: u64) -> String {
    const UNITS: [(u64, &str); 4] = [(3_600_000, "h"), (60_000, "m"), (1000, "s"), (1, "ms")];
    written(milliseconds, &UNITS)
}

/// In the largest unit that it is a whole number of; the last one is 1.
fn written(number: u64, units: &[(u64, &str)]) -> String {
    let fits = |(size, _): &&(u64, &str)| number > 0 && number.is_multiple_of(*size);
    let (size, unit) = units.iter().find(fits).or(units.last()).copied().unwrap_or((1, ""));
    format!("{}{unit}", number / size)
}

/// Reads a time: a decimal number followed by `us`, `ms`, `s`, `m` or `h`.
///
/// # Errors
/// A sentence that says what a time looks like.
pub fn parse_time(text: &str) -> Result<Duration, String> {
    let (number, unit) = split(text);
    let nanoseconds: f64 = match unit {
        "us" => 1e3,
        "ms" => 1e6,
        "s" => 1e9,
        "m" => 60e9,
        "h" => 3600e9,
        _ => 0.0,
    };
    let plain = number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    number
        .parse::<f64>()
        .ok()
        .map(|number| number * nanoseconds)
        .filter(|time| plain && nanoseconds != 0.0 && *time >= 1.0 && *time < 1e18)
        .map(|time| Duration::from_nanos(time.round() as u64))
        .ok_or_else(|| format!("{text:?} is not a time; write 500ms, 1.5s, 2m or 1h"))
}

/// A size in words, exact where it is a whole number of a unit.
#[must_use]
pub fn show_size(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{:.1} KiB", bytes as f64 / 1024.0),
        _ => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
    }
}

/// The number and the unit after it.
fn split(text: &str) -> (&str, &str) {
    let end = text
        .find(|character: char| !character.is_ascii_digit() && character != '.')
        .unwrap_or(text.len());
    text.split_at(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!(parse_size("1GiB"), Ok(1 << 30));
        assert_eq!(parse_size("64K"), Ok(65536));
        assert_eq!(parse_size("7B"), Ok(7));
        for wrong in ["", "1", "GiB", "-1K", "1.5G", "1TB", "99999999999G", "1 K"] {
            assert!(parse_size(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        for (bytes, text) in [(0, "0B"), (7, "7B"), (1536, "1536B"), (256 << 20, "256MiB")] {
            assert_eq!(write_size(bytes), text);
            assert_eq!(parse_size(text), Ok(bytes));
        }
        for (time, text) in [(1, "1ms"), (1500, "1500ms"), (60_000, "1m"), (7_200_000, "2h")] {
            assert_eq!(write_time(time), text);
            assert_eq!(parse_time(text), Ok(Duration::from_millis(time)));
        }
    }

    #[test]
    fn times() {
        assert_eq!(parse_time("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_time("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(parse_time("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(parse_time("1h"), Ok(Duration::from_secs(3600)));
        for wrong in ["", "5", "s", "-1s", "1d", "infs", "1e3s", "0s", ".s", "1.2.3s"] {
            assert!(parse_time(wrong).is_err(), "{wrong:?}");
        }
    }
}
