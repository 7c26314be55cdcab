//! The network of this machine.
//!
//! Names are looked up by the C library, which follows the machine's own files (`/etc/hosts`,
//! `/etc/resolv.conf`) and knows no deadline: so it is asked in a thread, which is left alone
//! when it takes too long. Few such threads may be left at a time.

use super::{Connection, Network};
use bls_artifact::broker::{Reason, Refusal};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, ToSocketAddrs as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// Most look-ups that nobody waits for any more.
const LEFT_MAX: usize = 4;
/// Stack of a thread that looks up, in bytes.
const STACK_BYTES: usize = 256 << 10;

/// The network of this machine.
#[derive(Debug, Default)]
pub struct System {
    /// Look-ups that run.
    running: Arc<AtomicUsize>,
}

impl Network for System {
    fn addresses(&self, name: &str, deadline: Instant) -> Result<Vec<IpAddr>, Refusal> {
        if self.running.load(Ordering::Acquire) > LEFT_MAX {
            return Err(Refusal::new(Reason::TooMany, "too many names are being looked up"));
        }
        let (sender, receiver) = mpsc::sync_channel(1);
        let (running, asked) = (Arc::clone(&self.running), name.to_owned());
        running.fetch_add(1, Ordering::AcqRel);
        let thread = std::thread::Builder::new().stack_size(STACK_BYTES).spawn(move || {
            let found = (asked.as_str(), 0).to_socket_addrs();
            let found = found.map(|found| found.map(|address| address.ip()).collect::<Vec<_>>());
            running.fetch_sub(1, Ordering::AcqRel);
            // Nobody waits any more where it took too long.
            let _ = sender.send(found);
        });
        if let Err(error) = thread {
            self.running.fetch_sub(1, Ordering::AcqRel);
            return Err(Refusal::new(Reason::Failed, error));
        }
        let left = deadline.saturating_duration_since(Instant::now());
        match receiver.recv_timeout(left) {
            Ok(Ok(found)) => Ok(found),
            Ok(Err(_)) => Err(Refusal::new(
                Reason::UnknownName,
                format_args!("{name} is no name that is known"),
            )),
            Err(_) => Err(Refusal::new(
                Reason::ConnectTimeout,
                format_args!("{name} was not looked up in the time it may take"),
            )),
        }
    }

    fn connect(&self, address: SocketAddr, deadline: Instant) -> io::Result<Box<dyn Connection>> {
        let stream = dial(address, deadline)?;
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        Ok(Box::new(Tcp { stream, deadline }))
    }

    fn descriptor(&self, address: SocketAddr, deadline: Instant) -> io::Result<OwnedFd> {
        dial(address, deadline).map(OwnedFd::from)
    }

    fn listen(&self, address: SocketAddr) -> io::Result<OwnedFd> {
        TcpListener::bind(address).map(OwnedFd::from)
    }

    fn now(&self) -> Instant {
        Instant::now()
    }
}

fn dial(address: SocketAddr, deadline: Instant) -> io::Result<TcpStream> {
    let left = deadline.saturating_duration_since(Instant::now());
    TcpStream::connect_timeout(&address, left.max(Duration::from_millis(1)))
}

/// A connection by TCP.
#[derive(Debug)]
struct Tcp {
    stream: TcpStream,
    deadline: Instant,
}

impl Tcp {
    /// Waits until it is ready, or the deadline.
    fn wait(&self, what: PollFlags) -> io::Result<()> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let timeout = Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: left.subsec_nanos().into(),
        };
        let mut ready = [PollFd::from_borrowed_fd(self.stream.as_fd(), what)];
        match poll(&mut ready, Some(&timeout)) {
            Ok(0) => Err(io::ErrorKind::TimedOut.into()),
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Does it as soon as it can be done.
    fn when_ready<T>(
        &mut self,
        what: PollFlags,
        mut act: impl FnMut(&mut TcpStream) -> io::Result<T>,
    ) -> io::Result<T> {
        loop {
            match act(&mut self.stream) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.wait(what)?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => return other,
            }
            // Also where there is always something to read.
            if Instant::now() >= self.deadline {
                return Err(io::ErrorKind::TimedOut.into());
            }
        }
    }
}

impl Read for Tcp {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.when_ready(PollFlags::IN, |stream| stream.read(buffer))
    }
}

impl Write for Tcp {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.when_ready(PollFlags::OUT, |stream| stream.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Connection for Tcp {
    fn set_deadline(&mut self, deadline: Instant) {
        self.deadline = deadline;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_gives_up_in_time() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let system = System::default();
        let soon = || Instant::now() + Duration::from_millis(50);
        let mut connection = system.connect(listener.local_addr().unwrap(), soon()).unwrap();
        let error = connection.read(&mut [0]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        connection.set_deadline(soon());
        let filled = std::iter::repeat_with(|| connection.write(&[0; 65536]));
        let error = filled.into_iter().find_map(Result::err).unwrap();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn names_are_looked_up_or_not_known() {
        let system = System::default();
        let later = Instant::now() + Duration::from_secs(10);
        let found = system.addresses("localhost", later).unwrap();
        assert!(found.iter().all(IpAddr::is_loopback) && !found.is_empty(), "{found:?}");
        let refusal = system.addresses("no-such-name.invalid", later).unwrap_err();
        assert!(
            matches!(refusal.reason.coarse(), Reason::Unreachable | Reason::Timeout),
            "{refusal}"
        );
    }
}
