use serde_json::json;

use super::*;

fn model(operation: Operation, id: &str) -> Arc<Model> {
    Catalogue::builtin().unwrap().model(Provider::Pika, operation, id).unwrap()
}

#[test]
fn a_video_of_pika_costs_by_second_or_by_piece() {
    let price = |id: &str, config: serde_json::Value| {
        let model = model(Operation::VideoGen, id);
        model.price.as_ref().unwrap().for_options(&model, config.as_object().unwrap()).micro_usd.0
    };
    assert_eq!(price("pika-2.2", json!({})) * 5, 200_000);
    assert_eq!(price("pika-2.2", json!({"resolution": "1080p"})) * 5, 450_000);
    assert_eq!(price("pika-2.1", json!({"resolution": "1080p"})), 400_000);
}

#[test]
fn only_the_newest_makes_ten_seconds() {
    for (id, expected) in [("pika-2.2", true), ("pika-2.1", false), ("pika-2-turbo", false)] {
        let duration = &model(Operation::VideoFromImage, id).options["duration"];
        assert_eq!(duration.one_of.contains(&json!(10)), expected, "{id}");
    }
}

#[test]
fn a_video_from_an_image_has_its_shape() {
    assert!(model(Operation::VideoGen, "pika-2.2").options.contains_key("aspect_ratio"));
    assert!(!model(Operation::VideoFromImage, "pika-2.2").options.contains_key("aspect_ratio"));
}

#[test]
fn the_retired_model_stays_known_and_may_be_sent_to_a_living_one() {
    let catalogue = Catalogue::builtin().unwrap();
    let chosen = catalogue.choose(Provider::Pika, Operation::VideoGen, Some("pika-1.0")).unwrap();
    assert!(chosen.warnings[0].contains("retired `pika-1.0`"), "{:?}", chosen.warnings);
    let file = "[[provider]]\nname = \"pika\"\n[[provider.patch]]\nid = \"pika-1.0\"\nalias = \"pika-2.2\"";
    let catalogue = catalogue.with_overrides("mine.toml", file).unwrap();
    for operation in [Operation::VideoGen, Operation::VideoFromImage] {
        let chosen = catalogue.choose(Provider::Pika, operation, Some("pika-1.0")).unwrap();
        assert_eq!(chosen.model.id, "pika-2.2");
    }
}
