"""Finds credentials, and signs requests with them (AWS Signature Version 4)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from awscrt import auth, http
from awscrt.exceptions import AwsCrtError

from replay_operator.api.upload_job import UploadErrorReason
from replay_operator.bucket.failure import UploadFailedError


class Signer:
    """Signs with what the process has been given: variables, a workload identity, or those of its node.

    Args:
        region: What requests are signed for.
    """

    def __init__(self, region: str) -> None:
        self._region = region
        self._credentials = auth.AwsCredentialsProvider.new_default_chain()

    async def signed(
        self, method: str, target: str, headers: Mapping[str, str], *, body_sha256: str
    ) -> dict[str, str]:
        """Give the headers with date, digest of the body, and signature.

        Args:
            method: Of the request.
            target: Path and query, as they are sent.
            headers: All that is to be signed; `host` is one of them.
            body_sha256: In hexadecimal. The server refuses a body that differs.

        Raises:
            UploadFailedError: CredentialsRefused, when there are none.
        """
        request = http.HttpRequest(method, target, http.HttpHeaders(list(headers.items())))
        config = auth.AwsSigningConfig(
            algorithm=auth.AwsSigningAlgorithm.V4,
            signature_type=auth.AwsSignatureType.HTTP_REQUEST_HEADERS,
            credentials_provider=self._credentials,
            region=self._region,
            service="s3",
            use_double_uri_encode=False,  # S3 alone among the services wants paths as they are
            should_normalize_uri_path=False,
            signed_body_value=body_sha256,
            signed_body_header_type=auth.AwsSignedBodyHeaderType.X_AMZ_CONTENT_SHA_256,
        )
        try:
            signed = await asyncio.wrap_future(auth.aws_sign_request(request, config))
        except AwsCrtError as error:
            raise UploadFailedError(
                UploadErrorReason.CREDENTIALS_REFUSED,
                f"no credentials were found ({error.name}): give AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY "
                "from a Secret, or a workload identity to the service account of the upload",
            ) from error
        return dict(signed.headers)
