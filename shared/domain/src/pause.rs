//! Pauses: jobs that are not to be begun for a while. What has been paid for goes on.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::ids::WorkspaceId;
use crate::job::Job;
use crate::operation::{Operation, Provider};
use crate::state::State;

/// Most pauses at one time: each claim of a worker looks at all of them.
pub const PAUSE_LIMIT: usize = 100;

/// Which jobs are paused: those that fit all that is named. Written `acme/fal/*`, a star for what is not named.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct PauseScope {
    /// Only of this workspace.
    pub workspace: Option<WorkspaceId>,
    /// Only at this provider.
    pub provider: Option<Provider>,
    /// Only this operation.
    pub operation: Option<Operation>,
}

/// A pause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pause {
    /// Of what.
    pub scope: PauseScope,
    /// What else is known of it.
    pub facts: PauseFacts,
}

/// What is kept of a pause beside its scope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PauseFacts {
    /// Since when.
    pub since: Timestamp,
    /// Who asked for it.
    pub by: WorkspaceId,
    /// Why, in that one's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl PauseScope {
    /// Whether the job may not be begun now. One whose time to start is over is not held: it must fail.
    pub fn holds(&self, job: &Job, now: Timestamp) -> bool {
        let spec = &job.body.spec;
        job.state == State::Queued
            && now < spec.start_deadline
            && self.workspace.as_ref().is_none_or(|workspace| *workspace == job.body.workspace_id)
            && self.provider.is_none_or(|provider| provider == spec.provider)
            && self.operation.is_none_or(|operation| operation == spec.operation)
    }

    /// Whether jobs of this workspace are concerned.
    pub fn concerns(&self, workspace: &WorkspaceId) -> bool {
        self.workspace.as_ref().is_none_or(|named| named == workspace)
    }
}

impl fmt::Display for PauseScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let provider = self.provider.map_or("*", Provider::as_str);
        let operation = self.operation.map_or("*", Operation::as_str);
        match &self.workspace {
            Some(workspace) => write!(f, "{workspace}/{provider}/{operation}"),
            None => write!(f, "*/{provider}/{operation}"),
        }
    }
}

impl FromStr for PauseScope {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no scope of a pause: workspace/provider/operation was expected");
        let mut parts = text.split('/').map(|part| Some(part).filter(|part| *part != "*"));
        let (Some(workspace), Some(provider), Some(operation), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(wrong());
        };
        Ok(Self {
            workspace: workspace.map(str::parse).transpose().map_err(|_| wrong())?,
            provider: provider.map(str::parse).transpose().map_err(|_| wrong())?,
            operation: operation.map(str::parse).transpose().map_err(|_| wrong())?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_reads_as_it_is_written() {
        for text in ["*/*/*", "acme/*/*", "*/fal/*", "*/*/video_gen", "a-b_9/luma/tts"] {
            assert_eq!(text.parse::<PauseScope>().unwrap().to_string(), text);
        }
        for text in ["", "*", "acme/fal", "acme/fal/tts/x", "acme/nobody/*", "ACME/*/*", "*/*/dance"] {
            assert!(text.parse::<PauseScope>().is_err(), "{text}");
        }
    }
}
