//! The commands of the pages: those of kubectl and helm have flags that exist, and files that are named are there. What
//! needs something that no test has is on a list, and nothing else is on it.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    process::Stdio,
};

use clap::Parser;
use pulumi_deployments_operator::cli::Cli;
use tokio::process::Command;

use super::{Page, assert_none, root};

/// The list of what is not run anywhere.
const LIST: &str = "docs/not-tested.md";

/// Programs whose commands are run by tests, or checked here.
const CHECKED: [&str; 2] = ["kubectl", "helm"];

/// Programs that the tests themselves are run with, or that are the project's own, or the shell's, or run by a test of their
/// page.
const OWN: [&str; 6] = ["cargo", "git", ".ci/run", "kubectl-pdep", "export", "ln"];

/// A command of a page, in one line.
struct Line {
    at: String,
    words: Vec<String>,
}

/// Splits as a shell does, as far as the pages need it: quotes, a comment, and what stands before a pipe or `&&`.
pub fn commands(text: &str) -> Vec<Vec<String>> {
    let text = text.replace("\\\n", " ");
    let (mut commands, mut here) = (vec![], None::<String>);
    for line in text.lines() {
        if let Some(end) = &here {
            if line.trim() == end.as_str() {
                here = None;
            }
            continue;
        }
        here = line.split_once("<<").map(|(_, word)| word.trim_matches(['-', '\'', '"', ' ']).to_owned());
        let line = line.split_once("<<").map_or(line, |(command, _)| command);
        let (mut words, mut word, mut quote) = (vec![], String::new(), None);
        for c in line.chars().chain([' ']) {
            match (quote, c) {
                (Some(open), _) if c == open => quote = None,
                (None, '\'' | '"') => quote = Some(c),
                (None, '#') if word.is_empty() => break,
                (None, ' ') if !word.is_empty() => words.push(std::mem::take(&mut word)),
                (None, ' ') => {}
                _ => word.push(c),
            }
        }
        for part in words.split(|word| ["|", "&&", ">", ";"].contains(&word.as_str())) {
            let is_assignment = |word: &&String| word.contains('=') && !word.starts_with('-');
            let part: Vec<_> = part.iter().skip_while(is_assignment).cloned().collect();
            if !part.is_empty() {
                commands.push(part);
            }
        }
    }
    commands
}

fn lines() -> Vec<Line> {
    let mut lines = vec![];
    for page in Page::all().into_iter().filter(|page| page.name != LIST) {
        for block in page.blocks().into_iter().filter(|block| block.language == "sh") {
            let at = &block.at;
            lines.extend(commands(&block.text).into_iter().map(|words| Line { at: at.clone(), words }));
        }
    }
    assert!(lines.len() > 20, "where are the commands?");
    lines
}

#[test]
fn commands_are_read_as_a_shell_does() {
    let text = "A=b kubectl get 'x y' \\\n  --flag=\"1 2\" # why\nhelm list | kubectl apply -f - <<END\nkubectl not this\nEND\n";
    let read = commands(text);
    assert_eq!(read[0], ["kubectl", "get", "x y", "--flag=1 2"]);
    assert_eq!(read[1], ["helm", "list"]);
    assert_eq!(read[2], ["kubectl", "apply", "-f", "-"]);
    assert_eq!(read.len(), 3);
}

/// What the programs say of their own commands.
struct Help {
    programs: BTreeMap<&'static str, PathBuf>,
    known: BTreeMap<Vec<String>, String>,
}

impl Help {
    async fn new() -> Self {
        let kubectl = local_cluster::Binaries::find_or_build(|event| eprintln!("{event}")).await.unwrap().kubectl;
        let helm = local_cluster::helm::find_or_build(|event| eprintln!("{event}")).await.unwrap();
        Self { programs: BTreeMap::from([("kubectl", kubectl), ("helm", helm)]), known: BTreeMap::new() }
    }

    /// The help for a command, by its words up to the first flag.
    async fn of(&mut self, command: &[String]) -> String {
        if let Some(known) = self.known.get(command) {
            return known.clone();
        }
        let mut text = self.run(&command[0], &[&command[1..], &["--help".to_owned()]].concat()).await;
        if command[0] == "kubectl" {
            text.push_str(&self.run("kubectl", &["options".to_owned()]).await);
        }
        self.known.insert(command.to_vec(), text.clone());
        text
    }

