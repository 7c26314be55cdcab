//! What front and workers say to each other, over a stream socket: a request, then its answer.
//!
//! ```text
//! request   length:u32  route:u16  count:u32  (length:u32 name, length:u32 value)*  body
//! answer    length:u32  last:u8  how:u8  code:u32  fuel:u64  fuel-is:u8  memory:u64  microseconds:u64
//!           length:u32 reason  length:u32 stderr  stdout
//! ```
//!
//! Numbers are little-endian; a first length counts what is behind it. Guarantees that whatever
//! comes is an answer or `None`, without more memory than what came: the front reads a worker's
//! words as a stranger's.

use bytes::Bytes;

/// Bytes of the length at the beginning.
pub(crate) const LENGTH_BYTES: usize = 4;
/// Most bytes of a guest's standard error that an answer holds: they are for the log.
pub(crate) const STDERR_BYTES_MAX: usize = 16 << 10;
/// Most bytes of the words that say how a guest ended.
pub(crate) const REASON_BYTES_MAX: usize = 1024;
/// Most bytes of an answer beside the output.
pub(crate) const BESIDE_BYTES_MAX: usize = 128 + STDERR_BYTES_MAX + REASON_BYTES_MAX;

/// How a guest ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// It returned, or called `proc_exit`.
    Exited,
    Trapped,
    OutOfFuel,
    /// Its time was over.
    Time,
    /// It met another limit.
    Limit,
    /// It was not run: the loader refused or failed.
    Refused,
}

impl How {
    const ALL: [Self; 6] =
        [Self::Exited, Self::Trapped, Self::OutOfFuel, Self::Time, Self::Limit, Self::Refused];

    /// Its word in the log and in metrics.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Exited => "exited",
            Self::Trapped => "trap",
            Self::OutOfFuel => "out-of-fuel",
            Self::Time => "time",
            Self::Limit => "limit",
            Self::Refused => "refused",
        }
    }

    fn number(self) -> u8 {
        Self::ALL.iter().position(|one| *one == self).unwrap_or_default() as u8
    }
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// Whether the worker ends behind it: then it is asked nothing more.
    pub(crate) is_last: bool,
    pub(crate) how: How,
    /// The exit code.
    pub(crate) code: u32,
    /// Units, where it is metered; and whether they are exact.
    pub(crate) fuel: Option<(u64, bool)>,
    /// The most bytes of memory it had.
    pub(crate) memory: u64,
    /// How long it took.
    pub(crate) microseconds: u64,
    /// How it ended, in words; empty where it exited.
    pub(crate) reason: Bytes,
    /// The beginning of what it wrote there.
    pub(crate) stderr: Bytes,
    /// What it wrote.
    pub(crate) stdout: Bytes,
}

/// Writes a request, but for its body, which comes behind it.
pub(crate) fn request(route: u16, variables: &[(Vec<u8>, Vec<u8>)], body: usize) -> Vec<u8> {
    let each = |(name, value): &(Vec<u8>, Vec<u8>)| 8 + name.len() + value.len();
    let length = 6 + variables.iter().map(each).sum::<usize>();
    let mut bytes = Vec::with_capacity(LENGTH_BYTES + length);
    put_length(&mut bytes, length + body);
    bytes.extend_from_slice(&route.to_le_bytes());
    put_length(&mut bytes, variables.len());
    for text in variables.iter().flat_map(|(name, value)| [name, value]) {
        put_length(&mut bytes, text.len());
        bytes.extend_from_slice(text);
    }
    bytes
}

/// A request, as a worker reads it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Request<'a> {
    pub(crate) route: u16,
    pub(crate) variables: Vec<(&'a [u8], &'a [u8])>,
    pub(crate) body: &'a [u8],
}

impl<'a> Request<'a> {
    /// Reads what is behind the length.
    pub(crate) fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut rest = bytes;
        let route = u16::from_le_bytes(take(&mut rest)?);
        let count = u32::from_le_bytes(take(&mut rest)?);
        let mut variables = Vec::new();
        for _ in 0..count {
            variables.push((take_text(&mut rest)?, take_text(&mut rest)?));
        }
        Some(Self { route, variables, body: rest })
    }
}

