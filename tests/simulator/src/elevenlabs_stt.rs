//! ElevenLabs: speech to text ("Scribe"), at once or to be fetched later.
//!
//! | fact | value | kind |
//! |---|---|---|
//! | wrong fields, no source or several | 422 list | list documented, its entries assumed |
//! | unknown model | 400 `invalid_model_id` | assumed |
//! | file that is no recording | 400 `invalid_audio` | assumed |
//! | `webhook=true` | 202 with two ids | fields documented, status assumed |
//! | transcript that is not there (yet), or was deleted | 404 `transcript_not_found` | assumed |
//! | diarization together with `use_multi_channel` | 422 | assumed |
//! | speakers told apart | two at most | simplified |
//! | language of everything | English | simplified |
//! | configured webhooks | none, so none is called | simplified |

use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use crate::answer::Answer;
use crate::call::{Account, Call};
use crate::elevenlabs::{problem, quota_exceeded, work_problem};
use crate::elevenlabs_stt_input::{self as input, MODELS, Named, Order, Source};
use crate::elevenlabs_stt_result as result;
use crate::fault::Fault;
use crate::hex::hex;
use crate::journal::Provider;
use crate::media::{Coding, Sound};
use crate::state::State;
use crate::task::{Outcome, Stage, Task};
use crate::transcript::{Heard, address};

/// Files whose host begins so cannot be fetched.
const MISSING_HOST: &str = "missing";
const RAW_RATE: u32 = 16_000;
const CHANNELS: u32 = 5;
/// Credits of a second, to be named where there are none.
const CREDITS_PER_SECOND: f64 = 3.0;

/// What stands for a prompt: the address without its query, the file's name when it holds a directive, else a digest.
pub(crate) fn prompt(call: &Call) -> Option<String> {
    Some(match input::named(call)? {
        Named::Url(url) => address(&url),
        Named::File { name: Some(name), .. } if name.contains("[sim:") => name,
        Named::File { bytes, .. } => format!("sha256:{}", hex(Sha256::digest(&bytes))),
    })
}

pub(crate) fn convert(call: &Call, state: &State, account: Account, work: Option<&Fault>) -> Answer {
    let order = match input::parse(call, state.options.allow_loopback_http_images) {
        Ok(order) => order,
        Err(issues) => return Answer::json(422, json!({"detail": issues})),
    };
    if !MODELS.iter().any(|(id, _)| *id == order.model) {
        let message = format!("'{}' is not a valid model_id.", order.model);
        return problem(state, 400, "invalid_request_error", "invalid_model_id", &message);
    }
    let heard = match heard(&order.source, state) {
        Ok(heard) => heard,
        Err((code, message)) => return problem(state, 400, "invalid_request_error", code, message),
    };
    if order.multichannel && heard.channels > CHANNELS {
        let message = "A maximum of 5 channels is supported.";
        return problem(state, 400, "invalid_request_error", "too_many_channels", message);
    }
    if account == Account::NoMoney {
        return quota_exceeded((heard.seconds * CREDITS_PER_SECOND).ceil() as usize);
    }
    let unfit = order.exports.iter().find_map(result::unfit_export);
    if let Some(message) = unfit {
        return problem(state, 400, "invalid_request_error", "not_simulated", &message);
    }
    if !order.is_webhook
        && let Some(refusal) = work_problem(state, work)
    {
        return refusal;
    }
    let is_stored = call.query("enable_logging") != Some("false");
    if order.is_webhook && !is_stored {
        let message = "Webhooks need enable_logging.";
        return problem(state, 400, "invalid_request_error", "invalid_parameters", message);
    }

    let (request_id, transcription_id) = (state.new_id(), state.new_id());
    let body = result::body(&order, &heard, is_stored.then_some(transcription_id.as_str()));
    if is_stored {
        state.add_task(task(call, &order, &transcription_id, &body, state, work));
    }
    let answer = if order.is_webhook {
        let message = "Request accepted. The transcript will be sent to the configured webhooks.";
        let ids = json!({"message": message, "request_id": request_id, "transcription_id": transcription_id});
        Answer::json(202, ids)
    } else {
        let wait = (work != Some(&Fault::Stuck)).then_some(state.options.timing.speech);
        Answer { wait, ..Answer::json(200, body) }
    };
    answer.header("request-id", request_id.clone()).accepted(request_id)
}

pub(crate) fn transcript(id: &str, state: &State) -> Answer {
    let found = state.with_task(id, |task| is_there(task).then(|| task.details.clone()));
    found.flatten().map_or_else(|| not_found(id, state), |body| Answer::json(200, body))
}

pub(crate) fn delete(id: &str, state: &State) -> Answer {
    let deleted = state.with_task(id, |task| is_there(task).then(|| task.is_cancelled = true));
    match deleted.flatten() {
        Some(()) => Answer::json(200, json!({"status": "ok"})),
        None => not_found(id, state),
    }
}

fn heard(source: &Source, state: &State) -> Result<Heard, (&'static str, &'static str)> {
    match source {
        Source::File { bytes, is_raw: true } => {
            Ok(Heard::of_bytes(bytes, Sound::raw(bytes, Coding::Linear16, RAW_RATE, 1), state))
        }
        Source::File { bytes, is_raw: false } => match Sound::of(bytes) {
            Some(sound) => Ok(Heard::of_bytes(bytes, sound, state)),
            None => Err(("invalid_audio", "The file is corrupt or is neither audio nor video.")),
        },
        Source::Url(url) => {
            let host = url.split("://").nth(1).unwrap_or_default();
            if host.starts_with(MISSING_HOST) {
                return Err(("invalid_url", "The file could not be fetched."));
            }
            Ok(Heard::of_address(&address(url)))
        }
    }
}

fn task(call: &Call, order: &Order, id: &str, body: &Value, state: &State, work: Option<&Fault>) -> Task {
    let (outcome, scripted) = Outcome::of(work);
    Task {
        id: id.to_owned(),
        provider: Provider::ElevenLabs,
        model: order.model.clone(),
        prompt: prompt(call).unwrap_or_default(),
        created_at: Timestamp::now(),
        started: Instant::now(),
        duration: state.options.timing.speech,
        outcome,
        files: Vec::new(),
        credits: 0,
        details: body.clone(),
        scripted,
        is_cancelled: false,
    }
}

fn is_there(task: &Task) -> bool {
    let is_done = task.outcome == Outcome::Done && task.stage() == Stage::Over;
    task.provider == Provider::ElevenLabs && !task.is_cancelled && is_done
}

fn not_found(id: &str, state: &State) -> Answer {
    let message = format!("A transcript with ID {id} was not found.");
    problem(state, 404, "not_found", "transcript_not_found", &message)
}
