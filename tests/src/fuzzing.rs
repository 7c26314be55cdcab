//! What must hold of arbitrary bytes, at each place where bytes of strangers come in.
//!
//! One function for each fuzz target (`fuzz/`) of the same name; the test `fuzzing`
//! drives the same functions without a fuzzer. Each says whether it took the input, so
//! that a driver can see that its inputs mean something. Guarantees nothing about
//! time and memory: the drivers bound those.

pub use crate::broker::broker;
pub use crate::components::component;
pub use crate::deltas::delta;
pub use crate::installs::install;
use crate::modules;
use bls_artifact::artifact::{self, Contents, FrameError, Header};
use bls_artifact::digest::{Sha256, verity};
use bls_artifact::envelope::Envelope;
use bls_artifact::key::{PrivateKey, PublicKey};
use bls_artifact::manifest::{Encoding, Image, Manifest, Statement, Stored};
use bls_artifact::policy::{self, Policy};
use bls_artifact::trust::{Refusal, Trust};
use bls_compiler::audit::audit;
use bls_compiler::describe::describe;
use bls_compiler::input::Source;
use bls_compiler::meter::MeterError;
use bls_compiler::ready::{ReadyError, ready};
use bls_compiler::validate::{ValidateError, Validated, validate};
use bls_loader::open::{OpenError, Opened};
use bls_loader::verify::{self, Verified, VerifyError, verify};

/// An entrance: takes arbitrary bytes, says whether they were accepted.
pub type Entrance = fn(&[u8]) -> bool;

/// Every entrance, by the name of its fuzz target.
pub const ENTRANCES: [(&str, Entrance); 9] = [
    ("framing", framing),
    ("envelope", envelope),
    ("trust", trust),
    ("install", install),
    ("delta", delta),
    ("broker", broker),
    ("compile", compile),
    ("component", component),
    ("smith", smith),
];

/// Framing: what is read is written again to the same bytes, and the loader's reader
/// agrees with the one that reads everything.
pub fn framing(bytes: &[u8]) -> bool {
    let as_it_is = framed(bytes);
    // Digests hide from a fuzzer what stands behind them: once more, with ones that fit.
    framed(&mended(bytes)) || as_it_is
}

fn framed(bytes: &[u8]) -> bool {
    let opened = Opened::from_bytes("input", bytes.to_vec());
    let read = Contents::parse(bytes);
    match (&opened, &read) {
        (Ok(_), Ok(_)) => {}
        // The loader looks at parts and padding later.
        (Ok(_), Err(FrameError::PartDigest(_) | FrameError::Padding(_))) => {}
        (Err(OpenError::Frame(_, one)), Err(other)) => assert_eq!(one, other),
        (one, other) => panic!("{one:?}, and {other:?}"),
    }
    if let Ok(opened) = opened {
        let _ = judge(opened);
    }
    let Ok((contents, parts)) = read else { return false };
    assert_eq!(artifact::write(contents.envelope, &parts), bytes);
    true
}

/// The same bytes with magic, length and digests that fit, as far as there is room.
fn mended(bytes: &[u8]) -> Vec<u8> {
    /// Where the header has them (FORMAT.md).
    const LENGTH: usize = 16;
    const DIGEST: usize = 32;
    let mut bytes = bytes.to_vec();
    let length = bytes.len() as u64;
    if bytes.len() < artifact::HEADER_LEN {
        return bytes;
    }
    bytes[..8].copy_from_slice(&artifact::MAGIC);
    bytes[LENGTH..LENGTH + 8].copy_from_slice(&length.to_le_bytes());
    let Ok(header) = Header::parse(&bytes, length) else { return bytes };
    let prefix = header.prefix_length();
    let records = u32::from_le_bytes(bytes[12..16].try_into().expect("four bytes")) as usize;
    let envelope = artifact::HEADER_LEN + records * artifact::RECORD_LEN;
    let digest = Sha256::of(&bytes[envelope..prefix]);
    bytes[DIGEST..DIGEST + 32].copy_from_slice(&digest.0);
    let header = Header::parse(&bytes, length).expect("only the digest is another");
    let Ok(frame) = artifact::Frame::parse(&header, &bytes[..prefix]) else { return bytes };
    for (index, record) in frame.parts().iter().enumerate() {
        let stored = record.offset as usize..(record.offset + record.length) as usize;
        let digest = Sha256::of(&bytes[stored]);
        let at = artifact::HEADER_LEN + index * artifact::RECORD_LEN;
        bytes[at..at + 32].copy_from_slice(&digest.0);
    }
    bytes
}

