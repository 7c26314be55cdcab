//! The front's side of OpenTelemetry: spans wait here for a batch, and whole bodies go to the
//! exporter, one at a time.
//!
//! Guarantees that no request waits for any of it: a span for which there is no room is dropped,
//! and counted. What waits is bounded, whatever exporter and collector do.

use crate::metrics::{Metrics, Now, Spans};
use crate::otlp::exporter::{ANSWER_BYTES, head, taken};
use crate::otlp::{Otlp, What, form};
use serde_json::value::RawValue;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::sync::mpsc::{
    Receiver, Sender, UnboundedReceiver, UnboundedSender, channel, unbounded_channel,
};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until, timeout};

/// What became of spans.
#[derive(Debug, Default)]
struct Counts {
    taken: AtomicU64,
    lost: AtomicU64,
    dropped: AtomicU64,
}

/// What the task is told.
#[derive(Debug)]
enum Item {
    Span(Box<RawValue>),
    /// To send all there is, and to say so by letting this go.
    Flush(oneshot::Sender<()>),
}

/// Where spans go.
#[derive(Debug)]
pub(super) struct Telemetry {
    items: Sender<Item>,
    exporters: UnboundedSender<UnixStream>,
    counts: Arc<Counts>,
    /// For the task, which takes them when it begins.
    ends: Mutex<Option<(Receiver<Item>, UnboundedReceiver<UnixStream>)>>,
    otlp: Arc<Otlp>,
}

impl Telemetry {
    pub(super) fn new(otlp: Arc<Otlp>) -> Self {
        let (items, heard) = channel(otlp.queue);
        let (exporters, more) = unbounded_channel();
        let ends = Mutex::new(Some((heard, more)));
        Self { items, exporters, counts: Arc::default(), ends, otlp }
    }

    /// Has a span sent.
    pub(super) fn add(&self, span: Option<Box<RawValue>>) {
        let sent = span.map(|span| self.items.try_send(Item::Span(span)));
        if !matches!(sent, Some(Ok(()))) {
            let _ = self.counts.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// There is an exporter, or another one.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn exporter(&self, socket: OwnedFd) -> io::Result<()> {
        let socket = std::os::unix::net::UnixStream::from(socket);
        socket.set_nonblocking(true)?;
        let _ = self.exporters.send(UnixStream::from_std(socket)?);
        Ok(())
    }

    /// Waits until all is sent, at most for this time.
    pub(super) async fn flush(&self, time: Duration) {
        let (said, heard) = oneshot::channel();
        let flushed = async {
            if self.items.send(Item::Flush(said)).await.is_ok() {
                let _ = heard.await;
            }
        };
        let _ = timeout(time, flushed).await;
    }

    pub(super) fn spans(&self) -> Spans {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let Counts { taken, lost, dropped } = &*self.counts;
        Spans { taken: read(taken), lost: read(lost), dropped: read(dropped) }
    }

    /// The task that sends: batches when they are full or their time has come, and the metrics.
    /// `None` where it was made already.
    pub(super) fn task(
        &self,
        metrics: Arc<Mutex<Metrics>>,
        now: Box<dyn Fn() -> Now + Send>,
    ) -> Option<impl Future<Output = ()> + Send + use<>> {
        let (items, exporters) = self.ends.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        let sending = Sending {
            otlp: Arc::clone(&self.otlp),
            counts: Arc::clone(&self.counts),
            spans: Vec::new(),
            way: None,
            since: SystemTime::now(),
        };
        Some(sending.run(items, exporters, metrics, now))
    }
}

struct Sending {
    otlp: Arc<Otlp>,
    counts: Arc<Counts>,
    spans: Vec<Box<RawValue>>,
    /// `None` while there is no exporter.
    way: Option<UnixStream>,
    /// Since when there are metrics.
    since: SystemTime,
}

impl Sending {
    async fn run(
        mut self,
        mut items: Receiver<Item>,
        mut exporters: UnboundedReceiver<UnixStream>,
        metrics: Arc<Mutex<Metrics>>,
        now: Box<dyn Fn() -> Now + Send>,
    ) {
        let mut spans_due: Option<Instant> = None;
        let mut metrics_due = Instant::now() + self.otlp.interval;
        loop {
            let due = spans_due.map_or(metrics_due, |due| due.min(metrics_due));
            let mut flushed = None;
            tokio::select! {
                biased;
                Some(way) = exporters.recv() => {
                    self.way = Some(way);
                    continue;
                }
                () = sleep_until(due) => {}
                item = items.recv() => match item {
                    None => return,
                    Some(Item::Flush(said)) => flushed = Some(said),
                    Some(Item::Span(span)) => {
                        let _ = spans_due.get_or_insert_with(|| Instant::now() + self.otlp.delay);
                        self.spans.push(span);
                        if self.spans.len() < self.otlp.batch {
                            continue;
                        }
                    }
                },
            }
            let is_due = |due: Instant| flushed.is_some() || due <= Instant::now();
            if self.spans.len() >= self.otlp.batch || spans_due.is_some_and(is_due) {
                spans_due = None;
                self.send_spans().await;
            }
            if is_due(metrics_due) {
                metrics_due = Instant::now() + self.otlp.interval;
                let body = {
                    let metrics = metrics.lock().unwrap_or_else(PoisonError::into_inner);
                    form::metrics(&self.otlp.resource, &metrics.families(&now()), self.since)
                };
                let _ = self.send(What::Metrics, &body, 0).await;
            }
            drop(flushed);
        }
    }

    async fn send_spans(&mut self) {
        let count = self.spans.len() as u64;
        let body = form::traces(&self.otlp.resource, &self.spans);
        self.spans.clear();
        let taken = self.send(What::Traces, &body, count).await.min(count);
        let _ = self.counts.taken.fetch_add(taken, Ordering::Relaxed);
        let _ = self.counts.lost.fetch_add(count - taken, Ordering::Relaxed);
    }

    /// Hands a body over; how many of its items the collector took.
    async fn send(&mut self, what: What, body: &[u8], items: u64) -> u64 {
        let Some(way) = &mut self.way else { return 0 };
        let mut exchange = async || -> io::Result<[u8; ANSWER_BYTES]> {
            way.write_all(&head(what, body.len())).await?;
            way.write_all(body).await?;
            let mut answer = [0; ANSWER_BYTES];
            let _ = way.read_exact(&mut answer).await?;
            Ok(answer)
        };
        match exchange().await {
            Ok(answer) => taken(answer, items),
            Err(_) => {
                // The keeper makes another.
                self.way = None;
                0
            }
        }
    }
}
