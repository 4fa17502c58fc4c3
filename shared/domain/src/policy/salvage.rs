//! Decisions of the late look after a timeout. The job has failed and stays so (INV-3); what was paid for is kept all the
//! same, as assets of the failed job.

use super::{Decision, FaultKind, Policy};
use crate::Timestamp;
use crate::asset::Asset;
use crate::error::ErrorCode;
use crate::job::Job;
use crate::money::ReportedCost;
use crate::operation::Step;
use crate::ports::Next;
use crate::state::State;

impl Policy {
    /// Whether the provider is to be asked once more before it is told to stop.
    pub fn is_worth_a_late_look(&self, job: &Job) -> bool {
        self.salvage_ms > 0
            && job.state == State::Failed
            && job.body.remote.is_some()
            && job.body.assets.is_empty()
            && job.body.error.as_ref().is_some_and(|error| error.code == ErrorCode::Timeout)
    }

    /// The late look brought the result, and it is stored.
    pub fn salvaged(&self, mut job: Job, assets: Vec<Asset>, cost: Option<ReportedCost>) -> Decision {
        job.body.assets = assets;
        job.body.cost.settle(cost);
        Decision { job, next: Next::Nothing }
    }

    /// The late look brought the result, but it could not be stored now.
    pub fn salvage_later(&self, mut job: Job, now: Timestamp, dice: f64) -> Decision {
        job.body.waits = job.body.waits.saturating_add(1);
        let due = now + self.retry_of(FaultKind::Store).delay(job.body.waits, None, dice);
        Decision { job, next: Next::At(Step::Abandon, due) }
    }
}
