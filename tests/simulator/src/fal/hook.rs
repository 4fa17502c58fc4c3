//! Fal's calls to `fal_webhook`, signed with Ed25519, and the public key for whoever checks them.
//!
//! | fact | value | kind |
//! |---|---|---|
//! | body | `request_id`, `gateway_request_id`, `status` `OK` or `ERROR`, `payload`, `error` | documented |
//! | signed text | request id, user id, timestamp and hex SHA-256 of the body, a line each | documented |
//! | signature | Ed25519, hex, `X-Fal-Webhook-Signature` | documented |
//! | tries | one, then ten more within two hours; here with a short pause | documented |
//! | a cancelled request | is told as `ERROR` when its time is over | assumed |

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::Method;
use jiff::Timestamp;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::call::Call;
use crate::fal::failure::Failure;
use crate::fal::request::output;
use crate::hex::hex;
use crate::journal::Provider;
use crate::state::State;
use crate::task::{Stage, Task};
use crate::webhook::{Message, Webhook};

/// Every key has the same owner here.
const USER_ID: &str = "github|simulator";
const TRIES: u32 = 11;
const PAUSE: Duration = Duration::from_millis(500);

/// The call that tells `url` how this work ended.
pub(super) fn webhook(url: &str, task: &Task, call: &Call) -> Webhook {
    let (id, origin) = (task.id.clone(), call.origin.clone());
    Webhook {
        provider: Provider::Fal,
        url: url.to_owned(),
        method: Method::POST,
        after: task.duration,
        tries: TRIES,
        pause: PAUSE,
        make: Arc::new(move |state| {
            let task = state.with_task(&id, |task| task.clone())?;
            (task.stage() == Stage::Over).then(|| message(&task, &origin, state)).flatten()
        }),
    }
}

fn message(task: &Task, origin: &str, state: &State) -> Option<Message> {
    let id = &task.id;
    let body = match Failure::of(task) {
        None => {
            let output = output(task, origin, state);
            json!({"request_id": id, "gateway_request_id": id, "status": "OK", "payload": output})
        }
        Some(failure) => json!({
            "request_id": id, "gateway_request_id": id, "status": "ERROR", "payload": failure.body(task),
            "error": format!("Unexpected status code: {}", failure.status),
        }),
    };
    let body = Bytes::from(body.to_string());
    let timestamp = Timestamp::now().as_second().to_string();
    let signed = [task.id.as_str(), USER_ID, &timestamp, &hex(Sha256::digest(&body))].join("\n");
    let signature = key(state)?.sign(signed.as_bytes());
    Some(Message {
        headers: vec![
            ("x-fal-webhook-request-id", task.id.clone()),
            ("x-fal-webhook-user-id", USER_ID.to_owned()),
            ("x-fal-webhook-timestamp", timestamp),
            ("x-fal-webhook-signature", hex(signature)),
        ],
        body,
    })
}

/// The public key as a JSON Web Key Set.
pub(super) fn key_set(state: &State) -> Value {
    let keys: Vec<Value> = key(state)
        .iter()
        .map(|key| {
            let public = URL_SAFE_NO_PAD.encode(key.public_key());
            json!({"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": "simulator", "x": public})
        })
        .collect();
    json!({"keys": keys})
}

/// The pair of keys that follows from the simulator's seed.
fn key(state: &State) -> Option<Ed25519KeyPair> {
    let seed = Sha256::digest(format!("fal webhooks {}", state.options.seed));
    Ed25519KeyPair::from_seed_unchecked(&seed).ok()
}
