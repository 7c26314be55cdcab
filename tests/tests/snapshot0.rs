//! `wasi_unstable`, snapshot 0 of WASI: what is laid out or numbered otherwise than in
//! preview 1, by the specification's own text (`legacy/preview0` of the WASI repository),
//! and that a module made for it runs.

use bls_tests::guest::{Guest, How};
use bls_tests::programs::Home;
use bls_tests::scene::{CONTENTS, Scene, WRITABLE};
use std::fs;

const INVAL: u32 = 28;
/// The right that snapshot 0 does not have.
const SOCK_ACCEPT: u64 = 1 << 29;

fn guest(scene: &Scene) -> Guest {
    Guest::of_snapshot0(scene.grants())
}

#[test]
fn a_module_made_for_it_runs() {
    let home = Home::new();
    let module = |function: &str, parameters: &str| {
        let path = home.path("old.wat");
        let text = format!(
            r#"(module (import "wasi_unstable" "proc_exit" (func $exit (param i32)))
                (import "wasi_unstable" "{function}" (func (param {parameters}) (result i32)))
                (memory (export "memory") 1) (func (export "_start") (call $exit (i32.const 9))))"#
        );
        fs::write(&path, text).expect("a file");
        home.compile(&path, &[])
    };
    let (ended, report) = home.report(&[], &module("fd_write", "i32 i32 i32 i32"));
    let _ = ended.expect(9);
    assert_eq!(report["fuel"]["exact"], true, "{report}");
    // It has no other functions than the specification gives it.
    let artifact = module("sock_accept", "i32 i32 i32");
    let _ = home.load(&[], &artifact, &[]).expect(125).says(&["wasi_unstable.sock_accept"]);
}

#[test]
fn positions_are_counted_from_elsewhere() {
    let scene = Scene::new();
    let mut guest = guest(&scene);
    let file = guest.open(WRITABLE, "a", How::READ).expect("a file");
    let length = CONTENTS.len() as u64;
    let (current, end, start) = (0, 1, 2);
    assert_eq!(guest.seek(file, 5, start), Ok(5));
    assert_eq!(guest.seek(file, 2, current), Ok(7));
    assert_eq!(guest.seek(file, -1, end), Ok(length - 1));
    assert_eq!(guest.seek(file, -1, start), Err(INVAL));
    assert_eq!(guest.seek(file, 0, 3), Err(INVAL));
}

#[test]
fn attributes_have_fewer_bytes() {
    const RECORD: u32 = 512;
    let scene = Scene::new();
    fs::hard_link(scene.writable().join("a"), scene.writable().join("again")).expect("a link");
    let mut guest = guest(&scene);
    let file = guest.open(WRITABLE, "a", How::READ).expect("a file");
    let mut preview1 = Guest::new(scene.grants());
    let same = preview1.open(WRITABLE, "a", How::READ).expect("a file");
    assert_eq!(same, file);
    preview1.ask("fd_filestat_get", &[file.into(), RECORD.into()]).expect("attributes");
    let new = preview1.get::<64>(RECORD);
    guest.put(1024, b"a");
    let calls = [
        ("fd_filestat_get", vec![file.into(), RECORD.into()]),
        ("path_filestat_get", vec![WRITABLE.into(), 1, 1024, 1, RECORD.into()]),
    ];
    for (name, arguments) in calls {
        guest.put(RECORD, &[0xa5; 64]);
        guest.ask(name, &arguments).expect("attributes");
        let old = guest.get::<64>(RECORD);
        // Device, number, kind.
        assert_eq!(old[..17], new[..17], "{name}");
        assert_eq!(old[20..24], 2_u32.to_le_bytes(), "{name}: links");
        // Size and times.
        assert_eq!(old[24..56], new[32..64], "{name}");
        assert_eq!(old[56..], [0xa5; 8], "{name}: what is behind it is the guest's");
    }
    // Of a stream too.
    guest.put(RECORD, &[0xa5; 64]);
    guest.ask("fd_filestat_get", &[1, RECORD.into()]).expect("attributes");
    assert_eq!(guest.get::<8>(RECORD + 56), [0xa5; 8]);
}

#[test]
fn subscriptions_to_clocks_have_an_identifier() {
    const SUBSCRIPTIONS: u32 = 0x1_0000;
    const EVENTS: u32 = 0x1_4000;
    const BYTES: u32 = 56;
    let scene = Scene::new();
    let mut guest = guest(&scene);
    let file = guest.open(WRITABLE, "a", How::READ).expect("a file");
    // A clock: its identifier is nobody's business; monotonic, 1 ms, no slack, relative.
    let mut clock = [0; BYTES as usize];
    clock[..8].fill(0x11);
    clock[16..24].fill(0xff);
    clock[24..28].copy_from_slice(&1_u32.to_le_bytes());
    clock[32..40].copy_from_slice(&1_000_000_u64.to_le_bytes());
    // A file to be read, behind it.
    let mut read = [0; BYTES as usize];
    read[..8].fill(0x22);
    read[8] = 1;
    read[16..20].copy_from_slice(&file.to_le_bytes());
    let mut poll = |records: &[[u8; BYTES as usize]]| {
        guest.put(SUBSCRIPTIONS, &records.concat());
        let count = records.len() as u64;
        let given = guest.ask("poll_oneoff", &[SUBSCRIPTIONS.into(), EVENTS.into(), count, 0]);
        given.map(|()| (guest.word(0), guest.get::<32>(EVENTS)))
    };
    let (count, event) = poll(&[clock]).expect("an event");
    assert_eq!((count, event[..8].to_vec(), event[10]), (1, vec![0x11; 8], 0));
    let (count, event) = poll(&[clock, read]).expect("an event");
    assert_eq!((count, event[..8].to_vec(), event[10]), (1, vec![0x22; 8], 1));
    assert_eq!(event[16..24], (CONTENTS.len() as u64).to_le_bytes());
    // A time that is long over, on the clock of that number.
    let mut absolute = clock;
    absolute[24] = 0;
    absolute[48] = 1;
    assert_eq!(poll(&[absolute]).expect("an event").0, 1);
    // Flags and clocks that there are not, where they stand.
    absolute[48] = 2;
    assert_eq!(poll(&[absolute]), Err(INVAL));
    clock[24] = 9;
    assert_eq!(poll(&[clock]), Err(INVAL));
}

#[test]
fn there_is_no_right_to_accept() {
    let scene = Scene::new();
    let mut old = guest(&scene);
    let mut new = Guest::new(scene.grants());
    for guest in [&mut old, &mut new] {
        assert_eq!(guest.open(WRITABLE, "dir", How::DIRECTORY), Ok(5));
        assert_eq!(guest.open(WRITABLE, "a", How::READ), Ok(6));
    }
    let rights = |guest: &mut Guest, descriptor: u64| {
        guest.ask("fd_fdstat_get", &[descriptor, 64]).expect("attributes");
        (guest.long(72), guest.long(80))
    };
    for descriptor in [5, 6] {
        let (own, inheriting) = rights(&mut new, descriptor);
        assert_eq!((own & SOCK_ACCEPT, inheriting & SOCK_ACCEPT), (SOCK_ACCEPT, SOCK_ACCEPT));
        let without = (own & !SOCK_ACCEPT, inheriting & !SOCK_ACCEPT);
        assert_eq!(rights(&mut old, descriptor), without);
    }
    let how = How { rights: 2 | SOCK_ACCEPT, ..How::READ };
    assert!(new.open(WRITABLE, "a", how).is_ok());
    assert_eq!(old.open(WRITABLE, "a", how), Err(INVAL));
}
