//! A completion request: which fields it may have, and what they may say.

use std::ops::RangeInclusive;

use serde_json::{Map, Value};

use super::Refusal;
use super::messages::{self, Message};
use super::models::{self, Model};
use super::tools::{self, Choice, Format, Tool};

/// Every field that a request may have. Others are refused, as they are by the service.
const FIELDS: [&str; 32] = [
    "model",
    "messages",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "max_completion_tokens",
    "max_tokens",
    "temperature",
    "top_p",
    "n",
    "stop",
    "seed",
    "frequency_penalty",
    "presence_penalty",
    "response_format",
    "reasoning_effort",
    "verbosity",
    "service_tier",
    "metadata",
    "store",
    "safety_identifier",
    "prompt_cache_key",
    "prompt_cache_retention",
    "user",
    "logprobs",
    "top_logprobs",
    "logit_bias",
    "modalities",
    "prediction",
    "web_search_options",
    "stream",
    "stream_options",
];
/// Fields that the service knows and the simulator does not play.
const NOT_PLAYED: [&str; 3] = ["functions", "function_call", "audio"];
const EFFORTS: [&str; 7] = ["none", "minimal", "low", "medium", "high", "xhigh", "max"];
const VERBOSITIES: [&str; 3] = ["low", "medium", "high"];
const TIERS: [&str; 6] = ["auto", "default", "flex", "scale", "priority", "fast"];
const MOST_STOPS: usize = 4;
const MOST_METADATA: usize = 16;

/// A request that may run.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) model: &'static Model,
    pub(super) messages: Vec<Message>,
    pub(super) tools: Vec<Tool>,
    pub(super) choice: Choice,
    pub(super) is_parallel: bool,
    pub(super) format: Format,
    /// Most tokens of the answer, thinking included.
    pub(super) most_tokens: u64,
    pub(super) stops: Vec<String>,
    pub(super) answers: u64,
    pub(super) prompt_tokens: u64,
    pub(super) is_streamed: bool,
    pub(super) is_usage_streamed: bool,
}

/// The request, or the first thing that is wrong with it.
pub(super) fn parse(body: &Value) -> Result<Request, Refusal> {
    let fields = Fields(body.as_object().ok_or_else(|| Refusal {
        param: None,
        ..Refusal::uncoded("", "The request body must be a JSON object.")
    })?);
    fields.check_names()?;
    let model = fields.model()?;
    let messages = messages::parse(fields.get("messages"))?;
    let tools = tools::parse(fields.get("tools"))?;
    let choice = tools::choice(fields.get("tool_choice"), &tools)?;
    let is_parallel = fields.flag("parallel_tool_calls")?;
    if is_parallel.is_some() && tools.is_empty() {
        let message = "Invalid value for 'parallel_tool_calls': 'parallel_tool_calls' is only allowed when 'tools' are specified.";
        return Err(Refusal::uncoded("parallel_tool_calls", message));
    }
    let format = tools::format(fields.get("response_format"), &messages)?;
    fields.check_sampling(model)?;
    fields.check_words(model)?;
    fields.check_metadata()?;
    let is_streamed = fields.flag("stream")?.unwrap_or(false);
    let is_usage_streamed = fields.usage_streamed(is_streamed)?;
    let prompt_tokens =
        messages.iter().map(Message::tokens).sum::<u64>() + tools.iter().map(Tool::tokens).sum::<u64>() + 3;
    if prompt_tokens > model.context_tokens {
        let message = format!(
            "This model's maximum context length is {} tokens. However, your messages resulted in {prompt_tokens} tokens. Please reduce the length of the messages.",
            model.context_tokens
        );
        return Err(Refusal::new("messages", "context_length_exceeded", message));
    }
    Ok(Request {
        model,
        messages,
        tools,
        choice,
        is_parallel: is_parallel.unwrap_or(true),
        format,
        most_tokens: fields.most_tokens(model)?,
        stops: fields.stops()?,
        answers: fields.integer("n", 1..=128)?.unwrap_or(1),
        prompt_tokens,
        is_streamed,
        is_usage_streamed,
    })
}

pub(super) fn unknown_model(name: &str) -> Refusal {
    let message = format!("The model `{name}` does not exist or you do not have access to it.");
    Refusal { status: 404, message, param: None, code: Some("model_not_found".to_owned()) }
}

/// A value of the wrong type.
pub(super) fn wrong_type(param: &str, expected: &str, value: &Value) -> Refusal {
    let found = match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(number) if number.is_f64() => "a decimal",
        Value::Number(_) => "an integer",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    };
    let message = format!("Invalid type for '{param}': expected {expected}, but got {found} instead.");
    Refusal::new(param, "invalid_type", message)
}

