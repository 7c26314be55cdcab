//! What is refused, and at which stage. The code is not run here, so any bytes
//! serve as an image.

use super::*;
use crate::image::{ImageBytes, ImageError};
use crate::open::OpenError;
use bls_artifact::artifact;
use bls_artifact::fuel;
use bls_artifact::key::PrivateKey;
use bls_artifact::manifest::{Compiler, Encoding, Fuel, Image, Kind, Limits, Module, Stored};
use bls_artifact::target::{ENGINE_COMPATIBILITY, EngineProfile, Nans, Target};

const IMAGE: &[u8] = b"native code, or at least something that hashes like it";

fn key() -> PrivateKey {
    PrivateKey::from_seed(&[1; 32])
}

pub(crate) fn manifest() -> Manifest {
    let target = Target::host().unwrap();
    Manifest {
        name: "app".into(),
        sequence: 0,
        created: None,
        expires: None,
        source: Sha256::of(b"source"),
        compiled: Sha256::of(b"metered"),
        compiler: Compiler {
            version: "0.1.0".into(),
            engine: "48.0.8".into(),
            compression: None,
            window: None,
        },
        documents: vec![],
        fuel: Some(Fuel {
            model: fuel::MODEL.into(),
            plan: fuel::PLAN,
            cost_table: fuel::cost_table(),
            overrun_max: 100,
            instantiation: 1,
        }),
        module: Module {
            kind: Kind::Command,
            start: false,
            imports: vec![],
            exports: vec![],
            memories: vec![],
            tables: vec![],
        },
        may_use: vec![],
        needs: vec![],
        limits: Limits::default(),
        parts: vec![Part {
            target,
            cpu_features: vec![],
            page_size: 65536,
            engine: ENGINE_COMPATIBILITY.into(),
            profile: EngineProfile::of(target, Nans::Canonical),
            stored: Stored {
                encoding: Encoding::Raw,
                length: IMAGE.len() as u64,
                sha256: Sha256::of(IMAGE),
            },
            image: Image {
                length: IMAGE.len() as u64,
                sha256: Sha256::of(IMAGE),
                verity: bls_artifact::digest::verity(IMAGE),
            },
        }],
        critical: vec![],
        extensions: std::collections::BTreeMap::new(),
    }
}

fn artifact_of(manifest: Manifest, parts: &[&[u8]]) -> Vec<u8> {
    let payload = Statement::new(manifest).to_bytes();
    artifact::write(&Envelope::sign(payload, &[&key()]).to_bytes(), parts)
}

fn verify_bytes(bytes: Vec<u8>, criteria: &Criteria<'_>) -> Result<Verified, Option<Reason>> {
    match Opened::from_bytes("app.bls", bytes) {
        Ok(opened) => verify(opened, criteria).map_err(|error| Some(error.reason)),
        Err(OpenError::Frame(..)) => Err(None),
        Err(other) => panic!("{other}"),
    }
}

fn reason(change: impl FnOnce(&mut Manifest)) -> Reason {
    let mut manifest = manifest();
    change(&mut manifest);
    let trust = Trust::only(key().public());
    verify_bytes(artifact_of(manifest, &[IMAGE]), &Criteria::of(&trust)).unwrap_err().unwrap()
}

#[test]
fn a_good_artifact_is_verified_and_sealed() {
    let trust = Trust::only(key().public());
    let bytes = artifact_of(manifest(), &[IMAGE]);
    let whole = Sha256::of(&bytes);
    let criteria = Criteria { digest: Some(whole), ..Criteria::of(&trust) };
    let verified = verify_bytes(bytes, &criteria).unwrap();
    assert_eq!(verified.facts().file_digest, Some(whole));
    assert_eq!(verified.facts().key_ids, [key().public().id()]);
    assert_eq!(verified.facts().integrity, Integrity::Copy(None));
    let ImageBytes::File(image) = verified.into_parts().1.into_bytes() else {
        panic!("the system gives memory files");
    };
    let seals = rustix::fs::fcntl_get_seals(&image).unwrap();
    use rustix::fs::SealFlags;
    assert!(
        seals.contains(SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL)
    );
    assert_eq!(image.metadata().unwrap().len(), IMAGE.len() as u64);
}

