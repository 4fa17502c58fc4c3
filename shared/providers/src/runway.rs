//! Runway: video from text or from an image. A task is created, asked about and deleted.
//!
//! | fact                               | value                                     | source                  | checked    | kind       |
//! |------------------------------------|-------------------------------------------|-------------------------|------------|------------|
//! | base URL, production too           | `https://api.dev.runwayml.com`            | docs, Python SDK 5.24.0 | 2026-11-22 | documented |
//! | key                                | `Authorization: Bearer <key>`             | docs                    | 2026-11-22 | documented |
//! | version header, on every call      | `X-Runway-Version: 2024-11-06`            | Python SDK 5.24.0       | 2026-11-22 | documented |
//! | idempotency key                    | none                                      | SDK has none            | 2026-11-22 | documented |
//! | models, ratios, durations          | `MODELS` in `runway/models.rs`            | SDK types               | 2026-11-22 | documented |
//! | `gen3a_turbo`                      | ended 2026-07-30; contract of SDK 4.18.0  | SDK types               | 2026-11-22 | documented |
//! | prompt                             | up to 1000 UTF-16 code units              | docs, SDK types         | 2026-11-22 | documented |
//! | seed                               | 0 to 4294967295                           | partner documentation   | 2026-11-22 | assumed    |
//! | image in the request               | 5 MB encoded, about 3.3 MB of bytes       | docs                    | 2026-11-22 | documented |
//! | image by URL                       | at most 2048 characters                   | docs                    | 2026-11-22 | documented |
//! | upload                             | `POST /v1/uploads` gives an address, form fields, a `runway://` name | docs, SDK | 2026-11-24 | documented |
//! | upload to that address             | form of the fields, then `file`; no key   | Python SDK 5.24.0       | 2026-11-24 | documented |
//! | uploaded files                     | 512 bytes to 200 MB, good for 24 h        | docs                    | 2026-11-24 | documented |
//! | largest image                      | 16 MB, as by URL                          | docs (by URL)           | 2026-11-24 | assumed    |
//! | image types                        | jpeg, png, webp                           | docs                    | 2026-11-22 | documented |
//! | statuses                           | PENDING THROTTLED RUNNING SUCCEEDED FAILED CANCELLED | SDK types    | 2026-11-22 | documented |
//! | an unknown status                  | still working                             | none                    | 2026-11-22 | assumed    |
//! | output                             | one MP4, secret in its query, 24 to 48 h  | docs, public captures   | 2026-11-22 | observed   |
//! | one credit                         | 10000 millionths of a dollar              | docs                    | 2026-11-22 | documented |
//! | failure codes                      | see `failure`                             | docs                    | 2026-11-22 | documented |
//! | no `failureCode`                   | like `INTERNAL`                           | none                    | 2026-11-22 | assumed    |
//! | out of credits                     | 400 with `enough credits` in the text     | public captures         | 2026-11-22 | observed   |
//! | daily limit                        | 429 without a hint                        | docs, public captures   | 2026-11-22 | observed   |
//! | refusal of a model                 | 400 with an issue at `model`, or its text says so | none            | 2026-11-22 | assumed    |
//! | 503 to a create                    | load shedding, the task was not created   | docs                    | 2026-11-22 | documented |
//! | 500, 502, 504 to a create          | the task may exist                        | docs (504)              | 2026-11-22 | assumed    |
//! | delete                             | 204 in every state, 404 when gone         | docs                    | 2026-11-22 | documented |

use atelier_domain::Timestamp;
use atelier_domain::asset::essence;
use atelier_domain::error::ProviderError;
use atelier_domain::job::{JobSpec, Output};
use atelier_domain::money::{MicroUsd, ReportedCost};
use atelier_domain::operation::{Operation, Provider};
use atelier_domain::ports::{Abandoned, Checked, InputForms, PreparedInput, ProviderKey, SubmitCall};
use http::Method;
use serde_json::{Map, Value, json};

mod failure;
mod models;
mod upload;

use self::failure::{reason, submit_failure};
use self::models::{DEFAULT_DURATION_S, Model, default_ratio, duration, model_for, own_ratio};
use crate::asked;
use crate::exchange::{Body, Expects, Header, HttpReply, HttpRequest};
use crate::settings::RunwayOptions;
use crate::wire::{
    Accepted, Answered, CheckStep, Endpoint, FileBytes, Look, Question, UploadStep, Wire, data_uri,
    free_call_error, invalid, is_link, key_header, malformed, taken,
};

