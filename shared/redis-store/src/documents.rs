//! Documents on Redis. All of a workspace's are in one shard, which their ids name, too.
//!
//! A document is a hash: `w` workspace, `v` version, `c` and `m` when it was created and changed in ms, `u` when it was
//! used last, `d` its content as JSON.

use std::collections::{BTreeMap, HashMap};

use async_trait::async_trait;
use atelier_domain::Timestamp;
use atelier_domain::ids::{DocumentId, WorkspaceId};
use atelier_domain::ports::{
    Created, Document, DocumentKind, DocumentMark, DocumentPage, Documents, Labelling, PageOf,
    StoreUnavailable,
};
use rand::Rng;
use redis::{AsyncCommands, RedisResult};
use tracing::error;

use crate::connect::{Redis, Shard, twice};
use crate::{keys, script};

/// Documents of one piece of a walk, about.
const WALKED: u32 = 100;

/// [`Documents`] on Redis.
#[derive(Clone)]
pub struct RedisDocuments {
    redis: Redis,
}

fn unavailable(source: impl std::error::Error + Send + Sync + 'static) -> StoreUnavailable {
    StoreUnavailable { source: Box::new(source) }
}

impl RedisDocuments {
    /// The documents of this Redis.
    pub fn new(redis: Redis) -> Self {
        Self { redis }
    }

    fn of_id(&self, id: &DocumentId) -> &Shard {
        self.redis.of_document(id)
    }

    async fn read(&self, kind: DocumentKind, id: &DocumentId) -> Result<Option<Document>, StoreUnavailable> {
        let shard = self.of_id(id);
        let key = shard.keys.document(kind, id);
        let fields: HashMap<String, String> =
            twice(|| async { shard.commands().hgetall(&key).await }).await.map_err(unavailable)?;
        Ok(read(id, fields))
    }

    /// Those of these documents that are there, in the same order.
    async fn read_many(
        &self,
        shard: &Shard,
        kind: DocumentKind,
        ids: &[DocumentId],
    ) -> RedisResult<Vec<Document>> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let mut asked = redis::pipe();
        for id in ids {
            asked.hgetall(shard.keys.document(kind, id));
        }
        let found: Vec<HashMap<String, String>> =
            twice(|| async { asked.query_async(&mut shard.commands()).await }).await?;
        Ok(ids.iter().zip(found).filter_map(|(id, fields)| read(id, fields)).collect())
    }
}

/// The document of these fields; `None` where there is none, or one that this build cannot read.
fn read(id: &DocumentId, mut fields: HashMap<String, String>) -> Option<Document> {
    if fields.is_empty() {
        return None;
    }
    let millis = |text: Option<&String>| Timestamp::from_millisecond(text?.parse().ok()?).ok();
    let read = || {
        Some(Document {
            id: id.clone(),
            workspace_id: fields.get("w")?.parse().ok()?,
            version: fields.get("v")?.parse().ok()?,
            created_at: millis(fields.get("c"))?,
            updated_at: millis(fields.get("m"))?,
            used_at: millis(fields.get("u")),
            json: String::new(),
        })
    };
    let document = read().and_then(|document| Some(Document { json: fields.remove("d")?, ..document }));
    if document.is_none() {
        error!(document.id = %id, "document cannot be read");
    }
    document
}

#[async_trait]
impl Documents for RedisDocuments {
    fn new_id(&self, workspace: &WorkspaceId) -> DocumentId {
        self.redis.new_document_id(workspace)
    }

