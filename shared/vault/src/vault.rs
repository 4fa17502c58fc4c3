//! Envelopes: XChaCha20-Poly1305 with a random nonce of 24 bytes, so that any number of secrets may be sealed with one
//! key. The purpose of a secret is authenticated with it.

use atelier_domain::seal::{SealError, Sealed, Sealing};
use atelier_domain::secret::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::aead::{Aead as _, Payload};
use chacha20poly1305::{KeyInit as _, XChaCha20Poly1305, XNonce};
use zeroize::Zeroizing;

use crate::settings::{KEY_BYTES, MasterKeys, VaultSettings};

const NONCE_BYTES: usize = 24;

/// Seals and opens with the master keys of the settings. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Vault {
    keys: MasterKeys,
    active: Option<String>,
}

impl Vault {
    /// A vault with these keys; without any it seals nothing.
    pub fn new(settings: &VaultSettings) -> Self {
        let active = settings.active().filter(|name| settings.master_keys.get(name).is_some());
        Self { keys: settings.master_keys.clone(), active: active.map(str::to_owned) }
    }

    fn master(&self, name: &str) -> Result<&[u8; KEY_BYTES], SealError> {
        self.keys.get(name).ok_or_else(|| SealError::UnknownMaster { master: name.to_owned() })
    }

    fn active(&self) -> Result<(&str, &[u8; KEY_BYTES]), SealError> {
        let name = self.active.as_deref().ok_or(SealError::NoMasterKey)?;
        Ok((name, self.master(name)?))
    }

    fn open_key(&self, purpose: &str, sealed: &Sealed) -> Result<Zeroizing<Vec<u8>>, SealError> {
        unlock(self.master(&sealed.master)?, &of_key(purpose, &sealed.master), &sealed.key)
    }
}

/// A new master key as it stands in settings.
pub fn new_master_key() -> String {
    STANDARD.encode(*Zeroizing::new(rand::random::<[u8; KEY_BYTES]>()))
}

/// What is authenticated with the envelope's own key: also the master key's name, so that none is taken for another.
fn of_key(purpose: &str, master: &str) -> String {
    format!("atelier/key/{master}/{purpose}")
}

fn of_text(purpose: &str) -> String {
    format!("atelier/secret/{purpose}")
}

fn lock(key: &[u8], purpose: &str, bytes: &[u8]) -> Result<String, SealError> {
    let cipher = XChaCha20Poly1305::new_from_slice(key).map_err(|_| SealError::Broken)?;
    let nonce = rand::random::<[u8; NONCE_BYTES]>();
    let payload = Payload { msg: bytes, aad: purpose.as_bytes() };
    let locked = cipher.encrypt(XNonce::from_slice(&nonce), payload).map_err(|_| SealError::Broken)?;
    Ok(STANDARD.encode([nonce.as_slice(), &locked].concat()))
}

fn unlock(key: &[u8], purpose: &str, text: &str) -> Result<Zeroizing<Vec<u8>>, SealError> {
    let cipher = XChaCha20Poly1305::new_from_slice(key).map_err(|_| SealError::Broken)?;
    let bytes = STANDARD.decode(text).map_err(|_| SealError::Broken)?;
    let (nonce, locked) = bytes.split_at_checked(NONCE_BYTES).ok_or(SealError::Broken)?;
    let payload = Payload { msg: locked, aad: purpose.as_bytes() };
    let opened = cipher.decrypt(XNonce::from_slice(nonce), payload).map_err(|_| SealError::Broken)?;
    Ok(Zeroizing::new(opened))
}

impl Sealing for Vault {
    fn seal(&self, purpose: &str, secret: &Secret<String>) -> Result<Sealed, SealError> {
        let (name, master) = self.active()?;
        let own = Zeroizing::new(rand::random::<[u8; KEY_BYTES]>());
        Ok(Sealed {
            master: name.to_owned(),
            key: lock(master, &of_key(purpose, name), own.as_slice())?,
            text: lock(own.as_slice(), &of_text(purpose), secret.expose().as_bytes())?,
        })
    }

    fn open(&self, purpose: &str, sealed: &Sealed) -> Result<Secret<String>, SealError> {
        let own = self.open_key(purpose, sealed)?;
        let opened = unlock(&own, &of_text(purpose), &sealed.text)?;
        String::from_utf8(opened.to_vec()).map(Secret::new).map_err(|_| SealError::Broken)
    }

