//! A real S3 server in this process, for development and tests: signatures are checked, objects are files in a folder.
//!
//! It is `s3s` with the file system of `s3s-fs`. What it lacks: tagging, lifecycle rules, a list of open uploads.
//! It needs nothing else of the workspace, so that tests of other crates can include this file.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{Response, StatusCode};
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s_fs::FileSystem;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// How long requests that are under way may take when the server is stopped.
const GRACE: Duration = Duration::from_secs(5);

/// What the server needs to know.
#[derive(Debug, Clone)]
pub struct EmbeddedS3Options {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where objects are kept. It is made when it is missing, and its contents survive a restart.
    pub folder: PathBuf,
    /// The only access key that is known.
    pub access_key: String,
    /// Its secret.
    pub secret_key: String,
    /// A bucket to make at the start.
    pub bucket: String,
}

/// A running server. Dropping it stops it without grace.
#[derive(Debug)]
pub struct EmbeddedS3 {
    address: SocketAddr,
    stopping: Option<oneshot::Sender<()>>,
    serving: JoinHandle<std::io::Result<()>>,
}

/// Starts a server. It answers when this returns.
pub async fn start(options: EmbeddedS3Options) -> anyhow::Result<EmbeddedS3> {
    let bucket_folder = options.folder.join(&options.bucket);
    tokio::fs::create_dir_all(&bucket_folder)
        .await
        .with_context(|| format!("failed to create `{}`", bucket_folder.display()))?;
    let files = FileSystem::new(&options.folder)
        .map_err(|error| anyhow::anyhow!("failed to open `{}`: {error:?}", options.folder.display()))?;
    let mut builder = S3ServiceBuilder::new(files);
    builder.set_auth(SimpleAuth::from_single(options.access_key, options.secret_key));
    let service = builder.build();

    let listener = TcpListener::bind(options.listen)
        .await
        .with_context(|| format!("failed to listen on {}", options.listen))?;
    let address = listener.local_addr().context("failed to read the address")?;
    let router = Router::new().fallback(move |request: Request| answer(service.clone(), request));
    let (stopping, stopped) = oneshot::channel::<()>();
    let serving = tokio::spawn(async move {
        // A dropped sender stops the server as well.
        let stop = async move { drop(stopped.await) };
        axum::serve(listener, router).with_graceful_shutdown(stop).await
    });
    Ok(EmbeddedS3 { address, stopping: Some(stopping), serving })
}

impl EmbeddedS3 {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The endpoint for clients, which must use path-style addressing.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Stops accepting, lets running requests end within a few seconds, and frees the port.
    pub async fn stop(mut self) {
        drop(self.stopping.take());
        if tokio::time::timeout(GRACE, &mut self.serving).await.is_err() {
            self.serving.abort();
        }
    }
}

impl Drop for EmbeddedS3 {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn answer(service: S3Service, request: Request) -> Response<Body> {
    match service.call(request.map(s3s::Body::http_body_unsync)).await {
        Ok(response) => response.map(Body::new),
        Err(error) => {
            tracing::error!(error = ?error, "the embedded S3 server could not answer");
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            response
        }
    }
}
