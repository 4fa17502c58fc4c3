use atelier_simulator::{Entry, Fault, Kind, Match, Provider, Rule};
use serde_json::{Value, json};

use crate::support::Stage;

#[tokio::test]
async fn the_script_is_set_over_http() {
    let stage = Stage::new().await;
    let url = stage.url("/_sim/script");
    let rule = json!({
        "matches": {"provider": "elevenlabs", "kind": "submit", "prompt_contains": "hit"}, "times": 1,
        "fault": {"type": "status", "code": 429, "retry_after_s": 1},
    });
    assert_eq!(stage.client.post(&url).json(&rule).send().await.unwrap().status(), 200);
    assert_eq!(stage.speak("miss").send().await.unwrap().status(), 200);
    assert_eq!(stage.speak("hit").send().await.unwrap().status(), 429);
    assert_eq!(stage.speak("hit").send().await.unwrap().status(), 200);
    let list = json!([{"fault": {"type": "lost"}}, {"fault": {"type": "late", "delay_ms": 5}}]);
    assert_eq!(stage.client.post(&url).json(&list).send().await.unwrap().status(), 200);
    assert!(stage.speak("any").send().await.is_err());
    assert_eq!(stage.client.delete(&url).send().await.unwrap().status(), 204);
    assert_eq!(stage.speak("any").send().await.unwrap().status(), 200);
    let wrong = json!({"fault": {"type": "explode"}});
    assert_eq!(stage.client.post(&url).json(&wrong).send().await.unwrap().status(), 400);
    let wrong = json!({"fault": {"type": "lost"}, "when": "never"});
    assert_eq!(stage.client.post(&url).json(&wrong).send().await.unwrap().status(), 400);
}

#[tokio::test]
async fn the_journal_is_read_over_http_and_holds_no_secret() {
    let stage = Stage::new().await;
    stage.speak("first").header("authorization", "Bearer top-secret").send().await.unwrap();
    stage.runway_create("second").await;
    stage.client.get(stage.url("/nowhere?token=top-secret")).send().await.unwrap();
    let url = stage.url("/_sim/journal");
    let text = stage.client.get(&url).send().await.unwrap().text().await.unwrap();
    assert!(!text.contains("top-secret") && !text.contains("key\""), "{text}");
    let all: Value = serde_json::from_str(&text).unwrap();
    let entries: Vec<Entry> = serde_json::from_value(all["entries"].clone()).unwrap();
    assert_eq!(entries, stage.simulator.journal().all());
    assert_eq!(entries.iter().map(|entry| entry.sequence).collect::<Vec<_>>(), [1, 2, 3]);

    let count = async |query: &str| {
        let body: Value =
            stage.client.get(format!("{url}?{query}")).send().await.unwrap().json().await.unwrap();
        body["count"].as_u64()
    };
    assert_eq!(count("kind=submit").await, Some(2));
    assert_eq!(count("provider=runway").await, Some(1));
    assert_eq!(count("prompt=first").await, Some(1));
    assert_eq!(count("prompt=fir").await, Some(0));
    assert_eq!(count("prompt_contains=fir").await, Some(1));
    assert_eq!(count("accepted=true").await, Some(2));
    assert_eq!(stage.client.get(format!("{url}?kind=x")).send().await.unwrap().status(), 400);
    stage.client.delete(&url).send().await.unwrap();
    assert_eq!(count("").await, Some(0));
}

#[tokio::test]
async fn a_stopped_simulator_is_not_there() {
    let stage = Stage::new().await;
    let health = stage.url("/_sim/health");
    assert_eq!(stage.client.get(&health).send().await.unwrap().status(), 200);
    stage.simulator.stop().await;
    assert!(stage.client.get(&health).send().await.unwrap_err().is_connect());
}

#[test]
fn rules_have_the_documented_json() {
    let rule = Rule::new(Fault::Slow { bytes_per_second: 9 })
        .provider(Provider::Fal)
        .kind(Kind::Media)
        .times(2)
        .skip(1);
    let value = serde_json::to_value(&rule).unwrap();
    assert_eq!(
        value,
        json!({
            "matches": {"provider": "fal", "kind": "media", "prompt_contains": null}, "times": 2, "skip": 1,
            "fault": {"type": "slow", "bytes_per_second": 9},
        })
    );
    assert_eq!(serde_json::from_value::<Rule>(value).unwrap(), rule);
    assert_eq!(
        rule.matches,
        Match { provider: Some(Provider::Fal), kind: Some(Kind::Media), prompt_contains: None }
    );
}

/// What the README shows can be sent as it stands.
#[test]
fn documented_rules_are_read() {
    let readme = include_str!("../README.md");
    let mut read = 0;
    for row in readme.lines().filter(|line| line.starts_with("| `{")) {
        let json = row.split('`').nth(1).unwrap();
        serde_json::from_str::<Fault>(json).unwrap_or_else(|error| panic!("{row}: {error}"));
        read += 1;
    }
    let rule = readme.lines().find(|line| line.starts_with("{\"matches\"")).unwrap();
    serde_json::from_str::<Rule>(rule).unwrap();
    assert_eq!(read, 16, "every fault has an example");
}