#[test]
fn every_bit_and_every_length_matters() {
    let trust = Trust::only(key().public());
    let bytes = artifact_of(manifest(), &[IMAGE]);
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(verify_bytes(flipped, &Criteria::of(&trust)).is_err(), "bit {bit}");
    }
    for length in 0..bytes.len() {
        assert!(verify_bytes(bytes[..length].to_vec(), &Criteria::of(&trust)).is_err(), "{length}");
    }
    let appended = [bytes.as_slice(), &[0; 16]].concat();
    assert!(verify_bytes(appended, &Criteria::of(&trust)).is_err());
}

#[test]
fn a_stranger_is_refused() {
    let trust = Trust::only(PrivateKey::from_seed(&[2; 32]).public());
    let refused = verify_bytes(artifact_of(manifest(), &[IMAGE]), &Criteria::of(&trust));
    let expected = key().public().id();
    assert!(matches!(refused, Err(Some(Reason::Untrusted(keys))) if keys == [expected]));
    assert!(
        verify_bytes(artifact_of(manifest(), &[IMAGE]), &Criteria::of(&Trust::default())).is_err()
    );
}

#[test]
fn a_changed_part_with_a_new_record_is_not_a_signed_part() {
    let trust = Trust::only(key().public());
    let refused = verify_bytes(artifact_of(manifest(), &[b"other"]), &Criteria::of(&trust));
    assert!(matches!(refused, Err(Some(Reason::UnsignedPart(0)))));
    let twice = verify_bytes(artifact_of(manifest(), &[IMAGE, IMAGE]), &Criteria::of(&trust));
    assert!(matches!(twice, Err(Some(Reason::PartOrder(1)))));
}

#[test]
fn misfits_are_named() {
    let other = if Target::host() == Some(Target::S390x) { Target::X86_64 } else { Target::S390x };
    let misfit = |change: fn(&mut Manifest)| match reason(change) {
        Reason::Misfit(misfit) => misfit,
        reason => panic!("{reason:?}"),
    };
    let refused = reason(|manifest| manifest.parts[0].target = other);
    assert!(matches!(refused, Reason::Misfit(Misfit::Architecture(targets)) if targets == [other]));
    assert!(matches!(
        misfit(|manifest| manifest.parts[0].target = Target::Pulley64),
        Misfit::Portable(_)
    ));
    assert!(matches!(
        misfit(|manifest| manifest.parts[0].cpu_features = vec!["has_magic".into()]),
        Misfit::CpuFeatures { missing, .. } if missing == ["magic"]
    ));
    assert!(matches!(
        misfit(|manifest| manifest.parts[0].page_size = 512),
        Misfit::PageSize { .. }
    ));
    assert!(matches!(misfit(|manifest| manifest.parts[0].engine = "47".into()), Misfit::Engine(_)));
    assert!(matches!(
        misfit(|manifest| manifest.parts[0].profile.memory_guard = 0),
        Misfit::Profile
    ));
    for change in [
        |fuel: &mut Fuel| fuel.model = "bls-fuel-9".into(),
        |fuel: &mut Fuel| fuel.plan = 99,
        |fuel: &mut Fuel| fuel.cost_table = Sha256::of(b""),
        |fuel: &mut Fuel| fuel.overrun_max = fuel::S_MAX + 1,
    ] as [fn(&mut Fuel); 4]
    {
        let refused = reason(|manifest| change(manifest.fuel.as_mut().unwrap()));
        assert!(matches!(
            refused,
            Reason::Misfit(
                Misfit::FuelModel(_)
                    | Misfit::FuelPlan(_)
                    | Misfit::CostTable(_)
                    | Misfit::FuelRange
            )
        ));
    }
    assert!(matches!(
        reason(|manifest| manifest.expires = Some(1)),
        Reason::Refused(refusal, _) if *refusal == Refusal::Expired(1)
    ));
}

