//! What is wrong with settings, said so that the reader can put it right, without any secret.

use std::collections::BTreeSet;
use std::fmt;

use super::layers::Layers;

/// Where a value stands: section and key, in order.
pub(super) type KeyPath = Vec<String>;

/// Parts of a key's name that mark its value as secret; URLs and endpoints may carry a password.
const SECRET_MARKS: &[&str] = &["key", "secret", "token", "password", "credential", "url", "endpoint", "uri"];

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingsError {
    /// The key, as in `redis.url`.
    pub key: String,
    /// What is wrong with it. Never holds a secret.
    pub problem: String,
    /// What would be right.
    pub remedy: String,
    /// Where the value came from, or where it was looked for.
    pub origin: String,
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}; {}", self.key, self.problem, self.remedy, self.origin)
    }
}

/// All mistakes of one start, by key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct SettingsErrors {
    program: String,
    /// Each mistake once.
    pub errors: Vec<SettingsError>,
}

impl SettingsErrors {
    pub(super) fn new(program: &str, mut faults: Vec<Fault>) -> Self {
        faults.sort_by(|a, b| a.path.cmp(&b.path));
        faults.dedup();
        Self { program: program.to_owned(), errors: faults.into_iter().map(Fault::into_error).collect() }
    }
}

impl fmt::Display for SettingsErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (count, verb) =
            (self.errors.len(), if self.errors.len() == 1 { "setting is" } else { "settings are" });
        write!(f, "{}: {count} {verb} wrong", self.program)?;
        for error in &self.errors {
            write!(f, "\n  {error}")?;
        }
        Ok(())
    }
}

/// A mistake while it is being collected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) path: KeyPath,
    pub(super) problem: String,
    pub(super) remedy: String,
    pub(super) origin: String,
    /// Nothing was set: another source may have been meant to.
    pub(super) is_missing: bool,
}

impl Fault {
    fn into_error(self) -> SettingsError {
        SettingsError {
            key: shown(&self.path),
            problem: self.problem,
            remedy: self.remedy,
            origin: self.origin,
        }
    }
}

/// Collects what [`super::Settings::validate`] finds.
#[derive(Debug)]
pub struct Problems<'a> {
    layers: &'a Layers,
    broken: BTreeSet<KeyPath>,
    section: KeyPath,
    faults: Vec<Fault>,
}

impl<'a> Problems<'a> {
    pub(super) fn new(layers: &'a Layers, broken: BTreeSet<KeyPath>) -> Self {
        Self { layers, broken, section: Vec::new(), faults: Vec::new() }
    }

    /// Reports `key` of the current section: what is wrong, and what would be right. Put no secret into either.
    pub fn report(&mut self, key: &str, problem: impl Into<String>, remedy: impl Into<String>) {
        let mut path = self.section.clone();
        path.extend(key.split('.').map(str::to_owned));
        // A value that could not be read was replaced; what is said about the replacement helps nobody.
        let is_replaced = self.broken.iter().any(|broken| path.starts_with(broken));
        if !is_replaced {
            let origin = self.layers.origin_of(&path);
            self.faults.push(Fault {
                path,
                problem: problem.into(),
                remedy: remedy.into(),
                origin,
                is_missing: false,
            });
        }
    }

    /// Reports a list of problems of the section `name`: key, problem, and what would be right.
    pub fn within_all<K: AsRef<str>, P: Into<String>, R: Into<String>>(
        &mut self,
        name: &str,
        found: impl IntoIterator<Item = (K, P, R)>,
    ) {
        self.within(name, |problems| {
            for (key, problem, remedy) in found {
                problems.report(key.as_ref(), problem, remedy);
            }
        });
    }

    /// Reports what `check` finds under the section `name`.
    pub fn within(&mut self, name: &str, check: impl FnOnce(&mut Self)) {
        self.section.push(name.to_owned());
        check(self);
        self.section.pop();
    }

    pub(super) fn into_faults(self) -> Vec<Fault> {
        self.faults
    }
}

/// Whether the value may not be shown.
pub(super) fn is_secret(path: &[String]) -> bool {
    path.iter().any(|part| {
        let part = part.to_ascii_lowercase();
        SECRET_MARKS.iter().any(|mark| part.contains(mark))
    })
}

/// The key as it is shown.
pub(super) fn shown(path: &[String]) -> String {
    let parts = path.iter().enumerate().map(|(depth, part)| match path.get(..depth) {
        Some(above) if names_are_secret(above) => "***".to_owned(),
        _ if depth > 0 && part.contains('.') => format!("\"{part}\""),
        _ => part.clone(),
    });
    parts.collect::<Vec<_>>().join(".")
}

/// Whether the names of the entries below `path` are keys themselves, as in `"the key" = "workspace"`.
pub(super) fn names_are_secret(path: &[String]) -> bool {
    path.last().is_some_and(|section| section.ends_with("_keys") && section != "provider_keys")
}

/// The variable that would set the key.
pub(super) fn variable_of(path: &[String]) -> String {
    format!("ATELIER_{}", path.join("__").to_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_used_as_a_name_is_not_shown() {
        let shown_of = |path: &str| shown(&path.split('/').map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(shown_of("api/api_keys/hunter2"), "api.api_keys.***");
        assert_eq!(shown_of("api_keys/hunter2/0"), "api_keys.***.0");
        assert_eq!(shown_of("provider_keys/runwey"), "provider_keys.runwey");
        assert_eq!(shown_of("policy/polling_by/gen4.5"), "policy.polling_by.\"gen4.5\"");
    }
}
