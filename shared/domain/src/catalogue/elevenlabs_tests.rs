use serde_json::json;

use super::*;
use crate::money::MicroUsd;

fn model(operation: Operation, id: Option<&str>) -> std::sync::Arc<Model> {
    Catalogue::builtin().unwrap().choose(Provider::ElevenLabs, operation, id).unwrap().model
}

#[test]
fn every_model_of_the_page_is_served() {
    let ids = |operation| -> Vec<String> {
        let catalogue = Catalogue::builtin().unwrap();
        let all = catalogue
            .models()
            .filter(|model| model.provider == Provider::ElevenLabs && model.operations.contains(&operation));
        all.map(|model| model.id.clone()).collect()
    };
    assert_eq!(
        ids(Operation::Tts),
        [
            "eleven_multilingual_v2",
            "eleven_v3",
            "eleven_turbo_v2_5",
            "eleven_flash_v2_5",
            "eleven_turbo_v2",
            "eleven_flash_v2",
            "eleven_v3_conversational",
            "eleven_v4",
            "eleven_v4_turbo"
        ]
    );
    assert_eq!(
        ids(Operation::Stt),
        ["scribe_v1", "scribe_v1_experimental", "scribe_v2", "scribe_v2_medical", "scribe_v3"]
    );
}

#[test]
fn transcripts_have_their_default_and_their_prices() {
    let scribe = model(Operation::Stt, None);
    assert_eq!(scribe.id, "scribe_v2");
    let price = |config: serde_json::Value| {
        scribe.price.as_ref().unwrap().for_options(&scribe, config.as_object().unwrap()).micro_usd
    };
    assert_eq!(price(json!({})), MicroUsd(61));
    assert_eq!(price(json!({"detect_speaker_roles": true})), MicroUsd(67));
    assert!(model(Operation::Stt, Some("scribe_v3")).price.is_none());
}

#[test]
fn options_belong_to_the_models_that_have_them() {
    for (id, option, has) in [
        ("scribe_v1", "no_verbatim", false),
        ("scribe_v2", "no_verbatim", true),
        ("scribe_v2", "numbers_format", false),
        ("scribe_v3", "numbers_format", true),
    ] {
        assert_eq!(model(Operation::Stt, Some(id)).options.contains_key(option), has, "{id} {option}");
    }
    assert!(!model(Operation::Tts, None).options.contains_key("language_code"));
    // The two operations count seeds differently.
    assert_eq!(model(Operation::Stt, None).options["seed"].max, Some(2_147_483_647.0));
    assert_eq!(model(Operation::Tts, None).options["seed"].max, Some(4_294_967_295.0));
}
