//! `bls-load trust`: whom this user, or this machine, trusts.

use crate::error::{Failure, printable, printable_path};
use crate::program::cli::Trust as Command;
use crate::program::say;
use crate::trust::{self, Revocation, Which};
use bls_artifact::date::Date;
use bls_artifact::trust::{ClockPolicy, Role, Roots, SYSTEM_FILE, Terms, Trust, TrustedKey};
use std::path::Path;

/// Does what was asked for.
pub(super) fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Add { which, key, comment, terms } => add(&which, &key, comment.as_deref(), terms),
        Command::Remove { which, keys } => {
            let (path, removed) = trust::remove(&which, &keys)?;
            let mut text = String::new();
            for known in removed {
                let (id, comment) = (known.key.id(), printable(&known.comment));
                text +=
                    &format!("{} no longer trusts key {id}: {comment}\n", printable_path(&path));
            }
            super::print(&text)?;
            warn(&which);
            Ok(())
        }
        Command::Revoke { which, what, undo } => {
            let (path, done) = trust::revoke(&which, &what, undo)?;
            let mut text = String::new();
            for (one, new) in done {
                let did = match (undo, new) {
                    (false, true) => "now refuses",
                    (false, false) => "already refused",
                    (true, true) => "no longer refuses",
                    (true, false) => "did not refuse",
                };
                let (path, what) = (printable_path(&path), describe_revocation(&one));
                text += &format!("{path} {did} {}\n", printable(&what));
            }
            super::print(&text)?;
            warn(&which);
            Ok(())
        }
        Command::Init { which, new } => {
            let begun = Trust::new(new.threshold.unwrap_or(1), new.clock);
            let path = trust::init(&which, &new.roots, new.root_threshold, begun)?;
            super::print(&format!("{} trusts nobody yet\n", printable_path(&path)))?;
            warn(&which);
            Ok(())
        }
        Command::Show { file, json } => show(file.as_deref(), json),
        Command::Install { file, system, replace } => {
            let accepted = trust::install(&file, system, replace)?;
            let place = printable_path(&accepted.place);
            let trust = &accepted.trust;
            let mut text = match accepted.before {
                Some(before) if before == trust.sequence => {
                    format!("{place}: sequence {before} is in place\n")
                }
                Some(before) => format!("{place}: sequence {} replaces {before}\n", trust.sequence),
                None => format!("{place}: sequence {} is the first\n", trust.sequence),
            };
            text += &describe_forgotten(&accepted.forgotten, "no longer trusts");
            text += &trust.root.as_ref().map_or(String::new(), describe_roots);
            super::print(&text)?;
            if accepted.before.is_none() {
                say(
                    &"bls-load: trust: from now on these root keys decide here: compare their ids with their holders'",
                );
            }
            if !system {
                warn(&Which::Own);
            }
            Ok(())
        }
        Command::Verify { file, system } => verify(&file, system),
    }
}

/// Adds a key, and says what is to be known of its terms.
fn add(
    which: &Which,
    key: &Path,
    comment: Option<&str>,
    terms: Option<Terms>,
) -> Result<(), Failure> {
    let added = trust::add(which, key, comment, terms.clone())?;
    let (path, id) = (printable_path(&added.path), added.key.id());
    let mut text = match &added.before {
        None => format!("{path} now trusts key {id}\n"),
        Some(known) if known.terms == Terms::default() => {
            format!("{path} already trusted key {id}\n")
        }
        // Nothing was widened by a command that names no terms.
        Some(known) => format!(
            "{path} already trusted key {id}, on these terms, which stay: {}\n",
            printable(&describe_terms(&known.terms))
        ),
    };
    if let (true, Some(known), Some(comment)) = (added.renamed, &added.before, comment) {
        let (old, new) = (printable(&known.comment), printable(comment));
        text += &format!("its comment was {old:?}, and is now {new:?}\n");
    }
    super::print(&text)?;
    let terms = added.before.map(|known| known.terms).or(terms).unwrap_or_default();
    if let Some(when) = outside(&terms, crate::clock::now()) {
        say(&format_args!("bls-load: trust: key {id} counts for nothing now: {when}"));
    }
    warn(which);
    Ok(())
}

/// Why a key does not count at this time, by this machine's clock; `None` where it does.
fn outside(terms: &Terms, now: u64) -> Option<String> {
    match (terms.not_before, terms.not_after) {
        (_, Some(end)) if now > end => Some(format!("its time was over on {}", Date(end))),
        (Some(begin), _) if now < begin => Some(format!("its time begins on {}", Date(begin))),
        _ => None,
    }
}

