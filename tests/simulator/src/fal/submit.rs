//! A submit: what is checked, in which order, and the work that it begins.

use http::Uri;
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use crate::answer::Answer;
use crate::call::{Account, Call};
use crate::fal::headers;
use crate::fal::input::{Input, detail};
use crate::fal::models::{self, Model};
use crate::fal::order::Order;
use crate::fal::{application_of, hook, request, text};
use crate::fault::{Fault, ModerationForm};
use crate::journal::Provider;
use crate::state::State;
use crate::task::{Outcome, Task};

/// Puts work into the queue.
pub(super) fn submit(call: &Call, state: &State, account: Account, id: &str, work: Option<&Fault>) -> Answer {
    let webhook_url = call.query("fal_webhook");
    if let Some(url) = webhook_url.filter(|url| !is_web_url(url)) {
        let place = json!(["query", "fal_webhook"]);
        return invalid(vec![detail(place, "Input should be a valid URL", "url_parsing", &url.into())]);
    }
    let task = match begin(call, state, account, id, work) {
        Ok(task) => task,
        Err(refusal) => return *refusal,
    };
    let request_id = task.id.clone();
    let mut body = urls(&task, call);
    body.insert("status".to_owned(), "IN_QUEUE".into());
    body.insert("request_id".to_owned(), request_id.clone().into());
    body.insert("gateway_request_id".to_owned(), request_id.clone().into());
    body.insert("queue_position".to_owned(), 0.into());
    let mut answer = Answer::json(200, body.into());
    if let Some(url) = webhook_url {
        answer = answer.webhook(hook::webhook(url, &task, call));
    }
    state.add_task(task);
    answer.header("x-fal-request-id", request_id.clone()).accepted(request_id)
}

/// Does the work while the caller waits, past the queue.
pub(super) fn direct(call: &Call, state: &State, account: Account, id: &str, work: Option<&Fault>) -> Answer {
    let task = match begin(call, state, account, id, work) {
        Ok(task) => task,
        Err(refusal) => return *refusal,
    };
    let mut answer = request::outcome(&task, call, state);
    answer.wait = (task.outcome != Outcome::Stuck).then_some(task.duration);
    let request_id = task.id.clone();
    state.add_task(task);
    answer.header("x-fal-request-id", request_id.clone()).accepted(request_id)
}

/// The work that a request asks for, or why there is none.
fn begin(
    call: &Call,
    state: &State,
    account: Account,
    id: &str,
    work: Option<&Fault>,
) -> Result<Task, Box<Answer>> {
    let Some(model) = models::find(id) else {
        return Err(Box::new(text(404, &format!("Application '{}' not found", application_of(id)))));
    };
    if account == Account::NoMoney {
        return Err(Box::new(text(
            403,
            "User is locked. Reason: Exhausted balance. Top up your balance at fal.ai/dashboard/billing.",
        )));
    }
    let start_timeout = headers::read(call).map_err(invalid)?;
    let body = call.json().ok_or_else(|| {
        invalid(vec![detail(json!(["body"]), "JSON decode error", "json_invalid", &Value::Null)])
    })?;
    let input = Input::check(model, &body, state, &call.base).map_err(invalid)?;
    let mut task = task(state, id, model, Order::of(model, &input), work);
    if let Some(timeout) = start_timeout.filter(|timeout| *timeout < task.waiting_time()) {
        task.duration = timeout;
        task.outcome = Outcome::Failed("request_timeout".to_owned());
        if let Value::Object(details) = &mut task.details {
            details.insert("is_start_timeout".to_owned(), true.into());
        }
    }
    Ok(task)
}

fn task(state: &State, id: &str, model: &Model, order: Order, work: Option<&Fault>) -> Task {
    let (outcome, scripted) = Outcome::of(work);
    let outcome = match outcome {
        Outcome::Moderated(ModerationForm::Model) if model.is_partner => {
            Outcome::Moderated(ModerationForm::Refusal)
        }
        Outcome::Moderated(ModerationForm::Model) => Outcome::Moderated(ModerationForm::NsfwFlag),
        Outcome::Moderated(ModerationForm::NsfwFlag) if model.is_video() => {
            Outcome::Moderated(ModerationForm::Refusal)
        }
        other => other,
    };
    let timing = state.options.timing;
    Task {
        id: state.new_id(),
        provider: Provider::Fal,
        model: id.to_owned(),
        prompt: order.prompt,
        created_at: Timestamp::now(),
        started: Instant::now(),
        duration: if model.is_video() { timing.video } else { timing.image },
        outcome,
        files: order.files,
        credits: 0,
        details: json!({"seed": order.seed, "sync_mode": order.sync_mode}),
        scripted,
        is_cancelled: false,
    }
}

/// The three URLs of a request, in which the model's sub-path is dropped.
pub(super) fn urls(task: &Task, call: &Call) -> Map<String, Value> {
    let response = format!("{}/{}/requests/{}", call.base, application_of(&task.model), task.id);
    let mut urls = Map::new();
    urls.insert("status_url".to_owned(), format!("{response}/status").into());
    urls.insert("cancel_url".to_owned(), format!("{response}/cancel").into());
    urls.insert("response_url".to_owned(), response.into());
    urls
}

fn is_web_url(text: &str) -> bool {
    let url = text.parse::<Uri>();
    url.is_ok_and(|url| matches!(url.scheme_str(), Some("http" | "https")) && url.host().is_some())
}

/// 422 with these entries.
pub(super) fn invalid(details: Vec<Value>) -> Answer {
    Answer::json(422, json!({"detail": details})).header("x-fal-retryable", "false")
}
