//! Documents in memory, for tests of those who use them.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};

use async_trait::async_trait;
use atelier_domain::Timestamp;
use atelier_domain::ids::{DocumentId, WorkspaceId};
use atelier_domain::ports::{
    Created, Document, DocumentKind, DocumentMark, DocumentPage, Documents, Labelling, PageOf,
    StoreUnavailable,
};

type Labels = HashMap<(DocumentKind, WorkspaceId), BTreeMap<String, DocumentId>>;

#[derive(Default)]
pub struct MemoryDocuments {
    kept: Mutex<(Vec<(DocumentKind, Document)>, Labels)>,
    pub is_down: AtomicBool,
    /// Questions for one document.
    pub looked_up: AtomicU64,
}

type Kept = (Vec<(DocumentKind, Document)>, Labels);

impl MemoryDocuments {
    fn answer(&self) -> Result<MutexGuard<'_, Kept>, StoreUnavailable> {
        if self.is_down.load(Ordering::SeqCst) {
            return Err(StoreUnavailable { source: "connection refused by redis.secret:6379".into() });
        }
        Ok(self.kept.lock().unwrap())
    }

    /// All that is kept, as text.
    pub fn dump(&self) -> String {
        let kept = self.kept.lock().unwrap();
        kept.0.iter().map(|(_, document)| document.json.as_str()).collect::<Vec<_>>().join("\n")
    }
}

#[async_trait]
impl Documents for MemoryDocuments {
    fn new_id(&self, _: &WorkspaceId) -> DocumentId {
        DocumentId::new()
    }

    async fn create(
        &self,
        kind: DocumentKind,
        document: &Document,
        label: Option<Labelling<'_>>,
        limit: u32,
    ) -> Result<Created, StoreUnavailable> {
        let mut kept = self.answer()?;
        let owner = &document.workspace_id;
        let own = |other: &&(DocumentKind, Document)| other.0 == kind && other.1.workspace_id == *owner;
        if kept.0.iter().filter(own).count() >= limit as usize {
            return Ok(Created::Full);
        }
        kept.0.push((kind, document.clone()));
        let labels = kept.1.entry((kind, owner.clone())).or_default();
        match label {
            None => {}
            Some(Labelling::Take(label)) => {
                labels.insert(label.to_owned(), document.id.clone());
            }
            Some(Labelling::IfFree(label)) => {
                labels.entry(label.to_owned()).or_insert(document.id.clone());
            }
        }
        Ok(Created::Yes)
    }

    async fn document(
        &self,
        kind: DocumentKind,
        workspace: &WorkspaceId,
        id: &DocumentId,
    ) -> Result<Option<Document>, StoreUnavailable> {
        let found = self.of_any_workspace(kind, id).await?;
        Ok(found.filter(|document| document.workspace_id == *workspace))
    }

    async fn of_any_workspace(
        &self,
        kind: DocumentKind,
        id: &DocumentId,
    ) -> Result<Option<Document>, StoreUnavailable> {
        self.looked_up.fetch_add(1, Ordering::SeqCst);
        let kept = self.answer()?;
        let found = kept.0.iter().find(|(of, document)| *of == kind && document.id == *id);
        Ok(found.map(|(_, document)| document.clone()))
    }

    async fn labelled(
        &self,
        kind: DocumentKind,
        workspace: &WorkspaceId,
        label: &str,
    ) -> Result<Option<Document>, StoreUnavailable> {
        match self.labels(kind, workspace).await?.get(label) {
            Some(id) => self.document(kind, workspace, id).await,
            None => {
                self.looked_up.fetch_add(1, Ordering::SeqCst);
                Ok(None)
            }
        }
    }

    async fn labels(
        &self,
        kind: DocumentKind,
        workspace: &WorkspaceId,
    ) -> Result<BTreeMap<String, DocumentId>, StoreUnavailable> {
        Ok(self.answer()?.1.get(&(kind, workspace.clone())).cloned().unwrap_or_default())
    }

    async fn label(
        &self,
        kind: DocumentKind,
        workspace: &WorkspaceId,
        id: &DocumentId,
        label: &str,
    ) -> Result<bool, StoreUnavailable> {
        if self.document(kind, workspace, id).await?.is_none() {
            return Ok(false);
        }
        let mut kept = self.answer()?;
        kept.1.entry((kind, workspace.clone())).or_default().insert(label.to_owned(), id.clone());
        Ok(true)
    }

    async fn documents(
        &self,
        kind: DocumentKind,
        workspace: &WorkspaceId,
        page: PageOf,
    ) -> Result<DocumentPage, StoreUnavailable> {
        let kept = self.answer()?;
        let own =
            |(of, document): &&(DocumentKind, Document)| *of == kind && document.workspace_id == *workspace;
        let all: Vec<Document> = kept.0.iter().rev().filter(own).map(|(_, found)| found.clone()).collect();
        let skipped = (page.page as usize - 1) * page.limit as usize;
        let items = all.iter().skip(skipped).take(page.limit as usize).cloned().collect();
        Ok(DocumentPage { items, total: all.len() as u64 })
    }

    async fn replace(
        &self,
        kind: DocumentKind,
        before: &Document,
        json: &str,
        now: Timestamp,
    ) -> Result<bool, StoreUnavailable> {
        let mut kept = self.answer()?;
        let found = kept.0.iter_mut().find(|(of, document)| {
            *of == kind && document.id == before.id && document.version == before.version
        });
        let Some((_, document)) = found else { return Ok(false) };
        document.version += 1;
        document.json = json.to_owned();
        document.updated_at = now;
        Ok(true)
    }

    async fn touch(
        &self,
        kind: DocumentKind,
        id: &DocumentId,
        now: Timestamp,
    ) -> Result<(), StoreUnavailable> {
        let mut kept = self.answer()?;
        for (_, document) in kept.0.iter_mut().filter(|(of, document)| *of == kind && document.id == *id) {
            document.used_at = Some(now);
        }
        Ok(())
    }

    async fn remove(
        &self,
        kind: DocumentKind,
        workspace: &WorkspaceId,
        id: &DocumentId,
    ) -> Result<bool, StoreUnavailable> {
        if self.document(kind, workspace, id).await?.is_none() {
            return Ok(false);
        }
        let mut kept = self.answer()?;
        kept.0.retain(|(of, document)| *of != kind || document.id != *id);
        kept.1.values_mut().for_each(|labels| labels.retain(|_, labelled| labelled != id));
        Ok(true)
    }

    async fn walk(
        &self,
        kind: DocumentKind,
        _: Option<DocumentMark>,
    ) -> Result<(Vec<Document>, Option<DocumentMark>), StoreUnavailable> {
        let kept = self.answer()?;
        let all = kept.0.iter().filter(|(of, _)| *of == kind).map(|(_, document)| document.clone());
        Ok((all.collect(), None))
    }
}
