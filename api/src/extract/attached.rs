//! Files within a request: parts of a form, `input_base64`, and `data:` URIs.

use atelier_domain::request::{Attachment, FieldError};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use bytes::Bytes;
use serde_json::{Map, Value};

use crate::error::ApiError;

/// A file as it came.
#[derive(Debug, Clone)]
pub struct RawFile {
    /// `input`, or `config.` and the name of an option.
    pub name: String,
    /// What the caller says it is.
    pub content_type: Option<String>,
    /// The bytes.
    pub bytes: Bytes,
}

/// The files that stood in the JSON itself.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    pub(crate) files: Vec<RawFile>,
    /// How much of the body they were.
    pub(crate) text_bytes: usize,
}

/// Takes the files out of the JSON and leaves references to them.
pub(crate) fn take_inline(body: &mut Value, limit: usize) -> Result<Taken, ApiError> {
    let mut taken = Taken::default();
    let Some(fields) = body.as_object_mut() else { return Ok(taken) };
    let is_given = |name: &str| fields.get(name).is_some_and(|value| !value.is_null());
    if is_given("input_base64") && is_given("input_url") {
        let problem = FieldError::new("input_base64", "is given beside `input_url`", "only one of the two");
        return Err(ApiError::fields(&[problem]));
    }
    let mut problems = Vec::new();
    let mut take = |name: &str, field: &str, text: &str| match decode(text, limit) {
        Ok((content_type, bytes)) => {
            taken.text_bytes += text.len();
            taken.files.push(RawFile { name: name.to_owned(), content_type, bytes });
            true
        }
        Err((problem, expected)) => {
            problems.push(FieldError::new(field, problem, expected));
            false
        }
    };
    if let Some(Value::String(text)) = fields.get("input_base64").cloned()
        && take("input", "input_base64", &text)
    {
        fields.remove("input_base64");
        fields.insert("input_url".to_owned(), reference("input"));
    }
    if let Some(Value::String(text)) = fields.get("input_url").cloned()
        && is_data(&text)
        && take("input", "input_url", &text)
    {
        fields.insert("input_url".to_owned(), reference("input"));
    }
    if let Some(Value::Object(config)) = fields.get_mut("config") {
        for (option, value) in config.iter_mut() {
            let name = format!("config.{option}");
            if let Value::String(text) = value
                && is_data(text)
                && take(&name, &name, text)
            {
                *value = reference(&name);
            }
        }
    }
    if problems.is_empty() { Ok(taken) } else { Err(ApiError::fields(&problems)) }
}

/// A part of a form.
pub(crate) fn form_file(
    name: String,
    content_type: Option<String>,
    bytes: Bytes,
) -> Result<RawFile, ApiError> {
    let is_fit = !name.is_empty()
        && name.len() <= 64
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'));
    if !is_fit {
        return Err(ApiError::bad_request(
            "a part of the form has no usable name; `job`, `input` or the name of an option was expected",
        ));
    }
    let name = if name == "input" || name.starts_with("config.") { name } else { format!("config.{name}") };
    Ok(RawFile { name, content_type, bytes })
}

/// Lets the JSON refer to the parts of a form, unless it does already.
pub(crate) fn refer_to(body: &mut Value, files: &[RawFile]) {
    let Some(fields) = body.as_object_mut() else { return };
    for file in files {
        match file.name.strip_prefix("config.") {
            None => {
                put_if_absent(fields, "input_url", &file.name);
            }
            Some(option) => {
                let config = fields.entry("config").or_insert_with(|| Value::Object(Map::new()));
                if let Value::Object(config) = config {
                    put_if_absent(config, option, &file.name);
                }
            }
        }
    }
}

fn put_if_absent(fields: &mut Map<String, Value>, field: &str, name: &str) {
    if fields.get(field).is_none_or(Value::is_null) {
        fields.insert(field.to_owned(), reference(name));
    }
}

fn reference(name: &str) -> Value {
    Value::from(format!("{}{name}", Attachment::SCHEME))
}

fn is_data(text: &str) -> bool {
    text.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("data:"))
}

/// Content type and bytes of base64, or of a `data:` URI; else what is wrong and what would be right.
fn decode(text: &str, limit: usize) -> Result<(Option<String>, Bytes), (String, String)> {
    let expected = || "base64, or a data: URI with it".to_owned();
    let (content_type, data) = if is_data(text) {
        let (head, data) = text
            .get(5..)
            .and_then(|rest| rest.split_once(','))
            .ok_or_else(|| ("is a data: URI without data".to_owned(), expected()))?;
        let named = head
            .strip_suffix(";base64")
            .ok_or_else(|| ("is a data: URI that is not base64".to_owned(), expected()))?;
        ((!named.is_empty()).then(|| named.to_owned()), data)
    } else {
        (None, text)
    };
    if data.len() / 4 * 3 > limit.saturating_add(3) {
        return Err((format!("has about {} bytes", data.len() / 4 * 3), format!("at most {limit} bytes")));
    }
    let bytes = [STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD]
        .iter()
        .find_map(|alphabet| alphabet.decode(data).ok())
        .ok_or_else(|| ("is not base64".to_owned(), expected()))?;
    if bytes.is_empty() {
        return Err(("is empty".to_owned(), expected()));
    }
    if bytes.len() > limit {
        return Err((format!("has {} bytes", bytes.len()), format!("at most {limit} bytes")));
    }
    Ok((content_type, bytes.into()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn files_in_the_json_are_taken_out_and_referred_to() {
        let mut body = json!({
            "input_base64": "aGVsbG8", "config": {"mask": "data:image/png;base64,aGVsbG8=", "seed": 1}
        });
        let taken = take_inline(&mut body, 100).unwrap();
        assert_eq!(
            body,
            json!({"input_url": "attachment:input", "config": {"mask": "attachment:config.mask", "seed": 1}})
        );
        let files: Vec<_> = taken.files.iter().map(|file| (file.name.as_str(), &file.bytes[..])).collect();
        assert_eq!(files, [("input", &b"hello"[..]), ("config.mask", &b"hello"[..])]);
        assert_eq!(taken.files[1].content_type.as_deref(), Some("image/png"));
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        for (body, part) in [
            (json!({"input_base64": "not base64!"}), "is not base64"),
            (json!({"input_base64": ""}), "is empty"),
            (json!({"input_url": "data:image/png,raw"}), "is not base64"),
            (json!({"input_base64": "aGVsbG8gd29ybGQ="}), "at most 5 bytes"),
            (json!({"input_base64": "aGVsbG8=", "input_url": "https://x"}), "only one of the two"),
        ] {
            let message = format!("{:?}", take_inline(&mut body.clone(), 5).unwrap_err());
            assert!(message.contains(part), "{body}: {message}");
        }
    }

    #[test]
    fn a_part_of_a_form_is_the_input_or_an_option() {
        let file = |name: &str| form_file(name.to_owned(), None, Bytes::from_static(b"x")).unwrap();
        let mut body = json!({"config": {"mask": null}});
        refer_to(&mut body, &[file("input"), file("mask")]);
        assert_eq!(
            body,
            json!({"input_url": "attachment:input", "config": {"mask": "attachment:config.mask"}})
        );
        assert!(form_file("../x y".to_owned(), None, Bytes::new()).is_err());
    }
}
