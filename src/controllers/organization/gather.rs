//! IO, reads only: what the decision about an organization needs, from both sides.

use std::{
    collections::{BTreeSet, HashSet},
    sync::{Arc, atomic::AtomicBool},
};

use kube::ResourceExt;

use super::{
    keyless::{self, Obtained},
    plan::{Inputs, Look, Renewal, Seen, Token},
};
use crate::{
    api::{
        Organization,
        condition::{find, types},
        deployment::RunDeletionPolicy,
        names::REQUESTED_AT,
        organization::{self, DeploymentCounts, TokenUser},
        settings::SourceKind,
    },
    controllers::{
        Context, Error,
        conditions::PAUSE_APPLIED,
        connections::Connection,
        document::{FoundValue, ValueRef},
        links::{Kind, Link, Resource},
        requeue::consequence,
        sources, write,
    },
    pulumi::{
        self, Admission, CallClass, Class, Client, ClientConfig, Dialect, Gate, Governor, Permit, Rate, SecretValue,
        Timeouts,
    },
};

/// One `user`, one metadata, and perhaps one pause or resume.
const CALLS: u32 = 3;

/// Reads what the decision needs. The permit for what `act` may have to do comes with it.
pub async fn gather(organization: &Organization, context: &Context) -> Result<(Inputs, Option<Permit>), Error> {
    let namespace = organization.namespace().unwrap_or_default();
    let this = Kind::Organization.named(&namespace, organization.name_any());
    let backend = organization.spec.backend_url.trim_end_matches('/').to_owned();
    let mut inputs = Inputs {
        generation: organization.metadata.generation.unwrap_or_default(),
        requested_at: organization.annotations().get(REQUESTED_AT).cloned(),
        deleting: organization.metadata.deletion_timestamp.is_some(),
        name: organization.remote_name(),
        backend_allowed: context.allowed_backends.iter().any(|allowed| allowed.trim_end_matches('/') == backend),
        backend,
        suspended: organization.spec.suspend || context.suspend_all,
        paused: organization.spec.paused,
        users: Vec::new(),
        token: Token::NotRead,
        renewal: Renewal::NotNeeded,
        trouble: context.observer.health(&this.key()).lasting,
        look: Look::NotDue,
    };
    if inputs.deleting {
        inputs.users = users(context, &this);
        if inputs.users.is_empty() {
            return Ok((inputs, None));
        }
    }
    if !inputs.backend_allowed {
        return Ok((inputs, None));
    }
    let Some(credential) = credential(organization, context, &this, &mut inputs).await? else {
        return Ok((inputs, None));
    };
    let connection = match connect(organization, context, &this, &inputs, credential) {
        Ok(connection) => connection,
        Err(error) => {
            inputs.look = Look::Failed(consequence(&error, "Correct spec.backendURL."));
            return Ok((inputs, None));
        }
    };
    if inputs.deleting || !is_due(organization, context, &inputs, &connection) {
        return Ok((inputs, None));
    }
    // A rejected token closes the budget's gate; only this can find out that it is accepted again.
    let was_rejected = connection.governor.gate() == Gate::Rejected;
    let admission = if was_rejected {
        Admission::Granted(Permit::unlimited())
    } else {
        connection.governor.try_acquire(CallClass::Observe, &namespace, &context.wakers.waiter(&this), CALLS)
    };
    let Admission::Granted(mut permit) = admission else {
        inputs.look = Look::AwaitingBudget;
        return Ok((inputs, None));
    };
    let is_exchanged = organization.spec.access_token.service_account.is_some();
    inputs.look = look(&connection, &mut permit, is_exchanged).await;
    if was_rejected && connection.is_accepted() && matches!(inputs.look, Look::Seen(_)) {
        // It was a mistake, and who was refused for it waits for somebody to act.
        context.wakers.wake_dependents(&Link::Resource(this.clone()));
    }
    if let (Look::Failed(failed), Renewal::Failed { consequence, .. }) = (&inputs.look, &inputs.renewal)
        && failed.class == Class::Unauthorized
    {
        // There is no good token left, and why there is no other one is what somebody has to know.
        inputs.token = Token::Refused(consequence.clone());
        inputs.renewal = Renewal::NotNeeded;
    }
    Ok((inputs, Some(permit)))
}

/// What calls for an organization are made with.
struct Credential {
    token: SecretValue,
    /// The budget of the token, and of those that take its place.
    governor: Arc<Governor>,
    /// Whether it only takes the place of one that the service accepts.
    is_known: bool,
}

