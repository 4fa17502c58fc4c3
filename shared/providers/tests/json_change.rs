//! One change somewhere in JSON: for the property tests here and the fuzzer.

use serde_json::{Value, json};

/// What becomes of the value.
#[derive(Debug, Clone)]
pub enum JsonChange {
    /// Another one takes its place.
    Value(Value),
    /// It is left out by the list or the object that holds it.
    Remove,
    /// It becomes a member of a new object, under this name.
    Rename(String),
    /// It becomes the only entry of a list.
    Wrap,
    /// It becomes a list of itself.
    Repeat(usize),
}

/// How many values there are, one within the other.
pub fn places(value: &Value) -> usize {
    1 + match value {
        Value::Array(values) => values.iter().map(places).sum::<usize>(),
        Value::Object(fields) => fields.values().map(places).sum(),
        _ => 0,
    }
}

/// Changes the value with this number; `left` counts down to it, and is [`DONE`] from then on.
pub fn change_place(value: &mut Value, left: &mut usize, change: &JsonChange) {
    if *left == DONE {
        return;
    }
    if *left == 0 {
        *left = DONE;
        let old = value.take();
        *value = match change {
            JsonChange::Value(new) => new.clone(),
            JsonChange::Remove => json!({ REMOVED: true }),
            JsonChange::Rename(name) => json!({ name.as_str(): old }),
            JsonChange::Wrap => json!([old]),
            JsonChange::Repeat(times) => Value::from(vec![old; *times]),
        };
        return;
    }
    *left -= 1;
    let is_kept = |value: &Value| value.get(REMOVED).is_none();
    match value {
        Value::Array(values) => {
            values.iter_mut().for_each(|value| change_place(value, left, change));
            values.retain(is_kept);
        }
        Value::Object(fields) => {
            fields.values_mut().for_each(|value| change_place(value, left, change));
            fields.retain(|_, value| is_kept(value));
        }
        _ => {}
    }
}

const DONE: usize = usize::MAX;
/// Marks a value that whoever holds it lets go of.
const REMOVED: &str = "removed by the test";
