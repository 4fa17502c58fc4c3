//! The models of Replicate that the simulator knows, and the input that each declares (model pages, 2024 to 2026).
//!
//! | fact | value | kind |
//! |---|---|---|
//! | version ids of official models | the SHA-256 of the name | assumed: they do not matter, predictions show `hidden` |
//! | open models | versions that begin with `feed` | of the simulator |

use crate::hex::hex;
use sha2::{Digest, Sha256};

/// Versions that begin so accept any input.
const OPEN_VERSION: &str = "feed";

/// A model.
#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) owner: &'static str,
    pub(crate) name: &'static str,
    /// Published versions of a community model, newest first; an official model is addressed without one.
    pub(crate) versions: &'static [&'static str],
    pub(crate) fields: &'static [Field],
    pub(crate) family: Family,
    pub(crate) shape: Shape,
}

/// How the input decides what is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    /// `width` and `height`, PNG.
    Sdxl,
    /// `aspect_ratio` and `megapixels`.
    Flux,
    /// `aspect_ratio`, or `custom` with `width` and `height`.
    FluxPro,
    /// An instruction and an image.
    Kontext,
    Seedance,
    Kling,
    /// Whatever there is.
    OpenImage,
    OpenVideo,
}

/// The form of `output`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// A list of URIs.
    List,
    /// One URI.
    Single,
    /// An object whose `image` is a URI.
    Object,
}

/// A property of `input`.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) form: Form,
    pub(crate) is_required: bool,
}

