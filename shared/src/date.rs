//! Days and seconds as people write them, in UTC: `2027-01-31`, `2027-01-31T12:00:00Z`.
//!
//! The proleptic Gregorian calendar from 1970 to 9999, without leap seconds, as
//! RFC 3339 writes it with `Z`. One spelling for each second. Reads no clock.

use std::fmt;

/// Seconds in a day.
pub const DAY: u64 = 86_400;
/// The years that are read and written.
const YEARS: std::ops::RangeInclusive<u64> = 1970..=9999;

/// Reads a day (its first second) or a second since 1970.
#[must_use]
pub fn parse(text: &str) -> Option<u64> {
    let (day, time) = match text.split_once('T') {
        Some((day, time)) => (day, time.strip_suffix('Z')?),
        None => (text, "00:00:00"),
    };
    let [year, month, date] = numbers(day, '-', [4, 2, 2])?;
    let [hour, minute, second] = numbers(time, ':', [2, 2, 2])?;
    if !YEARS.contains(&year) || !(1..=12).contains(&month) {
        return None;
    }
    if date == 0 || date > days_in(year, month) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let years: u64 = (1970..year).map(days_of).sum();
    let months: u64 = (1..month).map(|month| days_in(year, month)).sum();
    Some((years + months + date - 1) * DAY + hour * 3600 + minute * 60 + second)
}

/// Three numbers of exactly so many digits.
fn numbers(text: &str, separator: char, digits: [usize; 3]) -> Option<[u64; 3]> {
    let mut found = [0; 3];
    let mut pieces = text.split(separator);
    for (number, length) in found.iter_mut().zip(digits) {
        let piece = pieces.next()?;
        if piece.len() != length || !piece.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        *number = piece.parse().ok()?;
    }
    pieces.next().is_none().then_some(found)
}

/// Seconds since 1970, to be written as a date. Beyond the year 9999, as the number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Date(pub u64);

impl fmt::Display for Date {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut days, time) = (self.0 / DAY, self.0 % DAY);
        let mut years = YEARS;
        let Some(year) = years.find(|year| take(&mut days, days_of(*year))) else {
            return write!(formatter, "second {} since 1970", self.0);
        };
        let month = (1..=12).find(|month| take(&mut days, days_in(year, *month))).unwrap_or(12);
        let (hour, minute, second) = (time / 3600, time / 60 % 60, time % 60);
        write!(formatter, "{year:04}-{month:02}-{:02}", days + 1)?;
        write!(formatter, "T{hour:02}:{minute:02}:{second:02}Z")
    }
}

/// Whether `days` lie within the next `length`; takes these off where they do not.
fn take(days: &mut u64, length: u64) -> bool {
    let within = *days < length;
    if !within {
        *days -= length;
    }
    within
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400)
}

fn days_of(year: u64) -> u64 {
    if is_leap(year) { 366 } else { 365 }
}

fn days_in(year: u64, month: u64) -> u64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `date --utc --date=@N` prints.
    #[test]
    fn dates_are_read_as_they_are_written() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (5_097_600, "1970-03-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_700_000_000, "2023-11-14T22:13:20Z"),
            (1_767_225_600, "2026-01-01T00:00:00Z"),
            (1_835_481_599, "2028-02-29T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (253_402_300_799, "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(Date(seconds).to_string(), text);
            assert_eq!(parse(text), Some(seconds), "{text}");
        }
        assert_eq!(parse("2026-01-01"), Some(1_767_225_600));
        assert_eq!(Date(u64::MAX).to_string(), format!("second {} since 1970", u64::MAX));
    }

    #[test]
    fn what_is_no_date() {
        for text in [
            "",
            "0",
            "2026",
            "2026-1-1",
            "2026-02-29",
            "2100-02-29",
            "2026-13-01",
            "2026-00-10",
            "2026-01-00",
            "1969-12-31",
            "2026-01-01T",
            "2026-01-01T00:00:00",
            "2026-01-01T00:00Z",
            "2026-01-01T00:00:00+01:00",
            "2026-01-01T00:00:00.5Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:00:60Z",
            "2026-01-01-01",
            "+026-01-01",
            " 2026-01-01",
        ] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }
}
