//! The body of `media/generate`, as older published clients send it: another spelling of a job's request.

use serde_json::{Map, Value};

use super::fields::Fields;
use super::operator::object_of;
use super::problem::{FieldError, Problems, quoted};
use crate::operation::Operation;

/// Words that stand for what an operation makes; which of two is meant follows from whether there is an input.
const KINDS: &str = "speech, audio, image, video";

/// Reads `{"provider", "media_type", "model", "prompt", "input_url", "config", "guardrails"}` and gives the same wish as
/// the body of a job, which is checked as such. Problems of the job's fields are told by that check.
pub fn parse_generate(body: &Value) -> Result<Value, Vec<FieldError>> {
    let mut problems = Problems::default();
    let object = object_of(body, &mut problems, "a JSON object with `provider`, `media_type` and `model`")?;
    let mut fields = Fields::new(object, &mut problems);
    let known =
        ["provider", "media_type", "model", "prompt", "input_url", "config", "guardrails", "credential_id"];
    fields.refuse_unknown(&known);
    if let Some(guardrails) = object.get("guardrails")
        && !is_nothing(guardrails)
    {
        fields.push("guardrails", "is given, but prompts are not judged here", "null, or nothing");
    }
    let has_input = fields.is_given("input_url");
    let operation = read_media_type(&mut fields, has_input);
    let Some(operation) = operation.filter(|_| problems.is_empty()) else {
        return Err(problems.into_vec());
    };
    let mut job: Map<String, Value> = object.clone();
    job.retain(|name, _| name != "media_type" && name != "guardrails");
    job.insert("operation".to_owned(), Value::from(operation.as_str()));
    Ok(Value::Object(job))
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(object) => object.is_empty(),
        Value::Bool(flag) => !flag,
        Value::Number(_) | Value::String(_) => false,
    }
}

fn read_media_type(fields: &mut Fields<'_, '_>, has_input: bool) -> Option<Operation> {
    let expected = || format!("one of {}, or {KINDS}", Operation::expected());
    if !fields.is_given("media_type") {
        fields.push("media_type", "is missing", expected());
        return None;
    }
    let word = fields.text("media_type")?;
    let found = media_type(word, has_input);
    if found.is_none() {
        fields.push("media_type", format!("is {}", quoted(word)), expected());
    }
    found
}

/// The operation of a word of the published clients: that of a tool, or that of a kind of media.
pub fn media_type(word: &str, has_input: bool) -> Option<Operation> {
    match (word, has_input) {
        ("speech" | "audio", false) => Some(Operation::Tts),
        ("speech" | "audio", true) => Some(Operation::Stt),
        ("image", false) => Some(Operation::ImageGen),
        ("image", true) => Some(Operation::ImageEdit),
        ("video", false) => Some(Operation::VideoGen),
        ("video", true) => Some(Operation::VideoFromImage),
        (tool, _) => Operation::parse(tool).ok(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_kind_of_media_means_what_its_input_says() {
        for (word, has_input, operation) in [
            ("image", false, Operation::ImageGen),
            ("image", true, Operation::ImageEdit),
            ("speech", false, Operation::Tts),
            ("audio", true, Operation::Stt),
            ("video", true, Operation::VideoFromImage),
            ("video_from_img", true, Operation::VideoFromImage),
            ("image_gen", true, Operation::ImageGen),
        ] {
            assert_eq!(media_type(word, has_input), Some(operation), "{word} {has_input}");
        }
        assert_eq!(media_type("smell", false), None);
    }

    #[test]
    fn it_becomes_the_body_of_a_job() {
        let body = json!({
            "provider": "fal", "media_type": "image", "model": "m", "prompt": "p", "input_url": null,
            "config": {"seed": 1}, "guardrails": [],
        });
        let job = json!({
            "operation": "image_gen", "provider": "fal", "model": "m", "prompt": "p", "input_url": null,
            "config": {"seed": 1},
        });
        assert_eq!(parse_generate(&body), Ok(job));
    }

    #[test]
    fn what_is_not_served_is_refused() {
        let problems =
            parse_generate(&json!({"guardrails": ["no-violence"], "media_type": "smell", "modle": 1}));
        let fields: Vec<_> = problems.unwrap_err().into_iter().map(|problem| problem.field).collect();
        assert_eq!(fields, ["modle", "guardrails", "media_type"]);
        assert!(parse_generate(&json!({})).unwrap_err()[0].to_string().contains("`media_type` is missing"));
    }
}
