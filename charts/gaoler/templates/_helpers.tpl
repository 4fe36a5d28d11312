{{/*
Names are fixed, not made of the release's: there is one Gaoler in a cluster (one table on each node, one House), and a
second release must fail instead of fighting with the first.
*/}}

{{/*
Whether this goes to a cluster, or to somebody who knows what hooks are (Argo CD tells Helm which kinds its cluster has):
every API server has this group, and `helm template` by itself does not.
*/}}
{{- define "gaoler.connected" -}}
{{- if .Capabilities.APIVersions.Has "apiregistration.k8s.io/v1" }}true{{ end -}}
{{- end }}

{{/* What selects a component's pods. (dict "root" $ "component" "agent") */}}
{{- define "gaoler.selector" -}}
app.kubernetes.io/name: gaoler
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{/* Labels of an object; a component only where it has one. */}}
{{- define "gaoler.labels" -}}
app.kubernetes.io/name: gaoler
{{- with .component }}
app.kubernetes.io/component: {{ . }}
{{- end }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "gaoler.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end -}}
{{- end -}}
{{- end }}

{{/* A pod without any right. */}}
{{- define "gaoler.nobody" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{/* A container that can do nothing but what its program does. */}}
{{- define "gaoler.confined" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{/*
The pod of a Job or test that runs one verb with an account of its own.
(dict "root" $ "name" "gaoler-definitions" "command" (list …) "volume" "ConfigMap, mounted at /etc/gaoler")
*/}}
{{- define "gaoler.verb" -}}
serviceAccountName: {{ .name }}
restartPolicy: Never
enableServiceLinks: false
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
{{- toYaml . | nindent 0 }}
{{- end }}
{{- with .root.Values.hooks.nodeSelector }}
nodeSelector:
{{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.hooks.tolerations }}
tolerations:
{{- toYaml . | nindent 0 }}
{{- end }}
securityContext:
{{- include "gaoler.nobody" . | nindent 2 }}
containers:
- name: gaoler
  image: {{ include "gaoler.image" .root | quote }}
  imagePullPolicy: {{ .root.Values.image.pullPolicy }}
  command: {{ toJson .command }}
  # Where Helm does not show what it said, `kubectl describe` of its pod does.
  terminationMessagePolicy: FallbackToLogsOnError
  securityContext:
  {{- include "gaoler.confined" . | nindent 4 }}
  resources:
  {{- toYaml .root.Values.hooks.resources | nindent 4 }}
  {{- if .volume }}
  volumeMounts:
  - {name: declared, mountPath: /etc/gaoler, readOnly: true}
  {{- end }}
{{- if .volume }}
volumes:
- name: declared
  configMap: {name: {{ .volume }}}
{{- end }}
{{- end }}

{{/* Annotations of a hook. What it says is shown by Helm 3.18 and later. (dict "hook" "pre-delete" "weight" 0) */}}
{{- define "gaoler.hook" -}}
helm.sh/hook: {{ .hook }}
helm.sh/hook-weight: {{ .weight | quote }}
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end }}
