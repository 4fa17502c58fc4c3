//! ElevenLabs: text to speech and the account calls, as in the contract sheet of 2026-11-22. Transcripts are in
//! `elevenlabs_stt`.
//!
//! | fact | value | kind |
//! |---|---|---|
//! | unknown `output_format` | 422 list | assumed |
//! | empty `text` | 400 `input_text_empty` | assumed |
//! | `character-cost` | characters times the model's credit rate, rounded up | assumed |
//! | refused content | 400 `content_against_policy` | assumed |
//! | out of credit | 401 `quota_exceeded`, older body | documented |
//! | `Content-Type` other than mp3 | `audio/pcm`, `audio/wav`, `audio/ogg`, `audio/basic` | assumed |
//! | limit of models that the sheet marks uncertain | 10,000 characters | assumed |

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use serde_json::{Value, json};

use crate::answer::{Answer, Payload};
use crate::call::{Account, Call};
use crate::elevenlabs_stt;
use crate::fault::Fault;
use crate::journal::Kind;
use crate::media::{MediaSpec, Speech, SpeechFormat, character_start};
use crate::state::State;

/// Voices that exist are all but those whose id begins so.
const MISSING_VOICE: &str = "missing";
const DEFAULT_MODEL: &str = "eleven_multilingual_v2";
const DEFAULT_FORMAT: &str = "mp3_44100_128";

/// Model, longest text, credits for two characters.
const MODELS: [(&str, usize, usize); 9] = [
    ("eleven_multilingual_v2", 10_000, 2),
    ("eleven_v3", 5_000, 2),
    ("eleven_v3_conversational", 10_000, 1),
    ("eleven_v4", 10_000, 2),
    ("eleven_v4_turbo", 10_000, 1),
    ("eleven_flash_v2_5", 40_000, 1),
    ("eleven_turbo_v2_5", 40_000, 1),
    ("eleven_flash_v2", 30_000, 1),
    ("eleven_turbo_v2", 30_000, 1),
];

pub(crate) fn kind(call: &Call) -> Kind {
    match (&call.method, call.parts().as_slice()) {
        (&Method::POST, ["v1", "text-to-speech", ..]) => Kind::Submit,
        (&Method::POST, ["v1", "speech-to-text"]) => Kind::Submit,
        (&Method::GET, ["v1", "speech-to-text", "transcripts", _]) => Kind::Result,
        (&Method::DELETE, ["v1", "speech-to-text", "transcripts", _]) => Kind::Cancel,
        _ => Kind::Other,
    }
}

pub(crate) fn prompt(call: &Call, state: &State) -> Option<String> {
    match call.parts().as_slice() {
        ["v1", "speech-to-text"] => elevenlabs_stt::prompt(call),
        ["v1", "speech-to-text", "transcripts", id] => state.with_task(id, |task| task.prompt.clone()),
        _ => call.text_field("text"),
    }
}

pub(crate) fn answer(call: &Call, state: &State, work: Option<&Fault>) -> Answer {
    let account = Account::of_key(call.header("xi-api-key"));
    if matches!(account, Account::Missing | Account::Wrong) {
        return problem(state, 401, "authentication_error", "invalid_api_key", "Invalid API key");
    }
    match (&call.method, call.parts().as_slice()) {
        (&Method::POST, ["v1", "text-to-speech", voice]) => {
            speak(call, state, account, voice, Form::Audio, work)
        }
        (&Method::POST, ["v1", "text-to-speech", voice, "stream"]) => {
            speak(call, state, account, voice, Form::Audio, work)
        }
        (&Method::POST, ["v1", "text-to-speech", voice, "with-timestamps"])
        | (&Method::POST, ["v1", "text-to-speech", voice, "stream", "with-timestamps"]) => {
            speak(call, state, account, voice, Form::Timestamps, work)
        }
        (&Method::POST, ["v1", "speech-to-text"]) => elevenlabs_stt::convert(call, state, account, work),
        (&Method::GET, ["v1", "speech-to-text", "transcripts", id]) => elevenlabs_stt::transcript(id, state),
        (&Method::DELETE, ["v1", "speech-to-text", "transcripts", id]) => elevenlabs_stt::delete(id, state),
        (&Method::GET, ["v1", "models"]) => Answer::json(200, models()),
        (&Method::GET, ["v1", "voices"]) => Answer::json(200, json!({"voices": [voice_entry()]})),
        (&Method::GET, ["v1", "user"]) => Answer::json(200, user(account)),
        (&Method::GET, ["v1", "user", "subscription"]) => Answer::json(200, subscription(account)),
        _ => Answer::json(404, json!({"detail": "Not Found"})),
    }
}

