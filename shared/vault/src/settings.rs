//! The `[vault]` section.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use zeroize::Zeroizing;

/// Bytes of a master key.
pub(crate) const KEY_BYTES: usize = 32;

/// With which keys stored secrets are sealed. Without any, nothing is stored, and credentials cannot be created.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct VaultSettings {
    /// The master keys by name, see [`MasterKeys`]. None.
    pub master_keys: MasterKeys,
    /// The name of the key that seals from now on; the others only open. The one key's name when there is one.
    pub active_key: Option<String>,
    /// For how long an opened credential, or the answer that there is none, is used without looking again, in
    /// milliseconds. 5000: a changed key counts within seconds, and a job costs no look-up of its own.
    pub cache_ms: Option<u64>,
}

/// Default of [`VaultSettings::cache_ms`].
pub(crate) const CACHE_MS: u64 = 5_000;

impl VaultSettings {
    /// What makes no sense: key, problem, and what would be right.
    pub fn problems(&self) -> Vec<(String, String, &'static str)> {
        let mut problems = Vec::new();
        match &self.active_key {
            Some(name) if self.master_keys.get(name).is_none() => {
                problems.push((
                    "active_key".to_owned(),
                    format!("is `{name}`, which is none of the master keys"),
                    "the name of one of them would be right",
                ));
            }
            None if self.master_keys.len() > 1 => {
                problems.push((
                    "active_key".to_owned(),
                    "is missing, and there are several master keys".to_owned(),
                    "the name of the one that seals from now on would be right",
                ));
            }
            Some(_) | None => {}
        }
        if self.cache_ms.is_some_and(|millis| millis > 600_000) {
            problems.push(("cache_ms".to_owned(), "is long".to_owned(), "at most 600000 would be right"));
        }
        problems
    }

    /// The name of the key that seals; `None` where there is none.
    pub(crate) fn active(&self) -> Option<&str> {
        self.active_key.as_deref().or_else(|| self.master_keys.only())
    }
}

/// Master keys by name: 32 random bytes each, in base64.
///
/// In settings they are a section, `"2026-11" = "<base64>"`, or a text with one `name=base64` a line (commas separate as
/// well), which suits a mounted secret.
#[derive(Clone, Default)]
pub struct MasterKeys(Arc<BTreeMap<String, Zeroizing<[u8; KEY_BYTES]>>>);

/// Why master keys cannot be read. Holds no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MasterKeysError {
    /// An entry is not `name=key`.
    #[error("entry {position} is not `name=key`")]
    NoPair {
        /// Which entry, from 1.
        position: usize,
    },
    /// A name that cannot stand in a record.
    #[error("entry {position} has a name that is not 1 to 64 of a-z, A-Z, 0-9, `.`, `_` and `-`")]
    BadName {
        /// Which entry, from 1.
        position: usize,
    },
    /// A key that is none.
    #[error("the master key `{name}` is not 32 bytes in base64")]
    BadKey {
        /// Its name.
        name: String,
    },
    /// Two entries have one name.
    #[error("the master key `{name}` stands twice")]
    Twice {
        /// Its name.
        name: String,
    },
}

impl MasterKeys {
    /// Keys of pairs of a name and base64.
    pub fn new<N: AsRef<str>, K: AsRef<str>>(
        pairs: impl IntoIterator<Item = (N, K)>,
    ) -> Result<Self, MasterKeysError> {
        let mut keys = BTreeMap::new();
        for (index, (name, key)) in pairs.into_iter().enumerate() {
            let name = name.as_ref().to_owned();
            let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
            if !(1..=64).contains(&name.len()) || !name.bytes().all(fits) {
                return Err(MasterKeysError::BadName { position: index + 1 });
            }
            let bytes = STANDARD.decode(key.as_ref()).map(Zeroizing::new).ok();
            let Some(bytes) = bytes.and_then(|bytes| <[u8; KEY_BYTES]>::try_from(bytes.as_slice()).ok())
            else {
                return Err(MasterKeysError::BadKey { name });
            };
            if keys.insert(name.clone(), Zeroizing::new(bytes)).is_some() {
                return Err(MasterKeysError::Twice { name });
            }
        }
        Ok(Self(keys.into()))
    }

