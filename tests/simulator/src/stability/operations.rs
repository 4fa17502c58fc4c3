//! The operations of `v2beta`, their fields, and how large what they make is.

use super::fields::{Field, MOST_PIXELS, Ratio, Rule, optional, required};
use super::form::{Form, Image};

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
/// Ratio, then width and height of about one megapixel.
const SIZES: [(&str, u32, u32); 9] = [
    ("1:1", 1024, 1024),
    ("16:9", 1344, 768),
    ("21:9", 1536, 640),
    ("2:3", 832, 1216),
    ("3:2", 1216, 832),
    ("4:5", 896, 1088),
    ("5:4", 1088, 896),
    ("9:16", 768, 1344),
    ("9:21", 640, 1536),
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
/// What `control/style` and text to image have where no ratio is given.
const USUAL_RATIO: &str = "1:1";
/// Directions in which outpaint grows an image.
const DIRECTIONS: [&str; 4] = ["left", "right", "up", "down"];

const TEXT: Rule = Rule::Text { most: 10_000 };
const PART: Rule = Rule::Number { least: 0.0, most: 1.0 };
const PIXELS: Rule = Rule::Whole { least: 0, most: 2_000 };
const PICTURE: Rule = Rule::Image { most_pixels: MOST_PIXELS, ratio: Ratio::Any };
const MODERATE: Rule = Rule::Image { most_pixels: MOST_PIXELS, ratio: Ratio::Moderate };

const PROMPT: Field = required("prompt", TEXT);
const NEGATIVE: Field = optional("negative_prompt", TEXT);
const SEED: Field = optional("seed", Rule::Whole { least: 0, most: 4_294_967_294 });
const FORMAT: Field = optional("output_format", Rule::OneOf(&["png", "jpeg", "webp"]));
const STYLE: Field = optional("style_preset", Rule::OneOf(&STYLES));
const RATIO: Field = optional("aspect_ratio", Rule::OneOf(&RATIOS));
const IMAGE: Field = required("image", PICTURE);
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

/// How large the image is that comes out.
#[derive(Debug, Clone, Copy)]
enum Size {
    /// As the ratio says, with so many tenths of the usual pixels.
    ByRatio { tenths: u32 },
    /// As large as the image in this field.
    Of(&'static str),
    /// The image and what is added around it.
    Grown,
    /// Four times the sides within this number of pixels.
    Upscaled { most_pixels: u64 },
    /// As the ratio says, or as large as the image in the mode that changes one.
    ByMode,
}

static OPERATIONS: [Operation; 16] = [
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
            optional("image", PICTURE),
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
            optional("image", PICTURE),
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
            required("image", MODERATE),
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
            required("image", MODERATE),
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
            IMAGE,
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
            IMAGE,
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
            required("image", Rule::Image { most_pixels: 4_194_304, ratio: Ratio::Any }),
            optional("output_format", Rule::OneOf(&["png", "webp"])),
        ],
        size: Size::Of("image"),
        is_asynchronous: false,
    },
    Operation {
        group: "edit",
        name: "replace-background-and-relight",
        fields: &[
            required("subject_image", MODERATE),
            optional("background_reference", PICTURE),
            optional("background_prompt", TEXT),
            optional("foreground_prompt", TEXT),
            NEGATIVE,
            optional("preserve_original_subject", PART),
            optional("original_background_depth", PART),
            optional("keep_original_background", Rule::OneOf(&["true", "false"])),
            optional("light_reference", PICTURE),
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
        fields: &[
            required("image", MODERATE),
            PROMPT,
            optional("control_strength", PART),
            NEGATIVE,
            SEED,
            FORMAT,
            STYLE,
        ],
        size: Size::Of("image"),
        is_asynchronous: false,
    },
    Operation {
        group: "control",
        name: "structure",
        fields: &[
            required("image", MODERATE),
            PROMPT,
            optional("control_strength", PART),
            NEGATIVE,
            SEED,
            FORMAT,
            STYLE,
        ],
        size: Size::Of("image"),
        is_asynchronous: false,
    },
    Operation {
        group: "control",
        name: "style",
        fields: &[
            required("image", MODERATE),
            PROMPT,
            optional("fidelity", PART),
            RATIO,
            NEGATIVE,
            SEED,
            FORMAT,
            STYLE,
        ],
        size: Size::ByRatio { tenths: 10 },
        is_asynchronous: false,
    },
    Operation {
        group: "upscale",
        name: "fast",
        fields: &[IMAGE, FORMAT],
        size: Size::Upscaled { most_pixels: 16 << 20 },
        is_asynchronous: false,
    },
    Operation {
        group: "upscale",
        name: "conservative",
        fields: &[IMAGE, PROMPT, NEGATIVE, optional("creativity", PART), SEED, FORMAT],
        size: Size::Upscaled { most_pixels: 4 << 20 },
        is_asynchronous: false,
    },
    Operation {
        group: "upscale",
        name: "creative",
        fields: &[IMAGE, PROMPT, NEGATIVE, optional("creativity", PART), SEED, FORMAT, STYLE],
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
            "replace-background-and-relight"
                if !form.has("background_reference") && !form.has("background_prompt") =>
            {
                Some("background_reference or background_prompt: is required")
            }
            "replace-background-and-relight" => {
                let has_light = form.has("light_reference") || form.has("light_source_direction");
                (form.has("light_source_strength") && !has_light)
                    .then_some("light_source_strength: needs light_reference or light_source_direction")
            }
            _ => None,
        }
    }

    /// Width and height of what comes out.
    pub(super) fn size(&self, form: &Form) -> (u32, u32) {
        let image = |name: &str| form.image(name).unwrap_or(Image { width: 1024, height: 1024 });
        match self.size {
            Size::ByMode if form.text("mode") == Some("image-to-image") => {
                let image = image("image");
                (image.width, image.height)
            }
            Size::ByMode => by_ratio(form, 10),
            Size::ByRatio { tenths } => by_ratio(form, tenths),
            Size::Of(name) => {
                let image = image(name);
                (image.width, image.height)
            }
            Size::Grown => {
                let (image, more) = (image("image"), |name: &str| {
                    form.whole(name).and_then(|pixels| u32::try_from(pixels).ok()).unwrap_or_default()
                });
                (image.width + more("left") + more("right"), image.height + more("up") + more("down"))
            }
            Size::Upscaled { most_pixels } => {
                let image = image("image");
                let most = (most_pixels as f64 / image.pixels() as f64).sqrt();
                let factor = most.clamp(1.0, 4.0);
                let longer = |side: u32| (f64::from(side) * factor) as u32;
                (longer(image.width), longer(image.height))
            }
        }
    }
}

/// The sides for the ratio that was asked for, with `tenths` tenths of the usual pixels, in steps of 64.
fn by_ratio(form: &Form, tenths: u32) -> (u32, u32) {
    let ratio = form.text("aspect_ratio").unwrap_or(USUAL_RATIO);
    let (_, width, height) =
        SIZES.iter().find(|(name, ..)| *name == ratio).copied().unwrap_or(("1:1", 1024, 1024));
    if tenths == 10 {
        return (width, height);
    }
    let factor = (f64::from(tenths) / 10.0).sqrt();
    let side = |side: u32| ((f64::from(side) * factor / 64.0).round() as u32) * 64;
    (side(width), side(height))
}
