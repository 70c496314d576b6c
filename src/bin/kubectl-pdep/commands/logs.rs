//! `logs`: what a run has written, from Pulumi Cloud.

use std::time::Duration;

use pulumi_deployments_operator::{
    api::Deployment,
    pulumi::{Class, Error, StackId, StepLogQuery, wire::LogLine},
};

use super::lookup::organization_of;
use crate::{
    cli::Logs,
    cluster::Cluster,
    failure::Failure,
    output::{Paint, print},
    service::Service,
};

/// How often a log is asked for more while there is nothing new.
const PACE: Duration = Duration::from_secs(1);

/// How many lines of a step are asked for at once: as many as there can be.
const PAGE: u32 = 499;

pub async fn run(args: &Logs, cluster: &Cluster) -> Result<(), Failure> {
    let name = &args.name;
    let deployment = cluster.get::<Deployment>(name).await?;
    let Some(run) = deployment.typed.status.clone().and_then(|status| status.run) else {
        return Err(Failure::new(format!(
            "deployment {name} has no run yet; `kubectl pdep status {name}` says what it waits for"
        )));
    };
    let organization = organization_of(cluster, &deployment).await?;
    let service = Service::of(cluster, &organization).await?;
    let stack = service.stack_of(&run.target)?;
    let version = args.run.unwrap_or(run.version);
    let (id, steps): (String, Vec<String>) = if version == run.version {
        (run.id, run.jobs.into_iter().flat_map(|job| job.steps).map(|step| step.name).collect())
    } else {
        let found = service.client.deployment_by_version(&mut Service::permit(), &stack, version).await;
        let found = found.map_err(|error| service.failure(&error))?;
        (found.id, found.jobs.into_iter().flat_map(|job| job.steps).map(|step| step.name).collect())
    };
    let reader = Reader { service: &service, stack, id, follow: args.follow, paint: Paint::of_stdout() };
    match args.step {
        None => reader.all().await,
        Some(number) => reader.step(number, step_name(&steps, number, version)?).await,
    }
}

/// The name of a step, counted from 1.
fn step_name(steps: &[String], number: u32, version: u64) -> Result<&str, Failure> {
    let name = usize::try_from(number).ok().and_then(|number| steps.get(number.checked_sub(1)?));
    name.map(String::as_str).ok_or_else(|| {
        Failure::new(match steps.len() {
            0 => format!("run {version} has not begun, so it has no steps yet"),
            count => format!("run {version} has the steps 1 to {count}: {}", steps.join(", ")),
        })
    })
}

struct Reader<'a> {
    service: &'a Service,
    stack: StackId,
    id: String,
    follow: bool,
    paint: Paint,
}

impl Reader<'_> {
    /// The whole log; while it is written, to its end where that is wanted.
    async fn all(&self) -> Result<(), Failure> {
        let (client, mut permit) = (&self.service.client, Service::permit());
        if self.follow {
            let mut log = client.follow_logs(&self.stack, &self.id, PACE);
            while let Some(lines) = log.next(&mut permit).await.map_err(|error| self.service.failure(&error))? {
                self.show(&lines)?;
            }
            return Ok(());
        }
        let mut token: Option<String> = None;
        loop {
            let part = client.logs(&mut permit, &self.stack, &self.id, token.as_deref()).await;
            let part = part.map_err(|error| self.service.failure(&error))?;
            self.show(&part.lines)?;
            // The same token again: that is all for now.
            if part.next_token.is_none() || part.next_token == token || part.lines.is_empty() {
                return Ok(());
            }
            token = part.next_token;
        }
    }

    /// One step's log. The service's documents disagree on whether steps count from 0 or from 1; its answer names the step.
    async fn step(&self, number: u32, name: &str) -> Result<(), Failure> {
        let index = match self.has(number - 1, name).await {
            Ok(true) => number - 1,
            Ok(false) => number,
            Err(error) if matches!(error.class(), Class::Invalid | Class::NotFound) => number,
            Err(error) => return Err(self.service.failure(&error)),
        };
        let (client, mut permit) = (&self.service.client, Service::permit());
        let query = StepLogQuery { job: 0, step: index, offset: 0, count: PAGE };
        if self.follow {
            let mut log = client.follow_step_logs(&self.stack, &self.id, query, PACE);
            while let Some(lines) = log.next(&mut permit).await.map_err(|error| self.service.failure(&error))? {
                self.show(&lines)?;
            }
            return Ok(());
        }
        let mut offset = 0;
        loop {
            let page = client.step_logs(&mut permit, &self.stack, &self.id, StepLogQuery { offset, ..query }).await;
            let page = page.map_err(|error| self.service.failure(&error))?;
            self.show(&page.lines)?;
            match page.next_offset {
                Some(next) if next > offset && !page.lines.is_empty() => offset = next,
                _ => return Ok(()),
            }
        }
    }

    /// Whether the step with this index is the one that is meant.
    async fn has(&self, index: u32, name: &str) -> Result<bool, Error> {
        let query = StepLogQuery { job: 0, step: index, offset: 0, count: 1 };
        let page = self.service.client.step_logs(&mut Service::permit(), &self.stack, &self.id, query).await?;
        Ok(page.name.is_none_or(|there| there.eq_ignore_ascii_case(name)))
    }

    fn show(&self, lines: &[LogLine]) -> Result<(), Failure> {
        print(&lines.iter().map(|line| self.line(line)).collect::<String>())
    }

    fn line(&self, line: &LogLine) -> String {
        match &line.header {
            Some(header) => self.paint.strong(&format!("── {header}")) + "\n",
            None => clean(&self.service.redactor.redact(&line.line), self.paint.is_on()) + "\n",
        }
    }
}

/// Without whatever could move a terminal's cursor; a program's colours are kept where they are wanted.
fn clean(line: &str, keeps_colours: bool) -> String {
    let mut clean = String::with_capacity(line.len());
    let mut rest = line.trim_end_matches(['\r', '\n']).chars().peekable();
    while let Some(c) = rest.next() {
        if c == '\u{1b}' && rest.next_if_eq(&'[').is_some() {
            let mut code = String::new();
            while let Some(digit) = rest.next_if(|c| c.is_ascii_digit() || ";?".contains(*c)) {
                code.push(digit);
            }
            if rest.next() == Some('m') && keeps_colours {
                clean.push_str("\u{1b}[");
                clean.push_str(&code);
                clean.push('m');
            }
        } else if c == '\t' || !c.is_control() {
            clean.push(c);
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_can_colour_a_terminal_and_nothing_else() {
        let coloured = "\u{1b}[1;31mred\u{1b}[0m\tx\r\n";
        assert_eq!(clean(coloured, true), "\u{1b}[1;31mred\u{1b}[0m\tx");
        assert_eq!(clean(coloured, false), "red\tx");
        assert_eq!(clean("\u{1b}[2J\u{1b}[?25lgone\u{7}\u{8}\u{1b}", true), "gone");
    }

    #[test]
    fn steps_count_from_one() {
        let steps = ["Get source".to_owned(), "pulumi update".to_owned()];
        assert_eq!(step_name(&steps, 2, 7).unwrap(), "pulumi update");
        let said = step_name(&steps, 3, 7).unwrap_err().to_string();
        assert_eq!(said, "run 7 has the steps 1 to 2: Get source, pulumi update");
        assert!(step_name(&[], 1, 7).unwrap_err().to_string().contains("not begun"));
    }
}
