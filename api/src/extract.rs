//! What handlers take out of a request. Every refusal is an [`ApiError`], never one of axum's own plain texts.

mod assets;
mod attached;
mod body;
mod caller;
mod costs;
mod figures;
mod id;
mod last_event;
mod list;
mod query;
mod upload;

pub(crate) use assets::{AssetQuery, SignedUrlQuery};
pub use attached::RawFile;
pub(crate) use attached::take_inline;
pub use body::read_body_pieces;
pub(crate) use body::{BatchBody, JobBody};
pub(crate) use caller::{Caller, KeyHolder, Recognized};
pub(crate) use costs::CostQuery;
pub(crate) use figures::{DaysQuery, StudioQuery, SummaryQuery};
pub(crate) use id::PathId;
pub(crate) use last_event::LastEvent;
pub(crate) use list::{By, ListQuery};
pub(crate) use query::{ModelQuery, PageQuery, WaitQuery};
pub(crate) use upload::UploadForm;
