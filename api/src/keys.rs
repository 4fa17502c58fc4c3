//! API keys of the settings. Only their digests are kept, so that neither a log nor a core dump of the settings shows one.

use std::fmt;
use std::sync::Arc;

use atelier_domain::access::are_equal;
use atelier_domain::ids::WorkspaceId;
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use sha2::{Digest, Sha256};

type KeyDigest = [u8; 32];

/// Which key belongs to which workspace. A workspace may have several, so that a key can be changed without a gap.
///
/// In settings it is a section, `"the key" = "workspace"`, or a text with one `key=workspace` a line (commas separate
/// as well), which suits a mounted secret. In place of a key its digest may stand: `sha256:<64 hex digits>`.
#[derive(Clone, Default)]
pub struct ApiKeys(Arc<[(KeyDigest, WorkspaceId)]>);

/// Why a list of keys cannot be read. Holds no key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ApiKeysError {
    /// Entry `position`, from 1, is not `key=workspace`.
    NoPair {
        /// Which entry.
        position: usize,
    },
    /// The key of an entry is empty, or has a blank or a character that no header takes.
    BadKey {
        /// For which workspace.
        workspace: String,
    },
    /// The digest of an entry does not have 64 hex digits.
    BadDigest {
        /// For which workspace.
        workspace: String,
    },
    /// The workspace of an entry has no name that can stand in a path.
    BadWorkspace {
        /// In words.
        problem: String,
    },
    /// Two entries have the same key.
    Twice {
        /// The workspace of the second.
        workspace: String,
    },
}

impl fmt::Display for ApiKeysError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPair { position } => write!(f, "entry {position} is not `key=workspace`"),
            Self::BadKey { workspace } => {
                write!(
                    f,
                    "the key of workspace `{workspace}` is empty or has a character that no header takes"
                )
            }
            Self::BadDigest { workspace } => {
                write!(f, "the digest of workspace `{workspace}` is not `sha256:` and 64 hex digits")
            }
            Self::BadWorkspace { problem } => f.write_str(problem),
            Self::Twice { workspace } => write!(f, "the key of workspace `{workspace}` stands twice"),
        }
    }
}

impl std::error::Error for ApiKeysError {}

impl ApiKeys {
    /// Keys and their workspaces.
    pub fn new<K: AsRef<str>, W: AsRef<str>>(
        pairs: impl IntoIterator<Item = (K, W)>,
    ) -> Result<Self, ApiKeysError> {
        let mut entries: Vec<(KeyDigest, WorkspaceId)> = Vec::new();
        for (key, workspace) in pairs {
            let (key, name) = (key.as_ref(), workspace.as_ref());
            let workspace = name.parse().map_err(|problem| ApiKeysError::BadWorkspace { problem })?;
            let digest = digest_of_entry(key, name)?;
            if entries.iter().any(|(other, _)| *other == digest) {
                return Err(ApiKeysError::Twice { workspace: name.to_owned() });
            }
            entries.push((digest, workspace));
        }
        Ok(Self(entries.into()))
    }

    /// Keys of a text, see the type.
    pub fn from_text(text: &str) -> Result<Self, ApiKeysError> {
        let entries = text
            .split(['\n', ','])
            .map(str::trim)
            .filter(|entry| !entry.is_empty() && !entry.starts_with('#'));
        let pairs = entries.enumerate().map(|(index, entry)| {
            // From the right: a key may hold `=`, a workspace may not.
            let (key, workspace) =
                entry.rsplit_once('=').ok_or(ApiKeysError::NoPair { position: index + 1 })?;
            Ok((key.trim().to_owned(), workspace.trim().to_owned()))
        });
        Self::new(pairs.collect::<Result<Vec<_>, _>>()?)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The place of a key in the list, and its workspace. Looks at every entry in full, so that the time tells nothing.
    pub(crate) fn find(&self, key: &str) -> Option<(usize, &WorkspaceId)> {
        let given = digest(key);
        let mut found = None;
        for (place, (known, workspace)) in self.0.iter().enumerate() {
            if are_equal(known, &given) {
                found = Some((place, workspace));
            }
        }
        found
    }
}

impl fmt::Debug for ApiKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiKeys({})", self.0.len())
    }
}

