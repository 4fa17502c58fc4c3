//! Signals and the grace. A child process, which is this very binary, gets real signals.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use atelier_runtime::shutdown::{GraceOver, Shutdown};

const GRACE: Duration = Duration::from_secs(30);

#[tokio::test(start_paused = true)]
async fn work_has_no_limit_before_the_end_begins_and_the_grace_after() {
    let shutdown = Shutdown::manual(GRACE);
    let long = tokio::time::sleep(Duration::from_secs(3_600));
    assert_eq!(
        shutdown
            .within_grace(async {
                long.await;
                7
            })
            .await,
        Ok(7)
    );
    assert_eq!(shutdown.time_left(), GRACE);
    shutdown.begin();
    tokio::time::advance(Duration::from_secs(10)).await;
    shutdown.begin();
    assert_eq!(shutdown.time_left(), Duration::from_secs(20), "a second begin gives no new grace");
    assert!(shutdown.token().is_cancelled());
    let began = tokio::time::Instant::now();
    assert_eq!(shutdown.within_grace(std::future::pending::<()>()).await, Err(GraceOver { grace: GRACE }));
    assert_eq!(began.elapsed().as_secs(), 20);
    assert_eq!(shutdown.within_grace(async { 8 }).await, Ok(8), "work that is done is not lost");
}

/// Set in the child: the test below is run again there, and plays the process that gets the signals.
const CHILD: &str = "ATELIER_TEST_CHILD";

#[tokio::main(flavor = "current_thread")]
async fn child() {
    let shutdown = Shutdown::listen(GRACE).unwrap();
    say("listening");
    shutdown.begun().await;
    say("begun");
    let _ = shutdown.within_grace(std::future::pending::<()>()).await;
}

fn say(word: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "\n{word}").unwrap();
    out.flush().unwrap();
}

struct Family {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Family {
    fn start() -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "ends::the_first_signal_begins_the_end_and_the_second_ends_at_once",
                "--nocapture",
            ])
            .env(CHILD, "1")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut family = Self { child, lines };
        family.wait_for("listening");
        family
    }

    fn wait_for(&mut self, word: &str) {
        let found = self.lines.by_ref().any(|line| line.unwrap() == word);
        assert!(found, "the child ended without `{word}`");
    }

    fn signal(&self, name: &str) {
        let status =
            Command::new("kill").args([format!("-{name}"), self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }
}

impl Drop for Family {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_first_signal_begins_the_end_and_the_second_ends_at_once() {
    if std::env::var_os(CHILD).is_some() {
        return child();
    }
    for (first, second, code) in [("TERM", "TERM", 143), ("INT", "INT", 130)] {
        let mut family = Family::start();
        family.signal(first);
        family.wait_for("begun");
        assert!(family.child.try_wait().unwrap().is_none(), "the child has its grace");
        family.signal(second);
        assert_eq!(family.child.wait().unwrap().code(), Some(code));
    }
}
