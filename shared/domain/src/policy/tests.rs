//! Decisions as values: no clock, no dice, no store.

use std::time::Duration;

use super::*;
use crate::ids::JobId;
use crate::job::{Epoch, JobSpec, Output, OutputSource, RemoteOperation};
use crate::ledger::CallOutcome;
use crate::money::{Cost, MicroUsd, PriceUnit, UnitPrice};
use crate::operation::{OnUnknownOutcome, Operation, Priority, Provider};
use crate::ports::Checked;
use crate::trace::{JobTrace, TraceParent};

fn now() -> Timestamp {
    "2026-11-22T10:00:00Z".parse().unwrap()
}

fn after(seconds: u64) -> Timestamp {
    now() + Duration::from_secs(seconds)
}

fn queued() -> Job {
    let spec = JobSpec {
        operation: Operation::VideoGen,
        provider: Provider::Runway,
        model: "gen4.5".to_owned(),
        prompt: Some("a fox".to_owned()),
        input: None,
        files: BTreeMap::new(),
        config: serde_json::Map::new(),
        credential_id: None,
        priority: Priority::Normal,
        run_at: None,
        start_deadline: after(3600),
        metadata: serde_json::Map::new(),
        capture_prompt: true,
        on_unknown_outcome: OnUnknownOutcome::Fail,
    };
    let producer = TraceParent { trace_id: 1, span_id: 2, is_sampled: true };
    let trace = JobTrace { producer, tracestate: None, media_span_id: 3, scheduled_by: None };
    Job::admitted(
        JobId::new(),
        "acme".parse().unwrap(),
        spec,
        Cost::estimate(
            MicroUsd(600_000),
            UnitPrice { unit: PriceUnit::Second, micro_usd: MicroUsd(120_000) },
        ),
        trace,
        now(),
    )
}

fn submitting() -> Job {
    Policy::default().begin_submit(queued(), now()).unwrap().job
}

fn awaiting() -> Job {
    let remote = RemoteOperation { id: "r".to_owned(), submitted_at: now(), urls: BTreeMap::new() };
    Policy::default().accepted(submitting(), remote, None, now()).unwrap().job
}

fn delivering() -> Job {
    Policy::default().checked(awaiting(), ready(), after(10), 0.5).unwrap().job
}

fn ready() -> Checked {
    let outputs = vec![Output::link("https://example.com/a.mp4", None)];
    Checked::Ready { outputs, status: "SUCCEEDED".to_owned(), cost: None }
}

fn working() -> Checked {
    Checked::Working { status: "RUNNING".to_owned(), progress_percent: None }
}

fn code(decision: &Decision) -> ErrorCode {
    assert_eq!(decision.job.state, State::Failed, "{decision:?}");
    decision.job.body.error.as_ref().unwrap().code
}

fn unavailable() -> ProviderError {
    ProviderError::Unavailable { message: "busy".to_owned(), status: "503".to_owned() }
}

#[test]
fn inv1_the_intent_is_stored_before_the_call_and_counts_as_an_attempt() {
    let decision = Policy::default().begin_submit(queued(), now()).unwrap();
    assert_eq!((decision.job.state, decision.job.body.attempts), (State::Submitting, 1));
    assert_eq!(decision.job.body.started_at, Some(now()));
}

#[test]
fn a_job_past_its_deadline_is_not_begun() {
    let decision = Policy::default().begin_submit(queued(), after(3600)).unwrap();
    assert_eq!((code(&decision), decision.job.body.attempts), (ErrorCode::Deadline, 0));
}

#[test]
fn an_open_intent_is_never_called_again() {
    let decision = Policy::default().found_open_intent(submitting(), now()).unwrap();
    assert_eq!((decision.job.state, decision.next), (State::Uncertain, Next::Now(Step::Reconcile)));
}

#[test]
fn a_lost_answer_is_uncertain_and_a_refused_connection_is_not() {
    let policy = Policy::default();
    let lost = ProviderError::UnknownOutcome { message: "reset".to_owned() };
    let decision = policy.submit_failed(submitting(), &lost, now(), 0.5).unwrap();
    assert_eq!(decision.job.state, State::Uncertain);
    let refused = ProviderError::NotSent { message: "refused".to_owned() };
    let decision = policy.submit_failed(submitting(), &refused, now(), 0.5).unwrap();
    assert_eq!(decision.job.state, State::Queued);
}

