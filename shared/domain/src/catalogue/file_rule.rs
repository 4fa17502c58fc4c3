//! What an input file must be.

use serde::{Deserialize, Serialize};

use crate::asset::{MediaFacts, essence};

/// What an input file must be. Only what is known of a file can be checked: of a foreign URL nothing is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FileRule {
    /// Content types; empty when any of the kind will do.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub types: Vec<String>,
    /// Most bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<u64>,
    /// Least pixels of each side.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_side: Option<u32>,
    /// Most pixels of each side.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_side: Option<u32>,
    /// Least pixels in all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_pixels: Option<u64>,
    /// Most pixels in all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_pixels: Option<u64>,
    /// Least width to height.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_ratio: Option<f64>,
    /// Greatest width to height.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_ratio: Option<f64>,
    /// Longest sound or video in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_duration_s: Option<u64>,
}

/// What is wrong with a file, and what would be right.
pub type FileFault = (String, String);

impl FileRule {
    /// Whether any file will do.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Everything that is wrong with a file of this type, length and these facts.
    pub fn faults(&self, content_type: &str, size_bytes: u64, facts: &MediaFacts) -> Vec<FileFault> {
        let mut faults = Vec::new();
        let named = essence(content_type);
        if !self.types.is_empty() && !self.types.contains(&named) {
            faults.push((format!("is of type {named}"), format!("a file of type {}", self.types.join(", "))));
        }
        if let Some(max) = self.max_bytes.filter(|max| size_bytes > *max) {
            faults.push((format!("has {size_bytes} bytes"), format!("at most {max} bytes")));
        }
        if let (Some(width), Some(height)) = (facts.width, facts.height) {
            self.size_faults(width, height, &mut faults);
        }
        if let (Some(duration_ms), Some(max)) = (facts.duration_ms, self.max_duration_s)
            && duration_ms > max.saturating_mul(1000)
        {
            faults.push((
                format!("is {} seconds long", duration_ms.div_ceil(1000)),
                format!("at most {max} seconds"),
            ));
        }
        faults
    }

    fn size_faults(&self, width: u32, height: u32, faults: &mut Vec<FileFault>) {
        let size = format!("has {width} x {height} pixels");
        let pixels = u64::from(width) * u64::from(height);
        let ratio = f64::from(width) / f64::from(height.max(1));
        let mut push = |expected: String| faults.push((size.clone(), expected));
        if let Some(min) = self.min_side.filter(|min| width.min(height) < *min) {
            push(format!("at least {min} pixels a side"));
        }
        if let Some(max) = self.max_side.filter(|max| width.max(height) > *max) {
            push(format!("at most {max} pixels a side"));
        }
        if let Some(min) = self.min_pixels.filter(|min| pixels < *min) {
            push(format!("at least {min} pixels in all"));
        }
        if let Some(max) = self.max_pixels.filter(|max| pixels > *max) {
            push(format!("at most {max} pixels in all"));
        }
        if let Some(min) = self.min_ratio.filter(|min| ratio < *min) {
            push(format!("a width of at least {min} times the height"));
        }
        if let Some(max) = self.max_ratio.filter(|max| ratio > *max) {
            push(format!("a width of at most {max} times the height"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(width: u32, height: u32) -> MediaFacts {
        MediaFacts { width: Some(width), height: Some(height), ..MediaFacts::default() }
    }

    #[test]
    fn each_limit_is_named_and_the_limit_itself_is_allowed() {
        let rule = FileRule {
            types: vec!["image/png".to_owned()],
            max_bytes: Some(100),
            min_side: Some(64),
            max_side: Some(1_000),
            max_pixels: Some(100_000),
            min_ratio: Some(0.5),
            max_ratio: Some(2.0),
            ..FileRule::default()
        };
        assert_eq!(rule.faults("image/png", 100, &facts(400, 200)), []);
        for (content_type, size, width, height, expected) in [
            ("image/gif", 1, 100, 100, "a file of type image/png"),
            ("image/png", 101, 100, 100, "at most 100 bytes"),
            ("image/png", 1, 100, 63, "at least 64 pixels a side"),
            ("image/png", 1, 64, 1001, "at most 1000 pixels a side"),
            ("image/png", 1, 400, 251, "at most 100000 pixels in all"),
            ("image/png", 1, 64, 129, "a width of at least 0.5 times the height"),
            ("image/png", 1, 401, 200, "a width of at most 2 times the height"),
        ] {
            let faults = rule.faults(content_type, size, &facts(width, height));
            assert_eq!(faults.first().map(|(_, right)| right.as_str()), Some(expected), "{faults:?}");
        }
    }

    #[test]
    fn what_is_not_known_is_not_checked() {
        let rule = FileRule { max_side: Some(10), max_duration_s: Some(5), ..FileRule::default() };
        assert_eq!(rule.faults("audio/mpeg", 1, &MediaFacts::default()), []);
        let long = MediaFacts { duration_ms: Some(5_001), ..MediaFacts::default() };
        assert_eq!(rule.faults("audio/mpeg", 1, &long).len(), 1);
    }
}
