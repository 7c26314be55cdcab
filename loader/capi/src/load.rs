//! Trust, loader, verified artifact.

use crate::border::{Slot, answer, bytes, c_string, given, make, text, words};
use crate::error::{Refusal, bls_error};
use ::bls_loader::bls_artifact::digest::Sha256;
use ::bls_loader::bls_artifact::policy::Requirement;
use ::bls_loader::{Loader, Trust, Verified};
use std::ffi::{CString, c_char};
use std::mem::MaybeUninit;
use std::path::Path;

/// Who is trusted to sign. Free it with bls_trust_free.
#[derive(Debug)]
pub struct bls_trust(Slot<Trust>);

fn trust(trust: Trust) -> bls_trust {
    bls_trust(Slot::new("the trust", trust))
}

/// This machine's trust: /etc/bls/trust.json where it exists, else the user's own file, as
/// bls-load finds them; never by a variable of the environment.
#[unsafe(no_mangle)]
pub extern "C" fn bls_trust_system(
    made: Option<&mut MaybeUninit<Option<Box<bls_trust>>>>,
) -> Option<Box<bls_error>> {
    make(made, || Ok(trust(Trust::system()?)))
}

/// The trust of a file: a trust file, signed or not, or a public key in PEM, which others than
/// its owner cannot write.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bls_trust_file(
    path: *const c_char,
    made: Option<&mut MaybeUninit<Option<Box<bls_trust>>>>,
) -> Option<Box<bls_error>> {
    make(made, || {
        // SAFETY: bls.h asks for a text.
        let path = unsafe { words(path, "the path") }?;
        Ok(trust(Trust::file(Path::new(path))?))
    })
}

/// The trust of such a file's contents, of so many bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bls_trust_bytes(
    contents: *const u8,
    length: usize,
    made: Option<&mut MaybeUninit<Option<Box<bls_trust>>>>,
) -> Option<Box<bls_error>> {
    make(made, || {
        // SAFETY: bls.h asks for that many bytes.
        let contents = unsafe { bytes(contents, length, "the contents") }?;
        Ok(trust(Trust::bytes(contents)?))
    })
}

/// Frees a trust. NULL is fine.
#[unsafe(no_mangle)]
pub extern "C" fn bls_trust_free(trust: Option<Box<bls_trust>>) {
    drop(trust);
}

/// Verifies artifacts. Once it is set up, threads may share it. Free it with bls_loader_free.
#[derive(Debug)]
pub struct bls_loader(Slot<Loader>);

/// Makes a loader that trusts these, and uses the trust up. The machine's policy,
/// /etc/bls/policy.json, holds where it exists.
#[unsafe(no_mangle)]
pub extern "C" fn bls_loader_new(
    trust: Option<&bls_trust>,
    made: Option<&mut MaybeUninit<Option<Box<bls_loader>>>>,
) -> Option<Box<bls_error>> {
    make(made, || {
        let trust = given(trust, "the trust")?.0.take()?;
        Ok(bls_loader(Slot::new("the loader", Loader::new(trust))))
    })
}

/// Lets the policy of this file bound what guests get, beside the machine's and others. Where
/// it cannot be read, the loader is used up: it opens nothing any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bls_loader_policy_file(
    loader: Option<&bls_loader>,
    path: *const c_char,
) -> Option<Box<bls_error>> {
    answer(|| {
        // SAFETY: bls.h asks for a text.
        let path = unsafe { words(path, "the path") }?;
        let slot = &given(loader, "the loader")?.0;
        slot.change(|loader| Ok(loader.policy_file(Path::new(path))?))
    })
}

/// Takes only the file that has this SHA-256, in 64 hexadecimal digits.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bls_loader_digest(
    loader: Option<&bls_loader>,
    sha256: *const c_char,
) -> Option<Box<bls_error>> {
    answer(|| {
        // SAFETY: bls.h asks for a text.
        let digits = unsafe { text(sha256, "the digest") }?;
        let digest = Sha256::from_hex(digits).ok_or(Refusal::Digest)?;
        given(loader, "the loader")?.0.change(|loader| Ok(loader.digest(digest)))
    })
}

/// Looks for what is installed in this store only.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bls_loader_store(
    loader: Option<&bls_loader>,
    path: *const c_char,
) -> Option<Box<bls_error>> {
    answer(|| {
        // SAFETY: bls.h asks for a text.
        let path = unsafe { words(path, "the path") }?;
        given(loader, "the loader")?.0.change(|loader| Ok(loader.store(path)))
    })
}

