//! One job: what was asked, and how far it is.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::asset::Asset;
use crate::error::{ErrorCode, JobError};
use crate::history::Moment;
use crate::ids::{AssetId, JobId, WorkspaceId};
use crate::ledger::PaidCall;
use crate::money::{Cost, CostSource};
use crate::operation::{OnUnknownOutcome, Operation, Priority, Provider};
use crate::state::{Event, IllegalTransition, State};
use crate::trace::JobTrace;

/// Longest text that stands in a job's record. Records are read and written often; a longer text is an asset only.
pub const TEXT_LIMIT_BYTES: usize = 64 * 1024;

/// What was asked, after validation. Nothing in it changes during the job's life.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobSpec {
    /// What to do.
    pub operation: Operation,
    /// At whom.
    pub provider: Provider,
    /// With which model of theirs.
    pub model: String,
    /// The prompt, or the text to speak.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    /// The input file, for operations that need one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Input>,
    /// Further files by the name of the option that takes them, such as `mask`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, Input>,
    /// The provider's options under the catalogue's names.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub config: serde_json::Map<String, serde_json::Value>,
    /// Which key of the workspace to use; its default for the provider when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential_id: Option<String>,
    /// Order among waiting jobs.
    pub priority: Priority,
    /// Not before this instant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_at: Option<Timestamp>,
    /// A job that has not been taken by the provider by then fails with `deadline`.
    pub start_deadline: Timestamp,
    /// The caller's own facts, given back as they are.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub metadata: serde_json::Map<String, serde_json::Value>,
    /// Whether the prompt may stand on spans; the process setting can only be stricter.
    pub capture_prompt: bool,
    /// What to do when a paid call gets no answer.
    pub on_unknown_outcome: OnUnknownOutcome,
}

/// Where the input file is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Input {
    /// A foreign URL, checked when it was accepted and again when it is fetched.
    Url(String),
    /// An asset of the same workspace.
    Asset(AssetId),
    /// Bytes that came with the request and are kept in the asset store.
    Staged(StagedInput),
}

/// Bytes that came with a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StagedInput {
    /// Object key in the bucket.
    pub key: String,
    /// From the bytes.
    pub content_type: String,
    /// Length in bytes.
    pub size_bytes: u64,
    /// Hex digest.
    pub sha256: String,
}

/// The provider's own job. Stored before the message that led to it is acknowledged (INV-2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoteOperation {
    /// The provider's opaque id.
    pub id: String,
    /// When the provider took it.
    pub submitted_at: Timestamp,
    /// URLs that the provider gave for it (`status`, `response`, `cancel`); used instead of built ones.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub urls: BTreeMap<String, String>,
}

/// One finished output that is not stored yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// Where the bytes are.
    pub source: OutputSource,
    /// What the provider says they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// The seed the provider reports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// The prompt as the provider rewrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revised_prompt: Option<String>,
}

impl Output {
    /// A file at the provider.
    pub fn link(url: impl Into<String>, content_type: Option<String>) -> Self {
        Self { source: OutputSource::Link(url.into()), content_type, seed: None, revised_prompt: None }
    }
}

/// Where the bytes of an output are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutputSource {
    /// At the provider. Foreign: checked before it is fetched, secret in its query. A check may find a `data:` URI here;
    /// no record has one, see [`crate::ports::keep_inline`].
    Link(String),
    /// They came with the reply and are kept in our spool under the epoch that wrote them.
    Spool {
        /// Part of the spool's key, so that two claims never mix their bytes.
        epoch: u32,
        /// Length in bytes.
        size_bytes: u64,
    },
}

/// The number of the current claim on a job. A message or worker with an older one has no effect (INV-9).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(pub u32);

/// A job and everything known of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// Its id.
    pub id: JobId,
    /// Where it stands.
    pub state: State,
    /// The current claim.
    pub epoch: Epoch,
    /// Claims since the last verdict: more than one means that a holder died.
    pub deliveries: u16,
    /// Status checks used (INV-6: these are no attempts).
    pub checks: u16,
    /// 0 to 100, when the provider says.
    pub progress_percent: Option<u8>,
    /// Last change of any kind.
    pub changed_at: Timestamp,
    /// When something looks at it next; for ready work the time it became ready (INV-4).
    pub due_at: Option<Timestamp>,
    /// The rest.
    pub body: JobBody,
}

