//! What to do next, as pure decisions: values in, a job and what follows out. The clock and the dice are arguments.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use crate::Timestamp;
use crate::error::{ErrorCode, JobError, ProviderError};
use crate::job::{Job, Output, RemoteOperation};
use crate::money::MicroUsd;
use crate::operation::{OnUnknownOutcome, Step};
use crate::ports::{Checked, Next};
use crate::state::{Event, IllegalTransition, State};

/// Limits of one provider or model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Polling {
    /// Between two checks. The product's page says 10 seconds.
    pub interval_ms: u64,
    /// The page says 60.
    pub max_checks: u16,
    /// From the provider's acceptance; the page says about 10 minutes.
    pub timeout_ms: u64,
}

impl Default for Polling {
    fn default() -> Self {
        Self { interval_ms: 10_000, max_checks: 60, timeout_ms: 600_000 }
    }
}

/// How passing faults are tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Retry {
    /// First delay; doubles from there.
    pub base_ms: u64,
    /// Longest delay, also for a provider's hint.
    pub cap_ms: u64,
    /// Tries of one step before the job is `exhausted`. Rate limits and an absent asset store do not count.
    pub max_failures: u16,
    /// Paid calls of one job, at most.
    pub max_attempts: u16,
    /// Claims without a verdict before a job counts as poison: each may be a process that died of it.
    pub max_deliveries: u16,
}

impl Default for Retry {
    fn default() -> Self {
        Self { base_ms: 1_000, cap_ms: 60_000, max_failures: 5, max_attempts: 5, max_deliveries: 5 }
    }
}

/// All limits of a process.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Policy {
    /// For every provider that has no entry of its own.
    pub polling: Polling,
    /// By `provider` or `provider/model`; the longer name wins.
    pub polling_by: BTreeMap<String, Polling>,
    /// What the catalogue advises by `provider/model`; the operator's own entries win, `polling` does not.
    #[serde(skip)]
    pub advised: BTreeMap<String, Polling>,
    /// For every step.
    pub retry: Retry,
    /// `resubmit` after an unknown outcome is honoured only up to this estimate, in millionths of a dollar.
    pub resubmit_below_micro_usd: Option<MicroUsd>,
}

/// Why an output could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceFault {
    /// Another try may succeed.
    Passing,
    /// The link is dead; the provider may have a fresh one.
    Gone,
    /// It will never be readable.
    Final,
}

/// A decision: the job as it shall be, and what follows.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// To be written.
    pub job: Job,
    /// To be enqueued with it.
    pub next: Next,
}

type Decided = Result<Decision, IllegalTransition>;

