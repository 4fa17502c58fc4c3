//! Decisions around the paid call: before it, after it, and when nobody knows.

use std::time::Duration;

use super::{
    Decided, Decision, FaultKind, Policy, at, fail, fault_of, last_fault_or, reconcile_now, step_now,
};
use crate::Timestamp;
use crate::error::{ErrorCode, JobError, ProviderError};
use crate::job::{Job, Output, RemoteOperation, TEXT_LIMIT_BYTES};
use crate::ledger::CallOutcome;
use crate::money::ReportedCost;
use crate::operation::{OnUnknownOutcome, Step};
use crate::ports::Next;
use crate::state::{Event, State};

/// Whether an uncertain job may still hear of its paid call by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LateNews {
    /// The provider was given an address to call.
    Possible,
    /// It was not, or makes no calls.
    Impossible,
}

/// A result that came with the reply to a paid call, or with a callback.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Received {
    /// Its files, all of them in the spool.
    pub outputs: Vec<Output>,
    /// The text, for operations that make one.
    pub text: Option<String>,
    /// What the provider says about the cost.
    pub cost: Option<ReportedCost>,
}

impl Policy {
    /// Before a paid call: stores the intent (INV-1), or ends a job that is too late.
    pub fn begin_submit(&self, mut job: Job, now: Timestamp) -> Decided {
        if now >= job.body.spec.start_deadline {
            let error = last_fault_or(&job, ErrorCode::Deadline, "the job did not start before its deadline");
            return fail(job, error, now);
        }
        job.apply(Event::IntentStored, now)?;
        job.body.attempts = job.body.attempts.saturating_add(1);
        job.body.started_at.get_or_insert(now);
        job.due_at = Some(now);
        Ok(Decision { job, next: Next::Nothing })
    }

    /// A claim found an intent without an outcome: its holder died while the call was under way. The call may have
    /// arrived, so it is not repeated.
    pub fn found_open_intent(&self, mut job: Job, now: Timestamp) -> Decided {
        let message = "a worker ended while the paid call was under way; whether it arrived is not known";
        job.end_call(CallOutcome::Unknown, None, Some(message), now);
        job.apply(Event::AnswerLost, now)?;
        job.body.error = Some(JobError::new(ErrorCode::UnknownOutcome, message));
        Ok(reconcile_now(job, now))
    }

    /// The provider took the work.
    pub fn accepted(
        &self,
        mut job: Job,
        remote: RemoteOperation,
        status: Option<String>,
        now: Timestamp,
    ) -> Decided {
        job.end_call(CallOutcome::Accepted, Some(&remote.id), None, now);
        job.apply(Event::Accepted, now)?;
        job.body.remote = Some(remote);
        job.body.provider_status = status;
        job.body.failures = 0;
        job.body.waits = 0;
        job.body.error = None;
        let due = self.next_check(&job, now);
        Ok(at(job, Step::Check, due))
    }

    /// The reply held the result, which is kept in the spool.
    pub fn received(&self, mut job: Job, received: Received, now: Timestamp) -> Decided {
        let remote_id = job.body.remote.as_ref().map(|remote| remote.id.clone());
        job.end_call(CallOutcome::Accepted, remote_id.as_deref(), None, now);
        job.apply(Event::BytesReceived, now)?;
        job.body.outputs = received.outputs;
        job.body.text = received.text.filter(|text| text.len() <= TEXT_LIMIT_BYTES);
        job.body.failures = 0;
        job.body.waits = 0;
        job.body.error = None;
        job.body.cost.settle(received.cost);
        Ok(step_now(job, Step::Deliver, now))
    }