/// The user's own file does not count where the system has one.
fn warn(which: &Which) {
    match which {
        Which::Own if trust::system_file_exists() => say(&format_args!(
            "bls-load: trust: this machine has {SYSTEM_FILE}, which alone decides; your own file does not count"
        )),
        Which::System => say(&format_args!(
            "bls-load: trust: {SYSTEM_FILE} alone decides, for every user of this machine"
        )),
        _ => {}
    }
}

/// A line for each key that a new file does not trust any more.
fn describe_forgotten(keys: &[TrustedKey], how: &str) -> String {
    let line = |known: &TrustedKey| {
        format!("{how} key {}: {}\n", known.key.id(), printable(&known.comment))
    };
    keys.iter().map(line).collect()
}

/// Prints who is trusted by the file that decides, or by another.
fn show(file: Option<&Path>, json: bool) -> Result<(), Failure> {
    let source = trust::load(file)?;
    if json {
        return super::print_json(&source.trust.to_text());
    }
    super::print(&format!("{}:\n{}", printable_path(&source.path), describe(&source.trust)))
}

/// Checks a file, and what would come of installing it.
fn verify(file: &Path, system: bool) -> Result<(), Failure> {
    let trust = trust::load_named(file)?;
    if !trust.is_signed() {
        let text = format!("{}: not signed\n{}", printable_path(file), describe(&trust));
        return super::print(&text);
    }
    let accepted = trust::examine(file, system)?;
    let place = printable_path(&accepted.place);
    let before = match accepted.before {
        Some(before) => format!("would replace sequence {before}"),
        None => "would be the first".to_owned(),
    };
    super::print(&format!(
        "{}: signed, and {before} in {place}\n{}{}",
        printable_path(file),
        describe_forgotten(&accepted.forgotten, "it would no longer trust"),
        describe(&trust)
    ))
}

fn describe_revocation(one: &Revocation) -> String {
    match one {
        Revocation::Key(id) => format!("key {id}"),
        Revocation::Digest(digest) => format!("sha256:{digest}"),
        Revocation::Compiler(range) => format!("what bls-compile {range} made"),
        Revocation::Engine(range) => format!("what wasmtime {range} generated"),
    }
}

/// All that a trust file says, a line for each thing.
fn describe(trust: &Trust) -> String {
    let mut text = String::new();
    let mut line = |words: String| text += &(printable(&words) + "\n");
    if trust.sequence > 0 {
        let signed = if trust.is_signed() { "signed" } else { "not signed" };
        line(format!("sequence {}, {signed}, written {}", trust.sequence, Date(trust.created)));
    }
    if trust.threshold > 1 {
        line(format!("{} keys must sign an artifact", trust.threshold));
    }
    if trust.clock == ClockPolicy::Ignore {
        line("times are not judged where the clock is wrong".to_owned());
    }
    for trusted in trust.keys() {
        let id = trusted.key.id();
        let revoked = if trust.is_revoked(id) { ", revoked" } else { "" };
        line(format!("{id} {}{revoked}: {}", describe_terms(&trusted.terms), trusted.comment));
    }
    if trust.keys().is_empty() {
        line("nobody".to_owned());
    }
    let foreign = trust.revoked_keys().iter().filter(|id| trust.find(**id).is_none());
    foreign.for_each(|id| line(format!("{id} revoked")));
    trust.revoked_digests().iter().for_each(|digest| line(format!("sha256:{digest} revoked")));
    trust.refused().compiler.iter().for_each(|range| line(format!("bls-compile {range} refused")));
    trust.refused().engine.iter().for_each(|range| line(format!("wasmtime {range} refused")));
    for reset in trust.resets() {
        line(format!("{} counts from sequence {} again", reset.name, reset.sequence));
    }
    text + &trust.root.as_ref().map_or(String::new(), describe_roots)
}

fn describe_terms(terms: &Terms) -> String {
    let mut words = terms.role.name().to_owned();
    if let Some(prefixes) = &terms.prefixes {
        let all: Vec<String> = prefixes.iter().map(|prefix| format!("{prefix}*")).collect();
        words += &format!(", names {}", if all.is_empty() { "none".into() } else { all.join(" ") });
    }
    if let Some(may) = &terms.may {
        let all: Vec<String> = may.iter().map(ToString::to_string).collect();
        words += &format!(
            ", may ask for {}",
            if all.is_empty() { "nothing".into() } else { all.join(" ") }
        );
    }
    if let Some(from) = terms.not_before {
        words += &format!(", from {}", Date(from));
    }
    if let Some(to) = terms.not_after {
        words += &format!(", until {}", Date(to));
    }
    if terms.role == Role::Author {
        words += ", never alone";
    }
    words
}

fn describe_roots(roots: &Roots) -> String {
    let mut text = format!("root: {} of {} sign this file\n", roots.threshold, roots.keys.len());
    for (key, comment) in &roots.keys {
        text += &(printable(&format!("{} root: {comment}", key.id())) + "\n");
    }
    text
}
