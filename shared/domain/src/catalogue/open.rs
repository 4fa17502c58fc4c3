//! Models that are not listed one by one: any model of a provider whose name has a certain form.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::model::{Entry, Model, OptionSpec};
use crate::operation::{Operation, Provider};

/// What holds for models that are not listed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OpenModels {
    /// What their names look like.
    pub id_form: IdForm,
    /// Whether they are taken. Where not, the operator may allow it.
    pub is_allowed: bool,
    /// What holds for each of them; its id is empty.
    pub like: Model,
}

/// The form of a model's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IdForm {
    /// Letters, digits, `.`, `-` and `_`, at most 128.
    Word,
    /// Two or more such words with slashes between them.
    Path,
    /// A version of 64 hex digits, `owner/name`, or `owner/name:version`.
    Version,
}

impl IdForm {
    /// Whether a name has the form.
    pub fn fits(self, id: &str) -> bool {
        match self {
            Self::Word => is_word(id),
            Self::Path => is_path(id, 2..=8),
            Self::Version => match id.split_once(':') {
                Some((name, version)) => is_path(name, 2..=2) && is_version(version),
                None => is_version(id) || is_path(id, 2..=2),
            },
        }
    }
}

impl OpenModels {
    pub(super) fn model(&self, provider: Provider, operation: Operation, id: &str) -> Option<Arc<Model>> {
        let is_served = self.is_allowed
            && self.like.provider == provider
            && self.like.operations.contains(&operation)
            && self.id_form.fits(id);
        is_served.then(|| Arc::new(Model { id: id.to_owned(), ..self.like.clone() }))
    }
}

/// The table as it is written: the form, and an entry without an id.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OpenEntry {
    id_form: IdForm,
    #[serde(default)]
    is_allowed: bool,
    like: Entry,
}

impl OpenEntry {
    pub(super) fn resolve(
        self,
        provider: Provider,
        pixels_per_megapixel: Option<u64>,
        shared: &BTreeMap<String, OptionSpec>,
    ) -> Result<OpenModels, String> {
        let like = self.like.resolve(provider, pixels_per_megapixel, shared)?;
        if !like.id.is_empty() || !like.default_for.is_empty() {
            return Err("models that are not listed have no id and are no default".to_owned());
        }
        Ok(OpenModels {
            id_form: self.id_form,
            is_allowed: self.is_allowed,
            like: Model { is_open: true, ..like },
        })
    }
}

fn is_word(text: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    (1..=128).contains(&text.len()) && text.chars().all(is_plain) && !matches!(text, "." | "..")
}

fn is_path(text: &str, parts: std::ops::RangeInclusive<usize>) -> bool {
    parts.contains(&text.split('/').count()) && text.split('/').all(is_word)
}

fn is_version(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_their_forms() {
        let version = "7762fd07cf82c948538e41f63f77d685e02b063e37e496e96eefd46c929f9bdc";
        for (form, id, fits) in [
            (IdForm::Word, "gen5.turbo_2-x", true),
            (IdForm::Word, "a/b", false),
            (IdForm::Word, "..", false),
            (IdForm::Path, "fal-ai/flux/dev", true),
            (IdForm::Path, "flux", false),
            (IdForm::Path, "a/../b", false),
            (IdForm::Path, "a//b", false),
            (IdForm::Path, "a/b?x=1", false),
            (IdForm::Version, version, true),
            (IdForm::Version, "stability-ai/sdxl", true),
            (IdForm::Version, "stability-ai/sdxl/x", false),
            (IdForm::Version, "stability-ai/sdxl:latest", false),
        ] {
            assert_eq!(form.fits(id), fits, "{form:?} {id}");
        }
        assert!(IdForm::Version.fits(&format!("stability-ai/sdxl:{version}")));
    }
}
