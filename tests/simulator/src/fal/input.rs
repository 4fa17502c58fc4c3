//! What Fal asks of a model's input: each field by its rule, every problem as an entry of the `detail` list.

use serde_json::{Map, Value, json};

use crate::fal::image::{self, Size, Trouble};
use crate::fal::models::{Field, Model, Rule};
use crate::fal::order::IMAGE_SIZES;
use crate::state::State;

/// Sides that a custom size may have (the upper end is that of the models' schemas, the lower is assumed).
const SIDE: std::ops::RangeInclusive<i64> = 8..=14142;
/// Most seconds of all transitions of `pikaframes` together.
const TRANSITION_SECONDS: f64 = 25.0;

/// Fields that were checked.
#[derive(Debug)]
pub(super) struct Input<'a> {
    fields: &'a Map<String, Value>,
    /// The size of the first picture, when it was looked into.
    pub(super) picture: Option<Size>,
}

impl<'a> Input<'a> {
    /// Checks a body, or lists what is wrong. Fields that the model does not know are ignored, as Fal does.
    pub(super) fn check(
        model: &Model,
        body: &'a Value,
        state: &State,
        base: &str,
    ) -> Result<Self, Vec<Value>> {
        let Value::Object(fields) = body else {
            let text = "Input should be a valid dictionary";
            return Err(vec![detail(json!(["body"]), text, "dict_type", body)]);
        };
        let mut checker = Checker { state, base, wrong: Vec::new(), pictures: Vec::new() };
        for field in model.fields.iter().copied().flatten() {
            match fields.get(field.name).filter(|value| !value.is_null()) {
                Some(value) => checker.field(field, value, fields),
                None if field.is_required => {
                    let input = Value::Object(fields.clone());
                    checker.wrong.push(detail(
                        json!(["body", field.name]),
                        "Field required",
                        "missing",
                        &input,
                    ));
                }
                None => {}
            }
        }
        let picture = checker.pictures.first().copied().flatten();
        if checker.wrong.is_empty() { Ok(Self { fields, picture }) } else { Err(checker.wrong) }
    }

    pub(super) fn get(&self, name: &str) -> Option<&'a Value> {
        self.fields.get(name).filter(|value| !value.is_null())
    }

    pub(super) fn text(&self, name: &str) -> Option<&'a str> {
        self.get(name)?.as_str()
    }

    pub(super) fn integer(&self, name: &str) -> Option<u64> {
        whole(self.get(name)?).and_then(|number| u64::try_from(number).ok())
    }

    pub(super) fn is_set(&self, name: &str) -> bool {
        self.get(name).and_then(Value::as_bool).unwrap_or(false)
    }

    /// Seconds, whether they are a number or text.
    pub(super) fn seconds(&self, name: &str) -> Option<u64> {
        self.get(name).and_then(seconds)
    }
}

struct Checker<'a> {
    state: &'a State,
    base: &'a str,
    wrong: Vec<Value>,
    pictures: Vec<Option<Size>>,
}

