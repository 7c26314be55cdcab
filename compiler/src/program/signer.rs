//! Who signs: a key that was read, an ssh-agent that has one, or a program that asks whoever has.
//!
//! Guarantees that a signature it gives is one by the key that [`Signer::public`] names, over
//! the message it was asked about: what an agent or a program answers is checked before anybody
//! gets to see it. May assume that the process which parses modules was made before there is one
//! of these. Of the two that keep the key elsewhere, nothing but the public half is ever here.

mod agent;
mod command;
mod error;

pub use agent::{Agent, Named};
pub use command::Program;
pub use error::SignerError;

use bls_artifact::key::{PrivateKey, PublicKey};
use std::time::Duration;

/// How long whoever keeps a key may take to sign, where nobody says otherwise: a device may wait
/// to be touched.
pub const TIME_DEFAULT: Duration = Duration::from_secs(60);

/// Who signs.
#[derive(Debug)]
pub enum Signer {
    /// A key in this process.
    Key(PrivateKey),
    /// An ssh-agent.
    Agent(Agent),
    /// A program.
    Program(Program),
}

impl Signer {
    /// The public half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        match self {
            Self::Key(key) => key.public(),
            Self::Agent(agent) => agent.public().clone(),
            Self::Program(program) => program.public().clone(),
        }
    }

    /// Signs a message.
    ///
    /// # Errors
    /// [`SignerError`], when there is no answer in time, or one that is no signature by this key
    /// over this message.
    pub fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignerError> {
        let (who, signature) = match self {
            Self::Key(key) => ("the key".to_owned(), key.sign(message)),
            Self::Agent(agent) => ("the ssh-agent".to_owned(), agent.sign(message)?),
            Self::Program(program) => (program.name(), program.sign(message)?),
        };
        let public = self.public();
        match public.check(message, &signature) {
            Ok(()) => Ok(signature),
            Err(_) => Err(SignerError::Wrong(who, public.id())),
        }
    }
}