/// The access token and its budget; or why there is none, in `inputs`.
async fn credential(
    organization: &Organization,
    context: &Context,
    this: &Resource,
    inputs: &mut Inputs,
) -> Result<Option<Credential>, Error> {
    let key = this.key();
    let limit = organization.spec.rate_limit.unwrap_or_default();
    let rate = Rate { per_second: f64::from(limit.requests_per_second), burst: limit.burst };
    let budget = |token: &str| context.connections.governor(&inputs.backend, token, &key, rate);
    let Some(account) = &organization.spec.access_token.service_account else {
        context.keyless.forget(&key);
        return Ok(match read_token(organization, context, this).await? {
            Ok(token) => {
                let governor = budget(token.fingerprint());
                inputs.token = Token::Found;
                Some(Credential { token, governor, is_known: false })
            }
            Err(missing) => {
                inputs.token = Token::Missing(missing);
                None
            }
        });
    };
    let wanted = keyless::Wanted {
        account: account.clone(),
        namespace: this.namespace.clone(),
        organization: inputs.name.clone(),
        backend: inputs.backend.clone(),
    };
    let governor = budget(&wanted.identity(&key));
    let current = context.connections.get(&key);
    let is_accepted = current.as_ref().is_some_and(|current| current.is_accepted());
    let is_rejected = governor.gate() == Gate::Rejected;
    Ok(match keyless::obtain(&wanted, context, this, &governor, is_accepted).await? {
        Obtained::Token(token, renewal) => {
            (inputs.token, inputs.renewal) = (Token::Found, renewal);
            let same_identity = current.is_some_and(|current| Arc::ptr_eq(&current.governor, &governor));
            Some(Credential { token, governor, is_known: same_identity && is_accepted && !is_rejected })
        }
        Obtained::AwaitingBudget => {
            inputs.token = Token::AwaitingBudget;
            None
        }
        Obtained::Refused(consequence) => {
            inputs.token = Token::Refused(consequence);
            None
        }
    })
}

fn token_reference(organization: &Organization) -> Option<ValueRef> {
    let reference = organization.spec.access_token.secret_key_ref.as_ref()?;
    Some(ValueRef {
        kind: SourceKind::Secret,
        name: reference.name.clone(),
        key: Some(reference.key.clone().unwrap_or_else(|| "accessToken".to_owned())),
        standard_key: None,
    })
}

/// What the Organization depends on.
pub fn links(organization: &Organization) -> HashSet<Link> {
    let references = token_reference(organization).into_iter().collect();
    sources::links(&references, &organization.namespace().unwrap_or_default()).collect()
}

/// The access token, live; or a sentence that says what is missing.
async fn read_token(
    organization: &Organization,
    context: &Context,
    this: &Resource,
) -> Result<Result<SecretValue, String>, Error> {
    let Some(reference) = token_reference(organization) else {
        return Ok(Err(
            "spec.accessToken says nothing; write secretKeyRef: {name, key} or serviceAccount: {name}".to_owned()
        ));
    };
    let references = BTreeSet::from([reference.clone()]);
    let mut found = sources::read(&context.kube, &context.key, &this.namespace, &references).await?;
    Ok(match found.values.remove(&reference) {
        Some(FoundValue::Secret(token)) => Ok(token),
        Some(FoundValue::Plain(_)) | None => {
            Err(found.missing.unwrap_or_else(|| "the access token is missing".to_owned()))
        }
    })
}

/// The connection for this token and backend: the one that is there, or a new one that must prove itself first.
fn connect(
    organization: &Organization,
    context: &Context,
    this: &Resource,
    inputs: &Inputs,
    credential: Credential,
) -> Result<Arc<Connection>, pulumi::Error> {
    let Credential { token, governor, is_known } = credential;
    let key = this.key();
    let dialect = match organization.spec.dialect {
        organization::Dialect::Stacks => Dialect::Stacks,
        organization::Dialect::Preview => Dialect::Preview,
    };
    let current = context.connections.get(&key).filter(|current| {
        current.backend == inputs.backend && current.client.dialect() == dialect && current.organization == inputs.name
    });
    if let Some(current) = current.as_ref().filter(|current| current.token == token) {
        return Ok(Arc::clone(current));
    }
    let client = Client::new(ClientConfig {
        backend: inputs.backend.clone(),
        token: token.clone(),
        dialect,
        timeouts: Timeouts { total: context.timings.request, ..Timeouts::default() },
        governor: governor.clone(),
    })?;
    governor.on_rejection(&key, context.wakers.callback(this.clone()));
    let is_accepted = is_known && current.is_some();
    if let Some(current) = current.filter(|_| is_accepted) {
        client.inherit_clock(&current.client);
        // Runs are followed with the new token at once, while the old one is still good.
        context.observer.connect(&key, &inputs.name, client.clone());
    }
    Ok(context.connections.put(Connection {
        key,
        organization: inputs.name.clone(),
        backend: inputs.backend.clone(),
        client,
        governor,
        token,
        accepted: AtomicBool::new(is_accepted),
    }))
}

