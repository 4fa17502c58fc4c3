//! The operations of `v2beta`, their fields, and which of these go together.

use super::fields::{Field, Limits, Ratio, Rule, optional, required};
use super::form::Form;
use super::size::Size;

pub(super) const STYLES: [&str; 17] = [
    "enhance",
    "anime",
    "photographic",
    "digital-art",
    "comic-book",
    "fantasy-art",
    "line-art",
    "analog-film",
    "neon-punk",
    "isometric",
    "low-poly",
    "origami",
    "modeling-compound",
    "cinematic",
    "3d-model",
    "pixel-art",
    "tile-texture",
];
const RATIOS: [&str; 9] = ["1:1", "16:9", "21:9", "2:3", "3:2", "4:5", "5:4", "9:16", "9:21"];
const MODELS: [&str; 7] = [
    "sd3.5-large",
    "sd3.5-large-turbo",
    "sd3.5-medium",
    "sd3.5-flash",
    "sd3-large",
    "sd3-large-turbo",
    "sd3-medium",
];
/// Directions in which outpaint grows an image.
const DIRECTIONS: [&str; 4] = ["left", "right", "up", "down"];

const TEXT: Rule = Rule::Text { most: 10_000 };
const PART: Rule = Rule::Number { least: 0.0, most: 1.0 };
const PIXELS: Rule = Rule::Whole { least: 0, most: 2_000 };

const USUAL: Limits = Limits {
    least_side: 64,
    most_side: 16_383,
    least_pixels: 4_096,
    most_pixels: 9_437_184,
    ratio: Ratio::Any,
};
const MODERATE: Limits = Limits { ratio: Ratio::Moderate, ..USUAL };
/// To begin a generation with.
const BEGINNING: Limits = Limits { most_side: 16_384, most_pixels: u64::MAX, ..USUAL };
const CUT_OUT: Limits = Limits { most_pixels: 4_194_304, ..USUAL };
const DEGRADED: Limits = Limits { most_pixels: 1_048_576, ..USUAL };
const SMALL: Limits = Limits { least_side: 32, most_side: 1_536, least_pixels: 1_024, ..DEGRADED };

const PROMPT: Field = required("prompt", TEXT);
const NEGATIVE: Field = optional("negative_prompt", TEXT);
const SEED: Field = optional("seed", Rule::Whole { least: 0, most: 4_294_967_294 });
const FORMAT: Field = optional("output_format", Rule::OneOf(&["png", "jpeg", "webp"]));
const STYLE: Field = optional("style_preset", Rule::OneOf(&STYLES));
const RATIO: Field = optional("aspect_ratio", Rule::OneOf(&RATIOS));
const IMAGE: Field = required("image", Rule::Image(USUAL));
const MODERATE_IMAGE: Field = required("image", Rule::Image(MODERATE));
const MASK: Field = optional("mask", Rule::AnyImage);
const SMALL_GROWTH: Field = optional("grow_mask", Rule::Whole { least: 0, most: 20 });

/// What can be asked for.
#[derive(Debug)]
pub(super) struct Operation {
    pub(super) group: &'static str,
    pub(super) name: &'static str,
    fields: &'static [Field],
    size: Size,
    pub(super) is_asynchronous: bool,
}

