//! How much an organization's deployments have used.

use jiff::Timestamp;

use super::routes::Route;
use super::transport::Call;
use super::{Client, Error};
use crate::pulumi::governor::Permit;
use crate::pulumi::wire::{UsageRecord, UsageSummary};

/// How long the periods of a summary are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Granularity {
    /// Years.
    Yearly,
    /// Months.
    Monthly,
    /// Weeks.
    Weekly,
    /// Days.
    Daily,
    /// Hours; of the last two days at most.
    Hourly,
}

impl Granularity {
    fn as_str(self) -> &'static str {
        match self {
            Self::Yearly => "yearly",
            Self::Monthly => "monthly",
            Self::Weekly => "weekly",
            Self::Daily => "daily",
            Self::Hourly => "hourly",
        }
    }
}

/// How far back a summary goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lookback {
    /// This many days: 1 or more.
    Days(u32),
    /// To this time, within the last year.
    Since(Timestamp),
}

impl Client {
    /// `GetDeploymentsSummary`: what the organization's deployments used, by period. None: nothing is known of that
    /// time.
    pub async fn deployments_summary(
        &self,
        permit: &mut Permit,
        organization: &str,
        granularity: Granularity,
        lookback: Lookback,
    ) -> Result<Option<UsageSummary>, Error> {
        let lookback = match lookback {
            Lookback::Days(days) => ("lookbackDays", days.to_string()),
            Lookback::Since(time) => ("lookbackStart", time.as_second().to_string()),
        };
        let route = Route::organization(organization).deployments().then(&["summary"]);
        let query = vec![("granularity", granularity.as_str().to_owned()), lookback];
        self.transport.fetch_if_any(permit, Call { query, ..Call::get("GetDeploymentsSummary", route) }).await
    }

    /// `GetUsageReport`: records of what deployments used in the last days, of a server that is not Pulumi's own.
    pub async fn usage_report(
        &self,
        permit: &mut Permit,
        organization: &str,
        lookback_days: Option<u32>,
    ) -> Result<Vec<UsageRecord>, Error> {
        let query = lookback_days.map(|days| ("lookbackDays", days.to_string())).into_iter().collect();
        let route = Route::organization(organization).deployments().then(&["usagereport"]);
        self.transport.fetch(permit, Call { query, ..Call::get("GetUsageReport", route) }).await
    }
}
