"""Drives a simulator with the service's official Python SDK.

Arguments: the simulator's URL, a token, an organization, in which the script makes what it needs, and an ID token that
the organization trusts. It ends with
status 0 and the line "done", or with the traceback of what was not as it should be.
"""

import base64
import socket
import sys
import time
from datetime import datetime, timedelta, timezone
from urllib.error import HTTPError

from pulumi_cloud_sdk.api_client import ApiClient
from pulumi_cloud_sdk.apis import DeploymentsApi, MiscellaneousApi, OrganizationsApi, StacksApi, UsersApi, WorkflowsApi
from pulumi_cloud_sdk.configuration import Configuration
from pulumi_cloud_sdk.models import (
    AppBatchDecryptRequest,
    AppCreateStackRequest,
    AppDecryptValueRequest,
    CacheOptionsRequest,
    CreateDeploymentRequest,
    CreateOrgAccessTokenRequest,
    CreateOrgAgentPoolRequest,
    CreateScheduledDeploymentRequest,
    CreateScheduledDriftDeploymentRequest,
    CreateScheduledTTLDeploymentRequest,
    DeploymentLogs,
    DeploymentLogsStep,
    DeploymentSettingsRequest,
    OperationContextAWSOIDCConfigurationRequest,
    OperationContextOIDCConfigurationRequest,
    OperationContextOptionsRequest,
    OperationContextRequest,
    SecretValue,
    SourceContextGitRequest,
    SourceContextRequest,
    UpdateOrganizationRequest,
)

URL, TOKEN, ORGANIZATION, ID_TOKEN = sys.argv[1:]
PLACE = (ORGANIZATION, "sdk", "prod")
DEADLINE = time.monotonic() + 60

socket.setdefaulttimeout(20)

configuration = Configuration()
configuration.host = URL
configuration.access_token = TOKEN
client = ApiClient(configuration)
deployments = DeploymentsApi(client)
stacks = StacksApi(client)


def wait(what, condition):
    """Waits until the condition answers something, and answers that."""
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < DEADLINE, f"waited in vain: {what}"
        time.sleep(0.02)


def refused(status, call, *arguments):
    """Checks that the service refuses a call with this status."""
    try:
        call(*arguments)
    except HTTPError as error:
        assert error.code == status, f"{error.code} instead of {status}: {error.read()}"
    else:
        raise AssertionError(f"not refused with {status}")


def blocks():
    """What a run needs. The SDK sends null for all that is not said, and null takes away what would be inherited."""
    return {
        "source_context": SourceContextRequest(
            git=SourceContextGitRequest(repo_url="https://example.com/repo.git", branch="main", repo_dir="infra"),
        ),
        "operation_context": OperationContextRequest(
            # Secret ones only: the SDK does not understand the strings in which plain ones come back.
            environment_variables={"TOKEN": SecretValue(secret="hunter2")},
            pre_run_commands=["echo hello"],
            options=OperationContextOptionsRequest(skip_install_dependencies=True),
            oidc=OperationContextOIDCConfigurationRequest(
                aws=OperationContextAWSOIDCConfigurationRequest(role_arn="arn", session_name="s", duration="1h0m0s"),
            ),
        ),
    }


def order(operation):
    return CreateDeploymentRequest(operation=operation, inherit_settings=True, **blocks())


def surroundings():
    user = UsersApi(client).get_current_user()
    assert ORGANIZATION in [organization.github_login for organization in user.organizations]
    assert MiscellaneousApi(client).capabilities().capabilities is not None
    assert MiscellaneousApi(client).version().latest_version
    OrganizationsApi(client).create_stack(ORGANIZATION, "sdk", AppCreateStackRequest(stack_name="prod", tags={"team": "a"}))
    stack = stacks.get_stack(*PLACE)
    assert (stack.project_name, stack.stack_name, stack.version) == ("sdk", "prod", 0)
    stacks.delete_stack_tag(*PLACE, "team")
    refused(404, stacks.delete_stack_tag, *PLACE, "team")
    refused(404, stacks.get_stack, ORGANIZATION, "sdk", "none")
    names = [listed.stack_name for listed in UsersApi(client).list_user_stacks(project="sdk").stacks]
    assert names == ["prod"]
    organizations = OrganizationsApi(client)
    assert organizations.get_organization(ORGANIZATION).github_login == ORGANIZATION
    changed = organizations.update_organization_settings(ORGANIZATION, UpdateOrganizationRequest())
    assert changed.user_role == "admin" and changed.features.deploy_enabled
    request = CreateOrgAccessTokenRequest(name="ci", description="", admin=False, expires=0)
    assert organizations.create_org_token(ORGANIZATION, request).token_value
    assert [token.name for token in organizations.list_org_tokens(ORGANIZATION).tokens] == ["ci"]


