//! From a request to its response, by way of a guest.
//!
//! Guarantees that a response which the server makes itself says nothing of the inside: why is in
//! the log. Bodies are held whole, in both directions, within bounds for each and for all.

use super::Front;
use super::held::Held;
use super::queue::{Ending, Job};
use crate::cgi::response::{self, Malformed};
use crate::cgi::{self, Context, Ends};
use crate::log::{GuestLine, Level, Line};
use crate::metrics::Done;
use crate::otlp::{form, trace};
use crate::wire::{self, Answer, How};
use bls_artifact::date::Date;
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

/// The least bytes of a body that a client sends in a second, in the long run.
const BYTES_A_SECOND: u64 = 1024;
/// How much later than a worker's answer is due nobody waits for one any more.
const GRACE: Duration = Duration::from_secs(4);

/// Why the server answers by itself: the status, a word for metrics, a sentence for the log.
#[derive(Debug)]
struct Refusal {
    status: StatusCode,
    word: &'static str,
    what: String,
}

fn refusal(status: StatusCode, word: &'static str, what: impl Into<String>) -> Refusal {
    Refusal { status, word, what: what.into() }
}

/// What became of a request, as it is known so far.
#[derive(Debug, Default)]
struct Progress {
    route: Option<usize>,
    received: usize,
    answer: Option<Answer>,
}

/// A body, and its share of the memory for bodies.
struct Body {
    bytes: Bytes,
    _share: Option<OwnedSemaphorePermit>,
}

impl Front {
    /// Answers.
    pub(super) async fn answer(
        self: &Arc<Self>,
        request: Request<Incoming>,
        ends: Ends,
    ) -> Response<Held> {
        let begun = Instant::now();
        let _ = self.active.fetch_add(1, Ordering::Relaxed);
        // Also where the client goes, and this is not polled to its end.
        let _active = super::Leaving(&self.active);
        let (mut head, body) = request.into_parts();
        let context = self.telemetry.as_ref().and_then(|_| trace::Context::take(&mut head.headers));
        let mut progress = Progress::default();
        let answered = self.ask(&head, body, ends, &mut progress).await;
        let (response, refused) = match answered {
            Ok(response) => (response, None),
            Err(refusal) => (own(&refusal), Some(refusal)),
        };
        let response = without_body(response, &head.method);
        let sent = response.body().length();
        let time = begun.elapsed();
        self.lock_metrics().add(&Done {
            route: progress.route,
            status: response.status().as_u16(),
            time,
            received: progress.received,
            sent,
            answer: progress.answer.as_ref(),
            refusal: refused.as_ref().map(|refusal| refusal.word),
        });
        if let (Some(telemetry), Some(context)) = (&self.telemetry, context)
            && context.is_recorded()
        {
            let (name, port) = cgi::server(&head, &ends);
            telemetry.add(form::span(&form::Request {
                context,
                method: &head.method,
                path: head.uri.path(),
                route: progress.route.map(|index| self.route_name(index)),
                version: head.version,
                client: &ends.address(),
                server: (&name, port),
                status: response.status().as_u16(),
                end: SystemTime::now(),
                time,
                refusal: refused.as_ref().map(|refusal| refusal.word),
                answer: progress.answer.as_ref(),
            }));
        }
        let level = Level::of(response.status().as_u16(), refused.is_some());
        if self.log.is_wanted(level) {
            let seconds = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
            self.log.add(&Line {
                level,
                time: Date(seconds.unwrap_or_default().as_secs()).to_string(),
                client: ends.address(),
                method: head.method.as_str(),
                path: head.uri.path(),
                route: progress.route.map(|index| self.route_name(index)),
                status: response.status().as_u16(),
                received: progress.received,
                sent,
                microseconds: u64::try_from(time.as_micros()).unwrap_or(u64::MAX),
                reason: refused.map(|refusal| refusal.what),
                guest: progress.answer.as_ref().map(guest_line),
            });
        }
        response
    }

