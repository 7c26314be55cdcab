//! Code that nobody signed: memory that becomes executable, by whatever way.

use super::script::{Script, Value};
use super::{Attempt, Scene, Stopped, Trace, Worked};
use libc as c;

/// `mov eax, 4711; ret`
const CODE: [u8; 6] = [0xb8, 0x67, 0x12, 0, 0, 0xc3];
const PAGE: usize = 4096;

/// Whether that code ran, as the last step.
fn ran(_: &Scene, trace: &Trace) -> bool {
    trace.last() == Some(4711)
}

const WRITE: i32 = c::PROT_READ | c::PROT_WRITE;
const ALL: i32 = c::PROT_READ | c::PROT_WRITE | c::PROT_EXEC;
const EXECUTE: i32 = c::PROT_READ | c::PROT_EXEC;
const PRIVATE: i32 = c::MAP_PRIVATE | c::MAP_ANONYMOUS;

/// A page of anonymous memory, with this protection.
fn page(s: &mut Script, protection: i32) -> Value {
    let values = [0.into(), PAGE.into(), protection.into(), PRIVATE.into(), (-1).into(), 0.into()];
    let page = s.call(c::SYS_mmap, &values);
    s.need(page);
    page
}

/// Puts the code into memory that can be written.
fn fill(s: &mut Script, to: Value) {
    let code = s.bytes(&CODE);
    s.copy(to, code, CODE.len());
}

/// Maps a page of a file, and runs what is there.
fn map_and_run(s: &mut Script, file: Value, how: i32) {
    let values = [0.into(), PAGE.into(), EXECUTE.into(), how.into(), file, 0.into()];
    let mapped = s.call(c::SYS_mmap, &values);
    s.need(mapped);
    s.enter(mapped);
}

