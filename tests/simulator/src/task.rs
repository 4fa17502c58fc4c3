//! A piece of asynchronous work (Fal, Runway) and where it stands at a moment.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use tokio::time::Instant;

use crate::fault::{Fault, ModerationForm};
use crate::journal::Provider;
use crate::media::MediaSpec;

/// The part of its time that work waits before it runs.
pub(crate) const WAITING_PART: f64 = 0.2;

/// Work that was accepted.
#[derive(Debug, Clone)]
pub(crate) struct Task {
    pub(crate) id: String,
    pub(crate) provider: Provider,
    pub(crate) model: String,
    pub(crate) prompt: String,
    pub(crate) created_at: Timestamp,
    pub(crate) started: Instant,
    /// How long it takes.
    pub(crate) duration: Duration,
    pub(crate) outcome: Outcome,
    /// The files it makes.
    pub(crate) files: Vec<MediaSpec>,
    /// Credits (Runway).
    pub(crate) credits: u64,
    /// The provider's own facts for the result.
    pub(crate) details: Value,
    /// Status words to report before the truth.
    pub(crate) scripted: VecDeque<String>,
    pub(crate) is_cancelled: bool,
}

/// What becomes of work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    Done,
    Moderated(ModerationForm),
    Failed(String),
    Stuck,
}

/// Where work stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Stage {
    Waiting,
    /// Running, with the part that is done (0 to 1).
    Running(f64),
    Over,
}

impl Outcome {
    /// The outcome and the scripted status words that a work fault asks for.
    pub(crate) fn of(fault: Option<&Fault>) -> (Self, VecDeque<String>) {
        match fault {
            Some(Fault::Moderation { form }) => (Self::Moderated(*form), VecDeque::new()),
            Some(Fault::Fail { code }) => (Self::Failed(code.clone()), VecDeque::new()),
            Some(Fault::Stuck) => (Self::Stuck, VecDeque::new()),
            Some(Fault::Progress { statuses }) => (Self::Done, statuses.iter().cloned().collect()),
            _ => (Self::Done, VecDeque::new()),
        }
    }
}

impl Task {
    /// How long it waits before it runs.
    pub(crate) fn waiting_time(&self) -> Duration {
        self.duration.mul_f64(WAITING_PART)
    }

    pub(crate) fn stage(&self) -> Stage {
        if self.is_cancelled {
            return Stage::Over;
        }
        let total = self.duration.as_secs_f64();
        let part = if total > 0.0 { self.started.elapsed().as_secs_f64() / total } else { 1.0 };
        match (&self.outcome, part) {
            (_, part) if part < WAITING_PART => Stage::Waiting,
            (Outcome::Stuck, _) => Stage::Running(0.97_f64.min(part)),
            (_, part) if part < 1.0 => Stage::Running(part),
            _ => Stage::Over,
        }
    }
}