/// The provider's body for an HTTP error that the script asks for.
pub(crate) fn error_body(status: u16) -> Value {
    let (kind, code) = match status {
        401 => ("authentication_error", "invalid_api_key"),
        402 => ("payment_required", "paid_plan_required"),
        429 => ("rate_limit_error", "rate_limit_exceeded"),
        400..=499 => ("invalid_request_error", "invalid_request"),
        _ => ("internal_error", "internal_server_error"),
    };
    detail(kind, code, "The simulator was asked for this error.", "req_scripted")
}

#[derive(Clone, Copy)]
enum Form {
    Audio,
    Timestamps,
}

fn speak(
    call: &Call,
    state: &State,
    account: Account,
    voice: &str,
    form: Form,
    work: Option<&Fault>,
) -> Answer {
    let body = match call.json() {
        Some(Value::Object(body)) => body,
        Some(_) => {
            return invalid(
                &["body"],
                "Input should be a valid dictionary or object",
                "model_attributes_type",
            );
        }
        None => return invalid(&["body"], "JSON decode error", "json_invalid"),
    };
    let text = match body.get("text") {
        None => return invalid(&["body", "text"], "Field required", "missing"),
        Some(Value::String(text)) => text.clone(),
        Some(_) => return invalid(&["body", "text"], "Input should be a valid string", "string_type"),
    };
    let format_name = call.query("output_format").unwrap_or(DEFAULT_FORMAT);
    let Some(format) = SpeechFormat::named(format_name) else {
        return invalid(
            &["query", "output_format"],
            "Input should be one of the known output formats",
            "enum",
        );
    };
    if let Some((path, message)) = wrong_setting(&body) {
        return invalid(&path, message, "value_error");
    }
    let model = body.get("model_id").and_then(Value::as_str).unwrap_or(DEFAULT_MODEL);
    let Some((_, limit, rate)) = MODELS.iter().find(|(id, _, _)| *id == model).copied() else {
        return problem(
            state,
            404,
            "not_found",
            "model_not_found",
            &format!("A model with ID {model} was not found."),
        );
    };
    if voice.starts_with(MISSING_VOICE) {
        return problem(
            state,
            404,
            "not_found",
            "voice_not_found",
            &format!("A voice with ID {voice} was not found."),
        );
    }
    let characters = text.chars().count();
    if text.is_empty() {
        return problem(
            state,
            400,
            "invalid_request_error",
            "input_text_empty",
            "The text must not be empty.",
        );
    }
    if characters > limit {
        let message = format!("The text has {characters} characters, the limit of {model} is {limit}.");
        return problem(state, 400, "invalid_request_error", "max_character_limit_exceeded", &message);
    }
    let credits = (characters * rate).div_ceil(2);
    if account == Account::NoMoney {
        return quota_exceeded(credits);
    }
    if let Some(refusal) = work_problem(state, work) {
        return refusal;
    }
    let request_id = state.new_id();
    let speech = Box::new(Speech::new(text, format));
    let mut answer = match form {
        Form::Audio => Answer::media(MediaSpec::Speech(speech)),
        Form::Timestamps => {
            let audio = state.render(&MediaSpec::Speech(speech.clone()));
            Answer { payload: Payload::Json(timestamps(&speech, &audio)), ..Answer::empty(200) }
        }
    };
    answer.wait = if work == Some(&Fault::Stuck) { None } else { Some(state.options.timing.speech) };
    answer
        .header("character-cost", credits.to_string())
        .header("request-id", request_id.clone())
        .header("history-item-id", state.new_id())
        .header("current-concurrent-requests", "1")
        .header("maximum-concurrent-requests", "10")
        .accepted(request_id)
}

/// The account is out of credit.
pub(crate) fn quota_exceeded(credits: usize) -> Answer {
    let message =
        format!("This request exceeds your quota of 0. {credits} credits are required for this request.");
    Answer::json(401, json!({"detail": {"status": "quota_exceeded", "message": message}}))
}

/// How work that the script spoils is refused.
pub(crate) fn work_problem(state: &State, work: Option<&Fault>) -> Option<Answer> {
    match work? {
        Fault::Moderation { .. } => {
            let message = "The content was refused by the content policy.";
            Some(problem(state, 400, "invalid_request_error", "content_against_policy", message))
        }
        Fault::Fail { code } => {
            Some(problem(state, failure_status(code), "internal_error", code, "The work could not be done."))
        }
        _ => None,
    }
}

