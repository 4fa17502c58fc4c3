//! Housekeeping against a real server: what is too old goes, and nothing else.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use atelier_domain::Timestamp;
use atelier_domain::asset::{Asset, ObjectKey};
use atelier_domain::ids::{AssetId, WorkspaceId};
use atelier_domain::ports::{
    Aborted, AssetRecords, AssetStore, AssetUpkeep, StoreUnavailable, Swept, UploadMark,
};
use atelier_s3_store::{S3Settings, S3Store};
use axum::body::Body;
use axum::extract::Request;
use s3s::auth::SimpleAuth;
use s3s::dto::*;
use s3s::service::S3ServiceBuilder;
use s3s::{S3, S3Request, S3Response, S3Result};
use s3s_fs::FileSystem;
use tokio::net::TcpListener;

use crate::bench::{ACCESS_KEY, BUCKET, Bench, PART, SECRET_KEY, settings, until};
use crate::media::{mp4, object, source, stalling_source, video};

const JOB: &str = "0ujtsYcgvSTl8PAuAdqWYSMnLOv";
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Puts an object where the server finds it, written so many days ago.
fn place(bench: &Bench, key: &str, days: u32) {
    let path = bench.folder.path().join(BUCKET).join(key);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, b"x").unwrap();
    std::fs::File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_modified(SystemTime::now() - DAY * days)
        .unwrap();
}

fn day(days_ago: u32) -> String {
    (Timestamp::now() - DAY * days_ago).strftime("%Y/%m/%d").to_string()
}

fn keys(bench: &Bench) -> Vec<String> {
    fn walk(folder: PathBuf, root: &std::path::Path, keys: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(path, root, keys);
            } else {
                keys.push(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    let root = bench.folder.path().join(BUCKET);
    let mut keys = Vec::new();
    walk(root.clone(), &root, &mut keys);
    keys.sort();
    keys
}

async fn store(bench: &Bench, assets_days: u32, inputs_days: u32) -> S3Store {
    let settings = S3Settings {
        assets_retention_days: assets_days,
        inputs_retention_days: inputs_days,
        ..bench.settings()
    };
    S3Store::connect(settings).await.unwrap()
}

/// Notes whose records are forgotten, and what is in the store then.
#[derive(Default)]
struct Forgotten<'a> {
    bench: Option<&'a Bench>,
    ids: Mutex<Vec<(WorkspaceId, AssetId)>>,
}

#[async_trait::async_trait]
impl AssetRecords for Forgotten<'_> {
    async fn keep(&self, _: &[Asset]) -> Result<(), StoreUnavailable> {
        unreachable!("housekeeping keeps no records")
    }

    async fn forget(&self, workspace: &WorkspaceId, ids: &[AssetId]) -> Result<(), StoreUnavailable> {
        let Some(bench) = self.bench else { return Ok(()) };
        for id in ids {
            let is_there = keys(bench).iter().any(|key| {
                ObjectKey::parse(key)
                    == Some(ObjectKey::Asset { workspace: workspace.clone(), id: id.clone() })
            });
            assert!(is_there, "a record goes before its object does");
            self.ids.lock().unwrap().push((workspace.clone(), id.clone()));
        }
        Ok(())
    }
}

/// A whole walk; gives what was removed, and in how many pieces.
async fn walk(store: &S3Store) -> (u64, u32) {
    let (mut removed, mut pieces, mut place) = (0, 0, String::new());
    loop {
        let swept = store.remove_expired(&place, Timestamp::now(), &Forgotten::default()).await.unwrap();
        (removed, pieces) = (removed + swept.removed, pieces + 1);
        assert!(pieces < 100, "the walk does not end");
        match swept.next {
            Some(next) => {
                assert!(next > place, "{next} is not after {place}");
                place = next;
            }
            None => return (removed, pieces),
        }
    }
}

