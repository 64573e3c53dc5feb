"""How deep a document is."""

from hmrl_cli import reading


def test_how_deep_something_is():
    def nested(depth):
        value = {}
        for number in range(depth - 1):
            value = {"a": value, "b": 1} if number % 2 else {"c": [value]}
        return value

    assert not reading.is_deep(nested(3)) and reading.is_deep(nested(10_000))
    assert not reading.is_deep({"a": 1, "b": "text"}) and not reading.is_deep({})
