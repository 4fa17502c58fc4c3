//! Jobs as workers and pollers see them: claims and verdicts.

use async_trait::async_trait;

use crate::Timestamp;
use crate::job::{Job, RemoteOperation};
use crate::operation::Step;

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
