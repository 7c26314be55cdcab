//! What the host does for the guest: every function of preview 1.
//!
//! Each runs in a fresh folder, descriptor 3, in which the file `f` (descriptor 4), one that
//! is all hole (5), and the folder `d` (6) with 400 files were made before anything is
//! measured. What the disk under the folder
//! of temporary files does is in these numbers.

use super::Adversary;
use bls_artifact::capability::WASI_PREVIEW1;
use bls_artifact::preview1::FUNCTIONS;
use std::fmt::Write as _;

/// Where things are in memory.
const RESULT: &str = "(i32.const 8)";
const FILE: &str = "(i32.const 1024) (i32.const 1)";
const OTHER: &str = "(i32.const 1028) (i32.const 1)";
/// `d/../d/../…/f`, as long as a path may be.
const LONG: &str = "(i32.const 2048) (i32.const 4091)";
/// `././…/f`, as long as a path may be.
const DOTS: &str = "(i32.const 8192) (i32.const 4095)";
/// Down through 818 folders and up again, and then a link.
const LINKS: &str = "(i32.const 16384) (i32.const 4092)";
/// The same, and then a file.
const UP_AND_DOWN: &str = "(i32.const 20480) (i32.const 4091)";
/// Down through 2047 folders, as long as a path may be.
const DEEP: &str = "(i32.const 24576) (i32.const 4093)";
/// How many folders stand in each other, and how many links lead to each other.
const FOLDERS: usize = 2047;
const LINKS_MADE: u32 = 40;
/// Most buffers of a list, each of nothing, and each of one byte.
const EMPTY_BUFFERS: &str = "(i32.const 65536) (i32.const 1024)";
const BUFFERS: &str = "(i32.const 131072) (i32.const 1024)";
/// More than the kernel takes at once, of nothing.
const MANY_EMPTY: &str = "(i32.const 1048576) (i32.const 65536)";
/// One of a byte, one of a thousand, one of a megabyte.
const BYTE: &str = "(i32.const 131072) (i32.const 1)";
const THOUSAND: &str = "(i32.const 1056) (i32.const 1)";
const MEGABYTE: &str = "(i32.const 1064) (i32.const 1)";