/// The provider's own host.
pub(crate) const BASE_URL: &str = "https://api.dev.runwayml.com";
/// The version this file is written for.
pub(crate) const API_VERSION: &str = "2024-11-06";
/// What stays below 5 MB when it is encoded, by the provider's own reckoning.
pub(crate) const MAX_INLINE_IMAGE_BYTES: usize = 3_300_000;
/// Largest image by URL, and so the largest that it is made for.
pub(crate) const MAX_IMAGE_BYTES: usize = 16_000_000;

/// The published price of a credit.
pub(crate) const CREDIT_MICRO_USD: u32 = 10_000;

const MAX_PROMPT_UNITS: usize = 1_000;
const MAX_IMAGE_URL_CHARS: usize = 2_048;
const IMAGE_TYPES: [&str; 3] = ["image/jpeg", "image/png", "image/webp"];

/// The protocol of Runway.
pub(crate) struct Runway {
    options: RunwayOptions,
}

impl Runway {
    pub(crate) fn new(options: RunwayOptions) -> Self {
        Self { options }
    }

    fn headers(&self, key: &ProviderKey) -> Result<Vec<Header>, ProviderError> {
        let version = Header::plain("x-runway-version", self.options.api_version.as_str());
        Ok(vec![key_header("authorization", "Bearer ", key)?, version])
    }

    fn usd(&self, credits: f64) -> Option<ReportedCost> {
        let micro_usd = (credits * f64::from(self.options.credit_micro_usd)).round();
        (micro_usd.is_finite() && micro_usd >= 0.0)
            .then_some(ReportedCost::Amount(MicroUsd(micro_usd as u64)))
    }

    fn task_call(
        &self,
        method: Method,
        look: &Look<'_>,
        endpoint: &Endpoint,
    ) -> Result<HttpRequest, ProviderError> {
        Ok(HttpRequest {
            method,
            url: endpoint.url(["v1", "tasks", look.remote.id.as_str()]),
            template: Some("/v1/tasks/{id}"),
            headers: self.headers(look.key)?,
            body: Body::None,
            expects: Expects::Text,
        })
    }
}

impl Wire for Runway {
    const PROVIDER: Provider = Provider::Runway;

    fn input_forms(&self, _spec: &JobSpec, _option: Option<&str>) -> InputForms {
        InputForms { takes_url: true, max_bytes: Some(self.options.max_image_bytes as u64) }
    }

    fn encode_upload(
        &self,
        file: &FileBytes<'_>,
        _spec: &JobSpec,
        key: &ProviderKey,
        endpoint: &Endpoint,
    ) -> Result<Option<HttpRequest>, ProviderError> {
        if file.bytes.len() <= self.options.max_inline_image_bytes {
            return Ok(None);
        }
        let content_type = image_type(file.content_type)?;
        let size = file.bytes.len();
        let max = self.options.max_image_bytes;
        if size > max {
            return Err(invalid(format!("the image has {size} bytes, at most {max} are taken")));
        }
        Ok(Some(HttpRequest {
            method: Method::POST,
            url: endpoint.url(["v1", "uploads"]),
            template: Some("/v1/uploads"),
            headers: self.headers(key)?,
            body: Body::Json(upload::wish(content_type)),
            expects: Expects::Text,
        }))
    }

    fn decode_upload(
        &self,
        reply: &HttpReply,
        file: &FileBytes<'_>,
        _endpoint: &Endpoint,
    ) -> Result<UploadStep, ProviderError> {
        upload::next(reply, image_type(file.content_type)?, file.bytes)
    }

    fn encode_submit(&self, call: &SubmitCall, endpoint: &Endpoint) -> Result<HttpRequest, ProviderError> {
        let spec = &call.spec;
        let model = model_for(spec)?;
        let mut body = Map::new();
        body.insert("model".to_owned(), Value::from(model.name));
        if let Some(prompt) = prompt_text(spec, model)? {
            body.insert("promptText".to_owned(), Value::from(prompt));
        }
        let (template, path) = if model.operation == Operation::VideoGen {
            ("/v1/text_to_video", "text_to_video")
        } else {
            let image = prompt_image(asked::input_image(call)?, self.options.max_inline_image_bytes)?;
            body.insert("promptImage".to_owned(), Value::from(image));
            ("/v1/image_to_video", "image_to_video")
        };
        insert_options(&mut body, spec, model)?;
        Ok(HttpRequest {
            method: Method::POST,
            url: endpoint.url(["v1", path]),
            template: Some(template),
            headers: self.headers(&call.key)?,
            body: Body::Json(Value::Object(body)),
            expects: Expects::Text,
        })
    }

