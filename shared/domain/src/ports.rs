//! What the inside asks of the outside. Each trait is implemented by one adapter crate and passed in by `main.rs`.

use std::pin::Pin;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::Stream;

use crate::Timestamp;
use crate::asset::Asset;
use crate::error::ProviderError;
use crate::ids::{AssetId, JobId, WorkspaceId};
use crate::job::{Epoch, Job, JobSpec, Output, RemoteOperation};
use crate::money::MicroUsd;
use crate::operation::{Operation, Provider, Step};
use crate::secret::Secret;
use crate::state::State;
use crate::trace::TraceParent;

/// A cause that no caller branches on.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Bytes as they come. An error means that the source broke off.
pub type ByteStream = Pin<Box<dyn Stream<Item = Result<Bytes, SourceBroken>> + Send>>;

/// The source of a stream ended before its end.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the source broke off: {message}")]
pub struct SourceBroken {
    /// What was seen.
    pub message: String,
}

// ---------------------------------------------------------------- jobs, as the api sees them

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

/// Which jobs to list. Newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JobFilter {
    /// Only in this state.
    pub state: Option<State>,
    /// Only this operation.
    pub operation: Option<Operation>,
    /// Only at this provider.
    pub provider: Option<Provider>,
    /// From 1.
    pub page: u32,
    /// 1 to 100.
    pub limit: u32,
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// How many there are on all pages.
    pub total: u64,
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
    /// Keeps and queues a job in one step; when this returns `Created`, no single crash loses it (INV-11).
    async fn admit(&self, new: NewJob) -> Result<Admission, StoreUnavailable>;
    /// A job of this workspace.
    async fn job(&self, workspace: &WorkspaceId, id: &JobId) -> Result<Option<Job>, StoreUnavailable>;
    /// Jobs of this workspace.
    async fn jobs(&self, workspace: &WorkspaceId, filter: &JobFilter) -> Result<Page<Job>, StoreUnavailable>;
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
    /// An asset of this workspace.
    async fn asset(&self, workspace: &WorkspaceId, id: &AssetId) -> Result<Option<Asset>, StoreUnavailable>;
    /// Whether the store answers now.
    async fn ready(&self) -> Result<(), StoreUnavailable>;
}

// ---------------------------------------------------------------- jobs, as workers and pollers see them

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

// ---------------------------------------------------------------- providers

/// The key for one call.
#[derive(Debug, Clone)]
pub struct ProviderKey(pub Secret<String>);

/// Opens keys.
#[async_trait]
pub trait Credentials: Send + Sync {
    /// The key with that id, or the workspace's default for the provider.
    async fn open(
        &self,
        workspace: &WorkspaceId,
        provider: Provider,
        credential_id: Option<&str>,
    ) -> Result<ProviderKey, CredentialError>;
}

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// None is set up.
    #[error("no credential for {provider} is set up")]
    Missing {
        /// For whom.
        provider: Provider,
    },
    /// The id is not known in this workspace.
    #[error("credential `{id}` is not known")]
    Unknown {
        /// The id.
        id: String,
    },
    /// The place where keys are kept does not answer.
    #[error("credentials cannot be read")]
    Unavailable(#[source] BoxError),
}

/// An input file in the form a provider call takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PreparedInput {
    /// A public https URL that the provider fetches itself.
    Url(String),
    /// The bytes.
    Bytes {
        /// What they are.
        content_type: String,
        /// At most a few megabytes; the adapter refuses what its provider does not take.
        bytes: Bytes,
    },
}

/// What a submit needs.
#[derive(Debug, Clone)]
pub struct SubmitCall {
    /// The job's wish.
    pub spec: JobSpec,
    /// Its input.
    pub input: Option<PreparedInput>,
    /// The key.
    pub key: ProviderKey,
}

/// What became of a paid call.
pub enum Submitted {
    /// Taken; it must be asked about.
    Accepted {
        /// The provider's job.
        remote: RemoteOperation,
        /// The provider's own first word.
        status: Option<String>,
    },
    /// Done at once: the media is in the reply.
    Bytes {
        /// What the provider says it is.
        content_type: Option<String>,
        /// The media.
        body: ByteStream,
        /// The provider's id of the request, for support.
        request_id: Option<String>,
        /// What the provider says it cost.
        cost: Option<MicroUsd>,
    },
}

/// What a status check found.
#[derive(Debug, Clone, PartialEq)]
pub enum Checked {
    /// Not finished.
    Working {
        /// The provider's own word.
        status: String,
        /// 0 to 100.
        progress_percent: Option<u8>,
    },
    /// Finished.
    Ready {
        /// Its files.
        outputs: Vec<Output>,
        /// The provider's own word.
        status: String,
        /// What the provider says it cost.
        cost: Option<MicroUsd>,
    },
    /// Ended without a result.
    Failed {
        /// Why.
        error: ProviderError,
        /// What the provider says it cost all the same.
        cost: Option<MicroUsd>,
    },
}

/// What became of a cancel at the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Abandoned {
    /// It will stop, or has.
    Stopped,
    /// It had ended before.
    TooLate,
    /// The provider has no such call.
    NotSupported,
}

