//! A change of master keys: what other keys have sealed is sealed anew with the one in use, in the background.

use std::sync::Arc;
use std::time::Duration;

use atelier_domain::Timestamp;
use atelier_domain::credential::{Credential, purpose};
use atelier_domain::error::chain;
use atelier_domain::ports::{Document, DocumentKind, Documents, StoreUnavailable, TimeSource};
use atelier_domain::seal::Sealing;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

/// Between two walks. A rotation is rare, and its first walk is that of the restart with the new key.
const WALK_EVERY: Duration = Duration::from_secs(3_600);
/// Between two tries while the store does not answer.
const RETRY_AFTER: Duration = Duration::from_secs(10);
/// Between two pieces of a walk, so that jobs go first.
const REST: Duration = Duration::from_millis(20);

/// What a walk did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Resealed {
    /// Secrets that were looked at.
    pub looked: u64,
    /// Secrets that were sealed anew.
    pub resealed: u64,
    /// Secrets that stay as they are because they cannot be opened; each is told in the log.
    pub failed: u64,
}

/// Walks over all secrets once. May run in several processes at the same time: each secret is written by one of them.
pub async fn reseal_all(
    documents: &dyn Documents,
    sealing: &dyn Sealing,
    now: Timestamp,
    mut progress: impl FnMut(&Resealed),
) -> Result<Resealed, StoreUnavailable> {
    let mut done = Resealed::default();
    let mut mark = None;
    loop {
        let (found, next) = documents.walk(DocumentKind::Credential, mark).await?;
        for document in &found {
            done.looked += 1;
            match anew(document, sealing) {
                Ok(None) => {}
                Ok(Some(json)) => {
                    // Where it was not written somebody else has changed it, and has sealed it anew by that.
                    let kind = DocumentKind::Credential;
                    done.resealed += u64::from(documents.replace(kind, document, &json, now).await?);
                }
                Err(problem) => {
                    done.failed += 1;
                    error!(credential.id = %document.id, error = problem, "secret cannot be sealed anew");
                }
            }
        }
        progress(&done);
        mark = next;
        if mark.is_none() {
            return Ok(done);
        }
        tokio::time::sleep(REST).await;
    }
}

fn anew(document: &Document, sealing: &dyn Sealing) -> Result<Option<String>, String> {
    let mut credential: Credential = serde_json::from_str(&document.json).map_err(|cause| chain(&cause))?;
    let purpose = purpose(&document.workspace_id, &document.id, credential.r#type);
    let Some(sealed) = sealing.reseal(&purpose, &credential.sealed).map_err(|problem| problem.to_string())?
    else {
        return Ok(None);
    };
    credential.sealed = sealed;
    serde_json::to_string(&credential).map(Some).map_err(|cause| chain(&cause))
}

/// Walks at once and then every hour, until `stop`. Does nothing where there is no master key.
pub async fn keep_resealed(
    documents: Arc<dyn Documents>,
    sealing: Arc<dyn Sealing>,
    time: Arc<dyn TimeSource>,
    stop: CancellationToken,
) {
    if sealing.master_in_use().is_none() {
        return;
    }
    let walks = async {
        loop {
            let pause = match reseal_all(&*documents, &*sealing, time.now(), |_| {}).await {
                Ok(Resealed { looked, resealed, failed }) => {
                    if resealed > 0 || failed > 0 {
                        info!(looked, resealed, failed, "secrets sealed anew");
                    }
                    WALK_EVERY
                }
                Err(cause) => {
                    warn!(error = chain(&cause), "secrets were not looked at");
                    RETRY_AFTER
                }
            };
            tokio::time::sleep(pause).await;
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = walks => {}
    }
}
