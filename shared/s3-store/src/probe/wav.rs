//! WAV: the format chunk says how fast the bytes of the data chunk go by.

use atelier_domain::asset::MediaFacts;

use super::{keep, milliseconds};

/// Formats and data begin well before this in any file that is played.
const HEAD_BYTES: usize = 64 * 1024;
/// What writers put down that do not know the length yet.
const UNKNOWN_LENGTH: u64 = 0xffff_ffff;
/// The format says further on what it is.
const EXTENSIBLE: u16 = 0xfffe;

#[derive(Debug, Default)]
pub(super) struct Wav {
    head: Vec<u8>,
}

impl Wav {
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        keep(&mut self.head, bytes, HEAD_BYTES);
    }

    pub(super) fn facts(&self, size_bytes: u64) -> MediaFacts {
        let mut facts = MediaFacts::default();
        let mut bytes_per_second = 0;
        let mut rest = self.head.get(12..).unwrap_or_default();
        while let Some((name, behind)) = rest.split_first_chunk::<4>()
            && let Some((length, body)) = behind.split_first_chunk::<4>()
        {
            let length = u64::from(u32::from_le_bytes(*length));
            match name {
                b"fmt " => {
                    bytes_per_second = u64::from(number(body, 8)) | u64::from(number(body, 10)) << 16;
                    facts.codec = codec(body).map(str::to_owned);
                }
                b"data" => {
                    let begin = self.head.len().saturating_sub(body.len());
                    let present = size_bytes.saturating_sub(begin as u64);
                    let is_known = length != 0 && length != UNKNOWN_LENGTH;
                    let bytes = if is_known { length.min(present) } else { present };
                    facts.duration_ms = milliseconds(bytes, bytes_per_second);
                    break;
                }
                _ => {}
            }
            // Chunks begin at even places.
            let next = usize::try_from(length + length % 2).unwrap_or(usize::MAX);
            rest = body.get(next..).unwrap_or_default();
        }
        facts
    }
}

fn number(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..).and_then(|rest| rest.first_chunk::<2>()).map_or(0, |bytes| u16::from_le_bytes(*bytes))
}

/// By format tag and bits a sample (RFC 2361).
fn codec(format: &[u8]) -> Option<&'static str> {
    let tag = match number(format, 0) {
        EXTENSIBLE => number(format, 24),
        tag => tag,
    };
    match (tag, number(format, 14)) {
        (1, 8) => Some("pcm_u8"),
        (1, 16) => Some("pcm_s16le"),
        (1, 24) => Some("pcm_s24le"),
        (1, 32) => Some("pcm_s32le"),
        (3, 32) => Some("pcm_f32le"),
        (3, 64) => Some("pcm_f64le"),
        (6, _) => Some("pcm_alaw"),
        (7, _) => Some("pcm_mulaw"),
        (0x11, _) => Some("adpcm_ima_wav"),
        (0x55, _) => Some("mp3"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::probe::tests::facts;

    const FORMAT: &[u8] = b"fmt \x10\0\0\0\x01\0\x01\0\x40\x1f\0\0\x80\x3e\0\0\x02\0\x10\0";

    fn length_of(chunks: &[&[u8]]) -> Option<u64> {
        facts("audio/wav", &[&b"RIFF\0\0\0\0WAVE"[..], &chunks.concat()].concat()).duration_ms
    }

    #[test]
    fn chunks_of_odd_length_are_filled_up() {
        let sound = [b"data\x80\x3e\0\0", &[0u8; 16_000][..]].concat();
        assert_eq!(length_of(&[b"LIST\x03\0\0\0abc\0", FORMAT, &sound]), Some(1_000));
    }

    #[test]
    fn a_length_is_believed_only_as_far_as_the_bytes_go() {
        for length in [b"\0\0\0\0", b"\xff\xff\xff\xff", b"\xf0\xff\xff\x7f", b"\x80\x3e\0\0"] {
            let sound = [b"data", &length[..], &[0u8; 16_000]].concat();
            assert_eq!(length_of(&[FORMAT, &sound]), Some(1_000), "{length:?}");
        }
        assert_eq!(length_of(&[b"junk\xff\xff\xff\xff", FORMAT]), None);
        assert_eq!(length_of(&[b"data\x80\x3e\0\0....", FORMAT]), None);
    }
}
