//! A judge of callbacks for tests.

use async_trait::async_trait;
use atelier_domain::Timestamp;
use atelier_domain::operation::Provider;
use atelier_domain::ports::{
    Callback, CallbackRefusal, CallbackRequest, Callbacks, Finished, FinishedOutput, News,
};
use axum::body::Bytes;
use serde_json::Value;

/// Believes a callback that says `genuine`, and gives its news.
pub struct TrustingJudge;

#[async_trait]
impl Callbacks for TrustingJudge {
    async fn judge(
        &self,
        _: Provider,
        request: &CallbackRequest,
        _: Timestamp,
    ) -> Result<Callback, CallbackRefusal> {
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let news = match body["says"].as_str() {
            Some("progress") => News::Progress,
            Some("ended") => News::Ended,
            Some("result") => News::Result(Finished {
                outputs: vec![FinishedOutput {
                    bytes: Bytes::from_static(b"hello"),
                    content_type: Some("text/plain; charset=utf-8".to_owned()),
                    seed: None,
                    revised_prompt: None,
                }],
                text: Some("hello".to_owned()),
                ..Finished::default()
            }),
            Some("unavailable") => {
                return Err(CallbackRefusal::Unavailable { reason: "no keys".to_owned() });
            }
            _ => return Err(CallbackRefusal::NotGenuine { reason: "the signature does not fit" }),
        };
        Ok(Callback { remote_id: body["id"].as_str().map(str::to_owned), news })
    }
}
