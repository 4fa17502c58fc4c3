//! Speech: a tune with one tone a character, in every output format that ElevenLabs names.

use std::time::Duration;

use super::{mp3, ogg};

/// Characters spoken in a second.
const CHARACTERS_PER_SECOND: f64 = 15.0;
const SHORTEST_SECONDS: f64 = 1.0;
const AMPLITUDE: f64 = 8000.0;

/// An output format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SpeechFormat {
    Mp3 { rate: u32, kilobits: u32 },
    Opus,
    Pcm { rate: u32 },
    Wav { rate: u32 },
    Ulaw,
    Alaw,
}

impl SpeechFormat {
    /// Reads a name such as `mp3_44100_128`; `None` when the provider has no such format.
    pub(crate) fn named(name: &str) -> Option<Self> {
        let mut parts = name.split('_');
        let kind = parts.next()?;
        let mut number = || parts.next().map(str::parse::<u32>).and_then(Result::ok);
        let (rate, kilobits) = (number()?, number());
        if parts.next().is_some() {
            return None;
        }
        match (kind, rate, kilobits) {
            ("mp3", 22_050, Some(32))
            | ("mp3", 24_000, Some(48))
            | ("mp3", 44_100, Some(32 | 64 | 96 | 128 | 192)) => {
                Some(Self::Mp3 { rate, kilobits: kilobits? })
            }
            ("opus", 48_000, Some(32 | 64 | 96 | 128 | 192)) => Some(Self::Opus),
            ("pcm" | "wav", 8_000 | 16_000 | 22_050 | 24_000 | 32_000 | 44_100 | 48_000, None) => {
                Some(if kind == "pcm" { Self::Pcm { rate } } else { Self::Wav { rate } })
            }
            ("ulaw", 8_000, None) => Some(Self::Ulaw),
            ("alaw", 8_000, None) => Some(Self::Alaw),
            _ => None,
        }
    }

    pub(crate) fn extension(self) -> &'static str {
        match self {
            Self::Mp3 { .. } => "mp3",
            Self::Opus => "ogg",
            Self::Pcm { .. } => "pcm",
            Self::Wav { .. } => "wav",
            Self::Ulaw => "ulaw",
            Self::Alaw => "alaw",
        }
    }

    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::Mp3 { .. } => "audio/mpeg",
            Self::Opus => "audio/ogg",
            Self::Pcm { .. } => "audio/pcm",
            Self::Wav { .. } => "audio/wav",
            Self::Ulaw | Self::Alaw => "audio/basic",
        }
    }
}

/// How long a text is spoken.
pub(crate) fn speech_duration(text: &str) -> Duration {
    let seconds = text.chars().count() as f64 / CHARACTERS_PER_SECOND;
    Duration::from_secs_f64(seconds.max(SHORTEST_SECONDS))
}

pub(crate) fn encode(text: &str, format: SpeechFormat) -> Vec<u8> {
    let duration = speech_duration(text);
    let tune = Tune { pitches: text.chars().map(pitch).collect() };
    match format {
        SpeechFormat::Mp3 { rate, kilobits } => mp3::encode(&tune, duration, rate, kilobits),
        SpeechFormat::Opus => ogg::silence(duration),
        SpeechFormat::Pcm { rate } => linear(&tune, duration, rate).flat_map(i16::to_le_bytes).collect(),
        SpeechFormat::Wav { rate } => {
            let data: Vec<u8> = linear(&tune, duration, rate).flat_map(i16::to_le_bytes).collect();
            let mut file = wav_header(rate, data.len() as u64);
            file.extend(data);
            file
        }
        SpeechFormat::Ulaw => linear(&tune, duration, 8_000).map(ulaw).collect(),
        SpeechFormat::Alaw => linear(&tune, duration, 8_000).map(alaw).collect(),
    }
}