#[test]
fn rejected_prompts_are_never_retried() {
    let rejected = ProviderError::Rejected { message: "no".to_owned(), status: "SAFETY".to_owned() };
    let decision = Policy::default().submit_failed(submitting(), &rejected, now(), 0.5).unwrap();
    assert_eq!((code(&decision), decision.next), (ErrorCode::Rejected, Next::Nothing));
}

#[test]
fn a_rate_limit_is_no_attempt_and_waits_as_long_as_it_is_told_up_to_the_cap() {
    let policy = Policy::default();
    for (hint, wanted_s) in [(7, 7), (7_000, 60)] {
        let limited = ProviderError::RateLimited {
            message: String::new(),
            retry_after: Some(Duration::from_secs(hint)),
        };
        let decision = policy.submit_failed(submitting(), &limited, now(), 0.5).unwrap();
        assert_eq!(decision.job.body.attempts, 0);
        assert_eq!(decision.next, Next::At(Step::Submit, after(wanted_s)));
    }
}

#[test]
fn a_rate_limit_past_the_deadline_ends_the_job_with_its_own_code() {
    let limited = ProviderError::RateLimited { message: String::new(), retry_after: None };
    let decision = Policy::default().submit_failed(submitting(), &limited, after(3599), 1.0).unwrap();
    assert_eq!(code(&decision), ErrorCode::RateLimited);
}

#[test]
fn passing_faults_end_in_exhausted_after_the_last_attempt() {
    let policy = Policy::default();
    let mut job = submitting();
    let mut tries = 1;
    loop {
        let decision = policy.submit_failed(job, &unavailable(), now(), 0.5).unwrap();
        if decision.job.state.is_terminal() {
            assert_eq!(code(&decision), ErrorCode::Exhausted);
            break;
        }
        job = policy.begin_submit(decision.job, now()).unwrap().job;
        tries += 1;
    }
    assert_eq!(tries, 5);
}

#[test]
fn inv6_waiting_uses_checks_and_no_attempt() {
    let policy = Policy::default();
    let mut job = awaiting();
    for check in 1..60 {
        let decision = policy.checked(job, working(), now(), 0.5).unwrap();
        assert_eq!((decision.job.checks, decision.job.body.attempts), (check, 1));
        assert_eq!(decision.next, Next::At(Step::Check, after(10)), "the page's interval");
        job = decision.job;
    }
    let decision = policy.checked(job, working(), now(), 0.5).unwrap();
    assert_eq!((code(&decision), decision.job.checks), (ErrorCode::Timeout, 60), "the page's limit");
    assert_eq!(
        decision.next,
        Next::At(Step::Abandon, after(120)),
        "after a late look the provider is told to stop"
    );
}

#[test]
fn inv10_polling_ends_after_ten_minutes_however_few_checks_there_were() {
    let policy = Policy::default();
    let decision = policy.checked(awaiting(), working(), after(595), 0.5).unwrap();
    assert_eq!(decision.next, Next::At(Step::Check, after(600)), "one last look at the deadline");
    let decision = policy.checked(decision.job, working(), after(600), 0.5).unwrap();
    assert_eq!(code(&decision), ErrorCode::Timeout);
}

#[test]
fn a_video_that_is_ready_at_the_last_look_is_taken() {
    let decision = Policy::default().checked(awaiting(), ready(), after(600), 0.5).unwrap();
    assert_eq!((decision.job.state, decision.next), (State::Delivering, Next::Now(Step::Deliver)));
}

#[test]
fn a_check_without_an_answer_says_nothing_about_the_work() {
    let policy = Policy::default();
    for fault in [
        unavailable(),
        ProviderError::UnknownOutcome { message: String::new() },
        ProviderError::Malformed { message: String::new(), status: "200".to_owned() },
        ProviderError::Unauthorized { message: String::new() },
    ] {
        let decision = policy.check_failed(awaiting(), &fault, now(), 0.5).unwrap();
        assert_eq!((decision.job.state, decision.job.checks), (State::Awaiting, 0), "{fault}");
    }
    let decision = policy.check_failed(awaiting(), &unavailable(), after(600), 0.5).unwrap();
    assert_eq!(code(&decision), ErrorCode::Timeout, "but it does not wait for ever");
}