impl Policy {
    /// The limits for a job.
    pub fn polling_of(&self, job: &Job) -> Polling {
        let spec = &job.body.spec;
        let by_model = format!("{}/{}", spec.provider, spec.model);
        self.polling_by
            .get(&by_model)
            .or_else(|| self.polling_by.get(spec.provider.as_str()))
            .or_else(|| self.advised.get(&by_model))
            .copied()
            .unwrap_or(self.polling)
    }

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
        job.apply(Event::AnswerLost, now)?;
        job.body.error = Some(JobError::new(
            ErrorCode::UnknownOutcome,
            "a worker ended while the paid call was under way; whether it arrived is not known",
        ));
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
        job.apply(Event::Accepted, now)?;
        job.body.remote = Some(remote);
        job.body.provider_status = status;
        job.body.failures = 0;
        job.body.waits = 0;
        job.body.error = None;
        let due = self.next_check(&job, now);
        Ok(at(job, Step::Check, due))
    }

    /// The reply held the media, which is kept in the spool.
    pub fn received(&self, mut job: Job, output: Output, cost: Option<MicroUsd>, now: Timestamp) -> Decided {
        job.apply(Event::BytesReceived, now)?;
        job.body.outputs = vec![output];
        job.body.failures = 0;
        job.body.waits = 0;
        job.body.error = None;
        job.body.cost.settle(cost);
        Ok(step_now(job, Step::Deliver, now))
    }

    /// A submit failed before the call (`job.state` is `queued`) or during it.
    pub fn submit_failed(&self, mut job: Job, error: &ProviderError, now: Timestamp, dice: f64) -> Decided {
        job.body.error = Some(error.to_job_error());
        match error {
            ProviderError::UnknownOutcome { .. } if job.state == State::Submitting => {
                job.apply(Event::AnswerLost, now)?;
                Ok(reconcile_now(job, now))
            }
            ProviderError::RateLimited { retry_after, .. } => {
                job.body.waits = job.body.waits.saturating_add(1);
                let delay = self.retry.delay(job.body.waits, *retry_after, dice);
                // The provider did not take the work: the call was no attempt.
                job.body.attempts = job.body.attempts.saturating_sub(1);
                self.retry_submit(job, delay, now)
            }
            ProviderError::NotSent { .. }
            | ProviderError::Unavailable { .. }
            | ProviderError::WorkFailed { is_retryable: true, .. }
            | ProviderError::UnknownOutcome { .. } => self.count_and_retry_submit(job, None, now, dice),
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

    /// What a check found. The check itself is counted here.
    pub fn checked(&self, mut job: Job, found: Checked, now: Timestamp, dice: f64) -> Decided {
        job.checks = job.checks.saturating_add(1);
        match found {
            Checked::Working { status, progress_percent } => {
                job.body.provider_status = Some(status);
                job.progress_percent = progress_percent.or(job.progress_percent);
                job.body.failures = 0;
                job.body.waits = 0;
                job.body.error = None;
                self.wait_on(job, now)
            }
            Checked::Ready { outputs, status, cost } => {
                job.body.provider_status = Some(status);
                job.body.cost.settle(cost);
                if outputs.is_empty() {
                    let error =
                        JobError::new(ErrorCode::Malformed, "the provider reports success without a result");
                    return fail(job, error, now);
                }
                job.apply(Event::Ready, now)?;
                job.body.outputs = outputs;
                job.body.failures = 0;
                job.body.waits = 0;
                job.body.error = None;
                job.progress_percent = Some(100);
                Ok(step_now(job, Step::Deliver, now))
            }
            Checked::Failed { error, cost } => {
                job.body.cost.settle(cost);
                job.body.error = Some(error.to_job_error());
                job.body.provider_status = error.to_job_error().provider_status;
                match error {
                    ProviderError::WorkFailed { is_retryable: true, .. } => {
                        self.count_and_retry_submit(job, None, now, dice)
                    }
                    other => fail(job, other.to_job_error(), now),
                }
            }
        }
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
                job.body.error = Some(error.to_job_error());
                if let Some(decision) = self.timed_out(&job, now)? {
                    return Ok(decision);
                }
                let hint = match error {
                    ProviderError::RateLimited { retry_after, .. } => *retry_after,
                    _ => None,
                };
                let interval = Duration::from_millis(self.polling_of(&job).interval_ms);
                let delay =
                    self.retry.delay(job.body.failures, hint, dice).max(interval.min(self.retry.cap()));
                job.apply(Event::StillWorking, now)?;
                let due = (now + delay).min(self.polling_deadline(&job));
                Ok(at(job, Step::Check, due))
            }
            ProviderError::Rejected { .. }
            | ProviderError::Invalid { .. }
            | ProviderError::ModelRetired { .. }
            | ProviderError::UnknownOperation { .. } => fail(job, error.to_job_error(), now),
        }
    }

    /// The asset store, or the way to it, failed. What is paid for is not given up: this uses no failure.
    pub fn store_failed(&self, mut job: Job, now: Timestamp, dice: f64) -> Decided {
        job.apply(Event::StoreLater, now)?;
        job.body.waits = job.body.waits.saturating_add(1);
        let due = now + self.retry.delay(job.body.waits, None, dice);
        Ok(at(job, Step::Deliver, due))
    }

    /// The provider's file could not be read, or is not what it claims to be.
    pub fn source_failed(
        &self,
        mut job: Job,
        error: JobError,
        fault: SourceFault,
        now: Timestamp,
        dice: f64,
    ) -> Decided {
        job.body.failures = job.body.failures.saturating_add(1);
        if fault == SourceFault::Final || job.body.failures >= self.retry.max_failures {
            return fail(job, error, now);
        }
        job.body.error = Some(error);
        let due = now + self.retry.delay(job.body.failures, None, dice);
        if fault == SourceFault::Gone && job.body.remote.is_some() {
            // A fresh look at the provider's operation gives a fresh link.
            job.apply(Event::LinkExpired, now)?;
            job.body.outputs.clear();
            return Ok(at(job, Step::Check, due));
        }
        job.apply(Event::StoreLater, now)?;
        Ok(at(job, Step::Deliver, due))
    }

    /// All assets are stored.
    pub fn delivered(&self, mut job: Job, assets: Vec<crate::asset::Asset>, now: Timestamp) -> Decided {
        job.apply(Event::Stored, now)?;
        job.body.assets = assets;
        job.body.outputs.clear();
        job.body.error = None;
        job.body.failures = 0;
        job.body.waits = 0;
        job.body.cost.settle(None);
        job.progress_percent = Some(100);
        Ok(Decision { job, next: Next::Nothing })
    }

    /// An uncertain job whose provider cannot be asked: the caller's wish decides, within the operator's limit.
    pub fn reconcile_blind(&self, mut job: Job, now: Timestamp) -> Decided {
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

    /// What shall look at a job next, by its state alone: for a step that finds the job where it does not belong.
    pub fn resume(&self, mut job: Job, now: Timestamp) -> Decision {
        let next = match job.state {
            State::Queued => Next::Now(Step::Submit),
            State::Submitting | State::Uncertain => Next::Now(Step::Reconcile),
            State::Awaiting => Next::Now(Step::Check),
            State::Delivering => Next::Now(Step::Deliver),
            State::Succeeded | State::Failed | State::Cancelled => Next::Nothing,
        };
        if !job.state.is_terminal() {
            job.due_at = Some(now);
        }
        Decision { job, next }
    }

    /// A job that cannot be tried at all, such as one without a credential.
    pub fn hopeless(&self, job: Job, error: JobError, now: Timestamp) -> Decided {
        fail(job, error, now)
    }

    /// The provider was told to stop, or could not be told for the `failures`-th time.
    pub fn abandoned(&self, mut job: Job, was_told: bool, now: Timestamp, dice: f64) -> Decision {
        if was_told {
            return Decision { job, next: Next::Nothing };
        }
        job.body.failures = job.body.failures.saturating_add(1);
        if job.body.failures >= self.retry.max_failures {
            return Decision { job, next: Next::Nothing };
        }
        let due = now + self.retry.delay(job.body.failures, None, dice);
        Decision { job, next: Next::At(Step::Abandon, due) }
    }

    /// A step ended without a verdict: its handler panicked or gave up.
    pub fn step_failed(&self, mut job: Job, step: Step, message: &str, now: Timestamp, dice: f64) -> Decided {
        match (step, job.state) {
            (_, State::Submitting) => self.found_open_intent(job, now),
            (_, State::Queued) => {
                job.body.error = Some(JobError::new(ErrorCode::Exhausted, message));
                self.count_and_retry_submit(job, None, now, dice)
            }
            (_, State::Awaiting) => self.check_failed(
                job,
                &ProviderError::UnknownOutcome { message: message.to_owned() },
                now,
                dice,
            ),
            (_, State::Delivering) => {
                let error = JobError::new(ErrorCode::Exhausted, message);
                self.source_failed(job, error, SourceFault::Passing, now, dice)
            }
            (_, State::Uncertain) => self.reconcile_blind(job, now),
            (_, State::Succeeded | State::Failed | State::Cancelled) => {
                Ok(Decision { job, next: Next::Nothing })
            }
        }
    }

    /// A job was claimed too often without a verdict: it ends processes.
    pub fn poisoned(&self, job: Job, now: Timestamp) -> Decided {
        let message = format!("given up after {} deliveries without a verdict", job.deliveries);
        match job.state {
            State::Submitting => fail(job, JobError::new(ErrorCode::UnknownOutcome, message), now),
            State::Queued | State::Awaiting | State::Delivering | State::Uncertain => {
                fail(job, JobError::new(ErrorCode::Exhausted, message), now)
            }
            State::Succeeded | State::Failed | State::Cancelled => Ok(Decision { job, next: Next::Nothing }),
        }
    }

    /// What makes no sense: key, problem, and what would be right.
    pub fn problems(&self) -> Vec<(String, &'static str, &'static str)> {
        let mut problems = Vec::new();
        let named = self.polling_by.iter().map(|(name, polling)| (format!("polling_by.{name}"), polling));
        for (name, polling) in std::iter::once(("polling".to_owned(), &self.polling)).chain(named) {
            let values = [
                ("interval_ms", polling.interval_ms),
                ("max_checks", u64::from(polling.max_checks)),
                ("timeout_ms", polling.timeout_ms),
            ];
            for (key, _) in values.into_iter().filter(|(_, value)| *value == 0) {
                problems.push((
                    format!("{name}.{key}"),
                    "0 would end every job at once",
                    "at least 1 would be right",
                ));
            }
        }
        let retry = [
            ("base_ms", self.retry.base_ms),
            ("cap_ms", self.retry.cap_ms),
            ("max_failures", u64::from(self.retry.max_failures)),
            ("max_attempts", u64::from(self.retry.max_attempts)),
            ("max_deliveries", u64::from(self.retry.max_deliveries)),
        ];
        for (key, _) in retry.into_iter().filter(|(_, value)| *value == 0) {
            problems.push((format!("retry.{key}"), "0 would try nothing", "at least 1 would be right"));
        }
        problems
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
        fail(job.clone(), error, now).map(Some)
    }

    fn polling_deadline(&self, job: &Job) -> Timestamp {
        let since = job.body.remote.as_ref().map_or(job.changed_at, |remote| remote.submitted_at);
        since + Duration::from_millis(self.polling_of(job).timeout_ms)
    }

    /// One interval from now, but not past the deadline: the last look happens at it.
    fn next_check(&self, job: &Job, now: Timestamp) -> Timestamp {
        (now + Duration::from_millis(self.polling_of(job).interval_ms))
            .min(self.polling_deadline(job))
            .max(now)
    }

    fn count_and_retry_submit(
        &self,
        mut job: Job,
        hint: Option<Duration>,
        now: Timestamp,
        dice: f64,
    ) -> Decided {
        job.body.failures = job.body.failures.saturating_add(1);
        if job.body.failures >= self.retry.max_failures || job.body.attempts >= self.retry.max_attempts {
            let error = last_fault_or(&job, ErrorCode::Exhausted, "all attempts failed");
            return fail(job, JobError { code: ErrorCode::Exhausted, ..error }, now);
        }
        let delay = self.retry.delay(job.body.failures, hint, dice);
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
        job.body.outputs.clear();
        job.checks = 0;
        job.progress_percent = None;
        Ok(at(job, Step::Submit, due))
    }
}

