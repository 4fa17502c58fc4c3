//! Settings: order of sources, all mistakes at once, secrets.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use atelier_domain::ids::WorkspaceId;
use atelier_domain::operation::Provider;
use atelier_domain::policy::Policy;
use atelier_domain::secret::Secret;
use atelier_runtime::settings::{
    CapturePrompts, Problems, Settings, SettingsErrors, ShutdownSettings, TelemetrySettings, load,
};
use serde::Deserialize;

const DEFAULTS: &str = r#"
    [http]
    listen = "127.0.0.1:8080"
    [telemetry]
    sample_ratio = 0.5
    [policy.polling]
    interval_ms = 10_000
"#;

/// `[redis]`: where jobs are kept.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct RedisSettings {
    /// `redis://` or `rediss://` with host, and password where there is one: so it is a secret. No default, because a
    /// wrong guess would be an empty store that looks healthy.
    url: Secret<String>,
    /// Longest wait for a connection, in milliseconds. 3000: one lost SYN is repeated after one second, then two.
    #[serde(default = "RedisSettings::default_connect_timeout_ms")]
    connect_timeout_ms: u64,
    /// Longest wait for an answer, in milliseconds. 5000: longer than an AOF rewrite or a failover stalls a healthy
    /// Redis, shorter than the patience of a caller.
    #[serde(default = "RedisSettings::default_command_timeout_ms")]
    command_timeout_ms: u64,
}

impl RedisSettings {
    /// Reports what makes no sense.
    fn validate(&self, problems: &mut Problems<'_>) {
        let url = self.url.expose();
        if !url.starts_with("redis://") && !url.starts_with("rediss://") {
            problems.report(
                "url",
                "the URL has another scheme",
                "redis://host:port or rediss://host:port would be right",
            );
        }
        for (key, value) in
            [("connect_timeout_ms", self.connect_timeout_ms), ("command_timeout_ms", self.command_timeout_ms)]
        {
            if value == 0 {
                problems.report(key, "0 leaves no time at all", "at least 1 millisecond would be right");
            }
        }
    }

    fn default_connect_timeout_ms() -> u64 {
        3_000
    }

    fn default_command_timeout_ms() -> u64 {
        5_000
    }
}

/// `[http]`: where the process answers. The port is the program's own choice, so there is no default here.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct HttpSettings {
    /// Address and port, as in `0.0.0.0:8080`.
    listen: SocketAddr,
}

#[derive(Debug, Deserialize)]
struct Program {
    redis: RedisSettings,
    http: HttpSettings,
    #[serde(default)]
    telemetry: TelemetrySettings,
    #[serde(default)]
    shutdown: ShutdownSettings,
    #[serde(default)]
    policy: Policy,
    #[serde(default)]
    provider_keys: BTreeMap<Provider, Secret<String>>,
    #[serde(default)]
    api_keys: BTreeMap<WorkspaceId, Vec<Secret<String>>>,
    #[serde(default)]
    hosts: Vec<String>,
}

impl Settings for Program {
    fn validate(&self, problems: &mut Problems<'_>) {
        problems.within("redis", |problems| self.redis.validate(problems));
        problems.within("telemetry", |problems| self.telemetry.validate(problems));
    }
}

/// Reads with a file of that text and those variables.
fn read(file: &str, environment: &[(&str, &str)]) -> Result<Program, SettingsErrors> {
    let directory = tempfile::tempdir().unwrap();
    read_in(directory.path(), file, environment)
}

fn read_in(directory: &Path, file: &str, environment: &[(&str, &str)]) -> Result<Program, SettingsErrors> {
    let path = directory.join("atelier.toml");
    std::fs::write(&path, file).unwrap();
    read_from(Some(path), environment)
}

fn read_from(file: Option<PathBuf>, environment: &[(&str, &str)]) -> Result<Program, SettingsErrors> {
    let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    load("atelier-worker", DEFAULTS, file, environment)
}

