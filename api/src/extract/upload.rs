//! A form whose file is streamed: what is held of it is the piece that has just come.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use atelier_domain::ports::{ByteStream, SourceBroken};
use atelier_domain::request::FieldError;
use axum::body::Body;
use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use futures::{Stream, StreamExt as _, stream};
use http::header::{CONTENT_LENGTH, EXPECT};
use http_body_util::BodyExt as _;
use multer::{Constraints, Field, Multipart, SizeLimit};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::body::{DRAINED_BYTES, multer_boundary, number};
use crate::error::ApiError;
use crate::state::ApiState;

/// What a form may have beside its file: heads of parts, a name, metadata.
const REST_BYTES: u64 = 1024 * 1024;
/// Largest part but for the file.
const SMALL_PART_BYTES: u64 = 64 * 1024;
/// What the reader of the form may hold back before it is stopped: a form without any part would be held as a whole.
const HELD_BYTES: u64 = 1024 * 1024;
/// However slowly it comes: 500 MiB at 1.2 Mbit/s.
const LONGEST: Duration = Duration::from_secs(3_600);

/// A form with a file that is yet to come.
pub(crate) struct UploadForm {
    form: Multipart<'static>,
    incoming: Arc<Incoming>,
}

impl FromRequest<ApiState> for UploadForm {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &ApiState) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        let Some(boundary) = multer_boundary(&parts.headers)? else {
            return Err(ApiError::bad_request(
                "the header `Content-Type` must be multipart/form-data; a form with the part `file` was expected",
            ));
        };
        let incoming = Arc::new(Incoming {
            body: Mutex::new(body),
            is_awaited: parts.headers.contains_key(EXPECT),
            limit_bytes: state.settings.upload_limit_bytes,
            idle: state.settings.body_timeout(),
            ends: Instant::now() + LONGEST,
            pulled: AtomicU64::new(0),
            handed: AtomicU64::new(0),
            fault: OnceLock::new(),
        });
        let announced = number(&parts.headers, CONTENT_LENGTH.as_str()).unwrap_or(0);
        if announced as u64 > incoming.limit_bytes.saturating_add(REST_BYTES) {
            incoming.drain(announced as u64).await;
            return Err(Fault::TooLarge.refusal(&incoming));
        }
        let sizes = SizeLimit::new().per_field(SMALL_PART_BYTES).for_field("file", u64::MAX);
        let constraints = Constraints::new().size_limit(sizes);
        let form = Multipart::with_constraints(pieces(Arc::clone(&incoming)), boundary, constraints);
        Ok(Self { form, incoming })
    }
}

impl UploadForm {
    /// The next part; `None` at the end of the form.
    pub(crate) async fn next(&mut self) -> Result<Option<Field<'static>>, ApiError> {
        self.form.next_field().await.map_err(|error| self.refusal(&error))
    }

    /// A small part, as a whole.
    pub(crate) async fn small(&self, part: Field<'static>) -> Result<Bytes, ApiError> {
        part.bytes().await.map_err(|error| self.refusal(&error))
    }

    /// The bytes of the file. Why they broke off, if they do, [`UploadForm::fault`] tells.
    pub(crate) fn file(&self, part: Field<'static>) -> ByteStream {
        let incoming = Arc::clone(&self.incoming);
        let mut length_bytes = 0u64;
        Box::pin(part.map(move |piece| {
            let piece = piece.map_err(|error| {
                let _ = incoming.fault.set(Fault::Broken);
                SourceBroken { message: error.to_string() }
            })?;
            length_bytes = length_bytes.saturating_add(piece.len() as u64);
            incoming.handed.fetch_add(piece.len() as u64, Ordering::Relaxed);
            if length_bytes > incoming.limit_bytes {
                let _ = incoming.fault.set(Fault::TooLarge);
                return Err(SourceBroken { message: "it is larger than the limit".to_owned() });
            }
            Ok(piece)
        }))
    }

    /// Why the body ended before its end.
    pub(crate) fn fault(&self) -> ApiError {
        self.incoming.fault.get().copied().unwrap_or(Fault::Broken).refusal(&self.incoming)
    }

    /// Reads a refused body on for a while: closing on a caller that still sends would lose the answer.
    pub(crate) async fn drain(self) {
        let Self { form, incoming } = self;
        drop(form);
        // Nothing more will come, or too slowly.
        if !matches!(incoming.fault.get(), Some(Fault::Broken | Fault::Idle | Fault::Late)) {
            incoming.drain(0).await;
        }
    }

    fn refusal(&self, error: &multer::Error) -> ApiError {
        match (self.incoming.fault.get(), error) {
            (Some(fault), _) => fault.refusal(&self.incoming),
            (None, multer::Error::FieldSizeExceeded { limit, field_name }) => {
                let part = field_name.as_deref().unwrap_or_default();
                ApiError::bad_request(format!("the part `{part}` is larger than {limit} bytes"))
            }
            (None, error) => ApiError::bad_request(format!("the form cannot be read: {error}")),
        }
    }
}

