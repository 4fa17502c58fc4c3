//! How a prediction goes on, decided as a whole so that any moment of it can be told.

use std::time::Duration;

use serde_json::Value;

use super::models::Family;
use crate::fault::ModerationForm;
use crate::task::{Outcome, Task, WAITING_PART};

/// When a prediction starts and ends, counted from its creation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Timeline {
    pub(crate) starts: Duration,
    /// `None` = never.
    pub(crate) ends: Option<Duration>,
    pub(crate) end: End,
}

/// How it ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    Succeeded,
    /// With this text in `error`.
    Failed(String),
    Canceled,
    /// Stopped before it had started.
    Aborted,
}

impl End {
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed(_) => "failed",
            Self::Canceled => "canceled",
            Self::Aborted => "aborted",
        }
    }
}

impl Timeline {
    pub(crate) fn of(task: &Task) -> Self {
        let moment = |name: &str| task.details.get(name).and_then(Value::as_u64).map(Duration::from_millis);
        let mut timeline = Self::undisturbed(task);
        if let Some(deadline) = moment("deadline_ms") {
            let end = if deadline < timeline.starts { End::Aborted } else { End::Canceled };
            timeline.stop(deadline, end);
        }
        if let Some(canceled) = moment("canceled_ms") {
            timeline.stop(canceled, End::Canceled);
        }
        timeline
    }

    fn undisturbed(task: &Task) -> Self {
        let duration = task.duration;
        let starts = duration.mul_f64(WAITING_PART);
        let (starts, ends, end) = match &task.outcome {
            Outcome::Done => (starts, Some(duration), End::Succeeded),
            Outcome::Stuck => (starts, None, End::Succeeded),
            Outcome::Moderated(form) => (starts, Some(duration), End::Failed(refusal(task, *form))),
            Outcome::Failed(code) if code == "aborted" => (duration, Some(duration), End::Aborted),
            Outcome::Failed(code) if code == "canceled" => (starts, Some(duration), End::Canceled),
            Outcome::Failed(text) => (starts, Some(duration), End::Failed(text.clone())),
        };
        Self { starts, ends, end }
    }

    fn stop(&mut self, at: Duration, end: End) {
        if self.ends.is_none_or(|ends| at < ends) {
            self.starts = self.starts.min(at);
            self.ends = Some(at);
            self.end = end;
        }
    }

    /// Whether it ran at all before it ended.
    pub(crate) fn is_started(&self) -> bool {
        self.ends.is_none_or(|ends| self.starts < ends)
    }

    pub(crate) fn is_over(&self, elapsed: Duration) -> bool {
        self.ends.is_some_and(|ends| elapsed >= ends)
    }

    pub(crate) fn word(&self, elapsed: Duration) -> &'static str {
        if self.is_over(elapsed) {
            self.end.word()
        } else if elapsed < self.starts {
            "starting"
        } else {
            "processing"
        }
    }
}

/// What a run says when its content was refused: open models find the picture, closed ones name a code.
fn refusal(task: &Task, form: ModerationForm) -> String {
    let by_code = task.details.get("refuses_by_code") == Some(&Value::Bool(true));
    if form == ModerationForm::NsfwFlag || (form == ModerationForm::Model && !by_code) {
        return "NSFW content detected. Try running it again, or try a different prompt.".to_owned();
    }
    "The input or output was flagged as sensitive. Please try again with different inputs. (E005)".to_owned()
}

/// Whether a model tells of refused content by a code.
pub(crate) fn refuses_by_code(family: Family) -> bool {
    match family {
        Family::FluxPro | Family::Kontext | Family::Seedance | Family::Kling => true,
        Family::Sdxl | Family::Flux | Family::OpenImage | Family::OpenVideo => false,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use jiff::Timestamp;
    use serde_json::json;
    use tokio::time::Instant;

    use super::*;
    use crate::journal::Provider;

    /// A prediction of ten seconds, two of which it waits.
    fn timeline(outcome: Outcome, details: Value) -> Timeline {
        Timeline::of(&Task {
            id: "id".to_owned(),
            provider: Provider::Replicate,
            model: String::new(),
            prompt: String::new(),
            created_at: Timestamp::now(),
            started: Instant::now(),
            duration: Duration::from_secs(10),
            outcome,
            files: Vec::new(),
            credits: 0,
            details,
            scripted: VecDeque::new(),
            is_cancelled: false,
        })
    }

    fn words(timeline: &Timeline) -> Vec<&'static str> {
        let mut words: Vec<_> = (0..=20).map(|second| timeline.word(Duration::from_secs(second))).collect();
        words.dedup();
        words
    }

    #[test]
    fn a_prediction_goes_through_its_states() {
        let done = timeline(Outcome::Done, json!({}));
        assert_eq!(words(&done), ["starting", "processing", "succeeded"]);
        assert_eq!(words(&timeline(Outcome::Stuck, json!({}))), ["starting", "processing"]);
        let aborted = timeline(Outcome::Failed("aborted".to_owned()), json!({}));
        assert_eq!(words(&aborted), ["starting", "aborted"]);
        assert!(!aborted.is_started());
    }

    #[test]
    fn a_deadline_aborts_what_waits_and_cancels_what_runs() {
        let early = timeline(Outcome::Done, json!({"deadline_ms": 1000}));
        assert_eq!((words(&early), early.is_started()), (vec!["starting", "aborted"], false));
        let late = timeline(Outcome::Stuck, json!({"deadline_ms": 5000}));
        assert_eq!((words(&late), late.is_started()), (vec!["starting", "processing", "canceled"], true));
        let unmet = timeline(Outcome::Done, json!({"deadline_ms": 15_000}));
        assert_eq!(words(&unmet), ["starting", "processing", "succeeded"]);
    }

    #[test]
    fn a_cancellation_comes_before_a_later_end() {
        let canceled = timeline(Outcome::Done, json!({"canceled_ms": 4000, "deadline_ms": 6000}));
        assert_eq!(words(&canceled), ["starting", "processing", "canceled"]);
        assert_eq!(canceled.ends, Some(Duration::from_secs(4)));
    }

    #[test]
    fn refusals_are_told_as_the_models_tell_them() {
        let text = |form, by_code: bool| match timeline(
            Outcome::Moderated(form),
            json!({"refuses_by_code": by_code}),
        )
        .end
        {
            End::Failed(text) => text,
            end => panic!("{end:?}"),
        };
        assert!(text(ModerationForm::Model, false).starts_with("NSFW"));
        assert!(text(ModerationForm::Model, true).ends_with("(E005)"));
        assert!(text(ModerationForm::NsfwFlag, true).starts_with("NSFW"));
    }
}