#[tokio::test]
async fn what_is_too_old_goes_and_nothing_else() {
    let bench = Bench::start().await;
    let digest = "ab".repeat(32);
    let (old, young) = (day(40), day(3));
    let gone = [
        format!("acme/{old}/{JOB}/0.mp4"),
        format!("acme/{old}/{JOB}/0.mp4.json"),
        format!("acme/{old}/{JOB}/1.json"),
        format!("zebra/{old}/{JOB}/0.png"),
        format!("inputs/acme/{old}/{digest}.png"),
    ];
    let kept_by_age = [
        format!("acme/{young}/{JOB}/0.mp4"),
        format!("inputs/acme/{young}/{digest}.png"),
        // Admitted long ago, and written a moment ago: it had been ordered for a late start.
        format!("late/{old}/{JOB}/0.mp4"),
    ];
    let foreign = [
        "backups/2020/01/01/dump.rdb".to_owned(),
        format!("acme/{old}/notes.txt"),
        format!("acme/{old}/{JOB}/0.mp4.bak"),
        format!("acme/{old}/nojob/0.mp4"),
        format!("inputs/acme/{old}/photo.png"),
        format!("inputs-of-others/acme/{old}/{digest}.png"),
        "readme.txt".to_owned(),
    ];
    gone.iter().chain(&foreign).for_each(|key| place(&bench, key, 40));
    kept_by_age.iter().for_each(|key| place(&bench, key, 3));
    let mut left: Vec<String> = kept_by_age.iter().chain(&foreign).cloned().collect();
    left.sort();
    let store = store(&bench, 30, 30).await;
    assert_eq!(walk(&store).await.0, 5);
    assert_eq!(keys(&bench), left);
    assert_eq!(walk(&store).await.0, 0, "a second time there is nothing to do");
    assert_eq!(keys(&bench), left);
}

#[tokio::test]
async fn each_kind_is_kept_by_its_own_setting_and_for_ever_without_one() {
    let bench = Bench::start().await;
    let old = day(400);
    let asset = format!("acme/{old}/{JOB}/0.mp4");
    let input = format!("inputs/acme/{old}/{}.png", "ab".repeat(32));
    let put = || [&asset, &input].iter().for_each(|key| place(&bench, key, 400));
    put();
    let for_ever = store(&bench, 0, 0).await;
    assert_eq!(
        for_ever.remove_expired("", Timestamp::now(), &Forgotten::default()).await.unwrap(),
        Swept::default()
    );
    assert_eq!(keys(&bench).len(), 2);
    assert_eq!(walk(&store(&bench, 0, 45).await).await.0, 1);
    assert_eq!(keys(&bench), std::slice::from_ref(&asset));
    put();
    assert_eq!(walk(&store(&bench, 30, 0).await).await.0, 1);
    assert_eq!(keys(&bench), std::slice::from_ref(&input));
    // Unless told otherwise, assets stay.
    put();
    assert_eq!(walk(&bench.store().await).await.0, 1);
    assert_eq!(keys(&bench), std::slice::from_ref(&asset));
}