/// What a property may hold.
#[derive(Debug)]
pub(crate) enum Form {
    Text(Option<&'static str>),
    Uri,
    Integer {
        default: Option<i64>,
        least: Option<i64>,
        most: Option<i64>,
    },
    Number {
        default: f64,
        least: f64,
        most: f64,
    },
    Flag(bool),
    /// One of these words; the default is named first.
    Word(&'static str, &'static [&'static str]),
    /// One of these integers; the default is named first.
    Count(i64, &'static [i64]),
}

impl Model {
    pub(crate) fn full_name(&self) -> String {
        format!("{}/{}", self.owner, self.name)
    }

    pub(crate) fn is_official(&self) -> bool {
        self.versions.is_empty()
    }

    /// The ids of its versions, newest first.
    pub(crate) fn version_ids(&self) -> Vec<String> {
        if self.is_official() {
            return vec![hex(Sha256::digest(self.full_name()))];
        }
        self.versions.iter().map(|id| (*id).to_owned()).collect()
    }
}

/// The model of this name.
pub(crate) fn named(owner: &str, name: &str) -> Option<&'static Model> {
    MODELS.iter().find(|model| model.owner == owner && model.name == name)
}

/// The model that a deployment of this name runs.
pub(crate) fn deployed_as(name: &str) -> Option<&'static Model> {
    MODELS.iter().find(|model| model.name == name)
}

/// The model that has this version.
pub(crate) fn with_version(id: &str) -> Option<&'static Model> {
    if !is_version_id(id) {
        return None;
    }
    let known = MODELS.iter().find(|model| model.version_ids().iter().any(|known| known == id));
    known.or_else(|| {
        let digits = id.strip_prefix(OPEN_VERSION)?.get(..4)?;
        Some(match digits {
            "0001" => &OPEN_SINGLE,
            "0002" => &OPEN_VIDEO,
            "0003" => &OPEN_OBJECT,
            _ => &OPEN_LIST,
        })
    })
}

/// Whether the model belongs to nobody, so that any owner and name may stand before its version.
pub(crate) fn is_open(model: &Model) -> bool {
    matches!(model.family, Family::OpenImage | Family::OpenVideo)
}

fn is_version_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

const fn open(name: &'static str, family: Family, shape: Shape) -> Model {
    Model { owner: "open", name, versions: &[], fields: &[], family, shape }
}

static OPEN_LIST: Model = open("images", Family::OpenImage, Shape::List);
static OPEN_SINGLE: Model = open("image", Family::OpenImage, Shape::Single);
static OPEN_OBJECT: Model = open("object", Family::OpenImage, Shape::Object);
static OPEN_VIDEO: Model = open("video", Family::OpenVideo, Shape::Single);

const fn required(name: &'static str, form: Form) -> Field {
    Field { name, form, is_required: true }
}

const fn optional(name: &'static str, form: Form) -> Field {
    Field { name, form, is_required: false }
}

const fn text() -> Form {
    Form::Text(None)
}

const fn any_integer(default: Option<i64>) -> Form {
    Form::Integer { default, least: None, most: None }
}

const fn integer(default: i64, least: i64, most: i64) -> Form {
    Form::Integer { default: Some(default), least: Some(least), most: Some(most) }
}

const fn number(default: f64, least: f64, most: f64) -> Form {
    Form::Number { default, least, most }
}

const SIDE: Form = Form::Integer { default: None, least: Some(256), most: Some(1440) };
const FLUX_RATIO: Form =
    Form::Word("1:1", &["1:1", "16:9", "21:9", "3:2", "2:3", "4:5", "5:4", "3:4", "4:3", "9:16", "9:21"]);
const FLUX_FORMAT: Form = Form::Word("webp", &["webp", "jpg", "png"]);

static MODELS: [Model; 7] = [
    Model {
        owner: "stability-ai",
        name: "sdxl",
        versions: &[
            "7762fd07cf82c948538e41f63f77d685e02b063e37e496e96eefd46c929f9bdc",
            "39ed52f2a78e934b3ba6e2a89f5b1c712de7dfea535525255b1aa35c5565e08b",
        ],
        family: Family::Sdxl,
        shape: Shape::List,
        fields: &[
            optional("prompt", Form::Text(Some("An astronaut riding a rainbow unicorn"))),
            optional("negative_prompt", Form::Text(Some(""))),
            optional("image", Form::Uri),
            optional("mask", Form::Uri),
            optional("width", any_integer(Some(1024))),
            optional("height", any_integer(Some(1024))),
            optional("num_outputs", integer(1, 1, 4)),
            optional(
                "scheduler",
                Form::Word(
                    "K_EULER",
                    &[
                        "DDIM",
                        "DPMSolverMultistep",
                        "HeunDiscrete",
                        "KarrasDPM",
                        "K_EULER_ANCESTRAL",
                        "K_EULER",
                        "PNDM",
                    ],
                ),
            ),
            optional("num_inference_steps", integer(50, 1, 500)),
            optional("guidance_scale", number(7.5, 1.0, 50.0)),
            optional("prompt_strength", number(0.8, 0.0, 1.0)),
            optional("seed", any_integer(None)),
            optional(
                "refine",
                Form::Word("no_refiner", &["no_refiner", "expert_ensemble_refiner", "base_image_refiner"]),
            ),
            optional("high_noise_frac", number(0.8, 0.0, 1.0)),
            optional("refine_steps", any_integer(None)),
            optional("apply_watermark", Form::Flag(true)),
            optional("lora_scale", number(0.6, 0.0, 1.0)),
            optional("replicate_weights", text()),
            optional("disable_safety_checker", Form::Flag(false)),
        ],
    },
    Model {
        owner: "black-forest-labs",
        name: "flux-schnell",
        versions: &[],
        family: Family::Flux,
        shape: Shape::List,
        fields: &[
            required("prompt", text()),
            optional("aspect_ratio", FLUX_RATIO),
            optional("num_outputs", integer(1, 1, 4)),
            optional("num_inference_steps", integer(4, 1, 4)),
            optional("seed", any_integer(None)),
            optional("output_format", FLUX_FORMAT),
            optional("output_quality", integer(80, 0, 100)),
            optional("disable_safety_checker", Form::Flag(false)),
            optional("go_fast", Form::Flag(true)),
            optional("megapixels", Form::Word("1", &["1", "0.25"])),
        ],
    },
    Model {
        owner: "black-forest-labs",
        name: "flux-dev",
        versions: &[],
        family: Family::Flux,
        shape: Shape::List,
        fields: &[
            required("prompt", text()),
            optional("aspect_ratio", FLUX_RATIO),
            optional("image", Form::Uri),
            optional("prompt_strength", number(0.8, 0.0, 1.0)),
            optional("num_outputs", integer(1, 1, 4)),
            optional("num_inference_steps", integer(28, 1, 50)),
            optional("guidance", number(3.0, 0.0, 10.0)),
            optional("seed", any_integer(None)),
            optional("output_format", FLUX_FORMAT),
            optional("output_quality", integer(80, 0, 100)),
            optional("disable_safety_checker", Form::Flag(false)),
            optional("go_fast", Form::Flag(true)),
            optional("megapixels", Form::Word("1", &["1", "0.25"])),
        ],
    },
    Model {
        owner: "black-forest-labs",
        name: "flux-1.1-pro",
        versions: &[],
        family: Family::FluxPro,
        shape: Shape::Single,
        fields: &[
            required("prompt", text()),
            optional("image_prompt", Form::Uri),
            optional(
                "aspect_ratio",
                Form::Word(
                    "1:1",
                    &["custom", "1:1", "16:9", "3:2", "2:3", "4:5", "5:4", "9:16", "3:4", "4:3"],
                ),
            ),
            optional("width", SIDE),
            optional("height", SIDE),
            optional("safety_tolerance", integer(2, 1, 6)),
            optional("seed", any_integer(None)),
            optional("prompt_upsampling", Form::Flag(false)),
            optional("output_format", FLUX_FORMAT),
            optional("output_quality", integer(80, 0, 100)),
        ],
    },
    Model {
        owner: "black-forest-labs",
        name: "flux-kontext-pro",
        versions: &[],
        family: Family::Kontext,
        shape: Shape::Single,
        fields: &[
            required("prompt", text()),
            optional("input_image", Form::Uri),
            optional(
                "aspect_ratio",
                Form::Word(
                    "match_input_image",
                    &[
                        "match_input_image",
                        "1:1",
                        "16:9",
                        "9:16",
                        "4:3",
                        "3:4",
                        "3:2",
                        "2:3",
                        "4:5",
                        "5:4",
                        "21:9",
                        "9:21",
                        "2:1",
                        "1:2",
                    ],
                ),
            ),
            optional("prompt_upsampling", Form::Flag(false)),
            optional("seed", any_integer(None)),
            optional("output_format", Form::Word("png", &["jpg", "png"])),
            optional("safety_tolerance", integer(2, 0, 6)),
        ],
    },
    Model {
        owner: "bytedance",
        name: "seedance-1-pro",
        versions: &[],
        family: Family::Seedance,
        shape: Shape::Single,
        fields: &[
            required("prompt", text()),
            optional("image", Form::Uri),
            optional("last_frame_image", Form::Uri),
            optional("duration", integer(5, 2, 12)),
            optional("resolution", Form::Word("1080p", &["480p", "720p", "1080p"])),
            optional(
                "aspect_ratio",
                Form::Word("16:9", &["16:9", "4:3", "1:1", "3:4", "9:16", "21:9", "9:21"]),
            ),
            optional("fps", Form::Count(24, &[24])),
            optional("camera_fixed", Form::Flag(false)),
            optional("seed", any_integer(None)),
        ],
    },
    Model {
        owner: "kwaivgi",
        name: "kling-v2.1",
        versions: &[],
        family: Family::Kling,
        shape: Shape::Single,
        fields: &[
            required("prompt", text()),
            required("start_image", Form::Uri),
            optional("end_image", Form::Uri),
            optional("mode", Form::Word("standard", &["standard", "pro"])),
            optional("duration", Form::Count(5, &[5, 10])),
            optional("negative_prompt", Form::Text(Some(""))),
        ],
    },
];
