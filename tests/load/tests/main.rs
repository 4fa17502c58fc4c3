//! Each row of the harness, short and without the rivals: that it runs to its end, counts every job and reports it.
//! Rows that start the real programs need `cargo build --workspace --bins` first.
//! What it measures in so short a time means nothing and is not looked at.

#![cfg(test)]

use std::process::Command;

/// Jobs of a short run; enough for several batches.
const JOBS: u64 = 600;

/// Jobs of rows that send a few dozen a second.
const FEW_JOBS: u64 = 100;

/// Runs one row and gives its figures.
fn short_run(row: &str) -> Vec<serde_json::Value> {
    run_of(row, JOBS)
}

fn run_of(row: &str, jobs: u64) -> Vec<serde_json::Value> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("report.json");
    let output = Command::new(env!("CARGO_BIN_EXE_atelier-load"))
        .args([
            row,
            "--jobs",
            &jobs.to_string(),
            "--runs",
            "1",
            "--durability",
            "everysec",
            "--without-peers",
        ])
        .arg("--json")
        .arg(&file)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{row}: {text}");
    // A handler that failed says so there, and would be counted all the same.
    assert!(!text.contains("step of"), "{row}: {text}");
    let report: serde_json::Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    assert_eq!(report["parts"][0]["durability"], "everysec");
    report["parts"][0]["figures"].as_array().unwrap().clone()
}

/// The measures of a row, all of so many jobs.
fn measures(figures: &[serde_json::Value], jobs: u64) -> Vec<&str> {
    for figure in figures {
        assert_eq!(figure["jobs"], jobs, "{figure}");
        assert_eq!(figure["runs"].as_array().unwrap().len(), 1, "{figure}");
    }
    figures.iter().map(|figure| figure["measure"].as_str().unwrap()).collect()
}

fn value(figures: &[serde_json::Value], measure: &str) -> f64 {
    figures.iter().find(|figure| figure["measure"] == measure).unwrap()["value"].as_f64().unwrap()
}

#[test]
fn a_drain_counts_every_job_with_and_without_an_intent() {
    let figures = short_run("drain");
    let rates = measures(&figures, JOBS).into_iter().filter(|measure| *measure == "jobs/s").count();
    assert_eq!((figures.len(), rates), (6, 2));
    assert!(
        figures.iter().all(|figure| figure["measure"] != "jobs/s" || figure["value"].as_f64() > Some(0.0))
    );
}

#[test]
fn the_row_beside_celery_counts_every_job() {
    let figures = short_run("celery");
    assert_eq!(measures(&figures, JOBS), ["jobs/s"]);
    assert!(value(&figures, "jobs/s") > 0.0);
}

#[test]
fn both_ways_of_enqueueing_are_measured() {
    let figures = short_run("enqueue");
    assert_eq!(measures(&figures, JOBS).len(), 6);
    assert!(value(&figures, "jobs/s") > 0.0);
}

#[test]
fn a_waiting_job_takes_more_than_its_prompt_and_less_than_two_kilobytes() {
    let figures = short_run("memory");
    assert_eq!(measures(&figures, JOBS), ["Redis bytes", "Redis bytes"]);
    for figure in &figures {
        let bytes = figure["value"].as_f64().unwrap();
        assert!((300.0..2000.0).contains(&bytes), "{figure}");
    }
}

#[test]
fn commands_are_counted_and_fewer_than_the_jobs() {
    let figures = short_run("commands");
    measures(&figures, JOBS);
    let sent = value(&figures, "commands sent/job");
    assert!(sent > 0.0 && sent < 1.0, "{sent}");
    assert!(value(&figures, "commands in scripts/job") >= 3.0);
}

#[test]
fn jobs_are_picked_up_at_once_and_delayed_ones_never_early() {
    let figures = run_of("pickup", FEW_JOBS);
    assert_eq!(measures(&figures, FEW_JOBS).len(), 6);
    let figures = run_of("late", FEW_JOBS);
    measures(&figures, FEW_JOBS);
    assert!(value(&figures, "earliest ms") >= 0.0);
}

