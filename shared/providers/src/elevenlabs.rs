//! ElevenLabs: text to speech and speech to text, each in one call. There is no job, so nothing to poll and nothing to
//! cancel.
//!
//! | fact                                        | value                              | source                        | checked    | kind       |
//! |---------------------------------------------|------------------------------------|-------------------------------|------------|------------|
//! | base URL                                    | `https://api.elevenlabs.io`        | Python SDK 2.78.0             | 2026-11-22 | documented |
//! | key                                         | `xi-api-key: <key>`, no scheme     | Python SDK 2.78.0             | 2026-11-22 | observed   |
//! | repeat of a paid call                       | is billed again, no idempotency    | SDK and OpenAPI have none     | 2026-11-22 | documented |
//! | default output format                       | `mp3_44100_128`                    | OpenAPI                       | 2026-11-22 | documented |
//! | default voice                               | `21m00Tcm4TlvDq8ikWAM`             | product brief                 | 2026-11-22 | assumed    |
//! | voice ids are letters, digits, `-`, `_`     | up to 128                          | ids seen                      | 2026-11-22 | assumed    |
//! | media type per output format                | see `content_type_of`              | format names; opus is Ogg     | 2026-11-22 | assumed    |
//! | billed characters                           | header `character-cost`            | docs, generation headers      | 2026-11-22 | documented |
//! | `character-cost` counts characters          | not multiplied for flash and turbo | header's name                 | 2026-11-22 | assumed    |
//! | request id                                  | header `request-id`                | docs                          | 2026-11-22 | documented |
//! | sources of a transcript                     | `file`, or `source_url` (https)    | Python SDK 2.78.0             | 2026-11-24 | documented |
//! | fields of a transcript's form               | lists in `elevenlabs/stt.rs`       | Python SDK 2.78.0             | 2026-11-24 | observed   |
//! | largest recording                           | 3 GB as a file, 2 GB by URL; 10 hours | docs, SDK                  | 2026-11-24 | documented |
//! | words of a transcript                       | blanks come as entries of their own | Python SDK 2.78.0            | 2026-11-24 | documented |
//! | billed sound                                | `audio_duration_secs` a channel, else the last word's end | SDK    | 2026-11-24 | assumed    |
//! | dearer options                              | key terms, roles, edits: not reckoned but for roles | SDK          | 2026-11-24 | documented |
//! | four error bodies                           | `detail`: object, old object, list, text | docs, public samples    | 2026-11-22 | documented |
//! | `quota_exceeded` comes with 401             | quota, not credential              | public samples 2026           | 2026-11-22 | observed   |
//! | 402, plan gates `only_for_*`                | billing                            | public samples, docs          | 2026-11-22 | observed   |
//! | moderation codes                            | hold one of `MODERATION_MARKS`     | none                          | 2026-11-22 | assumed    |
//! | retired-model codes                         | hold one of `RETIRED_MARKS`        | none                          | 2026-11-22 | assumed    |
//! | waiting hint on 429                         | `retry-after`, not documented      | SDK reads it                  | 2026-11-22 | assumed    |
//! | 500 and 503                                 | the work was not done              | SDK retries them              | 2026-11-22 | assumed    |
//! | 502, 504 and other 5xx                      | the work may have been done        | gateways in front             | 2026-11-22 | assumed    |

mod failure;
mod speak;
mod stt;

use std::time::Duration;

use atelier_domain::Timestamp;
use atelier_domain::error::ProviderError;
use atelier_domain::job::JobSpec;
use atelier_domain::money::{MicroUsd, PriceUnit, ReportedCost};
use atelier_domain::operation::{Operation, Provider};
use atelier_domain::ports::{Finished, InputForms, SubmitCall};
use serde::Deserialize;

use self::failure::failure;
use crate::exchange::{HttpReply, HttpRequest, ReplyHead};
use crate::wire::{Answered, Endpoint, MediaFacts, Wire, invalid, unreadable_acceptance};

