//! A guest that lies: every pointer, length, count, descriptor and flag of every
//! function of preview 1 at its edges.
//!
//! Made from the specification's table (`bls_tests::preview1`): for each function
//! there is one good call, and each case is that call with one thing wrong. What
//! must hold: a bad pointer is a trap and an unknown flag is `inval`; an answer is
//! an errno of the specification; no byte of memory changes but what the arguments
//! name as output; and a call that traps changes nothing in any folder.

use bls_artifact::host_table::Kind;
use bls_artifact::preview1::FUNCTIONS;
use bls_loader::host::Fault;
use bls_tests::court::{
    BUFFERS, Court, EVENTS, FILE, LIST, RECORDS, SUBSCRIPTIONS, good, guest, needed,
};
use bls_tests::host_driver::{Answer, Driver, SUCCESS, Shape};
use bls_tests::preview1::{PARAMETERS, Role, SUBSCRIPTION_BYTES};
use bls_tests::programs::in_a_child;
use bls_tests::scene::{Scene, WRITABLE};

const BADF: u32 = 8;
const INVAL: u32 = 28;
const NOSYS: u32 = 52;
const NOTSOCK: u32 = 57;
const NOTSUP: u32 = 58;
const SPIPE: u32 = 70;

/// Descriptors that are worth trying.
const DESCRIPTORS: [u32; 12] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 1023, 1024, u32::MAX];

/// Whether a function looks at none of its pointers, because it only refuses.
fn refuses(name: &str) -> bool {
    name.starts_with("sock_")
}

/// The answers of a good call. Some functions are deliberately not done.
fn good_answers(name: &str) -> Vec<Answer> {
    let errnos: &[u32] = match name {
        "proc_exit" => return vec![Answer::Exited(7)],
        name if refuses(name) => &[NOTSOCK],
        "fd_fdstat_set_rights" | "proc_raise" => &[NOSYS, NOTSUP],
        "fd_allocate" => &[NOSYS, NOTSUP, 0],
        _ => &[0],
    };
    errnos.iter().map(|errno| Answer::Errno(*errno)).collect()
}

#[test]
fn the_table_is_the_linkers_list() {
    let mut ours: Vec<(&str, Vec<Kind>)> = PARAMETERS
        .iter()
        .map(|(name, roles)| {
            let kinds = roles.iter().map(|role| match role {
                Role::Long | Role::Rights => Kind::I64,
                _ => Kind::I32,
            });
            (*name, kinds.collect())
        })
        .collect();
    let mut theirs: Vec<(&str, Vec<Kind>)> =
        FUNCTIONS.iter().map(|known| (known.name, known.parameters.to_vec())).collect();
    ours.sort_by_key(|(name, _)| *name);
    theirs.sort_by_key(|(name, _)| *name);
    assert_eq!(ours, theirs);
}

#[test]
fn good_calls_write_what_they_name() {
    if !in_a_child("good_calls_write_what_they_name") {
        return;
    }
    let mut court = Court::new();
    for (name, _) in PARAMETERS {
        let mut driver = court.guest(name);
        let answer = court.call(&mut driver, name, &good(name));
        assert!(good_answers(name).contains(&answer), "{name} gave {answer:?}");
        court.renew();
    }
    court.close();
}

#[test]
fn a_bad_pointer_is_a_trap_and_changes_nothing() {
    if !in_a_child("a_bad_pointer_is_a_trap_and_changes_nothing") {
        return;
    }
    let mut court = Court::new();
    for (name, roles) in PARAMETERS {
        for (index, role) in roles.iter().enumerate().filter(|(_, role)| role.is_pointer()) {
            let mut arguments = good(name);
            let size = 0x1_0000_u64;
            let alignment = u64::from(role.alignment());
            let needed = needed(name, &arguments, index);
            let beyond = [size, size + alignment, 1 << 31, (1 << 32) - alignment];
            let across = (1..needed.div_ceil(alignment)).map(|step| size - step * alignment);
            let across = across.filter(|pointer| pointer + needed > size);
            for pointer in beyond.into_iter().chain(across) {
                arguments[index] = pointer;
                let mut driver = court.guest(name);
                let answer = court.harmless(&mut driver, name, &arguments);
                let out = matches!(answer, Answer::Fault(Fault::OutOfBounds { .. }));
                let refused = refuses(name) && answer == Answer::Errno(NOTSOCK);
                assert!(out || refused, "{name}{arguments:x?} gave {answer:?}");
            }
            for offset in 1..alignment {
                arguments[index] = good(name)[index] + offset;
                let mut driver = court.guest(name);
                let answer = court.harmless(&mut driver, name, &arguments);
                let misaligned = matches!(answer, Answer::Fault(Fault::Misaligned { .. }));
                let refused = refuses(name) && answer == Answer::Errno(NOTSOCK);
                assert!(misaligned || refused, "{name}{arguments:x?} gave {answer:?}");
            }
        }
    }
    assert!(court.faults > 500, "{}", court.faults);
    court.close();
}

