//! How a finished image is handed over: as bytes, or as base64 within JSON.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{Refusal, hex_id};
use crate::answer::{Answer, Payload};
use crate::call::Call;
use crate::media::{ImageFormat, MediaSpec};
use crate::state::State;

pub(super) const SUCCESS: &str = "SUCCESS";
pub(super) const FILTERED: &str = "CONTENT_FILTERED";

/// What the caller accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Bytes,
    Json,
}

impl Form {
    /// The form that a request to `v2beta` asks for.
    pub(super) fn of(call: &Call) -> Result<Self, Refusal> {
        match call.header("accept") {
            None | Some("image/*") => Ok(Self::Bytes),
            Some("application/json") => Ok(Self::Json),
            Some(_) => Err(Refusal::bad("accept: must be one of: image/*, application/json")),
        }
    }
}

/// The answer that holds an image.
pub(super) fn image(state: &State, spec: MediaSpec, is_filtered: bool, seed: u64, form: Form) -> Answer {
    let reason = if is_filtered { FILTERED } else { SUCCESS };
    let answer = match form {
        Form::Bytes => Answer::media(spec).header("finish-reason", reason).header("seed", seed.to_string()),
        Form::Json => {
            let body = json!({"image": encoded(state, &spec), "finish_reason": reason, "seed": seed});
            let content_type = match &spec {
                MediaSpec::Image { format: ImageFormat::Jpeg, .. } => "application/json; type=image/jpeg",
                MediaSpec::Image { format: ImageFormat::Webp, .. } => "application/json; type=image/webp",
                _ => "application/json; type=image/png",
            };
            Answer { payload: Payload::TypedJson { content_type, body }, ..Answer::json(200, Value::Null) }
        }
    };
    answer.header("x-request-id", hex_id(state))
}

pub(super) fn encoded(state: &State, spec: &MediaSpec) -> String {
    STANDARD.encode(state.render(spec))
}

/// The seed that was asked for, or one that follows from the words.
pub(super) fn seed(asked: Option<u64>, words: &str) -> u64 {
    let of_words = || Sha256::digest(words).iter().take(4).fold(0, |seed, byte| seed << 8 | u64::from(*byte));
    asked.filter(|seed| *seed != 0).unwrap_or_else(|| of_words().clamp(1, 4_294_967_294))
}
