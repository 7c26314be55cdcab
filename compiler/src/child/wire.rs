//! What the process that compiles says to the one that signs: messages, one after the other
//! in a pipe.
//!
//! ```text
//! kind (1 byte)  length of what follows (8 bytes, little-endian)  what follows
//! ```
//!
//! The reader believes nothing: a kind has a length that is never exceeded, all messages
//! together have no more bytes than were allowed, memory is taken as bytes arrive, and numbers
//! that stand for a stage, a target or a rule are looked up. Guarantees that no bytes make
//! the reader panic, or take more memory than was allowed.

use super::refusal::Refusal;
use crate::audit::Findings;
use crate::compile::effort::Effort;
use crate::pipeline::Stage;
use bls_artifact::debug::TABLE_BYTES_MAX;
use bls_artifact::limits::{IMAGE_BYTES_MAX, MODULE_BYTES_MAX};
use bls_artifact::target::Target;
use std::io::{self, Read, Write};
use std::time::Duration;

/// The most bytes of all words of a refusal together.
const REFUSAL_BYTES_MAX: u64 = 1 << 20;
/// The most bytes of a world.
const WORLD_BYTES_MAX: u64 = 64 << 20;
/// The most bytes of what a panic says.
pub(super) const PANIC_BYTES_MAX: usize = 4096;

/// One message.
#[derive(Debug)]
pub(super) enum Message {
    /// A stage begins.
    Stage(Stage),
    /// How long a stage took.
    Took(Stage, Duration),
    /// The binary module that the text is.
    Encoded(Vec<u8>),
    /// The module with its charges; what is said of them: S, and what instantiation costs.
    Ready(Option<(u64, u64)>, Vec<u8>),
    /// The same with counters by function.
    Profile(Vec<u8>),
    /// An image, and how hard the code generator tried.
    Image(Target, Effort, Vec<u8>),
    /// What the audit of a metered module found out.
    Findings(Findings),
    /// The module that several are.
    Linked(Vec<u8>),
    /// What a debug file says of the image before it.
    Debug(Vec<u8>),
    /// The world of a component, as WIT.
    World(String),
    /// There is nothing, and why.
    Refused(Refusal),
    /// A defect of ours, and where.
    Panicked(String),
    /// That was all.
    Done,
}

/// Why there is no message.
#[derive(Debug)]
pub(super) enum WireError {
    /// The pipe ended.
    Ended,
    /// The time is over.
    Time,
    /// More bytes than are allowed for all messages together.
    TooMuch,
    /// What came is no message; what is wrong with it.
    Nonsense(&'static str),
    /// The system does not give it.
    System(io::Error),
}

impl From<io::Error> for WireError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::TimedOut => Self::Time,
            io::ErrorKind::UnexpectedEof => Self::Ended,
            _ => Self::System(error),
        }
    }
}

/// Kinds, and how long what follows is at most.
const STAGE: (u8, u64) = (1, 1);
const TOOK: (u8, u64) = (2, 9);
const ENCODED: (u8, u64) = (3, MODULE_BYTES_MAX);
const READY: (u8, u64) = (4, 17 + IMAGE_BYTES_MAX);
const PROFILE: (u8, u64) = (5, IMAGE_BYTES_MAX);
const IMAGE: (u8, u64) = (6, 2 + IMAGE_BYTES_MAX);
const FINDINGS: (u8, u64) = (7, 40);
const REFUSED: (u8, u64) = (8, REFUSAL_BYTES_MAX);
const PANICKED: (u8, u64) = (9, PANIC_BYTES_MAX as u64);
const DONE: (u8, u64) = (10, 0);
const LINKED: (u8, u64) = (11, MODULE_BYTES_MAX);
const DEBUG: (u8, u64) = (12, TABLE_BYTES_MAX);
const WORLD: (u8, u64) = (13, WORLD_BYTES_MAX);
const KINDS: [(u8, u64); 13] = [
    STAGE, TOOK, ENCODED, READY, PROFILE, IMAGE, FINDINGS, REFUSED, PANICKED, DONE, LINKED, DEBUG,
    WORLD,
];

/// Writes one message: its kind, then `parts` one behind the other.
fn write(output: &mut impl Write, kind: (u8, u64), parts: &[&[u8]]) -> io::Result<()> {
    let length: u64 = parts.iter().map(|part| part.len() as u64).sum();
    let mut head = vec![kind.0];
    head.extend(length.to_le_bytes());
    // What is short goes with the head: one call for most messages.
    let (short, long) = match parts {
        [short @ .., last] if last.len() > 4096 => (short, Some(last)),
        all => (all, None),
    };
    head.extend(short.concat());
    output.write_all(&head)?;
    long.map_or(Ok(()), |long| output.write_all(long))
}

