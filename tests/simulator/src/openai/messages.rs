//! The conversation of a request: roles, forms of content, and tool results that answer every call.

use serde_json::{Map, Value};

use super::Refusal;
use super::request::{missing, wrong_type, wrong_word};

const ROLES: [&str; 5] = ["system", "assistant", "user", "tool", "developer"];
const FIELDS: [&str; 9] = [
    "role",
    "content",
    "name",
    "refusal",
    "tool_calls",
    "tool_call_id",
    "annotations",
    "audio",
    "function_call",
];
const LONGEST_NAME: usize = 64;
/// What an image counts for.
const IMAGE_TOKENS: u64 = 85;
const MESSAGE_TOKENS: u64 = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// `system` or `developer`.
    Instructions,
    User,
    Assistant,
    Tool,
}

/// A message that is well formed.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) role: Role,
    /// Its text parts, one after the other.
    pub(super) text: String,
    images: u64,
    /// The calls of an assistant's message.
    pub(super) calls: Vec<PastCall>,
    /// The call that a tool's message answers.
    pub(super) answers: Option<String>,
}

/// A tool call of an earlier round.
#[derive(Debug)]
pub(super) struct PastCall {
    pub(super) id: String,
    pub(super) name: String,
    arguments: String,
}

impl Message {
    pub(super) fn tokens(&self) -> u64 {
        let calls = self.calls.iter().map(|call| tokens(&call.name) + tokens(&call.arguments));
        MESSAGE_TOKENS + tokens(&self.text) + IMAGE_TOKENS * self.images + calls.sum::<u64>()
    }
}

/// One token for four characters that have begun.
pub(super) fn tokens(text: &str) -> u64 {
    text.chars().count().div_ceil(4) as u64
}

/// The text of the last user message, whether or not the rest is well formed.
pub(super) fn last_user_text(messages: &Value) -> Option<String> {
    let is_user = |message: &&Value| message.get("role").and_then(Value::as_str) == Some("user");
    let last = messages.as_array()?.iter().rfind(is_user)?;
    match last.get("content")? {
        Value::String(text) => Some(text.clone()),
        Value::Array(parts) => {
            let texts = parts.iter().filter_map(|part| part.get("text").and_then(Value::as_str));
            Some(texts.collect::<Vec<_>>().join("\n"))
        }
        _ => None,
    }
}

pub(super) fn parse(value: Option<&Value>) -> Result<Vec<Message>, Refusal> {
    let value = value.ok_or_else(|| missing("messages"))?;
    let list = value.as_array().ok_or_else(|| wrong_type("messages", "an array of objects", value))?;
    if list.is_empty() {
        return Err(empty_array("messages"));
    }
    let messages: Vec<Message> =
        list.iter().enumerate().map(|(index, value)| message(index, value)).collect::<Result<_, _>>()?;
    check_order(&messages)?;
    Ok(messages)
}

fn message(index: usize, value: &Value) -> Result<Message, Refusal> {
    let path = format!("messages[{index}]");
    let fields = value.as_object().ok_or_else(|| wrong_type(&path, "an object", value))?;
    if let Some(name) = fields.keys().find(|name| !FIELDS.contains(&name.as_str())) {
        let param = format!("{path}.{name}");
        return Err(Refusal::new(
            param.clone(),
            "unknown_parameter",
            format!("Unknown parameter: '{param}'."),
        ));
    }
    let role = match text_member(fields, &path, "role")? {
        "system" | "developer" => Role::Instructions,
        "user" => Role::User,
        "assistant" => Role::Assistant,
        "tool" => Role::Tool,
        other => return Err(wrong_word(&format!("{path}.role"), other, &ROLES)),
    };
    if let Some(name) = fields.get("name").filter(|name| !name.is_null()) {
        let param = format!("{path}.name");
        let name = name.as_str().ok_or_else(|| wrong_type(&param, "a string", name))?;
        if name.is_empty() || name.chars().count() > LONGEST_NAME {
            let message = format!("Invalid '{param}': a name has 1 to {LONGEST_NAME} characters.");
            return Err(Refusal::new(param, "invalid_value", message));
        }
    }
    let calls = match fields.get("tool_calls").filter(|calls| !calls.is_null()) {
        Some(calls) if role == Role::Assistant => past_calls(&format!("{path}.tool_calls"), calls)?,
        Some(_) => {
            let param = format!("{path}.tool_calls");
            let message = format!("Unknown parameter: '{param}'.");
            return Err(Refusal::new(param, "unknown_parameter", message));
        }
        None => Vec::new(),
    };
    let answers = match role {
        Role::Tool => Some(text_member(fields, &path, "tool_call_id")?.to_owned()),
        Role::Instructions | Role::User | Role::Assistant => None,
    };
    let may_be_empty = !calls.is_empty() || fields.get("refusal").is_some_and(Value::is_string);
    let (text, images) = content(index, role, fields, may_be_empty)?;
    Ok(Message { role, text, images, calls, answers })
}