/// A provider, ready to be called. Implementations hold no state of a job.
#[async_trait]
pub trait MediaProvider: Send + Sync {
    /// Makes the paid call, once. Never repeats it by itself.
    async fn submit(&self, call: SubmitCall, now: Timestamp) -> Result<Submitted, ProviderError>;
    /// Asks how far it is. Safe to repeat.
    async fn check(
        &self,
        spec: &JobSpec,
        remote: &RemoteOperation,
        key: &ProviderKey,
    ) -> Result<Checked, ProviderError>;
    /// Tells it to stop. Safe to repeat.
    async fn abandon(
        &self,
        spec: &JobSpec,
        remote: &RemoteOperation,
        key: &ProviderKey,
    ) -> Result<Abandoned, ProviderError>;
}

/// All providers of a process.
pub trait Providers: Send + Sync {
    /// The adapter, or `None` when this build has none for it.
    fn get(&self, provider: Provider) -> Option<&dyn MediaProvider>;
}

/// A foreign file being read.
pub struct Fetched {
    /// What the server says it is.
    pub content_type: Option<String>,
    /// What the server says its length is.
    pub length_bytes: Option<u64>,
    /// The bytes; ends with an error when fewer come than were announced.
    pub body: ByteStream,
}

/// Reads foreign files; checks every address (INV-8).
#[async_trait]
pub trait Fetcher: Send + Sync {
    /// Opens the file.
    async fn fetch(&self, url: &str) -> Result<Fetched, FetchError>;
}

/// Why a foreign file could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// The address is refused.
    #[error("the address is refused: it {0}")]
    Refused(#[from] crate::foreign::UrlRefusal),
    /// The server says that it is not there (any more): 401, 403, 404 or 410.
    #[error("the file is gone (HTTP {status})")]
    Gone {
        /// HTTP status.
        status: u16,
    },
    /// The server or the way to it failed for now.
    #[error("the file cannot be fetched now: {message}")]
    Unavailable {
        /// What was seen.
        message: String,
    },
}

// ---------------------------------------------------------------- telemetry

/// Spans that cross processes. Spans within a process are made with `tracing` where they belong.
pub trait Telemetry: Send + Sync {
    /// The SERVER span of a request; `parent` is the caller's `traceparent`.
    fn request(&self, method: &str, route: &str, parent: Option<TraceParent>) -> tracing::Span;
    /// The PRODUCER span of an admission, child of the current span.
    fn send(&self, queue: Step) -> tracing::Span;
    /// The CONSUMER span of a step, placed in the job's trace and linked to what scheduled it.
    fn step(&self, job: &Job, step: Step) -> tracing::Span;
    /// The context that others can hang their spans under. `None` when nothing is recorded.
    fn context_of(&self, span: &tracing::Span) -> Option<TraceParent>;
    /// A span id for a span that will be written later.
    fn fresh_span_id(&self) -> u64;
    /// Writes the media span of a job that has ended, with its true start and end.
    fn media(&self, job: &Job);
}

// ---------------------------------------------------------------- assets

/// An object to store.
#[derive(Debug, Clone)]
pub struct NewObject {
    /// Key without its extension, which follows from the bytes: `prefix.ext`.
    pub key_prefix: String,
    /// What the source says it is.
    pub claimed_type: Option<String>,
    /// The kind of media it must be.
    pub kind: crate::operation::MediaKind,
    /// What the source says its length is.
    pub length_bytes: Option<u64>,
}

/// A stored object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredObject {
    /// Its key.
    pub key: String,
    /// From the bytes where they tell, else the claim.
    pub content_type: String,
    /// Length.
    pub size_bytes: u64,
    /// Hex digest.
    pub sha256: String,
}

/// Why an object was not stored. Nothing of it is visible then.
#[derive(Debug, thiserror::Error)]
pub enum PutError {
    /// The bytes are not what they must be: wrong type, wrong length, too large, empty.
    #[error("the media is not what it claims to be: {message}")]
    Malformed {
        /// In words.
        message: String,
    },
    /// The source broke off.
    #[error(transparent)]
    Source(#[from] SourceBroken),
    /// The store failed.
    #[error("the asset store is not available")]
    Unavailable(#[source] BoxError),
}

/// Stored media.
#[async_trait]
pub trait AssetStore: Send + Sync {
    /// Streams an object in, hashing and checking it on the way, in bounded memory.
    async fn put(&self, object: NewObject, body: ByteStream) -> Result<StoredObject, PutError>;
    /// Writes the manifest beside the object.
    async fn put_manifest(&self, asset: &Asset) -> Result<(), PutError>;
    /// Reads a small object, at most `limit_bytes`.
    async fn read(&self, key: &str, limit_bytes: u64) -> Result<Option<Bytes>, PutError>;
    /// Removes an object and its manifest. Removing what is not there succeeds.
    async fn remove(&self, key: &str) -> Result<(), PutError>;
    /// A URL that gives the object to whoever holds it, for `ttl`.
    async fn signed_url(&self, asset: &Asset, ttl: Duration) -> Result<String, PutError>;
    /// Whether the store answers now.
    async fn ready(&self) -> Result<(), PutError>;
}
