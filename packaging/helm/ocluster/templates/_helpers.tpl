{{/* The name of everything that belongs to this release. */}}
{{- define "ocluster.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 40 | trimSuffix "-" }}{{ end }}
{{- end }}

{{/* The image of a program: (list . "ocluster-worker"). */}}
{{- define "ocluster.image" -}}
{{- $root := index . 0 }}
{{- with $root.Values.image.registry }}{{ trimSuffix "/" . }}/{{ end }}{{ index . 1 }}:{{ $root.Values.image.tag | default $root.Chart.AppVersion }}
{{- end }}

{{/* What is selected by: (list . "scheduler"). */}}
{{- define "ocluster.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: ocluster
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{- define "ocluster.labels" -}}
{{- $root := index . 0 -}}
{{ include "ocluster.selector" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ $root.Chart.Name }}-{{ $root.Chart.Version }}
{{- end }}

{{/* The address in cap files. */}}
{{- define "ocluster.address" -}}
{{- .Values.scheduler.publicAddress | default (printf "tcp:%s-scheduler.%s.svc:9000" (include "ocluster.name" .) .Release.Namespace) }}
{{- end }}

{{/* The Service that gives the pods of schedulers their names. With files, it is the one that peers use, as ever. */}}
{{- define "ocluster.governor" -}}
{{ include "ocluster.name" . }}-scheduler{{ if .Values.scheduler.store.address }}s{{ end }}
{{- end }}

{{/* The health check of both images: the program's main thread touches the file every five seconds. */}}
{{- define "ocluster.liveness" -}}
exec:
  command: [sh, -c, "find \"$OCLUSTER_HEALTH_FILE\" -newermt '-30 seconds' | grep -q ."]
initialDelaySeconds: 30
periodSeconds: 10
timeoutSeconds: 10
failureThreshold: 3
{{- end }}

{{/* The secret with the cap file of a pool. */}}
{{- define "ocluster.capSecret" -}}
ocluster-pool-{{ . | replace "_" "-" | lower }}
{{- end }}
