//! AAC-LC in ADTS frames, mono at 22,050 Hz, written directly in the frequency domain as the MP3 is.
//!
//! Each frame holds one spectral line of magnitude one, which the spectral codebook 1 can code; the rest of a frame's
//! share of the bit rate is fill. Every frame stands alone, so a file may be repeated frame by frame.

use std::time::Duration;

use super::audio::Tune;
use super::bits::BitWriter;

const RATE: u32 = 22_050;
/// The rate's index in the frame header.
const RATE_INDEX: u32 = 7;
/// Samples of a frame, and spectral lines.
const LINES: u32 = 1024;
/// The bands that are coded: sixteen of them end at line 84, which is above the highest pitch.
const BANDS: u32 = 16;
const CODED_LINES: usize = 84;
/// Loudness of a line; found by decoding: about a quarter of full scale.
const GAIN: u32 = 190;
const HEADER_BYTES: u32 = 7;
/// Bytes of the longest piece of fill, and of the longest with a short count.
const LONGEST_FILL: u32 = 269;
const LONGEST_SHORT_FILL: u32 = 14;

pub(super) fn encode(tune: &Tune, duration: Duration, bits_per_second: u32) -> Vec<u8> {
    let frames = (duration.as_secs_f64() * f64::from(RATE) / f64::from(LINES)).ceil() as u32;
    let mut file = Vec::new();
    let mut owed = 0;
    for frame in 0..frames {
        // A frame is a whole number of bytes; the fraction is saved up for another one.
        owed += u64::from(bits_per_second) * u64::from(LINES);
        let unit = u64::from(RATE) * 8;
        let size = u32::try_from(owed / unit).unwrap_or(u32::MAX);
        owed %= unit;
        let seconds = f64::from(frame * LINES) / f64::from(RATE);
        file.extend(adts_frame(tune.at(seconds), frame, size));
    }
    file
}

fn adts_frame(pitch: Option<f64>, number: u32, size: u32) -> Vec<u8> {
    let mut content = BitWriter::default();
    single_channel(&mut content, pitch, number);
    let room = size.saturating_sub(HEADER_BYTES) * 8;
    fill(&mut content, room);
    content.put(7, 3); // end
    let content = content.into_bytes();

    let mut header = BitWriter::default();
    header.put(0xfff, 12);
    header.put(0b0001, 4); // MPEG-4, no checksum
    header.put(0b01, 2); // low complexity
    header.put(RATE_INDEX, 4);
    header.put(0, 1);
    header.put(1, 3); // mono
    header.put(0, 4);
    header.put(HEADER_BYTES + content.len() as u32, 13);
    header.put(0x7ff, 11); // the buffer's fullness is not told
    header.put(0, 2); // one block
    let mut frame = header.into_bytes();
    frame.extend(content);
    frame
}

fn single_channel(bits: &mut BitWriter, pitch: Option<f64>, number: u32) {
    bits.put(0, 3 + 4); // single channel, tag 0
    bits.put(GAIN, 8);
    bits.put(0, 1 + 2 + 1); // long window, sine shape
    let line = pitch.map(|pitch| (pitch * 2.0 * f64::from(LINES) / f64::from(RATE)).round() as usize);
    bits.put(if line.is_some() { BANDS } else { 0 }, 6);
    bits.put(0, 1); // no prediction
    if line.is_some() {
        bits.put(1, 4); // codebook 1 for all bands
        bits.put(BANDS, 5);
        bits.put(0, BANDS); // each as loud as the one before
    }
    bits.put(0, 3); // no pulses, no noise shaping, no gain control
    let Some(line) = line else { return };
    // A steady tone turns by a quarter a frame.
    let is_negative = number % 4 >= 2;
    for start in (0..CODED_LINES).step_by(4) {
        let (code, length) = match line.checked_sub(start) {
            Some(place @ 0..4) => (code(place, is_negative), 5),
            _ => (0, 1),
        };
        bits.put(code, length);
    }
}

/// Codebook 1: one line of four, of magnitude one.
fn code(place: usize, is_negative: bool) -> u32 {
    match (place, is_negative) {
        (0, true) => 0x11,
        (0, false) => 0x10,
        (1, true) => 0x17,
        (1, false) => 0x13,
        (2, true) => 0x15,
        (2, false) => 0x16,
        (_, true) => 0x12,
        (_, false) => 0x14,
    }
}

/// Fills up until the end mark and less than a byte are left of `room`.
fn fill(bits: &mut BitWriter, room: u32) {
    let mut left = room.saturating_sub(bits.length_bits() + 3);
    while left >= 7 {
        let long = left.checked_sub(15).map(|bits| bits / 8).filter(|count| *count > LONGEST_SHORT_FILL);
        let count = match long {
            Some(count) => count.min(LONGEST_FILL),
            None => ((left - 7) / 8).min(LONGEST_SHORT_FILL),
        };
        bits.put(6, 3);
        match count.checked_sub(LONGEST_SHORT_FILL).filter(|more| *more > 0) {
            Some(more) => {
                bits.put(15, 4);
                bits.put(more, 8);
            }
            None => bits.put(count, 4),
        }
        for _ in 0..count {
            bits.put(0, 8);
        }
        left -= if count > LONGEST_SHORT_FILL { 15 } else { 7 } + count * 8;
    }
}
