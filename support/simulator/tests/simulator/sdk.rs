//! The service's official Python SDK, driven by a script against a simulator.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::support::{UNSIGNED_TOKEN, bench, unsigned_issuer};

const PACKAGE: &str = "pulumi-cloud-sdk";
const VERSION: &str = "2026.10.26.post1126";
/// What the package asks for.
const OLDEST_PYTHON: &str = "(3, 10)";

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/simulator/sdk.py");

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What it printed, if it succeeded; else why not.
fn run(command: &mut Command) -> Result<String, String> {
    match command.output() {
        Ok(Output { status, stdout, .. }) if status.success() => Ok(text(&stdout)),
        Ok(Output { stdout, stderr, .. }) => Err(text(&stdout) + &text(&stderr)),
        Err(error) => Err(error.to_string()),
    }
}

/// Where the package is kept between runs.
fn cache() -> Option<PathBuf> {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let cache = absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")))?;
    Some(cache.join("pulumi-deployments-operator"))
}

/// A Python that has the package, or why there is none.
fn python() -> Result<PathBuf, String> {
    let check = format!("import sys; sys.exit(sys.version_info < {OLDEST_PYTHON}); ");
    let mut probe = Command::new("python3");
    run(probe.args(["-c", &check])).map_err(|_| format!("there is no python3 of version {OLDEST_PYTHON} or newer"))?;
    let version = run(Command::new("python3").args(["-c", "import sys; print('%d.%d' % sys.version_info[:2])"]))?;
    let cache = cache().ok_or("there is no HOME to keep the SDK in")?;
    let place = cache.join(format!("{PACKAGE}-{VERSION}-python{}", version.trim()));
    fs::create_dir_all(&cache).map_err(|error| error.to_string())?;
    // One installs it, the others wait.
    let lock = File::create(cache.join(format!("{PACKAGE}.lock"))).map_err(|error| error.to_string())?;
    lock.lock().map_err(|error| error.to_string())?;
    let installed = place.join("installed");
    if !installed.is_file() {
        install(&place)?;
        File::create(&installed).map_err(|error| error.to_string())?;
    }
    Ok(place.join("bin/python"))
}

fn install(place: &Path) -> Result<(), String> {
    // What an interrupted installation left is of no use.
    let _ = fs::remove_dir_all(place);
    run(Command::new("python3").args(["-m", "venv"]).arg(place))
        .map_err(|error| format!("python3 makes no virtual environment: {error}"))?;
    let options = ["-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--retries", "1"];
    let mut pip = Command::new(place.join("bin/python"));
    run(pip.args(options).args(["--timeout", "15", &format!("{PACKAGE}=={VERSION}")])).map(drop).map_err(|error| {
        let told = error.to_lowercase();
        let is_network = ["connection", "timed out", "name resolution", "network is unreachable", "proxy"];
        // Anything else is a mistake here.
        assert!(is_network.iter().any(|word| told.contains(word)), "{error}");
        "the package index is out of reach".to_owned()
    })
}

#[tokio::test]
async fn the_official_sdk_takes_it_for_the_service() {
    let python = match python() {
        Ok(python) => python,
        Err(reason) => {
            println!("skipped: {reason}");
            return;
        }
    };
    let bench = bench().await;
    bench.simulator.trust_issuer("acme", unsigned_issuer()).unwrap();
    let mut script = Command::new(python);
    script.arg(SCRIPT).args([&bench.simulator.url(), "t", "acme", UNSIGNED_TOKEN]);
    script.env("NO_PROXY", "*").env("PYTHONDONTWRITEBYTECODE", "1");
    let printed = run(&mut script).unwrap_or_else(|error| panic!("{error}"));
    assert!(printed.ends_with("done\n"), "{printed}");
    let unknown = bench.simulator.requests_where(|request| request.operation.is_empty());
    assert!(unknown.is_empty(), "{unknown:#?}");
    let broken = bench.simulator.requests_where(|request| request.status.is_none_or(|status| status >= 500));
    assert!(broken.is_empty(), "{broken:#?}");
}
