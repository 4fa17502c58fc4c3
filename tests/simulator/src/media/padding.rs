//! Files blown up to any size that are still valid: each format has a place where bytes may be added.

use bytes::Bytes;

use super::audio::wav_header;
use super::{ImageFormat, MediaSpec, Segment, SpeechFormat, flac, png, webp};

/// Bytes added in one piece.
const UNIT: u64 = 1 << 20;
/// Largest JPEG comment: marker, length, 65533 bytes.
const COMMENT: u64 = 65_537;
/// A JPEG begins with the start marker (2 bytes) and the JFIF segment (18 bytes).
const JPEG_HEAD: usize = 20;
/// The end chunk of a PNG.
const PNG_TAIL: usize = 12;

/// The file with `size` bytes in all, more than it has. It has up to eleven bytes less, or stays as it is, where the
/// format has no piece so small to add; Ogg grows by whole streams.
pub(super) fn pad(spec: &MediaSpec, file: &Bytes, size: u64) -> Vec<Segment> {
    let length = file.len() as u64;
    let extra = size.saturating_sub(length);
    match spec {
        MediaSpec::Video { .. } => pad_mp4(file, extra),
        MediaSpec::Image { format: ImageFormat::Png, .. } => pad_png(file, extra),
        MediaSpec::Image { format: ImageFormat::Jpeg, .. } => pad_jpeg(file, extra),
        MediaSpec::Image { format: ImageFormat::Webp, .. } => pad_webp(file, extra),
        MediaSpec::Speech(speech) => match speech.format {
            SpeechFormat::Mp3 { .. } | SpeechFormat::Aac { .. } => pad_frames(file, size),
            SpeechFormat::Flac { .. } => pad_flac(file, extra),
            SpeechFormat::Wav { coding, rate } => {
                let header = wav_header(coding, rate, size.saturating_sub(44));
                let mut segments = vec![Segment::once(header)];
                segments.extend(repeat(&file.slice(44.min(file.len())..), size.saturating_sub(44)));
                segments
            }
            SpeechFormat::Raw { .. } => repeat(file, size),
            SpeechFormat::Opus => vec![Segment { bytes: file.clone(), repeat: size / length.max(1) }],
        },
    }
}

/// A `free` atom at the end.
fn pad_mp4(file: &Bytes, extra: u64) -> Vec<Segment> {
    let mut segments = vec![Segment::once(file.clone())];
    let header = match u32::try_from(extra) {
        Ok(size) if size >= 8 => [&size.to_be_bytes()[..], b"free"].concat(),
        Ok(_) => return segments,
        Err(_) => [&[0, 0, 0, 1][..], b"free", &extra.to_be_bytes()].concat(),
    };
    let filler = extra - header.len() as u64;
    segments.push(Segment::once(header));
    segments.extend(repeat(&zeros(UNIT), filler));
    segments
}

/// An unknown chunk at the end; a WebP holds four gigabytes at most.
fn pad_webp(file: &Bytes, extra: u64) -> Vec<Segment> {
    let Some((whole, header, filler)) = webp::padded(file, extra) else {
        return vec![Segment::once(file.clone())];
    };
    let mut segments = vec![Segment::once(whole), Segment::once(header)];
    segments.extend(repeat(&zeros(UNIT), filler));
    segments
}

/// Private ancillary chunks before the end.
fn pad_png(file: &Bytes, extra: u64) -> Vec<Segment> {
    let Some((count, last)) = pieces(extra, UNIT, 12) else { return vec![Segment::once(file.clone())] };
    let chunk = |size: u64| png::chunk(b"siMp", &vec![0; usize::try_from(size - 12).unwrap_or_default()]);
    let end = file.len().saturating_sub(PNG_TAIL);
    let mut segments = vec![Segment::once(file.slice(..end))];
    segments.push(Segment { bytes: chunk(UNIT).into(), repeat: count });
    segments.extend(last.into_iter().map(|size| Segment::once(chunk(size))));
    segments.push(Segment::once(file.slice(end..)));
    segments
}

/// Comments after the JFIF segment.
fn pad_jpeg(file: &Bytes, extra: u64) -> Vec<Segment> {
    let Some((count, last)) = pieces(extra, COMMENT, 4) else { return vec![Segment::once(file.clone())] };
    let comment = |size: u64| {
        let mut bytes = vec![0xff, 0xfe];
        bytes.extend(u16::try_from(size - 2).unwrap_or(u16::MAX).to_be_bytes());
        bytes.resize(usize::try_from(size).unwrap_or_default(), b' ');
        bytes
    };
    let head = JPEG_HEAD.min(file.len());
    let mut segments = vec![Segment::once(file.slice(..head))];
    segments.push(Segment { bytes: comment(COMMENT).into(), repeat: count });
    segments.extend(last.into_iter().map(|size| Segment::once(comment(size))));
    segments.push(Segment::once(file.slice(head..)));
    segments
}

/// Blocks of padding after the first block, which is not the last.
fn pad_flac(file: &Bytes, extra: u64) -> Vec<Segment> {
    let Some((count, last)) = pieces(extra, UNIT, 4) else { return vec![Segment::once(file.clone())] };
    let head = flac::HEAD_BYTES.min(file.len());
    let mut segments = vec![Segment::once(file.slice(..head))];
    segments.push(Segment { bytes: flac::padding(UNIT).into(), repeat: count });
    segments.extend(last.into_iter().map(|size| Segment::once(flac::padding(size))));
    segments.push(Segment::once(file.slice(head..)));
    segments
}

/// The frames again and again, after an ID3 tag that takes up the rest.
fn pad_frames(file: &Bytes, size: u64) -> Vec<Segment> {
    let length = (file.len() as u64).max(1);
    let Some(room) = size.checked_sub(10) else { return vec![Segment::once(file.clone())] };
    let times = room / length;
    let tag = room - times * length;
    if times == 0 || tag >= 1 << 28 {
        return vec![Segment::once(file.clone())];
    }
    // The size of a tag is written in four groups of seven bits.
    let groups = [21, 14, 7, 0].map(|shift| (tag >> shift & 0x7f) as u8);
    let header = [b"ID3\x03\0\0".as_slice(), &groups].concat();
    let mut segments = vec![Segment::once(header)];
    segments.extend(repeat(&zeros(UNIT), tag));
    segments.push(Segment { bytes: file.clone(), repeat: times });
    segments
}

/// `bytes` over and over until there are `size` in all.
fn repeat(bytes: &Bytes, size: u64) -> Vec<Segment> {
    let length = (bytes.len() as u64).max(1);
    let rest = usize::try_from(size % length).unwrap_or_default().min(bytes.len());
    vec![Segment { bytes: bytes.clone(), repeat: size / length }, Segment::once(bytes.slice(..rest))]
}

/// How many pieces of `unit` bytes and which last one make `extra` bytes, none being smaller than `smallest`.
fn pieces(extra: u64, unit: u64, smallest: u64) -> Option<(u64, Option<u64>)> {
    match (extra / unit, extra % unit) {
        (count, 0) => Some((count, None)),
        (count, rest) if rest >= smallest => Some((count, Some(rest))),
        (0, _) => None,
        // The rest is too small for a piece of its own and is left out.
        (count, _) => Some((count, None)),
    }
}

fn zeros(size: u64) -> Bytes {
    vec![0; usize::try_from(size).unwrap_or_default()].into()
}
