//! Stability's part of the catalogue.

use serde_json::{Value, json};

use super::Catalogue;
use super::estimate::tests::cost;
use crate::asset::MediaFacts;
use crate::money::CostSource;
use crate::operation::{Operation, Provider};

const SDXL: &str = "stable-diffusion-xl-1024-v1-0";

fn estimate(operation: Operation, model: &str, config: Value) -> u64 {
    let cost = cost(Provider::Stability, operation, model, "x", config);
    assert_eq!(cost.source, CostSource::Table);
    cost.estimated.0
}

#[test]
fn each_operation_has_its_default() {
    let catalogue = Catalogue::builtin().unwrap();
    for (operation, id) in [(Operation::ImageGen, "stable-image-core"), (Operation::ImageEdit, "inpaint")] {
        let chosen = catalogue.choose(Provider::Stability, operation, None).unwrap();
        assert_eq!((chosen.model.id.as_str(), chosen.warnings.len()), (id, 0));
    }
}

#[test]
fn images_cost_by_the_piece() {
    for (model, price) in
        [("stable-image-core", 30_000), ("stable-image-ultra", 80_000), ("sd3.5-flash", 25_000)]
    {
        assert_eq!(estimate(Operation::ImageGen, model, json!({})), price, "{model}");
    }
    for (model, price) in [("inpaint", 50_000), ("outpaint", 40_000), ("upscale-creative", 600_000)] {
        assert_eq!(estimate(Operation::ImageEdit, model, json!({})), price, "{model}");
    }
    assert_eq!(estimate(Operation::ImageGen, SDXL, json!({"samples": 4})), 36_000);
}

#[test]
fn images_are_held_to_the_limits_of_their_operation() {
    let catalogue = Catalogue::builtin().unwrap();
    for (model, good, bad) in [
        ("sd3.5-large", (4_000, 3_000), (4_000, 63)),
        ("erase", (3_000, 300), (4_000, 3_000)),
        ("inpaint", (640, 256), (2_048, 256)),
        ("search-and-replace", (640, 256), (641, 256)),
        ("replace-background-and-relight", (640, 256), (641, 256)),
        ("control-style-transfer", (256, 640), (256, 641)),
        ("upscale-fast", (32, 1_536), (1_537, 100)),
        ("upscale-conservative", (3_072, 3_072), (3_072, 3_073)),
        ("upscale-creative", (1_024, 1_024), (1_025, 1_024)),
        (SDXL, (640, 1_536), (1_280, 720)),
        (SDXL, (1_152, 896), (512, 512)),
    ] {
        let rule = &catalogue.model(Provider::Stability, Operation::ImageEdit, model).unwrap().input;
        let faults = |(width, height): (u32, u32)| {
            let facts = MediaFacts { width: Some(width), height: Some(height), ..MediaFacts::default() };
            rule.faults("image/png", 1_000, &facts).len()
        };
        assert_eq!((faults(good), faults(bad).min(1)), (0, 1), "{model}");
    }
}

#[test]
fn work_that_is_asked_about_is_asked_about_seldom() {
    let catalogue = Catalogue::builtin().unwrap();
    for model in ["upscale-creative", "replace-background-and-relight"] {
        let model = catalogue.model(Provider::Stability, Operation::ImageEdit, model).unwrap();
        assert_eq!(model.polling.map(|polling| polling.interval_ms), Some(10_000));
    }
}
