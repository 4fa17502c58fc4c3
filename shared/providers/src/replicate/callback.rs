//! Webhooks: whether one is genuine, and what it says.

use atelier_domain::Timestamp;
use atelier_domain::ports::{Callback, CallbackRefusal, CallbackRequest, News};
use atelier_domain::secret::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use serde_json::Value;

const SECRET_MARK: &str = "whsec_";
const SIGNATURE_MARK: &str = "v1,";

/// Refuses what no account with one of the secrets has sent, or what is too old to be news. Comparing takes the same
/// time wherever signatures differ.
pub(super) fn judge(
    request: &CallbackRequest,
    secrets: &Secret<String>,
    tolerance_s: u64,
    now: Timestamp,
) -> Result<(), CallbackRefusal> {
    let keys: Vec<hmac::Key> = secrets.expose().split_whitespace().filter_map(key).collect();
    if keys.is_empty() {
        let reason = "the webhook secret is not `whsec_` and base64".to_owned();
        return Err(CallbackRefusal::Unavailable { reason });
    }
    let header = |name: &str| request.headers.get(name).map(String::as_str).filter(|text| !text.is_empty());
    let (Some(id), Some(timestamp), Some(signatures)) =
        (header("webhook-id"), header("webhook-timestamp"), header("webhook-signature"))
    else {
        return refused("a signature header is missing");
    };
    let Some(sent_at) = timestamp.parse::<i64>().ok() else {
        return refused("its timestamp is no number");
    };
    if now.as_second().abs_diff(sent_at) > tolerance_s {
        return refused("its timestamp is too far from now");
    }
    let mut message = format!("{id}.{timestamp}.").into_bytes();
    message.extend_from_slice(&request.body);
    let is_signed = signatures
        .split_whitespace()
        .filter_map(|entry| STANDARD.decode(entry.strip_prefix(SIGNATURE_MARK)?).ok())
        .any(|signature| keys.iter().any(|key| hmac::verify(key, &message, &signature).is_ok()));
    if is_signed { Ok(()) } else { refused("no signature fits") }
}

/// The news of a webhook: its body is a prediction, of which the id and the status are read. The files are asked for
/// with the key of the job, never taken from here.
pub(super) fn news(request: &CallbackRequest) -> Result<Callback, CallbackRefusal> {
    let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let text = |name: &str| body.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let (Some(id), Some(status)) = (text("id"), text("status")) else {
        return refused("its body is no prediction");
    };
    let is_over = matches!(status, "succeeded" | "failed" | "canceled" | "aborted");
    let news = if is_over { News::Ended } else { News::Progress };
    Ok(Callback { remote_id: Some(id.to_owned()), news })
}

fn key(secret: &str) -> Option<hmac::Key> {
    let bytes = STANDARD.decode(secret.strip_prefix(SECRET_MARK)?).ok().filter(|bytes| !bytes.is_empty())?;
    Some(hmac::Key::new(hmac::HMAC_SHA256, &bytes))
}

fn refused<T>(reason: &'static str) -> Result<T, CallbackRefusal> {
    Err(CallbackRefusal::NotGenuine { reason })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use bytes::Bytes;

    use super::*;

    const BODY: &str = r#"{"id":"p1","status":"succeeded"}"#;
    const SECRET: &str = "whsec_c2VjcmV0IGJ5dGVz";

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// A webhook sent at second 1,000.
    fn signed(body: &str, secret: &str) -> CallbackRequest {
        let tag = hmac::sign(&key(secret).unwrap(), format!("msg_1.1000.{body}").as_bytes());
        let signature = format!("v1,{}", STANDARD.encode(tag));
        let headers = [
            ("webhook-id", "msg_1"),
            ("webhook-timestamp", "1000"),
            ("webhook-signature", signature.as_str()),
        ];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
        CallbackRequest { headers: BTreeMap::from(headers), body: Bytes::from(body.to_owned()) }
    }

    fn judged(request: &CallbackRequest, secrets: &str, second: i64) -> Result<(), CallbackRefusal> {
        judge(request, &Secret::new(secrets.to_owned()), 300, at(second))
    }

    fn with(name: &str, value: &str) -> CallbackRequest {
        let mut request = signed(BODY, SECRET);
        request.headers.insert(name.to_owned(), value.to_owned());
        request
    }

    #[test]
    fn a_published_signature_is_accepted() {
        // The example of the Svix documentation, whose scheme this is.
        let headers = [
            ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
            ("webhook-timestamp", "1614265330"),
            ("webhook-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
        ];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let request = CallbackRequest {
            headers: BTreeMap::from(headers),
            body: Bytes::from_static(br#"{"test": 2432232314}"#),
        };
        assert_eq!(judged(&request, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", 1_614_265_400), Ok(()));
    }

    #[test]
    fn any_secret_and_any_signature_may_fit() {
        let mut request = signed(BODY, SECRET);
        let signature = format!("v2,AAAA v1,AAAA broken {}", request.headers["webhook-signature"]);
        request.headers.insert("webhook-signature".to_owned(), signature);
        assert_eq!(judged(&request, &format!("whsec_b3RoZXI=\n{SECRET}\n"), 1_000), Ok(()));
    }

    #[test]
    fn what_was_not_signed_so_is_refused() {
        let mut changed = signed(BODY, SECRET);
        changed.body = Bytes::from(BODY.replace("p1", "p2"));
        let mut bare = signed(BODY, SECRET);
        bare.headers.remove("webhook-signature");
        for request in [
            signed(BODY, "whsec_b3RoZXI="),
            changed,
            bare,
            with("webhook-id", "msg_2"),
            with("webhook-timestamp", "1001"),
            with("webhook-timestamp", "soon"),
            with("webhook-signature", "v1,"),
            with("webhook-signature", "v1,AAAA"),
        ] {
            let outcome = judged(&request, SECRET, 1_000);
            assert!(matches!(outcome, Err(CallbackRefusal::NotGenuine { .. })), "{request:?}");
        }
    }

    #[test]
    fn an_old_one_is_refused_and_so_is_one_from_the_future() {
        let request = signed(BODY, SECRET);
        for (second, is_taken) in [(700, true), (699, false), (1_300, true), (1_301, false)] {
            assert_eq!(judged(&request, SECRET, second).is_ok(), is_taken, "{second}");
        }
    }

    #[test]
    fn a_secret_that_cannot_be_read_is_our_fault() {
        for secret in ["", "secret", "whsec_", "whsec_?"] {
            let outcome = judged(&signed(BODY, SECRET), secret, 1_000);
            assert!(matches!(outcome, Err(CallbackRefusal::Unavailable { .. })), "{secret}");
        }
    }

    #[test]
    fn the_body_tells_which_prediction_and_whether_it_is_over() {
        let told = |body: &str| news(&signed(body, SECRET));
        let ended = Callback { remote_id: Some("p1".to_owned()), news: News::Ended };
        assert_eq!(told(BODY), Ok(ended));
        for (status, is_over) in
            [("failed", true), ("canceled", true), ("aborted", true), ("processing", false), ("odd", false)]
        {
            let callback = told(&BODY.replace("succeeded", status)).unwrap();
            assert_eq!(callback.news == News::Ended, is_over, "{status}");
        }
        for body in ["", "{", "[]", "{}", r#"{"id":"p1"}"#, r#"{"id":1,"status":"failed"}"#] {
            assert!(told(body).is_err(), "{body}");
        }
    }
}
