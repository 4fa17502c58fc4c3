//! The input file of a request: at a foreign URL, or an asset of the workspace.

use super::fields::Fields;
use super::problem::FieldError;
use crate::asset::{self, Asset};
use crate::catalogue::Catalogue;
use crate::foreign::{self, Exceptions};
use crate::ids::AssetId;
use crate::job::{Input, JobSpec};
use crate::operation::Operation;

const MAX_URL_LENGTH: usize = 8 * 1024;

/// Whether an asset of the workspace can be the input of this job; asked when the asset was found.
pub fn check_input_asset(catalogue: &Catalogue, spec: &JobSpec, found: &Asset) -> Option<FieldError> {
    let model = catalogue.model(spec.provider, spec.operation, &spec.model)?;
    let content_type = asset::essence(&found.content_type);
    let fits = if model.input_types.is_empty() {
        spec.operation.input_kind() == Some(found.media_kind())
    } else {
        model.input_types.contains(&content_type)
    };
    let expected = match (model.input_types.is_empty(), spec.operation.input_kind()) {
        (true, Some(kind)) => format!("an asset of kind {kind}"),
        _ => format!("an asset of type {}", model.input_types.join(", ")),
    };
    (!fits).then(|| FieldError::new("input_asset_id", format!("is of type {content_type}"), expected))
}

/// Reads the input, if the operation takes one.
pub(super) fn read(
    fields: &mut Fields<'_, '_>,
    operation: Option<Operation>,
    exceptions: &Exceptions,
) -> Option<Input> {
    let url = fields.text("input_url");
    let asset = fields.text("input_asset_id");
    let are_readable = !fields.was_wrong("input_url") && !fields.was_wrong("input_asset_id");
    if url.is_some() && asset.is_some() {
        fields.push("input_asset_id", "is given beside `input_url`", "only one of the two");
    }
    match operation {
        Some(operation) if operation.needs_input() && url.is_none() && asset.is_none() && are_readable => {
            let kind = operation.input_kind().map_or("file", |kind| kind.as_str());
            let expected = format!(
                "an https URL in `input_url`, or the id of an asset in `input_asset_id`: {operation} needs one {kind} input"
            );
            fields.push("input_url", "is missing", expected);
        }
        Some(operation) if !operation.needs_input() => {
            for name in ["input_url", "input_asset_id"] {
                if fields.is_given(name) {
                    fields.push(name, "is given", format!("no input: {operation} takes none"));
                }
            }
            return None;
        }
        Some(_) | None => {}
    }
    let url = url.and_then(|text| read_url(fields, text, exceptions));
    let asset = asset.and_then(|text| match text.parse::<AssetId>() {
        Ok(id) => Some(Input::Asset(id)),
        Err(_) => {
            fields.push("input_asset_id", "is not an id", "the 27 letters and digits of an asset's id");
            None
        }
    });
    url.or(asset)
}

fn read_url(fields: &mut Fields<'_, '_>, text: &str, exceptions: &Exceptions) -> Option<Input> {
    const EXPECTED: &str = "a public https URL";
    if text.len() > MAX_URL_LENGTH {
        fields.push(
            "input_url",
            format!("has {} bytes", text.len()),
            format!("at most {MAX_URL_LENGTH} bytes"),
        );
        return None;
    }
    match foreign::check_url(text, exceptions) {
        Ok(url) if url.scheme() == "https" || exceptions.covers(&url) => Some(Input::Url(url.to_string())),
        Ok(url) => {
            fields.push("input_url", format!("has the scheme `{}`", url.scheme()), EXPECTED);
            None
        }
        Err(refusal) => {
            fields.push("input_url", refusal.to_string(), EXPECTED);
            None
        }
    }
}
