//! How things stand at the moment of a scrape: looked up where it is known anyway, so nothing has to be kept up to date.
//!
//! A look takes no lock for longer than it takes to copy references, and wakes nobody.

use std::{collections::BTreeMap, sync::atomic::AtomicU64, time::Duration};

use prometheus_client::{
    metrics::{family::Family, gauge::Gauge},
    registry::{Registry, Unit},
};

use super::labels::{
    KIND, Labels, OPERATION, PHASE, PURPOSE, READY, REASON, STATE, STATES, VERSION, operations, phases, ready, reason,
};
use crate::{
    api::{
        Condition, ConditionStatus, Deployment, Organization, StackDeploymentSettings, Time,
        condition::{find, types},
        deployment::Phase,
    },
    controllers::{
        Context,
        conditions::{DRIFTED, PROGRESSING_WITH_RETRY, TOKEN_RENEWED},
        links::Kind,
    },
    pulumi::{CallClass, Gate, Governor, Health},
};

type Numbers<const N: usize> = BTreeMap<Labels<N>, u64>;

/// How things stand.
#[derive(Clone, Debug, Default)]
pub struct Now {
    resources: Numbers<3>,
    retrying: Numbers<1>,
    drifted: Numbers<1>,
    not_renewed: u64,
    deployments: Numbers<2>,
    oldest: BTreeMap<Labels<1>, Duration>,
    waiting: Numbers<1>,
    longest: BTreeMap<Labels<1>, Duration>,
    budgets: Numbers<1>,
    followed: u64,
    degraded: u64,
    lag: Duration,
    suspended: bool,
}

impl Now {
    /// Looks.
    #[must_use]
    pub fn look(context: &Context) -> Self {
        let mut now = Self { suspended: context.suspend_all, ..Self::nothing() };
        let clock = Time::from(jiff::Timestamp::now());
        for organization in context.organizations.filter(|_| true) {
            now.organization(&organization);
        }
        for settings in context.settings.filter(|_| true) {
            now.settings(&settings);
        }
        for deployment in context.deployments.filter(|_| true) {
            now.deployment(&deployment, clock);
        }
        for governor in context.connections.governors() {
            now.budget(governor.gate(), &governor);
        }
        now.observer(&context.observer.health_of_all());
        now
    }

    /// Zeros, for all that is always shown.
    #[must_use]
    pub fn nothing() -> Self {
        let kinds = || Kind::ALL.map(|kind| ([(KIND, kind.label())], 0)).into();
        let purposes = CallClass::ALL.map(|class| [(PURPOSE, class.as_str())]);
        let places =
            |phase: Phase| operations().map(move |operation| ([(OPERATION, operation), (PHASE, phase.into())], 0));
        Self {
            retrying: kinds(),
            drifted: kinds(),
            deployments: phases().flat_map(places).collect(),
            oldest: UNDER_WAY.map(|phase| ([(PHASE, phase.into())], Duration::ZERO)).into(),
            waiting: purposes.map(|purpose| (purpose, 0)).into(),
            longest: purposes.map(|purpose| (purpose, Duration::ZERO)).into(),
            budgets: STATES.map(|state| ([(STATE, state)], 0)).into(),
            ..Self::default()
        }
    }

    /// Notes an Organization.
    pub fn organization(&mut self, organization: &Organization) {
        let conditions = organization.status.as_ref().map(|status| &*status.conditions);
        self.resource(Kind::Organization, conditions);
        let renewed = find(conditions.unwrap_or_default(), TOKEN_RENEWED);
        self.not_renewed += u64::from(renewed.is_some_and(|it| it.status == ConditionStatus::False));
    }

    /// Notes some settings.
    pub fn settings(&mut self, settings: &StackDeploymentSettings) {
        self.resource(Kind::Settings, settings.status.as_ref().map(|status| &*status.conditions));
    }

    /// Notes a Deployment.
    pub fn deployment(&mut self, deployment: &Deployment, clock: Time) {
        let status = deployment.status.as_ref();
        self.resource(Kind::Deployment, status.map(|status| &*status.conditions));
        let phase = status.and_then(|status| status.phase).unwrap_or(Phase::Pending);
        let operation = (OPERATION, deployment.spec.operation.as_str());
        *self.deployments.entry([operation, (PHASE, phase.into())]).or_default() += 1;
        let Some(run) = status.and_then(|status| status.run.as_ref()).filter(|run| run.result.is_none()) else {
            return;
        };
        let [queued, running] = UNDER_WAY;
        let (phase, since) = match run.started_at {
            Some(started) => (running, Some(started)),
            None => (queued, run.queued_at),
        };
        let oldest = self.oldest.entry([(PHASE, phase.into())]).or_default();
        *oldest = since.map_or(Duration::ZERO, |since| clock.since(since)).max(*oldest);
    }

    fn resource(&mut self, kind: Kind, conditions: Option<&[Condition]>) {
        let conditions = conditions.unwrap_or_default();
        let kind = (KIND, kind.label());
        let (status, why) = find(conditions, types::READY)
            .map_or((ConditionStatus::Unknown, ""), |ready| (ready.status, &*ready.reason));
        *self.resources.entry([kind, (READY, ready(status)), (REASON, reason(why))]).or_default() += 1;
        if find(conditions, types::RECONCILING).is_some_and(|it| it.reason == PROGRESSING_WITH_RETRY) {
            *self.retrying.entry([kind]).or_default() += 1;
        }
        if find(conditions, DRIFTED).is_some_and(|it| it.status == ConditionStatus::True) {
            *self.drifted.entry([kind]).or_default() += 1;
        }
    }