/// The text and the number of images.
fn content(
    index: usize,
    role: Role,
    fields: &Map<String, Value>,
    may_be_empty: bool,
) -> Result<(String, u64), Refusal> {
    let parts = match fields.get("content") {
        Some(Value::String(text)) => return Ok((text.clone(), 0)),
        Some(Value::Array(parts)) => parts,
        None | Some(Value::Null) if role == Role::Assistant && may_be_empty => {
            return Ok((String::new(), 0));
        }
        None | Some(Value::Null) => {
            let message = "Invalid value for 'content': expected a string, got null.";
            return Err(Refusal::uncoded(format!("messages.[{index}].content"), message));
        }
        Some(other) => {
            let expected = "one of a string or array of objects";
            return Err(wrong_type(&format!("messages[{index}].content"), expected, other));
        }
    };
    if parts.is_empty() {
        return Err(empty_array(&format!("messages[{index}].content")));
    }
    let (mut texts, mut images) = (Vec::new(), 0);
    for (position, part) in parts.iter().enumerate() {
        let path = format!("messages[{index}].content[{position}]");
        let fields = part.as_object().ok_or_else(|| wrong_type(&path, "an object", part))?;
        let nested = |name: &str| {
            let path = format!("{path}.{name}");
            match fields.get(name) {
                Some(Value::Object(inner)) => Ok((path, inner)),
                Some(other) => Err(wrong_type(&path, "an object", other)),
                None => Err(missing(&path)),
            }
        };
        match (text_member(fields, &path, "type")?, role) {
            ("text", _) => texts.push(text_member(fields, &path, "text")?),
            ("refusal", Role::Assistant) => texts.push(text_member(fields, &path, "refusal")?),
            ("image_url", Role::User) => {
                let (path, image) = nested("image_url")?;
                check_image(&path, image)?;
                images += 1;
            }
            ("input_audio", Role::User) => {
                let (path, audio) = nested("input_audio")?;
                text_member(audio, &path, "data")?;
                let format = text_member(audio, &path, "format")?;
                if !["wav", "mp3"].contains(&format) {
                    return Err(wrong_word(&format!("{path}.format"), format, &["wav", "mp3"]));
                }
            }
            ("file", Role::User) => {
                nested("file")?;
            }
            (other, Role::User) => {
                let allowed = ["text", "image_url", "input_audio", "file"];
                return Err(wrong_word(&format!("{path}.type"), other, &allowed));
            }
            (other, Role::Assistant) => {
                return Err(wrong_word(&format!("{path}.type"), other, &["text", "refusal"]));
            }
            (other, Role::Instructions | Role::Tool) => {
                return Err(wrong_word(&format!("{path}.type"), other, &["text"]));
            }
        }
    }
    Ok((texts.join("\n"), images))
}

