//! The process that sends to the collector: one body at a time, as the front hands it over, and
//! the front is told what came of it.
//!
//! ```text
//! front to exporter   what:u8  length:u32  body
//! exporter to front   is-taken:u8  refused:u32
//! ```
//!
//! A process of its own, for the front makes no connection. It reads what a collector answers as a
//! stranger's: a status, and so much of a body as may say how many spans it did not want.
//! Guarantees that no body takes longer than its time, trying again included; what it says on
//! standard error is that the collector takes nothing, and that it does again, once each. It ends
//! with the front.

use super::{Otlp, What, wall};
use crate::program::notice;
use crate::sys;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, HeaderValue, USER_AGENT};
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustix::io::{read, retry_on_intr, write};
use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::time::{sleep, timeout};

/// Bytes in front of a body.
pub(crate) const HEAD_BYTES: usize = 5;
/// Bytes of what is said of it.
pub(crate) const ANSWER_BYTES: usize = 5;
/// The most bytes of a body: as many spans as may be sent at once, each with all that it may say.
const BODY_BYTES_MAX: usize = 1 << 30;
/// The most bytes that are read of a collector's answer.
const REPLY_BYTES_MAX: usize = 64 << 10;
/// How long is waited before it is tried again, the first time.
const PAUSE: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// What stands in front of a body of so many bytes.
pub(crate) fn head(what: What, length: usize) -> [u8; HEAD_BYTES] {
    let mut head = [0; HEAD_BYTES];
    head[0] = match what {
        What::Traces => b'T',
        What::Metrics => b'M',
    };
    head[1..].copy_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
    head
}

/// How many of so many items were taken, by an answer.
pub(crate) fn taken(answer: [u8; ANSWER_BYTES], items: u64) -> u64 {
    let [is_taken, refused @ ..] = answer;
    match is_taken {
        1 => items.saturating_sub(u32::from_le_bytes(refused).into()),
        _ => 0,
    }
}

/// Sends, in a process of its own, until the front is gone.
pub(crate) fn run(otlp: &Otlp, socket: &OwnedFd) -> ! {
    let _ = rustix::thread::set_name(c"bls-serve: otlp");
    let mut missing = wall::begin(&otlp.collector, &[socket.as_raw_fd()]);
    let code = match Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => {
            wall::finish(&mut missing);
            if !missing.is_empty() {
                let missing: Vec<String> =
                    missing.iter().map(|(what, why)| format!("{what} ({why})")).collect();
                notice(&format!("the exporter's wall stands without {}", missing.join(", ")));
            }
            serve(otlp, socket, &runtime);
            0
        }
        Err(error) => {
            notice(&format!("the exporter ends: {error}"));
            1
        }
    };
    sys::exit_now(code)
}

fn serve(otlp: &Otlp, socket: &OwnedFd, runtime: &Runtime) {
    let mut is_well = true;
    let mut head = [0; HEAD_BYTES];
    while read_all(socket, &mut head) {
        let [what, length @ ..] = head;
        let length = u32::from_le_bytes(length) as usize;
        let what = if what == b'M' { What::Metrics } else { What::Traces };
        let mut body = vec![0; length.min(BODY_BYTES_MAX)];
        if length > BODY_BYTES_MAX || !read_all(socket, &mut body) {
            return;
        }
        let sent = runtime.block_on(send(otlp, what, body.into()));
        match &sent {
            Ok(_) if !is_well => notice("the collector takes what it is sent again"),
            Err(failed) if is_well => notice(&format!(
                "{} does not take {what}: {failed}; what it misses is counted, and nothing waits for it",
                otlp.collector.authority()
            )),
            _ => {}
        }
        is_well = sent.is_ok();
        let mut answer = [0; ANSWER_BYTES];
        if let Ok(refused) = sent {
            answer[0] = 1;
            answer[1..].copy_from_slice(&refused.to_le_bytes());
        }
        if !write_all(socket, &answer) {
            return;
        }
    }
}

/// Why a body was not taken.
#[derive(Debug)]
enum Failed {
    /// Nobody is there, or what is there speaks something else: it may be otherwise later.
    Away(String),
    /// It said no; whether it may say otherwise later.
    Status(StatusCode),
    Time,
}

impl fmt::Display for Failed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Away(why) => formatter.write_str(why),
            Self::Status(status) => write!(formatter, "it answers {}", status.as_str()),
            Self::Time => formatter.write_str("it does not answer in its time"),
        }
    }
}

/// Sends a body, several times where that may help; how many items the collector did not want.
async fn send(otlp: &Otlp, what: What, body: Bytes) -> Result<u32, Failed> {
    let mut last = None;
    let tries = async {
        let mut pause = PAUSE;
        loop {
            match once(otlp, what, body.clone()).await {
                Err(failed) if may_change(&failed) => last = Some(failed),
                other => return other,
            }
            sleep(pause).await;
            pause = pause.saturating_mul(2).min(PAUSE_MAX);
        }
    };
    let sent = timeout(otlp.time, tries).await;
    sent.unwrap_or_else(|_| Err(last.unwrap_or(Failed::Time)))
}