/// A stage begins.
pub(super) fn stage(output: &mut impl Write, stage: Stage) -> io::Result<()> {
    write(output, STAGE, &[&[number_of(stage)]])
}

/// How long a stage took.
pub(super) fn took(output: &mut impl Write, stage: Stage, time: Duration) -> io::Result<()> {
    write(output, TOOK, &[&[number_of(stage)], &(time.as_micros() as u64).to_le_bytes()])
}

/// The binary module that the text is.
pub(super) fn encoded(output: &mut impl Write, wasm: &[u8]) -> io::Result<()> {
    write(output, ENCODED, &[wasm])
}

/// The module with its charges.
pub(super) fn ready(
    output: &mut impl Write,
    claims: Option<(u64, u64)>,
    wasm: &[u8],
) -> io::Result<()> {
    let (overrun, instantiation) = claims.unwrap_or_default();
    let is_metered = [u8::from(claims.is_some())];
    let numbers = [overrun.to_le_bytes(), instantiation.to_le_bytes()].concat();
    write(output, READY, &[&is_metered, &numbers, wasm])
}

/// The same with counters by function.
pub(super) fn profile(output: &mut impl Write, wasm: &[u8]) -> io::Result<()> {
    write(output, PROFILE, &[wasm])
}

/// An image.
pub(super) fn image(
    output: &mut impl Write,
    target: Target,
    effort: Effort,
    bytes: &[u8],
) -> io::Result<()> {
    let target = Target::ALL.iter().position(|one| *one == target).unwrap_or(usize::MAX);
    write(output, IMAGE, &[&[target as u8, u8::from(effort == Effort::Full)], bytes])
}

/// What an audit found out.
pub(super) fn findings(output: &mut impl Write, found: &Findings) -> io::Result<()> {
    let Findings { functions, checks, charges, overrun_max, instantiation } = *found;
    let numbers = [functions, checks, charges, overrun_max, instantiation].map(u64::to_le_bytes);
    write(output, FINDINGS, &[&numbers.concat()])
}

/// The module that several are.
pub(super) fn linked(output: &mut impl Write, wasm: &[u8]) -> io::Result<()> {
    write(output, LINKED, &[wasm])
}

/// What a debug file says of the image before it.
pub(super) fn debug(output: &mut impl Write, table: &[u8]) -> io::Result<()> {
    write(output, DEBUG, &[table])
}

/// The world of a component, as WIT.
pub(super) fn world(output: &mut impl Write, text: &str) -> io::Result<()> {
    write(output, WORLD, &[text.as_bytes()])
}

/// There is nothing, and why.
pub(super) fn refused(output: &mut impl Write, refusal: &Refusal) -> io::Result<()> {
    write(output, REFUSED, &[&refusal.to_bytes()])
}

/// A defect of ours, and where.
pub(super) fn panicked(output: &mut impl Write, what: &str) -> io::Result<()> {
    let end = what.floor_char_boundary(PANIC_BYTES_MAX);
    write(output, PANICKED, &[&what.as_bytes()[..end]])
}

/// That was all.
pub(super) fn done(output: &mut impl Write) -> io::Result<()> {
    write(output, DONE, &[])
}

fn number_of(stage: Stage) -> u8 {
    Stage::ALL.iter().position(|one| *one == stage).unwrap_or(usize::MAX) as u8
}

/// Reads the next message. `room` is how many bytes may still come, in all messages.
///
/// # Errors
/// [`WireError`].
pub(super) fn read(input: &mut impl Read, room: &mut u64) -> Result<Message, WireError> {
    let mut head = [0; 9];
    input.read_exact(&mut head)?;
    let [kind, length @ ..] = head;
    let length = u64::from_le_bytes(length);
    let Some((_, most)) = KINDS.iter().find(|(known, _)| *known == kind) else {
        return Err(WireError::Nonsense("a message of no known kind"));
    };
    if length > *most {
        return Err(WireError::Nonsense("a message that is longer than its kind can be"));
    }
    *room = room.checked_sub(length).ok_or(WireError::TooMuch)?;
    // Address space at once, memory as it is written to: a long one has pages of its own.
    let mut bytes = Vec::new();
    if bytes.try_reserve_exact(usize::try_from(length).unwrap_or(usize::MAX)).is_err() {
        return Err(WireError::TooMuch);
    }
    if input.take(length).read_to_end(&mut bytes)? as u64 != length {
        return Err(WireError::Ended);
    }
    message(kind, bytes)
}

