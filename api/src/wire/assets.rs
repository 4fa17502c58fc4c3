//! Assets and lists of them.

use atelier_domain::asset::Asset;
use atelier_domain::ids::{AssetId, JobId, WorkspaceId};
use atelier_domain::operation::{AssetKind, Operation, Provider};
use atelier_domain::ports::{AssetPage, AssetsFrom};
use serde::Serialize;
use serde_json::{Map, Value};

use super::time;

/// An asset. One fact has several names, because the published clients and their documentation differ. Every key is always
/// there: what is not known, such as the provider of a file that the caller uploaded, is null.
#[derive(Debug, Serialize)]
pub(crate) struct AssetView<'a> {
    id: &'a AssetId,
    workspace_id: &'a WorkspaceId,
    job_id: Option<&'a JobId>,
    r#type: AssetKind,
    media_type: AssetKind,
    mime_type: &'a str,
    content_type: &'a str,
    file_size: u64,
    size: u64,
    size_bytes: u64,
    storage_path: &'a str,
    storage_key: &'a str,
    provider: Option<Provider>,
    model: Option<&'a str>,
    operation: Option<Operation>,
    prompt: Option<&'a str>,
    file_name: String,
    width: Option<u32>,
    height: Option<u32>,
    duration_s: Option<f64>,
    codec: Option<&'a str>,
    seed: Option<u64>,
    revised_prompt: Option<&'a str>,
    sha256: &'a str,
    /// Agents and workflows are not served yet.
    execution_id: Option<&'a str>,
    agent_id: Option<&'a str>,
    metadata: &'a Map<String, Value>,
    created_at: String,
    updated_at: String,
}

/// The envelope of a part of the list of assets.
#[derive(Debug, Serialize)]
pub(crate) struct AssetList<'a> {
    data: Vec<AssetView<'a>>,
    meta: AssetMeta,
}

/// As for other lists, and where the list goes on. Who reads on from a cursor is on no page, and where a filter would have
/// to be counted through there is no total.
#[derive(Debug, Serialize)]
struct AssetMeta {
    total: Option<u64>,
    page: Option<u32>,
    limit: u32,
    pages: Option<u64>,
    total_pages: Option<u64>,
    next_cursor: Option<String>,
}

/// The wire form of an asset.
pub(crate) fn asset<'a>(asset: &'a Asset, prompt: Option<&'a str>) -> AssetView<'a> {
    let made = asset.made_by.as_ref();
    let kind = asset.kind();
    AssetView {
        id: &asset.id,
        workspace_id: &asset.workspace_id,
        job_id: made.map(|made| &made.job_id),
        r#type: kind,
        media_type: kind,
        mime_type: &asset.content_type,
        content_type: &asset.content_type,
        file_size: asset.size_bytes,
        size: asset.size_bytes,
        size_bytes: asset.size_bytes,
        storage_path: &asset.key,
        storage_key: &asset.key,
        provider: made.map(|made| made.provider),
        model: made.map(|made| made.model.as_str()),
        operation: made.map(|made| made.operation),
        prompt,
        file_name: asset.file_name(),
        width: asset.media.width,
        height: asset.media.height,
        duration_s: asset.media.duration_ms.map(|millis| millis as f64 / 1000.0),
        codec: asset.media.codec.as_deref(),
        seed: asset.seed,
        revised_prompt: asset.revised_prompt.as_deref(),
        sha256: &asset.sha256,
        execution_id: None,
        agent_id: None,
        metadata: &asset.metadata,
        created_at: time(asset.created_at),
        updated_at: time(asset.created_at),
    }
}

/// The wire form of a part of the list; `prompts` are those of its items, in their order.
pub(crate) fn assets<'a>(
    page: &'a AssetPage,
    prompts: &'a [Option<String>],
    from: &AssetsFrom,
    limit: u32,
) -> AssetList<'a> {
    let number = match from {
        AssetsFrom::Page(number) => Some(*number),
        AssetsFrom::After(_) => None,
    };
    let pages = number.and(page.total).map(|total| total.div_ceil(u64::from(limit.max(1))));
    let views = page.items.iter().zip(prompts).map(|(item, prompt)| asset(item, prompt.as_deref()));
    AssetList {
        data: views.collect(),
        meta: AssetMeta {
            total: page.total,
            page: number,
            limit,
            pages,
            total_pages: pages,
            next_cursor: page.next.as_ref().map(ToString::to_string),
        },
    }
}
