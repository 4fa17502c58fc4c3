//! Fal: the queue of `queue.fal.run`, as in the contract sheet of 2026-11-22.
//!
//! | fact | value | kind |
//! |---|---|---|
//! | wrong input | 422 at the submit | documented for the gateway; real models may also answer at the result |
//! | result before completion | 400 | assumed |
//! | cancelled request | `COMPLETED`; result 499 `client_cancelled` | documented codes, combination assumed |
//! | cancel | 202 while waiting or running, 400 once over | documented |
//! | missing, wrong key | 401 with text | documented, wording assumed |
//! | no money | 403 `User is locked` | documented |

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use crate::answer::Answer;
use crate::call::{Account, Call};
use crate::fal_input;
use crate::fault::{Fault, ModerationForm};
use crate::journal::{Kind, Provider};
use crate::media::MediaSpec;
use crate::state::State;
use crate::task::{Outcome, Stage, Task};

/// Namespaces that may stand before owner and application.
const NAMESPACES: [&str; 2] = ["workflows", "comfy"];

pub(crate) fn kind(call: &Call) -> Kind {
    match (&call.method, Target::of(call)) {
        (&Method::POST, Target::Model(_)) => Kind::Submit,
        (&Method::GET, Target::Request { action: Action::Status, .. }) => Kind::Status,
        (&Method::GET, Target::Request { action: Action::Result, .. }) => Kind::Result,
        (&Method::PUT, Target::Request { action: Action::Cancel, .. }) => Kind::Cancel,
        _ => Kind::Other,
    }
}

pub(crate) fn prompt(call: &Call, state: &State) -> Option<String> {
    match Target::of(call) {
        Target::Request { id, .. } => state.with_task(&id, |task| task.prompt.clone()),
        Target::Model(_) => call.text_field("prompt"),
        Target::Nothing => None,
    }
}

pub(crate) fn answer(call: &Call, state: &State, work: Option<&Fault>) -> Answer {
    let account = Account::of_authorization(call, "Key");
    match account {
        Account::Missing => return text(401, "Authentication is required to access this application."),
        Account::Wrong => return text(401, "Invalid API key."),
        Account::Good | Account::NoMoney => {}
    }
    match (&call.method, Target::of(call)) {
        (&Method::POST, Target::Model(model)) => submit(call, state, account, &model, work),
        (method, Target::Request { application, id, action }) => {
            let found = state.with_task(&id, |task| {
                let is_here = task.provider == Provider::Fal && application_of(&task.model) == application;
                is_here.then(|| match (method, action) {
                    (&Method::GET, Action::Status) => Reply::Now(status(task, call)),
                    (&Method::GET, Action::Result) => Reply::Result(Box::new(task.clone())),
                    (&Method::PUT, Action::Cancel) => Reply::Now(cancel(task)),
                    _ => Reply::Now(text(405, "Method Not Allowed")),
                })
            });
            match found.flatten() {
                Some(Reply::Now(answer)) => answer,
                // Rendering takes time, so it is done without the lock on the tasks.
                Some(Reply::Result(task)) => result(&task, call, state),
                None if action == Action::Cancel => Answer::json(404, json!({"status": "NOT_FOUND"})),
                None => text(404, "Request not found"),
            }
        }
        (_, Target::Model(_)) => text(405, "Method Not Allowed"),
        (_, Target::Nothing) => text(404, "Not Found"),
    }
}

/// The provider's body for an HTTP error that the script asks for.
pub(crate) fn error_body(status: u16) -> Value {
    let text = "The simulator was asked for this error.";
    match status {
        500 => json!({"detail": text, "error_type": "internal_error"}),
        502 => json!({"detail": text, "error_type": "runner_incomplete_response"}),
        503 => json!({"detail": text, "error_type": "runner_scheduling_failure"}),
        504 => json!({"detail": text, "error_type": "request_timeout"}),
        422 => json!({"detail": [fal_input::detail(&[], text, "value_error", &Value::Null)]}),
        _ => json!({"detail": text}),
    }
}

enum Reply {
    Now(Answer),
    Result(Box<Task>),
}

/// What a path names.
#[derive(Debug, PartialEq, Eq)]
enum Target {
    Model(String),
    Request { application: String, id: String, action: Action },
    Nothing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Status,
    Result,
    Cancel,
}

