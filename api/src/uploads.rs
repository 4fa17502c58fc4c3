//! Uploads under way: how many there may be, and who waits for them at the end.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

/// Uploads run in tasks of their own, so that a caller who goes away leaves a whole upload or nothing. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Uploads {
    slots: Arc<Semaphore>,
    tasks: TaskTracker,
}

impl Uploads {
    /// At most so many at once: each holds two parts of its file in memory.
    pub fn new(at_once: usize) -> Self {
        Self { slots: Arc::new(Semaphore::new(at_once.max(1))), tasks: TaskTracker::new() }
    }

    /// Runs an upload, whether its caller waits for it or not. `None` when there was no room for it within `limit`.
    ///
    /// # Panics
    /// As the upload does: the answer is the one of any panic.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        limit: Duration,
        upload: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        let slot = tokio::time::timeout(limit, Arc::clone(&self.slots).acquire_owned()).await.ok()?.ok()?;
        let task = async move {
            let outcome = upload.await;
            drop(slot);
            outcome
        };
        match self.tasks.spawn(task.in_current_span()).await {
            Ok(outcome) => Some(outcome),
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // Cancelled: the runtime ends.
                Err(_) => None,
            },
        }
    }

    /// Waits for those whose callers have gone, at most `limit`.
    pub async fn close(&self, limit: Duration) {
        self.tasks.close();
        let _ = tokio::time::timeout(limit, self.tasks.wait()).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_upload_ends_although_its_caller_has_gone() {
        let uploads = Uploads::new(1);
        let (begun, beginning) = tokio::sync::oneshot::channel();
        let (end, ending) = tokio::sync::oneshot::channel::<()>();
        let (done, outcome) = tokio::sync::oneshot::channel();
        let upload = async move {
            begun.send(()).unwrap();
            ending.await.unwrap();
            done.send(()).unwrap();
        };
        let caller = tokio::spawn({
            let uploads = uploads.clone();
            async move { uploads.run(Duration::from_secs(5), upload).await }
        });
        beginning.await.unwrap();
        caller.abort();
        assert!(caller.await.unwrap_err().is_cancelled());
        let second = uploads.run(Duration::from_millis(20), async {}).await;
        assert!(second.is_none(), "the first one still has the only place");
        end.send(()).unwrap();
        uploads.close(Duration::from_secs(5)).await;
        assert_eq!(outcome.await, Ok(()));
        assert!(uploads.run(Duration::from_secs(5), async {}).await.is_some());
    }
}
