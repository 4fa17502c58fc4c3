//! What a recording is: its length, its channels, and whether it holds anything but silence. Nothing is decoded.

use super::audio::Coding;

/// MPEG bit rates by index, in kbit/s, for layer III: MPEG-1, then MPEG-2 and 2.5.
const RATES_MPEG1: [u32; 15] = [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320];
const RATES_MPEG2: [u32; 15] = [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160];
/// AAC sample rates by index.
const RATES_AAC: [u32; 13] =
    [96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350];

/// Facts of a recording.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Sound {
    pub(crate) seconds: f64,
    pub(crate) channels: u32,
    /// Every sample is the same. Only samples that are not compressed are looked at.
    pub(crate) is_silent: bool,
}

impl Sound {
    /// Reads WAV, MP3, AAC in ADTS frames, FLAC, Ogg with Opus or Vorbis, and MP4. `None` for anything else.
    pub(crate) fn of(file: &[u8]) -> Option<Self> {
        match file {
            [b'R', b'I', b'F', b'F', ..] => of_wav(file),
            [b'O', b'g', b'g', b'S', ..] => of_ogg(file),
            [b'f', b'L', b'a', b'C', ..] => of_flac(file),
            [_, _, _, _, b'f', b't', b'y', b'p', ..] => of_mp4(file),
            _ => of_frames(file),
        }
    }

    /// Samples without a header.
    pub(crate) fn raw(samples: &[u8], coding: Coding, rate: u32, channels: u32) -> Self {
        let bytes_per_second = f64::from(rate.max(1) * coding.sample_bytes() * channels.max(1));
        Self { seconds: samples.len() as f64 / bytes_per_second, channels, is_silent: is_constant(samples) }
    }
}

fn is_constant(bytes: &[u8]) -> bool {
    bytes.first().is_none_or(|first| bytes.iter().all(|byte| byte == first))
}

fn of_wav(file: &[u8]) -> Option<Sound> {
    let (mut rest, mut format) = (file.get(12..).filter(|_| file.get(8..12) == Some(b"WAVE"))?, None);
    loop {
        let (name, size) = (rest.get(..4)?, little(rest, 4, 4)? as usize);
        let content = rest.get(8..)?;
        // A length may be a promise that was not kept, as in a file that was streamed or cut.
        let content_bytes = content.get(..size).unwrap_or(content);
        match (name, format) {
            (b"fmt ", _) => {
                let channels = u32::try_from(little(content, 2, 2)?).ok()?;
                format = Some((channels, little(content, 8, 4)?));
            }
            (b"data", Some((channels, bytes_per_second))) if bytes_per_second > 0 && channels > 0 => {
                let seconds = content_bytes.len() as f64 / bytes_per_second as f64;
                return Some(Sound { seconds, channels, is_silent: is_constant(content_bytes) });
            }
            _ => {}
        }
        rest = content.get(size + size % 2..)?;
    }
}

fn of_ogg(file: &[u8]) -> Option<Sound> {
    let first_packet = file.get(28..)?;
    let (channels, rate, skipped) = if first_packet.starts_with(b"OpusHead") {
        (u32::from(*first_packet.get(9)?), 48_000, little(first_packet, 10, 2)?)
    } else if first_packet.starts_with(b"\x01vorbis") {
        (u32::from(*first_packet.get(11)?), little(first_packet, 12, 4)?, 0)
    } else {
        return None;
    };
    let (mut rest, mut samples, mut finished) = (file, 0, 0);
    while let Some(position) = rest.starts_with(b"OggS").then(|| little(rest, 6, 8)).flatten() {
        // A second stream behind the first counts from zero again.
        if rest.get(5).is_some_and(|flags| flags & 2 != 0) {
            finished += samples;
            samples = 0;
        }
        if position != u64::MAX {
            samples = position;
        }
        let pieces = usize::from(*rest.get(26)?);
        let size: usize = rest.get(27..27 + pieces)?.iter().map(|piece| usize::from(*piece)).sum();
        rest = rest.get(27 + pieces + size..).unwrap_or_default();
    }
    let samples = (finished + samples).saturating_sub(skipped);
    (rate > 0).then_some(Sound { seconds: samples as f64 / rate as f64, channels, is_silent: false })
}

