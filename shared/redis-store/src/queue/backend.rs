//! The apalis `Backend`: gives what the reader has claimed, and closes in order.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use apalis_core::backend::finalize::Ephemeral;
use apalis_core::backend::{Backend, BackendConfig};
use apalis_core::task::Task;
use apalis_core::task::task_id::RandomId;
use apalis_core::worker::context::WorkerContext;
use atelier_domain::operation::Step;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use super::claim::{Engine, RedisClaim};
use super::feed;
use super::reader::Reader;
use super::verdict::VerdictLayer;

/// What a handler gets: a claim, already decoded, so that no bad record can end the worker.
pub(crate) struct Delivery(pub(crate) Arc<RedisClaim>);

type Closing = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Steps of one queue as an apalis backend. Nothing runs before the worker's stream starts.
pub(crate) struct StepBackend {
    engine: Arc<Engine>,
    concurrency: usize,
    stop: CancellationToken,
    inbox: Option<mpsc::Receiver<Arc<RedisClaim>>>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
    end_renewal: CancellationToken,
    closing: Option<Closing>,
}

impl StepBackend {
    pub(crate) fn new(engine: Arc<Engine>, concurrency: usize, stop: CancellationToken) -> Self {
        Self {
            engine,
            concurrency: concurrency.max(1),
            stop,
            inbox: None,
            tasks: Vec::new(),
            end_renewal: CancellationToken::new(),
            closing: None,
        }
    }

    fn start(&mut self) {
        let (out, inbox) = mpsc::channel(self.concurrency);
        let reader = Reader {
            engine: self.engine.clone(),
            slots: Arc::new(Semaphore::new(self.concurrency)),
            out,
            stop: self.stop.clone(),
        };
        let source = match self.engine.step {
            Step::Check => "c".to_owned(),
            step => format!("s:{step}"),
        };
        let renewal = self.engine.leases.clone().renew(
            self.engine.redis.clone(),
            source,
            self.engine.consumer.clone(),
            self.end_renewal.clone(),
        );
        self.inbox = Some(inbox);
        self.tasks = vec![tokio::spawn(reader.run()), tokio::spawn(renewal)];
    }

    /// Ends the reader, gives back what nobody took, ends the renewal. Running steps have ended before.
    fn close(&mut self) -> Closing {
        let inbox = self.inbox.take();
        let mut tasks = std::mem::take(&mut self.tasks).into_iter();
        let end_renewal = self.end_renewal.clone();
        let engine = self.engine.clone();
        // A worker can end without its stop signal, too: the reader must not outlive it.
        self.stop.cancel();
        Box::pin(async move {
            if let Some(reader) = tasks.next() {
                let _ = reader.await;
            }
            if let Some(mut inbox) = inbox {
                inbox.close();
                while let Some(claim) = inbox.recv().await {
                    claim.release().await;
                }
            }
            end_renewal.cancel();
            for task in tasks {
                let _ = task.await;
            }
            if engine.step != Step::Check {
                // If it fails, the start of another process does it.
                let _ = feed::sweep(&engine.redis, engine.step, &engine.consumer).await;
            }
        })
    }
}

impl Backend for StepBackend {
    type Task = Task<Delivery>;
    /// There is no error: whatever fails is tried again inside, as an error here would end the worker.
    type Error = Infallible;

    fn poll_ready(&mut self, _: &mut Context<'_>, _: &WorkerContext) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
        _: &WorkerContext,
    ) -> Poll<Option<Result<Self::Task, Infallible>>> {
        match self.inbox.as_mut().map(|inbox| inbox.poll_recv(cx)) {
            Some(Poll::Ready(Some(claim))) => Poll::Ready(Some(Ok(Task::new(Delivery(claim))))),
            // The reader has ended, which it does only at a stop: the stop itself wakes the worker.
            Some(Poll::Ready(None) | Poll::Pending) | None => Poll::Pending,
        }
    }

    fn poll_close(&mut self, cx: &mut Context<'_>, _: &WorkerContext) -> Poll<Result<(), Infallible>> {
        if self.closing.is_none() {
            self.closing = Some(self.close());
        }
        match self.closing.as_mut().map(|closing| closing.as_mut().poll(cx)) {
            Some(Poll::Pending) => Poll::Pending,
            Some(Poll::Ready(())) | None => {
                // Asked again after the end, it must not poll a finished future.
                self.closing = Some(Box::pin(std::future::ready(())));
                Poll::Ready(Ok(()))
            }
        }
    }
}

impl BackendConfig for StepBackend {
    type Args = Delivery;
    type Id = RandomId;
    /// apalis' word for "handed over as it is": the durability is in the claim.
    type Kind = Ephemeral;
    type Config = ();
    type Layer = VerdictLayer;

    fn config(&self) -> &() {
        &()
    }

    fn middleware(&mut self, _: &mut WorkerContext) -> VerdictLayer {
        self.start();
        VerdictLayer
    }
}
