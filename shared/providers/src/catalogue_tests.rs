//! The catalogue and the adapters must agree: what the one offers, the other sends.

use atelier_domain::catalogue::{Catalogue, Model, OptionKind, OptionSpec};
use atelier_domain::operation::{Operation, Provider};
use atelier_domain::ports::{PreparedInput, SubmitCall};
use serde_json::{Map, Value, json};

use crate::elevenlabs::ElevenLabs;
use crate::exchange::HttpRequest;
use crate::fal::Fal;
use crate::fixture::{call, endpoint, shown, with_input};
use crate::runway::Runway;
use crate::wire::Wire;

fn encoded(call: &SubmitCall) -> HttpRequest {
    let endpoint = endpoint("http://provider.test");
    match call.spec.provider {
        Provider::ElevenLabs => ElevenLabs::new(Default::default()).encode_submit(call, &endpoint),
        Provider::Fal => Fal.encode_submit(call, &endpoint),
        Provider::Runway => Runway::new(Default::default()).encode_submit(call, &endpoint),
        other => panic!("{other} has no adapter"),
    }
    .unwrap_or_else(|error| panic!("{} {:?}: {error}", call.spec.model, call.spec.config))
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
        OptionKind::String => json!("xyz"),
        OptionKind::Object => option
            .fields
            .iter()
            .map(|(name, field)| (name.clone(), example(field)))
            .collect::<Map<_, _>>()
            .into(),
    }
}

fn job(model: &Model, operation: Operation, config: Value) -> SubmitCall {
    let job = call(model.provider, operation, &model.id, config);
    if operation.needs_input() {
        return with_input(job, PreparedInput::Url("https://example.com/fox.png".to_owned()));
    }
    job
}

#[test]
fn every_option_of_the_catalogue_reaches_the_provider() {
    let catalogue = Catalogue::builtin().unwrap();
    let mut count = 0;
    for model in catalogue.models() {
        for operation in &model.operations {
            let plain = shown(&encoded(&job(model, *operation, json!({}))));
            for (name, option) in &model.options {
                let value = example(option);
                let request = shown(&encoded(&job(model, *operation, json!({ name: value }))));
                let is_default = option.default.as_ref() == Some(&value);
                assert!(is_default || request != plain, "{} drops `{name}` = {value}", model.id);
                count += 1;
            }
        }
    }
    assert!(count > 0);
}