pub(super) fn all() -> Vec<Adversary> {
    let path_and_result = |path: &str| format!("(i32.const 3) (i32.const 1) {path} {RESULT}");
    let transfer = |buffers: &str| format!("(i32.const 4) {buffers} {RESULT}");
    let at_start = |buffers: &str| format!("(i32.const 4) {buffers} (i64.const 0) {RESULT}");
    let times = "(i64.const 1) (i64.const 2) (i32.const 5)";
    let open = |path: &str| {
        format!(
            "(i32.const 3) (i32.const 1) {path} (i32.const 0) (i64.const 2) (i64.const 0) (i32.const 0) {RESULT}"
        )
    };
    let calls: Vec<(&str, &str, u32, String)> = vec![
        ("args_get", "", 50_000, "(i32.const 1100) (i32.const 1200)".into()),
        ("args_sizes_get", "", 50_000, "(i32.const 8) (i32.const 12)".into()),
        ("environ_get", "", 50_000, "(i32.const 1100) (i32.const 1200)".into()),
        ("environ_sizes_get", "", 50_000, "(i32.const 8) (i32.const 12)".into()),
        ("clock_res_get", "", 50_000, format!("(i32.const 1) {RESULT}")),
        ("clock_time_get", "", 50_000, format!("(i32.const 1) (i64.const 0) {RESULT}")),
        (
            "fd_advise",
            "",
            20_000,
            "(i32.const 4) (i64.const 0) (i64.const 10) (i32.const 3)".into(),
        ),
        (
            "fd_advise",
            " of what will be needed",
            5000,
            "(i32.const 4) (i64.shl (i64.extend_i32_u (local.get $i)) (i64.const 20)) (i64.const 2000000) (i32.const 3)".into(),
        ),
        (
            "fd_advise",
            " of what is not needed",
            20_000,
            "(i32.const 4) (i64.const 0) (i64.const 0) (i32.const 4)".into(),
        ),
        (
            "fd_allocate",
            ", the same again",
            2000,
            "(i32.const 4) (i64.const 0) (i64.const 10)".into(),
        ),
        ("fd_close", " of what is not open", 50_000, "(i32.const 77)".into()),
        ("fd_datasync", "", 2000, "(i32.const 4)".into()),
        ("fd_sync", "", 2000, "(i32.const 4)".into()),
        ("fd_fdstat_get", "", 20_000, format!("(i32.const 4) {RESULT}")),
        ("fd_fdstat_get", " of a folder", 20_000, format!("(i32.const 3) {RESULT}")),
        ("fd_fdstat_set_flags", "", 20_000, "(i32.const 4) (i32.const 1)".into()),
        ("fd_fdstat_set_rights", "", 20_000, "(i32.const 4) (i64.const 2) (i64.const 0)".into()),
        ("fd_filestat_get", "", 20_000, "(i32.const 4) (i32.const 128)".into()),
        (
            "fd_filestat_set_size",
            "",
            5000,
            "(i32.const 4) (i64.extend_i32_u (i32.and (local.get $i) (i32.const 1)))".into(),
        ),
        ("fd_filestat_set_times", "", 5000, format!("(i32.const 4) {times}")),
        ("fd_pread", ", 1 024 buffers of nothing", 5000, at_start(EMPTY_BUFFERS)),
        ("fd_pread", ", 1 024 buffers of a byte", 2000, at_start(BUFFERS)),
        ("fd_prestat_get", "", 50_000, format!("(i32.const 3) {RESULT}")),
        ("fd_prestat_dir_name", "", 50_000, "(i32.const 3) (i32.const 1100) (i32.const 1)".into()),
        (
            "fd_pwrite",
            " of nothing",
            20_000,
            "(i32.const 4) (i32.const 0) (i32.const 0) (i64.const 0) (i32.const 8)".into(),
        ),
        ("fd_pwrite", ", 1 024 buffers of nothing", 5000, at_start(EMPTY_BUFFERS)),
        ("fd_pwrite", ", 1 024 buffers of a byte", 2000, at_start(BUFFERS)),
        ("fd_pwrite", ", 1 000 bytes", 5000, at_start(THOUSAND)),
        ("fd_pwrite", ", a megabyte", 300, at_start(MEGABYTE)),
        (
            "fd_pwrite",
            ", a byte on each page",
            20_000,
            format!("(i32.const 4) {BYTE} (i64.shl (i64.extend_i32_u (local.get $i)) (i64.const 12)) {RESULT}"),
        ),
        (
            "fd_pread",
            ", a byte of each page of a hole",
            20_000,
            format!("(i32.const 5) {BYTE} (i64.shl (i64.extend_i32_u (local.get $i)) (i64.const 12)) {RESULT}"),
        ),
        ("fd_pread", ", a megabyte", 300, at_start(MEGABYTE)),
        ("fd_pwrite", " with 65 536 buffers of nothing", 50, at_start(MANY_EMPTY)),
        ("fd_read", " at the end", 20_000, transfer(THOUSAND)),
        (
            "fd_write",
            " of nothing",
            20_000,
            "(i32.const 4) (i32.const 0) (i32.const 0) (i32.const 8)".into(),
        ),
        (
            "fd_readdir",
            " of two entries",
            5000,
            format!("(i32.const 3) (i32.const 1100) (i32.const 500) (i64.const 0) {RESULT}"),
        ),
        (
            "fd_readdir",
            " of a folder of 400, a byte",
            1000,
            format!("(i32.const 6) (i32.const 1100) (i32.const 1) (i64.const 0) {RESULT}"),
        ),
        (
            "fd_readdir",
            " of a folder of 400, whole",
            500,
            format!("(i32.const 6) (i32.const 1048576) (i32.const 65536) (i64.const 0) {RESULT}"),
        ),
        (
            "fd_readdir",
            " of a folder of 400, here and there",
            1000,
            format!("(i32.const 6) (i32.const 1100) (i32.const 60) (i64.extend_i32_u (i32.rem_u (i32.mul (local.get $i) (i32.const 101)) (i32.const 400))) {RESULT}"),
        ),
        (
            "fd_readdir",
            " behind the last of 400",
            1000,
            format!("(i32.const 6) (i32.const 1100) (i32.const 60) (i64.extend_i32_u (local.get $i)) {RESULT}").replacen("(local.get $i)", "(i32.add (local.get $i) (i32.const 1000))", 1),
        ),
        ("fd_renumber", " onto itself", 50_000, "(i32.const 4) (i32.const 4)".into()),
        ("fd_seek", "", 20_000, format!("(i32.const 4) (i64.const 0) (i32.const 2) {RESULT}")),
        ("fd_tell", "", 20_000, format!("(i32.const 4) {RESULT}")),
        (
            "path_create_directory",
            " that exists",
            5000,
            "(i32.const 3) (i32.const 1026) (i32.const 1)".into(),
        ),
        ("path_filestat_get", "", 5000, path_and_result(FILE)),
        ("path_filestat_get", " of 4 091 bytes, folders", 100, path_and_result(LONG)),
        ("path_filestat_get", " of 4 095 bytes, dots", 100, path_and_result(DOTS)),
        (
            "path_filestat_set_times",
            "",
            5000,
            format!("(i32.const 3) (i32.const 1) {FILE} {times}"),
        ),
        (
            "path_link",
            " that exists",
            5000,
            format!("(i32.const 3) (i32.const 0) {FILE} (i32.const 3) {FILE}"),
        ),
        (
            "path_link",
            " that exists, by long paths",
            100,
            format!("(i32.const 3) (i32.const 0) {LONG} (i32.const 3) {LONG}"),
        ),
        ("path_open", " of what is not there", 5000, open(OTHER)),
        ("path_open", " by a long path", 100, open(LONG)),
        (
            "path_readlink",
            " of a file",
            5000,
            format!("(i32.const 3) {FILE} (i32.const 1100) (i32.const 100) {RESULT}"),
        ),
        ("path_remove_directory", " of a file", 5000, format!("(i32.const 3) {FILE}")),
        ("path_rename", " onto itself", 5000, format!("(i32.const 3) {FILE} (i32.const 3) {FILE}")),
        ("path_symlink", " that exists", 5000, format!("{OTHER} (i32.const 3) {FILE}")),
        ("path_unlink_file", " of what is not there", 5000, format!("(i32.const 3) {OTHER}")),
        (
            "poll_oneoff",
            " of 4 096 clocks",
            100,
            format!("(i32.const 1048576) (i32.const 2097152) (i32.const 4096) {RESULT}"),
        ),
        (
            "poll_oneoff",
            " of a clock",
            20_000,
            format!("(i32.const 1048576) (i32.const 2097152) (i32.const 1) {RESULT}"),
        ),
        (
            "poll_oneoff",
            " of 4 096 files",
            30,
            format!("(i32.const 3145728) (i32.const 2097152) (i32.const 4096) {RESULT}"),
        ),
        ("proc_raise", "", 50_000, "(i32.const 3)".into()),
        ("random_get", " of a byte", 20_000, "(i32.const 1100) (i32.const 1)".into()),
        ("random_get", " of a megabyte", 50, "(i32.const 2097152) (i32.const 1048576)".into()),
        ("sched_yield", "", 50_000, String::new()),
        ("sock_accept", "", 50_000, format!("(i32.const 4) (i32.const 0) {RESULT}")),
        (
            "sock_recv",
            "",
            50_000,
            format!("(i32.const 4) {BUFFERS} (i32.const 0) {RESULT} (i32.const 12)"),
        ),
        ("sock_send", "", 50_000, format!("(i32.const 4) {BUFFERS} (i32.const 0) {RESULT}")),
        ("sock_shutdown", "", 50_000, "(i32.const 4) (i32.const 0)".into()),
    ];
    let mut all: Vec<Adversary> = calls
        .into_iter()
        .map(|(name, how, times, arguments)| {
            adversary(&format!("{name}{how}"), times, &format!("(drop (call ${name} {arguments}))"))
        })
        .collect();
    all.push(adversary(
        "path_open and fd_close",
        2000,
        &format!(
            "(drop (call $path_open {})) (drop (call $fd_close (i32.load {RESULT})))",
            open(FILE)
        ),
    ));
    all.push(adversary(
        "a file made and removed",
        1000,
        &format!(
            "(drop (call $path_open {})) (drop (call $fd_close (i32.load {RESULT})))
             (drop (call $path_unlink_file (i32.const 3) {OTHER}))",
            open(OTHER).replacen("(i32.const 0) (i64.const 2)", "(i32.const 1) (i64.const 64)", 1)
        ),
    ));
    let make = |path: &str, how: u32, flags: u32| {
        let rights = "(i64.const 66) (i64.const 0)";
        format!(
            "(drop (call $path_open (i32.const 3) (i32.const 1) {path} (i32.const {how}) {rights} (i32.const {flags}) {RESULT}))"
        )
    };
    let close = format!("(drop (call $fd_close (i32.load {RESULT})))");
    let unlink = format!("(drop (call $path_unlink_file (i32.const 3) {OTHER}))");
    let write =
        |file: &str| format!("(drop (call $fd_pwrite {file} {BYTE} (i64.const 0) (i32.const 12)))");
    let opened = format!("(i32.load {RESULT})");
    let name_and_name = format!("{OTHER} (i32.const 3) {OTHER}");
    let more: Vec<(&str, u32, String)> = vec![
        (
            "a file of a byte made, closed, emptied by opening",
            500,
            format!("{} {} {close}", make(OTHER, 9, 0), write(&opened)),
        ),
        (
            "a byte written, and all cut off again",
            1000,
            format!(
                "{} (drop (call $fd_filestat_set_size (i32.const 4) (i64.const 0)))",
                write("(i32.const 4)")
            ),
        ),
        (
            "a gigabyte reserved, and cut off",
            50,
            "(drop (call $fd_allocate (i32.const 4) (i64.const 0) (i64.const 1000000000)))
             (drop (call $fd_filestat_set_size (i32.const 4) (i64.const 0)))"
                .into(),
        ),
        (
            "a byte, written through to the disk",
            100,
            format!("{} {} {close}", make(OTHER, 1, 18), write(&opened)),
        ),
        (
            "a folder made and removed",
            1000,
            format!(
                "(drop (call $path_create_directory (i32.const 3) {OTHER}))
                 (drop (call $path_remove_directory (i32.const 3) {OTHER}))"
            ),
        ),
        (
            "a link made and removed",
            1000,
            format!("(drop (call $path_symlink {name_and_name})) {unlink}"),
        ),
        (
            "a second name given and taken",
            1000,
            format!(
                "(drop (call $path_link (i32.const 3) (i32.const 0) {FILE} (i32.const 3) {OTHER})) {unlink}"
            ),
        ),
        (
            "a file renamed, and back",
            1000,
            format!(
                "(drop (call $path_rename (i32.const 3) {FILE} (i32.const 3) {OTHER}))
                 (drop (call $path_rename (i32.const 3) {OTHER} (i32.const 3) {FILE}))"
            ),
        ),
    ];
    all.extend(more.into_iter().map(|(name, times, body)| adversary(name, times, &body)));
    let look = |path: &str| {
        format!(
            "(drop (call $path_filestat_get (i32.const 3) (i32.const 1) {path} (i32.const 128)))"
        )
    };
    let deep: [(&str, u32, String); 4] = [
        ("a path down through 2 047 folders", 100, look(DEEP)),
        ("a path down through 818 folders and up", 100, look(UP_AND_DOWN)),
        ("a path through 40 links behind 818 folders", 5, look(LINKS)),
        (
            "a folder moved below 2 047 others, and back",
            100,
            format!(
                "(drop (call $path_rename (i32.const 3) {FILE_FOLDER} (i32.load (i32.const 16)) {OTHER}))
                 (drop (call $path_rename (i32.load (i32.const 16)) {OTHER} (i32.const 3) {FILE_FOLDER}))"
            ),
        ),
    ];
    all.extend(deep.into_iter().map(|(name, times, body)| {
        let made = adversary(name, times, &body);
        let setup = made.setup.clone() + &folders_and_links();
        made.behind(setup)
    }));
    all
}

