//! The paths: those of the API's GA page, and what takes their place in the other dialect.

use reqwest::Url;

use super::{Class, Dialect, Error};
use crate::pulumi::stack::StackId;

/// A path: segments that are not yet encoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Route(Vec<String>);

impl Route {
    /// `/api/user`
    pub(super) fn user() -> Self {
        Self(vec!["api".into(), "user".into()])
    }

    /// `/api/user/organizations/default`
    pub(super) fn default_organization() -> Self {
        Self::user().then(&["organizations", "default"])
    }

    /// `/api/oauth/token`
    pub(super) fn token() -> Self {
        Self(vec!["api".into(), "oauth".into(), "token".into()])
    }

    /// `/api/stacks/{organization}/{project}`
    pub(super) fn project(organization: &str, project: &str) -> Self {
        Self(vec!["api".into(), "stacks".into(), organization.into(), project.into()])
    }

    /// `/api/stacks/{organization}/{project}/{stack}`
    pub(super) fn stack(stack: &StackId) -> Self {
        Self::project(&stack.organization, &stack.project).then(&[&stack.stack])
    }

    /// `…/deployments`, below a stack or an organization.
    pub(super) fn deployments(self) -> Self {
        self.then(&["deployments"])
    }

    /// `/api/stacks/{organization}/{project}/{stack}/deployments/settings`
    pub(super) fn settings(stack: &StackId) -> Self {
        Self::stack(stack).deployments().then(&["settings"])
    }

    /// `/api/stacks/{organization}/{project}/{stack}/deployments/{id}`
    pub(super) fn deployment(stack: &StackId, id: &str) -> Self {
        Self::stack(stack).deployments().then(&[id])
    }

    /// `/api/orgs/{organization}`
    pub(super) fn organization(organization: &str) -> Self {
        Self(vec!["api".into(), "orgs".into(), organization.into()])
    }

    /// `/api/orgs/{organization}/agent-pools`
    pub(super) fn agent_pools(organization: &str) -> Self {
        Self::organization(organization).then(&["agent-pools"])
    }

    /// `/api/stacks/{organization}/{project}/{stack}/drift/…`
    pub(super) fn drift(stack: &StackId, rest: &[&str]) -> Self {
        Self::stack(stack).then(&["drift"]).then(rest)
    }

    /// `/api/stacks/{organization}/{project}/{stack}/updates/…`
    pub(super) fn stack_update(stack: &StackId, rest: &[&str]) -> Self {
        Self::stack(stack).then(&["updates"]).then(rest)
    }

    /// Goes further down.
    pub(super) fn then(mut self, segments: &[&str]) -> Self {
        self.0.extend(segments.iter().map(|&segment| segment.to_owned()));
        self
    }

    /// The segments in a dialect; or what it lacks.
    fn segments(&self, dialect: Dialect) -> Result<Vec<&str>, &'static str> {
        let segments: Vec<&str> = self.0.iter().map(String::as_str).collect();
        match dialect {
            Dialect::Stacks => Ok(segments),
            Dialect::Preview => preview(segments),
        }
    }

    /// The URL below a backend, every segment percent-encoded. A name that a URL can't carry unchanged is refused:
    /// `.` and `..` would be normalized away and address something else.
    pub(super) fn url(&self, backend: &Url, dialect: Dialect, operation: &'static str) -> Result<Url, Error> {
        let segments = self.segments(dialect).map_err(|what| Error::lacking(operation, what))?;
        let unusable = |segment: &str| {
            Error::local(Class::Invalid, operation, format!("the name {segment:?} can't be part of a URL"))
        };
        let mut url = backend.clone();
        for segment in segments {
            if matches!(segment, "" | "." | "..") || segment.contains(char::is_control) {
                return Err(unusable(segment));
            }
            url.path_segments_mut().map_err(|()| unusable(segment))?.pop_if_empty().push(segment);
        }
        Ok(url)
    }
}

