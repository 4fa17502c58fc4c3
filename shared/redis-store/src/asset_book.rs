//! The records of assets: lists of them, and what is kept and forgotten by hand. A job's own are kept by the script that
//! ends it, see `settle.rs`.

use std::collections::{BTreeMap, VecDeque};

use async_trait::async_trait;
use atelier_domain::asset::Asset;
use atelier_domain::ids::{AssetId, JobId, WorkspaceId};
use atelier_domain::ports::{
    AssetBook, AssetFilter, AssetPage, AssetPlace, AssetRecords, AssetsFrom, StoreUnavailable,
};
use futures::future::try_join_all;
use redis::{AsyncCommands, RedisResult};
use tracing::error;

use crate::connect::{Redis, twice};
use crate::keys::Keys;
use crate::newest::{self, CHUNK, Newest};
use crate::script;

/// Records that one filtered list looks at, newest first. A place in the list leads on to older ones.
const SCAN_LIMIT: usize = 20_000;
/// Assets kept or forgotten by one script: bounds how long Redis is busy with it.
const BATCH: usize = 128;
/// No job has more outputs.
const MOST_OUTPUTS: u16 = 128;

/// [`AssetBook`] on Redis.
#[derive(Clone)]
pub struct RedisAssetBook {
    redis: Redis,
}

fn unavailable(source: impl std::error::Error + Send + Sync + 'static) -> StoreUnavailable {
    StoreUnavailable { source: Box::new(source) }
}

impl RedisAssetBook {
    /// The records in this Redis.
    pub fn new(redis: Redis) -> Self {
        Self { redis }
    }

    fn newest(&self, workspace: &WorkspaceId) -> Newest<'_, AssetId> {
        let all = ("+inf".to_owned(), "-inf".to_owned());
        Newest::over(&self.redis, |keys: &Keys| keys.assets_of(workspace), &all)
    }

    /// A page by its number: all that fit are counted, as far as one list looks.
    async fn page(
        &self,
        workspace: &WorkspaceId,
        filter: &AssetFilter,
        page: u32,
        limit: usize,
    ) -> RedisResult<AssetPage> {
        let first = usize::try_from(page.saturating_sub(1)).unwrap_or(0).saturating_mul(limit);
        let end = first.saturating_add(limit);
        let mut newest = self.newest(workspace);
        if filter.is_open() {
            let total = newest::count(&self.redis, |keys: &Keys| keys.assets_of(workspace)).await?;
            newest.skip(first).await?;
            let places = newest.take(limit).await?;
            let has_more = u64::try_from(end).is_ok_and(|end| end < total);
            let items = self.read(&places).await?;
            let next = places.last().filter(|_| has_more).cloned();
            return Ok(AssetPage { items: items.into_iter().flatten().collect(), total: Some(total), next });
        }
        let (mut items, mut fitting, mut seen) = (Vec::new(), 0usize, 0);
        while seen < SCAN_LIMIT {
            let places = newest.take(CHUNK).await?;
            if places.is_empty() {
                break;
            }
            for asset in self.read(&places).await?.into_iter().flatten().filter(|asset| filter.fits(asset)) {
                if (first..end).contains(&fitting) {
                    items.push(asset);
                }
                fitting += 1;
            }
            seen += places.len();
        }
        let next = items.last().filter(|_| end < fitting).map(AssetPlace::of);
        Ok(AssetPage { items, total: Some(fitting as u64), next })
    }

    /// What follows after a place. It ends with the last asset that it looked at, whether that fits or not.
    async fn after(
        &self,
        workspace: &WorkspaceId,
        filter: &AssetFilter,
        after: &AssetPlace,
        limit: usize,
    ) -> RedisResult<AssetPage> {
        let mut newest = self.newest(workspace);
        newest.begin_behind(after);
        let total = match filter.is_open() {
            true => Some(newest::count(&self.redis, |keys: &Keys| keys.assets_of(workspace)).await?),
            false => None,
        };
        let (mut items, mut last, mut seen) = (Vec::new(), after.clone(), 0);
        // Without a filter, one more than asked for tells whether there are more.
        let chunk = if filter.is_open() { limit.saturating_add(1) } else { CHUNK };
        while seen < SCAN_LIMIT {
            let places = newest.take(chunk).await?;
            if places.is_empty() {
                return Ok(AssetPage { items, total, next: None });
            }
            for (place, asset) in places.iter().zip(self.read(&places).await?) {
                if items.len() >= limit {
                    return Ok(AssetPage { items, total, next: Some(last) });
                }
                last = place.clone();
                items.extend(asset.filter(|asset| filter.fits(asset)));
            }
            seen += places.len();
        }
        Ok(AssetPage { items, total, next: Some(last) })
    }

    /// What a job made, which is found by its id.
    async fn of_job(
        &self,
        workspace: &WorkspaceId,
        filter: &AssetFilter,
        job: &JobId,
    ) -> RedisResult<Vec<Asset>> {
        let ids = (0..MOST_OUTPUTS).map(|index| AssetId::of(job, index));
        let places: Vec<AssetPlace> = ids.map(|id| AssetPlace { order: 0, id }).collect();
        let found = self.read(&places).await?.into_iter().flatten();
        let mut assets: Vec<Asset> =
            found.filter(|asset| asset.workspace_id == *workspace && filter.fits(asset)).collect();
        assets.sort_by_key(|asset| std::cmp::Reverse(AssetPlace::of(asset)));
        Ok(assets)
    }

    /// The records at these places, each if it is there and can be read.
    async fn read(&self, places: &[AssetPlace]) -> RedisResult<Vec<Option<Asset>>> {
        let of_shards = self.redis.shards().iter().map(|shard| {
            let own =
                |place: &&AssetPlace| self.redis.of_asset(&place.id).keys.number() == shard.keys.number();
            let keys: Vec<String> =
                places.iter().filter(own).map(|place| shard.keys.asset(&place.id)).collect();
            async move {
                if keys.is_empty() {
                    return Ok(VecDeque::new());
                }
                let records: Vec<Option<Vec<u8>>> =
                    twice(|| async { shard.commands().mget(&keys).await }).await?;
                RedisResult::Ok(VecDeque::from(records))
            }
        });
        let mut records = try_join_all(of_shards).await?;
        let mut read = |place: &AssetPlace| {
            let own = records.get_mut(usize::from(self.redis.of_asset(&place.id).keys.number()));
            let bytes = own.and_then(VecDeque::pop_front).flatten()?;
            match serde_json::from_slice(&bytes) {
                Ok(asset) => Some(asset),
                Err(reason) => {
                    error!(asset.id = %place.id, error = %reason, "record left out of a list");
                    None
                }
            }
        };
        Ok(places.iter().map(&mut read).collect())
    }
}

