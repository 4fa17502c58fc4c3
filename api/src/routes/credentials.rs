//! Credentials of a workspace: provider keys, sealed. Their values come in and never go out.

use atelier_domain::credential::{CREDENTIALS_LIMIT, CheckedKey, Credential, masked, purpose};
use atelier_domain::error::chain;
use atelier_domain::ids::{DocumentId, WorkspaceId};
use atelier_domain::ports::{Created, Document, DocumentKind, KeyVerdict, Labelling, PageOf};
use atelier_domain::request::{
    CredentialChange, NewCredential, parse_credential_change, parse_new_credential,
};
use atelier_domain::seal::{SealError, Sealed};
use atelier_domain::secret::Secret;
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use serde::Serialize;
use tracing::{error, info};

use crate::error::ApiError;
use crate::extract::{Caller, JobBody, KeyHolder, PageQuery, PathId};
use crate::state::ApiState;
use crate::wire;

const KIND: DocumentKind = DocumentKind::Credential;
/// Tries to change a credential that others change at the same time.
const CHANGE_TRIES: usize = 8;

/// A credential as it is shown. One fact has several names, because the published clients differ.
#[derive(Debug, Serialize)]
struct CredentialView<'a> {
    id: &'a DocumentId,
    workspace_id: &'a WorkspaceId,
    name: &'a str,
    r#type: &'static str,
    provider: &'static str,
    category: &'static str,
    description: Option<&'a str>,
    masked_content: &'a str,
    is_default: bool,
    schema_type: Option<&'a str>,
    /// False once the provider has refused it; before it was asked, which `checked_at` tells, there is no reason to doubt.
    is_valid: bool,
    checked_at: Option<String>,
    has_schema: bool,
    schema_updated_at: Option<&'a str>,
    created_by_id: Option<&'a DocumentId>,
    created_at: String,
    updated_at: String,
}

/// The answer to a check: the credential, and what the provider says now.
#[derive(Debug, Serialize)]
struct CheckView<'a> {
    #[serde(flatten)]
    credential: CredentialView<'a>,
    /// Whether the key lets in for certain.
    ok: bool,
    /// `valid`, `invalid` or `unknown`.
    outcome: &'static str,
    message: Option<&'a str>,
}

