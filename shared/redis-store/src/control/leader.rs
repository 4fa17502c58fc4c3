//! One leader at a time: of all pollers one pushes control tasks, so that the others need not ask what was pushed. The
//! lease only saves work. A leader that stalls beyond it pushes nothing twice, see [`super::ControlQueue::push`].

use std::time::Duration;

use redis::RedisResult;
use tracing::{debug, info};

use crate::connect::{Redis, twice};
use crate::keys::LEADER;
use crate::script;

/// What giving back may take at the end of a process.
const FAREWELL: Duration = Duration::from_secs(1);

/// Who leads.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Leads {
    /// We do. Ask again before the lease is over.
    We,
    /// Somebody else, for that much longer unless it prolongs its lease.
    Another(Duration),
}

/// One candidate.
pub(super) struct Leader {
    redis: Redis,
    /// Unique for every start of a process.
    name: String,
    lease: Duration,
    is_ours: bool,
}

impl Leader {
    pub(super) fn new(redis: Redis) -> Self {
        let lease = Duration::from_millis(redis.settings.control.leader_lease_ms.max(1));
        Self { redis, name: format!("{:016x}", rand::random::<u64>()), lease, is_ours: false }
    }

    /// How often the leader prolongs its lease.
    pub(super) fn prolongs_every(&self) -> Duration {
        self.lease / 3
    }

    /// Takes the lease if it is nobody's, and prolongs it if it is ours.
    pub(super) async fn lead(&mut self) -> RedisResult<Leads> {
        let mut call = script::LEAD.prepare_invoke();
        let lease_ms = u64::try_from(self.lease.as_millis()).unwrap_or(u64::MAX);
        call.key(LEADER).arg(&self.name).arg(lease_ms);
        let (is_ours, left_ms): (bool, i64) =
            twice(|| async { call.invoke_async(&mut self.redis.control()).await }).await?;
        if is_ours && !self.is_ours {
            info!("this poller pushes the control tasks now");
        }
        self.is_ours = is_ours;
        Ok(if is_ours {
            Leads::We
        } else {
            // At least a moment, should it end right now.
            Leads::Another(Duration::from_millis(left_ms.max(1).unsigned_abs()))
        })
    }

    /// Lets another one lead at once. Without it the lease runs out.
    pub(super) async fn resign(self) {
        if !self.is_ours {
            return;
        }
        let mut call = script::RESIGN.prepare_invoke();
        call.key(LEADER).arg(&self.name);
        let resigned = async { call.invoke_async::<i64>(&mut self.redis.control()).await };
        if !matches!(tokio::time::timeout(FAREWELL, resigned).await, Ok(Ok(_))) {
            debug!("the lease of the leader was not given back");
        }
    }
}