impl Target {
    fn of(call: &Call) -> Self {
        let parts = call.parts();
        let application_length =
            if parts.first().is_some_and(|part| NAMESPACES.contains(part)) { 3 } else { 2 };
        let Some((application, rest)) = parts.split_at_checked(application_length) else {
            return Self::Nothing;
        };
        let request = |id: &str, action| Self::Request {
            application: application.join("/"),
            id: id.to_owned(),
            action,
        };
        match rest {
            ["requests", id] => request(id, Action::Result),
            ["requests", id, "status"] => request(id, Action::Status),
            ["requests", id, "cancel"] => request(id, Action::Cancel),
            _ if parts.contains(&"requests") => Self::Nothing,
            _ => Self::Model(parts.join("/")),
        }
    }
}

/// Namespace, owner and application, without the sub-path.
fn application_of(model: &str) -> String {
    let length = if model.split('/').next().is_some_and(|part| NAMESPACES.contains(&part)) { 3 } else { 2 };
    model.split('/').take(length).collect::<Vec<_>>().join("/")
}

fn submit(call: &Call, state: &State, account: Account, id: &str, work: Option<&Fault>) -> Answer {
    let Some(model) = fal_input::model(id) else {
        return text(404, &format!("Application '{}' not found", application_of(id)));
    };
    if account == Account::NoMoney {
        return text(
            403,
            "User is locked. Reason: Exhausted balance. Top up your balance at fal.ai/dashboard/billing.",
        );
    }
    let Some(body) = call.json() else {
        return invalid(vec![fal_input::detail(&[], "JSON decode error", "json_invalid", &Value::Null)]);
    };
    let order = match fal_input::parse(model, &body) {
        Ok(order) => order,
        Err(details) => return invalid(details),
    };
    let (outcome, scripted) = Outcome::of(work);
    let outcome = match outcome {
        Outcome::Moderated(ModerationForm::Model) if order.is_partner => {
            Outcome::Moderated(ModerationForm::Refusal)
        }
        Outcome::Moderated(ModerationForm::Model) => Outcome::Moderated(ModerationForm::NsfwFlag),
        Outcome::Moderated(ModerationForm::NsfwFlag) if order.is_video => {
            Outcome::Moderated(ModerationForm::Refusal)
        }
        other => other,
    };
    let timing = state.options.timing;
    let request_id = state.new_id();
    let task = Task {
        id: request_id.clone(),
        provider: Provider::Fal,
        model: id.to_owned(),
        prompt: order.prompt,
        created_at: Timestamp::now(),
        started: Instant::now(),
        duration: if order.is_video { timing.video } else { timing.image },
        outcome,
        files: order.files,
        credits: 0,
        details: json!({"seed": order.seed, "sync_mode": order.sync_mode, "is_video": order.is_video}),
        scripted,
        is_cancelled: false,
    };
    let mut body = urls(&task, call);
    body.insert("status".to_owned(), "IN_QUEUE".into());
    body.insert("request_id".to_owned(), request_id.clone().into());
    body.insert("gateway_request_id".to_owned(), request_id.clone().into());
    body.insert("queue_position".to_owned(), 0.into());
    state.add_task(task);
    Answer::json(200, body.into()).header("x-fal-request-id", request_id.clone()).accepted(request_id)
}

/// The three URLs of a request, in which the model's sub-path is dropped.
fn urls(task: &Task, call: &Call) -> Map<String, Value> {
    let response = format!("{}/fal/{}/requests/{}", call.origin, application_of(&task.model), task.id);
    let mut urls = Map::new();
    urls.insert("status_url".to_owned(), format!("{response}/status").into());
    urls.insert("cancel_url".to_owned(), format!("{response}/cancel").into());
    urls.insert("response_url".to_owned(), response.into());
    urls
}

