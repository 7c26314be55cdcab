//! An ssh-agent that signs: at the socket that `SSH_AUTH_SOCK` names, by the protocol that
//! OpenSSH's own and others (gpg-agent, forwarded ones) speak.
//!
//! ```text
//! identities?                           ─► count, then of each its key and its comment
//! sign: key, message, no flags          ─► "ssh-ed25519", 64 bytes
//! ```
//!
//! May assume nothing about what the agent says: each answer is bounded in bytes and time, a key
//! is taken only if it is the one that was asked for, and whether a signature is its is found out
//! by [`super::Signer`]. A comment is the agent's word: who must be sure names a key by its file.

use super::error::SignerError;
use bls_artifact::key::PublicKey;
use ssh_encoding::{Decode as _, Encode as _};
use std::env;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// The variable that names the socket.
const SOCKET: &str = "SSH_AUTH_SOCK";
/// The kind of key, and of signature, that is asked for.
const KIND: &str = "ssh-ed25519";
/// The longest message that OpenSSH's agent takes and gives.
const MESSAGE_BYTES_MAX: usize = 256 << 10;
/// What stands around what is to be signed, with room.
const AROUND: usize = 1024;
/// The most keys of an agent that are looked at.
const KEYS_MAX: u32 = 2048;
/// How many of an agent's keys are named in a sentence.
const NAMED_MAX: usize = 8;

// Numbers of messages.
const IDENTITIES: u8 = 11;
const IDENTITIES_ANSWER: u8 = 12;
const SIGN: u8 = 13;
const SIGN_ANSWER: u8 = 14;
const FAILURE: u8 = 5;

/// How a key of an agent is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Named {
    /// By itself.
    Key(Box<PublicKey>),
    /// By its comment, or by the beginning of its id.
    Word(String),
}

/// A key that an agent has.
#[derive(Debug)]
pub struct Agent {
    socket: PathBuf,
    public: PublicKey,
    time: Duration,
}

/// One of an agent's keys, as it says them.
#[derive(Debug, PartialEq, Eq)]
struct Identity {
    blob: Vec<u8>,
    comment: String,
}

impl Agent {
    /// Looks for a key in the agent that the environment names; `word` is what it was called.
    ///
    /// # Errors
    /// [`SignerError`], where there is no agent, or it has not exactly one such key.
    pub fn find(named: &Named, word: &str, time: Duration) -> Result<Self, SignerError> {
        let socket = env::var_os(SOCKET).filter(|path| !path.is_empty());
        let socket = PathBuf::from(socket.ok_or(SignerError::NoAgent)?);
        let mut talk = Talk::begin(&socket, time)?;
        let answer = talk.ask(&[IDENTITIES])?;
        let identities = identities(&answer)?;
        let public = choose(&identities, named, word)?;
        Ok(Self { socket, public, time })
    }

    /// The key.
    pub(super) fn public(&self) -> &PublicKey {
        &self.public
    }

    /// What it answers, if that can be a signature: whose is not known yet.
    pub(super) fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignerError> {
        if message.len() + AROUND > MESSAGE_BYTES_MAX {
            return Err(SignerError::TooLong(message.len()));
        }
        let request = request(&self.public, message).map_err(|_| broken("a message too long"))?;
        let answer = Talk::begin(&self.socket, self.time)?.ask(&request)?;
        match answer.split_first() {
            Some((&SIGN_ANSWER, rest)) => signature(rest).ok_or(broken("a signature of no form")),
            Some((&FAILURE, _)) => Err(SignerError::Refused),
            _ => Err(broken("another message than asked for")),
        }
    }
}

fn broken(what: &'static str) -> SignerError {
    SignerError::Nonsense(what)
}

/// The message that asks for a signature.
fn request(key: &PublicKey, message: &[u8]) -> ssh_encoding::Result<Vec<u8>> {
    let mut request = vec![SIGN];
    key.to_openssh_blob().encode(&mut request)?;
    message.encode(&mut request)?;
    0_u32.encode(&mut request)?;
    Ok(request)
}

/// The 64 bytes in an answer: in its one field stand the kind, and the signature.
fn signature(mut answer: &[u8]) -> Option<[u8; 64]> {
    let field = Vec::<u8>::decode(&mut answer).ok()?;
    let mut field = field.as_slice();
    let kind = Vec::<u8>::decode(&mut field).ok()?;
    let signature = Vec::<u8>::decode(&mut field).ok()?;
    let is_whole = answer.is_empty() && field.is_empty() && kind == KIND.as_bytes();
    if is_whole { signature.try_into().ok() } else { None }
}

