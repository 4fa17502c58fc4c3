//! Reading, waiting, listing, cancelling.

use std::time::Duration;

use atelier_domain::error::{ErrorCode, JobError};
use atelier_domain::ids::{AssetId, JobId};
use atelier_domain::job::{Job, RemoteOperation};
use atelier_domain::money::{MicroUsd, ReportedCost};
use atelier_domain::state::{Event, State};
use axum::body::Body;
use serde_json::{Value, json};
use std::sync::atomic::Ordering;

use crate::fakes::{Api, asset_of, image, request, video};

pub fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

pub fn sorted<'a>(names: &[&'a str]) -> Vec<&'a str> {
    let mut names = names.to_vec();
    names.sort_unstable();
    names
}

fn awaiting(job: &mut Job) {
    let now = "2026-11-22T10:00:00Z".parse().unwrap();
    job.apply(Event::IntentStored, now).unwrap();
    job.apply(Event::Accepted, now).unwrap();
    job.checks = 3;
    job.progress_percent = Some(40);
    job.due_at = Some("2026-11-22T10:00:30Z".parse().unwrap());
    job.body.attempts = 1;
    job.body.started_at = Some(now);
    job.body.provider_status = Some("RUNNING".to_owned());
    job.body.remote =
        Some(RemoteOperation { id: "task-1".to_owned(), submitted_at: now, urls: Default::default() });
}

fn succeeded(job: &mut Job) {
    awaiting(job);
    let now = "2026-11-22T10:01:00Z".parse().unwrap();
    job.apply(Event::Ready, now).unwrap();
    job.apply(Event::Stored, now).unwrap();
    job.progress_percent = Some(100);
    job.body.assets = vec![asset_of(&job.id, "acme", "image/png")];
    job.body.cost.settle(Some(ReportedCost::Amount(MicroUsd(240_000))));
}

const JOB_KEYS: &[&str] = &[
    "id",
    "workspace_id",
    "status",
    "operation",
    "provider",
    "model",
    "prompt",
    "config",
    "metadata",
    "priority",
    "attempts",
    "paid_calls",
    "checks",
    "progress",
    "provider_job_id",
    "provider_status",
    "asset_ids",
    "assets",
    "text",
    "warnings",
    "cost",
    "error",
    "trace_id",
    "credential_id",
    "replay_of",
    "execution_id",
    "created_at",
    "started_at",
    "completed_at",
    "next_check_at",
];

pub const ASSET_KEYS: &[&str] = &[
    "id",
    "workspace_id",
    "job_id",
    "type",
    "media_type",
    "width",
    "height",
    "duration_s",
    "codec",
    "seed",
    "revised_prompt",
    "mime_type",
    "content_type",
    "file_size",
    "size",
    "size_bytes",
    "storage_path",
    "storage_key",
    "provider",
    "model",
    "operation",
    "file_name",
    "sha256",
    "execution_id",
    "agent_id",
    "metadata",
    "created_at",
    "updated_at",
    "prompt",
];

