//! Hostile native code: what it tries, whether that worked, and what stopped it.
//!
//! [`attempts`] is the table. Each [`Attempt`] is a script of system calls, which
//! `executor.s` makes inside the loader's process (`code`), and says how one sees that it
//! worked. The test `hostile` runs each behind the loader's wall, where none may work, and
//! through the library in a process without a wall, where each must. What stops it is the
//! table in SECURITY.md, which that test compares row by row.

pub mod code;
pub mod run;
pub mod scene;
pub mod script;

mod inside;
mod leftovers;
mod machine;
mod memory;
mod network;
mod outside;
mod processes;
mod remaining;
mod undo;

pub use scene::{SECRET, Scene};
use script::Script;
use std::collections::BTreeMap;

/// What stopped an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// The filter of system calls: SIGSYS, or the answer that there is no such call.
    Seccomp,
    /// Landlock: EACCES or EXDEV for a file that was not granted, or not so.
    Landlock,
    /// The descriptor is closed: EBADF.
    Closed,
    /// A capability is gone: EPERM, or the kernel did less than it was asked.
    Capability,
    /// The calls are made, and what they look for is not there any more.
    Wiped,
}

impl Stopped {
    /// As SECURITY.md has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Seccomp => "seccomp",
            Self::Landlock => "Landlock",
            Self::Closed => "closed",
            Self::Capability => "capability",
            Self::Wiped => "wiped",
        }
    }
}

/// Where an attempt works that no wall stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// For every user, on every kernel that this runs on.
    Anywhere,
    /// For root with all capabilities.
    Root,
    /// Not on every kernel, or only as it is configured.
    Kernel,
}

/// How one sees that an attempt worked.
#[derive(Clone, Copy)]
pub enum Worked {
    /// The last step's result is no error.
    Last,
    /// The last step's result is this error, which comes after the check of privileges (so
    /// that what would have worked does no harm), or none.
    Past(i32),
    /// This holds.
    When(fn(&Scene, &Trace) -> bool),
}

/// Something that hostile code tries.
pub struct Attempt {
    /// Its name.
    pub name: &'static str,
    /// What it tries.
    pub tries: &'static str,
    /// What stops it, where no folder is granted and where one may be changed.
    pub stopped: [Stopped; 2],
    /// Where it works without a wall.
    pub shown: Shown,
    /// Whether it is run with a terminal as standard input.
    pub has_terminal: bool,
    script: fn(&Scene, &mut Script),
    worked: Worked,
}

impl Attempt {
    /// One that works anywhere, and that the filter stops whatever is granted.
    const fn new(
        name: &'static str,
        tries: &'static str,
        worked: Worked,
        script: fn(&Scene, &mut Script),
    ) -> Self {
        let stopped = [Stopped::Seccomp; 2];
        let shown = Shown::Anywhere;
        Self { name, tries, stopped, shown, has_terminal: false, script, worked }
    }

    /// The same for root only.
    const fn for_root(self) -> Self {
        Self { shown: Shown::Root, ..self }
    }

    /// The same where the kernel has it.
    const fn where_there(self) -> Self {
        Self { shown: Shown::Kernel, ..self }
    }

    /// Stopped by something else where folders are granted.
    const fn with_folders(self, by: Stopped) -> Self {
        Self { stopped: [self.stopped[0], by], ..self }
    }

    /// Stopped by something else, whatever is granted.
    const fn stopped_by(self, by: Stopped) -> Self {
        Self { stopped: [by; 2], ..self }
    }

    const fn with_terminal(self) -> Self {
        Self { has_terminal: true, ..self }
    }

    /// Its steps.
    #[must_use]
    pub fn script(&self, scene: &Scene) -> Script {
        let mut script = Script::new();
        (self.script)(scene, &mut script);
        script
    }

    /// Whether it worked.
    #[must_use]
    pub fn worked(&self, scene: &Scene, trace: &Trace) -> bool {
        if !trace.began {
            return false;
        }
        match self.worked {
            Worked::Last => trace.last().is_some_and(|result| !is_error(result)),
            Worked::Past(error) => {
                trace.last().is_some_and(|result| !is_error(result) || result == -i64::from(error))
            }
            Worked::When(holds) => holds(scene, trace),
        }
    }
}

/// Whether a result of a system call is an error number.
#[must_use]
pub fn is_error(result: i64) -> bool {
    (-4095..0).contains(&result)
}

/// All attempts, by what they are about.
#[must_use]
pub fn attempts() -> Vec<Attempt> {
    let mut all = processes::attempts();
    all.extend(memory::attempts());
    all.extend(network::attempts());
    all.extend(outside::attempts());
    all.extend(inside::attempts());
    all.extend(leftovers::attempts());
    all.extend(undo::attempts());
    all.extend(machine::attempts());
    all
}

/// What native code can still do where folders are granted.
#[must_use]
pub fn remaining() -> Vec<Attempt> {
    remaining::remaining()
}

/// What native code asks of the broker, over the socket that its host has.
#[must_use]
pub fn asked() -> Vec<Attempt> {
    network::asked()
}

