//! What a delivery costs beyond moving the bytes: the way from a provider's link into the store, beside a bare copy of the
//! same bytes by the same client stack, in turns in one run.
//!
//! ```sh
//! cargo run --release -p atelier-s3-store --example delivery -- [--bytes N] [--rounds N] [--endpoint URL]
//! ```
//!
//! The source and, unless `--endpoint` names another store, the S3 server run in a process of their own. Another store
//! must know the keys in `servers.rs` and gets the bucket made. Times are medians; the processor time is that of the
//! delivering process alone, which tells more than the clock where all processes share the same cores.

mod bare;
mod servers;

use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::Context;
use atelier_domain::operation::MediaKind;
use atelier_domain::ports::{AssetStore, ByteStream, ExpectedContent, NewObject, SourceBroken};
use atelier_domain::secret::Secret;
use atelier_s3_store::{S3Settings, S3Store, probe_pieces};
use futures::{StreamExt, TryStreamExt};
use sha2::{Digest, Sha256};

use self::bare::BareCopy;
use self::servers::{ACCESS_KEY, BUCKET, SECRET_KEY, Servers};

/// A delivery may take this much longer than the bare copy.
const MOST_RATIO: f64 = 1.15;
/// Clock ticks of `/proc` in a second: fixed on Linux.
const TICKS: f64 = 100.0;
/// Pieces as large as a socket gives them.
const PIECE_BYTES: usize = 64 * 1024;

/// What to measure.
struct Options {
    bytes: u64,
    rounds: usize,
    endpoint: Option<String>,
}

/// What one way took, in seconds.
#[derive(Debug, Clone, Copy)]
struct Taken {
    clock: f64,
    processor: f64,
}

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["serve", bytes] => runtime.block_on(servers::serve(bytes.parse().context("bytes")?)),
        words => runtime.block_on(measure(Options::read(words)?)),
    }
}

impl Options {
    fn read(words: &[&str]) -> anyhow::Result<Self> {
        let mut options = Self { bytes: 100_000_000, rounds: 5, endpoint: None };
        for pair in words.chunks(2) {
            match *pair {
                ["--bytes", value] => options.bytes = value.parse().context("--bytes")?,
                ["--rounds", value] => options.rounds = value.parse().context("--rounds")?,
                ["--endpoint", value] => options.endpoint = Some(value.to_owned()),
                _ => anyhow::bail!("the options are --bytes N, --rounds N and --endpoint URL"),
            }
        }
        anyhow::ensure!(options.rounds > 0, "--rounds is 0");
        Ok(options)
    }
}

async fn measure(options: Options) -> anyhow::Result<()> {
    // A second provider would be an error of the program; there is none.
    rustls::crypto::ring::default_provider().install_default().ok();
    let servers = Servers::start(options.bytes).await?;
    let settings = S3Settings {
        endpoint: Some(options.endpoint.clone().unwrap_or_else(|| servers.store.clone())),
        bucket: BUCKET.to_owned(),
        access_key: Some(ACCESS_KEY.to_owned()),
        secret_key: Some(Secret::new(SECRET_KEY.to_owned())),
        ..S3Settings::default()
    };
    let store = S3Store::connect(settings.clone()).await?;
    store.ensure_bucket().await?;
    let bare = BareCopy::new(&settings);
    let client = reqwest::Client::new();

    let (mut copies, mut deliveries) = (Vec::new(), Vec::new());
    // The first round brings code and connections up and does not count; then each goes first in turn.
    for round in 0..=options.rounds {
        for turn in 0..2 {
            let is_delivery = (round + turn) % 2 == 1;
            let begun = Begun::now()?;
            if is_delivery {
                deliver(&store, &client, &servers.source, options.bytes).await?;
            } else {
                bare.copy(&client, &servers.source, options.bytes).await?;
            }
            let taken = begun.taken()?;
            if round > 0 {
                if is_delivery { &mut deliveries } else { &mut copies }.push(taken);
            }
            store.remove(if is_delivery { "delivered.mp4" } else { bare::KEY }).await?;
        }
    }
    store.close().await;
    servers.stop().await?;
    report(&options, median(&copies), median(&deliveries), inspection(options.bytes)?, digest(options.bytes)?)
}

