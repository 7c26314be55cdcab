//! Filesystems that are not storage but ways into the kernel or into other processes.
//!
//! What lies on one of these looks like a file, and does something else: a byte that is
//! written to `/proc/self/mem` is native code, a folder that is made in a cgroup is a
//! cgroup, a name that is removed from efivarfs is gone from the firmware. No folder grant
//! reaches them. The kernel says of an open descriptor what it lies on, so that neither
//! names nor links nor mounts decide. Guarantees that what is in the table is recognised.
//! Does not know filesystems that are younger than it; does not judge what a file is
//! (`place.rs`).

use rustix::fd::AsFd;
use rustix::fs::fstatfs;
use rustix::io;

/// Name and number (`f_type` of `fstatfs`) of each; the numbers are the kernel's, which
/// never change.
const KERNEL: [(&str, u32); 36] = [
    // Processes and the kernel itself.
    ("procfs", 0x0000_9fa0),
    ("openpromfs", 0x0000_9fa1),
    ("sysfs", 0x6265_6572),
    ("debugfs", 0x6462_6720),
    ("tracefs", 0x7472_6163),
    ("configfs", 0x6265_6570),
    ("cgroupfs", 0x0027_e0eb),
    ("cgroupfs", 0x6367_7270),
    ("resctrl", 0x0765_5821),
    ("bpffs", 0xcafe_4a11),
    ("nsfs", 0x6e73_6673),
    ("pidfs", 0x5049_4446),
    // Who may do what.
    ("securityfs", 0x7363_6673),
    ("selinuxfs", 0xf97c_ff8c),
    ("smackfs", 0x4341_5d53),
    ("apparmorfs", 0x5a3c_69f0),
    // What is run, and how.
    ("binfmt_misc", 0x4249_4e4d),
    ("fusectl", 0x6573_5543),
    ("nfsd", 0x6e66_7364),
    ("rpc_pipefs", 0x6759_6969),
    // Firmware and devices.
    ("efivarfs", 0xde5e_81e4),
    ("pstore", 0x6165_676c),
    ("usbfs", 0x0000_9fa2),
    ("functionfs", 0x0a64_7361),
    ("gadgetfs", 0xaee7_1ee7),
    ("binderfs", 0x6c6f_6f70),
    ("xenfs", 0xabba_1974),
    ("bdevfs", 0x6264_6576),
    ("devpts", 0x0000_1cd1),
    // Messages, and memory that no limit of a guest counts.
    ("mqueue", 0x1980_0202),
    ("sockfs", 0x534f_434b),
    ("pipefs", 0x5049_5045),
    ("anonymous inodes", 0x0904_1934),
    ("dma-buf", 0x444d_4142),
    ("secretmem", 0x5345_434d),
    ("hugetlbfs", 0x9584_58f6),
];

/// The filesystem that a descriptor lies on, if no guest may reach it.
pub(crate) fn kernel_filesystem(descriptor: impl AsFd) -> io::Result<Option<&'static str>> {
    // Some machines give it as a signed number of 64 bits; no number needs more than 32.
    #[allow(clippy::unnecessary_cast, reason = "the type is the machine's")]
    let number = fstatfs(descriptor)?.f_type as u32;
    let known = KERNEL.iter().find(|(_, kernel)| *kernel == number);
    Ok(known.map(|(name, _)| *name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    #[test]
    fn what_is_mounted_here_is_recognised() {
        let of = |path: &str| kernel_filesystem(File::open(path).expect("a file")).expect("a kind");
        assert_eq!(of("/proc/self/status"), Some("procfs"));
        assert_eq!(of("/proc"), Some("procfs"));
        assert_eq!(of("/proc/self/ns/pid"), Some("nsfs"));
        assert_eq!(of("/"), None);
        assert_eq!(of("/proc/self/exe"), None);
        for (path, name) in [
            ("/sys/kernel", "sysfs"),
            ("/dev/pts", "devpts"),
            ("/sys/fs/cgroup/cgroup.procs", "cgroupfs"),
        ] {
            if File::open(path).is_ok() {
                assert_eq!(of(path), Some(name), "{path}");
            }
        }
    }

    #[test]
    fn pipes_and_sockets_are_recognised() {
        let (pipe, _other) = std::io::pipe().expect("a pipe");
        assert_eq!(kernel_filesystem(&pipe).expect("a kind"), Some("pipefs"));
        let (socket, _other) = std::os::unix::net::UnixStream::pair().expect("sockets");
        assert_eq!(kernel_filesystem(&socket).expect("a kind"), Some("sockfs"));
    }

    #[test]
    fn no_number_stands_twice() {
        for (index, (name, number)) in KERNEL.iter().enumerate() {
            let again = KERNEL.iter().skip(index + 1).any(|(_, other)| other == number);
            assert!(!again, "{name}");
        }
    }
}
