//! What each of Runway's models takes. Facts and their sources are in the provider's file.

use atelier_domain::error::ProviderError;
use atelier_domain::job::JobSpec;
use atelier_domain::operation::Operation;
use serde_json::Value;

use crate::wire::invalid;

/// Sent when the caller names no length.
pub(super) const DEFAULT_DURATION_S: u64 = 5;

/// What one model takes for one operation.
pub(super) struct Model {
    pub(super) name: &'static str,
    pub(super) operation: Operation,
    pub(super) needs_prompt: bool,
    durations_s: &'static [u64],
    /// Generic ratio and what the model calls it. The first is the default.
    ratios: &'static [(&'static str, &'static str)],
}

const TWO_TO_TEN: &[u64] = &[2, 3, 4, 5, 6, 7, 8, 9, 10];
const TEXT_RATIOS: &[(&str, &str)] = &[("16:9", "1280:720"), ("9:16", "720:1280")];
const IMAGE_RATIOS: &[(&str, &str)] = &[
    ("16:9", "1280:720"),
    ("9:16", "720:1280"),
    ("4:3", "1104:832"),
    ("3:4", "832:1104"),
    ("1:1", "960:960"),
    ("21:9", "1584:672"),
];
const MODELS: &[Model] = &[
    Model {
        name: "gen4.5",
        operation: Operation::VideoGen,
        needs_prompt: true,
        durations_s: TWO_TO_TEN,
        ratios: TEXT_RATIOS,
    },
    Model {
        name: "gen4.5",
        operation: Operation::VideoFromImage,
        needs_prompt: true,
        durations_s: TWO_TO_TEN,
        ratios: IMAGE_RATIOS,
    },
    Model {
        name: "gen4_turbo",
        operation: Operation::VideoFromImage,
        needs_prompt: false,
        durations_s: TWO_TO_TEN,
        ratios: IMAGE_RATIOS,
    },
    Model {
        name: "gen3a_turbo",
        operation: Operation::VideoFromImage,
        needs_prompt: true,
        durations_s: &[5, 10],
        ratios: &[("16:9", "1280:768"), ("9:16", "768:1280")],
    },
];

/// The model for this job, or which ones would do.
pub(super) fn model_for(spec: &JobSpec) -> Result<&'static Model, ProviderError> {
    let fits = |model: &&Model| model.operation == spec.operation;
    if let Some(model) = MODELS.iter().filter(fits).find(|model| model.name == spec.model) {
        return Ok(model);
    }
    let names: Vec<&str> = MODELS.iter().filter(fits).map(|model| model.name).collect();
    Err(invalid(if names.is_empty() {
        format!(
            "runway does not do `{}` here; `video_gen` or `video_from_image` was expected",
            spec.operation
        )
    } else {
        format!("`{}` does not do `{}`; one of {} was expected", spec.model, spec.operation, names.join(", "))
    }))
}

/// `5`, `5.0` and `"5"` are one length; form builders send all three.
pub(super) fn duration(value: &Value, model: &Model) -> Result<u64, ProviderError> {
    let seconds = value.as_f64().or_else(|| value.as_str()?.parse().ok());
    let known = seconds.and_then(|seconds| model.durations_s.iter().find(|known| **known as f64 == seconds));
    known.copied().ok_or_else(|| {
        let all: Vec<String> = model.durations_s.iter().map(u64::to_string).collect();
        invalid(format!("`duration` of `{}` must be one of {} seconds", model.name, all.join(", ")))
    })
}

/// A generic ratio, or one in the model's own spelling, in the model's own spelling.
pub(super) fn own_ratio(value: &Value, model: &Model) -> Result<&'static str, ProviderError> {
    let wanted = value.as_str().unwrap_or_default();
    let found = model.ratios.iter().find(|(generic, own)| wanted == *generic || wanted == *own);
    found.map(|(_, own)| *own).ok_or_else(|| {
        let all: Vec<String> =
            model.ratios.iter().map(|(generic, own)| format!("{generic} ({own})")).collect();
        invalid(format!("`ratio` of `{}` must be one of {}", model.name, all.join(", ")))
    })
}

/// The model's ratio for callers that name none.
pub(super) fn default_ratio(model: &Model) -> &'static str {
    model.ratios.first().map_or("", |(_, own)| *own)
}
