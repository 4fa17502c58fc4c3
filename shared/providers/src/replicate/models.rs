//! What is particular to a model: which property takes the input image, and what its price counts. The catalogue holds
//! its options.

use atelier_domain::error::ProviderError;
use atelier_domain::job::JobSpec;
use serde_json::Value;

use super::ReplicateOptions;
use crate::wire::{invalid, is_path_segment};

/// The option that names the input property for the image, of models that are not listed here.
pub(super) const INPUT_FIELD: &str = "input_field";
/// The option that names the input property for the prompt.
pub(super) const PROMPT_FIELD: &str = "prompt_field";

/// What the price of a model counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Billing {
    /// The images that come out.
    Images,
    /// The seconds of the video, which the reply does not tell.
    VideoSeconds,
    /// The time the model ran.
    Compute,
}

struct Particulars {
    model: &'static str,
    image_field: &'static str,
    billing: Billing,
}

const fn particulars(model: &'static str, image_field: &'static str, billing: Billing) -> Particulars {
    Particulars { model, image_field, billing }
}

const PARTICULARS: [Particulars; 7] = [
    particulars("stability-ai/sdxl", "image", Billing::Compute),
    particulars("black-forest-labs/flux-schnell", "image", Billing::Images),
    particulars("black-forest-labs/flux-dev", "image", Billing::Images),
    particulars("black-forest-labs/flux-1.1-pro", "image_prompt", Billing::Images),
    particulars("black-forest-labs/flux-kontext-pro", "input_image", Billing::Images),
    particulars("bytedance/seedance-1-pro", "image", Billing::VideoSeconds),
    particulars("kwaivgi/kling-v2.1", "start_image", Billing::VideoSeconds),
];

/// Where a prediction of a model is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    /// An official model, by its name.
    Model { owner: String, name: String },
    /// A version of any model.
    Version(String),
    /// A deployment of the caller's.
    Deployment { owner: String, name: String },
}

impl Target {
    /// `owner/name`, a version of 64 hex digits, `owner/name:version`, or `deployments/owner/name`.
    pub(super) fn of(model: &str, options: &ReplicateOptions) -> Result<Self, ProviderError> {
        let named = options.versions.get(model).map(String::as_str);
        let version = named.or_else(|| model.split_once(':').map(|(_, version)| version));
        if let Some(version) = version.or(Some(model)).filter(|text| is_version(text)) {
            return Ok(Self::Version(version.to_ascii_lowercase()));
        }
        let parts: Vec<&str> = if version.is_some() { Vec::new() } else { model.split('/').collect() };
        match parts.as_slice() {
            ["deployments", owner, name] if is_name(owner) && is_name(name) => {
                Ok(Self::Deployment { owner: (*owner).to_owned(), name: (*name).to_owned() })
            }
            [owner, name] if is_name(owner) && is_name(name) => {
                Ok(Self::Model { owner: (*owner).to_owned(), name: (*name).to_owned() })
            }
            _ => Err(invalid(format!(
                "`{model}` is not a replicate model; `owner/name`, a version of 64 hex digits or both with a colon was expected"
            ))),
        }
    }
}

/// The property that takes the input image.
pub(super) fn image_field(spec: &JobSpec) -> &str {
    chosen(spec, INPUT_FIELD).or_else(|| known(&spec.model).map(|model| model.image_field)).unwrap_or("image")
}

/// The property that takes the prompt.
pub(super) fn prompt_field(spec: &JobSpec) -> &str {
    chosen(spec, PROMPT_FIELD).unwrap_or("prompt")
}

/// What the price counts. Models that are not listed are run by the second.
pub(super) fn billing(spec: &JobSpec) -> Billing {
    known(&spec.model).map_or(Billing::Compute, |model| model.billing)
}

/// Whether the model is one of those that were there when this was written.
pub(super) fn is_known(spec: &JobSpec) -> bool {
    known(&spec.model).is_some()
}

fn known(model: &str) -> Option<&'static Particulars> {
    let name = model.split_once(':').map_or(model, |(name, _)| name);
    PARTICULARS.iter().find(|particulars| particulars.model == name)
}

fn chosen<'a>(spec: &'a JobSpec, option: &str) -> Option<&'a str> {
    spec.config.get(option).and_then(Value::as_str).filter(|field| !field.is_empty())
}

fn is_version(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn is_name(text: &str) -> bool {
    is_path_segment(text)
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}
