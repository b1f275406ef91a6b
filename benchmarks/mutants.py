"""Mutation testing: the code that decides and assesses is changed one place at a time, and the tests have to notice.

`python -m benchmarks.mutants [decisions|assessment ...] [--sample 150] [--seed 1] [--only ID ...]`. The changes are
mutmut's, inside functions; running them is ours. Tests are collected once; a mutant lives in a forked process, in which
the code of its one function is exchanged, and is asked by the tests that call that function, the cheapest first, up to
the first that fails. So nothing is written to the tree, and a mutant costs what its tests cost. Tests that take more
than `--longest` seconds of CPU are left out. A mutant that does not end is killed; one that no test calls has survived.
The same seed and code give the same sample.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import importlib
import io
import os
import pickle
import random
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from functools import cache, partial
from math import inf
from pathlib import Path
from types import FunctionType
from typing import Any, TypeVar

import libcst as cst
import pytest
from mutmut.mutation.file_mutation import Mutation, create_mutations

from benchmarks.report import report, say


@dataclass(frozen=True, slots=True)
class Part:
    modules: tuple[str, ...]
    tests: tuple[str, ...]


PARTS = {
    "decisions": Part(
        (
            *(f"missions/decision/{name}.py" for name in ("bare", "conditions", "engine", "faults", "payload")),
            *(f"missions/decision/{name}.py" for name in ("proposing", "repeats")),
            *(f"missions/{name}.py" for name in ("options", "snapshot", "noreturn", "lastline")),
        ),
        ("tests/decision", "tests/missions", "tests/docs/test_pages.py::test_the_page_of_the_fault_table_is_current"),
    ),
    "assessment": Part(
        tuple(f"missions/coldchain/{name}.py" for name in ("assess", "tally", "mkt", "monitor", "samples")),
        ("tests/coldchain",),
    ),
}
OTHER_PROCESSES = "another_process"
"""tests of this name compare with a process that has no mutant in it: they would notice any change whatever it means"""
MEMORY_BYTES = 4 << 30
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Mutant:
    name: str
    """file:function:number, the same while the file is the same"""
    path: str
    function: str
    text: bool
    """only a string is other: mostly words that people read"""
    mutation: Mutation
    module: cst.Module

    def source(self) -> str:
        changed = self.module.deep_replace(self.mutation.original_node, self.mutation.mutated_node)
        assert isinstance(changed, cst.Module)
        return changed.code

    def diff(self) -> list[str]:
        lines = difflib.unified_diff(self.module.code.splitlines(), self.source().splitlines(), n=0, lineterm="")
        return list(lines)[2:]


def mutants_of(path: str) -> Iterator[Mutant]:
    """Of each function and method of a file, decorated ones too."""
    module, mutations, _, _ = create_mutations(path, Path(path).read_text("utf-8"))
    names = {id(node): name for name, node in _functions(module.body)}
    seen: dict[str, int] = {}
    for mutation in mutations:
        name = names.get(id(mutation.contained_by_top_level_function))
        if name is None:
            continue
        seen[name] = seen.get(name, 0) + 1
        text = isinstance(mutation.original_node, cst.SimpleString)
        yield Mutant(f"{path}:{name}:{seen[name]}", path, name, text, mutation, module)


def _functions(body: Sequence[cst.CSTNode], owner: str = "") -> Iterator[tuple[str, cst.FunctionDef]]:
    for node in body:
        if isinstance(node, cst.FunctionDef):
            yield f"{owner}{node.name.value}", node
        elif isinstance(node, cst.ClassDef):
            yield from _functions(node.body.body, f"{owner}{node.name.value}.")


def function_in(scope: Mapping[str, Any], name: str) -> FunctionType:
    """The plain function behind a name such as `Class.method`, under whatever decorates it."""
    first, *rest = name.split(".")
    found = scope[first]
    for each in rest:
        found = vars(found)[each]
    while inner := getattr(found, "fget", None) or getattr(found, "__wrapped__", None):
        found = inner
    assert isinstance(found, FunctionType), name
    return found


def exchange(path: str, functions: Sequence[str], source: str) -> bool:
    """Gives functions of a module the code that another source has for them, in this process, wherever they were
    imported to. False: it is the same code."""
    real = importlib.import_module(path.removesuffix(".py").replace("/", "."))
    scope = {"__name__": real.__name__, "__file__": real.__file__}
    exec(compile(source, str(real.__file__), "exec"), scope)
    other = False
    for name in functions:
        old, new = function_in(vars(real), name), function_in(scope, name)
        for part in ("__code__", "__defaults__", "__kwdefaults__"):
            other = other or getattr(old, part) != getattr(new, part)
            setattr(old, part, getattr(new, part))
    return other


CALLED: set[tuple[str, str]] = set()
"""(file, function) since it was last emptied"""


def watch(path: str, functions: Sequence[str]) -> None:
    """From now on these functions note in `CALLED` that they were called: much cheaper than a profile function."""
    tree = ast.parse(Path(path).read_text("utf-8"))
    for name in functions:
        body: list[ast.stmt] = tree.body
        for part in name.split("."):
            body = next(n.body for n in body if isinstance(n, ast.FunctionDef | ast.ClassDef) and n.name == part)
        note = f"__import__('sys').modules[{__name__!r}].CALLED.add({(path, name)!r})"
        body[:0] = ast.parse(note).body
    exchange(path, functions, ast.unparse(tree))


class UnfitTestsError(Exception):
    """The tests cannot be asked."""


@dataclass(frozen=True, slots=True)
class Covered:
    """A test without mutants: whether it passes, what it costs, and which functions it calls."""

    passed: bool
    cpu_s: float
    """infinite for one that was stopped because it took too long"""
    functions: frozenset[tuple[str, str]]


TOO_LONG = Covered(True, inf, frozenset())


@dataclass(slots=True)
class Runner:
    """A pytest plugin in the place of its loop over the tests."""

    work: Callable[[Runner], None]
    items: dict[str, pytest.Item] = field(default_factory=dict)
    failed: bool = False

    def pytest_collection(self) -> None:
        import hypothesis  # not before pytest has its plugin

        # Which example is the smallest that fails is nobody's question here, and processes must not share examples.
        phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)
        hypothesis.settings.register_profile("mutants", hypothesis.settings(), phases=phases, database=None)
        hypothesis.settings.load_profile("mutants")

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        self.items = {item.nodeid: item for item in session.items if OTHER_PROCESSES not in item.nodeid}
        self.work(self)
        return True

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.failed = self.failed or report.failed

    def passes(self, tests: Sequence[str]) -> bool:
        for i, name in enumerate(tests):
            item = self.items[name]
            following = self.items[tests[i + 1]] if i + 1 < len(tests) else None
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if self.failed:
                return False
        return True


def covered(runner: Runner, functions: Mapping[str, Sequence[str]], longest_s: float) -> dict[str, Covered]:
    """Runs each test once, each in a process of its own: nothing that it remembers is there for the mutants."""

    def watched() -> dict[str, Covered]:
        for path, names in functions.items():
            watch(path, names)
        ask = partial(_covered, runner, longest_s=longest_s)
        return {name: in_child(partial(ask, name)) or TOO_LONG for name in runner.items}

    found = in_child(watched)
    if found is None:
        raise UnfitTestsError("the tests cannot be run one by one")
    return found


def _covered(runner: Runner, name: str, longest_s: float) -> Covered:
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_PROF, longest_s)  # and it is gone
    start_s = time.process_time()
    passed = runner.passes([name])
    return Covered(passed, time.process_time() - start_s, frozenset(CALLED))


def in_child(work: Callable[[], T]) -> T | None:
    """What `work` gives in a forked process; None: it did not come to its end."""
    read, write = os.pipe()
    if (child := os.fork()) == 0:
        try:
            os.close(read)
            answer = pickle.dumps(work())
            with os.fdopen(write, "wb") as out:
                out.write(answer)
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as told:
        answer = told.read()
    os.waitpid(child, 0)
    return pickle.loads(answer) if answer else None


def survives(runner: Runner, mutant: Mutant | None, tests: Sequence[str], limit_s: float) -> bool | None:
    """Whether no test notices; None: it is no other code. Without a mutant: whether the tests pass in one process."""
    if (child := os.fork()) == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.dup2(1, 2)
        resource.setrlimit(resource.RLIMIT_CPU, (int(limit_s) + 1, int(limit_s) + 2))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
        signal.alarm(10 * int(limit_s) + 60)  # one that waits for something uses no CPU
        runner.failed, same, alive = False, False, False
        try:
            same = mutant is not None and not exchange(mutant.path, [mutant.function], mutant.source())
            alive = same or runner.passes(tests)
        finally:
            os._exit(2 if same else int(not alive))
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    return None if code == 2 else code == 0


def tried(runner: Runner, mutants: Sequence[Mutant], longest_s: float) -> list[dict[str, Any]]:
    """A row for each mutant that is other code."""
    functions = {path: sorted({m.function for m in mutants if m.path == path}) for path in {m.path for m in mutants}}
    costs = covered(runner, functions, longest_s)
    broken = sorted(name for name, c in costs.items() if not c.passed)
    if broken:
        raise UnfitTestsError(f"these tests fail without any mutant, mend them first: {', '.join(broken)}")
    short = sorted((n for n, c in costs.items() if c.cpu_s < inf), key=lambda n: costs[n].cpu_s)
    whole_s = sum(costs[n].cpu_s for n in short)
    say(f"{len(short)} of {len(costs)} tests, {whole_s:.0f} s of CPU")
    if not survives(runner, None, short, 5.0 + 3.0 * whole_s):
        raise UnfitTestsError(
            "each test passes alone, and they fail together: nothing can be learnt from them about a mutant"
        )

    @cache
    def asking(path: str, function: str) -> tuple[str, ...]:
        return tuple(n for n in short if (path, function) in costs[n].functions)

    rows = []
    for i, mutant in enumerate(mutants):
        tests = asking(mutant.path, mutant.function)
        limit_s = 5.0 + 3.0 * sum(costs[n].cpu_s for n in tests)
        alive = survives(runner, mutant, tests, limit_s)
        if alive is not None:
            rows.append({"mutant": mutant, "survived": alive, "tests": len(tests)})
        if alive:
            say(f"{i + 1}/{len(mutants)} survived {mutant.name}, {len(tests)} tests")
            say("\n".join(f"    {line}" for line in mutant.diff()))
    return rows


def ran(part: Part, chosen: Sequence[Mutant], longest_s: float) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    said = io.StringIO()
    why = ["pytest did not come to its end"]

    def work(runner: Runner) -> None:
        try:
            rows.extend(tried(runner, chosen, longest_s))
            why.clear()
        except UnfitTestsError as refused:
            why[:] = [str(refused)]

    arguments = [*part.tests, "-q", "-s", "-m", "not px4 and not soak", "-p", "no:cacheprovider", "-p", "no:xdist"]
    with redirect_stdout(said):
        pytest.main(arguments, plugins=[Runner(work)])
    if why:
        say(said.getvalue()[-3000:])
        sys.exit(why[0])
    return rows


def _counted(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    killed = sum(not r["survived"] for r in rows)
    return {"run": len(rows), "killed": killed, "killed_pct": round(100.0 * killed / len(rows), 1) if rows else None}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mutants", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; default: all")
    parser.add_argument("--sample", type=int, default=150, help="mutants of each part; 0: all of them")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--longest", type=float, default=2.0, help="CPU seconds of the longest test that is asked")
    parser.add_argument("--only", nargs="*", default=[], metavar="ID", help="as an earlier run named them")
    asked = parser.parse_args()
    start_s, rows, there = time.perf_counter(), [], 0
    for name in asked.parts or PARTS:
        part = PARTS[name]
        mutants = [m for path in part.modules for m in mutants_of(path)]
        there += len(mutants)
        sample = random.Random(asked.seed).sample(mutants, min(asked.sample or len(mutants), len(mutants)))
        chosen = [m for m in mutants if m.name in asked.only] if asked.only else sample
        if chosen:
            rows += ran(part, sorted(chosen, key=lambda m: m.name), asked.longest)
    files = sorted({r["mutant"].path for r in rows})
    survived = [
        {"id": r["mutant"].name, "tests": r["tests"], "diff": r["mutant"].diff()} for r in rows if r["survived"]
    ]
    times = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    figures = {
        "mutants": there,
        "sample": asked.sample,
        "seed": asked.seed,
        **_counted(rows),
        "but_words": _counted([r for r in rows if not r["mutant"].text]),
        "modules": {path: _counted([r for r in rows if r["mutant"].path == path]) for path in files},
        "survived": survived,
        "seconds": round(time.perf_counter() - start_s),
        "cpu_s": round(sum(t.ru_utime + t.ru_stime for t in times)),
    }
    how = "seeded sample, sequential; each asked by the tests that call its function; `but_words` without other strings"
    report("mutants", figures, how, ("mutmut", "pytest", "hypothesis"))


if __name__ == "__main__":
    main()
