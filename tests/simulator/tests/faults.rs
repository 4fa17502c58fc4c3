use std::time::{Duration, Instant};

use atelier_simulator::{Fault, Kind, ModerationForm, Provider, Rule};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Stage, text};

fn status_fault(code: u16) -> Fault {
    Fault::Status { code, retry_after_s: None, html: false, accepted: false }
}

#[tokio::test]
async fn late_holds_the_answer_back() {
    let stage = Stage::new().await;
    stage.simulator.script(Rule::new(Fault::Late { delay: Duration::from_millis(300) }).times(1));
    let start = Instant::now();
    stage.speak("late").send().await.unwrap();
    assert!(start.elapsed() >= Duration::from_millis(300));
    assert_eq!(stage.simulator.journal().all()[0].fault.as_deref(), Some("late"));
}

#[tokio::test]
async fn a_client_that_gives_up_on_a_late_answer_is_billed() {
    let stage = Stage::new().await;
    stage.simulator.script(Rule::new(Fault::Late { delay: Duration::from_secs(30) }));
    let error = stage.speak("impatient").timeout(Duration::from_millis(200)).send().await.unwrap_err();
    assert!(error.is_timeout());
    assert_eq!(stage.simulator.journal().submits_of("impatient"), 1);
}

#[tokio::test]
async fn lost_work_is_billed_and_unanswered() {
    let stage = Stage::new().await;
    stage.simulator.script(Rule::new(Fault::Lost).kind(Kind::Submit).provider(Provider::Runway));
    let body = json!({"model": "gen4.5", "promptText": "lost one", "ratio": "1280:720", "duration": 2});
    let error = stage.runway(Method::POST, "/v1/text_to_video").json(&body).send().await.unwrap_err();
    assert!(error.is_request() && !error.is_timeout(), "{error:?}");
    let entry = &stage.simulator.journal().submits()[0];
    assert!(entry.accepted && entry.status.is_none() && entry.fault.as_deref() == Some("lost"));
    let id = entry.remote_id.clone().unwrap();
    assert_eq!(stage.simulator.journal().submits_of("lost one"), 1);
    // The work goes on, unknown to the client.
    assert_eq!(stage.runway_end(&id).await["status"], "SUCCEEDED");
}

