//! Which variable sets which key.

use atelier_domain::operation::Provider;

use super::faults::KeyPath;

const PREFIX: &str = "ATELIER_";

/// Names of the product that are no settings: they belong to the demo, the tests and the development stack.
const NO_SETTINGS: &[&str] = &["config", "demo_key", "python", "redis_server", "simulator"];
const NO_SETTING_PREFIXES: &[&str] = &["test_", "demo_", "dev_stack_"];

/// The key that a variable sets; `None` when it is no setting of ours.
pub(super) fn key_of(variable: &str) -> Option<KeyPath> {
    let name = without_prefix(variable)?.to_ascii_lowercase();
    if is_no_setting(&name) || is_kubernetes_link(&name) {
        return None;
    }
    if name == "redis_url" {
        return Some(vec!["redis".to_owned(), "url".to_owned()]);
    }
    if let Some((provider, suffix)) = provider_key(&name) {
        return Some(vec!["provider_keys".to_owned(), format!("{provider}{suffix}")]);
    }
    Some(name.split("__").map(str::to_owned).collect())
}

/// Whether the name is a short form of another one. The long form wins where both are set.
pub(super) fn is_alias(variable: &str) -> bool {
    !variable.contains("__")
}

/// Whether the variable names the settings file.
pub(super) fn names_the_file(variable: &str) -> bool {
    variable.eq_ignore_ascii_case("ATELIER_CONFIG")
}

fn without_prefix(variable: &str) -> Option<&str> {
    let (head, tail) = variable.split_at_checked(PREFIX.len())?;
    (head.eq_ignore_ascii_case(PREFIX) && !tail.is_empty()).then_some(tail)
}

fn is_no_setting(name: &str) -> bool {
    NO_SETTINGS.contains(&name) || NO_SETTING_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// `runway_api_key` and `runway_api_key_file`.
fn provider_key(name: &str) -> Option<(Provider, &'static str)> {
    let (provider, suffix) = match name.strip_suffix("_api_key") {
        Some(provider) => (provider, ""),
        None => (name.strip_suffix("_api_key_file")?, "_file"),
    };
    provider.parse().ok().map(|provider| (provider, suffix))
}

/// Kubernetes gives each pod the addresses of the services of its namespace, so a service `atelier-api` shows up as
/// `ATELIER_API_PORT`, `ATELIER_API_SERVICE_HOST` and so on. None of our keys has that form.
fn is_kubernetes_link(name: &str) -> bool {
    if name.contains("__") {
        return false;
    }
    let is_service = name.ends_with("_service_host") || name.contains("_service_port");
    let is_port = name.ends_with("_port");
    let is_protocol =
        name.split_once("_port_").is_some_and(|(_, rest)| rest.starts_with(|c: char| c.is_ascii_digit()));
    is_service || is_port || is_protocol
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(variable: &str) -> Option<String> {
        key_of(variable).map(|path| path.join("."))
    }

    #[test]
    fn two_underscores_go_one_level_down_in_any_case() {
        assert_eq!(key("ATELIER_REDIS__URL").as_deref(), Some("redis.url"));
        assert_eq!(key("Atelier_Api__Listen").as_deref(), Some("api.listen"));
        assert_eq!(key("ATELIER_REDIS__CONNECT_TIMEOUT_MS").as_deref(), Some("redis.connect_timeout_ms"));
    }

    #[test]
    fn short_names_of_keys_are_known() {
        assert_eq!(key("ATELIER_REDIS_URL").as_deref(), Some("redis.url"));
        for provider in Provider::ALL {
            let variable = format!("ATELIER_{}_API_KEY", provider.as_str().to_uppercase());
            assert_eq!(key(&variable), Some(format!("provider_keys.{provider}")));
        }
        assert_eq!(key("ATELIER_FAL_API_KEY_FILE").as_deref(), Some("provider_keys.fal_file"));
    }

    #[test]
    fn names_that_are_no_settings_are_passed_over() {
        for variable in [
            "PATH",
            "ATELIER_",
            "ATELIER_CONFIG",
            "ATELIER_DEMO_KEY",
            "ATELIER_REDIS_SERVER",
            "ATELIER_PYTHON",
            "ATELIER_SIMULATOR",
            "ATELIER_TEST_S3",
            "ATELIER_API_PORT",
            "ATELIER_API_SERVICE_HOST",
            "ATELIER_API_SERVICE_PORT_HTTP",
            "ATELIER_REDIS_PORT_6379_TCP_ADDR",
        ] {
            assert_eq!(key(variable), None, "{variable}");
        }
    }
}
