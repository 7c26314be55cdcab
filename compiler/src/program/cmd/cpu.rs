//! What to compile for, from `--target` and `--cpu`; and `--cpu list`.
//!
//! Guarantees that what this machine's CPU can do is asked only where the word `native` asks
//! for it: all else depends on the command line alone.

use super::{Failure, print, print_json};
use crate::program::cli::{NATIVE, TargetWord};
use bls_artifact::cpu::{self, Level, Machine, MachineError};
use bls_artifact::limits::PARTS_MAX;
use bls_artifact::target::Target;
use cranelift_codegen::settings::{Configurable, SetError, SetResult};
use serde_json::{Value, json};
use std::fmt::Write as _;

/// The word for `--cpu` that asks for what there is.
pub(super) const LIST: &str = "list";

/// The machines that were asked for, or this system with its target's own level; each once,
/// in the order of an artifact's parts.
pub(super) fn machines(given: &[TargetWord], cpu: Option<&str>) -> Result<Vec<Machine>, Failure> {
    let own;
    let given = match given {
        [] => {
            own = [TargetWord::Target(host()?)];
            &own[..]
        }
        given => given,
    };
    if let Some(cpu) = cpu {
        check_cpu(given, cpu)?;
    }
    let mut machines = Vec::new();
    for word in given {
        machines.push(match (word, cpu) {
            (TargetWord::Machine(machine), _) => machine.clone(),
            (TargetWord::Native(target), _) => native(*target)?,
            (TargetWord::Target(target), Some(NATIVE)) if !target.is_portable() => native(*target)?,
            (TargetWord::Target(target), Some(cpu)) if !target.is_portable() => {
                // Between commas or not: here nothing else is separated by them.
                let cpu = cpu.replace(",+", "+").replace(',', "+");
                Machine::with_cpu(*target, &cpu).map_err(unknown)?
            }
            (TargetWord::Target(target), _) => (*target).into(),
        });
    }
    machines.sort_by(|a, b| a.place().cmp(&b.place()));
    machines.dedup();
    if machines.len() > PARTS_MAX as usize {
        return Err(Failure::usage(
            format!(
                "{} targets are more than the {PARTS_MAX} parts of an artifact",
                machines.len()
            ),
            Some("two artifacts, each for some of them".to_owned()),
        ));
    }
    Ok(machines)
}

fn unknown(error: MachineError) -> Failure {
    Failure::usage(error, Some("bls-compile --cpu list shows all of them".to_owned()))
}

/// Refuses a CPU that could be meant for more than one target, or for none.
fn check_cpu(given: &[TargetWord], cpu: &str) -> Result<(), Failure> {
    let open = |word: &&TargetWord| matches!(word, TargetWord::Target(target) if !cpu::levels(*target).is_empty());
    match given.iter().filter(open).count() {
        1 => Ok(()),
        0 => Err(Failure::usage(
            format!("--cpu {cpu} is about no target: each has its CPU already, or needs none"),
            Some("leave it out".to_owned()),
        )),
        _ => Err(Failure::usage(
            format!("--cpu {cpu} could be about several targets"),
            Some("say it behind its target: --target x86_64:v3,aarch64:+lse".to_owned()),
        )),
    }
}

/// This system's target.
fn host() -> Result<Target, Failure> {
    Target::host().ok_or_else(|| {
        Failure::usage(
            "this system has no native target",
            Some("--target pulley64 runs on any 64-bit CPU".to_owned()),
        )
    })
}

/// What this machine's CPU can do, for code of `target`.
fn native(target: Target) -> Result<Machine, Failure> {
    let host = host()?;
    if host != target {
        return Err(Failure::usage(
            format!("native is the CPU of this machine, which is {host}, not {target}"),
            Some(format!("say which: bls-compile --cpu list; or {}", target.short())),
        ));
    }
    let mut seen = Seen(Vec::new());
    cranelift_native::infer_native_flags(&mut seen).map_err(|what| {
        Failure::usage(
            format!("this machine does not say what its CPU can do: {what}"),
            Some("name a level: bls-compile --cpu list".to_owned()),
        )
    })?;
    Ok(Machine::of_cpu(target, &|feature| seen.0.iter().any(|one| one == feature)))
}

/// The flags that the code generator's own detection turns on.
struct Seen(Vec<String>);

impl Configurable for Seen {
    fn set(&mut self, name: &str, value: &str) -> SetResult<()> {
        if value != "true" {
            return Err(SetError::BadType);
        }
        self.enable(name)
    }

    fn enable(&mut self, name: &str) -> SetResult<()> {
        self.0.push(name.to_owned());
        Ok(())
    }
}

