//! The records of assets: what is found by a list, and what is kept and forgotten by hand.

use async_trait::async_trait;

use super::StoreUnavailable;
use crate::asset::Asset;
use crate::ids::{AssetId, JobId, WorkspaceId};
use crate::listing::ListPlace;
use crate::operation::{AssetKind, Operation, Provider};

/// Which assets to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AssetFilter {
    /// Only of this kind.
    pub kind: Option<AssetKind>,
    /// Only what this operation made.
    pub operation: Option<Operation>,
    /// Only what this provider made.
    pub provider: Option<Provider>,
    /// Only what this job made.
    pub job: Option<JobId>,
}

impl AssetFilter {
    /// Whether it lets everything through.
    pub fn is_open(&self) -> bool {
        *self == Self::default()
    }

    /// Whether it lets this asset through.
    pub fn fits(&self, asset: &Asset) -> bool {
        let made = asset.made_by.as_ref();
        self.kind.is_none_or(|kind| asset.kind() == kind)
            && self.operation.is_none_or(|operation| made.is_some_and(|made| made.operation == operation))
            && self.provider.is_none_or(|provider| made.is_some_and(|made| made.provider == provider))
            && self.job.as_ref().is_none_or(|job| made.is_some_and(|made| made.job_id == *job))
    }
}

/// A place in the list of a workspace's assets: after this one. Its order is when the asset was stored, in milliseconds
/// since 1970.
pub type AssetPlace = ListPlace<AssetId>;

impl AssetPlace {
    /// The place of an asset.
    pub fn of(asset: &Asset) -> Self {
        Self { order: asset.created_at.as_millisecond(), id: asset.id.clone() }
    }
}

/// Where a part of the list begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AssetsFrom {
    /// At this page, from 1.
    Page(u32),
    /// After this place.
    After(AssetPlace),
}

/// A part of the list, newest first.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AssetPage {
    /// The assets. With a filter and a place there may be fewer than asked for although more follow: one call looks at a
    /// bounded number of them.
    pub items: Vec<Asset>,
    /// How many there are in all; `None` where only counting all of them would tell.
    pub total: Option<u64>,
    /// Where the list goes on; `None` at its end.
    pub next: Option<AssetPlace>,
}

/// What is kept and forgotten by others than jobs.
#[async_trait]
pub trait AssetRecords: Send + Sync {
    /// Keeps these records and lists them, in place of those with the same ids.
    async fn keep(&self, assets: &[Asset]) -> Result<(), StoreUnavailable>;
    /// Forgets the records of these assets of the workspace. What is not there is forgotten already.
    async fn forget(&self, workspace: &WorkspaceId, ids: &[AssetId]) -> Result<(), StoreUnavailable>;
}

/// The records of assets as the api needs them.
#[async_trait]
pub trait AssetBook: AssetRecords {
    /// Assets of this workspace, newest first: at most `limit`, which is 1 to 100.
    async fn assets(
        &self,
        workspace: &WorkspaceId,
        filter: &AssetFilter,
        from: &AssetsFrom,
        limit: u32,
    ) -> Result<AssetPage, StoreUnavailable>;
}
