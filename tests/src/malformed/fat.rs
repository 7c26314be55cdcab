//! Artifacts with several parts, or with features of CPUs, that do not fit together. All are
//! signed by a trusted key: the signature is good, and what it signs, or what is in the file of
//! it, is not.

use super::content::frame;
use super::{Bases, Defect, builder};
use bls_artifact::artifact;
use bls_artifact::digest::{Sha256, verity};
use bls_artifact::envelope::Envelope;
use bls_artifact::manifest::{Encoding, Image, Manifest, Part, Statement, Stored};
use bls_artifact::target::{EngineProfile, Nans, Target};

pub(super) fn defects() -> Vec<Defect> {
    let mut all = among_each_other();
    all.extend(features());
    all.extend(subjects());
    all.extend(stripped());
    all
}

/// Parts that the format allows, but not together.
fn among_each_other() -> Vec<Defect> {
    vec![
        Defect::new(
            "fat-parts-alike",
            "manifest.field",
            "two parts are for the same CPUs",
            |bases| {
                let own = own_features(bases);
                fat(bases, &[(Target::X86_64, &own)]).0
            },
        ),
        Defect::new(
            "fat-parts-alike-apart",
            "manifest.field",
            "must be sorted by target",
            |bases| {
                let own = own_features(bases);
                fat(bases, &[(Target::Aarch64, &[]), (Target::X86_64, &own)]).0
            },
        ),
        Defect::new("fat-parts-stored-alike", "manifest.field", "are stored alike", |bases| {
            let mut manifest = bases.hello.manifest.clone();
            let mut part = manifest.parts[0].clone();
            retarget(&mut part, Target::Aarch64, &[]);
            manifest.parts.push(part);
            signed(manifest, &[&bases.hello.part])
        }),
        Defect::new(
            "fat-targets-unsorted",
            "manifest.field",
            "must be sorted by target",
            |bases| fat(bases, &[(Target::S390x, &[]), (Target::Aarch64, &[])]).0,
        ),
        Defect::new(
            "fat-richer-part-first",
            "manifest.field",
            "by what they ask of a CPU",
            |bases| fat(bases, &[(Target::X86_64, &["has_sse3"])]).0,
        ),
        Defect::new(
            "fat-as-many-features-unsorted",
            "manifest.field",
            "by what they ask of a CPU",
            |bases| {
                fat(bases, &[(Target::Aarch64, &["has_lse"]), (Target::Aarch64, &["has_fp16"])]).0
            },
        ),
        Defect::new("fat-33-parts", "manifest.field", "1 to 32 parts", |bases| {
            let many: Vec<String> = (0..32).map(|number| format!("has_{number:02}")).collect();
            let many: Vec<Vec<&str>> = many.iter().map(|name| vec![name.as_str()]).collect();
            let parts: Vec<(Target, &[&str])> =
                many.iter().map(|features| (Target::Aarch64, features.as_slice())).collect();
            // The file itself has one: the header is good.
            let (_, envelope, _) = fat(bases, &parts);
            artifact::write(&envelope, &[&bases.hello.part])
        }),
    ]
}

