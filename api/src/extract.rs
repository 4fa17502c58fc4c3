//! What handlers take out of a request. Every refusal is an [`ApiError`], never one of axum's own plain texts.

mod body;
mod caller;
mod id;
mod query;

pub(crate) use body::JsonBody;
pub(crate) use caller::{Caller, Recognized};
pub(crate) use id::PathId;
pub(crate) use query::{ListQuery, WaitQuery};
