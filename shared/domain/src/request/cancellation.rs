//! The body of a request that cancels many jobs.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::fields::{Fields, refuse_unknown};
use super::operator::{object_of, read_ids};
use super::problem::{FieldError, Problems, kind_of, quoted};
use crate::Timestamp;
use crate::ids::JobId;
use crate::listing::{JobFilter, ListPlace};
use crate::operation::{Operation, Provider};
use crate::state::State;

/// Which jobs are to be cancelled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cancellation {
    /// These.
    Jobs(Vec<JobId>),
    /// Those that fit, newest first.
    Fitting {
        /// Which. It names no state that a job has ended in.
        filter: Box<JobFilter>,
        /// Behind which place an earlier call ended.
        behind: Option<ListPlace>,
    },
}

const EXPECTED: &str = "either `job_ids` or `filter`; `{\"filter\": {}}` means all that have not ended";
const FILTERS: &[&str] =
    &["status", "provider", "operation", "model", "created_after", "created_before", "metadata"];

/// Reads `{"job_ids": [...]}` or `{"filter": {...}, "cursor": "..."}`; an empty filter means all jobs that have not
/// ended.
pub fn parse_cancellation(body: &Value) -> Result<Cancellation, Vec<FieldError>> {
    let mut problems = Problems::default();
    let object = object_of(body, &mut problems, EXPECTED)?;
    let mut fields = Fields::new(object, &mut problems);
    fields.refuse_unknown(&["job_ids", "filter", "cursor"]);
    let behind = read_cursor(&mut fields);
    let cancellation = match (object.get("job_ids"), fields.object("filter")) {
        (Some(ids), None) if !fields.is_given("filter") => {
            if fields.is_given("cursor") {
                fields.push("cursor", "is given beside `job_ids`", "a cursor beside `filter` only");
            }
            read_ids(ids, &mut fields).map(Cancellation::Jobs)
        }
        (None | Some(Value::Null), Some(filter)) => {
            let filter = Box::new(read_filter(filter, &mut fields));
            Some(Cancellation::Fitting { filter, behind })
        }
        (_, _) => {
            if !fields.was_wrong("filter") {
                fields.push("job_ids", "and `filter` are both given, or both missing", EXPECTED);
            }
            None
        }
    };
    match (cancellation, problems.is_empty()) {
        (Some(cancellation), true) => Ok(cancellation),
        (Some(_) | None, _) => Err(problems.into_vec()),
    }
}

fn read_cursor(fields: &mut Fields<'_, '_>) -> Option<ListPlace> {
    let text = fields.text("cursor")?;
    let place = text.parse();
    if let Err(problem) = &place {
        fields.push("cursor", format!("{problem}"), "the `next_cursor` of an earlier answer");
    }
    place.ok()
}

fn read_filter(filter: &Map<String, Value>, outer: &mut Fields<'_, '_>) -> JobFilter {
    let mut problems = Problems::default();
    refuse_unknown(filter.keys(), FILTERS, "", &mut problems);
    let mut fields = Fields::new(filter, &mut problems);
    let read = JobFilter {
        states: read_states(filter.get("status"), &mut fields),
        provider: fields.word("provider", str::parse::<Provider>, Provider::expected),
        operation: fields.word("operation", Operation::parse, Operation::expected),
        model: fields.text("model").map(str::to_owned),
        created_after: read_instant("created_after", &mut fields),
        created_before: read_instant("created_before", &mut fields),
        metadata: read_metadata(&mut fields),
        ..JobFilter::default()
    };
    for problem in problems.into_vec() {
        let field = format!("filter.{}", problem.field);
        outer.push_error(FieldError { field, ..problem });
    }
    read
}

/// All states that a job can be cancelled in, where none is named.
fn read_states(given: Option<&Value>, fields: &mut Fields<'_, '_>) -> Vec<State> {
    let open = || State::ALL.iter().copied().filter(|state| !state.is_terminal());
    let expected =
        || format!("some of {}", open().map(|state| state.as_str()).collect::<Vec<_>>().join(", "));
    let words: Vec<&Value> = match given {
        None | Some(Value::Null) => return open().collect(),
        Some(Value::Array(words)) if !words.is_empty() => words.iter().collect(),
        Some(word) => vec![word],
    };
    let mut states = Vec::new();
    for word in words {
        let found = word.as_str().and_then(|text| open().find(|state| state.as_str() == text));
        match found {
            Some(state) if states.contains(&state) => {}
            Some(state) => states.push(state),
            None => {
                let problem = word.as_str().map_or_else(|| kind_of(word).to_owned(), quoted);
                fields.push("status", format!("is {problem}"), expected());
            }
        }
    }
    states
}

