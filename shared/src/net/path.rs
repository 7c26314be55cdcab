//! Paths of URLs: what is sent, and what is compared.
//!
//! A grant of `https://host/public` is for what a server finds beneath `/public`. Servers
//! differ in what they make of `..`, of encoded slashes and of backslashes. So dot segments are
//! taken away before anything is compared or sent, and a path of which servers make different
//! things is beneath no prefix but `/` (and, where it is about a refusal, beneath each). What
//! some servers overlook (parameters, the case of letters, dots and spaces at the end of a
//! segment) is overlooked where it is about a refusal, and counts where it is about a grant.

/// The path as it is sent: dot segments taken away (RFC 3986, 5.2.4), encoded ones too.
/// Begins with a slash.
pub(super) fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.strip_prefix('/').unwrap_or(path).split('/').peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match dots(segment) {
            0 => kept.push(segment),
            count => {
                if count == 2 {
                    kept.pop();
                }
                if is_last {
                    kept.push("");
                }
            }
        }
    }
    format!("/{}", kept.join("/"))
}

/// 1 for `.`, 2 for `..`, however their dots are written; else 0.
fn dots(segment: &str) -> usize {
    let (mut rest, mut count) = (segment, 0);
    while !rest.is_empty() {
        let encoded = rest.get(..3).filter(|start| start.eq_ignore_ascii_case("%2e"));
        rest = match (rest.strip_prefix('.'), encoded) {
            (Some(rest), _) => rest,
            (None, Some(_)) => &rest[3..],
            (None, None) => return 0,
        };
        count += 1;
    }
    if count > 2 { 0 } else { count }
}

/// What a server compares with its own paths: decoded. `None` where servers differ.
fn comparable(path: &str) -> Option<Vec<u8>> {
    let decoded = decode(path.as_bytes(), |byte| !matches!(byte, b'/' | b'\\' | 0..=31 | 127))?;
    let decodes_again = decode(&decoded, |_| true).is_none_or(|again| again != decoded);
    let is_dubious = |segment: &[u8]| {
        segment == b"."
            || segment == b".."
            || segment.starts_with(b".;")
            || segment.starts_with(b"..;")
    };
    let dubious = decodes_again
        || decoded.contains(&b'\\')
        || decoded.split(|byte| *byte == b'/').any(is_dubious);
    (!dubious).then_some(decoded)
}

/// Takes `%XX` away; `None` where one stands for a byte that may not be written so.
fn decode(text: &[u8], may: impl Fn(u8) -> bool) -> Option<Vec<u8>> {
    let nibble = |digit: u8| (digit as char).to_digit(16).map(|value| value as u8);
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, behind)) = rest.split_first() {
        let pair = match (first, behind) {
            (b'%', [high, low, ..]) => nibble(*high).zip(nibble(*low)),
            _ => None,
        };
        match pair {
            Some((high, low)) => {
                let byte = high << 4 | low;
                if !may(byte) {
                    return None;
                }
                decoded.push(byte);
                rest = &behind[2..];
            }
            None => {
                decoded.push(*first);
                rest = behind;
            }
        }
    }
    Some(decoded)
}

/// Whether a grant can be about this path: servers agree about it.
pub(super) fn is_plain(path: &str) -> bool {
    comparable(path).is_some_and(|decoded| !has_empty_segment(&decoded))
}

/// Whether `path` is `prefix` or beneath it, for whoever grants: not where servers differ.
pub(super) fn is_beneath(path: &str, prefix: &str) -> bool {
    if prefix == "/" {
        return true;
    }
    match (comparable(path), comparable(prefix)) {
        (Some(path), Some(prefix)) => begins_with(&path, &prefix),
        _ => false,
    }
}

/// The same for whoever refuses: also where a server may find it there. Some overlook what is
/// behind a `;` in a segment, the case of letters, and dots and spaces at a segment's end.
pub(super) fn may_be_beneath(path: &str, prefix: &str) -> bool {
    let (Some(path), Some(prefix)) = (comparable(path), comparable(prefix)) else { return true };
    [false, true].into_iter().any(|without_parameters| {
        let path = loose(&path, without_parameters);
        has_empty_segment(&path) || begins_with(&path, &loose(&prefix, without_parameters))
    })
}

