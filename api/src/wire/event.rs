//! Events of jobs on the wire: the JSON of one, and its frame as a server-sent event.

use atelier_domain::events::{EventFacts, JobEvent};
use atelier_domain::ids::JobId;
use atelier_domain::money::MicroUsd;
use atelier_domain::state::State;
use bytes::Bytes;
use serde::Serialize;

use super::{CostView, time};

/// An event. Every key is always there; what is not known any more is null.
#[derive(Debug, Serialize)]
struct EventView<'a> {
    job_id: &'a JobId,
    /// Its number in the job's life, which only grows.
    number: u32,
    status: State,
    at: String,
    progress: Option<f64>,
    provider_status: Option<&'a str>,
    cost: Option<CostView>,
    error: Option<ErrorView<'a>>,
}

#[derive(Debug, Serialize)]
struct ErrorView<'a> {
    code: &'static str,
    message: &'a str,
    retryable: bool,
}

/// The first frame of a stream: how long to wait before coming back after a break, in milliseconds.
pub(crate) fn retry_frame(retry_ms: u32) -> Bytes {
    format!("retry: {retry_ms}\n\n").into()
}

/// A comment, which clients pass over.
pub(crate) fn alive_frame() -> Bytes {
    Bytes::from_static(b":\n\n")
}

/// Moves on what a client comes back with, and tells nothing.
pub(crate) fn quiet_frame(id: &str) -> Bytes {
    format!("id: {id}\n\n").into()
}

/// Says that some events are not kept any more.
pub(crate) fn gap_frame() -> Bytes {
    let data =
        r#"{"message": "events before the next one are not kept any more; ask for the jobs themselves"}"#;
    format!("event: gap\ndata: {data}\n\n").into()
}

/// The frame of an event; `id` is what a client comes back with.
pub(crate) fn job_frame(event: &JobEvent, id: &str) -> Bytes {
    // JSON of serde has no line breaks, so that the data are one line.
    let data = serde_json::to_string(&view(event)).unwrap_or_default();
    format!("id: {id}\nevent: job\ndata: {data}\n\n").into()
}

fn view(event: &JobEvent) -> EventView<'_> {
    let facts = event.facts.as_ref();
    EventView {
        job_id: &event.job_id,
        number: event.number.0,
        status: event.state,
        at: time(event.at),
        progress: event.progress_percent.map(|percent| f64::from(percent.min(100)) / 100.0),
        provider_status: facts.and_then(|facts| facts.provider_status.as_deref()),
        cost: facts.map(|EventFacts { estimated, actual, cost_source, .. }| CostView {
            estimated_usd: estimated.as_usd(),
            actual_usd: actual.map(MicroUsd::as_usd),
            source: *cost_source,
        }),
        error: facts.and_then(|facts| facts.error.as_ref()).map(|(code, message)| ErrorView {
            code: code.as_str(),
            message,
            retryable: code.is_retryable(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use atelier_domain::error::ErrorCode;
    use atelier_domain::job::Epoch;
    use atelier_domain::money::CostSource;
    use serde_json::{Value, json};

    use super::*;

    fn failed() -> JobEvent {
        JobEvent {
            job_id: JobId::new(),
            number: Epoch(7),
            at: "2026-11-25T10:00:00.123Z".parse().unwrap(),
            state: State::Failed,
            progress_percent: Some(45),
            facts: Some(EventFacts {
                provider_status: Some("FAILED\r\n\u{2028}data: x".to_owned()),
                estimated: MicroUsd(600_000),
                actual: None,
                cost_source: CostSource::Table,
                error: Some((ErrorCode::Timeout, "too\nlong".to_owned())),
            }),
        }
    }

    #[test]
    fn a_frame_has_three_lines_whatever_a_provider_says() {
        let event = failed();
        let frame = String::from_utf8(job_frame(&event, "7").to_vec()).unwrap();
        assert!(!frame.contains('\r') && frame.ends_with("\n\n"), "{frame:?}");
        let lines: Vec<&str> = frame.trim_end_matches('\n').split('\n').collect();
        assert_eq!(lines[..2], ["id: 7", "event: job"]);
        assert_eq!(lines.len(), 3);
        let data: Value = serde_json::from_str(lines[2].strip_prefix("data: ").unwrap()).unwrap();
        let wanted = json!({
            "job_id": event.job_id, "number": 7, "status": "failed", "at": "2026-11-25T10:00:00.123Z",
            "progress": 0.45, "provider_status": "FAILED\r\n\u{2028}data: x",
            "cost": {"estimated_usd": 0.6, "actual_usd": null, "source": "table"},
            "error": {"code": "timeout", "message": "too\nlong", "retryable": true},
        });
        assert_eq!(data, wanted);
    }

    #[test]
    fn what_is_not_known_any_more_is_null() {
        let event = JobEvent { facts: None, progress_percent: None, ..failed() };
        let data = serde_json::to_value(view(&event)).unwrap();
        for name in ["progress", "provider_status", "cost", "error"] {
            assert_eq!(data[name], Value::Null, "{name}");
        }
    }

    #[test]
    fn the_other_frames_end_with_an_empty_line_and_hold_no_event() {
        assert_eq!(retry_frame(2_000), "retry: 2000\n\n");
        assert_eq!(alive_frame(), ":\n\n");
        assert_eq!(quiet_frame("1-2_3-4"), "id: 1-2_3-4\n\n");
        let gap = String::from_utf8(gap_frame().to_vec()).unwrap();
        let data = gap.strip_prefix("event: gap\ndata: ").and_then(|rest| rest.strip_suffix("\n\n")).unwrap();
        assert!(serde_json::from_str::<Value>(data).unwrap()["message"].is_string());
    }
}
