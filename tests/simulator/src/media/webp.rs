//! Lossless WebP.

use image_webp::{ColorType, WebPEncoder};

use super::picture::Picture;

pub(crate) fn encode(picture: &Picture) -> Vec<u8> {
    let pixels: Vec<u8> = (0..picture.height)
        .flat_map(|y| (0..picture.width).map(move |x| (x, y)))
        .flat_map(|(x, y)| picture.colour(x / picture.cell, y / picture.cell))
        .collect();
    let mut file = Vec::new();
    // Writing to a `Vec` does not fail, and no picture here has more than 16383 pixels a side.
    let _ = WebPEncoder::new(&mut file).encode(&pixels, picture.width, picture.height, ColorType::Rgb8);
    file
}

/// A chunk that readers skip. Its length counts into that of the file, which the header at the start names.
pub(crate) fn padded(file: &[u8], extra: u64) -> Option<(Vec<u8>, Vec<u8>, u64)> {
    let filler = extra.checked_sub(8)? & !1;
    let riff_length = u32::try_from(file.len() as u64 + filler).ok()?;
    let mut whole = file.to_vec();
    whole.get_mut(4..8)?.copy_from_slice(&riff_length.to_le_bytes());
    let header = [&b"siMp"[..], &u32::try_from(filler).ok()?.to_le_bytes()].concat();
    Some((whole, header, filler))
}
