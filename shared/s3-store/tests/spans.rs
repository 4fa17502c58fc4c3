//! What a trace shows of the store, and what it must not show.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use atelier_domain::ports::AssetStore;
use atelier_s3_store::S3Store;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Instrument, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

use crate::bench::{ACCESS_KEY, Bench, PART, SECRET_KEY, asset, settings};
use crate::fault_proxy::{Fault, FaultProxy};
use crate::media::{image, mp4, png, source, video};

type Fields = BTreeMap<String, String>;

/// Keeps the spans of the store with the name of the span they lie in.
#[derive(Clone, Default)]
struct Recorder(Arc<Mutex<Vec<(u64, Fields)>>>);

struct Collect<'a>(&'a mut Fields);

impl Visit for Collect<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.to_owned());
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Recorder {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if attributes.metadata().target().starts_with("atelier_s3_store") {
            let mut fields = Fields::new();
            attributes.record(&mut Collect(&mut fields));
            let parent = context.span_scope(id).and_then(|mut scope| scope.nth(1));
            fields.insert("parent".to_owned(), parent.map_or("", |span| span.name()).to_owned());
            self.0.lock().unwrap().push((id.into_u64(), fields));
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, _: Context<'_, S>) {
        let mut spans = self.0.lock().unwrap();
        if let Some((_, fields)) = spans.iter_mut().rev().find(|(known, _)| *known == id.into_u64()) {
            values.record(&mut Collect(fields));
        }
    }
}

impl Recorder {
    fn named(&self, name: &str) -> Vec<Fields> {
        let spans = self.0.lock().unwrap();
        spans.iter().map(|(_, fields)| fields).filter(|fields| fields["otel.name"] == name).cloned().collect()
    }
}

#[tokio::test]
async fn each_call_is_a_client_span_below_the_callers() {
    let recorder = Recorder::default();
    let _guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(recorder.clone()));
    let bench = Bench::start().await;
    let store = bench.store().await;
    store.put(video(), source(mp4(PART + 10))).instrument(tracing::info_span!("step.deliver")).await.unwrap();

    let parts = recorder.named("S3/UploadPart");
    assert_eq!(parts.iter().map(|part| part["aws.s3.part_number"].as_str()).collect::<Vec<_>>(), ["1", "2"]);
    for name in ["S3/CreateMultipartUpload", "S3/UploadPart", "S3/CompleteMultipartUpload"] {
        for span in recorder.named(name) {
            assert_eq!(span["parent"], "step.deliver", "{name}");
            assert_eq!(span["otel.kind"], "client");
            assert_eq!(span["rpc.system.name"], "aws-api");
            assert_eq!(format!("S3/{}", span["rpc.method"]), name);
            assert_eq!(span["aws.s3.bucket"], "media");
            assert_eq!(span["aws.s3.key"], "acme/2026/11/22/job/0.mp4");
            assert!(!span.contains_key("error.type"), "{span:?}");
        }
    }
    assert!(!recorder.named("S3/CompleteMultipartUpload")[0]["aws.s3.upload_id"].is_empty());
}

#[tokio::test]
async fn a_refusal_is_an_error_of_its_own_type() {
    let recorder = Recorder::default();
    let _guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(recorder.clone()));
    let bench = Bench::start().await;
    let proxy = FaultProxy::start(bench.server.address()).await;
    let store = S3Store::connect(settings(&proxy.base_url())).await.unwrap();
    proxy.on("PUT", "0.png", Fault::SlowDown, usize::MAX);
    store.put(image(), source(png(10))).await.unwrap_err();
    let span = &recorder.named("S3/PutObject")[0];
    assert_eq!(span["error.type"], "SlowDown");
    assert_eq!(span["otel.status_code"], "ERROR");
}

#[tokio::test]
async fn inv7_no_span_holds_a_credential_or_a_signed_url() {
    let recorder = Recorder::default();
    let _guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(recorder.clone()));
    let bench = Bench::start().await;
    let store = bench.store().await;
    let stored = store.put(image(), source(png(10))).await.unwrap();
    let url = store.signed_url(&asset(&stored), Duration::from_secs(60)).await.unwrap();
    store.read(&stored.key, 1_000).await.unwrap();
    store.remove(&stored.key).await.unwrap();
    let all = format!("{:?}", recorder.0.lock().unwrap());
    let signature = url.split("X-Amz-Signature=").nth(1).unwrap();
    for secret in [ACCESS_KEY, SECRET_KEY, signature, "X-Amz-"] {
        assert!(!all.contains(secret), "{secret} in {all}");
    }
}
