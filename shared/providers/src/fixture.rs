//! Recorded and constructed replies for tests, and one line of text for each outcome, so that tables stay readable.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use atelier_domain::Timestamp;
use atelier_domain::error::ProviderError;
use atelier_domain::job::{JobSpec, OutputSource, RemoteOperation};
use atelier_domain::money::ReportedCost;
use atelier_domain::operation::{OnUnknownOutcome, Operation, Priority, Provider};
use atelier_domain::ports::{Checked, Finished, PreparedInput, ProviderKey, SubmitCall};
use atelier_domain::secret::Secret;
use bytes::Bytes;
use http::HeaderMap;
use serde_json::Value;

use crate::exchange::{Body, FormPart, FormValue, HeaderText, HttpReply, HttpRequest, ReplyHead};
use crate::message::{finished_check, finished_error};
use crate::settings::{EndpointSettings, ProviderSettings};
use crate::wire::{Accepted, Answered, CheckStep, DecodeResult, Endpoint, Look, MediaFacts, Question, Wire};

pub(crate) const KEY: &str = "key_0123456789abcdef:fedcba9876543210";

pub(crate) fn now() -> Timestamp {
    "2026-11-22T08:00:00Z".parse().unwrap()
}

pub(crate) fn key() -> ProviderKey {
    ProviderKey(Secret::new(KEY.to_owned()))
}

/// A request for `provider/model` with this config.
pub(crate) fn call(provider: Provider, operation: Operation, model: &str, config: Value) -> SubmitCall {
    let spec = JobSpec {
        operation,
        provider,
        model: model.to_owned(),
        prompt: Some("a fox".to_owned()),
        input: None,
        files: Default::default(),
        config: config.as_object().cloned().unwrap(),
        credential_id: None,
        priority: Priority::Normal,
        run_at: None,
        start_deadline: now(),
        metadata: serde_json::Map::new(),
        capture_prompt: true,
        on_unknown_outcome: OnUnknownOutcome::Fail,
    };
    SubmitCall { spec, input: None, files: Default::default(), key: key(), callback_url: None }
}

/// Puts a file behind an option.
pub(crate) fn with_file(mut call: SubmitCall, option: &str, file: PreparedInput) -> SubmitCall {
    call.files.insert(option.to_owned(), file);
    call
}

pub(crate) fn with_input(mut call: SubmitCall, input: PreparedInput) -> SubmitCall {
    call.input = Some(input);
    call
}

/// An endpoint at that base.
pub(crate) fn endpoint(base: &str) -> Endpoint {
    let mut settings = ProviderSettings::default();
    settings.fal = EndpointSettings { base_url: Some(base.to_owned()), ..settings.fal };
    settings.endpoint(Provider::Fal).unwrap_or_else(|problems| panic!("{problems:?}"))
}

/// The request of a question.
pub(crate) fn asked(question: Question) -> HttpRequest {
    match question {
        Question::Ask(request) => request,
        Question::Known(found) => panic!("nothing is asked: {found:?}"),
    }
}

/// A request as one text: method, URL, headers with the key hidden, body.
pub(crate) fn shown(request: &HttpRequest) -> String {
    let headers: Vec<String> = request
        .headers
        .iter()
        .map(|header| match &header.value {
            HeaderText::Plain(text) => format!("{}: {text}", header.name),
            HeaderText::Secret(secret) => format!("{}: {}", header.name, secret.expose().replace(KEY, "KEY")),
        })
        .collect();
    let body = match &request.body {
        Body::None => String::new(),
        Body::Json(value) => sorted(value).to_string(),
        Body::Bytes { content_type, bytes } => format!("{content_type} {} bytes", bytes.len()),
        Body::Form(parts) => parts.iter().map(shown_part).collect::<Vec<_>>().join("\n"),
    };
    format!("{} {}\n{}\n{body}", request.method, request.url, headers.join("\n"))
}

