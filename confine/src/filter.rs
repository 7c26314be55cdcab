//! A filter of system calls (seccomp(2)): an allow-list by number, with a look at arguments
//! where the number alone does not say enough.
//!
//! Everything that is not on the list ends the process, at once and whoever is blocked in it:
//! its parent sees SIGSYS. Calls of another architecture's numbers (x32 and 32-bit calls on
//! x86-64) are on no list.
//!
//! The kernel runs a filter once for each number when it is installed, to know which calls it
//! need not be asked about any more. That is most of what a filter costs, and all of it where
//! no arguments are looked at. So the program is a search tree over ranges of numbers, in
//! which wide ranges stand near the root, and not a chain of comparisons.

use crate::sys::{self, Instruction};
use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// A condition on an argument of a call, of which the low 32 bits are looked at: those that
/// the kernel looks at in the calls that have one here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Argument {
    /// None of these bits is set in the argument of this place, counted from 0.
    HasNoneOf(u8, u32),
    /// All of these bits are set in it.
    HasAllOf(u8, u32),
    /// At least one of these bits is not set in it: they are not all there together.
    LacksOneOf(u8, u32),
    /// It is one of these values.
    IsOneOf(u8, Vec<u32>),
}

/// What becomes of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Answer {
    Allow,
    /// Allowed where all of these hold; else this.
    AllowIf(Vec<Argument>, Other),
    /// None of them.
    Other(Other),
}

/// What becomes of a call that is not allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Other {
    /// The process ends.
    Kill,
    /// This error, as if the kernel had no such call, or refused it.
    Error(u16),
    /// Whoever listens says so ([`Filter::install_with_listener`]).
    Ask,
}

/// The calls that a process may still make.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter(BTreeMap<u32, Answer>);

/// Where the calls of another process are judged ([`Filter::install_with_listener`]). Ready
/// to be read where one waits.
#[derive(Debug)]
pub struct Listener(OwnedFd);

impl Listener {
    /// The end that another process sent.
    #[must_use]
    pub fn from_descriptor(descriptor: OwnedFd) -> Self {
        Self(descriptor)
    }