/// As the worker does it: the body of a link, streamed into the store.
async fn deliver(store: &S3Store, client: &reqwest::Client, source: &str, bytes: u64) -> anyhow::Result<()> {
    let reply = client.get(source).send().await?.error_for_status()?;
    let object = NewObject {
        key_prefix: "delivered".to_owned(),
        claimed_type: Some("video/mp4".to_owned()),
        expects: ExpectedContent::Media(MediaKind::Video),
        length_bytes: reply.content_length(),
    };
    let broken = |error: reqwest::Error| SourceBroken { message: error.without_url().to_string() };
    let body: ByteStream = Box::pin(reply.bytes_stream().map_err(broken).boxed());
    let stored = store.put(object, body).await?;
    anyhow::ensure!(stored.size_bytes == bytes, "{} bytes were stored", stored.size_bytes);
    anyhow::ensure!(stored.facts.duration_ms == Some(servers::VIDEO_MS), "the facts are {:?}", stored.facts);
    Ok(())
}

/// The looks at the bytes alone, without moving them.
fn inspection(bytes: u64) -> anyhow::Result<Taken> {
    let object = NewObject {
        key_prefix: "looked-at".to_owned(),
        claimed_type: None,
        expects: ExpectedContent::Media(MediaKind::Video),
        length_bytes: Some(bytes),
    };
    let video = servers::video(bytes)?;
    let pieces: Vec<&[u8]> = video.iter().flat_map(|chunk| chunk.chunks(PIECE_BYTES)).collect();
    let begun = Begun::now()?;
    probe_pieces(object, &pieces)?;
    begun.taken()
}

/// Of the looks the digest alone, which the asset's record must have.
fn digest(bytes: u64) -> anyhow::Result<Taken> {
    let video = servers::video(bytes)?;
    let begun = Begun::now()?;
    let mut digest = Sha256::new();
    video.iter().flat_map(|chunk| chunk.chunks(PIECE_BYTES)).for_each(|piece| digest.update(piece));
    std::hint::black_box(digest.finalize());
    begun.taken()
}

fn report(
    options: &Options,
    copy: Taken,
    delivery: Taken,
    inspection: Taken,
    digest: Taken,
) -> anyhow::Result<()> {
    let megabytes = options.bytes as f64 / 1e6;
    let ratio = Taken { clock: delivery.clock / copy.clock, processor: delivery.processor / copy.processor };
    let mut out = std::io::stdout().lock();
    writeln!(out, "{megabytes:.0} MB, median of {}", options.rounds)?;
    writeln!(out, "{:<22}{:>10}{:>10}{:>14}", "way", "s", "MB/s", "processor s")?;
    for (way, taken) in [
        ("bare copy", copy),
        ("delivery", delivery),
        ("inspection alone", inspection),
        ("digest alone", digest),
    ] {
        let speed = megabytes / taken.clock.max(f64::MIN_POSITIVE);
        writeln!(out, "{way:<22}{:>10.3}{speed:>10.0}{:>14.2}", taken.clock, taken.processor)?;
    }
    writeln!(out, "{:<22}{:>10.3}{:>10}{:>14.2}", "delivery / bare copy", ratio.clock, "", ratio.processor)?;
    let json = |taken: Taken| serde_json::json!({"clock_s": taken.clock, "processor_s": taken.processor});
    let all = serde_json::json!({
        "size_bytes": options.bytes,
        "rounds": options.rounds,
        "is_embedded_store": options.endpoint.is_none(),
        "bare_copy": json(copy),
        "delivery": json(delivery),
        "inspection": json(inspection),
        "digest": json(digest),
        "ratio": {"clock": ratio.clock, "processor": ratio.processor},
        "most_ratio": MOST_RATIO,
        "is_within": ratio.clock <= MOST_RATIO,
    });
    writeln!(out, "{all}")?;
    Ok(())
}

/// The middle one of each; of an even number the upper.
fn median(all: &[Taken]) -> Taken {
    let middle = |value: fn(&Taken) -> f64| {
        let mut values: Vec<f64> = all.iter().map(value).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
    };
    Taken { clock: middle(|taken| taken.clock), processor: middle(|taken| taken.processor) }
}

struct Begun {
    clock: Instant,
    processor: f64,
}

impl Begun {
    fn now() -> anyhow::Result<Self> {
        Ok(Self { processor: processor_seconds()?, clock: Instant::now() })
    }

    fn taken(self) -> anyhow::Result<Taken> {
        let clock: Duration = self.clock.elapsed();
        Ok(Taken { clock: clock.as_secs_f64(), processor: processor_seconds()? - self.processor })
    }
}

/// Time that all threads of this process were given, in and out of the kernel.
fn processor_seconds() -> anyhow::Result<f64> {
    let line = std::fs::read_to_string("/proc/self/stat").context("failed to read the processor's time")?;
    // The name, which may hold spaces, ends at the last bracket; behind it both times are the 12th and 13th field.
    let fields = line.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
    let ticks = fields.map(str::parse::<f64>).sum::<Result<f64, _>>().context("unknown form of the times")?;
    Ok(ticks / TICKS)
}
