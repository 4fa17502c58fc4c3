//! Who comes: keys of the settings and stored ones, their rights, and how often each may ask.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use atelier_domain::Timestamp;
use atelier_domain::access::{ApiKey, KeyToken, Scope, Scopes};
use atelier_domain::error::chain;
use atelier_domain::ids::{DocumentId, WorkspaceId};
use atelier_domain::ports::{Document, DocumentKind};
use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use tokio::time::Instant;
use tracing::{error, warn};

use crate::error::ApiError;
use crate::settings::ApiSettings;
use crate::state::ApiState;

/// Stored keys that are known at the same time. Beyond it all are forgotten, limits excepted: a flood of made-up keys must
/// not take memory.
const KNOWN_LIMIT: usize = 10_000;
/// A use of a key is noted that often at most.
const NOTED_EVERY: Duration = Duration::from_secs(60);

const NO_KEY: &str = "an API key is needed: `X-API-Key: <key>` or `Authorization: Bearer <key>`";
const UNKNOWN_KEY: &str = "the API key is not known";
const EXPIRED_KEY: &str = "the API key has expired";

/// Who has come in.
#[derive(Debug, Clone)]
pub(crate) struct Visitor {
    /// Whose data it may see.
    pub(crate) workspace: WorkspaceId,
    /// What it may do.
    pub(crate) scopes: Scopes,
    /// Which stored key it has; absent for one of the settings.
    pub(crate) key_id: Option<DocumentId>,
}

/// A stored key, or that there is none, and since when that is known.
type Known = (Instant, Option<Arc<Stored>>);
/// Counts the requests of a key up to a rate a second.
type Counter = (NonZeroU32, Arc<DefaultDirectRateLimiter>);

/// Remembers stored keys and counts requests.
pub(crate) struct Door {
    known: Mutex<HashMap<DocumentId, Known>>,
    counters: Mutex<HashMap<KeyName, Counter>>,
    kept_for: Duration,
    usual_rate: Option<NonZeroU32>,
}

/// Which key it is: a place in the settings, or a document.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum KeyName {
    Settings(usize),
    Stored(DocumentId),
}

struct Stored {
    id: DocumentId,
    workspace: WorkspaceId,
    key: ApiKey,
    /// When a use of it was noted last, in ms.
    noted_ms: AtomicI64,
}

impl Door {
    pub(crate) fn new(settings: &ApiSettings) -> Self {
        Self {
            known: Mutex::default(),
            counters: Mutex::default(),
            kept_for: Duration::from_millis(settings.key_cache_ms),
            usual_rate: NonZeroU32::new(settings.rate_per_s),
        }
    }

    /// A key that has just been revoked or made here is looked up anew; other processes do so within the time that keys
    /// are kept for.
    pub(crate) fn forget(&self, id: &DocumentId) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
    }

    fn known(&self, id: &DocumentId) -> Option<Option<Arc<Stored>>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, stored) = known.get(id)?;
        (since.elapsed() < self.kept_for).then(|| stored.clone())
    }

    fn remember(&self, id: &DocumentId, found: Option<Stored>) -> Option<Arc<Stored>> {
        let found = found.map(Arc::new);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KNOWN_LIMIT {
            known.clear();
        }
        known.insert(id.clone(), (Instant::now(), found.clone()));
        found
    }

    /// Counts a request of a key, or tells how long it must wait.
    fn count(&self, name: KeyName, own_rate: Option<u32>) -> Result<(), ApiError> {
        let Some(rate) = own_rate.and_then(NonZeroU32::new).or(self.usual_rate) else { return Ok(()) };
        let counter = {
            let mut counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
            let made = || (rate, Arc::new(RateLimiter::direct(Quota::per_second(rate))));
            let entry = counters.entry(name).or_insert_with(made);
            if entry.0 != rate {
                *entry = made();
            }
            entry.1.clone()
        };
        counter.check().map_err(|refusal| {
            let wait = refusal.wait_time_from(DefaultClock::default().now());
            ApiError::TooManyRequests {
                message: format!(
                    "the key may make {rate} requests a second; the next one is free in {:.3} s",
                    wait.as_secs_f64()
                ),
                wait,
            }
        })
    }
}

impl ApiState {
    /// Who has this key, if it may do what needs `scope`.
    pub(crate) async fn visitor(&self, key: Option<&str>, scope: Scope) -> Result<Visitor, ApiError> {
        let key = key.ok_or(ApiError::Unauthorized { message: NO_KEY })?;
        let (name, rate, visitor) = match self.keys.find(key) {
            Some((place, workspace)) => {
                let visitor = Visitor { workspace: workspace.clone(), scopes: Scopes::all(), key_id: None };
                (KeyName::Settings(place), None, visitor)
            }
            None => {
                let stored = self.stored(key).await?;
                let visitor = Visitor {
                    workspace: stored.workspace.clone(),
                    scopes: stored.key.scopes.clone(),
                    key_id: Some(stored.id.clone()),
                };
                (KeyName::Stored(stored.id.clone()), stored.key.rate_per_s, visitor)
            }
        };
        self.door().count(name, rate)?;
        if visitor.scopes.allow(scope) {
            return Ok(visitor);
        }
        let own = visitor.scopes.iter().map(Scope::as_str).collect::<Vec<_>>().join(", ");
        Err(ApiError::Forbidden { message: format!("the API key has the scopes {own}; this needs {scope}") })
    }

    /// The stored key that this text is. One of another form costs no look-up.
    async fn stored(&self, text: &str) -> Result<Arc<Stored>, ApiError> {
        let unknown = || ApiError::Unauthorized { message: UNKNOWN_KEY };
        let token: KeyToken = text.parse().map_err(|_| unknown())?;
        let stored = match self.door().known(token.id()) {
            Some(known) => known,
            None => {
                let found = self.documents.of_any_workspace(DocumentKind::ApiKey, token.id()).await?;
                self.door().remember(token.id(), found.and_then(read))
            }
        };
        let stored = stored.filter(|stored| stored.key.is(&token)).ok_or_else(unknown)?;
        let now = self.time.now();
        if stored.key.has_expired(now) {
            return Err(ApiError::Unauthorized { message: EXPIRED_KEY });
        }
        self.note_use(&stored, now).await;
        Ok(stored)
    }

    /// Notes the use of a key, now and then. Nobody is kept out because that failed.
    async fn note_use(&self, stored: &Stored, now: Timestamp) {
        let (noted, now_ms) = (stored.noted_ms.load(Ordering::Relaxed), now.as_millisecond());
        let pause_ms = i64::try_from(NOTED_EVERY.as_millis()).unwrap_or(i64::MAX);
        if now_ms.saturating_sub(noted) < pause_ms {
            return;
        }
        stored.noted_ms.store(now_ms, Ordering::Relaxed);
        if let Err(cause) = self.documents.touch(DocumentKind::ApiKey, &stored.id, now).await {
            warn!(error = chain(&cause), key.id = %stored.id, "use of an api key was not noted");
        }
    }
}

fn read(document: Document) -> Option<Stored> {
    match serde_json::from_str(&document.json) {
        Ok(key) => Some(Stored {
            id: document.id,
            workspace: document.workspace_id,
            key,
            noted_ms: AtomicI64::new(document.used_at.map_or(0, Timestamp::as_millisecond)),
        }),
        Err(cause) => {
            error!(error = chain(&cause), key.id = %document.id, "api key cannot be read");
            None
        }
    }
}
