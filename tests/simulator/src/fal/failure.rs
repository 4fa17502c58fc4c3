//! How a request that is over has failed, and in which of Fal's two shapes that is told.

use serde_json::{Value, json};

use crate::answer::Answer;
use crate::fal::input::detail;
use crate::fault::ModerationForm;
use crate::task::{Outcome, Task};

pub(super) struct Failure {
    pub(super) status: u16,
    pub(super) kind: String,
    pub(super) message: String,
}

impl Failure {
    pub(super) fn of(task: &Task) -> Option<Self> {
        if task.is_cancelled {
            let message = "Request was cancelled by the client".to_owned();
            return Some(Self { status: 499, kind: "client_cancelled".to_owned(), message });
        }
        match &task.outcome {
            Outcome::Moderated(ModerationForm::Refusal) => Some(Self {
                status: 422,
                kind: "content_policy_violation".to_owned(),
                message: "The content could not be processed because it contained material flagged by a content checker."
                    .to_owned(),
            }),
            Outcome::Failed(kind) => {
                let message = format!("The request failed: {kind}");
                Some(Self { status: status(kind), kind: kind.clone(), message })
            }
            Outcome::Done | Outcome::Stuck | Outcome::Moderated(_) => None,
        }
    }

    /// The body: platform errors have one text, model errors a list.
    pub(super) fn body(&self, task: &Task) -> Value {
        if is_platform_error(&self.kind) {
            return json!({"detail": self.message, "error_type": self.kind});
        }
        let place = json!(["body", "prompt"]);
        json!({"detail": [detail(place, &self.message, &self.kind, &json!(task.prompt))]})
    }

    pub(super) fn answer(&self, task: &Task) -> Answer {
        let answer = Answer::json(self.status, self.body(task));
        if !is_platform_error(&self.kind) {
            return answer.header("x-fal-retryable", (self.status >= 500).to_string());
        }
        let answer = answer.header("x-fal-error-type", self.kind.clone());
        let is_start_timeout = task.details.get("is_start_timeout").is_some();
        if is_start_timeout { answer.header("x-fal-request-timeout-type", "user") } else { answer }
    }
}

fn is_platform_error(kind: &str) -> bool {
    kind.starts_with("runner_")
        || kind.starts_with("client_")
        || matches!(kind, "request_timeout" | "startup_timeout" | "internal_error" | "bad_request")
}

fn status(kind: &str) -> u16 {
    match kind {
        "internal_server_error"
        | "downstream_service_unavailable"
        | "runner_server_error"
        | "internal_error" => 500,
        "runner_incomplete_response" => 502,
        "runner_scheduling_failure" | "runner_connection_timeout" | "runner_connection_refused" => 503,
        "runner_connection_error" | "runner_disconnected" => 503,
        "generation_timeout" | "request_timeout" | "startup_timeout" => 504,
        "downstream_service_error" | "bad_request" => 400,
        "client_disconnected" | "client_cancelled" => 499,
        _ => 422,
    }
}
