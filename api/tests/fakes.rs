//! The ports in memory, and a caller.

mod assets;

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

pub use assets::{asset_of, upload_of};
use async_trait::async_trait;
use atelier_api::{ApiKeys, ApiParts, ApiSettings, ApiState, LargeBodies, Uploads, router};
use atelier_domain::asset::Asset;
use atelier_domain::callback::CallbackSettings;
use atelier_domain::catalogue::Catalogue;
use atelier_domain::costs::DayCost;
use atelier_domain::credential::CredentialType;
use atelier_domain::foreign::Exceptions;
use atelier_domain::ids::{AssetId, JobId, WorkspaceId};
use atelier_domain::job::{Epoch, Job};
use atelier_domain::operation::Step;
use atelier_domain::pause::{Pause, PauseFacts, PauseScope};
use atelier_domain::policy::Policy;
use atelier_domain::ports::*;
use atelier_domain::secret::Secret;
use atelier_domain::state::{Event, State};
use atelier_domain::trace::TraceParent;
use atelier_domain::{Date, Timestamp};
use atelier_vault::{MasterKeys, Vault, VaultSettings, new_master_key};
use axum::Router;
use axum::body::{Body, Bytes};
use futures::StreamExt as _;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use crate::feeds::MemoryEvents;
use crate::judge::TrustingJudge;
use crate::lists::{page, walked};
use crate::memory_documents::MemoryDocuments;

#[derive(Default)]
struct Kept {
    jobs: Vec<Job>,
    assets: Vec<Asset>,
    keys: HashMap<(WorkspaceId, String), ([u8; 16], JobId)>,
    objects: BTreeMap<String, Vec<u8>>,
    spooled: BTreeMap<(JobId, u32, u16), Vec<u8>>,
    hastened: Vec<JobId>,
    struck: Vec<JobId>,
    costs: Vec<(WorkspaceId, DayCost)>,
    pauses: BTreeMap<PauseScope, PauseFacts>,
}

/// Jobs, assets and URLs in memory.
#[derive(Default)]
pub struct MemoryStore {
    kept: Mutex<Kept>,
    changed: Notify,
    pub jobs_are_down: AtomicBool,
    pub assets_are_down: AtomicBool,
    pub panics: AtomicBool,
    /// Nobody has said yet what time it is.
    pub time_is_unknown: AtomicBool,
    /// Bytes that were put into the asset store.
    pub taken: AtomicU64,
    /// Bytes after which a download breaks off; 0 for none.
    pub breaks_after: AtomicUsize,
    /// Most jobs that many at once find room for; 0 for any number.
    pub holds: AtomicUsize,
}

fn full() -> StoreUnavailable {
    StoreUnavailable { source: "redis.secret:6379 is out of memory".into() }
}