#[tokio::test]
async fn a_job_has_exactly_the_documented_names_in_every_state() {
    let api = Api::default();
    let queued = api.admitted(&video()).await;
    let waiting = api.admitted(&video()).await;
    let done = api.admitted(&video()).await;
    api.store.change(&waiting, awaiting);
    api.store.change(&done, succeeded);
    for id in [&queued, &waiting, &done] {
        let answer = api.get(&format!("/api/v1/media/jobs/{id}")).await;
        assert_eq!(answer.status, 200);
        assert_eq!(keys(&answer.json), ["data"]);
        assert_eq!(sorted(&keys(&answer.json["data"])), sorted(JOB_KEYS));
    }

    let job = api.get(&format!("/api/v1/media/jobs/{queued}")).await.json["data"].clone();
    for name in [
        "progress",
        "provider_job_id",
        "provider_status",
        "text",
        "error",
        "credential_id",
        "execution_id",
        "started_at",
        "completed_at",
        "next_check_at",
    ] {
        assert_eq!(job[name], Value::Null, "{name}");
    }
    assert_eq!((&job["asset_ids"], &job["assets"], &job["metadata"]), (&json!([]), &json!([]), &json!({})));
    assert_eq!(job["trace_id"].as_str().unwrap().len(), 32);

    let job = api.get(&format!("/api/v1/media/jobs/{waiting}")).await.json["data"].clone();
    assert_eq!(
        (&job["status"], &job["progress"], &job["checks"]),
        (&json!("awaiting"), &json!(0.4), &json!(3))
    );
    assert_eq!((&job["provider_job_id"], &job["provider_status"]), (&json!("task-1"), &json!("RUNNING")));
    assert_eq!(job["next_check_at"], "2026-11-22T10:00:30.000Z");
    assert_eq!(job["started_at"], "2026-11-22T10:00:00.000Z");

    let job = api.get(&format!("/api/v1/media/jobs/{done}")).await.json["data"].clone();
    assert_eq!(
        (&job["status"], &job["progress"], &job["next_check_at"]),
        (&json!("succeeded"), &json!(1.0), &Value::Null)
    );
    assert_eq!(job["cost"], json!({"estimated_usd": 0.25, "actual_usd": 0.24, "source": "provider"}));
    assert_eq!(job["asset_ids"], json!([AssetId::of(&done.parse().unwrap(), 0)]));
    assert_eq!(job["completed_at"], "2026-11-22T10:01:00.000Z");
    assert_eq!(sorted(&keys(&job["assets"][0])), sorted(ASSET_KEYS));
    assert_eq!(job["assets"][0]["prompt"], "slow pan");
}

#[tokio::test]
async fn a_timeline_tells_each_step() {
    let api = Api::default();
    let id = api.admitted(&video()).await;
    api.store.change(&id, succeeded);
    let answer = api.get(&format!("/api/v1/media/jobs/{id}/timeline")).await;
    assert_eq!(answer.status, 200, "{}", answer.json);
    let data = &answer.json["data"];
    assert_eq!(keys(data), ["cost", "durations", "job_id", "status", "steps", "trace_id"]);
    assert_eq!(data["cost"], json!({"estimated_usd": 0.25, "actual_usd": 0.24, "source": "provider"}));
    let steps = data["steps"].as_array().unwrap();
    let names: Vec<&str> = steps.iter().map(|step| step["step"].as_str().unwrap()).collect();
    for name in ["admitted", "checks", "delivery", "asset_stored", "ended"] {
        assert!(names.contains(&name), "{name} in {names:?}");
    }
    api.get(&format!("/api/v1/media/jobs/{}/timeline", JobId::new())).await.refused(404, "not_found");
}

#[tokio::test]
async fn a_failed_job_says_why_and_whether_to_try_again() {
    let api = Api::default();
    for (code, retryable) in
        [(ErrorCode::Rejected, false), (ErrorCode::Timeout, true), (ErrorCode::ModelRetired, false)]
    {
        let id = api.admitted(&image()).await;
        api.store.change(&id, |job| {
            job.apply(Event::Failed, job.changed_at).unwrap();
            job.body.error =
                Some(JobError { provider_status: Some("SAFETY".to_owned()), ..JobError::new(code, "why") });
        });
        let job = api.get(&format!("/api/v1/media/jobs/{id}")).await.json["data"].clone();
        assert_eq!(job["status"], "failed");
        let wanted = json!({"code": code.as_str(), "message": "why", "retryable": retryable, "provider_status": "SAFETY"});
        assert_eq!(job["error"], wanted);
    }
}

