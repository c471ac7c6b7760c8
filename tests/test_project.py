"""What stands in several files is the same in all of them."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
ENVIRONMENT = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
README = (ROOT / "README.md").read_text(encoding="utf-8")


def pins():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    requirements = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return {canonical(requirement.name): requirement for requirement in requirements}


def canonical(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def required():
    extras = PROJECT["optional-dependencies"].values()
    requirements = map(Requirement, [*PROJECT["dependencies"], *(line for extra in extras for line in extra)])
    return [requirement for requirement in requirements if requirement.name != "zimp"]


def test_constraints_are_exact_and_have_no_local_versions():
    for name, requirement in pins().items():
        assert re.fullmatch(r"==[^+*]+", str(requirement.specifier)), name


@pytest.mark.parametrize("requirement", required(), ids=lambda requirement: requirement.name)
def test_every_dependency_is_pinned_to_a_version_that_pyproject_admits(requirement):
    pin = next(iter(pins()[canonical(requirement.name)].specifier))
    assert pin.version in requirement.specifier


def test_only_jupyter_book_has_an_upper_bound():
    bounded = [r.name for r in required() if any(s.operator in ("<", "<=", "==", "~=") for s in r.specifier)]
    assert bounded == ["jupyter-book"]


def test_binder_installs_the_book_and_the_course_with_the_constraints():
    python = next(d for d in ENVIRONMENT["dependencies"] if str(d).startswith("python="))
    assert python.split("=")[1] in SpecifierSet(PROJECT["requires-python"])
    (pip,) = [d["pip"] for d in ENVIRONMENT["dependencies"] if isinstance(d, dict)]
    assert "-c constraints.txt" in pip and "-e .[book,course]" in pip
    assert any("whl/cpu" in line for line in pip), "an image with CUDA is too large for Binder"


@pytest.mark.parametrize("extra", ["book", "test"])
def test_the_readme_commands_install_their_extra_with_the_constraints(extra):
    command = re.search(rf"<!-- {extra} -->\n```sh\n(.*)\n```", README).group(1)
    assert f'pip install -c constraints.txt -e ".[{extra}]"' in command


COURSE = re.compile(r"^ *\.venv/bin/python book/assignments/course\.py (\w+)", flags=re.M)


@pytest.mark.parametrize("file", ["README.md", "book/instructors.md"])
def test_lecturers_are_told_the_three_commands_of_the_course_and_how_to_install_it(file):
    text = (ROOT / file).read_text(encoding="utf-8")
    assert 'pip install -c constraints.txt -e ".[book,course]"' in text
    assert list(dict.fromkeys(COURSE.findall(text))) == ["build", "solve", "grade"]


@pytest.mark.parametrize("number", [1, 2, 3])
def test_the_page_of_an_assignment_gives_the_points_of_its_master(number):
    master = (ROOT / "book" / "assignments" / f"hw{number}.md").read_text(encoding="utf-8")
    page = (ROOT / "book" / f"assignment_{number}.md").read_text(encoding="utf-8")
    questions = re.findall(r"^name: q(\d+)\npoints: (\d+)(\nmanual: true)?$", master, flags=re.M)
    rows = re.findall(r"^\| (\d+) \|.*\| (\d+) \| (machine|person) \|$", page, flags=re.M)
    assert rows == [(name, points, "person" if manual else "machine") for name, points, manual in questions]
    machine, person = (sum(int(points) for _, points, by in rows if by == who) for who in ("machine", "person"))
    assert rows and f"{machine} points by machine and {person} by a person" in page
    assert re.search(r"^# (.*)", page, flags=re.M)[0] == re.search(r"^# Assignment.*", master, flags=re.M)[0]


def test_ci_runs_the_readme_command_and_not_a_copy():
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "README.md" in script and "pip install" not in script


def test_readme_links_lead_to_files():
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists(), target


def test_the_repository_address_stands_in_one_place():
    url = yaml.safe_load((ROOT / "book" / "_config.yml").read_text(encoding="utf-8"))["repository"]["url"]
    files = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True)
    if files.returncode:
        pytest.skip("not a git checkout")
    holders = [f for f in files.stdout.split() if url in (ROOT / f).read_text(encoding="utf-8", errors="ignore")]
    assert holders == ["book/_config.yml"]


def test_the_version_is_the_same_everywhere():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == PROJECT["version"]


def test_importing_zimp_and_its_topology_imports_no_torch():
    code = (
        "import sys, zimp; from zimp import topology, bounds, oracle; "
        "zimp.spanning_forest([[1.0]]); zimp.critical_compression(2, 3); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_every_public_name_is_there_and_has_a_docstring():
    import zimp

    for name in zimp.__all__:
        assert getattr(zimp, name).__doc__, name
    assert set(zimp.__all__) <= set(dir(zimp))
    with pytest.raises(AttributeError, match="no attribute 'spaning_forest'"):
        zimp.spaning_forest  # noqa: B018


def test_modules_import_only_those_below_them():
    """The order of the design; a module may import those before it."""
    order = (
        "bounds weights spanning topology oracle layers pruning models architectures data training replicates imp "
        "experiments plots widgets checkpoints layouts reports __main__"
    ).split()
    assert {path.stem for path in (ROOT / "zimp").glob("*.py")} == {*order, "__init__"}
    for module in order:
        source = (ROOT / "zimp" / f"{module}.py").read_text(encoding="utf-8")
        for imported in re.findall(r"^\s*from \.(\w+) import", source, flags=re.M):
            assert order.index(imported) < order.index(module), f"{module} imports {imported}"
