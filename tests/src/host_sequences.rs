//! Arbitrary sequences of host calls, made from bytes, and what must hold of all.
//!
//! The bytes choose functions and arguments: mostly ones that mean something
//! (descriptors that are open, pointers into memory, paths that lead in and out of
//! the granted folders), sometimes any at all. `tests/host_sequences.rs` makes the
//! bytes from a seed, the fuzz target `host_calls` from what it has learned.
//!
//! Checks after each call that the answer is one that the specification or the
//! limits allow, and that the secret is not in the guest's memory; at the end that
//! the folder outside and the one that may only be read are as they were, that no
//! more was written than allowed, and that no descriptor of ours is left open. A
//! sequence cannot block: what it waits for is cut to a millisecond, and there is
//! no FIFO in its folders. Does not look at standard streams: the caller puts
//! them where nothing is lost and nothing waits (`/dev/null`).

use crate::host_driver::{Answer, Driver, SUCCESS, Shape};
use crate::preview1::{BUFFER_BYTES, ERRNO_MAX, PARAMETERS, Role, SUBSCRIPTION_BYTES, parameters};
use crate::scene::{READ_ONLY, SECRET, SECRET_NAME, Scene, Snapshot, WRITABLE};
use arbitrary::{Result, Unstructured};
use std::collections::BTreeMap;

/// Calls of one sequence, at most.
const CALLS_MAX: usize = 100;
/// What the guest of a sequence may write, and make a disk hold: a few names.
const OUTPUT_MAX: u64 = 30_000;
/// Functions whose calls the limit on output can end.
const COUNTED: [&str; 9] = [
    "fd_allocate",
    "fd_filestat_set_size",
    "fd_pwrite",
    "fd_write",
    "path_create_directory",
    "path_link",
    "path_open",
    "path_rename",
    "path_symlink",
];
/// Descriptors that a guest may hold.
const DESCRIPTORS_MAX: u32 = 1024;

/// Paths that lead somewhere, or nowhere, or out.
#[rustfmt::skip]
const PATHS: &[&str] = &[
    ".", "..", "a", "b", "c", "new", "link", "chain", "dir", "dir/file", "dir/deep", "dir/new",
    "dir/deep/new", "link-dir", "link-dir/file", "link-dir/..", "loop", "loop/a", "dangling",
    "up", "up/..", "up/outside/secret", "up/writable/a", "up/read-only/a",
    "dir/up/outside/secret", "root", "root/etc/passwd", "root/proc/self/root", "out", "out-dir",
    "out-dir/secret", "out-dir/folder", "out-dir/new", "absolute", "/", "/etc/passwd", "//a",
    "/writable/a", "./a", "a/", "a/.", "a/..", "a/b", "dir/", "dir/.", "dir/..", "dir/../..",
    "dir/../a", "../secret", "../outside", "../outside/secret", "../outside/new",
    "../read-only/a", "../writable/a", "../../..", "dir/../../outside/secret",
    "dir/deep/../../../outside/secret", "new/../../outside/secret", "", "c/d", "c/d/e",
    "c/d/e/f/g/h", "\u{0}", "a\u{0}b", "\u{1f9ed}", "...", "a ", "~", "$HOME", "*",
];

/// Where the pieces of one call lie in memory: a page that calls take turns on.
const SCRATCH: u32 = 0x1_0000;
const SCRATCH_BYTES: u32 = 0xf000;

/// What a sequence did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Calls, by function: how many, and how many of those succeeded.
    pub calls: BTreeMap<&'static str, (u64, u64)>,
    /// Calls that ended in a trap because of a pointer.
    pub faults: u64,
    /// Sequences that ended at the limit on output.
    pub limited: u64,
}

impl Summary {
    /// Adds another's numbers.
    pub fn add(&mut self, other: &Self) {
        for (name, (calls, successes)) in &other.calls {
            let sum = self.calls.entry(name).or_default();
            sum.0 += calls;
            sum.1 += successes;
        }
        self.faults += other.faults;
        self.limited += other.limited;
    }

    /// All calls.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.calls.values().map(|(calls, _)| calls).sum()
    }
}

/// The folders that sequences use one after the other, and what must not change.
#[derive(Debug)]
pub struct Stage {
    scene: Scene,
    forbidden: Snapshot,
    /// A path to the secret from the system's root.
    secret: String,
}

impl Default for Stage {
    fn default() -> Self {
        Self::new()
    }
}

