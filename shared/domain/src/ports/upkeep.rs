//! Housekeeping in the asset store.

use async_trait::async_trait;

use super::{AssetRecords, PutError};
use crate::Timestamp;
use crate::asset::Asset;
use crate::ids::WorkspaceId;

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
    /// begins the walk. The records of assets are forgotten before: the walk finds what is left of an object without a
    /// record, and nothing finds a record without an object.
    async fn remove_expired(
        &self,
        after: &str,
        now: Timestamp,
        records: &dyn AssetRecords,
    ) -> Result<Swept, PutError>;
    /// Aborts uploads that were begun more than a day ago, of those after `after`.
    async fn abort_stale_uploads(
        &self,
        after: Option<&UploadMark>,
        now: Timestamp,
    ) -> Result<Aborted, PutError>;
}

/// What one piece of a walk over manifests found.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Manifests {
    /// What they tell.
    pub assets: Vec<Asset>,
    /// Keys of manifests that cannot be read, or tell of another object.
    pub unreadable: Vec<String>,
    /// Manifests whose object is gone: what a removal has left behind.
    pub orphans: u64,
    /// Where the next piece begins; `None` at the end.
    pub next: Option<String>,
}

/// The manifests beside the objects, from which the records of assets can be made again.
#[async_trait]
pub trait AssetManifests: Send + Sync {
    /// Those of all workspaces, or of one, after the key `after`; an empty key begins the walk.
    async fn manifests(&self, workspace: Option<&WorkspaceId>, after: &str) -> Result<Manifests, PutError>;
}
