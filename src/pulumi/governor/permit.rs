//! The proof that a call may be made.

use std::fmt;
use std::sync::Arc;

use super::gate::Gate;
use super::{CallClass, Governor};
use crate::pulumi::error::{Class, Error};

/// A number of requests that may be made now. What is not used goes back when it is dropped.
pub struct Permit {
    left: u32,
    /// Nobody: there is no limit.
    lender: Option<(Arc<Governor>, CallClass)>,
}

impl Permit {
    pub(super) fn new(lender: Arc<Governor>, class: CallClass, units: u32) -> Self {
        Self { left: units, lender: Some((lender, class)) }
    }

    /// A permit without limit that also ignores a closed gate: for tools and tests, and to find out whether a
    /// rejected token is accepted again.
    #[must_use]
    pub fn unlimited() -> Self {
        Self { left: u32::MAX, lender: None }
    }

    /// How many requests it is still good for.
    #[must_use]
    pub fn remaining(&self) -> u32 {
        self.left
    }

    /// Uses one unit up. The client does it for every request it sends.
    ///
    /// # Errors
    ///
    /// [`Class::NotSent`] when none is left. While the gate is closed nothing may be sent whatever is left:
    /// [`Class::Throttled`] with the time to wait, or [`Class::Unauthorized`]. The unit is kept then.
    pub fn spend(&mut self) -> Result<(), Error> {
        let Some((governor, class)) = &self.lender else { return Ok(()) };
        if self.left == 0 {
            return Err(Error::local(Class::NotSent, "Permit", "the call's budget is spent"));
        }
        match governor.spend() {
            Ok(()) => {
                self.left -= 1;
                governor.meter().spent(*class);
                Ok(())
            }
            Err(Gate::Throttled { remaining }) => Err(Error::local(
                Class::Throttled,
                "Permit",
                format!("held back for {} s: Pulumi Cloud asked for a pause", remaining.as_secs() + 1),
            )
            .not_before(remaining)),
            Err(Gate::Rejected | Gate::Open) => Err(Error::local(
                Class::Unauthorized,
                "Permit",
                "held back: Pulumi Cloud has rejected the access token",
            )),
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some((governor, _)) = &self.lender
            && self.left > 0
        {
            governor.give_back(self.left);
        }
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.lender {
            Some((_, class)) => write!(out, "Permit({} {})", self.left, class.as_str()),
            None => out.write_str("Permit(unlimited)"),
        }
    }
}
