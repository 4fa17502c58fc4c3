//! Provider keys of the process's settings: one key a provider, the same for every workspace that has stored none.

use std::collections::BTreeMap;

use async_trait::async_trait;
use atelier_domain::ids::WorkspaceId;
use atelier_domain::operation::Provider;
use atelier_domain::ports::{CredentialError, Credentials, ProviderKey};
use atelier_domain::secret::Secret;

/// The keys of the settings. Each is the default for its provider; they have no ids, so no `credential_id` is known.
#[derive(Debug, Clone, Default)]
pub struct Keyring {
    keys: BTreeMap<Provider, ProviderKey>,
}

impl Keyring {
    /// Takes the keys; a blank one counts as not set up. Space around a key, as an editor leaves it in a mounted file,
    /// is not part of it.
    pub fn new(keys: impl IntoIterator<Item = (Provider, Secret<String>)>) -> Self {
        let keys = keys.into_iter().map(|(provider, key)| (provider, key.expose().trim().to_owned()));
        let keys = keys.filter(|(_, key)| !key.is_empty());
        Self { keys: keys.map(|(provider, key)| (provider, ProviderKey(Secret::new(key)))).collect() }
    }

    /// The providers that have a key, to say so at start-up.
    pub fn providers(&self) -> impl Iterator<Item = Provider> + '_ {
        self.keys.keys().copied()
    }
}

#[async_trait]
impl Credentials for Keyring {
    /// Never `Unavailable`: the keys are in memory. Any `credential_id` is `Unknown`, also where a default exists: who
    /// names a credential must not be charged on another.
    async fn open(
        &self,
        _workspace: &WorkspaceId,
        provider: Provider,
        credential_id: Option<&str>,
    ) -> Result<ProviderKey, CredentialError> {
        match credential_id {
            Some(id) => Err(CredentialError::Unknown { id: id.to_owned() }),
            None => self.keys.get(&provider).cloned().ok_or(CredentialError::Missing { provider }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keyring() -> Keyring {
        let key = |text: &str| Secret::new(text.to_owned());
        Keyring::new([(Provider::Runway, key("rw-hunter2\n")), (Provider::Luma, key(" "))])
    }

    async fn open(provider: Provider, credential_id: Option<&str>) -> Result<ProviderKey, CredentialError> {
        keyring().open(&"acme".parse().unwrap(), provider, credential_id).await
    }

    #[tokio::test]
    async fn a_provider_has_its_default_key_in_every_workspace() {
        assert_eq!(open(Provider::Runway, None).await.unwrap().0.expose(), "rw-hunter2");
        assert_eq!(keyring().providers().collect::<Vec<_>>(), [Provider::Runway]);
    }

    #[tokio::test]
    async fn a_provider_without_a_key_is_missing_and_a_blank_key_is_none() {
        for provider in [Provider::Fal, Provider::Luma] {
            let error = open(provider, None).await.unwrap_err();
            assert!(matches!(error, CredentialError::Missing { provider: named } if named == provider));
        }
    }

    #[tokio::test]
    async fn a_named_credential_is_unknown_even_where_a_default_exists() {
        let error = open(Provider::Runway, Some("cred-1")).await.unwrap_err();
        assert_eq!(error.to_string(), "credential `cred-1` is not known");
    }

    #[tokio::test]
    async fn inv7_debug_shows_no_key() {
        let shown = format!("{:?} {:?}", keyring(), open(Provider::Runway, None).await);
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
