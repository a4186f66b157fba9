"""Writes manifests/argocd/argocd-cm.yaml from the scripts beside it."""

from tests.argocd.customizations import CONFIG_MAP, as_config_map

CONFIG_MAP.write_text(as_config_map())
print(f"wrote {CONFIG_MAP.name}")