/// Has each thread of the process open a file that was not granted, and tell what came of it
/// ([`Trace::threads`]).
#[must_use]
pub fn by_every_thread() -> Attempt {
    Attempt::new("threads", "open a file in another thread", Worked::Last, undo::threads)
}

/// What one sees of a run.
#[derive(Debug, Default)]
pub struct Trace {
    /// Whether the hostile code ran at all.
    pub began: bool,
    /// How many steps its script has.
    pub steps: usize,
    /// The results of the steps that were done, by their place.
    pub results: BTreeMap<usize, i64>,
    /// The signal that killed it.
    pub signal: Option<i32>,
    /// Its exit code; 42 when all steps were done.
    pub code: Option<i32>,
    /// Standard output, with what the steps tell.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: Vec<u8>,
}

impl Trace {
    /// The signal of a forbidden system call.
    const SIGSYS: i32 = 31;

    /// What a run of so many steps has told.
    #[must_use]
    pub fn new(steps: usize, stdout: Vec<u8>, stderr: Vec<u8>) -> Self {
        let mut trace = Self { steps, ..Self::default() };
        let mut at = 0;
        while let Some(record) = stdout.get(at..at + 16) {
            if &record[..4] != b"BLS!" {
                at += 1;
                continue;
            }
            let place = u32::from_le_bytes([record[4], record[5], record[6], record[7]]);
            let result = record[8..].try_into().map_or(0, i64::from_le_bytes);
            if place == u32::MAX {
                trace.began = true;
            } else {
                trace.results.insert(place as usize, result);
            }
            at += 16;
        }
        Self { stdout, stderr, ..trace }
    }

    /// The result of the last step, where it was done.
    #[must_use]
    pub fn last(&self) -> Option<i64> {
        self.result(self.steps.checked_sub(1)?)
    }

    /// The result of a step, where it was done.
    #[must_use]
    pub fn result(&self, step: usize) -> Option<i64> {
        self.results.get(&step).copied()
    }

    /// What each thread told that a handler ran in: its number, and its result.
    #[must_use]
    pub fn threads(&self) -> BTreeMap<u32, i64> {
        let mut threads = BTreeMap::new();
        for at in 0..self.stderr.len().saturating_sub(15) {
            let record = &self.stderr[at..at + 16];
            if &record[..4] == b"THR!" {
                let number = u32::from_le_bytes([record[4], record[5], record[6], record[7]]);
                threads.insert(number, record[8..].try_into().map_or(0, i64::from_le_bytes));
            }
        }
        threads
    }

    /// How it went, in a line.
    #[must_use]
    pub fn summary(&self) -> String {
        let Self { signal, code, results, .. } = self;
        let told = format!("signal {signal:?}, code {code:?}, results {results:?}");
        if self.began {
            // What it wrote may be what it stole.
            return told;
        }
        format!("{told}, {}", String::from_utf8_lossy(&self.stderr))
    }

    /// Whether this stands in what it wrote.
    #[must_use]
    pub fn shows(&self, text: &str) -> bool {
        let has = |bytes: &[u8]| bytes.windows(text.len()).any(|part| part == text.as_bytes());
        has(&self.stdout) || has(&self.stderr)
    }

    /// What stopped it. An error where that cannot be seen.
    ///
    /// # Errors
    /// What is to be seen instead.
    pub fn stopped(&self) -> Result<Stopped, String> {
        if self.signal == Some(Self::SIGSYS) {
            return Ok(Stopped::Seccomp);
        }
        if self.signal.is_some() || self.code != Some(42) {
            return Err(format!("ended by signal {:?}, code {:?}", self.signal, self.code));
        }
        let error = self.results.values().rev().find(|result| is_error(**result));
        match error.map(|result| -*result as i32) {
            None => Ok(Stopped::Wiped),
            Some(libc::ENOSYS) => Ok(Stopped::Seccomp),
            Some(libc::EACCES | libc::EXDEV) => Ok(Stopped::Landlock),
            Some(libc::EBADF) => Ok(Stopped::Closed),
            Some(libc::EPERM) => Ok(Stopped::Capability),
            Some(other) => Err(format!("error {other}: {:?}", self.results)),
        }
    }
}

/// The table of SECURITY.md: what stops each attempt.
#[must_use]
pub fn table() -> String {
    let mut text = String::from(
        "| attempt | what it tries | no folder granted | folders granted | without the wall |\n\
         |---|---|---|---|---|\n",
    );
    for Attempt { name, tries, stopped: [none, folders], shown, .. } in attempts() {
        let shown = match shown {
            Shown::Anywhere => "works",
            Shown::Root => "works for root",
            Shown::Kernel => "works where the kernel has it",
        };
        let (none, folders) = (none.name(), folders.name());
        text += &format!("| `{name}` | {tries} | {none} | {folders} | {shown} |\n");
    }
    text
}

/// The table of SECURITY.md: what native code can still do.
#[must_use]
pub fn remaining_table() -> String {
    let mut text = String::from("| | what native code can do |\n|---|---|\n");
    for Attempt { name, tries, .. } in remaining() {
        text += &format!("| `{name}` | {tries} |\n");
    }
    text
}
