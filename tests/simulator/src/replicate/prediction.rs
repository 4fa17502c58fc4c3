//! Predictions: made, told, listed, canceled.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::address::Address;
use super::input::{self, Order};
use super::models::Shape;
use super::refusal::Refusal;
use super::request::Request;
use super::timeline::{End, Timeline, refuses_by_code};
use super::webhook::Receiver;
use super::{files, time};
use crate::answer::Answer;
use crate::call::Call;
use crate::fault::Fault;
use crate::journal::Provider;
use crate::media::MediaSpec;
use crate::state::State;
use crate::task::{Outcome, Task};

/// Predictions on a page of the list.
const PAGE: usize = 100;
/// Letters of an id, without those that are easily confused.
const ID_LETTERS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const ID_LENGTH: u32 = 26;
/// What a failed run says when the script says nothing.
const FAILURE: &str = "The model failed.";

/// Makes a prediction, and waits for it when that is preferred.
pub(crate) fn create(
    call: &Call,
    state: &State,
    address: Address,
    request: &Request,
    work: Option<&Fault>,
) -> Answer {
    let order = input::order(address.model, &request.input);
    let (outcome, scripted) = Outcome::of(work);
    let failure =
        order.failure.clone().or_else(|| files::missing_input(&Value::Object(request.input.clone()), state));
    let outcome = match (failure, outcome) {
        (Some(failure), Outcome::Done) => Outcome::Failed(failure),
        (_, Outcome::Failed(code)) if !matches!(code.as_str(), "aborted" | "canceled") => {
            Outcome::Failed(failure_text(code))
        }
        (_, outcome) => outcome,
    };
    let timing = state.options.timing;
    let id = short_id(&state.new_id());
    let receiver = request.receiver.clone();
    let task = Task {
        id: id.clone(),
        provider: Provider::Replicate,
        duration: if order.is_video { timing.video } else { timing.image },
        details: facts(&address, request, &order),
        model: address.name,
        prompt: order.prompt,
        created_at: Timestamp::now(),
        started: Instant::now(),
        outcome,
        files: order.files,
        credits: 0,
        scripted,
        is_cancelled: false,
    };
    let timeline = Timeline::of(&task);
    let now = body(&task, &View::of(&task), &call.origin, Files::Links);
    state.add_task(task);
    let mut answer = Answer::json(201, now)
        .header("ratelimit-remaining", "599")
        .header("ratelimit-reset", "1")
        .accepted(id.clone());
    for webhook in receiver.iter().flat_map(|receiver| receiver.planned(&id, &timeline)) {
        answer = answer.webhook(webhook);
    }
    let Some(patience) = request.patience else { return answer };
    let wait = timeline.ends.map_or(patience, |ends| ends.min(patience));
    let origin = call.origin.clone();
    answer
        .header("preference-applied", request.preference.clone())
        .after(wait, move |state| report(state, &id, &origin))
}

/// The platform's own words for its codes (`PA`, `E` and four digits); anything else is what the model said.
fn failure_text(code: String) -> String {
    let is_platform = code
        .strip_prefix('E')
        .is_some_and(|digits| digits.len() == 4 && digits.bytes().all(|digit| digit.is_ascii_digit()));
    match code.as_str() {
        "PA" => "Prediction interrupted; please retry (code: PA)".to_owned(),
        _ if is_platform => format!("Director: unexpected error handling prediction ({code})"),
        _ => code,
    }
}

/// What a caller who waited is told: usually the end, or how far it came; or the next word of the script.
fn report(state: &State, id: &str, origin: &str) -> Answer {
    let found = state.with_task(id, |task| (task.scripted.pop_front(), task.clone()));
    let Some((scripted, task)) = found else { return Refusal::NotFound.answer() };
    let truth = View::of(&task);
    // The trap: told as still processing, with the output already there, as data.
    let is_early = scripted.as_deref() == Some("processing") && truth.has_output;
    let (view, files) = match scripted {
        Some(word) if is_early => (View::with_output(&word), Files::Inline(state)),
        Some(word) => (View::scripted(&word), Files::Links),
        None => (truth, Files::Links),
    };
    let status = if view.is_over || view.has_output { 201 } else { 202 };
    Answer::json(status, body(&task, &view, origin, files))
}

pub(crate) fn get(call: &Call, state: &State, id: &str) -> Answer {
    let found = with_prediction(state, id, |task| {
        let view = match task.scripted.pop_front() {
            Some(word) => View::scripted(&word),
            None => View::of(task),
        };
        body(task, &view, &call.origin, Files::Links)
    });
    found.map_or_else(|| Refusal::NotFound.answer(), |body| Answer::json(200, body))
}

