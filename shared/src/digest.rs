//! SHA-256 identities, and the same promise in the form Linux's fs-verity keeps.
//!
//! Guarantees: a [`Sha256`] is written as 64 lower-case hex digits and read from
//! exactly that; no other spelling of one digest exists.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use sha2::Digest as _;
use std::fmt;

/// A SHA-256 digest (FIPS 180-4).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sha256(pub [u8; 32]);

impl Sha256 {
    /// The digest of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(sha2::Sha256::digest(bytes).into())
    }

    /// Reads 64 lower-case hex digits; `None` for anything else.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        let text = text.as_bytes();
        if text.len() != 64 {
            return None;
        }
        let nibble = |digit: u8| match digit {
            b'0'..=b'9' => Some(digit - b'0'),
            b'a'..=b'f' => Some(digit - b'a' + 10),
            _ => None,
        };
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
            *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
        }
        Some(Self(bytes))
    }
}

impl fmt::Display for Sha256 {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl Serialize for Sha256 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Sha256 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        Self::from_hex(&text)
            .ok_or_else(|| D::Error::custom("a digest is 64 lower-case hex digits"))
    }
}

/// A SHA-256 that is fed piece by piece.
#[derive(Clone, Debug, Default)]
pub struct Hasher(sha2::Sha256);

impl Hasher {
    /// Adds `bytes`.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of all that was added.
    #[must_use]
    pub fn finish(self) -> Sha256 {
        Sha256(self.0.finalize().into())
    }
}

/// Bytes in one block of the fs-verity Merkle tree.
const VERITY_BLOCK: usize = 4096;

/// The fs-verity digest of a file with these contents: SHA-256, 4096-byte
/// blocks, no salt (Linux, `Documentation/filesystems/fsverity.rst`).
///
/// What the kernel measures for a file with verity enabled equals this exactly
/// when the file's contents equal `bytes`.
#[must_use]
pub fn verity(bytes: &[u8]) -> Sha256 {
    let mut level: Vec<Sha256> = bytes.chunks(VERITY_BLOCK).map(verity_block).collect();
    while level.len() > 1 {
        let stored: Vec<u8> = level.iter().flat_map(|digest| digest.0).collect();
        level = stored.chunks(VERITY_BLOCK).map(verity_block).collect();
    }
    let root = level.first().map_or([0; 32], |digest| digest.0);

    // struct fsverity_descriptor: version, hash algorithm, log2 of the block
    // size, salt length, reserved, data size, root hash (64), salt (32), reserved.
    let mut descriptor = [0_u8; 256];
    descriptor[0] = 1;
    descriptor[1] = 1;
    descriptor[2] = 12;
    descriptor[8..16].copy_from_slice(&(bytes.len() as u64).to_le_bytes());
    descriptor[16..48].copy_from_slice(&root);
    Sha256::of(&descriptor)
}

/// The digest of one tree block; a short one counts as padded with zeros.
fn verity_block(block: &[u8]) -> Sha256 {
    let mut hasher = Hasher::default();
    hasher.update(block);
    hasher.update(&[0; VERITY_BLOCK][block.len()..]);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_has_one_spelling() {
        let digest = Sha256::of(b"");
        let text = digest.to_string();
        assert_eq!(text, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert_eq!(Sha256::from_hex(&text), Some(digest));
        assert_eq!(Sha256::from_hex(&text.to_uppercase()), None);
        assert_eq!(Sha256::from_hex(&text[1..]), None);
        assert_eq!(Sha256::from_hex(&format!("{text} ")), None);
    }

    /// Digests printed by `fsverity digest` (fsverity-utils 1.5) for the same
    /// contents: an empty file, one block, two levels of tree.
    #[test]
    fn verity_matches_fsverity_utils() {
        let cases: [(Vec<u8>, &str); 3] = [
            (Vec::new(), "3d248ca542a24fc62d1c43b916eae5016878e2533c88238480b26128a1f1af95"),
            (
                b"hello\n".to_vec(),
                "9c76eecc7b76fcb46199cb27b90cf59a660e10575bb0412128905129d5b1c2aa",
            ),
            (
                (0..600_000_u32).map(|index| (index % 251) as u8).collect(),
                "06d5be5c1f84f55006b5826aec720b80e5d95f30e170be7e1d6aae61755f1ae4",
            ),
        ];
        for (contents, expected) in cases {
            assert_eq!(verity(&contents).to_string(), expected, "{} bytes", contents.len());
        }
    }
}