def an_exchange():
    request = {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "audience": f"urn:pulumi:org:{ORGANIZATION}",
        "subject_token": ID_TOKEN,
        "subject_token_type": "urn:ietf:params:oauth:token-type:id_token",
        "requested_token_type": "urn:pulumi:token-type:access_token:organization",
    }
    anybody = Configuration()
    anybody.host = URL
    refused(401, UsersApi(ApiClient(anybody)).get_current_user)
    given = MiscellaneousApi(ApiClient(anybody)).token(request)
    assert given.expires_in > 0
    anybody.access_token = given.access_token
    user = UsersApi(ApiClient(anybody)).get_current_user()
    assert user.token_info.organization == ORGANIZATION
    refused(400, MiscellaneousApi(client).token, request | {"subject_token": "nonsense"})


def agent_pools():
    workflows = WorkflowsApi(client)
    request = CreateOrgAgentPoolRequest(name="mine", description="d")
    made = workflows.create_org_agent_pool(ORGANIZATION, request)
    assert made.token_value
    assert workflows.get_agent_pool(ORGANIZATION, made.id).name == "mine"
    assert [pool.id for pool in workflows.list_org_agent_pool(ORGANIZATION).agent_pools] == [made.id]
    workflows.delete_org_agent_pool(ORGANIZATION, made.id)
    refused(404, workflows.get_agent_pool, ORGANIZATION, made.id)


def the_settings():
    refused(404, deployments.get_deployment_settings, *PLACE)
    request = DeploymentSettingsRequest(cache_options=CacheOptionsRequest(enable=True), **blocks())
    deployments.replace_deployment_settings(*PLACE, request)
    read = deployments.get_deployment_settings(*PLACE)
    assert read.source_context.git.repo_url == "https://example.com/repo.git"
    assert read.source_context.git.repo_dir == "infra"
    assert read.operation_context.oidc.aws.role_arn == "arn"
    assert read.cache_options.enable
    variables = read.operation_context.environment_variables
    assert set(variables) == {"TOKEN"}
    assert variables["TOKEN"].secret == "[secret]" and variables["TOKEN"].ciphertext
    version = read.version
    patched = deployments.patch_deployment_settings(*PLACE, DeploymentSettingsRequest(**blocks()))
    assert patched.cache_options is None
    assert patched.version == version + 1
    sealed = deployments.encrypt_deployment_settings_secret(*PLACE, SecretValue(secret="s3cret"))
    assert sealed.ciphertext


def a_run():
    created = deployments.create_api_deployment_handler_v2(*PLACE, order("update"))
    assert created.version == 1
    lines, token = [], None
    while True:
        logs = deployments.get_deployment_logs(*PLACE, created.id, continuation_token=token)
        assert isinstance(logs, DeploymentLogs)
        lines += logs.lines
        token = logs.next_token
        if not token:
            break
        assert time.monotonic() < DEADLINE, "the log never ends"
        time.sleep(0.02)
    headers = [line.header for line in lines if line.header]
    assert headers[0] == "Setup" and headers[-1] == "pulumi update", headers
    assert "hello\n" in [line.line for line in lines]
    deployment = deployments.get_deployment(*PLACE, created.id)
    assert (deployment.status, deployment.pulumi_operation) == ("succeeded", "update")
    assert [step.name for step in deployment.jobs[0].steps] == headers
    step = deployments.get_deployment_logs(*PLACE, created.id, job=0, step=0)
    assert isinstance(step, DeploymentLogsStep) and step.name == "Setup"
    shown = {variable.name: variable for variable in deployment.configuration.environment_variables}
    assert shown["TOKEN"].secret and not shown["TOKEN"].value
    assert deployments.get_deployment_version(*PLACE, 1).id == created.id
    [update] = deployments.get_deployment_updates(*PLACE, created.id)
    assert (update.version, update.info.result, update.info.kind) == (1, "succeeded", "update")
    assert update.info.resource_changes == {"create": 4}
    assert update.requested_by.github_login
    assert stacks.get_latest_stack_update(*PLACE).update_id == update.update_id
    assert stacks.get_stack_update(*PLACE, 1).info.resource_count == 4
    assert stacks.get_stack_update_summary(*PLACE, 1).result == "succeeded"


def the_queue():
    deployments.pause_stack_deployments(*PLACE)
    metadata = deployments.stack_deployments_metadata(*PLACE)
    assert metadata.paused and metadata.stack_paused and not metadata.organization_paused
    queued = deployments.create_api_deployment_handler_v2(*PLACE, order("preview"))
    assert deployments.get_deployment(*PLACE, queued.id).status == "not-started"
    listed = deployments.list_stack_deployments_handler_v2(*PLACE, page=1, page_size=1)
    assert (listed.total, listed.items_per_page) == (2, 1)
    [item] = listed.deployments
    assert (item.id, item.status, item.jobs, item.updates) == (queued.id, "not-started", [], [])
    deployments.cancel_deployment(*PLACE, queued.id)
    refused(404, deployments.cancel_deployment, *PLACE, queued.id)
    deployments.resume_stack_deployments(*PLACE)
    assert not deployments.stack_deployments_metadata(*PLACE).paused
    listed = deployments.list_org_deployments(ORGANIZATION)
    assert [item.version for item in listed.deployments] == [1]
    assert listed.deployments[0].updates[0].result == "succeeded"
    refused(400, deployments.list_stack_deployments_handler_v2, *PLACE, None, 1, 101)
    deployments.pause_org_deployments(ORGANIZATION)
    assert deployments.stack_deployments_metadata(*PLACE).organization_paused
    deployments.resume_org_deployments(ORGANIZATION)
    assert deployments.get_deploy_usage_report(ORGANIZATION) is not None
    assert deployments.get_usage_summary_deploy_compute(ORGANIZATION, "daily", 7).summary is not None
    deployments.clear_project_cache(*PLACE)
    counts = deployments.org_deployments_metadata(ORGANIZATION).deployment_counts
    assert counts.succeeded == 1


