//! A server of artifacts that were compiled before, which many builders share.
//!
//! This program has neither HTTP nor TLS: bls-registry speaks with the server, a process for each
//! request. Guarantees that one that is down, slow or full is an error that says so, within the
//! times of [`TIME`], and is not asked again by this process; nothing that it sends is believed here.

use super::{CacheError, Entry};
use crate::program::sibling;
use bls_artifact::registry::Defect;
use std::cell::Cell;
use std::io::{self, Seek as _, Write as _};
use std::process::{Command, Stdio};

/// What bls-registry is called.
const PROGRAM: &str = "bls-registry";
/// How long an entry may take, there or back: what takes longer is hardly worth it.
const TIME: &str = "2m";
/// How long it may take to say that somebody is there.
const PROBE_TIME: &str = "10s";

/// Whether what `--cache` was given is a server's URL and not a folder.
#[must_use]
pub fn is_server(place: &str) -> bool {
    place.contains("://")
}

/// A server.
#[derive(Debug)]
pub struct Server {
    place: String,
    /// Whether it has failed: then it is asked no more.
    is_down: Cell<bool>,
}

impl Server {
    /// The one at this URL.
    #[must_use]
    pub fn at(place: String) -> Self {
        Self { place, is_down: Cell::new(false) }
    }

    /// Its URL.
    #[must_use]
    pub fn place(&self) -> &str {
        &self.place
    }

    /// Asks whether it is there: once, and not for each module.
    ///
    /// # Errors
    /// [`CacheError::Server`].
    pub fn open(&self) -> Result<(), CacheError> {
        self.ask(&["probe", "--max-time", PROBE_TIME, &self.place], Stdio::null()).map(drop)
    }

    /// The bytes of an entry, if it is there.
    ///
    /// # Errors
    /// [`CacheError::Server`].
    pub fn find(&self, entry: &Entry<'_>) -> Result<Option<Vec<u8>>, CacheError> {
        if self.is_down.get() {
            return Ok(None);
        }
        let name = entry.digest.to_string();
        self.ask(&["get", "--max-time", TIME, &self.place, &name], Stdio::null())
    }

    /// Keeps an artifact there.
    ///
    /// # Errors
    /// [`CacheError::Server`].
    pub fn keep(&self, entry: &Entry<'_>, artifact: &[u8]) -> Result<(), CacheError> {
        if self.is_down.get() {
            return Ok(());
        }
        let file = || -> io::Result<std::fs::File> {
            let mut file = tempfile::tempfile()?;
            file.write_all(artifact)?;
            file.rewind()?;
            Ok(file)
        };
        let file = file().map_err(|error| self.failed(error.to_string()))?;
        let name = entry.digest.to_string();
        let words = ["put", "--max-time", TIME, &self.place, &name];
        match self.ask(&words, file.into())? {
            Some(_) => Ok(()),
            None => Err(self.failed("it has no such place".to_owned())),
        }
    }

    fn failed(&self, what: String) -> CacheError {
        self.is_down.set(true);
        CacheError::Server(self.place.clone(), what)
    }

    /// What bls-registry answers; `None` where the server does not have it.
    fn ask(&self, words: &[&str], input: Stdio) -> Result<Option<Vec<u8>>, CacheError> {
        let program = sibling(PROGRAM);
        let mut command = Command::new(&program);
        let command = command.arg("cache").args(words).stdin(input);
        let ended = command.output().map_err(|error| {
            self.failed(format!("cannot run {}, which speaks with it: {error}", program.display()))
        })?;
        if ended.status.success() {
            return Ok(Some(ended.stdout));
        }
        let said = String::from_utf8_lossy(&ended.stderr);
        let value = |wanted: &str| {
            let mut lines = said.lines().filter_map(|line| line.split_once(": "));
            lines.rfind(|(key, _)| *key == wanted).map(|(_, value)| value)
        };
        let defect = value("code").and_then(Defect::from_code);
        if defect == Some(Defect::Missing) {
            return Ok(None);
        }
        let what = said.lines().next().unwrap_or("bls-registry said nothing");
        let what = what.strip_prefix("bls-registry: ").unwrap_or(what);
        // The others are of registries, and of options that are not ours.
        let is_of_caches = [Defect::Reference, Defect::Unauthorized, Defect::Status];
        let hint = value("hint").filter(|_| defect.is_some_and(|one| is_of_caches.contains(&one)));
        Err(self.failed(hint.map_or_else(|| what.to_owned(), |hint| format!("{what} ({hint})"))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_no_folder() {
        for (place, expected) in
            [("https://a/b", true), ("http://a", true), ("a/b", false), ("C:/a", false)]
        {
            assert_eq!(is_server(place), expected, "{place}");
        }
    }
}
