//! Log lines carry the ids of their trace and the facts of the spans around them.

use std::io;

use atelier_domain::operation::Step;
use atelier_domain::ports::Telemetry as _;
use atelier_runtime::process::{install_panic_hook, message_of};
use atelier_runtime::settings::{LogFormat, TelemetrySettings};
use atelier_runtime::telemetry::{TelemetryError, TelemetryGuard, init_for_tests};
use opentelemetry_sdk::trace::InMemorySpanExporter;

use crate::support::{Lines, job, producer, span};

fn set_up(settings: &TelemetrySettings) -> (TelemetryGuard, tracing::Dispatch, Lines, InMemorySpanExporter) {
    let (lines, exporter) = (Lines::default(), InMemorySpanExporter::default());
    let (guard, dispatch) =
        init_for_tests("atelier-worker", None, settings, exporter.clone(), lines.clone()).unwrap();
    (guard, dispatch, lines, exporter)
}

#[test]
fn a_line_in_a_step_names_trace_span_job_and_step() {
    let (guard, dispatch, lines, exporter) = set_up(&TelemetrySettings::default());
    let job = job(producer(true), 9);
    tracing::dispatcher::with_default(&dispatch, || {
        let step = guard.telemetry().step(&job, Step::Check);
        step.in_scope(|| tracing::info!(delay_ms = 10_000, "provider still working"));
        tracing::info!("outside of everything");
    });
    let (lines, step) = (lines.json(), span(&exporter, "process check"));
    let line = &lines[0];
    assert_eq!(line["message"], "provider still working");
    assert_eq!(line["trace_id"], "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(line["span_id"], step.span_context.span_id().to_string());
    assert_eq!(line["job.id"], job.id.as_str());
    assert_eq!(
        (&line["step"], &line["workspace.id"], &line["provider.id"]),
        (&"check".into(), &"acme".into(), &"runway".into())
    );
    assert_eq!((&line["delay_ms"], &line["level"]), (&10_000.into(), &"INFO".into()));
    assert_eq!((&line["service"], &line["target"]), (&"atelier-worker".into(), &"runtime::logs".into()));
    assert!(line["timestamp"].as_str().unwrap().parse::<atelier_domain::Timestamp>().is_ok());
    assert!(
        line.as_object()
            .unwrap()
            .keys()
            .all(|name| !name.starts_with("otel.") && !name.starts_with("messaging."))
    );
    assert_eq!(lines[1].get("trace_id"), None);
    assert_eq!(
        step.events.iter().map(|event| event.name.as_ref()).collect::<Vec<_>>(),
        ["provider still working"]
    );
}

#[test]
fn a_warning_keeps_its_job_where_info_lines_are_off() {
    let settings = TelemetrySettings { log_filter: "warn".to_owned(), ..TelemetrySettings::default() };
    let (guard, dispatch, lines, exporter) = set_up(&settings);
    let job = job(producer(true), 9);
    tracing::dispatcher::with_default(&dispatch, || {
        let step = guard.telemetry().step(&job, Step::Check);
        step.in_scope(|| {
            tracing::info!("not written");
            tracing::warn!("written");
        });
    });
    let lines = lines.json();
    assert_eq!(lines.len(), 1);
    assert_eq!((&lines[0]["message"], &lines[0]["job.id"]), (&"written".into(), &job.id.as_str().into()));
    assert!(lines[0]["trace_id"].is_string());
    span(&exporter, "process check");
}

#[test]
fn lines_of_several_services_name_theirs() {
    let (guard, dispatch, lines, _exporter) = set_up(&TelemetrySettings::default());
    let poller = guard.service("atelier-poller", None).unwrap();
    let job = job(producer(true), 9);
    tracing::dispatcher::with_default(&dispatch, || {
        poller.step(&job, Step::Check).in_scope(|| {
            tracing::info_span!("inner").in_scope(|| tracing::info!("in the poller"));
        });
        tracing::info!("of the process");
    });
    let services: Vec<_> = lines.json().iter().map(|line| line["service"].clone()).collect();
    assert_eq!(services, ["atelier-poller", "atelier-worker"]);
}

#[test]
fn an_error_is_written_with_its_causes() {
    let (_guard, dispatch, lines, _exporter) = set_up(&TelemetrySettings::default());
    tracing::dispatcher::with_default(&dispatch, || {
        let error = TelemetryError::Thread(io::Error::other("no more threads"));
        tracing::error!(error = &error as &dyn std::error::Error, "quote \" and\nbreak");
    });
    let lines = lines.json();
    assert_eq!(lines[0]["error"], "failed to start the telemetry thread: no more threads");
    assert_eq!(lines[0]["message"], "quote \" and\nbreak");
}

#[test]
fn text_lines_are_for_people_and_have_the_ids_too() {
    let settings = TelemetrySettings { log_format: LogFormat::Text, ..TelemetrySettings::default() };
    let (guard, dispatch, lines, _exporter) = set_up(&settings);
    tracing::dispatcher::with_default(&dispatch, || {
        let request = guard.telemetry().request("GET", "/x", Some(producer(true)));
        request.in_scope(|| tracing::info!(note = "two words", "done"));
    });
    let text = lines.text();
    assert!(text.contains("INFO  atelier-worker done "), "{text}");
    assert!(text.contains("note=\"two words\""), "{text}");
    assert!(text.contains("trace_id=4bf92f3577b34da6a3ce929d0e0e4736 span_id="), "{text}");
}

#[test]
fn a_panic_becomes_a_line_of_its_job() {
    let (guard, dispatch, lines, _exporter) = set_up(&TelemetrySettings::default());
    install_panic_hook();
    let job = job(producer(true), 9);
    let caught = tracing::dispatcher::with_default(&dispatch, || {
        let step = guard.telemetry().step(&job, Step::Deliver);
        step.in_scope(|| std::panic::catch_unwind(|| panic!("number {}", 7)))
    });
    assert_eq!(message_of(caught.unwrap_err().as_ref()), "number 7");
    let lines = lines.json();
    assert_eq!((&lines[0]["message"], &lines[0]["panic.message"]), (&"panicked".into(), &"number 7".into()));
    assert_eq!(lines[0]["job.id"], job.id.as_str());
    assert!(lines[0]["panic.location"].as_str().unwrap().contains("tests/logs.rs"));
}

#[test]
fn a_filter_that_cannot_be_read_is_named() {
    let settings = TelemetrySettings { log_filter: "a=b=c".to_owned(), ..TelemetrySettings::default() };
    let error =
        init_for_tests("x", None, &settings, InMemorySpanExporter::default(), Lines::default()).unwrap_err();
    assert_eq!(error.to_string(), "failed to read the log filter `a=b=c`");
}
