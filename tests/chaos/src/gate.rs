//! Decides at which effect a process dies. Every connection of the process asks here before it passes on what leaves
//! the process, and before it passes back what came of it.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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

/// Effects at which a process has been ended, as their names in the order of a job's life. Shared by all that work on
/// the same series of kills, so that no two strike at the same one.
pub type Struck = Arc<Mutex<HashSet<String>>>;

struct Plan {
    when: When,
    struck: Struck,
    /// How often each effect has passed: the second check of a job is another effect than the first.
    seen: HashMap<String, usize>,
    prompt: Vec<u8>,
    job: Option<Vec<u8>>,
}

/// Length of an id, and how it begins as a Redis string. Nothing else in our commands has this length.
const ID_BYTES: usize = 27;
const ID_HEAD: &[u8] = b"$27\r\n";

impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}

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

    /// Ends the process at the first effect of the job with this prompt that is not in `struck`, and adds it there.
    /// Names are sounder than numbers: how many commands a job takes depends on the moment.
    pub fn arm(&self, when: When, struck: Struck, prompt: &str) {
        let mut state = self.lock();
        state.struck = None;
        let prompt = prompt.as_bytes().to_vec();
        state.plan = Some(Plan { when, struck, seen: HashMap::new(), prompt, job: None });
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

    /// Whether the process of this life still lives. Nothing passes of one that does not: it dies at one moment, on all
    /// of its connections.
    pub fn is_alive(&self, life: u64) -> bool {
        let state = self.lock();
        state.is_open && state.life == life
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
        let count = plan.seen.entry(effect.to_owned()).or_default();
        *count += 1;
        let name = if *count == 1 { effect.to_owned() } else { format!("{effect} #{count}") };
        if !plan.struck.lock().unwrap_or_else(PoisonError::into_inner).insert(name.clone()) {
            return true;
        }
        state.plan = None;
        state.is_open = false;
        state.struck = Some(name);
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