/// The provider's own host.
pub(crate) const BASE_URL: &str = "https://api.elevenlabs.io";
/// One credit of the multilingual models' price.
pub(crate) const PRICE_PER_CREDIT_MICRO_USD: MicroUsd = MicroUsd(80);

/// What is particular to ElevenLabs.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ElevenLabsOptions {
    /// Whether the `character-cost` header counts credits, that is characters already multiplied by the model's
    /// factor. Uncertain; off, as the header's name says characters.
    pub is_character_cost_in_credits: bool,
    /// Millionths of a dollar for one credit; used when the header counts credits.
    pub price_per_credit_micro_usd: MicroUsd,
    /// How long a transcription may take. The provider names no limit; a recording of hours is heard in minutes.
    pub transcription_timeout_ms: u64,
    /// Largest recording that is sent in the call; a larger one is fetched by the provider from our store. The provider
    /// takes 3 GB; this bounds our memory.
    pub max_sent_bytes: u64,
}

impl Default for ElevenLabsOptions {
    fn default() -> Self {
        Self {
            is_character_cost_in_credits: false,
            price_per_credit_micro_usd: PRICE_PER_CREDIT_MICRO_USD,
            transcription_timeout_ms: 900_000,
            max_sent_bytes: 32 * 1024 * 1024,
        }
    }
}

/// The protocol of ElevenLabs.
pub(crate) struct ElevenLabs {
    options: ElevenLabsOptions,
}

impl ElevenLabs {
    pub(crate) fn new(options: ElevenLabsOptions) -> Self {
        Self { options }
    }

    /// What the reply says was used; `None` when the header is missing or unreadable.
    fn cost(&self, head: &ReplyHead) -> Option<ReportedCost> {
        let billed: u64 = head.header("character-cost")?.parse().ok()?;
        Some(if self.options.is_character_cost_in_credits {
            ReportedCost::Amount(MicroUsd(self.options.price_per_credit_micro_usd.0.saturating_mul(billed)))
        } else {
            ReportedCost::units(PriceUnit::Character, billed)
        })
    }
}

impl Wire for ElevenLabs {
    const PROVIDER: Provider = Provider::ElevenLabs;

    fn input_forms(&self, spec: &JobSpec, _option: Option<&str>) -> InputForms {
        let is_heard = spec.operation == Operation::Stt;
        InputForms { takes_url: is_heard, max_bytes: is_heard.then_some(self.options.max_sent_bytes) }
    }

    fn submit_timeout(&self, spec: &JobSpec, endpoint: &Endpoint) -> Duration {
        match spec.operation {
            Operation::Stt => Duration::from_millis(self.options.transcription_timeout_ms),
            _ => endpoint.submit_timeout,
        }
    }

    fn encode_submit(&self, call: &SubmitCall, endpoint: &Endpoint) -> Result<HttpRequest, ProviderError> {
        match call.spec.operation {
            Operation::Tts => speak::encode(call, endpoint),
            Operation::Stt => stt::encode(call, self.options.max_sent_bytes, endpoint),
            other => Err(invalid(format!("elevenlabs does not do `{other}`; `tts` or `stt` was expected"))),
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
        let Some(finished) = reply.json().and_then(|body| stt::finished(body, spec)) else {
            return Err(unreadable_acceptance(reply, "no transcript is in it"));
        };
        let request_id = reply.head.header("request-id").map(str::to_owned).or(finished.request_id);
        Ok(Answered::Finished(Finished { request_id, ..finished }))
    }

    fn decode_media(&self, head: &ReplyHead, spec: &JobSpec) -> Result<MediaFacts, ProviderError> {
        Ok(MediaFacts {
            content_type: speak::content_type(head, spec)?,
            request_id: head.header("request-id").map(str::to_owned),
            seed: None,
            cost: self.cost(head),
        })
    }
}

#[cfg(test)]
#[path = "elevenlabs_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "elevenlabs_stt_tests.rs"]
mod stt_tests;
