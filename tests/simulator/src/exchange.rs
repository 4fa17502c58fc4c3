//! One request from arrival to answer: who is spoken to, which faults strike, what is journaled, what is sent.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use http::{Method, StatusCode, header};
use hyper::Response;
use jiff::Timestamp;
use tokio::time::sleep;

use crate::answer::{self, Answer, Payload};
use crate::body::{Body, Delivery, body};
use crate::call::Call;
use crate::fault::{ClaimedType, Fault};
use crate::journal::{Entry, Kind, Provider};
use crate::media::{MediaFile, Segment};
use crate::script::Strike;
use crate::state::State;
use crate::{deepgram, elevenlabs, fal, files, luma, openai, pika, replicate, runway, stability, webhook};

/// How long work that never finishes keeps its connection open.
const FOR_EVER: Duration = Duration::from_secs(3600);

/// The connection is to be closed without an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// Closed in an orderly way.
    Closed,
    /// Reset.
    Reset,
}

impl std::fmt::Display for Cut {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("cut by the script")
    }
}

impl std::error::Error for Cut {}

/// Answers a request to a provider or for a file, or says that the connection is to be cut.
pub(crate) async fn exchange(state: Arc<State>, target: Target, call: Call) -> Result<Response<Body>, Cut> {
    let call = Arc::new(call);
    let (kind, prompt) = target.identify(&call, &state);
    let strike = match target.provider() {
        Some(provider) => state.script.strike(provider, kind, prompt.as_deref()),
        None => Strike::default(),
    };
    let entry = Entry {
        sequence: 0,
        at: Timestamp::now(),
        provider: target.provider(),
        kind,
        method: call.method.to_string(),
        path: call.full_path.clone(),
        prompt,
        fault: strike.label(),
        status: None,
        remote_id: None,
        accepted: false,
        bytes_sent: 0,
    };
    let sequence = state.journal.add(entry.clone());
    let answer = match &strike.answer {
        Some(Fault::ResetBefore) => return Err(Cut::Reset),
        Some(Fault::Status { accepted: false, .. }) => Answer::empty(200),
        _ => {
            let answer = handle(&state, target, &call, &strike, sequence).await?;
            if kind == Kind::Submit && strike.answer == Some(Fault::Doubled) && answer.accepted.is_some() {
                let sequence = state.journal.add(Entry { status: Some(answer.status), ..entry });
                handle(&state, target, &call, &strike, sequence).await?;
            }
            answer
        }
    };
    let answer = match after_handling(&state, &strike, kind, target, answer).await? {
        Ready::Answer(answer) => *answer,
        Ready::Html(status, headers) => {
            let answer = Answer { headers, ..Answer::empty(status) };
            return Ok(send(&state, &call, &answer, answer::html_page(), Delivery::default(), sequence));
        }
    };
    let (answer, file, delivery) = prepare(&state, &strike, answer).await?;
    Ok(send(&state, &call, &answer, file, delivery, sequence))
}

/// Whom a path addresses.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Target {
    Api(Provider),
    File(Provider),
    Nobody,
}

impl Target {
    /// The target of a path's parts and how many of them are its prefix.
    pub(crate) fn of(parts: &[String]) -> (Self, usize) {
        let part = |index: usize| parts.get(index).map(String::as_str).unwrap_or_default();
        match (Provider::named(part(0)), part(0), Provider::named(part(1))) {
            (Some(provider), ..) => (Self::Api(provider), 1),
            (None, "media", Some(provider)) => (Self::File(provider), 2),
            _ => (Self::Nobody, 0),
        }
    }

    fn provider(self) -> Option<Provider> {
        match self {
            Self::Api(provider) | Self::File(provider) => Some(provider),
            Self::Nobody => None,
        }
    }

    fn identify(self, call: &Call, state: &State) -> (Kind, Option<String>) {
        match self {
            Self::Api(Provider::ElevenLabs) => (elevenlabs::kind(call), elevenlabs::prompt(call, state)),
            Self::Api(Provider::Fal) => (fal::kind(call), fal::prompt(call, state)),
            Self::Api(Provider::Runway) => (runway::kind(call), runway::prompt(call, state)),
            Self::Api(Provider::Deepgram) => (deepgram::kind(call), deepgram::prompt(call, state)),
            Self::Api(Provider::Replicate) => (replicate::kind(call), replicate::prompt(call, state)),
            Self::Api(Provider::Stability) => (stability::kind(call), stability::prompt(call, state)),
            Self::Api(Provider::Pika) => (pika::kind(call), pika::prompt(call, state)),
            Self::Api(Provider::Luma) => (luma::kind(call), luma::prompt(call, state)),
            Self::Api(Provider::OpenAi) => (openai::kind(call), openai::prompt(call, state)),
            Self::File(_) => (Kind::Media, files::prompt(call, state)),
            Self::Nobody => (Kind::Other, None),
        }
    }

