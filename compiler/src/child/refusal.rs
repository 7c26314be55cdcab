//! A refusal in words, as it crosses from one process to the other.
//!
//! The words are the other's; its stage, its code and its rule are ones that are known here,
//! or it is no refusal. So a process that was taken over can lie about a module, and cannot
//! speak for the rest of the program.

use crate::audit::{AuditError, Rule};
use crate::pipeline::Error;
use crate::world::NoWorld;

/// The most bytes of one text.
const TEXT_BYTES_MAX: usize = 64 << 10;
/// The most lines that show the place.
const LINES_MAX: usize = 8;

/// Every code that may come from the other process, and the stage that says it.
const KNOWN: [(&str, &str); 62] = [
    ("input.empty", "input"),
    ("input.too-long", "input"),
    ("input.truncated", "input"),
    ("input.version", "input"),
    ("input.foreign", "input"),
    ("input.component", "input"),
    ("input.module", "input"),
    ("input.not-webassembly", "input"),
    ("input.text", "input"),
    ("link.modules", "link"),
    ("link.cycle", "link"),
    ("link.no-export", "link"),
    ("link.export-kind", "link"),
    ("link.export-type", "link"),
    ("link.initializer", "link"),
    ("link.table-initial", "link"),
    ("link.component-invalid", "link"),
    ("link.component-async", "link"),
    ("link.component-threads", "link"),
    ("link.component-feature", "link"),
    ("link.component-import", "link"),
    ("link.component-import-type", "link"),
    ("link.component-no-run", "link"),
    ("link.component-too-many", "link"),
    ("link.plug-unused", "link"),
    ("link.plug-type", "link"),
    ("link.plug-border", "link"),
    ("link.too-long", "link"),
    ("link.defect", "link"),
    ("validate.invalid", "validate"),
    ("validate.proposal", "validate"),
    ("validate.truncated", "validate"),
    ("validate.cap", "validate"),
    ("validate.shared-memory", "validate"),
    ("validate.reserved-export", "validate"),
    ("validate.reserved-import", "validate"),
    ("meter.function-too-long", "meter"),
    ("meter.too-long", "meter"),
    ("meter.invalid", "meter"),
    ("meter.defect", "meter"),
    ("audit.invalid", "audit"),
    ("audit.not-metered", "audit"),
    ("audit.broken", "audit"),
    ("audit.profile", "audit"),
    ("audit.malformed", "audit"),
    ("audit.defect", "audit"),
    ("fuel-profile.too-large", "profile"),
    ("fuel-profile.defect", "profile"),
    ("compile.module", "compile"),
    ("compile.too-long", "compile"),
    ("compile.settings", "compile"),
    ("compile.vectors", "compile"),
    ("compile.nans", "compile"),
    ("compile.debug-file", "compile"),
    ("describe.defect", "describe"),
    ("name.refused", "name"),
    ("options.value", "options"),
    ("options.max-memory", "options"),
    ("needs.indefinite", "needs"),
    ("needs.unused", "needs"),
    ("needs.too-many", "needs"),
    ("inspect.world", "inspect"),
];

/// Why there is nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The stage that refused.
    pub stage: &'static str,
    /// The name of the defect.
    pub code: &'static str,
    /// What is wrong, in a sentence.
    pub what: String,
    /// Lines that show the place in the source.
    pub excerpt: Vec<String>,
    /// What a user can do about it.
    pub hint: Option<String>,
    /// The audit's rule that is broken.
    pub rule: Option<&'static str>,
    /// The function it is broken in.
    pub function: Option<u32>,
    /// Where, in bytes from the start of the binary module.
    pub offset: Option<u32>,
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self {
            stage: error.stage(),
            code: error.code(),
            what: error.to_string(),
            excerpt: error.excerpt().to_vec(),
            hint: error.hint(),
            rule: None,
            function: None,
            offset: None,
        }
    }
}

impl From<NoWorld> for Refusal {
    fn from(error: NoWorld) -> Self {
        Self {
            stage: "inspect",
            code: error.code(),
            what: error.to_string(),
            excerpt: Vec::new(),
            hint: Some(error.hint().to_owned()),
            rule: None,
            function: None,
            offset: None,
        }
    }
}

impl From<AuditError> for Refusal {
    /// Of a module that was given to be audited.
    fn from(error: AuditError) -> Self {
        let place = match &error {
            AuditError::Broken(violation) => Some(violation),
            _ => None,
        };
        Self {
            stage: "audit",
            code: error.code(),
            what: error.to_string(),
            excerpt: Vec::new(),
            hint: Some(error.hint().to_owned()),
            rule: error.rule().map(Rule::name),
            function: place.and_then(|place| place.function),
            offset: place.and_then(|place| place.offset),
        }
    }
}

