//! What can be written behind `kubectl pdep`.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

use crate::{
    cluster::{Kind, Target},
    complete,
    output::{Answer, Format},
};

/// Look at and steer Pulumi deployments in this cluster.
#[derive(Debug, Parser)]
#[command(name = "kubectl-pdep", bin_name = "kubectl pdep", version, about, subcommand_required = true)]
#[command(
    after_help = "Exit codes: 0 it worked, 1 it did not, 2 it was written wrongly.\nNO_COLOR=1 turns colours off; they are off as well where output is no terminal."
)]
pub struct Cli {
    /// Which cluster, and where in it.
    #[command(flatten)]
    pub place: Place,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Which cluster, and where in it.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Cluster")]
pub struct Place {
    /// The namespace; default: that of the context
    #[arg(short, long, global = true, value_name = "NAMESPACE")]
    pub namespace: Option<String>,
    /// The context of the kubeconfig; default: its current one
    #[arg(long, global = true, value_name = "CONTEXT")]
    pub context: Option<String>,
    /// The kubeconfig; default: KUBECONFIG, or ~/.kube/config
    #[arg(long, global = true, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show organizations, the settings of their stacks, and the runs of these with their steps
    #[command(
        after_help = "Examples:\n  kubectl pdep status                        everything in this namespace\n  kubectl pdep status web-prod               one Deployment, with all steps of its run\n  kubectl pdep status settings/web-prod      the settings of a stack, and its runs\n  kubectl pdep status -A -w                  everything, drawn anew as it changes\n  kubectl pdep status web-prod -w            until its run has ended; exit code 1 when it did not succeed"
    )]
    Status(Status),
    /// Print the log of a run
    #[command(
        after_help = "Examples:\n  kubectl pdep logs web-prod                 the newest run\n  kubectl pdep logs web-prod -f              while it is written, to its end\n  kubectl pdep logs web-prod --step 4        one step; `status web-prod` shows their numbers\n  kubectl pdep logs web-prod --run 12        the stack's run 12\n\nThe log comes from Pulumi Cloud, with the token in the Organization's Secret if you may read it, or with\nPULUMI_ACCESS_TOKEN (for the backend PULUMI_BACKEND_URL)."
    )]
    Logs(Logs),
    /// Run what a Deployment declares, now
    #[command(
        after_help = "A request that has not run yet is not run twice: the operator is asked to look at it at once, and what it waits\nfor is shown. One that has run is run again, as `rerun` does. While a run is under way, or while the Deployment is\nsuspended, nothing is done: somebody else's freeze is not lifted on the way. Use `resume` first.\n\nExamples:\n  kubectl pdep run web-prod\n  kubectl pdep run web-prod -w               and watch it; exit code 1 when it did not succeed"
    )]
    Run(Run),
    /// Run the request of a Deployment once more
    #[command(
        after_help = "The annotation deployments.pulumi.com/rerun gets a new value, which is a new request. What happens to a run that is\nunder way is spec.supersede of the Deployment.\n\nExamples:\n  kubectl pdep rerun web-prod\n  kubectl pdep rerun web-prod -w             and watch it; exit code 1 when it did not succeed"
    )]
    Rerun(Run),
    /// Cancel the run of a Deployment that is under way
    #[command(
        after_help = "The run is canceled in Pulumi Cloud, as in the Pulumi console. The operator did not decide on it, so the Deployment's\nstatus will show `Failed` (a run that was still queued: reason `RunDisappeared`). With spec.retry such a failure would be\ntried again, so --suspend must be given then. Canceling a run that Pulumi is at work in can leave the stack inconsistent.\n\nExamples:\n  kubectl pdep cancel web-prod\n  kubectl pdep cancel web-prod --yes         without being asked\n  kubectl pdep cancel web-prod --suspend     and start nothing new until `kubectl pdep resume web-prod`"
    )]
    Cancel(Cancel),
    /// Start nothing new: of a Deployment, or of a whole organization
    #[command(
        after_help = "Sets spec.suspend. A run that is under way goes on. A GitOps tool that owns the field sets it back.\n\nExamples:\n  kubectl pdep suspend web-prod              a Deployment\n  kubectl pdep suspend organization/acme     the operator writes nothing remotely for anything that uses it"
    )]
    Suspend(Named),
    /// Take back what `suspend` or `pause` did
    #[command(
        after_help = "Sets spec.suspend of a Deployment or an Organization, and spec.paused of settings or an Organization, to false where it\nis true.\n\nExamples:\n  kubectl pdep resume web-prod\n  kubectl pdep resume settings/web-prod\n  kubectl pdep resume organization/acme"
    )]
    Resume(Named),
    /// Pause deployments in Pulumi Cloud: of a stack, or of a whole organization
    #[command(
        after_help = "Sets spec.paused to true. Runs are created and wait in the queue, those of others too.\n\nExamples:\n  kubectl pdep pause settings/web-prod       the stack of these settings\n  kubectl pdep pause organization/acme       all stacks; needs an organization admin's token"
    )]
    Pause(Named),
    /// Approve what a Deployment waits to have approved
    #[command(
        after_help = "What is approved is shown first. The approval carries its token, so it holds for nothing else.\n\nExamples:\n  kubectl pdep approve web-prod\n  kubectl pdep approve web-prod --token 4f1c --yes     without being asked; it fails when something else waits by now"
    )]
    Approve(Decide),
    /// Reject what a Deployment waits to have approved
    #[command(
        after_help = "Examples:\n  kubectl pdep reject web-prod\n  kubectl pdep reject web-prod --token 4f1c --yes      without being asked; it fails when something else waits by now"
    )]
    Reject(Decide),
    /// List the runs of a Deployment, the newest first
    #[command(after_help = "Examples:\n  kubectl pdep history web-prod\n  kubectl pdep history web-prod -o yaml")]
    History(History),
    /// Mark the request of a Deployment as handled by a run that there is already
    #[command(
        after_help = "For a Deployment that was restored from a backup without its status, under `suspend`: it would run again.\n\nExamples:\n  kubectl pdep adopt web-prod latest         the newest run of the stack\n  kubectl pdep adopt web-prod 0b1f2c3d-…     the run with this id"
    )]
    Adopt(Adopt),
    /// Show what settings would change in Pulumi Cloud
    #[command(
        after_help = "Compares what a StackDeploymentSettings declares with what is there, by the operator's own rules, and changes nothing.\nSecrets are neither read nor shown; whether one differs can't be seen.\n\nExamples:\n  kubectl pdep diff web-prod\n  kubectl pdep diff web-prod -o json"
    )]
    Diff(Diff),
    /// Print a StackDeploymentSettings for what is configured in Pulumi Cloud today
    #[command(
        after_help = "Applying it changes nothing remotely, apart from sending the secrets once: those can't be read, so the YAML refers to a\nSecret and says which keys must be in it.\n\nExamples:\n  kubectl pdep import acme/web/prod > web-prod.yaml\n  kubectl pdep import acme/web/prod --name web --secret web-credentials | kubectl apply -f -"
    )]
    Import(Import),
    /// Print the completion script for a shell
    #[command(
        after_help = "Examples:\n  source <(kubectl-pdep completion bash)\n  kubectl-pdep completion fish > ~/.config/fish/completions/kubectl-pdep.fish\n\nThe script completes `kubectl-pdep`, the program behind `kubectl pdep`. For `kubectl pdep` itself, kubectl's own completion\nasks a program `kubectl_complete-pdep` on the PATH: a link of that name to kubectl-pdep is enough."
    )]
    Completion {
        /// The shell
        shell: Shell,
    },
}

