//! Every seed, and everything that was found once, is tried again.

use std::fs;
use std::path::{Path, PathBuf};

use atelier_fuzz::{TARGETS, Target, changed_json};

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() { files(&path, found) } else { found.push(path) }
    }
}

fn try_all(name: &str) {
    let target: Target = TARGETS.into_iter().find(|target| target.name == name).unwrap();
    let mut inputs = Vec::new();
    target.folders().iter().for_each(|folder| files(folder, &mut inputs));
    assert!(inputs.len() > 3, "{name} has no seeds");
    for input in inputs {
        let data = fs::read(&input).unwrap();
        let outcome = std::panic::catch_unwind(|| (target.attack)(&data));
        assert!(outcome.is_ok(), "{} breaks {name}", input.display());
    }
}

#[test]
fn known_replies_are_read() {
    try_all("replies");
}

#[test]
fn known_requests_are_read() {
    try_all("requests");
}

#[test]
fn known_media_are_read() {
    try_all("media");
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
