//! The id in a path.

use std::str::FromStr;

use axum::extract::{FromRequestParts, Path};
use http::request::Parts;

use atelier_domain::ids::{AssetId, DocumentId, IdError, JobId};

use crate::error::ApiError;
use crate::routes::credentials::Credentialed;
use crate::state::ApiState;

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

impl Identifies for DocumentId {
    fn unknown() -> ApiError {
        ApiError::no_api_key()
    }
}

impl FromStr for Credentialed {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        text.parse().map(Self)
    }
}

impl Identifies for Credentialed {
    fn unknown() -> ApiError {
        ApiError::no_credential()
    }
}

impl<T: Identifies + Send> FromRequestParts<ApiState> for PathId<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, ApiError> {
        let Path(text) = Path::<String>::from_request_parts(parts, state).await.map_err(|_| T::unknown())?;
        text.parse().map(Self).map_err(|_| T::unknown())
    }
}