fn is_due(organization: &Organization, context: &Context, inputs: &Inputs, connection: &Connection) -> bool {
    let status = organization.status.as_ref();
    let uid = organization.uid().unwrap_or_default();
    let now = jiff::Timestamp::now().as_second();
    let waited = now - context.memory.last_checked(&uid, now)
        >= i64::try_from(context.timings.resync.as_secs()).unwrap_or(i64::MAX);
    // What did not succeed is looked at again, and a rejected token at once.
    let unfinished = status.is_none_or(|status| {
        find(&status.conditions, types::RECONCILING).is_some() || find(&status.conditions, PAUSE_APPLIED).is_some()
    });
    !connection.is_accepted()
        || connection.governor.gate() == Gate::Rejected
        || (unfinished && !inputs.suspended)
        || waited
        || status.and_then(|status| status.observed_generation) != Some(inputs.generation)
        || status.and_then(|status| status.last_handled_reconcile_at.clone()) != inputs.requested_at
}

async fn look(connection: &Connection, permit: &mut Permit, is_exchanged: bool) -> Look {
    let user = match connection.client.user(permit).await {
        Ok(user) => user,
        Err(error) => {
            let remedy = if is_exchanged {
                "The token had just been given in exchange; check the service's policy for the ServiceAccount."
            } else {
                "Put a valid access token into the Secret that spec.accessToken names."
            };
            return Look::Failed(consequence(&error, remedy));
        }
    };
    let login = user.login.clone();
    let user = TokenUser { login: user.login, name: Some(user.name).filter(|name| !name.is_empty()) };
    match connection.client.organization_metadata(permit, &connection.organization).await {
        Ok(metadata) => {
            let counts = metadata.counts;
            Look::Seen(Seen {
                user,
                paused: Some(metadata.paused),
                concurrency: metadata.concurrency.and_then(|concurrency| u32::try_from(concurrency).ok()),
                counts: Some(DeploymentCounts {
                    not_started: counts.not_started,
                    accepted: counts.accepted,
                    running: counts.running,
                    failed: counts.failed,
                    succeeded: counts.succeeded,
                    skipped: counts.skipped,
                    total: counts.total,
                }),
            })
        }
        // Such a backend says nothing of an organization as a whole.
        Err(error) if error.class() == Class::Unsupported => {
            Look::Seen(Seen { user, paused: None, concurrency: None, counts: None })
        }
        Err(error) => {
            let remedy = format!(
                "Check that {} is an organization of {} (spec.name), and that the token may see it.",
                connection.organization, login
            );
            Look::Failed(consequence(&error, &remedy))
        }
    }
}

/// What still needs this organization: settings that have something to clear, runs that are not over, and Deployments
/// that will destroy their stack.
fn users(context: &Context, this: &Resource) -> Vec<String> {
    let mut users: Vec<_> = context
        .wakers
        .links
        .dependents(&Link::Resource(this.clone()))
        .into_iter()
        .filter(|dependent| match dependent.kind {
            Kind::Organization => false,
            Kind::Settings => context
                .settings
                .get(&dependent.namespace, &dependent.name)
                .is_some_and(|settings| write::has_finalizer(&*settings)),
            Kind::Deployment => {
                context.deployments.get(&dependent.namespace, &dependent.name).is_some_and(|deployment| {
                    write::has_finalizer(&*deployment)
                        && (deployment.metadata.deletion_timestamp.is_some()
                            || deployment.spec.deletion_policy == RunDeletionPolicy::Destroy
                            || deployment.status.as_ref().is_some_and(|status| {
                                status.intent.is_some() || status.run.as_ref().is_some_and(|run| run.result.is_none())
                            }))
                })
            }
        })
        .map(|user| format!("{:?} {}/{}", user.kind, user.namespace, user.name))
        .collect();
    users.sort();
    users
}
