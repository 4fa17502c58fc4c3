//! Decisions of a delivery: what is paid for is not given up because a store is away.

use super::{Decided, Decision, FaultKind, Policy, SourceFault, at, fail, fault_of};
use crate::Timestamp;
use crate::error::JobError;
use crate::job::Job;
use crate::operation::Step;
use crate::ports::Next;
use crate::state::Event;

impl Policy {
    /// The asset store, or the way to it, failed. What is paid for is not given up: this uses no failure.
    pub fn store_failed(&self, mut job: Job, now: Timestamp, dice: f64) -> Decided {
        job.apply(Event::StoreLater, now)?;
        job.body.waits = job.body.waits.saturating_add(1);
        let due = now + self.retry_of(FaultKind::Store).delay(job.body.waits, None, dice);
        job.note_wait(due, "the asset store does not take the result", now);
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
        let retry = self.retry_of(FaultKind::Source);
        job.body.failures = job.body.failures.saturating_add(1);
        if fault == SourceFault::Final || job.body.failures >= retry.max_failures {
            return fail(job, error, now);
        }
        job.body.error = Some(error);
        let due = now + retry.delay(job.body.failures, None, dice);
        if fault == SourceFault::Gone && job.body.remote.is_some() {
            // A fresh look at the provider's operation gives a fresh link.
            job.apply(Event::LinkExpired, now)?;
            job.body.clear_outputs();
            job.note_wait(due, &fault_of(&job), now);
            return Ok(at(job, Step::Check, due));
        }
        job.apply(Event::StoreLater, now)?;
        job.note_wait(due, &fault_of(&job), now);
        Ok(at(job, Step::Deliver, due))
    }

    /// All assets are stored.
    pub fn delivered(&self, mut job: Job, assets: Vec<crate::asset::Asset>, now: Timestamp) -> Decided {
        job.apply(Event::Stored, now)?;
        job.body.assets = assets;
        job.body.clear_outputs();
        job.body.error = None;
        job.body.failures = 0;
        job.body.waits = 0;
        job.body.cost.settle(None);
        job.progress_percent = Some(100);
        Ok(Decision { job, next: Next::Nothing })
    }
}