#[async_trait]
impl AssetRecords for RedisAssetBook {
    async fn keep(&self, assets: &[Asset]) -> Result<(), StoreUnavailable> {
        self.redis.confirm_layout().await.map_err(unavailable)?;
        let kept_ms = self.redis.settings.assets_kept().map_or(0, |kept| kept.as_millis());
        let mut of_shards: BTreeMap<u16, Vec<&Asset>> = BTreeMap::new();
        for asset in assets {
            of_shards.entry(self.redis.of_asset(&asset.id).keys.number()).or_default().push(asset);
        }
        for batch in of_shards.values().flat_map(|assets| assets.chunks(BATCH)) {
            let Some(first) = batch.first() else { continue };
            let shard = self.redis.of_asset(&first.id);
            let mut call = script::KEEP_ASSETS.prepare_invoke();
            // One key is declared, for routing: all others carry the same hash tag.
            call.key(shard.keys.due()).arg(shard.keys.prefix()).arg(kept_ms.to_string());
            for asset in batch {
                call.arg(asset.workspace_id.as_str())
                    .arg(asset.id.as_str())
                    .arg(asset.created_at.as_millisecond())
                    .arg(serde_json::to_vec(asset).map_err(unavailable)?);
            }
            let _: i64 = twice(|| shard.run(&call)).await.map_err(unavailable)?;
        }
        Ok(())
    }

    async fn forget(&self, workspace: &WorkspaceId, ids: &[AssetId]) -> Result<(), StoreUnavailable> {
        for shard in self.redis.shards() {
            let own = |id: &&AssetId| self.redis.of_asset(id).keys.number() == shard.keys.number();
            let ids: Vec<&str> = ids.iter().filter(own).map(AssetId::as_str).collect();
            for ids in ids.chunks(BATCH) {
                let mut call = script::FORGET_ASSETS.prepare_invoke();
                call.key(shard.keys.assets_of(workspace)).arg(shard.keys.prefix()).arg(ids);
                let _: i64 = twice(|| shard.run(&call)).await.map_err(unavailable)?;
            }
        }
        Ok(())
    }
}

#[async_trait]
impl AssetBook for RedisAssetBook {
    async fn assets(
        &self,
        workspace: &WorkspaceId,
        filter: &AssetFilter,
        from: &AssetsFrom,
        limit: u32,
    ) -> Result<AssetPage, StoreUnavailable> {
        let limit = usize::try_from(limit).unwrap_or(20);
        if let Some(job) = &filter.job {
            let all = self.of_job(workspace, filter, job).await.map_err(unavailable)?;
            return Ok(part_of(all, from, limit));
        }
        match from {
            AssetsFrom::Page(page) => self.page(workspace, filter, *page, limit).await,
            AssetsFrom::After(place) => self.after(workspace, filter, place, limit).await,
        }
        .map_err(unavailable)
    }
}

/// A part of a list that is here as a whole.
fn part_of(all: Vec<Asset>, from: &AssetsFrom, limit: usize) -> AssetPage {
    let total = all.len();
    let first = match from {
        AssetsFrom::Page(page) => {
            usize::try_from(page.saturating_sub(1)).unwrap_or(usize::MAX).saturating_mul(limit)
        }
        AssetsFrom::After(place) => all.iter().take_while(|asset| AssetPlace::of(asset) >= *place).count(),
    };
    let items: Vec<Asset> = all.into_iter().skip(first).take(limit).collect();
    let has_more = first.saturating_add(limit) < total;
    let next = items.last().filter(|_| has_more).map(AssetPlace::of);
    AssetPage { items, total: Some(total as u64), next }
}
