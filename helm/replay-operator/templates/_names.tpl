{{/* Labels by which pods are selected. They never change: selectors of Deployments are immutable, and the operator
     finds pods by them. Argument: the component. */}}
{{- define "replay.selector" -}}
app.kubernetes.io/name: {{ get (dict "operator" "replay-operator" "agent" "replay-agent" "fleet" "livekit-egress" "doctor" "replay-doctor" "drain" "replay-drain") . }}
app.kubernetes.io/component: {{ . }}
{{- end }}

{{/* Labels of every object. Argument: the root. */}}
{{- define "replay.labels" -}}
app.kubernetes.io/part-of: replay-operator
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Labels of a pod. No version among them: an upgrade that changes nothing in a pod must not roll it.
     Arguments: root, component. */}}
{{- define "replay.podLabels" -}}
{{ include "replay.selector" .component }}
app.kubernetes.io/part-of: replay-operator
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- with mergeOverwrite (dict) .root.Values.commonLabels ((get .root.Values .component | default dict).podLabels | default dict) }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Annotations of an object, with their key, or nothing. Arguments: root, own (annotations of the object itself). */}}
{{- define "replay.annotations" -}}
{{- with mergeOverwrite (dict) .root.Values.commonAnnotations (.own | default dict) }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* An image's reference. Arguments: image, tag (in case the image has none). */}}
{{- define "replay.image" -}}
{{- if .image.digest -}}
{{ .image.repository }}@{{ .image.digest }}
{{- else -}}
{{ .image.repository }}:{{ .image.tag | default .tag }}
{{- end }}
{{- end }}

{{- define "replay.ownImage" -}}
{{ include "replay.image" (dict "image" .Values.image "tag" .Chart.AppVersion) }}
{{- end }}

{{/* A value as a text. A number is a float here, which toString would write as 1e+06 from a million on. */}}
{{- define "replay.text" -}}
{{ kindIs "string" . | ternary . (toJson .) }}
{{- end }}

{{/* Secret with the token that operator and agent share. */}}
{{- define "replay.agentSecret" -}}
{{ .Values.agent.token.existingSecret | default "replay-operator-agent" }}
{{- end }}

{{/* Names of the Secrets that the pods cannot do without, as JSON. */}}
{{- define "replay.neededSecrets" -}}
{{- $names := list .Values.livekit.existingSecret (include "replay.agentSecret" .) }}
{{- with .Values.catalogue }}
{{- if eq .database "Postgres" }}{{ $names = append $names .postgres.existingSecret }}{{ end }}
{{- $names = append $names .quotaCache.existingSecret }}
{{- end }}
{{- with .Values.preview }}
{{- if .enabled }}{{ $names = append $names .api.existingSecret }}{{ end }}
{{- end }}
{{- with .Values.fleet }}
{{- if .enabled }}{{ $names = append $names .configSecret.name }}{{ end }}
{{- end }}
{{- toJson (compact $names | uniq) }}
{{- end }}

{{/* Where browsers reach the preview, or nothing. */}}
{{- define "replay.previewURL" -}}
{{- with .Values.preview -}}
{{- if .url -}}
{{ .url }}
{{- else if and .ingress.enabled .ingress.host -}}
{{ empty .ingress.tlsSecret | ternary "http" "https" }}://{{ .ingress.host }}
{{- end }}
{{- end }}
{{- end }}

{{/* Name of the workers' Deployment and of its autoscaler. */}}
{{- define "replay.fleetName" -}}
{{ .Values.fleet.enabled | ternary "livekit-egress" .Values.fleet.existing.name }}
{{- end }}

{{/* The labels of the workers' pods. */}}
{{- define "replay.fleetSelector" -}}
{{- if .Values.fleet.enabled -}}
{{ include "replay.selector" "fleet" }}
{{- else -}}
{{- $pair := splitn "=" 2 .Values.fleet.existing.selector -}}
{{ $pair._0 }}: {{ $pair._1 | quote }}
{{- end }}
{{- end }}

{{/* Not empty when the buffer volume serves one node only. */}}
{{- define "replay.oneNode" -}}
{{- if ne .Values.storage.buffers.accessMode "ReadWriteMany" }}true{{ end }}
{{- end }}
