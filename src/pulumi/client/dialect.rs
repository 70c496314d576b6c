//! The two dialects of the API: what differs between them but the paths, which are in `routes`.

use std::borrow::Cow;

use super::Error;
use crate::pulumi::document::Node;

/// Which of its two forms a backend speaks the API in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// The API as it is: `/api/stacks/…` and `/api/orgs/…`.
    #[default]
    Stacks,
    /// The deprecated routes below `/api/preview/…`, of backends that have no others. They run, show, list and cancel
    /// a stack's deployments and keep its settings. All else fails with [`Class::Unsupported`](super::Class), and
    /// nothing is sent.
    Preview,
}

impl Dialect {
    /// Whether deployments can run this operation.
    #[must_use]
    pub fn runs(self, operation: &str) -> bool {
        match self {
            Self::Stacks => true,
            Self::Preview => matches!(operation, "update" | "preview" | "refresh" | "destroy"),
        }
    }

    /// The names of the query parameter by which the log's next part is asked for. The preview page has one that no
    /// real client sends, so both are sent there: with a name that it does not know, a server would begin anew.
    pub(super) fn log_tokens(self) -> &'static [&'static str] {
        match self {
            Self::Stacks => &["continuationToken"],
            Self::Preview => &["continuationToken", "nextToken"],
        }
    }

    /// The body that creates a run, from the one of the GA page.
    ///
    /// In the preview dialect the operation is a part of the operation context, and settings are inherited only when
    /// that is said.
    pub(super) fn creation<'a>(self, call: &'static str, request: &'a Node) -> Result<Cow<'a, Node>, Error> {
        if self == Self::Stacks {
            return Ok(Cow::Borrowed(request));
        }
        let mut body = request.clone();
        if let Some(operation) = body.remove(&["operation"]) {
            match &operation {
                Node::String(name) if !self.runs(name) => {
                    return Err(Error::lacking(call, &format!("the operation {name}")));
                }
                _ => body.insert(&["operationContext", "operation"], operation),
            }
        }
        if body.get(&["inheritSettings"]).is_none() {
            body.insert(&["inheritSettings"], true);
        }
        Ok(Cow::Owned(body))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pulumi::Class;

    fn encoded(node: &Node) -> serde_json::Value {
        serde_json::from_slice(&node.encode().unwrap()).unwrap()
    }

    #[test]
    fn creations_in_both_dialects() {
        let mut request: Node = [("operation", "update")].into_iter().collect();
        request.insert(&["operationContext", "preRunCommands"], Node::Array(vec!["date".into()]));
        let stacks = Dialect::Stacks.creation("CreateDeployment", &request).unwrap();
        assert_eq!(*stacks, request);
        let preview = Dialect::Preview.creation("CreateDeployment", &request).unwrap();
        assert_eq!(
            encoded(&preview),
            serde_json::json!({
                "inheritSettings": true,
                "operationContext": {"operation": "update", "preRunCommands": ["date"]},
            })
        );
        request.insert(&["inheritSettings"], false);
        let preview = Dialect::Preview.creation("CreateDeployment", &request).unwrap();
        assert_eq!(encoded(&preview)["inheritSettings"], false);
    }

    #[test]
    fn the_preview_dialect_knows_no_drift() {
        for operation in ["detect-drift", "remediate-drift"] {
            let request: Node = [("operation", operation)].into_iter().collect();
            let error = Dialect::Preview.creation("CreateDeployment", &request).unwrap_err();
            assert_eq!(error.class(), Class::Unsupported);
            let expected = format!("CreateDeployment: this backend's preview API lacks the operation {operation}");
            assert_eq!(error.to_string(), expected);
            assert!(Dialect::Stacks.runs(operation) && !Dialect::Preview.runs(operation));
        }
    }
}
