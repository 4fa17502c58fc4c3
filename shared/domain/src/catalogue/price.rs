//! What a unit of work costs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Model;
use crate::money::{MicroUsd, PriceUnit, UnitPrice};

/// What a unit of work costs, by which source, read when.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// What is counted.
    pub unit: PriceUnit,
    /// Price of one.
    pub micro_usd: MicroUsd,
    /// Other prices for certain options; the first that fits counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub variants: Vec<PriceVariant>,
    /// How many units a job usually takes: for estimates where the job itself does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub typical_quantity: Option<f64>,
    /// Where the figure comes from.
    pub source: String,
    /// When it was read.
    pub date: String,
    /// For prices a megapixel: how many pixels the provider counts as one. Set from the head of the file.
    #[serde(skip)]
    pub pixels_per_megapixel: u64,
}

/// The price of one unit when options have these values.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PriceVariant {
    /// Option and value; all must fit. Defaults count as given.
    pub when: BTreeMap<String, Value>,
    /// Price of one.
    pub micro_usd: MicroUsd,
}

impl Price {
    /// The price of one unit for a job with these options.
    pub fn for_options(&self, model: &Model, config: &Map<String, Value>) -> UnitPrice {
        let fits = |variant: &&PriceVariant| {
            variant.when.iter().all(|(name, value)| model.option(config, name) == Some(value))
        };
        let micro_usd = self.variants.iter().find(fits).map_or(self.micro_usd, |variant| variant.micro_usd);
        UnitPrice { unit: self.unit, micro_usd }
    }
}
