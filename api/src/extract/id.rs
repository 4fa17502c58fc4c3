//! The id in a path.

use std::str::FromStr;

use axum::extract::{FromRequestParts, Path};
use http::request::Parts;

use crate::error::ApiError;
use crate::state::ApiState;
use atelier_domain::ids::{AssetId, JobId};

/// An id. A text that is none is as unknown as an id that nothing has: 404.
pub(crate) struct PathId<T>(pub T);

/// Which error says that nothing has the id.
pub(crate) trait Identifies: FromStr {
    fn unknown() -> ApiError;
}

impl Identifies for JobId {
    fn unknown() -> ApiError {
        ApiError::no_job()
    }
}

impl Identifies for AssetId {
    fn unknown() -> ApiError {
        ApiError::no_asset()
    }
}

impl<T: Identifies + Send> FromRequestParts<ApiState> for PathId<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, ApiError> {
        let Path(text) = Path::<String>::from_request_parts(parts, state).await.map_err(|_| T::unknown())?;
        text.parse().map(Self).map_err(|_| T::unknown())
    }
}
