//! A change of master keys.

use atelier_domain::Timestamp;
use atelier_domain::operation::Provider;
use atelier_domain::ports::Credentials as _;
use atelier_vault::{
    Keyring, MasterKeys, Resealed, StoredCredentials, Vault, VaultSettings, new_master_key, reseal_all,
};
use std::sync::Arc;

use crate::memory_documents::MemoryDocuments;
use crate::stored::keep;

fn settings(keys: &[(&str, &str)], active: &str) -> VaultSettings {
    VaultSettings {
        master_keys: MasterKeys::new(keys.iter().copied()).unwrap(),
        active_key: Some(active.to_owned()),
        ..VaultSettings::default()
    }
}

#[tokio::test]
async fn what_is_sealed_anew_opens_without_the_old_key() {
    let documents = Arc::new(MemoryDocuments::default());
    let (old, new, lost) = (new_master_key(), new_master_key(), new_master_key());
    keep(&documents, &settings(&[("old", &old)], "old"), "luma", "luma key").await;
    keep(&documents, &settings(&[("new", &new)], "new"), "fal", "fal key").await;
    keep(&documents, &settings(&[("lost", &lost)], "lost"), "runway", "runway key").await;

    let vault = Vault::new(&settings(&[("old", &old), ("new", &new)], "new"));
    let mut told = Vec::new();
    let progress = |done: &Resealed| told.push(*done);
    let done = reseal_all(&*documents, &vault, Timestamp::now(), progress).await.unwrap();
    assert_eq!(done, Resealed { looked: 3, resealed: 1, failed: 1 });
    assert_eq!(told.last(), Some(&done));
    let again = reseal_all(&*documents, &vault, Timestamp::now(), |_| {}).await.unwrap();
    assert_eq!(again, Resealed { looked: 3, resealed: 0, failed: 1 });

    let opener = StoredCredentials::new(documents, &settings(&[("new", &new)], "new"), Keyring::default());
    let key = opener.open(&"acme".parse().unwrap(), Provider::Luma, None).await.unwrap();
    assert_eq!(key.0.expose(), "luma key");
}
