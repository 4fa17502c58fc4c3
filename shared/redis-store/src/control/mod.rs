//! The control queue: rare housekeeping, pushed by pollers and done by workers. It runs on the published
//! `apalis-redis`, within the limits that were measured of its version 1.0.0:
//!
//! | trap | what is done about it |
//! |---|---|
//! | 8,000 due tasks end every worker for good | [`ControlQueue::push`] refuses beyond [`WAITING_LIMIT`] |
//! | any Redis error ends the worker | it is started again under a new name, with back-off |
//! | its interval timer can be lost, and then it sleeps until the next heartbeat | a poll strategy of our own |
//! | acknowledgements are lost without results, and slow with locks | results on, locks off |
//! | a worker with buffered tasks has no heartbeat | batches of one, one task at a time |
//! | with two tasks at once, every wake of the first is a fetch for the second | one task at a time |
//! | an idempotency key without a lifetime is none | each key has one |
//! | an unreadable task ends the worker, then its heir, and so on | the codec cannot fail; the handler refuses |
//! | an ended worker stays registered, its tasks wait for a minute | we mark it as expired at its end |
//! | finished tasks and names of workers stay for ever | removed after each task; names expire |
//!
//! Good for less than a task a second. Jobs do not belong here, see [`crate::run_queue`].

mod finished;
mod leader;
mod poll;
mod queue;
mod repair;
mod roll_up;
mod upkeep;
mod worker;

use std::time::Duration;

use apalis_redis::Config;
use serde::{Deserialize, Serialize};

pub use queue::{ControlQueue, PushError, Pushed};
pub use worker::{ControlOptions, run_control};

use crate::keys::CONTROL_QUEUE;
use crate::settings::ControlSettings;

/// Tasks that may wait. `apalis-redis` promotes all due tasks in one `unpack`, which fails for good at 8,000; the rest
/// is for pushes that race with each other.
pub const WAITING_LIMIT: u64 = 5_000;
/// Heartbeats that may be missing before a worker's task is given to another.
const MISSED_HEARTBEATS: usize = 4;

/// One piece of housekeeping. A task may run twice and at the same time: each variant must allow it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "task", rename_all = "snake_case")]
pub enum ControlTask {
    /// Removes the ids of expired records from the indexes of all workspaces.
    RepairIndexes,
    /// Folds the costs of days that are over.
    RollUpCosts,
    /// Removes objects that are older than the settings of the asset store keep them.
    RemoveExpired,
    /// Aborts uploads that killed processes left open.
    AbortUploads,
}

impl ControlTask {
    /// All of them, each with a period of its own.
    pub const ALL: [Self; 4] =
        [Self::RepairIndexes, Self::RollUpCosts, Self::RemoveExpired, Self::AbortUploads];

    fn name(self) -> &'static str {
        match self {
            Self::RepairIndexes => "repair_indexes",
            Self::RollUpCosts => "roll_up_costs",
            Self::RemoveExpired => "remove_expired",
            Self::AbortUploads => "abort_uploads",
        }
    }

    /// Seconds from one push to the next.
    fn period_s(self, settings: &ControlSettings) -> u64 {
        let period_s = match self {
            Self::RepairIndexes => settings.repair_indexes_s,
            Self::RollUpCosts => settings.roll_up_costs_s,
            Self::RemoveExpired => settings.remove_expired_s,
            Self::AbortUploads => settings.abort_uploads_s,
        };
        period_s.max(1)
    }
}

/// A task as it stands in Redis.
#[derive(Debug, Serialize, Deserialize)]
struct Message {
    v: u8,
    #[serde(flatten)]
    task: ControlTask,
}

const VERSION: u8 = 1;

/// Why a stored task cannot be done by this version of the program. Perhaps by another: it stays in the queue for the
/// retries that `apalis-redis` allows, five minutes in all.
#[derive(Debug, thiserror::Error)]
enum MessageError {
    #[error("cannot read the control task")]
    Malformed {
        #[source]
        source: serde_json::Error,
    },
    #[error("the control task has version {0}, known is {VERSION}")]
    OtherVersion(u64),
}

impl Message {
    fn encode(task: ControlTask) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(&Self { v: VERSION, task })
    }

    fn decode(bytes: &[u8]) -> Result<ControlTask, MessageError> {
        #[derive(Deserialize)]
        struct Version {
            v: u64,
        }
        let malformed = |source| MessageError::Malformed { source };
        let Version { v } = serde_json::from_slice(bytes).map_err(malformed)?;
        if v != u64::from(VERSION) {
            return Err(MessageError::OtherVersion(v));
        }
        Ok(serde_json::from_slice::<Self>(bytes).map_err(malformed)?.task)
    }
}

/// How `apalis-redis` is used everywhere. `idempotency_ttl` counts for pushes, `heartbeat` for workers.
fn config(idempotency_ttl: Duration, heartbeat: Duration) -> Config {
    Config::default()
        .queue(CONTROL_QUEUE)
        .batch_size(1)
        .heartbeat_interval(heartbeat.max(Duration::from_secs(1)))
        .missed_heartbeats(MISSED_HEARTBEATS)
        .lock_tasks(false)
        .persist_results(true)
        .emit_events(false)
        .idempotency_ttl(Some(idempotency_ttl.max(Duration::from_secs(1))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_reads_as_it_was_written() {
        let bytes = Message::encode(ControlTask::RepairIndexes).unwrap();
        assert_eq!(String::from_utf8_lossy(&bytes), r#"{"v":1,"task":"repair_indexes"}"#);
        assert_eq!(Message::decode(&bytes).unwrap(), ControlTask::RepairIndexes);
    }

    #[test]
    fn a_task_of_a_later_version_is_refused_by_its_version() {
        let later = br#"{"v":2,"task":"repair_indexes","since":7}"#;
        assert!(matches!(Message::decode(later), Err(MessageError::OtherVersion(2))));
        assert!(matches!(Message::decode(br#"{"v":1,"task":"dance"}"#), Err(MessageError::Malformed { .. })));
        assert!(matches!(Message::decode(b"\xff"), Err(MessageError::Malformed { .. })));
    }

    #[test]
    fn the_name_of_a_task_is_its_tag() {
        for task in ControlTask::ALL {
            let value = serde_json::to_value(task).unwrap();
            assert_eq!(value["task"], task.name());
        }
    }
}
