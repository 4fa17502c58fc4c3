//! One client for every provider: the wire says what to send and what it meant, the transport sends it.

use std::sync::Arc;

use async_trait::async_trait;
use atelier_domain::Timestamp;
use atelier_domain::error::ProviderError;
use atelier_domain::job::{JobSpec, RemoteOperation};
use atelier_domain::ports::{Abandoned, Checked, MediaProvider, ProviderKey, SubmitCall, Submitted};

use crate::exchange::{HttpReply, HttpRequest, Reply};
use crate::message::{finished_check, finished_error, finished_word};
use crate::transport::{Transport, TransportError};
use crate::wire::{Accepted, CheckStep, Endpoint, Look, Wire, malformed};

/// A provider, ready to be called.
pub(crate) struct Client<W> {
    wire: W,
    endpoint: Endpoint,
    transport: Arc<Transport>,
}

impl<W: Wire> Client<W> {
    pub(crate) fn new(wire: W, endpoint: Endpoint, transport: Arc<Transport>) -> Self {
        Self { wire, endpoint, transport }
    }

    async fn submit_once(&self, call: &SubmitCall, now: Timestamp) -> Result<Submitted, ProviderError> {
        let request = self.wire.encode_submit(call, &self.endpoint)?;
        let timeout = self.endpoint.submit_timeout;
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
                    cost: facts.cost,
                })
            }
            Reply::Whole(reply) => {
                let Accepted { remote, status } = self.wire.decode_submit(&reply, &self.endpoint, now)?;
                Ok(Submitted::Accepted { remote, status: status.map(|word| finished_word(word, &call.key)) })
            }
        }
    }

    async fn check_once(&self, look: &Look<'_>) -> Result<Checked, ProviderError> {
        let request = self.wire.encode_check(look, &self.endpoint)?;
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

fn failed_call(error: TransportError) -> ProviderError {
    match error {
        TransportError::NotSent { message } => ProviderError::NotSent { message },
        TransportError::Private(private) => ProviderError::NotSent { message: private.to_string() },
        TransportError::Lost { message } => ProviderError::UnknownOutcome { message },
    }
}
