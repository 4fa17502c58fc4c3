//! What a request leaves in the log.

use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use axum::body::Body;
use tracing_subscriber::fmt::MakeWriter;

use crate::fakes::{Api, image, request};

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'w> MakeWriter<'w> for Lines {
    type Writer = Self;

    fn make_writer(&'w self) -> Self {
        self.clone()
    }
}

impl Lines {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

#[tokio::test]
async fn a_request_is_one_line_with_its_facts_and_no_secret() {
    let lines = Lines::default();
    let subscriber = tracing_subscriber::fmt().with_writer(lines.clone()).with_ansi(false).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let api = Api::default();
    let id = api.admitted(&image()).await;
    api.get(&format!("/api/v1/media/jobs/{id}?wait=0&colour=crimson")).await;
    api.send(request("GET", "/api/v1/media/jobs", &[("x-api-key", "guessed-key")], Body::empty())).await;
    api.send(request("GET", "/healthz", &[], Body::empty())).await;

    let text = lines.text();
    let answered: Vec<&str> = text.lines().filter(|line| line.contains("request answered")).collect();
    assert_eq!(answered.len(), 3, "one line a request, none for probes: {text}");
    for (line, facts) in answered.iter().zip([
        ["\"POST\"", "\"/api/v1/media/jobs\"", "=201", "\"acme\""],
        ["\"GET\"", "\"/api/v1/media/jobs/{id}\"", "=400", "\"acme\""],
        ["\"GET\"", "\"/api/v1/media/jobs\"", "=401", "duration_ms="],
    ]) {
        assert!(facts.iter().all(|fact| line.contains(fact)), "{line}");
    }
    assert!(text.contains("job admitted") && text.contains(&id), "{text}");
    for secret in ["acme-key", "guessed-key", "fox", "crimson"] {
        assert!(!text.contains(secret), "{secret} stands in the log: {text}");
    }
}

#[tokio::test]
async fn a_store_that_is_away_is_logged_once_with_its_cause() {
    let lines = Lines::default();
    let subscriber = tracing_subscriber::fmt().with_writer(lines.clone()).with_ansi(false).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let api = Api::default();
    api.store.jobs_are_down.store(true, Ordering::SeqCst);
    api.post("/api/v1/media/jobs", &image()).await;
    let text = lines.text();
    assert_eq!(text.matches("a store does not answer").count(), 1, "{text}");
    assert!(text.contains("the job store is not available: connection refused"), "{text}");
}
