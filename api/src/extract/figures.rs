//! Queries of the Studio and of the boards, as published clients send them.

use std::str::FromStr;

use atelier_domain::Date;
use atelier_domain::costs::day_of;
use atelier_domain::operation::{Operation, Provider};
use atelier_domain::request::{FieldError, media_type};
use axum::extract::FromRequestParts;
use http::request::Parts;

use super::costs;
use super::query::{DEFAULT_LIMIT, clamped, page_limit, page_number, pairs, short, unknown, word};
use crate::error::ApiError;
use crate::state::ApiState;

/// Days of a board that names none.
const USUAL_DAYS: u32 = 30;
/// Most days of a board.
const MOST_DAYS: u32 = 400;

/// Which models of the Studio to list.
pub(crate) struct StudioQuery {
    pub(crate) provider: Option<Provider>,
    pub(crate) is_active: Option<bool>,
    pub(crate) page: u32,
    pub(crate) limit: u32,
    /// Those that the word may mean; any where it is absent.
    operations: Option<[Option<Operation>; 2]>,
}

impl StudioQuery {
    /// Whether the word for the kind of media may mean this.
    pub(crate) fn fits(&self, operation: Operation) -> bool {
        self.operations.is_none_or(|meant| meant.contains(&Some(operation)))
    }
}

impl FromRequestParts<ApiState> for StudioQuery {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &ApiState) -> Result<Self, ApiError> {
        let mut query =
            Self { provider: None, is_active: None, page: 1, limit: DEFAULT_LIMIT, operations: None };
        let mut problems = Vec::new();
        for (name, text) in pairs(parts)? {
            match name.as_str() {
                "page" => query.page = page_number(&text),
                "limit" => query.limit = page_limit(&text),
                "provider" | "media_type" | "is_active" if text.is_empty() => {}
                "provider" => query.provider = word(&name, &text, Provider::from_str, &mut problems),
                "is_active" => query.is_active = word(&name, &text, flag, &mut problems),
                "media_type" => {
                    let meant = [media_type(&text, false), media_type(&text, true)];
                    if meant == [None, None] {
                        let expected = format!("one of {}, or speech, image, video", Operation::expected());
                        problems.push(FieldError::new(
                            "media_type",
                            format!("is `{}`", short(&text)),
                            expected,
                        ));
                    }
                    query.operations = Some(meant);
                }
                _ => problems.push(unknown(&name, &["provider", "media_type", "is_active", "page", "limit"])),
            }
        }
        if problems.is_empty() { Ok(query) } else { Err(ApiError::fields(&problems)) }
    }
}

/// The published clients send `true` or `1`.
fn flag(text: &str) -> Result<bool, String> {
    match text {
        "true" | "True" | "1" => Ok(true),
        "false" | "False" | "0" => Ok(false),
        _ => Err("one of true, false, 1, 0 was expected".to_owned()),
    }
}

/// From which day to which, both included.
pub(crate) struct SummaryQuery {
    pub(crate) from: Date,
    pub(crate) to: Date,
}

impl FromRequestParts<ApiState> for SummaryQuery {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, ApiError> {
        let mut asked = pairs(parts)?;
        let mut problems = Vec::new();
        for (name, text) in &mut asked {
            if name != "from" && name != "to" {
                problems.push(unknown(name, &["from", "to"]));
            }
            // Clients send days or whole times; the books have days.
            if text.len() > 10 && text.is_char_boundary(10) && text.get(10..11) == Some("T") {
                text.truncate(10);
            }
        }
        if !problems.is_empty() {
            return Err(ApiError::fields(&problems));
        }
        let read =
            costs::read(&asked, day_of(state.now()?)).map_err(|problems| ApiError::fields(&problems))?;
        Ok(Self { from: read.from, to: read.to })
    }
}

/// How many days a board shows.
pub(crate) struct DaysQuery(pub(crate) u32);

impl FromRequestParts<ApiState> for DaysQuery {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &ApiState) -> Result<Self, ApiError> {
        let mut days = USUAL_DAYS;
        let mut problems = Vec::new();
        for (name, text) in pairs(parts)? {
            match (name.as_str(), clamped(&text, 1, MOST_DAYS)) {
                ("days", Some(number)) => days = number,
                ("days", None) => {
                    let expected = format!("a number from 1 to {MOST_DAYS}");
                    problems.push(FieldError::new("days", format!("is `{}`", short(&text)), expected));
                }
                (_, _) => problems.push(unknown(&name, &["days"])),
            }
        }
        if problems.is_empty() { Ok(Self(days)) } else { Err(ApiError::fields(&problems)) }
    }
}