#[test]
fn work_that_failed_at_the_provider_is_begun_again_only_when_that_is_sensible() {
    let failed = |is_retryable| Checked::Failed {
        error: ProviderError::WorkFailed {
            message: String::new(),
            status: "INTERNAL".to_owned(),
            is_retryable,
        },
        cost: None,
    };
    let policy = Policy::default();
    let decision = policy.checked(awaiting(), failed(true), now(), 0.5).unwrap();
    assert_eq!(
        (decision.job.state, &decision.job.body.remote, decision.job.checks),
        (State::Queued, &None, 0)
    );
    assert_eq!(code(&policy.checked(awaiting(), failed(false), now(), 0.5).unwrap()), ErrorCode::Exhausted);
}

#[test]
fn a_store_that_is_away_never_ends_a_paid_job() {
    let policy = Policy::default();
    let mut job = delivering();
    for _ in 0..1_000 {
        let decision = policy.store_failed(job, now(), 0.5).unwrap();
        assert_eq!(decision.job.state, State::Delivering);
        job = decision.job;
    }
}

#[test]
fn an_outage_of_the_store_does_not_use_up_the_tries_of_the_source() {
    let policy = Policy::default();
    let mut job = delivering();
    for _ in 0..20 {
        job = policy.store_failed(job, now(), 0.5).unwrap().job;
    }
    let gone = JobError::new(ErrorCode::Malformed, "gone");
    let decision = policy.source_failed(job, gone, SourceFault::Gone, now(), 0.5).unwrap();
    assert_eq!(decision.job.state, State::Awaiting, "a link that died meanwhile is asked for again");
}

#[test]
fn rate_limits_without_a_hint_back_off() {
    let policy = Policy::default();
    let limited = ProviderError::RateLimited { message: String::new(), retry_after: None };
    let mut job = submitting();
    let mut waits = Vec::new();
    for _ in 0..4 {
        let decision = policy.submit_failed(job, &limited, now(), 1.0).unwrap();
        waits.push(decision.next.clone());
        job = policy.begin_submit(decision.job, now()).unwrap().job;
    }
    assert_eq!(waits, [1, 2, 4, 8].map(|seconds| Next::At(Step::Submit, after(seconds))));
}

#[test]
fn limits_of_zero_are_named() {
    let nothing = Polling { interval_ms: 0, max_checks: 0, timeout_ms: 0 };
    let policy = Policy {
        polling_by: [("fal".to_owned(), nothing)].into(),
        retry: Retry { max_attempts: 0, ..Retry::default() },
        ..Policy::default()
    };
    let keys: Vec<_> = policy.problems().into_iter().map(|(key, ..)| key).collect();
    assert_eq!(
        keys,
        [
            "polling_by.fal.interval_ms",
            "polling_by.fal.max_checks",
            "polling_by.fal.timeout_ms",
            "retry.max_attempts"
        ]
    );
    assert_eq!(Policy::default().problems(), []);
}

#[test]
fn a_dead_link_is_asked_for_again_and_a_lying_file_ends_the_job() {
    let policy = Policy::default();
    let lie = || JobError::new(ErrorCode::Malformed, "html");
    let decision = policy.source_failed(delivering(), lie(), SourceFault::Gone, now(), 0.5).unwrap();
    assert_eq!((decision.job.state, decision.job.body.outputs.len()), (State::Awaiting, 0));
    let mut job = delivering();
    for _ in 1..5 {
        job = policy.source_failed(job, lie(), SourceFault::Passing, now(), 0.5).unwrap().job;
        assert_eq!(job.state, State::Delivering);
    }
    let decision = policy.source_failed(job, lie(), SourceFault::Passing, now(), 0.5).unwrap();
    assert_eq!(code(&decision), ErrorCode::Malformed);
    let decision = policy.source_failed(delivering(), lie(), SourceFault::Final, now(), 0.5).unwrap();
    assert_eq!(code(&decision), ErrorCode::Malformed);
}

