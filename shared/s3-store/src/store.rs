//! The port's implementation.

use std::hash::{BuildHasher, RandomState};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use atelier_domain::asset::{Asset, extension_of, manifest_key};
use atelier_domain::ports::{AssetStore, ByteStream, NewObject, OpenedObject, PutError, StoredObject};
use aws_sdk_s3::Client;
use aws_sdk_s3::operation::get_object::builders::GetObjectFluentBuilder;
use aws_sdk_s3::presigning::PresigningConfig;
use aws_sdk_s3::types::{BucketLocationConstraint, CreateBucketConfiguration};
use bytes::{Bytes, BytesMut};
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

use crate::call::{self, Call, CallError};
use crate::client;
use crate::inspect::{Facts, Inspector};
use crate::intake::{Intake, Part};
use crate::settings::{InvalidSettings, S3Settings};
use crate::upload::{ATTEMPT, Shared, Upload};

/// S3 signs no URL for longer.
const LONGEST_TTL: Duration = Duration::from_secs(7 * 24 * 3600);

/// Stored media in one bucket. Clones share everything.
///
/// An object that went in one request carries its digest as the metadata `sha256`. One that went in parts cannot: S3
/// takes metadata only before the bytes, when the digest is not known yet. The manifest has it for both.
///
/// A process that ends suddenly leaves its uploads open, and so does an answer to `CreateMultipartUpload` that was lost.
/// They are aborted a day later by [`atelier_domain::ports::AssetUpkeep`], or by a lifecycle rule of the bucket, which a
/// store needs that cannot list uploads.
#[derive(Clone)]
pub struct S3Store {
    pub(crate) shared: Arc<Shared>,
    signing: Client,
}

impl S3Store {
    /// Makes a store from settings. The bucket is not asked for anything yet: see [`AssetStore::ready`].
    ///
    /// Must be called within the Tokio runtime that lives as long as the store: clean-up runs there, also when the
    /// future of a [`AssetStore::put`] is dropped.
    pub async fn connect(settings: S3Settings) -> Result<Self, InvalidSettings> {
        settings.check()?;
        let clients = client::connect(&settings).await;
        let shared =
            Shared { client: clients.store, settings, tasks: TaskTracker::new(), runtime: Handle::current() };
        Ok(Self { shared: Arc::new(shared), signing: clients.signing })
    }

    /// Makes the bucket unless it is there. For development: elsewhere a bucket needs more settings than its name.
    pub async fn ensure_bucket(&self) -> Result<(), PutError> {
        match self.head_bucket().await {
            Err(error) if error.has_status(404) => {}
            other => return Ok(other?),
        }
        let settings = &self.shared.settings;
        // AWS wants the region named unless it is the oldest one; other stores do not know the word.
        let place = (settings.endpoint.is_none() && settings.region != "us-east-1").then(|| {
            CreateBucketConfiguration::builder()
                .location_constraint(BucketLocationConstraint::from(settings.region.as_str()))
                .build()
        });
        let sending = self
            .shared
            .client
            .create_bucket()
            .bucket(&settings.bucket)
            .set_create_bucket_configuration(place)
            .send();
        match call::run(self.shared.call("CreateBucket", None), sending).await {
            // Somebody else was faster; whether the bucket is ours to use, a second look tells.
            Err(error) if error.has_status(409) => Ok(self.head_bucket().await?),
            other => Ok(other.map(drop)?),
        }
    }

    /// Waits until every upload that was given up is cleared away. Call it at shutdown; each call within has a limit,
    /// so that this ends even when the store does not answer.
    pub async fn close(&self) {
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }

    async fn head_bucket(&self) -> Result<(), CallError> {
        let sending = self.shared.client.head_bucket().bucket(&self.shared.settings.bucket).send();
        call::run(self.shared.call("HeadBucket", None), sending).await.map(drop)
    }

