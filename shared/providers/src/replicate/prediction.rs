//! The prediction object: how it stands, and what came out.

use atelier_domain::error::ProviderError;
use atelier_domain::job::{JobSpec, Output};
use atelier_domain::money::{MicroUsd, PriceUnit, ReportedCost};
use atelier_domain::ports::Checked;
use serde_json::Value;
use url::Url;

use super::failure::run_failure;
use super::models::{Billing, billing};

/// An output is looked for this deep in lists and objects.
const DEPTH: usize = 4;
/// Most files of one prediction; the largest count of any listed model is 4.
const MOST_OUTPUTS: usize = 100;

/// What a prediction with this status says. Only the four last words end it: an output may be there before, with
/// files that are not kept.
pub(super) fn checked(prediction: &Value, status: &str, spec: &JobSpec) -> Checked {
    let failed = |error: ProviderError, cost| Checked::Failed { error, cost };
    let stopped = |message: &str, is_retryable| ProviderError::WorkFailed {
        message: message.to_owned(),
        status: status.to_owned(),
        is_retryable,
    };
    match status {
        "succeeded" => match outputs(prediction) {
            Ok(outputs) => {
                let cost = cost(prediction, spec, outputs.len());
                Checked::Ready { outputs, status: status.to_owned(), cost }
            }
            Err(message) => {
                let error = ProviderError::Malformed { message, status: status.to_owned() };
                failed(error, cost(prediction, spec, 0))
            }
        },
        "failed" => {
            let text = prediction.get("error").and_then(Value::as_str).filter(|text| !text.is_empty());
            failed(run_failure(text), run_time(prediction, spec))
        }
        "canceled" => {
            let error = stopped("the prediction was canceled at the provider", false);
            failed(error, run_time(prediction, spec))
        }
        // It never ran, which costs nothing and may be tried again.
        "aborted" => failed(
            stopped("the prediction did not start before its deadline", true),
            Some(ReportedCost::Amount(MicroUsd(0))),
        ),
        // `starting`, `processing`, and words that are not known yet: the polling deadline guards.
        _ => Checked::Working {
            status: status.to_owned(),
            progress_percent: prediction.get("logs").and_then(Value::as_str).and_then(progress_percent),
        },
    }
}

/// The files of an output, whatever shape the model gives it: a link, a list of links, an object that holds some.
fn outputs(prediction: &Value) -> Result<Vec<Output>, String> {
    if prediction.get("data_removed").and_then(Value::as_bool) == Some(true) {
        return Err("the provider has removed the output".to_owned());
    }
    let mut links = Vec::new();
    collect(prediction.get("output").unwrap_or(&Value::Null), DEPTH, &mut links);
    if links.is_empty() {
        return Err("the prediction succeeded without a file".to_owned());
    }
    let seed = seed(prediction);
    let output = |link: &str| Output { seed, ..Output::link(link, content_type(link)) };
    Ok(links.into_iter().take(MOST_OUTPUTS).map(output).collect())
}

fn collect<'a>(value: &'a Value, depth: usize, links: &mut Vec<&'a str>) {
    match value {
        Value::String(text) if is_file(text) => links.push(text),
        Value::Array(list) if depth > 0 => list.iter().for_each(|item| collect(item, depth - 1, links)),
        Value::Object(fields) if depth > 0 => {
            fields.values().for_each(|item| collect(item, depth - 1, links));
        }
        _ => {}
    }
}

fn is_file(text: &str) -> bool {
    text.starts_with("data:") || is_web_url(text)
}

/// Whether the text is a URL of a web server; other texts of an output are just texts.
pub(super) fn is_web_url(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| url.has_host() && matches!(url.scheme(), "http" | "https"))
}

/// What the end of a link's path says that the file is.
fn content_type(link: &str) -> Option<String> {
    if link.starts_with("data:") {
        return None;
    }
    let url = Url::parse(link).ok()?;
    let (_, extension) = url.path().rsplit_once('.')?;
    let named = match extension.to_ascii_lowercase().as_str() {
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "webp" => "image/webp",
        "gif" => "image/gif",
        "mp4" => "video/mp4",
        "webm" => "video/webm",
        "mov" => "video/quicktime",
        _ => return None,
    };
    Some(named.to_owned())
}

/// The caller's seed, or the one that the model names in its log.
fn seed(prediction: &Value) -> Option<u64> {
    let given = prediction.pointer("/input/seed").and_then(Value::as_u64);
    given.or_else(|| {
        let logs = prediction.get("logs")?.as_str()?;
        logs.lines().find_map(|line| line.trim().strip_prefix("Using seed: ")?.trim().parse().ok())
    })
}

/// The last ` 45%|████ ` of the log's bars.
fn progress_percent(logs: &str) -> Option<u8> {
    let percent = logs.rmatch_indices("%|").find_map(|(at, _)| {
        let before = logs.get(..at)?.trim_end();
        let number = before.rsplit(|letter: char| !letter.is_ascii_digit()).next()?;
        number.parse::<u8>().ok()
    })?;
    Some(percent).filter(|percent| *percent <= 100)
}

/// In the unit that the price of the model counts.
fn cost(prediction: &Value, spec: &JobSpec, images: usize) -> Option<ReportedCost> {
    match billing(spec) {
        Billing::Images => Some(ReportedCost::units(PriceUnit::Image, images as u64)),
        Billing::Compute | Billing::VideoSeconds => run_time(prediction, spec),
    }
}

/// How long the model ran, where that is what is paid for.
fn run_time(prediction: &Value, spec: &JobSpec) -> Option<ReportedCost> {
    if billing(spec) != Billing::Compute {
        return None;
    }
    let seconds = prediction.pointer("/metrics/predict_time").and_then(Value::as_f64)?;
    ReportedCost::seconds(PriceUnit::ComputeSecond, seconds)
}
