//! `bless.rpc_call`: calls by JSON-RPC 2.0, answered in the guest's buffer.
//!
//! | code | is |
//! |---|---|
//! | 1 | no request of JSON-RPC with a version, a method and a number |
//! | 4 | a range that is not inside the memory |
//! | 5 | an answer longer than the buffer: nothing is written, but the call was made |
//!
//! Methods: `ping`, `echo`, `version`, and `http.request`, whose failure is a result with
//! `"success":false` and not an error. Parameters that are given back are given back as they
//! were written.

use super::asking::Price;
use super::{bytes_mut, json, text};
use crate::host::Host;
use crate::host::errno::{Failure, Outcome};
use crate::host::memory::{Bytes, GuestMemory, Pointer};
use bls_artifact::broker::{Answer, Reason, Request};
use bls_artifact::net::Url;

const NO_REQUEST: u8 = 1;
const INTERNAL: u8 = 4;
const TOO_LONG: u8 = 5;

/// Bytes of an answer beside its result, at most: the number has ten digits.
const ENVELOPE: u32 = 64;

/// Answers one request.
pub(crate) fn rpc_call(
    host: &mut Host,
    memory: &mut GuestMemory<'_>,
    request: Bytes,
    answer: Bytes,
    length: Pointer,
) -> Outcome<()> {
    memory.check_u32(length)?;
    host.purse.pay_text(request.length())?;
    let text = text(memory, request, INTERNAL).map_err(|failure| match memory.bytes(request) {
        // It is there, and no text.
        Ok(_) => Failure::Code(NO_REQUEST),
        Err(_) => failure,
    })?;
    memory.bytes(answer).map_err(|_| Failure::Code(INTERNAL))?;
    let call = read(text).ok_or(Failure::Code(NO_REQUEST))?;
    let params = call.params.unwrap_or("null");
    let outcome = match call.method.as_str() {
        "ping" => r#""result":"pong""#.to_owned(),
        // (No copy of what is too long anyway.)
        "echo" if params.len() > answer.length() as usize => return Err(Failure::Code(TOO_LONG)),
        "echo" => format!(r#""result":{params}"#),
        "version" => format!(
            r#""result":{{"rpc_version":"2.0","runtime":"bls-runtime","version":"{}"}}"#,
            env!("CARGO_PKG_VERSION")
        ),
        "http.request" => {
            let max = answer.length().saturating_sub(ENVELOPE);
            http_request(host, params, max)?
        }
        unknown => {
            let mut name = String::new();
            json::quote(&mut name, unknown);
            format!(
                r#""error":{{"code":-32601,"message":"Method not found","data":{{"method":{name}}}}}"#
            )
        }
    };
    let text = format!(r#"{{"jsonrpc":"2.0",{outcome},"id":{}}}"#, call.id);
    let place = bytes_mut(memory, answer, INTERNAL)?;
    let place = place.get_mut(..text.len()).ok_or(Failure::Code(TOO_LONG))?;
    place.copy_from_slice(text.as_bytes());
    host.purse.owe_transfer(text.len());
    memory.write_size(length, text.len())
}

/// A request of JSON-RPC.
struct Call<'a> {
    method: String,
    params: Option<&'a str>,
    id: u32,
}

fn read(text: &str) -> Option<Call<'_>> {
    let members = json::members(text)?;
    json::string(json::member(&members, "jsonrpc")?)?;
    let method = json::string(json::member(&members, "method")?)?;
    let id = json::member(&members, "id")?.parse().ok()?;
    Some(Call { method, params: json::member(&members, "params"), id })
}

/// Makes a request by HTTP; the member of the answer that says what came of it.
fn http_request(host: &mut Host, params: &str, max: u32) -> Outcome<String> {
    const INVALID: &str = r#""error":{"code":-32602,"message":"Invalid params"}"#;
    let failed = |text: &str| {
        let mut quoted = String::new();
        json::quote(&mut quoted, text);
        format!(r#""result":{{"success":false,"error":{quoted}}}"#)
    };
    let url = json::members(params)
        .and_then(|members| json::member(&members, "url").and_then(json::string));
    let Some(url) = url else { return Ok(INVALID.to_owned()) };
    match Url::parse(&url) {
        Ok(url) if !host.blockless.reach.allows_url(&url) => {
            return Ok(failed("permission denied"));
        }
        Err(error) => return Ok(failed(&error.to_string())),
        Ok(_) => {}
    }
    let request = Request::HttpRpc { params: params.into(), max };
    match host.ask(&request, Price::Request)? {
        Ok((Answer::Bytes(result), _)) => match String::from_utf8(result) {
            Ok(result) => Ok(format!(r#""result":{result}"#)),
            Err(_) => Ok(failed("an answer that makes no sense")),
        },
        Ok(_) => Ok(failed("an answer that makes no sense")),
        Err(refusal) => match refusal.reason {
            Reason::Invalid => Ok(INVALID.to_owned()),
            Reason::TooLong => Err(Failure::Code(TOO_LONG)),
            _ => Ok(failed(&refusal.text)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_have_a_version_a_method_and_a_number() {
        let call = read(r#"{"jsonrpc":"2.0","method":"m","params":[1.50],"id":7}"#).unwrap();
        assert_eq!((call.method.as_str(), call.params, call.id), ("m", Some("[1.50]"), 7));
        for wrong in [
            "{",
            r#"{"jsonrpc":"2.0","method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":1}"#,
            r#"{"method":"ping","id":1}"#,
            r#"{"jsonrpc":"2.0","method":"ping","id":"1"}"#,
            r#"{"jsonrpc":"2.0","method":"ping","id":-1}"#,
            r#"{"jsonrpc":"2.0","method":"ping","id":4294967296}"#,
            r#"{"jsonrpc":2,"method":"ping","id":1}"#,
        ] {
            assert!(read(wrong).is_none(), "{wrong}");
        }
    }
}
