//! Stored media.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use super::{BoxError, ByteStream, SourceBroken};
use crate::asset::{Asset, MediaFacts};
use crate::operation::MediaKind;

/// What an object must be to be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExpectedContent {
    /// Media of this kind.
    Media(MediaKind),
    /// Media of any kind: the input of a job.
    AnyMedia,
    /// Plain text in UTF-8. It may be empty: silence has no words.
    Text,
    /// A JSON document.
    Json,
}

/// An object to store.
#[derive(Debug, Clone)]
pub struct NewObject {
    /// Key without its extension, which follows from the bytes: `prefix.ext`.
    pub key_prefix: String,
    /// What the source says it is.
    pub claimed_type: Option<String>,
    /// What it must be.
    pub expects: ExpectedContent,
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
    /// What the bytes tell about themselves.
    pub facts: MediaFacts,
}

/// An object, or a part of one, that is being read.
pub struct OpenedObject {
    /// How many bytes will come.
    pub length_bytes: u64,
    /// The bytes. It breaks off rather than to give fewer, and when the store is silent for too long.
    pub body: ByteStream,
}

impl fmt::Debug for OpenedObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenedObject").field("length_bytes", &self.length_bytes).finish_non_exhaustive()
    }
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
    /// What [`AssetStore::put`] would make of these bytes, without storing anything. The key is that of the object.
    async fn inspect(&self, object: NewObject, bytes: Bytes) -> Result<StoredObject, PutError>;
    /// Writes the manifest beside the object.
    async fn put_manifest(&self, asset: &Asset) -> Result<(), PutError>;
    /// Reads a small object, at most `limit_bytes`.
    async fn read(&self, key: &str, limit_bytes: u64) -> Result<Option<Bytes>, PutError>;
    /// Opens an object, or the part of it within `range`, for reading in bounded memory. `None` where there is no such
    /// object, or no such part of it.
    async fn open(
        &self,
        key: &str,
        range: Option<RangeInclusive<u64>>,
    ) -> Result<Option<OpenedObject>, PutError>;
    /// Removes an object and its manifest. Removing what is not there succeeds.
    async fn remove(&self, key: &str) -> Result<(), PutError>;
    /// A URL of a stored object for a provider that must fetch it itself, for `ttl`.
    async fn signed_input_url(&self, key: &str, ttl: Duration) -> Result<String, PutError>;
    /// A URL that gives the object to whoever holds it, for `ttl`.
    async fn signed_url(&self, asset: &Asset, ttl: Duration) -> Result<String, PutError>;
    /// Whether the store answers now.
    async fn ready(&self) -> Result<(), PutError>;
}
