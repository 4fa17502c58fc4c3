//! Stability AI: images made and changed at once, two operations that are asked about, and the older SDXL.
//!
//! | fact                             | value                                            | source                      | checked    | kind       |
//! |----------------------------------|--------------------------------------------------|-----------------------------|------------|------------|
//! | base URL                         | `https://api.stability.ai`                       | OpenAPI document            | 2026-11-24 | documented |
//! | key                              | `Authorization: Bearer <key>`                    | OpenAPI document            | 2026-11-24 | documented |
//! | body of `v2beta`                 | `multipart/form-data`, also without a file       | OpenAPI document            | 2026-11-24 | documented |
//! | answer of `v2beta`               | bytes with `Accept: image/*`, else base64 JSON   | OpenAPI document            | 2026-11-24 | documented |
//! | largest request                  | 10 MiB in all                                    | OpenAPI document            | 2026-11-24 | documented |
//! | input by URL                     | not possible                                     | OpenAPI document            | 2026-11-24 | documented |
//! | seed and end of an image         | headers `seed`, `finish-reason`; fields in JSON  | OpenAPI document            | 2026-11-24 | documented |
//! | `CONTENT_FILTERED`               | 200 with a blurred image                         | OpenAPI document            | 2026-11-24 | documented |
//! | field an endpoint does not know  | may be refused, so none is sent                  | none                        | 2026-11-24 | assumed    |
//! | `sd3-*` models                   | served by their `sd3.5-*` counterparts           | docs, OpenAPI document      | 2026-11-24 | documented |
//! | asynchronous                     | relighting, creative upscaling: 200 with an `id` | OpenAPI document            | 2026-11-24 | documented |
//! | result                           | `GET /v2beta/results/{id}`, 202 while it works   | OpenAPI document            | 2026-11-24 | documented |
//! | polling                          | at most every 10 s, results are kept for 24 h    | OpenAPI document            | 2026-11-24 | documented |
//! | fields of relighting             | as in `models.rs`                                | OpenAPI document            | 2026-11-24 | documented |
//! | limits of images                 | in the catalogue, by operation                   | OpenAPI document            | 2026-11-24 | documented |
//! | sizes that SDXL changes          | the nine that it makes                           | public clients              | 2026-11-24 | observed   |
//! | webhooks, cancel, idempotency    | none                                             | OpenAPI document has none   | 2026-11-24 | documented |
//! | `v1` answers                     | JSON with a list of images and their seeds       | OpenAPI document            | 2026-11-24 | documented |
//! | `v1` for new keys                | still served                                     | none                        | 2026-11-24 | assumed    |
//! | price                            | nothing in the answer; a table of credits        | OpenAPI document, docs      | 2026-11-24 | documented |
//! | failed and refused calls         | are not charged                                  | OpenAPI document            | 2026-11-24 | documented |
//! | limit                            | 429, no hint; the pause is 60 s                  | OpenAPI document            | 2026-11-24 | documented |
//! | time of the answer               | within the submit timeout                        | none                        | 2026-11-24 | assumed    |
//!
//! Errors, by status and the `name` in the body:
//!
//! | answer                                      | means           | source                                          | kind       |
//! |---------------------------------------------|-----------------|-------------------------------------------------|------------|
//! | 403 `content_moderation`                    | `Rejected`      | OpenAPI document                                | documented |
//! | 422 `public_figure`                         | `Rejected`      | public samples                                  | observed   |
//! | 400 `invalid_prompts` (`v1`)                | `Rejected`      | its form is checked here, so its content is left | assumed    |
//! | 400, 413, other 4xx                         | `Invalid`       | OpenAPI document                                | documented |
//! | 401, other 403                              | `Unauthorized`  | OpenAPI document                                | documented |
//! | 402                                         | `Quota`         | official ComfyUI node                           | observed   |
//! | 404 `not_found`, 410                        | `ModelRetired`  | the paths of all models are known               | assumed    |
//! | 429                                         | `RateLimited`   | OpenAPI document                                | documented |
//! | 500 with a `name`                           | `Unavailable`   | failed calls are not charged                    | documented |
//! | 408, 425, 503                               | `Unavailable`   | none                                            | assumed    |
//! | 500 without a `name`, other 5xx             | `UnknownOutcome`| gateways in front                               | assumed    |

use atelier_domain::Timestamp;
use atelier_domain::error::ProviderError;
use atelier_domain::job::JobSpec;
use atelier_domain::operation::Provider;
use atelier_domain::ports::{Checked, InputForms, ProviderKey, SubmitCall};
use http::Method;
use serde::Deserialize;
use serde_json::Value;

mod failure;
mod form;
mod image;
mod models;
mod v1;

use self::failure::{free_failure, result_refusal, submit_failure};
use self::models::{Reply, Target};
use crate::exchange::{Body, Expects, Header, HttpReply, HttpRequest, ReplyHead};
use crate::wire::{
    Accepted, Answered, CheckStep, Endpoint, Look, MediaFacts, Question, Wire, claimed_media, key_header,
    taken, unreadable_acceptance,
};

/// The provider's own host.
pub(crate) const BASE_URL: &str = "https://api.stability.ai";
/// What a form may take besides its files: the longest prompts, names and boundaries.
const ROOM_FOR_FIELDS: u64 = 128 << 10;

