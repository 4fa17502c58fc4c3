//! Providers, their keys, and foreign files.

use std::collections::BTreeMap;

use async_trait::async_trait;
use bytes::Bytes;

use super::{BoxError, ByteStream};
use crate::Timestamp;
use crate::error::ProviderError;
use crate::ids::WorkspaceId;
use crate::job::{JobSpec, Output, RemoteOperation};
use crate::money::ReportedCost;
use crate::operation::Provider;
use crate::secret::Secret;

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

/// The forms in which a provider takes a file. Where both are open, a URL that is at hand goes as it is, and bytes that
/// are at hand go as bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InputForms {
    /// A public https URL that it fetches itself.
    pub takes_url: bool,
    /// Bytes, up to so many; `None` where it takes none.
    pub max_bytes: Option<u64>,
}

/// What a submit needs.
#[derive(Debug, Clone)]
pub struct SubmitCall {
    /// The job's wish.
    pub spec: JobSpec,
    /// Its input.
    pub input: Option<PreparedInput>,
    /// Further files by the name of their option.
    pub files: BTreeMap<String, PreparedInput>,
    /// The key.
    pub key: ProviderKey,
    /// Where the provider may tell that the work has ended; absent unless the operator has named a public address.
    pub callback_url: Option<String>,
}

/// A result that came whole with a reply.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Finished {
    /// Its files.
    pub outputs: Vec<FinishedOutput>,
    /// The text, for operations that make one.
    pub text: Option<String>,
    /// The provider's id of the request, for support.
    pub request_id: Option<String>,
    /// What the provider says about the cost.
    pub cost: Option<ReportedCost>,
}

/// One file of a result that came whole with a reply.
#[derive(Debug, Clone, PartialEq)]
pub struct FinishedOutput {
    /// The bytes.
    pub bytes: Bytes,
    /// What the provider says they are.
    pub content_type: Option<String>,
    /// The seed the provider reports.
    pub seed: Option<u64>,
    /// The prompt as the provider rewrote it.
    pub revised_prompt: Option<String>,
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
        /// The seed the provider reports.
        seed: Option<u64>,
        /// What the provider says about the cost.
        cost: Option<ReportedCost>,
    },
    /// Done at once: everything was in the reply, and it was read whole.
    Finished(Finished),
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
        /// What the provider says about the cost.
        cost: Option<ReportedCost>,
    },
    /// Ended without a result.
    Failed {
        /// Why.
        error: ProviderError,
        /// What the provider says about the cost all the same.
        cost: Option<ReportedCost>,
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
    /// In which forms the call takes a file: the job's input (`None`) or that of an option.
    fn input_forms(&self, spec: &JobSpec, option: Option<&str>) -> InputForms;
    /// Brings bytes to the provider's own upload endpoint where the call wants them there; other calls come back as
    /// they are. Costs nothing and may be repeated.
    async fn upload_inputs(&self, call: SubmitCall) -> Result<SubmitCall, ProviderError>;
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
