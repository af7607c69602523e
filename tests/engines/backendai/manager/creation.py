"""Reading the body of POST /session as each version does, and refusing what it refuses."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import Any

from tests.engines.backendai.manager import problems
from tests.engines.backendai.manager.dialects import Dialect
from tests.engines.backendai.manager.keys import DOMAIN, GROUP, SCALING_GROUP
from tests.engines.backendai.manager.problems import Problem
from tests.engines.backendai.manager.sessions import Creation

NAME_RULE = re.compile(r"^(?=.{4,64}$)\w[\w.-]*\w$", re.ASCII)
"""Before 26."""

KINDS = ("interactive", "batch", "inference", "system")
SUFFIXES = {suffix: 1024**power for power, suffix in enumerate("kmgtp", 1)}
SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
SCRIPT_BYTES = 16 * 1024
"""A column's width: a longer bootstrap_script is a 500."""

MINIMUM = {"cpu": Decimal(1), "mem": Decimal(128 * 1024**2)}
"""What the image asks for at least."""


def _first(body: dict[str, Any], *keys: str, default: Any = None) -> Any:
    """The value of the first of some aliases that is there."""
    for key in keys:
        if key in body:
            return body[key]
    return default


def amount(slot: str, given: Any) -> Decimal:
    """An amount of a slot as asked for: a number, or text with a suffix for memory. Raises ValueError."""
    text = str(given).strip().lower()
    factor = 1
    if slot == "mem" and text[-1:] in SUFFIXES:
        factor = SUFFIXES[text[-1]]
        text = text[:-1]
    try:
        return Decimal(text) * factor
    except InvalidOperation:
        raise ValueError(given) from None


def seconds(given: Any) -> float | None:
    """A batch_timeout: a number, or text such as 30s, 5m."""
    if given is None:
        return None
    text = str(given)
    return float(text[:-1]) * SECONDS[text[-1]] if text[-1:] in SECONDS else float(text)


def read(body: Any, dialect: Dialect, images: frozenset[str]) -> Creation:
    """What is asked for. Raises Problem with that version's words, in that version's order."""
    if dialect.is_26:
        _check_26(body)
    else:
        _check_old(body, dialect)
    config = body.get("config") or {}
    kind = _first(body, "type", "session_type", "sessionType", default="interactive")
    asked = Creation(
        name=_first(body, "name", "session_name", "clientSessionToken"),
        image=_first(body, "image", "lang"),
        kind=kind,
        body=body,
        slots={},
        environ=config.get("environ") or {},
        architecture=_first(body, "architecture", "arch", default="x86_64"),
        startup_command=_first(body, "startupCommand", "startup_command"),
        bootstrap_script=_first(body, "bootstrap_script", "bootstrapScript"),
        batch_timeout=seconds(_first(body, "batch_timeout", "batchTimeout")),
        priority=body.get("priority") if body.get("priority") is not None else 10,
        tag=body.get("tag"),
        cluster_size=_first(body, "clusterSize", "cluster_size", default=1),
        cluster_mode=_first(body, "clusterMode", "cluster_mode", default="single-node"),
        group=_first(body, "group", "groupName", "group_name", default=GROUP),
        scaling_group=_first(config, "scalingGroup", "scaling_group") or SCALING_GROUP,
        resource_opts=_first(config, "resource_opts", "resourceOpts") or {},
        preopen_ports=_first(config, "preopen_ports", "preopenPorts") or [],
        enqueue_only=bool(_first(body, "enqueueOnly", "enqueue_only", default=False)),
        max_wait=float(_first(body, "maxWaitSeconds", "max_wait_seconds", default=0)),
        reuse=bool(_first(body, "reuseIfExists", "reuse", default=True)),
    )
    _check_places(body, dialect)
    _check_image(asked, dialect, images)
    return asked


def _check_26(body: Any) -> None:
    """The schema's rules in 26.x; unknown keys are ignored."""
    model = "CreateFromParamsRequest"
    for field, aliases in (("name", ("session_name", "clientSessionToken")), ("image", ("lang",))):
        if _first(body, field, *aliases) is None:
            raise problems.schema(
                model, field, "missing", "Field required", f"input_value={body}, input_type=dict"
            )
    kind = _first(body, "type", "session_type", "sessionType", default="interactive")
    if kind not in KINDS:
        says = "Input should be 'interactive', 'batch', 'inference' or 'system'"
        raise problems.schema(model, "type", "enum", says, f"input_value={kind!r}, input_type=str")
    for key, value in ((body.get("config") or {}).get("environ") or {}).items():
        if not isinstance(value, str):
            says = "Input should be a valid string"
            given = f"input_value={value!r}, input_type={type(value).__name__}"
            raise problems.schema(model, f"config.environ.{key}", "string_type", says, given)