fn keys(errors: &SettingsErrors) -> Vec<&str> {
    errors.errors.iter().map(|error| error.key.as_str()).collect()
}

const REDIS: (&str, &str) = ("ATELIER_REDIS__URL", "redis://127.0.0.1:6379");

#[test]
fn environment_beats_file_and_file_beats_defaults() {
    let file = "[http]\nlisten = \"127.0.0.1:1\"\n[telemetry]\nsample_ratio = 0.25\nlog_filter = \"warn\"";
    let program = read(file, &[REDIS, ("ATELIER_HTTP__LISTEN", "127.0.0.1:2")]).unwrap();
    assert_eq!(program.http.listen.port(), 2);
    assert_eq!(program.telemetry.sample_ratio, 0.25);
    assert_eq!(program.telemetry.log_filter, "warn");
    let program = read("", &[REDIS]).unwrap();
    assert_eq!((program.http.listen.port(), program.telemetry.sample_ratio), (8080, 0.5));
    assert_eq!((program.redis.command_timeout_ms, program.shutdown.grace_ms), (5_000, 25_000));
}

#[test]
fn text_of_the_environment_becomes_what_is_asked_for() {
    let environment = [
        REDIS,
        ("atelier_redis__connect_timeout_ms", "250"),
        ("ATELIER_TELEMETRY__SAMPLE_RATIO", "1"),
        ("ATELIER_TELEMETRY__CAPTURE_PROMPTS", "hash"),
        ("ATELIER_TELEMETRY__OTLP_ENDPOINT", ""),
        ("ATELIER_POLICY__POLLING__MAX_CHECKS", "7"),
        ("ATELIER_POLICY__POLLING_BY__RUNWAY__MAX_CHECKS", "9"),
        ("ATELIER_HOSTS", "a.example, b.example"),
    ];
    let program = read("", &environment).unwrap();
    assert_eq!(program.redis.connect_timeout_ms, 250);
    assert_eq!(program.telemetry.sample_ratio, 1.0);
    assert_eq!(program.telemetry.capture_prompts, CapturePrompts::Hash);
    assert_eq!(program.telemetry.otlp_endpoint, None);
    assert_eq!((program.policy.polling.max_checks, program.policy.polling.interval_ms), (7, 10_000));
    assert_eq!(program.policy.polling_by["runway"].max_checks, 9);
    assert_eq!(program.hosts, ["a.example", "b.example"]);
}

#[test]
fn maps_with_free_keys_take_any_name() {
    let file =
        "[policy.polling_by.\"runway/gen4.5\"]\ninterval_ms = 5000\n[api_keys]\nacme = [\"one\", \"two\"]";
    let program = read(file, &[REDIS]).unwrap();
    assert_eq!(program.policy.polling_by["runway/gen4.5"].interval_ms, 5_000);
    assert_eq!(program.api_keys.values().next().unwrap().len(), 2);
}

#[test]
fn provider_keys_and_redis_have_short_names() {
    let environment = [
        ("ATELIER_REDIS_URL", "redis://short:1"),
        ("ATELIER_RUNWAY_API_KEY", "rw-1"),
        ("ATELIER_ELEVENLABS_API_KEY", "el-1"),
        ("ATELIER_DEMO_KEY", "x"),
        ("ATELIER_API_SERVICE_HOST", "10.0.0.1"),
        ("ATELIER_API_PORT", "tcp://10.0.0.1:80"),
    ];
    let program = read("", &environment).unwrap();
    assert_eq!(program.redis.url.expose(), "redis://short:1");
    assert_eq!(program.provider_keys[&Provider::Runway].expose(), "rw-1");
    assert_eq!(program.provider_keys[&Provider::ElevenLabs].expose(), "el-1");
    let both = [("ATELIER_REDIS__URL", "redis://long:1"), ("ATELIER_REDIS_URL", "redis://short:1")];
    assert_eq!(read("", &both).unwrap().redis.url.expose(), "redis://long:1");
}

