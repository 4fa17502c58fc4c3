//! Asking a provider whether a key is good.

use async_trait::async_trait;

use crate::credential::CredentialType;
use crate::secret::Secret;

/// What the provider says about a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyVerdict {
    /// It lets in.
    Valid,
    /// It does not.
    Invalid {
        /// In words, without the key.
        message: String,
    },
    /// The provider could not be asked, or its answer says nothing about the key.
    Unknown {
        /// In words, without the key.
        message: String,
    },
}

/// Asks providers.
#[async_trait]
pub trait KeyCheck: Send + Sync {
    /// Makes the cheapest call of the provider that needs a key. Costs nothing and may be repeated.
    async fn check_key(&self, credential_type: CredentialType, key: &Secret<String>) -> KeyVerdict;
}
