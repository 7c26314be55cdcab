//! Whose trace a request belongs to, by the header `traceparent` (W3C Trace Context, level 1).
//!
//! Guarantees that a header which is not one, or is there twice, begins a new trace, and takes
//! `tracestate` with it. Whoever began a trace says whether it is recorded; one that begins here
//! is.

use http::header::{HeaderMap, HeaderName, HeaderValue};
use rustix::rand::{GetRandomFlags, getrandom};

const PARENT: HeaderName = HeaderName::from_static("traceparent");
const STATE: HeaderName = HeaderName::from_static("tracestate");
/// Somebody records this trace.
const SAMPLED: u8 = 1;

/// The place of a request in a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Context {
    trace: u128,
    /// The span of whoever asked.
    parent: Option<u64>,
    span: u64,
    flags: u8,
}

impl Context {
    /// Takes the context of a request over, or begins a trace, and has the headers say so. `None`
    /// where the system gives no random numbers.
    pub(crate) fn take(headers: &mut HeaderMap) -> Option<Self> {
        let mut said = headers.get_all(PARENT).iter();
        let one = said.next().filter(|_| said.next().is_none());
        let read = one.and_then(|one| parse(one.to_str().ok()?));
        let [span, _] = random()?;
        let context = match read {
            Some((trace, parent, flags)) => Self { trace, parent: Some(parent), span, flags },
            None => {
                let _ = headers.remove(STATE);
                let [high, low] = random()?;
                let trace = u128::from(high) << 64 | u128::from(low);
                Self { trace, parent: None, span, flags: SAMPLED }
            }
        };
        let value = HeaderValue::from_str(&context.to_string()).ok()?;
        let _ = headers.insert(PARENT, value);
        Some(context)
    }

    /// Whether it is recorded.
    pub(crate) fn is_recorded(self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// The trace, as it is written.
    pub(super) fn trace(self) -> String {
        format!("{:032x}", self.trace)
    }

    /// This request's span.
    pub(super) fn span(self) -> String {
        format!("{:016x}", self.span)
    }

    /// The span of whoever asked.
    pub(super) fn parent(self) -> Option<String> {
        self.parent.map(|parent| format!("{parent:016x}"))
    }

    /// The flags as OTLP has them: W3C's, and whether the parent is elsewhere.
    pub(super) fn flags(self) -> u32 {
        /// It is known whether it is; and it is.
        const IS_KNOWN: u32 = 1 << 8;
        const IS_REMOTE: u32 = 1 << 9;
        let elsewhere = if self.parent.is_some() { IS_REMOTE } else { 0 };
        u32::from(self.flags) | IS_KNOWN | elsewhere
    }
}

/// What a guest is told.
impl std::fmt::Display for Context {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "00-{:032x}-{:016x}-{:02x}", self.trace, self.span, self.flags)
    }
}

/// Trace, span and flags of a header.
fn parse(text: &str) -> Option<(u128, u64, u8)> {
    let is_hex = |text: &str, length: usize| {
        text.len() == length && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let mut parts = text.trim_matches([' ', '\t']).split('-');
    let (version, trace, span, flags) =
        (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let is_whole = is_hex(version, 2) && is_hex(trace, 32) && is_hex(span, 16) && is_hex(flags, 2);
    // Later versions may have more behind it; this one has not.
    if !is_whole || version == "ff" || version == "00" && parts.next().is_some() {
        return None;
    }
    let trace = u128::from_str_radix(trace, 16).ok().filter(|trace| *trace != 0)?;
    let span = u64::from_str_radix(span, 16).ok().filter(|span| *span != 0)?;
    let flags = u8::from_str_radix(flags, 16).ok()?;
    Some((trace, span, flags & SAMPLED))
}

/// Two numbers that nobody knows, neither of them zero. `None` where the system gives none.
pub(super) fn random() -> Option<[u64; 2]> {
    let mut bytes = [0; 16];
    let count = getrandom(&mut bytes, GetRandomFlags::empty()).ok()?;
    let (one, other) = bytes.split_at(8);
    let number = |half: &[u8]| half.first_chunk().map(|half| u64::from_ne_bytes(*half).max(1));
    (count == bytes.len()).then_some([number(one)?, number(other)?])
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIVEN: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn taken(headers: &[(HeaderName, &str)]) -> (Context, HeaderMap) {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let _ = map.append(name, HeaderValue::from_str(value).unwrap());
        }
        let context = Context::take(&mut map).expect("random numbers");
        (context, map)
    }

    #[test]
    fn a_trace_is_taken_over() {
        let (context, headers) = taken(&[(PARENT, GIVEN), (STATE, "a=1")]);
        assert_eq!(context.trace(), "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(context.parent().as_deref(), Some("b7ad6b7169203331"));
        assert!(context.is_recorded() && context.span() != "b7ad6b7169203331");
        assert_eq!(context.flags(), 0x301);
        let said = headers[PARENT].to_str().unwrap();
        assert_eq!(said, format!("00-{}-{}-01", context.trace(), context.span()));
        assert_eq!(headers[STATE], "a=1");
        // Who began it does not record it; and a later version has more to say.
        let later = GIVEN.replace("00-0", "cc-0").replace("-01", "-ee-more");
        let (context, headers) = taken(&[(PARENT, &later)]);
        assert!(!context.is_recorded());
        assert!(headers[PARENT].to_str().unwrap().ends_with("-00"));
    }

    #[test]
    fn what_is_none_begins_one() {
        for (from, to) in [
            ("00-0", "ff-0"),
            ("00-0", "0-0"),
            ("-01", "-01-x"),
            ("-01", "-1"),
            ("-01", ""),
            ("a", "A"),
            ("b7ad6b7169203331", "0000000000000000"),
            ("0af7651916cd43dd8448eb211c80319c", "00000000000000000000000000000000"),
            ("0af7651916cd43dd8448eb211c80319c", "+af7651916cd43dd8448eb211c80319c"),
        ] {
            let changed = GIVEN.replace(from, to);
            let (context, headers) = taken(&[(PARENT, &changed), (STATE, "a=1")]);
            assert!(context.parent().is_none() && context.is_recorded(), "{changed}");
            assert_ne!(context.trace(), "0af7651916cd43dd8448eb211c80319c");
            assert_eq!((context.flags(), headers.get(STATE)), (0x101, None));
        }
        let (twice, headers) = taken(&[(PARENT, GIVEN), (PARENT, GIVEN)]);
        assert!(twice.parent().is_none());
        assert_eq!(headers.get_all(PARENT).iter().count(), 1);
    }
}