def _check_old(body: Any, dialect: Dialect) -> None:
    """The rules before 26, told all at once."""
    assert dialect.root_keys is not None
    assert dialect.config_keys is not None
    wrong = {key: f"{key} is not allowed key" for key in body if key not in dialect.root_keys}
    name = _first(body, "name", "session_name", "clientSessionToken")
    if name is None:
        wrong["session_name"] = "is required"
    elif not isinstance(name, str) or not NAME_RULE.match(name):
        wrong["name"] = f"does not match pattern {NAME_RULE.pattern}"
    if _first(body, "image", "lang") is None:
        wrong["image"] = "is required"
    if _first(body, "type", "sessionType", default="interactive") not in KINDS:
        wrong["type"] = "value doesn't match any variant"
    if wrong:
        raise problems.invalid("Input validation error", data=wrong)
    config = body.get("config") or {}
    environ = config.get("environ") or {}
    if config.keys() - dialect.config_keys or not all(isinstance(value, str) for value in environ.values()):
        raise problems.internal()


def _check_places(body: Any, dialect: Dialect) -> None:
    """Group and domain."""
    domain = _first(body, "domain", "domainName", "domain_name", default=DOMAIN)
    group = _first(body, "group", "groupName", "group_name", default=GROUP)
    if domain != DOMAIN or group != GROUP:
        if dialect.is_26:
            raise problems.no_row("ProjectRow", "project_read_not-found")
        raise problems.invalid("Invalid group" if domain == DOMAIN else "Invalid domain")


def _check_image(asked: Creation, dialect: Dialect, images: frozenset[str]) -> None:
    if asked.image in images and asked.architecture == "x86_64":
        return
    if dialect.is_26:
        msg = f"Unknown image reference: {asked.image} ({asked.architecture})"
    elif dialect.api < "v8":
        msg = f"Unknown image references: ref:{asked.image!r}, alias:{asked.image!r}"
    else:
        identifier = f"ImageIdentifier(canonical={asked.image!r}, architecture={asked.architecture!r})"
        msg = f"Unknown image references: identifier:{identifier}, alias:{asked.image!r}"
    raise problems.no_such("environment image", "image_read_not-found", msg)


def check(asked: Creation, dialect: Dialect, slots: frozenset[str]) -> None:
    """What is looked at once it is known that the name is free. Fills in ``asked.slots``."""
    config = asked.body.get("config") or {}
    if asked.kind == "batch" and not asked.startup_command:
        raise problems.invalid("Batch sessions must have a non-empty startup command.")
    if asked.scaling_group != SCALING_GROUP:
        if dialect.is_26:
            raise problems.no_such("resource group", "resource-group_read_not-found", asked.scaling_group)
        msg = (
            f"The scaling group '{asked.scaling_group}' does not exist "
            f"or you do not have access to the scaling group '{asked.scaling_group}'."
        )
        raise problems.no_such("scaling group", "", msg)
    mounts = config.get("mounts") or config.get("mount_ids")
    if mounts:
        raise problems.no_such("virtual folder", "vfolder_read_not-found", data=list(mounts))
    _fill_slots(asked, dialect, config.get("resources") or {}, slots)
    if asked.bootstrap_script is not None and len(asked.bootstrap_script) > SCRIPT_BYTES:
        raise problems.internal()


def _fill_slots(asked: Creation, dialect: Dialect, given: dict[str, Any], slots: frozenset[str]) -> None:
    for slot, value in given.items():
        try:
            asked.slots[slot] = amount(slot, value)
        except ValueError:
            msg = f"Invalid resource allocation: Cannot convert the slot '{slot}' to decimal: '{value}'"
            raise problems.invalid(msg) from None
        if slot not in slots:
            if dialect.is_26:
                code = "backendai_parsing_not-found"
                msg = f"Unknown slot type: '{slot}'"
                raise Problem(400, "unknown-resource-slot-type", "Unknown resource slot type.", code, msg)
            raise problems.invalid(f"Invalid resource allocation: Unknown slot type: '{slot}'")
    for slot, least in MINIMUM.items():
        if asked.slots.setdefault(slot, least) < least:
            if dialect.is_26:
                msg = "kernel_specs[0] resource request is smaller than the image minimum (cpu=1 mem=128m)."
            else:
                msg = "Your resource request is smaller than the minimum required by the image. (cpu=1 mem=128m)"
            raise problems.invalid(msg)


def check_kind(asked: Creation, dialect: Dialect, kinds: frozenset[str]) -> None:
    """Whether the resource group takes sessions of this kind; the words are those of the servers' sources."""
    if asked.kind in kinds:
        return
    kind = f"SessionTypes.{asked.kind.upper()}" if dialect.api < "v9" else asked.kind
    named = _first(asked.body.get("config") or {}, "scalingGroup", "scaling_group")
    if named is None:
        thing = "resource group" if dialect.is_26 else "scaling group"
        says = f"No scaling groups accept the session type '{kind}'."
        raise problems.no_such(thing, "resource-group_read_not-found", says)
    says = f"The scaling group '{named}' does not accept the session type '{kind}'."
    if not dialect.is_26:
        raise problems.no_such("scaling group", "", f"{says} ")
    title = "Resource group does not allow this session type."
    code = "resource-group_read_invalid-parameters"
    raise Problem(400, "resource-group-session-type-not-allowed", title, code, says)
