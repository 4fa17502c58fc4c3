//! Fal: images and videos through its queue. A failed or cancelled request is `COMPLETED` there; the result's HTTP
//! status says which it was.
//!
//! | fact                                   | value                                  | source                      | checked    | kind       |
//! |----------------------------------------|----------------------------------------|-----------------------------|------------|------------|
//! | queue                                  | `https://queue.fal.run`                | fal-client 1.0.3            | 2026-11-24 | documented |
//! | storage and public keys                | `https://rest.fal.ai`                  | fal-client 1.0.3            | 2026-11-24 | documented |
//! | key                                    | `Authorization: Key <key>`             | fal-client 1.0.3            | 2026-11-24 | observed   |
//! | submit                                 | `POST /{model}`, body is the input     | fal-client 1.0.3            | 2026-11-24 | observed   |
//! | idempotency key                        | none                                   | docs have none              | 2026-11-24 | assumed    |
//! | low priority                           | `X-Fal-Queue-Priority: low`            | fal-client 1.0.3            | 2026-11-24 | documented |
//! | limit for the start                    | `X-Fal-Request-Timeout`; then 504, not billed | docs                 | 2026-11-24 | documented |
//! | request URLs                           | hold `{owner}/{app}` only, no sub-path | fal-client, @fal-ai/client  | 2026-11-24 | documented |
//! | `workflows/`, `comfy/` ids             | three segments are the application     | fal-client 1.0.3            | 2026-11-24 | documented |
//! | states                                 | `IN_QUEUE IN_PROGRESS COMPLETED`       | both clients                | 2026-11-24 | documented |
//! | status answers                         | 202 while working, 200 when complete   | docs                        | 2026-11-24 | documented |
//! | result before completion               | 400, `still in progress`               | fal-client 1.0.3            | 2026-11-24 | documented |
//! | cancel                                 | `PUT`; 202, 200, 400, 404              | fal-client, docs            | 2026-11-24 | observed   |
//! | pictures in the input                  | a public URL or a data URI             | docs                        | 2026-11-24 | documented |
//! | largest data URI                       | 256 KiB of bytes, more is uploaded     | docs advise small ones only | 2026-11-24 | assumed    |
//! | upload                                 | `storage/upload/initiate`, then a PUT without the key | both clients | 2026-11-24 | documented |
//! | fields of files                        | `image_url`, `mask_url`, `tail_image_url`; `image_urls` for nano-banana | @fal-ai/client 1.10.1 | 2026-11-24 | documented |
//! | `duration` of Kling                    | text: `"5"`, `"10"`                    | @fal-ai/client 1.10.1       | 2026-11-24 | documented |
//! | result                                 | `images`, `image`, `video`, `videos`; `seed` | @fal-ai/client 1.10.1 | 2026-11-24 | documented |
//! | safety checker                         | 200 and `has_nsfw_concepts[i]` = true  | model pages                 | 2026-11-24 | documented |
//! | partner moderation                     | 422 `content_policy_violation`         | docs                        | 2026-11-24 | documented |
//! | retry advice                           | `X-Fal-Retryable`, `X-Fal-Needs-Retry` | docs                        | 2026-11-24 | documented |
//! | 5xx results                            | are not billed                         | docs                        | 2026-11-24 | documented |
//! | a 5xx of Fal itself                    | JSON with `detail`, or an `x-fal-*` header | client's proxy-page test | 2026-11-24 | assumed   |
//! | data URIs in results                   | only with `sync_mode`, never sent here | @fal-ai/client              | 2026-11-24 | documented |
//! | price of a request                     | not in any reply                       | docs                        | 2026-11-24 | documented |
//! | webhook                                | `?fal_webhook=`, when a request has ended | fal-client, docs         | 2026-11-24 | documented |
//! | its signature                          | Ed25519 over id, user, time, SHA-256 of the body; 300 s | docs       | 2026-11-24 | documented |
//!
//! | answer to the paid call                | outcome                  | why                                                   |
//! |----------------------------------------|--------------------------|-------------------------------------------------------|
//! | 400, 422 `content_policy_violation`    | rejected                 | moderation                                            |
//! | other 4xx                              | invalid                  | the request is wrong, or the application unknown      |
//! | 410, or a 4xx that says the model ended | model retired           | assumed: no sample is known                           |
//! | 401, 403                               | unauthorized             | but 403 with `locked` is quota: the money is spent (public samples) |
//! | 429                                    | rate limited             |                                                       |
//! | 408, 425, 500, 503, and all 5xx of Fal itself | unavailable       | it says itself that the request was not taken         |
//! | 502, 504, 520 to 599 of a proxy        | unknown outcome          | the queue may have the request                        |
//! | 2xx without a request id               | unknown outcome          | taken, but under which id nobody knows                |

use std::time::Duration;

use atelier_domain::Timestamp;
use atelier_domain::error::ProviderError;
use atelier_domain::job::JobSpec;
use atelier_domain::operation::Provider;
use atelier_domain::ports::{
    Abandoned, Callback, CallbackRefusal, CallbackRequest, InputForms, ProviderKey, SubmitCall,
};
use serde::{Deserialize, Deserializer};
use url::Url;

pub(crate) mod callback;
mod failure;
pub(crate) mod input;
pub(crate) mod queue;
pub(crate) mod storage;

use self::queue::ModelPath;
use crate::exchange::{HttpReply, HttpRequest};
use crate::wire::{Answered, CheckStep, Endpoint, FileBytes, Look, Question, UploadStep, Wire};

