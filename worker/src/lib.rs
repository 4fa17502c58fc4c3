//! The worker's steps. Each is one short function over ports; none waits for a video.
//!
//! | step | file | does |
//! |---|---|---|
//! | `submit` | [`submit`] | prepares the input, stores the intent, makes the paid call once |
//! | `deliver` | [`deliver`] | streams the result into the asset store |
//! | `reconcile` | [`reconcile`] | decides about a paid call that got no answer |
//! | `abandon` | [`abandon`] | tells the provider to stop; after a timeout it looks once more first, [`salvage`] |

mod abandon;
mod deliver;
mod input;
pub mod program;
mod reconcile;
mod salvage;
pub mod settings;
mod submit;

use std::sync::Arc;

use async_trait::async_trait;
use atelier_domain::Timestamp;
use atelier_domain::callback::CallbackAddresses;
use atelier_domain::error::{ErrorCode, JobError};
use atelier_domain::foreign::Exceptions;
use atelier_domain::job::Job;
use atelier_domain::operation::Step;
use atelier_domain::policy::{Decision, Policy};
use atelier_domain::ports::{
    AssetStore, Claim, ClaimError, CredentialError, Credentials, Fetcher, JobStore, MediaProvider,
    ProviderKey, Providers, Spool, StepHandler, Telemetry, TimeSource,
};
use atelier_domain::state::IllegalTransition;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

/// Steps that a worker does.
pub const STEPS: [Step; 4] = [Step::Submit, Step::Deliver, Step::Reconcile, Step::Abandon];

/// What the steps need. One for a process.
pub struct Worker {
    /// What to do next.
    pub policy: Arc<Policy>,
    /// Who does the work.
    pub providers: Arc<dyn Providers>,
    /// With which keys.
    pub credentials: Arc<dyn Credentials>,
    /// Reads results and inputs.
    pub fetcher: Arc<dyn Fetcher>,
    /// Keeps results.
    pub assets: Arc<dyn AssetStore>,
    /// Keeps bytes of paid replies until `assets` has them.
    pub spool: Arc<dyn Spool>,
    /// Finds input assets.
    pub jobs: Arc<dyn JobStore>,
    /// Where providers may call; absent where they may not.
    pub callbacks: Option<CallbackAddresses>,
    /// Hosts that count as public although they are not. Empty in production.
    pub exceptions: Exceptions,
    /// When it is.
    pub time: Arc<dyn TimeSource>,
    /// Cancelled when the process is told to stop: no paid call begins after that.
    pub stopping: CancellationToken,
    /// Where spans go.
    pub telemetry: Arc<dyn Telemetry>,
}

/// Why a step ended without having settled its claim.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StepError {
    /// The claim is somebody else's, or the store went away.
    #[error(transparent)]
    Claim(#[from] ClaimError),
    /// The job was in a state that the step cannot have.
    #[error(transparent)]
    Transition(#[from] IllegalTransition),
}

#[async_trait]
impl StepHandler for Worker {
    async fn handle(&self, claim: Arc<dyn Claim>) {
        let claim = claim.as_ref();
        let outcome = match claim.step() {
            Step::Submit => self.submit(claim).await,
            Step::Deliver => self.deliver(claim).await,
            Step::Reconcile => self.reconcile(claim).await,
            Step::Abandon => self.abandon(claim).await,
            Step::Check => self.hand_back(claim, claim.job().clone()).await,
        };
        match outcome {
            Ok(()) => {}
            Err(StepError::Claim(reason)) => {
                warn!(job.id = %claim.job().id, step = %claim.step(), error = %reason, "step had no effect");
            }
            Err(StepError::Transition(reason)) => {
                error!(job.id = %claim.job().id, step = %claim.step(), error = %reason, "step does not fit the job");
            }
        }
    }
}

impl Worker {
    pub(crate) fn now(&self) -> Timestamp {
        self.time.now()
    }

    /// Settles, remembering the current span so that the next step can link to it.
    pub(crate) async fn settle(&self, claim: &dyn Claim, decision: Decision) -> Result<(), StepError> {
        let Decision { mut job, next } = decision;
        if !job.state.is_terminal() {
            job.body.trace.scheduled_by = self.telemetry.context_of(&tracing::Span::current());
        }
        Ok(claim.settle(job, next).await?)
    }

    /// A message for a state that this step does not handle: the job goes where its state says.
    pub(crate) async fn hand_back(&self, claim: &dyn Claim, job: Job) -> Result<(), StepError> {
        warn!(job.id = %job.id, state = %job.state, step = %claim.step(), "step found the job elsewhere");
        self.settle(claim, self.policy.resume(job, self.now())).await
    }

    /// The provider's adapter and the key for this job.
    pub(crate) async fn provider_of(
        &self,
        job: &Job,
    ) -> Result<(&dyn MediaProvider, ProviderKey), NoProvider> {
        let spec = &job.body.spec;
        let provider = self.providers.get(spec.provider).ok_or_else(|| {
            NoProvider::Hopeless(JobError::new(
                ErrorCode::Invalid,
                format!("this installation has no adapter for {}", spec.provider),
            ))
        })?;
        match self
            .credentials
            .open(&job.body.workspace_id, spec.provider, spec.credential_id.as_deref())
            .await
        {
            Ok(key) => Ok((provider, key)),
            Err(reason @ (CredentialError::Missing { .. } | CredentialError::Unknown { .. })) => {
                Err(NoProvider::Hopeless(JobError::new(ErrorCode::Unauthorized, reason.to_string())))
            }
            Err(reason @ CredentialError::Unavailable(_)) => Err(NoProvider::Later(reason.to_string())),
        }
    }
}

/// Why a provider cannot be called.
pub(crate) enum NoProvider {
    /// It never can.
    Hopeless(JobError),
    /// Not now.
    Later(String),
}
