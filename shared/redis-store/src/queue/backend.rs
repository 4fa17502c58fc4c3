//! The apalis `Backend`: gives what the reader has claimed, and closes in order.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use apalis_core::backend::finalize::Ephemeral;
use apalis_core::backend::{Backend, BackendConfig};
use apalis_core::task::Task;
use apalis_core::task::task_id::RandomId;
use apalis_core::worker::context::WorkerContext;
use futures::future::join_all;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::claim::{Engine, RedisClaim};
use super::feed;
use super::reader::{Places, Reader};
use super::verdict::VerdictLayer;

/// What a handler gets: a claim, already decoded, so that no bad record can end the worker.
pub(crate) struct Delivery(pub(crate) Arc<RedisClaim>);

type Closing = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What was claimed and is not begun. The worker takes it from here, and after a stop whoever gives it back.
type Inbox = Arc<Mutex<mpsc::Receiver<Arc<RedisClaim>>>>;

/// Steps of one queue, of all its shards, as an apalis backend. Nothing runs before the worker's stream starts.
pub(crate) struct StepBackend {
    engines: Vec<Arc<Engine>>,
    concurrency: usize,
    stop: CancellationToken,
    inbox: Option<Inbox>,
    /// Ends when the readers have ended and nothing is left in the inbox.
    reading: Option<tokio::task::JoinHandle<()>>,
    renewals: Vec<tokio::task::JoinHandle<()>>,
    end_renewal: CancellationToken,
    closing: Option<Closing>,
}

impl StepBackend {
    /// `engines` has one for each shard.
    pub(crate) fn new(engines: Vec<Arc<Engine>>, concurrency: usize, stop: CancellationToken) -> Self {
        Self {
            engines,
            concurrency: concurrency.max(1),
            stop,
            inbox: None,
            reading: None,
            renewals: Vec::new(),
            end_renewal: CancellationToken::new(),
            closing: None,
        }
    }

    fn start(&mut self) {
        let (out, inbox) = mpsc::channel(self.concurrency);
        let places = Arc::new(Places::new(self.concurrency, self.engines.len()));
        let mut readers = Vec::new();
        for engine in &self.engines {
            let reader = Reader {
                engine: engine.clone(),
                places: places.clone(),
                out: out.clone(),
                stop: self.stop.clone(),
            };
            let renewal = engine.leases.clone().renew(
                engine.shard.clone(),
                engine.consumer.clone(),
                self.end_renewal.clone(),
            );
            readers.push(tokio::spawn(reader.run()));
            self.renewals.push(tokio::spawn(renewal));
        }
        let inbox = Arc::new(Mutex::new(inbox));
        self.inbox = Some(inbox.clone());
        self.reading = Some(tokio::spawn(async move {
            let _ = join_all(readers).await;
            give_back(&inbox).await;
        }));
    }

    /// Ends the readers, who give back what nobody took, and the renewals. Running steps have ended before.
    fn close(&mut self) -> Closing {
        let reading = self.reading.take();
        let renewals = std::mem::take(&mut self.renewals);
        let end_renewal = self.end_renewal.clone();
        let engines = self.engines.clone();
        // A worker can end without its stop signal, too: the readers must not outlive it.
        self.stop.cancel();
        Box::pin(async move {
            if let Some(reading) = reading {
                let _ = reading.await;
            }
            end_renewal.cancel();
            let _ = join_all(renewals).await;
            // If it fails, the start of another process does it.
            let swept =
                engines.iter().map(|engine| feed::sweep(&engine.shard, engine.step, &engine.consumer));
            let _ = join_all(swept).await;
        })
    }
}

/// Gives everything back that nobody took, together: one after the other would take a round trip each.
async fn give_back(inbox: &Inbox) {
    let mut left = Vec::new();
    while let Ok(claim) = inbox.lock().unwrap_or_else(PoisonError::into_inner).try_recv() {
        left.push(claim);
    }
    join_all(left.iter().map(|claim| claim.release())).await;
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
        let inbox = self.inbox.as_ref();
        match inbox.map(|inbox| inbox.lock().unwrap_or_else(PoisonError::into_inner).poll_recv(cx)) {
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
