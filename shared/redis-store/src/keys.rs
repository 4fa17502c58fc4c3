//! Every key, in one place. Shard `n` has the hash tag `{qn}`; all its keys carry it, so one script may touch them on
//! Redis Cluster. A job's shard is the [`JobId::spread`] of its id modulo the number of shards; what belongs to a job
//! stands in its shard, its assets and the idempotency key it came with too.
//!
//! | key | type | content | lives |
//! |---|---|---|---|
//! | `{q0}:j:<job>` | string | 70-byte header and a body, see [`crate::record`] | until the job has ended, then `retention_s` |
//! | `{q0}:s:<lane>` | stream, group `g` | ready work of a lane; one entry a message: `j` job id, `e` epoch | an entry until its verdict |
//! | `{q0}:c` | sorted set | waiting jobs by the time of their next check in microseconds; a taken check stays in it with its lease's end as score | a member until its verdict |
//! | `{q0}:v` | sorted set | finished jobs whose results are to be stored, by when their links end, in microseconds less 8e15: before all times; a taken one stays in it with its lease's end as score | a member until its verdict |
//! | `{q0}:d` | sorted set | other steps that are not due yet, as `<lane>:<job>`, by time in microseconds | a member until promoted |
//! | `{q0}:wc`, `{q0}:wd`, `{q0}:wv` | list of 0 or 1 | wake token: the head of `c` or `d` has moved forward, something is ready in `v` | until somebody takes it |
//! | `{q0}:i:<digest>` | string | idempotency key -> job id and request digest | `idempotency_ttl_s` |
//! | `{q0}:x:<workspace>` | sorted set | jobs of a workspace by admission time | a member as long as its record, and then until the next index repair |
//! | `{q0}:u:<workspace>` | sorted set | its uncertain jobs by the time they became so, in ms | a member as long as its job is uncertain |
//! | `{q0}:l:<workspace>` | sorted set | its dead letters (jobs that failed as `exhausted`) by their end in ms | a member until replayed or purged, else as long as its record and until the next repair |
//! | `{q0}:z` | hash | pauses: scope `<workspace>/<provider>/<operation>`, `*` for any -> since when, by whom and why, as JSON | a field until it is resumed |
//! | `{q0}:k:<scope>` | sorted set | what a pause holds back, as `<lane>:<job>`, by when it came; each stands in `d`, too, for the end of its time to start | until resumed |
//! | `{q0}:a:<asset>` | string | asset as JSON | `assets_retention_days` |
//! | `{q0}:e:<workspace>` | sorted set | its assets by the time they were stored, in ms | a member as long as its record, and then until the next index repair |
//! | `{q0}:b:<job>:<epoch>:<index>` | string | bytes of a paid reply that the asset store does not have yet | until stored, at most `retention_s` |
//! | `{q0}:h:<job>` | string | a callback has made the job's check due | `retention_s` |
//! | `{q0}:m:<workspace>:<day>` | hash | what its jobs that ended on a day have cost, see `costs.rs`; days are counted since 1970 | until rolled up, two days later, at most `costs_retention_days` |
//! | `{q0}:y:<workspace>:<yyyy-mm>` | hash | day -> the costs of all shards as JSON; in one shard | `costs_retention_days` after its last day |
//! | `{q0}:o:<kind>:<document>` | hash | a document of a workspace, such as an API key (`k`) or a credential (`c`), see `documents.rs` | until removed |
//! | `{q0}:ox:<kind>:<workspace>` | sorted set | its documents by creation in ms; all of a workspace's are in one shard | a member as long as its document |
//! | `{q0}:ol:<kind>:<workspace>` | hash | label -> document, such as the default credential of a type | a field as long as its document |
//! | `{q0}:oa:<kind>` | set | all documents of a kind, for walks over all workspaces | a member as long as its document |
//! | `{q0}:mf` | string | the last day whose costs are rolled up | for ever |
//! | `{q0}:tm` | hash | workspaces that somebody listens to -> until when, in ms | an hour after the last listener |
//! | `{q0}:t:<workspace>` | stream | events of its jobs while somebody listens, about 10,000: `j` job id, `h` header's text, `f` facts | an hour after the last event |
//! | `{q0}:n` | string | the number of shards that this one is part of | for ever |
//! | `{q0}:f` | string | written to have it confirmed by replicas, with `confirm_replicas` | for ever |
//! | `{q0}:ended` | channel | ids of jobs that have just ended, with spaces between them | - |
//!
//! What they take, with all that Redis keeps for them, on Redis 7.0 with jemalloc and with a prompt of 300 characters;
//! `tests/sizes.rs` measures it:
//!
//! | key | takes | for each |
//! |---|---|---|
//! | `j`, queued | 600 B | job |
//! | `j`, awaiting | 856 B | job, with its remote id and the paid call |
//! | `s` | 58 B | ready step |
//! | `c` | 118 B | waiting job |
//! | `d` | 135 B | delayed step |
//! | `x`, `u`, `l`, `e` | 118 B | job or asset in the index |
//! | `i` | 120 B | idempotency key |
//! | `a` | 408 B | asset |
//! | `h` | 88 B | hastened job |
//! | `m` | 392 B | workspace and day, with two models |
//! | `y` | 512 B | workspace and month, with one day and two models |
//! | `mf` | 56 B | shard, as `n` and `f` |
//!
//! The control queue is `apalis-redis`', which chooses its keys itself. `Q` is [`CONTROL_QUEUE`]:
//!
//! | key | type | content | lives |
//! |---|---|---|---|
//! | `Q:data` | hash | task id -> message | a day after the task has ended |
//! | `Q:meta:<task>` | hash | status, attempts, result, time of its end | as its message |
//! | `Q:scheduled` | sorted set | new tasks, and those that wait for a retry, by due second | a member until it is due |
//! | `Q:active` | list | due tasks | a member until a worker takes it |
//! | `Q:inflight:<worker>` | set | the task of a worker | a member until its end, or the worker's |
//! | `Q:workers` | sorted set | workers by their last heartbeat | a member until it has missed four |
//! | `Q:workers:metadata:<worker>` | hash | names of types | a day at most |
//! | `Q:done`, `Q:dead` | set | tasks that have ended | a member as long as its message |
//! | `Q:idempotency:<task>:<period>:<number>` | string | task id; one push a period | two periods and an hour |
//! | `Q:leader` | string | which poller pushes tasks; ours | `control.leader_lease_ms` |
//! | `Q:swept-until` | string | an object key: where the next removal of old objects goes on; ours | for ever |
//! | `Q:signal` | list of 0 or 1 | unused | until the next fetch |
//! | `core:apalis:queues:list` | sorted set | the queues of this Redis, here one | for ever |

