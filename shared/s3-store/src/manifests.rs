//! Walks over manifests: the records of assets can be made again from them.

use std::collections::BTreeSet;

use async_trait::async_trait;
use atelier_domain::asset::{Asset, ObjectKey, object_of_manifest};
use atelier_domain::ids::WorkspaceId;
use atelier_domain::ports::{AssetManifests, AssetStore as _, Manifests, PutError};
use aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Output;
use futures::{StreamExt, TryStreamExt, stream};

use crate::call;
use crate::store::S3Store;

/// Manifests read at the same time.
const AT_ONCE: usize = 8;
/// A manifest has some hundred bytes, and the caller's own facts of at most 16 KiB.
const LARGEST_BYTES: u64 = 256 * 1024;

impl S3Store {
    /// Up to a thousand objects after a key, in the order of keys.
    pub(crate) async fn list(
        &self,
        prefix: Option<&str>,
        after: &str,
    ) -> Result<ListObjectsV2Output, PutError> {
        let sending = self
            .shared
            .client
            .list_objects_v2()
            .bucket(&self.shared.settings.bucket)
            .set_prefix(prefix.map(str::to_owned))
            .set_start_after((!after.is_empty()).then(|| after.to_owned()))
            .send();
        Ok(call::run(self.shared.call("ListObjectsV2", None), sending).await?)
    }

    /// A manifest's key, and what it tells: `None` where it cannot be read, or tells of another object.
    async fn manifest(&self, key: String, object: String) -> Result<(String, Option<Asset>), PutError> {
        let bytes = match self.read(&key, LARGEST_BYTES).await {
            Ok(Some(bytes)) => bytes,
            // Too long to be one, or removed meanwhile.
            Ok(None) | Err(PutError::Malformed { .. }) => return Ok((key, None)),
            Err(other) => return Err(other),
        };
        let asset = serde_json::from_slice::<Asset>(&bytes).ok().filter(|asset| {
            let told = ObjectKey::Asset { workspace: asset.workspace_id.clone(), id: asset.id.clone() };
            asset.key == object && ObjectKey::parse(&object) == Some(told)
        });
        Ok((key, asset))
    }
}

#[async_trait]
impl AssetManifests for S3Store {
    /// See the port. One call lists up to a thousand objects, half of them manifests.
    async fn manifests(&self, workspace: Option<&WorkspaceId>, after: &str) -> Result<Manifests, PutError> {
        let prefix = workspace.map(|workspace| format!("{workspace}/"));
        let listed = self.list(prefix.as_deref(), after).await?;
        let keys: BTreeSet<&str> = listed.contents().iter().filter_map(|object| object.key()).collect();
        // An object stands before its manifest: perhaps it was the last one of the piece before.
        let is_there = |object: &str| keys.contains(object) || object == after;
        let mut found = Manifests::default();
        let mut whole = Vec::new();
        for key in &keys {
            let Some(object) = object_of_manifest(key) else { continue };
            if !matches!(ObjectKey::parse(key), Some(ObjectKey::Asset { .. })) {
                continue;
            }
            if is_there(object) {
                whole.push(((*key).to_owned(), object.to_owned()));
            } else {
                found.orphans += 1;
            }
        }
        let reading = stream::iter(whole).map(|(key, object)| self.manifest(key, object)).buffered(AT_ONCE);
        let read: Vec<(String, Option<Asset>)> = reading.try_collect().await?;
        for (key, asset) in read {
            match asset {
                Some(asset) => found.assets.push(asset),
                None => found.unreadable.push(key),
            }
        }
        let has_more = listed.is_truncated().unwrap_or(false);
        found.next = keys.last().filter(|_| has_more).map(|key| (*key).to_owned());
        Ok(found)
    }
}
