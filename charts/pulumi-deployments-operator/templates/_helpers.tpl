{{- define "pulumi-deployments-operator.name" -}}
{{- .Values.nameOverride | default .Chart.Name -}}
{{- end -}}

{{/* The name of what belongs to a release. */}}
{{- define "pulumi-deployments-operator.fullname" -}}
{{- $name := include "pulumi-deployments-operator.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 53 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 53 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* What tells this release's pods from all others. It can never change. */}}
{{- define "pulumi-deployments-operator.selectorLabels" -}}
app.kubernetes.io/name: {{ include "pulumi-deployments-operator.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "pulumi-deployments-operator.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "pulumi-deployments-operator.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "pulumi-deployments-operator.serviceAccount" -}}
{{- .Values.serviceAccount.name | default (include "pulumi-deployments-operator.fullname" .) -}}
{{- end -}}

{{- define "pulumi-deployments-operator.image" -}}
{{- with .Values.image -}}
{{- if contains "/OWNER/" .repository -}}
{{- fail "image.repository still names OWNER: no image is published yet. Build one, push it to a registry that the cluster can pull from, and set image.repository to its name." -}}
{{- end -}}
{{- if .digest -}}
{{- printf "%s@%s" .repository .digest -}}
{{- else -}}
{{- printf "%s:%s" .repository (.tag | default $.Chart.AppVersion) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* A list of the values and a switch: "true", or nothing. Left to itself, it is on in watchNamespaces only. */}}
{{- define "pulumi-deployments-operator.isOn" -}}
{{- $values := index . 0 -}}
{{- $switch := index . 1 -}}
{{- if kindIs "bool" $switch }}{{ if $switch }}true{{ end }}{{ else if $values.watchNamespaces }}true{{ end -}}
{{- end -}}

{{/* Whether Secrets are watched: "true", or nothing. */}}
{{- define "pulumi-deployments-operator.watchSecrets" -}}
{{- include "pulumi-deployments-operator.isOn" (list .Values .Values.secrets.watch) -}}
{{- end -}}

{{/* Whether outputs are written: "true", or nothing. */}}
{{- define "pulumi-deployments-operator.writeOutputs" -}}
{{- include "pulumi-deployments-operator.isOn" (list .Values .Values.outputs.enabled) -}}
{{- end -}}

{{/* The subject of every binding. */}}
{{- define "pulumi-deployments-operator.subjects" -}}
- kind: ServiceAccount
  name: {{ include "pulumi-deployments-operator.serviceAccount" . }}
  namespace: {{ .Release.Namespace }}
{{- end -}}
