//! ISO base media (MP4, MOV, M4A): the `moov` box is kept as it streams by, wherever it stands, and read at the end.
//! The published parser for it has a licence that this project does not take, and reads every sample table.

use atelier_domain::asset::MediaFacts;

use super::milliseconds;

/// Larger indexes belong to videos of many hours; they are passed over.
const MOOV_LIMIT_BYTES: u64 = 8 * 1024 * 1024;

#[derive(Debug, Default)]
pub(super) struct Movie {
    header: Vec<u8>,
    left_bytes: u64,
    is_keeping: bool,
    moov: Vec<u8>,
}

impl Movie {
    pub(super) fn feed(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.left_bytes > 0 {
                let length = usize::try_from(self.left_bytes).unwrap_or(usize::MAX).min(bytes.len());
                let (taken, rest) = bytes.split_at(length);
                if self.is_keeping {
                    self.moov.extend_from_slice(taken);
                }
                self.left_bytes -= taken.len() as u64;
                bytes = rest;
                continue;
            }
            let wanted = header_bytes(&self.header).saturating_sub(self.header.len());
            let (taken, rest) = bytes.split_at(wanted.min(bytes.len()));
            self.header.extend_from_slice(taken);
            bytes = rest;
            if self.header.len() >= 8 && self.header.len() == header_bytes(&self.header) {
                self.open();
            }
        }
    }

    fn open(&mut self) {
        let header = std::mem::take(&mut self.header);
        let length = box_length(&header);
        self.is_keeping = header.get(4..8) == Some(b"moov")
            && self.moov.is_empty()
            && length.is_some_and(|l| l <= MOOV_LIMIT_BYTES);
        // A box that reaches to the end, or one whose length is nonsense, is the last one.
        self.left_bytes =
            length.and_then(|length| length.checked_sub(header.len() as u64)).unwrap_or(u64::MAX);
    }

    pub(super) fn facts(&self) -> MediaFacts {
        let tracks: Vec<Track> =
            boxes(&self.moov).filter(|(name, _)| name == b"trak").map(|(_, body)| track(body)).collect();
        let shown =
            tracks.iter().find(|track| track.is_video).or_else(|| tracks.iter().find(|track| track.is_sound));
        let Some(shown) = shown else { return MediaFacts::default() };
        // Where the track itself has no length, the whole movie has one.
        let whole =
            boxes(&self.moov).find(|(name, _)| name == b"mvhd").and_then(|(_, body)| header_duration(body));
        MediaFacts {
            width: shown.size.map(|(width, _)| width),
            height: shown.size.map(|(_, height)| height),
            duration_ms: shown.duration_ms.or(whole),
            codec: shown.codec.clone(),
        }
    }
}

#[derive(Debug, Default)]
struct Track {
    is_video: bool,
    is_sound: bool,
    size: Option<(u32, u32)>,
    duration_ms: Option<u64>,
    codec: Option<String>,
}

fn track(body: &[u8]) -> Track {
    let mut track = Track::default();
    let mut size = None;
    for (name, body) in boxes(body) {
        match &name {
            b"tkhd" => size = track_size(body),
            b"mdia" => media(body, &mut track),
            _ => {}
        }
    }
    track.size = size.filter(|_| track.is_video);
    track
}

fn media(body: &[u8], track: &mut Track) {
    for (name, body) in boxes(body) {
        match &name {
            b"mdhd" => track.duration_ms = header_duration(body),
            b"hdlr" => {
                track.is_video = body.get(8..12) == Some(b"vide");
                track.is_sound = body.get(8..12) == Some(b"soun");
            }
            b"minf" => {
                let table = boxes(body).find(|(name, _)| name == b"stbl").map_or(&[][..], |(_, body)| body);
                let description =
                    boxes(table).find(|(name, _)| name == b"stsd").map_or(&[][..], |(_, body)| body);
                // Version, flags and the number of entries come first.
                let entry = boxes(description.get(8..).unwrap_or_default()).next();
                track.codec = entry.map(|(name, _)| codec(&name));
            }
            _ => {}
        }
    }
}

/// Width and height as shown: 16.16 numbers at the end, turned by the matrix before them.
fn track_size(body: &[u8]) -> Option<(u32, u32)> {
    let end = body.len().checked_sub(8)?;
    let (width, height) = (number32(body, end)? >> 16, number32(body, end + 4)? >> 16);
    let matrix = end.checked_sub(36)?;
    let is_turned = number32(body, matrix)? == 0 && number32(body, matrix + 4)? != 0;
    Some(if is_turned { (height, width) } else { (width, height) })
}

/// The length in a `mvhd` or `mdhd` box: both have scale and duration at the same place.
fn header_duration(body: &[u8]) -> Option<u64> {
    let (scale, duration) = if body.first() == Some(&1) {
        (number32(body, 20)?, number64(body, 24)?)
    } else {
        let duration = number32(body, 16)?;
        // All ones: not known.
        (number32(body, 12)?, if duration == u32::MAX { 0 } else { u64::from(duration) })
    };
    milliseconds(duration, u64::from(scale)).filter(|_| duration != u64::MAX)
}

/// The usual name of a sample entry.
fn codec(entry: &[u8; 4]) -> String {
    match entry {
        b"avc1" | b"avc3" => "h264".to_owned(),
        b"hvc1" | b"hev1" => "hevc".to_owned(),
        b"av01" => "av1".to_owned(),
        b"vp09" => "vp9".to_owned(),
        b"vp08" => "vp8".to_owned(),
        b"mp4v" => "mpeg4".to_owned(),
        b"apch" | b"apcn" | b"apcs" | b"apco" | b"ap4h" | b"ap4x" => "prores".to_owned(),
        b"mp4a" => "aac".to_owned(),
        b"Opus" => "opus".to_owned(),
        b"fLaC" => "flac".to_owned(),
        b".mp3" => "mp3".to_owned(),
        b"alac" => "alac".to_owned(),
        other => {
            other.iter().filter(|byte| byte.is_ascii_alphanumeric()).map(|byte| char::from(*byte)).collect()
        }
    }
}

/// The boxes of a body, by name. Ends at the first one that does not fit.
fn boxes(body: &[u8]) -> impl Iterator<Item = ([u8; 4], &[u8])> {
    let mut rest = body;
    std::iter::from_fn(move || {
        let header = rest.get(..header_bytes(rest))?;
        let name = *header.get(4..)?.first_chunk::<4>()?;
        let length = match box_length(header) {
            None => rest.len(),
            Some(length) => usize::try_from(length).ok().filter(|length| *length >= header.len())?,
        };
        let inside = rest.get(header.len()..length)?;
        rest = rest.get(length..)?;
        Some((name, inside))
    })
}

/// 16 when the short length says that a long one follows.
fn header_bytes(header: &[u8]) -> usize {
    if header.first_chunk::<4>() == Some(&[0, 0, 0, 1]) { 16 } else { 8 }
}

/// The length of a whole box; `None` when it reaches to the end.
fn box_length(header: &[u8]) -> Option<u64> {
    match number32(header, 0)? {
        0 => None,
        1 => number64(header, 8),
        short => Some(u64::from(short)),
    }
}

fn number32(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk::<4>().map(|bytes| u32::from_be_bytes(*bytes))
}

fn number64(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk::<8>().map(|bytes| u64::from_be_bytes(*bytes))
}
