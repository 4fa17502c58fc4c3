//! The mix of jobs, and callers who keep so many of them under way.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use crate::client::{Client, Ended};

/// Longest pause of a caller between two orders.
const PAUSE_MS: u64 = 250;
/// One order in so many may be paid again after an unknown outcome.
const RESUBMITS: u32 = 4;

/// What an order asks for: operation, provider, and model where the catalogue's default is not meant.
const KINDS: [(&str, &str, Option<&str>); 7] = [
    // The bytes come with the reply of the paid call.
    ("tts", "elevenlabs", None),
    ("tts", "deepgram", None),
    ("image_gen", "stability", None),
    // The provider is asked until it has a link.
    ("image_gen", "fal", None),
    ("image_gen", "replicate", None),
    ("video_gen", "runway", Some("gen4.5")),
    ("video_gen", "luma", None),
];

/// An order that was accepted, and its end.
#[derive(Debug)]
pub struct Placed {
    pub prompt: String,
    pub kind: String,
    /// Whether a second paid call is allowed after an unknown outcome.
    pub may_resubmit: bool,
    pub ended: Ended,
}

/// Someone who orders one job after the other until all is over.
pub struct Caller {
    client: Client,
    dice: StdRng,
    numbers: Arc<AtomicUsize>,
    is_over: Arc<AtomicBool>,
}

impl Caller {
    pub fn new(client: Client, seed: u64, numbers: Arc<AtomicUsize>, is_over: Arc<AtomicBool>) -> Self {
        Self { client, dice: StdRng::seed_from_u64(seed), numbers, is_over }
    }

    pub async fn work(mut self) -> Result<Vec<Placed>> {
        let mut placed = Vec::new();
        while !self.is_over.load(Ordering::Relaxed) {
            let number = self.numbers.fetch_add(1, Ordering::Relaxed);
            let (operation, provider, model) = *KINDS.choose(&mut self.dice).context("no kinds")?;
            let may_resubmit = self.dice.random_ratio(1, RESUBMITS);
            let prompt = format!("order {number:06} of {operation} at {provider}");
            let body = body(operation, provider, model, &prompt, may_resubmit);
            let ended = self.client.fulfil(&prompt, &body).await.with_context(|| prompt.clone())?;
            placed.push(Placed { prompt, kind: format!("{operation} {provider}"), may_resubmit, ended });
            let pause = self.dice.random_range(0..PAUSE_MS);
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
        Ok(placed)
    }
}

/// One short job from the order to its file; it must succeed.
pub async fn probe(client: &Client, seed: u64, number: usize) -> Result<()> {
    let prompt = format!("probe {number} of {seed}");
    let ended = client.fulfil(&prompt, &body("tts", "deepgram", None, &prompt, true)).await?;
    ensure!(ended.status == "succeeded", "the probe ended as {ended:?}");
    Ok(())
}

fn body(operation: &str, provider: &str, model: Option<&str>, prompt: &str, may_resubmit: bool) -> Value {
    let mut body = json!({"operation": operation, "provider": provider, "prompt": prompt});
    if let Some(model) = model {
        body["model"] = model.into();
    }
    if may_resubmit {
        body["on_unknown_outcome"] = "resubmit".into();
    }
    body
}