impl MemoryStore {
    fn answer(&self) -> Result<MutexGuard<'_, Kept>, StoreUnavailable> {
        assert!(!self.panics.load(Ordering::SeqCst), "the store panics on purpose");
        if self.jobs_are_down.load(Ordering::SeqCst) {
            return Err(StoreUnavailable { source: "connection refused by redis.secret:6379".into() });
        }
        Ok(self.kept.lock().unwrap())
    }

    fn is_full(&self) -> bool {
        let most = self.holds.load(Ordering::SeqCst);
        most > 0 && self.jobs().len() >= most
    }

    /// Keys and bytes of stored objects.
    pub fn objects(&self) -> BTreeMap<String, Vec<u8>> {
        self.kept.lock().unwrap().objects.clone()
    }

    pub fn spooled(&self) -> Vec<Vec<u8>> {
        self.kept.lock().unwrap().spooled.values().cloned().collect()
    }

    pub fn jobs(&self) -> Vec<Job> {
        self.kept.lock().unwrap().jobs.clone()
    }

    pub fn keep_cost(&self, workspace: &str, cost: DayCost) {
        self.kept.lock().unwrap().costs.push((workspace.parse().unwrap(), cost));
    }

    pub fn keep_object(&self, key: &str, bytes: &[u8]) {
        self.kept.lock().unwrap().objects.insert(key.to_owned(), bytes.to_vec());
    }

    pub fn assets(&self) -> Vec<Asset> {
        self.kept.lock().unwrap().assets.clone()
    }

    pub fn drop_object(&self, key: &str) {
        self.kept.lock().unwrap().objects.remove(key);
    }

    pub fn keep_asset(&self, asset: Asset) {
        self.kept.lock().unwrap().assets.push(asset);
    }

    /// Changes the job as a worker would.
    pub fn change(&self, id: &str, change: impl FnOnce(&mut Job)) {
        change(self.kept.lock().unwrap().jobs.iter_mut().find(|job| job.id.as_str() == id).unwrap());
        self.changed.notify_waiters();
    }

    /// The jobs among which a list looks, newest first, each with its place in the order of admission.
    fn listed(
        &self,
        workspace: &WorkspaceId,
        filter: &JobFilter,
    ) -> Result<Vec<(i64, Job)>, StoreUnavailable> {
        let kept = self.answer()?;
        let is_among = |job: &Job| match filter.among {
            Among::All => true,
            Among::Uncertain => job.state == State::Uncertain,
            Among::DeadLetters => job.is_dead_letter() && !kept.struck.contains(&job.id),
        };
        let own = kept.jobs.iter().enumerate().filter(|(_, job)| job.body.workspace_id == *workspace);
        Ok(own.filter(|(_, job)| is_among(job)).map(|(at, job)| (at as i64, job.clone())).rev().collect())
    }

    fn find(kept: &Kept, workspace: &WorkspaceId, id: &JobId) -> Option<Job> {
        kept.jobs.iter().find(|job| job.id == *id && job.body.workspace_id == *workspace).cloned()
    }
}

