//! Artifacts made and verified in process, as an embedder has them.

use bls_artifact::key::PrivateKey;
use bls_artifact::target::Target;
use bls_compiler::pipeline::{self, Options};
use bls_loader::{Loader, Runner, Trust, Verified};

/// The key of these artifacts.
#[must_use]
pub fn key() -> PrivateKey {
    PrivateKey::from_seed(&[5; 32])
}

/// A metered, signed artifact of a module, as text or as bytes.
///
/// # Panics
/// When it cannot be made.
#[must_use]
pub fn artifact(name: &str, module: &[u8]) -> Vec<u8> {
    artifact_with(name, module, &options())
}

/// What is compiled by default, for this machine.
///
/// # Panics
/// When there is no native target for it.
#[must_use]
pub fn options() -> Options {
    Options::new(vec![Target::host().expect("a target")])
}

/// The same with other options.
///
/// # Panics
/// When it cannot be made.
#[must_use]
pub fn artifact_with(name: &str, module: &[u8], options: &Options) -> Vec<u8> {
    let wasm = wat::parse_bytes(module).expect("a module").into_owned();
    let artifact = pipeline::build(wasm, name, options, &[&key()]).expect("an artifact");
    artifact.bytes().to_vec()
}

/// Verified by whoever trusts that key.
///
/// # Panics
/// When it is refused.
#[must_use]
pub fn verified(name: &str, module: &[u8]) -> Verified {
    let loader = Loader::new(Trust::key(key().public()));
    loader.open_bytes(name, artifact(name, module)).expect("a good artifact")
}

/// Ready to be asked for more.
#[must_use]
pub fn runner(name: &str, module: &[u8]) -> Runner {
    Runner::new(verified(name, module))
}
