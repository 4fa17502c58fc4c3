//! One HTTP exchange as plain values. Providers make requests and read replies here; only the transport sends them.

use std::time::Duration;

use atelier_domain::Timestamp;
use atelier_domain::ports::ByteStream;
use atelier_domain::secret::Secret;
use bytes::Bytes;
use http::{HeaderMap, Method};
use serde_json::Value;
use url::Url;

/// A request, not sent yet. Its `Debug` form shows no secret.
#[derive(Debug, Clone)]
pub struct HttpRequest {
    /// The method.
    pub method: Method,
    /// The whole address.
    pub url: Url,
    /// The address with names instead of values (`/v1/tasks/{id}`), for span names; `None` for foreign files.
    pub template: Option<&'static str>,
    /// Headers besides those that follow from the body.
    pub headers: Vec<Header>,
    /// The body.
    pub body: Body,
    /// What a good answer is.
    pub expects: Expects,
}

/// A request header.
#[derive(Debug, Clone)]
pub struct Header {
    /// Lower case.
    pub name: &'static str,
    /// Its value.
    pub value: HeaderText,
}

/// The value of a request header.
#[derive(Debug, Clone)]
pub enum HeaderText {
    /// May be shown.
    Plain(String),
    /// A key, or made of one.
    Secret(Secret<String>),
}

/// The body of a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    /// None.
    None,
    /// JSON, sent as `application/json`.
    Json(Value),
    /// Bytes as they are.
    Bytes {
        /// What they are.
        content_type: String,
        /// The bytes.
        bytes: Bytes,
    },
    /// `multipart/form-data`, also when there is no file in it.
    Form(Vec<FormPart>),
}

/// One part of a form.
#[derive(Debug, Clone, PartialEq)]
pub struct FormPart {
    /// The field's name; a name may come again.
    pub name: String,
    /// What it holds.
    pub value: FormValue,
}

/// What a part of a form holds.
#[derive(Debug, Clone, PartialEq)]
pub enum FormValue {
    /// A plain field.
    Text(String),
    /// A file.
    File {
        /// Its name; providers guess the type by its extension.
        file_name: String,
        /// What it is.
        content_type: String,
        /// The bytes.
        bytes: Bytes,
    },
}

/// What a good answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expects {
    /// A short body, read whole into bounded memory.
    Text,
    /// A body that may hold media or long texts within JSON, read whole into memory with a larger bound.
    LargeText,
    /// Media: with a 2xx status the body is handed on as a stream, with any other it is read like text.
    Media,
}

/// An answer.
pub enum Reply {
    /// Its body was read.
    Whole(HttpReply),
    /// Its body is still coming.
    Media {
        /// Status and headers.
        head: ReplyHead,
        /// The media.
        body: ByteStream,
    },
}

/// Status and headers of an answer.
#[derive(Debug, Clone)]
pub struct ReplyHead {
    /// HTTP status.
    pub status: u16,
    /// Headers.
    pub headers: HeaderMap,
}

/// An answer whose body was read.
#[derive(Debug, Clone)]
pub struct HttpReply {
    /// Status and headers.
    pub head: ReplyHead,
    /// The body, or its beginning.
    pub body: Bytes,
    /// Whether the body was longer than the limit and the rest was not read.
    pub is_cut: bool,
}

impl Header {
    /// A header that may be shown.
    pub fn plain(name: &'static str, value: impl Into<String>) -> Self {
        Self { name, value: HeaderText::Plain(value.into()) }
    }

    /// A header that holds a key.
    pub fn secret(name: &'static str, value: String) -> Self {
        Self { name, value: HeaderText::Secret(Secret::new(value)) }
    }
}

impl FormPart {
    /// A plain field.
    pub fn text(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self { name: name.into(), value: FormValue::Text(text.into()) }
    }

    /// A file, named after its type.
    pub fn file(name: impl Into<String>, content_type: impl Into<String>, bytes: Bytes) -> Self {
        let content_type = content_type.into();
        let file_name = format!("file.{}", atelier_domain::asset::extension_of(&content_type));
        Self { name: name.into(), value: FormValue::File { file_name, content_type, bytes } }
    }
}

