//! The parts of a manifest among each other: their order, their features, their names.
//!
//! Guarantees of parts that passed [`check`]: no two are for the same CPUs, and they stand in
//! the one order that the format allows, so that of those which a machine can run the last
//! native one asks most of it.

use super::{Encoding, Manifest, Part, Subject, SubjectDigest};
use crate::cpu::{self, PREFIX, short};
use crate::limits::{CPU_FEATURE_BYTES_MAX, CPU_FEATURES_MAX, IMAGE_BYTES_MAX, PARTS_MAX};
use crate::target::Target;

impl Part {
    /// What it is for, in a few words: `x86_64:v3`.
    #[must_use]
    pub fn machine(&self) -> String {
        cpu::name(self.target, &self.cpu_features)
    }

    /// Where it stands: by target, then from the one that asks least of a CPU.
    fn place(&self) -> (Target, usize, &[String]) {
        (self.target, self.cpu_features.len(), &self.cpu_features)
    }
}

/// What serde's types cannot say of parts.
pub(super) fn check(parts: &[Part]) -> Result<(), &'static str> {
    if parts.is_empty() || parts.len() > PARTS_MAX as usize {
        return Err("there must be 1 to 32 parts");
    }
    for (index, part) in parts.iter().enumerate() {
        if parts[..index].iter().any(|other| other.stored == part.stored) {
            return Err("two parts are stored alike");
        }
        if part.image.length > IMAGE_BYTES_MAX {
            return Err("an image is longer than the format allows");
        }
        if part.stored.encoding == Encoding::Raw
            && (part.stored.length, part.stored.sha256) != (part.image.length, part.image.sha256)
        {
            return Err("a raw part must be its image");
        }
        if part.stored.encoding == Encoding::Sparse && part.stored.length >= part.image.length {
            return Err("a sparse part must be shorter than its image");
        }
        if !part.page_size.is_power_of_two() {
            return Err("a page size must be a power of two");
        }
        if !part.cpu_features.is_sorted_by(|a, b| a < b) {
            return Err("CPU features must be sorted, and each there once");
        }
        if part.cpu_features.len() > CPU_FEATURES_MAX
            || !part.cpu_features.iter().all(|name| is_feature_name(name))
        {
            return Err("a CPU feature is has_ and some of a-z 0-9 _, and there are at most 64");
        }
        if part.target.is_portable() && !part.cpu_features.is_empty() {
            return Err("a portable part must ask nothing of a CPU");
        }
    }
    for pair in parts.windows(2) {
        if pair[0].place() == pair[1].place() {
            return Err("two parts are for the same CPUs");
        }
        if pair[0].place() > pair[1].place() {
            return Err("parts must be sorted by target and by what they ask of a CPU");
        }
    }
    Ok(())
}

/// Whether a CPU feature can have this name. Which features there are is not asked: that grows.
fn is_feature_name(name: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    name.len() <= CPU_FEATURE_BYTES_MAX
        && name
            .strip_prefix(PREFIX)
            .is_some_and(|name| !name.is_empty() && name.bytes().all(is_letter))
}

/// One subject for each part.
pub(super) fn subjects(manifest: &Manifest) -> Vec<Subject> {
    let parts = manifest.parts.iter().enumerate();
    parts
        .map(|(index, part)| Subject {
            name: format!("{}@{}", manifest.name, subject_target(&manifest.parts[..index], part)),
            digest: SubjectDigest { sha256: part.image.sha256 },
        })
        .collect()
}

/// The target of a part's subject. The first part of a target has it alone; each further one
/// says behind it by which features it differs from the first: `+bmi2` it has and the first
/// has not, `-sse3` the other way round.
fn subject_target(before: &[Part], part: &Part) -> String {
    let mut text = part.target.triple().to_owned();
    if let Some(first) = before.iter().find(|other| other.target == part.target) {
        let [one, other] = [&part.cpu_features, &first.cpu_features];
        for (sign, here, there) in [('+', one, other), ('-', other, one)] {
            for feature in here.iter().filter(|feature| !there.contains(feature)) {
                text.push(sign);
                text += short(feature);
            }
        }
    }
    text
}