fn status(task: &mut Task, call: &Call) -> Answer {
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

fn cancel(task: &mut Task) -> Answer {
    match task.stage() {
        Stage::Over => Answer::json(400, json!({"status": "ALREADY_COMPLETED"})),
        Stage::Waiting | Stage::Running(_) => {
            task.is_cancelled = true;
            Answer::json(202, json!({"status": "CANCELLATION_REQUESTED"}))
        }
    }
}

fn result(task: &Task, call: &Call, state: &State) -> Answer {
    let answer = if task.stage() != Stage::Over {
        let body = json!({"detail": "Request is still in progress", "error_type": "bad_request"});
        Answer::json(400, body).header("x-fal-error-type", "bad_request")
    } else if let Some(failure) = Failure::of(task) {
        failure.answer(task)
    } else {
        Answer::json(200, output(task, call, state))
    };
    answer.header("x-fal-request-id", task.id.clone())
}

fn output(task: &Task, call: &Call, state: &State) -> Value {
    let is_flagged = task.outcome == Outcome::Moderated(ModerationForm::NsfwFlag);
    let fact = |name: &str| task.details.get(name).cloned().unwrap_or_default();
    let is_inline = fact("sync_mode") == Value::Bool(true);
    let file = |(index, spec): (usize, &MediaSpec)| {
        let name = format!("{}-{index}.{}", task.id, spec.extension());
        let bytes = state.render(&visible_file(task, spec));
        let url = if is_inline {
            format!("data:{};base64,{}", spec.content_type(), STANDARD.encode(&bytes))
        } else {
            format!("{}/media/fal/{name}", call.origin)
        };
        let mut file = json!({
            "url": url, "content_type": spec.content_type(), "file_name": name, "file_size": bytes.len(),
        });
        if let (Value::Object(file), MediaSpec::Image { width, height, .. }) = (&mut file, spec) {
            file.insert("width".to_owned(), (*width).into());
            file.insert("height".to_owned(), (*height).into());
        }
        file
    };
    let files: Vec<Value> = task.files.iter().enumerate().map(file).collect();
    if fact("is_video") == Value::Bool(true) {
        return json!({"video": files.into_iter().next(), "seed": fact("seed"), "prompt": task.prompt});
    }
    let mut body = json!({
        "timings": {"inference": task.duration.as_secs_f64()}, "seed": fact("seed"), "prompt": task.prompt,
        "has_nsfw_concepts": vec![is_flagged; files.len()], "images": files,
    });
    if let Value::Object(body) = &mut body
        && task.model.starts_with("fal-ai/stable-diffusion-v3-medium")
    {
        body.insert("num_images".to_owned(), task.files.len().into());
    }
    body
}

/// The file as it is served: black when the picture was flagged.
pub(crate) fn visible_file(task: &Task, spec: &MediaSpec) -> MediaSpec {
    let mut spec = spec.clone();
    if let MediaSpec::Image { blank, .. } = &mut spec {
        *blank = task.outcome == Outcome::Moderated(ModerationForm::NsfwFlag);
    }
    spec
}

/// How a request that is over has failed.
struct Failure {
    status: u16,
    kind: String,
    message: String,
}

impl Failure {
    fn of(task: &Task) -> Option<Self> {
        if task.is_cancelled {
            let message = "Request was cancelled by the client".to_owned();
            return Some(Self { status: 499, kind: "client_cancelled".to_owned(), message });
        }
        match &task.outcome {
            Outcome::Moderated(ModerationForm::Refusal) => Some(Self {
                status: 422,
                kind: "content_policy_violation".to_owned(),
                message: "The content could not be processed because it contained material flagged by a content checker."
                    .to_owned(),
            }),
            Outcome::Failed(kind) => {
                let message = format!("The request failed: {kind}");
                Some(Self { status: failure_status(kind), kind: kind.clone(), message })
            }
            Outcome::Done | Outcome::Stuck | Outcome::Moderated(_) => None,
        }
    }

    /// Platform errors have one text, model errors a list.
    fn answer(&self, task: &Task) -> Answer {
        if is_platform_error(&self.kind) {
            let body = json!({"detail": self.message, "error_type": self.kind});
            return Answer::json(self.status, body).header("x-fal-error-type", self.kind.clone());
        }
        let detail = fal_input::detail(&["prompt"], &self.message, &self.kind, &json!(task.prompt));
        let is_retryable = self.status >= 500;
        Answer::json(self.status, json!({"detail": [detail]}))
            .header("x-fal-retryable", is_retryable.to_string())
    }
}

fn is_platform_error(kind: &str) -> bool {
    kind.starts_with("runner_")
        || kind.starts_with("client_")
        || matches!(kind, "request_timeout" | "startup_timeout" | "internal_error" | "bad_request")
}

fn failure_status(kind: &str) -> u16 {
    match kind {
        "internal_server_error"
        | "downstream_service_unavailable"
        | "runner_server_error"
        | "internal_error" => 500,
        "runner_incomplete_response" => 502,
        "runner_scheduling_failure" | "runner_connection_timeout" | "runner_connection_refused" => 503,
        "runner_connection_error" | "runner_disconnected" => 503,
        "generation_timeout" | "request_timeout" | "startup_timeout" => 504,
        "downstream_service_error" | "bad_request" => 400,
        "client_disconnected" | "client_cancelled" => 499,
        _ => 422,
    }
}

fn text(status: u16, detail: &str) -> Answer {
    Answer::json(status, json!({"detail": detail}))
}

fn invalid(details: Vec<Value>) -> Answer {
    Answer::json(422, json!({"detail": details})).header("x-fal-retryable", "false")
}
