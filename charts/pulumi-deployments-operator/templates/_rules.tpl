{{/* What the operator does in a namespace that it looks after, and nothing else. */}}
{{- define "pulumi-deployments-operator.rules" -}}
- apiGroups: [deployments.pulumi.com]
  resources: [organizations, stackdeploymentsettings, pulumideployments]
  # The patch is that of finalizers and annotations.
  verbs: [get, list, watch, patch]
- apiGroups: [deployments.pulumi.com]
  resources: [organizations/status, stackdeploymentsettings/status, pulumideployments/status]
  verbs: [patch]
# Only what a resource refers to is read. There is no right to do just that.
- apiGroups: [""]
  resources: [secrets, configmaps]
  verbs: [get]
# Only metadata is listed and watched. There is no right to do just that either.
- apiGroups: [""]
  resources: [{{ if include "pulumi-deployments-operator.watchSecrets" . }}secrets, {{ end }}configmaps]
  verbs: [list, watch]
{{- if include "pulumi-deployments-operator.writeOutputs" . }}
# Stacks' outputs are written into those of a Deployment's own, and into no others.
- apiGroups: [""]
  resources: [secrets, configmaps]
  verbs: [create, patch]
{{- end }}
{{- if .Values.keyless.enabled }}
# Identities that Pulumi Cloud gives access tokens for.
- apiGroups: [""]
  resources: [serviceaccounts/token]
  {{- with .Values.keyless.serviceAccountNames }}
  resourceNames: {{ toJson . }}
  {{- end }}
  verbs: [create]
{{- end }}
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create]
{{- end -}}
