//! The operator's log.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, Result};
use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

/// What is logged when `RUST_LOG` does not say.
const DEFAULT_FILTER: &str = "info,kube_client=warn,kube_runtime=warn,hyper_util=warn";

/// Has everything logged to a file, and to standard error as well if that is wanted. Returns the file.
pub fn start(path: &Path, verbose: bool) -> Result<PathBuf> {
    let file = File::create(path).with_context(|| format!("cannot create {}", path.display()))?;
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(DEFAULT_FILTER));
    let to_file = fmt::layer().with_writer(Arc::new(file)).with_ansi(false).with_target(false);
    let to_person = verbose.then(|| fmt::layer().with_writer(io::stderr).with_ansi(false).with_target(false));
    tracing_subscriber::registry().with(filter).with(to_file).with(to_person).init();
    Ok(path.to_owned())
}
