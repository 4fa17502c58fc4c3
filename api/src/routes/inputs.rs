//! Files that come with a request: looked at before the request is read, kept before the job is.

use std::collections::BTreeMap;

use atelier_domain::Timestamp;
use atelier_domain::asset::{extension_of, staged_key_prefix};
use atelier_domain::credential::Credential;
use atelier_domain::ids::{AssetId, DocumentId, WorkspaceId};
use atelier_domain::job::{Input, StagedInput};
use atelier_domain::ports::{ByteStream, DocumentKind, ExpectedContent, NewObject, PutError};
use atelier_domain::request::{self, Attachment, FieldError, ParsedRequest};
use bytes::Bytes;

use crate::error::ApiError;
use crate::extract::RawFile;
use crate::state::ApiState;

/// A file and what it turned out to be.
pub(super) struct Looked {
    pub(super) attachment: Attachment,
    bytes: Bytes,
}

/// Looks at the files. What is no media is a problem of its field.
pub(super) async fn look(
    state: &ApiState,
    workspace: &WorkspaceId,
    files: Vec<RawFile>,
    now: Timestamp,
) -> Result<Vec<Looked>, ApiError> {
    let mut looked = Vec::with_capacity(files.len());
    let mut problems = Vec::new();
    for RawFile { name, content_type, bytes } in files {
        match state.assets.inspect(object(String::new(), content_type, &bytes), bytes.clone()).await {
            Ok(found) => {
                let prefix = staged_key_prefix(workspace, now, &found.sha256);
                let staged = StagedInput {
                    key: format!("{prefix}.{}", extension_of(&found.content_type)),
                    content_type: found.content_type,
                    size_bytes: found.size_bytes,
                    sha256: found.sha256,
                };
                looked.push(Looked { attachment: Attachment { name, staged, facts: found.facts }, bytes });
            }
            Err(PutError::Malformed { message }) => {
                let field = if name == "input" { "input_url".to_owned() } else { name };
                problems.push(FieldError::new(
                    field,
                    format!("is not a usable file: {message}"),
                    "an image, a sound or a video",
                ));
            }
            Err(other) => return Err(ApiError::unavailable("the asset store", &other)),
        }
    }
    if problems.is_empty() { Ok(looked) } else { Err(ApiError::fields(&problems)) }
}

/// Keeps the files of a request that can be admitted. Doing it again changes nothing.
pub(super) async fn stage(
    state: &ApiState,
    looked: Vec<Looked>,
    workspace: &WorkspaceId,
    now: Timestamp,
) -> Result<(), ApiError> {
    for Looked { attachment, bytes } in looked {
        let staged = attachment.staged;
        let prefix = staged_key_prefix(workspace, now, &staged.sha256);
        let object = object(prefix, Some(staged.content_type), &bytes);
        let body: ByteStream = Box::pin(futures::stream::iter([Ok(bytes)]));
        let put = state.assets.put(object, body).await;
        put.map_err(|cause| ApiError::unavailable("the asset store", &cause))?;
    }
    Ok(())
}

/// Checks every asset that the request names.
pub(super) async fn check_assets(
    state: &ApiState,
    workspace: &WorkspaceId,
    parsed: &ParsedRequest,
) -> Result<(), ApiError> {
    let spec = &parsed.spec;
    let mut named: BTreeMap<Option<&str>, &AssetId> = BTreeMap::new();
    if let Some(Input::Asset(id)) = &spec.input {
        named.insert(None, id);
    }
    for (option, file) in &spec.files {
        if let Input::Asset(id) = file {
            named.insert(Some(option), id);
        }
    }
    let mut problems = Vec::new();
    for (option, id) in named {
        match state.jobs.asset(workspace, id).await? {
            Some(asset) => {
                problems.extend(request::check_input_asset(&parsed.model, spec.operation, option, &asset));
            }
            None => {
                let field =
                    option.map_or_else(|| "input_asset_id".to_owned(), |name| format!("config.{name}"));
                problems.push(FieldError::new(field, "is not known", "the id of an asset of this workspace"));
            }
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(ApiError::fields(&problems)) }
}

/// Checks the credential that the request names.
pub(super) async fn check_credential(
    state: &ApiState,
    workspace: &WorkspaceId,
    parsed: &ParsedRequest,
) -> Result<(), ApiError> {
    let Some(id) = &parsed.spec.credential_id else { return Ok(()) };
    let unknown = || {
        let expected = "the id of a credential of this workspace, or null for its default of the provider";
        ApiError::fields(&[FieldError::new("credential_id", "is not known", expected)])
    };
    let id: DocumentId = id.parse().map_err(|_| unknown())?;
    let found = state.documents.document(DocumentKind::Credential, workspace, &id).await?;
    let credential: Credential = serde_json::from_str(&found.ok_or_else(unknown)?.json)
        .map_err(|cause| ApiError::unavailable("the credential", &cause))?;
    match request::check_credential(parsed.spec.provider, credential.r#type) {
        None => Ok(()),
        Some(problem) => Err(ApiError::fields(&[problem])),
    }
}

fn object(key_prefix: String, claimed_type: Option<String>, bytes: &Bytes) -> NewObject {
    NewObject {
        key_prefix,
        claimed_type,
        expects: ExpectedContent::AnyMedia,
        length_bytes: Some(bytes.len() as u64),
    }
}
