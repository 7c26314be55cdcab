//! Which of an artifact's parts runs on a machine, and why not the others.
//!
//! Pure: decided by the signed manifest, by which parts are there, and by what the machine can
//! do, a [`Host`]. Of native parts that the machine can run, the one that asks most of its CPU:
//! a manifest has them in this order, so it is the last. Portable code comes after native.
//! Guarantees that the chosen part is there, and that [`compatibility`](super::compatibility)
//! finds nothing against it.

use super::compatibility::{self, Host, Misfit, Place};
use bls_artifact::manifest::{Manifest, Part};
use bls_artifact::target::Target;
use std::fmt;

/// How a part fared when one was chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is the one.
    Chosen,
    /// It would do, and another asks more of the CPU.
    AsksLess,
    /// It would do, and is not there.
    Absent(Place),
    /// The machine cannot run it.
    Unfit(Misfit),
}

impl fmt::Display for Standing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Chosen => write!(formatter, "runs"),
            Self::AsksLess => write!(formatter, "asks less of the CPU"),
            Self::Absent(Place::File) => write!(formatter, "not in this file"),
            Self::Absent(Place::Store) => write!(formatter, "not in this store"),
            Self::Absent(Place::Delta) => write!(formatter, "not made by this delta"),
            Self::Unfit(Misfit::Architecture(_) | Misfit::OtherTarget(..)) => {
                write!(formatter, "for another architecture")
            }
            Self::Unfit(Misfit::Portable(_)) => {
                write!(formatter, "for an interpreter, which this bls-load does not have")
            }
            Self::Unfit(Misfit::CpuFeatures { missing, .. }) => {
                write!(formatter, "needs {}", missing.join(", "))
            }
            Self::Unfit(misfit) => misfit.fmt(formatter),
        }
    }
}

/// A choice: the index of the part's record and of the part, and how each part fared.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Choice {
    pub(crate) record: usize,
    pub(crate) part: usize,
    pub(crate) standings: Vec<Standing>,
}

/// Chooses among the parts of `manifest` for `host`. `there` are those that `place` has, by
/// their indices, in the order of their records.
pub(crate) fn choose(
    there: &[usize],
    place: Place,
    manifest: &Manifest,
    host: &Host<'_>,
) -> Result<Choice, Misfit> {
    let parts = &manifest.parts;
    let judge = |(index, part): (usize, &Part)| match compatibility::check_part(part, host) {
        Err(misfit) => Standing::Unfit(misfit),
        Ok(()) if there.contains(&index) => Standing::AsksLess,
        Ok(()) => Standing::Absent(place),
    };
    let mut standings: Vec<Standing> = parts.iter().enumerate().map(judge).collect();
    let fit = there.iter().enumerate().filter(|(_, part)| standings[**part] == Standing::AsksLess);
    match fit.max_by_key(|(_, part)| (!parts[**part].target.is_portable(), **part)) {
        Some((record, &part)) => {
            standings[part] = Standing::Chosen;
            Ok(Choice { record, part, standings })
        }
        None => Err(why_none(parts, standings)),
    }
}

/// Why none of them runs, by the one that comes nearest: one that would run and is not there,
/// then the first for this architecture, then what there is.
fn why_none(parts: &[Part], standings: Vec<Standing>) -> Misfit {
    let absent = parts.iter().zip(&standings).rev().find_map(|(part, standing)| match standing {
        Standing::Absent(place) => Some(Misfit::Stripped(part.machine(), *place)),
        _ => None,
    });
    if let Some(absent) = absent {
        return absent;
    }
    let mut targets: Vec<Target> = parts.iter().map(|part| part.target).collect();
    targets.dedup();
    let mut foreign = None;
    for standing in standings {
        let Standing::Unfit(misfit) = standing else { continue };
        foreign = Some(match (misfit, foreign) {
            (Misfit::Architecture(_), _) => Misfit::Architecture(targets.clone()),
            (Misfit::OtherTarget(_, wanted), _) => Misfit::OtherTarget(targets.clone(), wanted),
            (Misfit::Portable(_), Some(other)) => other,
            (portable @ Misfit::Portable(_), None) => portable,
            (near, _) => return near,
        });
    }
    // A manifest has at least one part, and each has fared somehow.
    foreign.unwrap_or(Misfit::Architecture(targets))
}

#[cfg(test)]
mod tests {
    use super::super::tests::manifest;
    use super::*;
    use bls_artifact::cpu::Machine;
    use bls_artifact::digest::Sha256;
    use bls_artifact::target::{EngineProfile, Nans};

    /// A manifest with parts for these machines, in their order.
    fn fat(machines: &[&str]) -> Manifest {
        let mut manifest = manifest();
        let like = manifest.parts.remove(0);
        for text in machines {
            let machine = Machine::parse(text).unwrap();
            let mut part = like.clone();
            part.target = machine.target();
            part.cpu_features = machine.features().iter().map(|name| (*name).into()).collect();
            part.profile = EngineProfile::of(machine.target(), Nans::Canonical);
            part.image.sha256 = Sha256::of(text.as_bytes());
            manifest.parts.push(part);
        }
        manifest
    }

    /// What a machine with exactly this CPU, and pages of 4 KiB, does with these parts.
    fn chosen_of(cpu: &str, there: &[usize], machines: &[&str]) -> Result<String, Misfit> {
        let machine = Machine::parse(cpu).unwrap();
        let has = |feature: &str| machine.features().contains(&feature);
        let host =
            Host { target: Some(machine.target()), page_size: 4096, has: &has, wanted: None };
        let manifest = fat(machines);
        let choice = choose(there, Place::File, &manifest, &host)?;
        assert_eq!(choice.standings[choice.part], Standing::Chosen);
        assert_eq!(there[choice.record], choice.part);
        Ok(manifest.parts[choice.part].machine())
    }