fn check_image(path: &str, image: &Map<String, Value>) -> Result<(), Refusal> {
    let url = text_member(image, path, "url")?;
    if !["https://", "http://", "data:image/"].iter().any(|start| url.starts_with(start)) {
        let message = format!("Failed to download image from {}.", url.chars().take(60).collect::<String>());
        return Err(Refusal::new(format!("{path}.url"), "invalid_image_url", message));
    }
    let details = ["low", "high", "auto", "original"];
    match image.get("detail").filter(|detail| !detail.is_null()) {
        None => Ok(()),
        Some(Value::String(detail)) if details.contains(&detail.as_str()) => Ok(()),
        Some(Value::String(detail)) => Err(wrong_word(&format!("{path}.detail"), detail, &details)),
        Some(other) => Err(wrong_type(&format!("{path}.detail"), "a string", other)),
    }
}

fn past_calls(path: &str, value: &Value) -> Result<Vec<PastCall>, Refusal> {
    let list = value.as_array().ok_or_else(|| wrong_type(path, "an array of objects", value))?;
    if list.is_empty() {
        return Err(empty_array(path));
    }
    let mut calls: Vec<PastCall> = Vec::new();
    for (index, value) in list.iter().enumerate() {
        let path = format!("{path}[{index}]");
        let fields = value.as_object().ok_or_else(|| wrong_type(&path, "an object", value))?;
        let id = text_member(fields, &path, "id")?;
        if calls.iter().any(|call| call.id == id) {
            let message = format!("Duplicate value for 'tool_call_id' of '{id}'.");
            return Err(Refusal::new(format!("{path}.id"), "duplicate_value", message));
        }
        let (kind, words) = match text_member(fields, &path, "type")? {
            "function" => ("function", "arguments"),
            "custom" => ("custom", "input"),
            other => return Err(wrong_word(&format!("{path}.type"), other, &["function", "custom"])),
        };
        let path = format!("{path}.{kind}");
        let Some(Value::Object(inner)) = fields.get(kind) else { return Err(missing(&path)) };
        calls.push(PastCall {
            id: id.to_owned(),
            name: text_member(inner, &path, "name")?.to_owned(),
            arguments: text_member(inner, &path, words)?.to_owned(),
        });
    }
    Ok(calls)
}

/// Tool messages follow the calls that they answer, and every call is answered before anything else is said.
fn check_order(messages: &[Message]) -> Result<(), Refusal> {
    let mut asked: Vec<&str> = Vec::new();
    let mut open: Vec<&str> = Vec::new();
    for (index, message) in messages.iter().enumerate() {
        match &message.answers {
            Some(id) if asked.contains(&id.as_str()) => open.retain(|call| call != id),
            Some(_) if asked.is_empty() => {
                let message = "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with 'tool_calls'.";
                return Err(Refusal::uncoded(format!("messages.[{index}].role"), message));
            }
            Some(id) => {
                let message = format!(
                    "Invalid parameter: 'tool_call_id' of '{id}' not found in 'tool_calls' of previous message."
                );
                return Err(Refusal::uncoded(format!("messages.[{index}].tool_call_id"), message));
            }
            None => {
                check_answered(&open, index)?;
                asked = message.calls.iter().map(|call| call.id.as_str()).collect();
                open.clone_from(&asked);
            }
        }
    }
    check_answered(&open, messages.len())
}

fn check_answered(open: &[&str], index: usize) -> Result<(), Refusal> {
    if open.is_empty() {
        return Ok(());
    }
    let message = format!(
        "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. The following tool_call_ids did not have response messages: {}",
        open.join(", ")
    );
    Err(Refusal::uncoded(format!("messages.[{index}].role"), message))
}

/// A member that must be there and be text.
pub(super) fn text_member<'a>(
    fields: &'a Map<String, Value>,
    path: &str,
    name: &str,
) -> Result<&'a str, Refusal> {
    let path = format!("{path}.{name}");
    match fields.get(name) {
        Some(Value::String(text)) => Ok(text),
        Some(other) => Err(wrong_type(&path, "a string", other)),
        None => Err(missing(&path)),
    }
}

pub(super) fn empty_array(path: &str) -> Refusal {
    let message = format!(
        "Invalid '{path}': empty array. Expected an array with minimum length 1, but got an empty array instead."
    );
    Refusal::new(path, "empty_array", message)
}