static OPERATIONS: [Operation; 17] = [
    Operation {
        group: "generate",
        name: "ultra",
        fields: &[
            PROMPT,
            NEGATIVE,
            RATIO,
            SEED,
            FORMAT,
            STYLE,
            optional("image", Rule::Image(BEGINNING)),
            optional("strength", PART),
        ],
        size: Size::ByRatio { tenths: 10 },
        is_asynchronous: false,
    },
    Operation {
        group: "generate",
        name: "core",
        fields: &[PROMPT, NEGATIVE, RATIO, SEED, FORMAT, STYLE],
        size: Size::ByRatio { tenths: 15 },
        is_asynchronous: false,
    },
    Operation {
        group: "generate",
        name: "sd3",
        fields: &[
            PROMPT,
            NEGATIVE,
            RATIO,
            SEED,
            FORMAT,
            STYLE,
            optional("mode", Rule::OneOf(&["text-to-image", "image-to-image"])),
            optional("model", Rule::OneOf(&MODELS)),
            optional("image", Rule::Image(BEGINNING)),
            optional("strength", PART),
            optional("cfg_scale", Rule::Number { least: 1.0, most: 10.0 }),
        ],
        size: Size::ByMode,
        is_asynchronous: false,
    },
    Operation {
        group: "edit",
        name: "erase",
        fields: &[IMAGE, MASK, SMALL_GROWTH, SEED, FORMAT],
        size: Size::Of("image"),
        is_asynchronous: false,
    },
    Operation {
        group: "edit",
        name: "inpaint",
        fields: &[
            MODERATE_IMAGE,
            PROMPT,
            MASK,
            NEGATIVE,
            optional("grow_mask", Rule::Whole { least: 0, most: 100 }),
            SEED,
            FORMAT,
            STYLE,
        ],
        size: Size::Of("image"),
        is_asynchronous: false,
    },
    Operation {
        group: "edit",
        name: "outpaint",
        fields: &[
            MODERATE_IMAGE,
            optional("left", PIXELS),
            optional("right", PIXELS),
            optional("up", PIXELS),
            optional("down", PIXELS),
            optional("creativity", PART),
            optional("prompt", TEXT),
            SEED,
            FORMAT,
            STYLE,
        ],
        size: Size::Grown,
        is_asynchronous: false,
    },
    Operation {
        group: "edit",
        name: "search-and-replace",
        fields: &[
            MODERATE_IMAGE,
            PROMPT,
            required("search_prompt", TEXT),
            NEGATIVE,
            SMALL_GROWTH,
            SEED,
            FORMAT,
            STYLE,
        ],
        size: Size::Of("image"),
        is_asynchronous: false,
    },
    Operation {
        group: "edit",
        name: "search-and-recolor",
        fields: &[
            MODERATE_IMAGE,
            PROMPT,
            required("select_prompt", TEXT),
            NEGATIVE,
            SMALL_GROWTH,
            SEED,
            FORMAT,
            STYLE,
        ],
        size: Size::Of("image"),
        is_asynchronous: false,
    },
    Operation {
        group: "edit",
        name: "remove-background",
        fields: &[
            required("image", Rule::Image(CUT_OUT)),
            optional("output_format", Rule::OneOf(&["png", "webp"])),
        ],
        size: Size::Of("image"),
        is_asynchronous: false,
    },
    Operation {
        group: "edit",
        name: "replace-background-and-relight",
        fields: &[
            required("subject_image", Rule::Image(MODERATE)),
            optional("background_reference", Rule::Image(USUAL)),
            optional("background_prompt", TEXT),
            optional("foreground_prompt", TEXT),
            NEGATIVE,
            optional("preserve_original_subject", PART),
            optional("original_background_depth", PART),
            optional("keep_original_background", Rule::OneOf(&["true", "false"])),
            optional("light_reference", Rule::Image(USUAL)),
            optional("light_source_direction", Rule::OneOf(&["left", "right", "above", "below"])),
            optional("light_source_strength", PART),
            SEED,
            FORMAT,
        ],
        size: Size::Of("subject_image"),
        is_asynchronous: true,
    },
    Operation {
        group: "control",
        name: "sketch",
        fields: &[MODERATE_IMAGE, PROMPT, optional("control_strength", PART), NEGATIVE, SEED, FORMAT, STYLE],
        size: Size::Of("image"),
        is_asynchronous: false,
    },
    Operation {
        group: "control",
        name: "structure",
        fields: &[MODERATE_IMAGE, PROMPT, optional("control_strength", PART), NEGATIVE, SEED, FORMAT, STYLE],
        size: Size::Of("image"),
        is_asynchronous: false,
    },
    Operation {
        group: "control",
        name: "style",
        fields: &[MODERATE_IMAGE, PROMPT, optional("fidelity", PART), RATIO, NEGATIVE, SEED, FORMAT, STYLE],
        size: Size::ByRatio { tenths: 10 },
        is_asynchronous: false,
    },
    Operation {
        group: "control",
        name: "style-transfer",
        fields: &[
            required("init_image", Rule::Image(MODERATE)),
            required("style_image", Rule::Image(USUAL)),
            optional("prompt", TEXT),
            NEGATIVE,
            optional("style_strength", PART),
            optional("composition_fidelity", PART),
            optional("change_strength", Rule::Number { least: 0.1, most: 1.0 }),
            SEED,
            FORMAT,
        ],
        size: Size::Of("init_image"),
        is_asynchronous: false,
    },
    Operation {
        group: "upscale",
        name: "fast",
        fields: &[required("image", Rule::Image(SMALL)), FORMAT],
        size: Size::Upscaled { most_pixels: 16 << 20 },
        is_asynchronous: false,
    },
    Operation {
        group: "upscale",
        name: "conservative",
        fields: &[
            MODERATE_IMAGE,
            PROMPT,
            NEGATIVE,
            optional("creativity", Rule::Number { least: 0.2, most: 0.5 }),
            SEED,
            FORMAT,
        ],
        size: Size::Upscaled { most_pixels: 4 << 20 },
        is_asynchronous: false,
    },
    Operation {
        group: "upscale",
        name: "creative",
        fields: &[
            required("image", Rule::Image(DEGRADED)),
            PROMPT,
            NEGATIVE,
            optional("creativity", Rule::Number { least: 0.1, most: 0.5 }),
            SEED,
            FORMAT,
            STYLE,
        ],
        size: Size::Upscaled { most_pixels: 4 << 20 },
        is_asynchronous: true,
    },
];

