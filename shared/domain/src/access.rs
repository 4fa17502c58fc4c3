//! Who may do what: API keys, their scopes and their lives.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::Timestamp;
use crate::ids::DocumentId;

/// What every stored key begins with, so that people and scanners of leaked secrets know it when they see it.
pub const KEY_PREFIX: &str = "atl_";
/// Characters of the secret part: 32 random bytes in base64 for URLs.
pub const SECRET_CHARS: usize = 43;
/// Most keys of a workspace.
pub const KEYS_LIMIT: u32 = 1_000;

/// One right. A key has some of them; a route needs one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// See jobs, models and costs.
    JobsRead,
    /// Start, cancel, retry and decide about jobs.
    JobsWrite,
    /// See and download assets.
    AssetsRead,
    /// Upload and delete assets.
    AssetsWrite,
    /// See credentials, never their values.
    CredentialsRead,
    /// Store, change, check and delete credentials.
    CredentialsWrite,
    /// All of it, and the keys of the workspace.
    Admin,
}

impl Scope {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::JobsRead,
        Self::JobsWrite,
        Self::AssetsRead,
        Self::AssetsWrite,
        Self::CredentialsRead,
        Self::CredentialsWrite,
        Self::Admin,
    ];

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::JobsRead => "jobs:read",
            Self::JobsWrite => "jobs:write",
            Self::AssetsRead => "assets:read",
            Self::AssetsWrite => "assets:write",
            Self::CredentialsRead => "credentials:read",
            Self::CredentialsWrite => "credentials:write",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The rights of a key, at least one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct Scopes(Vec<Scope>);

/// Why words are no rights.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScopesError {
    /// There are none.
    #[error("no scope is named")]
    None,
    /// One is not known.
    #[error("`{word}` is no scope")]
    Unknown {
        /// The word, cut where it is long.
        word: String,
    },
}

impl Scopes {
    /// What scopes can be said, for messages.
    pub const EXPECTED: &str = "jobs:read, jobs:write, assets:read, assets:write, credentials:read, \
        credentials:write, a group as in `jobs:*`, or admin";

    /// All rights.
    pub fn all() -> Self {
        Self(vec![Scope::Admin])
    }

    /// Rights of words; `jobs:*` is both rights of jobs, and `*` is `admin`.
    pub fn parse<S: AsRef<str>>(words: impl IntoIterator<Item = S>) -> Result<Self, ScopesError> {
        let mut scopes = Vec::new();
        for word in words {
            let word = word.as_ref().trim();
            let is_meant = |scope: &Scope| match word.strip_suffix('*') {
                Some("") => *scope == Scope::Admin,
                Some(group) => group.ends_with(':') && scope.as_str().starts_with(group),
                None => scope.as_str() == word,
            };
            let meant: Vec<Scope> = Scope::ALL.into_iter().filter(is_meant).collect();
            if meant.is_empty() {
                return Err(ScopesError::Unknown { word: word.chars().take(64).collect() });
            }
            scopes.extend(meant);
        }
        scopes.sort_unstable();
        scopes.dedup();
        if scopes.is_empty() { Err(ScopesError::None) } else { Ok(Self(scopes)) }
    }

    /// Whether they hold this right.
    pub fn allow(&self, scope: Scope) -> bool {
        self.0.contains(&scope) || self.0.contains(&Scope::Admin)
    }

    /// Whether they hold all rights that `others` hold: nobody gives away what it does not have.
    pub fn cover(&self, others: &Self) -> bool {
        others.0.iter().all(|scope| self.allow(*scope))
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = Scope> + '_ {
        self.0.iter().copied()
    }
}

impl TryFrom<Vec<String>> for Scopes {
    type Error = ScopesError;

    fn try_from(words: Vec<String>) -> Result<Self, ScopesError> {
        Self::parse(words)
    }
}

impl From<Scopes> for Vec<String> {
    fn from(scopes: Scopes) -> Self {
        scopes.iter().map(|scope| scope.as_str().to_owned()).collect()
    }
}

/// What is kept of a key: never the key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ApiKey {
    /// What it is for, in its owner's words.
    pub name: String,
    /// Digest of the whole key, in hex. The key has 256 random bits, so that one round of hashing is enough.
    pub digest: String,
    /// What it may do.
    pub scopes: Scopes,
    /// From when on it lets nobody in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// Requests a second; the installation's limit when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_per_s: Option<u32>,
}

impl ApiKey {
    /// Whether this is the key. Takes the same time for every wrong one.
    pub fn is(&self, token: &KeyToken) -> bool {
        are_equal(self.digest.as_bytes(), token.digest().as_bytes())
    }

    /// Whether its time is over.
    pub fn has_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|end| end <= now)
    }
}

/// Whether two digests are equal. Takes the same time for all of one length.
pub fn are_equal(ours: &[u8], theirs: &[u8]) -> bool {
    let difference = ours.iter().zip(theirs).fold(0u8, |sum, (a, b)| sum | (a ^ b));
    std::hint::black_box(difference) == 0 && ours.len() == theirs.len()
}