/// The body of the request, and what is known of it so far.
struct Incoming {
    body: Mutex<Body>,
    /// The caller sends nothing before it is asked to.
    is_awaited: bool,
    limit_bytes: u64,
    idle: Duration,
    ends: Instant,
    /// Bytes that have come.
    pulled: AtomicU64,
    /// Bytes of the file that were handed on.
    handed: AtomicU64,
    fault: OnceLock<Fault>,
}

/// Why a body is not read to its end.
#[derive(Debug, Clone, Copy)]
enum Fault {
    TooLarge,
    Idle,
    Late,
    Headless,
    Broken,
}

impl Fault {
    fn refusal(self, incoming: &Incoming) -> ApiError {
        let limit = incoming.limit_bytes;
        match self {
            Self::TooLarge => ApiError::fields(&[FieldError::new(
                "file",
                format!("is larger than {limit} bytes"),
                format!("a file of at most {limit} bytes"),
            )]),
            Self::Idle => ApiError::bad_request(format!(
                "nothing more of the body came for {} seconds",
                incoming.idle.as_secs_f64()
            )),
            Self::Late => {
                ApiError::bad_request(format!("the body did not arrive within {} seconds", LONGEST.as_secs()))
            }
            Self::Headless => ApiError::bad_request("the form cannot be read: no part of it begins"),
            Self::Broken => ApiError::bad_request("the body broke off"),
        }
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the body is not read on")
    }
}

impl std::error::Error for Fault {}

impl Incoming {
    async fn pull(&self) -> Result<Option<Bytes>, Fault> {
        let pulled = self.pulled.load(Ordering::Relaxed);
        if pulled > self.limit_bytes.saturating_add(REST_BYTES) {
            return Err(Fault::TooLarge);
        }
        if pulled.saturating_sub(self.handed.load(Ordering::Relaxed)) > HELD_BYTES {
            return Err(Fault::Headless);
        }
        let mut body = self.body.lock().await;
        let until = self.ends.min(Instant::now() + self.idle);
        loop {
            match tokio::time::timeout_at(until, body.frame()).await {
                Err(_) if Instant::now() >= self.ends => return Err(Fault::Late),
                Err(_) => return Err(Fault::Idle),
                Ok(None) => return Ok(None),
                Ok(Some(Err(_))) => return Err(Fault::Broken),
                Ok(Some(Ok(frame))) => {
                    if let Ok(data) = frame.into_data() {
                        self.pulled.fetch_add(data.len() as u64, Ordering::Relaxed);
                        return Ok(Some(data));
                    }
                }
            }
        }
    }

    /// A body that is announced to be longer than what would be read anyhow is not read at all.
    async fn drain(&self, announced: u64) {
        let limit = DRAINED_BYTES as u64;
        if self.is_awaited || announced > limit.saturating_add(self.limit_bytes) {
            return;
        }
        let mut body = self.body.lock().await;
        let reading = async {
            let mut length = 0u64;
            while let Some(Ok(frame)) = body.frame().await
                && length < limit
            {
                length += frame.into_data().map_or(0, |data| data.len() as u64);
            }
        };
        let _ = tokio::time::timeout(self.idle, reading).await;
    }
}

/// The body in pieces, one at a time: the reader of forms takes all that is ready, which of a quick caller is the whole
/// file, so that nothing is ready right after a piece.
fn pieces(incoming: Arc<Incoming>) -> impl Stream<Item = Result<Bytes, Fault>> + Send + 'static {
    stream::unfold(Some(incoming), |incoming| async move {
        let incoming = incoming?;
        tokio::task::yield_now().await;
        match incoming.pull().await {
            Ok(piece) => piece.map(|piece| (Ok(piece), Some(incoming))),
            Err(fault) => {
                let _ = incoming.fault.set(fault);
                Some((Err(fault), None))
            }
        }
    })
}
