//! Housekeeping in the asset store.

use async_trait::async_trait;

use super::PutError;
use crate::Timestamp;

/// What one piece of a walk did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Swept {
    /// Objects that were looked at.
    pub seen: u64,
    /// Objects that were removed, manifests among them.
    pub removed: u64,
    /// Where the next piece begins; `None` at the end.
    pub next: Option<String>,
}

/// An upload in parts that is not complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadMark {
    /// Its object key.
    pub key: String,
    /// Its id.
    pub upload_id: String,
}

/// What became of open uploads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Aborted {
    /// A piece of the list was gone through.
    Some {
        /// Uploads that were aborted.
        aborted: u64,
        /// Where the next piece begins; `None` at the end.
        next: Option<UploadMark>,
    },
    /// The store cannot list open uploads.
    Unsupported,
}

/// Removes what nobody needs any more. Each call is one bounded piece of a walk and may be repeated; it touches keys of
/// our own layout only.
#[async_trait]
pub trait AssetUpkeep: Send + Sync {
    /// Removes objects that are older than the store's settings keep them, of those after the key `after`; an empty key
    /// begins the walk.
    async fn remove_expired(&self, after: &str, now: Timestamp) -> Result<Swept, PutError>;
    /// Aborts uploads that were begun more than a day ago, of those after `after`.
    async fn abort_stale_uploads(
        &self,
        after: Option<&UploadMark>,
        now: Timestamp,
    ) -> Result<Aborted, PutError>;
}