/// Prints every level and feature of every target.
pub(super) fn list(json: bool) -> Result<(), Failure> {
    if json {
        let all = Target::ALL.into_iter().filter(|target| !cpu::levels(*target).is_empty());
        return print_json(&Value::Array(all.map(described).collect()));
    }
    let mut text = String::new();
    for target in Target::ALL {
        let levels = cpu::levels(target);
        if levels.is_empty() {
            continue;
        }
        let all: Vec<&str> = cpu::features(target).map(cpu::short).collect();
        let _ = writeln!(text, "{}\n  features: {}", target.short(), all.join(" "));
        for level in levels {
            let is_default = cpu::level_default(target) == Some(level);
            let default = if is_default { ", the default" } else { "" };
            let adds: Vec<String> = added(target, level).map(|name| format!(" +{name}")).collect();
            let _ = writeln!(
                text,
                "  {}: {}{default}{}",
                level.name,
                level.about,
                match adds.concat() {
                    adds if adds.is_empty() => adds,
                    adds => format!("\n     {adds}"),
                }
            );
        }
    }
    let native = Target::host().and_then(|host| native(host).ok());
    let native = native.map_or("of an unknown kind".to_owned(), |machine| machine.to_string());
    let _ = writeln!(text, "native (only where it is asked for; this machine: {native})");
    print(&text)
}

/// What a level adds to the one before it, with what that stands on.
fn added(target: Target, level: &Level) -> impl Iterator<Item = &'static str> {
    let levels = cpu::levels(target);
    let before = levels.iter().take_while(|one| *one != level).last();
    let before = before.map_or(Vec::new(), |before| cpu::features_of(target, before));
    let all = cpu::features_of(target, level).into_iter();
    all.filter(move |name| !before.contains(name)).map(cpu::short)
}

fn described(target: Target) -> Value {
    let level = |level: &Level| {
        let features = cpu::features_of(target, level);
        json!({ "name": level.name, "about": level.about, "cpu_features": features })
    };
    json!({
        "target": target,
        "default": cpu::level_default(target).map(|level| level.name),
        "levels": cpu::levels(target).iter().map(level).collect::<Vec<_>>(),
        "cpu_features": cpu::features(target).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(targets: &[&str], cpu: Option<&str>) -> Result<Vec<String>, String> {
        let words: Vec<TargetWord> = targets
            .iter()
            .map(|text| {
                let machine = Machine::parse(text).unwrap();
                match text.contains(':') {
                    true => TargetWord::Machine(machine),
                    false => TargetWord::Target(machine.target()),
                }
            })
            .collect();
        let machines = machines(&words, cpu).map_err(|failure| failure.what)?;
        Ok(machines.iter().map(Machine::to_string).collect())
    }

    #[test]
    fn a_cpu_is_that_of_the_one_target_without() {
        assert_eq!(asked(&["x86_64"], None).unwrap(), ["x86_64:v2"]);
        assert_eq!(asked(&["x86_64"], Some("v3")).unwrap(), ["x86_64:v3"]);
        let many = ["riscv64", "x86_64:v3", "pulley64", "x86_64:v1", "x86_64:v3"];
        let all = ["x86_64:v1", "x86_64:v3", "riscv64gc:rv64gc+zba", "pulley64"];
        assert_eq!(asked(&many, Some("+zba")).unwrap(), all);
        assert_eq!(asked(&["aarch64"], Some("+lse,+fp16")).unwrap(), ["aarch64:v8.1+fp16"]);
        for (targets, cpu, says) in [
            (&["x86_64", "aarch64"][..], "v3", "could be about several"),
            (&["x86_64:v2"], "v3", "about no target"),
            (&["pulley64"], "v3", "about no target"),
            (&["aarch64"], "v3", "has no level"),
            (&["aarch64"], "+avx", "x86_64 has it"),
            (&["x86_64"], "+bmi3", "did you mean bmi1?"),
        ] {
            let refused = asked(targets, Some(cpu)).unwrap_err();
            assert!(refused.contains(says), "{refused}");
        }
    }

    #[test]
    fn native_is_of_this_machine_alone() {
        let Some(host) = Target::host() else { return };
        let [machine] = &machines(&[TargetWord::Native(host)], None).unwrap()[..] else { panic!() };
        assert_eq!(machine.target(), host);
        assert_eq!(machines(&[], Some(NATIVE)).unwrap(), std::slice::from_ref(machine));
        let other = if host == Target::S390x { Target::X86_64 } else { Target::S390x };
        let refused = machines(&[TargetWord::Native(other)], None).unwrap_err();
        assert!(refused.what.contains("the CPU of this machine"), "{}", refused.what);
    }
}
