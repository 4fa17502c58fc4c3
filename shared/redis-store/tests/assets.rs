//! The records of assets: kept with the job that made them, listed, read on from any place, forgotten.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use atelier_domain::Timestamp;
use atelier_domain::asset::{Asset, MadeBy};
use atelier_domain::ids::{AssetId, JobId, WorkspaceId};
use atelier_domain::operation::{AssetKind, Operation, Provider, Step};
use atelier_domain::ports::{
    AssetBook, AssetFilter, AssetPage, AssetPlace, AssetRecords, AssetsFrom, JobStore,
};
use atelier_domain::state::State;
use atelier_redis_store::keys::Keys;
use atelier_redis_store::{Redis, RedisAssetBook, RedisStoreSettings};
use redis::{Commands, Connection};

use crate::harness::{Fixture, PretendedWork, settings, workspace};

const OPEN: AssetFilter = AssetFilter { kind: None, operation: None, provider: None, job: None };

/// A file that a caller has uploaded so many milliseconds after a certain time.
pub fn upload(workspace: &str, number: i64) -> Asset {
    let id = AssetId::new();
    Asset {
        key: format!("{workspace}/2026/11/22/upload/{id}.png"),
        id,
        workspace_id: workspace.parse().unwrap(),
        made_by: None,
        name: None,
        metadata: Default::default(),
        content_type: "image/png".to_owned(),
        size_bytes: 1,
        sha256: String::new(),
        media: Default::default(),
        seed: None,
        revised_prompt: None,
        created_at: Timestamp::from_millisecond(1_795_000_000_000 + number).unwrap(),
    }
}

/// What a job made at the same time.
fn made(job: &JobId, index: u16, operation: Operation, provider: Provider, number: i64) -> Asset {
    let model = "m".to_owned();
    Asset {
        id: AssetId::of(job, index),
        made_by: Some(MadeBy { job_id: job.clone(), index, operation, provider, model }),
        ..upload("acme", number)
    }
}

fn raw(fixture: &Fixture) -> Connection {
    redis::Client::open(fixture.server.url()).unwrap().get_connection().unwrap()
}

fn ids(page: &AssetPage) -> Vec<AssetId> {
    page.items.iter().map(|asset| asset.id.clone()).collect()
}

async fn list(book: &RedisAssetBook, filter: &AssetFilter, from: AssetsFrom, limit: u32) -> AssetPage {
    book.assets(&workspace(), filter, &from, limit).await.unwrap()
}

/// The whole list, read on from place to place.
async fn walk(book: &RedisAssetBook, filter: &AssetFilter, limit: u32) -> Vec<AssetId> {
    let mut page = list(book, filter, AssetsFrom::Page(1), limit).await;
    let mut found = ids(&page);
    while let Some(place) = page.next {
        page = list(book, filter, AssetsFrom::After(place), limit).await;
        assert!(page.items.len() <= limit as usize);
        found.extend(ids(&page));
    }
    found
}

/// The workspace's list holds the first asset of each of these jobs, and nothing else.
pub async fn the_list_holds_exactly(redis: &Redis, jobs: &[JobId]) {
    let expected: BTreeSet<AssetId> = jobs.iter().map(|job| AssetId::of(job, 0)).collect();
    let found = walk(&RedisAssetBook::new(redis.clone()), &OPEN, 7).await;
    assert_eq!(found.len(), expected.len(), "each once");
    assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), expected);
}

#[tokio::test]
async fn what_a_job_makes_is_listed_and_outlives_the_job() {
    let fixture = Fixture::start().await;
    let process = fixture.process(Step::ALL, 4, Arc::new(PretendedWork::new(&fixture)));
    let jobs = fixture.admit_many(3, "a fox").await;
    fixture.assert_all_ended(3, State::Succeeded).await;
    process.stop().await;
    the_list_holds_exactly(&fixture.redis, &jobs).await;
    let (keys, mut raw) = (Keys::of_shard(0), raw(&fixture));
    let [of_job, of_asset] = [keys.job(&jobs[0]), keys.asset(&AssetId::of(&jobs[0], 0))]
        .map(|key| raw.pttl::<_, i64>(key).unwrap() / 3_600_000);
    assert_eq!((of_job, of_asset), (7 * 24 - 1, 90 * 24 - 1), "hours left");
    let asset = fixture.store.asset(&workspace(), &AssetId::of(&jobs[0], 0)).await.unwrap().unwrap();
    let score: i64 = raw.zscore(keys.assets_of(&workspace()), asset.id.as_str()).unwrap();
    assert_eq!(score, asset.created_at.as_millisecond());
}

