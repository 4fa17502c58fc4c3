//! The story of a job, step by step, from its record.

use atelier_domain::Timestamp;
use atelier_domain::error::ErrorCode;
use atelier_domain::history::{Happened, Moment};
use atelier_domain::ids::{AssetId, JobId};
use atelier_domain::job::Job;
use atelier_domain::ledger::{CallOutcome, PaidCall};
use atelier_domain::state::State;
use serde::Serialize;

use super::{CostView, cost, time};

/// The timeline of a job.
#[derive(Debug, Serialize)]
pub(crate) struct TimelineView<'a> {
    job_id: &'a JobId,
    status: State,
    trace_id: String,
    cost: CostView,
    durations: Durations,
    /// Oldest first.
    steps: Vec<StepView<'a>>,
}

/// How long the job was where, up to its end or the time of the answer; null where it was not.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
struct Durations {
    total_ms: i64,
    /// From the time it could begin to the first paid call.
    until_begun_ms: Option<i64>,
    /// While the provider worked.
    at_provider_ms: Option<i64>,
    /// While its result was brought into the store.
    delivery_ms: Option<i64>,
}

/// One step. `at` is when it began.
#[derive(Debug, PartialEq, Serialize)]
#[serde(tag = "step", rename_all = "snake_case")]
enum StepView<'a> {
    /// The api took the job.
    Admitted { at: String, not_before: Option<String>, start_deadline: String, replay_of: Option<&'a JobId> },
    /// A pause held it back, until somebody ended that, or until this time.
    Held { at: String, until: Option<String>, pause: Option<&'a str> },
    /// Nothing could be done for now; the next try is at this time.
    Waits { at: String, until: Option<String>, status: State, reason: Option<&'a str> },
    /// A call that is paid for.
    PaidCall {
        at: String,
        attempt: usize,
        ended_at: Option<String>,
        duration_ms: Option<i64>,
        outcome: Option<CallOutcome>,
        /// The provider's id of the work or of the request.
        provider_job_id: Option<&'a str>,
        evidence: Option<&'a str>,
    },
    /// The wait for the provider: the first check was due then, the last one was made then.
    Checks { at: String, count: u16, first_due_at: Option<String>, last_at: Option<String>, duration_ms: i64 },
    /// The provider gave its work another status.
    ProviderStatus { at: String, provider_status: Option<&'a str> },
    /// Nobody knows whether a paid call arrived.
    Uncertain { at: String, until: Option<String>, reason: Option<&'a str> },
    /// The result was there, and its way into the store began.
    Delivery { at: String },
    /// A try to bring the result into the store failed; the next one is at this time.
    DeliveryFailed { at: String, attempt: usize, until: Option<String>, reason: Option<&'a str> },
    /// A file is in the store.
    AssetStored { at: String, asset_id: &'a AssetId, size_bytes: u64, content_type: &'a str },
    /// The end.
    Ended { at: String, status: State, duration_ms: i64, error: Option<EndError<'a>> },
}

#[derive(Debug, PartialEq, Serialize)]
struct EndError<'a> {
    code: ErrorCode,
    message: &'a str,
}

/// A step with its time, and its place among those of the same time.
type Placed<'a> = ((i64, u8), StepView<'a>);

/// The timeline of a job with these paid calls, as it is at `now`.
pub(crate) fn timeline<'a>(job: &'a Job, calls: &'a [PaidCall], now: Timestamp) -> TimelineView<'a> {
    let mut steps = vec![((job.body.created_at.as_millisecond(), 0), admitted(job))];
    steps.extend(calls.iter().zip(1..).map(|(call, attempt)| paid_call(call, attempt)));
    steps.extend(moments(job, now));
    for asset in &job.body.assets {
        let step = StepView::AssetStored {
            at: time(asset.created_at),
            asset_id: &asset.id,
            size_bytes: asset.size_bytes,
            content_type: &asset.content_type,
        };
        steps.push(((asset.created_at.as_millisecond(), 4), step));
    }
    if let Some(ended_at) = job.body.completed_at {
        steps.push(((ended_at.as_millisecond(), 5), ended(job, ended_at)));
    }
    steps.sort_by_key(|(place, _)| *place);
    TimelineView {
        job_id: &job.id,
        status: job.state,
        trace_id: job.body.trace.trace_id(),
        cost: cost(&job.body.cost),
        durations: durations(job, now),
        steps: steps.into_iter().map(|(_, step)| step).collect(),
    }
}

fn admitted(job: &Job) -> StepView<'_> {
    StepView::Admitted {
        at: time(job.body.created_at),
        not_before: job.body.spec.run_at.map(time),
        start_deadline: time(job.body.spec.start_deadline),
        replay_of: job.body.replay_of.as_ref(),
    }
}

fn paid_call(call: &PaidCall, attempt: usize) -> Placed<'_> {
    let step = StepView::PaidCall {
        at: time(call.began_at),
        attempt,
        ended_at: call.ended_at.map(time),
        duration_ms: call.ended_at.map(|ended_at| between(call.began_at, ended_at)),
        outcome: call.outcome,
        provider_job_id: call.remote_id.as_deref(),
        evidence: call.evidence.as_deref(),
    };
    ((call.began_at.as_millisecond(), 1), step)
}

/// What the history tells beside the calls and the end.
fn moments(job: &Job, now: Timestamp) -> Vec<Placed<'_>> {
    let mut steps = Vec::new();
    let (mut state, mut failed_deliveries) = (State::Queued, 0);
    for (place, moment) in job.body.history.iter().enumerate() {
        let (at, until, note) = (time(moment.at), moment.until.map(time), moment.note.as_deref());
        let step = match moment.what {
            Happened::Held => Some(StepView::Held { at, until, pause: note }),
            Happened::Status => Some(StepView::ProviderStatus { at, provider_status: note }),
            Happened::Waits if state == State::Delivering => {
                failed_deliveries += 1;
                Some(StepView::DeliveryFailed { at, attempt: failed_deliveries, until, reason: note })
            }
            Happened::Waits => Some(StepView::Waits { at, until, status: state, reason: note }),
            Happened::Entered(entered) => {
                state = entered;
                match entered {
                    // To be tried again.
                    State::Queued => Some(StepView::Waits { at, until, status: state, reason: note }),
                    State::Awaiting => Some(checks(job, moment, place, now)),
                    State::Uncertain => Some(StepView::Uncertain { at, until, reason: note }),
                    State::Delivering => {
                        failed_deliveries = 0;
                        Some(StepView::Delivery { at })
                    }
                    // The calls and the end have steps of their own.
                    State::Submitting | State::Succeeded | State::Failed | State::Cancelled => None,
                }
            }
        };
        steps.extend(step.map(|step| ((moment.at.as_millisecond(), 2), step)));
    }
    steps
}

/// The wait for the provider that began at a moment: its checks were counted when it ended, or are in the header.
fn checks<'a>(job: &'a Job, began: &'a Moment, place: usize, now: Timestamp) -> StepView<'a> {
    let later = job.body.history.iter().skip(place + 1);
    let end = later.into_iter().find(|moment| matches!(moment.what, Happened::Entered(_)));
    let (count, last, until) = match end {
        Some(end) => (end.checks, end.at, end.at),
        None => (job.checks, job.changed_at, now),
    };
    StepView::Checks {
        at: time(began.at),
        count,
        first_due_at: began.until.map(time),
        last_at: (count > 0).then(|| time(last)),
        duration_ms: between(began.at, until),
    }
}

fn ended(job: &Job, ended_at: Timestamp) -> StepView<'_> {
    let error = job.body.error.as_ref().filter(|_| job.state == State::Failed);
    StepView::Ended {
        at: time(ended_at),
        status: job.state,
        duration_ms: between(job.body.created_at, ended_at),
        error: error.map(|error| EndError { code: error.code, message: &error.message }),
    }
}