    async fn run(&self, program: &str, arguments: &[String]) -> String {
        let mut process = Command::new(&self.programs[program]);
        process.args(arguments).stdin(Stdio::null()).env("KUBECONFIG", "/dev/null");
        let output = process.output().await.unwrap();
        assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }
}

/// Whether a help text lists a flag, as `--flag=`, `--flag ` or `-f, `.
fn lists(help: &str, flag: &str) -> bool {
    help.match_indices(flag).any(|(at, _)| {
        let (before, after) = (help[..at].chars().next_back(), help[at + flag.len()..].chars().next());
        before.is_none_or(char::is_whitespace) && after.is_none_or(|c| c.is_whitespace() || c == '=' || c == ',')
    })
}

#[tokio::test]
async fn every_flag_exists() {
    let mut help = Help::new().await;
    let mut complaints = vec![];
    for Line { at, words } in lines() {
        // The plugin has a page and tests of its own.
        if !CHECKED.contains(&words[0].as_str()) || words.get(1).is_some_and(|word| word == "pdep") {
            continue;
        }
        let command: Vec<_> = words.iter().take_while(|word| !word.starts_with('-')).cloned().collect();
        let text = help.of(&command).await;
        let flags = words.iter().filter(|word| word.starts_with('-') && word.len() > 1);
        let flags = flags.map(|word| word.split('=').next().unwrap()).filter(|flag| *flag != "--");
        complaints.extend(
            flags.filter(|flag| !lists(&text, flag)).map(|flag| format!("{at}: {} has no {flag}", command.join(" "))),
        );
    }
    assert_none(&complaints);
}

#[test]
fn the_operators_own_flags_exist() {
    let mut seen = 0;
    for Line { at, words } in lines() {
        let Some(end) = words.iter().position(|word| word == "--") else { continue };
        if words[0] == "cargo" && !words[..end].iter().any(|word| word == "--example" || word == "-p") {
            let arguments = ["operator".to_owned()].into_iter().chain(words[end + 1..].iter().cloned());
            Cli::try_parse_from(arguments).unwrap_or_else(|error| panic!("{at}: {error}"));
            seen += 1;
        }
    }
    assert!(seen > 0, "where are the commands?");
}

#[test]
fn every_file_is_there() {
    let directories = ["charts/", "crds/", "docs/", "examples/", "gitops/", "support/"];
    let is_ours = |word: &str| directories.iter().any(|directory| word.starts_with(directory));
    let mut complaints = vec![];
    for Line { at, words } in lines() {
        let files = words.iter().map(|word| word.rsplit('=').next().unwrap()).filter(|word| is_ours(word));
        let missing = files.filter(|file| !root().join(file).exists());
        complaints.extend(missing.map(|file| format!("{at}: there is no {file}")));
    }
    assert_none(&complaints);
}

/// The commands on the list, each in a row of its own.
fn listed() -> BTreeSet<String> {
    let page = Page::of(LIST);
    let rows = page.prose().into_iter().filter_map(|line| line.strip_prefix("| `")).map(ToOwned::to_owned);
    rows.map(|row| row.split('`').next().unwrap().to_owned()).collect()
}

#[test]
fn what_nothing_runs_is_listed_and_nothing_else() {
    let lines = lines();
    let listed = listed();
    let told: BTreeSet<_> = lines.iter().map(|line| line.words.join(" ")).collect();
    let mut complaints: Vec<_> = lines
        .iter()
        .filter(|line| !CHECKED.contains(&line.words[0].as_str()) && !OWN.contains(&line.words[0].as_str()))
        .map(|line| (&line.at, line.words.join(" ")))
        .filter(|(_, command)| !listed.contains(command))
        .map(|(at, command)| format!("{at}: {LIST} does not list `{command}`"))
        .collect();
    complaints.extend(listed.difference(&told).map(|command| format!("{LIST}: no page has `{command}`")));
    assert_none(&complaints);
}
