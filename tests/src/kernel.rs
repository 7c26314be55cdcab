//! A whole machine of another architecture: a real Linux under qemu's system emulation.
//!
//! qemu-user has no Landlock, no filters of system calls and no rule against new code, so what
//! bls-load gives up there can be seen only under a kernel. `BLS_KERNELS` names a folder that has,
//! for each architecture, `ARCH/vmlinuz` and a static `ARCH/busybox` (both from a distribution's
//! packages). Everything runs from memory. Guarantees that a machine ends within a bound of time.
//! Judges nothing.

use crate::devices::qemu;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// What is emulated, for an architecture by xtask's name: qemu's name, its options and the
/// console.
const MACHINES: [(&str, &str, &[&str], &str); 4] = [
    ("aarch64", "aarch64", &["-M", "virt", "-cpu", "max,pauth-impdef=on"], "ttyAMA0"),
    ("riscv64", "riscv64", &["-M", "virt"], "ttyS0"),
    ("armv7", "arm", &["-M", "virt", "-cpu", "cortex-a15"], "ttyAMA0"),
    ("s390x", "s390x", &["-M", "s390-ccw-virtio", "-cpu", "max"], "ttysclp0"),
];

/// A machine, before it starts.
#[derive(Debug)]
pub struct Emulator {
    command: Command,
    /// The files in its memory: a cpio archive.
    files: Vec<u8>,
}

impl Emulator {
    /// The one for an architecture, or nothing, which is said.
    ///
    /// # Panics
    /// When its files cannot be read.
    #[must_use]
    pub fn of(architecture: &str) -> Option<Self> {
        let found = std::env::var_os("BLS_KERNELS").map(|all| Path::new(&all).join(architecture));
        let Some(folder) = found.filter(|folder| folder.join("vmlinuz").is_file()) else {
            println!("SKIPPED: BLS_KERNELS names no folder with {architecture}/vmlinuz");
            return None;
        };
        let (_, name, options, console) =
            MACHINES.into_iter().find(|(one, ..)| *one == architecture)?;
        let mut command = Command::new(qemu(&format!("system-{name}"))?);
        command
            .args(options)
            .args(["-m", "2048", "-nographic", "-no-reboot", "-nic", "none", "-kernel"])
            .arg(folder.join("vmlinuz"))
            .args(["-append", &format!("console={console} quiet panic=-1")]);
        let mut machine = Self { command, files: Vec::new() };
        for folder in ["dev", "proc", "sys", "tmp", "bin"] {
            machine.entry(folder, 0o040_755, b"");
        }
        machine.file("bin/busybox", &std::fs::read(folder.join("busybox")).expect("busybox"));
        Some(machine)
    }

    /// Puts a file there, that everybody may execute; its folders, too.
    pub fn file(&mut self, path: &str, contents: &[u8]) {
        let above: Vec<PathBuf> = Path::new(path).ancestors().skip(1).map(Path::to_owned).collect();
        for folder in above.iter().rev().filter(|folder| !folder.as_os_str().is_empty()) {
            self.entry(&folder.to_string_lossy(), 0o040_755, b"");
        }
        self.entry(path, 0o100_755, contents);
    }

    /// An entry of the archive ("newc", cpio(5)).
    fn entry(&mut self, path: &str, mode: u32, contents: &[u8]) {
        // Number, mode, owner, group, links, time, length, four of devices, length of the name.
        let number = self.files.len() as u32;
        let (length, name) = (contents.len() as u32, path.len() as u32 + 1);
        let fields = [number, mode, 0, 0, 1, 0, length, 0, 0, 0, 0, name, 0];
        self.files.extend(b"070701");
        for field in fields {
            self.files.extend(format!("{field:08x}").bytes());
        }
        self.files.extend(path.bytes().chain([0]));
        self.pad();
        self.files.extend(contents);
        self.pad();
    }

    fn pad(&mut self) {
        self.files.resize(self.files.len().next_multiple_of(4), 0);
    }

    /// Starts it, has its shell do what `script` says, and gives what came out on the console.
    ///
    /// # Panics
    /// When qemu cannot be started, or has not ended in time.
    #[must_use]
    pub fn run(mut self, script: &str, most: Duration) -> String {
        const BEFORE: &str = "#!/bin/busybox sh
            export PATH=/bin
            /bin/busybox --install -s /bin
            mount -t devtmpfs dev /dev; mount -t proc proc /proc; mount -t tmpfs tmpfs /tmp
            dmesg -n 1
            ";
        let init = [BEFORE, script, "\npoweroff -f\n"].concat();
        self.file("init", init.as_bytes());
        self.entry("TRAILER!!!", 0, b"");
        let folder = tempfile::tempdir().expect("a fresh folder");
        let (files, console) = (folder.path().join("files"), folder.path().join("console"));
        std::fs::write(&files, &self.files).expect("an archive");
        let seconds = OsString::from(most.as_secs().to_string());
        let status = Command::new("timeout")
            .arg(seconds)
            .arg(self.command.get_program())
            .args(self.command.get_args())
            .arg("-initrd")
            .arg(files)
            .stdin(Stdio::null())
            .stdout(std::fs::File::create(&console).expect("a file"))
            .status()
            .expect("timeout");
        let said = std::fs::read(console).expect("a console");
        let said = String::from_utf8_lossy(&said).into_owned();
        assert!(status.success(), "{:?}: {status}\n{said}", self.command.get_program());
        said
    }
}
