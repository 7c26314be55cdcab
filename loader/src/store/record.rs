//! What a store says about one name: what is installed, and the highest sequence seen.
//!
//! ```text
//! bls-record 1
//! name hello
//! installed 3e3aa7fb…       the identity, or - when it was removed
//! highest 5                 0 when no release had a sequence
//! reset -                   the reset that was applied last
//! sha256 9c76eecc…          of the bytes above
//! ```
//!
//! Both facts are in one file, which is replaced as a whole: what runs and what may
//! still run change in one step. Guarantees that a text is read only if it would be
//! written byte for byte, under its own name: a damaged record never counts as a
//! forgotten one.

use crate::freshness::Seen;
use bls_artifact::digest::Sha256;

/// The first line of a record of this form.
const FORM: &str = "bls-record 1\n";

/// The record of one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The name.
    pub name: String,
    /// The identity of what is installed.
    pub installed: Option<Sha256>,
    /// What is remembered of its releases.
    pub seen: Seen,
}

/// Why a text is no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordError {
    /// Of a form that this program does not know.
    Future,
    /// Truncated or changed.
    Damaged,
}

impl Record {
    /// Of a name that was never seen.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), installed: None, seen: Seen::default() }
    }

    /// The one spelling of it.
    #[must_use]
    pub fn to_text(&self) -> String {
        let or_none = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
        let mut text = format!(
            "{FORM}name {}\ninstalled {}\nhighest {}\nreset {}\n",
            self.name,
            or_none(self.installed.map(|identity| identity.to_string())),
            self.seen.highest,
            or_none(self.seen.reset.map(|reset| reset.to_string())),
        );
        text += &format!("sha256 {}\n", Sha256::of(text.as_bytes()));
        text
    }

    /// Reads the record of `name`.
    ///
    /// # Errors
    /// [`RecordError`] for whatever [`Record::to_text`] would not write.
    pub fn parse(text: &[u8], name: &str) -> Result<Self, RecordError> {
        let text = std::str::from_utf8(text).map_err(|_| RecordError::Damaged)?;
        let Some(fields) = text.strip_prefix(FORM) else {
            let future = text.starts_with("bls-record ") && text.ends_with('\n');
            return Err(if future { RecordError::Future } else { RecordError::Damaged });
        };
        let record = Self::from_fields(fields, name).ok_or(RecordError::Damaged)?;
        if record.to_text() == text { Ok(record) } else { Err(RecordError::Damaged) }
    }

    /// The fields alone; whether they are spelled well is seen by writing them again.
    fn from_fields(fields: &str, name: &str) -> Option<Self> {
        let mut lines = fields.lines();
        let mut field = |key: &str| lines.next()?.strip_prefix(key)?.strip_prefix(' ');
        let same = field("name")? == name;
        let installed = match field("installed")? {
            "-" => None,
            hex => Some(Sha256::from_hex(hex)?),
        };
        let highest = field("highest")?.parse().ok()?;
        let reset = match field("reset")? {
            "-" => None,
            number => Some(number.parse().ok()?),
        };
        same.then(|| Self { name: name.to_owned(), installed, seen: Seen { highest, reset } })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        let seen = Seen { highest: 5, reset: Some(2) };
        Record { name: "app".into(), installed: Some(Sha256::of(b"it")), seen }
    }

    #[test]
    fn what_is_written_is_read() {
        for record in [record(), Record::new("app")] {
            assert_eq!(Record::parse(record.to_text().as_bytes(), "app"), Ok(record));
        }
    }

    #[test]
    fn no_bit_and_no_truncation_passes() {
        let text = record().to_text();
        for length in 0..text.len() {
            assert!(Record::parse(&text.as_bytes()[..length], "app").is_err(), "{length}");
        }
        for bit in 0..text.len() * 8 {
            let mut bytes = text.clone().into_bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(Record::parse(&bytes, "app").is_err(), "bit {bit}");
        }
        assert!(Record::parse(&[text.as_bytes(), b"\n"].concat(), "app").is_err());
        assert_eq!(Record::parse(text.as_bytes(), "other"), Err(RecordError::Damaged));
        assert_eq!(Record::parse(b"bls-record 2\nx\n", "app"), Err(RecordError::Future));
    }
}
