//! Every seed, and everything that was found once, is tried again.

use std::path::{Path, PathBuf};
use std::{fs, io};

use atelier_fuzz::{TARGETS, Target, changed_json};

fn files(folder: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
    if !folder.is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() { files(&path, found)? } else { found.push(path) }
    }
    Ok(())
}

fn try_all(name: &str) -> io::Result<()> {
    let mut inputs = Vec::new();
    for target in TARGETS.into_iter().filter(|target: &Target| target.name == name) {
        for folder in target.folders() {
            files(&folder, &mut inputs)?;
        }
        for input in &inputs {
            let data = fs::read(input)?;
            let outcome = std::panic::catch_unwind(|| (target.attack)(&data));
            assert!(outcome.is_ok(), "{} breaks {name}", input.display());
        }
    }
    assert!(inputs.len() > 3, "{name} has no seeds");
    Ok(())
}

#[test]
fn known_replies_are_read() {
    try_all("replies").unwrap();
}

#[test]
fn known_requests_are_read() {
    try_all("requests").unwrap();
}

#[test]
fn known_media_are_read() {
    try_all("media").unwrap();
}

#[test]
fn json_is_changed_where_it_stands() {
    let reply = b"HTTP/1.1 200 OK\n\n{\"a\":1,\"b\":[2]} rest";
    let changed: Vec<String> =
        (0..200).map(|seed| String::from_utf8(changed_json(reply, seed).unwrap()).unwrap()).collect();
    assert!(changed.iter().all(|text| text.starts_with("HTTP/1.1 200 OK\n\n") && text.ends_with(" rest")));
    for expected in
        [r#"{"a":18446744073709551615,"b":[2]}"#, r#"{"a":1,"b":[]}"#, r#"{"b":[2]}"#, r#"[{"a":1,"b":[2]}]"#]
    {
        assert!(changed.iter().any(|text| text.contains(expected)), "{expected}");
    }
    assert_eq!(changed_json(b"no object", 7), None);
}
