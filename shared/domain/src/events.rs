//! What those who watch a job are told: each change of its state, of the provider's status, of its progress and of its
//! cost. The number of an event is the epoch with which the change was written: it grows within a job's life.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::error::{ErrorCode, JobError};
use crate::history::Happened;
use crate::ids::JobId;
use crate::job::{Epoch, Job};
use crate::money::{Cost, CostSource, MicroUsd};
use crate::state::State;

/// Longest message of an error within an event, in characters.
const MESSAGE_LIMIT: usize = 300;

/// One event of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobEvent {
    /// Of which job.
    pub job_id: JobId,
    /// Its number within the job's life.
    pub number: Epoch,
    /// When, in whole milliseconds.
    pub at: Timestamp,
    /// The state that the job is in then.
    pub state: State,
    /// 0 to 100, when the provider says.
    pub progress_percent: Option<u8>,
    /// What else was so; absent where only the change of state is known any more.
    pub facts: Option<EventFacts>,
}

/// What an event tells beside the state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventFacts {
    /// The provider's own word.
    pub provider_status: Option<String>,
    /// The estimate.
    pub estimated: MicroUsd,
    /// What it cost, once that is known.
    pub actual: Option<MicroUsd>,
    /// Where the figure comes from.
    pub cost_source: CostSource,
    /// Why the job failed, or the last passing fault.
    pub error: Option<(ErrorCode, String)>,
}

impl EventFacts {
    /// Those of a job as it is.
    pub fn of(job: &Job) -> Self {
        let Cost { estimated, actual, source, price: _ } = &job.body.cost;
        let error = job
            .body
            .error
            .as_ref()
            .map(|JobError { code, message, .. }| (*code, message.chars().take(MESSAGE_LIMIT).collect()));
        Self {
            provider_status: job.body.provider_status.clone(),
            estimated: *estimated,
            actual: *actual,
            cost_source: *source,
            error,
        }
    }

    /// Those of an earlier moment, when the provider had this status: its cost was an estimate then.
    fn at_status(job: &Job, provider_status: Option<String>) -> Self {
        let cost_source = job.body.cost.price.map_or(CostSource::Unknown, |_| CostSource::Table);
        Self { provider_status, estimated: job.body.cost.estimated, actual: None, cost_source, error: None }
    }
}

/// Whether a change of a job is an event.
pub fn is_event(before: &Job, after: &Job) -> bool {
    before.state != after.state
        || before.progress_percent != after.progress_percent
        || before.body.provider_status != after.body.provider_status
        || before.body.cost != after.body.cost
}

/// The events that a job's record tells: what its history keeps, and how it is now. Those after number `seen`.
pub fn told_by(job: &Job, seen: Option<Epoch>) -> Vec<JobEvent> {
    let event = |number, at, state, facts| JobEvent {
        job_id: job.id.clone(),
        number,
        at,
        state,
        progress_percent: None,
        facts,
    };
    let mut events = vec![event(Epoch(0), job.body.created_at, State::Queued, None)];
    let mut state = State::Queued;
    for moment in &job.body.history {
        let facts = match moment.what {
            Happened::Entered(entered) => {
                state = entered;
                None
            }
            Happened::Status => Some(EventFacts::at_status(job, moment.note.clone())),
            Happened::Waits | Happened::Held => continue,
        };
        match events.last_mut() {
            // One write: a last word of the provider, and what follows from it.
            Some(last) if last.number == moment.epoch => {
                last.state = state;
                last.facts = facts.or_else(|| last.facts.take());
            }
            Some(_) | None => events.push(event(moment.epoch, moment.at, state, facts)),
        }
    }
    // What a write of the header alone has changed since. An intent has the number of its claim. While the provider
    // works, a claim writes nothing with its own number, so that no later event can have it.
    let is_unknown = state != job.state;
    let is_newer = events.last().is_some_and(|last| last.number < job.epoch);
    if is_unknown || (job.state == State::Awaiting && job.progress_percent.is_some() && is_newer) {
        events.push(event(job.epoch, job.changed_at, job.state, None));
    }
    if let Some(last) = events.last_mut() {
        last.progress_percent = job.progress_percent;
        last.facts = Some(EventFacts::of(job));
    }
    events.retain(|event| seen.is_none_or(|seen| event.number > seen));
    events
}

/// Where an entry stands in the events of one part of the store: milliseconds, and a number among those of the same.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct EntryId {
    /// When the entry was made, by the store's clock.
    pub ms: u64,
    /// Among those of the same millisecond.
    pub number: u64,
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.number)
    }
}

impl FromStr for EntryId {
    type Err = NoPosition;

    fn from_str(text: &str) -> Result<Self, NoPosition> {
        let (ms, number) = text.split_once('-').ok_or(NoPosition)?;
        let read = |text: &str| match text.bytes().all(|byte| byte.is_ascii_digit()) {
            true => text.parse().map_err(|_| NoPosition),
            false => Err(NoPosition),
        };
        Ok(Self { ms: read(ms)?, number: read(number)? })
    }
}

/// How far the events of a workspace have been told: the last entry of each part of the store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventPosition(pub Vec<EntryId>);

/// A text that is no position.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("is no id of an event")]
pub struct NoPosition;

impl fmt::Display for EventPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, entry) in self.0.iter().enumerate() {
            if place > 0 {
                f.write_str("_")?;
            }
            write!(f, "{entry}")?;
        }
        Ok(())
    }
}

impl FromStr for EventPosition {
    type Err = NoPosition;

    fn from_str(text: &str) -> Result<Self, NoPosition> {
        // As many as there may be shards, with room.
        const MOST_PARTS: usize = 4_096;
        let parts: Vec<EntryId> =
            text.split('_').take(MOST_PARTS).map(str::parse).collect::<Result<_, _>>()?;
        Ok(Self(parts))
    }
}

#[cfg(test)]
mod tests;
