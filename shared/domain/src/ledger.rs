//! The ledger of a job's paid calls: one entry a call, begun before the call leaves (INV-1) and ended by what became of
//! it. It is the evidence about an uncertain job, and the receipt of a finished one.

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::job::JobBody;

/// Most entries of a job. Calls that a provider refused make room first: nobody pays for them.
pub const LEDGER_LIMIT: usize = 16;

/// What became of a paid call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallOutcome {
    /// The provider took the work, or did it at once.
    Accepted,
    /// The provider, or the way to it, certainly did not take it.
    Refused,
    /// Nobody knows.
    Unknown,
}

/// One paid call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaidCall {
    /// When the intent was stored: the call left at this time or later.
    pub began_at: Timestamp,
    /// When its outcome was stored; absent while it is under way, and after a crash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// What became of it; absent while it is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<CallOutcome>,
    /// The provider's id of the work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_id: Option<String>,
    /// What was seen, where the call was not simply accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<String>,
}

impl JobBody {
    /// Begins an entry: the intent.
    pub(crate) fn begin_call(&mut self, now: Timestamp) {
        if self.paid_calls.len() >= LEDGER_LIMIT {
            let refused = self.paid_calls.iter().position(|call| call.outcome == Some(CallOutcome::Refused));
            self.paid_calls.remove(refused.unwrap_or(0));
        }
        self.paid_calls.push(PaidCall {
            began_at: now,
            ended_at: None,
            outcome: None,
            remote_id: None,
            evidence: None,
        });
    }

    /// Ends the latest entry. One that was unknown may become known later; one that is known stays as it is.
    pub(crate) fn end_call(
        &mut self,
        outcome: CallOutcome,
        remote_id: Option<&str>,
        evidence: Option<&str>,
        now: Timestamp,
    ) {
        let Some(call) = self.paid_calls.last_mut() else { return };
        if matches!(call.outcome, Some(CallOutcome::Accepted | CallOutcome::Refused)) {
            return;
        }
        call.outcome = Some(outcome);
        call.ended_at = Some(now);
        call.remote_id = remote_id.map(str::to_owned).or(call.remote_id.take());
        call.evidence = evidence.map(str::to_owned).or(call.evidence.take());
    }

    /// Since when nobody knows what became of the latest call; `None` when that is known.
    pub fn unknown_since(&self) -> Option<Timestamp> {
        let last = self.paid_calls.last()?;
        (last.outcome == Some(CallOutcome::Unknown)).then_some(last.ended_at).flatten()
    }
}
