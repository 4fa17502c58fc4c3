//! Deepgram's speech to text: what a request may ask for, and where its sound comes from.

use serde_json::Value;
use sha2::{Digest as _, Sha256};
use url::Url;

use crate::answer::Answer;
use crate::call::{Account, Call};
use crate::deepgram::{self, work_refusal};
use crate::deepgram_callback::Callback;
use crate::deepgram_query::{Query, Refusal};
use crate::deepgram_transcript;
use crate::fault::Fault;
use crate::hex::hex;
use crate::media::{Coding, Sound};
use crate::state::State;
use crate::transcript::{Heard, address};

/// Files whose host begins so cannot be fetched.
const MISSING_HOST: &str = "missing";
/// Largest JSON body.
const LARGEST_BODY: usize = 2 << 20;
const NO_SUCH_MODEL: &str = "No such model/language/tier combination found.";

/// Families of models and their variants; the first one is meant when none is named.
pub(crate) const FAMILIES: [(&str, &[&str]); 6] = [
    ("nova-3", &["general", "medical"]),
    (
        "nova-2",
        &[
            "general",
            "meeting",
            "phonecall",
            "finance",
            "conversationalai",
            "voicemail",
            "video",
            "medical",
            "drivethru",
            "automotive",
        ],
    ),
    ("nova", &["general", "phonecall", "medical"]),
    ("enhanced", &["general", "meeting", "phonecall", "finance"]),
    ("base", &["general", "meeting", "phonecall", "finance", "conversationalai", "voicemail", "video"]),
    ("whisper", &["medium", "tiny", "small", "base", "large"]),
];
/// Languages by their first part.
const LANGUAGES: &str = "ar be bg bn bs ca cs da de el en es et fa fi fr he hi hr hu id it ja kn ko lt lv mk mr ms nl no \
                         pl pt ro ru sk sl sr sv ta taq te th tl tr uk ur vi zh";
const FLAGS: [&str; 16] = [
    "smart_format",
    "punctuate",
    "paragraphs",
    "utterances",
    "diarize",
    "multichannel",
    "numerals",
    "measurements",
    "dictation",
    "filler_words",
    "profanity_filter",
    "detect_entities",
    "sentiment",
    "topics",
    "intents",
    "mip_opt_out",
];
const ENCODINGS: [&str; 8] = ["linear16", "flac", "mulaw", "amr-nb", "amr-wb", "opus", "speex", "g729"];

/// What a request asks for.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    pub(crate) model: Model,
    pub(crate) language: Option<String>,
    pub(crate) detects_language: bool,
    /// Signs and capitals.
    pub(crate) punctuates: bool,
    pub(crate) paragraphs: bool,
    pub(crate) utterances: bool,
    pub(crate) diarizes: Option<&'static str>,
    pub(crate) multichannel: bool,
    pub(crate) summarizes: bool,
    pub(crate) search: Vec<String>,
    pub(crate) tags: Vec<String>,
    pub(crate) extra: Vec<String>,
}

/// A model that lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Model {
    pub(crate) family: &'static str,
    pub(crate) variant: &'static str,
}

impl Model {
    /// `nova-3`, `nova-2-medical`, and names of the oldest family without it, such as `meeting`.
    pub(crate) fn named(name: &str) -> Option<Self> {
        FAMILIES.into_iter().find_map(|(family, variants)| {
            let rest = match name.strip_prefix(family) {
                Some("") => variants.first().copied()?,
                Some(rest) => rest.strip_prefix('-')?,
                None if family == "base" => name,
                None => return None,
            };
            let variant = variants.iter().copied().find(|variant| *variant == rest)?;
            Some(Self { family, variant })
        })
    }

    fn speaks(self, language: &str) -> bool {
        let primary = language.split('-').next().unwrap_or_default();
        match language {
            "multi" => matches!(self.family, "nova-2" | "nova-3") && self.variant == "general",
            _ if self.variant == "medical" => primary == "en",
            _ => LANGUAGES.split_whitespace().any(|known| known == primary),
        }
    }
}

pub(crate) fn answer(call: &Call, state: &State, account: Account, work: Option<&Fault>) -> Answer {
    listen(call, state, account, work).unwrap_or_else(|refusal| refusal.answer(state))
}

/// What stands for a prompt: a tag, else the address without its query (which may be signed), else a digest.
pub(crate) fn prompt(call: &Call) -> Option<String> {
    if let Some(tag) = call.query("tag") {
        return Some(tag.to_owned());
    }
    match call.text_field("url") {
        Some(url) if is_json(call) => Some(address(&url)),
        _ => Some(format!("sha256:{}", hex(Sha256::digest(&call.body)))),
    }
}

fn listen(call: &Call, state: &State, account: Account, work: Option<&Fault>) -> Result<Answer, Refusal> {
    let order = Order::of(Query(call))?;
    let callback = Callback::of(call)?;
    let heard = heard(call, state)?;
    if account == Account::NoMoney {
        return Err(deepgram::no_money());
    }
    let request_id = state.new_id();
    let real = match work_refusal(work) {
        Some(refusal) if callback.is_none() => return Err(refusal),
        Some(refusal) => refusal.answer(state),
        None => Answer::json(200, deepgram_transcript::body(&order, &heard, &request_id))
            .header("dg-request-id", request_id.clone()),
    };
    let time = (work != Some(&Fault::Stuck)).then_some(state.options.timing.speech);
    Ok(match callback {
        Some(callback) => callback.later(real, request_id, time, state),
        None => Answer { wait: time, ..real }.accepted(request_id),
    })
}

