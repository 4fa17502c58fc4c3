//! Deepgram's text to speech: which formats may be combined, and the audio.

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::answer::Answer;
use crate::call::{Account, Call};
use crate::deepgram::{self, work_refusal};
use crate::deepgram_callback::Callback;
use crate::deepgram_query::{Query, Refusal};
use crate::fault::Fault;
use crate::media::{Coding, MediaSpec, Speech, SpeechFormat};
use crate::state::{State, uuid};

const DEFAULT_VOICE: &str = "aura-asteria-en";
/// Longest text of a request.
pub(crate) const LONGEST_TEXT: usize = 2_000;
/// Largest body.
const LARGEST_BODY: usize = 2 << 20;
/// Speeds of an Aura-2 voice, in hundredths (assumed).
const SPEEDS: std::ops::RangeInclusive<u32> = 70..=150;

/// Names of voices by language, as the published SDK lists them.
pub(crate) const AURA_1: &str =
    "angus arcas asteria athena helios hera luna orion orpheus perseus stella zeus";
pub(crate) const AURA_2: [(&str, &str); 7] = [
    (
        "en",
        "amalthea andromeda apollo arcas aries asteria athena atlas aurora callista cora cordelia delia draco \
         electra harmonia helena hera hermes hyperion iris janus juno jupiter luna mars minerva neptune odysseus \
         ophelia orion orpheus pandora phoebe pluto saturn selene thalia theia vesta zeus",
    ),
    (
        "es",
        "agustina alvaro antonia aquila carina celeste diana estrella gloria javier luciano nestor olivia selena \
         silvia sirio valerio",
    ),
    ("de", "aurelia elara fabian julius kara lara viktoria"),
    ("nl", "beatrix cornelia daphne hestia lars leda rhea roman sander"),
    ("fr", "agathe hector"),
    ("it", "cesare cinzia demetra dionisio elio flavio livia maia melia"),
    ("ja", "ama ebisu fujin izanami uzume"),
];

pub(crate) fn answer(call: &Call, state: &State, account: Account, work: Option<&Fault>) -> Answer {
    speak(call, state, account, work).unwrap_or_else(|refusal| refusal.answer(state))
}

/// The text of a request.
pub(crate) fn text(call: &Call) -> Option<String> {
    call.text_field("text")
}

/// Every voice with its language.
pub(crate) fn voices() -> impl Iterator<Item = (String, &'static str, &'static str)> {
    let first = AURA_1.split_whitespace().map(|name| (format!("aura-{name}-en"), name, "en"));
    let second = AURA_2.into_iter().flat_map(|(language, names)| {
        names.split_whitespace().map(move |name| (format!("aura-2-{name}-{language}"), name, language))
    });
    first.chain(second)
}

fn speak(call: &Call, state: &State, account: Account, work: Option<&Fault>) -> Result<Answer, Refusal> {
    let content_type = call.header("content-type").unwrap_or_default();
    if content_type.split(';').next().map(str::trim) != Some("application/json") {
        return Err(Refusal::new(415, "UNSUPPORTED_MEDIA_TYPE", "Supported content type: application/json"));
    }
    let query = Query(call);
    let voice = query.text("model").unwrap_or(DEFAULT_VOICE);
    if !voices().any(|(id, ..)| id == voice) {
        return Err(Refusal::query("model", &format!("no such model `{voice}`")));
    }
    let format = Format::of(query)?;
    let speed_percent = speed(query, voice)?;
    query.flag("mip_opt_out")?;
    let callback = Callback::of(call)?;
    let text = body_text(call)?;
    let characters = text.chars().count();
    if account == Account::NoMoney {
        return Err(deepgram::no_money());
    }

    let request_id = state.new_id();
    let speech = Speech { text, format: format.format, content_type: format.content_type, speed_percent };
    let real = match work_refusal(work) {
        Some(refusal) if callback.is_none() => return Err(refusal),
        Some(refusal) => refusal.answer(state),
        None => Answer::media(MediaSpec::Speech(Box::new(speech)))
            .header("dg-request-id", request_id.clone())
            .header("dg-char-count", characters.to_string())
            .header("dg-model-name", voice)
            .header("dg-model-uuid", uuid(&Sha256::digest(voice).into())),
    };
    let time = (work != Some(&Fault::Stuck)).then_some(state.options.timing.speech);
    Ok(match callback {
        Some(callback) => callback.later(real, request_id, time, state),
        None => Answer { wait: time, ..real }.accepted(request_id),
    })
}

