"""Checks that report by a line each: "check NAME: ok", or what was wrong."""
import time
import traceback

_checks = []


def check(name):
    """Registers a function as a check; it fails by raising."""
    def register(function):
        _checks.append((name, function))
        return function
    return register


def say(text):
    print(text, flush=True)


def report(name, result):
    say(f"check {name}: {result}")


def run():
    for name, function in _checks:
        begin = time.monotonic()
        try:
            function()
            report(name, "ok")
            say(f"{name} took {time.monotonic() - begin:.1f} s")
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            report(name, f"{type(error).__name__} in line {where.lineno}: {str(error)[:600]!r}")


def fails(errors, function, *arguments):
    """Asserts that the call fails with one of these errnos."""
    try:
        result = function(*arguments)
    except OSError as error:
        assert error.errno in errors, f"failed with {error}"
    else:
        raise AssertionError(f"did not fail: {result!r}")
