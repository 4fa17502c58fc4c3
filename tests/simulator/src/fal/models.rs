//! What the simulator knows of a model of Fal: the fields that it takes, each with its rule, and what it makes.

mod table;

use table::{MODELS, OTHER_IMAGE_TO_VIDEO, OTHER_VIDEO};

/// A model.
#[derive(Debug)]
pub(crate) struct Model {
    pub(super) id: &'static str,
    pub(super) fields: &'static [&'static [Field]],
    pub(super) makes: Makes,
    /// Refuses moderated prompts instead of flagging a black image.
    pub(super) is_partner: bool,
}

/// A field of a model's input.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) rule: Rule,
    pub(super) is_required: bool,
}

/// What a field may hold.
#[derive(Debug, Clone, Copy)]
pub(super) enum Rule {
    Text {
        shortest: usize,
    },
    Flag,
    Integer {
        least: i64,
        most: i64,
    },
    Number {
        least: f64,
        most: f64,
    },
    OneOf(&'static [&'static str]),
    /// A whole number, or the same as text: the provider's own descriptions disagree.
    Seconds(&'static [u64]),
    /// Seconds as text, with or without an `s`.
    SecondsText {
        most: u64,
    },
    /// The name of a size, or an object with `width` and `height`.
    ImageSize,
    Image,
    Images {
        least: usize,
        most: usize,
    },
    /// One entry for each gap between the pictures of `image_urls`.
    Transitions,
    List,
    Object,
}

/// What a model makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Makes {
    Images { shape: Shape, format: &'static str, tells: ImagesTell },
    Video { clip: Clip, tells: VideoTells },
}

/// Where the size of an image comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// `image_size`, or this one.
    Size(&'static str),
    /// `image_size`, or that of the picture that was sent.
    SizeOrInput,
    /// The picture that was sent.
    Input,
    /// `aspect_ratio`, or this one; the sides are multiplied.
    Ratio { default: &'static str, factor: u32 },
    /// `aspect_ratio`, or that of the picture that was sent.
    RatioOrInput,
}

/// What stands beside the images of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ImagesTell {
    Usual,
    UsualAndCount,
    Description,
}

/// Where the length and the size of a video come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Clip {
    Kling,
    Wan,
    Ltx,
    Pika,
    Pikaframes,
    Other,
}

/// What stands beside the video of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum VideoTells {
    Nothing,
    Seed,
    SeedAndPrompt,
}

impl Model {
    pub(super) fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().copied().flatten().find(|field| field.name == name)
    }

    pub(super) fn is_video(&self) -> bool {
        matches!(self.makes, Makes::Video { .. })
    }
}

/// The model with this full id; `None` = Fal has no such application.
pub(crate) fn find(id: &str) -> Option<&'static Model> {
    let others = ["fal-ai/minimax/hailuo-", "fal-ai/veo3.1", "bytedance/seedance-2"];
    MODELS.iter().find(|model| model.id == id).or_else(|| {
        let is_other = others.iter().any(|start| id.starts_with(start));
        is_other.then_some(if id.ends_with("/image-to-video") { &OTHER_IMAGE_TO_VIDEO } else { &OTHER_VIDEO })
    })
}
