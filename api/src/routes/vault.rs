//! `GET /api/v1/vault`: with which master keys the stored secrets are sealed. For operators, who watch a rotation here.

use std::collections::BTreeMap;

use atelier_domain::credential::Credential;
use atelier_domain::ports::DocumentKind;
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;

use crate::error::ApiError;
use crate::extract::Caller;
use crate::state::ApiState;
use crate::wire;

#[derive(Debug, Serialize)]
struct VaultView {
    /// The master key that seals from now on.
    active_key: Option<String>,
    /// Secrets of all workspaces, by the name of their master key.
    sealed_by: BTreeMap<String, u64>,
    /// How many are still to be sealed anew.
    pending: u64,
}

pub(super) async fn show(
    State(state): State<ApiState>,
    Caller(workspace): Caller,
) -> Result<Response, ApiError> {
    if !state.settings.is_operator(&workspace) {
        let message = "this is for keys of `api.operators`".to_owned();
        return Err(ApiError::Forbidden { message });
    }
    let active_key = state.sealing.master_in_use().map(str::to_owned);
    let mut sealed_by: BTreeMap<String, u64> = BTreeMap::new();
    let mut mark = None;
    loop {
        let (found, next) = state.documents.walk(DocumentKind::Credential, mark).await?;
        for credential in
            found.iter().filter_map(|found| serde_json::from_str::<Credential>(&found.json).ok())
        {
            *sealed_by.entry(credential.sealed.master).or_default() += 1;
        }
        mark = next;
        if mark.is_none() {
            break;
        }
    }
    let others = sealed_by.iter().filter(|(name, _)| active_key.as_ref() != Some(name));
    let pending = others.map(|(_, count)| count).sum();
    Ok(Json(wire::one(VaultView { active_key, sealed_by, pending })).into_response())
}
