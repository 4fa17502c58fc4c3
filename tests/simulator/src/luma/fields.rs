//! What the bodies of both APIs are checked for: names, types, words, links, and the sizes that words stand for.

use serde_json::{Map, Value, json};
use url::{Host, Url};

/// Area of an image, about; sides are multiples of 16.
const IMAGE_PIXELS: f64 = 1024.0 * 1024.0;

/// The faults of a body, gathered field by field.
#[derive(Debug, Default)]
pub(super) struct Check {
    pub(super) faults: Vec<Value>,
    pub(super) allow_loopback_http: bool,
}

impl Check {
    pub(super) fn new(allow_loopback_http: bool) -> Self {
        Self { faults: Vec::new(), allow_loopback_http }
    }

    pub(super) fn fail(&mut self, place: &[&str], kind: &str, message: &str) {
        self.faults.push(fault(place, kind, message));
    }

    /// Every field is one of these.
    pub(super) fn names(&mut self, fields: &Map<String, Value>, place: &[&str], known: &[&str]) {
        for name in fields.keys().filter(|name| !known.contains(&name.as_str())) {
            let place = [place, &[name.as_str()]].concat();
            self.fail(&place, "extra_forbidden", "Extra inputs are not permitted");
        }
    }

    /// A text; `None` when it is absent or wrong.
    pub(super) fn text<'a>(
        &mut self,
        fields: &'a Map<String, Value>,
        place: &[&str],
        name: &str,
    ) -> Option<&'a str> {
        let value = present(fields, name)?;
        if value.as_str().is_none() {
            self.fail(&[place, &[name]].concat(), "string_type", "Input should be a valid string");
        }
        value.as_str()
    }

    pub(super) fn flag(&mut self, fields: &Map<String, Value>, place: &[&str], name: &str) -> bool {
        let value = present(fields, name);
        if value.is_some_and(|value| !value.is_boolean()) {
            self.fail(&[place, &[name]].concat(), "bool_type", "Input should be a valid boolean");
        }
        value.and_then(Value::as_bool).unwrap_or_default()
    }

    /// One of the words, or the fallback.
    pub(super) fn word<'a>(
        &mut self,
        fields: &'a Map<String, Value>,
        place: &[&str],
        name: &str,
        words: &[&str],
        fallback: &'a str,
    ) -> &'a str {
        let Some(value) = present(fields, name) else { return fallback };
        match value.as_str().filter(|word| words.contains(word)) {
            Some(word) => word,
            None => {
                let message = format!("Input should be one of {}", words.join(", "));
                self.fail(&[place, &[name]].concat(), "literal_error", &message);
                fallback
            }
        }
    }

    pub(super) fn object<'a>(
        &mut self,
        fields: &'a Map<String, Value>,
        place: &[&str],
        name: &str,
    ) -> Option<&'a Map<String, Value>> {
        let value = present(fields, name)?;
        if !value.is_object() {
            self.fail(&[place, &[name]].concat(), "dict_type", "Input should be a valid dictionary");
        }
        value.as_object()
    }

    pub(super) fn list<'a>(
        &mut self,
        fields: &'a Map<String, Value>,
        place: &[&str],
        name: &str,
        most: usize,
    ) -> &'a [Value] {
        let Some(value) = present(fields, name) else { return &[] };
        match value.as_array() {
            Some(list) if list.len() <= most => list,
            Some(_) => {
                let message = format!("List should have at most {most} items");
                self.fail(&[place, &[name]].concat(), "too_long", &message);
                &[]
            }
            None => {
                self.fail(&[place, &[name]].concat(), "list_type", "Input should be a valid list");
                &[]
            }
        }
    }

    /// A link that the provider could fetch. The file is not fetched.
    pub(super) fn link(&mut self, value: Option<&Value>, place: &[&str]) {
        let allow_loopback_http = self.allow_loopback_http;
        let is_good = value.and_then(Value::as_str).is_some_and(|link| is_public(link, allow_loopback_http));
        if !is_good {
            self.fail(place, "value_error", "Input should be a public https URL");
        }
    }
}

/// A field that is there and not null.
pub(super) fn present<'a>(fields: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    fields.get(name).filter(|value| !value.is_null())
}

/// One entry of the list under `detail`.
pub(super) fn fault(place: &[&str], kind: &str, message: &str) -> Value {
    let place: Vec<&str> = std::iter::once("body").chain(place.iter().copied()).collect();
    json!({"type": kind, "loc": place, "msg": message})
}

/// Width and height of a video: the short side is the number in the resolution.
pub(super) fn video_size(resolution: &str, ratio: &str) -> (u32, u32) {
    let short = match resolution {
        "360p" => 360,
        "540p" => 540,
        "1080p" => 1080,
        "4k" => 2160,
        _ => 720,
    };
    let (wide, high) = sides(ratio);
    // 4:2:0 needs even sides.
    let long = short * wide.max(high) / wide.min(high) / 2 * 2;
    if wide >= high { (long, short) } else { (short, long) }
}

/// Width and height of an image of about one megapixel.
pub(super) fn image_size(ratio: &str) -> (u32, u32) {
    let (wide, high) = sides(ratio);
    // The lists of ratios keep both sides between 500 and 2000, where the conversion is exact.
    let side = |own: u32, other: u32| {
        ((IMAGE_PIXELS * f64::from(own) / f64::from(other)).sqrt() / 16.0).round() as u32 * 16
    };
    (side(wide, high), side(high, wide))
}

fn sides(ratio: &str) -> (u32, u32) {
    let parts = ratio.split_once(':').and_then(|(wide, high)| Some((wide.parse().ok()?, high.parse().ok()?)));
    parts.filter(|(wide, high)| *wide > 0 && *high > 0).unwrap_or((16, 9))
}

fn is_public(link: &str, allow_loopback_http: bool) -> bool {
    let Ok(url) = Url::parse(link) else { return false };
    let is_loopback = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => return false,
    };
    match url.scheme() {
        "http" => is_loopback && allow_loopback_http,
        "https" => !is_loopback || allow_loopback_http,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_short_side_of_a_video_is_its_resolution() {
        assert_eq!(video_size("540p", "16:9"), (960, 540));
        assert_eq!(video_size("720p", "9:16"), (720, 1280));
        assert_eq!(video_size("1080p", "4:3"), (1440, 1080));
        assert_eq!(video_size("4k", "1:1"), (2160, 2160));
        assert_eq!(video_size("360p", "21:9"), (840, 360));
    }

    #[test]
    fn images_have_a_megapixel_whatever_their_ratio() {
        assert_eq!(image_size("1:1"), (1024, 1024));
        for ratio in ["16:9", "9:21", "3:1", "1:3", "3:2"] {
            let (width, height) = image_size(ratio);
            assert!((950_000..1_150_000).contains(&(width * height)), "{ratio}: {width}x{height}");
        }
    }

    #[test]
    fn only_public_https_links_are_taken() {
        for good in ["https://example.com/a.png", "https://10.0.0.1/a.png"] {
            assert!(is_public(good, false), "{good}");
        }
        for bad in ["http://example.com/a", "data:image/png;base64,AAAA", "ftp://example.com/a", "a", ""] {
            assert!(!is_public(bad, true), "{bad}");
        }
        assert!(is_public("http://127.0.0.1:9/a", true) && !is_public("http://127.0.0.1:9/a", false));
    }
}