    async fn put_whole(&self, key: &str, part: Bytes, facts: &Facts) -> Result<(), PutError> {
        let attempt = attempt_name();
        let sending = self
            .shared
            .client
            .put_object()
            .bucket(&self.shared.settings.bucket)
            .key(key)
            .content_type(&facts.content_type)
            .metadata("sha256", &facts.sha256)
            .metadata(ATTEMPT, &attempt)
            .body(part.into())
            .send();
        let call = Call {
            limit: self.shared.settings.transfer_timeout(),
            ..self.shared.call("PutObject", Some(key))
        };
        match call::run(call, sending).await {
            Err(error) if error.is_certain() => Err(error.into()),
            // An answer was lost; the object may be there all the same.
            Err(error) if !self.shared.is_written_by(key, &attempt).await => Err(error.into()),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    async fn put_in_parts(
        &self,
        key: &str,
        content_type: &str,
        first: Part,
        intake: &mut Intake,
    ) -> Result<Facts, PutError> {
        let mut upload = Upload::create(&self.shared, key, content_type, attempt_name()).await?;
        let mut part = first;
        loop {
            upload.send(part.bytes);
            if let Some(facts) = part.facts {
                upload.sent().await?;
                upload.complete().await?;
                return Ok(facts);
            }
            // One part is on its way while the next is read: two in memory, never three.
            (part, ()) = tokio::try_join!(intake.next_part(), upload.sent())?;
        }
    }

    async fn sign(&self, request: GetObjectFluentBuilder, ttl: Duration) -> Result<String, PutError> {
        let ttl = ttl.clamp(Duration::from_secs(1), LONGEST_TTL);
        let signing =
            PresigningConfig::expires_in(ttl).map_err(|error| PutError::Unavailable(error.into()))?;
        // Signing is local, but fetching the credentials for it may not be.
        let request = tokio::time::timeout(self.shared.settings.call_timeout(), request.presigned(signing))
            .await
            .map_err(|elapsed| PutError::Unavailable(elapsed.into()))?
            .map_err(|error| PutError::Unavailable(error.into()))?;
        Ok(request.uri().to_owned())
    }

    pub(crate) async fn remove_key(&self, key: &str) -> Result<(), CallError> {
        let sending = self.shared.client.delete_object().bucket(&self.shared.settings.bucket).key(key).send();
        match call::run(self.shared.call("DeleteObject", Some(key)), sending).await {
            Err(error) if !error.is_missing() => Err(error),
            Ok(_) | Err(_) => Ok(()),
        }
    }
}

#[async_trait]
impl AssetStore for S3Store {
    /// See the port. After [`PutError::Unavailable`] of a call whose answer was lost, and only when the look-up that
    /// follows it is lost too, the complete and checked object may be visible; a repeated put overwrites it.
    async fn put(&self, object: NewObject, body: ByteStream) -> Result<StoredObject, PutError> {
        let key_prefix = object.key_prefix.clone();
        let mut intake = Intake::new(object, body, &self.shared.settings)?;
        let first = intake.next_part().await?;
        // An object that ends with its first part has a verdict even where it was too short for one before, or empty.
        let known = first.facts.as_ref().map(|facts| facts.content_type.as_str()).or(intake.content_type());
        let content_type = known.unwrap_or("application/octet-stream").to_owned();
        let key = format!("{key_prefix}.{}", extension_of(&content_type));
        let facts = match first.facts {
            Some(facts) => {
                self.put_whole(&key, first.bytes, &facts).await?;
                facts
            }
            None => self.put_in_parts(&key, &content_type, first, &mut intake).await?,
        };
        Ok(stored(key, content_type, facts))
    }

    async fn inspect(&self, object: NewObject, bytes: Bytes) -> Result<StoredObject, PutError> {
        look(object, &[&bytes], self.shared.settings.max_size_bytes)
    }

    async fn put_manifest(&self, asset: &Asset) -> Result<(), PutError> {
        let json = serde_json::to_vec(asset).map_err(|error| PutError::Unavailable(error.into()))?;
        let key = manifest_key(&asset.key);
        let sending = self
            .shared
            .client
            .put_object()
            .bucket(&self.shared.settings.bucket)
            .key(&key)
            .content_type("application/json")
            .body(json.into())
            .send();
        call::run(self.shared.call("PutObject", Some(&key)), sending).await?;
        Ok(())
    }

    async fn read(&self, key: &str, limit_bytes: u64) -> Result<Option<Bytes>, PutError> {
        let sending = self.shared.client.get_object().bucket(&self.shared.settings.bucket).key(key).send();
        let output = match call::run(self.shared.call("GetObject", Some(key)), sending).await {
            Err(error) if error.is_missing() => return Ok(None),
            other => other?,
        };
        let too_long =
            || PutError::Malformed { message: format!("the object is longer than {limit_bytes} bytes") };
        let announced = output.content_length().and_then(|length| u64::try_from(length).ok()).unwrap_or(0);
        if announced > limit_bytes {
            return Err(too_long());
        }
        let mut body = output.body;
        let mut bytes = BytesMut::new();
        let reading = async {
            while let Some(chunk) = body.next().await {
                let chunk = chunk.map_err(|error| PutError::Unavailable(error.into()))?;
                if (bytes.len() + chunk.len()) as u64 > limit_bytes {
                    return Err(too_long());
                }
                bytes.extend_from_slice(&chunk);
            }
            Ok(())
        };
        tokio::time::timeout(self.shared.settings.transfer_timeout(), reading)
            .await
            .map_err(|elapsed| PutError::Unavailable(elapsed.into()))??;
        Ok(Some(bytes.freeze()))
    }

    async fn open(
        &self,
        key: &str,
        range: Option<RangeInclusive<u64>>,
    ) -> Result<Option<OpenedObject>, PutError> {
        self.open_object(key, range).await
    }

    async fn remove(&self, key: &str) -> Result<(), PutError> {
        // The manifest goes last: as long as it is there, an index made from the store shows what is left to remove.
        self.remove_key(key).await?;
        Ok(self.remove_key(&manifest_key(key)).await?)
    }

    async fn signed_input_url(&self, key: &str, ttl: Duration) -> Result<String, PutError> {
        self.sign(self.signing.get_object().bucket(&self.shared.settings.bucket).key(key), ttl).await
    }

    async fn signed_url(&self, asset: &Asset, ttl: Duration) -> Result<String, PutError> {
        let request = self.signing.get_object().bucket(&self.shared.settings.bucket).key(&asset.key);
        self.sign(request.response_content_disposition(asset.content_disposition()), ttl).await
    }

    async fn ready(&self) -> Result<(), PutError> {
        Ok(self.head_bucket().await?)
    }
}

fn stored(key: String, content_type: String, facts: Facts) -> StoredObject {
    StoredObject { key, content_type, size_bytes: facts.size_bytes, sha256: facts.sha256, facts: facts.media }
}

/// What the bytes are, without storing them.
pub(crate) fn look(object: NewObject, pieces: &[&[u8]], limit_bytes: u64) -> Result<StoredObject, PutError> {
    let malformed = |message| PutError::Malformed { message };
    let key_prefix = object.key_prefix.clone();
    let mut inspector = Inspector::new(object, limit_bytes).map_err(malformed)?;
    for piece in pieces {
        inspector.feed(piece).map_err(malformed)?;
    }
    let facts = inspector.finish().map_err(malformed)?;
    let key = format!("{key_prefix}.{}", extension_of(&facts.content_type));
    Ok(stored(key, facts.content_type.clone(), facts))
}

/// A name for one writing attempt, to tell our object from an earlier one of the same key. Chance, but no secret.
fn attempt_name() -> String {
    format!("{:016x}{:016x}", RandomState::new().hash_one(0), RandomState::new().hash_one(1))
}
