//! The Media Studio of older clients, and the figures of their boards.

use std::time::Duration;

use atelier_api::ApiSettings;
use atelier_domain::costs::{DayCost, Sums, day_of};
use atelier_domain::error::{ErrorCode, JobError};
use atelier_domain::operation::{Operation, Provider};
use atelier_domain::state::Event;
use atelier_domain::{Date, Timestamp};
use serde_json::{Value, json};

use crate::fakes::{Answer, Api, MemoryTelemetry, asset_of};

const GENERATE: &str = "/api/v1/media/generate";

fn quick() -> Api {
    Api::with(MemoryTelemetry::default(), ApiSettings { max_wait_ms: 200, ..ApiSettings::default() })
}

fn image() -> Value {
    json!({"provider": "fal", "media_type": "image", "model": "fal-ai/flux/schnell", "prompt": "a fox"})
}

/// Asks, and lets a worker end the job in this way meanwhile.
async fn while_ending(api: &Api, body: &Value, end: impl Fn(&str)) -> Answer {
    let asking = api.post(GENERATE, body);
    let ending = async {
        while api.store.jobs().is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        end(api.store.jobs()[0].id.as_str());
    };
    tokio::join!(asking, ending).0
}

#[tokio::test]
async fn an_image_comes_with_the_answer() {
    let api = Api::default();
    let answer = while_ending(&api, &image(), |id| {
        api.store.change(id, |job| {
            job.body.started_at = Some(Timestamp::now());
            for event in [Event::IntentStored, Event::BytesReceived, Event::Stored] {
                job.apply(event, Timestamp::now()).unwrap();
            }
            job.body.assets = vec![asset_of(&job.id, "acme", "image/png")];
        });
    })
    .await;
    assert_eq!(answer.status, 200, "{}", answer.json);
    let data = &answer.json["data"];
    assert_eq!((&data["status"], &data["media_type"]), (&json!("completed"), &json!("image_gen")));
    assert_eq!(data["url"], data["asset_url"]);
    assert!(data["url"].as_str().unwrap().starts_with("https://s3.example/acme/"));
    assert!(data["duration_ms"].is_i64() && data["cost"].is_f64());
    assert_eq!(data["trace_id"].as_str().unwrap().len(), 32);
}

#[tokio::test]
async fn what_takes_longer_is_pending_with_its_job() {
    let api = quick();
    let answer = api.post(GENERATE, &image()).await;
    let data = &answer.json["data"];
    assert_eq!(
        (answer.status.as_u16(), &data["status"], &data["url"]),
        (200, &json!("pending"), &Value::Null)
    );
    let job = api.get(&format!("/api/v1/media/jobs/{}", data["job_id"].as_str().unwrap())).await;
    assert_eq!(job.json["data"]["prompt"], "a fox");
}

#[tokio::test(start_paused = true)]
async fn a_video_is_not_waited_for() {
    let api = Api::default();
    let video = json!({
        "provider": "runway", "media_type": "video", "model": "gen4_turbo", "prompt": "slow pan",
        "input_url": "https://example.com/a.png",
    });
    let since = tokio::time::Instant::now();
    let data = api.post(GENERATE, &video).await.json["data"].clone();
    assert_eq!((&data["status"], &data["media_type"]), (&json!("pending"), &json!("video_from_image")));
    assert!(since.elapsed() < Duration::from_secs(1));
}

#[tokio::test]
async fn a_failed_job_is_a_400_that_no_client_sends_again() {
    let api = Api::default();
    let answer = while_ending(&api, &image(), |id| {
        api.store.change(id, |job| {
            job.body.error = Some(JobError::new(ErrorCode::Rejected, "the prompt was refused"));
            job.apply(Event::Failed, Timestamp::now()).unwrap();
        });
    })
    .await;
    assert_eq!(answer.refused(400, "bad_request"), "the prompt was refused");
    assert_eq!(answer.json["error"]["details"]["code"], "rejected");
}

