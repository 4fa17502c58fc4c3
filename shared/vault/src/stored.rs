//! Opens the credential that a job is to use: the stored one that it names, the workspace's default, or the key of the
//! settings.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use atelier_domain::credential::{Credential, CredentialType, purpose};
use atelier_domain::ids::WorkspaceId;
use atelier_domain::operation::Provider;
use atelier_domain::ports::{CredentialError, Credentials, Document, DocumentKind, Documents, ProviderKey};
use atelier_domain::seal::{SealError, Sealing};
use tokio::time::Instant;
use tracing::error;

use crate::keyring::Keyring;
use crate::settings::{CACHE_MS, VaultSettings};
use crate::vault::Vault;

/// Answers that are kept. Beyond it all are forgotten: a workspace uses a few.
const CACHE_LIMIT: usize = 10_000;

type Asked = (WorkspaceId, Provider, Option<String>);

/// [`Credentials`] over documents.
pub struct StoredCredentials {
    documents: Arc<dyn Documents>,
    vault: Vault,
    keyring: Keyring,
    kept_for: Duration,
    cache: Mutex<HashMap<Asked, (Instant, Option<ProviderKey>)>>,
}

impl StoredCredentials {
    /// Credentials of these documents; `keyring` has the keys for workspaces without a default of their own.
    pub fn new(documents: Arc<dyn Documents>, settings: &VaultSettings, keyring: Keyring) -> Self {
        Self {
            documents,
            vault: Vault::new(settings),
            keyring,
            kept_for: Duration::from_millis(settings.cache_ms.unwrap_or(CACHE_MS)),
            cache: Mutex::default(),
        }
    }

    /// The stored key, if there is one.
    async fn stored(&self, asked: &Asked) -> Result<Option<ProviderKey>, CredentialError> {
        if let Some(known) = self.cached(asked) {
            return Ok(known);
        }
        let (workspace, provider, id) = asked;
        let kind = DocumentKind::Credential;
        let found = match id.as_deref() {
            None => self.documents.labelled(kind, workspace, provider.as_str()).await,
            Some(id) => match id.parse() {
                Ok(id) => self.documents.document(kind, workspace, &id).await,
                Err(_) => Ok(None),
            },
        };
        let found = found.map_err(|cause| CredentialError::Unavailable(Box::new(cause)))?;
        let key = found.map(|document| self.opened(&document, *provider)).transpose()?.flatten();
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if cache.len() >= CACHE_LIMIT {
            cache.clear();
        }
        cache.insert(asked.clone(), (Instant::now(), key.clone()));
        Ok(key)
    }

    fn cached(&self, asked: &Asked) -> Option<Option<ProviderKey>> {
        let cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, key) = cache.get(asked)?;
        (since.elapsed() < self.kept_for).then(|| key.clone())
    }

    /// A credential of another provider is none for this one.
    fn opened(
        &self,
        document: &Document,
        provider: Provider,
    ) -> Result<Option<ProviderKey>, CredentialError> {
        let credential: Credential = serde_json::from_str(&document.json)
            .map_err(|cause| CredentialError::Unavailable(Box::new(cause)))?;
        if credential.r#type != CredentialType::Media(provider) {
            return Ok(None);
        }
        let purpose = purpose(&document.workspace_id, &document.id, credential.r#type);
        match self.vault.open(&purpose, &credential.sealed) {
            Ok(value) => Ok(Some(ProviderKey(value))),
            Err(problem @ (SealError::NoMasterKey | SealError::UnknownMaster { .. } | SealError::Broken)) => {
                // A worker without the master key is not the job's fault: it waits for one that has it.
                error!(credential.id = %document.id, error = %problem, "stored credential cannot be opened");
                Err(CredentialError::Unavailable(Box::new(problem)))
            }
        }
    }
}

#[async_trait]
impl Credentials for StoredCredentials {
    async fn open(
        &self,
        workspace: &WorkspaceId,
        provider: Provider,
        credential_id: Option<&str>,
    ) -> Result<ProviderKey, CredentialError> {
        let asked = (workspace.clone(), provider, credential_id.map(str::to_owned));
        match self.stored(&asked).await? {
            Some(key) => Ok(key),
            // A named one is unknown here, too: who names a credential must not be charged on another.
            None => self.keyring.open(workspace, provider, credential_id).await,
        }
    }
}
