//! Settings and their drift, the drift of stacks, and access tokens that are exchanged.

use prometheus_client::registry::Registry;

use super::{
    Counters, counters,
    labels::{CAUSE, CAUSES, DRIFTERS, OF, OUTCOME, OUTCOMES},
};
use crate::{
    api::{
        DeploymentStatus, StackDeploymentSettingsStatus,
        condition::{find, types},
        schedule::DriftResult,
    },
    controllers::{deployment::drift_remains, settings::Reason},
};

/// Settings, drift, access tokens.
pub struct Convergence {
    pushes: Counters<1>,
    found: Counters<1>,
    corrected: Counters<1>,
    exchanges: Counters<1>,
}

/// What came of an exchange of tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exchange {
    /// There is an access token.
    Succeeded,
    /// It was refused: somebody has to do something.
    Refused,
    /// It did not come about.
    Failed,
}

impl Convergence {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let of = || DRIFTERS.map(|what| [(OF, what)]);
        Self {
            pushes: counters(
                registry,
                "settings_pushes",
                "Pushes of a stack's settings: because they are declared so, or to correct drift",
                CAUSES.map(|cause| [(CAUSE, cause)]),
            ),
            found: counters(
                registry,
                "drift_found",
                "Drift that was found: of settings (something else had changed them), or of a stack (a search for \
                 drift had a finding)",
                of(),
            ),
            corrected: counters(
                registry,
                "drift_corrected",
                "Drift that was corrected: settings were pushed again, a stack was remediated",
                of(),
            ),
            exchanges: counters(
                registry,
                "token_exchanges",
                "Exchanges of a ServiceAccount's identity for an access token: `refused` by the service or by \
                 Kubernetes, or `failed` in a way that may pass",
                OUTCOMES.map(|outcome| [(OUTCOME, outcome)]),
            ),
        }
    }

    /// Counts an exchange of tokens.
    pub fn exchanged(&self, exchange: Exchange) {
        let [succeeded, refused, failed] = OUTCOMES;
        let outcome = match exchange {
            Exchange::Succeeded => succeeded,
            Exchange::Refused => refused,
            Exchange::Failed => failed,
        };
        self.exchanges.get_or_create(&[(OUTCOME, outcome)]).inc();
    }

    /// Counts a push of settings.
    pub fn settings_pushed(&self, corrects: bool) {
        let [declared, drift] = CAUSES;
        self.pushes.get_or_create(&[(CAUSE, if corrects { drift } else { declared })]).inc();
        let [settings, _] = DRIFTERS;
        self.drift(settings, corrects, corrects);
    }

    /// Counts the drift that the status of some settings tells of, which was just written, and the one before it did not.
    pub fn settings_told(&self, before: &StackDeploymentSettingsStatus, now: &StackDeploymentSettingsStatus) {
        let [settings, stack] = DRIFTERS;
        let is_contested = |status: &StackDeploymentSettingsStatus| {
            let contested = format!("{:?}", Reason::Contested);
            find(&status.conditions, types::READY).is_some_and(|ready| ready.reason == contested)
        };
        self.drift(settings, is_contested(now) && !is_contested(before), false);
        let Some(drift) = &now.drift else { return };
        let known = before.drift.as_ref().filter(|known| known.run == drift.run).map(|known| known.result);
        let turned =
            |ends: &[DriftResult]| ends.contains(&drift.result) && known.is_none_or(|known| !ends.contains(&known));
        self.drift(stack, turned(&[DriftResult::Drifted, DriftResult::Remediated]), turned(&[DriftResult::Remediated]));
    }

    /// The same for a Deployment that looked for drift, or dealt with it.
    pub fn deployment_told(&self, before: &DeploymentStatus, now: &DeploymentStatus) {
        let [_, stack] = DRIFTERS;
        let (Some(drift), Some(run)) = (&now.drift, &now.run) else { return };
        if before.drift.as_ref().is_some_and(|known| known.seen_at == drift.seen_at && known.run == drift.run) {
            return;
        }
        // What a remediation dealt with had been found before, by the run of that version.
        let found = drift.detected && drift.version.is_none_or(|version| version == run.version);
        self.drift(stack, found, drift.detected && !drift_remains(drift));
    }

    fn drift(&self, of: &'static str, found: bool, corrected: bool) {
        if found {
            self.found.get_or_create(&[(OF, of)]).inc();
        }
        if corrected {
            self.corrected.get_or_create(&[(OF, of)]).inc();
        }
    }
}
