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
    /// Whether something whole ended just before `pending`.
    is_in_step: bool,
    /// Whether the bytes to skip are those of the first frame.
    is_note: bool,
    note: Vec<u8>,
    frames: u64,
    first: Option<Frame>,
    /// Samples at the present rate, and the time of all before them.
    samples: u64,
    sample_rate: u32,
    done_us: u64,
}

impl Frames {
    pub(super) fn mpeg() -> Self {
        Self::new(mpeg_frame, "mp3")
    }

    pub(super) fn adts() -> Self {
        Self::new(adts_frame, "aac")
    }

    fn new(read: fn(&[u8]) -> Option<Frame>, codec: &'static str) -> Self {
        Self {
            read,
            codec,
            pending: Vec::with_capacity(ID3_HEADER_BYTES),
            skip_bytes: 0,
            is_in_step: true,
            is_note: false,
            note: Vec::new(),
            frames: 0,
            first: None,
            samples: 0,
            sample_rate: 0,
            done_us: 0,
        }
    }

    pub(super) fn feed(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.skip_bytes > 0 {
                let length = usize::try_from(self.skip_bytes).unwrap_or(usize::MAX).min(bytes.len());
                let (skipped, rest) = bytes.split_at(length);
                if self.is_note {
                    keep(&mut self.note, skipped, NOTE_BYTES);
                }
                self.skip_bytes -= skipped.len() as u64;
                bytes = rest;
                continue;
            }
            if self.pending.is_empty() && !self.is_in_step {
                let next = bytes.iter().position(|byte| *byte == 0xff).unwrap_or(bytes.len());
                bytes = bytes.get(next..).unwrap_or_default();
            }
            let wanted = self.wanted_bytes().saturating_sub(self.pending.len());
            let (taken, rest) = bytes.split_at(wanted.min(bytes.len()));
            self.pending.extend_from_slice(taken);
            bytes = rest;
            if self.pending.len() >= self.wanted_bytes() {
                self.step();
            }
        }
    }

    fn wanted_bytes(&self) -> usize {
        if self.is_tag() { ID3_HEADER_BYTES } else { FRAME_HEADER_BYTES }
    }

    /// A tag may come between frames where files were put together.
    fn is_tag(&self) -> bool {
        self.is_in_step && self.pending.starts_with(b"ID3")
    }

    /// Looks at what begins here: a tag, a frame, or a byte that belongs to neither.
    fn step(&mut self) {
        self.is_note = false;
        let frame = (self.read)(&self.pending).filter(|frame| {
            // What looks like a frame amid other bytes counts only when it is one of the same stream.
            self.is_in_step || self.first.is_none_or(|first| first.sample_rate == frame.sample_rate)
        });
        if self.is_tag() {
            self.pass(tag_bytes(&self.pending));
        } else if let Some(frame) = frame {
            self.count(frame);
            self.is_note = self.frames == 1;
            self.is_in_step = true;
            self.pass(frame.length);
        } else {
            self.is_in_step = false;
            let others = self.pending.iter().skip(1);
            let next = others.take_while(|byte| **byte != 0xff).count() + 1;
            self.pending.drain(..next);
        }
    }

    /// Goes on behind the next so many bytes, at least one.
    fn pass(&mut self, length: usize) {
        let held = length.clamp(1, self.pending.len().max(1));
        self.skip_bytes = length.saturating_sub(held) as u64;
        self.pending.drain(..held.min(self.pending.len()));
    }

    fn count(&mut self, frame: Frame) {
        if frame.sample_rate != self.sample_rate {
            self.done_us = self.done_us.saturating_add(microseconds(self.samples, self.sample_rate));
            (self.samples, self.sample_rate) = (0, frame.sample_rate);
        }
        self.frames += 1;
        self.samples = self.samples.saturating_add(u64::from(frame.samples));
        self.first.get_or_insert(frame);
    }

    pub(super) fn facts(&self) -> MediaFacts {
        let heard = self.done_us.saturating_add(microseconds(self.samples, self.sample_rate));
        let heard = heard.saturating_sub(self.silence_us());
        // A lone frame is as likely to be chance.
        let duration_ms = (self.frames > 1).then_some(heard.div_ceil(1000));
        MediaFacts { duration_ms, codec: Some(self.codec.to_owned()), ..MediaFacts::default() }
    }

    /// An MP3's first frame may hold a note instead of sound: `VBRI`, or `Xing` and `Info`, and in these how many samples
    /// the encoder put before and behind the sound (the LAME tag: 12 bits each, 21 bytes behind its name).
    fn silence_us(&self) -> u64 {
        let Some(first) = self.first.filter(|_| self.codec == "mp3") else { return 0 };
        let behind = |name: &[u8; 4]| {
            let at = self.note.windows(4).position(|window| window == name)?;
            self.note.get(at + 4..)
        };
        let added = match behind(b"Xing").or_else(|| behind(b"Info")) {
            Some(note) => added_samples(note),
            None if behind(b"VBRI").is_some() => 0,
            None => return 0,
        };
        microseconds(u64::from(first.samples + added), first.sample_rate)
    }
}

