//! A request that was accepted: how it stands, what it gave, and its end by a cancel.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::call::Call;
use crate::fal::failure::Failure;
use crate::fal::models::{self, ImagesTell, Makes, VideoTells};
use crate::fal::submit::urls;
use crate::fault::ModerationForm;
use crate::media::MediaSpec;
use crate::state::State;
use crate::task::{Outcome, Stage, Task};

pub(super) fn status(task: &mut Task, call: &Call) -> Answer {
    let mut body = urls(task, call);
    body.insert("request_id".to_owned(), task.id.clone().into());
    let (code, word) = match (task.scripted.pop_front(), task.stage()) {
        (Some(word), _) => (if word == "COMPLETED" { 200 } else { 202 }, word),
        (None, Stage::Waiting) => (202, "IN_QUEUE".to_owned()),
        (None, Stage::Running(_)) => (202, "IN_PROGRESS".to_owned()),
        (None, Stage::Over) => (200, "COMPLETED".to_owned()),
    };
    match word.as_str() {
        "IN_QUEUE" => {
            body.insert("queue_position".to_owned(), 0.into());
        }
        "COMPLETED" => {
            body.insert("logs".to_owned(), logs(task, call));
            body.insert("metrics".to_owned(), json!({"inference_time": task.duration.as_secs_f64()}));
            if let Some(failure) = Failure::of(task) {
                body.insert("error".to_owned(), failure.message.into());
                body.insert("error_type".to_owned(), failure.kind.into());
            }
        }
        _ => {
            body.insert("logs".to_owned(), logs(task, call));
        }
    }
    body.insert("status".to_owned(), word.into());
    Answer::json(code, body.into())
}

/// Log lines when they were asked for, otherwise null.
fn logs(task: &Task, call: &Call) -> Value {
    if !matches!(call.query("logs"), Some("1" | "true")) {
        return Value::Null;
    }
    let line = format!("simulating {}", task.model);
    json!([{"message": line, "level": "INFO", "source": "USER", "timestamp": task.created_at.to_string()}])
}

pub(super) fn cancel(task: &mut Task) -> Answer {
    match task.stage() {
        Stage::Over => Answer::json(400, json!({"status": "ALREADY_COMPLETED"})),
        Stage::Waiting | Stage::Running(_) => {
            task.is_cancelled = true;
            Answer::json(202, json!({"status": "CANCELLATION_REQUESTED"}))
        }
    }
}

pub(super) fn result(task: &Task, call: &Call, state: &State) -> Answer {
    let answer = if task.stage() != Stage::Over {
        let body = json!({"detail": "Request is still in progress", "error_type": "bad_request"});
        Answer::json(400, body).header("x-fal-error-type", "bad_request")
    } else {
        outcome(task, call, state)
    };
    answer.header("x-fal-request-id", task.id.clone())
}

/// What the work came to, whether or not its time is over.
pub(super) fn outcome(task: &Task, call: &Call, state: &State) -> Answer {
    match Failure::of(task) {
        Some(failure) => failure.answer(task),
        None => Answer::json(200, output(task, &call.origin, state)),
    }
}

/// The model's output of finished work.
pub(super) fn output(task: &Task, origin: &str, state: &State) -> Value {
    let fact = |name: &str| task.details.get(name).cloned().unwrap_or_default();
    let is_inline = fact("sync_mode") == Value::Bool(true);
    let file = |(index, spec)| file(task, index, spec, is_inline, origin, state);
    let files: Vec<Value> = task.files.iter().enumerate().map(file).collect();
    let seed = fact("seed");
    let Some(model) = models::find(&task.model) else { return Value::Null };
    match model.makes {
        Makes::Video { tells, .. } => {
            let video = files.into_iter().next();
            match tells {
                VideoTells::Nothing => json!({"video": video}),
                VideoTells::Seed => json!({"video": video, "seed": seed}),
                VideoTells::SeedAndPrompt => json!({"video": video, "seed": seed, "prompt": task.prompt}),
            }
        }
        Makes::Images { tells: ImagesTell::Description, .. } => {
            json!({"images": files, "description": ""})
        }
        Makes::Images { tells, .. } => {
            let is_flagged = task.outcome == Outcome::Moderated(ModerationForm::NsfwFlag);
            let mut body = json!({
                "timings": {"inference": task.duration.as_secs_f64()}, "seed": seed, "prompt": task.prompt,
                "has_nsfw_concepts": vec![is_flagged; files.len()], "images": files,
            });
            if let (ImagesTell::UsualAndCount, Value::Object(body)) = (tells, &mut body) {
                body.insert("num_images".to_owned(), task.files.len().into());
            }
            body
        }
    }
}

fn file(task: &Task, index: usize, spec: &MediaSpec, is_inline: bool, origin: &str, state: &State) -> Value {
    let name = format!("{}-{index}.{}", task.id, spec.extension());
    let bytes = state.render(&visible_file(task, spec));
    let url = if is_inline {
        format!("data:{};base64,{}", spec.content_type(), STANDARD.encode(&bytes))
    } else {
        format!("{origin}/media/fal/{name}")
    };
    let mut file = json!({
        "url": url, "content_type": spec.content_type(), "file_name": name, "file_size": bytes.len(),
    });
    if let (Value::Object(file), MediaSpec::Image { width, height, .. }) = (&mut file, spec) {
        file.insert("width".to_owned(), (*width).into());
        file.insert("height".to_owned(), (*height).into());
    }
    file
}

/// The file as it is served: black when the picture was flagged.
pub(crate) fn visible_file(task: &Task, spec: &MediaSpec) -> MediaSpec {
    let mut spec = spec.clone();
    if let MediaSpec::Image { blank, .. } = &mut spec {
        *blank = task.outcome == Outcome::Moderated(ModerationForm::NsfwFlag);
    }
    spec
}