/// `POST /api/v1/credentials`: 201. The first of a type becomes its default.
pub(super) async fn create(
    State(state): State<ApiState>,
    KeyHolder(visitor): KeyHolder,
    JobBody { value, .. }: JobBody,
) -> Result<Response, ApiError> {
    let new = parse_new_credential(&value).map_err(|problems| ApiError::fields(&problems))?;
    let now = state.now()?;
    let workspace = visitor.workspace;
    let id = state.documents.new_id(&workspace);
    let NewCredential { name, r#type, value, description, schema_type, is_default } = new;
    let credential = Credential {
        name,
        r#type,
        description: description.filter(|text| !text.is_empty()),
        schema_type: schema_type.filter(|text| !text.is_empty()),
        masked: masked(value.expose()),
        sealed: sealed(&state, &purpose(&workspace, &id, r#type), &value)?,
        check: None,
        created_by: visitor.key_id,
    };
    let document = Document {
        id,
        workspace_id: workspace.clone(),
        version: 1,
        created_at: now,
        updated_at: now,
        used_at: None,
        json: written(&credential)?,
    };
    let label = r#type.as_str();
    let label = if is_default { Labelling::Take(label) } else { Labelling::IfFree(label) };
    match state.documents.create(KIND, &document, Some(label), CREDENTIALS_LIMIT).await? {
        Created::Yes => {}
        Created::Full => {
            return Err(ApiError::bad_request(format!(
                "the workspace has {CREDENTIALS_LIMIT} credentials; one must be deleted first"
            )));
        }
    }
    info!(credential.id = %document.id, provider.id = r#type.as_str(), "credential created");
    let shown = view(&document, &credential, is_the_default(&state, &document, &credential).await?);
    Ok((StatusCode::CREATED, Json(wire::one(shown))).into_response())
}

/// `GET /api/v1/credentials`: newest first.
pub(super) async fn list(
    State(state): State<ApiState>,
    Caller(workspace): Caller,
    PageQuery { page, limit }: PageQuery,
) -> Result<Response, ApiError> {
    let found = state.documents.documents(KIND, &workspace, PageOf { page, limit }).await?;
    let defaults = state.documents.labels(KIND, &workspace).await?;
    let credentials: Vec<(&Document, Credential)> =
        found.items.iter().filter_map(|document| Some((document, read(document).ok()?))).collect();
    let shown = credentials.iter().map(|(document, credential)| {
        let is_default = defaults.get(credential.r#type.as_str()) == Some(&document.id);
        view(document, credential, is_default)
    });
    Ok(Json(wire::many(shown.collect(), found.total, page, limit)).into_response())
}

/// `GET /api/v1/credentials/{id}`.
pub(super) async fn show(
    State(state): State<ApiState>,
    Caller(workspace): Caller,
    PathId(Credentialed(id)): PathId<Credentialed>,
) -> Result<Response, ApiError> {
    let (document, credential) = find(&state, &workspace, &id).await?;
    answer(&state, &document, &credential).await
}

/// `PATCH /api/v1/credentials/{id}`: a new value has not been checked yet.
pub(super) async fn change(
    State(state): State<ApiState>,
    Caller(workspace): Caller,
    PathId(Credentialed(id)): PathId<Credentialed>,
    JobBody { value, .. }: JobBody,
) -> Result<Response, ApiError> {
    let change = parse_credential_change(&value).map_err(|problems| ApiError::fields(&problems))?;
    let CredentialChange { name, value, description, is_default } = change;
    let (document, credential) = edit(&state, &workspace, &id, |credential| {
        if let Some(name) = &name {
            credential.name.clone_from(name);
        }
        if let Some(description) = &description {
            credential.description = Some(description.clone()).filter(|text| !text.is_empty());
        }
        if let Some(value) = &value {
            credential.masked = masked(value.expose());
            credential.sealed = sealed(&state, &purpose(&workspace, &id, credential.r#type), value)?;
            credential.check = None;
        }
        Ok(())
    })
    .await?;
    if is_default {
        make_default(&state, &workspace, &id, &credential).await?;
    }
    info!(credential.id = %id, has_new_value = value.is_some(), "credential changed");
    answer(&state, &document, &credential).await
}

/// `DELETE /api/v1/credentials/{id}`: jobs that name it fail from then on; a default has to be named anew.
pub(super) async fn remove(
    State(state): State<ApiState>,
    Caller(workspace): Caller,
    PathId(Credentialed(id)): PathId<Credentialed>,
) -> Result<Response, ApiError> {
    if !state.documents.remove(KIND, &workspace, &id).await? {
        return Err(ApiError::no_credential());
    }
    info!(credential.id = %id, "credential deleted");
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `POST /api/v1/credentials/{id}/set-default`, and `/default`: the default of its type.
pub(super) async fn set_default(
    State(state): State<ApiState>,
    Caller(workspace): Caller,
    PathId(Credentialed(id)): PathId<Credentialed>,
) -> Result<Response, ApiError> {
    let (document, credential) = find(&state, &workspace, &id).await?;
    make_default(&state, &workspace, &id, &credential).await?;
    answer(&state, &document, &credential).await
}

/// `POST /api/v1/credentials/{id}/check`: asks the provider.
pub(super) async fn check(
    State(state): State<ApiState>,
    Caller(workspace): Caller,
    PathId(Credentialed(id)): PathId<Credentialed>,
) -> Result<Response, ApiError> {
    let (document, credential) = find(&state, &workspace, &id).await?;
    let value = state
        .sealing
        .open(&purpose(&workspace, &id, credential.r#type), &credential.sealed)
        .map_err(|problem| unsealable(&document, &problem))?;
    let verdict = state.key_check.check_key(credential.r#type, &value).await;
    let (outcome, message, is_valid) = match &verdict {
        KeyVerdict::Valid => ("valid", None, Some(true)),
        KeyVerdict::Invalid { message } => ("invalid", Some(message.as_str()), Some(false)),
        KeyVerdict::Unknown { message } => ("unknown", Some(message.as_str()), None),
    };
    info!(credential.id = %id, provider.id = credential.r#type.as_str(), outcome, "credential checked");
    let (document, credential) = match is_valid {
        None => (document, credential),
        Some(is_valid) => {
            let at = state.now()?;
            let checked = credential.sealed.text.clone();
            edit(&state, &workspace, &id, |credential| {
                // The verdict is about the value that was checked, and about no later one.
                if credential.sealed.text == checked {
                    credential.check = Some(CheckedKey { is_valid, at });
                }
                Ok(())
            })
            .await?
        }
    };
    let is_default = is_the_default(&state, &document, &credential).await?;
    let credential = view(&document, &credential, is_default);
    let shown = CheckView { credential, ok: verdict == KeyVerdict::Valid, outcome, message };
    Ok(Json(wire::one(shown)).into_response())
}

/// The id of a credential in a path.
pub(crate) struct Credentialed(pub(crate) DocumentId);

async fn find(
    state: &ApiState,
    workspace: &WorkspaceId,
    id: &DocumentId,
) -> Result<(Document, Credential), ApiError> {
    let document = state.documents.document(KIND, workspace, id).await?;
    let document = document.ok_or_else(ApiError::no_credential)?;
    let credential = read(&document)?;
    Ok((document, credential))
}

/// Reads, changes and writes; again, when somebody else was faster. What changes nothing writes nothing.
async fn edit(
    state: &ApiState,
    workspace: &WorkspaceId,
    id: &DocumentId,
    change: impl Fn(&mut Credential) -> Result<(), ApiError>,
) -> Result<(Document, Credential), ApiError> {
    for _ in 0..CHANGE_TRIES {
        let (document, before) = find(state, workspace, id).await?;
        let mut after = before.clone();
        change(&mut after)?;
        let json = written(&after)?;
        if after == before || state.documents.replace(KIND, &document, &json, state.now()?).await? {
            return find(state, workspace, id).await;
        }
    }
    Err(ApiError::Unavailable {
        message: "the credential is being changed by others all the time; nothing was changed".to_owned(),
        details: None,
    })
}

async fn make_default(
    state: &ApiState,
    workspace: &WorkspaceId,
    id: &DocumentId,
    credential: &Credential,
) -> Result<(), ApiError> {
    match state.documents.label(KIND, workspace, id, credential.r#type.as_str()).await? {
        true => Ok(()),
        false => Err(ApiError::no_credential()),
    }
}

async fn is_the_default(
    state: &ApiState,
    document: &Document,
    credential: &Credential,
) -> Result<bool, ApiError> {
    let defaults = state.documents.labels(KIND, &document.workspace_id).await?;
    Ok(defaults.get(credential.r#type.as_str()) == Some(&document.id))
}

async fn answer(
    state: &ApiState,
    document: &Document,
    credential: &Credential,
) -> Result<Response, ApiError> {
    let is_default = is_the_default(state, document, credential).await?;
    Ok(Json(wire::one(view(document, credential, is_default))).into_response())
}

fn sealed(state: &ApiState, purpose: &str, value: &Secret<String>) -> Result<Sealed, ApiError> {
    state.sealing.seal(purpose, value).map_err(|problem| match problem {
        SealError::NoMasterKey => ApiError::bad_request(problem.to_string()),
        SealError::UnknownMaster { .. } | SealError::Broken => {
            error!(error = %problem, "a secret cannot be sealed");
            ApiError::Internal
        }
    })
}

fn unsealable(document: &Document, problem: &SealError) -> ApiError {
    error!(credential.id = %document.id, error = %problem, "stored credential cannot be opened");
    ApiError::Unavailable {
        message: "the credential cannot be opened here; its master key is not set up".to_owned(),
        details: None,
    }
}

fn written(credential: &Credential) -> Result<String, ApiError> {
    serde_json::to_string(credential).map_err(|_| ApiError::Internal)
}

fn read(document: &Document) -> Result<Credential, ApiError> {
    serde_json::from_str(&document.json).map_err(|cause| {
        error!(error = chain(&cause), credential.id = %document.id, "credential cannot be read");
        ApiError::Internal
    })
}

fn view<'a>(document: &'a Document, credential: &'a Credential, is_default: bool) -> CredentialView<'a> {
    CredentialView {
        id: &document.id,
        workspace_id: &document.workspace_id,
        name: &credential.name,
        r#type: credential.r#type.as_str(),
        provider: credential.r#type.as_str(),
        category: credential.r#type.category().as_str(),
        description: credential.description.as_deref(),
        masked_content: &credential.masked,
        is_default,
        schema_type: credential.schema_type.as_deref(),
        is_valid: credential.check.as_ref().is_none_or(|check| check.is_valid),
        checked_at: credential.check.as_ref().map(|check| wire::time(check.at)),
        has_schema: false,
        schema_updated_at: None,
        created_by_id: credential.created_by.as_ref(),
        created_at: wire::time(document.created_at),
        updated_at: wire::time(document.updated_at),
    }
}
