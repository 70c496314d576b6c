//! Prometheus' own engine, to evaluate expressions on pages that were scraped.

use std::path::PathBuf;

use crate::go_build::PROMQL;
use crate::progress::Reporter;
use crate::{Error, Progress};

/// A program around Prometheus' engine: compiled from a pinned Go module, once, and kept like the control plane's
/// binaries. `assets/promql/main.go` says what it reads and writes.
///
/// # Errors
///
/// If `go` is missing, or if the build fails.
pub async fn find_or_build(progress: impl Fn(&Progress) + Send + Sync + 'static) -> Result<PathBuf, Error> {
    Ok(PROMQL.build(&["promql"], &Reporter::new(progress)).await?.join("promql"))
}