/// `status`.
#[derive(Debug, Args)]
pub struct Status {
    /// NAME or deployment/NAME, settings/NAME, organization/NAME; default: all
    #[arg(add = complete::targets())]
    pub name: Option<Target>,
    /// All namespaces
    #[arg(short = 'A', long, conflicts_with = "name")]
    pub all_namespaces: bool,
    /// Show it again whenever it changes; of one Deployment: until nothing more happens by itself
    #[arg(short, long, conflicts_with = "output")]
    pub watch: bool,
    /// The resources themselves instead of a picture
    #[arg(short, long, value_enum, value_name = "FORMAT")]
    pub output: Option<Format>,
}

/// `logs`.
#[derive(Debug, Args)]
pub struct Logs {
    /// The Deployment
    #[arg(add = complete::names(Kind::Deployment))]
    pub name: String,
    /// Go on while the log is written, to its end
    #[arg(short, long)]
    pub follow: bool,
    /// Only this step, counted from 1
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub step: Option<u32>,
    /// The stack's run of this number; default: the Deployment's newest
    #[arg(long, value_name = "VERSION")]
    pub run: Option<u64>,
}

/// `run` and `rerun`.
#[derive(Debug, Args)]
pub struct Run {
    /// The Deployment
    #[arg(add = complete::names(Kind::Deployment))]
    pub name: String,
    /// Watch it until nothing more happens by itself
    #[arg(short, long, conflicts_with = "output")]
    pub watch: bool,
    /// What it answers
    #[command(flatten)]
    pub answer: Answer,
}

