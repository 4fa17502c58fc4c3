//! What a running simulator remembers: tasks, the script, the journal, and a few rendered files.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::fal::FalUploads;
use crate::journal::{Journal, Provider};
use crate::media::{MediaSpec, Speech};
use crate::options::Options;
use crate::replicate::Uploads;
use crate::script::Script;
use crate::task::Task;

/// Rendered files kept, so that asking twice does not render twice.
const RENDERED_FILES: usize = 32;
/// Files above this size are made anew each time.
const RENDERED_FILE_BYTES: usize = 16 << 20;
/// Spoken texts that are known again when their recording comes back to be transcribed.
const SPOKEN_TEXTS: usize = 1_000;

/// Uploads that are remembered.
const UPLOADS: usize = 10_000;

/// Shared by all connections.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) options: Options,
    pub(crate) journal: Journal,
    pub(crate) script: Script,
    /// Files that were uploaded to Replicate.
    pub(crate) replicate_uploads: Uploads,
    pub(crate) fal_uploads: FalUploads,
    tasks: Mutex<Tasks>,
    /// Ids of files that were uploaded, oldest first.
    uploads: Mutex<VecDeque<String>>,
    rendered: Mutex<VecDeque<(MediaSpec, Bytes)>>,
    spoken: Mutex<VecDeque<(Digest32, String)>>,
    next_id: AtomicU64,
}

/// A SHA-256.
pub(crate) type Digest32 = [u8; 32];

#[derive(Debug, Default)]
struct Tasks {
    by_id: HashMap<String, Task>,
    order: VecDeque<String>,
}

impl State {
    pub(crate) fn new(options: Options) -> Self {
        Self {
            journal: Journal::new(options.journal_limit),
            options,
            script: Script::default(),
            replicate_uploads: Uploads::default(),
            fal_uploads: FalUploads::default(),
            tasks: Mutex::default(),
            uploads: Mutex::default(),
            rendered: Mutex::default(),
            spoken: Mutex::default(),
            next_id: AtomicU64::new(0),
        }
    }

    /// A new id in the form of a random UUID; the sequence of ids follows from the seed.
    pub(crate) fn new_id(&self) -> String {
        let number = self.next_id.fetch_add(1, Ordering::Relaxed);
        let mut hash = Sha256::new();
        hash.update(self.options.seed.to_be_bytes());
        hash.update(number.to_be_bytes());
        uuid(&hash.finalize().into())
    }

    /// Remembers a task, forgetting the oldest when there are too many.
    pub(crate) fn add_task(&self, task: Task) {
        let mut tasks = lock(&self.tasks);
        while tasks.order.len() >= self.options.task_limit.max(1) {
            let oldest = tasks.order.pop_front();
            oldest.and_then(|id| tasks.by_id.remove(&id));
        }
        tasks.order.push_back(task.id.clone());
        tasks.by_id.insert(task.id.clone(), task);
    }

    /// Reads or changes a task; `None` when there is none with this id.
    pub(crate) fn with_task<T>(&self, id: &str, use_task: impl FnOnce(&mut Task) -> T) -> Option<T> {
        lock(&self.tasks).by_id.get_mut(id).map(use_task)
    }

    /// The ids of a provider's tasks, newest first.
    pub(crate) fn task_ids(&self, provider: Provider) -> Vec<String> {
        let tasks = lock(&self.tasks);
        let is_of = |id: &&String| tasks.by_id.get(*id).is_some_and(|task| task.provider == provider);
        tasks.order.iter().rev().filter(is_of).cloned().collect()
    }

    /// Remembers an uploaded file, forgetting the oldest when there are too many. Its bytes are not kept.
    pub(crate) fn add_upload(&self, id: &str) {
        let mut uploads = lock(&self.uploads);
        if uploads.len() >= UPLOADS {
            uploads.pop_front();
        }
        uploads.push_back(id.to_owned());
    }

    pub(crate) fn has_upload(&self, id: &str) -> bool {
        lock(&self.uploads).iter().any(|known| known == id)
    }

    /// What `read` says about the tasks that are wanted, newest first.
    pub(crate) fn newest_tasks<T>(
        &self,
        is_wanted: impl Fn(&Task) -> bool,
        read: impl Fn(&Task) -> T,
    ) -> Vec<T> {
        let tasks = lock(&self.tasks);
        let newest = tasks.order.iter().rev().filter_map(|id| tasks.by_id.get(id));
        newest.filter(|task| is_wanted(task)).map(read).collect()
    }

    /// The bytes of a file, made now if they are not at hand. Blocks for as long as rendering takes.
    pub(crate) fn render(&self, spec: &MediaSpec) -> Bytes {
        let known =
            lock(&self.rendered).iter().find(|(known, _)| known == spec).map(|(_, bytes)| bytes.clone());
        if let Some(bytes) = known {
            return bytes;
        }
        let bytes = spec.render();
        if let MediaSpec::Speech(speech) = spec {
            self.remember(speech, &bytes);
        }
        if bytes.len() <= RENDERED_FILE_BYTES {
            let mut rendered = lock(&self.rendered);
            if rendered.len() >= RENDERED_FILES {
                rendered.pop_front();
            }
            rendered.push_back((spec.clone(), bytes.clone()));
        }
        bytes
    }

    /// The text of a recording with this digest, if the simulator spoke it.
    pub(crate) fn spoken_text(&self, digest: &Digest32) -> Option<String> {
        lock(&self.spoken).iter().find(|(known, _)| known == digest).map(|(_, text)| text.clone())
    }

    fn remember(&self, speech: &Speech, recording: &[u8]) {
        let digest = Sha256::digest(recording).into();
        let mut spoken = lock(&self.spoken);
        if spoken.iter().any(|(known, _)| *known == digest) {
            return;
        }
        if spoken.len() >= SPOKEN_TEXTS {
            spoken.pop_front();
        }
        spoken.push_back((digest, speech.text.clone()));
    }
}

/// A digest in the form of a random UUID.
pub(crate) fn uuid(digest: &Digest32) -> String {
    let value = digest.iter().take(16).fold(0_u128, |value, byte| value << 8 | u128::from(*byte));
    // Version 4, variant 1, as of any random UUID.
    let value = value & !(0xf << 76) & !(0x3 << 62) | 0x4 << 76 | 0x2 << 62;
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        value >> 96,
        value >> 80 & 0xffff,
        value >> 64 & 0xffff,
        value >> 48 & 0xffff,
        value & 0xffff_ffff_ffff
    )
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
