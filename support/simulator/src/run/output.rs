//! What the steps print.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::names::StackName;
use crate::world::deployment::Operation;

/// Variables by which a test tells the simulated program what to print.
const ECHO: &str = "SIMULATOR_ECHO";
const LOG_LINES: &str = "SIMULATOR_LOG_LINES";

/// Variables by name, each with whether it is secret.
pub(crate) type Environment = BTreeMap<String, (String, bool)>;

fn lines(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| format!("{text}\n")).collect()
}

pub(super) fn setup() -> Vec<String> {
    lines(&["Preparing the executor image", "Executor is ready"])
}

pub(super) fn download_executor() -> Vec<String> {
    lines(&[
        "  % Total    % Received % Xferd  Average Speed   Time    Time     Time  Current",
        "                                 Dload  Upload   Total   Spent    Left  Speed",
        "100 11.9M  100 11.9M    0     0  17.6M      0 --:--:-- --:--:-- --:--:-- 17.6M",
    ])
}

pub(super) fn oidc(settings: &Value) -> Vec<String> {
    let providers = settings["operationContext"]["oidc"].as_object();
    providers
        .into_iter()
        .flatten()
        .filter(|(_, configuration)| configuration.is_object())
        .map(|(provider, _)| format!("Fetched short-lived credentials for {provider}\n"))
        .collect()
}

pub(super) fn get_source(url: &str) -> Vec<String> {
    lines(&[&format!("Cloning {url}"), &format!("Successfully cloned: {url}")])
}

pub(super) fn dependencies(is_cached: bool) -> Vec<String> {
    if is_cached {
        return lines(&["Restored dependencies from the cache", "", "up to date, audited 164 packages in 1s"]);
    }
    lines(&["", "added 163 packages, and audited 164 packages in 12s", "", "found 0 vulnerabilities"])
}

/// What a pre-run command prints: the simulator knows `echo` and `printenv`, and expands variables as a shell does.
pub(super) fn command(command: &str, environment: &Environment) -> Vec<String> {
    let mut printed = vec![format!("+ {command}\n")];
    for part in command.split("&&").flat_map(|part| part.split(';')) {
        let part = part.trim();
        // Its output goes to a file.
        if part.contains('>') {
            continue;
        }
        if let Some(arguments) = part.strip_prefix("echo ") {
            let text = arguments.trim().trim_matches(['"', '\'']);
            printed.push(format!("{}\n", expanded(text, environment)));
        } else if let Some(name) = part.strip_prefix("printenv ") {
            printed.extend(echo(name, environment));
        }
    }
    printed
}

/// The exit code of a command that fails for sure: `false`, or an `exit` with a number other than 0.
pub(super) fn exit_code(command: &str) -> Option<u32> {
    if command.trim() == "false" {
        return Some(1);
    }
    let words: Vec<&str> = command
        .split(|c: char| c.is_whitespace() || matches!(c, ';' | '&' | '|' | '(' | ')' | '"' | '\''))
        .filter(|word| !word.is_empty())
        .collect();
    words.windows(2).filter(|pair| pair[0] == "exit").find_map(|pair| pair[1].parse().ok().filter(|code| *code != 0))
}

/// What the program prints, as its environment tells.
pub(super) fn program(environment: &Environment) -> Vec<String> {
    let variable = |name: &str| environment.get(name).map(|(value, _)| value.as_str());
    let mut printed = variable(ECHO).map(|names| echo(names, environment)).unwrap_or_default();
    let extra = variable(LOG_LINES).and_then(|number| number.parse::<usize>().ok()).unwrap_or(0);
    printed.extend((1..=extra).map(|number| format!("line {number}\n")));
    printed
}

/// The values of the named variables, as a careless program prints them.
fn echo(names: &str, environment: &Environment) -> Vec<String> {
    names.split(',').filter_map(|name| environment.get(name.trim())).map(|(value, _)| format!("{value}\n")).collect()
}

fn expanded(text: &str, environment: &Environment) -> String {
    let mut result = String::new();
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        result.push_str(&rest[..dollar]);
        rest = &rest[dollar + 1..];
        let braced = rest.strip_prefix('{').and_then(|braced| braced.split_once('}'));
        let (name, after) = braced.unwrap_or_else(|| {
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            rest.split_at(end.unwrap_or(rest.len()))
        });
        if let Some((value, _)) = environment.get(name) {
            result.push_str(value);
        }
        rest = after;
    }
    result.push_str(rest);
    result
}

