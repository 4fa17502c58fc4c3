//! A value that a JSON Schema allows, with what a text says about it.
//!
//! Read are types, `properties`, `required`, `enum`, `const`, `default`, `items`, `prefixItems`, `anyOf`, `oneOf`,
//! `allOf`, local `$ref`, bounds of numbers, lengths, and the usual formats. Patterns are not.

use std::cell::Cell;

use serde_json::{Map, Value, json};

/// How deep values are nested; schemas may refer to themselves.
const DEPTH: usize = 12;
/// Most entries and letters that a lower bound can ask for.
const MOST: u64 = 10_000;
/// Most values in one answer; a schema that holds itself many times over would ask for more than there is room for.
const MOST_VALUES: u32 = 20_000;

/// A value for the schema. Properties that need not be there are left out, unless the text names them.
pub(super) fn value_for(schema: &Value, text: &str) -> Value {
    Maker { root: schema, text, left: Cell::new(MOST_VALUES) }.value(schema, "", 0)
}

struct Maker<'a> {
    root: &'a Value,
    text: &'a str,
    left: Cell<u32>,
}

impl<'a> Maker<'a> {
    fn value(&self, schema: &'a Value, name: &str, depth: usize) -> Value {
        let Some(left) = self.left.get().checked_sub(1) else { return Value::Null };
        self.left.set(left);
        let schema = self.resolved(schema);
        if let Some(fixed) = schema.get("const") {
            return fixed.clone();
        }
        if let Some(choices) = schema.get("enum").and_then(Value::as_array) {
            let is_named =
                |choice: &&Value| choice.as_str().is_some_and(|word| mentions(self.text, word).is_some());
            return choices.iter().find(is_named).or(choices.first()).cloned().unwrap_or_default();
        }
        let alternatives = ["anyOf", "oneOf"].iter().find_map(|name| schema.get(*name)?.as_array());
        if let Some(alternatives) = alternatives {
            // Deep down an alternative that ends the nesting is the only way out of a schema that holds itself.
            let is_null = |schema: &&Value| schema.get("type").and_then(Value::as_str) == Some("null");
            let (first, second) = (
                alternatives.iter().find(|schema| is_null(schema) == (depth >= DEPTH)),
                alternatives.first(),
            );
            return first.or(second).map_or(Value::Null, |schema| self.value(schema, name, depth + 1));
        }
        match self.kind(schema) {
            "object" => self.object(schema, depth),
            "array" => self.array(schema, name, depth),
            "integer" => self.number(schema, name, true),
            "number" => self.number(schema, name, false),
            "boolean" => self.boolean(schema, name),
            "null" => Value::Null,
            _ => self.string(schema, name),
        }
    }

    /// The schema behind its reference.
    fn resolved(&self, schema: &'a Value) -> &'a Value {
        let mut schema = schema;
        for _ in 0..DEPTH {
            let Some(reference) = schema.get("$ref").and_then(Value::as_str) else { break };
            let target = reference.strip_prefix('#').and_then(|pointer| self.root.pointer(pointer));
            let Some(target) = target else { break };
            schema = target;
        }
        schema
    }

    fn kind(&self, schema: &'a Value) -> &'a str {
        let named = match schema.get("type") {
            Some(Value::String(kind)) => Some(kind.as_str()),
            Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).find(|kind| *kind != "null"),
            _ => None,
        };
        let guessed = ["properties", "allOf", "items"].into_iter().find(|name| schema.get(name).is_some());
        named.unwrap_or(match guessed {
            Some("items") => "array",
            Some(_) => "object",
            None => "string",
        })
    }

    fn object(&self, schema: &'a Value, depth: usize) -> Value {
        let mut object = Map::new();
        if depth > DEPTH {
            return Value::Object(object);
        }
        for part in schema.get("allOf").and_then(Value::as_array).into_iter().flatten() {
            if let Value::Object(members) = self.value(part, "", depth + 1) {
                object.extend(members);
            }
        }
        let required: Vec<&str> = schema
            .get("required")
            .and_then(Value::as_array)
            .map(|names| names.iter().filter_map(Value::as_str).collect())
            .unwrap_or_default();
        for (name, inner) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
            if required.contains(&name.as_str()) || self.assigned(name).is_some() {
                object.insert(name.clone(), self.value(inner, name, depth + 1));
            }
        }
        Value::Object(object)
    }