fn durations(job: &Job, now: Timestamp) -> Durations {
    let body = &job.body;
    let end = body.completed_at.unwrap_or(now);
    let from = body.spec.run_at.map_or(body.created_at, |run_at| run_at.max(body.created_at));
    let mut durations = Durations {
        total_ms: between(body.created_at, end),
        until_begun_ms: body.started_at.map(|started_at| between(from, started_at)),
        ..Durations::default()
    };
    let entered = |moment: &&Moment| matches!(moment.what, Happened::Entered(_));
    let mut moments = body.history.iter().filter(entered).peekable();
    while let Some(moment) = moments.next() {
        let ms = between(moment.at, moments.peek().map_or(end, |next| next.at));
        match moment.what {
            Happened::Entered(State::Awaiting) => *durations.at_provider_ms.get_or_insert(0) += ms,
            Happened::Entered(State::Delivering) => *durations.delivery_ms.get_or_insert(0) += ms,
            Happened::Entered(_) | Happened::Waits | Happened::Held | Happened::Status => {}
        }
    }
    durations
}

/// Whole milliseconds, 0 at least.
fn between(from: Timestamp, to: Timestamp) -> i64 {
    (to.as_millisecond() - from.as_millisecond()).max(0)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use atelier_domain::asset::{Asset, MadeBy, MediaFacts};
    use atelier_domain::error::ProviderError;
    use atelier_domain::job::{Epoch, JobSpec, Output, RemoteOperation};
    use atelier_domain::money::Cost;
    use atelier_domain::operation::{OnUnknownOutcome, Operation, Priority, Provider};
    use atelier_domain::policy::{Decision, Policy};
    use atelier_domain::ports::Checked;
    use atelier_domain::trace::{JobTrace, TraceParent};
    use serde_json::{Value, json};

    use super::*;

    fn at(seconds: u64) -> Timestamp {
        "2026-11-25T10:00:00Z".parse::<Timestamp>().unwrap() + Duration::from_secs(seconds)
    }

    fn queued() -> Job {
        let spec = JobSpec {
            operation: Operation::VideoGen,
            provider: Provider::Runway,
            model: "gen4.5".to_owned(),
            prompt: None,
            input: None,
            files: BTreeMap::new(),
            config: serde_json::Map::new(),
            credential_id: None,
            priority: Priority::Normal,
            run_at: None,
            start_deadline: at(3600),
            metadata: serde_json::Map::new(),
            capture_prompt: true,
            on_unknown_outcome: OnUnknownOutcome::Fail,
        };
        let producer = TraceParent { trace_id: 1, span_id: 2, is_sampled: true };
        let trace = JobTrace { producer, tracestate: None, media_span_id: 3, scheduled_by: None };
        Job::admitted(JobId::new(), "acme".parse().unwrap(), spec, Cost::unknown(), trace, at(0))
    }

    fn raised(mut job: Job) -> Job {
        job.epoch = Epoch(job.epoch.0 + 1);
        job
    }

    fn settled(decided: Result<Decision, atelier_domain::state::IllegalTransition>) -> Job {
        raised(decided.unwrap().job)
    }

    fn shown(job: &Job, now: Timestamp) -> Value {
        serde_json::to_value(timeline(job, &job.paid_calls(), now)).unwrap()
    }

    fn names(shown: &Value) -> Vec<&str> {
        shown["steps"].as_array().unwrap().iter().map(|step| step["step"].as_str().unwrap()).collect()
    }

    fn begin(job: Job, now: Timestamp) -> Job {
        Policy::default().begin_submit(raised(job), now).unwrap().job
    }

    fn accept(job: Job, now: Timestamp) -> Job {
        let remote = RemoteOperation { id: "task-1".to_owned(), submitted_at: now, urls: BTreeMap::new() };
        settled(Policy::default().accepted(job, remote, None, now))
    }

    fn look(job: Job, found: Checked, now: Timestamp) -> Job {
        settled(Policy::default().checked(raised(job), found, now, 0.5))
    }

    fn working(status: &str) -> Checked {
        Checked::Working { status: status.to_owned(), progress_percent: None }
    }

    fn asset_of(job: &Job, now: Timestamp) -> Asset {
        Asset {
            id: AssetId::of(&job.id, 0),
            workspace_id: job.body.workspace_id.clone(),
            made_by: Some(MadeBy {
                job_id: job.id.clone(),
                index: 0,
                operation: Operation::VideoGen,
                provider: Provider::Runway,
                model: "gen4.5".to_owned(),
            }),
            name: None,
            metadata: serde_json::Map::new(),
            key: "x.mp4".to_owned(),
            content_type: "video/mp4".to_owned(),
            size_bytes: 1234,
            sha256: String::new(),
            media: MediaFacts::default(),
            seed: None,
            revised_prompt: None,
            created_at: now,
        }
    }

    #[test]
    fn a_queued_job_has_only_its_admission() {
        let job = queued();
        let shown = shown(&job, at(5));
        assert_eq!(names(&shown), ["admitted"]);
        assert_eq!(
            shown["durations"],
            json!({"total_ms": 5000, "until_begun_ms": null, "at_provider_ms": null, "delivery_ms": null})
        );
    }

    #[test]
    fn a_life_with_faults_is_told_step_by_step() {
        let policy = Policy::default();
        let busy = ProviderError::Unavailable { message: "busy".to_owned(), status: "503".to_owned() };
        let mut held = queued();
        held.note_held(&"*/runway/*".parse().unwrap(), at(1));
        let job = raised(held);
        let job = settled(policy.submit_failed(begin(job, at(2)), &busy, at(3), 0.5));
        let job = accept(begin(job, at(10)), at(12));
        let job = look(job, working("RUNNING"), at(22));
        let job = look(job, working("RUNNING"), at(32));
        let outputs = vec![Output::link("https://example.com/x.mp4", None)];
        let job = look(job, Checked::Ready { outputs, status: "DONE".to_owned(), cost: None }, at(42));
        let job = settled(policy.store_failed(raised(job), at(43), 0.5));
        let assets = vec![asset_of(&job, at(49))];
        let job = settled(policy.delivered(raised(job), assets, at(50)));

        let shown = shown(&job, at(999));
        assert_eq!(
            names(&shown),
            [
                "admitted",
                "held",
                "paid_call",
                "waits",
                "paid_call",
                "checks",
                "provider_status",
                "provider_status",
                "delivery",
                "delivery_failed",
                "asset_stored",
                "ended"
            ]
        );
        let step = |place: usize| shown["steps"][place].clone();
        assert_eq!(step(1)["pause"], "*/runway/*");
        let refused = step(2);
        assert_eq!(
            (&refused["attempt"], &refused["outcome"], &refused["duration_ms"]),
            (&json!(1), &json!("refused"), &json!(1000))
        );
        assert!(step(3)["reason"].as_str().unwrap().contains("busy"));
        assert_eq!(step(3)["status"], "queued");
        assert!(step(3)["until"].is_string());
        let accepted = json!({"step": "paid_call", "at": "2026-11-25T10:00:10.000Z", "attempt": 2,
            "ended_at": "2026-11-25T10:00:12.000Z", "duration_ms": 2000, "outcome": "accepted",
            "provider_job_id": "task-1", "evidence": null});
        assert_eq!(step(4), accepted);
        let checks = json!({"step": "checks", "at": "2026-11-25T10:00:12.000Z", "count": 3,
            "first_due_at": "2026-11-25T10:00:22.000Z", "last_at": "2026-11-25T10:00:42.000Z",
            "duration_ms": 30_000});
        assert_eq!(step(5), checks);
        assert_eq!(
            (&step(6)["provider_status"], &step(7)["provider_status"]),
            (&json!("RUNNING"), &json!("DONE"))
        );
        assert_eq!(step(9)["attempt"], 1);
        assert_eq!((&step(10)["size_bytes"], &step(10)["content_type"]), (&json!(1234), &json!("video/mp4")));
        assert_eq!((&step(11)["status"], &step(11)["duration_ms"]), (&json!("succeeded"), &json!(50_000)));
        assert_eq!(
            shown["durations"],
            json!({"total_ms": 50_000, "until_begun_ms": 2000, "at_provider_ms": 30_000, "delivery_ms": 8000})
        );
    }

    #[test]
    fn what_is_under_way_has_no_end_yet() {
        let shown_call = shown(&begin(queued(), at(2)), at(4));
        assert_eq!(names(&shown_call), ["admitted", "paid_call"]);
        assert_eq!(shown_call["steps"][1]["outcome"], Value::Null);
        let waiting = accept(begin(queued(), at(2)), at(4));
        let shown_wait = shown(&waiting, at(9));
        assert_eq!(names(&shown_wait), ["admitted", "paid_call", "checks"]);
        let checks = &shown_wait["steps"][2];
        assert_eq!(
            (&checks["count"], &checks["last_at"], &checks["duration_ms"]),
            (&json!(0), &Value::Null, &json!(5000))
        );
    }

    #[test]
    fn a_failed_job_ends_with_its_error() {
        let rejected = ProviderError::Rejected { message: "no".to_owned(), status: "SAFETY".to_owned() };
        let job = settled(Policy::default().submit_failed(begin(queued(), at(2)), &rejected, at(4), 0.5));
        let shown = shown(&job, at(9));
        assert_eq!(names(&shown), ["admitted", "paid_call", "ended"]);
        assert_eq!(shown["steps"][2]["error"]["code"], "rejected");
    }
}