#[test]
fn the_environment_names_the_file_unless_the_caller_does() {
    let directory = tempfile::tempdir().unwrap();
    let named = directory.path().join("named.toml");
    std::fs::write(&named, "[redis]\nurl = \"redis://named\"").unwrap();
    let environment = [("ATELIER_CONFIG", named.to_str().unwrap())];
    assert_eq!(read_from(None, &environment).unwrap().redis.url.expose(), "redis://named");
    let program = read_in(directory.path(), "[redis]\nurl = \"redis://given\"", &environment).unwrap();
    assert_eq!(program.redis.url.expose(), "redis://given");
}

#[test]
fn secrets_are_read_from_mounted_files() {
    let directory = tempfile::tempdir().unwrap();
    let mount = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (redis, runway, luma) =
        (mount("redis", "redis://mounted\n"), mount("runway", "rw-mounted"), mount("luma", "lu-mounted\r\n"));
    let timeout = mount("timeout", "123\n");
    let file = format!(
        "[redis]\nurl_file = {redis:?}\nconnect_timeout_ms_file = {timeout:?}\n[provider_keys]\nrunway_file = {runway:?}"
    );
    let program = read_in(directory.path(), &file, &[("ATELIER_LUMA_API_KEY_FILE", &luma)]).unwrap();
    assert_eq!(program.redis.url.expose(), "redis://mounted");
    assert_eq!(program.redis.connect_timeout_ms, 123);
    assert_eq!(program.provider_keys[&Provider::Runway].expose(), "rw-mounted");
    assert_eq!(program.provider_keys[&Provider::Luma].expose(), "lu-mounted");
    // The later source wins, whichever of the two forms it uses.
    let program = read_in(directory.path(), &file, &[REDIS]).unwrap();
    assert_eq!(program.redis.url.expose(), "redis://127.0.0.1:6379");
}

#[test]
fn a_secret_given_in_both_forms_by_one_source_is_refused() {
    let errors = read("[redis]\nurl = \"redis://a\"\nurl_file = \"/nowhere\"", &[]).unwrap_err();
    assert_eq!(keys(&errors), ["redis.url"]);
    assert_eq!(errors.errors[0].problem, "set twice, as `url` and as `url_file`");
}

#[test]
fn a_mounted_file_that_is_not_there_is_one_mistake() {
    let errors = read("[redis]\nurl_file = \"/nowhere/redis\"", &[]).unwrap_err();
    assert_eq!(keys(&errors), ["redis.url"]);
    assert!(errors.errors[0].problem.contains("/nowhere/redis cannot be read"), "{errors}");
}

#[test]
fn all_mistakes_are_told_at_once_with_remedy_and_origin() {
    let file = "
        [redis]
        conect_timeout_ms = 10
        command_timeout_ms = \"soon\"
        [http]
        listen = \"everywhere\"
        [telemetry]
        sample_ratio = 3.5
        capture_prompts = \"maybe\"
        [policy.polling_by.runway]
        interval_ms = -1
        [provider_keys]
        runwey = \"rw-secret\"
        [telemetri]
        x = 1
    ";
    let errors = read(file, &[("ATELIER_SHUTDOWN__GRACE_MS", "1.5"), ("ATELIER_WORKR__X", "1")]).unwrap_err();
    let shown = errors.to_string();
    let lines: Vec<_> = shown.lines().map(str::trim).collect();
    let directory = shown.split("from file ").nth(1).unwrap().lines().next().unwrap();
    let file = |line: &str| format!("{line}; from file {directory}");
    let wanted = [
        "atelier-worker: 11 settings are wrong".to_owned(),
        file("http.listen: a text (`everywhere`) is refused; invalid socket address syntax"),
        file("policy.polling_by.runway.interval_ms: a whole number (`-1`) does not fit; \
              a whole number, 0 or more would be right"),
        file("provider_keys.runwey: unknown key; did you mean `runway`?"),
        file("redis.command_timeout_ms: a text (`soon`) does not fit; \
              a whole number, 0 or more would be right"),
        file("redis.conect_timeout_ms: unknown key; did you mean `connect_timeout_ms`?"),
        "redis.url: required, but missing; set it in the file or as ATELIER_REDIS__URL; not set anywhere".to_owned(),
        "shutdown.grace_ms: a text (`1.5`) does not fit; a whole number, 0 or more would be right; \
         from environment variable ATELIER_SHUTDOWN__GRACE_MS".to_owned(),
        file("telemetri: unknown key; did you mean `telemetry`?"),
        file("telemetry.capture_prompts: a text (`maybe`) is not known; one of on, off, hash would be right"),
        file("telemetry.sample_ratio: out of range; a number from 0 to 1 would be right"),
        "workr: unknown key; known here: redis, http, telemetry, shutdown, policy, provider_keys, api_keys, hosts; \
         from environment variable ATELIER_WORKR__X".to_owned(),
    ];
    assert_eq!(lines, wanted, "{shown}");
}

