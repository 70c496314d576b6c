//! What can be written next, as kubectl asks for it: it runs a program `kubectl_complete-pdep` with the words behind
//! `kubectl pdep`, and offers what that prints. Names of resources come from the cluster.

use std::{collections::BTreeSet, ffi::OsString, time::Duration};

use clap::{CommandFactory, FromArgMatches};
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate, complete};
use kube::{ResourceExt, api::ListParams};

use crate::{
    cli::{Cli, Place},
    cluster::{Cluster, Kind},
};

/// The name of the program that kubectl runs.
pub const PROGRAM: &str = "kubectl_complete-pdep";

/// "Offer no files", in the words of kubectl's own completion.
const NO_FILES: &str = ":4";

/// Somebody waits with a finger on a key: a cluster that takes longer offers no names.
const PATIENCE: Duration = Duration::from_secs(3);

/// Completes an argument by the names of one kind.
pub fn names(kind: Kind) -> ArgValueCompleter {
    ArgValueCompleter::new(move |_: &std::ffi::OsStr| vec![stand_in(kind)])
}

/// Completes an argument by the names of all kinds.
pub fn targets() -> ArgValueCompleter {
    ArgValueCompleter::new(|_: &std::ffi::OsStr| Kind::ALL.map(stand_in).into())
}

/// Stands for the names of a kind, until the cluster was asked. clap's completers can't wait for an answer.
fn stand_in(kind: Kind) -> CompletionCandidate {
    CompletionCandidate::new("").id(Some(kind.word().to_owned()))
}

/// What may stand in the place of the last of the words, a line each: a tab separates it from its description.
pub async fn answer(words: Vec<OsString>) -> String {
    let line: Vec<OsString> = std::iter::once("kubectl-pdep".into()).chain(words).collect();
    let last = line.len() - 1;
    let mut command = Cli::command();
    let place = place(&line[..last]);
    let candidates = complete(&mut command, line.clone(), last, None).unwrap_or_default();
    let several = candidates.iter().filter(|candidate| candidate.get_id().is_some()).count() > 1;
    let written = line[last].to_string_lossy();
    let mut lines = vec![];
    let mut seen = BTreeSet::new();
    for candidate in candidates.iter().filter(|candidate| !candidate.is_hide_set()) {
        let kind = Kind::ALL.into_iter().find(|kind| candidate.get_id().is_some_and(|id| id == kind.word()));
        if let Some(kind) = kind {
            for name in tokio::time::timeout(PATIENCE, in_cluster(kind, &place)).await.unwrap_or_default() {
                // A plain name is enough where only one kind has it, and a kind can stand before any.
                let forms = if several { vec![name.clone(), format!("{}/{name}", kind.word())] } else { vec![name] };
                lines.extend(forms.into_iter().filter(|form| form.starts_with(&*written) && seen.insert(form.clone())));
            }
            continue;
        }
        let value = candidate.get_value().to_string_lossy();
        let help = candidate.get_help().map(ToString::to_string).unwrap_or_default();
        let help = help.lines().next().unwrap_or_default().to_owned();
        lines.push(if help.is_empty() { value.into_owned() } else { format!("{value}\t{help}") });
    }
    lines.push(NO_FILES.to_owned());
    lines.join("\n") + "\n"
}

/// The cluster and namespace that the words before name; those of the context where they don't, or are not finished.
fn place(words: &[OsString]) -> Place {
    let matches = Cli::command().ignore_errors(true).subcommand_required(false).try_get_matches_from(words);
    matches.ok().and_then(|matches| Place::from_arg_matches(&matches).ok()).unwrap_or_default()
}

/// The names there are. None when they can't be had: there is no place to say why.
async fn in_cluster(kind: Kind, place: &Place) -> Vec<String> {
    let Ok(cluster) =
        Cluster::connect(place.kubeconfig.as_deref(), place.context.as_deref(), place.namespace.as_deref()).await
    else {
        return vec![];
    };
    let (api, _) = cluster.scope(kind, false);
    let list = api.list_metadata(&ListParams::default()).await;
    list.map(|list| list.items.iter().map(ResourceExt::name_any).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(&["st"], &["status"])]
    #[case(&["status", "--out"], &["--output"])]
    #[case(&["status", "--output", ""], &["json", "yaml"])]
    #[case(&["completion", "b"], &["bash"])]
    #[tokio::test]
    async fn commands_options_and_values(#[case] words: &[&str], #[case] expected: &[&str]) {
        let answer = answer(words.iter().map(OsString::from).collect()).await;
        let mut lines: Vec<_> = answer.lines().map(|line| line.split('\t').next().unwrap()).collect();
        assert_eq!(lines.pop(), Some(NO_FILES));
        assert_eq!(lines, expected);
    }

    #[rstest]
    #[case(&["kubectl-pdep", "-n", "team", "status"], Some("team"))]
    #[case(&["kubectl-pdep", "status", "--namespace=team"], Some("team"))]
    #[case(&["kubectl-pdep", "adopt", "web-prod", "-n", "team"], Some("team"))]
    #[case(&["kubectl-pdep", "status", "-n"], None)]
    fn the_namespace_that_was_written(#[case] words: &[&str], #[case] expected: Option<&str>) {
        let words: Vec<_> = words.iter().map(OsString::from).collect();
        assert_eq!(place(&words).namespace.as_deref(), expected);
    }
}
