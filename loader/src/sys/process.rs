//! Starting another program, and becoming one.
//!
//! The standard library's way keeps the environment in a map and knows many more wishes; it
//! would be a hundredth of the program. Guarantees that what happens between the two processes
//! is what POSIX allows there: no memory is taken or given back.

use rustix::process::{Pid, WaitOptions, waitpid};
use std::ffi::{CString, OsStr};
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::ptr;

/// The variables that a program finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Environment {
    /// None.
    Empty,
    /// Those of this process.
    Own,
}

/// A process that this one started.
#[derive(Debug)]
pub(crate) struct Process(Pid);

impl Process {
    /// Starts `program` with these arguments, an empty environment and `streams` as its first
    /// descriptors, from standard input on, which are none of this process's own first ones. Of
    /// other descriptors it has those that stay open on exec. That the program cannot be executed
    /// is seen by its end.
    pub(crate) fn start(
        program: &Path,
        arguments: &[&OsStr],
        streams: &[BorrowedFd<'_>],
    ) -> io::Result<Self> {
        Self::start_in(Environment::Empty, program, arguments, streams)
    }

    /// The same with these variables.
    pub(crate) fn start_in(
        environment: Environment,
        program: &Path,
        arguments: &[&OsStr],
        streams: &[BorrowedFd<'_>],
    ) -> io::Result<Self> {
        rustix::fs::access(program, rustix::fs::Access::EXEC_OK)?;
        let words = Words::new(program, arguments)?;
        let (argv, envp) = (words.pointers(), [ptr::null()]);
        // SAFETY: the child runs the calls below and no more, all of which may be made
        // between fork and exec, also where this process has other threads.
        match unsafe { fork() } {
            -1 => Err(io::Error::last_os_error()),
            0 => {
                let mut are_placed = true;
                for (number, stream) in (0..).zip(streams) {
                    // SAFETY: numbers of descriptors; a bad one is an error.
                    are_placed &= unsafe { libc::dup2(stream.as_raw_fd(), number) } == number;
                }
                if are_placed {
                    match environment {
                        // SAFETY: C strings that live in `words`, and lists of them that end
                        // with a null pointer.
                        Environment::Empty => unsafe {
                            libc::execve(words.program(), argv.as_ptr(), envp.as_ptr())
                        },
                        // SAFETY: the same.
                        Environment::Own => unsafe { libc::execv(words.program(), argv.as_ptr()) },
                    };
                }
                // SAFETY: ends this process at once.
                unsafe { libc::_exit(127) }
            }
            pid => Pid::from_raw(pid as i32).map(Self).ok_or_else(|| io::ErrorKind::Other.into()),
        }
    }

    /// Waits until it has ended; its exit code, where it had one that somebody else has not
    /// heard of.
    pub(crate) fn wait(self) -> Option<i32> {
        let end = rustix::io::retry_on_intr(|| waitpid(Some(self.0), WaitOptions::empty()));
        end.ok()??.1.exit_status()
    }
}

/// fork(2) by itself: the C library's prepares its allocator and streams for a child that uses
/// them, which takes a tenth of this program.
///
/// # Safety
/// The child calls what may be called between fork and exec, and nothing else.
unsafe fn fork() -> libc::c_long {
    const NONE: libc::c_long = 0;
    let signal = libc::c_long::from(libc::SIGCHLD);
    // One machine has the flags behind the stack (clone(2)).
    let (first, second) = if cfg!(target_arch = "s390x") { (NONE, signal) } else { (signal, NONE) };
    // SAFETY: integers; without a stack of its own the child goes on with a copy of this one.
    unsafe { libc::syscall(libc::SYS_clone, first, second, NONE, NONE, NONE) }
}

/// Becomes `program` with these arguments, and with this process's environment; comes back only
/// where that fails.
pub(crate) fn replace(program: &Path, arguments: &[&OsStr]) -> io::Error {
    match Words::new(program, arguments) {
        Err(error) => error,
        Ok(words) => {
            let argv = words.pointers();
            // SAFETY: C strings that live in `words`, and a list of them that ends with a null
            // pointer.
            unsafe { libc::execv(words.program(), argv.as_ptr()) };
            io::Error::last_os_error()
        }
    }
}

/// A program and its arguments, as C has them.
struct Words(Vec<CString>);

impl Words {
    fn new(program: &Path, arguments: &[&OsStr]) -> io::Result<Self> {
        let words = std::iter::once(program.as_os_str()).chain(arguments.iter().copied());
        let words = words.map(|word| CString::new(word.as_bytes()));
        Ok(Self(words.collect::<Result<_, _>>()?))
    }

    fn program(&self) -> *const libc::c_char {
        self.0.first().map_or(ptr::null(), |word| word.as_ptr())
    }

    fn pointers(&self) -> Vec<*const libc::c_char> {
        self.0.iter().map(|word| word.as_ptr()).chain([ptr::null()]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};
    use std::os::fd::AsFd as _;
    use std::os::unix::net::UnixStream;

    #[test]
    fn a_program_gets_its_words_and_no_environment() {
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        let script = OsStr::new("read line; echo \"$line $0 $1 ${HOME-none}\" >&0");
        let words = [OsStr::new("-c"), script, OsStr::new("a"), OsStr::new("b c")];
        let process = Process::start(Path::new("/bin/sh"), &words, &[theirs.as_fd()]).unwrap();
        drop(theirs);
        ours.write_all(b"hello\n").unwrap();
        let mut text = String::new();
        ours.read_to_string(&mut text).unwrap();
        assert_eq!(text, "hello a b c none\n");
        assert_eq!(process.wait(), Some(0));
    }

    #[test]
    fn a_program_may_get_the_environment() {
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        let words = [OsStr::new("-c"), OsStr::new("echo \"${PATH-none}\" >&0")];
        let shell = Path::new("/bin/sh");
        let started = Process::start_in(Environment::Own, shell, &words, &[theirs.as_fd()]);
        drop(theirs);
        let mut text = String::new();
        ours.read_to_string(&mut text).unwrap();
        assert_eq!(started.unwrap().wait(), Some(0));
        assert_eq!(text.trim_end(), std::env::var("PATH").unwrap());
    }

    #[test]
    fn what_cannot_be_started_is_an_error() {
        let (ours, _) = UnixStream::pair().unwrap();
        for (program, kind) in [
            ("/nonexistent/program", io::ErrorKind::NotFound),
            ("/etc/passwd", io::ErrorKind::PermissionDenied),
            ("a\0b", io::ErrorKind::InvalidInput),
        ] {
            let error = Process::start(Path::new(program), &[], &[ours.as_fd()]).unwrap_err();
            assert_eq!(error.kind(), kind, "{program:?}: {error}");
        }
        assert_eq!(replace(Path::new("/nonexistent"), &[]).kind(), io::ErrorKind::NotFound);
    }
}
