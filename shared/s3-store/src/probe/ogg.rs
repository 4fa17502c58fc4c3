//! Ogg: pages with a position each (RFC 3533). Opus counts at 48 kHz (RFC 7845), Vorbis and FLAC at the rate of their
//! header. Of streams side by side the first with sound counts; streams that follow one another are added up.

use atelier_domain::asset::MediaFacts;

use super::{keep, milliseconds};

const PAGE_HEADER_BYTES: usize = 27;
/// Enough of a stream's first page for its identification.
const FIRST_PAGE_BYTES: usize = 64;
const OPUS_RATE: u64 = 48_000;
const BEGINS_STREAM: u8 = 2;

#[derive(Debug, Default)]
pub(super) struct Ogg {
    header: Vec<u8>,
    body: Vec<u8>,
    body_left: usize,
    /// Serial number of the stream whose first page streams by, where it may be the one that counts.
    beginning: Option<u32>,
    stream: Option<Stream>,
    done_ms: u64,
}

#[derive(Debug, Clone, Copy)]
struct Stream {
    serial: u32,
    codec: &'static str,
    rate: u64,
    /// Samples before the sound.
    skipped: u64,
    position: u64,
}

impl Ogg {
    pub(super) fn feed(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.body_left > 0 {
                let (taken, rest) = bytes.split_at(self.body_left.min(bytes.len()));
                if self.beginning.is_some() {
                    keep(&mut self.body, taken, FIRST_PAGE_BYTES);
                }
                self.body_left -= taken.len();
                bytes = rest;
                if self.body_left == 0 {
                    self.close();
                }
                continue;
            }
            let wanted = self.header_bytes().saturating_sub(self.header.len());
            let (taken, rest) = bytes.split_at(wanted.min(bytes.len()));
            self.header.extend_from_slice(taken);
            bytes = rest;
            if self.header.len() >= PAGE_HEADER_BYTES && self.header.len() == self.header_bytes() {
                self.open();
            }
        }
    }

    /// The fixed part, and one byte for each segment once their number is known.
    fn header_bytes(&self) -> usize {
        PAGE_HEADER_BYTES + self.header.get(PAGE_HEADER_BYTES - 1).map_or(0, |count| usize::from(*count))
    }

    fn open(&mut self) {
        let header = std::mem::take(&mut self.header);
        self.beginning = None;
        if !header.starts_with(b"OggS") {
            // Not in step any more: the rest is passed over.
            self.body_left = usize::MAX;
            return;
        }
        let segments = header.get(PAGE_HEADER_BYTES..).unwrap_or_default();
        self.body_left = segments.iter().map(|length| usize::from(*length)).sum();
        let serial = word(&header, 14);
        if header.get(5).is_some_and(|flags| flags & BEGINS_STREAM != 0) {
            self.body.clear();
            self.beginning = Some(serial).filter(|_| self.stream.is_none_or(|stream| stream.position > 0));
        } else if let Some(stream) = self.stream.as_mut().filter(|stream| stream.serial == serial) {
            let position = u64::from(word(&header, 10)) << 32 | u64::from(word(&header, 6));
            // All ones: no packet ends on this page.
            if position != u64::MAX {
                stream.position = stream.position.max(position);
            }
        }
    }

    fn close(&mut self) {
        let Some(serial) = self.beginning.take() else { return };
        let (codec, rate, skipped) = if self.body.starts_with(b"OpusHead") {
            ("opus", OPUS_RATE, u64::from(word(&self.body, 10) & 0xffff))
        } else if self.body.starts_with(b"\x01vorbis") {
            ("vorbis", u64::from(word(&self.body, 12)), 0)
        } else if self.body.starts_with(b"\x7fFLAC") {
            // Behind nine bytes of its own comes a FLAC's beginning, with the rate in the first 20 of these bits.
            ("flac", u64::from(word(&self.body, 27).swap_bytes() >> 12), 0)
        } else {
            return;
        };
        self.done_ms = self.total_ms();
        self.stream = Some(Stream { serial, codec, rate, skipped, position: 0 });
    }

    fn total_ms(&self) -> u64 {
        let present = self
            .stream
            .and_then(|stream| milliseconds(stream.position.saturating_sub(stream.skipped), stream.rate));
        self.done_ms.saturating_add(present.unwrap_or(0))
    }

    pub(super) fn facts(&self) -> MediaFacts {
        MediaFacts {
            duration_ms: Some(self.total_ms()),
            codec: self.stream.map(|stream| stream.codec.to_owned()),
            ..MediaFacts::default()
        }
    }
}

/// A little-endian number; nothing where there is none.
fn word(bytes: &[u8], at: usize) -> u32 {
    let found = bytes.get(at..).and_then(|rest| rest.first_chunk::<4>());
    found.map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use crate::probe::tests::facts;

    fn page(flags: u8, position: u64, serial: u32, body: &[u8]) -> Vec<u8> {
        let length = u8::try_from(body.len()).unwrap();
        let head =
            [&b"OggS\0"[..], &[flags], &position.to_le_bytes(), &serial.to_le_bytes(), &[0; 8]].concat();
        [&head[..], &[1, length], body].concat()
    }

    /// An Opus stream of that many samples.
    fn opus(serial: u32, samples: u64) -> Vec<u8> {
        let first = page(2, 0, serial, b"OpusHead\x01\x01\x38\x01\x80\xbb\0\0\0\0\0");
        [first, page(0, u64::MAX, serial, b"sound"), page(4, samples + 312, serial, b"sound")].concat()
    }

    #[test]
    fn streams_that_follow_one_another_are_added_up() {
        let file = [opus(1, 48_000), opus(2, 24_000), opus(1, 4_800)].concat();
        assert_eq!(facts("audio/ogg", &file).duration_ms, Some(1_600));
    }

    #[test]
    fn of_streams_side_by_side_the_first_with_sound_counts() {
        let others = [page(2, 0, 8, b"fishead\0"), page(2, 0, 7, b"\x80theora\x03\x02\x01")].concat();
        let second = page(2, 0, 9, b"\x01vorbis\0\0\0\0\x01\x40\x1f\0\0");
        let late = page(0, 1 << 40, 7, b"picture");
        let sound = opus(1, 48_000);
        let (first_page, rest) = sound.split_at(28 + 19);
        let file = [&others, first_page, &second, &late, rest].concat();
        let found = facts("audio/ogg", &file);
        assert_eq!((found.codec.as_deref(), found.duration_ms), (Some("opus"), Some(1_000)));
    }

    #[test]
    fn an_absurd_position_is_left_out_and_lost_step_ends_the_reading() {
        assert_eq!(facts("audio/ogg", &opus(1, u64::MAX / 2)).duration_ms, None);
        let broken = [opus(1, 48_000), b"x".to_vec(), page(0, 480_000, 1, b"sound")].concat();
        assert_eq!(facts("audio/ogg", &broken).duration_ms, Some(1_000));
    }
}
