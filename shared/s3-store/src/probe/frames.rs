//! MPEG audio and ADTS: frame after frame, each with its own header. The length is the sum of all frames.

use atelier_domain::asset::MediaFacts;

use super::keep;
use crate::sniff::{Frame, adts_frame, mpeg_frame};

/// An ID3v2 tag begins with ten bytes that say how long it is.
const ID3_HEADER_BYTES: usize = 10;
/// Enough of a frame to read its header.
const FRAME_HEADER_BYTES: usize = 7;
/// Where encoders leave a note in the first frame it ends before this.
const NOTE_BYTES: usize = 256;

#[derive(Debug)]
pub(super) struct Frames {
    read: fn(&[u8]) -> Option<Frame>,
    codec: &'static str,
    pending: Vec<u8>,
    skip_bytes: u64,
    is_at_start: bool,
    frames: u64,
    microseconds: u64,
    sample_rate: u32,
    samples: u32,
    first: Vec<u8>,
}

impl Frames {
    pub(super) fn mpeg() -> Self {
        Self::new(mpeg_frame, "mp3")
    }

    pub(super) fn adts() -> Self {
        Self::new(adts_frame, "aac")
    }

    fn new(read: fn(&[u8]) -> Option<Frame>, codec: &'static str) -> Self {
        let pending = Vec::with_capacity(ID3_HEADER_BYTES);
        Self {
            read,
            codec,
            pending,
            skip_bytes: 0,
            is_at_start: true,
            frames: 0,
            microseconds: 0,
            sample_rate: 0,
            samples: 0,
            first: Vec::new(),
        }
    }

    pub(super) fn feed(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.skip_bytes > 0 {
                let skipped = usize::try_from(self.skip_bytes).unwrap_or(usize::MAX).min(bytes.len());
                if self.frames == 1 {
                    keep(&mut self.first, bytes.get(..skipped).unwrap_or_default(), NOTE_BYTES);
                }
                self.skip_bytes -= skipped as u64;
                bytes = bytes.get(skipped..).unwrap_or_default();
                continue;
            }
            let wanted = if self.is_at_start { ID3_HEADER_BYTES } else { FRAME_HEADER_BYTES };
            let (taken, rest) = bytes.split_at(wanted.saturating_sub(self.pending.len()).min(bytes.len()));
            self.pending.extend_from_slice(taken);
            bytes = rest;
            if self.pending.len() >= wanted {
                self.step();
            }
        }
    }

    /// Looks at what begins here: a tag, a frame, or a byte that belongs to neither.
    fn step(&mut self) {
        let held = self.pending.len() as u64;
        if std::mem::take(&mut self.is_at_start)
            && let Some(length) = tag_bytes(&self.pending)
        {
            self.pending.clear();
            self.skip_bytes = length.saturating_sub(held);
            return;
        }
        match (self.read)(&self.pending) {
            Some(frame) => {
                self.frames += 1;
                if self.frames == 1 {
                    (self.sample_rate, self.samples) = (frame.sample_rate, frame.samples);
                }
                let micros = u64::from(frame.samples) * 1_000_000 / u64::from(frame.sample_rate.max(1));
                self.microseconds = self.microseconds.saturating_add(micros);
                let length = frame.length.max(1);
                if length >= self.pending.len() {
                    self.skip_bytes = (length - self.pending.len()) as u64;
                    self.pending.clear();
                } else {
                    self.pending.drain(..length);
                }
            }
            None => {
                self.pending.drain(..1);
            }
        }
    }

    pub(super) fn facts(&self) -> MediaFacts {
        let silent = u64::from(self.silent_samples()) * 1_000_000 / u64::from(self.sample_rate.max(1));
        let heard = self.microseconds.saturating_sub(silent);
        // A lone frame is as likely to be chance.
        let duration_ms = (self.frames > 1).then_some(heard.div_ceil(1000));
        MediaFacts { duration_ms, codec: Some(self.codec.to_owned()), ..MediaFacts::default() }
    }
}

impl Frames {
    /// An MP3's first frame may hold a note instead of sound (`Xing` or `Info`), and in it how many samples the encoder
    /// put before and behind the sound (the LAME tag: 12 bits each, 21 bytes behind its name).
    fn silent_samples(&self) -> u32 {
        let note = ["Xing", "Info"].iter().find_map(|name| {
            let at = self.first.windows(4).position(|window| window == name.as_bytes())?;
            self.first.get(at + 4..)
        });
        let Some(note) = note.filter(|_| self.codec == "mp3") else { return 0 };
        let flags = note.first_chunk::<4>().map_or(0, |bytes| u32::from_be_bytes(*bytes));
        let fields = [(1, 4), (2, 4), (4, 100), (8, 4)];
        let known: usize =
            fields.iter().filter(|(flag, _)| flags & flag != 0).map(|(_, length)| length).sum();
        let added = match note.get(4 + known + 21..4 + known + 24) {
            Some(&[first, second, third]) => {
                (u32::from(first) << 4 | u32::from(second) >> 4)
                    + (u32::from(second & 0xf) << 8 | u32::from(third))
            }
            _ => 0,
        };
        self.samples + added
    }
}

/// Length of an ID3v2 tag, its header included. Its four digits have seven bits each.
fn tag_bytes(head: &[u8]) -> Option<u64> {
    let rest = head.strip_prefix(b"ID3")?;
    let digits = rest.get(3..7)?;
    Some(ID3_HEADER_BYTES as u64 + digits.iter().fold(0, |sum, digit| sum << 7 | u64::from(digit & 0x7f)))
}