#[test]
fn a_bad_length_is_a_trap_and_changes_nothing() {
    if !in_a_child("a_bad_length_is_a_trap_and_changes_nothing") {
        return;
    }
    let mut court = Court::new();
    for (name, roles) in PARAMETERS {
        for (index, role) in roles.iter().enumerate() {
            if !matches!(role, Role::Length | Role::Count) || refuses(name) {
                continue;
            }
            // The path is shorter than any of these, and no more is touched.
            let whole = *name != "fd_prestat_dir_name";
            let left = 0x1_0000 - good(name)[index - 1];
            for length in [left + 1, 1 << 31, u64::from(u32::MAX)] {
                let mut arguments = good(name);
                arguments[index] = length;
                let mut driver = court.guest(name);
                let answer = court.harmless(&mut driver, name, &arguments);
                let fault = matches!(answer, Answer::Fault(Fault::OutOfBounds { .. }));
                assert_eq!(fault, whole, "{name}{arguments:x?} gave {answer:?}");
            }
        }
    }
    court.close();
}

#[test]
fn pointers_and_lengths_at_all_edges() {
    if !in_a_child("pointers_and_lengths_at_all_edges") {
        return;
    }
    let size = 0x1_0000;
    let edges =
        [0, 1, 4, 7, 8, 64, size - 8, size - 1, size, size + 1, 1 << 31, u32::MAX - 7, u32::MAX];
    let mut court = Court::new();
    for (name, roles) in PARAMETERS {
        for (index, _) in roles.iter().enumerate().filter(|(_, role)| role.is_pointer()) {
            let pairs = matches!(roles.get(index + 1), Some(Role::Length | Role::Count));
            for pointer in edges {
                for length in edges {
                    let mut arguments = good(name);
                    arguments[index] = pointer.into();
                    if pairs {
                        arguments[index + 1] = length.into();
                    }
                    let mut driver = court.guest(name);
                    if court.call(&mut driver, name, &arguments) == SUCCESS {
                        court.renew();
                    }
                    let outside = u64::from(pointer) + u64::from(length) > size.into();
                    let trusted = roles[index] == Role::Bytes && *name != "fd_prestat_dir_name";
                    if trusted && outside {
                        let again = court.harmless(&mut driver, name, &arguments);
                        assert!(
                            matches!(again, Answer::Fault(_)),
                            "{name}{arguments:x?}: {again:?}"
                        );
                    }
                    if !pairs {
                        break;
                    }
                }
            }
        }
    }
    court.close();
}

/// Lists of buffers that lie, each with whether it must be a trap.
fn lists() -> Vec<(Vec<(u32, u32)>, bool)> {
    let size = 0x1_0000;
    let (first, second) = (BUFFERS[0], BUFFERS[1]);
    vec![
        (vec![(size, 1)], true),
        (vec![(size - 1, 2)], true),
        (vec![(u32::MAX, 1)], true),
        (vec![(u32::MAX, u32::MAX)], true),
        (vec![(0, u32::MAX)], true),
        (vec![(1, u32::MAX)], true),
        (vec![(2, u32::MAX - 1)], true),
        (vec![first, (size, 1)], true),
        (vec![first, second, (0, size + 1)], true),
        // Nothing is asked for there.
        (vec![(0, 0), first], false),
        (vec![(size, 0), first], false),
        (vec![(u32::MAX, 0), first], false),
        // Twice the same, one inside the other, one across the other.
        (vec![first, first], false),
        (vec![first, (first.0 + 4, 4)], false),
        (vec![(first.0 + 8, 16), first], false),
        // The list itself, the result, and all of memory.
        (vec![(LIST, 16)], false),
        (vec![first, (LIST, 16)], false),
        (vec![(RECORDS[0], 4)], false),
        (vec![(RECORDS[0] - 4, 16), first], false),
        (vec![(0, size)], false),
        (vec![(0, size), (0, size), (size - 1, 1)], false),
        // To more than any transfer can count.
        (vec![(0, size); 1024], false),
    ]
}