pub(crate) fn cancel(call: &Call, state: &State, id: &str) -> Answer {
    let found = with_prediction(state, id, |task| {
        let elapsed = task.started.elapsed();
        let is_canceled_now = !Timeline::of(task).is_over(elapsed);
        if let (true, Value::Object(facts)) = (is_canceled_now, &mut task.details) {
            facts.insert("canceled_ms".to_owned(), json!(elapsed.as_millis()));
            task.is_cancelled = true;
        }
        let receiver = task.details.get("webhook").and_then(|facts| Receiver::from_json(facts, &call.origin));
        let body = body(task, &View::of(task), &call.origin, Files::Links);
        (body, receiver.filter(|_| is_canceled_now))
    });
    let Some((body, receiver)) = found else { return Refusal::NotFound.answer() };
    let answer = Answer::json(200, body);
    match receiver.and_then(|receiver| receiver.canceled(id)) {
        Some(webhook) => answer.webhook(webhook),
        None => answer,
    }
}

/// A page of the list, newest first. A cursor names the prediction next to the page and on which side it lies.
pub(crate) fn list(call: &Call, state: &State) -> Answer {
    let instant = |name: &str| call.query(name).and_then(|text| text.parse::<Timestamp>().ok());
    let (after, before) = (instant("created_after"), instant("created_before"));
    let is_listed = |task: &Task| {
        after.is_none_or(|after| task.created_at >= after)
            && before.is_none_or(|before| task.created_at < before)
    };
    let mut ids = state.task_ids(Provider::Replicate);
    ids.retain(|id| state.with_task(id, |task| is_listed(task)).unwrap_or(false));
    let position = |id: &str| ids.iter().position(|known| known == id);
    let start = match call.query("cursor").map(|cursor| cursor.split_at_checked(1)) {
        None => Some(0),
        Some(Some(("n", id))) => position(id).map(|position| position + 1),
        Some(Some(("p", id))) => position(id).map(|position| position.saturating_sub(PAGE)),
        Some(_) => None,
    };
    let Some(start) = start else {
        return Refusal::Unreadable("The cursor is invalid.".to_owned()).answer();
    };
    let page: Vec<&String> = ids.iter().skip(start).take(PAGE).collect();
    let url = |side: &str, id: &str| format!("{}/replicate/v1/predictions?cursor={side}{id}", call.origin);
    let next = page.last().filter(|_| start + PAGE < ids.len()).map(|id| url("n", id));
    let previous = page.first().filter(|_| start > 0).map(|id| url("p", id));
    let tell =
        |id: &&String| state.with_task(id, |task| body(task, &View::of(task), &call.origin, Files::Links));
    let results: Vec<Value> = page.iter().filter_map(tell).collect();
    Answer::json(200, json!({"previous": previous, "next": next, "results": results}))
}

/// How a prediction is told to stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct View {
    word: String,
    has_output: bool,
    is_over: bool,
    error: Option<String>,
    started: Option<Duration>,
    ended: Option<Duration>,
}

impl View {
    /// The truth.
    pub(crate) fn of(task: &Task) -> Self {
        Self::at(&Timeline::of(task), task.started.elapsed())
    }

    fn at(timeline: &Timeline, elapsed: Duration) -> Self {
        let is_over = timeline.is_over(elapsed);
        let error = match &timeline.end {
            End::Failed(text) if is_over => Some(text.clone()),
            End::Failed(_) | End::Succeeded | End::Canceled | End::Aborted => None,
        };
        Self {
            word: timeline.word(elapsed).to_owned(),
            has_output: is_over && timeline.end == End::Succeeded,
            is_over,
            error,
            started: Some(timeline.starts).filter(|starts| timeline.is_started() && elapsed >= *starts),
            ended: timeline.ends.filter(|_| is_over),
        }
    }

    /// A word of the script.
    fn scripted(word: &str) -> Self {
        Self {
            word: word.to_owned(),
            has_output: word == "succeeded",
            is_over: matches!(word, "succeeded" | "failed" | "canceled" | "aborted"),
            error: (word == "failed").then(|| FAILURE.to_owned()),
            started: None,
            ended: None,
        }
    }

    /// A word beside which the output is there already.
    pub(crate) fn with_output(word: &str) -> Self {
        Self { has_output: true, ..Self::scripted(word) }
    }
}

