//! The steps that run, for a process that is told to stop.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures::future::join_all;
use tokio_util::sync::CancellationToken;

use super::claim::RedisClaim;

/// The running steps of one queue.
#[derive(Default)]
pub(crate) struct Running {
    steps: Mutex<Steps>,
}

#[derive(Default)]
struct Steps {
    next: u64,
    by_number: HashMap<u64, Step>,
}

#[derive(Clone)]
struct Step {
    claim: Arc<RedisClaim>,
    left: CancellationToken,
}

/// A step that runs, until it is dropped.
pub(crate) struct Begun {
    running: Arc<Running>,
    number: u64,
    left: CancellationToken,
}

impl Begun {
    /// Returns when the step was given back or over: its handler has nothing to do any more.
    pub(crate) async fn left(&self) {
        self.left.cancelled().await;
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        self.running.lock().by_number.remove(&self.number);
    }
}

impl Running {
    pub(crate) fn begin(self: &Arc<Self>, claim: Arc<RedisClaim>) -> Begun {
        let left = CancellationToken::new();
        let mut steps = self.lock();
        let number = steps.next;
        steps.next += 1;
        steps.by_number.insert(number, Step { claim, left: left.clone() });
        Begun { running: self.clone(), number, left }
    }

    pub(crate) fn count(&self) -> usize {
        self.lock().by_number.len()
    }

    /// Gives back all steps that have begun no paid call; how many.
    pub(crate) async fn give_back(&self) -> usize {
        let giving = self.all().into_iter().map(|step| async move {
            let is_given = step.claim.give_back().await;
            if is_given {
                step.left.cancel();
            }
            is_given
        });
        join_all(giving).await.into_iter().filter(|is_given| *is_given).count()
    }

    /// Writes down that the answers to all paid calls under way will not be heard here.
    pub(crate) async fn hand_over(&self) {
        let handing = self.all().into_iter().map(|step| async move {
            step.claim.hand_over().await;
            step.left.cancel();
        });
        join_all(handing).await;
    }

    fn all(&self) -> Vec<Step> {
        self.lock().by_number.values().cloned().collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Steps> {
        self.steps.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
