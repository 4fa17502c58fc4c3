//! Dream Machine: generations that are created, read, listed and deleted, and the account.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::dream_input::{self, CONCEPTS, Order, Wanted};
use super::{Refusal, agents, error, is_here, link};
use crate::answer::Answer;
use crate::call::{Account, Call};
use crate::fault::{Fault, ModerationForm};
use crate::journal::Provider;
use crate::media::MediaSpec;
use crate::state::State;
use crate::task::{Outcome, Stage, Task};
use crate::webhook::{Message, Webhook};

/// Tries of a callback and the pause between two.
const CALLBACK_TRIES: u32 = 3;
const CALLBACK_PAUSE: Duration = Duration::from_millis(100);
/// How long a work that never ends is waited for, at most.
const LONGEST_SYNC_S: f64 = 3600.0;
const LIST_LIMIT: usize = 100;

pub(super) fn answer(
    call: &Call,
    parts: &[&str],
    state: &State,
    account: Account,
    work: Option<&Fault>,
) -> Answer {
    match (&call.method, parts) {
        (&Method::POST, ["generations"] | ["generations", "video"]) => {
            create(call, state, account, Wanted::Video, work)
        }
        (&Method::POST, ["generations", "image"]) => create(call, state, account, Wanted::Image, work),
        (&Method::GET, ["generations", "concepts", "list"]) => Answer::json(200, json!(CONCEPTS)),
        (&Method::GET, ["generations"]) => list(call, state),
        (&Method::GET, ["generations", id]) => {
            let found = state.with_task(id, |task| is_mine(task).then(|| read(task, &call.origin)));
            found.flatten().map_or_else(not_found, |body| Answer::json(200, body))
        }
        (&Method::DELETE, ["generations", id]) => {
            let deleted = state.with_task(id, |task| is_mine(task).then(|| task.is_cancelled = true));
            if deleted.flatten().is_some() { Answer::empty(204) } else { not_found() }
        }
        (&Method::GET, ["credits"]) => {
            let balance = if account == Account::NoMoney { 0.0 } else { 100_000.0 };
            Answer::json(200, json!({"credit_balance": balance}))
        }
        (&Method::GET, ["ping"]) => Answer::json(200, json!({"message": "pong"})),
        (_, ["generations", ..] | ["credits"] | ["ping"]) => error(405, "Method Not Allowed"),
        _ => error(404, "Not Found"),
    }
}

fn create(call: &Call, state: &State, account: Account, wanted: Wanted, work: Option<&Fault>) -> Answer {
    let Some(body) = call.json() else {
        let fault = super::fields::fault(&[], "json_invalid", "JSON decode error");
        return Refusal::faults(vec![fault]).answer();
    };
    let order = match dream_input::parse(&body, wanted, state.options.allow_loopback_http_images) {
        Ok(order) => order,
        Err(refusal) => return refusal.answer(),
    };
    if let Some(refusal) = refused_earlier(&order, state) {
        return refusal.answer();
    }
    if account == Account::NoMoney {
        return Refusal::text(400, "Insufficient credits").answer();
    }
    let (outcome, scripted) = Outcome::of(work);
    if outcome == Outcome::Moderated(ModerationForm::Refusal) {
        return Refusal::text(400, "prompt not allowed because of moderation").answer();
    }
    let timing = state.options.timing;
    let (word, duration) = match wanted {
        Wanted::Video => ("video", timing.video),
        Wanted::Image => ("image", timing.image),
    };
    let mut request = body;
    if let Value::Object(request) = &mut request {
        request.retain(|_, value| !value.is_null());
        request.insert("generation_type".to_owned(), word.into());
    }
    let mut task = Task {
        id: state.new_id(),
        provider: Provider::Luma,
        model: order.model,
        prompt: order.prompt,
        created_at: Timestamp::now(),
        started: Instant::now(),
        duration,
        outcome,
        files: vec![order.file],
        credits: 0,
        details: json!({"request": request, "generation_type": word}),
        scripted,
        is_cancelled: false,
    };
    let mut answer = match order.sync_seconds {
        None => Answer::json(201, generation(&task, "queued", &call.origin)),
        Some(seconds) => finished_in_time(&mut task, seconds, &call.origin),
    };
    answer = answer.accepted(task.id.clone());
    if let Some(url) = order.callback_url {
        answer = answer.webhook(callback(url, &task, call.origin.clone()));
    }
    state.add_task(task);
    answer
}