/// Demands something of each artifact: fuel (it is metered), deterministic (nothing in it
/// depends on the CPU), only-declared (it gets only what it says it needs), clock (what
/// expires runs only where the clock is set) or control-flow (its code has what keeps
/// control flow inside it).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bls_loader_require(
    loader: Option<&bls_loader>,
    word: *const c_char,
) -> Option<Box<bls_error>> {
    answer(|| {
        // SAFETY: bls.h asks for a text.
        let word = unsafe { text(word, "the word") }?;
        let requirement = match word {
            "fuel" => Requirement::Fuel,
            "deterministic" => Requirement::Deterministic,
            "only-declared" => Requirement::OnlyDeclared,
            "clock" => Requirement::Clock,
            "control-flow" => Requirement::ControlFlow,
            other => return Err(Refusal::Word(other.to_owned())),
        };
        given(loader, "the loader")?.0.change(|loader| Ok(loader.require(requirement)))
    })
}

/// Lets pass what expires where this machine's clock was never set.
#[unsafe(no_mangle)]
pub extern "C" fn bls_loader_clock_unset(loader: Option<&bls_loader>) -> Option<Box<bls_error>> {
    answer(|| given(loader, "the loader")?.0.change(|loader| Ok(loader.clock_unset())))
}

/// Verifies a file. Its code is copied into sealed memory and hashed on the way.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bls_loader_open(
    loader: Option<&bls_loader>,
    path: *const c_char,
    made: Option<&mut MaybeUninit<Option<Box<bls_verified>>>>,
) -> Option<Box<bls_error>> {
    make(made, || {
        // SAFETY: bls.h asks for a text.
        let path = unsafe { words(path, "the path") }?;
        let opened = given(loader, "the loader")?.0.see(|loader| Ok(loader.open(path)?))?;
        Ok(verified(opened))
    })
}

/// Verifies an artifact that is in memory, in so many bytes, which are copied. name is what
/// messages call it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bls_loader_open_bytes(
    loader: Option<&bls_loader>,
    name: *const c_char,
    artifact: *const u8,
    length: usize,
    made: Option<&mut MaybeUninit<Option<Box<bls_verified>>>>,
) -> Option<Box<bls_error>> {
    make(made, || {
        // SAFETY: bls.h asks for a text.
        let name = unsafe { text(name, "the name") }?;
        // SAFETY: bls.h asks for that many bytes.
        let artifact = unsafe { bytes(artifact, length, "the artifact") }?.to_vec();
        let slot = &given(loader, "the loader")?.0;
        Ok(verified(slot.see(|loader| Ok(loader.open_bytes(name, artifact)?))?))
    })
}

/// Verifies what is installed under this name. Code that only root could have written since it
/// was installed is mapped where it is.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bls_loader_open_installed(
    loader: Option<&bls_loader>,
    name: *const c_char,
    made: Option<&mut MaybeUninit<Option<Box<bls_verified>>>>,
) -> Option<Box<bls_error>> {
    make(made, || {
        // SAFETY: bls.h asks for a text.
        let name = unsafe { text(name, "the name") }?;
        let slot = &given(loader, "the loader")?.0;
        Ok(verified(slot.see(|loader| Ok(loader.open_installed(name)?))?))
    })
}

/// Frees a loader. NULL is fine. What it verified stays.
#[unsafe(no_mangle)]
pub extern "C" fn bls_loader_free(loader: Option<Box<bls_loader>>) {
    drop(loader);
}

/// An artifact that may run here: signed by who is trusted, and its code is what was signed.
/// Free it with bls_verified_free.
#[derive(Debug)]
pub struct bls_verified {
    pub(crate) verified: Slot<Verified>,
    name: CString,
    identity: CString,
    key_ids: Vec<CString>,
}

fn verified(verified: Verified) -> bls_verified {
    let facts = verified.facts();
    bls_verified {
        name: c_string(&facts.manifest.name),
        identity: c_string(&facts.identity.to_string()),
        key_ids: facts.key_ids.iter().map(|id| c_string(&id.to_string())).collect(),
        verified: Slot::new("the artifact", verified),
    }
}

/// The name in its manifest. Belongs to the artifact, and stays when that is used up.
#[unsafe(no_mangle)]
pub extern "C" fn bls_verified_name(verified: Option<&bls_verified>) -> *const c_char {
    verified.map_or(std::ptr::null(), |verified| verified.name.as_ptr())
}

/// Its identity: the SHA-256 of what was signed, in hexadecimal digits. Belongs to the
/// artifact, and stays when that is used up.
#[unsafe(no_mangle)]
pub extern "C" fn bls_verified_identity(verified: Option<&bls_verified>) -> *const c_char {
    verified.map_or(std::ptr::null(), |verified| verified.identity.as_ptr())
}

/// The ids of the compilers' keys whose signatures count, by number from 0; NULL behind the
/// last. Belongs to the artifact, and stays when that is used up.
#[unsafe(no_mangle)]
pub extern "C" fn bls_verified_key_id(
    verified: Option<&bls_verified>,
    number: usize,
) -> *const c_char {
    let id = verified.and_then(|verified| verified.key_ids.get(number));
    id.map_or(std::ptr::null(), |id| id.as_ptr())
}

/// Frees an artifact. NULL is fine.
#[unsafe(no_mangle)]
pub extern "C" fn bls_verified_free(verified: Option<Box<bls_verified>>) {
    drop(verified);
}
