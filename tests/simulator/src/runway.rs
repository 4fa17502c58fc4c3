//! Runway: video tasks, uploads and the organisation, as in the contract sheet of 2026-11-22.
//!
//! | fact | value | kind |
//! |---|---|---|
//! | missing or other `X-Runway-Version` | 400, plain error | assumed (status not seen) |
//! | retired or unknown model | 400, plain error | documented (`gen3a_turbo` ended 2026-07-30), body assumed |
//! | out of credit | 400 with `docUrl` | documented |
//! | `DELETE` of an unknown task | 404 | assumed |
//! | output URL without its `_jwt` | 403 | assumed |
//! | `runway://` address without its upload | 400, plain error | assumed |
//! | failed tasks | charged in full, as moderated ones are | documented for moderation |

use http::Method;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::answer::Answer;
use crate::call::{Account, Call};
use crate::fault::Fault;
use crate::journal::{Kind, Provider};
use crate::media::MediaSpec;
use crate::runway_input::{self, Endpoint};
use crate::state::State;
use crate::task::{Outcome, Stage, Task};

const VERSION: &str = "2024-11-06";
const DOCUMENTATION: &str = "https://docs.dev.runwayml.com/api";
const FRAMES_PER_SECOND: u32 = 24;
const LEAST_UPLOAD_BYTES: usize = 512;

pub(crate) fn kind(call: &Call) -> Kind {
    match (&call.method, call.parts().as_slice()) {
        (&Method::POST, ["v1", "text_to_video" | "image_to_video"]) => Kind::Submit,
        (&Method::GET, ["v1", "tasks", _]) => Kind::Status,
        (&Method::DELETE, ["v1", "tasks", _]) => Kind::Cancel,
        _ => Kind::Other,
    }
}

pub(crate) fn prompt(call: &Call, state: &State) -> Option<String> {
    match call.parts().as_slice() {
        ["v1", "tasks", id] => state.with_task(id, |task| task.prompt.clone()),
        ["v1", "text_to_video" | "image_to_video"] => call.text_field("promptText"),
        _ => None,
    }
}

pub(crate) fn answer(call: &Call, state: &State, work: Option<&Fault>) -> Answer {
    let parts = call.parts();
    if let (&Method::POST, ["uploads", id]) = (&call.method, parts.as_slice()) {
        return store(call, state, id);
    }
    let account = Account::of_authorization(call, "Bearer");
    match account {
        Account::Missing => return error(401, "You must provide an API key."),
        Account::Wrong => return error(401, "The API key you provided is not valid."),
        Account::Good | Account::NoMoney => {}
    }
    match call.header("x-runway-version") {
        None => return error(400, "The X-Runway-Version header is required."),
        Some(VERSION) => {}
        Some(_) => return error(400, "The X-Runway-Version header names an unknown version."),
    }
    match (&call.method, parts.as_slice()) {
        (&Method::POST, ["v1", "text_to_video"]) => create(call, state, account, Endpoint::TextToVideo, work),
        (&Method::POST, ["v1", "image_to_video"]) => {
            create(call, state, account, Endpoint::ImageToVideo, work)
        }
        (&Method::GET, ["v1", "tasks", id]) => {
            let found = state.with_task(id, |task| visible(task).then(|| status(task, call, state)));
            found.flatten().unwrap_or_else(task_not_found)
        }
        (&Method::DELETE, ["v1", "tasks", id]) => {
            let deleted = state.with_task(id, |task| visible(task).then(|| task.is_cancelled = true));
            if deleted.flatten().is_some() { Answer::empty(204) } else { task_not_found() }
        }
        (&Method::POST, ["v1", "uploads"]) => upload(call, state),
        (&Method::GET, ["v1", "organization"]) => Answer::json(200, organization(account)),
        (&Method::POST, ["v1", "organization", "usage"]) => {
            Answer::json(200, json!({"models": [], "results": []}))
        }
        (_, ["v1", "text_to_video" | "image_to_video" | "tasks" | "uploads" | "organization", ..]) => {
            error(405, "Method Not Allowed")
        }
        _ => error(404, "Not Found"),
    }
}