#[tokio::test]
async fn problems_are_those_of_a_job() {
    let api = Api::default();
    let answer = api.post(GENERATE, &json!({"provider": "sora", "media_type": "image", "model": "m"})).await;
    answer.refused(400, "bad_request");
    assert_eq!(answer.fields(), ["provider"]);
    let answer = api.post(GENERATE, &json!({"provider": "fal", "media_type": "smell"})).await;
    assert_eq!(answer.fields(), ["media_type"]);
    assert!(api.store.jobs().is_empty());
}

#[tokio::test]
async fn models_are_listed_by_provider_kind_and_page() {
    let api = Api::default();
    let list = async |query: &str| api.get(&format!("/api/v1/media-models{query}")).await.json;
    let all = list("?limit=100").await;
    let total = all["meta"]["total"].as_u64().unwrap();
    assert!(total > 80, "{total}");
    let first = &all["data"][0];
    for name in [
        "id",
        "provider",
        "model_id",
        "name",
        "display_name",
        "media_type",
        "category",
        "unit_price",
        "unit_type",
        "is_active",
        "is_deprecated",
        "capabilities",
        "config_schema",
        "config",
    ] {
        assert!(first.get(name).is_some(), "{name}");
    }
    let speech = list("?media_type=speech&limit=100").await;
    let kinds = |list: &Value| {
        let mut kinds: Vec<String> = list["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|model| model["media_type"].as_str().unwrap().to_owned())
            .collect();
        kinds.sort();
        kinds.dedup();
        kinds
    };
    assert_eq!(kinds(&speech), ["stt", "tts"]);
    assert_eq!(kinds(&list("?media_type=image_edit").await), ["image_edit"]);
    let (active, retired) = (list("?is_active=1&limit=1").await, list("?is_active=false&limit=1").await);
    let of = |list: &Value| list["meta"]["total"].as_u64().unwrap();
    assert_eq!(of(&active) + of(&retired), total);
    assert_eq!(retired["data"][0]["is_deprecated"], true);
    assert_eq!(list("?page=2&limit=1").await["data"][0], all["data"][1]);
    let wrong = api.get("/api/v1/media-models?media_type=smell&is_active=yes&kind=x").await;
    assert_eq!(wrong.fields(), ["media_type", "is_active", "kind"]);
}

fn cost(day: Date, model: &str, sums: Sums) -> DayCost {
    DayCost { day, provider: Provider::Fal, operation: Operation::ImageGen, model: model.to_owned(), sums }
}

#[tokio::test]
async fn boards_get_every_day_and_no_other_workspaces_costs() {
    let api = Api::default();
    let today = day_of(Timestamp::now());
    let well = Sums { succeeded: 3, failed: 1, micro_usd: 250_000, run_ms: 3_000, ..Sums::default() };
    api.store.keep_cost("acme", cost(today, "m", well));
    api.store.keep_cost("beta", cost(today, "m", Sums { succeeded: 9, ..Sums::default() }));
    let board = api.get("/api/v1/dashboard/metrics?days=7").await.json["data"].clone();
    assert_eq!(board["executions_by_day"].as_array().unwrap().len(), 7);
    assert_eq!(board["executions_by_day"][6], json!({"date": today.to_string(), "count": 4}));
    assert_eq!(board["overview"]["total_cost"], 0.25);
    assert_eq!(
        (&board["overview"]["avg_duration_ms"], &board["overview"]["error_count"]),
        (&json!(1000), &json!(1))
    );
    assert_eq!(board["model_usage"][0]["model_name"], "m");
    let summary = api.get(&format!("/api/v1/costs/summary?from={today}T00:00:00Z&to={today}")).await.json;
    assert_eq!(summary["data"]["total_executions"], 4);
    assert_eq!(
        summary["data"]["daily_costs"],
        json!([{"date": today.to_string(), "cost": 0.25, "executions": 4}])
    );
    assert_eq!(api.get("/api/v1/dashboard/metrics?days=x&since=1").await.fields(), ["days", "since"]);
    assert_eq!(api.get("/api/v1/costs/summary?form=1").await.fields(), ["form"]);
}