/// What the preview routes have in the place of a path of the GA page; or what they lack. Accounts, stacks and their
/// updates are not theirs and stay where they are.
fn preview(path: Vec<&str>) -> Result<Vec<&str>, &'static str> {
    if let ["api", "orgs", _, rest @ ..] = path.as_slice() {
        return Err(match rest {
            ["agent-pools", ..] => "agent pools",
            [_, "pause" | "resume"] => "pausing",
            [_, "metadata"] => "metadata of an organization",
            [_, "summary" | "usagereport"] => "reports of an organization's usage",
            _ => "a list of an organization's deployments",
        });
    }
    let ["api", "stacks", organization, project, stack, rest @ ..] = path.as_slice() else { return Ok(path) };
    let rest: &[&str] = match rest {
        ["drift", ..] => return Err("drift detection"),
        ["deployments", "settings"] => &["deployment", "settings"],
        ["deployments", "settings", ..] => return Err("encryption of a value"),
        ["deployments", "schedules" | "drift" | "ttl", ..] => return Err("schedules"),
        ["deployments", "pause" | "resume"] => return Err("pausing"),
        ["deployments", "metadata"] => return Err("metadata of a stack"),
        ["deployments", "cache"] => return Err("a cache"),
        ["deployments", _, "updates"] => return Err("a list of a deployment's updates"),
        ["deployments", ..] => rest,
        _ => return Ok(path),
    };
    let base = ["api", "preview", organization, project, stack];
    Ok(base.into_iter().chain(rest.iter().copied()).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn path(backend: &str, route: &Route) -> String {
        route.url(&Url::parse(backend).unwrap(), Dialect::Stacks, "Test").unwrap().as_str().to_owned()
    }

    fn in_preview(path: &str) -> Result<String, String> {
        let route = Route(path.split('/').map(str::to_owned).collect());
        let url = route.url(&Url::parse("https://h").unwrap(), Dialect::Preview, "Test");
        url.map(|url| url.path()[1..].to_owned()).map_err(|error| {
            assert_eq!(error.class(), Class::Unsupported);
            error.to_string()
        })
    }

    #[rstest]
    #[case::create_and_list("api/stacks/o/p/s/deployments", "api/preview/o/p/s/deployments")]
    #[case::get("api/stacks/o/p/s/deployments/1-2", "api/preview/o/p/s/deployments/1-2")]
    #[case::by_version("api/stacks/o/p/s/deployments/version/7", "api/preview/o/p/s/deployments/version/7")]
    #[case::logs("api/stacks/o/p/s/deployments/1-2/logs", "api/preview/o/p/s/deployments/1-2/logs")]
    #[case::cancel("api/stacks/o/p/s/deployments/1-2/cancel", "api/preview/o/p/s/deployments/1-2/cancel")]
    #[case::settings("api/stacks/o/p/s/deployments/settings", "api/preview/o/p/s/deployment/settings")]
    #[case::user("api/user", "api/user")]
    #[case::project("api/stacks/o/p", "api/stacks/o/p")]
    #[case::stack("api/stacks/o/p/s", "api/stacks/o/p/s")]
    #[case::update("api/stacks/o/p/s/updates/latest", "api/stacks/o/p/s/updates/latest")]
    #[case::odd_names(
        "api/stacks/deployments/drift/settings/deployments",
        "api/preview/deployments/drift/settings/deployments"
    )]
    fn preview_paths(#[case] stacks: &str, #[case] preview: &str) {
        assert_eq!(in_preview(stacks), Ok(preview.to_owned()));
    }

    #[rstest]
    #[case("api/orgs/o/deployments", "a list of an organization's deployments")]
    #[case("api/orgs/o/deployments/metadata", "metadata of an organization")]
    #[case("api/orgs/o/deployments/pause", "pausing")]
    #[case("api/orgs/o/deployments/resume", "pausing")]
    #[case("api/orgs/o/deployments/summary", "reports of an organization's usage")]
    #[case("api/orgs/o/deployments/usagereport", "reports of an organization's usage")]
    #[case("api/orgs/o/agent-pools", "agent pools")]
    #[case("api/orgs/o/agent-pools/1", "agent pools")]
    #[case("api/stacks/o/p/s/deployments/pause", "pausing")]
    #[case("api/stacks/o/p/s/deployments/resume", "pausing")]
    #[case("api/stacks/o/p/s/deployments/metadata", "metadata of a stack")]
    #[case("api/stacks/o/p/s/deployments/cache", "a cache")]
    #[case("api/stacks/o/p/s/deployments/settings/encrypt", "encryption of a value")]
    #[case("api/stacks/o/p/s/deployments/1-2/updates", "a list of a deployment's updates")]
    #[case("api/stacks/o/p/s/deployments/schedules", "schedules")]
    #[case("api/stacks/o/p/s/deployments/schedules/1/pause", "schedules")]
    #[case("api/stacks/o/p/s/deployments/drift/schedules", "schedules")]
    #[case("api/stacks/o/p/s/deployments/ttl/schedules/1", "schedules")]
    #[case("api/stacks/o/p/s/drift/runs", "drift detection")]
    #[case("api/stacks/o/p/s/drift/status", "drift detection")]
    fn what_the_preview_routes_lack(#[case] stacks: &str, #[case] what: &str) {
        assert_eq!(in_preview(stacks), Err(format!("Test: this backend's preview API lacks {what}")));
    }

    fn stack(stack: &str) -> StackId {
        StackId { organization: "acme".into(), project: "web".into(), stack: stack.into() }
    }

    #[test]
    fn paths_of_the_documented_page() {
        let backend = "https://api.pulumi.com";
        assert_eq!(
            path(backend, &Route::settings(&stack("dev"))),
            "https://api.pulumi.com/api/stacks/acme/web/dev/deployments/settings"
        );
        assert_eq!(
            path(backend, &Route::organization("acme").deployments()),
            "https://api.pulumi.com/api/orgs/acme/deployments"
        );
        assert_eq!(path("https://example.com/pulumi/", &Route::user()), "https://example.com/pulumi/api/user");
    }

    #[rstest]
    #[case("a/b", "a%2Fb")]
    #[case("a b", "a%20b")]
    #[case("a?b#c", "a%3Fb%23c")]
    #[case("%2e%2e", "%252e%252e")]
    #[case("ü", "%C3%BC")]
    #[case("...", "...")]
    #[case("a\\b", "a%5Cb")]
    fn names_are_encoded(#[case] name: &str, #[case] encoded: &str) {
        assert_eq!(path("https://h", &Route::stack(&stack(name))), format!("https://h/api/stacks/acme/web/{encoded}"));
    }

    #[rstest]
    #[case("")]
    #[case(".")]
    #[case("..")]
    #[case("a\tb")]
    #[case("a\nb")]
    fn names_that_a_url_can_not_carry_are_refused(#[case] name: &str) {
        let error =
            Route::stack(&stack(name)).url(&Url::parse("https://h").unwrap(), Dialect::Stacks, "GetStack").unwrap_err();
        assert_eq!((error.class(), error.operation()), (Class::Invalid, "GetStack"));
    }

    fn decoded(segment: &str) -> String {
        let mut bytes = Vec::new();
        let mut rest = segment.as_bytes();
        while let [first, tail @ ..] = rest {
            if *first == b'%' {
                bytes.push(u8::from_str_radix(std::str::from_utf8(&tail[..2]).unwrap(), 16).unwrap());
                rest = &tail[2..];
            } else {
                bytes.push(*first);
                rest = tail;
            }
        }
        String::from_utf8(bytes).unwrap()
    }

    proptest! {
        #[test]
        fn a_name_arrives_unchanged_or_not_at_all(name in "[.%/\\\\ a-z?#;:@ü\\t]{0,6}") {
            let url = Route::stack(&stack(&name)).url(&Url::parse("https://h").unwrap(), Dialect::Stacks, "Test");
            if let Ok(url) = url {
                let segments: Vec<&str> = url.path_segments().unwrap().collect();
                prop_assert_eq!(&segments[..4], &["api", "stacks", "acme", "web"]);
                prop_assert_eq!(segments.len(), 5);
                prop_assert_eq!(decoded(segments[4]), name);
            }
        }
    }
}
