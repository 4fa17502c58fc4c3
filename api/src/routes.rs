//! All routes, and the JSON answers for what is none.

pub(crate) mod api_keys;
mod assets;
mod batch;
mod callbacks;
mod cancel_many;
mod content;
mod costs;
pub(crate) mod credentials;
mod dead_letters;
mod events;
mod figures;
mod health;
mod inputs;
mod jobs;
mod models;
mod pauses;
mod resolve;
mod retry;
mod studio;
mod timeline;
mod upload;
mod vault;

use std::any::Any;

use atelier_domain::access::Scope;
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
const CANCEL_MANY: &str = "/api/v1/media/jobs/cancel";
const RETRY: &str = "/api/v1/media/jobs/{id}/retry";
const RESOLVE: &str = "/api/v1/media/jobs/{id}/resolve";
const JOB_EVENTS: &str = "/api/v1/media/jobs/{id}/events";
const TIMELINE: &str = "/api/v1/media/jobs/{id}/timeline";
const EVENTS: &str = "/api/v1/media/events";
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
const GENERATE: &str = "/api/v1/media/generate";
const MEDIA_MODELS: &str = "/api/v1/media-models";
const SUMMARY: &str = "/api/v1/costs/summary";
const DASHBOARD: &str = "/api/v1/dashboard/metrics";
const CREDENTIALS: &str = "/api/v1/credentials";
const CREDENTIAL: &str = "/api/v1/credentials/{id}";
const SET_DEFAULT: &str = "/api/v1/credentials/{id}/set-default";
const DEFAULT: &str = "/api/v1/credentials/{id}/default";
const CHECK: &str = "/api/v1/credentials/{id}/check";
const API_KEYS: &str = "/api/v1/api-keys";
const API_KEY: &str = "/api/v1/api-keys/{id}";
const VAULT: &str = "/api/v1/vault";
const HEALTH: &str = "/healthz";
const READY: &str = "/readyz";

/// Every route with its handlers, and the layers around them.
pub fn router(state: ApiState) -> Router {
    Router::new()
        .route(JOBS, post(jobs::create).get(jobs::list))
        .route(BATCH, post(batch::create))
        .route(JOB, get(jobs::show))
        .route(CANCEL, post(jobs::cancel))
        .route(CANCEL_MANY, post(cancel_many::cancel))
        .route(RETRY, post(retry::retry))
        .route(RESOLVE, post(resolve::resolve))
        .route(JOB_EVENTS, get(events::of_job))
        .route(TIMELINE, get(timeline::show))
        .route(EVENTS, get(events::of_workspace))
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
        .route(GENERATE, post(studio::generate))
        .route(MEDIA_MODELS, get(studio::models))
        .route(SUMMARY, get(figures::summary))
        .route(DASHBOARD, get(figures::dashboard))
        .route(CREDENTIALS, get(credentials::list).post(credentials::create))
        .route(CREDENTIAL, get(credentials::show).patch(credentials::change).delete(credentials::remove))
        .route(SET_DEFAULT, post(credentials::set_default))
        .route(DEFAULT, post(credentials::set_default))
        .route(CHECK, post(credentials::check))
        .route(API_KEYS, get(api_keys::list).post(api_keys::create))
        .route(API_KEY, get(api_keys::show).delete(api_keys::revoke))
        .route(VAULT, get(vault::show))
        .route(HEALTH, get(health::alive))
        .route(READY, get(health::ready))
        .fallback(unknown_route)
        .method_not_allowed_fallback(wrong_method)
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn_with_state(state.clone(), observe))
        .with_state(state)
}

/// Which right a request needs. What is not named here needs them all.
pub(crate) fn right_of(route: &str, method: &Method) -> Scope {
    let is_read = matches!(*method, Method::GET | Method::HEAD);
    let is_under =
        |root: &str| route.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    match is_read {
        true if is_under("/api/v1/media") => Scope::JobsRead,
        true if [MEDIA_MODELS, SUMMARY, DASHBOARD].contains(&route) => Scope::JobsRead,
        false if is_under("/api/v1/media") => Scope::JobsWrite,
        true if is_under("/api/v1/assets") => Scope::AssetsRead,
        false if is_under("/api/v1/assets") => Scope::AssetsWrite,
        true if is_under(CREDENTIALS) => Scope::CredentialsRead,
        false if is_under(CREDENTIALS) => Scope::CredentialsWrite,
        true | false => Scope::Admin,
    }
}

async fn unknown_route(method: Method, uri: Uri) -> ApiError {
    let path: String = uri.path().chars().take(200).collect();
    ApiError::NotFound { message: format!("there is no {method} {path}") }
}

/// 404 and not 405: the published clients repeat a request after 405.
async fn wrong_method(method: Method, route: Option<Extension<MatchedPath>>) -> ApiError {
    let route = route.as_ref().map_or("", |Extension(route)| route.as_str());
    let allowed = match route {
        JOBS | PAUSES | ASSETS | CREDENTIALS | API_KEYS => "GET and POST",
        CREDENTIAL => "GET, PATCH and DELETE",
        API_KEY | ASSET => "GET and DELETE",
        CONTENT => "GET and HEAD",
        SET_DEFAULT | DEFAULT | CHECK | GENERATE => "POST",
        BATCH | CANCEL | CANCEL_MANY | RETRY | RESOLVE | REPLAY | PURGE | RESUME => "POST",
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_right_is_that_of_the_thing_and_of_what_is_done_with_it() {
        for (method, route, scope) in [
            (Method::GET, JOBS, Scope::JobsRead),
            (Method::HEAD, JOB, Scope::JobsRead),
            (Method::POST, BATCH, Scope::JobsWrite),
            (Method::POST, PAUSES, Scope::JobsWrite),
            (Method::GET, SIGNED_URL, Scope::AssetsRead),
            (Method::DELETE, ASSET, Scope::AssetsWrite),
            (Method::GET, CREDENTIALS, Scope::CredentialsRead),
            (Method::POST, CHECK, Scope::CredentialsWrite),
            (Method::GET, API_KEYS, Scope::Admin),
            (Method::DELETE, API_KEY, Scope::Admin),
            (Method::GET, VAULT, Scope::Admin),
            (Method::GET, MEDIA_MODELS, Scope::JobsRead),
            (Method::GET, DASHBOARD, Scope::JobsRead),
            (Method::POST, GENERATE, Scope::JobsWrite),
            (Method::GET, "/api/v1/media-elsewhere", Scope::Admin),
            (Method::GET, "", Scope::Admin),
        ] {
            assert_eq!(right_of(route, &method), scope, "{method} {route}");
        }
    }
}
