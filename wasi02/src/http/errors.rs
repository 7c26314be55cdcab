//! `wasi:http/types.error-code`: its cases, and where it stands in a result.

use super::outgoing::case;
use crate::guest::{Caller, Record};
use crate::handles;
use crate::objects::Kind;
use crate::objects::{self, Object};
use crate::preview1::Errno;

/// The case of an answer's body that is not as long as its head says.
pub(super) const RESPONSE_BODY_SIZE: u8 = 28;

/// The cases, in their order: for people.
const NAMES: [&str; 39] = [
    "DNS-timeout",
    "DNS-error",
    "destination-not-found",
    "destination-unavailable",
    "destination-IP-prohibited",
    "destination-IP-unroutable",
    "connection-refused",
    "connection-terminated",
    "connection-timeout",
    "connection-read-timeout",
    "connection-write-timeout",
    "connection-limit-reached",
    "TLS-protocol-error",
    "TLS-certificate-error",
    "TLS-alert-received",
    "HTTP-request-denied",
    "HTTP-request-length-required",
    "HTTP-request-body-size",
    "HTTP-request-method-invalid",
    "HTTP-request-URI-invalid",
    "HTTP-request-URI-too-long",
    "HTTP-request-header-section-size",
    "HTTP-request-header-size",
    "HTTP-request-trailer-section-size",
    "HTTP-request-trailer-size",
    "HTTP-response-incomplete",
    "HTTP-response-header-section-size",
    "HTTP-response-header-size",
    "HTTP-response-body-size",
    "HTTP-response-trailer-section-size",
    "HTTP-response-trailer-size",
    "HTTP-response-transfer-coding",
    "HTTP-response-content-coding",
    "HTTP-response-timeout",
    "HTTP-upgrade-failed",
    "HTTP-protocol-error",
    "loop-detected",
    "configuration-error",
    "internal-error",
];

/// What a case is called; a number that is none breaks a rule.
pub(super) fn name(case: u32) -> &'static str {
    NAMES.get(case as usize).copied().unwrap_or_else(|| crate::trap())
}

/// `result<_, error-code>`, with an error and a body's length.
pub(super) fn answer_size(caller: Caller, to: u32, done: Result<(), (Errno, u64)>) {
    let record: Record<40> = match done {
        Ok(()) => Record::new(),
        // The case, and of its option that it is there.
        Err((error, written)) => {
            let case = case(error).unwrap_or(RESPONSE_BODY_SIZE);
            Record::new().u8(0, 1).u8(8, case).u8(16, 1).u64(24, written)
        }
    };
    caller.record(to, 8, &record);
}

#[unsafe(export_name = "wasi:http/types#http-error-code")]
extern "C" fn http_error_code(caller: Caller, error: u32, to: u32) {
    let case = match objects::get(handles::rep_of(caller, Kind::Error, error)) {
        Object::Error(errno) => case(*errno),
        _ => crate::trap(),
    };
    let record: Record<40> = match case {
        Some(case) => Record::new().u8(0, 1).u8(8, case),
        None => Record::new(),
    };
    caller.record(to, 8, &record);
}