    fn reseal(&self, purpose: &str, sealed: &Sealed) -> Result<Option<Sealed>, SealError> {
        let (name, master) = self.active()?;
        if sealed.master == name {
            return Ok(None);
        }
        let own = self.open_key(purpose, sealed)?;
        let key = lock(master, &of_key(purpose, name), &own)?;
        Ok(Some(Sealed { master: name.to_owned(), key, text: sealed.text.clone() }))
    }

    fn master_in_use(&self) -> Option<&str> {
        self.active.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vault(names: &[&str], active: &str) -> Vault {
        let keys = names.iter().map(|name| (*name, STANDARD.encode([name.len() as u8; KEY_BYTES])));
        Vault::new(&VaultSettings {
            master_keys: MasterKeys::new(keys).unwrap(),
            active_key: Some(active.to_owned()),
            cache_ms: None,
        })
    }

    fn secret() -> Secret<String> {
        Secret::new("hunter2".to_owned())
    }

    #[test]
    fn inv7_what_is_sealed_comes_back_and_shows_nothing() {
        let vault = vault(&["a"], "a");
        let sealed = vault.seal("credential/acme/1", &secret()).unwrap();
        assert_eq!(vault.open("credential/acme/1", &sealed).unwrap().expose(), "hunter2");
        let json = serde_json::to_string(&sealed).unwrap();
        assert!(!json.contains("hunter2") && !json.contains(&STANDARD.encode("hunter2")), "{json}");
        let again = vault.seal("credential/acme/1", &secret()).unwrap();
        assert!(again.key != sealed.key && again.text != sealed.text, "no two seals are alike");
    }

    #[test]
    fn in_anothers_place_it_does_not_open() {
        let vault = vault(&["a"], "a");
        let sealed = vault.seal("credential/acme/1", &secret()).unwrap();
        assert_eq!(vault.open("credential/beta/1", &sealed), Err(SealError::Broken));
        let other = vault.seal("credential/acme/1", &secret()).unwrap();
        let mixed = Sealed { key: other.key, ..sealed.clone() };
        assert_eq!(vault.open("credential/acme/1", &mixed), Err(SealError::Broken));
        let cut: String = sealed.text.chars().skip(4).collect();
        for broken in ["", "!", "AAAA", &cut] {
            let broken = Sealed { text: broken.to_owned(), ..sealed.clone() };
            assert_eq!(vault.open("credential/acme/1", &broken), Err(SealError::Broken), "{broken:?}");
        }
    }

    #[test]
    fn a_new_master_key_takes_over_and_the_old_one_is_needed_no_more() {
        let sealed = vault(&["a"], "a").seal("p", &secret()).unwrap();
        let both = vault(&["a", "bb"], "bb");
        let moved = both.reseal("p", &sealed).unwrap().unwrap();
        assert_eq!((moved.master.as_str(), &moved.text), ("bb", &sealed.text));
        assert_eq!(both.reseal("p", &moved), Ok(None));
        assert_eq!(vault(&["bb"], "bb").open("p", &moved).unwrap().expose(), "hunter2");
        assert_eq!(
            vault(&["bb"], "bb").open("p", &sealed),
            Err(SealError::UnknownMaster { master: "a".to_owned() })
        );
    }

    #[test]
    fn a_key_under_another_name_opens_nothing() {
        let sealed = vault(&["a"], "a").seal("p", &secret()).unwrap();
        let renamed = Sealed { master: "b".to_owned(), ..sealed };
        assert_eq!(vault(&["b"], "b").open("p", &renamed), Err(SealError::Broken));
    }

    #[test]
    fn without_a_master_key_nothing_is_sealed() {
        assert_eq!(Vault::default().seal("p", &secret()), Err(SealError::NoMasterKey));
        assert_eq!(Vault::default().master_in_use(), None);
    }

    #[test]
    fn a_new_master_key_can_be_set_up() {
        let keys = MasterKeys::new([("a", new_master_key())]).unwrap();
        assert_ne!(keys.get("a"), MasterKeys::new([("a", new_master_key())]).unwrap().get("a"));
    }
}
