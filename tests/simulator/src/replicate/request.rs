//! The body and the headers of a request for a prediction.

use std::time::Duration;

use serde_json::{Map, Value};
use url::Url;

use super::refusal::{Invalid, Refusal};
use super::webhook::{EVENTS, Receiver};
use crate::call::Call;

/// Properties of the body beside `version`.
const PROPERTIES: [&str; 4] = ["input", "webhook", "webhook_events_filter", "stream"];
/// The longest wait, and the usual one.
const LONGEST_WAIT: u64 = 60;

/// Who names the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NamedBy {
    Body,
    Path,
}

/// A request whose form is right.
#[derive(Debug)]
pub(crate) struct Request {
    /// `version`, when the body names the model.
    pub(crate) version: String,
    pub(crate) input: Map<String, Value>,
    pub(crate) receiver: Option<Receiver>,
    /// `Prefer: wait`.
    pub(crate) patience: Option<Duration>,
    /// What is said about the preference.
    pub(crate) preference: String,
    /// `Cancel-After`.
    pub(crate) deadline: Option<Duration>,
}

impl Request {
    pub(crate) fn of(call: &Call, named_by: NamedBy) -> Result<Self, Refusal> {
        let body = call
            .json()
            .ok_or_else(|| Refusal::Unreadable("The request body is not valid JSON.".to_owned()))?;
        let invalid = check(&body, named_by);
        if !invalid.is_empty() {
            return Err(Refusal::Fields(invalid));
        }
        let deadline = match call.header("cancel-after") {
            None => None,
            Some(text) => Some(
                duration(text)
                    .ok_or_else(|| Refusal::Unreadable(format!("Cancel-After: {text} is not a duration.")))?,
            ),
        };
        let patience = call.header("prefer").and_then(patience);
        Ok(Self {
            version: body.get("version").and_then(Value::as_str).unwrap_or_default().to_owned(),
            input: body.get("input").and_then(Value::as_object).cloned().unwrap_or_default(),
            receiver: Receiver::of(&body, &call.origin),
            patience,
            preference: patience.map(|patience| format!("wait={}", patience.as_secs())).unwrap_or_default(),
            deadline,
        })
    }
}

fn check(body: &Value, named_by: NamedBy) -> Vec<Invalid> {
    let Value::Object(fields) = body else {
        return vec![Invalid::new("invalid_type", "", "Invalid type. Expected: object")];
    };
    let needs: &[&str] = match named_by {
        NamedBy::Body => &["version", "input"],
        NamedBy::Path => &["input"],
    };
    let mut invalid: Vec<Invalid> = needs
        .iter()
        .filter(|name| !fields.contains_key(**name))
        .map(|name| Invalid::new("required", "", format!("{name} is required")))
        .collect();
    for name in
        fields.keys().filter(|name| !needs.contains(&name.as_str()) && !PROPERTIES.contains(&name.as_str()))
    {
        let description = format!("Additional property {name} is not allowed");
        invalid.push(Invalid::new("additional_property_not_allowed", "", description));
    }
    let mut expect = |name: &str, expected: &str, is_right: fn(&Value) -> bool| {
        if fields.get(name).is_some_and(|value| !is_right(value)) {
            let description = format!("Invalid type. Expected: {expected}");
            invalid.push(Invalid::new("invalid_type", name, description));
        }
    };
    expect("version", "string", Value::is_string);
    expect("input", "object", Value::is_object);
    expect("webhook", "string", Value::is_string);
    expect("webhook_events_filter", "array", Value::is_array);
    expect("stream", "boolean", Value::is_boolean);
    // The provider wants https; the simulator speaks http only, so it takes both.
    let is_web = |text: &str| Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
    if fields.get("webhook").and_then(Value::as_str).is_some_and(|webhook| !is_web(webhook)) {
        invalid.push(Invalid::new("format", "webhook", "Does not match format 'uri'"));
    }
    let events = fields.get("webhook_events_filter").and_then(Value::as_array);
    for (index, event) in events.into_iter().flatten().enumerate() {
        if !event.as_str().is_some_and(|event| EVENTS.contains(&event)) {
            let field = format!("webhook_events_filter.{index}");
            let allowed = EVENTS.map(|event| format!("\"{event}\"")).join(", ");
            let description = format!("{field} must be one of the following: {allowed}");
            invalid.push(Invalid::new("enum", &field, description));
        }
    }
    invalid
}

/// `wait` or `wait=N` among the preferences; other numbers count as the nearest that is allowed.
fn patience(header: &str) -> Option<Duration> {
    let wait = header.split([',', ';']).map(str::trim).find(|word| word.starts_with("wait"))?;
    let seconds = match wait.split_once('=') {
        None => LONGEST_WAIT,
        Some((_, number)) => number.trim().parse().ok()?,
    };
    Some(Duration::from_secs(seconds.clamp(1, LONGEST_WAIT)))
}

/// `90`, `90s`, `1m30s`, `1h`: numbers with their units, seconds where there is none.
fn duration(text: &str) -> Option<Duration> {
    let mut seconds: u64 = 0;
    let mut number = String::new();
    for letter in text.trim().chars() {
        let unit = match letter {
            '0'..='9' => {
                number.push(letter);
                continue;
            }
            's' => 1,
            'm' => 60,
            'h' => 3600,
            _ => return None,
        };
        seconds = seconds.checked_add(std::mem::take(&mut number).parse::<u64>().ok()?.checked_mul(unit)?)?;
    }
    if !number.is_empty() {
        seconds = seconds.checked_add(number.parse().ok()?)?;
    }
    (seconds > 0).then(|| Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn invalid(body: Value, named_by: NamedBy) -> Vec<String> {
        check(&body, named_by).into_iter().map(|invalid| invalid.description).collect()
    }

    #[test]
    fn a_model_in_the_body_is_refused() {
        assert_eq!(
            invalid(json!({"model": "a/b", "input": {}}), NamedBy::Body),
            ["version is required", "Additional property model is not allowed"]
        );
        assert_eq!(
            invalid(json!({"version": "x", "input": {}}), NamedBy::Path),
            ["Additional property version is not allowed"]
        );
        assert_eq!(invalid(json!({"input": {}}), NamedBy::Path), Vec::<String>::new());
        assert_eq!(invalid(json!({"version": "x"}), NamedBy::Body), ["input is required"]);
    }

    #[test]
    fn webhooks_must_be_urls_with_known_events() {
        let body = json!({"input": {}, "webhook": "hook", "webhook_events_filter": ["start", "end"]});
        assert_eq!(invalid(body, NamedBy::Path).len(), 2);
    }

    #[test]
    fn preferences_and_deadlines_are_read() {
        let seconds = |duration: Option<Duration>| duration.map(|duration| duration.as_secs());
        assert_eq!(seconds(patience("wait")), Some(60));
        assert_eq!(seconds(patience("respond-async, wait=5")), Some(5));
        assert_eq!(seconds(patience("wait=600")), Some(60));
        assert_eq!(seconds(patience("respond-async")), None);
        assert_eq!(seconds(duration("90")), Some(90));
        assert_eq!(seconds(duration("1h1m5s")), Some(3665));
        assert_eq!(seconds(duration("soon")), None);
        assert_eq!(seconds(duration("0s")), None);
    }
}
