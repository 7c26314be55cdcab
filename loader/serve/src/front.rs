//! The process that has the network: it takes connections, speaks HTTP, hands requests to the
//! workers, and keeps metrics and the log.
//!
//! Made before an artifact was read: it has none, no key and no folder, and gives up what it does
//! not need before its first connection (`front/wall.rs`). One thread drives all connections;
//! another writes the log. Guarantees that connections, requests that wait, and the bytes of
//! their bodies are bounded, and that nobody holds a connection without sending or taking.
//! Ends when the keeper is gone, or has it drain.

mod admin;
mod answer;
mod held;
mod patient;
mod queue;
mod telemetry;
mod wall;

use crate::cgi::Ends;
use crate::control::{self, Order};
use crate::log::{Level, Log};
use crate::metrics::Metrics;
use crate::options::Options;
use crate::otlp::Otlp;
use crate::program::notice;
use crate::sys;
use held::Held;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use patient::Patient;
use queue::{Queue, Socket, Work};
use rustix::net::AddressFamily;
use std::convert::Infallible;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use telemetry::Telemetry;
use tokio::io::{AsyncRead, AsyncWrite, Interest};
use tokio::net::{TcpListener, TcpStream, UnixDatagram, UnixListener, UnixStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// What bodies take of the memory for them comes in pieces of so many bytes.
const SHARE_BYTES: usize = 1024;
/// The least memory for bodies, in bytes; more, where single ones may be large.
const BODIES_BYTES: u64 = 256 << 20;
/// Connections of those who watch.
const WATCHERS: usize = 64;
/// How long is waited where the system gives no descriptor for a connection.
const SHORTAGE: Duration = Duration::from_millis(50);
/// The most bytes of a request's head.
const HEAD_BYTES_MAX: usize = 64 << 10;
/// The most headers of a request.
const HEADERS_MAX: usize = 100;
/// The most requests of one connection of HTTP/2 at once.
const STREAMS_MAX: u32 = 128;

/// What the front has to know.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// Paths, the longest first; empty for all.
    pub(crate) routes: Vec<String>,
    pub(crate) pass_authorization: bool,
    pub(crate) timeout: Duration,
    pub(crate) request_max: u64,
    pub(crate) output_max: u64,
    pub(crate) queue: usize,
    pub(crate) connections: usize,
    pub(crate) header_timeout: Duration,
    pub(crate) idle_timeout: Duration,
    /// What is to stand in the log, at least.
    pub(crate) log_level: Level,
    /// Where there is a collector.
    pub(crate) otlp: Option<Arc<Otlp>>,
}

impl Settings {
    pub(crate) fn of(options: &Options) -> Self {
        Self {
            routes: options.routes.iter().map(|route| route.path.clone()).collect(),
            pass_authorization: options.pass_authorization,
            timeout: options.timeout,
            request_max: options.request_max,
            output_max: options.output_max,
            queue: options.queue,
            connections: options.connections,
            header_timeout: options.header_timeout,
            idle_timeout: options.idle_timeout,
            log_level: options.log_level,
            otlp: options.otlp.clone(),
        }
    }
}

/// What a connection is doing.
#[derive(Debug, Default)]
struct Activity {
    /// Requests that are not answered yet.
    active: AtomicUsize,
    /// Requests that there were.
    begun: AtomicU64,
    /// Whether something waits for the client to take it.
    is_writing: AtomicBool,
}

/// One less, when it goes.
struct Leaving<'a>(&'a AtomicUsize);

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        let _ = self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// All of it.
struct Front {
    settings: Settings,
    log: Log,
    queue: Arc<Queue>,
    metrics: Arc<Mutex<Metrics>>,
    /// The memory for bodies, in pieces.
    bodies: Arc<Semaphore>,
    active: AtomicUsize,
    connections: AtomicUsize,
    /// Whether an end was asked for.
    drains: watch::Sender<bool>,
    telemetry: Option<Telemetry>,
    builder: Builder<TokioExecutor>,
}

/// Whom a listener is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Audience {
    Public,
    Watchers,
}

/// Serves, in a process of its own, until the keeper is gone or has it end.
pub(crate) fn run(settings: Settings, control: OwnedFd, log: Option<File>) -> ! {
    let _ = rustix::thread::set_name(c"bls-serve: net");
    let ended = begin(settings, control, log);
    if let Err(error) = &ended {
        notice(&format!("the front ends: {error}"));
    }
    sys::exit_now(i32::from(ended.is_err()))
}

