//! The demo, as a person runs it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail in any line")]

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, ChildStdout, Command},
    sync::{Mutex, MutexGuard},
    time::timeout,
};

/// Each has a control plane of its own, which takes about 0.6 GB.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

/// Far more than it takes once the control plane is compiled.
const LONG_ENOUGH: Duration = Duration::from_secs(300);

struct Demo {
    child: Child,
    output: BufReader<ChildStdout>,
    said: String,
    _turn: MutexGuard<'static, ()>,
}

impl Demo {
    async fn start(arguments: &[&str]) -> Self {
        let turn = ONE_AT_A_TIME.lock().await;
        let mut child = Command::new(program())
            .args(arguments)
            .env("TMPDIR", env!("CARGO_TARGET_TMPDIR"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self { child, output, said: String::new(), _turn: turn }
    }

    /// Reads until a line has this in it, or with nothing until the end.
    async fn read_until(&mut self, wanted: Option<&str>) {
        let read = async {
            let mut line = String::new();
            while self.output.read_line(&mut line).await.unwrap() > 0 {
                self.said.push_str(&line);
                if wanted.is_some_and(|wanted| line.contains(wanted)) {
                    return;
                }
                line.clear();
            }
            assert_eq!(wanted, None, "not in the output:\n{}", self.said);
        };
        timeout(LONG_ENOUGH, read).await.unwrap_or_else(|_| panic!("the demo hangs"));
    }

    /// Waits for its end, checks that nothing is left of it, and returns its exit status and what it said.
    async fn end(mut self) -> (Option<i32>, String) {
        self.read_until(None).await;
        let status = timeout(LONG_ENOUGH, self.child.wait()).await.unwrap().unwrap();
        let (_, rest) = self.said.split_once("its log: ").unwrap_or_else(|| panic!("{}", self.said));
        let dir = Path::new(rest.lines().next().unwrap()).parent().unwrap();
        assert!(dir.starts_with(env!("CARGO_TARGET_TMPDIR")) && !dir.exists(), "{}", dir.display());
        assert_eq!(processes_with(dir.to_str().unwrap()), Vec::<String>::new());
        (status.code(), self.said)
    }
}

/// `cargo test` builds the examples next to the tests.
fn program() -> PathBuf {
    let tests = env::current_exe().unwrap();
    let program = tests.parent().unwrap().with_file_name("examples").join("demo");
    assert!(program.is_file(), "{} is missing: cargo build --example demo", program.display());
    program
}

/// The command lines of all processes that have this in it.
fn processes_with(text: &str) -> Vec<String> {
    let lines = fs::read_dir("/proc").unwrap().filter_map(|entry| fs::read(entry.unwrap().path().join("cmdline")).ok());
    lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " ")).filter(|line| line.contains(text)).collect()
}

#[tokio::test]
async fn it_shows_everything_and_leaves_nothing_behind() {
    let (status, said) = Demo::start(&[]).await.end().await;
    assert_eq!(status, Some(0), "{said}");
    // The columns are as wide as they must be.
    let words = said.split_whitespace().collect::<Vec<_>>().join(" ");
    for wanted in [
        "web-prod update Succeeded Succeeded 7/7 1",
        "orders-prod update Failed Failed 5/7 1",
        "team-shop/shop-staging-update update AccessDenied AccessDenied no rule",
        r#"orders-prod failed at the step "Pre-run command 2". The end of its log, from status.run.failure:"#,
        "| cannot migrate the database as orders:[secret]",
        "| error: pre-run command 2 failed: exit status 3",
        "Everything ended as expected.",
        "and for no further one since.",
    ] {
        assert!(words.contains(wanted), "{wanted:?} is not in:\n{said}");
    }
    assert!(!said.contains('\x1b'), "{said}");
    assert!(!said.contains("wrong-donkey-battery-staple"), "{said}");
}

#[tokio::test]
async fn it_leaves_nothing_behind_when_it_is_interrupted() {
    let mut demo = Demo::start(&[]).await;
    demo.read_until(Some("Running")).await;
    let id = demo.child.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().await.unwrap().success());
    let (status, said) = demo.end().await;
    assert_eq!(status, Some(130), "{said}");
}

#[tokio::test]
async fn a_run_that_is_not_as_expected_fails_it() {
    let (status, said) = Demo::start(&["--deadline", "1"]).await.end().await;
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains("web-prod: expected Succeeded, is "), "{said}");
    assert!(said.contains("The end of the operator's log:\n"), "{said}");
}
