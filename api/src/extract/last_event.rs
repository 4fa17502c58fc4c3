//! The last event that a client of an event stream has seen.

use std::fmt::Display;
use std::str::FromStr;

use atelier_domain::request::FieldError;
use axum::extract::FromRequestParts;
use http::request::Parts;

use super::query::{pairs, unknown};
use crate::error::ApiError;
use crate::state::ApiState;

const HEADER: &str = "Last-Event-ID";
const QUERY: &str = "last_event_id";

/// The header `Last-Event-ID`, which clients send by themselves when they come back, or `last_event_id` in the query, for
/// those that cannot set a header. The header wins: it is the newer one.
pub(crate) struct LastEvent<T>(pub Option<T>);

impl<T> FromRequestParts<ApiState> for LastEvent<T>
where
    T: FromStr + Send,
    T::Err: Display,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &ApiState) -> Result<Self, ApiError> {
        let mut named = None;
        let mut problems = Vec::new();
        for (name, text) in pairs(parts)? {
            match name.as_str() {
                QUERY if text.is_empty() => {}
                QUERY => named = Some((QUERY, text)),
                _ => problems.push(unknown(&name, &[QUERY])),
            }
        }
        // An empty one is how clients say that they have seen nothing.
        if let Some(value) = parts.headers.get(HEADER).filter(|value| !value.is_empty()) {
            named = Some((HEADER, String::from_utf8_lossy(value.as_bytes()).into_owned()));
        }
        let mut last = None;
        if let Some((field, text)) = named {
            match text.trim().parse() {
                Ok(id) => last = Some(id),
                Err(problem) => {
                    let expected = "the `id` of an event of this stream, or nothing";
                    problems.push(FieldError::new(field, format!("{problem}"), expected));
                }
            }
        }
        if problems.is_empty() { Ok(Self(last)) } else { Err(ApiError::fields(&problems)) }
    }
}