    async fn create(
        &self,
        kind: DocumentKind,
        document: &Document,
        label: Option<Labelling<'_>>,
        limit: u32,
    ) -> Result<Created, StoreUnavailable> {
        self.redis.confirm_layout().await.map_err(unavailable)?;
        let Document { id, workspace_id: workspace, .. } = document;
        let (label, takes) = match label {
            None => ("", 0),
            Some(Labelling::Take(label)) => (label, 1),
            Some(Labelling::IfFree(label)) => (label, 0),
        };
        let shard = self.of_id(id);
        let mut call = script::DOCUMENT_CREATE.prepare_invoke();
        call.key(shard.keys.document(kind, id))
            .key(shard.keys.documents_of(kind, workspace))
            .key(shard.keys.labels_of(kind, workspace))
            .key(shard.keys.all_documents(kind))
            .arg(id.as_str())
            .arg(workspace.as_str())
            .arg(&document.json)
            .arg(document.created_at.as_millisecond())
            .arg(limit)
            .arg(label)
            .arg(takes);
        let is_kept: bool = twice(|| shard.run(&call)).await.map_err(unavailable)?;
        Ok(if is_kept { Created::Yes } else { Created::Full })
    }

    async fn document(
        &self,
        kind: DocumentKind,
        workspace: &WorkspaceId,
        id: &DocumentId,
    ) -> Result<Option<Document>, StoreUnavailable> {
        Ok(self.read(kind, id).await?.filter(|document| document.workspace_id == *workspace))
    }

    async fn of_any_workspace(
        &self,
        kind: DocumentKind,
        id: &DocumentId,
    ) -> Result<Option<Document>, StoreUnavailable> {
        self.read(kind, id).await
    }

    async fn labelled(
        &self,
        kind: DocumentKind,
        workspace: &WorkspaceId,
        label: &str,
    ) -> Result<Option<Document>, StoreUnavailable> {
        let shard = self.redis.of_workspace(workspace);
        let key = shard.keys.labels_of(kind, workspace);
        let id: Option<String> =
            twice(|| async { shard.commands().hget(&key, label).await }).await.map_err(unavailable)?;
        match id.and_then(|id| id.parse().ok()) {
            Some(id) => self.document(kind, workspace, &id).await,
            None => Ok(None),
        }
    }

    async fn labels(
        &self,
        kind: DocumentKind,
        workspace: &WorkspaceId,
    ) -> Result<BTreeMap<String, DocumentId>, StoreUnavailable> {
        let shard = self.redis.of_workspace(workspace);
        let key = shard.keys.labels_of(kind, workspace);
        let labels: BTreeMap<String, String> =
            twice(|| async { shard.commands().hgetall(&key).await }).await.map_err(unavailable)?;
        Ok(labels.into_iter().filter_map(|(label, id)| Some((label, id.parse().ok()?))).collect())
    }

    async fn label(
        &self,
        kind: DocumentKind,
        workspace: &WorkspaceId,
        id: &DocumentId,
        label: &str,
    ) -> Result<bool, StoreUnavailable> {
        let shard = self.of_id(id);
        let mut call = script::DOCUMENT_LABEL.prepare_invoke();
        call.key(shard.keys.document(kind, id))
            .key(shard.keys.labels_of(kind, workspace))
            .arg(id.as_str())
            .arg(workspace.as_str())
            .arg(label);
        twice(|| shard.run(&call)).await.map_err(unavailable)
    }

    async fn documents(
        &self,
        kind: DocumentKind,
        workspace: &WorkspaceId,
        page: PageOf,
    ) -> Result<DocumentPage, StoreUnavailable> {
        let shard = self.redis.of_workspace(workspace);
        let index = shard.keys.documents_of(kind, workspace);
        let limit = isize::try_from(page.limit.max(1)).unwrap_or(1);
        let first = isize::try_from(page.page.saturating_sub(1)).unwrap_or(0).saturating_mul(limit);
        let last = first.saturating_add(limit - 1);
        let listed = || async {
            let (total, ids): (u64, Vec<String>) = redis::pipe()
                .zcard(&index)
                .cmd("ZRANGE")
                .arg(&index)
                .arg(first)
                .arg(last)
                .arg("REV")
                .query_async(&mut shard.commands())
                .await?;
            RedisResult::Ok((total, ids))
        };
        let (total, ids) = twice(listed).await.map_err(unavailable)?;
        let ids: Vec<DocumentId> = ids.iter().filter_map(|id| id.parse().ok()).collect();
        let items = self.read_many(shard, kind, &ids).await.map_err(unavailable)?;
        Ok(DocumentPage { items, total })
    }

