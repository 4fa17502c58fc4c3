//! What an operator changes of the built-in catalogue: whole entries, single facts, and which providers may be asked for
//! models that are not listed.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;

use super::model::{Entry, OptionSpec};
use super::{Catalogue, CatalogueError, Price, ProviderFile};
use crate::operation::Provider;
use crate::policy::Polling;

/// The operator's file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct OverrideFile {
    #[serde(default)]
    provider: Vec<ProviderOverride>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ProviderOverride {
    name: Provider,
    #[serde(default)]
    pixels_per_megapixel: Option<u64>,
    /// How long a link to a result works at least.
    #[serde(default)]
    result_lifetime_s: Option<u64>,
    /// Options that the models below share.
    #[serde(default)]
    options: BTreeMap<String, OptionSpec>,
    /// Entries that replace those of the same id and operation, or are new.
    #[serde(default)]
    model: Vec<Entry>,
    /// Single facts of known models.
    #[serde(default)]
    patch: Vec<Patch>,
}

/// Facts of a model, for all its operations.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Patch {
    id: String,
    #[serde(default)]
    alias: Option<String>,
    #[serde(default)]
    retired_on: Option<String>,
    #[serde(default)]
    price: Option<Price>,
    #[serde(default)]
    polling: Option<Polling>,
}

impl Catalogue {
    /// The catalogue with an operator's file laid over it. A default of the file takes the place of the former one.
    pub fn with_overrides(mut self, file: &str, text: &str) -> Result<Self, CatalogueError> {
        let wrong = |problem: String| CatalogueError { file: file.to_owned(), problem };
        let overrides: OverrideFile = toml::from_str(text).map_err(|error| wrong(error.to_string()))?;
        for entry in overrides.provider {
            self.lay_over(entry).map_err(wrong)?;
        }
        self.check().map_err(|error| wrong(error.problem))?;
        Ok(self)
    }

    /// The catalogue, taking models of these providers that are not listed.
    #[must_use]
    pub fn allowing_unknown_models(mut self, providers: &[Provider]) -> Self {
        for open in self.open.iter_mut().filter(|open| providers.contains(&open.like.provider)) {
            open.is_allowed = true;
        }
        self
    }

    fn lay_over(&mut self, entry: ProviderOverride) -> Result<(), String> {
        let ProviderOverride { name, pixels_per_megapixel, result_lifetime_s, options, model, patch } = entry;
        let before = self.models.len();
        self.take(ProviderFile {
            provider: name,
            pixels_per_megapixel,
            result_lifetime_s,
            options,
            model,
            open_models: Vec::new(),
        })?;
        let added = self.models.split_off(before);
        for new in &added {
            for old in self.models.iter_mut().filter(|old| old.provider == name) {
                let old = Arc::make_mut(old);
                old.default_for.retain(|operation| !new.default_for.contains(operation));
                if old.id == new.id {
                    old.operations.retain(|operation| !new.operations.contains(operation));
                    old.default_for.retain(|operation| !new.operations.contains(operation));
                }
            }
        }
        self.models.retain(|old| !old.operations.is_empty());
        self.models.extend(added);
        for Patch { id, alias, retired_on, price, polling } in patch {
            let mut is_known = false;
            for model in self.models.iter_mut().filter(|model| model.provider == name && model.id == id) {
                is_known = true;
                let model = Arc::make_mut(model);
                if let (Some(new), Some(old)) = (&price, &model.price)
                    && new.unit == old.unit
                {
                    model.price =
                        Some(Price { pixels_per_megapixel: old.pixels_per_megapixel, ..new.clone() });
                } else if let Some(new) = &price {
                    return Err(format!(
                        "the price of `{id}` must keep its unit; a whole entry may change it ({:?})",
                        new.unit
                    ));
                }
                model.alias = alias.clone().or(model.alias.take());
                model.retired_on = retired_on.clone().or(model.retired_on.take());
                model.polling = polling.or(model.polling);
            }
            if !is_known {
                return Err(format!("{name} has no model `{id}` to be patched"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::money::MicroUsd;
    use crate::operation::Operation;

    fn laid_over(text: &str) -> Result<Catalogue, CatalogueError> {
        Catalogue::builtin().unwrap().with_overrides("mine.toml", text)
    }

    #[test]
    fn an_alias_sends_a_retired_model_to_a_living_one() {
        let catalogue = laid_over(
            r#"
            [[provider]]
            name = "runway"
            [[provider.patch]]
            id = "gen3a_turbo"
            alias = "gen4_turbo"
            "#,
        )
        .unwrap();
        let chosen =
            catalogue.choose(Provider::Runway, Operation::VideoFromImage, Some("gen3a_turbo")).unwrap();
        assert_eq!(chosen.model.id, "gen4_turbo");
        assert_eq!(chosen.warnings, ["the model `gen3a_turbo` is served as `gen4_turbo`"]);
    }

    #[test]
    fn a_price_is_patched_and_a_default_taken_over() {
        let catalogue = laid_over(
            r#"
            [[provider]]
            name = "runway"
            [[provider.patch]]
            id = "gen4_turbo"
            price = { unit = "second", micro_usd = 1, source = "contract", date = "2026-11-01" }
            [[provider.model]]
            id = "gen5"
            operations = ["video_from_image"]
            default_for = ["video_from_image"]
            prompt = "optional"
            is_open = true
            "#,
        )
        .unwrap();
        let turbo = catalogue.model(Provider::Runway, Operation::VideoFromImage, "gen4_turbo").unwrap();
        assert_eq!(turbo.price.as_ref().map(|price| price.micro_usd), Some(MicroUsd(1)));
        let chosen = catalogue.choose(Provider::Runway, Operation::VideoFromImage, None).unwrap();
        assert_eq!(chosen.model.id, "gen5");
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        for (text, reason) in [
            ("[[provider]]\nname = \"acme\"", "acme"),
            ("[[provider]]\nname = \"runway\"\n[[provider.patch]]\nid = \"gen9\"", "no model `gen9`"),
            (
                "[[provider]]\nname = \"runway\"\n[[provider.patch]]\nid = \"gen3a_turbo\"\nalias = \"gen9\"",
                "alias of `gen9`",
            ),
        ] {
            let error = laid_over(text).unwrap_err().to_string();
            assert!(error.contains(reason) && error.contains("mine.toml"), "{error}");
        }
    }
}
