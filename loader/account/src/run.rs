//! What a report says that an account needs (`loader/report.schema.json`).
//!
//! A report is kept as the JSON that it came as: a receipt holds all of it, with whatever fields a
//! later release adds. What is looked for by name is here. Guarantees that a report is JSON of the
//! version that is known, in one object; not that every field is there.

use crate::{Defect, Failure};
use serde_json::{Map, Value};

/// The version of the form.
const VERSION: u64 = 1;
/// What is settled before a guest runs, and is the same when it has ended.
const SETTLED: [&str; 9] = [
    "artifact",
    "broker",
    "deterministic",
    "digests/arguments",
    "digests/environment",
    "digests/policies",
    "granted",
    "limits",
    "version",
];

/// A report.
#[derive(Clone, Debug, PartialEq)]
pub struct Run(Map<String, Value>);

impl Run {
    /// Reads one.
    ///
    /// # Errors
    /// It is none.
    pub fn parse(text: &[u8]) -> Result<Self, Failure> {
        let wrong = |what: &dyn std::fmt::Display| {
            let hint = "use the bls-load and the bls-account of one release";
            Failure::new(Defect::Run, format_args!("not the report of a run: {what}"), hint)
        };
        let run: Map<String, Value> =
            serde_json::from_slice(text).map_err(|error| wrong(&error))?;
        match run.get("version").and_then(Value::as_u64) {
            Some(VERSION) => {}
            _ => return Err(wrong(&"it is of another version")),
        }
        let run = Self(run);
        match run.text("outcome/kind") {
            Some(_) => Ok(run),
            None => Err(wrong(&"it does not say how the run ended")),
        }
    }

    /// The value that is found by these names, one in the other.
    fn find(&self, path: &str) -> Option<&Value> {
        let (first, rest) = path.split_once('/').map_or((path, None), |(a, b)| (a, Some(b)));
        let found = self.0.get(first)?;
        rest.map_or(Some(found), |rest| found.pointer(&format!("/{rest}")))
    }

    /// A text.
    #[must_use]
    pub fn text(&self, path: &str) -> Option<&str> {
        self.find(path)?.as_str()
    }

    /// A number that is not below zero.
    #[must_use]
    pub fn number(&self, path: &str) -> Option<u64> {
        self.find(path)?.as_u64()
    }

    /// The numbers of an object, by their names.
    pub fn numbers(&self, path: &str) -> impl Iterator<Item = (&str, u64)> {
        let object = self.find(path).and_then(Value::as_object);
        object.into_iter().flatten().filter_map(|(name, value)| Some((&**name, value.as_u64()?)))
    }

    /// Whether nothing in it differs from machine to machine.
    #[must_use]
    pub fn is_deterministic(&self) -> bool {
        self.find("deterministic").is_some()
    }

    /// Whether the run goes on, as far as this says.
    #[must_use]
    pub fn is_unfinished(&self) -> bool {
        self.text("outcome/kind") == Some("unfinished")
    }

    /// Units of fuel: what is billed, or the lower bound that is known.
    #[must_use]
    pub fn fuel(&self) -> Option<u64> {
        self.number("fuel/consumed").or_else(|| self.number("fuel/at_least"))
    }

    /// Whether it is of the run that began so.
    ///
    /// # Errors
    /// The first thing that is not what it was.
    pub fn is_end_of(&self, begin: &Self) -> Result<(), &'static str> {
        // Granted descriptors and unknown imports are settled too; what is not said at first is no
        // contradiction.
        let differs =
            |path: &&&str| begin.find(path).is_some() && begin.find(path) != self.find(path);
        SETTLED.iter().find(differs).map_or(Ok(()), |path| Err(*path))
    }

    /// All of it.
    #[must_use]
    pub fn into_json(self) -> Value {
        Value::Object(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(text: &str) -> Run {
        Run::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn values_are_found_by_their_names() {
        let run =
            run(r#"{"version":1,"outcome":{"kind":"exited","exit_code":3},"fuel":{"consumed":7},
                "host_calls":{"a.b":2,"c.d":1}}"#);
        assert_eq!(run.text("outcome/kind"), Some("exited"));
        assert_eq!(run.number("outcome/exit_code"), Some(3));
        assert_eq!(run.fuel(), Some(7));
        assert_eq!(run.numbers("host_calls").collect::<Vec<_>>(), [("a.b", 2), ("c.d", 1)]);
        assert!(!run.is_unfinished() && !run.is_deterministic());
    }

    #[test]
    fn what_is_no_report_is_refused() {
        for text in
            ["", "[]", "{}", r#"{"version":2,"outcome":{"kind":"exited"}}"#, r#"{"version":1}"#]
        {
            let failure = Run::parse(text.as_bytes()).unwrap_err();
            assert_eq!(failure.defect, Defect::Run, "{text}");
        }
    }

    #[test]
    fn an_end_belongs_to_its_beginning() {
        let begin = run(
            r#"{"version":1,"outcome":{"kind":"unfinished"},"artifact":{"name":"a"},"limits":{"fuel":9}}"#,
        );
        let end = |artifact: &str, fuel| {
            run(&format!(
                r#"{{"version":1,"outcome":{{"kind":"exited"}},"artifact":{{"name":"{artifact}"}},"limits":{{"fuel":{fuel}}}}}"#
            ))
        };
        assert_eq!(end("a", 9).is_end_of(&begin), Ok(()));
        assert_eq!(end("b", 9).is_end_of(&begin), Err("artifact"));
        assert_eq!(end("a", 8).is_end_of(&begin), Err("limits"));
    }
}
