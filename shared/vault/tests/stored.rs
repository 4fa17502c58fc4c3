//! Which key a job gets.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use atelier_domain::Timestamp;
use atelier_domain::credential::{Credential, CredentialType, purpose};
use atelier_domain::ids::{DocumentId, WorkspaceId};
use atelier_domain::operation::Provider;
use atelier_domain::ports::{
    CredentialError, Credentials as _, Document, DocumentKind, Documents as _, Labelling,
};
use atelier_domain::seal::Sealing as _;
use atelier_domain::secret::Secret;
use atelier_vault::{Keyring, MasterKeys, StoredCredentials, Vault, VaultSettings, new_master_key};

use crate::memory_documents::MemoryDocuments;

pub fn settings() -> VaultSettings {
    let master_keys = MasterKeys::new([("first", new_master_key())]).unwrap();
    VaultSettings { master_keys, ..VaultSettings::default() }
}

fn workspace() -> WorkspaceId {
    "acme".parse().unwrap()
}

/// Keeps a credential of acme, as the default where no other is.
pub async fn keep(
    documents: &MemoryDocuments,
    settings: &VaultSettings,
    credential_type: &str,
    value: &str,
) -> DocumentId {
    let id = documents.new_id(&workspace());
    let credential_type: CredentialType = credential_type.parse().unwrap();
    let purpose = purpose(&workspace(), &id, credential_type);
    let credential = Credential {
        name: "main".to_owned(),
        r#type: credential_type,
        description: None,
        schema_type: None,
        masked: String::new(),
        sealed: Vault::new(settings).seal(&purpose, &Secret::new(value.to_owned())).unwrap(),
        check: None,
        created_by: None,
    };
    let document = Document {
        id: id.clone(),
        workspace_id: workspace(),
        version: 1,
        created_at: Timestamp::UNIX_EPOCH,
        updated_at: Timestamp::UNIX_EPOCH,
        used_at: None,
        json: serde_json::to_string(&credential).unwrap(),
    };
    let label = Labelling::IfFree(credential_type.as_str());
    documents.create(DocumentKind::Credential, &document, Some(label), 100).await.unwrap();
    id
}

fn opener(documents: &Arc<MemoryDocuments>, settings: &VaultSettings) -> StoredCredentials {
    let keyring = Keyring::new([(Provider::Fal, Secret::new("of the settings".to_owned()))]);
    StoredCredentials::new(documents.clone(), settings, keyring)
}

async fn open(
    opener: &StoredCredentials,
    provider: Provider,
    id: Option<&DocumentId>,
) -> Result<String, CredentialError> {
    let found = opener.open(&workspace(), provider, id.map(DocumentId::as_str)).await;
    found.map(|key| key.0.expose().clone())
}

#[tokio::test]
async fn the_named_one_then_the_default_then_the_key_of_the_settings() {
    let (documents, settings) = (Arc::new(MemoryDocuments::default()), settings());
    let opener = opener(&documents, &settings);
    keep(&documents, &settings, "luma", "luma default").await;
    let other = keep(&documents, &settings, "luma", "luma other").await;
    assert_eq!(open(&opener, Provider::Luma, None).await.unwrap(), "luma default");
    assert_eq!(open(&opener, Provider::Luma, Some(&other)).await.unwrap(), "luma other");
    assert_eq!(open(&opener, Provider::Fal, None).await.unwrap(), "of the settings");
    let missing = open(&opener, Provider::Runway, None).await;
    assert!(matches!(missing, Err(CredentialError::Missing { provider: Provider::Runway })));
}

#[tokio::test]
async fn a_credential_of_another_provider_or_workspace_is_unknown() {
    let (documents, settings) = (Arc::new(MemoryDocuments::default()), settings());
    let opener = opener(&documents, &settings);
    let luma = keep(&documents, &settings, "luma", "luma key").await;
    // Also where the settings have a key: who names a credential must not be charged on another.
    let wrong = open(&opener, Provider::Fal, Some(&luma)).await;
    assert!(matches!(wrong, Err(CredentialError::Unknown { .. })));
    let foreign = opener.open(&"beta".parse().unwrap(), Provider::Luma, Some(luma.as_str())).await;
    assert!(matches!(foreign, Err(CredentialError::Unknown { .. })));
    let none = opener.open(&"beta".parse().unwrap(), Provider::Luma, Some("no id at all")).await;
    assert!(matches!(none, Err(CredentialError::Unknown { .. })));
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_used_again_for_a_while() {
    let (documents, settings) = (Arc::new(MemoryDocuments::default()), settings());
    let opener = opener(&documents, &settings);
    for _ in 0..10 {
        assert_eq!(open(&opener, Provider::Fal, None).await.unwrap(), "of the settings");
    }
    assert_eq!(documents.looked_up.load(Ordering::SeqCst), 1);
    keep(&documents, &settings, "fal", "stored").await;
    assert_eq!(open(&opener, Provider::Fal, None).await.unwrap(), "of the settings");
    tokio::time::advance(Duration::from_secs(6)).await;
    assert_eq!(open(&opener, Provider::Fal, None).await.unwrap(), "stored");
}

#[tokio::test]
async fn without_the_store_or_the_master_key_it_is_asked_again_later() {
    let (documents, with_key) = (Arc::new(MemoryDocuments::default()), settings());
    keep(&documents, &with_key, "fal", "stored").await;
    let other = opener(&documents, &settings());
    for _ in 0..2 {
        let sealed = open(&other, Provider::Fal, None).await;
        assert!(
            matches!(sealed, Err(CredentialError::Unavailable(_))),
            "never the key of the settings: {sealed:?}"
        );
    }
    let opener = opener(&documents, &with_key);
    documents.is_down.store(true, Ordering::SeqCst);
    assert!(matches!(open(&opener, Provider::Fal, None).await, Err(CredentialError::Unavailable(_))));
    documents.is_down.store(false, Ordering::SeqCst);
    assert_eq!(open(&opener, Provider::Fal, None).await.unwrap(), "stored");
}
