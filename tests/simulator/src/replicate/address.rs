//! Which model a request names: by version, by name, or by a deployment of it.

use super::models::{self, Model};
use super::refusal::Refusal;

/// A model as it was named.
#[derive(Debug)]
pub(crate) struct Address {
    pub(crate) model: &'static Model,
    /// `owner/name`, as the prediction shows it.
    pub(crate) name: String,
    /// The version, as the prediction shows it.
    pub(crate) version: String,
    pub(crate) deployment: Option<String>,
}

impl Address {
    /// `POST /v1/models/{owner}/{name}/predictions`: official models only.
    pub(crate) fn of_model(owner: &str, name: &str) -> Result<Self, Refusal> {
        let model =
            models::named(owner, name).filter(|model| model.is_official()).ok_or(Refusal::NotFound)?;
        Ok(Self::official(model))
    }

    /// `POST /v1/deployments/{owner}/{name}/predictions`: a deployment runs the model that has its name.
    pub(crate) fn of_deployment(owner: &str, name: &str) -> Result<Self, Refusal> {
        let model = models::deployed_as(name).ok_or(Refusal::NotFound)?;
        let version = model.version_ids().into_iter().next().unwrap_or_default();
        let version = format!("dp-{}", version.get(..32).unwrap_or_default());
        Ok(Self { model, name: model.full_name(), version, deployment: Some(format!("{owner}/{name}")) })
    }

    /// The `version` of `POST /v1/predictions`: an id, `owner/name:id`, or the name of an official model.
    pub(crate) fn of_version(text: &str) -> Result<Self, Refusal> {
        let (named, id) = match (text.split_once(':'), text.contains('/')) {
            (Some((named, id)), _) => (Some(named), Some(id)),
            (None, true) => (Some(text), None),
            (None, false) => (None, Some(text)),
        };
        let model = match id {
            Some(id) => models::with_version(id),
            None => named
                .and_then(|named| named.split_once('/'))
                .and_then(|(owner, name)| models::named(owner, name).filter(|model| model.is_official())),
        };
        let model = model.ok_or(Refusal::Version)?;
        let Some(id) = id else { return Ok(Self::official(model)) };
        let name = match named {
            Some(named) if models::is_open(model) || named == model.full_name() => named.to_owned(),
            Some(_) => return Err(Refusal::Version),
            None => model.full_name(),
        };
        Ok(Self { model, name, version: id.to_owned(), deployment: None })
    }

    fn official(model: &'static Model) -> Self {
        Self { model, name: model.full_name(), version: "hidden".to_owned(), deployment: None }
    }
}
