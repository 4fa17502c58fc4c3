use serde_json::{Value, json};

use super::*;
use crate::money::{PriceUnit, UnitPrice};

fn chosen(operation: Operation, id: Option<&str>) -> Option<Chosen> {
    Catalogue::builtin().unwrap().choose(Provider::Deepgram, operation, id).ok()
}

fn price(operation: Operation, id: &str, config: Value) -> Option<UnitPrice> {
    let model = chosen(operation, Some(id)).unwrap().model;
    model.price.as_ref().map(|price| price.for_options(&model, config.as_object().unwrap()))
}

#[test]
fn defaults_are_a_new_voice_and_the_newest_ear() {
    assert_eq!(chosen(Operation::Tts, None).unwrap().model.id, "aura-2-thalia-en");
    assert_eq!(chosen(Operation::Stt, None).unwrap().model.id, "nova-3");
}

#[test]
fn voices_and_ears_that_are_not_listed_are_taken() {
    assert_eq!(chosen(Operation::Tts, Some("aura-2-uzume-ja")).unwrap().model.id, "aura-2-uzume-ja");
    assert_eq!(chosen(Operation::Stt, Some("whisper-large")).unwrap().model.id, "whisper-large");
    assert!(chosen(Operation::Tts, Some("aura-2/../models")).is_none());
    assert!(chosen(Operation::ImageGen, Some("nova-3")).is_none());
}

#[test]
fn older_voices_cost_half_and_speak_at_one_speed() {
    let character = |micro_usd| {
        Some(UnitPrice { unit: PriceUnit::Character, micro_usd: crate::money::MicroUsd(micro_usd) })
    };
    assert_eq!(price(Operation::Tts, "aura-zeus-en", json!({})), character(15));
    assert_eq!(price(Operation::Tts, "aura-2-zeus-en", json!({})), character(30));
    assert_eq!(price(Operation::Tts, "aura-2-viktoria-de", json!({})), character(30));
    let options = |id| chosen(Operation::Tts, Some(id)).unwrap().model.options.clone();
    assert!(!options("aura-zeus-en").contains_key("speed"));
    assert!(options("aura-2-zeus-en").contains_key("speed"));
}

#[test]
fn several_languages_cost_more_and_unknown_prices_stay_unknown() {
    let second = |micro_usd| {
        Some(UnitPrice { unit: PriceUnit::AudioSecond, micro_usd: crate::money::MicroUsd(micro_usd) })
    };
    assert_eq!(price(Operation::Stt, "nova-3", json!({})), second(72));
    assert_eq!(price(Operation::Stt, "nova-3", json!({"language": "multi"})), second(87));
    assert_eq!(price(Operation::Stt, "nova-2-meeting", json!({})), second(72));
    assert_eq!(price(Operation::Stt, "whisper-large", json!({})), None);
}

#[test]
fn key_terms_belong_to_the_newest_and_keywords_to_the_others() {
    for (id, takes) in [("nova-3", "keyterm"), ("nova-3-medical", "keyterm"), ("nova-2-video", "keywords")] {
        let options = chosen(Operation::Stt, Some(id)).unwrap().model.options.clone();
        let found: Vec<&str> =
            ["keyterm", "keywords"].into_iter().filter(|name| options.contains_key(*name)).collect();
        assert_eq!(found, [takes], "{id}");
    }
}
