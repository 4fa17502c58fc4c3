//! Pictures in requests: data URIs and uploaded files are looked into, other URLs are taken as they are.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Crc;
use url::Url;

use crate::state::State;

/// Width and height.
pub(super) type Size = (u32, u32);

/// Why a picture cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    /// It is not there.
    Download,
    /// It is no picture, or a broken one.
    Load,
}

/// The size of the picture that a request names; `None` when it is elsewhere and not looked at.
pub(super) fn look(text: &str, state: &State, base: &str) -> Result<Option<Size>, Trouble> {
    if let Some(data) = text.strip_prefix("data:") {
        let (head, data) = data.split_once(',').ok_or(Trouble::Load)?;
        let is_base64 = head.rsplit(';').next().is_some_and(|word| word.eq_ignore_ascii_case("base64"));
        let bytes = STANDARD.decode(data).ok().filter(|_| is_base64).ok_or(Trouble::Load)?;
        return size(&bytes).map(Some).ok_or(Trouble::Load);
    }
    let url = Url::parse(text).map_err(|_| Trouble::Download)?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err(Trouble::Download);
    }
    let parts: Vec<&str> = url.path_segments().map(Iterator::collect).unwrap_or_default();
    let id = match parts.as_slice() {
        [.., "files", id, _] => id,
        _ => return Ok(None),
    };
    match state.fal_uploads.get(id).map(|upload| upload.bytes) {
        Some(Some(bytes)) => size(&bytes).map(Some).ok_or(Trouble::Load),
        Some(None) => Err(Trouble::Download),
        None if text.starts_with(base) => Err(Trouble::Download),
        None => Ok(None),
    }
}

/// The size of a picture, if these bytes are a whole one.
pub(super) fn size(bytes: &[u8]) -> Option<Size> {
    let found = png(bytes).or_else(|| jpeg(bytes)).or_else(|| webp(bytes)).or_else(|| gif(bytes));
    found.filter(|(width, height)| *width > 0 && *height > 0)
}

fn png(bytes: &[u8]) -> Option<Size> {
    let mut rest = bytes.strip_prefix(b"\x89PNG\r\n\x1a\n")?;
    let mut size = None;
    loop {
        let (length, after) = rest.split_first_chunk()?;
        let (named, after) =
            after.split_at_checked(4 + usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
        let (checksum, after) = after.split_first_chunk()?;
        let mut crc = Crc::new();
        crc.update(named);
        if crc.sum() != u32::from_be_bytes(*checksum) {
            return None;
        }
        match named.split_first_chunk()? {
            (b"IHDR", data) => {
                let (width, data) = data.split_first_chunk()?;
                size = Some((u32::from_be_bytes(*width), u32::from_be_bytes(*data.first_chunk()?)));
            }
            (b"IEND", _) => return size,
            _ => {}
        }
        rest = after;
    }
}

fn jpeg(bytes: &[u8]) -> Option<Size> {
    let mut rest = bytes.strip_prefix(&[0xff, 0xd8])?;
    let mut size = None;
    loop {
        let ([0xff, marker], after) = rest.split_first_chunk()? else { return None };
        let length = usize::from(u16::from_be_bytes(*after.first_chunk()?));
        let (segment, after) = after.split_at_checked(length)?;
        match marker {
            // The scan follows; the picture is whole when its end is there.
            0xda => return size.filter(|_| after.windows(2).any(|pair| pair == [0xff, 0xd9])),
            // Frame headers; the other codes in this range are tables.
            0xc0..=0xcf if !matches!(marker, 0xc4 | 0xc8 | 0xcc) => {
                let height = u16::from_be_bytes(*segment.get(3..)?.first_chunk()?);
                let width = u16::from_be_bytes(*segment.get(5..)?.first_chunk()?);
                size = Some((u32::from(width), u32::from(height)));
            }
            _ => {}
        }
        rest = after;
    }
}

fn webp(bytes: &[u8]) -> Option<Size> {
    let (length, rest) = bytes.strip_prefix(b"RIFF")?.split_first_chunk()?;
    let whole = rest.get(..usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
    let (kind, rest) = whole.strip_prefix(b"WEBP")?.split_first_chunk::<4>()?;
    let data = rest.get(4..)?; // behind the chunk's length
    let short = |at: usize| Some(u32::from(u16::from_le_bytes(*data.get(at..)?.first_chunk()?)));
    let three = |at: usize| {
        let [low, middle, high] = *data.get(at..)?.first_chunk()?;
        Some(u32::from_le_bytes([low, middle, high, 0]) + 1)
    };
    match kind {
        b"VP8 " => Some((short(6)? & 0x3fff, short(8)? & 0x3fff)),
        b"VP8L" => {
            let packed = u32::from_le_bytes(*data.get(1..)?.first_chunk()?);
            Some(((packed & 0x3fff) + 1, (packed >> 14 & 0x3fff) + 1))
        }
        b"VP8X" => Some((three(4)?, three(7)?)),
        _ => None,
    }
}

fn gif(bytes: &[u8]) -> Option<Size> {
    let rest = bytes.strip_prefix(b"GIF87a").or_else(|| bytes.strip_prefix(b"GIF89a"))?;
    let side = |at: usize| Some(u32::from(u16::from_le_bytes(*rest.get(at..)?.first_chunk()?)));
    let size = (side(0)?, side(2)?);
    bytes.ends_with(&[0x3b]).then_some(size)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::{ImageFormat, MediaSpec};

    fn picture(format: ImageFormat) -> Vec<u8> {
        let spec = MediaSpec::Image { prompt: "p".to_owned(), width: 333, height: 77, format, blank: false };
        spec.render().to_vec()
    }

    #[test]
    fn whole_pictures_tell_their_size_and_broken_ones_do_not() {
        for format in [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::Webp] {
            let bytes = picture(format);
            assert_eq!(size(&bytes), Some((333, 77)), "{format:?}");
            assert_eq!(size(&bytes[..bytes.len() - 30]), None, "{format:?} without its end");
            assert_eq!(size(&bytes[..10]), None, "{format:?} without its body");
        }
        assert_eq!(size(b"GIF89a\x02\0\x03\0\x3b"), Some((2, 3)));
        assert_eq!(size(b"RIFF\x16\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0\x09\0\0\x13\0\0"), Some((10, 20)));
        for wrong in ["", "GIF89a", "RIFF", "plain text"] {
            assert_eq!(size(wrong.as_bytes()), None, "{wrong}");
        }
        let mut spoiled = picture(ImageFormat::Png);
        spoiled[40] ^= 1;
        assert_eq!(size(&spoiled), None, "a wrong checksum");
    }
}
