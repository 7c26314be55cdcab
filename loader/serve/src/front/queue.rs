//! Requests that wait for a worker, and the workers that take them, each one at a time.
//!
//! Guarantees that no more wait than may, that one whose time is over is not begun, and that a
//! worker's end costs at most the one request that it has. A worker that does not answer in its guest's
//! time is killed by the keeper.

use crate::control;
use crate::metrics::Metrics;
use crate::sys;
use crate::wire::{self, Answer, BESIDE_BYTES_MAX, LENGTH_BYTES};
use bytes::Bytes;
use rustix::buffer::spare_capacity;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, timeout};

/// How much longer than its guest a worker may take to answer.
const GRACE: Duration = Duration::from_secs(2);
/// A body up to here is sent with its head, in one piece.
const IN_ONE_PIECE: usize = 16 << 10;

/// A request, for a worker.
#[derive(Debug)]
pub(super) struct Job {
    /// Its head as the worker reads it.
    pub(super) head: Vec<u8>,
    pub(super) body: Bytes,
    /// When it is not to be begun any more.
    pub(super) until: Instant,
    pub(super) reply: oneshot::Sender<Ending>,
}

/// What came of it.
#[derive(Debug)]
pub(super) enum Ending {
    /// The worker answered.
    Answered(Answer),
    /// The worker ended, or answered what is no answer.
    Lost,
    /// The worker did not answer in time.
    Silent,
    /// No worker took it in time.
    Waited,
}

/// What came of sending a request to a worker.
enum Exchanged {
    Answered(Answer),
    /// The worker ended before it had it all, so no guest was run for it.
    Undelivered,
    Lost,
}

/// What a worker is to do next.
enum Next {
    Job(Job),
    /// Nothing any more.
    Retired,
    /// It has ended meanwhile.
    Gone,
}

/// Those that wait.
#[derive(Debug)]
pub(super) struct Queue {
    jobs: Mutex<VecDeque<Job>>,
    most: usize,
    /// Somebody waits.
    added: Notify,
    workers: AtomicUsize,
    /// Workers that have nothing to do.
    idle: AtomicUsize,
    /// Each worker's number, and what it is told by when it gets no more.
    known: Mutex<Vec<(u32, Arc<Notify>)>>,
}

