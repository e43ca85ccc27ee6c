{{/* Names and labels. */}}

{{- define "panhub.name" -}}
{{- if contains "panhub" .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}{{ else }}{{ printf "%s-panhub" .Release.Name | trunc 40 | trimSuffix "-" }}{{ end }}
{{- end }}

{{/* Labels of a component: (dict "root" $ "component" "hub"). */}}
{{- define "panhub.selector" -}}
app.kubernetes.io/name: panhub
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "panhub.labels" -}}
{{ include "panhub.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end }}

{{/* Labels by which the engine's pods are known (spawners/kubernetes/naming.py). */}}
{{- define "panhub.sessionSelector" -}}
app.kubernetes.io/managed-by: panhub
app.kubernetes.io/component: session
{{- end }}

{{- define "panhub.image" -}}
{{- with .Values.image -}}
{{- if .digest }}{{ .repository }}@{{ .digest }}{{ else }}{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end -}}
{{- end }}

{{- define "panhub.secret" -}}
{{ .Values.secrets.existingSecret | default (printf "%s-secrets" (include "panhub.name" .)) }}
{{- end }}

{{/* Secret and key with the databases' passwords; nothing where there are none. */}}
{{- define "panhub.passwords" -}}
{{- if eq .Values.database.kind "bundled" }}{{ include "panhub.name" . }}-database
{{- else if eq .Values.database.kind "external" }}{{ with .Values.database.external.passwords }}{{ .existingSecret }}{{ end }}
{{- end }}
{{- end }}

{{- define "panhub.passwordsKey" -}}
{{- if eq .Values.database.kind "external" }}{{ .Values.database.external.passwords.key | default "pgpass" }}{{ else }}pgpass{{ end }}
{{- end }}

{{/* Name of the cluster of the settings that this one is, or nothing. */}}
{{- define "panhub.cluster" -}}
{{- $kubernetes := default dict .Values.settings.kubernetes -}}
{{- range $name, $cluster := default dict $kubernetes.clusters }}{{ if not (default dict $cluster).kubeconfig }}{{ $name }}{{ end }}{{ end -}}
{{- end }}

{{- define "panhub.seesNodes" -}}
{{- with include "panhub.cluster" . -}}
{{- $cluster := default dict (get $.Values.settings.kubernetes.clusters .) -}}
{{- if $cluster.sees_nodes }}yes{{ end -}}
{{- end -}}
{{- end }}
