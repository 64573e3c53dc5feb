"""Exit codes."""

from hmrl_cli.errors import HmrlError


def test_every_error_has_its_own_exit_code():
    codes = {kind.__name__: kind.exit_code for kind in HmrlError.__subclasses__()}
    assert codes == {
        "ConfigError": 2,
        "InputError": 65,
        "MissingDependency": 69,
        "RunDirError": 73,
        "StorageError": 74,
        "MachineLimit": 74,
        "Interrupted": 75,
        "ProcessLost": 75,
        "NotDone": 1,  # and that of the first cell that failed
        "Diverged": 76,
    }
