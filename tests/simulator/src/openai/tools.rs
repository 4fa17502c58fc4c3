//! What a request offers and demands: tools, the choice among them, and the form of the answer.

use serde_json::{Value, json};

use super::Refusal;
use super::messages::{Message, empty_array, text_member, tokens};
use super::request::{missing, wrong_type, wrong_word};

const MOST_TOOLS: usize = 128;
const LONGEST_NAME: usize = 64;
const CHOICES: [&str; 3] = ["none", "auto", "required"];
/// How deep a schema is looked into.
const DEPTH: usize = 16;

/// A tool that is offered.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tool {
    pub(super) name: String,
    /// The schema of the arguments; `None` = a custom tool, which takes free text.
    pub(super) parameters: Option<Value>,
    size: u64,
}

impl Tool {
    pub(super) fn tokens(&self) -> u64 {
        self.size
    }
}

/// Which tools may be called, by their places in the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Choice {
    None,
    Auto(Vec<usize>),
    Required(Vec<usize>),
}

/// The form of the answer.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Format {
    Text,
    /// Any object.
    Object,
    /// What this schema describes.
    Schema(Value),
}

pub(super) fn parse(value: Option<&Value>) -> Result<Vec<Tool>, Refusal> {
    let Some(value) = value else { return Ok(Vec::new()) };
    let list = value.as_array().ok_or_else(|| wrong_type("tools", "an array of objects", value))?;
    if list.is_empty() {
        return Err(empty_array("tools"));
    }
    if list.len() > MOST_TOOLS {
        let message = format!(
            "Invalid 'tools': array too long. Expected an array with maximum length {MOST_TOOLS}, but got an array with length {} instead.",
            list.len()
        );
        return Err(Refusal::new("tools", "array_above_max_length", message));
    }
    list.iter().enumerate().map(|(index, value)| tool(&format!("tools[{index}]"), value)).collect()
}

fn tool(path: &str, value: &Value) -> Result<Tool, Refusal> {
    let fields = value.as_object().ok_or_else(|| wrong_type(path, "an object", value))?;
    let kind = text_member(fields, path, "type")?;
    if !["function", "custom"].contains(&kind) {
        return Err(wrong_word(&format!("{path}.type"), kind, &["function", "custom"]));
    }
    let inner_path = format!("{path}.{kind}");
    let inner = match fields.get(kind) {
        Some(Value::Object(inner)) => inner,
        Some(other) => return Err(wrong_type(&inner_path, "an object", other)),
        None => return Err(missing(&inner_path)),
    };
    let name = text_member(inner, &inner_path, "name")?;
    check_name(&format!("{inner_path}.name"), name)?;
    if let Some(other) = inner.get("description").filter(|text| !text.is_null() && !text.is_string()) {
        return Err(wrong_type(&format!("{inner_path}.description"), "a string", other));
    }
    let size = tokens(&value.to_string());
    if kind == "custom" {
        return Ok(Tool { name: name.to_owned(), parameters: None, size });
    }
    let empty = json!({"type": "object", "properties": {}});
    let parameters = inner.get("parameters").filter(|schema| !schema.is_null()).unwrap_or(&empty);
    if parameters.get("type").and_then(Value::as_str) != Some("object") {
        let found = parameters.get("type").map_or_else(|| "None".to_owned(), Value::to_string);
        let message = format!(
            "Invalid schema for function '{name}': schema must be a JSON Schema of 'type: \"object\"', got 'type: {found}'."
        );
        return Err(Refusal::new(format!("{inner_path}.parameters"), "invalid_function_parameters", message));
    }
    if is_strict(inner.get("strict"), &inner_path)?
        && let Some(fault) = strict_fault(parameters, &mut Vec::new())
    {
        let message = format!("Invalid schema for function '{name}': {fault}");
        return Err(Refusal::new(format!("{inner_path}.parameters"), "invalid_function_parameters", message));
    }
    Ok(Tool { name: name.to_owned(), parameters: Some(parameters.clone()), size })
}

pub(super) fn choice(value: Option<&Value>, tools: &[Tool]) -> Result<Choice, Refusal> {
    let all: Vec<usize> = (0..tools.len()).collect();
    let Some(value) = value else {
        return Ok(if tools.is_empty() { Choice::None } else { Choice::Auto(all) });
    };
    if tools.is_empty() {
        let message =
            "Invalid value for 'tool_choice': 'tool_choice' is only allowed when 'tools' are specified.";
        return Err(Refusal::uncoded("tool_choice", message));
    }
    let fields = match value {
        Value::String(word) => {
            return match word.as_str() {
                "none" => Ok(Choice::None),
                "auto" => Ok(Choice::Auto(all)),
                "required" => Ok(Choice::Required(all)),
                other => Err(wrong_word("tool_choice", other, &CHOICES)),
            };
        }
        Value::Object(fields) => fields,
        other => return Err(wrong_type("tool_choice", "one of a string or object", other)),
    };
    let kind = text_member(fields, "tool_choice", "type")?;
    let path = format!("tool_choice.{kind}");
    let inner = fields.get(kind).and_then(Value::as_object);
    match kind {
        "function" | "custom" => {
            let inner = inner.ok_or_else(|| missing(&path))?;
            Ok(Choice::Required(vec![position(tools, text_member(inner, &path, "name")?)?]))
        }
        "allowed_tools" => {
            let inner = inner.ok_or_else(|| missing(&path))?;
            let list = inner.get("tools").and_then(Value::as_array);
            let list = list.ok_or_else(|| missing(&format!("{path}.tools")))?;
            let name = |entry: &Value| {
                let kind = entry.get("type").and_then(Value::as_str).unwrap_or_default();
                let name = entry.get(kind).and_then(|inner| inner.get("name")).and_then(Value::as_str);
                position(tools, name.ok_or_else(|| missing(&format!("{path}.tools[].name")))?)
            };
            let allowed = list.iter().map(name).collect::<Result<Vec<_>, _>>()?;
            match text_member(inner, &path, "mode")? {
                "auto" => Ok(Choice::Auto(allowed)),
                "required" => Ok(Choice::Required(allowed)),
                other => Err(wrong_word(&format!("{path}.mode"), other, &["auto", "required"])),
            }
        }
        other => Err(wrong_word("tool_choice.type", other, &["function", "allowed_tools", "custom"])),
    }
}

