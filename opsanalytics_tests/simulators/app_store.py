"""App Store Connect: `GET /v1/apps/{id}/customerReviews`.

Contract: developer.apple.com, list all customer reviews for an app; generating tokens.
"""

from collections.abc import Sequence
from datetime import timedelta, timezone
from typing import Any
from urllib.parse import quote

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from opsanalytics.demo.simulator import Reply, Request
from opsanalytics.demo.simulator.limits import Limit
from opsanalytics.demo.simulator.messages import json_reply
from opsanalytics_tests.simulators.desks import Desk, Said, bearer, moment, page

APP = "682658836"
ISSUER, KEY_ID = "57246542-96fe-1a63-e053-0824d011072a", "2X9R4HXF34"
KEY = ec.generate_private_key(ec.SECP256R1())
PRIVATE_KEY = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
PACIFIC = timezone(timedelta(hours=-8))


class AppStore(Desk):
    """Reviews of one app, newest first, paged by a cursor that counts from the start."""

    name = "app store"
    path = "/v1/apps/"

    def __init__(self, count: int, *, limits: Sequence[Limit] = (), enforce: bool = True) -> None:
        super().__init__(limits, enforce=enforce)
        self.reviews: dict[str, dict[str, Any]] = {}
        self.responses: dict[str, dict[str, Any]] = {}
        self.generation = 1
        self.paged_by = "cursor"
        """Parameter of the links between pages."""
        for index in range(count):
            self.add(index)

    def add(self, index: int) -> str:
        identifier = f"{index:08}-b08c-0014-729e-fbd500000000"
        self.reviews[identifier] = {
            "type": "customerReviews",
            "id": identifier,
            "attributes": {
                "rating": index % 5 + 1,
                "title": f"Title {index}",
                "body": f"It is <3 of {index}",
                "reviewerNickname": "Anne Johnson",
                "createdDate": moment(index).astimezone(PACIFIC).isoformat(),
                "territory": "USA",
            },
        }
        return identifier

    def respond(self, identifier: str, text: str) -> None:
        """The developer answers a review."""
        self.responses[identifier] = {
            "type": "customerReviewResponses",
            "id": f"r-{identifier}",
            "attributes": {
                "responseBody": text,
                "lastModifiedDate": "2026-03-09T00:00:00-08:00",
                "state": "PUBLISHED",
            },
        }

    def edit(self, identifier: str, **changes: Any) -> None:
        """The customer edits a review: nothing but its words changes."""
        self.reviews[identifier]["attributes"] |= changes

    def truth(self) -> dict[str, Said]:
        return {
            identifier: Said(
                f"{review['attributes']['title']}\n\n{review['attributes']['body']}",
                float(review["attributes"]["rating"]),
            )
            for identifier, review in self.reviews.items()
        }

    def refuse(self, request: Request) -> Reply | None:
        try:
            token = bearer(request) or ""
            claims = jwt.decode(
                token, KEY.public_key(), algorithms=["ES256"], audience="appstoreconnect-v1", issuer=ISSUER,
                leeway=60,
            )  # fmt: skip
            known = (
                jwt.get_unverified_header(token)["kid"] == KEY_ID and claims["exp"] - claims["iat"] <= 1200
            )
        except jwt.PyJWTError:
            known = False
        return None if known else json_reply(401, {"errors": [{"status": "401", "code": "NOT_AUTHORIZED"}]})

    def answer(self, request: Request) -> Reply:
        app, _, what = request.path.removeprefix(self.path).partition("/")
        query = request.query
        size = int(query.get("limit", "50"))
        if (app, what) != (APP, "customerReviews"):
            return json_reply(404, {"errors": [{"status": "404", "code": "NOT_FOUND"}]})
        if not 1 <= size <= 200 or query.get("sort") != "-createdDate":
            return json_reply(400, {"errors": [{"status": "400", "code": "PARAMETER_ERROR.INVALID"}]})
        first = 0
        if self.paged_by in query:
            generation, _, offset = query[self.paged_by].partition(".")
            if int(generation) != self.generation:
                return json_reply(400, {"errors": [{"status": "400", "code": "PARAMETER_ERROR.INVALID"}]})
            first = int(offset)
        found = sorted(
            self.reviews.values(),
            key=lambda each: (each["attributes"]["createdDate"], each["id"]),
            reverse=True,
        )
        shown = found[first : first + size]
        links = {"self": f"https://api.appstoreconnect.apple.com{request.target}"}
        if first + size < len(found):
            place = f"{quote(self.paged_by)}={self.generation}.{first + size}"
            links["next"] = f"{links['self'].split('?')[0]}?limit={size}&{place}"
        data, included = [], []
        for review in shown:
            response = self.responses.get(review["id"])
            related = {"data": {"type": response["type"], "id": response["id"]}} if response else {}
            data.append({**review, "relationships": {"response": related}})
            included += [response] if response else []
        return page(
            {
                "data": data,
                "included": included,
                "links": links,
                "meta": {"paging": {"total": len(found), "limit": size}},
            }
        )
