//! The Agents API: generations that are created and read.

use http::Method;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::agents_input::{self, Order};
use super::{Refusal, SIGNATURE, error, is_here, link};
use crate::answer::Answer;
use crate::call::{Account, Call};
use crate::fault::Fault;
use crate::journal::Provider;
use crate::state::State;
use crate::task::{Outcome, Stage, Task};

const VERSION: &str = "2026-04-01";
const MARK: &str = "agents";

pub(super) fn answer(
    call: &Call,
    parts: &[&str],
    state: &State,
    account: Account,
    work: Option<&Fault>,
) -> Answer {
    match (&call.method, parts) {
        (&Method::POST, ["generations"]) => create(call, state, account, work),
        (&Method::GET, ["generations", id]) => {
            let found =
                state.with_task(id, |task| (is_here(task) && made(task)).then(|| read(task, call, state)));
            found.flatten().unwrap_or_else(|| error(404, "Generation not found"))
        }
        (_, ["generations"] | ["generations", _]) => error(405, "Method Not Allowed"),
        _ => error(404, "Not Found"),
    }
}

/// Whether this API made the task.
pub(super) fn made(task: &Task) -> bool {
    task.details.get("api").and_then(Value::as_str) == Some(MARK)
}

/// What stands on every answer. A caller's `X-Request-Id` is echoed.
pub(super) fn with_headers(answer: Answer, call: &Call, state: &State) -> Answer {
    let request_id = call.header("x-request-id").map_or_else(|| state.new_id(), str::to_owned);
    answer.header("x-api-version", VERSION).header("x-request-id", request_id)
}

fn create(call: &Call, state: &State, account: Account, work: Option<&Fault>) -> Answer {
    let Some(body) = call.json() else {
        let fault = super::fields::fault(&[], "json_invalid", "JSON decode error");
        return Refusal::faults(vec![fault]).answer();
    };
    let order = match agents_input::parse(&body, state.options.allow_loopback_http_images) {
        Ok(order) => order,
        Err(refusal) => return refusal.answer(),
    };
    if let Some(missing) = missing_earlier(&order, state) {
        return Refusal::text(404, &format!("generation {missing} was not found")).answer();
    }
    if account == Account::NoMoney {
        return error(402, "Insufficient balance");
    }
    let (outcome, scripted) = Outcome::of(work);
    let timing = state.options.timing;
    let task = Task {
        id: state.new_id(),
        provider: Provider::Luma,
        model: order.model,
        prompt: order.prompt,
        created_at: Timestamp::now(),
        started: Instant::now(),
        duration: if order.kind == "video" { timing.video } else { timing.image },
        outcome,
        files: vec![order.file],
        credits: 0,
        details: json!({"api": MARK, "type": order.kind}),
        scripted,
        is_cancelled: false,
    };
    let answer = Answer::json(201, generation(&task, "queued", call, state)).accepted(task.id.clone());
    state.add_task(task);
    answer
}

fn missing_earlier<'a>(order: &'a Order, state: &State) -> Option<&'a String> {
    let is_there = |id: &String| {
        let found = state.with_task(id, |task| is_here(task) && made(task) && task.stage() == Stage::Over);
        found == Some(true)
    };
    order.earlier.iter().find(|id| !is_there(id))
}

fn read(task: &mut Task, call: &Call, state: &State) -> Answer {
    let word = match (task.scripted.pop_front(), task.stage(), &task.outcome) {
        (Some(word), ..) => word,
        (None, Stage::Waiting, _) => "queued".to_owned(),
        (None, Stage::Running(_), _) => "processing".to_owned(),
        (None, Stage::Over, Outcome::Moderated(_) | Outcome::Failed(_)) => "failed".to_owned(),
        (None, Stage::Over, Outcome::Done | Outcome::Stuck) => "completed".to_owned(),
    };
    Answer::json(200, generation(task, &word, call, state))
}

fn generation(task: &Task, word: &str, call: &Call, state: &State) -> Value {
    let mut body = json!({
        "id": task.id,
        "created_at": task.created_at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string(),
        "model": task.model,
        "type": task.details.get("type"),
        "state": word,
        "output": [],
        "failure_code": null,
        "failure_reason": null,
    });
    let Value::Object(fields) = &mut body else { return body };
    match word {
        "completed" => {
            let kind =
                if task.details.get("type").is_some_and(|kind| kind == "video") { "video" } else { "image" };
            // Each reading signs anew.
            let signed = |(index, file)| {
                let signature = state.new_id().replace('-', "");
                let url = link(task, index, file, &call.origin);
                json!({"type": kind, "url": format!("{url}?X-Amz-Expires=3600&{SIGNATURE}={signature}")})
            };
            fields.insert("output".to_owned(), task.files.iter().enumerate().map(signed).collect());
        }
        "failed" => {
            let code = match &task.outcome {
                Outcome::Moderated(_) => Some("content_moderated"),
                Outcome::Failed(code) if code == "absent" => None,
                Outcome::Failed(code) => Some(code.as_str()),
                Outcome::Done | Outcome::Stuck => Some("generation_failed"),
            };
            fields.insert("failure_code".to_owned(), code.into());
            fields.insert("failure_reason".to_owned(), "The generation failed.".into());
        }
        _ => {}
    }
    body
}
