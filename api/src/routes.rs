//! All routes, and the JSON answers for what is none.

mod assets;
mod batch;
mod callbacks;
mod content;
mod costs;
mod dead_letters;
mod health;
mod inputs;
mod jobs;
mod models;
mod pauses;
mod resolve;
mod upload;

use std::any::Any;

use axum::extract::MatchedPath;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use http::{Method, Uri};
use tower_http::catch_panic::CatchPanicLayer;
use tracing::error;

use crate::error::ApiError;
use crate::observe::observe;
use crate::state::ApiState;

const JOBS: &str = "/api/v1/media/jobs";
const BATCH: &str = "/api/v1/media/jobs/batch";
const JOB: &str = "/api/v1/media/jobs/{id}";
const CANCEL: &str = "/api/v1/media/jobs/{id}/cancel";
const RESOLVE: &str = "/api/v1/media/jobs/{id}/resolve";
const DEAD_LETTERS: &str = "/api/v1/media/dead-letters";
const REPLAY: &str = "/api/v1/media/dead-letters/replay";
const PURGE: &str = "/api/v1/media/dead-letters/purge";
const PAUSES: &str = "/api/v1/media/pauses";
const RESUME: &str = "/api/v1/media/pauses/resume";
const MODELS: &str = "/api/v1/media/models";
const COSTS: &str = "/api/v1/media/costs";
const CALLBACK: &str = "/callbacks/{provider}/{job}/{token}";
const ASSETS: &str = "/api/v1/assets";
const ASSET: &str = "/api/v1/assets/{id}";
const SIGNED_URL: &str = "/api/v1/assets/{id}/signed-url";
const CONTENT: &str = "/api/v1/assets/{id}/content";
const HEALTH: &str = "/healthz";
const READY: &str = "/readyz";

/// Every route with its handlers, and the layers around them.
pub fn router(state: ApiState) -> Router {
    Router::new()
        .route(JOBS, post(jobs::create).get(jobs::list))
        .route(BATCH, post(batch::create))
        .route(JOB, get(jobs::show))
        .route(CANCEL, post(jobs::cancel))
        .route(RESOLVE, post(resolve::resolve))
        .route(DEAD_LETTERS, get(dead_letters::list))
        .route(REPLAY, post(dead_letters::replay))
        .route(PURGE, post(dead_letters::purge))
        .route(PAUSES, get(pauses::list).post(pauses::pause))
        .route(RESUME, post(pauses::resume))
        .route(MODELS, get(models::list))
        .route(COSTS, get(costs::show))
        .route(CALLBACK, post(callbacks::receive).put(callbacks::receive))
        .route(ASSETS, post(upload::create).get(assets::list))
        .route(ASSET, get(assets::show).delete(assets::remove))
        .route(SIGNED_URL, get(assets::signed_url))
        .route(CONTENT, get(content::show))
        .route(HEALTH, get(health::alive))
        .route(READY, get(health::ready))
        .fallback(unknown_route)
        .method_not_allowed_fallback(wrong_method)
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn_with_state(state.clone(), observe))
        .with_state(state)
}

async fn unknown_route(method: Method, uri: Uri) -> ApiError {
    let path: String = uri.path().chars().take(200).collect();
    ApiError::NotFound { message: format!("there is no {method} {path}") }
}

/// 404 and not 405: the published clients repeat a request after 405.
async fn wrong_method(method: Method, route: Option<Extension<MatchedPath>>) -> ApiError {
    let route = route.as_ref().map_or("", |Extension(route)| route.as_str());
    let allowed = match route {
        JOBS | PAUSES | ASSETS => "GET and POST",
        ASSET => "GET and DELETE",
        CONTENT => "GET and HEAD",
        BATCH | CANCEL | RESOLVE | REPLAY | PURGE | RESUME => "POST",
        CALLBACK => "POST and PUT",
        _ => "GET",
    };
    ApiError::NotFound { message: format!("there is no {method} {route}; {allowed} would be right") }
}

fn panicked(payload: Box<dyn Any + Send + 'static>) -> Response {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_default();
    error!(panic = text, "a handler panicked");
    ApiError::Internal.into_response()
}