#[tokio::test]
async fn what_is_no_job_is_404() {
    let api = Api::default();
    let unknown = JobId::new().to_string();
    for id in [unknown.as_str(), "x", "..%2f..%2fetc", "%ff", "0ujtsYcgvSTl8PAuAdqWYSMnLO%21"] {
        api.get(&format!("/api/v1/media/jobs/{id}")).await.refused(404, "not_found");
        api.get(&format!("/api/v1/media/jobs/{id}?wait=1")).await.refused(404, "not_found");
        api.post(&format!("/api/v1/media/jobs/{id}/cancel"), &json!({})).await.refused(404, "not_found");
        api.get(&format!("/api/v1/assets/{id}")).await.refused(404, "not_found");
        api.get(&format!("/api/v1/assets/{id}/signed-url")).await.refused(404, "not_found");
        api.get(&format!("/api/v1/assets/{id}/content")).await.refused(404, "not_found");
    }
}

#[tokio::test]
async fn a_wait_ends_when_the_job_ends() {
    let api = Api::default();
    let id = api.admitted(&image()).await;
    let path = format!("/api/v1/media/jobs/{id}?wait=25");
    let (answer, ()) = tokio::join!(api.get(&path), async {
        tokio::task::yield_now().await;
        api.store.change(&id, succeeded);
    });
    assert_eq!(answer.json["data"]["status"], "succeeded");
}

