//! What bytes are, from how they begin.

use atelier_domain::operation::MediaKind;

/// How many bytes a look takes. Enough for a header, for the doctype of an error page, and for two frames of MP3.
pub(crate) const HEAD_BYTES: usize = 2048;

/// What the beginning of a body shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    /// Media, by a signature of four bytes or more, or by one that was confirmed further on.
    Media(Media),
    /// Media, by a signature so short that raw samples may begin like it by chance.
    Perhaps(Media),
    /// Text of this sort.
    Text(&'static str),
    /// Something known that is no media.
    Other(&'static str),
    /// Nothing that is known.
    Unknown,
}

/// A media type that was recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Media {
    pub(crate) content_type: &'static str,
    pub(crate) kind: MediaKind,
    /// Whether the container may as well hold nothing but sound.
    pub(crate) may_be_audio: Option<&'static str>,
}

impl Media {
    const fn new(content_type: &'static str, kind: MediaKind) -> Self {
        Self { content_type, kind, may_be_audio: None }
    }
}

/// Looks at the first bytes of a body: at most [`HEAD_BYTES`], fewer only when the body is shorter.
pub(crate) fn sniff(head: &[u8]) -> Found {
    if let Some(sort) = text_sort(head) {
        return Found::Text(sort);
    }
    if let Some(media) = by_signature(head) {
        return Found::Media(media);
    }
    if let Some(found) = by_frame_sync(head) {
        return found;
    }
    by_catalogue(head)
}

/// The formats that providers deliver, each by the bytes its specification fixes.
fn by_signature(head: &[u8]) -> Option<Media> {
    use MediaKind::{Image, Speech};
    let at =
        |offset: usize, signature: &[u8]| head.get(offset..).is_some_and(|rest| rest.starts_with(signature));
    if at(0, b"\x89PNG\r\n\x1a\n") {
        Some(Media::new("image/png", Image))
    } else if at(0, b"\xff\xd8\xff") {
        Some(Media::new("image/jpeg", Image))
    } else if at(0, b"GIF87a") || at(0, b"GIF89a") {
        Some(Media::new("image/gif", Image))
    } else if at(0, b"RIFF") && at(8, b"WEBP") {
        Some(Media::new("image/webp", Image))
    } else if (at(0, b"RIFF") || at(0, b"RF64")) && at(8, b"WAVE") {
        Some(Media::new("audio/wav", Speech))
    } else if at(0, b"OggS") {
        Some(Media::new("audio/ogg", Speech))
    } else if at(0, b"fLaC") {
        Some(Media::new("audio/flac", Speech))
    } else if at(0, b"ID3") {
        Some(Media::new("audio/mpeg", Speech))
    } else if at(4, b"ftyp") {
        Some(by_brand(head.get(8..12).unwrap_or_default()))
    } else if at(0, b"\x1a\x45\xdf\xa3") {
        Some(by_doctype(head))
    } else {
        None
    }
}

/// ISO base media files: the major brand tells pictures, sound and QuickTime from plain MP4.
fn by_brand(brand: &[u8]) -> Media {
    match brand {
        b"qt  " => Media::new("video/quicktime", MediaKind::Video),
        b"M4A " | b"M4B " | b"M4P " | b"F4A " => Media::new("audio/mp4", MediaKind::Speech),
        b"avif" | b"avis" => Media::new("image/avif", MediaKind::Image),
        b"heic" | b"heix" | b"mif1" | b"msf1" => Media::new("image/heic", MediaKind::Image),
        _ => Media { may_be_audio: Some("audio/mp4"), ..Media::new("video/mp4", MediaKind::Video) },
    }
}

/// EBML files: WebM says so in its header's doc type, the rest is Matroska.
fn by_doctype(head: &[u8]) -> Media {
    let header = head.get(..64.min(head.len())).unwrap_or_default();
    if header.windows(4).any(|window| window == b"webm") {
        Media { may_be_audio: Some("audio/webm"), ..Media::new("video/webm", MediaKind::Video) }
    } else {
        Media::new("video/x-matroska", MediaKind::Video)
    }
}