    /// Keys of a text, see the type.
    pub fn from_text(text: &str) -> Result<Self, MasterKeysError> {
        let entries = text
            .split(['\n', ','])
            .map(str::trim)
            .filter(|entry| !entry.is_empty() && !entry.starts_with('#'));
        let pairs = entries.enumerate().map(|(index, entry)| {
            // From the left: base64 may end with `=`, a name has none.
            let (name, key) = entry.split_once('=').ok_or(MasterKeysError::NoPair { position: index + 1 })?;
            Ok((name.trim().to_owned(), key.trim().to_owned()))
        });
        Self::new(pairs.collect::<Result<Vec<_>, _>>()?)
    }

    pub(crate) fn get(&self, name: &str) -> Option<&[u8; KEY_BYTES]> {
        self.0.get(name).map(|key| &**key)
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    /// The name of the one key, if there is one.
    fn only(&self) -> Option<&str> {
        self.0.keys().next().filter(|_| self.0.len() == 1).map(String::as_str)
    }
}

impl fmt::Debug for MasterKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MasterKeys({})", self.0.len())
    }
}

impl<'de> Deserialize<'de> for MasterKeys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(KeysVisitor)
    }
}

struct KeysVisitor;

impl<'de> Visitor<'de> for KeysVisitor {
    type Value = MasterKeys;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a section of name = key, or a text with one name=key a line")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<MasterKeys, E> {
        MasterKeys::from_text(text).map_err(E::custom)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<MasterKeys, A::Error> {
        let mut pairs: Vec<(String, String)> = Vec::new();
        while let Some((name, value)) = map.next_entry::<String, Value>()? {
            let Value::String(key) = value else {
                return Err(A::Error::custom("a master key is not a text"));
            };
            pairs.push((name, key));
        }
        MasterKeys::new(pairs).map_err(A::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base64(byte: u8) -> String {
        STANDARD.encode([byte; KEY_BYTES])
    }

    #[test]
    fn a_section_and_a_text_say_the_same() {
        let section: MasterKeys =
            serde_json::from_str(&format!(r#"{{"a": "{}", "b.2": "{}"}}"#, base64(1), base64(2))).unwrap();
        let text = MasterKeys::from_text(&format!("# keys\na={}\nb.2 = {}\n", base64(1), base64(2))).unwrap();
        for keys in [section, text] {
            assert_eq!(keys.get("a"), Some(&[1; KEY_BYTES]));
            assert_eq!(keys.get("b.2"), Some(&[2; KEY_BYTES]));
            assert_eq!(keys.get("c"), None);
        }
    }

    #[test]
    fn inv7_no_key_stands_in_debug_or_an_error() {
        let keys = MasterKeys::new([("a", base64(1))]).unwrap();
        assert_eq!(format!("{keys:?}"), "MasterKeys(1)");
        let short = STANDARD.encode([7; 16]);
        for text in [short.clone(), format!("a={short}"), format!("ä={short}"), "=x".to_owned()] {
            let error = MasterKeys::from_text(&text).unwrap_err().to_string();
            assert!(!error.contains(&short), "{error}");
        }
        let twice = format!("a={},a={}", base64(1), base64(2));
        assert_eq!(MasterKeys::from_text(&twice).unwrap_err().to_string(), "the master key `a` stands twice");
    }

    #[test]
    fn several_keys_need_the_name_of_the_one_that_seals() {
        let one = MasterKeys::new([("a", base64(1))]).unwrap();
        let two = MasterKeys::new([("a", base64(1)), ("b", base64(2))]).unwrap();
        let settings = |master_keys: &MasterKeys, active: Option<&str>| VaultSettings {
            master_keys: master_keys.clone(),
            active_key: active.map(str::to_owned),
            cache_ms: None,
        };
        assert_eq!(settings(&one, None).active(), Some("a"));
        assert!(
            settings(&one, None).problems().is_empty() && settings(&two, Some("b")).problems().is_empty()
        );
        assert_eq!(settings(&two, None).problems().len(), 1);
        assert_eq!(settings(&two, Some("c")).problems().len(), 1);
        assert_eq!(VaultSettings::default().active(), None);
    }
}
