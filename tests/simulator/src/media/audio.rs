//! Speech: a tune with one tone a character, in every output format that ElevenLabs and Deepgram name.

use std::time::Duration;

use super::{aac, flac, mp3, ogg};

/// Characters spoken in a second at normal speed.
const CHARACTERS_PER_SECOND: f64 = 15.0;
const SHORTEST_SECONDS: f64 = 1.0;
const AMPLITUDE: f64 = 8000.0;

/// A spoken text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Speech {
    pub(crate) text: String,
    pub(crate) format: SpeechFormat,
    /// The provider's word for the format.
    pub(crate) content_type: &'static str,
    /// 100 is normal.
    pub(crate) speed_percent: u32,
}

impl Speech {
    /// At normal speed, under the format's usual content type.
    pub(crate) fn new(text: impl Into<String>, format: SpeechFormat) -> Self {
        Self { text: text.into(), format, content_type: format.content_type(), speed_percent: 100 }
    }

    /// How long it is.
    pub(crate) fn duration(&self) -> Duration {
        let seconds = self.text.chars().count() as f64 / self.characters_per_second();
        Duration::from_secs_f64(seconds.max(SHORTEST_SECONDS))
    }

    fn characters_per_second(&self) -> f64 {
        CHARACTERS_PER_SECOND * f64::from(self.speed_percent.max(1)) / 100.0
    }
}

/// When the character at `index` of a text begins, in seconds, if its recording is this long.
pub(crate) fn character_start(index: usize, characters: usize, seconds: f64) -> f64 {
    let shortest = (SHORTEST_SECONDS * CHARACTERS_PER_SECOND) as usize;
    index as f64 * seconds / characters.max(shortest) as f64
}

/// An output format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SpeechFormat {
    Mp3 {
        rate: u32,
        kilobits: u32,
    },
    /// AAC-LC in ADTS frames at 22,050 Hz.
    Aac {
        bits_per_second: u32,
    },
    Opus,
    Flac {
        rate: u32,
    },
    /// Samples without a header.
    Raw {
        coding: Coding,
        rate: u32,
    },
    Wav {
        coding: Coding,
        rate: u32,
    },
}

/// How a sample is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Coding {
    Linear16,
    Ulaw,
    Alaw,
}

impl Coding {
    pub(crate) fn sample_bytes(self) -> u32 {
        match self {
            Self::Linear16 => 2,
            Self::Ulaw | Self::Alaw => 1,
        }
    }

    fn encode(self, samples: impl Iterator<Item = i16>) -> Vec<u8> {
        match self {
            Self::Linear16 => samples.flat_map(i16::to_le_bytes).collect(),
            Self::Ulaw => samples.map(ulaw).collect(),
            Self::Alaw => samples.map(alaw).collect(),
        }
    }
}

impl SpeechFormat {
    /// Reads a name of ElevenLabs such as `mp3_44100_128`; `None` when the provider has no such format.
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
                let coding = Coding::Linear16;
                Some(if kind == "pcm" { Self::Raw { coding, rate } } else { Self::Wav { coding, rate } })
            }
            ("ulaw", 8_000, None) => Some(Self::Raw { coding: Coding::Ulaw, rate }),
            ("alaw", 8_000, None) => Some(Self::Raw { coding: Coding::Alaw, rate }),
            _ => None,
        }
    }

    pub(crate) fn extension(self) -> &'static str {
        match self {
            Self::Mp3 { .. } => "mp3",
            Self::Aac { .. } => "aac",
            Self::Opus => "ogg",
            Self::Flac { .. } => "flac",
            Self::Raw { coding: Coding::Linear16, .. } => "pcm",
            Self::Raw { coding: Coding::Ulaw, .. } => "ulaw",
            Self::Raw { coding: Coding::Alaw, .. } => "alaw",
            Self::Wav { .. } => "wav",
        }
    }

    fn content_type(self) -> &'static str {
        match self {
            Self::Mp3 { .. } => "audio/mpeg",
            Self::Aac { .. } => "audio/aac",
            Self::Opus => "audio/ogg",
            Self::Flac { .. } => "audio/flac",
            Self::Raw { coding: Coding::Linear16, .. } => "audio/pcm",
            Self::Raw { coding: Coding::Ulaw | Coding::Alaw, .. } => "audio/basic",
            Self::Wav { .. } => "audio/wav",
        }
    }
}

