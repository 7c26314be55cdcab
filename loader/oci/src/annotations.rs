//! Annotations `bls.dev/…` as options of a run.
//!
//! They come from whoever wants the container, and with some engines (Podman) from the image as
//! well. So all but those of the network only narrow what a run may do, or name folders of its own
//! container; those of the network count where the node says so. Guarantees that one which is
//! unknown, or whose value makes no sense, is refused and never overlooked.

use crate::refusal::{Defect, Refusal};
use bls_artifact::capability::Capability;
use bls_artifact::digest::Sha256;
use bls_artifact::nearest::nearest;
use bls_artifact::quantity::{parse_count, parse_size, parse_time};
use std::collections::BTreeMap;

/// What they begin with.
pub const PREFIX: &str = "bls.dev/";
/// The most bytes of a value.
const VALUE_BYTES_MAX: usize = 4096;

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Count,
    Size,
    Time,
    /// `true` or `false`.
    Flag,
    Digest,
    /// The name of a policy of the node's.
    Policy,
    /// Capabilities with commas between them.
    Capabilities,
    /// Absolute paths with commas between them.
    Folders,
    /// Of the container's network.
    Network,
}

/// Each, without [`PREFIX`], and what its value is. It is the option of the same name.
const KNOWN: [(&str, Form); 22] = [
    ("fuel", Form::Count),
    ("timeout", Form::Time),
    ("max-memory", Form::Size),
    ("max-stack", Form::Size),
    ("max-output", Form::Size),
    ("max-descriptors", Form::Count),
    ("policy", Form::Policy),
    ("digest", Form::Digest),
    ("deny", Form::Capabilities),
    ("dir", Form::Folders),
    ("dir-ro", Form::Folders),
    ("only-declared", Form::Flag),
    ("require-fuel", Form::Flag),
    ("require-deterministic", Form::Flag),
    ("require-sandbox", Form::Flag),
    ("require-control-flow", Form::Flag),
    ("deterministic", Form::Flag),
    ("seed", Form::Count),
    ("explain", Form::Flag),
    ("allow-net", Form::Network),
    ("deny-net", Form::Network),
    ("listen", Form::Network),
];

/// What annotations ask for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// Options of a run, each in one word.
    pub options: Vec<String>,
    /// The most bytes of memory.
    pub memory: Option<u64>,
    /// The name of a policy of the node's.
    pub policy: Option<String>,
    /// Whether the network is asked for.
    pub network: bool,
}

impl Asked {
    /// Reads those that are ours.
    ///
    /// # Errors
    /// One that is unknown, makes no sense, or is of the network where `network` is not set.
    pub fn read(all: &BTreeMap<String, String>, network: bool) -> Result<Self, Refusal> {
        let mut asked = Self::default();
        for (key, value) in all {
            let Some(name) = key.strip_prefix(PREFIX) else { continue };
            let Some((_, form)) = KNOWN.iter().find(|(known, _)| *known == name) else {
                return Err(unknown(name));
            };
            if value.len() > VALUE_BYTES_MAX {
                let what =
                    format!("it has {} bytes, and at most {VALUE_BYTES_MAX} are read", value.len());
                return Err(wrong(name, &what));
            }
            if *form == Form::Network && !network {
                let hint = r#"root allows it, for all containers: {"version": 1, "network": true} in /etc/bls/oci.json"#;
                let what = format!(
                    "the annotation {PREFIX}{name} asks for the network, and this node grants none"
                );
                return Err(Refusal::new(Defect::Annotation, what, hint));
            }
            asked.take(name, *form, value).map_err(|what| wrong(name, &what))?;
        }
        Ok(asked)
    }

    fn take(&mut self, name: &str, form: Form, value: &str) -> Result<(), String> {
        let mut option = |value: &str| self.options.push(format!("--{name}={value}"));
        match form {
            Form::Count => drop(parse_count(value).map(|_| option(value))?),
            Form::Time => drop(parse_time(value).map(|_| option(value))?),
            Form::Size if name == "max-memory" => self.memory = Some(parse_size(value)?),
            Form::Size => drop(parse_size(value).map(|_| option(value))?),
            Form::Flag => match value {
                "true" => self.options.push(format!("--{name}")),
                "false" => {}
                _ => return Err(format!("{value:?} is neither true nor false")),
            },
            Form::Digest => {
                let digest = value.strip_prefix("sha256:").and_then(Sha256::from_hex);
                let _ = digest.ok_or("write sha256: and 64 lower-case hex digits")?;
                option(value);
            }
            Form::Policy => self.policy = Some(value.to_owned()),
            Form::Capabilities => {
                for one in value.split(',') {
                    let known = Capability::from_name(one).filter(|one| one.is_default());
                    let _ =
                        known.ok_or_else(|| format!("{one:?} is nothing that can be denied"))?;
                }
                option(value);
            }
            Form::Folders => {
                for path in value.split(',') {
                    if !path.starts_with('/') || path.contains("::") {
                        return Err(format!("{path:?} is no absolute path in the container"));
                    }
                    option(&format!("{path}::{path}"));
                }
            }
            Form::Network => {
                if value.is_empty() {
                    return Err("it names no place".to_owned());
                }
                option(value);
                self.network |= name != "deny-net";
            }
        }
        Ok(())
    }
}