/// What is particular to Stability AI.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StabilityOptions {
    /// Largest request, all files and fields together.
    pub max_request_bytes: u64,
    /// How long to wait after a 429 that does not say: the documented pause.
    pub rate_limit_pause_s: u64,
    /// Value of `stability-client-id`, by which the provider knows who built the application. Not sent when absent.
    pub client_id: Option<String>,
}

impl Default for StabilityOptions {
    fn default() -> Self {
        Self { max_request_bytes: 10 << 20, rate_limit_pause_s: 60, client_id: None }
    }
}

/// The protocol of Stability AI.
pub(crate) struct Stability {
    options: StabilityOptions,
}

impl Stability {
    pub(crate) fn new(options: StabilityOptions) -> Self {
        Self { options }
    }

    fn headers(&self, accept: &str, key: &ProviderKey) -> Result<Vec<Header>, ProviderError> {
        let mut headers = vec![key_header("authorization", "Bearer ", key)?, Header::plain("accept", accept)];
        if let Some(client) = &self.options.client_id {
            headers.push(Header::plain("stability-client-id", client.clone()));
        }
        Ok(headers)
    }
}

impl Wire for Stability {
    const PROVIDER: Provider = Provider::Stability;

    fn input_forms(&self, _spec: &JobSpec, _option: Option<&str>) -> InputForms {
        let max_bytes = self.options.max_request_bytes.saturating_sub(ROOM_FOR_FIELDS);
        InputForms { takes_url: false, max_bytes: Some(max_bytes) }
    }

    fn encode_submit(&self, call: &SubmitCall, endpoint: &Endpoint) -> Result<HttpRequest, ProviderError> {
        let target = Target::of(&call.spec)?;
        let (path, template, body) = if target.reply == Reply::Artifacts {
            v1::request(call, &target)?
        } else {
            (target.path, target.template, Body::Form(form::parts(call, &target)?))
        };
        form::check_size(&body, self.options.max_request_bytes)?;
        let (accept, expects) = match target.reply {
            Reply::Image => ("image/*", Expects::Media),
            Reply::Ticket => ("application/json", Expects::Text),
            Reply::Artifacts => ("application/json", Expects::LargeText),
        };
        Ok(HttpRequest {
            method: Method::POST,
            url: endpoint.url(path.iter().copied()),
            template: Some(template),
            headers: self.headers(accept, &call.key)?,
            body,
            expects,
        })
    }

    fn decode_submit(
        &self,
        reply: &HttpReply,
        spec: &JobSpec,
        _endpoint: &Endpoint,
        now: Timestamp,
    ) -> Result<Answered, ProviderError> {
        if !reply.head.is_success() {
            return Err(submit_failure(reply, self.options.rate_limit_pause_s, now));
        }
        let body = reply.json().unwrap_or_default();
        match Target::of(spec)?.reply {
            Reply::Artifacts => v1::finished(&body)
                .unwrap_or_else(|what| Err(unreadable_acceptance(reply, what)))
                .map(Answered::Finished),
            Reply::Ticket => {
                let remote = taken(reply, body.get("id"), "named no generation", now)?;
                Ok(Answered::Accepted(Accepted { remote, status: None }))
            }
            Reply::Image => Err(unreadable_acceptance(reply, "gave no image")),
        }
    }

    fn decode_media(&self, head: &ReplyHead, _spec: &JobSpec) -> Result<MediaFacts, ProviderError> {
        let content_type = claimed_media(head, "an image")?;
        if let Some(refused) = head.header("finish-reason").and_then(image::refusal) {
            return Err(refused);
        }
        Ok(MediaFacts {
            content_type,
            request_id: head.header("x-request-id").map(str::to_owned),
            seed: head.header("seed").and_then(|seed| seed.parse().ok()),
            cost: None,
        })
    }

    fn encode_check(&self, look: &Look<'_>, endpoint: &Endpoint) -> Result<Question, ProviderError> {
        Ok(Question::Ask(HttpRequest {
            method: Method::GET,
            url: endpoint.url(["v2beta", "results", look.remote.id.as_str()]),
            template: Some("/v2beta/results/{id}"),
            headers: self.headers("application/json", look.key)?,
            body: Body::None,
            expects: Expects::LargeText,
        }))
    }

    fn decode_check(
        &self,
        reply: &HttpReply,
        _look: &Look<'_>,
        _endpoint: &Endpoint,
    ) -> Result<CheckStep, ProviderError> {
        if !reply.head.is_success() {
            return match result_refusal(reply) {
                Some(error) => Ok(CheckStep::Done(Checked::Failed { error, cost: None })),
                None => Err(free_failure(reply, self.options.rate_limit_pause_s)),
            };
        }
        let body = reply.json().unwrap_or_default();
        if reply.head.status == 202 {
            let status = body.get("status").and_then(Value::as_str).unwrap_or("in-progress").to_owned();
            return Ok(CheckStep::Done(Checked::Working { status, progress_percent: None }));
        }
        image::checked(&reply.head, &body).map(CheckStep::Done)
    }
}

#[cfg(test)]
#[path = "stability_tests.rs"]
mod tests;