    async fn ask(
        &self,
        head: &Parts,
        body: Incoming,
        ends: Ends,
        progress: &mut Progress,
    ) -> Result<Response<Held>, Refusal> {
        if !cgi::is_served(&head.method) {
            let what = "a method that no guest is asked by";
            return Err(refusal(StatusCode::NOT_IMPLEMENTED, "method", what));
        }
        let path = cgi::decoded(head.uri.path());
        let path = path.map_err(|_| {
            let what = "a path with an encoded slash, a zero byte, or a part that is . or ..";
            refusal(StatusCode::BAD_REQUEST, "path", what)
        })?;
        let routes = &self.settings.routes;
        let found = routes.iter().enumerate();
        let found = found.filter_map(|(index, route)| Some((index, cgi::below(&path, route)?)));
        let (index, path_info) = found
            .into_iter()
            .next()
            .ok_or_else(|| refusal(StatusCode::NOT_FOUND, "route", "no artifact answers there"))?;
        progress.route = Some(index);
        let body = self.take_body(body).await?;
        progress.received = body.bytes.len();
        let context = Context {
            ends,
            script_name: &routes[index],
            path_info,
            length: body.bytes.len(),
            pass_authorization: self.settings.pass_authorization,
        };
        let variables = cgi::variables(head, &context);
        let number = u16::try_from(index).unwrap_or(u16::MAX);
        let words = wire::request(number, &variables, body.bytes.len());
        let answer = self.run(words, body.bytes.clone()).await?;
        let share = self.share(answer.stdout.len())?;
        let answer = progress.answer.insert(answer);
        judge(answer, share)
    }

    /// Reads a body, as long as it may be and as slowly as it may come.
    async fn take_body(&self, mut body: Incoming) -> Result<Body, Refusal> {
        let most = self.settings.request_max;
        let too_long = || {
            let what = format!("a body of more than {most} bytes");
            refusal(StatusCode::PAYLOAD_TOO_LARGE, "body-too-long", what)
        };
        // Before it is sent: whoever asked whether to send it is told now.
        if body.size_hint().lower() > most {
            return Err(too_long());
        }
        if body.is_end_stream() {
            return Ok(Body { bytes: Bytes::new(), _share: None });
        }
        let begun = Instant::now();
        let (mut first, mut all) = (Bytes::new(), Vec::new());
        let mut share: Option<OwnedSemaphorePermit> = None;
        loop {
            let received = (first.len() + all.len()) as u64;
            let earned = Duration::from_millis(received.saturating_mul(1000) / BYTES_A_SECOND);
            let until = begun + self.settings.idle_timeout + earned;
            let until = until.min(Instant::now() + self.settings.idle_timeout);
            let frame = timeout_at(until, body.frame()).await.map_err(|_| {
                refusal(StatusCode::REQUEST_TIMEOUT, "slow-body", "the body came too slowly")
            })?;
            let Some(frame) = frame else { break };
            let frame = frame.map_err(|error| {
                let what = format!("the body did not come to its end: {error}");
                refusal(StatusCode::BAD_REQUEST, "body", what)
            })?;
            // Headers behind a body are nobody's.
            let Ok(data) = frame.into_data() else { continue };
            if received + data.len() as u64 > most {
                return Err(too_long());
            }
            match (self.share(data.len())?, &mut share) {
                (Some(more), Some(share)) => share.merge(more),
                (more @ Some(_), share) => *share = more,
                (None, _) => {}
            }
            // What comes in one piece is not copied.
            match first.is_empty() && all.is_empty() {
                true => first = data,
                false => {
                    if all.is_empty() {
                        all.extend_from_slice(&std::mem::take(&mut first));
                    }
                    all.extend_from_slice(&data);
                }
            }
        }
        let bytes = if all.is_empty() { first } else { all.into() };
        Ok(Body { bytes, _share: share })
    }

