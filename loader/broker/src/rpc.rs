//! The method `http.request` of `bless.rpc_call`: JSON in, JSON out.
//!
//! The parameters are `{"url", "options": {"method"?, "headers"?, "body"?, "timeout"?,
//! "query_params"?}}`; the result is `{"success": true, "data": {"status", "headers", "body",
//! "url"}}` or `{"success": false, "error"}`. A request that is refused is a result too; only
//! parameters that are none are not. Guarantees that no more is kept of a body than its numbers
//! in the result, that these are no more than was asked for, and that parameters take no more
//! memory than a few times their text.

mod form;

use crate::count::Count;
use crate::http::{Ask, Client, Response};
use crate::net::Network;
use bls_artifact::broker::{Reason, Refusal};
use bls_artifact::net::Url;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::fmt::Write as _;
use std::time::Duration;

/// How long a request may take where nobody said otherwise, in milliseconds.
const TIMEOUT_MS: u64 = 30_000;
/// Bytes of a body that are read at a time.
const PIECE_BYTES: usize = 16 << 10;

/// The parameters.
#[derive(Debug, Deserialize)]
struct Params {
    url: String,
    #[serde(default)]
    options: Options,
}

/// What may be said beside the URL. Others' names are overlooked.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Options {
    method: Option<String>,
    headers: form::Pairs,
    body: Option<form::Body>,
    timeout: Option<u64>,
    query_params: form::Pairs,
}

/// Parameters that make sense.
#[derive(Debug)]
pub struct Call {
    url: String,
    ask: Result<Ask, Refusal>,
}

impl Call {
    /// Reads the parameters.
    ///
    /// # Errors
    /// [`Reason::Invalid`].
    pub fn parse(params: &[u8]) -> Result<Self, Refusal> {
        let invalid = |error: &dyn std::fmt::Display| Refusal::new(Reason::Invalid, error);
        let Params { url, options } =
            serde_json::from_slice(params).map_err(|error| invalid(&error))?;
        let method = options.method.unwrap_or_else(|| "GET".to_owned()).to_ascii_uppercase();
        let pairs = options.headers.0.into_iter();
        let mut headers: Vec<_> = pairs.map(|(name, value)| (name, value.into_bytes())).collect();
        let body = options.body.unwrap_or(form::Body::None).sent();
        let body = body.map_err(|error| invalid(&error))?;
        if let Some(kind) = body.kind {
            // One that an SDK set says less: not where a part ends.
            headers.retain(|(name, _)| !name.eq_ignore_ascii_case("content-type"));
            headers.push(("content-type".to_owned(), kind.into_bytes()));
        }
        let body = body.bytes;
        let parsed = Url::parse(&url).map_err(|error| Refusal::new(Reason::Url, error));
        let ask = parsed.map(|mut url| {
            let params = &options.query_params.0;
            if url.query.is_none() && !params.is_empty() {
                url.query = Some(form::query(params));
            }
            Ask {
                method,
                url,
                headers,
                body,
                connect: None,
                total: Some(Duration::from_millis(options.timeout.unwrap_or(TIMEOUT_MS))),
                exchange: None,
            }
        });
        Ok(Self { url, ask })
    }

    /// How many bytes it sends.
    #[must_use]
    pub fn body_bytes(&self) -> usize {
        self.ask.as_ref().map_or(0, |ask| ask.body.len())
    }

    /// Makes the request: the JSON of the result, of at most `max` bytes. The first request is
    /// counted already; redirects and the body are counted here.
    ///
    /// # Errors
    /// [`Reason::TooLong`] where the result is longer.
    pub fn run(
        self,
        client: &Client<'_, impl Network>,
        max: usize,
        count: &mut Count,
    ) -> Result<Vec<u8>, Refusal> {
        let response = self.ask.and_then(|ask| client.run(ask, count));
        let longest = client.limits.response_bytes;
        let text = match response.and_then(|response| result(response, max, longest, count)) {
            Ok(text) => text,
            Err(refusal) if refusal.reason == Reason::TooLong && refusal.text == LONG => {
                return Err(refusal);
            }
            Err(refusal) => {
                let mut result = Map::new();
                result.insert("success".to_owned(), Value::Bool(false));
                let url = bls_artifact::text::printable_name(&self.url);
                let error = format!("{}: {url}: {}", refusal.reason.coarse(), refusal.text);
                result.insert("error".to_owned(), Value::String(error));
                Value::Object(result).to_string()
            }
        };
        if text.len() > max { Err(long()) } else { Ok(text.into_bytes()) }
    }
}

/// The text of the refusal of a result that does not fit.
const LONG: &str = "the result is longer than was asked for";

fn long() -> Refusal {
    Refusal::new(Reason::TooLong, LONG)
}

/// The JSON of a response, its body of at most `longest` bytes as numbers.
fn result(
    mut response: Response,
    max: usize,
    longest: u64,
    total: &mut Count,
) -> Result<String, Refusal> {
    let mut headers = Map::new();
    for (name, value) in response.headers {
        headers.insert(name, Value::String(String::from_utf8_lossy(&value).into_owned()));
    }
    let end = format!("],\"url\":{}}}}}", Value::String(response.url.to_string()));
    let mut text = format!(
        "{{\"success\":true,\"data\":{{\"status\":{},\"headers\":{},\"body\":[",
        response.status,
        Value::Object(headers)
    );
    let mut piece = vec![0; PIECE_BYTES];
    let (mut is_first, mut own) = (true, 0);
    loop {
        let count = response.body.fill(&mut piece)?;
        own += count as u64;
        if own > longest {
            let what = format_args!("the answer is longer than {longest}");
            return Err(Refusal::new(Reason::TooLong, what));
        }
        total.bytes(count)?;
        for byte in &piece[..count] {
            let comma = if is_first { "" } else { "," };
            is_first = false;
            // Writing to a String does not fail.
            let _ = write!(text, "{comma}{byte}");
        }
        if text.len() + end.len() > max {
            return Err(long());
        }
        if count < piece.len() {
            return Ok(text + &end);
        }
    }
}