/// A decoded path as the servers see it that overlook the most; each segment's parameters
/// (`;a=b`) stay or do not.
fn loose(path: &[u8], without_parameters: bool) -> Vec<u8> {
    let segment = |segment: &[u8]| {
        let end = segment.iter().position(|byte| without_parameters && *byte == b';');
        let kept = &segment[..end.unwrap_or(segment.len())];
        let end = kept.iter().rposition(|byte| !matches!(byte, b'.' | b' '));
        kept[..end.map_or(0, |last| last + 1)].to_ascii_lowercase()
    };
    let segments: Vec<Vec<u8>> = path.split(|byte| *byte == b'/').map(segment).collect();
    segments.join(&b'/')
}

/// Some servers make one slash of two.
fn has_empty_segment(path: &[u8]) -> bool {
    path.windows(2).any(|pair| pair == b"//")
}

/// Where a segment ends.
fn begins_with(path: &[u8], prefix: &[u8]) -> bool {
    let Some(rest) = path.strip_prefix(prefix) else { return false };
    prefix.ends_with(b"/") || rest.is_empty() || rest.starts_with(b"/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dot_segments_are_taken_away() {
        for (path, sent) in [
            ("/", "/"),
            ("", "/"),
            ("/a/b", "/a/b"),
            ("/a/./b", "/a/b"),
            ("/a/../b", "/b"),
            ("/../../a", "/a"),
            ("/a/..", "/"),
            ("/a/b/..", "/a/"),
            ("/a/.", "/a/"),
            ("/a/%2e%2E/b", "/b"),
            ("/a/.%2e/b", "/b"),
            ("/a/%2e/b", "/a/b"),
            ("/a/...", "/a/..."),
            ("/a//../b", "/a/b"),
            ("/a/..b", "/a/..b"),
            ("/ä%2", "/ä%2"),
        ] {
            assert_eq!(without_dots(path), sent, "{path}");
        }
    }

    #[test]
    fn a_prefix_ends_where_a_segment_does() {
        for (path, prefix) in [
            ("/public", "/public"),
            ("/public/a", "/public"),
            ("/public/a/b%20c", "/public/a"),
            ("/public/", "/public/"),
            ("/%70ublic/x", "/public"),
            ("/public/a", "/%70ublic"),
            ("/anything/..%2f", "/"),
            ("/public//a", "/public"),
        ] {
            assert!(is_beneath(path, prefix), "{path} {prefix}");
            assert!(may_be_beneath(path, prefix), "{path} {prefix}");
        }
        for (path, prefix) in [
            ("/publicity", "/public"),
            ("/", "/public"),
            ("/public", "/public/"),
            ("/publi", "/public"),
            ("/a;b/public", "/public"),
        ] {
            assert!(!is_beneath(path, prefix), "{path} {prefix}");
            assert!(!may_be_beneath(path, prefix), "{path} {prefix}");
        }
    }

    #[test]
    fn what_some_servers_overlook_is_refused_and_not_granted() {
        for (path, prefix) in [
            ("/secret;a=1", "/secret"),
            ("/secret%3Bx", "/secret"),
            ("/secret;a=1/x", "/secret"),
            ("/a;b/secret;c", "/a/secret"),
            ("/;/secret", "/secret"),
            ("/Secret", "/secret"),
            ("/secret", "/SECRET"),
            ("/s%45cret/x", "/secret"),
            ("/secret.", "/secret"),
            ("/secret%20", "/secret"),
            ("/secret.%20./x", "/secret"),
            ("/secret%2e;x", "/secret"),
            ("/.../secret", "/secret"),
            ("/secret;v=1", "/secret;v=1"),
            ("/SECRET;V=1/x", "/secret;v=1"),
        ] {
            assert!(may_be_beneath(path, prefix), "{path} {prefix}");
            let is_same = path == prefix;
            assert_eq!(is_beneath(path, prefix), is_same, "{path} {prefix}");
        }
    }

    #[test]
    fn what_servers_differ_about_is_not_granted_and_may_be_refused() {
        for path in [
            "/public/..%2fsecret",
            "/public/%2e%2e%2Fsecret",
            "/public/..%5csecret",
            "/public\\..\\secret",
            "/public/..;/secret",
            "/public/..;a=b/secret",
            "/public/%252e%252e/secret",
            "/public/%2541",
            "/public/%00",
            "/public/%0a",
        ] {
            assert!(!is_beneath(path, "/public"), "{path}");
            assert!(may_be_beneath(path, "/secret"), "{path}");
            assert!(!is_plain(path), "{path}");
            assert!(is_beneath(path, "/"), "{path}");
        }
        assert!(may_be_beneath("//secret", "/secret"));
        assert!(!is_plain("/a//b") && is_plain("/a/b%20c"));
    }
}
