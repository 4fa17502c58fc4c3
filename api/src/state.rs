//! What the handlers share.

use std::ops::Deref;
use std::sync::Arc;

use atelier_domain::Timestamp;
use atelier_domain::callback::CallbackAddresses;
use atelier_domain::catalogue::Catalogue;
use atelier_domain::foreign::Exceptions;
use atelier_domain::policy::Policy;
use atelier_domain::ports::{
    AssetBook, AssetStore, Callbacks, CostBook, Documents, JobEvents, JobStore, KeyCheck, Pauses, Spool,
    Telemetry, TimeSource,
};
use atelier_domain::seal::Sealing;
use tokio_util::sync::CancellationToken;

use crate::door::Door;
use crate::error::ApiError;
use crate::keys::ApiKeys;
use crate::large_bodies::LargeBodies;
use crate::settings::ApiSettings;
use crate::uploads::Uploads;

/// [`ApiParts`], shared: layers and handlers each take a clone, several in every request.
#[derive(Clone)]
pub struct ApiState(Arc<Shared>);

struct Shared {
    parts: ApiParts,
    door: Door,
}

impl ApiState {
    /// Of these parts.
    pub fn new(parts: ApiParts) -> Self {
        let door = Door::new(&parts.settings);
        Self(Arc::new(Shared { parts, door }))
    }

    /// Knows who comes.
    pub(crate) fn door(&self) -> &Door {
        &self.0.door
    }
}

impl Deref for ApiState {
    type Target = ApiParts;

    fn deref(&self) -> &ApiParts {
        &self.0.parts
    }
}

/// Everything a request needs.
pub struct ApiParts {
    /// Where jobs are kept.
    pub jobs: Arc<dyn JobStore>,
    /// What happens to them.
    pub events: Arc<dyn JobEvents>,
    /// What is held back.
    pub pauses: Arc<dyn Pauses>,
    /// What jobs have cost.
    pub costs: Arc<dyn CostBook>,
    /// Where media are kept.
    pub assets: Arc<dyn AssetStore>,
    /// The records of assets.
    pub asset_book: Arc<dyn AssetBook>,
    /// Uploads under way.
    pub uploads: Uploads,
    /// When it is.
    pub time: Arc<dyn TimeSource>,
    /// Spans that cross processes.
    pub telemetry: Arc<dyn Telemetry>,
    /// What is served.
    pub catalogue: Arc<Catalogue>,
    /// Where providers may call; absent where they may not.
    pub callbacks: Option<CallbackAddresses>,
    /// Judges what providers tell.
    pub judge: Arc<dyn Callbacks>,
    /// Keeps results that come with callbacks.
    pub spool: Arc<dyn Spool>,
    /// What follows from a callback.
    pub policy: Arc<Policy>,
    /// Memory for large bodies.
    pub large_bodies: LargeBodies,
    /// Who may ask, by the settings.
    pub keys: ApiKeys,
    /// Who else may ask, and the credentials.
    pub documents: Arc<dyn Documents>,
    /// Seals credentials.
    pub sealing: Arc<dyn Sealing>,
    /// Asks providers whether a key is good.
    pub key_check: Arc<dyn KeyCheck>,
    /// Hosts that inputs may come from although they are not public. Empty in production.
    pub exceptions: Arc<Exceptions>,
    /// Limits and defaults.
    pub settings: Arc<ApiSettings>,
    /// Cancelled when the process begins to end: `/readyz` answers 503 from then on, long polls answer
    /// at once, and streams of events end.
    pub draining: CancellationToken,
}

impl ApiState {
    /// The common time. 503 until it is known: what the clock of this host alone says is not written into a job.
    pub(crate) fn now(&self) -> Result<Timestamp, ApiError> {
        if self.time.is_common() {
            return Ok(self.time.now());
        }
        Err(ApiError::Unavailable { message: "the service is starting".to_owned(), details: None })
    }
}
