"""The same description in OpenAPI 3.0, which every reader understands; the installed Swagger UI is one that knows no 3.1.

Pydantic writes JSON Schema as OpenAPI 3.1 has it. Three of its spellings differ in 3.0: a null is a mark on a type and not
a type, a single allowed value is an enumeration of one, and an exclusive bound is a mark on a bound.
"""

from __future__ import annotations

from typing import Any, Final

VERSION: Final = "3.0.3"
_BOUNDS: Final = (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum"))


def to_openapi_30(node: Any) -> Any:
    """Answer the description, or a part of it, in the older spelling."""
    if isinstance(node, list):
        return [to_openapi_30(item) for item in node]
    if not isinstance(node, dict):
        return node
    result = {key: to_openapi_30(value) for key, value in node.items()}
    if isinstance(result.get("openapi"), str):
        result["openapi"] = VERSION
    if "const" in result:
        result["enum"] = [result.pop("const")]
    for exclusive, bound in _BOUNDS:
        # A property may be called so; a bound is a number.
        if isinstance(result.get(exclusive), (int, float)) and not isinstance(result[exclusive], bool):
            result[bound] = result[exclusive]
            result[exclusive] = True
    if isinstance(result.get("anyOf"), list) and {"type": "null"} in result["anyOf"]:
        _mark_nullable(result)
    return result


def _mark_nullable(schema: dict[str, Any]) -> None:
    others = [each for each in schema.pop("anyOf") if each != {"type": "null"}]
    if len(others) > 1:
        schema["anyOf"] = others
    elif "$ref" in others[0]:
        # Beside a reference nothing else counts in 3.0.
        schema["allOf"] = others
    else:
        for key, value in others[0].items():
            schema.setdefault(key, value)
    schema["nullable"] = True
    if None not in schema.get("enum", [None]):
        schema["enum"] = [*schema["enum"], None]