fn begin(settings: Settings, control: OwnedFd, log: Option<File>) -> io::Result<()> {
    let keep: Vec<_> = [Some(control.as_raw_fd()), log.as_ref().map(|file| file.as_raw_fd())]
        .into_iter()
        .flatten()
        .collect();
    let mut missing = wall::begin(&keep);
    // A thread is given what its maker has given up.
    let log = Log::start(log, settings.log_level)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    wall::finish(&mut missing);
    if !missing.is_empty() {
        let named: Vec<String> =
            missing.iter().map(|(what, why)| format!("{what} ({why})")).collect();
        notice(&format!("the front's wall stands without {}", named.join(", ")));
    }
    runtime.block_on(serve(settings, control, log))
}

async fn serve(settings: Settings, control: OwnedFd, log: Log) -> io::Result<()> {
    let front = Arc::new(Front::new(settings, log));
    let keeper = Arc::new(control.try_clone()?);
    let public = Arc::new(Semaphore::new(front.settings.connections));
    let watchers = Arc::new(Semaphore::new(WATCHERS));
    let work = Arc::new(Work {
        queue: Arc::clone(&front.queue),
        metrics: Arc::clone(&front.metrics),
        keeper,
        time: front.settings.timeout,
        output_max: usize::try_from(front.settings.output_max).unwrap_or(usize::MAX),
    });
    if let Some(telemetry) = &front.telemetry {
        let asked = Arc::clone(&front);
        let now = Box::new(move || asked.now());
        telemetry.task(Arc::clone(&front.metrics), now).map(tokio::spawn);
    }
    let control = std::os::unix::net::UnixDatagram::from(control);
    control.set_nonblocking(true)?;
    let control = UnixDatagram::from_std(control)?;
    loop {
        control.readable().await?;
        let order = control.try_io(Interest::READABLE, || control::next_order(&control));
        match order {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
            // The keeper is gone.
            Ok(None) => return Ok(()),
            Ok(Some(Order::Public(listener))) => {
                let listening = Arc::clone(&front).listen(listener, Audience::Public, &public)?;
                tokio::spawn(listening);
            }
            Ok(Some(Order::Admin(listener))) => {
                let listening =
                    Arc::clone(&front).listen(listener, Audience::Watchers, &watchers)?;
                tokio::spawn(listening);
            }
            Ok(Some(Order::Worker(process, socket))) => {
                let retired = work.queue.expect(process);
                tokio::spawn(Arc::clone(&work).with(process, Socket::new(socket)?, retired));
            }
            Ok(Some(Order::Retire(process))) => work.queue.retire(process),
            Ok(Some(Order::Exporter(socket))) => {
                if let Some(telemetry) = &front.telemetry {
                    telemetry.exporter(socket)?;
                }
            }
            Ok(Some(Order::Drain(time))) => {
                let front = Arc::clone(&front);
                tokio::spawn(front.drain(time));
            }
        }
    }
}

impl Front {
    fn new(settings: Settings, log: Log) -> Self {
        let mut builder = Builder::new(TokioExecutor::new());
        let _ = builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(settings.header_timeout)
            .max_headers(HEADERS_MAX)
            .max_buf_size(HEAD_BYTES_MAX);
        let _ = builder
            .http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(settings.idle_timeout)
            .keep_alive_timeout(settings.idle_timeout)
            .max_header_list_size(HEAD_BYTES_MAX as u32)
            .max_concurrent_streams(STREAMS_MAX);
        let bodies = settings.request_max.max(settings.output_max).saturating_mul(4);
        let bodies = usize::try_from(bodies.max(BODIES_BYTES)).unwrap_or(usize::MAX) / SHARE_BYTES;
        Self {
            log,
            queue: Arc::new(Queue::new(settings.queue)),
            metrics: Arc::new(Mutex::new(Metrics::new(&settings.routes))),
            bodies: Arc::new(Semaphore::new(bodies.min(Semaphore::MAX_PERMITS))),
            active: AtomicUsize::new(0),
            connections: AtomicUsize::new(0),
            drains: watch::Sender::new(false),
            telemetry: settings.otlp.clone().map(Telemetry::new),
            builder,
            settings,
        }
    }

    fn lock_metrics(&self) -> MutexGuard<'_, Metrics> {
        self.metrics.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How a route is called.
    fn route_name(&self, index: usize) -> &str {
        match self.settings.routes.get(index).map(String::as_str) {
            None | Some("") => "/",
            Some(path) => path,
        }
    }

