//! The fixtures as replies: for the property tests here and the benches.

use std::path::Path;
use std::{fs, io};

use atelier_domain::operation::Provider;
use atelier_providers::HttpReply;

use crate::samples;

/// A reply from the fixtures.
#[derive(Debug, Clone)]
pub struct Sample {
    /// The file's name without its ending; the first word tells what the reply answers.
    pub name: String,
    pub reply: HttpReply,
}

/// The fixtures of a provider in `directory`, in the order of their names; none where there is no such folder.
pub fn replies(directory: &Path, provider: Provider) -> io::Result<Vec<Sample>> {
    let folder = directory.join(provider.as_str());
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let mut samples = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        samples.push(Sample { name, reply: samples::reply(&fs::read(&path)?) });
    }
    samples.sort_by(|left, right| left.name.cmp(&right.name));
    Ok(samples)
}
