//! The states of a job and the only table that says how they follow one another.
//!
//! `shared/docs/state-machine.md` is generated from [`TABLE`] and a test holds it to it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where a job stands. The words are those of the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Waits for a worker, or for its retry time.
    Queued,
    /// The intent of a paid call is stored; the call is under way.
    Submitting,
    /// The provider works on it.
    Awaiting,
    /// The result exists and is being brought into the asset store.
    Delivering,
    /// A paid call got no answer and may have arrived.
    Uncertain,
    /// Done; its assets are stored.
    Succeeded,
    /// Ended without a result.
    Failed,
    /// Ended by its caller.
    Cancelled,
}

impl State {
    /// Every state, in the order of a job's life.
    pub const ALL: &'static [Self] = &[
        Self::Queued,
        Self::Submitting,
        Self::Awaiting,
        Self::Delivering,
        Self::Uncertain,
        Self::Succeeded,
        Self::Failed,
        Self::Cancelled,
    ];

    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Submitting => "submitting",
            Self::Awaiting => "awaiting",
            Self::Delivering => "delivering",
            Self::Uncertain => "uncertain",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether the state never changes again (INV-3).
    pub const fn is_terminal(self) -> bool {
        match self {
            Self::Succeeded | Self::Failed | Self::Cancelled => true,
            Self::Queued | Self::Submitting | Self::Awaiting | Self::Delivering | Self::Uncertain => false,
        }
    }

    /// The state after `event`, or an error that names both when the table has no such row.
    pub fn after(self, event: Event) -> Result<Self, IllegalTransition> {
        TABLE
            .iter()
            .find(|(from, by, _)| *from == self && *by == event)
            .map(|(_, _, to)| *to)
            .ok_or(IllegalTransition { from: self, event })
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What happens to a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Event {
    /// The intent of a paid call was stored (INV-1).
    IntentStored,
    /// The provider took the work and gave an id (INV-2).
    Accepted,
    /// The provider's reply held the media itself, now kept.
    BytesReceived,
    /// A passing fault before the work was taken, or a failure the provider calls worth a new try.
    RetryLater,
    /// A paid call got no answer.
    AnswerLost,
    /// The provider still works.
    StillWorking,
    /// The provider has finished.
    Ready,
    /// The store, or the way to it, failed for now.
    StoreLater,
    /// The link to the result is dead; the provider is asked for a fresh one.
    LinkExpired,
    /// All assets are stored.
    Stored,
    /// The lost call was found at the provider.
    Adopted,
    /// The lost call did not arrive, or its caller accepts a second one.
    Disproved,
    /// The provider could not be asked just now.
    AskLater,
    /// Nothing more can be done.
    Failed,
    /// The caller cancelled.
    Cancelled,
}

impl Event {
    /// The word in the diagram and in logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::IntentStored => "intent stored",
            Self::Accepted => "accepted",
            Self::BytesReceived => "bytes received",
            Self::RetryLater => "retry later",
            Self::AnswerLost => "answer lost",
            Self::StillWorking => "still working",
            Self::Ready => "ready",
            Self::StoreLater => "store later",
            Self::LinkExpired => "link expired",
            Self::Stored => "stored",
            Self::Adopted => "adopted",
            Self::Disproved => "disproved",
            Self::AskLater => "ask later",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// The state machine. A pair of state and event that is not here cannot happen.
pub const TABLE: &[(State, Event, State)] = &[
    (State::Queued, Event::IntentStored, State::Submitting),
    (State::Queued, Event::RetryLater, State::Queued),
    (State::Queued, Event::Failed, State::Failed),
    (State::Queued, Event::Cancelled, State::Cancelled),
    (State::Submitting, Event::Accepted, State::Awaiting),
    (State::Submitting, Event::BytesReceived, State::Delivering),
    (State::Submitting, Event::RetryLater, State::Queued),
    (State::Submitting, Event::AnswerLost, State::Uncertain),
    (State::Submitting, Event::Failed, State::Failed),
    (State::Submitting, Event::Cancelled, State::Cancelled),
    (State::Awaiting, Event::StillWorking, State::Awaiting),
    (State::Awaiting, Event::Ready, State::Delivering),
    (State::Awaiting, Event::RetryLater, State::Queued),
    (State::Awaiting, Event::Failed, State::Failed),
    (State::Awaiting, Event::Cancelled, State::Cancelled),
    (State::Delivering, Event::StoreLater, State::Delivering),
    (State::Delivering, Event::LinkExpired, State::Awaiting),
    (State::Delivering, Event::Stored, State::Succeeded),
    (State::Delivering, Event::Failed, State::Failed),
    (State::Delivering, Event::Cancelled, State::Cancelled),
    (State::Uncertain, Event::AskLater, State::Uncertain),
    (State::Uncertain, Event::Adopted, State::Awaiting),
    (State::Uncertain, Event::Disproved, State::Queued),
    (State::Uncertain, Event::Failed, State::Failed),
    (State::Uncertain, Event::Cancelled, State::Cancelled),
];

/// A row that the table does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a job that is {from} cannot take `{}`", event.as_str())]
pub struct IllegalTransition {
    /// The state the job is in.
    pub from: State,
    /// What was to happen to it.
    pub event: Event,
}

/// The table as a Mermaid state diagram: the source of `shared/docs/state-machine.md`.
pub fn mermaid() -> String {
    let mut text = String::from("stateDiagram-v2\n    [*] --> queued\n");
    for (from, event, to) in TABLE {
        text.push_str(&format!("    {from} --> {to}: {}\n", event.as_str()));
    }
    for state in State::ALL.iter().filter(|state| state.is_terminal()) {
        text.push_str(&format!("    {state} --> [*]\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inv3_no_row_leaves_a_terminal_state() {
        assert!(TABLE.iter().all(|(from, _, _)| !from.is_terminal()));
    }

    #[test]
    fn every_state_is_reached_and_every_waiting_state_can_end() {
        for state in State::ALL.iter().filter(|state| **state != State::Queued) {
            assert!(TABLE.iter().any(|(_, _, to)| to == state), "{state} is never reached");
        }
        for state in State::ALL.iter().filter(|state| !state.is_terminal()) {
            for end in [Event::Failed, Event::Cancelled] {
                assert!(state.after(end).is_ok_and(State::is_terminal), "{state} cannot take {end:?}");
            }
        }
    }

    #[test]
    fn no_pair_has_two_outcomes() {
        for (index, (from, event, _)) in TABLE.iter().enumerate() {
            let twin = TABLE.iter().skip(index + 1).any(|(f, e, _)| f == from && e == event);
            assert!(!twin, "{from} + {event:?} stands twice");
        }
    }

    #[test]
    fn a_paid_call_starts_only_from_a_stored_intent() {
        let to_awaiting: Vec<_> = TABLE.iter().filter(|(_, event, _)| *event == Event::Accepted).collect();
        assert_eq!(to_awaiting, [&(State::Submitting, Event::Accepted, State::Awaiting)]);
    }

    #[test]
    fn the_documented_diagram_is_the_table() {
        let page = include_str!("../../docs/state-machine.md");
        let wanted = format!("```mermaid\n{}```\n", mermaid());
        assert!(
            page.contains(&wanted),
            "shared/docs/state-machine.md differs from the table; run `cargo run -p atelier-domain --example state-machine`"
        );
    }
}
