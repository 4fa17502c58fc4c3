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

            /// The first two bytes of the random part. A store that is divided keeps a job and its assets in the part
            /// that this number names: they are equal for a job and its assets, and evenly spread over jobs.
            pub fn spread(&self) -> u16 {
                let id = Ksuid::from_str(&self.0);
                let first = id.ok().and_then(|id| id.payload().first_chunk::<2>().copied());
                u16::from_be_bytes(first.unwrap_or_default())
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
ksuid_id! {
    /// One document of a workspace, such as an API key or a credential.
    DocumentId
}

impl JobId {
    /// A new id with this [`JobId::spread`]; all else is as random as in any other.
    pub fn with_spread(spread: u16) -> Self {
        let drawn = Ksuid::now(None);
        Self(with_spread(drawn.timestamp_raw(), drawn.payload(), spread))
    }
}

impl DocumentId {
    /// A new id with this [`DocumentId::spread`]; all else is as random as in any other.
    pub fn with_spread(spread: u16) -> Self {
        let drawn = Ksuid::now(None);
        Self(with_spread(drawn.timestamp_raw(), drawn.payload(), spread))
    }
}

/// The id of a time and a payload whose first two bytes are replaced.
fn with_spread(seconds: u32, payload: &[u8], spread: u16) -> String {
    let mut own = [0u8; 16];
    for (to, from) in own.iter_mut().zip(spread.to_be_bytes().iter().chain(payload.iter().skip(2))) {
        *to = *from;
    }
    Ksuid::new_raw(seconds, Some(&own)).to_string()
}

impl AssetId {
    /// The asset of `job` at `index`: the same job and index give the same id and so the same object key (INV-5),
    /// however often a delivery is repeated.
    pub fn of(job: &JobId, index: u16) -> Self {
        let digest = Sha256::digest(format!("{job}/{index}"));
        let seconds = Ksuid::from_str(job.as_str()).map(|id| id.timestamp_raw()).unwrap_or(0);
        Self(with_spread(seconds, &digest, job.spread()))
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
    fn an_asset_has_the_spread_of_its_job() {
        for job in (0..100).map(|_| JobId::new()) {
            assert_eq!(AssetId::of(&job, 0).spread(), job.spread());
            assert_eq!(AssetId::of(&job, 7).spread(), job.spread());
        }
    }

    #[test]
    fn an_id_can_be_drawn_with_a_given_spread() {
        for spread in [0, 1, 255, 256, u16::MAX] {
            let (one, other) = (JobId::with_spread(spread), JobId::with_spread(spread));
            assert_eq!((one.spread(), other.spread()), (spread, spread));
            assert_ne!(one, other);
            assert_eq!(one.to_string().parse::<JobId>(), Ok(one));
        }
    }

    #[test]
    fn new_ids_spread_evenly() {
        const PARTS: usize = 16;
        let mut counts = [0u32; PARTS];
        for _ in 0..16_000 {
            counts[usize::from(JobId::new().spread()) % PARTS] += 1;
        }
        // 1,000 each, with a standard deviation of 31: 8 of them are never seen by chance.
        assert!(counts.iter().all(|count| (750..1_250).contains(count)), "{counts:?}");
    }

    #[test]
    fn workspace_names_are_checked() {
        assert!("team-a_1".parse::<WorkspaceId>().is_ok());
        for text in ["", "Team", "a/b", "a:b", &"x".repeat(65)] {
            assert!(text.parse::<WorkspaceId>().is_err(), "{text}");
        }
    }
}
