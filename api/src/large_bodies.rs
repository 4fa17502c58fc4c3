//! The memory that large bodies may take together: who asks for more waits for the others.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A permit stands for this much memory.
const UNIT_BYTES: usize = 64 * 1024;

/// Shares of the memory for large bodies. Cheap to clone.
#[derive(Debug, Clone)]
pub struct LargeBodies {
    units: Arc<Semaphore>,
    most: usize,
}

impl LargeBodies {
    /// So much memory in all.
    pub fn new(bytes: usize) -> Self {
        let most = bytes.div_ceil(UNIT_BYTES).max(1);
        Self { units: Arc::new(Semaphore::new(most)), most }
    }

    /// A share, as soon as there is one; at most all of it. `None` never happens: the shares are never closed.
    pub(crate) async fn share(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let units = u32::try_from(bytes.div_ceil(UNIT_BYTES).min(self.most)).unwrap_or(u32::MAX);
        Arc::clone(&self.units).acquire_many_owned(units).await.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_share_that_is_not_there_is_waited_for() {
        let bodies = LargeBodies::new(3 * UNIT_BYTES);
        let first = bodies.share(2 * UNIT_BYTES).await;
        assert!(first.is_some());
        let waiting = tokio::spawn({
            let bodies = bodies.clone();
            async move { bodies.share(100 * UNIT_BYTES).await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(first);
        assert!(waiting.await.unwrap().is_some());
    }
}
