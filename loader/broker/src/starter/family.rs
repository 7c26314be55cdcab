//! How many processes an extension is.
//!
//! The kernel counts processes by user only (`RLIMIT_NPROC`), and root's not at all. So an
//! extension asks for each process, and the starter counts: the children of the first process,
//! theirs, and those that were left behind, which have become its own. An extension cannot
//! leave its group ([`crate::wall`]), so what is in it is it. Those that ask at the same moment
//! do not know of each other: at worst they are twice as many.

use rustix::process::{Pid, getpgid};

/// How many processes of this group there are among the children of this process and theirs;
/// stops counting behind `most`. 0 where the kernel does not say.
pub(super) fn count(group: Pid, most: usize) -> usize {
    let mut found = 0;
    let mut unseen = children(std::process::id());
    while let Some(process) = unseen.pop() {
        if Pid::from_raw(process as i32).is_some_and(|process| getpgid(Some(process)) == Ok(group))
        {
            found += 1;
            if found > most {
                break;
            }
        }
        unseen.extend(children(process));
    }
    found
}

fn children(process: u32) -> Vec<u32> {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{process}/task")) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for thread in threads.flatten() {
        let text = std::fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        found.extend(text.split_ascii_whitespace().filter_map(|word| word.parse::<u32>().ok()));
    }
    found
}
