//! The step `submit`: makes the paid call, once.
//!
//! Order matters, and the process may die between any two lines: intent stored (INV-1), call made, remote id stored
//! together with the acknowledgement (INV-2). A claim that finds a stored intent without an outcome never repeats the
//! call.

use std::collections::BTreeMap;

use atelier_domain::Timestamp;
use atelier_domain::error::{ErrorCode, JobError, ProviderError};
use atelier_domain::job::{Job, Output, OutputSource, RemoteOperation};
use atelier_domain::ports::{Claim, ClaimError, MediaProvider, SpoolError, SubmitCall, Submitted};
use atelier_domain::state::State;

use crate::{NoProvider, StepError, Worker};

impl Worker {
    pub(crate) async fn submit(&self, claim: &dyn Claim) -> Result<(), StepError> {
        let job = claim.job().clone();
        match job.state {
            State::Queued => {}
            State::Submitting => {
                let decision = self.policy.found_open_intent(job, Timestamp::now())?;
                return self.settle(claim, decision).await;
            }
            State::Awaiting
            | State::Delivering
            | State::Uncertain
            | State::Succeeded
            | State::Failed
            | State::Cancelled => return self.hand_back(claim, job).await,
        }
        let (provider, call) = match self.prepare(&job).await {
            Ok(prepared) => prepared,
            Err(NoProvider::Hopeless(error)) => {
                let decision = self.policy.hopeless(job, error, Timestamp::now())?;
                return self.settle(claim, decision).await;
            }
            Err(NoProvider::Later(message)) => {
                let error = ProviderError::NotSent { message };
                let decision = self.policy.submit_failed(job, &error, Timestamp::now(), rand::random())?;
                return self.settle(claim, decision).await;
            }
        };
        let begun = self.policy.begin_submit(job, Timestamp::now())?;
        if begun.job.state.is_terminal() {
            return self.settle(claim, begun).await;
        }
        claim.save(&begun.job).await?;
        self.call(claim, begun.job, provider, call).await
    }

    async fn prepare(&self, job: &Job) -> Result<(&dyn MediaProvider, SubmitCall), NoProvider> {
        let (provider, key) = self.provider_of(job).await?;
        let input = self.prepare_input(job).await?;
        Ok((provider, SubmitCall { spec: job.body.spec.clone(), input, key }))
    }

    async fn call(
        &self,
        claim: &dyn Claim,
        job: Job,
        provider: &dyn MediaProvider,
        call: SubmitCall,
    ) -> Result<(), StepError> {
        match provider.submit(call, Timestamp::now()).await {
            Ok(Submitted::Accepted { remote, status }) => self.accepted(claim, job, remote, status).await,
            Ok(Submitted::Bytes { content_type, body, request_id, cost }) => {
                let epoch = job.epoch;
                let kept = self.spool.keep(&job.id, epoch, 0, body).await;
                let now = Timestamp::now();
                let mut job = job;
                job.body.remote =
                    request_id.map(|id| RemoteOperation { id, submitted_at: now, urls: BTreeMap::default() });
                let decision = match kept {
                    Ok(0) => {
                        let error = ProviderError::Malformed {
                            message: "the reply holds no media".to_owned(),
                            status: "200".to_owned(),
                        };
                        self.policy.submit_failed(job, &error, now, rand::random())?
                    }
                    Ok(size_bytes) => {
                        let source = OutputSource::Spool { epoch: epoch.0, size_bytes };
                        self.policy.received(job, Output { source, content_type }, cost, now)?
                    }
                    // The work is done and paid for, but its bytes did not arrive whole.
                    Err(error @ (SpoolError::Source(_) | SpoolError::Unavailable(_) | SpoolError::Gone)) => {
                        let error = ProviderError::UnknownOutcome { message: error.to_string() };
                        self.policy.submit_failed(job, &error, now, rand::random())?
                    }
                    Err(error @ SpoolError::TooLarge { .. }) => self.policy.hopeless(
                        job,
                        JobError::new(ErrorCode::Malformed, error.to_string()),
                        now,
                    )?,
                };
                self.settle(claim, decision).await
            }
            Err(error) => {
                let decision = self.policy.submit_failed(job, &error, Timestamp::now(), rand::random())?;
                self.settle(claim, decision).await
            }
        }
    }

    async fn accepted(
        &self,
        claim: &dyn Claim,
        job: Job,
        remote: RemoteOperation,
        status: Option<String>,
    ) -> Result<(), StepError> {
        let decision = self.policy.accepted(job, remote.clone(), status, Timestamp::now())?;
        match self.settle(claim, decision).await {
            // The job was cancelled, or given to somebody else, while the call was under way. The id is worth money.
            Err(StepError::Claim(ClaimError::Stale(_))) => Ok(claim.note_late_remote(remote).await?),
            other => other,
        }
    }
}
