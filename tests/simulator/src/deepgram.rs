//! Deepgram: text to speech, transcripts and the account calls, as in the contract sheet of 2026-11-22.
//!
//! | fact | value | kind |
//! |---|---|---|
//! | wrong scheme, missing or wrong key | 401 `INVALID_AUTH` | documented |
//! | a bearer token | good when it has the three parts of a JWT | assumed |
//! | out of credit, for speech too | 402 `ASR_PAYMENT_REQUIRED` | documented for transcripts |
//! | combination of parameters that an encoding does not take | 400 `UNSUPPORTED_AUDIO_FORMAT` | documented |
//! | text too long | 413 | documented; 422 is documented elsewhere |
//! | rate of FLAC when none is named | 48,000 Hz | assumed |
//! | speeds | 0.7 to 1.5, Aura-2 only | assumed |
//! | unknown model or language | 400 `No such model/language/tier combination found.` | documented |
//! | body that is no recording | 400 `failed to process audio: corrupt or unsupported data` | documented |
//! | refused content | 400 `CONTENT_REFUSED` | constructed: the provider has no such answer |
//! | failed work in callback mode | the error's body goes to the callback | assumed |
//! | `smart_format` | gives paragraphs too | documented |
//! | `redact`, `replace`, `numerals`, topics, intents, sentiment, entities | taken, without effect | simplified |

use http::Method;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::answer::Answer;
use crate::call::{Account, Call};
use crate::deepgram_listen::{self, FAMILIES, Model};
use crate::deepgram_query::Refusal;
use crate::deepgram_speak;
use crate::deepgram_transcript::{canonical_name, model_id};
use crate::fault::Fault;
use crate::journal::Kind;
use crate::state::{State, uuid};

/// The one project that every key belongs to.
const PROJECT: &str = "0f1e2d3c-4b5a-4978-8695-a4b3c2d1e0f0";

pub(crate) fn kind(call: &Call) -> Kind {
    match (&call.method, call.parts().as_slice()) {
        (&Method::POST, ["v1", "speak" | "listen"]) => Kind::Submit,
        _ => Kind::Other,
    }
}

pub(crate) fn prompt(call: &Call, _state: &State) -> Option<String> {
    match (&call.method, call.parts().as_slice()) {
        (&Method::POST, ["v1", "speak"]) => deepgram_speak::text(call),
        (&Method::POST, ["v1", "listen"]) => deepgram_listen::prompt(call),
        _ => None,
    }
}

pub(crate) fn answer(call: &Call, state: &State, work: Option<&Fault>) -> Answer {
    let account = account(call);
    if matches!(account, Account::Missing | Account::Wrong) {
        return Refusal::new(401, "INVALID_AUTH", "Invalid credentials.").answer(state);
    }
    match (&call.method, call.parts().as_slice()) {
        (&Method::POST, ["v1", "speak"]) => deepgram_speak::answer(call, state, account, work),
        (&Method::POST, ["v1", "listen"]) => deepgram_listen::answer(call, state, account, work),
        (&Method::GET, ["v1", "models"]) => Answer::json(200, models()),
        (&Method::GET, ["v1", "projects"]) => Answer::json(200, json!({"projects": [project()]})),
        (&Method::GET, ["v1", "projects", id, ..]) if *id != PROJECT => project_not_found(id).answer(state),
        (&Method::GET, ["v1", "projects", _]) => Answer::json(200, project()),
        (&Method::GET, ["v1", "projects", _, "balances"]) => Answer::json(200, balances(account)),
        (_, ["v1", "speak" | "listen" | "models" | "projects", ..]) => {
            Refusal::text(405, "Method Not Allowed").answer(state)
        }
        _ => Refusal::text(404, "Not Found").answer(state),
    }
}

/// The provider's body for an HTTP error that the script asks for.
pub(crate) fn error_body(status: u16) -> Value {
    let id = "00000000-0000-4000-8000-000000000000";
    let text = "The simulator was asked for this error.";
    match status {
        401 => Refusal::new(401, "INVALID_AUTH", "Invalid credentials.").body(id),
        402 => no_money().body(id),
        403 => Refusal::new(403, "INSUFFICIENT_PERMISSIONS", text).body(id),
        400 => Refusal::json(text).body(id),
        413 => Refusal::new(413, "PAYLOAD_TOO_LARGE", text).body(id),
        429 => Refusal::new(429, "TOO_MANY_REQUESTS", "Too many requests. Please try again later").body(id),
        503 => json!({"error_code": "Service Unavailable", "err_msg": text, "request_id": id}),
        _ => Refusal::new(status, "INTERNAL_SERVER_ERROR", text).body(id),
    }
}

