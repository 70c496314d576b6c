//! What can go wrong, as one sentence that says what to do.

use std::fmt;

use pulumi_deployments_operator::pulumi::{self, Class};

/// Why a command could not do its work.
#[derive(Debug)]
pub struct Failure(String);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Failure {
    /// A sentence.
    pub fn new(sentence: impl Into<String>) -> Self {
        Self(sentence.into())
    }

    /// What a call of the Kubernetes API came to. `what` was attempted, such as `get secrets in namespace web`.
    pub fn of_cluster(error: &kube::Error, what: &str) -> Self {
        let kube::Error::Api(status) = error else {
            return Self(format!(
                "the cluster can't be reached to {what}: {error}; check --kubeconfig, --context and the network"
            ));
        };
        let said = status.message.lines().next().unwrap_or_default();
        Self(match status.code {
            401 => format!(
                "the cluster does not accept your credentials (to {what}); log in again, or choose another --context"
            ),
            403 => {
                format!("you may not {what}: {said}; ask for that right, or choose another --context or --namespace")
            }
            404 if status.reason != NOT_FOUND => format!(
                "this cluster does not know the resources of the Pulumi Deployments operator (to {what}); install its chart or \
                 its CRDs, or choose another --context"
            ),
            _ => format!("the cluster refused to {what}: {said}"),
        })
    }

    /// What a call of Pulumi Cloud came to. `token` says whose token it carried.
    pub fn of_service(error: &pulumi::Error, token: &str) -> Self {
        let summary = error.summary();
        Self(match error.class() {
            Class::Unauthorized => format!("{summary}; {token} is not accepted: put a valid one there"),
            Class::Forbidden => format!("{summary}; {token} lacks the right: use one that has it"),
            Class::NotFound => format!("{summary}; it is not there, or {token} may not see it"),
            Class::Throttled => format!("{summary}; try again later"),
            Class::Unavailable | Class::NotSent | Class::Ambiguous => {
                format!("{summary}; check the network and try again")
            }
            Class::Invalid | Class::Unsupported => summary,
        })
    }
}

/// The reason of an API server's own answer that an object is not there; a path that it does not know has another.
pub const NOT_FOUND: &str = "NotFound";

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self(format!("the output can't be written: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use kube::core::Status;
    use rstest::rstest;

    use super::*;

    fn answer(code: u16, reason: &str, message: &str) -> kube::Error {
        kube::Error::Api(Box::new(Status { code, ..Status::failure(message, reason) }))
    }

    #[rstest]
    #[case(401, "Unauthorized", "log in again")]
    #[case(403, "Forbidden", "you may not list organizations: no way; ask for that right")]
    #[case(404, "Failed to parse error data", "install its chart or its CRDs")]
    #[case(404, "NotFound", "the cluster refused to list organizations: no way")]
    #[case(422, "Invalid", "the cluster refused to list organizations: no way")]
    fn answers_of_the_cluster(#[case] code: u16, #[case] reason: &str, #[case] expected: &str) {
        let said = Failure::of_cluster(&answer(code, reason, "no way\nand more"), "list organizations").to_string();
        assert!(said.contains(expected), "{said}");
        assert!(!said.contains('\n'), "{said}");
    }
}
