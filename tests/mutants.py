"""Documents with one value changed to anything, and what a refusal must say."""

import json

from hmrl_cli.errors import HmrlError

NOT_THERE = object()
RAW = "@raw@"


HOSTILE = {
    "deleted": NOT_THERE,
    "null": "null",
    "text": '"x"',
    "negative": "-1",
    "list": "[]",
    "table": "{}",
    "infinite": "1e999",
    "nan": "NaN",
    "deep": "[" * 2000 + "]" * 2000,
    "deep enough to be parsed": '{"a":' * 300 + "1" + "}" * 300,
    "large": "1" * 5000,
    "large enough to be parsed": "1" * 4000,
    "true": "true",
    "a control character": '"\\u001b[31m\\ud800"',
}


def mutants(document, kinds=HOSTILE):
    """Texts of the document with one key, at any depth, deleted or of another value; and with one more."""
    for kind in kinds:
        for keys in [*places(document), ("unknown",)]:
            changed = json.loads(json.dumps(document))
            table = changed
            for key in keys[:-1]:
                table = table[key]
            if HOSTILE[kind] is NOT_THERE:
                table.pop(keys[-1], None)
            else:
                table[keys[-1]] = RAW
            yield kind, keys, json.dumps(changed).replace(json.dumps(RAW), str(HOSTILE[kind]))


def places(table, above=()):
    for key, value in table.items():
        yield (*above, key)
        if isinstance(value, dict):
            yield from places(value, (*above, key))


def refused(act):
    """The error's text, of one that names what is wrong; "" where there is none."""
    try:
        act()
    except HmrlError as error:
        assert error.exit_code in (2, 65) and 1 <= len(str(error).splitlines()) <= 2, error
        return str(error)
    return ""