/// The folder `d`.
const FILE_FOLDER: &str = "(i32.const 1026) (i32.const 1)";

/// Makes `g/g/…`, whose last descriptor is at 16, and the links `A`, of which each leads to the
/// one before it, and the first to `f`.
fn folders_and_links() -> String {
    const NAME: &str = "(i32.const 1040) (i32.const 1)";
    const LINK: &str = "(i32.const 1042) (i32.const 2)";
    format!(
        "(i32.store (i32.const 16) (i32.const 3))
         (local.set $x (i32.const {FOLDERS}))
         (loop $down
            (if (call $path_create_directory (i32.load (i32.const 16)) {NAME}) (then (unreachable)))
            (if (call $path_open (i32.load (i32.const 16)) (i32.const 0) {NAME} (i32.const 2)
                (i64.const 0) (i64.const 0) (i32.const 0) {RESULT}) (then (unreachable)))
            (if (i32.ne (i32.load (i32.const 16)) (i32.const 3))
                (then (drop (call $fd_close (i32.load (i32.const 16))))))
            (i32.store (i32.const 16) (i32.load {RESULT}))
            (br_if $down (local.tee $x (i32.sub (local.get $x) (i32.const 1)))))
         (if (call $path_symlink {FILE} (i32.const 3) {LINK}) (then (unreachable)))
         (local.set $x (i32.const 1))
         (loop $links
            (i32.store16 (i32.const 1044) (i32.load16_u (i32.const 1042)))
            (i32.store8 (i32.const 1043) (i32.add (i32.const 48) (local.get $x)))
            (if (call $path_symlink (i32.const 1044) (i32.const 2) (i32.const 3) {LINK}) (then (unreachable)))
            (br_if $links (i32.ne (i32.const {LINKS_MADE})
                (local.tee $x (i32.add (local.get $x) (i32.const 1))))))"
    )
}

