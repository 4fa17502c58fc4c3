//! A provider's protocol without a network: what property tests, fuzzing and benches reach. The programs use
//! [`crate::Registry`].

use std::hint::black_box;

use atelier_domain::Timestamp;
use atelier_domain::error::ProviderError;
use atelier_domain::job::{JobSpec, RemoteOperation};
use atelier_domain::operation::Provider;
use atelier_domain::ports::{
    Callback, CallbackRefusal, CallbackRequest, InputForms, PreparedInput, SubmitCall,
};

use crate::exchange::{HttpReply, HttpRequest};
use crate::message::{finished_check, finished_error};
use crate::settings::{ProviderSettings, SetupError};
use crate::wire::{CheckStep, Endpoint, FileBytes, Look, Question, Wire};
use crate::wires::{WireUse, with_wire};

/// Which request is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writing {
    /// The first of an upload of the call's input.
    Upload,
    /// The paid call.
    Submit,
    /// The first of a status check.
    Check,
    /// The cancel.
    Abandon,
}

/// What a reply is read as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// The answer to the first request of an upload.
    Upload,
    /// The answer to a paid call, read whole.
    Submit,
    /// The head of an answer that holds the media.
    Media,
    /// The answer to the first question of a check and, where there is a second question, to that too.
    Check,
    /// The answer to a cancel.
    Abandon,
}

impl Writing {
    /// Every request.
    pub const ALL: [Self; 4] = [Self::Upload, Self::Submit, Self::Check, Self::Abandon];
}

impl Reading {
    /// Every reading.
    pub const ALL: [Self; 5] = [Self::Upload, Self::Submit, Self::Media, Self::Check, Self::Abandon];
}

/// The pure translations of one provider.
pub trait Protocol: Send + Sync {
    /// In which forms the call takes a file: the job's input (`None`) or that of an option.
    fn input_forms(&self, spec: &JobSpec, option: Option<&str>) -> InputForms;

    /// The request; `None` where the provider needs none.
    fn write(
        &self,
        writing: Writing,
        call: &SubmitCall,
        remote: &RemoteOperation,
    ) -> Result<Option<HttpRequest>, ProviderError>;

    /// Reads a reply, and makes its error fit to be shown as every caller of the provider does. `second` answers the
    /// second question of a check, if one is asked.
    fn read(
        &self,
        reading: Reading,
        call: &SubmitCall,
        remote: &RemoteOperation,
        reply: &HttpReply,
        second: &HttpReply,
        now: Timestamp,
    ) -> Result<(), ProviderError>;

    /// Judges a callback, with the document of the provider's public keys where it has one.
    fn judge(
        &self,
        request: &CallbackRequest,
        keys: Option<&[u8]>,
        now: Timestamp,
    ) -> Result<Callback, CallbackRefusal>;
}

/// The protocol of a provider under these settings.
pub fn protocol(provider: Provider, settings: &ProviderSettings) -> Result<Box<dyn Protocol>, SetupError> {
    let endpoint = settings.endpoint(provider).map_err(SetupError::Settings)?;
    Ok(with_wire(provider, settings, DryParts { endpoint }))
}

struct Dry<W> {
    wire: W,
    endpoint: Endpoint,
}

/// What a protocol without a network has besides its wire.
struct DryParts {
    endpoint: Endpoint,
}

impl WireUse for DryParts {
    type Made = Box<dyn Protocol>;

    fn with<W: Wire>(self, wire: W) -> Self::Made {
        Box::new(Dry { wire, endpoint: self.endpoint })
    }
}

impl<W: Wire> Protocol for Dry<W> {
    fn input_forms(&self, spec: &JobSpec, option: Option<&str>) -> InputForms {
        self.wire.input_forms(spec, option)
    }

    fn write(
        &self,
        writing: Writing,
        call: &SubmitCall,
        remote: &RemoteOperation,
    ) -> Result<Option<HttpRequest>, ProviderError> {
        let look = Look { spec: &call.spec, remote, key: &call.key };
        match writing {
            Writing::Upload => match &call.input {
                Some(PreparedInput::Bytes { content_type, bytes }) => {
                    let file = FileBytes { content_type, bytes };
                    self.wire.encode_upload(&file, &call.spec, &call.key, &self.endpoint)
                }
                Some(PreparedInput::Url(_)) | None => Ok(None),
            },
            Writing::Submit => self.wire.encode_submit(call, &self.endpoint).map(Some),
            Writing::Check => match self.wire.encode_check(&look, &self.endpoint)? {
                Question::Ask(request) => Ok(Some(request)),
                Question::Known(_) => Ok(None),
            },
            Writing::Abandon => self.wire.encode_abandon(&look, &self.endpoint),
        }
    }

    fn read(
        &self,
        reading: Reading,
        call: &SubmitCall,
        remote: &RemoteOperation,
        reply: &HttpReply,
        second: &HttpReply,
        now: Timestamp,
    ) -> Result<(), ProviderError> {
        let look = Look { spec: &call.spec, remote, key: &call.key };
        let outcome = match reading {
            Reading::Upload => {
                let (content_type, bytes) = match &call.input {
                    Some(PreparedInput::Bytes { content_type, bytes }) => (content_type.as_str(), bytes),
                    Some(PreparedInput::Url(_)) | None => ("image/png", &reply.body),
                };
                let file = FileBytes { content_type, bytes };
                self.wire.decode_upload(reply, &file, &self.endpoint).map(seen)
            }
            Reading::Submit => self.wire.decode_submit(reply, &call.spec, &self.endpoint, now).map(seen),
            Reading::Media => self.wire.decode_media(&reply.head, &call.spec).map(seen),
            Reading::Check => self.check(&look, reply, second),
            Reading::Abandon => self.wire.decode_abandon(reply).map(seen),
        };
        outcome.map_err(|error| finished_error(error, &call.key))
    }

    fn judge(
        &self,
        request: &CallbackRequest,
        keys: Option<&[u8]>,
        now: Timestamp,
    ) -> Result<Callback, CallbackRefusal> {
        self.wire.decode_callback(request, keys, now)
    }
}

impl<W: Wire> Dry<W> {
    fn check(&self, look: &Look<'_>, reply: &HttpReply, second: &HttpReply) -> Result<(), ProviderError> {
        let found = match self.wire.decode_check(reply, look, &self.endpoint)? {
            CheckStep::Done(found) => found,
            CheckStep::Then { decode, .. } => decode(second)?,
        };
        seen(finished_check(found, look.key));
        Ok(())
    }
}

/// What was read is made in full, although nobody looks at it.
fn seen<T>(value: T) {
    black_box(value);
}
