//! A store of assets in a process of its own: `s3 FOLDER`.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context, Result};
use tokio::signal::unix::{SignalKind, signal};

use crate::embedded_s3::{self, EmbeddedS3Options};

/// Its only key, its secret, and its only bucket.
pub const ACCESS: (&str, &str, &str) = ("load", "load-secret", "load");

/// Serves until SIGTERM; tells its address first.
#[tokio::main]
pub async fn run(words: &[String]) -> Result<()> {
    let folder = words.first().context("s3 FOLDER")?;
    let (access_key, secret_key, bucket) = ACCESS;
    let server = embedded_s3::start(EmbeddedS3Options {
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        folder: folder.into(),
        access_key: access_key.to_owned(),
        secret_key: secret_key.to_owned(),
        bucket: bucket.to_owned(),
    })
    .await?;
    println!("{}", server.base_url());
    let mut terminate = signal(SignalKind::terminate())?;
    terminate.recv().await;
    server.stop().await;
    Ok(())
}
