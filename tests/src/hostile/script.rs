//! What a hostile guest does: system calls one after the other, as data.
//!
//! A [`Script`] is made of steps and data, and written in the form that `executor.s` reads.
//! Addresses and results that are known only once it runs are values of their own kinds.

use libc::c_long;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

/// The most steps of a script.
pub const STEPS_MAX: usize = 48;
/// Where the data begin: behind the head and as many steps as there may be.
const DATA: usize = 16 + STEPS_MAX * STEP_BYTES;
const STEP_BYTES: usize = 64;
/// Where data must end, in the executor's memory.
const DATA_END: usize = 0xf000;

/// A value that a step uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    /// This number.
    Number(u64),
    /// The address of so many bytes into the memory, where the data are.
    Memory(usize),
    /// The result of a step, and so much more.
    Result(usize, u32),
    /// The four bytes at that place of the memory, as a number.
    Word(usize),
    /// The eight bytes there.
    Long(usize),
    /// An address in the executor's own code.
    Code(u64),
}

impl Value {
    /// Its kind and its number, as the executor has them.
    fn encoded(self) -> (u32, u64) {
        match self {
            Self::Number(number) => (0, number),
            Self::Memory(at) => (1, at as u64),
            Self::Result(step, more) => (2, step as u64 | u64::from(more) << 32),
            Self::Word(at) => (4, at as u64),
            Self::Long(at) => (5, at as u64),
            Self::Code(at) => (6, at),
        }
    }

    /// What stands at this address of the memory, as four bytes.
    ///
    /// # Panics
    /// When it is no address of the memory.
    #[must_use]
    pub fn word(self, more: usize) -> Self {
        let Self::Memory(at) = self else { panic!("{self:?} is not in the memory") };
        Self::Word(at + more)
    }

    /// The same, and so many bytes further.
    ///
    /// # Panics
    /// When it is neither an address nor a result.
    #[must_use]
    pub fn plus(self, more: u32) -> Self {
        match self {
            Self::Memory(at) => Self::Memory(at + more as usize),
            Self::Result(step, before) => Self::Result(step, before + more),
            other => panic!("{other:?} is no address"),
        }
    }
}

macro_rules! numbers {
    ($($ty:ty),*) => {$(
        impl From<$ty> for Value {
            fn from(number: $ty) -> Self {
                Self::Number(number as u64)
            }
        }
    )*};
}

numbers!(i32, u32, i64, u64, usize);

/// What the executor does in a step.
#[derive(Clone, Copy, Debug)]
enum Action {
    Call = 0,
    Fork = 1,
    OldCall = 2,
    Put = 3,
    Copy = 4,
    Enter = 5,
    Need = 6,
}

/// Steps, and their data.
#[derive(Clone, Debug, Default)]
pub struct Script {
    steps: Vec<[u8; STEP_BYTES]>,
    data: Vec<u8>,
}

impl Script {
    /// One that does nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many steps it has.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.steps.len()
    }

    /// These bytes; where they will be.
    pub fn bytes(&mut self, bytes: &[u8]) -> Value {
        self.data.resize(self.data.len().next_multiple_of(16), 0);
        let at = DATA + self.data.len();
        self.data.extend_from_slice(bytes);
        Value::Memory(at)
    }

    /// A text or path, with the zero that ends it.
    pub fn text(&mut self, text: impl AsRef<OsStr>) -> Value {
        let bytes = [text.as_ref().as_bytes(), &[0]].concat();
        self.bytes(&bytes)
    }

    /// So many zeros.
    pub fn room(&mut self, bytes: usize) -> Value {
        self.bytes(&vec![0; bytes])
    }

    /// Numbers of eight bytes.
    pub fn longs(&mut self, numbers: &[u64]) -> Value {
        let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        self.bytes(&bytes)
    }

    /// Numbers of four bytes.
    pub fn words(&mut self, numbers: &[u32]) -> Value {
        let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        self.bytes(&bytes)
    }

    /// Values of eight bytes, such as addresses: a step for each.
    pub fn list(&mut self, values: &[Value]) -> Value {
        let list = self.room(8 * values.len());
        for (at, value) in values.iter().enumerate() {
            self.step(Action::Put, 0, &[list.plus(8 * at as u32), *value]);
        }
        list
    }

    /// A system call; its result.
    pub fn call(&mut self, number: c_long, values: &[Value]) -> Value {
        self.step(Action::Call, number, values)
    }

    /// A system call that may return twice: the child ends at once, with 7.
    pub fn fork(&mut self, number: c_long, values: &[Value]) -> Value {
        self.step(Action::Fork, number, values)
    }

    /// A system call by `int 0x80`, with a 32-bit program's number and up to five values.
    pub fn old_call(&mut self, number: c_long, values: &[Value]) -> Value {
        self.step(Action::OldCall, number, values)
    }

    /// Copies bytes from one address to another.
    pub fn copy(&mut self, to: Value, from: Value, bytes: usize) {
        self.step(Action::Copy, 0, &[to, from, bytes.into()]);
    }

    /// Calls the code at an address; what it returns.
    pub fn enter(&mut self, code: Value) -> Value {
        self.step(Action::Enter, 0, &[code])
    }

    /// Ends here where this is an error.
    pub fn need(&mut self, value: Value) {
        self.step(Action::Need, 0, &[value]);
    }

    fn step(&mut self, action: Action, number: c_long, values: &[Value]) -> Value {
        assert!(self.steps.len() < STEPS_MAX && values.len() <= 6, "too much for one script");
        let mut step = [0; STEP_BYTES];
        let mut kinds = 0;
        for (place, value) in values.iter().enumerate() {
            let (kind, number) = value.encoded();
            kinds |= kind << (4 * place);
            step[16 + 8 * place..][..8].copy_from_slice(&number.to_le_bytes());
        }
        let number = u32::try_from(number).expect("a number of a system call");
        for (at, word) in [number, action as u32, kinds].into_iter().enumerate() {
            step[4 * at..][..4].copy_from_slice(&word.to_le_bytes());
        }
        self.steps.push(step);
        Value::Result(self.steps.len() - 1, 0)
    }

    /// As the executor reads it.
    ///
    /// # Panics
    /// When it is too long for the executor's memory.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let length = DATA + self.data.len();
        assert!(length <= DATA_END, "too much data for one script");
        let mut bytes = Vec::with_capacity(length);
        bytes.extend((length as u32).to_le_bytes());
        bytes.extend((self.steps.len() as u32).to_le_bytes());
        bytes.resize(16, 0);
        bytes.extend(self.steps.iter().flatten());
        bytes.resize(DATA, 0);
        bytes.extend(&self.data);
        bytes
    }
}
