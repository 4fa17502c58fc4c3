//! Sockets: accepting, serving HTTP/1.1 on each, with or without TLS, and closing one where the script says so.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;
use futures::future::poll_fn;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use crate::answer::{self, Answer, Payload};
use crate::body::{Body, Delivery, body};
use crate::call::Call;
use crate::control;
use crate::exchange::{Cut, Target, exchange};
use crate::journal::Provider;
use crate::media::MediaFile;
use crate::state::State;

/// Largest request body; uploads of images as data URIs have at most 5 MB.
const LARGEST_REQUEST: usize = 64 << 20;
/// Pause after a failed accept, such as one for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How long a client may take to agree on TLS, and to hear that a connection ends.
const TLS_PATIENCE: Duration = Duration::from_secs(10);

/// How those who come to a listener are met.
#[derive(Clone, Default)]
pub(crate) struct Door {
    pub(crate) tls: Option<TlsAcceptor>,
    /// Who answers a path that names no provider.
    pub(crate) provider: Option<Provider>,
}

/// What a connection is to its requests.
#[derive(Clone, Copy)]
struct Visit {
    scheme: &'static str,
    local: SocketAddr,
    provider: Option<Provider>,
}

/// Serves until `stop` changes; open connections are then dropped.
pub(crate) async fn serve(
    listener: TcpListener,
    door: Door,
    state: Arc<State>,
    mut stop: watch::Receiver<bool>,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(stream, door.clone(), Arc::clone(&state)));
                }
                Err(_) => sleep(ACCEPT_PAUSE).await,
            },
            Some(_) = connections.join_next() => {}
            _ = stop.changed() => break,
        }
    }
    connections.shutdown().await;
}

async fn connection(stream: TcpStream, door: Door, state: Arc<State>) {
    // Answers are written whole; waiting to fill a packet only adds delay.
    let _ = stream.set_nodelay(true);
    let Ok(local) = stream.local_addr() else { return };
    let provider = door.provider;
    match door.tls {
        None => {
            let (stream, is_reset) = converse(stream, Visit { scheme: "http", local, provider }, state).await;
            if is_reset {
                let _ = stream.set_zero_linger(); // dropping it now sends a reset
            }
        }
        Some(tls) => {
            let Ok(Ok(stream)) = timeout(TLS_PATIENCE, tls.accept(stream)).await else { return };
            let visit = Visit { scheme: "https", local, provider };
            let (mut stream, is_reset) = converse(stream, visit, state).await;
            if is_reset {
                let _ = stream.get_ref().0.set_zero_linger();
            } else {
                // Without a farewell the client would take an orderly end for an attack.
                let _ = timeout(TLS_PATIENCE, stream.shutdown()).await;
            }
        }
    }
}

/// Answers requests until one side ends the connection. Gives the stream back, and whether it is to be reset.
async fn converse<S>(stream: S, visit: Visit, state: Arc<State>) -> (S, bool)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let is_reset = Mutex::new(false);
    let service = service_fn(|request| {
        let state = Arc::clone(&state);
        let is_reset = &is_reset;
        Box::pin(async move {
            let outcome = respond(state, request, visit).await;
            if outcome.as_ref().err() == Some(&Cut::Reset)
                && let Ok(mut is_reset) = is_reset.lock()
            {
                *is_reset = true;
            }
            outcome
        })
    });
    let mut connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    // An error here is a client that went away or a cut that was asked for.
    let _ = poll_fn(|context| connection.poll_without_shutdown(context)).await;
    let stream = connection.into_parts().io.into_inner();
    let is_reset = is_reset.lock().is_ok_and(|is_reset| *is_reset);
    (stream, is_reset)
}

async fn respond(state: Arc<State>, request: Request<Incoming>, visit: Visit) -> Result<Response<Body>, Cut> {
    let (head, incoming) = request.into_parts();
    let whole = match Limited::new(incoming, LARGEST_REQUEST).collect().await {
        Ok(whole) => whole.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => {
            return Ok(plain(&state, &Answer::json(413, serde_json::json!({"error": "request too large"}))));
        }
        Err(_) => return Err(Cut::Closed),
    };
    let mut call = call(head, whole, visit);
    if call.path.first().is_some_and(|part| part == "_sim") {
        call.path.remove(0);
        return Ok(plain(&state, &control::answer(&call, &state)));
    }
    let (target, prefix) = match (Target::of(&call.path), visit.provider) {
        ((Target::Nobody, _), Some(provider)) => (Target::Api(provider), 0),
        (named, _) => named,
    };
    for part in call.path.drain(..prefix) {
        call.base.push('/');
        call.base.push_str(&part);
    }
    exchange(state, target, call).await
}

fn call(head: http::request::Parts, body: Bytes, visit: Visit) -> Call {
    let host = head.headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let host = host.map_or_else(|| visit.local.to_string(), str::to_owned);
    let origin = format!("{}://{host}", visit.scheme);
    let full_path = head.uri.path().to_owned();
    let decode = |part: &str| {
        let pair = format!("x={}", part.replace('+', "%2B").replace('&', "%26"));
        url::form_urlencoded::parse(pair.as_bytes())
            .next()
            .map_or_else(String::new, |(_, text)| text.into_owned())
    };
    let path = full_path.split('/').filter(|part| !part.is_empty()).map(decode).collect();
    let query = head.uri.query().unwrap_or_default();
    let query = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let base = origin.clone();
    Call { method: head.method, full_path, path, query, headers: head.headers, body, origin, base }
}

/// An answer outside of the providers' surfaces: no faults, no journal.
fn plain(state: &State, answer: &Answer) -> Response<Body> {
    let file = match &answer.payload {
        Payload::Json(value) => answer::json_file(value, false),
        Payload::Empty | Payload::Problem(_) | Payload::Media(_) | Payload::Raw { .. } => {
            MediaFile { content_type: "application/json", segments: Vec::new() }
        }
    };
    let content_type = header::HeaderValue::from_static(file.content_type);
    let mut response = Response::new(body(file.segments, Delivery::default(), state.journal.clone(), 0));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response
}
