{{/* Mistakes that the schema could refuse as well, but not in words that say what to do. Nothing, or the end. */}}
{{- define "pulumi-deployments-operator.check" -}}
{{- if and .Values.keyless.serviceAccountNames (not .Values.keyless.enabled) -}}
{{- fail "keyless.serviceAccountNames is set, and keyless.enabled is false: the operator may request tokens of no ServiceAccount. Set keyless.enabled to true, or leave keyless.serviceAccountNames empty." -}}
{{- end -}}
{{- $set := dict "https" "HTTPS_PROXY" "http" "HTTP_PROXY" "none" "NO_PROXY" -}}
{{- range $value, $variable := $set -}}
{{- range $.Values.extraEnv -}}
{{- if and (eq (upper .name) $variable) (index $.Values.proxy $value) -}}
{{- fail (printf "proxy.%s and %s of extraEnv are both set, and only one can count. Leave proxy.%s empty to take the variable." $value .name $value) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range $value := list "https" "http" -}}
{{- if regexMatch "://[^/@]*:[^/]*@" (index $.Values.proxy $value | default "") -}}
{{- fail (printf "proxy.%s has a password in it, which everybody could read who may look at the pod. Leave it empty, and give the whole URL in extraEnv: {name: %s, valueFrom: {secretKeyRef: …}}." $value (get $set $value)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
