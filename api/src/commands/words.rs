//! Reads `--name value` and `--flag` from the words of a command.

use std::collections::BTreeMap;

use atelier_domain::request::nearest;

/// Options by name, each with its value.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Options(BTreeMap<String, String>);

impl Options {
    /// Reads `--name value` pairs of these names. Anything else is refused, with what would be right.
    pub(super) fn read(words: &[String], known: &[&str]) -> Result<Self, String> {
        let mut options = BTreeMap::new();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let name = word.strip_prefix("--").ok_or_else(|| format!("`{word}` is not expected here"))?;
            let (name, inline) = match name.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (name, None),
            };
            if !known.contains(&name) {
                let meant = nearest(name, known.iter().copied());
                let meant = meant.map_or_else(String::new, |meant| format!("; `--{meant}` may be meant"));
                return Err(format!("`--{name}` is not known{meant}"));
            }
            let value = inline.or_else(|| words.next().cloned());
            let value = value.ok_or_else(|| format!("`--{name}` needs a value"))?;
            if options.insert(name.to_owned(), value).is_some() {
                return Err(format!("`--{name}` stands twice"));
            }
        }
        Ok(Self(options))
    }

    /// The value of an option.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The value of an option that must be there.
    pub(super) fn required(&self, name: &str) -> Result<&str, String> {
        self.get(name).ok_or_else(|| format!("`--{name}` is missing"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &[&str]) -> Result<Options, String> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        Options::read(&words, &["workspace", "name"])
    }

    #[test]
    fn both_forms_of_an_option_are_read() {
        let options = read(&["--workspace", "acme", "--name=a=b"]).unwrap();
        assert_eq!((options.get("workspace"), options.required("name")), (Some("acme"), Ok("a=b")));
        assert_eq!(read(&[]).unwrap().required("name"), Err("`--name` is missing".to_owned()));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (words, problem) in [
            (&["acme"][..], "`acme` is not expected here"),
            (&["--workspce", "acme"], "`--workspce` is not known; `--workspace` may be meant"),
            (&["--colour", "red"], "`--colour` is not known"),
            (&["--name"], "`--name` needs a value"),
            (&["--name", "a", "--name", "b"], "`--name` stands twice"),
        ] {
            assert_eq!(read(words), Err(problem.to_owned()));
        }
    }
}
