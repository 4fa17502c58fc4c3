//! Fal: the queue of `queue.fal.run`, the storage of `rest.fal.ai`, and webhooks, as in the contract sheet of 2026-11-22.
//!
//! | fact | value | kind |
//! |---|---|---|
//! | wrong input | 422 at the submit | documented for the gateway; real models may also answer at the result |
//! | result before completion | 400 | assumed |
//! | cancelled request | `COMPLETED`; result 499 `client_cancelled` | documented codes, combination assumed |
//! | cancel | 202 while waiting or running, 400 once over | documented |
//! | missing, wrong key | 401 with text | documented, wording assumed |
//! | no money | 403 `User is locked` | documented |

mod failure;
mod headers;
mod hook;
mod image;
mod input;
mod models;
mod order;
mod request;
mod storage;
mod submit;
mod uploads;

use http::Method;
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::call::{Account, Call};
use crate::fault::Fault;
use crate::journal::{Kind, Provider};
use crate::state::State;
use crate::task::Task;

pub(crate) use request::visible_file;
pub(crate) use uploads::Uploads as FalUploads;

/// Namespaces that may stand before owner and application.
const NAMESPACES: [&str; 2] = ["workflows", "comfy"];

/// The host of direct calls, where the simulator is reached by the provider's own names. Elsewhere `run/` stands
/// before the model.
const DIRECT_HOST: &str = "fal.run";

pub(crate) fn kind(call: &Call) -> Kind {
    match (&call.method, Target::of(call)) {
        (&Method::POST, Target::Model(_) | Target::Direct(_)) => Kind::Submit,
        (&Method::GET, Target::Request { action: Action::Status, .. }) => Kind::Status,
        (&Method::GET, Target::Request { action: Action::Result, .. }) => Kind::Result,
        (&Method::PUT, Target::Request { action: Action::Cancel, .. }) => Kind::Cancel,
        (&Method::GET | &Method::HEAD, Target::Storage) if call.parts().first() == Some(&"files") => {
            Kind::Media
        }
        _ => Kind::Other,
    }
}

pub(crate) fn prompt(call: &Call, state: &State) -> Option<String> {
    match Target::of(call) {
        Target::Request { id, .. } => state.with_task(&id, |task| task.prompt.clone()),
        Target::Model(_) | Target::Direct(_) => call.text_field("prompt"),
        Target::Storage | Target::Nothing => None,
    }
}

pub(crate) fn answer(call: &Call, state: &State, work: Option<&Fault>) -> Answer {
    let target = Target::of(call);
    if target == Target::Storage {
        return storage::answer(call, state);
    }
    let account = Account::of_authorization(call, "Key");
    if let Some(refused) = refused_account(account) {
        return refused;
    }
    match (&call.method, target) {
        (&Method::POST, Target::Model(model)) => submit::submit(call, state, account, &model, work),
        (&Method::POST, Target::Direct(model)) => submit::direct(call, state, account, &model, work),
        (method, Target::Request { application, id, action }) => {
            let found = state.with_task(&id, |task| {
                let is_here = task.provider == Provider::Fal && application_of(&task.model) == application;
                let now = |answer| Reply::Now(Box::new(answer));
                is_here.then(|| match (method, action) {
                    (&Method::GET, Action::Status) => now(request::status(task, call)),
                    (&Method::GET, Action::Result) => Reply::Result(Box::new(task.clone())),
                    (&Method::PUT, Action::Cancel) => now(request::cancel(task)),
                    _ => now(text(405, "Method Not Allowed")),
                })
            });
            match found.flatten() {
                Some(Reply::Now(answer)) => *answer,
                // Rendering takes time, so it is done without the lock on the tasks.
                Some(Reply::Result(task)) => request::result(&task, call, state),
                None if action == Action::Cancel => Answer::json(404, json!({"status": "NOT_FOUND"})),
                None => text(404, "Request not found"),
            }
        }
        (_, Target::Model(_) | Target::Direct(_)) => text(405, "Method Not Allowed"),
        (_, Target::Storage | Target::Nothing) => text(404, "Not Found"),
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
        422 => json!({"detail": [input::detail(json!(["body"]), text, "value_error", &Value::Null)]}),
        _ => json!({"detail": text}),
    }
}

enum Reply {
    Now(Box<Answer>),
    Result(Box<Task>),
}

/// What a path names.
#[derive(Debug, PartialEq, Eq)]
enum Target {
    Model(String),
    /// A model that is asked past the queue.
    Direct(String),
    Request {
        application: String,
        id: String,
        action: Action,
    },
    /// Uploads, uploaded files and public keys, which are on other hosts in the real world.
    Storage,
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
        if parts.first().is_some_and(|part| storage::ROOTS.contains(part)) {
            return Self::Storage;
        }
        if let ["run", model @ ..] = parts.as_slice() {
            return Self::Direct(model.join("/"));
        }
        if call.host() == Some(DIRECT_HOST) {
            return Self::Direct(parts.join("/"));
        }
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

/// The answer to a key that opens nothing.
fn refused_account(account: Account) -> Option<Answer> {
    match account {
        Account::Missing => Some(text(401, "Authentication is required to access this application.")),
        Account::Wrong => Some(text(401, "Invalid API key.")),
        Account::Good | Account::NoMoney => None,
    }
}

fn text(status: u16, detail: &str) -> Answer {
    Answer::json(status, json!({"detail": detail}))
}