fn read_instant(name: &str, fields: &mut Fields<'_, '_>) -> Option<Timestamp> {
    let text = fields.text(name)?;
    let found = text.parse().ok();
    if found.is_none() {
        fields.push(
            name,
            format!("is {}, which is no time", quoted(text)),
            "a time as in 2026-11-25T10:00:00Z",
        );
    }
    found
}

fn read_metadata(fields: &mut Fields<'_, '_>) -> BTreeMap<String, String> {
    let mut metadata = BTreeMap::new();
    for (key, value) in fields.object("metadata").into_iter().flatten() {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            Value::Bool(word) => word.to_string(),
            Value::Null | Value::Array(_) | Value::Object(_) => {
                let name: String = key.chars().take(64).collect();
                let problem = format!("is {}", kind_of(value));
                fields.push(&format!("metadata.{name}"), problem, "a text, a number, true or false");
                continue;
            }
        };
        metadata.insert(key.clone(), text);
    }
    metadata
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn filter_of(body: &Value) -> JobFilter {
        match parse_cancellation(body).unwrap() {
            Cancellation::Fitting { filter, .. } => *filter,
            Cancellation::Jobs(_) => panic!("ids were read"),
        }
    }

    #[test]
    fn ids_or_a_filter_are_read() {
        let id = JobId::new();
        assert_eq!(parse_cancellation(&json!({"job_ids": [id]})), Ok(Cancellation::Jobs(vec![id.clone()])));
        let filter = filter_of(&json!({"filter": {
            "status": ["queued", "awaiting", "queued"], "provider": "luma", "operation": "video_gen",
            "model": "ray-2", "created_before": "2026-11-25T10:00:00Z", "metadata": {"order": 17, "team": "blue"}
        }}));
        assert_eq!(filter.states, [State::Queued, State::Awaiting]);
        assert_eq!((filter.provider, filter.operation), (Some(Provider::Luma), Some(Operation::VideoGen)));
        assert_eq!(filter.model.as_deref(), Some("ray-2"));
        assert_eq!(filter.created_before, Some("2026-11-25T10:00:00Z".parse().unwrap()));
        assert_eq!((filter.metadata["order"].as_str(), filter.metadata["team"].as_str()), ("17", "blue"));
        let place = ListPlace { order: 5, id };
        let body = json!({"filter": {"status": "queued"}, "cursor": place.to_string()});
        let Ok(Cancellation::Fitting { filter, behind }) = parse_cancellation(&body) else {
            panic!("{body}")
        };
        assert_eq!((filter.states, behind), (vec![State::Queued], Some(place)));
    }

    #[test]
    fn an_empty_filter_means_all_that_can_be_cancelled() {
        let states = filter_of(&json!({"filter": {}})).states;
        assert_eq!(states.len(), 5);
        assert!(states.iter().all(|state| !state.is_terminal()));
    }

    #[test]
    fn what_cannot_be_meant_is_named() {
        let id = JobId::new();
        for (body, field) in [
            (json!([]), "body"),
            (json!({}), "job_ids"),
            (json!({"job_ids": [id], "filter": {}}), "job_ids"),
            (json!({"job_ids": []}), "job_ids"),
            (
                json!({"job_ids": [id], "cursor": ListPlace { order: 1, id: id.clone() }.to_string()}),
                "cursor",
            ),
            (json!({"filter": {}, "cursor": "x"}), "cursor"),
            (json!({"filter": {"status": "failed"}}), "filter.status"),
            (json!({"filter": {"status": ["queued", 3]}}), "filter.status"),
            (json!({"filter": {"provider": "acme"}}), "filter.provider"),
            (json!({"filter": {"models": "x"}}), "filter.models"),
            (json!({"filter": {"created_after": "noon"}}), "filter.created_after"),
            (json!({"filter": {"metadata": {"a": []}}}), "filter.metadata.a"),
            (json!({"filter": 1}), "filter"),
        ] {
            let found: Vec<String> =
                parse_cancellation(&body).unwrap_err().into_iter().map(|problem| problem.field).collect();
            assert_eq!(found, [field], "{body}");
        }
    }
}
