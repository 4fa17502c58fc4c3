//! What the calls leave in a trace, and what they must not.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, Once};

use atelier_domain::foreign::Exceptions;
use atelier_domain::ports::{Fetcher, Submitted};
use atelier_providers::{FetchSettings, GuardedFetcher};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

use crate::adapters::{Adapter, ELEVENLABS, FAL, KEY, OPERATION_ID, RUNWAY, error_body};
use crate::contract::collected;
use crate::stand::{Stand, answer, free_port, json};

static LISTENER: Once = Once::new();

/// Everything that spans and events said, with the spans' ends.
#[derive(Debug, Clone, Default)]
struct Recording(Arc<Mutex<Vec<Recorded>>>);

#[derive(Debug, Clone, Default)]
struct Recorded {
    id: u64,
    fields: BTreeMap<String, String>,
    is_closed: bool,
}

struct Fields<'a>(&'a mut BTreeMap<String, String>);

impl Visit for Fields<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}"));
    }
}

impl Recording {
    fn change(&self, id: &Id, change: impl FnOnce(&mut Recorded)) {
        let mut all = self.0.lock().unwrap();
        if let Some(recorded) = all.iter_mut().rev().find(|recorded| recorded.id == id.into_u64()) {
            change(recorded);
        }
    }

    /// The spans of this crate.
    fn client_spans(&self) -> Vec<Recorded> {
        let all = self.0.lock().unwrap();
        all.iter().filter(|recorded| recorded.fields.contains_key("otel.kind")).cloned().collect()
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Recording {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, _: Context<'_, S>) {
        let mut recorded = Recorded { id: id.into_u64(), ..Recorded::default() };
        attributes.record(&mut Fields(&mut recorded.fields));
        self.0.lock().unwrap().push(recorded);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, _: Context<'_, S>) {
        self.change(id, |recorded| values.record(&mut Fields(&mut recorded.fields)));
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut recorded = Recorded::default();
        event.record(&mut Fields(&mut recorded.fields));
        self.0.lock().unwrap().push(recorded);
    }

    fn on_close(&self, id: Id, _: Context<'_, S>) {
        self.change(&id, |recorded| recorded.is_closed = true);
    }
}

/// Records at every level, the HTTP client's own words included.
fn record() -> (Recording, tracing::subscriber::DefaultGuard) {
    // Tests of one process share what is cached of each call site. With somebody who listens to everything, a test
    // without a recorder cannot have a call site remembered as one that nobody listens to.
    LISTENER.call_once(|| {
        let _ = tracing::subscriber::set_global_default(tracing_subscriber::registry());
    });
    let recording = Recording::default();
    let guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(recording.clone()));
    (recording, guard)
}

fn fields(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[tokio::test]
async fn a_call_leaves_a_client_span_with_the_conventional_fields() {
    let stand = Stand::start(move |seen, base| RUNWAY.good(seen, base)).await;
    let (recording, _guard) = record();
    RUNWAY.check(&stand.base()).await.unwrap();
    let spans = recording.client_spans();
    let port = stand.address.port().to_string();
    let url = format!("{}/v1/tasks/{OPERATION_ID}", stand.base());
    assert_eq!(spans.len(), 1);
    assert!(spans[0].is_closed);
    assert_eq!(
        spans[0].fields,
        fields(&[
            ("otel.kind", "client"),
            ("otel.name", "GET /v1/tasks/{id}"),
            ("http.request.method", "GET"),
            ("http.response.status_code", "200"),
            ("server.address", "127.0.0.1"),
            ("server.port", &port),
            ("url.full", &url),
            ("url.template", "/v1/tasks/{id}"),
            ("peer.service", "runway"),
        ])
    );
}

#[tokio::test]
async fn a_two_question_check_leaves_two_spans() {
    let stand = Stand::start(move |seen, base| FAL.good(seen, base)).await;
    let (recording, _guard) = record();
    FAL.check(&stand.base()).await.unwrap();
    let names: Vec<String> =
        recording.client_spans().into_iter().map(|span| span.fields["otel.name"].clone()).collect();
    assert_eq!(names, ["GET /{app}/requests/{id}/status", "GET /{app}/requests/{id}"]);
}

#[tokio::test]
async fn failures_are_marked_with_their_kind() {
    for status in [404, 503] {
        let stand = Stand::start(move |_, _| json(status, error_body("no"))).await;
        let (recording, _guard) = record();
        RUNWAY.check(&stand.base()).await.unwrap_err();
        let span = recording.client_spans().remove(0);
        assert_eq!(span.fields["otel.status_code"], "ERROR");
        assert_eq!(span.fields["error.type"], status.to_string());
    }
    let (recording, _guard) = record();
    RUNWAY.check(&format!("http://127.0.0.1:{}", free_port().await)).await.unwrap_err();
    let span = recording.client_spans().remove(0);
    assert_eq!(
        (span.fields["otel.status_code"].as_str(), span.fields["error.type"].as_str()),
        ("ERROR", "not_sent")
    );
}

#[tokio::test]
async fn the_span_of_media_lasts_as_long_as_the_media() {
    let stand = Stand::start(move |seen, base| ELEVENLABS.good(seen, base)).await;
    let (recording, _guard) = record();
    let Submitted::Bytes { body, .. } = ELEVENLABS.submit(&stand.base()).await.unwrap() else {
        panic!("accepted")
    };
    assert!(!recording.client_spans()[0].is_closed);
    collected(body).await.unwrap();
    assert!(recording.client_spans()[0].is_closed);
}

#[tokio::test]
async fn inv7_nothing_secret_is_recorded_at_any_level() {
    for adapter in [ELEVENLABS, FAL, RUNWAY] {
        let stand = Stand::start(move |seen, base| adapter.good(seen, base)).await;
        let refusing = Stand::start(|_, _| json(401, error_body(&format!("the key {KEY} is wrong")))).await;
        let (recording, _guard) = record();
        run_everything(adapter, &stand.base()).await;
        run_everything(adapter, &refusing.base()).await;
        run_everything(adapter, &format!("http://127.0.0.1:{}", free_port().await)).await;
        let said = format!("{:?}", recording.0.lock().unwrap());
        assert!(said.contains("peer.service"));
        for secret in [KEY, "0123456789abcdef", "fedcba9876543210", "very private prompt", "_jwt", "pretend"]
        {
            assert!(!said.contains(secret), "{secret} was recorded for {:?}", adapter.provider);
        }
    }
}

#[tokio::test]
async fn inv7_the_span_of_a_fetch_shows_no_signature() {
    let stand = Stand::start(|_, _| answer(200, "image/png", "bytes")).await;
    let exceptions = Exceptions::new([stand.address.to_string()]);
    let fetcher = GuardedFetcher::new(FetchSettings::default(), exceptions).unwrap();
    let (recording, _guard) = record();
    let fetched = fetcher.fetch(&format!("{}/a.png?X-Amz-Signature=abc", stand.base())).await.unwrap();
    collected(fetched.body).await.unwrap();
    let span = recording.client_spans().remove(0);
    assert_eq!(span.fields["otel.name"], "GET");
    assert_eq!(span.fields["url.full"], format!("{}/a.png", stand.base()));
    assert!(!span.fields.contains_key("peer.service"));
    assert!(!format!("{:?}", recording.client_spans()).contains("Signature"));
}

async fn run_everything(adapter: Adapter, base: &str) {
    if let Ok(Submitted::Bytes { body, .. }) = adapter.submit(base).await {
        collected(body).await.unwrap();
    }
    let _ = adapter.check(base).await;
    let _ = adapter.abandon(base).await;
}