def schedules():
    hour = datetime.now(timezone.utc) + timedelta(hours=1)
    run = CreateDeploymentRequest(operation="refresh", inherit_settings=True)
    nightly = deployments.create_scheduled_deployment(
        *PLACE, CreateScheduledDeploymentRequest(schedule_cron="0 3 * * *", request=run)
    )
    assert (nightly.schedule_cron, nightly.paused) == ("0 3 * * *", False)
    assert nightly.definition["request"]["operation"] == "refresh"
    once = deployments.create_scheduled_deployment(
        *PLACE, CreateScheduledDeploymentRequest(schedule_once=hour, request=run)
    )
    assert once.schedule_once and once.next_execution
    drift = deployments.create_scheduled_drift_deployment(
        *PLACE, CreateScheduledDriftDeploymentRequest(schedule_cron="0 * * * *", auto_remediate=True)
    )
    end = deployments.create_scheduled_ttl_deployment(
        *PLACE, CreateScheduledTTLDeploymentRequest(timestamp=hour, delete_after_destroy=True)
    )
    listed = {schedule.id for schedule in deployments.list_scheduled_deployment(*PLACE).schedules}
    assert listed == {nightly.id, once.id, drift.id, end.id}
    assert deployments.stack_deployments_metadata(*PLACE).has_schedules
    deployments.pause_scheduled_deployment(*PLACE, nightly.id)
    assert deployments.read_scheduled_deployment(*PLACE, nightly.id).paused
    deployments.resume_scheduled_deployment(*PLACE, nightly.id)
    changed = deployments.update_scheduled_deployment(
        *PLACE, nightly.id, CreateScheduledDeploymentRequest(schedule_cron="0 4 * * *", request=run)
    )
    assert changed.schedule_cron == "0 4 * * *"
    assert deployments.list_scheduled_deployment_history(*PLACE, nightly.id).schedule_history_events == []
    for schedule in listed:
        deployments.delete_scheduled_deployment(*PLACE, schedule)
    assert deployments.list_scheduled_deployment(*PLACE).schedules == []


def drift():
    assert not deployments.get_stack_drift_status(*PLACE).drift_detected
    created = deployments.create_api_deployment_handler_v2(*PLACE, order("detect-drift"))
    wait("the detection", lambda: deployments.get_deployment(*PLACE, created.id).status == "succeeded")
    [found] = deployments.list_drift_runs(*PLACE).drift_runs
    assert (found.deployment_id, found.drift_detected) == (created.id, False)
    assert deployments.get_drift_run(*PLACE, found.id).id == found.id


def outputs():
    written = '{"url": "https://a.example", "password": {"secret": "hunter2"}}'
    request = CreateDeploymentRequest(
        operation="update",
        inherit_settings=True,
        operation_context=OperationContextRequest(
            environment_variables={"SIMULATOR_OUTPUTS": SecretValue(secret=written)},
        ),
        source_context=SourceContextRequest(git=SourceContextGitRequest(repo_url="https://example.com/repo.git")),
    )
    created = deployments.create_api_deployment_handler_v2(*PLACE, request)
    wait("the update", lambda: deployments.get_deployment(*PLACE, created.id).status == "succeeded")
    state = stacks.export_stack(*PLACE)
    assert state.version == 3
    [root] = [one for one in state.deployment["resources"] if one["type"] == "pulumi:pulumi:Stack"]
    assert root["outputs"]["url"] == "https://a.example"
    assert "hunter2" not in str(state.deployment)
    ciphertext = root["outputs"]["password"]["ciphertext"]
    one = AppDecryptValueRequest(ciphertext=base64.b64decode(ciphertext))
    assert stacks.decrypt_value(*PLACE, one).plaintext == b'"hunter2"'
    many = AppBatchDecryptRequest(ciphertexts=[base64.b64decode(ciphertext)])
    assert list(stacks.batch_decrypt_value(*PLACE, many).plaintexts) == [ciphertext]


def the_end():
    assert deployments.delete_deployment_settings(*PLACE) is True
    refused(404, deployments.get_deployment_settings, *PLACE)
    refused(400, stacks.delete_stack, *PLACE)
    stacks.delete_stack(*PLACE, force=True)
    refused(404, stacks.get_stack, *PLACE)


for part in (surroundings, an_exchange, agent_pools, the_settings, a_run, the_queue, schedules, drift, outputs, the_end):
    part()
    print(part.__name__, flush=True)
print("done")
