//! What Argo CD, Flux and Kustomize make of the three kinds.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail in any line")]

mod applying;
mod flux;
mod health;
mod kustomize;

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// A resource in some state, as its controller tells it: recorded by the tests of the pure `status` functions.
#[derive(Debug, Deserialize)]
struct Recorded {
    name: String,
    /// What Argo CD should make of it.
    health: String,
    resource: Value,
}

impl Recorded {
    fn all() -> Vec<Self> {
        let files = ["organizations", "stackdeploymentsettings", "pulumideployments"];
        let directory = root().join("tests/it/gitops/recorded");
        let read = |file| std::fs::read_to_string(directory.join(file).with_extension("yaml")).unwrap();
        files.into_iter().flat_map(|file| serde_saphyr::from_multiple::<Self>(&read(file)).unwrap()).collect()
    }

    fn kind(&self) -> &str {
        self.resource["kind"].as_str().unwrap()
    }
}
