{{/* What all our pods have in common. */}}

{{/* Security of a pod: (dict "root" $ "groups" list). */}}
{{- define "panhub.podSecurity" -}}
runAsNonRoot: true
{{- with .root.Values.runAs.user }}
runAsUser: {{ int64 . }}
{{- end }}
{{- with .root.Values.runAs.group }}
runAsGroup: {{ int64 . }}
fsGroup: {{ int64 . }}
fsGroupChangePolicy: OnRootMismatch
{{- end }}
{{- with .groups }}
supplementalGroups: {{ toJson . }}
{{- end }}
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "panhub.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{/* Placement: (dict "root" $ "component" .Values.hub). */}}
{{- define "panhub.placement" -}}
enableServiceLinks: false
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- with .component.nodeSelector }}
nodeSelector: {{ toJson . }}
{{- end }}
{{- with .component.tolerations }}
tolerations: {{ toJson . }}
{{- end }}
{{- with .component.priorityClass }}
priorityClassName: {{ . }}
{{- end }}
{{- end }}

{{/* Image and policy of a container of ours. */}}
{{- define "panhub.containerImage" -}}
image: {{ include "panhub.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
{{- end }}

{{- define "panhub.env" -}}
- name: PANHUB_CONFIG
  value: /etc/panhub/panhub.yaml
- name: HOME
  value: /var/lib/panhub
- name: PYTHONUNBUFFERED
  value: "1"
- name: PYTHONDONTWRITEBYTECODE
  value: "1"
{{- if include "panhub.passwords" . }}
- name: PGPASSFILE
  value: /run/panhub/secrets/pgpass
{{- end }}
{{- if .Values.trustedCertificates }}
- name: SSL_CERT_FILE
  value: /etc/panhub-trust/{{ .Values.trustedCertificates.key | default "ca.crt" }}
{{- end }}
{{- end }}

{{- define "panhub.mounts" -}}
- {name: settings, mountPath: /etc/panhub, readOnly: true}
- {name: secrets, mountPath: /run/panhub/secrets, readOnly: true}
- {name: state, mountPath: /var/lib/panhub{{ with .statePath }}, subPath: {{ . }}{{ end }}}
- {name: tmp, mountPath: /tmp}
{{- if .root.Values.trustedCertificates }}
- {name: trust, mountPath: /etc/panhub-trust, readOnly: true}
{{- end }}
{{- with .files }}
- {name: files, mountPath: /run/panhub/files, readOnly: true}
{{- end }}
{{- end }}

{{/*
Secrets as files that only their reader may read: Kubernetes mounts them readable for the group, which our
processes, libpq and OpenSSH refuse. (dict "root" $ "keys" list "files" list "passwords" bool "oidc" bool)
*/}}
{{- define "panhub.secretsInit" -}}
- name: secrets
  {{- include "panhub.containerImage" .root | nindent 2 }}
  command:
    - install
    - -m
    - "0400"
    - -t
    - /run/panhub/secrets
    {{- range .keys }}
    - /run/panhub/given/{{ . }}
    {{- end }}
    {{- if .oidc }}
    - /run/panhub/given/oidc
    {{- end }}
    {{- if and .passwords (include "panhub.passwords" .root) }}
    - /run/panhub/given/pgpass
    {{- end }}
  volumeMounts:
    - {name: given, mountPath: /run/panhub/given, readOnly: true}
    - {name: secrets, mountPath: /run/panhub/secrets}
  securityContext: {{- include "panhub.containerSecurity" . | nindent 4 }}
  resources: {{- include "panhub.initResources" . | nindent 4 }}
{{- with .files }}
- name: secret-files
  {{- include "panhub.containerImage" $.root | nindent 2 }}
  command:
    - install
    - -m
    - "0400"
    - -t
    - /run/panhub/files
    {{- range . }}
    - /run/panhub/given/{{ .file }}
    {{- end }}
  volumeMounts:
    - {name: given-files, mountPath: /run/panhub/given, readOnly: true}
    - {name: files, mountPath: /run/panhub/files}
  securityContext: {{- include "panhub.containerSecurity" $ | nindent 4 }}
  resources: {{- include "panhub.initResources" $ | nindent 4 }}
{{- end }}
{{- end }}

{{/* Who needs the bundled database waits for it, in place of failing until it is there. */}}
{{- define "panhub.databaseInit" -}}
{{- if eq .Values.database.kind "bundled" }}
- name: database
  {{- include "panhub.containerImage" . | nindent 2 }}
  command: [python3, -m, hub.chart.health, "tcp://{{ include "panhub.name" . }}-database:5432"]
  env:
    - {name: PYTHONDONTWRITEBYTECODE, value: "1"}
  securityContext: {{- include "panhub.containerSecurity" . | nindent 4 }}
  resources: {{- include "panhub.initResources" . | nindent 4 }}
{{- end }}
{{- end }}

{{- define "panhub.initResources" -}}
requests: {cpu: 10m, memory: 16Mi}
limits: {cpu: "1", memory: 64Mi}
{{- end }}

{{- define "panhub.secretsVolumes" -}}
- name: given
  projected:
    sources:
      - secret:
          name: {{ include "panhub.secret" .root }}
          items:
            {{- range .keys }}
            - {key: {{ . }}, path: {{ . }}}
            {{- end }}
      {{- if .oidc }}
      - secret:
          name: {{ .root.Values.secrets.oidc.existingSecret }}
          items:
            - {key: {{ .root.Values.secrets.oidc.key | default "client-secret" }}, path: oidc}
      {{- end }}
      {{- if and .passwords (include "panhub.passwords" .root) }}
      - secret:
          name: {{ include "panhub.passwords" .root }}
          items:
            - {key: {{ include "panhub.passwordsKey" .root }}, path: pgpass}
      {{- end }}
- name: secrets
  emptyDir: {medium: Memory, sizeLimit: 1Mi}
{{- with .files }}
- name: given-files
  projected:
    sources:
      {{- range . }}
      - secret:
          name: {{ .secret }}
          items:
            - {key: {{ .key }}, path: {{ .file }}}
      {{- end }}
- name: files
  emptyDir: {medium: Memory, sizeLimit: 4Mi}
{{- end }}
- name: tmp
  emptyDir: {sizeLimit: 1Gi}
{{- with .root.Values.trustedCertificates }}
- name: trust
  configMap:
    name: {{ .configMap }}
{{- end }}
{{- end }}

{{/* Volumes that the values name: (dict "volumes" list "prefix" "site"). */}}
{{- define "panhub.siteVolumes" -}}
{{- $prefix := .prefix }}
{{- range $i, $volume := .volumes }}
- name: {{ $prefix }}-{{ $i }}
  {{- with $volume.source }}
  {{- if eq .kind "claim" }}
  persistentVolumeClaim: {claimName: {{ .claim }}, readOnly: {{ ternary $volume.readOnly true (hasKey $volume "readOnly") }}}
  {{- else if eq .kind "nfs" }}
  nfs: {server: {{ .server | quote }}, path: {{ .export | quote }}}
  {{- else if eq .kind "host" }}
  hostPath: {path: {{ .folder | quote }}, type: Directory}
  {{- else if eq .kind "configMap" }}
  configMap: {name: {{ .configMap }}}
  {{- else }}
  secret: {secretName: {{ .secret }}}
  {{- end }}
  {{- end }}
{{- end }}
{{- end }}

{{- define "panhub.siteMounts" -}}
{{- $prefix := .prefix }}
{{- range $i, $volume := .volumes }}
- name: {{ $prefix }}-{{ $i }}
  mountPath: {{ $volume.path | quote }}
  readOnly: {{ ternary $volume.readOnly true (hasKey $volume "readOnly") }}
  {{- with $volume.subPath }}
  subPath: {{ . | quote }}
  {{- end }}
{{- end }}
{{- end }}

{{/* State of hub or service: (dict "root" $ "component" "hub" "storage" nil-or-storage). */}}
{{- define "panhub.stateVolume" -}}
- name: state
  {{- if .storage }}
  persistentVolumeClaim:
    claimName: {{ .storage.existingClaim | default (printf "%s-%s" (include "panhub.name" .root) .component) }}
  {{- else }}
  emptyDir: {sizeLimit: 1Gi}
  {{- end }}
{{- end }}

{{/* A claim of the chart: (dict "root" $ "component" "hub" "storage" storage). */}}
{{- define "panhub.claim" -}}
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: {{ include "panhub.name" .root }}-{{ .component }}
  labels: {{- include "panhub.labels" . | nindent 4 }}
spec:
  accessModes: [ReadWriteOnce]
  {{- with .storage.storageClass }}
  storageClassName: {{ . }}
  {{- end }}
  resources:
    requests:
      storage: {{ .storage.size }}
{{- end }}

{{/* A service: (dict "root" $ "component" "hub" "name" "hub" "expose" expose "port" 8081 "target" "http"). */}}
{{- define "panhub.service" -}}
apiVersion: v1
kind: Service
metadata:
  name: {{ include "panhub.name" .root }}-{{ .name }}
  labels: {{- include "panhub.labels" . | nindent 4 }}
  {{- with .expose.annotations }}
  annotations: {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  type: {{ .expose.type | default "ClusterIP" }}
  selector: {{- include "panhub.selector" . | nindent 4 }}
  {{- with .expose.sourceRanges }}
  loadBalancerSourceRanges: {{ toJson . }}
  {{- end }}
  ports:
    - name: {{ .target }}
      port: {{ .port }}
      targetPort: {{ .target }}
      {{- with .expose.nodePort }}
      nodePort: {{ int64 . }}
      {{- end }}
{{- end }}

{{/* Probes by HTTP: (dict "path" "/hub/health" "port" "http"). */}}
{{- define "panhub.probes" -}}
startupProbe:
  httpGet: {path: {{ .path }}, port: {{ .port }}}
  periodSeconds: 2
  timeoutSeconds: 5
  failureThreshold: 90
readinessProbe:
  httpGet: {path: {{ .path }}, port: {{ .port }}}
  periodSeconds: 5
  timeoutSeconds: 5
livenessProbe:
  httpGet: {path: {{ .path }}, port: {{ .port }}}
  periodSeconds: 20
  timeoutSeconds: 10
  failureThreshold: 6
{{- end }}
