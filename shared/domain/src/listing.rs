//! Lists of jobs: which ones, and where a list goes on.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::Timestamp;
use crate::ids::JobId;
use crate::job::Job;
use crate::operation::{Operation, Provider};
use crate::state::State;

/// Among which jobs of a workspace a list looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Among {
    /// All.
    #[default]
    All,
    /// Those that are uncertain.
    Uncertain,
    /// Those that failed as `exhausted` and were neither replayed nor purged.
    DeadLetters,
}

/// Which jobs to list. Newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JobFilter {
    /// Among these.
    pub among: Among,
    /// Only in one of these states; in any where none is named.
    pub states: Vec<State>,
    /// Only this operation.
    pub operation: Option<Operation>,
    /// Only at this provider.
    pub provider: Option<Provider>,
    /// Only with this model.
    pub model: Option<String>,
    /// Only those that were admitted after this instant.
    pub created_after: Option<Timestamp>,
    /// Only those that were admitted before this instant.
    pub created_before: Option<Timestamp>,
    /// Only those whose metadata say this, as text.
    pub metadata: BTreeMap<String, String>,
    /// From 1. A list by places does not look at it.
    pub page: u32,
    /// 1 to 100.
    pub limit: u32,
}

impl JobFilter {
    /// Whether every job among those fits.
    pub fn is_open(&self) -> bool {
        let Self {
            among: _,
            states,
            operation,
            provider,
            model,
            created_after,
            created_before,
            metadata,
            page: _,
            limit: _,
        } = self;
        states.is_empty()
            && operation.is_none()
            && provider.is_none()
            && model.is_none()
            && created_after.is_none()
            && created_before.is_none()
            && metadata.is_empty()
    }

    /// Whether a job fits that is among those.
    pub fn fits(&self, job: &Job) -> bool {
        let spec = &job.body.spec;
        let created_at = job.body.created_at;
        (self.states.is_empty() || self.states.contains(&job.state))
            && self.operation.is_none_or(|operation| spec.operation == operation)
            && self.provider.is_none_or(|provider| spec.provider == provider)
            && self.model.as_ref().is_none_or(|model| spec.model == *model)
            && self.created_after.is_none_or(|after| created_at > after)
            && self.created_before.is_none_or(|before| created_at < before)
            && self
                .metadata
                .iter()
                .all(|(key, text)| spec.metadata.get(key).is_some_and(|value| says(value, text)))
    }
}

/// Whether a value is this text: numbers and truth values as they stand in JSON. Lists and objects are no text.
fn says(value: &Value, text: &str) -> bool {
    match value {
        Value::String(own) => own == text,
        Value::Number(number) => number.to_string() == text,
        Value::Bool(own) => own.to_string() == text,
        Value::Null | Value::Array(_) | Value::Object(_) => false,
    }
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// How many there are on all pages.
    pub total: u64,
    /// Behind which place the list goes on; `None` at its end.
    pub next: Option<ListPlace>,
}

/// A part of a list that was walked over from place to place.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Walked {
    /// The items, newest first. They may be fewer than were asked for although the list goes on.
    pub items: Vec<Job>,
    /// Behind which place the list goes on; `None` at its end.
    pub next: Option<ListPlace>,
}

/// A place in a list of jobs, or of other things with ids, whatever comes into the list or leaves it: the order of one of
/// them in it and its id. Its text is opaque to callers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ListPlace<Id = JobId> {
    /// What the list is ordered by, falling: a time.
    pub order: i64,
    /// Among those of the same order, falling, too.
    pub id: Id,
}

/// A text that names no place of a list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("is no cursor")]
pub struct NoListPlace;

impl<Id: fmt::Display> fmt::Display for ListPlace<Id> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(format!("{}.{}", self.order, self.id)))
    }
}

impl<Id: FromStr> FromStr for ListPlace<Id> {
    type Err = NoListPlace;

    fn from_str(text: &str) -> Result<Self, NoListPlace> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| NoListPlace)?;
        let text = std::str::from_utf8(&bytes).map_err(|_| NoListPlace)?;
        let (order, id) = text.split_once('.').ok_or(NoListPlace)?;
        let order = order.parse().ok().filter(|order| *order >= 0).ok_or(NoListPlace)?;
        Ok(Self { order, id: id.parse().map_err(|_| NoListPlace)? })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::money::Cost;
    use crate::samples;

    fn job() -> Job {
        let now: Timestamp = "2026-11-25T10:00:00Z".parse().unwrap();
        let mut job = samples::admitted(Cost::unknown(), now);
        let metadata = json!({"order": 17, "team": "blue", "vip": true, "tags": ["a"]});
        job.body.spec.metadata = metadata.as_object().cloned().unwrap();
        job
    }

    #[test]
    fn a_place_comes_back_from_its_text_and_tells_nothing_by_it() {
        let place = ListPlace { order: 1_795_600_000_123_456, id: JobId::new() };
        let text = place.to_string();
        assert_eq!(text.parse(), Ok(place.clone()));
        assert!(
            !text.contains(place.id.as_str())
                && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c))
        );
    }

    #[test]
    fn what_is_no_place_is_refused() {
        let of = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let id = JobId::new();
        for text in
            ["", "abc", "!!!", &of("17"), &of("17.x"), &of(&format!("-1.{id}")), &of(&format!("x.{id}"))]
        {
            assert_eq!(text.parse::<ListPlace>(), Err(NoListPlace), "{text}");
        }
    }

    #[test]
    fn each_condition_narrows_and_all_must_hold() {
        let job = job();
        let at = |text: &str| Some(text.parse().unwrap());
        let says = |key: &str, text: &str| BTreeMap::from([(key.to_owned(), text.to_owned())]);
        let all = JobFilter::default;
        for (filter, fits) in [
            (all(), true),
            (JobFilter { states: vec![State::Awaiting, State::Queued], ..all() }, true),
            (JobFilter { states: vec![State::Awaiting], ..all() }, false),
            (JobFilter { model: Some("gen4.5".to_owned()), ..all() }, true),
            (JobFilter { model: Some("gen4".to_owned()), ..all() }, false),
            (JobFilter { created_after: at("2026-11-25T09:59:59Z"), ..all() }, true),
            (JobFilter { created_after: at("2026-11-25T10:00:00Z"), ..all() }, false),
            (JobFilter { created_before: at("2026-11-25T10:00:00.001Z"), ..all() }, true),
            (JobFilter { created_before: at("2026-11-25T10:00:00Z"), ..all() }, false),
            (JobFilter { metadata: says("order", "17"), ..all() }, true),
            (JobFilter { metadata: says("vip", "true"), ..all() }, true),
            (JobFilter { metadata: says("team", "red"), ..all() }, false),
            (JobFilter { metadata: says("tags", "a"), ..all() }, false),
            (JobFilter { metadata: says("colour", "blue"), ..all() }, false),
            (JobFilter { metadata: says("team", "blue"), provider: Some(Provider::Luma), ..all() }, false),
        ] {
            assert_eq!(filter.fits(&job), fits, "{filter:?}");
            assert_eq!(filter.is_open(), filter == all());
        }
    }
}
