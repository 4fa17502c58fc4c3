//! The other end: a provider's download and an S3 server, in a process of their own.

#[path = "../../../../deploy/dev/src/embedded_s3.rs"]
#[expect(dead_code, reason = "the file is that of the development stack, which uses more of it")]
mod embedded_s3;

use std::io::{Read, Write};
use std::process::Stdio;

use anyhow::Context;
use axum::Router;
use axum::body::Body;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use futures::stream;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};

pub(crate) const BUCKET: &str = "media";
pub(crate) const ACCESS_KEY: &str = "AKIATEST";
pub(crate) const SECRET_KEY: &str = "a-very-secret-key";
/// What the video says it lasts.
pub(crate) const VIDEO_MS: u64 = 10_000;

/// Chunks of the video, all but the first of the same bytes.
const CHUNK_BYTES: usize = 64 * 1024;

/// Where the servers are.
#[derive(Debug, Serialize, Deserialize)]
struct Addresses {
    source: String,
    store: String,
}

/// The running process. Dropping it ends it.
pub(crate) struct Servers {
    pub(crate) source: String,
    pub(crate) store: String,
    process: Child,
}

impl Servers {
    pub(crate) async fn start(bytes: u64) -> anyhow::Result<Self> {
        let mut process = Command::new(std::env::current_exe()?)
            .args(["serve", &bytes.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let stdout = process.stdout.take().context("the servers have no output")?;
        let line = BufReader::new(stdout).lines().next_line().await?.context("the servers did not start")?;
        let Addresses { source, store } = serde_json::from_str(&line)?;
        Ok(Self { source, store, process })
    }

    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        drop(self.process.stdin.take());
        let status = self.process.wait().await?;
        anyhow::ensure!(status.success(), "the servers ended with {status}");
        Ok(())
    }
}

/// Serves until the standard input ends.
pub(crate) async fn serve(bytes: u64) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let store = embedded_s3::start(embedded_s3::EmbeddedS3Options {
        listen: "127.0.0.1:0".parse()?,
        folder: folder.path().to_owned(),
        access_key: ACCESS_KEY.to_owned(),
        secret_key: SECRET_KEY.to_owned(),
        bucket: BUCKET.to_owned(),
    })
    .await?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let addresses =
        Addresses { source: format!("http://{}/video.mp4", listener.local_addr()?), store: store.base_url() };
    let chunks = video(bytes)?;
    let router = Router::new().route("/video.mp4", get(async move || download(chunks.clone(), bytes)));
    let source = tokio::spawn(async move { axum::serve(listener, router).await });
    writeln!(std::io::stdout(), "{}", serde_json::to_string(&addresses)?)?;
    tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await??;
    source.abort();
    store.stop().await;
    Ok(())
}

fn download(chunks: Vec<Bytes>, bytes: u64) -> Response {
    let body = Body::from_stream(stream::iter(chunks.into_iter().map(Ok::<_, std::convert::Infallible>)));
    ([(CONTENT_TYPE, "video/mp4".to_owned()), (CONTENT_LENGTH, bytes.to_string())], body).into_response()
}

/// A video of that many bytes: its index first, then media data that is noise.
pub(crate) fn video(bytes: u64) -> anyhow::Result<Vec<Bytes>> {
    let mut mvhd = vec![0u8; 20];
    mvhd.splice(12..20, [1_000u32, u32::try_from(VIDEO_MS)?].into_iter().flat_map(u32::to_be_bytes));
    let handler = box_of(b"hdlr", b"\0\0\0\0\0\0\0\0vide\0\0\0\0")?;
    let track = box_of(b"trak", &box_of(b"mdia", &handler)?)?;
    let moov = box_of(b"moov", &[box_of(b"mvhd", &mvhd)?, track].concat())?;
    let mut head = [box_of(b"ftyp", b"isom\0\0\x02\0")?, moov, b"\0\0\0\x01mdat".to_vec()].concat();
    let media = bytes.checked_sub(head.len() as u64 + 8).context("a video is longer than that")?;
    head.extend_from_slice(&(media + 16).to_be_bytes());

    let noise: Bytes =
        (0..CHUNK_BYTES as u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let mut chunks = vec![Bytes::from(head)];
    let mut left = usize::try_from(media)?;
    while left > 0 {
        let chunk = noise.slice(..left.min(CHUNK_BYTES));
        left -= chunk.len();
        chunks.push(chunk);
    }
    Ok(chunks)
}

fn box_of(name: &[u8; 4], body: &[u8]) -> anyhow::Result<Vec<u8>> {
    let length = u32::try_from(8 + body.len())?;
    Ok([&length.to_be_bytes()[..], name, body].concat())
}
