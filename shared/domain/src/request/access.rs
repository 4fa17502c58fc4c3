//! Bodies of requests about API keys.

use serde_json::Value;

use super::fields::Fields;
use super::operator::object_of;
use super::pause::Asker;
use super::problem::{FieldError, Problems, kind_of, quoted};
use crate::Timestamp;
use crate::access::{Scopes, ScopesError};
use crate::ids::WorkspaceId;

/// Longest name, in characters.
const NAME_LIMIT: usize = 100;
/// Longest life of a key that is to end: ten years, so that a mistake of milliseconds for seconds is told.
const LIFE_LIMIT_S: u64 = 10 * 366 * 24 * 3600;
/// Highest limit of a key, in requests a second.
const RATE_LIMIT: u64 = 1_000_000;

/// A key that is to be made.
#[derive(Debug, Clone, PartialEq)]
pub struct NewApiKey {
    /// For whom.
    pub workspace: WorkspaceId,
    /// What it is for.
    pub name: String,
    /// What it may do.
    pub scopes: Scopes,
    /// From when on it lets nobody in.
    pub expires_at: Option<Timestamp>,
    /// Requests a second; the installation's limit when absent.
    pub rate_per_s: Option<u32>,
}

/// Reads `{"name": ..., "scopes": [...], "expires_at": ..., "expires_in_s": ..., "rate_per_s": ..., "workspace_id": ...}`.
/// `given` are the scopes of the asker, who gives away none that it does not have.
pub fn parse_new_key(
    body: &Value,
    asker: Asker<'_>,
    given: &Scopes,
    now: Timestamp,
) -> Result<NewApiKey, Vec<FieldError>> {
    let mut problems = Problems::default();
    let object = object_of(body, &mut problems, "a JSON object with `name` and `scopes`")?;
    let mut fields = Fields::new(object, &mut problems);
    fields.refuse_unknown(&["name", "scopes", "expires_at", "expires_in_s", "rate_per_s", "workspace_id"]);
    let name = read_name(&mut fields);
    let scopes = read_scopes(object.get("scopes"), &mut fields, given);
    let expires_at = read_end(&mut fields, now);
    let rate_per_s = fields.integer("rate_per_s", 1, RATE_LIMIT).and_then(|rate| u32::try_from(rate).ok());
    let workspace = match fields.text("workspace_id") {
        None => asker.workspace.clone(),
        Some(name) if name == asker.workspace.as_str() => asker.workspace.clone(),
        Some(_) if !asker.is_operator => {
            let expected = format!("`{}`, or a key of one of `api.operators`", asker.workspace);
            fields.push("workspace_id", "is not yours", expected);
            asker.workspace.clone()
        }
        Some(name) => name.parse().unwrap_or_else(|problem: String| {
            fields.push("workspace_id", problem, "the name of a workspace");
            asker.workspace.clone()
        }),
    };
    match (name, scopes, problems.is_empty()) {
        (Some(name), Some(scopes), true) => Ok(NewApiKey { workspace, name, scopes, expires_at, rate_per_s }),
        (_, _, _) => Err(problems.into_vec()),
    }
}

/// A required name of something that its owner calls so.
pub(super) fn read_name(fields: &mut Fields<'_, '_>) -> Option<String> {
    let expected = format!("1 to {NAME_LIMIT} characters");
    if !fields.is_given("name") {
        fields.push("name", "is missing", &expected);
        return None;
    }
    let name = fields.text("name")?.trim();
    if name.is_empty() || name.chars().count() > NAME_LIMIT || name.chars().any(char::is_control) {
        fields.push("name", "is empty, too long, or has control characters", expected);
        return None;
    }
    Some(name.to_owned())
}

