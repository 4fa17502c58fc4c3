//! What a model is at the provider: an endpoint, the fields that it takes, and how it answers. The catalogue says what the
//! fields may hold.

use atelier_domain::error::ProviderError;
use atelier_domain::job::JobSpec;
use atelier_domain::operation::Operation;

use crate::wire::invalid;

/// One model for one operation.
#[derive(Debug, Clone, Copy)]
pub(super) struct Target {
    model: &'static str,
    operation: Operation,
    pub(super) path: &'static [&'static str],
    pub(super) template: &'static str,
    pub(super) prompt: PromptNeed,
    /// Which field takes the prompt; `None` where there is none.
    pub(super) prompt_field: Option<&'static str>,
    /// Which field takes the input.
    pub(super) image_field: Option<&'static str>,
    /// Fields that follow from the model alone.
    pub(super) fixed: &'static [(&'static str, &'static str)],
    /// Options that travel under their own names.
    pub(super) options: &'static [&'static str],
    /// Options that hold files.
    pub(super) files: &'static [&'static str],
    /// Fields without which the call is refused.
    pub(super) needs: &'static [&'static str],
    /// Fields of which one must be there, and not be 0.
    pub(super) needs_one_of: &'static [&'static str],
    pub(super) reply: Reply,
}

/// Whether a call needs a prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PromptNeed {
    Required,
    Optional,
}

/// How an endpoint answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reply {
    /// With the image.
    Image,
    /// With an id to ask about.
    Ticket,
    /// With JSON that holds images.
    Artifacts,
}

/// Path, template and the fields that stand in most calls.
const fn target(
    operation: Operation,
    model: &'static str,
    path: &'static [&'static str],
    template: &'static str,
    options: &'static [&'static str],
) -> Target {
    let image_field = match operation {
        Operation::ImageEdit => Some("image"),
        _ => None,
    };
    Target {
        model,
        operation,
        path,
        template,
        prompt: PromptNeed::Required,
        prompt_field: Some("prompt"),
        image_field,
        fixed: &[],
        options,
        files: &[],
        needs: &[],
        needs_one_of: &[],
        reply: Reply::Image,
    }
}

