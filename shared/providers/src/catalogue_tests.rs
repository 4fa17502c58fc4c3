//! The catalogue and the adapters must agree: what the one offers, the other sends.

use atelier_domain::catalogue::{Catalogue, Model, OptionKind, OptionSpec, PromptRule};
use atelier_domain::error::ProviderError;
use atelier_domain::operation::{Operation, Provider};
use atelier_domain::ports::{PreparedInput, SubmitCall};
use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::exchange::HttpRequest;
use crate::fixture::{call, endpoint, shown, with_file, with_input};
use crate::settings::ProviderSettings;
use crate::wire::Wire;
use crate::wires::{WireUse, with_wire};

fn encoded(call: &SubmitCall) -> HttpRequest {
    with_wire(call.spec.provider, &ProviderSettings::default(), Encoding(call))
        .unwrap_or_else(|error| panic!("{} {:?}: {error}", call.spec.model, call.spec.config))
}

/// Makes the paid call.
struct Encoding<'a>(&'a SubmitCall);

impl WireUse for Encoding<'_> {
    type Made = Result<HttpRequest, ProviderError>;

    fn with<W: Wire>(self, wire: W) -> Self::Made {
        wire.encode_submit(self.0, &endpoint("http://provider.test"))
    }
}

/// A value that the catalogue allows, other than the default where there is another.
fn example(option: &OptionSpec) -> Value {
    if let Some(value) = option.one_of.last() {
        return value.clone();
    }
    let number = option.max.unwrap_or(7.0);
    match option.kinds.first().unwrap() {
        OptionKind::Integer => json!(number as u64),
        OptionKind::Number => json!(number),
        OptionKind::Boolean => json!(false),
        OptionKind::String | OptionKind::File => json!("xyz"),
        OptionKind::List => json!([option.items.as_ref().map_or(json!("xyz"), |items| example(items))]),
        OptionKind::Object => option
            .fields
            .iter()
            .map(|(name, field)| (name.clone(), example(field)))
            .collect::<Map<_, _>>()
            .into(),
    }
}

/// A file in the form that the wire takes, so that encoding it is what is tested.
fn file(content_type: &str) -> PreparedInput {
    PreparedInput::Bytes { content_type: content_type.to_owned(), bytes: Bytes::from_static(b"file") }
}

/// A file of an option, in a form that the model's provider takes.
fn form(model: &Model) -> PreparedInput {
    match model.provider {
        // One of its two APIs fetches images itself.
        Provider::Luma => url(),
        _ => file("image/png"),
    }
}

fn url() -> PreparedInput {
    PreparedInput::Url("https://example.com/fox.png".to_owned())
}

fn job(model: &Model, operation: Operation, config: Value) -> SubmitCall {
    let mut job = call(model.provider, operation, &model.id, config);
    if model.prompt == PromptRule::Unused {
        job.spec.prompt = None;
    }
    for (name, option) in model.options.iter().filter(|(_, option)| option.is_required) {
        if option.kinds.contains(&OptionKind::File) {
            job = with_file(job, name, form(model));
        } else {
            job.spec.config.entry(name.clone()).or_insert_with(|| example(option));
        }
    }
    if model.provider == Provider::Stability && model.id == "outpaint" {
        // One direction is needed, whichever it is.
        job.spec.config.entry("left").or_insert(json!(1));
    }
    for (name, option) in &model.options {
        if let Some(default) = &option.default {
            job.spec.config.entry(name.clone()).or_insert_with(|| default.clone());
        }
    }
    if operation.needs_input() {
        let input = match model.provider {
            Provider::Stability => file("image/png"),
            _ => url(),
        };
        return with_input(job, input);
    }
    job
}

#[test]
fn every_option_of_the_catalogue_reaches_the_provider() {
    let catalogue = Catalogue::builtin().unwrap();
    let mut count = 0;
    // Nobody takes Pika 1.0 any more; its adapter says so before anything is sent.
    for model in catalogue.models().filter(|model| model.id != "pika-1.0") {
        for operation in &model.operations {
            let plain = shown(&encoded(&job(model, *operation, json!({}))));
            for (name, option) in &model.options {
                if option.kinds == [OptionKind::File] {
                    let with = with_file(job(model, *operation, json!({})), name, form(model));
                    let is_sent = option.is_required || shown(&encoded(&with)) != plain;
                    assert!(is_sent, "{} drops the file `{name}`", model.id);
                    continue;
                }
                let value = example(option);
                let request = shown(&encoded(&job(model, *operation, json!({ name: value }))));
                let is_default = option.default.as_ref() == Some(&value) || option.is_required;
                assert!(is_default || request != plain, "{} drops `{name}` = {value}", model.id);
                count += 1;
            }
        }
    }
    assert!(count > 0);
}
