use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use crate::support::Stage;

const PROGRAM: &str = env!("CARGO_BIN_EXE_atelier-simulator");

#[tokio::test]
async fn the_program_says_where_it_is_and_ends_on_a_signal() {
    let stage = Stage::new().await;
    for signal in ["-TERM", "-INT"] {
        let mut child = Command::new(PROGRAM)
            .args(["--listen", "127.0.0.1:0", "--video", "1s", "--seed=5"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.split_whitespace().find(|word| word.starts_with("http://")).unwrap();
        let health = stage.client.get(format!("{url}/_sim/health")).send().await.unwrap();
        assert_eq!(health.status(), 200);
        let killed = Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
        assert!(killed.success());
        assert!(child.wait().unwrap().success(), "{signal}");
    }
}

#[tokio::test]
async fn the_program_speaks_tls_where_it_is_told_to() {
    let folder = std::env::temp_dir();
    let path = folder.join(format!("simulator-program-{}.pem", std::process::id()));
    let mut child = Command::new(PROGRAM)
        .args(["--listen", "127.0.0.1:0", "--tls-listen=127.0.0.1:0", "--tls-provider", "fal"])
        .args(["--tls-names", "queue.fal.run,rest.fal.ai", "--tls-certificate"])
        .arg(&path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let url = line.split_whitespace().find(|word| word.starts_with("https://")).unwrap();
    let trusted = reqwest::Certificate::from_pem(&std::fs::read(&path).unwrap()).unwrap();
    let _stage = Stage::new().await; // it sets cryptography up
    let client = reqwest::Client::builder().tls_certs_only([trusted]).build().unwrap();
    let keys = client.get(format!("{url}/.well-known/jwks.json")).send().await.unwrap();
    assert_eq!(keys.status(), 200);
    child.kill().unwrap();
    child.wait().unwrap();
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn all_wrong_arguments_are_named_at_once() {
    let output = Command::new(PROGRAM)
        .args(["--video", "soon", "--what", "--listen", "nowhere", "--tls-provider", "nobody"])
        .output()
        .unwrap();
    assert!(!output.status.success());
    let text = String::from_utf8(output.stderr).unwrap();
    for wrong in ["soon", "--what", "nowhere", "nobody"] {
        assert!(text.contains(wrong), "{wrong} is missing in {text}");
    }
}
