//! What code is made for: a target, and what it may ask of the CPU there.
//!
//! A CPU feature has cranelift's name (`has_avx2`); people write it without `has_`. A level
//! is a set of features with a name that the architecture's makers gave it. Guarantees of a
//! [`Machine`]: every feature is one of its target's, sorted, each once; and of one that was
//! read from words, that what a feature stands on is there too (no AVX2 without AVX), for no
//! CPU has the one without the other. Nothing here asks a CPU what it can do.
//!
//! ```text
//! x86_64             the target's own level: v2
//! x86_64:v3          another level
//! x86_64:v2+bmi2     a level, and more
//! aarch64:+lse+fp16  the target's own level, and more
//! ```

use crate::nearest::nearest;
use crate::target::Target;
use std::fmt;

/// What every feature's name begins with.
pub const PREFIX: &str = "has_";

/// A feature, and those that no CPU with it lacks.
type Known = (&'static str, &'static [&'static str]);

/// A named set of features, which includes that of the level before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level {
    /// What it is called.
    pub name: &'static str,
    /// What it adds to the level before it.
    adds: &'static [&'static str],
    /// Which CPUs have it, in a few words.
    pub about: &'static str,
}

const X86_64: &[Known] = &[
    ("has_avx", &["has_sse42"]),
    ("has_avx2", &["has_avx"]),
    ("has_avx512bitalg", &["has_avx512f"]),
    ("has_avx512dq", &["has_avx512f"]),
    ("has_avx512f", &["has_avx2", "has_fma"]),
    ("has_avx512vbmi", &["has_avx512f"]),
    ("has_avx512vl", &["has_avx512f"]),
    ("has_avx512vnni", &["has_avx512f"]),
    ("has_avx_vnni", &["has_avx2"]),
    ("has_bmi1", &[]),
    ("has_bmi2", &[]),
    ("has_cmpxchg16b", &[]),
    ("has_fma", &["has_avx"]),
    ("has_lzcnt", &[]),
    ("has_popcnt", &[]),
    ("has_sse3", &[]),
    ("has_sse41", &["has_ssse3"]),
    ("has_sse42", &["has_sse41"]),
    ("has_ssse3", &["has_sse3"]),
];

/// Those of the x86-64 psABI, as far as cranelift has them.
const X86_64_LEVELS: &[Level] = &[
    Level { name: "v1", adds: &[], about: "every 64-bit CPU: SSE2" },
    Level {
        name: "v2",
        adds: &["has_cmpxchg16b", "has_popcnt", "has_sse42"],
        about: "since about 2009: Nehalem, Bulldozer, Silvermont",
    },
    Level {
        name: "v3",
        adds: &["has_avx2", "has_bmi1", "has_bmi2", "has_fma", "has_lzcnt"],
        about: "since about 2013: Haswell, Excavator, Zen",
    },
    Level {
        name: "v4",
        adds: &["has_avx512dq", "has_avx512f", "has_avx512vl"],
        about: "with AVX-512: Skylake servers, Zen 4",
    },
];

const AARCH64: &[Known] = &[
    ("has_dotprod", &[]),
    ("has_fp16", &[]),
    ("has_i8mm", &[]),
    ("has_lse", &[]),
    ("has_pauth", &[]),
];

const AARCH64_LEVELS: &[Level] = &[
    Level { name: "v8.0", adds: &[], about: "every one: Cortex-A53, A72" },
    Level { name: "v8.1", adds: &["has_lse"], about: "atomics: Cortex-A55, A76, Neoverse N1" },
    Level { name: "v8.4", adds: &["has_dotprod", "has_pauth"], about: "Neoverse V1, Apple M1" },
    Level { name: "v8.6", adds: &["has_i8mm"], about: "Neoverse V2, Apple M2" },
];

