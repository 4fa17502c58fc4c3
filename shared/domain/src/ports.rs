//! What the inside asks of the outside. Each trait is implemented by one adapter crate and passed in by a program's
//! `program.rs`.

mod asset_book;
mod assets;
mod callbacks;
mod claims;
mod costs;
mod credentials;
mod documents;
mod events;
mod jobs;
mod pauses;
mod providers;
mod spool;
mod telemetry;
mod time;
mod upkeep;

use std::pin::Pin;

use bytes::Bytes;
use futures::Stream;

pub use crate::listing::{Among, JobFilter, ListPlace, Page, Walked};
pub use asset_book::{AssetBook, AssetFilter, AssetPage, AssetPlace, AssetRecords, AssetsFrom};
pub use assets::{AssetStore, ExpectedContent, NewObject, OpenedObject, PutError, StoredObject};
pub use callbacks::{Callback, CallbackRefusal, CallbackRequest, Callbacks, News};
pub use claims::{Claim, ClaimError, Next, StepHandler};
pub use costs::CostBook;
pub use credentials::{KeyCheck, KeyVerdict};
pub use documents::{
    Created, Document, DocumentKind, DocumentMark, DocumentPage, Documents, Labelling, PageOf,
};
pub use events::{EventFeed, FeedItem, JobEvents, ToldEvent};
pub use jobs::{Admission, CancelOutcome, Idempotency, JobStore, NewJob, StoreUnavailable};
pub use pauses::{Held, Pauses};
pub use providers::{
    Abandoned, Checked, CredentialError, Credentials, FetchError, Fetched, Fetcher, Finished, FinishedOutput,
    InputForms, MediaProvider, PreparedInput, ProviderKey, Providers, SubmitCall, Submitted,
};
pub use spool::{Spool, SpoolError, keep_finished, keep_inline};
pub use telemetry::Telemetry;
pub use time::TimeSource;
pub use upkeep::{Aborted, AssetManifests, AssetUpkeep, Manifests, Swept, UploadMark};

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