    fn array(&self, schema: &'a Value, name: &str, depth: usize) -> Value {
        let bound = |name: &str| schema.get(name).and_then(Value::as_u64);
        let least = bound("minItems").unwrap_or(u64::from(depth < DEPTH)).min(MOST);
        let count = bound("maxItems").map_or(least, |most| least.min(most));
        let fixed = schema.get("prefixItems").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let rest = schema.get("items").filter(|items| items.is_object());
        let count = usize::try_from(count).unwrap_or_default().max(fixed.len());
        let entry = |index: usize| match fixed.get(index).or(rest) {
            Some(inner) => self.value(inner, name, depth + 1),
            None => Value::from(self.words()),
        };
        (0..count).map(entry).collect()
    }

    fn number(&self, schema: &Value, name: &str, is_whole: bool) -> Value {
        let bound = |name: &str| schema.get(name).and_then(Value::as_f64);
        let step = if is_whole { 1.0 } else { 0.5 };
        let least = bound("minimum").or(bound("exclusiveMinimum").map(|least| least + step));
        let most = bound("maximum").or(bound("exclusiveMaximum").map(|most| most - step));
        let said =
            self.assigned(name).and_then(|word| word.parse::<f64>().ok()).or_else(|| self.first_number());
        let number = said.or_else(|| schema.get("default")?.as_f64()).unwrap_or(1.0);
        let number = number.max(least.unwrap_or(f64::MIN)).min(most.unwrap_or(f64::MAX));
        let number = match bound("multipleOf").filter(|step| *step > 0.0) {
            Some(step) => {
                let above = (number / step).ceil() * step;
                if above > most.unwrap_or(f64::MAX) { (number / step).floor() * step } else { above }
            }
            None => number,
        };
        // A cast of a float saturates, so any number becomes one that can be written.
        if is_whole { json!(number.round() as i64) } else { json!(number) }
    }

    fn boolean(&self, schema: &Value, name: &str) -> Value {
        let default = schema.get("default").and_then(Value::as_bool);
        json!(self.assigned(name).and_then(|word| word.parse().ok()).or(default).unwrap_or(true))
    }

    fn string(&self, schema: &Value, name: &str) -> Value {
        match schema.get("format").and_then(Value::as_str) {
            Some("date-time") => return json!("2026-01-31T12:00:00Z"),
            Some("date") => return json!("2026-01-31"),
            Some("time") => return json!("12:00:00Z"),
            Some("duration") => return json!("PT1H"),
            Some("email") => return json!("someone@example.com"),
            Some("uuid") => return json!("00000000-0000-4000-8000-000000000000"),
            Some("uri" | "url") => {
                let is_url = |word: &&str| word.starts_with("https://") || word.starts_with("http://");
                return json!(self.text.split_whitespace().find(is_url).unwrap_or("https://example.com/"));
            }
            Some("hostname") => return json!("example.com"),
            Some("ipv4") => return json!("192.0.2.1"),
            Some("ipv6") => return json!("2001:db8::1"),
            _ => {}
        }
        let default = schema.get("default").and_then(Value::as_str).map(str::to_owned);
        let mut text = self.assigned(name).or(default).unwrap_or_else(|| self.words());
        let bound = |name: &str| schema.get(name).and_then(Value::as_u64);
        let most = bound("maxLength").and_then(|most| usize::try_from(most).ok()).unwrap_or(usize::MAX);
        let least = usize::try_from(bound("minLength").unwrap_or_default().min(MOST)).unwrap_or_default();
        let missing = least.saturating_sub(text.chars().count());
        text.extend(std::iter::repeat_n('x', missing));
        json!(text.chars().take(most).collect::<String>())
    }