impl TimeSource for MemoryStore {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn is_common(&self) -> bool {
        !self.time_is_unknown.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl JobStore for MemoryStore {
    async fn admit(&self, new: NewJob) -> Result<Admission, StoreUnavailable> {
        let mut kept = self.answer()?;
        let workspace = new.job.body.workspace_id.clone();
        if let Some(Idempotency { key, fingerprint }) = new.idempotency {
            if let Some((before, id)) = kept.keys.get(&(workspace.clone(), key.clone())) {
                let is_same = *before == fingerprint;
                let first = Self::find(&kept, &workspace, id).unwrap();
                return Ok(if is_same {
                    Admission::Repeated(Box::new(first))
                } else {
                    Admission::KeyReused(first.id)
                });
            }
            kept.keys.insert((workspace, key), (fingerprint, new.job.id.clone()));
        }
        kept.jobs.push(new.job);
        Ok(Admission::Created)
    }

    async fn admit_many(&self, new: &[NewJob]) -> Vec<Result<Admission, StoreUnavailable>> {
        let mut outcomes = Vec::new();
        for job in new {
            outcomes.push(if self.is_full() { Err(full()) } else { self.admit(job.clone()).await });
        }
        outcomes
    }

    async fn job(&self, workspace: &WorkspaceId, id: &JobId) -> Result<Option<Job>, StoreUnavailable> {
        Ok(Self::find(&*self.answer()?, workspace, id))
    }

    async fn jobs(&self, workspace: &WorkspaceId, filter: &JobFilter) -> Result<Page<Job>, StoreUnavailable> {
        Ok(page(self.listed(workspace, filter)?, filter))
    }

    async fn walk(
        &self,
        workspace: &WorkspaceId,
        filter: &JobFilter,
        behind: Option<&ListPlace>,
    ) -> Result<Walked, StoreUnavailable> {
        Ok(walked(self.listed(workspace, filter)?, filter, behind))
    }

    async fn cancel(
        &self,
        workspace: &WorkspaceId,
        id: &JobId,
        now: Timestamp,
    ) -> Result<CancelOutcome, StoreUnavailable> {
        let mut kept = self.answer()?;
        let found = kept.jobs.iter_mut().find(|job| job.id == *id && job.body.workspace_id == *workspace);
        let Some(job) = found else { return Ok(CancelOutcome::Unknown) };
        let outcome = match job.apply(Event::Cancelled, now) {
            Ok(()) => CancelOutcome::Cancelled(Box::new(job.clone())),
            Err(_) => CancelOutcome::AlreadyEnded(Box::new(job.clone())),
        };
        Ok(outcome)
    }

    async fn wait_for_end(
        &self,
        workspace: &WorkspaceId,
        id: &JobId,
        limit: Duration,
    ) -> Result<Option<Job>, StoreUnavailable> {
        let wait = async {
            loop {
                let changed = self.changed.notified();
                match self.job(workspace, id).await {
                    Ok(Some(job)) if !job.state.is_terminal() => changed.await,
                    other => return other,
                }
            }
        };
        match tokio::time::timeout(limit, wait).await {
            Ok(ended) => ended,
            Err(_) => self.job(workspace, id).await,
        }
    }

    async fn job_of_callback(&self, id: &JobId) -> Result<Option<Job>, StoreUnavailable> {
        Ok(self.answer()?.jobs.iter().find(|job| job.id == *id).cloned())
    }

    async fn hasten(&self, id: &JobId) -> Result<bool, StoreUnavailable> {
        let mut kept = self.answer()?;
        let is_first = !kept.hastened.contains(id);
        kept.hastened.push(id.clone());
        Ok(is_first)
    }

    async fn decide(&self, before: &Job, after: Job, _: Next) -> Result<bool, StoreUnavailable> {
        let mut kept = self.answer()?;
        let found = kept.jobs.iter_mut().find(|job| job.id == before.id && **job == *before);
        let Some(job) = found else { return Ok(false) };
        *job = after;
        Ok(true)
    }

    async fn strike(&self, workspace: &WorkspaceId, ids: &[JobId]) -> Result<u64, StoreUnavailable> {
        let mut kept = self.answer()?;
        let found: Vec<JobId> =
            ids.iter().filter(|id| Self::find(&kept, workspace, id).is_some()).cloned().collect();
        kept.struck.extend(found.iter().cloned());
        Ok(found.len() as u64)
    }

    async fn forget(&self, workspace: &WorkspaceId, id: &JobId) -> Result<bool, StoreUnavailable> {
        let mut kept = self.answer()?;
        let is_there = Self::find(&kept, workspace, id).is_some_and(|job| job.state.is_terminal());
        kept.jobs.retain(|job| !is_there || job.id != *id);
        Ok(is_there)
    }

    async fn asset(&self, workspace: &WorkspaceId, id: &AssetId) -> Result<Option<Asset>, StoreUnavailable> {
        let kept = self.answer()?;
        Ok(kept.assets.iter().find(|asset| asset.id == *id && asset.workspace_id == *workspace).cloned())
    }

    async fn ready(&self) -> Result<(), StoreUnavailable> {
        self.answer().map(|_| ())
    }
}

#[async_trait]
impl Pauses for MemoryStore {
    async fn pause(&self, pause: &Pause) -> Result<(), StoreUnavailable> {
        self.answer()?.pauses.insert(pause.scope.clone(), pause.facts.clone());
        Ok(())
    }

    async fn resume(&self, scope: &PauseScope) -> Result<Option<u64>, StoreUnavailable> {
        Ok(self.answer()?.pauses.remove(scope).map(|_| 0))
    }

    async fn pauses(&self) -> Result<Vec<Held>, StoreUnavailable> {
        let kept = self.answer()?.pauses.clone();
        Ok(kept.into_iter().map(|(scope, facts)| Held { pause: Pause { scope, facts }, jobs: 0 }).collect())
    }
}

#[async_trait]
impl CostBook for MemoryStore {
    async fn costs(
        &self,
        workspace: &WorkspaceId,
        from: Date,
        to: Date,
    ) -> Result<Vec<DayCost>, StoreUnavailable> {
        let kept = self.answer()?;
        let fits = |(of, cost): &&(WorkspaceId, DayCost)| of == workspace && (from..=to).contains(&cost.day);
        Ok(kept.costs.iter().filter(fits).map(|(_, cost)| cost.clone()).collect())
    }
}

#[async_trait]
impl Spool for MemoryStore {
    async fn keep(
        &self,
        job: &JobId,
        epoch: Epoch,
        index: u16,
        mut bytes: ByteStream,
    ) -> Result<u64, SpoolError> {
        let mut kept = Vec::new();
        while let Some(chunk) = bytes.next().await {
            kept.extend_from_slice(&chunk?);
        }
        let length = kept.len() as u64;
        self.kept.lock().unwrap().spooled.insert((job.clone(), epoch.0, index), kept);
        Ok(length)
    }