/// The provider's own host.
pub(crate) const BASE_URL: &str = "https://queue.fal.run";
/// The provider's own host for files and keys.
const REST_BASE_URL: &str = "https://rest.fal.ai";

/// What is particular to Fal.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FalOptions {
    /// Where files are uploaded and public keys are read. The provider's own host when absent, or the `base_url` where
    /// that is another one.
    #[serde(deserialize_with = "web_url")]
    pub rest_base_url: Option<Url>,
    /// Where the provider keeps uploads: `fal-cdn-v3` or `gcs`.
    pub storage_type: String,
    /// Largest file sent inside the request, before encoding; larger ones are uploaded.
    pub max_inline_bytes: usize,
    /// Largest file that is uploaded. Bounds the memory of a worker: the file is held whole.
    pub max_upload_bytes: u64,
    /// How long the provider keeps what it made. Its own setting when absent; a job fetches its files at once.
    pub output_lifetime_s: Option<u64>,
    /// Whether the provider may keep requests and results in its history.
    pub keeps_payloads: bool,
    /// How long a request may wait at the provider before it begins; for as long as it takes when absent.
    pub start_timeout_s: Option<u64>,
    /// Whether the provider repeats work by itself that failed for its own reasons; that costs nothing.
    pub is_retried_by_provider: bool,
    /// How far a webhook's time may be from ours.
    pub callback_tolerance_s: u64,
}

impl Default for FalOptions {
    fn default() -> Self {
        Self {
            rest_base_url: None,
            storage_type: "fal-cdn-v3".to_owned(),
            max_inline_bytes: 256 * 1024,
            max_upload_bytes: 32 * 1024 * 1024,
            output_lifetime_s: None,
            keeps_payloads: true,
            start_timeout_s: None,
            is_retried_by_provider: true,
            callback_tolerance_s: 300,
        }
    }
}

impl FalOptions {
    pub(crate) fn input_forms(&self) -> InputForms {
        InputForms { takes_url: true, max_bytes: Some(self.max_upload_bytes) }
    }

    pub(crate) fn callback_tolerance(&self) -> Duration {
        Duration::from_secs(self.callback_tolerance_s)
    }
}

/// The protocol of Fal's queue.
pub(crate) struct Fal {
    options: FalOptions,
}

impl Fal {
    pub(crate) fn new(options: FalOptions) -> Self {
        Self { options }
    }
}

impl Wire for Fal {
    const PROVIDER: Provider = Provider::Fal;

    fn input_forms(&self, _spec: &JobSpec, _option: Option<&str>) -> InputForms {
        self.options.input_forms()
    }

    fn encode_upload(
        &self,
        file: &FileBytes<'_>,
        _spec: &JobSpec,
        key: &ProviderKey,
        endpoint: &Endpoint,
    ) -> Result<Option<HttpRequest>, ProviderError> {
        storage::announce(file, key, &self.options, endpoint)
    }

    fn decode_upload(
        &self,
        reply: &HttpReply,
        file: &FileBytes<'_>,
        _endpoint: &Endpoint,
    ) -> Result<UploadStep, ProviderError> {
        storage::announced(reply, file)
    }

    fn encode_submit(&self, call: &SubmitCall, endpoint: &Endpoint) -> Result<HttpRequest, ProviderError> {
        let path = ModelPath::read(&call.spec.model)?;
        let input = input::model_input(call, self.options.max_inline_bytes)?;
        queue::submit(&path, input, call, &self.options, endpoint)
    }

    fn decode_submit(
        &self,
        reply: &HttpReply,
        _spec: &JobSpec,
        endpoint: &Endpoint,
        now: Timestamp,
    ) -> Result<Answered, ProviderError> {
        queue::submitted(reply, endpoint, now)
    }

    fn encode_check(&self, look: &Look<'_>, endpoint: &Endpoint) -> Result<Question, ProviderError> {
        queue::ask_status(&ModelPath::read(&look.spec.model)?, look, endpoint).map(Question::Ask)
    }

    fn decode_check(
        &self,
        reply: &HttpReply,
        look: &Look<'_>,
        endpoint: &Endpoint,
    ) -> Result<CheckStep, ProviderError> {
        queue::status(reply, &ModelPath::read(&look.spec.model)?, look, endpoint)
    }

    fn encode_abandon(
        &self,
        look: &Look<'_>,
        endpoint: &Endpoint,
    ) -> Result<Option<HttpRequest>, ProviderError> {
        queue::cancel(&ModelPath::read(&look.spec.model)?, look, endpoint).map(Some)
    }

    fn decode_abandon(&self, reply: &HttpReply) -> Result<Abandoned, ProviderError> {
        queue::cancelled(reply)
    }

    fn callback_keys(&self, endpoint: &Endpoint) -> Option<HttpRequest> {
        Some(storage::key_set(&self.options, endpoint))
    }

    fn decode_callback(
        &self,
        request: &CallbackRequest,
        keys: Option<&[u8]>,
        now: Timestamp,
    ) -> Result<Callback, CallbackRefusal> {
        callback::judge(request, keys.unwrap_or_default(), self.options.callback_tolerance(), now)
    }
}

fn web_url<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Url>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    let url = text.map(|text| crate::settings::base_url(&text)).transpose();
    url.map_err(|problem| serde::de::Error::custom(format!("the URL {problem}")))
}

#[cfg(test)]
#[path = "fal_tests.rs"]
mod tests;
