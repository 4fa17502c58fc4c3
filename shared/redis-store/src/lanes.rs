//! The lanes of a queue: ready streams beside each other, one for each priority, read by all its workers.
//!
//! | lane | steps | order |
//! |---|---|---|
//! | `submit-high` | submit, priority high | each in the order of arrival; which lane is read first is drawn |
//! | `submit` | submit, priority normal | by lot for each read, with [`WEIGHTS`], so that none of them |
//! | `submit-low` | submit, priority low | waits for ever behind another |
//! | `reconcile`, `abandon` | of all priorities | arrival |
//!
//! What has been paid for is not held up by a priority: a lane decides what is begun.

use atelier_domain::operation::{Priority, Step};

/// How often, out of their sum, the lane of each priority is read first while all of them are full.
const WEIGHTS: [(Priority, u32); 3] = [(Priority::High, 16), (Priority::Normal, 4), (Priority::Low, 1)];

/// A lane, by the word that stands in its key and before due members.
pub(crate) type Lane = &'static str;

/// The lane of a step of a job with this priority.
pub(crate) fn of(step: Step, priority: Priority) -> Lane {
    match (step, priority) {
        (Step::Submit, Priority::High) => "submit-high",
        (Step::Submit, Priority::Low) => "submit-low",
        (step, Priority::High | Priority::Normal | Priority::Low) => step.as_str(),
    }
}

/// All lanes of a step.
pub(crate) fn all(step: Step) -> &'static [Lane] {
    match step {
        Step::Submit => &["submit-high", "submit", "submit-low"],
        Step::Reconcile => &["reconcile"],
        Step::Abandon => &["abandon"],
        Step::Deliver => &["deliver"],
        Step::Check => &[],
    }
}

/// The lanes of a step in the order of one read; `dice` is in 0..1.
pub(crate) fn drawn(step: Step, dice: f64) -> Vec<Lane> {
    match step {
        Step::Submit => drawn_by(&WEIGHTS, dice).into_iter().map(|priority| of(step, priority)).collect(),
        Step::Check | Step::Deliver | Step::Reconcile | Step::Abandon => all(step).to_vec(),
    }
}

/// Draws the first by weight, and then the others in their order: they only get what the first leaves over.
fn drawn_by(weights: &[(Priority, u32)], dice: f64) -> Vec<Priority> {
    let sum: u32 = weights.iter().map(|(_, weight)| weight).sum();
    let mut left = dice.clamp(0.0, 1.0) * f64::from(sum);
    let first = weights.iter().position(|(_, weight)| {
        left -= f64::from(*weight);
        left < 0.0
    });
    let mut order: Vec<Priority> = weights.iter().map(|(priority, _)| *priority).collect();
    if let Some(prefix) = first.and_then(|first| order.get_mut(..=first)) {
        prefix.rotate_right(1);
    }
    order
}

/// The step whose lane has this word.
pub(crate) fn step_of(lane: &str) -> Option<Step> {
    Step::ALL.iter().copied().find(|step| step.as_str() == lane || all(*step).contains(&lane))
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
    }

    #[test]
    fn every_lane_is_one_of_its_step() {
        for step in Step::ALL.iter().copied().filter(|step| *step != Step::Check) {
            for priority in Priority::ALL {
                let lane = of(step, *priority);
                assert!(all(step).contains(&lane), "{lane}");
                assert_eq!(step_of(lane), Some(step));
            }
        }
        assert_eq!(step_of("check"), Some(Step::Check));
        assert_eq!(step_of("dance"), None);
    }
}
