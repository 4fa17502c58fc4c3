//! What the simulator was asked, in order, and what it did.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A provider that the simulator plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Provider {
    /// ElevenLabs, under `/elevenlabs`.
    #[serde(rename = "elevenlabs")]
    ElevenLabs,
    /// Fal, under `/fal`.
    Fal,
    /// Runway, under `/runway`.
    Runway,
    /// Deepgram, under `/deepgram`.
    Deepgram,
    /// Replicate, under `/replicate`.
    Replicate,
    /// Stability AI, under `/stability`.
    Stability,
    /// Pika's unofficial direct surface, under `/pika`. Pika at Fal is played by [`Self::Fal`].
    Pika,
    /// Luma, under `/luma`: Dream Machine and the Agents API.
    Luma,
    /// An OpenAI-style chat endpoint, under `/openai`. It makes no media.
    #[serde(rename = "openai")]
    OpenAi,
}

impl Provider {
    /// Every provider that is played.
    pub const ALL: [Self; 9] = [
        Self::ElevenLabs,
        Self::Deepgram,
        Self::Fal,
        Self::Replicate,
        Self::Stability,
        Self::Runway,
        Self::Pika,
        Self::Luma,
        Self::OpenAi,
    ];

    /// The name in paths and JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::ElevenLabs => "elevenlabs",
            Self::Fal => "fal",
            Self::Runway => "runway",
            Self::Deepgram => "deepgram",
            Self::Replicate => "replicate",
            Self::Stability => "stability",
            Self::Pika => "pika",
            Self::Luma => "luma",
            Self::OpenAi => "openai",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|provider| provider.name() == name)
    }
}

/// What a request was for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Asks for paid work.
    Submit,
    /// Asks how the work stands. At Runway this also carries the result.
    Status,
    /// Fetches the description of a finished result (Fal).
    Result,
    /// Cancels or deletes work.
    Cancel,
    /// Downloads a file.
    Media,
    /// The provider's own call to a URL of the caller's; `status` is what that answered.
    Webhook,
    /// Anything else: accounts, models, uploads, unknown paths.
    Other,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 7] =
        [Self::Submit, Self::Status, Self::Result, Self::Cancel, Self::Media, Self::Webhook, Self::Other];

    /// The word in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Submit => "submit",
            Self::Status => "status",
            Self::Result => "result",
            Self::Cancel => "cancel",
            Self::Media => "media",
            Self::Webhook => "webhook",
            Self::Other => "other",
        }
    }

    pub(crate) fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }
}

/// One request. Headers, query strings and bodies are never kept, so no secret is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Position, from 1, without gaps; it keeps growing when the journal is cleared.
    pub sequence: u64,
    /// When the whole request had arrived.
    pub at: Timestamp,
    /// The provider spoken to, if the path named one.
    pub provider: Option<Provider>,
    /// What it was for.
    pub kind: Kind,
    /// The HTTP method.
    pub method: String,
    /// The path without its query.
    pub path: String,
    /// The prompt of the request or of the task it names.
    pub prompt: Option<String>,
    /// The faults that struck it, joined by `+`.
    pub fault: Option<String>,
    /// The status of the answer; `None` when no answer was begun.
    pub status: Option<u16>,
    /// The id of the work that it created.
    pub remote_id: Option<String>,
    /// Work was accepted: this request is billed, whether or not the answer arrived.
    pub accepted: bool,
    /// Bytes of the answer's body handed to the connection.
    pub bytes_sent: u64,
}

/// A shared handle on everything that was received.
#[derive(Debug, Clone)]
pub struct Journal {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    entries: VecDeque<Entry>,
    next_sequence: u64,
    limit: usize,
}

impl Journal {
    pub(crate) fn new(limit: usize) -> Self {
        let state = State { entries: VecDeque::new(), next_sequence: 1, limit: limit.max(1) };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// Every entry kept, oldest first.
    pub fn all(&self) -> Vec<Entry> {
        self.lock().entries.iter().cloned().collect()
    }

    /// The requests for paid work, accepted or refused.
    pub fn submits(&self) -> Vec<Entry> {
        self.of_kind(Kind::Submit)
    }

    /// How many requests with exactly this prompt were accepted as work, and so billed.
    pub fn submits_of(&self, prompt: &str) -> usize {
        let state = self.lock();
        state.entries.iter().filter(|entry| entry.accepted && entry.prompt.as_deref() == Some(prompt)).count()
    }

    /// The requests that cancelled or deleted work.
    pub fn cancels(&self) -> Vec<Entry> {
        self.of_kind(Kind::Cancel)
    }

    /// The entries of one kind, oldest first.
    pub fn of_kind(&self, kind: Kind) -> Vec<Entry> {
        self.lock().entries.iter().filter(|entry| entry.kind == kind).cloned().collect()
    }

    /// Forgets every entry.
    pub fn clear(&self) {
        self.lock().entries.clear();
    }

    /// Adds an entry, giving it its sequence number, which is returned.
    pub(crate) fn add(&self, mut entry: Entry) -> u64 {
        let mut state = self.lock();
        entry.sequence = state.next_sequence;
        state.next_sequence += 1;
        if state.entries.len() >= state.limit {
            state.entries.pop_front();
        }
        let sequence = entry.sequence;
        state.entries.push_back(entry);
        sequence
    }

    /// Changes an entry; nothing happens when it is no longer kept.
    pub(crate) fn update(&self, sequence: u64, change: impl FnOnce(&mut Entry)) {
        let mut state = self.lock();
        let first = state.entries.front().map_or(0, |entry| entry.sequence);
        let index = sequence.checked_sub(first).and_then(|index| usize::try_from(index).ok());
        if let Some(entry) = index.and_then(|index| state.entries.get_mut(index)) {
            change(entry);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
