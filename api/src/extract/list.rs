//! The query of a list of jobs.

use std::str::FromStr;

use atelier_domain::Timestamp;
use atelier_domain::operation::{Operation, Provider};
use atelier_domain::ports::{Among, JobFilter, ListPlace};
use atelier_domain::request::FieldError;
use atelier_domain::state::State;
use axum::extract::FromRequestParts;
use http::request::Parts;

use super::query::{DEFAULT_LIMIT, page_limit, page_number, pairs, short, unknown, word};
use crate::error::ApiError;
use crate::state::ApiState;

/// Most facts of metadata in one query.
const MAX_METADATA: usize = 8;
const METADATA: &str = "metadata.";
const NAMES: &[&str] = &[
    "status",
    "operation",
    "provider",
    "model",
    "created_after",
    "created_before",
    "metadata.<key>",
    "cursor",
    "page",
    "limit",
];

/// Which jobs to list.
#[derive(Debug)]
pub(crate) struct ListQuery {
    pub(crate) filter: JobFilter,
    pub(crate) by: By,
}

/// How a caller goes through a list.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum By {
    /// By numbers of pages.
    Page,
    /// From a place on; from the newest without one.
    Cursor(Option<ListPlace>),
}

impl FromRequestParts<ApiState> for ListQuery {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &ApiState) -> Result<Self, ApiError> {
        read(&pairs(parts)?).map_err(|problems| ApiError::fields(&problems))
    }
}

fn read(pairs: &[(String, String)]) -> Result<ListQuery, Vec<FieldError>> {
    let mut filter = JobFilter { page: 1, limit: DEFAULT_LIMIT, ..JobFilter::default() };
    let mut by = By::Page;
    let mut problems = Vec::new();
    for (name, text) in pairs {
        match name.as_str() {
            "page" => filter.page = page_number(text),
            "limit" => filter.limit = page_limit(text),
            // An empty one is the beginning: so a caller says that it will go on by cursors.
            "cursor" if text.is_empty() => by = By::Cursor(None),
            "cursor" => match text.parse() {
                Ok(place) => by = By::Cursor(Some(place)),
                Err(problem) => {
                    let expected = "the `next_cursor` of an answer, or nothing for the beginning";
                    problems.push(FieldError::new("cursor", format!("{problem}"), expected));
                }
            },
            // An empty filter is how forms say "all".
            "status" | "operation" | "provider" | "model" | "created_after" | "created_before"
                if text.is_empty() => {}
            "status" => {
                let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
                filter.states = words.filter_map(|text| word(name, text, status, &mut problems)).collect();
            }
            "operation" => filter.operation = word(name, text, Operation::parse, &mut problems),
            "provider" => filter.provider = word(name, text, Provider::from_str, &mut problems),
            "model" => filter.model = Some(text.clone()),
            "created_after" => filter.created_after = instant(name, text, &mut problems),
            "created_before" => filter.created_before = instant(name, text, &mut problems),
            _ => match name.strip_prefix(METADATA).filter(|key| !key.is_empty()) {
                Some(key) => {
                    filter.metadata.insert(key.to_owned(), text.clone());
                }
                None => problems.push(unknown(name, NAMES)),
            },
        }
    }
    if filter.metadata.len() > MAX_METADATA {
        let what = format!("is asked for {} facts", filter.metadata.len());
        problems.push(FieldError::new("metadata", what, format!("at most {MAX_METADATA}")));
    }
    if by != By::Page && pairs.iter().any(|(name, _)| name == "page") {
        problems.push(FieldError::new("page", "is given beside `cursor`", "one of the two"));
    }
    if filter.states == [State::Uncertain] {
        filter.among = Among::Uncertain;
    }
    if problems.is_empty() { Ok(ListQuery { filter, by }) } else { Err(problems) }
}

fn status(text: &str) -> Result<State, String> {
    let known = || State::ALL.iter().map(|state| state.as_str()).collect::<Vec<_>>().join(", ");
    let found = State::ALL.iter().copied().find(|state| state.as_str() == text);
    found.ok_or_else(|| format!("one of {} was expected", known()))
}

fn instant(name: &str, text: &str, problems: &mut Vec<FieldError>) -> Option<Timestamp> {
    let found = text.parse().ok();
    if found.is_none() {
        let what = format!("is `{}`, which is no time", short(text));
        let expected = "a time as in 2026-11-25T10:00:00Z, its `+` written as %2B where it has one";
        problems.push(FieldError::new(name, what, expected));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use atelier_domain::ids::JobId;

    fn asked(query: &[(&str, &str)]) -> Result<ListQuery, Vec<String>> {
        let pairs: Vec<_> = query.iter().map(|(name, text)| ((*name).into(), (*text).into())).collect();
        read(&pairs).map_err(|problems| problems.into_iter().map(|problem| problem.field).collect())
    }

    #[test]
    fn a_list_goes_by_pages_until_a_cursor_is_named() {
        assert_eq!(asked(&[]).unwrap().by, By::Page);
        assert_eq!(asked(&[("cursor", "")]).unwrap().by, By::Cursor(None));
        let place = ListPlace { order: 17, id: JobId::new() };
        let query = asked(&[("cursor", &place.to_string()), ("limit", "7")]).unwrap();
        assert_eq!((query.by, query.filter.limit), (By::Cursor(Some(place)), 7));
    }

    #[test]
    fn filters_are_read() {
        let query = asked(&[
            ("status", "queued, awaiting"),
            ("model", "gen4.5"),
            ("created_after", "2026-11-25T10:00:00+01:00"),
            ("created_before", "2026-11-25T10:00:00.5Z"),
            ("metadata.order", "17"),
            ("metadata.a.b", "x=y"),
        ]);
        let filter = query.unwrap().filter;
        assert_eq!(filter.states, [State::Queued, State::Awaiting]);
        assert_eq!(filter.model.as_deref(), Some("gen4.5"));
        assert_eq!(filter.created_after, Some("2026-11-25T09:00:00Z".parse().unwrap()));
        assert_eq!(filter.created_before, Some("2026-11-25T10:00:00.500Z".parse().unwrap()));
        assert_eq!(filter.metadata["order"], "17");
        assert_eq!(filter.metadata["a.b"], "x=y");
        assert_eq!(filter.among, Among::All);
        assert_eq!(asked(&[("status", "uncertain")]).unwrap().filter.among, Among::Uncertain);
    }

    #[test]
    fn what_cannot_be_meant_is_named() {
        for (query, field) in [
            (&[("cursor", "17")][..], "cursor"),
            (&[("cursor", ""), ("page", "2")], "page"),
            (&[("created_after", "yesterday")], "created_after"),
            (&[("created_before", "2026-11-25")], "created_before"),
            (&[("status", "queued,done")], "status"),
            (&[("metadata.", "x")], "metadata."),
            (&[("metadata", "x")], "metadata"),
        ] {
            assert_eq!(asked(query).unwrap_err(), [field], "{query:?}");
        }
        let nine: Vec<_> = (0..9).map(|n| (format!("metadata.k{n}"), "x".to_owned())).collect();
        assert_eq!(read(&nine).unwrap_err()[0].field, "metadata");
    }
}