#[tokio::test]
async fn records_can_be_kept_for_ever() {
    let for_ever = |url| RedisStoreSettings { assets_retention_days: 0, ..settings(url) };
    let fixture = Fixture::with(for_ever).await;
    let process = fixture.process(Step::ALL, 4, Arc::new(PretendedWork::new(&fixture)));
    let jobs = fixture.admit_many(1, "a fox").await;
    fixture.assert_all_ended(1, State::Succeeded).await;
    process.stop().await;
    let kept = upload("acme", 1);
    RedisAssetBook::new(fixture.redis.clone()).keep(std::slice::from_ref(&kept)).await.unwrap();
    let mut raw = raw(&fixture);
    for id in [AssetId::of(&jobs[0], 0), kept.id] {
        assert_eq!(raw.pttl::<_, i64>(Keys::of_shard(0).asset(&id)).unwrap(), -1, "no end");
    }
}

#[tokio::test]
async fn pages_are_newest_first_and_show_nothing_of_others() {
    let fixture = Fixture::start().await;
    let book = RedisAssetBook::new(fixture.redis.clone());
    let mut own: Vec<Asset> = (0..7).map(|number| upload("acme", number)).collect();
    book.keep(&own).await.unwrap();
    book.keep(&[upload("beta", 100)]).await.unwrap();
    own.reverse();
    for (page, range) in [(1, 0..3), (2, 3..6), (3, 6..7), (4, 7..7)] {
        let found = list(&book, &OPEN, AssetsFrom::Page(page), 3).await;
        assert_eq!(found.items, own[range.clone()], "page {page}");
        assert_eq!(found.total, Some(7));
        let next = (page < 3).then(|| AssetPlace::of(&own[range.end - 1]));
        assert_eq!(found.next, next, "page {page}");
    }
    let nobody: WorkspaceId = "nobody".parse().unwrap();
    let none = book.assets(&nobody, &OPEN, &AssetsFrom::Page(1), 3).await.unwrap();
    assert_eq!(none, AssetPage { items: Vec::new(), total: Some(0), next: None });
}

#[tokio::test]
async fn a_place_stays_while_assets_come_and_go_in_every_shard() {
    for shards in [1, 3] {
        let fixture = Fixture::with(|url| RedisStoreSettings { shards, ..settings(url) }).await;
        let book = RedisAssetBook::new(fixture.redis.clone());
        // Many of one time, so that only their ids tell them apart.
        let mut own: Vec<Asset> = (0..40).map(|number| upload("acme", number / 10)).collect();
        book.keep(&own).await.unwrap();
        own.sort_by_key(|asset| std::cmp::Reverse(AssetPlace::of(asset)));
        let names = |assets: &[Asset]| assets.iter().map(|asset| asset.id.clone()).collect::<Vec<_>>();
        for limit in [1, 7, 40, 100] {
            assert_eq!(walk(&book, &OPEN, limit).await, names(&own), "{shards} shards, {limit} at once");
        }
        let first = list(&book, &OPEN, AssetsFrom::Page(1), 15).await;
        assert_eq!(ids(&first), names(&own[..15]));
        let newer: Vec<Asset> = (0..20).map(|_| upload("acme", 500)).collect();
        book.keep(&newer).await.unwrap();
        // The asset that the place names is gone, too.
        book.forget(&workspace(), &[own[14].id.clone(), own[20].id.clone()]).await.unwrap();
        let rest = list(&book, &OPEN, AssetsFrom::After(first.next.unwrap()), 100).await;
        own.remove(20);
        assert_eq!(ids(&rest), names(&own[15..]), "{shards} shards");
        assert_eq!((rest.next, rest.total), (None, Some(58)));
    }
}

