//! Points in time on the command line and in what is printed: RFC 3339 in UTC.
//!
//! Reads a day, a day with a time, or seconds since 1970; shows a day with a time.
//! Guarantees that each point has one meaning: no time zones but UTC, no leap seconds,
//! no fractions. Does not ask a clock.

/// Days before 1970-01-01 in the proleptic Gregorian calendar, from 0000-03-01.
const DAYS_TO_1970: u64 = 719_468;
const SECONDS_OF_A_DAY: u64 = 86_400;
/// The last second whose year has four digits.
const SECONDS_MAX: u64 = 253_402_300_799;

/// Seconds since 1970 of `2027-01-31`, `2027-01-31T12:00:00Z` or `1801396800`.
///
/// # Errors
/// A sentence that says what a point in time looks like.
pub fn parse(text: &str) -> Result<u64, String> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let seconds = if plain {
        text.parse().ok()
    } else {
        match text.split_once('T') {
            None => day(text),
            Some((date, rest)) => {
                let time = rest.strip_suffix('Z').and_then(time_of_day);
                day(date).zip(time).map(|(day, time)| day + time)
            }
        }
    };
    seconds.ok_or_else(|| {
        format!(
            "{text:?} is no time in UTC; write 2027-01-31, 2027-01-31T12:00:00Z, or seconds since 1970"
        )
    })
}

/// `2027-01-31T12:00:00Z`, for any number of seconds whose year has four digits; else
/// the number.
#[must_use]
pub fn show(seconds: u64) -> String {
    if seconds > SECONDS_MAX {
        return format!("{seconds} seconds after 1970");
    }
    let (days, rest) = (seconds / SECONDS_OF_A_DAY, seconds % SECONDS_OF_A_DAY);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Seconds since 1970 at the beginning of a day, from 1970 to 9999.
fn day(text: &str) -> Option<u64> {
    let [year, month, day] = fields(text, '-', [4, 2, 2])?;
    let leap = year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400);
    let days = match month {
        2 => 28 + u64::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    let exists = year >= 1970 && (1..=12).contains(&month) && (1..=days).contains(&day);
    exists.then(|| days_since_1970(year, month, day) * SECONDS_OF_A_DAY)
}

fn time_of_day(text: &str) -> Option<u64> {
    let [hour, minute, second] = fields(text, ':', [2, 2, 2])?;
    (hour < 24 && minute < 60 && second < 60).then_some(hour * 3600 + minute * 60 + second)
}

/// Three numbers of exactly these widths.
fn fields(text: &str, separator: char, widths: [usize; 3]) -> Option<[u64; 3]> {
    let mut words = text.split(separator);
    let mut numbers = [0; 3];
    for (number, width) in numbers.iter_mut().zip(widths) {
        let word = words.next()?;
        let digits = word.len() == width && word.bytes().all(|byte| byte.is_ascii_digit());
        *number = word.parse().ok().filter(|_| digits)?;
    }
    words.next().is_none().then_some(numbers)
}

/// Years are counted from March here, so that the leap day is a year's last.
fn days_since_1970(year: u64, month: u64, day: u64) -> u64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days_of_years = year * 365 + year / 4 - year / 100 + year / 400;
    // From March on, months have 31, 30, 31, 30, 31 days, twice, and then the rest.
    days_of_years + (month * 153 + 2) / 5 + day - 1 - DAYS_TO_1970
}

/// The day with this number since 1970.
fn civil(days: u64) -> (u64, u64, u64) {
    // Near enough below, and never above.
    let mut year = 1970 + days / 366;
    while days_since_1970(year + 1, 1, 1) <= days {
        year += 1;
    }
    let month = (1..=12).rfind(|month| days_since_1970(year, *month, 1) <= days).unwrap_or(1);
    (year, month, days - days_since_1970(year, month, 1) + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_in_time_are_read_and_shown() {
        // As GNU date prints them: date -u -d 2027-01-31 +%s.
        for (text, seconds) in [
            ("1970-01-01", 0),
            ("1970-03-01", 5_097_600),
            ("2000-02-29", 951_782_400),
            ("2027-01-31", 1_801_353_600),
            ("2027-01-31T12:00:01Z", 1_801_396_801),
            ("2100-03-01", 4_107_542_400),
            ("9999-12-31T23:59:59Z", 253_402_300_799),
            ("1700000000", 1_700_000_000),
        ] {
            assert_eq!(parse(text), Ok(seconds), "{text}");
            let shown = show(seconds);
            assert_eq!(parse(&shown), Ok(seconds), "{shown}");
            assert!(shown.starts_with(text.trim_end_matches('Z')) || text.len() == 10);
        }
        assert_eq!(show(1_700_000_000), "2023-11-14T22:13:20Z");
        assert_eq!(show(1 << 50), "1125899906842624 seconds after 1970");
    }

    #[test]
    fn what_is_no_point_in_time_is_refused() {
        for wrong in [
            "",
            "soon",
            "2027",
            "-1",
            "2027-1-31",
            "2027-02-29",
            "2100-02-29",
            "2027-13-01",
            "2027-00-01",
            "2027-01-00",
            "1969-12-31",
            "2027-01-31T12:00Z",
            "2027-01-31T12:00:00",
            "2027-01-31T12:00:00+01:00",
            "2027-01-31T24:00:00Z",
            "2027-01-31T12:00:60Z",
            "2027-01-31T12:00:00.5Z",
            "2027-01-31-01",
            "+027-01-31",
        ] {
            // A number of seconds is a point, even where a year was meant.
            assert_eq!(parse(wrong).is_ok(), wrong == "2027", "{wrong:?}");
        }
    }
}
