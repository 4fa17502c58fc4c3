//! Fal's storage and its CDN: uploads by either way, and the files they leave.
//!
//! | fact | value | kind |
//! |---|---|---|
//! | initiate | `{upload_url, file_url}`; then `PUT` without a key | documented |
//! | CDN token | `{token, token_type, base_url, expires_at}`; then `POST /files/upload` | documented |
//! | a file that was announced and not sent | 404 | assumed |
//! | wrong token at the CDN | 401 | assumed |

use http::{HeaderValue, Method};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::answer::Answer;
use crate::call::{Account, Call};
use crate::fal::input::detail;
use crate::fal::submit::invalid;
use crate::fal::uploads::Upload;
use crate::fal::{hook, refused_account, text};
use crate::hex::hex;
use crate::state::State;

/// How long a CDN token lives.
const TOKEN_LIFE: SignedDuration = SignedDuration::from_hours(1);
const STORAGE_TYPES: [&str; 2] = ["fal-cdn-v3", "gcs"];
/// First parts of the paths that are answered here.
pub(super) const ROOTS: [&str; 3] = ["storage", "files", ".well-known"];

pub(super) fn answer(call: &Call, state: &State) -> Answer {
    match (&call.method, call.parts().as_slice()) {
        (&Method::POST, ["storage", "upload", "initiate"]) => with_key(call, || initiate(call, state)),
        (&Method::POST, ["storage", "auth", "token"]) => with_key(call, || token(call, state)),
        // The URL is the permission, as that of a signed one.
        (&Method::PUT, ["storage", "upload", id]) => put(call, state, id),
        (&Method::POST, ["files", "upload"]) => upload(call, state),
        (&Method::GET | &Method::HEAD, ["files", id, name]) => file(state, id, name),
        (&Method::GET, [".well-known", "jwks.json"]) => Answer::json(200, hook::key_set(state)),
        _ => text(404, "Not Found"),
    }
}

fn with_key(call: &Call, answer: impl FnOnce() -> Answer) -> Answer {
    let refused = refused_account(Account::of_authorization(call, "Key"));
    refused.or_else(|| refused_storage_type(call)).unwrap_or_else(answer)
}

fn refused_storage_type(call: &Call) -> Option<Answer> {
    let kind = call.query("storage_type").filter(|kind| !STORAGE_TYPES.contains(kind))?;
    let place = json!(["query", "storage_type"]);
    Some(invalid(vec![detail(place, "Input should be a known storage", "enum", &kind.into())]))
}

fn initiate(call: &Call, state: &State) -> Answer {
    let body = call.json().unwrap_or_default();
    let mut wrong = Vec::new();
    let mut needed = |name: &str| match body.get(name).and_then(Value::as_str) {
        Some(text) => text.to_owned(),
        None => {
            wrong.push(detail(json!(["body", name]), "Field required", "missing", &body));
            String::new()
        }
    };
    let (name, content_type) = (needed("file_name"), needed("content_type"));
    if !wrong.is_empty() {
        return invalid(wrong);
    }
    let upload = Upload { id: state.new_id(), name: safe_name(&name), content_type, bytes: None };
    let (id, name) = (&upload.id, &upload.name);
    let body = json!({
        "upload_url": format!("{}/storage/upload/{id}", call.base),
        "file_url": format!("{}/files/{id}/{name}", call.base),
    });
    state.fal_uploads.keep(upload);
    Answer::json(200, body)
}

fn put(call: &Call, state: &State, id: &str) -> Answer {
    let Some(mut upload) = state.fal_uploads.get(id) else { return text(404, "Upload not found") };
    if let Some(content_type) = call.header("content-type") {
        upload.content_type = content_type.to_owned();
    }
    upload.bytes = Some(call.body.clone());
    state.fal_uploads.keep(upload);
    Answer::empty(200)
}

fn token(call: &Call, state: &State) -> Answer {
    let expires = Timestamp::now() + TOKEN_LIFE;
    let body = json!({
        "token": sealed(state, expires.as_second()), "token_type": "Bearer", "base_url": call.base,
        "expires_at": expires.strftime("%Y-%m-%dT%H:%M:%S+00:00").to_string(),
    });
    Answer::json(200, body)
}

fn upload(call: &Call, state: &State) -> Answer {
    let by_key = Account::of_authorization(call, "Key");
    if by_key == Account::Wrong || (by_key == Account::Missing && !has_token(call, state)) {
        return text(401, "The upload token is missing, wrong or over.");
    }
    let content_type = call.header("content-type").unwrap_or("application/octet-stream");
    let upload = Upload {
        id: state.new_id(),
        name: safe_name(call.header("x-fal-file-name").unwrap_or("file.bin")),
        content_type: content_type.to_owned(),
        bytes: Some(call.body.clone()),
    };
    let access_url = format!("{}/files/{}/{}", call.base, upload.id, upload.name);
    state.fal_uploads.keep(upload);
    Answer::json(200, json!({"access_url": access_url}))
}

fn file(state: &State, id: &str, name: &str) -> Answer {
    let upload = state.fal_uploads.get(id).filter(|upload| upload.name == name);
    match upload.and_then(|upload| Some((upload.content_type, upload.bytes?))) {
        Some((content_type, bytes)) => {
            let is_sendable = HeaderValue::from_str(&content_type).is_ok();
            let content_type = if is_sendable { &content_type } else { "application/octet-stream" };
            Answer::raw("", bytes).header("content-type", content_type)
        }
        None => text(404, "File not found"),
    }
}

/// A token that needs no memory: when it ends, and a digest that only this simulator makes of that.
fn sealed(state: &State, expires: i64) -> String {
    let digest = Sha256::digest(format!("fal cdn {} {expires}", state.options.seed));
    let seal = hex(digest.get(..16).unwrap_or_default());
    format!("{expires}.{seal}")
}

fn has_token(call: &Call, state: &State) -> bool {
    let token = call.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
    let expires = token.and_then(|token| token.split_once('.')?.0.parse().ok());
    expires.is_some_and(|expires| {
        expires > Timestamp::now().as_second() && token == Some(sealed(state, expires).as_str())
    })
}

/// The name without what a URL or a folder would take amiss.
fn safe_name(name: &str) -> String {
    let safe =
        |letter: char| if letter.is_ascii_alphanumeric() || ".-_".contains(letter) { letter } else { '_' };
    let name: String = name.chars().take(120).map(safe).collect();
    if name.trim_matches('.').is_empty() { "file.bin".to_owned() } else { name }
}
