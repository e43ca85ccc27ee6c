{{/* The application's settings as the chart completes them, in JSON (which is YAML): numbers stay what they are. */}}
{{- define "panhub.settings" -}}
{{- $name := include "panhub.name" . -}}
{{- $secrets := "/run/panhub/secrets" -}}
{{- $settings := deepCopy .Values.settings -}}
{{- $reach := printf "%s-service.%s.svc" $name .Release.Namespace -}}
{{- $hubReach := printf "%s-hub.%s.svc" $name .Release.Namespace -}}

{{- $service := dict
  "bind" "0.0.0.0" "port" 8002 "address" (printf "%s-service" $name)
  "internal_secret_file" (printf "%s/internal" $secrets)
  "state" "/var/lib/panhub/service" -}}
{{- $service = merge $service (default dict $settings.service) (dict "session_report_url" (printf "http://%s:8002" $reach)) -}}
{{- $_ := set $settings "service" $service -}}

{{- $hub := dict
  "bind" "0.0.0.0" "port" 8081 "address" (printf "%s-hub" $name)
  "database" (include "panhub.hubDatabase" .)
  "service_token_file" (printf "%s/service-token" $secrets)
  "crypt_key_file" (printf "%s/crypt-key" $secrets)
  "cookie_secret_file" (printf "%s/cookie" $secrets)
  "proxy_api_url" (printf "http://%s-proxy-api:8001" $name)
  "proxy_token_file" (printf "%s/proxy-token" $secrets) -}}
{{- $hub = merge $hub (default dict $settings.hub) (dict "session_url" (printf "http://%s:8081" $hubReach)) -}}
{{- $_ := set $settings "hub" $hub -}}

{{- $_ := set $settings "database" (dict "url" (include "panhub.serviceDatabase" .)) -}}
{{- $_ := set $settings "identity" (merge (dict "client_secret_file" (printf "%s/oidc" $secrets)) $settings.identity) -}}
{{- $_ := set $settings "profiles" (merge (dict "file" "/etc/panhub/profiles.yaml") (default dict $settings.profiles)) -}}
{{- $_ := set $settings "local" (dict "state" "/var/lib/panhub/local") -}}

{{- if .Values.desktop.enabled -}}
{{- $guacd := dict "kind" "sandbox" "root" "/opt/panhub/guacd" -}}
{{- if eq .Values.desktop.guacd.kind "sidecar" }}{{ $guacd = dict "kind" "address" "host" "127.0.0.1" "port" 4822 }}{{ end -}}
{{- $desktop := dict
  "bind" "0.0.0.0" "port" 8004 "address" (printf "%s-desktop" $name)
  "secret_file" (printf "%s/desktop" $secrets)
  "service_token_file" (printf "%s/desktop-token" $secrets)
  "key_file" (printf "%s/desktop-key" $secrets)
  "guacd" $guacd -}}
{{- $_ := set $settings "desktop" (merge $desktop (default dict $settings.desktop)) -}}
{{- end -}}

{{- with include "panhub.cluster" . -}}
{{- $cluster := default dict (get $settings.kubernetes.clusters .) -}}
{{- $cluster = merge $cluster (dict
  "namespace" $.Values.sessions.namespace
  "report_url" (printf "http://%s:8002" $reach)
  "hub_api_url" (printf "http://%s:8081/hub/api" $hubReach)
  "priority_class" $.Values.sessions.priorityClass.name) -}}
{{- if ne $.Values.sessions.warmPriorityClass.name "panhub-warm" -}}
{{- range $pool := $cluster.pools -}}
{{- $_ := set $pool "warm" (merge (default dict $pool.warm) (dict "priority_class" $.Values.sessions.warmPriorityClass.name)) -}}
{{- end -}}
{{- end -}}
{{- $_ := set $settings.kubernetes.clusters . $cluster -}}
{{- end -}}
{{- toPrettyJson $settings -}}
{{- end }}