use atelier_domain::ids::{AssetId, DocumentId, JobId, WorkspaceId};
use atelier_domain::pause::PauseScope;
use atelier_domain::ports::{Among, DocumentKind};
use sha2::{Digest, Sha256};

use crate::lanes::Lane;

/// Consumer group of every ready stream.
pub const GROUP: &str = "g";

/// The control queue's name. Its scripts also touch the global key `core:apalis:queues:list`, without saying so, which
/// fails on most nodes of a Redis Cluster; with that key as hash tag all of it is in one slot.
pub const CONTROL_QUEUE: &str = "{core:apalis:queues:list}:control";
/// The lease of the poller that pushes control tasks.
pub const LEADER: &str = "{core:apalis:queues:list}:control:leader";
/// Where the search for objects that are too old goes on.
pub const SWEPT_UNTIL: &str = "{core:apalis:queues:list}:control:swept-until";
/// The hash tag of all of them.
pub(crate) const CONTROL_TAG: &str = "core:apalis:queues:list";

/// The hash tag of a shard.
pub(crate) fn tag(number: u16) -> String {
    format!("q{number}")
}

/// What decides the shard of an idempotency key, as [`JobId::spread`] does for a job.
pub(crate) fn spread_of_key(workspace: &WorkspaceId, key: &str) -> u16 {
    let first = idempotency_digest(workspace, key).first_chunk::<2>().copied();
    u16::from_be_bytes(first.unwrap_or_default())
}

/// What names an idempotency key. Hashed: callers' keys may be long, and 16 bytes keep a million of them cheap.
pub fn idempotency_digest(workspace: &WorkspaceId, key: &str) -> [u8; 16] {
    let digest = Sha256::digest(format!("{workspace}\n{key}"));
    let mut name = [0; 16];
    name.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
    name
}

/// The names of one shard.
#[derive(Debug, Clone)]
pub struct Keys {
    number: u16,
    prefix: String,
}

impl Keys {
    /// Names of the shard with this number.
    pub fn of_shard(number: u16) -> Self {
        Self { number, prefix: format!("{{{}}}:", tag(number)) }
    }

    /// Which shard this is.
    pub fn number(&self) -> u16 {
        self.number
    }

    /// What every key of the shard begins with. Scripts build record keys from it.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// A job's record.
    pub fn job(&self, id: &JobId) -> String {
        format!("{}j:{id}", self.prefix)
    }

    /// The ready stream of a lane. Checks and deliveries have none: their due set is their queue.
    pub(crate) fn stream(&self, lane: Lane) -> String {
        format!("{}s:{lane}", self.prefix)
    }

    /// The due set of checks.
    pub fn checks(&self) -> String {
        format!("{}c", self.prefix)
    }

    /// Wake list of the due set of checks.
    pub fn checks_wake(&self) -> String {
        format!("{}wc", self.prefix)
    }

    /// The due set of deliveries.
    pub fn deliveries(&self) -> String {
        format!("{}v", self.prefix)
    }

    /// Wake list of the due set of deliveries.
    pub fn deliveries_wake(&self) -> String {
        format!("{}wv", self.prefix)
    }

    /// The due set of all other steps.
    pub fn due(&self) -> String {
        format!("{}d", self.prefix)
    }

