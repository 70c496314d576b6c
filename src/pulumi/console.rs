//! Where a person finds things in the Pulumi console. Pure.

use reqwest::Url;

use super::stack::StackId;

/// A deployment's page. The service tells it only when it creates one; for those that it started by itself it is made up
/// as the service's own clients do: the console of `api.example.com` is `app.example.com`. Another host's is not known.
#[must_use]
pub fn deployment_url(backend: &Url, stack: &StackId, version: u64) -> Option<String> {
    let mut url = page(backend, stack)?;
    url.path_segments_mut().ok()?.push(&version.to_string());
    Some(url.into())
}

/// The page of a stack's deployments, where the backend's console is known.
#[must_use]
pub fn deployments_url(backend: &str, stack: &StackId) -> Option<String> {
    page(&Url::parse(backend).ok()?, stack).map(Into::into)
}

fn page(backend: &Url, stack: &StackId) -> Option<Url> {
    let domain = backend.host_str()?.strip_prefix("api.")?;
    let mut url = Url::parse(&format!("https://app.{domain}")).ok()?;
    let StackId { organization, project, stack } = stack;
    url.path_segments_mut().ok()?.pop_if_empty().extend([organization.as_str(), project, stack, "deployments"]);
    Some(url)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("https://api.pulumi.com", Some("https://app.pulumi.com/acme/web%20shop/prod/deployments/7"))]
    #[case(
        "https://api.pulumi.example.com/base",
        Some("https://app.pulumi.example.com/acme/web%20shop/prod/deployments/7")
    )]
    #[case("https://pulumi.example.com", None)]
    #[case("http://127.0.0.1:8080", None)]
    fn pages(#[case] backend: &str, #[case] expected: Option<&str>) {
        let stack = StackId { organization: "acme".into(), project: "web shop".into(), stack: "prod".into() };
        assert_eq!(deployment_url(&Url::parse(backend).unwrap(), &stack, 7).as_deref(), expected);
        let of_the_stack = expected.and_then(|url| url.strip_suffix("/7"));
        assert_eq!(deployments_url(backend, &stack).as_deref(), of_the_stack);
    }
}
