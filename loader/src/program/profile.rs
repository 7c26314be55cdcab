//! Where fuel by function goes: standard error, or a file.
//!
//! Guarantees that an artifact that does not count by function, and a file that cannot be
//! written, are refused before the guest starts.

use crate::error::{Cause, Failure};
use crate::program::cli::Options;
use crate::program::deliver::Destination;
use crate::program::say;
use crate::run::fuel_profile::FuelProfile;
use crate::verify::Facts;
use std::fmt;
use std::os::fd::RawFd;
use std::path::PathBuf;

/// Why there is no profile.
#[derive(Debug)]
pub(crate) enum ProfileError {
    /// The artifact does not count by function.
    NotCounted(String),
    /// The file cannot be written.
    File(PathBuf, std::io::Error),
}

impl fmt::Display for ProfileError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotCounted(name) => {
                write!(formatter, "{name} was not compiled to count its fuel by function")
            }
            Self::File(path, error) => {
                write!(formatter, "cannot write to {}: {error}", path.display())
            }
        }
    }
}

/// An artifact is refused; a file that cannot be written is as bad as a report's.
impl From<ProfileError> for Failure {
    fn from(error: ProfileError) -> Self {
        let what = error.to_string();
        match error {
            ProfileError::NotCounted(name) => Self {
                stage: "profile",
                code: "profile.not-counted",
                what,
                hint: Some(format!("compile it for that: bls-compile --fuel-profile {name}.wasm")),
                cause: Cause::Refused,
            },
            ProfileError::File(..) => Self {
                stage: "report",
                code: "profile.unwritable",
                what,
                hint: Some("--fuel-profile=FILE takes a file you can write to".into()),
                cause: Cause::Failed,
            },
        }
    }
}

/// Where a profile goes.
#[derive(Debug)]
pub(crate) struct Sink(Option<(PathBuf, Destination)>);

impl Sink {
    /// Opens what the options ask for; `None` when they ask for no profile.
    pub(crate) fn open(options: &Options, facts: &Facts) -> Result<Option<Self>, ProfileError> {
        let Some(target) = &options.fuel_profile else { return Ok(None) };
        if !facts.manifest.counts_by_function() {
            return Err(ProfileError::NotCounted(facts.manifest.name.clone()));
        }
        let Some(path) = target else { return Ok(Some(Self(None))) };
        match Destination::open_path(path) {
            Ok(place) => Ok(Some(Self(Some((path.clone(), place))))),
            Err(error) => Err(ProfileError::File(path.clone(), error)),
        }
    }

    /// Descriptors that it needs.
    pub(crate) fn descriptors(&self) -> Vec<RawFd> {
        self.0.as_ref().map_or_else(Vec::new, |(_, place)| place.descriptors())
    }

    /// Makes the file, empty: once the guest runs, this process can make none any more.
    pub(crate) fn begin(&self) -> Result<(), ProfileError> {
        match &self.0 {
            None => Ok(()),
            Some((path, place)) => {
                place.begin(b"").map_err(|error| ProfileError::File(path.clone(), error))
            }
        }
    }

    /// Writes the table.
    pub(crate) fn write(self, profile: &FuelProfile) -> Result<(), ProfileError> {
        let text = profile.table();
        match self.0 {
            // The line's own end is `say`'s.
            None => say(&text.trim_end()),
            Some((path, place)) => {
                if let Err(error) = place.write(text.as_bytes()) {
                    return Err(ProfileError::File(path, error));
                }
            }
        }
        Ok(())
    }
}