#[test]
fn an_uncertain_job_is_submitted_again_only_by_wish_and_below_the_operators_limit() {
    let mut job = Policy::default().found_open_intent(submitting(), now()).unwrap().job;
    assert_eq!(
        code(&Policy::default().reconcile_blind(job.clone(), LateNews::Impossible, now()).unwrap()),
        ErrorCode::UnknownOutcome
    );
    job.body.spec.on_unknown_outcome = OnUnknownOutcome::Resubmit;
    let decision = Policy::default().reconcile_blind(job.clone(), LateNews::Impossible, now()).unwrap();
    assert_eq!((decision.job.state, decision.next), (State::Queued, Next::Now(Step::Submit)));
    let strict = Policy { resubmit_below_micro_usd: Some(MicroUsd(599_999)), ..Policy::default() };
    assert_eq!(
        code(&strict.reconcile_blind(job, LateNews::Impossible, now()).unwrap()),
        ErrorCode::UnknownOutcome
    );
}

#[test]
fn inv3_decisions_about_ended_jobs_change_nothing() {
    let mut job = queued();
    job.apply(Event::Cancelled, now()).unwrap();
    let policy = Policy::default();
    assert_eq!(policy.poisoned(job.clone(), after(1)).unwrap().job, job);
    assert_eq!(policy.resume(job.clone(), after(1)).job, job);
    for step in Step::ALL {
        let decision = policy.step_failed(job.clone(), *step, "panic", after(1), 0.5).unwrap();
        assert_eq!((decision.job.state, decision.job.body.completed_at), (State::Cancelled, Some(now())));
    }
    assert!(policy.begin_submit(job, now()).is_err());
}

#[test]
fn inv4_every_job_that_has_not_ended_is_due() {
    let policy = Policy::default();
    let fault = unavailable();
    let decisions = [
        policy.accepted(submitting(), awaiting().body.remote.unwrap(), None, now()).unwrap(),
        policy.submit_failed(submitting(), &fault, now(), 0.5).unwrap(),
        policy.found_open_intent(submitting(), now()).unwrap(),
        policy.checked(awaiting(), working(), now(), 0.5).unwrap(),
        policy.checked(awaiting(), ready(), now(), 0.5).unwrap(),
        policy.check_failed(awaiting(), &fault, now(), 0.5).unwrap(),
        policy.store_failed(delivering(), now(), 0.5).unwrap(),
    ];
    for Decision { job, next } in decisions {
        assert!(!job.state.is_terminal() && job.due_at.is_some() && next != Next::Nothing, "{job:?}");
    }
}

#[test]
fn backoff_doubles_to_its_cap_and_half_of_it_is_chance() {
    let retry = Retry::default();
    let delay = |failures, dice| retry.delay(failures, None, dice).as_millis();
    assert_eq!([delay(1, 0.0), delay(1, 1.0)], [500, 1_000]);
    assert_eq!(
        [delay(2, 1.0), delay(3, 1.0), delay(7, 1.0), delay(500, 1.0)],
        [2_000, 4_000, 60_000, 60_000]
    );
}

#[test]
fn the_longest_name_decides_the_polling_and_advice_comes_last() {
    let polling = |interval_ms| Polling { interval_ms, ..Polling::default() };
    let entry = |name: &str, interval_ms| (name.to_owned(), polling(interval_ms));
    let mut policy = Policy { advised: [entry("runway/gen4.5", 4)].into(), ..Policy::default() };
    assert_eq!(policy.polling_of(&queued()).interval_ms, 4);
    policy.polling_by = [entry("runway", 3)].into();
    assert_eq!(policy.polling_of(&queued()).interval_ms, 3);
    policy.polling_by = [entry("runway", 3), entry("runway/gen4.5", 2)].into();
    assert_eq!(policy.polling_of(&queued()).interval_ms, 2);
    assert_eq!(queued().epoch, Epoch(0));
}

fn lost() -> ProviderError {
    ProviderError::UnknownOutcome { message: "reset".to_owned() }
}

fn uncertain(wish: OnUnknownOutcome) -> Job {
    let mut job = submitting();
    job.body.spec.on_unknown_outcome = wish;
    Policy::default().submit_failed(job, &lost(), after(5), 0.5).unwrap().job
}

