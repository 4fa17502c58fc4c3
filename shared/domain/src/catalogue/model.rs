//! The shape of a catalogue entry.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::FileRule;
use super::price::Price;
use crate::money::PriceUnit;
use crate::operation::{Operation, Provider};
use crate::policy::Polling;

/// One model for the operations that it does in the same way.
#[derive(Debug, Clone, PartialEq, Serialize)]
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
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt_limit: Option<PromptLimit>,
    /// What the input must be, for operations that take one.
    #[serde(skip_serializing_if = "FileRule::is_empty")]
    pub input: FileRule,
    /// What may stand in `config`, by name.
    pub options: BTreeMap<String, OptionSpec>,
    /// Whether options that are not described here go to the provider as they are.
    #[serde(skip_serializing_if = "is_false")]
    pub is_open: bool,
    /// The option that says how many files are made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count_option: Option<String>,
    /// What it costs; absent where nobody knows.
    pub price: Option<Price>,
    /// The model that is asked in its place, by the operator's wish.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alias: Option<String>,
    /// Since when the provider refuses it. It is still sent: the provider's word counts, and becomes `model_retired`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retired_on: Option<String>,
    /// Limits other than those of the policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub polling: Option<Polling>,
}

fn is_false(flag: &bool) -> bool {
    !flag
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PromptRule {
    /// It must not be absent or empty.
    Required,
    /// It may be absent.
    Optional,
    /// The model takes none.
    Unused,
}

/// The longest prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PromptLimit {
    /// In the unit.
    pub length: usize,
    /// How the provider counts.
    pub unit: LengthUnit,
}

/// How a provider counts the length of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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

/// What an option may hold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OptionSpec {
    /// The types that it may have; the rules below apply to the type they fit.
    #[serde(rename = "type", deserialize_with = "one_or_many")]
    pub kinds: Vec<OptionKind>,
    /// Least number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// Greatest number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
    /// Longest string, in characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_length: Option<usize>,
    /// The only strings or numbers; empty when any will do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub one_of: Vec<Value>,
    /// Sent when the caller gives none. Present where a call needs it or its price depends on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
    /// Whether the string becomes a part of a path, and so may hold only letters, digits, `-` and `_`.
    #[serde(default, skip_serializing_if = "is_false")]
    pub is_token: bool,
    /// Whether a field of an object must be there.
    #[serde(default, skip_serializing_if = "is_false")]
    pub is_required: bool,
    /// The fields of an object.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, OptionSpec>,
    /// What an entry of a list may be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub items: Option<Box<OptionSpec>>,
    /// Most entries of a list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_items: Option<usize>,
    /// Values of other options beside which it cannot be given; `false` is as good as absent.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub not_with: BTreeMap<String, Vec<Value>>,
    /// What a file must be.
    #[serde(default, skip_serializing_if = "FileRule::is_empty")]
    pub file: FileRule,
    /// What it is for, in one sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
}

/// The type of an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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
    /// A list; `items` says of what.
    List,
    /// A further input file: a public https URL, the id of an asset, or a `data:` URI.
    File,
}

/// An entry as it is written: options by name, or its own.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    #[serde(default)]
    id: String,
    operations: Vec<Operation>,
    #[serde(default)]
    default_for: Vec<Operation>,
    prompt: PromptRule,
    #[serde(default)]
    prompt_limit: Option<PromptLimit>,
    #[serde(default)]
    input: FileRule,
    #[serde(default)]
    options: Vec<String>,
    #[serde(default)]
    own_options: BTreeMap<String, OptionSpec>,
    #[serde(default)]
    is_open: bool,
    #[serde(default)]
    count_option: Option<String>,
    #[serde(default)]
    price: Option<Price>,
    #[serde(default)]
    alias: Option<String>,
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
        if let Some(price) = price.as_mut().filter(|price| price.unit == PriceUnit::Megapixel) {
            price.pixels_per_megapixel =
                pixels_per_megapixel.filter(|pixels| *pixels > 0).ok_or_else(|| {
                    format!("`{}` has a price a megapixel, but no pixels_per_megapixel is set", self.id)
                })?;
        }
        if let Some(name) = self.count_option.as_ref().filter(|name| !options.contains_key(*name)) {
            return Err(format!("`{}` counts its files by the option `{name}`, which it has not", self.id));
        }
        let variants = price.iter().flat_map(|price| &price.variants);
        if let Some(name) =
            variants.flat_map(|variant| variant.when.keys()).find(|name| !options.contains_key(*name))
        {
            return Err(format!("`{}` has a price by the option `{name}`, which it has not", self.id));
        }
        Ok(Model {
            provider,
            id: self.id,
            operations: self.operations,
            default_for: self.default_for,
            prompt: self.prompt,
            prompt_limit: self.prompt_limit,
            input: self.input,
            options,
            is_open: self.is_open,
            count_option: self.count_option,
            price,
            alias: self.alias,
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