/// Envelope and statement: whatever is read is written again to the same bytes, and a
/// loader that trusts who signed it comes to a decision.
pub fn envelope(bytes: &[u8]) -> bool {
    let mut accepted = statement(bytes);
    if let Ok(envelope) = Envelope::parse(bytes) {
        assert_eq!(envelope.to_bytes(), bytes);
        let key = key().public();
        for claim in envelope.claims() {
            let good = envelope.verifies(claim, &key);
            assert!(!good || claim.key_id == key.id());
        }
        statement(envelope.payload());
        accepted = true;
    }
    accepted
}

fn statement(bytes: &[u8]) -> bool {
    let Ok(manifest) = Statement::parse(bytes) else { return false };
    assert_eq!(Statement::new(manifest.clone()).to_bytes(), bytes);
    if manifest.parts.len() == 1 {
        let artifact = artifact_of(manifest);
        let opened = Opened::from_bytes("input", artifact).expect("framing of our own");
        match judge(opened) {
            Ok(_) => {}
            // It was read, so it is read again; and the image is the one it names.
            Err(error) => assert!(
                match &error.reason {
                    verify::Reason::Misfit(_) => true,
                    verify::Reason::Refused(refusal, _) => {
                        matches!(**refusal, Refusal::Expired(_) | Refusal::Clock(_))
                    }
                    _ => false,
                },
                "{error}"
            ),
        }
    }
    true
}

/// An artifact with this manifest, but for its image, which is a few bytes.
fn artifact_of(mut manifest: Manifest) -> Vec<u8> {
    const IMAGE: &[u8] = b"native code, or at least something that hashes like it";
    let (length, sha256) = (IMAGE.len() as u64, Sha256::of(IMAGE));
    let part = &mut manifest.parts[0];
    part.stored = Stored { encoding: Encoding::Raw, length, sha256 };
    part.image = Image { length, sha256, verity: verity(IMAGE) };
    let payload = Statement::new(manifest).to_bytes();
    artifact::write(&Envelope::sign(payload, &[&key()]).to_bytes(), &[IMAGE])
}

/// The key of [`crate::programs::Home::new`], with which seeds are signed.
fn key() -> PrivateKey {
    PrivateKey::from_seed(&[7; 32])
}

fn judge(opened: Opened) -> Result<Verified, VerifyError> {
    let trust = Trust::only(key().public());
    verify(opened, &verify::Criteria::of(&trust))
}

/// Files that decide: trust files, policies, keys. What is read of a trust file is
/// written to a text that says the same.
pub fn trust(bytes: &[u8]) -> bool {
    let mut accepted = Policy::parse(bytes).is_ok();
    accepted |= policy::parse_needs(bytes).is_ok();
    if let Ok(Ok(key)) = std::str::from_utf8(bytes).map(PublicKey::from_pem) {
        assert_eq!(PublicKey::from_pem(&key.to_pem()), Ok(key));
        accepted = true;
    }
    if let Ok(trust) = Trust::parse(bytes) {
        assert_eq!(Trust::parse(trust.to_text().as_bytes()), Ok(trust));
        accepted = true;
    }
    accepted
}

/// Modules, whoever made them: what is valid is metered to something valid that the
/// audit passes.
pub fn compile(bytes: &[u8]) -> bool {
    let Ok(source) = Source::new(bytes.to_vec(), "module") else { return false };
    let Ok(module) = validate(source, &modules::profile()) else { return false };
    passes(&module);
    true
}

/// The same of modules that are valid by the way they are made.
pub fn smith(bytes: &[u8]) -> bool {
    let Some((choice, rest)) = bytes.split_first() else { return false };
    let Some(wasm) = modules::generate_from(u64::from(*choice), rest) else { return false };
    let source = Source::new(wasm, "module").expect("a module");
    match validate(source, &modules::profile()) {
        Ok(module) => {
            passes(&module);
            true
        }
        Err(ValidateError::ReservedExport(_) | ValidateError::ReservedImport(..)) => false,
        Err(error) => panic!("what was made valid is refused: {error}"),
    }
}

fn passes(module: &Validated) {
    describe(module).expect("a valid module is described");
    match ready(module, true) {
        Ok(metered) => {
            audit(module, metered).unwrap_or_else(|error| panic!("metered: {error}"));
        }
        // The one thing that a valid module can be too much for.
        Err(ReadyError::Meter(MeterError::TooLong { .. }) | ReadyError::TooLong(_)) => {}
        Err(error) => panic!("{error}"),
    }
    let plain = ready(module, false).unwrap_or_else(|error| panic!("{error}"));
    audit(module, plain).unwrap_or_else(|error| panic!("not metered: {error}"));
}