    async fn replace(
        &self,
        kind: DocumentKind,
        before: &Document,
        json: &str,
        now: Timestamp,
    ) -> Result<bool, StoreUnavailable> {
        let shard = self.of_id(&before.id);
        let mut call = script::DOCUMENT_REPLACE.prepare_invoke();
        call.key(shard.keys.document(kind, &before.id))
            .arg(before.version)
            .arg(json)
            .arg(now.as_millisecond());
        twice(|| shard.run(&call)).await.map_err(unavailable)
    }

    async fn touch(
        &self,
        kind: DocumentKind,
        id: &DocumentId,
        now: Timestamp,
    ) -> Result<(), StoreUnavailable> {
        let shard = self.of_id(id);
        let mut call = script::DOCUMENT_TOUCH.prepare_invoke();
        call.key(shard.keys.document(kind, id)).arg(now.as_millisecond());
        let _: bool = twice(|| shard.run(&call)).await.map_err(unavailable)?;
        Ok(())
    }

    async fn remove(
        &self,
        kind: DocumentKind,
        workspace: &WorkspaceId,
        id: &DocumentId,
    ) -> Result<bool, StoreUnavailable> {
        let shard = self.of_id(id);
        let mut call = script::DOCUMENT_REMOVE.prepare_invoke();
        call.key(shard.keys.document(kind, id))
            .key(shard.keys.documents_of(kind, workspace))
            .key(shard.keys.labels_of(kind, workspace))
            .key(shard.keys.all_documents(kind))
            .arg(id.as_str())
            .arg(workspace.as_str());
        twice(|| shard.run(&call)).await.map_err(unavailable)
    }

    async fn walk(
        &self,
        kind: DocumentKind,
        from: Option<DocumentMark>,
    ) -> Result<(Vec<Document>, Option<DocumentMark>), StoreUnavailable> {
        let at = from.unwrap_or(DocumentMark { shard: 0, cursor: 0 });
        let shards = self.redis.shards();
        let Some(shard) = shards.get(usize::from(at.shard)) else { return Ok((Vec::new(), None)) };
        let all = shard.keys.all_documents(kind);
        let scan = || async {
            redis::cmd("SSCAN")
                .arg(&all)
                .arg(at.cursor)
                .arg("COUNT")
                .arg(WALKED)
                .query_async::<(u64, Vec<String>)>(&mut shard.commands())
                .await
        };
        let (cursor, found) = twice(scan).await.map_err(unavailable)?;
        let ids: Vec<DocumentId> = found.iter().filter_map(|id| id.parse().ok()).collect();
        let documents = self.read_many(shard, kind, &ids).await.map_err(unavailable)?;
        let next = match cursor {
            0 => DocumentMark { shard: at.shard.saturating_add(1), cursor: 0 },
            cursor => DocumentMark { shard: at.shard, cursor },
        };
        Ok((documents, (usize::from(next.shard) < shards.len()).then_some(next)))
    }
}

impl Redis {
    /// Where a document is: with all of its workspace.
    pub(crate) fn of_document(&self, id: &DocumentId) -> &Shard {
        self.of_spread(id.spread())
    }

    /// An id of the workspace's shard.
    pub(crate) fn new_document_id(&self, workspace: &WorkspaceId) -> DocumentId {
        DocumentId::with_spread(self.any_spread_like(keys::spread_of_key(workspace, "")))
    }

    /// Any number that names the same shard as this one, so that ids stay as random as they can be.
    pub(crate) fn any_spread_like(&self, spread: u16) -> u16 {
        let count = u16::try_from(self.shards().len()).unwrap_or(u16::MAX);
        let wanted = spread % count;
        let rounds = (u16::MAX - wanted) / count;
        wanted + count * rand::rng().random_range(0..=rounds)
    }
}
