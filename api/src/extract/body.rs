//! A request's body within its limits of size, time and memory: JSON, or a form with a JSON part and files.

use std::convert::Infallible;

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use futures::Stream;
use http::HeaderMap;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, EXPECT};
use http_body_util::BodyExt as _;
use serde_json::Value;

use super::attached::{self, RawFile};
use crate::error::ApiError;
use crate::state::ApiState;

/// A refused body is read on up to so many bytes past its limit: closing on a caller that still sends would lose the
/// answer.
pub(super) const DRAINED_BYTES: usize = 8 * 1024 * 1024;
/// Most files of one request: an input and what its options may take.
const MAX_FILES: usize = 8;
/// How many requests of the greatest length fit into one batch.
const LONG_REQUESTS_OF_A_BATCH: usize = 8;
/// Bodies up to this size need no permit.
const SMALL_BODY_BYTES: usize = 1024 * 1024;

/// A parsed body, and the files that came in it. All refusals are 400: the published clients repeat a request after
/// 413, 415 or 422.
pub(crate) struct JobBody {
    /// The JSON. Where it names a file that came along, it does so as `attachment:NAME`.
    pub(crate) value: Value,
    /// The files.
    pub(crate) files: Vec<RawFile>,
}

impl FromRequest<ApiState> for JobBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &ApiState) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        let limits = Limits::of(state);
        let form = multer_boundary(&parts.headers)?;
        let whole = read_whole(&parts.headers, body, limits.whole_bytes(), state).await?;
        match form {
            Some(boundary) => {
                let stream = futures::stream::iter([Ok::<_, Infallible>(whole)]);
                read_form(stream, boundary, limits.json_bytes, limits.file_bytes).await
            }
            None => read_json(&parts.headers, &whole, &limits),
        }
    }
}

/// The JSON of many requests at once; no form. Refusals are 400, as for one.
pub(crate) struct BatchBody(pub(crate) Value);

impl FromRequest<ApiState> for BatchBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &ApiState) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        if multer_boundary(&parts.headers)?.is_some() {
            return Err(ApiError::bad_request("a batch is JSON and no form; a job with files goes alone"));
        }
        check_content_type(&parts.headers)?;
        let limit = Limits::of(state).batch_bytes();
        let whole = read_whole(&parts.headers, body, limit, state).await?;
        Ok(Self(parse(&whole)?))
    }
}

/// How much of what is taken.
struct Limits {
    json_bytes: usize,
    file_bytes: usize,
}

impl Limits {
    fn of(state: &ApiState) -> Self {
        Self {
            json_bytes: state.settings.body_limit_bytes,
            file_bytes: state.settings.attachment_limit_bytes,
        }
    }

    /// The longest batch: as long as a few of the longest requests.
    fn batch_bytes(&self) -> usize {
        self.json_bytes.saturating_mul(LONG_REQUESTS_OF_A_BATCH)
    }

    /// The longest body: one file in base64, which takes a third more, and the rest.
    fn whole_bytes(&self) -> usize {
        self.json_bytes.saturating_add(self.file_bytes.saturating_mul(4).div_ceil(3))
    }
}

async fn read_whole(
    headers: &HeaderMap,
    body: Body,
    limit: usize,
    state: &ApiState,
) -> Result<Bytes, ApiError> {
    let announced = number(headers, CONTENT_LENGTH.as_str());
    let waits_for_consent = headers.contains_key(EXPECT);
    let drained = limit.saturating_add(DRAINED_BYTES);
    if announced.is_some_and(|length| length > drained || (length > limit && waits_for_consent)) {
        return Err(too_large(limit));
    }
    let timeout = state.settings.body_timeout();
    let reading = async {
        // A large body holds its share of the memory for large bodies until it has been looked at.
        let needed = announced.unwrap_or(limit).min(limit);
        let _share =
            if needed > SMALL_BODY_BYTES { Some(state.large_bodies.share(needed).await) } else { None };
        read(body, limit, drained).await
    };
    tokio::time::timeout(timeout, reading).await.map_err(|_| {
        ApiError::bad_request(format!("the body did not arrive within {} seconds", timeout.as_secs_f64()))
    })?
}

async fn read(mut body: Body, limit: usize, drained: usize) -> Result<Bytes, ApiError> {
    let mut bytes = Vec::new();
    let mut length = 0usize;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| ApiError::bad_request("the body broke off"))?;
        let Ok(data) = frame.into_data() else { continue };
        length = length.saturating_add(data.len());
        if length <= limit {
            bytes.extend_from_slice(&data);
        } else if length > drained {
            break;
        }
    }
    if length > limit { Err(too_large(limit)) } else { Ok(bytes.into()) }
}

