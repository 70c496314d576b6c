//! The commits of Git repositories, which nobody has to make up front.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use serde_json::Value;

use crate::settings;

/// What was pushed.
#[derive(Debug, Default)]
pub(crate) struct Repositories {
    /// The newest commits, by repository and branch.
    heads: HashMap<(String, String), String>,
    hidden: HashSet<String>,
}

impl Repositories {
    pub(crate) fn push(&mut self, repository: &str, branch: &str, commit: &str) {
        self.heads.insert((repository.to_owned(), short(branch).to_owned()), commit.to_owned());
    }

    pub(crate) fn hide(&mut self, repository: &str) {
        self.hidden.insert(repository.to_owned());
    }

    /// The commit that a run with these settings gets now.
    pub(crate) fn commit_of(&self, settings: &Value) -> Option<String> {
        let context = &settings["sourceContext"];
        let is_git = !context["hg"].is_object() && settings::text(&context["template"]["sourceUrl"]).is_none();
        let repository = settings::source_url(settings).filter(|url| is_git && !self.hidden.contains(url))?;
        let git = &context["git"];
        if let Some(commit) = settings::text(&git["commit"]) {
            return Some(commit.to_owned());
        }
        let revision = settings::text(&git["branch"]).or_else(|| settings::text(&git["tag"])).unwrap_or("HEAD");
        let place = (repository, short(revision).to_owned());
        Some(self.heads.get(&place).cloned().unwrap_or_else(|| first_commit(&place)))
    }
}

fn short(branch: &str) -> &str {
    branch.strip_prefix("refs/heads/").unwrap_or(branch)
}

/// Forty digits that are always the same for the same branch.
fn first_commit(place: &(String, String)) -> String {
    let digits = |part: u8| {
        let mut hasher = DefaultHasher::new();
        (part, place).hash(&mut hasher);
        hasher.finish()
    };
    format!("{:016x}{:016x}{:08x}", digits(0), digits(1), digits(2) >> 32)
}
