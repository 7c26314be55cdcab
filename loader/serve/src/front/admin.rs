//! What whoever watches asks: `/healthz` and `/metrics`, on a listener of their own.

use super::Front;
use super::held::Held;
use super::telemetry::Telemetry;
use crate::metrics::Now;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use std::sync::atomic::Ordering;

impl Front {
    /// Answers whoever watches.
    pub(super) fn tell(&self, request: &Request<Incoming>) -> Response<Held> {
        const PLAIN: &str = "text/plain; charset=utf-8";
        const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";
        let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
        let (status, kind, text) = match request.uri().path() {
            _ if !is_read => {
                (StatusCode::METHOD_NOT_ALLOWED, PLAIN, "405 Method Not Allowed\n".to_owned())
            }
            "/healthz" => self.health(),
            "/metrics" => (StatusCode::OK, PROMETHEUS, self.lock_metrics().to_text(&self.now())),
            _ => (StatusCode::NOT_FOUND, PLAIN, "404 Not Found\n".to_owned()),
        };
        let length = text.len();
        let body = if request.method() == Method::HEAD { String::new() } else { text };
        let mut response = Response::new(Held::new(body.into(), None));
        *response.status_mut() = status;
        let _ = response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        let _ = response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
        response
    }

    /// Whether requests are answered: there is a worker, and no end was asked for.
    fn health(&self) -> (StatusCode, &'static str, String) {
        let (status, text) = match (*self.drains.borrow(), self.queue.workers()) {
            (true, _) => (StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
            (false, 0) => (StatusCode::SERVICE_UNAVAILABLE, "no workers\n"),
            (false, _) => (StatusCode::OK, "ok\n"),
        };
        (status, "text/plain; charset=utf-8", text.to_owned())
    }

    pub(super) fn now(&self) -> Now {
        Now {
            connections: self.connections.load(Ordering::Relaxed),
            active: self.active.load(Ordering::Relaxed),
            waiting: self.queue.waiting(),
            workers: self.queue.workers(),
            log_dropped: self.log.dropped(),
            spans: self.telemetry.as_ref().map(Telemetry::spans),
        }
    }
}
