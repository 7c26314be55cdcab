//! Versions of programs, and ranges of them that are refused.
//!
//! A version is three numbers: `48.0.8`. A range is one or two bounds with a comma
//! between them: `<0.2.0`, `>=48.0.0, <48.0.9`, `=0.1.0`. Guarantees that a range that
//! was read holds at least one version: a slip of the pen must not become a range that
//! refuses nothing. Knows nothing of pre-releases: such a version is none.

use std::fmt;

/// The version of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version([u64; 3]);

impl Version {
    /// Reads `MAJOR.MINOR.PATCH`: decimal, without needless zeros.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut numbers = [0; 3];
        let mut pieces = text.split('.');
        for number in &mut numbers {
            let piece = pieces.next()?;
            let needless = piece.len() > 1 && piece.starts_with('0');
            // `parse` would take a sign.
            if needless || !piece.bytes().all(|byte| byte.is_ascii_digit()) {
                return None;
            }
            *number = piece.parse().ok()?;
        }
        pieces.next().is_none().then_some(Self(numbers))
    }

    /// The one behind this one; there is nothing between two patches.
    fn next(self) -> Self {
        let Self([major, minor, patch]) = self;
        Self([major, minor, patch.saturating_add(1)])
    }
}

impl fmt::Display for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self([major, minor, patch]) = self;
        write!(formatter, "{major}.{minor}.{patch}")
    }
}

/// Versions from one to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionRange {
    /// As it is written in one spelling.
    text: String,
    /// The first version in it.
    from: Option<Version>,
    /// The first version behind it.
    to: Option<Version>,
}

impl VersionRange {
    /// Reads a range; `None` for one that is malformed, or that no version is in.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut range = Self { text: String::new(), from: None, to: None };
        for bound in text.split(',').map(str::trim) {
            let digit = bound.find(|letter: char| letter.is_ascii_digit())?;
            let (operator, version) = bound.split_at(digit);
            let version = Version::parse(version)?;
            let (from, to) = match operator.trim_end() {
                ">=" => (Some(version), None),
                ">" => (Some(version.next()), None),
                "<" => (None, Some(version)),
                "<=" => (None, Some(version.next())),
                "=" => (Some(version), Some(version.next())),
                _ => return None,
            };
            // Each side is bounded once.
            if from.is_some() && range.from.is_some() || to.is_some() && range.to.is_some() {
                return None;
            }
            range.from = range.from.or(from);
            range.to = range.to.or(to);
            if !range.text.is_empty() {
                range.text += ", ";
            }
            range.text += &format!("{}{version}", operator.trim_end());
        }
        let first = range.from.unwrap_or(Version([0; 3]));
        range.to.is_none_or(|to| first < to).then_some(range)
    }

    /// Whether a version is in it.
    #[must_use]
    pub fn holds(&self, version: Version) -> bool {
        self.from.is_none_or(|from| from <= version) && self.to.is_none_or(|to| version < to)
    }
}

impl fmt::Display for VersionRange {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_hold_what_they_say() {
        let holds = |range: &str, version: &str| {
            VersionRange::parse(range).unwrap().holds(Version::parse(version).unwrap())
        };
        for (range, within, outside) in [
            ("<0.2.0", &["0.0.0", "0.1.99"][..], &["0.2.0", "1.0.0"][..]),
            ("<=0.2.0", &["0.2.0"], &["0.2.1", "0.10.0"]),
            (">=48.0.0, <48.0.9", &["48.0.0", "48.0.8"], &["47.9.9", "48.0.9", "48.0.10"]),
            (">48.0.0,<=48.0.9", &["48.0.1", "48.0.9"], &["48.0.0", "48.0.10"]),
            ("=1.2.3", &["1.2.3"], &["1.2.2", "1.2.4"]),
            (">=2.0.0", &["2.0.0", "10.0.0"], &["1.99.99"]),
        ] {
            within.iter().for_each(|version| assert!(holds(range, version), "{range} {version}"));
            outside.iter().for_each(|version| assert!(!holds(range, version), "{range} {version}"));
        }
        let spelled = VersionRange::parse(" >= 1.0.0 ,<2.0.0 ").unwrap();
        assert_eq!(spelled.to_string(), ">=1.0.0, <2.0.0");
        assert_eq!(VersionRange::parse(&spelled.to_string()), Some(spelled));
    }

    #[test]
    fn what_is_no_version_and_no_range() {
        let long = format!("1.0.{}0", u64::MAX);
        for text in ["", "1", "1.2", "1.2.3.4", "01.2.3", "1.2.3-rc1", "+1.2.3", "1..3", &long] {
            assert_eq!(Version::parse(text), None, "{text:?}");
        }
        for text in [
            "",
            ",",
            "1.2.3",
            "*",
            "^1.2.3",
            "==1.2.3",
            "<1.2.3,",
            "<1.2",
            "<0.0.0",
            "<1.0.0, <2.0.0",
            ">=2.0.0, <2.0.0",
            ">=3.0.0, <2.0.0",
            ">1.0.0, <1.0.1",
            "=1.0.0, <2.0.0",
            "<1.0.0 || >2.0.0",
        ] {
            assert_eq!(VersionRange::parse(text), None, "{text:?}");
        }
    }
}