/// `cancel`.
#[derive(Debug, Args)]
pub struct Cancel {
    /// The Deployment
    #[arg(add = complete::names(Kind::Deployment))]
    pub name: String,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
    /// Set spec.suspend first, so that nothing new is started
    #[arg(long)]
    pub suspend: bool,
    /// What it answers
    #[command(flatten)]
    pub answer: Answer,
}

/// `suspend`, `resume` and `pause`.
#[derive(Debug, Args)]
pub struct Named {
    /// NAME, or KIND/NAME where several kinds have it
    #[arg(add = complete::targets())]
    pub name: Target,
    /// What it answers
    #[command(flatten)]
    pub answer: Answer,
}

/// `approve` and `reject`.
#[derive(Debug, Args)]
pub struct Decide {
    /// The Deployment
    #[arg(add = complete::names(Kind::Deployment))]
    pub name: String,
    /// What is decided on, from status.approval.token; default: what waits now
    #[arg(long)]
    pub token: Option<String>,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
    /// What it answers
    #[command(flatten)]
    pub answer: Answer,
}

/// `history`.
#[derive(Debug, Args)]
pub struct History {
    /// The Deployment
    #[arg(add = complete::names(Kind::Deployment))]
    pub name: String,
    /// A form for programs
    #[arg(short, long, value_enum, value_name = "FORMAT")]
    pub output: Option<Format>,
}

/// `diff`.
#[derive(Debug, Args)]
pub struct Diff {
    /// The settings
    #[arg(add = complete::names(Kind::Settings))]
    pub name: String,
    /// A form for programs
    #[arg(short, long, value_enum, value_name = "FORMAT")]
    pub output: Option<Format>,
}

/// `adopt`.
#[derive(Debug, Args)]
pub struct Adopt {
    /// The Deployment
    #[arg(add = complete::names(Kind::Deployment))]
    pub name: String,
    /// `latest`, or the id of the run
    #[arg(value_name = "latest|ID")]
    pub run: String,
    /// What it answers
    #[command(flatten)]
    pub answer: Answer,
}

/// `import`.
#[derive(Debug, Args)]
pub struct Import {
    /// The stack, as ORGANIZATION/PROJECT/STACK in Pulumi Cloud
    #[arg(value_name = "ORG/PROJECT/STACK", value_parser = stack)]
    pub stack: [String; 3],
    /// Name of the resource; default: PROJECT-STACK
    #[arg(long)]
    pub name: Option<String>,
    /// The Organization resource, where several lead to the organization
    #[arg(long, value_name = "NAME", add = complete::names(Kind::Organization))]
    pub organization: Option<String>,
    /// Name of the Secret that the secrets are to be put into; default: the resource's name with -secrets behind it
    #[arg(long, value_name = "NAME")]
    pub secret: Option<String>,
    /// The resource alone; its hints go to standard error. Default: YAML with the hints as comments
    #[arg(short, long, value_enum, value_name = "FORMAT")]
    pub output: Option<Format>,
}

fn stack(written: &str) -> Result<[String; 3], String> {
    let parts: Vec<String> = written.split('/').map(ToOwned::to_owned).collect();
    match <[String; 3]>::try_from(parts) {
        Ok(parts) if parts.iter().all(|part| !part.is_empty()) => Ok(parts),
        _ => Err("write ORGANIZATION/PROJECT/STACK, as Pulumi Cloud names the stack".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_has_examples() {
        for command in Cli::command().get_subcommands() {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("Examples:\n  "), "{}", command.get_name());
        }
    }

    #[test]
    fn a_stack_has_three_names() {
        assert_eq!(stack("acme/web/prod").unwrap(), ["acme", "web", "prod"]);
        assert!(stack("web/prod").is_err() && stack("acme//prod").is_err() && stack("a/b/c/d").is_err());
    }
}
