{{/* Parts of the network policies. */}}

{{/* Egress to where names are resolved. */}}
{{- define "panhub.dnsEgress" -}}
{{- with .Values.networkPolicy.dns }}
- to:
    - namespaceSelector:
        matchLabels: {kubernetes.io/metadata.name: {{ .namespace }}}
      podSelector:
        matchLabels: {{ toJson .podLabels }}
    {{- range .networks }}
    - ipBlock: {cidr: {{ . | quote }}}
    {{- end }}
  ports:
    - {protocol: UDP, port: {{ int64 .port }}}
    - {protocol: TCP, port: {{ int64 .port }}}
    {{- if and .networks (ne (int64 .port) 53) }}
    - {protocol: UDP, port: 53}
    - {protocol: TCP, port: 53}
    {{- end }}
{{- end }}
{{- end }}

{{/* A component of ours in this namespace: (dict "root" $ "components" (list "hub")). */}}
{{- define "panhub.peers" -}}
{{- range .components }}
- podSelector:
    matchLabels: {{- include "panhub.selector" (dict "root" $.root "component" .) | nindent 6 }}
{{- end }}
{{- end }}

{{/* The sessions' pods in this cluster. */}}
{{- define "panhub.sessionPeer" -}}
{{- if include "panhub.cluster" . }}
- namespaceSelector:
    matchLabels: {kubernetes.io/metadata.name: {{ .Values.sessions.namespace }}}
  podSelector:
    matchLabels: {{- include "panhub.sessionSelector" . | nindent 6 }}
{{- end }}
{{- end }}

{{/* Nodes outside the cluster whose sessions are ours. */}}
{{- define "panhub.nodePeers" -}}
{{- range .Values.networkPolicy.nodeNetworks }}
- ipBlock: {cidr: {{ . | quote }}}
{{- end }}
{{- end }}

{{/* Head of a policy: (dict "root" $ "component" "hub"). */}}
{{- define "panhub.policyHead" -}}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: {{ include "panhub.name" .root }}-{{ .component }}
  labels: {{- include "panhub.labels" . | nindent 4 }}
spec:
  podSelector:
    matchLabels: {{- include "panhub.selector" . | nindent 6 }}
{{- end }}
