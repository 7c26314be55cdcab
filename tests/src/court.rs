//! What a lying guest is judged by: for each function of preview 1 one good call,
//! and what must hold of any call made from it with something wrong.
//!
//! The good calls come from the specification's table ([`parameters`]), one value
//! for each role, over a memory that is full of canaries. Guarantees that a
//! [`Court`] sees every byte of memory that changes beside the named output, and
//! every change in the folders. Which answer is right is the tests' to say.

use crate::host_driver::{Answer, Driver, SUCCESS, Shape};
use crate::preview1::{BUFFER_BYTES, ERRNO_MAX, EVENT_BYTES, Role, SUBSCRIPTION_BYTES, parameters};
use crate::scene::{Scene, Snapshot, WRITABLE};
use std::ops::Range;

/// What the memory is full of.
pub const CANARY: u8 = 0xa5;
/// Where a good call has its paths.
pub const PATHS: [u32; 2] = [0x1000, 0x1100];
/// Its bytes.
pub const BYTES: u32 = 0x2000;
/// Its list of buffers.
pub const LIST: u32 = 0x3000;
/// The buffers themselves, each with its length.
pub const BUFFERS: [(u32, u32); 2] = [(0x6000, 16), (0x6100, 16)];
/// Its records.
pub const RECORDS: [u32; 2] = [0x7000, 0x7100];
/// Its pointers to strings.
pub const POINTERS: u32 = 0x8000;
/// The strings themselves.
pub const STRINGS: u32 = 0x8100;
/// Its subscriptions.
pub const SUBSCRIPTIONS: u32 = 0x9000;
/// Its events.
pub const EVENTS: u32 = 0xa000;
/// The descriptor of an open file, in most of the cases.
pub const FILE: u32 = 5;
/// Bytes of the granted arguments and variables, as the guest sees them.
const STRINGS_BYTES: [(&str, u32); 2] = [("args_get", 15), ("environ_get", 18)];

/// The paths of a function's good call.
fn paths(name: &str) -> [&'static str; 2] {
    match name {
        "path_remove_directory" => ["dir/deep", ""],
        "path_create_directory" | "path_open" => ["new", ""],
        "path_readlink" => ["link", ""],
        _ => ["a", "new"],
    }
}

/// The good call of a function: one that changes something if it can.
///
/// # Panics
/// When there is no such function.
#[must_use]
pub fn good(name: &str) -> Vec<u64> {
    let (mut path, mut record, mut long) = (0, 0, 0);
    let mut arguments: Vec<u64> = Vec::new();
    for role in parameters(name) {
        let value = match role {
            Role::Descriptor if name == "fd_renumber" => FILE + arguments.len() as u32,
            Role::Descriptor if name.starts_with("path_") => WRITABLE,
            Role::Descriptor if matches!(name, "fd_readdir") || name.contains("prestat") => {
                WRITABLE
            }
            Role::Descriptor => FILE,
            Role::Path => {
                path += 1;
                PATHS[path - 1]
            }
            // As long as the name of the folder, and no longer.
            Role::Length if name == "fd_prestat_dir_name" => 9,
            Role::Length if arguments.last() == Some(&BYTES.into()) => 256,
            Role::Length => paths(name)[path - 1].len() as u32,
            Role::Bytes => BYTES,
            Role::Sources | Role::Targets => LIST,
            Role::Count => BUFFERS.len() as u32,
            Role::Record { .. } => {
                record += 1;
                RECORDS[record - 1]
            }
            Role::Pointers => POINTERS,
            Role::Strings => STRINGS,
            Role::Subscriptions => SUBSCRIPTIONS,
            Role::Events => EVENTS,
            Role::Subscribed => 1,
            // To create a file is what `path_open` can change.
            Role::Flags(_) => u32::from(name == "path_open" && arguments.len() == 4),
            Role::Choice(_) => 0,
            Role::Rights => 1 << 1 | 1 << 6,
            Role::Long if name.starts_with("fd_filestat_set_size") => 3,
            Role::Long => {
                long += 1;
                long - 1
            }
            Role::Code => 7,
        };
        arguments.push(value.into());
    }
    if name.ends_with("filestat_set_times") {
        // Both times are given.
        *arguments.last_mut().expect("flags") = 0b101;
    }
    arguments
}

/// A fresh guest with two open files, and everything a good call points to.
///
/// # Panics
/// When the files cannot be opened.
#[must_use]
pub fn guest(shape: Shape, scene: &Scene, name: &str) -> Driver {
    let mut driver = Driver::new(shape, scene.grants());
    let end = driver.memory().len().min(0x1_0000);
    driver.memory_mut()[..end].fill(CANARY);
    if end == 0 {
        return driver;
    }
    driver.put(PATHS[0], b"dir/file");
    for number in [FILE, FILE + 1] {
        let rights = 1 << 1 | 1 << 6;
        let open = [WRITABLE.into(), 0, PATHS[0].into(), 8, 0, rights, 0, 0, RECORDS[0].into()];
        assert_eq!(driver.call("path_open", &open), SUCCESS);
        assert_eq!(driver.word(RECORDS[0]), number);
    }
    driver.put(PATHS[0], &[CANARY; 8]);
    driver.put_words(RECORDS[0], &[u32::from_le_bytes([CANARY; 4])]);
    for (pointer, path) in PATHS.into_iter().zip(paths(name)) {
        driver.put(pointer, path.as_bytes());
    }
    let words: Vec<u32> =
        BUFFERS.into_iter().flat_map(|(pointer, length)| [pointer, length]).collect();
    driver.put_words(LIST, &words);
    // A clock that has rung already.
    driver.put(SUBSCRIPTIONS, &[0; SUBSCRIPTION_BYTES as usize]);
    driver
}

