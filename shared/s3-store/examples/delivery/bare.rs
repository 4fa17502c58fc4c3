//! The least that a copy into S3 can be: the source's bytes into parts, the parts up, one on its way while the next is
//! read. No digest, no look at the bytes, no clearing up.

use anyhow::Context;
use atelier_s3_store::S3Settings;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Builder, Credentials, Region, RequestChecksumCalculation};
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use bytes::Bytes;
use futures::StreamExt;
use tokio::task::JoinHandle;

use crate::servers::{ACCESS_KEY, BUCKET, SECRET_KEY};

pub(crate) const KEY: &str = "copied.mp4";

pub(crate) struct BareCopy {
    client: Client,
    part_bytes: usize,
}

impl BareCopy {
    /// The same client as the store's, as far as it touches the bytes.
    pub(crate) fn new(settings: &S3Settings) -> Self {
        let http_client = aws_smithy_http_client::Builder::new()
            .tls_provider(Provider::rustls(CryptoMode::Ring))
            .build_https();
        let mut builder = Builder::new()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::new(settings.region.clone()))
            .credentials_provider(Credentials::new(ACCESS_KEY, SECRET_KEY, None, None, "example"))
            .http_client(http_client)
            .force_path_style(settings.path_style)
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired);
        if let Some(endpoint) = &settings.endpoint {
            builder = builder.endpoint_url(endpoint);
        }
        let part_bytes = usize::try_from(settings.part_size_bytes).unwrap_or(usize::MAX);
        Self { client: Client::from_conf(builder.build()), part_bytes }
    }

    pub(crate) async fn copy(&self, http: &reqwest::Client, source: &str, bytes: u64) -> anyhow::Result<()> {
        let mut body = http.get(source).send().await?.error_for_status()?.bytes_stream();
        let creating =
            self.client.create_multipart_upload().bucket(BUCKET).key(KEY).content_type("video/mp4");
        let upload_id = creating.send().await?.upload_id.context("the upload has no id")?;

        let mut sent = Vec::new();
        let mut sending: Option<JoinHandle<anyhow::Result<CompletedPart>>> = None;
        let mut part = Vec::with_capacity(self.part_bytes);
        let mut number = 1;
        while let Some(chunk) = body.next().await {
            let mut chunk = chunk?;
            while !chunk.is_empty() {
                let step = chunk.split_to(chunk.len().min(self.part_bytes - part.len()));
                part.extend_from_slice(&step);
                if part.len() == self.part_bytes {
                    let full = std::mem::replace(&mut part, Vec::with_capacity(self.part_bytes));
                    sent.extend(joined(sending.take()).await?);
                    sending = Some(self.send(&upload_id, number, full.into()));
                    number += 1;
                }
            }
        }
        sent.extend(joined(sending.take()).await?);
        if !part.is_empty() {
            sent.extend(joined(Some(self.send(&upload_id, number, part.into()))).await?);
        }
        let parts = CompletedMultipartUpload::builder().set_parts(Some(sent)).build();
        let completing = self.client.complete_multipart_upload().bucket(BUCKET).key(KEY);
        completing.upload_id(upload_id).multipart_upload(parts).send().await?;

        let found = self.client.head_object().bucket(BUCKET).key(KEY).send().await?;
        anyhow::ensure!(found.content_length() == i64::try_from(bytes).ok(), "another length was stored");
        Ok(())
    }

    fn send(&self, upload_id: &str, number: i32, part: Bytes) -> JoinHandle<anyhow::Result<CompletedPart>> {
        let sending = self
            .client
            .upload_part()
            .bucket(BUCKET)
            .key(KEY)
            .upload_id(upload_id)
            .part_number(number)
            .body(part.into())
            .send();
        tokio::spawn(async move {
            let e_tag = sending.await?.e_tag;
            Ok(CompletedPart::builder().part_number(number).set_e_tag(e_tag).build())
        })
    }
}

async fn joined(
    sending: Option<JoinHandle<anyhow::Result<CompletedPart>>>,
) -> anyhow::Result<Option<CompletedPart>> {
    match sending {
        Some(sending) => sending.await?.map(Some),
        None => Ok(None),
    }
}