#[test]
fn lists_of_buffers_that_lie() {
    if !in_a_child("lists_of_buffers_that_lie") {
        return;
    }
    let mut court = Court::new();
    for name in ["fd_read", "fd_pread", "fd_write", "fd_pwrite", "sock_recv", "sock_send"] {
        for (list, bad) in lists() {
            let mut driver = court.guest(name);
            let words: Vec<u32> =
                list.iter().flat_map(|(start, length)| [*start, *length]).collect();
            driver.put_words(LIST, &words);
            let mut arguments = good(name);
            arguments[2] = list.len() as u64;
            if bad {
                let answer = court.harmless(&mut driver, name, &arguments);
                let fault = matches!(answer, Answer::Fault(Fault::OutOfBounds { .. }));
                assert!(fault || refuses(name), "{name} {list:x?}: {answer:?}");
            } else {
                let answer = court.call(&mut driver, name, &arguments);
                assert!(answer == SUCCESS || refuses(name), "{name} {list:x?}: {answer:?}");
                court.renew();
            }
        }
        // A list that reaches beyond memory, though what it names first is good.
        for count in [0x1_0000 / 8, 1 << 29, u32::MAX] {
            let mut driver = court.guest(name);
            let mut arguments = good(name);
            arguments[2] = count.into();
            let answer = court.harmless(&mut driver, name, &arguments);
            let fault = matches!(answer, Answer::Fault(Fault::OutOfBounds { .. }));
            assert!(fault || refuses(name), "{name}: {answer:?}");
        }
        // Empty buffers, more than the kernel takes at once, hide nothing behind them.
        let mut driver = court.guest(name);
        let (place, length) = BUFFERS[0];
        driver.put(LIST, &[0; 0x2800]);
        driver.put_words(LIST + 0x2800, &[place, length]);
        let mut arguments = good(name);
        arguments[2] = 0x2800 / 8 + 1;
        let answer = driver.call(name, &arguments);
        assert!(answer == SUCCESS || refuses(name), "{name}: {answer:?}");
        assert!(refuses(name) || driver.word(RECORDS[0]) > 0, "{name} moved nothing");
        court.renew();
    }
    court.close();
}

#[test]
fn a_call_that_traps_has_not_moved_a_file() {
    if !in_a_child("a_call_that_traps_has_not_moved_a_file") {
        return;
    }
    let mut court = Court::new();
    let at_end = 0x1_0000 - 4;
    for (name, arguments) in [
        ("fd_seek", vec![FILE.into(), 3, 0, at_end]),
        ("fd_seek", vec![FILE.into(), 3, 0, u64::from(RECORDS[0]) + 4]),
        ("fd_read", vec![FILE.into(), LIST.into(), 2, at_end + 4]),
        ("fd_read", vec![FILE.into(), LIST.into(), 2, u64::from(RECORDS[0]) + 2]),
        ("fd_write", vec![FILE.into(), LIST.into(), 2, at_end + 4]),
    ] {
        let mut driver = court.guest(name);
        let answer = court.harmless(&mut driver, name, &arguments);
        assert!(matches!(answer, Answer::Fault(_)), "{name}{arguments:x?} gave {answer:?}");
        assert_eq!(driver.call("fd_tell", &[FILE.into(), RECORDS[0].into()]), SUCCESS);
        assert_eq!(driver.long(RECORDS[0]), 0, "{name}{arguments:x?}");
    }
    court.close();
}

/// A subscription: a kind, a clock or descriptor, a time, flags.
fn subscription(
    kind: u8,
    what: u32,
    time_ns: u64,
    flags: u16,
) -> [u8; SUBSCRIPTION_BYTES as usize] {
    let mut record = [0; SUBSCRIPTION_BYTES as usize];
    record[..8].fill(0x77);
    record[8] = kind;
    record[16..20].copy_from_slice(&what.to_le_bytes());
    record[24..32].copy_from_slice(&time_ns.to_le_bytes());
    record[40..42].copy_from_slice(&flags.to_le_bytes());
    record
}