{{- define "panhub.hubDatabase" -}}
{{- if eq .Values.database.kind "sqlite" -}}
sqlite:////var/lib/panhub/jupyterhub.sqlite
{{- else if eq .Values.database.kind "bundled" -}}
postgresql+psycopg://jupyterhub@{{ include "panhub.name" . }}-database/jupyterhub
{{- else -}}
{{- .Values.database.external.hubUrl -}}
{{- end -}}
{{- end }}

{{- define "panhub.serviceDatabase" -}}
{{- if eq .Values.database.kind "sqlite" -}}
sqlite:////var/lib/panhub/panhub.sqlite
{{- else if eq .Values.database.kind "bundled" -}}
postgresql+psycopg://panhub@{{ include "panhub.name" . }}-database/panhub
{{- else -}}
{{- .Values.database.external.url -}}
{{- end -}}
{{- end }}

{{/* The token gateway's file. */}}
{{- define "panhub.gatewaySettings" -}}
{{- merge (dict
  "socket" "/run/panhub-gateway/tokens.sock"
  "key_file" "/run/panhub-key/jwt_hs256.key"
  "peers" (list .Values.runAs.user)) .Values.tokenGateway.settings | toPrettyJson -}}
{{- end }}

{{/* What no schema can say: stops the rendering with a sentence. */}}
{{- define "panhub.check" -}}
{{- $clusters := list -}}
{{- $kubernetes := default dict .Values.settings.kubernetes -}}
{{- range $name, $cluster := default dict $kubernetes.clusters -}}
{{- $cluster = default dict $cluster -}}
{{- if not $cluster.kubeconfig -}}
{{- $clusters = append $clusters $name -}}
{{- if and $cluster.namespace (ne $cluster.namespace $.Values.sessions.namespace) -}}
{{- fail (printf "settings.kubernetes.clusters.%s.namespace is %s, but sessions.namespace is %s: leave the first out" $name $cluster.namespace $.Values.sessions.namespace) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if gt (len $clusters) 1 -}}
{{- fail (printf "settings.kubernetes.clusters: %s have no kubeconfig, but only one can be the cluster of this release" (join " and " $clusters)) -}}
{{- end -}}
{{- if and $clusters (eq .Values.sessions.namespace .Release.Namespace) -}}
{{- fail "sessions.namespace is that of the release: sessions need one for them alone" -}}
{{- end -}}
{{- range $name, $place := .Values.profiles.places -}}
{{- if eq $place.backend "local" -}}
{{- fail (printf "profiles.places.%s: there is no place of the kind local in a cluster; sessions would run in the pod of the service" $name) -}}
{{- end -}}
{{- end -}}
{{- if eq .Values.database.kind "external" -}}
{{- with .Values.database.external -}}
{{- if or (not .hubUrl) (not .url) -}}
{{- fail "database.external.hubUrl and database.external.url are needed; for a trial set database.kind to sqlite" -}}
{{- end -}}
{{- if eq .hubUrl .url -}}
{{- fail "database.external: hub and service need a database each" -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and (not .Values.desktop.enabled) .Values.settings.desktop -}}
{{- fail "settings.desktop is given, but desktop.enabled is false" -}}
{{- end -}}
{{- if and (eq .Values.ingress.kind "gateway") (not .Values.ingress.parents) -}}
{{- fail "ingress.parents: a route needs a Gateway" -}}
{{- end -}}
{{- if .Values.tokenGateway.enabled -}}
{{- if not .Values.tokenGateway.key -}}
{{- fail "tokenGateway.key: name the Secret with Slurm's signing key" -}}
{{- end -}}
{{- if or (not .Values.runAs.user) (eq (int64 .Values.runAs.user) (int64 .Values.tokenGateway.user)) -}}
{{- fail "tokenGateway.user: the gateway knows the service by its user id, so runAs.user must be set and another one" -}}
{{- end -}}
{{- end -}}
{{- end }}