    fn decode_submit(
        &self,
        reply: &HttpReply,
        _spec: &JobSpec,
        _endpoint: &Endpoint,
        now: Timestamp,
    ) -> Result<Answered, ProviderError> {
        if !reply.head.is_success() {
            return Err(submit_failure(reply, &self.options, now));
        }
        let body = reply.json().unwrap_or(Value::Null);
        let remote = taken(reply, body.get("id"), "named no task", now)?;
        Ok(Answered::Accepted(Accepted { remote, status: None }))
    }

    fn encode_check(&self, look: &Look<'_>, endpoint: &Endpoint) -> Result<Question, ProviderError> {
        self.task_call(Method::GET, look, endpoint).map(Question::Ask)
    }

    fn decode_check(
        &self,
        reply: &HttpReply,
        _look: &Look<'_>,
        _endpoint: &Endpoint,
    ) -> Result<CheckStep, ProviderError> {
        if !reply.head.is_success() {
            return Err(free_call_error(reply, reason(reply)));
        }
        let body = reply.json().unwrap_or(Value::Null);
        let Some(status) = body.get("status").and_then(Value::as_str) else {
            return Err(malformed(reply.head.status, "the task names no status"));
        };
        let cost = body
            .get("cost")
            .and_then(|cost| cost.get("credits"))
            .and_then(Value::as_f64)
            .and_then(|credits| self.usd(credits));
        let found = match status {
            "SUCCEEDED" => {
                Checked::Ready { outputs: outputs(&body, reply)?, status: status.to_owned(), cost }
            }
            "FAILED" => Checked::Failed { error: failure(&body), cost },
            "CANCELLED" => {
                let message = "the task was cancelled at the provider".to_owned();
                let error =
                    ProviderError::WorkFailed { message, status: status.to_owned(), is_retryable: false };
                Checked::Failed { error, cost }
            }
            // PENDING, THROTTLED, RUNNING, and words that are not known yet: the polling deadline guards.
            _ => Checked::Working {
                status: status.to_owned(),
                progress_percent: body.get("progress").and_then(Value::as_f64).and_then(percent),
            },
        };
        Ok(CheckStep::Done(found))
    }

    fn encode_abandon(
        &self,
        look: &Look<'_>,
        endpoint: &Endpoint,
    ) -> Result<Option<HttpRequest>, ProviderError> {
        self.task_call(Method::DELETE, look, endpoint).map(Some)
    }

    fn decode_abandon(&self, reply: &HttpReply) -> Result<Abandoned, ProviderError> {
        match reply.head.status {
            200..=299 => Ok(Abandoned::Stopped),
            404 => Ok(Abandoned::TooLate),
            _ => Err(free_call_error(reply, reason(reply))),
        }
    }
}

// ---------------------------------------------------------------- request

fn prompt_text<'a>(spec: &'a JobSpec, model: &Model) -> Result<Option<&'a str>, ProviderError> {
    let prompt = asked::prompt(spec);
    if prompt.is_none() && model.needs_prompt {
        return Err(invalid(format!("`{}` needs a prompt", model.name)));
    }
    let units = prompt.map_or(0, |prompt| prompt.encode_utf16().count());
    if units > MAX_PROMPT_UNITS {
        return Err(invalid(format!(
            "the prompt has {units} UTF-16 code units, at most {MAX_PROMPT_UNITS} are taken"
        )));
    }
    Ok(prompt)
}

fn prompt_image(input: &PreparedInput, max_bytes: usize) -> Result<String, ProviderError> {
    match input {
        PreparedInput::Url(url) if url.chars().count() > MAX_IMAGE_URL_CHARS => {
            Err(invalid(format!("the image URL is longer than {MAX_IMAGE_URL_CHARS} characters")))
        }
        PreparedInput::Url(url) => Ok(url.clone()),
        PreparedInput::Bytes { content_type, bytes } => {
            let content_type = image_type(content_type)?;
            if bytes.len() > max_bytes {
                let size = bytes.len();
                return Err(invalid(format!(
                    "the image has {size} bytes, at most {max_bytes} can be sent inside the request; a public https URL takes up to 16 MB"
                )));
            }
            Ok(data_uri(content_type, bytes))
        }
    }
}

