//! Housekeeping: objects that are older than they are kept, and uploads that killed processes left open.
//!
//! Everything is found by our own layout of keys; a key of any other form is passed over, whatever it is. The day in a
//! key, that of the admission or the request, only tells what need not be looked at: a job may be stored a month after
//! its admission. What decides is when the object was written.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_trait::async_trait;
use atelier_domain::asset::{ObjectKey, day_of_key, object_of_manifest};
use atelier_domain::costs::day_of;
use atelier_domain::ids::{AssetId, WorkspaceId};
use atelier_domain::ports::{Aborted, AssetRecords, AssetUpkeep, PutError, Swept, UploadMark};
use atelier_domain::{Date, Timestamp};
use aws_sdk_s3::primitives::DateTime;
use futures::{StreamExt, TryStreamExt, stream};

use crate::call;
use crate::settings::S3Settings;
use crate::store::S3Store;
use crate::upload::{Abort, abort_once};

/// Objects removed at the same time.
const AT_ONCE: usize = 8;
/// What no upload takes.
const STALE_AFTER: Duration = Duration::from_secs(24 * 3600);
/// Where inputs are.
const INPUTS: &str = "inputs/";

/// Since when objects are too old; absent where they are kept for ever.
struct Limits {
    assets: Option<Timestamp>,
    /// Of workspaces that have a limit of their own.
    assets_by_workspace: BTreeMap<WorkspaceId, Option<Timestamp>>,
    inputs: Option<Timestamp>,
}

impl Limits {
    fn at(now: Timestamp, settings: &S3Settings) -> Self {
        let before = |days: u32| (days > 0).then(|| now - Duration::from_secs(u64::from(days) * 24 * 3600));
        let of_workspace = settings.assets_retention_by_workspace.iter();
        Self {
            assets: before(settings.assets_retention_days),
            assets_by_workspace: of_workspace.map(|(name, days)| (name.clone(), before(*days))).collect(),
            inputs: before(settings.inputs_retention_days),
        }
    }

    fn of(&self, key: &ObjectKey) -> Option<Timestamp> {
        match key {
            ObjectKey::Asset { workspace, .. } => {
                self.assets_by_workspace.get(workspace).copied().unwrap_or(self.assets)
            }
            ObjectKey::Input { .. } => self.inputs,
        }
    }

    /// Whether assets of any workspace can be too old.
    fn concern_assets(&self) -> bool {
        self.assets.is_some() || self.assets_by_workspace.values().any(Option::is_some)
    }

    /// Whether nothing that was admitted on this day can be too old.
    fn is_young(&self, key: &ObjectKey, day: Date) -> bool {
        self.of(key).is_none_or(|limit| day > day_of(limit))
    }
}

#[async_trait]
impl AssetUpkeep for S3Store {
    /// See the port. One call lists up to a thousand objects.
    async fn remove_expired(
        &self,
        after: &str,
        now: Timestamp,
        records: &dyn AssetRecords,
    ) -> Result<Swept, PutError> {
        let limits = Limits::at(now, &self.shared.settings);
        let prefix = match (limits.concern_assets(), limits.inputs) {
            (false, None) => return Ok(Swept::default()),
            (false, Some(_)) => Some(INPUTS),
            (true, _) => None,
        };
        let listed = self.list(prefix, after).await?;
        let mut expired: Vec<String> = Vec::new();
        let mut forgotten: BTreeMap<WorkspaceId, BTreeSet<AssetId>> = BTreeMap::new();
        let mut swept = Swept::default();
        let mut last = None;
        for object in listed.contents() {
            let (Some(key), Some(written)) = (object.key(), object.last_modified()) else { continue };
            swept.seen += 1;
            last = Some(key);
            let Some(parsed) = ObjectKey::parse(key) else { continue };
            if limits.of(&parsed).is_some_and(|limit| is_before(written, limit)) {
                expired.push(key.to_owned());
                if let ObjectKey::Asset { workspace, id } = parsed {
                    forgotten.entry(workspace).or_default().insert(id);
                }
            }
        }
        for (workspace, ids) in forgotten {
            let ids: Vec<AssetId> = ids.into_iter().collect();
            let forgetting = records.forget(&workspace, &ids).await;
            forgetting.map_err(|error| PutError::Unavailable(error.into()))?;
        }
        // A manifest goes after what it tells about: until then an index made from the store shows what is left.
        let (manifests, objects): (Vec<String>, Vec<String>) =
            expired.into_iter().partition(|key| object_of_manifest(key).is_some());
        for keys in [objects, manifests] {
            swept.removed += keys.len() as u64;
            stream::iter(keys)
                .map(|key| async move { self.remove_key(&key).await })
                .buffer_unordered(AT_ONCE)
                .try_collect::<Vec<()>>()
                .await?;
        }
        let is_last = !listed.is_truncated().unwrap_or(false);
        swept.next = last.filter(|_| !is_last).map(|key| next_place(key, &limits));
        Ok(swept)
    }