/// The part of a job that is written as JSON; the rest is the record's fixed header.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobBody {
    /// Owner.
    pub workspace_id: WorkspaceId,
    /// What was asked.
    pub spec: JobSpec,
    /// Paid calls begun.
    #[serde(default)]
    pub attempts: u16,
    /// Consecutive failed tries of the step it is at, for back-off.
    #[serde(default)]
    pub failures: u16,
    /// Consecutive waits that are nobody's failure: a rate limit, an asset store that is away. For back-off alone.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub waits: u16,
    /// The paid calls, oldest first, at most [`crate::ledger::LEDGER_LIMIT`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paid_calls: Vec<PaidCall>,
    /// The provider's job, once accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote: Option<RemoteOperation>,
    /// The provider's own word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_status: Option<String>,
    /// Finished, not stored.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outputs: Vec<Output>,
    /// When the first of their links stops to work, as far as the provider tells; absent where they are in the spool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outputs_expire_at: Option<Timestamp>,
    /// Stored.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub assets: Vec<Asset>,
    /// A transcript, unless it is longer than [`TEXT_LIMIT_BYTES`]; it is an asset in any case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// What happened to it, oldest first, at most [`crate::history::HISTORY_LIMIT`] moments. Nothing for a job that has
    /// not been begun.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<Moment>,
    /// The job that this one does again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replay_of: Option<JobId>,
    /// What it costs.
    pub cost: Cost,
    /// Why it failed, or the last passing fault while it is tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<JobError>,
    /// What the caller should know although the job was admitted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// Its trace.
    pub trace: JobTrace,
    /// Admission.
    pub created_at: Timestamp,
    /// First paid call begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// End.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<Timestamp>,
}

impl JobBody {
    /// Forgets results that are stored, or will never be.
    pub fn clear_outputs(&mut self) {
        self.outputs.clear();
        self.outputs_expire_at = None;
    }

    /// How long the job was given to start.
    pub fn start_window(&self) -> Duration {
        let from = self.spec.run_at.map_or(self.created_at, |run_at| run_at.max(self.created_at));
        Duration::try_from(self.spec.start_deadline.duration_since(from)).unwrap_or_default()
    }
}

fn is_zero(number: &u16) -> bool {
    *number == 0
}

impl Job {
    /// A job as it is admitted: queued, epoch 0, due at its `run_at` or at once.
    pub fn admitted(
        id: JobId,
        workspace_id: WorkspaceId,
        spec: JobSpec,
        cost: Cost,
        trace: JobTrace,
        now: Timestamp,
    ) -> Self {
        let due_at = Some(spec.run_at.map_or(now, |run_at| run_at.max(now)));
        Self {
            id,
            state: State::Queued,
            epoch: Epoch(0),
            deliveries: 0,
            checks: 0,
            progress_percent: None,
            changed_at: now,
            due_at,
            body: JobBody {
                workspace_id,
                spec,
                attempts: 0,
                failures: 0,
                waits: 0,
                paid_calls: Vec::new(),
                remote: None,
                provider_status: None,
                outputs: Vec::new(),
                outputs_expire_at: None,
                assets: Vec::new(),
                text: None,
                history: Vec::new(),
                replay_of: None,
                cost,
                error: None,
                warnings: Vec::new(),
                trace,
                created_at: now,
                started_at: None,
                completed_at: None,
            },
        }
    }

    /// A new job that does what this one failed to do: the same wish, with its time to start beginning now.
    pub fn replayed(&self, id: JobId, trace: JobTrace, now: Timestamp) -> Self {
        let spec = JobSpec {
            run_at: None,
            start_deadline: now + self.body.start_window(),
            ..self.body.spec.clone()
        };
        let cost = Cost {
            actual: None,
            source: self.body.cost.price.map_or(CostSource::Unknown, |_| CostSource::Table),
            ..self.body.cost.clone()
        };
        let mut job = Self::admitted(id, self.body.workspace_id.clone(), spec, cost, trace, now);
        job.body.warnings = self.body.warnings.clone();
        job.body.replay_of = Some(self.id.clone());
        job
    }

    /// Takes an event by the table. A terminal state also sets `completed_at` and clears what only matters before.
    pub fn apply(&mut self, event: Event, now: Timestamp) -> Result<(), IllegalTransition> {
        let was = self.state;
        self.state = was.after(event)?;
        self.changed_at = now;
        self.note_state(was, event, now);
        if self.state.is_terminal() {
            self.body.completed_at = Some(now);
            self.due_at = None;
        }
        Ok(())
    }

    /// Whether it failed for passing reasons alone, so that doing it again is worth a try: a dead letter.
    pub fn is_dead_letter(&self) -> bool {
        self.state == State::Failed
            && self.body.error.as_ref().is_some_and(|error| error.code == ErrorCode::Exhausted)
    }

    /// The job's class of media.
    pub fn media_kind(&self) -> crate::operation::MediaKind {
        self.body.spec.operation.media_kind()
    }
}
