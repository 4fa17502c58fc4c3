//! Every cell of the capability matrix: each model of the catalogue, with each of its operations, becomes a stored file.

use atelier_domain::catalogue::{Catalogue, Model, OptionKind, OptionSpec, PromptRule};
use atelier_domain::operation::Operation;
use futures::{StreamExt, stream};
use serde_json::{Map, Value, json};

use crate::harness::{Running, speech};

/// Jobs at the same time: they share two cores with everything they need.
const AT_ONCE: usize = 12;

/// What the inputs are.
struct Inputs {
    image: String,
    sound: String,
}

impl Inputs {
    async fn made(running: &Running) -> Self {
        let image = json!({"operation": "image_gen", "provider": "fal", "prompt": "an input",
            "config": {"image_size": "square_hd", "output_format": "png"}});
        let image = running.client.run(&image).await;
        let sound = running.client.run(&speech("a text to be heard again")).await;
        let first =
            |job: &Value| job["asset_ids"][0].as_str().unwrap_or_else(|| panic!("{job:#}")).to_owned();
        Self { image: first(&image), sound: first(&sound) }
    }
}

/// A job for one cell, with everything that the model cannot do without.
fn job(model: &Model, operation: Operation, inputs: &Inputs) -> Value {
    let mut config = Map::new();
    for (name, option) in model.options.iter().filter(|(_, option)| option.is_required) {
        config.insert(name.clone(), example(option, inputs));
    }
    config.extend(needed(model).as_object().cloned().unwrap_or_default());
    let mut body = json!({
        "operation": operation, "provider": model.provider, "model": model.id, "config": config,
    });
    if model.prompt != PromptRule::Unused && operation != Operation::Stt {
        body["prompt"] = json!(format!("{} by {} of {}", operation, model.id, model.provider));
    }
    match operation {
        Operation::Stt => body["input_asset_id"] = json!(inputs.sound),
        Operation::ImageEdit | Operation::VideoFromImage => body["input_asset_id"] = json!(inputs.image),
        Operation::Tts | Operation::ImageGen | Operation::VideoGen => {}
    }
    body
}

/// What no single option says it needs.
fn needed(model: &Model) -> Value {
    match model.id.as_str() {
        "outpaint" => json!({"left": 64}),
        _ => json!({}),
    }
}

fn example(option: &OptionSpec, inputs: &Inputs) -> Value {
    if let Some(value) = option.one_of.first() {
        return value.clone();
    }
    match option.kinds.first().unwrap() {
        OptionKind::File => json!(inputs.image),
        OptionKind::Integer | OptionKind::Number => json!(option.min.unwrap_or(1.0)),
        OptionKind::Boolean => json!(true),
        OptionKind::String => json!("a fox"),
        OptionKind::List => json!([]),
        OptionKind::Object => json!({}),
    }
}

/// What is wrong with the outcome of a cell, if anything is.
fn fault(operation: Operation, job: &Value) -> Option<String> {
    if job["status"] != "succeeded" {
        return Some(format!("{}: {}", job["status"], job["error"]));
    }
    let asset = &job["assets"][0];
    let kind = asset["content_type"].as_str().unwrap_or_default();
    let is_right = match operation {
        Operation::Tts => kind.starts_with("audio/") && asset["duration_s"].as_f64().is_some_and(|s| s > 0.1),
        Operation::Stt => {
            let words = &job["assets"][1];
            kind.starts_with("text/plain")
                && words["content_type"] == "application/json"
                && job["text"].as_str().is_some_and(|text| text.to_lowercase().contains("heard"))
        }
        Operation::ImageGen | Operation::ImageEdit => {
            kind.starts_with("image/") && asset["width"].as_u64().is_some_and(|width| width >= 64)
        }
        Operation::VideoGen | Operation::VideoFromImage => {
            kind == "video/mp4"
                && asset["duration_s"].as_f64().is_some_and(|seconds| seconds >= 1.0)
                && asset["height"].as_u64().is_some_and(|height| height >= 64)
                && asset["codec"] == "h264"
        }
    };
    (!is_right).then(|| format!("not what it should be: {asset}"))
}

#[tokio::test]
async fn every_cell_of_the_capability_matrix_becomes_a_stored_file() {
    let running = Running::start().await;
    let inputs = Inputs::made(&running).await;
    let catalogue = Catalogue::builtin().unwrap();
    let cells = catalogue.models().filter(|model| model.retired_on.is_none());
    let cells: Vec<(&Model, Operation)> =
        cells.flat_map(|model| model.operations.iter().map(move |operation| (model, *operation))).collect();
    let outcomes: Vec<Option<String>> = stream::iter(&cells)
        .map(|(model, operation)| {
            let body = job(model, *operation, &inputs);
            let client = running.client.clone();
            async move {
                let (status, answer) = client.post("/api/v1/media/jobs", &body).await;
                let found = if status == 201 {
                    let ended = client.end_of(answer["data"]["id"].as_str().unwrap()).await;
                    fault(*operation, &ended)
                } else {
                    Some(format!("refused: {}", answer["error"]["message"]))
                };
                found.map(|fault| format!("{} {} {operation}: {fault}", model.provider, model.id))
            }
        })
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    let wrong: Vec<String> = outcomes.into_iter().flatten().collect();
    assert!(wrong.is_empty(), "{} of {} cells:\n{}", wrong.len(), cells.len(), wrong.join("\n"));
    running.finish().await;
}

#[tokio::test]
async fn a_retired_model_is_told_apart_from_any_other_refusal() {
    let running = Running::start().await;
    let inputs = Inputs::made(&running).await;
    let catalogue = Catalogue::builtin().unwrap();
    for model in catalogue.models().filter(|model| model.retired_on.is_some()) {
        for operation in &model.operations {
            let ended = running.client.run(&job(model, *operation, &inputs)).await;
            assert_eq!(ended["error"]["code"], "model_retired", "{} {}: {ended:#}", model.provider, model.id);
            assert!(ended["warnings"][0].as_str().unwrap().contains("retired"), "{ended:#}");
        }
    }
    running.finish().await;
}