/// The provider's body for an HTTP error that the script asks for.
pub(crate) fn error_body(status: u16) -> Value {
    match status {
        429 => json!({"error": "Your daily task limit has been reached."}),
        _ => json!({"error": "The simulator was asked for this error."}),
    }
}

fn create(call: &Call, state: &State, account: Account, endpoint: Endpoint, work: Option<&Fault>) -> Answer {
    let Some(body) = call.json() else { return error(400, "The request body is not valid JSON.") };
    let order = match runway_input::parse(&body, endpoint, state.options.allow_loopback_http_images) {
        Ok(order) => order,
        Err(runway_input::Refusal::Plain(message)) => return error(400, &message),
        Err(runway_input::Refusal::Issues(issues)) => {
            let body =
                json!({"error": "Validation of body failed", "issues": issues, "docUrl": DOCUMENTATION});
            return Answer::json(400, body);
        }
    };
    if !order.uploads.iter().all(|id| state.has_upload(id)) {
        return error(400, "Failed to fetch the asset at promptImage.");
    }
    if account == Account::NoMoney {
        let message = "You do not have enough credits to run this task.";
        return Answer::json(400, json!({"error": message, "docUrl": DOCUMENTATION}));
    }
    let (outcome, scripted) = Outcome::of(work);
    let credits = order.seconds * order.credits_per_second;
    let id = state.new_id();
    state.add_task(Task {
        id: id.clone(),
        provider: Provider::Runway,
        model: order.model,
        prompt: order.prompt.clone(),
        created_at: Timestamp::now(),
        started: Instant::now(),
        duration: state.options.timing.video,
        outcome,
        files: vec![MediaSpec::Video {
            prompt: order.prompt,
            width: order.width,
            height: order.height,
            frames: u32::try_from(order.seconds).unwrap_or(10) * FRAMES_PER_SECOND,
            frames_per_second: FRAMES_PER_SECOND,
        }],
        credits,
        details: Value::Null,
        scripted,
        is_cancelled: false,
    });
    Answer::json(200, json!({"id": id, "estimatedCost": {"credits": credits}})).accepted(id)
}

fn visible(task: &Task) -> bool {
    task.provider == Provider::Runway && !task.is_cancelled
}

fn status(task: &mut Task, call: &Call, state: &State) -> Answer {
    let created_at = task.created_at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string();
    let mut body = json!({"id": task.id, "createdAt": created_at});
    let cost = json!({"credits": task.credits});
    let (word, fields) = match (task.scripted.pop_front(), task.stage(), &task.outcome) {
        (Some(word), stage, _) => {
            let progress = if let Stage::Running(part) = stage { part } else { 0.0 };
            let fields = match word.as_str() {
                "RUNNING" => json!({"estimatedCost": cost, "progress": progress}),
                "CANCELLED" => json!({"cost": cost}),
                "FAILED" => {
                    json!({"cost": cost, "failure": "Something went wrong.", "failureCode": "INTERNAL"})
                }
                "SUCCEEDED" => json!({"cost": cost, "output": outputs(task, call, state)}),
                _ => json!({"estimatedCost": cost}),
            };
            (word, fields)
        }
        (None, Stage::Waiting, _) => ("PENDING".to_owned(), json!({"estimatedCost": cost})),
        (None, Stage::Running(part), _) => {
            let progress = (part * 100.0).round() / 100.0;
            ("RUNNING".to_owned(), json!({"estimatedCost": cost, "progress": progress}))
        }
        (None, Stage::Over, Outcome::Done | Outcome::Stuck) => {
            ("SUCCEEDED".to_owned(), json!({"cost": cost, "output": outputs(task, call, state)}))
        }
        (None, Stage::Over, Outcome::Moderated(_)) => {
            let failure = "The prompt was refused by the content moderation.";
            (
                "FAILED".to_owned(),
                json!({"cost": cost, "failure": failure, "failureCode": "SAFETY.INPUT.TEXT"}),
            )
        }
        (None, Stage::Over, Outcome::Failed(code)) if code == "CANCELLED" => {
            ("CANCELLED".to_owned(), json!({"cost": cost}))
        }
        (None, Stage::Over, Outcome::Failed(code)) if code == "absent" => {
            ("FAILED".to_owned(), json!({"cost": cost, "failure": "Something went wrong."}))
        }
        (None, Stage::Over, Outcome::Failed(code)) => {
            let failure = "The generation failed.";
            ("FAILED".to_owned(), json!({"cost": cost, "failure": failure, "failureCode": code}))
        }
    };
    if let (Value::Object(body), Value::Object(fields)) = (&mut body, fields) {
        body.insert("status".to_owned(), word.into());
        body.extend(fields);
    }
    Answer::json(200, body)
}

