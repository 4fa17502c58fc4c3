//! MPEG Layer III, mono, constant bit rate, written directly in the frequency domain.
//!
//! Each granule holds one to three spectral lines of magnitude one (a tone and two overtones), which the Huffman
//! table 1 can code; `global_gain` sets the loudness. The bit reservoir is not used, so every frame stands alone and
//! a file may be repeated frame by frame.

use std::time::Duration;

use super::audio::Tune;
use super::bits::BitWriter;

/// Spectral lines of a granule.
const LINES: usize = 576;
/// Loudness of a line; found by decoding: about a quarter of full scale.
const GAIN: u32 = 194;
/// Bit rates by index, in kbit/s: MPEG-1 and MPEG-2 Layer III.
const RATES_MPEG1: [u32; 15] = [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320];
const RATES_MPEG2: [u32; 15] = [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160];

pub(super) fn encode(tune: &Tune, duration: Duration, rate: u32, kilobits: u32) -> Vec<u8> {
    let version = if rate >= 32_000 { Version::Mpeg1 } else { Version::Mpeg2 };
    let granules = version.granules();
    let samples_per_frame = granules * LINES as u32;
    let frames = (duration.as_secs_f64() * f64::from(rate) / f64::from(samples_per_frame)).ceil() as u32;
    let mut file = Vec::new();
    let (mut owed, mut granule_number) = (0, 0);
    for _ in 0..frames {
        // A frame is a whole number of bytes; the fraction is saved up for a padding byte.
        let exact = samples_per_frame / 8 * kilobits * 1000;
        owed += exact % rate;
        let is_padded = owed >= rate;
        owed -= if is_padded { rate } else { 0 };
        let size = (exact / rate + u32::from(is_padded)) as usize;
        let spectra: Vec<Spectrum> = (0..granules)
            .map(|_| {
                let seconds = f64::from(granule_number * LINES as u32) / f64::from(rate);
                granule_number += 1;
                Spectrum::of(tune.at(seconds), rate, granule_number)
            })
            .collect();
        let mut bits = BitWriter::default();
        header(&mut bits, version, rate, kilobits, is_padded);
        side_information(&mut bits, version, &spectra);
        for spectrum in &spectra {
            spectrum.write(&mut bits);
        }
        let mut frame = bits.into_bytes();
        frame.resize(size, 0);
        file.extend(frame);
    }
    file
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Version {
    Mpeg1,
    Mpeg2,
}

impl Version {
    fn granules(self) -> u32 {
        match self {
            Self::Mpeg1 => 2,
            Self::Mpeg2 => 1,
        }
    }
}

fn header(bits: &mut BitWriter, version: Version, rate: u32, kilobits: u32, is_padded: bool) {
    let (version_bits, rates) = match version {
        Version::Mpeg1 => (0b11, RATES_MPEG1),
        Version::Mpeg2 => (0b10, RATES_MPEG2),
    };
    let rate_index = match rate {
        44_100 | 22_050 => 0,
        48_000 | 24_000 => 1,
        _ => 2,
    };
    bits.put(0x7ff, 11);
    bits.put(version_bits, 2);
    bits.put(0b01, 2); // layer III
    bits.put(1, 1); // no checksum
    bits.put((0_u32..).zip(rates).find(|(_, rate)| *rate == kilobits).map_or(9, |(index, _)| index), 4);
    bits.put(rate_index, 2);
    bits.put(u32::from(is_padded), 1);
    bits.put(0, 1);
    bits.put(0b11, 2); // mono
    bits.put(0b00_0100, 6); // mode extension 0, no copyright, original, no emphasis
}

fn side_information(bits: &mut BitWriter, version: Version, spectra: &[Spectrum]) {
    match version {
        Version::Mpeg1 => bits.put(0, 9 + 5 + 4), // main_data_begin, private bits, scale factor sharing
        Version::Mpeg2 => bits.put(0, 8 + 1),
    }
    for spectrum in spectra {
        bits.put(spectrum.size_bits(), 12);
        bits.put(spectrum.pairs(), 9);
        bits.put(GAIN, 8);
        match version {
            Version::Mpeg1 => bits.put(0, 4), // no scale factors
            Version::Mpeg2 => bits.put(0, 9),
        }
        bits.put(0, 1); // long blocks
        for _ in 0..3 {
            bits.put(1, 5); // Huffman table 1 in all regions
        }
        bits.put(0, 4 + 3);
        match version {
            Version::Mpeg1 => bits.put(0, 3),
            Version::Mpeg2 => bits.put(0, 2),
        }
    }
}

/// The lines of one granule, as values -1, 0 or 1.
struct Spectrum {
    lines: Vec<i8>,
}

impl Spectrum {
    /// A tone with two overtones; silence for `None`.
    fn of(pitch: Option<f64>, rate: u32, granule: u32) -> Self {
        let Some(pitch) = pitch else { return Self { lines: Vec::new() } };
        let line = (pitch * 2.0 * LINES as f64 / f64::from(rate)).round().max(1.0) as usize;
        let mut lines = vec![0; (line * 3 + 2) & !1];
        // A steady tone turns by a quarter a granule, half a turn more on every other line.
        for overtone in 1..=3 {
            if let Some(value) = lines.get_mut(line * overtone) {
                *value = if granule % 4 < 2 { 1 } else { -1 };
            }
        }
        Self { lines }
    }

    fn pairs(&self) -> u32 {
        (self.lines.len() / 2) as u32
    }

    fn size_bits(&self) -> u32 {
        self.codes().map(|(_, length)| length).sum()
    }

    fn write(&self, bits: &mut BitWriter) {
        for (code, length) in self.codes() {
            bits.put(code, length);
        }
    }

    /// Huffman table 1: the code of each pair of magnitudes, then a sign bit for each that is not zero.
    fn codes(&self) -> impl Iterator<Item = (u32, u32)> + '_ {
        self.lines.chunks_exact(2).map(|pair| {
            let (x, y) = (pair.first().copied().unwrap_or(0), pair.last().copied().unwrap_or(0));
            let sign = |value: i8| u32::from(value < 0);
            match (x != 0, y != 0) {
                (false, false) => (0b1, 1),
                (false, true) => (0b001 << 1 | sign(y), 4),
                (true, false) => (0b01 << 1 | sign(x), 3),
                (true, true) => (sign(x) << 1 | sign(y), 5),
            }
        })
    }
}
