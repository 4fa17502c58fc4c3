//! API keys: made here, shown once, revoked here. What is kept of one does not let in.

use atelier_domain::access::{ApiKey, KEYS_LIMIT, KeyToken, SECRET_CHARS, Scopes};
use atelier_domain::error::chain;
use atelier_domain::ids::{DocumentId, WorkspaceId};
use atelier_domain::ports::{Created, Document, DocumentKind, Documents, PageOf};
use atelier_domain::request::{Asker, NewApiKey, parse_new_key};
use atelier_domain::{Timestamp, access};
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::CACHE_CONTROL;
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use tracing::{error, info};

use crate::error::ApiError;
use crate::extract::{JobBody, KeyHolder, PageQuery, PathId};
use crate::state::ApiState;
use crate::wire;

const KIND: DocumentKind = DocumentKind::ApiKey;
/// Random bytes of a key; [`SECRET_CHARS`] characters of base64.
const SECRET_BYTES: usize = 32;

/// A key as it is shown. The key itself only in the answer that made it.
#[derive(Debug, Serialize)]
struct KeyView<'a> {
    id: &'a DocumentId,
    workspace_id: &'a WorkspaceId,
    name: &'a str,
    scopes: &'a Scopes,
    rate_per_s: Option<u32>,
    expires_at: Option<String>,
    last_used_at: Option<String>,
    created_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
}

/// `POST /api/v1/api-keys`: 201 with the key, which nobody can ask for again.
pub(super) async fn create(
    State(state): State<ApiState>,
    KeyHolder(visitor): KeyHolder,
    JobBody { value, .. }: JobBody,
) -> Result<Response, ApiError> {
    let now = state.now()?;
    let is_operator = state.settings.is_operator(&visitor.workspace);
    let asker = Asker { workspace: &visitor.workspace, is_operator };
    let new =
        parse_new_key(&value, asker, &visitor.scopes, now).map_err(|problems| ApiError::fields(&problems))?;
    let (document, key, token) = made(&*state.documents, new, now)?;
    if state.documents.create(KIND, &document, None, KEYS_LIMIT).await? == Created::Full {
        return Err(ApiError::bad_request(format!(
            "the workspace has {KEYS_LIMIT} API keys; one that is not used any more must be revoked first"
        )));
    }
    state.door().forget(&document.id);
    info!(key.id = %document.id, key.owner = %document.workspace_id, "api key created");
    let shown = view(&document, &key, Some(token.expose()));
    let secret = [(CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    Ok((StatusCode::CREATED, secret, Json(wire::one(shown))).into_response())
}

/// `GET /api/v1/api-keys`: the workspace's keys, newest first.
pub(super) async fn list(
    State(state): State<ApiState>,
    KeyHolder(visitor): KeyHolder,
    PageQuery { page, limit }: PageQuery,
) -> Result<Response, ApiError> {
    let found = state.documents.documents(KIND, &visitor.workspace, PageOf { page, limit }).await?;
    let keys: Vec<(&Document, ApiKey)> =
        found.items.iter().filter_map(|document| Some((document, read(document)?))).collect();
    let shown = keys.iter().map(|(document, key)| view(document, key, None)).collect();
    Ok(Json(wire::many(shown, found.total, page, limit)).into_response())
}

/// `GET /api/v1/api-keys/{id}`.
pub(super) async fn show(
    State(state): State<ApiState>,
    KeyHolder(visitor): KeyHolder,
    PathId(id): PathId<DocumentId>,
) -> Result<Response, ApiError> {
    let document = state.documents.document(KIND, &visitor.workspace, &id).await?;
    let document = document.ok_or_else(ApiError::no_api_key)?;
    let key = read(&document).ok_or(ApiError::Internal)?;
    Ok(Json(wire::one(view(&document, &key, None))).into_response())
}

/// `DELETE /api/v1/api-keys/{id}`: the key lets nobody in any more; here at once, at other processes within
/// `api.key_cache_ms`.
pub(super) async fn revoke(
    State(state): State<ApiState>,
    KeyHolder(visitor): KeyHolder,
    PathId(id): PathId<DocumentId>,
) -> Result<Response, ApiError> {
    let was_there = state.documents.remove(KIND, &visitor.workspace, &id).await?;
    state.door().forget(&id);
    if !was_there {
        return Err(ApiError::no_api_key());
    }
    info!(key.id = %id, "api key revoked");
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// A new key with its document.
pub(crate) fn made(
    documents: &dyn Documents,
    new: NewApiKey,
    now: Timestamp,
) -> Result<(Document, ApiKey, KeyToken), ApiError> {
    let id = documents.new_id(&new.workspace);
    let secret = URL_SAFE_NO_PAD.encode(rand::random::<[u8; SECRET_BYTES]>());
    debug_assert_eq!(secret.len(), SECRET_CHARS);
    let token = KeyToken::new(&id, &secret).map_err(|access::NoKey| ApiError::Internal)?;
    let NewApiKey { workspace, name, scopes, expires_at, rate_per_s } = new;
    let key = ApiKey { name, digest: token.digest(), scopes, expires_at, rate_per_s };
    let json = serde_json::to_string(&key).map_err(|_| ApiError::Internal)?;
    let document = Document {
        id,
        workspace_id: workspace,
        version: 1,
        created_at: now,
        updated_at: now,
        used_at: None,
        json,
    };
    Ok((document, key, token))
}

/// The key of a document; `None`, and told, where it cannot be read.
pub(crate) fn read(document: &Document) -> Option<ApiKey> {
    serde_json::from_str(&document.json)
        .inspect_err(|cause| error!(error = chain(cause), key.id = %document.id, "api key cannot be read"))
        .ok()
}

fn view<'a>(document: &'a Document, key: &'a ApiKey, token: Option<&'a str>) -> KeyView<'a> {
    KeyView {
        id: &document.id,
        workspace_id: &document.workspace_id,
        name: &key.name,
        scopes: &key.scopes,
        rate_per_s: key.rate_per_s,
        expires_at: key.expires_at.map(wire::time),
        last_used_at: document.used_at.map(wire::time),
        created_at: wire::time(document.created_at),
        key: token,
    }
}
