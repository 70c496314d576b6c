{{/* What the operator does in a namespace that it looks after, and nothing else. */}}
{{- define "pulumi-deployments-operator.rules" -}}
- apiGroups: [deployments.pulumi.com]
  resources: [organizations, stackdeploymentsettings, pulumideployments]
  # The patch is that of finalizers and annotations.
  verbs: [get, list, watch, patch]
- apiGroups: [deployments.pulumi.com]
  resources: [organizations/status, stackdeploymentsettings/status, pulumideployments/status]
  verbs: [patch]
# Only metadata is listed and watched, and only what a resource refers to is read. There is no right to
# do just that.
- apiGroups: [""]
  resources: [secrets, configmaps]
  # Stacks' outputs are written into those of a Deployment's own, and into no others. There is no right
  # to do just that either.
  verbs: [get, list, watch, create, patch]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end -}}
