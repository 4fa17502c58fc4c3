//! Deepgram: text to speech and speech to text, each in one call. There is no job to ask about; a transcript may come
//! by callback instead of with the answer.
//!
//! | fact                                     | value                                  | source                        | checked    | kind       |
//! |------------------------------------------|----------------------------------------|-------------------------------|------------|------------|
//! | base URL                                 | `https://api.deepgram.com`             | OpenAPI of 2026-07-22         | 2026-11-24 | documented |
//! | key                                      | `Authorization: Token <key>`           | Python SDK 7.17.0             | 2026-11-24 | observed   |
//! | repeat of a paid call                    | is billed again, no idempotency        | OpenAPI has none              | 2026-11-24 | documented |
//! | voices                                   | are the models of speech, `aura-...`   | OpenAPI                       | 2026-11-24 | documented |
//! | which parameters an encoding takes       | `applicable` in `deepgram/speak.rs`    | docs                          | 2026-11-24 | documented |
//! | encoding when none is named              | mp3; we name it all the same           | OpenAPI; a page says linear16 | 2026-11-24 | documented |
//! | rate of samples when none is named       | 24,000; mulaw and alaw 8,000           | docs                          | 2026-11-24 | documented |
//! | linear16 without a container             | little-endian                          | none                          | 2026-11-24 | assumed    |
//! | billed characters                        | header `dg-char-count`                 | docs                          | 2026-11-24 | documented |
//! | request id                               | header `dg-request-id`, `metadata.request_id` | docs; seen in public captures | 2026-11-24 | observed |
//! | model of a transcript when none is named | an old one; we always name it          | OpenAPI                       | 2026-11-24 | documented |
//! | billed sound                             | `metadata.duration` a channel          | docs                          | 2026-11-24 | documented |
//! | largest recording                        | 2 GB                                   | docs                          | 2026-11-24 | documented |
//! | longest transcription                    | 10 minutes, Whisper 20, then 504       | docs                          | 2026-11-24 | documented |
//! | silence                                  | 200, empty transcript                  | docs                          | 2026-11-24 | documented |
//! | callback                                 | the same JSON; header `dg-token` names the key, which is no signature | docs | 2026-11-24 | documented |
//! | ports of callbacks                       | 80, 443, 8080, 8443                    | docs                          | 2026-11-24 | documented |
//! | moderation                               | none                                   | docs                          | 2026-11-24 | documented |
//!
//! | answer to a paid call                    | meaning                                                   | kind       |
//! |------------------------------------------|-----------------------------------------------------------|------------|
//! | 401, 403                                 | `Unauthorized`; 403 also when the model is not for the project | documented |
//! | 402, code `ASR_PAYMENT_REQUIRED`         | `Quota`                                                   | documented |
//! | 400 that says a model has ended          | `ModelRetired`                                            | assumed    |
//! | 408                                      | `Unavailable`: the body did not arrive                    | documented |
//! | 429                                      | `RateLimited`, a hint is not documented                   | documented |
//! | 499                                      | `UnknownOutcome`                                          | assumed    |
//! | other 4xx                                | `Invalid`                                                 | documented |
//! | 500, 503                                 | `Unavailable`: nothing was made                           | assumed    |
//! | 504 in the provider's own words          | `WorkFailed`: it took too long                            | documented |
//! | 502, other 504 and 5xx                   | `UnknownOutcome`: whoever answered does not know          | assumed    |
//! | 2xx that cannot be read                  | `UnknownOutcome`                                          | assumed    |

mod failure;
mod listen;
mod speak;

use std::collections::BTreeMap;
use std::time::Duration;

use atelier_domain::Timestamp;
use atelier_domain::error::ProviderError;
use atelier_domain::job::{JobSpec, RemoteOperation};
use atelier_domain::operation::{Operation, Provider};
use atelier_domain::ports::{
    Callback, CallbackRefusal, CallbackRequest, Checked, InputForms, News, SubmitCall,
};
use serde::Deserialize;
use serde_json::Value;

use self::failure::{failure, is_error_body};
use crate::exchange::{HttpReply, HttpRequest, ReplyHead};
use crate::wire::{
    Accepted, Answered, Endpoint, Look, MediaFacts, Question, Wire, invalid, is_path_segment,
    unreadable_acceptance,
};

/// The provider's own host.
pub(crate) const BASE_URL: &str = "https://api.deepgram.com";
/// The header in which a callback names the key that was used.
const KEY_ID_HEADER: &str = "dg-token";

/// What is particular to Deepgram.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DeepgramOptions {
    /// How long a transcription may take. The provider gives up after ten minutes; one minute for the way.
    pub transcription_timeout_ms: u64,
    /// The same for models whose name begins with `whisper`, for which the provider takes twenty minutes.
    pub whisper_timeout_ms: u64,
    /// Largest recording that is sent in the call; a larger one is fetched by the provider from our store. The provider
    /// takes 2 GB; this bounds our memory.
    pub max_sent_bytes: u64,
    /// Whether transcripts come by callback where the operator has named a public address: a worker then waits for none
    /// of them. Off: a callback is all there is, and it carries no signature.
    pub use_callback: bool,
    /// The identifier of the key (not the key) that callbacks must name. Any when absent: the unguessable address is
    /// what counts.
    pub callback_key_id: Option<String>,
}

