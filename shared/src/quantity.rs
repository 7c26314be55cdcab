//! Numbers, sizes and times as people write them: `1M`, `64MiB`, `1h30m`.
//!
//! Guarantees: a unit that is unknown, a value that is no whole number of what is
//! counted, and anything that overflows are errors with a sentence; nothing is rounded.
//! Digits may be grouped: `1_000_000`.

use std::time::Duration;

/// Reads how many: `1000000`, `1_000_000`, `1e6` or `1M`. The letters `k`, `M`, `G` and
/// `T` are powers of a thousand, in either case.
///
/// # Errors
/// A sentence that says what a number looks like.
pub fn parse_count(text: &str) -> Result<u64, String> {
    let (number, unit) = split(text);
    let factor = match unit {
        "" => Some(1),
        "k" | "K" => Some(1000),
        "m" | "M" => Some(1_000_000),
        "g" | "G" => Some(1_000_000_000),
        "t" | "T" => Some(1_000_000_000_000),
        _ => power_of_ten(unit),
    };
    factor
        .and_then(|factor| exact(number, factor))
        .ok_or_else(|| format!("{text:?} is not a number; write 1000000, 1_000_000, 1e6 or 1M"))
}

/// Reads a size in bytes: `65536`, `64k`, `64KB`, `64KiB`, `1.5G`. The letters `k`, `M`,
/// `G` and `T` are powers of 1024, in either case and whatever follows them: a limit on
/// memory is never meant to the decimal byte.
///
/// # Errors
/// A sentence that says what a size looks like.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let (number, unit) = split(text);
    let factor = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => Some(1),
        "k" | "kb" | "kib" => Some(1 << 10),
        "m" | "mb" | "mib" => Some(1 << 20),
        "g" | "gb" | "gib" => Some(1 << 30),
        "t" | "tb" | "tib" => Some(1 << 40),
        _ => None,
    };
    factor
        .and_then(|factor| exact(number, factor))
        .ok_or_else(|| format!("{text:?} is not a size; write 65536, 64KiB, 512MiB or 1GiB"))
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

/// Reads a time: numbers followed by `h`, `m`, `s`, `ms` or `us`, from the largest to the
/// smallest: `1h30m`, `1.5s`. A number alone is refused: nobody knows of what.
///
/// # Errors
/// A sentence that says what a time looks like.
pub fn parse_time(text: &str) -> Result<Duration, String> {
    nanoseconds(text)
        .filter(|time| (1..1_000_000_000_000_000_000).contains(time))
        .map(Duration::from_nanos)
        .ok_or_else(|| format!("{text:?} is not a time; write 500ms, 1.5s, 2m or 1h30m"))
}

