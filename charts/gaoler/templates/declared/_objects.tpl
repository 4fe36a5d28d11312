{{/* Everything that the values declare, as a list of objects in JSON. */}}
{{- define "gaoler.declared" -}}
{{- $objects := list -}}
{{- with .Values.james }}
{{- if .enabled }}
{{- $namespace := required "james.namespace: in which namespace does James run?" .namespace }}
{{- $source := dict "pods" (dict "selector" (dict "matchLabels" (.podLabels | default (dict "app" "james")))) "layout" .layout }}
{{- with .containers }}{{ $_ := set $source.pods "containers" . }}{{ end }}
{{- $jails := $.Files.Get "files/james.yaml" | fromYaml }}
{{- $changes := .jails | default dict }}
{{- range $name, $_ := $changes }}
{{- if not (hasKey $jails $name) }}
{{- fail (printf "james.jails.%s: there is no such Jail; there are %s. Others of your own go into `jails`" $name (keys $jails | sortAlpha | join ", ")) }}
{{- end }}
{{- end }}
{{- range $name, $spec := $jails }}
{{- $own := get $changes $name }}
{{- if not (and (hasKey $changes $name) (kindIs "invalid" $own)) }}
{{- $mode := dict "mode" ($spec.mode | default $.Values.james.mode) }}
{{- $enforce := dict }}
{{- with $.Values.james.services }}{{ $enforce = dict "enforce" (dict "services" .) }}{{ end }}
{{- $whole := mergeOverwrite (deepCopy $spec) $mode $enforce (dict "source" (deepCopy $source)) (deepCopy ($own | default dict)) }}
{{- $objects = append $objects (dict "kind" "Jail" "name" $name "namespace" $namespace "spec" $whole) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- with .Values.mailRateLimits }}
{{- if .enabled }}
{{- $namespace := .namespace | default $.Release.Namespace }}
{{- range $name, $spec := $.Files.Get "files/mail-rate-limits.yaml" | fromYaml }}
{{- $whole := merge (dict "mode" $.Values.mailRateLimits.mode) $spec }}
{{- if and $.Values.mailRateLimits.services (eq $spec.protocol "TCP") }}{{ $_ := set $whole "services" $.Values.mailRateLimits.services }}{{ end }}
{{- $objects = append $objects (dict "kind" "RateLimit" "name" $name "namespace" $namespace "spec" $whole) }}
{{- end }}
{{- end }}
{{- end }}
{{- range $field, $kind := dict "filters" "Filter" "jails" "Jail" "rateLimits" "RateLimit" }}
{{- range $name, $it := get $.Values $field | default dict }}
{{- if not (kindIs "invalid" $it) }}
{{- $objects = append $objects (dict "kind" $kind "name" $name "namespace" $it.namespace "spec" $it.spec) }}
{{- end }}
{{- end }}
{{- end }}
{{- range $name, $spec := .Values.allowLists | default dict }}
{{- if not (kindIs "invalid" $spec) }}
{{- $objects = append $objects (dict "kind" "AllowList" "name" $name "spec" $spec) }}
{{- end }}
{{- end }}
{{- $seen := dict }}
{{- $manifests := list }}
{{- range $objects }}
{{- $metadata := dict "name" .name }}
{{- with .namespace }}{{ $_ := set $metadata "namespace" . }}{{ end }}
{{- $which := printf "%s %s/%s" .kind (.namespace | default "") .name }}
{{- if hasKey $seen $which }}{{ fail (printf "%s is declared twice: once in a preset (`james`, `mailRateLimits`) and once by hand" $which) }}{{ end }}
{{- $_ := set $seen $which true }}
{{- $manifests = append $manifests (dict "apiVersion" "gaoler.dev/v1alpha1" "kind" .kind "metadata" $metadata "spec" .spec) }}
{{- end }}
{{- toJson $manifests -}}
{{- end }}