impl ReplyHead {
    /// Whether the status is 2xx.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// A header's text, if it is there and is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok().map(str::trim)
    }

    /// The content type without parameters, in lower case; empty when the reply names none.
    pub fn content_type(&self) -> String {
        atelier_domain::asset::essence(self.header("content-type").unwrap_or_default())
    }

    /// How long the provider asks to wait: `retry-after-ms`, or `retry-after` in seconds or as an HTTP date. A date
    /// is counted from the reply's own `date` header, so that a wrong clock on our side does not matter, else from
    /// `now`; without either it says nothing.
    pub fn retry_after(&self, now: Option<Timestamp>) -> Option<Duration> {
        if let Some(millis) = self.header("retry-after-ms").and_then(|text| text.parse::<f64>().ok()) {
            return Duration::try_from_secs_f64(millis / 1000.0).ok();
        }
        let text = self.header("retry-after")?;
        if let Ok(seconds) = text.parse::<f64>() {
            return Duration::try_from_secs_f64(seconds).ok();
        }
        let until = http_date(text)?;
        let from = self.header("date").and_then(http_date).or(now)?;
        Some(Duration::try_from(until.duration_since(from)).unwrap_or(Duration::ZERO))
    }
}

impl HttpReply {
    /// The body as JSON, if it is whole and is JSON.
    pub fn json(&self) -> Option<Value> {
        if self.is_cut {
            return None;
        }
        serde_json::from_slice(&self.body).ok()
    }

    /// What to say of a body that does not explain itself: its text when it is plain text, never a page's source.
    pub fn plain_reason(&self) -> String {
        let is_plain = matches!(self.head.content_type().as_str(), "text/plain" | "");
        match std::str::from_utf8(&self.body) {
            Ok(text) if is_plain && !text.trim().is_empty() && !text.trim_start().starts_with('<') => {
                text.to_owned()
            }
            _ => format!("it answered HTTP {} without a readable reason", self.head.status),
        }
    }
}

fn http_date(text: &str) -> Option<Timestamp> {
    jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(headers: &[(&'static str, &str)]) -> ReplyHead {
        let headers = headers
            .iter()
            .map(|(name, value)| (http::HeaderName::from_static(name), value.parse().unwrap()))
            .collect();
        ReplyHead { status: 429, headers }
    }

    #[test]
    fn waiting_hints_are_read_in_every_form() {
        let now: Timestamp = "2026-11-22T10:00:00Z".parse().unwrap();
        type Row = (&'static [(&'static str, &'static str)], Option<u64>);
        let rows: [Row; 9] = [
            (&[("retry-after", "7")], Some(7_000)),
            (&[("retry-after", "0.5")], Some(500)),
            (&[("retry-after-ms", "250"), ("retry-after", "7")], Some(250)),
            (&[("retry-after", "Sun, 22 Nov 2026 10:00:30 GMT")], Some(30_000)),
            (
                &[
                    ("retry-after", "Sun, 22 Nov 2026 08:00:05 GMT"),
                    ("date", "Sun, 22 Nov 2026 08:00:00 GMT"),
                ],
                Some(5_000),
            ),
            (&[("retry-after", "Sun, 22 Nov 2026 09:00:00 GMT")], Some(0)),
            (&[("retry-after", "-3")], None),
            (&[("retry-after", "soon")], None),
            (&[], None),
        ];
        for (headers, expected) in rows {
            let hint = head(headers).retry_after(Some(now));
            assert_eq!(hint, expected.map(Duration::from_millis), "{headers:?}");
        }
        assert_eq!(head(&[("retry-after", "Sun, 22 Nov 2026 10:00:30 GMT")]).retry_after(None), None);
    }

    #[test]
    fn inv7_a_secret_header_is_not_shown() {
        let header = Header::secret("authorization", "Bearer hunter2".to_owned());
        assert!(!format!("{header:?}").contains("hunter2"));
    }

    #[test]
    fn a_page_is_no_reason() {
        let reply =
            HttpReply { head: head(&[]), body: Bytes::from_static(b"<html>502</html>"), is_cut: false };
        assert_eq!(reply.plain_reason(), "it answered HTTP 429 without a readable reason");
    }
}
