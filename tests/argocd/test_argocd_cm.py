"""The patch for argocd-cm holds what the folder beside it says."""

import yaml

from tests.argocd.customizations import CONFIG_MAP, KINDS, action_names, as_config_map


def test_the_patch_is_made_from_the_scripts() -> None:
    assert CONFIG_MAP.read_text() == as_config_map(), "run make generate"


def test_each_script_comes_out_of_the_patch_as_it_is() -> None:
    data = yaml.safe_load(CONFIG_MAP.read_text())["data"]
    for kind in KINDS:
        name = f"{kind.parent.name}_{kind.name}"
        assert data[f"resource.customizations.health.{name}"] == (kind / "health.lua").read_text()
        actions = yaml.safe_load(data[f"resource.customizations.actions.{name}"])
        assert actions["discovery.lua"] == (kind / "actions" / "discovery.lua").read_text()
        scripts = {each["name"]: each["action.lua"] for each in actions["definitions"]}
        assert sorted(scripts) == action_names(kind)
        for action, script in scripts.items():
            assert script == (kind / "actions" / action / "action.lua").read_text()
    assert len(data) == 3 * len(KINDS), "health, actions and ignored updates of each kind, and nothing else"
