"""The tasks of `invoke`; in a repository of your own write `from testbed.tasks import namespace` into tasks.py."""

from invoke.collection import Collection
from invoke.main import program

from testbed.tasks.commandline import adopt, loading

adopt(program)
with loading(program):
    from testbed.tasks.ask import ask
    from testbed.tasks.beds import down, status, up
    from testbed.tasks.behaviours import behaviours
    from testbed.tasks.bench import bench
    from testbed.tasks.capture import capture
    from testbed.tasks.check import check
    from testbed.tasks.claims import claims
    from testbed.tasks.conformance import conformance
    from testbed.tasks.coverage import coverage
    from testbed.tasks.diff import diff
    from testbed.tasks.doctor import doctor
    from testbed.tasks.exposure import exposure
    from testbed.tasks.handshake import handshake
    from testbed.tasks.inside import exec_, shell
    from testbed.tasks.lint import lint
    from testbed.tasks.mutate import mutate
    from testbed.tasks.report import report
    from testbed.tasks.rules import rules
    from testbed.tasks.test import test
    from testbed.tasks.trace import trace
    from testbed.tasks.twin import twin

namespace = Collection(
    doctor,
    up,
    status,
    down,
    shell,
    exec_,
    capture,
    twin,
    handshake,
    trace,
    exposure,
    ask,
    check,
    rules,
    lint,
    test,
    behaviours,
    diff,
    mutate,
    coverage,
    claims,
    report,
    conformance,
    bench,
)

__all__ = ["namespace"]
