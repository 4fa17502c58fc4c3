//! `atelier-api keys`: API keys without an API key, for whoever has the settings.

use std::time::Duration;

use atelier_domain::Timestamp;
use atelier_domain::access::{KEYS_LIMIT, Scopes};
use atelier_domain::ids::{DocumentId, WorkspaceId};
use atelier_domain::ports::{Created, DocumentKind, Documents as _, PageOf};
use atelier_domain::request::NewApiKey;
use atelier_redis_store::{Redis, RedisDocuments};
use atelier_runtime::{Command, CommandError};

use super::words::Options;
use crate::program::Settings;
use crate::routes::api_keys;
use crate::wire;

const KIND: DocumentKind = DocumentKind::ApiKey;
/// Keys of one question to the store.
const PAGE: u32 = 100;

pub(super) const COMMAND: Command<Settings> = Command {
    name: "keys",
    help: &[
        "keys create --workspace NAME --name TEXT [--scopes jobs:*,assets:read] [--expires-in-days N] [--rate-per-s N]",
        "keys list --workspace NAME",
        "keys revoke --workspace NAME --id ID",
    ],
    run: |settings, words| Box::pin(run(settings, words)),
};

async fn run(settings: Settings, words: Vec<String>) -> Result<String, CommandError> {
    let documents = RedisDocuments::new(Redis::open(settings.redis)?);
    let (what, words) = words.split_first().map_or(("", &[][..]), |(what, words)| (what.as_str(), words));
    match what {
        "create" => create(&documents, words).await,
        "list" => list(&documents, words).await,
        "revoke" => revoke(&documents, words).await,
        "" => Err(usage("create, list or revoke was expected")),
        other => Err(usage(format!("`{other}` is not known; create, list or revoke was expected"))),
    }
}

fn usage(problem: impl Into<String>) -> CommandError {
    CommandError::Usage(problem.into())
}

fn workspace(options: &Options) -> Result<WorkspaceId, CommandError> {
    options.required("workspace").map_err(usage)?.parse().map_err(|problem: String| usage(problem))
}

async fn create(documents: &RedisDocuments, words: &[String]) -> Result<String, CommandError> {
    let known = ["workspace", "name", "scopes", "expires-in-days", "rate-per-s"];
    let options = Options::read(words, &known).map_err(usage)?;
    let now = Timestamp::now();
    let number = |name: &str, most: u32| match options.get(name).map(str::parse::<u32>) {
        None => Ok(None),
        Some(Ok(number)) if (1..=most).contains(&number) => Ok(Some(number)),
        Some(Ok(_) | Err(_)) => Err(usage(format!("`--{name}` must be a number from 1 to {most}"))),
    };
    let scopes = match options.get("scopes") {
        None => Scopes::all(),
        Some(text) => Scopes::parse(text.split(',')).map_err(|problem| {
            usage(format!("{problem}; a list with commas of {} was expected", Scopes::EXPECTED))
        })?,
    };
    let days = number("expires-in-days", 3_660)?;
    let new = NewApiKey {
        workspace: workspace(&options)?,
        name: options.required("name").map_err(usage)?.to_owned(),
        scopes,
        expires_at: days.map(|days| now + Duration::from_secs(u64::from(days) * 24 * 3600)),
        rate_per_s: number("rate-per-s", 1_000_000)?,
    };
    let (document, _, token) =
        api_keys::made(documents, new, now).map_err(|_| usage("the key cannot be made"))?;
    match documents.create(KIND, &document, None, KEYS_LIMIT).await? {
        // The key alone, so that it can be taken up by a script.
        Created::Yes => Ok(token.expose().to_owned()),
        Created::Full => Err(usage(format!("the workspace has {KEYS_LIMIT} API keys; revoke one first"))),
    }
}

async fn list(documents: &RedisDocuments, words: &[String]) -> Result<String, CommandError> {
    let options = Options::read(words, &["workspace"]).map_err(usage)?;
    let workspace = workspace(&options)?;
    let mut lines = vec![format!(
        "{:<27}  {:<24}  {:<24}  {:<24}  NAME [SCOPES]",
        "ID", "CREATED", "EXPIRES", "LAST USED"
    )];
    for page in 1.. {
        let found = documents.documents(KIND, &workspace, PageOf { page, limit: PAGE }).await?.items;
        for document in &found {
            let Some(key) = api_keys::read(document) else { continue };
            let scopes = key.scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>().join(" ");
            let or_never = |time: Option<Timestamp>| time.map_or_else(|| "never".to_owned(), wire::time);
            lines.push(format!(
                "{}  {:<24}  {:<24}  {:<24}  {} [{scopes}]",
                document.id,
                wire::time(document.created_at),
                or_never(key.expires_at),
                or_never(document.used_at),
                key.name,
            ));
        }
        if found.len() < PAGE as usize {
            break;
        }
    }
    Ok(lines.join("\n"))
}

async fn revoke(documents: &RedisDocuments, words: &[String]) -> Result<String, CommandError> {
    let options = Options::read(words, &["workspace", "id"]).map_err(usage)?;
    let workspace = workspace(&options)?;
    let id: DocumentId =
        options.required("id").map_err(usage)?.parse().map_err(|problem| usage(format!("{problem}")))?;
    match documents.remove(KIND, &workspace, &id).await? {
        true => Ok(format!("revoked {id}; running processes let it in for a few more seconds")),
        false => Err(usage(format!("the workspace {workspace} has no key {id}"))),
    }
}
