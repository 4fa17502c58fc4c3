//! A job for the tests of this crate.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::Timestamp;
use crate::ids::JobId;
use crate::job::{Job, JobSpec};
use crate::money::Cost;
use crate::operation::{OnUnknownOutcome, Operation, Priority, Provider};
use crate::trace::{JobTrace, TraceParent};

/// A video of acme at Runway, just admitted, with an hour to start.
pub(crate) fn admitted(cost: Cost, now: Timestamp) -> Job {
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
        start_deadline: now + Duration::from_secs(3600),
        metadata: serde_json::Map::new(),
        capture_prompt: true,
        on_unknown_outcome: OnUnknownOutcome::Fail,
    };
    let producer = TraceParent { trace_id: 1, span_id: 2, is_sampled: true };
    let trace = JobTrace { producer, tracestate: None, media_span_id: 3, scheduled_by: None };
    Job::admitted(JobId::new(), "acme".parse().unwrap(), spec, cost, trace, now)
}