/// The message that these bytes are.
fn message(kind: u8, mut bytes: Vec<u8>) -> Result<Message, WireError> {
    const SHORT: WireError = WireError::Nonsense("a message that is too short for its kind");
    let kind = (kind, KINDS.iter().find(|(known, _)| *known == kind).map_or(0, |(_, most)| *most));
    Ok(match kind {
        STAGE => Message::Stage(stage_of(*bytes.first().ok_or(SHORT)?)?),
        TOOK => {
            let [number, time @ ..] = *bytes.as_array::<9>().ok_or(SHORT)?;
            Message::Took(stage_of(number)?, Duration::from_micros(u64::from_le_bytes(time)))
        }
        ENCODED => Message::Encoded(bytes),
        READY => {
            let ([is_metered], rest) = bytes.split_first_chunk().ok_or(SHORT)?;
            let (overrun, rest) = rest.split_first_chunk().ok_or(SHORT)?;
            let (instantiation, _) = rest.split_first_chunk().ok_or(SHORT)?;
            let claims = (u64::from_le_bytes(*overrun), u64::from_le_bytes(*instantiation));
            let claims = (*is_metered == 1).then_some(claims);
            bytes.drain(..17);
            Message::Ready(claims, bytes)
        }
        PROFILE => Message::Profile(bytes),
        LINKED => Message::Linked(bytes),
        DEBUG => Message::Debug(bytes),
        WORLD => {
            const NO_TEXT: WireError = WireError::Nonsense("a world that is no text");
            Message::World(String::from_utf8(bytes).map_err(|_| NO_TEXT)?)
        }
        IMAGE => {
            let ([target, is_full], _) = bytes.split_first_chunk().ok_or(SHORT)?;
            let target = Target::ALL.get(usize::from(*target));
            let target = *target.ok_or(WireError::Nonsense("an image for no target"))?;
            let effort = if *is_full == 1 { Effort::Full } else { Effort::Least };
            bytes.drain(..2);
            Message::Image(target, effort, bytes)
        }
        FINDINGS => {
            let (numbers, _) = bytes.as_chunks::<8>();
            let [functions, checks, charges, overrun_max, instantiation] =
                numbers.as_array::<5>().ok_or(SHORT)?.map(u64::from_le_bytes);
            let found = Findings { functions, checks, charges, overrun_max, instantiation };
            Message::Findings(found)
        }
        REFUSED => Message::Refused(
            Refusal::of_bytes(&bytes).ok_or(WireError::Nonsense("a refusal that nobody knows"))?,
        ),
        PANICKED => Message::Panicked(String::from_utf8_lossy(&bytes).into_owned()),
        _ => Message::Done,
    })
}