#[test]
fn jobs_due_in_one_millisecond_all_start_and_none_early() {
    let figures = short_run("burst");
    measures(&figures, JOBS);
    assert_eq!(value(&figures, "jobs started early"), 0.0);
    assert!(value(&figures, "all started after s") > 0.0);
}

#[test]
fn waiting_videos_are_checked_round_after_round() {
    let figures = short_run("checks");
    measures(&figures, JOBS);
    // Each of them once in two seconds; a busy machine may be late by half of them.
    let rate = value(&figures, "checks/s");
    assert!((0.25..=0.75).contains(&(rate / JOBS as f64)), "{rate}");
}

#[test]
fn a_long_backlog_is_compared_with_a_short_one() {
    let figures = short_run("backlog");
    assert_eq!(measures(&figures, JOBS).len(), 3);
    assert!(value(&figures, "jobs/s at the long one") > 0.0);
}

#[test]
fn every_job_is_accepted_over_http_alone_and_in_batches() {
    let figures = short_run("accept");
    assert_eq!(measures(&figures, JOBS).len(), 9);
    assert!(figures.iter().all(|figure| figure["value"].as_f64() >= Some(0.0)), "{figures:?}");
    assert!(value(&figures, "jobs/s") > 0.0);
}

#[test]
fn waiting_videos_are_asked_for_over_http() {
    let figures = run_of("checks-http", FEW_JOBS);
    assert_eq!(measures(&figures, FEW_JOBS).len(), 7);
    let rate = value(&figures, "checks/s");
    assert!((0.25..=0.75).contains(&(rate / FEW_JOBS as f64)), "{rate}");
    assert!(value(&figures, "simulator us/check") > 0.0, "somebody was asked");
}

#[test]
fn a_million_is_counted_on_three_servers() {
    // Enough that the first tables of three servers weigh little beside the jobs.
    let figures = run_of("million", 5 * JOBS);
    assert_eq!(measures(&figures, 5 * JOBS).len(), 6);
    let bytes = value(&figures, "Redis bytes a job");
    assert!((300.0..2000.0).contains(&bytes), "{bytes}");
    assert!(value(&figures, "checks/s") > 0.0);
}

#[test]
fn programs_tell_what_they_hold_without_work() {
    let figures = short_run("idle-memory");
    assert_eq!(measures(&figures, 0).len(), 3);
    for figure in &figures {
        assert!((1.0..500.0).contains(&figure["value"].as_f64().unwrap()), "{figure}");
    }
}

#[test]
fn a_list_is_gone_through_by_cursors() {
    let figures = short_run("list");
    assert_eq!(measures(&figures, JOBS).len(), 3);
    assert!(value(&figures, "page by cursor, p99 ms") > 0.0);
}

#[test]
fn open_streams_hear_of_every_end() {
    let figures = run_of("streams", FEW_JOBS);
    assert_eq!(measures(&figures, FEW_JOBS).len(), 3);
    assert!(value(&figures, "api, MiB resident") > 1.0);
}

#[test]
fn a_large_video_goes_through_the_worker() {
    // As many megabytes as there may be jobs.
    let figures = run_of("video", 40);
    assert_eq!(measures(&figures, 1).len(), 3);
    assert!(value(&figures, "MB/s") > 0.0);
}

#[test]
fn every_span_of_a_traced_drain_arrives() {
    let figures = short_run("traces");
    measures(&figures, JOBS);
    assert_eq!(value(&figures, "spans that arrived, of those made"), 1.0);
}

#[test]
fn an_unknown_row_is_refused_with_the_names_of_all() {
    let output = Command::new(env!("CARGO_BIN_EXE_atelier-load")).arg("dance").output().unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("drain, celery, enqueue"));
}
