//! The request for a deployment, as it is sent to create one or kept by a schedule.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::errors::ApiError;
use crate::run::Order;
use crate::secrets::Cipher;
use crate::settings;
use crate::world::deployment::Operation;
use crate::world::organization::Subscription;
use crate::world::people::User;
use crate::world::{StackKey, World};

/// How a request is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// Today: the operation stands at the top, and the stack's settings are inherited unless it says otherwise.
    Stacks,
    /// Deprecated: the operation is part of the operation context, and nothing is inherited unless it says so. Drift
    /// is not known.
    Preview,
}

impl Form {
    /// Where the operation stands.
    fn place(self) -> &'static str {
        match self {
            Self::Stacks => "top level",
            Self::Preview => "operationContext",
        }
    }
}

fn parse(name: &str) -> Result<Operation, ApiError> {
    Operation::parse(name).ok_or_else(|| unknown(name))
}

fn unknown(name: &str) -> ApiError {
    ApiError::invalid("Deployment", "operation", &format!("unknown operation {name:?}"))
}

/// What shall run, and with which settings.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) operation: Operation,
    /// Whether the stack's settings are the base that `settings` changes.
    inherits: bool,
    /// As sent: a null takes away what is inherited.
    settings: Value,
}

impl Request {
    /// Reads a body like `{"operation": "update"}` and checks it as if it ran now.
    pub(crate) fn read(world: &World, stack: StackKey, body: &Value, form: Form) -> Result<Self, ApiError> {
        let missing = || ApiError::bad_request(format!("Missing {} required field 'operation'", form.place()));
        let entries = body.as_object().ok_or_else(missing)?;
        let inherits = match settings::property(entries, "inheritSettings") {
            None | Some(Value::Null) => form == Form::Stacks,
            Some(Value::Bool(inherits)) => *inherits,
            Some(_) => {
                return Err(ApiError::bad_request("invalid request body: inheritSettings must be a bool"));
            }
        };
        let top = match (form, settings::property(entries, "operation")) {
            (Form::Preview, _) => None,
            (Form::Stacks, None | Some(Value::Null)) => return Err(missing()),
            (Form::Stacks, Some(name)) if name == "" => return Err(missing()),
            (Form::Stacks, Some(name)) => Some(parse(name.as_str().unwrap_or_default())?),
        };
        let mut decoded = world.decoder().settings(body)?;
        let nested = decoded.pointer_mut("/operationContext/operation").map(Value::take);
        let operation = match (top, nested.as_ref().and_then(settings::text)) {
            (Some(_), Some(_)) => {
                return Err(ApiError::bad_request("'operation' must only be set at the top level"));
            }
            (Some(operation), None) => operation,
            (None, Some(name)) => match parse(name)? {
                Operation::DetectDrift | Operation::RemediateDrift => return Err(unknown(name)),
                operation => operation,
            },
            (None, None) => return Err(missing()),
        };
        let request = Self { operation, inherits, settings: decoded };
        request.merged(world, stack)?;
        Ok(request)
    }

    /// The settings to run with, checked.
    fn merged(&self, world: &World, stack: StackKey) -> Result<Value, ApiError> {
        let target = &world.stacks[&stack];
        let organization = &world.organizations[&target.name.organization];
        let stored = target.settings.as_ref().filter(|_| self.inherits);
        let merged = settings::merged(stored.map(|stored| &stored.value), self.settings.clone());
        let mut merged = settings::complete(merged, organization, &target.name.project)?;
        if let Some(template) = merged.pointer_mut("/sourceContext/template")
            && settings::text(&template["sourceUrl"]).is_none()
            && let Some(url) = organization.templates.get(&target.name.project)
        {
            template["sourceUrl"] = url.clone().into();
        }
        let remediates = match self.operation {
            Operation::RemediateDrift => true,
            Operation::DetectDrift => settings::option(&merged, "remediateIfDriftDetected"),
            _ => false,
        };
        if remediates {
            organization.subscription.includes_remediation()?;
        }
        Ok(merged)
    }

    /// The deployment to put into the queue now.
    pub(crate) fn order(
        &self,
        world: &World,
        stack: StackKey,
        requested_by: Arc<User>,
        initiator: &str,
    ) -> Result<Order, ApiError> {
        let settings = self.merged(world, stack)?;
        Ok(Order { operation: self.operation, settings, requested_by, initiator: initiator.to_owned() })
    }

    /// How it is given out, secrets masked.
    pub(crate) fn rendered(&self, cipher: &Cipher) -> Value {
        let mut body = settings::masked(&settings::merged(None, self.settings.clone()), cipher);
        body["operation"] = self.operation.name().into();
        body["inheritSettings"] = self.inherits.into();
        body
    }

    /// The detection of drift, with or without remediation.
    pub(crate) fn drift_detection(remediate: bool) -> Self {
        Self::with_option(Operation::DetectDrift, "remediateIfDriftDetected", remediate)
    }

    /// The end of a stack's time: it is destroyed, and deleted too if that is wanted.
    pub(crate) fn expiry(delete_stack: bool) -> Self {
        Self::with_option(Operation::Destroy, "deleteAfterDestroy", delete_stack)
    }

    fn with_option(operation: Operation, option: &str, value: bool) -> Self {
        let settings = json!({"operationContext": {"options": {option: value}}});
        Self { operation, inherits: true, settings }
    }

    /// Whether it could be the request of a stack's TTL.
    pub(crate) fn is_expiry(&self) -> bool {
        self.operation == Operation::Destroy && self.settings["operationContext"].is_object()
    }
}

impl Subscription {
    /// Refuses what drift remediation needs and a smaller subscription does not have.
    pub(crate) fn includes_remediation(self) -> Result<(), ApiError> {
        if self < Self::BusinessCritical {
            return Err(ApiError::payment_required("Drift remediation requires Business Critical subscription"));
        }
        Ok(())
    }
}
