//! The envelope of many requests at once.

use serde_json::Value;

use super::fields::Fields;
use super::problem::{FieldError, Problems, kind_of};

/// Most jobs of one batch. They reach Redis in scripts of 128.
pub const BATCH_LIMIT: usize = 1_000;

const EXPECTED: &str = "a JSON object with `jobs`, a list of requests";

/// Many requests at once.
#[derive(Debug, Clone, PartialEq)]
pub struct BatchRequest {
    /// The requests, in their order. They are not read yet.
    pub jobs: Vec<Value>,
    /// Whether one that is wrong refuses all of them; otherwise it is its own fault and not the batch's.
    pub is_all_or_nothing: bool,
}

/// Takes the requests out of `{"jobs": [...], "all_or_nothing": false}`.
pub fn parse_batch(mut body: Value) -> Result<BatchRequest, Vec<FieldError>> {
    let mut problems = Problems::default();
    match body.as_object() {
        None => problems.push("body", format!("is {}", kind_of(&body)), EXPECTED),
        Some(object) => {
            let mut fields = Fields::new(object, &mut problems);
            fields.refuse_unknown(&["jobs", "all_or_nothing"]);
            fields.boolean("all_or_nothing");
            let expected = format!("a list of 1 to {BATCH_LIMIT} requests");
            match object.get("jobs") {
                None | Some(Value::Null) => fields.push("jobs", "is missing", expected),
                Some(Value::Array(jobs)) if (1..=BATCH_LIMIT).contains(&jobs.len()) => {}
                Some(Value::Array(jobs)) => {
                    fields.push("jobs", format!("has {} entries", jobs.len()), expected);
                }
                Some(other) => fields.push("jobs", format!("is {}", kind_of(other)), expected),
            }
        }
    }
    let is_all_or_nothing = body.get("all_or_nothing").and_then(Value::as_bool).unwrap_or(false);
    match body.get_mut("jobs").map(Value::take) {
        Some(Value::Array(jobs)) if problems.is_empty() => Ok(BatchRequest { jobs, is_all_or_nothing }),
        _ => Err(problems.into_vec()),
    }
}

impl FieldError {
    /// The same problem, of a request that stands within a larger one: `place` is `jobs[3]`.
    #[must_use]
    pub fn within(self, place: &str) -> Self {
        let field = match self.field.as_str() {
            // What is no object has no fields.
            "body" => place.to_owned(),
            field => format!("{place}.{field}"),
        };
        Self { field, ..self }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn requests_are_taken_in_their_order_and_not_looked_at() {
        assert_eq!(
            parse_batch(json!({"jobs": [{"a": 1}, "x", null]})),
            Ok(BatchRequest {
                jobs: vec![json!({"a": 1}), json!("x"), json!(null)],
                is_all_or_nothing: false
            })
        );
        let full = parse_batch(json!({"jobs": vec![0; BATCH_LIMIT], "all_or_nothing": true})).unwrap();
        assert_eq!((full.jobs.len(), full.is_all_or_nothing), (BATCH_LIMIT, true));
    }

    #[test]
    fn a_wrong_envelope_is_named() {
        for (body, fields) in [
            (json!([]), vec!["body"]),
            (json!({}), vec!["jobs"]),
            (json!({"jobs": null}), vec!["jobs"]),
            (json!({"jobs": {}}), vec!["jobs"]),
            (json!({"jobs": []}), vec!["jobs"]),
            (json!({"jobs": vec![0; BATCH_LIMIT + 1]}), vec!["jobs"]),
            (json!({"jobs": [1], "priority": "low"}), vec!["priority"]),
            (json!({"jobs": [1], "all_or_nothing": "yes"}), vec!["all_or_nothing"]),
        ] {
            let problems = parse_batch(body.clone()).unwrap_err();
            let named: Vec<_> = problems.iter().map(|problem| problem.field.as_str()).collect();
            assert_eq!(named, fields, "{body}");
        }
    }

    #[test]
    fn a_problem_tells_its_place() {
        let problem = |field: &str| FieldError::new(field, "is wrong", "right").within("jobs[3]").field;
        assert_eq!(problem("config.duration"), "jobs[3].config.duration");
        assert_eq!(problem("body"), "jobs[3]");
    }
}
