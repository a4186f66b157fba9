{{/* Where a pod may run, and what pulls its image. Arguments: root, component. */}}
{{- define "replay.placement" -}}
{{- $own := get .root.Values .component -}}
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $own.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with $own.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $own.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $own.topologySpreadConstraints }}
topologySpreadConstraints:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $own.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Annotations of a pod, with their key, or nothing. Arguments: own, checksums (text). */}}
{{- define "replay.podAnnotations" -}}
{{- with mergeOverwrite (dict) (.checksums | fromYaml) .own }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Variables with LiveKit's address, key and secret. Arguments: root, url (the name of the variable for the address). */}}
{{- define "replay.livekitEnv" -}}
{{- $livekit := .root.Values.livekit -}}
{{- range list (list .url $livekit.urlKey) (list "LIVEKIT_API_KEY" $livekit.apiKeyKey) (list "LIVEKIT_API_SECRET" $livekit.apiSecretKey) }}
- name: {{ first . }}
  valueFrom:
    secretKeyRef:
      name: {{ $livekit.existingSecret }}
      key: {{ last . }}
{{- end }}
{{- end }}

{{/* Variables with fields of the pod. Argument: a list of names and paths. */}}
{{- define "replay.fieldEnv" -}}
{{- range . }}
- name: {{ first . }}
  valueFrom:
    fieldRef:
      fieldPath: {{ last . }}
{{- end }}
{{- end }}

{{/* What is told to whoever captures are told to is signed; the settings are not valid without it. */}}
{{- define "replay.notifyEnv" -}}
# Signs what is sent to REPLAY_NOTIFY_URL; needed with it only.
- name: REPLAY_NOTIFY_SECRET
  valueFrom:
    secretKeyRef:
      name: {{ .Values.notify.existingSecret }}
      key: {{ .Values.notify.secretKey }}
      optional: true
{{- end }}

{{/* Changes with LiveKit's key, when the chart has it: what holds the old one must start again. */}}
{{- define "replay.livekitChecksum" -}}
{{- if .Values.livekit.create }}
checksum/livekit: {{ pick .Values.livekit "url" "apiKey" "apiSecret" | toJson | sha256sum }}
{{- end }}
{{- end }}

{{/* Security and place of a hook's pod. It has no volume that a group would matter to. */}}
{{- define "replay.hookSecurity" -}}
securityContext:
  {{- omit .Values.operator.podSecurityContext "fsGroup" "fsGroupChangePolicy" | toYaml | nindent 2 }}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.operator.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.operator.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