    /// Wake list of the due set.
    pub fn due_wake(&self) -> String {
        format!("{}wd", self.prefix)
    }

    /// The jobs of a workspace.
    pub fn jobs_of(&self, workspace: &WorkspaceId) -> String {
        format!("{}x:{workspace}", self.prefix)
    }

    /// The dead letters of a workspace.
    pub fn dead_letters_of(&self, workspace: &WorkspaceId) -> String {
        format!("{}l:{workspace}", self.prefix)
    }

    /// The index of a workspace in which these jobs are.
    pub fn index_of(&self, among: Among, workspace: &WorkspaceId) -> String {
        match among {
            Among::All => self.jobs_of(workspace),
            Among::Uncertain => format!("{}u:{workspace}", self.prefix),
            Among::DeadLetters => self.dead_letters_of(workspace),
        }
    }

    /// The assets of a workspace.
    pub fn assets_of(&self, workspace: &WorkspaceId) -> String {
        format!("{}e:{workspace}", self.prefix)
    }

    /// What all indexes of workspaces and the lists of held jobs match, for `SCAN`.
    pub fn all_indexes(&self) -> String {
        format!("{}[xulke]:*", self.prefix)
    }

    /// What the records begin with whose ids stand in this index.
    pub(crate) fn records_of(&self, index: &str) -> String {
        let is_of_assets = index.strip_prefix(&self.prefix).is_some_and(|rest| rest.starts_with("e:"));
        format!("{}{}:", self.prefix, if is_of_assets { 'a' } else { 'j' })
    }

    /// The pauses.
    pub(crate) fn pauses(&self) -> String {
        format!("{}z", self.prefix)
    }

    /// What a pause holds back.
    pub(crate) fn held_by(&self, scope: &PauseScope) -> String {
        format!("{}k:{scope}", self.prefix)
    }

    /// The pause whose held jobs stand in this key; `None` for any other key.
    pub(crate) fn pause_of(&self, key: &str) -> Option<PauseScope> {
        key.strip_prefix(&self.prefix)?.strip_prefix("k:")?.parse().ok()
    }

    /// An asset.
    pub fn asset(&self, id: &AssetId) -> String {
        format!("{}a:{id}", self.prefix)
    }

    /// Spooled bytes.
    pub fn spool(&self, job: &JobId, epoch: u32, index: u16) -> String {
        format!("{}b:{job}:{epoch}:{index}", self.prefix)
    }

    /// The mark of a job whose check a callback has made due.
    pub fn hastened(&self, job: &JobId) -> String {
        format!("{}h:{job}", self.prefix)
    }

    /// What the jobs of a workspace that ended on a day have cost.
    pub fn costs_of_day(&self, workspace: &WorkspaceId, day: i64) -> String {
        format!("{}m:{workspace}:{day}", self.prefix)
    }

    /// What all records of days match, for `SCAN`: a prefix and a star.
    pub fn all_costs_of_days(&self) -> String {
        format!("{}m:*", self.prefix)
    }

    /// What the jobs of a workspace have cost on the days of a month, given as year and month.
    pub fn costs_of_month(&self, workspace: &WorkspaceId, (year, month): (i16, i8)) -> String {
        format!("{}y:{workspace}:{year:04}-{month:02}", self.prefix)
    }

    /// A document.
    pub fn document(&self, kind: DocumentKind, id: &DocumentId) -> String {
        format!("{}o:{}:{id}", self.prefix, kind.letter())
    }

    /// The ids of all documents of a kind, whosever they are.
    pub fn all_documents(&self, kind: DocumentKind) -> String {
        format!("{}oa:{}", self.prefix, kind.letter())
    }

    /// The documents of a workspace.
    pub fn documents_of(&self, kind: DocumentKind, workspace: &WorkspaceId) -> String {
        format!("{}ox:{}:{workspace}", self.prefix, kind.letter())
    }

    /// The labels of a workspace's documents.
    pub fn labels_of(&self, kind: DocumentKind, workspace: &WorkspaceId) -> String {
        format!("{}ol:{}:{workspace}", self.prefix, kind.letter())
    }

    /// The last day whose costs are rolled up.
    pub fn folded(&self) -> String {
        format!("{}mf", self.prefix)
    }

    /// Which workspaces somebody listens to.
    pub fn heard(&self) -> String {
        format!("{}tm", self.prefix)
    }

    /// The events of a workspace's jobs.
    pub fn events_of(&self, workspace: &WorkspaceId) -> String {
        format!("{}t:{workspace}", self.prefix)
    }

    /// The number of shards that this one is part of.
    pub fn shards(&self) -> String {
        format!("{}n", self.prefix)
    }

    /// What is written to have it confirmed by replicas.
    pub fn fence(&self) -> String {
        format!("{}f", self.prefix)
    }

    /// The channel of ended jobs.
    pub fn ended(&self) -> String {
        format!("{}ended", self.prefix)
    }
}