impl Default for DeepgramOptions {
    fn default() -> Self {
        Self {
            transcription_timeout_ms: 660_000,
            whisper_timeout_ms: 1_260_000,
            max_sent_bytes: 32 * 1024 * 1024,
            use_callback: false,
            callback_key_id: None,
        }
    }
}

/// The protocol of Deepgram.
pub(crate) struct Deepgram {
    options: DeepgramOptions,
}

impl Deepgram {
    pub(crate) fn new(options: DeepgramOptions) -> Self {
        Self { options }
    }
}

impl Wire for Deepgram {
    const PROVIDER: Provider = Provider::Deepgram;

    fn input_forms(&self, spec: &JobSpec, _option: Option<&str>) -> InputForms {
        let is_heard = spec.operation == Operation::Stt;
        InputForms { takes_url: is_heard, max_bytes: is_heard.then_some(self.options.max_sent_bytes) }
    }

    fn submit_timeout(&self, spec: &JobSpec, endpoint: &Endpoint) -> Duration {
        match spec.operation {
            Operation::Stt if spec.model.starts_with("whisper") => {
                Duration::from_millis(self.options.whisper_timeout_ms)
            }
            Operation::Stt => Duration::from_millis(self.options.transcription_timeout_ms),
            _ => endpoint.submit_timeout,
        }
    }

    fn encode_submit(&self, call: &SubmitCall, endpoint: &Endpoint) -> Result<HttpRequest, ProviderError> {
        match call.spec.operation {
            Operation::Tts => speak::encode(call, endpoint),
            Operation::Stt => {
                let callback = call.callback_url.as_deref().filter(|_| self.options.use_callback);
                listen::encode(call, callback, self.options.max_sent_bytes, endpoint)
            }
            other => Err(invalid(format!("deepgram does not do `{other}`; `tts` or `stt` was expected"))),
        }
    }

    fn decode_submit(
        &self,
        reply: &HttpReply,
        spec: &JobSpec,
        _endpoint: &Endpoint,
        now: Timestamp,
    ) -> Result<Answered, ProviderError> {
        if !reply.head.is_success() || spec.operation != Operation::Stt {
            return Err(failure(reply, now));
        }
        let Some(body) = reply.json() else {
            return Err(unreadable_acceptance(reply, "the transcript cannot be read"));
        };
        if let Some(id) = accepted_id(&body) {
            let remote = RemoteOperation { id, submitted_at: now, urls: BTreeMap::new() };
            return Ok(Answered::Accepted(Accepted { remote, status: None }));
        }
        match listen::finished(body, Some(spec)) {
            Some(mut finished) => {
                let header = reply.head.header("dg-request-id").map(str::to_owned);
                finished.request_id = finished.request_id.or(header);
                Ok(Answered::Finished(finished))
            }
            None => Err(unreadable_acceptance(reply, "no transcript is in it")),
        }
    }

    fn decode_media(&self, head: &ReplyHead, spec: &JobSpec) -> Result<MediaFacts, ProviderError> {
        speak::decode(head, spec)
    }

    /// Nobody can be asked how far a transcript is: it comes by callback or not at all.
    fn encode_check(&self, _look: &Look<'_>, _endpoint: &Endpoint) -> Result<Question, ProviderError> {
        let status = "waiting for the callback".to_owned();
        Ok(Question::Known(Checked::Working { status, progress_percent: None }))
    }

    fn decode_callback(
        &self,
        request: &CallbackRequest,
        _keys: Option<&[u8]>,
        _now: Timestamp,
    ) -> Result<Callback, CallbackRefusal> {
        if !self.options.use_callback {
            return Err(CallbackRefusal::NotExpected { provider: Self::PROVIDER });
        }
        let not_genuine = |reason| Err(CallbackRefusal::NotGenuine { reason });
        let named = request.headers.get(KEY_ID_HEADER);
        if self.options.callback_key_id.as_ref().is_some_and(|expected| named != Some(expected)) {
            return not_genuine("it names another key");
        }
        let Ok(body) = serde_json::from_slice::<Value>(&request.body) else {
            return not_genuine("its body is no JSON");
        };
        if is_error_body(&body) {
            // What went wrong cannot be told on; the job ends by its own limits.
            let remote_id = body.get("request_id").and_then(Value::as_str).map(str::to_owned);
            return Ok(Callback { remote_id, news: News::Ended });
        }
        match listen::finished(body, None) {
            Some(finished) if finished.request_id.is_some() => {
                Ok(Callback { remote_id: finished.request_id.clone(), news: News::Result(finished) })
            }
            Some(_) | None => not_genuine("it is no transcript"),
        }
    }
}

/// The id of a transcription whose result comes by callback: the answer holds nothing else.
fn accepted_id(body: &Value) -> Option<String> {
    let id = body.get("request_id")?.as_str().filter(|id| is_path_segment(id))?;
    (body.get("results").is_none() && !is_error_body(body)).then(|| id.to_owned())
}

#[cfg(test)]
#[path = "deepgram_tests.rs"]
mod tests;
