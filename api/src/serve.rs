//! The HTTP server: bounded in connections, in the time a request's head may take, and in the time it takes to end.

mod stalled;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use self::stalled::Unstalled;

/// Connections at once; more wait in the listener's queue.
const MAX_CONNECTIONS: usize = 10_000;

/// How long the head of a request may take, idle time between two requests included. Above the 60 seconds after which
/// the usual load balancers drop an idle connection: whoever drops first must not be the server, or a request is lost.
const HEAD_TIMEOUT: Duration = Duration::from_secs(75);

/// How long a caller may take nothing of what is sent to it: of a stream of events, which does not end by itself, and of
/// any answer that fills the buffers in between.
const STALL_LIMIT: Duration = Duration::from_secs(60);

/// After a failed accept, which is mostly a lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until `shutdown`. Then takes no new connection, lets requests under way finish, and after `grace` drops what
/// is still open. Returns when all is closed.
pub async fn serve(listener: TcpListener, router: Router, shutdown: CancellationToken, grace: Duration) {
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = accept(&listener, &slots) => accepted,
        };
        if let Some((stream, slot)) = accepted {
            let (router, shutdown) = (router.clone(), shutdown.clone());
            connections.spawn(async move {
                converse(stream, router, shutdown).await;
                drop(slot);
            });
        }
    }
    drop(listener);
    let finished = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(grace, finished).await.is_err() {
        warn!(connections = connections.len(), "dropped connections that did not finish in time");
        connections.shutdown().await;
    }
    info!("http server ended");
}

type Slot = tokio::sync::OwnedSemaphorePermit;

async fn accept(listener: &TcpListener, slots: &Arc<Semaphore>) -> Option<(TcpStream, Slot)> {
    // Never closed, so that there is always a permit in the end.
    let slot = Arc::clone(slots).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => {
            if let Err(error) = stream.set_nodelay(true) {
                debug!(error = %error, "a socket option was refused");
            }
            Some((stream, slot))
        }
        Err(error) => {
            warn!(error = %error, "a connection could not be accepted");
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

/// One connection. A request that is under way at `shutdown` is finished, and is the last one.
async fn converse(stream: TcpStream, router: Router, shutdown: CancellationToken) {
    let connection =
        http1::Builder::new().timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).serve_connection(
            TokioIo::new(Unstalled::new(stream, STALL_LIMIT)),
            TowerToHyperService::new(router),
        );
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        // A caller that went away, or spoke no HTTP.
        debug!(error = %error, "a connection broke off");
    }
}