/// How the files of an output are given.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Files<'a> {
    Links,
    /// As data URIs, rendered now.
    Inline(&'a State),
}

/// The prediction object, with links below `origin`.
pub(crate) fn body(task: &Task, view: &View, origin: &str, files: Files<'_>) -> Value {
    let fact = |name: &str| task.details.get(name).cloned().unwrap_or_default();
    let url = format!("{origin}/replicate/v1/predictions/{}", task.id);
    let instant = |after: Duration| task.created_at.checked_add(after).ok().map(time);
    let mut body = json!({
        "id": task.id,
        "model": task.model,
        "version": fact("version"),
        "input": fact("input"),
        "logs": if view.word == "starting" { Value::from("") } else { fact("logs") },
        "output": if view.has_output { output(task, origin, files) } else { Value::Null },
        "data_removed": false,
        "error": view.error,
        "source": "api",
        "status": view.word,
        "created_at": time(task.created_at),
        "urls": {
            "get": url,
            "cancel": format!("{url}/cancel"),
            "web": format!("{origin}/replicate/p/{}", task.id),
        },
    });
    let deadline = fact("deadline_ms").as_u64().map(Duration::from_millis);
    let optional = [
        ("started_at", view.started.and_then(instant).map(Value::from)),
        ("completed_at", view.ended.and_then(instant).map(Value::from)),
        ("metrics", metrics(view)),
        ("deadline", deadline.and_then(instant).map(Value::from)),
        ("deployment", Some(fact("deployment")).filter(|deployment| !deployment.is_null())),
    ];
    for (name, value) in optional {
        if let (Some(value), Value::Object(body)) = (value, &mut body) {
            body.insert(name.to_owned(), value);
        }
    }
    body
}

/// How long it ran and how long it took in all; nothing for one that never ran.
fn metrics(view: &View) -> Option<Value> {
    let (started, ended) = (view.started?, view.ended?);
    let seconds = |duration: Duration| (duration.as_secs_f64() * 1e6).round() / 1e6;
    Some(json!({"predict_time": seconds(ended.saturating_sub(started)), "total_time": seconds(ended)}))
}

fn output(task: &Task, origin: &str, files: Files<'_>) -> Value {
    let uri = |(index, spec): (usize, &MediaSpec)| match files {
        Files::Links => {
            format!("{origin}/media/replicate/{}-{index}.{}", task.id, spec.extension())
        }
        Files::Inline(state) => {
            format!("data:{};base64,{}", spec.content_type(), STANDARD.encode(state.render(spec)))
        }
    };
    let mut uris = task.files.iter().enumerate().map(uri);
    match task.details.get("shape").and_then(Value::as_str) {
        Some("single") => uris.next().into(),
        Some("object") => json!({"image": uris.next()}),
        _ => uris.collect(),
    }
}

fn facts(address: &Address, request: &Request, order: &Order) -> Value {
    let ignored = input::unknown(address.model, &request.input);
    let logs: String = ignored
        .iter()
        .map(|name| format!("ignoring the input {name}, which the model does not know\n"))
        .collect();
    let shape = match address.model.shape {
        Shape::List => "list",
        Shape::Single => "single",
        Shape::Object => "object",
    };
    json!({
        "version": address.version,
        "deployment": address.deployment,
        "input": request.input,
        "shape": shape,
        "logs": format!("{logs}Using seed: {}\nPrompt: {}\n", order.seed, order.prompt),
        "deadline_ms": request.deadline.map(|deadline| deadline.as_millis()),
        "refuses_by_code": refuses_by_code(address.model.family),
        "webhook": request.receiver.as_ref().map(Receiver::to_json),
    })
}

fn with_prediction<T>(state: &State, id: &str, use_task: impl FnOnce(&mut Task) -> T) -> Option<T> {
    state.with_task(id, |task| (task.provider == Provider::Replicate).then(|| use_task(task))).flatten()
}

/// An id in the provider's form, from one in the form of a UUID.
fn short_id(uuid: &str) -> String {
    let value = u128::from_str_radix(&uuid.replace('-', ""), 16).unwrap_or_default();
    let letter = |index: u32| {
        let digit = usize::try_from(value >> (5 * (ID_LENGTH - 1 - index)).min(127) & 31).unwrap_or_default();
        ID_LETTERS.get(digit).copied().map_or('0', char::from)
    };
    (0..ID_LENGTH).map(letter).collect()
}
