"""Keys and certificates of a throw-away control plane, made by openssl in about 0.2 s."""

import base64
import json
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.testbed.errors import TestbedError

_VALID_DAYS = 30

# What openssl's own configuration adds would make every certificate a CA. Python 3.13 and later refuse a CA
# without keyUsage, and certificates without key identifiers (RFC 5280).
_OPENSSL_CONFIG = """
[req]
distinguished_name = dn
[dn]
[ca]
basicConstraints = critical, CA:TRUE
keyUsage = critical, digitalSignature, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[client]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = clientAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[server]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = DNS:localhost, DNS:kubernetes.default.svc, IP:127.0.0.1
"""

_CLIENTS: Final[Mapping[str, str]] = {
    "admin": "/O=system:masters/CN=admin",
    "controller-manager": "/CN=system:kube-controller-manager",
    "scheduler": "/CN=system:kube-scheduler",
    "kubelet-client": "/O=system:masters/CN=kube-apiserver-kubelet-client",
    "front-proxy": "/CN=front-proxy-client",
}


class PkiError(TestbedError):
    """The certificates could not be made."""


@dataclass(frozen=True)
class KeyPair:
    """A private key and what proves it, both PEM."""

    certificate: Path
    key: Path


@dataclass(frozen=True)
class Pki:
    """The files of a control plane's public key infrastructure, all in one directory."""

    directory: Path

    @property
    def ca(self) -> KeyPair:
        """The one authority: it signs the server, the clients and what the controller manager signs."""
        return self.pair("ca")

    @property
    def service_accounts(self) -> KeyPair:
        """Signs the tokens of service accounts; its `certificate` is the bare public key."""
        return self.pair("service-accounts")

    def pair(self, name: str) -> KeyPair:
        """The pair called `ca`, `apiserver`, `admin`, `controller-manager`, `scheduler` and so on."""
        return KeyPair(certificate=self.directory / f"{name}.crt", key=self.directory / f"{name}.key")

    def write_kubeconfig(self, path: Path, *, server: str, user: str) -> None:
        """Writes a kubeconfig that needs no other file.

        Args:
            path: where; only its owner can read it.
            server: the API server's URL.
            user: whose pair: `admin`, `controller-manager` or `scheduler`.
        """
        credentials = self.pair(user)
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {
                    "name": "testbed",
                    "cluster": {"server": server, "certificate-authority-data": _base64(self.ca.certificate)},
                }
            ],
            "users": [
                {
                    "name": user,
                    "user": {
                        "client-certificate-data": _base64(credentials.certificate),
                        "client-key-data": _base64(credentials.key),
                    },
                }
            ],
            "contexts": [{"name": "testbed", "context": {"cluster": "testbed", "user": user}}],
            "current-context": "testbed",
        }
        path.touch(mode=0o600)
        path.write_text(json.dumps(config, indent=2))


def make_pki(directory: Path) -> Pki:
    """Makes a CA and everything signed by it.

    Args:
        directory: receives the files; created, for its owner only.

    Raises:
        PkiError: openssl is missing, older than 3.0, or failed.
    """
    if shutil.which("openssl") is None:
        raise PkiError("There is no `openssl` on the PATH: install it (version 3.0 or newer)")
    directory.mkdir(mode=0o700, parents=True)
    (directory / "openssl.cnf").write_text(_OPENSSL_CONFIG)
    pki = Pki(directory)
    _certify(pki, "ca", subject="/CN=replay-testbed-ca", profile="ca")
    _certify(pki, "apiserver", subject="/CN=kube-apiserver", profile="server")
    for name, subject in _CLIENTS.items():
        _certify(pki, name, subject=subject, profile="client")
    tokens = pki.service_accounts
    _openssl(
        directory,
        "genpkey",
        "-algorithm",
        "EC",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-out",
        str(tokens.key),
    )
    _openssl(directory, "pkey", "-in", str(tokens.key), "-pubout", "-out", str(tokens.certificate))
    return pki


def _certify(pki: Pki, name: str, *, subject: str, profile: str) -> None:
    pair = pki.pair(name)
    signer = () if profile == "ca" else ("-CA", str(pki.ca.certificate), "-CAkey", str(pki.ca.key))
    _openssl(
        pki.directory,
        *("req", "-x509", "-config", "openssl.cnf", "-extensions", profile, "-subj", subject),
        *("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", str(_VALID_DAYS)),
        *(*signer, "-keyout", str(pair.key), "-out", str(pair.certificate)),
    )


def _openssl(directory: Path, *arguments: str) -> None:
    done = subprocess.run(["openssl", *arguments], cwd=directory, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise PkiError(
            f"`openssl {' '.join(arguments)}` failed (version 3.0 or newer is needed):\n{done.stderr}"
        )


def _base64(file: Path) -> str:
    return base64.b64encode(file.read_bytes()).decode()
