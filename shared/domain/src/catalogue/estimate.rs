//! What a job will cost by the price table.

use serde_json::{Map, Value};

use super::{Catalogue, Model, Price};
use crate::job::JobSpec;
use crate::money::{Cost, PriceUnit};

impl Catalogue {
    /// The estimate for a job with this model.
    pub fn estimate(&self, model: &Model, spec: &JobSpec) -> Cost {
        let Some(price) = &model.price else { return Cost::unknown() };
        let one = price.for_options(model, &spec.config);
        Cost::estimate(one.micro_usd.times_milli(quantity_milli(model, price, spec)), one)
    }
}

/// Thousandths of the unit, rounded up: an estimate must not be too low.
fn quantity_milli(model: &Model, price: &Price, spec: &JobSpec) -> u64 {
    match price.unit {
        PriceUnit::Character => spec.prompt.as_ref().map_or(0, |text| text.chars().count() as u64 * 1000),
        PriceUnit::Image | PriceUnit::Video => count(model, &spec.config).saturating_mul(1000),
        PriceUnit::Megapixel => {
            let one = megapixels(model, price, &spec.config).saturating_mul(1000);
            count(model, &spec.config).saturating_mul(one)
        }
        PriceUnit::Second => {
            let seconds = model.option(&spec.config, "duration").and_then(seconds).or(price.typical_quantity);
            count(model, &spec.config).saturating_mul(milli(seconds))
        }
        PriceUnit::AudioSecond | PriceUnit::ComputeSecond => milli(price.typical_quantity),
    }
}

/// Negative and huge values saturate.
fn milli(quantity: Option<f64>) -> u64 {
    (quantity.unwrap_or(0.0) * 1000.0).ceil() as u64
}

/// A length of time as options write it: `5`, `"5"`, `"5s"`.
fn seconds(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.as_str()?.trim_end_matches('s').parse().ok())
}

fn count(model: &Model, config: &Map<String, Value>) -> u64 {
    let named = model.count_option.as_ref().and_then(|name| model.option(config, name));
    named.and_then(Value::as_u64).unwrap_or(1)
}

/// Begun megapixels of one image. An unknown size counts as one.
fn megapixels(model: &Model, price: &Price, config: &Map<String, Value>) -> u64 {
    let (width, height) = match model.option(config, "image_size") {
        Some(Value::String(name)) => named_size(name),
        Some(Value::Object(size)) => {
            let side = |name| size.get(name).and_then(Value::as_u64).unwrap_or(0);
            (side("width"), side("height"))
        }
        _ => (0, 0),
    };
    width.saturating_mul(height).div_ceil(price.pixels_per_megapixel.max(1)).max(1)
}

/// Fal's names for image sizes (`ImageSize` of its published model types, 2026-11).
fn named_size(name: &str) -> (u64, u64) {
    match name {
        "square_hd" => (1024, 1024),
        "square" => (512, 512),
        "portrait_4_3" => (768, 1024),
        "portrait_16_9" => (576, 1024),
        "landscape_4_3" => (1024, 768),
        "landscape_16_9" => (1024, 576),
        _ => (0, 0),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::json;

    use super::*;
    use crate::operation::{OnUnknownOutcome, Operation, Priority, Provider};

    /// The cost at admission of a job with this model of the built-in catalogue.
    pub(in crate::catalogue) fn cost(
        provider: Provider,
        operation: Operation,
        model: &str,
        prompt: &str,
        config: Value,
    ) -> Cost {
        let spec = JobSpec {
            operation,
            provider,
            model: model.to_owned(),
            prompt: Some(prompt.to_owned()),
            input: None,
            files: Default::default(),
            config: config.as_object().cloned().unwrap(),
            credential_id: None,
            priority: Priority::Normal,
            run_at: None,
            start_deadline: "2026-11-22T00:00:00Z".parse().unwrap(),
            metadata: Map::new(),
            capture_prompt: true,
            on_unknown_outcome: OnUnknownOutcome::Fail,
        };
        let catalogue = Catalogue::builtin().unwrap();
        let model = catalogue.model(provider, operation, model).unwrap();
        catalogue.estimate(&model, &spec)
    }

    fn estimate(provider: Provider, operation: Operation, model: &str, prompt: &str, config: Value) -> u64 {
        cost(provider, operation, model, prompt, config).estimated.0
    }

    #[test]
    fn speech_costs_by_the_character_not_by_the_byte() {
        let tts =
            |model: &str, text: &str| estimate(Provider::ElevenLabs, Operation::Tts, model, text, json!({}));
        assert_eq!(tts("eleven_multilingual_v2", &"a".repeat(1000)), 80_000);
        assert_eq!(tts("eleven_flash_v2_5", &"ü".repeat(1000)), 40_000);
        assert_eq!(tts("eleven_v3", "🎬"), 80);
    }

    #[test]
    fn images_cost_by_the_begun_megapixel_and_number() {
        let image = |model, config| estimate(Provider::Fal, Operation::ImageGen, model, "x", config);
        for (config, megapixels) in [
            (json!({}), 1),
            (json!({"image_size": "square_hd"}), 1),
            (json!({"image_size": "portrait_16_9", "num_images": 4}), 4),
            (json!({"image_size": {"width": 1024, "height": 1025}}), 2),
            (json!({"image_size": {"width": 1920, "height": 1080}}), 2),
            (json!({"image_size": {"width": 2048, "height": 2048}, "num_images": 2}), 8),
            (json!({"image_size": {"width": 1, "height": 1}}), 1),
        ] {
            assert_eq!(image("fal-ai/flux/schnell", config.clone()), megapixels * 3_000, "{config}");
            assert_eq!(image("fal-ai/flux/dev", config.clone()), megapixels * 25_000, "{config}");
        }
    }

    #[test]
    fn some_images_cost_the_same_in_any_size() {
        let config = json!({"image_size": {"width": 2048, "height": 2048}, "num_images": 3});
        let cost =
            estimate(Provider::Fal, Operation::ImageGen, "fal-ai/stable-diffusion-v3-medium", "x", config);
        assert_eq!(cost, 105_000);
    }

    #[test]
    fn videos_cost_by_the_second_with_the_default_length() {
        let video = |model, config| estimate(Provider::Runway, Operation::VideoFromImage, model, "x", config);
        assert_eq!(video("gen4_turbo", json!({})), 250_000);
        assert_eq!(video("gen4_turbo", json!({"duration": 10})), 500_000);
        assert_eq!(video("gen4.5", json!({"duration": 2})), 240_000);
        assert_eq!(video("gen3a_turbo", json!({"duration": 5})), 250_000);
    }

    #[test]
    fn every_named_size_of_the_catalogue_is_known() {
        let catalogue = Catalogue::builtin().unwrap();
        let sizes = catalogue.models().filter_map(|model| model.options.get("image_size"));
        for name in sizes.flat_map(|size| &size.one_of) {
            assert_ne!(named_size(name.as_str().unwrap()), (0, 0), "{name}");
        }
    }
}
