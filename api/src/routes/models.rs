//! What can be asked for.

use atelier_domain::catalogue::{Catalogue, IdForm, Model};
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;

use crate::extract::{Caller, ModelQuery};
use crate::state::ApiState;
use crate::wire;

/// A model, or a whole class of models that are not listed one by one: then `id` is `*` and `id_form` says what their
/// names look like.
#[derive(Serialize)]
struct ModelView<'a> {
    #[serde(flatten)]
    model: &'a Model,
    #[serde(skip_serializing_if = "Option::is_none")]
    id_form: Option<IdForm>,
}

/// `GET /api/v1/media/models`: the catalogue as this installation has it.
pub(super) async fn list(
    State(state): State<ApiState>,
    Caller(_): Caller,
    query: ModelQuery,
) -> Result<Response, crate::error::ApiError> {
    let classes = unlisted(&state.catalogue);
    let listed = state.catalogue.models().map(|model| ModelView { model, id_form: None });
    let open = classes.iter().map(|(model, form)| ModelView { model, id_form: Some(*form) });
    let fits = |view: &ModelView<'_>| {
        query.provider.is_none_or(|provider| view.model.provider == provider)
            && query.operation.is_none_or(|operation| view.model.operations.contains(&operation))
    };
    let views: Vec<_> = listed.chain(open).filter(fits).collect();
    let total = views.len();
    let limit = u32::try_from(total.max(1)).unwrap_or(u32::MAX);
    Ok(Json(wire::many(views, total as u64, 1, limit)).into_response())
}

fn unlisted(catalogue: &Catalogue) -> Vec<(Model, IdForm)> {
    let allowed = catalogue.open_models().iter().filter(|open| open.is_allowed);
    allowed.map(|open| (Model { id: "*".to_owned(), ..open.like.clone() }, open.id_form)).collect()
}