impl Retry {
    fn cap(&self) -> Duration {
        Duration::from_millis(self.cap_ms)
    }

    /// The wait before the next try: the provider's hint, or doubling from the base; half of it fixed and half by
    /// `dice` (0 to 1), never over the cap.
    pub fn delay(&self, failures: u16, hint: Option<Duration>, dice: f64) -> Duration {
        if let Some(hint) = hint {
            return hint.clamp(Duration::from_millis(1), self.cap());
        }
        let doublings = u32::from(failures.saturating_sub(1)).min(16);
        let full = Duration::from_millis(self.base_ms.saturating_mul(1 << doublings)).min(self.cap());
        full.mul_f64(0.5 + dice.clamp(0.0, 1.0) / 2.0)
    }
}

fn at(mut job: Job, step: Step, due: Timestamp) -> Decision {
    job.due_at = Some(due);
    Decision { job, next: Next::At(step, due) }
}

fn step_now(mut job: Job, step: Step, now: Timestamp) -> Decision {
    job.due_at = Some(now);
    Decision { job, next: Next::Now(step) }
}

fn reconcile_now(job: Job, now: Timestamp) -> Decision {
    step_now(job, Step::Reconcile, now)
}

/// Ends the job. Work that still runs at the provider is told to stop.
fn fail(mut job: Job, error: JobError, now: Timestamp) -> Decided {
    let may_still_run = job.state == State::Awaiting && error.code == ErrorCode::Timeout;
    job.apply(Event::Failed, now)?;
    job.body.error = Some(error);
    job.body.outputs.clear();
    let next =
        if may_still_run && job.body.remote.is_some() { Next::Now(Step::Abandon) } else { Next::Nothing };
    Ok(Decision { job, next })
}

fn last_fault_or(job: &Job, code: ErrorCode, message: &str) -> JobError {
    job.body.error.clone().unwrap_or_else(|| JobError::new(code, message))
}

#[cfg(test)]
#[path = "policy_tests.rs"]
mod tests;