fn body_text(call: &Call) -> Result<String, Refusal> {
    if call.body.len() > LARGEST_BODY {
        return Err(Refusal::new(413, "PAYLOAD_TOO_LARGE", "Payload size exceeded the 2 MB limit."));
    }
    let body: Value = serde_json::from_slice(&call.body)
        .map_err(|error| Refusal::json(format!("Json deserialize error: {error}")))?;
    let text = match (body.get("text"), body.get("url")) {
        (Some(Value::String(text)), None) => text,
        // The provider also fetches texts; nothing is fetched here.
        (None, Some(_)) => {
            return Err(Refusal::new(400, "PAYLOAD_ERROR", "The simulator takes `text` only, not `url`."));
        }
        _ => {
            let message = "Failed to deserialize JSON payload. Specify exactly one of `text` or `url`.";
            return Err(Refusal::new(400, "PAYLOAD_ERROR", message));
        }
    };
    let characters = text.chars().count();
    if text.trim().is_empty() {
        return Err(Refusal::new(400, "PAYLOAD_ERROR", "Input text contains no characters."));
    }
    if characters > LONGEST_TEXT {
        let message = format!("Input text exceeds maximum character limit of {LONGEST_TEXT}.");
        return Err(Refusal::new(413, "PAYLOAD_TOO_LARGE", message));
    }
    Ok(text.clone())
}

fn speed(query: Query<'_>, voice: &str) -> Result<u32, Refusal> {
    let Some(speed) = query.number::<f64>("speed")? else { return Ok(100) };
    let percent = (speed * 100.0).round() as u32;
    if !SPEEDS.contains(&percent) {
        return Err(Refusal::query("speed", "expected a number from 0.7 to 1.5"));
    }
    if !voice.starts_with("aura-2-") && percent != 100 {
        return Err(Refusal::query("speed", &format!("`{voice}` speaks at one speed")));
    }
    Ok(percent)
}

/// A format and its name in the answer.
struct Format {
    format: SpeechFormat,
    content_type: &'static str,
}

impl Format {
    /// The format that a request asks for. An encoding takes only parameters that it has.
    fn of(query: Query<'_>) -> Result<Self, Refusal> {
        let encoding = query.text("encoding").unwrap_or("mp3");
        let settings =
            Settings { encoding, container: query.text("container"), rate: query.whole("sample_rate")? };
        let bit_rate = query.whole("bit_rate")?;
        if !matches!(encoding, "mp3" | "opus" | "aac") && bit_rate.is_some() {
            return Err(settings.not_applicable("bit_rate"));
        }
        match encoding {
            "mp3" => {
                settings.has_no("container", settings.container.is_some())?;
                settings.has_no("sample_rate", settings.rate.is_some())?;
                let bits = settings.one_of("bit_rate", bit_rate, &[32_000, 48_000], 48_000)?;
                let format = SpeechFormat::Mp3 { rate: 22_050, kilobits: bits / 1000 };
                Ok(Self { format, content_type: "audio/mpeg" })
            }
            "linear16" => settings.plain(Coding::Linear16, &[8_000, 16_000, 24_000, 32_000, 48_000], 24_000),
            "mulaw" => settings.plain(Coding::Ulaw, &[8_000, 16_000], 8_000),
            "alaw" => settings.plain(Coding::Alaw, &[8_000, 16_000], 8_000),
            "opus" => {
                settings.container_of(&["ogg"])?;
                settings.has_no("sample_rate", settings.rate.is_some())?;
                settings.within("bit_rate", bit_rate, 4_000..=650_000, 12_000)?;
                Ok(Self { format: SpeechFormat::Opus, content_type: "audio/ogg;codecs=opus" })
            }
            "flac" => {
                settings.has_no("container", settings.container.is_some())?;
                let rates = [8_000, 16_000, 22_050, 32_000, 48_000];
                let rate = settings.one_of("sample_rate", settings.rate, &rates, 48_000)?;
                Ok(Self { format: SpeechFormat::Flac { rate }, content_type: "audio/flac" })
            }
            "aac" => {
                settings.has_no("container", settings.container.is_some())?;
                settings.has_no("sample_rate", settings.rate.is_some())?;
                let bits_per_second = settings.within("bit_rate", bit_rate, 4_000..=192_000, 48_000)?;
                Ok(Self { format: SpeechFormat::Aac { bits_per_second }, content_type: "audio/aac" })
            }
            other => Err(unsupported(&format!("`encoding={other}` is not known."))),
        }
    }
}