const RISCV64: &[Known] = &[
    ("has_a", &[]),
    ("has_d", &["has_f"]),
    ("has_f", &["has_zicsr"]),
    ("has_m", &[]),
    ("has_v", &["has_d", "has_zvl128b"]),
    ("has_zba", &[]),
    ("has_zbb", &[]),
    ("has_zbc", &[]),
    ("has_zbkb", &[]),
    ("has_zbs", &[]),
    ("has_zca", &[]),
    ("has_zcb", &["has_zca"]),
    ("has_zcd", &["has_d", "has_zca"]),
    ("has_zfa", &["has_f"]),
    ("has_zfh", &["has_zfhmin"]),
    ("has_zfhmin", &["has_f"]),
    ("has_zicond", &[]),
    ("has_zicsr", &[]),
    ("has_zifencei", &[]),
    ("has_zvbb", &["has_v"]),
    ("has_zvfh", &["has_v", "has_zfhmin"]),
    ("has_zvl1024b", &["has_zvl512b"]),
    ("has_zvl128b", &["has_zvl64b"]),
    ("has_zvl16384b", &["has_zvl8192b"]),
    ("has_zvl2048b", &["has_zvl1024b"]),
    ("has_zvl256b", &["has_zvl128b"]),
    ("has_zvl32768b", &["has_zvl16384b"]),
    ("has_zvl32b", &[]),
    ("has_zvl4096b", &["has_zvl2048b"]),
    ("has_zvl512b", &["has_zvl256b"]),
    ("has_zvl64b", &["has_zvl32b"]),
    ("has_zvl65536b", &["has_zvl32768b"]),
    ("has_zvl8192b", &["has_zvl4096b"]),
];

const RISCV64_LEVELS: &[Level] = &[
    Level {
        name: "rv64gc",
        adds: &["has_a", "has_d", "has_m", "has_zcd", "has_zifencei"],
        about: "every one that runs Linux distributions",
    },
    Level {
        name: "rva22",
        adds: &["has_zba", "has_zbb", "has_zbs", "has_zfhmin"],
        about: "the profile RVA22U64",
    },
    Level {
        name: "rva23",
        adds: &["has_v", "has_zcb", "has_zfa", "has_zicond", "has_zvbb"],
        about: "the profile RVA23U64, with vectors",
    },
];

const S390X: &[Known] =
    &[("has_mie3", &[]), ("has_mie4", &[]), ("has_vxrs_ext2", &[]), ("has_vxrs_ext3", &[])];

const S390X_LEVELS: &[Level] = &[
    Level { name: "z14", adds: &[], about: "the oldest that runs it" },
    Level { name: "z15", adds: &["has_mie3", "has_vxrs_ext2"], about: "z15 and z16" },
    Level { name: "z17", adds: &["has_mie4", "has_vxrs_ext3"], about: "z17" },
];

fn known(target: Target) -> &'static [Known] {
    match target {
        Target::X86_64 => X86_64,
        Target::Aarch64 => AARCH64,
        Target::Riscv64 => RISCV64,
        Target::S390x => S390X,
        Target::Pulley32 | Target::Pulley64 => &[],
    }
}

/// Every feature of a target, sorted.
pub fn features(target: Target) -> impl Iterator<Item = &'static str> {
    known(target).iter().map(|(name, _)| *name)
}

/// A target's levels, from the one that every CPU has; none where there is nothing to choose.
#[must_use]
pub fn levels(target: Target) -> &'static [Level] {
    match target {
        Target::X86_64 => X86_64_LEVELS,
        Target::Aarch64 => AARCH64_LEVELS,
        Target::Riscv64 => RISCV64_LEVELS,
        Target::S390x => S390X_LEVELS,
        Target::Pulley32 | Target::Pulley64 => &[],
    }
}

/// The level that a target without further words means; `None` where it has none.
#[must_use]
pub fn level_default(target: Target) -> Option<&'static Level> {
    levels(target).get(usize::from(target == Target::X86_64))
}

/// All features of a level, sorted.
#[must_use]
pub fn features_of(target: Target, level: &Level) -> Vec<&'static str> {
    let levels = levels(target);
    let end = levels.iter().position(|one| one == level).map_or(0, |at| at + 1);
    closed(target, levels[..end].iter().flat_map(|one| one.adds).copied())
}

