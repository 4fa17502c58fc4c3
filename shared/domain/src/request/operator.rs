//! Bodies of requests about jobs that need a person: uncertain ones, and dead letters.

use serde_json::Value;

use super::fields::{Fields, refuse_unknown};
use super::problem::{FieldError, Problems, kind_of, quoted};
use crate::ids::JobId;
use crate::operation::{Operation, Provider};
use crate::policy::Resolution;

/// Most jobs that one request names or takes.
pub const SELECTION_LIMIT: usize = 1_000;
/// Longest id of a provider.
const REMOTE_ID_LIMIT: usize = 512;

/// Which dead letters are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// These.
    Jobs(Vec<JobId>),
    /// All that fit, newest first, at most [`SELECTION_LIMIT`] at once.
    Fitting {
        /// Only at this provider.
        provider: Option<Provider>,
        /// Only of this operation.
        operation: Option<Operation>,
    },
}

/// Reads `{"decision": "adopt", "provider_job_id": "..."}`, or `disprove` or `give_up` alone.
pub fn parse_resolution(body: &Value) -> Result<Resolution, Vec<FieldError>> {
    const DECISIONS: &str = "one of adopt, disprove, give_up";
    let mut problems = Problems::default();
    let object = object_of(body, &mut problems, "a JSON object with `decision`")?;
    let mut fields = Fields::new(object, &mut problems);
    fields.refuse_unknown(&["decision", "provider_job_id"]);
    let decision = fields.text("decision");
    if !fields.is_given("decision") {
        fields.push("decision", "is missing", DECISIONS);
    }
    let remote_id = fields.text("provider_job_id").map(str::trim).filter(|id| !id.is_empty());
    let resolution = match decision {
        Some("adopt") => {
            match remote_id {
                None if !fields.was_wrong("provider_job_id") => {
                    fields.push("provider_job_id", "is missing", "the provider's id of the work to adopt");
                }
                Some(id) if id.len() > REMOTE_ID_LIMIT || id.chars().any(char::is_control) => {
                    fields.push(
                        "provider_job_id",
                        "is no id",
                        format!("at most {REMOTE_ID_LIMIT} characters"),
                    );
                }
                Some(_) | None => {}
            }
            remote_id.map(|id| Resolution::Adopt { remote_id: id.to_owned() })
        }
        Some("disprove") => Some(Resolution::Disprove),
        Some("give_up") => Some(Resolution::GiveUp),
        Some(other) => {
            fields.push("decision", format!("is {}", quoted(other)), DECISIONS);
            None
        }
        None => None,
    };
    if remote_id.is_some() && matches!(resolution, Some(Resolution::Disprove | Resolution::GiveUp)) {
        fields.push("provider_job_id", "is given", "no id, or the decision `adopt`");
    }
    match (resolution, problems.is_empty()) {
        (Some(resolution), true) => Ok(resolution),
        (Some(_) | None, _) => Err(problems.into_vec()),
    }
}

/// Reads `{"job_ids": [...]}` or `{"filter": {"provider": ..., "operation": ...}}`; an empty filter means all.
pub fn parse_selection(body: &Value) -> Result<Selection, Vec<FieldError>> {
    const EXPECTED: &str = "either `job_ids` or `filter`; `{\"filter\": {}}` means all";
    let mut problems = Problems::default();
    let object = object_of(body, &mut problems, EXPECTED)?;
    let mut fields = Fields::new(object, &mut problems);
    fields.refuse_unknown(&["job_ids", "filter"]);
    let selection = match (object.get("job_ids"), fields.object("filter")) {
        (Some(ids), None) if !fields.is_given("filter") => read_ids(ids, &mut fields).map(Selection::Jobs),
        (None | Some(Value::Null), Some(filter)) => {
            let mut inner = Problems::default();
            let selection = read_filter(filter, &mut inner);
            for problem in inner.into_vec() {
                let field = format!("filter.{}", problem.field.trim_start_matches("filter."));
                fields.push_error(FieldError { field, ..problem });
            }
            Some(selection)
        }
        (_, _) => {
            if !fields.was_wrong("filter") {
                fields.push("job_ids", "and `filter` are both given, or both missing", EXPECTED);
            }
            None
        }
    };
    match (selection, problems.is_empty()) {
        (Some(selection), true) => Ok(selection),
        (Some(_) | None, _) => Err(problems.into_vec()),
    }
}

