//! Secrets: provider keys of the settings, the envelopes that stored secrets lie in, and the opening of stored
//! credentials.
//!
//! A secret leaves this crate as a [`Secret`](atelier_domain::secret::Secret) only, to whoever makes a header of it
//! (INV-7).

mod keyring;
mod reseal;
mod settings;
mod stored;
mod vault;

pub use keyring::Keyring;
pub use reseal::{Resealed, keep_resealed, reseal_all};
pub use settings::{MasterKeys, MasterKeysError, VaultSettings};
pub use stored::StoredCredentials;
pub use vault::{Vault, new_master_key};
