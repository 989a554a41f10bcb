"""One blob on its way up: by one request, or in parts which become visible together or not at all."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from backends.s3.errors import AbsentError, TakenError, UploadGoneError, guarded
from backends.s3.objects import DIGEST, is_of, metadata, same_version, target, version_of
from backends.s3.parts import body, checksum
from broker.core.errors import BlobExistsError, BlobsUnavailableError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping
    from io import BytesIO

    from backends.s3.clients import Client
    from backends.s3.options import Location

_ABORT_SECONDS = 30.0


class Upload:
    """`write` is this attempt's own name; `announced` the digest, where somebody said it before."""

    def __init__(
        self,
        client: Client,
        at: Location,
        *,
        write: str,
        announced: bytes | None,
        protection: Mapping[str, Any],
    ) -> None:
        self._client = client
        self._at = at
        self._write = write
        self._announced = announced
        self._protection = protection
        self._upload_id: str | None = None
        self._sent: list[dict[str, Any]] = []

    async def send(self, part: BytesIO) -> None:
        """Sends a part, of which the server checks the SHA-256. Nothing is visible yet."""
        if self._upload_id is None:
            self._upload_id = await self._begin()
        number, digest = len(self._sent) + 1, checksum(part)
        answer = await self._do(
            self._client.upload_part(
                **target(self._at), UploadId=self._upload_id, PartNumber=number, Body=body(part), ChecksumSHA256=digest
            )
        )
        self._sent.append({"PartNumber": number, "ETag": answer["ETag"], "ChecksumSHA256": digest})

    async def finish(self, rest: BytesIO, sha256: bytes) -> str:
        """Sends what is left and makes the blob visible; returns its version."""
        if self._upload_id is None:
            return version_of(await self._settled(self._put(rest, sha256)))
        await self.send(rest)
        answer = await self._settled(self._complete(self._upload_id))
        self._upload_id = None
        if self._announced is None:
            await self._tag(answer, sha256)
        return version_of(answer)

    async def abandon(self) -> None:
        """Lets go of the parts; those it can't let go of now are swept later."""
        if self._upload_id is not None:
            with suppress(BlobsUnavailableError, AbsentError, UploadGoneError, TimeoutError):
                async with asyncio.timeout(_ABORT_SECONDS):
                    await self._do(self._client.abort_multipart_upload(**target(self._at), UploadId=self._upload_id))

    async def _begin(self) -> str:
        answer = await self._do(
            self._client.create_multipart_upload(
                **target(self._at),
                **self._protection,
                ContentType="application/octet-stream",
                ChecksumAlgorithm="SHA256",
                Metadata=metadata(self._write, self._announced),
            )
        )
        return str(answer["UploadId"])

    async def _put(self, data: BytesIO, sha256: bytes) -> Mapping[str, Any]:
        return await self._do(
            self._client.put_object(
                **target(self._at),
                **self._protection,
                Body=body(data),
                ContentType="application/octet-stream",
                ChecksumSHA256=checksum(data),
                Metadata=metadata(self._write, sha256),
                IfNoneMatch="*",
            )
        )

    async def _complete(self, upload_id: str) -> Mapping[str, Any]:
        return await self._do(
            self._client.complete_multipart_upload(
                **target(self._at), UploadId=upload_id, MultipartUpload={"Parts": self._sent}, IfNoneMatch="*"
            )
        )

    async def _settled(self, work: Awaitable[Mapping[str, Any]]) -> Mapping[str, Any]:
        """The answer to what makes the blob visible. Where it is lost or says "taken", it may be ours that lies there.

        The driver repeats a request whose answer was lost, and the repeat finds what the first one put.
        """
        try:
            return await work
        except (TakenError, UploadGoneError):
            pass
        except BlobsUnavailableError:
            with suppress(BlobsUnavailableError, AbsentError):
                if is_of(found := await self._head(), self._write):
                    return found
            raise
        try:
            found = await self._head()
        except AbsentError:
            raise BlobsUnavailableError(f"{self._at.place}: another writer was in the way; try again") from None
        if is_of(found, self._write):
            return found
        raise exists(self._at)

    async def _tag(self, answer: Mapping[str, Any], sha256: bytes) -> None:
        """Spares whoever asks for the digest reading the blob; without the right to tag, it is read."""
        tags = {"TagSet": [{"Key": DIGEST, "Value": sha256.hex()}]}
        with suppress(BlobsUnavailableError, AbsentError):
            await self._do(self._client.put_object_tagging(**target(self._at), **same_version(answer), Tagging=tags))

    async def _head(self) -> Mapping[str, Any]:
        return await self._do(self._client.head_object(**target(self._at)))

    async def _do(self, work: Awaitable[Mapping[str, Any]]) -> Mapping[str, Any]:
        return await guarded(work, self._at.bucket)


def exists(at: Location) -> BlobExistsError:
    """For whoever comes second."""
    return BlobExistsError(f"{at.place}: a blob lies there already, and blobs are written once")
