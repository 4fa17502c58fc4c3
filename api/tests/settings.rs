//! API keys from a file, the environment and a mounted secret.

use std::io::Write as _;

use atelier_api::program::Settings;
use atelier_runtime::settings::load;
use axum::body::Body;

use crate::fakes::{Api, MemoryTelemetry, request};

/// The settings need a bucket and a Redis to be whole.
const REST: &str = "[redis]\nurl = \"redis://127.0.0.1:6379\"\n[s3]\nbucket = \"media\"\n";

fn settings(text: &str, environment: &[(&str, &str)]) -> Result<Settings, String> {
    let mut file = tempfile::Builder::new().suffix(".toml").tempfile().unwrap();
    write!(file, "{REST}{text}").unwrap();
    let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    load("atelier-api", "", Some(file.path().to_owned()), environment).map_err(|errors| errors.to_string())
}

async fn is_let_in(settings: Settings, key: &str) -> bool {
    let api = Api::with(MemoryTelemetry::default(), settings.api);
    let answer = api.send(request("GET", "/api/v1/media/jobs", &[("x-api-key", key)], Body::empty())).await;
    answer.status == 200
}

#[tokio::test]
async fn keys_come_from_a_section_a_variable_or_a_mounted_file() {
    let mut secret = tempfile::NamedTempFile::new().unwrap();
    writeln!(secret, "Key-One=acme\nKey-Two=beta").unwrap();
    let path = secret.path().display();
    for (text, environment) in [
        ("[api.api_keys]\n\"Key-One\" = \"acme\"\n".to_owned(), &[][..]),
        ("[api]\napi_keys = \"Key-One=acme\"\n".to_owned(), &[]),
        (String::new(), &[("ATELIER_API__API_KEYS", "Key-One=acme,Key-Two=beta")]),
        (format!("[api]\napi_keys_file = \"{path}\"\n"), &[]),
    ] {
        let settings = settings(&text, environment).unwrap();
        assert!(is_let_in(settings.clone(), "Key-One").await, "{text} {environment:?}");
        assert!(!is_let_in(settings, "key-one").await, "{text} {environment:?}");
    }
}

#[test]
fn inv7_a_mistake_in_the_keys_does_not_show_them() {
    for text in [
        "[api.api_keys]\n\"hush-hush\" = \"Not A Name\"\n",
        "[api.api_keys]\n\"hush-hush\" = 5\n",
        "[api.api_keys]\n\"hush-hush\" = [\"acme\"]\n",
        "[api]\napi_keys = \"hush-hush\"\n",
        "[api]\napi_keys = [\"hush-hush\"]\n",
    ] {
        let errors = settings(text, &[]).unwrap_err();
        assert!(errors.contains("api_keys") && !errors.contains("hush-hush"), "{text}: {errors}");
    }
}

#[test]
fn a_value_out_of_range_is_named() {
    let errors = settings("[api]\nmax_wait_ms = 999999\n", &[]).unwrap_err();
    assert!(errors.contains("max_wait_ms"), "{errors}");
}

#[test]
fn retention_by_workspace_comes_from_a_section_or_variables() {
    let names = |settings: Settings| {
        let days = settings.s3.assets_retention_by_workspace.into_iter();
        days.map(|(workspace, days)| (workspace.to_string(), days)).collect::<Vec<_>>()
    };
    let section = "assets_retention_by_workspace = { acme = 30, archive = 0 }\n";
    let expected = [("acme".to_owned(), 30), ("archive".to_owned(), 0)];
    assert_eq!(names(settings(section, &[]).unwrap()), expected);
    let variables = [
        ("ATELIER_S3__ASSETS_RETENTION_BY_WORKSPACE__ACME", "30"),
        ("ATELIER_S3__ASSETS_RETENTION_BY_WORKSPACE__ARCHIVE", "0"),
    ];
    assert_eq!(names(settings("", &variables).unwrap()), expected);
    for (wrong, part) in
        [("{ acme = 99999 }", "acme"), ("{ \"No Name\" = 5 }", "assets_retention_by_workspace")]
    {
        let errors = settings(&format!("assets_retention_by_workspace = {wrong}\n"), &[]).unwrap_err();
        assert!(errors.contains(part), "{errors}");
    }
}
