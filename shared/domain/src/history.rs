//! What happened to a job, as its record keeps it: one moment for each change of state, wait, hold and word of the
//! provider. Moments are noted where the record is written whole in any case; what a write of the header alone changes
//! (the intent of a paid call, a check that finds nothing new) is noted with the next one, or told by the header.

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::job::{Epoch, Job};
use crate::pause::PauseScope;
use crate::state::{Event, State};

/// Most moments of a job. Waits, holds and words of the provider make room first, then the oldest states.
pub const HISTORY_LIMIT: usize = 64;
/// Longest reason or word of a provider that is kept, in characters.
const NOTE_LIMIT: usize = 120;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Happened {
    /// The job came into this state.
    Entered(State),
    /// It stayed where it was, to be tried again.
    Waits,
    /// A pause held it back.
    Held,
    /// The provider gave its work another status.
    Status,
}

/// One moment of a job's life.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moment {
    /// The epoch with which it was written: it grows from moment to moment.
    pub epoch: Epoch,
    /// When, in whole milliseconds.
    pub at: Timestamp,
    /// What.
    pub what: Happened,
    /// When the job is looked at next, or has to be begun at the latest; in whole milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Status checks of the wait for the provider that ended here.
    #[serde(default)]
    pub checks: u16,
    /// The reason, the pause, or the provider's own word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl Job {
    /// The epoch with which a verdict that is decided now will be written: it raises that of its claim by one.
    fn coming_epoch(&self) -> Epoch {
        Epoch(self.epoch.0.wrapping_add(1))
    }

    /// Notes a change of state. An intent is written as a header alone: [`Job::note_intent`] notes it later.
    pub(crate) fn note_state(&mut self, was: State, event: Event, now: Timestamp) {
        if self.state == was || event == Event::IntentStored {
            return;
        }
        let checks = if was == State::Awaiting { self.checks } else { 0 };
        let (epoch, what) = (self.coming_epoch(), Happened::Entered(self.state));
        self.note(Moment { epoch, at: millis(now), what, until: None, checks, note: None });
    }

    /// Notes the intent of the paid call whose outcome is being written, while the job still is `submitting`.
    pub(crate) fn note_intent(&mut self) {
        let (epoch, at, what) = (self.epoch, millis(self.changed_at), Happened::Entered(State::Submitting));
        self.note(Moment { epoch, at, what, until: None, checks: 0, note: None });
    }

    /// Notes that the job is tried again at a time, and why: as a part of the change of state that comes with it, or as
    /// a moment of its own.
    pub(crate) fn note_wait(&mut self, until: Timestamp, reason: &str, now: Timestamp) {
        let epoch = self.coming_epoch();
        let until = Some(millis(until));
        match self.body.history.last_mut() {
            Some(last) if last.epoch == epoch && matches!(last.what, Happened::Entered(_)) => {
                last.until = until;
                last.note = Some(short(reason));
            }
            Some(_) | None => {
                let (at, note) = (millis(now), Some(short(reason)));
                self.note(Moment { epoch, at, what: Happened::Waits, until, checks: 0, note });
            }
        }
    }

    /// Notes when the job is looked at next, where its state has just changed.
    pub(crate) fn note_due(&mut self, due: Timestamp) {
        let epoch = self.coming_epoch();
        if let Some(last) = self.body.history.last_mut()
            && last.epoch == epoch
            && last.until.is_none()
            && last.what != Happened::Status
        {
            last.until = Some(millis(due));
        }
    }

    /// Takes the provider's word about its work; one that is new is noted.
    pub(crate) fn take_status(&mut self, status: Option<String>, now: Timestamp) {
        if self.body.provider_status != status
            && let Some(status) = &status
        {
            let (epoch, note) = (self.coming_epoch(), Some(short(status)));
            self.note(Moment {
                epoch,
                at: millis(now),
                what: Happened::Status,
                until: None,
                checks: 0,
                note,
            });
        }
        self.body.provider_status = status;
    }

    /// Notes that a pause holds the job back, until its time to start is over at the latest.
    pub fn note_held(&mut self, scope: &PauseScope, now: Timestamp) {
        let (epoch, until) = (self.coming_epoch(), Some(millis(self.body.spec.start_deadline)));
        let note = Some(scope.to_string());
        self.note(Moment { epoch, at: millis(now), what: Happened::Held, until, checks: 0, note });
    }

    fn note(&mut self, moment: Moment) {
        let history = &mut self.body.history;
        if history.len() >= HISTORY_LIMIT {
            let passing = history.iter().position(|moment| !matches!(moment.what, Happened::Entered(_)));
            history.remove(passing.unwrap_or(0));
        }
        history.push(moment);
    }
}

/// Records keep whole milliseconds.
fn millis(time: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(time.as_millisecond()).unwrap_or(time)
}

fn short(text: &str) -> String {
    text.chars().take(NOTE_LIMIT).collect()
}
