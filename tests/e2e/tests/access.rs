//! Keys and credentials with the real programs: made from the command line, used by workers, changed under way.

use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use atelier_vault::new_master_key;
use serde_json::{Value, json};

use crate::harness::{Client, LONG, speech};
use crate::processes::{program, start, surroundings, until_ready};

const CREDENTIALS: &str = "/api/v1/credentials";

/// What `atelier-api` prints for these words.
fn command(config: &Path, words: &[&str]) -> Result<String, String> {
    let done = Command::new(program("atelier-api"))
        .arg("--config")
        .arg(config)
        .args(words)
        .env_clear()
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if done.status.success() { Ok(text(&done.stdout)) } else { Err(text(&done.stderr)) }
}

/// Adds to the settings of all programs.
fn append(config: &Path, text: &str) {
    let mut file = std::fs::OpenOptions::new().append(true).open(config).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

async fn send(client: &Client, key: &str, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let method = method.parse().unwrap();
    client.send(client.request(method, path).header("X-API-Key", key).json(body)).await
}

/// Runs jobs until one ends in this way: programs know a changed key only after a moment.
async fn until_one_ends(client: &Client, body: &Value, is_expected: impl Fn(&Value) -> bool) {
    let since = Instant::now();
    loop {
        let job = client.run(body).await;
        if is_expected(&job) {
            return;
        }
        assert!(since.elapsed() < LONG, "no job ends as expected: {job:#}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_and_credentials_are_made_used_changed_and_revoked() {
    let folder = tempfile::tempdir().unwrap();
    let (_around, client, config) = surroundings(folder.path()).await;
    append(
        &config,
        &format!("\n[vault]\ncache_ms = 50\n[vault.master_keys]\nfirst = \"{}\"\n", new_master_key()),
    );
    let _api = start("atelier-api", &config);
    let _worker = start("atelier-worker", &config);
    let _poller = start("atelier-poller", &config);
    until_ready(&client).await;

    // A key from the command line.
    let words =
        ["keys", "create", "--workspace", "demo", "--name", "ci", "--scopes", "jobs:read,credentials:*"];
    let key = command(&config, &words).unwrap();
    assert!(
        command(&config, &["keys", "list", "--workspace", "demo"])
            .unwrap()
            .contains("ci [jobs:read credentials:")
    );
    assert_eq!(send(&client, &key, "POST", "/api/v1/media/jobs", &speech("x")).await.0, 403);
    let problem = command(&config, &["keys", "create", "--workspace", "Demo!", "--name", "x"]).unwrap_err();
    assert!(
        problem.contains("`Demo!` is not a workspace name") && problem.contains("keys create"),
        "{problem}"
    );

    // The key of the settings works; a stored one goes before it. To this one the simulator gives no money.
    assert_eq!(client.run(&speech("with the key of the settings")).await["status"], "succeeded");
    let body = json!({"name": "main", "type": "elevenlabs", "category": "speech", "value": "no-money"});
    let (status, made) = send(&client, &key, "POST", CREDENTIALS, &body).await;
    assert_eq!((status, &made["data"]["is_default"]), (201, &json!(true)), "{made}");
    let id = made["data"]["id"].as_str().unwrap().to_owned();
    let one = format!("{CREDENTIALS}/{id}");
    until_one_ends(&client, &speech("with no money"), |job| job["error"]["code"] == "quota").await;

    // A new value counts within moments, and the provider is really asked about it.
    assert_eq!(send(&client, &key, "PATCH", &one, &json!({"value": "bad-key"})).await.0, 200);
    let (_, checked) = send(&client, &key, "POST", &format!("{one}/check"), &json!({})).await;
    assert_eq!(
        (&checked["data"]["ok"], &checked["data"]["is_valid"]),
        (&json!(false), &json!(false)),
        "{checked}"
    );
    assert!(checked["data"]["message"].as_str().unwrap().contains("HTTP 401"), "{checked}");
    until_one_ends(&client, &speech("with a bad key"), |job| job["error"]["code"] == "unauthorized").await;
    assert_eq!(send(&client, &key, "PATCH", &one, &json!({"value": "a-good-key"})).await.0, 200);
    let (_, checked) = send(&client, &key, "POST", &format!("{one}/check"), &json!({})).await;
    assert_eq!(checked["data"]["outcome"], "valid", "{checked}");
    let mut named = speech("with a named credential");
    named["credential_id"] = json!(id);
    until_one_ends(&client, &named, |job| job["status"] == "succeeded").await;

    // The key is revoked: here at once for new processes, in this one after a few seconds.
    let listed = command(&config, &["keys", "list", "--workspace", "demo"]).unwrap();
    let key_id = key.strip_prefix("atl_").unwrap().split('_').next().unwrap();
    assert!(listed.contains(key_id), "{listed}");
    command(&config, &["keys", "revoke", "--workspace", "demo", "--id", key_id]).unwrap();
    let since = Instant::now();
    while send(&client, &key, "GET", CREDENTIALS, &Value::Null).await.0 != 401 {
        assert!(since.elapsed() < LONG, "the revoked key still lets in");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_master_key_takes_over_in_the_background() {
    let folder = tempfile::tempdir().unwrap();
    let (_around, client, config) = surroundings(folder.path()).await;
    let text = std::fs::read_to_string(&config).unwrap();
    let text = text.replace("[api]", "[api]\noperators = [\"demo\"]");
    let (first, second) = (new_master_key(), new_master_key());
    std::fs::write(&config, format!("{text}\n[vault]\nmaster_keys = \"first={first}\"\n")).unwrap();
    let api = start("atelier-api", &config);
    until_ready(&client).await;
    for number in 0..5 {
        let body = json!({"name": format!("n{number}"), "type": "elevenlabs", "value": "a-good-key"});
        assert_eq!(client.post(CREDENTIALS, &body).await.0, 201);
    }
    let (_, vault) = client.get("/api/v1/vault").await;
    assert_eq!(vault["data"], json!({"active_key": "first", "sealed_by": {"first": 5}, "pending": 0}));
    drop(api);

    let keys = format!("first={first},second={second}");
    std::fs::write(&config, format!("{text}\n[vault]\nmaster_keys = \"{keys}\"\nactive_key = \"second\"\n"))
        .unwrap();
    let api = start("atelier-api", &config);
    until_ready(&client).await;
    let since = Instant::now();
    loop {
        let (_, vault) = client.get("/api/v1/vault").await;
        if vault["data"] == json!({"active_key": "second", "sealed_by": {"second": 5}, "pending": 0}) {
            break;
        }
        assert!(since.elapsed() < LONG, "secrets are not sealed anew: {vault}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    drop(api);

    // The first key is needed no more.
    std::fs::write(&config, format!("{text}\n[vault]\nmaster_keys = \"second={second}\"\n")).unwrap();
    let _api = start("atelier-api", &config);
    until_ready(&client).await;
    let (_, list) = client.get(CREDENTIALS).await;
    let id = list["data"][0]["id"].as_str().unwrap().to_owned();
    let (_, checked) = client.post(&format!("{CREDENTIALS}/{id}/check"), &json!({})).await;
    assert_eq!(checked["data"]["outcome"], "valid", "{checked}");
    assert_eq!(
        command(&config, &["vault", "reseal"]).unwrap(),
        "5 secrets: 0 sealed anew, 0 cannot be opened"
    );
}
