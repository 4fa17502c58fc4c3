//! Work of `v2beta`: what is asked for, begun, done at once or asked about later.

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::form::Form;
use super::operations::Operation;
use super::reply::{self, Form as ReplyForm};
use super::{Refusal, hex_id};
use crate::answer::Answer;
use crate::call::{Account, Call};
use crate::fault::{Fault, ModerationForm};
use crate::journal::Provider;
use crate::media::{ImageFormat, MediaSpec};
use crate::state::State;
use crate::task::{Outcome, Stage, Task};

/// Largest request.
pub(super) const MOST_BYTES: usize = 10 << 20;

/// A request for work.
pub(super) fn begin(
    call: &Call,
    state: &State,
    account: Account,
    operation: &Operation,
    work: Option<&Fault>,
) -> Result<Answer, Refusal> {
    if call.body.len() > MOST_BYTES {
        return Err(Refusal::too_large());
    }
    let form = Form::of(call).ok_or_else(|| Refusal::bad("content-type: must be multipart/form-data"))?;
    let reply_form = ReplyForm::of(call)?;
    let errors = operation.check(&form);
    if !errors.is_empty() {
        return Err(Refusal { status: 400, name: "bad_request".to_owned(), errors });
    }
    if account == Account::NoMoney {
        return Err(Refusal::out_of_credit());
    }
    let (outcome, scripted) = Outcome::of(work);
    if let Outcome::Moderated(ModerationForm::Model | ModerationForm::Refusal) = outcome {
        let text = "Your request was flagged by our content moderation system, as a result your request was denied and you were not charged.";
        return Err(Refusal::new(403, "content_moderation", text));
    }
    if let Outcome::Failed(code) = &outcome {
        let failure = Refusal::failure(code);
        if failure.status < 500 || !operation.is_asynchronous {
            return Err(failure);
        }
    }
    let is_filtered = matches!(outcome, Outcome::Moderated(_));
    let prompt = super::PROMPT_FIELDS.iter().find_map(|name| form.text(name)).unwrap_or_default().to_owned();
    let words = if prompt.is_empty() { form.fingerprint() } else { prompt.clone() };
    let seed = reply::seed(form.whole("seed"), &words);
    let (width, height) = operation.size(&form);
    let format = match form.text("output_format") {
        Some("jpeg") => ImageFormat::Jpeg,
        Some("webp") => ImageFormat::Webp,
        _ => ImageFormat::Png,
    };
    let spec = MediaSpec::Image { prompt: words, width, height, format, blank: is_filtered };
    if !operation.is_asynchronous {
        let mut answer = reply::image(state, spec, is_filtered, seed, reply_form);
        answer.wait = if outcome == Outcome::Stuck { None } else { Some(state.options.timing.image) };
        return Ok(answer.accepted(hex_id(state)));
    }
    let id = format!("{}{}", hex_id(state), hex_id(state));
    state.add_task(Task {
        id: id.clone(),
        provider: Provider::Stability,
        model: operation.name.to_owned(),
        prompt,
        created_at: Timestamp::now(),
        started: Instant::now(),
        duration: state.options.timing.image,
        outcome,
        files: vec![spec],
        credits: 0,
        details: json!({"seed": seed}),
        scripted,
        is_cancelled: false,
    });
    Ok(Answer::json(200, json!({"id": id})).accepted(id))
}

/// How work stands, or what it made.
pub(super) fn result(call: &Call, state: &State, id: &str) -> Result<Answer, Refusal> {
    let form = ReplyForm::of(call)?;
    let found = state.with_task(id, |task| {
        (task.provider == Provider::Stability).then(|| (task.scripted.pop_front(), task.clone()))
    });
    let Some((scripted, task)) = found.flatten() else {
        return Err(Refusal::new(404, "generation_not_found", "the generation was not found"));
    };
    let word = match scripted {
        None if task.stage() == Stage::Over => None,
        None => Some("in-progress".to_owned()),
        scripted => scripted,
    };
    if let Some(word) = word {
        return Ok(Answer::json(202, json!({"id": id, "status": word})));
    }
    if let Outcome::Failed(code) = &task.outcome {
        return Err(Refusal::failure(code));
    }
    let seed = task.details.get("seed").and_then(Value::as_u64).unwrap_or_default();
    let is_filtered = matches!(task.outcome, Outcome::Moderated(_));
    let spec = task.files.into_iter().next().ok_or_else(Refusal::not_found)?;
    Ok(reply::image(state, spec, is_filtered, seed, form))
}