pub(super) fn format(value: Option<&Value>, messages: &[Message]) -> Result<Format, Refusal> {
    let Some(value) = value else { return Ok(Format::Text) };
    let fields = value.as_object().ok_or_else(|| wrong_type("response_format", "an object", value))?;
    match text_member(fields, "response_format", "type")? {
        "text" => Ok(Format::Text),
        "json_object" => {
            if messages.iter().any(|message| message.text.to_lowercase().contains("json")) {
                return Ok(Format::Object);
            }
            let message = "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'.";
            Err(Refusal::uncoded("messages", message))
        }
        "json_schema" => {
            let path = "response_format.json_schema";
            let inner = match fields.get("json_schema") {
                Some(Value::Object(inner)) => inner,
                Some(other) => return Err(wrong_type(path, "an object", other)),
                None => return Err(missing(path)),
            };
            let name = text_member(inner, path, "name")?;
            check_name(&format!("{path}.name"), name)?;
            let path = format!("{path}.schema");
            let schema = match inner.get("schema") {
                Some(schema @ Value::Object(_)) => schema,
                Some(other) => return Err(wrong_type(&path, "an object", other)),
                None => return Err(missing(&path)),
            };
            let fault = if schema.get("type").and_then(Value::as_str) != Some("object") {
                Some("schema must be a JSON Schema of 'type: \"object\"'.".to_owned())
            } else if is_strict(inner.get("strict"), "response_format.json_schema")? {
                strict_fault(schema, &mut Vec::new())
            } else {
                None
            };
            match fault {
                None => Ok(Format::Schema(schema.clone())),
                Some(fault) => {
                    let message = format!("Invalid schema for response_format '{name}': {fault}");
                    Err(Refusal::uncoded("response_format", message))
                }
            }
        }
        other => Err(wrong_word("response_format.type", other, &["json_object", "json_schema", "text"])),
    }
}

fn position(tools: &[Tool], name: &str) -> Result<usize, Refusal> {
    tools.iter().position(|tool| tool.name == name).ok_or_else(|| {
        Refusal::uncoded("tool_choice", format!("Tool choice '{name}' not found in 'tools' parameter."))
    })
}

fn check_name(path: &str, name: &str) -> Result<(), Refusal> {
    if name.len() > LONGEST_NAME {
        let message = format!(
            "Invalid '{path}': string too long. Expected a string with maximum length {LONGEST_NAME}, but got a string with length {} instead.",
            name.len()
        );
        return Err(Refusal::new(path, "string_above_max_length", message));
    }
    let is_allowed = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == '-';
    if name.is_empty() || !name.chars().all(is_allowed) {
        let message = format!(
            "Invalid '{path}': string does not match pattern. Expected a string that matches the pattern '^[a-zA-Z0-9_-]+$'."
        );
        return Err(Refusal::new(path, "invalid_value", message));
    }
    Ok(())
}

fn is_strict(value: Option<&Value>, path: &str) -> Result<bool, Refusal> {
    match value {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(strict)) => Ok(*strict),
        Some(other) => Err(wrong_type(&format!("{path}.strict"), "a boolean", other)),
    }
}

/// What keeps a schema from being strict: an object that is open, or a property that is not required.
fn strict_fault(schema: &Value, context: &mut Vec<String>) -> Option<String> {
    if context.len() > DEPTH * 2 {
        return None;
    }
    let place = |context: &[String]| format!("In context=({})", context.join(", "));
    if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
        if schema.get("additionalProperties") != Some(&Value::Bool(false)) {
            return Some(format!(
                "{}, 'additionalProperties' is required to be supplied and to be false.",
                place(context)
            ));
        }
        let required = schema.get("required").and_then(Value::as_array);
        let is_required = |name: &String| {
            required.is_some_and(|list| list.iter().any(|entry| entry.as_str() == Some(name)))
        };
        if let Some(name) = properties.keys().find(|name| !is_required(name)) {
            return Some(format!(
                "{}, 'required' is required to be supplied and to be an array including every key in properties. Missing '{name}'.",
                place(context)
            ));
        }
    }
    for group in ["properties", "$defs", "definitions"] {
        for (name, inner) in schema.get(group).and_then(Value::as_object).into_iter().flatten() {
            context.extend([format!("'{group}'"), format!("'{name}'")]);
            let fault = strict_fault(inner, context);
            context.truncate(context.len().saturating_sub(2));
            if fault.is_some() {
                return fault;
            }
        }
    }
    let alternatives = schema.get("anyOf").and_then(Value::as_array).into_iter().flatten();
    for inner in schema.get("items").into_iter().chain(alternatives) {
        context.extend(["'items'".to_owned()]);
        let fault = strict_fault(inner, context);
        context.pop();
        if fault.is_some() {
            return fault;
        }
    }
    None
}
