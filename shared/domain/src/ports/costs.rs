//! The books.

use async_trait::async_trait;

use super::StoreUnavailable;
use crate::Date;
use crate::costs::DayCost;
use crate::ids::WorkspaceId;

/// What the jobs of a workspace have cost. Whoever writes the end of a job enters its cost in the same step.
#[async_trait]
pub trait CostBook: Send + Sync {
    /// The costs of these days, the last one included, in no order. Each job is in them once.
    async fn costs(
        &self,
        workspace: &WorkspaceId,
        from: Date,
        to: Date,
    ) -> Result<Vec<DayCost>, StoreUnavailable>;
}
