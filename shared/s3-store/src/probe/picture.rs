//! Pictures: the size is in the first bytes of the file.

use atelier_domain::asset::MediaFacts;

/// Enough for the size: a JPEG may have this much metadata before it.
pub(super) const HEAD_BYTES: usize = 256 * 1024;
/// An Exif segment has an entry or two dozen of them in its first directory.
const MOST_EXIF_ENTRIES: usize = 512;

/// What the beginning of a picture tells, up to [`HEAD_BYTES`] of it.
pub(super) fn facts(codec: Option<&str>, head: &[u8]) -> MediaFacts {
    let size = imagesize::blob_size(head).ok();
    let pixels = |side: usize| u32::try_from(side).ok();
    let (width, height) =
        (size.and_then(|size| pixels(size.width)), size.and_then(|size| pixels(size.height)));
    let (width, height) = if is_turned(head) { (height, width) } else { (width, height) };
    // HEIF is a box for several codecs: only these brands name one.
    let codec = codec.or(match head.get(8..12) {
        Some(b"heic" | b"heix" | b"hevc" | b"hevx") => Some("hevc"),
        _ => None,
    });
    MediaFacts { width, height, codec: codec.map(str::to_owned), duration_ms: None }
}

/// Whether a JPEG's Exif says that it is shown turned by a quarter: cameras do not turn the pixels themselves.
fn is_turned(head: &[u8]) -> bool {
    matches!(exif(head).and_then(orientation), Some(5..=8))
}

/// The first Exif segment before the pixels.
fn exif(head: &[u8]) -> Option<&[u8]> {
    let mut rest = head.strip_prefix(b"\xff\xd8")?;
    loop {
        let &[0xff, marker, first, second, ..] = rest else { return None };
        let length = usize::from(u16::from_be_bytes([first, second]));
        // Segments of tables and metadata; the pixels begin at the others.
        if !matches!(marker, 0xc4 | 0xdb | 0xdd | 0xe0..=0xef | 0xfe) {
            return None;
        }
        // The length counts its own two bytes.
        let body = rest.get(4..2 + length.max(2))?;
        if let Some(found) = body.strip_prefix(b"Exif\0\0").filter(|_| marker == 0xe1) {
            return Some(found);
        }
        rest = rest.get(2 + length.max(2)..)?;
    }
}

/// The orientation (TIFF 6.0: tag 0x0112, one short number) in the first directory.
fn orientation(tiff: &[u8]) -> Option<u16> {
    let is_little = match tiff.get(..2)? {
        b"II" => true,
        b"MM" => false,
        _ => return None,
    };
    let short = |at: usize| {
        let bytes = *tiff.get(at..)?.first_chunk::<2>()?;
        Some(if is_little { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) })
    };
    let long = |at: usize| {
        let bytes = *tiff.get(at..)?.first_chunk::<4>()?;
        Some(if is_little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) })
    };
    let directory = usize::try_from(long(4)?).ok()?;
    let entries = usize::from(short(directory)?).min(MOST_EXIF_ENTRIES);
    let first = directory.checked_add(2)?;
    (0..entries)
        .filter_map(|index| first.checked_add(12 * index))
        .find(|at| short(*at) == Some(0x0112))
        .and_then(|at| short(at.checked_add(8)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A JPEG of 40 by 24 pixels with this Exif.
    fn jpeg(exif: &[u8]) -> Vec<u8> {
        let length = u16::try_from(exif.len() + 8).unwrap().to_be_bytes();
        let size = b"\xff\xc0\0\x11\x08\0\x18\0\x28\x03\x01\x22\0\x02\x11\x01\x03\x11\x01";
        [b"\xff\xd8\xff\xe1", &length[..], b"Exif\0\0", exif, size].concat()
    }

    fn size(exif: &[u8]) -> (Option<u32>, Option<u32>) {
        let facts = facts(Some("jpeg"), &jpeg(exif));
        (facts.width, facts.height)
    }

    #[test]
    fn a_quarter_turn_exchanges_the_sides_in_either_byte_order() {
        for value in 1..=8u8 {
            let little = [b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0", &[value, 0, 0, 0][..]].concat();
            let big = [b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0", &[value, 0, 0][..]].concat();
            let expected = if value > 4 { (Some(24), Some(40)) } else { (Some(40), Some(24)) };
            assert_eq!((size(&little), size(&big)), (expected, expected), "{value}");
        }
    }

    #[test]
    fn broken_metadata_changes_nothing() {
        for exif in [
            &b""[..],
            b"II",
            b"II*\0\xff\xff\xff\xff",
            b"II*\0\x08\0\0\0\xff\xff\x12\x01",
            b"XX*\0\x08\0\0\0",
        ] {
            assert_eq!(size(exif), (Some(40), Some(24)), "{exif:?}");
        }
        for cut in 0..30 {
            let whole = jpeg(b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0");
            let _ = facts(Some("jpeg"), &whole[..cut]);
        }
        assert_eq!(
            exif(b"\xff\xd8\xff\xe0\0\0\xff\xe0\0\0"),
            None,
            "a length of nothing does not stand still"
        );
    }
}
