use serde_json::{Map, Value, json};

use super::*;

fn price(operation: Operation, id: &str, config: Value) -> u64 {
    let model = Catalogue::builtin().unwrap().model(Provider::Fal, operation, id).unwrap();
    let config: Map<String, Value> = config.as_object().cloned().unwrap();
    model.price.as_ref().unwrap().for_options(&model, &config).micro_usd.0
}

#[test]
fn each_operation_of_fal_has_its_default() {
    for (operation, id) in [
        (Operation::ImageGen, "fal-ai/flux/schnell"),
        (Operation::ImageEdit, "fal-ai/flux-pro/kontext"),
        (Operation::VideoGen, "fal-ai/kling-video/v2.5-turbo/pro/text-to-video"),
        (Operation::VideoFromImage, "fal-ai/kling-video/v2.5-turbo/pro/image-to-video"),
    ] {
        let chosen = Catalogue::builtin().unwrap().choose(Provider::Fal, operation, None).unwrap();
        assert_eq!(chosen.model.id, id);
        assert_eq!(chosen.warnings, [] as [&str; 0]);
    }
}

#[test]
fn painting_anew_needs_a_mask_and_other_edits_do_not() {
    let catalogue = Catalogue::builtin().unwrap();
    for (id, is_needed) in [
        ("fal-ai/flux-pro/v1/fill", true),
        ("fal-ai/fast-sdxl/inpainting", true),
        ("fal-ai/flux-pro/kontext", false),
    ] {
        let model = catalogue.model(Provider::Fal, Operation::ImageEdit, id).unwrap();
        assert_eq!(model.options.get("mask").is_some_and(|mask| mask.is_required), is_needed, "{id}");
    }
}

#[test]
fn videos_of_wan_cost_by_their_resolution() {
    let wan = |config| price(Operation::VideoGen, "fal-ai/wan/v2.2-a14b/text-to-video", config);
    assert_eq!(wan(json!({})), 80_000);
    assert_eq!(wan(json!({"resolution": "480p"})), 40_000);
}

#[test]
fn models_that_are_not_listed_are_served_by_the_operators_leave_only() {
    let catalogue = Catalogue::builtin().unwrap();
    let id = Some("fal-ai/birefnet/v2");
    assert!(catalogue.choose(Provider::Fal, Operation::ImageEdit, id).is_err());
    let catalogue = catalogue.allowing_unknown_models(&[Provider::Fal]);
    for operation in
        [Operation::ImageGen, Operation::ImageEdit, Operation::VideoGen, Operation::VideoFromImage]
    {
        let chosen = catalogue.choose(Provider::Fal, operation, id).unwrap();
        assert!(chosen.model.is_open && chosen.model.price.is_none());
        assert!(chosen.warnings[0].contains("not in the catalogue"), "{:?}", chosen.warnings);
    }
    let overrides = catalogue.polling_overrides();
    assert_eq!(overrides.get("fal/*/image_edit").map(|polling| polling.interval_ms), Some(2_000));
    assert!(!overrides.contains_key("fal/*/video_gen"));
}
