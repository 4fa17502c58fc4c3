//! What to do next, as pure decisions: values in, a job and what follows out. The clock and the dice are arguments.

mod check;
mod deliver;
mod resolve;
mod retry;
mod salvage;
mod submit;

pub use resolve::{Resolution, Unresolvable};
pub use retry::{FaultKind, Retry, RetryOverride};
pub use submit::{LateNews, Received};

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::error::{ErrorCode, JobError, ProviderError};
use crate::job::Job;
use crate::ledger::CallOutcome;
use crate::money::MicroUsd;
use crate::operation::{Provider, Step};
use crate::ports::Next;
use crate::state::{Event, IllegalTransition, State};

/// Limits of one provider or model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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

/// All limits of a process.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Policy {
    /// For every provider that has no entry of its own.
    pub polling: Polling,
    /// By `provider` or `provider/model`; the longer name wins.
    pub polling_by: BTreeMap<String, Polling>,
    /// What the catalogue advises by `provider/model`, or by `provider/*/operation` for models that are not listed; the operator's own entries win, `polling` does not.
    #[serde(skip)]
    pub advised: BTreeMap<String, Polling>,
    /// How long links to results work at least, from the catalogue.
    #[serde(skip)]
    pub result_lifetimes: BTreeMap<Provider, Duration>,
    /// For every step and fault.
    pub retry: Retry,
    /// What differs from it for faults of a kind.
    pub retry_by: BTreeMap<FaultKind, RetryOverride>,
    /// `resubmit` after an unknown outcome is honoured only up to this estimate, in millionths of a dollar.
    pub resubmit_below_micro_usd: Option<MicroUsd>,
    /// How long an uncertain job with `on_unknown_outcome: "hold"` waits for somebody who decides. A day.
    pub hold_ms: u64,
    /// How long any other uncertain job waits for a call of its provider, where the provider was told to call. A
    /// minute: callbacks of short work come within it.
    pub late_news_ms: u64,
    /// How long after a timeout the provider is asked once more, before it is told to stop; 0 tells it at once. Two
    /// minutes: what was late by little is saved, and what is stuck does not run on for long.
    pub salvage_ms: u64,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            polling: Polling::default(),
            polling_by: BTreeMap::new(),
            advised: BTreeMap::new(),
            result_lifetimes: BTreeMap::new(),
            retry: Retry::default(),
            retry_by: BTreeMap::new(),
            resubmit_below_micro_usd: None,
            hold_ms: 24 * 3600 * 1000,
            late_news_ms: 60_000,
            salvage_ms: 120_000,
        }
    }
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
            .or_else(|| self.advised.get(&format!("{}/*/{}", spec.provider, spec.operation)))
            .copied()
            .unwrap_or(self.polling)
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
                self.count_and_retry_submit(job, FaultKind::Unavailable, now, dice)
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
            (_, State::Uncertain) => self.reconcile_blind(job, LateNews::Impossible, now),
            (_, State::Succeeded | State::Failed | State::Cancelled) => {
                Ok(Decision { job, next: Next::Nothing })
            }
        }
    }

    /// A job was claimed too often without a verdict: it ends processes.
    pub fn poisoned(&self, job: Job, now: Timestamp) -> Decided {
        let message = format!("given up after {} deliveries without a verdict", job.deliveries);
        match job.state {
            State::Submitting => {
                let mut job = job;
                job.end_call(CallOutcome::Unknown, None, Some(&message), now);
                fail(job, JobError::new(ErrorCode::UnknownOutcome, message), now)
            }
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
        problems.extend(retry::problems(&self.retry, &self.retry_by));
        problems
    }
}

fn at(mut job: Job, step: Step, due: Timestamp) -> Decision {
    job.due_at = Some(due);
    job.note_due(due);
    Decision { job, next: Next::At(step, due) }
}

fn step_now(mut job: Job, step: Step, now: Timestamp) -> Decision {
    job.due_at = Some(now);
    Decision { job, next: Next::Now(step) }
}

fn reconcile_now(job: Job, now: Timestamp) -> Decision {
    step_now(job, Step::Reconcile, now)
}

/// Ends the job. What still runs at the provider after a timeout is [`Policy::timed_out`]'s business.
fn fail(mut job: Job, error: JobError, now: Timestamp) -> Decided {
    job.apply(Event::Failed, now)?;
    job.body.error = Some(error);
    job.body.clear_outputs();
    Ok(Decision { job, next: Next::Nothing })
}

/// The last passing fault, in its words.
fn fault_of(job: &Job) -> String {
    job.body.error.as_ref().map_or_else(String::new, |error| error.message.clone())
}

fn last_fault_or(job: &Job, code: ErrorCode, message: &str) -> JobError {
    job.body.error.clone().unwrap_or_else(|| JobError::new(code, message))
}

#[cfg(test)]
mod tests;
