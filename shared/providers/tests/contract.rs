//! What every adapter must do with the network, whoever its provider is.

use atelier_domain::error::ProviderError;
use atelier_domain::ports::{SourceBroken, Submitted};
use futures::StreamExt;

use crate::adapters::{Adapter, KEY, error_body};
use crate::stand::{Rude, RudeStand, Stand, answer, free_port, json, redirect};

/// Runs every case against every adapter; the test's name is `contract::<provider>::<case>`.
macro_rules! contract {
    ($($case:ident),+ $(,)?) => {
        mod elevenlabs { $( #[tokio::test] async fn $case() { super::$case(crate::adapters::ELEVENLABS).await } )+ }
        mod elevenlabs_stt {
            $( #[tokio::test] async fn $case() { super::$case(crate::adapters::ELEVENLABS_STT).await } )+
        }
        mod deepgram { $( #[tokio::test] async fn $case() { super::$case(crate::adapters::DEEPGRAM).await } )+ }
        mod deepgram_stt { $( #[tokio::test] async fn $case() { super::$case(crate::adapters::DEEPGRAM_STT).await } )+ }
        mod fal { $( #[tokio::test] async fn $case() { super::$case(crate::adapters::FAL).await } )+ }
        mod replicate { $( #[tokio::test] async fn $case() { super::$case(crate::adapters::REPLICATE).await } )+ }
        mod pika { $( #[tokio::test] async fn $case() { super::$case(crate::adapters::PIKA).await } )+ }
        mod runway { $( #[tokio::test] async fn $case() { super::$case(crate::adapters::RUNWAY).await } )+ }
    };
}

contract!(
    a_good_answer_is_understood,
    inv7_the_key_travels_in_its_header_only,
    a_refused_connection_was_not_sent,
    an_unknown_host_was_not_sent,
    a_failed_tls_handshake_was_not_sent,
    a_connection_lost_after_the_request_is_an_unknown_outcome,
    a_late_answer_is_an_unknown_outcome,
    an_answer_that_is_no_http_is_an_unknown_outcome,
    an_answer_that_breaks_off_never_counts_as_success,
    an_oversize_answer_is_not_read_to_its_end,
    the_status_of_an_oversize_error_still_counts,
    a_redirect_is_not_followed,
    a_refused_submit_is_sent_once,
    inv7_an_echoed_key_is_removed_from_the_message,
    messages_are_short,
);

/// What a submit came to, without the media.
async fn submit_error(adapter: Adapter, base: &str) -> ProviderError {
    match adapter.submit(base).await {
        Err(error) => error,
        Ok(Submitted::Accepted { remote, .. }) => panic!("accepted as {}", remote.id),
        Ok(Submitted::Bytes { .. }) => panic!("bytes came"),
        Ok(Submitted::Finished(_)) => panic!("a result came"),
    }
}

async fn a_good_answer_is_understood(adapter: Adapter) {
    let stand = Stand::start(move |seen, base| adapter.good(seen, base)).await;
    match adapter.submit(&stand.base()).await.unwrap() {
        Submitted::Accepted { remote, .. } => assert_eq!(remote.id, crate::adapters::OPERATION_ID),
        Submitted::Bytes { body, .. } => assert!(!collected(body).await.unwrap().is_empty()),
        Submitted::Finished(finished) => assert!(!finished.outputs.is_empty()),
    }
}

async fn inv7_the_key_travels_in_its_header_only(adapter: Adapter) {
    let stand = Stand::start(move |seen, base| adapter.good(seen, base)).await;
    let base = stand.base();
    adapter.submit(&base).await.unwrap();
    if adapter.is_asynchronous() {
        adapter.check(&base).await.unwrap();
        adapter.abandon(&base).await.unwrap();
    }
    for seen in stand.seen() {
        let value = seen.headers.get(adapter.key_header).unwrap().to_str().unwrap();
        assert_eq!(value, format!("{}{KEY}", adapter.key_scheme));
        assert_eq!(seen.headers.get("user-agent").unwrap(), atelier_providers::USER_AGENT);
        for (name, value) in &seen.headers {
            let is_key_header = name == adapter.key_header;
            assert!(is_key_header || !value.to_str().unwrap().contains("9876543210"), "{name}");
        }
        let rest = format!("{} {}", seen.target, seen.body);
        assert!(!rest.contains("9876543210") && !rest.contains("0123456789"), "{rest}");
    }
}

async fn a_refused_connection_was_not_sent(adapter: Adapter) {
    let base = format!("http://127.0.0.1:{}", free_port().await);
    let error = submit_error(adapter, &base).await;
    assert!(matches!(error, ProviderError::NotSent { .. }), "{error:?}");
}

async fn an_unknown_host_was_not_sent(adapter: Adapter) {
    let error = submit_error(adapter, "http://no-such-host.invalid").await;
    assert!(matches!(error, ProviderError::NotSent { .. }), "{error:?}");
}

async fn a_failed_tls_handshake_was_not_sent(adapter: Adapter) {
    let stand = RudeStand::start(Rude::Say("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_owned())).await;
    let error = submit_error(adapter, &format!("https://{}", stand.address)).await;
    assert!(matches!(error, ProviderError::NotSent { .. }), "{error:?}");
}

async fn a_connection_lost_after_the_request_is_an_unknown_outcome(adapter: Adapter) {
    let stand = RudeStand::start(Rude::Close).await;
    let error = submit_error(adapter, &stand.base()).await;
    assert!(matches!(error, ProviderError::UnknownOutcome { .. }), "{error:?}");
}

async fn a_late_answer_is_an_unknown_outcome(adapter: Adapter) {
    let stand = RudeStand::start(Rude::SayAndHang(String::new())).await;
    let error = submit_error(adapter, &stand.base()).await;
    assert!(matches!(error, ProviderError::UnknownOutcome { .. }), "{error:?}");
}

async fn an_answer_that_is_no_http_is_an_unknown_outcome(adapter: Adapter) {
    let stand = RudeStand::start(Rude::Say("220 smtp.example.com ready\r\n".to_owned())).await;
    let error = submit_error(adapter, &stand.base()).await;
    assert!(matches!(error, ProviderError::UnknownOutcome { .. }), "{error:?}");
}

async fn an_answer_that_breaks_off_never_counts_as_success(adapter: Adapter) {
    for rude in [Rude::Say, Rude::SayAndHang] {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: audio/mpeg\r\ncontent-length: 100\r\n\r\n{\"id\":";
        let stand = RudeStand::start(rude(head.to_owned())).await;
        match adapter.submit(&stand.base()).await {
            Ok(Submitted::Bytes { body, .. }) => assert!(collected(body).await.is_err()),
            Ok(Submitted::Accepted { .. } | Submitted::Finished(_)) => panic!("accepted"),
            Err(error) => assert!(matches!(error, ProviderError::UnknownOutcome { .. }), "{error:?}"),
        }
    }
}

async fn an_oversize_answer_is_not_read_to_its_end(adapter: Adapter) {
    if adapter.answers_with_media() {
        // Its answers of any size are media; their bound is tested with them.
        return;
    }
    let stand =
        Stand::start(|_, _| answer(200, "application/json", format!("\"{}\"", "x".repeat(30_000)))).await;
    let error = submit_error(adapter, &stand.base()).await;
    assert!(matches!(error, ProviderError::UnknownOutcome { .. }), "{error:?}");
    if adapter.is_asynchronous() {
        let error = adapter.check(&stand.base()).await.unwrap_err();
        assert!(matches!(error, ProviderError::Malformed { .. }), "{error:?}");
    }
}

async fn the_status_of_an_oversize_error_still_counts(adapter: Adapter) {
    let stand = Stand::start(|_, _| json(401, error_body(&"x".repeat(30_000)))).await;
    let error = submit_error(adapter, &stand.base()).await;
    assert!(matches!(error, ProviderError::Unauthorized { .. }), "{error:?}");
}

async fn a_redirect_is_not_followed(adapter: Adapter) {
    let target = Stand::start(move |seen, base| adapter.good(seen, base)).await;
    let location = format!("{}/v1/elsewhere", target.base());
    for status in [301, 302, 303, 307, 308] {
        let location = location.clone();
        let stand = Stand::start(move |_, _| redirect(status, &location)).await;
        let error = submit_error(adapter, &stand.base()).await;
        assert!(matches!(error, ProviderError::Malformed { .. }), "{error:?}");
    }
    assert_eq!(target.seen().len(), 0);
}

async fn a_refused_submit_is_sent_once(adapter: Adapter) {
    for status in [408, 429, 500, 502, 503, 504] {
        let stand = Stand::start(move |_, _| json(status, error_body("later"))).await;
        submit_error(adapter, &stand.base()).await;
        assert_eq!(stand.seen().len(), 1, "HTTP {status}");
    }
}

async fn inv7_an_echoed_key_is_removed_from_the_message(adapter: Adapter) {
    let stand = Stand::start(|_, _| json(401, error_body(&format!("the key {KEY} is wrong")))).await;
    let error = submit_error(adapter, &stand.base()).await;
    assert_eq!(error, ProviderError::Unauthorized { message: "the key *** is wrong".to_owned() });
}

async fn messages_are_short(adapter: Adapter) {
    let stand = Stand::start(|_, _| json(400, error_body(&"long \n".repeat(1_000)))).await;
    match submit_error(adapter, &stand.base()).await {
        ProviderError::Invalid { message, .. } => {
            assert!(message.chars().count() <= 300 && !message.contains('\n'), "{message}");
        }
        other => panic!("{other:?}"),
    }
}

pub async fn collected(mut body: atelier_domain::ports::ByteStream) -> Result<Vec<u8>, SourceBroken> {
    let mut bytes = Vec::new();
    while let Some(chunk) = body.next().await {
        bytes.extend_from_slice(&chunk?);
    }
    Ok(bytes)
}