/// A whole key, as its owner sends it: `atl_<id>_<secret>`. Shows nothing of itself.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyToken {
    id: DocumentId,
    text: String,
}

/// A text that is no key of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the text is no key of this service")]
pub struct NoKey;

impl KeyToken {
    /// The key of an id and its secret part, which must be [`SECRET_CHARS`] characters of base64 for URLs.
    pub fn new(id: &DocumentId, secret: &str) -> Result<Self, NoKey> {
        format!("{KEY_PREFIX}{id}_{secret}").parse()
    }

    /// Which document tells about it.
    pub fn id(&self) -> &DocumentId {
        &self.id
    }

    /// The key itself: for its owner, once.
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// What is kept in its place.
    pub fn digest(&self) -> String {
        Sha256::digest(&self.text).iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl FromStr for KeyToken {
    type Err = NoKey;

    fn from_str(text: &str) -> Result<Self, NoKey> {
        let rest = text.strip_prefix(KEY_PREFIX).ok_or(NoKey)?;
        let (id, secret) = rest.split_once('_').ok_or(NoKey)?;
        let is_secret = secret.len() == SECRET_CHARS
            && secret.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        match (id.parse(), is_secret) {
            (Ok(id), true) => Ok(Self { id, text: text.to_owned() }),
            (Ok(_) | Err(_), _) => Err(NoKey),
        }
    }
}

impl fmt::Debug for KeyToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyToken({})", self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scopes(words: &[&str]) -> Result<Scopes, ScopesError> {
        Scopes::parse(words.iter())
    }

    #[test]
    fn a_group_is_all_rights_of_one_thing() {
        let jobs = scopes(&["jobs:*", "jobs:read"]).unwrap();
        assert_eq!(jobs.iter().collect::<Vec<_>>(), [Scope::JobsRead, Scope::JobsWrite]);
        assert!(jobs.allow(Scope::JobsWrite) && !jobs.allow(Scope::AssetsRead));
        assert_eq!(scopes(&["*"]).unwrap(), Scopes::all());
    }

    #[test]
    fn the_admin_has_every_right() {
        assert!(Scope::ALL.into_iter().all(|scope| Scopes::all().allow(scope)));
    }

    #[test]
    fn nobody_gives_away_what_it_does_not_have() {
        let jobs = scopes(&["jobs:*"]).unwrap();
        assert!(jobs.cover(&scopes(&["jobs:read"]).unwrap()));
        assert!(!jobs.cover(&scopes(&["jobs:read", "assets:read"]).unwrap()));
        assert!(!jobs.cover(&Scopes::all()));
        assert!(Scopes::all().cover(&jobs));
    }

    #[test]
    fn other_words_are_refused() {
        assert_eq!(scopes(&[]), Err(ScopesError::None));
        for word in ["jobs", "jobs:", "j*", ":*", "jobs:read:*", "Admin", ""] {
            assert_eq!(scopes(&[word]), Err(ScopesError::Unknown { word: word.to_owned() }), "{word}");
        }
    }

    #[test]
    fn a_key_is_known_by_its_digest_and_by_nothing_else() {
        let id = DocumentId::new();
        let token = KeyToken::new(&id, &"a".repeat(SECRET_CHARS)).unwrap();
        let key = ApiKey {
            name: "ci".to_owned(),
            digest: token.digest(),
            scopes: Scopes::all(),
            expires_at: None,
            rate_per_s: None,
        };
        assert!(key.is(&token.expose().parse().unwrap()));
        assert!(!key.is(&KeyToken::new(&id, &"b".repeat(SECRET_CHARS)).unwrap()));
        assert!(!ApiKey { digest: String::new(), ..key.clone() }.is(&token));
        assert!(!serde_json::to_string(&key).unwrap().contains("aaaa"));
        assert!(!format!("{token:?}").contains("aaaa"));
    }

    #[test]
    fn the_end_of_its_time_is_no_part_of_it() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let key = ApiKey {
            name: String::new(),
            digest: String::new(),
            scopes: Scopes::all(),
            expires_at: Some(at("2026-11-25T10:00:00Z")),
            rate_per_s: None,
        };
        assert!(!key.has_expired(at("2026-11-25T09:59:59Z")));
        assert!(key.has_expired(at("2026-11-25T10:00:00Z")));
    }

    #[test]
    fn a_text_of_another_form_is_no_key() {
        let id = DocumentId::new();
        let secret = "s".repeat(SECRET_CHARS);
        for text in [
            format!("atl_{id}_{secret}x"),
            format!("atl_{id}{secret}"),
            format!("atl_{id}_{}!", "s".repeat(SECRET_CHARS - 1)),
            format!("sk_{id}_{secret}"),
            format!("atl_short_{secret}"),
            String::new(),
        ] {
            assert!(text.parse::<KeyToken>().is_err(), "{text}");
        }
    }
}
