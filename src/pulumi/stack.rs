//! The name of a stack.

use std::fmt;

/// The name of a stack in Pulumi Cloud: `organization/project/stack`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StackId {
    /// The organization's name, as in the console's URL.
    pub organization: String,
    /// The project's name.
    pub project: String,
    /// The stack's own name.
    pub stack: String,
}

impl fmt::Display for StackId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}/{}", self.organization, self.project, self.stack)
    }
}
