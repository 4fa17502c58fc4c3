//! The shape of a catalogue entry.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::money::MicroUsd;
use crate::operation::{Operation, Provider};
use crate::policy::Polling;

/// One model for the operations that it does in the same way.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// Whose it is.
    pub provider: Provider,
    /// The provider's name for it.
    pub id: String,
    /// What it does with these options.
    pub operations: Vec<Operation>,
    /// Operations for which it is taken when a request names no model.
    pub default_for: Vec<Operation>,
    /// Whether a prompt must be given.
    pub prompt: PromptRule,
    /// The longest prompt, where the provider states one.
    pub prompt_limit: Option<PromptLimit>,
    /// Content types of an input; empty when any of the operation's kind will do, or none is taken.
    pub input_types: Vec<String>,
    /// What may stand in `config`, by name.
    pub options: BTreeMap<String, OptionSpec>,
    /// What it costs.
    pub price: Price,
    /// Since when the provider refuses it. It is still sent: the provider's word counts, and becomes `model_retired`.
    pub retired_on: Option<String>,
    /// Limits other than those of the policy.
    pub polling: Option<Polling>,
}

impl Model {
    /// The id, with a note when the model is gone.
    pub fn label(&self) -> String {
        match &self.retired_on {
            Some(date) => format!("{} (retired on {date})", self.id),
            None => self.id.clone(),
        }
    }

    /// The value of an option: the caller's, or the catalogue's default.
    pub fn option<'a>(&'a self, config: &'a serde_json::Map<String, Value>, name: &str) -> Option<&'a Value> {
        config.get(name).or_else(|| self.options.get(name)?.default.as_ref())
    }
}

/// Whether a prompt must be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PromptRule {
    /// It must not be absent or empty.
    Required,
    /// It may be absent.
    Optional,
}

/// The longest prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PromptLimit {
    /// In the unit.
    pub length: usize,
    /// How the provider counts.
    pub unit: LengthUnit,
}

/// How a provider counts the length of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LengthUnit {
    /// Unicode characters.
    Characters,
    /// As JavaScript does: an emoji is two.
    Utf16Units,
}

impl LengthUnit {
    /// The length of a text in this unit.
    pub fn count(self, text: &str) -> usize {
        match self {
            Self::Characters => text.chars().count(),
            Self::Utf16Units => text.encode_utf16().count(),
        }
    }

    /// The unit in a sentence.
    pub const fn noun(self) -> &'static str {
        match self {
            Self::Characters => "characters",
            Self::Utf16Units => "UTF-16 code units",
        }
    }
}

/// What a unit of work costs.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// What is counted.
    pub unit: PriceUnit,
    /// Price of one.
    pub micro_usd: MicroUsd,
    /// Where the figure comes from.
    pub source: String,
    /// When it was read.
    pub date: String,
    /// For prices a megapixel: how many pixels the provider counts as one. Set from the head of the file.
    #[serde(skip)]
    pub pixels_per_megapixel: u64,
}

/// What is counted for a price.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PriceUnit {
    /// A Unicode character of the prompt.
    Character,
    /// A begun megapixel of each image.
    Megapixel,
    /// An image.
    Image,
    /// A second of video.
    Second,
}

/// What an option may hold.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OptionSpec {
    /// The types that it may have; the rules below apply to the type they fit.
    #[serde(rename = "type", deserialize_with = "one_or_many")]
    pub kinds: Vec<OptionKind>,
    /// Least number.
    #[serde(default)]
    pub min: Option<f64>,
    /// Greatest number.
    #[serde(default)]
    pub max: Option<f64>,
    /// Longest string, in characters.
    #[serde(default)]
    pub max_length: Option<usize>,
    /// The only strings or numbers; empty when any will do.
    #[serde(default)]
    pub one_of: Vec<Value>,
    /// Sent when the caller gives none. Present where a call needs it or its price depends on it.
    #[serde(default)]
    pub default: Option<Value>,
    /// Whether the string becomes a part of a path, and so may hold only letters, digits, `-` and `_`.
    #[serde(default)]
    pub is_token: bool,
    /// Whether a field of an object must be there.
    #[serde(default)]
    pub is_required: bool,
    /// The fields of an object.
    #[serde(default)]
    pub fields: BTreeMap<String, OptionSpec>,
}

/// The type of an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OptionKind {
    /// A whole number.
    Integer,
    /// Any number.
    Number,
    /// `true` or `false`.
    Boolean,
    /// A text.
    String,
    /// An object with named fields.
    Object,
}

/// An entry as it is written: options by name, or its own.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    id: String,
    operations: Vec<Operation>,
    #[serde(default)]
    default_for: Vec<Operation>,
    prompt: PromptRule,
    #[serde(default)]
    prompt_limit: Option<PromptLimit>,
    #[serde(default)]
    input_types: Vec<String>,
    #[serde(default)]
    options: Vec<String>,
    #[serde(default)]
    own_options: BTreeMap<String, OptionSpec>,
    price: Price,
    #[serde(default)]
    retired_on: Option<String>,
    #[serde(default)]
    polling: Option<Polling>,
}

impl Entry {
    /// The model, with the shared options put in.
    pub(super) fn resolve(
        self,
        provider: Provider,
        pixels_per_megapixel: Option<u64>,
        shared: &BTreeMap<String, OptionSpec>,
    ) -> Result<Model, String> {
        let mut options = self.own_options;
        for name in self.options {
            let Some(spec) = shared.get(&name) else {
                return Err(format!("`{}` has an option `{name}` that is not described", self.id));
            };
            if options.insert(name.clone(), spec.clone()).is_some() {
                return Err(format!("`{}` has two options `{name}`", self.id));
            }
        }
        let mut price = self.price;
        if price.unit == PriceUnit::Megapixel {
            price.pixels_per_megapixel =
                pixels_per_megapixel.filter(|pixels| *pixels > 0).ok_or_else(|| {
                    format!("`{}` has a price a megapixel, but no pixels_per_megapixel is set", self.id)
                })?;
        }
        Ok(Model {
            provider,
            id: self.id,
            operations: self.operations,
            default_for: self.default_for,
            prompt: self.prompt,
            prompt_limit: self.prompt_limit,
            input_types: self.input_types,
            options,
            price,
            retired_on: self.retired_on,
            polling: self.polling,
        })
    }
}

fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<OptionKind>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        One(OptionKind),
        Many(Vec<OptionKind>),
    }
    Ok(match Written::deserialize(deserializer)? {
        Written::One(kind) => vec![kind],
        Written::Many(kinds) => kinds,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_emoji_counts_as_the_provider_counts_it() {
        assert_eq!(LengthUnit::Characters.count("a🎬"), 2);
        assert_eq!(LengthUnit::Utf16Units.count("a🎬"), 3);
    }
}
