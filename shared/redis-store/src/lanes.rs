//! Where steps wait that are ready: streams beside each other, or a set that is a lease queue.
//!
//! | lane | steps | which comes first |
//! |---|---|---|
//! | `submit-high`, `submit`, `submit-low` | submit, by priority | by lot for each read, with [`WEIGHTS`], so that none waits for ever behind another; in a lane, what came first |
//! | `reconcile`, `abandon` | of all priorities | what came first |
//! | `deliver@<second>` | deliver | the result whose links end first, in the due set `v` |
//! | `check` | check | what is due first, in the due set `c` |
//!
//! What has been paid for is not held up by a priority: a lane decides what is begun.

use std::borrow::Cow;
use std::time::Duration;

use atelier_domain::job::Job;
use atelier_domain::operation::{Priority, Step};

/// How often, out of their sum, the lane of each priority is read first while all of them are full.
const WEIGHTS: [(Priority, u32); 3] = [(Priority::High, 16), (Priority::Normal, 4), (Priority::Low, 1)];

/// How long results keep of which nobody says it: bytes in the spool take memory, and most links have an hour.
const ASSUMED_LIFE: Duration = Duration::from_secs(3600);

/// A stream's lane, by the word that stands in its key.
pub(crate) type Lane = &'static str;

/// The word for what follows, as scripts read it; it also stands before members of the due set.
pub(crate) fn word(step: Step, job: &Job) -> Cow<'static, str> {
    match step {
        Step::Submit => of_submit(job.body.spec.priority).into(),
        Step::Deliver => {
            let begun = job.body.started_at.unwrap_or(job.body.created_at);
            let end = job.body.outputs_expire_at.unwrap_or(begun + ASSUMED_LIFE);
            format!("deliver@{}", end.as_second().max(0)).into()
        }
        Step::Check | Step::Reconcile | Step::Abandon => step.as_str().into(),
    }
}

/// The lane of submits of this priority.
pub(crate) fn of_submit(priority: Priority) -> Lane {
    match priority {
        Priority::High => "submit-high",
        Priority::Normal => "submit",
        Priority::Low => "submit-low",
    }
}

/// The lanes of a step; none where its queue is a set.
pub(crate) fn all(step: Step) -> &'static [Lane] {
    match step {
        Step::Submit => &["submit-high", "submit", "submit-low"],
        Step::Reconcile => &["reconcile"],
        Step::Abandon => &["abandon"],
        Step::Check | Step::Deliver => &[],
    }
}

/// The lanes of a step in the order of one read; `dice` is in 0..1. The first is drawn by its weight, the others follow
/// in their order: they only get what the first leaves over.
pub(crate) fn drawn(step: Step, dice: f64) -> Vec<Lane> {
    let mut lanes = all(step).to_vec();
    if step == Step::Submit {
        let sum: u32 = WEIGHTS.iter().map(|(_, weight)| weight).sum();
        let mut left = dice.clamp(0.0, 1.0) * f64::from(sum);
        let first = WEIGHTS.iter().position(|(_, weight)| {
            left -= f64::from(*weight);
            left < 0.0
        });
        if let Some(prefix) = first.and_then(|first| lanes.get_mut(..=first)) {
            prefix.rotate_right(1);
        }
    }
    lanes
}

/// The step of a word.
pub(crate) fn step_of(word: &str) -> Option<Step> {
    let name = word.split('@').next().unwrap_or(word);
    Step::ALL.iter().copied().find(|step| step.as_str() == name || all(*step).contains(&name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_lane_comes_first_as_often_as_its_weight_says() {
        let mut firsts = std::collections::BTreeMap::new();
        for throw in 0..2100 {
            let order = drawn(Step::Submit, f64::from(throw) / 2100.0);
            assert_eq!(order.len(), 3);
            *firsts.entry(order[0]).or_insert(0) += 1;
        }
        assert_eq!(firsts["submit-high"], 1600);
        assert_eq!(firsts["submit"], 400);
        assert_eq!(firsts["submit-low"], 100);
    }

    #[test]
    fn the_others_follow_in_their_order() {
        assert_eq!(drawn(Step::Submit, 0.0), ["submit-high", "submit", "submit-low"]);
        assert_eq!(drawn(Step::Submit, 0.9), ["submit", "submit-high", "submit-low"]);
        assert_eq!(drawn(Step::Submit, 0.999), ["submit-low", "submit-high", "submit"]);
        assert_eq!(drawn(Step::Submit, 1.0).len(), 3);
        assert_eq!(drawn(Step::Abandon, 0.5), ["abandon"]);
    }

    #[test]
    fn a_word_tells_its_step() {
        for priority in Priority::ALL {
            assert_eq!(step_of(of_submit(*priority)), Some(Step::Submit));
        }
        for step in Step::ALL {
            assert_eq!(step_of(step.as_str()), Some(*step));
        }
        assert_eq!(step_of("deliver@1790000000"), Some(Step::Deliver));
        assert_eq!(step_of("dance"), None);
    }

    #[test]
    fn the_weights_are_those_of_the_lanes_in_their_order() {
        let lanes: Vec<Lane> = WEIGHTS.iter().map(|(priority, _)| of_submit(*priority)).collect();
        assert_eq!(lanes, all(Step::Submit));
    }
}