    fn chosen(cpu: &str, machines: &[&str]) -> Result<String, Misfit> {
        let all: Vec<usize> = (0..machines.len()).collect();
        chosen_of(cpu, &all, machines)
    }

    const ALL: [&str; 7] = [
        "x86_64:v1",
        "x86_64:v2",
        "x86_64:v3",
        "aarch64",
        "aarch64:+lse",
        "riscv64:rv64gc",
        "pulley64",
    ];

    #[test]
    fn each_machine_gets_the_part_that_asks_most_of_what_it_has() {
        for (cpu, expected) in [
            ("x86_64:v1", "x86_64:v1"),
            ("x86_64:v1+bmi1+lzcnt", "x86_64:v1"),
            ("x86_64:v2", "x86_64:v2"),
            ("x86_64:v2+avx2", "x86_64:v2"),
            ("x86_64:v3", "x86_64:v3"),
            ("x86_64:v4", "x86_64:v3"),
            ("aarch64", "aarch64:v8.0"),
            ("aarch64:+fp16", "aarch64:v8.0"),
            ("aarch64:v8.4", "aarch64:v8.1"),
            ("riscv64:rva23", "riscv64gc:rv64gc"),
        ] {
            assert_eq!(chosen(cpu, &ALL).as_deref(), Ok(expected), "{cpu}");
        }
    }

    #[test]
    fn of_two_that_ask_as_much_the_later_one_is_taken() {
        let machines = ["x86_64:v2+bmi1", "x86_64:v2+bmi2"];
        assert_eq!(chosen("x86_64:v3", &machines).as_deref(), Ok("x86_64:v2+bmi2"));
        assert_eq!(chosen("x86_64:v2+bmi1", &machines).as_deref(), Ok("x86_64:v2+bmi1"));
    }

    #[test]
    fn what_is_not_there_is_not_chosen() {
        assert_eq!(chosen_of("x86_64:v3", &[0, 3, 6], &ALL).as_deref(), Ok("x86_64:v1"));
        // The best of those that would run is named.
        let refused = chosen_of("x86_64:v2", &[2, 3, 6], &ALL).unwrap_err();
        assert_eq!(refused, Misfit::Stripped("x86_64:v2".into(), Place::File));
        let refused = chosen_of("riscv64", &[2], &ALL).unwrap_err();
        assert_eq!(refused, Misfit::Stripped("riscv64gc:rv64gc".into(), Place::File));
    }

    #[test]
    fn where_nothing_runs_the_nearest_says_why() {
        let missing = |cpu: &str, machines: &[&str]| match chosen(cpu, machines).unwrap_err() {
            Misfit::CpuFeatures { machine, missing, .. } => (machine, missing.join(" ")),
            other => panic!("{other:?}"),
        };
        let (machine, lacks) = missing("x86_64:v2", &["x86_64:v3", "x86_64:v4", "aarch64"]);
        assert_eq!(
            (machine.as_str(), lacks.as_str()),
            ("x86_64:v3", "avx avx2 bmi1 bmi2 fma lzcnt")
        );
        let foreign = chosen("s390x", &ALL).unwrap_err();
        let targets = vec![Target::X86_64, Target::Aarch64, Target::Riscv64, Target::Pulley64];
        assert_eq!(foreign, Misfit::Architecture(targets));
        let portable = chosen("x86_64", &["pulley32", "pulley64"]).unwrap_err();
        assert_eq!(portable, Misfit::Portable(Target::Pulley32));
    }

    #[test]
    fn pages_that_are_too_large_pass_a_part_over() {
        let has = |_: &str| true;
        let mut manifest = fat(&["aarch64", "aarch64:+lse"]);
        manifest.parts[1].page_size = 4096;
        let host =
            Host { target: Some(Target::Aarch64), page_size: 65536, has: &has, wanted: None };
        let choice = choose(&[0, 1], Place::File, &manifest, &host).unwrap();
        assert_eq!(choice.part, 0);
        let said = choice.standings[1].to_string();
        assert!(said.contains("pages of up to 4096 bytes"), "{said}");
    }

    /// Every host that has some of these features, against every part and pair of them.
    #[test]
    fn the_choice_is_the_most_that_the_host_has() {
        const FEATURES: [&str; 4] = ["has_bmi1", "has_bmi2", "has_lzcnt", "has_popcnt"];
        let set = |bits: usize| -> Vec<&str> {
            (0..4).filter(|bit| bits >> bit & 1 == 1).map(|bit| FEATURES[bit]).collect()
        };
        let mut all: Vec<Vec<&str>> = (0..16).map(set).collect();
        all.sort_by(|a, b| (a.len(), a).cmp(&(b.len(), b)));
        let mut manifest = fat(&["x86_64:v1"; 16]);
        for (part, features) in manifest.parts.iter_mut().zip(&all) {
            part.cpu_features = features.iter().map(|name| (*name).into()).collect();
        }
        for cpu in 0..16 {
            let own = set(cpu);
            let has = |feature: &str| own.contains(&feature);
            let host =
                Host { target: Some(Target::X86_64), page_size: 4096, has: &has, wanted: None };
            // Every part alone, and every pair of them.
            for pair in (0..16).flat_map(|one| (one..16).map(move |other| [one, other])) {
                let mut there = pair.to_vec();
                there.dedup();
                let fit = |part: &usize| all[*part].iter().all(|feature| has(feature));
                let best = there.iter().copied().filter(fit).map(|part| all[part].len()).max();
                let choice = choose(&there, Place::File, &manifest, &host);
                assert_eq!(choice.ok().map(|choice| all[choice.part].len()), best);
            }
        }
    }
}
