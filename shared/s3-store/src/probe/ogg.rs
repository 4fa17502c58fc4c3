//! Ogg: pages with a position each (RFC 3533). Opus counts at 48 kHz (RFC 7845), Vorbis at the rate of its header.
//! Streams that follow one another are added up.

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
    is_first_page: bool,
    codec: Option<&'static str>,
    rate: u64,
    skipped: u64,
    position: u64,
    done_ms: u64,
}

impl Ogg {
    pub(super) fn feed(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.body_left > 0 {
                let (taken, rest) = bytes.split_at(self.body_left.min(bytes.len()));
                if self.is_first_page {
                    keep(&mut self.body, taken, FIRST_PAGE_BYTES);
                }
                self.body_left -= taken.len();
                bytes = rest;
                if self.body_left == 0 && self.is_first_page {
                    self.identify();
                }
                continue;
            }
            let wanted = self.header_bytes().saturating_sub(self.header.len());
            let (taken, rest) = bytes.split_at(wanted.min(bytes.len()));
            self.header.extend_from_slice(taken);
            bytes = rest;
            if self.header.len() >= PAGE_HEADER_BYTES && self.header.len() == self.header_bytes() {
                self.page();
            }
        }
    }

    /// The fixed part, and one byte for each segment once their number is known.
    fn header_bytes(&self) -> usize {
        PAGE_HEADER_BYTES + self.header.get(PAGE_HEADER_BYTES - 1).map_or(0, |count| usize::from(*count))
    }

    fn page(&mut self) {
        let header = std::mem::take(&mut self.header);
        if !header.starts_with(b"OggS") {
            // Not in step any more: the rest is passed over.
            self.body_left = usize::MAX;
            self.is_first_page = false;
            return;
        }
        self.is_first_page = header.get(5).is_some_and(|flags| flags & BEGINS_STREAM != 0);
        if self.is_first_page {
            self.done_ms = self.done_ms.saturating_add(self.present_ms());
            self.position = 0;
            self.body.clear();
        }
        let position =
            header.get(6..).and_then(|rest| rest.first_chunk::<8>()).map(|bytes| u64::from_le_bytes(*bytes));
        // All ones: no packet ends on this page.
        if let Some(position) = position.filter(|position| *position != u64::MAX) {
            self.position = self.position.max(position);
        }
        self.body_left = header
            .get(PAGE_HEADER_BYTES..)
            .unwrap_or_default()
            .iter()
            .map(|length| usize::from(*length))
            .sum();
    }

    fn identify(&mut self) {
        self.is_first_page = false;
        let word = |at: usize| {
            self.body
                .get(at..)
                .and_then(|rest| rest.first_chunk::<4>())
                .map_or(0, |bytes| u32::from_le_bytes(*bytes))
        };
        if self.body.starts_with(b"OpusHead") {
            (self.codec, self.rate) = (Some("opus"), OPUS_RATE);
            self.skipped = u64::from(word(10) & 0xffff);
        } else if self.body.starts_with(b"\x01vorbis") {
            (self.codec, self.rate, self.skipped) = (Some("vorbis"), u64::from(word(12)), 0);
        } else if self.body.starts_with(b"\x7fFLAC") {
            (self.codec, self.rate) = (Some("flac"), 0);
        }
    }

    fn present_ms(&self) -> u64 {
        milliseconds(self.position.saturating_sub(self.skipped), self.rate).unwrap_or(0)
    }

    pub(super) fn facts(&self) -> MediaFacts {
        let duration_ms = self.done_ms.saturating_add(self.present_ms());
        MediaFacts {
            duration_ms: (duration_ms > 0).then_some(duration_ms),
            codec: self.codec.map(str::to_owned),
            ..MediaFacts::default()
        }
    }
}