#[tokio::test]
async fn workspaces_have_limits_of_their_own_and_records_go_first() {
    let bench = Bench::start().await;
    let (old, upload) = (day(40), "0ujssxh0cECutqzMgbtXSGnjorm");
    for workspace in ["acme", "beta", "gamma"] {
        place(&bench, &format!("{workspace}/{old}/{JOB}/0.mp4"), 40);
        place(&bench, &format!("{workspace}/{old}/{JOB}/0.mp4.json"), 40);
        place(&bench, &format!("{workspace}/{old}/upload/{upload}.png"), 40);
    }
    let limits = [("acme", 30), ("beta", 0)].map(|(name, days)| (name.parse().unwrap(), days));
    let settings = S3Settings {
        assets_retention_days: 60,
        assets_retention_by_workspace: limits.into(),
        ..bench.settings()
    };
    let store = S3Store::connect(settings).await.unwrap();
    let forgotten = Forgotten { bench: Some(&bench), ids: Mutex::default() };
    let swept = store.remove_expired("", Timestamp::now(), &forgotten).await.unwrap();
    assert_eq!(swept.removed, 3);
    assert!(keys(&bench).iter().all(|key| !key.starts_with("acme/")), "30 days are over");
    assert_eq!(keys(&bench).len(), 6, "those of beta stay for ever, those of gamma for 60 days");
    let acme: WorkspaceId = "acme".parse().unwrap();
    let mut expected =
        vec![(acme.clone(), AssetId::of(&JOB.parse().unwrap(), 0)), (acme, upload.parse().unwrap())];
    expected.sort();
    assert_eq!(forgotten.ids.into_inner().unwrap(), expected);
    // A limit of one workspace is enough to look at all.
    let settings = S3Settings {
        assets_retention_by_workspace: [("beta".parse().unwrap(), 30)].into(),
        ..bench.settings()
    };
    let store = S3Store::connect(settings).await.unwrap();
    assert_eq!(walk(&store).await.0, 3);
    assert!(keys(&bench).iter().all(|key| key.starts_with("gamma/")));
}

#[tokio::test]
async fn a_walk_passes_over_young_days_and_comes_to_every_workspace() {
    let bench = Bench::start().await;
    let (old, young) = (day(40), day(1));
    // More than one list of young objects in each of three workspaces, with old ones before them.
    for workspace in ["a", "b", "c"] {
        for index in 0..30 {
            place(&bench, &format!("{workspace}/{old}/{JOB}/{index}.png"), 40);
        }
        for index in 0..2_500 {
            place(&bench, &format!("{workspace}/{young}/{JOB}/{index}.png"), 1);
        }
    }
    let (removed, pieces) = walk(&store(&bench, 30, 0).await).await;
    assert_eq!(removed, 90);
    assert!(pieces <= 4, "{pieces} lists; all 7,590 objects would be eight");
    assert_eq!(keys(&bench).len(), 7_500);
}

#[tokio::test]
async fn a_store_that_cannot_list_uploads_says_so() {
    let bench = Bench::start().await;
    let found = bench.store().await.abort_stale_uploads(None, Timestamp::now()).await.unwrap();
    assert_eq!(found, Aborted::Unsupported);
}

/// The file system of `s3s-fs` with what it lacks: a list of open uploads, two at a time.
struct Listing {
    files: FileSystem,
    uploads: Arc<Mutex<BTreeMap<(String, String), SystemTime>>>,
}

#[async_trait::async_trait]
impl S3 for Listing {
    async fn create_multipart_upload(
        &self,
        request: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        let key = request.input.key.clone();
        let created = self.files.create_multipart_upload(request).await?;
        let id = created.output.upload_id.clone().unwrap();
        self.uploads.lock().unwrap().insert((key, id), SystemTime::now());
        Ok(created)
    }

    async fn upload_part(
        &self,
        request: S3Request<UploadPartInput>,
    ) -> S3Result<S3Response<UploadPartOutput>> {
        self.files.upload_part(request).await
    }

    async fn complete_multipart_upload(
        &self,
        request: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        let upload = (request.input.key.clone(), request.input.upload_id.clone());
        let completed = self.files.complete_multipart_upload(request).await?;
        self.uploads.lock().unwrap().remove(&upload);
        Ok(completed)
    }

    async fn abort_multipart_upload(
        &self,
        request: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        let upload = (request.input.key.clone(), request.input.upload_id.clone());
        let aborted = self.files.abort_multipart_upload(request).await?;
        self.uploads.lock().unwrap().remove(&upload);
        Ok(aborted)
    }

