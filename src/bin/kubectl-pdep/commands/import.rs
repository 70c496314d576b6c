//! `import`: YAML for what is configured today.

use jiff::Timestamp;
use pulumi_deployments_operator::{
    api::{Organization, Time},
    controllers::settings::import::{Imported, import, import_schedules},
};

use super::diff::remote;
use crate::{
    cli::Import,
    cluster::{Cluster, Seen},
    failure::Failure,
    output::{Format, print},
    render::imported::{Manifest, document, hints},
    service::{Service, pulumi_name},
};

pub async fn run(args: &Import, cluster: &Cluster) -> Result<(), Failure> {
    let [wanted, project, stack_name] = &args.stack;
    let organization = find(args, wanted, cluster).await?;
    let service = match &organization {
        Some(organization) => Service::of(cluster, organization).await?,
        None => Service::of_user(wanted)?.ok_or_else(|| {
            Failure::new(format!(
                "no Organization in namespace {} leads to {wanted}; choose another --namespace, or set PULUMI_ACCESS_TOKEN",
                cluster.namespace
            ))
        })?,
    };
    let stack = service.stack(project, stack_name);
    let (configured, _) = remote(&service, &stack).await?;
    let name = args.name.clone().unwrap_or_else(|| resource_name(&format!("{project}-{stack_name}")));
    let secret = args.secret.clone().unwrap_or_else(|| format!("{name}-secrets"));
    let Imported { settings, secrets, mut left_out } = import(&configured, &secret).map_err(|error| {
        Failure::new(format!("the settings of {stack} hold a value that no resource can hold: {error}"))
    })?;
    let mut permit = Service::permit();
    let schedules = match service.client.schedules(&mut permit, &stack).await {
        Ok(remote) => {
            let (schedules, others) = import_schedules(&remote, Time::from(Timestamp::now()));
            left_out.extend(others);
            schedules
        }
        Err(error) => {
            left_out.push(format!("schedules: {}", error.summary()));
            vec![]
        }
    };
    let is_paused = match service.client.stack_metadata(&mut permit, &stack).await {
        Ok(metadata) => metadata.stack_paused,
        Err(error) => {
            left_out.push(format!("paused: {}", error.summary()));
            false
        }
    };
    let manifest = Manifest {
        stack: args.stack.clone(),
        organization: organization.as_ref().map_or_else(|| resource_name(wanted), |seen| seen.name().to_owned()),
        has_organization: organization.is_some(),
        name,
        namespace: cluster.namespace.clone(),
        secret,
        settings,
        schedules,
        is_paused,
        secrets,
        left_out,
    };
    let resource = document(&manifest)
        .map_err(|error| Failure::new(format!("the settings can't be written as a resource: {error}")))?;
    let Some(format) = args.output else {
        print(&hints(&manifest))?;
        return Format::Yaml.print(&resource);
    };
    // Hints are comments, and where they are in the way of a program they go to the person beside it.
    eprint!("{}", hints(&manifest));
    format.print(&resource)
}

/// The Organization resource that leads to the organization; nothing when there is none.
async fn find(args: &Import, wanted: &str, cluster: &Cluster) -> Result<Option<Seen<Organization>>, Failure> {
    if let Some(name) = &args.organization {
        let named = cluster.get::<Organization>(name).await?;
        let leads_to = pulumi_name(&named.typed);
        if leads_to != wanted {
            return Err(Failure::new(format!(
                "organization {name} leads to {leads_to}, not to {wanted}; choose another one"
            )));
        }
        return Ok(Some(named));
    }
    let mut found: Vec<Seen<Organization>> = cluster.list(false).await?;
    found.retain(|seen| pulumi_name(&seen.typed) == wanted);
    if found.len() > 1 {
        let names: Vec<&str> = found.iter().map(Seen::name).collect();
        return Err(Failure::new(format!(
            "several Organizations lead to {wanted}: {}; choose one with --organization",
            names.join(", ")
        )));
    }
    Ok(found.pop())
}

/// A name as Kubernetes takes it.
fn resource_name(text: &str) -> String {
    let allowed = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    text.chars().map(allowed).collect::<String>().trim_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_kubernetes() {
        assert_eq!(resource_name("Web_Shop.v2-prod_"), "web-shop-v2-prod");
    }
}
