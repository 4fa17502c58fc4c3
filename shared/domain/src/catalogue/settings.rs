//! What an operator says about the catalogue.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::{Catalogue, CatalogueError};
use crate::operation::Provider;

/// The `[catalogue]` section. It must be the same for all programs.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CatalogueSettings {
    /// Entries and facts that are laid over the built-in ones, as TOML; mostly given as `overrides_file`.
    pub overrides: Option<String>,
    /// Providers that may be asked for models that the catalogue does not list. Such jobs carry a warning.
    pub allow_unknown_models: Vec<Provider>,
}

impl CatalogueSettings {
    /// The catalogue as this operator wants it.
    pub fn load(&self) -> Result<Catalogue, CatalogueError> {
        let builtin = Catalogue::builtin()?;
        let catalogue = match &self.overrides {
            Some(text) => builtin.with_overrides("catalogue.overrides", text)?,
            None => builtin,
        };
        Ok(catalogue.allowing_unknown_models(&self.allow_unknown_models))
    }

    /// What makes no sense: the setting, what is wrong, what would be right.
    pub fn problems(&self) -> Vec<(&'static str, String, String)> {
        let catalogue = match self.load() {
            Ok(catalogue) => catalogue,
            Err(error) => return vec![("overrides", error.problem, CONFIGURATION.to_owned())],
        };
        let openable: BTreeSet<Provider> =
            catalogue.open_models().iter().map(|open| open.like.provider).collect();
        let named = |providers: &mut dyn Iterator<Item = &Provider>| {
            providers.map(ToString::to_string).collect::<Vec<_>>().join(", ")
        };
        let closed = named(&mut self.allow_unknown_models.iter().filter(|named| !openable.contains(named)));
        if closed.is_empty() {
            return Vec::new();
        }
        let problem = format!("the catalogue does not say how unlisted models of {closed} are called");
        let right = format!("one of {} would be right", named(&mut openable.iter()));
        vec![("allow_unknown_models", problem, right)]
    }
}

/// Where an operator reads on.
const CONFIGURATION: &str = "see shared/docs/configuration.md";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_providers_with_open_models_may_be_opened() {
        let allowing = |providers: &[Provider]| CatalogueSettings {
            overrides: None,
            allow_unknown_models: providers.to_vec(),
        };
        assert_eq!(allowing(&[Provider::Fal]).problems(), vec![]);
        let problems = allowing(&[Provider::Fal, Provider::Luma]).problems();
        let [(setting, problem, right)] = &problems[..] else { panic!("{problems:?}") };
        assert_eq!(*setting, "allow_unknown_models");
        assert!(problem.contains("luma") && !problem.contains("fal"), "{problem}");
        assert!(right.contains("fal"), "{right}");
    }
}
