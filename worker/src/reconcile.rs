//! The step `reconcile`: decides about a paid call that got no answer.

use atelier_domain::policy::LateNews;
use atelier_domain::ports::Claim;
use atelier_domain::state::State;

use crate::{StepError, Worker};

impl Worker {
    /// None of the present providers can be asked by a reference of ours (their documentation names no such call). A
    /// callback may still bring the id; else the job's own wish decides, within the operator's limit.
    pub(crate) async fn reconcile(&self, claim: &dyn Claim) -> Result<(), StepError> {
        let job = claim.job().clone();
        match job.state {
            State::Uncertain => {
                let may_call = self.callbacks.is_some() && job.body.spec.provider.makes_callbacks();
                let late_news = if may_call { LateNews::Possible } else { LateNews::Impossible };
                let decision = self.policy.reconcile_blind(job, late_news, self.now())?;
                self.settle(claim, decision).await
            }
            State::Submitting => {
                let decision = self.policy.found_open_intent(job, self.now())?;
                self.settle(claim, decision).await
            }
            State::Queued
            | State::Awaiting
            | State::Delivering
            | State::Succeeded
            | State::Failed
            | State::Cancelled => self.hand_back(claim, job).await,
        }
    }
}