struct Settings<'a> {
    encoding: &'a str,
    container: Option<&'a str>,
    rate: Option<u32>,
}

impl Settings<'_> {
    /// Samples, in a WAV file unless they are asked for as they are.
    fn plain(&self, coding: Coding, rates: &[u32], usual: u32) -> Result<Format, Refusal> {
        let container = self.container_of(&["wav", "none"])?;
        let rate = self.one_of("sample_rate", self.rate, rates, usual)?;
        if container == "wav" {
            return Ok(Format { format: SpeechFormat::Wav { coding, rate }, content_type: "audio/wav" });
        }
        let content_type = match (coding, rate) {
            (Coding::Linear16, 8_000) => "audio/l16;rate=8000",
            (Coding::Linear16, 16_000) => "audio/l16;rate=16000",
            (Coding::Linear16, 24_000) => "audio/l16;rate=24000",
            (Coding::Linear16, 32_000) => "audio/l16;rate=32000",
            (Coding::Linear16, _) => "audio/l16;rate=48000",
            (Coding::Ulaw, 8_000) => "audio/mulaw;rate=8000",
            (Coding::Ulaw, _) => "audio/mulaw;rate=16000",
            (Coding::Alaw, 8_000) => "audio/alaw;rate=8000",
            (Coding::Alaw, _) => "audio/alaw;rate=16000",
        };
        Ok(Format { format: SpeechFormat::Raw { coding, rate }, content_type })
    }

    /// The container, the first of those that fit when none was named.
    fn container_of(&self, known: &[&'static str]) -> Result<&'static str, Refusal> {
        let wanted = self.container.or_else(|| known.first().copied()).unwrap_or_default();
        known.iter().copied().find(|container| *container == wanted).ok_or_else(|| {
            unsupported(&format!("`container={wanted}` is invalid when `encoding={}`.", self.encoding))
        })
    }

    fn has_no(&self, name: &str, is_given: bool) -> Result<(), Refusal> {
        if is_given { Err(self.not_applicable(name)) } else { Ok(()) }
    }

    fn one_of(&self, name: &str, value: Option<u32>, known: &[u32], usual: u32) -> Result<u32, Refusal> {
        match value {
            None => Ok(usual),
            Some(value) if known.contains(&value) => Ok(value),
            Some(value) => Err(self.wrong(name, value)),
        }
    }

    fn within(
        &self,
        name: &str,
        value: Option<u32>,
        known: std::ops::RangeInclusive<u32>,
        usual: u32,
    ) -> Result<u32, Refusal> {
        match value {
            None => Ok(usual),
            Some(value) if known.contains(&value) => Ok(value),
            Some(value) => Err(self.wrong(name, value)),
        }
    }

    fn not_applicable(&self, name: &str) -> Refusal {
        unsupported(&format!("{name} is not applicable when encoding={}.", self.encoding))
    }

    fn wrong(&self, name: &str, value: u32) -> Refusal {
        unsupported(&format!("`{name}={value}` is invalid when `encoding={}`.", self.encoding))
    }
}

fn unsupported(message: &str) -> Refusal {
    Refusal::new(400, "UNSUPPORTED_AUDIO_FORMAT", format!("Unsupported audio format: {message}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_voices_are_those_of_the_sdk() {
        let all: Vec<String> = voices().map(|(id, ..)| id).collect();
        assert_eq!(all.iter().filter(|id| !id.starts_with("aura-2-")).count(), 12);
        assert_eq!(all.iter().filter(|id| id.starts_with("aura-2-") && id.ends_with("-en")).count(), 41);
        assert!(all.contains(&"aura-2-uzume-ja".to_owned()));
    }
}