impl Answer {
    /// Writes it, its length before it.
    pub(crate) fn write(&self, bytes: &mut Vec<u8>) {
        let length = 1 + 1 + 4 + 8 + 1 + 8 + 8 + 4 + 4;
        let texts = self.reason.len() + self.stderr.len() + self.stdout.len();
        put_length(bytes, length + texts);
        bytes.push(u8::from(self.is_last));
        bytes.push(self.how.number());
        bytes.extend_from_slice(&self.code.to_le_bytes());
        let (units, kind) = match self.fuel {
            None => (0, 0),
            Some((units, is_exact)) => (units, 1 + u8::from(is_exact)),
        };
        bytes.extend_from_slice(&units.to_le_bytes());
        bytes.push(kind);
        bytes.extend_from_slice(&self.memory.to_le_bytes());
        bytes.extend_from_slice(&self.microseconds.to_le_bytes());
        for text in [&self.reason, &self.stderr] {
            put_length(bytes, text.len());
            bytes.extend_from_slice(text);
        }
        bytes.extend_from_slice(&self.stdout);
    }

    /// Reads what is behind the length. The texts share its memory.
    pub(crate) fn read(bytes: &Bytes) -> Option<Self> {
        let mut rest = &bytes[..];
        let [last] = take(&mut rest)?;
        let is_last = [false, true].get(usize::from(last)).copied()?;
        let [how] = take(&mut rest)?;
        let how = *How::ALL.get(usize::from(how))?;
        let code = u32::from_le_bytes(take(&mut rest)?);
        let units = u64::from_le_bytes(take(&mut rest)?);
        let fuel = match take(&mut rest)? {
            [0] => None,
            [kind @ 1..=2] => Some((units, kind == 2)),
            _ => return None,
        };
        let memory = u64::from_le_bytes(take(&mut rest)?);
        let microseconds = u64::from_le_bytes(take(&mut rest)?);
        let (reason, stderr) = (take_text(&mut rest)?, take_text(&mut rest)?);
        let [reason, stderr, stdout] = [reason, stderr, rest].map(|text| bytes.slice_ref(text));
        Some(Self { is_last, how, code, fuel, memory, microseconds, reason, stderr, stdout })
    }
}

fn put_length(bytes: &mut Vec<u8>, length: usize) {
    // All of them are bounded far below.
    bytes.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
}

fn take<const COUNT: usize>(rest: &mut &[u8]) -> Option<[u8; COUNT]> {
    let (first, behind) = rest.split_first_chunk()?;
    *rest = behind;
    Some(*first)
}

fn take_text<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(u32::from_le_bytes(take(rest)?)).ok()?;
    let (text, behind) = rest.split_at_checked(length)?;
    *rest = behind;
    Some(text)
}

/// The length that is written at the beginning.
pub(crate) fn length(bytes: &[u8]) -> Option<usize> {
    let mut rest = bytes;
    usize::try_from(u32::from_le_bytes(take(&mut rest)?)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer() -> Answer {
        Answer {
            is_last: true,
            how: How::Limit,
            code: 7,
            fuel: Some((1 << 40, true)),
            memory: 65_536,
            microseconds: 12,
            reason: Bytes::from_static(b"why"),
            stderr: Bytes::from_static(b"err"),
            stdout: Bytes::from_static(b"out"),
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let mut bytes = Vec::new();
        answer().write(&mut bytes);
        assert_eq!(length(&bytes), Some(bytes.len() - LENGTH_BYTES));
        let behind = Bytes::copy_from_slice(&bytes[LENGTH_BYTES..]);
        assert_eq!(Answer::read(&behind), Some(answer()));
        let variables = [(b"A".to_vec(), b"1".to_vec()), (b"B".to_vec(), Vec::new())];
        let mut bytes = request(3, &variables, 4);
        bytes.extend_from_slice(b"body");
        assert_eq!(length(&bytes), Some(bytes.len() - LENGTH_BYTES));
        let read = Request::read(&bytes[LENGTH_BYTES..]).expect("a request");
        let variables: Vec<(&[u8], &[u8])> = vec![(b"A", b"1"), (b"B", b"")];
        assert_eq!(read, Request { route: 3, variables, body: b"body" });
    }

    #[test]
    fn what_is_cut_or_wrong_is_none() {
        let mut bytes = Vec::new();
        answer().write(&mut bytes);
        let whole = Bytes::copy_from_slice(&bytes[LENGTH_BYTES..]);
        // All that is behind the texts is output.
        for end in 0..whole.len() - 3 {
            assert_eq!(Answer::read(&whole.slice(..end)), None, "{end}");
        }
        for place in [0, 1] {
            let mut wrong = whole.to_vec();
            wrong[place] = 9;
            assert_eq!(Answer::read(&Bytes::from(wrong)), None);
        }
        let mut long = whole.to_vec();
        long[31..35].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(Answer::read(&Bytes::from(long)), None);
        for bytes in [&[][..], &[0; 5], &[0, 0, 255, 255, 255, 255], &[0, 0, 1, 0, 0, 0, 9]] {
            assert_eq!(Request::read(bytes), None, "{bytes:?}");
        }
    }
}
