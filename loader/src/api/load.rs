//! From an artifact to one that may run: trust, policies, stores.

use crate::clock::clock;
use crate::error::Error;
use crate::map::{Guests, map_for, map_into};
use crate::open::Opened;
use crate::policy::{self, Rules};
use crate::store::{Stores, Wanted};
use crate::trust as trusting;
use crate::verify::{self, Facts};
use bls_artifact::digest::Sha256;
use bls_artifact::key::PublicKey;
use bls_artifact::policy::{Policy, Requirement};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use wasmtime::{Engine, Module};

/// Who is trusted to sign.
#[derive(Debug)]
pub struct Trust(trusting::Source);

impl Trust {
    /// By this machine: `/etc/bls/trust.json` where it exists, else the user's own file, as
    /// `bls-load` finds them; never by a variable of the environment.
    ///
    /// # Errors
    /// There is none, it is damaged, or others could have written it.
    pub fn system() -> Result<Self, Error> {
        Ok(Self(trusting::load(None)?))
    }

    /// By a file: a trust file, signed or not, or a public key, in PEM or as OpenSSH's line.
    ///
    /// # Errors
    /// It cannot be read, is damaged, or others could have written it.
    pub fn file(path: impl AsRef<Path>) -> Result<Self, Error> {
        Ok(Self(trusting::load(Some(path.as_ref()))?))
    }

    /// By the contents of such a file.
    ///
    /// # Errors
    /// It is none.
    pub fn bytes(contents: &[u8]) -> Result<Self, Error> {
        let path = PathBuf::from("(given)");
        Ok(Self(trusting::Source { trust: trusting::parse_any(&path, contents)?, path }))
    }

    /// Whatever this key has signed, and nothing else.
    #[must_use]
    pub fn key(key: PublicKey) -> Self {
        let trust = bls_artifact::trust::Trust::only(key);
        Self(trusting::Source { trust, path: "(given)".into() })
    }
}

/// Verifies artifacts.
///
/// ```no_run
/// # fn main() -> Result<(), bls_loader::Error> {
/// use bls_loader::{Loader, Trust};
/// let loader = Loader::new(Trust::system()?);
/// let verified = loader.open("app.bls")?;
/// println!("{} was signed by {:?}", verified.facts().manifest.name, verified.facts().key_ids);
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Loader {
    trust: Trust,
    policies: Vec<(PathBuf, Policy)>,
    require: Vec<Requirement>,
    store: Option<PathBuf>,
    digest: Option<Sha256>,
    clock_unset: bool,
}

impl Loader {
    /// One that trusts these. The machine's policy, `/etc/bls/policy.json`, holds where it
    /// exists.
    #[must_use]
    pub fn new(trust: Trust) -> Self {
        Self {
            trust,
            policies: Vec::new(),
            require: Vec::new(),
            store: None,
            digest: None,
            clock_unset: false,
        }
    }

