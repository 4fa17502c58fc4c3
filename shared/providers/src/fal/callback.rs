//! Fal's webhooks: whether one is genuine, and what it says. It is never more than a hint to ask.

use std::time::Duration;

use atelier_domain::Timestamp;
use atelier_domain::ports::{Callback, CallbackRefusal, CallbackRequest, News};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use ring::signature::{ED25519, UnparsedPublicKey};
use serde_json::Value;

const KEY_BYTES: usize = 32;
const SIGNATURE_BYTES: usize = 64;

/// Judges a webhook by the set of public keys.
pub(crate) fn judge(
    request: &CallbackRequest,
    keys: &[u8],
    tolerance: Duration,
    now: Timestamp,
) -> Result<Callback, CallbackRefusal> {
    let header = |name: &str| {
        let missing = CallbackRefusal::NotGenuine { reason: "a header of the signature is missing" };
        request.headers.get(&format!("x-fal-webhook-{name}")).map(String::as_str).ok_or(missing)
    };
    let (id, user, time) = (header("request-id")?, header("user-id")?, header("timestamp")?);
    let signature = header("signature")?;
    let sent_at: i64 = time.parse().map_err(|_| refused("the time is no number"))?;
    if now.as_second().abs_diff(sent_at) > tolerance.as_secs() {
        return Err(refused("it was signed too long ago, or in the future"));
    }
    let signature = unhex(signature).filter(|bytes| bytes.len() == SIGNATURE_BYTES);
    let signature = signature.ok_or(refused("the signature cannot be read"))?;
    let signed = [id, user, time, &hex(digest(&SHA256, &request.body).as_ref())].join("\n");
    let keys = public_keys(keys)?;
    let is_signed = keys
        .iter()
        .any(|key| UnparsedPublicKey::new(&ED25519, key).verify(signed.as_bytes(), &signature).is_ok());
    if !is_signed {
        return Err(refused("no key of the provider made the signature"));
    }
    let body: Value = serde_json::from_slice(&request.body).map_err(|_| refused("its body is not JSON"))?;
    if body.get("request_id").and_then(Value::as_str) != Some(id) {
        return Err(refused("its body names another request than its signature"));
    }
    // Fal calls once a request has ended, well or not; a word that is new still means that it is time to ask.
    Ok(Callback { remote_id: Some(id.to_owned()), news: News::Ended })
}

/// The Ed25519 keys of a JSON Web Key Set. Keys of other kinds are passed over.
fn public_keys(document: &[u8]) -> Result<Vec<Vec<u8>>, CallbackRefusal> {
    let unreadable =
        || CallbackRefusal::Unavailable { reason: "the provider's keys cannot be read".to_owned() };
    let document: Value = serde_json::from_slice(document).map_err(|_| unreadable())?;
    let keys = document.get("keys").and_then(Value::as_array).ok_or_else(unreadable)?;
    let keys: Vec<Vec<u8>> = keys.iter().filter_map(public_key).collect();
    if keys.is_empty() { Err(unreadable()) } else { Ok(keys) }
}

fn public_key(key: &Value) -> Option<Vec<u8>> {
    let word = |name: &str| key.get(name).and_then(Value::as_str);
    if word("kty") != Some("OKP") || word("crv").is_some_and(|curve| curve != "Ed25519") {
        return None;
    }
    let bytes = URL_SAFE_NO_PAD.decode(word("x")?.trim_end_matches('=')).ok()?;
    (bytes.len() == KEY_BYTES).then_some(bytes)
}

fn refused(reason: &'static str) -> CallbackRefusal {
    CallbackRefusal::NotGenuine { reason }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> =
        text.bytes().map(|byte| char::from(byte).to_digit(16)?.try_into().ok()).collect();
    let digits = digits.filter(|digits| digits.len() % 2 == 0)?;
    let (pairs, _) = digits.as_chunks::<2>();
    Some(pairs.iter().map(|[high, low]| high << 4 | low).collect())
}

#[cfg(test)]
#[path = "callback_tests.rs"]
mod tests;