/// The image's type as the provider names it.
fn image_type(content_type: &str) -> Result<&'static str, ProviderError> {
    let named = essence(content_type);
    let wanted = if named == "image/jpg" { "image/jpeg" } else { named.as_str() };
    IMAGE_TYPES.iter().copied().find(|known| *known == wanted).ok_or_else(|| {
        let known = IMAGE_TYPES.join(", ");
        invalid(format!("the image is `{wanted}`; one of {known} was expected"))
    })
}

/// `duration` and `ratio` are always sent, so that cost and behaviour do not hang on the server's defaults.
fn insert_options(body: &mut Map<String, Value>, spec: &JobSpec, model: &Model) -> Result<(), ProviderError> {
    let mut duration_s = DEFAULT_DURATION_S;
    let mut ratio = default_ratio(model);
    let mut moderation = None;
    for (name, value) in asked::options(spec) {
        match name {
            "duration" => duration_s = duration(value, model)?,
            "ratio" => ratio = own_ratio(value, model)?,
            "seed" => {
                let seed = value.as_u64().filter(|seed| *seed <= u64::from(u32::MAX));
                let seed =
                    seed.ok_or_else(|| invalid("`seed` must be a whole number from 0 to 4294967295"))?;
                body.insert("seed".to_owned(), Value::from(seed));
            }
            "public_figure_threshold" => moderation = Some(public_figure_threshold(value)?),
            "content_moderation" => {
                moderation = moderation.or(nested_public_figure_threshold(value)?);
            }
            other => return Err(invalid(format!("the option `{other}` is not known for runway"))),
        }
    }
    if let Some(word) = moderation {
        body.insert("contentModeration".to_owned(), json!({ "publicFigureThreshold": word }));
    }
    body.insert("duration".to_owned(), Value::from(duration_s));
    body.insert("ratio".to_owned(), Value::from(ratio));
    Ok(())
}

/// The catalogue's spelling: an object with that one field.
fn nested_public_figure_threshold(value: &Value) -> Result<Option<&str>, ProviderError> {
    let fields =
        value.as_object().filter(|fields| fields.keys().all(|name| name == "public_figure_threshold"));
    let Some(fields) = fields else {
        return Err(invalid("`content_moderation` must be an object with `public_figure_threshold` only"));
    };
    let word = fields.get("public_figure_threshold").filter(|word| !word.is_null());
    word.map(public_figure_threshold).transpose()
}

fn public_figure_threshold(value: &Value) -> Result<&str, ProviderError> {
    let word = value.as_str().filter(|word| matches!(*word, "auto" | "low"));
    word.ok_or_else(|| invalid("`public_figure_threshold` must be `auto` or `low`"))
}

// ---------------------------------------------------------------- task

fn outputs(task: &Value, reply: &HttpReply) -> Result<Vec<Output>, ProviderError> {
    let links = task.get("output").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    links
        .iter()
        .map(|link| {
            let link = link.as_str().filter(|link| is_link(link));
            let link = link.ok_or_else(|| malformed(reply.head.status, "an output is not an http URL"))?;
            Ok(Output::link(link, Some("video/mp4".to_owned())))
        })
        .collect()
}

fn failure(task: &Value) -> ProviderError {
    let code = task.get("failureCode").and_then(Value::as_str);
    let text = task.get("failure").and_then(Value::as_str);
    let message = text.or(code).unwrap_or("the task failed without a reason").to_owned();
    let status = code.unwrap_or("FAILED").to_owned();
    let is_under = |prefix: &str| {
        code.and_then(|code| code.strip_prefix(prefix))
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    if is_under("SAFETY") {
        return ProviderError::Rejected { message, status };
    }
    if is_under("ASSET.INVALID") {
        return ProviderError::Invalid { message, status };
    }
    // INTERNAL, INPUT_PREPROCESSING, THIRD_PARTY, none, and what is not known yet. Attempts are bounded by policy.
    ProviderError::WorkFailed { message, status, is_retryable: true }
}

fn percent(progress: f64) -> Option<u8> {
    // Within 0 to 100 the conversion is exact.
    (progress.is_finite()).then(|| (progress.clamp(0.0, 1.0) * 100.0).round() as u8)
}

#[cfg(test)]
#[path = "runway_tests.rs"]
mod tests;