impl Stage {
    /// Fresh folders.
    ///
    /// # Panics
    /// When they cannot be made.
    #[must_use]
    pub fn new() -> Self {
        let scene = Scene::in_memory();
        // The code of the first instance stays mapped: a descriptor of its own.
        drop(Driver::new(Shape::TwoPages, scene.grants()));
        let forbidden = Self::forbidden(&scene);
        let secret = scene.outside().join("secret").to_string_lossy().into_owned();
        Self { scene, forbidden, secret }
    }

    fn forbidden(scene: &Scene) -> Snapshot {
        Snapshot::of_all(&[scene.outside(), scene.read_only()])
    }

    /// Runs the sequence that `bytes` are.
    ///
    /// # Panics
    /// When something holds that must not.
    pub fn run(&self, bytes: &[u8]) -> Summary {
        let before = open_descriptors();
        self.scene.renew();
        let mut grants = self.scene.grants();
        grants.output_max = Some(OUTPUT_MAX);
        let mut sequence = Sequence {
            driver: Driver::new(Shape::TwoPages, grants),
            source: Unstructured::new(bytes),
            secret: &self.secret,
            opened: Vec::new(),
            written: 0,
            scratch: 0,
            summary: Summary::default(),
        };
        // Running out of bytes is the end of a sequence, not an error.
        let _ = sequence.run();
        let Sequence { driver, written, summary, .. } = sequence;
        assert!(written <= OUTPUT_MAX, "{written} bytes have been written");
        drop(driver);
        assert_eq!(open_descriptors(), before, "descriptors are left open");
        self.forbidden.assert_same(&Self::forbidden(&self.scene), &"what must not change");
        summary
    }
}

/// How many descriptors this process has open. One more while they are counted.
fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").expect("a list of descriptors").count()
}

/// One sequence under way.
struct Sequence<'a> {
    driver: Driver,
    source: Unstructured<'a>,
    secret: &'a str,
    /// Descriptors that were opened; some are closed again.
    opened: Vec<u32>,
    /// Bytes that the host says were written.
    written: u64,
    /// Where in the scratch page the next piece goes.
    scratch: u32,
    summary: Summary,
}