#[tokio::test]
async fn reset_before_accepts_nothing() {
    let stage = Stage::new().await;
    stage.simulator.script(Rule::new(Fault::ResetBefore).times(1));
    let error = stage.speak("reset").send().await.unwrap_err();
    assert!(format!("{error:?}").contains("ConnectionReset"), "{error:?}");
    assert_eq!(stage.simulator.journal().submits_of("reset"), 0);
    assert_eq!(stage.speak("reset").send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn doubled_submits_are_billed_twice() {
    let stage = Stage::new().await;
    stage.simulator.script(Rule::new(Fault::Doubled).kind(Kind::Submit));
    let id = stage.runway_create("twice").await;
    let submits = stage.simulator.journal().submits();
    assert_eq!(stage.simulator.journal().submits_of("twice"), 2);
    assert_eq!(submits[0].remote_id.as_deref(), Some(id.as_str()));
    assert_ne!(submits[0].remote_id, submits[1].remote_id);
}

#[tokio::test]
async fn doubled_results_list_every_output_twice() {
    let stage = Stage::new().await;
    stage.simulator.script(Rule::new(Fault::Doubled).kind(Kind::Status));
    stage.simulator.script(Rule::new(Fault::Doubled).kind(Kind::Result));
    let id = stage.runway_create("x").await;
    let output = stage.runway_end(&id).await["output"].clone();
    assert_eq!(output[0], output[1]);
    let submitted = stage.fal_submit("fal-ai/flux/dev", &json!({"prompt": "x"})).await;
    let output: Value = stage.fal_result(&submitted).await.json().await.unwrap();
    assert_eq!(output["images"][0], output["images"][1]);
}

#[tokio::test]
async fn errors_have_the_providers_body_or_a_page() {
    let stage = Stage::new().await;
    let limited = Fault::Status { code: 429, retry_after_s: Some(3), html: false, accepted: false };
    stage.simulator.script(Rule::new(limited).times(1));
    let response = stage.speak("x").send().await.unwrap();
    assert_eq!(
        (response.status().as_u16(), &response.headers()["retry-after"]),
        (429, &"3".parse().unwrap())
    );
    assert_eq!(response.json::<Value>().await.unwrap()["detail"]["code"], "rate_limit_exceeded");

    stage.simulator.script(Rule::new(status_fault(429)).times(1));
    let response = stage.runway(Method::GET, "/v1/organization").send().await.unwrap();
    assert!(!response.headers().contains_key("retry-after"));
    assert!(response.json::<Value>().await.unwrap()["error"].is_string());

    stage.simulator.script(
        Rule::new(Fault::Status { code: 502, retry_after_s: None, html: true, accepted: false }).times(1),
    );
    let response =
        stage.fal(Method::POST, "/fal-ai/flux/dev").json(&json!({"prompt": "x"})).send().await.unwrap();
    assert_eq!(response.status(), 502);
    assert!(response.headers()["content-type"].to_str().unwrap().starts_with("text/html"));
    assert!(response.text().await.unwrap().contains("<html>"));
    assert_eq!(stage.simulator.journal().submits_of("x"), 0);

    stage.simulator.script(Rule::new(Fault::Status {
        code: 504,
        retry_after_s: None,
        html: false,
        accepted: true,
    }));
    assert_eq!(stage.speak("gateway").send().await.unwrap().status(), 504);
    assert_eq!(stage.simulator.journal().submits_of("gateway"), 1);
}

#[tokio::test]
async fn rules_skip_and_end() {
    let stage = Stage::new().await;
    stage.simulator.script(Rule::new(status_fault(503)).prompt_contains("counted").skip(1).times(2));
    let mut seen = Vec::new();
    for _ in 0..4 {
        seen.push(stage.speak("counted").send().await.unwrap().status().as_u16());
    }
    assert_eq!(seen, [200, 503, 503, 200]);
    assert_eq!(stage.speak("other").send().await.unwrap().status(), 200);
    stage.simulator.script(Rule::new(status_fault(500)));
    assert_eq!(stage.speak("other").send().await.unwrap().status(), 500);
    stage.simulator.clear_script();
    assert_eq!(stage.speak("other").send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn moderation_speaks_each_providers_language() {
    let stage = Stage::new().await;
    stage
        .simulator
        .script(Rule::new(Fault::Moderation { form: ModerationForm::Model }).prompt_contains("forbidden"));

    let response = stage.speak("forbidden").send().await.unwrap();
    assert_eq!(response.status(), 400);
    assert_eq!(response.json::<Value>().await.unwrap()["detail"]["code"], "content_against_policy");

    let submitted = stage.fal_submit("fal-ai/flux/dev", &json!({"prompt": "forbidden"})).await;
    let output: Value = stage.fal_result(&submitted).await.json().await.unwrap();
    assert_eq!(output["has_nsfw_concepts"], json!([true]));

    let submitted =
        stage.fal_submit("fal-ai/veo3.1", &json!({"prompt": "forbidden", "duration": "8s"})).await;
    let result = stage.fal_result(&submitted).await;
    assert_eq!(result.status(), 422);
    assert_eq!(result.headers()["x-fal-retryable"], "false");
    let body: Value = result.json().await.unwrap();
    assert_eq!(body["detail"][0]["type"], "content_policy_violation");

    let id = stage.runway_create("forbidden").await;
    let task = stage.runway_end(&id).await;
    assert_eq!((&task["status"], &task["failureCode"]), (&json!("FAILED"), &json!("SAFETY.INPUT.TEXT")));
    assert_eq!(task["cost"]["credits"], 24, "moderated work is charged");
}

#[tokio::test]
async fn failures_carry_the_code_that_was_asked_for() {
    let stage = Stage::new().await;
    let id = stage.runway_create("x [sim:fail=INTERNAL.BAD_OUTPUT.CODE01]").await;
    assert_eq!(stage.runway_end(&id).await["failureCode"], "INTERNAL.BAD_OUTPUT.CODE01");
    let id = stage.runway_create("x [sim:fail=CANCELLED]").await;
    assert_eq!(stage.runway_end(&id).await["status"], "CANCELLED");

    let prompt = "x [sim:fail=generation_timeout]";
    let submitted = stage.fal_submit("fal-ai/flux/dev", &json!({"prompt": prompt})).await;
    assert_eq!(stage.fal_result(&submitted).await.status(), 504);
    let prompt = "x [sim:fail=runner_disconnected]";
    let submitted = stage.fal_submit("fal-ai/flux/dev", &json!({"prompt": prompt})).await;
    let result = stage.fal_result(&submitted).await;
    assert_eq!(result.headers()["x-fal-error-type"], "runner_disconnected");
    assert_eq!(result.status(), 503);

    assert_eq!(stage.speak("x [sim:fail=internal_error]").send().await.unwrap().status(), 500);
}

#[tokio::test]
async fn stuck_work_never_ends() {
    let stage = Stage::new().await;
    let id = stage.runway_create("[sim:stuck]").await;
    let submitted = stage.fal_submit("fal-ai/flux/dev", &json!({"prompt": "[sim:stuck]"})).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(stage.runway_task(&id).await["status"], "RUNNING");
    let response = stage.fal(Method::GET, text(&submitted, "status_url")).send().await.unwrap();
    assert_eq!(response.json::<Value>().await.unwrap()["status"], "IN_PROGRESS");
    let error = stage.speak("[sim:stuck]").timeout(Duration::from_millis(200)).send().await.unwrap_err();
    assert!(error.is_timeout());
}

#[tokio::test]
async fn malformed_json_keeps_status_and_length() {
    let stage = Stage::new().await;
    stage.simulator.script(Rule::new(Fault::Malformed).kind(Kind::Submit));
    let body = json!({"model": "gen4.5", "promptText": "broken", "ratio": "1280:720", "duration": 2});
    let response = stage.runway(Method::POST, "/v1/text_to_video").json(&body).send().await.unwrap();
    assert_eq!(response.status(), 200);
    let text = response.text().await.unwrap();
    assert!(text.starts_with('{') && serde_json::from_str::<Value>(&text).is_err());
    assert_eq!(stage.simulator.journal().submits_of("broken"), 1);
}

#[tokio::test]
async fn scripted_words_come_before_the_truth() {
    let stage = Stage::new().await;
    let id = stage.runway_create("[sim:progress=THROTTLED,SOMETHING_NEW]").await;
    let mut words = Vec::new();
    for _ in 0..2 {
        words.push(text(&stage.runway_task(&id).await, "status").to_owned());
    }
    assert_eq!(words, ["THROTTLED", "SOMETHING_NEW"]);
    assert_eq!(stage.runway_end(&id).await["status"], "SUCCEEDED");
}

#[tokio::test]
async fn prompts_can_ask_for_faults_of_other_requests() {
    let stage = Stage::new().await;
    let id = stage.runway_create("x [sim:status=503 on=status times=1]").await;
    let path = format!("/v1/tasks/{id}");
    assert_eq!(stage.runway(Method::GET, &path).send().await.unwrap().status(), 503);
    assert_eq!(stage.runway(Method::GET, &path).send().await.unwrap().status(), 200);
    stage.speak("x [sim:nonsense]").send().await.unwrap();
    let entry = stage.simulator.journal().all().pop().unwrap();
    assert_eq!(entry.fault.as_deref(), Some("unknown(nonsense)"));
}
