//! What a field of a form may hold.

use super::form::{Form, Image};

/// Longer side to shorter, where it matters.
const MOST_RATIO: f64 = 2.5;

/// A field of a form.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) rule: Rule,
    pub(super) is_required: bool,
}

/// What may stand in a field.
#[derive(Debug)]
pub(super) enum Rule {
    /// Text of at most so many characters.
    Text {
        most: usize,
    },
    OneOf(&'static [&'static str]),
    Whole {
        least: u64,
        most: u64,
    },
    Number {
        least: f64,
        most: f64,
    },
    /// An image within limits.
    Image(Limits),
    /// An image of any size.
    AnyImage,
}

/// How large an image may be, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Limits {
    pub(super) least_side: u32,
    pub(super) most_side: u32,
    pub(super) least_pixels: u64,
    pub(super) most_pixels: u64,
    pub(super) ratio: Ratio,
}

/// Which shapes of an image are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ratio {
    Any,
    /// From 1:2.5 to 2.5:1.
    Moderate,
}

pub(super) const fn optional(name: &'static str, rule: Rule) -> Field {
    Field { name, rule, is_required: false }
}

pub(super) const fn required(name: &'static str, rule: Rule) -> Field {
    Field { name, rule, is_required: true }
}

/// Everything that is wrong with a form.
pub(super) fn check(form: &Form, fields: &[Field]) -> Vec<String> {
    let is_known = |name: &str| fields.iter().any(|field| field.name == name);
    let unknown = form.names().filter(|name| !is_known(name)).map(|name| format!("{name}: is not allowed"));
    let mut wrong: Vec<String> = unknown.collect();
    for Field { name, rule, is_required } in fields {
        if !form.names().any(|given| given == *name) || (*is_required && !form.has(name)) {
            wrong.extend(is_required.then(|| format!("{name}: is required")));
        } else {
            wrong.extend(rule.complaint(form, name).map(|complaint| format!("{name}: {complaint}")));
        }
    }
    wrong
}

impl Rule {
    fn complaint(&self, form: &Form, name: &str) -> Option<String> {
        let is_right = match self {
            Self::Text { most } => form.text(name).unwrap_or_default().chars().count() <= *most,
            Self::OneOf(words) => form.text(name).is_some_and(|text| words.contains(&text)),
            Self::Whole { least, most } => {
                form.whole(name).is_some_and(|number| (*least..=*most).contains(&number))
            }
            Self::Number { least, most } => {
                form.number(name).is_some_and(|number| (*least..=*most).contains(&number))
            }
            Self::AnyImage => form.image(name).is_some(),
            Self::Image(limits) => match form.image(name) {
                None => false,
                Some(image) => return limits.complaint(&image),
            },
        };
        (!is_right).then(|| self.expectation())
    }

    fn expectation(&self) -> String {
        match self {
            Self::Text { most } => format!("must be a text of at most {most} characters"),
            Self::OneOf(words) => format!("must be one of {}", words.join(", ")),
            Self::Whole { least, most } => format!("must be a whole number from {least} to {most}"),
            Self::Number { least, most } => format!("must be a number from {least} to {most}"),
            Self::AnyImage | Self::Image(_) => "must be an image (jpeg, png or webp)".to_owned(),
        }
    }
}

impl Limits {
    fn complaint(&self, image: &Image) -> Option<String> {
        let Self { least_side, most_side, least_pixels, most_pixels, ratio } = *self;
        let (long, short) = (image.width.max(image.height), image.width.min(image.height));
        if short < least_side || long > most_side {
            return Some(format!("sides must have {least_side} to {most_side} pixels"));
        }
        if !(least_pixels..=most_pixels).contains(&image.pixels()) {
            return Some(format!("must have {least_pixels} to {most_pixels} pixels"));
        }
        let is_moderate = f64::from(long) <= MOST_RATIO * f64::from(short);
        (ratio == Ratio::Moderate && !is_moderate)
            .then(|| "aspect ratio must be between 1:2.5 and 2.5:1".to_owned())
    }
}
