//! Pika's unofficial surface: text to video as the mediarails library assumes it. Pika at Fal is played by Fal.
//!
//! | fact | value | kind |
//! |---|---|---|
//! | create | `POST /v1/generate`, Bearer, `promptText` and options beside it; answers `{id}` | assumed (mediarails) |
//! | poll | `GET /v1/generate/{id}`: `status` `completed` or `failed`, all else is running; `video.url`, `video.duration` | assumed (mediarails) |
//! | options | `duration` 5 or 10, `resolution` 720p or 1080p, `aspectRatio` or `aspect_ratio`, `seed` | assumed (Fal's for 2.2) |
//! | missing or wrong key, no money, wrong input | 401, 402, 422 with `{error}` | assumed |
//! | images | refused: there is no image to video | assumed (mediarails) |

use http::Method;
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use crate::answer::Answer;
use crate::call::{Account, Call};
use crate::fault::Fault;
use crate::journal::{Kind, Provider};
use crate::media::MediaSpec;
use crate::state::State;
use crate::task::{Outcome, Stage, Task};

const FRAMES_PER_SECOND: u32 = 24;
const RATIOS: [(&str, u32, u32); 7] = [
    ("16:9", 16, 9),
    ("9:16", 9, 16),
    ("1:1", 1, 1),
    ("4:5", 4, 5),
    ("5:4", 5, 4),
    ("3:2", 3, 2),
    ("2:3", 2, 3),
];
/// Names under which callers may try to send a picture.
const IMAGE_FIELDS: [&str; 5] = ["image", "imageUrl", "image_url", "promptImage", "input_url"];

pub(crate) fn kind(call: &Call) -> Kind {
    match (&call.method, call.parts().as_slice()) {
        (&Method::POST, ["v1", "generate"]) => Kind::Submit,
        (&Method::GET, ["v1", "generate", _]) => Kind::Status,
        _ => Kind::Other,
    }
}

pub(crate) fn prompt(call: &Call, state: &State) -> Option<String> {
    match call.parts().as_slice() {
        ["v1", "generate"] => call.text_field("promptText"),
        ["v1", "generate", id] => state.with_task(id, |task| task.prompt.clone()),
        _ => None,
    }
}

pub(crate) fn answer(call: &Call, state: &State, work: Option<&Fault>) -> Answer {
    let account = Account::of_authorization(call, "Bearer");
    if matches!(account, Account::Missing | Account::Wrong) {
        return error(401, "Unauthorized");
    }
    match (&call.method, call.parts().as_slice()) {
        (&Method::POST, ["v1", "generate"]) => create(call, state, account, work),
        (&Method::GET, ["v1", "generate", id]) => {
            let found = state.with_task(id, |task| {
                (task.provider == Provider::Pika).then(|| Answer::json(200, status(task, call)))
            });
            found.flatten().unwrap_or_else(|| error(404, "Generation not found"))
        }
        (_, ["v1", "generate"] | ["v1", "generate", _]) => error(405, "Method Not Allowed"),
        _ => error(404, "Not Found"),
    }
}

/// The provider's body for an HTTP error that the script asks for.
pub(crate) fn error_body(_status: u16) -> Value {
    json!({"error": "The simulator was asked for this error."})
}

fn create(call: &Call, state: &State, account: Account, work: Option<&Fault>) -> Answer {
    let Some(Value::Object(fields)) = call.json() else {
        return error(422, "The body must be a JSON object");
    };
    let video = match video(&fields) {
        Ok(video) => video,
        Err(message) => return error(422, &message),
    };
    if account == Account::NoMoney {
        return error(402, "Insufficient credits");
    }
    let (outcome, scripted) = Outcome::of(work);
    let id = state.new_id();
    state.add_task(Task {
        id: id.clone(),
        provider: Provider::Pika,
        model: fields.get("model").and_then(Value::as_str).unwrap_or_default().to_owned(),
        prompt: video.prompt.clone(),
        created_at: Timestamp::now(),
        started: Instant::now(),
        duration: state.options.timing.video,
        outcome,
        files: vec![MediaSpec::Video {
            prompt: video.prompt,
            width: video.width,
            height: video.height,
            frames: video.seconds * FRAMES_PER_SECOND,
            frames_per_second: FRAMES_PER_SECOND,
        }],
        credits: 0,
        details: json!({"seconds": video.seconds}),
        scripted,
        is_cancelled: false,
    });
    Answer::json(200, json!({"id": id})).accepted(id)
}

/// What was asked for.
struct Video {
    prompt: String,
    seconds: u32,
    width: u32,
    height: u32,
}

fn video(fields: &Map<String, Value>) -> Result<Video, String> {
    let get = |name: &str| fields.get(name).filter(|value| !value.is_null());
    if let Some(name) = IMAGE_FIELDS.into_iter().find(|name| get(name).is_some()) {
        return Err(format!("{name}: only text to video is offered"));
    }
    let prompt = get("promptText").and_then(Value::as_str).filter(|prompt| !prompt.trim().is_empty());
    let prompt = prompt.ok_or("promptText: a text is needed")?.to_owned();
    let seconds = match get("duration") {
        None => 5,
        Some(value) => {
            let seconds = value.as_u64().or_else(|| value.as_str()?.parse().ok());
            let seconds =
                seconds.filter(|seconds| [5, 10].contains(seconds)).ok_or("duration: must be 5 or 10")?;
            u32::try_from(seconds).unwrap_or(5)
        }
    };
    let short = match get("resolution").map(Value::as_str) {
        None | Some(Some("720p")) => 720,
        Some(Some("1080p")) => 1080,
        Some(_) => return Err("resolution: must be 720p or 1080p".to_owned()),
    };
    let ratio = match get("aspectRatio").or_else(|| get("aspect_ratio")) {
        None => Some((16, 9)),
        Some(value) => {
            let known = RATIOS.iter().find(|(name, ..)| value.as_str() == Some(*name));
            known.map(|(_, width, height)| (*width, *height))
        }
    };
    let (across, down) = ratio.ok_or("aspectRatio: is not known")?;
    if get("seed").is_some_and(|seed| seed.as_u64().is_none()) {
        return Err("seed: must be a whole number".to_owned());
    }
    let side = |part: u32| (short * part / u32::min(across, down)).next_multiple_of(2);
    Ok(Video { prompt, seconds, width: side(across), height: side(down) })
}

fn status(task: &mut Task, call: &Call) -> Value {
    let word = match (task.scripted.pop_front(), task.stage(), &task.outcome) {
        (Some(word), ..) => word,
        (None, Stage::Waiting, _) => "pending".to_owned(),
        (None, Stage::Running(_), _) => "processing".to_owned(),
        (None, Stage::Over, Outcome::Done | Outcome::Stuck) => "completed".to_owned(),
        (None, Stage::Over, Outcome::Moderated(_) | Outcome::Failed(_)) => "failed".to_owned(),
    };
    match word.as_str() {
        "completed" => {
            let url = format!("{}/media/pika/{}-0.mp4", call.origin, task.id);
            let video = json!({"url": url, "duration": task.details.get("seconds")});
            json!({"id": task.id, "status": word, "video": video})
        }
        "failed" => {
            let error = match &task.outcome {
                Outcome::Moderated(_) => "The prompt was refused by content moderation.",
                Outcome::Failed(code) => code,
                Outcome::Done | Outcome::Stuck => "The generation failed.",
            };
            json!({"id": task.id, "status": word, "error": error})
        }
        _ => json!({"id": task.id, "status": word}),
    }
}

fn error(status: u16, message: &str) -> Answer {
    Answer::json(status, json!({"error": message}))
}