#[tokio::test]
async fn filters_narrow_a_list_and_are_read_on_from_a_place() {
    let fixture = Fixture::start().await;
    let book = RedisAssetBook::new(fixture.redis.clone());
    let job = JobId::new();
    let mut all = vec![
        made(&job, 0, Operation::Stt, Provider::Deepgram, 10),
        made(&job, 1, Operation::Stt, Provider::Deepgram, 10),
        made(&JobId::new(), 0, Operation::Tts, Provider::ElevenLabs, 20),
        made(&JobId::new(), 0, Operation::ImageGen, Provider::Fal, 30),
        made(&JobId::new(), 0, Operation::ImageEdit, Provider::Fal, 40),
    ];
    all.extend((0..5).map(|number| upload("acme", 50 + number)));
    book.keep(&all).await.unwrap();
    for (filter, total) in [
        (AssetFilter { kind: Some(AssetKind::Image), ..OPEN }, 7),
        (AssetFilter { kind: Some(AssetKind::Text), ..OPEN }, 2),
        (AssetFilter { kind: Some(AssetKind::Video), ..OPEN }, 0),
        (AssetFilter { operation: Some(Operation::ImageGen), ..OPEN }, 1),
        (AssetFilter { provider: Some(Provider::Fal), ..OPEN }, 2),
        (AssetFilter { job: Some(job.clone()), ..OPEN }, 2),
        (AssetFilter { job: Some(job.clone()), provider: Some(Provider::Fal), ..OPEN }, 0),
        (AssetFilter { job: Some(JobId::new()), ..OPEN }, 0),
    ] {
        let page = list(&book, &filter, AssetsFrom::Page(1), 100).await;
        assert_eq!(page.total, Some(total), "{filter:?}");
        assert!(page.items.iter().all(|asset| filter.fits(asset)));
        for limit in [1, 2, 100] {
            assert_eq!(walk(&book, &filter, limit).await, ids(&page), "{filter:?}, {limit} at once");
        }
    }
    let foreign: WorkspaceId = "beta".parse().unwrap();
    let of_job = AssetFilter { job: Some(job), ..OPEN };
    let found = book.assets(&foreign, &of_job, &AssetsFrom::Page(1), 20).await.unwrap();
    assert_eq!(found.items, []);
}

#[tokio::test]
async fn a_forgotten_asset_is_nowhere_and_can_be_forgotten_again() {
    let fixture = Fixture::start().await;
    let book = RedisAssetBook::new(fixture.redis.clone());
    let (gone, kept) = (upload("acme", 1), upload("acme", 2));
    book.keep(&[gone.clone(), kept.clone()]).await.unwrap();
    for _ in 0..2 {
        book.forget(&workspace(), std::slice::from_ref(&gone.id)).await.unwrap();
        assert!(fixture.store.asset(&workspace(), &gone.id).await.unwrap().is_none());
        assert_eq!(ids(&list(&book, &OPEN, AssetsFrom::Page(1), 20).await), std::slice::from_ref(&kept.id));
    }
    // What the server kept by itself would show as a key.
    let left: Vec<String> = raw(&fixture).keys("{q0}:[ae]:*").unwrap();
    assert_eq!(left.len(), 2, "{left:?}");
    assert_eq!(fixture.store.asset(&workspace(), &kept.id).await.unwrap(), Some(kept));
}

#[tokio::test]
async fn any_place_of_a_long_list_is_read_quickly() {
    const COUNT: i64 = 100_000;
    let fixture = Fixture::on(false, settings).await;
    let book = RedisAssetBook::new(fixture.redis.clone());
    for first in (0..COUNT).step_by(10_000) {
        let some: Vec<Asset> = (first..first + 10_000).map(|number| upload("acme", number)).collect();
        book.keep(&some).await.unwrap();
    }
    let id = AssetId::new();
    for created in [COUNT - 1, COUNT / 2, 30] {
        let place = AssetPlace { order: 1_795_000_000_000 + created, id: id.clone() };
        let since = std::time::Instant::now();
        let page = list(&book, &OPEN, AssetsFrom::After(place), 20).await;
        let took = since.elapsed();
        assert_eq!(page.items.len(), 20);
        assert!(took < Duration::from_millis(200), "after {created} of {COUNT}: {took:?}");
    }
}
