//! What is wrong with a request, in words a caller can act on.

use std::fmt;

use serde::Serialize;
use serde_json::Value;

/// One problem of one field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldError {
    /// Which field, with its path: `config.duration`.
    pub field: String,
    /// What is wrong, to be read after the field's name.
    pub problem: String,
    /// What would be right.
    pub expected: String,
}

impl FieldError {
    /// A problem in three parts.
    pub fn new(field: impl Into<String>, problem: impl Into<String>, expected: impl Into<String>) -> Self {
        Self { field: field.into(), problem: problem.into(), expected: expected.into() }
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` {} (expected: {})", self.field, self.problem, self.expected)
    }
}

/// All problems of a request, at most [`Problems::LIMIT`]: a hostile body must not make a long answer.
#[derive(Debug, Default)]
pub(super) struct Problems(Vec<FieldError>);

impl Problems {
    pub(super) const LIMIT: usize = 50;

    pub(super) fn push(
        &mut self,
        field: impl Into<String>,
        problem: impl Into<String>,
        expected: impl Into<String>,
    ) {
        self.push_error(FieldError::new(field, problem, expected));
    }

    pub(super) fn push_error(&mut self, error: FieldError) {
        if !self.is_full() {
            self.0.push(error);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.0.len() >= Self::LIMIT
    }

    pub(super) fn names(&self, field: &str) -> bool {
        self.0.iter().any(|error| error.field == field)
    }

    pub(super) fn into_vec(self) -> Vec<FieldError> {
        self.0
    }
}

/// The type of a value, in a sentence.
pub(super) fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(number) if number.is_f64() => "a number with a fraction",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// A foreign word for a message: quoted, and cut where it is long.
pub(super) fn quoted(text: &str) -> String {
    const LIMIT: usize = 64;
    let mut short: String = text.chars().take(LIMIT).filter(|c| !c.is_control()).collect();
    if text.chars().nth(LIMIT).is_some() {
        short.push('…');
    }
    format!("`{short}`")
}

/// Words with commas between them.
pub(super) fn list<T: fmt::Display>(words: &[T]) -> String {
    words.iter().map(T::to_string).collect::<Vec<_>>().join(", ")
}
