//! The optional headers of a submit: what is accepted, and the one that changes what happens.
//!
//! | header | value | kind |
//! |---|---|---|
//! | `X-Fal-Queue-Priority` | `normal` or `low` | documented |
//! | `X-Fal-Request-Timeout` | seconds until the work must have begun; then 504 with `X-Fal-Request-Timeout-Type: user` | documented |
//! | `X-Fal-No-Retry`, `X-Fal-Store-IO` | `0` or `1`; without effect here | documented |
//! | `X-Fal-Runner-Hint` | any text; without effect here | documented |
//! | `X-Fal-Object-Lifecycle-Preference` | JSON with `expiration_duration_seconds`; without effect here | documented |
//! | another value in one of these | 422 that names the header | assumed |

use std::time::Duration;

use serde_json::{Value, json};

use crate::call::Call;
use crate::fal::input::detail;

/// How long the work may wait before it begins; `None` = for as long as it takes.
pub(super) fn read(call: &Call) -> Result<Option<Duration>, Vec<Value>> {
    let mut wrong = Vec::new();
    let mut refuse = |name: &str, message: &str, value: &str| {
        wrong.push(detail(json!(["header", name]), message, "value_error", &value.into()));
    };
    if let Some(value) = call.header("x-fal-queue-priority")
        && !["normal", "low"].contains(&value)
    {
        refuse("x-fal-queue-priority", "Input should be 'normal' or 'low'", value);
    }
    for name in ["x-fal-no-retry", "x-fal-store-io"] {
        if let Some(value) = call.header(name)
            && !["0", "1"].contains(&value)
        {
            refuse(name, "Input should be '0' or '1'", value);
        }
    }
    let lifecycle = "x-fal-object-lifecycle-preference";
    if let Some(value) = call.header(lifecycle)
        && !is_lifecycle(value)
    {
        refuse(lifecycle, "Input should be an object with expiration_duration_seconds", value);
    }
    let mut start_timeout = None;
    if let Some(value) = call.header("x-fal-request-timeout") {
        let seconds = value.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        match seconds.filter(|seconds| !seconds.is_zero()) {
            Some(seconds) => start_timeout = Some(seconds),
            None => refuse("x-fal-request-timeout", "Input should be seconds above zero", value),
        }
    }
    if wrong.is_empty() { Ok(start_timeout) } else { Err(wrong) }
}

fn is_lifecycle(text: &str) -> bool {
    serde_json::from_str::<Value>(text).is_ok_and(|preference| {
        let seconds = preference.get("expiration_duration_seconds");
        preference.is_object() && seconds.is_none_or(|seconds| seconds.is_null() || seconds.is_u64())
    })
}
