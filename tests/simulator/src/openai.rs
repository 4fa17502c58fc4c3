//! An OpenAI-style chat endpoint: completions with tools and structured output, and the list of models.
//!
//! | fact | value | kind |
//! |---|---|---|
//! | error body | `error` with `message`, `type`, `param`, `code` | documented |
//! | no key, wrong key | 401, `invalid_api_key` | documented for the wrong key, assumed for none |
//! | no money | 429 `insufficient_quota` | documented |
//! | unknown model | 404 `model_not_found` | documented |
//! | prompt refused as a whole | 400 `invalid_prompt` | assumed |
//! | wording and `param` of other refusals | as the hosted service words them | assumed |
//! | tokens | one for four characters, three more a message, 85 an image | ours |
//!
//! The modules: [`request`] reads a request, with [`messages`] and [`tools`] for its larger parts; [`reply`] decides
//! what the model says, with values for schemas from [`schema`]; [`completion`] puts it into the two wire forms.

mod completion;
mod messages;
mod models;
mod reply;
mod request;
mod schema;
mod tools;

use http::Method;
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::call::{Account, Call};
use crate::fault::{Fault, ModerationForm};
use crate::journal::Kind;
use crate::state::State;

use completion::Completion;

/// Why a request is refused, in the provider's terms.
#[derive(Debug, PartialEq, Eq)]
struct Refusal {
    status: u16,
    message: String,
    param: Option<String>,
    code: Option<String>,
}

impl Refusal {
    fn new(param: impl Into<String>, code: &str, message: impl Into<String>) -> Self {
        Self { status: 400, message: message.into(), param: Some(param.into()), code: Some(code.to_owned()) }
    }

    /// One that has no code, as the service's older checks have none.
    fn uncoded(param: impl Into<String>, message: impl Into<String>) -> Self {
        Self { status: 400, message: message.into(), param: Some(param.into()), code: None }
    }

    fn answer(&self) -> Answer {
        let kind = if self.status == 429 { "insufficient_quota" } else { "invalid_request_error" };
        Answer::json(
            self.status,
            error(kind, &self.message, self.param.as_deref().into(), self.code.as_deref().into()),
        )
    }
}

pub(crate) fn kind(call: &Call) -> Kind {
    match (&call.method, call.parts().as_slice()) {
        (&Method::POST, ["v1", "chat", "completions"]) => Kind::Submit,
        _ => Kind::Other,
    }
}

pub(crate) fn prompt(call: &Call, _state: &State) -> Option<String> {
    if kind(call) != Kind::Submit {
        return None;
    }
    messages::last_user_text(call.json()?.get("messages")?)
}

/// Whether a directive in a prompt, such as `tool=NAME {...}`, is for the simulated model and asks for no fault.
pub(crate) fn is_own_directive(inside: &str) -> bool {
    reply::is_directive(inside)
}

pub(crate) fn answer(call: &Call, state: &State, work: Option<&Fault>) -> Answer {
    let request_id = format!("req_{}", state.new_id().replace('-', ""));
    route(call, state, work)
        .header("x-request-id", request_id)
        .header("openai-version", "2020-10-01")
        .header("openai-processing-ms", "12")
}

/// The provider's body for an HTTP error that the script asks for.
pub(crate) fn error_body(status: u16) -> Value {
    let (kind, code) = match status {
        401 => ("invalid_request_error", json!("invalid_api_key")),
        404 => ("invalid_request_error", json!("model_not_found")),
        429 => ("requests", json!("rate_limit_exceeded")),
        503 => ("server_error", json!("server_is_overloaded")),
        400..=499 => ("invalid_request_error", Value::Null),
        _ => ("server_error", Value::Null),
    };
    error(kind, "The simulator was asked for this error.", Value::Null, code)
}

