//! Bodies of requests about credentials, and whether a job may use one.

use serde_json::{Map, Value};

use super::access::read_name;
use super::fields::Fields;
use super::operator::object_of;
use super::problem::{FieldError, Problems};
use crate::credential::{CredentialCategory, CredentialType};
use crate::operation::Provider;
use crate::secret::Secret;

/// Longest value, in bytes: above any key, below what would make records large.
const VALUE_LIMIT: usize = 8 * 1024;
/// Longest description, in characters.
const DESCRIPTION_LIMIT: usize = 1_000;
/// Longest word for the form of a value.
const SCHEMA_TYPE_LIMIT: usize = 100;

/// A credential that is to be kept.
#[derive(Debug, Clone)]
pub struct NewCredential {
    /// What it is, in its owner's words.
    pub name: String,
    /// Whose key it is.
    pub r#type: CredentialType,
    /// The key.
    pub value: Secret<String>,
    /// More of its owner's words.
    pub description: Option<String>,
    /// The owner's word for the form of the value.
    pub schema_type: Option<String>,
    /// Whether it is to be the default of its type.
    pub is_default: bool,
}

/// What is to be changed of a credential; what is absent stays.
#[derive(Debug, Clone, Default)]
pub struct CredentialChange {
    /// A new name.
    pub name: Option<String>,
    /// A new key.
    pub value: Option<Secret<String>>,
    /// A new description; an empty one removes it.
    pub description: Option<String>,
    /// To be the default of its type from now on.
    pub is_default: bool,
}

