//! Jobs and assets as the api sees them.

use async_trait::async_trait;
use std::time::Duration;

use super::{BoxError, Next};
use crate::Timestamp;
use crate::asset::Asset;
use crate::ids::{AssetId, JobId, WorkspaceId};
use crate::job::Job;
use crate::listing::{JobFilter, ListPlace, Page, Walked};

/// The store could not be asked or could not keep what it was given. Nothing was accepted.
#[derive(Debug, thiserror::Error)]
#[error("the job store is not available")]
pub struct StoreUnavailable {
    /// Why.
    #[source]
    pub source: BoxError,
}

/// A job to admit.
#[derive(Debug, Clone)]
pub struct NewJob {
    /// As [`Job::admitted`] made it.
    pub job: Job,
    /// The caller's key, with the digest of the body it came with.
    pub idempotency: Option<Idempotency>,
}

/// A caller's idempotency key. It belongs to one workspace and is remembered for a day (the store's setting).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idempotency {
    /// 1 to 255 characters.
    pub key: String,
    /// Digest of what the caller asked, to tell a repeat from a mistake.
    pub fingerprint: [u8; 16],
}

/// What became of an admission.
#[derive(Debug, Clone, PartialEq)]
pub enum Admission {
    /// Kept and queued.
    Created,
    /// The same key and body came before; this is that job.
    Repeated(Box<Job>),
    /// The same key came before with another body; this is the other job.
    KeyReused(JobId),
}

/// What became of a cancel.
#[derive(Debug, Clone, PartialEq)]
pub enum CancelOutcome {
    /// It is cancelled now; where the provider works on it, it is told to stop.
    Cancelled(Box<Job>),
    /// It had ended before, in this way.
    AlreadyEnded(Box<Job>),
    /// No such job in this workspace.
    Unknown,
}

/// Jobs and assets as the api needs them.
#[async_trait]
pub trait JobStore: Send + Sync {
    /// The id of a job that is to be admitted next, with the idempotency key that will come with it. A divided store
    /// looks for both in the same part, so an id that was made otherwise may be refused beside a key.
    fn new_job_id(&self, _workspace: &WorkspaceId, _key: Option<&str>) -> JobId {
        JobId::new()
    }
    /// Keeps and queues a job in one step; when this returns `Created`, no single crash loses it (INV-11).
    async fn admit(&self, new: NewJob) -> Result<Admission, StoreUnavailable>;
    /// Admits many jobs, each as [`JobStore::admit`] would: one outcome a job, in their order. A failure in between leaves
    /// earlier ones admitted, and says so of each.
    async fn admit_many(&self, new: &[NewJob]) -> Vec<Result<Admission, StoreUnavailable>>;
    /// A job of this workspace.
    async fn job(&self, workspace: &WorkspaceId, id: &JobId) -> Result<Option<Job>, StoreUnavailable>;
    /// A page of the jobs of this workspace.
    async fn jobs(&self, workspace: &WorkspaceId, filter: &JobFilter) -> Result<Page<Job>, StoreUnavailable>;
    /// Jobs of this workspace from a place on, or from the newest. Whatever is admitted or forgotten meanwhile, a walk to
    /// the end meets each job that stays once. A call looks at a bounded number of jobs, so that it may bring few or none
    /// although the list goes on.
    async fn walk(
        &self,
        workspace: &WorkspaceId,
        filter: &JobFilter,
        behind: Option<&ListPlace>,
    ) -> Result<Walked, StoreUnavailable>;
    /// Ends a job by its caller's wish.
    async fn cancel(
        &self,
        workspace: &WorkspaceId,
        id: &JobId,
        now: Timestamp,
    ) -> Result<CancelOutcome, StoreUnavailable>;
    /// The job as soon as it has ended, or as it is when `limit` is over.
    async fn wait_for_end(
        &self,
        workspace: &WorkspaceId,
        id: &JobId,
        limit: Duration,
    ) -> Result<Option<Job>, StoreUnavailable>;
    /// The job of a callback, whosever it is; its address has been checked before.
    async fn job_of_callback(&self, id: &JobId) -> Result<Option<Job>, StoreUnavailable>;
    /// Makes the next check of a waiting job due at once, at most once in a job's life: a callback says that the work
    /// has ended. Whether it did; it does nothing for a job that does not wait, or was hastened before.
    async fn hasten(&self, id: &JobId) -> Result<bool, StoreUnavailable>;
    /// Writes a decision about `before` that no claim's holder made, unless the job has changed since. Whether it did.
    async fn decide(&self, before: &Job, after: Job, next: Next) -> Result<bool, StoreUnavailable>;
    /// Takes jobs out of the workspace's dead letters; their records stay. How many were there.
    async fn strike(&self, workspace: &WorkspaceId, ids: &[JobId]) -> Result<u64, StoreUnavailable>;
    /// Forgets a job of this workspace that has ended. Whether there was one.
    async fn forget(&self, workspace: &WorkspaceId, id: &JobId) -> Result<bool, StoreUnavailable>;
    /// An asset of this workspace.
    async fn asset(&self, workspace: &WorkspaceId, id: &AssetId) -> Result<Option<Asset>, StoreUnavailable>;
    /// Whether the store answers now.
    async fn ready(&self) -> Result<(), StoreUnavailable>;
}
