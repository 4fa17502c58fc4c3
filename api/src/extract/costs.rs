//! The query of the costs: days and what they are told apart by.

use atelier_domain::Date;
use atelier_domain::costs::{CostKey, day_of, number_of};
use atelier_domain::request::{FieldError, nearest};
use axum::extract::FromRequestParts;
use http::request::Parts;

use super::query::{pairs, short, unknown};
use crate::error::ApiError;
use crate::state::ApiState;

/// Most days of one question.
const MOST_DAYS: i64 = 400;
/// Days before the last one when the first is not named: 30 in all.
const USUAL_DAYS: i64 = 29;

/// Which costs to tell.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct CostQuery {
    /// The first day.
    pub(crate) from: Date,
    /// The last day, included.
    pub(crate) to: Date,
    /// What they are told apart by.
    pub(crate) by: Vec<CostKey>,
}

impl FromRequestParts<ApiState> for CostQuery {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, ApiError> {
        read(&pairs(parts)?, day_of(state.now()?)).map_err(|problems| ApiError::fields(&problems))
    }
}

pub(super) fn read(pairs: &[(String, String)], today: Date) -> Result<CostQuery, Vec<FieldError>> {
    let mut problems = Vec::new();
    let (mut from, mut to) = (None, None);
    let mut by = vec![CostKey::Provider, CostKey::Model];
    for (name, text) in pairs {
        match name.as_str() {
            "from" => from = day(name, text, &mut problems),
            "to" => to = day(name, text, &mut problems),
            "group_by" => by = keys(text, &mut problems),
            _ => problems.push(unknown(name, &["from", "to", "group_by"])),
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let to = to.unwrap_or(today);
    let from =
        from.unwrap_or_else(|| atelier_domain::costs::day_with(number_of(to) - USUAL_DAYS).unwrap_or(to));
    let days = number_of(to) - number_of(from) + 1;
    if days < 1 {
        problems.push(FieldError::new("from", format!("is after `to`, {to}"), "the first of the days"));
    } else if days > MOST_DAYS {
        let what = format!("is {days} days before the end of `to`");
        problems.push(FieldError::new("from", what, format!("at most {MOST_DAYS} days")));
    }
    if problems.is_empty() { Ok(CostQuery { from, to, by }) } else { Err(problems) }
}

fn day(name: &str, text: &str, problems: &mut Vec<FieldError>) -> Option<Date> {
    // The reader of dates takes other forms, too.
    let day = text.parse().ok().filter(|_| text.len() == "2026-11-25".len());
    if day.is_none() {
        let what = format!("is `{}`, which is no day", short(text));
        problems.push(FieldError::new(name, what, "a day in UTC, as in 2026-11-25"));
    }
    day
}

fn keys(text: &str, problems: &mut Vec<FieldError>) -> Vec<CostKey> {
    let known = || CostKey::ALL.iter().map(|key| key.as_str());
    let mut keys = Vec::new();
    for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
        match CostKey::ALL.iter().find(|key| key.as_str() == word) {
            Some(key) if keys.contains(key) => {}
            Some(key) => keys.push(*key),
            None => {
                let expected = nearest(word, known()).map_or_else(
                    || format!("some of {}", known().collect::<Vec<_>>().join(", ")),
                    |meant| format!("`{meant}`, if that was meant"),
                );
                let what = format!("has `{}`", short(word));
                problems.push(FieldError::new("group_by", what, expected));
            }
        }
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(query: &[(&str, &str)]) -> Result<CostQuery, Vec<FieldError>> {
        let pairs: Vec<_> = query.iter().map(|(name, text)| ((*name).into(), (*text).into())).collect();
        read(&pairs, "2026-11-25".parse().unwrap())
    }

    fn refused(query: &[(&str, &str)]) -> Vec<String> {
        asked(query).unwrap_err().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn without_words_it_is_the_last_thirty_days() {
        let query = asked(&[]).unwrap();
        assert_eq!(
            (query.from.to_string(), query.to.to_string()),
            ("2026-10-27".into(), "2026-11-25".into())
        );
        assert_eq!(query.by, [CostKey::Provider, CostKey::Model]);
        let query = asked(&[("to", "2026-03-01"), ("group_by", "")]).unwrap();
        assert_eq!((query.from.to_string(), query.by), ("2026-01-31".into(), vec![]));
    }

    #[test]
    fn four_hundred_days_are_the_most() {
        assert!(asked(&[("from", "2025-10-22")]).is_ok());
        assert_eq!(
            refused(&[("from", "2025-10-21")]),
            ["`from` is 401 days before the end of `to` (expected: at most 400 days)"]
        );
        assert!(asked(&[("from", "2026-11-25"), ("to", "2026-11-25")]).is_ok());
        assert_eq!(
            refused(&[("from", "2026-11-26")]),
            ["`from` is after `to`, 2026-11-25 (expected: the first of the days)"]
        );
    }

    #[test]
    fn each_wrong_word_is_named() {
        assert_eq!(
            refused(&[
                ("from", "20261101"),
                ("to", "2026-02-30"),
                ("group_by", "models,day,week"),
                ("frm", "2026-11-01")
            ]),
            [
                "`from` is `20261101`, which is no day (expected: a day in UTC, as in 2026-11-25)",
                "`to` is `2026-02-30`, which is no day (expected: a day in UTC, as in 2026-11-25)",
                "`group_by` has `models` (expected: `model`, if that was meant)",
                "`group_by` has `week` (expected: some of day, provider, operation, model)",
                "`frm` is not a known query parameter (expected: `from`, if that was meant)",
            ]
        );
    }
}