#[test]
fn the_ledger_tells_what_became_of_each_paid_call() {
    let policy = Policy::default();
    let refused = policy.submit_failed(submitting(), &unavailable(), after(1), 0.5).unwrap().job;
    let again = policy.begin_submit(refused, after(2)).unwrap().job;
    let unknown = policy.submit_failed(again, &lost(), after(3), 0.5).unwrap().job;
    let adopted = policy.adopted(unknown, "r-1", "seen in the console", after(60)).unwrap().job;
    let calls: Vec<_> = adopted
        .body
        .paid_calls
        .iter()
        .map(|call| {
            (call.began_at, call.outcome.unwrap(), call.remote_id.as_deref(), call.evidence.as_deref())
        })
        .collect();
    assert_eq!(
        calls,
        [
            (now(), CallOutcome::Refused, None, Some("the provider is unavailable: busy")),
            (after(2), CallOutcome::Accepted, Some("r-1"), Some("seen in the console")),
        ]
    );
}

#[test]
fn the_ledger_is_bounded_and_keeps_what_may_be_paid() {
    let policy = Policy::default();
    let mut job = policy.submit_failed(submitting(), &lost(), now(), 0.5).unwrap().job;
    for second in 0..40 {
        job.state = State::Queued;
        job = policy.begin_submit(job, after(second)).unwrap().job;
        job = policy.submit_failed(job, &unavailable(), after(second), 0.5).unwrap().job;
    }
    assert_eq!(job.body.paid_calls.len(), crate::ledger::LEDGER_LIMIT);
    assert_eq!(job.body.paid_calls[0].outcome, Some(CallOutcome::Unknown));
}

#[test]
fn an_uncertain_job_waits_as_long_as_its_caller_or_a_callback_may_need() {
    let policy = Policy { hold_ms: 600_000, late_news_ms: 60_000, ..Policy::default() };
    let cases = [
        (OnUnknownOutcome::Fail, LateNews::Impossible, None),
        (OnUnknownOutcome::Fail, LateNews::Possible, Some(60)),
        (OnUnknownOutcome::Resubmit, LateNews::Possible, Some(60)),
        (OnUnknownOutcome::Hold, LateNews::Impossible, Some(600)),
        (OnUnknownOutcome::Hold, LateNews::Possible, Some(600)),
    ];
    for (wish, news, waits_s) in cases {
        let decision = policy.reconcile_blind(uncertain(wish), news, after(6)).unwrap();
        let Some(seconds) = waits_s else {
            assert_eq!(code(&decision), ErrorCode::UnknownOutcome);
            continue;
        };
        // From when nobody knew, not from each look.
        assert_eq!(decision.next, Next::At(Step::Reconcile, after(5 + seconds)), "{wish} {news:?}");
        let later = policy.reconcile_blind(decision.job, news, after(5 + seconds)).unwrap();
        match wish {
            OnUnknownOutcome::Resubmit => assert_eq!(later.next, Next::Now(Step::Submit)),
            OnUnknownOutcome::Fail | OnUnknownOutcome::Hold => {
                assert_eq!(code(&later), ErrorCode::UnknownOutcome);
            }
        }
    }
}

#[test]
fn a_person_adopts_disproves_or_gives_up() {
    let policy = Policy::default();
    let resolve = |resolution| policy.resolve(uncertain(OnUnknownOutcome::Hold), resolution, after(7200));
    let adopted = resolve(Resolution::Adopt { remote_id: "r-1".to_owned() }).unwrap();
    assert_eq!((adopted.job.state, &adopted.next), (State::Awaiting, &Next::Now(Step::Check)));
    assert_eq!(adopted.job.body.remote.unwrap().id, "r-1");

    // Two hours later its deadline of an hour is over; the operator means it all the same.
    let disproved = resolve(Resolution::Disprove).unwrap();
    assert_eq!((disproved.job.state, &disproved.next), (State::Queued, &Next::Now(Step::Submit)));
    let begun = policy.begin_submit(disproved.job, after(7201)).unwrap().job;
    assert_eq!((begun.state, begun.body.attempts), (State::Submitting, 2));

    assert_eq!(code(&resolve(Resolution::GiveUp).unwrap()), ErrorCode::UnknownOutcome);
    let refused = policy.resolve(awaiting(), Resolution::GiveUp, now());
    assert_eq!(refused, Err(Unresolvable::NotUncertain { state: State::Awaiting }));
}