/// These features and those that they stand on, sorted.
fn closed(target: Target, from: impl IntoIterator<Item = &'static str>) -> Vec<&'static str> {
    let mut open: Vec<&str> = from.into_iter().collect();
    let mut all = Vec::new();
    while let Some(name) = open.pop() {
        if !all.contains(&name) {
            all.push(name);
            let found = known(target).iter().find(|(one, _)| *one == name);
            open.extend(found.map_or(&[][..], |(_, below)| below));
        }
    }
    all.sort_unstable();
    all
}

/// The name of a feature as people write it.
#[must_use]
pub fn short(feature: &str) -> &str {
    feature.strip_prefix(PREFIX).unwrap_or(feature)
}

/// Features in a few words: the highest level that they hold, and what is beyond it
/// (`v2+bmi2`); empty where there is nothing to say.
#[must_use]
pub fn shown<S: AsRef<str>>(target: Target, features: &[S]) -> String {
    let has = |feature: &str| features.iter().any(|one| one.as_ref() == feature);
    let levels = levels(target).iter().rev().map(|level| (level, features_of(target, level)));
    let mut held = levels.filter(|(_, all)| all.iter().all(|feature| has(feature)));
    let (level, all) = held.next().map_or(("", Vec::new()), |(level, all)| (level.name, all));
    let mut text = level.to_owned();
    for feature in features.iter().map(AsRef::as_ref).filter(|one| !all.contains(one)) {
        text.push('+');
        text += short(feature);
    }
    text
}

/// A target and features of its CPU, in a few words: `x86_64:v3`.
#[must_use]
pub fn name<S: AsRef<str>>(target: Target, features: &[S]) -> String {
    match shown(target, features) {
        cpu if cpu.is_empty() => target.short().to_owned(),
        cpu => format!("{}:{cpu}", target.short()),
    }
}

/// Why words name no machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MachineError {
    /// There is no such target.
    Target(String),
    /// The target has no such level.
    Level(Target, String),
    /// The target has no such feature.
    Feature(Target, String),
    /// The target is the same on every CPU.
    Portable(Target),
}

impl fmt::Display for MachineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Target(_) => {
                let all = Target::ALL.map(Target::short).join(", ");
                let triple = Target::X86_64.triple();
                write!(f, "there is no such target; there are {all}, also as triples such as ")?;
                f.write_str(triple)
            }
            Self::Level(target, word) => {
                let names: Vec<&str> = levels(*target).iter().map(|level| level.name).collect();
                write!(f, "{} has no level {word:?}; it has {}", target.short(), names.join(", "))?;
                write!(f, ", and single features behind a +")
            }
            Self::Feature(target, word) => {
                write!(f, "{} has no CPU feature {word:?}", target.short())?;
                let owns = |other: &Target| features(*other).any(|one| short(one) == short(word));
                match (Target::ALL.into_iter().find(owns), nearest(word, known_words(*target))) {
                    (Some(other), _) => write!(f, "; {} has it", other.short()),
                    (None, Some(near)) => write!(f, "; did you mean {near}?"),
                    (None, None) => Ok(()),
                }
            }
            Self::Portable(target) => {
                write!(f, "{target} is the same on every CPU: it has no levels and no features")
            }
        }
    }
}

impl std::error::Error for MachineError {}

fn known_words(target: Target) -> impl Iterator<Item = &'static str> {
    features(target).map(short)
}

/// A target, and the features of its CPU that code may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    target: Target,
    features: Vec<&'static str>,
}

impl Machine {
    /// The target `TARGET`, or `TARGET:CPU`, where `CPU` is as for [`Machine::with_cpu`].
    ///
    /// # Errors
    /// [`MachineError`].
    pub fn parse(text: &str) -> Result<Self, MachineError> {
        let (word, cpu) =
            text.split_once(':').map_or((text, None), |(word, cpu)| (word, Some(cpu)));
        let target =
            Target::from_word(word).ok_or_else(|| MachineError::Target(word.to_owned()))?;
        cpu.map_or_else(|| Ok(target.into()), |cpu| Self::with_cpu(target, cpu))
    }

