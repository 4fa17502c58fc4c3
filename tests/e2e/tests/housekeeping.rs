//! What goes on beside the jobs: the books, and the removal of what is old.

use std::time::{Duration, Instant, SystemTime};

use atelier_domain::Timestamp;
use atelier_redis_store::keys::LEADER;
use redis::Commands;
use serde_json::{Value, json};

use crate::harness::{LONG, Running, image, speech, video};
use crate::processes::{start, surroundings, until_ready};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Millionths of a dollar.
fn micro_usd(usd: &Value) -> i64 {
    (usd.as_f64().unwrap() * 1_000_000.0).round() as i64
}

#[tokio::test]
async fn the_books_hold_what_each_job_has_cost() {
    let running = Running::start().await;
    let client = &running.client;
    let mut expected = 0;
    for body in [speech("hello there"), image("a fox"), video("slow pan"), video("again")] {
        let job = client.run(&body).await;
        assert_eq!(job["status"], "succeeded", "{job:#}");
        expected += micro_usd(&job["cost"]["actual_usd"]);
    }
    // Perhaps paid, so that it counts; certainly not paid, so that it does not.
    let lost = client.run(&video("slow pan [sim:lost]")).await;
    assert_eq!(lost["error"]["code"], "unknown_outcome", "{lost:#}");
    expected += micro_usd(&lost["cost"]["estimated_usd"]);
    let refused = client.run(&video("slow pan [sim:status=400]")).await;
    assert_eq!(refused["error"]["code"], "invalid", "{refused:#}");
    let mut later = speech("later");
    later["delay_ms"] = json!(3_600_000);
    let later = client.submit(&later).await;
    client.post(&format!("/api/v1/media/jobs/{later}/cancel"), &json!({})).await;

    let (status, answer) = client.get("/api/v1/media/costs?group_by=provider,model,day,operation").await;
    assert_eq!(status, 200, "{answer}");
    let (rows, totals) = (answer["data"]["rows"].as_array().unwrap(), &answer["data"]["totals"]);
    let counts = ["jobs", "succeeded", "failed", "cancelled", "unpriced"].map(|name| &totals[name]);
    assert_eq!(counts, [7, 4, 2, 1, 0], "{totals:#}");
    assert_eq!(micro_usd(&totals["cost_usd"]), expected, "{totals:#}");
    let of_runway: i64 =
        rows.iter().filter(|row| row["provider"] == "runway").map(|row| micro_usd(&row["cost_usd"])).sum();
    assert_eq!(of_runway, 3 * 600_000, "two videos and one that was lost");
    assert!(rows.iter().all(|row| row["day"].is_string() && row["model"].is_string()), "{rows:#?}");
    running.finish().await;
}

/// The three programs, with a second poller.
#[tokio::test]
async fn old_objects_go_and_a_killed_leader_is_followed() {
    let folder = tempfile::tempdir().unwrap();
    let (around, client, config) = surroundings(folder.path()).await;
    let text = std::fs::read_to_string(&config).unwrap().replace(
        "[s3]",
        "[redis.control]\nremove_expired_s = 1\nabort_uploads_s = 1\nleader_lease_ms = 1000\n\
         [s3]\nassets_retention_days = 1",
    );
    std::fs::write(&config, text).unwrap();
    let mut redis = redis::Client::open(around.api.redis.url.expose().as_str()).unwrap();
    let old_day = (Timestamp::now() - 3 * DAY).strftime("%Y/%m/%d").to_string();
    let place = |key: &str| {
        let path = folder.path().join("s3/atelier").join(key);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, b"x").unwrap();
        let file = std::fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(SystemTime::now() - 3 * DAY).unwrap();
        path
    };
    let old = place(&format!("demo/{old_day}/0ujtsYcgvSTl8PAuAdqWYSMnLOv/0.mp4"));
    let foreign = place(&format!("demo/{old_day}/notes.txt"));

    let _api = start("atelier-api", &config);
    let _worker = start("atelier-worker", &config);
    let leader = start("atelier-poller", &config);
    until_ready(&client).await;
    let first = until_leader(&mut redis, None).await;
    let _heir = start("atelier-poller", &config);
    let job = client.run(&video("slow pan")).await;
    // Dropping kills it.
    drop(leader);
    let since = Instant::now();
    until_leader(&mut redis, Some(&first)).await;
    assert!(since.elapsed() < Duration::from_secs(10), "nobody led for {:?}", since.elapsed());

    // What is too old now goes through the heir's pushes.
    let again = place(&format!("demo/{old_day}/0ujtsYcgvSTl8PAuAdqWYSMnLOv/1.mp4"));
    let since = Instant::now();
    while old.exists() || again.exists() {
        assert!(since.elapsed() < LONG, "what is old stays");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(foreign.exists());
    client.download(job["asset_ids"][0].as_str().unwrap()).await;
}

async fn until_leader(redis: &mut redis::Client, other_than: Option<&str>) -> String {
    let since = Instant::now();
    loop {
        let found: Option<String> = redis.get(LEADER).unwrap();
        if let Some(name) = found.filter(|name| Some(name.as_str()) != other_than) {
            return name;
        }
        assert!(since.elapsed() < LONG, "nobody leads");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
