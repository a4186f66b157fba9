import json
import ssl
import subprocess
from pathlib import Path

import pytest

from tests.testbed.pki import PkiError, make_pki


def described(certificate: Path) -> str:
    return subprocess.run(
        ["openssl", "x509", "-in", certificate, "-noout", "-text"], check=True, capture_output=True, text=True
    ).stdout


def test_certificates_hold_what_a_strict_client_asks_for(tmp_path: Path) -> None:
    pki = make_pki(tmp_path / "pki")
    context = ssl.create_default_context(cafile=str(pki.ca.certificate))
    context.load_cert_chain(pki.pair("admin").certificate, pki.pair("admin").key)
    authority, server, admin = (
        described(pki.pair(name).certificate) for name in ("ca", "apiserver", "admin")
    )
    assert "CA:TRUE" in authority
    assert "Certificate Sign" in authority
    for leaf in (server, admin):
        assert leaf.count("CA:FALSE") == 1
        assert "Authority Key Identifier" in leaf
    assert "IP Address:127.0.0.1" in server
    assert "O = system:masters, CN = admin" in admin


def test_keys_and_kubeconfig_are_for_their_owner_only(tmp_path: Path) -> None:
    pki = make_pki(tmp_path / "pki")
    kubeconfig = tmp_path / "kubeconfig"
    pki.write_kubeconfig(kubeconfig, server="https://127.0.0.1:1", user="admin")
    assert pki.directory.stat().st_mode & 0o077 == 0
    assert kubeconfig.stat().st_mode & 0o077 == 0
    assert json.loads(kubeconfig.read_text())["clusters"][0]["cluster"]["server"] == "https://127.0.0.1:1"


def test_without_openssl_the_error_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PkiError, match="no `openssl` on the PATH: install it"):
        make_pki(tmp_path / "pki")
