//! One way to call the store: a client span, a time limit, and errors that say what happened.

use std::future::Future;
use std::time::Duration;

use atelier_domain::error::chain;
use atelier_domain::ports::{BoxError, PutError};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::RequestId;
use tracing::field::Empty;
use tracing::{Instrument, Span};

/// Why a call failed. It never holds a URL, a header or a reply's body, also not in its `Debug`.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    /// The store answered and said no.
    #[error("S3 {method} was refused with {code} (status {status})")]
    Refused {
        method: &'static str,
        code: String,
        status: u16,
        #[source]
        source: BoxError,
    },
    /// No usable answer. The store may or may not have done it.
    #[error("S3 {method} got no answer")]
    NoAnswer {
        method: &'static str,
        kind: &'static str,
        #[source]
        source: BoxError,
    },
    /// No answer within our own limit. The store may or may not have done it.
    #[error("S3 {method} took longer than {} ms", limit.as_millis())]
    TooSlow { method: &'static str, limit: Duration },
}

impl CallError {
    /// Value of `error.type`: the store's code or one of our words.
    pub(crate) fn label(&self) -> &str {
        match self {
            Self::Refused { code, .. } => code,
            Self::NoAnswer { kind, .. } => kind,
            Self::TooSlow { .. } => "timeout",
        }
    }

    /// Whether the store said that what was asked for is not there. `HEAD` answers have no code but a status.
    pub(crate) fn is_missing(&self) -> bool {
        match self {
            Self::Refused { code, status, .. } => *status == 404 && code != "NoSuchBucket",
            Self::NoAnswer { .. } | Self::TooSlow { .. } => false,
        }
    }

    /// Whether the store certainly did not do it. A retry by the SDK may end in a 5xx after a lost success.
    pub(crate) fn is_certain(&self) -> bool {
        match self {
            Self::Refused { status, .. } => (400..500).contains(status),
            Self::NoAnswer { .. } | Self::TooSlow { .. } => false,
        }
    }

    /// Whether the store answered with this status.
    pub(crate) fn has_status(&self, expected: u16) -> bool {
        match self {
            Self::Refused { status, .. } => *status == expected,
            Self::NoAnswer { .. } | Self::TooSlow { .. } => false,
        }
    }
}

impl From<CallError> for PutError {
    fn from(error: CallError) -> Self {
        Self::Unavailable(Box::new(error))
    }
}

/// What a call is about, as its span shows it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call<'a> {
    /// `PutObject` and the like.
    pub(crate) method: &'static str,
    pub(crate) bucket: &'a str,
    pub(crate) region: &'a str,
    pub(crate) key: Option<&'a str>,
    pub(crate) upload_id: Option<&'a str>,
    pub(crate) part_number: Option<i32>,
    pub(crate) limit: Duration,
}

/// Sends one call within its span and its limit.
pub(crate) async fn run<T, E>(
    call: Call<'_>,
    sending: impl Future<Output = Result<T, SdkError<E>>>,
) -> Result<T, CallError>
where
    T: RequestId,
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let span = call.span();
    let outcome = tokio::time::timeout(call.limit, sending).instrument(span.clone()).await;
    let result = match outcome {
        Err(_) => Err(CallError::TooSlow { method: call.method, limit: call.limit }),
        Ok(Err(error)) => Err(classify(call.method, error, &span)),
        Ok(Ok(output)) => {
            record_request_id(&span, output.request_id());
            Ok(output)
        }
    };
    if let Err(error) = &result {
        span.record("error.type", error.label());
        // A missing object is an answer; the callers that ask for one decide whether it is an error.
        if !error.is_missing() {
            span.record("otel.status_code", "ERROR");
            span.record("otel.status_description", tracing::field::display(error));
        }
    }
    result
}

impl Call<'_> {
    fn span(&self) -> Span {
        tracing::info_span!(
            "s3",
            "otel.name" = %format_args!("S3/{}", self.method),
            "otel.kind" = "client",
            "otel.status_code" = Empty,
            "otel.status_description" = Empty,
            "rpc.system.name" = "aws-api",
            "rpc.method" = self.method,
            "aws.s3.bucket" = self.bucket,
            "aws.s3.key" = self.key,
            "aws.s3.upload_id" = self.upload_id,
            "aws.s3.part_number" = self.part_number,
            "aws.request_id" = Empty,
            "cloud.region" = self.region,
            "error.type" = Empty,
        )
    }
}

fn record_request_id(span: &Span, request_id: Option<&str>) {
    if let Some(request_id) = request_id {
        span.record("aws.request_id", request_id);
    }
}

fn classify<E>(method: &'static str, error: SdkError<E>, span: &Span) -> CallError
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let kind = match &error {
        // A success that cannot be read is no refusal, unless its body holds an error, as that of a join may.
        SdkError::ServiceError(reply)
            if reply.raw().status().is_success() && reply.err().code().is_none() =>
        {
            "response"
        }
        SdkError::ServiceError(refusal) => {
            let status = refusal.raw().status().as_u16();
            let code = match (refusal.err().code(), status) {
                (Some(code), _) => code,
                (None, 404) => "NotFound",
                (None, _) => "unknown",
            };
            record_request_id(span, refusal.err().meta().request_id());
            return CallError::Refused { method, code: code.to_owned(), status, source: text_of(&error) };
        }
        SdkError::ConstructionFailure(_) => "construction",
        SdkError::TimeoutError(_) => "timeout",
        SdkError::DispatchFailure(failure) if failure.is_timeout() => "timeout",
        SdkError::DispatchFailure(failure) if failure.is_io() => "connection",
        SdkError::DispatchFailure(_) => "dispatch",
        SdkError::ResponseError(_) => "response",
        _ => "unknown",
    };
    CallError::NoAnswer { method, kind, source: text_of(&error) }
}

/// The SDK's error and its causes as text. The error itself would keep the reply, body included.
fn text_of(error: &dyn std::error::Error) -> BoxError {
    chain(error).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(code: &str, status: u16) -> CallError {
        CallError::Refused { method: "GetObject", code: code.to_owned(), status, source: "no".into() }
    }

    #[test]
    fn a_missing_bucket_is_no_missing_object() {
        assert!(refused("NoSuchKey", 404).is_missing());
        assert!(refused("NotFound", 404).is_missing());
        assert!(!refused("NoSuchBucket", 404).is_missing());
        assert!(!refused("AccessDenied", 403).is_missing());
    }

    #[test]
    fn only_a_refusal_for_cause_is_certain() {
        let too_slow = CallError::TooSlow { method: "PutObject", limit: Duration::from_secs(1) };
        assert!(refused("AccessDenied", 403).is_certain());
        assert!(!refused("SlowDown", 503).is_certain());
        assert!(!too_slow.is_certain());
    }
}