fn stage_of(number: u8) -> Result<Stage, WireError> {
    let stage = Stage::ALL.get(usize::from(number)).copied();
    stage.ok_or(WireError::Nonsense("a stage that there is none of"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODE: &str = "validate.cap";

    fn refusal() -> Refusal {
        Refusal {
            stage: "validate",
            code: CODE,
            what: "too much".to_owned(),
            excerpt: vec!["1 | (module".to_owned(), "  | ^".to_owned()],
            hint: Some("split it".to_owned()),
            rule: None,
            function: Some(7),
            offset: None,
        }
    }

    /// One message of each kind.
    fn all() -> Vec<Vec<u8>> {
        let found = Findings {
            functions: 1,
            checks: 2,
            charges: 3,
            overrun_max: 4,
            instantiation: u64::MAX,
        };
        let written = |write: &dyn Fn(&mut Vec<u8>) -> io::Result<()>| {
            let mut bytes = Vec::new();
            write(&mut bytes).unwrap();
            bytes
        };
        vec![
            written(&|to| stage(to, Stage::Compile)),
            written(&|to| took(to, Stage::Meter, Duration::from_micros(12_345))),
            written(&|to| encoded(to, b"\0asm")),
            written(&|to| ready(to, Some((5, 6)), &[7; 5000])),
            written(&|to| ready(to, None, b"wasm")),
            written(&|to| profile(to, b"profile")),
            written(&|to| image(to, Target::Riscv64, Effort::Least, b"image")),
            written(&|to| findings(to, &found)),
            written(&|to| refused(to, &refusal())),
            written(&|to| panicked(to, &"ä".repeat(PANIC_BYTES_MAX))),
            written(&|to| done(to)),
            written(&|to| linked(to, b"\0asm")),
            written(&|to| debug(to, b"table")),
            written(&|to| world(to, "world root {}")),
        ]
    }

    fn read_all(mut bytes: &[u8], mut room: u64) -> (Vec<Message>, WireError) {
        let mut messages = Vec::new();
        loop {
            match read(&mut bytes, &mut room) {
                Ok(message) => messages.push(message),
                Err(error) => return (messages, error),
            }
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let (messages, end) = read_all(&all().concat(), u64::MAX);
        assert!(matches!(end, WireError::Ended));
        assert_eq!(messages.len(), all().len());
        for (at, message) in messages.iter().enumerate() {
            let is_right = match (at, message) {
                (0, Message::Stage(stage)) => *stage == Stage::Compile,
                (1, Message::Took(stage, time)) => {
                    (*stage, time.as_micros()) == (Stage::Meter, 12_345)
                }
                (2, Message::Encoded(wasm)) => wasm == b"\0asm",
                (3, Message::Ready(claims, wasm)) => *claims == Some((5, 6)) && *wasm == [7; 5000],
                (4, Message::Ready(None, wasm)) => wasm == b"wasm",
                (5, Message::Profile(wasm)) => wasm == b"profile",
                (6, Message::Image(target, effort, bytes)) => {
                    (*target, *effort, &bytes[..])
                        == (Target::Riscv64, Effort::Least, &b"image"[..])
                }
                (7, Message::Findings(found)) => {
                    (found.charges, found.instantiation) == (3, u64::MAX)
                }
                (8, Message::Refused(words)) => *words == refusal(),
                (9, Message::Panicked(what)) => *what == "ä".repeat(PANIC_BYTES_MAX / 2),
                (10, Message::Done) => true,
                (11, Message::Linked(wasm)) => wasm == b"\0asm",
                (12, Message::Debug(table)) => table == b"table",
                (13, Message::World(text)) => text == "world root {}",
                _ => false,
            };
            assert!(is_right, "{at}: {message:?}");
        }
    }

    #[test]
    fn no_bytes_are_believed_or_panic() {
        for message in all() {
            for end in 0..message.len() {
                assert!(matches!(read_all(&message[..end], u64::MAX), (_, WireError::Ended)));
            }
            // Every value of every byte that says what it is and how long.
            for at in 0..message.len().min(40) {
                for value in 0..=u8::MAX {
                    let mut changed = message.clone();
                    changed[at] = value;
                    let _ = read_all(&changed, 1 << 20);
                }
            }
        }
        // A terabyte is announced, and nothing is taken for it.
        for (kind, _) in KINDS {
            let mut head = vec![kind];
            head.extend((1_u64 << 40).to_le_bytes());
            let (none, error) = read_all(&head, u64::MAX);
            assert!(none.is_empty() && matches!(error, WireError::Nonsense(_)), "{kind}");
        }
        let nonsense = |bytes: &[u8]| matches!(read_all(bytes, 99).1, WireError::Nonsense(_));
        assert!(nonsense(&[0; 9]) && nonsense(&[14, 0, 0, 0, 0, 0, 0, 0, 0]));
        assert!(nonsense(&[13, 1, 0, 0, 0, 0, 0, 0, 0, 0xff]), "a world that is no text");
        assert!(nonsense(&[1, 0, 0, 0, 0, 0, 0, 0, 0]), "no stage");
        assert!(nonsense(&[1, 1, 0, 0, 0, 0, 0, 0, 0, 99]), "a stage that there is none of");
        assert!(nonsense(&[8, 1, 0, 0, 0, 0, 0, 0, 0, 0]), "a refusal without words");
        assert!(nonsense(&[6, 2, 0, 0, 0, 0, 0, 0, 0, 77, 1]), "an image for no target");
    }

    #[test]
    fn all_messages_together_have_a_bound() {
        let mut one = Vec::new();
        profile(&mut one, &[0; 1000]).unwrap();
        let (messages, error) = read_all(&one.repeat(10), 5500);
        assert_eq!(messages.len(), 5);
        assert!(matches!(error, WireError::TooMuch), "{error:?}");
    }

    /// A pipe that says how much was asked of it.
    struct Endless;

    impl Read for Endless {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            buffer.fill(6);
            Ok(buffer.len())
        }
    }

    #[test]
    fn one_who_never_ends_is_ended() {
        // Kind 6, with a length of sixes: far beyond what an image may have.
        let mut room = 1 << 30;
        assert!(matches!(read(&mut Endless, &mut room), Err(WireError::Nonsense(_))));
        let begun = [IMAGE.0, 0, 0, 0, 0x40, 0, 0, 0, 0];
        let mut room = 1 << 20;
        let refused = read(&mut begun.chain(Endless), &mut room);
        assert!(matches!(refused, Err(WireError::TooMuch)), "no more than is allowed is read");
    }
}