/// MPEG audio and ADTS have no signature but eleven or twelve set bits; a second frame where the first one ends is proof.
fn by_frame_sync(head: &[u8]) -> Option<Found> {
    let (media, frame) = if let Some(frame) = mpeg_frame(head) {
        (Media::new("audio/mpeg", MediaKind::Speech), frame)
    } else {
        (Media::new("audio/aac", MediaKind::Speech), adts_frame(head)?)
    };
    let second = head.get(frame.length..).unwrap_or_default();
    if second.len() < 7 {
        return Some(Found::Perhaps(media));
    }
    let is_confirmed = match media.content_type {
        "audio/mpeg" => mpeg_frame(second).is_some(),
        _ => adts_frame(second).is_some(),
    };
    is_confirmed.then_some(Found::Media(media))
}

/// One frame of sound, by its header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Frame {
    /// In bytes, header included.
    pub(crate) length: usize,
    /// Samples of each channel.
    pub(crate) samples: u32,
    /// Samples a second.
    pub(crate) sample_rate: u32,
}

/// An MPEG audio frame of layer III, by its header (ISO 11172-3, 13818-3). None: this is no such header.
pub(crate) fn mpeg_frame(frame: &[u8]) -> Option<Frame> {
    const KBIT_V1: [usize; 16] = [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0];
    const KBIT_V2: [usize; 16] = [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0];
    let &[0xff, second, third, _, ..] = frame else {
        return None;
    };
    let (version, layer) = ((second >> 3) & 3, (second >> 1) & 3);
    if second & 0xe0 != 0xe0 || version == 1 || layer != 1 {
        return None;
    }
    let is_first_version = version == 3;
    let kbits = if is_first_version { KBIT_V1 } else { KBIT_V2 }.get(usize::from(third >> 4)).copied()?;
    let base_rate = [44_100u32, 48_000, 32_000].get(usize::from((third >> 2) & 3)).copied()?;
    let sample_rate = match version {
        3 => base_rate,
        2 => base_rate / 2,
        _ => base_rate / 4,
    };
    let padding = usize::from((third >> 1) & 1);
    let samples = if is_first_version { 1_152 } else { 576 };
    let length = samples as usize / 8 * 1_000 * kbits / sample_rate as usize + padding;
    (kbits > 0).then_some(Frame { length, samples, sample_rate })
}

/// An ADTS frame, by its header (ISO 14496-3). None: this is no such header.
pub(crate) fn adts_frame(frame: &[u8]) -> Option<Frame> {
    const RATES: [u32; 13] = [
        96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350,
    ];
    let &[0xff, second, third, fourth, fifth, sixth, seventh, ..] = frame else {
        return None;
    };
    if second & 0xf6 != 0xf0 {
        return None;
    }
    let sample_rate = RATES.get(usize::from((third >> 2) & 0xf)).copied()?;
    let length = (usize::from(fourth & 3) << 11) | (usize::from(fifth) << 3) | usize::from(sixth >> 5);
    let samples = 1_024 * (u32::from(seventh & 3) + 1);
    (length >= 7).then_some(Frame { length, samples, sample_rate })
}

/// The sort of a text, or None when the bytes are none.
fn text_sort(head: &[u8]) -> Option<&'static str> {
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    if !is_text(text) {
        return None;
    }
    let text = text.trim_ascii_start();
    let begins = |with: &[u8]| text.get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with));
    let sort = match text.first() {
        Some(b'<') if infer::text::is_html(text) || begins(b"<!doctype html") || begins(b"<html") => "HTML",
        Some(b'<') => "XML",
        Some(b'{' | b'[') => "JSON",
        _ => "text",
    };
    Some(sort)
}

/// UTF-8 without control characters. A character cut at the end of the look is no fault.
fn is_text(bytes: &[u8]) -> bool {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => bytes
            .get(..error.valid_up_to())
            .and_then(|valid| std::str::from_utf8(valid).ok())
            .unwrap_or_default(),
        Err(_) => return false,
    };
    !text.is_empty()
        && text.chars().all(|letter| !letter.is_control() || matches!(letter, '\t' | '\n' | '\r' | '\x0c'))
}

