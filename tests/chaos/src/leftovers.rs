//! What a crash may have left behind: files that belong to no asset, and keys that never go away.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Result, ensure};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::wire::resp::{Frames, arguments};

/// Lists keys of ended jobs, assets, idempotency keys and spooled bytes that have no time to live.
const ENDLESS: &str = "
local found = {}
for _, key in ipairs(redis.call('KEYS', '{q0}:[jabi]:*')) do
  local is_live = string.sub(key, 6, 6) == 'j' and not string.find('SFC', redis.call('GETRANGE', key, 1, 1))
  if not is_live and redis.call('TTL', key) == -1 then
    found[#found + 1] = key
  end
end
return found";

/// Keys of database `db` that stay for ever although nothing needs them.
pub async fn endless_keys(redis: SocketAddr, db: u8) -> Result<Vec<String>> {
    let mut stream = TcpStream::connect(redis).await?;
    let (source, mut sink) = stream.split();
    let mut replies = Frames::new(source);
    let mut last = Vec::new();
    for command in [&["SELECT", &db.to_string()][..], &["EVAL", ENDLESS, "0"]] {
        let mut text = format!("*{}\r\n", command.len());
        for part in command {
            text += &format!("${}\r\n{part}\r\n", part.len());
        }
        sink.write_all(text.as_bytes()).await?;
        last = replies.next().await?.unwrap_or_default();
        ensure!(!last.starts_with(b"-"), "redis says {}", String::from_utf8_lossy(&last));
    }
    Ok(arguments(&last).into_iter().map(|key| String::from_utf8_lossy(key).into_owned()).collect())
}

/// Files below `bucket` other than the one medium and the one manifest of each job of `succeeded`, and what of those is
/// missing.
pub fn wrong_files(bucket: &Path, succeeded: &HashSet<String>) -> Result<Vec<String>> {
    let mut wrong = Vec::new();
    let mut missing = succeeded.clone();
    let mut folders = vec![bucket.to_owned()];
    while let Some(folder) = folders.pop() {
        let mut files = Vec::new();
        for entry in std::fs::read_dir(&folder)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            // The server's own files begin with a dot.
            match entry.file_type()?.is_dir() {
                _ if name.starts_with('.') => {}
                true => folders.push(entry.path()),
                false => files.push(name),
            }
        }
        let job = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        files.sort();
        let is_whole = files.len() == 2 && files[1] == format!("{}.json", files[0]);
        let is_asset = is_whole && missing.remove(&job);
        if !files.is_empty() && !is_asset {
            wrong.push(format!("{job} has {files:?}"));
        }
    }
    wrong.extend(missing.into_iter().map(|job| format!("{job} has no files")));
    Ok(wrong)
}