    /// A target with a level, `LEVEL`, with more, `LEVEL+FEATURE`, or its own level with more,
    /// `+FEATURE`.
    ///
    /// # Errors
    /// [`MachineError`].
    pub fn with_cpu(target: Target, cpu: &str) -> Result<Self, MachineError> {
        if levels(target).is_empty() {
            return Err(MachineError::Portable(target));
        }
        let mut words = cpu.split('+');
        let level = match words.next().unwrap_or_default() {
            "" if cpu.starts_with('+') => level_default(target),
            word => levels(target).iter().find(|level| level.name == word),
        };
        let level = level.ok_or_else(|| {
            let word = cpu.split('+').next().unwrap_or_default();
            MachineError::Level(target, word.to_owned())
        })?;
        let mut all = features_of(target, level);
        for word in words {
            let found = features(target).find(|one| *one == word || short(one) == word);
            all.push(found.ok_or_else(|| MachineError::Feature(target, word.to_owned()))?);
        }
        Ok(Self { target, features: closed(target, all) })
    }

    /// A target with exactly these features; `None` where one is none of its own, or they are
    /// not sorted.
    #[must_use]
    pub fn exactly<S: AsRef<str>>(target: Target, given: &[S]) -> Option<Self> {
        let found = given.iter().map(|name| features(target).find(|one| *one == name.as_ref()));
        let features: Vec<&str> = found.collect::<Option<_>>()?;
        features.is_sorted_by(|a, b| a < b).then_some(Self { target, features })
    }

    /// The target with all features that a CPU has which `has` these: of a feature whose ground
    /// is missing, as under a hypervisor that hides some, nothing is taken.
    #[must_use]
    pub fn of_cpu(target: Target, has: &dyn Fn(&str) -> bool) -> Self {
        let stands = |name: &&'static str| closed(target, [*name]).iter().all(|one| has(one));
        Self { target, features: features(target).filter(stands).collect() }
    }

    /// The best level of `target` that a CPU has which `has` these features; the lowest where
    /// it has none.
    #[must_use]
    pub fn best(target: Target, has: &dyn Fn(&str) -> bool) -> Self {
        let held = levels(target).iter().rev().map(|level| features_of(target, level));
        let lowest = levels(target).first().map(|level| features_of(target, level));
        let mut held = held.filter(|all| all.iter().all(|feature| has(feature)));
        Self { target, features: held.next().or(lowest).unwrap_or_default() }
    }

    /// The target.
    #[must_use]
    pub fn target(&self) -> Target {
        self.target
    }

    /// The features, by cranelift's names, sorted.
    #[must_use]
    pub fn features(&self) -> &[&'static str] {
        &self.features
    }

    /// Where it stands among the parts of an artifact: by target, then from the one that asks
    /// least of a CPU.
    #[must_use]
    pub fn place(&self) -> impl Ord + '_ {
        (self.target, self.features.len(), &self.features)
    }
}