#[tokio::test(start_paused = true)]
async fn a_wait_is_clamped_and_then_shows_the_job_as_it_is() {
    let api = Api::default();
    let id = api.admitted(&image()).await;
    for (wait, seconds) in [
        ("0", 0.0),
        ("-5", 0.0),
        ("2", 2.0),
        ("0.5", 0.5),
        ("25", 25.0),
        ("9999999999999", 25.0),
        ("inf", 25.0),
    ] {
        let began = tokio::time::Instant::now();
        let answer = api.get(&format!("/api/v1/media/jobs/{id}?wait={wait}")).await;
        assert_eq!(answer.json["data"]["status"], "queued", "{wait}");
        let waited = began.elapsed().as_secs_f64();
        assert!((waited - seconds).abs() < 0.01, "wait={wait} took {waited}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_process_that_ends_lets_its_callers_go() {
    let api = Api::default();
    let id = api.admitted(&image()).await;
    let path = format!("/api/v1/media/jobs/{id}?wait=25");
    let began = tokio::time::Instant::now();
    let (answer, ()) = tokio::join!(api.get(&path), async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        api.draining.cancel();
    });
    assert_eq!(answer.json["data"]["status"], "queued");
    assert!(began.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn a_wait_that_is_no_number_is_refused() {
    let api = Api::default();
    let id = api.admitted(&image()).await;
    for (query, field) in [("wait=long", "wait"), ("wait=", "wait"), ("wait=NaN", "wait"), ("wiat=5", "wiat")]
    {
        let answer = api.get(&format!("/api/v1/media/jobs/{id}?{query}")).await;
        answer.refused(400, "bad_request");
        assert_eq!(answer.fields(), [field]);
    }
}

#[tokio::test]
async fn a_list_is_paged_newest_first_and_paging_never_fails() {
    let api = Api::default();
    let mut ids = Vec::new();
    for _ in 0..45 {
        ids.push(api.admitted(&image()).await);
    }
    ids.reverse();
    for (query, page, limit, items) in [
        ("", 1, 20, 0..20),
        ("?page=2", 2, 20, 20..40),
        ("?page=3&limit=20", 3, 20, 40..45),
        ("?page=4", 4, 20, 45..45),
        ("?page=0", 1, 20, 0..20),
        ("?page=-7&limit=10", 1, 10, 0..10),
        ("?limit=0", 1, 1, 0..1),
        ("?limit=1000", 1, 100, 0..45),
        ("?limit=abc&page=x", 1, 20, 0..20),
        ("?page=99999999999999999999", u32::MAX, 20, 45..45),
    ] {
        let answer = api.get(&format!("/api/v1/media/jobs{query}")).await;
        assert_eq!(answer.status, 200, "{query}");
        let listed: Vec<&str> =
            answer.json["data"].as_array().unwrap().iter().map(|job| job["id"].as_str().unwrap()).collect();
        assert_eq!(listed, ids[items], "{query}");
        let pages = 45u32.div_ceil(limit);
        let mut meta = answer.json["meta"].clone();
        let next = meta.as_object_mut().unwrap().remove("next_cursor").unwrap();
        let of_pages =
            json!({"total": 45, "page": page, "limit": limit, "pages": pages, "total_pages": pages});
        assert_eq!(meta, of_pages, "{query}");
        assert_eq!(next.is_string(), page < pages, "{query}");
    }
}

#[tokio::test]
async fn a_list_is_filtered_and_unknown_words_are_refused() {
    let api = Api::default();
    api.admitted(&image()).await;
    let clip = api.admitted(&video()).await;
    let done = api.admitted(&video()).await;
    api.store.change(&done, succeeded);
    for (query, total) in [
        ("operation=image_gen", 1),
        ("operation=video_from_img", 2),
        ("provider=runway", 2),
        ("provider=pika", 0),
        ("status=queued", 2),
        ("status=queued&provider=runway", 1),
        ("status=&provider=", 3),
    ] {
        let answer = api.get(&format!("/api/v1/media/jobs?{query}")).await;
        assert_eq!(answer.json["meta"]["total"], total, "{query}");
    }
    let both = api.get("/api/v1/media/jobs?status=queued&provider=runway").await;
    assert_eq!(both.json["data"][0]["id"], clip.as_str());
    for (query, field, right) in [
        ("status=done", "status", "succeeded"),
        ("operation=dance", "operation", "video_from_image"),
        ("provider=acme", "provider", "elevenlabs"),
        ("state=queued", "state", "`status`"),
        ("colour=red", "colour", "operation"),
    ] {
        let answer = api.get(&format!("/api/v1/media/jobs?{query}")).await;
        let message = answer.refused(400, "bad_request");
        assert_eq!(answer.fields(), [field]);
        assert!(message.contains(right), "{message}");
    }
}

#[tokio::test]
async fn a_job_is_cancelled_once_also_with_an_empty_json_body() {
    let api = Api::default();
    let id = api.admitted(&image()).await;
    let path = format!("/api/v1/media/jobs/{id}/cancel");
    let headers = [("x-api-key", "acme-key"), ("content-type", "application/json")];
    let answer = api.send(request("POST", &path, &headers, Body::empty())).await;
    assert_eq!((answer.status.as_u16(), &answer.json["data"]["status"]), (200, &json!("cancelled")));
    assert_eq!(api.store.jobs()[0].state, State::Cancelled);

    let again = api.post(&path, &json!({})).await;
    assert!(again.refused(400, "bad_request").contains("cancelled"));
    let done = api.admitted(&image()).await;
    api.store.change(&done, succeeded);
    let late = api.post(&format!("/api/v1/media/jobs/{done}/cancel"), &json!({})).await;
    assert!(late.refused(400, "bad_request").contains("succeeded"));
    assert_eq!(late.json["error"]["details"], json!({"job_id": done, "status": "succeeded"}));
}

#[tokio::test]
async fn a_store_that_is_away_is_503_everywhere() {
    let api = Api::default();
    api.store.jobs_are_down.store(true, Ordering::SeqCst);
    let id = JobId::new();
    for path in [
        "/api/v1/media/jobs".to_owned(),
        format!("/api/v1/media/jobs/{id}"),
        format!("/api/v1/media/jobs/{id}?wait=5"),
        "/api/v1/assets".to_owned(),
        format!("/api/v1/assets/{id}"),
        format!("/api/v1/assets/{id}/signed-url"),
        format!("/api/v1/assets/{id}/content"),
    ] {
        api.get(&path).await.refused(503, "unavailable");
    }
    api.post(&format!("/api/v1/media/jobs/{id}/cancel"), &json!({})).await.refused(503, "unavailable");
}