#[rustfmt::skip]
pub(super) fn attempts() -> Vec<Attempt> {
    use Worked::{Last, When};
    vec![
        Attempt::new("mmap-shared", "memory that no limit of the process counts", Last, |_, s| {
            let how = c::MAP_SHARED | c::MAP_ANONYMOUS;
            let values = [0.into(), PAGE.into(), WRITE.into(), how.into(), (-1).into(), 0.into()];
            s.call(c::SYS_mmap, &values);
        }),
        Attempt::new("mmap-more", "more memory than twice the guest's", Last, |_, s| {
            // The guest has a gigabyte.
            let how = PRIVATE | c::MAP_NORESERVE;
            let values = [0.into(), (3_usize << 30).into(), WRITE.into(), how.into(), (-1).into(), 0.into()];
            s.call(c::SYS_mmap, &values);
        }).stopped_by(Stopped::Limit),
        Attempt::new("mmap-rwx", "memory that can be written and executed", When(ran), |_, s| {
            let page = page(s, ALL);
            fill(s, page);
            s.enter(page);
        }),
        Attempt::new("mmap-rx", "empty memory that can be executed", Last, |_, s| {
            page(s, EXECUTE);
        }),
        Attempt::new("mprotect-rx", "memory that was written becomes executable", When(ran), |_, s| {
            let page = page(s, WRITE);
            fill(s, page);
            let done = s.call(c::SYS_mprotect, &[page, PAGE.into(), EXECUTE.into()]);
            s.need(done);
            s.enter(page);
        }),
        Attempt::new("pkey_mprotect-rx", "the same by pkey_mprotect", When(ran), |_, s| {
            let page = page(s, WRITE);
            fill(s, page);
            let done = s.call(c::SYS_pkey_mprotect, &[page, PAGE.into(), EXECUTE.into(), (-1).into()]);
            s.need(done);
            s.enter(page);
        }),
        Attempt::new("mprotect-code", "code is made writable, changed, and made executable again", When(ran), |_, s| {
            // The page behind the executor's last, so that it does not take its own away.
            let place = Value::Code(2 * PAGE as u64);
            let first = s.list(&[place]);
            // Rounded down to a page.
            let page = Value::Long(memory(first));
            let done = s.call(c::SYS_mprotect, &[page, PAGE.into(), ALL.into()]);
            s.need(done);
            fill(s, page);
            s.enter(page);
        }),
        Attempt::new("stack-execute", "the stack becomes executable", Last, |_, s| {
            // The memory begins at a page of the stack.
            s.call(c::SYS_mprotect, &[Value::Memory(0), PAGE.into(), ALL.into()]);
        }),
        Attempt::new("memfd-execute", "a memory file is written, and mapped as code", When(ran), |_, s| {
            let name = s.text("x");
            let code = s.bytes(&CODE);
            let file = s.call(c::SYS_memfd_create, &[name, 0.into()]);
            s.need(file);
            s.call(c::SYS_write, &[file, code, CODE.len().into()]);
            map_and_run(s, file, c::MAP_PRIVATE);
        }),
        Attempt::new("file-execute", "a granted file is written, and mapped as code", When(ran), |scene, s| {
            let path = s.text(scene.path("rw/code"));
            let code = s.bytes(&CODE);
            let how = c::O_RDWR | c::O_CREAT;
            let file = s.call(c::SYS_openat, &[c::AT_FDCWD.into(), path, how.into(), 0o700.into()]);
            s.need(file);
            s.call(c::SYS_write, &[file, code, CODE.len().into()]);
            map_and_run(s, file, c::MAP_PRIVATE);
        }),
        Attempt::new("file-execute-shared", "a granted file is mapped as code, and written afterwards", When(ran), |scene, s| {
            let path = s.text(scene.path("rw/code"));
            let code = s.bytes(&CODE);
            let how = c::O_RDWR | c::O_CREAT;
            let file = s.call(c::SYS_openat, &[c::AT_FDCWD.into(), path, how.into(), 0o700.into()]);
            s.need(file);
            s.call(c::SYS_ftruncate, &[file, PAGE.into()]);
            let values = [0.into(), PAGE.into(), EXECUTE.into(), c::MAP_SHARED.into(), file, 0.into()];
            let mapped = s.call(c::SYS_mmap, &values);
            s.need(mapped);
            s.call(c::SYS_pwrite64, &[file, code, CODE.len().into(), 0.into()]);
            s.enter(mapped);
        }),
        Attempt::new("program-execute", "a system library is mapped as code", Last, |_, s| {
            let path = s.text("/bin/sh");
            let file = s.call(c::SYS_openat, &[c::AT_FDCWD.into(), path, c::O_RDONLY.into(), 0.into()]);
            s.need(file);
            let values = [0.into(), PAGE.into(), EXECUTE.into(), c::MAP_PRIVATE.into(), file, 0.into()];
            s.call(c::SYS_mmap, &values);
        }).with_folders(Stopped::Landlock),
        Attempt::new("shmat-execute", "memory shared between processes is mapped as code", When(ran), |_, s| {
            let memory = s.call(c::SYS_shmget, &[c::IPC_PRIVATE.into(), PAGE.into(), 0o700.into()]);
            s.need(memory);
            let written = s.call(c::SYS_shmat, &[memory, 0.into(), 0.into()]);
            s.call(c::SYS_shmctl, &[memory, c::IPC_RMID.into(), 0.into()]);
            s.need(written);
            fill(s, written);
            let mapped = s.call(c::SYS_shmat, &[memory, 0.into(), c::SHM_EXEC.into()]);
            s.need(mapped);
            s.enter(mapped);
        }),
        Attempt::new("mremap-mprotect", "memory that was written is moved, and becomes executable", When(ran), |_, s| {
            let page = page(s, WRITE);
            fill(s, page);
            let moved = s.call(c::SYS_mremap, &[page, PAGE.into(), (2 * PAGE).into(), c::MREMAP_MAYMOVE.into()]);
            s.need(moved);
            let done = s.call(c::SYS_mprotect, &[moved, PAGE.into(), EXECUTE.into()]);
            s.need(done);
            s.enter(moved);
        }),
        Attempt::new("personality", "reading means executing from now on (READ_IMPLIES_EXEC)", When(ran), |_, s| {
            let done = s.call(c::SYS_personality, &[0x0040_0000.into()]);
            s.need(done);
            let page = page(s, WRITE);
            fill(s, page);
            s.enter(page);
        }),
        Attempt::new("memfd_create", "a file in memory", Last, |_, s| {
            let name = s.text("x");
            s.call(c::SYS_memfd_create, &[name, 0.into()]);
        }),
        Attempt::new("memfd_secret", "memory that the kernel itself does not see", Last, |_, s| {
            s.call(c::SYS_memfd_secret, &[0.into()]);
        }).where_there(),
        Attempt::new("userfaultfd", "answer page faults, which lets a race in the kernel be won", Last, |_, s| {
            s.call(c::SYS_userfaultfd, &[0.into()]);
        }).for_root(),
        Attempt::new("remap_file_pages", "rearrange a mapping's pages", Last, |_, s| {
            let how = c::MAP_SHARED | c::MAP_ANONYMOUS;
            let values = [0.into(), (2 * PAGE).into(), WRITE.into(), how.into(), (-1).into(), 0.into()];
            let pages = s.call(c::SYS_mmap, &values);
            s.need(pages);
            s.call(c::SYS_remap_file_pages, &[pages, PAGE.into(), 0.into(), 1.into(), 0.into()]);
        }),
        Attempt::new("modify_ldt", "a segment of its own, as 16-bit programs have it", Last, |_, s| {
            let room = s.room(64);
            s.call(c::SYS_modify_ldt, &[0.into(), room, 64.into()]);
        }).where_there(),
        Attempt::new("mlock", "keep memory from being swapped out", Last, |_, s| {
            let page = page(s, WRITE);
            s.call(c::SYS_mlock, &[page, PAGE.into()]);
        }),
    ]
}

/// Where in the memory an address is.
fn memory(value: Value) -> usize {
    let Value::Memory(at) = value else { panic!("{value:?} is not in the memory") };
    at
}