    /// Takes no more, and ends when what has begun is done, or this time is over.
    async fn drain(self: Arc<Self>, time: Duration) {
        /// How long it is waited for the log.
        const LOG: Duration = Duration::from_secs(1);
        /// And for the collector.
        const COLLECTOR: Duration = Duration::from_millis(700);
        const STEP: Duration = Duration::from_millis(5);
        let _ = self.drains.send_replace(true);
        let done = async {
            while self.connections.load(Ordering::Relaxed) > 0 {
                sleep(STEP).await;
            }
        };
        if timeout(time, done).await.is_err() {
            let left = self.active.load(Ordering::Relaxed);
            notice(&format!("the time to drain is over: {left} requests are cut off"));
        }
        if let Some(telemetry) = &self.telemetry {
            telemetry.flush(COLLECTOR).await;
        }
        self.log.flush(LOG);
        sys::exit_now(0);
    }

    /// Takes connections from this listener.
    fn listen(
        self: Arc<Self>,
        listener: OwnedFd,
        audience: Audience,
        room: &Arc<Semaphore>,
    ) -> io::Result<impl Future<Output = ()> + use<>> {
        let listener = match rustix::net::sockopt::socket_domain(&listener)? {
            AddressFamily::UNIX => Listener::Unix(UnixListener::from_std(
                std::os::unix::net::UnixListener::from(listener),
            )?),
            _ => Listener::Tcp(TcpListener::from_std(std::net::TcpListener::from(listener))?),
        };
        let room = Arc::clone(room);
        let mut drains = self.drains.subscribe();
        Ok(async move {
            loop {
                let Ok(place) = Arc::clone(&room).acquire_owned().await else { return };
                let accepted = tokio::select! {
                    accepted = listener.accept() => accepted,
                    // Those who watch see it to its end.
                    _ = drains.wait_for(|drains| *drains), if audience == Audience::Public => return,
                };
                let Ok((stream, ends)) = accepted else {
                    // The client has gone; or there are too many descriptors.
                    sleep(SHORTAGE).await;
                    continue;
                };
                let front = Arc::clone(&self);
                tokio::spawn(async move {
                    match stream {
                        Stream::Tcp(stream) => front.connection(stream, ends, audience).await,
                        Stream::Unix(stream) => front.connection(stream, ends, audience).await,
                    }
                    drop(place);
                });
            }
        })
    }

    /// Answers what comes over a connection, until it ends, or nothing comes any more.
    async fn connection<S>(self: Arc<Self>, stream: S, ends: Ends, audience: Audience)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let is_public = audience == Audience::Public;
        let counted = is_public.then(|| {
            let _ = self.connections.fetch_add(1, Ordering::Relaxed);
            Leaving(&self.connections)
        });
        let activity = Arc::new(Activity::default());
        let io = Patient::new(stream, self.settings.idle_timeout, Arc::clone(&activity));
        let service = service_fn(|request: Request<Incoming>| {
            let (front, activity) = (Arc::clone(&self), Arc::clone(&activity));
            async move {
                let _ = activity.active.fetch_add(1, Ordering::Relaxed);
                let _ = activity.begun.fetch_add(1, Ordering::Relaxed);
                let _active = Leaving(&activity.active);
                let response: Response<Held> = match audience {
                    Audience::Public => front.answer(request, ends).await,
                    Audience::Watchers => front.tell(&request),
                };
                Ok::<_, Infallible>(response)
            }
        });
        let connection = self.builder.serve_connection(TokioIo::new(io), service);
        let mut connection = std::pin::pin!(connection);
        let mut drains = self.drains.subscribe();
        let (mut is_ending, mut seen) = (false, 0);
        let mut look = Instant::now() + self.settings.header_timeout;
        loop {
            tokio::select! {
                // What a client did wrong is its own.
                _ = connection.as_mut() => break,
                _ = drains.wait_for(|drains| *drains), if is_public && !is_ending => {
                    is_ending = true;
                    connection.as_mut().graceful_shutdown();
                }
                () = sleep_until(look) => {
                    let begun = activity.begun.load(Ordering::Relaxed);
                    let is_busy = activity.active.load(Ordering::Relaxed) > 0
                        || activity.is_writing.load(Ordering::Relaxed)
                        || begun != seen;
                    match (is_busy, is_ending) {
                        (true, _) => seen = begun,
                        (false, false) => {
                            is_ending = true;
                            connection.as_mut().graceful_shutdown();
                        }
                        (false, true) => break,
                    }
                    look = Instant::now() + self.settings.header_timeout;
                }
            }
        }
        drop(counted);
    }
}

/// Where connections come from.
enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// One of them.
enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Listener {
    async fn accept(&self) -> io::Result<(Stream, Ends)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, client) = listener.accept().await?;
                let _ = stream.set_nodelay(true);
                // Of a listener on all addresses, the one that was connected to.
                let server = stream.local_addr().ok();
                Ok((Stream::Tcp(stream), Ends { client: Some(client), server }))
            }
            Self::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                Ok((Stream::Unix(stream), Ends { client: None, server: None }))
            }
        }
    }
}