impl Checker<'_> {
    fn field(&mut self, field: &Field, value: &Value, fields: &Map<String, Value>) {
        let place = json!(["body", field.name]);
        match field.rule {
            Rule::Text { shortest } => self.text(place, shortest, value),
            Rule::Flag if value.is_boolean() => {}
            Rule::Flag => self.refuse(place, "Input should be a valid boolean", "bool_type", value),
            Rule::Integer { least, most } => self.integer(place, least, most, value),
            Rule::Number { least, most } => self.number(place, least, most, value),
            Rule::OneOf(words) => {
                if value.as_str().is_none_or(|word| !words.contains(&word)) {
                    self.none_of(place, &json!(words), value);
                }
            }
            Rule::Seconds(known) => {
                if seconds(value).is_none_or(|seconds| !known.contains(&seconds)) {
                    self.none_of(place, &json!(known), value);
                }
            }
            Rule::SecondsText { most } => {
                let number = value.as_str().and_then(|text| text.trim_end_matches('s').parse().ok());
                if number.is_none_or(|seconds: u64| !(1..=most).contains(&seconds)) {
                    self.refuse(place, "Input should be seconds as text", "one_of", value);
                }
            }
            Rule::ImageSize => self.image_size(value),
            Rule::Image => self.image(place, value),
            Rule::Images { least, most } => self.images(field.name, least, most, value),
            Rule::Transitions => self.transitions(field.name, value, fields),
            Rule::List if value.is_array() => {}
            Rule::List => self.refuse(place, "Input should be a valid list", "list_type", value),
            Rule::Object if value.is_object() => {}
            Rule::Object => self.refuse(place, "Input should be a valid dictionary", "dict_type", value),
        }
    }

    fn text(&mut self, place: Value, shortest: usize, value: &Value) {
        match value.as_str() {
            None => self.refuse(place, "Input should be a valid string", "string_type", value),
            Some(text) if text.chars().count() < shortest => {
                let message = format!("String should have at least {shortest} character");
                let context = json!({"min_length": shortest});
                self.refuse_with(place, &message, "sequence_too_short", value, context);
            }
            Some(_) => {}
        }
    }

    fn integer(&mut self, place: Value, least: i64, most: i64, value: &Value) {
        match whole(value) {
            None => self.refuse(place, "Input should be a valid integer", "int_type", value),
            Some(number) if number < least => self.too_small(place, &json!(least), value),
            Some(number) if number > most => self.too_large(place, &json!(most), value),
            Some(_) => {}
        }
    }

    fn number(&mut self, place: Value, least: f64, most: f64, value: &Value) {
        match value.as_f64() {
            None => self.refuse(place, "Input should be a valid number", "float_type", value),
            Some(number) if number < least => self.too_small(place, &json!(least), value),
            Some(number) if number > most => self.too_large(place, &json!(most), value),
            Some(_) => {}
        }
    }

    fn image_size(&mut self, value: &Value) {
        let is_named =
            value.as_str().is_some_and(|name| IMAGE_SIZES.iter().any(|(known, ..)| *known == name));
        if is_named {
            return;
        }
        let (Some(width), Some(height)) = (value.get("width"), value.get("height")) else {
            let names: Vec<&str> = IMAGE_SIZES.iter().map(|(name, ..)| *name).collect();
            return self.none_of(json!(["body", "image_size"]), &json!(names), value);
        };
        for (name, side) in [("width", width), ("height", height)] {
            self.integer(json!(["body", "image_size", name]), *SIDE.start(), *SIDE.end(), side);
        }
    }

    fn image(&mut self, place: Value, value: &Value) {
        let looked = value.as_str().map(|text| image::look(text, self.state, self.base));
        match looked {
            None => self.refuse(place, "Input should be a valid string", "string_type", value),
            Some(Ok(size)) => self.pictures.push(size),
            Some(Err(Trouble::Download)) => {
                let text =
                    "Failed to download the file. Please check if the URL is accessible and try again.";
                self.refuse(place, text, "file_download_error", value);
            }
            Some(Err(Trouble::Load)) => {
                let text = "Failed to load the image. Please ensure the image file is not corrupted and is in a supported format.";
                // A broken picture may be megabytes of text, which nobody wants back.
                let shown: String = value.as_str().unwrap_or_default().chars().take(100).collect();
                self.refuse(place, text, "image_load_error", &shown.into());
            }
        }
    }

    fn images(&mut self, name: &str, least: usize, most: usize, value: &Value) {
        let place = json!(["body", name]);
        let Value::Array(list) = value else {
            return self.refuse(place, "Input should be a valid list", "list_type", value);
        };
        if list.len() < least {
            let text = format!("List should have at least {least} items");
            return self.refuse_with(place, &text, "sequence_too_short", value, json!({"min_length": least}));
        }
        if list.len() > most {
            let text = format!("List should have at most {most} items");
            return self.refuse_with(place, &text, "sequence_too_long", value, json!({"max_length": most}));
        }
        for (index, image) in list.iter().enumerate() {
            self.image(json!(["body", name, index]), image);
        }
    }

    fn transitions(&mut self, name: &str, value: &Value, fields: &Map<String, Value>) {
        let place = json!(["body", name]);
        let Value::Array(list) = value else {
            return self.refuse(place, "Input should be a valid list", "list_type", value);
        };
        let gaps =
            fields.get("image_urls").and_then(Value::as_array).map(|images| images.len().saturating_sub(1));
        if gaps.is_some_and(|gaps| gaps != list.len()) {
            let text = "There must be one transition between each two images";
            return self.refuse(place, text, "value_error", value);
        }
        for (index, transition) in list.iter().enumerate() {
            let Value::Object(parts) = transition else {
                self.refuse(
                    json!(["body", name, index]),
                    "Input should be a valid dictionary",
                    "dict_type",
                    transition,
                );
                continue;
            };
            if let Some(seconds) = parts.get("duration") {
                self.integer(json!(["body", name, index, "duration"]), 1, 10, seconds);
            }
            if let Some(prompt) = parts.get("prompt").filter(|prompt| !prompt.is_null()) {
                self.text(json!(["body", name, index, "prompt"]), 0, prompt);
            }
        }
        if transition_seconds(list) > TRANSITION_SECONDS {
            self.refuse(place, "All transitions together may take 25 seconds", "value_error", value);
        }
    }

    fn none_of(&mut self, place: Value, words: &Value, value: &Value) {
        let message = format!("Input should be one of {words}");
        self.refuse_with(place, &message, "one_of", value, json!({"expected": words}));
    }

    fn too_small(&mut self, place: Value, least: &Value, value: &Value) {
        let message = format!("Input should be greater than or equal to {least}");
        self.refuse_with(place, &message, "greater_than_equal", value, json!({"ge": least}));
    }

    fn too_large(&mut self, place: Value, most: &Value, value: &Value) {
        let message = format!("Input should be less than or equal to {most}");
        self.refuse_with(place, &message, "less_than_equal", value, json!({"le": most}));
    }

    fn refuse(&mut self, place: Value, message: &str, kind: &str, value: &Value) {
        self.wrong.push(detail(place, message, kind, value));
    }

    fn refuse_with(&mut self, place: Value, message: &str, kind: &str, value: &Value, context: Value) {
        let mut entry = detail(place, message, kind, value);
        if let Value::Object(entry) = &mut entry {
            entry.insert("ctx".to_owned(), context);
        }
        self.wrong.push(entry);
    }
}

/// Seconds of all transitions; one that names none takes five.
pub(super) fn transition_seconds(list: &[Value]) -> f64 {
    list.iter().map(|entry| entry.get("duration").and_then(Value::as_f64).unwrap_or(5.0)).sum()
}

/// A number without a fraction.
fn whole(value: &Value) -> Option<i64> {
    let from_float = || value.as_f64().filter(|number| number.fract() == 0.0).map(|number| number as i64);
    value.as_i64().or_else(from_float)
}

fn seconds(value: &Value) -> Option<u64> {
    match value {
        Value::String(text) => text.parse().ok(),
        other => whole(other).and_then(|number| u64::try_from(number).ok()),
    }
}

/// One entry of the `detail` list. `place` is the list of names and indices that leads to the field.
pub(super) fn detail(place: Value, message: &str, kind: &str, input: &Value) -> Value {
    json!({
        "loc": place, "msg": message, "type": kind, "input": input,
        "url": format!("https://docs.fal.ai/errors/#{kind}"),
    })
}
