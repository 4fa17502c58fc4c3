//! A multipart form, and the images in it.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use crate::call::{Call, FormPart};
use crate::hex::hex;

/// The fields of a form by their names.
#[derive(Debug)]
pub(super) struct Form {
    parts: BTreeMap<String, FormPart>,
}

/// A picture that was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Image {
    pub(super) width: u32,
    pub(super) height: u32,
}

impl Form {
    /// The form of a request; `None` when the body is none. The provider's examples send an empty part `none`.
    pub(super) fn of(call: &Call) -> Option<Self> {
        let parts = call.form()?.into_iter().filter(|part| part.name != "none" || !part.bytes.is_empty());
        Some(Self { parts: parts.map(|part| (part.name.clone(), part)).collect() })
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.parts.keys().map(String::as_str)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.parts.get(name).is_some_and(|part| !part.bytes.is_empty())
    }

    /// A text that is not empty.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.parts.get(name)?.text().filter(|text| !text.is_empty())
    }

    pub(super) fn number(&self, name: &str) -> Option<f64> {
        self.text(name)?.parse().ok().filter(|number: &f64| number.is_finite())
    }

    pub(super) fn whole(&self, name: &str) -> Option<u64> {
        self.text(name)?.parse().ok()
    }

    /// The picture of a part, if it is JPEG, PNG or WebP.
    pub(super) fn image(&self, name: &str) -> Option<Image> {
        let bytes = &self.parts.get(name)?.bytes;
        let known = [imagesize::ImageType::Jpeg, imagesize::ImageType::Png, imagesize::ImageType::Webp];
        if !imagesize::image_type(bytes).is_ok_and(|found| known.contains(&found)) {
            return None;
        }
        let size = imagesize::blob_size(bytes).ok()?;
        Some(Image { width: u32::try_from(size.width).ok()?, height: u32::try_from(size.height).ok()? })
    }

    /// Words for a result that no prompt describes: the same parts give the same words.
    pub(super) fn fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        for (name, part) in &self.parts {
            hash.update(name.as_bytes());
            hash.update(&part.bytes);
        }
        hex(hash.finalize())
    }
}

impl Image {
    pub(super) fn pixels(&self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }
}
