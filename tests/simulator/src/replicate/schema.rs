//! Models and versions as their pages describe them, with the OpenAPI schema of their input and output.

use serde_json::{Map, Value, json};

use super::models::{self, Field, Form, Model, Shape};
use super::refusal::Refusal;
use crate::answer::Answer;
use crate::call::Call;

/// When all versions were made.
const CREATED_AT: &str = "2024-05-30T12:00:00.000000Z";
const COG_VERSION: &str = "0.9.9";

pub(crate) fn model(call: &Call, owner: &str, name: &str) -> Answer {
    let Some(model) = models::named(owner, name) else { return Refusal::NotFound.answer() };
    let latest = model.version_ids().into_iter().next().map(|id| describe(model, &id));
    Answer::json(
        200,
        json!({
            "url": format!("{}/replicate/{owner}/{name}", call.origin),
            "owner": owner,
            "name": name,
            "description": "Simulated",
            "visibility": "public",
            "is_official": model.is_official(),
            "github_url": null,
            "paper_url": null,
            "license_url": null,
            "run_count": 0,
            "cover_image_url": null,
            "default_example": null,
            "latest_version": latest,
        }),
    )
}

/// Official models do not list their versions.
pub(crate) fn versions(owner: &str, name: &str) -> Answer {
    match models::named(owner, name) {
        Some(model) if !model.is_official() => {
            let versions: Vec<Value> = model.version_ids().iter().map(|id| describe(model, id)).collect();
            Answer::json(200, json!({"previous": null, "next": null, "results": versions}))
        }
        Some(_) => {
            let detail = "This model is an official model and does not expose a list of versions.";
            Answer::problem(404, json!({"title": "Not found", "detail": detail, "status": 404}))
        }
        None => Refusal::NotFound.answer(),
    }
}

pub(crate) fn version(owner: &str, name: &str, id: &str) -> Answer {
    let found = models::with_version(id)
        .filter(|model| models::is_open(model) || (model.owner == owner && model.name == name));
    found.map_or_else(|| Refusal::NotFound.answer(), |model| Answer::json(200, describe(model, id)))
}

fn describe(model: &Model, id: &str) -> Value {
    json!({"id": id, "created_at": CREATED_AT, "cog_version": COG_VERSION, "openapi_schema": openapi(model)})
}

/// The part of the schema that says anything about the model: its input and its output.
fn openapi(model: &Model) -> Value {
    let properties: Map<String, Value> = model
        .fields
        .iter()
        .enumerate()
        .map(|(index, field)| (field.name.to_owned(), property(field, index)))
        .collect();
    let required: Vec<&str> =
        model.fields.iter().filter(|field| field.is_required).map(|field| field.name).collect();
    let mut schemas =
        Map::from_iter(model.fields.iter().filter_map(|field| Some((field.name.to_owned(), choice(field)?))));
    let input = present([
        ("type", Some(json!("object"))),
        ("title", Some(json!("Input"))),
        ("properties", Some(properties.into())),
        ("required", Some(json!(required)).filter(|_| !required.is_empty())),
    ]);
    schemas.insert("Input".to_owned(), input);
    schemas.insert("Output".to_owned(), output(model.shape));
    json!({
        "openapi": "3.0.2",
        "info": {"title": "Cog", "version": "0.1.0"},
        "paths": {},
        "components": {"schemas": schemas},
    })
}

fn output(shape: Shape) -> Value {
    let uri = json!({"type": "string", "format": "uri"});
    match shape {
        Shape::List => json!({"type": "array", "items": uri, "title": "Output"}),
        Shape::Single => json!({"type": "string", "format": "uri", "title": "Output"}),
        Shape::Object => json!({"type": "object", "properties": {"image": uri}, "title": "Output"}),
    }
}

fn property(field: &Field, order: usize) -> Value {
    let (kind, default, least, most) = match &field.form {
        Form::Text(default) => (Some("string"), default.map(Value::from), None, None),
        Form::Uri => (Some("string"), None, None, None),
        Form::Flag(default) => (Some("boolean"), Some(json!(default)), None, None),
        Form::Integer { default, least, most } => {
            (Some("integer"), default.map(Value::from), least.map(Value::from), most.map(Value::from))
        }
        Form::Number { default, least, most } => {
            (Some("number"), Some(json!(default)), Some(json!(least)), Some(json!(most)))
        }
        Form::Word(default, _) => (None, Some(json!(default)), None, None),
        Form::Count(default, _) => (None, Some(json!(default)), None, None),
    };
    let reference = json!([{"$ref": format!("#/components/schemas/{}", field.name)}]);
    present([
        ("allOf", kind.is_none().then_some(reference)),
        ("type", kind.map(Value::from)),
        ("format", matches!(field.form, Form::Uri).then(|| json!("uri"))),
        ("default", default),
        ("minimum", least),
        ("maximum", most),
        ("x-order", Some(json!(order))),
    ])
}

/// An object of the parts that are there.
fn present<const N: usize>(parts: [(&str, Option<Value>); N]) -> Value {
    parts.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

/// The schema that the property of a choice refers to.
fn choice(field: &Field) -> Option<Value> {
    match &field.form {
        Form::Word(_, words) => Some(json!({"type": "string", "title": field.name, "enum": words})),
        Form::Count(_, counts) => Some(json!({"type": "integer", "title": field.name, "enum": counts})),
        Form::Text(_) | Form::Uri | Form::Integer { .. } | Form::Number { .. } | Form::Flag(_) => None,
    }
}