fn of_flac(file: &[u8]) -> Option<Sound> {
    let facts = big(file, 18, 8)?;
    let rate = facts >> 44;
    let channels = u32::try_from(facts >> 41 & 7).ok()? + 1;
    let samples = facts & 0xf_ffff_ffff;
    (rate > 0).then_some(Sound { seconds: samples as f64 / rate as f64, channels, is_silent: false })
}

/// The movie's own length; the sound is taken to have two channels.
fn of_mp4(file: &[u8]) -> Option<Sound> {
    let movie = atom(file, b"moov")?;
    let header = atom(movie, b"mvhd")?;
    let (scale, length) = match header.first()? {
        0 => (big(header, 12, 4)?, big(header, 16, 4)?),
        _ => (big(header, 20, 4)?, big(header, 24, 8)?),
    };
    (scale > 0).then_some(Sound { seconds: length as f64 / scale as f64, channels: 2, is_silent: false })
}

fn atom<'a>(mut atoms: &'a [u8], name: &[u8; 4]) -> Option<&'a [u8]> {
    loop {
        let (head, size) = match big(atoms, 0, 4)? {
            0 => (8, atoms.len()),
            1 => (16, usize::try_from(big(atoms, 8, 8)?).ok()?),
            size => (8, usize::try_from(size).ok()?),
        };
        if atoms.get(4..8)? == name {
            return atoms.get(head..size);
        }
        atoms = atoms.get(size.max(head)..)?;
    }
}

/// Frames of MPEG audio, after a tag if there is one. Two of them must follow each other, or one be the whole file.
fn of_frames(file: &[u8]) -> Option<Sound> {
    let tag = match file {
        [b'I', b'D', b'3', _, _, _, a, b, c, d, ..] => {
            let size = [a, b, c, d].iter().fold(0_usize, |size, byte| size << 7 | usize::from(**byte));
            10 + size
        }
        _ => 0,
    };
    let mut rest = file.get(tag..)?;
    let (mut seconds, mut frames, mut channels) = (0.0, 0, 0);
    while let Some(frame) = Frame::at(rest)
        && let Some(after) = rest.get(frame.size..)
    {
        seconds += f64::from(frame.samples) / f64::from(frame.rate);
        (frames, channels) = (frames + 1, frame.channels);
        rest = after;
    }
    (frames > 1 || frames == 1 && rest.is_empty()).then_some(Sound { seconds, channels, is_silent: false })
}

struct Frame {
    size: usize,
    samples: u32,
    rate: u32,
    channels: u32,
}

impl Frame {
    fn at(bytes: &[u8]) -> Option<Self> {
        let head = big(bytes, 0, 4)? as u32;
        if head >> 21 != 0x7ff {
            return None;
        }
        let (version, layer) = (head >> 19 & 3, head >> 17 & 3);
        match layer {
            0 => Self::aac(head, bytes),
            1 => Self::mp3(head, version),
            _ => None,
        }
    }

    fn mp3(head: u32, version: u32) -> Option<Self> {
        let (rates, samples, divisor) = match version {
            3 => (RATES_MPEG1, 1152, 1),
            2 => (RATES_MPEG2, 576, 2),
            0 => (RATES_MPEG2, 576, 4),
            _ => return None,
        };
        let kilobits = rates.get((head >> 12 & 15) as usize).copied().filter(|rate| *rate > 0)?;
        let rate = [44_100, 48_000, 32_000].get((head >> 10 & 3) as usize)? / divisor;
        let size = samples / 8 * kilobits * 1000 / rate + (head >> 9 & 1);
        let channels = if head >> 6 & 3 == 3 { 1 } else { 2 };
        Some(Self { size: size as usize, samples, rate, channels })
    }