#[test]
fn a_required_section_that_is_missing_is_told_by_its_keys() {
    let errors = read("", &[]).unwrap_err();
    assert_eq!(keys(&errors), ["redis.url"]);
}

#[test]
fn required_keys_of_the_wrong_type_hide_nothing_behind_them() {
    let errors = read("http = 5\n[redis]\nurl = 5\ncommand_timeout_ms = 0\nhost = 1", &[]).unwrap_err();
    assert_eq!(keys(&errors), ["http", "redis.command_timeout_ms", "redis.host", "redis.url"]);
}

#[test]
fn sections_of_other_programs_are_passed_over() {
    let file = "[api]\nanything = 1\n[s3]\nbucket = \"b\"";
    assert!(read(file, &[REDIS, ("ATELIER_POLLER__X", "1")]).is_ok());
}

#[test]
fn no_error_shows_a_secret() {
    const SECRET: &str = "hunter2-Hunter2";
    let files = [
        format!("[redis]\nurl = [\"{SECRET}\"]"),
        format!("[redis]\nurl = \"{SECRET}\""),
        format!("[redis]\nurl = \"redis://x\"\n[provider_keys]\nrunway = {{ key = \"{SECRET}\" }}"),
        format!("[redis]\nurl = \"redis://x\"\n[api_keys]\n\"{SECRET}\" = [\"x\"]"),
        format!("[redis]\nurl = \"redis://x\"\n[api_keys]\n\"{SECRET}\" = \"x\""),
        format!("[redis]\nurl = \"redis://x\"\n[api_keys]\nacme = \"{SECRET}\""),
        format!("[redis]\nurl = \"redis://x\"\n[provider_keys]\nrunwey = \"{SECRET}\""),
        format!("[redis]\nurl = \"{SECRET}"),
        format!("[redis]\nurl = {SECRET}"),
        format!("provider_keys = \"{SECRET}\"\n[redis]\nurl = \"redis://x\""),
        format!("[redis]\nurl = \"redis://x\"\npassword = \"{SECRET}\""),
    ];
    for file in files {
        let errors = read(&file, &[]).unwrap_err();
        let shown = format!("{errors} {errors:?}");
        assert!(!shown.contains("unter2"), "{file}\n{shown}");
    }
}

#[test]
fn a_file_that_is_no_toml_is_told_with_its_line_and_not_with_what_it_would_have_set() {
    let errors = read("[redis]\nurl = \"redis://x\"\nport = = 1", &[]).unwrap_err();
    assert_eq!(errors.errors.len(), 1, "{errors}");
    assert!(errors.errors[0].problem.starts_with("no valid TOML at line 3, column 8"), "{errors}");
}

#[test]
fn a_file_that_is_not_there_is_told() {
    let errors = read_from(Some("/nowhere/atelier.toml".into()), &[REDIS]).unwrap_err();
    assert_eq!(errors.errors.len(), 1, "{errors}");
    assert!(errors.to_string().contains("/nowhere/atelier.toml: cannot be read"), "{errors}");
}
