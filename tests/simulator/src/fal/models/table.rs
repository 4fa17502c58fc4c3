//! The models, field by field.
//!
//! Names, defaults and enumerations are those of the model types in the published JavaScript client 1.10.1; ranges are
//! those of the schemas on the model pages, and 0 to 1 for strengths (assumed).

use super::{Clip, Field, ImagesTell, Makes, Model, Rule, Shape, VideoTells};

// ---------------------------------------------------------------- fields

const fn optional(name: &'static str, rule: Rule) -> Field {
    Field { name, rule, is_required: false }
}

const fn required(name: &'static str, rule: Rule) -> Field {
    Field { name, rule, is_required: true }
}

const fn flag(name: &'static str) -> Field {
    optional(name, Rule::Flag)
}

const fn text(name: &'static str) -> Field {
    optional(name, Rule::Text { shortest: 0 })
}

const fn integer(name: &'static str, least: i64, most: i64) -> Field {
    optional(name, Rule::Integer { least, most })
}

const fn number(name: &'static str, least: f64, most: f64) -> Field {
    optional(name, Rule::Number { least, most })
}

const fn one_of(name: &'static str, words: &'static [&'static str]) -> Field {
    optional(name, Rule::OneOf(words))
}

const PROMPT: Field = required("prompt", Rule::Text { shortest: 1 });
const SEED: Field = integer("seed", 0, i64::MAX);
const NEGATIVE_PROMPT: Field = text("negative_prompt");
const IMAGE_SIZE: Field = optional("image_size", Rule::ImageSize);
const IMAGE_URL: Field = required("image_url", Rule::Image);
const MASK_URL: Field = required("mask_url", Rule::Image);
const STRENGTH: Field = number("strength", 0.0, 1.0);
const STEPS: Field = integer("num_inference_steps", 1, 50);
const OUTPUT_FORMAT: Field = one_of("output_format", &["jpeg", "png"]);
const SAFETY_CHECKER: Field = flag("enable_safety_checker");
const GUIDANCE: Field = number("guidance_scale", 1.0, 20.0);
const OPEN_GUIDANCE: Field = number("guidance_scale", 0.0, 20.0);
const ACCELERATION: Field = one_of("acceleration", &["none", "regular", "high"]);
const TOLERANCE: Field = one_of("safety_tolerance", &["1", "2", "3", "4", "5", "6"]);
const ENHANCE: Field = flag("enhance_prompt");
const FLUX_RATIO: Field =
    one_of("aspect_ratio", &["21:9", "16:9", "4:3", "3:2", "1:1", "2:3", "3:4", "9:16", "9:21"]);
const NANO_FORMAT: Field = one_of("output_format", &["jpeg", "png", "webp"]);
const WIDE_OR_TALL: Field = one_of("aspect_ratio", &["16:9", "9:16", "1:1"]);
const PIKA_RATIO: Field = one_of("aspect_ratio", &["16:9", "9:16", "1:1", "4:5", "5:4", "3:2", "2:3"]);
const PIKA_RESOLUTION: Field = one_of("resolution", &["720p", "1080p"]);

/// Fields of every image model.
const IMAGES: &[Field] = &[PROMPT, SEED, integer("num_images", 1, 4), flag("sync_mode")];
const FLUX: &[Field] = &[GUIDANCE, SAFETY_CHECKER, OUTPUT_FORMAT, ACCELERATION];
const FLUX_PRO: &[Field] = &[OUTPUT_FORMAT, TOLERANCE, ENHANCE];
const SD3: &[Field] =
    &[NEGATIVE_PROMPT, IMAGE_SIZE, STEPS, OPEN_GUIDANCE, flag("prompt_expansion"), SAFETY_CHECKER];
const SD35: &[Field] = &[NEGATIVE_PROMPT, IMAGE_SIZE, STEPS, OPEN_GUIDANCE, SAFETY_CHECKER, OUTPUT_FORMAT];
const SDXL: &[Field] = &[
    NEGATIVE_PROMPT,
    IMAGE_SIZE,
    STEPS,
    OPEN_GUIDANCE,
    SAFETY_CHECKER,
    one_of("format", &["jpeg", "png"]),
    flag("expand_prompt"),
    one_of("safety_checker_version", &["v1", "v2"]),
    optional("loras", Rule::List),
    optional("embeddings", Rule::List),
];
const NANO: &[Field] = &[NANO_FORMAT, TOLERANCE, flag("limit_generations")];

const KLING: &[Field] =
    &[PROMPT, NEGATIVE_PROMPT, one_of("duration", &["5", "10"]), number("cfg_scale", 0.0, 1.0)];
const WAN: &[Field] = &[
    PROMPT,
    NEGATIVE_PROMPT,
    SEED,
    integer("num_frames", 17, 161),
    integer("frames_per_second", 4, 60),
    one_of("resolution", &["480p", "580p", "720p"]),
    integer("num_inference_steps", 2, 40),
    number("guidance_scale", 1.0, 10.0),
    number("guidance_scale_2", 1.0, 10.0),
    number("shift", 1.0, 10.0),
    SAFETY_CHECKER,
    flag("enable_output_safety_checker"),
    flag("enable_prompt_expansion"),
    one_of("acceleration", &["none", "regular"]),
    one_of("interpolator_model", &["none", "film", "rife"]),
    integer("num_interpolated_frames", 0, 4),
    flag("adjust_fps_for_interpolation"),
    one_of("video_quality", &["low", "medium", "high", "maximum"]),
    one_of("video_write_mode", &["fast", "balanced", "small"]),
];
const LTX: &[Field] = &[PROMPT, NEGATIVE_PROMPT, SEED, STEPS, number("guidance_scale", 1.0, 10.0)];
const PIKA: &[Field] = &[PROMPT, NEGATIVE_PROMPT, PIKA_RESOLUTION, SEED];
const FIVE_OR_TEN: Field = optional("duration", Rule::Seconds(&[5, 10]));
const FIVE: Field = optional("duration", Rule::Seconds(&[5]));
const OTHER: &[Field] = &[
    PROMPT,
    NEGATIVE_PROMPT,
    SEED,
    optional("duration", Rule::SecondsText { most: 20 }),
    one_of("resolution", &["720p", "768p", "1080p"]),
    one_of("aspect_ratio", &["auto", "16:9", "9:16", "1:1"]),
];

// ---------------------------------------------------------------- models

const fn images(id: &'static str, shape: Shape, fields: &'static [&'static [Field]]) -> Model {
    let makes = Makes::Images { shape, format: "jpeg", tells: ImagesTell::Usual };
    Model { id, fields, makes, is_partner: false }
}

const fn sd3(id: &'static str, shape: Shape, fields: &'static [&'static [Field]]) -> Model {
    let makes = Makes::Images { shape, format: "jpeg", tells: ImagesTell::UsualAndCount };
    Model { id, fields, makes, is_partner: false }
}

const fn nano(id: &'static str, shape: Shape, fields: &'static [&'static [Field]]) -> Model {
    let makes = Makes::Images { shape, format: "png", tells: ImagesTell::Description };
    Model { id, fields, makes, is_partner: true }
}

const fn video(
    id: &'static str,
    clip: Clip,
    tells: VideoTells,
    fields: &'static [&'static [Field]],
) -> Model {
    Model { id, fields, makes: Makes::Video { clip, tells }, is_partner: true }
}

const fn pika(id: &'static str, fields: &'static [&'static [Field]]) -> Model {
    video(id, Clip::Pika, VideoTells::Nothing, fields)
}

const LANDSCAPE: Shape = Shape::Size("landscape_4_3");
const SQUARE: Shape = Shape::Size("square_hd");

pub(super) static MODELS: &[Model] = &[
    images("fal-ai/flux/dev", LANDSCAPE, &[IMAGES, FLUX, &[IMAGE_SIZE, STEPS]]),
    images(
        "fal-ai/flux/schnell",
        LANDSCAPE,
        &[IMAGES, FLUX, &[IMAGE_SIZE, integer("num_inference_steps", 1, 12)]],
    ),
    images("fal-ai/flux/dev/image-to-image", Shape::Input, &[IMAGES, FLUX, &[IMAGE_URL, STRENGTH, STEPS]]),
    images("fal-ai/flux-pro/v1.1", LANDSCAPE, &[IMAGES, FLUX_PRO, &[IMAGE_SIZE]]),
    images(
        "fal-ai/flux-pro/v1.1-ultra",
        Shape::Ratio { default: "16:9", factor: 2 },
        &[
            IMAGES,
            FLUX_PRO,
            &[
                FLUX_RATIO,
                flag("raw"),
                optional("image_url", Rule::Image),
                number("image_prompt_strength", 0.0, 1.0),
            ],
        ],
    ),
    images("fal-ai/flux-pro/new", LANDSCAPE, &[IMAGES, FLUX_PRO, &[IMAGE_SIZE, STEPS, GUIDANCE]]),
    images(
        "fal-ai/flux-pro/kontext",
        Shape::RatioOrInput,
        &[IMAGES, FLUX_PRO, &[IMAGE_URL, FLUX_RATIO, GUIDANCE]],
    ),
    images("fal-ai/flux-pro/v1/fill", Shape::Input, &[IMAGES, FLUX_PRO, &[IMAGE_URL, MASK_URL]]),
    sd3("fal-ai/stable-diffusion-v3-medium", SQUARE, &[IMAGES, SD3]),
    sd3(
        "fal-ai/stable-diffusion-v3-medium/image-to-image",
        Shape::SizeOrInput,
        &[IMAGES, SD3, &[IMAGE_URL, STRENGTH]],
    ),
    images(
        "fal-ai/stable-diffusion-v35-large",
        LANDSCAPE,
        &[
            IMAGES,
            SD35,
            &[
                optional("loras", Rule::List),
                optional("controlnet", Rule::Object),
                optional("ip_adapter", Rule::Object),
            ],
        ],
    ),
    images("fal-ai/stable-diffusion-v35-medium", LANDSCAPE, &[IMAGES, SD35]),
    images("fal-ai/fast-sdxl", SQUARE, &[IMAGES, SDXL]),
    images(
        "fal-ai/fast-sdxl/image-to-image",
        Shape::Size("square"),
        &[IMAGES, SDXL, &[IMAGE_URL, STRENGTH, flag("preserve_aspect_ratio"), flag("crop_output")]],
    ),
    images("fal-ai/fast-sdxl/inpainting", SQUARE, &[IMAGES, SDXL, &[IMAGE_URL, MASK_URL, STRENGTH]]),
    nano(
        "fal-ai/nano-banana",
        Shape::Ratio { default: "1:1", factor: 1 },
        &[
            IMAGES,
            NANO,
            &[one_of(
                "aspect_ratio",
                &["21:9", "16:9", "3:2", "4:3", "5:4", "1:1", "4:5", "3:4", "2:3", "9:16"],
            )],
        ],
    ),
    nano(
        "fal-ai/nano-banana/edit",
        Shape::RatioOrInput,
        &[
            IMAGES,
            NANO,
            &[
                required("image_urls", Rule::Images { least: 1, most: 10 }),
                one_of(
                    "aspect_ratio",
                    &["auto", "21:9", "16:9", "3:2", "4:3", "5:4", "1:1", "4:5", "3:4", "2:3", "9:16"],
                ),
            ],
        ],
    ),
    video(
        "fal-ai/kling-video/v2.5-turbo/pro/text-to-video",
        Clip::Kling,
        VideoTells::Nothing,
        &[KLING, &[WIDE_OR_TALL]],
    ),
    video(
        "fal-ai/kling-video/v2.5-turbo/pro/image-to-video",
        Clip::Kling,
        VideoTells::Nothing,
        &[KLING, &[IMAGE_URL, optional("tail_image_url", Rule::Image)]],
    ),
    video(
        "fal-ai/wan/v2.2-a14b/text-to-video",
        Clip::Wan,
        VideoTells::SeedAndPrompt,
        &[WAN, &[WIDE_OR_TALL]],
    ),
    video(
        "fal-ai/wan/v2.2-a14b/image-to-video",
        Clip::Wan,
        VideoTells::SeedAndPrompt,
        &[
            WAN,
            &[
                IMAGE_URL,
                optional("end_image_url", Rule::Image),
                one_of("aspect_ratio", &["auto", "16:9", "9:16", "1:1"]),
            ],
        ],
    ),
    video("fal-ai/ltx-video", Clip::Ltx, VideoTells::Seed, &[LTX]),
    video("fal-ai/ltx-video/image-to-video", Clip::Ltx, VideoTells::Seed, &[LTX, &[IMAGE_URL]]),
    pika("fal-ai/pika/v2.2/text-to-video", &[PIKA, &[FIVE_OR_TEN, PIKA_RATIO]]),
    pika("fal-ai/pika/v2.2/image-to-video", &[PIKA, &[FIVE_OR_TEN, IMAGE_URL]]),
    pika("fal-ai/pika/v2.1/text-to-video", &[PIKA, &[FIVE, PIKA_RATIO]]),
    pika("fal-ai/pika/v2.1/image-to-video", &[PIKA, &[FIVE, IMAGE_URL]]),
    pika("fal-ai/pika/v2/turbo/text-to-video", &[PIKA, &[FIVE, PIKA_RATIO]]),
    pika("fal-ai/pika/v2/turbo/image-to-video", &[PIKA, &[FIVE, IMAGE_URL]]),
    video(
        "fal-ai/pika/v2.2/pikaframes",
        Clip::Pikaframes,
        VideoTells::Nothing,
        &[&[
            required("image_urls", Rule::Images { least: 2, most: 5 }),
            optional("transitions", Rule::Transitions),
            text("prompt"),
            NEGATIVE_PROMPT,
            PIKA_RESOLUTION,
            SEED,
        ]],
    ),
];
/// Partner models whose fields differ by version; these are what they share.
pub(super) static OTHER_VIDEO: Model = video("", Clip::Other, VideoTells::Nothing, &[OTHER]);
pub(super) static OTHER_IMAGE_TO_VIDEO: Model =
    video("", Clip::Other, VideoTells::Nothing, &[OTHER, &[IMAGE_URL]]);
