//! Documents: small JSON records that a workspace owns beside its jobs, such as API keys and credentials.

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::StoreUnavailable;
use crate::Timestamp;
use crate::ids::{DocumentId, WorkspaceId};

/// What a document is. Kinds see nothing of each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DocumentKind {
    /// A key of the api.
    ApiKey,
    /// A sealed key of a provider.
    Credential,
}

impl DocumentKind {
    /// All kinds.
    pub const ALL: [Self; 2] = [Self::ApiKey, Self::Credential];

    /// One letter that names the kind in a store.
    pub const fn letter(self) -> char {
        match self {
            Self::ApiKey => 'k',
            Self::Credential => 'c',
        }
    }
}

/// A document as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Its id.
    pub id: DocumentId,
    /// Owner.
    pub workspace_id: WorkspaceId,
    /// 1 for a new document; rises by one with every change of its content.
    pub version: u64,
    /// When it was created.
    pub created_at: Timestamp,
    /// When its content was changed last.
    pub updated_at: Timestamp,
    /// When it was used last, as far as somebody said so.
    pub used_at: Option<Timestamp>,
    /// The content.
    pub json: String,
}

/// Which page of a list, newest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageOf {
    /// From 1.
    pub page: u32,
    /// 1 to 100.
    pub limit: u32,
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentPage {
    /// The documents.
    pub items: Vec<Document>,
    /// How many there are on all pages.
    pub total: u64,
}

/// What became of a new document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Created {
    /// It is kept.
    Yes,
    /// The workspace has as many documents of the kind as it may have.
    Full,
}

/// Which label a new document gets. A label names one document of a kind and workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Labelling<'a> {
    /// This one; whichever has it loses it.
    Take(&'a str),
    /// This one, unless another document has it.
    IfFree(&'a str),
}

/// Where a walk over all documents of a kind goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentMark {
    /// Part of the store.
    pub shard: u16,
    /// Place in that part.
    pub cursor: u64,
}

/// Keeps documents. What it takes survives any single crash, as admitted jobs do (INV-11).
#[async_trait]
pub trait Documents: Send + Sync {
    /// An id for a new document of this workspace; one that was made otherwise may not be found again.
    fn new_id(&self, workspace: &WorkspaceId) -> DocumentId;

    /// Keeps a new document. Doing it again with the same id changes nothing.
    async fn create(
        &self,
        kind: DocumentKind,
        document: &Document,
        label: Option<Labelling<'_>>,
        limit: u32,
    ) -> Result<Created, StoreUnavailable>;

    /// A document of this workspace.
    async fn document(
        &self,
        kind: DocumentKind,
        workspace: &WorkspaceId,
        id: &DocumentId,
    ) -> Result<Option<Document>, StoreUnavailable>;

    /// A document, whosever it is. Not for ids that a caller names, unless who has the id proves who it is.
    async fn of_any_workspace(
        &self,
        kind: DocumentKind,
        id: &DocumentId,
    ) -> Result<Option<Document>, StoreUnavailable>;

    /// The document that has this label.
    async fn labelled(
        &self,
        kind: DocumentKind,
        workspace: &WorkspaceId,
        label: &str,
    ) -> Result<Option<Document>, StoreUnavailable>;

    /// All labels, each with the document that has it.
    async fn labels(
        &self,
        kind: DocumentKind,
        workspace: &WorkspaceId,
    ) -> Result<BTreeMap<String, DocumentId>, StoreUnavailable>;

    /// Gives a label to a document of this workspace; whichever has it loses it. Whether the document is there.
    async fn label(
        &self,
        kind: DocumentKind,
        workspace: &WorkspaceId,
        id: &DocumentId,
        label: &str,
    ) -> Result<bool, StoreUnavailable>;

    /// A page of the workspace's documents, newest first.
    async fn documents(
        &self,
        kind: DocumentKind,
        workspace: &WorkspaceId,
        page: PageOf,
    ) -> Result<DocumentPage, StoreUnavailable>;

    /// Writes new content over that of `before`, unless the document has changed or gone since. Whether it did.
    async fn replace(
        &self,
        kind: DocumentKind,
        before: &Document,
        json: &str,
        now: Timestamp,
    ) -> Result<bool, StoreUnavailable>;

    /// Notes that a document was used; nothing where it is gone.
    async fn touch(
        &self,
        kind: DocumentKind,
        id: &DocumentId,
        now: Timestamp,
    ) -> Result<(), StoreUnavailable>;

    /// Removes a document of this workspace with its labels. Whether there was one.
    async fn remove(
        &self,
        kind: DocumentKind,
        workspace: &WorkspaceId,
        id: &DocumentId,
    ) -> Result<bool, StoreUnavailable>;

    /// One bounded piece of a walk over the documents of all workspaces, and where the next one begins; `None` begins
    /// it, and ends it. A document that is there all the time is seen at least once.
    async fn walk(
        &self,
        kind: DocumentKind,
        from: Option<DocumentMark>,
    ) -> Result<(Vec<Document>, Option<DocumentMark>), StoreUnavailable>;
}
