//! Matroska and WebM: elements with an id, a length and a body (RFC 8794, RFC 9559). Of the segment, `Info` and `Tracks`
//! are held while they stream by and read when they end; clusters are passed over by their length. A live recording
//! leaves the length of its first cluster open: what comes after that is not looked at.

use atelier_domain::asset::MediaFacts;

/// Both elements have a few hundred bytes; larger ones are passed over.
const MOST_HELD_BYTES: u64 = 1024 * 1024;
/// A file has a handful of tracks; further ones are not looked at.
const MOST_TRACKS: usize = 64;

const SEGMENT: u32 = 0x1853_8067;
const INFO: u32 = 0x1549_a966;
const TRACKS: u32 = 0x1654_ae6b;
const TIMESTAMP_SCALE: u32 = 0x2a_d7b1;
const DURATION: u32 = 0x4489;
const TRACK_ENTRY: u32 = 0xae;
const TRACK_TYPE: u32 = 0x83;
const CODEC_ID: u32 = 0x86;
const VIDEO: u32 = 0xe0;
const PIXEL_WIDTH: u32 = 0xb0;
const PIXEL_HEIGHT: u32 = 0xba;

/// Ticks of a millisecond where the file does not say how long a tick is.
const USUAL_SCALE_NS: u64 = 1_000_000;

#[derive(Debug, Default)]
pub(super) struct Matroska {
    header: Vec<u8>,
    left_bytes: u64,
    /// Id of the element that is held.
    holding: Option<u32>,
    held: Vec<u8>,
    /// Set when nothing further can be told.
    is_over: bool,
    duration_ms: Option<u64>,
    shown: Option<Track>,
}

#[derive(Debug, Default, Clone)]
struct Track {
    kind: u64,
    codec: Option<String>,
    width: Option<u32>,
    height: Option<u32>,
}

impl Matroska {
    pub(super) fn feed(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && !self.is_over {
            if self.left_bytes > 0 {
                let length = usize::try_from(self.left_bytes).unwrap_or(usize::MAX).min(bytes.len());
                let (taken, rest) = bytes.split_at(length);
                if self.holding.is_some() {
                    self.held.extend_from_slice(taken);
                }
                self.left_bytes -= taken.len() as u64;
                bytes = rest;
                if self.left_bytes == 0 {
                    self.close();
                }
                continue;
            }
            let (byte, rest) = bytes.split_at(1);
            self.header.extend_from_slice(byte);
            bytes = rest;
            match head(&self.header) {
                Head::Short => {}
                Head::Broken => self.is_over = true,
                Head::Whole { id, length, .. } => self.open(id, length),
            }
        }
    }

    fn open(&mut self, id: u32, length: Option<u64>) {
        self.header.clear();
        self.holding = None;
        match (id, length) {
            // Its elements follow.
            (SEGMENT, _) => {}
            (_, None) => self.is_over = true,
            (INFO | TRACKS, Some(length)) if length <= MOST_HELD_BYTES => {
                (self.holding, self.left_bytes) = (Some(id), length);
            }
            (_, Some(length)) => self.left_bytes = length,
        }
    }

    fn close(&mut self) {
        let held = std::mem::take(&mut self.held);
        match self.holding.take() {
            Some(INFO) => self.duration_ms = self.duration_ms.or(duration_ms(&held)),
            Some(TRACKS) if self.shown.is_none() => self.shown = shown(&held),
            _ => {}
        }
    }

    pub(super) fn facts(&self) -> MediaFacts {
        let shown = self.shown.clone().unwrap_or_default();
        MediaFacts {
            width: shown.width,
            height: shown.height,
            duration_ms: self.duration_ms,
            codec: shown.codec,
        }
    }
}

fn duration_ms(info: &[u8]) -> Option<u64> {
    let (mut scale_ns, mut ticks) = (USUAL_SCALE_NS, 0.0);
    for (id, body) in elements(info) {
        match id {
            TIMESTAMP_SCALE => scale_ns = number(body),
            DURATION => ticks = float(body),
            _ => {}
        }
    }
    // Conversion of a number that is none, negative or too large ends at the nearest that there is.
    let millis = (ticks * scale_ns as f64 / 1e6).round() as u64;
    (millis > 0).then_some(millis)
}

/// The first track with a picture, else the first with sound.
fn shown(tracks: &[u8]) -> Option<Track> {
    let entries = elements(tracks).filter(|(id, _)| *id == TRACK_ENTRY).take(MOST_TRACKS);
    let tracks: Vec<Track> = entries.map(|(_, body)| track(body)).collect();
    [1, 2].iter().find_map(|kind| tracks.iter().find(|track| track.kind == *kind)).cloned()
}

