//! Why nobody signs, and what to do about it.

use bls_artifact::key::KeyId;
use bls_artifact::quantity::write_time;
use std::path::PathBuf;
use std::time::Duration;
use std::{fmt, io};

/// Why there is no signature.
#[derive(Debug)]
pub enum SignerError {
    /// No variable says where the agent is.
    NoAgent,
    /// The agent cannot be reached, at this socket.
    Unreachable(PathBuf, io::Error),
    /// The agent answers what no agent would.
    Nonsense(&'static str),
    /// The agent has no key of this name; those that it has.
    NoKey(String, Vec<String>),
    /// The agent has several keys of this name; which.
    SeveralKeys(String, Vec<String>),
    /// The agent has a key of this name that does not sign as Ed25519 does; of which kind.
    OtherKind(String, String),
    /// The agent does not sign with the key it has.
    Refused,
    /// A message of so many bytes is more than an agent takes.
    TooLong(usize),
    /// A program is to sign, and nobody says with which key.
    Unpinned(String),
    /// The program cannot be started.
    Start(String, io::Error),
    /// The program failed; how it ended.
    Failed(String, String),
    /// The program's answer is no signature; what it is.
    Form(String, Form),
    /// No answer within this time; of whom.
    Time(String, Duration),
    /// The answer is not a signature by this key over the message; whose answer.
    Wrong(String, KeyId),
}

/// What an answer is that is not the 64 bytes of a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Nothing.
    Empty,
    /// 64 bytes in base64.
    Base64,
    /// 64 bytes in hexadecimal digits.
    Hex,
    /// So many bytes.
    Bytes(usize),
    /// More than anybody would take for one.
    TooMuch,
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("nothing"),
            Self::Base64 => f.write_str("base64"),
            Self::Hex => f.write_str("hexadecimal digits"),
            Self::Bytes(count) => write!(f, "{count} bytes"),
            Self::TooMuch => f.write_str("very many bytes"),
        }
    }
}

impl fmt::Display for SignerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAgent => write!(f, "the variable SSH_AUTH_SOCK names no ssh-agent"),
            Self::Unreachable(path, error) => {
                write!(f, "cannot reach the ssh-agent at {}: {error}", path.display())
            }
            Self::Nonsense(what) => write!(f, "the ssh-agent answered what makes no sense: {what}"),
            Self::NoKey(word, has) if has.is_empty() => {
                write!(f, "the ssh-agent has no key {word:?}, and no Ed25519 key at all")
            }
            Self::NoKey(word, has) => {
                write!(f, "the ssh-agent has no key {word:?}; it has {}", has.join(", "))
            }
            Self::SeveralKeys(word, which) => {
                write!(f, "the ssh-agent has several keys for {word:?}: {}", which.join(", "))
            }
            Self::OtherKind(word, kind) => {
                write!(f, "the ssh-agent's key {word:?} is of the kind {kind}, not ssh-ed25519")
            }
            Self::Refused => write!(f, "the ssh-agent has the key, and does not sign with it"),
            Self::TooLong(bytes) => {
                write!(f, "{bytes} bytes are to be signed, more than an ssh-agent takes")
            }
            Self::Unpinned(program) => {
                write!(f, "{program} is to sign, and nothing says with which key")
            }
            Self::Start(program, error) => write!(f, "cannot start {program}: {error}"),
            Self::Failed(program, how) => write!(f, "{program} signed nothing: it {how}"),
            Self::Form(program, form) => {
                write!(f, "{program} answered {form}, and a signature is 64 bytes as they are")
            }
            Self::Time(who, time) => {
                write!(f, "{who} did not sign within {}", write_time(time.as_millis() as u64))
            }
            Self::Wrong(who, key) => write!(
                f,
                "what {who} answered is not a signature by key {key} over what was to be signed"
            ),
        }
    }
}

impl std::error::Error for SignerError {}

impl SignerError {
    /// Its name, which stays the same when words change.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoAgent => "signer.no-agent",
            Self::Unreachable(..) => "signer.unreachable",
            Self::Nonsense(_) => "signer.nonsense",
            Self::NoKey(..) => "signer.no-key",
            Self::SeveralKeys(..) => "signer.several-keys",
            Self::OtherKind(..) => "signer.other-kind",
            Self::Refused => "signer.refused",
            Self::TooLong(_) => "signer.too-long",
            Self::Unpinned(_) => "signer.unpinned",
            Self::Start(..) => "signer.start",
            Self::Failed(..) => "signer.failed",
            Self::Form(..) => "signer.form",
            Self::Time(..) => "signer.time",
            Self::Wrong(..) => "signer.wrong",
        }
    }

    /// What a user can do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::NoAgent => {
                "start one: eval \"$(ssh-agent)\" && ssh-add; forwarded by ssh -A, it is there"
                    .to_owned()
            }
            Self::Unreachable(..) => {
                "see that the agent still runs, and that SSH_AUTH_SOCK is its socket".to_owned()
            }
            Self::Nonsense(_) => "see which program listens at SSH_AUTH_SOCK".to_owned(),
            Self::NoKey(..) => {
                "ssh-add -L shows what it has; name a key by its .pub file, or by its comment"
                    .to_owned()
            }
            Self::SeveralKeys(..) => "name one by its .pub file: --key ssh-agent:KEY.pub".to_owned(),
            Self::OtherKind(..) => {
                "artifacts are signed with plain Ed25519: ssh-keygen -t ed25519 makes such a key"
                    .to_owned()
            }
            Self::Refused => {
                "was it denied, or the agent locked (ssh-add -X)? nothing was written".to_owned()
            }
            Self::TooLong(_) => {
                "sign with a key in a file, or by a program: --key exec:PROGRAM".to_owned()
            }
            Self::Unpinned(_) => {
                "say which key is expected: --public-key builder.pub, in PEM or OpenSSH's form"
                    .to_owned()
            }
            Self::Start(..) => {
                "name a program that you may run: --key exec:./sign.sh; it gets no arguments, and no shell reads its name"
                    .to_owned()
            }
            Self::Failed(..) => {
                "what it said stands above; run it by hand, with anything on its standard input"
                    .to_owned()
            }
            Self::Form(_, Form::Base64) => "let it decode that: … | base64 -d".to_owned(),
            Self::Form(_, Form::Hex) => "let it decode that: … | xxd -r -p".to_owned(),
            Self::Form(..) => {
                "it gets the message on standard input, and writes the 64 bytes of Ed25519 (RFC 8032) and nothing else"
                    .to_owned()
            }
            Self::Time(..) => {
                "does it wait for somebody? more time: --max-sign-time 5m; nothing was written"
                    .to_owned()
            }
            Self::Wrong(..) => {
                "see that it signs with the key that is named here, all of the message and nothing else; nothing was written"
                    .to_owned()
            }
        }
    }
}