/// The keys in an answer.
fn identities(answer: &[u8]) -> Result<Vec<Identity>, SignerError> {
    const FORM: &str = "a list of keys of no form";
    let mut rest = match answer.split_first() {
        Some((&IDENTITIES_ANSWER, rest)) => rest,
        Some((&FAILURE, _)) => return Err(SignerError::Refused),
        _ => return Err(broken("another message than asked for")),
    };
    let count = u32::decode(&mut rest).map_err(|_| broken(FORM))?;
    if count > KEYS_MAX {
        return Err(broken("very many keys"));
    }
    let mut all = Vec::new();
    for _ in 0..count {
        let blob = Vec::<u8>::decode(&mut rest).map_err(|_| broken(FORM))?;
        let comment = Vec::<u8>::decode(&mut rest).map_err(|_| broken(FORM))?;
        all.push(Identity { blob, comment: String::from_utf8_lossy(&comment).into_owned() });
    }
    if rest.is_empty() { Ok(all) } else { Err(broken(FORM)) }
}

/// The one key that is meant.
fn choose(all: &[Identity], named: &Named, word: &str) -> Result<PublicKey, SignerError> {
    let key_of = |one: &Identity| PublicKey::of_openssh_blob(&one.blob).and_then(Result::ok);
    let is_meant = |one: &&Identity| match named {
        Named::Key(key) => one.blob == key.to_openssh_blob(),
        Named::Word(word) => {
            let of_id = |key: PublicKey| is_id(word) && key.id().to_string().starts_with(word);
            one.comment == *word || key_of(one).is_some_and(of_id)
        }
    };
    let meant: Vec<&Identity> = all.iter().filter(is_meant).collect();
    let show = |one: &Identity| key_of(one).map(|key| describe(&key, &one.comment));
    match &meant[..] {
        [] => {
            let mut has: Vec<String> = all.iter().filter_map(show).collect();
            if has.len() > NAMED_MAX {
                has.truncate(NAMED_MAX);
                has.push("others".to_owned());
            }
            Err(SignerError::NoKey(word.to_owned(), has))
        }
        // The same key twice is one.
        [one, others @ ..] if others.iter().all(|other| other.blob == one.blob) => {
            key_of(one).ok_or_else(|| SignerError::OtherKind(word.to_owned(), kind_of(&one.blob)))
        }
        several => {
            let which = several.iter().take(NAMED_MAX).filter_map(|one| show(one)).collect();
            Err(SignerError::SeveralKeys(word.to_owned(), which))
        }
    }
}

/// Whether a word can be the beginning of a key's id.
fn is_id(word: &str) -> bool {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    (8..=64).contains(&word.len()) && word.bytes().all(is_digit)
}

/// A key in few words.
fn describe(key: &PublicKey, comment: &str) -> String {
    let id = key.id().to_string();
    let comment: String = comment.chars().take(80).collect();
    format!("{comment:?} ({}…)", &id[..12])
}

/// The kind of a key that is none of ours.
fn kind_of(mut blob: &[u8]) -> String {
    let kind = Vec::<u8>::decode(&mut blob).unwrap_or_default();
    String::from_utf8_lossy(&kind).chars().take(64).collect()
}

/// A connection to an agent, until its time is over.
struct Talk {
    stream: UnixStream,
    socket: PathBuf,
    begin: Instant,
    time: Duration,
}

impl Talk {
    fn begin(socket: &PathBuf, time: Duration) -> Result<Self, SignerError> {
        let begin = Instant::now();
        let stream = UnixStream::connect(socket)
            .map_err(|error| SignerError::Unreachable(socket.clone(), error))?;
        Ok(Self { stream, socket: socket.clone(), begin, time })
    }

    /// Asks one thing; the answer without its length.
    fn ask(&mut self, request: &[u8]) -> Result<Vec<u8>, SignerError> {
        self.exchange(request).map_err(|error| match error.kind() {
            ErrorKind::TimedOut | ErrorKind::WouldBlock => {
                SignerError::Time("the ssh-agent".to_owned(), self.time)
            }
            ErrorKind::UnexpectedEof => broken("half an answer"),
            ErrorKind::FileTooLarge => broken("an answer longer than any"),
            _ => SignerError::Unreachable(self.socket.clone(), error),
        })
    }

    fn exchange(&mut self, request: &[u8]) -> io::Result<Vec<u8>> {
        let length = u32::try_from(request.len()).map_err(|_| ErrorKind::FileTooLarge)?;
        self.stream.set_write_timeout(Some(self.left()?))?;
        self.stream.write_all(&[&length.to_be_bytes()[..], request].concat())?;
        let mut length = [0; 4];
        self.fill(&mut length)?;
        let length = u32::from_be_bytes(length) as usize;
        if length > MESSAGE_BYTES_MAX {
            return Err(ErrorKind::FileTooLarge.into());
        }
        let mut answer = vec![0; length];
        self.fill(&mut answer)?;
        Ok(answer)
    }