#[test]
fn each_kind_of_fault_has_its_own_patience_and_all_have_one_end() {
    let short = RetryOverride { base_ms: Some(10), max_failures: Some(2), ..RetryOverride::default() };
    let policy = Policy { retry_by: BTreeMap::from([(FaultKind::NotSent, short)]), ..Policy::default() };
    let refused = ProviderError::NotSent { message: "refused".to_owned() };
    let first = policy.submit_failed(submitting(), &refused, now(), 1.0).unwrap();
    assert_eq!(first.next, Next::At(Step::Submit, now() + Duration::from_millis(10)));
    let busy = policy.submit_failed(submitting(), &unavailable(), now(), 1.0).unwrap();
    assert_eq!(busy.next, Next::At(Step::Submit, after(1)), "others are as before");
    let again = policy.begin_submit(first.job, now()).unwrap().job;
    assert_eq!(code(&policy.submit_failed(again, &refused, now(), 1.0).unwrap()), ErrorCode::Exhausted);

    let hasty = Policy { retry: Retry { total_ms: 5_000, ..Retry::default() }, ..Policy::default() };
    let early = hasty.submit_failed(submitting(), &unavailable(), after(4), 0.5).unwrap();
    assert_eq!(early.job.state, State::Queued);
    assert_eq!(
        code(&hasty.submit_failed(submitting(), &unavailable(), after(5), 0.5).unwrap()),
        ErrorCode::Exhausted
    );
}

#[test]
fn a_result_knows_when_its_link_dies_and_a_spooled_one_has_none() {
    let lifetimes = BTreeMap::from([(Provider::Runway, Duration::from_secs(3600))]);
    let policy = Policy { result_lifetimes: lifetimes, ..Policy::default() };
    let looked = policy.checked(awaiting(), working(), after(10), 0.5).unwrap().job;
    let linked = policy.checked(looked.clone(), ready(), after(20), 0.5).unwrap().job;
    assert_eq!(linked.body.outputs_expire_at, Some(after(3610)), "from the last look without it");
    let source = OutputSource::Spool { epoch: 1, size_bytes: 9 };
    let outputs = vec![Output { source, content_type: None, seed: None, revised_prompt: None }];
    let found = Checked::Ready { outputs, status: "SUCCEEDED".to_owned(), cost: None };
    assert_eq!(policy.checked(looked, found, after(20), 0.5).unwrap().job.body.outputs_expire_at, None);
    let stored = policy.delivered(linked, Vec::new(), after(30)).unwrap().job;
    assert_eq!(stored.body.outputs_expire_at, None);
}

#[test]
fn after_a_timeout_there_is_one_late_look_and_then_the_provider_is_told_to_stop() {
    let policy = Policy { salvage_ms: 30_000, ..Policy::default() };
    let decision = policy.checked(awaiting(), working(), after(601), 0.5).unwrap();
    assert_eq!(code(&decision), ErrorCode::Timeout);
    assert_eq!(decision.next, Next::At(Step::Abandon, after(631)));
    assert!(policy.is_worth_a_late_look(&decision.job));
    let never = Policy { salvage_ms: 0, ..Policy::default() };
    assert!(!never.is_worth_a_late_look(&decision.job));
    let mut cancelled = awaiting();
    cancelled.apply(Event::Cancelled, now()).unwrap();
    assert!(!policy.is_worth_a_late_look(&cancelled));
    // What was saved is the failed job's; its state is final (INV-3).
    let saved = policy.salvaged(decision.job.clone(), Vec::new(), None);
    assert_eq!((saved.job.state, saved.next), (State::Failed, Next::Nothing));
}

#[test]
fn a_replayed_job_is_a_new_one_with_the_same_wish() {
    let policy = Policy::default();
    let mut dead = queued();
    dead.body.failures = policy.retry.max_failures;
    let dead = policy.submit_failed(dead, &unavailable(), after(10), 0.5).unwrap().job;
    assert!(dead.is_dead_letter());
    let again = dead.replayed(JobId::new(), dead.body.trace.clone(), after(86_400));
    assert_eq!((again.state, again.body.attempts, again.body.error.as_ref()), (State::Queued, 0, None));
    assert_eq!(again.body.spec.start_deadline, after(86_400 + 3600));
    assert_eq!(again.body.replay_of.as_ref(), Some(&dead.id));
    assert_eq!((again.body.cost.actual, again.body.cost.estimated), (None, dead.body.cost.estimated));
}