    /// A submit failed before the call (`job.state` is `queued`) or during it.
    pub fn submit_failed(&self, mut job: Job, error: &ProviderError, now: Timestamp, dice: f64) -> Decided {
        job.body.error = Some(error.to_job_error());
        if job.state == State::Submitting {
            let outcome = match error {
                ProviderError::UnknownOutcome { .. } => CallOutcome::Unknown,
                // The provider answered that it took the work, but not in a way that can be used.
                ProviderError::Malformed { .. } => CallOutcome::Accepted,
                ProviderError::NotSent { .. }
                | ProviderError::Unavailable { .. }
                | ProviderError::RateLimited { .. }
                | ProviderError::Rejected { .. }
                | ProviderError::Invalid { .. }
                | ProviderError::Unauthorized { .. }
                | ProviderError::Quota { .. }
                | ProviderError::ModelRetired { .. }
                | ProviderError::UnknownOperation { .. }
                | ProviderError::WorkFailed { .. } => CallOutcome::Refused,
            };
            job.end_call(outcome, None, Some(&error.to_job_error().message), now);
        }
        match error {
            ProviderError::UnknownOutcome { .. } if job.state == State::Submitting => {
                job.apply(Event::AnswerLost, now)?;
                Ok(reconcile_now(job, now))
            }
            ProviderError::RateLimited { retry_after, .. } => {
                job.body.waits = job.body.waits.saturating_add(1);
                let delay = self.retry_of(FaultKind::RateLimited).delay(job.body.waits, *retry_after, dice);
                // The provider did not take the work: the call was no attempt.
                job.body.attempts = job.body.attempts.saturating_sub(1);
                self.retry_submit(job, delay, now)
            }
            ProviderError::NotSent { .. }
            | ProviderError::Unavailable { .. }
            | ProviderError::WorkFailed { is_retryable: true, .. }
            | ProviderError::UnknownOutcome { .. } => {
                self.count_and_retry_submit(job, FaultKind::of(error), now, dice)
            }
            ProviderError::Rejected { .. }
            | ProviderError::Invalid { .. }
            | ProviderError::Unauthorized { .. }
            | ProviderError::Quota { .. }
            | ProviderError::ModelRetired { .. }
            | ProviderError::UnknownOperation { .. }
            | ProviderError::Malformed { .. }
            | ProviderError::WorkFailed { is_retryable: false, .. } => fail(job, error.to_job_error(), now),
        }
    }

    /// An uncertain job whose provider cannot be asked. It waits where the caller wishes it, and shortly where the
    /// provider may still call us; then the caller's wish decides, within the operator's limit.
    pub fn reconcile_blind(&self, mut job: Job, late_news: LateNews, now: Timestamp) -> Decided {
        let patience_ms = match (job.body.spec.on_unknown_outcome, late_news) {
            (OnUnknownOutcome::Hold, _) => self.hold_ms,
            (OnUnknownOutcome::Fail | OnUnknownOutcome::Resubmit, LateNews::Possible) => self.late_news_ms,
            (OnUnknownOutcome::Fail | OnUnknownOutcome::Resubmit, LateNews::Impossible) => 0,
        };
        let until = job.body.unknown_since().unwrap_or(job.changed_at) + Duration::from_millis(patience_ms);
        if now < until {
            job.apply(Event::AskLater, now)?;
            job.note_wait(until, "nobody knows whether the paid call arrived", now);
            return Ok(at(job, Step::Reconcile, until));
        }
        let wants_resubmit = job.body.spec.on_unknown_outcome == OnUnknownOutcome::Resubmit;
        let is_cheap = self.resubmit_below_micro_usd.is_none_or(|limit| job.body.cost.estimated <= limit);
        if wants_resubmit && is_cheap && job.body.attempts < self.retry.max_attempts {
            job.apply(Event::Disproved, now)?;
            return Ok(step_now(job, Step::Submit, now));
        }
        let error =
            last_fault_or(&job, ErrorCode::UnknownOutcome, "the outcome of the paid call is not known");
        fail(job, JobError { code: ErrorCode::UnknownOutcome, ..error }, now)
    }

    pub(super) fn count_and_retry_submit(
        &self,
        mut job: Job,
        kind: FaultKind,
        now: Timestamp,
        dice: f64,
    ) -> Decided {
        let retry = self.retry_of(kind);
        job.body.failures = job.body.failures.saturating_add(1);
        if job.body.failures >= retry.max_failures
            || job.body.attempts >= retry.max_attempts
            || self.is_over_time(&job, now)
        {
            let error = last_fault_or(&job, ErrorCode::Exhausted, "all attempts failed");
            return fail(job, JobError { code: ErrorCode::Exhausted, ..error }, now);
        }
        let delay = retry.delay(job.body.failures, None, dice);
        self.retry_submit(job, delay, now)
    }

    fn retry_submit(&self, mut job: Job, delay: Duration, now: Timestamp) -> Decided {
        let due = now + delay;
        if due >= job.body.spec.start_deadline {
            let error = last_fault_or(&job, ErrorCode::Deadline, "the job did not start before its deadline");
            return fail(job, error, now);
        }
        job.apply(Event::RetryLater, now)?;
        job.body.remote = None;
        job.body.clear_outputs();
        job.checks = 0;
        job.progress_percent = None;
        job.note_wait(due, &fault_of(&job), now);
        Ok(at(job, Step::Submit, due))
    }
}
