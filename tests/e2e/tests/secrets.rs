//! INV-7: secrets reach no queue, record, log, span or error.

use atelier_runtime::settings::TelemetrySettings;

use crate::harness::{Running, speech, video};

const API_KEY: &str = "api-key-that-nobody-may-see";

#[tokio::test]
async fn inv7_no_secret_is_written_anywhere() {
    let debug = TelemetrySettings { log_filter: "trace".to_owned(), ..TelemetrySettings::default() };
    let running = Running::with(|options| options.key = API_KEY.to_owned(), &debug).await;
    // One job that works and one that fails.
    running.client.run(&speech("fine")).await;
    running.client.run(&video("bad [sim:moderation]")).await;
    let mut raw = redis::Client::open(running.stack.around.api.redis.url.expose().as_str())
        .unwrap()
        .get_connection()
        .unwrap();
    let keys: Vec<Vec<u8>> = redis::cmd("KEYS").arg("*").query(&mut raw).unwrap();
    let mut dump = keys.concat();
    for key in &keys {
        let bytes: redis::Value = redis::cmd("DUMP").arg(key).query(&mut raw).unwrap();
        dump.extend(format!("{bytes:?}").into_bytes());
        if let Ok(text) = redis::cmd("GET").arg(key).query::<Vec<u8>>(&mut raw) {
            dump.extend(text);
        }
    }
    let redis_text = String::from_utf8_lossy(&dump).into_owned();
    let log = running.log.text();
    assert!(log.contains("job changed state"), "the log is empty");
    for (place, text) in [("redis", &redis_text), ("log", &log)] {
        // The simulated providers' key is the word `simulated`; headers would show it beside their names.
        for secret in
            [API_KEY, "atelier-dev-secret", "Bearer simulated", "Key simulated", "_jwt=", "X-Amz-Signature"]
        {
            assert!(!text.contains(secret), "{place} shows {secret}: {}", around(text, secret));
        }
    }
    running.finish().await;
}

fn around(text: &str, secret: &str) -> String {
    let at = text.find(secret).unwrap_or(0);
    text.chars().skip(text[..at].chars().count().saturating_sub(200)).take(400).collect()
}