/// A required field that is not there.
pub(super) fn missing(param: &str) -> Refusal {
    let message = format!("Missing required parameter: '{param}'.");
    Refusal::new(param, "missing_required_parameter", message)
}

/// A word that is none of those allowed.
pub(super) fn wrong_word(param: &str, word: &str, allowed: &[&str]) -> Refusal {
    let allowed = allowed.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(", ");
    let message = format!("Invalid value: '{word}'. Supported values are: {allowed}.");
    Refusal::new(param, "invalid_value", message)
}

/// The members of the request; null counts as absent.
struct Fields<'a>(&'a Map<String, Value>);

impl<'a> Fields<'a> {
    fn get(&self, name: &str) -> Option<&'a Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    fn check_names(&self) -> Result<(), Refusal> {
        for name in self.0.keys().map(String::as_str) {
            if NOT_PLAYED.contains(&name) && self.get(name).is_some() {
                let message = format!("'{name}' is not played by the simulator.");
                return Err(Refusal::new(name, "unsupported_parameter", message));
            }
            if !FIELDS.contains(&name) && !NOT_PLAYED.contains(&name) {
                let message = format!("Unrecognized request argument supplied: {name}");
                return Err(Refusal { param: None, ..Refusal::uncoded(name, message) });
            }
        }
        Ok(())
    }

    fn model(&self) -> Result<&'static Model, Refusal> {
        match self.get("model") {
            None => {
                let message = "you must provide a model parameter";
                Err(Refusal { param: None, ..Refusal::uncoded("model", message) })
            }
            Some(Value::String(name)) => models::named(name).ok_or_else(|| unknown_model(name)),
            Some(other) => Err(wrong_type("model", "a string", other)),
        }
    }

    fn flag(&self, name: &str) -> Result<Option<bool>, Refusal> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(other) => Err(wrong_type(name, "a boolean", other)),
        }
    }

    fn integer(&self, name: &str, range: RangeInclusive<u64>) -> Result<Option<u64>, Refusal> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let number = value.as_i64().ok_or_else(|| wrong_type(name, "an integer", value))?;
        let (least, most) = (range.start(), range.end());
        match u64::try_from(number) {
            Ok(number) if range.contains(&number) => Ok(Some(number)),
            Ok(number) if number > *most => Err(Refusal::new(
                name,
                "integer_above_max_value",
                format!(
                    "Invalid '{name}': integer above maximum value. Expected a value <= {most}, but got {number} instead."
                ),
            )),
            _ => Err(Refusal::new(
                name,
                "integer_below_min_value",
                format!(
                    "Invalid '{name}': integer below minimum value. Expected a value >= {least}, but got {number} instead."
                ),
            )),
        }
    }

    fn decimal(&self, name: &str, range: RangeInclusive<f64>) -> Result<Option<f64>, Refusal> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let number = value.as_f64().ok_or_else(|| wrong_type(name, "a decimal", value))?;
        let (least, most) = (range.start(), range.end());
        if number > *most {
            let message = format!(
                "Invalid '{name}': decimal above maximum value. Expected a value <= {most}, but got {value} instead."
            );
            return Err(Refusal::new(name, "decimal_above_max_value", message));
        }
        if number < *least {
            let message = format!(
                "Invalid '{name}': decimal below minimum value. Expected a value >= {least}, but got {value} instead."
            );
            return Err(Refusal::new(name, "decimal_below_min_value", message));
        }
        Ok(Some(number))
    }

    /// Ranges, and what reasoning models refuse.
    fn check_sampling(&self, model: &Model) -> Result<(), Refusal> {
        self.integer("top_logprobs", 0..=20)?;
        self.flag("logprobs")?;
        if let Some(seed) = self.get("seed")
            && !(seed.is_i64() || seed.is_u64())
        {
            return Err(wrong_type("seed", "an integer", seed));
        }
        for (name, range, default) in [
            ("temperature", 0.0..=2.0, 1.0),
            ("top_p", 0.0..=1.0, 1.0),
            ("frequency_penalty", -2.0..=2.0, 0.0),
            ("presence_penalty", -2.0..=2.0, 0.0),
        ] {
            let value = self.decimal(name, range)?;
            if model.is_reasoning && value.is_some_and(|value| value != default) {
                let message = format!(
                    "Unsupported value: '{name}' does not support {} with this model. Only the default ({default}) value is supported.",
                    value.unwrap_or_default()
                );
                return Err(Refusal::new(name, "unsupported_value", message));
            }
        }
        let refused = ["logprobs", "top_logprobs", "logit_bias", "stop"];
        if model.is_reasoning
            && let Some(name) = refused.into_iter().find(|name| self.get(name).is_some())
        {
            let message = format!("Unsupported parameter: '{name}' is not supported with this model.");
            return Err(Refusal::new(name, "unsupported_parameter", message));
        }
        Ok(())
    }

    fn check_words(&self, model: &Model) -> Result<(), Refusal> {
        for (name, allowed) in
            [("reasoning_effort", EFFORTS.as_slice()), ("verbosity", &VERBOSITIES), ("service_tier", &TIERS)]
        {
            let Some(value) = self.get(name) else { continue };
            let word = value.as_str().ok_or_else(|| wrong_type(name, "a string", value))?;
            if !allowed.contains(&word) {
                return Err(wrong_word(name, word, allowed));
            }
        }
        for (name, is_refused) in [
            ("reasoning_effort", !model.is_reasoning),
            ("verbosity", !model.is_reasoning && self.get("verbosity") != Some(&Value::from("medium"))),
        ] {
            if is_refused && self.get(name).is_some() {
                let message = format!("Unsupported parameter: '{name}' is not supported with this model.");
                return Err(Refusal::new(name, "unsupported_parameter", message));
            }
        }
        let modalities = self.get("modalities");
        if modalities.is_some_and(|list| *list != Value::from(vec!["text"])) {
            let message = "This model does not support the requested modalities: only 'text' is supported.";
            return Err(Refusal::new("modalities", "unsupported_value", message));
        }
        Ok(())
    }

    fn check_metadata(&self) -> Result<(), Refusal> {
        self.flag("store")?;
        for name in ["user", "safety_identifier", "prompt_cache_key"] {
            if let Some(value) = self.get(name).filter(|value| !value.is_string()) {
                return Err(wrong_type(name, "a string", value));
            }
        }
        let Some(value) = self.get("metadata") else { return Ok(()) };
        let pairs = value.as_object().ok_or_else(|| wrong_type("metadata", "an object", value))?;
        if pairs.len() > MOST_METADATA {
            let message = format!(
                "Invalid 'metadata': too many properties. Expected an object with at most {MOST_METADATA} properties, but got an object with {} properties instead.",
                pairs.len()
            );
            return Err(Refusal::new("metadata", "object_above_max_properties", message));
        }
        match pairs.iter().find(|(_, value)| !value.is_string()) {
            Some((name, value)) => Err(wrong_type(&format!("metadata.{name}"), "a string", value)),
            None => Ok(()),
        }
    }

    fn most_tokens(&self, model: &Model) -> Result<u64, Refusal> {
        let old = self.integer("max_tokens", 1..=u64::MAX)?;
        let new = self.integer("max_completion_tokens", 1..=u64::MAX)?;
        if model.is_reasoning && old.is_some() {
            let message = "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.";
            return Err(Refusal::new("max_tokens", "unsupported_parameter", message));
        }
        if old.is_some() && new.is_some() {
            let message =
                "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.";
            return Err(Refusal::new("max_tokens", "invalid_parameter_combination", message));
        }
        let name = if old.is_some() { "max_tokens" } else { "max_completion_tokens" };
        match old.or(new) {
            Some(asked) if asked > model.output_tokens => {
                let message = format!(
                    "{name} is too large: {asked}. This model supports at most {} completion tokens, whereas you provided {asked}.",
                    model.output_tokens
                );
                Err(Refusal::new(name, "invalid_value", message))
            }
            Some(asked) => Ok(asked),
            None => Ok(model.output_tokens),
        }
    }

    fn stops(&self) -> Result<Vec<String>, Refusal> {
        let list = match self.get("stop") {
            None => return Ok(Vec::new()),
            Some(Value::String(text)) => return Ok(vec![text.clone()]),
            Some(Value::Array(list)) => list,
            Some(other) => return Err(wrong_type("stop", "a string or an array of strings", other)),
        };
        if list.len() > MOST_STOPS {
            let message = format!(
                "Invalid 'stop': array too long. Expected an array with maximum length {MOST_STOPS}, but got an array with length {} instead.",
                list.len()
            );
            return Err(Refusal::new("stop", "array_above_max_length", message));
        }
        let text = |(index, value): (usize, &Value)| {
            let text = value.as_str().map(str::to_owned);
            text.ok_or_else(|| wrong_type(&format!("stop[{index}]"), "a string", value))
        };
        list.iter().enumerate().map(text).collect()
    }

    fn usage_streamed(&self, is_streamed: bool) -> Result<bool, Refusal> {
        let Some(options) = self.get("stream_options") else { return Ok(false) };
        if !is_streamed {
            let message = "The 'stream_options' parameter is only allowed when 'stream' is enabled.";
            return Err(Refusal::uncoded("stream_options", message));
        }
        let options =
            options.as_object().ok_or_else(|| wrong_type("stream_options", "an object", options))?;
        Ok(options.get("include_usage").and_then(Value::as_bool).unwrap_or(false))
    }
}