    fn answer(self, call: &Call, state: &State, work: Option<&Fault>) -> Answer {
        match self {
            Self::Api(Provider::ElevenLabs) => elevenlabs::answer(call, state, work),
            Self::Api(Provider::Fal) => fal::answer(call, state, work),
            Self::Api(Provider::Runway) => runway::answer(call, state, work),
            Self::Api(Provider::Deepgram) => deepgram::answer(call, state, work),
            Self::Api(Provider::Replicate) => replicate::answer(call, state, work),
            Self::Api(Provider::Stability) => stability::answer(call, state, work),
            Self::Api(Provider::Pika) => pika::answer(call, state, work),
            Self::Api(Provider::Luma) => luma::answer(call, state, work),
            Self::Api(Provider::OpenAi) => openai::answer(call, state, work),
            Self::File(provider) => files::answer(call, state, provider),
            Self::Nobody => Answer::json(404, serde_json::json!({"error": "nothing is simulated here"})),
        }
    }

    /// The provider's form of an HTTP error that the script asks for.
    fn error(self, status: u16, retry_after_s: Option<u64>) -> Answer {
        let body = match self {
            Self::Api(Provider::ElevenLabs) => elevenlabs::error_body(status),
            Self::Api(Provider::Fal) => fal::error_body(status),
            Self::Api(Provider::Runway) => runway::error_body(status),
            Self::Api(Provider::Deepgram) => deepgram::error_body(status),
            Self::Api(Provider::Replicate) => return replicate::error(status, retry_after_s),
            Self::Api(Provider::Stability) => stability::error_body(status),
            Self::Api(Provider::Pika) => pika::error_body(status),
            Self::Api(Provider::Luma) => luma::error_body(status),
            Self::Api(Provider::OpenAi) => openai::error_body(status),
            Self::File(_) | Self::Nobody => {
                serde_json::json!({"error": "The simulator was asked for this error."})
            }
        };
        Answer::json(status, body)
    }
}

/// Lets the provider's module decide and journals the work that it accepted.
async fn handle(
    state: &Arc<State>,
    target: Target,
    call: &Arc<Call>,
    strike: &Strike,
    sequence: u64,
) -> Result<Answer, Cut> {
    let (shared, call, work) = (Arc::clone(state), Arc::clone(call), strike.work.clone());
    // Results may have to be rendered, which takes a while.
    let decide = tokio::task::spawn_blocking(move || target.answer(&call, &shared, work.as_ref()));
    let mut answer = decide.await.map_err(|_| Cut::Closed)?;
    for webhook in std::mem::take(&mut answer.webhooks) {
        webhook::deliver_later(webhook, Arc::clone(state));
    }
    if let Some(accepted) = &answer.accepted {
        let remote_id = accepted.remote_id.clone();
        state.journal.update(sequence, |entry| {
            entry.accepted = true;
            entry.remote_id = Some(remote_id);
        });
    }
    Ok(answer)
}

