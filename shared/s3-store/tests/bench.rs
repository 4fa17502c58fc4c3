//! A server of its own for each test, and what is to be found on its disk.

use std::error::Error;
use std::path::Path;
use std::time::{Duration, Instant};

use atelier_domain::asset::{Asset, MadeBy};
use atelier_domain::operation::{Operation, Provider};
use atelier_domain::ports::StoredObject;
use atelier_domain::secret::Secret;
use atelier_s3_store::{S3Settings, S3Store};
use tempfile::TempDir;

use crate::embedded_s3::{self, EmbeddedS3, EmbeddedS3Options};

pub const BUCKET: &str = "media";
pub const ACCESS_KEY: &str = "AKIATEST";
pub const SECRET_KEY: &str = "a-very-secret-key";
/// The smallest part S3 takes: multipart begins above it.
pub const PART: usize = 5 * 1024 * 1024;

pub struct Bench {
    pub server: EmbeddedS3,
    pub folder: TempDir,
}

impl Bench {
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = EmbeddedS3Options {
            listen: "127.0.0.1:0".parse().unwrap(),
            folder: folder.path().to_owned(),
            access_key: ACCESS_KEY.to_owned(),
            secret_key: SECRET_KEY.to_owned(),
            bucket: BUCKET.to_owned(),
        };
        Self { server: embedded_s3::start(options).await.unwrap(), folder }
    }

    pub fn settings(&self) -> S3Settings {
        settings(&self.server.base_url())
    }

    pub async fn store(&self) -> S3Store {
        S3Store::connect(self.settings()).await.unwrap()
    }

    /// What is stored under keys.
    pub fn objects(&self) -> Vec<String> {
        let mut names = Vec::new();
        collect(&self.folder.path().join(BUCKET), &mut names);
        names
    }

    /// What unfinished uploads left.
    pub fn leftovers(&self) -> Vec<String> {
        std::fs::read_dir(self.folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| {
                name.starts_with(".upload") || name.contains(".upload-") || name.starts_with(".tmp")
            })
            .collect()
    }

    /// Parts that have arrived.
    pub fn parts(&self) -> usize {
        self.leftovers().iter().filter(|name| name.contains(".part-")).count()
    }

    pub fn assert_nothing_is_left(&self) {
        assert_eq!(self.objects(), Vec::<String>::new(), "no object");
        assert_eq!(self.leftovers(), Vec::<String>::new(), "no parts");
    }
}

pub fn settings(endpoint: &str) -> S3Settings {
    S3Settings {
        endpoint: Some(endpoint.to_owned()),
        bucket: BUCKET.to_owned(),
        access_key: Some(ACCESS_KEY.to_owned()),
        secret_key: Some(Secret::new(SECRET_KEY.to_owned())),
        part_size_bytes: PART as u64,
        connect_timeout_ms: 1_000,
        call_timeout_ms: 5_000,
        transfer_timeout_ms: 20_000,
        ..S3Settings::default()
    }
}

pub fn asset(stored: &StoredObject) -> Asset {
    let job = "0ujtsYcgvSTl8PAuAdqWYSMnLOv".parse().unwrap();
    Asset {
        id: atelier_domain::ids::AssetId::of(&job, 0),
        workspace_id: "acme".parse().unwrap(),
        made_by: Some(MadeBy {
            job_id: job,
            index: 0,
            operation: Operation::VideoGen,
            provider: Provider::Luma,
            model: "ray-2".to_owned(),
        }),
        name: None,
        metadata: Default::default(),
        key: stored.key.clone(),
        content_type: stored.content_type.clone(),
        size_bytes: stored.size_bytes,
        sha256: stored.sha256.clone(),
        media: stored.facts.clone(),
        seed: None,
        revised_prompt: None,
        created_at: "2026-11-22T10:00:00Z".parse().unwrap(),
    }
}

/// An error with all its causes.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// Waits for a condition, at most ten seconds.
pub async fn until(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(10), "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn collect(folder: &Path, names: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            collect(&entry.path(), names);
        } else {
            names.push(entry.file_name().into_string().unwrap());
        }
    }
}