/// The 44 bytes before mono 16 bit samples.
pub(crate) fn wav_header(rate: u32, data_bytes: u64) -> Vec<u8> {
    let data = u32::try_from(data_bytes).unwrap_or(u32::MAX);
    let mut header = b"RIFF".to_vec();
    header.extend(data.saturating_add(36).to_le_bytes());
    header.extend(b"WAVEfmt ");
    header.extend(16_u32.to_le_bytes());
    header.extend([1, 0, 1, 0]);
    header.extend(rate.to_le_bytes());
    header.extend((rate * 2).to_le_bytes());
    header.extend([2, 0, 16, 0]);
    header.extend(b"data");
    header.extend(data.to_le_bytes());
    header
}

/// One pitch a character; `None` is a rest.
pub(super) struct Tune {
    pitches: Vec<Option<f64>>,
}

impl Tune {
    /// The pitch in Hz at a time.
    pub(super) fn at(&self, seconds: f64) -> Option<f64> {
        self.pitches.get((seconds * CHARACTERS_PER_SECOND) as usize).copied().flatten()
    }
}

/// Letters and digits sound, from 220 Hz up in half tones; blanks and signs are rests.
fn pitch(character: char) -> Option<f64> {
    let step = u32::from(character) * 7 % 24;
    character.is_alphanumeric().then(|| 220.0 * 2_f64.powf(f64::from(step) / 12.0))
}

fn linear(tune: &Tune, duration: Duration, rate: u32) -> impl Iterator<Item = i16> + '_ {
    let samples = (duration.as_secs_f64() * f64::from(rate)) as u64;
    let mut phase = 0.0;
    (0..samples).map(move |index| {
        let seconds = index as f64 / f64::from(rate);
        let Some(frequency) = tune.at(seconds) else { return 0 };
        phase = (phase + frequency / f64::from(rate)) % 1.0;
        // Each tone swells and fades, so that there are no clicks.
        let envelope = (std::f64::consts::PI * (seconds * CHARACTERS_PER_SECOND).fract()).sin();
        (AMPLITUDE * envelope * (std::f64::consts::TAU * phase).sin()) as i16
    })
}

/// ITU-T G.711 mu-law.
fn ulaw(sample: i16) -> u8 {
    let sign = if sample < 0 { 0x80 } else { 0 };
    let magnitude = i32::from(sample).abs().min(32_635) + 132;
    let exponent = (24 - magnitude.leading_zeros() as i32).clamp(0, 7);
    let mantissa = magnitude >> (exponent + 3) & 15;
    !(sign | (exponent << 4) as u8 | mantissa as u8)
}

/// ITU-T G.711 A-law.
fn alaw(sample: i16) -> u8 {
    let sign = if sample >= 0 { 0x80 } else { 0 };
    let magnitude = i32::from(sample).abs().min(32_767) >> 3;
    let exponent = (27 - (magnitude | 1).leading_zeros() as i32).clamp(0, 7);
    let mantissa = magnitude >> exponent.max(1) & 15;
    (sign | (exponent << 4) as u8 | mantissa as u8) ^ 0x55
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_providers_formats_are_known_and_no_others() {
        for name in [
            "mp3_22050_32",
            "mp3_44100_192",
            "opus_48000_96",
            "pcm_16000",
            "wav_48000",
            "ulaw_8000",
            "alaw_8000",
        ] {
            assert!(SpeechFormat::named(name).is_some(), "{name}");
        }
        for name in ["mp3", "mp3_44100", "mp3_44100_320", "pcm_12000", "wav_44100_2", "flac_44100", ""] {
            assert!(SpeechFormat::named(name).is_none(), "{name}");
        }
    }

    #[test]
    fn length_follows_the_text() {
        assert_eq!(speech_duration("hi"), Duration::from_secs(1));
        assert_eq!(speech_duration(&"x".repeat(150)), Duration::from_secs(10));
        assert_eq!(encode(&"x".repeat(150), SpeechFormat::Pcm { rate: 16_000 }).len(), 320_000);
    }

    #[test]
    fn companded_silence_and_extremes_are_the_standard_codes() {
        assert_eq!([ulaw(0), ulaw(32_767), ulaw(-32_768)], [0xff, 0x80, 0x00]);
        assert_eq!([alaw(0), alaw(32_767), alaw(-32_768)], [0xd5, 0xaa, 0x2a]);
    }
}
