//! The adapters as the contract suite sees them: how to call each, and how its provider says yes.

use atelier_domain::Timestamp;
use atelier_domain::error::ProviderError;
use atelier_domain::foreign::Exceptions;
use atelier_domain::job::{JobSpec, RemoteOperation};
use atelier_domain::operation::{OnUnknownOutcome, Operation, Priority, Provider};
use atelier_domain::ports::{
    Abandoned, Checked, PreparedInput, ProviderKey, Providers, SubmitCall, Submitted,
};
use atelier_domain::secret::Secret;
use atelier_providers::{ProviderSettings, Registry};
use serde_json::{Value, json};

use crate::stand::{Answer, Seen, answer, install_crypto, json as json_answer};

pub const KEY: &str = "id0123456789abcdef:secretfedcba9876543210";
pub const OPERATION_ID: &str = "17f20503-6c24-4c16-946b-35dbbce2af2f";

/// One provider under test.
#[derive(Debug, Clone, Copy)]
pub struct Adapter {
    pub provider: Provider,
    operation: Operation,
    model: &'static str,
    pub key_header: &'static str,
    pub key_scheme: &'static str,
}

pub const ELEVENLABS: Adapter = Adapter {
    provider: Provider::ElevenLabs,
    operation: Operation::Tts,
    model: "eleven_multilingual_v2",
    key_header: "xi-api-key",
    key_scheme: "",
};
pub const ELEVENLABS_STT: Adapter = Adapter { operation: Operation::Stt, model: "scribe_v2", ..ELEVENLABS };
pub const DEEPGRAM: Adapter = Adapter {
    provider: Provider::Deepgram,
    operation: Operation::Tts,
    model: "aura-2-thalia-en",
    key_header: "authorization",
    key_scheme: "Token ",
};
pub const DEEPGRAM_STT: Adapter = Adapter { operation: Operation::Stt, model: "nova-3", ..DEEPGRAM };
pub const FAL: Adapter = Adapter {
    provider: Provider::Fal,
    operation: Operation::ImageGen,
    model: "fal-ai/flux/dev",
    key_header: "authorization",
    key_scheme: "Key ",
};
pub const REPLICATE: Adapter = Adapter {
    provider: Provider::Replicate,
    operation: Operation::ImageGen,
    model: "black-forest-labs/flux-schnell",
    key_header: "authorization",
    key_scheme: "Bearer ",
};
pub const RUNWAY: Adapter = Adapter {
    provider: Provider::Runway,
    operation: Operation::VideoGen,
    model: "gen4.5",
    key_header: "authorization",
    key_scheme: "Bearer ",
};
pub const PIKA: Adapter = Adapter {
    provider: Provider::Pika,
    operation: Operation::VideoGen,
    model: "pika-2.2",
    key_header: "authorization",
    key_scheme: "Key ",
};

impl Adapter {
    pub fn spec(&self) -> JobSpec {
        JobSpec {
            operation: self.operation,
            provider: self.provider,
            model: self.model.to_owned(),
            prompt: Some("a very private prompt".to_owned()),
            input: None,
            files: Default::default(),
            config: serde_json::Map::new(),
            credential_id: None,
            priority: Priority::Normal,
            run_at: None,
            start_deadline: now(),
            metadata: serde_json::Map::new(),
            capture_prompt: true,
            on_unknown_outcome: OnUnknownOutcome::Fail,
        }
    }

    /// The registry with this provider at `base`, and short patience.
    pub fn registry(&self, base: &str) -> Registry {
        install_crypto();
        let mut endpoint = json!({
            "base_url": base, "submit_timeout_ms": 600, "upload_timeout_ms": 600, "check_timeout_ms": 600, "abandon_timeout_ms": 600
        });
        if self.operation == Operation::Stt {
            endpoint["options"] = json!({"transcription_timeout_ms": 600});
        }
        let settings: ProviderSettings = serde_json::from_value(json!({
            "transport": {
                "connect_timeout_ms": 500, "max_reply_bytes": 20_000, "max_large_reply_bytes": 20_000,
                "media_idle_timeout_ms": 300
            },
            self.provider.as_str(): endpoint,
        }))
        .unwrap();
        Registry::new(&settings, Exceptions::default()).unwrap()
    }

    pub async fn submit(&self, base: &str) -> Result<Submitted, ProviderError> {
        let call = SubmitCall {
            spec: self.spec(),
            input: self.input(),
            files: Default::default(),
            key: key(),
            callback_url: None,
        };
        self.registry(base).get(self.provider).unwrap().submit(call, now()).await
    }

    fn input(&self) -> Option<PreparedInput> {
        let is_heard = self.operation == Operation::Stt;
        is_heard.then(|| PreparedInput::Url("https://files.example.com/talk.mp3".to_owned()))
    }

    pub async fn check(&self, base: &str) -> Result<Checked, ProviderError> {
        let registry = self.registry(base);
        registry.get(self.provider).unwrap().check(&self.spec(), &remote(), &key()).await
    }

    pub async fn abandon(&self, base: &str) -> Result<Abandoned, ProviderError> {
        let registry = self.registry(base);
        registry.get(self.provider).unwrap().abandon(&self.spec(), &remote(), &key()).await
    }