const fn generate(model: &'static str, path: &'static [&'static str], template: &'static str) -> Target {
    let options = &["negative_prompt", "aspect_ratio", "seed", "output_format", "style_preset"];
    target(Operation::ImageGen, model, path, template, options)
}

const SD3: (&[&str], &str) =
    (&["v2beta", "stable-image", "generate", "sd3"], "/v2beta/stable-image/generate/sd3");
const ULTRA: (&[&str], &str) =
    (&["v2beta", "stable-image", "generate", "ultra"], "/v2beta/stable-image/generate/ultra");

/// Text to image by Stable Diffusion 3; `fixed` names the model to the endpoint.
const fn sd3(model: &'static str, fixed: &'static [(&'static str, &'static str)]) -> Target {
    let options = &["negative_prompt", "aspect_ratio", "seed", "cfg_scale", "style_preset", "output_format"];
    Target { fixed, ..target(Operation::ImageGen, model, SD3.0, SD3.1, options) }
}

/// Image to image by Stable Diffusion 3.
const fn sd3_edit(model: &'static str, fixed: &'static [(&'static str, &'static str)]) -> Target {
    let options = &["negative_prompt", "strength", "seed", "cfg_scale", "style_preset", "output_format"];
    Target { fixed, needs: &["strength"], ..target(Operation::ImageEdit, model, SD3.0, SD3.1, options) }
}

macro_rules! edit {
    ($model:literal, $group:literal, $name:literal, [$($option:literal),*] $(, $field:ident: $value:expr)*) => {
        Target {
            $($field: $value,)*
            ..target(
                Operation::ImageEdit,
                $model,
                &["v2beta", "stable-image", $group, $name],
                concat!("/v2beta/stable-image/", $group, "/", $name),
                &[$($option),*],
            )
        }
    };
}

macro_rules! sd3_pair {
    ($model:literal) => {
        [
            sd3($model, &[("model", $model)]),
            sd3_edit($model, &[("model", $model), ("mode", "image-to-image")]),
        ]
    };
}

static SD3_MODELS: [[Target; 2]; 7] = [
    sd3_pair!("sd3.5-large"),
    sd3_pair!("sd3.5-large-turbo"),
    sd3_pair!("sd3.5-medium"),
    sd3_pair!("sd3.5-flash"),
    sd3_pair!("sd3-large"),
    sd3_pair!("sd3-large-turbo"),
    sd3_pair!("sd3-medium"),
];

static MODELS: [Target; 19] = [
    generate(
        "stable-image-core",
        &["v2beta", "stable-image", "generate", "core"],
        "/v2beta/stable-image/generate/core",
    ),
    generate("stable-image-ultra", ULTRA.0, ULTRA.1),
    edit!("stable-image-ultra", "generate", "ultra",
        ["negative_prompt", "aspect_ratio", "seed", "output_format", "style_preset", "strength"],
        needs: &["strength"]),
    edit!("erase", "edit", "erase", ["grow_mask", "seed", "output_format"],
        prompt: PromptNeed::Optional, prompt_field: None, files: &["mask"]),
    edit!("inpaint", "edit", "inpaint",
        ["negative_prompt", "grow_mask", "seed", "output_format", "style_preset"], files: &["mask"]),
    edit!("outpaint", "edit", "outpaint",
        ["left", "right", "up", "down", "creativity", "seed", "output_format", "style_preset"],
        prompt: PromptNeed::Optional, needs_one_of: &["left", "right", "up", "down"]),
    edit!("search-and-replace", "edit", "search-and-replace",
        ["search_prompt", "negative_prompt", "grow_mask", "seed", "output_format", "style_preset"],
        needs: &["search_prompt"]),
    edit!("search-and-recolor", "edit", "search-and-recolor",
        ["select_prompt", "negative_prompt", "grow_mask", "seed", "output_format", "style_preset"],
        needs: &["select_prompt"]),
    edit!("remove-background", "edit", "remove-background", ["output_format"],
        prompt: PromptNeed::Optional, prompt_field: None),
    edit!("replace-background-and-relight", "edit", "replace-background-and-relight",
        ["foreground_prompt", "negative_prompt", "preserve_original_subject", "original_background_depth",
            "keep_original_background", "light_source_direction", "light_source_strength", "seed", "output_format"],
        prompt: PromptNeed::Optional, prompt_field: Some("background_prompt"), image_field: Some("subject_image"),
        files: &["background_reference", "light_reference"],
        needs_one_of: &["background_prompt", "background_reference"], reply: Reply::Ticket),
    edit!(
        "control-sketch",
        "control",
        "sketch",
        ["control_strength", "negative_prompt", "seed", "output_format", "style_preset"]
    ),
    edit!(
        "control-structure",
        "control",
        "structure",
        ["control_strength", "negative_prompt", "seed", "output_format", "style_preset"]
    ),
    edit!(
        "control-style",
        "control",
        "style",
        ["fidelity", "aspect_ratio", "negative_prompt", "seed", "output_format", "style_preset"]
    ),
    edit!("control-style-transfer", "control", "style-transfer",
        ["style_strength", "composition_fidelity", "change_strength", "negative_prompt", "seed", "output_format"],
        prompt: PromptNeed::Optional, image_field: Some("init_image"), files: &["style_image"],
        needs: &["style_image"]),
    edit!("upscale-fast", "upscale", "fast", ["output_format"],
        prompt: PromptNeed::Optional, prompt_field: None),
    edit!(
        "upscale-conservative",
        "upscale",
        "conservative",
        ["creativity", "negative_prompt", "seed", "output_format"]
    ),
    edit!("upscale-creative", "upscale", "creative",
        ["creativity", "negative_prompt", "seed", "output_format", "style_preset"], reply: Reply::Ticket),
    Target {
        reply: Reply::Artifacts,
        ..target(
            Operation::ImageGen,
            "stable-diffusion-xl-1024-v1-0",
            &["v1", "generation", "stable-diffusion-xl-1024-v1-0", "text-to-image"],
            "/v1/generation/{engine_id}/text-to-image",
            &["cfg_scale", "clip_guidance_preset", "sampler", "samples", "seed", "steps", "style_preset"],
        )
    },
    Target {
        reply: Reply::Artifacts,
        image_field: Some("init_image"),
        ..target(
            Operation::ImageEdit,
            "stable-diffusion-xl-1024-v1-0",
            &["v1", "generation", "stable-diffusion-xl-1024-v1-0", "image-to-image"],
            "/v1/generation/{engine_id}/image-to-image",
            &["cfg_scale", "clip_guidance_preset", "sampler", "samples", "seed", "steps", "style_preset"],
        )
    },
];

impl Target {
    /// What the job's model is.
    pub(super) fn of(spec: &JobSpec) -> Result<Self, ProviderError> {
        MODELS
            .iter()
            .chain(SD3_MODELS.iter().flatten())
            .find(|target| target.model == spec.model && target.operation == spec.operation)
            .copied()
            .ok_or_else(|| {
                invalid(format!("stability has no model `{}` for `{}` here", spec.model, spec.operation))
            })
    }
}
