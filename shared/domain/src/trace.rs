//! The W3C trace context that a job carries from its producer to its last step.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A `traceparent` header, version 00 (W3C Trace Context, section 3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TraceParent {
    /// 128 bits, not zero.
    pub trace_id: u128,
    /// 64 bits, not zero.
    pub span_id: u64,
    /// The `sampled` bit.
    pub is_sampled: bool,
}

impl FromStr for TraceParent {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "a W3C traceparent was expected, such as 00-<32 hex>-<16 hex>-01".to_owned();
        let mut parts = text.trim().split('-');
        let (Some(version), Some(trace), Some(span), Some(flags)) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(wrong());
        };
        let is_hex = |part: &str, length: usize| {
            part.len() == length && part.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        };
        if !is_hex(version, 2)
            || version == "ff"
            || !is_hex(trace, 32)
            || !is_hex(span, 16)
            || !is_hex(flags, 2)
        {
            return Err(wrong());
        }
        if version == "00" && parts.next().is_some() {
            return Err(wrong());
        }
        let trace_id = u128::from_str_radix(trace, 16).map_err(|_| wrong())?;
        let span_id = u64::from_str_radix(span, 16).map_err(|_| wrong())?;
        let flags = u8::from_str_radix(flags, 16).map_err(|_| wrong())?;
        if trace_id == 0 || span_id == 0 {
            return Err(wrong());
        }
        Ok(Self { trace_id, span_id, is_sampled: flags & 1 == 1 })
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace_id, self.span_id, u8::from(self.is_sampled))
    }
}

impl TryFrom<String> for TraceParent {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<TraceParent> for String {
    fn from(parent: TraceParent) -> String {
        parent.to_string()
    }
}

/// What a job keeps of its trace. All steps hang below these two spans, in whatever process they run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobTrace {
    /// The `send` span of the api: parent of the first step and of the media span.
    pub producer: TraceParent,
    /// Vendor data that came with the producer's context; passed on unread.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tracestate: Option<String>,
    /// Id chosen at admission for the media span, which is written when the job ends: steps can be its children
    /// before it exists.
    pub media_span_id: u64,
    /// The span that scheduled the step now waiting; later steps link to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduled_by: Option<TraceParent>,
}

impl JobTrace {
    /// The media span as a parent for steps.
    pub fn media(&self) -> TraceParent {
        TraceParent { span_id: self.media_span_id, ..self.producer }
    }

    /// The 32 hex digits shown to callers.
    pub fn trace_id(&self) -> String {
        format!("{:032x}", self.producer.trace_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn traceparent_round_trips() {
        assert_eq!(EXAMPLE.parse::<TraceParent>().unwrap().to_string(), EXAMPLE);
    }

    #[test]
    fn broken_traceparents_are_refused() {
        for text in [
            "",
            "00-0-0-00",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-extra",
        ] {
            assert!(text.parse::<TraceParent>().is_err(), "{text}");
        }
    }
}
