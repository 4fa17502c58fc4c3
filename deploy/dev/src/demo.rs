//! Sends the demo's jobs through the api, as any client would, and follows them.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::Value;

use crate::progress::Board;

/// One job of `demo.json`.
#[derive(Debug, Deserialize)]
pub(crate) struct Wanted {
    pub(crate) name: String,
    /// The job whose first asset is the input of this one.
    #[serde(default)]
    pub(crate) input_of: Option<String>,
    pub(crate) job: Value,
}

/// What the demo shows of a job.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct JobView {
    pub(crate) id: String,
    pub(crate) status: String,
    pub(crate) operation: String,
    pub(crate) provider: String,
    pub(crate) model: String,
    pub(crate) provider_status: Option<String>,
    pub(crate) checks: u32,
    pub(crate) progress: Option<f64>,
    pub(crate) trace_id: String,
    pub(crate) cost: CostView,
    pub(crate) assets: Vec<AssetView>,
    pub(crate) error: Option<Value>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct CostView {
    pub(crate) actual_usd: Option<f64>,
    pub(crate) estimated_usd: f64,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct AssetView {
    pub(crate) id: String,
    pub(crate) storage_key: String,
    pub(crate) content_type: String,
    pub(crate) size_bytes: u64,
}

impl JobView {
    pub(crate) fn is_over(&self) -> bool {
        matches!(self.status.as_str(), "succeeded" | "failed" | "cancelled")
    }
}

/// Sends all jobs that need no other and follows each to its end, then those that take what the first made.
pub(crate) async fn run(api_url: &str, key: &str) -> Result<Vec<JobView>> {
    let client = reqwest::Client::builder().timeout(Duration::from_secs(40)).build()?;
    let board = Board::new();
    let (second, first): (Vec<Wanted>, Vec<Wanted>) =
        crate::wanted_jobs()?.into_iter().partition(|wanted| wanted.input_of.is_some());
    let mut ended: Vec<(String, JobView)> = Vec::new();
    for wave in [first, second] {
        let mut following = Vec::new();
        for mut wanted in wave {
            if let Some(other) = &wanted.input_of {
                let made = ended.iter().find(|(name, _)| name == other).map(|(_, job)| job);
                let asset = made.and_then(|job| job.assets.first());
                let asset =
                    asset.with_context(|| format!("the {other} job made nothing for {}", wanted.name))?;
                if let Some(body) = wanted.job.as_object_mut() {
                    body.insert("input_asset_id".to_owned(), asset.id.clone().into());
                }
            }
            let answer = client
                .post(format!("{api_url}/api/v1/media/jobs"))
                .header("X-API-Key", key)
                .json(&wanted.job)
                .send()
                .await?;
            let job =
                view(answer).await.with_context(|| format!("the {} job was not accepted", wanted.name))?;
            let row = board.row(&wanted.name);
            let url = format!("{api_url}/api/v1/media/jobs/{}", job.id);
            let follower = tokio::spawn(follow(client.clone(), url, key.to_owned(), job, row));
            following.push((wanted.name, follower));
        }
        for (name, job) in following {
            ended.push((name, job.await??));
        }
    }
    Ok(ended.into_iter().map(|(_, job)| job).collect())
}

async fn follow(
    client: reqwest::Client,
    url: String,
    key: String,
    mut job: JobView,
    mut row: crate::progress::Row,
) -> Result<JobView> {
    row.show(&job);
    while !job.is_over() {
        tokio::time::sleep(Duration::from_millis(100)).await;
        job = view(client.get(&url).header("X-API-Key", &key).send().await?).await?;
        row.show(&job);
    }
    Ok(job)
}

async fn view(answer: reqwest::Response) -> Result<JobView> {
    let status = answer.status();
    let body: Value = answer.json().await?;
    if !status.is_success() {
        bail!("HTTP {status}: {body}");
    }
    serde_json::from_value(body.get("data").cloned().unwrap_or_default()).context("the answer holds no job")
}
