//! What the pages say is there, and what is there the pages say.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail in any line")]

mod commands;
mod links;
mod manifests;
mod metrics;
mod reasons;
mod reference;
mod walkthrough;

pub use metrics::documented as documented_metrics;

use std::{
    fs,
    path::{Path, PathBuf},
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// A page for people.
pub struct Page {
    /// Its path in the repository.
    pub name: String,
    /// What it says.
    pub text: String,
}

/// A fenced block of a page.
pub struct Block<'a> {
    /// What stands behind the fence: `yaml`, `sh`.
    pub language: &'a str,
    pub text: String,
    /// Where it begins, for messages.
    at: String,
}

impl Page {
    pub fn all() -> Vec<Self> {
        let mut names = vec!["README.md".to_owned()];
        for directory in ["docs", "docs/reference", "charts/pulumi-deployments-operator", "gitops"] {
            let Ok(entries) = fs::read_dir(root().join(directory)) else { continue };
            let entries = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
            names.extend(
                entries
                    .filter(|name| Path::new(name).extension().is_some_and(|it| it == "md"))
                    .map(|name| format!("{directory}/{name}")),
            );
        }
        names.sort();
        assert!(names.len() > 10, "where are the pages? {names:?}");
        names.into_iter().map(|name| Self { text: fs::read_to_string(root().join(&name)).unwrap(), name }).collect()
    }

    pub fn of(name: &str) -> Self {
        Self::all().into_iter().find(|page| page.name == name).unwrap()
    }

    pub fn blocks(&self) -> Vec<Block<'_>> {
        let (mut blocks, mut open) = (vec![], None::<Block<'_>>);
        for (line, number) in self.text.lines().zip(1..) {
            match (line.trim_start().strip_prefix("```"), &mut open) {
                (Some(language), None) => {
                    open = Some(Block { language, text: String::new(), at: format!("{}:{number}", self.name) });
                }
                (Some(_), Some(_)) => blocks.extend(open.take()),
                (None, Some(block)) => {
                    block.text.push_str(line);
                    block.text.push('\n');
                }
                (None, None) => {}
            }
        }
        assert!(open.is_none(), "{}: a block is not closed", self.name);
        blocks
    }

    /// Its lines outside of blocks.
    fn prose(&self) -> Vec<&str> {
        let mut is_code = false;
        let lines = self.text.lines();
        lines
            .filter(|line| {
                let is_fence = line.trim_start().starts_with("```");
                is_code ^= is_fence;
                !is_code && !is_fence
            })
            .collect()
    }

    fn headings(&self) -> Vec<&str> {
        self.prose()
            .into_iter()
            .filter(|line| line.starts_with('#'))
            .map(|it| it.trim_start_matches('#').trim())
            .collect()
    }
}

fn assert_none(complaints: &[String]) {
    assert!(complaints.is_empty(), "{complaints:#?}");
}
