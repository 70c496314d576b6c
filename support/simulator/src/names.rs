//! Names of stacks.

use std::fmt;
use std::str::FromStr;

use crate::errors::SimulatorError;

/// The full name of a stack: `organization/project/stack`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct StackName {
    pub(crate) organization: String,
    pub(crate) project: String,
    pub(crate) stack: String,
}

impl FromStr for StackName {
    type Err = SimulatorError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts: Vec<&str> = text.split('/').collect();
        match parts.as_slice() {
            [organization, project, stack] if parts.iter().all(|part| !part.is_empty()) => Ok(Self {
                organization: (*organization).to_owned(),
                project: (*project).to_owned(),
                stack: (*stack).to_owned(),
            }),
            _ => Err(SimulatorError::BadStackName(text.to_owned())),
        }
    }
}

impl fmt::Display for StackName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.organization, self.project, self.stack)
    }
}
