//! Messages of protobuf, written and read by the numbers of their fields: as much of the format as
//! the few messages of [`super`] need. Groups and packed lists are not read.

/// A message that is written.
#[derive(Clone, Debug, Default)]
pub(super) struct Message(Vec<u8>);

impl Message {
    /// The bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// With a number.
    pub(super) fn number(mut self, field: u64, value: u64) -> Self {
        put(&mut self.0, field << 3);
        put(&mut self.0, value);
        self
    }

    /// With a text.
    pub(super) fn text(self, field: u64, value: &str) -> Self {
        self.put_bytes(field, value.as_bytes())
    }

    /// With a message.
    pub(super) fn message(self, field: u64, value: &Self) -> Self {
        self.put_bytes(field, &value.0)
    }

    /// With several texts.
    pub(super) fn texts(self, field: u64, values: &[&str]) -> Self {
        values.iter().fold(self, |message, value| message.text(field, value))
    }

    /// With pairs: a map, or messages of two texts.
    pub(super) fn pairs(self, field: u64, pairs: &[(&str, &str)]) -> Self {
        pairs.iter().fold(self, |message, (key, value)| {
            message.message(field, &Self::default().text(1, key).text(2, value))
        })
    }

    fn put_bytes(mut self, field: u64, bytes: &[u8]) -> Self {
        put(&mut self.0, field << 3 | 2);
        put(&mut self.0, bytes.len() as u64);
        self.0.extend_from_slice(bytes);
        self
    }
}

/// Appends a number, seven bits a byte.
fn put(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

/// A field of a message that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// A message that is read.
#[derive(Clone, Debug, Default)]
pub(super) struct Read<'a>(Vec<(u64, Field<'a>)>);

impl<'a> Read<'a> {
    /// Its fields; `None` where that is no message.
    pub(super) fn parse(mut bytes: &'a [u8]) -> Option<Self> {
        let mut fields = Vec::new();
        while !bytes.is_empty() {
            let tag = take(&mut bytes)?;
            let value = match tag & 7 {
                0 => Field::Number(take(&mut bytes)?),
                1 => Field::Bytes(split(&mut bytes, 8)?),
                2 => {
                    let length = take(&mut bytes)?;
                    Field::Bytes(split(&mut bytes, length)?)
                }
                5 => Field::Bytes(split(&mut bytes, 4)?),
                _ => return None,
            };
            fields.push((tag >> 3, value));
        }
        Some(Self(fields))
    }

    /// A number; 0 where it is not there.
    pub(super) fn number(&self, field: u64) -> u64 {
        let mut numbers = self.0.iter().rev().filter(|(known, _)| *known == field);
        let value = numbers.find_map(|(_, value)| match value {
            Field::Number(number) => Some(*number),
            Field::Bytes(_) => None,
        });
        value.unwrap_or_default()
    }

    /// A text; empty where it is not there.
    pub(super) fn text(&self, field: u64) -> String {
        String::from_utf8_lossy(self.all(field).last().unwrap_or_default()).into_owned()
    }

    /// A message; an empty one where it is not there.
    pub(super) fn message(&self, field: u64) -> Self {
        self.all(field).last().and_then(Self::parse).unwrap_or_default()
    }

    /// Each message of a list.
    pub(super) fn messages(&self, field: u64) -> Vec<Self> {
        self.all(field).filter_map(Self::parse).collect()
    }

    fn all(&self, field: u64) -> impl Iterator<Item = &'a [u8]> {
        self.0.iter().filter_map(move |(known, value)| match value {
            Field::Bytes(bytes) if *known == field => Some(*bytes),
            _ => None,
        })
    }
}

fn take(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn split<'a>(bytes: &mut &'a [u8], length: u64) -> Option<&'a [u8]> {
    let (first, rest) = bytes.split_at_checked(usize::try_from(length).ok()?)?;
    *bytes = rest;
    Some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read() {
        let inner = Message::default().text(1, "a").number(2, 300);
        let outer = Message::default()
            .message(3, &inner)
            .pairs(4, &[("k", "v"), ("l", "w")])
            .number(15, u64::MAX)
            .texts(200, &["one", "two"]);
        assert_eq!(inner.bytes(), b"\x0a\x01a\x10\xac\x02");
        let read = Read::parse(outer.bytes()).unwrap();
        let found = read.message(3);
        assert_eq!((found.text(1).as_str(), found.number(2)), ("a", 300));
        let pairs: Vec<String> = read.messages(4).iter().map(|pair| pair.text(2)).collect();
        assert_eq!(pairs, ["v", "w"]);
        assert_eq!((read.number(15), read.text(200).as_str()), (u64::MAX, "two"));
        assert_eq!((read.number(9), read.text(9).as_str()), (0, ""));
    }

    #[test]
    fn nonsense_is_no_message() {
        for bytes in [&b"\x0a\x05a"[..], b"\x0a", b"\x08\xff", b"\x0b", &[0xff; 20]] {
            assert!(Read::parse(bytes).is_none(), "{bytes:?}");
        }
    }
}
