//! `atelier-api vault`: a new master key, and sealing anew without waiting for it.

use std::io::Write as _;

use atelier_domain::Timestamp;
use atelier_redis_store::{Redis, RedisDocuments};
use atelier_runtime::{Command, CommandError};
use atelier_vault::{Resealed, Vault, new_master_key, reseal_all};

use crate::program::Settings;

pub(super) const COMMAND: Command<Settings> = Command {
    name: "vault",
    help: &["vault new-key", "vault reseal"],
    run: |settings, words| Box::pin(run(settings, words)),
};

async fn run(settings: Settings, words: Vec<String>) -> Result<String, CommandError> {
    match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["new-key"] => Ok(new_master_key()),
        ["reseal"] => reseal(settings).await,
        _ => Err(CommandError::Usage("new-key or reseal was expected".to_owned())),
    }
}

async fn reseal(settings: Settings) -> Result<String, CommandError> {
    let documents = RedisDocuments::new(Redis::open(settings.redis)?);
    let vault = Vault::new(&settings.vault);
    // Nothing is lost where nobody sees the progress.
    let progress = |done: &Resealed| {
        let _ = writeln!(std::io::stderr(), "{} looked at, {} sealed anew", done.looked, done.resealed);
    };
    let Resealed { looked, resealed, failed } =
        reseal_all(&documents, &vault, Timestamp::now(), progress).await?;
    let text = format!("{looked} secrets: {resealed} sealed anew, {failed} cannot be opened");
    if failed == 0 { Ok(text) } else { Err(CommandError::Failed(text.into())) }
}
