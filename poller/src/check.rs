//! The step `check`: one look at the provider's operation. It uses no attempt (INV-6), and a look that fails says
//! nothing about the work.

use std::sync::Arc;

use async_trait::async_trait;
use atelier_domain::error::{ErrorCode, JobError, ProviderError};
use atelier_domain::job::{Job, Output};
use atelier_domain::money::ReportedCost;
use atelier_domain::policy::Decision;
use atelier_domain::ports::{Checked, Claim, CredentialError, Next, SpoolError, StepHandler, keep_inline};
use atelier_domain::state::{IllegalTransition, State};
use tracing::{debug, error, warn};

use crate::Poller;

#[async_trait]
impl StepHandler for Poller {
    async fn handle(&self, claim: Arc<dyn Claim>) {
        let job = claim.job().clone();
        let id = job.id.clone();
        let decision = match self.decide(job).await {
            Ok(decision) => decision,
            Err(reason) => {
                error!(job.id = %id, error = %reason, "check does not fit the job");
                return;
            }
        };
        let Decision { mut job, next } = decision;
        // A check that changes nothing rewrites the record's header; a link to it would rewrite all.
        if next != Next::Nothing && job.state != State::Awaiting {
            job.body.trace.scheduled_by = self.telemetry.context_of(&tracing::Span::current());
        }
        if let Err(reason) = claim.settle(job, next).await {
            warn!(job.id = %id, error = %reason, "check had no effect");
        }
    }
}

impl Poller {
    async fn decide(&self, job: Job) -> Result<Decision, IllegalTransition> {
        let now = || self.time.now();
        let spec = &job.body.spec;
        let (State::Awaiting, Some(remote)) = (job.state, &job.body.remote) else {
            return Ok(self.policy.resume(job, now()));
        };
        let Some(provider) = self.providers.get(spec.provider) else {
            let message = format!("this installation has no adapter for {}", spec.provider);
            return self.policy.hopeless(job, JobError::new(ErrorCode::Invalid, message), now());
        };
        let key = match self
            .credentials
            .open(&job.body.workspace_id, spec.provider, spec.credential_id.as_deref())
            .await
        {
            Ok(key) => key,
            Err(reason) => {
                let message = reason.to_string();
                let fault = match reason {
                    CredentialError::Missing { .. } | CredentialError::Unknown { .. } => {
                        ProviderError::Unauthorized { message }
                    }
                    CredentialError::Unavailable(_) => ProviderError::NotSent { message },
                };
                return self.policy.check_failed(job, &fault, now(), rand::random());
            }
        };
        let found = match provider.check(spec, remote, &key).await {
            Ok(Checked::Ready { outputs, status, cost }) => self.keep(&job, outputs, status, cost).await,
            other => other,
        };
        match found {
            Ok(found) => {
                if let Checked::Working { status, .. } = &found {
                    debug!(job.id = %job.id, provider.id = %spec.provider, status, "provider still working");
                }
                self.policy.checked(job, found, now(), rand::random())
            }
            Err(fault) => {
                warn!(job.id = %job.id, provider.id = %spec.provider, kind = fault.label(), "check got no answer");
                self.policy.check_failed(job, &fault, now(), rand::random())
            }
        }
    }

    /// Brings what the answer itself holds into the spool.
    async fn keep(
        &self,
        job: &Job,
        outputs: Vec<Output>,
        status: String,
        cost: Option<ReportedCost>,
    ) -> Result<Checked, ProviderError> {
        match keep_inline(self.spool.as_ref(), &job.id, job.epoch, outputs).await {
            Ok(outputs) => Ok(Checked::Ready { outputs, status, cost }),
            // The next check brings the same bytes again.
            Err(reason @ (SpoolError::Unavailable(_) | SpoolError::Gone)) => {
                Err(ProviderError::Unavailable { message: reason.to_string(), status })
            }
            Err(reason @ (SpoolError::TooLarge { .. } | SpoolError::Source(_))) => {
                let error = ProviderError::Malformed { message: reason.to_string(), status };
                Ok(Checked::Failed { error, cost })
            }
        }
    }
}