/// Everything else that has a name: rarer media is taken, an archive or a program is named in the refusal.
fn by_catalogue(head: &[u8]) -> Found {
    let Some(found) = infer::get(head) else {
        return Found::Unknown;
    };
    let content_type = found.mime_type();
    let kind = match found.matcher_type() {
        infer::MatcherType::Audio => MediaKind::Speech,
        infer::MatcherType::Image => MediaKind::Image,
        infer::MatcherType::Video => MediaKind::Video,
        _ => return Found::Other(content_type),
    };
    match content_type {
        // Our own rules ask more of these two than the catalogue's two or three bytes.
        "audio/mpeg" | "audio/aac" => Found::Unknown,
        _ => Found::Perhaps(Media::new(content_type, kind)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content_type(head: &[u8]) -> &'static str {
        match sniff(head) {
            Found::Media(media) | Found::Perhaps(media) => media.content_type,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn each_format_is_told_from_its_first_bytes() {
        for (head, expected) in [
            (&b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"[..], "image/png"),
            (b"\xff\xd8\xff\xe0\0\x10JFIF", "image/jpeg"),
            (b"GIF89a\x01\0", "image/gif"),
            (b"RIFF\x10\0\0\0WEBPVP8 ", "image/webp"),
            (b"RIFF\x10\0\0\0WAVEfmt ", "audio/wav"),
            (b"OggS\0\x02", "audio/ogg"),
            (b"fLaC\0\0\0\x22", "audio/flac"),
            (b"ID3\x04\0\0\0\0\0\0", "audio/mpeg"),
            (b"\xff\xfb\x90\x64\0\0", "audio/mpeg"),
            (b"\xff\xf3\x64\xc4\0\0", "audio/mpeg"),
            (b"\xff\xf1\x50\x80\x02\x1f\xfc", "audio/aac"),
            (b"\0\0\0\x18ftypisom\0\0\0\0", "video/mp4"),
            (b"\0\0\0\x14ftypqt  ", "video/quicktime"),
            (b"\0\0\0\x18ftypM4A ", "audio/mp4"),
            (b"\0\0\0\x18ftypavif", "image/avif"),
            (b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\x82\x84webm", "video/webm"),
            (b"\x1a\x45\xdf\xa3\x9f\x42\x82\x88matroska", "video/x-matroska"),
        ] {
            assert_eq!(content_type(head), expected);
        }
    }

    #[test]
    fn texts_are_named() {
        for (head, expected) in [
            (&b"<!DOCTYPE html><html>"[..], "HTML"),
            (b"\n  <HTML lang=en>", "HTML"),
            (b"<?xml version='1.0'?><Error>", "XML"),
            (b"<Error><Code>NoSuchKey</Code></Error>", "XML"),
            (b"\xef\xbb\xbf{\"error\": \"no\"}", "JSON"),
            (b" [1, 2]", "JSON"),
            (b"rate limit exceeded", "text"),
            ("caf\u{e9}".as_bytes(), "text"),
        ] {
            assert_eq!(sniff(head), Found::Text(expected), "{head:?}");
        }
    }

    #[test]
    fn an_archive_is_named_and_noise_is_unknown() {
        assert_eq!(sniff(b"PK\x03\x04\x14\0\0\0\x08\0"), Found::Other("application/zip"));
        assert_eq!(sniff(b"\x00\x01\x02\x03\x80\x81"), Found::Unknown);
        assert_eq!(sniff(b""), Found::Unknown);
    }

    #[test]
    fn a_frame_header_counts_for_sure_only_with_a_second_one() {
        let mut frames = vec![0u8; 417 + 8];
        frames[..4].copy_from_slice(b"\xff\xfb\x90\x64");
        assert_eq!(sniff(&frames), Found::Unknown, "no second header where the first frame ends");
        frames[417..421].copy_from_slice(b"\xff\xfb\x90\x64");
        assert!(matches!(sniff(&frames), Found::Media(media) if media.content_type == "audio/mpeg"));
    }
}
