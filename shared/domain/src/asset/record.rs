//! How an asset is written: one flat record, in JSON as a record and a manifest, and packed within the record of its job.
//! An upload has none of the fields that tell what made it; a record with only some of them is refused.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::{Map, Value};

use super::{Asset, MadeBy, MediaFacts};
use crate::Timestamp;
use crate::ids::{AssetId, JobId, WorkspaceId};
use crate::operation::{Operation, Provider};

#[derive(Serialize, Deserialize)]
struct Record<'a> {
    id: Cow<'a, AssetId>,
    workspace_id: Cow<'a, WorkspaceId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    job_id: Option<Cow<'a, JobId>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    index: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    operation: Option<Operation>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    provider: Option<Provider>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    model: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "is_empty")]
    metadata: Cow<'a, Map<String, Value>>,
    key: Cow<'a, str>,
    content_type: Cow<'a, str>,
    size_bytes: u64,
    sha256: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "is_unknown")]
    media: Cow<'a, MediaFacts>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    seed: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    revised_prompt: Option<Cow<'a, str>>,
    created_at: Timestamp,
}

fn is_empty(map: &Map<String, Value>) -> bool {
    map.is_empty()
}

fn is_unknown(media: &MediaFacts) -> bool {
    media.is_empty()
}

impl Serialize for Asset {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Taken apart whole: a new field does not compile until it has its place here.
        let Self {
            id,
            workspace_id,
            made_by,
            name,
            metadata,
            key,
            content_type,
            size_bytes,
            sha256,
            media,
            seed,
            revised_prompt,
            created_at,
        } = self;
        let made = made_by.as_ref();
        let record = Record {
            id: Cow::Borrowed(id),
            workspace_id: Cow::Borrowed(workspace_id),
            job_id: made.map(|made| Cow::Borrowed(&made.job_id)),
            index: made.map(|made| made.index),
            operation: made.map(|made| made.operation),
            provider: made.map(|made| made.provider),
            model: made.map(|made| Cow::Borrowed(made.model.as_str())),
            name: name.as_deref().map(Cow::Borrowed),
            metadata: Cow::Borrowed(metadata),
            key: Cow::Borrowed(key),
            content_type: Cow::Borrowed(content_type),
            size_bytes: *size_bytes,
            sha256: Cow::Borrowed(sha256),
            media: Cow::Borrowed(media),
            seed: *seed,
            revised_prompt: revised_prompt.as_deref().map(Cow::Borrowed),
            created_at: *created_at,
        };
        record.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Asset {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let record = Record::<'static>::deserialize(deserializer)?;
        let made_by = match (record.job_id, record.index, record.operation, record.provider, record.model) {
            (None, None, None, None, None) => None,
            (Some(job_id), Some(index), Some(operation), Some(provider), Some(model)) => Some(MadeBy {
                job_id: job_id.into_owned(),
                index,
                operation,
                provider,
                model: model.into_owned(),
            }),
            _ => return Err(de::Error::custom("an asset tells only in part what made it")),
        };
        Ok(Self {
            id: record.id.into_owned(),
            workspace_id: record.workspace_id.into_owned(),
            made_by,
            name: record.name.map(Cow::into_owned),
            metadata: record.metadata.into_owned(),
            key: record.key.into_owned(),
            content_type: record.content_type.into_owned(),
            size_bytes: record.size_bytes,
            sha256: record.sha256.into_owned(),
            media: record.media.into_owned(),
            seed: record.seed,
            revised_prompt: record.revised_prompt.map(Cow::into_owned),
            created_at: record.created_at,
        })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// As the version before uploads wrote it.
    const OLD: &str = r#"{"id":"0ujtsYcgvSTl8PAuAdqWYSMnLOv","workspace_id":"acme","job_id":"0ujtsYcgvSTl8PAuAdqWYSMnLOv","index":1,"operation":"video_gen","provider":"luma","model":"ray-2","key":"acme/2026/11/22/0ujtsYcgvSTl8PAuAdqWYSMnLOv/1.mp4","content_type":"video/mp4","size_bytes":7,"sha256":"ab","media":{"width":16,"height":9},"seed":3,"created_at":"2026-11-22T10:00:00Z"}"#;

    pub fn made(job: &JobId) -> Asset {
        Asset {
            id: "0ujtsYcgvSTl8PAuAdqWYSMnLOv".parse().unwrap(),
            workspace_id: "acme".parse().unwrap(),
            made_by: Some(MadeBy {
                job_id: job.clone(),
                index: 1,
                operation: Operation::VideoGen,
                provider: Provider::Luma,
                model: "ray-2".to_owned(),
            }),
            name: None,
            metadata: Map::new(),
            key: format!("acme/2026/11/22/{job}/1.mp4"),
            content_type: "video/mp4".to_owned(),
            size_bytes: 7,
            sha256: "ab".to_owned(),
            media: MediaFacts { width: Some(16), height: Some(9), ..MediaFacts::default() },
            seed: Some(3),
            revised_prompt: None,
            created_at: "2026-11-22T10:00:00Z".parse().unwrap(),
        }
    }

    #[test]
    fn what_an_older_version_wrote_is_read_and_written_as_before() {
        let job = "0ujtsYcgvSTl8PAuAdqWYSMnLOv".parse().unwrap();
        let asset: Asset = serde_json::from_str(OLD).unwrap();
        assert_eq!(asset, made(&job));
        assert_eq!(serde_json::to_string(&asset).unwrap(), OLD);
    }

    #[test]
    fn an_upload_says_that_no_job_made_it() {
        let job = "0ujtsYcgvSTl8PAuAdqWYSMnLOv".parse().unwrap();
        let metadata = serde_json::from_str(r#"{"shelf": 7}"#).unwrap();
        let upload = Asset { made_by: None, name: Some("a.mp4".to_owned()), metadata, ..made(&job) };
        let text = serde_json::to_string(&upload).unwrap();
        for name in ["job_id", "index", "operation", "provider", "model"] {
            assert!(!text.contains(name), "{text}");
        }
        assert_eq!(serde_json::from_str::<Asset>(&text).unwrap(), upload);
    }

    #[test]
    fn a_record_with_half_a_maker_is_no_upload() {
        let half = OLD.replace(r#""provider":"luma","#, "");
        assert!(serde_json::from_str::<Asset>(&half).unwrap_err().to_string().contains("in part"));
        let unknown = OLD.replace("luma", "someone");
        assert!(serde_json::from_str::<Asset>(&unknown).is_err());
    }
}