    /// Lets this policy bound what guests get, beside the machine's and others.
    #[must_use]
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policies.push(("(given)".into(), policy));
        self
    }

    /// The same, from a file.
    ///
    /// # Errors
    /// It cannot be read, is none, or others could have written it.
    pub fn policy_file(mut self, path: impl AsRef<Path>) -> Result<Self, Error> {
        self.policies.push((path.as_ref().to_owned(), policy::read_file(path.as_ref())?));
        Ok(self)
    }

    /// Demands this of each artifact.
    #[must_use]
    pub fn require(mut self, requirement: Requirement) -> Self {
        self.require.push(requirement);
        self
    }

    /// Looks for what is installed in this store only.
    #[must_use]
    pub fn store(mut self, path: impl Into<PathBuf>) -> Self {
        self.store = Some(path.into());
        self
    }

    /// Takes only the file that has this SHA-256.
    #[must_use]
    pub fn digest(mut self, sha256: Sha256) -> Self {
        self.digest = Some(sha256);
        self
    }

    /// Lets pass what expires where this machine's clock was never set.
    #[must_use]
    pub fn clock_unset(mut self) -> Self {
        self.clock_unset = true;
        self
    }

    /// Verifies a file. Its code is copied into sealed memory and hashed on the way.
    ///
    /// # Errors
    /// It cannot be read, or must not run here.
    pub fn open(&self, path: impl AsRef<Path>) -> Result<Verified, Error> {
        self.verify(Opened::open(path.as_ref())?)
    }

    /// Verifies an artifact that is in memory. `name` is what messages call it.
    ///
    /// # Errors
    /// It is none, or must not run here.
    pub fn open_bytes(&self, name: &str, bytes: Vec<u8>) -> Result<Verified, Error> {
        self.verify(Opened::from_bytes(name, bytes)?)
    }

    /// Verifies what is installed under this name, or as `sha256:` and its identity. Code that only root could have written
    /// since it was installed is mapped where it is.
    ///
    /// # Errors
    /// It is not there, or must not run here.
    pub fn open_installed(&self, name: &str) -> Result<Verified, Error> {
        let rules = self.rules()?;
        let stores = Stores::open(self.store.as_deref())?;
        let criteria = self.judge(&stores);
        let wanted = match name.strip_prefix("sha256:").and_then(Sha256::from_hex) {
            Some(identity) => Wanted::Identity(identity),
            None => Wanted::Name(name.to_owned()),
        };
        let found = verify::look_up(&wanted, &stores, &mut |installed| {
            verify::verify_installed(installed, &criteria)
        })?;
        Ok(Verified { verified: found, rules })
    }

    fn verify(&self, opened: Opened) -> Result<Verified, Error> {
        let rules = self.rules()?;
        let stores = Stores::open(self.store.as_deref())?;
        Ok(Verified { verified: verify::verify(opened, &self.judge(&stores))?, rules })
    }

    fn rules(&self) -> Result<Arc<Rules>, Error> {
        let mut rules = policy::load(None)?;
        self.require.iter().for_each(|requirement| rules.demand(*requirement));
        for (path, policy) in &self.policies {
            rules.add(path, policy.clone());
        }
        rules.check_clock(self.clock_unset)?;
        Ok(Arc::new(rules))
    }

    fn judge<'a>(&'a self, stores: &'a Stores) -> verify::Criteria<'a> {
        verify::Criteria {
            digest: self.digest,
            clock: clock(self.clock_unset),
            stores: Some(stores),
            ..verify::Criteria::of(&self.trust.0.trust)
        }
    }
}

/// An artifact that may run here: signed by who is trusted, and its code is what was signed.
/// Only a [`Loader`] makes one.
#[derive(Debug)]
pub struct Verified {
    pub(crate) verified: verify::Verified,
    pub(crate) rules: Arc<Rules>,
}

impl Verified {
    /// What is known about it.
    #[must_use]
    pub fn facts(&self) -> &Facts {
        self.verified.facts()
    }

    /// Maps its code, for those who bring their own `Linker`: what `unsafe
    /// Module::deserialize_file` is for, and safe, for nothing that was not verified gets
    /// here. The module's engine has the settings that were signed, and is
    /// `module.engine()`. The limits and grants of this crate are not in it: a metered module
    /// counts in its exported global `bls_artifact::fuel::COUNTER_EXPORT` (FUEL.md).
    ///
    /// # Errors
    /// The engine or the system does not map it.
    pub fn module(self) -> Result<Module, Error> {
        Ok(map_for(self.verified, &Guests::default())?.module().clone())
    }

    /// The same in an engine that is there, for modules that share types. The engine compares
    /// its settings with those that were signed.
    ///
    /// # Errors
    /// They differ, or the engine or the system does not map it.
    pub fn module_in(self, engine: &Engine) -> Result<Module, Error> {
        Ok(map_into(engine, self.verified)?.module().clone())
    }
}
