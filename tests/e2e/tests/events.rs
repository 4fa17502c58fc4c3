//! Events of jobs, read by a plain HTTP client from the real service; timelines, and lists by cursors.

use serde_json::{Value, json};

use crate::harness::{LONG, Running, image, speech, video};

/// A stream of server-sent events, as a client without any library reads it.
struct Stream {
    answer: reqwest::Response,
    text: String,
}

/// What stands between two empty lines.
#[derive(Debug, Clone)]
struct Block(String);

impl Block {
    fn field(&self, name: &str) -> Option<&str> {
        self.0.split('\n').find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    fn data(&self) -> Value {
        serde_json::from_str(self.field("data").unwrap()).unwrap()
    }
}

impl Stream {
    async fn open(running: &Running, path: &str, last: Option<&str>) -> Self {
        let mut request = running.client.request(reqwest::Method::GET, path).header("X-API-Key", "demo");
        if let Some(last) = last {
            request = request.header("Last-Event-ID", last);
        }
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        Self { answer, text: String::new() }
    }

    /// The next event of a job; `None` at the end of the stream.
    async fn next(&mut self) -> Option<Block> {
        loop {
            while let Some((block, rest)) = self.text.split_once("\n\n") {
                let (block, rest) = (Block(block.to_owned()), rest.to_owned());
                self.text = rest;
                if block.field("event") == Some("job") {
                    return Some(block);
                }
            }
            let piece = tokio::time::timeout(LONG, self.answer.chunk()).await.expect("the stream goes on");
            let piece = piece.unwrap()?;
            assert!(!piece.contains(&b'\r'), "LF only");
            self.text.push_str(std::str::from_utf8(&piece).unwrap());
        }
    }

