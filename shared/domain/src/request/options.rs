//! Whether a value is what the catalogue says an option may hold.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::fields::refuse_unknown;
use super::nearest::nearest;
use super::problem::{Problems, kind_of, quoted};
use crate::catalogue::{OptionKind, OptionSpec};

/// Checks an object against the described options; `path` names it in problems.
pub(super) fn check(
    options: &BTreeMap<String, OptionSpec>,
    given: &Map<String, Value>,
    path: &str,
    problems: &mut Problems,
) {
    let known: Vec<&str> = options.keys().map(String::as_str).collect();
    refuse_unknown(given.keys(), &known, &format!("{path}."), problems);
    for (name, spec) in options {
        let field = format!("{path}.{name}");
        match given.get(name) {
            Some(value) => {
                check_value(spec, value, &field, problems);
                check_company(spec, value, given, &field, problems);
            }
            None if spec.is_required => problems.push(field, "is missing", expected(spec)),
            None => {}
        }
    }
}

/// Whether another option has a value that this one does not go with.
fn check_company(
    spec: &OptionSpec,
    value: &Value,
    given: &Map<String, Value>,
    field: &str,
    problems: &mut Problems,
) {
    if *value == Value::Bool(false) {
        return;
    }
    for (other, refused) in &spec.not_with {
        if let Some(beside) = given.get(other).filter(|beside| refused.contains(beside)) {
            let problem = format!("is given beside `{other}` {beside}");
            problems.push(field, problem, format!("none, or another `{other}`"));
        }
    }
}

fn check_value(spec: &OptionSpec, value: &Value, field: &str, problems: &mut Problems) {
    if !spec.kinds.iter().any(|kind| is_of(*kind, value)) {
        let shown = match value {
            Value::Number(number) => number.to_string(),
            other => kind_of(other).to_owned(),
        };
        problems.push(field, format!("is {shown}"), expected(spec));
        return;
    }
    match value {
        Value::Number(number) => {
            let amount = number.as_f64().unwrap_or(f64::NAN);
            let is_in_range =
                spec.min.is_none_or(|min| amount >= min) && spec.max.is_none_or(|max| amount <= max);
            if !is_in_range || !is_listed(spec, value) {
                problems.push(field, format!("is {number}"), expected_near(spec, value));
            }
        }
        Value::String(text) => check_text(spec, value, text, field, problems),
        Value::Object(object) => check(&spec.fields, object, field, problems),
        Value::Array(list) => check_list(spec, list, field, problems),
        Value::Null | Value::Bool(_) => {}
    }
}

fn check_list(spec: &OptionSpec, list: &[Value], field: &str, problems: &mut Problems) {
    if let Some(max) = spec.max_items.filter(|max| list.len() > *max) {
        problems.push(field, format!("has {} entries", list.len()), format!("at most {max} entries"));
        return;
    }
    let Some(items) = &spec.items else { return };
    for (index, value) in list.iter().enumerate() {
        check_value(items, value, &format!("{field}[{index}]"), problems);
    }
}

fn check_text(spec: &OptionSpec, value: &Value, text: &str, field: &str, problems: &mut Problems) {
    let length = text.chars().count();
    if let Some(limit) = spec.max_length.filter(|limit| length > *limit) {
        problems.push(field, format!("has {length} characters"), format!("at most {limit} characters"));
    } else if !is_listed(spec, value) || (spec.is_token && !is_token(text)) {
        problems.push(field, format!("is {}", quoted(text)), expected_near(spec, value));
    }
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
}

fn is_of(kind: OptionKind, value: &Value) -> bool {
    match kind {
        OptionKind::Integer => value.is_i64() || value.is_u64(),
        OptionKind::Number => value.is_number(),
        OptionKind::Boolean => value.is_boolean(),
        OptionKind::String | OptionKind::File => value.is_string(),
        OptionKind::List => value.is_array(),
        OptionKind::Object => value.is_object(),
    }
}

/// An option without a list takes any value of its type.
fn is_listed(spec: &OptionSpec, value: &Value) -> bool {
    spec.one_of.is_empty() || spec.one_of.contains(value)
}

/// What the option may hold, and which of it is nearest to what was given.
fn expected_near(spec: &OptionSpec, value: &Value) -> String {
    let words = expected(spec);
    match nearest_allowed(spec, value) {
        Some(near) => format!("{words}; the nearest is {near}"),
        None => words,
    }
}

/// The allowed value that is nearest to a number or a text; for texts such as `16:9` by the ratio they stand for.
fn nearest_allowed(spec: &OptionSpec, value: &Value) -> Option<String> {
    let shown = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    if spec.one_of.is_empty() {
        let amount = value.as_f64()?;
        let bound = spec.min.filter(|min| amount < *min).or(spec.max.filter(|max| amount > *max))?;
        return Some(bound.to_string());
    }
    if let Some(amount) = measure(value) {
        let near = spec.one_of.iter().filter_map(|known| Some((measure(known)?, known)));
        let near =
            near.min_by(|(left, _), (right, _)| (left - amount).abs().total_cmp(&(right - amount).abs()));
        if let Some((_, known)) = near {
            return Some(shown(known));
        }
    }
    nearest(value.as_str()?, spec.one_of.iter().filter_map(Value::as_str)).map(str::to_owned)
}

/// A number to compare by: a number itself, `5s`, or the logarithm of a ratio such as `16:9` or `1280:720`.
fn measure(value: &Value) -> Option<f64> {
    if let Some(number) = value.as_f64() {
        return Some(number);
    }
    let text = value.as_str()?;
    match text.split_once(':') {
        Some((width, height)) => {
            let ratio = width.parse::<f64>().ok()? / height.parse::<f64>().ok()?;
            (ratio.is_finite() && ratio > 0.0).then(|| ratio.ln())
        }
        None => text.trim_end_matches('s').parse().ok(),
    }
}

/// What the option may hold, in words.
fn expected(spec: &OptionSpec) -> String {
    let words = spec.kinds.iter().map(|kind| match kind {
        OptionKind::Boolean => "true or false".to_owned(),
        OptionKind::Object => {
            let names = spec.fields.keys().map(String::as_str).collect::<Vec<_>>();
            format!("an object with {}", names.join(", "))
        }
        OptionKind::List => "a list".to_owned(),
        OptionKind::File => "a public https URL, the id of an asset, or a data: URI".to_owned(),
        OptionKind::Integer | OptionKind::Number | OptionKind::String if !spec.one_of.is_empty() => {
            let listed = spec
                .one_of
                .iter()
                .map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned));
            format!("one of {}", listed.collect::<Vec<_>>().join(", "))
        }
        OptionKind::Integer => format!("a whole number{}", range(spec)),
        OptionKind::Number => format!("a number{}", range(spec)),
        OptionKind::String if spec.is_token => "a string of letters, digits, - and _".to_owned(),
        OptionKind::String => "a string".to_owned(),
    });
    words.collect::<Vec<_>>().join(", or ")
}

fn range(spec: &OptionSpec) -> String {
    match (spec.min, spec.max) {
        (Some(min), Some(max)) => format!(" from {min} to {max}"),
        (Some(min), None) => format!(" from {min}"),
        (None, Some(max)) => format!(" up to {max}"),
        (None, None) => String::new(),
    }
}
