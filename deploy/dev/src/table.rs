//! The demo's table.

use std::path::Path;

use crate::demo::JobView;

/// Job, state, provider, model, cost, asset, size, trace: one row a job.
pub(crate) fn of_jobs(jobs: &[JobView], assets: &Path) -> String {
    let head = ["job", "state", "provider", "model", "cost USD", "asset", "size", "trace"].map(str::to_owned);
    let mut rows = vec![head];
    for job in jobs {
        let cost = job.cost.actual_usd.unwrap_or(job.cost.estimated_usd);
        let first = job.assets.first();
        let asset = match (first, &job.error) {
            (Some(asset), _) => short(&assets.join(&asset.storage_key)),
            (None, Some(error)) => error.to_string(),
            (None, None) => "-".to_owned(),
        };
        rows.push([
            job.operation.clone(),
            job.status.clone(),
            job.provider.clone(),
            job.model.clone(),
            format!("{cost:.4}"),
            asset,
            first.map_or_else(|| "-".to_owned(), |asset| format!("{} kB", asset.size_bytes.div_ceil(1000))),
            job.trace_id.clone(),
        ]);
    }
    aligned(&rows)
}

/// A path as it is shorter: from the present folder, if it is inside it.
fn short(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(&here).unwrap_or(path).display().to_string()
}

fn aligned<const N: usize>(rows: &[[String; N]]) -> String {
    let mut widths = [0usize; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let rule = widths.map(|width| "-".repeat(width));
    let line = |cells: &[String; N]| {
        let padded: Vec<String> =
            cells.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        padded.join("  ").trim_end().to_owned()
    };
    let mut lines = vec![String::new()];
    for (index, row) in rows.iter().enumerate() {
        lines.push(line(row));
        if index == 0 {
            lines.push(line(&rule));
        }
    }
    lines.push(String::new());
    lines.join("\n")
}
