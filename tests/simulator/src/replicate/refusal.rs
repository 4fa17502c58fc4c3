//! Requests that are refused, each in the provider's form.

use serde_json::{Value, json};

use crate::answer::Answer;

/// Why a request is refused.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    NotFound,
    /// The version is not there.
    Version,
    /// The request cannot be read.
    Unreadable(String),
    /// Fields are wrong.
    Fields(Vec<Invalid>),
}

/// An entry of `invalid_fields`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Invalid {
    pub(crate) kind: &'static str,
    /// The path of the property, empty for the body itself.
    pub(crate) field: String,
    pub(crate) description: String,
}

impl Invalid {
    pub(crate) fn new(kind: &'static str, field: &str, description: impl Into<String>) -> Self {
        Self { kind, field: field.to_owned(), description: description.into() }
    }
}

impl Refusal {
    /// The refusal of one field.
    pub(crate) fn field(kind: &'static str, field: &str, description: &str) -> Self {
        Self::Fields(vec![Invalid::new(kind, field, description)])
    }

    pub(crate) fn answer(&self) -> Answer {
        let (status, body) = match self {
            Self::NotFound => {
                (404, json!({"detail": "The requested resource could not be found.", "status": 404}))
            }
            Self::Version => {
                let detail = "The version does not exist, or this account may not use it.";
                (422, json!({"title": "Invalid version or not permitted", "detail": detail, "status": 422}))
            }
            Self::Unreadable(detail) => (400, json!({"detail": detail, "status": 400})),
            Self::Fields(invalid) => (422, fields(invalid)),
        };
        Answer::problem(status, body)
    }
}

fn fields(invalid: &[Invalid]) -> Value {
    let line = |invalid: &Invalid| match invalid.field.as_str() {
        "" => format!("- {}\n", invalid.description),
        field => format!("- {field}: {}\n", invalid.description),
    };
    let entry = |invalid: &Invalid| json!({"type": invalid.kind, "field": invalid.field, "description": invalid.description});
    json!({
        "title": "Input validation failed",
        "detail": invalid.iter().map(line).collect::<String>(),
        "status": 422,
        "invalid_fields": invalid.iter().map(entry).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_has_one_line_a_field() {
        let body = fields(&[
            Invalid::new("required", "", "version is required"),
            Invalid::new("number_lte", "input.num_outputs", "Must be less than or equal to 4"),
        ]);
        assert_eq!(
            body["detail"],
            "- version is required\n- input.num_outputs: Must be less than or equal to 4\n"
        );
        assert_eq!(body["invalid_fields"][1]["field"], "input.num_outputs");
    }
}
