//! Decides at which effect a process dies. Every connection of the process asks here before it passes on what leaves
//! the process, and before it passes back what came of it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

/// On which side of an effect the process dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// The effect does not happen.
    Before,
    /// The effect has happened, and the process does not learn of it.
    After,
}

impl When {
    pub fn word(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::After => "after",
        }
    }
}

/// The gate of one program. A life is one start of its process; what belongs to an earlier life passes no more.
pub struct Gate {
    state: Mutex<State>,
    /// The last life that was ended here.
    ended: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    life: u64,
    is_open: bool,
    plan: Option<Plan>,
    struck: Option<String>,
}

struct Plan {
    when: When,
    /// Effects that still pass.
    passes: usize,
    prompt: Vec<u8>,
    job: Option<Vec<u8>>,
}

/// Length of an id, and how it begins as a Redis string. Nothing else in our commands has this length.
const ID_BYTES: usize = 27;
const ID_HEAD: &[u8] = b"$27\r\n";

impl Gate {
    pub fn new() -> Self {
        Self { state: Mutex::default(), ended: watch::Sender::new(0) }
    }

    /// A new process begins.
    pub fn begin_life(&self) {
        let mut state = self.lock();
        state.life += 1;
        state.is_open = true;
    }

    /// The present life, for a connection that has just been made.
    pub fn life(&self) -> u64 {
        self.lock().life
    }

    /// Lets `passes` effects of the job with this prompt pass, and ends the process at the one after.
    pub fn arm(&self, when: When, passes: usize, prompt: &str) {
        let mut state = self.lock();
        state.struck = None;
        state.plan = Some(Plan { when, passes, prompt: prompt.as_bytes().to_vec(), job: None });
    }

    /// Lets everything pass again; gives the effect at which the process was ended, if it was.
    pub fn disarm(&self) -> Option<String> {
        let mut state = self.lock();
        state.plan = None;
        state.struck.take()
    }

    /// Whether these bytes name the job of the plan. Learns the job's id from the first that do.
    pub fn concerns(&self, bytes: &[u8]) -> bool {
        let mut state = self.lock();
        let Some(plan) = &mut state.plan else { return false };
        if plan.job.is_none()
            && let Some(at) = find(bytes, ID_HEAD)
            && let Some(id) = bytes.get(at + ID_HEAD.len()..at + ID_HEAD.len() + ID_BYTES)
        {
            plan.job = Some(id.to_vec());
        }
        plan.job.as_ref().is_some_and(|job| find(bytes, job).is_some()) || find(bytes, &plan.prompt).is_some()
    }

    /// Whether the effect passes. `false` also means: close the connection, the process is as good as dead.
    pub fn passes(&self, life: u64, when: When, effect: &str) -> bool {
        let mut state = self.lock();
        if !state.is_open || state.life != life {
            return false;
        }
        let Some(plan) = &mut state.plan else { return true };
        if plan.when != when {
            return true;
        }
        if plan.passes > 0 {
            plan.passes -= 1;
            return true;
        }
        state.plan = None;
        state.is_open = false;
        state.struck = Some(effect.to_owned());
        drop(state);
        self.ended.send_replace(life);
        false
    }

    /// Returns when this life has been ended.
    pub async fn ended(&self, life: u64) {
        let mut ended = self.ended.subscribe();
        // The sender lives as long as `self`.
        let _ = ended.wait_for(|ended| *ended >= life).await;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}
