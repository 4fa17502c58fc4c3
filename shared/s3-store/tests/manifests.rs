//! The walk over manifests finds each asset once, and tells what it cannot use.

use std::collections::BTreeSet;

use atelier_domain::asset::{Asset, MadeBy, manifest_key, object_key_prefix, upload_key_prefix};
use atelier_domain::ids::{AssetId, JobId, WorkspaceId};
use atelier_domain::operation::{Operation, Provider};
use atelier_domain::ports::{AssetManifests, AssetStore, Manifests};
use atelier_s3_store::S3Store;

use crate::bench::{BUCKET, Bench, asset};
use crate::media::{image, png, source};

/// Stores a picture and its manifest, as a delivery or an upload does.
async fn keep(store: &S3Store, workspace: &str, made_by: Option<MadeBy>) -> Asset {
    let workspace: WorkspaceId = workspace.parse().unwrap();
    let now = "2026-11-22T10:00:00Z".parse().unwrap();
    let id = made_by.as_ref().map_or_else(AssetId::new, |made| AssetId::of(&made.job_id, made.index));
    let key_prefix = match &made_by {
        Some(made) => object_key_prefix(&workspace, now, &made.job_id, made.index),
        None => upload_key_prefix(&workspace, now, &id),
    };
    let mut object = image();
    object.key_prefix = key_prefix;
    let stored = store.put(object, source(png(10))).await.unwrap();
    let asset = Asset { id, workspace_id: workspace, made_by, ..asset(&stored) };
    store.put_manifest(&asset).await.unwrap();
    asset
}

fn made(job_id: JobId, index: u16) -> Option<MadeBy> {
    let (operation, provider) = (Operation::ImageGen, Provider::Fal);
    Some(MadeBy { job_id, index, operation, provider, model: "m".to_owned() })
}

/// The whole walk.
async fn walk(store: &S3Store, workspace: Option<&str>) -> (Vec<Asset>, Manifests) {
    let workspace: Option<WorkspaceId> = workspace.map(|name| name.parse().unwrap());
    let (mut assets, mut rest, mut place) = (Vec::new(), Manifests::default(), String::new());
    loop {
        let found = store.manifests(workspace.as_ref(), &place).await.unwrap();
        assets.extend(found.assets);
        rest.unreadable.extend(found.unreadable);
        rest.orphans += found.orphans;
        match found.next {
            Some(next) => place = next,
            None => return (assets, rest),
        }
    }
}

fn ids(assets: &[Asset]) -> BTreeSet<AssetId> {
    assets.iter().map(|asset| asset.id.clone()).collect()
}

#[tokio::test]
async fn made_assets_and_uploads_are_found_with_all_their_facts() {
    let bench = Bench::start().await;
    let store = bench.store().await;
    let job = JobId::new();
    let mut acme = Vec::new();
    for index in 0..3 {
        acme.push(keep(&store, "acme", made(job.clone(), index)).await);
    }
    acme.push(keep(&store, "acme", None).await);
    let beta = keep(&store, "beta", None).await;
    // Another workspace whose name begins alike.
    let other = keep(&store, "acme-2", None).await;
    let (found, rest) = walk(&store, Some("acme")).await;
    assert_eq!(rest, Manifests::default());
    assert_eq!(found.len(), acme.len());
    for asset in &acme {
        assert!(found.contains(asset), "{asset:?}");
    }
    let (all, _) = walk(&store, None).await;
    assert_eq!(all.len(), 6);
    assert_eq!(ids(&all), acme.iter().chain([&beta, &other]).map(|asset| asset.id.clone()).collect());
}

#[tokio::test]
async fn what_is_no_manifest_of_its_object_is_told_and_left_out() {
    let bench = Bench::start().await;
    let store = bench.store().await;
    let good = keep(&store, "acme", None).await;
    let orphan = keep(&store, "acme", None).await;
    let torn = keep(&store, "acme", None).await;
    let stranger = keep(&store, "acme", None).await;
    let path = |key: &str| bench.folder.path().join(BUCKET).join(key);
    std::fs::remove_file(path(&orphan.key)).unwrap();
    std::fs::write(path(&manifest_key(&torn.key)), b"{\"id\":").unwrap();
    // The manifest of somebody else's asset, put beside an object of this workspace.
    let theirs = Asset { workspace_id: "beta".parse().unwrap(), ..stranger.clone() };
    std::fs::write(path(&manifest_key(&stranger.key)), serde_json::to_vec(&theirs).unwrap()).unwrap();
    let notes = path("acme/2026/11/22/notes.txt.json");
    std::fs::write(notes, b"{}").unwrap();
    let (found, rest) = walk(&store, None).await;
    assert_eq!(ids(&found), [good.id].into());
    assert_eq!(rest.orphans, 1);
    let unreadable: BTreeSet<String> = rest.unreadable.into_iter().collect();
    assert_eq!(unreadable, [manifest_key(&torn.key), manifest_key(&stranger.key)].into());
}

#[tokio::test]
async fn a_walk_of_many_pieces_finds_each_asset_once() {
    let bench = Bench::start().await;
    let store = bench.store().await;
    // Three lists of a thousand; the first object's key is odd, so that lists end between an object and its manifest.
    let first = keep(&store, "acme", None).await;
    let day = bench.folder.path().join(BUCKET).join("acme/2026/11/23/upload");
    std::fs::create_dir_all(&day).unwrap();
    std::fs::write(day.join("aaa.txt"), b"x").unwrap();
    let mut expected = ids(std::slice::from_ref(&first));
    for _ in 0..1_100 {
        let id = AssetId::new();
        let key = format!("acme/2026/11/23/upload/{id}.png");
        let asset = Asset { id: id.clone(), made_by: None, key, ..first.clone() };
        std::fs::write(day.join(format!("{id}.png")), b"x").unwrap();
        std::fs::write(day.join(format!("{id}.png.json")), serde_json::to_vec(&asset).unwrap()).unwrap();
        expected.insert(id);
    }
    let (found, rest) = walk(&store, Some("acme")).await;
    assert_eq!((rest.orphans, rest.unreadable.len(), found.len()), (0, 0, 1_101));
    assert_eq!(ids(&found), expected);
}
