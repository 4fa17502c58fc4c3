//! What handlers take out of a request. Every refusal is an [`ApiError`], never one of axum's own plain texts.

mod assets;
mod attached;
mod body;
mod caller;
mod costs;
mod id;
mod query;
mod upload;

pub(crate) use assets::{AssetQuery, SignedUrlQuery, cursor_of};
pub use attached::RawFile;
pub(crate) use attached::take_inline;
pub use body::read_body_pieces;
pub(crate) use body::{BatchBody, JobBody};
pub(crate) use caller::{Caller, Recognized};
pub(crate) use costs::CostQuery;
pub(crate) use id::PathId;
pub(crate) use query::{ListQuery, ModelQuery, WaitQuery};
pub(crate) use upload::UploadForm;