/// Features that no part can have, or not this one.
fn features() -> Vec<Defect> {
    vec![
        Defect::new(
            "fat-features-unsorted",
            "manifest.field",
            "features must be sorted",
            |bases| with_features(bases, |all| all.reverse()),
        ),
        Defect::new("fat-feature-twice", "manifest.field", "each there once", |bases| {
            with_features(bases, |all| all.insert(0, all[0].clone()))
        }),
        Defect::new("fat-feature-no-name", "manifest.field", "a CPU feature is has_", |bases| {
            with_features(bases, |all| all.insert(0, "avx".into()))
        }),
        Defect::new("fat-feature-upper-case", "manifest.field", "a CPU feature is has_", |bases| {
            with_features(bases, |all| all.insert(0, "has_AVX".into()))
        }),
        Defect::new("fat-feature-with-plus", "manifest.field", "a CPU feature is has_", |bases| {
            with_features(bases, |all| all.insert(0, "has_a+b".into()))
        }),
        Defect::new("fat-feature-long", "manifest.field", "a CPU feature is has_", |bases| {
            with_features(bases, |all| all.insert(0, format!("has_{}", "a".repeat(29))))
        }),
        Defect::new("fat-65-features", "manifest.field", "there are at most 64", |bases| {
            let many = (0..65).map(|number| format!("has_{number:02}")).collect();
            with_features(bases, |all| *all = many)
        }),
        Defect::new(
            "fat-feature-of-another",
            "compatibility.cpu-feature",
            "its part for x86_64:v2+lse needs: lse",
            |bases| with_features(bases, |all| all.insert(1, "has_lse".into())),
        ),
        Defect::new("fat-portable-with-feature", "manifest.field", "a portable part", |bases| {
            fat(bases, &[(Target::Pulley64, &["has_avx"])]).0
        }),
        // Neither fits, and nobody is given a part that is only nearly right.
        Defect::new(
            "fat-no-part-fits",
            "compatibility.cpu-feature",
            "its part for x86_64:v2+telepathy needs: telepathy",
            |bases| {
                let mut manifest = bases.hello.manifest.clone();
                let (mut near, stored) = (manifest.parts[0].clone(), frame(b"more of it"));
                manifest.parts[0].cpu_features.push("has_telepathy".into());
                near.cpu_features.extend(["has_telekinesis".into(), "has_telepathy".into()]);
                near.cpu_features.sort_unstable();
                describe(&mut near, b"more of it", &stored);
                manifest.parts.push(near);
                signed(manifest, &[&bases.hello.part, &stored])
            },
        ),
    ]
}

/// Subjects of an in-toto statement that are not those of the parts.
fn subjects() -> Vec<Defect> {
    const RICHER: (Target, &[&str]) = (Target::Aarch64, &["has_fp16", "has_lse"]);
    const PLAIN: (Target, &[&str]) = (Target::Aarch64, &[]);
    vec![
        Defect::new("fat-subject-missing", "manifest.subjects", "are not the parts", |bases| {
            with_subjects(bases, &[PLAIN], |text| {
                let at = text.find(",{\"name\":\"hello@aarch64").expect("a second subject");
                let end = at + text[at..].find("}}").expect("its end") + 2;
                text.replace_range(at..end, "");
            })
        }),
        Defect::new("fat-subjects-swapped", "manifest.subjects", "are not the parts", |bases| {
            with_subjects(bases, &[PLAIN], |text| {
                let swapped = text.replacen("hello@aarch64", "hello@@", 1);
                let swapped = swapped.replacen("hello@x86_64", "hello@aarch64", 1);
                *text = swapped.replacen("hello@@", "hello@x86_64", 1);
            })
        }),
        Defect::new(
            "fat-subject-of-the-first",
            "manifest.subjects",
            "are not the parts",
            |bases| {
                with_subjects(bases, &[PLAIN, RICHER], |text| {
                    *text = text.replacen("gnu+fp16+lse\"", "gnu\"", 1);
                })
            },
        ),
        Defect::new("fat-subject-unsorted", "manifest.subjects", "are not the parts", |bases| {
            with_subjects(bases, &[PLAIN, RICHER], |text| {
                *text = text.replacen("gnu+fp16+lse\"", "gnu+lse+fp16\"", 1);
            })
        }),
        Defect::new("fat-subject-digest", "manifest.subjects", "are not the parts", |bases| {
            with_subjects(bases, &[PLAIN], |text| {
                let digest = bases.hello.manifest.parts[0].image.sha256.to_string();
                let other = Sha256::of(b"another").to_string();
                *text = text.replacen(&digest, &other, 1);
            })
        }),
    ]
}