/// How many bytes the pointer at `index` must be good for.
///
/// # Panics
/// When there is no such function.
#[must_use]
pub fn needed(name: &str, arguments: &[u64], index: usize) -> u64 {
    let next = || arguments[index + 1];
    match parameters(name)[index] {
        Role::Path | Role::Bytes => next(),
        Role::Sources | Role::Targets => next() * u64::from(BUFFER_BYTES),
        Role::Record { size, .. } => size.into(),
        Role::Pointers => 8,
        Role::Strings => STRINGS_BYTES
            .iter()
            .find_map(|(known, bytes)| (*known == name).then_some(u64::from(*bytes)))
            .expect("a function that gives strings"),
        Role::Subscriptions => arguments[index + 2] * u64::from(SUBSCRIPTION_BYTES),
        Role::Events => arguments[index + 1] * u64::from(EVENT_BYTES),
        _ => 0,
    }
}

/// Where a call may write, by its arguments and what they point to.
fn outputs(driver: &Driver, name: &str, arguments: &[u64]) -> Vec<Range<u64>> {
    let mut ranges = Vec::new();
    for (index, role) in parameters(name).iter().enumerate() {
        let start = arguments[index] & u64::from(u32::MAX);
        match role {
            Role::Targets => {
                for entry in 0..arguments[index + 1].min(1024) {
                    let place = (start + entry * 8) as usize;
                    let Some(words) = driver.memory().get(place..place + 8) else { break };
                    let word = |at: usize| {
                        u64::from(u32::from_le_bytes(words[at..at + 4].try_into().expect("four")))
                    };
                    ranges.push(word(0)..word(0) + word(4));
                }
            }
            Role::Path | Role::Sources | Role::Subscriptions => {}
            role if role.is_pointer() => ranges.push(start..start + needed(name, arguments, index)),
            _ => {}
        }
    }
    ranges
}

/// Everything a case is judged by, and how many there were.
#[derive(Debug)]
pub struct Court {
    scene: Scene,
    before: Snapshot,
    calls: u64,
    /// How many of its calls were traps because of a pointer.
    pub faults: u64,
}

impl Default for Court {
    fn default() -> Self {
        Self::new()
    }
}

impl Court {
    /// A court with folders of its own.
    ///
    /// # Panics
    /// When they cannot be made.
    #[must_use]
    pub fn new() -> Self {
        let scene = Scene::in_memory();
        let before = Self::folders(&scene);
        Self { scene, before, calls: 0, faults: 0 }
    }

    /// All that a scene's folders hold.
    ///
    /// # Panics
    /// When they cannot be read.
    #[must_use]
    pub fn folders(scene: &Scene) -> Snapshot {
        Snapshot::of_all(&[scene.outside(), scene.read_only(), scene.writable()])
    }

    /// A fresh guest for a good call of a function.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn guest(&self, name: &str) -> Driver {
        guest(Shape::OnePage, &self.scene, name)
    }

    /// Makes one call and checks what holds of every call. The answer.
    ///
    /// # Panics
    /// When it does not hold.
    pub fn call(&mut self, driver: &mut Driver, name: &str, arguments: &[u64]) -> Answer {
        let ranges = outputs(driver, name, arguments);
        let mut expected = driver.memory().to_vec();
        let answer = driver.call(name, arguments);
        let what = format!("{name}{arguments:x?} gave {answer:?}");
        self.calls += 1;
        match &answer {
            Answer::Errno(errno) => assert!(*errno <= ERRNO_MAX, "{what}"),
            Answer::Fault(_) => self.faults += 1,
            Answer::Exited(_) => assert_eq!(name, "proc_exit"),
            Answer::OutputLimit | Answer::Failed(_) => panic!("{what}"),
        }
        for range in ranges {
            let end = (range.end as usize).min(expected.len());
            let range = (range.start as usize).min(end)..end;
            expected[range.clone()].copy_from_slice(&driver.memory()[range]);
        }
        assert!(expected == driver.memory(), "{what}, and memory changed beside its output");
        answer
    }

    /// The same, of a call that must not have changed a thing in any folder.
    ///
    /// # Panics
    /// When it has.
    #[track_caller]
    pub fn harmless(&mut self, driver: &mut Driver, name: &str, arguments: &[u64]) -> Answer {
        let answer = self.call(driver, name, arguments);
        let what = format!("{name}{arguments:x?} gave {answer:?}");
        self.before.assert_same(&Self::folders(&self.scene), &what);
        answer
    }

    /// Makes the folder that may be changed anew, after calls that may succeed.
    ///
    /// # Panics
    /// When something beside it has changed.
    pub fn renew(&mut self) {
        let beside = [self.scene.outside(), self.scene.read_only()];
        let now = Snapshot::of_all(&beside);
        self.scene.renew();
        let before = std::mem::replace(&mut self.before, Self::folders(&self.scene));
        assert!(before.holds(&now), "beside the folder that may be changed, something changed");
    }

    /// The last word of a test.
    pub fn close(self) {
        eprintln!("{} calls, {} faults", self.calls, self.faults);
    }
}
