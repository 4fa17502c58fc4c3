//! What a sealed secret is, and what seals it.

use serde::{Deserialize, Serialize};

use crate::secret::Secret;

/// A secret as it may be kept: an envelope. A key of its own, itself sealed with a master key, seals the secret, so that
/// a change of master keys rewrites the small inner part only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    /// Which master key.
    pub master: String,
    /// The envelope's own key, sealed with the master key; base64.
    pub key: String,
    /// The secret, sealed with the envelope's own key; base64.
    pub text: String,
}

/// Why a seal was not made or not opened. Tells nothing of what is in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The installation has no master key.
    #[error("this installation has no master key (`vault.master_keys`), so that it keeps no secrets")]
    NoMasterKey,
    /// The master key of this envelope is not among the installation's.
    #[error("the master key `{master}` is not set up here")]
    UnknownMaster {
        /// Its name.
        master: String,
    },
    /// It was changed, or belongs to something else.
    #[error("the seal is broken")]
    Broken,
}

/// Seals secrets. `purpose` says what a secret belongs to: a sealed secret that is put in another's place does not
/// open there.
pub trait Sealing: Send + Sync {
    /// Seals with the master key that is in use.
    fn seal(&self, purpose: &str, secret: &Secret<String>) -> Result<Sealed, SealError>;

    /// Opens with whichever master key sealed it.
    fn open(&self, purpose: &str, sealed: &Sealed) -> Result<Secret<String>, SealError>;

    /// The same secret under the master key that is in use; `None` where it is already. The secret itself is not
    /// opened.
    fn reseal(&self, purpose: &str, sealed: &Sealed) -> Result<Option<Sealed>, SealError>;

    /// The name of the master key that is in use; `None` where nothing can be sealed.
    fn master_in_use(&self) -> Option<&str>;
}