    /// Whether there is an operation to ask about.
    pub fn is_asynchronous(&self) -> bool {
        !matches!(self.provider, Provider::ElevenLabs | Provider::Deepgram)
    }

    /// Whether a good answer to the paid call is the media itself.
    pub fn answers_with_media(&self) -> bool {
        self.operation == Operation::Tts
    }

    /// What the provider answers when all is well.
    pub fn good(&self, seen: &Seen, base: &str) -> Answer {
        match self.provider {
            Provider::ElevenLabs | Provider::Deepgram if self.answers_with_media() => {
                answer(200, "audio/mpeg", "ID3 pretend this is speech")
            }
            Provider::ElevenLabs => json_answer(200, scribe()),
            Provider::Deepgram => json_answer(200, nova()),
            Provider::Fal => fal(seen, base),
            Provider::Replicate => replicate(seen, base),
            Provider::Pika => pika(seen, base),
            Provider::Runway => runway(seen),
            other => panic!("{other} has no adapter"),
        }
    }
}

fn scribe() -> Value {
    let words = json!([{"text": "Hello", "type": "word", "start": 0.0, "end": 0.4, "logprob": 0.0}]);
    json!({"language_code": "eng", "language_probability": 1.0, "text": "Hello", "words": words, "audio_duration_secs": 1.5})
}

fn nova() -> Value {
    let words = json!([{"word": "hello", "start": 0.0, "end": 0.4, "confidence": 0.9}]);
    let alternative = json!({"transcript": "Hello", "confidence": 0.9, "words": words});
    json!({
        "metadata": {"request_id": OPERATION_ID, "duration": 1.5, "channels": 1, "models": [], "model_info": {}},
        "results": {"channels": [{"alternatives": [alternative]}]}
    })
}

fn fal(seen: &Seen, base: &str) -> Answer {
    let image = json!({"url": "https://v3.fal.media/files/a.png", "content_type": "image/png"});
    fal_queue(seen, base, "fal-ai/flux", json!({ "images": [image] }))
}

fn pika(seen: &Seen, base: &str) -> Answer {
    let video = json!({"url": "https://v3.fal.media/files/a.mp4", "content_type": "video/mp4"});
    fal_queue(seen, base, "fal-ai/pika", json!({ "video": video }))
}

fn fal_queue(seen: &Seen, base: &str, application: &str, result: Value) -> Answer {
    let own = format!("{base}/{application}/requests/{OPERATION_ID}");
    let path = seen.target.as_str();
    let (status, body) = if seen.method == "POST" {
        let body = json!({
            "status": "IN_QUEUE", "request_id": OPERATION_ID, "queue_position": 0, "response_url": own,
            "status_url": format!("{own}/status"), "cancel_url": format!("{own}/cancel")
        });
        (200, body)
    } else if path.ends_with("/status") {
        (200, json!({"status": "COMPLETED", "logs": null}))
    } else if path.ends_with("/cancel") {
        (202, json!({"status": "CANCELLATION_REQUESTED"}))
    } else {
        (200, result)
    };
    json_answer(status, body)
}

fn replicate(seen: &Seen, base: &str) -> Answer {
    let own = format!("{base}/v1/predictions/{OPERATION_ID}");
    let prediction = |status: &str, output: Value| {
        json!({
            "id": OPERATION_ID, "model": "black-forest-labs/flux-schnell", "version": "hidden", "status": status,
            "input": {}, "output": output, "logs": "", "error": null, "data_removed": false,
            "urls": {"get": own, "cancel": format!("{own}/cancel")}
        })
    };
    match (seen.method.as_str(), seen.target.as_str()) {
        ("POST", "/v1/files") => {
            let url = format!("{base}/v1/files/file-1");
            json_answer(201, json!({"id": "file-1", "urls": {"get": url}}))
        }
        ("POST", target) if target.ends_with("/cancel") => {
            json_answer(200, prediction("canceled", Value::Null))
        }
        ("POST", _) => json_answer(201, prediction("starting", Value::Null)),
        _ => {
            json_answer(200, prediction("succeeded", json!(["https://replicate.delivery/xezq/a/out-0.webp"])))
        }
    }
}

fn runway(seen: &Seen) -> Answer {
    match seen.method.as_str() {
        "POST" => json_answer(200, json!({"id": OPERATION_ID, "estimatedCost": {"credits": 60}})),
        "DELETE" => answer(204, "text/plain", ""),
        _ => json_answer(
            200,
            json!({
                "id": OPERATION_ID, "createdAt": "2026-11-22T08:00:00.000Z", "status": "SUCCEEDED",
                "output": ["https://cdn.example.com/a.mp4?_jwt=secret"], "cost": {"credits": 60}
            }),
        ),
    }
}

pub fn now() -> Timestamp {
    "2026-11-22T08:00:00Z".parse().unwrap()
}

pub fn key() -> ProviderKey {
    ProviderKey(Secret::new(KEY.to_owned()))
}

pub fn remote() -> RemoteOperation {
    RemoteOperation { id: OPERATION_ID.to_owned(), submitted_at: now(), urls: Default::default() }
}

/// An error body that every provider's adapter reads a message from.
pub fn error_body(text: &str) -> Value {
    json!({"detail": text, "error": text, "err_msg": text})
}
