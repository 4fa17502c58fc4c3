//! Events that a record tells.

use std::collections::BTreeMap;
use std::time::Duration;

use super::*;
use crate::job::{Output, RemoteOperation};
use crate::policy::{Decision, Policy};
use crate::ports::Checked;
use crate::samples;

fn at(seconds: u64) -> Timestamp {
    "2026-11-25T10:00:00Z".parse::<Timestamp>().unwrap() + Duration::from_secs(seconds)
}

fn queued() -> Job {
    samples::admitted(Cost::unknown(), at(0))
}

/// A claim, as the store makes it.
fn claimed(mut job: Job) -> Job {
    job.epoch = Epoch(job.epoch.0 + 1);
    job.deliveries += 1;
    job
}

/// A verdict, as the store writes it.
fn settled(decided: Result<Decision, crate::state::IllegalTransition>) -> Job {
    let mut job = decided.unwrap().job;
    job.epoch = Epoch(job.epoch.0 + 1);
    job.deliveries = 0;
    job
}

/// A job that waits for its provider.
fn awaiting() -> Job {
    let policy = Policy::default();
    let submitting = policy.begin_submit(claimed(queued()), at(1)).unwrap().job;
    let remote = RemoteOperation { id: "r".to_owned(), submitted_at: at(2), urls: BTreeMap::new() };
    settled(policy.accepted(submitting, remote, None, at(2)))
}

fn looked(job: Job, status: &str, percent: Option<u8>, now: Timestamp) -> Job {
    let found = Checked::Working { status: status.to_owned(), progress_percent: percent };
    settled(Policy::default().checked(claimed(job), found, now, 0.5))
}

fn shown(events: &[JobEvent]) -> Vec<(u32, &'static str)> {
    events.iter().map(|event| (event.number.0, event.state.as_str())).collect()
}

#[test]
fn a_whole_life_is_told_in_its_order_with_the_numbers_of_its_writes() {
    let policy = Policy::default();
    let job = looked(awaiting(), "RUNNING", Some(40), at(12));
    let outputs = vec![Output::link("https://example.com/x.mp4", None)];
    let found = Checked::Ready { outputs, status: "SUCCEEDED".to_owned(), cost: None };
    let ready = settled(policy.checked(claimed(job), found, at(22), 0.5));
    let done = settled(policy.delivered(claimed(ready), Vec::new(), at(25)));
    let events = told_by(&done, None);
    assert_eq!(
        shown(&events),
        [
            (0, "queued"),
            (1, "submitting"),
            (2, "awaiting"),
            (4, "awaiting"),
            (6, "delivering"),
            (8, "succeeded"),
        ]
    );
    assert_eq!(events[1].at, at(1));
    let status = |place: usize| events[place].facts.as_ref().and_then(|facts| facts.provider_status.clone());
    assert_eq!((status(3).as_deref(), status(4).as_deref()), (Some("RUNNING"), Some("SUCCEEDED")));
    assert_eq!((events[5].progress_percent, events[5].facts.is_some()), (Some(100), true));
    assert_eq!(shown(&told_by(&done, Some(Epoch(4)))), shown(&events[4..]));
    assert_eq!(told_by(&done, Some(Epoch(8))), []);
    // The late look after an end raises the epoch and tells nothing new.
    assert_eq!(told_by(&settled(Ok(policy.abandoned(claimed(done), true, at(30), 0.5))), Some(Epoch(8))), []);
}

#[test]
fn the_record_of_a_call_under_way_tells_it() {
    let job = Policy::default().begin_submit(claimed(queued()), at(1)).unwrap().job;
    assert_eq!(shown(&told_by(&job, None)), [(0, "queued"), (1, "submitting")]);
    assert_eq!(shown(&told_by(&job, Some(Epoch(0)))), [(1, "submitting")]);
}

#[test]
fn a_claim_that_has_written_nothing_takes_no_number() {
    let job = claimed(queued());
    assert_eq!(shown(&told_by(&job, None)), [(0, "queued")], "the intent of this claim will have number 1");
}

#[test]
fn progress_that_only_the_header_tells_is_told() {
    let first = looked(awaiting(), "RUNNING", Some(10), at(12));
    let later = looked(first.clone(), "RUNNING", Some(60), at(22));
    assert_eq!(first.body.history, later.body.history, "a check without a new word changes no body");
    assert!(is_event(&first, &later));
    let resumed = told_by(&later, Some(first.epoch));
    assert_eq!((shown(&resumed), resumed[0].progress_percent), (vec![(6, "awaiting")], Some(60)));
    let same = looked(later.clone(), "RUNNING", Some(60), at(32));
    assert!(!is_event(&later, &same));
}

#[test]
fn a_retry_is_told_with_both_of_its_calls() {
    let policy = Policy::default();
    let error =
        crate::error::ProviderError::Unavailable { message: "busy".to_owned(), status: "503".to_owned() };
    let submitting = policy.begin_submit(claimed(queued()), at(1)).unwrap().job;
    let again = settled(policy.submit_failed(submitting, &error, at(2), 0.5));
    let job = policy.begin_submit(claimed(again), at(5)).unwrap().job;
    assert_eq!(
        shown(&told_by(&job, None)),
        [(0, "queued"), (1, "submitting"), (2, "queued"), (3, "submitting")]
    );
    let queued = &job.body.history[1];
    assert_eq!((queued.what, queued.until.is_some()), (Happened::Entered(State::Queued), true));
    assert!(queued.note.as_ref().unwrap().contains("busy"));
}

#[test]
fn a_record_without_history_tells_how_it_is() {
    let mut job = awaiting();
    job.body.history.clear();
    assert_eq!(shown(&told_by(&job, None)), [(0, "queued"), (2, "awaiting")]);
}

#[test]
fn history_has_a_bound_and_keeps_the_states() {
    let policy = Policy::default();
    let mut job = awaiting();
    for number in 0..200u64 {
        job = looked(job, &format!("STEP {number}"), None, at(3));
        job.checks = 0;
    }
    let job = settled(policy.checked(
        claimed(job),
        Checked::Ready {
            outputs: vec![Output::link("https://example.com/x.mp4", None)],
            status: "DONE".to_owned(),
            cost: None,
        },
        at(4),
        0.5,
    ));
    assert_eq!(job.body.history.len(), crate::history::HISTORY_LIMIT);
    let entered: Vec<State> = job
        .body
        .history
        .iter()
        .filter_map(|moment| match moment.what {
            Happened::Entered(state) => Some(state),
            Happened::Waits | Happened::Held | Happened::Status => None,
        })
        .collect();
    assert_eq!(entered, [State::Submitting, State::Awaiting, State::Delivering]);
    assert_eq!(job.body.history.last().unwrap().checks, 1, "of the wait that ended there");
}

#[test]
fn a_position_comes_back_from_its_text() {
    let position = EventPosition(vec![EntryId { ms: 1_795_600_000_000, number: 3 }, EntryId::default()]);
    assert_eq!(position.to_string(), "1795600000000-3_0-0");
    assert_eq!(position.to_string().parse(), Ok(position));
    for text in ["", "x", "1", "1-", "-1", "1-2_", "1-2-3", "+1-2", "1-2 _1-2", "99999999999999999999-0"] {
        assert_eq!(text.parse::<EventPosition>(), Err(NoPosition), "{text}");
    }
}