/// What the operation changes on a stack of `current` resources with a program of `wanted`, and what is left then.
/// Drift shows in one of the resources.
pub(super) fn changes(
    operation: Operation,
    current: u64,
    wanted: u64,
    drifted: bool,
) -> (BTreeMap<&'static str, u64>, u64) {
    let kept = current.min(wanted);
    let sees_drift = !matches!(operation, Operation::Preview | Operation::Destroy);
    let updated = u64::from(drifted && sees_drift);
    let (counts, resources) = match operation {
        Operation::Update | Operation::Preview | Operation::RemediateDrift => {
            ([("create", wanted - kept), ("delete", current - kept), ("same", kept.saturating_sub(updated))], wanted)
        }
        Operation::Destroy => ([("create", 0), ("delete", current), ("same", 0)], 0),
        Operation::Refresh | Operation::DetectDrift => {
            ([("create", 0), ("delete", 0), ("same", current.saturating_sub(updated))], current)
        }
    };
    let changes = counts.into_iter().chain([("update", updated)]).filter(|(_, count)| *count > 0).collect();
    let resources = if operation.only_looks() { current } else { resources };
    (changes, resources)
}

pub(super) struct PulumiRun<'a> {
    pub(super) operation: Operation,
    pub(super) stack: &'a StackName,
    pub(super) changes: &'a BTreeMap<&'static str, u64>,
    pub(super) url: &'a str,
    /// What the program prints.
    pub(super) printed: Vec<String>,
}

pub(super) fn pulumi(run: &PulumiRun<'_>) -> Vec<String> {
    let (verb, resource_verb) = match run.operation {
        Operation::Update | Operation::RemediateDrift => ("Updating", "created"),
        Operation::Preview => ("Previewing update", "create"),
        Operation::Destroy => ("Destroying", "deleted"),
        Operation::Refresh => ("Refreshing", "refreshed"),
        Operation::DetectDrift => ("Previewing refresh", "refresh"),
    };
    let StackName { organization, project, stack } = run.stack;
    let mut printed = lines(&[
        &format!("{verb} ({organization}/{stack})"),
        "",
        &format!("View Live: {}", run.url),
        "",
        &format!("    pulumi:pulumi:Stack {project}-{stack} running"),
    ]);
    let touched: u64 = run.changes.values().sum();
    for number in 1..touched.min(20) {
        printed.push(format!("    random:index:RandomId resource-{number} {resource_verb}\n"));
    }
    if !run.printed.is_empty() {
        printed.extend(lines(&["Diagnostics:", &format!("  pulumi:pulumi:Stack ({project}-{stack}):")]));
        printed.extend(run.printed.iter().map(|line| format!("    {line}")));
    }
    printed.extend(lines(&["", "Resources:"]));
    for (change, count) in run.changes {
        let text = match *change {
            "create" => format!("    + {count} created"),
            "delete" => format!("    - {count} deleted"),
            "update" => format!("    ~ {count} updated"),
            _ => format!("    {count} unchanged"),
        };
        printed.push(format!("{text}\n"));
    }
    printed.extend(lines(&["", "Duration: 12s"]));
    printed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failing_commands_are_known() {
        assert_eq!(exit_code("exit 1"), Some(1));
        assert_eq!(exit_code("false"), Some(1));
        assert_eq!(exit_code("test -f x || exit 3"), Some(3));
        assert_eq!(exit_code("sh -c 'exit 7'"), Some(7));
        assert_eq!(exit_code("exit 0"), None);
        assert_eq!(exit_code("echo false"), None);
        assert_eq!(exit_code("npm run exit1"), None);
    }

    #[test]
    fn commands_print_variables() {
        let environment = Environment::from([("PW".to_owned(), ("hunter2".to_owned(), true))]);
        let printed = command("echo \"it is $PW, ${PW}!\" && echo $NONE", &environment);
        assert_eq!(printed[1..], ["it is hunter2, hunter2!\n", "\n"]);
        assert_eq!(command("echo HELLO=world >PULUMI_ENV", &environment).len(), 1);
    }

    #[test]
    fn changes_follow_the_number_of_resources() {
        let (changes, resources) = super::changes(Operation::Update, 0, 4, false);
        assert_eq!((changes, resources), (BTreeMap::from([("create", 4)]), 4));
        let (changes, resources) = super::changes(Operation::Preview, 4, 2, true);
        assert_eq!((changes, resources), (BTreeMap::from([("delete", 2), ("same", 2)]), 4));
        let (changes, resources) = super::changes(Operation::Destroy, 4, 4, true);
        assert_eq!((changes, resources), (BTreeMap::from([("delete", 4)]), 0));
        let (changes, resources) = super::changes(Operation::DetectDrift, 4, 4, true);
        assert_eq!((changes, resources), (BTreeMap::from([("same", 3), ("update", 1)]), 4));
    }
}