fn added_samples(note: &[u8]) -> u32 {
    let flags = note.first_chunk::<4>().map_or(0, |bytes| u32::from_be_bytes(*bytes));
    let fields = [(1, 4), (2, 4), (4, 100), (8, 4)];
    let known: usize = fields.iter().filter(|(flag, _)| flags & flag != 0).map(|(_, length)| length).sum();
    match note.get(4 + known + 21..4 + known + 24) {
        Some(&[first, second, third]) => {
            let before = u32::from(first) << 4 | u32::from(second) >> 4;
            before + (u32::from(second & 0xf) << 8 | u32::from(third))
        }
        _ => 0,
    }
}

fn microseconds(samples: u64, sample_rate: u32) -> u64 {
    let micros = u128::from(samples) * 1_000_000 / u128::from(sample_rate.max(1));
    u64::try_from(micros).unwrap_or(u64::MAX)
}

/// Length of an ID3v2 tag, its header included. Its four digits have seven bits each.
fn tag_bytes(head: &[u8]) -> usize {
    let digits = head.get(6..ID3_HEADER_BYTES).unwrap_or_default();
    ID3_HEADER_BYTES + digits.iter().fold(0, |sum, digit| sum << 7 | usize::from(digit & 0x7f))
}

#[cfg(test)]
mod tests {
    use crate::probe::tests::facts;

    /// Frames of 417 bytes and 1152 samples at 44.1 kHz.
    fn frames(count: usize) -> Vec<u8> {
        let mut frame = vec![0u8; 417];
        frame[..4].copy_from_slice(b"\xff\xfb\x90\x64");
        frame.repeat(count)
    }

    fn length_of(bytes: &[u8]) -> Option<u64> {
        facts("audio/mpeg", bytes).duration_ms
    }

    #[test]
    fn a_long_file_is_counted_to_the_sample() {
        // An hour: 137,813 frames of 1152/44,100 s.
        let mut all = super::Frames::mpeg();
        let thousand = frames(1_000);
        (0..137).for_each(|_| all.feed(&thousand));
        all.feed(&frames(813));
        assert_eq!(all.facts().duration_ms, Some(3_600_014));
    }

    #[test]
    fn tags_and_rubbish_between_frames_are_no_sound() {
        let plain = length_of(&frames(20));
        // A picture in a tag looks like frames of its own.
        let tag = [b"ID3\x04\0\0\0\0\x06\x42", &frames(2)[..]].concat();
        let joined = [&tag, &frames(10)[..], &tag, &frames(10)].concat();
        assert_eq!(length_of(&joined), plain);
        let rubbish = [&frames(10)[..], &[0x55; 5_000], &frames(10)].concat();
        assert_eq!(length_of(&rubbish), plain);
        let other_rate = [&frames(20)[..], b"....\xff\xf3\x64\xc4....\xff\xf3\x64\xc4"].concat();
        assert_eq!(length_of(&other_rate), plain);
    }

    #[test]
    fn a_frame_that_holds_a_note_is_no_sound() {
        let mut noted = frames(20);
        noted[36..40].copy_from_slice(b"VBRI");
        assert_eq!(length_of(&noted), length_of(&frames(19)));
    }

    #[test]
    fn a_tag_that_is_longer_than_the_file_leaves_nothing() {
        assert_eq!(length_of(&[b"ID3\x04\0\0\x7f\x7f\x7f\x7f", &frames(3)[..]].concat()), None);
    }
}