    async fn read(&self, _: &JobId, _: Epoch, _: u16) -> Result<ByteStream, SpoolError> {
        unreachable!("the api reads nothing back")
    }

    async fn forget(&self, _: &JobId, _: Epoch, _: u16) -> Result<(), SpoolError> {
        unreachable!("the api forgets nothing")
    }
}

/// Remembers what it was asked. By default nothing is recorded.
#[derive(Default)]
pub struct MemoryTelemetry {
    pub requests: Mutex<Vec<(String, String, Option<TraceParent>)>>,
    recorded: Option<TraceParent>,
    next_id: AtomicU64,
}

impl MemoryTelemetry {
    /// Every span has this context.
    pub fn recording(context: TraceParent) -> Self {
        Self { recorded: Some(context), ..Self::default() }
    }
}

impl Telemetry for MemoryTelemetry {
    fn request(&self, method: &str, route: &str, parent: Option<TraceParent>) -> tracing::Span {
        self.requests.lock().unwrap().push((method.to_owned(), route.to_owned(), parent));
        tracing::Span::none()
    }

    fn send(&self, _: Step) -> tracing::Span {
        tracing::Span::none()
    }

    fn step(&self, _: &Job, _: Step) -> tracing::Span {
        unreachable!("the api does no steps")
    }

    fn context_of(&self, _: &tracing::Span) -> Option<TraceParent> {
        self.recorded
    }

    fn fresh_span_id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::SeqCst) + 1
    }

    fn media(&self, job: &Job) {
        assert!(job.state.is_terminal(), "only an ended job has a media span");
    }
}

/// The api with its ports; `acme-key` and `beta-key` let in where the settings name no keys.
pub struct Api {
    pub store: Arc<MemoryStore>,
    pub documents: Arc<MemoryDocuments>,
    pub events: Arc<MemoryEvents>,
    pub telemetry: Arc<MemoryTelemetry>,
    pub draining: CancellationToken,
    pub uploads: Uploads,
    pub router: Router,
}

impl Default for Api {
    fn default() -> Self {
        Self::with(MemoryTelemetry::default(), ApiSettings::default())
    }
}

impl Api {
    pub fn with(telemetry: MemoryTelemetry, settings: ApiSettings) -> Self {
        let store = Arc::new(MemoryStore::default());
        let documents = Arc::new(MemoryDocuments::default());
        let events = Arc::new(MemoryEvents::default());
        let telemetry = Arc::new(telemetry);
        let draining = CancellationToken::new();
        let uploads = Uploads::new(settings.uploads_at_once);
        let two = || ApiKeys::new([("acme-key", "acme"), ("beta-key", "beta")]).unwrap();
        let keys = if settings.api_keys.is_empty() { two() } else { settings.api_keys.clone() };
        let state = ApiState::new(ApiParts {
            jobs: store.clone(),
            events: events.clone(),
            pauses: store.clone(),
            costs: store.clone(),
            assets: store.clone(),
            asset_book: store.clone(),
            uploads: uploads.clone(),
            time: store.clone(),
            telemetry: telemetry.clone(),
            catalogue: Arc::new(Catalogue::builtin().unwrap()),
            callbacks: callback_settings().addresses(),
            judge: Arc::new(TrustingJudge),
            spool: store.clone(),
            policy: Arc::new(Policy::default()),
            large_bodies: LargeBodies::new(settings.large_bodies_bytes),
            keys,
            documents: documents.clone(),
            sealing: Arc::new(vault()),
            key_check: Arc::new(BelievingCheck),
            exceptions: Arc::new(Exceptions::new(["127.0.0.1:8090".to_owned()])),
            settings: Arc::new(settings),
            draining: draining.clone(),
        });
        Self { store, documents, events, telemetry, draining, uploads, router: router(state) }
    }