impl Queue {
    pub(super) fn new(most: usize) -> Self {
        Self {
            jobs: Mutex::default(),
            most,
            added: Notify::new(),
            workers: AtomicUsize::new(0),
            idle: AtomicUsize::new(0),
            known: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Job>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many workers there are.
    pub(super) fn workers(&self) -> usize {
        self.workers.load(Ordering::Relaxed)
    }

    fn lock_known(&self) -> MutexGuard<'_, Vec<(u32, Arc<Notify>)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Knows a worker from now on; what it is told by when it gets no more.
    pub(super) fn expect(&self, process: u32) -> Arc<Notify> {
        let retired = Arc::new(Notify::new());
        self.lock_known().push((process, Arc::clone(&retired)));
        retired
    }

    /// Gives this worker no more.
    pub(super) fn retire(&self, process: u32) {
        for (_, retired) in self.lock_known().iter().filter(|(known, _)| *known == process) {
            // Also one that is at work learns it, when it is done.
            retired.notify_one();
        }
    }

    fn forget(&self, retired: &Arc<Notify>) {
        self.lock_known().retain(|(_, known)| !Arc::ptr_eq(known, retired));
    }

    /// How many requests wait.
    pub(super) fn waiting(&self) -> usize {
        self.lock().len()
    }

    /// Adds one; `false` where too many wait.
    pub(super) fn add(&self, job: Job) -> bool {
        let mut jobs = self.lock();
        // What an idle worker takes in a moment does not wait.
        let most = self.most.saturating_add(self.idle.load(Ordering::Relaxed));
        if jobs.len() >= most {
            // Whose client has gone, or whose time is over, waits no more.
            let now = Instant::now();
            jobs.retain(|job| !job.reply.is_closed() && job.until > now);
            if jobs.len() >= most {
                return false;
            }
        }
        jobs.push_back(job);
        drop(jobs);
        self.added.notify_one();
        true
    }

    /// Lets one that nobody began be the next.
    fn put_back(&self, job: Job) {
        self.lock().push_front(job);
        self.added.notify_one();
    }

    /// The next one.
    async fn next(&self) -> Job {
        loop {
            let job = self.lock().pop_front();
            match job {
                Some(job) if job.reply.is_closed() => {}
                Some(job) if job.until <= Instant::now() => {
                    let _ = job.reply.send(Ending::Waited);
                }
                Some(job) => return job,
                None => self.added.notified().await,
            }
        }
    }
}

/// The way to a worker. That it took what it was sent wakes nobody here, but where there was no
/// room for more.
#[derive(Debug)]
pub(super) struct Socket(AsyncFd<OwnedFd>);

impl Socket {
    /// # Errors
    /// What the system says.
    pub(super) fn new(descriptor: OwnedFd) -> io::Result<Self> {
        Ok(Self(sys::watched(descriptor, Interest::READABLE)?))
    }

    /// Receives what there is, as much as there is room for; 0 where nothing comes any more.
    async fn receive(&self, bytes: &mut Vec<u8>) -> io::Result<usize> {
        loop {
            let mut ready = self.0.readable().await?;
            let room = bytes.capacity() - bytes.len();
            let received = ready
                .try_io(|socket| Ok(recv(socket, spare_capacity(bytes), RecvFlags::DONTWAIT)?));
            match received {
                Ok(Ok((count, _))) => {
                    if count < room {
                        ready.clear_ready();
                    }
                    return Ok(count);
                }
                Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(Err(error)) => return Err(error),
                Err(_) => {}
            }
        }
    }

    /// Sends all of it.
    async fn send(&self, mut bytes: &[u8]) -> io::Result<()> {
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        let mut room: Option<AsyncFd<OwnedFd>> = None;
        while !bytes.is_empty() {
            let sent = match &room {
                None => send(self.0.get_ref(), bytes, flags).map_err(io::Error::from),
                Some(room) => {
                    let mut ready = room.writable().await?;
                    match ready.try_io(|socket| Ok(send(socket, bytes, flags)?)) {
                        Ok(sent) => sent,
                        Err(_) => continue,
                    }
                }
            };
            match sent {
                Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && room.is_none() => {
                    let again = self.0.get_ref().try_clone()?;
                    room = Some(sys::watched(again, Interest::WRITABLE)?);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// What is known of workers.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) queue: Arc<Queue>,
    pub(super) metrics: Arc<Mutex<Metrics>>,
    pub(super) keeper: Arc<OwnedFd>,
    /// A guest's time.
    pub(super) time: Duration,
    /// The most bytes that a guest writes.
    pub(super) output_max: usize,
}

/// Counts one more while it is there.
struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        let _ = count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        let _ = self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Work {
    /// Hands requests to a worker until it is gone.
    pub(super) async fn with(self: Arc<Self>, process: u32, socket: Socket, retired: Arc<Notify>) {
        let counted = Counted::new(&self.queue.workers);
        let mut is_done = false;
        let is_retired = loop {
            let mut job = match self.next(&socket, &retired).await {
                Next::Job(job) => job,
                Next::Retired => break true,
                Next::Gone => break false,
            };
            let exchanged = timeout(self.time + GRACE, self.exchange(&socket, &mut job)).await;
            let (ending, goes_on) = match exchanged {
                Ok(Exchanged::Answered(answer)) => {
                    is_done = answer.is_last;
                    (Ending::Answered(answer), !is_done)
                }
                Ok(Exchanged::Lost) => (Ending::Lost, false),
                Ok(Exchanged::Undelivered) => {
                    // It was dead before: another takes it.
                    self.queue.put_back(job);
                    break false;
                }
                Err(_) => (Ending::Silent, false),
            };
            // Whoever asked may be gone.
            let _ = job.reply.send(ending);
            if !goes_on {
                break false;
            }
        };
        self.queue.forget(&retired);
        drop(counted);
        if is_retired {
            // It ends with its socket; the keeper sees to it.
            return;
        }
        // One that has said its last word ends by itself.
        let mut more = Vec::with_capacity(1);
        if is_done && timeout(GRACE, socket.receive(&mut more)).await.is_ok() {
            return;
        }
        control::kill(&*self.keeper, process);
        self.metrics.lock().unwrap_or_else(PoisonError::into_inner).lost_a_worker();
    }

    /// The next request for a worker.
    async fn next(&self, socket: &Socket, retired: &Notify) -> Next {
        let _idle = Counted::new(&self.queue.idle);
        let mut unasked = Vec::with_capacity(1);
        tokio::select! {
            biased;
            () = retired.notified() => Next::Retired,
            job = self.queue.next() => Next::Job(job),
            // It has nothing to say.
            _ = socket.receive(&mut unasked) => Next::Gone,
        }
    }

    /// Sends a request, and reads the answer.
    async fn exchange(&self, socket: &Socket, job: &mut Job) -> Exchanged {
        let Job { head, body, .. } = job;
        let (length, is_in_one) = (head.len(), body.len() <= IN_ONE_PIECE);
        if is_in_one {
            head.extend_from_slice(body);
        }
        let sent = socket.send(head).await;
        head.truncate(length);
        let sent = match (sent, is_in_one) {
            (Ok(()), false) => socket.send(body).await,
            (sent, _) => sent,
        };
        if sent.is_err() {
            return Exchanged::Undelivered;
        }
        self.answer(socket).await.map_or(Exchanged::Lost, Exchanged::Answered)
    }

    /// Reads an answer; `None` where what comes is none.
    async fn answer(&self, socket: &Socket) -> Option<Answer> {
        let mut bytes = Vec::with_capacity(8 << 10);
        let mut wanted = LENGTH_BYTES;
        while bytes.len() < wanted {
            if socket.receive(&mut bytes).await.ok()? == 0 {
                return None;
            }
            if wanted == LENGTH_BYTES && bytes.len() >= LENGTH_BYTES {
                let length = wire::length(&bytes)?;
                if length > self.output_max.saturating_add(BESIDE_BYTES_MAX) {
                    return None;
                }
                wanted = LENGTH_BYTES + length;
                bytes.reserve(wanted.saturating_sub(bytes.len()));
            }
        }
        // It is asked one thing at a time.
        if bytes.len() > wanted {
            return None;
        }
        Answer::read(&Bytes::from(bytes).split_off(LENGTH_BYTES))
    }
}
