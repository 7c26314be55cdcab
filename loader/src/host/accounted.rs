//! What a guest's account says that nobody else asks for: which host functions it called how
//! often, and the digests of what went through its standard streams.
//!
//! Kept where an account is ([`Accounting`]), else it costs a test for each call. Guarantees that
//! a digest is of the bytes that the system took or gave, in their order, and of no others: a
//! write that was cut short counts as far as it came. Files are not in it.

use bls_artifact::digest::{Hasher, Sha256};
use std::ops::Deref;

/// What is kept for a guest's account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accounting {
    /// How often it calls each function of the host.
    Calls,
    /// That, and what goes through its standard streams.
    CallsAndStreams,
}

/// Bytes that went through a stream.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    bytes: u64,
    hasher: Hasher,
}

impl Seen {
    /// The first so many bytes of these buffers went through.
    pub(crate) fn add<T: Deref<Target = [u8]>>(&mut self, buffers: &[T], mut length: usize) {
        self.bytes += length as u64;
        for buffer in buffers {
            let piece = &buffer[..buffer.len().min(length)];
            self.hasher.update(piece);
            length -= piece.len();
        }
    }

    fn digest(self) -> StreamDigest {
        StreamDigest { bytes: self.bytes, sha256: self.hasher.finish() }
    }
}

/// What went through a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StreamDigest {
    pub(crate) bytes: u64,
    pub(crate) sha256: Sha256,
}

/// What is counted while a guest runs. (What it reads is seen in `input.rs`.)
#[derive(Debug, Default)]
pub(crate) struct Accounted {
    /// By the function's place among all rows; empty where nobody counts.
    pub(super) calls: Vec<u64>,
    pub(super) output: Option<Seen>,
    pub(super) error: Option<Seen>,
}

impl Accounted {
    /// For a host of so many functions.
    pub(super) fn new(accounting: Option<Accounting>, functions: usize) -> Self {
        let streams = accounting == Some(Accounting::CallsAndStreams);
        Self {
            calls: accounting.map_or_else(Vec::new, |_| vec![0; functions]),
            output: streams.then(Seen::default),
            error: streams.then(Seen::default),
        }
    }

    /// One of the functions is called.
    pub(super) fn call(&mut self, function: usize) {
        if let Some(calls) = self.calls.get_mut(function) {
            *calls += 1;
        }
    }
}

/// How often a function was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Calls {
    pub(crate) interface: &'static str,
    pub(crate) name: &'static str,
    pub(crate) calls: u64,
}

/// What a guest did, for its account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct GuestAccount {
    /// Functions that were called; none where nobody counted.
    pub(crate) calls: Vec<Calls>,
    /// Standard input, output and error, where they were seen.
    pub(crate) streams: Option<[StreamDigest; 3]>,
}

impl GuestAccount {
    pub(super) fn of(
        accounted: &Accounted,
        input: Option<&Seen>,
        names: impl Iterator<Item = (&'static str, &'static str)>,
    ) -> Self {
        let called = names.zip(&accounted.calls).filter(|(_, calls)| **calls > 0);
        let calls =
            called.map(|((interface, name), calls)| Calls { interface, name, calls: *calls });
        let streams = [input, accounted.output.as_ref(), accounted.error.as_ref()];
        Self {
            calls: calls.collect(),
            streams: match streams {
                [Some(input), Some(output), Some(error)] => {
                    Some([input, output, error].map(|seen| seen.clone().digest()))
                }
                _ => None,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_seen_than_went_through() {
        let mut seen = Seen::default();
        seen.add(&[&b"abc"[..], b"", b"def"], 4);
        seen.add(&[&b"ef"[..]], 2);
        let digest = seen.digest();
        assert_eq!(digest, StreamDigest { bytes: 6, sha256: Sha256::of(b"abcdef") });
    }

    #[test]
    fn calls_are_counted_where_somebody_asks() {
        let names = [("a", "one"), ("a", "two"), ("b", "three")];
        let account = |accounting| {
            let mut accounted = Accounted::new(accounting, names.len());
            for function in [2, 0, 2] {
                accounted.call(function);
            }
            GuestAccount::of(&accounted, Some(&Seen::default()), names.into_iter())
        };
        assert_eq!(account(None), GuestAccount::default());
        let counted = account(Some(Accounting::Calls));
        let calls = |interface, name, calls| Calls { interface, name, calls };
        assert_eq!(counted.calls, [calls("a", "one", 1), calls("b", "three", 2)]);
        assert_eq!(counted.streams, None);
        assert!(account(Some(Accounting::CallsAndStreams)).streams.is_some());
    }
}
