//! An answer in its two wire forms: one JSON body, or a stream of events.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::state::State;

use super::reply::{Reply, ToolCall};
use super::request::Request;

/// Letters of an answer in one event.
const PIECE: usize = 12;

/// An answer with its ids.
#[derive(Debug)]
pub(super) struct Completion {
    id: String,
    created: i64,
    model: &'static str,
    choices: Vec<Choice>,
    prompt_tokens: u64,
}

#[derive(Debug)]
struct Choice {
    reply: Reply,
    call_ids: Vec<String>,
}

impl Completion {
    pub(super) fn new(state: &State, request: &Request, reply: Reply) -> Self {
        let new_id = |prefix: &str| format!("{prefix}{}", state.new_id().replace('-', ""));
        let choice = |_| Choice {
            call_ids: reply.calls.iter().map(|_| new_id("call_")).collect(),
            reply: reply.clone(),
        };
        Self {
            id: new_id("chatcmpl-"),
            created: Timestamp::now().as_second(),
            model: request.model.dated,
            choices: (0..request.answers).map(choice).collect(),
            prompt_tokens: request.prompt_tokens,
        }
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn tokens_left(&self, limit: u64) -> u64 {
        limit.saturating_sub(self.prompt_tokens + self.completion_tokens())
    }

    pub(super) fn body(&self) -> Value {
        let choice = |(index, choice): (usize, &Choice)| {
            json!({
                "index": index, "finish_reason": choice.reply.finish, "logprobs": null, "message": choice.message(),
            })
        };
        json!({
            "id": self.id, "object": "chat.completion", "created": self.created, "model": self.model,
            "choices": self.choices.iter().enumerate().map(choice).collect::<Vec<_>>(), "usage": self.usage(),
            "service_tier": "default", "system_fingerprint": "fp_simulated",
        })
    }

    /// The same as server-sent events, with the usage in an event of its own when it is asked for.
    pub(super) fn events(&self, with_usage: bool) -> String {
        let mut text = String::new();
        let mut event = |choices: Value, usage: Value| {
            let mut chunk = json!({
                "id": self.id, "object": "chat.completion.chunk", "created": self.created, "model": self.model,
                "choices": choices, "service_tier": "default", "system_fingerprint": "fp_simulated",
            });
            if let Value::Object(chunk) = &mut chunk
                && with_usage
            {
                chunk.insert("usage".to_owned(), usage);
            }
            text.push_str(&format!("data: {chunk}\n\n"));
        };
        for (index, choice) in self.choices.iter().enumerate() {
            let mut step = |delta: Value, finish: Option<&str>| {
                let choice =
                    json!({"index": index, "delta": delta, "logprobs": null, "finish_reason": finish});
                event(json!([choice]), Value::Null);
            };
            choice.deltas(&mut |delta| step(delta, None));
            step(json!({}), Some(choice.reply.finish));
        }
        if with_usage {
            event(json!([]), self.usage());
        }
        text.push_str("data: [DONE]\n\n");
        text
    }

    fn completion_tokens(&self) -> u64 {
        self.choices.iter().map(|choice| choice.reply.tokens()).sum()
    }

    fn usage(&self) -> Value {
        let completion_tokens = self.completion_tokens();
        let reasoning_tokens: u64 = self.choices.iter().map(|choice| choice.reply.reasoning_tokens).sum();
        json!({
            "prompt_tokens": self.prompt_tokens, "completion_tokens": completion_tokens,
            "total_tokens": self.prompt_tokens + completion_tokens,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {
                "reasoning_tokens": reasoning_tokens, "audio_tokens": 0,
                "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0,
            },
        })
    }
}

impl Choice {
    fn message(&self) -> Value {
        let mut message = json!({
            "role": "assistant", "content": self.reply.text, "refusal": self.reply.refusal, "annotations": [],
        });
        if let Value::Object(message) = &mut message
            && !self.reply.calls.is_empty()
        {
            let calls = self.reply.calls.iter().zip(&self.call_ids);
            message.insert("tool_calls".to_owned(), calls.map(|(call, id)| call_entry(call, id)).collect());
        }
        message
    }

    fn deltas(&self, step: &mut dyn FnMut(Value)) {
        let reply = &self.reply;
        let first = if reply.text.is_some() { json!("") } else { Value::Null };
        step(json!({"role": "assistant", "content": first, "refusal": null}));
        for piece in pieces(reply.text.as_deref().unwrap_or_default()) {
            step(json!({"content": piece}));
        }
        for piece in pieces(reply.refusal.as_deref().unwrap_or_default()) {
            step(json!({"refusal": piece}));
        }
        for (index, (call, id)) in reply.calls.iter().zip(&self.call_ids).enumerate() {
            let (kind, words) = if call.is_custom { ("custom", "input") } else { ("function", "arguments") };
            let inner = json!({"name": call.name, words: ""});
            step(json!({"tool_calls": [{"index": index, "id": id, "type": kind, kind: inner}]}));
            for piece in pieces(&call.arguments) {
                step(json!({"tool_calls": [{"index": index, kind: {words: piece}}]}));
            }
        }
    }
}

fn call_entry(call: &ToolCall, id: &str) -> Value {
    if call.is_custom {
        json!({"id": id, "type": "custom", "custom": {"name": call.name, "input": call.arguments}})
    } else {
        json!({"id": id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}})
    }
}

fn pieces(text: &str) -> impl Iterator<Item = String> {
    let mut rest = text.chars().peekable();
    std::iter::from_fn(move || {
        rest.peek()?;
        Some(rest.by_ref().take(PIECE).collect())
    })
}