fn read_json(headers: &HeaderMap, whole: &Bytes, limits: &Limits) -> Result<JobBody, ApiError> {
    check_content_type(headers)?;
    // A body that is neither JSON nor short was never one with a file in it.
    let parsed = parse(whole);
    if parsed.is_err() && whole.len() > limits.json_bytes {
        return Err(too_large(limits.json_bytes));
    }
    let mut value = parsed?;
    let taken = attached::take_inline(&mut value, limits.file_bytes)?;
    let rest = whole.len().saturating_sub(taken.text_bytes);
    if rest > limits.json_bytes {
        return Err(too_large(limits.json_bytes));
    }
    Ok(JobBody { value, files: taken.files })
}

/// What the api would read from a body that comes with this `Content-Type` in these pieces, or what it would answer:
/// for tests and fuzzing.
pub async fn read_body_pieces(
    content_type: &str,
    pieces: Vec<Bytes>,
    json_bytes: usize,
    file_bytes: usize,
) -> Result<(Value, Vec<RawFile>), String> {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, content_type.parse().map_err(|_| "this is no header".to_owned())?);
    let read = async {
        match multer_boundary(&headers)? {
            Some(boundary) => {
                let stream = futures::stream::iter(pieces.into_iter().map(Ok::<_, Infallible>));
                read_form(stream, boundary, json_bytes, file_bytes).await
            }
            None => read_json(&headers, &pieces.concat().into(), &Limits { json_bytes, file_bytes }),
        }
    };
    let read: Result<JobBody, ApiError> = read.await;
    read.map(|body| (body.value, body.files)).map_err(|error| format!("{error:?}"))
}

/// Reads a form: the part `job` is the JSON, every other part is a file. A part `input` is the job's input; any other
/// is the file of the option it is named after.
pub(crate) async fn read_form(
    stream: impl Stream<Item = Result<Bytes, Infallible>> + Send,
    boundary: String,
    json_limit: usize,
    file_limit: usize,
) -> Result<JobBody, ApiError> {
    let broken = |error: multer::Error| ApiError::bad_request(format!("the form cannot be read: {error}"));
    let mut form = multer::Multipart::new(stream, boundary);
    let mut value = None;
    let mut files: Vec<RawFile> = Vec::new();
    while let Some(field) = form.next_field().await.map_err(broken)? {
        let name = field.name().unwrap_or_default().to_owned();
        let content_type = field.content_type().map(ToString::to_string);
        let bytes = field.bytes().await.map_err(broken)?;
        let limit = if name == "job" { json_limit } else { file_limit };
        if bytes.len() > limit {
            return Err(ApiError::bad_request(format!("the part `{name}` is larger than {limit} bytes")));
        }
        if name == "job" {
            value = Some(parse(&bytes)?);
            continue;
        }
        if files.len() == MAX_FILES {
            return Err(ApiError::bad_request(format!("the form has more than {MAX_FILES} files")));
        }
        files.push(attached::form_file(name, content_type, bytes)?);
    }
    let Some(mut value) = value else {
        return Err(ApiError::bad_request("the form has no part `job`; the job's JSON was expected there"));
    };
    let taken = attached::take_inline(&mut value, file_limit)?;
    attached::refer_to(&mut value, &files);
    files.extend(taken.files);
    Ok(JobBody { value, files })
}

fn parse(bytes: &[u8]) -> Result<Value, ApiError> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(ApiError::bad_request("the body is empty; a JSON object was expected"));
    }
    serde_json::from_slice(bytes)
        .map_err(|error| ApiError::bad_request(format!("the body is not valid JSON: {error}")))
}

fn too_large(limit: usize) -> ApiError {
    ApiError::bad_request(format!("the body is larger than the limit of {limit} bytes"))
}

pub(super) fn number(headers: &HeaderMap, name: &str) -> Option<usize> {
    headers.get(name)?.to_str().ok()?.parse().ok()
}

fn essence_of(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(CONTENT_TYPE)?;
    Some(atelier_domain::asset::essence(&String::from_utf8_lossy(value.as_bytes())))
}

/// The boundary, if the body is a form.
pub(super) fn multer_boundary(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    if essence_of(headers).as_deref() != Some("multipart/form-data") {
        return Ok(None);
    }
    let named = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    multer::parse_boundary(named)
        .map(Some)
        .map_err(|_| ApiError::bad_request("the header `Content-Type` names no boundary of the form"))
}

/// JSON, or nothing said.
fn check_content_type(headers: &HeaderMap) -> Result<(), ApiError> {
    let Some(essence) = essence_of(headers) else {
        return Ok(());
    };
    if essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json")) {
        return Ok(());
    }
    Err(ApiError::bad_request("the header `Content-Type` must be application/json or multipart/form-data"))
}
