//! The step `abandon`: tells the provider to stop work that nobody waits for any more. The job itself has ended. After a
//! timeout the provider is asked once more first, see [`crate::salvage`].

use atelier_domain::job::{Job, RemoteOperation};
use atelier_domain::ports::{Abandoned, Claim, MediaProvider, ProviderKey};
use tracing::{info, warn};

use crate::{NoProvider, StepError, Worker};

impl Worker {
    pub(crate) async fn abandon(&self, claim: &dyn Claim) -> Result<(), StepError> {
        let job = claim.job().clone();
        let Some(remote) = job.body.remote.clone() else {
            return self.settle(claim, self.policy.abandoned(job, true, self.now(), 0.0)).await;
        };
        let was_told = match self.provider_of(&job).await {
            Ok((provider, key)) if self.policy.is_worth_a_late_look(&job) => {
                if let Some(decision) = self.late_look(&job, provider, &remote, &key).await {
                    return self.settle(claim, decision).await;
                }
                tell(&job, provider, &remote, &key).await
            }
            Ok((provider, key)) => tell(&job, provider, &remote, &key).await,
            Err(NoProvider::Hopeless(reason)) => {
                warn!(job.id = %job.id, error = reason.message, "provider cannot be told to stop");
                true
            }
            Err(NoProvider::Later(reason)) => {
                warn!(job.id = %job.id, error = reason, "provider not told to stop");
                false
            }
        };
        self.settle(claim, self.policy.abandoned(job, was_told, self.now(), rand::random())).await
    }
}

/// Whether the provider needs not be told again.
async fn tell(job: &Job, provider: &dyn MediaProvider, remote: &RemoteOperation, key: &ProviderKey) -> bool {
    match provider.abandon(&job.body.spec, remote, key).await {
        Ok(outcome) => {
            let outcome = match outcome {
                Abandoned::Stopped => "stopped",
                Abandoned::TooLate => "too late",
                Abandoned::NotSupported => "not supported",
            };
            info!(job.id = %job.id, provider.job_id = %remote.id, outcome, "provider told to stop");
            true
        }
        Err(reason) => {
            warn!(job.id = %job.id, error = %reason, kind = reason.label(), "provider not told to stop");
            false
        }
    }
}
