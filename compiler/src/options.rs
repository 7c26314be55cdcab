//! What a builder can choose, beside the module.
//!
//! Does not know a command line: `program/cli.rs` makes these from one.

use crate::assemble::LEVELS;
use bls_artifact::capability::Permission;
use bls_artifact::cpu::Machine;
use bls_artifact::limits::{JSON_INTEGER_MAX, PARTS_MAX, ZSTD_WINDOW_MAX, ZSTD_WINDOW_MIN};
use bls_artifact::manifest::Document;
use bls_artifact::target::{Bounds, EngineProfile, Language, Nans, Target};

/// What a builder can choose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// What to compile for: at least one, each once, in the order of an artifact's parts.
    pub machines: Vec<Machine>,
    /// Whether to meter.
    pub metered: bool,
    /// Whether the module also counts by function.
    pub fuel_profile: bool,
    /// NaN canonicalisation.
    pub nans: Nans,
    /// How the code keeps to its memories.
    pub bounds: Bounds,
    /// How much of WebAssembly the module may use.
    pub language: Language,
    /// The zstd level; `None` stores images raw.
    pub compression: Option<u32>,
    /// The most window of a compressed part, in bytes: a power of two that the format has. `None`
    /// leaves it to the level.
    pub window: Option<u64>,
    /// The memory limit for the manifest, in bytes.
    pub memory_max: Option<u64>,
    /// The fuel limit for the manifest, in units.
    pub fuel_max: Option<u64>,
    /// The limit on time for the manifest, in milliseconds.
    pub time_ms_max: Option<u64>,
    /// The artifact's name; `None` takes the file's.
    pub name: Option<String>,
    /// A number that rises with each release; 0 is unset.
    pub sequence: u64,
    /// Seconds since 1970 for the manifest, where asked for.
    pub created: Option<u64>,
    /// Seconds since 1970 after which it must not run.
    pub expires: Option<u64>,
    /// Documents about the source, sorted.
    pub documents: Vec<Document>,
    /// What a loader must grant, or refuse to start it.
    pub needs: Vec<Permission>,
    /// The same, but for what the module imports nothing for.
    pub permissions: Vec<Permission>,
    /// Whether a debug file is wanted beside the artifact, of which it changes nothing.
    pub debug_file: bool,
}

impl Options {
    /// The defaults for these machines, which it sorts: metered, canonical NaNs, guards, raw.
    #[must_use]
    pub fn new<M: Into<Machine>>(machines: impl IntoIterator<Item = M>) -> Self {
        let mut machines: Vec<Machine> = machines.into_iter().map(Into::into).collect();
        machines.sort_by(|a, b| a.place().cmp(&b.place()));
        Self {
            machines,
            metered: true,
            fuel_profile: false,
            nans: Nans::Canonical,
            bounds: Bounds::Guard,
            language: Language::All,
            compression: None,
            window: None,
            memory_max: None,
            fuel_max: None,
            time_ms_max: None,
            name: None,
            sequence: 0,
            created: None,
            expires: None,
            documents: Vec::new(),
            needs: Vec::new(),
            permissions: Vec::new(),
            debug_file: false,
        }
    }

    /// Whether they fit together.
    ///
    /// # Errors
    /// What does not, in a sentence.
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        if self.machines.is_empty() || self.machines.len() > PARTS_MAX as usize {
            return Err("1 to 32 targets are needed");
        }
        if !self.machines.is_sorted_by(|a, b| a.place() <= b.place()) {
            return Err("the targets are not in the order of an artifact's parts");
        }
        if self.machines.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err("a target is given twice with the same CPU");
        }
        if self.compression.is_some_and(|level| !LEVELS.contains(&level)) {
            return Err("a zstd level is 1 to 22");
        }
        let is_window = |bytes: u64| {
            bytes.is_power_of_two() && (ZSTD_WINDOW_MIN..=ZSTD_WINDOW_MAX).contains(&bytes)
        };
        if self.window.is_some_and(|bytes| !is_window(bytes)) {
            return Err("a zstd window is a power of two from 1 KiB to 8 MiB");
        }
        if self.window.is_some() && self.compression.is_none() {
            return Err("a part that is not compressed has no zstd window");
        }
        if self.created.zip(self.expires).is_some_and(|(created, expires)| expires <= created) {
            return Err("it would expire before it was created");
        }
        if self.fuel_profile && !self.metered {
            return Err("a module that is not metered has no fuel to profile");
        }
        if self.fuel_max.is_some() && !self.metered {
            return Err("a module that is not metered has no fuel to limit");
        }
        let limits = [self.memory_max, self.fuel_max, self.time_ms_max];
        let numbers = [self.created, self.expires, Some(self.sequence)].into_iter().chain(limits);
        if numbers.flatten().any(|number| number > JSON_INTEGER_MAX) {
            return Err("a number is above 2^53-1");
        }
        Ok(())
    }

    /// What decides the code, and nothing of the release: no name, sequence, times, documents or
    /// debug file; needs in one order.
    #[must_use]
    pub(crate) fn without_release(&self) -> Self {
        let mut settings = Self {
            name: None,
            sequence: 0,
            created: None,
            expires: None,
            documents: Vec::new(),
            debug_file: false,
            ..self.clone()
        };
        for list in [&mut settings.needs, &mut settings.permissions] {
            list.sort_unstable();
            list.dedup();
        }
        settings
    }

    /// The engine for one target. All parts come from one module, so all have
    /// the features that every target has.
    #[must_use]
    pub fn profile(&self, target: Target) -> EngineProfile {
        let profile = EngineProfile::of(target, self.nans).with_bounds(self.bounds);
        let mut profile = profile.with_language(self.language);
        for other in &self.machines {
            let theirs = EngineProfile::of(other.target(), self.nans).features;
            profile.features.retain(|feature| theirs.contains(feature));
        }
        profile
    }

    /// The same for the first machine: what a module is judged by.
    ///
    /// # Panics
    /// Without machines, of which [`Options::check`] wants one.
    #[must_use]
    pub(crate) fn first_profile(&self) -> EngineProfile {
        self.profile(self.machines[0].target())
    }
}
