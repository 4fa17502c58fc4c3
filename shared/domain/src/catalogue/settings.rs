//! What an operator says about the catalogue.

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

    /// What makes no sense, in words.
    pub fn problem(&self) -> Option<String> {
        self.load().err().map(|error| error.problem)
    }
}
