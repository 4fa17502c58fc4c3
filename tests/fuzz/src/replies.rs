//! A provider's reply: any bytes, read as a fixture is written, by every provider and as the answer to everything.

use std::sync::LazyLock;

use atelier_domain::catalogue::Catalogue;
use atelier_domain::error::ProviderError;
use atelier_domain::operation::{Operation, Provider};
use atelier_domain::ports::{CallbackRequest, SubmitCall};
use atelier_providers::{Protocol, ProviderSettings, Reading, protocol};

use crate::samples;

struct Subject {
    protocol: Box<dyn Protocol>,
    /// One call an operation: the first of the catalogue, else one that the catalogue does not know.
    calls: Vec<SubmitCall>,
}

static SUBJECTS: LazyLock<Vec<Subject>> = LazyLock::new(|| {
    let catalogue = Catalogue::builtin().ok();
    let settings = ProviderSettings::default();
    let subject = |provider: &Provider| {
        let protocol = protocol(*provider, &settings).ok()?;
        let known =
            catalogue.as_ref().map(|catalogue| samples::calls(catalogue, *provider, protocol.as_ref()));
        let mut calls: Vec<SubmitCall> = Vec::new();
        for call in known.into_iter().flatten() {
            if calls.iter().all(|other| other.spec.operation != call.spec.operation) {
                calls.push(call);
            }
        }
        if calls.is_empty() {
            calls.push(samples::bare_call(*provider, Operation::ImageGen));
        }
        Some(Subject { protocol, calls })
    };
    Provider::ALL.iter().filter_map(subject).collect()
});

pub(crate) fn attack(data: &[u8]) {
    assert_eq!(SUBJECTS.len(), Provider::ALL.len(), "every provider is attacked");
    let reply = samples::reply(data);
    let (remote, now) = (samples::remote(), samples::now());
    let callback = CallbackRequest {
        headers: reply
            .head
            .headers
            .iter()
            .filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned())))
            .collect(),
        body: reply.body.clone(),
    };
    for Subject { protocol, calls } in SUBJECTS.iter() {
        // One call a try, or most of the time would go into reading the same again.
        if let Some(call) = calls.get(data.len() % calls.len().max(1)) {
            for reading in Reading::ALL {
                let Err(error) = protocol.read(reading, call, &remote, &reply, &reply, now) else { continue };
                assert!(!error.to_string().contains(samples::KEY), "an error shows the key");
                let is_taken_back = matches!(
                    error,
                    ProviderError::NotSent { .. }
                        | ProviderError::RateLimited { .. }
                        | ProviderError::Unavailable { .. }
                );
                let is_paid_for =
                    reply.head.is_success() && matches!(reading, Reading::Submit | Reading::Media);
                assert!(!(is_paid_for && is_taken_back), "a 2xx would be paid for again");
            }
        }
        for keys in [None, Some(reply.body.as_ref())] {
            let _ = protocol.judge(&callback, keys, now);
        }
    }
}
