//! What a caller says about a file that it uploads: its name, and facts of its own.

use serde_json::{Map, Value};

use super::MAX_METADATA_BYTES;
use super::problem::FieldError;

/// Longest name of a file, in characters.
const MAX_NAME_CHARS: usize = 255;

/// A file name that the caller gives on purpose, in the part `name`.
pub fn parse_upload_name(text: &str) -> Result<String, FieldError> {
    let expected = || format!("1 to {MAX_NAME_CHARS} characters, no slashes and no control characters");
    if text.chars().any(|c| c.is_control() || matches!(c, '/' | '\\')) {
        return Err(FieldError::new("name", "has characters that no file name has", expected()));
    }
    if text.trim().is_empty() || text.chars().count() > MAX_NAME_CHARS {
        return Err(FieldError::new("name", format!("has {} characters", text.chars().count()), expected()));
    }
    Ok(text.to_owned())
}

/// The name that a form gives a file by itself, perhaps with a path and whatever else: what is left of it.
pub fn name_of_form_file(text: &str) -> Option<String> {
    let last = text.rsplit(['/', '\\']).next().unwrap_or_default();
    let name: String = last.chars().filter(|c| !c.is_control()).take(MAX_NAME_CHARS).collect();
    (!name.trim().is_empty()).then_some(name)
}

/// The caller's own facts, in the part `metadata`.
pub fn parse_upload_metadata(bytes: &[u8]) -> Result<Map<String, Value>, FieldError> {
    let wrong = |problem: String| {
        FieldError::new("metadata", problem, format!("a JSON object of at most {MAX_METADATA_BYTES} bytes"))
    };
    if bytes.len() > MAX_METADATA_BYTES {
        return Err(wrong(format!("has {} bytes", bytes.len())));
    }
    match serde_json::from_slice(bytes) {
        Ok(Value::Object(metadata)) => Ok(metadata),
        Ok(_) => Err(wrong("is no object".to_owned())),
        Err(error) => Err(wrong(format!("is not valid JSON: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_names_and_no_paths() {
        for name in ["a.png", "my photo (1).png", "Ü.wav", &"x".repeat(255)] {
            assert_eq!(parse_upload_name(name).as_deref(), Ok(name));
        }
        for name in ["", "  ", "a/b", "a\\b", "a\nb", "\u{7f}", &"x".repeat(256)] {
            assert_eq!(parse_upload_name(name).unwrap_err().field, "name", "{name:?}");
        }
    }

    #[test]
    fn the_name_of_a_forms_file_is_made_usable() {
        for (given, name) in [
            ("photo.png", Some("photo.png")),
            ("../../etc/passwd", Some("passwd")),
            ("C:\\pictures\\a.png", Some("a.png")),
            ("a\r\nb.png", Some("ab.png")),
            ("folder/", None),
            ("", None),
        ] {
            assert_eq!(name_of_form_file(given).as_deref(), name, "{given:?}");
        }
        assert_eq!(name_of_form_file(&"x".repeat(1_000)).unwrap().len(), 255);
    }

    #[test]
    fn metadata_is_a_small_object() {
        assert_eq!(parse_upload_metadata(br#"{"shelf": 7}"#).unwrap().len(), 1);
        let deep = format!("{}{}", "[".repeat(8_000), "]".repeat(8_000));
        let long = format!("{{\"a\": \"{}\"}}", "x".repeat(17_000));
        for text in ["", "[]", "7", "{", "\u{0}", &deep, &long] {
            assert_eq!(parse_upload_metadata(text.as_bytes()).unwrap_err().field, "metadata");
        }
    }
}