    /// Takes one call that waits, and lets the kernel go on with it where `judge` says so of
    /// the process's number; else it is this error. Whoever made the call may be gone.
    ///
    /// Must not decide about what is in the caller's memory, which it can change meanwhile.
    ///
    /// # Errors
    /// Where nobody waits any more.
    pub fn answer(&self, judge: impl FnOnce(i32) -> Result<(), i32>) -> io::Result<()> {
        sys::answer_call(self.0.as_fd(), judge)
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// The number of a system call of this architecture (`libc::SYS_*`).
pub type Number = libc::c_long;

impl Filter {
    /// One that allows nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Allows these calls, whatever their arguments.
    pub fn allow(&mut self, numbers: &[Number]) {
        for number in numbers {
            self.set(*number, Answer::Allow);
        }
    }

    /// Allows a call where its argument is as said. What was said of the number before is
    /// replaced.
    pub fn allow_if(&mut self, number: Number, argument: Argument) {
        self.allow_if_all(number, vec![argument]);
    }

    /// The same for several arguments: all must be as said.
    pub fn allow_if_all(&mut self, number: Number, arguments: Vec<Argument>) {
        self.set(number, Answer::AllowIf(arguments, Other::Kill));
    }

    /// The same as [`Filter::allow_if`], and an error number where the argument is another.
    pub fn allow_if_or_refuse(&mut self, number: Number, argument: Argument, error: i32) {
        let error = u16::try_from(error).unwrap_or(0);
        self.set(number, Answer::AllowIf(vec![argument], Other::Error(error)));
    }

    /// The same for several arguments: all must be as said.
    pub fn allow_if_all_or_refuse(&mut self, number: Number, arguments: Vec<Argument>, error: i32) {
        let error = u16::try_from(error).unwrap_or(0);
        self.set(number, Answer::AllowIf(arguments, Other::Error(error)));
    }

    /// Answers these calls with an error number.
    pub fn refuse(&mut self, numbers: &[Number], error: i32) {
        for number in numbers {
            self.set(*number, Answer::Other(Other::Error(u16::try_from(error).unwrap_or(0))));
        }
    }

    /// Allows a call where its argument is as said; else whoever listens is asked.
    pub fn allow_if_or_ask(&mut self, number: Number, argument: Argument) {
        self.set(number, Answer::AllowIf(vec![argument], Other::Ask));
    }

    /// Has whoever listens asked about each of these calls.
    pub fn ask(&mut self, numbers: &[Number]) {
        for number in numbers {
            self.set(*number, Answer::Other(Other::Ask));
        }
    }

    fn set(&mut self, number: Number, answer: Answer) {
        self.0.insert(u32::try_from(number).unwrap_or(u32::MAX), answer);
    }

    /// Whether a call may be made, with any arguments.
    #[must_use]
    pub fn allows(&self, number: Number) -> bool {
        let number = u32::try_from(number).ok();
        matches!(
            number.and_then(|number| self.0.get(&number)),
            Some(Answer::Allow | Answer::AllowIf(..))
        )
    }

    /// From here on no thread of this process makes another call. It must not be able to get
    /// new privileges ([`crate::forbid_new_privileges`]).
    ///
    /// The kernel is told that this filter asks for no slower processor (it has to be on
    /// kernels before 5.16, where a filter else turns off speculation past stores): what could
    /// be read so is this process's own memory, and whoever the filter is for reads it anyway.
    ///
    /// # Errors
    /// What the kernel says: `EINVAL` or `ENOSYS` where it has no filters, or another filter
    /// forbids this one. `Unsupported` on other machines than x86-64, aarch64, riscv64, Arm of
    /// 32 bits and s390x.
    pub fn install(&self) -> io::Result<()> {
        if ARCHITECTURE == 0 {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let flags = libc::SECCOMP_FILTER_FLAG_TSYNC | libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW;
        sys::install_filter(&self.program(), flags)
    }

    /// The same for a process of one thread, and the end at which calls are judged that the
    /// filter asks about. It is handed to another process; where nobody has it any more such
    /// calls are `ENOSYS`.
    ///
    /// # Errors
    /// As [`install`](Self::install); `EBUSY` where somebody listens to this process already.
    pub fn install_with_listener(&self) -> io::Result<Listener> {
        if ARCHITECTURE == 0 {
            return Err(io::ErrorKind::Unsupported.into());
        }
        sys::install_filter_with_listener(&self.program()).map(Listener)
    }

    /// The program that the kernel runs at each call.
    fn program(&self) -> Vec<Instruction> {
        let mut program = vec![
            load(ARCHITECTURE_AT),
            jump(libc::BPF_JEQ, ARCHITECTURE, 1, 0),
            answer(libc::SECCOMP_RET_KILL_PROCESS),
            load(NUMBER_AT),
        ];
        append_tree(&mut program, &self.ranges(), NUMBERS);
        program
    }

    /// All numbers, as ranges of one answer each, by their first number; `None` is the end of
    /// the process.
    fn ranges(&self) -> Vec<(u32, Option<&Answer>)> {
        let mut ranges: Vec<(u32, Option<&Answer>)> = vec![(0, None)];
        for (number, answer) in &self.0 {
            let last = ranges.last().copied().unwrap_or((0, None));
            if last.0 == *number {
                ranges.pop();
            }
            if ranges.last().is_none_or(|(_, before)| *before != Some(answer)) {
                ranges.push((*number, Some(answer)));
            }
            if let Some(next) = number.checked_add(1) {
                ranges.push((next, None));
            }
        }
        ranges
    }
}

/// Where `struct seccomp_data` has the number of the call, and the architecture it is of.
const NUMBER_AT: u32 = 0;
const ARCHITECTURE_AT: u32 = 4;
/// The low half of an argument.
const fn argument_at(place: u8) -> u32 {
    16 + 8 * place as u32 + if cfg!(target_endian = "big") { 4 } else { 0 }
}

/// `AUDIT_ARCH_*`: the ELF machine, and bits for 64 bits and for little-endian. 0 where nobody
/// has looked at the numbers of system calls.
const ARCHITECTURE: u32 = if cfg!(target_arch = "x86_64") {
    0xc000_003e
} else if cfg!(target_arch = "aarch64") {
    0xc000_00b7
} else if cfg!(target_arch = "riscv64") {
    0xc000_00f3
} else if cfg!(target_arch = "arm") {
    0x4000_0028
} else if cfg!(target_arch = "s390x") {
    0x8000_0016
} else {
    0
};

/// Numbers from this one on are hardly any machine's calls: a range counts no more than it
/// has below.
const NUMBERS: u32 = 512;

/// Appends a search among `ranges`, of which the first begins below every number that comes
/// here, and the last ends before `end`.
fn append_tree(program: &mut Vec<Instruction>, ranges: &[(u32, Option<&Answer>)], end: u32) {
    if let [(_, one)] = ranges {
        append_answer(program, *one);
        return;
    }
    // Splits where both sides have nearly as many numbers, for each is asked about once.
    let begins = |at: usize| ranges.get(at).map_or(end, |(first, _)| (*first).min(end));
    let uneven = |at: &usize| (begins(*at) - begins(0)).abs_diff(end - begins(*at));
    let split = (1..ranges.len()).min_by_key(uneven).unwrap_or(1);
    let (left, right) = ranges.split_at(split);
    let mut below = Vec::new();
    append_tree(&mut below, left, begins(split));
    let first = right.first().map_or(0, |(first, _)| *first);
    match u8::try_from(below.len()) {
        Ok(distance) => program.push(jump(libc::BPF_JGE, first, distance, 0)),
        Err(_) => {
            program.push(jump(libc::BPF_JGE, first, 0, 1));
            program.push(Instruction {
                code: (libc::BPF_JMP | libc::BPF_JA) as u16,
                if_true: 0,
                if_false: 0,
                operand: u32::try_from(below.len()).unwrap_or(u32::MAX),
            });
        }
    }
    program.append(&mut below);
    append_tree(program, right, end);
}

fn append_answer(program: &mut Vec<Instruction>, what: Option<&Answer>) {
    let allow = answer(libc::SECCOMP_RET_ALLOW);
    let other = |other: &Other| {
        answer(match other {
            Other::Kill => libc::SECCOMP_RET_KILL_PROCESS,
            Other::Error(error) => libc::SECCOMP_RET_ERRNO | u32::from(*error),
            Other::Ask => libc::SECCOMP_RET_USER_NOTIF,
        })
    };
    match what {
        None => program.push(other(&Other::Kill)),
        Some(Answer::Allow) => program.push(allow),
        Some(Answer::Other(one)) => program.push(other(one)),
        Some(Answer::AllowIf(arguments, one)) => {
            for argument in arguments {
                append_condition(program, argument, other(one));
            }
            program.push(allow);
        }
    }
}

/// Appends an answer for where `argument` is not as said; where it is, the program goes on
/// behind it.
fn append_condition(program: &mut Vec<Instruction>, argument: &Argument, other: Instruction) {
    match argument {
        Argument::HasNoneOf(place, bits) => {
            program.extend([load(argument_at(*place)), jump(libc::BPF_JSET, *bits, 0, 1), other]);
        }
        Argument::HasAllOf(place, bits) => {
            program.push(load(argument_at(*place)));
            for bit in (0..32).map(|bit| 1 << bit).filter(|bit| bits & bit != 0) {
                program.extend([jump(libc::BPF_JSET, bit, 1, 0), other]);
            }
        }
        Argument::LacksOneOf(place, bits) => {
            let and = (libc::BPF_ALU | libc::BPF_AND | libc::BPF_K) as u16;
            program.extend([
                load(argument_at(*place)),
                Instruction { code: and, if_true: 0, if_false: 0, operand: *bits },
                jump(libc::BPF_JEQ, *bits, 0, 1),
                other,
            ]);
        }
        Argument::IsOneOf(place, values) => {
            program.push(load(argument_at(*place)));
            for (at, value) in values.iter().enumerate() {
                // To what is behind the end of the process.
                let behind = values.len() - at;
                program.push(jump(libc::BPF_JEQ, *value, behind as u8, 0));
            }
            program.push(other);
        }
    }
}

fn load(offset: u32) -> Instruction {
    let code = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    Instruction { code, if_true: 0, if_false: 0, operand: offset }
}

fn jump(how: u32, operand: u32, if_true: u8, if_false: u8) -> Instruction {
    let code = (libc::BPF_JMP | how | libc::BPF_K) as u16;
    Instruction { code, if_true, if_false, operand }
}

fn answer(operand: u32) -> Instruction {
    let code = (libc::BPF_RET | libc::BPF_K) as u16;
    Instruction { code, if_true: 0, if_false: 0, operand }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the kernel sees of a call.
    struct Call {
        architecture: u32,
        number: u32,
        arguments: [u64; 6],
    }

    /// Runs a program as the kernel does: the answer, and after how many instructions.
    fn run(program: &[Instruction], call: &Call) -> (u32, usize) {
        let word = |offset: u32| match offset {
            0 => call.number,
            4 => call.architecture,
            _ => {
                let at = (offset - 16) as usize;
                let is_high = (at % 8 == 4) == cfg!(target_endian = "little");
                (call.arguments[at / 8] >> if is_high { 32 } else { 0 }) as u32
            }
        };
        let (mut at, mut loaded, mut steps) = (0, 0, 0);
        loop {
            let Instruction { code, if_true, if_false, operand } = program[at];
            let code = u32::from(code);
            at += 1;
            steps += 1;
            let is = |how: u32| code == libc::BPF_JMP | how | libc::BPF_K;
            let taken = if is(libc::BPF_JEQ) {
                loaded == operand
            } else if is(libc::BPF_JGE) {
                loaded >= operand
            } else if is(libc::BPF_JSET) {
                loaded & operand != 0
            } else if is(libc::BPF_JA) {
                at += operand as usize;
                continue;
            } else if code == libc::BPF_ALU | libc::BPF_AND | libc::BPF_K {
                loaded &= operand;
                continue;
            } else if code == libc::BPF_RET | libc::BPF_K {
                return (operand, steps);
            } else {
                assert_eq!(code, libc::BPF_LD | libc::BPF_W | libc::BPF_ABS);
                loaded = word(operand);
                continue;
            };
            at += usize::from(if taken { if_true } else { if_false });
        }
    }

    fn answer_of(filter: &Filter, number: u32, arguments: [u64; 6]) -> u32 {
        run(&filter.program(), &Call { architecture: ARCHITECTURE, number, arguments }).0
    }

    const KILL: u32 = libc::SECCOMP_RET_KILL_PROCESS;
    const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;

    #[test]
    fn what_is_listed_is_allowed_and_nothing_else() {
        // Also so many that one jump does not reach over the others.
        let lists: [&[Number]; 5] = [
            &[],
            &[0],
            &[1, 2, 3, 9, 10, 231, 437],
            &[0, 1, 5, 7, 8, 9, 447, 448, 600, 4_000_000_000],
            &(0..450).filter(|number| number % 2 == 0).collect::<Vec<_>>(),
        ];
        for list in lists {
            let mut filter = Filter::new();
            filter.allow(list);
            for number in (0..700).chain([0x4000_0000, 0x4000_0001, 4_000_000_000, u32::MAX]) {
                let wanted = if list.contains(&Number::from(number)) { ALLOW } else { KILL };
                assert_eq!(answer_of(&filter, number, [0; 6]), wanted, "{number} of {list:?}");
            }
        }
    }

    #[test]
    fn arguments_are_looked_at() {
        let mut filter = Filter::new();
        filter.allow(&[1, 2]);
        filter.allow_if_all(9, vec![Argument::HasNoneOf(2, 4), Argument::HasNoneOf(3, 1)]);
        filter.allow_if(16, Argument::IsOneOf(1, vec![0x5401, 0x541b]));
        filter.allow_if(56, Argument::HasAllOf(0, 0x1_0300));
        filter.refuse(&[319, 320], libc::ENOSYS);
        filter.allow_if_or_refuse(41, Argument::IsOneOf(0, vec![2, 10]), libc::EACCES);
        filter.allow_if_or_refuse(57, Argument::HasAllOf(0, 0x1_0000), libc::EAGAIN);
        let third = |value| [u64::MAX, u64::MAX, value, 6, 7, 7];
        assert_eq!(answer_of(&filter, 9, third(3)), ALLOW);
        assert_eq!(answer_of(&filter, 9, third(7)), KILL);
        assert_eq!(answer_of(&filter, 9, third(4)), KILL);
        assert_eq!(answer_of(&filter, 9, [0, 0, 3, 2, 0, 0]), ALLOW);
        assert_eq!(answer_of(&filter, 9, [0, 0, 4, 2, 0, 0]), KILL, "the first does not hold");
        assert_eq!(answer_of(&filter, 9, [0, 0, 3, 3, 0, 0]), KILL, "the second does not hold");
        let second = |value| [0, value, 0, 0, 0, 0];
        assert_eq!(answer_of(&filter, 16, second(0x5401)), ALLOW);
        assert_eq!(answer_of(&filter, 16, second(0x541b)), ALLOW);
        assert_eq!(answer_of(&filter, 16, second(0x5412)), KILL);
        // The kernel looks at 32 bits there.
        assert_eq!(answer_of(&filter, 16, second(1 << 32 | 0x5401)), ALLOW);
        let first = |value| [value, 0, 0, 0, 0, 0];
        assert_eq!(answer_of(&filter, 56, first(0x1_0f00)), ALLOW);
        assert_eq!(answer_of(&filter, 56, first(0x1_0200)), KILL);
        assert_eq!(answer_of(&filter, 56, first(0x0_0300)), KILL);
        let refused = libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32;
        assert_eq!([319, 320].map(|number| answer_of(&filter, number, [0; 6])), [refused; 2]);
        let error = |number: i32| libc::SECCOMP_RET_ERRNO | number as u32;
        assert_eq!([2, 10].map(|family| answer_of(&filter, 41, first(family))), [ALLOW; 2]);
        assert_eq!(answer_of(&filter, 41, first(1)), error(libc::EACCES));
        assert_eq!(answer_of(&filter, 57, first(0x1_0f00)), ALLOW);
        assert_eq!(answer_of(&filter, 57, first(0x11)), error(libc::EAGAIN));
        for number in [0, 3, 8, 10, 15, 17, 55, 58, 318, 321] {
            assert_eq!(answer_of(&filter, number, [0; 6]), KILL, "{number}");
        }
        let foreign = Call { architecture: 0x4000_0003, number: 1, arguments: [0; 6] };
        assert_eq!(run(&filter.program(), &foreign).0, KILL, "32-bit calls");
    }

    #[test]
    fn bits_that_may_not_come_together_may_come_alone() {
        let mut filter = Filter::new();
        let not_both = || Argument::LacksOneOf(3, 0x21);
        filter.allow_if(8, not_both());
        let conditions = vec![not_both(), Argument::HasNoneOf(2, 4)];
        filter.allow_if_all_or_refuse(9, conditions, libc::EPERM);
        let refused = libc::SECCOMP_RET_ERRNO | libc::EPERM as u32;
        for (flags, both) in [(0, false), (1, false), (0x20, false), (0x22, false), (!0x20, false)]
            .into_iter()
            .chain([(0x21, true), (0x23, true), (u64::MAX, true)])
        {
            let arguments = |third| [u64::MAX, u64::MAX, third, flags, u64::MAX, u64::MAX];
            let wanted = |other| if both { other } else { ALLOW };
            assert_eq!(answer_of(&filter, 8, arguments(4)), wanted(KILL), "{flags:x}");
            assert_eq!(answer_of(&filter, 9, arguments(3)), wanted(refused), "{flags:x}");
            assert_eq!(answer_of(&filter, 9, arguments(4)), refused, "the second does not hold");
        }
    }

    #[test]
    fn calls_are_judged_by_whoever_listens() {
        use std::sync::mpsc;
        let (sender, receiver) = mpsc::channel();
        let made = std::thread::spawn(move || {
            let mut filter = Filter::new();
            filter.allow(&(0..1024).collect::<Vec<Number>>());
            filter.ask(&[libc::SYS_getpriority]);
            crate::forbid_new_privileges().unwrap();
            sender.send(filter.install_with_listener()).unwrap();
            [(); 2].map(|()| sys::priority().map_err(|error| error.raw_os_error()))
        });
        let listener = match receiver.recv().unwrap() {
            Ok(listener) => listener,
            // In a container that listens itself.
            Err(error) => {
                println!("skipped: {error}");
                return;
            }
        };
        listener.answer(|process| if process > 0 { Ok(()) } else { Err(libc::EIO) }).unwrap();
        listener.answer(|_| Err(libc::EXDEV)).unwrap();
        assert_eq!(made.join().unwrap(), [Ok(()), Err(Some(libc::EXDEV))]);
    }

    #[test]
    fn a_search_is_short() {
        // As many calls as a guest with files needs, spread as they are.
        let mut filter = Filter::new();
        let list: Vec<Number> = (0..36).map(|at| at * 13 % 450).collect();
        filter.allow(&list);
        let program = filter.program();
        let steps: usize = (0..450)
            .map(|number| {
                run(&program, &Call { architecture: ARCHITECTURE, number, arguments: [0; 6] }).1
            })
            .sum();
        assert!(steps / 450 <= 11, "{} instructions on average", steps / 450);
    }

    #[test]
    fn the_kernel_takes_it() {
        // A thread of its own: a filter cannot be taken off again. TSYNC is left out, for the
        // other threads here are other tests.
        let ended = std::thread::spawn(|| {
            let mut filter = Filter::new();
            // All there are, but for one.
            filter.allow(&(0..1024).collect::<Vec<Number>>());
            filter.refuse(&[libc::SYS_getpriority], libc::EXDEV);
            crate::forbid_new_privileges().unwrap();
            sys::install_filter(&filter.program(), 0).unwrap();
            sys::priority().unwrap_err().raw_os_error()
        });
        assert_eq!(ended.join().unwrap(), Some(libc::EXDEV));
        assert!(sys::priority().is_ok(), "this thread has no filter");
    }
}
