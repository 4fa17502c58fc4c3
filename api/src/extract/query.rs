//! Query strings. A name or word that is not known is refused with the right ones; only paging never fails.

use std::str::FromStr;
use std::time::Duration;

use atelier_domain::operation::{Operation, Provider};
use atelier_domain::request::{FieldError, nearest};
use axum::extract::{FromRequestParts, Query};
use http::request::Parts;

use crate::error::ApiError;
use crate::state::ApiState;

pub(super) const DEFAULT_LIMIT: u32 = 20;
const MAX_LIMIT: u32 = 100;

/// Which models to list.
#[derive(Default)]
pub(crate) struct ModelQuery {
    /// Only of this provider.
    pub(crate) provider: Option<Provider>,
    /// Only those that do this operation.
    pub(crate) operation: Option<Operation>,
}

impl FromRequestParts<ApiState> for ModelQuery {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &ApiState) -> Result<Self, ApiError> {
        let mut query = Self::default();
        let mut problems = Vec::new();
        for (name, text) in pairs(parts)? {
            match name.as_str() {
                "provider" | "operation" if text.is_empty() => {}
                "provider" => query.provider = word(&name, &text, Provider::from_str, &mut problems),
                "operation" => query.operation = word(&name, &text, Operation::parse, &mut problems),
                _ => problems.push(unknown(&name, &["provider", "operation"])),
            }
        }
        if problems.is_empty() { Ok(query) } else { Err(ApiError::fields(&problems)) }
    }
}

/// Which page of a list.
pub(crate) struct PageQuery {
    /// From 1.
    pub(crate) page: u32,
    /// 1 to 100.
    pub(crate) limit: u32,
}

impl FromRequestParts<ApiState> for PageQuery {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &ApiState) -> Result<Self, ApiError> {
        let mut query = Self { page: 1, limit: DEFAULT_LIMIT };
        let mut problems = Vec::new();
        for (name, text) in pairs(parts)? {
            match name.as_str() {
                "page" => query.page = page_number(&text),
                "limit" => query.limit = page_limit(&text),
                _ => problems.push(unknown(&name, &["page", "limit"])),
            }
        }
        if problems.is_empty() { Ok(query) } else { Err(ApiError::fields(&problems)) }
    }
}

/// How long to wait for the end of a job.
pub(crate) struct WaitQuery(pub Duration);

impl FromRequestParts<ApiState> for WaitQuery {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, ApiError> {
        let mut wait = Duration::ZERO;
        let mut problems = Vec::new();
        for (name, text) in pairs(parts)? {
            match (name.as_str(), text.trim().parse::<f64>()) {
                ("wait", Ok(seconds)) if !seconds.is_nan() => {
                    let longest = state.settings.max_wait();
                    wait = Duration::from_secs_f64(seconds.clamp(0.0, longest.as_secs_f64())).min(longest);
                }
                ("wait", _) => {
                    let most = state.settings.max_wait().as_secs();
                    problems.push(FieldError::new(
                        "wait",
                        "is not a number",
                        format!("seconds from 0 to {most}"),
                    ));
                }
                _ => problems.push(unknown(&name, &["wait"])),
            }
        }
        if problems.is_empty() { Ok(Self(wait)) } else { Err(ApiError::fields(&problems)) }
    }
}

pub(super) fn pairs(parts: &Parts) -> Result<Vec<(String, String)>, ApiError> {
    Query::<Vec<(String, String)>>::try_from_uri(&parts.uri)
        .map(|Query(pairs)| pairs)
        .map_err(|_| ApiError::bad_request("the query string cannot be read"))
}

/// Which page is asked for; the first where the text is none.
pub(super) fn page_number(text: &str) -> u32 {
    clamped(text, 1, u32::MAX).unwrap_or(1)
}

/// How many a page has; the usual number where the text is none.
pub(super) fn page_limit(text: &str) -> u32 {
    clamped(text, 1, MAX_LIMIT).unwrap_or(DEFAULT_LIMIT)
}

/// A number within the range. `None` for what is no whole number at all.
pub(super) fn clamped(text: &str, min: u32, max: u32) -> Option<u32> {
    let number: i128 = text.trim().parse().ok()?;
    u32::try_from(number.clamp(i128::from(min), i128::from(max))).ok()
}

/// `parse` explains itself with "one of ... was expected".
pub(super) fn word<T>(
    name: &str,
    text: &str,
    parse: impl Fn(&str) -> Result<T, String>,
    problems: &mut Vec<FieldError>,
) -> Option<T> {
    match parse(text) {
        Ok(value) => Some(value),
        Err(message) => {
            let expected = message.strip_suffix(" was expected").unwrap_or(&message);
            problems.push(FieldError::new(name, format!("is `{}`", short(text)), expected));
            None
        }
    }
}

pub(super) fn unknown(name: &str, known: &[&str]) -> FieldError {
    let expected = match nearest(name, known.iter().copied()) {
        Some(meant) => format!("`{meant}`, if that was meant"),
        None => format!("one of {}", known.join(", ")),
    };
    FieldError::new(short(name), "is not a known query parameter", expected)
}

pub(super) fn short(text: &str) -> String {
    text.chars().take(64).filter(|c| !c.is_control()).collect()
}
