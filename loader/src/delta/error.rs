//! Why a delta gives nothing that could be installed.
//!
//! Pure. Guarantees a stable code and a hint for each reason.

use crate::error::{Cause, StageError};
use crate::image::ImageError;
use crate::open::OpenError;
use crate::store::StoreError;
use bls_artifact::delta::DeltaFrameError;
use bls_artifact::delta::script::ScriptError;
use bls_artifact::digest::Sha256;
use bls_artifact::limits::DELTA_WINDOW_MAX;
use std::fmt;

/// Why a delta gives nothing that could be installed.
#[derive(Debug)]
pub enum DeltaError {
    /// The file cannot be opened.
    Open(OpenError),
    /// The system could not give bytes.
    System(&'static str, std::io::Error),
    /// Its framing does not fit.
    Frame(DeltaFrameError),
    /// What it begins with is not installed.
    NoBase(Sha256),
    /// It begins with the one, and the other was given.
    OtherBase(Sha256, Sha256),
    /// What it begins with is no artifact.
    Base,
    /// The code of what it begins with is not what was signed.
    BaseImage(ImageError),
    /// A store does not give what the delta begins with.
    Store(Box<StoreError>),
    /// It has nothing for the code that is installed.
    NoImage,
    /// It names a part that a manifest has not.
    NoSuchPart(usize),
    /// A difference is not one zstd frame; what the decoder said.
    Compression(String),
    /// A difference asks for a larger window than [`DELTA_WINDOW_MAX`].
    Window(u64),
    /// A difference ends before all was made.
    Ended,
    /// Something follows when all was made.
    Trailing,
    /// A difference makes no sense.
    Script(ScriptError),
    /// The statement that comes out does not hash to the identity that the delta names.
    Statement,
    /// The image that comes out does not hash to what is signed.
    ImageDigest,
}

impl From<OpenError> for DeltaError {
    fn from(error: OpenError) -> Self {
        Self::Open(error)
    }
}

impl fmt::Display for DeltaError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open(error) => error.fmt(formatter),
            Self::System(what, error) => write!(formatter, "cannot {what}: {error}"),
            Self::Frame(error) => error.fmt(formatter),
            Self::NoBase(base) => {
                write!(formatter, "it begins with sha256:{base}, which is not installed")
            }
            Self::OtherBase(wanted, given) => {
                write!(formatter, "it begins with sha256:{wanted}, and this is sha256:{given}")
            }
            Self::Base => write!(formatter, "what it begins with is no artifact"),
            Self::BaseImage(error) => write!(formatter, "in what it begins with, {error}"),
            Self::Store(error) => error.fmt(formatter),
            Self::NoImage => {
                write!(formatter, "it has nothing for the code of its base that is here")
            }
            Self::NoSuchPart(part) => {
                write!(formatter, "its part {part} is none of the signed ones")
            }
            Self::Compression(what) => write!(formatter, "it is not valid zstd: {what}"),
            Self::Window(bytes) => {
                write!(formatter, "it asks for a window of {bytes} bytes, above {DELTA_WINDOW_MAX}")
            }
            Self::Ended => write!(formatter, "it ends before all was made"),
            Self::Trailing => write!(formatter, "something follows when all was made"),
            Self::Script(error) => error.fmt(formatter),
            Self::Statement => {
                write!(formatter, "what comes out is not the statement that it names")
            }
            Self::ImageDigest => {
                write!(formatter, "the code that comes out does not match its signed digest")
            }
        }
    }
}

impl std::error::Error for DeltaError {}

impl StageError for DeltaError {
    const STAGE: &'static str = "delta";

    fn code(&self) -> &'static str {
        match self {
            Self::Open(error) => error.code(),
            Self::System(..) => "delta.system",
            Self::Frame(error) => error.code(),
            Self::NoBase(_) => "delta.no-base",
            Self::OtherBase(..) => "delta.other-base",
            Self::Base => "delta.base",
            Self::BaseImage(_) => "delta.base-image",
            Self::Store(error) => error.code(),
            Self::NoImage => "delta.no-image",
            Self::NoSuchPart(_) => "delta.no-such-part",
            Self::Compression(_) => "delta.compression",
            Self::Window(_) => "delta.window",
            Self::Ended => "delta.ended",
            Self::Trailing => "delta.trailing-bytes",
            Self::Script(error) => error.code(),
            Self::Statement => "delta.statement",
            Self::ImageDigest => "delta.image-digest",
        }
    }

    fn cause(&self) -> Cause {
        match self {
            Self::Open(error) => error.cause(),
            Self::Store(error) => error.cause(),
            Self::System(..) | Self::BaseImage(ImageError::System(..)) => Cause::Failed,
            _ => Cause::Refused,
        }
    }

    fn hint(&self) -> Option<String> {
        let whole = "fetch the delta again, or install the whole artifact";
        Some(match self {
            Self::Open(error) => return error.hint(),
            Self::Store(error) => return error.hint(),
            Self::System(..) => return None,
            Self::Frame(error) => error.hint().to_owned(),
            Self::NoBase(_) => {
                "install the whole artifact, or name the file of what it begins with: \
                 --base old.bls"
                    .to_owned()
            }
            Self::OtherBase(..) | Self::Base | Self::NoImage => {
                "get the delta of what is here, or install the whole artifact".to_owned()
            }
            Self::BaseImage(_) => "install the whole artifact".to_owned(),
            _ => whole.to_owned(),
        })
    }
}
