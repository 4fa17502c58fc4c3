use atelier_simulator::{Fault, Kind, Provider, Rule, TlsOptions};
use reqwest::{Certificate, Client};
use serde_json::{Value, json};

use crate::support::{Stage, text};

async fn stage(options: TlsOptions) -> (Stage, Client, String) {
    let stage = Stage::with(|all| all.tls = Some(options)).await;
    let pem = stage.simulator.certificate_pem().unwrap();
    let trusted = Certificate::from_pem(pem.as_bytes()).unwrap();
    let client = Client::builder().tls_certs_only([trusted]).build().unwrap();
    let base = stage.simulator.tls_base_url().unwrap();
    (stage, client, base)
}

#[tokio::test]
async fn one_provider_answers_without_its_prefix() {
    let (stage, client, base) =
        stage(TlsOptions { provider: Some(Provider::Fal), ..TlsOptions::default() }).await;
    let local = base.replace("127.0.0.1", "localhost");
    for base in [&base, &local] {
        let request = client.post(format!("{base}/fal-ai/flux/dev")).header("authorization", "Key k");
        let answer: Value =
            request.json(&json!({"prompt": "a cat"})).send().await.unwrap().json().await.unwrap();
        let id = text(&answer, "request_id");
        assert_eq!(answer["response_url"], format!("{base}/fal-ai/flux/requests/{id}"));
    }
    // The prefixes still lead to all of them, and each URL in an answer leads back here.
    let body = json!({"filename": "a.png", "type": "ephemeral"});
    let request = client.post(format!("{base}/runway/v1/uploads")).bearer_auth("k").json(&body);
    let answer: Value =
        request.header("x-runway-version", "2024-11-06").send().await.unwrap().json().await.unwrap();
    assert!(text(&answer, "uploadUrl").starts_with(&format!("{base}/runway/uploads/")));
    let health = client.get(format!("{base}/_sim/health")).send().await.unwrap();
    assert_eq!(health.status(), 200);
    assert_eq!(stage.simulator.journal().submits().len(), 2);
}

#[tokio::test]
async fn without_a_provider_prefixes_are_needed() {
    let (_stage, client, base) = stage(TlsOptions::default()).await;
    let ask = async |path: &str| {
        let request = client.post(format!("{base}{path}")).header("authorization", "Key k");
        request.json(&json!({"prompt": "a cat"})).send().await.unwrap().status().as_u16()
    };
    assert_eq!(ask("/fal-ai/flux/dev").await, 404);
    assert_eq!(ask("/fal/fal-ai/flux/dev").await, 200);
}

#[tokio::test]
async fn the_certificate_is_written_and_nobody_else_is_trusted() {
    let path = std::env::temp_dir().join(format!("simulator-{}.pem", std::process::id()));
    let options = TlsOptions {
        certificate: Some(path.clone()),
        names: vec!["queue.fal.run".to_owned()],
        ..TlsOptions::default()
    };
    let (stage, _, base) = stage(options).await;
    let written = std::fs::read_to_string(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    assert_eq!(written, stage.simulator.certificate_pem().unwrap());
    assert!(stage.client.get(format!("{base}/_sim/health")).send().await.is_err(), "no trust, no answer");

    let trusted = Certificate::from_pem(written.as_bytes()).unwrap();
    let address = base.strip_prefix("https://").unwrap().parse().unwrap();
    let client =
        Client::builder().tls_certs_only([trusted]).resolve("queue.fal.run", address).build().unwrap();
    let answer = client.get(format!("https://queue.fal.run:{}/_sim/health", address.port())).send().await;
    assert_eq!(answer.unwrap().status(), 200);
}

#[tokio::test]
async fn connections_are_cut_over_tls_too() {
    let (stage, client, base) = stage(TlsOptions::default()).await;
    for fault in [Fault::Lost, Fault::ResetBefore] {
        stage.simulator.script(Rule::new(fault).kind(Kind::Submit).times(1));
        let ask = || {
            let request = client.post(format!("{base}/fal/fal-ai/flux/dev")).header("authorization", "Key k");
            request.json(&json!({"prompt": "a cat"})).send()
        };
        assert!(ask().await.is_err());
        assert_eq!(ask().await.unwrap().status(), 200);
    }
}