fn shown_part(part: &FormPart) -> String {
    match &part.value {
        FormValue::Text(text) => format!("{} = {text}", part.name),
        FormValue::File { file_name, content_type, bytes } => {
            format!("{} = file {file_name} {content_type} {} bytes", part.name, bytes.len())
        }
    }
}

/// With its names in order, whichever features serde_json was built with.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<(String, Value)> =
                fields.iter().map(|(name, value)| (name.clone(), sorted(value))).collect();
            fields.sort_by(|left, right| left.0.cmp(&right.0));
            Value::Object(fields.into_iter().collect())
        }
        other => other.clone(),
    }
}

/// Decodes every fixture of the provider with `wire` and compares with the table: name to outcome. The name's first
/// word tells which call the reply answers: `submit` (read whole), `media` (its head, when it holds the media), `check`,
/// `result` (the second question of a check), `abandon`. A file without a row and a row without a file fail; names that
/// begin with another word belong to tests of their own.
pub(crate) fn assert_table<W: Wire>(
    wire: &W,
    call: &SubmitCall,
    endpoint: &Endpoint,
    result: Option<DecodeResult>,
    rows: &[(&str, &str)],
) {
    let remote = RemoteOperation { id: "id-1".to_owned(), submitted_at: now(), urls: Default::default() };
    let look = Look { spec: &call.spec, remote: &remote, key: &call.key };
    let mut wrong = Vec::new();
    for (name, expected) in rows {
        let reply = load(W::PROVIDER, name);
        let found = match name.split('_').next().unwrap() {
            "media" => told(wire.decode_media(&reply.head, &call.spec), told_media),
            "submit" => told(wire.decode_submit(&reply, &call.spec, endpoint, now()), told_answer),
            "check" => told(wire.decode_check(&reply, &look, endpoint), told_step),
            "result" => told(result.unwrap()(&reply), told_check),
            "abandon" => told(wire.decode_abandon(&reply), |done| format!("{done:?}")),
            other => panic!("no call is named {other}"),
        };
        if found != *expected {
            wrong.push(format!("{name}\n  expected {expected}\n  found    {found}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let in_table: BTreeSet<String> = rows.iter().map(|(name, _)| (*name).to_owned()).collect();
    let is_of_the_table = |name: &String| CALLS.contains(&name.split('_').next().unwrap_or_default());
    let on_disk: BTreeSet<String> = names(W::PROVIDER).into_iter().filter(is_of_the_table).collect();
    assert_eq!(in_table, on_disk, "every fixture has a row and every row has a fixture");
}

/// First words of the names of fixtures that stand in a table.
const CALLS: [&str; 5] = ["submit", "media", "check", "result", "abandon"];

fn directory(provider: Provider) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "fixtures", provider.as_str()].iter().collect()
}

fn names(provider: Provider) -> BTreeSet<String> {
    fs::read_dir(directory(provider))
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .collect()
}

/// Reads a fixture: provenance, status line, headers, blank line, body.
pub(crate) fn load(provider: Provider, name: &str) -> HttpReply {
    let path = directory(provider).join(format!("{name}.http"));
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let (top, body) = text.split_once("\n\n").unwrap();
    let mut lines = top.lines();
    let provenance = lines.next().unwrap();
    let kind = provenance.strip_prefix("# provenance: ").and_then(|rest| rest.split_once(", "));
    assert!(
        matches!(kind, Some(("documented" | "recorded" | "constructed", source)) if !source.is_empty()),
        "{name} names no provenance"
    );
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers: HeaderMap = lines
        .map(|line| {
            let (name, value) = line.split_once(": ").unwrap();
            (name.parse::<http::HeaderName>().unwrap(), value.parse().unwrap())
        })
        .collect();
    HttpReply { head: ReplyHead { status, headers }, body: Bytes::from(body.to_owned()), is_cut: false }
}

fn told<T>(outcome: Result<T, ProviderError>, good: impl Fn(T) -> String) -> String {
    outcome.map_or_else(|error| told_error(&finished_error(error, &key())), good)
}

fn told_answer(answer: Answered) -> String {
    match answer {
        Answered::Accepted(accepted) => told_accepted(accepted),
        Answered::Finished(finished) => told_finished(finished),
    }
}

fn told_finished(finished: Finished) -> String {
    let outputs = finished.outputs.iter().map(|output| {
        let seed = output.seed.map_or(String::new(), |seed| format!(" seed {seed}"));
        let revised =
            output.revised_prompt.as_ref().map_or(String::new(), |text| format!(" revised {text:?}"));
        let content_type = output.content_type.as_deref().unwrap_or("untyped");
        format!("{content_type} {} bytes{seed}{revised}", output.bytes.len())
    });
    let outputs = outputs.collect::<Vec<_>>().join(", ");
    format!(
        "finished text {:?} request {:?} cost {}: {outputs}",
        finished.text,
        finished.request_id,
        told_cost(finished.cost)
    )
}

pub(crate) fn told_cost(cost: Option<ReportedCost>) -> String {
    match cost {
        None => "unknown".to_owned(),
        Some(ReportedCost::Amount(amount)) => amount.to_string(),
        Some(ReportedCost::Usage { unit, quantity_milli }) => {
            format!("{} {unit:?}", quantity_milli as f64 / 1000.0)
        }
    }
}

fn told_accepted(accepted: Accepted) -> String {
    let urls: Vec<&str> = accepted.remote.urls.keys().map(String::as_str).collect();
    format!("accepted {} {:?} urls {urls:?}", accepted.remote.id, accepted.status.unwrap_or_default())
}

fn told_media(facts: MediaFacts) -> String {
    let seed = facts.seed.map_or(String::new(), |seed| format!(" seed {seed}"));
    let cost = told_cost(facts.cost);
    format!("media {:?} request {:?} cost {cost}{seed}", facts.content_type, facts.request_id)
}

fn told_step(step: CheckStep) -> String {
    match step {
        CheckStep::Done(found) => told_check(found),
        CheckStep::Then { request, .. } => format!("then {} {}", request.method, request.url),
    }
}

fn told_check(found: Checked) -> String {
    match finished_check(found, &key()) {
        Checked::Working { status, progress_percent: Some(percent) } => {
            format!("working {status} {percent}%")
        }
        Checked::Working { status, progress_percent: None } => format!("working {status}"),
        Checked::Ready { outputs, status, cost } => {
            let outputs: Vec<String> = outputs
                .into_iter()
                .map(|output| match output.source {
                    OutputSource::Link(link) => {
                        let seed = output.seed.map_or(String::new(), |seed| format!(" seed {seed}"));
                        format!("{link} {}{seed}", output.content_type.unwrap_or_default())
                    }
                    OutputSource::Spool { .. } => panic!("a check gives no spooled output"),
                })
                .collect();
            format!("ready {status} cost {}: {}", told_cost(cost), outputs.join(", "))
        }
        Checked::Failed { error, cost } => format!("failed cost {}: {}", told_cost(cost), told_error(&error)),
    }
}

fn told_error(error: &ProviderError) -> String {
    let more = match error {
        ProviderError::RateLimited { retry_after, .. } => format!("{retry_after:?}"),
        ProviderError::WorkFailed { is_retryable: true, status, .. } => format!("{status}, retryable"),
        ProviderError::Unavailable { status, .. }
        | ProviderError::Rejected { status, .. }
        | ProviderError::Invalid { status, .. }
        | ProviderError::WorkFailed { status, .. }
        | ProviderError::Malformed { status, .. } => status.clone(),
        ProviderError::NotSent { .. }
        | ProviderError::Unauthorized { .. }
        | ProviderError::Quota { .. }
        | ProviderError::ModelRetired { .. }
        | ProviderError::UnknownOperation { .. }
        | ProviderError::UnknownOutcome { .. } => String::new(),
    };
    let text = error.to_string();
    let (_, message) = text.split_once(": ").unwrap();
    format!("{} [{more}] {message}", error.label())
}
