from __future__ import annotations

import pytest

from connectors.simulator.graph_errors import GraphError
from connectors.simulator.multipart import parts

HEADER = "multipart/form-data; boundary=xyz"
BODY = (
    b'--xyz\r\nContent-Disposition: form-data; name="messaging_product"\r\n\r\nwhatsapp\r\n'
    b'--xyz\r\nContent-Disposition: form-data; name="file"; filename="a b.jpg"\r\nContent-Type: image/jpeg\r\n\r\n'
    b"\xff\xd8\r\n\r\n--xy\x00\r\n"
    b"--xyz--\r\n"
)


def test_fields_and_files_come_out_as_they_went_in() -> None:
    form = parts(HEADER, BODY)

    assert form["messaging_product"].text == "whatsapp"
    assert form["file"].data == b"\xff\xd8\r\n\r\n--xy\x00"
    assert (form["file"].filename, form["file"].content_type) == ("a b.jpg", "image/jpeg")


@pytest.mark.parametrize(
    ("header", "body"),
    [("application/json", b"{}"), ("multipart/form-data", BODY), (HEADER, BODY[:-9]), (HEADER, b"")],
)
def test_what_is_no_form_is_refused(header: str, body: bytes) -> None:
    with pytest.raises(GraphError) as refused:
        parts(header, body)
    assert refused.value.code == 100