#[test]
fn subscriptions_that_lie() {
    if !in_a_child("subscriptions_that_lie") {
        return;
    }
    let mut court = Court::new();
    let mut poll = |records: &[[u8; SUBSCRIPTION_BYTES as usize]], count: u32| {
        let mut driver = court.guest("poll_oneoff");
        driver.put(SUBSCRIPTIONS, &records.concat());
        let mut arguments = good("poll_oneoff");
        arguments[2] = count.into();
        let answer = court.harmless(&mut driver, "poll_oneoff", &arguments);
        (answer, driver.word(RECORDS[0]), driver.get::<32>(EVENTS))
    };
    let inval = Answer::Errno(INVAL);
    for kind in 3..=u8::MAX {
        assert_eq!(poll(&[subscription(kind, 0, 0, 0)], 1).0, inval, "kind {kind}");
    }
    for clock in [2, 3, 4, 5, 1 << 31, u32::MAX] {
        assert_eq!(poll(&[subscription(0, clock, 0, 0)], 1).0, inval, "clock {clock}");
    }
    for bit in 1..16 {
        assert_eq!(poll(&[subscription(0, 0, 0, 1 << bit)], 1).0, inval, "bit {bit}");
    }
    for count in [0, 4097, 1 << 31, u32::MAX] {
        assert_eq!(poll(&[subscription(0, 0, 0, 0)], count).0, inval, "{count} subscriptions");
    }
    // A descriptor that is none, or a folder, is an event with an error.
    for number in [3, 4, 7, 8, 1023, 1024, u32::MAX] {
        for kind in [1, 2] {
            let (answer, count, event) = poll(&[subscription(kind, number, 0, 0)], 1);
            assert_eq!((answer, count), (SUCCESS, 1), "descriptor {number}");
            assert_eq!((event[..8].to_vec(), event[8], event[10]), (vec![0x77; 8], 8, kind));
        }
    }
    // A time that never comes, beside something that is ready.
    for (clock, flags) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        let never = subscription(0, clock, u64::MAX, flags);
        let (answer, count, _) = poll(&[never, subscription(1, FILE, 0, 0)], 2);
        assert_eq!((answer, count), (SUCCESS, 1), "clock {clock}, flags {flags}");
    }
    court.close();
}

#[test]
fn every_descriptor_number_in_every_place() {
    if !in_a_child("every_descriptor_number_in_every_place") {
        return;
    }
    let mut court = Court::new();
    for (name, roles) in PARAMETERS {
        for (index, _) in roles.iter().enumerate().filter(|(_, role)| **role == Role::Descriptor) {
            for number in DESCRIPTORS {
                let mut arguments = good(name);
                arguments[index] = number.into();
                let mut driver = court.guest(name);
                let answer = court.call(&mut driver, name, &arguments);
                let open = number <= FILE + 1;
                let badf = answer == Answer::Errno(BADF);
                // `notdir` is what the specification's own tests want there.
                let closed = badf || (*name == "fd_prestat_dir_name" && answer != SUCCESS);
                assert!(open || closed, "{name}{arguments:?} gave {answer:?}");
                court.renew();
            }
        }
    }
    court.close();
}

#[test]
fn every_bit_of_every_flag() {
    if !in_a_child("every_bit_of_every_flag") {
        return;
    }
    let mut court = Court::new();
    for (name, roles) in PARAMETERS {
        for (index, role) in roles.iter().enumerate() {
            let values: Vec<(u64, bool)> = match role {
                Role::Flags(known) => (0..=32)
                    .map(|bit| if bit == 32 { u64::from(u32::MAX) } else { 1 << bit })
                    .map(|bits| (bits, bits & !u64::from(*known) == 0))
                    .collect(),
                Role::Choice(count) => [0, 1, 2, 3, 4, 5, 6, 30, 31, 32, 255, 1 << 31]
                    .into_iter()
                    .map(|choice| (choice, choice < u64::from(*count)))
                    .collect(),
                Role::Rights => (0..64).map(|bit| (1 << bit, bit < 30)).collect(),
                _ => continue,
            };
            for (value, known) in values {
                let mut arguments = good(name);
                arguments[index] = value;
                let mut driver = court.guest(name);
                if known {
                    court.call(&mut driver, name, &arguments);
                    court.renew();
                    continue;
                }
                let answer = court.harmless(&mut driver, name, &arguments);
                let refused = *name == "sock_send" && answer == Answer::Errno(NOTSOCK);
                let inval = answer == Answer::Errno(INVAL);
                assert!(inval || refused, "{name}{arguments:x?} gave {answer:?}");
            }
        }
    }
    court.close();
}

