//! Stored media and its facts.

mod record;

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::ids::{AssetId, JobId, WorkspaceId};
use crate::operation::{AssetKind, MediaKind, Operation, Provider};
use crate::{Date, Timestamp};

/// What the bytes of a file tell about themselves. Each fact is absent where the format does not tell it, or is not one
/// that is read here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MediaFacts {
    /// Pixels, as shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    /// Pixels, as shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
    /// Length of sound or video in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// Of the picture where there is one, else of the sound: `h264`, `hevc`, `av1`, `vp9`, `aac`, `mp3`, `opus`, `flac`,
    /// `pcm_s16le`, `png`, `jpeg`, `webp`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub codec: Option<String>,
}

/// Stored bytes plus facts. The same JSON is the record in Redis and the manifest beside the object, so that the
/// index of assets can be rebuilt from the store alone; see `record` for its form.
#[derive(Debug, Clone, PartialEq)]
pub struct Asset {
    /// See [`AssetId::of`]; that of an upload is made from nothing.
    pub id: AssetId,
    /// Owner.
    pub workspace_id: WorkspaceId,
    /// What made it; `None` for a file that a caller uploaded.
    pub made_by: Option<MadeBy>,
    /// What the caller calls it.
    pub name: Option<String>,
    /// The caller's own facts.
    pub metadata: Map<String, Value>,
    /// Object key in the bucket.
    pub key: String,
    /// From the bytes where they can be told, else from the claim.
    pub content_type: String,
    /// Length in bytes.
    pub size_bytes: u64,
    /// Hex digest of the bytes.
    pub sha256: String,
    /// What the bytes tell about themselves.
    pub media: MediaFacts,
    /// The seed the provider reports.
    pub seed: Option<u64>,
    /// The prompt as the provider rewrote it.
    pub revised_prompt: Option<String>,
    /// When the bytes were stored.
    pub created_at: Timestamp,
}

/// The job that made an asset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MadeBy {
    /// Which job.
    pub job_id: JobId,
    /// Position among the job's outputs, from 0.
    pub index: u16,
    /// What the job did.
    pub operation: Operation,
    /// At which provider.
    pub provider: Provider,
    /// With which model.
    pub model: String,
}

impl MediaFacts {
    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Asset {
    /// What sort of file it is: by the operation that made it, else by its type.
    pub fn kind(&self) -> AssetKind {
        match self.made_by.as_ref().map(|made| (made.operation, made.operation.media_kind())) {
            // A transcript is the text of a sound.
            Some((Operation::Stt, _)) => AssetKind::Text,
            Some((_, MediaKind::Speech)) => AssetKind::Audio,
            Some((_, MediaKind::Image)) => AssetKind::Image,
            Some((_, MediaKind::Video)) => AssetKind::Video,
            // An upload is an image, a sound or a video.
            None => match essence(&self.content_type).split('/').next() {
                Some("image") => AssetKind::Image,
                Some("video") => AssetKind::Video,
                _ => AssetKind::Audio,
            },
        }
    }

    /// What a download is called: the caller's name for it, else one of its own.
    pub fn file_name(&self) -> String {
        let extension = extension_of(&self.content_type);
        match (&self.name, &self.made_by) {
            (Some(name), _) => name.clone(),
            (None, Some(made)) => format!("{}-{}.{extension}", made.job_id, made.index),
            (None, None) => format!("{}.{extension}", self.id),
        }
    }

    /// The header `Content-Disposition` of a download. A browser keeps it under its name and does not show it: no file
    /// of a caller is to become a page of ours.
    pub fn content_disposition(&self) -> String {
        let name = self.file_name();
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | ' ');
        let plain: String = name.chars().map(|c| if is_plain(c) { c } else { '_' }).collect();
        if plain == name {
            return format!("attachment; filename=\"{plain}\"");
        }
        format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{}", encoded(&name))
    }
}

