//! Jobs as workers and pollers see them: claims, verdicts, and the spool.

use async_trait::async_trait;

use super::{BoxError, ByteStream, Finished, SourceBroken};
use crate::Timestamp;
use crate::ids::JobId;
use crate::job::{Epoch, Job, Output, OutputSource, RemoteOperation};
use crate::operation::Step;
use crate::policy::Received;

/// Why a write of a claim's holder had no effect.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ClaimError {
    /// Somebody else holds the job now, or it was cancelled. Carries the job as it is, if it still exists.
    #[error("the claim is stale")]
    Stale(Option<Box<Job>>),
    /// The holder was told to stop while the store was away; the claim will be found by the next holder.
    #[error("gave up waiting for the store")]
    GaveUp,
}

/// What follows a verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Nothing: the job has ended.
    Nothing,
    /// This step, as soon as somebody is free.
    Now(Step),
    /// This step, not before this instant.
    At(Step, Timestamp),
}

/// One claimed step of one job. While it lives its lease is renewed; a holder that dies loses it, and the step is
/// given to somebody else under a higher epoch.
#[async_trait]
pub trait Claim: Send + Sync {
    /// The job as it was when it was claimed, with the claim's epoch.
    fn job(&self) -> &Job;
    /// Which step is to be done.
    fn step(&self) -> Step;
    /// Writes the job and keeps the claim. Returns when it is stored; waits for the store as long as it must.
    async fn save(&self, job: &Job) -> Result<(), ClaimError>;
    /// Writes the job, enqueues what follows and acknowledges the message, all in one atomic step. Ends the claim.
    async fn settle(&self, job: Job, next: Next) -> Result<(), ClaimError>;
    /// Keeps what was learnt about a job that ended meanwhile (a remote id that came after a cancel) without touching
    /// its state, and lets the provider be told to stop.
    async fn note_late_remote(&self, remote: RemoteOperation) -> Result<(), ClaimError>;
}

/// Does steps. The runner calls it for each claim.
#[async_trait]
pub trait StepHandler: Send + Sync {
    /// Does the step and settles the claim. A claim that comes back unsettled, or a panic, counts as a failed try.
    async fn handle(&self, claim: std::sync::Arc<dyn Claim>);
}

/// Keeps bytes that came with a paid reply until the asset store has them.
#[async_trait]
pub trait Spool: Send + Sync {
    /// Keeps a stream; returns its length. Fails with `TooLarge` above the limit of the spool.
    async fn keep(&self, job: &JobId, epoch: Epoch, index: u16, bytes: ByteStream)
    -> Result<u64, SpoolError>;
    /// The bytes kept by that claim.
    async fn read(&self, job: &JobId, epoch: Epoch, index: u16) -> Result<ByteStream, SpoolError>;
    /// Forgets them.
    async fn forget(&self, job: &JobId, epoch: Epoch, index: u16) -> Result<(), SpoolError>;
}

/// Why the spool did not keep or give.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// The reply broke off.
    #[error(transparent)]
    Source(#[from] SourceBroken),
    /// More than the spool takes.
    #[error("the reply is larger than the spool's limit of {limit_bytes} bytes")]
    TooLarge {
        /// The limit.
        limit_bytes: u64,
    },
    /// Nothing under that name.
    #[error("the spool no longer holds these bytes")]
    Gone,
    /// The spool itself failed.
    #[error("the spool is not available")]
    Unavailable(#[source] BoxError),
}

/// Keeps everything of a result that came whole, under this claim.
pub async fn keep_finished(
    spool: &dyn Spool,
    job: &JobId,
    epoch: Epoch,
    finished: Finished,
) -> Result<Received, SpoolError> {
    let mut outputs = Vec::with_capacity(finished.outputs.len());
    for (index, output) in (0u16..).zip(finished.outputs) {
        let bytes: ByteStream = Box::pin(futures::stream::iter([Ok(output.bytes)]));
        let size_bytes = spool.keep(job, epoch, index, bytes).await?;
        outputs.push(Output {
            source: OutputSource::Spool { epoch: epoch.0, size_bytes },
            content_type: output.content_type,
            seed: output.seed,
            revised_prompt: output.revised_prompt,
        });
    }
    Ok(Received { outputs, text: finished.text, cost: finished.cost })
}