fn read_scopes(value: Option<&Value>, fields: &mut Fields<'_, '_>, given: &Scopes) -> Option<Scopes> {
    let expected = || format!("a list of {}", Scopes::EXPECTED);
    let words = match value {
        None | Some(Value::Null) => {
            fields.push("scopes", "is missing", expected());
            return None;
        }
        Some(Value::Array(words)) => words,
        Some(other) => {
            fields.push("scopes", format!("is {}", kind_of(other)), expected());
            return None;
        }
    };
    let mut texts = Vec::with_capacity(words.len());
    for (index, word) in words.iter().enumerate() {
        match word.as_str() {
            Some(text) => texts.push(text),
            None => {
                fields.push(&format!("scopes[{index}]"), format!("is {}", kind_of(word)), expected());
                return None;
            }
        }
    }
    match Scopes::parse(texts) {
        Ok(scopes) if given.cover(&scopes) => Some(scopes),
        Ok(_) => {
            let own = given.iter().map(|scope| scope.as_str()).collect::<Vec<_>>().join(", ");
            fields.push("scopes", "has scopes that your key does not have", format!("some of {own}"));
            None
        }
        Err(problem @ (ScopesError::None | ScopesError::Unknown { .. })) => {
            fields.push("scopes", format!("is no list of scopes: {problem}"), expected());
            None
        }
    }
}

fn read_end(fields: &mut Fields<'_, '_>, now: Timestamp) -> Option<Timestamp> {
    const EXPECTED: &str = "an RFC 3339 time in the future, as in 2027-11-22T09:30:00Z";
    let in_s = fields.integer("expires_in_s", 1, LIFE_LIMIT_S);
    let after = in_s.map(|seconds| super::later(now, std::time::Duration::from_secs(seconds)));
    let Some(text) = fields.text("expires_at") else { return after };
    if after.is_some() {
        fields.push("expires_at", "is given beside `expires_in_s`", "one of the two");
    }
    match text.parse::<Timestamp>() {
        Ok(end) if end > now => Some(end),
        Ok(_) => {
            fields.push("expires_at", "is over", EXPECTED);
            None
        }
        Err(_) => {
            fields.push("expires_at", format!("is {}", quoted(text)), EXPECTED);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(body: Value, given: &[&str], is_operator: bool) -> Result<NewApiKey, Vec<String>> {
        let workspace = "acme".parse().unwrap();
        let asker = Asker { workspace: &workspace, is_operator };
        let now = "2026-11-25T10:00:00Z".parse().unwrap();
        parse_new_key(&body, asker, &Scopes::parse(given).unwrap(), now)
            .map_err(|problems| problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_key_has_a_name_scopes_and_perhaps_an_end() {
        let key = read(json!({"name": " ci ", "scopes": ["jobs:*"], "expires_in_s": 60}), &["admin"], false);
        let key = key.unwrap();
        assert_eq!((key.name.as_str(), key.workspace.as_str()), ("ci", "acme"));
        assert_eq!(key.expires_at, Some("2026-11-25T10:01:00Z".parse().unwrap()));
        assert_eq!(key.scopes, Scopes::parse(["jobs:read", "jobs:write"]).unwrap());
    }

    #[test]
    fn every_problem_is_named() {
        let body = json!({
            "scopes": ["job:read"], "expires_at": "2020-01-01T00:00:00Z", "rate_per_s": 0,
            "workspace_id": "beta", "scope": 1,
        });
        let problems = read(body, &["admin"], false).unwrap_err().join("\n");
        for part in [
            "`name` is missing",
            "`job:read` is no scope",
            "`expires_at` is over",
            "`rate_per_s` is 0",
            "`workspace_id` is not yours",
            "`scope` is not a known field",
        ] {
            assert!(problems.contains(part), "{part}: {problems}");
        }
    }

    #[test]
    fn nobody_gives_away_what_it_does_not_have() {
        let body = json!({"name": "x", "scopes": ["admin"]});
        let problems = read(body.clone(), &["jobs:*"], false).unwrap_err();
        assert_eq!(
            problems,
            ["`scopes` has scopes that your key does not have (expected: some of jobs:read, jobs:write)"]
        );
        assert!(read(body, &["admin"], false).is_ok());
    }

    #[test]
    fn operators_make_keys_for_others() {
        let body = json!({"name": "x", "scopes": ["jobs:read"], "workspace_id": "beta"});
        assert_eq!(read(body, &["admin"], true).unwrap().workspace.as_str(), "beta");
        let body = json!({"name": "x", "scopes": ["jobs:read"], "workspace_id": "Beta!"});
        assert!(read(body, &["admin"], true).is_err());
    }
}