    fn fill(&mut self, mut buffer: &mut [u8]) -> io::Result<()> {
        while !buffer.is_empty() {
            self.stream.set_read_timeout(Some(self.left()?))?;
            match self.stream.read(buffer) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => buffer = &mut buffer[count..],
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn left(&self) -> io::Result<Duration> {
        let left = self.time.saturating_sub(self.begin.elapsed());
        if left.is_zero() { Err(ErrorKind::TimedOut.into()) } else { Ok(left) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bls_artifact::key::PrivateKey;

    fn key(seed: u8) -> PublicKey {
        PrivateKey::from_seed(&[seed; 32]).public()
    }

    fn identity(blob: Vec<u8>, comment: &str) -> Identity {
        Identity { blob, comment: comment.to_owned() }
    }

    fn said(all: &[(&[u8], &str)]) -> Vec<u8> {
        let mut answer = vec![IDENTITIES_ANSWER];
        (all.len() as u32).encode(&mut answer).unwrap();
        for (blob, comment) in all {
            blob.encode(&mut answer).unwrap();
            comment.encode(&mut answer).unwrap();
        }
        answer
    }

    #[test]
    fn keys_are_read_from_an_answer_and_no_other() {
        let blob = key(1).to_openssh_blob();
        let answer = said(&[(&blob, "ann"), (b"x", "other")]);
        let expected = [identity(blob, "ann"), identity(b"x".to_vec(), "other")];
        assert_eq!(identities(&answer).unwrap(), expected);
        for cut in 0..answer.len() {
            assert!(identities(&answer[..cut]).is_err(), "{cut}");
        }
        assert!(identities(&[&answer[..], &[0]].concat()).is_err());
        assert!(identities(&[IDENTITIES_ANSWER, 0xff, 0xff, 0xff, 0xff]).is_err());
        assert!(matches!(identities(&[FAILURE]), Err(SignerError::Refused)));
    }

    #[test]
    fn one_key_is_meant_or_none() {
        let mut kind = Vec::new();
        "sk-ssh-ed25519@openssh.com".encode(&mut kind).unwrap();
        let all = [
            identity(key(1).to_openssh_blob(), "ann"),
            identity(key(2).to_openssh_blob(), "work"),
            identity(key(3).to_openssh_blob(), "work"),
            identity(kind, "touch"),
        ];
        let by_word = |word: &str| choose(&all, &Named::Word(word.to_owned()), word);
        assert_eq!(by_word("ann").unwrap(), key(1));
        assert_eq!(by_word(&key(2).id().to_string()[..8]).unwrap(), key(2));
        assert_eq!(by_word(&key(3).id().to_string()).unwrap(), key(3));
        assert!(matches!(by_word("work"), Err(SignerError::SeveralKeys(_, two)) if two.len() == 2));
        assert!(matches!(by_word("bob"), Err(SignerError::NoKey(_, has)) if has.len() == 3));
        assert!(matches!(by_word(""), Err(SignerError::NoKey(..))));
        let kind = by_word("touch").unwrap_err().to_string();
        assert!(kind.contains("sk-ssh-ed25519@openssh.com"), "{kind}");
        let by_key = |seed| choose(&all, &Named::Key(Box::new(key(seed))), "x.pub");
        assert_eq!(by_key(2).unwrap(), key(2));
        assert!(matches!(by_key(9), Err(SignerError::NoKey(..))));
    }

    #[test]
    fn a_signature_is_64_bytes_of_the_one_kind() {
        let answer = |kind: &str, signature: &[u8], more: &[u8]| {
            let (mut field, mut answer) = (Vec::new(), Vec::new());
            kind.encode(&mut field).unwrap();
            signature.encode(&mut field).unwrap();
            field.encode(&mut answer).unwrap();
            answer.extend_from_slice(more);
            answer
        };
        assert_eq!(signature(&answer(KIND, &[7; 64], &[])), Some([7; 64]));
        for wrong in [
            answer("ssh-rsa", &[7; 64], &[]),
            answer(KIND, &[7; 63], &[]),
            answer(KIND, &[7; 64], &[0]),
            Vec::new(),
        ] {
            assert_eq!(signature(&wrong), None);
        }
        let request = request(&key(1), b"message").unwrap();
        assert_eq!(request.len(), 1 + 4 + 51 + 4 + 7 + 4);
    }
}
