//! Decisions about an uncertain job that come from outside: a late callback of the provider, or a person.

use std::collections::BTreeMap;

use super::{Decided, Decision, Policy, fail, step_now};
use crate::Timestamp;
use crate::error::{ErrorCode, JobError};
use crate::job::{Job, RemoteOperation};
use crate::ledger::CallOutcome;
use crate::operation::Step;
use crate::state::{Event, IllegalTransition, State};

/// What somebody knows about the paid call of an uncertain job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resolution {
    /// It arrived, and this is the provider's id of the work.
    Adopt {
        /// The id.
        remote_id: String,
    },
    /// It did not arrive: it is made again.
    Disprove,
    /// Nobody will know.
    GiveUp,
}

/// Why a job cannot be resolved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unresolvable {
    /// It is not uncertain.
    #[error("the job is {state} and not uncertain")]
    NotUncertain {
        /// What it is.
        state: State,
    },
    /// The table has no such row.
    #[error(transparent)]
    Transition(#[from] IllegalTransition),
}

impl Policy {
    /// Ends the uncertainty of a job by what somebody says.
    pub fn resolve(
        &self,
        job: Job,
        resolution: Resolution,
        now: Timestamp,
    ) -> Result<Decision, Unresolvable> {
        if job.state != State::Uncertain {
            return Err(Unresolvable::NotUncertain { state: job.state });
        }
        Ok(match resolution {
            Resolution::Adopt { remote_id } => {
                self.adopted(job, &remote_id, "adopted by an operator", now)?
            }
            Resolution::Disprove => disproved(job, now)?,
            Resolution::GiveUp => {
                let error = JobError::new(
                    ErrorCode::UnknownOutcome,
                    "given up by an operator: the outcome of the paid call is not known",
                );
                fail(job, error, now)?
            }
        })
    }

    /// The provider's id of the work is known after all: the job waits for its result as if nothing had been lost.
    pub fn adopted(&self, mut job: Job, remote_id: &str, evidence: &str, now: Timestamp) -> Decided {
        job.apply(Event::Adopted, now)?;
        job.body.make_known(CallOutcome::Accepted, Some(remote_id), evidence, now);
        // The time to wait begins now: the work may have ended long ago, or have just begun.
        job.body.remote =
            Some(RemoteOperation { id: remote_id.to_owned(), submitted_at: now, urls: BTreeMap::new() });
        job.body.error = None;
        job.body.failures = 0;
        job.body.waits = 0;
        job.checks = 0;
        Ok(step_now(job, Step::Check, now))
    }
}

/// The call certainly did not arrive, so that it is made again. The time to start begins anew: it ran out while nobody
/// could know.
fn disproved(mut job: Job, now: Timestamp) -> Decided {
    let window = job.body.start_window();
    job.apply(Event::Disproved, now)?;
    job.body.make_known(CallOutcome::Refused, None, "disproved by an operator", now);
    job.body.spec.start_deadline = job.body.spec.start_deadline.max(now + window);
    job.body.error = None;
    job.body.failures = 0;
    Ok(step_now(job, Step::Submit, now))
}
