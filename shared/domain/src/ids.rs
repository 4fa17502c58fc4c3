//! Identifiers: 27-character KSUIDs, sortable by second, as the published clients of the wire form expect them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use svix_ksuid::{Ksuid, KsuidLike as _};

/// Why a text is not an identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not an id: 27 letters and digits were expected")]
pub struct IdError {
    text: String,
}

macro_rules! ksuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// A new id; unique without coordination (128 random bits beside the second).
            pub fn new() -> Self {
                Self(Ksuid::now(None).to_string())
            }

            /// The 27 characters.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self::new()
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                match Ksuid::from_str(text) {
                    Ok(_) if text.len() == 27 => Ok(Self(text.to_owned())),
                    _ => Err(IdError { text: text.chars().take(40).collect() }),
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;

            fn try_from(text: String) -> Result<Self, IdError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

ksuid_id! {
    /// One job.
    JobId
}
ksuid_id! {
    /// One stored asset. See [`AssetId::of`].
    AssetId
}

impl AssetId {
    /// The asset of `job` at `index`: the same job and index give the same id and so the same object key (INV-5),
    /// however often a delivery is repeated.
    pub fn of(job: &JobId, index: u16) -> Self {
        let digest = Sha256::digest(format!("{job}/{index}"));
        let mut payload = [0u8; 16];
        payload.copy_from_slice(digest.first_chunk::<16>().unwrap_or(&[0; 16]));
        let seconds = Ksuid::from_str(job.as_str()).map(|id| id.timestamp_raw()).unwrap_or(0);
        Self(Ksuid::new_raw(seconds, Some(&payload)).to_string())
    }
}

/// A tenant. Names are given by the operator: 1 to 64 of `a-z 0-9 _ -`, so that one can stand in a key or a path.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct WorkspaceId(String);

impl WorkspaceId {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for WorkspaceId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
        if (1..=64).contains(&text.len()) && text.chars().all(fits) {
            Ok(Self(text.to_owned()))
        } else {
            Err(format!("`{text}` is not a workspace name: 1 to 64 of a-z, 0-9, _ and - were expected"))
        }
    }
}

impl TryFrom<String> for WorkspaceId {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<WorkspaceId> for String {
    fn from(id: WorkspaceId) -> String {
        id.0
    }
}

impl fmt::Display for WorkspaceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for WorkspaceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_27_characters_and_round_trip() {
        let id = JobId::new();
        assert_eq!(id.as_str().len(), 27);
        assert_eq!(id.to_string().parse::<JobId>(), Ok(id));
    }

    #[test]
    fn foreign_text_is_no_id() {
        for text in
            ["", "x", "../../etc/passwd", "0ujtsYcgvSTl8PAuAdqWYSMnLO!", "0ujtsYcgvSTl8PAuAdqWYSMnLOvv"]
        {
            assert!(text.parse::<JobId>().is_err(), "{text}");
        }
    }

    #[test]
    fn inv5_same_job_and_index_give_the_same_asset_id() {
        let job = JobId::new();
        assert_eq!(AssetId::of(&job, 0), AssetId::of(&job, 0));
        assert_ne!(AssetId::of(&job, 0), AssetId::of(&job, 1));
        assert_eq!(AssetId::of(&job, 0).as_str().len(), 27);
    }

    #[test]
    fn workspace_names_are_checked() {
        assert!("team-a_1".parse::<WorkspaceId>().is_ok());
        for text in ["", "Team", "a/b", "a:b", &"x".repeat(65)] {
            assert!(text.parse::<WorkspaceId>().is_err(), "{text}");
        }
    }
}
