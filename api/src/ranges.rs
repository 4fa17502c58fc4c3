//! Which part of a file a request asks for, and whether the caller has it already (RFC 9110, chapters 13 and 14). Pure.

use std::ops::RangeInclusive;

use http::HeaderMap;
use http::header::{IF_NONE_MATCH, IF_RANGE, RANGE};

/// What is to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// All of it.
    Whole,
    /// These bytes, both ends included.
    Part(RangeInclusive<u64>),
    /// Bytes that the file does not have.
    Beyond,
}

/// What is wanted of a file with this tag and length. Several ranges get the whole, as the standard allows, and so does
/// what is no range of bytes, and a part of another version of the file.
pub(crate) fn wanted(headers: &HeaderMap, etag: &str, size_bytes: u64) -> Wanted {
    let Some(range) = only(headers, RANGE.as_str()) else { return Wanted::Whole };
    // A date is never the tag: no file changes, and none has a date to compare.
    if headers.contains_key(IF_RANGE) && only(headers, IF_RANGE.as_str()) != Some(etag) {
        return Wanted::Whole;
    }
    let Ok(parsed) = http_range_header::parse_range_header(range) else { return Wanted::Whole };
    if parsed.len() != 1 {
        return Wanted::Whole;
    }
    match parsed.validate(size_bytes).map(|ranges| ranges.into_iter().next()) {
        Ok(Some(range)) => Wanted::Part(range),
        // The last bytes of an empty file are the whole of it.
        Ok(None) => Wanted::Whole,
        Err(_) => Wanted::Beyond,
    }
}

/// Whether the caller has the file with this tag.
pub(crate) fn has_it(headers: &HeaderMap, etag: &str) -> bool {
    let mut tags = headers
        .get_all(IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim);
    tags.any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

fn only<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let only = values.next().filter(|_| values.next().is_none());
    only?.to_str().ok().map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    fn asked(range: &'static str, size_bytes: u64) -> Wanted {
        wanted(&headers(&[("range", range)]), "\"a\"", size_bytes)
    }

    #[test]
    fn one_range_is_a_part() {
        for (range, part) in [
            ("bytes=0-0", 0..=0),
            ("bytes=2-5", 2..=5),
            ("bytes=7-", 7..=9),
            ("bytes=-3", 7..=9),
            ("bytes=5-1000", 5..=9),
            ("bytes=-1000", 0..=9),
            ("bytes=0-", 0..=9),
        ] {
            assert_eq!(asked(range, 10), Wanted::Part(part), "{range}");
        }
    }

    #[test]
    fn what_the_file_does_not_have_is_beyond() {
        for range in ["bytes=10-", "bytes=10-12", "bytes=99999999-", "bytes=-0"] {
            assert_eq!(asked(range, 10), Wanted::Beyond, "{range}");
        }
        assert_eq!(asked("bytes=0-", 0), Wanted::Beyond);
        assert_eq!(asked("bytes=-5", 0), Wanted::Whole);
    }

    #[test]
    fn several_ranges_and_what_is_none_get_the_whole() {
        for range in [
            "bytes=0-1,4-5",
            "bytes=0-1, 3-",
            "items=0-1",
            "bytes=",
            "bytes",
            "bytes=a-b",
            "bytes=5-2",
            "bytes=--1",
            "bytes=0-99999999999999999999999999999999999",
            "",
        ] {
            assert_eq!(asked(range, 10), Wanted::Whole, "{range}");
        }
        assert_eq!(wanted(&HeaderMap::new(), "\"a\"", 10), Wanted::Whole);
    }

    #[test]
    fn a_part_of_another_version_is_not_given() {
        for (tag, result) in [
            ("\"a\"", Wanted::Part(1..=2)),
            ("\"b\"", Wanted::Whole),
            ("W/\"a\"", Wanted::Whole),
            ("Sun, 22 Nov 2026 10:00:00 GMT", Wanted::Whole),
        ] {
            let headers = headers(&[("range", "bytes=1-2"), ("if-range", tag)]);
            assert_eq!(wanted(&headers, "\"a\"", 10), result, "{tag}");
        }
    }

    #[test]
    fn a_tag_that_the_caller_has_is_found() {
        for (tags, has) in [
            ("\"a\"", true),
            ("W/\"a\"", true),
            ("\"b\", \"a\"", true),
            ("*", true),
            ("\"b\"", false),
            ("a", false),
        ] {
            assert_eq!(has_it(&headers(&[("if-none-match", tags)]), "\"a\""), has, "{tags}");
        }
        assert!(!has_it(&HeaderMap::new(), "\"a\""));
    }
}