/// A module that imports everything, and makes the file and the folder.
fn adversary(name: &str, times: u32, body: &str) -> Adversary {
    let mut parts = String::new();
    for function in FUNCTIONS {
        let (name, ty) = (function.name, function.ty());
        let ty = ty.trim_start_matches("func");
        let _ = write!(parts, "(import \"{WASI_PREVIEW1}\" \"{name}\" (func ${name} {ty}))");
    }
    parts += r#"(memory (export "memory") 64)"#;
    let number = |value: u32| -> String {
        value.to_le_bytes().iter().map(|byte| format!("\\{byte:02x}")).collect()
    };
    let mut data = |place: u32, bytes: &str| {
        let _ = write!(parts, "(data (i32.const {place}) \"{bytes}\")");
    };
    data(1024, "f\\00d\\00e\\00h");
    data(1056, &(number(4096) + &number(1000)));
    data(1064, &(number(3_000_000) + &number(1 << 20)));
    data(2048, &("d/../".repeat(818) + "f"));
    data(8192, &("./".repeat(2047) + "f"));
    data(1040, "g\\00A0");
    let (down, up) = ("g/".repeat(818), "../".repeat(818));
    // The last of the links that `folders_and_links` makes: `A`, and the 39th character after 0.
    data(16_384, &format!("{down}{up}AW"));
    data(20_480, &format!("{down}{up}f"));
    data(24_576, &("g/".repeat(FOLDERS - 1) + "g"));
    let buffers: String = (0..1024).map(|index| number(4096 + index) + &number(1)).collect();
    data(131_072, &buffers);
    // Subscriptions to clocks are zeros; to files, what is read from descriptor 4.
    let files = (number(0)
        + &number(0)
        + &number(1)
        + &number(0)
        + &number(4)
        + &number(0)
        + &number(0).repeat(6))
        .repeat(4096);
    data(3_145_728, &files);
    let setup = format!(
        "(if (call $path_create_directory (i32.const 3) (i32.const 1026) (i32.const 1)) (then (unreachable)))
         (if (call $path_open (i32.const 3) (i32.const 0) {FILE} (i32.const 1)
            (i64.const 0x1fffffff) (i64.const 0) (i32.const 0) {RESULT}) (then (unreachable)))
         (if (i32.ne (i32.load {RESULT}) (i32.const 4)) (then (unreachable)))
         (if (call $path_open (i32.const 3) (i32.const 0) (i32.const 1030) (i32.const 1) (i32.const 1)
            (i64.const 0x1fffffff) (i64.const 0) (i32.const 0) {RESULT}) (then (unreachable)))
         (if (call $fd_filestat_set_size (i32.const 5) (i64.const 0x10000000000)) (then (unreachable)))
         (if (call $path_open (i32.const 3) (i32.const 0) (i32.const 1026) (i32.const 1) (i32.const 2)
            (i64.const 0) (i64.const 0) (i32.const 0) {RESULT}) (then (unreachable)))
         (local.set $x (i32.const 400))
         (loop $fill
            (i32.store16 (i32.const 1032) (i32.add (i32.const 0x6161) (i32.add
                (i32.rem_u (local.get $x) (i32.const 20))
                (i32.shl (i32.div_u (local.get $x) (i32.const 20)) (i32.const 8)))))
            (drop (call $path_open (i32.const 6) (i32.const 0) (i32.const 1032) (i32.const 2)
                (i32.const 1) (i64.const 64) (i64.const 0) (i32.const 0) {RESULT}))
            (drop (call $fd_close (i32.load {RESULT})))
            (br_if $fill (local.tee $x (i32.sub (local.get $x) (i32.const 1)))))"
    );
    Adversary::new(name, times, parts, body).behind(setup)
}
