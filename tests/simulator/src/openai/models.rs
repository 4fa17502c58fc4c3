//! The models that exist, and how they differ in what they accept.

use serde_json::{Value, json};

/// Since when every model exists, as far as the list says.
const CREATED: u64 = 1_721_172_741;

/// A model of the list.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Model {
    alias: &'static str,
    /// What answers call it.
    pub(super) dated: &'static str,
    /// It thinks before it answers: no `max_tokens`, no sampling options.
    pub(super) is_reasoning: bool,
    pub(super) context_tokens: u64,
    pub(super) output_tokens: u64,
}

const MODELS: [Model; 6] = [
    plain("gpt-4o", "gpt-4o-2024-08-06", 128_000, 16_384),
    plain("gpt-4o-mini", "gpt-4o-mini-2024-07-18", 128_000, 16_384),
    plain("gpt-4.1-mini", "gpt-4.1-mini-2025-04-14", 1_047_576, 32_768),
    reasoning("o3", "o3-2025-04-16", 200_000, 100_000),
    reasoning("o4-mini", "o4-mini-2025-04-16", 200_000, 100_000),
    reasoning("gpt-5-mini", "gpt-5-mini-2025-08-07", 400_000, 128_000),
];

const fn plain(alias: &'static str, dated: &'static str, context_tokens: u64, output_tokens: u64) -> Model {
    Model { alias, dated, is_reasoning: false, context_tokens, output_tokens }
}

const fn reasoning(
    alias: &'static str,
    dated: &'static str,
    context_tokens: u64,
    output_tokens: u64,
) -> Model {
    Model { is_reasoning: true, ..plain(alias, dated, context_tokens, output_tokens) }
}

/// The model with this name, dated or not.
pub(super) fn named(name: &str) -> Option<&'static Model> {
    MODELS.iter().find(|model| model.alias == name || model.dated == name)
}

pub(super) fn entry(name: &str) -> Value {
    json!({"id": name, "object": "model", "created": CREATED, "owned_by": "system"})
}

pub(super) fn list() -> Value {
    let names = MODELS.iter().flat_map(|model| [model.alias, model.dated]);
    json!({"object": "list", "data": names.map(entry).collect::<Vec<_>>()})
}
