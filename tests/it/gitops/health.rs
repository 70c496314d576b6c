//! The health checks for Argo CD, run by a real Lua, and those for Flux, by a real CEL; and what kstatus, which Flux goes by
//! without them, says of the same resources.

use std::collections::{BTreeMap, BTreeSet};

use cel::{Context, Program};
use mlua::{Lua, LuaOptions, LuaSerdeExt, StdLib};
use serde_json::Value;

use super::{Recorded, root};

/// The script for each kind, as the ConfigMap has it.
fn scripts() -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(root().join("gitops/argocd/argocd-cm.yaml")).unwrap();
    let config_map: Value = serde_saphyr::from_str(&text).unwrap();
    assert_eq!(
        (&config_map["kind"], &config_map["metadata"]["name"]),
        (&Value::from("ConfigMap"), &Value::from("argocd-cm"))
    );
    let entries = config_map["data"].as_object().unwrap().iter();
    let prefix = "resource.customizations.health.deployments.pulumi.com_";
    entries
        .map(|(key, script)| (key.strip_prefix(prefix).unwrap().to_owned(), script.as_str().unwrap().to_owned()))
        .collect()
}

/// Runs a script as Argo CD does: Lua 5.1, the resource as `obj`, no libraries but the base.
fn run(script: &str, resource: &Value) -> (String, String) {
    let lua = Lua::new_with(StdLib::NONE, LuaOptions::default()).unwrap();
    lua.globals().set("obj", lua.to_value(resource).unwrap()).unwrap();
    let health: mlua::Table = lua.load(script).eval().unwrap();
    (health.get("status").unwrap(), health.get("message").unwrap())
}

#[test]
fn argo_cd_sees_how_a_resource_in_any_state_is() {
    let scripts = scripts();
    for recorded in Recorded::all() {
        let (status, message) = run(&scripts[recorded.kind()], &recorded.resource);
        let name = format!("{}, {}", recorded.kind(), recorded.name);
        assert_eq!(status, recorded.health, "{name}: {message}");
        let conditions = recorded.resource["status"]["conditions"].as_array();
        let ready = conditions.into_iter().flatten().find(|condition| condition["type"] == "Ready");
        if let Some(ready) = ready.filter(|_| status == "Degraded") {
            let told = format!("{}: {}", ready["reason"].as_str().unwrap(), ready["message"].as_str().unwrap());
            assert_eq!(message, told, "{name}");
        }
        assert!(!message.is_empty(), "{name}");
    }
}

#[test]
fn every_kind_has_the_same_health_check_and_is_seen_in_every_health() {
    let scripts = scripts();
    let kinds: Vec<_> = scripts.keys().collect();
    assert_eq!(kinds, ["Deployment", "Organization", "StackDeploymentSettings"]);
    assert_eq!(scripts.values().collect::<BTreeSet<_>>().len(), 1, "they differ");
    let recorded = Recorded::all();
    for kind in kinds {
        let seen: BTreeSet<_> = recorded.iter().filter(|it| it.kind() == kind).map(|it| it.health.as_str()).collect();
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), ["Degraded", "Healthy", "Progressing", "Suspended"], "{kind}");
    }
}

/// The rules that kstatus has for a kind that it knows nothing of, in its order.
fn kstatus(resource: &Value) -> &'static str {
    if resource["metadata"].get("deletionTimestamp").is_some() {
        return "Terminating";
    }
    let status = &resource["status"];
    let observed = status.get("observedGeneration");
    if observed.is_some_and(|observed| *observed != resource["metadata"]["generation"]) {
        return "InProgress";
    }
    let conditions = status["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
    for condition in conditions.iter().filter(|condition| condition["status"] == "True") {
        match condition["type"].as_str() {
            Some("Reconciling") => return "InProgress",
            Some("Stalled") => return "Failed",
            _ => {}
        }
    }
    match conditions.iter().find(|condition| condition["type"] == "Ready").map(|ready| ready["status"].as_str()) {
        Some(Some("True")) | None => "Current",
        Some(_) => "InProgress",
    }
}

#[test]
fn flux_waits_for_what_argo_cd_waits_for() {
    for recorded in Recorded::all() {
        let expected = match recorded.health.as_str() {
            _ if recorded.resource["metadata"].get("deletionTimestamp").is_some() => "Terminating",
            // kstatus takes what has no status yet for done; Flux looks again, and by then it has one.
            _ if recorded.resource["status"] == serde_json::json!({}) => "Current",
            "Healthy" => "Current",
            "Degraded" => "Failed",
            _ => "InProgress",
        };
        assert_eq!(kstatus(&recorded.resource), expected, "{}, {}", recorded.kind(), recorded.name);
    }
}

/// The expressions for Flux, as docs/gitops.md has them.
fn expressions() -> Value {
    let page = std::fs::read_to_string(root().join("docs/gitops.md")).unwrap();
    let block = page.split("```yaml fragment\n").find(|block| block.starts_with("healthCheckExprs:")).unwrap();
    let block: Value = serde_saphyr::from_str(block.split_once("```").unwrap().0).unwrap();
    assert_eq!(block["healthCheckExprs"].as_array().unwrap().len(), 1);
    block["healthCheckExprs"][0].clone()
}

/// Evaluates the expressions as Flux's StatusEvaluator does: the generation first, then these three in this order, with the
/// object's fields as variables. None is true: in progress.
///
/// # Errors
/// An expression that can't be evaluated. Flux calls such a resource unknown, and looks again.
fn flux(expressions: &Value, resource: &Value) -> Result<&'static str, String> {
    let observed = resource["status"].get("observedGeneration");
    if observed.is_some_and(|observed| *observed != resource["metadata"]["generation"]) {
        return Ok("InProgress");
    }
    let mut context = Context::default();
    for (field, value) in resource.as_object().unwrap() {
        context.add_variable(field, value).unwrap();
    }
    for (name, verdict) in [("inProgress", "InProgress"), ("failed", "Failed"), ("current", "Current")] {
        let program = Program::compile(expressions[name].as_str().unwrap()).unwrap();
        match program.execute(&context) {
            Ok(cel::Value::Bool(true)) => return Ok(verdict),
            Ok(cel::Value::Bool(false)) => {}
            other => return Err(format!("{name}: {other:?}")),
        }
    }
    Ok("InProgress")
}

#[test]
fn flux_sees_with_the_expressions_how_a_resource_in_any_state_is() {
    let expressions = expressions();
    for field in ["apiVersion", "kind"] {
        let deployment = Recorded::all().into_iter().find(|it| it.kind() == "Deployment").unwrap();
        assert_eq!(expressions[field], deployment.resource[field]);
    }
    for recorded in Recorded::all() {
        let expected = match recorded.health.as_str() {
            "Healthy" | "Suspended" => "Current",
            "Degraded" => "Failed",
            _ => "InProgress",
        };
        let name = format!("{}, {}", recorded.kind(), recorded.name);
        assert_eq!(flux(&expressions, &recorded.resource).as_deref(), Ok(expected), "{name}");

        let mut fresh = recorded.resource;
        fresh.as_object_mut().unwrap().remove("status");
        let verdict = flux(&expressions, &fresh);
        assert!(!matches!(verdict, Ok("Failed" | "Current")), "{name}, without a status: {verdict:?}");
    }
}
