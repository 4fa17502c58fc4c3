//! What can go wrong, and its JSON form.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::journal::{Kind, Provider};

/// What goes wrong.
///
/// *Answer faults* change how a request is answered. *Work faults* (`moderation`, `fail`, `stuck`, `progress`)
/// strike a submit and decide what becomes of the work. *Body faults* (`slow`, `truncated`, `cut_clean`,
/// `wrong_type`, `huge`, `gone`) strike media downloads, and the submit itself at ElevenLabs, whose answer is the
/// media; a rule that names a kind applies them to that kind's body instead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Fault {
    /// The request is handled at once, its answer held back.
    Late {
        /// How long.
        #[serde(rename = "delay_ms", with = "milliseconds")]
        delay: Duration,
    },
    /// The request is handled (work accepted and billed), then the connection is closed without an answer.
    Lost,
    /// The connection is closed before the request is handled; nothing is accepted.
    ResetBefore,
    /// Submit: the work is begun twice, and billed twice, but the answer names the first only. Status and result:
    /// every output is listed twice. No effect on other kinds.
    Doubled,
    /// The body trickles.
    Slow {
        /// Bytes a second, at least 1.
        bytes_per_second: u64,
    },
    /// `Content-Length` promises the whole body, the connection closes early.
    Truncated {
        /// How many bytes are sent; half of the body when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sent_bytes: Option<u64>,
    },
    /// The body's tail is missing and `Content-Length` agrees with what is sent.
    CutClean {
        /// How many bytes are missing; half of the body when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        missing_bytes: Option<u64>,
    },
    /// An HTTP error with the provider's own body, or an HTML page.
    Status {
        /// The HTTP status.
        code: u16,
        /// `Retry-After` in whole seconds; no such header when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after_s: Option<u64>,
        /// Send a proxy's HTML page instead of the provider's body.
        #[serde(default)]
        html: bool,
        /// The request is handled (and a submit billed) all the same, as behind a gateway that gave up.
        #[serde(default)]
        accepted: bool,
    },
    /// The work is refused by the provider's content filter.
    Moderation {
        /// How Fal says so; other providers have one way only.
        #[serde(default)]
        form: ModerationForm,
    },
    /// The work fails: Runway `failureCode`, Fal error type, ElevenLabs `detail.code`.
    /// `CANCELLED` at Runway gives the status `CANCELLED`.
    Fail {
        /// The provider's code.
        code: String,
    },
    /// The work never finishes.
    Stuck,
    /// An HTML page with status 200 instead of the body.
    WrongType {
        /// What the `Content-Type` says.
        #[serde(default)]
        claims: ClaimedType,
    },
    /// The media is blown up to this size and is still a valid file; made while it is sent.
    Huge {
        /// Size of the body. Files that are larger already stay as they are.
        bytes: u64,
    },
    /// The JSON of the answer breaks off in the middle; status and `Content-Length` are fine.
    Malformed,
    /// Status requests report these words first, one each, before the real state is told.
    Progress {
        /// Provider status words, known or not.
        statuses: Vec<String>,
    },
    /// The media is not there (yet).
    Gone {
        /// The HTTP status, 404 by default.
        #[serde(default = "not_found")]
        code: u16,
    },
}

/// How Fal reports moderated content.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModerationForm {
    /// As the model does: FLUX and Stable Diffusion flag a black image, the others refuse.
    #[default]
    Model,
    /// 422 `content_policy_violation`.
    Refusal,
    /// 200 with `has_nsfw_concepts` and a black image (image models only).
    NsfwFlag,
}

/// What the `Content-Type` of a wrong body says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClaimedType {
    /// It tells the truth: `text/html`.
    #[default]
    Html,
    /// It lies: the type of the media that should have been there.
    Media,
}

/// Where in the answering of a request a fault acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layer {
    Answer,
    Body,
    Work,
}

impl Fault {
    /// The fault's name as in JSON and in the journal.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Late { .. } => "late",
            Self::Lost => "lost",
            Self::ResetBefore => "reset_before",
            Self::Doubled => "doubled",
            Self::Slow { .. } => "slow",
            Self::Truncated { .. } => "truncated",
            Self::CutClean { .. } => "cut_clean",
            Self::Status { .. } => "status",
            Self::Moderation { .. } => "moderation",
            Self::Fail { .. } => "fail",
            Self::Stuck => "stuck",
            Self::WrongType { .. } => "wrong_type",
            Self::Huge { .. } => "huge",
            Self::Malformed => "malformed",
            Self::Progress { .. } => "progress",
            Self::Gone { .. } => "gone",
        }
    }

    pub(crate) fn layer(&self) -> Layer {
        match self {
            Self::Late { .. }
            | Self::Lost
            | Self::ResetBefore
            | Self::Doubled
            | Self::Status { .. }
            | Self::Malformed => Layer::Answer,
            Self::Slow { .. }
            | Self::Truncated { .. }
            | Self::CutClean { .. }
            | Self::WrongType { .. }
            | Self::Huge { .. }
            | Self::Gone { .. } => Layer::Body,
            Self::Moderation { .. } | Self::Fail { .. } | Self::Stuck | Self::Progress { .. } => Layer::Work,
        }
    }

    /// Whether the fault can strike this request when its rule does not name a kind.
    pub(crate) fn suits(&self, provider: Provider, kind: Kind) -> bool {
        match self.layer() {
            Layer::Answer => true,
            Layer::Body => kind == media_kind(provider),
            Layer::Work => kind == Kind::Submit,
        }
    }
}

/// The kind of request whose answer is the media.
pub(crate) fn media_kind(provider: Provider) -> Kind {
    match provider {
        Provider::ElevenLabs | Provider::Deepgram | Provider::Stability | Provider::OpenAi => Kind::Submit,
        Provider::Fal | Provider::Runway | Provider::Replicate | Provider::Pika | Provider::Luma => {
            Kind::Media
        }
    }
}

fn not_found() -> u16 {
    404
}

/// Durations in JSON as whole milliseconds.
mod milliseconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(value: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(u64::try_from(value.as_millis()).unwrap_or(u64::MAX))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_millis)
    }
}
