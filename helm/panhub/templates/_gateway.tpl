{{/*
The token gateway beside the service: an account of its own, and the only container with Slurm's signing key.
It listens on a unix socket that both see, so nothing of it is in any network.
*/}}
{{- define "panhub.gateway" -}}
- name: gateway-key
  {{- include "panhub.containerImage" . | nindent 2 }}
  command: [install, -m, "0400", -t, /run/panhub-key, /run/panhub-given/jwt_hs256.key]
  volumeMounts:
    - {name: gateway-given, mountPath: /run/panhub-given, readOnly: true}
    - {name: gateway-key, mountPath: /run/panhub-key}
  securityContext:
    {{- include "panhub.containerSecurity" . | nindent 4 }}
    runAsUser: {{ int64 .Values.tokenGateway.user }}
  resources: {{- include "panhub.initResources" . | nindent 4 }}
- name: token-gateway
  restartPolicy: Always
  {{- include "panhub.containerImage" . | nindent 2 }}
  command: [panhub, token-gateway, --config, /etc/panhub-gateway/token-gateway.yaml]
  env:
    - name: HOME
      value: /tmp
    - name: PYTHONUNBUFFERED
      value: "1"
    - name: PYTHONDONTWRITEBYTECODE
      value: "1"
  startupProbe:
    exec: {command: [test, -S, /run/panhub-gateway/tokens.sock]}
    periodSeconds: 1
    failureThreshold: 60
  livenessProbe:
    exec: {command: [test, -S, /run/panhub-gateway/tokens.sock]}
    periodSeconds: 30
  readinessProbe:
    exec: {command: [test, -S, /run/panhub-gateway/tokens.sock]}
    periodSeconds: 30
  securityContext:
    {{- include "panhub.containerSecurity" . | nindent 4 }}
    runAsUser: {{ int64 .Values.tokenGateway.user }}
  resources: {{- toYaml .Values.tokenGateway.resources | nindent 4 }}
  volumeMounts:
    - {name: gateway-socket, mountPath: /run/panhub-gateway}
    - {name: gateway-key, mountPath: /run/panhub-key, readOnly: true}
    - {name: gateway-settings, mountPath: /etc/panhub-gateway, readOnly: true}
    {{- include "panhub.siteMounts" (dict "volumes" .Values.tokenGateway.volumes "prefix" "gateway-site") | nindent 4 }}
{{- end }}