impl Refusal {
    /// Its texts: each with its length before it.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let number = |number: Option<u32>| number.map_or(String::new(), |one| one.to_string());
        let texts = [
            self.code,
            &self.what,
            self.rule.unwrap_or_default(),
            &number(self.function),
            &number(self.offset),
            self.hint.as_deref().unwrap_or_default(),
        ];
        let excerpt = self.excerpt.iter().take(LINES_MAX).map(String::as_str);
        for text in texts.into_iter().chain(excerpt) {
            let text = &text.as_bytes()[..text.floor_char_boundary(TEXT_BYTES_MAX)];
            bytes.extend((text.len() as u32).to_le_bytes());
            bytes.extend(text);
        }
        bytes
    }

    /// Reads them again; `None` for what is no refusal of this program's.
    pub(super) fn of_bytes(mut bytes: &[u8]) -> Option<Self> {
        let mut next = || {
            let (length, rest) = bytes.split_first_chunk::<4>()?;
            let (text, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
            bytes = rest;
            String::from_utf8(text.to_vec()).ok().filter(|text| text.len() <= TEXT_BYTES_MAX)
        };
        let (code, what, rule, function, offset, hint) =
            (next()?, next()?, next()?, next()?, next()?, next()?);
        let excerpt: Vec<String> = std::iter::from_fn(next).take(LINES_MAX).collect();
        if !bytes.is_empty() {
            return None;
        }
        let (code, stage) = *KNOWN.iter().find(|(known, _)| *known == code)?;
        Some(Self {
            stage,
            code,
            what,
            excerpt,
            hint: (!hint.is_empty()).then_some(hint),
            rule: Rule::ALL.into_iter().map(Rule::name).find(|known| *known == rule),
            function: function.parse().ok(),
            offset: offset.parse().ok(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODE: &str = "audit.broken";

    fn refusal() -> Refusal {
        Refusal {
            stage: "audit",
            code: CODE,
            what: "rule loop: a round without a check".to_owned(),
            excerpt: Vec::new(),
            hint: None,
            rule: Some("loop"),
            function: Some(0),
            offset: Some(u32::MAX),
        }
    }

    #[test]
    fn it_crosses_whole_and_long_words_are_cut() {
        assert_eq!(Refusal::of_bytes(&refusal().to_bytes()), Some(refusal()));
        let long = Refusal { what: "ä".repeat(TEXT_BYTES_MAX), ..refusal() };
        let read = Refusal::of_bytes(&long.to_bytes()).unwrap();
        assert_eq!(read.what, "ä".repeat(TEXT_BYTES_MAX / 2));
    }

    #[test]
    fn nobody_speaks_in_other_names() {
        for code in
            ["keystore.mode", "compile.memory", "trust.revoked", "", "audit", "input.folder"]
        {
            assert_eq!(
                Refusal::of_bytes(&Refusal { code, ..refusal() }.to_bytes()),
                None,
                "{code}"
            );
        }
        let read = Refusal::of_bytes(&Refusal { rule: Some("other"), ..refusal() }.to_bytes());
        assert_eq!(read.map(|read| read.rule), Some(None));
        let more = [refusal().to_bytes(), vec![9; 9]].concat();
        assert_eq!(Refusal::of_bytes(&more), None);
        let bytes = refusal().to_bytes();
        for end in 0..bytes.len() {
            assert_eq!(Refusal::of_bytes(&bytes[..end]), None, "cut at {end}");
        }
    }

    /// SECURITY.md's table has every code; of these areas all come from the other process, but
    /// for what the first one says itself.
    #[test]
    fn every_code_that_may_come_is_known() {
        const OWN: [&str; 7] = [
            "input.unreadable",
            "input.folder",
            "compile.memory",
            "compile.time",
            "compile.crashed",
            "compile.nonsense",
            "compile.no-process",
        ];
        let text = include_str!("../../../SECURITY.md");
        let (_, table) = text.split_once("\n### What bls-compile refuses\n").unwrap();
        let areas =
            ["input", "link", "validate", "meter", "audit", "fuel-profile", "compile", "describe"];
        let listed = table.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
        let mut found = 0;
        for code in listed {
            if areas.contains(&code.split('.').next().unwrap()) && !OWN.contains(&code) {
                assert!(KNOWN.iter().any(|(known, _)| *known == code), "{code}");
                found += 1;
            }
        }
        assert!(found > 25, "{found}");
        for (code, _) in KNOWN {
            assert!(table.contains(&format!("| `{code}` |")), "{code}");
        }
    }
}