impl Operation {
    pub(super) fn named(group: &str, name: &str) -> Option<&'static Self> {
        OPERATIONS.iter().find(|operation| operation.group == group && operation.name == name)
    }

    /// Everything that is wrong with a form for this operation.
    pub(super) fn check(&self, form: &Form) -> Vec<String> {
        let mut wrong = super::fields::check(form, self.fields);
        wrong.extend(self.contradiction(form).map(str::to_owned));
        wrong
    }

    /// Fields that do not go together, or of which one is needed.
    fn contradiction(&self, form: &Form) -> Option<&'static str> {
        let is_image_mode = form.text("mode") == Some("image-to-image");
        let has_one = |names: &[&str]| names.iter().any(|name| form.has(name));
        match self.name {
            "ultra" => (form.has("image") && !form.has("strength"))
                .then_some("strength: is required when image is provided"),
            "sd3" if is_image_mode && !(form.has("image") && form.has("strength")) => {
                Some("image, strength: are required when mode is image-to-image")
            }
            "sd3" if is_image_mode => {
                form.has("aspect_ratio").then_some("aspect_ratio: is not allowed when mode is image-to-image")
            }
            "sd3" => (form.has("image") || form.has("strength"))
                .then_some("image, strength: are only allowed when mode is image-to-image"),
            "outpaint" => (!DIRECTIONS.iter().any(|name| form.whole(name).is_some_and(|pixels| pixels > 0)))
                .then_some("at least one of left, right, up or down must be greater than 0"),
            "replace-background-and-relight" if !has_one(&["background_reference", "background_prompt"]) => {
                Some("background_reference or background_prompt: is required")
            }
            "replace-background-and-relight" => (form.has("light_source_strength")
                && !has_one(&["light_reference", "light_source_direction"]))
            .then_some("light_source_strength: requires light_reference or light_source_direction"),
            _ => None,
        }
    }

    /// Width and height of what comes out.
    pub(super) fn size(&self, form: &Form) -> (u32, u32) {
        self.size.of(form)
    }
}
