//! `POST /api/v1/assets`: a file of the caller becomes an asset, which jobs can then name as their input.
//!
//! The order is object, manifest, record. What is refused, or breaks off, leaves none of them; an upload that was
//! complete when its caller went away is kept and listed.

use atelier_domain::Timestamp;
use atelier_domain::asset::{Asset, upload_key_prefix};
use atelier_domain::ids::{AssetId, WorkspaceId};
use atelier_domain::ports::{ExpectedContent, NewObject, PutError, StoredObject};
use atelier_domain::request::{FieldError, name_of_form_file, parse_upload_metadata, parse_upload_name};
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use http::header::LOCATION;
use multer::Field;
use serde_json::{Map, Value};
use tracing::{info, warn};

use crate::error::ApiError;
use crate::extract::{Caller, UploadForm};
use crate::state::ApiState;
use crate::wire;

const PARTS: &str = "`file`, `name` and `metadata`";

/// What the form has brought so far.
#[derive(Default)]
struct Brought {
    file: Option<StoredObject>,
    name: Option<String>,
    /// The name that the form itself gives the file.
    own_name: Option<String>,
    metadata: Option<Map<String, Value>>,
}

/// 201 with the asset.
pub(super) async fn create(
    State(state): State<ApiState>,
    Caller(workspace): Caller,
    form: UploadForm,
) -> Result<Response, ApiError> {
    let now = state.now()?;
    let upload = upload(state.clone(), workspace, form, now);
    let Some(outcome) = state.uploads.run(state.settings.body_timeout(), upload).await else {
        let message = "too many files are uploaded at this time; nothing was accepted".to_owned();
        return Err(ApiError::Unavailable { message, details: None });
    };
    let asset = outcome?;
    info!(asset.id = %asset.id, size_bytes = asset.size_bytes, "asset uploaded");
    let location = [(LOCATION, format!("{}/{}", super::ASSETS, asset.id))];
    Ok((StatusCode::CREATED, location, Json(wire::one(wire::asset(&asset, None)))).into_response())
}

async fn upload(
    state: ApiState,
    workspace: WorkspaceId,
    mut form: UploadForm,
    now: Timestamp,
) -> Result<Asset, ApiError> {
    let id = AssetId::new();
    let key_prefix = upload_key_prefix(&workspace, now, &id);
    let mut brought = Brought::default();
    let read = read(&state, &mut form, &key_prefix, &mut brought).await;
    let Brought { file, name, own_name, metadata } = brought;
    if let Err(refusal) = read {
        if let Some(file) = file {
            clear_away(&state, &file.key).await;
        }
        form.drain().await;
        return Err(refusal);
    }
    let Some(file) = file else {
        return Err(wrong("file", "is not there", "a part `file` with an image, a sound or a video"));
    };
    let asset = Asset {
        id,
        workspace_id: workspace,
        made_by: None,
        name: name.or(own_name),
        metadata: metadata.unwrap_or_default(),
        key: file.key,
        content_type: file.content_type,
        size_bytes: file.size_bytes,
        sha256: file.sha256,
        media: file.facts,
        seed: None,
        revised_prompt: None,
        created_at: now,
    };
    let kept = keep(&state, &asset).await;
    if kept.is_err() {
        clear_away(&state, &asset.key).await;
    }
    kept.map(|()| asset)
}

/// Reads the whole form. The file goes to the asset store as it comes.
async fn read(
    state: &ApiState,
    form: &mut UploadForm,
    key_prefix: &str,
    brought: &mut Brought,
) -> Result<(), ApiError> {
    while let Some(part) = form.next().await? {
        match part.name().unwrap_or_default() {
            "file" if brought.file.is_none() => {
                brought.own_name = part.file_name().and_then(name_of_form_file);
                brought.file = Some(store(state, form, part, key_prefix).await?);
            }
            "name" if brought.name.is_none() => {
                let bytes = form.small(part).await?;
                let text = std::str::from_utf8(&bytes)
                    .map_err(|_| wrong("name", "is not text", "a name in UTF-8"))?;
                brought.name = Some(parse_upload_name(text).map_err(|problem| ApiError::fields(&[problem]))?);
            }
            "metadata" if brought.metadata.is_none() => {
                let bytes = form.small(part).await?;
                let read = parse_upload_metadata(&bytes);
                brought.metadata = Some(read.map_err(|problem| ApiError::fields(&[problem]))?);
            }
            again @ ("file" | "name" | "metadata") => {
                return Err(wrong(again, "comes twice", "one part of each name"));
            }
            other => {
                let name: String = other.chars().filter(|c| !c.is_control()).take(64).collect();
                let problem = "is not a known part of the form";
                return Err(wrong(&name, problem, &format!("the parts {PARTS}")));
            }
        }
    }
    Ok(())
}

async fn store(
    state: &ApiState,
    form: &UploadForm,
    part: Field<'static>,
    key_prefix: &str,
) -> Result<StoredObject, ApiError> {
    let object = NewObject {
        key_prefix: key_prefix.to_owned(),
        claimed_type: part.content_type().map(ToString::to_string),
        expects: ExpectedContent::AnyMedia,
        length_bytes: None,
    };
    state.assets.put(object, form.file(part)).await.map_err(|reason| match reason {
        PutError::Malformed { message } => {
            wrong("file", &format!("is not a usable file: {message}"), "an image, a sound or a video")
        }
        PutError::Source(_) => form.fault(),
        other @ PutError::Unavailable(_) => ApiError::unavailable("the asset store", &other),
    })
}

async fn keep(state: &ApiState, asset: &Asset) -> Result<(), ApiError> {
    let written = state.assets.put_manifest(asset).await;
    written.map_err(|cause| ApiError::unavailable("the asset store", &cause))?;
    Ok(state.asset_book.keep(std::slice::from_ref(asset)).await?)
}

async fn clear_away(state: &ApiState, key: &str) {
    if let Err(error) = state.assets.remove(key).await {
        warn!(key, error = %error, "an object of a refused upload remains");
    }
}

fn wrong(field: &str, problem: &str, expected: &str) -> ApiError {
    ApiError::fields(&[FieldError::new(field, problem, expected)])
}