/// Reads a list of job ids.
pub(super) fn read_ids(ids: &Value, fields: &mut Fields<'_, '_>) -> Option<Vec<JobId>> {
    let expected = format!("1 to {SELECTION_LIMIT} job ids");
    let Some(list) = ids.as_array() else {
        fields.push("job_ids", format!("is {}", kind_of(ids)), expected);
        return None;
    };
    if list.is_empty() || list.len() > SELECTION_LIMIT {
        fields.push("job_ids", format!("has {} entries", list.len()), expected);
        return None;
    }
    let mut read = Vec::with_capacity(list.len());
    for (index, value) in list.iter().enumerate() {
        match value.as_str().and_then(|text| text.parse().ok()) {
            Some(id) => read.push(id),
            None => {
                let problem = value.as_str().map_or_else(|| kind_of(value).to_owned(), quoted);
                fields.push(&format!("job_ids.{index}"), format!("is {problem}"), "a job id");
            }
        }
    }
    Some(read)
}

fn read_filter(filter: &serde_json::Map<String, Value>, problems: &mut Problems) -> Selection {
    refuse_unknown(filter.keys(), &["provider", "operation"], "filter.", problems);
    let mut fields = Fields::new(filter, problems);
    Selection::Fitting {
        provider: fields.word("provider", str::parse::<Provider>, Provider::expected),
        operation: fields.word("operation", Operation::parse, Operation::expected),
    }
}

pub(super) fn object_of<'a>(
    body: &'a Value,
    problems: &mut Problems,
    expected: &str,
) -> Result<&'a serde_json::Map<String, Value>, Vec<FieldError>> {
    body.as_object().ok_or_else(|| {
        problems.push("body", format!("is {}", kind_of(body)), expected);
        std::mem::take(problems).into_vec()
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fields<T: std::fmt::Debug>(outcome: Result<T, Vec<FieldError>>) -> Vec<String> {
        outcome.unwrap_err().into_iter().map(|problem| problem.field).collect()
    }

    #[test]
    fn the_three_decisions_are_read() {
        let adopt = parse_resolution(&json!({"decision": "adopt", "provider_job_id": " r-1 "}));
        assert_eq!(adopt, Ok(Resolution::Adopt { remote_id: "r-1".to_owned() }));
        assert_eq!(parse_resolution(&json!({"decision": "disprove"})), Ok(Resolution::Disprove));
        assert_eq!(parse_resolution(&json!({"decision": "give_up"})), Ok(Resolution::GiveUp));
    }

    #[test]
    fn a_decision_that_cannot_be_meant_is_named() {
        for (body, field) in [
            (json!([]), "body"),
            (json!({}), "decision"),
            (json!({"decision": "forget"}), "decision"),
            (json!({"decision": "adopt"}), "provider_job_id"),
            (json!({"decision": "adopt", "provider_job_id": 3}), "provider_job_id"),
            (json!({"decision": "disprove", "provider_job_id": "r-1"}), "provider_job_id"),
            (json!({"decision": "give_up", "reason": "x"}), "reason"),
        ] {
            assert_eq!(fields(parse_resolution(&body)), [field], "{body}");
        }
    }

    #[test]
    fn a_selection_is_ids_or_a_filter() {
        let id = JobId::new();
        assert_eq!(parse_selection(&json!({"job_ids": [id]})), Ok(Selection::Jobs(vec![id])));
        let all = Selection::Fitting { provider: None, operation: None };
        assert_eq!(parse_selection(&json!({"filter": {}})), Ok(all));
        let luma =
            Selection::Fitting { provider: Some(Provider::Luma), operation: Some(Operation::VideoGen) };
        let body = json!({"filter": {"provider": "luma", "operation": "video_gen"}});
        assert_eq!(parse_selection(&body), Ok(luma));
    }

    #[test]
    fn a_selection_of_everything_must_be_said() {
        for (body, field) in [
            (json!({}), "job_ids"),
            (json!({"job_ids": [], "filter": {}}), "job_ids"),
            (json!({"job_ids": []}), "job_ids"),
            (json!({"job_ids": "x"}), "job_ids"),
            (json!({"job_ids": ["x"]}), "job_ids.0"),
            (json!({"filter": 1}), "filter"),
            (json!({"filter": {"provider": "acme"}}), "filter.provider"),
            (json!({"filter": {"model": "x"}}), "filter.model"),
        ] {
            assert_eq!(fields(parse_selection(&body)), [field], "{body}");
        }
    }
}
