//! Replicate's part of the catalogue.

use serde_json::{Value, json};

use super::Catalogue;
use super::estimate::tests::cost;
use crate::money::CostSource;
use crate::operation::{Operation, Provider};

const VERSION: &str = "39ed52f2a78e934b3ba6e2a89f5b1c712de7dfea535525255b1aa35c5565e08b";

fn estimate(operation: Operation, model: &str, config: Value) -> u64 {
    let cost = cost(Provider::Replicate, operation, model, "x", config);
    assert_eq!(cost.source, CostSource::Table);
    cost.estimated.0
}

#[test]
fn each_operation_has_its_default() {
    let catalogue = Catalogue::builtin().unwrap();
    for (operation, id) in [
        (Operation::ImageGen, "black-forest-labs/flux-schnell"),
        (Operation::ImageEdit, "black-forest-labs/flux-kontext-pro"),
        (Operation::VideoGen, "bytedance/seedance-1-pro"),
        (Operation::VideoFromImage, "bytedance/seedance-1-pro"),
    ] {
        let chosen = catalogue.choose(Provider::Replicate, operation, None).unwrap();
        assert_eq!((chosen.model.id.as_str(), chosen.warnings.len()), (id, 0));
    }
}

#[test]
fn images_cost_by_the_piece_and_videos_by_the_second() {
    let image = |model: &str, config| estimate(Operation::ImageGen, model, config);
    assert_eq!(image("black-forest-labs/flux-schnell", json!({"num_outputs": 4})), 12_000);
    assert_eq!(image("black-forest-labs/flux-dev", json!({})), 25_000);
    assert_eq!(image("stability-ai/sdxl", json!({})), 3_900);
    let video = |config| estimate(Operation::VideoGen, "bytedance/seedance-1-pro", config);
    assert_eq!(video(json!({})), 750_000);
    assert_eq!(video(json!({"resolution": "480p", "duration": 2})), 60_000);
    let kling = |config| estimate(Operation::VideoFromImage, "kwaivgi/kling-v2.1", config);
    assert_eq!(kling(json!({})), 250_000);
    assert_eq!(kling(json!({"mode": "pro", "duration": 10})), 900_000);
}

#[test]
fn models_that_are_not_listed_are_taken_with_a_warning() {
    let catalogue = Catalogue::builtin().unwrap();
    let by_both = format!("stability-ai/sdxl:{VERSION}");
    for (operation, id, cost) in [
        (Operation::ImageGen, "somebody/something", 15_250),
        (Operation::ImageEdit, VERSION, 15_250),
        (Operation::ImageGen, by_both.as_str(), 15_250),
        (Operation::VideoGen, "wan-video/wan-2.2-t2v-fast", 183_000),
    ] {
        let chosen = catalogue.choose(Provider::Replicate, operation, Some(id)).unwrap();
        assert!(chosen.model.is_open && chosen.model.options.contains_key("input_field"));
        assert_eq!(chosen.warnings.len(), 1, "{id}");
        assert_eq!(estimate(operation, id, json!({})), cost, "{id}");
    }
    for id in ["flux", "a/b/c", "stability-ai/sdxl:latest"] {
        assert!(catalogue.choose(Provider::Replicate, Operation::ImageGen, Some(id)).is_err(), "{id}");
    }
}

#[test]
fn an_edit_has_no_option_without_effect() {
    let catalogue = Catalogue::builtin().unwrap();
    let has = |operation, option: &str| {
        let model = catalogue.model(Provider::Replicate, operation, "black-forest-labs/flux-dev").unwrap();
        model.options.contains_key(option)
    };
    assert!(has(Operation::ImageGen, "aspect_ratio") && !has(Operation::ImageGen, "prompt_strength"));
    assert!(has(Operation::ImageEdit, "prompt_strength") && !has(Operation::ImageEdit, "aspect_ratio"));
}
