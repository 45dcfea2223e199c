"""A stand-in for Thinkific's public API v1: users and enrolments."""

from __future__ import annotations

import json
from typing import Any

from flask import Blueprint, Response, jsonify, request

from local.sandbox.world import Answer, Provider

_BY_STATUS = {
    401: "API Access is denied",
    403: "Access is forbidden",
    404: "Record not found",
    429: "Rate limit exceeded",
}
Json = dict[str, Any]
View = Response | tuple[Response, int]


class Thinkific(Provider):
    """`users` by address, `enrollments` in the order they were made. Any course id exists."""

    name = "thinkific"
    actions = ("add_user",)

    def reset(self) -> None:
        self.users: dict[str, Json] = {}
        self.enrollments: list[Json] = []

    def blueprint(self) -> Blueprint:
        routes = Blueprint("thinkific", __name__)
        base = "/api/public/v1"
        routes.add_url_rule(f"{base}/users", "users", self._users)
        routes.add_url_rule(f"{base}/users", "create_user", self._create_user, methods=["POST"])
        routes.add_url_rule(f"{base}/courses/<int:course_id>", "course", self._course)
        routes.add_url_rule(f"{base}/enrollments", "enrollments", self._enrollments)
        routes.add_url_rule(f"{base}/enrollments", "enrol", self._enrol, methods=["POST"])
        routes.before_request(self._authorise)
        return routes

    def error(self, status: int, retry_after: int | None) -> Answer:
        if status == 422:
            body: Json = {"errors": {"base": ["The request could not be processed"]}}
        else:
            body = {"error": _BY_STATUS.get(status, "Internal server error")}
        headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
        return Answer(json.dumps(body), "application/json", headers)

    def add_user(self, email: str, first_name: str = "Jenny", last_name: str = "Rosen") -> Json:
        """An account that is there already."""
        user = {
            "id": self.world.ids.serial(),
            "first_name": first_name,
            "last_name": last_name,
            "full_name": f"{first_name} {last_name}",
            "email": email,
            "roles": [],
            "avatar_url": None,
            "bio": None,
            "company": None,
            "headline": None,
            "affiliate_code": None,
            "external_source": None,
            "custom_profile_fields": [],
            "created_at": self.world.iso(),
        }
        self.users[email.lower()] = user
        return user

    def _authorise(self) -> View | None:
        if request.headers.get("X-Auth-API-Key") and request.headers.get("X-Auth-Subdomain"):
            return None
        return jsonify(error="API Access is denied"), 401

    def _users(self) -> View:
        wanted = request.args.get("query[email]", "").lower()
        return _page([u for address, u in self.users.items() if wanted in ("", address)])

    def _create_user(self) -> View:
        sent = request.get_json(silent=True) or {}
        errors = {field: ["can't be blank"] for field in ("first_name", "last_name", "email") if not sent.get(field)}
        if str(sent.get("email", "")).lower() in self.users:
            errors["email"] = ["has already been taken"]
        if errors:
            return jsonify(errors=errors), 422
        return jsonify(self.add_user(sent["email"], sent["first_name"], sent["last_name"])), 201

    @staticmethod
    def _course(course_id: int) -> View:
        return jsonify(
            id=course_id,
            name=f"Course {course_id}",
            slug=f"course-{course_id}",
            subtitle=None,
            product_id=course_id,
            description=None,
            course_card_text=None,
            intro_video_youtube=None,
            contact_information=None,
            keywords=None,
            duration=None,
            banner_image_url=None,
            course_card_image_url=None,
            intro_video_wistia_identifier=None,
            administrator_user_ids=[],
            chapter_ids=[],
            reviews_enabled=False,
            user_id=1,
            instructor_id=None,
        )

    def _enrollments(self) -> View:
        wanted = {key: request.args.get(f"query[{key}]") for key in ("user_id", "course_id", "email")}
        return _page(
            [
                e
                for e in self.enrollments
                if all(
                    value in (None, str(e["user_email" if key == "email" else key])) for key, value in wanted.items()
                )
            ]
        )

    def _enrol(self) -> View:
        sent = request.get_json(silent=True) or {}
        user = next((u for u in self.users.values() if u["id"] == sent.get("user_id")), None)
        errors = {} if user else {"user_id": ["is invalid"]}
        if not isinstance(sent.get("course_id"), int):
            errors["course_id"] = ["can't be blank"]
        if user is None or errors:
            return jsonify(errors=errors), 422
        if any(e["user_id"] == user["id"] and e["course_id"] == sent["course_id"] for e in self.enrollments):
            return jsonify(errors={"base": ["User is already enrolled in this course"]}), 422
        now = self.world.iso()
        enrollment = {
            "id": self.world.ids.serial(),
            "user_id": user["id"],
            "user_email": user["email"],
            "user_name": user["full_name"],
            "course_id": sent["course_id"],
            "course_name": f"Course {sent['course_id']}",
            "percentage_completed": "0.0",
            "expired": False,
            "is_free_trial": False,
            "completed": False,
            "started_at": None,
            "completed_at": None,
            "activated_at": sent.get("activated_at") or now,
            "updated_at": now,
            "expiry_date": sent.get("expiry_date"),
        }
        self.enrollments.append(enrollment)
        return jsonify(enrollment), 201


def _page(items: list[Json]) -> Response:
    return jsonify(
        items=items,
        meta={
            "pagination": {
                "current_page": 1,
                "next_page": None,
                "prev_page": None,
                "total_pages": 1,
                "total_items": len(items),
                "entries_info": f"1-{len(items)} of {len(items)}",
            }
        },
    )