fn digest(key: &str) -> KeyDigest {
    Sha256::digest(key).into()
}

fn digest_of_entry(key: &str, workspace: &str) -> Result<KeyDigest, ApiKeysError> {
    let Some(hex) = key.strip_prefix("sha256:") else {
        let is_fit = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_graphic());
        return if is_fit {
            Ok(digest(key))
        } else {
            Err(ApiKeysError::BadKey { workspace: workspace.to_owned() })
        };
    };
    let wrong = || ApiKeysError::BadDigest { workspace: workspace.to_owned() };
    let mut bytes = KeyDigest::default();
    if hex.len() != 64 || !hex.is_ascii() {
        return Err(wrong());
    }
    for (byte, digits) in bytes.iter_mut().zip(hex.as_bytes().chunks(2)) {
        let digits = std::str::from_utf8(digits).map_err(|_| wrong())?;
        *byte = u8::from_str_radix(digits, 16).map_err(|_| wrong())?;
    }
    Ok(bytes)
}

impl<'de> Deserialize<'de> for ApiKeys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(KeysVisitor)
    }
}

struct KeysVisitor;

impl<'de> Visitor<'de> for KeysVisitor {
    type Value = ApiKeys;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a section of key = workspace, or a text with one key=workspace a line")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<ApiKeys, E> {
        ApiKeys::from_text(text).map_err(E::custom)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ApiKeys, A::Error> {
        let mut pairs: Vec<(String, String)> = Vec::new();
        // Any value is read first: the error of a wrong type would name its path, and the path holds the key.
        while let Some((key, value)) = map.next_entry::<String, Value>()? {
            let Value::String(workspace) = value else {
                return Err(A::Error::custom("the workspace of an API key is not a text"));
            };
            pairs.push((key, workspace));
        }
        ApiKeys::new(pairs).map_err(A::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name_of(keys: &ApiKeys, key: &str) -> Option<String> {
        keys.find(key).map(|(_, workspace)| workspace.to_string())
    }

    #[test]
    fn a_section_and_a_text_say_the_same() {
        let section: ApiKeys = serde_json::from_str(r#"{"Key-1": "acme", "k=2=": "beta"}"#).unwrap();
        let text: ApiKeys = serde_json::from_str(r##""# keys\nKey-1=acme\n\nk=2==beta\n""##).unwrap();
        for keys in [section, text] {
            assert_eq!(name_of(&keys, "Key-1").as_deref(), Some("acme"));
            assert_eq!(name_of(&keys, "k=2=").as_deref(), Some("beta"));
            assert_eq!(name_of(&keys, "key-1"), None);
            assert_eq!(name_of(&keys, ""), None);
        }
    }

    #[test]
    fn a_digest_stands_for_its_key() {
        let digest = "2c70e12b7a0646f92279f427c7b38e7334d8e5389cff167a1dc30e73f826b683"; // of "key"
        let keys = ApiKeys::from_text(&format!("sha256:{digest}=acme")).unwrap();
        assert_eq!(name_of(&keys, "key").as_deref(), Some("acme"));
        assert_eq!(name_of(&keys, &format!("sha256:{digest}")), None);
    }

    #[test]
    fn inv7_no_key_stands_in_debug_or_an_error() {
        let keys = ApiKeys::new([("secret-key", "acme")]).unwrap();
        assert_eq!(format!("{keys:?}"), "ApiKeys(1)");
        for text in [
            "secret-key",
            "secret key=acme",
            "secret-key=Acme!",
            "sha256:secret=acme",
            "secret-key=a,secret-key=b",
            "=acme",
        ] {
            let error = ApiKeys::from_text(text).unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
