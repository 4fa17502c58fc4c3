//! One client for every provider: the wire says what to send and what it meant, the transport sends it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use atelier_domain::Timestamp;
use atelier_domain::error::ProviderError;
use atelier_domain::job::{JobSpec, RemoteOperation};
use atelier_domain::ports::{
    Abandoned, Callback, CallbackRefusal, CallbackRequest, Checked, Finished, InputForms, MediaProvider,
    PreparedInput, ProviderKey, SubmitCall, Submitted,
};
use bytes::Bytes;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::exchange::{HttpReply, HttpRequest, Reply};
use crate::guarded::Guarded;
use crate::message::{MESSAGE_LIMIT, finished_check, finished_error, finished_word, tidy};
use crate::transport::{Transport, TransportError};
use crate::wire::{
    Accepted, Answered, CheckStep, Endpoint, FileBytes, Look, Question, UploadStep, Wire, malformed,
};

/// How long the public keys of a provider's callbacks are kept.
const KEYS_KEPT_FOR: Duration = Duration::from_secs(24 * 3600);
/// Keys younger than this are not asked for again because a signature did not fit: forgers must not make us ask.
const KEYS_FRESH_FOR: Duration = Duration::from_secs(300);

/// A provider, ready to be called.
pub(crate) struct Client<W> {
    wire: W,
    endpoint: Endpoint,
    transport: Transport,
    foreign: Arc<Guarded>,
    callback_keys: Mutex<Option<(Instant, Bytes)>>,
}

impl<W: Wire> Client<W> {
    pub(crate) fn new(wire: W, endpoint: Endpoint, transport: Transport, foreign: Arc<Guarded>) -> Self {
        Self { wire, endpoint, transport, foreign, callback_keys: Mutex::new(None) }
    }

    async fn submit_once(&self, call: &SubmitCall, now: Timestamp) -> Result<Submitted, ProviderError> {
        let request = self.wire.encode_submit(call, &self.endpoint)?;
        let timeout = self.wire.submit_timeout(&call.spec, &self.endpoint);
        match self
            .transport
            .execute(request, timeout, Some(W::PROVIDER.as_str()))
            .await
            .map_err(failed_call)?
        {
            Reply::Media { head, body } => {
                let facts = self.wire.decode_media(&head, &call.spec)?;
                Ok(Submitted::Bytes {
                    content_type: facts.content_type,
                    body,
                    request_id: facts.request_id.map(|id| finished_word(id, &call.key)),
                    seed: facts.seed,
                    cost: facts.cost,
                })
            }
            Reply::Whole(reply) => match self.wire.decode_submit(&reply, &call.spec, &self.endpoint, now)? {
                Answered::Accepted(Accepted { remote, status }) => {
                    let status = status.map(|word| finished_word(word, &call.key));
                    Ok(Submitted::Accepted { remote, status })
                }
                Answered::Finished(finished) => {
                    let request_id = finished.request_id.map(|id| finished_word(id, &call.key));
                    Ok(Submitted::Finished(Finished { request_id, ..finished }))
                }
            },
        }
    }

    /// Brings one file to the provider's upload endpoint, if the wire wants it there.
    async fn upload(
        &self,
        file: &mut PreparedInput,
        spec: &JobSpec,
        key: &ProviderKey,
    ) -> Result<(), ProviderError> {
        let PreparedInput::Bytes { content_type, bytes } = &*file else { return Ok(()) };
        let source = FileBytes { content_type, bytes };
        let Some(request) = self.wire.encode_upload(&source, spec, key, &self.endpoint)? else {
            return Ok(());
        };
        let reply = self.ask(request, self.endpoint.upload_timeout).await?;
        let url = match self.wire.decode_upload(&reply, &source, &self.endpoint)? {
            UploadStep::Done { url } => url,
            UploadStep::Then { request, url } => {
                self.send_bytes(*request).await?;
                url
            }
        };
        *file = PreparedInput::Url(url);
        Ok(())
    }

    async fn send_bytes(&self, mut request: HttpRequest) -> Result<(), ProviderError> {
        let address = self.foreign.check(request.url.as_str()).map_err(|refusal| {
            malformed(200, &format!("it named an upload address that is refused: it {refusal}"))
        })?;
        request.url = address;
        let transport = self.foreign.for_address(&request.url);
        let sent = transport.execute(request, self.endpoint.upload_timeout, None).await;
        match sent.map_err(failed_call)? {
            Reply::Whole(reply) if reply.head.is_success() => Ok(()),
            Reply::Whole(HttpReply { head, .. }) | Reply::Media { head, .. } => {
                let message = format!("the upload was answered with HTTP {}", head.status);
                Err(ProviderError::Unavailable { message, status: head.status.to_string() })
            }
        }
    }

