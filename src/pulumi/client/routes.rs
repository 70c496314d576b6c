//! The paths of the API's GA page. A dialect with other paths (the deprecated preview routes) would go in here.

use reqwest::Url;

use super::{Class, Error};
use crate::pulumi::stack::StackId;

/// A path: segments that are not yet encoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Route(Vec<String>);

impl Route {
    /// `/api/user`
    pub(super) fn user() -> Self {
        Self(vec!["api".into(), "user".into()])
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

    /// Goes further down.
    pub(super) fn then(mut self, segments: &[&str]) -> Self {
        self.0.extend(segments.iter().map(|&segment| segment.to_owned()));
        self
    }

    /// The URL below a backend, every segment percent-encoded. A name that a URL can't carry unchanged is refused:
    /// `.` and `..` would be normalized away and address something else.
    pub(super) fn url(&self, backend: &Url, operation: &'static str) -> Result<Url, Error> {
        let unusable = |segment: &str| {
            Error::local(Class::Invalid, operation, format!("the name {segment:?} can't be part of a URL"))
        };
        let mut url = backend.clone();
        for segment in &self.0 {
            if matches!(segment.as_str(), "" | "." | "..") || segment.contains(char::is_control) {
                return Err(unusable(segment));
            }
            url.path_segments_mut().map_err(|()| unusable(segment))?.pop_if_empty().push(segment);
        }
        Ok(url)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn path(backend: &str, route: &Route) -> String {
        route.url(&Url::parse(backend).unwrap(), "Test").unwrap().as_str().to_owned()
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
        let error = Route::stack(&stack(name)).url(&Url::parse("https://h").unwrap(), "GetStack").unwrap_err();
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
            if let Ok(url) = Route::stack(&stack(&name)).url(&Url::parse("https://h").unwrap(), "Test") {
                let segments: Vec<&str> = url.path_segments().unwrap().collect();
                prop_assert_eq!(&segments[..4], &["api", "stacks", "acme", "web"]);
                prop_assert_eq!(segments.len(), 5);
                prop_assert_eq!(decoded(segments[4]), name);
            }
        }
    }
}