/// The first keyframe that names a generation which cannot be continued.
fn refused_earlier(order: &Order, state: &State) -> Option<Refusal> {
    let is_video = |id: &String| {
        let found = state.with_task(id, |task| {
            let is_video = matches!(task.files.first(), Some(MediaSpec::Video { .. }));
            is_mine(task) && is_video && task.stage() == Stage::Over && task.outcome == Outcome::Done
        });
        found == Some(true)
    };
    let missing = order.earlier.iter().find(|id| !is_video(id))?;
    Some(Refusal::text(400, &format!("generation {missing} is no completed video")))
}

/// The answer to a synchronous create: it comes when the image is there or the time is over.
fn finished_in_time(task: &mut Task, seconds: f64, origin: &str) -> Answer {
    let patience = Duration::from_secs_f64(seconds.clamp(0.0, LONGEST_SYNC_S));
    let is_in_time = task.duration <= patience && task.outcome != Outcome::Stuck;
    let word = if is_in_time { final_word(task) } else { "dreaming" };
    let mut answer = Answer::json(201, generation(task, word, origin));
    answer.wait = Some(if is_in_time { task.duration } else { patience });
    answer
}

fn callback(url: String, task: &Task, origin: String) -> Webhook {
    let id = task.id.clone();
    let make = move |state: &State| {
        let body = state.with_task(&id, |task| {
            let is_over = is_mine(task) && task.stage() == Stage::Over;
            is_over.then(|| generation(task, final_word(task), &origin))
        });
        body.flatten().map(|body| Message { headers: Vec::new(), body: Bytes::from(body.to_string()) })
    };
    Webhook {
        provider: Provider::Luma,
        url,
        method: Method::POST,
        after: task.duration,
        tries: CALLBACK_TRIES,
        pause: CALLBACK_PAUSE,
        make: Arc::new(make),
    }
}

fn list(call: &Call, state: &State) -> Answer {
    let number = |name, fallback| match call.query(name) {
        None => Some(fallback),
        Some(text) => text.parse::<usize>().ok(),
    };
    let (Some(limit), Some(offset)) = (number("limit", LIST_LIMIT), number("offset", 0)) else {
        return Refusal::faults(vec![super::fields::fault(&["limit"], "int_parsing", "Not a number")])
            .answer();
    };
    let all = state.newest_tasks(is_mine, |task| read_without_script(task, &call.origin));
    let page: Vec<&Value> = all.iter().skip(offset).take(limit.min(LIST_LIMIT)).collect();
    let has_more = offset.saturating_add(page.len()) < all.len();
    Answer::json(
        200,
        json!({
            "has_more": has_more, "count": page.len(), "limit": limit, "offset": offset, "generations": page,
        }),
    )
}

/// The generation as it is now, or as the script says.
fn read(task: &mut Task, origin: &str) -> Value {
    match task.scripted.pop_front() {
        Some(word) => generation(task, &word, origin),
        None => read_without_script(task, origin),
    }
}

fn read_without_script(task: &Task, origin: &str) -> Value {
    let word = match task.stage() {
        Stage::Waiting => "queued",
        Stage::Running(_) => "dreaming",
        Stage::Over => final_word(task),
    };
    generation(task, word, origin)
}

fn final_word(task: &Task) -> &'static str {
    match task.outcome {
        Outcome::Moderated(_) | Outcome::Failed(_) => "failed",
        Outcome::Done | Outcome::Stuck => "completed",
    }
}

/// The generation in this state.
fn generation(task: &Task, state: &str, origin: &str) -> Value {
    let fact = |name: &str| task.details.get(name).cloned().unwrap_or_default();
    let asset = if fact("generation_type") == "image" { "image" } else { "video" };
    let assets = match task.files.first().filter(|_| state == "completed") {
        Some(file) => json!({asset: link(task, 0, file, origin)}),
        None => Value::Null,
    };
    let reason = match &task.outcome {
        _ if state != "failed" => None,
        Outcome::Moderated(_) => Some("400: the prompt or the output was refused by the moderation"),
        Outcome::Failed(code) => Some(code.as_str()),
        Outcome::Done | Outcome::Stuck => Some("the generation failed"),
    };
    json!({
        "id": task.id,
        "generation_type": fact("generation_type"),
        "state": state,
        "failure_reason": reason,
        "created_at": task.created_at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string(),
        "assets": assets,
        "model": task.model,
        "request": fact("request"),
    })
}

fn is_mine(task: &Task) -> bool {
    is_here(task) && !agents::made(task)
}

fn not_found() -> Answer {
    error(404, "Generation not found")
}
