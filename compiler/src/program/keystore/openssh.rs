//! Private keys in OpenSSH's own form, as `ssh-keygen -t ed25519` writes them.
//!
//! ```text
//! "openssh-key-v1\0" cipher kdf options  1  public  [ check check  kind public private  comment  1 2 3… ]
//! ```
//!
//! The part in brackets is encrypted where there is a passphrase. This program asks for none:
//! such a key is refused, and an ssh-agent is the way to use it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bls_artifact::key::{KeyError, PrivateKey};
use ssh_encoding::Decode as _;

const BEGIN: &str = "-----BEGIN OPENSSH PRIVATE KEY-----";
const END: &str = "-----END OPENSSH PRIVATE KEY-----";
const MAGIC: &[u8] = b"openssh-key-v1\0";

/// Reads an Ed25519 key.
///
/// # Errors
/// [`KeyError`] by name of what the text is instead.
pub(super) fn parse(text: &str) -> Result<PrivateKey, KeyError> {
    let inside = text.split_once(BEGIN).and_then(|(_, rest)| rest.split_once(END));
    let (inside, _) = inside.ok_or(KeyError::OpenSsh)?;
    let inside: String = inside.split_ascii_whitespace().collect();
    let mut bytes = BASE64.decode(inside).map_err(|_| KeyError::OpenSsh)?;
    let key = read(&bytes);
    bytes.fill(0);
    key
}

/// The next field.
fn field(rest: &mut &[u8]) -> Result<Vec<u8>, KeyError> {
    Vec::decode(rest).map_err(|_| KeyError::OpenSsh)
}

fn number(rest: &mut &[u8]) -> Result<u32, KeyError> {
    u32::decode(rest).map_err(|_| KeyError::OpenSsh)
}

fn read(bytes: &[u8]) -> Result<PrivateKey, KeyError> {
    let mut rest = bytes.strip_prefix(MAGIC).ok_or(KeyError::OpenSsh)?;
    let (cipher, kdf, _) = (field(&mut rest)?, field(&mut rest)?, field(&mut rest)?);
    if number(&mut rest)? != 1 {
        return Err(KeyError::OpenSsh);
    }
    let public = field(&mut rest)?;
    let kind = field(&mut public.as_slice())?;
    // What the key is for stands outside of what a passphrase locks.
    match kind.as_slice() {
        b"ssh-ed25519" => {}
        b"ssh-rsa" => return Err(KeyError::Algorithm("RSA")),
        b"ssh-dss" => return Err(KeyError::Algorithm("DSA")),
        kind if kind.starts_with(b"ecdsa-") => return Err(KeyError::Algorithm("ECDSA")),
        kind if kind.starts_with(b"sk-") => return Err(KeyError::Algorithm("a security key")),
        _ => return Err(KeyError::Algorithm("another algorithm")),
    }
    if cipher != b"none" || kdf != b"none" {
        return Err(KeyError::OpenSshEncrypted);
    }
    let mut locked = field(&mut rest)?;
    let key = unlocked(&locked, &public);
    locked.fill(0);
    key
}

/// What stands in the part that a passphrase would lock.
fn unlocked(mut rest: &[u8], public: &[u8]) -> Result<PrivateKey, KeyError> {
    if number(&mut rest)? != number(&mut rest)? {
        return Err(KeyError::OpenSsh);
    }
    let (_, _) = (field(&mut rest)?, field(&mut rest)?);
    let mut private = field(&mut rest)?;
    let _comment = field(&mut rest)?;
    let is_padding = rest.len() < 256 && rest.iter().zip(1..).all(|(byte, wanted)| *byte == wanted);
    let key = private.first_chunk::<32>().map(PrivateKey::from_seed);
    let length = private.len();
    private.fill(0);
    let key = key.filter(|_| length == 64 && is_padding).ok_or(KeyError::OpenSsh)?;
    // Else it would sign with another key than the file says it holds.
    if key.public().to_openssh_blob() == public { Ok(key) } else { Err(KeyError::OpenSsh) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ssh_encoding::Encode as _;

    /// A key in OpenSSH's form; what is said of the cipher, and the padding, can be others.
    fn text(seed: u8, cipher: &str, said: &[u8], padding: &[u8]) -> String {
        let key = PrivateKey::from_seed(&[seed; 32]);
        let public = key.public().to_bytes();
        let mut locked = Vec::new();
        7_u32.encode(&mut locked).unwrap();
        7_u32.encode(&mut locked).unwrap();
        "ssh-ed25519".encode(&mut locked).unwrap();
        public[..].encode(&mut locked).unwrap();
        [&[seed; 32][..], &public].concat().encode(&mut locked).unwrap();
        "ann@example.org".encode(&mut locked).unwrap();
        locked.extend_from_slice(padding);
        let mut bytes = MAGIC.to_vec();
        cipher.encode(&mut bytes).unwrap();
        cipher.encode(&mut bytes).unwrap();
        "".encode(&mut bytes).unwrap();
        1_u32.encode(&mut bytes).unwrap();
        said.encode(&mut bytes).unwrap();
        locked.encode(&mut bytes).unwrap();
        let base64 = BASE64.encode(bytes);
        let lines: Vec<&str> =
            base64.as_bytes().chunks(70).map(|line| std::str::from_utf8(line).unwrap()).collect();
        format!("{BEGIN}\n{}\n{END}\n", lines.join("\n"))
    }

    #[test]
    fn keys_are_read_and_others_named() {
        let key = PrivateKey::from_seed(&[5; 32]);
        let blob = key.public().to_openssh_blob();
        let whole = text(5, "none", &blob, &[1, 2, 3]);
        assert_eq!(parse(&whole).unwrap().public(), key.public());
        assert_eq!(parse(&whole.replace('\n', "\r\n")).unwrap().public(), key.public());
        let refused = |text: &str| parse(text).unwrap_err();
        assert_eq!(refused(&text(5, "aes256-ctr", &blob, &[])), KeyError::OpenSshEncrypted);
        let other = PrivateKey::from_seed(&[6; 32]).public().to_openssh_blob();
        assert_eq!(refused(&text(5, "none", &other, &[])), KeyError::OpenSsh);
        assert_eq!(refused(&text(5, "none", &blob, &[1, 2, 2])), KeyError::OpenSsh);
        for (kind, name) in [("ssh-rsa", "RSA"), ("ecdsa-sha2-nistp256", "ECDSA")] {
            let mut said = Vec::new();
            kind.encode(&mut said).unwrap();
            assert_eq!(refused(&text(5, "none", &said, &[])), KeyError::Algorithm(name));
        }
        for cut in [1, 30, 60, 100, 200, 300] {
            // Behind the line feed, which says nothing.
            let from = BEGIN.len() + 1;
            let shorter = [&whole[..from], &whole[from + cut..]].concat();
            assert_eq!(refused(&shorter), KeyError::OpenSsh, "{cut}");
        }
        assert_eq!(refused(BEGIN), KeyError::OpenSsh);
    }
}
