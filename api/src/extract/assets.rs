//! Query strings of assets.

use std::str::FromStr;
use std::time::Duration;

use atelier_domain::ids::JobId;
use atelier_domain::listing::NoListPlace;
use atelier_domain::operation::{AssetKind, Operation, Provider};
use atelier_domain::ports::{AssetFilter, AssetsFrom};
use atelier_domain::request::FieldError;
use axum::extract::FromRequestParts;
use http::request::Parts;

use super::query::{DEFAULT_LIMIT, page_limit, page_number, pairs, short, unknown, word};
use crate::error::ApiError;
use crate::state::ApiState;

/// Longest life of a presigned S3 URL, in seconds.
const LONGEST_TTL_S: u64 = 604_800;

const NAMES: &[&str] = &[
    "type",
    "media_type",
    "provider",
    "operation",
    "job_id",
    "execution_id",
    "agent_id",
    "page",
    "limit",
    "cursor",
];

/// Which assets to list.
pub(crate) struct AssetQuery {
    pub(crate) filter: AssetFilter,
    pub(crate) from: AssetsFrom,
    pub(crate) limit: u32,
    /// It asks for what no asset has: those of an agent or an execution, or of two kinds at once.
    pub(crate) is_void: bool,
}

impl FromRequestParts<ApiState> for AssetQuery {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &ApiState) -> Result<Self, ApiError> {
        let mut filter = AssetFilter::default();
        let (mut page, mut limit, mut cursor, mut is_void) = (None, DEFAULT_LIMIT, None, false);
        let mut problems = Vec::new();
        for (name, text) in pairs(parts)? {
            match name.as_str() {
                "page" => page = Some(page_number(&text)),
                "limit" => limit = page_limit(&text),
                // An empty filter is how forms say "all".
                known if text.is_empty() && NAMES.contains(&known) => {}
                "type" | "media_type" => match word(&name, &text, sort, &mut problems) {
                    Some(Sort::Kind(kind)) => is_void |= narrow(&mut filter.kind, kind),
                    Some(Sort::Operation(operation)) => is_void |= narrow(&mut filter.operation, operation),
                    None => {}
                },
                "operation" => {
                    if let Some(operation) = word(&name, &text, Operation::parse, &mut problems) {
                        is_void |= narrow(&mut filter.operation, operation);
                    }
                }
                "provider" => filter.provider = word(&name, &text, Provider::from_str, &mut problems),
                "job_id" => filter.job = word(&name, &text, job, &mut problems),
                // No asset has one yet.
                "execution_id" | "agent_id" => is_void = true,
                "cursor" => match text.parse() {
                    Ok(place) => cursor = Some(place),
                    Err(NoListPlace) => problems.push(FieldError::new(
                        "cursor",
                        format!("is `{}`", short(&text)),
                        "the `next_cursor` of a list, as it is",
                    )),
                },
                _ => problems.push(unknown(&name, NAMES)),
            }
        }
        if cursor.is_some() && page.is_some() {
            problems.push(FieldError::new("page", "is given beside `cursor`", "only one of the two"));
        }
        if !problems.is_empty() {
            return Err(ApiError::fields(&problems));
        }
        let from = cursor.map_or(AssetsFrom::Page(page.unwrap_or(1)), AssetsFrom::After);
        Ok(Self { filter, from, limit, is_void })
    }
}

/// A word for what an asset is: a kind, or the tool that makes it.
enum Sort {
    Kind(AssetKind),
    Operation(Operation),
}

fn sort(text: &str) -> Result<Sort, String> {
    let kind = AssetKind::parse(text).map(Sort::Kind);
    kind.or_else(|_| Operation::parse(text).map(Sort::Operation)).map_err(|_| {
        format!("one of {}, speech, {} was expected", AssetKind::expected(), Operation::expected())
    })
}

fn job(text: &str) -> Result<JobId, String> {
    text.parse().map_err(|_| "the id of a job was expected".to_owned())
}

/// Sets a filter; whether it was set to something else before, so that nothing passes both.
fn narrow<T: PartialEq>(filter: &mut Option<T>, value: T) -> bool {
    match filter {
        Some(before) => *before != value,
        None => {
            *filter = Some(value);
            false
        }
    }
}

/// How long a signed URL is to be good.
pub(crate) struct SignedUrlQuery(pub Duration);

impl FromRequestParts<ApiState> for SignedUrlQuery {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, ApiError> {
        let mut ttl = state.settings.signed_url_ttl();
        let mut problems = Vec::new();
        for (name, text) in pairs(parts)? {
            match (name.as_str(), text.parse::<u64>()) {
                ("expires_in", Ok(seconds)) if (1..=LONGEST_TTL_S).contains(&seconds) => {
                    ttl = Duration::from_secs(seconds);
                }
                ("expires_in", _) => problems.push(FieldError::new(
                    "expires_in",
                    format!("is `{}`", short(&text)),
                    format!("whole seconds from 1 to {LONGEST_TTL_S}"),
                )),
                _ => problems.push(unknown(&name, &["expires_in"])),
            }
        }
        if problems.is_empty() { Ok(Self(ttl)) } else { Err(ApiError::fields(&problems)) }
    }
}

#[cfg(test)]
mod tests {
    use atelier_domain::ids::AssetId;
    use atelier_domain::ports::AssetPlace;
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    #[test]
    fn a_cursor_is_the_place_it_was_made_of() {
        let place = AssetPlace { order: 1_795_000_000_123, id: AssetId::new() };
        let cursor = place.to_string();
        assert!(cursor.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')));
        assert_eq!(cursor.parse(), Ok(place));
        for text in
            ["x", "", "YTEu", "%%%", &URL_SAFE_NO_PAD.encode("a1.x.y"), &URL_SAFE_NO_PAD.encode("a2.1.x")]
        {
            assert!(text.parse::<AssetPlace>().is_err(), "{text}");
        }
    }
}