#[test]
fn the_clock_that_is_given_decides() {
    use bls_artifact::trust::{CLOCK_FLOOR, Terms};
    let mut trust = Trust::default();
    let terms = Terms { not_after: Some(CLOCK_FLOOR + 9), ..Terms::default() };
    trust.add_on(key().public(), "", terms).unwrap();
    let at = |now: u64| {
        let criteria =
            Criteria { clock: Clock { now, unset_passes: false }, ..Criteria::of(&trust) };
        match verify_bytes(artifact_of(manifest(), &[IMAGE]), &criteria) {
            Ok(_) => None,
            Err(Some(Reason::Refused(refusal, Some(_)))) => Some(*refusal),
            Err(other) => panic!("{other:?}"),
        }
    };
    let id = key().public().id();
    assert_eq!(at(CLOCK_FLOOR + 9), None);
    let late = Doubt::Expired(CLOCK_FLOOR + 9);
    assert_eq!(at(CLOCK_FLOOR + 10), Some(Refusal::Key(id, late)));
    // A clock that was never set.
    for now in [0, CLOCK_FLOOR - 1] {
        assert_eq!(at(now), Some(Refusal::Key(id, Doubt::Clock(now))));
    }
}

#[test]
fn a_revoked_key_is_refused_before_anything_is_read() {
    let mut trust = Trust::only(key().public());
    trust.revoke_key(key().public().id());
    let bytes =
        artifact::write(&Envelope::sign(b"no statement".to_vec(), &[&key()]).to_bytes(), &[IMAGE]);
    let refused = verify_bytes(bytes, &Criteria::of(&trust));
    assert!(matches!(refused, Err(Some(Reason::Refused(_, None)))));
}

#[test]
fn another_file_is_refused_by_digest() {
    let trust = Trust::only(key().public());
    let criteria = Criteria { digest: Some(Sha256::of(b"another")), ..Criteria::of(&trust) };
    let refused = verify_bytes(artifact_of(manifest(), &[IMAGE]), &criteria);
    assert!(matches!(refused, Err(Some(Reason::Digest { .. }))));
}

/// An image as one zstd frame: raw blocks need no compressor.
fn zstd_frame(contents: &[u8]) -> Vec<u8> {
    assert!(contents.len() < 256);
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0x20, contents.len() as u8];
    let block = (contents.len() as u32) << 3 | 1;
    frame.extend_from_slice(&block.to_le_bytes()[..3]);
    frame.extend_from_slice(contents);
    frame
}

fn verify_zstd(stored: &[u8]) -> Result<Verified, Option<Reason>> {
    let mut manifest = manifest();
    manifest.compiler.compression = Some(19);
    manifest.parts[0].stored = Stored {
        encoding: Encoding::Zstd,
        length: stored.len() as u64,
        sha256: Sha256::of(stored),
    };
    let trust = Trust::only(key().public());
    verify_bytes(artifact_of(manifest, &[stored]), &Criteria::of(&trust))
}

#[test]
fn compressed_parts_are_bounded_and_hashed_again() {
    let frame = zstd_frame(IMAGE);
    assert!(verify_zstd(&frame).is_ok());
    let longer = zstd_frame(&[IMAGE, b"!"].concat());
    let shorter = zstd_frame(&IMAGE[1..]);
    let twice = [frame.as_slice(), &frame].concat();
    for wrong in [longer, shorter, twice, frame[..9].to_vec(), b"no zstd".to_vec(), vec![]] {
        let refused = verify_zstd(&wrong);
        assert!(matches!(refused, Err(Some(Reason::Image(ImageError::Compression(_))))));
    }
    let other = zstd_frame(&vec![b'x'; IMAGE.len()]);
    assert!(matches!(verify_zstd(&other), Err(Some(Reason::Image(ImageError::ImageDigest)))));
}
