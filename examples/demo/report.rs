//! What is said before and after the runs.

use std::{env, fs, path::Path};

use crate::{
    board::{Board, Declared, Run},
    screen::{colours, say},
    stage::{NAMESPACE, ORGANIZATION, Stage, TOKEN},
    stories::Story,
    table::{self, Cell, Colour},
};

/// Of the operator's log, this much is shown when something went wrong.
const LOG_LINES: usize = 20;

/// Says what is going to be applied.
pub fn stories(stories: &[Story]) {
    say(&format!("\nApplying the stories in examples/, to the namespace {NAMESPACE} unless they name another:"));
    let rows = stories.iter().map(|story| [(&story.file).into(), (&story.about).into()]).collect();
    show(&table::lines(["STORY", ""], rows, colours()));
    say("They are written for Pulumi Cloud: here, spec.backendURL of each Organization is set to the simulated one.");
    say("The Secret with the access token is created last, as by kubectl create secret generic pulumi.");
}

/// Shows how everything ended, and says whether that is as expected. `created` is how many runs Pulumi was asked for.
#[must_use]
pub fn ended(board: &Board, created: usize) -> bool {
    say("");
    let rows = board.runs.iter().map(row).collect();
    let header = ["DEPLOYMENT", "OPERATION", "EXPECTED", "ACTUAL", "STEPS", "VERSION", "DURATION", "MESSAGE"];
    show(&table::lines(header, rows, colours()));
    say("");
    let rows = board.settings.iter().chain(&board.organizations).map(declared).collect();
    show(&table::lines(["SETTINGS AND ORGANIZATIONS", "IN PULUMI CLOUD", "STATE", "MESSAGE"], rows, colours()));
    for run in &board.runs {
        failure(run);
    }
    say("");
    let differences = differences(board, created);
    if differences.is_empty() {
        say(&Colour::Green.paint("Everything ended as expected.", colours()));
    } else {
        say(&Colour::Red.paint("Not everything ended as expected:", colours()));
        for difference in &differences {
            say(&format!("  {difference}"));
        }
    }
    differences.is_empty()
}

/// Says what came of the second apply, and whether that is nothing.
#[must_use]
pub fn once_only(before: usize, after: usize) -> bool {
    let what = "Exactly once: the operator was restarted and the same YAML applied again";
    if before == after {
        say(&format!("{what}; Pulumi was asked for {before} runs before, and for no further one since."));
    } else {
        let line = format!("{what}; Pulumi was asked for {before} runs before, and for {after} now. That is wrong.");
        say(&Colour::Red.paint(&line, colours()));
    }
    before == after
}

/// Shows the end of the operator's log.
pub fn end_of_log(log: &Path) {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    say("\nThe end of the operator's log:");
    for line in &lines[lines.len().saturating_sub(LOG_LINES)..] {
        say(&format!("  {line}"));
    }
}

/// Says what can be done while everything still runs.
pub fn how_to_go_on(stage: &Stage) {
    let kubectl = if on_path("kubectl") { "kubectl".to_owned() } else { stage.cluster.kubectl().display().to_string() };
    let (kubeconfig, url) = (stage.cluster.kubeconfig().display(), stage.simulator.url());
    say(&format!(
        "
Everything keeps running until Ctrl-C. In another terminal:

  export KUBECONFIG={kubeconfig}
  {kubectl} get pulumi -n {NAMESPACE}                # all of it; -o wide has the messages
  {kubectl} describe pdep orders-prod -n {NAMESPACE} # the run that failed, with its events
  # run it once more, and watch
  {kubectl} annotate pdep web-prod deployments.pulumi.com/rerun=1 -n {NAMESPACE} && {kubectl} get pdep web-prod -n {NAMESPACE} -w
  # rotate a secret: it is pushed at once, and starts no run
  {kubectl} patch secret db -n {NAMESPACE} -p '{{\"stringData\":{{\"password\":\"staple-battery-horse\"}}}}'
  curl -s -H 'Authorization: token {TOKEN}' {url}/api/stacks/{ORGANIZATION}/web/prod/deployments/settings
  # delete: the settings are taken back in Pulumi Cloud
  {kubectl} delete pdep,sds web-prod -n {NAMESPACE}
"
    ));
}

fn show(lines: &[String]) {
    for line in lines {
        say(line);
    }
}

fn row(run: &Run) -> [Cell; 8] {
    let colour = if run.is_as_expected() { Colour::Green } else { Colour::Red };
    [
        (&run.name).into(),
        (&run.operation).into(),
        (&run.expected).into(),
        Cell::new(run.word(), colour),
        run.steps.map(|(succeeded, all)| format!("{succeeded}/{all}")).unwrap_or_default().into(),
        run.version.map(|version| version.to_string()).unwrap_or_default().into(),
        run.seconds.map(|seconds| format!("{seconds} s")).unwrap_or_default().into(),
        first_clause(&run.message).into(),
    ]
}

fn declared(declared: &Declared) -> [Cell; 4] {
    let colour = if declared.ready { Colour::Green } else { Colour::Red };
    [
        (&declared.name).into(),
        (&declared.about).into(),
        Cell::new(&declared.reason, colour),
        first_clause(&declared.message).into(),
    ]
}

/// What a person is to do stands behind it, and would make the table too wide.
fn first_clause(message: &str) -> &str {
    message.split("; ").next().unwrap_or_default()
}

fn failure(run: &Run) {
    let Some(failure) = &run.failure else { return };
    let step = failure.step.as_deref().unwrap_or("none");
    say(&format!("\n{} failed at the step {step:?}. The end of its log, from status.run.failure:", run.name));
    for line in &failure.log {
        say(&format!("  | {line}"));
    }
}

fn differences(board: &Board, created: usize) -> Vec<String> {
    let runs = board
        .runs
        .iter()
        .filter(|run| !run.is_as_expected())
        .map(|run| format!("{}: expected {}, is {}: {}", run.name, run.expected, run.word(), run.message));
    let declared = board.settings.iter().chain(&board.organizations).filter(|declared| !declared.ready);
    let declared = declared.map(|declared| format!("{}: {}: {}", declared.name, declared.reason, declared.message));
    let known: usize = board.runs.iter().map(|run| run.attempts).sum();
    let duplicates = (created != known)
        .then(|| format!("the Deployments know of {known} runs, but Pulumi was asked for {created} runs"));
    runs.chain(declared).chain(duplicates).collect()
}

fn on_path(program: &str) -> bool {
    env::var_os("PATH").is_some_and(|path| env::split_paths(&path).any(|dir| dir.join(program).is_file()))
}
