//! Files that callers upload to use them as inputs.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::refusal::Refusal;
use super::time;
use crate::answer::Answer;
use crate::call::Call;
use crate::hex::hex;
use crate::state::State;

/// How long a file is kept.
const LIFETIME: SignedDuration = SignedDuration::from_hours(24);
/// Bounds of the store; the oldest files are forgotten first.
const MOST_FILES: usize = 1000;
const MOST_BYTES: usize = 256 << 20;
/// What follows the simulator's address in the URL of a file.
const PATH: &str = "/replicate/v1/files/";

/// The uploaded files, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Uploads {
    files: Mutex<VecDeque<Upload>>,
}

#[derive(Debug, Clone)]
struct Upload {
    id: String,
    name: String,
    content_type: String,
    bytes: Bytes,
    metadata: Value,
    created_at: Timestamp,
}

impl Uploads {
    fn add(&self, upload: Upload) {
        let mut files = self.lock();
        files.push_back(upload);
        while files.len() > MOST_FILES
            || files.iter().map(|file| file.bytes.len()).sum::<usize>() > MOST_BYTES
        {
            files.pop_front();
        }
    }

    fn get(&self, id: &str) -> Option<Upload> {
        self.lock().iter().find(|file| file.id == id && file.is_kept()).cloned()
    }

    /// Whether a file was there to be removed.
    fn remove(&self, id: &str) -> bool {
        let mut files = self.lock();
        let before = files.len();
        files.retain(|file| file.id != id);
        files.len() < before
    }

    fn newest_first(&self) -> Vec<Upload> {
        self.lock().iter().rev().filter(|file| file.is_kept()).cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Upload>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Upload {
    fn is_kept(&self) -> bool {
        Timestamp::now().duration_since(self.created_at) < LIFETIME
    }

    fn describe(&self, origin: &str) -> Value {
        let digest = hex(Sha256::digest(&self.bytes));
        json!({
            "id": self.id,
            "name": self.name,
            "content_type": self.content_type,
            "size": self.bytes.len(),
            "etag": digest,
            "checksums": {"sha256": digest},
            "metadata": self.metadata,
            "created_at": time(self.created_at),
            "expires_at": self.created_at.checked_add(LIFETIME).ok().map(time),
            "urls": {"get": format!("{origin}{PATH}{}", self.id)},
        })
    }
}

/// Takes a form with the part `content` and perhaps `filename`, `type` and `metadata`.
pub(crate) fn create(call: &Call, state: &State) -> Answer {
    let parts = call.form().unwrap_or_default();
    let part = |name: &str| parts.iter().find(|part| part.name == name);
    let text = |name: &str| part(name).and_then(|part| part.text()).map(str::to_owned);
    let Some(content) = part("content") else {
        return Refusal::field("required", "", "content is required").answer();
    };
    let metadata = match text("metadata").map(|text| serde_json::from_str(&text)) {
        None => json!({}),
        Some(Ok(Value::Object(metadata))) => Value::Object(metadata),
        Some(_) => {
            return Refusal::field("invalid_type", "metadata", "Invalid type. Expected: object").answer();
        }
    };
    // What is said beside the content is more telling than what a client puts there by itself.
    let named = text("filename").or_else(|| content.file_name.clone());
    let typed = text("type").or_else(|| content.content_type.clone());
    let upload = Upload {
        id: URL_SAFE_NO_PAD.encode(state.new_id()),
        name: named.unwrap_or_else(|| "file".to_owned()),
        content_type: typed.unwrap_or_else(|| "application/octet-stream".to_owned()),
        bytes: content.bytes.clone(),
        metadata,
        created_at: Timestamp::now(),
    };
    let body = upload.describe(&call.origin);
    state.replicate_uploads.add(upload);
    Answer::json(201, body)
}

pub(crate) fn list(call: &Call, state: &State) -> Answer {
    let files: Vec<Value> =
        state.replicate_uploads.newest_first().iter().map(|upload| upload.describe(&call.origin)).collect();
    Answer::json(200, json!({"previous": null, "next": null, "results": files}))
}

pub(crate) fn get(call: &Call, state: &State, id: &str) -> Answer {
    match state.replicate_uploads.get(id) {
        Some(upload) => Answer::json(200, upload.describe(&call.origin)),
        None => Refusal::NotFound.answer(),
    }
}

pub(crate) fn delete(state: &State, id: &str) -> Answer {
    if state.replicate_uploads.remove(id) { Answer::empty(204) } else { Refusal::NotFound.answer() }
}

/// The bytes. The provider wants a signature in the query, which stands for the key that was checked already.
pub(crate) fn download(state: &State, id: &str) -> Answer {
    match state.replicate_uploads.get(id) {
        Some(upload) => Answer::raw(known_type(&upload.content_type), upload.bytes),
        None => Refusal::NotFound.answer(),
    }
}

/// An input that names an uploaded file which is not there.
pub(crate) fn missing_input(input: &Value, state: &State) -> Option<String> {
    let uris = input.as_object()?.values().filter_map(Value::as_str);
    let mut ids = uris.filter_map(|uri| Some((uri, uri.split_once(PATH)?.1.split(['/', '?']).next()?)));
    let (uri, _) = ids.find(|(_, id)| state.replicate_uploads.get(id).is_none())?;
    Some(format!("Failed to download the input {uri}: 404 Not Found"))
}

fn known_type(content_type: &str) -> &'static str {
    const KNOWN: [&str; 6] =
        ["image/png", "image/jpeg", "image/webp", "image/gif", "video/mp4", "text/plain"];
    KNOWN.into_iter().find(|known| *known == content_type).unwrap_or("application/octet-stream")
}