/// The statuses after which OTLP has a client try again, and whatever is no status.
fn may_change(failed: &Failed) -> bool {
    match failed {
        Failed::Away(_) | Failed::Time => true,
        Failed::Status(status) => matches!(status.as_u16(), 429 | 502 | 503 | 504),
    }
}

/// Sends a body once, over a connection of its own.
async fn once(otlp: &Otlp, what: What, body: Bytes) -> Result<u32, Failed> {
    fn away(error: impl fmt::Display) -> Failed {
        Failed::Away(error.to_string())
    }
    let mut stream = Err(Failed::Away("its name has no address".into()));
    for address in addresses(otlp)? {
        stream = TcpStream::connect(address).await.map_err(away);
        if stream.is_ok() {
            break;
        }
    }
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream?)).await.map_err(away)?;
    let mut request = Request::post(otlp.path(what)).body(Full::new(body)).map_err(away)?;
    let headers = request.headers_mut();
    for (name, value) in &otlp.headers {
        let _ = headers.append(name, value.clone());
    }
    let host = HeaderValue::from_str(&otlp.collector.authority()).map_err(away)?;
    const AGENT: &str = concat!("bls-serve/", env!("CARGO_PKG_VERSION"));
    for (name, value) in [
        (HOST, host),
        (CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (USER_AGENT, HeaderValue::from_static(AGENT)),
    ] {
        let _ = headers.insert(name, value);
    }
    let exchange = async {
        let response = sender.send_request(request).await.map_err(away)?;
        let status = response.status();
        if !status.is_success() {
            return Err(Failed::Status(status));
        }
        // What is longer, or no JSON, says nothing of what it did not want.
        let reply = Limited::new(response.into_body(), REPLY_BYTES_MAX).collect().await;
        Ok(reply.map_or(0, |reply| refused(what, &reply.to_bytes())))
    };
    let mut connection = std::pin::pin!(connection);
    let mut exchange = std::pin::pin!(exchange);
    tokio::select! {
        biased;
        done = &mut exchange => done,
        ended = &mut connection => match ended {
            Err(error) => Err(away(error)),
            // What it had to say is there.
            Ok(()) => exchange.await,
        },
    }
}

/// Where the collector is now. Nobody else is waited with, so it may take a while.
fn addresses(otlp: &Otlp) -> Result<Vec<SocketAddr>, Failed> {
    let port = otlp.collector.port;
    if let Some(address) = otlp.collector.host.address() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let found = (otlp.collector.host.to_string().as_str(), port).to_socket_addrs();
    found.map(Iterator::collect).map_err(|error| Failed::Away(error.to_string()))
}

/// How many items an answer says that the collector did not want.
fn refused(what: What, reply: &[u8]) -> u32 {
    let Ok(reply) = serde_json::from_slice::<serde_json::Value>(reply) else { return 0 };
    let name = match what {
        What::Traces => "rejectedSpans",
        What::Metrics => "rejectedDataPoints",
    };
    // A number of 64 bits is text; some write it as a number all the same.
    let count = &reply["partialSuccess"][name];
    let count = count.as_str().and_then(|text| text.parse().ok()).or(count.as_u64());
    count.and_then(|count: u64| u32::try_from(count).ok()).unwrap_or(0)
}

/// Fills it; `false` where nothing comes any more.
fn read_all(socket: &OwnedFd, bytes: &mut [u8]) -> bool {
    let mut filled = 0;
    while filled < bytes.len() {
        match retry_on_intr(|| read(socket, &mut bytes[filled..])) {
            Ok(0) | Err(_) => return false,
            Ok(count) => filled += count,
        }
    }
    true
}

fn write_all(socket: &OwnedFd, mut bytes: &[u8]) -> bool {
    while !bytes.is_empty() {
        match retry_on_intr(|| write(socket, bytes)) {
            Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
            Err(_) => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_what_was_not_refused() {
        for (reply, count) in [
            (&b"{}"[..], 0),
            (b"", 0),
            (b"[1]", 0),
            (br#"{"partialSuccess":{"rejectedSpans":"3","errorMessage":"x"}}"#, 3),
            (br#"{"partialSuccess":{"rejectedSpans":4}}"#, 4),
            (br#"{"partialSuccess":{"rejectedSpans":-1}}"#, 0),
            (br#"{"partialSuccess":{"rejectedDataPoints":"3"}}"#, 0),
            (br#"{"partialSuccess":{"rejectedSpans":"99999999999"}}"#, 0),
        ] {
            assert_eq!(refused(What::Traces, reply), count, "{}", String::from_utf8_lossy(reply));
        }
        assert_eq!(taken([1, 3, 0, 0, 0], 10), 7);
        assert_eq!(taken([1, 3, 0, 0, 0], 2), 0);
        assert_eq!(taken([0, 0, 0, 0, 0], 10), 0);
    }

    #[test]
    fn what_may_change_is_tried_again() {
        let status = |code| Failed::Status(StatusCode::from_u16(code).unwrap());
        for (failed, again) in [
            (Failed::Away(String::new()), true),
            (status(503), true),
            (status(429), true),
            (status(500), false),
            (status(400), false),
            (status(404), false),
        ] {
            assert_eq!(may_change(&failed), again, "{failed:?}");
        }
    }
}