fn route(call: &Call, state: &State, work: Option<&Fault>) -> Answer {
    let account = Account::of_authorization(call, "Bearer");
    match account {
        Account::Missing => return wrong_key("You didn't provide an API key."),
        Account::Wrong => return wrong_key("Incorrect API key provided: bad-key."),
        Account::Good | Account::NoMoney => {}
    }
    match (&call.method, call.parts().as_slice()) {
        (&Method::POST, ["v1", "chat", "completions"]) => complete(call, state, account, work),
        (&Method::GET, ["v1", "models"]) => Answer::json(200, models::list()),
        (&Method::GET, ["v1", "models", id]) => match models::named(id) {
            Some(_) => Answer::json(200, models::entry(id)),
            None => request::unknown_model(id).answer(),
        },
        (method, ["v1", "chat", "completions"] | ["v1", "models", ..]) => {
            let message = format!("Not allowed to {method} on {}.", call.full_path);
            Answer::json(405, error("invalid_request_error", &message, Value::Null, Value::Null))
        }
        (method, _) => {
            let message = format!("Invalid URL ({method} {})", call.full_path);
            Answer::json(404, error("invalid_request_error", &message, Value::Null, Value::Null))
        }
    }
}

fn complete(call: &Call, state: &State, account: Account, work: Option<&Fault>) -> Answer {
    let Some(body) = call.json() else {
        let message = "We could not parse the JSON body of your request.";
        return Answer::json(400, error("invalid_request_error", message, Value::Null, Value::Null));
    };
    let request = match request::parse(&body) {
        Ok(request) => request,
        Err(refusal) => return refusal.answer(),
    };
    if account == Account::NoMoney {
        let message = "You exceeded your current quota, please check your plan and billing details.";
        let code = Some("insufficient_quota".to_owned());
        return Refusal { status: 429, message: message.to_owned(), param: None, code }.answer();
    }
    let mut reply = reply::decide(&request);
    match work {
        Some(Fault::Moderation { form: ModerationForm::Model }) => {
            let message =
                "Invalid prompt: your prompt was flagged as potentially violating our usage policy.";
            return Refusal { param: None, ..Refusal::new(String::new(), "invalid_prompt", message) }
                .answer();
        }
        Some(Fault::Moderation { form: ModerationForm::Refusal }) => reply = reply::refused(),
        Some(Fault::Moderation { form: ModerationForm::NsfwFlag }) => reply = reply::filtered(),
        Some(Fault::Fail { code }) => {
            let status = failure_status(code);
            let kind = if status < 500 { "invalid_request_error" } else { "server_error" };
            return Answer::json(status, error(kind, "The completion failed.", Value::Null, json!(code)));
        }
        _ => {}
    }
    let completion = Completion::new(state, &request, reply);
    let id = completion.id().to_owned();
    let mut answer = if request.is_streamed {
        Answer::raw("text/event-stream; charset=utf-8", completion.events(request.is_usage_streamed))
    } else {
        Answer::json(200, completion.body())
    };
    if work == Some(&Fault::Stuck) {
        answer.wait = None;
    }
    answer
        .header("openai-organization", "simulated")
        .header("x-ratelimit-limit-requests", "10000")
        .header("x-ratelimit-limit-tokens", "2000000")
        .header("x-ratelimit-remaining-requests", "9999")
        .header("x-ratelimit-remaining-tokens", completion.tokens_left(2_000_000).to_string())
        .header("x-ratelimit-reset-requests", "6ms")
        .header("x-ratelimit-reset-tokens", "1s")
        .accepted(id)
}

fn failure_status(code: &str) -> u16 {
    match code {
        "rate_limit_exceeded" | "insufficient_quota" | "credit_balance_exhausted" => 429,
        "server_is_overloaded" | "slow_down" => 503,
        "model_not_found" => 404,
        "invalid_api_key" | "invalid_organization" => 401,
        code if code.starts_with("invalid_") || code.starts_with("unsupported_") => 400,
        "context_length_exceeded" | "content_policy_violation" => 400,
        _ => 500,
    }
}

fn wrong_key(message: &str) -> Answer {
    Answer::json(401, error("invalid_request_error", message, Value::Null, json!("invalid_api_key")))
}

fn error(kind: &str, message: &str, param: Value, code: Value) -> Value {
    json!({"error": {"message": message, "type": kind, "param": param, "code": code}})
}
