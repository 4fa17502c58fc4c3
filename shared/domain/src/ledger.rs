//! The ledger of a job's paid calls. A call begins with the intent, which is the state `submitting` (INV-1), and becomes an
//! entry with what became of it: the evidence about an uncertain job, and the receipt of a finished one.

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::job::{Job, JobBody};
use crate::state::State;

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

impl Job {
    /// All paid calls, also the one that is under way: a job that is `submitting` is its intent.
    pub fn paid_calls(&self) -> Vec<PaidCall> {
        let mut calls = self.body.paid_calls.clone();
        if self.state == State::Submitting {
            calls.push(PaidCall {
                began_at: self.changed_at,
                ended_at: None,
                outcome: None,
                remote_id: None,
                evidence: None,
            });
        }
        calls
    }

    /// Writes down what became of the call that is under way. To be called while the job is still `submitting`, since
    /// when it tells when the call began.
    pub(crate) fn end_call(
        &mut self,
        outcome: CallOutcome,
        remote_id: Option<&str>,
        evidence: Option<&str>,
        now: Timestamp,
    ) {
        self.note_intent();
        let calls = &mut self.body.paid_calls;
        if calls.len() >= LEDGER_LIMIT {
            let refused = calls.iter().position(|call| call.outcome == Some(CallOutcome::Refused));
            calls.remove(refused.unwrap_or(0));
        }
        calls.push(PaidCall {
            began_at: self.changed_at,
            ended_at: Some(now),
            outcome: Some(outcome),
            remote_id: remote_id.map(str::to_owned),
            evidence: evidence.map(str::to_owned),
        });
    }
}

impl JobBody {
    /// The latest call, of which nobody knew the outcome, is known after all. Nothing changes where it was known.
    pub fn make_known(
        &mut self,
        outcome: CallOutcome,
        remote_id: Option<&str>,
        evidence: &str,
        now: Timestamp,
    ) {
        if let Some(call) = self.paid_calls.last_mut()
            && call.outcome == Some(CallOutcome::Unknown)
        {
            call.outcome = Some(outcome);
            call.ended_at = Some(now);
            call.remote_id = remote_id.map(str::to_owned);
            call.evidence = Some(evidence.to_owned());
        }
    }

    /// Since when nobody knows what became of the latest call; `None` when that is known.
    pub fn unknown_since(&self) -> Option<Timestamp> {
        let last = self.paid_calls.last()?;
        (last.outcome == Some(CallOutcome::Unknown)).then_some(last.ended_at).flatten()
    }
}