    async fn list_multipart_uploads(
        &self,
        request: S3Request<ListMultipartUploadsInput>,
    ) -> S3Result<S3Response<ListMultipartUploadsOutput>> {
        let input = request.input;
        let after = (input.key_marker.unwrap_or_default(), input.upload_id_marker.unwrap_or_default());
        let uploads = self.uploads.lock().unwrap();
        let rest: Vec<_> = uploads.iter().filter(|(upload, _)| **upload > after).collect();
        let page = &rest[..rest.len().min(2)];
        let listed = page
            .iter()
            .map(|((key, id), begun)| MultipartUpload {
                key: Some(key.clone()),
                upload_id: Some(id.clone()),
                initiated: Some((**begun).into()),
                ..MultipartUpload::default()
            })
            .collect();
        let last = page.last().map(|(upload, _)| (*upload).clone());
        Ok(S3Response::new(ListMultipartUploadsOutput {
            bucket: Some(input.bucket),
            is_truncated: Some(rest.len() > page.len()),
            next_key_marker: last.as_ref().map(|(key, _)| key.clone()),
            next_upload_id_marker: last.map(|(_, id)| id),
            uploads: Some(listed),
            ..ListMultipartUploadsOutput::default()
        }))
    }
}

/// Serves such a store from the folder of `bench`; gives its address and the open uploads.
async fn listing(bench: &Bench) -> (String, Arc<Mutex<BTreeMap<(String, String), SystemTime>>>) {
    let uploads = Arc::default();
    let files = FileSystem::new(bench.folder.path()).unwrap();
    let mut builder = S3ServiceBuilder::new(Listing { files, uploads: Arc::clone(&uploads) });
    builder.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));
    let service = builder.build();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = axum::Router::new().fallback(move |request: Request| {
        let service = service.clone();
        async move { service.call(request.map(s3s::Body::http_body_unsync)).await.unwrap().map(Body::new) }
    });
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, uploads)
}

#[tokio::test]
async fn uploads_that_a_killed_process_left_open_are_aborted_after_a_day() {
    let bench = Bench::start().await;
    let (url, uploads) = listing(&bench).await;
    // Five uploads of a process that ends without a word: its runtime, and with it every task, is gone.
    let killed = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let settings_of_dead = settings(&url);
    killed.spawn(async move {
        let store = S3Store::connect(settings_of_dead).await.unwrap();
        let puts = (0..5).map(|index| {
            let object = atelier_domain::ports::NewObject {
                key_prefix: format!("acme/{}/{JOB}/{index}", day(0)),
                ..video()
            };
            store.put(object, stalling_source(mp4(2 * PART)))
        });
        futures::future::join_all(puts).await
    });
    until("parts of five uploads", || uploads.lock().unwrap().len() == 5 && bench.parts() >= 5).await;
    killed.shutdown_background();
    // And one of somebody else.
    let theirs = ("backups/dump".to_owned(), "not-ours".to_owned());
    uploads.lock().unwrap().insert(theirs.clone(), SystemTime::now());
    let store = S3Store::connect(settings(&url)).await.unwrap();
    assert_eq!(abort_all(&store, Timestamp::now()).await, 0, "they may still go on");
    assert_eq!(uploads.lock().unwrap().len(), 6);
    let tomorrow = Timestamp::now() + DAY + Duration::from_secs(60);
    assert_eq!(abort_all(&store, tomorrow).await, 5);
    assert_eq!(uploads.lock().unwrap().keys().cloned().collect::<Vec<_>>(), [theirs]);
    assert_eq!(bench.parts(), 0, "the parts are gone");
    // A complete one is no open one.
    let stored =
        store.put(object(atelier_domain::operation::MediaKind::Video, "video/mp4"), source(mp4(2 * PART)));
    stored.await.unwrap();
    assert_eq!(abort_all(&store, tomorrow).await, 0);
}

async fn abort_all(store: &S3Store, now: Timestamp) -> u64 {
    let (mut total, mut place): (u64, Option<UploadMark>) = (0, None);
    loop {
        match store.abort_stale_uploads(place.as_ref(), now).await.unwrap() {
            Aborted::Some { aborted, next } => {
                total += aborted;
                if next.is_none() {
                    return total;
                }
                place = next;
            }
            Aborted::Unsupported => panic!("this server can list its uploads"),
        }
    }
}