/// As RFC 8187 writes what is not plain ASCII.
fn encoded(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-') {
            text.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

/// `workspace/yyyy/mm/dd/job/index`, to which the store adds the extension that the bytes have. The same job and index
/// give the same key (INV-5), so the day is that of the job's admission, never that of the delivery.
pub fn object_key_prefix(workspace: &WorkspaceId, admitted: Timestamp, job: &JobId, index: u16) -> String {
    let day = admitted.strftime("%Y/%m/%d");
    format!("{workspace}/{day}/{job}/{index}")
}

/// `inputs/workspace/yyyy/mm/dd/sha256`: where bytes that came with a request are kept for the job. The same bytes on
/// the same day are one object, so that a repeated request leaves nothing behind. The first part lets a lifecycle rule
/// of the bucket remove old inputs.
pub fn staged_key_prefix(workspace: &WorkspaceId, received: Timestamp, sha256: &str) -> String {
    let day = received.strftime("%Y/%m/%d");
    format!("inputs/{workspace}/{day}/{sha256}")
}

/// `workspace/yyyy/mm/dd/upload/asset`, to which the store adds the extension: where a file that a caller uploaded is
/// kept. It stands among the assets of its workspace, as no job has the id `upload`.
pub fn upload_key_prefix(workspace: &WorkspaceId, uploaded: Timestamp, id: &AssetId) -> String {
    let day = uploaded.strftime("%Y/%m/%d");
    format!("{workspace}/{day}/{UPLOAD}/{id}")
}

/// Stands in the place of a job.
const UPLOAD: &str = "upload";

/// What a key of our layout names. A bucket may hold other keys; none of them is one of these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ObjectKey {
    /// An asset or its manifest, under [`object_key_prefix`] or [`upload_key_prefix`].
    Asset {
        /// Whose it is.
        workspace: WorkspaceId,
        /// Which one.
        id: AssetId,
    },
    /// Bytes that came with a request, under [`staged_key_prefix`].
    Input {
        /// Whose they are.
        workspace: WorkspaceId,
    },
}

impl ObjectKey {
    /// What this key names; `None` for a key that nothing here makes.
    pub fn parse(key: &str) -> Option<Self> {
        day_of_key(key)?;
        let parts: Vec<&str> = key.split('/').collect();
        let [first, second, _, _, fifth, file] = parts[..] else { return None };
        let (name, extension) = file.split_once('.')?;
        let is_digest = name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
        if first == "inputs" && is_digest && is_extension(extension) {
            return Some(Self::Input { workspace: second.parse().ok()? });
        }
        let id = match fifth {
            UPLOAD => name.parse().ok()?,
            job => AssetId::of(&job.parse().ok()?, name.parse().ok()?),
        };
        let extension = extension.strip_suffix(".json").unwrap_or(extension);
        is_extension(extension).then_some(())?;
        Some(Self::Asset { workspace: first.parse().ok()?, id })
    }

    /// What all keys of the same kind and workspace begin with; a year follows.
    pub fn root(&self) -> String {
        match self {
            Self::Asset { workspace, .. } => format!("{workspace}/"),
            Self::Input { workspace } => format!("inputs/{workspace}/"),
        }
    }
}

/// The day in a key of our layout.
pub fn day_of_key(key: &str) -> Option<Date> {
    let parts: Vec<&str> = key.split('/').collect();
    let day = |year: &str, month: &str, day: &str| {
        let is_padded = year.len() == 4 && month.len() == 2 && day.len() == 2;
        is_padded
            .then(|| Date::new(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?).ok())
            .flatten()
    };
    match parts[..] {
        ["inputs", _, year, month, of_month, _] if year.len() == 4 => day(year, month, of_month),
        [_, year, month, of_month, _, _] => day(year, month, of_month),
        _ => None,
    }
}

fn is_extension(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// Key of the manifest beside an object.
pub fn manifest_key(object_key: &str) -> String {
    format!("{object_key}.json")
}

/// The object beside which this manifest stands; `None` for a key that is no manifest: `0.mp4.json`, and not `1.json`.
pub fn object_of_manifest(key: &str) -> Option<&str> {
    let object = key.strip_suffix(".json")?;
    object.rsplit('/').next().is_some_and(|file| file.contains('.')).then_some(object)
}

/// The usual file extension of a content type; `bin` when unknown.
pub fn extension_of(content_type: &str) -> &'static str {
    match essence(content_type).as_str() {
        "audio/mpeg" | "audio/mp3" => "mp3",
        "audio/wav" | "audio/x-wav" | "audio/wave" => "wav",
        "audio/ogg" | "audio/opus" => "ogg",
        "audio/flac" | "audio/x-flac" => "flac",
        "audio/aac" => "aac",
        "audio/mp4" | "audio/x-m4a" => "m4a",
        "audio/webm" | "video/webm" => "webm",
        "audio/basic" | "audio/x-mulaw" => "ulaw",
        "audio/x-alaw-basic" | "audio/x-alaw" => "alaw",
        "audio/pcm" | "audio/l16" => "pcm",
        "image/png" => "png",
        "image/jpeg" => "jpg",
        "image/webp" => "webp",
        "image/gif" => "gif",
        "image/avif" => "avif",
        "video/mp4" => "mp4",
        "video/quicktime" => "mov",
        "application/json" => "json",
        "text/plain" => "txt",
        _ => "bin",
    }
}