fn track(entry: &[u8]) -> Track {
    let mut track = Track::default();
    for (id, body) in elements(entry) {
        match id {
            TRACK_TYPE => track.kind = number(body),
            CODEC_ID => track.codec = codec(body),
            VIDEO => {
                for (id, body) in elements(body) {
                    match id {
                        PIXEL_WIDTH => track.width = u32::try_from(number(body)).ok(),
                        PIXEL_HEIGHT => track.height = u32::try_from(number(body)).ok(),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    track
}

/// The usual name of a codec id.
fn codec(id: &[u8]) -> Option<String> {
    // Strings may be filled up with zeros.
    let id = id.split(|byte| *byte == 0).next().unwrap_or_default();
    let usual = match id {
        b"V_VP8" => "vp8",
        b"V_VP9" => "vp9",
        b"V_AV1" => "av1",
        b"V_MPEG4/ISO/AVC" => "h264",
        b"V_MPEGH/ISO/HEVC" => "hevc",
        b"V_PRORES" => "prores",
        b"V_MJPEG" => "mjpeg",
        b"A_OPUS" => "opus",
        b"A_VORBIS" => "vorbis",
        b"A_FLAC" => "flac",
        b"A_MPEG/L3" => "mp3",
        b"A_AC3" => "ac3",
        b"A_EAC3" => "eac3",
        _ if id.starts_with(b"A_AAC") => "aac",
        _ => return None,
    };
    Some(usual.to_owned())
}

/// The elements of a body. Ends at the first one that does not fit, or whose length is open.
fn elements(body: &[u8]) -> impl Iterator<Item = (u32, &[u8])> {
    let mut rest = body;
    std::iter::from_fn(move || {
        let Head::Whole { id, length: Some(length), size } = head(rest) else { return None };
        let end = usize::try_from(length).ok()?.checked_add(size)?;
        let inside = rest.get(size..end)?;
        rest = rest.get(end..)?;
        Some((id, inside))
    })
}

/// What the first bytes of an element say.
enum Head {
    /// More bytes are needed.
    Short,
    /// These are not the first bytes of an element.
    Broken,
    /// Id, length (`None`: open) and how many bytes say so.
    Whole { id: u32, length: Option<u64>, size: usize },
}

fn head(bytes: &[u8]) -> Head {
    let Some(first) = bytes.first() else { return Head::Short };
    // The number of leading zeros says how many bytes follow; an id keeps its marker, a length does not.
    let id_bytes = first.leading_zeros() as usize + 1;
    if id_bytes > 4 {
        return Head::Broken;
    }
    let Some(marked) = bytes.get(id_bytes) else { return Head::Short };
    let length_bytes = marked.leading_zeros() as usize + 1;
    if length_bytes > 8 {
        return Head::Broken;
    }
    let size = id_bytes + length_bytes;
    let (Some(id), Some(length)) = (bytes.get(..id_bytes), bytes.get(id_bytes..size)) else {
        return Head::Short;
    };
    let mask = (1u64 << (7 * length_bytes)) - 1;
    let length = Some(number(length) & mask).filter(|length| *length != mask);
    Head::Whole { id: u32::try_from(number(id)).unwrap_or(0), length, size }
}

/// A big-endian number of up to eight bytes; of a longer one the last eight.
fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

fn float(bytes: &[u8]) -> f64 {
    match *bytes {
        [a, b, c, d] => f64::from(f32::from_be_bytes([a, b, c, d])),
        [a, b, c, d, e, f, g, h] => f64::from_be_bytes([a, b, c, d, e, f, g, h]),
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::tests::facts;

    const SEGMENT_OF_ANY_LENGTH: &[u8] =
        b"\x1a\x45\xdf\xa3\x80\x18\x53\x80\x67\x01\xff\xff\xff\xff\xff\xff\xff";

    fn info(duration: &[u8]) -> Vec<u8> {
        let length = u8::try_from(3 + duration.len()).unwrap();
        let size = 0x80 | u8::try_from(duration.len()).unwrap();
        [b"\x15\x49\xa9\x66", &[0x80 | length][..], b"\x44\x89", &[size], duration].concat()
    }

    fn length_of(duration: &[u8]) -> Option<u64> {
        facts("video/webm", &[SEGMENT_OF_ANY_LENGTH, &info(duration)].concat()).duration_ms
    }

    #[test]
    fn a_length_is_read_and_an_absurd_one_left_out() {
        assert_eq!(length_of(&1500f64.to_be_bytes()), Some(1500));
        assert_eq!(length_of(&1500f32.to_be_bytes()), Some(1500));
        for absurd in [f64::NAN, f64::INFINITY, -1.0, 0.0, 1e300] {
            assert_eq!(length_of(&absurd.to_be_bytes()), None, "{absurd}");
        }
        assert_eq!(length_of(b"\x01\x02"), None);
    }

    #[test]
    fn clusters_before_the_facts_are_passed_over_unless_their_length_is_open() {
        let length = 1500f64.to_be_bytes();
        let cluster = [b"\x1f\x43\xb6\x75\x40\x64", &[0u8; 100][..]].concat();
        let behind = [SEGMENT_OF_ANY_LENGTH, &cluster, &info(&length)].concat();
        assert_eq!(facts("video/webm", &behind).duration_ms, Some(1500));
        let open = [SEGMENT_OF_ANY_LENGTH, b"\x1f\x43\xb6\x75\xff", &info(&length)].concat();
        assert_eq!(facts("video/webm", &open), MediaFacts::default());
    }

    #[test]
    fn a_long_element_is_not_held() {
        let mut file = Matroska::default();
        file.feed(SEGMENT_OF_ANY_LENGTH);
        file.feed(b"\x16\x54\xae\x6b\x08\x7f\xff\xff\xff");
        (0..100).for_each(|_| file.feed(&[0; 1024 * 1024]));
        assert_eq!((file.held.capacity(), file.facts()), (0, MediaFacts::default()));
    }
}