    /// A share of the memory for bodies.
    fn share(&self, bytes: usize) -> Result<Option<OwnedSemaphorePermit>, Refusal> {
        let units = u32::try_from(bytes.div_ceil(super::SHARE_BYTES)).unwrap_or(u32::MAX);
        if units == 0 {
            return Ok(None);
        }
        let share = Arc::clone(&self.bodies).try_acquire_many_owned(units);
        share.map(Some).map_err(|_| {
            let what = "the bodies of other requests take all the memory for them";
            refusal(StatusCode::SERVICE_UNAVAILABLE, "memory", what)
        })
    }

    /// Has a worker run a guest for it.
    async fn run(&self, head: Vec<u8>, body: Bytes) -> Result<Answer, Refusal> {
        let (reply, ending) = oneshot::channel();
        let until = Instant::now() + self.settings.timeout;
        if !self.queue.add(Job { head, body, until, reply }) {
            let what = "as many requests as may wait do";
            return Err(refusal(StatusCode::SERVICE_UNAVAILABLE, "queue", what));
        }
        let due = until + self.settings.timeout + GRACE;
        match timeout_at(due, ending).await {
            Ok(Ok(Ending::Answered(answer))) => Ok(answer),
            Ok(Ok(Ending::Lost) | Err(_)) => {
                let what = "its worker ended, or gave what is no answer";
                Err(refusal(StatusCode::BAD_GATEWAY, "worker-lost", what))
            }
            Ok(Ok(Ending::Silent)) => {
                let what = "its worker did not answer in its guest's time, and is killed";
                Err(refusal(StatusCode::GATEWAY_TIMEOUT, "worker-silent", what))
            }
            Ok(Ok(Ending::Waited)) | Err(_) => {
                let what = "no worker took it in its time";
                Err(refusal(StatusCode::SERVICE_UNAVAILABLE, "waited", what))
            }
        }
    }
}

/// The response that a guest wrote; or why it is none.
fn judge(answer: &Answer, share: Option<OwnedSemaphorePermit>) -> Result<Response<Held>, Refusal> {
    let reason = || String::from_utf8_lossy(&answer.reason).into_owned();
    let failed = |word| refusal(StatusCode::INTERNAL_SERVER_ERROR, word, reason());
    match answer.how {
        How::Exited => {}
        How::Time => return Err(refusal(StatusCode::GATEWAY_TIMEOUT, "time", reason())),
        How::Trapped => return Err(failed("trap")),
        How::OutOfFuel => return Err(failed("out-of-fuel")),
        How::Limit => return Err(failed("limit")),
        How::Refused => return Err(failed("refused")),
    }
    let malformed = |why: Malformed| match answer.code {
        0 => refusal(StatusCode::BAD_GATEWAY, "malformed", why.to_string()),
        code => {
            let what = format!("the guest exited with code {code}, and {why}");
            refusal(StatusCode::INTERNAL_SERVER_ERROR, "exit", what)
        }
    };
    let response = response::parse(&answer.stdout).map_err(malformed)?;
    Ok(response.map(|bytes| Held::new(bytes, share)))
}

/// A response of the server's own.
fn own(refusal: &Refusal) -> Response<Held> {
    let words = refusal.status.canonical_reason().unwrap_or_default();
    let text = format!("{} {words}\n", refusal.status.as_str());
    let mut response = Response::new(Held::new(text.into(), None));
    *response.status_mut() = refusal.status;
    let headers = response.headers_mut();
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    let _ = headers.insert(CONTENT_TYPE, plain);
    if refusal.status == StatusCode::SERVICE_UNAVAILABLE {
        let _ = headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

/// A response to HEAD says how long its body would be, and has none.
fn without_body(mut response: Response<Held>, method: &Method) -> Response<Held> {
    if method == Method::HEAD {
        let length = response.body().length();
        *response.body_mut() = Held::new(Bytes::new(), None);
        let _ = response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    response
}

fn guest_line(answer: &Answer) -> GuestLine {
    GuestLine {
        outcome: answer.how.word(),
        exit_code: (answer.how == How::Exited).then_some(answer.code),
        microseconds: answer.microseconds,
        fuel: answer.fuel.map(|(units, _)| units),
        peak_memory: answer.memory,
        stderr: String::from_utf8_lossy(&answer.stderr).into_owned(),
    }
}
