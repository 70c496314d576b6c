//! `docs/plugin.md` names every command and option, and none that does not exist; README's session is a real one;
//! `completion` knows them too.

use std::{collections::BTreeSet, fs, path::Path};

use tokio::process::Command;

use super::{Plugin, world};
use crate::world::World;

fn read(file: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap()
}

/// The words at the beginnings of the lines of a help's section.
fn names(help: &str, section: &str) -> BTreeSet<String> {
    let lines = help.lines().skip_while(|line| *line != section).skip(1).take_while(|line| !line.is_empty());
    lines.filter_map(|line| line.strip_prefix("  ")?.split_whitespace().next().map(str::to_owned)).collect()
}

/// The long options in a text.
fn options(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
    words.filter(|word| word.starts_with("--") && word.len() > 2).map(str::to_owned).collect()
}

#[tokio::test]
async fn the_page_and_the_help_name_the_same() {
    let world = World::without_operator("pdep-docs").await;
    let plugin = Plugin::of(&world);
    let help = plugin.success(&["--help"]).await;
    let mut commands = names(&help, "Commands:");
    commands.remove("help");
    let page = read("docs/plugin.md");
    let sections: Vec<(String, &str)> = page
        .split("\n## ")
        .skip(1)
        .filter_map(|section| {
            let (heading, text) = section.split_once('\n')?;
            let name = heading.strip_prefix('`')?.split(['`', ' ']).next()?;
            Some((name.to_owned(), text))
        })
        .collect();
    assert_eq!(sections.iter().map(|(name, _)| name.clone()).collect::<BTreeSet<_>>(), commands);

    let everywhere: BTreeSet<String> =
        ["--namespace", "--context", "--kubeconfig", "--help", "--version"].map(str::to_owned).into();
    for (name, text) in &sections {
        let help = plugin.success(&[name, "--help"]).await;
        assert!(help.contains("Examples:\n"), "{help}");
        let usage = help.split_once("Examples:\n").unwrap().0;
        let there: BTreeSet<String> = options(usage).difference(&everywhere).cloned().collect();
        let written: BTreeSet<String> = options(text).difference(&everywhere).cloned().collect();
        let foreign: BTreeSet<String> = written.difference(&there).cloned().collect();
        assert!(foreign.is_empty(), "docs/plugin.md names options of {name} that do not exist: {foreign:?}");
        assert_eq!(
            there.difference(&written).collect::<Vec<_>>(),
            Vec::<&String>::new(),
            "not in docs/plugin.md: {name}"
        );
    }
    let shared = page.split("\n## ").next().unwrap();
    for option in ["--namespace", "--context", "--kubeconfig"] {
        assert!(shared.contains(option) && help.contains(option), "{option}");
    }
}

#[tokio::test]
async fn completions_know_every_command() {
    let world = World::without_operator("pdep-complete").await;
    let plugin = Plugin::of(&world);
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = plugin.success(&["completion", shell]).await;
        for command in names(&plugin.success(&["--help"]).await, "Commands:") {
            assert!(script.contains(&command), "{shell}: {command}");
        }
    }
}

#[tokio::test]
async fn kubectl_completes_it_as_the_page_says() {
    let (world, _) = world("pdep-tab").await;
    let page = read("docs/plugin.md");
    let link = page.lines().find_map(|line| line.strip_prefix("ln -s ")).unwrap();
    let home = tempfile::tempdir().unwrap();
    let bin = home.path().join(".cargo/bin");
    fs::create_dir_all(&bin).unwrap();
    fs::copy(env!("CARGO_BIN_EXE_kubectl-pdep"), bin.join("kubectl-pdep")).unwrap();
    let linked = Command::new("sh").args(["-c", &format!("ln -s {link}")]).env("HOME", home.path()).status();
    assert!(linked.await.unwrap().success());

    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let offered = async |words: &[&str]| {
        let mut kubectl = Command::new(world.plane.kubectl_path());
        kubectl.arg("__complete").args(words).env("KUBECONFIG", world.plane.kubeconfig()).env("PATH", &path);
        let output = kubectl.output().await.unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let lines: BTreeSet<_> = text.lines().map(|line| line.split('\t').next().unwrap().to_owned()).collect();
        assert!(lines.contains(":4"), "{text}{}", String::from_utf8_lossy(&output.stderr));
        lines.into_iter().filter(|line| !line.starts_with(':')).collect::<Vec<_>>()
    };
    assert_eq!(offered(&["pdep", "sta"]).await, ["status"]);
    assert_eq!(offered(&["pdep", "status", "--all"]).await, ["--all-namespaces"]);
    let here = ["--namespace", &world.namespace];
    assert_eq!(offered(&["pdep", "diff", here[0], here[1], "web"]).await, ["web-prod"]);
    let named = ["deployment/web-prod", "settings/web-prod"];
    assert_eq!(offered(&["pdep", here[0], here[1], "suspend", "deployment/w"]).await, named[..1]);
    let all = offered(&["pdep", here[0], here[1], "status", ""]).await;
    assert!(named.iter().all(|name| all.iter().any(|it| it == name)) && all.contains(&"acme".to_owned()), "{all:?}");
}

/// Times, ids of traces, and what a test's piece of the world is called.
fn normal(text: &str, world: &World) -> String {
    let text = text.replace(&world.simulator.url(), "https://api.pulumi.com").replace(&world.organization, "acme");
    // The console is on a host of its own, the simulated one is not.
    let text = text.replace("https://app.pulumi.com", "https://api.pulumi.com");
    let is_time = |word: &str| {
        let word = word.trim_end_matches(['s', 'm', 'h']);
        !word.is_empty() && word.chars().all(|c| c.is_ascii_digit() || "smh".contains(c))
    };
    let is_id = |word: &str| word.len() == 32 && word.chars().all(|c| c.is_ascii_hexdigit());
    let lines = text.lines().map(|line| {
        let words = line.split_whitespace();
        // An amount of time has a unit; a number of a run has none.
        words
            .map(|word| if is_id(word) { "ID" } else { word })
            .map(|word| if word.ends_with(['s', 'm', 'h']) && is_time(word) { "TIME" } else { word })
            .collect::<Vec<_>>()
            .join(" ")
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn the_session_in_the_readme_is_a_real_one() {
    let (world, _) = world("pdep-readme").await;
    let plugin = Plugin::of(&world);
    let readme = read("README.md");
    let session = readme.split_once("```console\n").unwrap().1.split_once("```").unwrap().0;
    let mut commands = 0;
    for part in session.split("$ kubectl pdep ").skip(1) {
        let (command, expected) = part.split_once('\n').unwrap();
        let args: Vec<&str> = command.split_whitespace().collect();
        let said = plugin.success(&args).await;
        assert_eq!(normal(&said, &world), normal(expected.trim_end(), &world), "$ kubectl pdep {command}\n{said}");
        commands += 1;
    }
    assert!(commands >= 4, "{session}");
}