    async fn check_once(&self, look: &Look<'_>) -> Result<Checked, ProviderError> {
        let request = match self.wire.encode_check(look, &self.endpoint)? {
            Question::Ask(request) => request,
            Question::Known(found) => return Ok(found),
        };
        let reply = self.ask(request, self.endpoint.check_timeout).await?;
        match self.wire.decode_check(&reply, look, &self.endpoint)? {
            CheckStep::Done(found) => Ok(found),
            CheckStep::Then { request, decode } => {
                decode(&self.ask(*request, self.endpoint.check_timeout).await?)
            }
        }
    }

    async fn abandon_once(&self, look: &Look<'_>) -> Result<Abandoned, ProviderError> {
        match self.wire.encode_abandon(look, &self.endpoint)? {
            None => Ok(Abandoned::NotSupported),
            Some(request) => {
                let reply = self.ask(request, self.endpoint.abandon_timeout).await?;
                self.wire.decode_abandon(&reply)
            }
        }
    }

    async fn ask(
        &self,
        request: HttpRequest,
        timeout: std::time::Duration,
    ) -> Result<HttpReply, ProviderError> {
        match self
            .transport
            .execute(request, timeout, Some(W::PROVIDER.as_str()))
            .await
            .map_err(failed_call)?
        {
            Reply::Whole(reply) => Ok(reply),
            Reply::Media { head, .. } => {
                Err(malformed(head.status, "media came where a short answer was expected"))
            }
        }
    }
}

#[async_trait]
impl<W: Wire> MediaProvider for Client<W> {
    fn input_forms(&self, spec: &JobSpec, option: Option<&str>) -> InputForms {
        self.wire.input_forms(spec, option)
    }

    async fn upload_inputs(&self, mut call: SubmitCall) -> Result<SubmitCall, ProviderError> {
        let finished = |error| finished_error(error, &call.key);
        if let Some(input) = &mut call.input {
            self.upload(input, &call.spec, &call.key).await.map_err(finished)?;
        }
        for file in call.files.values_mut() {
            self.upload(file, &call.spec, &call.key).await.map_err(finished)?;
        }
        Ok(call)
    }

    async fn submit(&self, call: SubmitCall, now: Timestamp) -> Result<Submitted, ProviderError> {
        self.submit_once(&call, now).await.map_err(|error| finished_error(error, &call.key))
    }

    async fn check(
        &self,
        spec: &JobSpec,
        remote: &RemoteOperation,
        key: &ProviderKey,
    ) -> Result<Checked, ProviderError> {
        let found = self.check_once(&Look { spec, remote, key }).await;
        found.map(|found| finished_check(found, key)).map_err(|error| finished_error(error, key))
    }

    async fn abandon(
        &self,
        spec: &JobSpec,
        remote: &RemoteOperation,
        key: &ProviderKey,
    ) -> Result<Abandoned, ProviderError> {
        self.abandon_once(&Look { spec, remote, key }).await.map_err(|error| finished_error(error, key))
    }
}

/// Judges the callbacks of one provider.
#[async_trait]
pub(crate) trait Judge: Send + Sync {
    async fn judge(&self, request: &CallbackRequest, now: Timestamp) -> Result<Callback, CallbackRefusal>;
}

#[async_trait]
impl<W: Wire> Judge for Client<W> {
    async fn judge(&self, request: &CallbackRequest, now: Timestamp) -> Result<Callback, CallbackRefusal> {
        let Some(asking) = self.wire.callback_keys(&self.endpoint) else {
            return self.wire.decode_callback(request, None, now);
        };
        // Held while the keys are asked for, so that many callbacks ask once.
        let mut kept = self.callback_keys.lock().await;
        if let Some((since, keys)) = kept.as_ref().filter(|(since, _)| since.elapsed() < KEYS_KEPT_FOR) {
            let judged = self.wire.decode_callback(request, Some(keys), now);
            if judged.is_ok() || since.elapsed() < KEYS_FRESH_FOR {
                return judged;
            }
        }
        let keys = self.read_keys(asking).await?;
        let judged = self.wire.decode_callback(request, Some(&keys), now);
        *kept = Some((Instant::now(), keys));
        judged
    }
}

impl<W: Wire> Client<W> {
    async fn read_keys(&self, asking: HttpRequest) -> Result<Bytes, CallbackRefusal> {
        let unavailable = |reason: String| CallbackRefusal::Unavailable { reason };
        let asked = self.ask(asking, self.endpoint.check_timeout).await;
        let reply = asked.map_err(|error| unavailable(tidy(&error.to_string(), MESSAGE_LIMIT)))?;
        if !reply.head.is_success() || reply.is_cut {
            return Err(unavailable(format!("the keys were answered with HTTP {}", reply.head.status)));
        }
        Ok(reply.body)
    }
}

fn failed_call(error: TransportError) -> ProviderError {
    match error {
        TransportError::NotSent { message } => ProviderError::NotSent { message },
        TransportError::Private(private) => ProviderError::NotSent { message: private.to_string() },
        TransportError::Lost { message } => ProviderError::UnknownOutcome { message },
    }
}