/// A content type without its parameters, in lower case.
pub fn essence(content_type: &str) -> String {
    content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inv5_the_key_depends_on_admission_not_on_delivery() {
        let job: JobId = "0ujtsYcgvSTl8PAuAdqWYSMnLOv".parse().unwrap();
        let workspace: WorkspaceId = "acme".parse().unwrap();
        let admitted: Timestamp = "2026-11-22T23:59:59Z".parse().unwrap();
        let prefix = object_key_prefix(&workspace, admitted, &job, 2);
        assert_eq!(prefix, "acme/2026/11/22/0ujtsYcgvSTl8PAuAdqWYSMnLOv/2");
        assert_eq!(manifest_key("acme/x/2.png"), "acme/x/2.png.json");
    }

    #[test]
    fn keys_of_the_layout_are_told_from_any_other() {
        let made = |workspace: &str, index| ObjectKey::Asset {
            workspace: workspace.parse().unwrap(),
            id: AssetId::of(&"0ujtsYcgvSTl8PAuAdqWYSMnLOv".parse().unwrap(), index),
        };
        let digest = "ab".repeat(32);
        let job = "0ujtsYcgvSTl8PAuAdqWYSMnLOv";
        let upload: AssetId = "0ujssxh0cECutqzMgbtXSGnjorm".parse().unwrap();
        for (key, expected) in [
            (format!("acme/2026/11/22/{job}/0.mp4"), Some(made("acme", 0))),
            (format!("acme/2026/11/22/{job}/1.json.json"), Some(made("acme", 1))),
            (
                format!("acme/2026/11/22/upload/{upload}.png"),
                Some(ObjectKey::Asset { workspace: "acme".parse().unwrap(), id: upload.clone() }),
            ),
            (
                format!("acme/2026/11/22/upload/{upload}.png.json"),
                Some(ObjectKey::Asset { workspace: "acme".parse().unwrap(), id: upload.clone() }),
            ),
            ("acme/2026/11/22/upload/0.png".to_owned(), None),
            (format!("acme/2026/11/22/{job}/{upload}.png"), None),
            (
                format!("inputs/acme/2026/11/22/{digest}.png"),
                Some(ObjectKey::Input { workspace: "acme".parse().unwrap() }),
            ),
            // A workspace may have that name.
            (format!("inputs/2026/11/22/{job}/0.mp4"), Some(made("inputs", 0))),
            (format!("acme/2026/13/22/{job}/0.mp4"), None),
            (format!("acme/2026/1/22/{job}/0.mp4"), None),
            (format!("Acme/2026/11/22/{job}/0.mp4"), None),
            (format!("acme/2026/11/22/{job}/0.mp4.bak"), None),
            (format!("acme/2026/11/22/{job}/x.mp4"), None),
            (format!("acme/2026/11/22/{job}/0"), None),
            (format!("acme/2026/11/22/{job}/0.mp4/more"), None),
            (format!("other/acme/2026/11/22/{digest}.png"), None),
            ("acme/2026/11/22/notes/0.mp4".to_owned(), None),
            ("inputs/acme/2026/11/22/photo.png".to_owned(), None),
            ("backups/dump.rdb".to_owned(), None),
        ] {
            assert_eq!(ObjectKey::parse(&key), expected, "{key}");
        }
    }

    #[test]
    fn manifests_are_told_from_transcripts() {
        assert_eq!(object_of_manifest("a/0.mp4.json"), Some("a/0.mp4"));
        assert_eq!(object_of_manifest("a/1.json.json"), Some("a/1.json"));
        assert_eq!(object_of_manifest("a/1.json"), None);
        assert_eq!(object_of_manifest("a.b/1.json"), None);
        assert_eq!(object_of_manifest("a/0.mp4"), None);
    }

    #[test]
    fn a_name_cannot_break_out_of_its_header() {
        let job: JobId = "0ujtsYcgvSTl8PAuAdqWYSMnLOv".parse().unwrap();
        let named = |name: Option<&str>| {
            let asset = Asset { name: name.map(str::to_owned), ..record::tests::made(&job) };
            asset.content_disposition()
        };
        assert_eq!(named(None), "attachment; filename=\"0ujtsYcgvSTl8PAuAdqWYSMnLOv-1.mp4\"");
        assert_eq!(named(Some("my photo.png")), "attachment; filename=\"my photo.png\"");
        assert_eq!(
            named(Some("a\"; x=\"b\r\n\u{e4}.png")),
            "attachment; filename=\"a__ x__b___.png\"; filename*=UTF-8''a%22%3B%20x%3D%22b%0D%0A%C3%A4.png"
        );
    }

    #[test]
    fn parameters_do_not_change_the_extension() {
        assert_eq!(extension_of("Audio/MPEG; charset=binary"), "mp3");
        assert_eq!(extension_of("application/x-unknown"), "bin");
    }
}
