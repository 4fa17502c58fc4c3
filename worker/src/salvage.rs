//! The late look after a timeout: a video that was paid for is kept, although its job has failed.

use atelier_domain::job::{Job, RemoteOperation};
use atelier_domain::policy::Decision;
use atelier_domain::ports::{Checked, MediaProvider, ProviderKey, keep_inline};
use tracing::{info, warn};

use crate::Worker;
use crate::deliver::Undelivered;

impl Worker {
    /// Asks once more. A decision when the result was there, or could not be kept now; `None` when there is nothing to
    /// keep and the provider is to be told to stop.
    pub(crate) async fn late_look(
        &self,
        job: &Job,
        provider: &dyn MediaProvider,
        remote: &RemoteOperation,
        key: &ProviderKey,
    ) -> Option<Decision> {
        let (outputs, cost) = match provider.check(&job.body.spec, remote, key).await {
            Ok(Checked::Ready { outputs, cost, .. }) => (outputs, cost),
            Ok(Checked::Working { .. } | Checked::Failed { .. }) => return None,
            Err(reason) => {
                warn!(job.id = %job.id, error = %reason, kind = reason.label(), "late look got no answer");
                return None;
            }
        };
        let later = || self.policy.salvage_later(job.clone(), self.now(), rand::random());
        let outputs = match keep_inline(self.spool.as_ref(), &job.id, job.epoch, outputs).await {
            Ok(outputs) => outputs,
            Err(reason) => {
                warn!(job.id = %job.id, error = %reason, "late result not kept");
                return Some(later());
            }
        };
        let mut late = job.clone();
        late.body.outputs = outputs;
        match self.store_outputs(&late).await {
            Ok(assets) => {
                info!(job.id = %job.id, provider.job_id = %remote.id, assets = assets.len(), "late result kept");
                self.forget_spooled(&late).await;
                Some(self.policy.salvaged(job.clone(), assets, cost))
            }
            Err(Undelivered::Store(reason)) => {
                warn!(job.id = %job.id, reason, "asset store does not take the late result yet");
                Some(later())
            }
            Err(Undelivered::Source(error, _)) => {
                warn!(job.id = %job.id, error = error.message, "late result cannot be read");
                None
            }
        }
    }
}