/// Fresh URLs at each reading, each with a token of its own.
fn outputs(task: &Task, call: &Call, state: &State) -> Vec<String> {
    let url = |(index, file): (usize, &MediaSpec)| {
        let token = state.new_id().replace('-', "");
        format!("{}/media/runway/{}-{index}.{}?_jwt={token}", call.origin, task.id, file.extension())
    };
    task.files.iter().enumerate().map(url).collect()
}

fn upload(call: &Call, state: &State) -> Answer {
    let body = call.json().unwrap_or_default();
    let is_complete = body.get("filename").is_some_and(Value::is_string)
        && body.get("type").and_then(Value::as_str) == Some("ephemeral");
    if !is_complete {
        let issue = json!({"code": "invalid_type", "path": ["filename"], "message": "`filename` and type `ephemeral` are required"});
        let body = json!({"error": "Validation of body failed", "issues": [issue], "docUrl": DOCUMENTATION});
        return Answer::json(400, body);
    }
    let id = state.new_id();
    let upload_url = format!("{}/runway/uploads/{id}", call.origin);
    Answer::json(
        200,
        json!({"uploadUrl": upload_url, "fields": {"key": id}, "runwayUri": format!("runway://uploads/{id}")}),
    )
}

/// The storage behind `uploadUrl`. It takes no key, but the form that belongs to the address.
fn store(call: &Call, state: &State, id: &str) -> Answer {
    let form = call.form().unwrap_or_default();
    let text = |name: &str| form.iter().find(|part| part.name == name).and_then(|part| part.text());
    // As at S3, what follows the file is not read.
    let file = form.iter().position(|part| part.name == "file");
    let key = form.iter().position(|part| part.name == "key");
    let is_signed = text("key") == Some(id) && key < file && call.header("authorization").is_none();
    match file.and_then(|index| form.get(index)).filter(|_| is_signed) {
        None => Answer::json(403, json!({"error": "the form does not belong to this address"})),
        Some(file) if file.bytes.len() < LEAST_UPLOAD_BYTES => {
            Answer::json(400, json!({"error": "the file is too small"}))
        }
        Some(_) => {
            state.add_upload(id);
            Answer::empty(204)
        }
    }
}

fn organization(account: Account) -> Value {
    let balance = if account == Account::NoMoney { 0 } else { 1_000_000 };
    let models: serde_json::Map<String, Value> = runway_input::MODELS
        .iter()
        .map(|model| {
            (model.name.to_owned(), json!({"maxConcurrentGenerations": 5, "maxDailyGenerations": 1000}))
        })
        .collect();
    let usage: serde_json::Map<String, Value> = runway_input::MODELS
        .iter()
        .map(|model| (model.name.to_owned(), json!({"dailyGenerations": 0})))
        .collect();
    json!({
        "creditBalance": balance,
        "tier": {"maxMonthlyCreditSpend": 200_000, "models": models},
        "usage": {"models": usage},
    })
}

fn task_not_found() -> Answer {
    error(404, "The task was not found.")
}

fn error(status: u16, message: &str) -> Answer {
    Answer::json(status, json!({"error": message}))
}