/// Good artifacts that lack what would run here, or have it in another order.
fn stripped() -> Vec<Defect> {
    vec![
        Defect::new("content-parts-swapped", "content.part-order", "part 1", |bases| {
            let (_, envelope, parts) = fat(bases, &[(Target::Pulley64, &[])]);
            artifact::write(&envelope, &[&parts[1], &parts[0]])
        }),
        Defect::new(
            "content-other-part-only",
            "compatibility.stripped",
            "its part for x86_64:v2 would, and is not in this file",
            |bases| {
                let (_, envelope, parts) = fat(bases, &[(Target::Pulley64, &[])]);
                artifact::write(&envelope, &[&parts[1]])
            },
        ),
        Defect::new(
            "fat-stripped-of-what-runs",
            "compatibility.stripped",
            "its part for x86_64:v2 would, and is not in this file",
            |bases| {
                let own = own_features(bases);
                let more = [&own[..], &["has_telepathy"]].concat();
                let others: [(Target, &[&str]); 2] =
                    [(Target::X86_64, &more), (Target::Aarch64, &[])];
                let (_, envelope, parts) = fat(bases, &others);
                artifact::write(&envelope, &[&parts[1], &parts[2]])
            },
        ),
        Defect::new("fat-part-of-another-release", "content.unsigned-part", "part 1", |bases| {
            let (_, envelope, parts) = fat(bases, &[(Target::Aarch64, &[])]);
            artifact::write(&envelope, &[&parts[0], &frame(b"code of another release")])
        }),
    ]
}

/// The base, its part with other features.
fn with_features(bases: &Bases, change: impl FnOnce(&mut Vec<String>)) -> Vec<u8> {
    bases.hello.with_manifest(|manifest| change(&mut manifest.parts[0].cpu_features))
}

fn own_features(bases: &Bases) -> Vec<&str> {
    bases.hello.manifest.parts[0].cpu_features.iter().map(String::as_str).collect()
}

/// The base with more parts, which hold no code: the file, its envelope, and all parts.
fn fat(bases: &Bases, others: &[(Target, &[&str])]) -> (Vec<u8>, Vec<u8>, Vec<Vec<u8>>) {
    let mut manifest = bases.hello.manifest.clone();
    let mut stored = vec![bases.hello.part.clone()];
    for (index, (target, features)) in others.iter().enumerate() {
        let image = format!("code number {index} for {target}").into_bytes();
        let mut part = manifest.parts[0].clone();
        retarget(&mut part, *target, features);
        let frame = frame(&image);
        describe(&mut part, &image, &frame);
        manifest.parts.push(part);
        stored.push(frame);
    }
    let all: Vec<&[u8]> = stored.iter().map(Vec::as_slice).collect();
    let envelope = envelope(manifest);
    (if all.len() > 32 { Vec::new() } else { artifact::write(&envelope, &all) }, envelope, stored)
}

fn retarget(part: &mut Part, target: Target, features: &[&str]) {
    part.target = target;
    part.cpu_features = features.iter().map(|name| (*name).to_owned()).collect();
    part.profile = EngineProfile::of(target, Nans::Canonical);
}

fn describe(part: &mut Part, image: &[u8], stored: &[u8]) {
    let (length, sha256) = (image.len() as u64, Sha256::of(image));
    part.image = Image { length, sha256, verity: verity(image) };
    let (length, sha256) = (stored.len() as u64, Sha256::of(stored));
    part.stored = Stored { encoding: Encoding::Zstd, length, sha256 };
}

fn envelope(manifest: Manifest) -> Vec<u8> {
    Envelope::sign(Statement::new(manifest).to_bytes(), &[&builder()]).to_bytes()
}

fn signed(manifest: Manifest, parts: &[&[u8]]) -> Vec<u8> {
    artifact::write(&envelope(manifest), parts)
}

/// The base with more parts, and another text in the place of its payload, signed.
fn with_subjects(
    bases: &Bases,
    others: &[(Target, &[&str])],
    change: impl FnOnce(&mut String),
) -> Vec<u8> {
    let (_, envelope, stored) = fat(bases, others);
    let envelope = Envelope::parse(&envelope).expect("an envelope");
    let mut text = String::from_utf8(envelope.payload().to_vec()).expect("JSON");
    let before = text.clone();
    change(&mut text);
    assert_ne!(text, before, "nothing was changed");
    let all: Vec<&[u8]> = stored.iter().map(Vec::as_slice).collect();
    let envelope = Envelope::sign(text.into_bytes(), &[&builder()]);
    artifact::write(&envelope.to_bytes(), &all)
}
