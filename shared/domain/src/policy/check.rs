//! Decisions of a status check: how long to wait, and when to stop.

use std::time::Duration;

use super::{Decided, Decision, FaultKind, Policy, Received, at, fail, fault_of, step_now};
use crate::Timestamp;
use crate::error::{ErrorCode, JobError, ProviderError};
use crate::job::{Job, Output, OutputSource, TEXT_LIMIT_BYTES};
use crate::money::ReportedCost;
use crate::operation::Step;
use crate::ports::{Checked, Next};
use crate::state::{Event, IllegalTransition};

impl Policy {
    /// What a check found. The check itself is counted here.
    pub fn checked(&self, mut job: Job, found: Checked, now: Timestamp, dice: f64) -> Decided {
        job.checks = job.checks.saturating_add(1);
        match found {
            Checked::Working { status, progress_percent } => {
                job.take_status(Some(status), now);
                job.progress_percent = progress_percent.or(job.progress_percent);
                job.body.failures = 0;
                job.body.waits = 0;
                job.body.error = None;
                self.wait_on(job, now)
            }
            Checked::Ready { outputs, status, cost } => {
                job.take_status(Some(status), now);
                self.ready(job, outputs, cost, now)
            }
            Checked::Failed { error, cost } => {
                job.body.cost.settle(cost);
                job.body.error = Some(error.to_job_error());
                job.take_status(error.to_job_error().provider_status, now);
                match error {
                    ProviderError::WorkFailed { is_retryable: true, .. } => {
                        self.count_and_retry_submit(job, FaultKind::WorkFailed, now, dice)
                    }
                    other => fail(job, other.to_job_error(), now),
                }
            }
        }
    }

    /// A callback brought the result of waiting work. Nobody asked, so that no check is used.
    pub fn received_unasked(&self, mut job: Job, received: Received, now: Timestamp) -> Decided {
        job.body.text = received.text.filter(|text| text.len() <= TEXT_LIMIT_BYTES);
        self.ready(job, received.outputs, received.cost, now)
    }

    /// A check got no usable answer. That says nothing about the work: the job goes on waiting.
    pub fn check_failed(&self, mut job: Job, error: &ProviderError, now: Timestamp, dice: f64) -> Decided {
        job.body.failures = job.body.failures.saturating_add(1);
        match error {
            ProviderError::NotSent { .. }
            | ProviderError::Unavailable { .. }
            | ProviderError::RateLimited { .. }
            | ProviderError::UnknownOutcome { .. }
            | ProviderError::Malformed { .. }
            | ProviderError::Unauthorized { .. }
            | ProviderError::Quota { .. }
            | ProviderError::WorkFailed { .. } => {
                let fault = error.to_job_error();
                let is_new = job.body.error.as_ref() != Some(&fault);
                job.body.error = Some(fault);
                if let Some(decision) = self.timed_out(&job, now)? {
                    return Ok(decision);
                }
                let hint = match error {
                    ProviderError::RateLimited { retry_after, .. } => *retry_after,
                    _ => None,
                };
                let retry = self.retry_of(FaultKind::of(error));
                let interval = Duration::from_millis(self.polling_of(&job).interval_ms);
                let delay = retry.delay(job.body.failures, hint, dice).max(interval.min(retry.cap()));
                job.apply(Event::StillWorking, now)?;
                let due = (now + delay).min(self.polling_deadline(&job));
                if is_new {
                    // The same fault again is no news, and rewrites no more than the header.
                    job.note_wait(due, &fault_of(&job), now);
                }
                Ok(at(job, Step::Check, due))
            }
            ProviderError::Rejected { .. }
            | ProviderError::Invalid { .. }
            | ProviderError::ModelRetired { .. }
            | ProviderError::UnknownOperation { .. } => fail(job, error.to_job_error(), now),
        }
    }

    fn wait_on(&self, mut job: Job, now: Timestamp) -> Decided {
        if let Some(decision) = self.timed_out(&job, now)? {
            return Ok(decision);
        }
        job.apply(Event::StillWorking, now)?;
        let due = self.next_check(&job, now);
        Ok(at(job, Step::Check, due))
    }

    fn timed_out(&self, job: &Job, now: Timestamp) -> Result<Option<Decision>, IllegalTransition> {
        let polling = self.polling_of(job);
        if job.checks < polling.max_checks && now < self.polling_deadline(job) {
            return Ok(None);
        }
        let status = job.body.provider_status.as_deref().unwrap_or("unknown");
        let error = JobError {
            code: ErrorCode::Timeout,
            message: format!(
                "the provider did not finish within {} checks (its status: {status})",
                job.checks
            ),
            provider_status: job.body.provider_status.clone(),
        };
        let mut decision = fail(job.clone(), error, now)?;
        if decision.job.body.remote.is_some() {
            decision.next = match self.salvage_ms {
                0 => Next::Now(Step::Abandon),
                late_ms => Next::At(Step::Abandon, now + Duration::from_millis(late_ms)),
            };
        }
        Ok(Some(decision))
    }

    fn polling_deadline(&self, job: &Job) -> Timestamp {
        let since = job.body.remote.as_ref().map_or(job.changed_at, |remote| remote.submitted_at);
        since + Duration::from_millis(self.polling_of(job).timeout_ms)
    }

    /// One interval from now, but not past the deadline: the last look happens at it.
    pub(super) fn next_check(&self, job: &Job, now: Timestamp) -> Timestamp {
        (now + Duration::from_millis(self.polling_of(job).interval_ms))
            .min(self.polling_deadline(job))
            .max(now)
    }

    fn ready(
        &self,
        mut job: Job,
        outputs: Vec<Output>,
        cost: Option<ReportedCost>,
        now: Timestamp,
    ) -> Decided {
        job.body.cost.settle(cost);
        if outputs.is_empty() {
            let error = JobError::new(ErrorCode::Malformed, "the provider reports success without a result");
            return fail(job, error, now);
        }
        // It was ready at the last look at the earliest, and its link is as old.
        let since = job.changed_at;
        job.apply(Event::Ready, now)?;
        let has_link = outputs.iter().any(|output| matches!(output.source, OutputSource::Link(_)));
        let lifetime = self.result_lifetimes.get(&job.body.spec.provider).filter(|_| has_link);
        job.body.outputs_expire_at = lifetime.map(|lifetime| since + *lifetime);
        job.body.outputs = outputs;
        job.body.failures = 0;
        job.body.waits = 0;
        job.body.error = None;
        job.progress_percent = Some(100);
        Ok(step_now(job, Step::Deliver, now))
    }
}