    async fn abort_stale_uploads(
        &self,
        after: Option<&UploadMark>,
        now: Timestamp,
    ) -> Result<Aborted, PutError> {
        let sending = self
            .shared
            .client
            .list_multipart_uploads()
            .bucket(&self.shared.settings.bucket)
            .set_key_marker(after.map(|mark| mark.key.clone()))
            .set_upload_id_marker(after.map(|mark| mark.upload_id.clone()))
            .send();
        let listed = match call::run(self.shared.call("ListMultipartUploads", None), sending).await {
            Err(error) if error.has_status(501) => return Ok(Aborted::Unsupported),
            other => other?,
        };
        let mut aborted = 0;
        for upload in listed.uploads() {
            let (Some(key), Some(id), Some(begun)) = (upload.key(), upload.upload_id(), upload.initiated())
            else {
                continue;
            };
            if ObjectKey::parse(key).is_none() || !is_before(begun, now - STALE_AFTER) {
                continue;
            }
            match abort_once(&self.shared, key, id).await? {
                Abort::Done => aborted += 1,
                Abort::Gone => {}
            }
        }
        let next = listed.is_truncated().unwrap_or(false).then(|| {
            let key = listed.next_key_marker().unwrap_or_default().to_owned();
            UploadMark { key, upload_id: listed.next_upload_id_marker().unwrap_or_default().to_owned() }
        });
        Ok(Aborted::Some { aborted, next })
    }
}

fn is_before(time: &DateTime, limit: Timestamp) -> bool {
    time.secs() < limit.as_second()
}

/// After which key the walk goes on when this was the last one of a list. Keys are in order, so that all days of a
/// workspace after one that is young are young, too: they are passed over. They begin with a digit, and `:` follows 9.
fn next_place(last: &str, limits: &Limits) -> String {
    match ObjectKey::parse(last).and_then(|key| Some((day_of_key(last)?, key))) {
        // A workspace may be called as the inputs are.
        Some((day, key)) if limits.is_young(&key, day) && key.root() != INPUTS => format!("{}:", key.root()),
        Some(_) | None => last.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JOB: &str = "0ujtsYcgvSTl8PAuAdqWYSMnLOv";

    #[test]
    fn young_days_are_passed_over_and_nothing_else() {
        let limit: Timestamp = "2026-11-10T12:00:00Z".parse().unwrap();
        let assets_by_workspace = BTreeMap::from([("beta".parse().unwrap(), None)]);
        let limits = Limits { assets: Some(limit), assets_by_workspace, inputs: None };
        for (last, next) in [
            (format!("acme/2026/11/09/{JOB}/0.mp4"), None),
            (format!("acme/2026/11/10/{JOB}/0.mp4"), None),
            (format!("acme/2026/11/11/{JOB}/0.mp4"), Some("acme/:")),
            (format!("acme/2027/01/01/{JOB}/0.mp4"), Some("acme/:")),
            (format!("beta/2020/01/01/{JOB}/0.mp4"), Some("beta/:")),
            (format!("inputs/acme/2020/01/01/{}.png", "ab".repeat(32)), Some("inputs/acme/:")),
            (format!("inputs/2026/11/11/{JOB}/0.mp4"), None),
            ("backups/2020/01/01/ab.png".to_owned(), None),
        ] {
            assert_eq!(next_place(&last, &limits), next.unwrap_or(&last), "{last}");
        }
    }
}
