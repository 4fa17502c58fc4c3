//! WAV: the format chunk says how fast the bytes of the data chunk go by.

use atelier_domain::asset::MediaFacts;

use super::{keep, milliseconds};

/// Formats and data begin well before this in any file that is played.
const HEAD_BYTES: usize = 64 * 1024;
/// What writers put down that do not know the length yet.
const UNKNOWN_LENGTH: u64 = 0xffff_ffff;

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
        let mut at = 12;
        while let Some(chunk) = self.head.get(at..at + 8) {
            let (name, length) = chunk.split_at(4);
            let length = length.first_chunk::<4>().map_or(0, |length| u64::from(u32::from_le_bytes(*length)));
            let body = at + 8;
            match name {
                b"fmt " => {
                    let format = self.head.get(body..).unwrap_or_default();
                    bytes_per_second = u64::from(number(format, 8)) | u64::from(number(format, 10)) << 16;
                    facts.codec = codec(number(format, 0), number(format, 14)).map(str::to_owned);
                }
                b"data" => {
                    let rest = size_bytes.saturating_sub(body as u64);
                    let bytes = if length == 0 || length == UNKNOWN_LENGTH { rest } else { length.min(rest) };
                    facts.duration_ms = milliseconds(bytes, bytes_per_second);
                    break;
                }
                _ => {}
            }
            // Chunks begin at even places.
            let next = usize::try_from(length).ok().and_then(|length| body.checked_add(length + length % 2));
            let Some(next) = next else { break };
            at = next;
        }
        facts
    }
}

fn number(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..).and_then(|rest| rest.first_chunk::<2>()).map_or(0, |bytes| u16::from_le_bytes(*bytes))
}

/// By format tag and bits a sample (RFC 2361).
fn codec(tag: u16, bits: u16) -> Option<&'static str> {
    match (tag, bits) {
        (1 | 0xfffe, 8) => Some("pcm_u8"),
        (1 | 0xfffe, 16) => Some("pcm_s16le"),
        (1 | 0xfffe, 24) => Some("pcm_s24le"),
        (1 | 0xfffe, 32) => Some("pcm_s32le"),
        (3, 32) => Some("pcm_f32le"),
        (6, _) => Some("pcm_alaw"),
        (7, _) => Some("pcm_mulaw"),
        _ => None,
    }
}