enum Ready {
    Answer(Box<Answer>),
    Html(u16, Vec<(&'static str, String)>),
}

/// Waits as long as the work and the script say, and applies the faults that replace an answer.
async fn after_handling(
    state: &Arc<State>,
    strike: &Strike,
    kind: Kind,
    target: Target,
    mut answer: Answer,
) -> Result<Ready, Cut> {
    match &strike.answer {
        Some(Fault::Lost) => return Err(Cut::Closed),
        Some(Fault::Status { code, retry_after_s, html, .. }) => {
            let headers: Vec<_> =
                retry_after_s.map(|seconds| ("retry-after", seconds.to_string())).into_iter().collect();
            if *html {
                return Ok(Ready::Html(*code, headers));
            }
            let answer = Answer { headers, ..target.error(*code, *retry_after_s) };
            return Ok(Ready::Answer(Box::new(answer)));
        }
        Some(Fault::Doubled) if matches!(kind, Kind::Status | Kind::Result) => answer.double_outputs(),
        _ => {}
    }
    match answer.wait {
        Some(wait) => sleep(wait).await,
        None => {
            sleep(FOR_EVER).await;
            return Err(Cut::Closed);
        }
    }
    if let Some(afterwards) = answer.afterwards.take() {
        let shared = Arc::clone(state);
        let decide = tokio::task::spawn_blocking(move || afterwards.decide(&shared));
        let decided = decide.await.map_err(|_| Cut::Closed)?;
        answer = Answer { status: decided.status, payload: decided.payload, ..answer };
    }
    if let Some(Fault::Late { delay }) = &strike.answer {
        sleep(*delay).await;
    }
    Ok(Ready::Answer(Box::new(answer)))
}

/// Makes the body and applies the faults that spoil it.
async fn prepare(
    state: &Arc<State>,
    strike: &Strike,
    mut answer: Answer,
) -> Result<(Answer, MediaFile, Delivery), Cut> {
    if let Some(Fault::Gone { code }) = &strike.body {
        answer = Answer::json(*code, serde_json::json!({"error": "The file is not here."}));
    }
    let wanted_bytes = if let Some(Fault::Huge { bytes }) = &strike.body { Some(*bytes) } else { None };
    let mut file = match &answer.payload {
        Payload::Empty => MediaFile { content_type: "", segments: Vec::new() },
        Payload::Json(value) => answer::json_file(value, strike.answer == Some(Fault::Malformed)),
        Payload::Problem(value) => answer::problem_file(value, strike.answer == Some(Fault::Malformed)),
        Payload::Raw { content_type, bytes } => {
            MediaFile { content_type, segments: vec![Segment::once(bytes.clone())] }
        }
        Payload::Media(spec) => {
            let (shared, spec) = (Arc::clone(state), spec.clone());
            let make = move || spec.file(shared.render(&spec), wanted_bytes);
            tokio::task::spawn_blocking(make).await.map_err(|_| Cut::Closed)?
        }
    };
    let mut delivery = Delivery::default();
    match &strike.body {
        Some(Fault::WrongType { claims }) => {
            let claimed = file.content_type;
            file = answer::html_page();
            answer.status = 200;
            if *claims == ClaimedType::Media {
                file.content_type = claimed;
            }
        }
        Some(Fault::Slow { bytes_per_second }) => {
            delivery.bytes_per_second = Some((*bytes_per_second).max(1))
        }
        Some(Fault::Truncated { sent_bytes }) => {
            let whole = file.size_bytes();
            delivery.cut_after = Some(sent_bytes.unwrap_or(whole / 2).min(whole.saturating_sub(1)));
        }
        Some(Fault::CutClean { missing_bytes }) => {
            let whole = file.size_bytes();
            file.shorten_to(whole.saturating_sub(missing_bytes.unwrap_or(whole.div_ceil(2))));
        }
        _ => {}
    }
    Ok((answer, file, delivery))
}

fn send(
    state: &State,
    call: &Call,
    answer: &Answer,
    file: MediaFile,
    delivery: Delivery,
    sequence: u64,
) -> Response<Body> {
    // A script may ask for any number; hyper sends no final answer below 200.
    let status = if (200..=599).contains(&answer.status) { answer.status } else { 500 };
    let mut builder = Response::builder().status(status);
    for (name, value) in &answer.headers {
        builder = builder.header(*name, value);
    }
    let has_body = status != 204;
    if has_body {
        builder = builder.header(header::CONTENT_LENGTH, file.size_bytes());
        if !file.content_type.is_empty() {
            builder = builder.header(header::CONTENT_TYPE, file.content_type);
        }
    }
    let segments = if has_body && call.method != Method::HEAD { file.segments } else { Vec::new() };
    let delivery = if segments.is_empty() { Delivery::default() } else { delivery };
    state.journal.update(sequence, |entry| entry.status = Some(status));
    let body = body(segments, delivery, state.journal.clone(), sequence);
    builder.body(body).unwrap_or_else(|_| {
        // A header value that is no text, from a code in a script, is the only way to get here.
        let empty: Body = body_of_error();
        let mut response = Response::new(empty);
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        response
    })
}

fn body_of_error() -> Body {
    use http_body_util::BodyExt as _;
    http_body_util::Empty::new().map_err(|never| -> io::Error { match never {} }).boxed_unsync()
}
