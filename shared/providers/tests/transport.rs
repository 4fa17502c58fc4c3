//! The transport by itself: what no provider of this build needs yet, and the bounds of what is read.

use std::time::Duration;

use atelier_domain::ports::Providers;
use atelier_providers::{
    Body, Expects, Header, HttpReply, HttpRequest, Reply, Transport, TransportError, TransportSettings,
};
use axum::http::Method;
use bytes::Bytes;

use crate::adapters::{RUNWAY, key, remote};
use crate::stand::{Stand, answer, install_crypto};

fn request(base: &str, headers: Vec<Header>, body: Body) -> HttpRequest {
    HttpRequest {
        method: Method::POST,
        url: base.parse().unwrap(),
        template: None,
        headers,
        body,
        expects: Expects::Text,
    }
}

async fn execute(request: HttpRequest) -> Result<HttpReply, TransportError> {
    install_crypto();
    let settings = TransportSettings { max_reply_bytes: 10, ..TransportSettings::default() };
    let transport = Transport::new(&settings).unwrap();
    match transport.execute(request, Duration::from_secs(5), None).await? {
        Reply::Whole(reply) => Ok(reply),
        Reply::Media { .. } => panic!("media came"),
    }
}

#[tokio::test]
async fn bytes_travel_as_they_are_with_their_type() {
    let stand = Stand::start(|_, _| answer(200, "text/plain", "ok")).await;
    let body = Body::Bytes { content_type: "audio/wav".to_owned(), bytes: Bytes::from_static(b"RIFF") };
    let headers = vec![Header::plain("x-one", "1"), Header::secret("x-two", "2".to_owned())];
    execute(request(&stand.base(), headers, body)).await.unwrap();
    let seen = stand.seen().remove(0);
    assert_eq!(seen.body, "RIFF");
    for (name, value) in [("content-type", "audio/wav"), ("x-one", "1"), ("x-two", "2")] {
        assert_eq!(seen.headers.get(name).unwrap(), value);
    }
}

#[tokio::test]
async fn a_reply_of_exactly_the_limit_is_whole() {
    for (length, is_cut) in [(9, false), (10, false), (11, true), (100_000, true)] {
        let stand = Stand::start(move |_, _| answer(200, "text/plain", "x".repeat(length))).await;
        let reply = execute(request(&stand.base(), Vec::new(), Body::None)).await.unwrap();
        assert_eq!((reply.body.len(), reply.is_cut), (length.min(10), is_cut));
    }
}

#[tokio::test]
async fn a_header_that_cannot_be_sent_names_itself_but_not_its_value() {
    let stand = Stand::start(|_, _| answer(200, "text/plain", "ok")).await;
    let headers = vec![Header::secret("x-key", "hunter2\n".to_owned())];
    let error = execute(request(&stand.base(), headers, Body::None)).await.unwrap_err();
    assert!(matches!(&error, TransportError::NotSent { message } if message.contains("x-key")), "{error:?}");
    assert!(!format!("{error:?}").contains("hunter2"));
    assert_eq!(stand.seen().len(), 0);
}

#[tokio::test]
async fn a_connection_is_used_again() {
    let stand = Stand::start(move |seen, base| RUNWAY.good(seen, base)).await;
    let registry = RUNWAY.registry(&stand.base());
    let provider = registry.get(RUNWAY.provider).unwrap();
    for _ in 0..5 {
        provider.check(&RUNWAY.spec(), &remote(), &key()).await.unwrap();
    }
    let ports: std::collections::BTreeSet<u16> =
        stand.seen().into_iter().map(|seen| seen.from_port).collect();
    assert_eq!(ports.len(), 1);
}
