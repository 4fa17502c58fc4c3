use atelier_simulator::{Fault, Kind, ModerationForm, Rule};
use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::support::{Stage, text};

const COMPLETIONS: &str = "/v1/chat/completions";

async fn send(stage: &Stage, body: Value) -> Response {
    stage.openai(Method::POST, COMPLETIONS).json(&body).send().await.unwrap()
}

/// The body of an answer that must be good.
async fn complete(stage: &Stage, body: Value) -> Value {
    let response = send(stage, body).await;
    let status = response.status();
    let body: Value = response.json().await.unwrap();
    assert_eq!(status, 200, "{body}");
    body
}

/// A request with `changes` on top of a plain one.
fn request(prompt: &str, changes: Value) -> Value {
    let mut body = json!({"model": "gpt-4o-mini", "messages": [{"role": "user", "content": prompt}]});
    for (name, value) in changes.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

fn weather_tool() -> Value {
    json!({"type": "function", "function": {"name": "get_weather", "parameters": {
        "type": "object", "required": ["city"],
        "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    }}})
}

fn clock_tool() -> Value {
    json!({"type": "function", "function": {"name": "clock"}})
}

fn calls(body: &Value) -> Vec<(String, String)> {
    let calls = body["choices"][0]["message"]["tool_calls"].as_array().cloned().unwrap_or_default();
    let pair = |call: &Value| {
        (text(&call["function"], "name").to_owned(), text(&call["function"], "arguments").to_owned())
    };
    calls.iter().map(pair).collect()
}

fn said(body: &Value) -> &str {
    text(&body["choices"][0]["message"], "content")
}

/// The request of the next round: the answer's message, and a result for each of its calls.
fn answered(mut request: Value, answer: &Value, result: &str) -> Value {
    let message = answer["choices"][0]["message"].clone();
    let messages = request["messages"].as_array_mut().unwrap();
    messages.push(message.clone());
    for call in message["tool_calls"].as_array().unwrap() {
        messages.push(json!({"role": "tool", "tool_call_id": call["id"], "content": result}));
    }
    request
}

#[tokio::test]
async fn a_completion_has_text_usage_and_headers() {
    let stage = Stage::new().await;
    let response = send(&stage, request("Say hello.", json!({}))).await;
    for name in ["x-request-id", "openai-processing-ms", "x-ratelimit-remaining-tokens"] {
        assert!(response.headers().contains_key(name), "{name}");
    }
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["model"], "gpt-4o-mini-2024-07-18");
    assert_eq!(body["choices"][0]["finish_reason"], "stop");
    assert_eq!(said(&body), "You said: Say hello.");
    let usage = &body["usage"];
    assert_eq!((&usage["prompt_tokens"], &usage["completion_tokens"]), (&json!(9), &json!(5)));
    assert_eq!(usage["total_tokens"], 14);
    let entry = &stage.simulator.journal().submits()[0];
    assert!(entry.accepted);
    assert_eq!(entry.remote_id.as_deref(), Some(text(&body, "id")));
    assert_eq!(stage.simulator.journal().submits_of("Say hello."), 1);
}

#[tokio::test]
async fn a_tool_that_is_named_is_called_and_its_result_quoted() {
    let stage = Stage::new().await;
    let first = request("Use get_weather, city: Oslo", json!({"tools": [weather_tool(), clock_tool()]}));
    let answer = complete(&stage, first.clone()).await;
    assert_eq!(answer["choices"][0]["finish_reason"], "tool_calls");
    assert_eq!(answer["choices"][0]["message"]["content"], Value::Null);
    assert_eq!(calls(&answer), [("get_weather".to_owned(), r#"{"city":"Oslo"}"#.to_owned())]);
    let second = complete(&stage, answered(first, &answer, "7 degrees")).await;
    assert_eq!(second["choices"][0]["finish_reason"], "stop");
    assert!(said(&second).contains("get_weather answered: 7 degrees"), "{second}");
}

#[tokio::test]
async fn directives_give_exact_calls_in_their_order() {
    let stage = Stage::new().await;
    let prompt =
        r#"Go [sim:tool=clock] [sim:tool=get_weather {"city": "Rome", "list": [1]}] [sim:tool=made_up]"#;
    let tools = json!({"tools": [weather_tool(), clock_tool()]});
    let answer = complete(&stage, request(prompt, tools.clone())).await;
    let expected = [("clock", "{}"), ("get_weather", r#"{"city": "Rome", "list": [1]}"#), ("made_up", "{}")];
    assert_eq!(calls(&answer), expected.map(|(name, arguments)| (name.to_owned(), arguments.to_owned())));
    assert_eq!(stage.simulator.journal().all()[0].fault, None, "no directive is unknown");

    // One at a time, one in each round.
    let mut next = request(prompt, json!({"tools": tools["tools"], "parallel_tool_calls": false}));
    let mut seen = Vec::new();
    loop {
        let answer = complete(&stage, next.clone()).await;
        match calls(&answer).as_slice() {
            [] => break,
            [(name, _)] => seen.push(name.clone()),
            more => panic!("{more:?}"),
        }
        next = answered(next, &answer, "ok");
    }
    assert_eq!(seen, ["clock", "get_weather", "made_up"]);
}

#[tokio::test]
async fn endless_callers_never_come_to_an_end() {
    let stage = Stage::new().await;
    let mut next = request("[sim:endless] [sim:tool=clock]", json!({"tools": [clock_tool()]}));
    for _ in 0..5 {
        let answer = complete(&stage, next.clone()).await;
        assert_eq!(calls(&answer).len(), 1);
        next = answered(next, &answer, "12:00");
    }
    next["tool_choice"] = json!("none");
    assert!(said(&complete(&stage, next).await).contains("12:00"));
}

#[tokio::test]
async fn the_choice_of_tools_is_obeyed() {
    let stage = Stage::new().await;
    let named = json!({"type": "function", "function": {"name": "clock"}});
    let allowed = json!({"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [named]}});
    for (choice, expected) in [
        (json!("none"), None),
        (json!("auto"), Some("get_weather")),
        (json!("required"), Some("get_weather")),
        (named.clone(), Some("clock")),
        (allowed, Some("clock")),
    ] {
        let changes = json!({"tools": [weather_tool(), clock_tool()], "tool_choice": choice});
        let answer = complete(&stage, request("get_weather, please", changes)).await;
        let first = calls(&answer).first().map(|(name, _)| name.clone());
        assert_eq!(first.as_deref(), expected, "{choice}");
    }
    let changes = json!({"tools": [clock_tool()], "tool_choice": "required"});
    assert_eq!(calls(&complete(&stage, request("nothing named", changes)).await).len(), 1);
}

#[tokio::test]
async fn custom_tools_take_text() {
    let stage = Stage::new().await;
    let tool = json!({"type": "custom", "custom": {"name": "shell"}});
    let body = complete(&stage, request("shell: ls", json!({"tools": [tool]}))).await;
    let call = &body["choices"][0]["message"]["tool_calls"][0];
    assert_eq!((text(call, "type"), &call["custom"]["input"]), ("custom", &json!("shell: ls")));
}

#[tokio::test]
async fn directives_spoil_the_answer() {
    let stage = Stage::new().await;
    let tools = json!({"tools": [clock_tool()]});
    let body = complete(&stage, request("[sim:tool=clock] [sim:bad_arguments]", tools)).await;
    assert!(serde_json::from_str::<Value>(&calls(&body)[0].1).is_err());

    let body = complete(&stage, request("a long story [sim:length]", json!({}))).await;
    assert_eq!(body["choices"][0]["finish_reason"], "length");
    assert_eq!(said(&body), "You said: a ");

    let body = complete(&stage, request("something bad [sim:refusal]", json!({}))).await;
    let message = &body["choices"][0]["message"];
    assert!(message["content"].is_null() && message["refusal"].is_string());
}

#[tokio::test]
async fn structured_answers_have_the_form_that_is_asked_for() {
    let stage = Stage::new().await;
    let schema = json!({"type": "object", "additionalProperties": false, "required": ["name", "age"],
        "properties": {"name": {"type": "string"}, "age": {"type": "integer", "minimum": 18}}});
    let format =
        json!({"type": "json_schema", "json_schema": {"name": "person", "strict": true, "schema": schema}});
    let body = complete(&stage, request("name: Ada, 7 years", json!({"response_format": format}))).await;
    assert_eq!(serde_json::from_str::<Value>(said(&body)).unwrap(), json!({"name": "Ada", "age": 18}));

    let format = json!({"response_format": {"type": "json_object"}});
    let body = complete(&stage, request("as JSON", format.clone())).await;
    assert!(serde_json::from_str::<Value>(said(&body)).unwrap().is_object());
    assert_eq!(send(&stage, request("without the word", format)).await.status(), 400);
}

#[tokio::test]
async fn limits_of_tokens_cut_the_answer() {
    let stage = Stage::new().await;
    let body = complete(&stage, request("a long story", json!({"max_tokens": 2}))).await;
    assert_eq!((said(&body), &body["usage"]["completion_tokens"]), ("You said", &json!(2)));
    assert_eq!(body["choices"][0]["finish_reason"], "length");
    // Thinking counts: nothing is left to say.
    let changes = json!({"model": "o4-mini", "max_completion_tokens": 20});
    let body = complete(&stage, request("think", changes)).await;
    assert_eq!((said(&body), &body["choices"][0]["finish_reason"]), ("", &json!("length")));
    assert_eq!(body["usage"]["completion_tokens_details"]["reasoning_tokens"], 20);
    let body = complete(&stage, request("one two", json!({"stop": ["two"], "n": 2}))).await;
    assert_eq!(said(&body), "You said: one ");
    assert_eq!(body["choices"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn streams_add_up_to_the_answer() {
    let stage = Stage::new().await;
    let changes =
        json!({"stream": true, "stream_options": {"include_usage": true}, "tools": [weather_tool()]});
    let response = send(&stage, request("get_weather city: Oslo", changes)).await;
    assert!(response.headers()["content-type"].to_str().unwrap().starts_with("text/event-stream"));
    let text = response.text().await.unwrap();
    let events: Vec<&str> = text.split("\n\n").filter_map(|event| event.strip_prefix("data: ")).collect();
    assert_eq!(events.last(), Some(&"[DONE]"));
    let chunks: Vec<Value> =
        events[..events.len() - 1].iter().map(|event| serde_json::from_str(event).unwrap()).collect();
    let arguments: String = chunks
        .iter()
        .filter_map(|chunk| chunk["choices"][0]["delta"]["tool_calls"][0]["function"]["arguments"].as_str())
        .collect();
    assert_eq!(arguments, r#"{"city":"Oslo"}"#);
    assert_eq!(chunks[chunks.len() - 2]["choices"][0]["finish_reason"], "tool_calls");
    assert!(chunks.last().unwrap()["usage"]["total_tokens"].as_u64().unwrap() > 0);
}

#[tokio::test]
async fn keys_decide_who_is_let_in() {
    let stage = Stage::new().await;
    let url = stage.url("/openai/v1/chat/completions");
    let body = request("x", json!({}));
    for (key, status, code) in
        [("Bearer bad-key", 401, "invalid_api_key"), ("Bearer no-money", 429, "insufficient_quota")]
    {
        let answer = stage.client.post(&url).header("authorization", key).json(&body).send().await.unwrap();
        assert_eq!(answer.status(), status);
        assert_eq!(answer.json::<Value>().await.unwrap()["error"]["code"], code);
    }
    assert_eq!(stage.client.post(&url).json(&body).send().await.unwrap().status(), 401);
    assert_eq!(stage.simulator.journal().submits_of("x"), 0);
}

#[tokio::test]
async fn models_are_listed() {
    let stage = Stage::new().await;
    let get = |path: &'static str| stage.openai(Method::GET, path).send();
    let list: Value = get("/v1/models").await.unwrap().json().await.unwrap();
    assert!(list["data"].as_array().unwrap().iter().any(|model| model["id"] == "gpt-4o"));
    let one: Value = get("/v1/models/o4-mini").await.unwrap().json().await.unwrap();
    assert_eq!(one["object"], "model");
    assert_eq!(get("/v1/models/none").await.unwrap().status(), 404);
    assert_eq!(get("/v1/chat/completions").await.unwrap().status(), 405);
    assert_eq!(get("/v1/elsewhere").await.unwrap().status(), 404);
}

#[tokio::test]
async fn wrong_requests_are_refused_with_param_and_code() {
    let stage = Stage::new().await;
    let many: Vec<Value> = (0..129).map(|_| clock_tool()).collect();
    let tool = |function: Value| json!({"tools": [{"type": "function", "function": function}]});
    let long = "x".repeat(65);
    for (changes, param, code) in [
        (json!({"messages": []}), "messages", "empty_array"),
        (json!({"messages": "hello"}), "messages", "invalid_type"),
        (json!({"messages": [{"role": "wizard", "content": "x"}]}), "messages[0].role", "invalid_value"),
        (
            json!({"messages": [{"role": "user", "content": "x", "x": 1}]}),
            "messages[0].x",
            "unknown_parameter",
        ),
        (
            json!({"messages": [{"role": "user", "content": [{"type": "video"}]}]}),
            "messages[0].content[0].type",
            "invalid_value",
        ),
        (
            json!({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "ftp://x"}}]}]}),
            "messages[0].content[0].image_url.url",
            "invalid_image_url",
        ),
        (json!({"temperature": 2.5}), "temperature", "decimal_above_max_value"),
        (json!({"temperature": "hot"}), "temperature", "invalid_type"),
        (json!({"top_p": -0.1}), "top_p", "decimal_below_min_value"),
        (json!({"n": 0}), "n", "integer_below_min_value"),
        (json!({"n": 129}), "n", "integer_above_max_value"),
        (json!({"stop": ["a", "b", "c", "d", "e"]}), "stop", "array_above_max_length"),
        (json!({"max_tokens": 20_000}), "max_tokens", "invalid_value"),
        (json!({"reasoning_effort": "low"}), "reasoning_effort", "unsupported_parameter"),
        (json!({"service_tier": "gold"}), "service_tier", "invalid_value"),
        (json!({"functions": []}), "functions", "unsupported_parameter"),
        (json!({"model": "o3", "max_tokens": 10}), "max_tokens", "unsupported_parameter"),
        (json!({"model": "o3", "temperature": 0.2}), "temperature", "unsupported_value"),
        (json!({"model": "o3", "stop": "x"}), "stop", "unsupported_parameter"),
        (json!({"tools": many}), "tools", "array_above_max_length"),
        (tool(json!({"name": "with space"})), "tools[0].function.name", "invalid_value"),
        (tool(json!({"name": long})), "tools[0].function.name", "string_above_max_length"),
        (tool(json!({})), "tools[0].function.name", "missing_required_parameter"),
        (
            tool(json!({"name": "x", "parameters": {"type": "string"}})),
            "tools[0].function.parameters",
            "invalid_function_parameters",
        ),
        (
            tool(json!({"name": "x", "strict": true,
                "parameters": {"type": "object", "properties": {"a": {"type": "string"}}}})),
            "tools[0].function.parameters",
            "invalid_function_parameters",
        ),
        (json!({"tools": [clock_tool()], "tool_choice": "always"}), "tool_choice", "invalid_value"),
        (json!({"response_format": {"type": "xml"}}), "response_format.type", "invalid_value"),
        (
            json!({"response_format": {"type": "json_schema", "json_schema": {"name": "x"}}}),
            "response_format.json_schema.schema",
            "missing_required_parameter",
        ),
        (
            json!({"messages": [{"role": "user", "content": "x".repeat(600_000)}]}),
            "messages",
            "context_length_exceeded",
        ),
    ] {
        let response = send(&stage, request("x", changes)).await;
        assert_eq!(response.status(), 400, "{param} {code}");
        let body: Value = response.json().await.unwrap();
        assert_eq!(
            (&body["error"]["param"], &body["error"]["code"]),
            (&json!(param), &json!(code)),
            "{body}"
        );
        assert_eq!(body["error"]["type"], "invalid_request_error");
    }
    for changes in [
        json!({"model": null}),
        json!({"unheard_of": 1}),
        json!({"tool_choice": "auto"}),
        json!({"parallel_tool_calls": true}),
        json!({"tools": [clock_tool()], "tool_choice": {"type": "function", "function": {"name": "other"}}}),
        json!({"messages": [{"role": "user", "content": null}]}),
        json!({"stream_options": {"include_usage": true}}),
    ] {
        assert_eq!(send(&stage, request("x", changes)).await.status(), 400);
    }
    let response = send(&stage, request("x", json!({"model": "gpt-none"}))).await;
    assert_eq!(response.status(), 404);
    assert_eq!(response.json::<Value>().await.unwrap()["error"]["code"], "model_not_found");
    assert!(stage.simulator.journal().all().iter().all(|entry| !entry.accepted));
}

#[tokio::test]
async fn every_call_must_be_answered_at_once() {
    let stage = Stage::new().await;
    let user = json!({"role": "user", "content": "x"});
    let call =
        |id: &str| json!({"id": id, "type": "function", "function": {"name": "clock", "arguments": "{}"}});
    let calls = json!({"role": "assistant", "content": null, "tool_calls": [call("call_1"), call("call_2")]});
    let result = |id: &str| json!({"role": "tool", "tool_call_id": id, "content": "12:00"});
    for (messages, word) in [
        (json!([user, calls]), "call_1, call_2"),
        (json!([user, calls, result("call_1")]), "messages: call_2"),
        (json!([user, calls, result("call_1"), user, result("call_2")]), "messages: call_2"),
        (json!([user, result("call_1")]), "must be a response"),
        (json!([user, calls, result("call_1"), result("call_3"), result("call_2")]), "'call_3' not found"),
        (json!([user, {"role": "assistant", "tool_calls": [call("a"), call("a")]}]), "Duplicate"),
    ] {
        let response = send(&stage, request("x", json!({"messages": messages}))).await;
        assert_eq!(response.status(), 400);
        let body: Value = response.json().await.unwrap();
        assert!(text(&body["error"], "message").contains(word), "{body}");
    }
    let messages = json!([user, calls, result("call_2"), result("call_1")]);
    complete(&stage, request("x", json!({"messages": messages}))).await;
}

#[tokio::test]
async fn faults_speak_the_providers_language() {
    let stage = Stage::new().await;
    let limited = Fault::Status { code: 429, retry_after_s: Some(2), html: false, accepted: false };
    stage.simulator.script(Rule::new(limited).kind(Kind::Submit).times(1));
    let response = send(&stage, request("x", json!({}))).await;
    assert_eq!(
        (response.status().as_u16(), &response.headers()["retry-after"]),
        (429, &"2".parse().unwrap())
    );
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["error"]["code"], "rate_limit_exceeded");

    let body = complete(&stage, request("x [sim:moderation=nsfw_flag]", json!({}))).await;
    assert_eq!(body["choices"][0]["finish_reason"], "content_filter");
    let body = complete(&stage, request("x [sim:moderation=refusal]", json!({}))).await;
    assert!(body["choices"][0]["message"]["refusal"].is_string());
    let response = send(&stage, request("x [sim:fail=server_is_overloaded]", json!({}))).await;
    assert_eq!(response.status(), 503);
    stage
        .simulator
        .script(Rule::new(Fault::Moderation { form: ModerationForm::Model }).prompt_contains("bad"));
    let response = send(&stage, request("bad", json!({}))).await;
    assert_eq!(response.status(), 400);
    assert_eq!(response.json::<Value>().await.unwrap()["error"]["code"], "invalid_prompt");

    stage
        .openai(Method::POST, COMPLETIONS)
        .json(&request("y [sim:lost]", json!({})))
        .send()
        .await
        .unwrap_err();
    assert_eq!(stage.simulator.journal().submits_of("y [sim:lost]"), 1);
}