    /// What the text gives for a name: `city=Oslo`, `city: Oslo`, `city: "New York"`.
    fn assigned(&self, name: &str) -> Option<String> {
        let rest = mentions(self.text, name)?.trim_start_matches(['"', '\'']).trim_start();
        let rest = rest.strip_prefix(['=', ':'])?.trim_start();
        let quoted = rest.strip_prefix(['"', '\'']).and_then(|rest| rest.split(['"', '\'']).next());
        let plain = rest.split([' ', '\n', '\t', ',', ';', ']', '}']).next();
        quoted.or(plain).filter(|word| !word.is_empty()).map(str::to_owned)
    }

    fn first_number(&self) -> Option<f64> {
        let words =
            self.text.split(|letter: char| !(letter.is_ascii_digit() || letter == '.' || letter == '-'));
        words
            .filter_map(|word| word.trim_end_matches('.').parse().ok())
            .find(|number: &f64| number.is_finite())
    }

    /// What is quoted in the text, else all of it.
    fn words(&self) -> String {
        let mut pieces = self.text.split('"');
        let quoted = pieces.nth(1).filter(|_| pieces.next().is_some());
        quoted.unwrap_or(self.text).to_owned()
    }
}

/// What follows a name that stands in a text as a word of its own.
pub(super) fn mentions<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    if name.is_empty() {
        return None;
    }
    let is_part = |letter: char| letter.is_alphanumeric() || letter == '_' || letter == '-';
    text.match_indices(name).find_map(|(start, _)| {
        let (before, rest) = text.split_at(start);
        let after = rest.strip_prefix(name)?;
        let is_whole = !before.ends_with(is_part) && !after.starts_with(is_part);
        is_whole.then_some(after)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn required_properties_are_filled_from_the_text() {
        let schema = json!({"type": "object", "required": ["city", "days", "unit"], "properties": {
            "city": {"type": "string"}, "days": {"type": "integer", "maximum": 7}, "note": {"type": "string"},
            "unit": {"enum": ["celsius", "kelvin"]},
        }});
        let text = "forecast in kelvin, city: \"New York\", for 10 days";
        assert_eq!(value_for(&schema, text), json!({"city": "New York", "days": 7, "unit": "kelvin"}));
        let text = "city=Oslo note=brief, 3 days";
        let value = value_for(&schema, text);
        assert_eq!(value, json!({"city": "Oslo", "days": 3, "unit": "celsius", "note": "brief"}));
    }

    #[test]
    fn a_schema_that_holds_itself_ends() {
        let schema = json!({"$ref": "#/$defs/node", "$defs": {"node": {
            "type": "object", "required": ["name", "next"], "properties": {
                "name": {"type": "string"}, "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]},
            },
        }}});
        let value = value_for(&schema, "x");
        assert_eq!(value["next"]["name"], "x");
        let mut inner = &value;
        while inner.is_object() {
            inner = &inner["next"];
        }
        assert_eq!(*inner, Value::Null);
        let endless = json!({"type": "object", "required": ["me"], "properties": {"me": {"$ref": "#"}}});
        assert!(value_for(&endless, "x").is_object());
    }

    #[test]
    fn bounds_and_lengths_hold() {
        let schema = json!({"type": "array", "minItems": 2, "items": {"type": "string", "minLength": 5}});
        assert_eq!(value_for(&schema, "abc"), json!(["abcxx", "abcxx"]));
        assert_eq!(value_for(&json!({"type": "number", "exclusiveMinimum": 4}), "no number"), json!(4.5));
        assert_eq!(value_for(&json!({"type": "integer", "minimum": 10, "multipleOf": 4}), ""), json!(12));
        assert_eq!(value_for(&json!({"type": ["null", "boolean"]}), ""), json!(true));
        assert_eq!(value_for(&json!({"type": "string", "maxLength": 2}), "abc"), json!("ab"));
    }

    #[test]
    fn names_count_as_whole_words_only() {
        assert_eq!(mentions("call get_weather_now or get_weather please", "get_weather"), Some(" please"));
        assert_eq!(mentions("forget_weather", "get_weather"), None);
        assert_eq!(mentions("é get", "get"), Some(""));
    }
}