    /// Notes a request budget, and whether its gate lets calls through.
    pub(super) fn budget(&mut self, gate: Gate, governor: &Governor) {
        let [open, throttled, rejected] = STATES;
        let state = match gate {
            Gate::Open => open,
            Gate::Throttled { .. } => throttled,
            Gate::Rejected => rejected,
        };
        *self.budgets.entry([(STATE, state)]).or_default() += 1;
        for (class, line) in governor.lines() {
            let purpose = [(PURPOSE, class.as_str())];
            *self.waiting.entry(purpose).or_default() += u64::try_from(line.waiting).unwrap_or(u64::MAX);
            // Behind a closed gate it is not the budget that they wait for.
            if gate == Gate::Open {
                let longest = self.longest.entry(purpose).or_default();
                *longest = line.longest.max(*longest);
            }
        }
    }

    fn observer(&mut self, healths: &[Health]) {
        for Health { degraded, lasting: _, lag: _, blind, active } in healths {
            if *active == 0 {
                continue;
            }
            self.followed += u64::try_from(*active).unwrap_or(u64::MAX);
            self.degraded += u64::from(degraded.is_some());
            self.lag = blind.unwrap_or_default().max(self.lag);
        }
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        let info = BTreeMap::from([([(VERSION, env!("CARGO_PKG_VERSION"))], 1)]);
        registry.register("build_info", "The version of the operator that runs; always 1", numbers(&info));
        registry.register(
            "suspended",
            "Whether the operator was started with --suspend-all, so that it writes nothing to Pulumi Cloud: 1 or 0",
            one(u64::from(self.suspended)),
        );
        registry.register(
            "resources",
            "Resources, by kind, and by status and reason of their condition Ready. A reason that this version does not \
             know is `Other`, as is that of a resource without the condition",
            numbers(&self.resources),
        );
        registry.register(
            "resources_retrying",
            "Resources for which something has failed and is tried again, by kind",
            numbers(&self.retrying),
        );
        registry.register(
            "resources_drifted",
            "Resources whose condition Drifted is True: drift was found and is still there. By kind",
            numbers(&self.drifted),
        );
        registry.register(
            "organizations_token_not_renewed",
            "Organizations whose condition TokenRenewed is False: their access token is still good, and could not be \
             renewed",
            one(self.not_renewed),
        );
        registry.register(
            "deployments",
            "Deployments, by Pulumi operation and by where they stand. Queued and Running are runs under way",
            numbers(&self.deployments),
        );
        registry.register_with_unit(
            "run_oldest",
            "For how long the run that has been Queued, or Running, for the longest has been so; 0 without one",
            Unit::Seconds,
            times(&self.oldest),
        );
        registry.register(
            "budgets",
            "Request budgets, one for each token in use, by state: `open`, `throttled` (Pulumi Cloud asked for a pause) \
             or `rejected` (it does not accept the token)",
            numbers(&self.budgets),
        );
        registry.register(
            "budget_waiting",
            "Who stands in line for a request budget, by what the call is for",
            numbers(&self.waiting),
        );
        registry.register_with_unit(
            "budget_longest_wait",
            "For how long the first in line for a request budget has been there, by what the call is for; 0 without \
             one. Budgets that are throttled or rejected do not count: there it is not the budget that is waited for",
            Unit::Seconds,
            times(&self.longest),
        );
        registry.register("observer_runs", "Runs under way that are followed", one(self.followed));
        registry.register(
            "observer_degraded",
            "Organizations whose runs cannot be followed as they should be; the log says why",
            one(self.degraded),
        );
        registry.register_with_unit(
            "observer_lag",
            "For how long there has been no look that showed all runs under way, of the organization where it is \
             longest; 0 when nothing is followed",
            Unit::Seconds,
            seconds(self.lag),
        );
    }
}

/// The phases of a run that goes on.
const UNDER_WAY: [Phase; 2] = [Phase::Queued, Phase::Running];

type Number = Gauge<u64, AtomicU64>;
type Fraction = Gauge<f64, AtomicU64>;

fn one(value: u64) -> Number {
    let gauge = Number::default();
    gauge.set(value);
    gauge
}

fn seconds(value: Duration) -> Fraction {
    let gauge = Fraction::default();
    gauge.set(value.as_secs_f64());
    gauge
}

fn numbers<const N: usize>(values: &Numbers<N>) -> Family<Labels<N>, Number> {
    let family = Family::<Labels<N>, Number>::default();
    for (labels, value) in values {
        family.get_or_create(labels).set(*value);
    }
    family
}

fn times<const N: usize>(values: &BTreeMap<Labels<N>, Duration>) -> Family<Labels<N>, Fraction> {
    let family = Family::<Labels<N>, Fraction>::default();
    for (labels, value) in values {
        family.get_or_create(labels).set(value.as_secs_f64());
    }
    family
}