fn wrong(name: &str, what: &str) -> Refusal {
    let hint = "see docs/containers.md for the annotations and their values";
    Refusal::new(Defect::Annotation, format!("the annotation {PREFIX}{name}: {what}"), hint)
}

fn unknown(name: &str) -> Refusal {
    let hint = match nearest(name, KNOWN.iter().map(|(known, _)| *known)) {
        Some(known) => format!("is {PREFIX}{known} meant?"),
        None => {
            let known: Vec<&str> = KNOWN.iter().map(|(known, _)| *known).collect();
            format!("there are {}", known.join(", "))
        }
    };
    Refusal::new(Defect::Annotation, format!("there is no annotation {PREFIX}{name}"), hint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bls_artifact::options::{Takes, takes};

    fn read(pairs: &[(&str, &str)], network: bool) -> Result<Asked, Refusal> {
        let all = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        Asked::read(&all.collect(), network)
    }

    #[test]
    fn each_is_an_option_of_a_run() {
        for (name, form) in KNOWN {
            let expected = match form {
                Form::Flag => Takes::Nothing,
                _ => Takes::Value,
            };
            let found = if name == bls_artifact::options::FILE_ONLY {
                Some(Takes::Value)
            } else {
                takes(name)
            };
            assert_eq!(found, Some(expected), "{name}");
        }
    }

    #[test]
    fn they_become_options() {
        let digest = format!("sha256:{}", "0".repeat(64));
        let asked = read(
            &[
                ("bls.dev/fuel", "3G"),
                ("bls.dev/timeout", "1.5s"),
                ("bls.dev/max-memory", "1MiB"),
                ("bls.dev/policy", "small"),
                ("bls.dev/digest", &digest),
                ("bls.dev/deny", "random,clock.wall"),
                ("bls.dev/dir-ro", "/a,/b c"),
                ("bls.dev/explain", "true"),
                ("bls.dev/only-declared", "false"),
                ("dev.bls.name", "of an image"),
                ("io.kubernetes.cri.container-name", "x"),
            ],
            false,
        )
        .unwrap();
        assert_eq!(
            asked.options,
            [
                "--deny=random,clock.wall",
                &format!("--digest={digest}"),
                "--dir-ro=/a::/a",
                "--dir-ro=/b c::/b c",
                "--explain",
                "--fuel=3G",
                "--timeout=1.5s"
            ]
        );
        assert_eq!((asked.memory, asked.policy.as_deref()), (Some(1 << 20), Some("small")));
        assert!(!asked.network);
        let asked = read(&[("bls.dev/listen", "0.0.0.0:80")], true).unwrap();
        assert!(asked.network && asked.options == ["--listen=0.0.0.0:80"]);
    }

    #[test]
    fn nonsense_is_refused() {
        let long = "9".repeat(5000);
        for (name, value) in [
            ("fuel", "much"),
            ("fuel", "-1"),
            ("fuel", &long),
            ("timeout", "5"),
            ("max-memory", "1 GB"),
            ("digest", "sha256:1"),
            ("deny", "everything"),
            ("deny", "fs.read"),
            ("dir", "relative"),
            ("dir", "/a::/b"),
            ("explain", "yes"),
            ("listen", ""),
            ("fule", "1"),
            ("trust", "/t"),
            ("", ""),
        ] {
            let error = read(&[(&format!("bls.dev/{name}"), value)], true).unwrap_err();
            assert_eq!(error.defect, Defect::Annotation, "{name}={value}");
            assert!(error.line().len() < 5000);
        }
        let error = read(&[("bls.dev/fule", "1")], true).unwrap_err();
        assert_eq!(error.hint(), "is bls.dev/fuel meant?");
        let error = read(&[("bls.dev/allow-net", "*")], false).unwrap_err();
        assert!(error.to_string().contains("grants none"), "{error}");
    }
}
