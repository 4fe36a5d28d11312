{{/*
The account of a hook, with a role for the whole cluster and perhaps one in the release's namespace: made for the Job,
gone with it. (dict "root" $ "name" … "hook" … "component" … "rules" "YAML" "local" "YAML")
*/}}
{{- define "gaoler.account" -}}
{{- $annotations := include "gaoler.hook" (dict "hook" .hook "weight" -10) -}}
{{- $labels := include "gaoler.labels" . -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ .name }}
  namespace: {{ .root.Release.Namespace }}
  labels:
  {{- $labels | nindent 4 }}
  annotations:
  {{- $annotations | nindent 4 }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: {{ .name }}
  labels:
  {{- $labels | nindent 4 }}
  annotations:
  {{- $annotations | nindent 4 }}
rules:
{{ .rules }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: {{ .name }}
  labels:
  {{- $labels | nindent 4 }}
  annotations:
  {{- $annotations | nindent 4 }}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: {{ .name }}}
subjects:
- {kind: ServiceAccount, name: {{ .name }}, namespace: {{ .root.Release.Namespace }}}
{{- with .local }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: {{ $.name }}
  namespace: {{ $.root.Release.Namespace }}
  labels:
  {{- $labels | nindent 4 }}
  annotations:
  {{- $annotations | nindent 4 }}
rules:
{{ . }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: {{ $.name }}
  namespace: {{ $.root.Release.Namespace }}
  labels:
  {{- $labels | nindent 4 }}
  annotations:
  {{- $annotations | nindent 4 }}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: {{ $.name }}}
subjects:
- {kind: ServiceAccount, name: {{ $.name }}, namespace: {{ $.root.Release.Namespace }}}
{{- end }}
{{- end }}

{{/* The Job of a hook. (dict "root" $ "name" … "hook" … "component" … "command" (list …) "seconds" 600 "volume" …) */}}
{{- define "gaoler.job" -}}
apiVersion: batch/v1
kind: Job
metadata:
  name: {{ .name }}
  namespace: {{ .root.Release.Namespace }}
  labels:
  {{- include "gaoler.labels" . | nindent 4 }}
  annotations:
  {{- include "gaoler.hook" (dict "hook" .hook "weight" 0) | nindent 4 }}
    helm.sh/hook-output-log-policy: hook-succeeded,hook-failed
spec:
  backoffLimit: {{ .tries | default 3 }}
  activeDeadlineSeconds: {{ .seconds }}
  template:
    metadata:
      labels:
      {{- include "gaoler.selector" . | nindent 8 }}
    spec:
    {{- include "gaoler.verb" . | nindent 6 }}
{{- end }}
