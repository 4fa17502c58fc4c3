//! Every state of the protocol's model keeps the promises; and each promise notices when a rule is left out.

use std::time::Instant;

use atelier_chaos::model::explore::{Exploration, explore};
use atelier_chaos::model::store::{Rule, Rules};
use atelier_chaos::model::system::{Broken, OnUnknown, Setting};

/// Far more states than any of the systems here has.
const LIMIT: usize = 3_000_000;

const ONE_JOB: Setting = Setting {
    rules: Rules { without: None },
    jobs: 1,
    on_unknown: OnUnknown::Fail,
    faults: 2,
    checks: 1,
    refusals: 1,
    cancels: 1,
};

fn explored(setting: Setting, promises: &[Broken]) -> Exploration {
    let since = Instant::now();
    let found = explore(setting, promises, LIMIT);
    let Exploration { states, transitions, depth, .. } = found;
    println!("{states} states, {transitions} transitions, depth {depth}, {:?}: {setting:?}", since.elapsed());
    found
}

fn holds(setting: Setting) {
    if let Some(counterexample) = explored(setting, &Broken::ALL).counterexample {
        panic!("{counterexample}");
    }
}

/// The rule is what keeps the promise: without it there is a way to break it, and that is found.
fn is_noticed(rule: Rule, promise: Broken) {
    let found = explored(Setting { rules: Rules::without(rule), ..ONE_JOB }, &[promise]);
    let counterexample = found.counterexample.unwrap_or_else(|| panic!("nothing breaks without {rule:?}"));
    println!("without {rule:?}: {counterexample}");
    assert_eq!(counterexample.broken, promise);
}

#[test]
fn inv1_inv3_inv4_inv9_one_job_keeps_every_promise_in_every_state() {
    holds(Setting { faults: 3, ..ONE_JOB });
}

#[test]
fn a_job_that_may_be_paid_again_is_paid_again_only_after_it_was_uncertain() {
    holds(Setting { on_unknown: OnUnknown::Resubmit, refusals: 0, ..ONE_JOB });
}

#[test]
fn two_jobs_keep_every_promise_in_every_state() {
    holds(Setting { jobs: 2, faults: 1, checks: 0, refusals: 0, ..ONE_JOB });
}

#[test]
fn without_the_comparison_of_epochs_an_ended_job_changes() {
    is_noticed(Rule::VerdictsCompareEpochs, Broken::EndChanged);
}

#[test]
fn without_the_comparison_of_epochs_a_call_is_paid_twice() {
    is_noticed(Rule::VerdictsCompareEpochs, Broken::PaidTwice);
}

#[test]
fn without_a_new_epoch_for_each_claim_a_call_is_paid_twice() {
    is_noticed(Rule::ClaimsRaiseEpochs, Broken::PaidTwice);
}

#[test]
fn with_the_acknowledgement_before_the_state_a_job_is_forgotten() {
    is_noticed(Rule::StateBeforeAck, Broken::Forgotten);
}

#[test]
fn when_a_step_leaves_the_due_set_before_it_is_in_its_stream_a_job_is_forgotten() {
    is_noticed(Rule::StreamBeforeDueSet, Broken::Forgotten);
}

#[test]
fn with_the_intent_after_the_call_a_call_is_paid_without_one() {
    is_noticed(Rule::IntentBeforeCall, Broken::PaidWithoutIntent);
}

#[test]
fn with_the_intent_after_the_call_a_call_is_paid_twice() {
    is_noticed(Rule::IntentBeforeCall, Broken::PaidTwice);
}

#[test]
fn when_an_open_intent_is_called_again_a_call_is_paid_twice() {
    is_noticed(Rule::OpenIntentIsUncertain, Broken::PaidTwice);
}

#[test]
fn when_nobody_recovers_a_job_does_not_end() {
    is_noticed(Rule::OthersRecover, Broken::DoesNotEnd);
}

#[test]
fn when_ended_jobs_are_cancelled_an_ended_job_changes() {
    is_noticed(Rule::EndedJobsStay, Broken::EndChanged);
}
