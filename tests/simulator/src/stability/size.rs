//! How large the images are that come out.

use super::form::{Form, Image};

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
/// What text to image has where no ratio is given.
const USUAL_RATIO: &str = "1:1";
/// A changed image has no more pixels than this, so that a header alone cannot ask for gigabytes.
const MOST_PIXELS: u64 = 9_437_184;
/// WebP knows no longer side.
const MOST_SIDE: u32 = 16_383;

/// What decides the size.
#[derive(Debug, Clone, Copy)]
pub(super) enum Size {
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

impl Size {
    /// Width and height.
    pub(super) fn of(self, form: &Form) -> (u32, u32) {
        let image = |name: &str| form.image(name).unwrap_or(Image { width: 1024, height: 1024 });
        match self {
            Self::ByMode if form.text("mode") == Some("image-to-image") => {
                scaled(&image("image"), 1.0, MOST_PIXELS)
            }
            Self::ByMode => by_ratio(form, 10),
            Self::ByRatio { tenths } => by_ratio(form, tenths),
            Self::Of(name) => {
                let image = image(name);
                (image.width, image.height)
            }
            Self::Grown => {
                let (image, more) = (image("image"), |name: &str| {
                    form.whole(name).and_then(|pixels| u32::try_from(pixels).ok()).unwrap_or_default()
                });
                (image.width + more("left") + more("right"), image.height + more("up") + more("down"))
            }
            Self::Upscaled { most_pixels } => {
                let image = image("image");
                scaled(&image, 4.0, most_pixels.max(image.pixels()))
            }
        }
    }
}

/// The sides times `factor`, or less where that were more than so many pixels.
fn scaled(image: &Image, factor: f64, most_pixels: u64) -> (u32, u32) {
    let most = (most_pixels as f64 / image.pixels() as f64).sqrt();
    let side = |side: u32| ((f64::from(side) * factor.min(most)) as u32).clamp(1, MOST_SIDE);
    (side(image.width), side(image.height))
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