impl Sequence<'_> {
    /// Makes calls until the bytes are used up, or the run is over.
    fn run(&mut self) -> Result<()> {
        for _ in 0..CALLS_MAX {
            if self.source.is_empty() {
                return Ok(());
            }
            let name = self.function()?;
            let arguments = self.arguments(name)?;
            // Now and then the same file is opened until the table is full.
            let opened = self.opened.len();
            let floods = name == "path_open" && self.source.ratio(1, 64)?;
            if !self.call(name, &arguments) {
                return Ok(());
            }
            if floods && self.opened.len() > opened {
                for _ in 0..DESCRIPTORS_MAX {
                    self.call(name, &arguments);
                }
            }
        }
        Ok(())
    }

    /// Makes one call and judges it; whether the run goes on.
    fn call(&mut self, name: &'static str, arguments: &[u64]) -> bool {
        let answer = self.driver.call(name, arguments);
        let calls = self.summary.calls.entry(name).or_default();
        calls.0 += 1;
        let ended = match &answer {
            Answer::Errno(errno) => {
                assert!(*errno <= ERRNO_MAX, "{name}{arguments:?}: errno {errno}");
                false
            }
            // A real run ends here; going on asks more of the host.
            Answer::Fault(_) => {
                self.summary.faults += 1;
                false
            }
            Answer::Exited(code) => {
                assert_eq!((name, u64::from(*code)), ("proc_exit", arguments[0]));
                calls.1 += 1;
                true
            }
            Answer::OutputLimit => {
                assert!(COUNTED.contains(&name), "{name}{arguments:?}: the limit on output");
                self.summary.limited += 1;
                true
            }
            Answer::Failed(why) => panic!("{name}{arguments:?}: {why}"),
        };
        if answer == SUCCESS {
            calls.1 += 1;
            self.note(name, arguments);
        }
        if ["fd_read", "fd_pread", "fd_readdir", "path_readlink"].contains(&name) {
            self.check_nothing_leaked();
        }
        !ended
    }

    /// Nothing of what is outside is in the guest's memory.
    fn check_nothing_leaked(&self) {
        for hidden in [SECRET, SECRET_NAME.as_bytes()] {
            let leaked = find(self.driver.memory(), hidden);
            assert!(!leaked, "what is outside is in memory");
        }
    }

    /// Remembers what a successful call gave.
    fn note(&mut self, name: &str, arguments: &[u64]) {
        let result = arguments.last().map_or(0, |pointer| *pointer as u32);
        match name {
            "path_open" => {
                let number = self.driver.word(result);
                assert!(number < DESCRIPTORS_MAX, "descriptor {number}");
                if self.opened.len() < 64 {
                    self.opened.push(number);
                }
            }
            "fd_write" | "fd_pwrite" => self.written += u64::from(self.driver.word(result)),
            _ => {}
        }
    }

    /// Arguments for a function, with what they point to put in memory.
    fn arguments(&mut self, name: &str) -> Result<Vec<u64>> {
        let mut arguments = Vec::new();
        // How long what the last pointer points to is.
        let mut length = 0_u32;
        for role in parameters(name) {
            let argument = match role {
                // A sequence without a folder is soon over.
                Role::Descriptor if matches!(name, "fd_close" | "fd_renumber") => {
                    match self.opened.len() {
                        0 => self.source.arbitrary::<u32>()?.into(),
                        _ if self.rarely()? => self.descriptor()?.into(),
                        _ => (*self.source.choose(&self.opened)?).into(),
                    }
                }
                // What can be done with a file is tried with one.
                Role::Descriptor if name.starts_with("fd_") && !self.opened.is_empty() => {
                    match self.source.ratio(1, 4)? {
                        true => self.descriptor()?.into(),
                        false => (*self.source.choose(&self.opened)?).into(),
                    }
                }
                Role::Descriptor => self.descriptor()?.into(),
                Role::Path => {
                    let path = self.path()?;
                    let pointer = self.place(&path);
                    length = path.len() as u32;
                    self.pointer(pointer)?
                }
                Role::Bytes => {
                    length = self.size()?;
                    let pointer = self.room(length);
                    self.pointer(pointer)?
                }
                Role::Sources | Role::Targets => {
                    let (pointer, count) = self.buffers()?;
                    length = count;
                    self.pointer(pointer)?
                }
                Role::Subscriptions => {
                    let (pointer, count) = self.subscriptions()?;
                    length = count;
                    pointer.into()
                }
                Role::Length | Role::Count => {
                    if self.rarely()? {
                        self.source.arbitrary::<u32>()?.into()
                    } else {
                        length.into()
                    }
                }
                // What is there has been read and cut; more has not.
                Role::Subscribed => length.into(),
                Role::Record { .. } | Role::Pointers | Role::Strings | Role::Events => {
                    let pointer = self.room(256);
                    self.pointer(pointer)?
                }
                Role::Flags(known) => self.number(u64::from(*known))?,
                Role::Choice(count) => self.number(u64::from(count.next_power_of_two() - 1))?,
                Role::Rights => self.rights()?,
                Role::Long => self.long()?,
                Role::Code => self.source.arbitrary::<u32>()?.into(),
            };
            arguments.push(argument);
        }
        if name == "fd_allocate" {
            // It takes room on a real disk.
            arguments[2] &= 0xf_ffff;
        }
        Ok(arguments)
    }

    /// A function to call. Little can be done without an open file, and nothing
    /// after the end.
    fn function(&mut self) -> Result<&'static str> {
        let (name, _) = *self.source.choose(PARAMETERS)?;
        Ok(match name {
            "proc_exit" if !self.rarely()? => "path_open",
            "proc_raise" | "sched_yield" => *self.source.choose(&["path_open", name])?,
            _ if name.starts_with("sock_") => *self.source.choose(&["path_open", name])?,
            _ if self.opened.is_empty() && self.source.ratio(1, 4)? => "path_open",
            _ => name,
        })
    }

    fn rarely(&mut self) -> Result<bool> {
        self.source.ratio(1, 32)
    }

    fn descriptor(&mut self) -> Result<u32> {
        Ok(match self.source.int_in_range(0..=15)? {
            0..=5 => WRITABLE,
            6..=8 => READ_ONLY,
            9..=13 if !self.opened.is_empty() => *self.source.choose(&self.opened)?,
            14 => self.source.arbitrary()?,
            _ => self.source.int_in_range(0..=8)?,
        })
    }

    fn path(&mut self) -> Result<Vec<u8>> {
        let mut path = (*self.source.choose(PATHS)?).to_owned();
        if self.source.ratio(1, 3)? {
            // Short ones meet each other.
            path = (*self.source.choose(&["a", "b", "c", "dir", "dir/file", "new"])?).to_owned();
        }
        Ok(match self.source.int_in_range(0..=31)? {
            0..=3 => format!("{path}/{}", self.source.choose(PATHS)?).into_bytes(),
            4 => self.secret.as_bytes().to_vec(),
            5 => "x".repeat(self.source.int_in_range(250..=260)?).into_bytes(),
            6 => {
                let times = self.source.int_in_range(2..=2000)?;
                path.push('/');
                path.repeat(times).into_bytes()
            }
            7 => {
                let length = self.source.int_in_range(0..=64)?;
                self.source.bytes(length)?.to_vec()
            }
            _ => path.into_bytes(),
        })
    }

    /// A pointer: the good one, or any.
    fn pointer(&mut self, good: u32) -> Result<u64> {
        if !self.rarely()? {
            return Ok(good.into());
        }
        let end = self.driver.memory().len() as u64;
        Ok(match self.source.int_in_range(0..=3)? {
            0 => end - self.source.int_in_range(0..=64)?,
            1 => u64::from(good) + self.source.int_in_range(1..=7)?,
            _ => self.source.arbitrary::<u32>()?.into(),
        })
    }

    fn size(&mut self) -> Result<u32> {
        Ok(match self.source.int_in_range(0..=7)? {
            0 => 0,
            1 => self.source.int_in_range(0..=0x8000)?,
            _ => self.source.int_in_range(0..=512)?,
        })
    }

    fn long(&mut self) -> Result<u64> {
        Ok(match self.source.int_in_range(0..=7)? {
            0 => self.source.arbitrary()?,
            1 => i64::MAX as u64 - u64::from(self.source.arbitrary::<u8>()?),
            2 => (1 << 32) + u64::from(self.source.arbitrary::<u8>()?),
            3 => u64::MAX - u64::from(self.source.arbitrary::<u8>()?),
            _ => u64::from(self.source.arbitrary::<u8>()?),
        })
    }

    fn number(&mut self, known: u64) -> Result<u64> {
        let bits = u64::from(self.source.arbitrary::<u32>()?);
        // Few at a time: many contradict each other.
        let fewer = u64::from(self.source.arbitrary::<u32>()?);
        Ok(if self.rarely()? { bits } else { bits & fewer & known })
    }

    fn rights(&mut self) -> Result<u64> {
        let (read, write) = (1 << 1, 1 << 6);
        Ok(match self.source.int_in_range(0..=7)? {
            0 => self.source.arbitrary::<u64>()? & 0x3fff_ffff,
            1 if self.rarely()? => self.source.arbitrary()?,
            1..=3 => read,
            4 => write,
            _ => read | write,
        })
    }

    /// A list of buffers in memory, and how many.
    fn buffers(&mut self) -> Result<(u32, u32)> {
        let count = self.source.int_in_range(0..=4)?;
        let mut words = Vec::new();
        for _ in 0..count {
            let length = self.size()?;
            let pointer = self.room(length);
            words.push(self.pointer(pointer)? as u32);
            words.push(if self.rarely()? { self.source.arbitrary()? } else { length });
        }
        let list = self.room(count * BUFFER_BYTES);
        self.driver.put_words(list, &words);
        Ok((list, count))
    }

    /// Subscriptions in memory, none of which waits longer than a millisecond, and
    /// how many; or what is no such list.
    fn subscriptions(&mut self) -> Result<(u32, u32)> {
        if self.rarely()? {
            return Ok((u32::MAX - self.source.int_in_range(0..=64)?, self.source.arbitrary()?));
        }
        let count = self.source.int_in_range(0..=4)?;
        let list = self.room(count * SUBSCRIPTION_BYTES);
        for index in 0..count {
            let mut record = [0; SUBSCRIPTION_BYTES as usize];
            self.source.fill_buffer(&mut record)?;
            record[8] %= 4;
            let number = self.descriptor()?;
            if record[8] == 0 {
                record[16] &= 3;
                record[17..20].fill(0);
                // Little-endian: 2^20 ns at most.
                record[26] &= 0xf;
                record[27..32].fill(0);
                record[40] &= 1;
                record[41] = 0;
            } else {
                record[16..20].copy_from_slice(&number.to_le_bytes());
            }
            self.driver.put(list + index * SUBSCRIPTION_BYTES, &record);
        }
        Ok((list, count))
    }

    /// A place for `length` bytes, aligned, which the next pieces leave alone.
    fn room(&mut self, length: u32) -> u32 {
        if self.scratch + length > SCRATCH_BYTES {
            self.scratch = 0;
        }
        let place = SCRATCH + self.scratch;
        self.scratch += length.next_multiple_of(8);
        place
    }

    /// Puts bytes in memory; where.
    fn place(&mut self, bytes: &[u8]) -> u32 {
        let place = self.room(bytes.len() as u32);
        self.driver.put(place, bytes);
        place
    }
}

/// Whether `bytes` contain `wanted`.
fn find(bytes: &[u8], wanted: &[u8]) -> bool {
    let (first, rest) = wanted.split_first().expect("something to look for");
    let mut from = 0;
    while let Some(found) = bytes[from..].iter().position(|byte| byte == first) {
        from += found + 1;
        if bytes[from..].starts_with(rest) {
            return true;
        }
    }
    false
}