    fn aac(head: u32, bytes: &[u8]) -> Option<Self> {
        let rate = *RATES_AAC.get((head >> 10 & 15) as usize)?;
        let size = usize::try_from(big(bytes, 3, 3)? >> 5 & 0x1fff).ok().filter(|size| *size >= 7)?;
        Some(Self { size, samples: 1024, rate, channels: (head >> 6 & 7).max(1) })
    }
}

fn big(bytes: &[u8], start: usize, length: usize) -> Option<u64> {
    let bytes = bytes.get(start..start.checked_add(length)?)?;
    Some(bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

fn little(bytes: &[u8], start: usize, length: usize) -> Option<u64> {
    let bytes = bytes.get(start..start.checked_add(length)?)?;
    Some(bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::super::{MediaSpec, Speech, SpeechFormat};
    use super::*;

    /// Ten seconds in every format that has a header.
    fn formats() -> [SpeechFormat; 8] {
        [
            SpeechFormat::Mp3 { rate: 44_100, kilobits: 128 },
            SpeechFormat::Mp3 { rate: 22_050, kilobits: 32 },
            SpeechFormat::Aac { bits_per_second: 48_000 },
            SpeechFormat::Aac { bits_per_second: 4_000 },
            SpeechFormat::Opus,
            SpeechFormat::Flac { rate: 16_000 },
            SpeechFormat::Wav { coding: Coding::Linear16, rate: 24_000 },
            SpeechFormat::Wav { coding: Coding::Alaw, rate: 8_000 },
        ]
    }

    #[test]
    fn the_length_of_our_own_speech_is_read() {
        for format in formats() {
            let spec = MediaSpec::Speech(Box::new(Speech::new("x".repeat(150), format)));
            let sound = Sound::of(&spec.render()).unwrap_or_else(|| panic!("{format:?} is not read"));
            // Formats of frames end with a whole frame.
            assert!((10.0..10.06).contains(&sound.seconds), "{format:?}: {sound:?}");
            assert_eq!((sound.channels, sound.is_silent), (1, false), "{format:?}");
        }
    }

    #[test]
    fn files_that_were_blown_up_are_still_read() {
        for format in formats() {
            let spec = MediaSpec::Speech(Box::new(Speech::new("x".repeat(150), format)));
            let file = spec.file(spec.render(), Some(2_000_000));
            let bytes: Vec<u8> = file
                .segments
                .iter()
                .flat_map(|segment| segment.bytes.repeat(segment.repeat as usize))
                .collect();
            let sound = Sound::of(&bytes).unwrap_or_else(|| panic!("{format:?} is not read"));
            assert!(sound.seconds >= 10.0, "{format:?}: {sound:?}");
        }
    }

    #[test]
    fn a_video_has_its_length() {
        let prompt = "a walk".to_owned();
        let spec = MediaSpec::Video { prompt, width: 64, height: 64, frames: 48, frames_per_second: 24 };
        assert_eq!(Sound::of(&spec.render()).map(|sound| sound.seconds), Some(2.0));
    }

    #[test]
    fn silence_is_heard_where_samples_are_plain() {
        let quiet = Sound::raw(&[0; 32_000], Coding::Linear16, 16_000, 1);
        assert_eq!(quiet, Sound { seconds: 1.0, channels: 1, is_silent: true });
        let file = super::super::audio::wav_header(Coding::Linear16, 16_000, 32_000);
        let file: Vec<u8> = file.into_iter().chain([0; 32_000]).collect();
        assert_eq!(Sound::of(&file), Some(quiet));
    }

    #[test]
    fn what_is_no_recording_is_not_taken_for_one() {
        for file in
            [b"".as_slice(), b"<html>", b"RIFF", b"OggS", b"fLaC", b"\xff\xfb\x90\xc4", b"\x89PNG\r\n\x1a\n"]
        {
            assert_eq!(Sound::of(file), None, "{file:?}");
        }
    }
}