impl From<Target> for Machine {
    fn from(target: Target) -> Self {
        let features = level_default(target).map(|level| features_of(target, level));
        Self { target, features: features.unwrap_or_default() }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&name(self.target, &self.features))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn features_in(text: &str) -> Vec<&'static str> {
        Machine::parse(text).unwrap().features().to_vec()
    }

    #[test]
    fn the_tables_fit_together() {
        for target in Target::ALL {
            let all: Vec<&str> = features(target).collect();
            assert!(all.is_sorted_by(|a, b| a < b), "{target}");
            assert!(all.iter().all(|name| name.starts_with(PREFIX)), "{target}");
            let below = known(target).iter().flat_map(|(_, below)| *below);
            let added = levels(target).iter().flat_map(|level| level.adds);
            assert!(below.chain(added).all(|name| all.contains(name)), "{target}");
            for pair in levels(target).windows(2) {
                let [lower, higher] = [&pair[0], &pair[1]].map(|one| features_of(target, one));
                assert!(lower.iter().all(|name| higher.contains(name)) && lower != higher);
            }
        }
    }

    #[test]
    fn words_name_machines() {
        assert_eq!(Machine::parse("x86_64"), Ok(Target::X86_64.into()));
        assert_eq!(Machine::parse("x86_64:v2"), Ok(Target::X86_64.into()));
        assert_eq!(features_in("amd64:v1"), [""; 0]);
        let v2 = ["cmpxchg16b", "popcnt", "sse3", "sse41", "sse42", "ssse3"];
        assert_eq!(features_in("x86_64").iter().map(|one| short(one)).collect::<Vec<_>>(), v2);
        // cranelift's own preset of that name leaves AVX out.
        assert!(features_in("x86_64:v3").contains(&"has_avx"));
        assert!(features_in("x86_64:v1+fma").contains(&"has_sse42"), "what it stands on");
        assert_eq!(features_in("x86_64:v2+has_bmi2"), features_in("x86_64:+bmi2"));
        assert_eq!(features_in("arm64:+lse+fp16"), ["has_fp16", "has_lse"]);
        assert_eq!(features_in("riscv64").len(), 8);
        assert!(features_in("riscv64:+v").contains(&"has_zvl32b"));
        assert_eq!(features_in("s390x:z15"), ["has_mie3", "has_vxrs_ext2"]);
        for wrong in [
            "",
            ":",
            "x86",
            "x86_64:",
            "x86_64:v5",
            "x86_64:bmi2",
            "x86_64:v2+",
            "x86_64:v2+lse",
            "x86_64:v2 +bmi2",
            "aarch64:v3",
            "aarch64:native",
            "pulley64:v2",
            "pulley64:+lse",
        ] {
            assert!(Machine::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_machine_says_its_name_and_is_read_from_it() {
        for (given, said) in [
            ("x86_64", "x86_64:v2"),
            ("x86_64:v1", "x86_64:v1"),
            ("x86_64:v4", "x86_64:v4"),
            ("x86_64:v2+bmi2+lzcnt", "x86_64:v2+bmi2+lzcnt"),
            ("x86_64:v2+avx+bmi1+avx2+fma+lzcnt+bmi2", "x86_64:v3"),
            ("aarch64:+fp16", "aarch64:v8.0+fp16"),
            ("riscv64:rva22", "riscv64gc:rva22"),
            ("pulley32", "pulley32"),
        ] {
            let machine = Machine::parse(given).unwrap();
            assert_eq!(machine.to_string(), said);
            assert_eq!(Machine::parse(said), Ok(machine));
        }
        // Every feature alone, with what it stands on.
        for target in Target::ALL {
            for feature in features(target) {
                let machine = Machine::with_cpu(target, &format!("+{feature}")).unwrap();
                assert_eq!(Machine::parse(&machine.to_string()), Ok(machine), "{feature}");
            }
        }
        assert_eq!(name(Target::X86_64, &["has_telepathy"]), "x86_64:v1+telepathy");
        assert_eq!(name(Target::Riscv64, &["has_m"]), "riscv64gc:+m");
    }

    #[test]
    fn the_best_level_is_one_that_the_cpu_has() {
        let v3 = features_in("x86_64:v3");
        let has = |feature: &str| v3.contains(&feature) && feature != "has_bmi2";
        assert_eq!(Machine::best(Target::X86_64, &has).to_string(), "x86_64:v2");
        assert_eq!(Machine::best(Target::X86_64, &|_| true).to_string(), "x86_64:v4");
        let without = |hidden: &'static str| move |feature: &str| feature != hidden;
        let machine = Machine::of_cpu(Target::X86_64, &without("has_avx"));
        assert_eq!(machine.to_string(), "x86_64:v2+bmi1+bmi2+lzcnt");
        assert_eq!(Machine::of_cpu(Target::S390x, &|_| true).to_string(), "s390x:z17");
        assert_eq!(Machine::best(Target::Riscv64, &|_| false).to_string(), "riscv64gc:rv64gc");
    }

    #[test]
    fn only_features_of_the_target_are_taken_as_they_are() {
        assert!(Machine::exactly(Target::X86_64, &["has_avx2"]).is_some());
        assert!(Machine::exactly(Target::X86_64, &["has_lse"]).is_none());
        assert!(Machine::exactly(Target::X86_64, &["has_sse3", "has_avx"]).is_none());
        assert!(Machine::exactly(Target::X86_64, &["has_avx", "has_avx"]).is_none());
    }
}
