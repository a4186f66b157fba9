"""Ways to install that differ in what is rendered."""

from collections.abc import Mapping
from typing import Any

VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "default": {},
    "several nodes": {
        "storage": {
            "buffers": {"accessMode": "ReadWriteMany", "storageClass": "fast-shared"},
            "archive": {"accessMode": "ReadWriteMany", "storageClass": "shared"},
        },
        "operator": {"replicas": 2, "pdb": {"enabled": True}},
        "catalogue": {"database": "Postgres"},
    },
    "a fleet of one's own": {
        "fleet": {
            "enabled": False,
            "existing": {"name": "egress", "selector": "app.kubernetes.io/name=egress", "healthPort": 8090},
        },
    },
    "secrets of its own": {
        "livekit": {"create": True, "url": "ws://livekit:7880", "apiKey": "key", "apiSecret": "secret"},
        "agent": {"token": {"existingSecret": "agent-token"}},
        "fleet": {"configSecret": {"name": "egress-config", "key": "config.yaml"}},
        "notify": {"url": "https://backend.example/events"},
    },
    "another release": {
        "crds": {"enabled": False},
        "rbac": {"aggregateRoles": False},
        "catalogue": {"database": "None"},
    },
    "as little as possible": {
        "crds": {"enabled": False},
        "rbac": {"aggregateRoles": False},
        "livekit": {"existingSecret": "livekit-of-the-team"},
        "agent": {"token": {"existingSecret": "agent-token"}},
        "catalogue": {"database": "None"},
        "fleet": {
            "enabled": False,
            "existing": {"name": "egress", "selector": "app=egress", "healthPort": 8080},
        },
        "doctor": {"enabled": False},
        "drain": {"enabled": False},
    },
    "everything": {
        "image": {"repository": "registry.example/replay", "digest": f"sha256:{'a' * 64}"},
        "imagePullSecrets": [{"name": "registry"}],
        "commonLabels": {"team": "media"},
        "commonAnnotations": {"example.com/owner": "media"},
        "crds": {"annotations": {"example.com/why": "replay"}},
        "captures": {
            "nodeLabels": {"disk": "fast"},
            "priorityClassName": "replay-captures",
            "serviceAccount": {"name": "cutter", "annotations": {"example.com/role": "none"}},
        },
        "limits": {
            "maxBuffers": 0,
            "writeBudgetMBps": 75,
            "maxArchivePerOwner": "50Gi",
            "maxCapturesPerOwnerMinute": 3,
            "maxCapturesPerOwnerHour": 30,
        },
        "catalogue": {
            "clips": {"keepDays": 90, "keepQuotaPercent": 80},
            "quotaCache": {"existingSecret": "replay-redis"},
            "api": {"enabled": True},
        },
        "preview": {
            "enabled": True,
            "origins": ["https://app.example", "https://desk.example"],
            "api": {"captures": True},
            "ingress": {
                "enabled": True,
                "className": "nginx",
                "host": "replay.example",
                "tlsSecret": "replay-tls",
                "annotations": {"example.com/timeout": "60"},
            },
        },
        "webhooks": {"enabled": True},
        "objectStorage": {
            "bucket": "clips",
            "endpoint": "https://s3.example.com",
            "prefix": "team/clips",
            "tags": {"tier": "cold", "team": "media"},
            "keepLocalCopy": False,
            "credentials": {"existingSecret": "replay-bucket"},
            "caConfigMap": "bucket-ca",
            "deadlineSeconds": 7200,
            "serviceAccount": {"annotations": {"example.com/role": "clips"}},
        },
        "networkPolicy": {
            "enabled": True,
            "objectStorageTo": [{"ipBlock": {"cidr": "192.0.2.0/24"}}],
        },
        "monitoring": {
            "rules": {"enabled": True, "runbookUrl": "https://docs.example/runbooks/%s/"},
            "dashboard": {"enabled": True},
            "podMonitor": {"enabled": True, "interval": "15s", "labels": {"release": "prometheus"}},
        },
        "operator": {
            "logLevels": "livekit=DEBUG",
            "logFormat": "json",
            "extraSettings": {"REPLAY_PORT": 8080},
            "nodeSelector": {"kubernetes.io/os": "linux"},
            "tolerations": [{"key": "media", "operator": "Exists"}],
            "topologySpreadConstraints": [
                {
                    "maxSkew": 1,
                    "topologyKey": "kubernetes.io/hostname",
                    "whenUnsatisfiable": "ScheduleAnyway",
                    "labelSelector": {"matchLabels": {"app.kubernetes.io/name": "replay-operator"}},
                }
            ],
            "podLabels": {"tier": "control"},
            "podAnnotations": {"example.com/scrape": "yes"},
            "extraEnv": [{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}],
            "extraEnvFrom": [{"secretRef": {"name": "more", "optional": True}}],
            "extraVolumes": [{"name": "ca", "configMap": {"name": "ca"}}],
            "extraVolumeMounts": [{"name": "ca", "mountPath": "/etc/ca", "readOnly": True}],
        },
        "agent": {"freeSpaceFloor": "2Gi", "podAnnotations": {"example.com/scrape": "yes"}},
        "fleet": {
            "podDeletionCost": True,
            "config": {"redis": {"address": "redis.livekit:6379"}},
            "priorityClassName": "replay-workers",
        },
        "extraObjects": [
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "{{ .Release.Name }}-more"}}
        ],
    },
    "services for the monitoring": {"monitoring": {"serviceMonitor": {"enabled": True, "interval": "15s"}}},
}