    /// An answer that need not be JSON: status, headers, bytes.
    pub async fn raw(&self, request: Request<Body>) -> (StatusCode, HeaderMap, Bytes) {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        (status, headers, response.into_body().collect().await.unwrap().to_bytes())
    }

    pub async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        if status == StatusCode::NO_CONTENT {
            assert!(bytes.is_empty());
            return Answer { status, headers, json: Value::Null };
        }
        let content_type = headers.get("content-type").map(|value| value.to_str().unwrap().to_owned());
        assert_eq!(content_type.as_deref(), Some("application/json"), "every answer is JSON");
        Answer { status, headers, json: serde_json::from_slice(&bytes).unwrap() }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(request("GET", path, &[("x-api-key", "acme-key")], Body::empty())).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.ask("acme-key", "POST", path, Some(body)).await
    }

    /// Any request with any key.
    pub async fn ask(&self, key: &str, method: &str, path: &str, body: Option<&Value>) -> Answer {
        let headers = [("x-api-key", key), ("content-type", "application/json")];
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        self.send(request(method, path, &headers, body)).await
    }

    /// Admits a job and gives its id.
    pub async fn admitted(&self, body: &Value) -> String {
        let answer = self.post("/api/v1/media/jobs", body).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.json);
        answer.json["data"]["id"].as_str().unwrap().to_owned()
    }
}

pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub json: Value,
}

impl Answer {
    /// Checks status, envelope and code of an error and gives its message.
    pub fn refused(&self, status: u16, code: &str) -> String {
        assert_eq!(self.status.as_u16(), status, "{}", self.json);
        assert_eq!(self.json["error"]["code"], code, "{}", self.json);
        assert_eq!(self.json.as_object().unwrap().len(), 1, "{}", self.json);
        self.json["error"]["message"].as_str().unwrap().to_owned()
    }

    /// The fields that a 400 names.
    pub fn fields(&self) -> Vec<&str> {
        let fields =
            self.json["error"]["details"]["fields"].as_array().map(Vec::as_slice).unwrap_or_default();
        fields.iter().map(|error| error["field"].as_str().unwrap()).collect()
    }
}

/// A vault with one master key.
fn vault() -> Vault {
    let master_keys = MasterKeys::new([("first", new_master_key())]).unwrap();
    Vault::new(&VaultSettings { master_keys, ..VaultSettings::default() })
}

/// Lets `good` keys in, and cannot ask about `unsure` ones.
struct BelievingCheck;

#[async_trait]
impl KeyCheck for BelievingCheck {
    async fn check_key(&self, _: CredentialType, key: &Secret<String>) -> KeyVerdict {
        let message = || "the provider says so".to_owned();
        match key.expose() {
            key if key.starts_with("good") => KeyVerdict::Valid,
            key if key.starts_with("unsure") => KeyVerdict::Unknown { message: message() },
            _ => KeyVerdict::Invalid { message: message() },
        }
    }
}

/// Callbacks at `https://media.example.com`.
pub fn callback_settings() -> CallbackSettings {
    CallbackSettings {
        public_base_url: Some("https://media.example.com".to_owned()),
        secret: Some(Secret::new("a secret of more than thirty-two characters".to_owned())),
    }
}

pub fn request(method: &str, path: &str, headers: &[(&str, &str)], body: Body) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(body).unwrap()
}

pub fn image() -> Value {
    json!({"operation": "image_gen", "provider": "fal", "prompt": "a fox in the snow"})
}

pub fn video() -> Value {
    json!({
        "operation": "video_from_image", "provider": "runway", "model": "gen4_turbo", "prompt": "slow pan",
        "input_url": "https://example.com/a.png", "config": {"duration": 5},
    })
}
