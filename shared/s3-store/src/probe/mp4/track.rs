//! One track of the index: what it is, how long and how large it is shown, and in which codec.

use super::boxes::{boxes, inside, number16, number32, number64};
use crate::probe::milliseconds;

/// Where the codec's own description begins well before.
const MOST_ENTRY_BYTES: usize = 1024;

#[derive(Debug, Default)]
pub(super) struct Track {
    pub(super) id: u32,
    pub(super) is_video: bool,
    pub(super) is_sound: bool,
    /// As shown.
    pub(super) size: Option<(u32, u32)>,
    pub(super) codec: Option<String>,
    pub(super) duration: Duration,
    /// Of samples whose fragment says nothing else.
    pub(super) sample_duration: u32,
    /// Begin of the first fragment and end of the last.
    pub(super) fragments: Option<(u64, u64)>,
}

/// A length as headers tell it.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Duration {
    pub(super) count: u64,
    per_second: u32,
}

impl Duration {
    pub(super) fn in_ms(self) -> Option<u64> {
        milliseconds(self.count, u64::from(self.per_second))
    }
}

impl Track {
    pub(super) fn read(trak: &[u8]) -> Self {
        let header = inside(trak, b"tkhd");
        let media = inside(trak, b"mdia");
        let handler = inside(media, b"hdlr").get(8..12);
        let table = inside(inside(media, b"minf"), b"stbl");
        // Version, flags and the number of entries come first.
        let entry = boxes(inside(table, b"stsd").get(8..).unwrap_or_default()).next();
        let is_video = handler == Some(b"vide");
        let coded =
            entry.and_then(|(_, entry)| Some((number16(entry, 24)?.into(), number16(entry, 26)?.into())));
        let is_known = |(width, height): &(u32, u32)| *width > 0 && *height > 0;
        Self {
            id: number32(header, if header.first() == Some(&1) { 20 } else { 12 }).unwrap_or(0),
            is_video,
            is_sound: handler == Some(b"soun"),
            size: shown_size(header).filter(is_known).or(coded).filter(|_| is_video),
            codec: entry.and_then(|(name, entry)| codec(&name, entry)),
            duration: header_duration(inside(media, b"mdhd")),
            sample_duration: 0,
            fragments: None,
        }
    }

    /// Fragments go on where the index ends, or, in a cut from something longer, begin anywhere.
    pub(super) fn duration_ms(&self) -> Option<u64> {
        let told = self.duration.count;
        let count = match self.fragments {
            Some((begin, end)) if begin <= told => told.max(end),
            Some((begin, end)) => end.saturating_sub(begin),
            None => told,
        };
        Duration { count, ..self.duration }.in_ms()
    }
}

/// Width and height as shown: 16.16 numbers at the end, turned by the matrix before them.
fn shown_size(header: &[u8]) -> Option<(u32, u32)> {
    let end = header.len().checked_sub(8)?;
    let (width, height) = (number32(header, end)? >> 16, number32(header, end + 4)? >> 16);
    let matrix = end.checked_sub(36)?;
    let is_turned = number32(header, matrix)? == 0 && number32(header, matrix + 4)? != 0;
    Some(if is_turned { (height, width) } else { (width, height) })
}

/// The length in a `mvhd` or `mdhd` box: both have scale and duration at the same place. All ones: not known.
pub(super) fn header_duration(body: &[u8]) -> Duration {
    let (per_second, count) = if body.first() == Some(&1) {
        (number32(body, 20), number64(body, 24).filter(|count| *count != u64::MAX))
    } else {
        (number32(body, 12), number32(body, 16).filter(|count| *count != u32::MAX).map(u64::from))
    };
    Duration { count: count.unwrap_or(0), per_second: per_second.unwrap_or(0) }
}

/// The usual name of a sample entry.
fn codec(name: &[u8; 4], entry: &[u8]) -> Option<String> {
    let usual = match name {
        b"avc1" | b"avc2" | b"avc3" | b"avc4" => "h264",
        b"hvc1" | b"hev1" | b"dvh1" | b"dvhe" => "hevc",
        b"av01" => "av1",
        b"vp09" => "vp9",
        b"vp08" => "vp8",
        b"apch" | b"apcn" | b"apcs" | b"apco" | b"ap4h" | b"ap4x" => "prores",
        b"jpeg" | b"mjpa" | b"mjpb" => "mjpeg",
        b"mp4a" => described(entry).unwrap_or("aac"),
        b"mp4v" => described(entry).unwrap_or("mpeg4"),
        b"Opus" => "opus",
        b"fLaC" => "flac",
        b".mp3" => "mp3",
        b"ac-3" => "ac3",
        b"ec-3" => "eac3",
        b"sowt" => "pcm_s16le",
        b"twos" => "pcm_s16be",
        b"ulaw" => "pcm_mulaw",
        b"alaw" => "pcm_alaw",
        other => {
            let letters = other.iter().filter(|byte| byte.is_ascii_alphanumeric());
            let text: String = letters.map(|byte| char::from(*byte)).collect();
            return (!text.is_empty()).then_some(text);
        }
    };
    Some(usual.to_owned())
}

/// What an `esds` box says of MPEG-4 entries, which may hold older codecs (ISO 14496-1, 7.2.6.6).
fn described(entry: &[u8]) -> Option<&'static str> {
    let entry = entry.get(..entry.len().min(MOST_ENTRY_BYTES))?;
    let at = entry.windows(4).position(|window| window == b"esds")?;
    // Version and flags, then a descriptor of the stream, and in it one of the decoder.
    let stream = descriptor(entry.get(at + 8..)?, 3)?;
    let flags = stream.get(2)?;
    if flags & 0xe0 != 0 {
        return None;
    }
    match descriptor(stream.get(3..)?, 4)?.first()? {
        0x20 => Some("mpeg4"),
        0x40 | 0x66..=0x68 => Some("aac"),
        0x69 | 0x6b => Some("mp3"),
        0x6c => Some("mjpeg"),
        0xa5 => Some("ac3"),
        0xa6 => Some("eac3"),
        0xad => Some("opus"),
        _ => None,
    }
}

/// What follows a descriptor's tag and length, which has one to four bytes.
fn descriptor(bytes: &[u8], tag: u8) -> Option<&[u8]> {
    let (first, rest) = bytes.split_first()?;
    let last = rest.iter().take(4).position(|byte| byte & 0x80 == 0)?;
    rest.get(last + 1..).filter(|_| *first == tag)
}
