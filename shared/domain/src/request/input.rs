//! The input files of a request: at a foreign URL, an asset of the workspace, or bytes that came along.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::RequestContext;
use super::attachment::referred;
use super::fields::Fields;
use super::problem::FieldError;
use crate::asset::{self, Asset};
use crate::catalogue::{FileRule, Model, OptionKind};
use crate::foreign::{self, Exceptions};
use crate::ids::AssetId;
use crate::job::Input;
use crate::operation::{MediaKind, Operation};

const MAX_URL_LENGTH: usize = 8 * 1024;

/// Whether an asset of the workspace can be the input of a job with this model (`option` is `None`), or the file of an
/// option; asked when the asset was found. Every problem of it.
pub fn check_input_asset(
    model: &Model,
    operation: Operation,
    option: Option<&str>,
    found: &Asset,
) -> Vec<FieldError> {
    let field = option.map_or_else(|| "input_asset_id".to_owned(), |name| format!("config.{name}"));
    let rule = match option {
        None => Some(&model.input),
        Some(name) => model.options.get(name).map(|spec| &spec.file),
    };
    let kind = if option.is_none() { operation.input_kind() } else { None };
    let mut errors = Vec::new();
    if let Some(fault) = wrong_kind(kind, rule, &found.content_type) {
        errors.push(FieldError::new(field.clone(), fault.0, fault.1));
        return errors;
    }
    let faults = rule.map(|rule| rule.faults(&found.content_type, found.size_bytes, &found.media));
    errors.extend(
        faults
            .unwrap_or_default()
            .into_iter()
            .map(|(problem, expected)| FieldError::new(field.clone(), problem, expected)),
    );
    errors
}

/// Where a model names no types, the kind of media must fit at least.
fn wrong_kind(
    kind: Option<MediaKind>,
    rule: Option<&FileRule>,
    content_type: &str,
) -> Option<(String, String)> {
    let names_types = rule.is_some_and(|rule| !rule.types.is_empty());
    let wanted = kind.filter(|_| !names_types)?;
    let named = asset::essence(content_type);
    let found = match named.split('/').next() {
        Some("audio") => Some(MediaKind::Speech),
        Some("image") => Some(MediaKind::Image),
        // What is heard may be the sound of a video.
        Some("video") if wanted == MediaKind::Speech => Some(MediaKind::Speech),
        Some("video") => Some(MediaKind::Video),
        _ => None,
    };
    (found != Some(wanted)).then(|| (format!("is of type {named}"), format!("a file of kind {wanted}")))
}

/// Reads the input, if the operation takes one.
pub(super) fn read(
    fields: &mut Fields<'_, '_>,
    operation: Option<Operation>,
    model: Option<&Model>,
    context: &RequestContext<'_>,
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
                "an https URL in `input_url`, the id of an asset in `input_asset_id`, or a file sent along: {operation} needs one {kind} input"
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
    let rule = model.map(|model| &model.input);
    let kind = operation.and_then(Operation::input_kind);
    let url = url.and_then(|text| match referred(text, context.attachments) {
        None => read_url(fields, "input_url", text, context.exceptions),
        Some(Ok(attachment)) => {
            let staged = &attachment.staged;
            let wrong = wrong_kind(kind, rule, &staged.content_type);
            let faults =
                rule.map(|rule| rule.faults(&staged.content_type, staged.size_bytes, &attachment.facts));
            for (problem, expected) in wrong.into_iter().chain(faults.unwrap_or_default()) {
                fields.push("input_url", problem, expected);
            }
            Some(attachment.input())
        }
        Some(Err(name)) => {
            fields.push(
                "input_url",
                format!("names the file `{name}`, which was not sent along"),
                "a file of that name",
            );
            None
        }
    });
    let asset = asset.and_then(|text| match text.parse::<AssetId>() {
        Ok(id) => Some(Input::Asset(id)),
        Err(_) => {
            fields.push("input_asset_id", "is not an id", "the 27 letters and digits of an asset's id");
            None
        }
    });
    url.or(asset)
}

/// Takes the options that are files out of the config: a public https URL, the id of an asset, or a file sent along.
pub(super) fn take_files(
    fields: &mut Fields<'_, '_>,
    model: Option<&Model>,
    config: &mut Map<String, Value>,
    context: &RequestContext<'_>,
) -> BTreeMap<String, Input> {
    let mut files = BTreeMap::new();
    let options = model.iter().flat_map(|model| &model.options);
    for (name, spec) in options.filter(|(_, spec)| spec.kinds.contains(&OptionKind::File)) {
        let Some(Value::String(text)) = config.remove(name) else { continue };
        let field = format!("config.{name}");
        let input = match referred(&text, context.attachments) {
            Some(Ok(attachment)) => {
                let staged = &attachment.staged;
                for (problem, expected) in
                    spec.file.faults(&staged.content_type, staged.size_bytes, &attachment.facts)
                {
                    fields.push(&field, problem, expected);
                }
                Some(attachment.input())
            }
            Some(Err(missing)) => {
                let problem = format!("names the file `{missing}`, which was not sent along");
                fields.push(&field, problem, "a file of that name");
                None
            }
            None => match text.parse::<AssetId>() {
                Ok(id) => Some(Input::Asset(id)),
                Err(_) => read_url(fields, &field, &text, context.exceptions),
            },
        };
        files.extend(input.map(|input| (name.clone(), input)));
    }
    files
}

fn read_url(fields: &mut Fields<'_, '_>, field: &str, text: &str, exceptions: &Exceptions) -> Option<Input> {
    const EXPECTED: &str = "a public https URL";
    if text.len() > MAX_URL_LENGTH {
        fields.push(field, format!("has {} bytes", text.len()), format!("at most {MAX_URL_LENGTH} bytes"));
        return None;
    }
    match foreign::check_url(text, exceptions) {
        Ok(url) if url.scheme() == "https" || exceptions.covers(&url) => Some(Input::Url(url.to_string())),
        Ok(url) => {
            fields.push(field, format!("has the scheme `{}`", url.scheme()), EXPECTED);
            None
        }
        Err(refusal) => {
            fields.push(field, refusal.to_string(), EXPECTED);
            None
        }
    }
}