/// The project is out of credit.
pub(crate) fn no_money() -> Refusal {
    let message =
        "Project does not have enough credits for an ASR request and does not have an overage agreement.";
    Refusal::new(402, "ASR_PAYMENT_REQUIRED", message)
}

/// How work that the script spoils is refused.
pub(crate) fn work_refusal(work: Option<&Fault>) -> Option<Refusal> {
    match work? {
        Fault::Moderation { .. } => {
            Some(Refusal::new(400, "CONTENT_REFUSED", "The content was refused by the simulator's filter."))
        }
        Fault::Fail { code } => {
            Some(Refusal::new(failure_status(code), code.as_str(), "The request could not be worked on."))
        }
        _ => None,
    }
}

fn failure_status(code: &str) -> u16 {
    match code {
        "INVALID_AUTH" => 401,
        "ASR_PAYMENT_REQUIRED" => 402,
        "INSUFFICIENT_PERMISSIONS" => 403,
        "PROJECT_NOT_FOUND" => 404,
        "PAYLOAD_TOO_LARGE" => 413,
        "UNSUPPORTED_MEDIA_TYPE" => 415,
        "TOO_MANY_REQUESTS" | "Too Many Requests" => 429,
        "Bad Request"
        | "INVALID_JSON"
        | "PAYLOAD_ERROR"
        | "INVALID_QUERY_PARAMETER"
        | "REMOTE_CONTENT_ERROR"
        | "UNSUPPORTED_AUDIO_FORMAT" => 400,
        "Service Unavailable" => 503,
        "Gateway Timeout" => 504,
        _ => 500,
    }
}

/// API keys come with the scheme `Token`, short-lived tokens with `Bearer`.
fn account(call: &Call) -> Account {
    let header = call.header("authorization").unwrap_or_default();
    let is_jwt = header
        .split_once(' ')
        .is_some_and(|(scheme, key)| scheme.eq_ignore_ascii_case("bearer") && key.split('.').count() == 3);
    if is_jwt { Account::Good } else { Account::of_authorization(call, "Token") }
}

fn models() -> Value {
    let stt = FAMILIES.into_iter().flat_map(|(family, variants)| {
        variants.iter().map(move |variant| {
            let model = Model { family, variant };
            json!({
                "name": variant, "canonical_name": canonical_name(model), "architecture": family,
                "languages": ["en"], "version": "2025-07-31.0", "uuid": model_id(model),
                "batch": true, "streaming": family != "whisper", "formatted_output": true,
            })
        })
    });
    let tts = deepgram_speak::voices().map(|(id, name, language)| {
        let architecture = if id.starts_with("aura-2-") { "aura-2" } else { "aura" };
        json!({
            "name": name, "canonical_name": id, "architecture": architecture, "languages": [language],
            "version": "2025-04-07.0", "uuid": uuid(&Sha256::digest(&id).into()),
            "metadata": {"accent": "Simulated", "age": "Adult", "tags": [], "use_cases": []},
        })
    });
    json!({"stt": stt.collect::<Vec<_>>(), "tts": tts.collect::<Vec<_>>()})
}

fn project() -> Value {
    json!({"project_id": PROJECT, "name": "Simulated", "mip_opt_out": false})
}

fn balances(account: Account) -> Value {
    let amount = if account == Account::NoMoney { 0.0 } else { 200.0 };
    let id = uuid(&Sha256::digest("balance").into());
    json!({"balances": [{"balance_id": id, "amount": amount, "units": "usd", "purchase_order_id": null}]})
}

/// Ids that are no UUIDs are told apart from projects that do not exist.
fn project_not_found(id: &str) -> Refusal {
    let is_uuid = id.len() == 36 && id.split('-').count() == 5;
    if is_uuid {
        return Refusal::new(
            404,
            "PROJECT_NOT_FOUND",
            "The project does not exist, or the key has no access to it.",
        );
    }
    Refusal::text(404, "UUID parsing failed")
}
