//! The step `submit`: makes the paid call, once.
//!
//! Order matters, and the process may die between any two lines: intent stored (INV-1), call made, remote id stored
//! together with the acknowledgement (INV-2). A claim that finds a stored intent without an outcome never repeats the
//! call.

use std::collections::BTreeMap;

use atelier_domain::error::{ErrorCode, JobError, ProviderError};
use atelier_domain::job::{Job, Output, OutputSource, RemoteOperation};
use atelier_domain::operation::{Operation, Step};
use atelier_domain::policy::Received;
use atelier_domain::ports::{
    Claim, ClaimError, MediaProvider, Next, SpoolError, SubmitCall, Submitted, keep_finished,
};
use atelier_domain::state::State;

use crate::{NoProvider, StepError, Worker};

impl Worker {
    pub(crate) async fn submit(&self, claim: &dyn Claim) -> Result<(), StepError> {
        let job = claim.job().clone();
        match job.state {
            State::Queued => {}
            State::Submitting => {
                let decision = self.policy.found_open_intent(job, self.now())?;
                return self.settle(claim, decision).await;
            }
            State::Awaiting
            | State::Delivering
            | State::Uncertain
            | State::Succeeded
            | State::Failed
            | State::Cancelled => return self.hand_back(claim, job).await,
        }
        let prepared = tokio::select! {
            biased;
            // Nothing is paid yet, and whoever takes the step now can wait for the answer.
            () = self.stopping.cancelled() => return Ok(claim.settle(job, Next::Now(Step::Submit)).await?),
            prepared = self.prepare_call(&job) => prepared,
        };
        let (provider, call) = match prepared {
            Ok(prepared) => prepared,
            Err(NoProvider::Hopeless(error)) => {
                let decision = self.policy.hopeless(job, error, self.now())?;
                return self.settle(claim, decision).await;
            }
            Err(NoProvider::Later(message)) => {
                let error = ProviderError::NotSent { message };
                let decision = self.policy.submit_failed(job, &error, self.now(), rand::random())?;
                return self.settle(claim, decision).await;
            }
        };
        let begun = self.policy.begin_submit(job, self.now())?;
        if begun.job.state.is_terminal() {
            return self.settle(claim, begun).await;
        }
        claim.save(&begun.job).await?;
        self.call(claim, begun.job, provider, call).await
    }

    async fn prepare_call(&self, job: &Job) -> Result<(&dyn MediaProvider, SubmitCall), NoProvider> {
        let (provider, key) = self.provider_of(job).await?;
        let (input, files) = self.prepare_inputs(job, provider).await?;
        let callback_url =
            self.callbacks.as_ref().map(|callbacks| callbacks.url(job.body.spec.provider, &job.id));
        let call = SubmitCall { spec: job.body.spec.clone(), input, files, key, callback_url };
        // Uploads cost nothing, so they come before the intent, and their faults are those of any free call.
        let call = provider.upload_inputs(call).await.map_err(|reason| match reason {
            ProviderError::NotSent { .. }
            | ProviderError::Unavailable { .. }
            | ProviderError::RateLimited { .. }
            | ProviderError::UnknownOutcome { .. } => NoProvider::Later(reason.to_string()),
            other => NoProvider::Hopeless(other.to_job_error()),
        })?;
        Ok((provider, call))
    }

    async fn call(
        &self,
        claim: &dyn Claim,
        job: Job,
        provider: &dyn MediaProvider,
        call: SubmitCall,
    ) -> Result<(), StepError> {
        match provider.submit(call, self.now()).await {
            Ok(Submitted::Accepted { remote, status }) => self.accepted(claim, job, remote, status).await,
            Ok(Submitted::Bytes { content_type, body, request_id, seed, cost }) => {
                let kept = self.spool.keep(&job.id, job.epoch, 0, body).await;
                let kept = kept.map(|size_bytes| {
                    let source = OutputSource::Spool { epoch: job.epoch.0, size_bytes };
                    let output = Output { source, content_type, seed, revised_prompt: None };
                    Received { outputs: vec![output], text: None, cost }
                });
                self.received(claim, job, request_id, kept).await
            }
            Ok(Submitted::Finished(finished)) => {
                let request_id = finished.request_id.clone();
                let kept = keep_finished(self.spool.as_ref(), &job.id, job.epoch, finished).await;
                self.received(claim, job, request_id, kept).await
            }
            Err(error) => {
                let decision = self.policy.submit_failed(job, &error, self.now(), rand::random())?;
                self.settle(claim, decision).await
            }
        }
    }

    /// The reply held the result, and it was kept or not.
    async fn received(
        &self,
        claim: &dyn Claim,
        mut job: Job,
        request_id: Option<String>,
        kept: Result<Received, SpoolError>,
    ) -> Result<(), StepError> {
        let now = self.now();
        job.body.remote =
            request_id.map(|id| RemoteOperation { id, submitted_at: now, urls: BTreeMap::default() });
        let decision = match kept {
            Ok(received) if is_empty(&job, &received) => {
                let error = ProviderError::Malformed {
                    message: "the reply holds no media".to_owned(),
                    status: "200".to_owned(),
                };
                self.policy.submit_failed(job, &error, now, rand::random())?
            }
            Ok(received) => self.policy.received(job, received, now)?,
            // The work is done and paid for, but its bytes did not arrive whole.
            Err(error @ (SpoolError::Source(_) | SpoolError::Unavailable(_) | SpoolError::Gone)) => {
                let error = ProviderError::UnknownOutcome { message: error.to_string() };
                self.policy.submit_failed(job, &error, now, rand::random())?
            }
            Err(error @ SpoolError::TooLarge { .. }) => {
                self.policy.hopeless(job, JobError::new(ErrorCode::Malformed, error.to_string()), now)?
            }
        };
        self.settle(claim, decision).await
    }

    async fn accepted(
        &self,
        claim: &dyn Claim,
        job: Job,
        remote: RemoteOperation,
        status: Option<String>,
    ) -> Result<(), StepError> {
        let decision = self.policy.accepted(job, remote.clone(), status, self.now())?;
        match self.settle(claim, decision).await {
            // The job was cancelled, or given to somebody else, while the call was under way. The id is worth money.
            Err(StepError::Claim(ClaimError::Stale(_))) => Ok(claim.note_late_remote(remote).await?),
            other => other,
        }
    }
}

/// Media are never empty; a transcript of silence is.
fn is_empty(job: &Job, received: &Received) -> bool {
    let is_nothing = |output: &Output| matches!(output.source, OutputSource::Spool { size_bytes: 0, .. });
    received.outputs.is_empty()
        || (job.body.spec.operation != Operation::Stt && received.outputs.iter().any(is_nothing))
}