/// Reads `{"name", "type", "category", "value", "description", "is_default", "schema_type"}`. `provider` is another name
/// of `type`, and `api_key` of `value`; `category` follows from the type, and may be left out.
pub fn parse_new_credential(body: &Value) -> Result<NewCredential, Vec<FieldError>> {
    let mut problems = Problems::default();
    let object = object_of(body, &mut problems, "a JSON object with `name`, `type` and `value`")?;
    let mut fields = Fields::new(object, &mut problems);
    fields.refuse_unknown(&[
        "name",
        "type",
        "provider",
        "category",
        "value",
        "api_key",
        "description",
        "is_default",
        "schema_type",
    ]);
    let name = read_name(&mut fields);
    let named = one_of_two(object, &mut fields, "type", "provider");
    let credential_type = fields.required_word(named, str::parse::<CredentialType>, CredentialType::expected);
    if let (Some(category), Some(credential_type)) = (fields.text("category"), credential_type)
        && category != credential_type.category().as_str()
    {
        let known = CredentialCategory::ALL.iter().any(|known| known.as_str() == category);
        let problem = if known { "does not fit the type" } else { "is not known" };
        let expected = format!("`{}`, or nothing", credential_type.category().as_str());
        fields.push("category", problem, expected);
    }
    let value = read_value(object, &mut fields);
    if value.is_none() && !fields.was_wrong("value") && !fields.was_wrong("api_key") {
        fields.push("value", "is missing", "the provider's key");
    }
    let description = read_text(&mut fields, "description", DESCRIPTION_LIMIT);
    let schema_type = read_text(&mut fields, "schema_type", SCHEMA_TYPE_LIMIT);
    let is_default = fields.boolean("is_default").unwrap_or(false);
    match (name, credential_type, value, problems.is_empty()) {
        (Some(name), Some(r#type), Some(value), true) => {
            Ok(NewCredential { name, r#type, value, description, schema_type, is_default })
        }
        (_, _, _, _) => Err(problems.into_vec()),
    }
}

/// Reads `{"name", "value", "description", "is_default"}`; `api_key` is another name of `value`.
pub fn parse_credential_change(body: &Value) -> Result<CredentialChange, Vec<FieldError>> {
    let mut problems = Problems::default();
    let object =
        object_of(body, &mut problems, "a JSON object with `name`, `value`, `description` or `is_default`")?;
    let mut fields = Fields::new(object, &mut problems);
    for fixed in ["type", "provider", "category", "schema_type"] {
        if fields.is_given(fixed) {
            fields.push(fixed, "cannot be changed", "nothing; a new credential may have another one");
        }
    }
    fields.refuse_unknown(&[
        "name",
        "value",
        "api_key",
        "description",
        "is_default",
        "type",
        "provider",
        "category",
        "schema_type",
    ]);
    let name = if fields.is_given("name") { read_name(&mut fields) } else { None };
    let value = read_value(object, &mut fields);
    let description = read_text(&mut fields, "description", DESCRIPTION_LIMIT);
    let is_default = fields.boolean("is_default");
    if is_default == Some(false) {
        fields.push("is_default", "is false", "true; another one becomes the default in its place");
    }
    match problems.is_empty() {
        true => Ok(CredentialChange { name, value, description, is_default: is_default == Some(true) }),
        false => Err(problems.into_vec()),
    }
}

/// Why a job at this provider cannot use a credential of that type; `None` where it can.
pub fn check_credential(provider: Provider, credential_type: CredentialType) -> Option<FieldError> {
    if credential_type == CredentialType::Media(provider) {
        return None;
    }
    let problem = format!("is a key of {credential_type}");
    Some(FieldError::new("credential_id", problem, format!("a credential of the type {provider}")))
}

/// Under which of two names a field was given; the first where it was not.
fn one_of_two<'n>(
    object: &Map<String, Value>,
    fields: &mut Fields<'_, '_>,
    name: &'n str,
    other: &'n str,
) -> &'n str {
    match (fields.is_given(name), fields.is_given(other)) {
        (true, true) if object.get(name) != object.get(other) => {
            fields.push(other, format!("differs from `{name}`"), format!("`{name}` alone"));
            name
        }
        (false, true) => other,
        (true | false, _) => name,
    }
}

fn read_value(object: &Map<String, Value>, fields: &mut Fields<'_, '_>) -> Option<Secret<String>> {
    let named = one_of_two(object, fields, "value", "api_key");
    let value = fields.text(named)?.trim();
    let is_fit = !value.is_empty() && value.len() <= VALUE_LIMIT && !value.chars().any(char::is_control);
    if !is_fit {
        let problem = "is empty, too long, or has control characters";
        fields.push(named, problem, format!("the provider's key, at most {VALUE_LIMIT} bytes"));
        return None;
    }
    Some(Secret::new(value.to_owned()))
}

fn read_text(fields: &mut Fields<'_, '_>, name: &str, limit: usize) -> Option<String> {
    let text = fields.text(name)?.trim();
    if text.chars().count() > limit {
        fields.push(name, "is too long", format!("at most {limit} characters"));
        return None;
    }
    Some(text.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn problems<T>(read: Result<T, Vec<FieldError>>) -> String {
        let problems = read.err().unwrap();
        problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn both_forms_of_the_published_clients_are_read() {
        let full = json!({
            "name": "main", "type": "fal", "category": "image", "value": " key \n", "description": "d",
            "is_default": true, "schema_type": "api_key",
        });
        let read = parse_new_credential(&full).unwrap();
        assert_eq!((read.name.as_str(), read.value.expose().as_str()), ("main", "key"));
        assert!(read.is_default);
        let short =
            parse_new_credential(&json!({"name": "go", "provider": "openai", "api_key": "k"})).unwrap();
        assert_eq!((short.r#type.as_str(), short.value.expose().as_str()), ("openai", "k"));
    }

    #[test]
    fn every_problem_is_named_and_no_value_is_told() {
        let text = problems(parse_new_credential(&json!({
            "type": "sora", "value": "hunter2\u{7}", "api_key": "hunter3", "is_default": "yes", "sort": 1,
        })));
        for part in [
            "`name` is missing",
            "`type` is `sora`",
            "`api_key` differs from `value`",
            "`value` is empty, too long, or has control characters",
            "`is_default` is a string",
            "`sort` is not a known field",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(!text.contains("hunter"), "{text}");
        let text = problems(parse_new_credential(
            &json!({"name": "x", "type": "luma", "category": "image", "value": "v"}),
        ));
        assert_eq!(text, "`category` does not fit the type (expected: `video`, or nothing)");
        assert!(
            problems(parse_new_credential(&json!({"name": "x", "type": "luma"})))
                .contains("`value` is missing")
        );
    }

    #[test]
    fn a_change_leaves_what_it_does_not_name() {
        let change = parse_credential_change(&json!({"name": "new"})).unwrap();
        assert_eq!(
            (change.name.as_deref(), change.value.is_none(), change.is_default),
            (Some("new"), true, false)
        );
        let text = problems(parse_credential_change(&json!({"type": "fal", "is_default": false})));
        assert!(
            text.contains("`type` cannot be changed") && text.contains("`is_default` is false"),
            "{text}"
        );
    }

    #[test]
    fn a_job_uses_keys_of_its_own_provider_only() {
        assert_eq!(check_credential(Provider::Fal, "fal".parse().unwrap()), None);
        let problem = check_credential(Provider::Fal, "openai".parse().unwrap()).unwrap();
        assert_eq!(
            problem.to_string(),
            "`credential_id` is a key of openai (expected: a credential of the type fal)"
        );
    }
}