pub(crate) fn encode(speech: &Speech) -> Vec<u8> {
    let duration = speech.duration();
    let tune = Tune {
        pitches: speech.text.chars().map(pitch).collect(),
        characters_per_second: speech.characters_per_second(),
    };
    match speech.format {
        SpeechFormat::Mp3 { rate, kilobits } => mp3::encode(&tune, duration, rate, kilobits),
        SpeechFormat::Aac { bits_per_second } => aac::encode(&tune, duration, bits_per_second),
        SpeechFormat::Opus => ogg::silence(duration),
        SpeechFormat::Flac { rate } => {
            let samples: Vec<i16> = linear(&tune, duration, rate).collect();
            flac::encode(&samples, rate)
        }
        SpeechFormat::Raw { coding, rate } => coding.encode(linear(&tune, duration, rate)),
        SpeechFormat::Wav { coding, rate } => {
            let data = coding.encode(linear(&tune, duration, rate));
            let mut file = wav_header(coding, rate, data.len() as u64);
            file.extend(data);
            file
        }
    }
}

/// The 44 bytes before mono samples.
pub(crate) fn wav_header(coding: Coding, rate: u32, data_bytes: u64) -> Vec<u8> {
    let data = u32::try_from(data_bytes).unwrap_or(u32::MAX);
    let (tag, sample_bytes): (u16, u16) = match coding {
        Coding::Linear16 => (1, 2),
        Coding::Alaw => (6, 1),
        Coding::Ulaw => (7, 1),
    };
    let mut header = b"RIFF".to_vec();
    header.extend(data.saturating_add(36).to_le_bytes());
    header.extend(b"WAVEfmt ");
    header.extend(16_u32.to_le_bytes());
    header.extend(tag.to_le_bytes());
    header.extend(1_u16.to_le_bytes());
    header.extend(rate.to_le_bytes());
    header.extend((rate * coding.sample_bytes()).to_le_bytes());
    header.extend(sample_bytes.to_le_bytes());
    header.extend((sample_bytes * 8).to_le_bytes());
    header.extend(b"data");
    header.extend(data.to_le_bytes());
    header
}

/// One pitch a character; `None` is a rest.
pub(super) struct Tune {
    pitches: Vec<Option<f64>>,
    characters_per_second: f64,
}

impl Tune {
    /// The pitch in Hz at a time.
    pub(super) fn at(&self, seconds: f64) -> Option<f64> {
        self.pitches.get((seconds * self.characters_per_second) as usize).copied().flatten()
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
        let envelope = (std::f64::consts::PI * (seconds * tune.characters_per_second).fract()).sin();
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
        let spoken =
            |text: String| Speech::new(text, SpeechFormat::Raw { coding: Coding::Linear16, rate: 16_000 });
        assert_eq!(spoken("hi".to_owned()).duration(), Duration::from_secs(1));
        let long = spoken("x".repeat(150));
        assert_eq!(long.duration(), Duration::from_secs(10));
        assert_eq!(encode(&long).len(), 320_000);
        let fast = Speech { speed_percent: 125, ..long };
        assert_eq!(fast.duration(), Duration::from_secs(8));
        assert_eq!(encode(&fast).len(), 256_000);
    }

    #[test]
    fn characters_begin_where_their_tones_do() {
        assert_eq!(character_start(15, 150, 10.0), 1.0);
        assert_eq!(character_start(3, 6, 1.0), 0.2, "a short text is padded with silence");
    }

    #[test]
    fn companded_silence_and_extremes_are_the_standard_codes() {
        assert_eq!([ulaw(0), ulaw(32_767), ulaw(-32_768)], [0xff, 0x80, 0x00]);
        assert_eq!([alaw(0), alaw(32_767), alaw(-32_768)], [0xd5, 0xaa, 0x2a]);
    }
}
