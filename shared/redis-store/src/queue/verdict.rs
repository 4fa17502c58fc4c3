//! The outermost layer of a worker: no step ends without a verdict, whatever its handler does.

use std::task::{Context, Poll};

use apalis_core::error::BoxDynError;
use apalis_core::task::Task;
use futures::future::BoxFuture;
use tower::{Layer, Service};

use super::backend::Delivery;

/// Wraps the worker's service in [`VerdictService`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct VerdictLayer;

impl<S> Layer<S> for VerdictLayer {
    type Service = VerdictService<S>;

    fn layer(&self, inner: S) -> VerdictService<S> {
        VerdictService { inner }
    }
}

/// Gives a claim that its handler left open the verdict of a failed step. Errors and panics end here.
#[derive(Debug, Clone)]
pub(crate) struct VerdictService<S> {
    inner: S,
}

impl<S> Service<Task<Delivery>> for VerdictService<S>
where
    S: Service<Task<Delivery>, Response = ()>,
    S::Error: Into<BoxDynError>,
    S::Future: Send + 'static,
{
    type Response = ();
    type Error = BoxDynError;
    type Future = BoxFuture<'static, Result<(), BoxDynError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxDynError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, task: Task<Delivery>) -> Self::Future {
        let claim = task.args.0.clone();
        let running = self.inner.call(task);
        Box::pin(async move {
            let reason = match running.await {
                Ok(()) => "the handler returned without a verdict".to_owned(),
                Err(error) => format!("the handler failed: {}", error.into()),
            };
            claim.end_if_open(&reason).await;
            Ok(())
        })
    }
}