impl Order {
    fn of(query: Query<'_>) -> Result<Self, Refusal> {
        for name in FLAGS {
            query.flag(name)?;
        }
        // A model that is not named is the oldest one.
        let name = query.text("model").unwrap_or("base-general");
        let model = Model::named(name).ok_or_else(|| Refusal::bad_request(NO_SUCH_MODEL))?;
        let language = query.text("language");
        if language.is_some_and(|language| !model.speaks(language)) {
            return Err(Refusal::bad_request(NO_SUCH_MODEL));
        }
        if model.family != "nova-3" && query.text("keyterm").is_some() {
            return Err(Refusal::bad_request("Keyterms are only supported by Nova-3 models."));
        }
        if model.family == "nova-3" && query.text("keywords").is_some() {
            return Err(Refusal::bad_request("Keywords are not supported by Nova-3 models; use keyterm."));
        }
        let diarizer = query.word("diarize_model", &["latest", "v1", "v2"])?;
        let diarizes = match diarizer {
            Some("latest" | "v2") => Some("v2"),
            Some(_) => Some("v1"),
            None => query.flag("diarize")?.then_some("v1"),
        };
        query.word("summarize", &["v2", "true", "false"])?;
        query.word("custom_topic_mode", &["extended", "strict"])?;
        query.word("custom_intent_mode", &["extended", "strict"])?;
        query.word("encoding", &ENCODINGS)?;
        query.whole("sample_rate")?;
        query.whole("channels")?;
        if query.number::<f64>("utt_split")?.is_some_and(|seconds| seconds <= 0.0) {
            return Err(Refusal::query("utt_split", "expected a number above 0"));
        }
        let is_formatted = query.flag("smart_format")?;
        let owned = |list: Vec<&str>| list.into_iter().map(str::to_owned).collect();
        Ok(Self {
            model,
            language: language.map(str::to_owned),
            detects_language: query.list("detect_language").iter().any(|value| *value != "false"),
            punctuates: is_formatted || query.flag("punctuate")? || query.flag("paragraphs")?,
            paragraphs: is_formatted || query.flag("paragraphs")?,
            utterances: query.flag("utterances")?,
            diarizes,
            multichannel: query.flag("multichannel")?,
            summarizes: matches!(query.text("summarize"), Some("v2" | "true")),
            search: owned(query.list("search")),
            tags: owned(query.list("tag")),
            extra: owned(query.list("extra")),
        })
    }
}

fn is_json(call: &Call) -> bool {
    let content_type = call.header("content-type").unwrap_or_default();
    content_type.split(';').next().map(str::trim) == Some("application/json")
}

fn heard(call: &Call, state: &State) -> Result<Heard, Refusal> {
    if is_json(call) {
        return remote(call);
    }
    let corrupt = || Refusal::bad_request("failed to process audio: corrupt or unsupported data");
    if call.body.is_empty() {
        return Err(corrupt());
    }
    let sound = match headerless(Query(call))? {
        Some((coding, rate, channels)) => Some(Sound::raw(&call.body, coding, rate, channels)),
        None => Sound::of(&call.body),
    };
    Ok(Heard::of_bytes(&call.body, sound.ok_or_else(corrupt)?, state))
}

/// Headerless sound is told apart by `encoding`; a file that says what it is does not need it.
fn headerless(query: Query<'_>) -> Result<Option<(Coding, u32, u32)>, Refusal> {
    let coding = match query.text("encoding") {
        Some("linear16") => Coding::Linear16,
        Some("mulaw") => Coding::Ulaw,
        _ => return Ok(None),
    };
    if Sound::of(&query.0.body).is_some() {
        return Ok(None);
    }
    let Some(rate) = query.whole("sample_rate")?.filter(|rate| *rate > 0) else {
        return Err(Refusal::bad_request("`sample_rate` is required with `encoding`"));
    };
    Ok(Some((coding, rate, query.whole("channels")?.unwrap_or(1).clamp(1, 32))))
}

fn remote(call: &Call) -> Result<Heard, Refusal> {
    if call.body.len() > LARGEST_BODY {
        return Err(Refusal::new(413, "PAYLOAD_TOO_LARGE", "Payload size exceeded the 2 MB limit."));
    }
    let body: Value = serde_json::from_slice(&call.body)
        .map_err(|error| Refusal::json(format!("Json deserialize error: {error}")))?;
    let Some(text) = body.get("url").and_then(Value::as_str) else {
        return Err(Refusal::json("Json deserialize error: missing field `url`"));
    };
    let cannot_fetch = |message: &str| Refusal::new(400, "REMOTE_CONTENT_ERROR", message);
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    let Some(host) = url.as_ref().and_then(Url::host_str) else {
        return Err(cannot_fetch("Could not parse the URL of the media."));
    };
    if host.starts_with(MISSING_HOST) {
        let message = "The remote server hosting the media returned a client error: 404 Not Found.";
        return Err(cannot_fetch(message));
    }
    Ok(Heard::of_address(&address(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_are_known_by_family_and_variant() {
        let found = |name| Model::named(name).map(|model| (model.family, model.variant));
        assert_eq!(found("nova-3"), Some(("nova-3", "general")));
        assert_eq!(found("nova-2-medical"), Some(("nova-2", "medical")));
        assert_eq!(found("nova-medical"), Some(("nova", "medical")));
        assert_eq!(found("meeting"), Some(("base", "meeting")));
        assert_eq!(found("whisper-large"), Some(("whisper", "large")));
        for name in ["nova-4", "nova-3-finance", "nova3", ""] {
            assert_eq!(found(name), None, "{name}");
        }
    }
}