#[test]
fn a_memory_that_is_not_the_exported_one() {
    if !in_a_child("a_memory_that_is_not_the_exported_one") {
        return;
    }
    let scene = Scene::in_memory();
    let before = Court::folders(&scene);
    for (name, roles) in PARAMETERS {
        for shape in [Shape::OtherName, Shape::Absent] {
            if !roles.iter().any(|role| role.is_pointer()) || refuses(name) {
                continue;
            }
            let mut driver = guest(shape, &scene, name);
            let mut arguments = good(name);
            if roles.contains(&Role::Targets) {
                arguments[0] = 0;
            }
            let answer = driver.call(name, &arguments);
            // No file can be opened without a memory.
            let closed = [BADF, SPIPE].map(Answer::Errno).contains(&answer)
                && arguments.first() == Some(&FILE.into());
            let no_memory = answer == Answer::Fault(Fault::NoMemory);
            let spipe = *name == "fd_pread" && answer == Answer::Errno(SPIPE);
            assert!(no_memory || closed || spipe, "{name} gave {answer:?}");
            before.assert_same(&Court::folders(&scene), name);
        }
        // What lies in the other memory does not lie in this one.
        for (index, role) in roles.iter().enumerate().filter(|(_, role)| role.is_pointer()) {
            let mut driver = guest(Shape::Second, &scene, name);
            assert_eq!(driver.memory().len(), 0x1_0000);
            let mut arguments = good(name);
            arguments[index] += 0x1_0000;
            let answer = driver.call(name, &arguments);
            let fault = matches!(answer, Answer::Fault(Fault::OutOfBounds { .. }));
            assert!(fault || refuses(name), "{name}, {role:?}: {answer:?}");
            before.assert_same(&Court::folders(&scene), name);
        }
    }
}

#[test]
fn all_of_four_gibibytes_can_be_pointed_at() {
    let scene = Scene::in_memory();
    let mut driver = Driver::new(Shape::FourGiB, scene.grants());
    let top = u32::MAX - 15;
    assert_eq!(driver.memory().len(), 1 << 32);
    assert_eq!(driver.call("random_get", &[top.into(), 16]), SUCCESS);
    assert_ne!(driver.get::<16>(top), [0; 16]);
    let fault = |answer| matches!(answer, Answer::Fault(Fault::OutOfBounds { .. }));
    assert!(fault(driver.call("random_get", &[top.into(), 17])));
    assert!(fault(driver.call("random_get", &[u32::MAX.into(), u32::MAX.into()])));

    // The path, the list, the buffer and the result at the very end, by turns.
    driver.put(u32::MAX, b"a");
    let open = [WRITABLE.into(), 0, u32::MAX.into(), 1, 0, 2, 0, 0, u64::from(u32::MAX - 3)];
    assert_eq!(
        driver.call("path_open", &open[..8].iter().copied().chain([64]).collect::<Vec<_>>()),
        SUCCESS
    );
    let file = u64::from(driver.word(64));
    driver.put_words(u32::MAX - 7, &[top - 16, 16]);
    assert_eq!(driver.call("fd_read", &[file, u64::from(u32::MAX - 7), 1, 64]), SUCCESS);
    assert_eq!(driver.word(64), 14);
    driver.put_words(128, &[u32::MAX, 1]);
    let result = u64::from(u32::MAX - 3);
    assert_eq!(driver.call("fd_pread", &[file, 128, 1, 0, result]), SUCCESS);
    assert_eq!(driver.word(u32::MAX - 3), 1, "the result is written after the bytes");
    assert!(fault(driver.call("fd_pread", &[file, u64::from(u32::MAX - 7), 2, 0, 64])));
    assert_eq!(driver.call("fd_filestat_get", &[file, u64::from(u32::MAX - 63)]), SUCCESS);
    assert!(fault(driver.call("fd_filestat_get", &[file, u64::from(u32::MAX - 7)])));
}