/// The sum of the times in a text, each shorter in its unit than the one before.
fn nanoseconds(mut text: &str) -> Option<u64> {
    let (mut sum, mut unit_before) = (0_u64, u64::MAX);
    while !text.is_empty() {
        let (number, rest) = split(text);
        let end = rest.find(|letter: char| !letter.is_ascii_alphabetic()).unwrap_or(rest.len());
        let (unit, rest) = rest.split_at(end);
        let unit: u64 = match unit {
            "us" => 1000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" | "min" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return None,
        };
        if unit >= unit_before {
            return None;
        }
        sum = sum.checked_add(exact(number, unit)?)?;
        (text, unit_before) = (rest, unit);
    }
    Some(sum)
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

/// Two different sizes in words that differ too: to the byte, where they would look the same.
#[must_use]
pub fn show_sizes(one: u64, other: u64) -> (String, String) {
    let (first, second) = (show_size(one), show_size(other));
    if one == other || first != second {
        return (first, second);
    }
    (format!("{one} bytes"), format!("{other} bytes"))
}

/// The number and the unit after it.
fn split(text: &str) -> (&str, &str) {
    let is_number = |letter: char| letter.is_ascii_digit() || letter == '.' || letter == '_';
    let end = text.find(|letter| !is_number(letter)).unwrap_or(text.len());
    text.split_at(end)
}

/// What `e6` multiplies with.
fn power_of_ten(unit: &str) -> Option<u64> {
    let exponent = unit.strip_prefix(['e', 'E'])?;
    let exponent = exponent.strip_prefix('+').unwrap_or(exponent);
    let digits = exponent.bytes().all(|byte| byte.is_ascii_digit());
    10_u64.checked_pow(exponent.parse().ok().filter(|_| digits)?)
}

/// A decimal number times `factor`, where that is a whole number.
fn exact(number: &str, factor: u64) -> Option<u64> {
    /// More are no number that fits.
    const DIGITS_MAX: usize = 36;
    let (whole, fraction) = match number.split_once('.') {
        Some((_, "")) => return None,
        Some(parts) => parts,
        None => (number, ""),
    };
    let grouped = |digits: &str| {
        digits.split('_').all(|group| group.bytes().all(|byte| byte.is_ascii_digit()))
            && !digits.starts_with('_')
            && !digits.ends_with('_')
            && !digits.contains("__")
    };
    if !grouped(whole) || !grouped(fraction) {
        return None;
    }
    let digits = [whole, fraction].concat().replace('_', "");
    if digits.len() > DIGITS_MAX {
        return None;
    }
    let decimals = fraction.bytes().filter(u8::is_ascii_digit).count();
    let divisor = 10_u128.checked_pow(u32::try_from(decimals).ok()?)?;
    let product = digits.parse::<u128>().ok()?.checked_mul(u128::from(factor))?;
    if product % divisor != 0 {
        return None;
    }
    u64::try_from(product / divisor).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts() {
        for (text, count) in [
            ("0", 0),
            ("1000000", 1_000_000),
            ("1_000_000", 1_000_000),
            ("1M", 1_000_000),
            ("1m", 1_000_000),
            ("1.5k", 1500),
            ("1e9", 1_000_000_000),
            ("2.5e+3", 2500),
            ("3G", 3_000_000_000),
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(parse_count(text), Ok(count), "{text}");
        }
        for wrong in [
            "",
            "k",
            "-1",
            "+1",
            "1.5",
            "1.",
            "_1",
            "1_",
            "1__0",
            "1e",
            "1e-3",
            "1e99",
            "1e+",
            "1e++3",
            "1Mi",
            "1 M",
            "0x10",
            "much",
            "18446744073709551616",
            "99999999T",
            "1.2.3k",
        ] {
            let sentence = parse_count(wrong).unwrap_err();
            assert!(sentence.contains("1_000_000"), "{wrong:?}: {sentence}");
        }
        assert!(parse_count(&"9".repeat(100_000)).is_err());
        assert!(parse_count(&format!("0.{}1", "0".repeat(100_000))).is_err());
    }

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("0", 0),
            ("4294967296", 1 << 32),
            ("7B", 7),
            ("64k", 65536),
            ("64K", 65536),
            ("64KB", 65536),
            ("64kb", 65536),
            ("64KiB", 65536),
            ("64MB", 64 << 20),
            ("64m", 64 << 20),
            ("1GiB", 1 << 30),
            ("1.5G", 3 << 29),
            ("1TB", 1 << 40),
            ("1_024", 1024),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for wrong in
            ["", "GiB", "-1K", "1.1B", "0.1K", "1PB", "99999999999G", "1 K", "1e3", "1KiBs", "_K"]
        {
            let sentence = parse_size(wrong).unwrap_err();
            assert!(sentence.contains("1GiB"), "{wrong:?}: {sentence}");
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
    fn different_sizes_look_different() {
        let pair = |one: &str, other: &str| (one.to_owned(), other.to_owned());
        assert_eq!(show_sizes(65536, 1 << 17), pair("64.0 KiB", "128.0 KiB"));
        assert_eq!(show_sizes(131_080, 131_072), pair("131080 bytes", "131072 bytes"));
        assert_eq!(show_sizes(7, 7), pair("7 B", "7 B"));
    }

    #[test]
    fn times() {
        for (text, time) in [
            ("500ms", Duration::from_millis(500)),
            ("1.5s", Duration::from_millis(1500)),
            ("2m", Duration::from_secs(120)),
            ("2min", Duration::from_secs(120)),
            ("1h", Duration::from_secs(3600)),
            ("1h30m", Duration::from_secs(5400)),
            ("1m30s", Duration::from_secs(90)),
            ("1s500ms", Duration::from_millis(1500)),
            ("0.5h1us", Duration::from_nanos(1_800_000_001_000)),
            ("10_000us", Duration::from_millis(10)),
        ] {
            assert_eq!(parse_time(text), Ok(time), "{text}");
        }
        for wrong in [
            "",
            "5",
            "s",
            "-1s",
            "1d",
            "infs",
            "1e3s",
            "0s",
            ".s",
            "1.2.3s",
            "30m1h",
            "1s1s",
            "1h30",
            "0.0001us",
            "1 s",
            "1S",
            "99999999999999h",
        ] {
            let sentence = parse_time(wrong).unwrap_err();
            assert!(sentence.contains("500ms"), "{wrong:?}: {sentence}");
        }
    }
}
