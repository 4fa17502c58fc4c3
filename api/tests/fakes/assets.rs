//! Files and their records in memory.

use std::ops::RangeInclusive;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use atelier_domain::asset::{Asset, MadeBy, MediaFacts, manifest_key};
use atelier_domain::ids::{AssetId, JobId, WorkspaceId};
use atelier_domain::operation::{Operation, Provider};
use atelier_domain::ports::*;
use axum::body::Bytes;
use futures::{StreamExt as _, stream};

use super::MemoryStore;

#[async_trait]
impl AssetStore for MemoryStore {
    async fn put(&self, object: NewObject, mut body: ByteStream) -> Result<StoredObject, PutError> {
        AssetStore::ready(self).await?;
        let mut bytes = Vec::new();
        while let Some(chunk) = body.next().await {
            let chunk = chunk?;
            self.taken.fetch_add(chunk.len() as u64, Ordering::SeqCst);
            bytes.extend_from_slice(&chunk);
        }
        let stored = atelier_s3_store::probe_pieces(object, &[&bytes])?;
        self.kept.lock().unwrap().objects.insert(stored.key.clone(), bytes);
        Ok(stored)
    }

    async fn inspect(&self, object: NewObject, bytes: Bytes) -> Result<StoredObject, PutError> {
        atelier_s3_store::probe_pieces(object, &[&bytes])
    }

    async fn signed_input_url(&self, _: &str, _: Duration) -> Result<String, PutError> {
        unreachable!("the api calls no provider")
    }

    async fn put_manifest(&self, asset: &Asset) -> Result<(), PutError> {
        AssetStore::ready(self).await?;
        let json = serde_json::to_vec(asset).unwrap();
        self.kept.lock().unwrap().objects.insert(manifest_key(&asset.key), json);
        Ok(())
    }

    async fn read(&self, _: &str, _: u64) -> Result<Option<Bytes>, PutError> {
        unreachable!("the api reads no media whole")
    }

    async fn open(
        &self,
        key: &str,
        range: Option<RangeInclusive<u64>>,
    ) -> Result<Option<OpenedObject>, PutError> {
        AssetStore::ready(self).await?;
        let Some(bytes) = self.kept.lock().unwrap().objects.get(key).cloned() else { return Ok(None) };
        let part = match range {
            Some(range) => bytes[*range.start() as usize..=*range.end() as usize].to_vec(),
            None => bytes,
        };
        let breaks_after = self.breaks_after.load(Ordering::SeqCst);
        let given = if breaks_after == 0 { part.len() } else { breaks_after };
        let mut pieces: Vec<Result<Bytes, SourceBroken>> =
            part[..given].chunks(1_000).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
        if given < part.len() {
            pieces.push(Err(SourceBroken { message: "the store broke off".to_owned() }));
        }
        // As from a network: each piece is waited for.
        let body = stream::iter(pieces).then(async |piece| {
            tokio::task::yield_now().await;
            piece
        });
        Ok(Some(OpenedObject { length_bytes: part.len() as u64, body: Box::pin(body) }))
    }

    async fn remove(&self, key: &str) -> Result<(), PutError> {
        AssetStore::ready(self).await?;
        let mut kept = self.kept.lock().unwrap();
        kept.objects.remove(key);
        kept.objects.remove(&manifest_key(key));
        Ok(())
    }

    async fn signed_url(&self, asset: &Asset, ttl: Duration) -> Result<String, PutError> {
        AssetStore::ready(self).await?;
        Ok(format!("https://s3.example/{}?X-Amz-Expires={}", asset.key, ttl.as_secs()))
    }

    async fn ready(&self) -> Result<(), PutError> {
        if self.assets_are_down.load(Ordering::SeqCst) {
            return Err(PutError::Unavailable("no route to s3.secret".into()));
        }
        Ok(())
    }
}

#[async_trait]
impl AssetRecords for MemoryStore {
    async fn keep(&self, assets: &[Asset]) -> Result<(), StoreUnavailable> {
        let mut kept = self.answer()?;
        kept.assets.retain(|before| assets.iter().all(|asset| asset.id != before.id));
        kept.assets.extend_from_slice(assets);
        Ok(())
    }

    async fn forget(&self, workspace: &WorkspaceId, ids: &[AssetId]) -> Result<(), StoreUnavailable> {
        let is_gone = |asset: &Asset| asset.workspace_id == *workspace && ids.contains(&asset.id);
        self.answer()?.assets.retain(|asset| !is_gone(asset));
        Ok(())
    }
}

#[async_trait]
impl AssetBook for MemoryStore {
    async fn assets(
        &self,
        workspace: &WorkspaceId,
        filter: &AssetFilter,
        from: &AssetsFrom,
        limit: u32,
    ) -> Result<AssetPage, StoreUnavailable> {
        let fits = |asset: &&Asset| asset.workspace_id == *workspace && filter.fits(asset);
        let mut all: Vec<Asset> = self.answer()?.assets.iter().filter(fits).cloned().collect();
        all.sort_by_key(|asset| std::cmp::Reverse(AssetPlace::of(asset)));
        let skipped = match from {
            AssetsFrom::Page(page) => (*page as usize - 1).saturating_mul(limit as usize),
            AssetsFrom::After(place) => all.iter().filter(|asset| AssetPlace::of(asset) >= *place).count(),
        };
        let is_counted = filter.is_open() || matches!(from, AssetsFrom::Page(_));
        let total = is_counted.then_some(all.len() as u64);
        let items: Vec<Asset> = all.iter().skip(skipped).take(limit as usize).cloned().collect();
        let has_more = skipped.saturating_add(limit as usize) < all.len();
        let next = items.last().filter(|_| has_more).map(AssetPlace::of);
        Ok(AssetPage { items, total, next })
    }
}

pub fn asset_of(job: &JobId, workspace: &str, content_type: &str) -> Asset {
    Asset {
        id: AssetId::of(job, 0),
        workspace_id: workspace.parse().unwrap(),
        made_by: Some(MadeBy {
            job_id: job.clone(),
            index: 0,
            operation: Operation::ImageGen,
            provider: Provider::Fal,
            model: "fal-ai/flux/schnell".to_owned(),
        }),
        name: None,
        metadata: Default::default(),
        key: format!("{workspace}/2026/11/22/{job}/0.png"),
        content_type: content_type.to_owned(),
        size_bytes: 1234,
        sha256: "ab".repeat(32),
        media: MediaFacts {
            width: Some(512),
            height: Some(384),
            codec: Some("png".to_owned()),
            duration_ms: None,
        },
        seed: Some(7),
        revised_prompt: None,
        created_at: "2026-11-22T10:00:00Z".parse().unwrap(),
    }
}

/// A file that a caller has uploaded so many seconds later.
pub fn upload_of(workspace: &str, seconds: i64) -> Asset {
    let (id, like) = (AssetId::new(), asset_of(&JobId::new(), workspace, "image/png"));
    Asset {
        key: format!("{workspace}/2026/11/22/upload/{id}.png"),
        id,
        made_by: None,
        created_at: like.created_at + Duration::from_secs(seconds as u64),
        ..like
    }
}