/// The first voice setting or seed that is out of its range.
fn wrong_setting(body: &serde_json::Map<String, Value>) -> Option<(Vec<&'static str>, &'static str)> {
    let settings = body.get("voice_settings");
    for name in ["stability", "similarity_boost", "style"] {
        let value = settings.and_then(|settings| settings.get(name)).filter(|value| !value.is_null());
        if value.is_some_and(|value| !value.as_f64().is_some_and(|number| (0.0..=1.0).contains(&number))) {
            return Some((vec!["body", "voice_settings", name], "Input should be a number from 0 to 1"));
        }
    }
    let seed = body.get("seed").filter(|seed| !seed.is_null());
    if seed.is_some_and(|seed| seed.as_u64().is_none_or(|seed| seed > u64::from(u32::MAX))) {
        return Some((vec!["body", "seed"], "Input should be an integer from 0 to 4294967295"));
    }
    None
}

fn failure_status(code: &str) -> u16 {
    match code {
        "quota_exceeded" | "invalid_api_key" | "missing_permissions" | "detected_unusual_activity" => 401,
        "paid_plan_required" => 402,
        "voice_not_found" | "model_not_found" | "not_found" => 404,
        "too_many_concurrent_requests"
        | "system_busy"
        | "concurrent_limit_exceeded"
        | "rate_limit_exceeded" => 429,
        code if code.starts_with("invalid_") || code == "max_character_limit_exceeded" => 400,
        _ => 500,
    }
}

fn timestamps(speech: &Speech, audio: &[u8]) -> Value {
    let seconds = speech.duration().as_secs_f64();
    let characters: Vec<String> = speech.text.chars().map(String::from).collect();
    let time = |index: usize| character_start(index, characters.len(), seconds);
    let alignment = json!({
        "character_start_times_seconds": (0..characters.len()).map(time).collect::<Vec<_>>(),
        "character_end_times_seconds": (1..=characters.len()).map(time).collect::<Vec<_>>(),
        "characters": characters,
    });
    json!({"audio_base64": STANDARD.encode(audio), "alignment": alignment, "normalized_alignment": alignment})
}

fn models() -> Value {
    let entry = |(id, limit, rate): &(&str, usize, usize)| {
        json!({
            "model_id": id, "name": id, "can_do_text_to_speech": true, "can_be_finetuned": false,
            "can_do_voice_conversion": false, "can_use_style": true, "can_use_speaker_boost": true,
            "serves_pro_voices": false, "token_cost_factor": *rate as f64 / 2.0, "description": "Simulated",
            "requires_alpha_access": false, "max_characters_request_free_user": limit,
            "max_characters_request_subscribed_user": limit, "maximum_text_length_per_request": limit,
            "model_rates": {"character_cost_multiplier": *rate as f64 / 2.0},
            "concurrency_group": if *rate == 1 { "turbo" } else { "standard" },
            "languages": [{"language_id": "en", "name": "English"}],
        })
    };
    MODELS.iter().map(entry).collect()
}

fn voice_entry() -> Value {
    json!({"voice_id": "21m00Tcm4TlvDq8ikWAM", "name": "Simulated", "category": "premade", "labels": {}, "settings": null})
}

fn subscription(account: Account) -> Value {
    let limit = if account == Account::NoMoney { 0 } else { 1_000_000 };
    json!({
        "tier": "creator", "character_count": 0, "character_limit": limit, "can_extend_character_limit": false,
        "allowed_to_extend_character_limit": false, "next_character_count_reset_unix": 1_893_456_000,
        "max_character_limit_extension": null, "max_credit_limit_extension": 0, "voice_slots_used": 0,
        "professional_voice_slots_used": 0, "voice_add_edit_counter": 0, "voice_limit": 30,
        "max_voice_add_edits": 95, "professional_voice_limit": 1, "can_extend_voice_limit": false,
        "can_use_instant_voice_cloning": true, "can_use_professional_voice_cloning": true, "currency": "usd",
        "status": "active", "billing_period": "monthly_period", "character_refresh_period": "monthly_period",
        "has_open_invoices": false, "open_invoices": [], "next_invoice": null, "current_overage": null,
    })
}

fn user(account: Account) -> Value {
    json!({
        "user_id": "simulated-user", "subscription": subscription(account), "is_new_user": false, "xi_api_key": null,
        "can_use_delayed_payment_methods": false, "is_onboarding_completed": true, "is_onboarding_checklist_completed": true,
        "created_at": 1_700_000_000, "seat_type": "workspace_admin", "show_compliance_terms": false,
    })
}

/// The present form of an error.
pub(crate) fn problem(state: &State, status: u16, kind: &str, code: &str, message: &str) -> Answer {
    Answer::json(status, detail(kind, code, message, &state.new_id()))
}

fn detail(kind: &str, code: &str, message: &str, request_id: &str) -> Value {
    json!({"detail": {
        "type": kind, "code": code, "message": message, "status": code, "request_id": request_id, "param": null,
    }})
}

fn invalid(location: &[&str], message: &str, kind: &str) -> Answer {
    Answer::json(422, json!({"detail": [{"loc": location, "msg": message, "type": kind}]}))
}
