//! Typed access to the fields of a JSON object. A field of the wrong type is a problem and reads as absent, so that
//! reading goes on and finds the other problems.

use serde_json::{Map, Value};

use super::nearest::nearest;
use super::problem::{FieldError, Problems, kind_of, quoted};

pub(super) struct Fields<'a, 'p> {
    object: &'a Map<String, Value>,
    problems: &'p mut Problems,
}

impl<'a, 'p> Fields<'a, 'p> {
    pub(super) fn new(object: &'a Map<String, Value>, problems: &'p mut Problems) -> Self {
        Self { object, problems }
    }

    pub(super) fn push(&mut self, field: &str, problem: impl Into<String>, expected: impl Into<String>) {
        self.problems.push(field, problem, expected);
    }

    pub(super) fn push_error(&mut self, error: FieldError) {
        self.problems.push_error(error);
    }

    pub(super) fn with_problems(&mut self, check: impl FnOnce(&mut Problems)) {
        check(self.problems);
    }

    /// Names every field that is not in `known`, with the one that was probably meant.
    pub(super) fn refuse_unknown(&mut self, known: &[&str]) {
        refuse_unknown(self.object.keys(), known, "", self.problems);
    }

    /// Whether the field is there and not null.
    pub(super) fn is_given(&self, name: &str) -> bool {
        self.value(name).is_some()
    }

    /// Whether a problem of the field is known already.
    pub(super) fn was_wrong(&self, name: &str) -> bool {
        self.problems.names(name)
    }

    pub(super) fn text(&mut self, name: &str) -> Option<&'a str> {
        self.typed(name, "a string", Value::as_str)
    }

    pub(super) fn boolean(&mut self, name: &str) -> Option<bool> {
        self.typed(name, "true or false", Value::as_bool)
    }

    pub(super) fn object(&mut self, name: &str) -> Option<&'a Map<String, Value>> {
        self.typed(name, "an object", Value::as_object)
    }

    pub(super) fn integer(&mut self, name: &str, min: u64, max: u64) -> Option<u64> {
        let value = self.value(name)?;
        let found = value.as_u64().filter(|number| (min..=max).contains(number));
        if found.is_none() {
            let problem = match value {
                Value::Number(number) => format!("is {number}"),
                other => format!("is {}", kind_of(other)),
            };
            self.problems.push(name, problem, format!("a whole number from {min} to {max}"));
        }
        found
    }

    /// A word of a fixed set; `expected` lists them.
    pub(super) fn word<T, E>(
        &mut self,
        name: &str,
        parse: impl Fn(&str) -> Result<T, E>,
        expected: impl Fn() -> String,
    ) -> Option<T> {
        let text = self.text(name)?;
        let found = parse(text).ok();
        if found.is_none() {
            self.problems.push(name, format!("is {}", quoted(text)), format!("one of {}", expected()));
        }
        found
    }

    pub(super) fn required_word<T, E>(
        &mut self,
        name: &str,
        parse: impl Fn(&str) -> Result<T, E>,
        expected: impl Fn() -> String,
    ) -> Option<T> {
        if !self.is_given(name) {
            self.problems.push(name, "is missing", format!("one of {}", expected()));
        }
        self.word(name, parse, expected)
    }

    fn value(&self, name: &str) -> Option<&'a Value> {
        self.object.get(name).filter(|value| !value.is_null())
    }

    fn typed<T>(&mut self, name: &str, expected: &str, read: impl Fn(&'a Value) -> Option<T>) -> Option<T> {
        let value = self.value(name)?;
        let found = read(value);
        if found.is_none() {
            self.problems.push(name, format!("is {}", kind_of(value)), expected);
        }
        found
    }
}

/// Names every key that is not known. `prefix` is the path of the object, with its dot.
pub(super) fn refuse_unknown<'k>(
    keys: impl Iterator<Item = &'k String>,
    known: &[&str],
    prefix: &str,
    problems: &mut Problems,
) {
    for key in keys.filter(|key| !known.contains(&key.as_str())) {
        if problems.is_full() {
            return;
        }
        let shown: String = key.chars().take(64).collect();
        let expected = match nearest(key, known.iter().copied()) {
            Some(meant) => format!("`{prefix}{meant}`, if that was meant"),
            None if known.is_empty() => "no field".to_owned(),
            None => format!("one of {}", known.join(", ")),
        };
        problems.push(format!("{prefix}{shown}"), "is not a known field", expected);
    }
}