    async fn rest(&mut self) -> Vec<Block> {
        let mut blocks = Vec::new();
        while let Some(block) = self.next().await {
            blocks.push(block);
        }
        blocks
    }
}

fn shown(blocks: &[Block]) -> Vec<(String, String)> {
    let shown = |block: &Block| {
        (block.field("id").unwrap().to_owned(), block.data()["status"].as_str().unwrap().to_owned())
    };
    blocks.iter().map(shown).collect()
}

#[tokio::test]
async fn the_life_of_a_video_is_heard_whole_and_resumed_from_its_middle() {
    let running = Running::start().await;
    let mut all = Stream::open(&running, "/api/v1/media/events", None).await;
    let id = running.client.submit(&video("slow pan")).await;
    let path = format!("/api/v1/media/jobs/{id}/events");
    let mut stream = Stream::open(&running, &path, None).await;
    let live = stream.rest().await;
    let mut states: Vec<String> = shown(&live).into_iter().map(|(_, state)| state).collect();
    states.dedup();
    assert_eq!(states, ["queued", "submitting", "awaiting", "delivering", "succeeded"]);
    let numbers: Vec<u64> = live.iter().map(|block| block.field("id").unwrap().parse().unwrap()).collect();
    assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
    let last = live.last().unwrap().data();
    assert_eq!((&last["progress"], &last["job_id"]), (&json!(1.0), &json!(id)));
    assert_eq!(last["cost"], json!({"estimated_usd": 0.6, "actual_usd": 0.6, "source": "provider"}));
    assert!(live.iter().any(|block| block.data()["provider_status"] == "RUNNING"), "{live:?}");
    assert_eq!(running.client.job(&id).await["status"], "succeeded", "the stream ends with the job");

    // The whole workspace heard the same.
    let mut of_all = Vec::new();
    while of_all.last().is_none_or(|block: &Block| block.data()["status"] != "succeeded") {
        of_all.push(all.next().await.unwrap());
    }
    let numbers_of_all: Vec<u64> =
        of_all.iter().map(|block| block.data()["number"].as_u64().unwrap()).collect();
    assert_eq!(numbers_of_all, numbers);

    // From the middle, and again from the beginning: what only a header told, such as progress, is not told again.
    let transitions = |blocks: &[Block]| {
        let mut shown = shown(blocks);
        shown.dedup_by(|later, earlier| later.1 == earlier.1);
        shown
    };
    let again = Stream::open(&running, &path, None).await.rest().await;
    assert_eq!(transitions(&again), transitions(&live));
    let middle = live.iter().position(|block| block.data()["status"] == "awaiting").unwrap();
    let rest = Stream::open(&running, &path, live[middle].field("id")).await.rest().await;
    let later = transitions(&live).split_off(3);
    assert_eq!(
        transitions(&rest).into_iter().filter(|(_, state)| state != "awaiting").collect::<Vec<_>>(),
        later
    );
    let done = running.client.request(reqwest::Method::GET, &path).header("X-API-Key", "demo");
    let done = done.header("Last-Event-ID", live.last().unwrap().field("id").unwrap()).send().await.unwrap();
    assert_eq!(done.status(), 204);

    // Who comes back to the workspace hears what he has missed: a whole life, and nothing of the one before.
    let position = of_all.last().unwrap().field("id").unwrap().to_owned();
    drop(all);
    let second = running.client.run(&speech("hello")).await["id"].clone();
    let mut all = Stream::open(&running, "/api/v1/media/events", Some(&position)).await;
    let mut missed = Vec::new();
    while missed.last() != Some(&json!("succeeded")) {
        let data = all.next().await.unwrap().data();
        assert_eq!(data["job_id"], second);
        missed.push(data["status"].clone());
    }
    assert_eq!(missed, ["queued", "submitting", "delivering", "succeeded"]);
    // A stream that goes on must not hold up the stop.
    let since = std::time::Instant::now();
    let draining = tokio::spawn(async move { all.rest().await.len() });
    running.finish().await;
    assert_eq!(draining.await.unwrap(), 0);
    assert!(since.elapsed() < LONG);
}

#[tokio::test]
async fn a_timeline_tells_what_happened_and_what_it_cost() {
    let running = Running::start().await;
    let clip = running.client.run(&video("slow pan")).await;
    let path = format!("/api/v1/media/jobs/{}/timeline", clip["id"].as_str().unwrap());
    let (status, answer) = running.client.get(&path).await;
    assert_eq!(status, 200, "{answer}");
    let steps = answer["data"]["steps"].as_array().unwrap();
    let named = |name: &str| -> Vec<&Value> { steps.iter().filter(|step| step["step"] == name).collect() };
    assert_eq!(steps[0]["step"], "admitted");
    let calls = named("paid_call");
    assert_eq!((calls.len(), &calls[0]["outcome"]), (1, &json!("accepted")));
    assert_eq!(calls[0]["provider_job_id"], clip["provider_job_id"]);
    assert!(calls[0]["duration_ms"].is_u64());
    let checks = named("checks");
    assert_eq!((checks.len(), &checks[0]["count"]), (1, &clip["checks"]));
    assert!(checks[0]["duration_ms"].as_u64().unwrap() >= 400, "the simulated work takes that long");
    assert!(named("provider_status").iter().any(|step| step["provider_status"] == "RUNNING"), "{answer:#}");
    assert_eq!(named("asset_stored")[0]["asset_id"], clip["asset_ids"][0]);
    assert_eq!(steps.last().unwrap()["status"], "succeeded");
    assert_eq!(answer["data"]["cost"], clip["cost"]);
    assert_eq!(answer["data"]["durations"]["total_ms"], steps.last().unwrap()["duration_ms"]);
    running.finish().await;
}

#[tokio::test]
async fn jobs_are_walked_over_cancelled_in_numbers_and_done_again() {
    let running = Running::start().await;
    let mut later = image("later");
    later["delay_ms"] = json!(3_600_000);
    later["metadata"] = json!({"batch": "blue"});
    let (_, admitted) =
        running.client.post("/api/v1/media/jobs/batch", &json!({"jobs": vec![later; 25]})).await;
    assert_eq!(admitted["data"]["admitted"], 25);
    running.client.run(&speech("now")).await;
    let (mut found, mut cursor) = (std::collections::BTreeSet::new(), String::new());
    loop {
        let path = format!("/api/v1/media/jobs?metadata.batch=blue&limit=10&cursor={cursor}");
        let (status, page) = running.client.get(&path).await;
        assert_eq!(status, 200, "{page}");
        found.extend(
            page["data"].as_array().unwrap().iter().map(|job| job["id"].as_str().unwrap().to_owned()),
        );
        let Some(next) = page["meta"]["next_cursor"].as_str() else { break };
        cursor = next.to_owned();
    }
    assert_eq!(found.len(), 25);
    let filter = json!({"filter": {"metadata": {"batch": "blue"}, "status": ["queued"]}});
    let (status, cancelled) = running.client.post("/api/v1/media/jobs/cancel", &filter).await;
    assert_eq!((status, cancelled["data"]["cancelled"].as_array().unwrap().len()), (200, 25), "{cancelled}");
    assert_eq!(cancelled["data"]["more"], false);
    let one = found.first().unwrap();
    let (status, again) = running.client.post(&format!("/api/v1/media/jobs/{one}/retry"), &json!({})).await;
    assert_eq!((status, &again["data"]["replay_of"]), (201, &json!(one)), "{again}");
    let done = running.client.end_of(again["data"]["id"].as_str().unwrap()).await;
    assert_eq!(done["status"], "succeeded", "it is not delayed again");
    running.finish().await;
}
