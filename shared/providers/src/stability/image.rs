//! The result of work that was asked about: an image within JSON.

use atelier_domain::error::ProviderError;
use atelier_domain::job::Output;
use atelier_domain::ports::Checked;
use serde_json::Value;

use crate::exchange::ReplyHead;
use crate::wire::malformed;

/// Why an image with this end is none; `None` when it is one.
pub(super) fn refusal(finish_reason: &str) -> Option<ProviderError> {
    if finish_reason.eq_ignore_ascii_case("CONTENT_FILTERED") {
        return Some(ProviderError::Rejected {
            message: "the image was blurred by the content filter".to_owned(),
            status: finish_reason.to_owned(),
        });
    }
    // Other words have not been seen; the image says for itself whether it is one.
    None
}

/// What a 200 answer of the result holds.
pub(super) fn checked(head: &ReplyHead, body: &Value) -> Result<Checked, ProviderError> {
    let status = body.get("finish_reason").and_then(Value::as_str).unwrap_or("SUCCESS").to_owned();
    if let Some(error) = refusal(&status) {
        return Ok(Checked::Failed { error, cost: None });
    }
    let Some(encoded) = body.get("image").and_then(Value::as_str).filter(|text| !text.is_empty()) else {
        return Err(malformed(head.status, "the result holds no image"));
    };
    let content_type = content_type(head, encoded);
    let mut output =
        Output::link(format!("data:{};base64,{encoded}", content_type.unwrap_or_default()), None);
    output.content_type = content_type.map(str::to_owned);
    output.seed = body.get("seed").and_then(Value::as_u64);
    Ok(Checked::Ready { outputs: vec![output], status, cost: None })
}

/// What the image is: the parameter `type` of the answer's own type, else what its first bytes say.
fn content_type(head: &ReplyHead, encoded: &str) -> Option<&'static str> {
    let named = head.header("content-type").unwrap_or_default().split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        (name.trim() == "type").then(|| value.trim().trim_matches('"').to_ascii_lowercase())
    });
    // The first bytes of each format as base64 begins with them.
    [("image/png", "iVBORw0KGgo"), ("image/jpeg", "/9j/"), ("image/webp", "UklGR")]
        .into_iter()
        .find(|(known, start)| named.as_deref().map_or(encoded.starts_with(start), |named| named == *known))
        .map(|(known, _)| known)
}
